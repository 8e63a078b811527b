//! `mkdir`: makes missing directories for a user, with their parents.
//!
//! The user makes the directories that the user can make. Root makes only the first missing directory that
//! the user cannot make, and only where no other user can have prepared the place. For itself, root makes
//! directories anywhere, but follows no link that another user could have made.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Uid, fchmod, fstat, mkdirat, openat};
use rustix::io::Errno;

use crate::setup::steps::progress::Progress;
use crate::sys::{
    Credentials, DIRECTORY, Identity, Refusal, Step, Walk, acting_as, can_change, is_open_to_others,
};
use crate::text::{Failure, Kind, Result, bytes_of, escaped, quoted_path};

const DEFAULT: u32 = 0o777;
/// The mode of a new directory until its final mode is set.
const PRIVATE_MODE: u32 = 0o700;
/// This mode is used where another user could exchange the new directory for another one of root. No
/// directory keeps this mode, so one that has it was made a moment ago.
const MARKED_MODE: u32 = 0o1700;

type Made<T> = std::result::Result<T, Refusal>;

/// Makes missing directories, with their parents, for `owner`, or as this process. `mode` is exact and
/// applies to the named directories; their parents get a mode by the umask, as with `mkdir -p -m`. Existing
/// directories are not changed.
pub(crate) fn mkdir(
    paths: &[PathBuf], mode: Option<u32>, owner: Option<&Identity>, progress: &mut Progress<'_>,
) -> Result<()> {
    for path in paths {
        progress()?;
        let make_here = || match Credentials::observe() {
            _ if path.as_os_str().is_empty() => Err(Errno::NOENT.into()),
            myself if myself.is_root() => make_as_root(path, mode, None).map(|_| ()),
            _ => Ok(make(CWD, path, mode)?),
        };
        let mut made = acting_as(owner, || Ok(make_here()))?;
        // Only root can act as another user, so this process is root at this point.
        if let Err(Refusal::System(Errno::ACCESS | Errno::PERM)) = &made
            && owner.is_some_and(|owner| owner.uid != 0)
        {
            made = match make_as_root(path, mode, owner) {
                Ok(Some((at, rest))) => {
                    acting_as(owner, || Ok(make(at.as_fd(), &rest, mode)))?.map_err(Refusal::from)
                }
                done => done.map(|_| ()),
            };
        }
        made.map_err(|refusal| {
            let for_whom = owner.map(|owner| format!(" for user `{}`", owner.spec.shown()));
            let (shown, for_whom) = (quoted_path(path), for_whom.unwrap_or_default());
            Failure::new(Kind::System, format!("cannot make directory {shown}{for_whom}: {refusal}"))
                .field("directory", escaped(bytes_of(path)))
        })?;
    }
    Ok(())
}

fn make(at: BorrowedFd<'_>, path: &Path, mode: Option<u32>) -> rustix::io::Result<()> {
    let parts: Vec<&Path> = path.ancestors().filter(|each| !each.as_os_str().is_empty()).collect();
    parts.iter().rev().try_for_each(|part| make_one(at, part, mode.filter(|_| *part == path)))
}

