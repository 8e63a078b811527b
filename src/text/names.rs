//! Names of verbs, environments and variables. They are checked once, when they are parsed. Pure.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The name of a verb or an alias: one or more of `A-Z a-z 0-9 . _ : -`, not starting with `-` or `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct VerbName(String);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EnvironmentName(String);

fn is_name(bytes: &[u8]) -> bool {
    let inside = |b: &u8| b.is_ascii_alphanumeric() || b"._:-".contains(b);
    !bytes.is_empty() && !bytes.starts_with(b"-") && !bytes.starts_with(b".") && bytes.iter().all(inside)
}

/// The rule for names, for messages.
pub(crate) const NAME_RULE: &str =
    "a name is made of `A-Z a-z 0-9 . _ : -` and starts with neither `-` nor `.`";

macro_rules! name {
    ($type:ident) => {
        impl $type {
            pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
                let text = std::str::from_utf8(bytes).ok()?;
                is_name(bytes).then(|| Self(text.to_owned()))
            }

            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(VerbName);
name!(EnvironmentName);

/// Makes a set. (`collect` would add sorting code to the binary for each type of items.)
pub(crate) fn set_of<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    set.extend(items);
    set
}

pub(crate) fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

pub(crate) fn bytes_of(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

pub(crate) fn listed(names: &[&str]) -> String {
    format!("`{}`", names.join("`, `"))
}

/// Whether `${...}` and `variables` accept `name`: `[A-Za-z_][A-Za-z0-9_.]*`.
pub(crate) fn is_variable_name(name: &[u8]) -> bool {
    let first = name.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
    first && split_name(name).1.is_empty()
}

/// Splits a text after the characters of a variable's name.
pub(crate) fn split_name(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|b| b.is_ascii_alphanumeric() || b"_.".contains(b)).count())
}

/// Whether a shell accepts a variable with this name (POSIX, 3.216 Name).
pub(crate) fn is_shell_name(name: &[u8]) -> bool {
    is_variable_name(name) && !name.contains(&b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_names_are_rejected() {
        for good in ["server", "a", "db:migrate", "x.y_z-1", "0"] {
            assert!(VerbName::parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [&b""[..], b"-x", b".x", b"a b", b"a/b", b"\xff", "ä".as_bytes()] {
            assert!(VerbName::parse(bad).is_none(), "{bad:?}");
        }
    }
}
