//! Children: starting them, waiting for them, ending them. The only spawner and the only waitpid.
//!
//! A child has a process group of its own, `/dev/null` as standard input, and this process's standard error
//! as standard output and error. Nothing runs between fork and exec: where a child must become another
//! user first, it is preverb in a small mode that does so to itself (`--preverb-as`), and reports a refusal
//! on what it finds as its standard input.

use std::ffi::{CStr, CString, OsString};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::sockopt::{PassCred, PeerCredentials};
use nix::sys::socket::{
    AddressFamily, Shutdown, SockFlag, SockType, getsockopt, setsockopt, shutdown, socketpair,
};
use nix::unistd::Pid;
use rustix::process::WaitOptions;

pub(crate) use crate::sys::ended::{Ended, Stop};
use crate::sys::ended::{GRACE, decode};
use crate::sys::identity::{Identity, acting_as};
pub(crate) use crate::sys::running::Running;
use crate::sys::running::{Carries, Ending, Pipe, read_pipes};
use crate::sys::signals::{Signals, group_lives};
use crate::value::variables::Variables;

/// How often a group is looked at whose leader has ended: its members are nobody's children here.
const GROUP_POLL: Duration = Duration::from_millis(10);
/// The descriptor that hooks write variables to.
const VARIABLES_FD: RawFd = 3;

/// Who may write variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writers {
    /// Whoever has the descriptor.
    All,
    /// Root: nothing that root's program has stepped down to.
    Root,
}

/// What to start.
#[derive(Debug)]
pub(crate) struct Spawn<'a> {
    /// The file; already found, unless the child finds it itself.
    pub(crate) path: PathBuf,
    /// Its argv.
    pub(crate) argv: Vec<OsString>,
    /// Its variables.
    pub(crate) variables: &'a Variables,
    /// Whose variables descriptor 3 takes, if it takes any.
    pub(crate) takes_variables: Option<Writers>,
    /// Whom it becomes, where this process may not be allowed to send signals to that user as itself.
    pub(crate) identity: Option<Identity>,
    /// What a small mode of this program is handed through its standard input, where it can report a refusal,
    /// too.
    pub(crate) request: Option<Vec<u8>>,
    /// What its standard input holds; a small mode finds it at its standard output, for the program that it
    /// becomes.
    pub(crate) input: Option<Vec<u8>>,
    /// The user as whom it hands its environment back through `Children::socket`, if it is to.
    pub(crate) hands_back: Option<u32>,
    /// Whether it is a try, whose standard error is kept instead of shown, and which is killed at its limit.
    pub(crate) quiet: bool,
    /// How long it may take; zero means for ever.
    pub(crate) limit: Option<Duration>,
    /// How long its group may take to end before it is killed.
    pub(crate) grace: Duration,
}

impl<'a> Spawn<'a> {
    /// A program with these words and variables, and nothing special about it.
    pub(crate) fn new(path: PathBuf, argv: Vec<OsString>, variables: &'a Variables) -> Self {
        Self {
            path,
            argv,
            variables,
            takes_variables: None,
            identity: None,
            request: None,
            input: None,
            hands_back: None,
            quiet: false,
            limit: None,
            grace: GRACE,
        }
    }
}

/// All children of this process, and the signals that concern them.
#[derive(Debug)]
pub(crate) struct Children {
    signals: Signals,
    /// The descriptors above 2 that this process inherited: no hook gets them. Listed once.
    inherited: Option<Vec<RawFd>>,
    groups: Vec<i32>,
    /// What runs while others come and go, until it is asked to end.
    pub(crate) companion: Option<Running>,
    /// Where shells hand their environment back, and its name.
    socket: Option<(UnixListener, String)>,
}

impl Children {
    /// With these signals.
    pub(crate) fn new(signals: Signals) -> Self {
        Self { signals, inherited: None, groups: Vec::new(), companion: None, socket: None }
    }

    /// The signals.
    pub(crate) fn signals(&mut self) -> &mut Signals {
        &mut self.signals
    }

    /// The process groups of the children so far.
    pub(crate) fn groups(&self) -> &[i32] {
        &self.groups
    }

