//! A name in a directory that is held open: how a step reaches a file, and how it writes one whole or not
//! at all.
//!
//! Must not know which step asks, or why. As root the way there is walked (`walk.rs`); anybody else is judged
//! by the kernel.

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::sys::identity::Myself;
use crate::sys::walk::{HELD, Refusal, Step, Walk};

/// A name in a directory.
#[derive(Debug)]
pub(crate) struct Entry {
    directory: OwnedFd,
    name: OsString,
}

impl Entry {
    /// Opens the directory that `path` stands in. What `path` itself is, a link or nothing at all, is
    /// not looked at.
    ///
    /// # Errors
    /// The directory is missing, or this process cannot or must not go there.
    pub(crate) fn find(path: &Path) -> Result<Self, Refusal> {
        if path.as_os_str().is_empty() {
            return Err(Errno::NOENT.into());
        }
        // `/` and what ends in `..` name no entry of a directory that could be opened first.
        let (parent, name) = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => (parent, name),
            _ => (path, OsStr::new(".")),
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let directory = if Myself::observe().is_root() {
            let mut walk = Walk::begin(parent)?;
            loop {
                match walk.step()? {
                    Step::Entered => {}
                    Step::Missing(_) => return Err(Refusal::NoDirectory(parent.to_owned())),
                    Step::Other(_) => return Err(Errno::NOTDIR.into()),
                    Step::Arrived => break walk.into_directory(),
                }
            }
        } else {
            rustix::fs::openat(CWD, parent, HELD, Mode::empty()).map_err(|errno| match errno {
                Errno::NOENT => Refusal::NoDirectory(parent.to_owned()),
                errno => errno.into(),
            })?
        };
        Ok(Self { directory, name: name.to_owned() })
    }

    /// The entry beside it whose name is this one's with `suffix`.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub(crate) fn beside(&self, suffix: &str) -> std::io::Result<Self> {
        let mut name = self.name.clone();
        name.push(suffix);
        Ok(Self { directory: self.directory.try_clone()?, name })
    }

    /// The directory.
    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// The name.
    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// Opens what is there.
    ///
    /// # Errors
    /// openat(2)'s.
    pub(crate) fn open(&self, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        rustix::fs::openat(&self.directory, self.name.as_os_str(), flags | OFlags::CLOEXEC, mode)
    }

    /// Removes what is there, which must be no directory.
    ///
    /// # Errors
    /// unlinkat(2)'s.
    pub(crate) fn remove(&self) -> rustix::io::Result<()> {
        rustix::fs::unlinkat(&self.directory, self.name.as_os_str(), AtFlags::empty())
    }

    /// Puts a new file there, whole or not at all: written under a name that nobody can foresee, then
    /// renamed over what was there, be it a file or a link.
    ///
    /// # Errors
    /// Whatever refuses; nothing is left behind then.
    pub(crate) fn replace(&self, content: &[u8], mode: u32, keep: Keep) -> rustix::io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mut tries = 0;
        let (temporary, file) = loop {
            // A dot in front and no extension of the destination's: what reads a directory's `*.conf` must
            // not see half a file. Not longer than any name may be, however long the destination's is.
            let temporary = Self {
                directory: self.directory.try_clone().map_err(|error| errno_of(&error))?,
                name: unforeseen().into(),
            };
            match temporary.open(flags, Mode::from_raw_mode(0o600)) {
                Ok(file) => break (temporary, file),
                Err(Errno::EXIST) if tries < 8 => tries += 1,
                Err(errno) => return Err(errno),
            }
        };
        let written = write(&file, content, mode, keep).and_then(|()| {
            let (from, to) = (temporary.name(), self.name());
            rustix::fs::renameat(&self.directory, from, &self.directory, to)
        });
        if let Err(errno) = written {
            let _ = temporary.remove();
            return Err(errno);
        }
        if keep == Keep::AfterCrash { self.sync() } else { Ok(()) }
    }

    /// Makes a file where nothing is, to be kept after a crash.
    ///
    /// # Errors
    /// Whatever refuses; nothing is left behind then.
    pub(crate) fn create(&self, content: &[u8], mode: u32) -> rustix::io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = self.open(flags, Mode::from_raw_mode(mode))?;
        let written = write(&file, content, mode, Keep::AfterCrash).and_then(|()| self.sync());
        written.inspect_err(|_| {
            let _ = self.remove();
        })
    }

    /// Keeps the directory as it is after a crash.
    fn sync(&self) -> rustix::io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // Whoever may write to a directory need not be allowed to read it, and then cannot sync it.
        match rustix::fs::openat(&self.directory, ".", flags, Mode::empty()) {
            Ok(directory) => synced(rustix::fs::fsync(directory)),
            Err(_) => Ok(()),
        }
    }
}

