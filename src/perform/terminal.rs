//! The terminal, kept usable for the target whatever a hook does to it.

use std::os::fd::AsFd;

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::Pid;

/// The terminal as it was before the first hook.
#[derive(Debug)]
pub(crate) struct Terminal {
    file: std::fs::File,
    settings: Termios,
    foreground: Option<Pid>,
}

impl Terminal {
    /// The controlling terminal, if there is one.
    pub(crate) fn observe() -> Option<Self> {
        // A process without a controlling terminal gets ENXIO here; a scratch image has no such file.
        let file = std::fs::File::open("/dev/tty").ok().or_else(|| {
            let stderr = std::io::stderr();
            let is_terminal = std::io::IsTerminal::is_terminal(&stderr);
            is_terminal.then(|| stderr.as_fd().try_clone_to_owned().ok().map(std::fs::File::from))?
        })?;
        let settings = tcgetattr(&file).ok()?;
        let foreground = nix::unistd::tcgetpgrp(&file).ok();
        Some(Self { file, settings, foreground })
    }

    /// Puts back what a hook changed.
    pub(crate) fn restore(&self) {
        // A process of the background that changes the terminal is stopped by TTOU, unless it blocks it.
        let mut ttou = nix::sys::signal::SigSet::empty();
        ttou.add(nix::sys::signal::Signal::SIGTTOU);
        let before = ttou.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK);
        if let Some(foreground) = self.foreground
            && nix::unistd::tcgetpgrp(&self.file).ok() != Some(foreground)
        {
            let _ = nix::unistd::tcsetpgrp(&self.file, foreground);
        }
        if tcgetattr(&self.file).is_ok_and(|settings| settings != self.settings) {
            let _ = tcsetattr(&self.file, SetArg::TCSANOW, &self.settings);
        }
        if let Ok(before) = before {
            let _ = before.thread_set_mask();
        }
    }
}
