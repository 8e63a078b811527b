//! A child that runs: what it has said so far, what it is sent, how it ended.
//!
//! It knows one child; which of them has ended, what is due, and when to look is `child.rs`'s affair.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, Shutdown, UnixCredentials, recvmsg, shutdown};
use nix::unistd::Pid;

use crate::sys::ended::{Ended, LONGEST_OUTPUT};
use crate::sys::identity::{Identity, acting_as};
use crate::sys::signals::{send, send_to_group};
use crate::text::escape::{escaped, shortened};

/// The most characters that are quoted of what a child says.
const LONGEST_QUOTE: usize = 500;

/// Why a child is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    TimedOut,
    Stopped(i32),
    /// It wrote too much.
    TooMuchOutput,
    /// A request to stop came.
    Requested,
}

/// A child that runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// Its process id, which is its group's.
    pub(crate) pid: i32,
    /// When it was started.
    pub(crate) started: Instant,
    pub(crate) limit: Option<Duration>,
    /// How long its group may take to end before it is killed.
    pub(crate) grace: Duration,
    pub(crate) ending: Option<(Ending, Instant)>,
    pub(crate) killed: bool,
    /// Whether nobody of its group was left when that was last looked at.
    pub(crate) alone: bool,
    pub(crate) status: Option<Ended>,
    pub(crate) hands_back: Option<u32>,
    pub(crate) quiet: bool,
    /// Whom it became, where that is somebody else than this process.
    pub(crate) identity: Option<Identity>,
    /// Who wrote to descriptor 3 without being root, where root alone may.
    pub(crate) stranger: Option<u32>,
    pub(crate) pipes: Vec<Pipe>,
}

/// What a pipe of a child carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carries {
    Environment,
    Variables,
    /// The same, where every writer must be root.
    RootsVariables,
    Report,
    Output,
    Input,
}

#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) carries: Carries,
    pub(crate) end: Option<OwnedFd>,
    pub(crate) read: Vec<u8>,
    /// What is still to be sent through it, and then no more.
    pub(crate) unsent: Vec<u8>,
}

impl Pipe {
    /// Sends what fits. One that has ended needs no more of it.
    fn send(&mut self) {
        if self.carries == Carries::Input && self.unsent.is_empty() {
            self.end = None;
        }
        let Some(end) = self.end.as_ref().filter(|_| !self.unsent.is_empty()) else { return };
        match nix::unistd::write(end, &self.unsent) {
            Ok(count) => drop(self.unsent.drain(..count)),
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => {}
            Err(_) => self.unsent.clear(),
        }
        if self.unsent.is_empty() && self.carries == Carries::Input {
            self.end = None;
        } else if self.unsent.is_empty() {
            let _ = shutdown(end.as_raw_fd(), Shutdown::Write);
        }
    }
}

