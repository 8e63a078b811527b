//! The variables of a process as a value: bytes, in order. Unchanged entries are kept exactly: duplicates,
//! names with unusual characters, and entries without `=`. Pure.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Inherited,
    Preverb,
    Option,
    File {
        path: Vec<u8>,
        /// The name of the variable with the path, without its `_FILE`.
        named_by: Option<String>,
    },
    Alias(String),
    Default,
    /// One of [`LAYERS`].
    Layer(&'static str),
    /// The target's user, for `HOME`.
    User,
    Hook(String),
    Step(String),
}

/// The layers of the table, lowest first.
pub(crate) const LAYERS: [Origin; 4] = [
    Origin::Layer("[env]"),
    Origin::Layer("environment"),
    Origin::Layer("verb"),
    Origin::Layer("environment's verb"),
];

impl Origin {
    pub(crate) fn is_callers(&self) -> bool {
        matches!(self, Self::Inherited | Self::Option | Self::File { .. } | Self::Alias(_))
    }

    pub(crate) fn describe(&self) -> Vec<u8> {
        let (kind, name) = match self {
            Self::Inherited => ("inherited", ""),
            Self::Preverb => ("preverb", ""),
            Self::Option => ("--environment", ""),
            Self::File { path, named_by } => {
                let by = named_by.as_ref().map_or_else(String::new, |name| format!(", named by {name}_FILE"));
                return [b"file ", &path[..], by.as_bytes()].concat();
            }
            Self::Alias(name) => ("alias ", &**name),
            Self::Default => ("default", ""),
            Self::Layer(name) => (*name, ""),
            Self::User => ("user", ""),
            Self::Hook(name) => ("hook ", &**name),
            Self::Step(name) => ("step ", &**name),
        };
        [kind, name].concat().into_bytes()
    }
}

#[derive(Debug, Clone)]
struct Entry {
    /// The entry as in the environment, with a NUL.
    text: Vec<u8>,
    secret: bool,
    origin: Origin,
}

impl Entry {
    fn named(&self) -> Option<(&[u8], Found<'_>)> {
        // The search skips the first byte, so that an entry `=x=y` has a name, as in the C library.
        let equals = 1 + self.text.iter().skip(1).position(|byte| *byte == b'=')?;
        let (name, value) = self.text.split_at(equals);
        let value = &value[1..value.len() - 1];
        Some((name, Found { value, secret: self.secret, origin: &self.origin }))
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'v> {
    pub(crate) value: &'v [u8],
    pub(crate) secret: bool,
    pub(crate) origin: &'v Origin,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Variables {
    entries: Vec<Option<Entry>>,
    /// The indexes of the entries of each name; the first one counts.
    places: BTreeMap<Vec<u8>, Vec<usize>>,
    facts: Option<fn(&str) -> Option<u64>>,
}

impl Variables {
    pub(crate) fn inherited(entries: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut variables = Self::default();
        for mut text in entries {
            text.push(0);
            variables.push(Entry { text, secret: false, origin: Origin::Inherited });
        }
        variables
    }

    pub(crate) fn from_block(block: &[u8]) -> Self {
        let block = block.strip_suffix(b"\0").unwrap_or(block);
        Self::inherited(block.split(|byte| *byte == 0).map(<[u8]>::to_vec))
    }

    /// Adds facts of the machine, which are expanded like variables, and read only where a text names them.
    pub(crate) fn with_facts(mut self, read: fn(&str) -> Option<u64>) -> Self {
        self.facts = Some(read);
        self
    }

    fn push(&mut self, entry: Entry) {
        if let Some((name, _)) = entry.named() {
            self.places.entry(name.to_vec()).or_default().push(self.entries.len());
        }
        self.entries.push(Some(entry));
    }

    fn present(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().flatten()
    }

    /// The variable with this name; the first of several, like getenv(3).
    pub(crate) fn get(&self, name: &[u8]) -> Option<Found<'_>> {
        let entry = self.entries[*self.places.get(name)?.first()?].as_ref();
        entry?.named().map(|(_, found)| found)
    }

    /// The fact with this name. It takes precedence over an inherited variable.
    pub(crate) fn fact(&self, name: &str) -> Option<String> {
        self.facts?(name).map(|number| number.to_string())
    }

    pub(crate) fn non_empty(&self, name: &[u8]) -> Option<&[u8]> {
        self.get(name).map(|found| found.value).filter(|value| !value.is_empty())
    }

    /// Sets a variable, in the place of the first with this name or at the end. A secret one stays secret.
    pub(crate) fn set(&mut self, name: &[u8], value: impl AsRef<[u8]>, origin: Origin, secret: bool) {
        let text = [name, b"=", value.as_ref(), b"\0"].concat();
        let mut entry = Entry { text, secret, origin };
        let Some(places) = self.places.get_mut(name) else { return self.push(entry) };
        for duplicate in places.drain(1..) {
            self.entries[duplicate] = None;
        }
        let place = &mut self.entries[places[0]];
        entry.secret |= place.as_ref().is_some_and(|before| before.secret);
        *place = Some(entry);
    }

