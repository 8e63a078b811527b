//! Builds up the variables from the layers of the table, and collects all missing and invalid ones. Pure.

use std::cell::LazyCell;
use std::collections::BTreeSet;

use crate::plan::environment::{Environment, Why};
use crate::plan::target::fault_failure;
use crate::table::{Declaration, Layer};
use crate::text::{Failure, VerbName, quoted, set_of};
use crate::value::{Expanded, OWN_LAYER, OWN_LAYER_HINT, Origin, Template, Variables, own_names};

#[derive(Default)]
pub(super) struct Building {
    pub(super) variables: Variables,
    pub(super) failures: Vec<Failure>,
    pub(super) failed: BTreeSet<String>,
    pub(super) missing: BTreeSet<String>,
    /// Variables that an expansion found unset, with the failure. Each is reported at the end, unless the
    /// check of the declarations has reported a better error.
    unset: Vec<(String, Failure)>,
    pub(super) secrets: BTreeSet<String>,
    pub(super) warnings: Vec<String>,
}

impl Building {
    pub(super) fn on(inherited: &Variables, declarations: &[Declaration]) -> Self {
        let secrets = declarations.iter().filter(|each| each.is_secret()).flat_map(Declaration::names);
        let secrets = set_of(secrets.map(str::to_owned));
        Self { variables: inherited.clone(), secrets, ..Self::default() }
    }

    /// Sets the variables that name the verb and the environment. They are set before the layers, so that
    /// those can use them, and again afterwards, so that no layer can mislead `--health`.
    pub(super) fn preverb(&mut self, environment: &Environment, verb: Option<&VerbName>) {
        let given = environment.alias.as_ref().unwrap_or(&environment.name).as_str();
        let variable = environment.variable.as_bytes();
        if environment.why == Why::Option
            && self.variables.get(variable).is_none_or(|found| found.value != given.as_bytes())
        {
            self.variables.set(variable, given, Origin::Option, false);
        }
        // A table may choose one of these two as the variable of the environment.
        let name = environment.name.as_str();
        self.variables.set(b"PREVERB_ENVIRONMENT", name, Origin::Preverb, false);
        match verb {
            Some(verb) => self.variables.set(b"PREVERB_VERB", verb.as_str(), Origin::Preverb, false),
            None => self.variables.unset(b"PREVERB_VERB"),
        }
    }

    pub(super) fn fail(&mut self, name: &str, failure: Failure) {
        self.failures.push(failure);
        self.failed.insert(name.to_owned());
        self.missing.insert(name.to_owned());
    }

    pub(super) fn layer(&mut self, layer: &Layer, origin: &Origin) {
        let missing_below = self.missing.clone();
        let values: Vec<_> =
            layer.env.iter().map(|setting| setting.value.expand_all(&self.variables)).collect();
        let own = LazyCell::new(|| own_names(&layer.env));
        for (setting, value) in layer.env.iter().zip(values) {
            match value {
                Ok(value) => {
                    self.missing.remove(&setting.name);
                    let secret = value.secret || self.secrets.contains(&setting.name);
                    self.variables.set(setting.name.as_bytes(), value.bytes, origin.clone(), secret);
                }
                Err(missing) => {
                    self.missing.insert(setting.name.clone());
                    for fault in missing.into_iter().filter(|fault| !missing_below.contains(&fault.name)) {
                        let name = fault.name.clone();
                        let mut failure = fault_failure(fault, &quoted(&setting.name));
                        if name != setting.name && own.contains(&*name) {
                            failure = failure.hint(format!("`{name}` {OWN_LAYER}: {OWN_LAYER_HINT}"));
                        }
                        self.unset.push((name, failure));
                    }
                }
            }
        }
    }

    pub(super) fn expand(&mut self, template: &Template, what: &str) -> Option<Expanded> {
        let faults = match template.expand_all(&self.variables) {
            Ok(expanded) => return Some(expanded),
            Err(faults) => faults.into_iter().filter(|fault| !self.missing.contains(&fault.name)),
        };
        self.unset.extend(faults.map(|fault| (fault.name.clone(), fault_failure(fault, what))));
        None
    }

    /// Reports the variables that expansions found unset, unless they have been reported already.
    pub(super) fn report_unset(&mut self, is_excused: impl Fn(&str) -> bool) {
        for (name, failure) in std::mem::take(&mut self.unset) {
            if !self.failed.contains(&name) && !is_excused(&name) {
                self.fail(&name, failure);
            }
        }
    }
}
