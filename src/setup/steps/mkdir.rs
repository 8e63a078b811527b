//! `mkdir`: makes directories that are missing, with their parents, for a user.
//!
//! Knows who may make a directory where. The user makes what the user can make; only the first directory of a
//! path that the user cannot make is root's to make, and only where nobody but root can have prepared the
//! place. What root makes for itself it makes anywhere, and is led nowhere by a link that somebody else can
//! have put there.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::setup::steps::progress::Progress;
use crate::sys::identity::{Identity, Myself, acting_as};
use crate::sys::walk::{Refusal, Step, Walk, is_open_to_others};
use crate::text::escape::escaped;
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::quoted;
use crate::text::reason::of_errno as why;

/// The mode of a directory for which none is given, before the umask.
const DEFAULT: u32 = 0o777;
/// The mode of a directory until it has the one that is given.
const NARROW: u32 = 0o700;
/// The same where somebody else could put another one of root's in its place. No directory is left with this
/// mode, so that one which has it was made a moment ago.
const MARK: u32 = 0o1700;

/// Makes the directories that are missing, with their parents, for `owner`; without one, as this process.
/// `mode` is exact and for the directories that are named: their parents get what the umask leaves, as
/// with `mkdir -p -m`. A directory that is there stays as it is.
///
/// # Errors
/// System (71): something that is no directory is there, or the system or a planted link is in the way;
/// otherwise what `progress` returns.
pub(crate) fn mkdir(
    paths: &[PathBuf],
    mode: Option<u32>,
    owner: Option<&Identity>,
    progress: &mut Progress<'_>,
) -> Result<()> {
    for path in paths {
        progress()?;
        let make = || {
            if Myself::observe().is_root() { make_as_root(path, mode) } else { Ok(make(CWD, path, mode)?) }
        };
        match (acting_as(owner, || Ok(make()))?, owner) {
            (Ok(()), _) => {}
            // Without this process's being root nobody can be acted as, so this one is root again.
            (Err(Refusal::System(Errno::ACCESS | Errno::PERM)), Some(owner)) if owner.uid != 0 => {
                make_for(path, mode, owner)?;
            }
            (Err(refusal), _) => return Err(refused(path, owner, refusal)),
        }
    }
    Ok(())
}

fn refused(path: &Path, owner: Option<&Identity>, reason: impl std::fmt::Display) -> Failure {
    let for_whom = owner.map(|owner| format!(" for user `{}`", owner.spec.shown())).unwrap_or_default();
    let shown = quoted(path.as_os_str().as_bytes());
    Failure::say(Kind::System, format!("cannot make directory {shown}{for_whom}: {reason}"))
        .field("directory", escaped(path.as_os_str().as_bytes()))
}

/// Makes a directory with its parents as whoever this process is now.
fn make(at: BorrowedFd<'_>, path: &Path, mode: Option<u32>) -> std::result::Result<(), Errno> {
    let mut missing = Vec::new();
    let mut next = path;
    // Backwards, to what is there: most often that is all of it, or all but the last.
    while !make_one(at, next, mode.filter(|_| missing.is_empty()))? {
        missing.push(next);
        next = match next.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => return Err(Errno::NOENT),
        };
    }
    while let Some(next) = missing.pop() {
        if !make_one(at, next, mode.filter(|_| missing.is_empty()))? {
            return Err(Errno::NOENT);
        }
    }
    Ok(())
}

/// Makes a directory with its parents as root, which walks there itself: the kernel would follow every link,
/// and a path that is resolved twice can lead to two places.
fn make_as_root(path: &Path, mode: Option<u32>) -> std::result::Result<(), Refusal> {
    if path.as_os_str().is_empty() {
        return Err(Errno::NOENT.into());
    }
    let mut walk = Walk::begin(path)?;
    loop {
        match walk.step()? {
            Step::Entered => {}
            Step::Arrived => return Ok(()),
            Step::Other(_) => return Err(Errno::NOTDIR.into()),
            // A link that leads nowhere is in the way.
            Step::Missing(_) if walk.is_in_link() => return Err(Errno::NOTDIR.into()),
            Step::Missing(name) => {
                let mode = mode.filter(|_| walk.is_at_end());
                if is_open_to_others(&walk.status()?) {
                    let new = make_marked(&walk, &name, mode)?;
                    walk.enter(name, new);
                } else if make_one(walk.at(), Path::new(&name), mode)? {
                    walk.retry(name);
                } else {
                    return Err(Errno::NOENT.into());
                }
            }
        }
    }
}

