//! The steps of a walk: the needs of each kind in the image, and its effects on later steps.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::modes::check::image;
use crate::modes::check::known::Value;
use crate::modes::check::walk::Walk;
use crate::plan::{self, PlanStep};
use crate::setup::steps::render::{self, Templates};
use crate::setup::{How, Rules, hook_files};
use crate::sys::{program_of, proof, read, regular_text};
use crate::text::{Level, bytes_of, escaped, quoted_path, reason};
use crate::value::{
    Facts, HINT, OnFailure, Origin, Render, Scope, Step, StepKind, Subject, Template, env_file, references,
};

impl Walk<'_, '_> {
    pub(super) fn steps(&mut self, steps: &[PlanStep]) {
        for planned in steps.iter().filter(|planned| planned.skip.is_none()) {
            let (outer, needed) = (self.now.clone(), self.known.needed.len());
            if self.may_run(&planned.step) {
                self.known.needed.extend(planned.step.when.needed());
                self.step(planned);
                self.known.needed.truncate(needed);
            }
            self.now = outer;
        }
    }

    /// Whether there are runs that do not skip this step, and notes whether others do, or ignore its failure.
    fn may_run(&mut self, step: &Step) -> bool {
        let mut may_be_skipped = false;
        let facts =
            Facts { variables: &self.known.variables, opaque: &self.known.opaque, exists: &read::is_there };
        for judged in step.when.judge(facts) {
            // A path may be mounted at run time.
            let is_fixed = matches!(&judged.subject, Subject::Variable(condition)
                if condition.names().iter().all(|name| self.known.fixed.contains(*name)));
            if !is_fixed || self.earlier {
                may_be_skipped = true;
            } else if judged.skips() {
                return false;
            }
        }
        self.conditions(&step.when);
        self.now.may_be_skipped |= may_be_skipped;
        self.now.may_fail |= step.on_failure == OnFailure::Warn;
        if let Some(value) = step.once.as_ref().and_then(|once| self.path(once, "once"))
            && self.here(value.path()).is_some_and(|marker| marker.exists())
        {
            // An earlier step can remove a file that exists now.
            if value.is_fixed && !self.earlier {
                return false;
            }
            self.now.may_be_skipped = true;
        }
        true
    }

    fn step(&mut self, planned: &PlanStep) {
        let step = &planned.step;
        if let Some(user) = &step.user {
            self.now.runner = self.user(user);
            self.now.is_roots = self.now.runner.as_ref().is_some_and(|user| user.uid == 0);
        }
        self.values(&step.per);
        if let Some(key) = plan::secret_in_marker(step, &|name| self.known.is_secret(name)) {
            let marker = if key == "once" { &step.once } else { &step.per };
            let span = marker.as_ref().map_or(step.span, |marker| marker.span);
            let message = plan::secret_marker(&planned.label, key).sentence();
            self.findings.add(Level::Error, span, message, None);
        }
        match &step.kind {
            StepKind::Run { argv, stdin } => {
                self.argv(&[argv]);
                self.values(stdin);
                self.earlier = true;
            }
            StepKind::Hooks { path, shell, executables } => {
                let shell = self.path(shell, "shell").map_or_else(|| "sh".into(), |shell| shell.bytes);
                let (interpreters, executables) = (&self.image.interpreters[..], *executables);
                self.hooks(path, Rules { interpreters, shell: OsStr::from_bytes(&shell), executables });
                self.earlier = true;
            }
            StepKind::Env(settings) => self.settings(settings, &Origin::Step(String::new())),
            StepKind::EnvFile(paths) => {
                for template in paths {
                    if let Some(value) = self.path(template, "env-file") {
                        self.env_file(&value, step.when.if_exists.contains(template));
                    }
                }
                self.known.may_be_anything = true;
            }
            StepKind::Group { during, .. } => {
                if let Some(during) = during {
                    self.argv(&[&during.argv]);
                    self.earlier = true;
                    during.ready.iter().for_each(|target| self.probe(target, "ready"));
                }
                self.steps(&planned.steps);
            }
            StepKind::Wait(targets) => targets.iter().for_each(|target| self.probe(target, "wait")),
            StepKind::Render(render) => self.render(render),
            StepKind::Mkdir { paths, .. } => {
                for template in paths {
                    if let Some(value) = self.path(template, "mkdir") {
                        self.directory(&value);
                        self.makes(value.path());
                    }
                }
            }
            StepKind::Chown(paths) => {
                for template in paths {
                    let Some(value) = self.path(template, "chown") else { continue };
                    let path = value.path();
                    let is_missing = self.here(path).is_some_and(|path| path.symlink_metadata().is_err());
                    if is_missing && !self.is_made(path) && !step.when.if_exists.contains(template) {
                        let message =
                            format!("cannot change the owner of {}: it does not exist", quoted_path(path));
                        let hint = "a run as root fails; any other run skips it";
                        self.warn(template.span, message, Some(hint));
                    }
                }
            }
        }
    }

