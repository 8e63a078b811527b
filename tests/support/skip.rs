//! A test that cannot run on this machine: it says so and why, and `tests/zz_skip_report.rs`, which runs last, lists
//! all of them. With `PREVERB_TESTS_MUST_NOT_SKIP`, which `.ci/run` sets in CI, such a test fails.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Where every test looks for programs.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Reports that the running test is skipped, or a part of it.
///
/// # Panics
/// Where nothing may be skipped.
#[track_caller]
pub(crate) fn skip(why: &str) {
    static PRINTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let thread = std::thread::current();
    let why = why.replace(['\t', '\n'], " ");
    let line = format!("{why}\t{}::{}\n", binary(), thread.name().unwrap_or("?"));
    assert!(std::env::var_os("PREVERB_TESTS_MUST_NOT_SKIP").is_none(), "skipped: {why}");
    if PRINTED.lock().unwrap_or_else(PoisonError::into_inner).insert(line.clone()) {
        // Not the standard error that the harness captures.
        let _ = writeln!(std::io::stderr(), "SKIP {}: {why}", thread.name().unwrap_or("?"));
        let file = OpenOptions::new().create(true).append(true).open(record());
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("the target directory can be written");
    }
}

/// Whether this machine lacks a program, which skips the test.
#[track_caller]
pub(crate) fn lacks(program: &str) -> bool {
    let lacks = find(program).is_none();
    if lacks {
        skip(&format!("`{program}` is not installed"));
    }
    lacks
}

/// A program on the `PATH` of tests, or at its own path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    // Validators that CI installs with pip are on the caller's own PATH.
    let own = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(PATH)
        .chain(std::env::split_paths(&own))
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// The skips of this run of the tests: all its test binaries have the same parent, cargo.
pub(crate) fn record() -> PathBuf {
    let parent = std::os::unix::process::parent_id();
    let stat = fs::read_to_string(format!("/proc/{parent}/stat")).unwrap_or_default();
    // Process ids come again; one together with its start time does not.
    let start = stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(19)).unwrap_or("0");
    records().join(format!("skipped-{parent}-{start}"))
}

/// Where the skips of each run are: beside the test binaries, which cargo puts into one directory.
pub(crate) fn records() -> PathBuf {
    let binary = std::env::current_exe().expect("a running program has a path");
    binary.parent().expect("a program lies in a directory").to_owned()
}

/// The test binary's name without the hash that cargo adds.
fn binary() -> String {
    let path = std::env::current_exe().unwrap_or_default().to_string_lossy().into_owned();
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('-').map_or(name, |(name, _)| name).to_owned()
}
