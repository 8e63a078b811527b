//! Replacing this process, the last step: finding the program on the target's own `PATH`, and when
//! execve(2) refuses, telling why in terms of the file. The only user of execve.

#![expect(clippy::wildcard_enum_match_arm, reason = "the system's errors are an open list")]

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::failure::{Failure, Kind, Result};
use crate::log::quoted;
use crate::variables::Variables;
use crate::words::escaped;

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

/// Replaces this process. Returns only the failure.
pub(crate) fn exec(argv: &[OsString], variables: &Variables) -> Failure {
    // A closure, because the function itself is for one lifetime of the variables only.
    #[expect(clippy::disallowed_methods, reason = "the one place that execs")]
    let Err(failure) = attempt(argv, variables, |path, argv, envp| nix::unistd::execve(path, argv, envp));
    failure
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
    let mut refused: Option<(PathBuf, Errno)> = None;
    for path in candidates(program, variables) {
        let Ok(file) = CString::new(path.as_os_str().as_bytes()) else { continue };
        let error = match start(&file, &words, &envp) {
            Ok(started) => return Ok(started),
            Err(error) => error,
        };
        match error {
            // What execvp(3) passes over; it remembers a permission that it lacked.
            Errno::ENOENT | Errno::ENOTDIR | Errno::ESTALE | Errno::ENODEV | Errno::ETIMEDOUT => {
                let exists = path.symlink_metadata().is_ok();
                if exists && refused.is_none() {
                    refused = Some((path, error));
                }
            }
            Errno::EACCES => {
                if refused.as_ref().is_none_or(|(_, first)| *first != Errno::EACCES) {
                    refused = Some((path, error));
                }
            }
            _ => return Err(diagnose(program, &path, error, argv, variables)),
        }
    }
    Err(match refused {
        Some((path, error)) => diagnose(program, &path, error, argv, variables),
        None => not_found(program, variables),
    })
}

/// Replaces this process by this very file. Returns only the failure.
pub(crate) fn exec_file(path: &Path, argv: &[OsString], variables: &Variables) -> Failure {
    let words: Vec<CString> = argv.iter().filter_map(|word| CString::new(word.as_bytes()).ok()).collect();
    let Ok(file) = CString::new(path.as_os_str().as_bytes()) else {
        return Failure::say(Kind::CannotRun, "the path of a program holds a NUL character");
    };
    #[expect(clippy::disallowed_methods, reason = "the one place that execs")]
    let Err(error) = nix::unistd::execve(&file, &words, &variables.to_envp());
    diagnose(path.as_os_str(), path, error, argv, variables)
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
        Some(path) => {
            let path = crate::expand::Expanded { bytes: path.value.to_vec(), secret: path.secret };
            failure(format!("cannot run {shown}: not found on PATH `{}`", path.shown()))
        }
        None => failure(format!(
            "cannot run {shown}: not found; PATH is not set, so `{}` was searched",
            escaped(DEFAULT_PATH)
        )),
    }
}