impl Running {
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let limit = self.limit.filter(|limit| !limit.is_zero())?;
        self.started.checked_add(limit)
    }

    pub(crate) fn text(&self, carries: Carries) -> &[u8] {
        self.pipes.iter().find(|pipe| pipe.carries == carries).map(|pipe| &*pipe.read).unwrap_or_default()
    }

    /// What it wrote to descriptor 3.
    pub(crate) fn variables_text(&self) -> &[u8] {
        match self.text(Carries::Variables) {
            [] => self.text(Carries::RootsVariables),
            text => text,
        }
    }

    /// The environment that it handed back; the last one if it did so more than once.
    pub(crate) fn handed_back(&self) -> Option<&[u8]> {
        let environment = self.pipes.iter().rfind(|pipe| pipe.carries == Carries::Environment);
        environment.map(|pipe| &*pipe.read)
    }

    /// Sends what its pipes take.
    pub(crate) fn send_pipes(&mut self) {
        self.pipes.iter_mut().for_each(Pipe::send);
    }

    /// Whether it has reported that it could not do what it was asked.
    pub(crate) fn has_reported(&self) -> bool {
        !self.text(Carries::Report).is_empty()
    }

    /// The last line of what it said, where that is kept: of a report, or else of its standard error.
    pub(crate) fn last_line(&self) -> String {
        let report = self.text(Carries::Report);
        let said = if report.is_empty() { self.text(Carries::Output) } else { report };
        let line = said.trim_ascii().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        // A character has four bytes at most.
        let line = line.get(..4 * LONGEST_QUOTE).unwrap_or(line);
        shortened(escaped(line), LONGEST_QUOTE)
    }

    /// How it ended, once it has. The leader may end before the others of its group have done what the signal
    /// asked.
    pub(crate) fn ended(&self) -> Option<&Ended> {
        self.status.as_ref().filter(|_| self.ending.is_none() || self.killed || self.alone)
    }

    pub(crate) fn end(&mut self, ending: Ending, signal: i32) {
        self.send(signal);
        if self.ending.is_none() {
            self.ending = Some((ending, Instant::now() + self.grace));
        }
    }

    /// Kills it, because its answer is not wanted any more.
    pub(crate) fn end_now(&mut self) {
        self.end(Ending::Requested, 9);
        self.kill();
    }

    /// The grace that it did not end within, if it was killed for that.
    pub(crate) fn outlived(&self) -> Option<Duration> {
        let asked = matches!(self.ending, Some((Ending::TimedOut | Ending::Requested, _)));
        (asked && self.killed && !self.quiet).then_some(self.grace)
    }

    pub(crate) fn kill(&mut self) {
        self.send(9);
        self.killed = true;
    }

    /// Sends a signal to its group, and where it has left its group to itself: as long as it has not been
    /// collected nobody else can have its number.
    pub(crate) fn send(&self, signal: i32) {
        let pid = Pid::from_raw(self.pid);
        let has_left = self.status.is_none() && nix::unistd::getpgid(Some(pid)) != Ok(pid);
        let send = || send_to_group(self.pid, signal) && (!has_left || send(self.pid, signal));
        // Without KILL root may not, and the user may.
        if !send() && self.identity.is_some() {
            let _ = acting_as(self.identity.as_ref(), || Ok(send()));
        }
    }
}

/// Reads what root wrote. Whoever else wrote something is noted.
fn read_from_root(end: &OwnedFd, buffer: &mut [u8], stranger: &mut Option<u32>) -> nix::Result<usize> {
    let mut buffers = [IoSliceMut::new(buffer)];
    let mut space = nix::cmsg_space!(UnixCredentials);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(end.as_raw_fd(), &mut buffers, Some(&mut space), flags)?;
    // One message has one writer, and the end of all none.
    let writer = message.cmsgs()?.find_map(|message| {
        if let ControlMessageOwned::ScmCredentials(writer) = message { Some(writer.uid()) } else { None }
    });
    let count = message.bytes;
    if count > 0 && writer != Some(0) {
        *stranger = stranger.or(writer).or(Some(u32::MAX));
    }
    Ok(count)
}

/// Reads what the pipes of a child hold, without waiting. A pipe is never read to its end for its own sake: a
/// daemonised child of a hook may hold it open for ever.
// Not inlined: a run without children would pay for the pages of its buffer.
pub(crate) fn read_pipes(child: &mut Running) {
    let mut too_much = false;
    child.send_pipes();
    for pipe in &mut child.pipes {
        let Some(end) = &pipe.end else { continue };
        let mut buffer = [0; 16_384];
        loop {
            let read = match pipe.carries {
                Carries::RootsVariables => read_from_root(end, &mut buffer, &mut child.stranger),
                Carries::Environment | Carries::Variables | Carries::Report | Carries::Output => {
                    nix::unistd::read(end, &mut buffer)
                }
                Carries::Input => break,
            };
            match read {
                Ok(0) => {
                    pipe.end = None;
                    break;
                }
                Ok(count) => {
                    pipe.read.extend_from_slice(&buffer[..count]);
                    if pipe.read.len() > LONGEST_OUTPUT {
                        too_much = true;
                        pipe.end = None;
                        break;
                    }
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => break,
            }
        }
    }
    if too_much {
        if child.status.is_some() {
            child.status = Some(Ended::TooMuchOutput);
        } else {
            child.end(Ending::TooMuchOutput, 9);
            child.kill();
        }
    }
}
