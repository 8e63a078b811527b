//! The steps `env` and `env-file`: variables from the table and from files, with no shell.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::plan::PlanStep;
use crate::plan::target::faulty;
use crate::setup::dump::is_preverbs_own;
use crate::setup::state::{Actor, Setup};
use crate::setup::surroundings::Changes;
use crate::sys::identity;
use crate::sys::proof;
use crate::sys::read::read_heeding;
use crate::text::failure::{Failure, Kind, Result};
use crate::text::reason::reason;
use crate::value::env_file;
use crate::value::step::Setting;
use crate::value::template::Template;
use crate::value::variables::Origin;

/// The most that a file of variables can be.
const LONGEST: usize = 16 << 20;

impl Setup {
    /// An `env` step: its values see what was set before it, and not each other. What is done as root has
    /// its own variables, in which some of them may not be known.
    pub(in crate::setup) fn env(
        &mut self,
        step: &PlanStep,
        actor: &Actor,
        settings: &[Setting],
    ) -> Result<()> {
        let origin = Origin::Step(step.label.clone());
        let mut failures = Vec::new();
        for is_root in [actor.root, !actor.root] {
            let variables = &mut self.surroundings.of(is_root).variables;
            let own = settings.iter().filter(|setting| !is_preverbs_own(setting.name.as_bytes()));
            let values: Vec<_> = own.map(|setting| (setting, setting.value.expand_all(variables))).collect();
            for (setting, value) in values {
                match value {
                    Ok(value) => {
                        let secret = value.secret || self.plan.secrets.contains(&setting.name);
                        variables.set(setting.name.as_bytes(), value.bytes, origin.clone(), secret);
                    }
                    Err(faults) if is_root == actor.root => {
                        let what = format!("`{}` of step `{}`", setting.name, step.label);
                        failures.extend(faults.into_iter().map(|fault| faulty(fault, &what)));
                    }
                    Err(_) => {}
                }
            }
            if !self.surroundings.are_split() {
                break;
            }
        }
        Failure::all(failures).map_or(Ok(()), Err)
    }

    /// An `env-file` step.
    pub(in crate::setup) fn env_file(
        &mut self,
        step: &PlanStep,
        actor: &Actor,
        paths: &[Template],
    ) -> Result<()> {
        for template in paths {
            let expanded = self.expand(template, actor, step, "env-file")?;
            let path = Path::new(OsStr::from_bytes(&expanded.bytes));
            if actor.kept_root
                && let Err(why) = proof::file(path)
            {
                let failure = proof::refused(&format!("step `{}`", step.label), path, &why);
                return Err(failure.field("step", &step.label));
            }
            let shown = expanded.shown();
            let failure = |reason: String| {
                let sentence = format!("step `{}` cannot use `{shown}`: {reason}", step.label);
                Failure::say(Kind::Variable, sentence).field("step", &step.label).field("file", &shown)
            };
            let signals = self.world.children.signals();
            let read = || Ok(read_heeding(path, LONGEST, signals));
            let read = identity::acting_as(actor.identity.as_ref(), read)?;
            let read = read.map_err(|stop| stop.failure(&format!("during step `{}`", step.label)))?;
            let text = read.map_err(|error| {
                let failure = failure(reason(&error));
                let missing = error.kind() == std::io::ErrorKind::NotFound;
                if missing {
                    failure.hint("`if-exists` skips the step where there is no file")
                } else {
                    failure
                }
            })?;
            let parsed = env_file::parse(&text).map_err(|mistake| {
                failure(format!("line {}: {}", mistake.line, mistake.reason))
                    .number("line", mistake.line as u64)
            })?;
            let variables = parsed.into_iter().filter(|(name, _)| !is_preverbs_own(name));
            let variables = variables.map(|(name, value)| (name, Some(value))).collect();
            let changes = Changes { variables, ..Changes::default() };
            let secrets = &self.plan.secrets;
            let is_secret = |name: &[u8]| std::str::from_utf8(name).is_ok_and(|name| secrets.contains(name));
            let origin = Origin::Step(step.label.clone());
            self.surroundings.absorb(&changes, actor.root, &origin, &is_secret);
        }
        Ok(())
    }
}
