//! Waits until targets are ready: the `wait` step, `--wait`, and the single try of `--probe` and `--health`.
//!
//! Every try is a process, which can be ended if name resolution blocks, and which runs as the right user.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::ready::attempt::watched;
use crate::sys::{Children, Ended, Request, RunAs, Running, Spawn, Stop, start_mode, start_program};
use crate::text::{
    FIRST_REPORT, Failure, Kind, Level, Log, Message, PROBE_TIMEOUT, REPORT_INTERVAL, Result, WITHHELD,
    escaped, listed, pause, quoted, readable, url,
};
use crate::value::{Target, UNSEEN_PATH, UNSEEN_PATH_HINT, Variables};

/// The time limit of one built-in try. A program may run as long as the wait lasts.
const TRY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Awaited {
    pub(crate) shown: String,
    pub(crate) argv: Vec<OsString>,
    target: Option<Vec<u8>>,
    /// The program of preverb, as the guard that leaves no process of a program behind.
    pub(crate) guard: Option<PathBuf>,
    /// The time limit of a built-in try; without it, the limit of the caller counts.
    pub(crate) limit: Option<Duration>,
    /// The minimum time of a successful try.
    watched: Duration,
    error: String,
    /// Whether its arguments contain a secret, so that its error is not shown.
    pub(crate) secret: bool,
    next: Instant,
    running: Option<Running>,
    tries: u32,
}

impl Awaited {
    /// A target with a built-in probe, which `program` runs. `None` if there is nothing to wait for.
    pub(crate) fn url(
        target: &[u8], shown: String, program: &Path,
    ) -> std::result::Result<Option<Self>, String> {
        let awaited = |parsed| Self {
            target: Some(target.to_vec()),
            watched: watched(&parsed),
            ..Self::exec(vec![program.into()], shown)
        };
        Ok(Target::parse(target)?.map(awaited))
    }

    /// Whether the answer could not show the state that its path asks for.
    pub(crate) fn hides_its_path(&self) -> bool {
        let target = self.target.as_deref().map(Target::parse);
        matches!(target, Some(Ok(Some(target))) if target.hides_its_path())
    }

    pub(crate) fn exec(argv: Vec<OsString>, shown: String) -> Self {
        Self {
            shown,
            argv,
            target: None,
            guard: None,
            limit: None,
            watched: Duration::ZERO,
            error: "it was not tried".to_owned(),
            secret: false,
            next: Instant::now(),
            running: None,
            tries: 0,
        }
    }

    pub(crate) fn error(&self) -> &str {
        self.shown_reason(&self.error)
    }

    pub(crate) fn shown_reason<'r>(&self, reason: &'r str) -> &'r str {
        if self.secret { WITHHELD } else { reason }
    }
}

#[derive(Debug)]
pub(crate) enum Unready {
    TimedOut(Vec<Awaited>),
    Stopped(Stop),
}

/// Starts one try with a time limit.
pub(crate) type Start<'a> =
    dyn Fn(&mut Children, &Awaited, Duration) -> std::result::Result<Running, String> + 'a;

/// Waits for all targets at the same time; a `timeout` of zero is no limit.
pub(crate) fn wait_for(
    children: &mut Children, log: Log, mut awaited: Vec<Awaited>, timeout: Duration, start: &Start<'_>,
) -> std::result::Result<(), Unready> {
    let begun = Instant::now();
    let deadline = (!timeout.is_zero()).then(|| begun + timeout);
    let mut say_at = begun + FIRST_REPORT;
    while !awaited.is_empty() {
        let now = Instant::now();
        for each in awaited.iter_mut().filter(|each| each.running.is_none() && each.next <= now) {
            // A program has no limit of its own; it is ended with the wait.
            let limit = if each.is_probe() { TRY } else { Duration::ZERO };
            match start(children, each, limit) {
                Ok(running) => each.running = Some(running),
                Err(error) => {
                    each.error = error;
                    each.next = now + each.pause(begun.elapsed());
                }
            }
            each.tries += 1;
        }
        if now >= say_at {
            let names: Vec<&str> = awaited.iter().map(|each| each.shown.as_str()).collect();
            let still = if say_at == begun + FIRST_REPORT { "" } else { "still " };
            let text = format!("{still}waiting for {} for {}", listed(&names), readable(begun.elapsed()));
            log.emit(&Message::new(Level::Info, text).field("targets", names.join(" ")));
            say_at = if still.is_empty() { begun + REPORT_INTERVAL } else { say_at + REPORT_INTERVAL };
        }
        let idle = awaited.iter().filter(|each| each.running.is_none()).map(|each| each.next);
        let until = idle.chain([say_at]).chain(deadline).min();
        let mut running: Vec<_> = awaited.iter_mut().filter_map(|each| each.running.as_mut()).collect();
        children.pump(&mut running, until).map_err(Unready::Stopped)?;
        let waited = begun.elapsed();
        awaited.retain_mut(|each| !each.is_ready(waited, log));
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) && !awaited.is_empty() {
            end_all(children, &mut awaited)?;
            return Err(Unready::TimedOut(awaited));
        }
    }
    Ok(())
}

