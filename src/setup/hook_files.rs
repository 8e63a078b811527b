//! The files of a `hooks` step, and how each is run. It only reads.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::sys::exec;
use crate::sys::shebang::{Shebang, base};
use crate::text::escape::MASK;
use crate::text::log::quoted;
use crate::text::reason::reason;
use crate::value::template::Expanded;

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
    /// Run by the step's shell, for want of a `#!` line.
    RunBy(OsString),
    /// Run by an interpreter, whose argv this is without the path.
    Interpret(Vec<String>),
    /// Skipped, and why.
    Skip(String),
    /// It cannot be run, and must not be skipped: the rest of a sentence about it, and what helps.
    Fail(String, String),
}

/// The shell of scripts without a `#!` line, where the step names none.
pub(crate) const SHELL: &str = "sh";

/// What a step says of how its files are run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'r> {
    /// The programs that run files of an extension.
    pub(crate) interpreters: &'r [(String, Vec<String>)],
    /// The shell of scripts without a `#!` line.
    pub(crate) shell: &'r str,
    /// Whether executable scripts are run, and not sourced.
    pub(crate) runs_executables: bool,
}

/// What an extension means.
enum Extension<'r> {
    /// `sh` or `envsh`.
    Script { sourced: bool },
    /// It has an interpreter.
    Interpreted(&'r [String]),
    /// Nothing.
    Other,
}

impl<'r> Rules<'r> {
    /// Whether it is a script that is run although it would be sourced.
    pub(crate) fn runs(self, file: &HookFile) -> bool {
        let is_script = matches!(self.extension(&file.path), Extension::Script { .. });
        self.runs_executables && is_script && matches!(file.how, How::Run | How::RunBy(_))
    }

    /// What the extension of a path means. One in `interpreters` can hold dots; the longest that fits counts.
    fn extension(self, path: &Path) -> Extension<'r> {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let ends_in = |extension: &str| {
            let stem = name.strip_suffix(extension.as_bytes()).and_then(|name| name.strip_suffix(b"."));
            stem.is_some_and(|stem| !stem.is_empty())
        };
        if ends_in("sh") || ends_in("envsh") {
            return Extension::Script { sourced: ends_in("envsh") };
        }
        let fits = self.interpreters.iter().filter(|(extension, _)| ends_in(extension));
        let longest = fits.max_by_key(|(extension, _)| extension.len());
        longest.map_or(Extension::Other, |(_, argv)| Extension::Interpreted(argv))
    }
}

impl HookFile {
    /// Its name for messages.
    pub(crate) fn name(&self) -> String {
        crate::text::escape::escaped(self.path.file_name().unwrap_or(self.path.as_os_str()).as_bytes())
    }

    /// Whether it is itself what was named, by a path that is a secret; a file in a directory has a name of
    /// its own.
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
            crate::text::escape::escaped(self.path.as_os_str().as_bytes())
        }
    }
}

/// The files of a `hooks` step, in order, each with the rule that fits it now.
///
/// # Errors
/// Why a file or a directory cannot be read; a directory that is missing has no files.
pub(crate) fn hooks(path: &Path, rules: Rules<'_>) -> Result<Vec<HookFile>, String> {
    let paths = hook_paths(path, rules)?;
    Ok(paths.into_iter().map(|path| hook(path, rules)).collect())
}

/// The paths of the files of a `hooks` step, in order. Which rule fits one is seen when its turn comes: an
/// earlier one may have made it executable, or written it anew.
///
/// # Errors
/// As those of `hooks`.
pub(crate) fn hook_paths(path: &Path, rules: Rules<'_>) -> Result<Vec<PathBuf>, String> {
    let is_file = !matches!(rules.extension(path), Extension::Other);
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
    names.sort_unstable();
    Ok(names.into_iter().map(|name| path.join(name)).collect())
}

