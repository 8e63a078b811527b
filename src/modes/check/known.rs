//! What is known of a run's variables before it runs: what the image gives, what the table sets, and which
//! of them an operator or a hook may give or change.

use std::collections::BTreeSet;

use super::findings::{Findings, Weight};
use crate::table::variable::Declaration;
use crate::text::names::EnvironmentName;
use crate::value::step::Setting;
use crate::value::template::{Fault, Template};
use crate::value::toml::Span;
use crate::value::variables::{Origin, Variables};

/// Variables that every container has when it runs, whether or not they are there while its image is built.
const ALWAYS: [&str; 3] = ["HOME", "HOSTNAME", "PATH"];

/// How sure a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sure {
    /// Nobody can change it but the table.
    Fixed,
    /// So in the image as it is; an operator or a hook may give another.
    Likely,
}

/// What a template is before the run.
#[derive(Debug)]
pub(super) struct Value {
    /// The bytes.
    pub(super) bytes: Vec<u8>,
    /// How sure they are.
    pub(super) sure: Sure,
}

/// A template that needs something that only a run has, or that holds a secret, which is shown nowhere.
#[derive(Debug)]
pub(super) struct Unknown;

/// The variables of one environment and one verb.
#[derive(Debug)]
pub(super) struct Known<'k> {
    /// Those that have a value.
    pub(super) variables: Variables,
    /// Those that have one only when it runs, of which nothing needs to be said, or it has been said.
    open: Vec<String>,
    /// Those whose value is the table's.
    fixed: Vec<String>,
    /// Those that are declared.
    declared: Vec<String>,
    /// Those that are shown nowhere.
    secrets: &'k [String],
    /// Those that an `env` sets to something that holds a secret.
    derived: Vec<String>,
    /// Those that are true when they are not empty.
    pub(super) opaque: BTreeSet<String>,
    /// Whether a file of variables that is not in the image may set any.
    pub(super) may_be_anything: bool,
    /// The texts of the hooks that run before, which may export what they mention.
    pub(super) hooks: Vec<Vec<u8>>,
    /// Those that conditions prove to be set, here.
    pub(super) needed: Vec<String>,
}

impl<'k> Known<'k> {
    /// What is there below the layers.
    pub(super) fn new(
        inherited: &Variables,
        (variable, is_default): (&str, bool),
        environment: &EnvironmentName,
        verb: Option<&str>,
        declarations: &[Declaration],
        secrets: &'k [String],
    ) -> Self {
        let mut known = Self {
            variables: inherited.clone(),
            open: Vec::new(),
            fixed: Vec::new(),
            declared: declarations.iter().map(|declaration| declaration.name.clone()).collect(),
            secrets,
            derived: Vec::new(),
            opaque: declarations
                .iter()
                .filter(|each| each.is_opaque())
                .map(|each| each.name.clone())
                .collect(),
            may_be_anything: false,
            hooks: Vec::new(),
            needed: Vec::new(),
        };
        let given = known.variables.non_empty(variable.as_bytes());
        if !is_default || given.is_some_and(|value| value != environment.as_str().as_bytes()) {
            known.variables.set(variable.as_bytes(), environment.as_str(), Origin::Inherited, false);
        }
        known.preverb(environment, verb);
        for name in secrets {
            known.variables.mark_secret(name.as_bytes());
        }
        for declaration in declarations {
            let name = declaration.name.as_bytes();
            if known.variables.non_empty(name).is_some() {
                continue;
            }
            if let Some(default) = &declaration.default {
                let secret = secrets.contains(&declaration.name);
                known.variables.set(name, default, Origin::Default, secret);
            } else if declaration.is_required() {
                known.open(&declaration.name);
            }
        }
        for name in ALWAYS {
            if known.variables.get(name.as_bytes()).is_none() {
                known.open(name);
            }
        }
        known
    }

    /// What preverb sets itself; nothing else has a say in it.
    pub(super) fn preverb(&mut self, environment: &EnvironmentName, verb: Option<&str>) {
        self.set("PREVERB_ENVIRONMENT", environment.as_str().as_bytes(), Origin::Preverb, true);
        match verb {
            Some(verb) => self.set("PREVERB_VERB", verb.as_bytes(), Origin::Preverb, true),
            None => self.variables.unset(b"PREVERB_VERB"),
        }
    }

    fn set(&mut self, name: &str, value: &[u8], origin: Origin, fixed: bool) {
        self.open.retain(|each| each != name);
        let secret = self.secrets.iter().any(|each| each == name);
        self.variables.set(name.as_bytes(), value, origin, secret);
        if fixed {
            self.fixed.push(name.to_owned());
        } else {
            self.fixed.retain(|each| each != name);
        }
    }

    fn open(&mut self, name: &str) {
        self.variables.unset(name.as_bytes());
        self.fixed.retain(|each| each != name);
        self.open.push(name.to_owned());
    }

