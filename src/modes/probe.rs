//! `--wait TARGET... [-- COMMAND...]` waits until all targets are ready and then executes the command, if
//! any. `--probe TARGET` tries once. The process that makes a try is here, too.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::modes::context::Context;
use crate::ready;
use crate::ready::wait::{Awaited, awaited_word, not_ready, probed_word, start, wait_for};
use crate::sys::{Children, Received, RunAs, Stop, exec, read};
use crate::text::{Failure, Kind, Result, readable};
use crate::value::{Target, Variables};

pub(crate) fn wait(
    context: Context<'_>, targets: &[OsString], timeout: Duration, command: &[OsString],
) -> Result<u8> {
    let Context { variables, signals, log, .. } = context;
    let program = read::program();
    let awaited = targets.iter().filter_map(|target| awaited_word(target, &program).transpose());
    let awaited = awaited.collect::<Result<Vec<_>>>()?;
    let mut children = Children::new(signals);
    let waited = wait_for(&mut children, *log, awaited, timeout, RunAs::myself(), &variables);
    let unready = waited.map_err(|stop| stop.failure("while waiting"))?;
    if !unready.is_empty() {
        return Err(not_ready(&unready, timeout, "wait:"));
    }
    if command.is_empty() {
        return Ok(0);
    }
    children.reap_all();
    Err(exec::exec(command, &variables, Some(&mut children.signals)))
}

pub(crate) fn probe(context: Context<'_>, target: &OsStr, timeout: Duration) -> Result<u8> {
    let Context { variables, signals, .. } = context;
    let Some(awaited) = probed_word(target, &read::program())? else { return Ok(0) };
    let shown = awaited.shown.clone();
    let tried = attempt(&mut Children::new(signals), awaited, &variables, timeout, Instant::now())?;
    let Some(reason) = tried else { return Ok(0) };
    let failure = Failure::new(Kind::Unhealthy, format!("`{shown}` is not ready: {reason}"));
    Err(failure.field("target", shown).field("reason", reason))
}

/// Makes one try within the operation that began at `begun`, and returns the reason if it fails. A `timeout`
/// of zero means a day: no limit, as for `--wait`.
pub(crate) fn attempt(
    children: &mut Children, mut awaited: Awaited, variables: &Variables, timeout: Duration, begun: Instant,
) -> Result<Option<String>> {
    let limit = if timeout.is_zero() { Duration::from_hours(24) } else { timeout };
    let deadline = begun + limit;
    awaited.limit = Some(deadline.saturating_duration_since(Instant::now()));
    let mut running = match start(children, RunAs::myself(), &awaited, variables) {
        Ok(running) => running,
        Err(reason) => return Ok(Some(awaited.shown_reason(&reason).to_owned())),
    };
    let stopped = |stop: Stop| stop.failure("while probing");
    children.pump(&mut [&mut running], Some(deadline)).map_err(stopped)?;
    if let Some(verdict) = awaited.verdict(&running) {
        return Ok(verdict.err().map(|reason| awaited.shown_reason(&reason).to_owned()));
    }
    // A program has a guard, which cleans up after SIGTERM.
    if awaited.probe.is_some() {
        running.kill(None);
    } else {
        running.end(15, None);
    }
    children.pump(&mut [&mut running], None).map_err(stopped)?;
    Ok(Some(format!("no answer within {}", readable(limit))))
}

/// `--preverb-probe`: makes one try of the given target as the given user. The caller reads the reason for a
/// failure, unformatted, from standard error.
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
    let attempt = |target| ready::attempt::attempt(&target, request.limit);
    let tried = Target::parse(target).and_then(|target| target.map_or(Ok(()), attempt));
    let Err(reason) = tried else { return 0 };
    let _ = std::io::stderr().write_all(reason.as_bytes());
    1
}