/// Why execve(2) refused `path`, in terms of the file.
pub(crate) fn diagnose(
    program: &OsStr,
    path: &Path,
    error: Errno,
    argv: &[OsString],
    variables: &Variables,
) -> Failure {
    let shown = quoted(path.as_os_str().as_bytes());
    let failure = |kind: Kind, reason: String| {
        Failure::say(kind, format!("cannot run {shown}: {reason}"))
            .field("program", escaped(program.as_bytes()))
            .field("file", escaped(path.as_os_str().as_bytes()))
    };
    let cannot = |reason: &str| failure(Kind::CannotRun, reason.to_owned());
    match error {
        Errno::ENOENT | Errno::ENOTDIR => match path.metadata() {
            Ok(metadata) if metadata.is_dir() => cannot("it is a directory"),
            // The file is there, so what is missing is what runs it.
            Ok(_) => missing_interpreter(path, &failure),
            Err(_) if path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()) => {
                let target = std::fs::read_link(path).unwrap_or_default();
                failure(
                    Kind::NotFound,
                    format!(
                        "it is a link to {}, which does not exist",
                        quoted(target.as_os_str().as_bytes())
                    ),
                )
            }
            Err(_) if error == Errno::ENOTDIR => {
                failure(Kind::NotFound, "a part of its path is no directory".to_owned())
            }
            Err(_) => failure(Kind::NotFound, "it does not exist".to_owned()),
        },
        Errno::EACCES => permission(path, &failure),
        Errno::ENOEXEC => no_format(path, &failure),
        Errno::E2BIG => too_large(argv, variables, &failure),
        Errno::ETXTBSY => cannot("it is open for writing somewhere (text file busy)"),
        Errno::ELOOP => cannot("its path goes through too many symbolic links"),
        Errno::ENAMETOOLONG => failure(Kind::NotFound, "its path is too long".to_owned()),
        Errno::EISDIR => cannot("its interpreter is a directory"),
        Errno::ENOMEM => cannot("there is not enough memory"),
        Errno::EPERM => cannot("the kernel does not permit it (a security policy, or a set-user-id program)"),
        Errno::EINVAL => cannot("it is for another processor, or its header is damaged"),
        other => failure(Kind::CannotRun, other.desc().to_lowercase()),
    }
}

/// Why execve(2) would refuse a file that is there and may be executed, as far as its content tells.
pub(crate) fn defect(path: &Path) -> Option<Failure> {
    // What cannot be read can be executed all the same.
    std::fs::File::open(path).ok()?;
    let head = head(path);
    let refused = |error| Some(diagnose(path.as_os_str(), path, error, &[], &Variables::default()));
    if let Some(line) = shebang(&head) {
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        return match words.next() {
            None => refused(Errno::ENOEXEC),
            Some(interpreter) if Path::new(OsStr::from_bytes(interpreter)).exists() => None,
            Some(_) => refused(Errno::ENOENT),
        };
    }
    let Some(elf) = Elf::parse(&head) else { return refused(Errno::ENOEXEC) };
    if elf.machine != here() {
        return refused(Errno::ENOEXEC);
    }
    let loader = elf_loader(path, &head)?;
    if Path::new(OsStr::from_bytes(&loader)).exists() { None } else { refused(Errno::ENOENT) }
}

/// The first line of a script without `#!`, or `None` for another file.
fn shebang(head: &[u8]) -> Option<&[u8]> {
    let line = head.strip_prefix(b"#!")?;
    Some(line.split(|byte| *byte == b'\n').next().unwrap_or_default())
}

fn head(path: &Path) -> Vec<u8> {
    let mut head = vec![0; 4096];
    let read = std::fs::File::open(path).and_then(|mut file| file.read(&mut head)).unwrap_or(0);
    head.truncate(read);
    head
}

fn missing_interpreter(path: &Path, failure: &dyn Fn(Kind, String) -> Failure) -> Failure {
    let head = head(path);
    if let Some(line) = shebang(&head) {
        let ends_in_return = line.ends_with(b"\r");
        let words = line.trim_ascii();
        let interpreter = words.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let shown = quoted(interpreter);
        if ends_in_return {
            return failure(
                Kind::CannotRun,
                format!("its `#!` line names {shown} and ends in a carriage return (CR), which is read as a part of it"),
            )
            .hint("save the file with Unix line ends");
        }
        return failure(Kind::CannotRun, format!("its interpreter {shown} does not exist"));
    }
    if let Some(loader) = elf_loader(path, &head) {
        let kind = if loader.windows(4).any(|part| part == b"musl") { "musl" } else { "glibc" };
        return failure(Kind::CannotRun, format!("its ELF loader {} does not exist", quoted(&loader))).hint(
            format!("it is linked for {kind}: use an image with that C library, or link it statically"),
        );
    }
    failure(Kind::CannotRun, "what is needed to run it does not exist".to_owned())
}

