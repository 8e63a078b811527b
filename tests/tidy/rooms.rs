//! The modules: which one may use which, that no two files import each other, and the limits of files and
//! lines.

use std::collections::{BTreeMap, BTreeSet};

use crate::paths::{self, Edge, Files, Kind, program, tokens};

/// The modules, and those that each may use.
const ROOMS: [(&str, &[&str]); 13] = [
    ("text", &[]),
    ("value", &["text"]),
    ("sys", &["value", "text"]),
    ("table", &["value", "text"]),
    ("plan", &["table", "value", "text"]),
    ("ready", &["sys", "value", "text"]),
    ("setup", &["plan", "ready", "sys", "value", "text"]),
    ("cli", &["value", "text"]),
    ("modes", &["cli", "setup", "ready", "plan", "table", "sys", "value", "text"]),
    ("lib.rs", &["modes", "cli", "text"]),
    ("main.rs", &[]),
    ("keys.rs", &["table", "value", "text"]),
    ("fuzzing.rs", &["modes", "cli", "setup", "ready", "plan", "table", "sys", "value", "text"]),
];

/// A file that may use a module beyond those of its own.
const EXCEPTIONS: [(&str, &str); 1] = [("table/load.rs", "sys")];

/// The file that exports types of a module to the tests of the documentation.
const EXPORTS: &str = "keys.rs";

/// Lines of a file before its unit tests.
const LENGTH: usize = 500;
/// Columns of a line.
const COLUMNS: usize = 110;

/// Files that define a module.
const FEWEST: usize = 3;

/// Everything that breaks a rule, a line each. `files` are those below `src`, without files of unit tests.
pub(crate) fn breaches(files: &Files) -> BTreeSet<String> {
    let edges = paths::edges(files);
    let mut found = BTreeSet::new();
    for (file, text) in files {
        let code = program(text);
        let lines = code.lines().count();
        if lines > LENGTH {
            found.insert(format!("length: {file}"));
        }
        if text.lines().any(|line| line.chars().count() > COLUMNS) {
            found.insert(format!("columns: {file}"));
        }
        let within = code.lines().any(|line| line.trim_start().starts_with("#[cfg(test)]"));
        if within || !only_tests(&text[code.len()..]) {
            found.insert(format!("tests are last: {file}"));
        }
        let tokens = tokens(code);
        let has = |parts: &[&str]| tokens.windows(parts.len()).any(|window| window == parts);
        if has(&["include", "!"]) || has(&["#", "[", "path", "="]) || has(&["extern", "crate"]) {
            found.insert(format!("files that no path shows: {file}"));
        }
        if !ROOMS.iter().any(|(known, _)| *known == room(file)) {
            found.insert(format!("unknown room: {file}"));
        }
    }
    let is_small =
        |room: &str| files.keys().filter(|file| file.starts_with(&format!("{room}/"))).count() < FEWEST;
    let rooms = files.keys().filter_map(|file| file.split_once('/')).map(|(room, _)| room);
    found.extend(rooms.filter(|room| is_small(room)).map(|room| format!("small room: {room}")));
    for edge in &edges {
        let Edge { from, to, kind } = edge;
        if room(from) != room(to) && *kind == Kind::Export && from != EXPORTS {
            found.insert(format!("export: {from} -> {to}"));
        }
        if !may_use(edge) {
            found.insert(format!("arrow: {from} -> {to}"));
        }
    }
    let circles = circles(&edges);
    found.extend(circles.into_iter().map(|(from, to)| format!("circle: {from} -> {to}")));
    found
}

/// The lines of the program: what is before the unit tests of each file.
pub(crate) fn lines(files: &Files) -> usize {
    files.values().map(|text| program(text).lines().count()).sum()
}

/// The directory below `src`, or the file directly in it.
fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or(file)
}

fn may_use(edge: &Edge) -> bool {
    let (from, to) = (room(&edge.from), room(&edge.to));
    from == to
        || edge.kind == Kind::Declaration
        || EXCEPTIONS.contains(&(&edge.from, to))
        || ROOMS.iter().any(|(name, uses)| *name == from && uses.contains(&to))
}

/// The edges by which a file leads back to itself.
fn circles(edges: &BTreeSet<Edge>) -> BTreeSet<(&str, &str)> {
    let mut uses = BTreeMap::<&str, BTreeSet<&str>>::new();
    for edge in edges {
        uses.entry(&edge.from).or_default().insert(&edge.to);
    }
    let leads = |from: &str, to: &str| {
        let mut seen = BTreeSet::from([from]);
        let mut next = vec![from];
        while let Some(file) = next.pop() {
            for used in uses.get(file).into_iter().flatten() {
                if seen.insert(used) {
                    next.push(used);
                }
            }
        }
        seen.contains(to)
    };
    edges.iter().map(|edge| (&*edge.from, &*edge.to)).filter(|(from, to)| leads(to, from)).collect()
}

/// Whether each item is one of the unit tests'.
fn only_tests(text: &str) -> bool {
    let mut is_test = false;
    for line in text.lines() {
        let is_item = line.starts_with(|first: char| first.is_alphabetic());
        if line.starts_with("#[cfg(test)]") {
            is_test = true;
        } else if is_item && !std::mem::take(&mut is_test) {
            return false;
        }
    }
    true
}
