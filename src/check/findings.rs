//! What `--check` has found, each once, however many environments and verbs it was found for.
//!
//! Knows places and weights. Must not know what is looked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use crate::log::{Level, Message, quoted};
use crate::table::document::{Mistake, Source, Span};
use crate::table::file;

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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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
    hint: Option<String>,
    contexts: BTreeSet<Context>,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// By place and sentence.
    found: BTreeMap<(Span, String), Found>,
    /// For what each place was looked at.
    examined: BTreeMap<Span, BTreeSet<Context>>,
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
    /// Remembers that what stands here is looked at in this context.
    pub(super) fn examine(&mut self, span: Span, context: &Context) {
        let contexts = self.examined.entry(span).or_default();
        if !contexts.contains(context) {
            contexts.insert(context.clone());
        }
    }

    /// Adds a finding of one context. Of two of the same words the heavier counts.
    pub(super) fn add(
        &mut self,
        weight: Weight,
        span: Span,
        context: &Context,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.examine(span, context);
        let found = self.found.entry((span, message.into())).or_insert_with(|| Found {
            weight,
            hint: hint.clone(),
            contexts: BTreeSet::new(),
        });
        if weight < found.weight {
            *found = Found { weight, hint, contexts: BTreeSet::new() };
        }
        if weight == found.weight {
            found.contexts.insert(context.clone());
        }
    }

    /// Adds a finding of the table as such.
    pub(super) fn table(
        &mut self,
        weight: Weight,
        span: Span,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let found = Found { weight, hint, contexts: BTreeSet::new() };
        self.found.entry((span, message.into())).or_insert(found);
    }

    /// Adds a finding that has no place.
    pub(super) fn elsewhere(&mut self, weight: Weight, message: impl Into<String>, hint: Option<String>) {
        self.elsewhere.push((weight, message.into(), hint));
    }

    /// Adds the mistakes of decoding, each once; what is wrong in several environments names them.
    pub(super) fn mistakes(&mut self, mistakes: Vec<Mistake>) {
        let mut seen: BTreeMap<(Span, String), (Option<String>, BTreeSet<String>)> = BTreeMap::new();
        for mistake in mistakes {
            let Mistake { span, message, hint, environment } = mistake;
            let (_, environments) = seen.entry((span, message)).or_insert((hint, BTreeSet::new()));
            environments.extend(environment);
        }
        for ((span, message), (hint, environments)) in seen {
            let message = match &*in_environments(environments.iter().map(String::as_str)) {
                "" => message,
                place => format!("{message} {place}"),
            };
            self.table(Weight::Error, span, message, hint);
        }
    }

    /// Whether anything is an error.
    pub(super) fn has_errors(&self) -> bool {
        self.found.values().any(|found| found.weight == Weight::Error)
            || self.elsewhere.iter().any(|(weight, _, _)| *weight == Weight::Error)
    }

    /// Everything, in the order of the table.
    fn all(&self) -> impl Iterator<Item = (Weight, Mistake)> {
        self.found.iter().map(|((span, message), found)| {
            let place = self.examined.get(span).map(|all| place(&found.contexts, all)).unwrap_or_default();
            let message = if place.is_empty() { message.clone() } else { format!("{place}: {message}") };
            (found.weight, Mistake { span: *span, message, hint: found.hint.clone(), environment: None })
        })
    }

    /// As messages.
    pub(super) fn messages(&self, sources: &[Source]) -> Vec<Message> {
        let elsewhere = self.elsewhere.iter().map(|(weight, message, hint)| {
            let mut message = Message::new(weight.level(), message);
            message.hint.clone_from(hint);
            message
        });
        let placed = self.all().map(|(weight, mistake)| file::message(sources, &mistake, weight.level()));
        elsewhere.chain(placed).collect()
    }

    /// As `--json` lists them.
    pub(super) fn list(&self, sources: &[Source]) -> Vec<Listed> {
        let elsewhere = self.elsewhere.iter().map(|(weight, message, hint)| Listed {
            level: weight.level().name(),
            message: message.clone(),
            file: None,
            line: None,
            column: None,
            hint: hint.clone(),
        });
        let placed = self.all().map(|(weight, mistake)| {
            let source = sources.get(usize::from(mistake.span.file));
            let place = source.map(|source| source.place(mistake.span.start));
            Listed {
                level: weight.level().name(),
                message: mistake.message,
                file: source.map(|source| file::shown_path(&source.path)),
                line: place.as_ref().map(|place| place.line),
                column: place.as_ref().map(|place| place.column),
                hint: mistake.hint,
            }
        });
        elsewhere.chain(placed).collect()
    }
}

/// `in environment ...`, or nothing.
fn in_environments<'n>(names: impl Iterator<Item = &'n str>) -> String {
    named("in environment", names)
}

fn named<'n>(what: &str, names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.map(quoted).collect();
    match &names[..] {
        [] => String::new(),
        [one] => format!("{what} {one}"),
        [first @ .., last] => format!("{what}s {} and {last}", first.join(", ")),
    }
}

/// For which of the contexts in which a thing was looked at something is so; nothing where it is so in all.
fn place(found: &BTreeSet<Context>, examined: &BTreeSet<Context>) -> String {
    if found.is_empty() || found == examined {
        return String::new();
    }
    let environments: BTreeSet<&str> = found.iter().map(|context| &*context.environment).collect();
    let verbs: BTreeSet<Option<&str>> = found.iter().map(|context| context.verb.as_deref()).collect();
    let of_environments = examined.iter().filter(|context| environments.contains(&*context.environment));
    if of_environments.eq(found) {
        return in_environments(environments.into_iter());
    }
    if examined.iter().filter(|context| verbs.contains(&context.verb.as_deref())).eq(found) {
        let mut text = named("for verb", verbs.iter().copied().flatten());
        if verbs.contains(&None) {
            text.push_str(if text.is_empty() { "for" } else { " and for" });
            text.push_str(" a command behind `--`");
        }
        return text;
    }
    let mut text = String::new();
    for context in found.iter().take(1) {
        match &context.verb {
            Some(verb) => {
                let _ = write!(text, "for verb {}", quoted(verb));
            }
            None => text.push_str("for a command behind `--`"),
        }
        let _ = write!(text, " in environment {}", quoted(&context.environment));
    }
    if found.len() > 1 {
        let _ = write!(text, " and {} more", found.len() - 1);
    }
    text
}
