//! `once`: a step that runs only while its marker does not exist, in one container at a time.
//!
//! Knows the marker and its lock. The lock is flock(2)'s, because the kernel lets go of it however its
//! holder ends; what is in the lock's file tells a holder that died from one that is about to start. Must not
//! know what the step does. Writes nothing but the marker and, beside it, the lock.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::plan::{self, PlanStep};
use crate::setup::state::{Actor, Setup};
use crate::sys::child::Children;
use crate::sys::entry::{Entry, Keep, errno_of, fill};
use crate::sys::identity::{Identity, acting_as};
use crate::text::duration::spoken;
use crate::text::escape::escaped;
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::{Level, Log, Message, quoted};
use crate::text::reason::of_errno as why;
use crate::value::template::Expanded;

/// What a step came to that went well.
pub(super) enum Outcome {
    Done,
    /// There was nothing to be done, and there may be another time.
    Nothing,
}

impl Setup {
    /// Does `work`, or where the step is done once, does it only if it has not been done.
    pub(super) fn once(
        &mut self,
        step: &PlanStep,
        actor: &Actor,
        work: impl FnOnce(&mut Self) -> Result<Outcome>,
    ) -> Result<()> {
        let Some(marker) = &step.step.once else { return work(self).map(|_| ()) };
        let marker = plan::expand(marker, &self.surroundings.of(actor.root).variables, "`once`")?;
        // What keeps a file from being written can be any part of its path.
        let concealed = |failure: Failure| {
            if marker.secret { failure.concealed(&format!("step `{}`", step.label)) } else { failure }
        };
        let log = self.world.log;
        let identity = actor.identity.as_ref();
        let begun = Once::begin(&marker, &step.label, identity, log, &mut self.world.children);
        let Some(lock) = begun.map_err(concealed)? else {
            log.debug(|| format!("step `{}` is skipped: `{}` exists", step.label, marker.shown()));
            return Ok(());
        };
        match work(self) {
            Ok(Outcome::Done) => lock.succeed(&step.label).map_err(concealed),
            // The marker would keep a volume that is mounted next time from being set up.
            Ok(Outcome::Nothing) => {
                lock.abandon();
                Ok(())
            }
            Err(failure) => {
                lock.abandon();
                Err(failure)
            }
        }
    }
}

/// What the name of the lock has after that of the marker.
const LOCK: &str = ".lock";
/// The mode of both: another container's user must be able to see them.
const MODE: u32 = 0o644;
/// The shortest and the longest pause between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// When the first word is said of the waiting, and how often after that.
const TOLD: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// The right to run the step, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Once {
    /// The marker's path, as it may be shown.
    shown: String,
    marker: Entry,
    lock: Entry,
    held: OwnedFd,
    writer: Option<Identity>,
}

/// What a try for the lock came to.
enum Attempt {
    Held {
        file: OwnedFd,
        /// Whether somebody held it before, and did not let go of it as one who lives does.
        left_behind: bool,
    },
    /// Somebody else holds it: the file, for the next try.
    Busy(OwnedFd),
    /// The file was removed or made at the same moment.
    Again,
}

