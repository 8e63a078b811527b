//! Small source trees with one breach each: the rules find it, and nothing else.

use crate::paths::Files;
use crate::rooms::breaches;

/// The breaches of these files; the modules of the fixtures are small.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let mut files: Files =
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let rooms: Vec<String> =
        files.keys().filter_map(|path| path.split_once('/')).map(|(room, _)| room.to_owned()).collect();
    for room in rooms.into_iter().filter(|room| room != "helpers") {
        if !files.contains_key(&format!("{room}.rs")) {
            files.entry(format!("{room}/mod.rs")).or_default();
        }
    }
    breaches(&files).into_iter().filter(|breach| !breach.starts_with("small room")).collect()
}

/// A file of `text` that must not name one of `sys`, written in this way.
#[track_caller]
fn names_sys(text: &str) {
    let house = [
        ("lib.rs", "mod sys;\nmod text;\n"),
        ("sys/mod.rs", "pub(crate) mod child;\n"),
        ("sys/child.rs", "pub(crate) struct Child;\npub(crate) fn spawn() {}\n"),
        ("text/mod.rs", "pub(crate) mod log;\nmod paint;\n"),
        ("text/log.rs", "pub(crate) struct Log;\n"),
        ("text/paint.rs", text),
    ];
    assert_eq!(found(&house), ["arrow: text/paint.rs -> sys/child.rs"], "{text}");
}

#[test]
fn a_forbidden_import_is_found_in_any_spelling() {
    for text in [
        "use crate::sys::child::Child;",
        "use crate::sys::child;",
        "use crate::sys::child::{self as c, Child};",
        "use crate::{text::log::Log, sys::{child::{Child, spawn}}};",
        "use super::super::sys::child::*;",
        "fn f() { crate::sys::child::spawn() }",
        "fn f() -> super::super::sys::child::Child { todo() }",
        "fn f() { vec![crate::sys::child::spawn()]; }",
        "macro_rules! m { () => { $crate::sys::child::spawn() } }",
        "fn f() { use crate::sys::child; }",
        "mod inner { fn f() { super::super::super::sys::child::spawn() } }",
        "impl Drop for crate::sys::child::Child { }",
        "struct S<'a>(&'a str, pub crate::sys::child::Child);",
        "const C: char = '\"'; fn f() { crate::sys::child::spawn() } const D: char = '\"';",
    ] {
        names_sys(text);
    }
}

#[test]
fn imports_are_resolved_to_the_file_that_they_use() {
    let house = |text| {
        found(&[
            ("sys/mod.rs", "pub(crate) mod child;"),
            ("sys/child.rs", ""),
            ("text/mod.rs", "mod paint;"),
            ("text/paint.rs", text),
        ])
    };
    let both = ["arrow: text/paint.rs -> sys/child.rs", "arrow: text/paint.rs -> sys/mod.rs"];
    assert_eq!(house("use crate::sys; fn f() { sys::child::spawn() }"), both);
    assert_eq!(house("use crate::sys as kernel; fn f() { kernel::child::spawn() }"), both);
    assert_eq!(house("use crate::sys::*; fn f() { child::spawn() }"), both);
}

#[test]
fn paths_outside_the_program_break_no_rule() {
    for text in [
        "// use crate::sys::child::Child;",
        "/* /* crate::sys::child::spawn() */ crate::sys::child::spawn() */",
        "const A: &str = \"crate::sys::child::spawn()\";",
        "const A: &str = r#\"\" crate::sys::child::spawn()\"#;",
        "/// See [`crate::sys::child`].\nstruct A<'a>(&'a str);",
        "use std::sys::child;\nuse nix::{sys::{child::Child}};",
        "pub(in crate::text) struct A;",
        "struct A;\n#[cfg(test)]\nmod tests {\n    use crate::sys::child::Child;\n}",
    ] {
        let house = [
            ("sys/mod.rs", "pub(crate) mod child;"),
            ("sys/child.rs", ""),
            ("text/mod.rs", "mod paint;"),
            ("text/paint.rs", text),
        ];
        assert_eq!(found(&house), [""; 0], "{text}");
    }
}

#[test]
fn each_module_may_use_the_modules_in_its_row() {
    let house = |from: &str| found(&[(from, "use crate::sys::child;"), ("sys/child.rs", "")]);
    for from in ["ready/tcp.rs", "setup/once.rs", "modes/run.rs", "table/load.rs", "fuzzing.rs"] {
        assert_eq!(house(from), [""; 0], "{from}");
    }
    for from in
        ["text/log.rs", "value/user.rs", "table/select.rs", "plan/layers.rs", "cli/options.rs", "lib.rs"]
    {
        assert_eq!(house(from), [format!("arrow: {from} -> sys/child.rs")], "{from}");
    }
}

