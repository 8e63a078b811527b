//! Decodes a verb, the changes that an environment makes to it, and what both share with the table: `env`,
//! `variables` and `setup`.

use crate::table::decode::decoder::{Decoder, Key, Place, keys};
use crate::table::types::{Declaration, Init, Layer, Required, VariableKind, VerbPart};
use crate::text::{EnvironmentName, did_you_mean, is_variable_name, quoted};
use crate::value::{Capability, LIMITS, Limit, Node, Setting, Shape, Supervision, can_be_caught};

/// The keys of an environment. Its layer and its verbs are decoded separately.
pub(crate) const ENVIRONMENT: &[Key<()>] = keys! { () {
    "env", Env, "Variables, over those of the table.", ();
    "variables", ByVariable("variable"), "Declared variables.", ();
    "setup", List("step"), "Steps, after those of the table.", ();
    "verbs", ByName("verb"), "Changes of verbs, and additional verbs.", (_ = is_table);
} };

pub(crate) const VARIABLE: &[Key<Declaration>] = keys! { Declaration {
    "about", Text, "A description.", (about = text);
    "default", Text, "Its value when it is unset or empty.", (default = text);
    "required", Required, "Whether, or when, it must not be empty.", (required = required);
    "late", Flag, "Whether a step supplies it.", (late = flag);
    "type", OneOf(&VariableKind::NAMES), "The form of its value.", (kind: VariableKind);
    "one-of", Strings, "Its valid values.", (one_of = array of text);
    "secret", Flag, "Whether its value is never shown.", (secret = secret);
    "file", Flag, "Whether it may come from a file, as a secret may.", (file = flag);
    "aliases", Strings, "Older names of it.", (aliases = array of variable_name);
    "conflicts", Strings, "Variables that exclude it.", (conflicts = array of variable_name);
} };

pub(crate) const VERB: &[Key<VerbPart>] = keys! { VerbPart {
    "about", Text, "A one-line description for lists.", (about = text);
    "aliases", Names, "Other names of it.", (aliases = array of verb_name);
    "match", Strings, "Patterns of first arguments that call it.", (patterns = array of text);
    "exec", Argv, "The target: a program and its first arguments.", (exec = argv);
    "args", Arguments, "Arguments used when the caller gives none.", (args = arguments);
    "args-after", Arguments, "Arguments after those.", (args_after = arguments);
    "env", Env, "Variables, over those of the table.", ();
    "unset", Strings, "Variables that the target does not get.", (unset = from unset);
    "variables", ByVariable("variable"), "Declared variables.", ();
    "setup", List("step"), "Steps, after those of the table.", ();
    "user", Text, "The user that it runs as.", (user = user);
    "workdir", Path, "Its working directory.", (workdir = path);
    "umask", Mode, "Its umask.", (umask = umask);
    "limits", Limits, "Its soft limits.", (limits);
    "capabilities", Capabilities, "The capabilities that it keeps.", (capabilities = array of capability);
    "no-new-privileges", Flag, "Whether none of its programs can gain privileges.",
        (no_new_privileges = flag);
    "init", FlagOr("init"), "Whether and how preverb supervises it.", (init);
    "health", Probe, "How `--health` finds out whether it is healthy.", (health = probe);
    "skip-setup-on", Strings, "Arguments of the caller that make setup unnecessary.",
        (skip_setup_on = array of text);
    "hidden", Flag, "Whether lists leave it out.", (hidden = flag);
} };

pub(crate) const INIT: &[Key<Supervision>] = keys! { Supervision {
    "signals", Signals, "Signals that are forwarded as another one, or not at all.", (signals);
    "group", Flag, "Whether signals go to its whole group.", (group = flag);
    "grace", Duration, "How long remaining processes may take to end before KILL.", (grace = fixed_duration);
    "exit", ExitCodes, "Exit codes that are replaced by another one.", (exit);
} };

impl Decoder {
    pub(crate) fn environment(&mut self, node: Node<'_>) -> Layer {
        let name = node.key();
        let place: Place<'_> = &|| format!("environment {}", quoted(name));
        if node.shape() != Shape::Table {
            self.mistake(node.span(), format!("{} must be a table, not {}", place(), node.shape().name()));
            return Layer::default();
        }
        if EnvironmentName::parse(name.as_bytes()).is_none() {
            self.mistake(node.key_span(), format!("{} is not a valid environment name", quoted(name)));
        }
        self.keys(node, place, ENVIRONMENT, &mut ());
        self.layer(node, place)
    }

    /// Decodes a verb over what its base has set. The result is its own layer.
    pub(crate) fn verb(&mut self, node: Node<'_>, place: Place<'_>, verb: &mut VerbPart) -> Layer {
        let is_table = self.keys(node, place, VERB, verb);
        if is_table { self.layer(node, place) } else { Layer::default() }
    }

    fn capability(&mut self, node: Node<'_>) -> Option<Capability> {
        let text = self.string(node)?;
        Capability::parse(text).or_else(|| {
            let upper = text.to_ascii_uppercase();
            let near = did_you_mean(upper.trim_start_matches("CAP_"), Capability::names());
            let hint = near.unwrap_or_else(|| "capabilities(7) lists them".to_owned());
            self.refuse_with(node.span(), format!("{} is not a capability", quoted(text)), &hint)
        })
    }

