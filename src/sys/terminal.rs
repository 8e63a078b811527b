//! The terminal and the standard streams, kept usable for the target whatever a hook does to them.

use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::Pid;

use crate::sys::signals::without_ttou;

/// What hooks share with the target, as it was before the first hook.
#[derive(Debug)]
pub(crate) struct Terminal {
    controlling: Option<Controlling>,
    /// The flags of the standard streams. They belong to the open file, not to the descriptor: a hook that
    /// makes its standard error non-blocking makes it so for the target, whose output it is as well.
    flags: [Option<OFlag>; 3],
}

/// The controlling terminal, where this process has its foreground.
#[derive(Debug)]
struct Controlling {
    file: std::fs::File,
    settings: Termios,
    foreground: Pid,
}

impl Terminal {
    /// Notes how everything is.
    pub(crate) fn observe() -> Self {
        Self { controlling: Controlling::observe(), flags: with_streams(flags) }
    }

    /// Puts back what a hook changed.
    pub(crate) fn restore(&self) {
        if let Some(controlling) = &self.controlling {
            controlling.restore();
        }
        let now = with_streams(flags);
        let mut wanted = self.flags.iter().zip(now);
        with_streams(|stream| {
            if let Some((Some(before), Some(now))) = wanted.next()
                && *before != now
            {
                let _ = fcntl(stream, FcntlArg::F_SETFL(*before));
            }
        });
    }
}

fn flags(stream: BorrowedFd<'_>) -> Option<OFlag> {
    fcntl(stream, FcntlArg::F_GETFL).ok().map(OFlag::from_bits_retain)
}

fn with_streams<T>(mut each: impl FnMut(BorrowedFd<'_>) -> T) -> [T; 3] {
    let (input, output, error) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    [each(input.as_fd()), each(output.as_fd()), each(error.as_fd())]
}

impl Controlling {
    fn observe() -> Option<Self> {
        // A process without a controlling terminal gets ENXIO here; a scratch image has no such file.
        let file = std::fs::File::open("/dev/tty").ok().or_else(|| {
            let stderr = std::io::stderr();
            let is_terminal = std::io::IsTerminal::is_terminal(&stderr);
            is_terminal.then(|| stderr.as_fd().try_clone_to_owned().ok().map(std::fs::File::from))?
        })?;
        let settings = tcgetattr(&file).ok()?;
        let foreground = nix::unistd::tcgetpgrp(&file).ok()?;
        // A job of the background has no terminal to lose, and must not take it from the one that has it.
        (foreground == nix::unistd::getpgrp()).then_some(Self { file, settings, foreground })
    }

    fn restore(&self) {
        without_ttou(|| {
            if nix::unistd::tcgetpgrp(&self.file) != Ok(self.foreground) {
                let _ = nix::unistd::tcsetpgrp(&self.file, self.foreground);
            }
            if tcgetattr(&self.file).is_ok_and(|settings| settings != self.settings) {
                let _ = tcsetattr(&self.file, SetArg::TCSANOW, &self.settings);
            }
        });
    }
}
