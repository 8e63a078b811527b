//! The harness: an engine, images, containers, networks and volumes that clean up after themselves.
//!
//! ```ignore
//! let Some(engine) = engine() else { return };
//! let container = engine
//!     .run(&base())
//!     .table("[verbs.server]\nexec = ['sleep', '1000']\n")
//!     .flag("--read-only")
//!     .args(["server"])
//!     .start();
//! container.until("it sleeps", |it| it.top() == ["sleep 1000"]);
//! let stopped = container.stop();
//! assert_eq!(stopped.status, 143);
//! ```
//!
//! - [`engine()`]: the engine that answers, or `None`, which skips the test.
//! - [`base()`]: an image of preverb and busybox and nothing else; a table is mounted by `Run::table`.
//! - [`Context`]: a build context made in the test; [`Engine::build`]: one that is a directory.
//! - [`Engine::run`]: `Run::output` waits for the end, `Run::start` gives a [`Container`].
//! - [`preverb_image()`]: the image that a `COPY --from=preverb` names; [`preverb()`]: its binary.
//! - [`Terminal`]: a command under a terminal of its own, from `Run::terminal` or `Terminal::new`.
//! - [`Compose`]: a compose project, taken down on drop.
//! - [`undisturbed()`]: no image is built while a test measures time.
//! - [`Network`], [`Volume`]: unique names, removed on drop, as containers are.
//!
//! No test relies on a sleep: [`until()`] polls, and every command of the engine has a deadline.

mod command;
mod compose;
mod container;
mod engine;
mod image;
mod scratch;
mod terminal;

pub(crate) use command::{Output, run};
pub(crate) use compose::Compose;
pub(crate) use container::{Container, Network, Run, Volume};
pub(crate) use engine::{Engine, engine};
pub(crate) use image::{Context, Image, base, copy_out, preverb, preverb_image, stand_ins};
pub(crate) use scratch::Scratch;
pub(crate) use terminal::Terminal;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// How long the harness waits for anything that a test expects to become true.
const PATIENCE: Duration = Duration::from_secs(30);

/// Builds lock it for reading, measurements for writing.
static BUILDS: RwLock<()> = RwLock::new(());

fn building() -> RwLockReadGuard<'static, ()> {
    BUILDS.read().unwrap_or_else(PoisonError::into_inner)
}

/// While it is held no image is built, so that the compiler does not disturb a measurement. Its holder
/// must not ask for an image.
pub(crate) fn undisturbed() -> RwLockWriteGuard<'static, ()> {
    BUILDS.write().unwrap_or_else(PoisonError::into_inner)
}

/// The top of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The cache of the harness for slow builds, below the target directory.
pub(crate) fn cache() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("containers");
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// A name that no other test, and no other run of the tests, uses.
pub(crate) fn unique(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("preverb-test-{prefix}-{}-{count}", std::process::id())
}

/// Polls until `check` gives something, and fails the test with `what` when it takes too long.
#[track_caller]
pub(crate) fn until<T>(what: &str, check: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, check)
}

/// As `until`, with a deadline of its own.
#[track_caller]
pub(crate) fn until_within<T>(deadline: Duration, what: &str, check: impl FnMut() -> Option<T>) -> T {
    becomes(deadline, check).unwrap_or_else(|| panic!("not within {deadline:?}: {what}"))
}

fn becomes<T>(deadline: Duration, mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let value = check();
        if value.is_some() || start.elapsed() > deadline {
            return value;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
