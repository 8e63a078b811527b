//! Nodes of TOML to the table's types. Every mistake is collected with its place; none is passed over.

mod layer;
mod settings;
mod step;
mod verb;

use std::time::Duration;

use crate::table::types::Probe;
use crate::text::duration::{DURATION_RULE, parse_duration, parse_mode};
use crate::text::log::quoted;
use crate::text::names::{NAME_RULE, VerbName};
use crate::text::nearest::nearest;
use crate::text::url;
use crate::value::signal::parse_signal;
use crate::value::target::{Target, UNSEEN_PATH, UNSEEN_PATH_HINT};
use crate::value::template::Template;
use crate::value::toml::{Mistake, Node, Shape, Span};

/// The keys of the table.
pub(crate) const TABLE_KEYS: [&str; 16] = [
    "default",
    "unknown",
    "leading-dash",
    "log",
    "stop-signals",
    "user",
    "workdir",
    "umask",
    "environment",
    "env",
    "variables",
    "setup",
    "interpreters",
    "verbs",
    "environments",
    "shim",
];
/// The keys of an environment.
pub(crate) const ENVIRONMENT_KEYS: [&str; 4] = ["env", "variables", "setup", "verbs"];
/// The keys of a verb.
pub(crate) const VERB_KEYS: [&str; 18] = [
    "about",
    "aliases",
    "exec",
    "args",
    "env",
    "unset",
    "variables",
    "setup",
    "user",
    "workdir",
    "umask",
    "limits",
    "capabilities",
    "no-new-privileges",
    "init",
    "health",
    "skip-setup-on",
    "hidden",
];
/// The keys of a declared variable.
pub(crate) const VARIABLE_KEYS: [&str; 6] = ["about", "default", "required", "type", "one-of", "secret"];
/// The keys of `[environment]`.
pub(crate) const SELECTION_KEYS: [&str; 2] = ["variable", "default"];
/// The keys of `[shim]`.
pub(crate) const SHIM_KEYS: [&str; 4] = ["image", "mounts", "env", "network"];
/// The keys of an `init` table.
pub(crate) const INIT_KEYS: [&str; 3] = ["signals", "group", "grace"];
/// The keys that say of which kind a step is.
pub(crate) const KIND_KEYS: [&str; 6] = ["run", "hooks", "wait", "render", "mkdir", "chown"];
/// The keys that every step may have.
pub(crate) const STEP_KEYS: [&str; 6] = ["name", "verbs", "environments", "skip-if", "timeout", "user"];

/// The keys that only a step of this kind may have.
pub(crate) fn kind_only_keys(kind: &str) -> &'static [&'static str] {
    match kind {
        "run" | "hooks" => &["once", "per"],
        "render" => &["to", "suffix", "only", "keep-unset", "mode"],
        "mkdir" => &["mode"],
        _ => &[],
    }
}

/// What a key stands in; in words only where a mistake asks for them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'p> {
    /// The table itself.
    Table,
    /// An environment.
    Environment(&'p str),
    /// A verb.
    Verb(&'p str),
    /// A verb of an environment.
    VerbOf(&'p str, &'p str),
    /// A step of one of these.
    StepOf(&'p Place<'p>),
    /// A table in one of these, by its key, or by its header.
    Named(&'p str),
    /// The declaration of a variable.
    Variable(&'p str),
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Table => f.write_str("the table"),
            Self::Environment(name) => write!(f, "environment {}", quoted(name)),
            Self::Verb(name) => write!(f, "verb {}", quoted(name)),
            Self::VerbOf(name, environment) => {
                write!(f, "verb {} of environment {}", quoted(name), quoted(environment))
            }
            Self::StepOf(place) => write!(f, "a step of {place}"),
            Self::Named(name) => f.write_str(&quoted(name)),
            Self::Variable(name) => write!(f, "`[variables.{name}]`"),
        }
    }
}

/// Collects mistakes while it decodes.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The mistakes so far.
    pub(crate) mistakes: Vec<Mistake>,
}

impl Decoder {
    /// Adds a mistake.
    pub(crate) fn mistake(&mut self, span: Span, message: impl Into<String>) {
        self.mistakes.push(Mistake::new(span, message));
    }

    fn mistake_with_hint(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.mistakes.push(Mistake { hint: Some(hint.into()), ..Mistake::new(span, message) });
    }

    fn wrong_type(&mut self, node: Node<'_>, name: &str, wanted: &str) {
        self.mistake(node.span(), format!("{} must be {wanted}, not {}", quoted(name), node.shape().name()));
    }

    /// Whether `node` is a table; a mistake if not.
    fn is_table(&mut self, node: Node<'_>, name: &str) -> bool {
        let table = node.shape() == Shape::Table;
        if !table {
            self.wrong_type(node, name, "a table");
        }
        table
    }

