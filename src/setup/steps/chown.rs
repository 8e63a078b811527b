//! `chown`: changes the owner of trees. As with chown(1), programs lose their set-user-id and -group-id bits.
//!
//! It can walk a tree that others change at the same time, and never follows a link or crosses a mount. Only
//! the directories near the deepest one are kept open, so that the number of descriptors does not grow.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Statx, StatxFlags, Uid};
use rustix::io::Errno;

use crate::setup::state::{Setup, Task};
use crate::setup::steps::progress::{self, Progress};
use crate::sys::{DIRECTORY, Entry, Identity, identity, place};
use crate::text::{Failure, Kind, Level, Message, Result, bytes_of, escaped, of_errno as why, quoted_path};
use crate::value::{Expanded, Template};

/// The number of directories of a branch that are kept open.
const OPEN_LEVELS: usize = 16;
/// The name that means the open file or directory itself.
const ITSELF: &str = "";

impl Setup {
    pub(in crate::setup) fn chown(&mut self, task: &Task<'_>, paths: &[Template]) -> Result<()> {
        let log = self.world.log;
        let warn = |what: &str| {
            let message = Message::new(Level::Warning, format!("{} {what}", task.who()));
            log.emit(&message.field("step", &task.step.label));
        };
        if !self.world.myself.is_root() {
            if !std::mem::replace(&mut self.warned_of_chown, true) {
                warn("does nothing: only root can change the owner of files");
            }
            return Ok(());
        }
        let paths = self.paths(paths, task, "chown")?;
        let owner = match (&task.identity, &self.plan.user) {
            (Some(identity), _) => identity.clone(),
            (None, Some(user)) if !task.kept_root => self.users.look_up(user)?,
            _ => identity::resolve(&Expanded::open("0:0"))?,
        };
        let skips = |reason: &str| warn(&format!("skips {reason}"));
        chown(&paths, &owner, &skips, &mut progress::of(task.step, Instant::now(), &mut self.world))
    }
}

/// Gives the trees at `paths` to `owner`, changing only entries that differ, and directories last. Entries
/// that vanish meanwhile are skipped.
///
/// In the directory part of a path only root's links are followed; a link at the end is changed itself.
pub(crate) fn chown(
    paths: &[PathBuf], owner: &Identity, warn: &dyn Fn(&str), progress: &mut Progress<'_>,
) -> Result<()> {
    for tree in paths {
        ChownWalk { owner, warn, progress: &mut *progress, tree }.start()?;
    }
    Ok(())
}

struct ChownWalk<'a> {
    owner: &'a Identity,
    /// Reports a skipped entry and the reason.
    warn: &'a dyn Fn(&str),
    progress: &'a mut Progress<'a>,
    tree: &'a Path,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// The mount that holds it: the number of the mount, because one file system can be mounted several
    /// times, or its device on kernels before 5.8 and where statx(2) is filtered.
    mount: u64,
    place: (u64, u64),
    kind: FileType,
    owner: (u32, u32),
    has_other_names: bool,
}

/// Reads the state of an entry or, with an empty name, of an open file. It follows no links.
fn look(at: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<Seen> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    let status = rustix::fs::statat(at, name, flags)?;
    let mount = rustix::fs::statx(at, name, flags, StatxFlags::MNT_ID).ok();
    let has_number = |mount: &Statx| mount.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    Ok(Seen {
        mount: mount.filter(has_number).map_or(status.st_dev, |mount| mount.stx_mnt_id),
        place: place(&status),
        kind: FileType::from_raw_mode(status.st_mode),
        owner: (status.st_uid, status.st_gid),
        has_other_names: status.st_nlink > 1,
    })
}

