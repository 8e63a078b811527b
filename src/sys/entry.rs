//! File access through descriptors: a walk along a path, one name at a time, and entries of a directory that
//! is held open. Steps use them to reach a file and to write it atomically.
//!
//! The kernel would follow every link, and would resolve a name again each time. Root follows no link that
//! another user could have made, and resolves no name twice. Any other user relies on the kernel's checks.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, StatVfsMountFlags, fstat, fstatvfs};
use rustix::io::Errno;
use rustix::process::{chdir, fchdir};

use crate::sys::identity::{Credentials, Identity, acting_as};
use crate::text::{of_errno, path_of, quoted_path};

/// The maximum number of links in a path, like in the kernel (`path_resolution(7)`).
const MOST_LINKS: usize = 40;
const PLANTED: &str = "is a symbolic link that users other than root could have created, and root does not \
                       follow such links";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    System(Errno),
    NoDirectory(PathBuf),
    /// The path leads through a link that a user other than root could have made.
    Planted(PathBuf),
    NotRoots(String),
    Other(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(errno) => f.write_str(&of_errno(*errno)),
            Self::NoDirectory(path) => write!(f, "its directory {} does not exist", quoted_path(path)),
            Self::Planted(link) => write!(f, "{} {PLANTED}", quoted_path(link)),
            Self::NotRoots(sentence) | Self::Other(sentence) => f.write_str(sentence),
        }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

/// Enters a directory, as root or as the first of `users` who can. Users never enter a directory that they
/// could not enter themselves, unless only root can have chosen it. Root follows no links of other users.
pub(crate) fn change_directory(path: &Path, root: bool, users: &[&Identity]) -> Result<(), Refusal> {
    if !Credentials::observe().is_root() {
        return Ok(chdir(path)?);
    }
    if root {
        // Root without DAC_OVERRIDE cannot enter every directory.
        let entered = Walk::begin(path).and_then(Walk::change_directory);
        if users.is_empty() || entered != Err(Refusal::System(Errno::ACCESS)) {
            return entered;
        }
    }
    match as_one_of(users, &|| chdir(path)) {
        // The error to report is the one of the users.
        Err(Errno::ACCESS) => match Walk::new_root_only(path).and_then(Walk::change_directory) {
            Err(Refusal::NotRoots(_)) => Err(Errno::ACCESS.into()),
            entered => entered,
        },
        entered => Ok(entered?),
    }
}

/// Enters a directory that a user chose, as the first of `users` who can.
pub(crate) fn change_directory_as(path: &Path, users: &[&Identity]) -> Result<(), Refusal> {
    Ok(as_one_of(users, &|| chdir(path))?)
}

pub(crate) fn change_directory_to(directory: &OwnedFd, users: &[&Identity]) -> Result<(), Refusal> {
    match fchdir(directory) {
        Err(Errno::ACCESS) => Ok(as_one_of(users, &|| fchdir(directory))?),
        entered => Ok(entered?),
    }
}

fn as_one_of(users: &[&Identity], work: &dyn Fn() -> rustix::io::Result<()>) -> rustix::io::Result<()> {
    let tried = users.iter().filter_map(|user| acting_as(Some(user), || Ok(work())).ok());
    tried.into_iter().find(|result| *result != Err(Errno::ACCESS)).unwrap_or(Err(Errno::ACCESS))
}

/// Opens a directory that is only passed through.
pub(crate) fn passage(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}

/// The flags for a directory whose name must not be a link.
pub(crate) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Whether users other than root can create entries there.
pub(crate) fn is_open_to_others(directory: &Stat) -> bool {
    let group_is_roots = directory.st_gid == 0 && directory.st_mode & 0o002 == 0;
    directory.st_uid != 0 || (!group_is_roots && can_change(directory))
}

/// Also distrusts members of root's own group, and of an access control list: the group's bits are its mask.
pub(crate) fn can_change(directory: &Stat) -> bool {
    directory.st_uid != 0 || (directory.st_mode & 0o022 != 0 && directory.st_mode & 0o1000 == 0)
}

pub(crate) struct Walk {
    pub(crate) at: OwnedFd,
    pub(crate) shown: PathBuf,
    /// The names that are left, the next one last.
    pub(crate) rest: Vec<OsString>,
    links: usize,
    /// The length of `rest` at the first link of the path; until `rest` is shorter, the walk is in the link.
    own: usize,
    root_only: bool,
}

pub(crate) enum Step {
    Entered,
    Missing(OsString),
    Other(OsString),
    Arrived,
}

