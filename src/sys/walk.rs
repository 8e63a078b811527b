//! Ways that only root could have made: a walk along a path by descriptors, one name at a time.
//!
//! Knows directories, links and whom they belong to. The kernel would follow every link, and look a name up
//! anew each time: as root nothing goes through a link that somebody else can have put there, and nothing is
//! looked up twice.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, StatVfsMountFlags};
use rustix::io::Errno;

use crate::sys::identity::{Identity, Myself, acting_as};
use crate::text::log::quoted;
use crate::text::reason::of_errno;

/// How many links a path may lead through: the kernel's own number (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Why a path could not be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The system says so.
    System(Errno),
    /// The directory that it is to stand in does not exist.
    NoDirectory(PathBuf),
    /// It leads through this link, which others than root can have put there.
    Planted(PathBuf),
    /// It leads through this, which belongs to this uid.
    Owned(PathBuf, u32),
    /// It leads through this, which others than root can change by this mode.
    Open(PathBuf, u32),
    /// The working directory is not where its path leads.
    Moved,
    /// Another directory has taken the place of this one, which was made a moment ago.
    Exchanged(PathBuf),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(errno) => f.write_str(&of_errno(*errno)),
            Self::NoDirectory(directory) => {
                write!(f, "its directory {} does not exist", quoted(directory.as_os_str().as_bytes()))
            }
            Self::Planted(link) => write!(
                f,
                "{} is a symbolic link that others than root can have put there, and root follows none of those",
                quoted(link.as_os_str().as_bytes())
            ),
            Self::Owned(place, uid) => {
                write!(f, "{} belongs to uid {uid}", quoted(place.as_os_str().as_bytes()))
            }
            Self::Open(place, mode) => write!(
                f,
                "{} is writable by others than root (mode {mode:04o})",
                quoted(place.as_os_str().as_bytes())
            ),
            Self::Exchanged(place) => {
                write!(f, "{} was exchanged for another one meanwhile", quoted(place.as_os_str().as_bytes()))
            }
            Self::Moved => f.write_str("the working directory has been moved"),
        }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

/// Makes the directory at `path` the working directory, for what is done next as root or as somebody else.
/// Nobody is taken into a directory that they could not enter themselves, unless only root can have chosen
/// it; and root is led there by no link of others. The users are asked one after the other.
///
/// # Errors
/// It is missing, or nobody who is asked can enter it.
pub(crate) fn change_directory(path: &Path, root: bool, users: &[&Identity]) -> Result<(), Refusal> {
    if !Myself::observe().is_root() {
        return Ok(rustix::process::chdir(path)?);
    }
    let denied = |refusal: &Refusal| *refusal == Refusal::System(Errno::ACCESS);
    if root {
        // Without DAC_OVERRIDE root cannot enter everything.
        let entered = Walk::begin(path).and_then(Walk::change_directory);
        if users.is_empty() || !entered.as_ref().is_err_and(denied) {
            return entered;
        }
    }
    match as_one_of(users, || rustix::process::chdir(path)) {
        Err(Errno::ACCESS) => {}
        entered => return Ok(entered?),
    }
    let mut walk = Walk::of_roots_alone()?;
    walk.push(path);
    walk.change_directory().map_err(|refusal| match refusal {
        // What kept the users from it is what is wrong.
        Refusal::Owned(..) | Refusal::Open(..) => Errno::ACCESS.into(),
        Refusal::System(_)
        | Refusal::NoDirectory(_)
        | Refusal::Planted(_)
        | Refusal::Moved
        | Refusal::Exchanged(_) => refusal,
    })
}

/// Makes an open directory the working directory, as this process or as one of these users.
///
/// # Errors
/// None of them can enter it.
pub(crate) fn change_directory_to(directory: &OwnedFd, users: &[&Identity]) -> Result<(), Refusal> {
    match rustix::process::fchdir(directory) {
        Err(Errno::ACCESS) => Ok(as_one_of(users, || rustix::process::fchdir(directory))?),
        entered => Ok(entered?),
    }
}

