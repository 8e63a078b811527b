//! Mutation tests of the tables: if a line can be removed or changed and no case fails, then
//! no case covers it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::image::Image;
use crate::{IMAGES, world};

/// Takes minutes, so it runs only on request: `cargo test --test entrypoints -- --ignored --nocapture`. With
/// `PREVERB_IMAGE=vault` it is one image.
#[test]
#[ignore = "it runs every case for every line"]
fn every_line_of_a_table_is_covered_by_a_case() {
    let only = std::env::var("PREVERB_IMAGE").ok();
    let mut survivors = Vec::new();
    for name in IMAGES.iter().filter(|name| only.as_deref().is_none_or(|only| only == **name)) {
        let mut image = Image::read(name);
        // Cases that wait for a failure are slow.
        image.cases.sort_by_key(|case| case.status == 69);
        let mutants = mutants(&image.table);
        let count = mutants.len();
        let before = survivors.len();
        for (what, table) in mutants {
            // A wait that takes too long panics.
            let passes = |case| {
                let judge = AssertUnwindSafe(|| world::complaint(&image, &table, case, false));
                catch_unwind(judge).is_ok_and(|complaint| complaint.is_none())
            };
            match image.cases.iter().position(|case| !passes(case)) {
                // The case that sees this line is likely to see the next one.
                Some(at) => image.cases[..=at].rotate_right(1),
                None => survivors.push(format!("{name}: {what}")),
            }
        }
        eprintln!("{name}: {count} mutants, {} survive", survivors.len() - before);
    }
    assert!(survivors.is_empty(), "{}", survivors.join("\n"));
}

/// The table without each of its lines, and with each literal in it changed.
fn mutants(table: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = table.lines().collect();
    let mut mutants = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        if code.is_empty()
            || code.starts_with('#')
            || code.starts_with("about = ")
            || code.starts_with("name = ")
        {
            continue;
        }
        let with = |new: &str| {
            let all: Vec<&str> =
                lines.iter().enumerate().map(|(other, line)| if other == at { new } else { line }).collect();
            all.join("\n") + "\n"
        };
        mutants.push((format!("line {} dropped: {code}", at + 1), with("")));
        for changed in changes(line) {
            mutants.push((format!("line {}: {}", at + 1, changed.trim_start()), with(&changed)));
        }
    }
    mutants
}

/// The line with each of its strings and booleans changed.
fn changes(line: &str) -> Vec<String> {
    let mut changes = Vec::new();
    let mut from = 0;
    while let Some(open) = line[from..].find(['"', '\'']).map(|at| from + at) {
        let quote = &line[open..=open];
        let Some(close) = line[open + 1..].find(quote).map(|at| open + 1 + at) else { break };
        changes.push(format!("{}~{}", &line[..close], &line[close..]));
        from = close + 1;
    }
    for (old, new) in [(" true", " false"), (" false", " true")] {
        if let Some(at) = line.find(old) {
            changes.push(format!("{}{new}{}", &line[..at], &line[at + old.len()..]));
        }
    }
    changes
}
