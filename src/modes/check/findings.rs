//! What `--check` has found, each once, however many environments and verbs it was found for.
//!
//! Knows places and weights. Must not know what is looked for.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::table::excerpt::Excerpts;
use crate::table::load;
use crate::text::log::{Level, Message, quoted};
use crate::value::toml::{Mistake, Sources, Span};

/// How much a finding weighs; the heaviest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Runs fail whatever the operator does.
    Error,
    /// Runs may fail, or do something else than what was meant.
    Warning,
    /// Nothing is wrong.
    Note,
}

impl Weight {
    fn level(self) -> Level {
        match self {
            Self::Error => Level::Error,
            Self::Warning => Level::Warning,
            Self::Note => Level::Info,
        }
    }
}

/// What a thing was looked at for: an environment, and a verb or a command behind `--`.
#[derive(Debug)]
pub(super) struct Context {
    /// The environment.
    pub(super) environment: String,
    /// The verb; `None` for a command.
    pub(super) verb: Option<String>,
}

/// What was found at a place.
#[derive(Debug)]
struct Found {
    weight: Weight,
    message: String,
    /// The same without a value that is not to be shown.
    masked: Option<String>,
    hint: Option<String>,
    /// The numbers of the contexts that it was found in, ascending; none where it is so in any.
    contexts: Vec<usize>,
    /// Or the environments, where decoding has told them.
    environments: Vec<String>,
}

/// A place in the table.
#[derive(Debug, Default)]
struct Place {
    /// The numbers of the contexts that it was looked at in, ascending.
    examined: Vec<usize>,
    found: Vec<Found>,
}

impl Place {
    /// What was found in these words, maybe just now.
    fn found(&mut self, weight: Weight, message: String, hint: Option<String>) -> &mut Found {
        let at = self.found.iter().position(|found| found.message == message).unwrap_or_else(|| {
            let (contexts, environments) = (Vec::new(), Vec::new());
            self.found.push(Found { weight, message, masked: None, hint, contexts, environments });
            self.found.len() - 1
        });
        &mut self.found[at]
    }
}

/// Everything that was found.
///
/// One map and plain vectors: each kind of set costs kilobytes of a program that is to be small.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The contexts, by number; what is added is of the last.
    contexts: Vec<Context>,
    places: BTreeMap<Span, Place>,
    /// What has no place in the table.
    elsewhere: Vec<(Weight, String, Option<String>)>,
}

/// A finding as `--json` prints it. Every key is always there; what does not apply is null.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    /// `error`, `warning` or `info`.
    level: &'static str,
    /// The sentence, without its place.
    message: String,
    /// The table, or the drop-in.
    file: Option<String>,
    /// From 1.
    line: Option<usize>,
    /// From 1, in characters.
    column: Option<usize>,
    /// What would help.
    hint: Option<String>,
}

impl Findings {
    /// What is examined and added from here on is so in this context.
    pub(super) fn enter(&mut self, context: Context) {
        self.contexts.push(context);
    }

    /// Remembers that what stands here is looked at in the present context.
    pub(super) fn examine(&mut self, span: Span) {
        let now = self.contexts.len();
        let examined = &mut self.places.entry(span).or_default().examined;
        if examined.last() != Some(&now) {
            examined.push(now);
        }
    }

    /// Adds a finding of the present context. Of two of the same words the heavier counts.
    pub(super) fn add(&mut self, weight: Weight, span: Span, message: String, hint: Option<String>) {
        self.examine(span);
        let now = self.contexts.len();
        let found = self.places.entry(span).or_default().found(weight, message, hint.clone());
        if weight < found.weight {
            (found.weight, found.hint) = (weight, hint);
            found.contexts.clear();
        }
        if weight == found.weight && found.contexts.last() != Some(&now) {
            found.contexts.push(now);
        }
    }

    /// Adds a finding of the table as such.
    pub(super) fn table(&mut self, weight: Weight, span: Span, message: String, hint: Option<String>) {
        self.places.entry(span).or_default().found(weight, message, hint);
    }

