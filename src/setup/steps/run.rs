//! A `run` step: a program.

use std::ffi::OsString;

use crate::plan::PlanStep;
use crate::plan::target::{expand, faulty};
use crate::setup::hook::{Hook, Work};
use crate::setup::once::Outcome;
use crate::setup::state::{Actor, Setup, existence};
use crate::text::failure::Result;
use crate::value::template::{Expanded, Template};
use crate::value::words::{self, Element};

impl Setup {
    /// A `run` step.
    pub(in crate::setup) fn run(
        &mut self,
        step: &PlanStep,
        actor: &Actor,
        argv: &[Element],
        stdin: Option<&Template>,
    ) -> Result<()> {
        self.once(step, actor, |setup| {
            let words = setup.argv(step, actor, argv)?;
            setup.secret = words.first().is_some_and(|word| word.secret);
            let input = stdin.map(|stdin| {
                expand(
                    stdin,
                    setup.surroundings.variables(actor.root),
                    &format!("`stdin` of step `{}`", step.label),
                )
            });
            let input = input.transpose()?.map(|input| input.bytes);
            let name = match &step.step.name {
                Some(_) => step.label.clone(),
                None => words.first().map(Expanded::shown).unwrap_or_default(),
            };
            let argv: Vec<OsString> = words.into_iter().map(Expanded::into_word).collect();
            setup.hook(step, actor, &Hook { name, work: Work::Program(argv), input })?;
            Ok(Outcome::Done)
        })
    }

    /// The argv of a step.
    pub(in crate::setup) fn argv(
        &self,
        step: &PlanStep,
        actor: &Actor,
        argv: &[Element],
    ) -> Result<Vec<Expanded>> {
        let exists = existence(actor.identity.clone());
        let facts = self.plan.facts(self.surroundings.variables(actor.root), &exists);
        let arguments = || self.plan.target.arguments(facts).map_err(|(fault, _)| fault);
        words::expand(argv, facts, &arguments)
            .map_err(|fault| faulty(fault, &format!("step `{}`", step.label)))
    }
}
