//! Hooks: the user's programs and scripts, and the changes that they make.
//!
//! A script is sourced by its own shell, under `set -e`. At the end, no matter how the script ends, the shell
//! sends its environment back with `--preverb-dump`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use crate::setup::dump::{Dump, is_preverbs_own, written_variables};
use crate::setup::state::{Setup, Task};
use crate::setup::surroundings::{Changes, current_umask};
use crate::sys::{
    Carries, Ended, Running, Spawn, Terminal, Writers, locate, place, proof, start_program, working_directory,
};
use crate::text::{
    Failure, Kind, Level, Message, REPORT_INTERVAL, Result, WITHHELD, bytes_of, readable, reason,
    shell_quoted,
};
use crate::value::{Origin, Variables};

pub(super) struct Hook {
    pub(super) name: String,
    pub(super) work: Work,
    pub(super) input: Option<Vec<u8>>,
}

pub(super) enum Work {
    Program(Vec<OsString>),
    Script(Script),
}

pub(super) struct Script {
    pub(super) shell: OsString,
    pub(super) options: Vec<OsString>,
    pub(super) path: PathBuf,
}

impl Script {
    /// The argv of the script's shell, which starts `preverb` to send its environment to `socket`.
    ///
    /// The environment is sent at the end of the file or, as a hook may end with `exit 0`, by an EXIT trap
    /// (unless the hook sets its own). The status is masked, because wait(2) reports 8 bits, while `$?` in a
    /// small shell can be any number.
    ///
    /// The program is a child of the shell: bash also runs the EXIT trap when a signal ends it, with a status
    /// of 0, and must still end by that signal. If the program cannot start or send, the hook itself has not
    /// failed; the missing data is noticed. Under job control (`set -m`) it would not be in the hook's group.
    pub(super) fn argv(&self, preverb: &Path, socket: &str, parameters: &[OsString]) -> Vec<OsString> {
        let path = |path: &Path| shell_quoted(bytes_of(path));
        let dump = [b"set +m; ", &*path(preverb), b" --preverb-dump ", socket.as_bytes(), b" || :"].concat();
        let trap =
            [&b"case $(($?&255))${preverb_dumped-} in 0$$) ;; 0*) "[..], &dump, b";; *) exit \"$?\";; esac"];
        let script = [
            b"trap ",
            &*shell_quoted(&trap.concat()),
            b" EXIT\nset -e\n. ",
            &*path(&self.path),
            b"\ncase $(($?&255)) in 0) ",
            &*dump,
            b"; preverb_dumped=$$;; *) exit \"$?\";; esac\n",
        ];
        let rest = ["-c".into(), OsString::from_vec(script.concat()), self.path.clone().into_os_string()];
        let own = std::iter::once(&self.shell).chain(&self.options).chain(&rest);
        own.chain(parameters).cloned().collect()
    }

    pub(super) fn is_bash(&self, variables: &Variables) -> bool {
        let file = locate(&self.shell, variables).ok().and_then(|path| path.canonicalize().ok());
        file.is_some_and(|file| file.file_name() == Some(OsStr::new("bash")))
    }
}

