//! The program's only TOML reader: parses text into a tree in which each node knows its place, and merges
//! several texts into one tree. It does not know the meaning of any key.
//!
//! The tree is that of the `toml` crate, so that a table of a thousand verbs costs nothing but its parsing.
//! The spans of a later text are moved after those of earlier ones, so that a span alone identifies the text.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;
use std::path::PathBuf;

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use crate::text::choice::choice;
use crate::value::syntax;

/// A range of bytes in all texts, one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl From<Range<usize>> for Span {
    fn from(Range { start, end }: Range<usize>) -> Self {
        Self { start, end }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) masked: Option<String>,
    pub(crate) hint: Option<String>,
    /// The environment, if the mistake exists only there and not in the table itself.
    pub(crate) environment: Option<String>,
}

impl Mistake {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), masked: None, hint: None, environment: None }
    }

    pub(crate) fn hint(&mut self, hint: impl Into<String>) {
        self.hint = Some(hint.into());
    }
}

#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// Its text, without a byte order mark.
    pub(crate) text: String,
    pub(crate) start: usize,
    /// The offsets of its line ends, computed for the first place, because a table can have many mistakes.
    newlines: OnceCell<Vec<usize>>,
}

#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<Source>);

/// A place in a text: the line and the column in characters, both from 1, and the text of the line.
pub(crate) struct Place<'s> {
    pub(crate) source: &'s Source,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) start: usize,
    pub(crate) text: &'s str,
}

impl Sources {
    /// Adds a text that will be merged over the earlier ones.
    pub(crate) fn add(&mut self, path: PathBuf, text: String) {
        // The place at the very end of a text still belongs to this text.
        let start = self.0.last().map_or(0, |last| last.start + last.text.len() + 1);
        self.0.push(Source { path, text, start, newlines: OnceCell::new() });
    }

    pub(crate) fn one(path: PathBuf, text: String) -> Self {
        let mut sources = Self::default();
        sources.add(path, text);
        sources
    }

    pub(crate) fn all(&self) -> &[Source] {
        &self.0
    }

    pub(crate) fn number(&self, offset: usize) -> usize {
        self.0.partition_point(|source| source.start <= offset).saturating_sub(1)
    }

    /// The last key of a span that is a `[[header]]`; any other span is unchanged. The `toml` crate has no
    /// separate key for each table of an array.
    pub(crate) fn narrowed(&self, span: Span) -> Span {
        let source = self.0.get(self.number(span.start));
        let text =
            source.and_then(|source| source.text.get(span.start - source.start..span.end - source.start));
        let inner = text.and_then(|text| text.strip_prefix("[[")?.strip_suffix("]]"));
        let Some(inner) = inner.filter(|inner| !inner.contains(['[', '"', '\'', '\n'])) else { return span };
        let last = inner.rsplit('.').next().unwrap_or(inner).trim_start();
        let end = span.end - "]]".len();
        Span { start: end - last.len(), end: end - (last.len() - last.trim_end().len()) }
    }

    /// The place of the byte at `offset`; `None` if there is no text.
    pub(crate) fn place(&self, offset: usize) -> Option<Place<'_>> {
        let source = self.0.get(self.number(offset))?;
        let text = source.text.as_str();
        let offset = text.floor_char_boundary(offset - source.start);
        let newlines = source.newlines.get_or_init(|| text.match_indices('\n').map(|(at, _)| at).collect());
        let lines_before = newlines.partition_point(|at| *at < offset);
        let start = lines_before.checked_sub(1).map_or(0, |last| newlines[last] + 1);
        let end = newlines.get(lines_before).copied().unwrap_or(text.len());
        let column = text[start..offset].chars().count() + 1;
        let line = text[start..end].trim_end_matches('\r');
        Some(Place { source, line: lines_before + 1, column, start, text: line })
    }
}

choice! {
    Shape {
        String = "a string",
        Integer = "an integer",
        Boolean = "a boolean",
        Float = "a float",
        DateTime = "a date or time",
        Array = "an array",
        Table = "a table",
    }
}

#[derive(Debug)]
pub(crate) struct Document<'s> {
    pub(crate) sources: &'s Sources,
    root: Spanned<DeValue<'s>>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'d> {
    sources: &'d Sources,
    name: &'d str,
    /// `None` for an item of an array.
    key: Option<&'d Spanned<Cow<'d, str>>>,
    value: &'d Spanned<DeValue<'d>>,
}

