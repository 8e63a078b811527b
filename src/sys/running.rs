//! A running child: its output so far, its input, how it ended, and how to end it. `child.rs` decides when.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::{SIGKILL, SIGTERM, SIGTTIN, SIGTTOU};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, Shutdown, UnixCredentials, recvmsg, shutdown};
use nix::unistd::Pid;

use crate::sys::identity::{Identity, acting_as};
use crate::sys::signals::send;
use crate::text::{Failure, Kind, escaped, readable, shortened};
use crate::value::signal_name;

/// The time that a group has to end before it is killed.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// The maximum size of a child's output: a hook that writes without end must not use up the memory.
pub(crate) const LONGEST_OUTPUT: usize = 16 << 20;
const LONGEST_QUOTE: usize = 500;

/// The settings of a child.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    /// The user of the child, if this process itself may lack the right to send signals to it.
    pub(crate) identity: Option<Identity>,
    /// The user that sends the environment back through `Children::socket`, if the child does so.
    pub(crate) hands_back: Option<u32>,
    pub(crate) quiet: bool,
    /// The time limit; zero means no limit.
    pub(crate) limit: Option<Duration>,
    /// The time to end after a request, if it differs from the default.
    pub(crate) grace: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct Running {
    /// The process id, which is also the id of its group.
    pub(crate) pid: i32,
    pub(crate) started: Instant,
    pub(crate) terms: Terms,
    /// While it is being ended: the result to report instead of its own status, and the time of the kill.
    pub(crate) ending: Option<(Option<Ended>, Instant)>,
    pub(crate) killed: bool,
    pub(crate) status: Option<Ended>,
    /// A user other than root who wrote to descriptor 3, if only root may.
    pub(crate) foreign_writer: Option<u32>,
    pub(crate) pipes: Vec<Pipe>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carries {
    Environment,
    Variables,
    Report,
    Output,
    Input,
}

#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) carries: Carries,
    pub(crate) end: Option<OwnedFd>,
    pub(crate) read: Vec<u8>,
    pub(crate) unsent: Vec<u8>,
    pub(crate) root_only: bool,
}

impl Pipe {
    pub(crate) fn new(carries: Carries, end: OwnedFd, unsent: &[u8]) -> Self {
        Self { carries, end: Some(end), read: Vec::new(), unsent: unsent.to_vec(), root_only: false }
    }

    pub(crate) fn send(&mut self) {
        if let Some(end) = self.end.as_ref().filter(|_| !self.unsent.is_empty()) {
            match nix::unistd::write(end, &self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(_) => self.unsent.clear(),
            }
            if self.unsent.is_empty() && self.carries != Carries::Input {
                let _ = shutdown(end.as_raw_fd(), Shutdown::Write);
            }
        }
        if self.unsent.is_empty() && self.carries == Carries::Input {
            self.end = None;
        }
    }

