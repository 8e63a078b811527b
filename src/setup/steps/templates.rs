//! The templates that a `render` step reads: one file, or those of a tree. `--check` looks for the same ones.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, OFlags, fstat, statat};
use rustix::io::Errno;

use crate::setup::steps::progress::Progress;
use crate::sys::entry::{self, place};
use crate::sys::walk::Refusal;
use crate::text::failure::Failure;

pub(crate) const SUFFIX: &str = ".template";

#[derive(Debug)]
pub(crate) enum Templates {
    File,
    /// A directory: the paths of its templates below it, in bytewise order.
    Tree(Vec<PathBuf>),
    Other,
    Missing,
}

#[derive(Debug)]
pub(crate) enum Trouble {
    At(PathBuf, Refusal),
    Ended(Failure),
}

/// Opens a template; a pipe without a writer must not hold the run up.
pub(crate) fn open(path: &Path) -> Result<(OwnedFd, FileType), Refusal> {
    let file = entry::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
    let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
    Ok((file, kind))
}

/// Whether a path says that a directory is meant.
pub(crate) fn is_directorys(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/")
}

/// Finds the templates of `from`, which is rendered to `to`. Names that begin with a dot are skipped, so that
/// a mounted `ConfigMap` has each file once.
pub(crate) fn find(
    from: &Path,
    to: &Path,
    suffix: &[u8],
    progress: &mut Progress<'_>,
) -> Result<Templates, Trouble> {
    let (file, kind) = match open(from) {
        Err(Refusal::System(Errno::NOENT)) if is_directorys(from) || is_directorys(to) => {
            return Ok(Templates::Missing);
        }
        opened => opened.map_err(|refusal| Trouble::At(from.to_owned(), refusal))?,
    };
    if kind == FileType::Directory {
        let mut tree = Tree { top: from, suffix, above: Vec::new(), found: Vec::new(), progress };
        tree.walk(Path::new(""), file)?;
        tree.found.sort_unstable_by(|one, other| one.as_os_str().cmp(other.as_os_str()));
        return Ok(Templates::Tree(tree.found));
    }
    if is_directorys(from) {
        return Err(Trouble::At(from.to_owned(), Errno::NOTDIR.into()));
    }
    Ok(if kind == FileType::RegularFile { Templates::File } else { Templates::Other })
}

struct Tree<'t, 'p> {
    top: &'t Path,
    suffix: &'t [u8],
    above: Vec<(u64, u64)>,
    found: Vec<PathBuf>,
    progress: &'t mut Progress<'p>,
}

impl Tree<'_, '_> {
    fn walk(&mut self, below: &Path, directory: OwnedFd) -> Result<(), Trouble> {
        (self.progress)().map_err(Trouble::Ended)?;
        let directories = self.list(below, &directory);
        // Those below are not entered with all of those above open.
        drop(directory);
        let directories = directories.map_err(|refusal| Trouble::At(self.top.join(below), refusal))?;
        for name in directories {
            let below = below.join(name);
            let path = self.top.join(&below);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK;
            let directory = entry::open(&path, flags).map_err(|refusal| Trouble::At(path, refusal))?;
            self.walk(&below, directory)?;
        }
        self.above.pop();
        Ok(())
    }

    fn list(&mut self, below: &Path, directory: &OwnedFd) -> Result<Vec<OsString>, Refusal> {
        let id = place(&fstat(directory)?);
        if self.above.contains(&id) {
            return Err(Errno::LOOP.into());
        }
        self.above.push(id);
        let mut directories: Vec<OsString> = Vec::new();
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name.starts_with(b".") {
                continue;
            }
            let mut kind = entry.file_type();
            if matches!(kind, FileType::Symlink | FileType::Unknown)
                && let Ok(status) = statat(directory, entry.file_name(), AtFlags::empty())
            {
                kind = FileType::from_raw_mode(status.st_mode);
            }
            if name.len() > self.suffix.len() && name.ends_with(self.suffix) {
                self.found.push(below.join(OsStr::from_bytes(name)));
            } else if kind == FileType::Directory {
                directories.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(directories)
    }
}