    /// Starts a child.
    ///
    /// # Errors
    /// execve(2)'s, for `exec.rs` to explain, or what kept the pipes from being made.
    pub(crate) fn spawn(&mut self, spawn: &Spawn<'_>) -> std::result::Result<Running, nix::errno::Errno> {
        let mut actions = PosixSpawnFileActions::init()?;
        let null = null()?;
        let mut pipes = Vec::new();
        let mut ends = Vec::new();
        let mut connect =
            |actions: &mut PosixSpawnFileActions, carries, to, (ours, theirs), unsent| -> nix::Result<()> {
                let (ours, theirs): (OwnedFd, OwnedFd) = (ours, theirs);
                nix::fcntl::fcntl(&ours, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
                actions.add_dup2(theirs.as_raw_fd(), to)?;
                pipes.push(Pipe { carries, end: Some(ours), read: Vec::new(), unsent });
                ends.push(theirs);
                Ok(())
            };
        let pipe = || nix::unistd::pipe2(OFlag::O_CLOEXEC);
        match &spawn.request {
            Some(request) => {
                let pair = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
                connect(&mut actions, Carries::Report, 0, pair, request.clone())?;
            }
            None => actions.add_dup2(null.as_raw_fd(), 0)?,
        }
        if spawn.quiet {
            connect(&mut actions, Carries::Output, 2, pipe()?, Vec::new())?;
        }
        actions.add_dup2(2, 1)?;
        if let Some(input) = &spawn.input {
            // Its own, so that it can open it again by name.
            let made = acting_as(spawn.identity.as_ref(), || Ok(pipe()));
            let (theirs, ours) = made.unwrap_or_else(|_| pipe())?;
            let to = i32::from(spawn.request.is_some());
            connect(&mut actions, Carries::Input, to, (ours, theirs), input.clone())?;
        }
        // The last of all, and its source is never 3 itself: the signals' descriptor and `null` were there
        // first.
        match spawn.takes_variables {
            None => {}
            Some(Writers::All) => {
                connect(&mut actions, Carries::Variables, VARIABLES_FD, pipe()?, Vec::new())?;
            }
            // A pipe does not tell who writes to it.
            Some(Writers::Root) => {
                let pair = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
                setsockopt(&pair.0, PassCred, &true)?;
                shutdown(pair.0.as_raw_fd(), Shutdown::Write)?;
                connect(&mut actions, Carries::RootsVariables, VARIABLES_FD, pair, Vec::new())?;
            }
        }
        for fd in self.inherited.get_or_insert_with(inherited_descriptors) {
            if spawn.takes_variables.is_none() || *fd != VARIABLES_FD {
                actions.add_close(*fd)?;
            }
        }
        let mut attributes = PosixSpawnAttr::init()?;
        attributes
            .set_flags(PosixSpawnFlags::POSIX_SPAWN_SETPGROUP | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK)?;
        attributes.set_pgroup(Pid::from_raw(0))?;
        attributes.set_sigmask(self.signals.inherited())?;
        let argv: Vec<CString> =
            spawn.argv.iter().filter_map(|word| CString::new(word.as_bytes()).ok()).collect();
        if argv.len() != spawn.argv.len() {
            return Err(nix::errno::Errno::EINVAL);
        }
        let envp = spawn.variables.to_envp();
        let started = Instant::now();
        #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
        let pid = nix::spawn::posix_spawn(spawn.path.as_path(), &actions, &attributes, &argv, &envp)?;
        self.groups.push(pid.as_raw());
        let mut running = Running {
            pid: pid.as_raw(),
            started,
            limit: spawn.limit,
            grace: spawn.grace,
            ending: None,
            killed: false,
            alone: false,
            status: None,
            hands_back: spawn.hands_back,
            quiet: spawn.quiet,
            identity: spawn.identity.clone(),
            stranger: None,
            pipes,
        };
        running.send_pipes();
        Ok(running)
    }

    /// The name of the socket through which shells hand their environment back.
    ///
    /// It is an abstract one (unix(7)): no file, no descriptor that a hook could see, close or keep open, and
    /// who connects is told by the kernel.
    ///
    /// # Errors
    /// What keeps it from being made.
    pub(crate) fn socket(&mut self) -> std::io::Result<String> {
        if let Some((_, name)) = &self.socket {
            return Ok(name.clone());
        }
        for attempt in 0..16 {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let name = format!("preverb-{}-{:x}-{attempt}", std::process::id(), now.as_nanos());
            let address = std::os::unix::net::SocketAddr::from_abstract_name(&name)?;
            match UnixListener::bind_addr(&address) {
                Ok(listener) => {
                    listener.set_nonblocking(true)?;
                    self.socket = Some((listener, name.clone()));
                    return Ok(name);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
        Err(std::io::ErrorKind::AddrInUse.into())
    }

    /// Lets the children run until one of them has ended, or until `until`; ends those that are past their
    /// limit. With no child that runs it just waits until `until`.
    ///
    /// # Errors
    /// The request to stop, once every child has heeded it or was killed.
    pub(crate) fn pump(
        &mut self,
        running: &mut [&mut Running],
        until: Option<Instant>,
    ) -> std::result::Result<(), Stop> {
        loop {
            self.heed(running)?;
            let now = Instant::now();
            for child in running.iter_mut().filter(|child| child.status.is_none() || child.ending.is_some()) {
                if child.ending.is_none() && child.deadline().is_some_and(|deadline| deadline <= now) {
                    // A try has nothing to clean up; a hook may.
                    if child.quiet {
                        child.end(Ending::TimedOut, 9);
                        child.kill();
                    } else {
                        child.end(Ending::TimedOut, 15);
                    }
                }
                if child.ending.is_some_and(|(_, kill)| kill <= now) && !child.killed {
                    child.kill();
                }
            }
            self.reap(running);
            if running.iter().any(|child| child.ended().is_some()) || until.is_some_and(|until| until <= now)
            {
                return Ok(());
            }
            if !self.has_lost_companion() {
                self.poll(running, until);
            }
        }
    }

    /// What ends the work in progress, if anything does.
    pub(crate) fn stop(&mut self) -> Option<Stop> {
        if self.companion.is_some() {
            self.reap(&mut []);
        }
        self.has_to_stop()
    }

    fn has_to_stop(&mut self) -> Option<Stop> {
        let companion = self.has_lost_companion().then_some(Stop::COMPANION);
        self.signals.stop().map(Stop).or(companion)
    }

    /// Whether what runs meanwhile has ended before it was asked to.
    fn has_lost_companion(&self) -> bool {
        self.companion.as_ref().is_some_and(|companion| companion.status.is_some())
    }

    /// Reads what signals have come; a request to stop is passed on and ends everything.
    fn heed(&mut self, running: &mut [&mut Running]) -> std::result::Result<(), Stop> {
        let Some(stop) = self.has_to_stop() else { return Ok(()) };
        let number = if stop == Stop::COMPANION { Signal::SIGTERM as i32 } else { stop.0 };
        for child in running.iter_mut() {
            child.end(Ending::Requested, number);
        }
        while running.iter().any(|child| child.ended().is_none()) {
            if let Some(again) = self.signals.stop() {
                for child in running.iter() {
                    child.send(again);
                }
            }
            let now = Instant::now();
            for child in running.iter_mut() {
                if child.ending.is_some_and(|(_, kill)| kill <= now) && !child.killed {
                    child.kill();
                }
            }
            self.reap(running);
            if running.iter().any(|child| child.ended().is_none()) {
                self.poll(running, None);
            }
        }
        Err(stop)
    }

    /// Collects every child that has changed its state, whoever's it is: as PID 1 this process is the
    /// parent of every orphan.
    pub(super) fn reap(&mut self, running: &mut [&mut Running]) {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
        #[expect(clippy::disallowed_methods, reason = "the one place that waits")]
        while let Ok(Some((pid, status))) = rustix::process::wait(options) {
            let pid = pid.as_raw_nonzero().get();
            let others = running.iter_mut().map(|child| &mut **child);
            let Some(child) = others.chain(self.companion.as_mut()).find(|child| child.pid == pid) else {
                continue;
            };
            if let Some(signal) = status.stopping_signal() {
                if child.ending.is_none() {
                    child.end(Ending::Stopped(signal), 9);
                    child.kill();
                }
                continue;
            }
            // What it said before its end decides how that is read.
            read_pipes(child);
            child.status = Some(match child.ending {
                Some((Ending::TimedOut, _)) => Ended::TimedOut(child.limit.unwrap_or_default()),
                Some((Ending::Stopped(signal), _)) => Ended::Stopped(signal),
                Some((Ending::TooMuchOutput, _)) => Ended::TooMuchOutput,
                Some((Ending::Requested, _)) | None => decode(status),
            });
        }
        self.accept(running);
        for child in running.iter_mut() {
            read_pipes(child);
            if child.status.is_some() && child.ending.is_some() && !child.killed {
                child.alone = !group_works(child.pid);
            }
        }
    }

    /// Lets the shells in that hand their environment back: only processes of a child's own group, and only
    /// of the user whose environment it is. What an earlier hook left behind could join a later hook's group,
    /// and the later one may be root's.
    fn accept(&mut self, running: &mut [&mut Running]) {
        let Some((listener, _)) = &self.socket else { return };
        while let Ok((connection, _)) = listener.accept() {
            let Ok(peer) = getsockopt(&connection, PeerCredentials) else { continue };
            // A process of another PID namespace that shares the network has the number 0 here.
            let group = nix::unistd::getpgid(Some(Pid::from_raw(peer.pid()))).map(Pid::as_raw);
            let child = running.iter_mut().find(|child| {
                peer.pid() > 0 && child.hands_back == Some(peer.uid()) && group == Ok(child.pid)
            });
            if let Some(child) = child
                && connection.set_nonblocking(true).is_ok()
            {
                let end = Some(OwnedFd::from(connection));
                child.pipes.push(Pipe {
                    carries: Carries::Environment,
                    end,
                    read: Vec::new(),
                    unsent: Vec::new(),
                });
            }
        }
    }

    /// Sleeps until a signal comes, a pipe has something, or a time is reached.
    pub(super) fn poll(&self, running: &[&mut Running], until: Option<Instant>) {
        let mut wake = until;
        let mut sooner = |time: Option<Instant>| {
            if let Some(time) = time {
                wake = Some(wake.map_or(time, |wake| wake.min(time)));
            }
        };
        let mut descriptors = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if let Some((listener, _)) = &self.socket {
            descriptors.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN));
        }
        for child in running {
            match child.ending {
                None => sooner(child.deadline()),
                Some((_, kill)) if !child.killed => sooner(Some(kill)),
                Some(_) => {}
            }
            // Its group's other members are not this process's children, so no signal tells of their end.
            if child.status.is_some() && child.ending.is_some() {
                sooner(Some(Instant::now() + GROUP_POLL));
            }
            let open =
                child.pipes.iter().filter_map(|pipe| Some((pipe.end.as_ref()?, pipe.unsent.is_empty())));
            descriptors.extend(open.map(|(end, is_sent)| {
                let flags = if is_sent { PollFlags::POLLIN } else { PollFlags::POLLIN | PollFlags::POLLOUT };
                PollFd::new(end.as_fd(), flags)
            }));
        }
        let timeout = match wake {
            None => PollTimeout::NONE,
            Some(wake) => {
                // Rounded up: a timeout that is rounded down makes the last millisecond a busy loop.
                let left = wake.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
                PollTimeout::try_from(left.as_millis().min(60_000)).unwrap_or(PollTimeout::ZERO)
            }
        };
        let _ = nix::poll::poll(&mut descriptors, timeout);
    }

    /// Runs one child to its end; `tick` is called each `every` that it lasts.
    ///
    /// # Errors
    /// The request to stop.
    pub(crate) fn run(
        &mut self,
        child: &mut Running,
        every: Duration,
        mut tick: impl FnMut(Duration),
    ) -> std::result::Result<Ended, Stop> {
        let mut next = child.started + every;
        loop {
            self.pump(&mut [child], Some(next))?;
            if let Some(ended) = child.ended() {
                return Ok(ended.clone());
            }
            if Instant::now() >= next {
                tick(child.started.elapsed());
                next += every;
            }
        }
    }

    /// Waits until `until`, or a request to stop.
    ///
    /// # Errors
    /// The request to stop.
    pub(crate) fn sleep(&mut self, until: Instant) -> std::result::Result<(), Stop> {
        while Instant::now() < until {
            self.pump(&mut [], Some(until))?;
        }
        Ok(())
    }

    /// Collects every dead child, so that the target starts without zombies. Returns whether live ones may be
    /// left, of this process or of a group that a hook made.
    pub(crate) fn reap_all(&mut self) -> bool {
        self.reap(&mut []);
        if self.groups.is_empty() {
            return false;
        }
        #[expect(clippy::disallowed_methods, reason = "the one place that waits")]
        let childless = rustix::process::wait(WaitOptions::NOHANG).err() == Some(rustix::io::Errno::CHILD);
        !childless || self.groups.iter().any(|group| group_lives(*group))
    }
}

/// Starts the target of a supervisor: with this process's streams, descriptors and working directory, in a
/// process group of its own, and with this mask.
///
/// # Errors
/// execve(2)'s, for `exec.rs` to explain.
pub(crate) fn spawn_target(path: &CStr, argv: &[CString], envp: &[&CStr], mask: &SigSet) -> nix::Result<i32> {
    let actions = PosixSpawnFileActions::init()?;
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETPGROUP | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK)?;
    attributes.set_pgroup(Pid::from_raw(0))?;
    attributes.set_sigmask(mask)?;
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    let pid = nix::spawn::posix_spawn(path, &actions, &attributes, argv, envp)?;
    Ok(pid.as_raw())
}

/// What became of the children of a supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// This one has ended, and is no more.
    Ended(i32, Ended),
    /// This one was stopped, by this signal.
    Stopped(i32, i32),
    /// This one goes on.
    Continued(i32),
    /// Nothing more has happened.
    Nothing,
    /// There is no child left.
    NoChildren,
}

