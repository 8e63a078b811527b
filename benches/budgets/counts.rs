//! Costs that do not depend on the machine's load: system calls under strace, instructions under callgrind.
//! Knows only the output of the two tools.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::ground::find;

/// System calls by name.
pub(crate) type Calls = BTreeMap<String, usize>;

/// Runs `words` under strace and counts the system calls, of all processes, from the start of the first
/// program to the exec of `target`, both execs excluded.
///
/// # Errors
/// When strace cannot be started, or the target was never reached.
pub(crate) fn system_calls<S: AsRef<OsStr>>(
    words: &[S], env: &[(&str, String)], target: &Path, scratch: &Path,
) -> Result<Calls> {
    let log = scratch.join("strace.log");
    Command::new(find("strace").context("`strace` is not installed")?)
        .args(["-f", "-qq", "-s", "0", "-o"])
        .arg(&log)
        .arg("--")
        .args(words)
        .env_clear()
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("starting strace")?;
    calls_before(&String::from_utf8_lossy(&fs::read(&log).context("reading what strace wrote")?), target)
}

fn calls_before(log: &str, target: &Path) -> Result<Calls> {
    let exec_of_target = format!("execve(\"{}\"", target.display());
    let mut calls = Calls::new();
    for line in log.lines().skip(1) {
        let what = line.trim_start_matches(|sign: char| sign.is_ascii_digit()).trim_start();
        if what.starts_with(&exec_of_target) {
            return Ok(calls);
        }
        // `<... read resumed>`, `--- SIGCHLD {...} ---` and `+++ exited with 0 +++` are not calls.
        if let Some((name, _)) = what.split_once('(')
            && !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            *calls.entry(name.to_owned()).or_default() += 1;
        }
    }
    bail!("`{}` was never started", target.display())
}

/// Runs `words`, whose first program must carry symbols, under callgrind and returns the instructions that it
/// executes from its start to its `execve`. `env` is the whole environment, here as in `system_calls`.
///
/// # Errors
/// When valgrind cannot be started or left no total.
pub(crate) fn instructions<S: AsRef<OsStr>>(
    words: &[S], env: &[(&str, String)], scratch: &Path,
) -> Result<u64> {
    callgrind(words, env, scratch)?
        .lines()
        .find_map(|line| line.strip_prefix("summary: ").or_else(|| line.strip_prefix("totals: ")))
        .and_then(|total| total.trim().parse().ok())
        .context("callgrind wrote no total")
}

fn callgrind<S: AsRef<OsStr>>(words: &[S], env: &[(&str, String)], scratch: &Path) -> Result<String> {
    let out = scratch.join("callgrind.out");
    // The exec replaces valgrind with everything that it counted, so the counts are written as `execve` is
    // entered.
    let dumped = scratch.join("callgrind.out.1");
    fs::remove_file(&dumped).ok();
    let run = Command::new(find("valgrind").context("`valgrind` is not installed")?)
        .args(["--tool=callgrind", "--dump-before=execve"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .args(words)
        .env_clear()
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
        .context("starting valgrind")?;
    fs::read_to_string(&dumped).with_context(|| {
        let printed = String::from_utf8_lossy(&run.stderr);
        let last = printed.lines().rfind(|line| !line.starts_with("==")).unwrap_or("it printed nothing");
        format!("callgrind saw no `execve`: {last}")
    })
}
