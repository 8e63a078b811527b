//! The steps `env` and `env-file`: variables from the table and from files, without a shell.

use std::io::ErrorKind;
use std::time::Instant;

use crate::plan::target::fault_failure;
use crate::setup::state::{Setup, Task};
use crate::setup::steps::progress::timed_out;
use crate::setup::surroundings::{Changes, is_preverbs_own};
use crate::sys::{acting_as, read_interruptible};
use crate::text::{Failure, Kind, Result, path_of, reason};
use crate::value::{Origin, Setting, Template, env_file};

const LONGEST: usize = 16 << 20;

impl Setup {
    /// An `env` step: its values see earlier variables, but not each other. A step that runs as root uses
    /// root's variables, where some of them may be unset.
    pub(in crate::setup) fn env(&mut self, task: &Task<'_>, settings: &[Setting]) -> Result<()> {
        let origin = Origin::Step(task.step.label.clone());
        let mut failures = Vec::new();
        let others = self.surroundings.are_split().then_some(!task.root);
        for is_root in [task.root].into_iter().chain(others) {
            let variables = &mut self.surroundings.of(is_root).variables;
            let own = settings.iter().filter(|setting| !is_preverbs_own(setting.name.as_bytes()));
            let values: Vec<_> = own.map(|setting| (setting, setting.value.expand_all(variables))).collect();
            for (setting, value) in values {
                match value {
                    Ok(value) => {
                        let secret = value.secret || self.plan.secrets.contains(&setting.name);
                        variables.set(setting.name.as_bytes(), value.bytes, origin.clone(), secret);
                    }
                    Err(faults) if is_root == task.root => {
                        let what = format!("`{}` of {}", setting.name, task.who());
                        failures.extend(faults.into_iter().map(|fault| fault_failure(fault, &what)));
                    }
                    Err(_) => {}
                }
            }
        }
        Failure::all(failures).map_or(Ok(()), Err)
    }

    pub(in crate::setup) fn env_file(&mut self, task: &Task<'_>, paths: &[Template]) -> Result<()> {
        let label = &task.step.label;
        // A pipe may stay empty for a long time.
        let limit = task.step.limit().filter(|limit| !limit.is_zero());
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        for template in paths {
            let expanded = self.expand(template, task, "env-file")?;
            let path = path_of(&expanded.bytes);
            task.prove(path)?;
            let shown = expanded.shown();
            let failure = |reason: String| {
                let sentence = format!("{} cannot use `{shown}`: {reason}", task.who());
                Failure::new(Kind::Variable, sentence).field("step", label).field("file", &shown)
            };
            let signals = &mut self.world.children.signals;
            signals.file_deadline = until;
            let read = acting_as(task.identity.as_ref(), || Ok(read_interruptible(path, LONGEST, signals)))?;
            self.world.children.signals.file_deadline = None;
            let read = read.map_err(|stop| stop.failure(&format!("during {}", task.who())))?;
            let text = read.map_err(|error| {
                let failure = failure(reason(&error));
                let hint = "`if-exists` skips the step where there is no file";
                match (error.kind(), limit) {
                    (ErrorKind::TimedOut, Some(limit)) => timed_out(label, limit),
                    (ErrorKind::NotFound, _) => failure.hint(hint),
                    _ => failure,
                }
            })?;
            let parsed = env_file::parse(&text).map_err(|(line, reason)| {
                failure(format!("line {line}: {reason}")).number("line", line as u64)
            })?;
            let variables = parsed.into_iter().map(|(name, value)| (name, Some(value))).collect();
            let changes = Changes { variables, ..Changes::default() };
            self.surroundings.absorb(&changes, task.root, &Origin::Step(label.clone()), &self.plan.secrets);
        }
        Ok(())
    }
}