/// A file of hooks with the rule that fits it now, for whoever looks at it.
pub(crate) fn hook(path: PathBuf, rules: Rules<'_>) -> HookFile {
    let extension = rules.extension(&path);
    let how = match path.metadata() {
        // One that has gone since it was listed is a program that is missing, and not skipped.
        Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => How::Run,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            How::Skip("it is a link to nothing; make its target exist, or remove it".to_owned())
        }
        Err(error) => How::Skip(format!("it cannot be looked at: {}", reason(&error))),
        Ok(metadata) if metadata.is_dir() => match extension {
            Extension::Other => {
                How::Skip("it is a directory; hooks are files of the directory itself".to_owned())
            }
            Extension::Script { .. } | Extension::Interpreted(_) => How::Fail(
                "is a directory, and should be a file".to_owned(),
                "a mount whose source does not exist makes a directory of that name".to_owned(),
            ),
        },
        Ok(metadata) if !metadata.is_file() => How::Skip("it is not a regular file".to_owned()),
        Ok(metadata) => {
            let is_executable = metadata.permissions().mode() & 0o111 != 0;
            match extension {
                Extension::Script { sourced } => {
                    script(&path, rules, is_executable, is_executable && rules.runs_executables && !sourced)
                }
                Extension::Interpreted(_) | Extension::Other if is_executable => program(&path),
                Extension::Interpreted(argv) => How::Interpret(argv.to_vec()),
                Extension::Other => How::Skip(no_rule(&path)),
            }
        }
    };
    HookFile { path, how }
}

fn no_rule(path: &Path) -> String {
    match path.extension().and_then(OsStr::to_str).filter(|extension| !extension.is_empty()) {
        Some(extension) => format!(
            "it is not executable, and `interpreters` has no `{}`; `chmod +x` it, or add one",
            crate::text::escape::escaped(extension.as_bytes())
        ),
        None => "it is not executable; `chmod +x` it, or call it `*.sh`".to_owned(),
    }
}

/// A `*.sh` or `*.envsh`: sourced or run by the shell of its `#!` line, by the step's where it has none,
/// and by itself where the line names something else.
fn script(path: &Path, rules: Rules<'_>, is_executable: bool, runs: bool) -> How {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        // The kernel may be allowed to run what this process may not read.
        Err(_) if runs => return How::Run,
        Err(error) => {
            let hint = "a script is sourced by a shell of the step's user, who must be able to read it";
            return How::Fail(format!("cannot be read: {}", reason(&error)), hint.to_owned());
        }
    };
    if text.starts_with(BOM) {
        return with_bom();
    }
    let line = Shebang::of(&text);
    let command = line.and_then(Shebang::command);
    let shell = match &command {
        Some((program, _)) if !is_shell(program) && is_executable => return program_with(line),
        Some((program, _)) if !is_shell(program) => {
            return How::Fail(
                format!("is a script for {}, and not executable", quoted(base(program))),
                "`chmod +x` it to have it run; what is sourced is for sh, dash, ash or bash".to_owned(),
            );
        }
        Some((program, _)) => OsStr::from_bytes(program).to_owned(),
        None => OsString::from(rules.shell),
    };
    if let Some(line) = text.split(|byte| *byte == b'\n').position(|line| line.ends_with(b"\r")) {
        let what =
            format!("has a carriage return (CR) at the end of line {}, as Windows writes it", line + 1);
        return How::Fail(what, exec::UNIX_LINE_ENDS.to_owned());
    }
    match command {
        Some(_) if runs => How::Run,
        None if runs => How::RunBy(shell),
        command => {
            // `#!/bin/sh -` ends the options there; more of them follow here.
            let options = command.into_iter().flat_map(|(_, options)| options);
            let options = options.filter(|option| ![&b"-"[..], b"--"].contains(option));
            let options = options.map(|option| OsStr::from_bytes(option).to_owned()).collect();
            How::Source { shell, options }
        }
    }
}

/// Whether a shell of this name can source a hook, be there a carriage return after it or not.
fn is_shell(program: &[u8]) -> bool {
    let name = base(program);
    matches!(name.strip_suffix(b"\r").unwrap_or(name), b"sh" | b"dash" | b"ash" | b"bash")
}

const BOM: &[u8] = b"\xef\xbb\xbf";

fn with_bom() -> How {
    How::Fail("begins with a byte order mark (BOM)".to_owned(), exec::NO_BOM.to_owned())
}

/// An executable file that is run by itself. What cannot be read can be run all the same, and a mark alone is
/// not a script.
fn program(path: &Path) -> How {
    let head = exec::head(path).unwrap_or_default();
    if head.strip_prefix(BOM).is_some_and(|rest| rest.starts_with(b"#!")) {
        return with_bom();
    }
    program_with(Shebang::of(&head))
}

fn program_with(line: Option<Shebang<'_>>) -> How {
    if line.is_some_and(Shebang::ends_in_cr) {
        return How::Fail(
            format!("has a `#!` line that {}", exec::ENDS_IN_CR),
            exec::UNIX_LINE_ENDS.to_owned(),
        );
    }
    How::Run
}
