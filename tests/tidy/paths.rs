//! The paths that a source names: every `use` and every path in the code, resolved to the file that it leads to.
//! Knows Rust's modules and nothing of this program's.

use std::collections::{BTreeMap, BTreeSet};

/// The files of a crate, by their path below `src`.
pub(crate) type Files = BTreeMap<String, String>;

/// One file that names another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// `mod child;`
    Declaration,
    /// A path, in a `use` or elsewhere.
    Path,
    /// A `pub use`.
    Export,
}

/// A path of a module, without `crate`.
type Module = Vec<String>;

/// The part of a source that is the program: everything before its unit tests.
pub(crate) fn program(text: &str) -> &str {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with("#[cfg(test)]") {
            break;
        }
        end += line.len();
    }
    &text[..end]
}

/// Every edge between two files of the crate.
pub(crate) fn edges(files: &Files) -> BTreeSet<Edge> {
    // `main.rs` is a crate of its own.
    let known = files.keys().filter(|file| *file != "main.rs");
    let modules: BTreeMap<Module, &str> = known.map(|file| (module_of(file), file.as_str())).collect();
    let mut edges = BTreeSet::new();
    for (file, text) in files {
        let tokens = tokens(program(text));
        let mut reader = Reader {
            modules: &modules,
            file,
            tokens: &tokens,
            inner: Vec::new(),
            names: BTreeMap::new(),
            edges: &mut edges,
        };
        // Names that a later `use` brings in may stand before it.
        reader.read();
        reader.read();
    }
    edges
}

/// The module that a file is.
fn module_of(file: &str) -> Module {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if matches!(path, "lib" | "main") {
        return Vec::new();
    }
    path.split('/').map(str::to_owned).collect()
}

struct Reader<'a> {
    modules: &'a BTreeMap<Module, &'a str>,
    file: &'a str,
    tokens: &'a [String],
    /// The inline modules around the token that is read, and how deep in braces each begins.
    inner: Vec<(String, usize)>,
    /// The module that a name from a `use` stands for, if it is one.
    names: BTreeMap<String, Module>,
    edges: &'a mut BTreeSet<Edge>,
}

