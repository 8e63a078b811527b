//! The steps of a walk, each kind by itself: what it needs of the image, and what it leaves to the steps
//! after it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::walk::{Walk, path, shown};
use crate::modes::check::findings::Weight;
use crate::modes::check::image;
use crate::modes::check::image::Directory;
use crate::modes::check::known::{Sure, Value};
use crate::plan;
use crate::setup::hook_files;
use crate::setup::hook_files::{How, Rules};
use crate::setup::steps::templates::{self, Templates, Trouble};
use crate::sys::identity::Identity;
use crate::sys::proof;
use crate::text::escape::escaped;
use crate::text::reason::reason;
use crate::value::step::{Executables, Probe, Render, Step, StepKind};
use crate::value::template::Template;
use crate::value::text::{HINT, Malformed, Scope, references};
use crate::value::toml::{Node, Shape, Span};
use crate::value::variables::Origin;

impl Walk<'_, '_> {
    /// The steps of a list, those of them that are for this run; the list as it is written gives their
    /// places.
    pub(super) fn steps(&mut self, steps: &[Step], list: Option<Node<'_>>, applies: &dyn Fn(&Step) -> bool) {
        let nodes: Vec<Node<'_>> = list.into_iter().flat_map(Node::children).collect();
        let is_outer = self.may_be_skipped;
        for step in steps.iter().filter(|step| applies(step)) {
            let is_its = |node: &&Node<'_>| node.children().any(|child| child.key_span() == step.span);
            let Some(node) = nodes.iter().find(is_its) else { continue };
            let skipped = self.skipped(step, *node);
            self.may_be_skipped = is_outer || skipped.is_some();
            if skipped != Some(Sure::Fixed) {
                let outer = self.known.needed.len();
                self.known.needed.extend(step.when.needed());
                self.step(step, *node, applies);
                self.known.needed.truncate(outer);
            }
        }
        self.may_be_skipped = is_outer;
    }

    /// Whether `skip-if` or the marker of `once` keeps a step from running, and how sure that is.
    fn skipped(&mut self, step: &Step, node: Node<'_>) -> Option<Sure> {
        let mut skipped = None;
        for judged in self.judged(&step.when) {
            match judged {
                (Sure::Fixed, true) => return Some(Sure::Fixed),
                (Sure::Fixed, false) => {}
                (Sure::Likely, _) => skipped = Some(Sure::Likely),
            }
        }
        self.conditions(&step.when, node);
        if let (Some(once), Some(node)) = (&step.once, node.get("once"))
            && let Ok(value) = self.value(once, node.span())
            && self.here(path(&value)).is_some_and(|marker| marker.exists())
        {
            // What is there now an earlier step can take away.
            skipped = Some(if self.earlier { Sure::Likely } else { value.sure });
        }
        skipped
    }

    fn step(&mut self, step: &Step, node: Node<'_>, applies: &dyn Fn(&Step) -> bool) {
        let span_of = |key: &str| node.get(key).map_or(step.span, Node::span);
        let own = step.user.as_ref().and_then(|user| self.user(user, span_of("user")));
        let doer = own.clone().or_else(|| if step.user.is_some() { None } else { self.identity.clone() });
        for (key, template) in [("once", &step.once), ("per", &step.per)] {
            if let Some(template) = template {
                let _ = self.value(template, span_of(key));
            }
        }
        if let Some(key) = plan::secret_in_marker(step, |name| self.known.is_secret(name)) {
            let failure = plan::secret_marker(&plan::label(step), key);
            self.add(Weight::Error, span_of(key), failure.into_parts());
        }
        match &step.kind {
            StepKind::Run { argv, stdin } => {
                if let Some(node) = node.get("run") {
                    self.program_and_arguments(argv, node, own.as_ref());
                }
                if let (Some(stdin), Some(node)) = (stdin, node.get("stdin")) {
                    let _ = self.value(stdin, node.span());
                }
                self.earlier = true;
            }
            StepKind::Hooks { path: directory, shell, executables } => {
                let kept_root = own.as_ref().is_some_and(|identity| identity.uid == 0);
                let interpreters = self.interpreters.clone();
                let rules = Rules {
                    interpreters: &interpreters,
                    shell: shell.as_deref().unwrap_or(hook_files::SHELL),
                    runs_executables: *executables == Executables::Run,
                };
                self.hooks(directory, span_of("hooks"), doer.as_ref(), kept_root, rules);
                self.earlier = true;
            }
            StepKind::Env(settings) => {
                self.settings(settings);
                let origin = Origin::Step(String::new());
                self.known.set_all(settings, &origin, self.may_be_skipped, self.findings);
            }
            StepKind::EnvFile(paths) => {
                for (template, span) in spans(paths, node.get("env-file"), step.span) {
                    let _ = self.value(template, span);
                }
                self.known.may_be_anything = true;
            }
            StepKind::Group { steps, during } => {
                if let (Some(during), Some(node)) = (during, node.get("during")) {
                    self.program_and_arguments(&during.argv, node, own.as_ref());
                    self.earlier = true;
                }
                if let (Some(during), Some(node)) = (during, node.get("ready")) {
                    self.probes(&during.ready, node, "ready");
                }
                let steps: Vec<Step> = steps.iter().map(|each| each.for_user(step.user.as_ref())).collect();
                self.steps(&steps, node.get("setup"), applies);
            }
            StepKind::Wait(targets) => {
                if let Some(node) = node.get("wait") {
                    self.probes(targets, node, "wait");
                }
            }
            StepKind::Render(render) => self.render(render, node, step.span, doer.as_ref()),
            StepKind::Mkdir { paths, .. } => {
                for (template, span) in spans(paths, node.get("mkdir"), step.span) {
                    let Ok(value) = self.value(template, span) else { continue };
                    let path = path(&value);
                    if let Some(obstacle) = self.here(path.clone()).and_then(|path| image::obstacle(&path)) {
                        let message = format!("cannot make directory {}: {obstacle}", shown(&path));
                        self.add(self.weight(value.sure), span, (message, None));
                    }
                    self.makes(&path);
                }
            }
            StepKind::Chown(paths) => {
                for (template, span) in spans(paths, node.get("chown"), step.span) {
                    let Ok(value) = self.value(template, span) else { continue };
                    let path = path(&value);
                    if step.when.if_exists.contains(template) {
                        continue;
                    }
                    let is_missing = |path: PathBuf| path.symlink_metadata().is_err();
                    if self.here(path.clone()).is_some_and(is_missing) && !self.is_made(&path) {
                        let message = format!("cannot give {} away: it does not exist", shown(&path));
                        let hint = "a run as root fails; any other passes it over".to_owned();
                        self.add(Weight::Warning, span, (message, Some(hint)));
                    }
                }
            }
        }
    }

