//! `once`: a step that runs only while its marker does not exist, and in one container at a time.
//!
//! An existing marker is never changed, because a step may create it itself. The lock is flock(2) on the
//! marker's directory: the kernel releases it no matter how its holder ends, and it leaves no file in the
//! directory, which some programs require to be empty.

use std::fmt::Display;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use rustix::fs::{Access, AtFlags, FileType, FlockOperation, Mode, OFlags, fstat};
use rustix::io::Errno;

use crate::plan::secret_marker;
use crate::setup::state::{Setup, Task};
use crate::setup::steps::mkdir::mkdir;
use crate::setup::surroundings::Changes;
use crate::sys::{Children, DIRECTORY, Entry, Identity, Keep, NONBLOCKING, Refusal, acting_as, entry, place};
use crate::text::{
    FIRST_REPORT, Failure, Kind, Level, Log, Message, REPORT_INTERVAL, Result, bytes_of, escaped,
    of_errno as why, path_of, pause, quoted_path, readable,
};
use crate::value::{Origin, Template};

/// The variable with the value of the old marker, for a step with `per`.
const PREVIOUS: &[u8] = b"PREVERB_PREVIOUS";
const MODE: Mode = Mode::from_raw_mode(0o644);
/// The maximum size of a marker: a value is one string of an exec.
const LONGEST: u64 = 1 << 20;

impl Setup {
    /// Does `work`, which returns whether there was anything to do. If the step has a marker, it does so only
    /// if that does not exist yet.
    pub(super) fn once(
        &mut self, task: &Task<'_>, work: impl FnOnce(&mut Self) -> Result<bool>,
    ) -> Result<()> {
        let step = &task.step.step;
        let Some(once) = &step.once else { return work(self).map(|_| ()) };
        let path = marker_path(&self.open_value(once, task, "once")?);
        let per = step.per.as_ref().map(|per| self.open_value(per, task, "per")).transpose()?;
        let marker = Marker { path, per, step: &task.step.label, writer: task.identity.as_ref() };
        let (log, shown) = (self.world.log, quoted_path(&marker.path));
        let skip = || log.debug(|| format!("{} is skipped: {shown} exists", task.who()));
        if marker.is_done(marker.look()?.as_ref()) {
            skip();
            return Ok(());
        }
        let lock = marker.lock(&self.locked, log, &mut self.world.children)?;
        let before = marker.look()?;
        if marker.is_done(before.as_ref()) {
            skip();
            return Ok(());
        }
        // The variables that the step sets are dropped, because the next start would not have them.
        let outside = self.surroundings.scopes();
        if marker.per.is_some() {
            let previous = before.as_ref().and_then(Content::value);
            if let (Some(_), Some(Content { uid: 1.., .. })) = (previous, &before)
                && task.root
                && self.surroundings.are_split()
            {
                let what = format!("{} does not take the value in {shown} as root", task.who());
                let sentence = format!("{what}: the file belongs to another user");
                let failure = Failure::new(Kind::Identity, sentence).field("step", task.step.label.as_str());
                return Err(failure.hint("if the value is right, make the file root's: `chown root`"));
            }
            let variables = vec![(PREVIOUS.to_vec(), previous.map(<[u8]>::to_vec))];
            let changes = Changes { variables, ..Changes::default() };
            self.surroundings.absorb(&changes, true, &Origin::Preverb, &self.plan.secrets);
        }
        let outer = self.locked.len();
        self.locked.extend(lock.as_ref().map(|lock| lock.directory));
        let done = work(self);
        self.locked.truncate(outer);
        self.return_to(outside, task)?;
        match done {
            Ok(true) => marker.write(before.as_ref()),
            // With a marker, a volume that is mounted next time would never be set up.
            Ok(false) => Ok(()),
            Err(failure) if marker.per.is_none() && marker.look().is_ok_and(|found| found.is_some()) => {
                Err(failure.and(format!("{shown} exists now, so the next start will treat the step as done")))
            }
            Err(failure) => Err(failure),
        }
    }

    fn open_value(&mut self, template: &Template, task: &Task<'_>, key: &str) -> Result<Vec<u8>> {
        let expanded = self.expand(template, task, key)?;
        if expanded.secret {
            // The failure does not contain the secret.
            self.secret = false;
            return Err(secret_marker(&task.step.label, key));
        }
        Ok(expanded.bytes)
    }
}

/// The path of a marker without slashes at its end: preverb writes a file where the step makes nothing.
fn marker_path(path: &[u8]) -> PathBuf {
    let last = path.iter().rposition(|byte| *byte != b'/').unwrap_or_default();
    path_of(path.get(..=last).unwrap_or_default()).to_owned()
}

pub(crate) fn is_done(path: &[u8], per: Option<Vec<u8>>) -> bool {
    let marker = Marker { path: marker_path(path), per, step: "", writer: None };
    marker.look().is_ok_and(|found| marker.is_done(found.as_ref()))
}

