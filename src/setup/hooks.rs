//! Hooks: programs and scripts of the user's, and what they change.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::shell::{Script, runnable};
use super::surroundings::Changes;
use crate::plan;
use crate::plan::PlanStep;
use crate::setup::dump::{Dump, is_preverbs_own, working_directory, written_variables};
use crate::setup::hook_files;
use crate::setup::hook_files::How;
use crate::setup::{Doer, Stage, once};
use crate::sys::child::{Ended, Running, Spawn};
use crate::sys::proof::{self, Refused};
use crate::sys::start::{AsWhom, start_program};
use crate::sys::terminal::Terminal;
use crate::text::duration::PROGRESS;
use crate::text::duration::spoken;
use crate::text::escape::{MASK, WHY_NOT_SHOWN};
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::{Level, Message};
use crate::value::template::{Expanded, Template};
use crate::value::variables::Variables;

/// A hook that is about to run.
struct Hook {
    /// What it is called in messages.
    name: String,
    work: Work,
}

/// What a step came to that went well.
enum Outcome {
    Done,
    /// There was nothing to be done, and there may be another time.
    Nothing,
}

/// What is to run.
enum Work {
    /// A program with its words; the first is looked up on its own `PATH`.
    Program(Vec<OsString>),
    /// A file that a shell sources, which hands its environment back.
    Script(Script),
}

impl Stage {
    /// A `run` step.
    pub(super) fn run(&mut self, step: &PlanStep, doer: &Doer, argv: &[Template]) -> Result<()> {
        let words =
            plan::expand_argv(argv, &self.tracks.of(doer.root).variables, &format!("step `{}`", step.label))?;
        self.secret = words.first().is_some_and(|word| word.secret);
        let name = match &step.step.name {
            Some(_) => step.label.clone(),
            None => words.first().map(plan::Word::shown).unwrap_or_default(),
        };
        let argv: Vec<OsString> = words.into_iter().map(|word| word.word).collect();
        self.once(step, doer, |stage| {
            stage.hook(step, doer, &Hook { name, work: Work::Program(argv) })?;
            Ok(Outcome::Done)
        })
    }

    /// A `hooks` step.
    pub(super) fn hooks(&mut self, step: &PlanStep, doer: &Doer, path: &Template) -> Result<()> {
        let what = format!("step `{}`", step.label);
        let named = plan::expand(path, &self.tracks.of(doer.root).variables, &what)?;
        self.secret = named.secret;
        let path = Path::new(OsStr::from_bytes(&named.bytes));
        self.once(step, doer, |stage| {
            let files = hook_files::hook_paths(path, &stage.plan.interpreters).map_err(|reason| {
                stage.hook_failure(&named.shown(), step, &format!("cannot be read: {reason}"))
            })?;
            if files.is_empty() && !path.exists() {
                let log = stage.world.log;
                let shown = named.shown();
                log.debug(|| format!("step `{}` has nothing to do: `{shown}` does not exist", step.label));
                return Ok(Outcome::Nothing);
            }
            let listed_in = PathBuf::from(crate::sys::exec::word(working_directory()));
            for file in files {
                // A file is looked at where it will run, and that may be elsewhere than where it was listed.
                stage.tracks.enter(doer.root)?;
                let moved = path.is_relative() && working_directory() != listed_in.as_os_str().as_bytes();
                let base = if moved { &*listed_in } else { Path::new("") };
                stage.hook_file(step, doer, &named, base.join(file))?;
            }
            Ok(Outcome::Done)
        })
    }

    /// Does `work`, or where the step is done once, does it only if it has not been done.
    fn once(
        &mut self,
        step: &PlanStep,
        doer: &Doer,
        work: impl FnOnce(&mut Self) -> Result<Outcome>,
    ) -> Result<()> {
        let Some(marker) = &step.step.once else { return work(self).map(|_| ()) };
        let marker = plan::expand(marker, &self.tracks.of(doer.root).variables, "`once`")?;
        // What keeps a file from being written can be any part of its path.
        let concealed = |failure: Failure| {
            if marker.secret { failure.concealed(&format!("step `{}`", step.label)) } else { failure }
        };
        let log = self.world.log;
        let identity = doer.identity.as_ref();
        let begun = once::Once::begin(&marker, &step.label, identity, log, &mut self.world.children);
        let Some(lock) = begun.map_err(concealed)? else {
            log.debug(|| format!("step `{}` is skipped: `{}` exists", step.label, marker.shown()));
            return Ok(());
        };
        match work(self) {
            Ok(Outcome::Done) => lock.succeed(&step.label).map_err(concealed),
            // The marker would keep a volume that is mounted next time from being set up.
            Ok(Outcome::Nothing) => {
                lock.abandon();
                Ok(())
            }
            Err(failure) => {
                lock.abandon();
                Err(failure)
            }
        }
    }

