//! Escapes untrusted bytes for people and for programs, and masks secrets. Pure.

/// Replaces a secret in messages and lists.
pub(crate) const MASK: &str = "***";
/// Replaces a reason that may contain a secret.
pub(crate) const WITHHELD: &str = "details withheld: they contain a secret";

/// Escapes bytes for a terminal: control characters, characters that reorder text, and invalid UTF-8. A
/// backslash is doubled only if it would look like an escape. The user information of a URL becomes `***`.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    let bytes = masked(bytes);
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' => shown.push_str("\\n"),
                '\r' => shown.push_str("\\r"),
                '\t' => shown.push_str("\\t"),
                // Bidirectional controls and other format characters can disguise a message.
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

/// The range of the user information: from the first `://` to the last `@`. A stricter parser would show a
/// part of a password that contains an unencoded `@`, `/` or `?`.
pub(crate) fn login(text: &[u8]) -> Option<std::ops::Range<usize>> {
    let start = text.windows(3).position(|window| window == b"://")? + 3;
    let end = text.iter().rposition(|byte| *byte == b'@')?;
    (start <= end).then_some(start..end)
}

/// Replaces the user information of a text by `***`.
pub(crate) fn masked(text: &[u8]) -> Vec<u8> {
    match login(text) {
        Some(login) => [&text[..login.start], MASK.as_bytes(), &text[login.end..]].concat(),
        None => text.to_owned(),
    }
}

/// Cuts a text after `most` characters.
pub(crate) fn shortened(text: String, most: usize) -> String {
    if text.chars().count() <= most {
        return text;
    }
    text.chars().take(most - 3).collect::<String>() + "..."
}

/// Encodes everything but RFC 3986's unreserved characters (section 2.3) as `%XX`.
pub(crate) fn percent_encoded(value: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = Vec::with_capacity(value.len() * 3);
    for byte in value {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            encoded.push(*byte);
        } else {
            encoded.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
    encoded
}

/// Quotes a value as one shell word.
pub(crate) fn shell_quoted(value: &[u8]) -> Vec<u8> {
    [b"'", &value.split(|byte| *byte == b'\'').collect::<Vec<_>>().join(&b"'\\''"[..])[..], b"'"].concat()
}

#[cfg(test)]
mod tests {
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
}
