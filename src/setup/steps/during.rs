//! `during` of a group: a program that runs at the same time as the steps of the group, such as the temporary
//! server of a database.

use std::ffi::OsString;
use std::time::Duration;

use crate::setup::state::{Setup, Task};
use crate::sys::{CompanionEnd, Ended, GRACE, Stop, Terminal, start_program};
use crate::text::{Failure, Kind, Level, Message, Result, WITHHELD, readable};
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
        match start_program(&mut self.world.children, run_as, &argv, &variables, &|_| {}) {
            Ok(running) => self.world.children.companion = Some(running),
            Err(failure) if failure.kind() == Kind::Identity => return Err(failure),
            Err(failure) => {
                return Err(self.hook_failure(&name, task, &not_started(failure.sentence(), secret)));
            }
        }
        let done = self.wait(task, &during.ready).and_then(|()| inner(self));
        let signal = during.stop_signal.unwrap_or(TERM);
        let grace = task.step.grace();
        let (calm, stopping) = (grace.unwrap_or(GRACE_DURING), grace.unwrap_or(GRACE));
        let grace = if done.as_ref().is_err_and(Failure::is_stop) { stopping } else { calm };
        let end_of_companion = self.world.children.end_companion(signal, grace, stopping);
        self.restore_terminal();
        let Some(end_of_companion) = end_of_companion else { return done };
        let bad_end =
            bad_end(&end_of_companion, signal, secret).map(|what| self.hook_failure(&name, task, &what));
        let stopped = |by: &Failure| by.is_stop() && by.kind() != Kind::Stopped(Stop::COMPANION.0);
        let asked = match (done, end_of_companion.stop) {
            (Err(failure), _) if !end_of_companion.early || stopped(&failure) => Err(failure),
            (Ok(()), Some(stop)) if !end_of_companion.early => {
                Err(stop.failure(&format!("while hook `{name}` ended")).field("hook", &name))
            }
            // The program's early end explains the failure of a step.
            (Ok(()) | Err(_), _) => Ok(()),
        };
        let Some(bad_end) = bad_end else {
            let lasted = readable(end_of_companion.companion.started.elapsed());
            report(format!("hook `{name}` ended after {lasted}"));
            return asked;
        };
        if asked.is_ok() {
            return Err(bad_end);
        }
        log.warn(bad_end.sentence());
        asked
    }
}

fn not_started(why: String, secret: bool) -> String {
    Ended::NotStarted(if secret { WITHHELD.to_owned() } else { why }).describe()
}

/// Describes how the program ended, if that counts as a failure.
fn bad_end(end_of_companion: &CompanionEnd, signal: i32, secret: bool) -> Option<String> {
    let companion = &end_of_companion.companion;
    let report = companion.last_line();
    if !report.is_empty() {
        return Some(not_started(report, secret));
    }
    let ended = companion.ended()?;
    let how = ended.describe();
    let by = signal_name(signal);
    if end_of_companion.early {
        return Some(format!("{how} before it was asked to end"));
    }
    if let Some(grace) = companion.outlived() {
        return Some(format!("did not end within {} of {by}, and was killed", readable(grace)));
    }
    let well = [Ended::Exited(0), Ended::Signaled(signal), Ended::Exited(128 + signal)];
    (!well.contains(ended)).then(|| format!("{how} when it was asked to end by {by}"))
}
