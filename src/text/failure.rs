//! A failure: the message, the exit code, and the texts for system errors. `log.rs` prints it.

use std::io::ErrorKind;

use rustix::io::Errno;

use crate::text::escape::WITHHELD;
use crate::text::log::{Level, Message};

/// The cause of a failure; each has one exit code (preverb(1), "Exit status").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The caller gave an unknown argument or option: `EX_USAGE` of sysexits.h.
    Usage,
    /// A variable is missing or invalid, which the operator has to fix: `EX_DATAERR`.
    Variable,
    /// A wait timed out: `EX_UNAVAILABLE`.
    Unavailable,
    /// The system refused something that preverb needs: `EX_OSERR`.
    System,
    /// A user does not exist, or root must not run a hook: `EX_NOPERM`.
    Identity,
    /// The table is missing or invalid: `EX_CONFIG`.
    Table,
    /// A hook failed. sysexits.h does not use this code.
    Hook,
    /// The target exists but cannot be run; the same code as in a shell.
    CannotRun,
    /// The target does not exist; the same code as in a shell.
    NotFound,
    /// A signal ended the run before the target started; the same code as in a shell.
    Stopped(i32),
    /// A probe failed; engines expect this code of a health check.
    Unhealthy,
}

impl Kind {
    /// The only table of exit codes. (The panic hook in `modes/start.rs` uses [`BUG`].)
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Unhealthy => 1,
            Self::Usage => 64,
            Self::Variable => 65,
            Self::Unavailable => 69,
            Self::System => 71,
            Self::Identity => 77,
            Self::Table => 78,
            Self::Hook => 80,
            Self::CannotRun => 126,
            Self::NotFound => 127,
            Self::Stopped(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }
}

/// The exit code of a bug in preverb: `EX_SOFTWARE` of sysexits.h.
pub(crate) const BUG: i32 = 70;

/// A failure. There is no `From<io::Error>`: each place chooses the kind.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: Box<Message>,
    others: Vec<Failure>,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// Makes a failure with one sentence, without a full stop.
    pub(crate) fn new(kind: Kind, sentence: impl Into<String>) -> Self {
        Self::of(kind, Message::new(Level::Error, sentence))
    }

    pub(crate) fn of(kind: Kind, message: Message) -> Self {
        Self { kind, message: Box::new(message), others: Vec::new() }
    }

    pub(crate) fn all(failures: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut failures = failures.into_iter();
        let mut first = failures.next()?;
        first.others.extend(failures);
        Some(first)
    }

    /// Keeps only `what`, because the details may contain a secret. A request to stop has no details.
    pub(crate) fn concealed(self, what: &str) -> Self {
        let sentence = format!("{what} failed; {WITHHELD}");
        if self.is_stop() { self } else { Self::new(self.kind, sentence) }
    }

    pub(crate) fn and(mut self, more: impl Into<String>) -> Self {
        self.message.text = format!("{}; {}", self.message.text, more.into());
        self
    }

    pub(crate) fn line(mut self, line: impl Into<String>) -> Self {
        self.message.lines.push(line.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.message.hint = Some(hint.into());
        self
    }

    /// Adds a value from the sentence as a separate field, for `--log json`.
    pub(crate) fn field(mut self, name: &'static str, value: impl AsRef<str>) -> Self {
        self.message.fields.push((name, value.as_ref().into()));
        self
    }

    pub(crate) fn number(mut self, name: &'static str, number: u64) -> Self {
        self.message.fields.push((name, number.into()));
        self
    }

    pub(crate) fn has_field(&self, name: &str, value: impl Into<serde_json::Value>) -> bool {
        self.message.fields.contains(&(name, value.into()))
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn is_stop(&self) -> bool {
        matches!(self.kind, Kind::Stopped(_))
    }

    pub(crate) fn sentence(&self) -> String {
        self.message.text.clone()
    }

    pub(crate) fn into_parts(self) -> (String, Option<String>) {
        (self.message.text, self.message.hint)
    }

    pub(crate) fn warnings(&self, what: &str) -> Vec<Message> {
        self.each(&|each| {
            let text = format!("{what}{}", each.message.text);
            Message { level: Level::Warning, text, ..Message::clone(&each.message) }
        })
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.each(&|each| Message::clone(&each.message).number("exit-code", each.kind.exit_code().into()))
    }

    fn each(&self, message: &dyn Fn(&Self) -> Message) -> Vec<Message> {
        let others = self.others.iter().flat_map(|other| other.each(message));
        std::iter::once(message(self)).chain(others).collect()
    }
}

/// The reason for a system error, in our own words where those are clearer.
#[expect(clippy::wildcard_enum_match_arm, reason = "the system's errors are an open list")]
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::TimedOut if error.raw_os_error().is_none() => "reading it took too long".to_owned(),
        ErrorKind::NotFound => "it does not exist".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::IsADirectory => "it is a directory".to_owned(),
        ErrorKind::NotADirectory => "a part of its path is not a directory".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        _ => error.raw_os_error().map_or_else(
            || error.to_string(),
            |number| nix::errno::Errno::from_raw(number).desc().to_lowercase(),
        ),
    }
}

pub(crate) fn of_errno(errno: Errno) -> String {
    reason(&errno.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_documented_exit_code() {
        let codes = [
            (Kind::Unhealthy, 1),
            (Kind::Usage, 64),
            (Kind::Variable, 65),
            (Kind::Unavailable, 69),
            (Kind::System, 71),
            (Kind::Identity, 77),
            (Kind::Table, 78),
            (Kind::Hook, 80),
            (Kind::CannotRun, 126),
            (Kind::NotFound, 127),
            (Kind::Stopped(15), 143),
        ];
        for (kind, code) in codes {
            assert_eq!(kind.exit_code(), code, "{kind:?}");
        }
    }

    #[test]
    fn the_first_of_several_failures_decides_the_code_and_all_are_reported() {
        let failure = Failure::all([Failure::new(Kind::Variable, "one"), Failure::new(Kind::Table, "two")]);
        let failure = failure.expect("there are two");
        assert_eq!(failure.kind().exit_code(), 65);
        let texts: Vec<_> = failure.messages().into_iter().map(|m| m.text).collect();
        assert_eq!(texts, ["one", "two"]);
    }
}
