//! What a table says, as types. They know nothing of TOML, and nothing of the world.

use std::collections::BTreeMap;

use crate::table::variable::{Declaration, lay};
use crate::text::choice::choice;
use crate::text::log::Format;
use crate::text::names::{EnvironmentName, VerbName};
use crate::value::capability::Capability;
use crate::value::deferred::Deferred;
use crate::value::limit::Limit;
use crate::value::step::{Probe, Setting, Step};
use crate::value::supervision::Supervision;
use crate::value::template::Template;
use crate::value::toml::Span;
use crate::value::words::Element;

#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) default: Option<(VerbName, Span)>,
    pub(crate) unknown: Unknown,
    pub(crate) leading_dash: LeadingDash,
    pub(crate) log: Option<Format>,
    pub(crate) stop_signals: Option<Vec<i32>>,
    /// Of verbs that do not say, and of `--`; so are the next two.
    pub(crate) user: Option<Template>,
    pub(crate) workdir: Option<Template>,
    pub(crate) umask: Option<Deferred<u32>>,
    pub(crate) environment: Naming,
    pub(crate) interpreters: Vec<(String, Vec<String>)>,
    pub(crate) shim: Option<ShimSettings>,
}

/// `[environment]`: how the environment is named.
#[derive(Debug, Default)]
pub(crate) struct Naming {
    pub(crate) variable: Option<String>,
    pub(crate) is_secret: bool,
    pub(crate) default: Option<EnvironmentName>,
    pub(crate) names: Option<Vec<EnvironmentName>>,
    pub(crate) aliases: Vec<(EnvironmentName, EnvironmentName)>,
}

impl Naming {
    /// The variable that names the environment.
    pub(crate) fn variable(&self) -> &str {
        self.variable.as_deref().unwrap_or("APP_ENV")
    }

    /// The environment where that variable is unset or empty.
    pub(crate) fn default(&self) -> &str {
        self.default.as_ref().map_or("prod", EnvironmentName::as_str)
    }
}

choice! {
    /// `unknown`: what a first argument that is not a verb is.
    Unknown { Error = "error", Exec = "exec", Default = "default" }
}

choice! {
    /// `leading-dash`: what a first argument that begins with a dash is.
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

pub(crate) fn lay_declarations<'l>(layers: impl IntoIterator<Item = &'l Layer>) -> Vec<Declaration> {
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
    pub(crate) span: Option<Span>,
    pub(crate) about: Option<String>,
    pub(crate) aliases: Option<Vec<VerbName>>,
    /// First arguments that call it, with `*` for any text.
    pub(crate) patterns: Option<Vec<String>>,
    pub(crate) exec: Option<Vec<Element>>,
    pub(crate) args: Option<Vec<Element>>,
    pub(crate) args_after: Option<Vec<Element>>,
    pub(crate) layer: Layer,
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

impl VerbPart {
    pub(crate) fn lay(&mut self, over: Self) {
        lay!(self, over, about aliases patterns exec args args_after unset user workdir umask);
        lay!(self, over, capabilities no_new_privileges health skip_setup_on hidden);
        self.limits.retain(|each| over.limits.iter().all(|later| later.resource != each.resource));
        self.limits.extend(over.limits);
        match (&mut self.init, over.init) {
            (Some(Init::With(base)), Some(Init::With(over))) => base.lay(over),
            (base, Some(over)) => *base = Some(over),
            (_, None) => {}
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Init {
    Exec,
    Supervise,
    With(Supervision),
}

impl Supervision {
    fn lay(&mut self, over: Self) {
        self.signals.retain(|(from, _)| over.signals.iter().all(|(later, _)| later != from));
        self.signals.extend(over.signals);
        self.exit.retain(|(from, _)| over.exit.iter().all(|(later, _)| later != from));
        self.exit.extend(over.exit);
        lay!(self, over, group grace);
    }
}
