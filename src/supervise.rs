//! PID 1 with a child.

use std::ffi::OsString;
use std::path::Path;

use crate::cli::SuperviseOptions;
use crate::failure::{Failure, Kind, Result};
use crate::variables::Variables;

/// Supervises a command to its end, and returns the exit code to end with.
///
/// # Errors
/// What keeps the command from being started.
pub(crate) fn supervise(
    _command: &[OsString],
    _options: &SuperviseOptions,
    _variables: Variables,
    _program: &Path,
) -> Result<u8> {
    Err(Failure::say(Kind::System, "not yet"))
}
