//! A `wait` step: waits until all of its targets are ready.

use std::path::Path;
use std::time::Duration;

use crate::plan::target::{expand, expand_argv};
use crate::ready::wait::{Awaited, Unready, not_ready, start, wait_for};
use crate::setup::state::{Setup, Task, existence};
use crate::sys::{Children, Terminal, program_of, proof};
use crate::text::{Failure, Kind, Result, WAIT_TIMEOUT};
use crate::value::{Expanded, Facts, Probe};

impl Setup {
    pub(in crate::setup) fn wait(&mut self, task: &Task<'_>, targets: &[Probe]) -> Result<()> {
        let (what, label) = (task.who(), &task.step.label);
        let variables = self.surroundings.variables(task.root);
        let exists = existence(task.identity.as_ref());
        let facts = self.plan.facts(variables, &exists);
        let mut awaited = Vec::new();
        for target in targets {
            awaited.extend(awaited_of(target, facts, &what, &self.world.program)?);
        }
        for each in awaited.iter_mut().filter(|_| task.kept_root) {
            // A refusal would show the path of the program.
            each.secret |= variables.hides(program_of(&each.argv));
            // A program that does not exist yet may appear later.
            if !each.is_probe()
                && let Err(failure) = proof::program(&what, &each.argv, variables)
                && failure.kind() == Kind::Identity
            {
                let failure = failure.field("step", label);
                return Err(if each.secret { failure.concealed(&what) } else { failure });
            }
        }
        let timeout = task.step.limit().unwrap_or(WAIT_TIMEOUT);
        let environment = self.variables_of(task);
        if targets.iter().any(|target| matches!(target, Probe::Exec(_))) {
            self.terminal.get_or_insert_with(Terminal::observe);
        }
        let run_as = task.run_as(&self.world.program);
        let start = |children: &mut Children, each: &Awaited, limit: Duration| {
            start(children, run_as, each, &environment, limit)
        };
        let waited = wait_for(&mut self.world.children, self.world.log, awaited, timeout, &start);
        self.restore_terminal();
        waited.map_err(|unready| match unready {
            Unready::Stopped(stop) => stop.failure(&format!("while {what} waited")),
            Unready::TimedOut(awaited) => {
                let what = if task.step.step.name.is_some() { &what } else { "wait" };
                not_ready(&awaited, timeout, &format!("{what}:")).field("step", label)
            }
        })
    }
}

pub(crate) fn awaited_of(
    probe: &Probe, facts: Facts<'_>, what: &str, program: &Path,
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
                Failure::new(Kind::Variable, format!("{what} cannot use `{shown}`: {reason}"))
            })
        }
    }
}
