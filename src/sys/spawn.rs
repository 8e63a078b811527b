//! Starts children. This is the only spawner.
//!
//! A child has its own process group, `/dev/null` as standard input, and this process's standard error as
//! standard output and error. No code runs between fork and exec: a child that must become another user is
//! preverb in an internal mode (`--preverb-as`) first.

use std::ffi::{CStr, CString, OsString};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags};
use nix::sys::signal::SigSet;
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{AddressFamily, Shutdown, SockFlag, SockType, setsockopt, shutdown, socketpair};
use nix::unistd::Pid;
use nix::{NixPath, Result};

use crate::sys::identity::acting_as;
use crate::sys::running::{Carries, Pipe, Running, Terms};
use crate::value::Variables;

const VARIABLES_FD: RawFd = 3;

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
        let argv = self.argv.iter().map(|word| CString::new(word.as_bytes()));
        let argv: Vec<CString> = argv.collect::<std::result::Result<_, _>>().map_err(|_| Errno::EINVAL)?;
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
