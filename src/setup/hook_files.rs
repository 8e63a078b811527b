//! The files of a `hooks` step, and how each one is run. They are only read.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::sys::{Shebang, base, exec, regular_text};
use crate::text::{MASK, bytes_of, escaped, quoted, reason};
use crate::value::{Executables, Expanded};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HookFile {
    pub(crate) path: PathBuf,
    pub(crate) how: How,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum How {
    /// A shell sources it, with these options.
    Source {
        shell: OsString,
        options: Vec<OsString>,
    },
    Run,
    /// The step's shell runs it, because it has no `#!` line.
    RunBy(OsString),
    /// An interpreter runs it; this is the argv without the path.
    Interpret(Vec<OsString>),
    Skip(String),
    /// It cannot be run but must not be skipped: the end of a sentence about it, and a hint.
    Fail(String, &'static str),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'r> {
    pub(crate) interpreters: &'r [(String, Vec<String>)],
    /// The shell for scripts without a `#!` line.
    pub(crate) shell: &'r OsStr,
    pub(crate) executables: Executables,
}

impl<'r> Rules<'r> {
    /// Whether this script is run because of the rules, where the default is to source it.
    pub(crate) fn runs(self, file: &HookFile) -> bool {
        let is_run = matches!(file.how, How::Run | How::RunBy(_));
        is_run && is_script(&file.path) && self.executables == Executables::Run
    }

    /// The interpreter of the longest extension that fits.
    fn interpreter(self, path: &Path) -> Option<&'r [String]> {
        let fits = self.interpreters.iter().filter(|(extension, _)| ends_in(path, extension));
        fits.max_by_key(|(extension, _)| extension.len()).map(|(_, argv)| &**argv)
    }

    fn knows(self, path: &Path) -> bool {
        is_script(path) || self.interpreter(path).is_some()
    }
}

fn is_script(path: &Path) -> bool {
    ends_in(path, "sh") || ends_in(path, "envsh")
}

fn ends_in(path: &Path, extension: &str) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let stem = name.strip_suffix(extension.as_bytes()).and_then(|name| name.strip_suffix(b"."));
    stem.is_some_and(|stem| !stem.is_empty())
}

impl HookFile {
    pub(crate) fn name(&self) -> String {
        escaped(self.path.file_name().unwrap_or(self.path.as_os_str()).as_bytes())
    }

    /// Whether its path is secret. A file in a named directory has its own name, which is not secret.
    pub(crate) fn is_secret(&self, named: &Expanded) -> bool {
        named.secret && bytes_of(&self.path) == named.bytes
    }

    pub(crate) fn shown(&self, named: &Expanded) -> String {
        if self.is_secret(named) {
            MASK.to_owned()
        } else if named.secret {
            format!("{MASK}/{}", self.name())
        } else {
            escaped(bytes_of(&self.path))
        }
    }
}

pub(crate) fn hooks(path: &Path, rules: Rules<'_>) -> Result<Vec<HookFile>, String> {
    let paths = hook_paths(path, rules)?;
    Ok(paths.into_iter().map(|path| hook(path, rules)).collect())
}

/// The paths of the files of a `hooks` step, in order; a missing directory has none. The rule for a file is
/// chosen only when its turn comes, because an earlier hook may have changed it or made it executable.
pub(crate) fn hook_paths(path: &Path, rules: Rules<'_>) -> Result<Vec<PathBuf>, String> {
    let is_file = rules.knows(path);
    let metadata = path.metadata();
    if let Err(error) = &metadata
        && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        && !is_file
    {
        return Ok(Vec::new());
    }
    let list = || -> std::io::Result<Vec<PathBuf>> {
        if !metadata?.is_dir() || is_file {
            return Ok(vec![path.to_owned()]);
        }
        let names = path.read_dir()?.map(|entry| entry.map(|entry| entry.file_name()));
        let mut names = names.collect::<std::io::Result<Vec<OsString>>>()?;
        names.retain(|name| !name.as_bytes().starts_with(b"."));
        names.sort_unstable();
        Ok(names.into_iter().map(|name| path.join(name)).collect())
    };
    list().map_err(|error| reason(&error))
}

pub(crate) fn hook(path: PathBuf, rules: Rules<'_>) -> HookFile {
    let how = match path.metadata() {
        // A file that has disappeared since the listing is a missing program; it is not skipped.
        Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => How::Run,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            How::Skip("it is a broken link; create its target, or remove it".to_owned())
        }
        Err(error) => How::Fail(format!("cannot be inspected: {}", reason(&error)), READABLE),
        Ok(metadata) if metadata.is_dir() && !rules.knows(&path) => {
            How::Skip("it is a directory; subdirectories are not searched for hooks".to_owned())
        }
        Ok(metadata) if metadata.is_dir() => How::Fail(
            "is a directory, and should be a file".to_owned(),
            "a mount whose source does not exist makes a directory of that name",
        ),
        Ok(metadata) if !metadata.is_file() => How::Skip("it is not a regular file".to_owned()),
        Ok(metadata) => {
            let is_executable = metadata.permissions().mode() & 0o111 != 0;
            match rules.interpreter(&path) {
                _ if is_script(&path) => script(&path, rules, is_executable),
                _ if is_executable => program(&path),
                Some(argv) => How::Interpret(argv.iter().map(OsString::from).collect()),
                None => How::Skip(no_rule(&path)),
            }
        }
    };
    HookFile { path, how }
}

