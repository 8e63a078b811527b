//! The parts by themselves: `--as`, `--wait`, `--probe`, and the way to `--supervise` and `--exec`. They work where
//! there is no table, and must not look for one.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use crate::cli::Part;
use crate::modes::{self, health, supervise};
use crate::ready::wait::{Awaited, Unready, awaited_word, not_ready, probed_word, start_here, wait_for};
use crate::setup::state::not_root;
use crate::sys::child::Children;
use crate::sys::exec;
use crate::sys::identity;
use crate::sys::identity::Myself;
use crate::sys::read;
use crate::sys::signals::Signals;
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::Log;
use crate::value::template::Expanded;
use crate::value::user::UserSpec;
use crate::value::variables::{Origin, Variables};

/// Runs a part; the exit code, where no command replaces the process.
///
/// # Errors
/// Each part's own.
pub(crate) fn run(part: Part, variables: Variables, signals: Signals, log: Log) -> Result<u8> {
    match part {
        Part::As { user, command } => Err(step_down(&user, &command, variables, signals, log)),
        Part::Supervise { options, command } => {
            supervise::supervise(&command, &options, variables, &read::program(), signals, log)
        }
        Part::Wait { targets, timeout, command } => {
            wait(&targets, timeout, &command, &variables, signals, log)
        }
        Part::Probe { target, timeout } => probe(&target, timeout, &variables, signals),
        Part::Exec { command } => Err(modes::exec::exec(&command, signals)),
    }
}

/// `--as USER -- COMMAND...`: steps down, sets `HOME`, and becomes the command. Returns only the failure.
fn step_down(
    user: &OsStr,
    command: &[OsString],
    mut variables: Variables,
    mut signals: Signals,
    log: Log,
) -> Failure {
    if let Err(reason) = UserSpec::parse(user.as_bytes()) {
        return Failure::say(Kind::Usage, identity::no_user(user.as_bytes(), &reason));
    }
    let identity = match identity::resolve(&Expanded::open(user.as_bytes())) {
        Ok(identity) => identity,
        Err(failure) => return failure,
    };
    let myself = Myself::observe();
    if myself.is_root() {
        if !myself.is(&identity)
            && let Err(failure) = identity::step_down(&identity, None)
        {
            return failure;
        }
        variables.set(b"HOME", identity::home(&identity), Origin::User, false);
    } else if !myself.is(&identity) {
        log.say(&not_root(myself, &identity.spec.shown()));
    }
    exec::exec_with(command, &variables, &mut signals)
}

/// `--wait TARGET... [-- COMMAND...]`: waits until all are ready, and becomes the command, if there is one.
fn wait(
    targets: &[OsString],
    timeout: Duration,
    command: &[OsString],
    variables: &Variables,
    signals: Signals,
    log: Log,
) -> Result<u8> {
    let program = read::program();
    let awaited = targets
        .iter()
        .filter_map(|target| awaited_word(target, &program).transpose())
        .collect::<Result<Vec<_>>>()?;
    let mut children = Children::new(signals);
    let start = |children: &mut Children, each: &Awaited, limit| start_here(children, each, variables, limit);
    match wait_for(&mut children, log, awaited, timeout, &start) {
        Ok(()) => {}
        Err(Unready::Stopped(stop)) => return Err(stop.failure("while it waited")),
        Err(Unready::TimedOut(awaited)) => return Err(not_ready(&awaited, timeout, "wait:")),
    }
    if command.is_empty() {
        return Ok(0);
    }
    children.reap_all();
    Err(exec::exec_with(command, variables, children.signals()))
}

/// `--probe TARGET`: one try.
fn probe(target: &OsStr, timeout: Duration, variables: &Variables, signals: Signals) -> Result<u8> {
    let Some(awaited) = probed_word(target, &read::program())? else { return Ok(0) };
    health::try_once(&mut Children::new(signals), awaited, variables, timeout)
}
