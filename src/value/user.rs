//! A user, in the notation of the table and `--as`: `name`, `uid`, `name:group`, `uid:gid`. Pure.

use crate::text::url::halves;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserSpec {
    pub(crate) user: Who,
    pub(crate) group: Option<Who>,
}

/// A name or a number. Digits are always a number, even if a user has such a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    Name(Vec<u8>),
    /// A uid or gid, at most [`LARGEST_ID`].
    Id(u32),
}

impl UserSpec {
    /// Parses a user. The error does not repeat the text.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let (user, group) = halves(text, b':').map_or((text, None), |(user, group)| (user, Some(group)));
        let group = group.map(|group| Who::parse(group, "group"));
        Ok(Self { user: Who::parse(user, "user")?, group: group.transpose()? })
    }
}

/// The maximum uid and gid: larger ones may mean -1, or wrap to root.
pub(crate) const LARGEST_ID: u32 = 2_147_483_647;

impl Who {
    fn parse(text: &[u8], what: &str) -> Result<Self, String> {
        let digits = std::str::from_utf8(text).ok();
        let id = digits.and_then(|digits| digits.parse().ok()).filter(|id| *id <= LARGEST_ID);
        match text {
            [] => Err(format!("the {what} is empty")),
            _ if text.iter().any(|b| matches!(b, b':' | b'\n' | 0)) => {
                Err(format!("the {what} contains a character that is not allowed in a {what}"))
            }
            _ if !text.iter().all(u8::is_ascii_digit) => Ok(Self::Name(text.to_owned())),
            _ => id.map(Self::Id).ok_or_else(|| format!("the {what} is larger than {LARGEST_ID}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_are_ids() {
        assert_eq!(UserSpec::parse(b"1000"), Ok(UserSpec { user: Who::Id(1000), group: None }));
        for name in [&b"0day"[..], b"-1", b"+1", b" 0", b"0x10", b"1e3"] {
            assert_eq!(UserSpec::parse(name), Ok(UserSpec { user: Who::Name(name.to_vec()), group: None }));
        }
        for bad in [&b""[..], b":", b"a:", b":b", b"2147483648", b"4294967296", b"a:b:c"] {
            assert!(UserSpec::parse(bad).is_err(), "{bad:?}");
        }
    }
}
