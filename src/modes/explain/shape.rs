//! The explanation of a run, with the structure that `--json` prints.

use serde::Serialize;

use crate::text::Exact;

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Explained {
    pub(crate) verb: Option<String>,
    pub(crate) environment: String,
    pub(crate) environment_reason: String,
    pub(crate) environment_in_table: bool,
    pub(crate) variables: Vec<ExplainedVariable>,
    pub(crate) declared: Vec<ExplainedDeclared>,
    pub(crate) unset: Vec<String>,
    #[serde(skip)]
    pub(crate) removed: Vec<String>,
    pub(crate) steps: Vec<ExplainedStep>,
    pub(crate) user: Option<Exact>,
    pub(crate) user_note: Option<String>,
    pub(crate) workdir: Option<Exact>,
    pub(crate) umask: Option<String>,
    pub(crate) limits: Vec<String>,
    /// `None` leaves the capabilities unchanged.
    pub(crate) capabilities: Option<Vec<String>>,
    pub(crate) no_new_privileges: bool,
    pub(crate) supervised: bool,
    pub(crate) init: Option<ExplainedInit>,
    pub(crate) stop_signals: Option<Vec<String>>,
    pub(crate) health: Option<Exact>,
    pub(crate) argv: Vec<Exact>,
    pub(crate) unexpanded: Vec<Unexpanded>,
    pub(crate) problems: Vec<Problem>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ExplainedInit {
    pub(crate) signals: serde_json::Map<String, serde_json::Value>,
    pub(crate) group: bool,
    pub(crate) grace: Option<String>,
    pub(crate) exit: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ExplainedVariable {
    pub(crate) name: Exact,
    pub(crate) value: Option<Exact>,
    pub(crate) layer: Exact,
    pub(crate) replaces: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct ExplainedDeclared {
    pub(crate) name: String,
    pub(crate) value: Option<Exact>,
    pub(crate) source: Exact,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ExplainedStep {
    pub(crate) step: Exact,
    pub(crate) kind: &'static str,
    pub(crate) runs: bool,
    pub(crate) reason: Option<String>,
    pub(crate) conditions: Vec<ExplainedCondition>,
    pub(crate) does: Vec<Exact>,
    /// The same information for the text output.
    #[serde(skip)]
    pub(crate) lines: Vec<String>,
    pub(crate) files: Vec<ExplainedFile>,
    pub(crate) steps: Vec<ExplainedStep>,
    pub(crate) unexpanded: Vec<Unexpanded>,
    pub(crate) user: Option<Exact>,
    pub(crate) timeout: Option<Exact>,
    pub(crate) grace: Option<Exact>,
    pub(crate) on_failure: &'static str,
    pub(crate) once: Option<Exact>,
    pub(crate) per: Option<Exact>,
    pub(crate) stdin: Option<Exact>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ExplainedCondition {
    pub(crate) key: &'static str,
    pub(crate) condition: Exact,
    /// `None` if it cannot be determined.
    pub(crate) holds: Option<bool>,
    /// Whether an earlier step may change the result.
    pub(crate) open: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct ExplainedFile {
    pub(crate) path: Exact,
    /// `source`, `run`, `interpret`, `skip` or `fail`.
    pub(crate) how: &'static str,
    pub(crate) program: Vec<Exact>,
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Unexpanded {
    pub(crate) element: String,
    pub(crate) message: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) exit_code: u8,
}
