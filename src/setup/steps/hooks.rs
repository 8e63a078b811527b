//! A `hooks` step: a file, or each file of a directory.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::plan::PlanStep;
use crate::setup::dump::working_directory;
use crate::setup::hook::{Hook, Work};
use crate::setup::hook_files::{self, How, Rules};
use crate::setup::once::Outcome;
use crate::setup::shell::{Script, runnable};
use crate::setup::state::{Actor, Setup};
use crate::sys::proof;
use crate::text::escape::{MASK, WHY_NOT_SHOWN};
use crate::text::failure::Result;
use crate::text::log::{Level, Message};
use crate::value::template::{Expanded, Template};

impl Setup {
    /// A `hooks` step.
    pub(in crate::setup) fn hooks(
        &mut self,
        step: &PlanStep,
        actor: &Actor,
        path: &Template,
        shell: &str,
        runs_executables: bool,
    ) -> Result<()> {
        self.once(step, actor, |setup| {
            let interpreters = setup.plan.interpreters.clone();
            let rules = Rules { interpreters: &interpreters, shell, runs_executables };
            let named = setup.expand(path, actor, step, "hooks")?;
            let path = Path::new(OsStr::from_bytes(&named.bytes));
            let list = || (hook_files::hook_paths(path, rules), path.exists());
            let (mut files, exists) = setup.look(actor, list)?;
            // A directory that only root may list can hold what its user may run.
            if files.is_err() && proof::file(path).is_ok() {
                (files, _) = list();
            }
            let files = files.map_err(|reason| {
                setup.hook_failure(&named.shown(), step, &format!("cannot be read: {reason}"))
            })?;
            if files.is_empty() && !exists {
                let log = setup.world.log;
                let shown = named.shown();
                log.debug(|| format!("step `{}` has nothing to do: `{shown}` does not exist", step.label));
                return Ok(Outcome::Nothing);
            }
            let listed_in = PathBuf::from(OsString::from_vec(working_directory()));
            for file in files {
                // A file is looked at where it will run, and that may be elsewhere than where it was listed.
                setup.enter(actor)?;
                let moved = path.is_relative() && working_directory() != listed_in.as_os_str().as_bytes();
                let base = if moved { &*listed_in } else { Path::new("") };
                setup.hook_file(step, actor, &named, base.join(file), rules)?;
            }
            Ok(Outcome::Done)
        })
    }

    /// One file of a `hooks` step.
    fn hook_file(
        &mut self,
        step: &PlanStep,
        actor: &Actor,
        named: &Expanded,
        path: PathBuf,
        rules: Rules<'_>,
    ) -> Result<()> {
        let file = self.look(actor, || hook_files::hook(path, rules))?;
        let is_secret = file.is_secret(named);
        let name = if is_secret { MASK.to_owned() } else { file.name() };
        let path = runnable(&file.path);
        if actor.kept_root
            && !matches!(file.how, How::Skip(_) | How::Fail(..))
            && let Err(why) = proof::file(&path)
        {
            let failure = proof::refused(&format!("step `{}`", step.label), &path, &why);
            return Err(failure.field("hook", &name).field("step", &step.label));
        }
        let parameters = self.plan.parameters.clone();
        let work = match &file.how {
            How::Skip(reason) => {
                let reason = if is_secret { WHY_NOT_SHOWN } else { reason };
                let shown = file.shown(named);
                let message = format!("`{shown}` in step `{}` is skipped: {reason}", step.label);
                let message =
                    Message::new(Level::Warning, message).field("hook", &name).field("step", &step.label);
                self.world.log.say(&message);
                return Ok(());
            }
            How::Fail(what, hint) => return Err(self.hook_failure(&name, step, what).hint(hint)),
            How::Run => Work::Program([path.into_os_string()].into_iter().chain(parameters).collect()),
            How::RunBy(shell) => {
                Work::Program([shell.clone(), path.into_os_string()].into_iter().chain(parameters).collect())
            }
            How::Interpret(interpreter) => {
                let argv = interpreter.iter().map(OsString::from);
                Work::Program(argv.chain([path.into_os_string()]).collect())
            }
            How::Source { shell, options } => {
                Work::Script(Script { shell: shell.clone(), options: options.clone(), path })
            }
        };
        self.hook(step, actor, &Hook { name, work, input: None })
    }
}
