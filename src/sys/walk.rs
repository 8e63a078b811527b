//! Paths that only root could have made: a walk along a path by descriptors, one name at a time.
//!
//! The kernel would follow every link, and look a name up anew each time. Root goes through no link that
//! another user can have put there, and looks nothing up twice.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::process::{chdir, fchdir};

use crate::sys::identity::{Identity, Myself, acting_as};
use crate::text::log::quoted_path;
use crate::text::reason::of_errno;

/// How many links a path may lead through: the kernel's own number (`path_resolution(7)`).
pub(crate) const MOST_LINKS: usize = 40;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    System(Errno),
    /// The directory that it should be in does not exist.
    NoDirectory(PathBuf),
    /// A link on the way, which others than root can have put there.
    Planted(PathBuf),
    NotRoots(String),
    Other(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(errno) => f.write_str(&of_errno(*errno)),
            Self::NoDirectory(directory) => {
                write!(f, "its directory {} does not exist", quoted_path(directory))
            }
            Self::Planted(link) => write!(
                f,
                "{} is a symbolic link that users other than root could have created, and root does not \
                 follow such links",
                quoted_path(link)
            ),
            Self::NotRoots(sentence) | Self::Other(sentence) => f.write_str(sentence),
        }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

/// Enters a directory, as root or as the first of `users` who can. No user is taken into a directory that
/// they could not enter themselves, unless only root can have chosen it; and root follows no link of others.
pub(crate) fn change_directory(path: &Path, root: bool, users: &[&Identity]) -> Result<(), Refusal> {
    if !Myself::observe().is_root() {
        return Ok(chdir(path)?);
    }
    if root {
        // Without DAC_OVERRIDE root cannot enter everything.
        let entered = Walk::begin(path).and_then(Walk::change_directory);
        if users.is_empty() || entered != Err(Refusal::System(Errno::ACCESS)) {
            return entered;
        }
    }
    let entered = as_one_of(users, &|| chdir(path));
    if entered != Err(Errno::ACCESS) {
        return Ok(entered?);
    }
    let mut walk = Walk::of_roots_alone()?;
    walk.push(path);
    let entered = walk.change_directory();
    // The cause is what kept the users out.
    if matches!(entered, Err(Refusal::NotRoots(_))) { Err(Errno::ACCESS.into()) } else { entered }
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

pub(crate) fn here() -> Option<OwnedFd> {
    rustix::fs::openat(CWD, ".", HELD, Mode::empty()).ok()
}

/// How a directory is opened that is only gone through.
pub(crate) const HELD: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// How a directory is opened whose name may not be a link.
pub(crate) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Whether others than root can put something there.
pub(crate) fn is_open_to_others(directory: &Stat) -> bool {
    let group_is_roots = directory.st_gid == 0 && directory.st_mode & 0o002 == 0;
    directory.st_uid != 0 || (!group_is_roots && can_change(directory))
}

/// The same where members of root's own group and of an access control list (whose mask is the group's bits)
/// are not trusted either.
pub(crate) fn can_change(directory: &Stat) -> bool {
    directory.st_uid != 0 || (directory.st_mode & 0o022 != 0 && directory.st_mode & 0o1000 == 0)
}

#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) at: OwnedFd,
    pub(crate) shown: PathBuf,
    rest: Vec<OsString>,
    links: usize,
    /// How much was left of the path itself when a link of it was followed: above that is the link's.
    own: usize,
    roots_alone: bool,
}

/// What a step of a walk came to.
#[derive(Debug)]
pub(crate) enum Step {
    Entered,
    Missing(OsString),
    Other(OsString),
    Arrived,
}

impl Walk {
    pub(crate) fn begin(path: &Path) -> Result<Self, Refusal> {
        let start = if path.is_absolute() { "/" } else { "." };
        let at = rustix::fs::openat(CWD, start, HELD, Mode::empty())?;
        let shown = PathBuf::from(start);
        let mut walk = Self { at, shown, rest: Vec::new(), links: 0, own: usize::MAX, roots_alone: false };
        walk.push(path);
        Ok(walk)
    }

    /// Starts at `/`, and goes through nothing that is not root's alone.
    pub(crate) fn of_roots_alone() -> Result<Self, Refusal> {
        let mut walk = Self::begin(Path::new("/"))?;
        walk.roots_alone = true;
        walk.finish()?;
        Ok(walk)
    }

