//! Reads the files with the values of declared variables.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use crate::plan::ValueFile;
use crate::sys::{NONBLOCKING, Refusal, Signals, Stop, entry, read_interruptible, read_opened};
use crate::table::Declaration;
use crate::text::{Result, path_of, quoted_path, reason};
use crate::value::Variables;

/// The directory where engines mount secrets.
const SECRETS: &str = "/run/secrets";
/// The maximum size of a value: each variable is one string of an exec.
const LONGEST: usize = 1 << 20;

/// Reads the files of declared variables that the environment does not set directly.
pub(crate) fn value_files(
    declarations: &[Declaration], variables: &Variables, signals: &mut Signals,
) -> Result<Vec<ValueFile>> {
    let mut files = Vec::new();
    for declaration in declarations.iter().filter(|each| each.is_secret() || each.file == Some(true)) {
        let name = declaration.name.as_str();
        let mut add = |path: PathBuf, named_by: Option<&str>| -> Result<bool> {
            let content = read(&path, signals).map_err(|stop| {
                let path = quoted_path(&path);
                stop.failure(&format!("while reading the value of variable `{name}` from {path}"))
            })?;
            let is_missing =
                |error: &Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
            if named_by.is_none() && content.as_ref().is_err_and(is_missing) {
                return Ok(false);
            }
            let content = content.map_err(|error| reason(&error)).and_then(|content| trimmed(&content));
            files.push(ValueFile { name: name.into(), path, named_by: named_by.map(Into::into), content });
            Ok(true)
        };
        let mut given = false;
        for each in declaration.names() {
            if let Some(path) = variables.non_empty(format!("{each}_FILE").as_bytes()) {
                given = add(path_of(path).to_owned(), Some(each))?;
            }
            given |= variables.non_empty(each.as_bytes()).is_some();
            if given {
                break;
            }
        }
        if !given && declaration.is_secret() && !add(Path::new(SECRETS).join(name), None)? {
            add(Path::new(SECRETS).join(name.to_lowercase()), None)?;
        }
    }
    Ok(files)
}

/// Root follows no link that another user could have made: the link could lead to a file that this user
/// cannot read. Descriptors that the caller left open are trusted.
fn read(path: &Path, signals: &mut Signals) -> std::result::Result<std::io::Result<Vec<u8>>, Stop> {
    if ["/dev/fd", "/proc/self/fd", "/dev/stdin"].iter().any(|descriptors| path.starts_with(descriptors)) {
        return read_interruptible(path, LONGEST, signals);
    }
    match entry::open(path, NONBLOCKING) {
        Ok(file) => read_opened(&file, LONGEST, signals),
        Err(Refusal::System(errno)) => Ok(Err(errno.into())),
        Err(refusal) => Ok(Err(Error::other(refusal.to_string()))),
    }
}

fn trimmed(content: &[u8]) -> std::result::Result<Vec<u8>, String> {
    let mut content = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content);
    while let Some(line) = content.strip_suffix(b"\n") {
        content = line.strip_suffix(b"\r").unwrap_or(line);
    }
    if content.contains(&0) {
        return Err("it contains a NUL character, which a variable cannot hold".to_owned());
    }
    Ok(content.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_newlines_and_a_bom_are_removed() {
        assert_eq!(trimmed(b"a\n\n"), Ok(b"a".to_vec()));
        assert_eq!(trimmed(b" a \r\n"), Ok(b" a ".to_vec()));
        assert_eq!(trimmed(b"\n"), Ok(Vec::new()));
        assert_eq!(trimmed("\u{feff}a\u{feff}\n".as_bytes()), Ok("a\u{feff}".as_bytes().to_vec()));
        assert!(trimmed(b"a\0b").is_err());
    }
}
