//! The top of the table, without its verbs and environments.

use crate::table::decode::decoder::{Decoder, Key, keys};
use crate::table::types::{LeadingDash, Naming, Settings, ShimSettings, Unknown};
use crate::text::{EnvironmentName, Format, NAME_RULE, VerbName, quoted};
use crate::value::{Node, Shape, Span, split_prefix};

/// The keys of the table. Its layer, its verbs and its environments are decoded separately, when needed.
pub(crate) const TABLE: &[Key<Settings>] = keys! { Settings {
    "default", Name, "The verb of a call without arguments.", (default = default_verb);
    "unknown", OneOf(&Unknown::NAMES), "How a first argument that is not a verb is treated.",
        (unknown: Unknown);
    "leading-dash", OneOf(&LeadingDash::NAMES), "How a first argument that begins with a dash is treated.",
        (leading_dash: LeadingDash);
    "log", OneOf(&Format::NAMES), "How messages are written.", (log: Format);
    "stop-signals", Strings, "The signals that end setup instead of TERM, INT, HUP and QUIT.",
        (stop_signals = array of stop_request);
    "user", Text, "The user of verbs without one, and of `--`.", (user = user);
    "workdir", Path, "The working directory of verbs without one, and of `--`.", (workdir = path);
    "umask", Mode, "The umask of verbs without one, and of `--`.", (umask = umask);
    "environment", Noun("selection"), "How the environment is chosen.", (naming);
    "env", Env, "Variables set for every verb.", ();
    "variables", ByVariable("variable"), "Declared variables.", ();
    "setup", List("step"), "Steps for every verb.", ();
    "interpreters", Interpreters, "Programs that run hooks, by the extension of the hook.",
        (interpreters = map of interpreter);
    "verbs", ByName("verb"), "The verbs.", (_ = is_table);
    "environments", ByName("environment"), "Settings for one environment, by its name.", (_ = is_table);
    "shim", Noun("shim"), "How `--shim` runs the image.", (shim);
} };

pub(crate) const ENVIRONMENT: &[Key<Naming>] = keys! { Naming {
    "variable", Variable, "The variable that names the environment.", (variable = variable_name);
    "default", Name, "The environment when that variable is unset or empty.", (default = environment_name);
    "names", Names, "The only valid environments.", (names = array of environment_name);
    "aliases", NamesByName, "Other names of environments.", (aliases = map of alias);
} };

pub(crate) const SHIM: &[Key<ShimSettings>] = keys! { ShimSettings {
    "image", Text, "The image.", (image = image);
    "mounts", Strings, "Volumes, as `-v` takes them.", (mounts = array of mount);
    "env", Strings, "Names of variables that are passed on.", (env = array of variable_name);
    "network", Text, "The network, as `--network` takes it.", (network = network);
} };

impl Decoder {
    fn alias(&mut self, node: Node<'_>) -> Option<(EnvironmentName, EnvironmentName)> {
        let alias = EnvironmentName::parse(node.key().as_bytes());
        if alias.is_none() {
            let message = format!("{} is not a valid environment name", quoted(node.key()));
            self.mistake(node.key_span(), message).hint(NAME_RULE);
        }
        let target = self.environment_name(node);
        alias.zip(target)
    }

    fn default_verb(&mut self, node: Node<'_>) -> Option<(VerbName, Span)> {
        Some((self.verb_name(node)?, node.span()))
    }

    fn naming(&mut self, node: Node<'_>, settings: &mut Settings) {
        self.keys(node, &|| quoted("[environment]"), ENVIRONMENT, &mut settings.environment);
    }

    fn shim(&mut self, node: Node<'_>, settings: &mut Settings) {
        self.keys(node, &|| quoted("[shim]"), SHIM, settings.shim.get_or_insert_default());
    }

    fn stop_request(&mut self, node: Node<'_>) -> Option<i32> {
        let text = self.string(node)?;
        let signal = self.signal(node.span(), text)?;
        // KILL and STOP cannot be caught. CHLD and the faults do not request a stop.
        let signal =
            Some(signal).filter(|signal| !matches!(signal, 4 | 5 | 7 | 8 | 9 | 11 | 13 | 17..=19 | 31));
        signal.or_else(|| self.refuse(node.span(), format!("{} cannot be a stop signal", quoted(text))))
    }

    fn image(&mut self, node: Node<'_>) -> Option<String> {
        let image = Some(self.name_of(node, "an image")?).filter(|image| !image.starts_with('-'));
        image.or_else(|| self.refuse(node.span(), "`image` is not the name of an image"))
    }

    fn network(&mut self, node: Node<'_>) -> Option<String> {
        self.name_of(node, "a network")
    }

    fn mount(&mut self, node: Node<'_>) -> Option<String> {
        let mount = self.text(node)?;
        // An engine would read such a path as the name of a volume, or refuse it.
        if mount.is_empty() || mount.starts_with(['~', '$']) && split_prefix(&mount).0.is_empty() {
            let message = format!("{} in `mounts` cannot be mounted", quoted(&mount));
            let hint = "it is a value of `-v`, and may begin with `$HOME` or `$PWD`";
            self.mistake(node.span(), message).hint(hint);
        }
        Some(mount)
    }

    fn interpreter(&mut self, node: Node<'_>) -> Option<(String, Vec<String>)> {
        let extension = node.key();
        if extension.split('.').any(str::is_empty) || extension.contains(['/', '\0']) {
            let message = format!("{} is not an extension", quoted(extension));
            let hint = "write it as `sql` or `sql.gz`, without the first dot";
            return self.refuse_with(node.key_span(), message, hint);
        }
        if matches!(extension.rsplit('.').next(), Some("sh" | "envsh")) {
            let message =
                format!("interpreter {} would never be used: such files are sourced", quoted(extension));
            let hint = "give the files another extension; the `#!` line of one names its shell";
            return self.refuse_with(node.key_span(), message, hint);
        }
        // It is validated like an argv, but its words are not expanded, because a path follows.
        if node.as_str().is_some() {
            self.argv(node);
            return None;
        }
        let argv = self.array(node, Self::text);
        let has_program = argv.first().is_some_and(|program| !program.is_empty());
        if !has_program && node.shape() == Shape::Array {
            let message = format!("{} is empty: its first element is the program", quoted(extension));
            return self.refuse(node.span(), message);
        }
        has_program.then(|| (extension.to_owned(), argv))
    }
}