/// The program interpreter of an ELF file (elf(5), `PT_INTERP`).
fn elf_loader(path: &Path, head: &[u8]) -> Option<Vec<u8>> {
    let elf = Elf::parse(head)?;
    let file = std::fs::File::open(path).ok()?;
    let read = |offset: u64, length: usize| -> Option<Vec<u8>> {
        use std::os::unix::fs::FileExt as _;
        let mut bytes = vec![0; length.min(65_536)];
        file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    };
    for number in 0..u64::from(elf.headers) {
        let header =
            read(elf.header_offset.checked_add(number.checked_mul(u64::from(elf.header_size))?)?, 56)?;
        if elf.number(header.get(..4)?) != 3 {
            continue;
        }
        let (offset, size) = if elf.wide {
            (elf.number(header.get(8..16)?), elf.number(header.get(32..40)?))
        } else {
            (elf.number(header.get(4..8)?), elf.number(header.get(16..20)?))
        };
        let mut name = read(offset, usize::try_from(size).ok()?.min(4096))?;
        while name.last() == Some(&0) {
            name.pop();
        }
        return Some(name);
    }
    None
}

/// The header of an ELF file, as far as it is needed.
struct Elf {
    wide: bool,
    little: bool,
    machine: u16,
    header_offset: u64,
    header_size: u16,
    headers: u16,
}

impl Elf {
    fn parse(head: &[u8]) -> Option<Self> {
        let rest = head.strip_prefix(b"\x7fELF")?;
        let wide = *rest.first()? == 2;
        let little = *rest.get(1)? == 1;
        let mut elf = Self { wide, little, machine: 0, header_offset: 0, header_size: 0, headers: 0 };
        let short =
            |elf: &Self, at: usize| Some(u16::try_from(elf.number(head.get(at..at + 2)?)).unwrap_or(0));
        elf.machine = short(&elf, 18)?;
        if wide {
            elf.header_offset = elf.number(head.get(32..40)?);
            elf.header_size = short(&elf, 54)?;
            elf.headers = short(&elf, 56)?;
        } else {
            elf.header_offset = elf.number(head.get(28..32)?);
            elf.header_size = short(&elf, 42)?;
            elf.headers = short(&elf, 44)?;
        }
        Some(elf)
    }

    fn number(&self, bytes: &[u8]) -> u64 {
        let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.little { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) }
    }
}

/// The ELF machine number of this program.
fn here() -> u16 {
    match std::env::consts::ARCH {
        "x86_64" => 62,
        "aarch64" => 183,
        _ => 0,
    }
}

/// The name of an ELF machine number (elf.h), where it is one of those that images are built for.
fn machine_name(machine: u16) -> String {
    let name = match machine {
        3 => "i386",
        20 | 21 => "powerpc",
        22 => "s390x",
        40 => "arm",
        62 => "x86-64",
        183 => "aarch64",
        243 => "riscv",
        258 => "loongarch",
        other => return format!("ELF machine {other}"),
    };
    name.to_owned()
}

fn no_format(path: &Path, failure: &dyn Fn(Kind, String) -> Failure) -> Failure {
    let head = head(path);
    if let Some(elf) = Elf::parse(&head) {
        if elf.machine != here() {
            return failure(
                Kind::CannotRun,
                format!(
                    "it is a program for {}, and this is {}",
                    machine_name(elf.machine),
                    std::env::consts::ARCH
                ),
            )
            .hint("the image, or the file in it, was built for another platform");
        }
        return failure(Kind::CannotRun, "it is a damaged binary".to_owned());
    }
    if head.is_empty() {
        return failure(Kind::CannotRun, "it is empty".to_owned());
    }
    if let Some(line) = shebang(&head) {
        if line.trim_ascii().is_empty() {
            return failure(Kind::CannotRun, "its `#!` line names no interpreter".to_owned());
        }
        return failure(Kind::CannotRun, "its interpreter cannot be run".to_owned());
    }
    failure(Kind::CannotRun, "it has no `#!` line and is no binary".to_owned())
        .hint("a script begins with a line such as `#!/bin/sh`")
}

