//! What root is about to run, proved to be root's alone: the file, its way, and whatever interprets it, with
//! its way.
//!
//! Every name on the way stands in a directory that nobody but root can change, so it still means the same
//! file when the kernel looks it up. A name that something else would look up on `PATH` is looked up here
//! instead.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::sys::entry::roots_alone;
use crate::sys::exec;
use crate::sys::shebang::Shebang;
use crate::sys::walk::Refusal;
use crate::text::failure::{Failure, Kind};
use crate::text::log::quoted;
use crate::value::variables::Variables;

/// What helps against a refusal.
pub(crate) const RULE: &str = "everything that root runs must belong to root and be writable by no one else: the file, \
                               each directory and link on the way to it, and its shell or interpreter";

/// How many interpreters of interpreters there can be: the kernel gives up after as many.
const DEEPEST: u32 = 5;

/// A program that root may run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// The file to start.
    pub(crate) file: PathBuf,
    /// What its argv begins with, in place of the first argument.
    pub(crate) first: Vec<OsString>,
}

impl Program {
    /// The arguments with which it is started instead of these.
    pub(crate) fn argv(&self, argv: &[OsString]) -> Vec<OsString> {
        self.first.iter().chain(argv.iter().skip(1)).cloned().collect()
    }
}

/// Why root does not run something.
#[derive(Debug)]
pub(crate) enum Refused {
    /// This is not root's alone, and why.
    Unsafe(PathBuf, String),
    /// It cannot be run at all.
    Missing(Failure),
}

impl Refused {
    /// The failure of `who`, a step or a hook.
    pub(crate) fn failure(self, who: &str) -> Failure {
        match self {
            Self::Missing(failure) => failure,
            Self::Unsafe(path, why) => {
                let shown = quoted(path.as_os_str().as_bytes());
                Failure::say(Kind::Identity, format!("{who} does not run {shown} as root: {why}")).hint(RULE)
            }
        }
    }
}

/// Finds the program of `argv` on the `PATH` of `variables`, and proves it to be root's alone.
///
/// # Errors
/// It is not, or there is no such program.
pub(crate) fn program(argv: &[OsString], variables: &Variables) -> Result<Program, Refused> {
    let name = argv.first().map(OsString::as_os_str).unwrap_or_default();
    let file = exec::locate(name, variables).map_err(Refused::Missing)?;
    let as_it_is = |file: PathBuf| Program { file, first: vec![name.to_owned()] };
    let interpreted = interpreters(&file, variables, DEEPEST);
    match interpreted.map_err(|why| Refused::Unsafe(file.clone(), why))? {
        None => Ok(as_it_is(file)),
        Some(mut words) => {
            let Some(name) = words.first().cloned() else { return Ok(as_it_is(file)) };
            let found = exec::locate(&name, variables).map_err(Refused::Missing)?;
            proved(&found, variables, DEEPEST)
                .map_err(|why| Refused::Unsafe(file.clone(), its_interpreter(&found, &why)))?;
            words.push(file.into_os_string());
            Ok(Program { file: found, first: words })
        }
    }
}

/// Proves a file that root reads, or has a shell read.
///
/// # Errors
/// Why it is not root's alone.
pub(crate) fn file(path: &Path) -> Result<(), String> {
    match roots_alone(path) {
        Ok(_) => Ok(()),
        Err(refusal) => settled(&refusal),
    }
}

/// What is not there, in directories of root's, can be put there by nobody else: whoever looks for it reports
/// it.
fn settled(refusal: &Refusal) -> Result<(), String> {
    if let Refusal::System(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) = refusal {
        return Ok(());
    }
    Err(refusal.to_string())
}

fn its_interpreter(path: &Path, why: &str) -> String {
    format!("its interpreter {} is not root's alone: {why}", quoted(path.as_os_str().as_bytes()))
}

/// Proves a program whose name is settled.
fn proved(path: &Path, variables: &Variables, depth: u32) -> Result<(), String> {
    match interpreters(path, variables, depth)? {
        None => Ok(()),
        Some(_) => closed_path(variables),
    }
}

/// Proves a file and what interprets it. Returns the arguments of a plain `#!/usr/bin/env X`: what X means
/// depends on `PATH`, and is for the caller to settle.
fn interpreters(path: &Path, variables: &Variables, depth: u32) -> Result<Option<Vec<OsString>>, String> {
    let entry = match roots_alone(path) {
        Ok(entry) => entry,
        Err(refusal) => return settled(&refusal).map(|()| None),
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    // What root cannot read is no script that root can run.
    let Ok(file) = entry.open(flags, Mode::empty()).map(File::from) else { return Ok(None) };
    let mut head = Vec::new();
    if depth == 0 || (&file).take(4096).read_to_end(&mut head).is_err() {
        return Ok(None);
    }
    if let Some(Shebang { interpreter, argument: rest }) = Shebang::of(&head) {
        let interpreter = Path::new(OsStr::from_bytes(interpreter));
        proved(interpreter, variables, depth - 1).map_err(|why| its_interpreter(interpreter, &why))?;
        if interpreter.file_name() != Some(OsStr::new("env")) {
            return Ok(None);
        }
        return match command_of_env(rest) {
            Some(words) => Ok(Some(words)),
            None if rest.windows(4).any(|part| part == b"PATH") => {
                Err("its `#!` line gives `env` another PATH".to_owned())
            }
            None => closed_path(variables).map(|()| None),
        };
    }
    if let Some(loader) = exec::loader(&file, &head) {
        let loader = Path::new(OsStr::from_bytes(&loader));
        proved(loader, variables, 0).map_err(|why| its_interpreter(loader, &why))?;
    }
    Ok(None)
}

/// The command of an `env` whose arguments are just that, as it is written in most scripts.
fn command_of_env(rest: &[u8]) -> Option<Vec<OsString>> {
    let is_plain = |word: &[u8]| !word.iter().any(|byte| b"='\"\\$#\r".contains(byte));
    let word = |word: &[u8]| OsStr::from_bytes(word).to_owned();
    let (split, rest) = match rest.strip_prefix(b"-S") {
        Some(rest) => (true, rest.trim_ascii()),
        None => (false, rest),
    };
    let words: Vec<&[u8]> = rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    let is_name = words.first().is_some_and(|word| !word.starts_with(b"-"));
    (is_name && (split || words.len() == 1) && is_plain(rest)).then(|| words.into_iter().map(word).collect())
}

/// Proves every directory of `PATH`, for an `env` that does more than to look up one name.
fn closed_path(variables: &Variables) -> Result<(), String> {
    for path in exec::candidates(OsStr::new("env"), variables) {
        file(path.parent().unwrap_or(Path::new("/")))
            .map_err(|why| format!("`env` looks up on PATH what its `#!` line names, and {why}"))?;
    }
    Ok(())
}
