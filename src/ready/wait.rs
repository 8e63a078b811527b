//! Waits until targets are ready: the `wait` step, `--wait`, and the single try of `--probe` and `--health`.
//!
//! Every try is a process, which can be ended if name resolution blocks, and which runs as the right user.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::ready::connection::WATCHED;
use crate::sys::{Children, Ended, Request, RunAs, Running, Spawn, Stop, read, start_mode, start_program};
use crate::text::{
    FIRST_REPORT, Failure, Kind, Level, Log, Message, REPORT_INTERVAL, WITHHELD, escaped, listed, pause,
    quoted, readable, url,
};
use crate::value::target::Protocol;
use crate::value::{Target, UNSEEN_PATH, UNSEEN_PATH_HINT, Variables};

/// The time limit of one built-in try. A program may run as long as the wait lasts.
const TRY: Duration = Duration::from_secs(5);

pub(crate) struct Awaited {
    pub(crate) shown: String,
    /// A program with its arguments; for a built-in probe these are preverb and the target.
    pub(crate) argv: Vec<OsString>,
    /// The target of a built-in probe, whose message is complete.
    pub(crate) probe: Option<Target>,
    /// The time limit of a single try, at which its caller ends it.
    pub(crate) limit: Option<Duration>,
    /// The error of the last try that has ended.
    error: String,
    /// Whether its arguments contain a secret, so that its error is not shown.
    pub(crate) secret: bool,
    next: Instant,
    running: Option<Running>,
    tries: u32,
}

impl Awaited {
    /// A target with a built-in probe, which `program` runs. `None` if there is nothing to wait for.
    pub(crate) fn url(target: &[u8], shown: String, program: &Path) -> Result<Option<Self>, String> {
        let argv = vec![program.into(), OsStr::from_bytes(target).to_owned()];
        Ok(Target::parse(target)?.map(|probe| Self { probe: Some(probe), ..Self::exec(argv, shown) }))
    }

    pub(crate) fn exec(argv: Vec<OsString>, shown: String) -> Self {
        Self {
            shown,
            argv,
            probe: None,
            limit: None,
            error: "no answer in time".to_owned(),
            secret: false,
            next: Instant::now(),
            running: None,
            tries: 0,
        }
    }

    pub(crate) fn shown_reason<'r>(&self, reason: &'r str) -> &'r str {
        if self.secret { WITHHELD } else { reason }
    }

    /// The result of a try, once it has ended.
    pub(crate) fn verdict(&self, running: &Running) -> Option<Result<(), String>> {
        let (ended, line) = (running.ended()?, running.last_line());
        if *ended == Ended::Exited(0) {
            return Some(Ok(()));
        }
        let is_explained = (self.probe.is_some() || running.has_reported()) && !line.is_empty();
        Some(Err(if let Ended::TimedOut(limit) = ended {
            format!("no answer within {}", readable(*limit))
        } else if *ended == Ended::Exited(1) && is_explained {
            line
        } else {
            let separator = if line.is_empty() { "" } else { ": " };
            format!("{}{separator}{line}", ended.describe())
        }))
    }

    /// Records a try that has ended, and reports if it was successful.
    fn is_ready(&mut self, waited: Duration, log: Log) -> bool {
        let verdict = self.running.as_ref().and_then(|running| self.verdict(running));
        let Some(verdict) = verdict else { return false };
        let Err(reason) = verdict else {
            // The first try can take as long as the others are waited for.
            if self.tries > 1 || waited >= FIRST_REPORT {
                let text = format!("`{}` is ready after {}", self.shown, readable(waited));
                log.emit(&Message::new(Level::Info, text).field("target", &self.shown));
            }
            return true;
        };
        self.has_failed(reason, waited);
        false
    }

    /// Schedules the next try. The pause before it is shorter by the time that the try has to watch, so that
    /// watching does not delay the result.
    fn has_failed(&mut self, reason: String, waited: Duration) {
        let watches = matches!(self.probe, Some(Target::Server { protocol: Protocol::Tcp, .. }));
        let watched = if watches { WATCHED } else { Duration::ZERO };
        let pause = pause(waited).saturating_sub(watched).max(pause(Duration::ZERO));
        (self.error, self.running, self.next) = (reason, None, Instant::now() + pause);
    }
}

