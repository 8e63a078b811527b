//! `--exec -- COMMAND...`: runs a command as the container's main process would run it: with its variables,
//! in its working directory, as its user.
//!
//! While setup is still running the command is refused, because the variables are not yet the ones that it is
//! promised. And where the command has a terminal that the main process has not, it has the `TERM` of
//! whoever started it: that describes the terminal, not the container.

use std::ffi::OsString;
use std::io::IsTerminal as _;

use crate::modes::context::Context;
use crate::modes::main_process;
use crate::sys::child::Children;
use crate::sys::{exec, read};
use crate::text::failure::{Failure, Result};
use crate::value::variables::{Origin, Variables};

/// Becomes the command, with the main process's variables, user and working directory. Returns only the
/// failure.
pub(crate) fn exec(context: Context<'_>, command: &[OsString]) -> Failure {
    let mut children = Children::new(context.signals);
    match join(&mut children) {
        Ok(variables) => exec::exec_with(command, &variables, children.signals()),
        Err(failure) => failure,
    }
}

fn join(children: &mut Children) -> Result<Variables> {
    let main = main_process::find(children, "before the command started").map_err(|failure| {
        if failure.is_stop() {
            return failure;
        }
        let kind = failure.kind();
        let (sentence, hint) = failure.into_parts();
        let failure = Failure::say(kind, format!("cannot join the container's main process: {sentence}"));
        hint.into_iter().fold(failure, Failure::hint)
    })?;
    main.is_one_user()?;
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
    Ok(variables)
}
