//! Staying as the parent of the target: `--supervise`, and what `init = true` becomes.
//!
//! Every signal that can be caught goes to the target; every orphan is collected; the target's exit code is
//! this process's. The terminal follows a target that has a process group of its own, as with a shell's jobs.
//! It decides nothing about variables, users or tables.

use std::ffi::{CString, OsString};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::{SIGCHLD, SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

use crate::modes::context::Context;
use crate::sys::{
    Caught, Change, Ended, Signals, Stop, default_in_children, exec, group_lives, inherited_descriptors,
    next_change, proc, read, send, send_to_all, send_to_group, spawn_target, stop_here, without_ttou,
};
use crate::text::{Failure, Format, Kind, Log, Result};
use crate::value::{Origin, Supervision, Variables};

/// The mode in which preverb becomes the target after doing to itself what only the target's own process can.
const TARGET_MODE: &str = "--preverb-target";
/// Its tasks, apart from the format of messages: take the terminal's foreground; let `LISTEN_PID` name this
/// process; do not show why it fails.
const FOREGROUND: &str = "foreground";
const LISTEN: &str = "listen";
const CONCEAL: &str = "conceal";

pub(crate) fn supervise(context: Context<'_>, options: &Supervision, command: &[OsString]) -> Result<u8> {
    let Context { variables, mut signals, log } = context;
    if !options.blocked.is_empty()
        && let Some(stop) = signals.take_over(&options.blocked)?
    {
        return Err(Stop(stop).failure("before the target started"));
    }
    signals.take_all()?;
    // `--health` looks for a supervisor by its name, and the file may have any.
    let _ = rustix::thread::set_name(c"preverb");
    if std::process::id() != 1 {
        // As PID 1 every orphan comes to this process anyway. A child does not inherit this (prctl(2)).
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }
    let own_terminal = terminal();
    let foreground = own_terminal.as_ref().is_some_and(is_ours);
    let started = start(command, &variables, &signals, foreground, options.conceal, *log);
    let target = started.map_err(|failure| concealed(failure, options.conceal))?;
    // So `--health` knows the target. The kernel keeps 15 bytes, and a process id has at most 7 digits.
    if let Ok(name) = CString::new(format!("preverb:{target}")) {
        let _ = rustix::thread::set_name(&name);
    }
    let terminal = match &own_terminal {
        None => Terminal::Absent,
        Some(_) if foreground => Terminal::Lent,
        Some(_) => Terminal::Present,
    };
    drop((variables, own_terminal));
    release_resources(&signals);
    let ended = watch(signals, options, target, terminal);
    Ok(options.exit_code(ended.exit_code()))
}

/// Becomes the target after what the child of a supervisor does to itself: the first argument lists that, the
/// command follows. Returns only the failure.
pub(crate) fn become_target(words: &[OsString], mut variables: Variables, log: &mut Log) -> Failure {
    default_in_children();
    let Some((tasks, command)) = words.split_first() else {
        return Failure::new(Kind::Usage, format!("`{TARGET_MODE}` is for preverb itself"));
    };
    let each = tasks.as_bytes().split(|byte| *byte == b',');
    let asked = |task: &str| each.clone().any(|each| each == task.as_bytes());
    log.format = each.clone().find_map(Format::of).unwrap_or_default();
    let own = std::process::id();
    if asked(FOREGROUND)
        && let Some(terminal) = terminal()
    {
        without_ttou(|| {
            let _ = tcsetpgrp(&terminal, getpgrp());
        });
    }
    if asked(LISTEN) {
        variables.set(b"LISTEN_PID", own.to_string(), Origin::Preverb, false);
        // It names the same process in another way (sd_listen_fds(3)), which would now contradict.
        variables.unset(b"LISTEN_PIDFDID");
    }
    concealed(exec::exec(command, &variables), asked(CONCEAL))
}

fn concealed(failure: Failure, conceal: bool) -> Failure {
    if conceal { failure.concealed("running the target") } else { failure }
}

/// Starts the target; by way of preverb itself where it has to take the foreground before its first read of
/// the terminal, or to know its own id: both it can only do itself.
fn start(
    command: &[OsString],
    variables: &Variables,
    signals: &Signals,
    foreground: bool,
    conceal: bool,
    log: Log,
) -> Result<i32> {
    let own = std::process::id().to_string();
    let listens = variables.get(b"LISTEN_PID").is_some_and(|found| found.value == own.as_bytes());
    let name = command.first().map(OsString::as_os_str).unwrap_or_default();
    // A target that is not there is reported by this process, without a second one.
    if !(foreground || listens) || exec::locate(name, variables).is_err() {
        return exec::attempt(command, variables, |file, argv, envp| {
            spawn_target(file, argv, envp, &signals.inherited)
        });
    }
    let mut tasks = log.format.name().to_owned();
    for (_, task) in
        [(foreground, FOREGROUND), (listens, LISTEN), (conceal, CONCEAL)].iter().filter(|(is, _)| *is)
    {
        tasks.extend([",", task]);
    }
    let program = &read::program();
    let mut words = vec![program.as_os_str().to_owned(), TARGET_MODE.into(), tasks.into()];
    words.extend_from_slice(command);
    let refused = |error| exec::diagnose(program.as_os_str(), program, error, &words, variables);
    let argv: std::result::Result<Vec<CString>, _> =
        words.iter().map(|word| CString::new(word.as_bytes())).collect();
    let argv = argv.map_err(|_| refused(Errno::EINVAL))?;
    spawn_target(&argv[0], &argv, &variables.to_envp(), &signals.inherited).map_err(refused)
}

/// Lets go of everything that is the target's: a working directory that could not be unmounted, pipes whose
/// other end waits for their end. Standard error is one of them, for nothing more is reported from here on;
/// it stays where it is the only way left to the terminal.
fn release_resources(signals: &Signals) {
    let _ = nix::unistd::chdir("/");
    let own = signals.as_fd().as_raw_fd();
    for descriptor in inherited_descriptors().into_iter().filter(|descriptor| *descriptor != own) {
        let _ = nix::unistd::close(descriptor);
    }
    let keeps_stderr = named_terminal().is_none() && tcgetpgrp(std::io::stderr()).is_ok();
    if let Ok(null) = nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()) {
        let _ = nix::unistd::dup2_stdin(&null);
        let _ = nix::unistd::dup2_stdout(&null);
        if !keeps_stderr {
            let _ = nix::unistd::dup2_stderr(&null);
        }
    } else {
        for stream in if keeps_stderr { 0..2 } else { 0..3 } {
            let _ = nix::unistd::close(stream);
        }
    }
}

