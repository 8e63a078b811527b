//! How a shell sources a hook: one of its own for each, under `set -e`, which hands its environment back at
//! the end by
//! `--preverb-dump`, however that end comes about.
//!
//! It knows shells; which hook comes next, and what becomes of what it hands back, is `hooks.rs`'s affair.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::value::variables::Variables;

/// A file that a shell is to source.
#[derive(Debug)]
pub(super) struct Script {
    /// The shell, as it is to be looked up, and its options.
    pub(super) shell: OsString,
    pub(super) options: Vec<OsString>,
    /// The file; a path with a slash.
    pub(super) path: PathBuf,
}

impl Script {
    /// The argv of its shell, which hands its environment back to this socket by this program.
    ///
    /// The environment is handed back at the end of the file. A hook may end before that with `exit 0`, so an
    /// EXIT trap does it, too, unless it is done: a hook with an EXIT trap of its own has that run in any
    /// case. The status comes first: as wait(2) will tell it, while `$?` in a small shell can be any number.
    ///
    /// The program is a child of the shell: bash runs the EXIT trap also when a signal ends it, with a status
    /// of 0, and must not be kept from ending by that. If it cannot be started, or not send, that is no
    /// failure of the hook: it is seen by what was not handed back. Under job control (`set -m`) it would not
    /// be in the hook's group.
    pub(super) fn argv(&self, preverb: &Path, socket: &str, parameters: &[OsString]) -> Vec<OsString> {
        let quoted = |path: &Path| quoted(path.as_os_str().as_bytes());
        let dump =
            [b"set +m; ", &*quoted(preverb), b" --preverb-dump ", socket.as_bytes(), b" || :"].concat();
        let script = [
            b"trap ",
            &*self::quoted(
                &[b"case $(($?&255))${preverb_dumped-} in 0$$) ;; 0*) ", &*dump, b";; *) exit \"$?\";; esac"]
                    .concat(),
            ),
            b" EXIT\nset -e\n. ",
            &*quoted(&self.path),
            b"\ncase $(($?&255)) in 0) ",
            &*dump,
            b"; preverb_dumped=$$;; *) exit \"$?\";; esac\n",
        ]
        .concat();
        let mut argv = vec![self.shell.clone()];
        argv.extend(self.options.iter().cloned());
        argv.extend([OsString::from("-c"), OsString::from_vec(script), self.path.clone().into_os_string()]);
        argv.extend(parameters.iter().cloned());
        argv
    }

    /// Whether its shell is bash.
    pub(super) fn is_bash(&self, variables: &Variables) -> bool {
        let file = crate::sys::exec::find(&self.shell, variables).and_then(|path| path.canonicalize().ok());
        file.is_some_and(|file| file.file_name() == Some(OsStr::new("bash")))
    }
}

/// The path of a hook as a program or a shell takes it: a bare name would be looked up on PATH, and one with
/// a dash taken for an option.
pub(super) fn runnable(path: &Path) -> PathBuf {
    let bare = path.parent().is_some_and(|parent| parent.as_os_str().is_empty());
    if bare || path.as_os_str().as_bytes().starts_with(b"-") {
        Path::new(".").join(path)
    } else {
        path.to_owned()
    }
}

/// A word as a shell reads it, whatever bytes it holds.
pub(super) fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(bytes.len() + 16);
    for (number, part) in bytes.split(|byte| *byte == b'\'').enumerate() {
        quoted.extend_from_slice(if number == 0 { b"'" } else { b"'\\''" });
        quoted.extend_from_slice(part);
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_a_quoted_word_as_it_is() {
        assert_eq!(quoted(b"a'b\n$(x)\xff"), b"'a'\\''b\n$(x)\xff'");
    }
}
