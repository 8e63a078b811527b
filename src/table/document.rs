//! TOML text as a tree in which each node knows where it stands.
//!
//! The tokenizer and the grammar are `toml_parser`'s; `document/builder.rs` turns its events into nodes. Here are the
//! nodes, how a later tree is merged over an earlier one, and what can be asked of the whole. It is the program's only
//! reader of TOML: the table, its drop-ins and what hooks write to descriptor 3 all come through here. Of the table it
//! knows where verbs and setups stand in one, and no more.
//!
//! The nodes stand in one vector and are linked by number: a table of a thousand verbs costs one
//! growing allocation instead of several for each verb. Texts without escapes are borrowed. Where one verb is
//! in focus, the others' sections are checked for their syntax and for what they define twice, and no nodes are made
//! of them but their names and aliases: a run with one verb of a thousand reads the other 999 without remembering them.

mod builder;
mod errors;
mod forgotten;
mod source;

use std::borrow::Cow;
use std::collections::HashMap;

pub(crate) use source::{Place, Source};

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// Which of the sources.
    pub(crate) file: u16,
    /// First byte.
    pub(crate) start: u32,
    /// The byte behind the last.
    pub(crate) end: u32,
}

/// A mistake in a text, at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Where.
    pub(crate) span: Span,
    /// What, in a sentence.
    pub(crate) message: String,
    /// What would help.
    pub(crate) hint: Option<String>,
    /// The environment, where it is a mistake in that one and not in the table as such.
    pub(crate) environment: Option<String>,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A string; the node's text is its value.
    String,
    /// An integer; the node's text is as written.
    Integer,
    /// `true` or `false`.
    Boolean(bool),
    /// A float, a date or a time: nothing in a table is one.
    Other(&'static str),
    /// An array, or an array of tables.
    Array,
    /// A table of any form.
    Table,
}

impl Shape {
    /// The shape in words, for messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Integer => "an integer",
            Self::Boolean(_) => "a boolean",
            Self::Other(name) => name,
            Self::Array => "an array",
            Self::Table => "a table",
        }
    }
}

/// How a table or an array came to be, which decides who may add to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// A scalar, or a table or array written inside a value: finished.
    Inline,
    /// A table that a longer header implied: its own header may still come.
    Implied,
    /// By its own header: only longer headers add to it.
    Header,
    /// By dotted keys below this header (its number): keys of the same header add to it.
    Dotted(u32),
}

type Id = u32;
const NONE: Id = u32::MAX;

#[derive(Debug)]
struct Node<'s> {
    key: Cow<'s, str>,
    key_span: Span,
    span: Span,
    shape: Shape,
    text: Cow<'s, str>,
    made: Made,
    first: Id,
    last: Id,
    next: Id,
    children: u32,
    /// Whether it is a verb of which only the name and the aliases were taken.
    light: bool,
}

/// What is read of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Focus<'f> {
    /// All of it.
    Everything,
    /// Of verbs only this one, and of the others names and aliases.
    Verb(&'f str),
    /// The same, for the verb that the table's `default` names.
    Default,
}

/// A tree, or several merged into one.
#[derive(Debug)]
pub(crate) struct Document<'s> {
    sources: &'s [Source],
    nodes: Vec<Node<'s>>,
    /// The children of large tables by name; small ones are searched.
    index: HashMap<(Id, Cow<'s, str>), Id>,
    /// Whether something may be defined twice in what was not remembered.
    doubtful: bool,
    /// Whether more is wrong than that something is defined twice.
    broken: bool,
}

/// Tables with more children than this are found through the index.
const LARGE: u32 = 16;

/// A node of a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeRef<'d, 's> {
    document: &'d Document<'s>,
    id: Id,
}

