//! What is kept in mind of a verb that is read without being remembered: enough to see that it may define something
//! twice. Knows keys and headers, and must not know what they mean.

use std::borrow::Cow;

use super::builder::Header;
use super::{Id, Span};

/// What has to be known of the verb that is being forgotten to see that it may define something twice. It is no judge:
/// where it has a doubt, everything is read.
#[derive(Default)]
pub(super) struct Forgotten {
    /// The verb.
    verb: Option<Id>,
    /// The headers below it and the tables that they imply, each by a mark of what follows the verb's name.
    headers: Vec<(u64, Header)>,
    /// The marks of the keys of its own section, then of the present one, then of the inline tables that are open.
    keys: Vec<u64>,
    /// How many of the keys are of its own section, once that is over.
    own: usize,
    /// Where in the keys those of each forgotten array and inline table that is open begin.
    open: Vec<usize>,
}

impl Forgotten {
    /// A section of a verb, or of what is `below` it; whether it may be there twice.
    pub(super) fn section(
        &mut self,
        verb: Id,
        is_new: bool,
        below: &[(Cow<'_, str>, Span)],
        header: Header,
    ) -> bool {
        if is_new {
            self.verb = Some(verb);
            self.headers.clear();
            self.keys.clear();
            self.own = 0;
        }
        if below.is_empty() {
            return !is_new;
        }
        if self.headers.is_empty() {
            self.own = self.keys.len();
        }
        self.keys.truncate(self.own);
        // The sections of a verb stand together; where they do not, its own keys are no longer known.
        let mut twice = self.verb != Some(verb);
        let mut path = 0;
        for (number, (key, _)) in (1..).zip(below) {
            path = mark(path, key);
            twice |= number == 1 && self.keys.contains(&path);
            let made = if number == below.len() { header } else { Header::Below };
            match self.headers.iter().find(|(earlier, _)| *earlier == path) {
                // A table that longer headers imply, or one more of an array.
                Some((_, earlier)) => twice |= *earlier != made || made == Header::Table,
                None => self.headers.push((path, made)),
            }
        }
        twice
    }

    /// How many forgotten arrays and inline tables are open in each other.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// One opens.
    pub(super) fn open(&mut self) {
        self.open.push(self.keys.len());
    }

    /// The innermost closes; whether one was open.
    pub(super) fn close(&mut self) -> bool {
        let start = self.open.pop();
        if let Some(start) = start {
            self.keys.truncate(start);
        }
        start.is_some()
    }

    /// A key of the present section or inline table; whether it may be there twice.
    pub(super) fn key(&mut self, keys: &[(Cow<'_, str>, Span)]) -> bool {
        let [(key, _)] = keys else { return true };
        let key = mark(0, key);
        let start = self.open.last().copied().unwrap_or(if self.headers.is_empty() { 0 } else { self.own });
        let twice = self.keys.iter().skip(start).any(|earlier| *earlier == key);
        self.keys.push(key);
        twice
    }
}

/// A number that stands for a key below what `above` stands for: another key has another, as a rule.
fn mark(above: u64, key: &str) -> u64 {
    // Keys are short: a hasher of the library takes longer to begin and to end than this takes for all of it.
    let add =
        |mark: u64, byte: &u8| (mark.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    key.as_bytes().iter().fold(above.wrapping_add(1), add)
}
