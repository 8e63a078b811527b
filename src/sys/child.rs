//! Children: waits for them and ends them. The only user of waitpid(2).

use std::os::fd::{AsFd as _, RawFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::{Duration, Instant};

use nix::libc::{SIGKILL, SIGTERM};
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::unistd::Pid;
use rustix::process::WaitOptions;

use crate::sys::entry::unpredictable_name;
use crate::sys::proc;
use crate::sys::signals::{Signals, group_lives, timeout};
use crate::sys::spawn::{Carries, Ended, Pipe, Running, Spawn, Stop, inherited_descriptors};

const GROUP_POLL: Duration = Duration::from_millis(10);

pub(crate) struct Children {
    pub(crate) signals: Signals,
    inherited: Option<Vec<RawFd>>,
    /// The process groups of all children, including those that have ended.
    pub(crate) groups: Vec<i32>,
    /// A program that runs next to other children until it is asked to end: the temporary server of a
    /// database image. If it ends earlier, `pump` ends the current children.
    pub(crate) companion: Option<Running>,
    socket: Option<(UnixListener, String)>,
}

pub(crate) struct CompanionEnd {
    pub(crate) companion: Running,
    /// Whether it ended before it was asked to end.
    pub(crate) early: bool,
    pub(crate) stop: Option<Stop>,
}

/// The maximum number of connections accepted at a time; the kernel's queue is not longer.
const MOST_CONNECTIONS: usize = 128;

impl Children {
    pub(crate) fn new(signals: Signals) -> Self {
        Self { signals, inherited: None, groups: Vec::new(), companion: None, socket: None }
    }

    pub(crate) fn spawn(&mut self, spawn: &Spawn<'_>) -> nix::Result<Running> {
        let inherited = self.inherited.get_or_insert_with(inherited_descriptors);
        let running = spawn.start(inherited, &self.signals.inherited)?;
        self.groups.push(running.pid);
        Ok(running)
    }

    /// The name of the socket to which shells send their environment. It is abstract (unix(7)): there is no
    /// file, and no descriptor that a hook could see, close or keep open, and the kernel identifies the peer.
    pub(crate) fn socket(&mut self) -> std::io::Result<String> {
        if let Some((_, name)) = &self.socket {
            return Ok(name.clone());
        }
        let name = unpredictable_name();
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        listener.set_nonblocking(true)?;
        self.socket = Some((listener, name.clone()));
        Ok(name)
    }

    /// Lets the children run until one of them has ended, or until `until`. The error is a request to stop;
    /// by then it has ended or killed every child.
    pub(crate) fn pump(&mut self, running: &mut [&mut Running], until: Option<Instant>) -> Result<(), Stop> {
        loop {
            if let Some(stop) = self.has_to_stop() {
                let number = if stop == Stop::COMPANION { SIGTERM } else { stop.0 };
                for child in running.iter_mut() {
                    child.end(number, None);
                }
                self.wait_for(running, &mut |child, again| child.send(again));
                return Err(stop);
            }
            let now = self.reap(running);
            let has_ended = running.iter().any(|child| child.ended().is_some());
            if has_ended || until.is_some_and(|until| until <= now) {
                return Ok(());
            }
            if !self.has_lost_companion() {
                self.poll(running, until);
            }
        }
    }

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

    fn has_lost_companion(&self) -> bool {
        self.companion.as_ref().is_some_and(|companion| companion.status.is_some())
    }

    /// Waits for children that are being ended, and calls `asked` for further requests to stop.
    fn wait_for(&mut self, running: &mut [&mut Running], asked: &mut dyn FnMut(&mut Running, i32)) {
        while running.iter().any(|child| child.ended().is_none()) {
            if let Some(again) = self.signals.stop() {
                for child in running.iter_mut() {
                    asked(child, again);
                }
            }
            self.reap(running);
            if running.iter().any(|child| child.ended().is_none()) {
                self.poll(running, None);
            }
        }
    }

    /// Ends the companion, if any: sends `signal` and waits until its group has ended, for at most `grace`,
    /// or `stopping` after a request to stop.
    pub(crate) fn end_companion(
        &mut self, signal: i32, grace: Duration, stopping: Duration,
    ) -> Option<CompanionEnd> {
        let mut companion = self.companion.take()?;
        self.reap(&mut [&mut companion]);
        let early = companion.status.is_some();
        companion.terms.grace = Some(grace);
        companion.end(if early { SIGKILL } else { signal }, None);
        companion.killed |= early;
        let mut stop = None;
        self.wait_for(&mut [&mut companion], &mut |companion, again| {
            stop = Some(Stop(again));
            let kill_at = Instant::now() + stopping;
            if let Some((_, kill)) = companion.ending.as_mut().filter(|(_, kill)| kill_at < *kill) {
                *kill = kill_at;
                companion.terms.grace = Some(stopping);
            }
        });
        Some(CompanionEnd { companion, early, stop })
    }

    /// Ends children that are due, and reaps every child that has changed its state, also unknown ones,
    /// because PID 1 is the parent of every orphan. Returns the time at its start.
    fn reap(&mut self, running: &mut [&mut Running]) -> Instant {
        let now = Instant::now();
        for child in running.iter_mut() {
            child.end_if_due(now);
        }
        while let Ok(Some((pid, change))) = next_change() {
            let mut known = running.iter_mut().map(|child| &mut **child).chain(self.companion.as_mut());
            let Some(child) = known.find(|child| child.pid == pid) else { continue };
            match change {
                Change::Ended(ended) => {
                    // First the pipes, because the status decides how too much output is treated.
                    child.read_pipes();
                    let counts_as = child.ending.as_ref().and_then(|(counts_as, _)| counts_as.clone());
                    child.status = Some(counts_as.unwrap_or(ended));
                }
                Change::Stopped(signal) if child.ending.is_none() => {
                    child.kill(Some(Ended::Stopped(signal)));
                }
                Change::Stopped(_) | Change::Continued => {}
            }
        }
        self.accept(running);
        for child in running.iter_mut() {
            child.read_pipes();
            if child.status.is_some() && child.ending.is_some() && !child.killed && !group_works(child.pid) {
                child.ending = None;
            }
        }
        now
    }

    /// Accepts the shells that send their environment back, only from a child's own process group and user: a
    /// leftover process of an earlier hook could join the group of a later hook, which may run as root.
    fn accept(&mut self, running: &mut [&mut Running]) {
        let Some((listener, _)) = &self.socket else { return };
        // The loop is limited, because any process of the network namespace can connect.
        for _ in 0..MOST_CONNECTIONS {
            let Ok((connection, _)) = listener.accept() else { return };
            let Ok(peer) = getsockopt(&connection, PeerCredentials) else { continue };
            // A process of another PID namespace with the same network has the number 0 here.
            let group = nix::unistd::getpgid(Some(Pid::from_raw(peer.pid()))).map(Pid::as_raw);
            let child = running.iter_mut().find(|child| {
                peer.pid() > 0 && child.terms.hands_back == Some(peer.uid()) && group == Ok(child.pid)
            });
            if let Some(child) = child
                && connection.set_nonblocking(true).is_ok()
            {
                child.pipes.push(Pipe::new(Carries::Environment, connection.into(), b""));
            }
        }
    }

    /// Sleeps until a signal arrives, a pipe is ready, or a time is reached.
    fn poll(&self, running: &[&mut Running], until: Option<Instant>) {
        let mut wake = Vec::from_iter(until);
        let mut descriptors = vec![PollFd::new(self.signals.descriptor.as_fd(), PollFlags::POLLIN)];
        descriptors.extend(self.socket.iter().map(|(each, _)| PollFd::new(each.as_fd(), PollFlags::POLLIN)));
        for child in running {
            let kill = child.ending.as_ref().map(|(_, kill)| Some(*kill).filter(|_| !child.killed));
            wake.extend(kill.unwrap_or_else(|| child.deadline().filter(|_| child.status.is_none())));
            // The other members of its group are not this process's children, so their end causes no signal.
            if child.status.is_some() && child.ending.is_some() {
                wake.push(Instant::now() + GROUP_POLL);
            }
            for pipe in &child.pipes {
                let sends = if pipe.unsent.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
                let poll = |end| PollFd::new(end, PollFlags::POLLIN | sends);
                descriptors.extend(pipe.end.iter().map(|end| poll(end.as_fd())));
            }
        }
        let _ = nix::poll::poll(&mut descriptors, timeout(wake.into_iter().min()));
    }

    pub(crate) fn run(
        &mut self, child: &mut Running, every: Duration, tick: &dyn Fn(Duration),
    ) -> Result<Ended, Stop> {
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

    pub(crate) fn sleep(&mut self, until: Instant) -> Result<(), Stop> {
        while Instant::now() < until {
            self.pump(&mut [], Some(until))?;
        }
        Ok(())
    }

    /// Reaps every dead child, for the target. Returns whether processes may be left, also in a hook's group.
    pub(crate) fn reap_all(&mut self) -> bool {
        self.reap(&mut []);
        let has_children = !self.groups.is_empty() && next_change().is_ok();
        has_children || self.groups.iter().any(|group| group_lives(*group))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Ended(Ended),
    Stopped(i32),
    Continued,
}

/// The next child that has changed, if any. The error is that there are no children.
pub(crate) fn next_change() -> rustix::io::Result<Option<(i32, Change)>> {
    let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
    #[expect(clippy::disallowed_methods, reason = "the one place that waits")]
    let Some((pid, status)) = rustix::process::wait(options)? else { return Ok(None) };
    let change = match (status.stopping_signal(), status.terminating_signal()) {
        (Some(signal), _) => Change::Stopped(signal),
        (None, _) if status.continued() => Change::Continued,
        (None, Some(signal)) => Change::Ended(Ended::Signaled(signal)),
        (None, None) => Change::Ended(Ended::Exited(status.exit_status().unwrap_or(0))),
    };
    Ok(Some((pid.as_raw_nonzero().get(), change)))
}

/// Whether a process group has a live member. Dead ones are members until their parent reaps them, which may
/// never happen if this process is not PID 1.
fn group_works(group: i32) -> bool {
    // Without /proc, dead processes look alive.
    let processes = if group_lives(group) { proc::all() } else { return false };
    let mut members = processes.iter().filter(|(_, process)| process.group == group).peekable();
    members.peek().is_none() || members.any(|(_, process)| !matches!(process.state, b'Z' | b'X'))
}