/// Signals that are the target's alone.
const TARGET_ONLY: [i32; 5] = [SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU];

/// How long processes that were killed may take to be gone: one in an uninterruptible sleep takes forever.
const AFTER_KILL: Duration = Duration::from_secs(2);
const AFTER_KILL_POLL: Duration = Duration::from_millis(5);

/// The controlling terminal, if there is one. It is opened when it is needed and not kept: a terminal that is
/// open somewhere is not hung up.
fn terminal() -> Option<OwnedFd> {
    // A scratch image has no such file; tcgetpgrp(3) knows the controlling terminal from any other file.
    named_terminal().or_else(|| {
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let mut streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()].into_iter();
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
    // Groups of an outer PID namespace are all 0 here, so that two of them look like one. Reading nothing
    // then tells: with SIGTTIN blocked, as it is, a group of the background is refused.
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

struct Supervisor<'o> {
    signals: Signals,
    options: &'o Supervision,
    target: i32,
    /// Whether this is PID 1, which nothing can stop, and to which no terminal is lent.
    init: bool,
    terminal: Terminal,
    stopped: Stopped,
    passed_stop: bool,
}

fn watch(signals: Signals, options: &Supervision, target: i32, terminal: Terminal) -> Ended {
    let init = std::process::id() == 1;
    let mut supervisor =
        Supervisor { signals, options, target, init, terminal, stopped: Stopped::No, passed_stop: false };
    let ended = supervisor.run();
    supervisor.take_back();
    if let Some(grace) = options.grace {
        supervisor.end_leftovers(grace);
    }
    ended
}

impl Supervisor<'_> {
    fn run(&mut self) -> Ended {
        loop {
            while let Some(caught) = self.signals.next() {
                self.pass_on(caught);
            }
            if let Some(ended) = self.reap() {
                return ended;
            }
            if self.stopped == Stopped::Together {
                self.stop_too();
            } else {
                self.signals.wait(None);
            }
        }
    }

    fn pass_on(&mut self, caught: Caught) {
        if caught.is_child_event {
            return;
        }
        if caught.number == SIGCONT {
            self.hand_over();
        }
        let Some(number) = self.rewritten(caught.number) else { return };
        self.passed_stop |= [SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU].contains(&number);
        // A terminal has stopped the whole group, so the whole group is continued.
        let was_stopped = number == SIGCONT && self.stopped != Stopped::No;
        if was_stopped {
            self.stopped = Stopped::No;
        }
        if self.options.group == Some(true) || was_stopped {
            send_to_group(self.target, number);
        } else {
            send(self.target, number);
        }
    }

    fn rewritten(&self, number: i32) -> Option<i32> {
        let rewritten = self.options.signals.iter().find(|(from, _)| *from == number);
        rewritten.map_or(Some(number), |(_, to)| *to)
    }

    fn reap(&mut self) -> Option<Ended> {
        let mut end = None;
        loop {
            match next_change() {
                Change::Ended(pid, ended) if pid == self.target => end = Some(ended),
                Change::Stopped(pid, signal) if pid == self.target => self.has_stopped(signal),
                Change::Continued(pid) if pid == self.target => {
                    self.stopped = Stopped::No;
                    self.passed_stop = false;
                    self.hand_over();
                }
                Change::Ended(..) | Change::Stopped(..) | Change::Continued(_) => {}
                Change::Nothing | Change::NoChildren => return end,
            }
        }
    }

    fn has_stopped(&mut self, signal: i32) {
        // A shell brings a job that runs to the front without a word, and the target has just noticed that it
        // is not there itself.
        if [SIGTTIN, SIGTTOU].contains(&signal) && self.hand_over() {
            send_to_group(self.target, SIGCONT);
            return;
        }
        // Who stopped this process continues it, and so does a shell whose job it is. Who stopped the target
        // alone continues that alone: no process that is stopped could see it, or pass a request to end on.
        let job = match self.terminal {
            Terminal::Absent => false,
            Terminal::Present => signal != SIGSTOP,
            Terminal::Lent => true,
        };
        let together = !self.init && (self.passed_stop || job);
        self.stopped = if together { Stopped::Together } else { Stopped::Alone };
    }

    /// Stops this process because the target is stopped, so that a shell sees its job stop.
    fn stop_too(&mut self) {
        self.take_back();
        // A stop discards a SIGCONT that is pending (signal(7)), so the one that has come by now is read.
        while let Some(caught) = self.signals.next() {
            self.pass_on(caught);
        }
        if self.stopped == Stopped::Together {
            stop_here();
        }
    }

    fn hand_over(&mut self) -> bool {
        if self.terminal != Terminal::Absent
            && let Some(terminal) = terminal()
            && is_ours(&terminal)
        {
            self.terminal = Terminal::Lent;
            return tcsetpgrp(&terminal, Pid::from_raw(self.target)).is_ok();
        }
        false
    }

    /// Takes back the terminal's foreground from a target that has stopped or ended. Who has it otherwise,
    /// and lives, keeps it. PID 1 has no shell to return it to.
    fn take_back(&self) {
        let own = getpgrp();
        if self.terminal != Terminal::Lent || self.init || own.as_raw() == 0 {
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

    /// Ends the leftover processes of the target: SIGTERM, and SIGKILL after `grace`.
    fn end_leftovers(&self, grace: Duration) {
        self.signal_leftovers(SIGTERM);
        // A process that is stopped handles nothing.
        self.signal_leftovers(SIGCONT);
        let deadline = Instant::now().checked_add(grace);
        loop {
            // The signals before the dead: the news of one that ends in between stays to wake this process.
            while let Some(caught) = self.signals.next() {
                let number = self.rewritten(caught.number);
                if let Some(number) = number.filter(|number| !TARGET_ONLY.contains(number)) {
                    self.signal_leftovers(number);
                }
            }
            if collect() {
                return;
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                break;
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
        if self.init {
            send_to_all(number);
            return;
        }
        let rest = descendants();
        if rest.is_empty() {
            // Without /proc it is not known who is left; most of them are of the target's group.
            send_to_group(self.target, number);
        }
        for pid in rest {
            send(pid, number);
        }
    }
}

fn collect() -> bool {
    loop {
        match next_change() {
            Change::Ended(..) | Change::Stopped(..) | Change::Continued(_) => {}
            change @ (Change::Nothing | Change::NoChildren) => return matches!(change, Change::NoChildren),
        }
    }
}

fn descendants() -> Vec<i32> {
    let mut others = proc::all();
    let mut all = vec![std::process::id().cast_signed()];
    let mut next = 0;
    while next < all.len() {
        let parent = all[next];
        let children = others.extract_if(.., |(_, stat)| stat.parent == parent);
        all.extend(children.map(|(pid, _)| pid));
        next += 1;
    }
    all.split_off(1)
}