/// Ends all running tries at the same time: waiting for a single one would reap the others.
fn end_all(children: &mut Children, awaited: &mut [Awaited]) -> std::result::Result<(), Unready> {
    for running in awaited.iter_mut().filter_map(|each| each.running.as_mut()) {
        running.kill(None);
    }
    loop {
        let running = awaited.iter_mut().filter_map(|each| each.running.as_mut());
        let mut running: Vec<_> = running.filter(|running| running.ended().is_none()).collect();
        if running.is_empty() {
            break;
        }
        children.pump(&mut running, None).map_err(Unready::Stopped)?;
    }
    for each in awaited {
        if each.running.take().is_some() && each.tries == 1 {
            "no answer in time".clone_into(&mut each.error);
        }
    }
    Ok(())
}

impl Awaited {
    /// Records a try that has ended, and reports if it was successful.
    fn is_ready(&mut self, waited: Duration, log: Log) -> bool {
        let Some(running) = &self.running else { return false };
        let Some(ended) = running.ended() else { return false };
        match self.verdict(running, ended) {
            Ok(()) => {
                // The first try can take as long as the others are waited for.
                if self.tries > 1 || waited >= FIRST_REPORT {
                    let text = format!("`{}` is ready after {}", self.shown, readable(waited));
                    log.emit(&Message::new(Level::Info, text).field("target", &self.shown));
                }
                return true;
            }
            Err(reason) => self.error = reason,
        }
        self.running = None;
        self.next = Instant::now() + self.pause(waited);
        false
    }

    /// The pause before the next try. It is shorter by the time that the try has to watch, so that watching
    /// does not delay the result.
    fn pause(&self, waited: Duration) -> Duration {
        pause(waited).saturating_sub(self.watched).max(pause(Duration::ZERO))
    }

    pub(crate) fn verdict(&self, running: &Running, ended: &Ended) -> std::result::Result<(), String> {
        let line = running.last_line();
        Err(match ended {
            Ended::Exited(0) => return Ok(()),
            Ended::TimedOut(limit) => format!("no answer within {}", readable(*limit)),
            Ended::Exited(1) if (self.is_probe() || running.has_reported()) && !line.is_empty() => line,
            other @ (Ended::Exited(_)
            | Ended::Signaled(_)
            | Ended::Stopped(_)
            | Ended::TooMuchOutput
            | Ended::NotStarted(_)) => {
                let separator = if line.is_empty() { "" } else { ": " };
                format!("{}{separator}{line}", other.describe())
            }
        })
    }

    /// Whether the probe is built in; its message is then complete.
    pub(crate) fn is_probe(&self) -> bool {
        self.target.is_some()
    }
}

pub(crate) fn not_ready(awaited: &[Awaited], timeout: Duration, what: &str) -> Failure {
    let list: Vec<String> =
        awaited.iter().map(|each| format!("`{}` ({})", each.shown, each.error())).collect();
    let sentence = format!("{what} not ready after {}: {}", readable(timeout), list.join(", "));
    let names: Vec<&str> = awaited.iter().map(|each| each.shown.as_str()).collect();
    Failure::new(Kind::Unavailable, sentence).field("targets", names.join(" "))
}

pub(crate) fn start(
    children: &mut Children, run_as: RunAs<'_>, awaited: &Awaited, variables: &Variables, limit: Duration,
) -> std::result::Result<Running, String> {
    let adjust = |spawn: &mut Spawn<'_>| {
        spawn.terms.quiet = true;
        spawn.terms.limit = Some(limit);
        spawn.terms.grace = run_as.grace;
    };
    let (identity, file) = (run_as.identity, None);
    let started = if let Some(target) = &awaited.target {
        let argv = &[OsString::from_vec(target.clone())];
        let (variables, limit) = (&Variables::default(), awaited.limit.unwrap_or(PROBE_TIMEOUT));
        let program = Path::new(awaited.argv.first().map(OsString::as_os_str).unwrap_or_default());
        let request = Request { identity, file, argv, variables, limit };
        start_mode(children, program, "--preverb-probe", &request, &adjust)
    } else if let Some(guard) = &awaited.guard {
        let request = Request { identity, file, argv: &awaited.argv, variables, limit: Duration::ZERO };
        start_mode(children, guard, "--preverb-guard", &request, &adjust)
    } else {
        start_program(children, run_as, &awaited.argv, variables, &adjust)
    };
    started.map_err(|failure| failure.sentence())
}

/// Parses a target of `--wait`; an invalid one is a usage error. `None` if there is nothing to wait for.
pub(crate) fn awaited_word(target: &OsStr, program: &Path) -> Result<Option<Awaited>> {
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
pub(crate) fn probed_word(target: &OsStr, program: &Path) -> Result<Option<Awaited>> {
    let awaited = awaited_word(target, program)?;
    if let Some(awaited) = awaited.as_ref().filter(|awaited| awaited.hides_its_path()) {
        let sentence = format!("`{}` cannot be probed: {UNSEEN_PATH}", awaited.shown);
        return Err(Failure::new(Kind::Usage, sentence).hint(UNSEEN_PATH_HINT));
    }
    Ok(awaited)
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