/// Makes one directory as root where others can move what is root's, and opens it: it must not be another one
/// of root's whose mode is changed, or below which more is made.
fn make_marked(walk: &Walk, name: &OsStr, mode: Option<u32>) -> std::result::Result<OwnedFd, Refusal> {
    let umask = rustix::process::umask(Mode::empty());
    let made = rustix::fs::mkdirat(walk.at(), name, Mode::from_raw_mode(MARK));
    rustix::process::umask(umask);
    made?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let exchanged = |_| Refusal::Exchanged(walk.shown().join(name));
    let new = rustix::fs::openat(walk.at(), name, flags, Mode::empty()).map_err(exchanged)?;
    let status = rustix::fs::fstat(&new)?;
    // The group's bit is inherited from the directory that it is in.
    if status.st_uid != 0 || status.st_mode & 0o5777 != MARK {
        return Err(exchanged(Errno::EXIST));
    }
    let inherited = status.st_mode & 0o2000;
    let mode = mode.unwrap_or(DEFAULT & !umask.as_raw_mode() | inherited);
    rustix::fs::fchmod(&new, Mode::from_raw_mode(mode))?;
    Ok(new)
}

/// Makes one directory unless it is there; whether it is there then, or its parent is missing.
fn make_one(at: BorrowedFd<'_>, path: &Path, mode: Option<u32>) -> std::result::Result<bool, Errno> {
    let first = Mode::from_raw_mode(if mode.is_some() { NARROW } else { DEFAULT });
    match rustix::fs::mkdirat(at, path, first) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(false),
        Err(Errno::EXIST) => {
            // A link to a directory is one; a link that leads nowhere is not.
            let status = rustix::fs::statat(at, path, AtFlags::empty());
            let kind = status.map(|status| FileType::from_raw_mode(status.st_mode));
            return if kind == Ok(FileType::Directory) { Ok(true) } else { Err(Errno::NOTDIR) };
        }
        Err(errno) => return Err(errno),
    }
    if let Some(mode) = mode {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let new = rustix::fs::openat(at, path, flags, Mode::empty())?;
        // Where others can write it may be another one by now, and root must not open that up for them.
        if rustix::fs::fstat(&new)?.st_uid != Myself::observe().uid {
            return Err(Errno::EXIST);
        }
        rustix::fs::fchmod(&new, Mode::from_raw_mode(mode))?;
    }
    Ok(true)
}