    /// Lays an `env` over what is there; one that may be skipped leaves open what the variables are.
    pub(super) fn set_all(
        &mut self,
        settings: &[Setting],
        origin: &Origin,
        may_be_skipped: bool,
        findings: &mut Findings,
    ) {
        let mut values = Vec::new();
        for setting in settings {
            let missing = self.missing(&setting.value);
            let beside = |unset: &&Fault| {
                !unset.name.starts_with("PREVERB_") && settings.iter().any(|other| other.name == unset.name)
            };
            for unset in missing.iter().filter(beside) {
                let message = format!(
                    "variable `{}` is set in this very `env`, whose values see only what is below it",
                    unset.name
                );
                let hint =
                    "write the value out, or set the one of the two further down: table, environment, verb";
                findings.add(Weight::Warning, setting.span, message, Some(hint.to_owned()));
            }
            for unset in missing.iter().filter(|unset| !beside(unset)) {
                self.tell(unset, setting.span, findings);
            }
            values.push((setting, self.quietly(&setting.value)));
            findings.examine(setting.span);
        }
        for (setting, value) in values {
            match value {
                Ok(value) if !may_be_skipped => {
                    self.set(&setting.name, &value.bytes, origin.clone(), value.sure == Sure::Fixed);
                }
                Ok(_) | Err(Unknown) => self.open(&setting.name),
            }
            if setting.value.names().into_iter().any(|name| self.is_secret(name)) {
                self.derived.push(setting.name.clone());
            }
        }
    }

    /// What a template is; what it misses is told.
    pub(super) fn value(
        &self,
        template: &Template,
        span: Span,
        findings: &mut Findings,
    ) -> Result<Value, Unknown> {
        findings.examine(span);
        for unset in self.missing(template) {
            self.tell(&unset, span, findings);
        }
        self.quietly(template)
    }

    fn tell(&self, unset: &Fault, span: Span, findings: &mut Findings) {
        let (message, hint) = self.sentence(unset);
        findings.add(Weight::Warning, span, message, Some(hint));
    }

    /// What a template is.
    fn quietly(&self, template: &Template) -> Result<Value, Unknown> {
        match template.expand(&self.variables) {
            Ok(value) if !value.secret && !self.touches_open(template) => {
                let fixed = template.names().iter().all(|name| self.is_fixed(name));
                let sure = if fixed { Sure::Fixed } else { Sure::Likely };
                Ok(Value { bytes: value.bytes, sure })
            }
            Ok(_) | Err(_) => Err(Unknown),
        }
    }

    /// Whether this variable is a secret, or holds one.
    pub(super) fn is_secret(&self, name: &str) -> bool {
        self.secrets.iter().chain(&self.derived).any(|each| each == name)
    }

    /// Whether something is known of this variable.
    pub(super) fn is_known(&self, name: &str) -> bool {
        self.variables.get(name.as_bytes()).is_some()
            || self.is_open(name)
            || self.declared.iter().any(|declared| declared == name)
    }

    /// Whether this variable has a value only when it runs.
    pub(super) fn is_open(&self, name: &str) -> bool {
        self.open.iter().any(|each| each == name)
    }

    /// Whether nobody but the table gives this variable its value.
    pub(super) fn is_fixed(&self, name: &str) -> bool {
        self.fixed.iter().any(|each| each == name)
    }

    fn touches_open(&self, template: &Template) -> bool {
        template.names().iter().any(|name| self.is_open(name))
    }

    /// What a template needs that nobody is known to give.
    pub(super) fn missing(&self, template: &Template) -> Vec<Fault> {
        let mut missing = template.expand_all(&self.variables).err().unwrap_or_default();
        missing.retain(|unset| {
            let is_set = self.is_open(&unset.name) || self.needed.contains(&unset.name);
            !self.may_be_anything && !is_set && !self.is_mentioned(&unset.name)
        });
        missing
    }

    /// Whether a hook that runs before knows the name: what it mentions it may export.
    fn is_mentioned(&self, name: &str) -> bool {
        self.hooks.iter().any(|text| text.windows(name.len()).any(|part| part == name.as_bytes()))
    }

    /// What is to be said of a variable that nobody is known to give, and what would help.
    pub(super) fn sentence(&self, unset: &Fault) -> (String, String) {
        let name = &unset.name;
        let key = if name.contains('.') { format!("\"{name}\"") } else { name.clone() };
        if name == "PREVERB_VERB" {
            let hint = "write `${PREVERB_VERB:-}`, or set it for the verbs that need it";
            return ("variable `PREVERB_VERB` is not set".to_owned(), hint.to_owned());
        }
        let (state, hint) = if self.declared.contains(name) {
            ("is neither required nor given a default", format!("give `[variables.{key}]` one of the two"))
        } else {
            (
                "is not declared, and nothing sets it",
                format!("declare it, `[variables.{key}]`, or write `${{{name}:-default}}`"),
            )
        };
        (format!("variable `{name}` {state}: without it the run fails"), hint)
    }
}
