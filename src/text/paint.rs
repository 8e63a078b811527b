//! Formats text on standard output: bold headings on a terminal, and lines of at most eighty columns.

use std::io::IsTerminal as _;

/// The width of text; it does not depend on the window.
const WIDTH: usize = 80;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Terminal,
    Plain,
}

impl Paint {
    /// Escapes are used on a terminal that supports them, unless `NO_COLOR` is set (<https://no-color.org>).
    pub(crate) fn of_standard_output<'v>(variable: impl Fn(&[u8]) -> Option<&'v [u8]>) -> Self {
        let refused = variable(b"NO_COLOR").is_some() || variable(b"TERM") == Some(b"dumb");
        if !refused && std::io::stdout().is_terminal() { Self::Terminal } else { Self::Plain }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        let is_bold = self == Self::Terminal && !text.is_empty();
        if is_bold { format!("\x1b[1m{text}\x1b[22m") } else { text.to_owned() }
    }
}

/// Wraps a text. The first line starts after `used` columns, the others at `column`; no word is split.
pub(crate) fn wrapped(text: &str, used: usize, column: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut width = used;
    for word in text.split(' ') {
        let length = word.chars().count();
        if !line.is_empty() && width + 1 + length > WIDTH {
            lines.push(std::mem::take(&mut line));
            width = column;
        }
        if !line.is_empty() {
            line.push(' ');
            width += 1;
        }
        line.push_str(word);
        width += length;
    }
    lines.push(line);
    lines
}

/// Wraps a text after `before`, with all lines aligned to its end.
pub(crate) fn hanging(before: &str, text: &str) -> Vec<String> {
    let column = before.chars().count();
    let mut lines = wrapped(text, column, column).into_iter();
    let first = format!("{before}{}", lines.next().unwrap_or_default());
    let rest = lines.map(|line| format!("{:column$}{line}", ""));
    std::iter::once(first.trim_end().to_owned()).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_at_most_eighty_columns_wide_unless_a_word_is_longer() {
        let text = "one two three ".repeat(20);
        let lines = hanging("  name  ", text.trim_end());
        assert!(lines.len() > 2);
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        assert!(
            lines.iter().skip(1).all(|line| line.starts_with("        ") && !line.starts_with("         "))
        );
        let long = "x".repeat(100);
        assert_eq!(
            hanging("a ", &format!("b {long} c")),
            ["a b".to_owned(), format!("  {long}"), "  c".to_owned()]
        );
        assert_eq!(hanging("  a  ", ""), ["  a"]);
    }

    #[test]
    fn only_a_terminal_gets_escapes() {
        assert_eq!(Paint::Plain.bold("x"), "x");
        assert_eq!(Paint::Terminal.bold("x"), "\x1b[1mx\x1b[22m");
        assert_eq!(Paint::Terminal.bold(""), "");
    }
}