/// Waits for all targets at the same time; a `timeout` of zero is no limit. Returns those that were not ready
/// in time.
pub(crate) fn wait_for(
    children: &mut Children, log: Log, mut awaited: Vec<Awaited>, timeout: Duration, run_as: RunAs<'_>,
    variables: &Variables,
) -> Result<Vec<Awaited>, Stop> {
    let begun = Instant::now();
    let deadline = (!timeout.is_zero()).then(|| begun + timeout);
    let mut say_at = begun + FIRST_REPORT;
    while !awaited.is_empty() {
        let now = Instant::now();
        for each in awaited.iter_mut().filter(|each| each.running.is_none() && each.next <= now) {
            match start(children, run_as, each, variables) {
                Ok(running) => each.running = Some(running),
                Err(reason) => each.has_failed(reason, begun.elapsed()),
            }
            each.tries += 1;
        }
        if now >= say_at {
            let still = if say_at == begun + FIRST_REPORT { "" } else { "still " };
            let names = names(&awaited);
            let text = format!("{still}waiting for {} for {}", listed(&names), readable(begun.elapsed()));
            log.emit(&Message::new(Level::Info, text).field("targets", names.join(" ")));
            say_at = if still.is_empty() { begun + REPORT_INTERVAL } else { say_at + REPORT_INTERVAL };
        }
        let idle = awaited.iter().filter(|each| each.running.is_none()).map(|each| each.next);
        let until = idle.chain([say_at]).chain(deadline).min();
        children.pump(&mut running(&mut awaited).collect::<Vec<_>>(), until)?;
        let waited = begun.elapsed();
        awaited.retain_mut(|each| !each.is_ready(waited, log));
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            end_all(children, &mut awaited)?;
            break;
        }
    }
    Ok(awaited)
}

fn names(awaited: &[Awaited]) -> Vec<&str> {
    awaited.iter().map(|each| each.shown.as_str()).collect()
}

fn running(awaited: &mut [Awaited]) -> impl Iterator<Item = &mut Running> {
    awaited.iter_mut().filter_map(|each| each.running.as_mut())
}

/// Ends all running tries at the same time: waiting for a single one would reap the others.
fn end_all(children: &mut Children, awaited: &mut [Awaited]) -> Result<(), Stop> {
    running(awaited).for_each(|running| running.kill(None));
    loop {
        let mut left: Vec<_> = running(awaited).filter(|running| running.ended().is_none()).collect();
        if left.is_empty() {
            return Ok(());
        }
        children.pump(&mut left, None)?;
    }
}

pub(crate) fn not_ready(awaited: &[Awaited], timeout: Duration, what: &str) -> Failure {
    let shown = |each: &Awaited| format!("`{}` ({})", each.shown, each.shown_reason(&each.error));
    let list = awaited.iter().map(shown).collect::<Vec<_>>().join(", ");
    let sentence = format!("{what} not ready after {}: {list}", readable(timeout));
    Failure::new(Kind::Unavailable, sentence).field("targets", names(awaited).join(" "))
}

/// Starts one try.
pub(crate) fn start(
    children: &mut Children, run_as: RunAs<'_>, awaited: &Awaited, variables: &Variables,
) -> Result<Running, String> {
    let adjust = |spawn: &mut Spawn<'_>| {
        spawn.terms.quiet = true;
        spawn.terms.limit = Some(TRY).filter(|_| awaited.probe.is_some() && awaited.limit.is_none());
        spawn.terms.grace = run_as.grace;
    };
    let (identity, file) = (run_as.identity, None);
    let started = match (&awaited.argv[..], awaited.limit) {
        ([program, argv @ ..], limit) if awaited.probe.is_some() => {
            let (variables, limit) = (&Variables::default(), limit.unwrap_or(TRY));
            let request = Request { identity, file, argv, variables, limit };
            start_mode(children, Path::new(program), "--preverb-probe", &request, &adjust)
        }
        (argv, None) => start_program(children, run_as, argv, variables, &adjust),
        // A guard leaves no process of the program behind.
        (argv, Some(_)) => {
            let request = Request { identity, file, argv, variables, limit: Duration::ZERO };
            start_mode(children, &read::program(), "--preverb-guard", &request, &adjust)
        }
    };
    started.map_err(|failure| failure.sentence())
}

/// Parses a target of `--wait`; an invalid one is a usage error. `None` if there is nothing to wait for.
pub(crate) fn awaited_word(target: &OsStr, program: &Path) -> Result<Option<Awaited>, Failure> {
    let bytes = target.as_bytes();
    let shown = url::shown(bytes);
    let reason = match Awaited::url(bytes, escaped(&shown), program) {
        Ok(None) if bytes.is_empty() => "it is empty".to_owned(),
        Ok(awaited) => return Ok(awaited),
        Err(reason) => reason,
    };
    Err(Failure::new(Kind::Usage, format!("{} is not a target: {reason}", quoted(&shown))))
}

/// Parses a target of `--probe`; the probe has to see its whole path.
pub(crate) fn probed_word(target: &OsStr, program: &Path) -> Result<Option<Awaited>, Failure> {
    match awaited_word(target, program)? {
        Some(Awaited { shown, probe: Some(probe), .. }) if probe.hides_its_path() => {
            let sentence = format!("`{shown}` cannot be probed: {UNSEEN_PATH}");
            Err(Failure::new(Kind::Usage, sentence).hint(UNSEEN_PATH_HINT))
        }
        awaited => Ok(awaited),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_a_tenth_of_the_waited_time_within_limits() {
        for (waited, expected) in [(0, 20), (100, 20), (1000, 100), (5000, 500), (60_000, 1000)] {
            assert_eq!(pause(Duration::from_millis(waited)), Duration::from_millis(expected));
        }
    }
}