    /// One file of a `hooks` step.
    fn hook_file(&mut self, step: &PlanStep, doer: &Doer, named: &Expanded, path: PathBuf) -> Result<()> {
        let file = hook_files::hook(path, &self.plan.interpreters);
        let is_secret = file.is_secret(named);
        let name = if is_secret { MASK.to_owned() } else { file.name() };
        let path = runnable(&file.path);
        if doer.kept_root
            && !matches!(file.how, How::Skip(_) | How::MistypedMount)
            && let Err(why) = proof::file(&path)
        {
            return Err(not_as_root(Refused::Unsafe(path, why), &name, step));
        }
        let parameters = self.plan.parameters.clone();
        let work = match &file.how {
            How::Skip(reason) => {
                let reason = if is_secret { WHY_NOT_SHOWN } else { reason };
                let shown = file.shown(named);
                let message = format!("`{shown}` in step `{}` is passed over: {reason}", step.label);
                let message =
                    Message::new(Level::Warning, message).field("hook", &name).field("step", &step.label);
                self.world.log.say(&message);
                return Ok(());
            }
            How::MistypedMount => {
                let failure = self.hook_failure(&name, step, "is a directory, and should be a file");
                return Err(
                    failure.hint("a mount whose source does not exist makes a directory of that name")
                );
            }
            How::Run => {
                let argv = std::iter::once(path.into_os_string()).chain(parameters).collect();
                Work::Program(argv)
            }
            How::Interpret(interpreter) => {
                let words = interpreter.iter().map(OsString::from);
                let argv = words.chain([path.into_os_string()]).chain(parameters).collect();
                Work::Program(argv)
            }
            How::Source { shell, options } => {
                Work::Script(Script { shell: shell.clone(), options: options.clone(), path })
            }
        };
        self.hook(step, doer, &Hook { name, work })
    }