/// Does this as the first of these users who may.
fn as_one_of(users: &[&Identity], work: impl Fn() -> rustix::io::Result<()>) -> rustix::io::Result<()> {
    let tried = users.iter().filter_map(|user| acting_as(Some(user), || Ok(work())).ok());
    tried.into_iter().find(|result| *result != Err(Errno::ACCESS)).unwrap_or(Err(Errno::ACCESS))
}

/// The working directory, to come back to.
pub(crate) fn here() -> Option<OwnedFd> {
    rustix::fs::openat(CWD, ".", HELD, Mode::empty()).ok()
}

/// How a directory is opened that is only gone through.
pub(crate) const HELD: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Whether somebody other than root can put something there.
pub(crate) fn is_open_to_others(directory: &Stat) -> bool {
    let writable =
        directory.st_mode & 0o002 != 0 || (directory.st_mode & 0o020 != 0 && directory.st_gid != 0);
    directory.st_uid != 0 || (writable && directory.st_mode & 0o1000 == 0)
}

/// Whether nobody of this container can put anything there: so Kubernetes mounts a `ConfigMap`, whose
/// directory has the mode 0777.
fn is_read_only(directory: &OwnedFd) -> bool {
    rustix::fs::fstatvfs(directory).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// A walk along a path, one directory at a time, as root: the kernel would follow every link.
#[derive(Debug)]
pub(crate) struct Walk {
    at: OwnedFd,
    /// What is left of the path, the next component last.
    rest: Vec<OsString>,
    links: usize,
    /// How much was left of the path itself when a link of it was followed: what is above that is the link's.
    own: usize,
    /// Where it is, for messages.
    shown: PathBuf,
    /// What it goes through.
    asks: Asks,
}

/// What a walk goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// Any directory, and links that are root's.
    RootsLinks,
    /// What is root's alone.
    RootsAlone,
}

/// What a step of a walk came to.
#[derive(Debug)]
pub(crate) enum Step {
    /// The next directory, or the place that a link names.
    Entered,
    /// There is nothing of this name.
    Missing(OsString),
    /// This name is the end of the path, and no directory.
    Other(OsString),
    /// The end of the path.
    Arrived,
}

impl Walk {
    /// Starts at `/` or at the working directory.
    ///
    /// # Errors
    /// The system's refusal.
    pub(crate) fn begin(path: &Path) -> Result<Self, Refusal> {
        let start = if path.is_absolute() { "/" } else { "." };
        let at = rustix::fs::openat(CWD, start, HELD, Mode::empty())?;
        let mut walk = Self {
            at,
            rest: Vec::new(),
            links: 0,
            own: usize::MAX,
            shown: PathBuf::from(start),
            asks: Asks::RootsLinks,
        };
        walk.push(path);
        Ok(walk)
    }

    /// Starts at `/`, and goes through nothing that is not root's alone.
    ///
    /// # Errors
    /// `/` is not.
    pub(crate) fn of_roots_alone() -> Result<Self, Refusal> {
        let mut walk = Self::begin(Path::new("/"))?;
        walk.asks = Asks::RootsAlone;
        walk.finish()?;
        Ok(walk)
    }

    /// Goes as far as there is something.
    ///
    /// # Errors
    /// As those of a step.
    pub(crate) fn finish(&mut self) -> Result<Step, Refusal> {
        loop {
            match self.step()? {
                Step::Entered => {}
                end @ (Step::Missing(_) | Step::Other(_) | Step::Arrived) => return Ok(end),
            }
        }
    }

    /// Makes the end of the path the working directory.
    fn change_directory(mut self) -> Result<(), Refusal> {
        match self.finish()? {
            Step::Missing(_) => Err(Errno::NOENT.into()),
            Step::Other(_) => Err(Errno::NOTDIR.into()),
            Step::Entered | Step::Arrived => Ok(rustix::process::fchdir(&self.at)?),
        }
    }

