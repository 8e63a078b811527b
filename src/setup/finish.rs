//! The end of a run: limits, groups, user, capabilities, a last check for a request to stop, and the exec.

use std::ffi::OsString;

use rustix::process::{Rlimit, getrlimit, setrlimit};

use crate::setup::state::{Setup, existence};
use crate::setup::users;
use crate::sys::{Terminal, exec, identity, proc, start};
use crate::text::escape::escaped;
use crate::text::{Failure, Format, Kind, Level, Log, Message, Result};
use crate::value::{Expanded, Limit, Supervision, Variables};

impl Setup {
    /// Becomes the target. Returns only on failure.
    pub(super) fn become_target(&mut self) -> Result<Failure> {
        if !self.world.children.groups.is_empty() {
            self.look_again()?;
            self.identity.as_ref().map_or(Ok(()), users::verify)?;
        }
        let root = self.is_root(self.identity.as_ref());
        self.enter(root, None)?;
        self.terminal.iter().for_each(Terminal::restore);
        let mut variables = self.surroundings.variables(root).clone();
        self.plan.judge_late(&variables)?;
        let exists = existence(self.identity.as_ref());
        let words = self.plan.target.argv(self.plan.facts(&variables, &exists))?;
        let shown = words.first().map(Expanded::shown).unwrap_or_default();
        let secret = words.first().is_some_and(|program| program.secret);
        let argv: Vec<OsString> = words.into_iter().map(Expanded::into_word).collect();
        for name in &self.plan.unset {
            variables.unset(name.as_bytes());
        }
        self.world.log.debug(|| format!("becoming the target `{shown}`"));
        if self.world.children.reap_all() {
            name_leftovers(self.world.log, &self.world.children.groups);
        }
        let resources = self.plan.limits.iter().map(|limit| limit.resource);
        let limits: Vec<_> = resources.map(|resource| (resource, getrlimit(resource).current)).collect();
        self.step_down()?;
        let name = exec::program_of(&argv);
        let conceal = secret || variables.hides(name);
        let init = self.plan.init.as_ref();
        // A supervisor would not know which parts are secret.
        let located = init.filter(|_| conceal).map(|_| exec::locate(name, &variables));
        let failure = match (init, located) {
            (_, Some(Err(failure))) => failure,
            (None, _) => exec::exec(&argv, &variables, Some(&mut self.world.children.signals)),
            (Some(options), _) => {
                let blocked = self.world.children.signals.blocked();
                let supervision = Supervision { conceal, blocked, ..options.clone() };
                // The program is preverb itself; the target's PATH may not contain it.
                let own = own_arguments(&supervision, self.world.log.format, &variables);
                exec::exec_file(start::itself(&self.world.program), &own, &argv, &variables)
            }
        };
        // Later messages must not be subject to the target's limits: with `fsize = 0` they would fail.
        for (resource, current) in limits {
            let _ = setrlimit(resource, Rlimit { current, maximum: getrlimit(resource).maximum });
        }
        Ok(if secret { failure.concealed("running the target") } else { failure })
    }

    fn step_down(&self) -> Result<()> {
        self.plan.limits.iter().try_for_each(set_limit)?;
        let keep = self.plan.capabilities.as_deref();
        let root = self.world.myself.is_root();
        keep.filter(|_| root).map_or(Ok(()), identity::bound)?;
        self.identity.as_ref().map_or(Ok(()), |identity| identity::step_down(identity, keep))?;
        match keep.map_or(Ok(()), identity::keep) {
            // The operator chose the user, so its rights are known; one warning is enough.
            Err(_) if self.warned_of_user => {}
            Err(failure) if !root => {
                let sentence = failure.sentence();
                self.world.log.warn(format!("continuing with the capabilities that it has: {sentence}"));
            }
            kept => kept?,
        }
        if self.plan.no_new_privileges { identity::no_new_privileges() } else { Ok(()) }
    }
}

/// The arguments that start this program as a supervisor, without the options and the table of this run.
fn own_arguments(supervision: &Supervision, format: Format, variables: &Variables) -> Vec<OsString> {
    let mut own = vec![OsString::from("preverb")];
    if format != Format::default() || variables.non_empty(b"PREVERB_LOG").is_some() {
        own.extend(["--log", format.name()].map(OsString::from));
    }
    own.extend(supervision.arguments());
    own.push("--".into());
    own
}

/// Sets a soft limit. The hard limit is raised only if it would be lower.
fn set_limit(limit: &Limit) -> Result<()> {
    let hard = getrlimit(limit.resource).maximum;
    // `None` is unlimited.
    let fits = hard.is_none_or(|hard| limit.value.is_some_and(|value| value <= hard));
    let wanted = Rlimit { current: limit.value, maximum: if fits { hard } else { limit.value } };
    setrlimit(limit.resource, wanted).map_err(|error| {
        let shown = |value: Option<u64>| value.map_or("unlimited".to_owned(), |value| value.to_string());
        let (name, value, hard) = (limit.name, shown(limit.value), shown(hard));
        let sentence = format!("cannot set limit `{name}` to {value}: {error}; the hard limit is {hard}");
        Failure::new(Kind::System, sentence).field("limit", name)
    })
}

/// Reports the leftover processes of setup, so that they are not taken for the target's.
fn name_leftovers(log: Log, groups: &[i32]) {
    let own = std::process::id().cast_signed();
    // Hooks have their own groups. A process in this group was a child of the program that preverb replaced.
    let group = nix::unistd::getpgrp().as_raw();
    for (pid, process) in proc::all() {
        let is_orphan = process.parent == own && process.group != group;
        if pid == own || process.state == b'Z' || !(is_orphan || groups.contains(&process.group)) {
            continue;
        }
        let name = escaped(&process.name);
        let message = format!("setup left process {pid} (`{name}`) running beside the target");
        let message = Message::new(Level::Info, message).number("pid", u64::from(pid.unsigned_abs()));
        log.emit(&message.field("process", name));
    }
}
