//! Proves that a program is safe to run as root: only root can change the file, its path, its interpreters
//! and their paths.
//!
//! Every name in the path is in a directory that only root can change, so the kernel will find the same file
//! later. A name that another program would look up on `PATH` is looked up here instead.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result as Proved, anyhow, bail};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::sys::entry::{Entry, NONBLOCKING, Refusal, Walk};
use crate::sys::exec::{self, DEEPEST, Shebang};
use crate::text::{Failure, Kind, Result, path_of, quoted_path};
use crate::value::Variables;

/// The hint for a refusal.
pub(crate) const RULE: &str = "everything that root runs must belong to root and be writable by root alone: \
                               the file, each directory and link on the way to it, and its shell or \
                               interpreter";

/// The failure (exit code 77) of the step `who`, which would run or read a file that is not root's alone.
pub(crate) fn refused(who: &str, path: &Path, why: &anyhow::Error) -> Failure {
    let sentence = format!("{who} does not run {} as root: {why:#}", quoted_path(path));
    Failure::new(Kind::Identity, sentence).hint(RULE)
}

/// Finds the program of `argv` on the `PATH` of `variables`, and proves that it is root's alone. A failure of
/// another kind than `Identity` means that the program is missing. Returns the file to start and its argv.
pub(crate) fn program(
    who: &str, argv: &[OsString], variables: &Variables,
) -> Result<(PathBuf, Vec<OsString>)> {
    let file = exec::locate(exec::program_of(argv), variables)?;
    let refuse = |why| refused(who, &file, &why);
    let interpreted = interpreters(&file, variables, DEEPEST).map_err(refuse)?;
    let Some(mut words) = interpreted else { return Ok((file, argv.to_vec())) };
    let found = exec::locate(exec::program_of(&words), variables)?;
    interpreter(&found, variables, DEEPEST).map_err(refuse)?;
    words.push(file.into_os_string());
    words.extend(argv.iter().skip(1).cloned());
    Ok((found, words))
}

/// Proves a file that root or root's shell reads.
pub(crate) fn file(path: &Path) -> Proved<()> {
    entry(path).map(drop)
}

fn entry(path: &Path) -> Proved<Option<Entry>> {
    match Walk::new_root_only(path).and_then(Walk::entry) {
        Ok(entry) => Ok(Some(entry)),
        // Only root can create a file that is missing here. The code that needs it reports that.
        Err(Refusal::System(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => Ok(None),
        Err(refusal) => bail!("{refusal}"),
    }
}

/// Proves an interpreter. What its own `env` looks up is unknown.
fn interpreter(path: &Path, variables: &Variables, depth: u32) -> Proved<()> {
    let proved = interpreters(path, variables, depth);
    proved
        .and_then(|command| command.map_or(Ok(()), |_| closed_path(variables)))
        .with_context(|| format!("its interpreter {} is not safe for root to run", quoted_path(path)))
}

/// Proves a file and its interpreters. For a plain `#!/usr/bin/env X` it returns the arguments, because X
/// depends on `PATH`, which the caller checks.
fn interpreters(path: &Path, variables: &Variables, depth: u32) -> Proved<Option<Vec<OsString>>> {
    let Some(entry) = entry(path)? else { return Ok(None) };
    // Root cannot run a script that root cannot read.
    let Ok(file) = entry.open(NONBLOCKING | OFlags::NOFOLLOW, Mode::empty()) else { return Ok(None) };
    let file = File::from(file);
    let mut head = Vec::new();
    if depth == 0 || (&file).take(4096).read_to_end(&mut head).is_err() {
        return Ok(None);
    }
    let Some(Shebang { interpreter: name, argument: rest }) = Shebang::of(&head) else {
        let loader = exec::loader(&file, &head);
        return loader.map_or(Ok(()), |loader| interpreter(path_of(&loader), variables, 0)).map(|()| None);
    };
    interpreter(path_of(name), variables, depth - 1)?;
    if path_of(name).file_name() != Some(OsStr::new("env")) {
        return Ok(None);
    }
    match command_of_env(rest) {
        Some(words) => Ok(Some(words)),
        None if rest.windows(4).any(|part| part == b"PATH") => {
            bail!("its `#!` line sets another PATH for `env`")
        }
        None => closed_path(variables).map(|()| None),
    }
}

/// The program that a plain `#!/usr/bin/env X` of this file looks up on `PATH`.
pub(crate) fn program_of_env(path: &Path) -> Option<OsString> {
    let head = exec::head(path)?;
    let Shebang { interpreter, argument } = Shebang::of(&head)?;
    let is_env = path_of(interpreter).file_name() == Some(OsStr::new("env"));
    command_of_env(argument)?.into_iter().next().filter(|_| is_env)
}

/// The command of an `env` without options or variables, as in most scripts.
fn command_of_env(rest: &[u8]) -> Option<Vec<OsString>> {
    let (split, rest) = rest.strip_prefix(b"-S").map_or((false, rest), |rest| (true, rest.trim_ascii()));
    let words: Vec<&[u8]> = rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    let is_name = words.first().is_some_and(|word| !word.starts_with(b"-"));
    let is_plain = !rest.iter().any(|byte| b"='\"\\$#\r".contains(byte));
    (is_name && is_plain && (split || words.len() == 1))
        .then(|| words.into_iter().map(|word| OsStr::from_bytes(word).to_owned()).collect())
}

/// Proves every directory of `PATH`, for an `env` that does more than look up one name.
fn closed_path(variables: &Variables) -> Proved<()> {
    for path in exec::candidates(OsStr::new("env"), variables) {
        file(path.parent().unwrap_or(Path::new("/")))
            .map_err(|why| anyhow!("`env` looks up its interpreter on PATH, and {why:#}"))?;
    }
    Ok(())
}
