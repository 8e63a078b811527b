//! The stopwatch: starts a program with `posix_spawn`, waits for its end, and does so for many of them in
//! turn, so that the load of the machine affects all of them alike. It does not know the programs.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::wait::{WaitStatus, waitpid};

/// A program with its arguments and variables, ready to be started without another allocation.
#[derive(Debug)]
pub(crate) struct Runner {
    name: String,
    words: Vec<CString>,
    env: Vec<CString>,
}

impl Runner {
    /// `words[0]` is the program's path.
    ///
    /// # Errors
    /// When an argument contains a NUL.
    pub(crate) fn new<S: AsRef<OsStr>>(name: &str, words: &[S], env: &[(&str, String)]) -> Result<Self> {
        let words =
            words.iter().map(|word| CString::new(word.as_ref().as_bytes())).collect::<Result<Vec<_>, _>>()?;
        let env = env
            .iter()
            .map(|(name, value)| CString::new(format!("{name}={value}")))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { name: name.to_owned(), words, env })
    }
}

/// Runs each of the runners once a round, and returns their times, in the order of the runners.
///
/// # Errors
/// When one cannot be started or does not end with 0.
pub(crate) fn interleave(
    runners: &[Runner], rounds: usize, mut between: impl FnMut(),
) -> Result<Vec<Vec<Duration>>> {
    let null = File::options().read(true).write(true).open("/dev/null").context("opening `/dev/null`")?;
    let mut streams = PosixSpawnFileActions::init()?;
    for stream in 0..3 {
        streams.add_dup2(null.as_raw_fd(), stream)?;
    }
    let attributes = PosixSpawnAttr::init()?;
    let mut times = vec![Vec::with_capacity(rounds); runners.len()];
    // The first round warms the caches and is not counted.
    for round in 0..=rounds {
        for turn in 0..runners.len() {
            // Each round begins with another one, so that none always follows the same neighbour.
            let turn = (turn + round) % runners.len();
            let runner = &runners[turn];
            let start = Instant::now();
            let pid =
                posix_spawn(runner.words[0].as_c_str(), &streams, &attributes, &runner.words, &runner.env)
                    .with_context(|| format!("starting `{}`", runner.name))?;
            let status = waitpid(pid, None)?;
            let took = start.elapsed();
            if !matches!(status, WaitStatus::Exited(_, 0)) {
                bail!("`{}` ended with {status:?}; it was {:?}", runner.name, runner.words);
            }
            if round > 0 {
                times[turn].push(took);
            }
        }
        between();
    }
    Ok(times)
}

/// The quantile of some samples at `percent`; of none, zero.
#[must_use]
pub(crate) fn quantile(samples: &[Duration], percent: usize) -> Duration {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted.get((sorted.len().saturating_sub(1)) * percent / 100).copied().unwrap_or_default()
}

/// The median.
#[must_use]
pub(crate) fn median(samples: &[Duration]) -> Duration {
    quantile(samples, 50)
}