    fn init(&mut self, node: Node<'_>, verb: &mut VerbPart) {
        if let Some(is_supervised) = node.as_bool() {
            verb.init = Some(if is_supervised { Init::Supervise } else { Init::Exec });
        } else if node.shape() == Shape::Table {
            let base = verb.init.take();
            let mut options = if let Some(Init::With(base)) = base { base } else { Supervision::default() };
            self.keys(node, &|| quoted("init"), INIT, &mut options);
            verb.init = Some(Init::With(options));
        } else {
            verb.init = self.wrong_type(node, "`true`, `false` or a table");
        }
    }

    fn unset(&mut self, node: Node<'_>) -> Vec<String> {
        let names = self.array(node, Self::text);
        for name in names.iter().filter(|name| name.is_empty() || name.contains('=')) {
            self.mistake(node.span(), format!("{} is not a valid variable name", quoted(name)));
        }
        names
    }

    fn limits(&mut self, node: Node<'_>, verb: &mut VerbPart) {
        for child in self.entries(node) {
            let Some((name, resource)) = LIMITS.into_iter().find(|(name, _)| *name == child.key()) else {
                let mut names = LIMITS.into_iter().map(|(name, _)| name);
                self.unknown_key(child, &|| quoted("limits"), &mut names);
                continue;
            };
            let value = child.as_integer().and_then(|number| u64::try_from(number).ok());
            if value.is_none() && child.as_str() != Some("unlimited") {
                let key = quoted(child.key());
                self.mistake(child.span(), format!("limit {key} must be a whole number or \"unlimited\""));
            }
            verb.limits.retain(|each| each.resource != resource);
            verb.limits.push(Limit { name, resource, value });
        }
    }

    fn exit(&mut self, node: Node<'_>, options: &mut Supervision) {
        for child in self.entries(node) {
            let from = child.key().parse().ok();
            let to = child.as_integer().and_then(|code| u8::try_from(code).ok());
            for (span, code) in [(child.key_span(), from), (child.span(), to)] {
                if code.is_none() {
                    self.mistake(span, "an exit code is a number from 0 to 255");
                }
            }
            options.exit.retain(|(earlier, _)| Some(*earlier) != from);
            options.exit.extend(from.zip(to));
        }
    }

    fn signals(&mut self, node: Node<'_>, options: &mut Supervision) {
        let mut signals: Vec<(i32, Option<i32>)> = Vec::new();
        for child in self.entries(node) {
            let from = self.signal(child.key_span(), child.key());
            let name = quoted(child.key());
            if from.is_some_and(|from| !can_be_caught(from)) {
                self.mistake(child.key_span(), format!("{name} cannot be caught, so it cannot be forwarded"));
            } else if signals.iter().any(|(earlier, _)| Some(*earlier) == from) {
                self.mistake(child.key_span(), format!("{name} appears twice in `signals`"));
            }
            let to = match self.string(child) {
                Some("none") => Some(None),
                text => text.and_then(|text| self.signal(child.span(), text)).map(Some),
            };
            signals.extend(from.zip(to));
        }
        options.signals.retain(|(from, _)| signals.iter().all(|(later, _)| later != from));
        options.signals.extend(signals);
    }

    fn required(&mut self, node: Node<'_>) -> Option<Required> {
        if node.shape() == Shape::Array {
            return Some(Required::If(self.list(node, Self::condition)));
        }
        let Some(is_required) = node.as_bool() else {
            return self.wrong_type(node, "`true` or `false`, or an array of conditions");
        };
        Some(if is_required { Required::If(Vec::new()) } else { Required::No })
    }

    /// If the value is not valid, the variable counts as secret.
    fn secret(&mut self, node: Node<'_>) -> Option<bool> {
        self.flag(node).or(Some(true))
    }

    /// `env`, `variables` and `setup` of the table, an environment or a verb; `place` names which.
    pub(crate) fn layer(&mut self, node: Node<'_>, place: Place<'_>) -> Layer {
        let env = node.get("env").map(|env| self.map(env, Self::setting)).unwrap_or_default();
        let variables = node.get("variables").map(|variables| self.map(variables, Self::declaration));
        let setup = node.get("setup").map(|setup| self.steps(setup, place, false)).unwrap_or_default();
        Layer { env, variables: variables.unwrap_or_default(), setup }
    }

    pub(crate) fn setting(&mut self, node: Node<'_>) -> Option<Setting> {
        let name = node.key();
        if name.is_empty() || name.contains(['=', '\0']) {
            return self.refuse(node.key_span(), format!("{} is not a valid variable name", quoted(name)));
        }
        if !matches!(node.shape(), Shape::String | Shape::Array | Shape::Table) {
            let message = format!("{} must be a string, not {}", quoted(name), node.shape().name());
            let hint = "every variable is text: put the value in quotes";
            return self.refuse_with(node.span(), message, hint);
        }
        Some(Setting { name: name.to_owned(), value: self.template(node)? })
    }

    fn declaration(&mut self, node: Node<'_>) -> Option<Declaration> {
        let name = node.key();
        if !is_variable_name(name.as_bytes()) {
            let message = format!("{} is not a valid name for a declared variable", quoted(name));
            let hint = "a name is a letter or `_`, and then letters, digits, `_` and `.`";
            return self.refuse_with(node.key_span(), message, hint);
        }
        let mut declaration = Declaration { name: name.to_owned(), ..Declaration::default() };
        let place: Place<'_> = &|| format!("`[variables.{name}]`");
        self.keys(node, place, VARIABLE, &mut declaration).then_some(declaration)
    }
}
