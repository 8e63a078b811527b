//! Explains why execve(2) refuses a file: a missing interpreter, the kind of the file, or permissions. It
//! only reads what the kernel has read, and runs nothing.

#![expect(clippy::wildcard_enum_match_arm, reason = "the system's errors are an open list")]

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use super::format::{self, Elf, Shebang};
use crate::sys::entry::regular_file;
use crate::sys::identity::Credentials;
use crate::text::{Failure, Kind, bytes_of, escaped, path_of, quoted, quoted_path};
use crate::value::Variables;

/// Explains why the last word of a line is not what it looks like.
pub(crate) const ENDS_IN_CR: &str =
    "ends in a carriage return (CR), which is taken for a part of its last word";
pub(crate) const UNIX_LINE_ENDS: &str = "save the file with Unix line ends";
pub(crate) const NO_BOM: &str = "save the file as UTF-8 without BOM";
const OTHER_PLATFORM: &str = "the image, or the file in it, was built for another platform";
/// The maximum depth of interpreters of interpreters; the kernel has the same limit.
pub(crate) const DEEPEST: u32 = 5;
/// The longest interpreter in the 256 bytes of a `#!` line that the kernel reads (`BINPRM_BUF_SIZE`).
const LONGEST_INTERPRETER: usize = 253;
/// The first bytes of programs for Windows and macOS.
const OTHER_SYSTEMS: [&[u8]; 3] = [b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"];

pub(crate) fn diagnose(
    program: &OsStr, path: &Path, error: Errno, argv: &[OsString], variables: &Variables,
) -> Failure {
    let reason =
        if error == Errno::E2BIG { too_large(argv, variables) } else { reason(path, error, DEEPEST) };
    let failure = within(reason.kind(), &format!("cannot run {}", quoted_path(path)), reason)
        .field("program", escaped(program.as_bytes()))
        .field("file", escaped(bytes_of(path)));
    let what = format!("running {}", quoted(program.as_bytes()));
    if variables.hides(program) { failure.concealed(&what) } else { failure }
}

fn cannot(text: impl Into<String>) -> Failure {
    Failure::new(Kind::CannotRun, text)
}

fn missing(text: impl Into<String>) -> Failure {
    Failure::new(Kind::NotFound, text)
}

/// Wraps a failure in a sentence, and keeps its hint.
fn within(kind: Kind, what: &str, why: Failure) -> Failure {
    let (text, hint) = why.into_parts();
    let failure = Failure::new(kind, format!("{what}: {text}"));
    if let Some(hint) = hint { failure.hint(hint) } else { failure }
}

fn reason(path: &Path, error: Errno, depth: u32) -> Failure {
    cannot(match error {
        Errno::ENOENT | Errno::ENOTDIR => return not_there(path, error, depth),
        Errno::EACCES => return permission(path, depth),
        Errno::ENOEXEC => return no_format(path, depth),
        Errno::ENAMETOOLONG => return missing("its path is too long"),
        Errno::ELOOP if path.metadata().is_ok() => {
            "its interpreter is a script, whose interpreter is a script, and so on for too long"
        }
        Errno::ELOOP => "its path goes through too many symbolic links",
        Errno::ETXTBSY => "it is open for writing somewhere (text file busy)",
        Errno::EISDIR => "its interpreter is a directory",
        Errno::ELIBBAD => "its ELF loader is not a program for this machine",
        // setuid(2) cannot report this error any more, so execve(2) does.
        Errno::EAGAIN => {
            "there are too many processes for the limit `nproc` of its user, or for the container's limit"
        }
        Errno::EPERM => {
            "the kernel does not permit it (a security policy, a set-user-id program, or file capabilities \
             that the container does not have)"
        }
        Errno::EINVAL => "it is for another processor, or its header is damaged",
        other => return cannot(other.desc().to_lowercase()),
    })
}

fn not_there(path: &Path, error: Errno, depth: u32) -> Failure {
    match (path.metadata(), obstacle(path, DEEPEST)) {
        (Ok(metadata), _) if metadata.is_dir() => cannot("it is a directory"),
        // The file exists, so its interpreter or loader is missing.
        (Ok(_), _) => missing_interpreter(path, error, depth),
        (Err(_), _) if path.is_symlink() => {
            let target = std::fs::read_link(path).unwrap_or_default();
            missing(format!("it is a link to {}, which does not exist", quoted_path(&target)))
        }
        (Err(_), Some(part)) if !part.is_dir() => {
            missing(format!("a part of its path is not a directory: {}", quoted_path(&part)))
        }
        // It would be a file without the slash at its end.
        (Err(_), None) if error == Errno::ENOTDIR => {
            missing("its path ends in a slash, but it is not a directory")
        }
        (Err(_), _) => missing("it does not exist"),
    }
}

/// The first part of a path that is not a directory or cannot be entered. Links are followed.
fn obstacle(path: &Path, links: u32) -> Option<PathBuf> {
    let parts: Vec<&Path> = path.ancestors().collect();
    parts.into_iter().rev().map(|part| if part == "" { Path::new(".") } else { part }).find_map(|part| {
        let link = part.read_link().ok().filter(|_| links > 0);
        let real = link.map(|link| part.parent().unwrap_or(Path::new("")).join(link));
        let may_enter = |found: Metadata| found.is_dir() && access(part, AccessFlags::X_OK).is_ok();
        let is_passed = part == path || part.metadata().map_or(true, may_enter);
        let behind_link = real.and_then(|real| obstacle(&real, links - 1));
        behind_link.or_else(|| (!is_passed).then(|| part.to_owned()))
    })
}

/// The reason why a readable file would not run, as far as it shows without running it.
pub(crate) fn defect(path: &Path) -> Option<Failure> {
    // An unreadable file can still be executed.
    let head = head(path)?;
    let line = Shebang::of(&head);
    let has_no_format = match line {
        Some(line) => line.interpreter.is_empty() || line.interpreter.len() > LONGEST_INTERPRETER,
        None => Elf::parse(&head).is_none_or(|elf| !elf.runs) || format::foreign(&head).is_some(),
    };
    let runner = line.map(|line| line.interpreter.to_vec()).or_else(|| loader(path, &head));
    let refused = |error| Some(diagnose(path.as_os_str(), path, error, &[], &Variables::default()));
    if has_no_format {
        refused(Errno::ENOEXEC)
    } else if runner.is_some_and(|runner| !path_of(&runner).exists()) {
        refused(Errno::ENOENT)
    } else {
        // The kernel runs the interpreter, which then fails to find its argument.
        let sentence = format!("cannot run {}: its `#!` line {ENDS_IN_CR}", quoted_path(path));
        line.filter(|line| line.ends_in_cr()).map(|_| cannot(sentence).hint(UNIX_LINE_ENDS))
    }
}

fn loader(path: &Path, head: &[u8]) -> Option<Vec<u8>> {
    format::loader(&File::open(path).ok()?, head)
}

pub(crate) fn head(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    regular_file(path).ok()?.take(4096).read_to_end(&mut head).ok()?;
    Some(head)
}

/// Explains the `error` of a script by its interpreter.
fn interpreter(line: Shebang<'_>, error: Errno, depth: u32) -> Failure {
    let (name, path) = (line.interpreter, path_of(line.interpreter));
    let its = format!("its interpreter {}", quoted(name));
    let missing = cannot(format!("{its} does not exist"));
    if name.is_empty() {
        cannot("its `#!` line names no interpreter")
    } else if name.len() > LONGEST_INTERPRETER {
        cannot("its `#!` line is too long: the kernel reads only 256 bytes of it")
    } else if path.is_dir() {
        cannot(format!("{its} is a directory"))
    } else if error != Errno::EACCES && !path.exists() {
        if let Some(name) = name.strip_suffix(b"\r") {
            let named = if name.is_empty() { "nothing".to_owned() } else { quoted(name) };
            let is_read = "ends in a carriage return (CR), which is read as a part of it";
            cannot(format!("its `#!` line names {named} and {is_read}")).hint(UNIX_LINE_ENDS)
        } else if line.ends_in_cr() {
            missing.hint(format!("its `#!` line ends in a carriage return (CR), too: {UNIX_LINE_ENDS}"))
        } else if name.contains(&b'/') {
            missing
        } else {
            missing
                .hint("the kernel does not search PATH for an interpreter: write `#!/usr/bin/env` before it")
        }
    } else if depth == 0 {
        cannot(format!("{its} cannot be run"))
    } else {
        within(Kind::CannotRun, &format!("{its} cannot be run"), reason(path, error, depth - 1))
    }
}

fn missing_interpreter(path: &Path, error: Errno, depth: u32) -> Failure {
    let head = head(path).unwrap_or_default();
    if let Some(line) = Shebang::of(&head) {
        interpreter(line, error, depth)
    } else if let Some(foreign) = format::foreign(&head) {
        // An emulator is registered for it (binfmt_misc), but this image does not contain it.
        cannot(format!("{foreign}, and its emulator does not exist")).hint(OTHER_PLATFORM)
    } else if let Some(loader) = loader(path, &head) {
        let library = if loader.windows(4).any(|part| part == b"musl") { "musl" } else { "glibc" };
        cannot(format!("its ELF loader {} does not exist", quoted(&loader))).hint(format!(
            "it is linked for {library}: use an image with that C library, or link it statically"
        ))
    } else {
        cannot("something that it needs to run does not exist")
    }
}

fn no_format(path: &Path, depth: u32) -> Failure {
    let Some(head) = head(path) else {
        return cannot("it is not a program for this machine, and it cannot be read to find out why");
    };
    if let Some(line) = Shebang::of(&head) {
        interpreter(line, Errno::ENOEXEC, depth)
    } else if let Some(foreign) = format::foreign(&head) {
        cannot(foreign).hint(OTHER_PLATFORM)
    } else if Elf::parse(&head).is_some_and(|elf| !elf.runs) {
        cannot("it is an object file or a core dump, not a program")
    } else if head.starts_with(format::MAGIC) {
        cannot("it is a damaged binary")
    } else if head.is_empty() {
        cannot("it is empty")
    } else if OTHER_SYSTEMS.iter().any(|magic| head.starts_with(magic)) {
        cannot("it is a program for another operating system")
    } else if head.starts_with(b"\xef\xbb\xbf#!") {
        cannot("it begins with a byte order mark (BOM), which hides its `#!` line").hint(NO_BOM)
    } else {
        cannot("it has no `#!` line and is not a binary")
            .hint("a script begins with a line such as `#!/bin/sh`")
    }
}

fn rights(metadata: &Metadata) -> String {
    let Credentials { uid, gid } = Credentials::observe();
    let mode = metadata.mode() & 0o7777;
    format!("mode {mode:04o}, owner {}:{}, and this is uid {uid}, gid {gid}", metadata.uid(), metadata.gid())
}

fn permission(path: &Path, depth: u32) -> Failure {
    if let Some(directory) = obstacle(path, DEEPEST).filter(|part| part.is_dir()) {
        let rights = directory.metadata().map(|found| format!(": {}", rights(&found))).unwrap_or_default();
        return cannot(format!("permission denied: {} cannot be entered{rights}", quoted_path(&directory)));
    }
    let Ok(metadata) = path.metadata() else { return cannot("permission denied") };
    let (mode, mount) = (metadata.mode() & 0o7777, rustix::fs::statvfs(path));
    let head = if metadata.is_file() { head(path).unwrap_or_default() } else { Vec::new() };
    if metadata.is_dir() {
        cannot("it is a directory")
    } else if !metadata.is_file() {
        cannot("it is not a regular file")
    } else if mode & 0o111 == 0 {
        cannot(format!("it is not executable (mode {mode:04o})"))
            .hint("`chmod +x` it when the image is built")
    } else if mount.is_ok_and(|mount| mount.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC)) {
        cannot("its file system is mounted noexec")
    } else if access(path, AccessFlags::X_OK).is_err() {
        cannot(format!("permission denied: {}", rights(&metadata)))
    } else if let Some(line) = Shebang::of(&head) {
        interpreter(line, Errno::EACCES, depth)
    } else if let Some(loader) = loader(path, &head) {
        let why = permission(path_of(&loader), depth.saturating_sub(1));
        within(why.kind(), &format!("its ELF loader {} cannot be run", quoted(&loader)), why)
    } else {
        cannot("permission denied").hint("its mode permits it; a security policy (AppArmor, SELinux) may not")
    }
}

