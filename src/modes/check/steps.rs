//! The steps of a walk: what each kind needs of the image, and what it leaves to the steps after it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::modes::check::image;
use crate::modes::check::known::Value;
use crate::modes::check::walk::{Walk, path, placed, shown};
use crate::plan;
use crate::setup::hook_files::{self, How, Rules};
use crate::setup::steps::templates::{self, Templates, Trouble};
use crate::sys::identity::Identity;
use crate::sys::{proof, read};
use crate::text::escape::escaped;
use crate::text::log::Level;
use crate::text::reason::reason;
use crate::value::condition::{Facts, Subject};
use crate::value::step::{Executables, Probe, Render, Step, StepKind};
use crate::value::template::Template;
use crate::value::text::{HINT, Malformed, Scope, references};
use crate::value::toml::{Node, Shape, Span};
use crate::value::variables::Origin;

/// Whether a run skips a step.
#[derive(PartialEq, Eq)]
enum Skips {
    Never,
    Maybe,
    Always,
}

impl Walk<'_, '_> {
    /// The steps of a list, those of them that are for this run; the list as it is written gives their
    /// places.
    pub(super) fn steps(&mut self, steps: &[Step], list: Option<Node<'_>>, applies: &dyn Fn(&Step) -> bool) {
        let nodes: Vec<Node<'_>> = list.into_iter().flat_map(Node::children).collect();
        let is_outer = self.may_be_skipped;
        for step in steps.iter().filter(|step| applies(step)) {
            let is_its = |node: &&Node<'_>| node.children().any(|child| child.key_span() == step.span);
            let Some(node) = nodes.iter().find(is_its) else { continue };
            let skips = self.skips(step, *node);
            self.may_be_skipped = is_outer || skips != Skips::Never;
            if skips != Skips::Always {
                let outer = self.known.needed.len();
                self.known.needed.extend(step.when.needed());
                self.step(step, *node, applies);
                self.known.needed.truncate(outer);
            }
        }
        self.may_be_skipped = is_outer;
    }

    /// Whether the conditions or the marker of `once` keep a step from running.
    fn skips(&mut self, step: &Step, node: Node<'_>) -> Skips {
        let mut skips = Skips::Never;
        let facts =
            Facts { variables: &self.known.variables, opaque: &self.known.opaque, exists: &read::is_there };
        for judged in step.when.judge(facts) {
            let is_fixed = match &judged.subject {
                Subject::Variable(condition) => {
                    condition.names().iter().all(|name| self.known.is_fixed(name))
                }
                // Something may be mounted.
                Subject::Path(..) => false,
            };
            if !is_fixed || self.earlier {
                skips = Skips::Maybe;
            } else if judged.skips() {
                return Skips::Always;
            }
        }
        self.conditions(&step.when, node);
        if let (Some(once), Some(node)) = (&step.once, node.get("once"))
            && let Some(value) = self.value(once, node.span())
            && self.here(&path(&value)).is_some_and(|marker| marker.exists())
        {
            // What is there now an earlier step can take away.
            skips = if value.is_fixed && !self.earlier { Skips::Always } else { Skips::Maybe };
        }
        skips
    }