impl Walk {
    pub(crate) fn begin(path: &Path) -> Result<Self, Refusal> {
        let shown = PathBuf::from(if path.is_absolute() { "/" } else { "." });
        let at = passage(&shown)?;
        let mut walk = Self { at, shown, rest: Vec::new(), links: 0, own: usize::MAX, root_only: false };
        walk.push(path);
        Ok(walk)
    }

    /// Passes only through directories and links, and to a file, that are root's alone: they belong to root,
    /// and no other user can change them.
    pub(crate) fn new_root_only(path: &Path) -> Result<Self, Refusal> {
        let start = if path.is_absolute() { PathBuf::from("/") } else { working_directory()? };
        let mut walk = Self { root_only: true, ..Self::begin(&start)? };
        walk.finish()?;
        if !path.is_absolute() && place(&rustix::fs::stat(".")?) != place(&fstat(&walk.at)?) {
            return Err(Refusal::Other("the working directory has been moved".to_owned()));
        }
        walk.push(path);
        Ok(walk)
    }

    /// Walks to the end. Returns the last name if it is not a directory.
    fn finish(&mut self) -> Result<Option<OsString>, Refusal> {
        loop {
            match self.step()? {
                Step::Entered => {}
                Step::Arrived => return Ok(None),
                Step::Other(name) => return Ok(Some(name)),
                Step::Missing(_) => return Err(Errno::NOENT.into()),
            }
        }
    }

    fn directory(mut self) -> Result<OwnedFd, Refusal> {
        if self.finish()?.is_some() { Err(Errno::NOTDIR.into()) } else { Ok(self.at) }
    }

    /// The entry at the end, which is `.` for a directory.
    pub(crate) fn entry(mut self) -> Result<Entry, Refusal> {
        let name = self.finish()?.unwrap_or(".".into());
        Ok(Entry { directory: self.at, name })
    }

    fn change_directory(self) -> Result<(), Refusal> {
        Ok(fchdir(self.directory()?)?)
    }

    /// Refuses entries that others can change. In root's sticky directories others cannot move root's files.
    fn check(&self, name: &OsStr, status: &Stat) -> Result<(), Refusal> {
        let shown = || quoted_path(&self.shown.join(name));
        let (kind, mode) = (FileType::from_raw_mode(status.st_mode), status.st_mode & 0o7777);
        let is_sticky = kind == FileType::Directory && mode & 0o1000 != 0;
        Err(Refusal::NotRoots(if status.st_uid != 0 {
            format!("{} belongs to uid {}", shown(), status.st_uid)
        } else if kind != FileType::Symlink && !is_sticky && mode & 0o022 != 0 {
            format!("{} is writable by users other than root (mode {mode:04o})", shown())
        } else {
            return Ok(());
        }))
    }

    pub(crate) fn push(&mut self, path: &Path) {
        let components = path.components().filter(|each| *each != Component::CurDir);
        self.rest.extend(components.rev().map(|each| each.as_os_str().to_owned()));
    }

    pub(crate) fn step(&mut self) -> Result<Step, Refusal> {
        let Some(name) = self.rest.pop() else { return Ok(Step::Arrived) };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let next = match rustix::fs::openat(&self.at, name.as_os_str(), flags, Mode::empty()) {
            Ok(next) => next,
            Err(Errno::NOENT) if self.root_only && fstat(&self.at)?.st_mode & 0o022 != 0 => {
                let shown = quoted_path(&self.shown.join(&name));
                return Err(Refusal::NotRoots(format!("{shown} is missing, and others can put it there")));
            }
            Err(Errno::NOENT) => return Ok(Step::Missing(name)),
            Err(errno) => return Err(errno.into()),
        };
        let status = fstat(&next)?;
        if self.root_only {
            self.check(&name, &status)?;
        }
        let kind = FileType::from_raw_mode(status.st_mode);
        if kind == FileType::Directory {
            self.enter(&name, next);
        } else if kind == FileType::Symlink {
            self.links += 1;
            if self.links > MOST_LINKS {
                return Err(Errno::LOOP.into());
            }
            // No process of this container can create entries on a read-only mount. Kubernetes mounts a
            // `ConfigMap` like that; its directory has the mode 0777.
            let is_read_only =
                || fstatvfs(&self.at).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY));
            if status.st_uid != 0 || (is_open_to_others(&fstat(&self.at)?) && !is_read_only()) {
                return Err(Refusal::Planted(self.shown.join(&name)));
            }
            // This reads the link that was checked; the name may point to another one by now.
            let target = rustix::fs::readlinkat(&next, "", Vec::new())?;
            self.own = self.own.min(self.rest.len());
            self.push(path_of(target.as_bytes()));
        } else {
            return if self.rest.is_empty() { Ok(Step::Other(name)) } else { Err(Errno::NOTDIR.into()) };
        }
        Ok(Step::Entered)
    }

    pub(crate) fn is_in_link(&self) -> bool {
        self.rest.len() >= self.own
    }

    pub(crate) fn enter(&mut self, name: &OsStr, directory: OwnedFd) {
        // The walked path contains no links, so this is the target of `..`.
        if name == ".." {
            self.shown.pop();
        } else {
            self.shown.push(name);
        }
        self.at = directory;
    }
}

