//! Writes untrusted bytes for terminals, URLs, shells and JSON, masks secrets, and splits words. Pure.

use std::io::Write as _;

use serde::ser::{Serialize, Serializer};

/// Replaces a secret in messages and lists.
pub(crate) const MASK: &str = "***";
/// Replaces a reason that may contain a secret.
pub(crate) const WITHHELD: &str = "details withheld: they contain a secret";

/// Escapes control characters, characters that reorder text, and invalid UTF-8, and masks a URL's login.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let bytes = masked(bytes);
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                // Bidirectional controls and other format characters can disguise a message.
                '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}' => shown.extend(character.escape_unicode()),
                control if control.is_control() => {
                    let code = u8::try_from(control).into_iter().flat_map(std::ascii::escape_default);
                    shown.extend(code.map(char::from));
                }
                plain => shown.push(plain),
            }
        }
        shown.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    shown
}

/// The range of the user information: from the first `://` to the last `@`. A stricter parser would show a
/// part of a password that contains an unencoded `@`, `/` or `?`.
pub(crate) fn login(text: &[u8]) -> Option<std::ops::Range<usize>> {
    let start = text.windows(3).position(|window| window == b"://")? + 3;
    let end = text.iter().rposition(|byte| *byte == b'@')?;
    (start <= end).then_some(start..end)
}

/// Replaces the user information of a text by `***`.
pub(crate) fn masked(text: &[u8]) -> Vec<u8> {
    let Some(login) = login(text) else { return text.to_owned() };
    [&text[..login.start], MASK.as_bytes(), &text[login.end..]].concat()
}

pub(crate) fn shortened(text: String, most: usize) -> String {
    let is_short = text.chars().count() <= most;
    if is_short { text } else { text.chars().take(most - 3).collect::<String>() + "..." }
}

/// Encodes everything but RFC 3986's unreserved characters (section 2.3) as `%XX`.
pub(crate) fn percent_encoded(value: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(value.len() * 3);
    for byte in value {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            encoded.push(*byte);
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

pub(crate) fn shell_quoted(value: &[u8]) -> Vec<u8> {
    [b"'", &value.split(|byte| *byte == b'\'').collect::<Vec<_>>().join(&b"'\\''"[..])[..], b"'"].concat()
}

/// Splits a text with a shell's quotes and backslashes, and nothing else of it; `None` if a quote stays open.
pub(crate) fn split(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        match (quote, byte) {
            (None, b' ' | b'\t' | b'\n') => words.extend(word.take()),
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (Some(open), _) if open == byte => quote = None,
            (Some(b'"'), b'\\') => match rest.next()? {
                byte @ (b'"' | b'\\' | b'$' | b'`') => word.get_or_insert_default().push(byte),
                byte => word.get_or_insert_default().extend([b'\\', byte]),
            },
            (None, b'\\') => match rest.next() {
                // A backslash continues the line, as in a shell.
                Some(b'\n') => {}
                // A backslash at the very end stands for itself.
                next => word.get_or_insert_default().push(next.unwrap_or(byte)),
            },
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// Exact bytes in JSON: a string if they are UTF-8, otherwise an object with their base64.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Exact(pub(crate) Vec<u8>);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(&self.0) {
            return serializer.serialize_str(text);
        }
        serializer.collect_map([("base64", base64(&self.0))])
    }
}

/// Encodes base64 (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let number =
            group.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = DIGITS[number >> (18 - 6 * place) & 63];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn bytes_that_could_confuse_a_terminal_are_escaped() {
        assert_eq!(escaped(b"a\x1b[31m\n\xff"), "a\\x1b[31m\\n\\xff");
        assert_eq!(escaped("\u{202e}\u{61c}\u{85}ä".as_bytes()), "\\u{202e}\\u{61c}\\x85ä");
    }

    #[test]
    fn percent_encoding_can_be_decoded() {
        let all: Vec<u8> = (1..=255).collect();
        let encoded = percent_encoded(&all);
        assert!(encoded.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(byte)));
        let mut decoded = Vec::new();
        let mut rest = encoded.iter();
        while let Some(byte) = rest.next() {
            if *byte == b'%' {
                let digits = [*rest.next().expect("a digit"), *rest.next().expect("a digit")];
                let digits = std::str::from_utf8(&digits).expect("text");
                decoded.push(u8::from_str_radix(digits, 16).expect("two digits"));
            } else {
                decoded.push(*byte);
            }
        }
        assert_eq!(decoded, all);
    }

    #[test]
    fn words_are_split_exactly_like_in_a_shell() {
        #![allow(clippy::disallowed_methods, reason = "the test compares with a shell")]
        let shell = |script: &[u8]| {
            let script = std::ffi::OsStr::from_bytes(script);
            std::process::Command::new("sh").arg("-c").arg(script).output().expect("a shell")
        };
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).expect("31 bits")
        };
        let (mut script, mut expected, mut open) = (Vec::new(), Vec::new(), 0);
        for _ in 0..4000 {
            let text: Vec<u8> = (0..random() % 9).map(|_| b"ab \t'\"\\"[random() % 7]).collect();
            if let Some(words) = split(&text) {
                let commands = [&b"set -- "[..], &text, b"\nprintf '%s\\0' \"$#\" \"$@\"\n"];
                // A backslash at the end of the line would continue it.
                if !text.ends_with(b"\\") {
                    script.extend(commands.concat());
                    expected.push(words.len().to_string().into_bytes());
                    expected.extend(words);
                }
            } else if open < 100 {
                open += 1;
                assert!(!shell(&[&b": "[..], &text].concat()).status.success(), "{}", text.escape_ascii());
            }
        }
        let printed = shell(&script).stdout;
        let printed = printed.strip_suffix(b"\0").expect("the last word's end");
        let printed: Vec<&[u8]> = printed.split(|byte| *byte == 0).collect();
        assert!(expected.len() > 1000 && open > 50);
        assert_eq!(printed, expected);
    }

    #[test]
    fn text_is_a_string_and_other_bytes_are_base64() {
        let json = |bytes: &[u8]| serde_json::to_string(&Exact(bytes.to_vec())).expect("it is JSON");
        assert_eq!(json(b"a\tb\n\x1b\\t\"\xc3\xa9"), r#""a\tb\n\u001b\\t\"é""#);
        assert_eq!(json(b"\xff"), r#"{"base64":"/w=="}"#);
        // RFC 4648, section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
