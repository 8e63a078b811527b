//! Keeps the terminal and the standard streams usable for the target, no matter what a hook changes.

use std::fs::File;
use std::io::{stderr, stdin, stdout};
use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

use crate::sys::signals::without_ttou;

/// The state of the terminal and the standard streams, which hooks share with the target, before the first
/// hook.
pub(crate) struct Terminal {
    controlling: Option<Controlling>,
    /// The flags of the standard streams. They belong to the open file, not to the descriptor: a hook that
    /// makes its standard error non-blocking does so for the target as well.
    flags: [Option<OFlag>; 3],
}

/// The controlling terminal, if this process is in its foreground.
struct Controlling {
    file: File,
    settings: Termios,
    foreground: Pid,
}

impl Terminal {
    pub(crate) fn observe() -> Self {
        Self { controlling: Controlling::observe(), flags: with_streams(|_, stream| flags(stream)) }
    }

    pub(crate) fn restore(&self) {
        if let Some(controlling) = &self.controlling {
            controlling.restore();
        }
        with_streams(|number, stream| {
            if let (Some(before), Some(now)) = (self.flags[number], flags(stream))
                && before != now
            {
                let _ = fcntl(stream, FcntlArg::F_SETFL(before));
            }
        });
    }
}

fn flags(stream: BorrowedFd<'_>) -> Option<OFlag> {
    fcntl(stream, FcntlArg::F_GETFL).ok().map(OFlag::from_bits_retain)
}

fn with_streams<T>(each: impl Fn(usize, BorrowedFd<'_>) -> T) -> [T; 3] {
    [each(0, stdin().as_fd()), each(1, stdout().as_fd()), each(2, stderr().as_fd())]
}

impl Controlling {
    fn observe() -> Option<Self> {
        // A process without a controlling terminal gets ENXIO here.
        let file = File::open("/dev/tty").ok()?;
        let settings = tcgetattr(&file).ok()?;
        let foreground = tcgetpgrp(&file).ok()?;
        // A background job has no foreground to lose, and must not take it from the job that has it.
        (foreground == getpgrp()).then_some(Self { file, settings, foreground })
    }

    fn restore(&self) {
        without_ttou(|| {
            if tcgetpgrp(&self.file) != Ok(self.foreground) {
                let _ = tcsetpgrp(&self.file, self.foreground);
            }
            if tcgetattr(&self.file).is_ok_and(|settings| settings != self.settings) {
                let _ = tcsetattr(&self.file, SetArg::TCSANOW, &self.settings);
            }
        });
    }
}
