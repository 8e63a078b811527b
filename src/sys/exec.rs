//! Replacing this process, the last step: finding the program on the target's own `PATH`, and passing over
//! what execve(2) refuses as execvp(3) does. The only user of execve. Why it refused, `exec/diagnosis.rs`
//! finds out.

#![expect(clippy::wildcard_enum_match_arm, reason = "the system's errors are an open list")]

mod diagnosis;
mod elf;

use std::convert::Infallible;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::sys::child::Stop;
use crate::sys::signals::Signals;
use crate::text::escape::escaped;
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::quoted;
use crate::value::variables::Variables;
pub(crate) use diagnosis::{ENDS_IN_CR, NO_BOM, UNIX_LINE_ENDS, defect, diagnose};
pub(crate) use elf::loader;

/// Where programs are looked up when there is no `PATH`: what container engines set.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The files that `program` can mean, in order: itself where it has a slash, else one for each
/// directory of `PATH`; an empty part is the working directory (execvp(3)).
pub(crate) fn candidates(program: &OsStr, variables: &Variables) -> Vec<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return vec![PathBuf::from(program)];
    }
    // A directory of PATH and an empty name would be the directory.
    if program.is_empty() {
        return Vec::new();
    }
    let path = variables.get(b"PATH").map_or(DEFAULT_PATH, |found| found.value);
    path.split(|byte| *byte == b':')
        .map(|directory| {
            let directory = if directory.is_empty() { b"." } else { directory };
            Path::new(OsStr::from_bytes(directory)).join(program)
        })
        .collect()
}

/// The file that `program` means, if one of the candidates can be executed by this process.
pub(crate) fn find(program: &OsStr, variables: &Variables) -> Option<PathBuf> {
    candidates(program, variables).into_iter().find(|path| {
        path.metadata().is_ok_and(|metadata| metadata.is_file())
            && rustix::fs::access(path.as_path(), rustix::fs::Access::EXEC_OK).is_ok()
    })
}

/// The file that execvp(3) would start for `program`.
///
/// # Errors
/// Why it would start none.
pub(crate) fn locate(program: &OsStr, variables: &Variables) -> Result<PathBuf> {
    attempt(&[program.to_owned()], variables, |file, _, _| {
        let path = Path::new(OsStr::from_bytes(file.to_bytes()));
        let allowed = rustix::fs::access(path, rustix::fs::Access::EXEC_OK);
        allowed.map_err(|error| Errno::from_raw(error.raw_os_error()))?;
        if path.is_dir() { Err(Errno::EACCES) } else { Ok(path.to_owned()) }
    })
}

/// Replaces this process. Returns only the failure.
pub(crate) fn exec(argv: &[OsString], variables: &Variables) -> Failure {
    // A closure, because the function itself is for one lifetime of the variables only.
    #[expect(clippy::disallowed_methods, reason = "the one place that execs")]
    let Err(failure) = attempt(argv, variables, |path, argv, envp| nix::unistd::execve(path, argv, envp));
    failure
}

/// Replaces this process, which has handled `signals` until now: the last look for a request to stop, the
/// mask that it inherited and the exec are adjacent system calls. Returns only the failure; the signals are
/// handled again then.
pub(crate) fn exec_with(argv: &[OsString], variables: &Variables, signals: &mut Signals) -> Failure {
    let mut stop = None;
    // Nothing is unblocked for a directory of PATH that does not have the program.
    let is_looked_up = argv.first().is_some_and(|program| !program.as_bytes().contains(&b'/'));
    let attempted = attempt(argv, variables, |path, argv, envp| {
        if is_looked_up {
            rustix::fs::access(path, rustix::fs::Access::EXISTS)
                .map_err(|error| Errno::from_raw(error.raw_os_error()))?;
        }
        stop = signals.stop();
        if stop.is_some() {
            return Err(Errno::EINTR);
        }
        signals.restore();
        #[expect(clippy::disallowed_methods, reason = "the one place that execs")]
        let Err(error) = nix::unistd::execve(path, argv, envp);
        signals.block_again();
        Err(error)
    });
    let Err::<Infallible, _>(failure) = attempted;
    stop.map_or(failure, |number| Stop(number).failure("before the target started"))
}

