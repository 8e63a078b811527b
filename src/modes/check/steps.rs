//! The steps of a walk: the needs of each kind in the image, and its effects on later steps.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use crate::modes::check::image;
use crate::modes::check::known::Value;
use crate::modes::check::walk::Walk;
use crate::plan::{self, PlanStep};
use crate::setup::steps::render::{self, Templates};
use crate::setup::{How, Rules, hook_files};
use crate::sys::{Identity, proof, read, regular_text};
use crate::text::{Level, bytes_of, escaped, quoted_path, reason};
use crate::value::{
    Facts, HINT, OnFailure, Origin, Render, Scope, Step, StepKind, Subject, Template, env_file, references,
};

#[derive(PartialEq, Eq)]
enum Skips {
    Never,
    Maybe,
    Always,
}

impl Walk<'_, '_> {
    pub(super) fn steps(&mut self, steps: &[PlanStep]) {
        let is_outer = (self.may_be_skipped, self.may_fail);
        for planned in steps.iter().filter(|planned| planned.skip.is_none()) {
            let skips = self.skips(&planned.step);
            self.may_be_skipped = is_outer.0 || skips != Skips::Never;
            self.may_fail = is_outer.1 || planned.step.on_failure == OnFailure::Warn;
            if skips != Skips::Always {
                let outer = self.known.needed.len();
                self.known.needed.extend(planned.step.when.needed());
                self.step(planned);
                self.known.needed.truncate(outer);
            }
        }
        (self.may_be_skipped, self.may_fail) = is_outer;
    }

    fn skips(&mut self, step: &Step) -> Skips {
        let mut skips = Skips::Never;
        let facts =
            Facts { variables: &self.known.variables, opaque: &self.known.opaque, exists: &read::is_there };
        for judged in step.when.judge(facts) {
            let is_fixed = match &judged.subject {
                Subject::Variable(condition) => {
                    condition.names().iter().all(|name| self.known.is_fixed(name))
                }
                // A path may be mounted at run time.
                Subject::Path(..) => false,
            };
            if !is_fixed || self.earlier {
                skips = Skips::Maybe;
            } else if judged.skips() {
                return Skips::Always;
            }
        }
        self.conditions(&step.when);
        if let Some(value) = step.once.as_ref().and_then(|once| self.path(once, "once"))
            && self.here(&value.path()).is_some_and(|marker| marker.exists())
        {
            // An earlier step can remove a file that exists now.
            skips = if value.is_fixed && !self.earlier { Skips::Always } else { Skips::Maybe };
        }
        skips
    }

    fn step(&mut self, planned: &PlanStep) {
        let step = &planned.step;
        let own = step.user.as_ref().and_then(|user| self.user(user));
        let runner = if step.user.is_some() { own.clone() } else { self.identity.clone() };
        self.values(step.once.iter().chain(&step.per));
        if let Some(key) = plan::secret_in_marker(step, &|name| self.known.is_secret(name)) {
            let marker = if key == "once" { &step.once } else { &step.per };
            let span = marker.as_ref().map_or(step.span, |marker| marker.span);
            let message = plan::secret_marker(&planned.label, key).sentence();
            self.findings.add(Level::Error, span, message, None);
        }
        match &step.kind {
            StepKind::Run { argv, stdin } => {
                self.argv(&[argv], own.as_ref());
                self.values(stdin);
                self.earlier = true;
            }
            StepKind::Hooks { path, shell, executables } => {
                let shell = self.path(shell, "shell").map_or_else(|| "sh".into(), |shell| shell.path());
                let (interpreters, executables) = (&self.image.interpreters[..], *executables);
                let rules = Rules { interpreters, shell: shell.as_os_str(), executables };
                self.hooks(path, runner.as_ref(), own.as_ref(), rules);
                self.earlier = true;
            }
            StepKind::Env(settings) => self.settings(settings, &Origin::Step(String::new())),
            StepKind::EnvFile(paths) => {
                for template in paths {
                    if let Some(value) = self.path(template, "env-file") {
                        self.env_file(&value, own.as_ref(), step.when.if_exists.contains(template));
                    }
                }
                self.known.may_be_anything = true;
            }
            StepKind::Group { during, .. } => {
                if let Some(during) = during {
                    self.argv(&[&during.argv], own.as_ref());
                    self.earlier = true;
                    during.ready.iter().for_each(|target| self.probe(target, "ready", own.as_ref()));
                }
                self.steps(&planned.steps);
            }
            StepKind::Wait(targets) => {
                for target in targets {
                    self.probe(target, "wait", own.as_ref());
                }
            }
            StepKind::Render(render) => self.render(render, runner.as_ref(), own.as_ref()),
            StepKind::Mkdir { paths, .. } => {
                for template in paths {
                    let Some(value) = self.path(template, "mkdir") else { continue };
                    self.directory(&value);
                    self.makes(&value.path());
                }
            }
            StepKind::Chown(paths) => {
                for template in paths {
                    let Some(value) = self.path(template, "chown") else { continue };
                    let path = value.path();
                    let is_missing = self.here(&path).is_some_and(|path| path.symlink_metadata().is_err());
                    if is_missing && !self.is_made(&path) && !step.when.if_exists.contains(template) {
                        let message =
                            format!("cannot change the owner of {}: it does not exist", quoted_path(&path));
                        let hint = "a run as root fails; any other run skips it";
                        self.warn(template.span, message, Some(hint));
                    }
                }
            }
        }
    }

