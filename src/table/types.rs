//! What a table says, as types. They know nothing of TOML, and nothing of the world.

use std::time::Duration;

use crate::text::log::Format;
use crate::text::names::{EnvironmentName, VerbName};
use crate::value::capability::Capability;
use crate::value::limit::Limit;
use crate::value::template::Template;
use crate::value::toml::Span;

/// What the table says at its top, without verbs and environments.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// The verb of a call without words.
    pub(crate) default: Option<(VerbName, Span)>,
    /// What an unknown first word does.
    pub(crate) unknown: Unknown,
    /// What a first word with a dash does that is no option.
    pub(crate) leading_dash: LeadingDash,
    /// How messages are written.
    pub(crate) log: Option<Format>,
    /// The signals that end setup, by number, in the place of TERM, INT, HUP and QUIT.
    pub(crate) stop_signals: Option<Vec<i32>>,
    /// The user of verbs that do not say, and of `--`.
    pub(crate) user: Option<Template>,
    /// The working directory, likewise.
    pub(crate) workdir: Option<Template>,
    /// The umask, likewise.
    pub(crate) umask: Option<u32>,
    /// Which variable names the environment.
    pub(crate) environment_variable: Option<String>,
    /// Whether the table declares that variable to be a secret.
    pub(crate) environment_is_secret: bool,
    /// The environment when that variable is unset or empty.
    pub(crate) environment_default: Option<EnvironmentName>,
    /// The program that runs files of an extension, without its dot.
    pub(crate) interpreters: Vec<(String, Vec<String>)>,
    /// How `--shim` runs the image.
    pub(crate) shim: Option<ShimSettings>,
}

/// The variable that names the environment, unless the table says otherwise.
pub(crate) const ENVIRONMENT_VARIABLE: &str = "APP_ENV";
/// The environment, unless a variable or the table says otherwise.
pub(crate) const ENVIRONMENT_DEFAULT: &str = "prod";

/// `unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Unknown {
    /// A word that is no verb is a mistake of the caller.
    #[default]
    Error,
    /// It is a command.
    Exec,
    /// It is the first argument of the default verb.
    Default,
}

/// `leading-dash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum LeadingDash {
    /// An option that preverb does not have is a mistake of the caller.
    #[default]
    Error,
    /// It belongs to the default verb.
    Default,
}

/// `[shim]`.
#[derive(Debug, Default)]
pub(crate) struct ShimSettings {
    /// The image that the script runs.
    pub(crate) image: Option<String>,
    /// `-v` values.
    pub(crate) mounts: Vec<String>,
    /// Names of variables that are passed on.
    pub(crate) env: Vec<String>,
    /// `--network`.
    pub(crate) network: Option<String>,
}

/// What the table, an environment, and parts of a verb have in common.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    /// `env`: names and values.
    pub(crate) env: Vec<Setting>,
    /// `variables`.
    pub(crate) variables: Vec<Declaration>,
    /// `setup`.
    pub(crate) setup: Vec<Step>,
}

/// One entry of an `env`.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The variable.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: Template,
    /// Where the value stands.
    pub(crate) span: Span,
}

/// One `[variables.N]`, or several laid over each other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Declaration {
    /// The variable.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) about: Option<String>,
    /// Used when it is unset or empty.
    pub(crate) default: Option<String>,
    /// Whether it must not be empty.
    pub(crate) required: Option<bool>,
    /// What its value must look like.
    pub(crate) kind: Option<VariableKind>,
    /// The values that it may have.
    pub(crate) one_of: Option<Vec<String>>,
    /// Whether it is shown nowhere.
    pub(crate) secret: Option<bool>,
}

impl Declaration {
    /// Lays a later declaration of the same variable over this one.
    pub(crate) fn lay(&mut self, over: &Self) {
        let Self { name: _, about, default, required, kind, one_of, secret } = over;
        lay(&mut self.about, about.as_ref());
        lay(&mut self.default, default.as_ref());
        lay(&mut self.required, required.as_ref());
        lay(&mut self.kind, kind.as_ref());
        lay(&mut self.one_of, one_of.as_ref());
        lay(&mut self.secret, secret.as_ref());
    }

    /// Whether it is shown nowhere.
    pub(crate) fn is_secret(&self) -> bool {
        self.secret == Some(true)
    }
}

/// Lays a later value over an earlier one.
fn lay<T: Clone>(base: &mut Option<T>, over: Option<&T>) {
    if let Some(over) = over {
        *base = Some(over.clone());
    }
}

/// The declarations of several layers as one, in the order of their first appearance.
pub(crate) fn lay_declarations<'l>(layers: impl IntoIterator<Item = &'l Layer>) -> Vec<Declaration> {
    let mut all: Vec<Declaration> = Vec::new();
    for declaration in layers.into_iter().flat_map(|layer| &layer.variables) {
        match all.iter_mut().find(|earlier| earlier.name == declaration.name) {
            Some(earlier) => earlier.lay(declaration),
            None => all.push(declaration.clone()),
        }
    }
    all
}

