//! Pages and the blocks in them. Knows Markdown's fences and mdoc's displays, and nothing of what blocks are for.
//!
//! In Markdown a block has the language that its fence names. In a man page a comment in front of the display
//! does: `.\" toml`, `.\" console`, `.\" sh`, `.\" text`.

use std::ops::Range;

/// A block of a page.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// Its language.
    pub(crate) language: String,
    /// Its text as a reader sees it.
    pub(crate) text: String,
    /// Where it begins, for messages.
    pub(crate) line: usize,
    /// Where it stands in the page's source.
    pub(crate) range: Range<usize>,
}

/// The blocks of a page; `path` says in which language it is written.
pub(crate) fn blocks(path: &str, source: &str) -> Vec<Block> {
    if path.ends_with(".md") { markdown(path, source) } else { mdoc(path, source) }
}

/// The source of a block's text.
pub(crate) fn source_of(path: &str, text: &str) -> String {
    if path.ends_with(".md") { text.to_owned() } else { escaped(text) }
}

fn markdown(path: &str, source: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, usize, usize)> = None;
    let mut at = 0;
    for (number, line) in source.split_inclusive('\n').enumerate() {
        if let Some(language) = line.strip_prefix("```") {
            open = match open {
                None => Some((language.trim().to_owned(), number + 2, at + line.len())),
                Some((language, line, start)) => {
                    assert!(!language.is_empty(), "{path}:{line}: a block without a language");
                    let text = source[start..at].to_owned();
                    blocks.push(Block { language, text, line, range: start..at });
                    None
                }
            };
        }
        at += line.len();
    }
    assert!(open.is_none(), "{path}: a block is not closed");
    blocks
}

fn mdoc(path: &str, source: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, usize, usize)> = None;
    let mut before = "";
    let mut at = 0;
    for (number, line) in source.split_inclusive('\n').enumerate() {
        if line.starts_with(".Bd -literal") {
            let language = before.strip_prefix(".\\\" ").map(str::trim);
            let language =
                language.unwrap_or_else(|| panic!("{path}:{}: a display without a language", number + 1));
            open = Some((language.to_owned(), number + 2, at + line.len()));
        } else if line.trim_end() == ".Ed" {
            let (language, line, start) = open.take().unwrap_or_else(|| panic!("{path}: .Ed"));
            let text = unescaped(&source[start..at]);
            blocks.push(Block { language, text, line, range: start..at });
        }
        before = line;
        at += line.len();
    }
    blocks
}

fn unescaped(text: &str) -> String {
    text.lines()
        .map(|line| line.strip_prefix("\\&").unwrap_or(line).replace("\\e", "\\").replace("\\-", "-") + "\n")
        .collect()
}

fn escaped(text: &str) -> String {
    let guarded =
        |line: &str| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() };
    text.lines().map(|line| guarded(&line.replace('\\', "\\e")) + "\n").collect()
}

#[test]
fn escaping_an_example_of_a_man_page_is_reversible() {
    let text = "a \\ b\n.c\n";
    assert_eq!(unescaped(&escaped(text)), text);
}
