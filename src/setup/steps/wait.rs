//! A `wait` step: waits until all of its targets are ready.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::plan::PlanStep;
use crate::plan::target::{expand, expand_argv};
use crate::ready::wait::{Awaited, Unready, not_ready, start, wait_for};
use crate::setup::state::{Actor, Setup, existence};
use crate::sys::child::Children;
use crate::sys::proof;
use crate::sys::start::AsWhom;
use crate::sys::terminal::Terminal;
use crate::text::duration::WAIT_TIMEOUT;
use crate::text::failure::{Failure, Kind, Result};
use crate::value::condition::Facts;
use crate::value::step::Probe;
use crate::value::template::Expanded;

impl Setup {
    /// A `wait` step.
    pub(in crate::setup) fn wait(&mut self, step: &PlanStep, actor: &Actor, targets: &[Probe]) -> Result<()> {
        let variables = self.surroundings.of(actor.root).variables.clone();
        let what = format!("step `{}`", step.label);
        let mut awaited = Vec::new();
        for target in targets {
            let exists = existence(actor.identity.clone());
            let facts = self.plan.facts(&variables, &exists);
            awaited.extend(awaited_of(target, facts, &what, &self.world.program)?);
        }
        let kept_root = actor.kept_root;
        // A refusal would say where the program lies.
        for each in awaited.iter_mut().filter(|_| kept_root) {
            let program = each.argv.first().map(OsString::as_os_str).unwrap_or_default();
            each.secret |= variables.hides(program);
        }
        for each in awaited.iter().filter(|each| kept_root && !each.is_probe()) {
            // One that is not there yet may come.
            if let Err(failure) = proof::program(&what, &each.argv, &variables)
                && failure.kind() == Kind::Identity
            {
                let failure = failure.field("step", &step.label);
                return Err(if each.secret { failure.concealed(&what) } else { failure });
            }
        }
        let timeout = step.limit().unwrap_or(WAIT_TIMEOUT);
        let program = self.world.program.clone();
        let identity = actor.identity.clone();
        let environment = self.variables_of(actor);
        if targets.iter().any(|target| matches!(target, Probe::Exec(_))) {
            self.terminal.get_or_insert_with(Terminal::observe);
        }
        let start = |children: &mut Children, each: &Awaited, limit: Duration| {
            let as_whom = AsWhom { identity: identity.as_ref(), preverb: &program, kept_root };
            start(children, as_whom, each, &environment, limit)
        };
        let waited = wait_for(&mut self.world.children, self.world.log, awaited, timeout, &start);
        self.restore_terminal();
        match waited {
            Ok(()) => Ok(()),
            Err(Unready::Stopped(stop)) => Err(stop.failure(&format!("while step `{}` waited", step.label))),
            Err(Unready::TimedOut(awaited)) => {
                let what = if step.step.name.is_some() {
                    format!("step `{}`:", step.label)
                } else {
                    "wait:".to_owned()
                };
                Err(not_ready(&awaited, timeout, &what).field("step", &step.label))
            }
        }
    }
}

/// A target of the table, expanded. `None` is nothing to wait for.
///
/// # Errors
/// Variable (65): one that is not set, or why it is not a target.
pub(crate) fn awaited_of(
    probe: &Probe,
    facts: Facts<'_>,
    what: &str,
    program: &Path,
) -> Result<Option<Awaited>> {
    match probe {
        Probe::Exec(argv) => {
            let words = expand_argv(argv, facts, what)?;
            let shown: Vec<String> = words.iter().map(Expanded::shown).collect();
            let secret = words.iter().any(|word| word.secret);
            let argv = words.into_iter().map(Expanded::into_word).collect();
            let mut awaited = Awaited::exec(argv, shown.join(" "));
            awaited.secret = secret;
            Ok(Some(awaited))
        }
        Probe::Url(template) => {
            let expanded = expand(template, facts.variables, what)?;
            let shown = expanded.shown_target();
            Awaited::url(&expanded.bytes, shown.clone(), program).map_err(|reason| {
                Failure::say(Kind::Variable, format!("{what} cannot use `{shown}`: {reason}"))
            })
        }
    }
}
