//! The top of the table, without its verbs and environments.

use crate::table::decode::decoder::{Decoder, Key, keys};
use crate::table::decode::form::Form;
use crate::table::decode::layer::a_table;
use crate::table::decode::place::Place;
use crate::table::decode::shim::SHIM;
use crate::table::types::{LeadingDash, Naming, Settings, ShimSettings, Unknown};
use crate::text::log::{Format, quoted};
use crate::text::names::{EnvironmentName, NAME_RULE, VerbName};
use crate::value::toml::{Node, Shape, Span};

/// The keys of the table. Those of its layer, its verbs and its environments are read one by one, as they
/// are needed.
pub(crate) const TABLE: &[Key<Settings>] = keys! { Settings {
    "default", Form::Name, "The verb of a call without arguments.", (default = default_verb);
    "unknown", Form::OneOf(&Unknown::NAMES), "How a first argument that is not a verb is treated.",
        (unknown: Unknown);
    "leading-dash", Form::OneOf(&LeadingDash::NAMES),
        "How a first argument that begins with a dash is treated.",
        (leading_dash: LeadingDash);
    "log", Form::OneOf(&Format::NAMES), "How messages are written.", (log: Option<Format>);
    "stop-signals", Form::Strings, "The signals that end setup instead of TERM, INT, HUP and QUIT.",
        (stop_signals = Some(array of stop_request));
    "user", Form::Text, "The user of verbs without one, and of `--`.", (user = user);
    "workdir", Form::Path, "The working directory of verbs without one, and of `--`.", (workdir = path);
    "umask", Form::Mode, "The umask of verbs without one, and of `--`.", (umask = umask);
    "environment", Form::Noun("selection"), "How the environment is chosen.",
        (environment = naming);
    "env", Form::Env, "Variables set for every verb.", ();
    "variables", Form::ByVariable("variable"), "Declared variables.", ();
    "setup", Form::List("step"), "Steps for every verb.", ();
    "interpreters", Form::Interpreters, "Programs that run hooks, by the extension of the hook.",
        (interpreters);
    "verbs", Form::ByName("verb"), "The verbs.", (a_table);
    "environments", Form::ByName("environment"), "What is different in an environment.", (a_table);
    "shim", Form::Noun("shim"), "How `--shim` runs the image.", (shim = Some(shim));
} };

pub(crate) const ENVIRONMENT: &[Key<Naming>] = keys! { Naming {
    "variable", Form::Variable, "The variable that names the environment.", (variable = variable_name);
    "default", Form::Name,
        "The environment when that variable is unset or empty.", (default = environment_name);
    "names", Form::Names, "The only valid environments.",
        (names = Some(array of environment_name));
    "aliases", Form::NamesByName, "Other names of environments.", (aliases);
} };

fn aliases(decoder: &mut Decoder, node: Node<'_>, naming: &mut Naming) {
    for child in decoder.entries(node) {
        let alias = EnvironmentName::parse(child.key().as_bytes());
        if alias.is_none() {
            let message = format!("{} is not a valid environment name", quoted(child.key()));
            decoder.mistake_with_hint(child.key_span(), message, NAME_RULE);
        }
        naming.aliases.extend(alias.zip(decoder.environment_name(child)));
    }
}

impl Decoder {
    fn default_verb(&mut self, node: Node<'_>) -> Option<(VerbName, Span)> {
        Some((self.verb_name(node)?, node.span()))
    }

    fn naming(&mut self, node: Node<'_>) -> Naming {
        self.table(node, Place::Named("[environment]"), ENVIRONMENT)
    }

    fn shim(&mut self, node: Node<'_>) -> ShimSettings {
        self.table(node, Place::Named("[shim]"), SHIM)
    }

    fn stop_request(&mut self, node: Node<'_>) -> Option<i32> {
        let text = self.string(node)?;
        let signal = self.signal(node.span(), text)?;
        // KILL and STOP cannot be caught; CHLD and the faults are not requests to stop.
        if matches!(signal, 4 | 5 | 7 | 8 | 9 | 11 | 13 | 17 | 18 | 19 | 31) {
            self.mistake(node.span(), format!("{} cannot be a stop signal", quoted(text)));
            return None;
        }
        Some(signal)
    }

    pub(crate) fn settings(&mut self, root: Node<'_>) -> Settings {
        let mut settings = Settings::default();
        self.keys(root, Place::Table, TABLE, &mut settings);
        for (key, asked) in [
            ("unknown", settings.unknown == Unknown::Default),
            ("leading-dash", settings.leading_dash == LeadingDash::Default),
        ] {
            if let Some(node) = root.get(key).filter(|_| asked && root.get("default").is_none()) {
                let message = format!("`{key}` is `default`, but the table has no `default` verb");
                self.mistake_with_hint(node.span(), message, "default = \"VERB\"");
            }
        }
        let variables = root.get("variables");
        let declared = variables.and_then(|variables| variables.get(settings.environment.variable()));
        let secret = declared.and_then(|variable| variable.get("secret"));
        settings.environment.is_secret = secret.is_some_and(|secret| secret.shape() != Shape::Boolean(false));
        settings
    }
}

fn interpreters(decoder: &mut Decoder, node: Node<'_>, settings: &mut Settings) {
    for child in decoder.entries(node) {
        let extension = child.key();
        if extension.split('.').any(str::is_empty) || extension.contains(['/', '\0']) {
            let message = format!("{} is not an extension", quoted(extension));
            let hint = "write it as `sql` or `sql.gz`, without the first dot";
            decoder.mistake_with_hint(child.key_span(), message, hint);
            continue;
        }
        if matches!(extension.rsplit('.').next(), Some("sh" | "envsh")) {
            let message =
                format!("interpreter {} would never be used: such files are sourced", quoted(extension));
            let hint = "give the files another extension; the `#!` line of one names its shell";
            decoder.mistake_with_hint(child.key_span(), message, hint);
            continue;
        }
        // Validated as an argv, but a path follows it, so its words are not expanded.
        if child.as_str().is_some() {
            decoder.argv(child);
            continue;
        }
        let argv = decoder.array(child, Decoder::text);
        if argv.first().is_none_or(String::is_empty) {
            if child.shape() == Shape::Array {
                let message = format!("{} is empty: its first element is the program", quoted(extension));
                decoder.mistake(child.span(), message);
            }
            continue;
        }
        settings.interpreters.push((extension.to_owned(), argv));
    }
}
