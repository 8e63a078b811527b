//! The project's rules that no compiler checks. A rule that is not here, in `clippy.toml` or in `Cargo.toml`
//! is a matter of taste.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test panics, and reads the environment"
)]

mod fixtures;
mod paths;
mod rooms;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// Every file of the repository that is text, with its path.
fn files() -> &'static [(String, String)] {
    static FILES: LazyLock<Vec<(String, String)>> = LazyLock::new(read);
    &FILES
}

fn read() -> Vec<(String, String)> {
    fn walk(directory: &Path, files: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                // Build output is not ours, wherever it is.
                if !matches!(name, ".git" | "target") && !path.join("CACHEDIR.TAG").exists() {
                    walk(&path, files);
                }
            } else if let Ok(text) = fs::read(&path).map(String::from_utf8)
                && let Ok(text) = text
                && name != ".git"
            {
                let path = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
                files.push((path.to_str().unwrap().to_owned(), text));
            }
        }
    }
    let mut files = Vec::new();
    walk(Path::new(env!("CARGO_MANIFEST_DIR")), &mut files);
    assert!(files.len() > 100, "the files are somewhere else");
    files
}

fn sources() -> impl Iterator<Item = &'static (String, String)> {
    files().iter().filter(|(path, _)| Path::new(path).extension().is_some_and(|end| end == "rs"))
}

/// A word that this file itself must not contain.
fn word(parts: [&str; 2]) -> String {
    parts.concat()
}

#[test]
fn each_source_file_starts_with_a_doc_comment() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{path} does not begin with `//! `");
    }
}

/// The sources of the program by their path below `src`, without files of unit tests.
fn program() -> paths::Files {
    let program = sources().filter_map(|(path, text)| {
        let path = path.strip_prefix("src/").filter(|path| !path.ends_with("/tests.rs"))?;
        Some((path.to_owned(), text.clone()))
    });
    program.collect()
}

/// Every known breach of a rule of `rooms`. A new one fails, and so does one that is fixed but still
/// listed: `PREVERB_UPDATE=1 cargo test --test tidy` takes those out, and adds none.
#[test]
fn the_modules_break_only_the_rules_listed_in_breaches_txt() {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tidy/breaches.txt");
    let text = fs::read_to_string(&list).unwrap();
    let listed: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let found = rooms::breaches(&program());
    if std::env::var_os("PREVERB_UPDATE").is_some() {
        let left: Vec<&str> = listed.intersection(&found).map(String::as_str).collect();
        fs::write(&list, left.join("\n") + if left.is_empty() { "" } else { "\n" }).unwrap();
    } else {
        let gone: Vec<_> = listed.difference(&found).collect();
        assert!(
            gone.is_empty(),
            "these breaches are gone, take them out of tests/tidy/breaches.txt: {gone:#?}"
        );
    }
    let new: Vec<_> = found.difference(&listed).collect();
    assert!(new.is_empty(), "these break a rule of tests/tidy/rooms.rs: {new:#?}");
}

/// Lines of `src` without unit tests: fewer lines are easier to read.
#[test]
fn the_program_does_not_grow() {
    const MOST: usize = 18_000;
    let lines = rooms::lines(&program());
    assert!(lines <= MOST, "src has {lines} lines before its unit tests, and at most {MOST} are allowed");
}

#[test]
fn no_todo_or_debug_macro_is_left() {
    let words = [word(["to", "do!("]), word(["dbg", "!("]), word(["FIX", "ME"]), word(["XX", "X"])];
    for (path, text) in sources() {
        for word in &words {
            assert!(!text.contains(word), "{path} has {word}");
        }
    }
}

#[test]
fn the_map_in_lib_rs_lists_every_module() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let map: String = map.lines().take_while(|line| line.starts_with("//!")).collect();
    for (path, _) in sources() {
        let Some(path) = path.strip_prefix("src/") else { continue };
        // The files in a directory next to a file belong to that file.
        let rooms = match path.split_once('/') {
            Some((directory, _)) => vec![format!("{directory}/"), format!("{directory}.rs")],
            None => vec![path.to_owned()],
        };
        let known = matches!(path, "lib.rs" | "main.rs")
            || rooms.iter().any(|room| map.contains(&format!("`{room}`")));
        assert!(known, "the map in src/lib.rs does not know `{path}`");
    }
}

#[test]
fn names_of_tests_are_sentences() {
    let prefix = word(["fn te", "st_"]);
    for (path, text) in sources() {
        assert!(!text.contains(&prefix), "{path} has a test whose name begins with `test_`");
    }
}

#[test]
fn the_changelog_has_the_version() {
    let changelog = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("CHANGELOG.md")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(changelog.contains(&format!("\n## [{version}] - ")), "CHANGELOG.md has no section for {version}");
}

#[test]
fn the_minimal_rust_is_the_same_everywhere() {
    let rust = env!("CARGO_PKG_RUST_VERSION");
    for (path, words) in [
        (".github/workflows/ci.yml", format!("toolchain: \"{rust}\"")),
        (".github/workflows/release.yml", format!("rustup default {rust}\n")),
        ("Dockerfile", format!("FROM --platform=$BUILDPLATFORM rust:{rust}-slim-")),
        ("examples/quickstart/Dockerfile", format!("FROM rust:{rust}-slim-")),
        ("README.md", format!("Rust ({rust} or newer)")),
    ] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        assert!(text.contains(&words), "{path} does not say {words}");
    }
}

#[test]
fn no_file_mentions_paths_of_a_developers_machine() {
    let words = [word(["/wo", "rk/"]), word(["/ro", "ot/"]), word(["/tmp/tar", "get"])];
    for (path, text) in files() {
        for word in &words {
            assert!(!text.contains(word), "{path} has {word}");
        }
    }
}

#[test]
fn files_end_with_a_newline_and_lines_without_blanks() {
    // The corpora of the fuzz targets are data.
    for (path, text) in files().iter().filter(|(path, _)| !path.starts_with("fuzz/corpus/")) {
        assert!(text.is_empty() || text.ends_with('\n'), "{path} does not end with a line feed");
        let trailing = text.lines().position(|line| line.ends_with([' ', '\t']));
        assert_eq!(trailing, None, "{path} has blanks at the end of a line (counted from 0)");
    }
}