/// Opens what `path` leads to. Who chose a link that root followed would choose what root reads.
///
/// # Errors
/// It is missing, or this process cannot or must not go there.
pub(crate) fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, Refusal> {
    let flags = flags | OFlags::CLOEXEC;
    if path.as_os_str().is_empty() || !Myself::observe().is_root() {
        return Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?);
    }
    let mut walk = Walk::begin(path)?;
    let name = loop {
        match walk.step()? {
            Step::Entered => {}
            Step::Missing(_) => return Err(Errno::NOENT.into()),
            Step::Other(name) => break name,
            Step::Arrived => break ".".into(),
        }
    };
    // It may be a link by now.
    Ok(rustix::fs::openat(walk.at(), name, flags | OFlags::NOFOLLOW, Mode::empty())?)
}

/// Opens the directory that `path` leads to, and names what is in it, where only root can have made the way
/// there: each directory and each link on it, and what is at its end, is root's, and nobody else can change
/// it.
///
/// # Errors
/// The first thing on the way that is not root's alone; it is missing.
pub(crate) fn roots_alone(path: &Path) -> Result<Entry, Refusal> {
    let mut walk = Walk::of_roots_alone()?;
    if !path.is_absolute() {
        let here = path_of(rustix::process::getcwd(Vec::new())?.into_bytes());
        walk.push(&here);
        walk.finish()?;
        let (mine, there) = (rustix::fs::stat(".")?, walk.status()?);
        if (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino) {
            return Err(Refusal::Moved);
        }
    }
    walk.push(path);
    match walk.finish()? {
        Step::Missing(_) => Err(Errno::NOENT.into()),
        Step::Other(name) => Ok(Entry { directory: walk.into_directory(), name }),
        Step::Entered | Step::Arrived => Ok(Entry { directory: walk.into_directory(), name: ".".into() }),
    }
}

/// What a new file must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Nothing: it is written again when the system starts again.
    UntilCrash,
    /// The power's failing the moment after.
    AfterCrash,
}

/// Some file systems cannot sync, and say so: that is no failure to write.
fn synced(result: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match result {
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS | Errno::BADF) => Ok(()),
        result => result,
    }
}

/// The number of an error of the standard library's.
pub(crate) fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Writes a new file, with this mode whatever the umask.
fn write(file: &OwnedFd, content: &[u8], mode: u32, keep: Keep) -> rustix::io::Result<()> {
    fill(file, content)?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?;
    if keep == Keep::AfterCrash { synced(rustix::fs::fsync(file)) } else { Ok(()) }
}

/// Writes all of it.
///
/// # Errors
/// write(2)'s.
pub(crate) fn fill(file: &OwnedFd, content: &[u8]) -> rustix::io::Result<()> {
    let file = file.try_clone().map_err(|error| errno_of(&error))?;
    std::fs::File::from(file).write_all(content).map_err(|error| errno_of(&error))
}

/// A name that nobody can foresee. The standard library keys its hashes with random bytes of the
/// kernel's; that is random enough for a name, and needs neither `/dev/urandom` nor a crate.
pub(crate) fn unforeseen() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!(".preverb-{:016x}{:016x}", random(), random())
}

/// Bytes as a path.
pub(crate) fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
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

    /// Somebody who owns nothing yet.
    pub(crate) fn someone(uid: u32) -> Identity {
        let spec = crate::value::template::Expanded::open(format!("{uid}:{uid}"));
        Identity { spec, uid, gid: uid, groups: vec![uid], home: "/".into() }
    }

    /// Gives a path, and not what it leads to, to somebody.
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
        assert_eq!(Entry::find(Path::new("/")).expect("there").name(), ".");
        assert_eq!(Entry::find(Path::new("/tmp/..")).expect("there").name(), ".");
        assert_eq!(Entry::find(Path::new("file")).expect("there").name(), "file");
        let missing = Entry::find(Path::new("/nowhere/file")).expect_err("missing");
        assert_eq!(missing, Refusal::NoDirectory("/nowhere".into()));
        let through_file = Entry::find(Path::new("/dev/null/file")).expect_err("no directory");
        assert_eq!(through_file, Refusal::System(Errno::NOTDIR));
    }

    #[test]
    fn root_follows_its_own_links_and_nobody_elses() {
        alone(module_path!(), "root_follows_its_own_links_and_nobody_elses", Needs::Root, || {
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
            let refused = Entry::find(&at("planted/below/file")).expect_err("somebody's link");
            assert_eq!(refused, Refusal::Planted(at("planted")));

            // A link of root's that somebody else can have moved there is no better.
            std::fs::create_dir(at("theirs")).expect("made");
            symlink(at("real"), at("theirs/link")).expect("made");
            give(&at("theirs"), 1000);
            let refused = Entry::find(&at("theirs/link/file")).expect_err("somebody's directory");
            assert_eq!(refused, Refusal::Planted(at("theirs/link")));
            give(&at("theirs"), 0);
            std::fs::set_permissions(at("theirs"), PermissionsExt::from_mode(0o777)).expect("changed");
            Entry::find(&at("theirs/link/file")).expect_err("everybody's directory");
            std::fs::set_permissions(at("theirs"), PermissionsExt::from_mode(0o1777)).expect("changed");
            Entry::find(&at("theirs/link/file")).expect("nobody can move it in a sticky directory");
        });
    }
}