#[test]
fn a_module_may_not_reexport_another_module() {
    let house = |text| found(&[("setup/mod.rs", text), ("sys/child.rs", "")]);
    for text in ["pub(crate) use crate::sys::child::Child;", "pub use crate::{sys::child};"] {
        assert_eq!(house(text), ["export: setup/mod.rs -> sys/child.rs"], "{text}");
    }
    assert_eq!(house("use crate::sys::child::Child;"), [""; 0]);
}

#[test]
fn two_files_that_import_each_other_are_a_cycle() {
    let direct = [("sys/a.rs", "use crate::sys::b::B;"), ("sys/b.rs", "use super::a::A;")];
    assert_eq!(found(&direct), ["circle: sys/a.rs -> sys/b.rs", "circle: sys/b.rs -> sys/a.rs"]);
    let round_about = [
        ("sys/a.rs", "fn f() { super::b::f() }"),
        ("sys/b.rs", "use crate::sys::c;"),
        ("sys/c.rs", "use crate::sys::{a::A, d};"),
        ("sys/d.rs", ""),
    ];
    let three =
        ["circle: sys/a.rs -> sys/b.rs", "circle: sys/b.rs -> sys/c.rs", "circle: sys/c.rs -> sys/a.rs"];
    assert_eq!(found(&round_about), three);
}

#[test]
fn a_child_that_imports_its_parent_is_a_cycle() {
    for text in ["use super::A;", "use super::*;", "use crate::sys::A;", "fn f() -> super::A { todo() }"] {
        for parent in ["sys/mod.rs", "sys.rs"] {
            let room = [(parent, "mod a;\nstruct A;"), ("sys/a.rs", text)];
            let room = found(&room);
            let circles = [format!("circle: {parent} -> sys/a.rs"), format!("circle: sys/a.rs -> {parent}")];
            assert!(circles.iter().all(|circle| room.contains(circle)), "{text}: {room:?}");
        }
    }
    // Importing a sibling is not a cycle.
    let siblings = [("sys/mod.rs", "mod a;\nmod b;"), ("sys/a.rs", "use super::b::B;"), ("sys/b.rs", "")];
    assert_eq!(found(&siblings), [""; 0]);
}

#[test]
fn unknown_modules_and_hidden_includes_are_reported() {
    assert_eq!(found(&[("helpers/a.rs", "")]), ["unknown room: helpers/a.rs"]);
    assert_eq!(found(&[("helpers.rs", "")]), ["unknown room: helpers.rs"]);
    for text in ["include!(\"a\");", "#[path = \"x.rs\"]\nmod x;", "extern crate self as me;"] {
        assert_eq!(found(&[("sys/a.rs", text)]), ["files that no path shows: sys/a.rs"], "{text}");
    }
    let files: Files = ["cli/mod.rs", "cli/options.rs"].map(|file| (file.to_owned(), String::new())).into();
    assert_eq!(breaches(&files).into_iter().collect::<Vec<_>>(), ["small room: cli"]);
}

#[test]
fn a_file_has_at_most_500_lines_before_its_tests_and_a_line_110_columns() {
    let line = |columns: usize| format!("//{}\n", "x".repeat(columns - 2));
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    //\n".repeat(600));
    assert_eq!(found(&[("sys/a.rs", &(line(110).repeat(500) + &tests))]), [""; 0]);
    assert_eq!(found(&[("sys/a.rs", &(line(110).repeat(501) + &tests))]), ["length: sys/a.rs"]);
    assert_eq!(found(&[("sys/a.rs", &line(111))]), ["columns: sys/a.rs"]);
    // Not bytes.
    assert_eq!(found(&[("sys/a.rs", &line(100).replace('x', "é"))]), [""; 0]);
}

#[test]
fn unit_tests_come_last_in_a_file() {
    let tests = "#[cfg(test)]\nmod tests {\n    fn f() {}\n}\n";
    let more = "\n#[cfg(test)]\n#[allow(dead_code)]\npub(crate) mod testing;\n";
    assert_eq!(found(&[("sys/a.rs", &format!("fn f() {{}}\n{tests}{more}"))]), [""; 0]);
    let after = found(&[("sys/a.rs", &format!("{tests}\nfn f() {{}}\n"))]);
    assert_eq!(after, ["tests are last: sys/a.rs"]);
    // An item for tests alone, in the middle of a file.
    let within = found(&[("sys/a.rs", "impl A {\n    #[cfg(test)]\n    fn f() {}\n}\n")]);
    assert_eq!(within, ["tests are last: sys/a.rs"]);
}
