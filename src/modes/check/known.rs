//! The variables of a run as far as they are known in advance: those that the image and the table set, and
//! those that an operator or a hook may set or change.

use std::collections::BTreeSet;
use std::path::Path;

use crate::modes::check::image::Image;
use crate::table::{Declaration, opaque};
use crate::text::{EnvironmentName, path_of, set_of};
use crate::value::{Fault, OWN_LAYER, OWN_LAYER_HINT, Origin, Setting, Span, Template, Variables};

/// Variables that every running container has, even if they are not set while its image is built.
const ALWAYS: [&str; 3] = ["HOME", "HOSTNAME", "PATH"];

#[derive(Debug)]
pub(super) struct Value {
    pub(super) bytes: Vec<u8>,
    /// Whether only the table can change it. Otherwise an operator or a hook may change it.
    pub(super) is_fixed: bool,
    pub(super) span: Span,
}

impl Value {
    pub(super) fn path(&self) -> &Path {
        path_of(&self.bytes)
    }
}

#[derive(Debug, Default)]
pub(super) struct Known<'k> {
    pub(super) variables: Variables,
    open: BTreeSet<String>,
    fixed: BTreeSet<String>,
    declared: BTreeSet<String>,
    secrets: &'k [String],
    derived: BTreeSet<String>,
    pub(super) opaque: BTreeSet<String>,
    /// Whether an env-file that is not in the image may set any variable.
    pub(super) may_be_anything: bool,
    /// The texts of the hooks that run earlier. A hook may export any variable that it mentions.
    pub(super) hooks: Vec<Vec<u8>>,
    /// Variables that a condition has proved to be set at this point.
    pub(super) needed: Vec<String>,
}

impl<'k> Known<'k> {
    pub(super) fn new(
        image: &Image<'k>, environment: &EnvironmentName, verb: Option<&str>, declarations: &[Declaration],
    ) -> Self {
        let (secrets, naming) = (image.secrets, &image.settings.environment);
        let mut known = Self {
            variables: image.inherited.clone(),
            declared: set_of(declarations.iter().map(|declaration| declaration.name.clone())),
            secrets,
            opaque: opaque(declarations),
            ..Self::default()
        };
        let variable = naming.variable().as_bytes();
        let given = known.variables.non_empty(variable);
        if given.unwrap_or(naming.default().as_bytes()) != environment.as_str().as_bytes() {
            known.variables.set(variable, environment.as_str(), Origin::Inherited, false);
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

    pub(super) fn preverb(&mut self, environment: &EnvironmentName, verb: Option<&str>) {
        self.set("PREVERB_ENVIRONMENT", environment.as_str().as_bytes(), Origin::Preverb, true);
        match verb {
            Some(verb) => self.set("PREVERB_VERB", verb.as_bytes(), Origin::Preverb, true),
            None => self.variables.unset(b"PREVERB_VERB"),
        }
    }

    fn set(&mut self, name: &str, value: &[u8], origin: Origin, is_fixed: bool) {
        self.open.remove(name);
        self.fixed.remove(name);
        if is_fixed {
            self.fixed.insert(name.to_owned());
        }
        let secret = self.secrets.iter().any(|each| each == name);
        self.variables.set(name.as_bytes(), value, origin, secret);
    }

    fn open(&mut self, name: &str) {
        self.variables.unset(name.as_bytes());
        self.fixed.remove(name);
        self.open.insert(name.to_owned());
    }

    /// Applies a setting; without a value, the value of the variable is unknown from here on.
    pub(super) fn lay(&mut self, setting: &Setting, value: Option<Value>, origin: &Origin) {
        match value {
            Some(value) => self.set(&setting.name, &value.bytes, origin.clone(), value.is_fixed),
            None => self.open(&setting.name),
        }
        if setting.value.names().into_iter().any(|name| self.is_secret(name)) {
            self.derived.insert(setting.name.clone());
        }
    }

    /// The value of a template; `None` if it needs a value that only a run has, or contains a secret.
    pub(super) fn value(&self, template: &Template) -> Option<Value> {
        let names = template.names();
        let value = template.expand(&self.variables).ok()?;
        let is_known = !value.secret && !names.iter().any(|name| self.is_open(name));
        let is_fixed = names.iter().all(|name| self.is_fixed(name));
        is_known.then_some(Value { bytes: value.bytes, is_fixed, span: template.span })
    }

    pub(super) fn is_secret(&self, name: &str) -> bool {
        self.derived.contains(name) || self.secrets.iter().any(|each| each == name)
    }

    pub(super) fn is_known(&self, name: &str) -> bool {
        self.variables.get(name.as_bytes()).is_some() || self.is_open(name) || self.declared.contains(name)
    }

    pub(super) fn is_open(&self, name: &str) -> bool {
        self.open.contains(name)
    }

    /// Whether only the table sets this variable.
    pub(super) fn is_fixed(&self, name: &str) -> bool {
        self.fixed.contains(name)
    }

    /// The variables that a template needs and that are not known to be set. A hook that runs earlier may
    /// export any variable that it mentions.
    pub(super) fn missing(&self, template: &Template) -> Vec<Fault> {
        let is_mentioned = |name: &str| {
            self.hooks.iter().any(|text| text.windows(name.len()).any(|part| part == name.as_bytes()))
        };
        let mut missing = template.expand_all(&self.variables).err().unwrap_or_default();
        missing.retain(|unset| {
            let is_set = self.is_open(&unset.name) || self.needed.contains(&unset.name);
            !self.may_be_anything && !is_set && !is_mentioned(&unset.name)
        });
        missing
    }

    /// The message and hint for an unset variable, which may be a sibling: one that the same `env` sets.
    pub(super) fn sentence(&self, unset: &Fault, is_sibling: bool) -> (String, String) {
        let name = &unset.name;
        let key = if name.contains('.') { format!("\"{name}\"") } else { name.clone() };
        if name == "PREVERB_VERB" {
            let hint = "write `${PREVERB_VERB:-}`, or set it for the verbs that need it";
            return ("variable `PREVERB_VERB` is not set".to_owned(), hint.to_owned());
        }
        if is_sibling {
            return (format!("variable `{name}` {OWN_LAYER}"), OWN_LAYER_HINT.to_owned());
        }
        let (state, hint) = if self.declared.contains(name) {
            (
                "is not required and has no default",
                format!("make `[variables.{key}]` required, or give it a default"),
            )
        } else {
            (
                "is not declared, and nothing sets it",
                format!("declare it, `[variables.{key}]`, or write `${{{name}:-default}}`"),
            )
        };
        (format!("variable `{name}` {state}: without it the run fails"), hint)
    }
}
