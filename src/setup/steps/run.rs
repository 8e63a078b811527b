//! A `run` step: a program.

use std::ffi::OsString;

use crate::plan::{self, PlanStep};
use crate::setup::hook::{Hook, Work};
use crate::setup::once::Outcome;
use crate::setup::state::{Actor, Setup};
use crate::text::failure::Result;
use crate::value::template::Template;

impl Setup {
    /// A `run` step.
    pub(in crate::setup) fn run(&mut self, step: &PlanStep, actor: &Actor, argv: &[Template]) -> Result<()> {
        self.once(step, actor, |setup| {
            let what = format!("step `{}`", step.label);
            let words = plan::expand_argv(argv, &setup.surroundings.of(actor.root).variables, &what)?;
            setup.secret = words.first().is_some_and(|word| word.secret);
            let name = match &step.step.name {
                Some(_) => step.label.clone(),
                None => words.first().map(plan::Word::shown).unwrap_or_default(),
            };
            let argv: Vec<OsString> = words.into_iter().map(|word| word.word).collect();
            setup.hook(step, actor, &Hook { name, work: Work::Program(argv) })?;
            Ok(Outcome::Done)
        })
    }
}
