//! Replaces this process: finds the program on the target's own `PATH`, and skips errors of execve(2) like
//! execvp(3) does. This is the only user of execve; `exec/diagnosis.rs` explains its errors.

#![expect(clippy::wildcard_enum_match_arm, reason = "the system's errors are an open list")]

mod diagnosis;
mod format;

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::NixPath as _;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access, execve};

use crate::sys::identity::Credentials;
use crate::sys::signals::Signals;
use crate::sys::spawn::Stop;
use crate::text::{Failure, Kind, Result, bytes_of, escaped, path_of, quoted, quoted_path, shown_value};
use crate::value::Variables;
pub(crate) use diagnosis::{DEEPEST, ENDS_IN_CR, NO_BOM, UNIX_LINE_ENDS, defect, diagnose, head};
pub(crate) use format::{Shebang, base, loader};

/// The directories that are searched if there is no `PATH`: the default of container engines.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const LONGEST_NAME: usize = 255;

pub(crate) fn program_of(argv: &[OsString]) -> &OsStr {
    argv.first().map(OsString::as_os_str).unwrap_or_default()
}

/// The files that `program` can mean, in order: the path itself if it has a slash, otherwise one for each
/// directory of `PATH`. An empty part is the working directory (execvp(3)).
pub(crate) fn candidates(program: &OsStr, variables: &Variables) -> Vec<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return vec![PathBuf::from(program)];
    }
    let path = variables.get(b"PATH").map_or(DEFAULT_PATH, |found| found.value);
    // A directory joined with an empty name would be the directory itself.
    let directories = path.split(|byte| *byte == b':').filter(|_| !program.is_empty());
    let directories = directories.map(|directory| if directory.is_empty() { b"." } else { directory });
    directories.map(|directory| path_of(directory).join(program)).collect()
}

/// The file that execvp(3) would start for `program`, or the error if there is none.
pub(crate) fn locate(program: &OsStr, variables: &Variables) -> Result<PathBuf> {
    attempt(&[program.to_owned()], variables, |file, _, _| {
        access(file, AccessFlags::X_OK)?;
        let path = path_of(file.to_bytes());
        if path.is_dir() { Err(Errno::EACCES) } else { Ok(path.to_owned()) }
    })
}

/// Replaces this process. If it handles signals, the restored mask and the exec are adjacent system calls.
/// Returns only on failure, with the signals handled again.
pub(crate) fn exec(argv: &[OsString], variables: &Variables, mut signals: Option<&mut Signals>) -> Failure {
    if let Some(signals) = &mut signals {
        signals.catch_a_late_stop();
    }
    let mut stop = None;
    let attempted = attempt(argv, variables, |path, argv, envp| {
        if let Some(signals) = &mut signals {
            stop = signals.stop();
            if stop.is_some() {
                return Err(Errno::EINTR);
            }
            signals.restore();
        }
        #[expect(clippy::disallowed_methods, reason = "the one place that execs")]
        let refused = execve(path, argv, envp);
        if let Some(signals) = &signals {
            signals.block_again();
        }
        refused
    });
    let Err(failure) = attempted;
    stop.map_or(failure, |number| Stop(number).failure("before the target started"))
}

/// Calls `start` for each file that `argv[0]` can mean, as execvp(3) does, until one succeeds. The failure is
/// `NotFound` (127), or explains why the relevant file was refused (126).
pub(crate) fn attempt<T>(
    argv: &[OsString], variables: &Variables,
    mut start: impl FnMut(&CStr, &[CString], &[&CStr]) -> nix::Result<T>,
) -> Result<T> {
    let program = program_of(argv);
    let nul = |_| Failure::new(Kind::CannotRun, "an argument of the target contains a NUL character");
    let words = argv.iter().map(|word| CString::new(word.as_bytes()).map_err(nul));
    let words = words.collect::<Result<Vec<_>>>()?;
    let envp = variables.to_envp();
    let by_path = program.as_bytes().contains(&b'/');
    let mut refused: Option<(PathBuf, Errno)> = None;
    let mut closed = Vec::new();
    for path in candidates(program, variables) {
        let Ok(file) = CString::new(bytes_of(&path)) else { continue };
        // If a directory of PATH does not have the program, no process is started and no signal is unblocked.
        let is_there = if by_path { Ok(()) } else { access(&*file, AccessFlags::F_OK) };
        let error = match is_there.and_then(|()| start(&file, &words, &envp)) {
            Ok(started) => return Ok(started),
            Err(error) => error,
        };
        let is_meant = || by_path || path.symlink_metadata().is_ok();
        match error {
            // A directory that cannot be searched may have the program. Like shells, this does not assume so.
            Errno::EACCES if !is_meant() => closed.extend(path.parent().map(quoted_path)),
            // execvp(3) skips these errors, but remembers a missing permission.
            Errno::EACCES if refused.as_ref().is_some_and(|(_, first)| *first == Errno::EACCES) => {}
            Errno::EACCES => refused = Some((path, error)),
            Errno::ENOENT | Errno::ENOTDIR | Errno::ESTALE | Errno::ENODEV | Errno::ETIMEDOUT => {
                if refused.is_none() && is_meant() {
                    refused = Some((path, error));
                }
            }
            // A directory with a name that is too long cannot have files.
            Errno::ENAMETOOLONG if program.len() <= LONGEST_NAME => {}
            _ => return Err(diagnose(program, &path, error, argv, variables)),
        }
    }
    if let Some((path, error)) = refused {
        return Err(diagnose(program, &path, error, argv, variables));
    }
    let (uid, directories) = (Credentials::observe().uid, closed.join(", "));
    let hint = format!("uid {uid} cannot search directory {directories} of that PATH");
    let failure = not_found(program, variables);
    Err(if closed.is_empty() || variables.hides(program) { failure } else { failure.hint(hint) })
}

/// Replaces this process by this file, with the arguments `own` before the `command` that it will run.
pub(crate) fn exec_file(
    path: &Path, own: &[OsString], command: &[OsString], variables: &Variables,
) -> Failure {
    let words = own.iter().chain(command);
    let words: Vec<CString> = words.filter_map(|word| CString::new(word.as_bytes()).ok()).collect();
    #[expect(clippy::disallowed_methods, reason = "the one place that execs")]
    let Err(error) = path.with_nix_path(|file| execve(file, &words, &variables.to_envp())).flatten();
    match command.first() {
        // The command is the part that is too large.
        Some(name) if error == Errno::E2BIG => diagnose(name, Path::new(name), error, command, variables),
        _ => diagnose(path.as_os_str(), path, error, command, variables),
    }
}

pub(crate) fn not_found(program: &OsStr, variables: &Variables) -> Failure {
    let shown = quoted(program.as_bytes());
    let why = match variables.get(b"PATH") {
        _ if program.as_bytes().contains(&b'/') => "it does not exist".to_owned(),
        Some(path) => format!("not found on PATH `{}`", shown_value(path.value, path.secret)),
        None => format!("not found; PATH is not set, so `{}` was searched", escaped(DEFAULT_PATH)),
    };
    Failure::new(Kind::NotFound, format!("cannot run {shown}: {why}"))
        .field("program", escaped(program.as_bytes()))
}
