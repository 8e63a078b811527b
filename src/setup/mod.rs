//! Performing a plan: a straight list. It never looks at the table.

pub(crate) mod dump;
pub(crate) mod finish;
mod hook;
pub(crate) mod hook_files;
pub(crate) mod once;
pub(crate) mod shell;
pub(crate) mod state;
pub(crate) mod steps;
pub(crate) mod surroundings;
pub(crate) mod users;

use std::time::{Duration, Instant};

use crate::plan::target::{expand, faulty};
use crate::plan::{Plan, PlanStep};
use crate::setup::once::Outcome;
use crate::setup::state::{Actor, Setup, World, existence};
use crate::setup::steps::render::Rendering;
use crate::setup::steps::{mkdir, progress, render, templates};
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::{Level, Message};
use crate::value::deferred::Deferred;
use crate::value::step::{During, Executables, OnFailure, Render, StepKind};
use crate::value::text::Scope;

/// Performs the plan. Returns only the failure: otherwise the target has replaced this process.
pub(crate) fn perform(plan: Plan, world: World) -> Failure {
    let mut setup = match Setup::prepare(plan, world) {
        Ok(setup) => setup,
        Err(failure) => return failure,
    };
    let steps = std::mem::take(&mut setup.plan.steps);
    for step in &steps {
        if let Err(failure) = setup.step(step) {
            return failure;
        }
    }
    setup.finish()
}

impl Setup {
    /// A step; where its failure is only to be warned of, that is all that comes of it.
    fn step(&mut self, step: &PlanStep) -> Result<()> {
        let done = self.step_or_failure(step);
        let Err(failure) = &done else { return done };
        let must_end = failure.is_stop() || failure.kind() == Kind::Identity;
        if step.step.on_failure == OnFailure::Stop || must_end {
            return done;
        }
        let label = self.label_of(step);
        let what = format!("step `{label}` failed, and the run continues: ");
        for message in failure.warnings(&what) {
            self.world.log.say(&message.field("step", &label));
        }
        Ok(())
    }

    fn label_of(&self, step: &PlanStep) -> String {
        step.label_with(self.surroundings.variables(false))
    }

    /// The steps of a group, for which its timeout is all together, unless that is for the program of
    /// `during`.
    fn group(&mut self, step: &PlanStep, actor: &Actor, during: Option<&During>) -> Result<()> {
        self.once(step, actor, |setup| {
            let outside = setup.surroundings.scopes();
            let inner = |setup: &mut Self| step.steps.iter().try_for_each(|step| setup.step(step));
            let done = if let Some(during) = during {
                setup.during(step, actor, during, inner)
            } else {
                let outer = setup.deadline;
                let limit = step.limit().filter(|limit| !limit.is_zero());
                let own = limit.and_then(|limit| Instant::now().checked_add(limit));
                setup.deadline = own.into_iter().chain(outer).min();
                let done = inner(setup);
                setup.deadline = outer;
                done
            };
            if during.is_some() || done.is_err() {
                setup.return_to(outside, actor)?;
            }
            // What is secret in it has been left out of its failure.
            setup.secret = false;
            done.map(|()| Outcome::Done)
        })
    }

    fn step_or_failure(&mut self, step: &PlanStep) -> Result<()> {
        let log = self.world.log;
        if let Some(reason) = &step.skip {
            log.debug(|| format!("step `{}` is skipped: {reason}", self.label_of(step)));
            return Ok(());
        }
        let actor = self.actor_of(step)?;
        if self.is_skipped(step, &actor)? {
            return Ok(());
        }
        if let Some(stop) = self.world.children.stop() {
            return Err(stop.failure(&format!("before step `{}`", self.label_of(step))));
        }
        let mut step = step.settled(self.surroundings.variables(actor.root))?;
        if let Some(deadline) = self.deadline {
            // Zero would be for ever.
            step.cap(deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
        }
        let step = &step;
        self.enter(&actor)?;
        self.secret = false;
        let done = self.dispatch(step, &actor);
        // A hook's failure has left out by itself what is secret in it, and nothing else.
        done.map_err(|failure| {
            let concealed = self.secret && failure.kind() != Kind::Hook;
            if concealed { failure.concealed(&format!("step `{}`", step.label)) } else { failure }
        })
    }

    /// Whether a condition keeps the step from running, which is said where the caller may not expect it.
    fn is_skipped(&mut self, step: &PlanStep, actor: &Actor) -> Result<bool> {
        let log = self.world.log;
        let when = &step.step.when;
        if when.is_empty() {
            return Ok(false);
        }
        self.enter(actor)?;
        let exists = existence(actor.identity.clone());
        let facts = self.plan.facts(self.surroundings.variables(actor.root), &exists);
        let skip =
            when.skip(facts).map_err(|fault| faulty(fault, &format!("step `{}`", self.label_of(step))))?;
        let Some(condition) = skip else { return Ok(false) };
        let label = self.label_of(step);
        let message = format!("step `{label}` is skipped: {}", condition.reason(&self.plan.secrets));
        match condition.skip_if() {
            Some(name)
                if facts.variables.get(name.as_bytes()).is_some_and(|found| found.origin.is_callers()) =>
            {
                log.say(&Message::new(Level::Info, message).field("step", &label).field("variable", name));
            }
            Some(_) | None => log.debug(|| message),
        }
        Ok(true)
    }

    fn dispatch(&mut self, step: &PlanStep, actor: &Actor) -> Result<()> {
        match &step.step.kind {
            StepKind::Run { argv, stdin } => self.run(step, actor, argv, stdin.as_ref()),
            StepKind::Hooks { path, shell, executables } => {
                let shell = shell.as_deref().unwrap_or(hook_files::SHELL);
                self.hooks(step, actor, path, shell, *executables == Executables::Run)
            }
            StepKind::Env(settings) => self.env(step, actor, settings),
            StepKind::EnvFile(paths) => self.env_file(step, actor, paths),
            StepKind::Group { during, .. } => self.group(step, actor, during.as_ref()),
            StepKind::Wait(targets) => self.wait(step, actor, targets),
            StepKind::Render(render) => {
                let what = self.rendering(step, actor, render)?;
                let variables = &self.surroundings.of(actor.root).variables;
                let mut progress = progress::of_step(step, &mut self.world);
                render::render(&what, variables, actor.identity.as_ref(), &mut progress)
            }
            StepKind::Mkdir { paths, mode } => {
                let paths = self.paths(paths, actor, step, "mkdir")?;
                let mut progress = progress::of_step(step, &mut self.world);
                mkdir::mkdir(
                    &paths,
                    mode.as_ref().and_then(Deferred::known),
                    actor.identity.as_ref(),
                    &mut progress,
                )
            }
            StepKind::Chown(paths) => self.chown(step, actor, paths),
        }
    }

    fn rendering(&mut self, step: &PlanStep, actor: &Actor, render: &Render) -> Result<Rendering> {
        let suffix = match &render.suffix {
            Some(suffix) => self.expand(suffix, actor, step, "suffix")?.bytes,
            None => templates::SUFFIX.into(),
        };
        let variables = &self.surroundings.of(actor.root).variables;
        let only = |name| expand(name, variables, "`only`").map(|expanded| expanded.bytes);
        let only =
            render.only.as_ref().map(|names| names.iter().map(only).collect::<Result<_>>()).transpose()?;
        Ok(Rendering {
            from: self.path(&render.from, actor, step, "render")?,
            to: self.path(&render.to, actor, step, "to")?,
            mode: render.mode.as_ref().and_then(Deferred::known),
            suffix,
            scope: Scope { only, keep_unset: render.keep_unset },
        })
    }
}
