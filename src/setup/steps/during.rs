//! `during` of a group: a program that runs next to its steps, such as the temporary server of a database.

use std::ffi::OsString;
use std::time::Duration;

use crate::setup::state::{Setup, Task};
use crate::setup::steps::hooks::not_started;
use crate::sys::{CompanionEnd, Ended, GRACE, Stop, Terminal, start_program};
use crate::text::{Failure, Kind, Level, Message, Result, readable};
use crate::value::{During, Expanded, signal_name};

/// The grace time of the program, unless the step sets it or the run was asked to stop: a database that has
/// just been filled writes everything to disk.
const GRACE_DURING: Duration = Duration::from_mins(1);
const TERM: i32 = 15;

impl Setup {
    /// Runs `inner` while the program runs.
    pub(in crate::setup) fn during(
        &mut self, task: &Task<'_>, during: &During, inner: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let log = self.world.log;
        let label = &task.step.label;
        let words = self.argv(task, &during.argv)?;
        let name = words.first().map(Expanded::shown).unwrap_or_default();
        let secret = words.first().is_some_and(|word| word.secret);
        let report = |text: String| {
            log.emit(&Message::new(Level::Info, text).field("hook", &name).field("step", label));
        };
        report(format!("running hook `{name}` during {}", task.who()));
        self.terminal.get_or_insert_with(Terminal::observe);
        let argv: Vec<OsString> = words.into_iter().map(Expanded::into_word).collect();
        let variables = self.variables_of(task);
        let run_as = task.run_as(&self.world.program);
        let started = start_program(&mut self.world.children, run_as, &argv, &variables, &|_| {});
        self.world.children.companion = Some(self.started(started, &name, task, secret)?);
        let done = self.wait(task, &during.ready).and_then(|()| inner(self));
        let signal = during.stop_signal.unwrap_or(TERM);
        let (calm, stopping) = task.step.grace().map_or((GRACE_DURING, GRACE), |grace| (grace, grace));
        let grace = if done.as_ref().is_err_and(Failure::is_stop) { stopping } else { calm };
        let end = self.world.children.end_companion(signal, grace, stopping);
        self.terminal.iter().for_each(Terminal::restore);
        let Some(end) = end else { return done };
        let stopped = |by: &Failure| by.is_stop() && by.kind() != Kind::Stopped(Stop::COMPANION.0);
        let asked = match (done, end.stop) {
            (Err(failure), _) if !end.early || stopped(&failure) => Err(failure),
            (Ok(()), Some(stop)) if !end.early => {
                Err(stop.failure(&format!("while hook `{name}` ended")).field("hook", &name))
            }
            // The program's early end explains the failure of a step.
            (Ok(()) | Err(_), _) => Ok(()),
        };
        let bad_end = bad_end(&end, signal, secret).map(|what| self.hook_failure(&name, task, &what));
        match (bad_end, &asked) {
            (None, _) => {
                let lasted = readable(end.companion.started.elapsed());
                report(format!("hook `{name}` ended after {lasted}"));
            }
            (Some(bad_end), Ok(())) => return Err(bad_end),
            (Some(bad_end), Err(_)) => log.warn(bad_end.sentence()),
        }
        asked
    }
}

/// Describes how the program ended, if that counts as a failure.
fn bad_end(end: &CompanionEnd, signal: i32, secret: bool) -> Option<String> {
    let report = end.companion.last_line();
    if !report.is_empty() {
        return Some(not_started(report, secret).describe());
    }
    let ended = end.companion.ended()?;
    let (how, by) = (ended.describe(), signal_name(signal));
    let well = [Ended::Exited(0), Ended::Signaled(signal), Ended::Exited(128 + signal)];
    match end.companion.outlived() {
        _ if end.early => Some(format!("{how} before it was asked to end")),
        Some(grace) => Some(format!("did not end within {} of {by}, and was killed", readable(grace))),
        None if well.contains(ended) => None,
        None => Some(format!("{how} when it was asked to end by {by}")),
    }
}
