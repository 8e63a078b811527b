//! The findings of `--check`. Each is reported once, even if several environments and verbs share it.
//!
//! An error fails in every run in which nothing is mounted, and no operator can avoid it. A warning may fail
//! or do something unintended. An info is not a problem.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::table::Excerpts;
use crate::text::{EnvironmentName, Exact, Level, Message, bytes_of, quoted};
use crate::value::{Mistake, Sources, Span};

/// An environment, and a verb or a command after `--`.
type Context = (String, Option<String>);

#[derive(Debug, Default)]
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
            let hint = hint.map(str::to_owned);
            self.found.push(Found { level, message, hint, ..Found::default() });
            self.found.len() - 1
        });
        &mut self.found[at]
    }
}

#[derive(Debug, Default)]
pub(super) struct Findings {
    contexts: Vec<Context>,
    /// The findings without a place come first.
    places: BTreeMap<Option<Span>, Place>,
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
    /// Enters a context; later findings are found there.
    pub(super) fn enter(&mut self, environment: &EnvironmentName, verb: Option<&str>) {
        self.contexts.push((environment.to_string(), verb.map(str::to_owned)));
    }

    pub(super) fn examine(&mut self, span: Span) -> usize {
        let now = self.contexts.len();
        let examined = &mut self.places.entry(Some(span)).or_default().examined;
        if examined.last() != Some(&now) {
            examined.push(now);
        }
        now
    }

    pub(super) fn add(&mut self, level: Level, span: Span, message: String, hint: Option<&str>) {
        let now = self.examine(span);
        let found = self.places.entry(Some(span)).or_default().found(level, message, hint);
        if level < found.level {
            (found.level, found.hint) = (level, hint.map(str::to_owned));
            found.contexts.clear();
        }
        if level == found.level && found.contexts.last() != Some(&now) {
            found.contexts.push(now);
        }
    }

    /// Adds a finding that does not depend on the verb or the environment.
    pub(super) fn table(&mut self, level: Level, span: Option<Span>, message: String, hint: Option<&str>) {
        self.places.entry(span).or_default().found(level, message, hint);
    }

    pub(super) fn warn(&mut self, span: Span, message: String, hint: Option<&str>) {
        self.table(Level::Warning, Some(span), message, hint);
    }

    pub(super) fn mistakes(&mut self, mistakes: Vec<Mistake>) {
        for mistake in mistakes {
            let place = self.places.entry(Some(mistake.span)).or_default();
            let found = place.found(Level::Error, mistake.message, mistake.hint.as_deref());
            found.masked = mistake.masked;
            if let Some(environment) = mistake.environment.filter(|name| !found.environments.contains(name)) {
                found.environments.push(environment);
            }
        }
    }

    pub(super) fn has(&self, level: Level) -> bool {
        self.places.values().flat_map(|place| &place.found).any(|found| found.level == level)
    }

    fn all(&self, excerpts: &Excerpts<'_>) -> Vec<(Level, Option<Span>, String, Option<String>)> {
        let mut all = Vec::new();
        for (span, place) in &self.places {
            for found in &place.found {
                let masked = found.masked.as_deref();
                let sentence = excerpts.sentence(span.unwrap_or_default(), &found.message, masked);
                let message = if !found.environments.is_empty() {
                    format!("{sentence} {}", named("in environment", &found.environments))
                } else if found.contexts.is_empty() || found.contexts == place.examined {
                    sentence.to_owned()
                } else {
                    format!("{}: {sentence}", self.where_it_is(found, place))
                };
                all.push((found.level, *span, message, found.hint.clone()));
            }
        }
        all
    }

    fn where_it_is(&self, found: &Found, place: &Place) -> String {
        let context = |number: &usize| &self.contexts[number - 1];
        let (mut environments, mut verbs) = (Vec::new(), Vec::new());
        for (environment, verb) in found.contexts.iter().map(context) {
            if !environments.contains(environment) {
                environments.push(environment.clone());
            }
            if !verbs.contains(verb) {
                verbs.push(verb.clone());
            }
        }
        let all = |such: &dyn Fn(&Context) -> bool| {
            place.examined.iter().filter(|number| such(context(number))).eq(&found.contexts)
        };
        if all(&|(environment, _)| environments.contains(environment)) {
            return named("in environment", &environments);
        }
        if all(&|(_, verb)| verbs.contains(verb)) {
            return for_verbs(&verbs);
        }
        let (environment, verb) = context(&found.contexts[0]);
        let more = match found.contexts.len() {
            1 => String::new(),
            number => format!(" and {} more", number - 1),
        };
        let verb = for_verbs(std::slice::from_ref(verb));
        format!("{verb} in environment {}{more}", quoted(environment))
    }

    pub(super) fn messages(&self, sources: &Sources) -> Vec<Message> {
        let excerpts = Excerpts::of(sources);
        let message = |(level, span, text, hint)| match span {
            Some(span) => excerpts.message(&Mistake { hint, ..Mistake::new(span, text) }, level),
            None => Message { hint, ..Message::new(level, text) },
        };
        self.all(&excerpts).into_iter().map(message).collect()
    }

    pub(super) fn list(&self, sources: &Sources) -> Vec<Listed> {
        let listed = |(level, span, message, hint): (Level, Option<Span>, _, _)| {
            let place = span.and_then(|span| sources.place(sources.narrowed(span).start));
            Listed {
                level: level.name(),
                message,
                file: place.as_ref().map(|place| Exact(bytes_of(&place.source.path).to_vec())),
                line: place.as_ref().map(|place| place.line),
                column: place.as_ref().map(|place| place.column),
                hint,
            }
        };
        self.all(&Excerpts::of(sources)).into_iter().map(listed).collect()
    }
}

/// Names the verbs that are concerned; `None` is a command after `--`.
fn for_verbs(verbs: &[Option<String>]) -> String {
    let names: Vec<String> = verbs.iter().flatten().cloned().collect();
    let command = if verbs.contains(&None) { "for a command after `--`" } else { "" };
    let verbs = if names.is_empty() { String::new() } else { named("for verb", &names) };
    if verbs.is_empty() || command.is_empty() { verbs + command } else { format!("{verbs} and {command}") }
}

fn named(what: &str, names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(quoted).collect();
    match &names[..] {
        [first @ .., last] if !first.is_empty() => format!("{what}s {} and {last}", first.join(", ")),
        one => format!("{what} {}", one.concat()),
    }
}
