//! The variables of a process as a value: bytes, in order, what is not touched kept as it came.
//!
//! Duplicates, names with odd characters and entries without `=` pass through. Pure: where variables
//! come from and what the layers are is `plan.rs`'s and `observe.rs`'s affair.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::rc::Rc;

/// Which layer gave a variable its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// preverb inherited it.
    Inherited,
    /// preverb itself: `PREVERB_VERB`, `PREVERB_ENVIRONMENT`.
    Preverb,
    /// The option `--environment`.
    Option,
    /// The file of a secret.
    File(String),
    /// The default of a declared variable.
    Default,
    /// `[env]` of the table.
    TableEnv,
    /// `env` of the environment.
    EnvironmentEnv,
    /// `env` of the verb.
    VerbEnv,
    /// `env` of the environment's verb.
    EnvironmentVerbEnv,
    /// The user that the target runs as: `HOME`.
    User,
    /// A hook exported it.
    Hook(String),
}

impl Origin {
    /// The layer in words, for `--explain`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Inherited => "inherited".to_owned(),
            Self::Preverb => "preverb".to_owned(),
            Self::Option => "--environment".to_owned(),
            Self::File(path) => format!("file {path}"),
            Self::Default => "default".to_owned(),
            Self::TableEnv => "[env]".to_owned(),
            Self::EnvironmentEnv => "environment".to_owned(),
            Self::VerbEnv => "verb".to_owned(),
            Self::EnvironmentVerbEnv => "environment's verb".to_owned(),
            Self::User => "user".to_owned(),
            Self::Hook(name) => format!("hook {name}"),
        }
    }
}

#[derive(Debug, Clone)]
struct Entry {
    /// The entry as it stands in the environment, and a NUL.
    text: Text,
    /// Where its `=` is, if it has one. A `=` in front belongs to the name, as in the C library's.
    equals: Option<usize>,
    secret: bool,
    origin: Origin,
}

/// The bytes of an entry: a part of what was inherited, which is one piece, or its own.
#[derive(Debug, Clone)]
enum Text {
    Inherited(std::ops::Range<usize>),
    Own(Rc<[u8]>),
}

/// A variable that was found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'v> {
    /// Its value.
    pub(crate) value: &'v [u8],
    /// Whether it is shown nowhere.
    pub(crate) secret: bool,
    /// Who set it.
    pub(crate) origin: &'v Origin,
}

impl Found<'_> {
    /// The value as it may be shown.
    pub(crate) fn shown(self) -> String {
        if self.secret {
            crate::text::escape::MASK.to_owned()
        } else {
            crate::text::escape::escaped(self.value)
        }
    }
}

/// The variables of a process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables {
    /// What was inherited: entries that each end in a NUL.
    inherited: Rc<[u8]>,
    entries: Vec<Entry>,
}

impl Variables {
    /// The variables as a process inherits them: entries as they are.
    pub(crate) fn inherited(entries: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut block = Vec::new();
        for entry in entries {
            block.extend(entry);
            block.push(0);
        }
        Self::from_block(block)
    }

    /// The variables of a block in which each entry ends in a NUL, as `/proc/PID/environ` has them.
    pub(crate) fn from_block(mut block: Vec<u8>) -> Self {
        if block.last().is_some_and(|last| *last != 0) {
            block.push(0);
        }
        let mut entries = Vec::with_capacity(block.len() / 32 + 8);
        let mut start = 0;
        for bytes in block.split_inclusive(|byte| *byte == 0) {
            let end = start + bytes.len();
            // POSIX lets a name be anything without `=`; the first byte is passed over so that an entry
            // `=x=y` has a name, as in the C library.
            let equals = bytes.iter().skip(1).position(|byte| *byte == b'=').map(|at| at + 1);
            let text = Text::Inherited(start..end);
            entries.push(Entry { text, equals, secret: false, origin: Origin::Inherited });
            start = end;
        }
        Self { inherited: block.into(), entries }
    }

    /// The bytes of an entry, without the NUL.
    fn bytes<'v>(&'v self, entry: &'v Entry) -> &'v [u8] {
        let bytes = self.with_nul(entry);
        bytes.split_last().map_or(bytes, |(_, bytes)| bytes)
    }

