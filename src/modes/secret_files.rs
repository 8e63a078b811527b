//! Reads the files of the declared secrets.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::plan::secret_file::SecretFile;
use crate::sys::child::Stop;
use crate::sys::read::read_heeding;
use crate::sys::signals::Signals;
use crate::table::variable::Declaration;
use crate::text::failure::Failure;
use crate::text::log::quoted;
use crate::text::reason::reason;
use crate::value::variables::Variables;

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
) -> crate::text::failure::Result<Vec<SecretFile>> {
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

fn secret(path: &Path, signals: &mut Signals) -> crate::text::failure::Result<std::io::Result<Vec<u8>>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_newlines_of_a_secret_are_removed() {
        assert_eq!(trimmed(b"a\n\n".to_vec()), Ok(b"a".to_vec()));
        assert_eq!(trimmed(b" a \r\n".to_vec()), Ok(b" a ".to_vec()));
        assert_eq!(trimmed(b"\n".to_vec()), Ok(Vec::new()));
        assert!(trimmed(b"a\0b".to_vec()).is_err());
    }
}
