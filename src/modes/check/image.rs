//! The image: its variables, programs and directories. It is only read, as the user in question if this
//! process may act as another user.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::sys::{Credentials, Identity, exec, identity};
use crate::table::{Settings, Tree};
use crate::text::{quoted_path, reason};
use crate::value::Variables;

/// The facts that all walks share.
pub(super) struct Image<'i> {
    pub(super) tree: Tree<'i>,
    pub(super) settings: &'i Settings,
    pub(super) inherited: &'i Variables,
    pub(super) interpreters: Vec<(String, Vec<String>)>,
    pub(super) myself: Credentials,
    pub(super) secrets: &'i BTreeSet<String>,
    pub(super) beginning: PathBuf,
}

pub(super) type Problem = (String, Option<String>);

#[derive(Debug, Clone, Copy)]
pub(super) struct Viewer<'i> {
    pub(super) identity: Option<&'i Identity>,
    pub(super) myself: Credentials,
}

impl Viewer<'_> {
    /// Looks at something as this user. Only root can act as another user.
    pub(super) fn look<T>(self, work: impl FnOnce() -> T) -> Option<T> {
        let identity = self.identity.filter(|_| self.myself.is_root());
        identity::acting_as(identity, || Ok(work())).ok()
    }

    /// Whether this user may see other things than this process, which cannot act as them.
    pub(super) fn is_another(self) -> bool {
        !self.myself.is_root() && self.identity.is_some_and(|user| user.uid != self.myself.uid)
    }

    fn metadata(self, path: &Path) -> Option<std::io::Result<Metadata>> {
        self.look(|| path.metadata())
    }

    /// Whether the file mode gives this user one of these `rights`, which name all three classes.
    fn may(self, rights: u32, metadata: &Metadata) -> bool {
        let class = match self.identity.filter(|user| user.uid != 0) {
            None => 0o777,
            Some(user) if user.uid == metadata.uid() => 0o700,
            Some(user) if user.gid == metadata.gid() || user.groups.contains(&metadata.gid()) => 0o070,
            Some(_) => 0o007,
        };
        metadata.mode() & class & rights != 0
    }

    /// Whether this user, who is not root, can change a file or replace it.
    pub(super) fn can_change(self, path: &Path) -> bool {
        let may_write = |path: &Path, unless: u32| {
            path.metadata().is_ok_and(|file| file.mode() & unless == 0 && self.may(0o222, &file))
        };
        // In a sticky directory only the owner of a file or of the directory can replace the file.
        let is_changeable = |path: &Path| {
            may_write(path, 0) || path.parent().is_some_and(|directory| may_write(directory, 0o1000))
        };
        is_changeable(path) || path.canonicalize().is_ok_and(|path| is_changeable(&path))
    }

    fn shown(self) -> String {
        self.identity.map_or_else(String::new, |identity| format!(" by user `{}`", identity.spec.shown()))
    }
}

fn rights(metadata: &Metadata) -> String {
    format!(" (mode {:04o}, uid {}, gid {})", metadata.mode() & 0o7777, metadata.uid(), metadata.gid())
}

/// The file that a program resolves to; `None` if that is unknown. `here` finds a path in the directory of
/// the run, unless a step makes that directory.
pub(super) fn program(
    program: &OsStr, variables: &Variables, here: &dyn Fn(&Path) -> Option<PathBuf>, viewer: Viewer<'_>,
) -> Result<Option<PathBuf>, Problem> {
    let mut refused = None;
    for path in exec::candidates(program, variables) {
        let Some(path) = here(&path) else { return Ok(None) };
        match viewer.metadata(&path) {
            None => return Ok(None),
            Some(Ok(metadata)) if metadata.is_file() && viewer.may(0o111, &metadata) => {
                return exec::defect(&path).map_or(Ok(Some(path)), |failure| Err(failure.into_parts()));
            }
            Some(Err(error)) if error.kind() != ErrorKind::PermissionDenied => {}
            Some(Err(_)) if viewer.is_another() => return Ok(None),
            Some(result) => {
                refused.get_or_insert((path, result.ok()));
            }
        }
    }
    match refused {
        None => Err(exec::not_found(program, variables).into_parts()),
        Some((path, Some(metadata))) if !metadata.is_file() || metadata.mode() & 0o111 == 0 => {
            Err(exec::diagnose(program, &path, Errno::EACCES, &[], variables).into_parts())
        }
        Some((path, metadata)) => {
            let shown = quoted_path(&path);
            let rights = metadata.as_ref().map_or_else(String::new, rights);
            Err((format!("{shown} cannot be run{}: permission denied{rights}", viewer.shown()), None))
        }
    }
}

pub(super) fn directory(path: &Path, viewer: Viewer<'_>) -> Result<bool, String> {
    match viewer.metadata(path) {
        Some(Ok(metadata)) if !metadata.is_dir() => Err("it is not a directory".to_owned()),
        Some(Ok(metadata)) if !viewer.may(0o111, &metadata) => {
            Err(format!("it cannot be entered{}{}", viewer.shown(), rights(&metadata)))
        }
        None | Some(Ok(_)) => Ok(true),
        Some(Err(error)) if error.kind() == ErrorKind::NotFound => Ok(false),
        Some(Err(_)) if viewer.is_another() => Ok(true),
        Some(Err(error)) => Err(reason(&error)),
    }
}

/// The path that prevents making a directory there because it is not a directory itself.
pub(super) fn obstacle(path: &Path) -> Option<String> {
    let (there, metadata) = path.ancestors().find_map(|above| Some((above, above.metadata().ok()?)))?;
    match metadata.is_dir() {
        true => None,
        false if there == path => Some("a file is there".to_owned()),
        false => Some(format!("{} is not a directory", quoted_path(there))),
    }
}
