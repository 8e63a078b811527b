//! How untrusted bytes are shown to people, and what stands for a secret. Pure.

/// What stands for a secret wherever values are shown.
pub(crate) const MASK: &str = "***";
/// What stands for a reason that may contain a secret.
pub(crate) const WHY_NOT_SHOWN: &str = "why is not shown, because a secret is a part of it";

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
    fn sorting_is_bytewise_and_keeps_the_order_of_equals() {
        let mut items = vec![("b", 1), ("a", 2), ("b", 0), ("B", 3), ("ä", 4), ("", 5)];
        sort_by_bytes(&mut items, |(name, _)| name.as_bytes().to_vec());
        assert_eq!(items, [("", 5), ("B", 3), ("a", 2), ("b", 1), ("b", 0), ("ä", 4)]);
    }

    #[test]
    fn what_could_confuse_a_terminal_is_escaped() {
        assert_eq!(escaped(b"a\x1b[31m\n\xff"), "a\\x1b[31m\\n\\xff");
        assert_eq!(escaped("\u{202e}\u{61c}\u{85}ä".as_bytes()), "\\u{202e}\\u{61c}\\x85ä");
    }
}
