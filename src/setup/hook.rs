//! Hooks: programs and scripts of the user's, and what they change.

use std::ffi::OsString;

use crate::plan::PlanStep;
use crate::setup::dump::{Dump, is_preverbs_own, working_directory, written_variables};
use crate::setup::shell::Script;
use crate::setup::state::{Actor, Setup};
use crate::setup::surroundings::{Changes, current_umask};
use crate::sys::child::{Ended, Running, Spawn, Writers};
use crate::sys::proof;
use crate::sys::start::{AsWhom, start_program};
use crate::sys::terminal::Terminal;
use crate::text::duration::PROGRESS;
use crate::text::duration::spoken;
use crate::text::escape::WHY_NOT_SHOWN;
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::{Level, Message};
use crate::value::variables::{Origin, Variables};

/// A hook that is about to run.
pub(super) struct Hook {
    /// What it is called in messages.
    pub(super) name: String,
    pub(super) work: Work,
    /// What its standard input holds, if that is not at its end.
    pub(super) input: Option<Vec<u8>>,
}

/// What is to run.
pub(super) enum Work {
    /// A program with its words; the first is looked up on its own `PATH`.
    Program(Vec<OsString>),
    /// A file that a shell sources, which hands its environment back.
    Script(Script),
}

impl Setup {
    /// Runs a hook to its end, and takes over what it changed.
    pub(super) fn hook(&mut self, step: &PlanStep, actor: &Actor, hook: &Hook) -> Result<()> {
        let log = self.world.log;
        self.terminal.get_or_insert_with(Terminal::observe);
        let variables = self.variables_of(actor);
        if actor.kept_root {
            let program = match &hook.work {
                Work::Program(argv) => argv.first().cloned().unwrap_or_default(),
                Work::Script(script) => script.shell.clone(),
            };
            let who = format!("step `{}`", step.label);
            if let Err(failure) = proof::program(&who, std::slice::from_ref(&program), &variables)
                && failure.kind() == Kind::Identity
            {
                self.secret |= variables.hides(&program);
                return Err(failure.field("hook", &hook.name).field("step", &step.label));
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
            Work::Program(argv) => {
                self.start(argv, &variables, actor, step, &|spawn| spawn.input.clone_from(&hook.input))
            }
            Work::Script(script) => self.source(script, &variables, actor, step),
        };
        let (ended, running) = match started {
            Err(failure) if failure.kind() == Kind::Identity => return Err(failure),
            Err(failure) => (Ended::NotStarted(failure.sentence()), None),
            Ok(mut running) => {
                let ended = self.world.children.run(&mut running, PROGRESS, &|so_far| {
                    log.say(&tell(format!("hook `{}` still runs after {}", hook.name, spoken(so_far))));
                });
                let ended = ended.map_err(|stop| {
                    self.restore_terminal();
                    let failure = stop.failure(&format!("while hook `{}` ran", hook.name));
                    with_kill(failure, Some(&running)).field("hook", &hook.name).field("step", &step.label)
                })?;
                (ended, Some(running))
            }
        };
        self.restore_terminal();
        let report = running.as_ref().map(Running::last_line).unwrap_or_default();
        let ended = if report.is_empty() { ended } else { Ended::NotStarted(report) };
        if !ended.is_success() {
            // How it ended holds no secret; why it did not start names its file.
            let conceals = self.secret && matches!(ended, Ended::NotStarted(_));
            let ended = if conceals { Ended::NotStarted(WHY_NOT_SHOWN.to_owned()) } else { ended };
            let failure = self.hook_failure(&hook.name, step, &ended.describe());
            return Err(with_kill(failure, running.as_ref()));
        }
        if let Some(running) = running {
            let duration = running.started.elapsed();
            let changes = self.changes(hook, &running, &variables, step)?;
            let secrets = &self.plan.secrets;
            let origin = Origin::Hook(hook.name.clone());
            self.surroundings.absorb(&changes, actor.root, &origin, &|name| {
                std::str::from_utf8(name).is_ok_and(|name| secrets.contains(name))
            });
            let message = tell(format!("hook `{}` done in {}", hook.name, spoken(duration)));
            log.say(&message.number("duration-ms", u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)));
        }
        Ok(())
    }

    /// Has a hook sourced by a shell of its own.
    fn source(
        &mut self,
        script: &Script,
        variables: &Variables,
        actor: &Actor,
        step: &PlanStep,
    ) -> Result<Running> {
        let uid = actor.identity.as_ref().map_or(self.world.myself.uid, |identity| identity.uid);
        let socket = self.world.children.socket();
        let socket =
            socket.map_err(|error| Failure::say(Kind::System, crate::text::reason::reason(&error)))?;
        let argv = script.argv(&self.world.program, &socket, &self.plan.parameters);
        self.start(&argv, variables, actor, step, &|spawn| spawn.hands_back = Some(uid))
    }

    /// Starts the program of a hook.
    fn start(
        &mut self,
        argv: &[OsString],
        variables: &Variables,
        actor: &Actor,
        step: &PlanStep,
        adjust: &dyn Fn(&mut Spawn<'_>),
    ) -> Result<Running> {
        let (limit, grace) = (step.limit(), step.grace());
        let as_whom = AsWhom {
            identity: actor.identity.as_ref(),
            preverb: &self.world.program,
            kept_root: actor.kept_root,
        };
        let is_root =
            self.world.myself.is_root() && actor.identity.as_ref().is_none_or(|identity| identity.uid == 0);
        if is_root {
            self.users.may_change();
        }
        let others_exist = is_root && (actor.kept_root || self.surroundings.are_split());
        start_program(&mut self.world.children, as_whom, argv, variables, &|spawn| {
            spawn.takes_variables = Some(if others_exist { Writers::Root } else { Writers::All });
            spawn.limit = limit;
            spawn.grace = grace.unwrap_or(spawn.grace);
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
                self.hook_failure(&hook.name, step, "ended before its environment could be read back").hint(
                    "it replaced the EXIT trap or itself (`exec`), or left itself unable to start a \
                     program; a file without the extension `.sh` is run by itself",
                )
            })?;
            changes = handed.changes(before, || script.is_bash(before));
            if working_directory() == handed.directory {
                changes.directory = None;
            } else if changes.directory.is_none() {
                let what = "ended in a working directory that is gone";
                return Err(self.hook_failure(&hook.name, step, what));
            }
            if changes.umask == Some(current_umask()) {
                changes.umask = None;
            }
        }
        if let Some(uid) = running.stranger {
            let what = format!("stepped down to uid {uid}, which wrote to descriptor 3: only root may there");
            return Err(self.hook_failure(&hook.name, step, &what));
        }
        let written = written_variables(running.variables_text()).map_err(|reason| {
            self.hook_failure(&hook.name, step, &format!("wrote to descriptor 3 {reason}"))
        })?;
        let written = written.into_iter().filter(|(name, _)| !is_preverbs_own(name));
        changes.variables.extend(written.map(|(name, value)| (name, Some(value))));
        Ok(changes)
    }
}

/// The failure with whether KILL was needed to end it.
fn with_kill(failure: Failure, running: Option<&Running>) -> Failure {
    match running.and_then(Running::outlived) {
        Some(grace) => failure.and(format!("it did not end within {}, and was killed", spoken(grace))),
        None => failure,
    }
}
