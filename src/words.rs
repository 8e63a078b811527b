//! Words that are checked once, at the edge, and are what they say from then on: names of verbs and
//! environments, durations, modes, users; and how untrusted bytes are shown.
//!
//! Pure: it knows text and nothing of the world.

use std::fmt;
use std::time::Duration;

/// The name of a verb or an alias: one or more of `A-Z a-z 0-9 . _ : -`, not starting with `-` or `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct VerbName(String);

/// The name of a deployment environment, of the same form as a verb's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EnvironmentName(String);

fn is_name(bytes: &[u8]) -> bool {
    let inside = |b: &u8| b.is_ascii_alphanumeric() || b"._:-".contains(b);
    !bytes.is_empty() && !bytes.starts_with(b"-") && !bytes.starts_with(b".") && bytes.iter().all(inside)
}

/// What a name must look like, for messages.
pub(crate) const NAME_RULE: &str =
    "a name is made of `A-Z a-z 0-9 . _ : -` and starts with neither `-` nor `.`";

macro_rules! name {
    ($type:ident) => {
        impl $type {
            /// The name, if the bytes are one.
            pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
                let text = std::str::from_utf8(bytes).ok()?;
                is_name(bytes).then(|| Self(text.to_owned()))
            }

            /// The name as text.
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

/// Whether `name` can stand in `${...}` and in `variables`: `[A-Za-z_][A-Za-z0-9_.]*`.
pub(crate) fn is_variable_name(name: &[u8]) -> bool {
    let first = name.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
    first && name.iter().all(|b| b.is_ascii_alphanumeric() || b"_.".contains(b))
}

/// Whether a shell can hold a variable of this name (POSIX, 3.216 Name).
pub(crate) fn is_shell_name(name: &[u8]) -> bool {
    is_variable_name(name) && !name.contains(&b'.')
}

/// What a duration must look like, for messages.
pub(crate) const DURATION_RULE: &str = "a duration is a number with a unit: `500ms`, `60s`, `5m`, `1h`";

/// A duration: a whole number and one of `ms`, `s`, `m`, `h`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// A duration as a person would say it: `12 ms`, `3.4 s`, `2 min 5 s`.
pub(crate) fn spoken(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        1000..120_000 if milliseconds % 1000 < 50 => format!("{} s", milliseconds / 1000),
        1000..120_000 => format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100),
        _ => format!("{} min {} s", milliseconds / 60_000, milliseconds / 1000 % 60),
    }
}

/// Permission bits in octal, `022` or `0755`, at most `7777`.
pub(crate) fn parse_mode(text: &str) -> Option<u32> {
    let octal = (1..=5).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let mode = octal.then(|| u32::from_str_radix(text, 8).ok())??;
    (mode <= 0o7777).then_some(mode)
}

/// A user as a table or `--as` names it: `name`, `uid`, `name:group`, `uid:gid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserSpec {
    /// The user.
    pub(crate) user: Who,
    /// The group, where one is named.
    pub(crate) group: Option<Who>,
}

/// A name or a number. A number is a number even where a user is so named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    /// To be looked up in `/etc/passwd` or `/etc/group`.
    Name(Vec<u8>),
    /// A uid or gid, at most [`LARGEST_ID`].
    Id(u32),
}

impl UserSpec {
    /// Reads a user.
    ///
    /// # Errors
    /// Says what is wrong with it, without naming it.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let (user, group) = match text.iter().position(|b| *b == b':') {
            Some(colon) => (&text[..colon], Some(&text[colon + 1..])),
            None => (text, None),
        };
        Ok(Self {
            user: Who::parse(user, "user")?,
            group: group.map(|g| Who::parse(g, "group")).transpose()?,
        })
    }
}

/// The largest uid and gid: larger ones mean -1 somewhere, or wrap to root.
pub(crate) const LARGEST_ID: u32 = 2_147_483_647;

impl Who {
    fn parse(text: &[u8], what: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err(format!("the {what} is empty"));
        }
        if text.iter().any(|b| matches!(b, b':' | b'\n' | 0)) {
            return Err(format!("the {what} holds a character that no {what} can have"));
        }
        if !text.iter().all(u8::is_ascii_digit) {
            return Ok(Self::Name(text.to_owned()));
        }
        let id = std::str::from_utf8(text).ok().and_then(|digits| digits.parse::<u32>().ok());
        match id {
            Some(id) if id <= LARGEST_ID => Ok(Self::Id(id)),
            _ => Err(format!("the {what} is larger than 2147483647")),
        }
    }
}

/// A signal's number from its name, with or without `SIG`, or from its number. Real-time signals are counted from
/// the kernel's 34, as kill(1) and the engines count them, whatever the C library keeps for itself.
pub(crate) fn parse_signal(text: &str) -> Option<i32> {
    let possible = |number: &i32| (1..=31).contains(number) || (35..=64).contains(number);
    if let Ok(number) = text.parse::<i32>() {
        return Some(number).filter(possible);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |digits: &str| digits.parse::<u8>().ok().map(i32::from);
    if let Some(digits) = name.strip_prefix("RTMIN+") {
        return offset(digits).map(|offset| 34 + offset).filter(|number| (35..=64).contains(number));
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        let below = if rest.is_empty() { 0 } else { offset(rest.strip_prefix('-')?)? };
        return Some(64 - below).filter(|number| (35..=64).contains(number));
    }
    let signal: nix::sys::signal::Signal = format!("SIG{name}").parse().ok()?;
    Some(signal as i32)
}

/// Whether a process can catch the signal: KILL and STOP nobody can (signal(7)).
pub(crate) fn can_be_caught(number: i32) -> bool {
    !matches!(number, 9 | 19)
}

/// A signal's name for messages: `SIGTERM`, `signal 40`.
pub(crate) fn signal_name(number: i32) -> String {
    nix::sys::signal::Signal::try_from(number)
        .map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned())
}