/// Makes a directory as root for somebody who cannot: walks there through root's own directories, makes the
/// first that is missing, gives it away, and lets its owner make the rest.
fn make_for(path: &Path, mode: Option<u32>, owner: &Identity) -> Result<()> {
    let failure = |reason: &dyn std::fmt::Display| refused(path, Some(owner), reason);
    let mut walk = Walk::begin(path).map_err(|refusal| failure(&refusal))?;
    loop {
        let here = walk.status().map_err(|refusal| failure(&refusal))?;
        if walk.is_at_end() {
            return Ok(());
        }
        if here.st_uid == owner.uid {
            let rest = walk.rest(None);
            return acting_as(Some(owner), || Ok(make(walk.at(), &rest, mode)))?
                .map_err(|errno| failure(&why(errno)));
        }
        if is_open_to_others(&here) {
            let place = quoted(walk.shown().as_os_str().as_bytes());
            return Err(failure(&format!(
                "root makes nothing below {place}, which somebody other than root can write to"
            )));
        }
        let name = match walk.step().map_err(|refusal| failure(&refusal))? {
            Step::Entered => continue,
            Step::Arrived => return Ok(()),
            Step::Other(_) => return Err(failure(&why(Errno::NOTDIR))),
            Step::Missing(name) => name,
        };
        let own_mode = mode.filter(|_| walk.is_at_end());
        match make_one(walk.at(), Path::new(&name), own_mode) {
            Ok(true) => {}
            Ok(false) => return Err(failure(&why(Errno::NOENT))),
            Err(errno) => return Err(failure(&why(errno))),
        }
        // Nobody else can have put another one in its place: the directory that it is in is root's.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let given = rustix::fs::openat(walk.at(), name.as_os_str(), flags, Mode::empty()).and_then(|new| {
            rustix::fs::fchown(&new, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))?;
            Ok(new)
        });
        let new = match given {
            Ok(new) => new,
            Err(errno) => {
                // A directory that could not be given away would look to the next run as if it had been.
                let _ = rustix::fs::unlinkat(walk.at(), name.as_os_str(), AtFlags::REMOVEDIR);
                return Err(failure(&why(errno)));
            }
        };
        if walk.is_at_end() {
            return Ok(());
        }
        let rest = walk.rest(None);
        return acting_as(Some(owner), || Ok(make(new.as_fd(), &rest, mode)))?
            .map_err(|errno| failure(&why(errno)));
    }
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
                // What is there stays as it is.
                mkdir(&[at("a/b"), at("m/n"), PathBuf::from("/")], Some(0o700), None).expect("there");
                assert_eq!((status(&at("a/b")).2, status(&at("m/n")).2), (0o750, 0o2777));
                std::env::set_current_dir(place.path()).expect("it is there");
                mkdir(&[PathBuf::from("relative/x"), PathBuf::from("./y")], None, None).expect("made");
                assert_eq!((status(&at("relative/x")).2, status(&at("y")).2), (0o750, 0o750));
            },
        );
    }

    #[test]
    fn what_is_no_directory_is_in_the_way() {
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
                format!("cannot make directory `{}`: a part of its path is no directory", path.display());
            assert_eq!(failure.sentence(), sentence);
        }
        mkdir(&[PathBuf::new()], None, None).expect_err("no path");
    }

    #[test]
    fn the_user_makes_what_the_user_can_make() {
        alone(module_path!(), "the_user_makes_what_the_user_can_make", Needs::Root, || {
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
    fn root_makes_and_gives_what_the_user_cannot_make() {
        alone(module_path!(), "root_makes_and_gives_what_the_user_cannot_make", Needs::Root, || {
            let place = directory();
            let at = |name: &str| place.path().join(name);
            mkdir(&[at("a/b/c")], Some(0o710), Some(&someone(1000))).expect("made");
            assert_eq!(status(&at("a")), (1000, 1000, 0o755));
            assert_eq!(status(&at("a/b")), (1000, 1000, 0o755));
            assert_eq!(status(&at("a/b/c")), (1000, 1000, 0o710));
            mkdir(&[at("d")], Some(0o1777), Some(&someone(1000))).expect("made");
            assert_eq!(status(&at("d")), (1000, 1000, 0o1777));
            // Behind a directory that the user cannot even enter, and through a link of root's.
            std::fs::create_dir_all(at("closed/x")).expect("made");
            std::fs::set_permissions(at("closed"), PermissionsExt::from_mode(0o700)).expect("changed");
            symlink("closed", at("link")).expect("made");
            mkdir(&[at("link/x/y/z")], None, Some(&someone(1000))).expect("made");
            assert_eq!(status(&at("closed/x")).0, 0);
            assert_eq!(status(&at("closed/x/y")).0, 1000);
            assert_eq!(status(&at("closed/x/y/z")).0, 1000);
            // What is theirs already is theirs to go on with.
            mkdir(&[at("closed/x/y/more/still"), at("closed/x/y")], None, Some(&someone(1000)))
                .expect("made");
            assert_eq!(status(&at("closed/x/y/more/still")).0, 1000);
        });
    }

    #[test]
    fn root_is_led_nowhere_by_what_others_planted() {
        alone(module_path!(), "root_is_led_nowhere_by_what_others_planted", Needs::Root, || {
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
            // Somebody else's directory is no place for root to make things in.
            let failure = mkdir(&[at("theirs/new")], None, Some(&someone(1001))).expect_err("not theirs");
            let place = at("theirs");
            let reason = format!(
                "root makes nothing below `{}`, which somebody other than root can write to",
                place.display()
            );
            assert!(failure.sentence().ends_with(&reason), "{}", failure.sentence());
            assert!(!at("theirs/new").exists());
        });
    }
}
