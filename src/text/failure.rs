//! A failure: the message, who has to fix it, and the exit code. It must not print (`log.rs` does).

use crate::text::log::{Level, Message};

/// Who has to fix it; one exit code each (section 7 of the specification, and the README's table).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The caller used an argument or an option that preverb does not know: `EX_USAGE` of sysexits.h.
    Usage,
    /// The operator left a variable out, or gave it an invalid value: `EX_DATAERR`.
    Variable,
    /// A wait timed out: `EX_UNAVAILABLE`.
    Unavailable,
    /// The system refused something that setup needs: `EX_OSERR`.
    System,
    /// A user that does not exist, or a hook that root must not run: `EX_NOPERM`.
    Identity,
    /// The table is missing or wrong: `EX_CONFIG`.
    Table,
    /// A hook failed: a code that sysexits.h leaves free.
    Hook,
    /// The target exists but cannot run, as in the shell.
    CannotRun,
    /// The target does not exist, as in the shell.
    NotFound,
    /// A signal ended the run before the target started, as in the shell.
    Stopped(i32),
    /// A probe says no, as an engine's health check expects it.
    Unhealthy,
}

impl Kind {
    /// The one table of exit codes in the program. (The panic hook in `modes/start.rs` has [`BUG`].)
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

/// A failure. There is no `From<io::Error>`: the code that makes one says of which kind it is.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: Box<Message>,
    others: Vec<Failure>,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure of this kind in one sentence, without a full stop.
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

    /// The same failure of `what` without its details, which may hold a secret. A request to stop has none.
    pub(crate) fn concealed(self, what: &str) -> Self {
        if self.is_stop() {
            return self;
        }
        Self::new(self.kind, format!("{what} failed; details withheld: they contain a secret"))
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

    /// Adds a thing that the sentence names, for `--log json`.
    pub(crate) fn field(mut self, name: &'static str, value: impl AsRef<str>) -> Self {
        self.message.fields.push((name, value.as_ref().into()));
        self
    }

    pub(crate) fn number(mut self, name: &'static str, number: u64) -> Self {
        self.message.fields.push((name, number.into()));
        self
    }

    pub(crate) fn has_field(&self, name: &str, value: impl Into<serde_json::Value>) -> bool {
        let value = value.into();
        self.message.fields.iter().any(|(each, of)| *each == name && *of == value)
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
        let warning = |each: &Self| Message {
            level: Level::Warning,
            text: format!("{what}{}", each.message.text),
            ..Message::clone(&each.message)
        };
        self.each().into_iter().map(warning).collect()
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        let coded =
            |each: &Self| Message::clone(&each.message).number("exit-code", u64::from(each.kind.exit_code()));
        self.each().into_iter().map(coded).collect()
    }

    fn each(&self) -> Vec<&Self> {
        std::iter::once(self).chain(self.others.iter().flat_map(Self::each)).collect()
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
    fn the_first_of_several_failures_decides_the_code_and_all_are_reported() {
        let failure = Failure::all([Failure::new(Kind::Variable, "one"), Failure::new(Kind::Table, "two")]);
        let failure = failure.expect("there are two");
        assert_eq!(failure.kind().exit_code(), 65);
        let texts: Vec<_> = failure.messages().into_iter().map(|m| m.text).collect();
        assert_eq!(texts, ["one", "two"]);
    }
}
