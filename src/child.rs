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
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{AddressFamily, Shutdown, SockFlag, SockType, getsockopt, shutdown, socketpair};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, WaitStatus};

use crate::failure::{Failure, Kind};
use crate::signals::{Signals, group_lives, send, send_to_group};
use crate::variables::Variables;
use crate::words::{escaped, signal_name};

/// How long a group that was asked to end may take before it is killed.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// How often a group is looked at whose leader has ended: its members are nobody's children here.
const GROUP_POLL: Duration = Duration::from_millis(10);
/// How often a shell that stays is looked after: nothing tells of what becomes of the processes of its own.
const LOOK: Duration = Duration::from_secs(1);
/// The most that is read from a child: a hook that writes without end must not eat the memory.
const LONGEST_OUTPUT: usize = 16 << 20;
/// The descriptor that hooks write variables to.
const VARIABLES_FD: RawFd = 3;

/// The standard input of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// It is at its end.
    Nothing,
    /// It takes a report.
    Report,
    /// It gives one script after the other to a shell, which stays when one has handed its environment back and runs
    /// each in a process of its own. It takes a report, too.
    Scripts,
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
    /// Whether descriptor 3 takes variables.
    pub(crate) takes_variables: bool,
    /// What its standard input is.
    pub(crate) input: Input,
    /// The user who hands its environment back through the socket of `Children::socket`, if it is to.
    pub(crate) hands_back: Option<u32>,
    /// Whether it is a try, whose standard error is kept instead of shown, and which is killed at its limit.
    pub(crate) quiet: bool,
    /// How long it may take; zero means for ever.
    pub(crate) limit: Option<Duration>,
}

impl<'a> Spawn<'a> {
    /// A program with these words and variables, and nothing special about it.
    pub(crate) fn new(path: PathBuf, argv: Vec<OsString>, variables: &'a Variables) -> Self {
        Self {
            path,
            argv,
            variables,
            takes_variables: false,
            input: Input::Nothing,
            hands_back: None,
            quiet: false,
            limit: None,
        }
    }
}

/// How a child ended. Every status is decoded here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It exited with this status.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
    /// This signal stopped it, and then it was killed: nobody would ever continue it.
    Stopped(i32),
    /// It was past its limit, and was ended.
    TimedOut(Duration),
    /// It wrote more than this process reads, and was killed.
    Overfull,
    /// It was not even started: why.
    NotStarted(String),
}

/// How what went well ended.
static WELL: Ended = Ended::Exited(0);

impl Ended {
    /// Whether it went well.
    pub(crate) fn is_success(&self) -> bool {
        *self == WELL
    }

    /// The exit code that tells it: its own, or 128 + n for signal n, as in the shell.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Exited(status) => u8::try_from(*status).unwrap_or(u8::MAX),
            Self::Signaled(signal) | Self::Stopped(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            Self::TimedOut(_) | Self::Overfull | Self::NotStarted(_) => u8::MAX,
        }
    }

    /// How it ended, as the end of a sentence.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Exited(status) => format!("exited with status {status}"),
            Self::Signaled(signal) => format!("was ended by {}", signal_name(*signal)),
            Self::Stopped(signal) => {
                let terminal = [Signal::SIGTTIN as i32, Signal::SIGTTOU as i32].contains(signal);
                let why = if terminal { ": a hook cannot use the terminal" } else { "" };
                format!("was stopped by {}{why}", signal_name(*signal))
            }
            Self::TimedOut(limit) => {
                format!("took longer than its timeout of {}", crate::words::spoken(*limit))
            }
            Self::Overfull => format!("wrote more than the {} MiB that are read", LONGEST_OUTPUT >> 20),
            Self::NotStarted(reason) => format!("could not be started: {reason}"),
        }
    }
}

/// Why a child is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    TimedOut,
    Stopped(i32),
    /// It wrote too much.
    Overfull,
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
    limit: Option<Duration>,
    ending: Option<(Ending, Instant)>,
    killed: bool,
    /// Whether nobody of its group was left when that was last looked at.
    alone: bool,
    status: Option<Ended>,
    hands_back: Option<u32>,
    scripts: Option<Scripts>,
    quiet: bool,
    pipes: Vec<Pipe>,
}

/// A shell that stays for more scripts.
#[derive(Debug)]
struct Scripts {
    /// Whether it can be given another one.
    open: bool,
    /// When it is looked after next.
    look: Instant,
}

/// What a pipe of a child carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carries {
    Environment,
    Variables,
    Report,
    Output,
}