const READABLE: &str = "a hook runs as the step's user, who must be able to reach and read it";

fn no_rule(path: &Path) -> String {
    match path.extension().filter(|extension| !extension.is_empty()).and_then(OsStr::to_str) {
        Some(extension) => format!(
            "it is not executable, and `interpreters` has no `{}`; `chmod +x` it, or add one",
            escaped(extension.as_bytes())
        ),
        None => "it is not executable; `chmod +x` it, or name it `*.sh`".to_owned(),
    }
}

/// A `*.sh` or `*.envsh` file: the shell of its `#!` line sources or runs it, or the step's shell if there is
/// no such line. If the line names another program, the file is run directly.
fn script(path: &Path, rules: Rules<'_>, is_executable: bool) -> How {
    let runs = is_executable && rules.executables == Executables::Run && ends_in(path, "sh");
    let text = match regular_text(path) {
        Ok(text) => text,
        // The kernel may be able to run a file that this process cannot read.
        Err(_) if runs => return How::Run,
        Err(error) => return How::Fail(format!("cannot be read: {}", reason(&error)), READABLE),
    };
    if text.starts_with(BOM) {
        return with_bom();
    }
    let line = Shebang::of(&text);
    let command = line.and_then(Shebang::command);
    if let Some((program, _)) = command.as_ref().filter(|(program, _)| !is_shell(program)) {
        let what = format!("is a script for {}, and not executable", quoted(base(program)));
        let hint = "`chmod +x` it to have it run; only scripts for sh, dash, ash or bash are sourced";
        return if is_executable { program_with(line) } else { How::Fail(what, hint) };
    }
    if let Some(line) = text.split(|byte| *byte == b'\n').position(|line| line.ends_with(b"\r")) {
        let number = line + 1;
        let what = format!("has a carriage return (CR) at the end of line {number}, a Windows line ending");
        return How::Fail(what, exec::UNIX_LINE_ENDS);
    }
    match command {
        Some(_) if runs => How::Run,
        None if runs => How::RunBy(rules.shell.into()),
        None => How::Source { shell: rules.shell.into(), options: Vec::new() },
        Some((shell, mut options)) => {
            // In `#!/bin/sh -` the dash ends the options, but here more options follow.
            options.retain(|option| ![&b"-"[..], b"--"].contains(option));
            let word = |word: &[u8]| OsStr::from_bytes(word).to_owned();
            How::Source { shell: word(shell), options: options.into_iter().map(word).collect() }
        }
    }
}

fn is_shell(program: &[u8]) -> bool {
    let name = base(program);
    matches!(name.strip_suffix(b"\r").unwrap_or(name), b"sh" | b"dash" | b"ash" | b"bash")
}

const BOM: &[u8] = b"\xef\xbb\xbf";

fn with_bom() -> How {
    How::Fail("begins with a byte order mark (BOM)".to_owned(), exec::NO_BOM)
}

/// An executable file that is run directly. Unreadable files can still be run, and a byte order mark without
/// a `#!` line does not make a file a script.
fn program(path: &Path) -> How {
    let head = exec::head(path).unwrap_or_default();
    if head.strip_prefix(BOM).is_some_and(|rest| rest.starts_with(b"#!")) {
        return with_bom();
    }
    program_with(Shebang::of(&head))
}

fn program_with(line: Option<Shebang<'_>>) -> How {
    if line.is_some_and(Shebang::ends_in_cr) {
        return How::Fail(format!("has a `#!` line that {}", exec::ENDS_IN_CR), exec::UNIX_LINE_ENDS);
    }
    How::Run
}