impl Reader<'_> {
    fn read(&mut self) {
        let mut depth = 0;
        let mut at = 0;
        let mut public = false;
        while let Some(token) = self.tokens.get(at) {
            match token.as_str() {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    self.inner.retain(|(_, begin)| *begin <= depth);
                }
                "pub" => {
                    public = true;
                    at += 1;
                    // `pub(crate)` and `pub(in crate::x)` name nothing.
                    if self.is(at, "(")
                        && ["crate", "super", "self", "in"].iter().any(|it| self.is(at + 1, it))
                    {
                        at += self.tokens[at..].iter().take_while(|token| *token != ")").count() + 1;
                    }
                    continue;
                }
                "mod" if self.is(at + 2, ";") => {
                    let module = [self.here(), vec![self.tokens[at + 1].clone()]].concat();
                    self.edge(&module, Kind::Declaration);
                }
                "mod" if self.is(at + 2, "{") => self.inner.push((self.tokens[at + 1].clone(), depth + 1)),
                "use" => {
                    at = self.tree(at + 1, &[], if public { Kind::Export } else { Kind::Path });
                    public = false;
                    continue;
                }
                _ if is_word(token) && self.is(at + 1, "::") && !(at > 0 && self.is(at - 1, "::")) => {
                    at = self.path(at);
                    public = false;
                    continue;
                }
                _ => {}
            }
            public = false;
            at += 1;
        }
    }

    fn is(&self, at: usize, token: &str) -> bool {
        self.tokens.get(at).is_some_and(|found| found == token)
    }

    /// A path in the code; what is after its last word is read on.
    fn path(&mut self, mut at: usize) -> usize {
        let mut words = vec![self.tokens[at].clone()];
        while self.is(at + 1, "::") && self.tokens.get(at + 2).is_some_and(|token| is_word(token)) {
            at += 2;
            words.push(self.tokens[at].clone());
        }
        self.name(&words, Kind::Path);
        at + 1
    }

    /// A tree of `use`, from the token `at` on; gives the token after it.
    fn tree(&mut self, mut at: usize, before: &[String], kind: Kind) -> usize {
        let mut words = before.to_vec();
        loop {
            let Some(token) = self.tokens.get(at).cloned() else { return at };
            if token == "{" {
                at += 1;
                while !self.is(at, "}") {
                    at = self.tree(at, &words, kind);
                    if self.is(at, ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            if token == "*" {
                let module = self.name(&words, kind);
                let children = self
                    .modules
                    .keys()
                    .filter(|child| child.split_last().map(|(_, of)| of) == module.as_deref());
                self.names.extend(children.filter_map(|child| Some((child.last()?.clone(), child.clone()))));
                return at + 1;
            }
            if token == "::" {
                at += 1;
                continue;
            }
            if token == "self" && !words.is_empty() {
                at += 1;
            } else {
                words.push(token);
                at += 1;
            }
            if self.is(at, "::") {
                continue;
            }
            let mut name = words.last().cloned().unwrap_or_default();
            if self.is(at, "as") {
                name.clone_from(&self.tokens[at + 1]);
                at += 2;
            }
            if let Some(module) = self.name(&words, kind) {
                self.names.insert(name, module);
            }
            return at;
        }
    }

    /// Notes the file that a path leads to; gives the module, where the whole path is one.
    fn name(&mut self, words: &[String], kind: Kind) -> Option<Module> {
        let mut module = self.start(words)?;
        // The first word names the start, and so does each `super`.
        let ups = words.iter().take_while(|word| matches!(word.as_str(), "self" | "super")).count();
        let mut rest = words.iter().skip(ups.max(1)).peekable();
        while let Some(word) = rest.peek() {
            let child = [module.clone(), vec![(*word).clone()]].concat();
            if !self.modules.contains_key(&child) {
                break;
            }
            module = child;
            rest.next();
        }
        let whole = rest.peek().is_none();
        self.edge(&module, kind);
        whole.then_some(module)
    }

    /// The module in which the first word of a path is looked up.
    fn start(&self, words: &[String]) -> Option<Module> {
        let here = self.here();
        match words.first()?.as_str() {
            "crate" => Some(Vec::new()),
            "self" | "super" => {
                let up = words.iter().take_while(|word| matches!(word.as_str(), "self" | "super"));
                let up = up.filter(|word| *word == "super").count();
                Some(here[..here.len().saturating_sub(up)].to_vec())
            }
            word => {
                let child = [here, vec![word.to_owned()]].concat();
                let module = self.modules.contains_key(&child).then_some(child);
                module.or_else(|| self.names.get(word).cloned())
            }
        }
    }

    /// The module that is read.
    fn here(&self) -> Module {
        let inner = self.inner.iter().map(|(name, _)| name.clone());
        module_of(self.file).into_iter().chain(inner).collect()
    }

    fn edge(&mut self, module: &[String], kind: Kind) {
        // An inline module is in the file of the module around it.
        let around = (0..=module.len()).rev().find_map(|len| self.modules.get(&module[..len]));
        let Some(to) = around.filter(|to| **to != self.file) else { return };
        self.edges.insert(Edge { from: self.file.to_owned(), to: (*to).to_owned(), kind });
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphanumeric() || first == '_')
}

/// Words and signs, without comments and without what stands in quotes.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment(rest)
        } else if let Some(len) = quoted(rest) {
            len
        } else if first.is_alphanumeric() || first == '_' {
            let len = rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len());
            tokens.push(rest[..len].to_owned());
            len
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() && first != '$' {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[len..];
    }
    tokens
}

/// The length of a comment, in which others may be.
fn comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the string or the character with which the text begins. A lifetime is neither.
fn quoted(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        let after = text.strip_prefix(prefix).unwrap_or_default();
        let raw = after.trim_start_matches('#');
        raw.starts_with('"') && (prefix.ends_with('r') || raw.len() == after.len())
            || after.starts_with('\'') && matches!(*prefix, "b" | "")
    })?;
    let after = &text[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = after.len() - after.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let inside = &after[hashes + 1..];
        let len = inside.find(&end).map_or(inside.len(), |at| at + end.len());
        return Some(prefix.len() + hashes + 1 + len);
    }
    let quote = after.chars().next()?;
    let mut characters = after.char_indices().skip(1);
    if quote == '\'' {
        let mut next = after.chars().skip(1);
        let is_character = next.next() == Some('\\') || next.next() == Some('\'');
        if !is_character {
            return None;
        }
    }
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            return Some(prefix.len() + at + 1);
        }
    }
    Some(text.len())
}
