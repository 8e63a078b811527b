//! The steps that run hooks: `run`, a program; `hooks`, a file or all files of a directory.
//!
//! A script is sourced by its own shell, under `set -e`. At the end, no matter how the script ends, the shell
//! sends its environment back with `--preverb-dump`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use crate::plan::target::{expand, fault_failure, with_program};
use crate::setup::dump::{self, written_variables};
use crate::setup::hook_files::{self, How, Rules};
use crate::setup::state::{Setup, Task, existence};
use crate::setup::surroundings::{Changes, current_umask};
use crate::sys::{
    Carries, Ended, Running, Spawn, Terminal, Writers, acting_as, locate, place, program_of, proof,
    start_program, working_directory,
};
use crate::text::{
    Failure, Kind, Level, MASK, Message, REPORT_INTERVAL, Result, WITHHELD, bytes_of, path_of, readable,
    reason, shell_quoted,
};
use crate::value::{Element, Executables, Expanded, Origin, Template, Variables, words};

struct Hook {
    name: String,
    /// The program, or the shell of a script.
    argv: Vec<OsString>,
    /// The script that the shell sources.
    script: Option<PathBuf>,
    input: Option<Vec<u8>>,
}

impl Setup {
    pub(crate) fn run(&mut self, task: &Task<'_>, argv: &[Element], stdin: Option<&Template>) -> Result<()> {
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
            let argv = words.into_iter().map(Expanded::into_word).collect();
            setup.hook(task, &Hook { name, argv, script: None, input })?;
            Ok(true)
        })
    }

    pub(in crate::setup) fn argv(&self, task: &Task<'_>, argv: &[Element]) -> Result<Vec<Expanded>> {
        let exists = existence(task.identity.as_ref());
        let facts = self.plan.facts(self.surroundings.variables(task.root), &exists);
        let arguments = || self.plan.target.arguments(facts).map_err(|(fault, _)| fault);
        let words = words::expand(argv, facts, &arguments);
        with_program(words.map_err(|fault| fault_failure(fault, &task.who()))?, &task.who())
    }

    pub(in crate::setup) fn hooks(
        &mut self, task: &Task<'_>, template: &Template, shell: &Template, executables: Executables,
    ) -> Result<()> {
        self.once(task, |setup| {
            let interpreters = setup.plan.interpreters.clone();
            let shell = setup.path(shell, task, "shell")?;
            let rules = Rules { interpreters: &interpreters, shell: shell.as_os_str(), executables };
            let named = setup.expand(template, task, "hooks")?;
            let path = path_of(&named.bytes);
            let list = || (hook_files::hook_paths(path, rules), path.exists());
            let (mut files, exists) = acting_as(task.identity.as_ref(), || Ok(list()))?;
            // A directory that only root can list may contain hooks that the user can run.
            let roots = setup.surroundings.variables(true);
            let is_roots_choice = || template.expand(roots).is_ok_and(|own| own.bytes == named.bytes);
            if files.is_err() && is_roots_choice() && proof::file(path).is_ok() {
                (files, _) = list();
            }
            let files = files.map_err(|reason| {
                setup.hook_failure(&named.shown(), task, &format!("cannot be read: {reason}"))
            })?;
            if files.is_empty() && !exists {
                let (who, named) = (task.who(), named.shown());
                setup.world.log.debug(|| format!("{who} has nothing to do: `{named}` does not exist"));
                return Ok(false);
            }
            let listed_in = working_directory().unwrap_or_default();
            for file in files {
                // A file is examined where it runs, and that directory may differ from the listed one.
                setup.enter(task.root, Some(task))?;
                let moved = path.is_relative() && working_directory().unwrap_or_default() != listed_in;
                let base = if moved { &*listed_in } else { Path::new("") };
                setup.hook_file(task, &named, base.join(file), rules)?;
            }
            Ok(true)
        })
    }

    fn hook_file(
        &mut self, task: &Task<'_>, named: &Expanded, path: PathBuf, rules: Rules<'_>,
    ) -> Result<()> {
        let file = acting_as(task.identity.as_ref(), || Ok(hook_files::hook(path, rules)))?;
        let is_secret = file.is_secret(named);
        let name = if is_secret { MASK.to_owned() } else { file.name() };
        let (shown, path) = (file.shown(named), runnable(&file.path));
        let run = |by: Vec<OsString>, parameters: &[OsString]| {
            ([by, vec![path.clone().into()], parameters.to_vec()].concat(), None)
        };
        let (argv, script) = match file.how {
            How::Skip(reason) => {
                let reason = if is_secret { WITHHELD } else { &reason };
                let message = format!("`{shown}` in {} is skipped: {reason}", task.who());
                let message = Message::new(Level::Warning, message).field("hook", &name);
                self.world.log.emit(&message.field("step", &task.step.label));
                return Ok(());
            }
            How::Fail(what, hint) => return Err(self.hook_failure(&name, task, &what).hint(hint)),
            How::Source { shell, options } => ([vec![shell], options].concat(), Some(path.clone())),
            How::Run => run(Vec::new(), &self.plan.parameters),
            How::RunBy(shell) => run(vec![shell], &self.plan.parameters),
            How::Interpret(interpreter) => run(interpreter, &[]),
        };
        task.prove(&path).map_err(|failure| failure.field("hook", &name))?;
        self.hook(task, &Hook { name, argv, script, input: None })
    }

    fn hook(&mut self, task: &Task<'_>, hook: &Hook) -> Result<()> {
        let (log, label, name) = (self.world.log, &task.step.label, &hook.name);
        self.terminal.get_or_insert_with(Terminal::observe);
        let variables = self.variables_of(task);
        if task.kept_root
            && let Err(failure) = proof::program(&task.who(), &hook.argv, &variables)
            && failure.kind() == Kind::Identity
        {
            self.secret |= variables.hides(program_of(&hook.argv));
            return Err(failure.field("hook", name).field("step", label));
        }
        let environment = self.plan.environment.name.to_string();
        let report = |text: String| {
            let message = Message::new(Level::Info, text).field("hook", name).field("step", label);
            message.field("environment", &environment)
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
            let what = not_started(failure.sentence(), secret).describe();
            let is_refused = failure.kind() == Kind::Identity;
            if is_refused { failure } else { self.hook_failure(hook, task, &what) }
        })
    }

    /// The changes of a hook that has succeeded: those of its shell, and those that it wrote to descriptor 3.
    fn changes(
        &self, task: &Task<'_>, hook: &Hook, running: &Running, before: &Variables,
    ) -> Result<Changes> {
        let wrong = |what: &str| self.hook_failure(&hook.name, task, what);
        let mut changes = Changes::default();
        if hook.script.is_some() {
            let hint = "it replaced the EXIT trap, called `exec`, or can no longer start a program; a file \
                        without the extension `.sh` is run instead of sourced";
            let lost = || wrong("ended before its environment could be read back").hint(hint);
            let dump = running.text(Carries::Environment);
            changes = dump::changes(dump, before, || is_bash(&hook.argv, before)).ok_or_else(lost)?;
            if changes.directory == Some(PathBuf::new()) {
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
        changes.variables.extend(written.into_iter().map(|(name, value)| (name, Some(value))));
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
        let mut argv = hook.argv.clone();
        let mut hands_back = None;
        if let Some(script) = &hook.script {
            let socket = self.world.children.socket();
            let socket = socket.map_err(|error| Failure::new(Kind::System, reason(&error)))?;
            let preverb = if task.kept_root { self.own_file(task)? } else { self.world.program.clone() };
            argv.extend(["-c".into(), sourcing(script, &preverb, &socket), script.into()]);
            argv.extend_from_slice(&self.plan.parameters);
            hands_back = Some(task.identity.as_ref().map_or(self.world.myself.uid, |user| user.uid));
        }
        let is_root = self.is_root(task.identity.as_ref());
        if is_root {
            self.users.may_change();
        }
        let run_as = task.run_as(&self.world.program);
        start_program(&mut self.world.children, run_as, &argv, variables, &|spawn: &mut Spawn<'_>| {
            // A program that steps down acts for another user.
            spawn.takes_variables = Some(if is_root { Writers::Root } else { Writers::All });
            spawn.terms.limit = task.step.limit();
            spawn.terms.grace = task.step.grace();
            spawn.input.clone_from(&hook.input);
            spawn.terms.hands_back = hands_back;
        })
    }
}