    fn env_file(&mut self, value: &Value, own: Option<&Identity>, may_be_missing: bool) {
        let path = value.path();
        if own.is_some_and(|own| own.uid == 0)
            && let Err(reason) = proof::file(&path)
        {
            let (message, hint) = proof::refused("preverb", &path, &reason).into_parts();
            return self.wrong(value, message, hint.as_deref());
        }
        let Some(here) = self.here(&path) else { return };
        let cannot = |why: &str| format!("cannot use `env-file` {}: {why}", quoted_path(&path));
        match regular_text(&here) {
            Ok(text) => {
                if let Err((line, reason)) = env_file::parse(&text) {
                    self.wrong(value, cannot(&format!("line {line}: {reason}")), None);
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound && !may_be_missing && !self.is_made(&path) => {
                self.warn(value.span, cannot("it does not exist"), Some("it may be mounted in a run"));
            }
            Err(_) => {}
        }
    }

    fn directory(&mut self, value: &Value) {
        let path = value.path();
        if let Some(obstacle) = self.here(&path).and_then(|path| image::obstacle(&path)) {
            self.wrong(value, format!("cannot make directory {}: {obstacle}", quoted_path(&path)), None);
        }
    }

    /// Checks that the directory of a new file exists or is made by an earlier step.
    fn file(&mut self, value: &Value, runner: Option<&Identity>) {
        let Some(path) = self.here(&value.path()) else { return };
        let parent = path.parent().unwrap_or(&path).to_owned();
        if self.is_made(&parent) {
            return;
        }
        let problem = match image::directory(&parent, self.viewer(runner)) {
            Ok(true) => return,
            Ok(false) => " does not exist".to_owned(),
            Err(reason) => format!(": {reason}"),
        };
        let message = format!(
            "cannot write to {}: its directory {}{problem}",
            quoted_path(&path),
            quoted_path(&parent)
        );
        let made = escaped(bytes_of(&parent));
        let hint = format!("create it in the image, or in an earlier step: `mkdir = \"{made}\"`");
        self.wrong(value, message, Some(&hint));
    }

    fn render(&mut self, render: &Render, runner: Option<&Identity>, own: Option<&Identity>) {
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
            && let Some(source) = self.here(&from.path())
        {
            if own.is_some_and(|own| own.uid == 0)
                && let Err(reason) = proof::file(&source)
            {
                let (message, hint) = proof::refused("preverb", &source, &reason).into_parts();
                self.wrong(&from, message, hint.as_deref());
            }
            if let Some(to) = to.as_ref().filter(|_| source.is_dir()) {
                self.directory(to);
            } else if let Some(to) = to.as_ref().filter(|_| source.is_file()) {
                if self.here(&to.path()).is_some_and(|path| path.is_dir()) {
                    let message = format!("cannot write to {}: it is a directory", quoted_path(&to.path()));
                    let is_fixed = from.is_fixed && to.is_fixed;
                    self.wrong(&Value { bytes: Vec::new(), is_fixed, span: to.span }, message, None);
                }
                self.file(to, runner);
            }
            if let Some(suffix) = suffix {
                let to = to.as_ref().map(Value::path).unwrap_or_default();
                self.templates(&from, &source, &to, &suffix, &scope);
            }
        }
        if let Some(to) = to {
            self.makes(&to.path());
        }
    }

    fn templates(&mut self, from: &Value, source: &Path, to: &Path, suffix: &[u8], scope: &Scope) {
        let files = match render::find(source, to, suffix, None, &mut || Ok(())) {
            Err(_) if self.is_made(source) => return,
            Err(failure) => return self.wrong(from, failure.sentence(), None),
            Ok(Templates::Other) => {
                let message = format!("template {} is neither a file nor a directory", quoted_path(source));
                return self.wrong(from, message, None);
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
            let (references, malformed) = references(&text, scope);
            for (line, reference) in references {
                for unset in self.known.missing(&reference) {
                    if !scope.keep_unset || unset.message.is_some() {
                        let (sentence, hint) = self.known.sentence(&unset, &BTreeSet::new());
                        let message = format!("line {line} of template {}: {sentence}", quoted_path(&file));
                        self.warn(from.span, message, Some(&hint));
                    }
                }
            }
            if let Some((line, reason)) = malformed {
                let message = format!("line {line} of template {}: {reason}", quoted_path(&file));
                self.wrong(from, message, Some(HINT));
            }
        }
    }

    fn hooks(
        &mut self, directory: &Template, runner: Option<&Identity>, own: Option<&Identity>, rules: Rules<'_>,
    ) {
        let kept_root = own.is_some_and(|own| own.uid == 0);
        let Some(value) = self.path(directory, "hooks") else { return };
        let Some(path) = self.here(&value.path()) else { return };
        let list = || hook_files::hooks(&path, rules);
        // Like at run time: a directory that only root can list may contain hooks that the user can run.
        let files = match self.viewer(runner).look(list).filter(Result::is_ok).unwrap_or_else(list) {
            Ok(files) => files,
            Err(_) if self.is_made(&path) || self.viewer(runner).is_another() => return,
            Err(reason) => {
                let message = format!("hook {} cannot be read: {reason}", quoted_path(&path));
                return self.wrong(&value, message, None);
            }
        };
        let mut texts = Vec::new();
        for file in files {
            let name = quoted_path(&file.path);
            let text = regular_text(&file.path).unwrap_or_default();
            let mut lines = text.split(|byte| *byte == b'\n');
            let exports = lines.any(|line| line.trim_ascii_start().starts_with(b"export "));
            texts.push(text);
            // The program that runs the hook, and whether that program reads the hook file.
            let (program, is_read) = match &file.how {
                How::Skip(reason) => {
                    self.warn(value.span, format!("hook {name} is skipped: {reason}"), None);
                    continue;
                }
                How::Fail(what, hint) => {
                    self.wrong(&value, format!("hook {name} {what}"), Some(hint));
                    continue;
                }
                How::Run => (file.path.as_os_str(), false),
                How::Interpret(argv) => (argv.first().map_or(OsStr::new(""), |word| &**word), true),
                How::RunBy(shell) | How::Source { shell, .. } => (shell.as_os_str(), true),
            };
            if let Err((message, hint)) = self.program(value.span, program, runner, own) {
                let message = if is_read { format!("hook {name}: {message}") } else { message };
                self.wrong(&value, message, hint.as_deref());
            }
            if is_read && let Some(Err(error)) = self.viewer(runner).look(|| std::fs::File::open(&file.path))
            {
                self.wrong(&value, format!("hook {name} cannot be read: {}", reason(&error)), None);
            }
            if kept_root && let Err(reason) = proof::file(&file.path) {
                let message = format!("hook {name} does not run as root: {reason:#}");
                self.wrong(&value, message, Some(proof::RULE));
            }
            if rules.runs(&file) && exports {
                let message = format!("hook {name} is run, not sourced, so its exports are lost");
                let hint = "to have it sourced, name it `*.envsh` or remove its execute permission";
                self.warn(value.span, message, Some(hint));
            }
        }
        self.known.hooks.extend(texts);
    }
}