/// The next change of any child of this process, adopted ones too; never blocks.
pub(crate) fn next_change() -> Change {
    let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
    #[expect(clippy::disallowed_methods, reason = "the one place that waits")]
    match rustix::process::wait(options) {
        Ok(None) => Change::Nothing,
        Ok(Some((pid, status))) => {
            let pid = pid.as_raw_nonzero().get();
            if let Some(signal) = status.stopping_signal() {
                Change::Stopped(pid, signal)
            } else if status.continued() {
                Change::Continued(pid)
            } else {
                Change::Ended(pid, decode(status))
            }
        }
        Err(_) => Change::NoChildren,
    }
}

/// Whether a process group has a member that is not dead. The dead ones are members as long as their parent
/// does not collect them, and where this process is not PID 1 that may never be.
fn group_works(group: i32) -> bool {
    // Without /proc nobody can tell the dead from the living.
    let processes = if group_lives(group) { crate::sys::proc::all() } else { return false };
    let mut members = processes.iter().filter(|(_, process)| process.group == group).peekable();
    members.peek().is_none() || members.any(|(_, process)| !matches!(process.state, b'Z' | b'X'))
}

/// `/dev/null`, or where there is none something else that is always at its end.
pub(crate) fn null() -> nix::Result<OwnedFd> {
    match nix::fcntl::open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty()) {
        Ok(null) => Ok(null),
        Err(_) => nix::unistd::pipe2(OFlag::O_CLOEXEC).map(|(read, _)| read),
    }
}

/// The descriptors above 2 that are open. What this process itself opened is closed by an exec anyway, so
/// closing all of them in a child closes just what was inherited.
pub(crate) fn inherited_descriptors() -> Vec<RawFd> {
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
        return numbers.filter(|fd| *fd > 2).collect();
    }
    // Without /proc it is every number that can be open.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1024);
    (3..RawFd::try_from(limit.min(65_536)).unwrap_or(1024)).collect()
}
