//! From the tokenizer's events to the nodes of a document.
//!
//! Says what TOML's rules on defining a table twice say, and remembers of verbs that are not in focus their names and
//! aliases alone. It adds to the document, and must not know what is asked of it later.

use std::borrow::Cow;

use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::lexer::{Token, TokenKind};
use toml_parser::parser::{EventReceiver, parse_document};
use toml_parser::{ErrorSink, Source as Tokens};

use super::errors::Errors;
use super::forgotten::Forgotten;
use super::{Document, Focus, Id, Made, Mistake, Shape, Source, Span, mistake, span};

/// How many tokens are parsed at a time, at least: a token takes several times the room of what it stands for, and
/// memory that is touched for the first time costs more than parsing does.
const CHUNK: usize = 128;

/// Reads a source into the document; the number of its root. A later one is merged over it by the document.
pub(super) fn read_one<'s>(
    document: &mut Document<'s>,
    file: u16,
    source: &'s Source,
    focus: Focus<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Id {
    let end = u32::try_from(source.text.len()).unwrap_or(u32::MAX);
    let root =
        document.add(Cow::Borrowed(""), span(file, 0, 0), Shape::Table, span(file, 0, end), Made::Header);
    if source.text.len() >= u32::MAX as usize {
        document.broken = true;
        mistakes.push(mistake(span(file, 0, 0), "the file is larger than 4 GiB"));
        return root;
    }
    let tokens = Tokens::new(&source.text);
    let mut sink = Errors { file, found: Vec::new() };
    let mut builder = Builder {
        document,
        tokens,
        file,
        mistakes,
        root,
        section: root,
        sections: 0,
        keys: Vec::new(),
        header: None,
        open: Vec::new(),
        focus,
        light: false,
        refused: false,
        forgotten: Forgotten::default(),
    };
    // A document is a run of lines, and a run of lines is a document: where no bracket is open it can be
    // parsed in pieces, because what is above a line is the builder's to remember.
    let mut chunk: Vec<Token> = Vec::with_capacity(2 * CHUNK);
    let mut depth = 0_usize;
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other tokens open and close nothing")]
    for token in tokens.lex() {
        chunk.push(token);
        match token.kind() {
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => depth += 1,
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                depth = depth.saturating_sub(1);
            }
            TokenKind::Newline if depth == 0 && chunk.len() >= CHUNK => {
                parse_document(&chunk, &mut builder, &mut sink);
                chunk.clear();
            }
            _ => {}
        }
    }
    parse_document(&chunk, &mut builder, &mut sink);
    document.broken |= !sink.found.is_empty();
    mistakes.append(&mut sink.found);
    mistakes.sort_by_key(|mistake| (mistake.span.file, mistake.span.start));
    root
}

/// Turns events into nodes.
struct Builder<'b, 's> {
    document: &'b mut Document<'s>,
    tokens: Tokens<'s>,
    file: u16,
    mistakes: &'b mut Vec<Mistake>,
    root: Id,
    /// The table that keys go to at the outermost level.
    section: Id,
    /// How many headers there were: the number of the present one.
    sections: u32,
    /// The parts of the key that is being read.
    keys: Vec<(Cow<'s, str>, Span)>,
    /// `Some` while a header is read.
    header: Option<Header>,
    /// The arrays and inline tables that are open, each with its pending key.
    open: Vec<Open<'s>>,
    focus: Focus<'b>,
    /// Whether the section belongs to a verb that is not in focus.
    light: bool,
    /// Whether the header of the section is one that has been told of.
    refused: bool,
    forgotten: Forgotten,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    Table,
    ArrayOfTables,
    /// Something below a verb that is not in focus.
    Below,
}

struct Open<'s> {
    node: Id,
    /// The keys that had been read outside when it opened.
    keys: Vec<(Cow<'s, str>, Span)>,
}

impl<'s> Builder<'_, 's> {
    fn span(&self, at: toml_parser::Span) -> Span {
        let number = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        span(self.file, number(at.start()), number(at.end()))
    }

