//! A name in a directory that is held open: how a step reaches a file, and how it writes one whole or not
//! at all.
//!
//! Must not know which step asks, or why. Root walks there (`walk.rs`); any other user is judged by the
//! kernel.

use std::ffi::OsString;
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{ErrorKind, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::sys::identity::Myself;
use crate::sys::walk::{DIRECTORY, HELD, Refusal, Step, Walk, working_directory};

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) directory: OwnedFd,
    pub(crate) name: OsString,
}

impl Entry {
    /// Opens the directory that `path` is in. What `path` itself is, a link or nothing at all, is not looked
    /// at.
    pub(crate) fn find(path: &Path) -> Result<Self, Refusal> {
        if path.as_os_str().is_empty() {
            return Err(Errno::NOENT.into());
        }
        // `/` and what ends in `..` name no entry of a directory that could be opened first.
        let (parent, name) = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => (parent, name.to_owned()),
            _ => (path, ".".into()),
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let missing = || Refusal::NoDirectory(parent.to_owned());
        if !Myself::observe().is_root() {
            let opened = rustix::fs::openat(CWD, parent, HELD, Mode::empty());
            let refused = |errno: Errno| if errno == Errno::NOENT { missing() } else { errno.into() };
            return Ok(Self { directory: opened.map_err(refused)?, name });
        }
        let mut walk = Walk::begin(parent)?;
        match walk.finish()? {
            Step::Missing(_) => Err(missing()),
            Step::Other(_) => Err(Errno::NOTDIR.into()),
            Step::Entered | Step::Arrived => Ok(Self { directory: walk.at, name }),
        }
    }

    fn reached(mut walk: Walk) -> Result<Self, Refusal> {
        match walk.finish()? {
            Step::Missing(_) => Err(Errno::NOENT.into()),
            Step::Other(name) => Ok(Self { directory: walk.at, name }),
            Step::Entered | Step::Arrived => Ok(Self { directory: walk.at, name: ".".into() }),
        }
    }

    /// The entry beside it whose name is this one's with `suffix`.
    pub(crate) fn beside(&self, suffix: &str) -> rustix::io::Result<Self> {
        let mut name = self.name.clone();
        name.push(suffix);
        Ok(Self { directory: rustix::io::fcntl_dupfd_cloexec(&self.directory, 3)?, name })
    }

    pub(crate) fn open(&self, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        rustix::fs::openat(&self.directory, &self.name, flags | OFlags::CLOEXEC, mode)
    }

    pub(crate) fn status(&self, flags: AtFlags) -> rustix::io::Result<Stat> {
        rustix::fs::statat(&self.directory, &self.name, flags)
    }

    /// Removes what is there, unless it is a directory; it may be gone already.
    pub(crate) fn remove(&self) {
        let _ = rustix::fs::unlinkat(&self.directory, &self.name, AtFlags::empty());
    }

    /// Puts a new file there, whole or not at all: written under a name that nobody can foresee, then
    /// renamed over what was there, be it a file or a link. Nothing is left behind where that fails.
    pub(crate) fn replace(&self, content: &[u8], mode: u32, keep: Keep) -> rustix::io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mut temporary = self.beside("")?;
        let mut tries = 0;
        let file = loop {
            // A dot in front and no extension of the destination's: what reads a directory's `*.conf` must
            // not see half a file. Not longer than any name may be, however long the destination's is.
            temporary.name = unforeseen().into();
            match temporary.open(flags, Mode::from_raw_mode(0o600)) {
                Err(Errno::EXIST) if tries < 8 => tries += 1,
                opened => break opened?,
            }
        };
        let written = write(&file, content, mode, keep).and_then(|()| {
            rustix::fs::renameat(&self.directory, &temporary.name, &self.directory, &self.name)
        });
        written.inspect_err(|_| temporary.remove())?;
        if keep == Keep::AfterCrash { self.sync() } else { Ok(()) }
    }

    /// Makes a file where nothing is, to be kept after a crash. Nothing is left behind where that fails.
    pub(crate) fn create(&self, content: &[u8], mode: u32) -> rustix::io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = self.open(flags, Mode::from_raw_mode(mode))?;
        let written = write(&file, content, mode, Keep::AfterCrash).and_then(|()| self.sync());
        written.inspect_err(|_| self.remove())
    }

    /// Keeps the directory as it is after a crash.
    fn sync(&self) -> rustix::io::Result<()> {
        // Whoever may write to a directory need not be allowed to read it, and then cannot sync it.
        rustix::fs::openat(&self.directory, ".", DIRECTORY, Mode::empty())
            .map_or(Ok(()), |directory| sync(&directory))
    }
}

/// How a file is opened so that a pipe or a terminal that has taken its place does not hold the run up; to be
/// read, unless something is added.
pub(crate) const UNHELD: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

