//! Starts a child, holds its pipes, and ends it. This is the only spawner.
//!
//! A child has its own process group, `/dev/null` as standard input, and this process's standard error as
//! standard output and error. No code runs between fork and exec: a child that must become another user is
//! preverb in an internal mode (`--preverb-as`) first. `child.rs` decides when a child has to end.

use std::ffi::{CStr, CString, OsString};
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::{SIGKILL, SIGTERM, SIGTTIN, SIGTTOU};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags};
use nix::sys::signal::SigSet;
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, Shutdown, SockFlag, SockType, UnixCredentials, recvmsg,
    setsockopt, shutdown, socketpair,
};
use nix::unistd::Pid;
use nix::{NixPath, Result};

use crate::sys::identity::{Identity, acting_as};
use crate::sys::signals::send;
use crate::text::{Failure, Kind, escaped, readable, shortened};
use crate::value::{Variables, signal_name};

/// The time that a group has to end before it is killed.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// The maximum size of a child's output: a hook that writes without end must not use up the memory.
pub(crate) const LONGEST_OUTPUT: usize = 16 << 20;
const LONGEST_QUOTE: usize = 500;
const VARIABLES_FD: RawFd = 3;

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writers {
    All,
    /// Only root itself, and no process that has stepped down from root.
    Root,
}

pub(crate) struct Spawn<'a> {
    pub(crate) path: PathBuf,
    pub(crate) argv: Vec<OsString>,
    pub(crate) variables: &'a Variables,
    pub(crate) takes_variables: Option<Writers>,
    /// The request for an internal mode, through standard input, which also carries the report of a failure.
    pub(crate) request: Option<Vec<u8>>,
    /// The content of standard input. An internal mode finds it at its standard output.
    pub(crate) input: Option<Vec<u8>>,
    pub(crate) terms: Terms,
}

impl<'a> Spawn<'a> {
    pub(crate) fn new(path: PathBuf, argv: Vec<OsString>, variables: &'a Variables) -> Self {
        let terms = Terms::default();
        Self { path, argv, variables, takes_variables: None, request: None, input: None, terms }
    }

    /// Starts the child with this mask, and closes the descriptors that this process `inherited`.
    pub(crate) fn start(&self, inherited: &[RawFd], mask: &SigSet) -> Result<Running> {
        let mut actions = PosixSpawnFileActions::init()?;
        let null = null()?;
        let (mut pipes, mut ends) = (Vec::new(), Vec::new());
        // Returns the child's end.
        let mut connect = |carries, (ours, theirs): (OwnedFd, OwnedFd), unsent: &[u8]| -> Result<RawFd> {
            fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            let root_only = carries == Carries::Variables && self.takes_variables == Some(Writers::Root);
            pipes.push(Pipe { root_only, ..Pipe::new(carries, ours, unsent) });
            let end = theirs.as_raw_fd();
            ends.push(theirs);
            Ok(end)
        };
        let pipe = || nix::unistd::pipe2(OFlag::O_CLOEXEC);
        let pair = || socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC);
        let request = self.request.as_ref().map(|request| connect(Carries::Report, pair()?, request));
        actions.add_dup2(request.unwrap_or(Ok(null.as_raw_fd()))?, 0)?;
        if self.terms.quiet {
            actions.add_dup2(connect(Carries::Output, pipe()?, b"")?, 2)?;
        }
        actions.add_dup2(2, 1)?;
        if let Some(input) = &self.input {
            // The pipe belongs to the user, who can then open it again by name.
            let made = acting_as(self.terms.identity.as_ref(), || Ok(pipe()));
            let (theirs, ours) = made.unwrap_or_else(|_| pipe())?;
            let to = i32::from(self.request.is_some());
            actions.add_dup2(connect(Carries::Input, (ours, theirs), input)?, to)?;
        }
        // This is last. Its source is never 3: the signals' descriptor and `null` were opened earlier.
        if let Some(writers) = self.takes_variables {
            // A pipe does not identify its writers.
            let ends = if writers == Writers::Root { pair()? } else { pipe()? };
            if writers == Writers::Root {
                setsockopt(&ends.0, PassCred, &true)?;
                shutdown(ends.0.as_raw_fd(), Shutdown::Write)?;
            }
            actions.add_dup2(connect(Carries::Variables, ends, b"")?, VARIABLES_FD)?;
        }
        for fd in inherited.iter().filter(|fd| self.takes_variables.is_none() || **fd != VARIABLES_FD) {
            actions.add_close(*fd)?;
        }
        let argv = self.argv.iter().map(|word| CString::new(word.as_bytes()).map_err(|_| Errno::EINVAL));
        let argv = argv.collect::<Result<Vec<_>>>()?;
        let started = Instant::now();
        let mut running = Running {
            pid: spawn(self.path.as_path(), &actions, &argv, &self.variables.to_envp(), mask)?,
            started,
            terms: self.terms.clone(),
            ending: None,
            killed: false,
            status: None,
            foreign_writer: None,
            pipes,
        };
        running.pipes.iter_mut().for_each(Pipe::send);
        Ok(running)
    }
}

/// Starts the target of a supervisor with this process's streams and descriptors, and with this mask.
pub(crate) fn spawn_target(path: &CStr, argv: &[CString], envp: &[&CStr], mask: &SigSet) -> Result<i32> {
    spawn(path, &PosixSpawnFileActions::init()?, argv, envp, mask)
}

/// Spawns a process in a new process group, with this mask.
fn spawn<P: ?Sized + NixPath>(
    path: &P, actions: &PosixSpawnFileActions, argv: &[CString], envp: &[&CStr], mask: &SigSet,
) -> Result<i32> {
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETPGROUP | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK)?;
    attributes.set_pgroup(Pid::from_raw(0))?;
    attributes.set_sigmask(mask)?;
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    Ok(nix::spawn::posix_spawn(path, actions, &attributes, argv, envp)?.as_raw())
}

/// `/dev/null`, or if it is missing, another file that is always at its end.
pub(crate) fn null() -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    nix::fcntl::open("/dev/null", flags, nix::sys::stat::Mode::empty())
        .or_else(|_| nix::unistd::pipe2(OFlag::O_CLOEXEC).map(|(read, _)| read))
}

/// The open descriptors above 2. An exec closes those of this process itself in any case.
pub(crate) fn inherited_descriptors() -> Vec<RawFd> {
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
        return numbers.filter(|fd| *fd > 2).collect();
    }
    // Without /proc, every possible number counts.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1024);
    (3..RawFd::try_from(limit.min(65_536)).unwrap_or(1024)).collect()
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
            self.ending = Some((counts_as, Instant::now() + self.terms.grace.unwrap_or(GRACE)));
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
        (asked && self.killed && !self.terms.quiet).then(|| self.terms.grace.unwrap_or(GRACE))
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
fn read_from_root(end: &OwnedFd, buffer: &mut [u8], foreign_writer: &mut Option<u32>) -> Result<usize> {
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
