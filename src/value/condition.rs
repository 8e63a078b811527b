//! Conditions: `only-if`, `skip-if`, `if-exists`, `unless-exists`. Pure: the caller looks up what exists.

use std::collections::BTreeSet;

use crate::text::escape::{MASK, escaped, masked};
use crate::text::names::is_variable_name;
use crate::value::template::{Expanded, Fault, Template};
use crate::value::toml::Span;
use crate::value::variables::Variables;

pub(crate) const CONDITION_RULE: &str =
    "a condition is `NAME`, `!NAME`, `NAME=value`, `NAME!=value` or `NAME!=` (not empty)";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    name: String,
    negated: bool,
    /// The value of `NAME=value` (unset variables are empty). `None` is `NAME`: [`is_true`].
    pub(crate) value: Option<Template>,
}

/// Whether a value means true: it is neither empty nor a word for false, in upper or lower case.
pub(crate) fn is_true(value: &[u8]) -> bool {
    !["", "false", "no", "off", "0"].iter().any(|word| word.as_bytes().eq_ignore_ascii_case(value))
}

#[derive(Clone, Copy)]
pub(crate) struct Facts<'f> {
    pub(crate) variables: &'f Variables,
    /// Declared variables for which even `0` is true: every non-empty value is.
    pub(crate) opaque: &'f BTreeSet<String>,
    pub(crate) exists: &'f dyn Fn(&[u8]) -> bool,
}

impl Condition {
    /// Parses a condition; `None` if it has no valid form, an error if its value is not a template.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, String> {
        let (before, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let denied = if value.is_some() { before.strip_suffix('!') } else { before.strip_prefix('!') };
        let (name, negated) = (denied.unwrap_or(before).to_owned(), denied.is_some());
        let value = value.map(Template::parse).transpose()?;
        Ok(is_variable_name(name.as_bytes()).then_some(Self { name, negated, value }))
    }

    pub(crate) fn at(mut self, span: Span) -> Self {
        self.value.iter_mut().for_each(|value| value.span = span);
        self
    }

    /// Whether the variable cannot be empty if the condition holds, or if it does not (`holds` is false).
    fn proves_set(&self, holds: bool) -> bool {
        match &self.value {
            None => self.negated != holds,
            Some(value) if value.source().is_empty() => self.negated == holds,
            Some(value) => holds && !self.negated && value.names().is_empty(),
        }
    }

    /// Every variable that influences the result.
    pub(crate) fn names(&self) -> Vec<&str> {
        std::iter::once(&*self.name).chain(self.value.iter().flat_map(Template::names)).collect()
    }

    pub(crate) fn holds(&self, facts: Facts<'_>) -> Result<bool, Fault> {
        let found = facts.variables.get(self.name.as_bytes());
        let value = found.map(|found| found.value).unwrap_or_default();
        let is_opaque = || found.is_some_and(|found| found.secret) || facts.opaque.contains(&self.name);
        let outcome = match &self.value {
            Some(other) => other.expand(facts.variables)?.bytes == value,
            None => is_true(value) || !value.is_empty() && is_opaque(),
        };
        Ok(outcome != self.negated)
    }

    /// The condition as it is written, with secrets masked.
    pub(crate) fn exact(&self, secrets: &BTreeSet<String>) -> String {
        let (name, not) = (&self.name, if self.negated { "!" } else { "" });
        let Some(value) = &self.value else { return format!("{not}{name}") };
        let hides = secrets.contains(name) && !value.source().is_empty();
        let value = if hides { MASK.into() } else { masked(value.source().as_bytes()) };
        format!("{name}{not}={}", String::from_utf8_lossy(&value))
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    pub(crate) only_if: Vec<Condition>,
    pub(crate) skip_if: Vec<Condition>,
    pub(crate) if_exists: Vec<Template>,
    pub(crate) unless_exists: Vec<Template>,
}

pub(crate) struct Judged<'c> {
    pub(crate) key: &'static str,
    pub(crate) subject: Subject<'c>,
    pub(crate) holds: Result<bool, Fault>,
}

