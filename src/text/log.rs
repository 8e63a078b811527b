//! Messages on standard error. Write errors are ignored on purpose: a full disk must not change what the run
//! does or its exit code.

use std::io::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::SystemTime;

use nix::poll::{PollFd, PollFlags};
use serde_json::Value;

use crate::text::choice::choice;
use crate::text::escape::escaped;
use crate::text::names::listed;

choice! { Format { Text = "text", Json = "json", Quiet = "quiet", Verbose = "verbose" } }

impl Format {
    pub(crate) fn rule() -> String {
        format!("it is one of {}", listed(&Self::NAMES))
    }

    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        std::str::from_utf8(name).ok().and_then(Self::parse)
    }
}

choice! {
    /// An error ends the run. Debug messages explain decisions, for `verbose`.
    #[derive(PartialOrd, Ord)]
    Level { Error = "error", Warning = "warning", Info = "info", Debug = "debug" }
}

#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) level: Level,
    /// A sentence without a full stop; untrusted parts are already escaped.
    pub(crate) text: String,
    pub(crate) fields: Vec<(&'static str, Value)>,
    pub(crate) lines: Vec<String>,
    pub(crate) hint: Option<String>,
}

impl Message {
    pub(crate) fn new(level: Level, text: impl Into<String>) -> Self {
        Self { level, text: text.into(), fields: Vec::new(), lines: Vec::new(), hint: None }
    }

    pub(crate) fn field(mut self, name: &'static str, value: impl AsRef<str>) -> Self {
        self.fields.push((name, value.as_ref().into()));
        self
    }

    pub(crate) fn number(mut self, name: &'static str, number: u64) -> Self {
        self.fields.push((name, number.into()));
        self
    }

    fn to_text(&self) -> String {
        let warning = if self.level == Level::Warning { "warning: " } else { "" };
        let mut text = format!("preverb: {warning}{}\n", self.text);
        self.lines.iter().for_each(|line| text.extend([line, "\n"]));
        self.hint.iter().for_each(|hint| text.extend(["hint: ", hint, "\n"]));
        text
    }

    fn to_json(&self) -> String {
        let mut object = serde_json::Map::new();
        let mut add = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
        add("time", humantime::format_rfc3339_millis(SystemTime::now()).to_string().into());
        add("level", self.level.name().into());
        add("message", self.text.clone().into());
        self.fields.iter().for_each(|(name, value)| add(name, value.clone()));
        if !self.lines.is_empty() {
            add("details", self.lines.clone().into());
        }
        self.hint.iter().for_each(|hint| add("hint", hint.clone().into()));
        Value::Object(object).to_string() + "\n"
    }
}

/// Settings for messages. They are passed as a value, because there are no globals.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Log {
    pub(crate) format: Format,
}

impl Log {
    pub(crate) fn emit(self, message: &Message) {
        match message.level {
            Level::Warning | Level::Info if self.format == Format::Quiet => return,
            Level::Debug if self.format != Format::Verbose => return,
            Level::Error | Level::Warning | Level::Info | Level::Debug => {}
        }
        let text = if self.format == Format::Json { message.to_json() } else { message.to_text() };
        // Messages of several processes do not mix: a pipe writes up to 4096 bytes at once (pipe(7)).
        let mut stderr = std::io::stderr().lock();
        for part in text.as_bytes().chunks(4096) {
            if !takes_a_write(stderr.as_fd()) || stderr.write_all(part).is_err() {
                return;
            }
        }
    }

    pub(crate) fn warn(self, text: impl Into<String>) {
        self.emit(&Message::new(Level::Warning, text));
    }

    /// Emits a message for `verbose`. In other formats the sentence is not even built.
    pub(crate) fn debug(self, text: impl FnOnce() -> String) {
        if self.format == Format::Verbose {
            self.emit(&Message::new(Level::Debug, text()));
        }
    }
}

/// The time that a message waits for the reader of standard error.
const WRITE_TIMEOUT_MS: u16 = 2000;

/// Whether a write would not block. If nothing reads the pipe at standard error, a message is lost, because a
/// blocked write would also block a later request to stop.
fn takes_a_write(stderr: BorrowedFd<'_>) -> bool {
    let mut descriptors = [PollFd::new(stderr, PollFlags::POLLOUT)];
    nix::poll::poll(&mut descriptors, WRITE_TIMEOUT_MS) != Ok(0)
}

/// Puts `bytes` in backticks and escapes everything that could confuse a terminal.
pub(crate) fn quoted(bytes: impl AsRef<[u8]>) -> String {
    format!("`{}`", escaped(bytes.as_ref()))
}

pub(crate) fn quoted_path(path: &Path) -> String {
    quoted(path.as_os_str().as_bytes())
}