#[derive(Debug)]
struct Pipe {
    carries: Carries,
    end: Option<OwnedFd>,
    read: Vec<u8>,
}

impl Running {
    fn deadline(&self) -> Option<Instant> {
        let limit = self.limit.filter(|limit| !limit.is_zero())?;
        self.started.checked_add(limit)
    }

    fn text(&self, carries: Carries) -> &[u8] {
        self.pipes.iter().find(|pipe| pipe.carries == carries).map(|pipe| &*pipe.read).unwrap_or_default()
    }

    /// What it wrote to descriptor 3.
    pub(crate) fn variables_text(&self) -> &[u8] {
        self.text(Carries::Variables)
    }

    /// The environment that it handed back, the last one if it did so more than once.
    pub(crate) fn environment_text(&self) -> Option<&[u8]> {
        self.pipes.iter().rfind(|pipe| pipe.carries == Carries::Environment).map(|pipe| &*pipe.read)
    }

    /// Whether it stays for another script.
    pub(crate) fn stays(&self) -> bool {
        self.status.is_none() && self.scripts.as_ref().is_some_and(|scripts| scripts.open)
    }

    /// Gives one that stays its next script, which has begun now. Returns whether it could be given.
    pub(crate) fn take(&mut self, script: &[u8]) -> bool {
        self.pipes.retain(|pipe| pipe.carries != Carries::Environment);
        self.pipes.iter_mut().for_each(|pipe| pipe.read.clear());
        self.started = Instant::now();
        if let Some(scripts) = &mut self.scripts {
            scripts.look = self.started + LOOK;
        }
        let Some(input) = self.input() else { return false };
        // It has read all that came before, so that there is room; a part of a script would be worse than none.
        let given = nix::unistd::write(input, script) == Ok(script.len());
        if !given {
            self.close_input();
        }
        given
    }

    /// The standard input of one that stays: a socket, because a refusal comes from there.
    fn input(&self) -> Option<&OwnedFd> {
        self.pipes.iter().find(|pipe| pipe.carries == Carries::Report).and_then(|pipe| pipe.end.as_ref())
    }

    /// Makes the script that runs, or has run, the last one.
    fn close_input(&mut self) {
        if self.scripts.as_mut().is_some_and(|scripts| std::mem::take(&mut scripts.open))
            && let Some(input) = self.input()
        {
            let _ = shutdown(input.as_raw_fd(), Shutdown::Write);
        }
    }

    /// Whether one that stays has handed its environment back, which is the end of a script that went well.
    fn has_handed_back(&self) -> bool {
        let mut handed = self.pipes.iter().filter(|pipe| pipe.carries == Carries::Environment);
        self.scripts.is_some()
            && self.ending.is_none()
            && handed.any(|pipe| pipe.end.is_none() && !pipe.read.is_empty())
    }

    /// What it said, where that is kept: a report, or else its standard error.
    pub(crate) fn said(&self) -> String {
        let report = self.text(Carries::Report);
        let said = if report.is_empty() { self.text(Carries::Output) } else { report };
        escaped(said.trim_ascii())
    }

    /// How it ended, once it has. The leader may end before the others of its group have done what the signal
    /// asked.
    pub(crate) fn ended(&self) -> Option<&Ended> {
        if self.has_handed_back() {
            return Some(&WELL);
        }
        self.status.as_ref().filter(|_| self.ending.is_none() || self.killed || self.alone)
    }

    /// Decodes how it ended. One that stays ends after a script that failed, with its status, and by that tells of a
    /// signal as shells do; a script that exits with such a status has first tried to hand something back.
    fn decode(&self, status: WaitStatus) -> Ended {
        let tried = || self.pipes.iter().any(|pipe| pipe.carries == Carries::Environment);
        let ended = decode(status);
        if let Ended::Exited(code @ 129..) = ended
            && self.scripts.is_some()
            && !tried()
        {
            return Ended::Signaled(code - 128);
        }
        ended
    }

    /// Looks after one that stays, whose script has a process that is not this process's child.
    ///
    /// If that was stopped nothing tells of it. (What stops the whole group, as reading the terminal does, stops the
    /// shell and is seen at once.) And if it became something else, it ended without a word: as no script follows
    /// one that takes so long, the shell ends with it, and that is seen.
    fn look_after(&mut self) {
        let now = Instant::now();
        match &mut self.scripts {
            Some(scripts) if self.ending.is_none() && self.status.is_none() && scripts.look <= now => {
                scripts.look = now + LOOK;
            }
            Some(_) | None => return,
        }
        self.close_input();
        let stopped = |(_, process): &(i32, crate::process::ProcessStat)| {
            process.parent == self.pid && process.state == b'T'
        };
        if crate::process::all().iter().any(stopped) {
            self.end(Ending::Stopped(Signal::SIGSTOP as i32), 9);
            self.kill();
        }
    }

