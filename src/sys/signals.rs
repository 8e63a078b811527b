//! Signals: the only user of signal-hook, of masks and of kill(2).
//!
//! Handled signals are blocked and read from a descriptor. The kernel keeps a blocked signal even for PID 1,
//! which otherwise never gets a signal without a handler, and also one that was pending when preverb started.

#![expect(clippy::disallowed_methods, reason = "the one place that sends signals")]

use std::io::ErrorKind;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use nix::libc::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use rustix::process;
use rustix_libc_wrappers::process::SignalExt as _;

use crate::text::{Failure, Kind, Result};

/// The signals that request a stop, unless the table changes them.
const STOP: [i32; 4] = [SIGTERM, SIGINT, SIGHUP, SIGQUIT];
/// The first signal without a name.
const FIRST_REAL_TIME: i32 = 32;

fn refused(error: nix::errno::Errno) -> Failure {
    Failure::new(Kind::System, format!("cannot handle signals: {}", error.desc()))
}

pub(crate) struct Signals {
    stop: Vec<i32>,
    pub(crate) inherited: SigSet,
    pub(crate) descriptor: SignalFd,
    /// The signals that were inherited as ignored, one bit each; read when the first signal arrives.
    ignored: Option<u64>,
    /// Real-time signals that are not requests. They can only be taken all at once, and are sent again.
    unrequested: Vec<i32>,
    /// The deadline of a wait for a file, if any.
    pub(crate) file_deadline: Option<Instant>,
}

impl Signals {
    /// Handles TERM, INT, HUP and QUIT from here on.
    pub(crate) fn handle() -> Result<Self> {
        Self::of(&STOP)
    }

    /// Handles these signals as requests to stop, and the ends of children.
    pub(crate) fn of(stop: &[i32]) -> Result<Self> {
        default_in_children();
        let mut inherited = SigSet::empty();
        let set = set_of(stop);
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), Some(&mut inherited)).map_err(refused)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let descriptor = SignalFd::with_flags(&set, flags).map_err(refused)?;
        let (stop, unrequested) = (stop.to_vec(), Vec::new());
        Ok(Self { stop, inherited, descriptor, ignored: None, unrequested, file_deadline: None })
    }

    /// Handles these signals as requests to stop instead of the four.
    pub(crate) fn handle_instead(&mut self, stop: &[i32]) -> Result<()> {
        let (set, mut others) = (set_of(stop), set_of(&STOP));
        set.iter().chain(self.inherited.iter()).for_each(|signal| others.remove(signal));
        // All other blocked signals were inherited like that and stay blocked.
        take(&set, &self.descriptor)?;
        others.thread_unblock().map_err(refused)?;
        stop.clone_into(&mut self.stop);
        Ok(())
    }

    pub(crate) fn stop(&mut self) -> Option<i32> {
        while let Some(info) = self.descriptor.read_signal().ok().flatten() {
            let number = info.ssi_signo.cast_signed();
            if self.stop.contains(&number) && !self.is_ignored(number) {
                return Some(number);
            }
            if number >= FIRST_REAL_TIME {
                self.unrequested.push(number);
            }
        }
        None
    }

    /// Waits until a file is readable, or until a request to stop, which is returned. The error is a timeout.
    pub(crate) fn wait_for(&mut self, file: BorrowedFd<'_>) -> std::io::Result<Option<i32>> {
        loop {
            let is_last_look = self.file_deadline.is_some_and(|until| until <= Instant::now());
            let mut descriptors =
                [self.descriptor.as_fd(), file].map(|each| PollFd::new(each, PollFlags::POLLIN));
            let _ = poll(&mut descriptors, timeout(self.file_deadline));
            let is_ready = descriptors[1].any() != Some(false);
            match self.stop() {
                None if !is_ready && is_last_look => return Err(ErrorKind::TimedOut.into()),
                None if !is_ready => {}
                stop => return Ok(stop),
            }
        }
    }

    /// Whether preverb inherited this signal as ignored; then it stays ignored. A blocked signal is queued
    /// even if it is ignored, so this is checked only when a signal arrives.
    fn is_ignored(&mut self, number: i32) -> bool {
        let ignored = *self.ignored.get_or_insert_with(|| {
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
            line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
        });
        (1..=64).contains(&number) && ignored & (1 << (number - 1)) != 0
    }

    /// The signals that this process has blocked. They stay so during the exec of preverb, so none is lost.
    pub(crate) fn blocked(&self) -> Vec<i32> {
        self.put_back();
        let inherited = |number| Signal::try_from(number).is_ok_and(|signal| self.inherited.contains(signal));
        self.stop.iter().copied().chain([SIGCHLD]).filter(|number| !inherited(*number)).collect()
    }

    /// Takes over the signals that the previous preverb has `blocked`, so that children and the target do not
    /// inherit that. Returns a request to stop that has already arrived.
    pub(crate) fn take_over(&mut self, blocked: &[i32]) -> Result<Option<i32>> {
        if takes_real_time(blocked) {
            // Real-time signals can only be removed from a set all at once.
            self.inherited = self.inherited.iter().collect();
        }
        let named = blocked.iter().filter_map(|number| Signal::try_from(*number).ok());
        named.for_each(|signal| self.inherited.remove(signal));
        self.stop = blocked.iter().copied().filter(|number| *number != SIGCHLD).collect();
        take(&set_of(&self.stop), &self.descriptor)?;
        Ok(self.stop())
    }

    /// Makes a stop between the last check and the exec end process 1, too. Without a handler the kernel
    /// drops its signals (kill(2)), even blocked ones; execve(2) resets this handler. Other processes have
    /// the default action.
    pub(crate) fn catch_a_late_stop(&mut self) {
        let is_init = std::process::id() == 1;
        for number in self.stop.clone() {
            if is_init && !self.is_ignored(number) {
                let always = Arc::new(AtomicBool::new(true));
                let _ = signal_hook::flag::register_conditional_shutdown(number, 128 + number, always);
            }
        }
    }

    /// Restores the inherited mask, immediately before an exec. It unblocks only the signals that were
    /// blocked here: a C library reserves some signals, and setting a whole mask would lose those.
    pub(crate) fn restore(&self) {
        if takes_real_time(&self.stop) {
            // Some real-time signals may have been blocked before, and a set cannot exclude single ones.
            self.put_back();
            let _ = self.inherited.thread_set_mask();
            return;
        }
        let mut ours = set_of(&self.stop);
        self.inherited.iter().for_each(|signal| ours.remove(signal));
        let _ = ours.thread_unblock();
    }

    /// Sends the real-time signals again that were not requests.
    fn put_back(&self) {
        for number in &self.unrequested {
            send(std::process::id().cast_signed(), *number);
        }
    }

    /// Takes every signal that can be caught, also ignored ones, for a process that forwards them. A fault of
    /// this process itself is not masked: the kernel forces it.
    pub(crate) fn take_all(&self) -> Result<()> {
        take(&SigSet::all(), &self.descriptor)
    }

    /// The next signal that has arrived, if any, and was not sent because of a child; never blocks.
    pub(crate) fn next(&self) -> Option<i32> {
        loop {
            let info = self.descriptor.read_signal().ok().flatten()?;
            let number = info.ssi_signo.cast_signed();
            // The kernel's codes are above 0; those of kill(2), sigqueue(3) and tgkill(2) are not.
            if number != SIGCHLD || info.ssi_code <= 0 {
                return Some(number);
            }
        }
    }

    pub(crate) fn wait(&self, until: Option<Instant>) {
        let _ = poll(&mut [PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN)], timeout(until));
    }

    pub(crate) fn block_again(&self) {
        let _ = set_of(&self.stop).thread_block();
    }
}

