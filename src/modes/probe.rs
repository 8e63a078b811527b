//! `--probe TARGET`: one try; and what the process does that makes it.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use rustix::process::Signal;

use crate::modes::health;
use crate::ready::attempt::attempt;
use crate::ready::wait::probed_word;
use crate::sys::child::Children;
use crate::sys::read;
use crate::sys::request::Received;
use crate::sys::signals::Signals;
use crate::text::failure::Result;
use crate::value::target::Target;
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

/// `--preverb-probe`: one try of the target that it is handed, as the user that it is handed; what is wrong
/// goes to standard error as it is, for the process that asked.
pub(crate) fn attempt_given() -> u8 {
    let Some(mut request) = Received::take() else { return 1 };
    if let Err(failure) = request.step_down() {
        request.refuse(&failure.sentence());
        return 1;
    }
    if !request.dies_with_the_asker(Signal::KILL) {
        return 1;
    }
    let target = request.argv.first().map(|target| target.as_bytes()).unwrap_or_default();
    let limit = request.limit;
    let result =
        Target::parse(target).and_then(|target| target.map_or(Ok(()), |target| attempt(&target, limit)));
    match result {
        Ok(()) => 0,
        Err(reason) => {
            let _ = std::io::stderr().write_all(reason.as_bytes());
            1
        }
    }
}
