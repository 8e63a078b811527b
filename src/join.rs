//! `--exec -- COMMAND...`: runs a command as the container's main process would be run.

use std::ffi::OsString;

use crate::failure::{Failure, Kind};
use crate::signals::Signals;

/// Becomes the command, with the main process's variables, user and working directory. Returns only the failure.
pub(crate) fn exec(_command: &[OsString], _signals: Signals) -> Failure {
    Failure::say(Kind::System, "not yet")
}