/// The working directory of this process, as the kernel reports it; an error if it is gone or unreachable.
pub(crate) fn working_directory() -> rustix::io::Result<PathBuf> {
    let path = PathBuf::from(OsString::from_vec(rustix::process::getcwd(Vec::new())?.into_bytes()));
    // The error is not NOENT, because a file in it may exist and may be anyone's.
    if path.is_absolute() { Ok(path) } else { Err(Errno::ACCESS) }
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) directory: OwnedFd,
    pub(crate) name: OsString,
}

impl Entry {
    /// Opens the parent directory of `path`, no matter whether `path` itself is a link or missing.
    pub(crate) fn find(path: &Path) -> Result<Self, Refusal> {
        if path.as_os_str().is_empty() {
            return Err(Errno::NOENT.into());
        }
        // `/` and paths that end in `..` have no parent directory that could be opened first.
        let (parent, name) = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => (parent, name.to_owned()),
            _ => (path, ".".into()),
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let is_root = Credentials::observe().is_root();
        let at = if is_root { Walk::begin(parent)?.directory() } else { passage(parent).map_err(Into::into) };
        match at {
            Err(Refusal::System(Errno::NOENT)) => Err(Refusal::NoDirectory(parent.to_owned())),
            directory => Ok(Self { directory: directory?, name }),
        }
    }

    /// The entry in the same directory whose name has `suffix` added.
    pub(crate) fn sibling(&self, suffix: &str) -> rustix::io::Result<Self> {
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

    /// Removes the entry unless it is a directory. It may be gone already.
    pub(crate) fn remove(&self) {
        let _ = rustix::fs::unlinkat(&self.directory, &self.name, AtFlags::empty());
    }

    /// Creates a new file atomically: it is written under an unpredictable name, and then renamed over the
    /// old file or link. A failure leaves nothing behind.
    pub(crate) fn replace(&self, content: &[u8], mode: u32, keep: Keep) -> rustix::io::Result<()> {
        // It has a leading dot and another extension, so that programs which read `*.conf` never see half a
        // file. The destination's name may already be at the length limit, so this one has a fixed length.
        let name = unpredictable_name();
        let rename = || rustix::fs::renameat(&self.directory, &name, &self.directory, &self.name);
        write(&self.directory, OsStr::new(&name), content, mode, keep, &rename)?;
        if keep == Keep::AfterCrash { self.sync() } else { Ok(()) }
    }

    /// Creates a file that does not exist yet, durably. A failure leaves nothing behind.
    pub(crate) fn create(&self, content: &[u8], mode: u32) -> rustix::io::Result<()> {
        write(&self.directory, &self.name, content, mode, Keep::AfterCrash, &|| self.sync())
    }

    fn sync(&self) -> rustix::io::Result<()> {
        // A user who can write to a directory may not be able to read it; then it cannot be synced.
        rustix::fs::openat(&self.directory, ".", DIRECTORY, Mode::empty())
            .map_or(Ok(()), |directory| sync(&directory))
    }
}

/// The flags for reading, with which opening a pipe or a terminal in the place of a file does not block.
pub(crate) const NONBLOCKING: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

pub(crate) fn regular_file(path: &Path) -> std::io::Result<File> {
    let file = File::from(rustix::fs::open(path, NONBLOCKING | OFlags::CLOEXEC, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(ErrorKind::InvalidInput.into()) }
}

/// Reads a regular file, up to a size that no script or template reaches.
pub(crate) fn regular_text(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    regular_file(path)?.take(16 << 20).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens the target of `path`. Root follows only safe links, or their owner would choose what root reads.
pub(crate) fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, Refusal> {
    if path.as_os_str().is_empty() || !Credentials::observe().is_root() {
        return Ok(rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty())?);
    }
    // It may have become a link in the meantime.
    Ok(Walk::begin(path)?.entry()?.open(flags | OFlags::NOFOLLOW, Mode::empty())?)
}

pub(crate) fn place(status: &Stat) -> (u64, u64) {
    (status.st_dev, status.st_ino)
}

/// Whether a new file must survive a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    UntilCrash,
    AfterCrash,
}

/// Some file systems cannot sync and report that; the write itself has succeeded.
fn sync(file: &OwnedFd) -> rustix::io::Result<()> {
    match rustix::fs::fsync(file) {
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS | Errno::BADF) => Ok(()),
        result => result,
    }
}

