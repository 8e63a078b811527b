//! Stays as the parent of the target, for `--supervise` and `init = true`.
//!
//! It forwards every signal that can be caught to the target, reaps every orphan, and exits with the target's
//! exit code. Like a shell does for its jobs, it gives the terminal to a target with its own process group.
//! It knows nothing of users and tables.

use std::ffi::{CStr, CString, OsString};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::libc::{SIGCHLD, SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, close, dup2_stderr, dup2_stdin, dup2_stdout, getpgrp, tcgetpgrp, tcsetpgrp};
use rustix::stdio::{stderr, stdin, stdout};

use crate::modes::context::Context;
use crate::sys::{
    Change, Ended, Signals, Stop, default_in_children, exec, group_lives, inherited_descriptors, next_change,
    proc, program_of, read, send, spawn_target, without_ttou,
};
use crate::text::{Failure, Format, Kind, Log, Result};
use crate::value::{Origin, Supervision, Variables};

/// The mode in which preverb becomes the target, after changes that only this process can make to itself.
const TARGET_MODE: &str = "--preverb-target";
/// Its tasks, besides the format of messages: take the terminal's foreground, set `LISTEN_PID` to this
/// process, and conceal why the target could not be started.
const FOREGROUND: &str = "foreground";
const LISTEN: &str = "listen";
const CONCEAL: &str = "conceal";

pub(crate) fn supervise(context: Context<'_>, options: &Supervision, command: &[OsString]) -> Result<u8> {
    let Context { variables, mut signals, log, .. } = context;
    if !options.blocked.is_empty()
        && let Some(stop) = signals.take_over(&options.blocked)?
    {
        return Err(Stop(stop).failure("before the target started"));
    }
    signals.take_all()?;
    // `--health` finds a supervisor by its process name; the file may have any name.
    let _ = rustix::thread::set_name(c"preverb");
    if !is_init() {
        // PID 1 gets every orphan anyway. Children do not inherit this setting (prctl(2)).
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }
    let terminal = match terminal() {
        None => Terminal::Absent,
        Some(terminal) if is_ours(&terminal) => Terminal::Lent,
        Some(_) => Terminal::Present,
    };
    let started = start(command, &variables, &signals, terminal, options.conceal, *log);
    let target = started.map_err(|failure| concealed(failure, options.conceal))?;
    // `--health` reads the target from this name: at most 15 bytes, so a process id of 7 digits fits.
    if let Ok(name) = CString::new(format!("preverb:{target}")) {
        let _ = rustix::thread::set_name(&name);
    }
    drop(variables);
    release_resources(&signals);
    let (stopped, passed_stop) = (Stopped::No, false);
    let mut supervisor = Supervisor { signals, options, target, terminal, stopped, passed_stop };
    let ended = supervisor.run();
    supervisor.take_back();
    if let Some(grace) = options.grace {
        supervisor.end_leftovers(grace);
    }
    Ok(options.exit_code(ended.exit_code()))
}

/// Becomes the target in the child of a supervisor. The first argument lists the tasks to do first, the
/// command follows. Returns only on failure.
pub(crate) fn become_target(words: &[OsString], mut variables: Variables, log: &mut Log) -> Failure {
    default_in_children();
    let Some((tasks, command)) = words.split_first() else {
        return Failure::new(Kind::Usage, format!("`{TARGET_MODE}` is for preverb itself"));
    };
    let tasks: Vec<&[u8]> = tasks.as_bytes().split(|byte| *byte == b',').collect();
    let asked = |task: &str| tasks.contains(&task.as_bytes());
    log.format = tasks.iter().find_map(|task| Format::of(task)).unwrap_or_default();
    if asked(FOREGROUND)
        && let Some(terminal) = terminal()
    {
        let _ = without_ttou(|| tcsetpgrp(&terminal, getpgrp()));
    }
    if asked(LISTEN) {
        variables.set(b"LISTEN_PID", std::process::id().to_string(), Origin::Preverb, false);
        // LISTEN_PIDFDID also identifies the process (sd_listen_fds(3)), and would now name a different one.
        variables.unset(b"LISTEN_PIDFDID");
    }
    concealed(exec::exec(command, &variables, None), asked(CONCEAL))
}

fn concealed(failure: Failure, conceal: bool) -> Failure {
    if conceal { failure.concealed("running the target") } else { failure }
}