    fn end(&mut self, ending: Ending, signal: i32) {
        self.send(signal);
        // It survives the signal, for the sake of the script's status, and must not wait for another one.
        self.close_input();
        if self.ending.is_none() {
            self.ending = Some((ending, Instant::now() + GRACE));
        }
    }

    /// Kills it, because its answer is not wanted any more.
    pub(crate) fn end_now(&mut self) {
        self.end(Ending::Requested, 9);
        self.kill();
    }

    fn kill(&mut self) {
        self.send(9);
        self.killed = true;
    }

    /// Sends a signal to its group, and where it has left its group to itself: as long as it has not been
    /// collected nobody else can have its number.
    fn send(&self, signal: i32) {
        send_to_group(self.pid, signal);
        let pid = Pid::from_raw(self.pid);
        if self.status.is_none() && nix::unistd::getpgid(Some(pid)) != Ok(pid) {
            send(self.pid, signal);
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
    /// Where shells hand their environment back, and its name.
    socket: Option<(UnixListener, String)>,
}

/// The request that ends the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop(pub(crate) i32);

impl Stop {
    /// The failure of a run that was stopped while it did `what`.
    pub(crate) fn failure(self, what: &str) -> Failure {
        Failure::say(Kind::Stopped(self.0), format!("stopped by {} {what}", signal_name(self.0)))
            .field("signal", signal_name(self.0))
    }
}

impl Children {
    /// With these signals.
    pub(crate) fn new(signals: Signals) -> Self {
        Self { signals, inherited: None, groups: Vec::new(), socket: None }
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
            |actions: &mut PosixSpawnFileActions, carries, to, (ours, theirs)| -> nix::Result<()> {
                let (ours, theirs): (OwnedFd, OwnedFd) = (ours, theirs);
                nix::fcntl::fcntl(&ours, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
                actions.add_dup2(theirs.as_raw_fd(), to)?;
                pipes.push(Pipe { carries, end: Some(ours), read: Vec::new() });
                ends.push(theirs);
                Ok(())
            };
        let pipe = || nix::unistd::pipe2(OFlag::O_CLOEXEC);
        match spawn.input {
            Input::Scripts => {
                let pair = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
                connect(&mut actions, Carries::Report, 0, pair)?;
            }
            Input::Report => connect(&mut actions, Carries::Report, 0, pipe()?)?,
            Input::Nothing => actions.add_dup2(null.as_raw_fd(), 0)?,
        }
        if spawn.quiet {
            connect(&mut actions, Carries::Output, 2, pipe()?)?;
        }
        actions.add_dup2(2, 1)?;
        // The last of all, and its source is never 3 itself: the signals' descriptor and `null` were there first.
        if spawn.takes_variables {
            connect(&mut actions, Carries::Variables, VARIABLES_FD, pipe()?)?;
        }
        for fd in self.inherited.get_or_insert_with(inherited_descriptors) {
            if !(spawn.takes_variables && *fd == VARIABLES_FD) {
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
        Ok(Running {
            pid: pid.as_raw(),
            started,
            limit: spawn.limit,
            ending: None,
            killed: false,
            alone: false,
            status: None,
            hands_back: spawn.hands_back,
            scripts: (spawn.input == Input::Scripts).then(|| Scripts { open: true, look: started + LOOK }),
            quiet: spawn.quiet,
            pipes,
        })
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
            self.poll(running, until);
        }
    }

    /// Reads what signals have come; a request to stop is passed on and ends everything.
    fn heed(&mut self, running: &mut [&mut Running]) -> std::result::Result<(), Stop> {
        let Some(number) = self.signals.stop() else { return Ok(()) };
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
        Err(Stop(number))
    }

    /// Collects every child that has changed its state, whoever's it is: as PID 1 this process is the
    /// parent of every orphan.
    fn reap(&mut self, running: &mut [&mut Running]) {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
        #[expect(clippy::disallowed_methods, reason = "the one place that waits")]
        while let Ok(Some((pid, status))) = rustix::process::wait(options) {
            let pid = pid.as_raw_nonzero().get();
            let Some(child) = running.iter_mut().find(|child| child.pid == pid) else { continue };
            if let Some(signal) = status.stopping_signal() {
                if child.ending.is_none() {
                    child.end(Ending::Stopped(signal), 9);
                    child.kill();
                }
                continue;
            }
            child.status = Some(match child.ending {
                Some((Ending::TimedOut, _)) => Ended::TimedOut(child.limit.unwrap_or_default()),
                Some((Ending::Stopped(signal), _)) => Ended::Stopped(signal),
                Some((Ending::Overfull, _)) => Ended::Overfull,
                Some((Ending::Requested, _)) | None => child.decode(status),
            });
        }
        self.accept(running);
        for child in running.iter_mut() {
            read_pipes(child);
            child.look_after();
            if child.status.is_some() && child.ending.is_some() && !child.killed {
                child.alone = !group_works(child.pid);
            }
        }
    }

    /// Lets the shells in that hand their environment back: only processes of a child's own group, and only of
    /// the user whose environment it is. What an earlier hook left behind could join a later hook's group, and
    /// the later one may be root's.
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
                child.pipes.push(Pipe { carries: Carries::Environment, end, read: Vec::new() });
            }
        }
    }

    /// Sleeps until a signal comes, a pipe has something, or a time is reached.
    fn poll(&self, running: &[&mut Running], until: Option<Instant>) {
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
            if let Some(scripts) = &child.scripts
                && child.ending.is_none()
            {
                sooner(Some(scripts.look));
            }
            // Its group's other members are not this process's children, so no signal tells of their end.
            if child.status.is_some() && child.ending.is_some() {
                sooner(Some(Instant::now() + GROUP_POLL));
            }
            let open = child.pipes.iter().filter_map(|pipe| pipe.end.as_ref());
            descriptors.extend(open.map(|end| PollFd::new(end.as_fd(), PollFlags::POLLIN)));
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

    /// Lets one that stays go, and waits until it has gone.
    ///
    /// # Errors
    /// The request to stop.
    pub(crate) fn dismiss(&mut self, child: &mut Running) -> std::result::Result<(), Stop> {
        child.close_input();
        child.scripts = None;
        // It only has to read that there is nothing more; but somebody may have stopped it.
        child.quiet = true;
        child.limit = Some(GRACE);
        child.started = Instant::now();
        while child.ended().is_none() {
            self.pump(&mut [child], None)?;
        }
        Ok(())
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

    /// Collects every dead child, so that the target starts without zombies. Returns whether live ones may be left,
    /// of this process or of a group that a hook made.
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

/// Reads what the pipes of a child hold, without waiting. A pipe is never read to its end for its own sake: a
/// daemonised child of a hook may hold it open for ever.
// Not inlined: a run without children would pay for the pages of its buffer.
#[inline(never)]
fn read_pipes(child: &mut Running) {
    let mut overfull = false;
    // The last one first: what a script wrote before it handed its environment back must be there with that.
    for pipe in child.pipes.iter_mut().rev() {
        let Some(end) = &pipe.end else { continue };
        let mut buffer = [0; 16_384];
        loop {
            match nix::unistd::read(end, &mut buffer) {
                Ok(0) => {
                    pipe.end = None;
                    break;
                }
                Ok(count) => {
                    pipe.read.extend_from_slice(&buffer[..count]);
                    if pipe.read.len() > LONGEST_OUTPUT {
                        overfull = true;
                        pipe.end = None;
                        break;
                    }
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => break,
            }
        }
    }
    if overfull {
        if child.status.is_some() {
            child.status = Some(Ended::Overfull);
        } else {
            child.end(Ending::Overfull, 9);
            child.kill();
        }
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
    /// This one was stopped.
    Stopped(i32),
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
            if status.stopped() {
                Change::Stopped(pid)
            } else if status.continued() {
                Change::Continued(pid)
            } else {
                Change::Ended(pid, decode(status))
            }
        }
        Err(_) => Change::NoChildren,
    }
}

/// Whether a process group has a member that is not dead. The dead ones are members as long as their parent does
/// not collect them, and where this process is not PID 1 that may never be.
fn group_works(group: i32) -> bool {
    // Without /proc nobody can tell the dead from the living.
    let processes = if group_lives(group) { crate::process::all() } else { return false };
    let mut members = processes.iter().filter(|(_, process)| process.group == group).peekable();
    members.peek().is_none() || members.any(|(_, process)| !matches!(process.state, b'Z' | b'X'))
}

/// The one place where a wait status is decoded.
pub(crate) fn decode(status: WaitStatus) -> Ended {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ended::Exited(code),
        (None, Some(signal)) => Ended::Signaled(signal),
        (None, None) => Ended::Exited(0),
    }
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