    fn probes(&mut self, targets: &[Probe], node: Node<'_>, key: &str) {
        let many = node.shape() == Shape::Array;
        let items: Vec<Node<'_>> = if many { node.children().collect() } else { vec![node] };
        // Where a target was wrong, the rest cannot be matched with what is written.
        if items.len() == targets.len() {
            for (target, item) in targets.iter().zip(items) {
                self.probe(target, item, key);
            }
        }
    }

    /// Whether a file can be made there: its directory must be, or be made before.
    fn place_for(&mut self, path: &Path, value: &Value, span: Span, doer: Option<&Identity>) {
        let Some(path) = self.here(path.to_owned()) else { return };
        let parent = image::parent(&path);
        if self.is_made(&parent) {
            return;
        }
        let problem = match image::directory(&parent, self.who(doer)) {
            Directory::There => return,
            Directory::Missing => format!("its directory {} does not exist", shown(&parent)),
            Directory::Refused(reason) => format!("its directory {}: {reason}", shown(&parent)),
        };
        let made = escaped(parent.as_os_str().as_bytes());
        let hint = format!("make it in the image, or by a step before: `mkdir = \"{made}\"`");
        let message = format!("cannot write to {}: {problem}", shown(&path));
        self.add(self.weight(value.sure), span, (message, Some(hint)));
    }

