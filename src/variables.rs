//! The variables of a process as a value: bytes, in order, what is not touched kept as it came.
//!
//! Duplicates, names with odd characters and entries without `=` pass through. Pure: where variables
//! come from and what the layers are is `plan.rs`'s and `observe.rs`'s affair.

use std::ffi::CString;
use std::os::unix::ffi::OsStringExt as _;

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

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// The entry as it stands in the environment.
    bytes: Vec<u8>,
    /// Where its `=` is, if it has one. A `=` in front belongs to the name, as in the C library's.
    equals: Option<usize>,
    secret: bool,
    origin: Origin,
}

impl Entry {
    fn name(&self) -> Option<&[u8]> {
        self.equals.map(|equals| &self.bytes[..equals])
    }
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

/// The variables of a process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Variables {
    entries: Vec<Entry>,
}

impl Variables {
    /// The variables as a process inherits them: entries as they are.
    pub(crate) fn inherited(entries: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let entries = entries
            .into_iter()
            .map(|bytes| {
                // POSIX lets a name be anything without `=`; the first byte is passed over so that
                // an entry `=x=y` has a name, as in the C library.
                let equals = bytes.iter().skip(1).position(|byte| *byte == b'=').map(|at| at + 1);
                Entry { bytes, equals, secret: false, origin: Origin::Inherited }
            })
            .collect();
        Self { entries }
    }

    /// The variable of this name; the first of several, as getenv(3) finds it.
    pub(crate) fn get(&self, name: &[u8]) -> Option<Found<'_>> {
        let entry = self.entries.iter().find(|entry| entry.name() == Some(name))?;
        Some(Found { value: &entry.bytes[name.len() + 1..], secret: entry.secret, origin: &entry.origin })
    }

    /// The value of this name, if it is not empty.
    pub(crate) fn non_empty(&self, name: &[u8]) -> Option<&[u8]> {
        self.get(name).map(|found| found.value).filter(|value| !value.is_empty())
    }

    /// Every value of this name: an inherited environment can have several.
    pub(crate) fn values<'v>(&'v self, name: &'v [u8]) -> impl Iterator<Item = &'v [u8]> {
        self.entries
            .iter()
            .filter(move |entry| entry.name() == Some(name))
            .map(|entry| &entry.bytes[name.len() + 1..])
    }

    /// Sets a variable, where the first of its name stood or at the end. A variable that was secret
    /// stays secret.
    pub(crate) fn set(&mut self, name: &[u8], value: impl AsRef<[u8]>, origin: Origin, secret: bool) {
        let mut bytes = Vec::with_capacity(name.len() + value.as_ref().len() + 1);
        bytes.extend_from_slice(name);
        bytes.push(b'=');
        bytes.extend_from_slice(value.as_ref());
        let mut entry = Entry { bytes, equals: Some(name.len()), secret, origin };
        match self.entries.iter().position(|entry| entry.name() == Some(name)) {
            None => self.entries.push(entry),
            Some(first) => {
                entry.secret |= self.entries[first].secret;
                self.entries[first] = entry;
                let mut index = 0;
                self.entries.retain(|entry| {
                    index += 1;
                    index - 1 <= first || entry.name() != Some(name)
                });
            }
        }
    }

    /// Removes every variable of this name.
    pub(crate) fn unset(&mut self, name: &[u8]) {
        self.entries.retain(|entry| entry.name() != Some(name));
    }

    /// Marks a variable as shown nowhere.
    pub(crate) fn mark_secret(&mut self, name: &[u8]) {
        for entry in self.entries.iter_mut().filter(|entry| entry.name() == Some(name)) {
            entry.secret = true;
        }
    }

    /// The variables that have a name, in order.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&[u8], Found<'_>)> {
        self.entries.iter().filter_map(|entry| {
            let equals = entry.equals?;
            let found =
                Found { value: &entry.bytes[equals + 1..], secret: entry.secret, origin: &entry.origin };
            Some((&entry.bytes[..equals], found))
        })
    }

    /// The entries for execve(2). An entry with a NUL inside cannot exist in an environment; none is made.
    pub(crate) fn to_envp(&self) -> Vec<CString> {
        self.entries.iter().filter_map(|entry| CString::new(entry.bytes.clone()).ok()).collect()
    }

    /// The longest entry: its name and its size with the NUL, for the message when execve(2) refuses.
    pub(crate) fn longest(&self) -> Option<(&[u8], usize)> {
        let entry = self.entries.iter().max_by_key(|entry| entry.bytes.len())?;
        Some((entry.name().unwrap_or(&entry.bytes), entry.bytes.len() + 1))
    }

    /// The size of all entries with their NULs.
    pub(crate) fn size(&self) -> usize {
        self.entries.iter().map(|entry| entry.bytes.len() + 1).sum()
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
    fn a_secret_stays_one_when_it_is_set_again() {
        let mut variables = variables(&["A=1"]);
        variables.mark_secret(b"A");
        variables.set(b"A", b"2", Origin::Hook("h".into()), false);
        assert!(variables.get(b"A").is_some_and(|found| found.secret));
    }
}