    fn with_nul<'v>(&'v self, entry: &'v Entry) -> &'v [u8] {
        match &entry.text {
            Text::Inherited(range) => self.inherited.get(range.clone()).unwrap_or_default(),
            Text::Own(bytes) => bytes,
        }
    }

    fn is(&self, entry: &Entry, name: &[u8]) -> bool {
        entry.equals == Some(name.len()) && self.bytes(entry).starts_with(name)
    }

    fn found<'v>(&'v self, entry: &'v Entry, equals: usize) -> Found<'v> {
        Found { value: &self.bytes(entry)[equals + 1..], secret: entry.secret, origin: &entry.origin }
    }

    /// The variable of this name; the first of several, as getenv(3) finds it.
    pub(crate) fn get(&self, name: &[u8]) -> Option<Found<'_>> {
        let entry = self.entries.iter().find(|entry| self.is(entry, name))?;
        Some(self.found(entry, name.len()))
    }

    /// The value of this name, if it is not empty.
    pub(crate) fn non_empty(&self, name: &[u8]) -> Option<&[u8]> {
        self.get(name).map(|found| found.value).filter(|value| !value.is_empty())
    }

    /// Sets a variable, where the first of its name stood or at the end. A variable that was secret stays
    /// secret.
    pub(crate) fn set(&mut self, name: &[u8], value: impl AsRef<[u8]>, origin: Origin, secret: bool) {
        let bytes = [name, b"=", value.as_ref(), b"\0"].concat();
        let mut entry = Entry { text: Text::Own(bytes.into()), equals: Some(name.len()), secret, origin };
        let Some(first) = self.entries.iter().position(|entry| self.is(entry, name)) else {
            self.entries.push(entry);
            return;
        };
        entry.secret |= self.entries[first].secret;
        self.entries[first] = entry;
        while let Some(next) = self.entries[first + 1..].iter().position(|entry| self.is(entry, name)) {
            self.entries.remove(first + 1 + next);
        }
    }

    /// Sets and unsets what something changed, all of it in one pass: there can be very many.
    pub(crate) fn change(
        &mut self,
        changes: &[(Vec<u8>, Option<Vec<u8>>)],
        origin: &Origin,
        is_secret: &dyn Fn(&[u8]) -> bool,
    ) {
        // The last word on a name counts; it is taken away once it is done.
        let mut open: BTreeMap<&[u8], Option<Option<&[u8]>>> =
            changes.iter().map(|(name, value)| (&**name, Some(value.as_deref()))).collect();
        let made = |name: &[u8], value: &[u8], secret: bool| {
            let bytes = [name, b"=", value, b"\0"].concat();
            let secret = secret || is_secret(name);
            Entry { text: Text::Own(bytes.into()), equals: Some(name.len()), secret, origin: origin.clone() }
        };
        let mut entries = Vec::with_capacity(self.entries.len() + changes.len());
        for entry in &self.entries {
            let name = entry.equals.map(|equals| &self.bytes(entry)[..equals]);
            match name.and_then(|name| Some((name, open.get_mut(name)?.take()))) {
                None => entries.push(entry.clone()),
                Some((name, Some(Some(value)))) => entries.push(made(name, value, entry.secret)),
                Some((_, Some(None) | None)) => {}
            }
        }
        for (name, _) in changes {
            if let Some(Some(value)) = open.get_mut(&**name).and_then(Option::take) {
                entries.push(made(name, value, false));
            }
        }
        self.entries = entries;
    }

    /// Removes every variable of this name.
    pub(crate) fn unset(&mut self, name: &[u8]) {
        while let Some(index) = self.entries.iter().position(|entry| self.is(entry, name)) {
            self.entries.remove(index);
        }
    }

    /// Marks a variable as shown nowhere.
    pub(crate) fn mark_secret(&mut self, name: &[u8]) {
        for index in 0..self.entries.len() {
            if self.is(&self.entries[index], name) {
                self.entries[index].secret = true;
            }
        }
    }

    /// Whether where this program lies is a secret: it is looked up on a `PATH` that is one.
    pub(crate) fn hides(&self, program: &OsStr) -> bool {
        !program.as_bytes().contains(&b'/') && self.get(b"PATH").is_some_and(|path| path.secret)
    }

    /// The variables that have a name, in order.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&[u8], Found<'_>)> {
        self.entries.iter().filter_map(|entry| {
            let equals = entry.equals?;
            Some((&self.bytes(entry)[..equals], self.found(entry, equals)))
        })
    }

    /// The entries for execve(2). One with a NUL inside cannot exist in an environment; none is made.
    pub(crate) fn to_envp(&self) -> Vec<&CStr> {
        self.entries.iter().filter_map(|entry| CStr::from_bytes_with_nul(self.with_nul(entry)).ok()).collect()
    }

    /// The longest entry: its name and its size with the NUL, for the message when execve(2) refuses.
    pub(crate) fn longest(&self) -> Option<(&[u8], usize)> {
        let entry = self.entries.iter().max_by_key(|entry| self.with_nul(entry).len())?;
        let bytes = self.bytes(entry);
        Some((&bytes[..entry.equals.unwrap_or(bytes.len())], bytes.len() + 1))
    }

    /// The size of all entries with their NULs.
    pub(crate) fn size(&self) -> usize {
        self.entries.iter().map(|entry| self.with_nul(entry).len()).sum()
    }
}

