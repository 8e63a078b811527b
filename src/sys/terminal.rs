//! Keeps the terminal and the standard streams usable for the target, no matter what a hook changes.

use std::fs::File;
use std::os::fd::BorrowedFd;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp, tcsetpgrp};
use rustix::stdio::{stderr, stdin, stdout};

use crate::sys::signals::without_ttou;

/// The state of the terminal and the standard streams before the first hook.
pub(crate) struct Terminal {
    /// The controlling terminal with its settings, if this process is in its foreground.
    controlling: Option<(File, Termios)>,
    /// The flags of the standard streams. They belong to the open file, not to the descriptor: a hook that
    /// makes its standard error non-blocking does so for the target as well.
    flags: [Option<OFlag>; 3],
}

impl Terminal {
    pub(crate) fn observe() -> Self {
        Self { controlling: controlling(), flags: [stdin(), stdout(), stderr()].map(flags) }
    }

    pub(crate) fn restore(&self) {
        if let Some((terminal, settings)) = &self.controlling {
            without_ttou(|| {
                if tcgetpgrp(terminal) != Ok(getpgrp()) {
                    let _ = tcsetpgrp(terminal, getpgrp());
                }
                if tcgetattr(terminal).is_ok_and(|now| now != *settings) {
                    let _ = tcsetattr(terminal, SetArg::TCSANOW, settings);
                }
            });
        }
        for (stream, before) in [stdin(), stdout(), stderr()].into_iter().zip(self.flags) {
            if let Some(before) = before.filter(|before| flags(stream).is_some_and(|now| now != *before)) {
                let _ = fcntl(stream, FcntlArg::F_SETFL(before));
            }
        }
    }
}

fn flags(stream: BorrowedFd<'_>) -> Option<OFlag> {
    fcntl(stream, FcntlArg::F_GETFL).ok().map(OFlag::from_bits_retain)
}

fn controlling() -> Option<(File, Termios)> {
    // A process without a controlling terminal gets ENXIO here.
    let terminal = File::open("/dev/tty").ok()?;
    let settings = tcgetattr(&terminal).ok()?;
    // A background job has no foreground to lose, and must not take it from the job that has it.
    (tcgetpgrp(&terminal) == Ok(getpgrp())).then_some((terminal, settings))
}
