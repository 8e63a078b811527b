//! The findings of `--check`. Each is reported once, even if several environments and verbs share it.
//!
//! An error fails in every run, and no operator can avoid it. A warning may fail or do something unintended.
//! An info is not a problem.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::table::Excerpts;
use crate::text::{Exact, Level, Message, bytes_of, quoted};
use crate::value::{Mistake, Sources, Span};

#[derive(Debug)]
pub(super) struct Context {
    pub(super) environment: String,
    pub(super) verb: Option<String>,
}

#[derive(Debug)]
struct Found {
    level: Level,
    message: String,
    masked: Option<String>,
    hint: Option<String>,
    contexts: Vec<usize>,
    environments: Vec<String>,
}

#[derive(Debug, Default)]
struct Place {
    examined: Vec<usize>,
    found: Vec<Found>,
}

impl Place {
    fn found(&mut self, level: Level, message: String, hint: Option<&str>) -> &mut Found {
        let at = self.found.iter().position(|found| found.message == message).unwrap_or_else(|| {
            let (hint, contexts, environments) = (hint.map(str::to_owned), Vec::new(), Vec::new());
            self.found.push(Found { level, message, masked: None, hint, contexts, environments });
            self.found.len() - 1
        });
        &mut self.found[at]
    }
}

#[derive(Debug, Default)]
pub(super) struct Findings {
    contexts: Vec<Context>,
    places: BTreeMap<Span, Place>,
    elsewhere: Vec<(Level, String, Option<String>)>,
}

#[derive(Debug, Serialize)]
pub(super) struct Listed {
    level: &'static str,
    message: String,
    file: Option<Exact>,
    line: Option<usize>,
    column: Option<usize>,
    hint: Option<String>,
}

impl Findings {
    pub(super) fn enter(&mut self, context: Context) {
        self.contexts.push(context);
    }

    pub(super) fn examine(&mut self, span: Span) -> usize {
        let now = self.contexts.len();
        let examined = &mut self.places.entry(span).or_default().examined;
        if examined.last() != Some(&now) {
            examined.push(now);
        }
        now
    }

    pub(super) fn add(&mut self, level: Level, span: Span, message: String, hint: Option<&str>) {
        let now = self.examine(span);
        let found = self.places.entry(span).or_default().found(level, message, hint);
        if level < found.level {
            (found.level, found.hint) = (level, hint.map(str::to_owned));
            found.contexts.clear();
        }
        if level == found.level && found.contexts.last() != Some(&now) {
            found.contexts.push(now);
        }
    }

    pub(super) fn table(&mut self, level: Level, span: Span, message: String, hint: Option<&str>) {
        self.places.entry(span).or_default().found(level, message, hint);
    }

    pub(super) fn warn(&mut self, span: Span, message: String, hint: Option<&str>) {
        self.table(Level::Warning, span, message, hint);
    }

    pub(super) fn elsewhere(&mut self, level: Level, message: String, hint: Option<String>) {
        let found = (level, message, hint);
        if !self.elsewhere.contains(&found) {
            self.elsewhere.push(found);
        }
    }

    pub(super) fn mistakes(&mut self, mistakes: Vec<Mistake>) {
        for mistake in mistakes {
            let place = self.places.entry(mistake.span).or_default();
            let found = place.found(Level::Error, mistake.message, mistake.hint.as_deref());
            found.masked = mistake.masked;
            if let Some(environment) = mistake.environment.filter(|name| !found.environments.contains(name)) {
                found.environments.push(environment);
            }
        }
    }

    pub(super) fn has(&self, level: Level) -> bool {
        let mut found = self.places.values().flat_map(|place| &place.found);
        found.any(|each| each.level == level) || self.elsewhere.iter().any(|(each, ..)| *each == level)
    }

    fn placed(&self, excerpts: &Excerpts<'_>) -> Vec<(Level, Mistake)> {
        let mut all = Vec::new();
        for (span, place) in &self.places {
            for found in &place.found {
                let sentence = excerpts.sentence(*span, &found.message, found.masked.as_deref());
                let message = if !found.environments.is_empty() {
                    format!("{sentence} {}", named("in environment", &found.environments))
                } else if !found.contexts.is_empty() && found.contexts != place.examined {
                    format!("{}: {sentence}", self.where_it_is(found, place))
                } else {
                    sentence.to_owned()
                };
                all.push((found.level, Mistake { hint: found.hint.clone(), ..Mistake::new(*span, message) }));
            }
        }
        all
    }

    fn where_it_is(&self, found: &Found, place: &Place) -> String {
        let context = |number: &usize| &self.contexts[number - 1];
        let (mut environments, mut verbs, mut command) = (Vec::new(), Vec::new(), false);
        for context in found.contexts.iter().map(context) {
            if !environments.contains(&context.environment) {
                environments.push(context.environment.clone());
            }
            match &context.verb {
                None => command = true,
                Some(verb) if !verbs.contains(verb) => verbs.push(verb.clone()),
                Some(_) => {}
            }
        }
        let all = |such: &dyn Fn(&Context) -> bool| {
            place.examined.iter().filter(|number| such(context(number))).eq(&found.contexts)
        };
        if all(&|context| environments.contains(&context.environment)) {
            return named("in environment", &environments);
        }
        if all(&|context| context.verb.as_ref().map_or(command, |verb| verbs.contains(verb))) {
            return for_verbs(&verbs, command);
        }
        let Some(first) = found.contexts.first().map(context) else { return String::new() };
        let verb = for_verbs(first.verb.as_slice(), first.verb.is_none());
        let more = match found.contexts.len() {
            1 => String::new(),
            number => format!(" and {} more", number - 1),
        };
        format!("{verb} in environment {}{more}", quoted(&first.environment))
    }

    pub(super) fn messages(&self, sources: &Sources) -> Vec<Message> {
        let mut messages = Vec::new();
        for (level, text, hint) in &self.elsewhere {
            messages.push(Message { hint: hint.clone(), ..Message::new(*level, text) });
        }
        let excerpts = Excerpts::of(sources);
        let placed = self.placed(&excerpts);
        messages.extend(placed.iter().map(|(level, mistake)| excerpts.message(mistake, *level)));
        messages
    }

    pub(super) fn list(&self, sources: &Sources) -> Vec<Listed> {
        let mut list = Vec::new();
        for (level, message, hint) in self.elsewhere.clone() {
            let level = level.name();
            list.push(Listed { level, message, file: None, line: None, column: None, hint });
        }
        for (level, Mistake { span, message, hint, .. }) in self.placed(&Excerpts::of(sources)) {
            let place = sources.place(sources.narrowed(span).start);
            list.push(Listed {
                level: level.name(),
                message,
                file: place.as_ref().map(|place| Exact(bytes_of(&place.source.path).to_vec())),
                line: place.as_ref().map(|place| place.line),
                column: place.as_ref().map(|place| place.column),
                hint,
            });
        }
        list
    }
}

fn for_verbs(verbs: &[String], command: bool) -> String {
    let mut text = if verbs.is_empty() { String::new() } else { named("for verb", verbs) };
    if command {
        text.push_str(if text.is_empty() { "for" } else { " and for" });
        text.push_str(" a command after `--`");
    }
    text
}

fn named(what: &str, names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(quoted).collect();
    match &names[..] {
        [first @ .., last] if !first.is_empty() => format!("{what}s {} and {last}", first.join(", ")),
        one => format!("{what} {}", one.concat()),
    }
}
