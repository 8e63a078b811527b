//! Staying behind with the target as a child: `--supervise`, and what `init = true` becomes.
//!
//! Every signal that can be caught goes to the target; every orphan is collected; the target's exit code is
//! this process's. It decides nothing about variables, users or tables: whoever starts it has done that. Job
//! control is the one thing that it shares with a shell, and the reason for most of this file: the target
//! has a process group of its own, so the terminal must follow it.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

use crate::sys::child::{Change, Ended, Stop, inherited_descriptors, next_change, spawn_target};
use crate::sys::exec;
use crate::sys::signals::{
    Caught, Every, Signals, default_in_children, group_lives, send, send_to_all, send_to_group, stop_here,
    without_ttou,
};
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::{Format, Log};
use crate::value::supervision::Supervision;
use crate::value::variables::{Origin, Variables};

/// The mode in which preverb becomes the target after doing to itself what only the target's own process can.
const TARGET_MODE: &str = "--preverb-target";
/// Words of that mode, beside the format of messages: take the terminal's foreground; let `LISTEN_PID` name
/// this process; do not show why it fails.
const FOREGROUND: &str = "foreground";
const LISTEN: &str = "listen";
const CONCEAL: &str = "conceal";

const TERM: i32 = 15;
const KILL: i32 = 9;
const CHLD: i32 = 17;
const CONT: i32 = 18;
const STOP: i32 = 19;
const TSTP: i32 = 20;
const TTIN: i32 = 21;
const TTOU: i32 = 22;

/// How long processes that were killed may take to be gone: one in an uninterruptible sleep takes for ever.
const AFTER_KILL: Duration = Duration::from_secs(2);
/// How often what is left is looked for again once it is being killed: its children become ours only then.
const AFTER_KILL_POLL: Duration = Duration::from_millis(5);

/// Runs `command` as a child until it ends; the exit code is what this process is to exit with.
///
/// # Errors
/// Why the target could not be started (126, 127).
pub(crate) fn supervise(
    command: &[OsString],
    options: &Supervision,
    variables: Variables,
    program: &Path,
    mut signals: Signals,
    log: Log,
) -> Result<u8> {
    if !options.blocked.is_empty()
        && let Some(stop) = signals.take_over(&options.blocked)?
    {
        return Err(Stop(stop).failure("before the target started"));
    }
    let signals = Every::instead_of(signals)?;
    let init = std::process::id() == 1;
    // `--health` looks for a supervisor by its name, and the file may have any.
    let _ = rustix::thread::set_name(c"preverb");
    if !init {
        // As PID 1 every orphan comes to this process anyway. A child does not inherit this (prctl(2)).
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }
    let own_terminal = terminal();
    let foreground = own_terminal.as_ref().is_some_and(is_ours);
    let started = start(command, &variables, program, &signals, foreground, options.conceal, log);
    let target = started.map_err(|failure| if options.conceal { concealed(failure) } else { failure })?;
    // Whatever else is a child of this process, who looks from outside can tell which is the target. 15 bytes
    // are what the kernel keeps, and the largest process id has 7 digits.
    if let Ok(name) = CString::new(format!("preverb:{target}")) {
        let _ = rustix::thread::set_name(&name);
    }
    let terminal = match &own_terminal {
        None => Terminal::Absent,
        Some(_) if foreground => Terminal::Lent,
        Some(_) => Terminal::Present,
    };
    drop((variables, own_terminal));
    let_go(&signals);
    let mut supervisor =
        Supervisor { signals, options, target, init, terminal, stopped: Stopped::No, passed_stop: false };
    let ended = supervisor.run();
    supervisor.take_back();
    if let Some(grace) = options.grace {
        supervisor.end_the_rest(grace);
    }
    Ok(options.exit_code(ended.exit_code()))
}

