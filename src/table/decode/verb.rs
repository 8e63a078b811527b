//! Decodes a verb, or the changes that an environment makes to it.

use crate::table::decode::decoder::{Decoder, Key, Place, keys};
use crate::table::types::{Init, VerbPart};
use crate::text::{did_you_mean, quoted};
use crate::value::{Capability, LIMITS, Limit, Node, Shape, Supervision, can_be_caught};

pub(crate) const VERB: &[Key<VerbPart>] = keys! { VerbPart {
    "about", Text, "A one-line description for lists.", (about = text);
    "aliases", Names, "Other names of it.", (aliases = Some(array of verb_name));
    "match", Strings, "Patterns of first arguments that call it.", (patterns);
    "exec", Argv, "The target: a program and its first arguments.", (exec = argv);
    "args", Arguments, "Arguments used when the caller gives none.", (args = arguments);
    "args-after", Arguments, "Arguments after those.", (args_after = arguments);
    "env", Env, "Variables, over those of the table.", ();
    "unset", Strings, "Variables that the target does not get.", (unset);
    "variables", ByVariable("variable"), "Declared variables.", ();
    "setup", List("step"), "Steps, after those of the table.", ();
    "user", Text, "The user that it runs as.", (user = user);
    "workdir", Path, "Its working directory.", (workdir = path);
    "umask", Mode, "Its umask.", (umask = umask);
    "limits", Limits, "Its soft limits.", (limits);
    "capabilities", Capabilities, "The capabilities that it keeps.",
        (capabilities = Some(array of capability));
    "no-new-privileges", Flag, "Whether none of its programs can gain privileges.",
        (no_new_privileges = flag);
    "init", FlagOr("init"), "Whether and how preverb supervises it.", (init = init);
    "health", Probe, "How `--health` finds out whether it is healthy.", (health = probe);
    "skip-setup-on", Strings, "Arguments of the caller that make setup unnecessary.",
        (skip_setup_on = Some(array of text));
    "hidden", Flag, "Whether lists leave it out.", (hidden = flag);
} };

pub(crate) const INIT: &[Key<Supervision>] = keys! { Supervision {
    "signals", Signals, "Signals that are forwarded as another one, or not at all.", (signals);
    "group", Flag, "Whether signals go to its whole group.", (group = flag);
    "grace", Duration, "How long remaining processes may take to end before KILL.", (grace = fixed_duration);
    "exit", ExitCodes, "Exit codes that are replaced by another one.", (exit);
} };

impl Decoder {
    pub(crate) fn verb(&mut self, node: Node<'_>, place: Place<'_>) -> VerbPart {
        let mut verb = VerbPart { span: Some(node.key_span()), ..VerbPart::default() };
        if self.is_table(node) {
            self.keys(node, place, VERB, &mut verb);
            verb.layer = self.layer(node, place);
        }
        verb
    }

    fn capability(&mut self, node: Node<'_>) -> Option<Capability> {
        let text = self.string(node)?;
        let capability = Capability::parse(text);
        if capability.is_none() {
            let upper = text.to_ascii_uppercase();
            let near = did_you_mean(upper.trim_start_matches("CAP_"), Capability::names());
            let hint = near.unwrap_or_else(|| "capabilities(7) lists them".to_owned());
            self.mistake(node.span(), format!("{} is not a capability", quoted(text))).hint(hint);
        }
        capability
    }

    fn init(&mut self, node: Node<'_>) -> Option<Init> {
        match node.shape() {
            Shape::True => Some(Init::Supervise),
            Shape::False => Some(Init::Exec),
            Shape::Table => Some(Init::With(self.table(node, Place::Named("init"), INIT))),
            Shape::String | Shape::Integer | Shape::Float | Shape::DateTime | Shape::Array => {
                self.wrong_type(node, "`true`, `false` or a table")
            }
        }
    }
}

fn patterns(decoder: &mut Decoder, node: Node<'_>, verb: &mut VerbPart) {
    let patterns = decoder.array(node, Decoder::text);
    if patterns.iter().any(String::is_empty) {
        decoder.mistake(node.span(), "an empty pattern matches nothing");
    }
    verb.patterns = Some(patterns);
}

fn unset(decoder: &mut Decoder, node: Node<'_>, verb: &mut VerbPart) {
    let names = decoder.array(node, Decoder::text);
    for name in names.iter().filter(|name| name.is_empty() || name.contains('=')) {
        decoder.mistake(node.span(), format!("{} is not a valid variable name", quoted(name)));
    }
    verb.unset = Some(names);
}

fn limits(decoder: &mut Decoder, node: Node<'_>, verb: &mut VerbPart) {
    for child in decoder.entries(node) {
        let Some((name, resource)) = LIMITS.into_iter().find(|(name, _)| *name == child.key()) else {
            let mut names = LIMITS.into_iter().map(|(name, _)| name);
            decoder.unknown_key(child, Place::Named("limits"), &mut names);
            continue;
        };
        let value = match (child.as_integer().map(u64::try_from), child.as_str()) {
            (Some(Ok(number)), _) => Some(number),
            (None, Some("unlimited")) => None,
            _ => {
                let key = quoted(child.key());
                decoder.mistake(child.span(), format!("limit {key} must be a whole number or \"unlimited\""));
                continue;
            }
        };
        verb.limits.push(Limit { name, resource, value });
    }
}

fn exit(decoder: &mut Decoder, node: Node<'_>, options: &mut Supervision) {
    for child in decoder.entries(node) {
        let from = child.key().parse::<u8>().ok();
        let to = child.as_integer().and_then(|code| u8::try_from(code).ok());
        for (span, code) in [(child.key_span(), from), (child.span(), to)] {
            if code.is_none() {
                decoder.mistake(span, "an exit code is a number from 0 to 255");
            }
        }
        options.exit.extend(from.zip(to));
    }
}

fn signals(decoder: &mut Decoder, node: Node<'_>, options: &mut Supervision) {
    for child in decoder.entries(node) {
        let from = decoder.signal(child.key_span(), child.key());
        if let Some(from) = from {
            let name = quoted(child.key());
            if !can_be_caught(from) {
                decoder
                    .mistake(child.key_span(), format!("{name} cannot be caught, so it cannot be forwarded"));
            } else if options.signals.iter().any(|(earlier, _)| *earlier == from) {
                decoder.mistake(child.key_span(), format!("{name} appears twice in `signals`"));
            }
        }
        let Some(text) = decoder.string(child) else { continue };
        let to = if text == "none" { Some(None) } else { decoder.signal(child.span(), text).map(Some) };
        if let (Some(from), Some(to)) = (from, to) {
            options.signals.push((from, to));
        }
    }
}
