//! How text on standard output is set off from other text: headings bold, asides dim, on a terminal alone;
//! and lines that end before the eightieth column. Messages are `log.rs`'s.

use std::io::IsTerminal as _;

use crate::value::variables::Variables;

/// How wide a text is made. It is the same everywhere, so that what is written into a file or a mail does not
/// depend on somebody's window.
const WIDTH: usize = 80;

/// Whether to set text off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Terminal,
    Plain,
}

impl Paint {
    /// What standard output wants: escapes where it is a terminal that knows them, unless `NO_COLOR` is set
    /// (<https://no-color.org>).
    pub(crate) fn of_standard_output(variables: &Variables) -> Self {
        let refused = variables.non_empty(b"NO_COLOR").is_some()
            || variables.get(b"TERM").is_some_and(|term| term.value == b"dumb");
        if !refused && std::io::stdout().is_terminal() { Self::Terminal } else { Self::Plain }
    }

    /// A heading.
    pub(crate) fn bold(self, text: &str) -> String {
        self.between("\x1b[1m", text, "\x1b[22m")
    }

    /// An aside.
    pub(crate) fn dim(self, text: &str) -> String {
        self.between("\x1b[2m", text, "\x1b[22m")
    }

    fn between(self, before: &str, text: &str, after: &str) -> String {
        match self {
            Self::Terminal if !text.is_empty() => format!("{before}{text}{after}"),
            Self::Terminal | Self::Plain => text.to_owned(),
        }
    }
}

/// A text of words in lines, of which each but the first begins at `column`, where the first goes on after
/// `used` columns. A word that is too long for a line has one of its own.
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

/// The lines of a text of words behind `before`, aligned with where it begins.
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
        assert_eq!(Paint::Terminal.dim(""), "");
    }
}
