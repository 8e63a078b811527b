//! The world as facts: what this process inherited, the files of secrets, the files of hook directories.
//! It only reads.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::child::Stop;
use crate::expand::{Expanded, MASK};
use crate::failure::Failure;
use crate::log::quoted;
use crate::signals::Signals;
use crate::table::Declaration;
use crate::table::file::reason;
use crate::variables::{self, Variables};

/// The environment that this process inherited, whole.
pub(crate) fn environment() -> Variables {
    // The C library's list, which Rust reads, has lost nothing, but Rust passes over entries without `=`.
    match read_file(Path::new("/proc/self/environ"), 4000) {
        Ok(bytes) if !bytes.is_empty() => Variables::from_block(bytes),
        Ok(_) | Err(_) => variables::from_runtime(),
    }
}

/// Reads a file whole, with as few system calls as that takes: `likely` is how large it may well be.
pub(crate) fn read_file(path: &Path, likely: usize) -> std::io::Result<Vec<u8>> {
    read(path, OFlags::empty(), likely, usize::MAX, &mut |_| Ok(()))
}

/// The same for a file that may have nothing yet, a pipe or a terminal: requests to stop are heeded while it has
/// not. What is larger than `most` is refused.
///
/// # Errors
/// The request to stop.
pub(crate) fn read_heeding(
    path: &Path,
    most: usize,
    signals: &mut Signals,
) -> Result<std::io::Result<Vec<u8>>, Stop> {
    let mut stop = None;
    let content = read(path, OFlags::NONBLOCK | OFlags::NOCTTY, 4000, most, &mut |file| {
        stop = signals.wait_for(file);
        if stop.is_some() { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    });
    stop.map_or(Ok(content), |number| Err(Stop(number)))
}

/// The same for what can be read at once, and is no larger than `most`.
pub(crate) fn read_at_once(path: &Path, most: usize) -> std::io::Result<Vec<u8>> {
    // An empty file has nothing either, and has nothing again when it is asked once more.
    let mut asked = false;
    read(path, OFlags::NONBLOCK | OFlags::NOCTTY, 4096, most, &mut |_| {
        if std::mem::replace(&mut asked, true) { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
    })
}

/// Reads a file; `until_ready` is called where it has nothing. A pipe that nobody has opened for writing yet looks
/// as if it were at its end, so only the second end is believed.
fn read(
    path: &Path,
    flags: OFlags,
    likely: usize,
    most: usize,
    until_ready: &mut dyn FnMut(BorrowedFd<'_>) -> std::io::Result<()>,
) -> std::io::Result<Vec<u8>> {
    use rustix::io::Errno;
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | flags, Mode::empty())?;
    let mut bytes = Vec::with_capacity(likely);
    let mut waited = false;
    loop {
        // A full buffer says nothing of what is left, one that is not full ends in the next call.
        match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) if waited || !bytes.is_empty() => return Ok(bytes),
            Ok(0) | Err(Errno::AGAIN) => {
                until_ready(file.as_fd())?;
                waited = true;
            }
            Ok(_) | Err(Errno::INTR) => {
                if bytes.len() > most {
                    return Err(Errno::FBIG.into());
                }
                if bytes.len() == bytes.capacity() {
                    bytes.reserve(bytes.len());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The path of this very program, for starting it again: in a form that nobody else would write, so that a part of
/// it is told by its `argv[0]` and takes no word from a verb.
pub(crate) fn program() -> PathBuf {
    let path = std::fs::read_link("/proc/self/exe").unwrap_or_else(|_| {
        // Without /proc the kernel's auxiliary vector still has the path that was given to execve(2).
        let path = OsStr::from_bytes(rustix::param::linux_execfn().to_bytes());
        std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path))
    });
    match (path.parent(), path.file_name()) {
        (Some(directory), Some(name)) => directory.join(".").join(name),
        _ => path,
    }
}

/// Whether this `argv[0]` is one by which preverb starts its parts.
pub(crate) fn is_part(name: &[u8]) -> bool {
    let base = name.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    name[..base].ends_with(b"/./")
}

/// The value of a secret that is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretFile {
    /// The variable.
    pub(crate) name: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// Whether the variable `NAME_FILE` named it.
    pub(crate) named: bool,
    /// Its content without trailing newlines, or why it could not be read.
    pub(crate) content: Result<Vec<u8>, String>,
}

/// Where engines put secrets.
const SECRETS: &str = "/run/secrets";

/// Reads the files of the secrets among `declarations` that the environment does not give itself.
///
/// # Errors
/// The request to stop.
pub(crate) fn secret_files(
    declarations: &[Declaration],
    variables: &Variables,
    signals: &mut Signals,
) -> crate::failure::Result<Vec<SecretFile>> {
    let mut files = Vec::new();
    for declaration in declarations.iter().filter(|declaration| declaration.is_secret()) {
        let name = &declaration.name;
        let file_variable = format!("{name}_FILE");
        let named = variables.non_empty(file_variable.as_bytes());
        if let Some(path) = named {
            let path = PathBuf::from(OsStr::from_bytes(path));
            let content = secret(&path, signals)?.map_err(|error| reason(&error)).and_then(trimmed);
            files.push(SecretFile { name: name.clone(), path, named: true, content });
            continue;
        }
        if variables.non_empty(name.as_bytes()).is_some() {
            continue;
        }
        for file in [name.clone(), name.to_lowercase()] {
            let path = Path::new(SECRETS).join(file);
            match secret(&path, signals)? {
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                content => {
                    let content = content.map_err(|error| reason(&error)).and_then(trimmed);
                    files.push(SecretFile { name: name.clone(), path, named: false, content });
                    break;
                }
            }
        }
    }
    Ok(files)
}

/// The most that a secret can be: a variable is one string of an exec.
const LONGEST_SECRET: usize = 1 << 20;

fn secret(path: &Path, signals: &mut Signals) -> crate::failure::Result<std::io::Result<Vec<u8>>> {
    read_heeding(path, LONGEST_SECRET, signals).map_err(|stop: Stop| -> Failure {
        stop.failure(&format!("while it read the secret in {}", quoted(path.as_os_str().as_bytes())))
    })
}

fn trimmed(mut content: Vec<u8>) -> Result<Vec<u8>, String> {
    while content.last() == Some(&b'\n') {
        content.pop();
        if content.last() == Some(&b'\r') {
            content.pop();
        }
    }
    if content.contains(&0) {
        return Err("it holds a NUL character, which no variable can".to_owned());
    }
    Ok(content)
}

/// A file that a `hooks` step comes upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HookFile {
    /// Its path, as it was named: the directory's and its own name.
    pub(crate) path: PathBuf,
    /// What is done with it.
    pub(crate) how: How,
}

/// What is done with a file of hooks: the first rule that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum How {
    /// Sourced by a shell, with these options.
    Source {
        /// The shell, as it is to be looked up.
        shell: OsString,
        /// The options of the `#!` line.
        options: Vec<OsString>,
    },
    /// Run by itself.
    Run,
    /// Run by an interpreter, whose argv this is without the path.
    Interpret(Vec<String>),
    /// Passed over, and why.
    Skip(String),
    /// A directory where a file should be.
    MistypedMount,
}

