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
pub(super) struct Known {
    pub(super) variables: Variables,
    /// Variables that are set to an unknown value.
    pub(super) open: BTreeSet<String>,
    /// Variables that only the table sets.
    pub(super) fixed: BTreeSet<String>,
    declared: BTreeSet<String>,
    /// Variables that the table declares as secret.
    pub(super) secrets: BTreeSet<String>,
    /// Variables that have been made from a secret.
    derived: BTreeSet<String>,
    pub(super) opaque: BTreeSet<String>,
    /// Whether an env-file that is not in the image may set any variable.
    pub(super) may_be_anything: bool,
    /// The texts of the hooks that run earlier. A hook may export any variable that it mentions.
    pub(super) hooks: Vec<Vec<u8>>,
    /// Variables that a condition has proved to be set at this point.
    pub(super) needed: Vec<String>,
}

impl Known {
    pub(super) fn new(
        image: &Image<'_>, environment: &EnvironmentName, verb: Option<&str>, declarations: &[Declaration],
    ) -> Self {
        let (secrets, naming) = (image.secrets, &image.settings.environment);
        let mut known = Self {
            variables: image.inherited.clone(),
            declared: set_of(declarations.iter().map(|declaration| declaration.name.clone())),
            secrets: secrets.clone(),
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
            let Declaration { name, default, .. } = declaration;
            if known.variables.non_empty(name.as_bytes()).is_some() {
                continue;
            }
            if let Some(default) = default {
                known.variables.set(name.as_bytes(), default, Origin::Default, secrets.contains(name));
            } else if declaration.is_required() {
                known.open(name);
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
        let secret = self.secrets.contains(name);
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

    pub(super) fn is_secret(&self, name: &str) -> bool {
        self.secrets.contains(name) || self.derived.contains(name)
    }

    /// The value of a template; `None` if it needs a value that only a run has, or contains a secret.
    pub(super) fn value(&self, template: &Template) -> Option<Value> {
        let names = template.names();
        let value = template.expand(&self.variables).ok()?;
        let is_known = !value.secret && !names.iter().any(|name| self.open.contains(*name));
        let is_fixed = names.iter().all(|name| self.fixed.contains(*name));
        is_known.then_some(Value { bytes: value.bytes, is_fixed, span: template.span })
    }

    pub(super) fn is_known(&self, name: &str) -> bool {
        self.variables.get(name.as_bytes()).is_some()
            || self.open.contains(name)
            || self.declared.contains(name)
    }

    /// The variables that a template needs and that are not known to be set. A hook that runs earlier may
    /// export any variable that it mentions.
    pub(super) fn missing(&self, template: &Template) -> Vec<Fault> {
        let is_mentioned = |name: &str| {
            self.hooks.iter().any(|text| text.windows(name.len()).any(|part| part == name.as_bytes()))
        };
        let mut missing = template.expand_all(&self.variables).err().unwrap_or_default();
        missing.retain(|unset| {
            let is_set = self.open.contains(&unset.name) || self.needed.contains(&unset.name);
            !self.may_be_anything && !is_set && !is_mentioned(&unset.name)
        });
        missing
    }

    /// The message and hint for an unset variable, which may be a sibling: one that the same `env` sets.
    pub(super) fn sentence(&self, unset: &Fault, is_sibling: bool) -> (String, String) {
        let name = &unset.name;
        if name == "PREVERB_VERB" {
            let hint = "write `${PREVERB_VERB:-}`, or set it for the verbs that need it";
            return ("variable `PREVERB_VERB` is not set".to_owned(), hint.to_owned());
        }
        if is_sibling {
            return (format!("variable `{name}` {OWN_LAYER}"), OWN_LAYER_HINT.to_owned());
        }
        let key = if name.contains('.') { format!("\"{name}\"") } else { name.clone() };
        let (state, hint) = if self.declared.contains(name) {
            let hint = format!("make `[variables.{key}]` required, or give it a default");
            ("is not required and has no default", hint)
        } else {
            let hint = format!("declare it, `[variables.{key}]`, or write `${{{name}:-default}}`");
            ("is not declared, and nothing sets it", hint)
        };
        (format!("variable `{name}` {state}: without it the run fails"), hint)
    }
}
