//! `--as USER -- COMMAND...`: steps down, and becomes the command.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use crate::modes::context::Context;
use crate::setup::state::not_root;
use crate::sys::exec;
use crate::sys::identity::{self, Myself};
use crate::text::failure::{Failure, Kind};
use crate::value::template::Expanded;
use crate::value::user::UserSpec;
use crate::value::variables::Origin;

/// Steps down, sets `HOME`, and becomes the command. Returns only the failure.
pub(crate) fn step_down(context: Context<'_>, user: &OsStr, command: &[OsString]) -> Failure {
    let Context { mut variables, mut signals, log } = context;
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