/// `type` of a declared variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VariableKind {
    /// Anything.
    String,
    /// A whole number, with or without a sign.
    Integer,
    /// 1 to 65535.
    Port,
    /// true, false, yes, no, on, off, 1, 0.
    Boolean,
    /// A scheme, `://`, and something behind it.
    Url,
    /// An absolute path.
    Path,
}

impl VariableKind {
    /// The names of the types, as a table gives them.
    pub(crate) const NAMES: [&'static str; 6] = ["string", "integer", "port", "boolean", "url", "path"];

    /// The type of this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "string" => Some(Self::String),
            "integer" => Some(Self::Integer),
            "port" => Some(Self::Port),
            "boolean" => Some(Self::Boolean),
            "url" => Some(Self::Url),
            "path" => Some(Self::Path),
            _ => None,
        }
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Port => "port",
            Self::Boolean => "boolean",
            Self::Url => "url",
            Self::Path => "path",
        }
    }

    /// What a value must be, for messages.
    pub(crate) fn rule(self) -> &'static str {
        match self {
            Self::String => "text",
            Self::Integer => "a whole number",
            Self::Port => "a port from 1 to 65535",
            Self::Boolean => "one of true, false, yes, no, on, off, 1, 0",
            Self::Url => "a URL with a scheme and `://`",
            Self::Path => "an absolute path",
        }
    }

    /// Whether the value is of this type.
    pub(crate) fn admits(self, value: &[u8]) -> bool {
        let text = std::str::from_utf8(value);
        match self {
            Self::String => true,
            Self::Path => value.starts_with(b"/"),
            Self::Integer => text.is_ok_and(|text| {
                let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
                !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
            }),
            Self::Port => text.is_ok_and(|text| {
                text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
            }),
            Self::Boolean => text.is_ok_and(|text| {
                ["true", "false", "yes", "no", "on", "off", "1", "0"]
                    .iter()
                    .any(|word| text.eq_ignore_ascii_case(word))
            }),
            Self::Url => text.is_ok_and(|text| {
                // RFC 3986, section 3.1: a scheme is a letter and then letters, digits, `+`, `-`, `.`.
                text.split_once("://").is_some_and(|(scheme, rest)| {
                    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
                        && !rest.is_empty()
                        && !text.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control())
                })
            }),
        }
    }
}

/// `verbs` or `environments` of a step: which it is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Names that it is for; none means all.
    pub(crate) only: Vec<String>,
    /// Names that it is not for.
    pub(crate) except: Vec<String>,
    /// Whether there is a filter at all.
    pub(crate) present: bool,
}

impl Filter {
    /// Whether the step is for this name.
    pub(crate) fn admits(&self, name: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|each| each == name);
        !named(&self.except) && (self.only.is_empty() || named(&self.only))
    }
}

/// One entry of a `setup`.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Where it stands.
    pub(crate) span: Span,
    /// What it is called in messages.
    pub(crate) name: Option<String>,
    /// The verbs that it is for.
    pub(crate) verbs: Filter,
    /// The environments that it is for.
    pub(crate) environments: Filter,
    /// Variables of which any that is not empty skips it.
    pub(crate) skip_if: Vec<String>,
    /// How long it may take; for each file of a hook directory. Zero means for ever.
    pub(crate) timeout: Option<Duration>,
    /// Who does it, in the place of the verb's user.
    pub(crate) user: Option<Template>,
    /// The marker of a step that is done once.
    pub(crate) once: Option<Template>,
    /// What the marker holds besides: a step whose value differs is done again.
    pub(crate) per: Option<Template>,
    /// What it does.
    pub(crate) kind: StepKind,
}

/// What a step does.
#[derive(Debug, Clone)]
pub(crate) enum StepKind {
    /// Runs a program.
    Run(Vec<Template>),
    /// Runs a file, or each file of a directory.
    Hooks(Template),
    /// Waits until all are ready.
    Wait(Vec<Probe>),
    /// Writes files with their `${...}` expanded.
    Render(Render),
    /// Makes directories.
    Mkdir {
        /// Which.
        paths: Vec<Template>,
        /// The permission bits of those that are made.
        mode: Option<u32>,
    },
    /// Gives trees to the user.
    Chown(Vec<Template>),
}

/// What `render` renders, and how.
#[derive(Debug, Clone)]
pub(crate) struct Render {
    /// The file, or a directory of templates.
    pub(crate) from: Template,
    /// Where to.
    pub(crate) to: Template,
    /// The permission bits of what is written.
    pub(crate) mode: Option<u32>,
    /// What the names of templates in a directory end in.
    pub(crate) suffix: Option<Template>,
    /// Patterns of the names that are expanded; `None` is all.
    pub(crate) only: Option<Vec<Template>>,
    /// Whether the `${...}` of unset variables stay.
    pub(crate) keep_unset: bool,
}

/// Something that can be ready or not.
#[derive(Debug, Clone)]
pub(crate) enum Probe {
    /// A target of `probe.rs`.
    Url(Template),
    /// A program that exits 0 when ready.
    Exec(Vec<Template>),
}

