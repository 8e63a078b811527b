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

use crate::plan::{self, Plan, PlanStep};
use crate::setup::state::{Actor, Setup, World};
use crate::setup::steps::render::Rendering;
use crate::setup::steps::{mkdir, progress, render, templates};
use crate::table::step::{Render, StepKind};
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::{Level, Message, quoted};
use crate::value::condition::Condition;
use crate::value::deferred::Deferred;
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
    fn step(&mut self, step: &PlanStep) -> Result<()> {
        let log = self.world.log;
        if let Some(reason) = &step.skip {
            log.debug(|| format!("step `{}` is skipped: {reason}", step.label));
            return Ok(());
        }
        let actor = self.actor_of(step)?;
        let variables = &self.surroundings.of(actor.root).variables;
        if let Some(name) = step
            .step
            .when
            .skip_if
            .iter()
            .map(Condition::name)
            .find(|name| variables.non_empty(name.as_bytes()).is_some())
        {
            let message = format!("step `{}` is skipped: the variable {} is set", step.label, quoted(name));
            log.say(&Message::new(Level::Info, message).field("step", &step.label).field("variable", name));
            return Ok(());
        }
        if let Some(stop) = self.world.children.stop() {
            return Err(stop.failure(&format!("before step `{}`", step.label)));
        }
        let step = &step.settled(variables)?;
        self.enter(&actor)?;
        self.secret = false;
        let done = self.dispatch(step, &actor);
        // A hook's failure has left out by itself what is secret in it, and nothing else.
        done.map_err(|failure| {
            let concealed = self.secret && failure.kind() != Kind::Hook;
            if concealed { failure.concealed(&format!("step `{}`", step.label)) } else { failure }
        })
    }

    fn dispatch(&mut self, step: &PlanStep, actor: &Actor) -> Result<()> {
        match &step.step.kind {
            StepKind::Run { argv, .. } => self.run(step, actor, argv),
            StepKind::Hooks { path, .. } => self.hooks(step, actor, path),
            StepKind::Env(_) | StepKind::EnvFile(_) | StepKind::Group { .. } => Err(Failure::say(
                Kind::System,
                format!("step `{}` is of a kind that cannot be run yet", step.label),
            )),
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
        let only = |name| plan::expand(name, variables, "`only`").map(|expanded| expanded.bytes);
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