impl Once {
    /// The right to run `step`, or `None` where the marker `at` exists. Waits for another run that holds
    /// the lock. Every file is looked at and written as `writer`.
    ///
    /// # Errors
    /// System (71): the system refuses; or the request to stop, while it waits.
    pub(crate) fn begin(
        at: &Expanded,
        step: &str,
        writer: Option<&Identity>,
        log: Log,
        children: &mut Children,
    ) -> Result<Option<Self>> {
        let path = Path::new(OsStr::from_bytes(&at.bytes));
        if exists(path, writer)? {
            return Ok(None);
        }
        let lock = Expanded { bytes: [&at.bytes, LOCK.as_bytes()].concat(), secret: at.secret };
        let shown_lock = format!("`{}`", lock.shown());
        let cannot_lock = |reason: &dyn std::fmt::Display| {
            Failure::say(Kind::System, format!("cannot lock {shown_lock} for step `{step}`: {reason}"))
                .field("step", step)
        };
        let started = Instant::now();
        let mut told = TOLD.0;
        let (marker, lock) = acting_as(writer, || {
            let marker = Entry::find(path).map_err(|refusal| cannot_lock(&refusal))?;
            let lock = marker.beside(LOCK).map_err(|error| cannot_lock(&why(errno_of(&error))))?;
            Ok((marker, lock))
        })?;
        let mut open = None;
        let (held, left_behind) = loop {
            let tried =
                acting_as(writer, || attempt(&lock, open.take()).map_err(|errno| cannot_lock(&why(errno))))?;
            match tried {
                Attempt::Held { file, left_behind } => break (file, left_behind),
                Attempt::Busy(file) => open = Some(file),
                Attempt::Again => {}
            }
            let waited = started.elapsed();
            if waited >= told {
                let how_long = if told == TOLD.0 { String::new() } else { format!(", {}", spoken(waited)) };
                let sentence =
                    format!("step `{step}` waits for another run of it, which holds {shown_lock}{how_long}");
                log.say(&Message::new(Level::Info, sentence).field("step", step));
                told = if told == TOLD.0 { TOLD.1 } else { told + TOLD.1 };
            }
            let pause = (waited / 10).clamp(PAUSES.0, PAUSES.1);
            children
                .sleep(Instant::now() + pause)
                .map_err(|stop| stop.failure(&format!("while it waited for the lock {shown_lock}")))?;
        };
        // From here on dropping it removes the lock.
        let once = Self { shown: at.shown(), marker, lock, held, writer: writer.cloned() };
        if exists(path, writer)? {
            return Ok(None);
        }
        if left_behind {
            let sentence = format!(
                "an earlier run died in the middle of step `{step}`, which runs again: it left {shown_lock}"
            );
            log.say(&Message::new(Level::Warning, sentence).field("step", step));
        }
        acting_as(writer, || match fill_lock(&once.held, step) {
            // Where another user's lock was left behind it can be held but not written; it is full already.
            Ok(()) | Err(Errno::BADF) => Ok(()),
            Err(errno) => Err(cannot_lock(&why(errno))),
        })?;
        Ok(Some(once))
    }

    /// Writes the marker, and lets go of the lock.
    ///
    /// # Errors
    /// System (71): the marker cannot be written.
    pub(crate) fn succeed(self, step: &str) -> Result<()> {
        acting_as(self.writer.as_ref(), || {
            let written = self.marker.replace(&line(step), MODE, Keep::AfterCrash);
            written.map_err(|errno| {
                let shown = &self.shown;
                let sentence = format!("cannot write `{shown}`, the marker of step `{step}`: {}", why(errno));
                Failure::say(Kind::System, sentence).field("step", step).field("file", shown)
            })
        })
    }

    /// Lets go of the lock without a marker: the step runs again next time.
    pub(crate) fn abandon(self) {
        drop(self);
    }
}

impl Drop for Once {
    /// Removes the lock's file while it is still held, so that nobody holds a file that is gone and
    /// believes it.
    fn drop(&mut self) {
        let _ = acting_as(self.writer.as_ref(), || {
            if is_at(&self.held, &self.lock).unwrap_or(false) {
                let _ = self.lock.remove();
            }
            Ok(())
        });
    }
}

/// When, and which step.
fn line(step: &str) -> Vec<u8> {
    let time = humantime::format_rfc3339_seconds(SystemTime::now());
    format!("{time} {}\n", escaped(step.as_bytes())).into_bytes()
}

fn exists(path: &Path, writer: Option<&Identity>) -> Result<bool> {
    let status = acting_as(writer, || Ok(rustix::fs::stat(path)))?;
    match status {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => {
            let path = path.as_os_str().as_bytes();
            let sentence = format!("cannot look for the marker {}: {}", quoted(path), why(errno));
            Err(Failure::say(Kind::System, sentence).field("file", escaped(path)))
        }
    }
}

/// Tries for the lock once, with the file of the last try if there was one.
fn attempt(lock: &Entry, open: Option<OwnedFd>) -> rustix::io::Result<Attempt> {
    let file = match open {
        Some(file) => file,
        None => match open_lock(lock)? {
            Some(file) => file,
            None => return Ok(Attempt::Again),
        },
    };
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Ok(Attempt::Busy(file)),
            Err(errno) => return Err(errno),
        }
    }
    // The last holder may have removed it between the opening and the locking: then it locks nothing.
    if !is_at(&file, lock)? {
        return Ok(Attempt::Again);
    }
    // A file that was made but not yet locked by another run is empty; one that was locked is not.
    let left_behind = rustix::fs::fstat(&file)?.st_size > 0;
    Ok(Attempt::Held { file, left_behind })
}