/// Starts the target. If it has to take the foreground before its first read of the terminal, or needs its
/// own id, the child is preverb first, because only the process itself can do both.
fn start(
    command: &[OsString], variables: &Variables, signals: &Signals, terminal: Terminal, conceal: bool,
    log: Log,
) -> Result<i32> {
    let own = std::process::id().to_string();
    let listens = variables.get(b"LISTEN_PID").is_some_and(|found| found.value == own.as_bytes());
    let spawn =
        |file: &CStr, argv: &[CString], envp: &[&CStr]| spawn_target(file, argv, envp, &signals.inherited);
    let foreground = terminal == Terminal::Lent;
    // This process reports a missing target itself and does not start a second preverb for it.
    if !(foreground || listens) || exec::locate(program_of(command), variables).is_err() {
        return exec::attempt(command, variables, spawn);
    }
    let tasks = [(true, log.format.name()), (foreground, FOREGROUND), (listens, LISTEN), (conceal, CONCEAL)];
    let tasks = tasks.into_iter().filter_map(|(is, task)| is.then_some(task)).collect::<Vec<_>>().join(",");
    let own = [read::program().into(), TARGET_MODE.into(), tasks.into()];
    exec::attempt(&[&own, command].concat(), variables, spawn)
}

/// Releases resources that only the target should hold: the working directory, which could not be unmounted,
/// and pipes, whose readers wait for the end. That includes standard error, because nothing is reported
/// later, unless it is the only way to reach the terminal.
fn release_resources(signals: &Signals) {
    let _ = nix::unistd::chdir("/");
    let own = signals.descriptor.as_fd().as_raw_fd();
    for descriptor in inherited_descriptors().into_iter().filter(|descriptor| *descriptor != own) {
        let _ = close(descriptor);
    }
    let keeps_stderr = named_terminal().is_none() && tcgetpgrp(stderr()).is_ok();
    let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty());
    let replace: [fn(_) -> nix::Result<()>; 3] = [dup2_stdin, dup2_stdout, dup2_stderr];
    for (stream, replace) in (0..).zip(replace).take(if keeps_stderr { 2 } else { 3 }) {
        let _ = null.as_ref().map_or_else(|_| close(stream), replace);
    }
}

/// Signals that are not sent to leftover processes.
const TARGET_ONLY: [i32; 5] = [SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU];

/// The time for killed processes to disappear. A process in an uninterruptible sleep may never disappear.
const AFTER_KILL: Duration = Duration::from_secs(2);
const AFTER_KILL_POLL: Duration = Duration::from_millis(5);

/// The controlling terminal, if there is one. It is opened only when it is needed: as long as a process has a
/// terminal open, it is not hung up.
fn terminal() -> Option<OwnedFd> {
    // A scratch image has no /dev/tty; tcgetpgrp(3) fails for every file but the controlling terminal.
    named_terminal().or_else(|| {
        let mut streams = [stdin(), stdout(), stderr()].into_iter();
        streams.find(|stream| tcgetpgrp(stream).is_ok())?.try_clone_to_owned().ok()
    })
}

fn named_terminal() -> Option<OwnedFd> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    nix::fcntl::open("/dev/tty", flags, Mode::empty()).ok()
}

fn is_ours(terminal: &OwnedFd) -> bool {
    let own = getpgrp();
    if tcgetpgrp(terminal) != Ok(own) {
        return false;
    }
    // Groups of an outer PID namespace are all 0 here, so two of them look like one. An empty read tells them
    // apart: SIGTTIN is blocked, so it fails in a background group.
    own.as_raw() != 0 || nix::unistd::read(terminal, &mut []).is_ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Terminal {
    Absent,
    Present,
    Lent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    No,
    Alone,
    Together,
}

/// Whether this is PID 1, which cannot be stopped and does not lend the terminal.
fn is_init() -> bool {
    std::process::id() == 1
}

struct Supervisor<'o> {
    signals: Signals,
    options: &'o Supervision,
    target: i32,
    terminal: Terminal,
    stopped: Stopped,
    passed_stop: bool,
}