/// The timeout of poll(2), at most a minute. Rounded down, the last millisecond would be a busy loop.
pub(crate) fn timeout(until: Option<Instant>) -> PollTimeout {
    let Some(until) = until else { return PollTimeout::NONE };
    let left = until.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
    PollTimeout::try_from(left.as_millis().min(60_000)).unwrap_or(PollTimeout::ZERO)
}

/// Makes SIGPIPE and SIGCHLD default in programs that this process execs, which resets handlers (signal(7)).
/// Rust ignores SIGPIPE, and a parent may have ignored SIGCHLD, so that waitpid(2) would lose every status.
pub(crate) fn default_in_children() {
    for signal in [Signal::SIGPIPE, Signal::SIGCHLD] {
        let _ = signal_hook::flag::register(signal as i32, Arc::new(AtomicBool::new(false)));
    }
}

fn take(set: &SigSet, descriptor: &SignalFd) -> Result<()> {
    set.thread_block().and_then(|()| descriptor.set_mask(set)).map_err(refused)
}

fn takes_real_time(stop: &[i32]) -> bool {
    stop.iter().any(|number| *number >= FIRST_REAL_TIME)
}

fn set_of(stop: &[i32]) -> SigSet {
    let wanted = stop.iter().filter_map(|number| Signal::try_from(*number).ok()).chain([Signal::SIGCHLD]);
    let mut set: SigSet = wanted.collect();
    // Real-time signals can only be added to a set all at once. Unwanted ones are skipped when they arrive.
    if takes_real_time(stop) {
        let named = std::mem::replace(&mut set, SigSet::all());
        Signal::iterator().filter(|signal| !named.contains(*signal)).for_each(|signal| set.remove(signal));
    }
    set
}

/// Sends any signal to a process, to a group (its negative number), or to all (-1), like kill(2). Returns
/// false if that is not permitted; a missing process is ignored.
pub(crate) fn send(pid: i32, number: i32) -> bool {
    let kill = if pid < 0 { process::kill_process_group } else { process::kill_process };
    // The numbers that the C library reserves (32 to 34 with musl) cannot be sent.
    let (pid, signal) = (process::Pid::from_raw(pid.abs()), process::Signal::from_raw(number));
    let (Some(pid), Some(signal)) = (pid, signal) else { return true };
    kill(pid, signal) != Err(rustix::io::Errno::PERM)
}

/// Does `work` while TTOU is blocked: otherwise a background process that changes the terminal is stopped.
pub(crate) fn without_ttou<T>(work: impl FnOnce() -> T) -> T {
    let ttou = SigSet::from(Signal::SIGTTOU);
    let before = ttou.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let result = work();
    if before.is_ok_and(|before| !before.contains(Signal::SIGTTOU)) {
        let _ = ttou.thread_unblock();
    }
    result
}

pub(crate) fn group_lives(group: i32) -> bool {
    nix::sys::signal::killpg(Pid::from_raw(group), None) != Err(nix::errno::Errno::ESRCH)
}