    /// A mistake for each key of `node` that is not in `known`.
    fn keys(&mut self, node: Node<'_>, place: Place<'_>, known: &[&str]) {
        for child in node.children().filter(|child| !known.contains(&child.key())) {
            self.unknown_key(child, place, known);
        }
    }

    /// A mistake for a key that is not in `known`.
    fn unknown_key(&mut self, child: Node<'_>, place: Place<'_>, known: &[&str]) {
        let key = child.key();
        let message = format!("unknown key {} in {place}", quoted(key));
        match nearest(key, known.iter().copied()) {
            Some(near) => {
                self.mistake_with_hint(child.key_span(), message, format!("did you mean `{near}`?"));
            }
            None => self.mistake_with_hint(
                child.key_span(),
                message,
                format!(
                    "the keys here are {}",
                    known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")
                ),
            ),
        }
    }

    /// A mistake for each key of an environment that it cannot have, and for `verbs` that is no table.
    pub(crate) fn environment_keys(&mut self, node: Node<'_>, place: Place<'_>, known: &[&str]) {
        self.keys(node, place, known);
        if let Some(verbs) = node.get("verbs") {
            self.is_table(verbs, "verbs");
        }
    }

    fn string<'d>(&mut self, node: Node<'d>, name: &str) -> Option<&'d str> {
        match node.as_str() {
            Some(text) if text.contains('\0') => {
                self.mistake(
                    node.span(),
                    format!("{} holds a NUL character, which nothing can be passed", quoted(name)),
                );
                None
            }
            Some(text) => Some(text),
            None => {
                self.wrong_type(node, name, "a string");
                None
            }
        }
    }

    fn boolean(&mut self, node: Node<'_>, name: &str) -> Option<bool> {
        if let Shape::Boolean(value) = node.shape() {
            return Some(value);
        }
        self.wrong_type(node, name, "`true` or `false`");
        None
    }

    fn template(&mut self, node: Node<'_>, name: &str) -> Option<Template> {
        self.parsed(node, name, Template::parse)
    }

    /// An element of an argv.
    fn element(&mut self, node: Node<'_>, name: &str) -> Option<Template> {
        self.parsed(node, name, Template::parse_element)
    }

    fn parsed(
        &mut self,
        node: Node<'_>,
        name: &str,
        parse: impl Fn(&str) -> Result<Template, String>,
    ) -> Option<Template> {
        let text = self.string(node, name)?;
        match parse(text) {
            Ok(template) => Some(template),
            Err(reason) => {
                self.mistakes.push(Mistake {
                    masked: Some(format!("{}: a `${{` in it is none of the forms", quoted(name))),
                    hint: Some("a literal `${` is written `$${`".to_owned()),
                    ..Mistake::new(node.span(), format!("{}: {reason}", quoted(name)))
                });
                None
            }
        }
    }

    /// The items of an array.
    fn items<'d>(&mut self, node: Node<'d>, name: &str, wanted: &str) -> Vec<Node<'d>> {
        if node.shape() == Shape::Array {
            return node.children().collect();
        }
        self.wrong_type(node, name, wanted);
        Vec::new()
    }

    fn strings(&mut self, node: Node<'_>, name: &str) -> Vec<String> {
        let items = self.items(node, name, "an array of strings");
        items.into_iter().filter_map(|item| self.string(item, name).map(str::to_owned)).collect()
    }

    /// One string, or an array of them.
    fn one_or_more<'d>(&mut self, node: Node<'d>, name: &str) -> Vec<Node<'d>> {
        if node.shape() == Shape::String {
            vec![node]
        } else {
            let items = self.items(node, name, "an array of strings");
            if items.is_empty() && node.shape() == Shape::Array {
                self.mistake(node.span(), format!("{} is empty", quoted(name)));
            }
            items
        }
    }

    /// An argv: an array of strings, the first not empty.
    fn argv(&mut self, node: Node<'_>, name: &str) -> Option<Vec<Template>> {
        if let Some(text) = node.as_str() {
            let words: Vec<String> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
            self.mistake_with_hint(
                node.span(),
                format!("{} must be an array of strings, not a string: no shell splits it", quoted(name)),
                format!("{name} = [{}]", words.join(", ")),
            );
            return None;
        }
        let before = self.mistakes.len();
        let items = self.items(node, name, "an array of strings");
        let templates: Vec<Template> =
            items.into_iter().filter_map(|item| self.element(item, name)).collect();
        if self.mistakes.len() > before {
            return None;
        }
        match templates.first() {
            None => {
                self.mistake(
                    node.span(),
                    format!("{} is empty: its first word is the program", quoted(name)),
                );
                None
            }
            Some(first) if first.source().is_empty() => {
                self.mistake(
                    node.span(),
                    format!("the first word of {} is empty: it is the program", quoted(name)),
                );
                None
            }
            Some(_) => Some(templates),
        }
    }

    fn templates(&mut self, node: Node<'_>, name: &str) -> Vec<Template> {
        let items = self.items(node, name, "an array of strings");
        items.into_iter().filter_map(|item| self.element(item, name)).collect()
    }

    fn duration(&mut self, node: Node<'_>, name: &str) -> Option<Duration> {
        let text = self.string(node, name)?;
        let duration = parse_duration(text);
        if duration.is_none() {
            self.mistake_with_hint(
                node.span(),
                format!("{} is {}, which is no duration", quoted(name), quoted(text)),
                DURATION_RULE,
            );
        }
        duration
    }

    fn mode(&mut self, node: Node<'_>, name: &str) -> Option<u32> {
        let hint = format!("{name} = \"{}\"", if name == "umask" { "027" } else { "0755" });
        if node.shape() == Shape::Integer {
            self.mistake_with_hint(
                node.span(),
                format!("{} must be a string of octal digits", quoted(name)),
                hint,
            );
            return None;
        }
        let text = self.string(node, name)?;
        let mode = parse_mode(text);
        if mode.is_none() {
            let message = format!("{} is {}, which is no octal mode", quoted(name), quoted(text));
            self.mistake_with_hint(node.span(), message, hint);
        }
        mode
    }

    fn umask(&mut self, node: Node<'_>) -> Option<u32> {
        let mode = self.mode(node, "umask")?;
        if mode > 0o777 {
            self.mistake(node.span(), "`umask` is larger than 0777");
            return None;
        }
        Some(mode)
    }

    /// One of a few words.
    fn choice<T>(
        &mut self,
        node: Node<'_>,
        name: &str,
        words: &[&str],
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.string(node, name)?;
        let value = parse(text);
        if value.is_none() {
            let message = format!("{} is {}, which it cannot be", quoted(name), quoted(text));
            let known: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            self.mistake_with_hint(node.span(), message, format!("it is one of {}", known.join(", ")));
        }
        value
    }

    fn verb_name(&mut self, node: Node<'_>, name: &str) -> Option<VerbName> {
        let text = self.string(node, name)?;
        let verb = VerbName::parse(text.as_bytes());
        if verb.is_none() {
            self.mistake_with_hint(
                node.span(),
                format!("{} is {}, which no verb can be called", quoted(name), quoted(text)),
                NAME_RULE,
            );
        }
        verb
    }

    fn signal(&mut self, span: Span, text: &str) -> Option<i32> {
        let signal = parse_signal(text);
        if signal.is_none() {
            self.mistake(span, format!("{} is no signal", quoted(text)));
        }
        signal
    }

    fn user(&mut self, node: Node<'_>) -> Option<Template> {
        let template = self.template(node, "user")?;
        if template.is_literal()
            && let Err(reason) = crate::value::user::UserSpec::parse(template.source().as_bytes())
        {
            self.mistake_with_hint(
                node.span(),
                format!("`user` is {}: {reason}", quoted(template.source())),
                "a user is `name`, `uid`, `name:group` or `uid:gid`",
            );
            return None;
        }
        Some(template)
    }

    fn path(&mut self, node: Node<'_>, name: &str) -> Option<Template> {
        let template = self.template(node, name)?;
        if template.source().is_empty() {
            self.mistake(node.span(), format!("{} is an empty path", quoted(name)));
            return None;
        }
        Some(template)
    }

    fn probe(&mut self, node: Node<'_>, name: &str) -> Option<Probe> {
        if node.shape() == Shape::Table {
            self.keys(node, Place::Named(name), &["exec"]);
            let Some(exec) = node.get("exec") else {
                self.mistake(node.span(), format!("a table in {} needs an `exec`", quoted(name)));
                return None;
            };
            return self.argv(exec, "exec").map(Probe::Exec);
        }
        if node.as_str().is_none() {
            self.wrong_type(node, name, "a string such as `tcp://host:port` or a table with `exec`");
            return None;
        }
        let template = self.template(node, name)?;
        if template.is_literal() {
            let source = template.source().as_bytes();
            let mistake =
                |reason: &str| format!("{} in {}: {reason}", quoted(url::shown(source)), quoted(name));
            match Target::parse(source) {
                Err(reason) => {
                    self.mistake(node.span(), mistake(&reason));
                    return None;
                }
                Ok(Some(target)) if name == "health" && target.hides_its_path() => {
                    self.mistake_with_hint(node.span(), mistake(UNSEEN_PATH), UNSEEN_PATH_HINT);
                    return None;
                }
                Ok(_) => {}
            }
        }
        Some(Probe::Url(template))
    }
}