pub(crate) fn errno_of(error: &std::io::Error) -> Errno {
    let wants_memory = error.kind() == ErrorKind::OutOfMemory;
    Errno::from_io_error(error).unwrap_or(if wants_memory { Errno::NOMEM } else { Errno::IO })
}

/// Writes a new file, with exactly this mode, and does the `rest`. A failure leaves nothing behind.
fn write(
    directory: &OwnedFd, name: &OsStr, content: &[u8], mode: u32, keep: Keep,
    rest: &dyn Fn() -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o600))?;
    let written = fill(&file, content)
        .and_then(|()| rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)))
        .and_then(|()| if keep == Keep::AfterCrash { sync(&file) } else { Ok(()) });
    written.and_then(|()| rest()).inspect_err(|_| {
        let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
    })
}

pub(crate) fn fill(file: &OwnedFd, content: &[u8]) -> rustix::io::Result<()> {
    let written = file.try_clone().and_then(|file| File::from(file).write_all(content));
    written.map_err(|error| errno_of(&error))
}

/// The standard library seeds its hashes from the kernel; that needs neither `/dev/urandom` nor a crate.
pub(crate) fn unpredictable_name() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!(".preverb-{:016x}{:016x}", random(), random())
}

#[cfg(test)]
pub(crate) mod testing {
    //! Tests that change state of the whole process: its ids, its umask, its mounts.

    use std::path::Path;
    use std::process::Command;

    use crate::skip::skip;
    use crate::sys::identity::Identity;

    const ALONE: &str = "PREVERB_TEST_ALONE";

    /// The process that a test needs.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Needs {
        /// A separate process.
        Process,
        /// A separate process of root.
        Root,
        /// A separate process of root, with its own mount namespace.
        Mounts,
    }

    /// Runs `body` in a separate process: the test program, started for this test alone. `module` is
    /// `module_path!()`, `test` is the test's name. Returns the output of that process, if it ran.
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
        let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
        Some(printed.into_owned())
    }

    /// The names in a directory, sorted.
    pub(crate) fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).expect("it is there");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("read").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }

    /// A user who does not own any files yet.
    pub(crate) fn someone(uid: u32) -> Identity {
        let spec = crate::value::template::Expanded::open(format!("{uid}:{uid}"));
        Identity { spec, uid, gid: uid, groups: vec![uid], home: b"/".to_vec() }
    }

    /// Changes the owner of a path itself, and not of a link's target.
    pub(crate) fn give(path: &Path, uid: u32) {
        std::os::unix::fs::lchown(path, Some(uid), Some(uid)).expect("root gives it");
    }

    /// A directory that everyone can enter and only its owner can write to.
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
    fn a_new_file_has_the_requested_mode() {
        alone(module_path!(), "a_new_file_has_the_requested_mode", Needs::Process, || {
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
    fn a_failed_write_leaves_no_file() {
        let place = directory();
        std::fs::create_dir(place.path().join("taken")).expect("made");
        let entry = Entry::find(&place.path().join("taken")).expect("the directory is there");
        assert_eq!(entry.replace(b"x", 0o644, Keep::UntilCrash), Err(Errno::ISDIR));
        assert_eq!(names(place.path()), ["taken"]);
    }

    #[test]
    fn a_file_with_a_name_of_maximum_length_is_written() {
        let place = directory();
        let name = "n".repeat(255);
        let entry = Entry::find(&place.path().join(&name)).expect("the directory is there");
        entry.replace(b"x", 0o644, Keep::UntilCrash).expect("it is written");
        assert_eq!(names(place.path()), [name]);
    }

    #[test]
    fn paths_without_a_last_name_are_refused_or_mean_the_directory() {
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
    fn root_follows_only_its_own_links() {
        alone(module_path!(), "root_follows_only_its_own_links", Needs::Root, || {
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

            // Another user could have moved a link of root here, so it is not safe.
            std::fs::create_dir(at("theirs")).expect("made");
            symlink(at("real"), at("theirs/link")).expect("made");
            give(&at("theirs"), 1000);
            let refused = Entry::find(&at("theirs/link/file")).expect_err("another user's directory");
            assert_eq!(refused, Refusal::Planted(at("theirs/link")));
            give(&at("theirs"), 0);
            std::fs::set_permissions(at("theirs"), PermissionsExt::from_mode(0o777)).expect("changed");
            Entry::find(&at("theirs/link/file")).expect_err("everybody's directory");
            std::fs::set_permissions(at("theirs"), PermissionsExt::from_mode(0o1777)).expect("changed");
            Entry::find(&at("theirs/link/file")).expect("no other user can move it in a sticky directory");
        });
    }
}
