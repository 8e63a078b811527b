//! A `wait` step: waits until all of its targets are ready.

use std::path::Path;

use crate::plan::target::{expand, expand_argv};
use crate::ready::wait::{Awaited, not_ready, wait_for};
use crate::setup::state::{Setup, Task, World, existence};
use crate::sys::{Terminal, program_of, proof};
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
            if each.probe.is_none()
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
        let World { children, log, program, .. } = &mut self.world;
        let waited = wait_for(children, *log, awaited, timeout, task.run_as(program), &environment);
        self.terminal.iter().for_each(Terminal::restore);
        let unready = waited.map_err(|stop| stop.failure(&format!("while {what} waited")))?;
        if unready.is_empty() {
            return Ok(());
        }
        let what = if task.step.step.name.is_some() { &what } else { "wait" };
        Err(not_ready(&unready, timeout, &format!("{what}:")).field("step", label))
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