    fn render(&mut self, render: &Render, node: Node<'_>, span: Span, doer: Option<&Identity>) {
        let span_of = |key: &str| node.get(key).map_or(span, Node::span);
        let (span, to_span) = (span_of("render"), span_of("to"));
        let to = self.value(&render.to, to_span).ok();
        let from = self.value(&render.from, span).ok();
        let suffix = match &render.suffix {
            Some(suffix) => self.value(suffix, span_of("suffix")).ok().map(|suffix| suffix.bytes),
            None => Some(templates::SUFFIX.into()),
        };
        let mut only = Vec::new();
        for (pattern, span) in spans(render.only.as_deref().unwrap_or_default(), node.get("only"), span) {
            only.extend(self.value(pattern, span).ok().map(|pattern| pattern.bytes));
        }
        let scope = Scope { only: render.only.as_ref().map(|_| only), keep_unset: render.keep_unset };
        let source = from.as_ref().map(path).and_then(|path| self.here(path));
        let many = source.as_ref().is_some_and(|path| path.is_dir());
        if let Some(to) = &to {
            let destination = path(to);
            let is_file = source.as_ref().is_some_and(|path| path.is_file());
            if let (Some(from), true) = (&from, is_file)
                && self.here(destination.clone()).is_some_and(|path| path.is_dir())
            {
                let sure = if from.sure == Sure::Fixed { to.sure } else { from.sure };
                let message = format!("cannot write to {}: it is a directory", shown(&destination));
                self.add(self.weight(sure), to_span, (message, None));
            }
            if is_file {
                self.place_for(&destination, to, to_span, doer);
            } else if let Some(obstacle) =
                self.here(destination).filter(|_| many).and_then(|path| image::obstacle(&path))
            {
                let message = format!("cannot make directory {}: {obstacle}", shown(&path(to)));
                self.add(self.weight(to.sure), to_span, (message, None));
            }
        }
        if let (Some(from), Some(source), Some(suffix)) = (&from, &source, suffix) {
            let to = to.as_ref().map(path).unwrap_or_default();
            let weight = self.weight(from.sure);
            match templates::find(source, &to, &suffix, &mut || Ok(())) {
                Err(_) if self.is_made(source) => {}
                Err(Trouble::At(path, refusal)) => {
                    let message = format!("cannot read template {}: {refusal}", shown(&path));
                    self.add(weight, span, (message, None));
                }
                Ok(Templates::Other) => {
                    let message = format!("template {} is not a file and not a directory", shown(source));
                    self.add(weight, span, (message, None));
                }
                Ok(Templates::Tree(files)) if files.is_empty() => {
                    let suffix = escaped(&suffix);
                    let message = format!("there is no `*{suffix}` in {}", shown(source));
                    self.findings.add(Weight::Warning, span, message, None);
                }
                Ok(Templates::File(_)) => self.template(source, &scope, weight, span),
                Ok(Templates::Tree(files)) => {
                    for file in files {
                        self.template(&source.join(file), &scope, weight, span);
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
    fn template(&mut self, file: &Path, scope: &Scope, weight: Weight, span: Span) {
        let Ok(text) = std::fs::read(file) else { return };
        let (references, malformed) = references(&text, scope);
        for (line, reference) in references {
            for unset in self.known.missing(&reference) {
                if scope.keep_unset && unset.message.is_none() {
                    continue;
                }
                let (sentence, hint) = self.known.sentence(&unset);
                let message = format!("line {line} of template {}: {sentence}", shown(file));
                self.add(Weight::Warning, span, (message, Some(hint)));
            }
        }
        if let Some(Malformed { line, reason }) = malformed {
            let message = format!("line {line} of template {}: {reason}", shown(file));
            self.add(weight, span, (message, Some(HINT.to_owned())));
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
        let Ok(value) = self.value(directory, span) else { return };
        let Some(path) = self.here(path(&value)) else { return };
        let heavy = self.weight(value.sure);
        let list = || hook_files::hooks(&path, rules);
        // As at run time: a directory that only root may list can hold what its user may run.
        let files = self.who(doer).look(list).filter(Result::is_ok).unwrap_or_else(list);
        let files = match files {
            Ok(files) => files,
            Err(_) if self.is_made(&path) => return,
            Err(reason) => {
                self.add(heavy, span, (format!("hook {} cannot be read: {reason}", shown(&path)), None));
                return;
            }
        };
        let mut texts = Vec::new();
        for file in files {
            let name = shown(&file.path);
            let text = std::fs::read(&file.path).unwrap_or_default();
            // What runs it, and whether that reads it.
            let (program, is_read) = match &file.how {
                How::Skip(reason) => {
                    let message = format!("hook {name} is skipped: {reason}");
                    self.findings.add(Weight::Warning, span, message, None);
                    texts.push(text);
                    continue;
                }
                How::Fail(what, hint) => {
                    self.add(heavy, span, (format!("hook {name} {what}"), Some(hint.clone())));
                    texts.push(text);
                    continue;
                }
                How::Run => (file.path.as_os_str(), false),
                How::Interpret(argv) => (argv.first().map_or(OsStr::new(""), OsStr::new), true),
                How::RunBy(shell) | How::Source { shell, .. } => (shell.as_os_str(), true),
            };
            if let Err((message, hint)) = self.program(program, doer) {
                let message = if is_read { format!("hook {name}: {message}") } else { message };
                self.add(heavy, span, (message, hint));
            }
            if is_read && let Some(Err(error)) = self.who(doer).look(|| std::fs::File::open(&file.path)) {
                self.add(heavy, span, (format!("hook {name} cannot be read: {}", reason(&error)), None));
            }
            if kept_root && let Err(reason) = proof::file(&file.path) {
                let message = format!("hook {name} does not run as root: {reason}");
                self.add(heavy, span, (message, Some(proof::RULE.to_owned())));
            }
            if rules.runs(&file) && exports(&text) {
                let message = format!("hook {name} is run, and what it exports is gone with it");
                let hint = "call it `*.envsh`, or make it not executable, to have it sourced".to_owned();
                self.findings.add(Weight::Warning, span, message, Some(hint));
            }
            texts.push(text);
        }
        self.known.hooks.extend(texts);
    }
}

/// Whether a script looks as if others were to have its variables.
fn exports(script: &[u8]) -> bool {
    script.split(|byte| *byte == b'\n').any(|line| line.trim_ascii_start().starts_with(b"export "))
}

/// Templates with the places of what is written; one string alone stands for a list of one.
fn spans<'t>(
    templates: &'t [Template],
    node: Option<Node<'_>>,
    otherwise: Span,
) -> Vec<(&'t Template, Span)> {
    let items: Vec<Span> = node.into_iter().flat_map(Node::children).map(Node::span).collect();
    let whole = node.map_or(otherwise, Node::span);
    templates
        .iter()
        .enumerate()
        .map(|(number, template)| (template, items.get(number).copied().unwrap_or(whole)))
        .collect()
}
