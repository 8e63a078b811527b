//! The budgets that do not depend on the machine's load: binary size, system calls, instructions. `.ci/run`
//! checks them with `cargo test --bench budgets -- --ceilings`, which measures no time.
//!
//! A ceiling is a little above the value that was measured when it was set. A change that lowers a count
//! lowers its ceiling; a commit that raises one explains the cost.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::counts;
use crate::ground::{Scratch, Symbols, build_preverb, compile_c, table_of};

/// The system calls that the specification allows between start and exec at 10 verbs.
const CALLS: usize = 40;
/// The size that it allows for the binary, in bytes.
const SIZE: usize = 1_300_000;
/// Verbs in the table, and the instructions from start to exec. The steps show the cost of an unused verb,
/// so a table that is decoded completely is noticed.
const INSTRUCTIONS: [(usize, u64); 3] = [(10, 330_000), (100, 1_850_000), (1000, 19_000_000)];

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
    judge("uses of what is left out of it", uses_of_what_is_left_out(&preverb)?, 0);
    let readable = readable_by_valgrind(&preverb, &scratch)?;
    let run = |preverb: &Path, count: usize| -> Result<_> {
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
    let (words, env) = run(&preverb, 10)?;
    let calls = counts::system_calls(&words, &env, &target, &scratch.path(""))?;
    ensure!(!calls.is_empty(), "strace saw nothing");
    judge("system calls, 10 verbs", calls.values().sum(), CALLS);
    for (count, most) in INSTRUCTIONS {
        let (words, env) = run(&readable, count)?;
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
    ensure!(
        segments(&binary)?.iter().all(|segment| segment.kind != 3),
        "the binary names an ELF loader, so it is not static"
    );
    Ok(binary.len())
}

/// How often anything but a backtrace refers to the section that link/no-backtrace.ld keeps out of the file.
/// The compiler merges functions that are alike, so that one of these could stand for one that is called.
fn uses_of_what_is_left_out(preverb: &Path) -> Result<usize> {
    let disassembled = Command::new("objdump")
        .args(["-d", "--no-show-raw-insn"])
        .arg(preverb)
        .output()
        .context("starting objdump")?;
    ensure!(disassembled.status.success(), "objdump failed");
    let symbols = Command::new("nm").arg(preverb).output().context("starting nm")?;
    let symbols = String::from_utf8(symbols.stdout)?;
    let (from, to) = left_out(&fs::read(preverb)?)?;
    let starts: HashSet<usize> = symbols
        .lines()
        .filter_map(|line| usize::from_str_radix(line.split(' ').next()?, 16).ok())
        .filter(|address| (from..to).contains(address))
        .collect();
    ensure!(!starts.is_empty(), "the linker left nothing out: did the standard library rename it?");
    let mut function = String::new();
    let mut uses = 0;
    for line in String::from_utf8(disassembled.stdout)?.lines() {
        if let Some(name) = line.strip_suffix(">:").and_then(|line| line.split_once(" <")) {
            name.1.clone_into(&mut function);
        }
        // A call, a jump, or an address that is loaded.
        let operands = line.rsplit('\t').next().unwrap_or_default();
        let mut numbers = operands.split([' ', ',', '$', '(', ')']).map(|word| word.trim_start_matches("0x"));
        let refers = numbers.any(|word| usize::from_str_radix(word, 16).is_ok_and(|it| starts.contains(&it)));
        if refers && !BACKTRACE.iter().any(|part| function.contains(part)) {
            println!("{function}: {}", operands.trim());
            uses += 1;
        }
    }
    Ok(uses)
}

/// Parts of the names of the standard library's functions that print a backtrace.
const BACKTRACE: [&str; 5] = ["gimli", "addr2line", "backtrace", "rustc_demangle", "miniz_oxide"];

/// The addresses of the segment that has no bytes in the file.
fn left_out(elf: &[u8]) -> Result<(usize, usize)> {
    for segment in segments(elf)? {
        if segment.is_empty() {
            return Ok((segment.address, segment.address + segment.memory));
        }
    }
    bail!("the binary has no segment without bytes: link/no-backtrace.ld was not used")
}

/// A copy of the program without the segment that has no bytes: valgrind reads no symbols where there is one.
/// It keeps its name, because preverb does more under another one.
///
/// # Errors
/// When it is not a 64-bit little-endian ELF file, or cannot be copied.
pub(crate) fn readable_by_valgrind(program: &Path, scratch: &Scratch) -> Result<PathBuf> {
    let mut elf = fs::read(program)?;
    for segment in segments(&elf)? {
        if segment.is_empty() {
            // PT_NULL
            elf[segment.header..segment.header + 4].fill(0);
        }
    }
    let folder = scratch.path("readable");
    fs::create_dir(&folder)?;
    let readable = folder.join(program.file_name().context("the program has no name")?);
    fs::write(&readable, elf)?;
    fs::set_permissions(&readable, fs::Permissions::from_mode(0o755))?;
    Ok(readable)
}

/// A segment of an ELF file (64 bit, little endian); see elf(5).
struct Segment {
    header: usize,
    kind: usize,
    address: usize,
    file: usize,
    memory: usize,
}

impl Segment {
    fn is_empty(&self) -> bool {
        // PT_LOAD
        self.kind == 1 && self.file == 0 && self.memory > 0
    }
}

fn segments(elf: &[u8]) -> Result<Vec<Segment>> {
    let at = |from: usize, len: usize| {
        let bytes = elf.get(from..from + len).context("the binary's header ends early")?;
        Ok::<_, anyhow::Error>(bytes.iter().rev().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte)))
    };
    let (table, size, count) = (at(32, 8)?, at(54, 2)?, at(56, 2)?);
    let segment = |index: usize| {
        let header = table + index * size;
        Ok(Segment {
            header,
            kind: at(header, 4)?,
            address: at(header + 16, 8)?,
            file: at(header + 32, 8)?,
            memory: at(header + 40, 8)?,
        })
    };
    (0..count).map(segment).collect()
}