impl Supervisor<'_> {
    fn run(&mut self) -> Ended {
        loop {
            self.pass_on();
            if let Some(ended) = self.reap() {
                return ended;
            }
            if self.stopped != Stopped::Together {
                self.signals.wait(None);
                continue;
            }
            // The target has stopped, and the shell is to see its job stop. A stop discards a pending SIGCONT
            // (signal(7)), so signals that have already arrived are read first.
            self.take_back();
            self.pass_on();
            if self.stopped == Stopped::Together {
                send(std::process::id().cast_signed(), SIGSTOP);
            }
        }
    }

    /// Forwards the signals that have arrived.
    fn pass_on(&mut self) {
        while let Some(caught) = self.signals.next() {
            if caught == SIGCONT {
                self.hand_over();
            }
            let Some(number) = self.rewritten(caught) else { continue };
            self.passed_stop |= [SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU].contains(&number);
            // The terminal has stopped the whole group, so the whole group is continued.
            let was_stopped = number == SIGCONT && self.stopped != Stopped::No;
            if was_stopped {
                self.stopped = Stopped::No;
            }
            let group = self.options.group == Some(true) || was_stopped;
            send(if group { -self.target } else { self.target }, number);
        }
    }

    fn rewritten(&self, number: i32) -> Option<i32> {
        let rewritten = self.options.signals.iter().find(|(from, _)| *from == number);
        rewritten.map_or(Some(number), |(_, to)| *to)
    }

    fn reap(&mut self) -> Option<Ended> {
        let mut end = None;
        while let Ok(Some((pid, change))) = next_change() {
            match change {
                Change::Ended(_) | Change::Stopped(_) | Change::Continued if pid != self.target => {}
                Change::Ended(ended) => end = Some(ended),
                Change::Stopped(signal) => self.has_stopped(signal),
                Change::Continued => {
                    self.stopped = Stopped::No;
                    self.passed_stop = false;
                    self.hand_over();
                }
            }
        }
        end
    }

    fn has_stopped(&mut self, signal: i32) {
        // A shell brings a running job to the foreground without a signal, and the target has just tried to
        // use the terminal from the background.
        if [SIGTTIN, SIGTTOU].contains(&signal) && self.hand_over() {
            send(-self.target, SIGCONT);
            return;
        }
        // The sender of a stop, or the job's shell, also sends the SIGCONT. If only the target gets that, a
        // stopped supervisor would not see it, nor could it forward a SIGTERM.
        let job = self.terminal == Terminal::Lent || self.terminal == Terminal::Present && signal != SIGSTOP;
        let together = !is_init() && (self.passed_stop || job);
        self.stopped = if together { Stopped::Together } else { Stopped::Alone };
    }

    fn hand_over(&mut self) -> bool {
        let find = || terminal().filter(is_ours);
        let Some(terminal) = (self.terminal != Terminal::Absent).then(find).flatten() else { return false };
        self.terminal = Terminal::Lent;
        tcsetpgrp(&terminal, Pid::from_raw(self.target)).is_ok()
    }

    /// Takes the terminal's foreground back from a target that has stopped or ended. Any other living group
    /// keeps it. PID 1 has no shell to return it to.
    fn take_back(&self) {
        let own = getpgrp();
        if self.terminal != Terminal::Lent || is_init() || own.as_raw() == 0 {
            return;
        }
        if let Some(terminal) = terminal()
            && let Ok(group) = tcgetpgrp(&terminal)
            && group.as_raw() != 0
            && (group.as_raw() == self.target || !group_lives(group.as_raw()))
        {
            let _ = tcsetpgrp(&terminal, own);
        }
    }

    /// Ends the leftover processes of the target with SIGTERM, and with SIGKILL after `grace`.
    fn end_leftovers(&self, grace: Duration) {
        self.signal_leftovers(SIGTERM);
        // A stopped process handles no signals.
        self.signal_leftovers(SIGCONT);
        let deadline = Instant::now().checked_add(grace);
        while deadline.is_none_or(|deadline| Instant::now() < deadline) {
            // Signals are read before the dead are reaped, so that a SIGCHLD in between wakes this process.
            while let Some(caught) = self.signals.next() {
                let number = self.rewritten(caught);
                if let Some(number) = number.filter(|number| !TARGET_ONLY.contains(number)) {
                    self.signal_leftovers(number);
                }
            }
            if collect() {
                return;
            }
            self.signals.wait(deadline);
        }
        let deadline = Instant::now() + AFTER_KILL;
        while !collect() && Instant::now() < deadline {
            self.signal_leftovers(SIGKILL);
            while self.signals.next().is_some() {}
            self.signals.wait(Some(Instant::now() + AFTER_KILL_POLL));
        }
    }

    fn signal_leftovers(&self, number: i32) {
        if is_init() {
            send(-1, number);
            return;
        }
        let rest = descendants();
        if rest.is_empty() {
            // Without /proc the leftovers are unknown; most of them are in the target's process group.
            send(-self.target, number);
        }
        for pid in rest {
            send(pid, number);
        }
    }
}

/// Reaps every child that has ended. Returns whether no child is left.
fn collect() -> bool {
    while let Ok(Some(_)) = next_change() {}
    next_change().is_err()
}

fn descendants() -> Vec<i32> {
    let mut others = proc::all();
    let mut all = vec![std::process::id().cast_signed()];
    let mut next = 0;
    while let Some(parent) = all.get(next).copied() {
        let children = others.extract_if(.., |(_, stat)| stat.parent == parent);
        all.extend(children.map(|(pid, _)| pid));
        next += 1;
    }
    all.split_off(1)
}