impl HookFile {
    /// Its name for messages.
    pub(crate) fn name(&self) -> String {
        crate::words::escaped(self.path.file_name().unwrap_or(self.path.as_os_str()).as_bytes())
    }

    /// Whether it is itself what was named, by a path that is a secret; a file in a directory has a name of its own.
    pub(crate) fn is_secret(&self, named: &Expanded) -> bool {
        named.secret && self.path.as_os_str().as_bytes() == named.bytes
    }

    /// Its path for messages.
    pub(crate) fn shown(&self, named: &Expanded) -> String {
        if self.is_secret(named) {
            MASK.to_owned()
        } else if named.secret {
            format!("{MASK}/{}", self.name())
        } else {
            crate::words::escaped(self.path.as_os_str().as_bytes())
        }
    }
}

/// Whether a path has an extension that some rule runs, so that a file of hooks was meant.
fn interpreted<'i>(path: &Path, interpreters: &'i [(String, Vec<String>)]) -> Option<&'i [String]> {
    let extension = path.extension()?.to_str()?;
    interpreters.iter().find(|(each, _)| each == extension).map(|(_, argv)| &**argv)
}

/// The files of a `hooks` step, in order, each with the rule that fits it now.
///
/// # Errors
/// Why a file or a directory cannot be read; a directory that is missing has no files.
pub(crate) fn hooks(path: &Path, interpreters: &[(String, Vec<String>)]) -> Result<Vec<HookFile>, String> {
    let paths = hook_paths(path, interpreters)?;
    Ok(paths.into_iter().map(|path| hook(path, interpreters)).collect())
}

