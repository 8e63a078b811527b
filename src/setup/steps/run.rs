//! A `run` step: a program.

use crate::plan::target::{expand, faulty};
use crate::setup::hook::{Hook, Work};
use crate::setup::once::Outcome;
use crate::setup::state::{Setup, Task, existence};
use crate::text::failure::Result;
use crate::value::template::{Expanded, Template};
use crate::value::words::{self, Element};

impl Setup {
    pub(in crate::setup) fn run(
        &mut self,
        task: &Task<'_>,
        argv: &[Element],
        stdin: Option<&Template>,
    ) -> Result<()> {
        self.once(task, |setup| {
            let words = setup.argv(task, argv)?;
            setup.secret = words.first().is_some_and(|word| word.secret);
            let variables = setup.surroundings.variables(task.root);
            let input = stdin.map(|stdin| expand(stdin, variables, &format!("`stdin` of {}", task.who())));
            let input = input.transpose()?.map(|input| input.bytes);
            let name = match &task.step.step.name {
                Some(_) => task.step.label.clone(),
                None => words.first().map(Expanded::shown).unwrap_or_default(),
            };
            let work = Work::Program(words.into_iter().map(Expanded::into_word).collect());
            setup.hook(task, &Hook { name, work, input })?;
            Ok(Outcome::Done)
        })
    }

    pub(in crate::setup) fn argv(&self, task: &Task<'_>, argv: &[Element]) -> Result<Vec<Expanded>> {
        let exists = existence(task.identity.as_ref());
        let facts = self.plan.facts(self.surroundings.variables(task.root), &exists);
        let arguments = || self.plan.target.arguments(facts).map_err(|(fault, _)| fault);
        words::expand(argv, facts, &arguments).map_err(|fault| faulty(fault, &task.who()))
    }
}
