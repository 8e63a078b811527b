//! How text on standard output is set off from other text: headings bold, on a terminal alone;
//! and lines that end before the eightieth column. Messages are `log.rs`'s.

use std::io::IsTerminal as _;

/// How wide a text is made: the same everywhere, whatever the width of a window.
const WIDTH: usize = 80;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Terminal,
    Plain,
}

impl Paint {
    /// The kind of standard output: escapes where it is a terminal that knows them, unless `NO_COLOR` is set
    /// (<https://no-color.org>).
    pub(crate) fn of_standard_output<'v>(variable: impl Fn(&[u8]) -> Option<&'v [u8]>) -> Self {
        let refused = variable(b"NO_COLOR").is_some() || variable(b"TERM") == Some(b"dumb");
        if !refused && std::io::stdout().is_terminal() { Self::Terminal } else { Self::Plain }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        match self {
            Self::Terminal if !text.is_empty() => format!("\x1b[1m{text}\x1b[22m"),
            Self::Terminal | Self::Plain => text.to_owned(),
        }
    }
}

/// A text of words in lines, of which each but the first begins at `column`, and the first after `used`
/// columns. A word that is too long for a line has one of its own.
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

/// The lines of a text of words after `before`, aligned with where it begins.
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
    fn lines_end_before_the_eightieth_column_unless_a_word_is_longer() {
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
    fn only_a_terminal_is_painted() {
        assert_eq!(Paint::Plain.bold("x"), "x");
        assert_eq!(Paint::Terminal.bold("x"), "\x1b[1mx\x1b[22m");
        assert_eq!(Paint::Terminal.bold(""), "");
    }
}