/// The paths of the files of a `hooks` step, in order. Which rule fits one is seen when its turn comes: an earlier
/// one may have made it executable, or written it anew.
///
/// # Errors
/// As those of `hooks`.
pub(crate) fn hook_paths(
    path: &Path,
    interpreters: &[(String, Vec<String>)],
) -> Result<Vec<PathBuf>, String> {
    let is_file = path.extension() == Some(OsStr::new("sh")) || interpreted(path, interpreters).is_some();
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) && !is_file => {
            return Ok(Vec::new());
        }
        Err(error) => {
            return Err(reason(&error));
        }
    };
    if !metadata.is_dir() || is_file {
        return Ok(vec![path.to_owned()]);
    }
    let refused = |error: std::io::Error| reason(&error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(refused)? {
        let name = entry.map_err(refused)?.file_name();
        if !name.as_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    crate::words::sort_by_bytes(&mut names, |name| name.as_bytes().to_vec());
    Ok(names.into_iter().map(|name| path.join(name)).collect())
}

/// A file of hooks with the rule that fits it now.
pub(crate) fn hook(path: PathBuf, interpreters: &[(String, Vec<String>)]) -> HookFile {
    let is_script = path.extension() == Some(OsStr::new("sh"));
    let interpreter = interpreted(&path, interpreters);
    let how = match path.metadata() {
        // One that has gone since it was listed is a program that is missing, and not passed over.
        Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => How::Run,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            How::Skip("it is a link to nothing; make its target exist, or remove it".to_owned())
        }
        Err(error) => How::Skip(format!("it cannot be looked at: {}", reason(&error))),
        Ok(metadata) if metadata.is_dir() && (is_script || interpreter.is_some()) => How::MistypedMount,
        Ok(metadata) if metadata.is_dir() => {
            How::Skip("it is a directory; hooks are files of the directory itself".to_owned())
        }
        Ok(metadata) if !metadata.is_file() => How::Skip("it is no regular file".to_owned()),
        Ok(_) if is_script => shell_of(&path),
        Ok(metadata) if metadata.permissions().mode() & 0o111 != 0 => How::Run,
        Ok(_) => match interpreter {
            Some(argv) => How::Interpret(argv.to_vec()),
            None => How::Skip(no_rule(&path)),
        },
    };
    HookFile { path, how }
}

fn no_rule(path: &Path) -> String {
    match path.extension().and_then(OsStr::to_str).filter(|extension| !extension.is_empty()) {
        Some(extension) => format!(
            "it is not executable, and `interpreters` has no `{}`; `chmod +x` it, or add one",
            crate::words::escaped(extension.as_bytes())
        ),
        None => "it is not executable; `chmod +x` it, or call it `*.sh`".to_owned(),
    }
}

/// The shell that sources this file: that of its `#!` line if it is one of the four, else `sh`.
fn shell_of(path: &Path) -> How {
    use std::io::Read as _;
    let mut head = [0; 256];
    let read = std::fs::File::open(path).and_then(|mut file| file.read(&mut head)).unwrap_or(0);
    let (shell, options) = shell_line(&head[..read]).unwrap_or((OsString::from("sh"), Vec::new()));
    How::Source { shell, options }
}

fn shell_line(head: &[u8]) -> Option<(OsString, Vec<OsString>)> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let mut program = words.next()?;
    let base = |path: &[u8]| path.rsplit(|byte| *byte == b'/').next().map(<[u8]>::to_vec);
    if base(program)? == b"env" {
        program = command_of_env(&mut words)?;
    }
    let name = base(program)?;
    let known = [&b"sh"[..], b"dash", b"ash", b"bash"].contains(&&*name);
    let owned = |word: &[u8]| OsString::from_vec(word.to_vec());
    // `#!/bin/sh -` ends the options there; more of them follow here.
    let options = words.filter(|word| ![&b"-"[..], b"--"].contains(word));
    known.then(|| (owned(program), options.map(owned).collect()))
}