/// Becomes the target: what the child of a supervisor does to itself where that is needed. Its words are what
/// to do, and the command. Returns only the failure.
pub(crate) fn become_target(words: &[OsString], mut variables: Variables, log: &mut Log) -> Failure {
    default_in_children();
    let Some((tasks, command)) = words.split_first() else {
        return Failure::say(Kind::Usage, format!("`{TARGET_MODE}` is for preverb itself"));
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
    let failure = exec::exec(command, &variables);
    if asked(CONCEAL) { concealed(failure) } else { failure }
}

/// The failure of a target of which a secret is a part.
fn concealed(failure: Failure) -> Failure {
    failure.concealed("running the target")
}

/// Starts the target.
fn start(
    command: &[OsString],
    variables: &Variables,
    program: &Path,
    signals: &Every,
    foreground: bool,
    conceal: bool,
    log: Log,
) -> Result<i32> {
    let own = std::process::id().to_string();
    let listens = variables.get(b"LISTEN_PID").is_some_and(|found| found.value == own.as_bytes());
    let name = command.first().map(OsString::as_os_str).unwrap_or_default();
    // A target that is not there is told by this process, without a second one.
    if (foreground || listens) && exec::find(name, variables).is_some() {
        let format = log.format.name();
        let tasks = [(foreground, FOREGROUND), (listens, LISTEN), (conceal, CONCEAL), (true, format)];
        return start_by_itself(command, variables, program, signals, tasks);
    }
    exec::attempt(command, variables, |file, argv, envp| {
        // A missing file is noticed here for less than a process costs.
        rustix::fs::access(file, rustix::fs::Access::EXISTS)
            .map_err(|error| nix::errno::Errno::from_raw(error.raw_os_error()))?;
        spawn_target(file, argv, envp, signals.inherited())
    })
}

/// Starts the target by way of preverb itself: a process can take the foreground before the target's first
/// read of the terminal, and know its own id, only from inside.
fn start_by_itself(
    command: &[OsString],
    variables: &Variables,
    program: &Path,
    signals: &Every,
    tasks: [(bool, &str); 4],
) -> Result<i32> {
    let tasks: Vec<&str> = tasks.into_iter().filter(|(asked, _)| *asked).map(|(_, task)| task).collect();
    let mut words = vec![program.as_os_str().to_owned(), TARGET_MODE.into(), tasks.join(",").into()];
    words.extend_from_slice(command);
    let refused =
        |error: nix::errno::Errno| exec::diagnose(program.as_os_str(), program, error, &words, variables);
    let c_string =
        |word: &OsStr| CString::new(word.as_bytes()).map_err(|_| refused(nix::errno::Errno::EINVAL));
    let argv = words.iter().map(|word| c_string(word)).collect::<Result<Vec<_>>>()?;
    spawn_target(&c_string(program.as_os_str())?, &argv, &variables.to_envp(), signals.inherited())
        .map_err(refused)
}

/// Lets go of everything that is the target's: a working directory that could not be unmounted, pipes whose
/// other end waits for their end. Standard error is one of them, for nothing more is told from here on; it
/// stays where it is the one way left to the terminal.
fn let_go(signals: &Every) {
    let _ = nix::unistd::chdir("/");
    let own = signals.as_fd().as_raw_fd();
    for descriptor in inherited_descriptors() {
        if descriptor != own {
            let _ = nix::unistd::close(descriptor);
        }
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

/// The controlling terminal, if there is one. It is opened when it is needed and not kept: a terminal that
/// somebody has open is not hung up.
fn terminal() -> Option<OwnedFd> {
    // A scratch image has no such file; tcgetpgrp(3) knows the controlling terminal from any other file.
    named_terminal().or_else(|| {
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]
            .into_iter()
            .find(|stream| tcgetpgrp(stream).is_ok())
            .and_then(|stream| stream.try_clone_to_owned().ok())
    })
}

fn named_terminal() -> Option<OwnedFd> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    nix::fcntl::open("/dev/tty", flags, Mode::empty()).ok()
}

/// Whether this process's group has the terminal's foreground.
fn is_ours(terminal: &OwnedFd) -> bool {
    let own = getpgrp();
    if tcgetpgrp(terminal) != Ok(own) {
        return false;
    }
    // Groups of an outer PID namespace are all 0 here, so that two of them look like one. Reading nothing
    // then tells: with TTIN blocked, as it is, a group of the background is refused.
    own.as_raw() != 0 || nix::unistd::read(terminal, &mut []).is_ok()
}

/// What a supervisor has to do with a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Terminal {
    /// There is none.
    Absent,
    /// The target was never given its foreground.
    Present,
    /// The target was given its foreground, now or before.
    Lent,
}

/// Whether the target is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    /// It runs.
    No,
    /// It is, and this process stays at work.
    Alone,
    /// It is, and this process is to stop with it.
    Together,
}

/// A supervisor and its target.
struct Supervisor<'o> {
    signals: Every,
    options: &'o Supervision,
    /// The target's process id, which is its group's.
    target: i32,
    /// Whether this is PID 1, which nothing can stop, and to which nobody has lent a terminal.
    init: bool,
    terminal: Terminal,
    stopped: Stopped,
    /// Whether a signal that stops was passed on since the target went on.
    passed_stop: bool,
}