impl<'s> Document<'s> {
    /// Parses the first text and merges each later one over it: tables are merged by key, later scalars and
    /// arrays replace earlier ones, but an array whose path is `appended` is added to the earlier one.
    pub(crate) fn read(sources: &'s Sources, appended: fn(&[&str]) -> bool) -> Result<Self, Vec<Mistake>> {
        let (document, mistakes) = Self::read_on(sources, appended);
        document.filter(|_| mistakes.is_empty()).ok_or(mistakes)
    }

    /// Also returns a tree if keys defined twice are the only mistakes; the first definition counts.
    pub(crate) fn read_on(
        sources: &'s Sources, appended: fn(&[&str]) -> bool,
    ) -> (Option<Self>, Vec<Mistake>) {
        let mut mistakes = Vec::new();
        let mut root = Some(Spanned::new(0..0, DeValue::Table(DeTable::new())));
        for source in &sources.0 {
            let (table, found) = syntax::parse(&source.text);
            mistakes.extend(found.into_iter().map(|(Range { start, end }, message)| {
                Mistake::new(Span { start: source.start + start, end: source.start + end }, message)
            }));
            root = root.zip(table).map(|(mut root, table)| {
                let table = Spanned::new(0..source.text.len(), DeValue::Table(table));
                if source.start == 0 {
                    return table;
                }
                merge(root.get_mut(), moved(table, source.start), &mut Vec::new(), appended);
                root
            });
        }
        mistakes.sort_unstable_by_key(|mistake| mistake.span);
        mistakes.dedup();
        (root.map(|root| Self { sources, root }), mistakes)
    }

    pub(crate) fn root(&self) -> Node<'_> {
        Node { sources: self.sources, name: "", key: None, value: &self.root }
    }
}

/// Merges `over`, which is at `path`, into `base`. The result, if any, has to replace `base`.
fn merge<'s>(
    base: &mut DeValue<'s>, over: Spanned<DeValue<'s>>, path: &mut Vec<String>, appended: fn(&[&str]) -> bool,
) -> Option<Spanned<DeValue<'s>>> {
    let span = over.span();
    match (base, over.into_inner()) {
        (DeValue::Table(base), DeValue::Table(over)) => {
            for (key, value) in over {
                path.push(key.get_ref().to_string());
                let rest = match base.get_mut(key.get_ref().as_ref()) {
                    Some(base) => merge(base.get_mut(), value, path, appended),
                    None => Some(value),
                };
                if let Some(value) = rest {
                    // An insertion alone would keep the existing key and its place.
                    base.remove(key.get_ref().as_ref());
                    base.insert(key, value);
                }
                path.pop();
            }
        }
        (DeValue::Array(base), DeValue::Array(over))
            if appended(&path.iter().map(String::as_str).collect::<Vec<_>>()) =>
        {
            over.into_iter().for_each(|item| base.push(item));
        }
        (_, over) => return Some(Spanned::new(span, over)),
    }
    None
}

/// Moves the spans of a value after those of the earlier texts.
fn moved(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let range = |range: Range<usize>| range.start + by..range.end + by;
    let span = range(value.span());
    let mut value = value.into_inner();
    if let DeValue::Table(table) = value {
        let entries = table.into_iter();
        let entries =
            entries.map(|(key, value)| (Spanned::new(range(key.span()), key.into_inner()), moved(value, by)));
        value = DeValue::Table(entries.collect());
    } else if let DeValue::Array(array) = value {
        value = DeValue::Array(array.into_iter().map(|item| moved(item, by)).collect());
    }
    Spanned::new(span, value)
}

impl<'d> Node<'d> {
    pub(crate) fn shape(self) -> Shape {
        match self.value.get_ref() {
            DeValue::String(_) => Shape::String,
            DeValue::Integer(_) => Shape::Integer,
            DeValue::Boolean(_) => Shape::Boolean,
            DeValue::Float(_) => Shape::Float,
            DeValue::Datetime(_) => Shape::DateTime,
            DeValue::Array(_) => Shape::Array,
            DeValue::Table(_) => Shape::Table,
        }
    }

    pub(crate) fn span(self) -> Span {
        let value = self.value.span();
        self.key.map(Spanned::span).filter(|key| value.start < key.start).unwrap_or(value).into()
    }

