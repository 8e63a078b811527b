//! A simulated run: what is known so far, how errors are reported at a place, and the checks of the argv,
//! conditions and `env` there.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use crate::modes::check::findings::Findings;
use crate::modes::check::habits::{Argv, Pasted, bare_dollar, pasted, plain_in_url};
use crate::modes::check::image::{self, Image, Problem, Viewer};
use crate::modes::check::known::{Known, Value};
use crate::sys::{Identity, identity, proof};
use crate::text::{Kind, Level, quoted, quoted_path, url};
use crate::value::{
    Conditions, Element, Expanded, Origin, POSTGRES_SOCKET, POSTGRES_SOCKET_HINT, Probe, Setting, Span,
    Target, Template, UNSEEN_PATH, UNSEEN_PATH_HINT, own_names,
};

/// The hint if the verb's user can change a file that decides what runs.
pub(super) const ROOTS: &str = "make it and its directory root's, and writable by root alone: `chmod go-w`";

pub(super) struct Walk<'w, 'i> {
    pub(super) image: &'w Image<'i>,
    pub(super) findings: &'w mut Findings,
    pub(super) known: Known<'i>,
    pub(super) identity: Option<Identity>,
    pub(super) directory: Option<PathBuf>,
    pub(super) earlier: bool,
    /// Whether a run may skip the current step.
    pub(super) may_be_skipped: bool,
    /// Whether a failure of the step is only a warning; a refusal (77) is never one.
    pub(super) may_fail: bool,
    pub(super) made: Vec<PathBuf>,
}

impl Walk<'_, '_> {
    /// The value of a template if it is known. Missing variables are reported.
    pub(super) fn value(&mut self, template: &Template) -> Option<Value> {
        self.value_with_siblings(template, &BTreeSet::new())
    }

    fn value_with_siblings(&mut self, template: &Template, siblings: &BTreeSet<&str>) -> Option<Value> {
        self.findings.examine(template.span);
        for unset in self.known.missing(template) {
            let (message, hint) = self.known.sentence(&unset, siblings);
            self.warn(template.span, message, Some(&hint));
        }
        self.known.value(template)
    }

    /// The value of a path, which must not be empty.
    pub(super) fn path(&mut self, template: &Template, key: &str) -> Option<Value> {
        let value = self.value(template)?;
        if value.bytes.is_empty() {
            self.wrong(&value, format!("`{key}` expands to nothing"), None);
            return None;
        }
        Some(value)
    }