    /// Refuses what is not root's alone. What is root's in a sticky directory of root's nobody else can move.
    fn check(&self, name: &OsStr, status: &Stat) -> Result<(), Refusal> {
        if status.st_uid != 0 {
            return Err(Refusal::Owned(self.shown.join(name), status.st_uid));
        }
        let kind = FileType::from_raw_mode(status.st_mode);
        let is_sticky = kind == FileType::Directory && status.st_mode & 0o1000 != 0;
        if kind != FileType::Symlink && !is_sticky && status.st_mode & 0o022 != 0 {
            return Err(Refusal::Open(self.shown.join(name), status.st_mode & 0o7777));
        }
        Ok(())
    }

    /// Adds what is to be walked from here.
    pub(crate) fn push(&mut self, path: &Path) {
        let components = path.components().filter(|each| *each != Component::CurDir);
        self.rest.extend(components.rev().map(|each| each.as_os_str().to_owned()));
    }

    /// Goes one component further.
    ///
    /// # Errors
    /// The system's refusal, a link that root must not follow, something that is no directory.
    pub(crate) fn step(&mut self) -> Result<Step, Refusal> {
        let Some(name) = self.rest.pop() else { return Ok(Step::Arrived) };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let next = match rustix::fs::openat(&self.at, name.as_os_str(), flags, Mode::empty()) {
            Ok(next) => next,
            Err(Errno::NOENT) => return Ok(Step::Missing(name)),
            Err(errno) => return Err(errno.into()),
        };
        let status = rustix::fs::fstat(&next)?;
        if self.asks == Asks::RootsAlone {
            self.check(&name, &status)?;
        }
        match FileType::from_raw_mode(status.st_mode) {
            FileType::Directory => {
                // No link is left in what was walked, so that this is where `..` leads.
                if name == ".." {
                    self.shown.pop();
                } else {
                    self.shown.push(&name);
                }
                self.at = next;
                Ok(Step::Entered)
            }
            FileType::Symlink => {
                self.links += 1;
                if self.links > MOST_LINKS {
                    return Err(Errno::LOOP.into());
                }
                if status.st_uid != 0 || (is_open_to_others(&self.status()?) && !is_read_only(&self.at)) {
                    return Err(Refusal::Planted(self.shown.join(&name)));
                }
                // Of the link that was looked at: the name may stand for another one by now.
                let target = rustix::fs::readlinkat(&next, "", Vec::new())?;
                self.own = self.own.min(self.rest.len());
                self.push(Path::new(OsStr::from_bytes(target.as_bytes())));
                Ok(Step::Entered)
            }
            FileType::RegularFile
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => {
                if self.rest.is_empty() {
                    Ok(Step::Other(name))
                } else {
                    Err(Errno::NOTDIR.into())
                }
            }
        }
    }

    /// Of the directory that it is in.
    ///
    /// # Errors
    /// The system's refusal.
    pub(crate) fn status(&self) -> Result<Stat, Refusal> {
        Ok(rustix::fs::fstat(&self.at)?)
    }

    /// The directory that it is in, to keep.
    pub(crate) fn into_directory(self) -> OwnedFd {
        self.at
    }

    /// The directory that it is in.
    pub(crate) fn at(&self) -> BorrowedFd<'_> {
        self.at.as_fd()
    }

    /// Where it is, for messages.
    pub(crate) fn shown(&self) -> &Path {
        &self.shown
    }

    /// Whether what it came upon last is a part of what a link names.
    pub(crate) fn is_in_link(&self) -> bool {
        self.rest.len() >= self.own
    }

    /// Makes a name that was missing the next one again: it is there by now.
    pub(crate) fn retry(&mut self, name: OsString) {
        self.rest.push(name);
    }

    /// Goes on in a directory that was missing, and that was made and opened by now.
    pub(crate) fn enter(&mut self, name: OsString, directory: OwnedFd) {
        self.shown.push(name);
        self.at = directory;
    }

    /// Whether nothing is left.
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left of the path, after `first`.
    pub(crate) fn rest(&self, first: Option<&OsStr>) -> PathBuf {
        first.into_iter().chain(self.rest.iter().rev().map(OsString::as_os_str)).collect()
    }
}