/// Opens the lock's file, made if it is missing; `None` where it vanished at the same moment.
fn open_lock(lock: &Entry) -> rustix::io::Result<Option<OwnedFd>> {
    // Not held up by a pipe of that name; and no link is followed, whoever put it there.
    let base = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let made = lock.open(OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | base, Mode::from_raw_mode(MODE));
    let file = match made {
        Ok(file) => {
            // Whatever the umask: see `MODE`.
            rustix::fs::fchmod(&file, Mode::from_raw_mode(MODE))?;
            file
        }
        Err(Errno::EXIST) => match lock.open(OFlags::RDWR | base, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => {
                match lock.open(OFlags::RDONLY | base, Mode::empty()) {
                    Ok(file) => file,
                    Err(Errno::NOENT) => return Ok(None),
                    Err(errno) => return Err(errno),
                }
            }
            Err(errno) => return Err(errno),
        },
        Err(errno) => return Err(errno),
    };
    if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(Errno::EXIST);
    }
    Ok(Some(file))
}

/// Whether this file is the one of that name.
fn is_at(file: &OwnedFd, entry: &Entry) -> rustix::io::Result<bool> {
    let mine = rustix::fs::fstat(file)?;
    match rustix::fs::statat(entry.directory(), entry.name(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) => Ok((mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Says in the lock's file who holds it.
fn fill_lock(file: &OwnedFd, step: &str) -> rustix::io::Result<()> {
    let line = line(step);
    fill(file, &line)?;
    // What a dead run wrote may have been longer. Never empty in between: see `attempt`.
    rustix::fs::ftruncate(file, line.len() as u64)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};

    use super::*;
    use crate::sys::entry::testing::{Needs, alone, directory, give, names, someone};
    use crate::sys::signals::Signals;
    use crate::text::log::Format;

    const QUIET: Log = Log { format: Format::Quiet };

    fn children() -> Children {
        Children::new(Signals::heed().expect("signals are heeded"))
    }

    fn open(path: &Path) -> Expanded {
        Expanded::open(path.as_os_str().as_bytes())
    }

    fn begin(path: &Path) -> Result<Option<Once>> {
        Once::begin(&open(path), "the step", None, QUIET, &mut children())
    }

    /// Each waits for children or changes signals, which are the whole process's.
    fn test(name: &str, body: impl FnOnce()) {
        alone(module_path!(), name, Needs::Process, body);
    }

    #[test]
    fn the_marker_is_written_after_success_and_then_the_step_is_skipped() {
        test("the_marker_is_written_after_success_and_then_the_step_is_skipped", || {
            let place = directory();
            let path = place.path().join("done");
            rustix::process::umask(Mode::from_raw_mode(0o077));
            let once = begin(&path).expect("begun").expect("not done yet");
            assert_eq!(names(place.path()), ["done.lock"]);
            let mode =
                |name: &str| std::fs::metadata(place.path().join(name)).expect("there").mode() & 0o7777;
            assert_eq!(mode("done.lock"), 0o644);
            once.succeed("the step").expect("written");
            assert_eq!((names(place.path()), mode("done")), (vec!["done".to_owned()], 0o644));
            let content = std::fs::read_to_string(&path).expect("there");
            let (time, step) = content.split_once(' ').expect("two words");
            assert_eq!(step, "the step\n");
            humantime::parse_rfc3339(time).expect("a time");
            assert!(begin(&path).expect("looked").is_none());
            assert_eq!(names(place.path()), ["done"]);
        });
    }

    #[test]
    fn a_failure_leaves_neither_marker_nor_lock() {
        test("a_failure_leaves_neither_marker_nor_lock", || {
            let place = directory();
            let path = place.path().join("done");
            begin(&path).expect("begun").expect("not done yet").abandon();
            assert_eq!(names(place.path()), [""; 0]);
            drop(begin(&path).expect("begun").expect("not done yet"));
            assert_eq!(names(place.path()), [""; 0]);
            // A marker that cannot be written is a failure, and no reason to leave the lock.
            let once = begin(&path).expect("begun").expect("not done yet");
            std::fs::create_dir(&path).expect("made");
            assert_eq!(once.succeed("the step").expect_err("in the way").kind(), Kind::System);
            assert_eq!(names(place.path()), ["done"]);
        });
    }

    #[test]
    fn of_two_runs_one_waits_and_then_sees_the_marker() {
        test("of_two_runs_one_waits_and_then_sees_the_marker", || {
            let place = directory();
            let path = place.path().join("done");
            let once = begin(&path).expect("begun").expect("not done yet");
            std::thread::scope(|scope| {
                let other = scope.spawn(|| begin(&path).map(|once| once.is_some()));
                // Who waits has the lock's file open too.
                until(|| open_locks(place.path()) >= 2);
                assert!(!other.is_finished());
                once.succeed("the step").expect("written");
                assert!(!other.join().expect("no panic").expect("looked"), "the step ran twice");
            });
            assert_eq!(names(place.path()), ["done"]);
        });
    }

    #[test]
    fn the_one_that_waits_runs_the_step_when_the_other_fails() {
        test("the_one_that_waits_runs_the_step_when_the_other_fails", || {
            let place = directory();
            let path = place.path().join("done");
            let once = begin(&path).expect("begun").expect("not done yet");
            std::thread::scope(|scope| {
                let other = scope.spawn(|| begin(&path));
                until(|| open_locks(place.path()) >= 2);
                once.abandon();
                let once = other.join().expect("no panic").expect("begun").expect("not done yet");
                once.succeed("the step").expect("written");
            });
            assert_eq!(names(place.path()), ["done"]);
        });
    }

    #[test]
    fn of_many_runs_at_once_one_runs_the_step() {
        test("of_many_runs_at_once_one_runs_the_step", || {
            let place = directory();
            let path = place.path().join("done");
            let ran = std::sync::atomic::AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for number in 0..8 {
                    let (path, ran) = (&path, &ran);
                    scope.spawn(move || {
                        let Some(once) = begin(path).expect("begun") else { return };
                        assert!(!path.exists());
                        // The first to have it fails.
                        if ran.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                            once.abandon();
                        } else {
                            once.succeed(&format!("step of {number}")).expect("written");
                        }
                    });
                }
            });
            // Whoever failed does not try again; of the others exactly one did it.
            assert_eq!(ran.into_inner(), 2);
            assert_eq!(names(place.path()), ["done"]);
        });
    }

    #[test]
    fn a_signal_ends_the_waiting() {
        test("a_signal_ends_the_waiting", || {
            let place = directory();
            let path = place.path().join("done");
            let once = begin(&path).expect("begun").expect("not done yet");
            let mut children = children();
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM).expect("raised");
            let failure =
                Once::begin(&open(&path), "the step", None, QUIET, &mut children).expect_err("stopped");
            assert_eq!(failure.kind(), Kind::Stopped(15));
            let lock = place.path().join("done.lock");
            let sentence = format!("stopped by SIGTERM while it waited for the lock `{}`", lock.display());
            assert_eq!(failure.sentence(), sentence);
            assert_eq!(names(place.path()), ["done.lock"], "the lock of the other one stays");
            once.succeed("the step").expect("written");
        });
    }

    #[test]
    fn what_a_dead_run_left_is_told_from_what_another_just_made() {
        let place = directory();
        let lock = Entry::find(&place.path().join("done.lock")).expect("there");
        let left = |lock: &Entry| match attempt(lock, None).expect("tried") {
            Attempt::Held { left_behind, .. } => left_behind,
            Attempt::Busy(_) | Attempt::Again => panic!("nobody holds it"),
        };
        assert!(!left(&lock), "it is new");
        assert!(!left(&lock), "nobody ran anything under it");
        std::fs::write(place.path().join("done.lock"), "2026-11-20T00:00:00Z step\n").expect("written");
        assert!(left(&lock));
    }

    #[test]
    fn the_lock_of_a_dead_run_is_taken_over() {
        let body = || {
            let place = directory();
            let path = place.path().join("done");
            let lock = place.path().join("done.lock");
            std::fs::write(&lock, "2026-11-20T00:00:00Z a step with a longer name\n").expect("written");
            let log = Log { format: Format::Text };
            let once = Once::begin(&open(&path), "the step", None, log, &mut children()).expect("begun");
            let once = once.expect("not done yet");
            let content = std::fs::read_to_string(&lock).expect("there");
            assert_eq!(content.split_once(' ').expect("two words").1, "the step\n");
            once.succeed("the step").expect("written");
            assert_eq!(names(place.path()), ["done"]);
        };
        if let Some(said) =
            alone(module_path!(), "the_lock_of_a_dead_run_is_taken_over", Needs::Process, body)
        {
            let warning =
                "preverb: warning: an earlier run died in the middle of step `the step`, which runs again";
            assert!(said.contains(warning), "{said}");
        }
    }

    #[test]
    fn a_lock_that_was_removed_under_its_holder_locks_nothing() {
        let place = directory();
        let lock = Entry::find(&place.path().join("done.lock")).expect("there");
        let Attempt::Held { file: first, .. } = attempt(&lock, None).expect("tried") else {
            panic!("nobody holds it")
        };
        assert!(matches!(attempt(&lock, None).expect("tried"), Attempt::Busy(_)));
        lock.remove().expect("removed");
        let Attempt::Held { file: second, .. } = attempt(&lock, None).expect("tried") else {
            panic!("a new one")
        };
        assert!(!is_at(&first, &lock).expect("looked"));
        assert!(is_at(&second, &lock).expect("looked"));
    }

    #[test]
    fn what_is_no_file_is_no_lock() {
        test("what_is_no_file_is_no_lock", || {
            let place = directory();
            let path = place.path().join("done");
            let refused = |path: &Path| assert_eq!(begin(path).expect_err("no lock").kind(), Kind::System);
            let other = place.path().join("other");
            symlink(&other, place.path().join("done.lock")).expect("made");
            refused(&path);
            assert!(!other.exists());
            std::fs::remove_file(place.path().join("done.lock")).expect("removed");
            nix::unistd::mkfifo(&place.path().join("done.lock"), nix::sys::stat::Mode::S_IRWXU)
                .expect("made");
            refused(&path);
            refused(&place.path().join("missing/done"));
            refused(&place.path().join("done.lock/done"));
        });
    }

    #[test]
    fn the_files_are_the_users() {
        alone(module_path!(), "the_files_are_the_users", Needs::Root, || {
            let place = directory();
            let (theirs, path) = (place.path().join("theirs"), place.path().join("theirs/done"));
            std::fs::create_dir(&theirs).expect("made");
            give(&theirs, 1000);
            let me = someone(1000);
            let mut children = children();
            let once = Once::begin(&open(&path), "step", Some(&me), QUIET, &mut children).expect("begun");
            assert_eq!(std::fs::metadata(theirs.join("done.lock")).expect("there").uid(), 1000);
            once.expect("not done yet").succeed("step").expect("written");
            assert_eq!(std::fs::metadata(&path).expect("there").uid(), 1000);
            assert_eq!(names(&theirs), ["done"]);
            let not_theirs = place.path().join("done");
            Once::begin(&open(&not_theirs), "step", Some(&me), QUIET, &mut children)
                .expect_err("root's directory");
            assert_eq!(names(place.path()), ["theirs"]);

            // Another user's lock can be held, though not written.
            std::fs::set_permissions(&theirs, PermissionsExt::from_mode(0o777)).expect("changed");
            std::fs::remove_file(&path).expect("removed");
            std::fs::write(theirs.join("done.lock"), "2026-11-20T00:00:00Z step\n").expect("written");
            let once = Once::begin(&open(&path), "step", Some(&me), QUIET, &mut children).expect("begun");
            once.expect("not done yet").succeed("step").expect("written");
            assert_eq!(names(&theirs), ["done"]);
        });
    }

    #[track_caller]
    fn until(condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition() {
            assert!(Instant::now() < deadline, "it never came to that");
            std::thread::yield_now();
        }
    }

    /// How many descriptors of locks in this directory this process has.
    fn open_locks(directory: &Path) -> usize {
        let entries = std::fs::read_dir("/proc/self/fd").expect("there is /proc");
        let paths = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        paths
            .filter(|path| path.starts_with(directory) && path.extension().is_some_and(|e| e == "lock"))
            .count()
    }
}