/// Hands the files that `argv[0]` can mean to `start`, one after the other as execvp(3) does, until one is
/// not refused.
///
/// # Errors
/// Not found (127), or why the file that counts was refused (126).
pub(crate) fn attempt<T>(
    argv: &[OsString],
    variables: &Variables,
    mut start: impl FnMut(&CStr, &[CString], &[&CStr]) -> nix::Result<T>,
) -> Result<T> {
    let program = argv.first().map(OsString::as_os_str).unwrap_or_default();
    let words: Vec<CString> = match argv.iter().map(|word| CString::new(word.as_bytes())).collect() {
        Ok(words) => words,
        Err(_) => return Err(Failure::say(Kind::CannotRun, "a word of the target holds a NUL character")),
    };
    let envp = variables.to_envp();
    let by_path = program.as_bytes().contains(&b'/');
    let mut refused: Option<(PathBuf, Errno)> = None;
    let mut closed = Vec::new();
    for path in candidates(program, variables) {
        let Ok(file) = CString::new(path.as_os_str().as_bytes()) else { continue };
        let error = match start(&file, &words, &envp) {
            Ok(started) => return Ok(started),
            Err(error) => error,
        };
        match error {
            // What execvp(3) passes over; it remembers a permission that it lacked.
            Errno::ENOENT | Errno::ENOTDIR | Errno::ESTALE | Errno::ENODEV | Errno::ETIMEDOUT => {
                let meant = by_path || path.symlink_metadata().is_ok();
                if meant && refused.is_none() {
                    refused = Some((path, error));
                }
            }
            // A directory that cannot be entered: whether the program is there nobody can say. execvp(3)
            // would claim that it is; shells do not.
            Errno::EACCES if !by_path && path.symlink_metadata().is_err() => {
                closed.extend(path.parent().map(Path::to_owned));
            }
            Errno::EACCES => {
                if refused.as_ref().is_none_or(|(_, first)| *first != Errno::EACCES) {
                    refused = Some((path, error));
                }
            }
            // A directory whose name is too long holds nothing. The program's own name is the same
            // everywhere.
            Errno::ENAMETOOLONG if program.len() <= LONGEST_NAME => {}
            _ => return Err(diagnose(program, &path, error, argv, variables)),
        }
    }
    Err(match refused {
        Some((path, error)) => diagnose(program, &path, error, argv, variables),
        None if closed.is_empty() || variables.hides(program) => not_found(program, variables),
        None => {
            let list: Vec<String> = closed.iter().map(|path| quoted(path.as_os_str().as_bytes())).collect();
            let uid = crate::sys::identity::Myself::observe().uid;
            not_found(program, variables)
                .hint(format!("uid {uid} may not look into {} of that PATH", list.join(", ")))
        }
    })
}

/// The longest name of a file (`NAME_MAX`).
const LONGEST_NAME: usize = 255;

/// Replaces this process by this very file, with words of its own before those of `command`, which it is to
/// run in its turn. Returns only the failure.
pub(crate) fn exec_file(
    path: &Path,
    own: &[OsString],
    command: &[OsString],
    variables: &Variables,
) -> Failure {
    let words = own.iter().chain(command);
    let words: Vec<CString> = words.filter_map(|word| CString::new(word.as_bytes()).ok()).collect();
    let Ok(file) = CString::new(path.as_os_str().as_bytes()) else {
        return Failure::say(Kind::CannotRun, "the path of a program holds a NUL character");
    };
    #[expect(clippy::disallowed_methods, reason = "the one place that execs")]
    let Err(error) = nix::unistd::execve(&file, &words, &variables.to_envp());
    match command.first() {
        // What is too large is the command's.
        Some(program) if error == Errno::E2BIG => {
            diagnose(program, Path::new(program), error, command, variables)
        }
        _ => diagnose(path.as_os_str(), path, error, command, variables),
    }
}

/// The failure of a program that is nowhere.
pub(crate) fn not_found(program: &OsStr, variables: &Variables) -> Failure {
    let shown = quoted(program.as_bytes());
    let failure = |sentence: String| {
        Failure::say(Kind::NotFound, sentence).field("program", escaped(program.as_bytes()))
    };
    if program.as_bytes().contains(&b'/') {
        return failure(format!("cannot run {shown}: it does not exist"));
    }
    match variables.get(b"PATH") {
        Some(path) => failure(format!("cannot run {shown}: not found on PATH `{}`", path.shown())),
        None => failure(format!(
            "cannot run {shown}: not found; PATH is not set, so `{}` was searched",
            escaped(DEFAULT_PATH)
        )),
    }
}

/// A word as an argument, with a place for bytes that are no text.
pub(crate) fn word(bytes: Vec<u8>) -> OsString {
    OsString::from_vec(bytes)
}