    /// Reads the available data. A daemon that a hook started may keep the pipe open forever.
    fn read(&mut self, foreign_writer: &mut Option<u32>) {
        let mut buffer = [0; 16_384];
        while let Some(end) = self.end.as_ref().filter(|_| self.carries != Carries::Input) {
            let read = if self.root_only {
                read_from_root(end, &mut buffer, foreign_writer)
            } else {
                nix::unistd::read(end, &mut buffer)
            };
            match read {
                Ok(count) => {
                    self.read.extend_from_slice(&buffer[..count]);
                    if count == 0 || self.read.len() > LONGEST_OUTPUT {
                        self.end = None;
                    }
                }
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }
}

impl Running {
    fn grace(&self) -> Duration {
        self.terms.grace.unwrap_or(GRACE)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let limit = self.terms.limit.filter(|limit| !limit.is_zero())?;
        self.started.checked_add(limit)
    }

    /// The text that it has sent; the last environment if there are several.
    pub(crate) fn text(&self, carries: Carries) -> &[u8] {
        self.pipes.iter().rfind(|pipe| pipe.carries == carries).map(|pipe| &*pipe.read).unwrap_or_default()
    }

    pub(crate) fn read_pipes(&mut self) {
        for pipe in &mut self.pipes {
            pipe.send();
            pipe.read(&mut self.foreign_writer);
        }
        let is_too_much = self.pipes.iter().any(|pipe| pipe.read.len() > LONGEST_OUTPUT);
        if is_too_much && self.status.is_some() {
            self.status = Some(Ended::TooMuchOutput);
        } else if is_too_much && !self.killed {
            self.kill(Some(Ended::TooMuchOutput));
        }
    }

    pub(crate) fn has_reported(&self) -> bool {
        !self.text(Carries::Report).is_empty()
    }

    pub(crate) fn last_line(&self) -> String {
        let carries = if self.has_reported() { Carries::Report } else { Carries::Output };
        let line = self.text(carries).trim_ascii().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        // A character has at most four bytes.
        let line = line.get(..4 * LONGEST_QUOTE).unwrap_or(line);
        shortened(escaped(line), LONGEST_QUOTE)
    }

    /// The result, once it has ended. While it is being ended, the rest of its group has to end as well.
    pub(crate) fn ended(&self) -> Option<&Ended> {
        self.status.as_ref().filter(|_| self.ending.is_none() || self.killed)
    }

    /// Asks it to end. Its result is `counts_as`, or its own.
    pub(crate) fn end(&mut self, signal: i32, counts_as: Option<Ended>) {
        self.send(signal);
        if self.ending.is_none() {
            self.ending = Some((counts_as, Instant::now() + self.grace()));
        }
    }

    pub(crate) fn kill(&mut self, counts_as: Option<Ended>) {
        self.end(SIGKILL, counts_as);
        self.killed = true;
    }

    /// Ends it past its limit, and kills it past its grace time.
    pub(crate) fn end_if_due(&mut self, now: Instant) {
        let is_late = self.deadline().is_some_and(|deadline| deadline <= now);
        if is_late && self.ending.is_none() && self.status.is_none() {
            let timed_out = Some(Ended::TimedOut(self.terms.limit.unwrap_or_default()));
            // Unlike a hook, a quiet child (a try) has nothing to clean up.
            if self.terms.quiet { self.kill(timed_out) } else { self.end(SIGTERM, timed_out) }
        }
        if !self.killed && self.ending.as_ref().is_some_and(|(_, kill)| *kill <= now) {
            self.kill(None);
        }
    }

    pub(crate) fn outlived(&self) -> Option<Duration> {
        let asked = matches!(self.ending, Some((None | Some(Ended::TimedOut(_)), _)));
        (asked && self.killed && !self.terms.quiet).then(|| self.grace())
    }

    /// Sends a signal to its group, and also to the child itself if it has left the group: its number cannot
    /// be reused before it is reaped.
    pub(crate) fn send(&self, signal: i32) {
        let pid = Pid::from_raw(self.pid);
        let has_left = self.status.is_none() && nix::unistd::getpgid(Some(pid)) != Ok(pid);
        let sent = || send(-self.pid, signal) && (!has_left || send(self.pid, signal));
        // Without CAP_KILL only the user may send signals to it.
        if !sent() && self.terms.identity.is_some() {
            let _ = acting_as(self.terms.identity.as_ref(), || Ok(sent()));
        }
    }
}

/// Reads data that root wrote. Any other writer is recorded.
fn read_from_root(end: &OwnedFd, buffer: &mut [u8], foreign_writer: &mut Option<u32>) -> nix::Result<usize> {
    let mut buffers = [IoSliceMut::new(buffer)];
    let mut space = nix::cmsg_space!(UnixCredentials);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(end.as_raw_fd(), &mut buffers, Some(&mut space), flags)?;
    // Each message has one writer; the end of the stream has none.
    let writer = message.cmsgs()?.find_map(|message| {
        if let ControlMessageOwned::ScmCredentials(writer) = message { Some(writer.uid()) } else { None }
    });
    let count = message.bytes;
    if count > 0 && writer != Some(0) {
        *foreign_writer = foreign_writer.or(writer).or(Some(u32::MAX));
    }
    Ok(count)
}

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
                let terminal = [SIGTTIN, SIGTTOU].contains(signal);
                let why = if terminal { ": a hook cannot use the terminal" } else { "" };
                format!("was stopped by {}{why}", signal_name(*signal))
            }
            Self::TimedOut(limit) => format!("took longer than its timeout of {}", readable(*limit)),
            Self::TooMuchOutput => format!("wrote more than the {} MiB that are read", LONGEST_OUTPUT >> 20),
            Self::NotStarted(reason) => format!("could not be started: {reason}"),
        }
    }
}

/// A request to stop, with its signal. It ends the work in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop(pub(crate) i32);

impl Stop {
    /// This is not a request: the companion has ended, and its owner knows the result.
    pub(crate) const COMPANION: Self = Self(0);

    pub(crate) fn failure(self, what: &str) -> Failure {
        let name = signal_name(self.0);
        Failure::new(Kind::Stopped(self.0), format!("stopped by {name} {what}")).field("signal", name)
    }
}