    /// Whether the current step may read a file. Root may only read its own, in a step that names root.
    fn may_read(&mut self, value: &Value, path: &Path) -> bool {
        let proved = if self.now.is_roots { proof::file(path) } else { Ok(()) };
        let refused = proved.map_err(|reason| proof::refused("preverb", path, &reason));
        refused.map_err(|failure| self.refused(value, failure.into_parts())).is_ok()
    }

    fn env_file(&mut self, value: &Value, may_be_missing: bool) {
        let path = value.path();
        let Some(here) = self.here(path).filter(|_| self.may_read(value, path)) else { return };
        let cannot = |why: &str| format!("cannot use `env-file` {}: {why}", quoted_path(path));
        match regular_text(&here) {
            Ok(text) => {
                if let Err((line, reason)) = env_file::parse(&text) {
                    self.wrong(value, cannot(&format!("line {line}: {reason}")));
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound && !may_be_missing && !self.is_made(path) => {
                self.warn(value.span, cannot("it does not exist"), Some("it may be mounted in a run"));
            }
            Err(_) => {}
        }
    }

    fn directory(&mut self, value: &Value) {
        let path = value.path();
        if let Some(obstacle) = self.here(path).and_then(|path| image::obstacle(&path)) {
            self.wrong(value, format!("cannot make directory {}: {obstacle}", quoted_path(path)));
        }
    }

    /// Checks that the directory of a new file exists or is made by an earlier step.
    fn file(&mut self, value: &Value) {
        let Some(path) = self.here(value.path()) else { return };
        let parent = path.parent().unwrap_or(&path);
        if self.is_made(parent) {
            return;
        }
        let problem = match image::directory(parent, self.viewer()) {
            Ok(true) => return,
            Ok(false) => " does not exist".to_owned(),
            Err(reason) => format!(": {reason}"),
        };
        let (shown, directory) = (quoted_path(&path), quoted_path(parent));
        let message = format!("cannot write to {shown}: its directory {directory}{problem}");
        let made = escaped(bytes_of(parent));
        let hint = format!("create it in the image, or in an earlier step: `mkdir = \"{made}\"`");
        self.refused(value, (message, Some(hint)));
    }

    fn render(&mut self, render: &Render) {
        let to = self.path(&render.to, "to");
        let from = self.path(&render.from, "render");
        let suffix = match &render.suffix {
            Some(suffix) => self.value(suffix).map(|suffix| suffix.bytes),
            None => Some(render::SUFFIX.into()),
        };
        let mut only = Vec::new();
        for pattern in render.only.iter().flatten() {
            only.extend(self.value(pattern).map(|pattern| pattern.bytes));
        }
        let scope = Scope { only: render.only.as_ref().map(|_| only), keep_unset: render.keep_unset };
        if let Some(from) = from
            && let Some(source) = self.here(from.path())
        {
            self.may_read(&from, &source);
            if let Some(to) = to.as_ref().filter(|_| source.is_dir()) {
                self.directory(to);
            } else if let Some(to) = to.as_ref().filter(|_| source.is_file()) {
                if self.here(to.path()).is_some_and(|path| path.is_dir()) {
                    let message = format!("cannot write to {}: it is a directory", quoted_path(to.path()));
                    let is_fixed = from.is_fixed && to.is_fixed;
                    self.wrong(&Value { bytes: Vec::new(), is_fixed, span: to.span }, message);
                }
                self.file(to);
            }
            if let Some(suffix) = suffix {
                let to = to.as_ref().map_or(Path::new(""), Value::path);
                self.templates(&from, &source, to, &suffix, &scope);
            }
        }
        if let Some(to) = to {
            self.makes(to.path());
        }
    }

    fn templates(&mut self, from: &Value, source: &Path, to: &Path, suffix: &[u8], scope: &Scope) {
        let files = match render::find(source, to, suffix, None, &mut || Ok(())) {
            Err(_) if self.is_made(source) => return,
            Err(failure) => return self.wrong(from, failure.sentence()),
            Ok(Templates::Other) => {
                let source = quoted_path(source);
                return self.wrong(from, format!("template {source} is neither a file nor a directory"));
            }
            Ok(Templates::Tree(files)) if files.is_empty() => {
                let message = format!("there is no `*{}` in {}", escaped(suffix), quoted_path(source));
                return self.warn(from.span, message, None);
            }
            Ok(Templates::File) => vec![source.to_owned()],
            Ok(Templates::Tree(files)) => files.into_iter().map(|file| source.join(file)).collect(),
            Ok(Templates::Missing) => return,
        };
        for file in files {
            let Ok(text) = regular_text(&file) else { continue };
            let at =
                |line: usize, what: &str| format!("line {line} of template {}: {what}", quoted_path(&file));
            let (references, malformed) = references(&text, scope);
            for (line, reference) in references {
                for unset in self.known.missing(&reference) {
                    if !scope.keep_unset || unset.message.is_some() {
                        let (sentence, hint) = self.known.sentence(&unset, false);
                        self.warn(from.span, at(line, &sentence), Some(&hint));
                    }
                }
            }
            if let Some((line, reason)) = malformed {
                self.refused(from, (at(line, &reason), Some(HINT.to_owned())));
            }
        }
    }

    fn hooks(&mut self, directory: &Template, rules: Rules<'_>) {
        let Some(value) = self.path(directory, "hooks") else { return };
        let Some(path) = self.here(value.path()) else { return };
        let list = || hook_files::hooks(&path, rules);
        // Like at run time: a directory that only root can list may contain hooks that the user can run.
        let files = match self.viewer().look(list).filter(Result::is_ok).unwrap_or_else(list) {
            Ok(files) => files,
            Err(_) if self.is_made(&path) || self.viewer().is_another() => return,
            Err(reason) => {
                return self.wrong(&value, format!("hook {} cannot be read: {reason}", quoted_path(&path)));
            }
        };
        for file in files {
            let name = quoted_path(&file.path);
            let text = regular_text(&file.path).unwrap_or_default();
            let mut lines = text.split(|byte| *byte == b'\n');
            let exports = lines.any(|line| line.trim_ascii_start().starts_with(b"export "));
            self.known.hooks.push(text);
            // The program that runs the hook, and whether that program reads the hook file.
            let (program, is_read) = match &file.how {
                How::Skip(reason) => {
                    self.warn(value.span, format!("hook {name} is skipped: {reason}"), None);
                    continue;
                }
                How::Fail(what, hint) => {
                    self.refused(&value, (format!("hook {name} {what}"), Some((*hint).to_owned())));
                    continue;
                }
                How::Run => (file.path.as_os_str(), false),
                How::Interpret(argv) => (program_of(argv), true),
                How::RunBy(shell) | How::Source { shell, .. } => (shell.as_os_str(), true),
            };
            if let Err((message, hint)) = self.program(value.span, program) {
                let message = if is_read { format!("hook {name}: {message}") } else { message };
                self.refused(&value, (message, hint));
            }
            if is_read && let Some(Err(error)) = self.viewer().look(|| std::fs::File::open(&file.path)) {
                self.wrong(&value, format!("hook {name} cannot be read: {}", reason(&error)));
            }
            if self.now.is_roots
                && let Err(reason) = proof::file(&file.path)
            {
                let message = format!("hook {name} does not run as root: {reason:#}");
                self.refused(&value, (message, Some(proof::RULE.to_owned())));
            }
            if rules.runs(&file) && exports {
                let message = format!("hook {name} is run, not sourced, so its exports are lost");
                let hint = "to have it sourced, name it `*.envsh` or remove its execute permission";
                self.warn(value.span, message, Some(hint));
            }
        }
    }
}