pub(crate) fn regular_file(path: &Path) -> std::io::Result<File> {
    let file = File::from(rustix::fs::open(path, UNHELD | OFlags::CLOEXEC, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(ErrorKind::InvalidInput.into()) }
}

/// Opens what `path` leads to. Whoever chose a link that root followed would choose what root reads.
pub(crate) fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, Refusal> {
    if path.as_os_str().is_empty() || !Myself::observe().is_root() {
        return Ok(rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty())?);
    }
    // It may be a link by now.
    Ok(Entry::reached(Walk::begin(path)?)?.open(flags | OFlags::NOFOLLOW, Mode::empty())?)
}

/// What `path` leads to, where only root can have made the way there: each directory and each link on it, and
/// what is at its end, is root's, and nobody else can change it.
pub(crate) fn roots_alone(path: &Path) -> Result<Entry, Refusal> {
    let mut walk = Walk::of_roots_alone()?;
    if !path.is_absolute() {
        walk.push(&working_directory()?);
        walk.finish()?;
        if place(&rustix::fs::stat(".")?) != place(&walk.status()?) {
            return Err(Refusal::Other("the working directory has been moved".to_owned()));
        }
    }
    walk.push(path);
    Entry::reached(walk)
}

pub(crate) fn place(status: &Stat) -> (u64, u64) {
    (status.st_dev, status.st_ino)
}

/// What a new file must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    UntilCrash,
    AfterCrash,
}

/// Some file systems cannot sync, and say so: that is not a failure to write.
fn sync(file: &OwnedFd) -> rustix::io::Result<()> {
    match rustix::fs::fsync(file) {
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS | Errno::BADF) => Ok(()),
        result => result,
    }
}

pub(crate) fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Writes a new file, with this mode whatever the umask.
fn write(file: &OwnedFd, content: &[u8], mode: u32, keep: Keep) -> rustix::io::Result<()> {
    fill(file, content)?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?;
    if keep == Keep::AfterCrash { sync(file) } else { Ok(()) }
}

pub(crate) fn fill(file: &OwnedFd, content: &[u8]) -> rustix::io::Result<()> {
    let written = file.try_clone().and_then(|file| std::fs::File::from(file).write_all(content));
    written.map_err(|error| errno_of(&error))
}

/// A name that nobody can foresee. The standard library keys its hashes with random bytes of the
/// kernel's; that is random enough for a name, and needs neither `/dev/urandom` nor a crate.
pub(crate) fn unforeseen() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!(".preverb-{:016x}{:016x}", random(), random())
}

#[cfg(test)]
pub(crate) mod testing {
    //! Tests that change what belongs to the whole process: its ids, its umask, its mounts.

    use std::path::Path;
    use std::process::Command;

    use crate::skip::skip;
    use crate::sys::identity::Identity;

    const ALONE: &str = "PREVERB_TEST_ALONE";

