//! A command with a deadline, and its results.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The output of a command, how it ended and how long it took.
#[derive(Debug)]
pub(crate) struct Output {
    /// The exit code, or 128+n for a signal.
    pub(crate) status: i32,
    /// Standard output; bytes that are not UTF-8 are replaced.
    pub(crate) stdout: String,
    /// Standard error, likewise.
    pub(crate) stderr: String,
    /// From start to end.
    pub(crate) took: Duration,
}

impl Output {
    /// Fails the test, with all the output, unless the command succeeded.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        self.exited(0)
    }

    /// Fails the test, with all the output, unless the command ended with this exit code.
    #[track_caller]
    pub(crate) fn exited(self, status: i32) -> Self {
        assert_eq!(self.status, status, "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }
}

/// Runs a command to its end with `input` as standard input; kills it and fails the test past the deadline.
#[track_caller]
pub(crate) fn run(command: &mut Command, input: &[u8], deadline: Duration) -> Output {
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that does not read its input may close the pipe.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let stdout = reader(child.stdout.take().unwrap());
    let stderr = reader(child.stderr.take().unwrap());
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if start.elapsed() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = start.elapsed();
    writer.join().unwrap();
    let stdout = stdout.join().unwrap();
    let stderr = stderr.join().unwrap();
    let Some(status) = status else {
        panic!("{command:?}: not done within {deadline:?}\n{stdout}\n{stderr}");
    };
    Output { status: code(status), stdout, stderr, took }
}

fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
}

fn reader(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
