//! Staying behind with the target as a child: `--supervise`, and what `init = true` becomes.
//!
//! Every signal that can be caught goes to the target; every orphan is collected; the target's exit code is
//! this process's. It decides nothing about variables, users or tables.

use std::ffi::{CString, OsString};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::ffi::OsStrExt as _;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{getpgrp, tcgetpgrp, tcsetpgrp};

use crate::modes::context::Context;
use crate::modes::supervisor::{self, Terminal, is_ours, named_terminal, terminal};
use crate::sys::child::{Stop, inherited_descriptors, spawn_target};
use crate::sys::signals::{Signals, default_in_children, without_ttou};
use crate::sys::{exec, read};
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::{Format, Log};
use crate::value::supervision::Supervision;
use crate::value::variables::{Origin, Variables};

/// The mode in which preverb becomes the target after doing to itself what only the target's own process can.
const TARGET_MODE: &str = "--preverb-target";
/// What it does, beside the format of messages: take the terminal's foreground; let `LISTEN_PID` name this
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
    let_go(&signals);
    let ended = supervisor::run(signals, options, target, terminal);
    Ok(options.exit_code(ended.exit_code()))
}

/// Becomes the target after what the child of a supervisor does to itself: the first argument lists that, the
/// command follows. Returns only the failure.
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
            spawn_target(file, argv, envp, signals.inherited())
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
    spawn_target(&argv[0], &argv, &variables.to_envp(), signals.inherited()).map_err(refused)
}

/// Lets go of everything that is the target's: a working directory that could not be unmounted, pipes whose
/// other end waits for their end. Standard error is one of them, for nothing more is reported from here on;
/// it stays where it is the only way left to the terminal.
fn let_go(signals: &Signals) {
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
