//! Why execve(2) refuses a file, in terms of the file: what is missing, what kind of file it is, who may not
//! run it. It reads what the kernel has read, and runs nothing.

#![expect(clippy::wildcard_enum_match_arm, reason = "the system's errors are an open list")]

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::elf::{self, Elf};
use crate::sys::shebang::Shebang;
use crate::text::escape::escaped;
use crate::text::failure::{Failure, Kind};
use crate::text::log::quoted;
use crate::value::variables::Variables;

/// Why execve(2) refused `path`, in terms of the file.
pub(crate) fn diagnose(
    program: &OsStr,
    path: &Path,
    error: Errno,
    argv: &[OsString],
    variables: &Variables,
) -> Failure {
    let reason = match error {
        Errno::E2BIG => too_large(argv, variables),
        _ => reason(path, error, DEEPEST),
    };
    let sentence = format!("cannot run {}: {}", quoted(path.as_os_str().as_bytes()), reason.text);
    let failure = Failure::say(reason.kind, sentence)
        .field("program", escaped(program.as_bytes()))
        .field("file", escaped(path.as_os_str().as_bytes()));
    match reason.hint {
        _ if variables.hides(program) => {
            failure.concealed(&format!("running {}", quoted(program.as_bytes())))
        }
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Why a file cannot be run.
struct Reason {
    kind: Kind,
    text: String,
    hint: Option<String>,
}

impl Reason {
    /// It is there, and cannot be run.
    fn cannot(text: impl Into<String>) -> Self {
        Self { kind: Kind::CannotRun, text: text.into(), hint: None }
    }

    /// It is not there.
    fn missing(text: impl Into<String>) -> Self {
        Self { kind: Kind::NotFound, text: text.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// How many interpreters of interpreters are looked at: the kernel gives up after as many.
const DEEPEST: u32 = 5;

fn reason(path: &Path, error: Errno, depth: u32) -> Reason {
    match error {
        Errno::ENOENT | Errno::ENOTDIR => match path.metadata() {
            Ok(metadata) if metadata.is_dir() => Reason::cannot("it is a directory"),
            // The file is there, so what is missing is what runs it.
            Ok(_) => missing_interpreter(path, error, depth),
            Err(_) if path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()) => {
                let target = std::fs::read_link(path).unwrap_or_default();
                let target = quoted(target.as_os_str().as_bytes());
                Reason::missing(format!("it is a link to {target}, which does not exist"))
            }
            Err(_) => match obstacle(path) {
                Some(Obstacle::NoDirectory(part)) => Reason::missing(format!(
                    "a part of its path is no directory: {}",
                    quoted(part.as_os_str().as_bytes())
                )),
                // What is a file without the slash behind it.
                None if error == Errno::ENOTDIR => Reason::missing("it is no directory, and ends in a slash"),
                Some(Obstacle::Missing | Obstacle::Closed(_) | Obstacle::Loop) | None => {
                    Reason::missing("it does not exist")
                }
            },
        },
        Errno::EACCES => permission(path, depth),
        Errno::ENOEXEC => no_format(path, depth),
        Errno::ELOOP if path.metadata().is_ok() => Reason::cannot(
            "its interpreter is a script, whose interpreter is a script, and so on for too long",
        ),
        Errno::ELOOP => Reason::cannot("its path goes through too many symbolic links"),
        Errno::ETXTBSY => Reason::cannot("it is open for writing somewhere (text file busy)"),
        Errno::ENAMETOOLONG => Reason::missing("its path is too long"),
        Errno::EISDIR => Reason::cannot("its interpreter is a directory"),
        Errno::ELIBBAD => match loader(path, &head(path).unwrap_or_default()) {
            Some(loader) => {
                Reason::cannot(format!("its ELF loader {} is no program for this machine", quoted(&loader)))
            }
            None => Reason::cannot("its interpreter is no program for this machine"),
        },
        Errno::ENOMEM => Reason::cannot("there is not enough memory"),
        // setuid(2) cannot refuse for this any more, so execve(2) does it.
        Errno::EAGAIN => Reason::cannot("its user has more processes than the limit `nproc` allows"),
        Errno::EPERM => {
            Reason::cannot("the kernel does not permit it (a security policy, or a set-user-id program)")
        }
        Errno::EINVAL => Reason::cannot("it is for another processor, or its header is damaged"),
        other => Reason::cannot(other.desc().to_lowercase()),
    }
}

/// What is in the way of a path.
enum Obstacle {
    /// A part, maybe the last, is not there.
    Missing,
    /// This part is no directory, and more follows.
    NoDirectory(PathBuf),
    /// This directory cannot be entered.
    Closed(PathBuf),
    /// There are more links than the kernel follows.
    Loop,
}

/// The first part of a path that cannot be passed; links are followed as the kernel does it, so that the part
/// is named where it really lies.
fn obstacle(path: &Path) -> Option<Obstacle> {
    let names = |path: &Path| -> Vec<OsString> {
        path.components().rev().map(|part| part.as_os_str().to_owned()).collect()
    };
    let mut left = names(path);
    let mut at = PathBuf::new();
    let mut links = 0;
    while let Some(name) = left.pop() {
        if name == "/" {
            at = PathBuf::from("/");
            continue;
        }
        let directory = if at.as_os_str().is_empty() { Path::new(".") } else { &at };
        match directory.metadata() {
            Ok(metadata) if !metadata.is_dir() => return Some(Obstacle::NoDirectory(directory.to_owned())),
            _ => {}
        }
        if rustix::fs::access(directory, rustix::fs::Access::EXEC_OK).is_err() {
            return Some(Obstacle::Closed(directory.to_owned()));
        }
        let next = at.join(&name);
        match next.symlink_metadata() {
            Err(_) => return Some(Obstacle::Missing),
            Ok(metadata) if metadata.is_symlink() => {
                links += 1;
                if links > MOST_LINKS {
                    return Some(Obstacle::Loop);
                }
                left.extend(names(&std::fs::read_link(&next).unwrap_or_default()));
            }
            Ok(_) => at = next,
        }
    }
    None
}

/// How many links a path may lead through (`path_resolution(7)`).
const MOST_LINKS: u32 = 40;

/// Why execve(2) would refuse a file that is there and may be executed, as far as its content tells.
pub(crate) fn defect(path: &Path) -> Option<Failure> {
    // What cannot be read can be executed all the same.
    let head = head(path)?;
    let refused = |error| Some(diagnose(path.as_os_str(), path, error, &[], &Variables::default()));
    if let Some(line) = Shebang::of(&head) {
        return match Path::new(OsStr::from_bytes(line.interpreter)) {
            _ if line.interpreter.is_empty() => refused(Errno::ENOEXEC),
            interpreter if !interpreter.exists() => refused(Errno::ENOENT),
            // The kernel runs the interpreter, which then looks for what is not there.
            _ if line.ends_in_cr() => {
                let shown = quoted(path.as_os_str().as_bytes());
                let failure =
                    Failure::say(Kind::CannotRun, format!("cannot run {shown}: its `#!` line {ENDS_IN_CR}"));
                Some(failure.hint(UNIX_LINE_ENDS))
            }
            _ => None,
        };
    }
    if Elf::parse(&head).is_none_or(|elf| !elf.runs) || elf::foreign(&head).is_some() {
        return refused(Errno::ENOEXEC);
    }
    let loader = loader(path, &head)?;
    if Path::new(OsStr::from_bytes(&loader)).exists() { None } else { refused(Errno::ENOENT) }
}

/// What loads the ELF file at this path, if something does.
fn loader(path: &Path, head: &[u8]) -> Option<Vec<u8>> {
    elf::loader(&std::fs::File::open(path).ok()?, head)
}

/// The beginning of a file; `None` where it cannot be read.
fn head(path: &Path) -> Option<Vec<u8>> {
    let mut head = vec![0; 4096];
    let read = std::fs::File::open(path).and_then(|mut file| file.read(&mut head)).ok()?;
    head.truncate(read);
    Some(head)
}

/// Why the interpreter of a script cannot be run.
fn interpreter(name: &[u8], error: Errno, depth: u32) -> Reason {
    if name.is_empty() {
        return Reason::cannot("its `#!` line names no interpreter");
    }
    let shown = quoted(name);
    let path = Path::new(OsStr::from_bytes(name));
    if path.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Reason::cannot(format!("its interpreter {shown} is a directory"));
    }
    if depth == 0 {
        return Reason::cannot(format!("its interpreter {shown} cannot be run"));
    }
    let why = reason(path, error, depth - 1);
    Reason {
        kind: Kind::CannotRun,
        text: format!("its interpreter {shown} cannot be run: {}", why.text),
        hint: why.hint,
    }
}

/// What is wrong with a line whose last word is another one than it looks.
pub(crate) const ENDS_IN_CR: &str =
    "ends in a carriage return (CR), which is taken for a part of its last word";
/// What helps against a carriage return.
pub(crate) const UNIX_LINE_ENDS: &str = "save the file with Unix line ends";
/// What helps against a byte order mark.
pub(crate) const NO_BOM: &str = "save the file as UTF-8 without BOM";

fn missing_interpreter(path: &Path, error: Errno, depth: u32) -> Reason {
    let head = head(path).unwrap_or_default();
    if let Some(Shebang { interpreter: name, .. }) = Shebang::of(&head) {
        if Path::new(OsStr::from_bytes(name)).metadata().is_ok() {
            return interpreter(name, error, depth);
        }
        if let Some(name) = name.strip_suffix(b"\r") {
            let named = if name.is_empty() { "nothing".to_owned() } else { quoted(name) };
            return Reason::cannot(format!(
                "its `#!` line names {named} and ends in a carriage return (CR), which is read as a part of it"
            ))
            .hint(UNIX_LINE_ENDS);
        }
        let reason = Reason::cannot(format!("its interpreter {} does not exist", quoted(name)));
        let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        return if line.ends_with(b"\r") {
            reason.hint(format!("its `#!` line ends in a carriage return (CR), too: {UNIX_LINE_ENDS}"))
        } else if name.contains(&b'/') {
            reason
        } else {
            reason.hint("the kernel looks no interpreter up on the PATH: write `#!/usr/bin/env` before it")
        };
    }
    if let Some(foreign) = elf::foreign(&head) {
        // An emulator is registered for it (binfmt_misc), and not in this image.
        return Reason::cannot(format!("{foreign}, and what would emulate it does not exist"))
            .hint("the image, or the file in it, was built for another platform");
    }
    if let Some(loader) = loader(path, &head) {
        let kind = if loader.windows(4).any(|part| part == b"musl") { "musl" } else { "glibc" };
        return Reason::cannot(format!("its ELF loader {} does not exist", quoted(&loader))).hint(format!(
            "it is linked for {kind}: use an image with that C library, or link it statically"
        ));
    }
    Reason::cannot("what is needed to run it does not exist")
}

fn no_format(path: &Path, depth: u32) -> Reason {
    let Some(head) = head(path) else {
        return Reason::cannot("it is no program for this machine, and cannot be read to see what it is");
    };
    if let Some(foreign) = elf::foreign(&head) {
        return Reason::cannot(foreign).hint("the image, or the file in it, was built for another platform");
    }
    if head.starts_with(elf::MAGIC) {
        return Reason::cannot(if Elf::parse(&head).is_some_and(|elf| !elf.runs) {
            "it is an object file or a core, and no program"
        } else {
            "it is a damaged binary"
        });
    }
    if head.is_empty() {
        return Reason::cannot("it is empty");
    }
    if let Some(Shebang { interpreter: name, .. }) = Shebang::of(&head) {
        return interpreter(name, Errno::ENOEXEC, depth);
    }
    if head.starts_with(b"MZ")
        || head.starts_with(b"\xcf\xfa\xed\xfe")
        || head.starts_with(b"\xca\xfe\xba\xbe")
    {
        return Reason::cannot("it is a program for another operating system");
    }
    if head.starts_with(b"\xef\xbb\xbf#!") {
        return Reason::cannot("it begins with a byte order mark (BOM), which hides its `#!` line")
            .hint(NO_BOM);
    }
    Reason::cannot("it has no `#!` line and is no binary")
        .hint("a script begins with a line such as `#!/bin/sh`")
}

/// Mode and owner, and who this process is.
fn rights(metadata: &std::fs::Metadata) -> String {
    let myself = crate::sys::identity::Myself::observe();
    format!(
        "mode {:04o}, owner {}:{}, and this is uid {}, gid {}",
        metadata.mode() & 0o7777,
        metadata.uid(),
        metadata.gid(),
        myself.uid,
        myself.gid
    )
}

/// Which part of the path keeps this process from executing it.
fn permission(path: &Path, depth: u32) -> Reason {
    match obstacle(path) {
        Some(Obstacle::Closed(directory)) => {
            let shown = quoted(directory.as_os_str().as_bytes());
            let rights =
                directory.metadata().map(|metadata| format!(": {}", rights(&metadata))).unwrap_or_default();
            return Reason::cannot(format!("permission denied: {shown} cannot be entered{rights}"));
        }
        Some(Obstacle::Missing | Obstacle::NoDirectory(_) | Obstacle::Loop) | None => {}
    }
    let Ok(metadata) = path.metadata() else { return Reason::cannot("permission denied") };
    let file_type = metadata.file_type();
    if metadata.is_dir() {
        return Reason::cannot("it is a directory");
    }
    if file_type.is_fifo()
        || file_type.is_socket()
        || file_type.is_char_device()
        || file_type.is_block_device()
    {
        return Reason::cannot("it is no regular file");
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o111 == 0 {
        return Reason::cannot(format!("it is not executable (mode {mode:04o})"))
            .hint("`chmod +x` it when the image is built");
    }
    let mount = rustix::fs::statvfs(path);
    if mount.is_ok_and(|mount| mount.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC)) {
        return Reason::cannot("its file system is mounted noexec");
    }
    if rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_err() {
        return Reason::cannot(format!("permission denied: {}", rights(&metadata)));
    }
    let head = head(path).unwrap_or_default();
    if let Some(Shebang { interpreter: name, .. }) = Shebang::of(&head) {
        return interpreter(name, Errno::EACCES, depth);
    }
    if let Some(loader) = loader(path, &head) {
        let why = permission(Path::new(OsStr::from_bytes(&loader)), depth.saturating_sub(1));
        return Reason {
            text: format!("its ELF loader {} cannot be run: {}", quoted(&loader), why.text),
            ..why
        };
    }
    Reason::cannot("permission denied")
        .hint("its mode permits it; a security policy (AppArmor, SELinux) may not")
}

/// The longest string that execve(2) takes, with its NUL (`MAX_ARG_STRLEN`).
fn longest_string() -> usize {
    32 * rustix::param::page_size()
}

/// What execve(2) takes in all: a quarter of the limit `stack`, at least 128 KiB and at most 6 MiB
/// (execve(2)).
fn largest_whole() -> u64 {
    let stack = rustix::process::getrlimit(rustix::process::Resource::Stack).current;
    stack.map_or(u64::MAX, |stack| stack / 4).clamp(131_072, 6 << 20)
}

fn too_large(argv: &[OsString], variables: &Variables) -> Reason {
    let longest = longest_string();
    if let Some((number, word)) = argv.iter().enumerate().find(|(_, word)| word.len() + 1 > longest) {
        return Reason::cannot(format!(
            "argument {number} is too large: {} bytes, and the kernel takes {} in one string",
            word.len(),
            longest - 1
        ));
    }
    if let Some((name, size)) = variables.longest()
        && size > longest
    {
        return Reason::cannot(format!(
            "variable {} is too large: {} bytes with its name, and the kernel takes {} in one string",
            quoted(name),
            size - 1,
            longest - 1
        ));
    }
    let words: usize = argv.iter().map(|word| word.len() + 1).sum();
    let largest =
        variables.longest().map(|(name, size)| format!(", the largest is {} with {size}", quoted(name)));
    Reason::cannot(format!(
        "its arguments ({words} bytes) and variables ({} bytes{}) are too large together: the kernel takes {} with a \
         pointer for each",
        variables.size(),
        largest.unwrap_or_default(),
        largest_whole()
    ))
}
