//! The end of a run: limits, groups, user, capabilities, one more look for a request to stop, and the exec.

use std::ffi::OsString;

use rustix::process::{Rlimit, getrlimit, setrlimit};

use crate::setup::state::{Setup, existence};
use crate::setup::users;
use crate::sys::identity;
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::{Format, Level, Log, Message};
use crate::value::limit::Limit;
use crate::value::supervision::Supervision;
use crate::value::template::Expanded;
use crate::value::variables::{Origin, Variables};

impl Setup {
    /// Becomes the target. Returns only the failure.
    pub(super) fn finish(mut self) -> Failure {
        match self.become_target() {
            Ok(failure) | Err(failure) => failure,
        }
    }

    fn become_target(&mut self) -> Result<Failure> {
        if !self.world.children.groups().is_empty() {
            self.look_again()?;
            self.identity.as_ref().map_or(Ok(()), users::verify)?;
        }
        let root =
            self.world.myself.is_root() && self.identity.as_ref().is_none_or(|identity| identity.uid == 0);
        self.enter_for_target(root)?;
        if let Some(terminal) = &self.terminal {
            terminal.restore();
        }
        let mut variables = self.surroundings.of(root).variables.clone();
        self.name_verb(&mut variables);
        self.plan.judge_late(&variables)?;
        let exists = existence(self.identity.clone());
        let words = self.plan.target.argv(self.plan.facts(&variables, &exists))?;
        let program = words.first().cloned();
        let argv: Vec<OsString> = words.into_iter().map(Expanded::into_word).collect();
        for name in &self.plan.unset {
            variables.unset(name.as_bytes());
        }
        self.world.log.debug(|| {
            format!("becoming the target `{}`", program.as_ref().map(Expanded::shown).unwrap_or_default())
        });
        if self.world.children.reap_all() {
            name_left_behind(self.world.log, self.world.children.groups());
        }
        let limits: Vec<_> = self.plan.limits.iter().map(|limit| limit.resource.resource).collect();
        let limits: Vec<_> = limits.into_iter().map(|resource| (resource, getrlimit(resource))).collect();
        self.step_down()?;
        let secret = program.is_some_and(|program| program.secret);
        let name = argv.first().map(OsString::as_os_str).unwrap_or_default();
        let conceal = secret || variables.hides(name);
        // A supervisor would not know what is secret in it.
        let missing = self.plan.init.as_ref().filter(|_| conceal).and_then(|_| {
            let looked_up = crate::sys::exec::attempt(&argv, &variables, |file, _, _| {
                rustix::fs::access(file, rustix::fs::Access::EXEC_OK)
                    .map_err(|error| nix::errno::Errno::from_raw(error.raw_os_error()))
            });
            looked_up.err()
        });
        let failure = match (missing, &self.plan.init) {
            (Some(failure), _) => failure,
            (None, None) => crate::sys::exec::exec_with(&argv, &variables, self.world.children.signals()),
            // preverb itself, by its path: the target's PATH need not lead to it.
            (None, Some(options)) => {
                let options = Supervision {
                    signals: options.signals.clone(),
                    group: options.group.unwrap_or(false),
                    grace: options.grace,
                    exit: options.exit.clone(),
                    conceal,
                    blocked: self.world.children.signals().blocked(),
                };
                let mut own = vec![OsString::from("preverb")];
                // The supervisor knows neither the options nor the table of this run.
                let format = self.world.log.format;
                if format != Format::default() || variables.non_empty(b"PREVERB_LOG").is_some() {
                    own.extend(["--log", format.name()].map(OsString::from));
                }
                own.extend(options.arguments());
                own.push("--".into());
                crate::sys::exec::exec_file(&self.world.program, &own, &argv, &variables)
            }
        };
        // The target's limits are not for what is still to be said: with `fsize = 0` that would be the end.
        for (resource, before) in limits {
            let hard = getrlimit(resource).maximum;
            let _ = setrlimit(resource, Rlimit { current: before.current, maximum: hard });
        }
        Ok(if secret { failure.concealed("running the target") } else { failure })
    }

    /// What says which verb runs is the last word on it, whatever a hook exported.
    fn name_verb(&self, variables: &mut Variables) {
        let environment = self.plan.environment.name.as_str();
        let differs = |variables: &Variables, name: &[u8], value: &str| {
            variables.get(name).map(|found| found.value) != Some(value.as_bytes())
        };
        if differs(variables, b"PREVERB_ENVIRONMENT", environment) {
            variables.set(b"PREVERB_ENVIRONMENT", environment, Origin::Preverb, false);
        }
        match &self.plan.verb {
            Some(verb) if differs(variables, b"PREVERB_VERB", verb.as_str()) => {
                variables.set(b"PREVERB_VERB", verb.as_str(), Origin::Preverb, false);
            }
            Some(_) => {}
            None => variables.unset(b"PREVERB_VERB"),
        }
    }

    fn step_down(&self) -> Result<()> {
        for limit in &self.plan.limits {
            set_limit(limit)?;
        }
        let keep = self.plan.capabilities.as_deref();
        let root = self.world.myself.is_root();
        if let Some(keep) = keep
            && root
        {
            identity::bound(keep)?;
        }
        if let Some(identity) = &self.identity {
            identity::step_down(identity, keep)?;
        }
        if let Some(keep) = keep {
            match identity::keep(keep) {
                Ok(()) => {}
                Err(failure) if root => return Err(failure),
                // The operator chose the user, and with it what it may.
                Err(failure) => {
                    self.world.log.warn(format!(
                        "continuing with the capabilities that it has: {}",
                        failure.sentence()
                    ));
                }
            }
        }
        if self.plan.no_new_privileges {
            identity::no_new_privileges()?;
        }
        Ok(())
    }
}

/// Sets a soft limit; the hard one is raised with it only where it would be below.
fn set_limit(limit: &Limit) -> Result<()> {
    let resource = limit.resource.resource;
    let before = getrlimit(resource);
    let fits = match (limit.value, before.maximum) {
        (_, None) => true,
        (Some(value), Some(maximum)) => value <= maximum,
        (None, Some(_)) => false,
    };
    let wanted = Rlimit { current: limit.value, maximum: if fits { before.maximum } else { limit.value } };
    setrlimit(resource, wanted).map_err(|error| {
        let shown = |value: Option<u64>| value.map_or("unlimited".to_owned(), |value| value.to_string());
        let name = limit.resource.name;
        let sentence = format!(
            "cannot set limit `{name}` to {}: {error}; the hard limit is {}",
            shown(limit.value),
            shown(before.maximum)
        );
        Failure::say(Kind::System, sentence).field("limit", name)
    })
}

/// Names the processes that setup has left behind: the target would wonder whose they are.
fn name_left_behind(log: Log, groups: &[i32]) {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    // A hook has a group of its own. Who is in this one was this process's child before it became preverb.
    let group = nix::unistd::getpgrp().as_raw();
    for (pid, process) in crate::sys::proc::all() {
        let orphan = process.parent == own && process.group != group;
        let ours = orphan || groups.contains(&process.group);
        if pid == own || !ours || process.state == b'Z' {
            continue;
        }
        let name = crate::text::escape::escaped(&process.name);
        let message = format!("setup left process {pid} (`{name}`) running beside the target");
        log.say(
            &Message::new(Level::Info, message)
                .number("pid", u64::from(pid.unsigned_abs()))
                .field("process", name),
        );
    }
}
