//! `--health`, and one try for `--probe`.

use std::path::PathBuf;
use std::time::Duration;

use crate::child::Children;
use crate::failure::{Failure, Kind, Result};
use crate::log::Log;
use crate::perform::wait::{Awaited, Unready, start_here, wait_for};
use crate::variables::Variables;

/// Says whether the container's verb is healthy.
///
/// # Errors
/// Unhealthy (1).
pub(crate) fn health(
    _table: Option<PathBuf>,
    _timeout: Duration,
    _children: Children,
    _log: Log,
) -> Result<u8> {
    Err(Failure::say(Kind::Unhealthy, "the health of this container is not known yet"))
}

/// Tries a target once, within `timeout`.
///
/// # Errors
/// Unhealthy (1), or the request to stop.
pub(crate) fn try_once(
    children: &mut Children,
    log: Log,
    awaited: Awaited,
    variables: &Variables,
    timeout: Duration,
) -> Result<u8> {
    let _ = (children, log, awaited, variables, timeout, start_here, wait_for);
    let _ = |unready: Unready| unready;
    Err(Failure::say(Kind::Unhealthy, "not yet"))
}
