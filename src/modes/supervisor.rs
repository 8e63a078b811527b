//! The loop of a supervising preverb: signals go to the target, the dead are collected, and the terminal
//! follows a target that has a process group of its own, as with a shell's jobs.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::libc::{SIGCHLD, SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

use crate::sys::child::{Change, Ended, next_change};
use crate::sys::proc;
use crate::sys::signals::{Caught, Signals, group_lives, send, send_to_all, send_to_group, stop_here};
use crate::value::supervision::Supervision;

/// Signals that are the target's alone.
const NEVER_TO_THE_REST: [i32; 5] = [SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU];

/// How long processes that were killed may take to be gone: one in an uninterruptible sleep takes for ever.
const AFTER_KILL: Duration = Duration::from_secs(2);
const AFTER_KILL_POLL: Duration = Duration::from_millis(5);

/// The controlling terminal, if there is one. It is opened when it is needed and not kept: a terminal that is
/// open somewhere is not hung up.
pub(crate) fn terminal() -> Option<OwnedFd> {
    // A scratch image has no such file; tcgetpgrp(3) knows the controlling terminal from any other file.
    named_terminal().or_else(|| {
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let mut streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()].into_iter();
        streams.find(|stream| tcgetpgrp(stream).is_ok())?.try_clone_to_owned().ok()
    })
}

pub(crate) fn named_terminal() -> Option<OwnedFd> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    nix::fcntl::open("/dev/tty", flags, Mode::empty()).ok()
}

pub(crate) fn is_ours(terminal: &OwnedFd) -> bool {
    let own = getpgrp();
    if tcgetpgrp(terminal) != Ok(own) {
        return false;
    }
    // Groups of an outer PID namespace are all 0 here, so that two of them look like one. Reading nothing
    // then tells: with SIGTTIN blocked, as it is, a group of the background is refused.
    own.as_raw() != 0 || nix::unistd::read(terminal, &mut []).is_ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terminal {
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

pub(crate) fn run(signals: Signals, options: &Supervision, target: i32, terminal: Terminal) -> Ended {
    let init = std::process::id() == 1;
    let mut supervisor =
        Supervisor { signals, options, target, init, terminal, stopped: Stopped::No, passed_stop: false };
    let ended = supervisor.run();
    supervisor.take_back();
    if let Some(grace) = options.grace {
        supervisor.end_the_rest(grace);
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
        if caught.is_news_of_a_child {
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

    /// Ends what the target has left behind: SIGTERM, and SIGKILL after `grace`.
    fn end_the_rest(&self, grace: Duration) {
        self.to_the_rest(SIGTERM);
        // A process that is stopped handles nothing.
        self.to_the_rest(SIGCONT);
        let deadline = Instant::now().checked_add(grace);
        loop {
            // The signals before the dead: the news of one that ends in between stays to wake this process.
            while let Some(caught) = self.signals.next() {
                let number = self.rewritten(caught.number);
                if let Some(number) = number.filter(|number| !NEVER_TO_THE_REST.contains(number)) {
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
            self.to_the_rest(SIGKILL);
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
