//! The request that a command line makes.

use std::ffi::OsString;
use std::time::Duration;

use crate::text::Format;
use crate::value::Supervision;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) options: Options,
    pub(crate) action: Action,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) table: Option<OsString>,
    pub(crate) environment: Option<OsString>,
    pub(crate) skip_setup: bool,
    pub(crate) log: Option<Format>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Invocation {
    None,
    Verb(OsString, Vec<OsString>),
    Default(Vec<OsString>),
    Command(Vec<OsString>),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Table(TableMode),
    Check { json: bool, strict: bool },
    Health { timeout: Duration },
    As { user: OsString, command: Vec<OsString> },
    Supervise { options: Supervision, command: Vec<OsString> },
    Wait { targets: Vec<OsString>, timeout: Duration, command: Vec<OsString> },
    Probe { target: OsString, timeout: Duration },
    Exec { command: Vec<OsString> },
    Help,
    Version,
}

impl Action {
    /// Whether this starts a target, like the main process of a container.
    pub(crate) fn starts_target(&self) -> bool {
        matches!(
            self,
            Self::Table(TableMode::Run(_)) | Self::As { .. } | Self::Supervise { .. } | Self::Wait { .. }
        )
    }
}

/// A mode that needs the table, resolved for one environment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TableMode {
    Run(Invocation),
    Explain { words: Invocation, json: bool },
    List { json: bool },
    Shim { verb: Option<OsString> },
}