impl<'s> Document<'s> {
    /// Reads the first source and merges each later one over it, in order.
    ///
    /// # Errors
    /// Every mistake of syntax, in all the sources.
    pub(crate) fn read(sources: &'s [Source], focus: Focus<'_>) -> Result<Self, Vec<Mistake>> {
        match Self::read_on(sources, focus) {
            (Some(document), mistakes) if mistakes.is_empty() => Ok(document),
            (_, mistakes) => Err(mistakes),
        }
    }

    /// The same, and of sources in which nothing is wrong but that something is defined twice the tree all the same,
    /// in which the first definition counts.
    pub(crate) fn read_on(sources: &'s [Source], focus: Focus<'_>) -> (Option<Self>, Vec<Mistake>) {
        let bytes: usize = sources.iter().map(|source| source.text.len()).sum();
        let mut document = Self {
            sources,
            nodes: Vec::with_capacity(16 + bytes / 96),
            index: HashMap::default(),
            doubtful: false,
            broken: false,
        };
        let mut mistakes = Vec::new();
        let mut root = NONE;
        for (number, source) in sources.iter().enumerate() {
            let number = u16::try_from(number).unwrap_or(u16::MAX);
            let next = builder::read_one(&mut document, number, source, focus, &mut mistakes);
            if root == NONE {
                root = next;
            } else {
                document.merge(root, next, &mut Vec::new());
            }
        }
        if document.doubtful {
            // Only who remembers everything can tell.
            return Self::read_on(sources, Focus::Everything);
        }
        let broken = document.broken;
        ((!broken).then_some(document), mistakes)
    }

    /// The table that everything is in.
    pub(crate) fn root(&self) -> NodeRef<'_, 's> {
        NodeRef { document: self, id: 0 }
    }

    fn add(&mut self, key: Cow<'s, str>, key_span: Span, shape: Shape, span: Span, made: Made) -> Id {
        let id = Id::try_from(self.nodes.len()).unwrap_or(NONE);
        let text = Cow::Borrowed("");
        self.nodes.push(Node {
            key,
            key_span,
            span,
            shape,
            text,
            made,
            first: NONE,
            last: NONE,
            next: NONE,
            children: 0,
            light: false,
        });
        id
    }

    fn node(&self, id: Id) -> &Node<'s> {
        &self.nodes[id as usize]
    }

    fn node_mut(&mut self, id: Id) -> &mut Node<'s> {
        &mut self.nodes[id as usize]
    }

    fn append(&mut self, parent: Id, child: Id) {
        let last = self.node(parent).last;
        if last == NONE {
            self.node_mut(parent).first = child;
        } else {
            self.node_mut(last).next = child;
        }
        let table = self.node(parent).shape == Shape::Table;
        let parent_node = self.node_mut(parent);
        parent_node.last = child;
        parent_node.children += 1;
        let children = parent_node.children;
        if table && children > LARGE {
            let mut id = if children == LARGE + 1 { self.node(parent).first } else { child };
            while id != NONE {
                let key = self.node(id).key.clone();
                self.index.entry((parent, key)).or_insert(id);
                id = self.node(id).next;
            }
        }
    }

    fn find(&self, parent: Id, key: &str) -> Option<Id> {
        if self.node(parent).children > LARGE {
            return self.index.get(&(parent, Cow::Borrowed(key))).copied();
        }
        let mut id = self.node(parent).first;
        while id != NONE {
            let node = self.node(id);
            if node.key == key {
                return Some(id);
            }
            id = node.next;
        }
        None
    }

    /// Merges the table `over` into the table `base`: tables key by key, `setup` lists appended, a
    /// later scalar or array in the place of the earlier one.
    fn merge(&mut self, base: Id, over: Id, path: &mut Vec<String>) {
        let mut id = self.node(over).first;
        while id != NONE {
            let next = self.node(id).next;
            self.node_mut(id).next = NONE;
            let key = self.node(id).key.to_string();
            match self.find(base, &key) {
                None => self.append(base, id),
                Some(old) => match (self.node(old).shape, self.node(id).shape) {
                    (Shape::Table, Shape::Table) => {
                        // What either has left out is not there.
                        let light = self.node(id).light;
                        self.node_mut(old).light |= light;
                        path.push(key);
                        self.merge(old, id, path);
                        path.pop();
                    }
                    (Shape::Array, Shape::Array) if key == "setup" && has_setup(path) => {
                        let mut item = self.node(id).first;
                        while item != NONE {
                            let following = self.node(item).next;
                            self.node_mut(item).next = NONE;
                            self.append(old, item);
                            item = following;
                        }
                    }
                    _ => self.replace(old, id),
                },
            }
            id = next;
        }
    }

    /// Puts the content of `new` in the place of `old`.
    fn replace(&mut self, old: Id, new: Id) {
        let next = self.node(old).next;
        // The children of a large table are indexed under its old number.
        if self.node(new).shape == Shape::Table && self.node(new).children > LARGE {
            let mut id = self.node(new).first;
            while id != NONE {
                let key = self.node(id).key.clone();
                self.index.insert((old, key), id);
                id = self.node(id).next;
            }
        }
        self.nodes.swap(old as usize, new as usize);
        self.node_mut(old).next = next;
    }
}