/// The environment of this process where there is no `/proc` to read it whole from: entries without
/// `=` are lost.
pub(crate) fn from_runtime() -> Variables {
    Variables::inherited(std::env::vars_os().map(|(name, value)| {
        let mut bytes = name.into_vec();
        bytes.push(b'=');
        bytes.extend(value.into_vec());
        bytes
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(entries: &[&str]) -> Variables {
        Variables::inherited(entries.iter().map(|entry| entry.as_bytes().to_vec()))
    }

    fn lines(variables: &Variables) -> Vec<String> {
        variables.to_envp().iter().map(|entry| entry.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn what_is_not_touched_stays_as_it_came() {
        let odd = ["A=1", "noequals", "A=2", "=x", "=x=y", "", "B==", "a b=c"];
        let mut variables = variables(&odd);
        assert_eq!(lines(&variables), odd);
        variables.set(b"NEW", b"n", Origin::TableEnv, false);
        assert_eq!(lines(&variables)[..8], odd);
        assert_eq!(lines(&variables)[8], "NEW=n");
    }

    #[test]
    fn setting_replaces_the_first_and_removes_the_others() {
        let mut variables = variables(&["A=1", "B=2", "A=3"]);
        assert_eq!(variables.get(b"A").map(|found| found.value), Some(&b"1"[..]));
        variables.set(b"A", b"4", Origin::VerbEnv, false);
        assert_eq!(lines(&variables), ["A=4", "B=2"]);
        variables.unset(b"A");
        assert_eq!(lines(&variables), ["B=2"]);
    }

    #[test]
    fn changes_are_what_setting_and_unsetting_one_by_one_is() {
        let odd = ["A=1", "noequals", "B=1", "A=2", "=x=y", "C=1", "D=1", "C=2"];
        let change = |name: &str, value: Option<&str>| (name.into(), value.map(Into::into));
        let changes: Vec<(Vec<u8>, Option<Vec<u8>>)> = vec![
            change("A", Some("n")),
            change("C", None),
            change("NEW", Some("1")),
            change("=x", Some("z")),
            change("D", Some("2")),
            change("D", None),
            change("E", None),
            change("E", Some("1")),
            change("NEW", Some("2")),
        ];
        let (mut at_once, mut one_by_one) = (variables(&odd), variables(&odd));
        at_once.change(&changes, &Origin::TableEnv, &|_| false);
        for (name, value) in &changes {
            match value {
                Some(value) => one_by_one.set(name, value, Origin::TableEnv, false),
                None => one_by_one.unset(name),
            }
        }
        let sorted = |variables: &Variables| {
            let mut lines = lines(variables);
            lines.sort();
            lines
        };
        assert_eq!(sorted(&at_once), sorted(&one_by_one));
        assert_eq!(lines(&at_once), ["A=n", "noequals", "B=1", "=x=z", "NEW=2", "E=1"]);
    }

    #[test]
    fn a_secret_stays_one_when_it_is_set_again() {
        let mut variables = variables(&["A=1"]);
        variables.mark_secret(b"A");
        variables.set(b"A", b"2", Origin::Hook("h".into()), false);
        assert!(variables.get(b"A").is_some_and(|found| found.secret));
    }
}