/// A verb, or what an environment changes in it.
#[derive(Debug, Default)]
pub(crate) struct VerbPart {
    /// Where it stands.
    pub(crate) span: Option<Span>,
    /// What it does, for lists.
    pub(crate) about: Option<String>,
    /// Other names.
    pub(crate) aliases: Option<Vec<VerbName>>,
    /// The target's argv, without the caller's words.
    pub(crate) exec: Option<Vec<Template>>,
    /// Arguments when the caller gives none.
    pub(crate) args: Option<Vec<Template>>,
    /// `env`, `variables`, `setup`.
    pub(crate) layer: Layer,
    /// Variables removed before the exec.
    pub(crate) unset: Option<Vec<String>>,
    /// Who the target runs as.
    pub(crate) user: Option<Template>,
    /// Where it runs.
    pub(crate) workdir: Option<Template>,
    /// Its umask.
    pub(crate) umask: Option<u32>,
    /// Its soft limits.
    pub(crate) limits: Vec<Limit>,
    /// The capabilities that it keeps.
    pub(crate) capabilities: Option<Vec<Capability>>,
    /// Whether it can gain privileges by an exec.
    pub(crate) no_new_privileges: Option<bool>,
    /// Whether and how preverb stays as its supervisor.
    pub(crate) init: Option<Init>,
    /// How to tell whether it is healthy.
    pub(crate) health: Option<Probe>,
    /// Words of the caller that make setup unnecessary.
    pub(crate) skip_setup_on: Option<Vec<String>>,
    /// Whether lists leave it out.
    pub(crate) hidden: Option<bool>,
}

impl VerbPart {
    /// Lays what an environment says over the verb; `env`, `variables` and `setup` stay apart, because
    /// each is a layer of its own.
    pub(crate) fn lay(&mut self, over: &Self) {
        lay(&mut self.about, over.about.as_ref());
        lay(&mut self.aliases, over.aliases.as_ref());
        lay(&mut self.exec, over.exec.as_ref());
        lay(&mut self.args, over.args.as_ref());
        lay(&mut self.unset, over.unset.as_ref());
        lay(&mut self.user, over.user.as_ref());
        lay(&mut self.workdir, over.workdir.as_ref());
        lay(&mut self.umask, over.umask.as_ref());
        lay(&mut self.capabilities, over.capabilities.as_ref());
        lay(&mut self.no_new_privileges, over.no_new_privileges.as_ref());
        lay(&mut self.health, over.health.as_ref());
        lay(&mut self.skip_setup_on, over.skip_setup_on.as_ref());
        lay(&mut self.hidden, over.hidden.as_ref());
        for limit in &over.limits {
            self.limits.retain(|earlier| earlier.resource != limit.resource);
            self.limits.push(*limit);
        }
        match (&mut self.init, &over.init) {
            (Some(Init::With(base)), Some(Init::With(over))) => base.lay(over),
            (base, Some(over)) => *base = Some(over.clone()),
            (_, None) => {}
        }
    }
}

/// `init`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Init {
    /// The target replaces preverb.
    Exec,
    /// preverb stays and supervises.
    Supervise,
    /// It supervises in this way: a table, over which another is laid key by key.
    With(InitOptions),
}

/// How to supervise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct InitOptions {
    /// Signals that are passed on as another one, or as none.
    pub(crate) signals: Vec<(i32, Option<i32>)>,
    /// Whether signals go to the target's whole group.
    pub(crate) group: Option<bool>,
    /// How long what the target leaves behind may take to end.
    pub(crate) grace: Option<Duration>,
}

impl InitOptions {
    fn lay(&mut self, over: &Self) {
        for (from, to) in &over.signals {
            self.signals.retain(|(earlier, _)| earlier != from);
            self.signals.push((*from, *to));
        }
        lay(&mut self.group, over.group.as_ref());
        lay(&mut self.grace, over.grace.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_of_their_type() {
        let check = |kind: VariableKind, good: &[&str], bad: &[&str]| {
            for value in good {
                assert!(kind.admits(value.as_bytes()), "{kind:?} {value}");
            }
            for value in bad {
                assert!(!kind.admits(value.as_bytes()), "{kind:?} {value}");
            }
        };
        check(VariableKind::Port, &["1", "65535", "080"], &["0", "65536", "-1", "+1", "x", " 1"]);
        check(VariableKind::Integer, &["0", "-12", "+3", "99999999999999999999"], &["1.5", "-", "0x1", "1 "]);
        check(VariableKind::Boolean, &["true", "no", "on", "0", "YES"], &["2", "y", "enabled"]);
        check(
            VariableKind::Url,
            &["http://x", "postgres+ssl://a@b/c"],
            &["x", "://x", "http://", "1a://x", "http://a b"],
        );
        check(VariableKind::Path, &["/", "/a b"], &["a", "./a"]);
        assert!(!VariableKind::Port.admits(b"\xff"));
    }

    #[test]
    fn a_filter_with_only_exclusions_admits_all_others() {
        let filter = Filter { only: vec![], except: vec!["prod".into()], present: true };
        assert!(filter.admits("dev") && !filter.admits("prod"));
        let filter = Filter { only: vec!["dev".into()], except: vec![], present: true };
        assert!(filter.admits("dev") && !filter.admits("ci"));
    }
}