impl Supervisor<'_> {
    /// Until the target has ended.
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

    /// Passes a signal on as it is asked to be.
    fn pass_on(&mut self, caught: Caught) {
        if caught.is_news_of_a_child {
            return;
        }
        if caught.number == CONT {
            self.hand_over();
        }
        let Some(number) = self.rewritten(caught.number) else { return };
        self.passed_stop |= [STOP, TSTP, TTIN, TTOU].contains(&number);
        // A terminal has stopped the whole group, so the whole group goes on.
        let was_stopped = number == CONT && self.stopped != Stopped::No;
        if was_stopped {
            self.stopped = Stopped::No;
        }
        if self.options.group || was_stopped {
            send_to_group(self.target, number);
        } else {
            send(self.target, number);
        }
    }

    /// What a signal is passed on as, if it is.
    fn rewritten(&self, number: i32) -> Option<i32> {
        let rewritten = self.options.signals.iter().find(|(from, _)| *from == number);
        rewritten.map_or(Some(number), |(_, to)| *to)
    }

    /// Collects the dead, and learns what became of the target: how it ended, if it has.
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

    /// Decides what a stop of the target means for this process.
    fn has_stopped(&mut self, signal: i32) {
        // A shell brings a job that runs to the front without a word, and the target has just noticed that it
        // is not there itself.
        if [TTIN, TTOU].contains(&signal) && self.hand_over() {
            send_to_group(self.target, CONT);
            return;
        }
        // Who stopped this process will continue it, and so will a shell whose job it is. Whoever stopped the
        // target alone continues that alone: no process that is stopped could see it, or pass a request to
        // end on.
        let job = match self.terminal {
            Terminal::Absent => false,
            Terminal::Present => signal != STOP,
            Terminal::Lent => true,
        };
        let together = !self.init && (self.passed_stop || job);
        self.stopped = if together { Stopped::Together } else { Stopped::Alone };
    }

    /// Stops this process because the target is stopped, so that a shell sees its job stop.
    fn stop_too(&mut self) {
        self.take_back();
        // A stop discards a CONT that is pending (signal(7)), so the one that has come by now is read.
        while let Some(caught) = self.signals.next() {
            self.pass_on(caught);
        }
        if self.stopped == Stopped::Together {
            stop_here();
        }
    }

    /// Gives the target the terminal's foreground, if this process's group has it; whether it did.
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
    /// and lives, keeps it. PID 1 has nobody to return it to.
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

    /// Ends what the target has left behind: TERM, `grace` to heed it, KILL.
    fn end_the_rest(&self, grace: Duration) {
        self.to_the_rest(TERM);
        // A process that is stopped heeds nothing.
        self.to_the_rest(CONT);
        let deadline = Instant::now().checked_add(grace);
        loop {
            // The signals before the dead: the news of one that ends in between stays to wake this process.
            while let Some(caught) = self.signals.next() {
                let number = self.rewritten(caught.number);
                if let Some(number) = number.filter(|number| ![CHLD, CONT, TSTP, TTIN, TTOU].contains(number))
                {
                    self.to_the_rest(number);
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
            self.to_the_rest(KILL);
            while self.signals.next().is_some() {}
            self.signals.wait(Some(Instant::now() + AFTER_KILL_POLL));
        }
    }

    fn to_the_rest(&self, number: i32) {
        if self.init {
            send_to_all(number);
            return;
        }
        let rest = descendants();
        if rest.is_empty() {
            // Without /proc nobody can tell who is left; most of them are of the target's group.
            send_to_group(self.target, number);
        }
        for pid in rest {
            send(pid, number);
        }
    }
}

/// Collects the dead; whether no child is left.
fn collect() -> bool {
    loop {
        match next_change() {
            Change::Ended(..) | Change::Stopped(..) | Change::Continued(_) => {}
            Change::Nothing => return false,
            Change::NoChildren => return true,
        }
    }
}

/// All processes below this one.
fn descendants() -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for (pid, stat) in crate::sys::proc::all() {
        children.entry(stat.parent).or_default().push(pid);
    }
    let mut all = Vec::new();
    let mut next = vec![i32::try_from(std::process::id()).unwrap_or(0)];
    while let Some(pid) = next.pop() {
        let below = children.remove(&pid).unwrap_or_default();
        all.extend(&below);
        next.extend(below);
    }
    all
}