    fn mistake(&mut self, span: Span, message: impl Into<String>) {
        self.mistakes.push(mistake(span, message));
    }

    fn duplicate(&mut self, key: &str, span: Span, first: Id) {
        if self.refused {
            return;
        }
        let first = self.document.node(first);
        let file = &self.document.sources[usize::from(first.key_span.file)];
        let line = file.place(first.key_span.start).line;
        self.mistake(
            span,
            format!(
                "`{}` is defined twice, first in line {line}",
                crate::text::escape::escaped(key.as_bytes())
            ),
        );
    }

    /// How many of the keys lead to a verb that is not in focus, if they lead to or into one.
    fn light_verb(&self, keys: &[(Cow<'s, str>, Span)]) -> Option<usize> {
        let verb = match keys {
            [(verbs, _), (verb, _), ..] if verbs == "verbs" => (verb, 2),
            [(environments, _), _, (verbs, _), (verb, _), ..]
                if environments == "environments" && verbs == "verbs" =>
            {
                (verb, 4)
            }
            _ => return None,
        };
        let wanted = match self.focus {
            Focus::Everything => return None,
            Focus::Verb(name) => name,
            // Keys of the root come before all sections; a drop-in's take the place of the table's.
            Focus::Default => {
                let default =
                    self.document.find(self.root, "default").or_else(|| self.document.find(0, "default"));
                default.map_or("", |id| &*self.document.node(id).text)
            }
        };
        (verb.0 != wanted).then_some(verb.1)
    }

    /// The header's path, from the root.
    fn open_section(&mut self, header: Header) {
        let mut keys = std::mem::take(&mut self.keys);
        self.open_section_of(&keys, header);
        keys.clear();
        self.keys = keys;
    }

    fn open_section_of(&mut self, mut keys: &[(Cow<'s, str>, Span)], mut header: Header) {
        self.sections += 1;
        self.refused = false;
        let light = self.light_verb(keys);
        self.light = light.is_some();
        let written = header;
        let mut below: &[(Cow<'s, str>, Span)] = &[];
        if let Some(length) = light
            && keys.len() > length
        {
            // What is below the verb is not remembered, but the verb is.
            (keys, below) = keys.split_at(length);
            header = Header::Below;
        }
        let Some(((last, last_span), parents)) = keys.split_last() else { return };
        let mut table = self.root;
        for (key, key_span) in parents {
            table = match self.document.find(table, key) {
                None => {
                    let id =
                        self.document.add(key.clone(), *key_span, Shape::Table, *key_span, Made::Implied);
                    self.document.append(table, id);
                    id
                }
                Some(id) => match (self.document.node(id).shape, self.document.node(id).made) {
                    (Shape::Table, Made::Implied | Made::Header | Made::Dotted(_)) => id,
                    (Shape::Array, Made::Header) => self.document.node(id).last,
                    _ => return self.refuse_section(key, *key_span, id),
                },
            };
        }
        let found = self.document.find(table, last);
        match (header, found) {
            (Header::Table, None) => {
                let id = self.document.add(last.clone(), *last_span, Shape::Table, *last_span, Made::Header);
                self.document.append(table, id);
                self.section = id;
            }
            (Header::Table, Some(id))
                if self.document.node(id).shape == Shape::Table
                    && self.document.node(id).made == Made::Implied =>
            {
                let node = self.document.node_mut(id);
                node.made = Made::Header;
                node.key_span = *last_span;
                node.span = *last_span;
                self.section = id;
            }
            (Header::ArrayOfTables, None) => {
                let array =
                    self.document.add(last.clone(), *last_span, Shape::Array, *last_span, Made::Header);
                self.document.append(table, array);
                self.section = self.push_table(array, *last_span);
            }
            (Header::ArrayOfTables, Some(array))
                if self.document.node(array).shape == Shape::Array
                    && self.document.node(array).made == Made::Header =>
            {
                self.section = self.push_table(array, *last_span);
            }
            (Header::Below, None) => {
                let id = self.document.add(last.clone(), *last_span, Shape::Table, *last_span, Made::Implied);
                self.document.append(table, id);
                self.section = id;
            }
            (Header::Below, Some(id)) => self.section = id,
            (_, Some(id)) => self.refuse_section(last, *last_span, id),
        }
        if self.light {
            let section = self.section;
            self.document.node_mut(section).light = true;
            self.document.doubtful |= self.forgotten.section(section, found.is_none(), below, written);
        }
    }

    /// Whether the value that comes next is to be forgotten: all of a verb that is not in focus, but its aliases.
    fn forgets(&self) -> bool {
        self.forgotten.depth() > 0
            || self.light && self.open.is_empty() && !matches!(&*self.keys, [(key, _)] if key == "aliases")
    }

    /// The key of a forgotten value.
    fn forget_key(&mut self) {
        if !self.keys.is_empty() {
            self.document.doubtful |= self.forgotten.key(&self.keys);
            self.keys.clear();
        }
    }

    fn push_table(&mut self, array: Id, at: Span) -> Id {
        let id = self.document.add(Cow::Borrowed(""), at, Shape::Table, at, Made::Header);
        self.document.append(array, id);
        id
    }

    /// Keys below a header that is there twice go to the first one's table, as far as they are new; those below one that
    /// is wrong otherwise go to a table that nobody sees. Neither makes more mistakes.
    fn refuse_section(&mut self, key: &str, span: Span, first: Id) {
        self.duplicate(key, span, first);
        self.refused = true;
        let node = self.document.node(first);
        if node.shape == Shape::Table && node.made != Made::Inline {
            self.section = first;
            return;
        }
        self.section = self.document.add(Cow::Borrowed(""), span, Shape::Table, span, Made::Header);
    }

    /// Puts a value in its place: into the open array, or under the key that was read.
    fn put(&mut self, shape: Shape, text: Cow<'s, str>, at: Span) -> Id {
        let parent = self.open.last().map_or(self.section, |open| open.node);
        if self.document.node(parent).shape == Shape::Array {
            let id = self.document.add(Cow::Borrowed(""), at, shape, at, Made::Inline);
            self.document.node_mut(id).text = text;
            self.document.append(parent, id);
            return id;
        }
        // The buffer is lent and given back: there is a key for every value.
        let mut keys = std::mem::take(&mut self.keys);
        let id = self.put_under(parent, &mut keys, shape, text, at);
        keys.clear();
        self.keys = keys;
        id
    }

    fn put_under(
        &mut self,
        parent: Id,
        keys: &mut Vec<(Cow<'s, str>, Span)>,
        shape: Shape,
        text: Cow<'s, str>,
        at: Span,
    ) -> Id {
        let Some((last, last_span)) = keys.pop() else {
            // The grammar has already reported a value without a key.
            return self.document.add(Cow::Borrowed(""), at, shape, at, Made::Inline);
        };
        let mut table = parent;
        for (key, key_span) in keys.drain(..) {
            table = match self.document.find(table, &key) {
                None => {
                    let made = Made::Dotted(self.sections);
                    let id = self.document.add(key, key_span, Shape::Table, key_span, made);
                    self.document.append(table, id);
                    id
                }
                Some(id) => {
                    let node = self.document.node(id);
                    if node.shape == Shape::Table && node.made == Made::Dotted(self.sections) {
                        id
                    } else {
                        self.duplicate(&key, key_span, id);
                        return self.document.add(last, last_span, shape, at, Made::Inline);
                    }
                }
            };
        }
        if let Some(first) = self.document.find(table, &last) {
            self.duplicate(&last, last_span, first);
            return self.document.add(last, last_span, shape, at, Made::Inline);
        }
        let id = self.document.add(last, last_span, shape, at, Made::Inline);
        self.document.node_mut(id).text = text;
        self.document.append(table, id);
        id
    }

    /// Arrays that are nested without end would make everything that walks the tree overflow.
    fn too_deep(&mut self, at: Span) -> bool {
        let deep = self.open.len() + self.forgotten.depth() >= 64;
        if deep {
            self.document.broken = true;
            self.mistake(at, "arrays and tables are nested more than 64 deep");
        }
        deep
    }

    fn open(&mut self, shape: Shape, at: toml_parser::Span) -> bool {
        let at = self.span(at);
        if self.forgets() {
            self.forget_key();
            self.forgotten.open();
            return !self.too_deep(at);
        }
        let node = self.put(shape, Cow::Borrowed(""), at);
        if self.too_deep(at) {
            return false;
        }
        let keys = std::mem::take(&mut self.keys);
        self.open.push(Open { node, keys });
        true
    }

    fn close(&mut self, at: toml_parser::Span) {
        if self.forgotten.close() {
            return;
        }
        let end = self.span(at).end;
        if let Some(open) = self.open.pop() {
            self.document.node_mut(open.node).span.end = end;
            self.keys = open.keys;
        }
    }
}

impl EventReceiver for Builder<'_, '_> {
    fn std_table_open(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.header = Some(Header::Table);
        self.keys.clear();
    }

    fn std_table_close(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        if let Some(header) = self.header.take() {
            self.open_section(header);
        }
    }

    fn array_table_open(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.header = Some(Header::ArrayOfTables);
        self.keys.clear();
    }

    fn array_table_close(&mut self, at: toml_parser::Span, error: &mut dyn ErrorSink) {
        self.std_table_close(at, error);
    }

    fn inline_table_open(&mut self, at: toml_parser::Span, _: &mut dyn ErrorSink) -> bool {
        self.open(Shape::Table, at)
    }

    fn inline_table_close(&mut self, at: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.close(at);
    }

    fn array_open(&mut self, at: toml_parser::Span, _: &mut dyn ErrorSink) -> bool {
        self.open(Shape::Array, at)
    }

    fn array_close(&mut self, at: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.close(at);
    }

    fn comment(&mut self, at: toml_parser::Span, error: &mut dyn ErrorSink) {
        if let Some(raw) = self.tokens.get(at) {
            raw.decode_comment(error);
        }
    }

    fn newline(&mut self, at: toml_parser::Span, error: &mut dyn ErrorSink) {
        if let Some(raw) = self.tokens.get(at) {
            raw.decode_newline(error);
        }
    }

    fn simple_key(&mut self, at: toml_parser::Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        let span = self.span(at);
        let mut key = Cow::Borrowed("");
        if let Some(raw) = self.tokens.get(at) {
            let raw = toml_parser::Raw::new_unchecked(raw.as_str(), encoding, at);
            raw.decode_key(&mut key, error);
        }
        self.keys.push((key, span));
    }

    fn scalar(&mut self, at: toml_parser::Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        let mut text = Cow::Borrowed("");
        let mut kind = ScalarKind::String;
        if let Some(raw) = self.tokens.get(at) {
            let raw = toml_parser::Raw::new_unchecked(raw.as_str(), encoding, at);
            if self.forgets() {
                // Its syntax counts all the same.
                let _kind = raw.decode_scalar(&mut (), error);
                self.forget_key();
                return;
            }
            kind = raw.decode_scalar(&mut text, error);
        }
        let shape = match kind {
            ScalarKind::String => Shape::String,
            ScalarKind::Boolean(value) => Shape::Boolean(value),
            ScalarKind::Integer(radix) => {
                // The decoder takes the prefix and the underscores away; the prefix is put back.
                let prefix = match radix {
                    toml_parser::decoder::IntegerRadix::Dec => "",
                    toml_parser::decoder::IntegerRadix::Hex => "0x",
                    toml_parser::decoder::IntegerRadix::Oct => "0o",
                    toml_parser::decoder::IntegerRadix::Bin => "0b",
                };
                if !prefix.is_empty() {
                    text = Cow::Owned(format!("{prefix}{text}"));
                }
                Shape::Integer
            }
            ScalarKind::Float => Shape::Other("a float"),
            ScalarKind::DateTime => Shape::Other("a date or time"),
        };
        let span = self.span(at);
        self.put(shape, text, span);
    }
}
