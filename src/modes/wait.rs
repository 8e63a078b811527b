//! `--wait TARGET... [-- COMMAND...]`: waits until all targets are ready, and becomes the command, if there
//! is one.

use std::ffi::OsString;
use std::time::Duration;

use crate::modes::context::Context;
use crate::ready::wait::{Awaited, Unready, awaited_word, not_ready, start, wait_for};
use crate::sys::child::Children;
use crate::sys::exec;
use crate::sys::read;
use crate::sys::start::AsWhom;
use crate::text::failure::Result;

pub(crate) fn wait(
    context: Context<'_>,
    targets: &[OsString],
    timeout: Duration,
    command: &[OsString],
) -> Result<u8> {
    let Context { variables, signals, log } = context;
    let program = read::program();
    let awaited = targets
        .iter()
        .filter_map(|target| awaited_word(target, &program).transpose())
        .collect::<Result<Vec<_>>>()?;
    let mut children = Children::new(signals);
    let try_one = |children: &mut Children, each: &Awaited, limit| {
        start(children, AsWhom::myself(), each, &variables, limit)
    };
    match wait_for(&mut children, *log, awaited, timeout, &try_one) {
        Ok(()) => {}
        Err(Unready::Stopped(stop)) => return Err(stop.failure("while waiting")),
        Err(Unready::TimedOut(awaited)) => return Err(not_ready(&awaited, timeout, "wait:")),
    }
    if command.is_empty() {
        return Ok(0);
    }
    children.reap_all();
    Err(exec::exec_with(command, &variables, children.signals()))
}
