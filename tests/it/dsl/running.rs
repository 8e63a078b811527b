//! A run in progress: what a test about signals does while preverb runs. Nothing here relies on a sleep:
//! every wait is for a condition, with a deadline.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::terminal::Terminal;

/// How long a condition may take to become true.
const PATIENCE: Duration = Duration::from_secs(20);

/// A started preverb.
pub(crate) struct Running {
    child: Child,
    dir: PathBuf,
    /// Whether `child` is the `unshare` that started it.
    below: bool,
    terminal: Option<Terminal>,
    ended: bool,
}

impl Running {
    pub(super) fn new(child: Child, dir: &Path, below: bool, terminal: Option<Terminal>) -> Self {
        Self { child, dir: dir.to_owned(), below, terminal, ended: false }
    }

    /// The test's directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The process id of preverb (later: of the target), as this side of any namespace sees it.
    #[track_caller]
    pub(crate) fn pid(&self) -> Pid {
        let own = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        if !self.below {
            return own;
        }
        let mut child = None;
        poll("process 1 of the namespace to start", || {
            child = children(own).first().copied();
            child.is_some()
        });
        child.unwrap()
    }

    /// Sends it a signal.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Sends its process group a signal, as a terminal does.
    #[track_caller]
    pub(crate) fn signal_group(&self, signal: Signal) {
        let group = nix::unistd::getpgid(Some(self.pid())).unwrap();
        killpg(group, signal).unwrap();
    }

    /// Writes to the terminal, as a keyboard does.
    #[track_caller]
    pub(crate) fn type_in(&self, keys: &[u8]) {
        self.terminal.as_ref().expect("a test with `.terminal()`").type_in(keys);
    }

    /// Waits until the terminal has shown this.
    #[track_caller]
    pub(crate) fn wait_for_screen(&self, part: &str) {
        let terminal = self.terminal.as_ref().expect("a test with `.terminal()`");
        self.wait_until(&format!("`{part}` on the terminal"), || {
            super::contains(&terminal.screen(), part.as_bytes())
        });
    }

    /// Waits until a file of the test's directory exists.
    #[track_caller]
    pub(crate) fn wait_for_file(&self, path: &str) {
        let path = self.dir.join(path);
        self.wait_until(&format!("the file {}", path.display()), || path.exists());
    }

    /// Waits until standard error holds this.
    #[track_caller]
    pub(crate) fn wait_for_stderr(&self, part: &str) {
        let path = self.dir.join(".stderr");
        self.wait_until(&format!("`{part}` on standard error"), || {
            super::contains(&fs::read(&path).unwrap(), part.as_bytes())
        });
    }

    /// Waits until the condition holds. The condition asks about files and processes.
    #[track_caller]
    #[expect(clippy::unused_self, reason = "it reads as part of the run")]
    pub(crate) fn wait_until(&self, what: &str, condition: impl FnMut() -> bool) {
        poll(what, condition);
    }

    /// Fails unless the program ends within this time from now.
    #[track_caller]
    pub(crate) fn ends_within(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it did not end within {time:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Its direct children.
    #[track_caller]
    pub(crate) fn children(&self) -> Vec<Pid> {
        children(self.pid())
    }

    /// The letter of `/proc/PID/stat`: `R`, `S`, `T`, `Z` …; `None` once it has ended.
    #[track_caller]
    pub(crate) fn state(&self) -> Option<char> {
        state(self.pid())
    }

    pub(super) fn finish(mut self, deadline: Instant) -> (ExitStatus, Option<Vec<u8>>) {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "preverb did not end in time");
            std::thread::sleep(Duration::from_millis(2));
        };
        self.ended = true;
        (status, self.terminal.take().map(Terminal::finish))
    }
}

/// A test that fails in the middle leaves no process running.
impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The letter of a process's state.
pub(crate) fn state(pid: Pid) -> Option<char> {
    stat(pid).map(|(state, _)| state)
}

/// The direct children of a process.
pub(crate) fn children(pid: Pid) -> Vec<Pid> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .filter(|child| stat(*child).is_some_and(|(_, parent)| parent == pid))
        .collect()
}

/// State and parent, from `/proc/PID/stat`, whose second field may hold anything but a `)` after it.
fn stat(pid: Pid) -> Option<(char, Pid)> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    Some((state, Pid::from_raw(parent)))
}

#[track_caller]
pub(super) fn poll(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
