//! A run, and the modes that plan a run or list verbs.

use std::path::PathBuf;

use crate::cli::{Options, TableMode};
use crate::modes::context::{Context, check_stop, print, print_json};
use crate::modes::verb::Verbs;
use crate::modes::{explain, list, shim, value_files};
use crate::plan;
use crate::setup::{self, state::World};
use crate::sys::{Children, Credentials, Stop, read};
use crate::table::{Decoder, Tree, failing, merged_declarations};
use crate::text::{Failure, Kind, Paint, Result};
use crate::value::is_true;

impl Context<'_> {
    pub(crate) fn with_tree(mut self, options: &Options, mode: TableMode, tree: Tree<'_>) -> Result<u8> {
        let sources = tree.sources;
        let mut decoder = Decoder::default();
        let settings = tree.settings(&mut decoder);
        self.log_as(&settings, options);
        if let Some(stop) = &settings.stop_signals {
            if let Some(number) = self.signals.stop() {
                return Err(Stop(number).failure("before setup"));
            }
            self.signals.handle_instead(stop)?;
        }
        // Errors at the top of the table are reported first: they may select the wrong environment.
        let environment = self.environment(options, &settings, tree);
        failing(sources, &decoder.mistakes)?;
        let environment = environment?;
        let paint = || Paint::of_standard_output(|name| self.variables.non_empty(name));
        let name = environment.name.clone();
        let verbs = Verbs { tree, settings: &settings, environment: &name };
        let (words, json) = match mode {
            TableMode::Run(words) => (words, None),
            TableMode::Explain { words, json } => (words, Some(json)),
            TableMode::List { json } => {
                let list = list::List::of(tree, &settings, &name, &mut decoder);
                check_stop(&mut self.signals)?;
                return if json { print_json(&list) } else { print(&list::text(&list, paint())) };
            }
            TableMode::Shim { verb } => {
                check_stop(&mut self.signals)?;
                return print(&shim::shim(verbs, &environment, verb.as_deref())?);
            }
        };
        let skip_setup = if options.skip_setup {
            Some("`--skip-setup` was given".to_owned())
        } else if self.variables.get(b"PREVERB_SKIP_SETUP").is_some_and(|found| is_true(found.value)) {
            Some("the variable `PREVERB_SKIP_SETUP` is set".to_owned())
        } else {
            None
        };
        let (verb, words, not_a_verb) = verbs.called(words)?;
        let selection = tree.select(&mut decoder, &name, verb.as_ref());
        failing(sources, &decoder.mistakes)?;
        let declarations = merged_declarations(selection.layers());
        let files = value_files::value_files(&declarations, &self.variables, &mut self.signals)?;
        let (words, inherited) = (words.unwrap_or_default(), &self.variables);
        let (plan, failures, warnings) =
            plan::plan(environment, &settings, &selection, words, skip_setup, inherited, &files);
        if let Some(json) = json {
            let health = selection.verb.as_ref().and_then(|verb| verb.part.health.as_ref());
            let (explained, failures) =
                explain::explain(&plan, failures, &self.variables, tree, &settings, health);
            check_stop(&mut self.signals)?;
            let text = || explain::text::text(&explained, paint());
            let code = if json { print_json(&explained)? } else { print(&text())? };
            return Failure::all(failures).map_or(Ok(code), Err);
        }
        let log = *self.log;
        for warning in warnings {
            log.warn(warning);
        }
        Failure::all(failures).map_or(Ok(()), Err)?;
        log.debug(|| {
            let verb = plan.verb.as_ref().map_or("no verb".to_owned(), |verb| format!("verb `{verb}`"));
            format!("{verb} in environment `{}`, {}", plan.environment.name, plan.environment.describe())
        });
        let children = Children::new(self.signals);
        // Only steps and a supervisor start preverb again. The path is not read otherwise, because the system
        // call costs more than a step of the plan.
        let again = plan.init.is_some() || !plan.steps.is_empty();
        let program = if again { read::program() } else { PathBuf::new() };
        let world = World { log, program, myself: Credentials::observe(), children };
        let failure = setup::perform(plan, world);
        Err(match not_a_verb {
            Some(word) if failure.kind() == Kind::NotFound => verbs.with_suggestion(failure, &word),
            _ => failure,
        })
    }
}
