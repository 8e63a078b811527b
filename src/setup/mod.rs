//! Performs a plan, step by step. It never reads the table.

pub(crate) mod dump;
pub(crate) mod finish;
pub(crate) mod hook_files;
pub(crate) mod once;
pub(crate) mod state;
pub(crate) mod steps;
pub(crate) mod surroundings;
pub(crate) mod users;

pub(crate) use crate::setup::hook_files::{How, Rules};
pub(crate) use crate::setup::state::not_root;
pub(crate) use crate::setup::steps::wait::awaited_of;

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::plan::target::fault_failure;
use crate::plan::{Plan, PlanStep};
use crate::setup::state::{Setup, Task, World};
use crate::setup::steps::{mkdir, progress};
use crate::sys::{acting_as, read};
use crate::text::{Failure, Kind, Level, Message, Result, quoted, readable, reason};
use crate::value::{Deferred, During, OnFailure, StepKind};

pub(crate) fn perform(plan: Plan, world: World) -> Failure {
    let performed = Setup::prepare(plan, world).and_then(|mut setup| {
        let steps = std::mem::take(&mut setup.plan.steps);
        steps.iter().try_for_each(|step| setup.step(step))?;
        setup.become_target()
    });
    performed.unwrap_or_else(|failure| failure)
}

impl Setup {
    /// Performs a step. If its failure only causes a warning, it has no other effect.
    fn step(&mut self, step: &PlanStep) -> Result<()> {
        if step.step.on_failure == OnFailure::Stop {
            return self.step_or_failure(step);
        }
        // If a part of the step succeeds, its changes are discarded as well.
        let outside = self.surroundings.scopes();
        let done = self.step_or_failure(step);
        let Err(failure) = &done else { return done };
        if failure.is_stop() || failure.kind() == Kind::Identity {
            return done;
        }
        self.surroundings.return_to(outside);
        let label = self.label_of(step);
        for message in failure.warnings(&format!("step `{label}` failed, and the run continues: ")) {
            self.world.log.emit(&message.field("step", &label));
        }
        Ok(())
    }

    fn label_of(&self, step: &PlanStep) -> String {
        step.label_with(self.surroundings.variables(false))
    }

    /// Performs the steps of a group. Its timeout limits all of them, or the wait for its `during` program.
    fn group(&mut self, task: &Task<'_>, during: Option<&During>) -> Result<()> {
        let step = task.step;
        self.once(task, |setup| {
            let outside = setup.surroundings.scopes();
            let inner = |setup: &mut Self| step.steps.iter().try_for_each(|step| setup.step(step));
            let done = if let Some(during) = during {
                setup.during(task, during, inner)
            } else {
                let outer = setup.deadline;
                let limit = step.limit().filter(|limit| !limit.is_zero());
                let own = limit.and_then(|limit| Instant::now().checked_add(limit));
                setup.deadline = own.into_iter().chain(outer).min();
                let done = inner(setup);
                setup.deadline = outer;
                let exceeded = limit.filter(|_| own.is_some_and(|own| own <= Instant::now()));
                done.map_err(|failure| match exceeded.filter(|_| !failure.is_stop()) {
                    Some(limit) => failure.and(format!("{} may take {} in all", task.who(), readable(limit))),
                    None => failure,
                })
            };
            if during.is_some() || done.is_err() {
                setup.return_to(outside, task)?;
            }
            // The failures of its steps already omit secrets.
            setup.secret = false;
            done.map(|()| true)
        })
    }

    fn step_or_failure(&mut self, step: &PlanStep) -> Result<()> {
        if let Some(reason) = &step.skip {
            self.world.log.debug(|| format!("step `{}` is skipped: {reason}", self.label_of(step)));
            return Ok(());
        }
        let task = self.task_of(step)?;
        if self.is_skipped(&task)? {
            return Ok(());
        }
        if let Some(stop) = self.world.children.stop() {
            return Err(stop.failure(&format!("before step `{}`", self.label_of(step))));
        }
        let mut step = step.settled(self.surroundings.variables(task.root))?;
        if let Some(deadline) = self.deadline {
            // A timeout of zero would mean no limit.
            step.cap(deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
        }
        let task = Task { step: &step, ..task };
        self.enter(task.root, Some(&task))?;
        self.secret = false;
        self.dispatch(&task).map_err(|failure| {
            // A hook's failure already omits its secrets.
            let conceals = self.secret && failure.kind() != Kind::Hook;
            if conceals { failure.concealed(&task.who()) } else { failure }
        })
    }

    fn is_skipped(&mut self, task: &Task<'_>) -> Result<bool> {
        let when = &task.step.step.when;
        if when.is_empty() {
            return Ok(false);
        }
        self.enter(task.root, Some(task))?;
        let label = self.label_of(task.step);
        let hidden = Cell::new(None);
        let exists = |path: &[u8]| {
            let found = acting_as(task.identity.as_ref(), || Ok(read::look_for(path)));
            found.unwrap_or(Ok(false)).unwrap_or_else(|error| {
                hidden.set(Some(format!("{}: {}", quoted(path), reason(&error))));
                false
            })
        };
        let facts = self.plan.facts(self.surroundings.variables(task.root), &exists);
        let skip = when.skip(facts).map_err(|fault| fault_failure(fault, &format!("step `{label}`")))?;
        if let Some(path) = hidden.take() {
            let sentence = format!("step `{label}` cannot look for {path}");
            return Err(Failure::new(Kind::System, sentence).field("step", label));
        }
        let Some(condition) = skip else { return Ok(false) };
        let message = format!("step `{label}` is skipped: {}", condition.reason(&self.plan.secrets));
        let is_callers =
            |name: &&str| facts.variables.get(name.as_bytes()).is_some_and(|found| found.origin.is_callers());
        if let Some(name) = condition.skip_if().filter(is_callers) {
            self.world
                .log
                .emit(&Message::new(Level::Info, message).field("step", &label).field("variable", name));
        } else {
            self.world.log.debug(|| message);
        }
        Ok(true)
    }

    fn dispatch(&mut self, task: &Task<'_>) -> Result<()> {
        match &task.step.step.kind {
            StepKind::Run { argv, stdin } => self.run(task, argv, stdin.as_ref()),
            StepKind::Hooks { path, shell, executables } => self.hooks(task, path, shell, *executables),
            StepKind::Env(settings) => self.env(task, settings),
            StepKind::EnvFile(paths) => self.env_file(task, paths),
            StepKind::Group { during, .. } => self.group(task, during.as_ref()),
            StepKind::Wait(targets) => self.wait(task, targets),
            StepKind::Render(render) => self.render(task, render),
            StepKind::Mkdir { paths, mode } => {
                let paths = self.paths(paths, task, "mkdir")?;
                let mode = mode.as_ref().and_then(Deferred::known);
                let mut progress = progress::of(task.step, Instant::now(), &mut self.world);
                mkdir::mkdir(&paths, mode, task.identity.as_ref(), &mut progress)
            }
            StepKind::Chown(paths) => self.chown(task, paths),
        }
    }
}
