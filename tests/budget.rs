//! The budgets of the running path that a machine's mood cannot change, held as a test: system calls,
//! instructions, and the size of the binary. Times are the bench's (`cargo bench`).
//!
//! A ceiling stands a little above what was measured when it was set. Who lowers a count lowers its ceiling;
//! who must raise one says in the same commit what the cost buys.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]
#![allow(
    clippy::disallowed_methods,
    reason = "who owns what is a rule of preverb's; a test starts its tools"
)]

#[path = "../benches/budgets/counts.rs"]
mod counts;
#[path = "../benches/budgets/ground.rs"]
mod ground;

use std::fs;
use std::path::PathBuf;

use ground::{Scratch, Symbols, build_preverb, compile_c, find, table_of};

/// What the specification allows between start and exec at 10 verbs.
const CALLS: usize = 40;
/// What it allows for the binary, in bytes.
const SIZE: u64 = 1_300_000;
/// Verbs in the table, and the instructions from start to exec. The steps show what a verb that is not asked for
/// costs, so a table that is decoded whole cannot hide.
const INSTRUCTIONS: [(usize, u64); 3] = [(10, 275_000), (100, 1_500_000), (1000, 13_000_000)];
/// Says that a test did not run and why; where CI is set, that is a failure.
fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "`{test}` cannot be skipped in CI: {why}");
    eprintln!("SKIP {test}: {why}");
}

/// The static binary, a target for it, and a table of some verbs; or why there is none.
struct Stage {
    scratch: Scratch,
    preverb: PathBuf,
    target: PathBuf,
}

impl Stage {
    fn set(test: &str, tool: &str, symbols: Symbols) -> Option<Self> {
        if find(tool).is_none() {
            skip(test, &format!("`{tool}` is not installed"));
            return None;
        }
        let preverb = match build_preverb(symbols) {
            Ok(preverb) => preverb,
            Err(error) => {
                skip(test, &format!("no static binary: {error:#}"));
                return None;
            }
        };
        let scratch = Scratch::new(test).unwrap();
        let target = scratch.path("target");
        if let Err(error) = compile_c("target.c", &target) {
            skip(test, &format!("no static target: {error:#}"));
            return None;
        }
        Some(Self { scratch, preverb, target })
    }

    /// The words and the environment of a run that asks for the last of `count` verbs.
    fn run_of(&self, count: usize) -> ([String; 2], [(&'static str, String); 5]) {
        let table = self.scratch.file("table.toml", 0o644, &table_of(count, &self.target)).unwrap();
        let words = [self.preverb.to_str().unwrap().to_owned(), format!("verb-{count}")];
        let env = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOSTNAME", "0f1e2d3c4b5a"),
            ("HOME", "/root"),
            ("LANG", "C.UTF-8"),
            ("PREVERB_TABLE", table.to_str().unwrap()),
        ];
        (words, env.map(|(name, value)| (name, value.to_owned())))
    }
}

#[test]
fn between_start_and_exec_there_are_few_system_calls() {
    let Some(stage) = Stage::set("system-calls", "strace", Symbols::Stripped) else { return };
    let (words, env) = stage.run_of(10);
    let calls = counts::system_calls(&words, &env, &stage.target, &stage.scratch.path("")).unwrap();
    let sum: usize = calls.values().sum();
    assert!(sum > 0, "strace saw nothing");
    assert!(sum <= CALLS, "{sum} system calls, and {CALLS} are allowed: {calls:?}");
}

#[test]
fn a_verb_that_is_not_asked_for_costs_few_instructions() {
    let Some(stage) = Stage::set("instructions", "valgrind", Symbols::Kept) else { return };
    for (count, most) in INSTRUCTIONS {
        let (words, env) = stage.run_of(count);
        let instructions = counts::instructions(&words, &env, &stage.scratch.path("")).unwrap();
        assert!(instructions > 1000, "callgrind saw nothing");
        assert!(
            instructions <= most,
            "{count} verbs took {instructions} instructions, and {most} are allowed"
        );
    }
}

#[test]
fn the_binary_is_small_and_static() {
    let Some(stage) = Stage::set("binary", "true", Symbols::Stripped) else { return };
    let size = fs::metadata(&stage.preverb).unwrap().len();
    assert!(size <= SIZE, "the binary has {size} bytes, and {SIZE} are allowed");
    let binary = fs::read(&stage.preverb).unwrap();
    // A program that needs a loader names it in a segment of type PT_INTERP; the path is what it cannot hide.
    assert!(binary.starts_with(b"\x7fELF"), "it is no ELF file");
    assert!(!segment_types(&binary).contains(&3), "it names an ELF loader, so it is not static");
}

/// The types of an ELF file's segments (64 bit, little endian, which all our targets are).
fn segment_types(elf: &[u8]) -> Vec<u32> {
    let at = |from: usize, len: usize| {
        elf[from..from + len].iter().rev().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (table, size, count) = (at(32, 8), at(54, 2), at(56, 2));
    (0..count).map(|index| u32::try_from(at(table + index * size, 4)).unwrap()).collect()
}