impl Setup {
    pub(super) fn hook(&mut self, task: &Task<'_>, hook: &Hook) -> Result<()> {
        let (log, label, name) = (self.world.log, &task.step.label, &hook.name);
        self.terminal.get_or_insert_with(Terminal::observe);
        let variables = self.variables_of(task);
        if task.kept_root {
            let program = match &hook.work {
                Work::Program(argv) => argv.first().cloned().unwrap_or_default(),
                Work::Script(script) => script.shell.clone(),
            };
            if let Err(failure) = proof::program(&task.who(), std::slice::from_ref(&program), &variables)
                && failure.kind() == Kind::Identity
            {
                self.secret |= variables.hides(&program);
                return Err(failure.field("hook", name).field("step", label));
            }
        }
        let environment = self.plan.environment.name.to_string();
        let report = |text: String| {
            Message::new(Level::Info, text)
                .field("hook", name)
                .field("step", label)
                .field("environment", &environment)
        };
        log.emit(&report(format!("running hook `{name}`")));
        let started = self.start(task, hook, &variables);
        let mut running = self.started(started, name, task, self.secret)?;
        let ended = self.world.children.run(&mut running, REPORT_INTERVAL, &|so_far| {
            log.emit(&report(format!("hook `{name}` still runs after {}", readable(so_far))));
        });
        self.terminal.iter().for_each(Terminal::restore);
        let ended = ended.map_err(|stop| {
            let failure = stop.failure(&format!("while hook `{name}` ran"));
            with_kill(failure, &running).field("hook", name).field("step", label)
        })?;
        let refusal = running.last_line();
        if !refusal.is_empty() || ended != Ended::Exited(0) {
            // How it ended is not secret, but the reason for a failed start names its file.
            let ended = if refusal.is_empty() { ended } else { not_started(refusal, self.secret) };
            return Err(with_kill(self.hook_failure(name, task, &ended.describe()), &running));
        }
        let duration = running.started.elapsed();
        let changes = self.changes(task, hook, &running, &variables)?;
        self.surroundings.absorb(&changes, task.root, &Origin::Hook(name.clone()), &self.plan.secrets);
        let message = report(format!("hook `{name}` done in {}", readable(duration)));
        log.emit(&message.number("duration-ms", u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)));
        Ok(())
    }

    /// A hook that could not be started has failed, unless it is one that root must not run.
    pub(super) fn started(
        &self, started: Result<Running>, hook: &str, task: &Task<'_>, secret: bool,
    ) -> Result<Running> {
        started.map_err(|failure| {
            if failure.kind() == Kind::Identity {
                return failure;
            }
            self.hook_failure(hook, task, &not_started(failure.sentence(), secret).describe())
        })
    }

    /// The changes of a hook that has succeeded: those of its shell, and those that it wrote to descriptor 3.
    fn changes(
        &self, task: &Task<'_>, hook: &Hook, running: &Running, before: &Variables,
    ) -> Result<Changes> {
        let wrong = |what: &str| self.hook_failure(&hook.name, task, what);
        let mut changes = Changes::default();
        if let Work::Script(script) = &hook.work {
            let handed = Dump::parse(running.text(Carries::Environment)).ok_or_else(|| {
                wrong("ended before its environment could be read back").hint(
                    "it replaced the EXIT trap, called `exec`, or can no longer start a program; a file \
                     without the extension `.sh` is run instead of sourced",
                )
            })?;
            changes = handed.changes(before, || script.is_bash(before));
            if working_directory().unwrap_or_default() == handed.directory {
                changes.directory = None;
            } else if changes.directory.is_none() {
                return Err(wrong("ended in a working directory that no longer exists"));
            }
            changes.umask = changes.umask.filter(|umask| *umask != current_umask());
        }
        if let Some(uid) = running.foreign_writer {
            let what = "which wrote to descriptor 3: only root may write to it";
            return Err(wrong(&format!("stepped down to uid {uid}, {what}")));
        }
        let written = written_variables(running.text(Carries::Variables))
            .map_err(|reason| wrong(&format!("wrote to descriptor 3 {reason}")))?;
        let written = written.into_iter().filter(|(name, _)| !is_preverbs_own(name));
        changes.variables.extend(written.map(|(name, value)| (name, Some(value))));
        Ok(changes)
    }

    /// The file that a shell of root starts as preverb. If another user may have replaced the file at this
    /// program's path, it is the file that this process was started from.
    fn own_file(&self, task: &Task<'_>) -> Result<PathBuf> {
        let Err(why) = proof::file(&self.world.program) else { return Ok(self.world.program.clone()) };
        // Acting as a user has made this process undumpable, which closes its `/proc` even to root.
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable);
        let started_from = PathBuf::from(format!("/proc/{}/./exe", std::process::id()));
        let place = |path: &Path| rustix::fs::stat(path).map(|status| place(&status)).ok();
        if place(&started_from).is_some_and(|file| Some(file) == place(Path::new("/proc/self/exe"))) {
            return Ok(started_from);
        }
        Err(proof::refused(&task.who(), &self.world.program, &why))
    }

    /// Starts the program of a hook, or a shell that sources it.
    fn start(&mut self, task: &Task<'_>, hook: &Hook, variables: &Variables) -> Result<Running> {
        let socket;
        let (argv, hands_back) = match &hook.work {
            Work::Program(argv) => (argv, None),
            Work::Script(script) => {
                let name = self.world.children.socket();
                let name = name.map_err(|error| Failure::new(Kind::System, reason(&error)))?;
                let preverb = if task.kept_root { self.own_file(task)? } else { self.world.program.clone() };
                socket = script.argv(&preverb, &name, &self.plan.parameters);
                let uid = task.identity.as_ref().map_or(self.world.myself.uid, |identity| identity.uid);
                (&socket, Some(uid))
            }
        };
        let is_root = self.is_root(task.identity.as_ref());
        if is_root {
            self.users.may_change();
        }
        let run_as = task.run_as(&self.world.program);
        start_program(&mut self.world.children, run_as, argv, variables, &|spawn: &mut Spawn<'_>| {
            // A program that steps down acts for another user.
            spawn.takes_variables = Some(if is_root { Writers::Root } else { Writers::All });
            spawn.terms.limit = task.step.limit();
            spawn.terms.grace = task.step.grace();
            spawn.input.clone_from(&hook.input);
            spawn.terms.hands_back = hands_back;
        })
    }
}

pub(super) fn not_started(why: String, secret: bool) -> Ended {
    Ended::NotStarted(if secret { WITHHELD.to_owned() } else { why })
}

fn with_kill(failure: Failure, running: &Running) -> Failure {
    match running.outlived() {
        Some(grace) => failure.and(format!("it did not end within {}, and was killed", readable(grace))),
        None => failure,
    }
}