fn enter(at: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<(OwnedFd, Seen)> {
    let open = rustix::fs::openat(at, name, DIRECTORY, Mode::empty())?;
    let seen = look(open.as_fd(), OsStr::new(ITSELF))?;
    Ok((open, seen))
}

/// A directory of the branch that the walk is in.
struct Opened {
    open: Option<OwnedFd>,
    seen: Seen,
    /// The subdirectories that are still to be entered.
    below: Vec<OsString>,
}

impl ChownWalk<'_> {
    fn start(&mut self) -> Result<()> {
        let entry = Entry::find(self.tree).map_err(|refusal| self.refused(self.tree, &refusal))?;
        (self.progress)()?;
        let (at, name) = (entry.directory.as_fd(), entry.name.as_os_str());
        let found = look(at, name).and_then(|top| {
            let is_tree = top.kind == FileType::Directory;
            if is_tree { enter(at, name).map(Some) } else { self.chown_file(at, name, &top).map(|()| None) }
        });
        let entered = found.map_err(|errno| self.refused(self.tree, &why(errno)))?;
        entered.map_or(Ok(()), |(open, top)| self.walk(open, top))
    }

    /// Walks a tree without recursion, because a deep tree would exhaust the program's stack.
    fn walk(&mut self, open: OwnedFd, top: Seen) -> Result<()> {
        let mut levels = vec![self.list(open, top)?];
        while let [above @ .., Opened { open: Some(here), seen, below }] = &mut levels[..] {
            let here = here.as_fd();
            if let Some(name) = below.pop() {
                match enter(here, &name) {
                    // Only the state of the open directory is reliable, so it is read again.
                    Ok((open, seen)) if seen.mount == top.mount => {
                        levels.push(self.list(open, seen)?);
                        // Directories far above are closed, and reopened from below later.
                        if let Some(far) = levels.len().checked_sub(OPEN_LEVELS + 1) {
                            levels[far].open = None;
                        }
                    }
                    // The entry is another mount, or has been replaced.
                    Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                    Err(errno) => return self.checked(Err(errno), here, &name),
                }
                continue;
            }
            if let Some(Opened { open: closed @ None, seen: outer, .. }) = above.last_mut() {
                let (open, now) = self.checked(enter(here, OsStr::new("..")), here, OsStr::new(ITSELF))?;
                if now.place != outer.place {
                    // If another user has moved it, root could end up anywhere.
                    return Err(self.refused(&self.path_of(here), &"it was moved in the meantime"));
                }
                *closed = Some(open);
            }
            self.checked(self.give(here, seen), here, OsStr::new(ITSELF))?;
            levels.pop();
        }
        Ok(())
    }

    fn list(&mut self, open: OwnedFd, seen: Seen) -> Result<Opened> {
        let at = open.as_fd();
        let mut below = Vec::new();
        for entry in self.checked(Dir::read_from(at), at, OsStr::new(ITSELF))? {
            let entry = self.checked(entry, at, OsStr::new(ITSELF))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            (self.progress)()?;
            match look(at, name) {
                Ok(found) if found.mount != seen.mount => {}
                Ok(found) if found.kind == FileType::Directory => below.push(name.to_owned()),
                found => match found.and_then(|found| self.chown_file(at, name, &found)) {
                    Err(Errno::NOENT) => {}
                    given => self.checked(given, at, name)?,
                },
            }
        }
        Ok(Opened { open: Some(open), seen, below })
    }

    /// Changes the owner of a non-directory. A file with other names that the user does not own is skipped,
    /// because a user who can write to the tree may have linked a file from elsewhere. Both checks and the
    /// change use a descriptor, because the name may point to another file at any moment.
    fn chown_file(&self, at: BorrowedFd<'_>, name: &OsStr, found: &Seen) -> rustix::io::Result<()> {
        if found.owner == (self.owner.uid, self.owner.gid) {
            return Ok(());
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(at, name, flags, Mode::empty())?;
        let seen = look(file.as_fd(), OsStr::new(ITSELF))?;
        if seen.kind == FileType::Directory || seen.mount != found.mount {
            return Ok(());
        }
        if seen.has_other_names && seen.owner.0 != self.owner.uid {
            let (path, user) = (self.path_of(file.as_fd()), self.owner.spec.shown());
            let why = format!("it has other names (hard links), and is not user `{user}`'s");
            (self.warn)(&format!("{}: {why}", quoted_path(&path)));
            return Ok(());
        }
        self.give(file.as_fd(), &seen)
    }

    /// Changes the owner of an open file, if it differs.
    fn give(&self, at: BorrowedFd<'_>, seen: &Seen) -> rustix::io::Result<()> {
        if seen.owner == (self.owner.uid, self.owner.gid) {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(self.owner.uid), Gid::from_raw(self.owner.gid));
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
        rustix::fs::chownat(at, ITSELF, Some(uid), Some(gid), flags)
    }

    fn checked<T>(&self, result: rustix::io::Result<T>, at: BorrowedFd<'_>, name: &OsStr) -> Result<T> {
        result.map_err(|errno| {
            let directory = self.path_of(at);
            let path = if name == ITSELF { directory } else { directory.join(name) };
            self.refused(&path, &why(errno))
        })
    }

    fn path_of(&self, at: BorrowedFd<'_>) -> PathBuf {
        let path = rustix::fs::readlink(format!("/proc/self/fd/{}", at.as_raw_fd()), Vec::new());
        path.map_or_else(|_| self.tree.to_owned(), |path| OsString::from_vec(path.into_bytes()).into())
    }

    fn refused(&self, path: &Path, reason: &dyn std::fmt::Display) -> Failure {
        let (shown, user, reason) = (quoted_path(path), self.owner.spec.shown(), reason.to_string());
        let tree = Some(quoted_path(self.tree)).filter(|tree| *tree != shown);
        let in_tree = tree.map(|tree| format!(" in {tree}")).unwrap_or_default();
        let sentence = format!("cannot change the owner of {shown}{in_tree} to user `{user}`: {reason}");
        let failure = Failure::new(Kind::System, sentence).field("path", escaped(bytes_of(path)));
        let hint = "it needs the capability CHOWN and a file system that is not read-only; \
                    `on-failure = \"warn\"` continues without";
        let is_denied = [why(Errno::PERM), why(Errno::ACCESS), why(Errno::ROFS)].contains(&reason);
        if is_denied { failure.hint(hint) } else { failure }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::sys::entry::testing::{Needs, alone, directory, give, someone};

    const OWNER: u32 = 12_345;

    fn to_owner(path: &Path) -> Result<()> {
        chown(&[path.to_owned()], &someone(OWNER), &|skipped| panic!("{skipped}"), &mut || Ok(()))
    }

    fn owner(path: &Path) -> (u32, u32) {
        let status = std::fs::symlink_metadata(path).expect("it is there");
        (status.uid(), status.gid())
    }

    #[track_caller]
    fn given(paths: &[PathBuf]) {
        for path in paths {
            assert_eq!(owner(path), (OWNER, OWNER), "{}", path.display());
        }
    }

    #[track_caller]
    fn kept(paths: &[PathBuf]) {
        for path in paths {
            assert_eq!(owner(path), (0, 0), "{}", path.display());
        }
    }

    #[test]
    fn a_tree_changes_its_owner_and_no_link_is_followed() {
        alone(module_path!(), "a_tree_changes_its_owner_and_no_link_is_followed", Needs::Root, || {
            let place = directory();
            let at = |name: &str| place.path().join(name);
            std::fs::create_dir_all(at("tree/a/b")).expect("made");
            std::fs::create_dir_all(at("other/below")).expect("made");
            std::fs::write(at("tree/a/file"), "").expect("written");
            std::fs::write(at("tree/a/b/.hidden"), "").expect("written");
            std::fs::write(at("other/file"), "").expect("written");
            symlink(at("other/file"), at("tree/to-file")).expect("made");
            symlink(at("other"), at("tree/a/to-directory")).expect("made");
            symlink("nowhere", at("tree/dangling")).expect("made");
            symlink("other", at("named")).expect("made");
            to_owner(&at("tree")).expect("given");
            to_owner(&at("named/")).expect("given");
            let paths = ["tree", "tree/a", "tree/a/b", "tree/a/file", "tree/a/b/.hidden", "tree/to-file"];
            given(&paths.map(at));
            given(&["tree/a/to-directory", "tree/dangling", "named"].map(at));
            kept(&["other", "other/file", "other/below"].map(at));
            // A file and a link are also trees; a link of root in the path is followed.
            symlink("other", at("way")).expect("made");
            to_owner(&at("way/file")).expect("given");
            given(&[at("other/file")]);
            kept(&[at("way"), at("other")]);
        });
    }

    #[test]
    fn only_entries_with_another_owner_are_changed() {
        alone(module_path!(), "only_entries_with_another_owner_are_changed", Needs::Root, || {
            let place = directory();
            let at = |name: &str| place.path().join(name);
            std::fs::create_dir(at("tree")).expect("made");
            for name in ["tree/right", "tree/wrong", "tree/half"] {
                std::fs::write(at(name), "").expect("written");
            }
            give(&at("tree"), OWNER);
            give(&at("tree/right"), OWNER);
            std::os::unix::fs::chown(at("tree/half"), Some(OWNER), None).expect("given");
            let changed = |name: &str| {
                let status = std::fs::symlink_metadata(at(name)).expect("there");
                (status.ctime(), status.ctime_nsec())
            };
            let before = (changed("tree"), changed("tree/right"));
            // The clock of the file system ticks slowly: a change before the next tick would not be visible.
            let probe = changed("tree/wrong");
            let deadline = Instant::now() + Duration::from_secs(10);
            while changed("tree/wrong") == probe {
                give(&at("tree/wrong"), 0);
                assert!(Instant::now() < deadline, "the clock of the file system stands still");
            }
            to_owner(&at("tree")).expect("given");
            given(&["tree", "tree/right", "tree/wrong", "tree/half"].map(at));
            assert_eq!((changed("tree"), changed("tree/right")), before);
            assert_ne!(changed("tree/wrong"), probe);
        });
    }

    #[test]
    fn a_missing_path_and_a_planted_link_are_errors() {
        alone(module_path!(), "a_missing_path_and_a_planted_link_are_errors", Needs::Root, || {
            let place = directory();
            let at = |name: &str| place.path().join(name);
            let failure = to_owner(&at("missing")).expect_err("missing");
            assert_eq!(failure.kind(), Kind::System);
            let (path, user) = (at("missing"), OWNER);
            let sentence = format!(
                "cannot change the owner of `{}` to user `{user}:{user}`: it does not exist",
                path.display()
            );
            assert_eq!(failure.sentence(), sentence);
            to_owner(&at("missing/below")).expect_err("missing");

            std::fs::create_dir_all(at("roots/tree")).expect("made");
            std::fs::create_dir(at("theirs")).expect("made");
            symlink(at("roots"), at("theirs/link")).expect("made");
            give(&at("theirs/link"), 1000);
            give(&at("theirs"), 1000);
            to_owner(&at("theirs/link/tree")).expect_err("planted");
            kept(&[at("roots/tree")]);
        });
    }

    #[test]
    fn mounts_in_a_tree_are_not_crossed_even_on_the_same_file_system() {
        let test = "mounts_in_a_tree_are_not_crossed_even_on_the_same_file_system";
        alone(module_path!(), test, Needs::Mounts, || {
            let place = directory();
            let at = |name: &str| place.path().join(name);
            for name in ["tree/same", "tree/other", "outside/below"] {
                std::fs::create_dir_all(at(name)).expect("made");
            }
            std::fs::write(at("tree/file"), "").expect("written");
            std::fs::write(at("outside/file"), "").expect("written");
            mount(&["--bind".as_ref(), at("outside").as_ref(), at("tree/same").as_ref()]);
            mount(&["--bind".as_ref(), at("outside/file").as_ref(), at("tree/file").as_ref()]);
            mount(&["-t".as_ref(), "tmpfs".as_ref(), "none".as_ref(), at("tree/other").as_ref()]);
            std::fs::write(at("tree/other/file"), "").expect("written");
            to_owner(&at("tree")).expect("given");
            given(&[at("tree")]);
            kept(&["outside", "outside/below", "outside/file", "tree/file", "tree/other"].map(at));
            kept(&[at("tree/other/file")]);
            // A mount that is named itself is changed like any other tree.
            to_owner(&at("tree/same")).expect("given");
            given(&["outside", "outside/below", "outside/file"].map(at));
        });
    }

    #[test]
    fn a_tree_can_be_deeper_than_the_number_of_descriptors() {
        alone(module_path!(), "a_tree_can_be_deeper_than_the_number_of_descriptors", Needs::Root, || {
            const DEPTH: usize = 2000;
            let place = directory();
            let descend = |path: &Path| rustix::fs::open(path, DIRECTORY, Mode::empty()).expect("opened");
            let below = |at: &OwnedFd, name: &str| {
                rustix::fs::openat(at, name, DIRECTORY, Mode::empty()).expect("opened")
            };
            // Each level has a second directory and files, in any order, so that listings are interrupted and
            // continued.
            let mut at = descend(place.path());
            for _ in 0..DEPTH {
                for name in ["d", "e"] {
                    rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(0o755)).expect("made");
                }
                let flags = OFlags::CREATE | OFlags::WRONLY;
                for name in ["a", "z"] {
                    rustix::fs::openat(&at, name, flags, Mode::from_raw_mode(0o644)).expect("made");
                }
                at = below(&at, "d");
            }
            drop(at);
            let limit = rustix::process::Rlimit { current: Some(64), maximum: Some(64) };
            rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).expect("limited");
            to_owner(place.path()).expect("given");
            let mut at = descend(place.path());
            for depth in 0..DEPTH {
                for name in [".", "d", "e", "a", "z"] {
                    let status = rustix::fs::statat(&at, name, AtFlags::SYMLINK_NOFOLLOW).expect("there");
                    assert_eq!((status.st_uid, status.st_gid), (OWNER, OWNER), "{name} at depth {depth}");
                }
                at = below(&at, "d");
            }
            remove(place.path());
        });
    }

    #[test]
    fn an_interrupted_deep_listing_is_continued() {
        alone(module_path!(), "an_interrupted_deep_listing_is_continued", Needs::Root, || {
            let place = directory();
            let mut paths = Vec::new();
            for number in 0..100 {
                let deep = "x/".repeat(OPEN_LEVELS + 4);
                paths.push(place.path().join(format!("{number}/{deep}file")));
                paths.push(place.path().join(format!("file-{number}")));
            }
            for path in &paths {
                std::fs::create_dir_all(path.parent().expect("it has one")).expect("made");
                std::fs::write(path, "").expect("written");
            }
            to_owner(place.path()).expect("given");
            given(&paths);
        });
    }

    #[test]
    fn progress_is_called_and_can_end_the_walk() {
        alone(module_path!(), "progress_is_called_and_can_end_the_walk", Needs::Root, || {
            let place = directory();
            for number in 0..2000 {
                std::fs::write(place.path().join(number.to_string()), "").expect("written");
            }
            let paths = [place.path().to_owned()];
            let mut asked = 0;
            let mut stop = || {
                asked += 1;
                if asked < 3 { Ok(()) } else { Err(Failure::new(Kind::Stopped(15), "stopped")) }
            };
            let failure = chown(&paths, &someone(OWNER), &|_| {}, &mut stop).expect_err("stopped");
            assert_eq!((failure.kind(), asked), (Kind::Stopped(15), 3));
            kept(&paths);
            chown(&paths, &someone(OWNER), &|_| {}, &mut || Ok(())).expect("given");
            given(&paths);
        });
    }

    #[test]
    fn a_file_with_hard_links_is_changed_only_if_the_user_owns_it() {
        let test = "a_file_with_hard_links_is_changed_only_if_the_user_owns_it";
        alone(module_path!(), test, Needs::Root, || {
            let place = directory();
            let at = |name: &str| place.path().join(name);
            std::fs::create_dir(at("tree")).expect("made");
            for name in ["roots", "theirs"] {
                std::fs::write(at(name), "").expect("written");
                std::fs::hard_link(at(name), at(&format!("tree/{name}"))).expect("linked");
            }
            std::os::unix::fs::chown(at("theirs"), Some(OWNER), Some(0)).expect("given");
            let skipped = std::cell::RefCell::new(Vec::new());
            let warn = |what: &str| skipped.borrow_mut().push(what.to_owned());
            let paths = [at("tree"), at("tree/roots")];
            chown(&paths, &someone(OWNER), &warn, &mut || Ok(())).expect("given");
            given(&["tree", "tree/theirs"].map(at));
            kept(&[at("roots")]);
            let reason = format!(
                "`{}`: it has other names (hard links), and is not user `{OWNER}:{OWNER}`'s",
                at("tree/roots").display()
            );
            assert_eq!(skipped.take(), [reason.clone(), reason]);
        });
    }

    fn mount(arguments: &[&OsStr]) {
        #![allow(clippy::disallowed_methods, reason = "mounts are made by mount(8)")]
        let status = std::process::Command::new("mount").args(arguments).status();
        assert!(status.expect("mount(8) is there").success());
    }

    /// The standard library would hold a descriptor for each level.
    fn remove(directory: &Path) {
        #![allow(clippy::disallowed_methods, reason = "rm(1) can remove a deep tree")]
        let status = std::process::Command::new("rm").arg("-rf").arg(directory).status();
        assert!(status.expect("rm(1) is there").success());
    }
}