    fn step(&mut self, step: &Step, node: Node<'_>, applies: &dyn Fn(&Step) -> bool) {
        let span_of = |key: &str| node.get(key).map_or(step.span, Node::span);
        let own = step.user.as_ref().and_then(|user| self.user(user, span_of("user")));
        let doer = if step.user.is_some() { own.clone() } else { self.identity.clone() };
        for (key, template) in [("once", &step.once), ("per", &step.per)] {
            if let Some(template) = template {
                self.value(template, span_of(key));
            }
        }
        if let Some(key) = plan::secret_in_marker(step, &|name| self.known.is_secret(name)) {
            let failure = plan::secret_marker(&plan::label(step), key);
            self.add(Level::Error, span_of(key), failure.into_parts());
        }
        match &step.kind {
            StepKind::Run { argv, stdin } => {
                self.argv([node.get("run").map(|node| (&**argv, node)), None, None], own.as_ref());
                if let Some(stdin) = stdin {
                    self.value(stdin, span_of("stdin"));
                }
                self.earlier = true;
            }
            StepKind::Hooks { path: directory, shell, executables } => {
                let kept_root = own.as_ref().is_some_and(|identity| identity.uid == 0);
                let rules = Rules {
                    interpreters: &self.image.interpreters,
                    shell: shell.as_deref().unwrap_or(hook_files::SHELL),
                    runs_executables: *executables == Executables::Run,
                };
                self.hooks(directory, span_of("hooks"), doer.as_ref(), kept_root, rules);
                self.earlier = true;
            }
            StepKind::Env(settings) => self.settings(settings, &Origin::Step(String::new())),
            StepKind::EnvFile(paths) => {
                for (template, span) in placed(paths, node.get("env-file")) {
                    self.value(template, span);
                }
                self.known.may_be_anything = true;
            }
            StepKind::Group { steps, during } => {
                if let Some(during) = during {
                    let argv = node.get("during").map(|node| (&*during.argv, node));
                    self.argv([argv, None, None], own.as_ref());
                    self.earlier = true;
                    self.probes(&during.ready, node, "ready");
                }
                let steps: Vec<Step> = steps.iter().map(|each| each.for_user(step.user.as_ref())).collect();
                self.steps(&steps, node.get("setup"), applies);
            }
            StepKind::Wait(targets) => self.probes(targets, node, "wait"),
            StepKind::Render(render) => self.render(render, node, step.span, doer.as_ref()),
            StepKind::Mkdir { paths, .. } => {
                for (template, span) in placed(paths, node.get("mkdir")) {
                    let Some(value) = self.value(template, span) else { continue };
                    self.directory(&value, span);
                    self.makes(&path(&value));
                }
            }
            StepKind::Chown(paths) => {
                for (template, span) in placed(paths, node.get("chown")) {
                    let Some(value) = self.value(template, span) else { continue };
                    let path = path(&value);
                    let is_missing = self.here(&path).is_some_and(|path| path.symlink_metadata().is_err());
                    if is_missing && !self.is_made(&path) && !step.when.if_exists.contains(template) {
                        let message = format!("cannot give {} away: it does not exist", shown(&path));
                        self.warn(
                            span,
                            message,
                            Some("a run as root fails; any other passes it over".to_owned()),
                        );
                    }
                }
            }
        }
    }

    fn probes(&mut self, targets: &[Probe], node: Node<'_>, key: &str) {
        let Some(node) = node.get(key) else { return };
        let items = if node.shape() == Shape::Array { node.children() } else { vec![node].into_iter() };
        // Where a target was wrong, the rest cannot be matched with what is written.
        if items.len() == targets.len() {
            for (target, item) in targets.iter().zip(items) {
                self.probe(target, item, key);
            }
        }
    }

    /// A directory that is made unless it is there.
    fn directory(&mut self, value: &Value, span: Span) {
        let path = path(value);
        if let Some(obstacle) = self.here(&path).and_then(|path| image::obstacle(&path)) {
            let message = format!("cannot make directory {}: {obstacle}", shown(&path));
            self.add(self.level(value.is_fixed), span, (message, None));
        }
    }

    /// A file that is made: its directory must be there, or be made before.
    fn file(&mut self, value: &Value, span: Span, doer: Option<&Identity>) {
        let Some(path) = self.here(&path(value)) else { return };
        let parent = image::parent(&path);
        if self.is_made(&parent) {
            return;
        }
        let problem = match image::directory(&parent, self.who(doer)) {
            Ok(true) => return,
            Ok(false) => " does not exist".to_owned(),
            Err(reason) => format!(": {reason}"),
        };
        let message = format!("cannot write to {}: its directory {}{problem}", shown(&path), shown(&parent));
        let made = escaped(parent.as_os_str().as_bytes());
        let hint = format!("make it in the image, or by a step before: `mkdir = \"{made}\"`");
        self.add(self.level(value.is_fixed), span, (message, Some(hint)));
    }

    fn render(&mut self, render: &Render, node: Node<'_>, span: Span, doer: Option<&Identity>) {
        let span_of = |key: &str| node.get(key).map_or(span, Node::span);
        let (span, to_span) = (span_of("render"), span_of("to"));
        let to = self.value(&render.to, to_span);
        let from = self.value(&render.from, span);
        let suffix = match &render.suffix {
            Some(suffix) => self.value(suffix, span_of("suffix")).map(|suffix| suffix.bytes),
            None => Some(templates::SUFFIX.into()),
        };
        let mut only = Vec::new();
        for (pattern, span) in placed(render.only.as_deref().unwrap_or_default(), node.get("only")) {
            only.extend(self.value(pattern, span).map(|pattern| pattern.bytes));
        }
        let scope = Scope { only: render.only.as_ref().map(|_| only), keep_unset: render.keep_unset };
        let source = from.as_ref().and_then(|from| self.here(&path(from)));
        if let (Some(to), Some(from), Some(source)) = (&to, &from, &source) {
            if source.is_dir() {
                self.directory(to, to_span);
            } else if source.is_file() {
                if self.here(&path(to)).is_some_and(|path| path.is_dir()) {
                    let message = format!("cannot write to {}: it is a directory", shown(&path(to)));
                    self.add(self.level(from.is_fixed && to.is_fixed), to_span, (message, None));
                }
                self.file(to, to_span, doer);
            }
        }
        if let (Some(from), Some(source), Some(suffix)) = (&from, &source, suffix) {
            let to = to.as_ref().map(path).unwrap_or_default();
            let level = self.level(from.is_fixed);
            match templates::find(source, &to, &suffix, &mut || Ok(())) {
                Err(_) if self.is_made(source) => {}
                Err(Trouble::At(path, refusal)) => {
                    let message = format!("cannot read template {}: {refusal}", shown(&path));
                    self.add(level, span, (message, None));
                }
                Ok(Templates::Other) => {
                    let message = format!("template {} is not a file and not a directory", shown(source));
                    self.add(level, span, (message, None));
                }
                Ok(Templates::Tree(files)) if files.is_empty() => {
                    self.warn(
                        span,
                        format!("there is no `*{}` in {}", escaped(&suffix), shown(source)),
                        None,
                    );
                }
                Ok(Templates::File) => self.template(source, &scope, level, span),
                Ok(Templates::Tree(files)) => {
                    for file in files {
                        self.template(&source.join(file), &scope, level, span);
                    }
                }
                Ok(Templates::Missing) | Err(Trouble::Ended(_)) => {}
            }
        }
        if let Some(to) = to {
            self.makes(&path(&to));
        }
    }

