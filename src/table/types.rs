//! The content of a table, as types. They do not know TOML and have no side effects.

use std::collections::{BTreeMap, BTreeSet};

use crate::text::{EnvironmentName, Format, MASK, VerbName, choice, quoted, set_of};
use crate::value::{
    Capability, Condition, Deferred, Element, Limit, Probe, Setting, Span, Step, Supervision, Template,
};

/// One `[variables.N]`, or the merged ones of several layers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Declaration {
    pub(crate) name: String,
    pub(crate) about: Option<String>,
    pub(crate) default: Option<String>,
    pub(crate) required: Option<Required>,
    pub(crate) late: Option<bool>,
    pub(crate) kind: Option<VariableKind>,
    pub(crate) one_of: Option<Vec<String>>,
    pub(crate) secret: Option<bool>,
    pub(crate) file: Option<bool>,
    pub(crate) aliases: Option<Vec<String>>,
    pub(crate) conflicts: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Required {
    No,
    If(Vec<Condition>),
}

impl Declaration {
    pub(crate) fn lay(&mut self, over: Self) {
        macro_rules! lay {
            ($($field:ident)+) => { $(self.$field = over.$field.or(self.$field.take());)+ };
        }
        lay!(about default required late kind one_of secret file aliases conflicts);
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(self.aliases.iter().flatten()).map(String::as_str)
    }

    pub(crate) fn is_secret(&self) -> bool {
        self.secret == Some(true)
    }

    /// Whether any non-empty value of it is true.
    pub(crate) fn is_opaque(&self) -> bool {
        self.is_secret() || self.kind.is_some_and(|kind| kind != VariableKind::Boolean)
    }

    /// The rule that this value violates, if any.
    pub(crate) fn broken_rule(&self, value: &[u8], secret: bool) -> Option<String> {
        if let Some(rule) = self.kind.and_then(|kind| kind.broken_rule(value)) {
            return Some(rule.to_owned());
        }
        let allowed = self.one_of.as_ref()?;
        let list = || allowed.iter().map(quoted).collect::<Vec<_>>().join(", ");
        let is_broken = !allowed.iter().any(|each| each.as_bytes() == value);
        is_broken.then(|| format!("one of {}", if secret { MASK.to_owned() } else { list() }))
    }

    pub(crate) fn conditions(&self) -> &[Condition] {
        if let Some(Required::If(conditions)) = &self.required { conditions } else { &[] }
    }

    /// Whether it must not be empty, no matter which other variables are set.
    pub(crate) fn is_required(&self) -> bool {
        matches!(&self.required, Some(Required::If(conditions)) if conditions.is_empty())
    }
}

/// The variables for which any non-empty value is true.
pub(crate) fn opaque(declarations: &[Declaration]) -> BTreeSet<String> {
    set_of(declarations.iter().filter(|each| each.is_opaque()).map(|each| each.name.clone()))
}

choice! {
    /// The `type` of a declared variable.
    VariableKind {
        String = "string", Integer = "integer", Port = "port",
        Boolean = "boolean", Url = "url", Path = "path",
    }
}

impl VariableKind {
    /// The rule that this value violates, if it does.
    pub(crate) fn broken_rule(self, value: &[u8]) -> Option<&'static str> {
        // No kind of text allows an empty one.
        let text = std::str::from_utf8(value).unwrap_or_default();
        let (rule, is_kept) = match self {
            Self::String => ("text", true),
            Self::Integer => {
                let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
                ("a whole number", !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
            }
            Self::Port => {
                let port = text.parse::<u16>().is_ok_and(|port| port > 0);
                ("a port from 1 to 65535", port && text.bytes().all(|b| b.is_ascii_digit()))
            }
            Self::Boolean => {
                let words = ["true", "false", "yes", "no", "on", "off", "1", "0"];
                let is_one = words.iter().any(|word| text.eq_ignore_ascii_case(word));
                ("one of true, false, yes, no, on, off, 1, 0", is_one)
            }
            Self::Url => {
                // RFC 3986, section 3.1: a scheme is a letter and then letters, digits, `+`, `-`, `.`.
                let is_url = text.split_once("://").is_some_and(|(scheme, rest)| {
                    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
                        && !rest.is_empty()
                        && !text.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control())
                });
                ("a URL with a scheme and `://`", is_url)
            }
            Self::Path => ("an absolute path", value.starts_with(b"/")),
        };
        (!is_kept).then_some(rule)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) default: Option<(VerbName, Span)>,
    pub(crate) unknown: Unknown,
    pub(crate) leading_dash: LeadingDash,
    pub(crate) log: Option<Format>,
    pub(crate) stop_signals: Option<Vec<i32>>,
    /// For verbs without their own, and for `--`; the same is true for the next two.
    pub(crate) user: Option<Template>,
    pub(crate) workdir: Option<Template>,
    pub(crate) umask: Option<Deferred<u32>>,
    pub(crate) environment: Naming,
    pub(crate) interpreters: Vec<(String, Vec<String>)>,
    pub(crate) shim: Option<ShimSettings>,
}