/// Which part of the path keeps this process from executing it.
fn permission(path: &Path, failure: &dyn Fn(Kind, String) -> Failure) -> Failure {
    let cannot = |reason: String| failure(Kind::CannotRun, reason);
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut parents: Vec<&Path> = absolute.ancestors().skip(1).collect();
    parents.reverse();
    for parent in parents {
        if rustix::fs::access(parent, rustix::fs::Access::EXEC_OK).is_err()
            && parent.symlink_metadata().is_ok()
        {
            return cannot(format!(
                "permission denied: {} cannot be entered",
                quoted(parent.as_os_str().as_bytes())
            ));
        }
    }
    let Ok(metadata) = path.metadata() else { return cannot("permission denied".to_owned()) };
    let file_type = metadata.file_type();
    if metadata.is_dir() {
        return cannot("it is a directory".to_owned());
    }
    if file_type.is_fifo()
        || file_type.is_socket()
        || file_type.is_char_device()
        || file_type.is_block_device()
    {
        return cannot("it is no regular file".to_owned());
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o111 == 0 {
        return cannot(format!("it is not executable (mode {mode:04o})"))
            .hint("`chmod +x` it when the image is built");
    }
    if rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_err() {
        // access(2) answers for the mount as well as for the mode.
        let myself = crate::identity::Myself::observe();
        let may = if myself.is_root() {
            true
        } else if metadata.uid() == myself.uid {
            mode & 0o100 != 0
        } else if metadata.gid() == myself.gid {
            mode & 0o010 != 0
        } else {
            mode & 0o001 != 0
        };
        if may {
            return cannot("its file system is mounted noexec".to_owned());
        }
        return cannot(format!(
            "permission denied: mode {mode:04o}, owner {}:{}, and this is uid {}, gid {}",
            metadata.uid(),
            metadata.gid(),
            myself.uid,
            myself.gid
        ));
    }
    if let Some(line) = shebang(&head(path)) {
        let interpreter = line.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default();
        return cannot(format!("its interpreter {} cannot be executed", quoted(interpreter)));
    }
    if let Some(loader) = elf_loader(path, &head(path)) {
        return cannot(format!("its ELF loader {} cannot be executed", quoted(&loader)));
    }
    cannot("permission denied".to_owned())
}

/// The longest string that execve(2) takes, `MAX_ARG_STRLEN`: 32 pages of 4096 bytes with the NUL.
const LONGEST_STRING: usize = 131_072;

fn too_large(argv: &[OsString], variables: &Variables, failure: &dyn Fn(Kind, String) -> Failure) -> Failure {
    let cannot = |reason: String| failure(Kind::CannotRun, reason);
    if let Some((number, word)) = argv.iter().enumerate().find(|(_, word)| word.len() + 1 > LONGEST_STRING) {
        return cannot(format!(
            "argument {number} is too large: {} bytes, and the kernel takes {} in one string",
            word.len(),
            LONGEST_STRING - 1
        ));
    }
    if let Some((name, size)) = variables.longest()
        && size > LONGEST_STRING
    {
        return cannot(format!(
            "variable {} is too large: {} bytes with its name, and the kernel takes {} in one string",
            quoted(name),
            size - 1,
            LONGEST_STRING - 1
        ));
    }
    let words: usize = argv.iter().map(|word| word.len() + 1).sum();
    let largest =
        variables.longest().map(|(name, size)| format!(", the largest is {} with {size}", quoted(name)));
    cannot(format!(
        "its arguments ({words} bytes) and variables ({} bytes{}) are too large together",
        variables.size(),
        largest.unwrap_or_default()
    ))
}

/// A word as an argument, with a place for bytes that are no text.
pub(crate) fn word(bytes: Vec<u8>) -> OsString {
    OsString::from_vec(bytes)
}
