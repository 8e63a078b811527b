//! The steps that run hooks: `run`, a program; `hooks`, a file or all files of a directory.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::plan::target::{expand, fault_failure, with_program};
use crate::setup::hook::{Hook, Script, Work};
use crate::setup::hook_files::{self, How, Rules};
use crate::setup::state::{Setup, Task, existence};
use crate::sys::{acting_as, proof, working_directory};
use crate::text::{Level, MASK, Message, Result, WITHHELD, bytes_of, path_of};
use crate::value::{Element, Executables, Expanded, Template, words};

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
            let work = Work::Program(words.into_iter().map(Expanded::into_word).collect());
            setup.hook(task, &Hook { name, work, input })?;
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
                let debug =
                    || format!("{} has nothing to do: `{}` does not exist", task.who(), named.shown());
                setup.world.log.debug(debug);
                return Ok(false);
            }
            let listed_in = working_directory().unwrap_or_default();
            for file in files {
                // A file is examined where it runs, and that directory may differ from the listed one.
                setup.enter(task)?;
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
        let program = |first: Vec<OsString>, parameters: &[OsString]| {
            let path = path.clone().into_os_string();
            Work::Program(first.into_iter().chain([path]).chain(parameters.iter().cloned()).collect())
        };
        let work = match file.how {
            How::Skip(reason) => {
                let reason = if is_secret { WITHHELD } else { &reason };
                let message = format!("`{shown}` in {} is skipped: {reason}", task.who());
                let message = Message::new(Level::Warning, message).field("hook", &name);
                self.world.log.emit(&message.field("step", &task.step.label));
                return Ok(());
            }
            How::Fail(what, hint) => return Err(self.hook_failure(&name, task, &what).hint(hint)),
            How::Source { shell, options } => Work::Script(Script { shell, options, path: path.clone() }),
            How::Run => program(Vec::new(), &self.plan.parameters),
            How::RunBy(shell) => program(vec![shell], &self.plan.parameters),
            How::Interpret(interpreter) => program(interpreter, &[]),
        };
        task.prove(&path).map_err(|failure| failure.field("hook", &name))?;
        self.hook(task, &Hook { name, work, input: None })
    }
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