pub(crate) enum Subject<'c> {
    Variable(&'c Condition),
    /// A path: as written, and expanded.
    Path(&'c Template, Expanded),
}

impl Judged<'_> {
    pub(crate) fn skips(&self) -> bool {
        let wanted = matches!(self.key, "only-if" | "if-exists");
        self.holds.as_ref().is_ok_and(|holds| *holds != wanted)
    }

    pub(crate) fn skip_if(&self) -> Option<&str> {
        let Subject::Variable(condition) = &self.subject else { return None };
        (self.key == "skip-if").then_some(&condition.name)
    }

    pub(crate) fn exact(&self, secrets: &BTreeSet<String>) -> Vec<u8> {
        match &self.subject {
            Subject::Variable(condition) => condition.exact(secrets).into_bytes(),
            Subject::Path(template, _) if self.holds.is_err() => masked(template.source().as_bytes()),
            Subject::Path(_, path) if path.secret => MASK.into(),
            Subject::Path(_, path) => masked(&path.bytes),
        }
    }

    pub(crate) fn reason(&self, secrets: &BTreeSet<String>) -> String {
        let shown = escaped(&self.exact(secrets));
        match (self.key, &self.subject) {
            ("only-if", _) => format!("its condition `{shown}` does not hold"),
            ("if-exists", _) => format!("`{shown}` does not exist"),
            (_, Subject::Path(..)) => format!("`{shown}` exists"),
            (_, Subject::Variable(Condition { value: None, negated: false, .. })) => {
                format!("the variable `{shown}` is set")
            }
            (_, Subject::Variable(_)) => format!("`{shown}` holds"),
        }
    }
}

impl Conditions {
    /// The variables that cannot be empty if no condition here skips.
    pub(crate) fn needed(&self) -> impl Iterator<Item = String> {
        let only = self.only_if.iter().filter(|condition| condition.proves_set(true));
        only.chain(self.skip_if.iter().filter(|condition| condition.proves_set(false)))
            .map(|condition| condition.name.clone())
    }