    /// The `${...}` of a template.
    fn template(&mut self, file: &Path, scope: &Scope, level: Level, span: Span) {
        let Ok(text) = std::fs::read(file) else { return };
        let (references, malformed) = references(&text, scope);
        for (line, reference) in references {
            for unset in self.known.missing(&reference) {
                if scope.keep_unset && unset.message.is_none() {
                    continue;
                }
                let (sentence, hint) = self.known.sentence(&unset);
                self.warn(span, format!("line {line} of template {}: {sentence}", shown(file)), Some(hint));
            }
        }
        if let Some(Malformed { line, reason }) = malformed {
            let message = format!("line {line} of template {}: {reason}", shown(file));
            self.add(level, span, (message, Some(HINT.to_owned())));
        }
    }

    fn hooks(
        &mut self,
        directory: &Template,
        span: Span,
        doer: Option<&Identity>,
        kept_root: bool,
        rules: Rules<'_>,
    ) {
        let Some(value) = self.value(directory, span) else { return };
        let Some(path) = self.here(&path(&value)) else { return };
        let level = self.level(value.is_fixed);
        let list = || hook_files::hooks(&path, rules);
        // As at run time: a directory that only root may list can hold what its user may run.
        let files = match self.who(doer).look(list).filter(Result::is_ok).unwrap_or_else(list) {
            Ok(files) => files,
            Err(_) if self.is_made(&path) => return,
            Err(reason) => {
                self.add(level, span, (format!("hook {} cannot be read: {reason}", shown(&path)), None));
                return;
            }
        };
        let mut texts = Vec::new();
        for file in files {
            let name = shown(&file.path);
            let text = std::fs::read(&file.path).unwrap_or_default();
            let mut lines = text.split(|byte| *byte == b'\n');
            let exports = lines.any(|line| line.trim_ascii_start().starts_with(b"export "));
            texts.push(text);
            // What runs it, and whether that reads it.
            let (program, is_read) = match &file.how {
                How::Skip(reason) => {
                    self.warn(span, format!("hook {name} is skipped: {reason}"), None);
                    continue;
                }
                How::Fail(what, hint) => {
                    self.add(level, span, (format!("hook {name} {what}"), Some(hint.clone())));
                    continue;
                }
                How::Run => (file.path.as_os_str(), false),
                How::Interpret(argv) => (argv.first().map_or(OsStr::new(""), OsStr::new), true),
                How::RunBy(shell) | How::Source { shell, .. } => (shell.as_os_str(), true),
            };
            if let Err((message, hint)) = self.program(program, doer) {
                let message = if is_read { format!("hook {name}: {message}") } else { message };
                self.add(level, span, (message, hint));
            }
            if is_read && let Some(Err(error)) = self.who(doer).look(|| std::fs::File::open(&file.path)) {
                self.add(level, span, (format!("hook {name} cannot be read: {}", reason(&error)), None));
            }
            if kept_root && let Err(reason) = proof::file(&file.path) {
                let message = format!("hook {name} does not run as root: {reason}");
                self.add(level, span, (message, Some(proof::RULE.to_owned())));
            }
            if rules.runs(&file) && exports {
                let message = format!("hook {name} is run, and what it exports is gone with it");
                let hint = "call it `*.envsh`, or make it not executable, to have it sourced".to_owned();
                self.warn(span, message, Some(hint));
            }
        }
        self.known.hooks.extend(texts);
    }
}