/// `[environment]`: how the environment is selected.
#[derive(Debug, Default)]
pub(crate) struct Naming {
    pub(crate) variable: Option<String>,
    pub(crate) is_secret: bool,
    pub(crate) default: Option<EnvironmentName>,
    pub(crate) names: Option<Vec<EnvironmentName>>,
    pub(crate) aliases: Vec<(EnvironmentName, EnvironmentName)>,
}

impl Naming {
    /// The variable that selects the environment.
    pub(crate) fn variable(&self) -> &str {
        self.variable.as_deref().unwrap_or("APP_ENV")
    }

    /// The environment if that variable is unset or empty.
    pub(crate) fn default(&self) -> &str {
        self.default.as_ref().map_or("prod", EnvironmentName::as_str)
    }
}

choice! {
    /// `unknown`: the treatment of a first argument that is not a verb.
    Unknown { Error = "error", Exec = "exec", Default = "default" }
}

choice! {
    /// `leading-dash`: the treatment of a first argument that begins with a dash.
    LeadingDash { Error = "error", Default = "default" }
}

#[derive(Debug, Default)]
pub(crate) struct ShimSettings {
    pub(crate) image: Option<String>,
    pub(crate) mounts: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) network: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Layer {
    pub(crate) env: Vec<Setting>,
    pub(crate) variables: Vec<Declaration>,
    pub(crate) setup: Vec<Step>,
}

pub(crate) fn merged_declarations<'l>(layers: impl IntoIterator<Item = &'l Layer>) -> Vec<Declaration> {
    let mut all: Vec<Declaration> = Vec::new();
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for declaration in layers.into_iter().flat_map(|layer| &layer.variables) {
        let at = *known.entry(&declaration.name).or_insert(all.len());
        match all.get_mut(at) {
            Some(earlier) => earlier.lay(declaration.clone()),
            None => all.push(declaration.clone()),
        }
    }
    all
}

#[derive(Debug, Default)]
pub(crate) struct VerbPart {
    pub(crate) about: Option<String>,
    pub(crate) aliases: Option<Vec<VerbName>>,
    /// The patterns of first arguments that call it; `*` matches any text.
    pub(crate) patterns: Option<Vec<String>>,
    pub(crate) exec: Option<Vec<Element>>,
    pub(crate) args: Option<Vec<Element>>,
    pub(crate) args_after: Option<Vec<Element>>,
    pub(crate) unset: Option<Vec<String>>,
    pub(crate) user: Option<Template>,
    pub(crate) workdir: Option<Template>,
    pub(crate) umask: Option<Deferred<u32>>,
    pub(crate) limits: Vec<Limit>,
    pub(crate) capabilities: Option<Vec<Capability>>,
    pub(crate) no_new_privileges: Option<bool>,
    pub(crate) init: Option<Init>,
    pub(crate) health: Option<Probe>,
    pub(crate) skip_setup_on: Option<Vec<String>>,
    pub(crate) hidden: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Init {
    Exec,
    Supervise,
    With(Supervision),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_against_their_type() {
        let check = |kind: VariableKind, good: &[&str], bad: &[&str]| {
            for value in good {
                assert!(kind.broken_rule(value.as_bytes()).is_none(), "{kind:?} {value}");
            }
            for value in bad {
                assert!(kind.broken_rule(value.as_bytes()).is_some(), "{kind:?} {value}");
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
        assert!(VariableKind::Port.broken_rule(b"\xff").is_some());
    }
}
