//! How a shell sources a hook: one of its own for each, under `set -e`, which hands its environment back at
//! the end by `--preverb-dump`, however that end comes about.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::sys::exec::find;
use crate::text::escape::shell_quoted;
use crate::value::variables::Variables;

#[derive(Debug)]
pub(super) struct Script {
    pub(super) shell: OsString,
    pub(super) options: Vec<OsString>,
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
        let path = |path: &Path| shell_quoted(path.as_os_str().as_bytes());
        let dump = [b"set +m; ", &*path(preverb), b" --preverb-dump ", socket.as_bytes(), b" || :"].concat();
        let trap =
            [&b"case $(($?&255))${preverb_dumped-} in 0$$) ;; 0*) "[..], &dump, b";; *) exit \"$?\";; esac"];
        let script = [
            b"trap ",
            &*shell_quoted(&trap.concat()),
            b" EXIT\nset -e\n. ",
            &*path(&self.path),
            b"\ncase $(($?&255)) in 0) ",
            &*dump,
            b"; preverb_dumped=$$;; *) exit \"$?\";; esac\n",
        ];
        let rest = ["-c".into(), OsString::from_vec(script.concat()), self.path.clone().into_os_string()];
        let own = std::iter::once(&self.shell).chain(&self.options).chain(&rest);
        own.chain(parameters).cloned().collect()
    }

    pub(super) fn is_bash(&self, variables: &Variables) -> bool {
        let file = find(&self.shell, variables).and_then(|path| path.canonicalize().ok());
        file.is_some_and(|file| file.file_name() == Some(OsStr::new("bash")))
    }
}

/// The path of a hook as a program or a shell takes it: a bare name would be looked up on PATH, and one with
/// a dash taken for an option.
pub(super) fn runnable(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let has_slash = bytes.contains(&b'/');
    if has_slash && !bytes.starts_with(b"-") { path.to_owned() } else { Path::new(".").join(path) }
}
