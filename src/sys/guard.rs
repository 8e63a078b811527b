//! A program that leaves nothing behind: when it ends, and when the process that asked for it does,
//! everything that it started ends with it. A process that is killed cannot clean up, so this program does it
//! for `--health` in a small mode.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::sys::child::{Children, Ended, Spawn};
use crate::sys::proc;
use crate::sys::signals::{Signals, send};
use crate::sys::start::{AsWhom, Received, start_program};
use crate::text::failure::Result;

const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(2);

/// `--preverb-guard`: runs the program that it is handed, ends as that does, and leaves nothing of it behind.
pub(crate) fn guard() -> Result<u8> {
    let mut children = Children::new(Signals::handle()?);
    let Some(mut request) = Received::take() else { return Ok(1) };
    // What its program leaves behind becomes its own child.
    let _ = rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1));
    if !request.dies_with_the_asker(Signal::TERM) {
        return Ok(1);
    }
    let adjust = |spawn: &mut Spawn<'_>| spawn.terms.grace = Some(Duration::ZERO);
    let started = start_program(&mut children, AsWhom::myself(), &request.argv, &request.variables, &adjust);
    let mut running = match started {
        Ok(running) => running,
        Err(failure) => {
            request.refuse(&failure.sentence());
            return Ok(1);
        }
    };
    let mut stop = None;
    while running.ended().is_none() && stop.is_none() {
        stop = children.pump(&mut [&mut running], None).err();
    }
    running.kill();
    end_all(&mut children);
    let ended = running.ended().cloned();
    if let (None, Some(ended @ Ended::Signaled(_))) = (stop, &ended) {
        request.refuse(&ended.describe());
        return Ok(1);
    }
    Ok(ended.map_or(1, |ended| ended.exit_code()))
}

/// Kills every child, those of children with them, until there is none.
fn end_all(children: &mut Children) {
    let own = std::process::id().cast_signed();
    let until = Instant::now() + PATIENCE;
    while children.reap_all() && Instant::now() < until {
        for (pid, _) in proc::all().into_iter().filter(|(_, process)| process.parent == own) {
            send(pid, 9);
        }
        // A request to stop asks for just what is done here.
        let _ = children.sleep(Instant::now() + LOOK);
    }
}