    /// Where a test runs.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Needs {
        /// A process of its own.
        Process,
        /// And that as root.
        Root,
        /// And that with mounts of its own.
        Mounts,
    }

    /// Runs `body` in a process of its own: the test program itself, asked for this test alone. `module` is
    /// `module_path!()`, `test` the test's name. What that process said, where it ran.
    pub(crate) fn alone(module: &str, test: &str, needs: Needs, body: impl FnOnce()) -> Option<String> {
        #![allow(clippy::disallowed_methods, reason = "the one place of these tests that spawns")]
        if std::env::var_os(ALONE).is_some_and(|name| name == test) {
            body();
            return None;
        }
        if needs != Needs::Process && !nix::unistd::geteuid().is_root() {
            skip("it needs root");
            return None;
        }
        let own_mounts = ["unshare", "--mount", "--propagation", "private"];
        if needs == Needs::Mounts {
            let output = Command::new(own_mounts[0]).args(&own_mounts[1..]).arg("true").output();
            if !output.is_ok_and(|output| output.status.success()) {
                skip("no process may have a mount namespace");
                return None;
            }
        }
        let program = std::env::current_exe().expect("a test program knows itself");
        let mut command = if needs == Needs::Mounts {
            let mut command = Command::new(own_mounts[0]);
            command.args(&own_mounts[1..]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let (_, module) = module.split_once("::").expect("a module of this crate");
        let output = command
            .args(["--exact", &format!("{module}::{test}"), "--test-threads=1", "--nocapture"])
            .env(ALONE, test)
            .output()
            .expect("the test program starts");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        Some(said.into_owned())
    }

    /// The names in a directory, sorted.
    pub(crate) fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).expect("it is there");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("read").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }

    /// A user who owns nothing yet.
    pub(crate) fn someone(uid: u32) -> Identity {
        let spec = crate::value::template::Expanded::open(format!("{uid}:{uid}"));
        Identity { spec, uid, gid: uid, groups: vec![uid], home: "/".into() }
    }

    /// Gives a path, and not what it leads to, to a user.
    pub(crate) fn give(path: &Path, uid: u32) {
        std::os::unix::fs::lchown(path, Some(uid), Some(uid)).expect("root gives it");
    }

    /// A directory that everybody can go through, and only its owner can write to.
    pub(crate) fn directory() -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a directory is made");
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755))
            .expect("it is its owner's");
        directory
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::testing::{Needs, alone, directory, give};
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).expect("it is there");
        let mut names: Vec<_> =
            entries.map(|e| e.expect("read").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_put_there_with_the_mode_that_was_asked_for() {
        alone(module_path!(), "a_file_is_put_there_with_the_mode_that_was_asked_for", Needs::Process, || {
            rustix::process::umask(Mode::from_raw_mode(0o077));
            let place = directory();
            let file = place.path().join("file");
            let entry = Entry::find(&file).expect("the directory is there");
            entry.replace(b"one", 0o644, Keep::AfterCrash).expect("it is written");
            entry.replace(b"two", 0o666, Keep::UntilCrash).expect("it is written");
            assert_eq!(std::fs::read(&file).expect("it is there"), b"two");
            assert_eq!(std::fs::metadata(&file).expect("it is there").permissions().mode() & 0o7777, 0o666);
            assert_eq!(names(place.path()), ["file"]);
        });
    }

    #[test]
    fn nothing_is_left_behind_by_a_write_that_fails() {
        let place = directory();
        std::fs::create_dir(place.path().join("taken")).expect("made");
        let entry = Entry::find(&place.path().join("taken")).expect("the directory is there");
        assert_eq!(entry.replace(b"x", 0o644, Keep::UntilCrash), Err(Errno::ISDIR));
        assert_eq!(names(place.path()), ["taken"]);
    }

    #[test]
    fn a_name_as_long_as_a_name_can_be_is_written() {
        let place = directory();
        let name = "n".repeat(255);
        let entry = Entry::find(&place.path().join(&name)).expect("the directory is there");
        entry.replace(b"x", 0o644, Keep::UntilCrash).expect("it is written");
        assert_eq!(names(place.path()), [name]);
    }

    #[test]
    fn paths_that_name_no_entry_are_refused_or_mean_the_directory() {
        assert_eq!(Entry::find(Path::new("")).expect_err("empty"), Refusal::System(Errno::NOENT));
        assert_eq!(Entry::find(Path::new("/")).expect("there").name, ".");
        assert_eq!(Entry::find(Path::new("/tmp/..")).expect("there").name, ".");
        assert_eq!(Entry::find(Path::new("file")).expect("there").name, "file");
        let missing = Entry::find(Path::new("/nowhere/file")).expect_err("missing");
        assert_eq!(missing, Refusal::NoDirectory("/nowhere".into()));
        let through_file = Entry::find(Path::new("/dev/null/file")).expect_err("no directory");
        assert_eq!(through_file, Refusal::System(Errno::NOTDIR));
    }

    #[test]
    fn root_follows_its_own_links_and_no_others() {
        alone(module_path!(), "root_follows_its_own_links_and_no_others", Needs::Root, || {
            let place = directory();
            let at = |name: &str| place.path().join(name);
            std::fs::create_dir_all(at("real/below")).expect("made");
            symlink("real", at("link")).expect("made");
            symlink(at("link/below/../below"), at("absolute")).expect("made");
            Entry::find(&at("link/below/file")).expect("root's link");
            Entry::find(&at("absolute/file")).expect("root's link");
            symlink("loop", at("loop")).expect("made");
            let endless = Entry::find(&at("loop/file")).expect_err("a loop");
            assert_eq!(endless, Refusal::System(Errno::LOOP));

            symlink("real", at("planted")).expect("made");
            give(&at("planted"), 1000);
            let refused = Entry::find(&at("planted/below/file")).expect_err("another user's link");
            assert_eq!(refused, Refusal::Planted(at("planted")));

            // A link of root's that another user can have moved there is not safe either.
            std::fs::create_dir(at("theirs")).expect("made");
            symlink(at("real"), at("theirs/link")).expect("made");
            give(&at("theirs"), 1000);
            let refused = Entry::find(&at("theirs/link/file")).expect_err("another user's directory");
            assert_eq!(refused, Refusal::Planted(at("theirs/link")));
            give(&at("theirs"), 0);
            std::fs::set_permissions(at("theirs"), PermissionsExt::from_mode(0o777)).expect("changed");
            Entry::find(&at("theirs/link/file")).expect_err("everybody's directory");
            std::fs::set_permissions(at("theirs"), PermissionsExt::from_mode(0o1777)).expect("changed");
            Entry::find(&at("theirs/link/file")).expect("nobody can move it in a sticky directory");
        });
    }
}