    /// Its key in its table; for an item of an array, the key of the array.
    pub(crate) fn key(self) -> &'d str {
        self.name
    }

    pub(crate) fn file(self) -> usize {
        self.sources.number(self.key_span().start)
    }

    fn child(self, key: &'d Spanned<Cow<'d, str>>, value: &'d Spanned<DeValue<'d>>) -> Self {
        Self { name: key.get_ref(), key: Some(key), value, ..self }
    }

    pub(crate) fn key_span(self) -> Span {
        self.key.map_or_else(|| self.value.span(), Spanned::span).into()
    }

    pub(crate) fn as_str(self) -> Option<&'d str> {
        self.value.get_ref().as_str()
    }

    pub(crate) fn as_bool(self) -> Option<bool> {
        self.value.get_ref().as_bool()
    }

    pub(crate) fn as_integer(self) -> Option<i64> {
        let integer = self.value.get_ref().as_integer()?;
        i64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    pub(crate) fn get(self, key: &str) -> Option<Self> {
        let (key, value) = self.value.get_ref().as_table()?.get_key_value(key)?;
        Some(self.child(key, value))
    }

    /// The entries of a table or the items of an array, in the order of the text; empty for a scalar.
    pub(crate) fn children(self) -> std::vec::IntoIter<Self> {
        let mut children: Vec<Self> = self.entries().collect();
        if let DeValue::Array(array) = self.value.get_ref() {
            children = array.iter().map(|value| Self { key: None, value, ..self }).collect();
        } else {
            children.sort_unstable_by_key(|child| child.key_span());
        }
        children.into_iter()
    }

    /// The children of the child with this key; empty if there is none.
    pub(crate) fn below(self, key: &str) -> std::vec::IntoIter<Self> {
        self.get(key).map(Self::children).unwrap_or_default()
    }

    /// The entries of a table, sorted by key; empty for other nodes. Cheaper than `children`.
    pub(crate) fn entries(self) -> impl Iterator<Item = Self> + use<'d> {
        let table = self.value.get_ref().as_table();
        table.into_iter().flatten().map(move |(key, value)| self.child(key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(texts: &[&str]) -> Sources {
        let mut sources = Sources::default();
        for (number, text) in texts.iter().enumerate() {
            sources.add(format!("{number}.toml").into(), (*text).to_owned());
        }
        sources
    }

    fn appended(path: &[&str]) -> bool {
        path == ["setup"]
    }

    fn dump(node: Node<'_>) -> String {
        let children = |show: fn(Node<'_>) -> String| node.children().map(show).collect::<Vec<_>>().join(",");
        match node.shape() {
            Shape::Table => format!("{{{}}}", children(|child| format!("{}={}", child.key(), dump(child)))),
            Shape::Array => format!("[{}]", children(dump)),
            Shape::String => format!("{:?}", node.as_str().unwrap_or_default()),
            Shape::Integer => node.as_integer().map_or("?".into(), |number| number.to_string()),
            Shape::Boolean => format!("{:?}", node.as_bool() == Some(true)),
            Shape::Float | Shape::DateTime => node.shape().name().to_owned(),
        }
    }

    #[track_caller]
    fn check(texts: &[&str], expected: &str) {
        let sources = sources(texts);
        let document = Document::read(&sources, appended).expect("well-formed");
        assert_eq!(dump(document.root()), expected);
    }

    /// Checks the mistakes, each as `FILE:LINE:COLUMN: SENTENCE`.
    #[track_caller]
    fn wrong(texts: &[&str], expected: &[&str]) {
        let sources = sources(texts);
        let mistakes = Document::read(&sources, appended).expect_err("a mistake");
        let shown = mistakes.iter().map(|mistake| {
            let place = sources.place(mistake.span.start).expect("a place");
            let file = sources.number(mistake.span.start);
            format!("{file}:{}:{}: {}", place.line, place.column, mistake.message)
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn all_notations_of_tables_make_the_same_tree() {
        check(
            &["a.b = 1\n[c.d]\ne = 'x'\n[c]\nf = {g.h = true}"],
            r#"{a={b=1},c={d={e="x"},f={g={h=true}}}}"#,
        );
        check(&["[[s]]\na = 1\n[s.t]\nb = 2\n[[s]]\na = 3\n"], "{s=[{a=1,t={b=2}},{a=3}]}");
        check(&["a = [1, [2, {b = \"c\"}],\n 0x1F, 0b11, 1_000]"], r#"{a=[1,[2,{b="c"}],31,3,1000]}"#);
        check(&["a = \"\\u00e9\\n\"\nb = '''\nx'''\n\"q r\" = 1.5"], r#"{a="é\n",b="x",q r=a float}"#);
    }

    #[test]
    fn entries_are_in_the_order_of_the_text() {
        check(&["z = 1\na = 2\n[m]\nz = 1\nb = 2\n[c]"], "{z=1,a=2,m={z=1,b=2},c={}}");
        check(&["z = 1\na = 2", "m = 3\nz = 4"], "{a=2,m=3,z=4}");
    }

    #[test]
    fn a_second_definition_is_reported_with_the_line_of_the_first() {
        let first = |place: &str, name: &str, line: u32| {
            format!("{place}: `{name}` is defined twice, first in line {line}")
        };
        let check = |text: &str, expected: &[String]| {
            wrong(&[text], &expected.iter().map(String::as_str).collect::<Vec<_>>());
        };
        check("a = 1\na = 2\n'a' = 3", &[first("0:2:1", "a", 1), first("0:3:1", "a", 1)]);
        check("[a]\nx = 1\n[a]\nx = 2", &[first("0:3:2", "a", 1)]);
        check("a = {b = 1}\n[a.c]\n", &[first("0:2:2", "a", 1)]);
        check("a = {b = 1, c = {}, b = 2}", &[first("0:1:21", "b", 1)]);
        check("a = []\n[[a]]", &[first("0:2:3", "a", 1)]);
        check("[[a]]\n[a]", &[first("0:2:2", "a", 1)]);
        check("[a.b]\nx = 1\n[a]\nb.y = 1", &[first("0:4:1", "b", 1)]);
        check("a = {b.c = 1, b = {d = 2}}", &[first("0:1:15", "b", 1)]);
        // The text may already contain the unique names.
        check("twice0 = 1\na = 1\na = 2", &[first("0:3:1", "a", 2)]);
    }

    #[test]
    fn the_first_of_two_definitions_counts_if_there_is_no_other_mistake() {
        let read = |text: &str| {
            let sources = sources(&[text]);
            let (document, mistakes) = Document::read_on(&sources, appended);
            (document.map(|document| dump(document.root())), mistakes.len())
        };
        assert_eq!(read("a = 1\na = 2\nb = 3"), (Some("{a=1,b=3}".to_owned()), 1));
        assert_eq!(read("[a]\nx = 1\n[a]\ny = 2\nx = 3"), (Some("{a={x=1,y=2}}".to_owned()), 1));
        assert_eq!(read("a = 1\na = 2\nb = "), (None, 2));
    }

    #[test]
    fn every_syntax_error_has_a_place_and_names_the_expected_token() {
        wrong(
            &["x = 1\ny = \nz = '1' 2", "a = [1"],
            &[
                "0:2:5: string values must be quoted, expected literal string",
                "0:3:9: unexpected key or value, expected the end of the line or `#`",
                "1:1:7: unclosed array, expected `]`",
            ],
        );
        wrong(&["a = 01"], &["0:1:5: unexpected leading zero"]);
    }

    #[test]
    fn texts_are_merged_by_key_and_the_named_lists_are_appended() {
        check(
            &["d = 1\n[e]\na = 1\nb = [1]\n[[setup]]\nx = 1", "d = 2\n[e]\nb = [2]\nc = 3\n[[setup]]\nx = 2"],
            "{e={a=1,b=[2],c=3},setup=[{x=1},{x=2}],d=2}",
        );
        check(&["[e]\nsetup = [1]", "[e]\nsetup = [2]"], "{e={setup=[2]}}");
        check(&["setup = [1]", "setup = 2", "setup = [3]\na = {b = 1}", "a = 1"], "{setup=[3],a=1}");
    }

    #[test]
    fn places_are_found_in_every_text() {
        let sources = sources(&["a = 1", "", "b = \"ä\" # x\r\nc = 2\n"]);
        let document = Document::read(&sources, appended).expect("well-formed");
        let place = |key: &str| {
            let node = document.root().get(key).expect("a key");
            let place = sources.place(node.span().start).expect("a place");
            (sources.number(node.key_span().start), place.line, place.column, place.text.to_owned())
        };
        assert_eq!(place("a"), (0, 1, 5, "a = 1".to_owned()));
        assert_eq!(place("b"), (2, 1, 5, "b = \"ä\" # x".to_owned()));
        assert_eq!(place("c"), (2, 2, 5, "c = 2".to_owned()));
        assert_eq!(sources.place(5).map(|place| (place.line, place.column)), Some((1, 6)));
    }

    #[test]
    fn nesting_is_limited() {
        let (open, close) = ("[".repeat(5000), "]".repeat(5000));
        let deep = format!("a = {open}{close}");
        let keys = format!("{}a = 1", "a.".repeat(5000));
        for text in [&*deep, &*keys, &*format!("[{}a]", "a.".repeat(5000))] {
            for texts in [vec![text], vec!["", text]] {
                let sources = sources(&texts);
                let mistakes = Document::read(&sources, appended).expect_err("nested too deep");
                assert!(mistakes[0].message.ends_with("nested too deep"), "{mistakes:?}");
            }
        }
    }
}
