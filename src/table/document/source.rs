//! A text, and places in it in words. Knows nothing of what the text says.

use std::path::PathBuf;

/// A file of the table, or another text to read.
#[derive(Debug)]
pub(crate) struct Source {
    /// What it is called in messages.
    pub(crate) path: PathBuf,
    /// Its text, without a byte order mark.
    pub(crate) text: String,
}

/// A place in words: line and column from 1, the column in characters, and the line itself.
pub(crate) struct Place<'s> {
    /// The line's number.
    pub(crate) line: usize,
    /// The column's number.
    pub(crate) column: usize,
    /// The line without its end.
    pub(crate) text: &'s str,
}

impl Source {
    /// Where the byte at `offset` stands.
    pub(crate) fn place(&self, offset: u32) -> Place<'_> {
        let mut offset = (offset as usize).min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text[offset..].find('\n').map_or(self.text.len(), |newline| offset + newline);
        Place {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[start..].chars().count() + 1,
            text: self.text[start..end].trim_end_matches('\r'),
        }
    }
}
