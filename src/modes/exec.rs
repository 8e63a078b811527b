//! Replaces this process by a command. `--as USER -- COMMAND...` steps down first. `--exec -- COMMAND...`
//! gives the command the variables, the working directory and the user of the container's main process.
//!
//! `--exec` is refused while setup is still running, because the variables are not final yet. If the command
//! has a terminal and the main process has none, it keeps the caller's `TERM`, which describes the terminal
//! and not the container.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;
use std::os::unix::ffi::OsStrExt as _;

use crate::modes::context::Context;
use crate::modes::main_process;
use crate::setup::not_root;
use crate::sys::{Children, Credentials, exec, identity, read};
use crate::text::{Failure, Kind, Result};
use crate::value::{Expanded, Origin, UserSpec};

/// Steps down, sets `HOME` and executes the command. Returns only on failure.
pub(crate) fn step_down(context: Context<'_>, user: &OsStr, command: &[OsString]) -> Result<u8> {
    let Context { mut variables, mut signals, log, .. } = context;
    if let Err(reason) = UserSpec::parse(user.as_bytes()) {
        return Err(Failure::new(Kind::Usage, identity::no_user(user.as_bytes(), &reason)));
    }
    let identity = identity::resolve(&Expanded::open(user.as_bytes()))?;
    let myself = Credentials::observe();
    if myself.is_root() {
        if !myself.is(&identity) {
            identity::step_down(&identity, None)?;
        }
        variables.set(b"HOME", &*identity.home, Origin::User, false);
    } else if !myself.is(&identity) {
        log.emit(&not_root(myself, &identity.spec.shown()));
    }
    Err(exec::exec(command, &variables, Some(&mut signals)))
}

/// Executes the command with the main process's variables, user and working directory. Returns only on
/// failure.
pub(crate) fn exec(context: Context<'_>, command: &[OsString]) -> Result<u8> {
    let mut children = Children::new(context.signals);
    let main = main_process::find(&mut children, "before the command started").map_err(|failure| {
        if failure.is_stop() {
            return failure;
        }
        let kind = failure.kind();
        let (sentence, hint) = failure.into_parts();
        let failure = Failure::new(kind, format!("cannot join the container's main process: {sentence}"));
        hint.into_iter().fold(failure, Failure::hint)
    })?;
    let mut variables = main.variables()?;
    main.enter()?;
    let has_terminal = std::io::stdin().is_terminal() || std::io::stdout().is_terminal();
    if has_terminal
        && variables.get(b"TERM").is_none()
        && let Some(term) = read::environment().get(b"TERM")
    {
        variables.set(b"TERM", term.value, Origin::Inherited, false);
    }
    main.become_its_user()?;
    Err(exec::exec(command, &variables, Some(&mut children.signals)))
}