/// Names the strings that are too large for execve(2): one may have `MAX_ARG_STRLEN` bytes with its NUL, all
/// together a quarter of the limit `stack`, from 128 KiB to 6 MiB.
fn too_large(argv: &[OsString], variables: &Variables) -> Failure {
    let longest = 32 * rustix::param::page_size();
    let takes = format!("and the kernel accepts {} in one string", longest - 1);
    if let Some((number, word)) = argv.iter().enumerate().find(|(_, word)| word.len() + 1 > longest) {
        return cannot(format!("argument {number} is too large: {} bytes, {takes}", word.len()));
    }
    let largest = variables.longest().map(|(name, size)| (quoted(name), size));
    if let Some((name, size)) = largest.as_ref().filter(|(_, size)| *size > longest) {
        return cannot(format!("variable {name} is too large: {} bytes with its name, {takes}", size - 1));
    }
    let largest = largest.map(|(name, size)| format!(", the largest is {name} with {size}"));
    let stack = rustix::process::getrlimit(rustix::process::Resource::Stack).current;
    let most = stack.map_or(u64::MAX, |stack| stack / 4).clamp(131_072, 6 << 20);
    let words: usize = argv.iter().map(|word| word.len() + 1).sum();
    cannot(format!(
        "its arguments ({words} bytes) and variables ({} bytes{}) are too large together: the kernel takes \
         {most} with a pointer for each",
        variables.size(),
        largest.unwrap_or_default(),
    ))
}