    /// Runs a hook to its end, and takes over what it changed.
    fn hook(&mut self, step: &PlanStep, doer: &Doer, hook: &Hook) -> Result<()> {
        let log = self.world.log;
        self.terminal.get_or_insert_with(Terminal::observe);
        let variables = self.variables_of(doer);
        if doer.kept_root {
            let program = match &hook.work {
                Work::Program(argv) => argv.first().cloned().unwrap_or_default(),
                Work::Script(script) => script.shell.clone(),
            };
            if let Err(refused @ Refused::Unsafe(..)) =
                proof::program(std::slice::from_ref(&program), &variables)
            {
                self.secret |= variables.hides(&program);
                return Err(not_as_root(refused, &hook.name, step));
            }
        }
        let environment = self.plan.environment.name.to_string();
        let tell = |text: String| {
            Message::new(Level::Info, text)
                .field("hook", &hook.name)
                .field("step", &step.label)
                .field("environment", &environment)
        };
        log.say(&tell(format!("running hook `{}`", hook.name)));
        let started = match &hook.work {
            Work::Program(argv) => self.start(argv, &variables, doer, step, |_| {}),
            Work::Script(script) => self.source(script, &variables, doer, step),
        };
        let (ended, running) = match started {
            Err(failure) if failure.kind() == Kind::Identity => return Err(failure),
            Err(failure) => (Ended::NotStarted(failure.sentence()), None),
            Ok(mut running) => {
                let ended = self.world.children.run(&mut running, PROGRESS, |so_far| {
                    log.say(&tell(format!("hook `{}` still runs after {}", hook.name, spoken(so_far))));
                });
                let ended = ended.map_err(|stop| {
                    self.restore_terminal();
                    stop.failure(&format!("while hook `{}` ran", hook.name))
                        .field("hook", &hook.name)
                        .field("step", &step.label)
                })?;
                (ended, Some(running))
            }
        };
        self.restore_terminal();
        let report = running.as_ref().map(Running::said).unwrap_or_default();
        let ended = if report.is_empty() { ended } else { Ended::NotStarted(report) };
        if !ended.is_success() {
            // How it ended holds no secret; why it did not start names its file.
            let conceals = self.secret && matches!(ended, Ended::NotStarted(_));
            let ended = if conceals { Ended::NotStarted(WHY_NOT_SHOWN.to_owned()) } else { ended };
            return Err(self.hook_failure(&hook.name, step, &ended.describe()));
        }
        if let Some(running) = running {
            let duration = running.started.elapsed();
            let changes = self.changes(hook, &running, &variables, step)?;
            let secrets = &self.plan.secrets;
            self.tracks.absorb(&changes, doer.root, &hook.name, &|name| {
                std::str::from_utf8(name).is_ok_and(|name| secrets.contains(name))
            });
            let message = tell(format!("hook `{}` done in {}", hook.name, spoken(duration)));
            log.say(&message.field("duration-ms", u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)));
        }
        Ok(())
    }

    pub(super) fn restore_terminal(&self) {
        if let Some(terminal) = &self.terminal {
            terminal.restore();
        }
    }

    /// Has a hook sourced by a shell of its own.
    fn source(
        &mut self,
        script: &Script,
        variables: &Variables,
        doer: &Doer,
        step: &PlanStep,
    ) -> Result<Running> {
        let uid = doer.identity.as_ref().map_or(self.world.myself.uid, |identity| identity.uid);
        let socket = self.world.children.socket();
        let socket =
            socket.map_err(|error| Failure::say(Kind::System, crate::text::reason::reason(&error)))?;
        let argv = script.argv(&self.world.program, &socket, &self.plan.parameters);
        self.start(&argv, variables, doer, step, |spawn| spawn.hands_back = Some(uid))
    }

    /// Starts the program of a hook.
    fn start(
        &mut self,
        argv: &[OsString],
        variables: &Variables,
        doer: &Doer,
        step: &PlanStep,
        adjust: impl FnOnce(&mut Spawn<'_>),
    ) -> Result<Running> {
        let limit = step.limit();
        let as_whom = AsWhom {
            identity: doer.identity.as_ref(),
            preverb: &self.world.program,
            kept_root: doer.kept_root,
        };
        start_program(&mut self.world.children, as_whom, argv, variables, |spawn| {
            spawn.takes_variables = true;
            spawn.limit = limit;
            adjust(spawn);
        })
    }

    /// What a hook changed: what its shell handed back, and what it wrote to descriptor 3.
    fn changes(
        &mut self,
        hook: &Hook,
        running: &Running,
        before: &Variables,
        step: &PlanStep,
    ) -> Result<Changes> {
        let mut changes = Changes::default();
        if let Work::Script(script) = &hook.work {
            let handed = running.handed_back().and_then(Dump::parse).ok_or_else(|| {
                self.hook_failure(&hook.name, step, "ended without handing its variables back").hint(
                    "it replaced the EXIT trap or itself (`exec`), or left itself unable to start a program; a file without the extension `.sh` is run by itself",
                )
            })?;
            changes = handed.changes(before, || script.is_bash(before));
            if working_directory() == handed.directory {
                changes.directory = None;
            } else if changes.directory.is_none() {
                let what = "ended in a working directory that is gone";
                return Err(self.hook_failure(&hook.name, step, what));
            }
            if changes.umask == Some(super::surroundings::current_umask()) {
                changes.umask = None;
            }
        }
        let written = written_variables(running.variables_text()).map_err(|reason| {
            self.hook_failure(&hook.name, step, &format!("wrote to descriptor 3 {reason}"))
        })?;
        let written = written.into_iter().filter(|(name, _)| !is_preverbs_own(name));
        changes.variables.extend(written.map(|(name, value)| (name, Some(value))));
        Ok(changes)
    }
}

/// The failure of what root must not run.
fn not_as_root(refused: Refused, hook: &str, step: &PlanStep) -> Failure {
    refused.failure(&format!("step `{}`", step.label)).field("hook", hook).field("step", &step.label)
}
