//! What went wrong, whose it is to mend, and the exit code that says so.
//!
//! This is the only place where the words of a failure are joined. It knows nothing of what the
//! program does; it must not print (`log.rs` does).

use std::fmt;

use crate::text::log::{Field, Level, Message};

/// Who has to mend it; one exit code each (section 7 of the specification, and the README's table).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The caller used a word or an option that preverb does not know: 64, `EX_USAGE` of sysexits.h.
    Usage,
    /// The operator left a variable out, or gave it a value that is none: 65, `EX_DATAERR`.
    Variable,
    /// A wait timed out: 69, `EX_UNAVAILABLE`.
    Unavailable,
    /// The system refused something that setup needs: 71, `EX_OSERR`.
    System,
    /// A user that does not exist, or a hook that root must not run: 77, `EX_NOPERM`.
    Identity,
    /// The table is missing or wrong: 78, `EX_CONFIG`.
    Table,
    /// A hook failed: 80, the first code that sysexits.h leaves free.
    Hook,
    /// The target exists but cannot run: 126, as in the shell.
    CannotRun,
    /// The target does not exist: 127, as in the shell.
    NotFound,
    /// A signal ended the run before the target started: 128+n, as in the shell.
    Stopped(i32),
    /// A probe says no: 1, which is what an engine's health check expects.
    Unhealthy,
}

impl Kind {
    /// The exit code of this kind; the one table of them in the program. (70, a bug in preverb, is
    /// what the panic hook in `lib.rs` exits with.)
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

/// The exit code of a bug in preverb: 70, `EX_SOFTWARE` of sysexits.h.
pub(crate) const BUG: i32 = 70;

/// A failure: its kind, its cause, and what helps to mend it.
///
/// There is no `From<io::Error>`: whoever turns an error into a failure says of which kind it is.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    cause: anyhow::Error,
    lines: Vec<String>,
    hint: Option<String>,
    fields: Vec<(&'static str, Field)>,
    others: Vec<Failure>,
}

/// What every fallible function here returns.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure of this kind. The cause's chain is joined with `: `, outermost first.
    pub(crate) fn new(kind: Kind, cause: impl Into<anyhow::Error>) -> Self {
        Self {
            kind,
            cause: cause.into(),
            lines: Vec::new(),
            hint: None,
            fields: Vec::new(),
            others: Vec::new(),
        }
    }

    /// A failure of this kind in one sentence, without a full stop.
    pub(crate) fn say(kind: Kind, sentence: impl fmt::Display) -> Self {
        Self::new(kind, anyhow::Error::msg(sentence.to_string()))
    }

    /// Several failures of which all are reported; the first one's kind decides the exit code.
    /// `None` when there are none.
    pub(crate) fn all(failures: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut failures = failures.into_iter();
        let mut first = failures.next()?;
        first.others.extend(failures);
        Some(first)
    }

    /// The same failure of `what` without its details, where a secret went into them: they are not searched
    /// for it, they are left out whole. A request to stop names nothing of the kind, and stays.
    pub(crate) fn concealed(self, what: &str) -> Self {
        if self.is_stop() {
            return self;
        }
        Self::say(self.kind, format!("{what} failed; how is not shown, because a secret is a part of it"))
    }

    /// The same failure with more to its sentence.
    pub(crate) fn and(mut self, more: impl fmt::Display) -> Self {
        self.cause = anyhow::Error::msg(format!("{}; {more}", self.sentence()));
        self
    }

    /// Adds a line that follows the sentence: an offending line, an entry of a list.
    pub(crate) fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Adds what would help.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a thing that the sentence names, for `--log json`.
    pub(crate) fn field(mut self, name: &'static str, value: impl Into<Field>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Whether it names this thing.
    pub(crate) fn has_field(&self, name: &str, value: impl Into<Field>) -> bool {
        let value = value.into();
        self.fields.iter().any(|(each, of)| *each == name && *of == value)
    }

    /// Of which kind it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is a request to stop, which nothing else may hide.
    pub(crate) fn is_stop(&self) -> bool {
        matches!(self.kind, Kind::Stopped(_))
    }

    /// The sentence alone, causes joined.
    pub(crate) fn sentence(&self) -> String {
        format!("{:#}", self.cause)
    }

    /// The sentence and what would help.
    pub(crate) fn into_parts(self) -> (String, Option<String>) {
        (self.sentence(), self.hint)
    }

    /// The same as warnings, each of which begins with `what`.
    pub(crate) fn warnings(&self, what: &str) -> Vec<Message> {
        let mut messages = self.messages();
        for message in &mut messages {
            message.level = Level::Warning;
            message.text.insert_str(0, what);
            message.fields.retain(|(name, _)| *name != "exit-code");
        }
        messages
    }

    /// The messages that tell it, in order.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let mut message = Message::new(Level::Error, self.sentence());
        message.lines.clone_from(&self.lines);
        message.hint.clone_from(&self.hint);
        message.fields.clone_from(&self.fields);
        let code = u64::from(self.kind.exit_code());
        message.fields.push(("exit-code", Field::Number(code)));
        let mut messages = vec![message];
        for other in &self.others {
            messages.extend(other.messages());
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_the_code_that_the_specification_gives_it() {
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
    fn the_first_of_several_failures_decides_the_code_and_all_are_told() {
        let failure = Failure::all([Failure::say(Kind::Variable, "one"), Failure::say(Kind::Table, "two")]);
        let failure = failure.expect("there are two");
        assert_eq!(failure.kind().exit_code(), 65);
        let texts: Vec<_> = failure.messages().into_iter().map(|m| m.text).collect();
        assert_eq!(texts, ["one", "two"]);
    }
}
