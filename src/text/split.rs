//! Splits a text into words, like a shell. Pure.

/// Splits a text with a shell's quotes and backslashes, and no other shell syntax; `None` if a quote is not
/// closed.
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

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

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
}
