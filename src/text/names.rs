//! Names of verbs, environments and variables: their rules, patterns, and the nearest one after a typo. Pure.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

macro_rules! name {
    ($type:ident) => {
        /// A name that follows [`NAME_RULE`].
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $type(String);

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

pub(crate) const NAME_RULE: &str =
    "a name is made of `A-Z a-z 0-9 . _ : -` and starts with neither `-` nor `.`";

fn is_name(bytes: &[u8]) -> bool {
    let inside = |b: &u8| b.is_ascii_alphanumeric() || b"._:-".contains(b);
    !bytes.starts_with(b"-") && !bytes.starts_with(b".") && !bytes.is_empty() && bytes.iter().all(inside)
}

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

/// Whether `pattern`, in which `*` matches any text, matches the whole of `text`.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts.filter(|part| !part.is_empty()) {
        let Some(at) = rest.windows(part.len()).position(|window| window == part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The candidate that is nearest to `word`, if it is near enough to be the intended one.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let own = word.chars().count();
    let near = candidates.into_iter().filter_map(|candidate| {
        let length = candidate.chars().count();
        let most = (1 + length.max(own) / 4).min(length.saturating_sub(1));
        // The distance is at least the difference in length; computing it is slow for long names.
        let may_be = length.abs_diff(own) <= most;
        let distance = may_be.then(|| strsim::damerau_levenshtein(word, candidate))?;
        (distance <= most).then_some((distance, candidate))
    });
    near.min().map(|(_, candidate)| candidate)
}

pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, candidates).map(|near| format!("did you mean `{near}`?"))
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

    #[test]
    fn a_star_matches_any_text_and_other_characters_match_themselves() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "x"),
            ("PORT", "PORT"),
            ("NGINX_*", "NGINX_"),
            ("NGINX_*", "NGINX_HOST"),
            ("*.conf", "/etc/redis.conf"),
            ("a*b*c", "a-b-b-c"),
            ("**a", "aaa"),
        ] {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        for (pattern, text) in
            [("", "x"), ("PORT", "PORTS"), ("NGINX_*", "nginx_x"), ("*.conf", "x.confs"), ("a*b*c", "acb")]
        {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        assert_eq!(nearest("sever", ["server", "worker"]), Some("server"));
        assert_eq!(nearest("wroker", ["server", "worker"]), Some("worker"));
        assert_eq!(nearest("zzz", ["server", "worker"]), None);
        assert_eq!(nearest("x", ["a"]), None);
        // A long name is not near, and is rejected quickly.
        let long = "v".repeat(1 << 17);
        assert_eq!(nearest(&long, std::iter::repeat_n("verb-1234", 10_000)), None);
    }
}