/// Whether the table at this path has a `setup` of preverb's (a variable or a verb may be so named).
fn has_setup(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(path[..], [] | ["verbs" | "environments", _] | ["environments", _, "verbs", _])
}

impl<'d, 's> NodeRef<'d, 's> {
    /// What it is.
    pub(crate) fn shape(self) -> Shape {
        self.document.node(self.id).shape
    }

    /// Where its value stands.
    pub(crate) fn span(self) -> Span {
        self.document.node(self.id).span
    }

    /// The texts that it was read from.
    pub(crate) fn sources(self) -> &'s [Source] {
        self.document.sources
    }

    /// Its key in the table that it is in; empty for an array's items.
    pub(crate) fn key(self) -> &'d str {
        &self.document.node(self.id).key
    }

    /// Where its key stands.
    pub(crate) fn key_span(self) -> Span {
        self.document.node(self.id).key_span
    }

    /// Its value, where it is a string.
    pub(crate) fn as_str(self) -> Option<&'d str> {
        let node = self.document.node(self.id);
        (node.shape == Shape::String).then_some(&*node.text)
    }

    /// Its value, where it is an integer that fits.
    pub(crate) fn as_integer(self) -> Option<i64> {
        let node = self.document.node(self.id);
        if node.shape != Shape::Integer {
            return None;
        }
        let text = node.text.as_ref();
        match text.get(..2) {
            Some("0x") => i64::from_str_radix(&text[2..], 16).ok(),
            Some("0o") => i64::from_str_radix(&text[2..], 8).ok(),
            Some("0b") => i64::from_str_radix(&text[2..], 2).ok(),
            _ => text.parse().ok(),
        }
    }

    /// Whether it is a verb of which only the name and the aliases were taken.
    pub(crate) fn is_light(self) -> bool {
        self.document.node(self.id).light
    }

    /// The child of this key.
    pub(crate) fn get(self, key: &str) -> Option<Self> {
        if self.shape() != Shape::Table {
            return None;
        }
        self.document.find(self.id, key).map(|id| NodeRef { document: self.document, id })
    }

    /// The entries of a table or the items of an array, in order; none for a scalar.
    pub(crate) fn children(self) -> impl Iterator<Item = NodeRef<'d, 's>> + use<'d, 's> {
        let document = self.document;
        let first = document.node(self.id).first;
        std::iter::successors((first != NONE).then_some(first), move |id| {
            let next = document.node(*id).next;
            (next != NONE).then_some(next)
        })
        .map(move |id| NodeRef { document, id })
    }
}

fn span(file: u16, start: u32, end: u32) -> Span {
    Span { file, start, end }
}

fn mistake(span: Span, message: impl Into<String>) -> Mistake {
    Mistake { span, message: message.into(), hint: None, environment: None }
}

#[cfg(test)]
mod tests;
