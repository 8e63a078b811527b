//! Starts the binary with arguments and an environment that `std::process::Command` cannot express: no
//! arguments at all, duplicate variables, entries without `=`.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::preverb;

/// Starts the binary. Its working directory is the tests' own.
pub(super) fn spawn(words: &[OsString], environment: &[Vec<u8>], streams: [&File; 3]) -> Pid {
    let text = |bytes: Vec<u8>| CString::new(bytes).unwrap();
    let words: Vec<CString> = words.iter().map(|word| text(word.clone().into_vec())).collect();
    let environment: Vec<CString> = environment.iter().cloned().map(text).collect();
    let mut actions = PosixSpawnFileActions::init().unwrap();
    for (number, stream) in (0..).zip(streams) {
        actions.add_dup2(stream.as_raw_fd(), number).unwrap();
    }
    let attributes = PosixSpawnAttr::init().unwrap();
    posix_spawn(preverb(), &actions, &attributes, &words, &environment).unwrap()
}

/// Waits for its end, and kills it at the deadline.
pub(super) fn wait(pid: Pid, deadline: Instant) -> ExitStatus {
    loop {
        match waitpid(pid, Some(WaitPidFlag::WNOHANG)).unwrap() {
            WaitStatus::Exited(_, code) => return ExitStatus::from_raw(code << 8),
            WaitStatus::Signaled(_, signal, _) => return ExitStatus::from_raw(signal as i32),
            WaitStatus::StillAlive
            | WaitStatus::Stopped(..)
            | WaitStatus::Continued(_)
            | WaitStatus::PtraceEvent(..)
            | WaitStatus::PtraceSyscall(_) => {}
        }
        if Instant::now() > deadline {
            let _ = kill(pid, Signal::SIGKILL);
            panic!("preverb did not end in time");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