/// The command after the options and variables of env(1). Only the shell is looked for: the variables of a hook are
/// those of the run, whatever env would make of them.
fn command_of_env<'w>(words: &mut impl Iterator<Item = &'w [u8]>) -> Option<&'w [u8]> {
    let mut word = words.next()?;
    loop {
        word = match word {
            b"--unset" | b"--chdir" | b"--argv0" => words.by_ref().nth(1)?,
            [b'-', b'-', option @ ..] => option.strip_prefix(b"split-string=").unwrap_or_default(),
            [b'-', letters @ ..] => {
                let takes_word = letters.iter().position(|letter| b"SuCa".contains(letter));
                let rest = takes_word.and_then(|at| letters.get(at + 1..)).unwrap_or_default();
                match takes_word.map(|at| letters[at]) {
                    // What it takes is the words of a command, the rest of the line too.
                    Some(b'S') => rest,
                    Some(_) if rest.is_empty() => words.by_ref().nth(1)?,
                    Some(_) | None => b"",
                }
            }
            _ => word,
        };
        if !word.is_empty() && !word.starts_with(b"-") && !word.contains(&b'=') {
            return Some(word);
        }
        if !word.starts_with(b"-") {
            word = words.next()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_is_that_of_the_first_line_if_it_is_one_of_four() {
        let check = |line: &str, expected: Option<(&str, &[&str])>| {
            let found = shell_line(line.as_bytes());
            let expected = expected.map(|(shell, options)| {
                (shell.into(), options.iter().map(OsString::from).collect::<Vec<_>>())
            });
            assert_eq!(found, expected, "{line}");
        };
        check("#!/bin/sh\n", Some(("/bin/sh", &[])));
        check("#! /bin/bash -eu -o pipefail\nx", Some(("/bin/bash", &["-eu", "-o", "pipefail"])));
        check("#!/usr/bin/env bash\n", Some(("bash", &[])));
        check("#!/usr/bin/env -S bash -x\n", Some(("bash", &["-x"])));
        for options in [
            "-i",
            "-",
            "-S",
            "-S -i",
            "-iS",
            "-S -u X",
            "-S -uX",
            "-vS",
            "-S --unset X",
            "--unset=X",
            "-S A=1 B=-",
            "-C /x",
            "-iC/x",
            "-S -a dash -i --",
            "--split-string=-i",
            "--split-string=",
            "-v --split-string",
            "-S-u X",
            "--default-signal=PIPE",
            "-0",
        ] {
            check(&format!("#!/usr/bin/env {options} bash -u\n"), Some(("bash", &["-u"])));
        }
        check("#!/usr/bin/env -Sbash -eu\n", Some(("bash", &["-eu"])));
        check("#!/usr/bin/env -vSbash\n", Some(("bash", &[])));
        check("#!/usr/bin/env --split-string=bash -u\n", Some(("bash", &["-u"])));
        check("#!/usr/bin/env -S -u bash\n", None);
        check("#!/usr/bin/env -i\n", None);
        check("#!/bin/sh -\n", Some(("/bin/sh", &[])));
        check("#!/bin/sh\r\n", Some(("/bin/sh", &[])));
        check("#!/bin/zsh\n", None);
        check("#!/usr/bin/python3\n", None);
        check("#!\n", None);
        check("echo\n", None);
    }

    #[test]
    fn trailing_newlines_of_a_secret_are_removed() {
        assert_eq!(trimmed(b"a\n\n".to_vec()), Ok(b"a".to_vec()));
        assert_eq!(trimmed(b" a \r\n".to_vec()), Ok(b" a ".to_vec()));
        assert_eq!(trimmed(b"\n".to_vec()), Ok(Vec::new()));
        assert!(trimmed(b"a\0b".to_vec()).is_err());
    }
}