    /// Adds a finding that has no place.
    pub(super) fn elsewhere(&mut self, weight: Weight, message: String, hint: Option<String>) {
        self.elsewhere.push((weight, message, hint));
    }

    /// Adds the mistakes of decoding, each once; what is wrong in several environments names them.
    pub(super) fn mistakes(&mut self, mistakes: Vec<Mistake>) {
        for mistake in mistakes {
            let place = self.places.entry(mistake.span).or_default();
            let found = place.found(Weight::Error, mistake.message, mistake.hint);
            found.masked = mistake.masked;
            if let Some(environment) = mistake.environment.filter(|name| !found.environments.contains(name)) {
                found.environments.push(environment);
            }
        }
    }

    /// Whether anything of this weight was found.
    pub(super) fn has(&self, weight: Weight) -> bool {
        let mut found = self.places.values().flat_map(|place| &place.found).map(|found| found.weight);
        found.any(|each| each == weight) || self.elsewhere.iter().any(|(each, _, _)| *each == weight)
    }

    /// Everything, in the order of the table.
    fn all<'f>(&'f self, excerpts: &'f Excerpts<'_>) -> impl Iterator<Item = (Weight, Mistake)> + 'f {
        self.places.iter().flat_map(move |(span, place)| {
            place.found.iter().map(move |found| {
                let mut message =
                    excerpts.sentence(*span, &found.message, found.masked.as_deref()).to_owned();
                if !found.environments.is_empty() {
                    message = format!("{message} {}", in_environments(&found.environments));
                } else if !found.contexts.is_empty() && found.contexts != place.examined {
                    message = format!("{}: {message}", self.where_it_is(found, place));
                }
                let hint = found.hint.clone();
                (found.weight, Mistake { hint, ..Mistake::new(*span, message) })
            })
        })
    }

    /// For which of the contexts in which a thing was looked at something is so.
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
            return in_environments(&environments);
        }
        let is_one = |context: &Context| match &context.verb {
            None => command,
            Some(verb) => verbs.contains(verb),
        };
        if all(&is_one) {
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

    /// As messages.
    pub(super) fn messages(&self, sources: &Sources) -> Vec<Message> {
        let elsewhere = self.elsewhere.iter().map(|(weight, message, hint)| {
            let mut message = Message::new(weight.level(), message);
            message.hint.clone_from(hint);
            message
        });
        let excerpts = Excerpts::of(sources);
        let placed = self.all(&excerpts);
        let placed = placed.map(|(weight, mistake)| load::message(&excerpts, &mistake, weight.level()));
        elsewhere.chain(placed).collect()
    }

    /// As `--json` lists them.
    pub(super) fn list(&self, sources: &Sources) -> Vec<Listed> {
        let elsewhere = self.elsewhere.iter().map(|(weight, message, hint)| Listed {
            level: weight.level().name(),
            message: message.clone(),
            file: None,
            line: None,
            column: None,
            hint: hint.clone(),
        });
        let excerpts = Excerpts::of(sources);
        let placed = self.all(&excerpts).map(|(weight, mistake)| {
            let place = sources.place(sources.narrowed(mistake.span).start);
            Listed {
                level: weight.level().name(),
                message: mistake.message,
                file: place.as_ref().map(|place| load::shown_path(&place.source.path)),
                line: place.as_ref().map(|place| place.line),
                column: place.as_ref().map(|place| place.column),
                hint: mistake.hint,
            }
        });
        elsewhere.chain(placed).collect()
    }
}

fn in_environments(names: &[String]) -> String {
    named("in environment", names)
}

fn for_verbs(verbs: &[String], command: bool) -> String {
    let mut text = if verbs.is_empty() { String::new() } else { named("for verb", verbs) };
    if command {
        text.push_str(if text.is_empty() { "for" } else { " and for" });
        text.push_str(" a command behind `--`");
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
