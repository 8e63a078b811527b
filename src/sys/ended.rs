//! How children end, and what ends them.

use std::time::Duration;

use nix::sys::signal::Signal;
use rustix::process::WaitStatus;

use crate::text::duration::spoken;
use crate::text::failure::{Failure, Kind};
use crate::value::signal::signal_name;

/// How long a group that was asked to end may take before it is killed.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// The most that is read from a child: a hook that writes without end must not eat the memory.
pub(crate) const LONGEST_OUTPUT: usize = 16 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(i32),
    Signaled(i32),
    Stopped(i32),
    TimedOut(Duration),
    TooMuchOutput,
    NotStarted(String),
}

impl Ended {
    pub(crate) fn is_success(&self) -> bool {
        *self == Self::Exited(0)
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Exited(status) => u8::try_from(*status).unwrap_or(u8::MAX),
            Self::Signaled(signal) | Self::Stopped(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            Self::TimedOut(_) | Self::TooMuchOutput | Self::NotStarted(_) => u8::MAX,
        }
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Exited(status) => format!("exited with status {status}"),
            Self::Signaled(signal) => format!("was ended by {}", signal_name(*signal)),
            Self::Stopped(signal) => {
                let terminal = [Signal::SIGTTIN as i32, Signal::SIGTTOU as i32].contains(signal);
                let why = if terminal { ": a hook cannot use the terminal" } else { "" };
                format!("was stopped by {}{why}", signal_name(*signal))
            }
            Self::TimedOut(limit) => format!("took longer than its timeout of {}", spoken(*limit)),
            Self::TooMuchOutput => format!("wrote more than the {} MiB that are read", LONGEST_OUTPUT >> 20),
            Self::NotStarted(reason) => format!("could not be started: {reason}"),
        }
    }
}

/// What ends the work in progress: a request to stop, by its signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop(pub(crate) i32);

impl Stop {
    /// Not a request: the program that was to run meanwhile has ended, and its owner knows how.
    pub(crate) const COMPANION: Self = Self(0);

    pub(crate) fn failure(self, what: &str) -> Failure {
        let name = signal_name(self.0);
        Failure::say(Kind::Stopped(self.0), format!("stopped by {name} {what}")).field("signal", name)
    }
}

pub(crate) fn decode(status: WaitStatus) -> Ended {
    let signaled = status.terminating_signal().map(Ended::Signaled);
    signaled.unwrap_or_else(|| Ended::Exited(status.exit_status().unwrap_or(0)))
}
