//! Checks the documentation against the program: every block of TOML and every console block of the README,
//! the man pages and `docs/` is run; the man pages know the keys, options and exit codes that there are and
//! no others; the schema and the completions are what would be generated now.
//!
//! `PREVERB_UPDATE=1 cargo test --test docs` writes what is generated, and puts into each console block the
//! output that it has now. Review its changes.

#![allow(
    clippy::unwrap_used,
    clippy::case_sensitive_file_extension_comparisons,
    clippy::disallowed_methods,
    reason = "a test says so by a panic, starts programs; our files have our extensions"
)]

mod before;
mod blocks;
mod completions;
mod man;
mod packaging;
mod page;
#[path = "../it/dsl/pattern.rs"]
#[allow(dead_code, reason = "the integration tests use all of it")]
mod pattern;
mod schema;
mod shapes;
#[path = "../support/skip.rs"]
#[allow(dead_code, reason = "each kind of test uses some of it")]
mod skip;

use std::path::{Path, PathBuf};

/// The binary under test.
const PREVERB: &str = env!("CARGO_BIN_EXE_preverb");

/// A path in the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file of the repository.
#[track_caller]
fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether this run writes what it generates.
fn updating() -> bool {
    std::env::var_os("PREVERB_UPDATE").is_some()
}

/// Compares a generated file with what would be generated now, or updates it.
#[track_caller]
fn generated(path: &str, text: &str) {
    if updating() {
        std::fs::write(repository(path), text).unwrap();
    }
    let found = std::fs::read_to_string(repository(path)).unwrap_or_default();
    assert!(
        found == text,
        "{path} is not what would be generated now: PREVERB_UPDATE=1 cargo test --test docs"
    );
}
