//! `--exec -- COMMAND...`: runs a command as the container's main process would run it: with its variables,
//! in its working directory, as its user. It finds nothing out by itself: `main_process.rs` does.
//!
//! Two things are chosen here. While setup is still running the command is refused, because the variables are
//! not yet the ones that it is promised. And where the command has a terminal that the main process has not,
//! it has the `TERM` of whoever started it: that describes the terminal, not the container.

use std::ffi::OsString;
use std::io::IsTerminal as _;

use crate::modes::main_process;
use crate::modes::main_process::Absent;
use crate::sys::child::Children;
use crate::sys::read;
use crate::sys::signals::Signals;
use crate::text::failure::{Failure, Kind, Result};
use crate::value::variables::{Origin, Variables};

/// Becomes the command, with the main process's variables, user and working directory. Returns only the
/// failure.
pub(crate) fn exec(command: &[OsString], signals: Signals) -> Failure {
    let mut children = Children::new(signals);
    let variables = match join(&mut children) {
        Ok(variables) => variables,
        Err(failure) => return failure,
    };
    crate::sys::exec::exec_with(command, &variables, children.signals())
}

/// Makes this process like the main process; its variables are for the exec.
fn join(children: &mut Children) -> Result<Variables> {
    let main = main_process::find(children).map_err(|why| absent(&why))?;
    main.is_one_user()?;
    let mut variables = main.variables()?;
    main.enter()?;
    let has_terminal = std::io::stdin().is_terminal() || std::io::stdout().is_terminal();
    if has_terminal && variables.get(b"TERM").is_none() {
        let own = read::environment();
        if let Some(term) = own.get(b"TERM") {
            variables.set(b"TERM", term.value, Origin::Inherited, false);
        }
    }
    main.become_its_user()?;
    Ok(variables)
}

fn absent(absent: &Absent) -> Failure {
    let sentence = format!("cannot join the container's main process: {}", absent.describe());
    match absent {
        Absent::SettingUp(_) => Failure::say(Kind::Unavailable, sentence).hint(
            "what hooks export is not there before they have run; without `preverb --exec --` a command runs at any time",
        ),
        Absent::Starting(_) | Absent::NoTarget(_) | Absent::Ended(..) => {
            Failure::say(Kind::Unavailable, sentence)
        }
        Absent::Stopped(stop) => stop.failure("before the command started"),
        Absent::Alone => Failure::say(Kind::Usage, sentence)
            .hint("`--exec` is for `docker exec` and `kubectl exec`, in a container that already runs"),
        Absent::NoProc | Absent::NotSeen => Failure::say(Kind::System, sentence),
    }
}
