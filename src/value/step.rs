//! A step of a `setup`, as the table defines it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::text::choice::choice;
use crate::text::names::set_of;
use crate::value::condition::Conditions;
use crate::value::template::{Deferred, Template};
use crate::value::toml::Span;
use crate::value::words::Element;

#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: Template,
}

/// The variables that an `env` sets. Its own values do not see them.
pub(crate) fn own_names(settings: &[Setting]) -> BTreeSet<&str> {
    let names = settings.iter().map(|setting| setting.name.as_str());
    set_of(names.filter(|name| !name.starts_with("PREVERB_")))
}

pub(crate) const OWN_LAYER: &str = "is set in this same `env`, whose values see only lower layers";
pub(crate) const OWN_LAYER_HINT: &str =
    "write the value out, or set the other variable in a lower layer: table, environment, verb";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) only: Vec<String>,
    pub(crate) except: Vec<String>,
    pub(crate) present: bool,
}

impl Filter {
    pub(crate) fn admits(&self, name: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|each| each == name);
        !named(&self.except) && (self.only.is_empty() || named(&self.only))
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Step {
    pub(crate) span: Span,
    pub(crate) name: Option<String>,
    pub(crate) verbs: Filter,
    pub(crate) environments: Filter,
    pub(crate) when: Conditions,
    /// The time limit of the step, or of each file of a hook directory. Zero means no limit.
    pub(crate) timeout: Option<Deferred<Duration>>,
    pub(crate) grace: Option<Deferred<Duration>>,
    pub(crate) user: Option<Template>,
    pub(crate) on_failure: OnFailure,
    pub(crate) once: Option<Template>,
    /// If this value differs from the one in the marker, the step runs again.
    pub(crate) per: Option<Template>,
    pub(crate) kind: StepKind,
}

choice! { OnFailure { Stop = "stop", Warn = "warn" } }

#[derive(Debug, Clone)]
pub(crate) enum StepKind {
    Run { argv: Vec<Element>, stdin: Option<Template> },
    Hooks { path: Template, shell: Template, executables: Executables },
    Env(Vec<Setting>),
    EnvFile(Vec<Template>),
    Wait(Vec<Probe>),
    Group { steps: Vec<Step>, during: Option<During> },
    Render(Render),
    Mkdir { paths: Vec<Template>, mode: Option<Deferred<u32>> },
    Chown(Vec<Template>),
}

impl Default for StepKind {
    fn default() -> Self {
        Self::Env(Vec::new())
    }
}

impl StepKind {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Run { .. } => "run",
            Self::Hooks { .. } => "hooks",
            Self::Env(_) => "env",
            Self::EnvFile(_) => "env-file",
            Self::Wait(_) => "wait",
            Self::Group { .. } => "setup",
            Self::Render(_) => "render",
            Self::Mkdir { .. } => "mkdir",
            Self::Chown(_) => "chown",
        }
    }
}

choice! { Executables { Source = "source", Run = "run" } }

/// A program that runs at the same time as the steps of a group.
#[derive(Debug, Clone)]
pub(crate) struct During {
    pub(crate) argv: Vec<Element>,
    pub(crate) ready: Vec<Probe>,
    /// The signal that ends it instead of TERM.
    pub(crate) stop_signal: Option<i32>,
}

#[derive(Debug, Clone)]
pub(crate) struct Render {
    /// The path of a template file or of a directory of templates.
    pub(crate) from: Template,
    pub(crate) to: Template,
    pub(crate) mode: Option<Deferred<u32>>,
    pub(crate) suffix: Option<Template>,
    pub(crate) only: Option<Vec<Template>>,
    pub(crate) keep_unset: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Probe {
    Url(Template),
    Exec(Vec<Element>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_with_only_exclusions_admits_all_others() {
        let filter = Filter { only: vec![], except: vec!["prod".into()], present: true };
        assert!(filter.admits("dev") && !filter.admits("prod"));
        let filter = Filter { only: vec!["dev".into()], except: vec![], present: true };
        assert!(filter.admits("dev") && !filter.admits("ci"));
    }
}