/// The candidate that is nearest to `word`, if one is near enough to be what was meant.
// Not inlined: its tables would make the stack of a run without mistakes larger by pages.
#[inline(never)]
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= 1 + candidate.chars().count().max(word.chars().count()) / 4
                && *distance < candidate.chars().count()
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Sorts by a key of bytes, keeping the order of what has the same one.
///
/// The standard library's sort is several kilobytes of code for each type that is sorted, and a dozen types are;
/// here it is there once, for the keys.
pub(crate) fn sort_by_bytes<T>(items: &mut Vec<T>, key: impl Fn(&T) -> Vec<u8>) {
    let order = order_of(items.iter().map(key).collect());
    let mut items_by_place: Vec<Option<T>> = items.drain(..).map(Some).collect();
    items.extend(order.into_iter().filter_map(|place| items_by_place[place].take()));
}

/// The places of these keys in their order.
#[inline(never)]
fn order_of(keys: Vec<Vec<u8>>) -> Vec<usize> {
    let mut places: Vec<(Vec<u8>, usize)> = keys.into_iter().zip(0..).collect();
    places.sort_unstable();
    places.into_iter().map(|(_, place)| place).collect()
}

/// Bytes as they can be shown on a terminal: control characters, characters that reorder text, and
/// what is not UTF-8 are escaped; a backslash is doubled only where it would be read as an escape.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' => shown.push_str("\\n"),
                '\r' => shown.push_str("\\r"),
                '\t' => shown.push_str("\\t"),
                // Bidirectional controls and other format characters can make a message read as another.
                '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}' => {
                    let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
                }
                control if control.is_control() => {
                    let _ = write!(shown, "\\x{:02x}", u32::from(control));
                }
                plain => shown.push(plain),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// The beginning of a text that has more characters than `most`.
pub(crate) fn shortened(text: String, most: usize) -> String {
    if text.chars().count() <= most {
        return text;
    }
    text.chars().take(most - 3).collect::<String>() + "..."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["server", "a", "db:migrate", "x.y_z-1", "0"] {
            assert!(VerbName::parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [&b""[..], b"-x", b".x", b"a b", b"a/b", b"\xff", "ä".as_bytes()] {
            assert!(VerbName::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("5m"), Some(Duration::from_mins(5)));
        assert_eq!(parse_duration("1h"), Some(Duration::from_hours(1)));
        assert_eq!(parse_duration("0s"), Some(Duration::ZERO));
        for bad in
            ["", "5", "s", "-1s", "1.5s", "1 s", "1d", "99999999999999999999s", "18446744073709551615h"]
        {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_ids_and_nothing_else_is() {
        assert_eq!(UserSpec::parse(b"1000"), Ok(UserSpec { user: Who::Id(1000), group: None }));
        for name in [&b"0day"[..], b"-1", b"+1", b" 0", b"0x10", b"1e3"] {
            assert_eq!(UserSpec::parse(name), Ok(UserSpec { user: Who::Name(name.to_vec()), group: None }));
        }
        for bad in [&b""[..], b":", b"a:", b":b", b"2147483648", b"4294967296", b"a:b:c"] {
            assert!(UserSpec::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn signals_have_names_with_and_without_sig() {
        assert_eq!(parse_signal("TERM"), Some(15));
        assert_eq!(parse_signal("SIGTERM"), Some(15));
        assert_eq!(parse_signal("hup"), Some(1));
        assert_eq!(parse_signal("9"), Some(9));
        assert_eq!(parse_signal("SIGRTMIN+3"), Some(37));
        assert_eq!(parse_signal("RTMAX"), Some(64));
        assert_eq!(parse_signal("rtmax-1"), Some(63));
        assert_eq!(parse_signal("40"), Some(40));
        for bad in [
            "",
            "SIG",
            "0",
            "32",
            "34",
            "65",
            "TERMINATE",
            "SIGSIGTERM",
            "RTMIN",
            "RTMIN+31",
            "RTMAX-30",
            "RTMAX+1",
        ] {
            assert_eq!(parse_signal(bad), None, "{bad}");
        }
    }

    #[test]
    fn sorting_is_bytewise_and_keeps_the_order_of_equals() {
        let mut items = vec![("b", 1), ("a", 2), ("b", 0), ("B", 3), ("ä", 4), ("", 5)];
        sort_by_bytes(&mut items, |(name, _)| name.as_bytes().to_vec());
        assert_eq!(items, [("", 5), ("B", 3), ("a", 2), ("b", 1), ("b", 0), ("ä", 4)]);
    }

    #[test]
    fn the_nearest_is_near() {
        assert_eq!(nearest("sever", ["server", "worker"]), Some("server"));
        assert_eq!(nearest("wroker", ["server", "worker"]), Some("worker"));
        assert_eq!(nearest("zzz", ["server", "worker"]), None);
        assert_eq!(nearest("x", ["a"]), None);
    }

    #[test]
    fn what_could_confuse_a_terminal_is_escaped() {
        assert_eq!(escaped(b"a\x1b[31m\n\xff"), "a\\x1b[31m\\n\\xff");
        assert_eq!(escaped("\u{202e}\u{61c}\u{85}ä".as_bytes()), "\\u{202e}\\u{61c}\\x85ä");
    }
}