    pub(super) fn values<'t>(&mut self, templates: impl IntoIterator<Item = &'t Template>) {
        for template in templates {
            self.value(template);
        }
    }

    pub(super) fn user(&mut self, template: &Template) -> Option<Identity> {
        let value = self.value(template)?;
        match identity::resolve(&Expanded::open(&*value.bytes)) {
            Ok(identity) => Some(identity),
            Err(failure) => {
                let (message, hint) = failure.into_parts();
                // It ends a run even if the step may fail.
                let may_fail = std::mem::take(&mut self.may_fail);
                self.wrong(&value, message, hint.as_deref());
                self.may_fail = may_fail;
                None
            }
        }
    }

    /// Reports a problem. It is only a warning if the value is not certain or an earlier step can fix it.
    pub(super) fn wrong(&mut self, value: &Value, message: String, hint: Option<&str>) {
        // A refusal to run something as root ends a run even if the step may fail.
        let may_fail = self.may_fail && hint != Some(proof::RULE);
        let is_sure = value.is_fixed && !self.earlier && !self.may_be_skipped && !may_fail;
        let level = if is_sure { Level::Error } else { Level::Warning };
        let why = if self.earlier {
            "an earlier step may fix that"
        } else if self.may_be_skipped || may_fail {
            "a run may do without the step"
        } else {
            "its variables may have other values in a run"
        };
        let hint = hint.or_else(|| (level == Level::Warning).then_some(why));
        self.findings.add(level, value.span, message, hint);
    }

    pub(super) fn warn(&mut self, span: Span, message: String, hint: Option<&str>) {
        self.findings.add(Level::Warning, span, message, hint);
    }

    pub(super) fn viewer<'s>(&self, identity: Option<&'s Identity>) -> Viewer<'s> {
        Viewer { identity, myself: self.image.myself }
    }

    pub(super) fn here(&self, path: &Path) -> Option<PathBuf> {
        if path.is_absolute() {
            Some(path.to_owned())
        } else {
            self.directory.as_ref().map(|here| here.join(path))
        }
    }

    /// Normalizes a path so that two paths can be compared. Until the working directory is entered, a run is
    /// in the directory where it began. Links before a `..` are unknown.
    fn place(&self, path: &Path) -> PathBuf {
        let below = self.here(path).unwrap_or_else(|| path.to_owned());
        let mut place = PathBuf::new();
        for part in self.image.beginning.join(below).components() {
            match part {
                Component::ParentDir => drop(place.pop()),
                Component::CurDir => {}
                Component::Prefix(_) | Component::RootDir | Component::Normal(_) => place.push(part),
            }
        }
        place
    }

    pub(super) fn makes(&mut self, path: &Path) {
        self.made.push(self.place(path));
    }

    pub(super) fn is_made(&self, path: &Path) -> bool {
        let place = self.place(path);
        self.made.iter().any(|made| made.starts_with(&place) || place.starts_with(made))
    }

    /// Checks a program that `runner` runs; `own` is the step's own user.
    pub(super) fn program(
        &mut self, span: Span, program: &OsStr, runner: Option<&Identity>, own: Option<&Identity>,
    ) -> Result<(), Problem> {
        let unseen = self.known.is_open("PATH") || self.image.secrets.iter().any(|name| name == "PATH");
        let has_slash = program.as_bytes().contains(&b'/');
        let cannot_be_known = if has_slash { self.is_made(Path::new(program)) } else { unseen };
        if cannot_be_known {
            return Ok(());
        }
        let (variables, directory) = (&self.known.variables, self.directory.as_deref());
        let Some(file) = image::program(program, variables, directory, self.viewer(runner))? else {
            return Ok(());
        };
        if let Some(name) = proof::program_of_env(&file).filter(|_| !unseen) {
            image::program(&name, variables, directory, self.viewer(runner))
                .map_err(|(why, hint)| (format!("interpreter of {}: {why}", quoted_path(&file)), hint))?;
        }
        if own.is_some_and(|own| own.uid == 0) {
            let proved = proof::program("preverb", &[file.into_os_string()], variables);
            let refused = proved.err().filter(|failure| failure.kind() == Kind::Identity);
            return refused.map_or(Ok(()), |failure| Err(failure.into_parts()));
        }
        let is_roots = file.metadata().is_ok_and(|file| file.uid() == 0);
        if is_roots && let Some(user) = self.who_can_change(&file) {
            let shown = quoted_path(&file);
            let message = format!("program {shown} is root's, but user `{user}` can change it");
            self.warn(span, message, Some(ROOTS));
        }
        Ok(())
    }

    /// The verb's user, if that user is not root and can change this file.
    pub(super) fn who_can_change(&self, file: &Path) -> Option<String> {
        let user = self.identity.as_ref().filter(|user| user.uid != 0)?;
        self.viewer(Some(user)).can_change(file).then(|| user.spec.shown())
    }

    pub(super) fn conditions(&mut self, when: &Conditions) {
        let values = when.only_if.iter().chain(&when.skip_if).filter_map(|each| each.value.as_ref());
        self.values(values.chain(&when.if_exists).chain(&when.unless_exists));
    }

    /// Applies an `env`. If the step may be skipped, the values of its variables are unknown afterwards.
    pub(super) fn settings(&mut self, settings: &[Setting], origin: &Origin) {
        let (mut names, mut values) = (own_names(settings), Vec::new());
        for Setting { name, value } in settings {
            self.bare_dollar(value);
            let is_secret = |name: &str| self.image.secrets.iter().any(|secret| secret == name);
            if let Some(name) = plain_in_url(value, &is_secret) {
                let message = format!(
                    "secret `{name}` is put into a URL unescaped: `@`, `/`, `#` or `%` in it changes the URL"
                );
                self.warn(value.span, message, Some(&format!("write `${{{name}@url}}`")));
            }
            let was_there = names.remove(name.as_str());
            values.push(self.value_with_siblings(value, &names));
            names.extend(was_there.then_some(name.as_str()));
        }
        for (setting, value) in settings.iter().zip(values) {
            self.known.lay(setting, value.filter(|_| !self.may_be_skipped && !self.may_fail), origin);
        }
    }

    fn bare_dollar(&mut self, template: &Template) {
        if let Some(name) = bare_dollar(template, &|name| self.known.is_known(name)) {
            let message = format!("`${name}` is not expanded: no shell reads it here");
            self.warn(template.span, message, Some(&format!("write `${{{name}}}`")));
        }
    }

    fn habits(&mut self, words: &[Option<&Template>]) {
        let argv = Argv::of(words);
        for (number, template) in words.iter().enumerate() {
            let Some(template) = template else { continue };
            if argv.code != Some(number) {
                if !argv.reads_dollars {
                    self.bare_dollar(template);
                }
                continue;
            }
            for Pasted { name, in_quotes } in pasted(template) {
                let (into, how) = if in_quotes { ("quotes in the", " without quotes") } else { ("the", "") };
                let message = format!("`${{{name}}}` is pasted into {into} program text of a shell");
                let hint = format!("write `\"${name}\"`, which the shell expands, or `${{{name}@sh}}`{how}");
                self.warn(template.span, message, Some(&hint));
            }
        }
    }

    /// Checks an argv, given in parts. The first part begins with a program, which the step's `own` user or
    /// the verb's user runs.
    pub(super) fn argv(&mut self, parts: &[&[Element]], own: Option<&Identity>) {
        let runner = own.or(self.identity.as_ref()).cloned();
        let program = parts.first().and_then(|argv| argv.first());
        let mut words = Vec::new();
        for element in parts.iter().copied().flatten() {
            match element {
                Element::Template(template) => {
                    words.push(Some(template));
                    if let Some(value) = self.value(template)
                        && program.is_some_and(|program| std::ptr::eq(program, element))
                        && !template.is_words()
                        && let name = OsStr::from_bytes(&value.bytes)
                        && let Err((message, hint)) = self.program(value.span, name, runner.as_ref(), own)
                    {
                        self.wrong(&value, message, hint.as_deref());
                    }
                }
                Element::Words { words: templates, when } => {
                    self.conditions(when);
                    let outer = self.known.needed.len();
                    self.known.needed.extend(when.needed());
                    self.values(templates);
                    self.known.needed.truncate(outer);
                    words.extend(templates.iter().map(Some));
                }
                Element::Arguments => words.push(None),
            }
        }
        self.habits(&words);
    }

    pub(super) fn probe(&mut self, probe: &Probe, key: &str, own: Option<&Identity>) {
        let template = match probe {
            Probe::Exec(argv) => return self.argv(&[argv], own),
            Probe::Url(template) => template,
        };
        let Some(value) = self.value(template) else { return };
        let shown = quoted(url::shown(&value.bytes));
        let message = |reason: &str| format!("{shown} in `{key}`: {reason}");
        match Target::parse(&value.bytes) {
            Err(reason) => self.wrong(&value, message(&reason), None),
            Ok(Some(target)) if key == "health" && target.hides_its_path() => {
                self.wrong(&value, message(UNSEEN_PATH), Some(UNSEEN_PATH_HINT));
            }
            Ok(Some(target)) if target.is_postgres_socket() => {
                let message = message(POSTGRES_SOCKET);
                self.findings.add(Level::Info, value.span, message, Some(POSTGRES_SOCKET_HINT));
            }
            Ok(_) => {}
        }
    }
}