    pub(crate) fn judge<'c>(&'c self, facts: Facts<'c>) -> impl Iterator<Item = Judged<'c>> {
        let variables = move |key, all: &'c [Condition]| {
            all.iter().map(move |condition| {
                let (subject, holds) = (Subject::Variable(condition), condition.holds(facts));
                Judged { key, subject, holds }
            })
        };
        let paths = move |key, all: &'c [Template]| {
            all.iter().map(move |template| {
                let path = template.expand(facts.variables);
                // An empty path never exists.
                let exists = |path: &Expanded| !path.bytes.is_empty() && (facts.exists)(&path.bytes);
                let holds = path.as_ref().map(exists).map_err(Fault::clone);
                Judged { key, subject: Subject::Path(template, path.unwrap_or_default()), holds }
            })
        };
        let variables = variables("only-if", &self.only_if).chain(variables("skip-if", &self.skip_if));
        let paths = paths("if-exists", &self.if_exists).chain(paths("unless-exists", &self.unless_exists));
        variables.chain(paths)
    }

    pub(crate) fn skip<'c>(&'c self, facts: Facts<'c>) -> Result<Option<Judged<'c>>, Fault> {
        let found = self.judge(facts).find(|judged| judged.holds.is_err() || judged.skips());
        found.map(|judged| judged.holds.clone().map(|_| judged)).transpose()
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::variables::Origin;

    const EMPTY: BTreeSet<String> = BTreeSet::new();

    fn parse(text: &str) -> Condition {
        Condition::parse(text).expect("a template").expect("a condition")
    }

    #[track_caller]
    fn holds(condition: &str, value: Option<&str>, secret: bool, opaque: bool) -> bool {
        let mut variables = Variables::default();
        if let Some(value) = value {
            variables.set(b"N", value, Origin::Inherited, secret);
        }
        let opaque = if opaque { BTreeSet::from(["N".to_owned()]) } else { EMPTY };
        let facts = Facts { variables: &variables, opaque: &opaque, exists: &|_| false };
        parse(condition).holds(facts).expect("all set")
    }

    #[test]
    fn conditions_follow_the_truth_table() {
        // The columns are: value, N, N of a secret or a typed variable, N=x, N=, N=no.
        let table = [
            (None, false, false, false, true, false),
            (Some(""), false, false, false, true, false),
            (Some("x"), true, true, true, false, false),
            (Some("X"), true, true, false, false, false),
            (Some("1"), true, true, false, false, false),
            (Some("true"), true, true, false, false, false),
            (Some("yes"), true, true, false, false, false),
            (Some("on"), true, true, false, false, false),
            (Some("00"), true, true, false, false, false),
            (Some(" "), true, true, false, false, false),
            (Some("0"), false, true, false, false, false),
            (Some("no"), false, true, false, false, true),
            (Some("No"), false, true, false, false, false),
            (Some("false"), false, true, false, false, false),
            (Some("FALSE"), false, true, false, false, false),
            (Some("oFF"), false, true, false, false, false),
        ];
        for (value, plain, not_empty, is_x, is_empty, is_no) in table {
            for (condition, expected) in [("N", plain), ("N=x", is_x), ("N=", is_empty), ("N=no", is_no)] {
                let negated = match condition.split_once('=') {
                    Some((name, value)) => format!("{name}!={value}"),
                    None => format!("!{condition}"),
                };
                assert_eq!(holds(condition, value, false, false), expected, "{condition} of {value:?}");
                assert_eq!(holds(&negated, value, false, false), !expected, "{negated} of {value:?}");
            }
            for (secret, opaque) in [(true, false), (false, true), (true, true)] {
                assert_eq!(holds("N", value, secret, opaque), not_empty, "{value:?}");
                assert_eq!(holds("!N", value, secret, opaque), !not_empty, "{value:?}");
                assert_eq!(holds("N!=", value, secret, opaque), not_empty, "{value:?}");
                assert_eq!(holds("N=x", value, secret, opaque), is_x, "{value:?}");
            }
        }
    }

    #[test]
    fn other_forms_are_not_conditions() {
        for text in ["", "!", "=", "=x", "!=x", "!!N", "!N=x", "!N!=x", "N ", " N", "N ==", "a-b", "1", "N!"]
        {
            assert_eq!(Condition::parse(text), Ok(None), "{text}");
        }
        Condition::parse("N=${").expect_err("a malformed template");
        assert_eq!(parse("N==x").exact(&EMPTY), "N==x");
        assert!(holds("N==x", Some("=x"), false, false) && holds("N=!=", Some("!="), false, false));
    }

    #[test]
    fn a_value_can_be_the_value_of_another_variable() {
        let mut variables = Variables::default();
        variables.set(b"A", "same", Origin::Inherited, false);
        variables.set(b"B", "same", Origin::Inherited, false);
        let facts = Facts { variables: &variables, opaque: &EMPTY, exists: &|_| false };
        assert_eq!(parse("A=${B}").holds(facts), Ok(true));
        assert!(parse("A=${C}").holds(facts).is_err());
        assert_eq!(parse("A=${C:-same}").names(), ["A", "C"]);
    }

    #[test]
    fn all_of_only_if_must_hold_and_any_of_skip_if_skips() {
        let mut variables = Variables::default();
        variables.set(b"YES", "1", Origin::Inherited, false);
        variables.set(b"NO", "0", Origin::Inherited, false);
        variables.set(b"P", "/there", Origin::Inherited, false);
        let skips = |only: &[&str], skip: &[&str], there: &[&str], gone: &[&str]| {
            let parsed = |texts: &[&str]| texts.iter().map(|text| parse(text)).collect();
            let paths = |texts: &[&str]| {
                texts.iter().map(|text| Template::parse(text).expect("well-formed")).collect()
            };
            let conditions = Conditions {
                only_if: parsed(only),
                skip_if: parsed(skip),
                if_exists: paths(there),
                unless_exists: paths(gone),
            };
            let exists = |path: &[u8]| path == b"/there";
            let facts = Facts { variables: &variables, opaque: &EMPTY, exists: &exists };
            let skip = conditions.skip(facts).expect("all set");
            skip.map(|judged| judged.reason(&EMPTY))
        };
        assert_eq!(skips(&[], &[], &[], &[]), None);
        assert_eq!(skips(&["YES", "!NO"], &["NO", "YES=2"], &["${P}"], &["/gone", ""]), None);
        let reason = |only: &[&str], skip: &[&str], there: &[&str], gone: &[&str]| {
            skips(only, skip, there, gone).expect("it skips")
        };
        assert_eq!(reason(&["YES", "NO"], &[], &[], &[]), "its condition `NO` does not hold");
        assert_eq!(reason(&[], &["NO", "YES"], &[], &[]), "the variable `YES` is set");
        assert_eq!(reason(&[], &["YES!=2"], &[], &[]), "`YES!=2` holds");
        assert_eq!(reason(&[], &[], &["/there", "/gone"], &[]), "`/gone` does not exist");
        assert_eq!(reason(&[], &[], &[""], &[]), "`` does not exist");
        assert_eq!(reason(&[], &[], &[], &["/gone", "${P}"]), "`/there` exists");
    }

    #[test]
    fn a_condition_on_a_secret_does_not_show_its_value() {
        let secrets = BTreeSet::from(["N".to_owned()]);
        assert_eq!(parse("N=hunter2").exact(&secrets), "N=***");
        assert_eq!(parse("N!=").exact(&secrets), "N!=");
        assert_eq!(parse("M=x").exact(&secrets), "M=x");
    }
}
