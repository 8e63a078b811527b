//! Runs after all other tests, because its name sorts last, and lists what they skipped.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "this is a report of the tests, and stands outside of the program"
)]

#[path = "support/skip.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod skip;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

fn main() {
    // Arguments ask for a list of tests or for certain ones, and not for this report.
    if std::env::args().len() > 1 {
        return;
    }
    let lines = fs::read_to_string(skip::record()).unwrap_or_default();
    let mut reasons = BTreeMap::<&str, BTreeSet<&str>>::new();
    for (why, test) in lines.lines().filter_map(|line| line.split_once('\t')) {
        reasons.entry(why).or_default().insert(test);
    }
    let tests: BTreeSet<&str> = reasons.values().flatten().copied().collect();
    println!("\nskipped on this machine, whole or in part: {} tests", tests.len());
    for (why, tests) in reasons {
        println!("\n  {why}: {}", tests.len());
        for test in tests {
            println!("    {test}");
        }
    }
    println!();
    for entry in fs::read_dir(skip::records()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("skipped-") {
            let _ = fs::remove_file(entry.path());
        }
    }
}
