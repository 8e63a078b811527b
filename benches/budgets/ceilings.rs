//! The budgets that a machine's mood cannot change: the size of the binary, system calls, instructions. `.ci/run` holds
//! them with `cargo test --bench budgets -- --ceilings`, which measures no time.
//!
//! A ceiling stands a little above what was measured when it was set. Who lowers a count lowers its ceiling; who must
//! raise one says in the same commit what the cost buys.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::counts;
use crate::ground::{Scratch, Symbols, build_preverb, compile_c, table_of};

/// What the specification allows between start and exec at 10 verbs.
const CALLS: usize = 40;
/// What it allows for the binary, in bytes.
const SIZE: usize = 1_450_000;
/// Verbs in the table, and the instructions from start to exec. The steps show what a verb that is not asked for
/// costs, so a table that is decoded whole cannot hide.
const INSTRUCTIONS: [(usize, u64); 3] = [(10, 420_000), (100, 2_600_000), (1000, 26_000_000)];

/// Measures and prints each figure; false where one is over its ceiling.
///
/// # Errors
/// When a tool is missing, or the binary is not what is released.
pub(crate) fn hold() -> Result<bool> {
    let scratch = Scratch::new("ceilings")?;
    let (preverb, target) = (build_preverb(Symbols::Kept)?, scratch.path("target"));
    compile_c("target.c", &target)?;
    let mut held = true;
    let mut judge = |what: &str, found: usize, most: usize| {
        let verdict = if found <= most { "ok" } else { "OVER" };
        println!("{what:32} {found:>10}, at most {most:>10}  {verdict}");
        held &= found <= most;
    };

    judge("bytes of the binary", stripped(&preverb, &scratch)?, SIZE);
    let run = |count: usize| -> Result<_> {
        let table = scratch.file("table.toml", 0o644, &table_of(count, &target))?;
        let env = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
            ("HOSTNAME", "0f1e2d3c4b5a".to_owned()),
            ("HOME", "/".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("PREVERB_TABLE", table.display().to_string()),
        ];
        Ok(([preverb.display().to_string(), format!("verb-{count}")], env))
    };
    let (words, env) = run(10)?;
    let calls = counts::system_calls(&words, &env, &target, &scratch.path(""))?;
    ensure!(!calls.is_empty(), "strace saw nothing");
    judge("system calls, 10 verbs", calls.values().sum(), CALLS);
    for (count, most) in INSTRUCTIONS {
        let (words, env) = run(count)?;
        let found = counts::instructions(&words, &env, &scratch.path(""))?;
        ensure!(found > 1000, "callgrind saw nothing");
        judge(&format!("instructions, {count} verbs"), usize::try_from(found)?, usize::try_from(most)?);
    }
    Ok(held)
}

/// The size of the binary without its symbols, as it is released. It must be static.
fn stripped(preverb: &Path, scratch: &Scratch) -> Result<usize> {
    let to = scratch.path("stripped");
    let status = Command::new("strip").arg("-o").arg(&to).arg(preverb).status().context("starting strip")?;
    ensure!(status.success(), "strip failed");
    let binary = fs::read(&to)?;
    // A program that needs a loader names it in a segment of type PT_INTERP.
    ensure!(binary.starts_with(b"\x7fELF"), "the binary is not an ELF file");
    ensure!(!segment_types(&binary)?.contains(&3), "the binary names an ELF loader, so it is not static");
    Ok(binary.len())
}

/// The types of an ELF file's segments (64 bit, little endian).
fn segment_types(elf: &[u8]) -> Result<Vec<usize>> {
    let at = |from: usize, len: usize| {
        let bytes = elf.get(from..from + len).context("the binary's header ends early")?;
        Ok(bytes.iter().rev().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte)))
    };
    let (table, size, count) = (at(32, 8)?, at(54, 2)?, at(56, 2)?);
    (0..count).map(|index| at(table + index * size, 4)).collect()
}