struct Marker<'s> {
    path: PathBuf,
    per: Option<Vec<u8>>,
    step: &'s str,
    writer: Option<&'s Identity>,
}

/// The state of a marker that exists. Its content is read only for a step with `per`.
#[derive(PartialEq, Eq)]
struct Content {
    bytes: Vec<u8>,
    /// The owner of the file.
    uid: u32,
}

impl Content {
    /// The value in a marker, after the line with the time and the step.
    fn value(&self) -> Option<&[u8]> {
        let line = self.bytes.iter().position(|byte| *byte == b'\n')?;
        self.bytes.get(line + 1..)?.strip_suffix(b"\n")
    }
}

impl<'s> Marker<'s> {
    fn is_done(&self, found: Option<&Content>) -> bool {
        match &self.per {
            None => found.is_some(),
            Some(per) => found.and_then(Content::value) == Some(per),
        }
    }

    fn refused(&self, what: &str, reason: &dyn Display) -> Failure {
        let (step, shown) = (self.step, quoted_path(&self.path));
        let sentence = format!("cannot {what} {shown}, the marker of step `{step}`: {reason}");
        let failure = Failure::new(Kind::System, sentence).field("step", step);
        failure.field("file", escaped(bytes_of(&self.path)))
    }

    fn look(&self) -> Result<Option<Content>> {
        acting_as(self.writer, || {
            let refused = |reason: &dyn Display| Err(self.refused("look for", reason));
            match rustix::fs::stat(&self.path) {
                Err(Errno::NOENT) if self.path.is_symlink() => return refused(&"it is a broken link"),
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return refused(&why(errno)),
                Ok(_) if self.per.is_none() => return Ok(Some(Content { bytes: Vec::new(), uid: 0 })),
                Ok(_) => {}
            }
            let opened = entry::open(&self.path, NONBLOCKING);
            let owned = opened.and_then(|file| Ok((fstat(&file)?.st_uid, file)));
            let (uid, file) = owned.map_err(|refusal| self.refused("read", &refusal))?;
            let mut bytes = Vec::new();
            let read = std::fs::File::from(file).take(LONGEST).read_to_end(&mut bytes);
            let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let time = line.split(|byte| *byte == b' ').next().and_then(|word| str::from_utf8(word).ok());
            let is_ours = time.is_some_and(|time| humantime::parse_rfc3339(time).is_ok());
            if is_ours && read.is_ok() && line.len() < bytes.len() {
                return Ok(Some(Content { bytes, uid }));
            }
            let failure = self.refused("compare `per` with", &"it was not written by preverb");
            Err(failure.hint("`per` needs a marker of its own, which the step does not create"))
        })
    }

    /// Writes the marker unless the step has created it; `before` is its state before the step.
    fn write(&self, before: Option<&Content>) -> Result<()> {
        let found = self.look()?;
        if self.per.is_none() && found.is_some() {
            return Ok(());
        }
        if found.as_ref() != before {
            let reason = "the step created it itself, but `per` needs a marker that preverb wrote";
            return Err(self.refused("write", &reason));
        }
        let time = humantime::format_rfc3339_seconds(SystemTime::now());
        let mut content = format!("{time} {}\n", escaped(self.step.as_bytes())).into_bytes();
        content.extend(self.per.iter().flat_map(|value| [value, &b"\n"[..]].concat()));
        acting_as(self.writer, || {
            let entry = Entry::find(&self.path).map_err(|refusal| self.refused("write", &refusal))?;
            let written = match self.per {
                None => entry.create(&content, MODE.as_raw_mode()),
                Some(_) => entry.replace(&content, MODE.as_raw_mode(), Keep::AfterCrash),
            };
            written.map_err(|errno| self.refused("write", &why(errno)))
        })
    }