/// Makes a directory with its parents as root. It walks the path itself, because the kernel would follow
/// every link, and a path that is resolved twice can lead to two places.
///
/// For an owner, who cannot do it, it passes through root's own directories, makes only the first missing
/// one, and gives it away. Returns the place where the owner makes the rest.
fn make_as_root(
    path: &Path, mode: Option<u32>, owner: Option<&Identity>,
) -> Made<Option<(OwnedFd, PathBuf)>> {
    let mut walk = Walk::begin(path)?;
    loop {
        if let Some(owner) = owner.filter(|_| !walk.rest.is_empty()) {
            let here = fstat(&walk.at)?;
            if here.st_uid == owner.uid {
                let rest = walk.rest.iter().rev().collect();
                return Ok(Some((walk.at, rest)));
            }
            if is_open_to_others(&here) {
                return Err(Refusal::Other(format!(
                    "root creates nothing below {}, which users other than root can write to",
                    quoted_path(&walk.shown)
                )));
            }
        }
        let name = match walk.step()? {
            Step::Entered => continue,
            Step::Arrived => return Ok(None),
            Step::Other(_) => return Err(Errno::NOTDIR.into()),
            // A broken link is an obstacle.
            Step::Missing(_) if walk.is_in_link() => return Err(Errno::NOTDIR.into()),
            Step::Missing(name) => name,
        };
        match (make_missing(&walk, &name, mode), owner) {
            // Another run has made it in the meantime.
            (Err(Refusal::System(Errno::EXIST)), _) => walk.rest.push(name),
            (new, None) => walk.enter(&name, new?),
            (new, Some(owner)) => {
                let (new, uid, gid) = (new?, Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
                // If it could not be given away, the next run would believe that it had been.
                rustix::fs::fchown(&new, Some(uid), Some(gid)).inspect_err(|_| {
                    let _ = rustix::fs::unlinkat(&walk.at, &name, AtFlags::REMOVEDIR);
                })?;
                let rest = walk.rest.iter().rev().collect();
                return Ok((!walk.rest.is_empty()).then_some((new, rest)));
            }
        }
    }
}

/// Makes the next directory of the path as root, and opens it. Where others can move root's files, it must
/// not be an exchanged directory of root, whose mode would be changed or which would get new directories.
fn make_missing(walk: &Walk, name: &OsStr, mode: Option<u32>) -> Made<OwnedFd> {
    let mode = mode.filter(|_| walk.rest.is_empty());
    if !can_change(&fstat(&walk.at)?) {
        // No other user can replace it, because its parent is root's.
        make_new(walk.at.as_fd(), Path::new(name), mode)?;
        return Ok(openat(&walk.at, name, DIRECTORY, Mode::empty())?);
    }
    let umask = rustix::process::umask(Mode::empty());
    let made = mkdirat(&walk.at, name, Mode::from_raw_mode(MARKED_MODE));
    rustix::process::umask(umask);
    made?;
    let place = || quoted_path(&walk.shown.join(name));
    let exchanged = |_| Refusal::Other(format!("{} was replaced in the meantime", place()));
    let new = openat(&walk.at, name, DIRECTORY, Mode::empty()).map_err(exchanged)?;
    let status = fstat(&new)?;
    // The set-group-id bit is inherited from the parent directory.
    if status.st_uid != 0 || status.st_mode & 0o5777 != MARKED_MODE {
        return Err(exchanged(Errno::EXIST));
    }
    let inherited = status.st_mode & 0o2000;
    let mode = mode.unwrap_or(DEFAULT & !umask.as_raw_mode() | inherited);
    fchmod(&new, Mode::from_raw_mode(mode))?;
    Ok(new)
}

/// Makes one directory unless it exists.
fn make_one(at: BorrowedFd<'_>, path: &Path, mode: Option<u32>) -> rustix::io::Result<()> {
    let made = make_new(at, path, mode);
    if made != Err(Errno::EXIST) {
        return made;
    }
    // A link to a directory counts as one, a broken link does not.
    let status = rustix::fs::statat(at, path, AtFlags::empty());
    let kind = status.map(|status| FileType::from_raw_mode(status.st_mode));
    if kind == Ok(FileType::Directory) { Ok(()) } else { Err(Errno::NOTDIR) }
}

/// Makes one directory that does not exist yet.
fn make_new(at: BorrowedFd<'_>, path: &Path, mode: Option<u32>) -> rustix::io::Result<()> {
    let first = Mode::from_raw_mode(if mode.is_some() { PRIVATE_MODE } else { DEFAULT });
    mkdirat(at, path, first)?;
    let Some(mode) = mode else { return Ok(()) };
    let new = openat(at, path, DIRECTORY, Mode::empty())?;
    // If others can write here, it may have been replaced, and root must not open that one up for them.
    if fstat(&new)?.st_uid != Credentials::observe().uid {
        return Err(Errno::PERM);
    }
    fchmod(&new, Mode::from_raw_mode(mode))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};

    use super::*;
    use crate::sys::entry::testing::{Needs, alone, directory, give, someone};

    fn mkdir(paths: &[PathBuf], mode: Option<u32>, owner: Option<&Identity>) -> Result<()> {
        super::mkdir(paths, mode, owner, &mut || Ok(()))
    }

    /// Owner, group, mode.
    fn status(path: &Path) -> (u32, u32, u32) {
        let status = std::fs::symlink_metadata(path).expect("it is there");
        assert!(status.is_dir(), "{}", path.display());
        (status.uid(), status.gid(), status.permissions().mode() & 0o7777)
    }

    #[test]
    fn a_directory_that_appears_is_not_taken_for_a_new_one() {
        let place = directory();
        std::fs::create_dir(place.path().join("x")).expect("made");
        let mut walk = Walk::begin(place.path()).expect("begun");
        while !matches!(walk.step().expect("no link"), Step::Arrived) {}
        let made = make_missing(&walk, OsStr::new("x"), None);
        assert_eq!(made.expect_err("another's"), Refusal::System(Errno::EXIST));
    }

    #[test]
    fn directories_are_made_with_their_parents_and_the_named_ones_get_the_mode() {
        alone(
            module_path!(),
            "directories_are_made_with_their_parents_and_the_named_ones_get_the_mode",
            Needs::Process,
            || {
                let place = directory();
                let at = |name: &str| place.path().join(name);
                rustix::process::umask(Mode::from_raw_mode(0o027));
                mkdir(&[at("a/b/c/"), at("d"), at("e/../f")], None, None).expect("made");
                for path in ["a", "a/b", "a/b/c", "d", "e", "f"] {
                    assert_eq!(status(&at(path)).2, 0o750, "{path}");
                }
                mkdir(&[at("m/n")], Some(0o2777), None).expect("made");
                assert_eq!((status(&at("m")).2, status(&at("m/n")).2), (0o750, 0o2777));
                // An existing directory is not changed.
                mkdir(&[at("a/b"), at("m/n"), PathBuf::from("/")], Some(0o700), None).expect("there");
                assert_eq!((status(&at("a/b")).2, status(&at("m/n")).2), (0o750, 0o2777));
                std::env::set_current_dir(place.path()).expect("it is there");
                mkdir(&[PathBuf::from("relative/x"), PathBuf::from("./y")], None, None).expect("made");
                assert_eq!((status(&at("relative/x")).2, status(&at("y")).2), (0o750, 0o750));
            },
        );
    }

    #[test]
    fn a_file_in_the_path_is_an_error() {
        let place = directory();
        let at = |name: &str| place.path().join(name);
        std::fs::write(at("file"), "").expect("written");
        symlink("nowhere", at("dangling")).expect("made");
        std::fs::create_dir(at("real")).expect("made");
        symlink("real", at("link")).expect("made");
        mkdir(&[at("link"), at("link/below")], None, None).expect("a link to a directory is one");
        assert!(at("real/below").is_dir());
        for path in ["file", "file/below", "dangling"] {
            let failure = mkdir(&[at(path)], None, None).expect_err("in the way");
            assert_eq!(failure.kind(), Kind::System);
            let path = at(path);
            let sentence =
                format!("cannot make directory `{}`: a part of its path is not a directory", path.display());
            assert_eq!(failure.sentence(), sentence);
        }
        mkdir(&[PathBuf::new()], None, None).expect_err("no path");
    }

    #[test]
    fn the_user_makes_the_directories_that_the_user_can_make() {
        alone(module_path!(), "the_user_makes_the_directories_that_the_user_can_make", Needs::Root, || {
            let place = directory();
            let at = |name: &str| place.path().join(name);
            std::fs::create_dir(at("theirs")).expect("made");
            give(&at("theirs"), 1000);
            mkdir(&[at("theirs/a/b")], Some(0o700), Some(&someone(1000))).expect("made");
            assert_eq!(status(&at("theirs/a")), (1000, 1000, 0o755));
            assert_eq!(status(&at("theirs/a/b")), (1000, 1000, 0o700));
        });
    }

    #[test]
    fn root_makes_directories_that_the_user_cannot_make_and_gives_them_away() {
        alone(
            module_path!(),
            "root_makes_directories_that_the_user_cannot_make_and_gives_them_away",
            Needs::Root,
            || {
                let place = directory();
                let at = |name: &str| place.path().join(name);
                mkdir(&[at("a/b/c")], Some(0o710), Some(&someone(1000))).expect("made");
                assert_eq!(status(&at("a")), (1000, 1000, 0o755));
                assert_eq!(status(&at("a/b")), (1000, 1000, 0o755));
                assert_eq!(status(&at("a/b/c")), (1000, 1000, 0o710));
                mkdir(&[at("d")], Some(0o1777), Some(&someone(1000))).expect("made");
                assert_eq!(status(&at("d")), (1000, 1000, 0o1777));
                // The path leads through a directory that the user cannot enter, and through a link of root.
                std::fs::create_dir_all(at("closed/x")).expect("made");
                std::fs::set_permissions(at("closed"), PermissionsExt::from_mode(0o700)).expect("changed");
                symlink("closed", at("link")).expect("made");
                mkdir(&[at("link/x/y/z")], None, Some(&someone(1000))).expect("made");
                assert_eq!(status(&at("closed/x")).0, 0);
                assert_eq!(status(&at("closed/x/y")).0, 1000);
                assert_eq!(status(&at("closed/x/y/z")).0, 1000);
                // The user can make more directories in their own one.
                mkdir(&[at("closed/x/y/more/still"), at("closed/x/y")], None, Some(&someone(1000)))
                    .expect("made");
                assert_eq!(status(&at("closed/x/y/more/still")).0, 1000);
            },
        );
    }

    #[test]
    fn root_does_not_follow_links_of_other_users() {
        alone(module_path!(), "root_does_not_follow_links_of_other_users", Needs::Root, || {
            let place = directory();
            let at = |name: &str| place.path().join(name);
            std::fs::create_dir(at("roots")).expect("made");
            std::fs::create_dir(at("theirs")).expect("made");
            symlink(at("roots"), at("theirs/link")).expect("made");
            give(&at("theirs/link"), 1000);
            give(&at("theirs"), 1000);
            symlink("roots", at("planted")).expect("made");
            give(&at("planted"), 1000);
            let me = someone(1000);
            for path in ["theirs/link/new", "planted/new"] {
                let failure = mkdir(&[at(path)], None, Some(&me)).expect_err("planted");
                assert_eq!(failure.kind(), Kind::System, "{path}");
                assert!(!at("roots/new").exists(), "{path}");
            }
            // Root creates nothing in another user's directory.
            let failure = mkdir(&[at("theirs/new")], None, Some(&someone(1001))).expect_err("not theirs");
            let place = at("theirs");
            let reason = format!(
                "root creates nothing below `{}`, which users other than root can write to",
                place.display()
            );
            assert!(failure.sentence().ends_with(&reason), "{}", failure.sentence());
            assert!(!at("theirs/new").exists());
        });
    }
}