    pub(crate) fn finish(&mut self) -> Result<Step, Refusal> {
        loop {
            let step = self.step()?;
            if !matches!(step, Step::Entered) {
                return Ok(step);
            }
        }
    }

    fn change_directory(mut self) -> Result<(), Refusal> {
        match self.finish()? {
            Step::Missing(_) => Err(Errno::NOENT.into()),
            Step::Other(_) => Err(Errno::NOTDIR.into()),
            Step::Entered | Step::Arrived => Ok(fchdir(&self.at)?),
        }
    }

    /// Refuses what is not root's alone. Others can move nothing of root's in a sticky directory of root's.
    fn check(&self, name: &OsStr, status: &Stat) -> Result<(), Refusal> {
        let shown = || quoted_path(&self.shown.join(name));
        let (kind, mode) = (FileType::from_raw_mode(status.st_mode), status.st_mode & 0o7777);
        if status.st_uid != 0 {
            return Err(Refusal::NotRoots(format!("{} belongs to uid {}", shown(), status.st_uid)));
        }
        let is_sticky = kind == FileType::Directory && mode & 0o1000 != 0;
        if kind != FileType::Symlink && !is_sticky && mode & 0o022 != 0 {
            let sentence = format!("{} is writable by users other than root (mode {mode:04o})", shown());
            return Err(Refusal::NotRoots(sentence));
        }
        Ok(())
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
            Err(Errno::NOENT) if self.roots_alone && self.status()?.st_mode & 0o022 != 0 => {
                let shown = quoted_path(&self.shown.join(&name));
                return Err(Refusal::NotRoots(format!("{shown} is missing, and others can put it there")));
            }
            Err(Errno::NOENT) => return Ok(Step::Missing(name)),
            Err(errno) => return Err(errno.into()),
        };
        let status = rustix::fs::fstat(&next)?;
        if self.roots_alone {
            self.check(&name, &status)?;
        }
        let kind = FileType::from_raw_mode(status.st_mode);
        if kind == FileType::Directory {
            // No link is left in what was walked, so that this is where `..` leads.
            if name == ".." {
                self.shown.pop();
            } else {
                self.shown.push(&name);
            }
            self.at = next;
        } else if kind == FileType::Symlink {
            self.links += 1;
            if self.links > MOST_LINKS {
                return Err(Errno::LOOP.into());
            }
            // On a read-only mount nobody in this container can put anything: Kubernetes mounts a `ConfigMap`
            // so, whose directory has the mode 0777.
            let is_read_only = || {
                let mount = rustix::fs::fstatvfs(&self.at);
                mount.is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY))
            };
            if status.st_uid != 0 || (is_open_to_others(&self.status()?) && !is_read_only()) {
                return Err(Refusal::Planted(self.shown.join(&name)));
            }
            // Of the link that was looked at: the name may stand for another one by now.
            let target = rustix::fs::readlinkat(&next, "", Vec::new())?;
            self.own = self.own.min(self.rest.len());
            self.push(Path::new(OsStr::from_bytes(target.as_bytes())));
        } else if self.rest.is_empty() {
            return Ok(Step::Other(name));
        } else {
            return Err(Errno::NOTDIR.into());
        }
        Ok(Step::Entered)
    }

    pub(crate) fn status(&self) -> Result<Stat, Refusal> {
        Ok(rustix::fs::fstat(&self.at)?)
    }

    pub(crate) fn is_in_link(&self) -> bool {
        self.rest.len() >= self.own
    }

    /// Makes a name that was missing the next one again: it is there by now.
    pub(crate) fn retry(&mut self, name: OsString) {
        self.rest.push(name);
    }

    pub(crate) fn enter(&mut self, name: OsString, directory: OwnedFd) {
        self.shown.push(name);
        self.at = directory;
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn rest(&self) -> PathBuf {
        self.rest.iter().rev().collect()
    }
}

/// The working directory of this process, as the kernel names it.
pub(crate) fn working_directory() -> rustix::io::Result<PathBuf> {
    Ok(OsString::from_vec(rustix::process::getcwd(Vec::new())?.into_bytes()).into())
}