/// The command with which a shell sources a script, and starts `preverb` to send its environment to `socket`.
///
/// The environment is sent at the end of the file or, as a hook may end with `exit 0`, by an EXIT trap, if
/// the hook sets no other. The status is masked, because wait(2) reports 8 bits, while `$?` in a small shell
/// can be any number.
///
/// The program is a child of the shell: bash also runs the EXIT trap when a signal ends it, with a status of
/// 0, and must still end by that signal. If the program cannot start or send, the hook itself has not failed;
/// the missing data is noticed. Under job control (`set -m`) it would not be in the hook's group.
fn sourcing(script: &Path, preverb: &Path, socket: &str) -> OsString {
    let path = |path: &Path| shell_quoted(bytes_of(path));
    let dump = [b"set +m; ", &*path(preverb), b" --preverb-dump ", socket.as_bytes(), b" || :"].concat();
    let trap =
        [&b"case $(($?&255))${preverb_dumped-} in 0$$) ;; 0*) "[..], &dump, b";; *) exit \"$?\";; esac"];
    let command = [
        b"trap ",
        &*shell_quoted(&trap.concat()),
        b" EXIT\nset -e\n. ",
        &*path(script),
        b"\ncase $(($?&255)) in 0) ",
        &*dump,
        b"; preverb_dumped=$$;; *) exit \"$?\";; esac\n",
    ];
    OsString::from_vec(command.concat())
}

fn is_bash(argv: &[OsString], variables: &Variables) -> bool {
    let file = locate(program_of(argv), variables).ok().and_then(|path| path.canonicalize().ok());
    file.is_some_and(|file| file.ends_with("bash"))
}

/// The path of a hook for a program or a shell: a bare name would be searched on PATH, and a leading dash
/// would look like an option.
fn runnable(path: &Path) -> PathBuf {
    let bytes = bytes_of(path);
    if bytes.contains(&b'/') && !bytes.starts_with(b"-") {
        path.to_owned()
    } else {
        Path::new(".").join(path)
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
