//! A command under a terminal: what `-it`, Ctrl-C and `isatty` need.

use std::fs::File;
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::scratch::Scratch;
use super::{becomes, until};

/// A command that runs in the foreground of a pseudo-terminal, given to it by `script`.
#[derive(Debug)]
pub(crate) struct Terminal {
    child: Child,
    stdin: ChildStdin,
    scratch: Scratch,
}

impl Terminal {
    /// Starts a command, with its arguments, directory and variables.
    #[track_caller]
    pub(crate) fn new(command: &Command) -> Self {
        let scratch = Scratch::new();
        let words: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| quoted(word.to_str().unwrap()))
            .collect();
        let mut script = Command::new("script");
        script.args(["--quiet", "--flush", "--return", "--command", &words.join(" ")]);
        script.arg("/dev/null");
        if let Some(directory) = command.get_current_dir() {
            script.current_dir(directory);
        }
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                script.env(name, value);
            }
        }
        let output = File::create(scratch.path().join("output")).unwrap();
        script.stdin(Stdio::piped()).stdout(output);
        script.stderr(Stdio::inherit());
        let mut child = script.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        Self { child, stdin, scratch }
    }

    /// Types into the terminal.
    #[track_caller]
    pub(crate) fn send(&mut self, keys: &str) {
        self.stdin.write_all(keys.as_bytes()).unwrap();
        self.stdin.flush().unwrap();
    }

    /// The screen so far.
    pub(crate) fn screen(&self) -> String {
        let bytes = std::fs::read(self.scratch.path().join("output")).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Polls until the screen shows `text`.
    #[track_caller]
    pub(crate) fn until_shown(&self, text: &str) {
        let shown = becomes(super::PATIENCE, || self.screen().contains(text).then_some(()));
        assert!(shown.is_some(), "never shown: {text}; {}", self.screen());
    }

    /// Waits for the command's end and gives its exit code and the screen.
    #[track_caller]
    pub(crate) fn finish(mut self) -> (i32, String) {
        let status = until("the command in the terminal ends", || self.child.try_wait().unwrap());
        // `script` writes the last of it before it ends.
        (status.code().unwrap(), self.screen())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let ended = becomes(Duration::from_millis(1), || self.child.try_wait().unwrap());
        if ended.is_none() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
