//! `--probe TARGET`: one try.

use std::ffi::OsStr;
use std::time::Duration;

use crate::modes::health;
use crate::ready::wait::probed_word;
use crate::sys::child::Children;
use crate::sys::read;
use crate::sys::signals::Signals;
use crate::text::failure::Result;
use crate::value::variables::Variables;

/// Tries the target once.
///
/// # Errors
/// Usage (64): not a target. Unhealthy (1). The request to stop.
pub(crate) fn probe(
    target: &OsStr,
    timeout: Duration,
    variables: &Variables,
    signals: Signals,
) -> Result<u8> {
    let Some(awaited) = probed_word(target, &read::program())? else { return Ok(0) };
    health::try_once(&mut Children::new(signals), awaited, variables, timeout)
}
