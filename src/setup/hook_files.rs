//! The files of a `hooks` step, and how each is run. It only reads.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::text::escape::MASK;
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

/// The paths of the files of a `hooks` step, in order. Which rule fits one is seen when its turn comes: an
/// earlier one may have made it executable, or written it anew.
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
    names.sort_unstable();
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
            crate::text::escape::escaped(extension.as_bytes())
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

/// The command after the options and variables of env(1). Only the shell is looked for: the variables of a
/// hook are those of the run, whatever env would make of them.
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
}
