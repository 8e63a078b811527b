//! The patterns of expectations, over bytes: they cover only what may vary between two correct runs.
//!
//! | pattern | stands for |
//! |---|---|
//! | `[TIME]` | a duration as preverb writes it: `3 ms`, `1.2s`, `2 m 5 s` |
//! | `[TIME 10-20]` | a duration from 10 up to 20 seconds |
//! | `[..]` | anything, also nothing, within a line |
//! | a line `[...]` | any number of whole lines |
//!
//! `[DIR]` is replaced before a pattern comes here.

use std::path::Path;

/// A piece of a pattern.
enum Piece<'a> {
    Literal(&'a [u8]),
    /// From and up to these seconds.
    Time(f64, f64),
    InLine,
    Lines,
}

/// Whether the pattern stands for the whole text.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    walk(&pieces(pattern), text, 0, true)
}

/// Whether the pattern stands for some part of the text.
pub(super) fn found(pattern: &[u8], text: &[u8]) -> bool {
    let pieces = pieces(pattern);
    (0..=text.len()).any(|start| walk(&pieces, text, start, false))
}

/// A pattern of this text: the directory becomes `[DIR]`, and an underline below it may have any length.
pub(super) fn of(text: &[u8], dir: &Path) -> String {
    let text = String::from_utf8_lossy(text).replace(dir.to_str().unwrap(), "[DIR]");
    let mut pattern = String::new();
    let mut below_dir = false;
    for line in text.split_inclusive('\n') {
        let plain = line.trim_end_matches('\n').trim_end_matches('^');
        if below_dir && plain.len() < line.trim_end_matches('\n').len() {
            pattern += plain;
            pattern += "^[..]\n";
        } else {
            pattern += line;
        }
        below_dir = line.contains("[DIR]");
    }
    pattern
}

fn pieces(pattern: &[u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut literal = 0;
    let mut at = 0;
    while at < pattern.len() {
        let rest = &pattern[at..];
        let line_start = at == 0 || pattern[at - 1] == b'\n';
        let (piece, length) = if rest.starts_with(b"[TIME]") {
            (Piece::Time(0.0, f64::INFINITY), 6)
        } else if let Some((from, to, length)) = range(rest) {
            (Piece::Time(from, to), length)
        } else if line_start && rest.starts_with(b"[...]\n") {
            (Piece::Lines, 6)
        } else if rest.starts_with(b"[..]") {
            (Piece::InLine, 4)
        } else {
            at += 1;
            continue;
        };
        pieces.push(Piece::Literal(&pattern[literal..at]));
        pieces.push(piece);
        at += length;
        literal = at;
    }
    pieces.push(Piece::Literal(&pattern[literal..]));
    pieces
}

fn walk(pieces: &[Piece<'_>], text: &[u8], at: usize, to_the_end: bool) -> bool {
    let Some((piece, rest)) = pieces.split_first() else {
        return !to_the_end || at == text.len();
    };
    let go_on = |at| walk(rest, text, at, to_the_end);
    match piece {
        Piece::Literal(literal) => text[at..].starts_with(literal) && go_on(at + literal.len()),
        Piece::Time(from, to) => {
            let (length, seconds) = duration(&text[at..]);
            length > 0 && (*from..*to).contains(&seconds) && go_on(at + length)
        }
        Piece::InLine => {
            let line = text[at..].iter().position(|byte| *byte == b'\n').unwrap_or(text.len() - at);
            (0..=line).any(|length| go_on(at + length))
        }
        Piece::Lines => {
            let ends =
                text[at..].iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(end, _)| end + 1);
            (at == 0 || text[at - 1] == b'\n')
                && std::iter::once(0).chain(ends).any(|length| go_on(at + length))
        }
    }
}

/// The bounds in `[TIME 10-20]`, and its length.
fn range(pattern: &[u8]) -> Option<(f64, f64, usize)> {
    let end = pattern.iter().position(|byte| *byte == b']')?;
    let text = std::str::from_utf8(&pattern[..end]).ok()?.strip_prefix("[TIME ")?;
    let (from, to) = text.split_once('-')?;
    Some((from.parse().ok()?, to.parse().ok()?, end + 1))
}

/// The length of the duration that the text begins with, and its seconds; 0 if it begins with none.
fn duration(text: &[u8]) -> (usize, f64) {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1e-9), ("us", 1e-6), ("\u{b5}s", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let one = |text: &[u8]| {
        let number = text.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
        let blank = usize::from(text[number..].starts_with(b" "));
        let value: f64 = std::str::from_utf8(&text[..number]).ok()?.parse().ok()?;
        let (unit, seconds) =
            UNITS.iter().find(|(unit, _)| text[number + blank..].starts_with(unit.as_bytes()))?;
        Some((number + blank + unit.len(), value * seconds))
    };
    let (mut length, mut seconds) = one(text).unwrap_or_default();
    while length > 0 {
        let blank = usize::from(text[length..].starts_with(b" "));
        let Some((more, plus)) = one(&text[length + blank..]) else { break };
        length += blank + more;
        seconds += plus;
    }
    (length, seconds)
}

#[test]
fn a_pattern_without_wildcards_is_the_text_itself() {
    assert!(matches(b"a\n", b"a\n"));
    assert!(!matches(b"a\n", b"a"));
    assert!(!matches(b"a", b"a\n"));
    assert!(matches(b"[OPTIONS] [VERB [ARGUMENT]...]", b"[OPTIONS] [VERB [ARGUMENT]...]"));
}

#[test]
fn wildcards_match_only_values_of_their_kind() {
    assert!(matches(b"took [TIME].\n", b"took 1.25s.\n"));
    assert!(matches(b"took [TIME]\n", b"took 2m 5s\n"));
    assert!(matches(b"took [TIME]\n", b"took 12 ms\n"));
    assert!(!matches(b"took [TIME]\n", b"took long\n"));
    assert!(!matches(b"took [TIME]\n", b"took 12\n"));
    assert!(matches(b"took [TIME 10-20]\n", b"took 10 s\n"));
    assert!(matches(b"took [TIME 1-1.5]\n", b"took 1.4 s\n"));
    assert!(!matches(b"took [TIME 10-20]\n", b"took 9.9 s\n"));
    assert!(!matches(b"took [TIME 10-20]\n", b"took 20 s\n"));
    assert!(!matches(b"took [TIME 10-20]\n", b"took 15 ms\n"));
    assert!(matches(b"a [..] z\n", b"a b c z\n"));
    assert!(!matches(b"a [..] z\n", b"a \n z\n"));
    assert!(matches(b"a\n[...]\nz\n", b"a\nz\n"));
    assert!(matches(b"a\n[...]\nz\n", b"a\nb\nc\nz\n"));
    assert!(!matches(b"a\n[...]\nz\n", b"a\nb\nc z\n"));
}

#[test]
fn a_pattern_can_match_in_the_middle_of_a_text() {
    assert!(found(b"b[..]d", b"abcde"));
    assert!(found(b"", b""));
    assert!(!found(b"x", b"abc"));
}