    /// Locks the marker and waits while another run holds the lock. There is no lock if this run already
    /// holds the directory, as one of `held`, or if nothing can be locked.
    fn lock(&self, held: &[(u64, u64)], log: Log, children: &mut Children) -> Result<Option<Lock<'s>>> {
        let refused = |errno| match errno {
            Errno::LOOP => self.refused("lock", &"its lock file is a symbolic link"),
            _ => self.refused("lock", &why(errno)),
        };
        let entry = self.entry()?;
        let directory = place(&fstat(&entry.directory).map_err(refused)?);
        if held.contains(&directory) {
            return Ok(None);
        }
        let (step, shown) = (self.step, quoted_path(&self.path));
        let say = |level, what: String| {
            log.emit(&Message::new(level, format!("step `{step}` {what}")).field("step", step));
        };
        let started = Instant::now();
        let mut say_at = FIRST_REPORT;
        let mut file = None;
        loop {
            match acting_as(self.writer, || try_lock(&entry, &mut file).map_err(refused))? {
                Ok(held) => return Ok(Some(Lock { directory, file, held, writer: self.writer })),
                Err(Errno::WOULDBLOCK) => {}
                Err(errno) => {
                    say(Level::Warning, format!("runs without a lock of {shown}: {}", why(errno)));
                    return Ok(None);
                }
            }
            let waited = started.elapsed();
            if waited >= say_at {
                let is_first = say_at == FIRST_REPORT;
                let how_long = if is_first { String::new() } else { format!(", {}", readable(waited)) };
                say(Level::Info, format!("waits for the lock of {shown}, which another run holds{how_long}"));
                say_at = if is_first { REPORT_INTERVAL } else { say_at + REPORT_INTERVAL };
            }
            let waiting = format!("while step `{step}` waited for the lock of {shown}");
            children.sleep(Instant::now() + pause(waited)).map_err(|stop| stop.failure(&waiting))?;
        }
    }

    /// The entry of the marker, in a directory that the writer can write to. A missing directory is created.
    fn entry(&self) -> Result<Entry> {
        let find = || acting_as(self.writer, || Ok(Entry::find(&self.path)));
        let mut found = find()?;
        if let Err(Refusal::NoDirectory(directory)) = found {
            mkdir(&[directory], None, self.writer, &mut || Ok(()))?;
            found = find()?;
        }
        let entry = found.map_err(|refusal| self.refused("lock", &refusal))?;
        acting_as(self.writer, || {
            let access = Access::WRITE_OK | Access::EXEC_OK;
            let asked = rustix::fs::accessat(&entry.directory, ".", access, AtFlags::EACCESS);
            let denied =
                asked.err().filter(|errno| [Errno::ACCESS, Errno::PERM, Errno::ROFS].contains(errno));
            denied.map_or(Ok(entry), |errno| Err(self.refused("write", &why(errno))))
        })
    }
}

/// The right to run the step. Dropping it releases the lock.
struct Lock<'m> {
    /// The marker's directory.
    directory: (u64, u64),
    /// The lock file, if the directory cannot be locked: NFS locks only files that are open for writing.
    file: Option<Entry>,
    held: OwnedFd,
    writer: Option<&'m Identity>,
}

impl Drop for Lock<'_> {
    /// Removes a lock file while it is locked: no other run must unknowingly hold a lock on a removed file.
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            let _ = acting_as(self.writer, || {
                if is_at(&self.held, file).unwrap_or(false) {
                    file.remove();
                }
                Ok(())
            });
        }
    }
}

/// Tries to lock the marker's directory or, if that is impossible, the lock file, which is then in `file`.
/// The inner result is the one of flock(2).
fn try_lock(marker: &Entry, file: &mut Option<Entry>) -> rustix::io::Result<rustix::io::Result<OwnedFd>> {
    let locked = |file: OwnedFd| {
        let operation = FlockOperation::NonBlockingLockExclusive;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, operation)).map(|()| file)
    };
    let directory = || rustix::fs::openat(&marker.directory, ".", DIRECTORY, Mode::empty());
    let file = match file {
        Some(file) => file,
        None => match directory().and_then(locked) {
            Err(errno) if errno != Errno::WOULDBLOCK => file.insert(marker.sibling(".lock")?),
            tried => return Ok(tried),
        },
    };
    match open_file(file).map(locked) {
        // It was removed or created at this moment.
        Err(Errno::NOENT) => Ok(Err(Errno::WOULDBLOCK)),
        // The last holder may have removed it between open and lock; then this lock is worthless.
        Ok(Ok(held)) if !is_at(&held, file)? => Ok(Err(Errno::WOULDBLOCK)),
        Ok(Err(errno)) if errno != Errno::WOULDBLOCK => {
            file.remove();
            Ok(Err(errno))
        }
        tried => tried,
    }
}

fn open_file(lock: &Entry) -> rustix::io::Result<OwnedFd> {
    // A pipe of that name must not block, and links of other users must not be followed.
    let base = NONBLOCKING | OFlags::NOFOLLOW;
    let mut opened = lock.open(OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | base, MODE);
    if matches!(opened, Err(Errno::EXIST)) {
        opened = lock.open(OFlags::RDWR | base, Mode::empty());
    }
    // A file of another user can be locked even if it is not writable.
    if matches!(opened, Err(Errno::ACCESS | Errno::PERM | Errno::ROFS)) {
        opened = lock.open(OFlags::RDONLY | base, Mode::empty());
    }
    let file = opened?;
    let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
    if kind == FileType::RegularFile { Ok(file) } else { Err(Errno::EXIST) }
}

fn is_at(file: &OwnedFd, entry: &Entry) -> rustix::io::Result<bool> {
    match entry.status(AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(false),
        there => Ok(place(&fstat(file)?) == place(&there?)),
    }
}