    pub(crate) fn unset(&mut self, name: &[u8]) {
        for place in self.places.remove(name).unwrap_or_default() {
            self.entries[place] = None;
        }
    }

    pub(crate) fn mark_secret(&mut self, name: &[u8]) {
        for place in self.places.get(name).into_iter().flatten() {
            self.entries[*place].iter_mut().for_each(|entry| entry.secret = true);
        }
    }

    /// Whether the program's path is secret, because it is found on a secret `PATH`.
    pub(crate) fn hides(&self, program: &OsStr) -> bool {
        !program.as_bytes().contains(&b'/') && self.get(b"PATH").is_some_and(|path| path.secret)
    }

    pub(crate) fn named(&self) -> impl Iterator<Item = (&[u8], Found<'_>)> {
        self.present().filter_map(Entry::named)
    }

    pub(crate) fn to_envp(&self) -> Vec<&CStr> {
        self.present().filter_map(|entry| CStr::from_bytes_with_nul(&entry.text).ok()).collect()
    }

    /// The longest entry: its name, and its size with the NUL, for an error of execve(2).
    pub(crate) fn longest(&self) -> Option<(&[u8], usize)> {
        let entry = self.present().max_by_key(|entry| entry.text.len())?;
        let size = entry.text.len();
        Some((entry.named().map_or(&entry.text[..size - 1], |(name, _)| name), size))
    }

    pub(crate) fn size(&self) -> usize {
        self.present().map(|entry| entry.text.len()).sum()
    }
}

/// The environment of this process if there is no `/proc` with all of it: entries without `=` are lost.
pub(crate) fn from_runtime() -> Variables {
    let entry = |(name, value): (OsString, OsString)| [name.as_bytes(), b"=", value.as_bytes()].concat();
    Variables::inherited(std::env::vars_os().map(entry))
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
    fn unchanged_variables_are_kept_exactly() {
        let odd = ["A=1", "noequals", "A=2", "=x", "=x=y", "", "B==", "a b=c"];
        let mut variables = variables(&odd);
        assert_eq!(lines(&variables), odd);
        variables.set(b"NEW", b"n", Origin::Default, false);
        assert_eq!(lines(&variables)[..8], odd);
        assert_eq!(lines(&variables)[8], "NEW=n");
    }

    #[test]
    fn setting_replaces_the_first_and_removes_the_others() {
        let mut variables = variables(&["A=1", "B=2", "A=3"]);
        assert_eq!(variables.get(b"A").map(|found| found.value), Some(&b"1"[..]));
        variables.set(b"A", b"4", Origin::Preverb, false);
        assert_eq!(lines(&variables), ["A=4", "B=2"]);
        variables.unset(b"A");
        assert_eq!(lines(&variables), ["B=2"]);
    }

    #[test]
    fn unset_removes_duplicates_and_a_name_set_again_is_at_the_end() {
        let mut variables = variables(&["C=1", "A=1", "noequals", "A=2", "=x=y", "C=2"]);
        variables.unset(b"C");
        variables.set(b"=x", b"z", Origin::Default, false);
        variables.set(b"A", b"n", Origin::Default, false);
        variables.set(b"C", b"3", Origin::Default, false);
        assert_eq!(lines(&variables), ["A=n", "noequals", "=x=z", "C=3"]);
        variables.set(b"C", b"4", Origin::Default, false);
        variables.unset(b"NONE");
        assert_eq!(lines(&variables), ["A=n", "noequals", "=x=z", "C=4"]);
        assert_eq!(variables.named().map(|(name, _)| name).collect::<Vec<_>>(), [&b"A"[..], b"=x", b"C"]);
        assert_eq!(variables.longest(), Some((&b"noequals"[..], 9)));
        assert_eq!(variables.size(), 4 + 9 + 5 + 4);
    }

    #[test]
    fn a_block_is_read_with_or_without_its_last_nul() {
        for block in [&b"A=1\0\0B=2\0"[..], b"A=1\0\0B=2"] {
            assert_eq!(lines(&Variables::from_block(block)), ["A=1", "", "B=2"]);
        }
    }

    #[test]
    fn the_time_is_linear_in_the_number_of_variables() {
        let mut variables = Variables::default();
        for number in 0..40_000 {
            variables.set(format!("N{number}").as_bytes(), b"x", Origin::Default, false);
        }
        for number in 0..40_000 {
            variables.unset(format!("N{number}").as_bytes());
        }
        assert_eq!(variables.size(), 0);
    }

    #[test]
    fn a_secret_stays_secret_when_it_is_set_again() {
        let mut variables = variables(&["A=1"]);
        variables.mark_secret(b"A");
        variables.set(b"A", b"2", Origin::Hook("h".into()), false);
        assert!(variables.get(b"A").is_some_and(|found| found.secret));
    }
}
