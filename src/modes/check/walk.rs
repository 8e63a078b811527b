//! A simulated run: what is known so far, how errors are reported at a place, and the checks of the argv,
//! conditions and `env` there.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use crate::modes::check::findings::Findings;
use crate::modes::check::habits::{bare_dollar, pasted, plain_in_url, program_text, reads_dollars};
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

/// The circumstances of the current step.
#[derive(Clone, Default)]
pub(super) struct Now {
    /// The user who runs it, if that user is known.
    pub(super) runner: Option<Identity>,
    /// Whether it names root as its user.
    pub(super) is_roots: bool,
    /// Whether a run may skip it.
    pub(super) may_be_skipped: bool,
    /// Whether a failure is only a warning; a refusal (77) is never one.
    pub(super) may_fail: bool,
}

pub(super) struct Walk<'w, 'i> {
    pub(super) image: &'w Image<'i>,
    pub(super) findings: &'w mut Findings,
    pub(super) known: Known,
    /// The verb's user.
    pub(super) identity: Option<Identity>,
    pub(super) now: Now,
    pub(super) directory: Option<PathBuf>,
    pub(super) earlier: bool,
    pub(super) made: Vec<PathBuf>,
}

impl Walk<'_, '_> {
    /// The value of a template if it is known. Missing variables are reported.
    pub(super) fn value(&mut self, template: &Template) -> Option<Value> {
        self.value_beside(template, &|_| false)
    }

    /// The same for a value of an `env`, which does not see the other variables of that `env`.
    fn value_beside(&mut self, template: &Template, is_sibling: &dyn Fn(&str) -> bool) -> Option<Value> {
        self.findings.examine(template.span);
        for unset in self.known.missing(template) {
            let (message, hint) = self.known.sentence(&unset, is_sibling(&unset.name));
            self.warn(template.span, message, Some(&hint));
        }
        self.known.value(template)
    }

    /// The value of a path, which must not be empty.
    pub(super) fn path(&mut self, template: &Template, key: &str) -> Option<Value> {
        let value = self.value(template)?;
        if value.bytes.is_empty() {
            self.wrong(&value, format!("`{key}` expands to nothing"));
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
        // A missing user ends a run even if the step may fail.
        let may_fail = std::mem::take(&mut self.now.may_fail);
        let resolved = identity::resolve(&Expanded::open(&*value.bytes));
        let identity = resolved.map_err(|failure| self.refused(&value, failure.into_parts())).ok();
        self.now.may_fail = may_fail;
        identity
    }

    pub(super) fn wrong(&mut self, value: &Value, message: String) {
        self.refused(value, (message, None));
    }

    /// Reports a problem. It is only a warning if the value is not certain or an earlier step can fix it.
    pub(super) fn refused(&mut self, value: &Value, (message, hint): Problem) {
        // A refusal to run something as root ends a run even if the step may fail.
        let may_fail = self.now.may_fail && hint.as_deref() != Some(proof::RULE);
        let (level, why) = if self.earlier {
            (Level::Warning, Some("an earlier step may fix that"))
        } else if self.now.may_be_skipped || may_fail {
            (Level::Warning, Some("a run may do without the step"))
        } else if !value.is_fixed {
            (Level::Warning, Some("its variables may have other values in a run"))
        } else {
            (Level::Error, None)
        };
        self.findings.add(level, value.span, message, hint.as_deref().or(why));
    }

    pub(super) fn warn(&mut self, span: Span, message: String, hint: Option<&str>) {
        self.findings.add(Level::Warning, span, message, hint);
    }

    pub(super) fn viewer(&self) -> Viewer<'_> {
        Viewer { identity: self.now.runner.as_ref(), myself: self.image.myself }
    }

    pub(super) fn here(&self, path: &Path) -> Option<PathBuf> {
        let absolute = || path.is_absolute().then(|| path.to_owned());
        self.directory.as_ref().map(|here| here.join(path)).or_else(absolute)
    }

    /// Normalizes a path so that two paths can be compared. Until the working directory is entered, a run is
    /// in the directory where it began. Links before a `..` are unknown.
    fn place(&self, path: &Path) -> PathBuf {
        let below = self.here(path).unwrap_or_else(|| path.to_owned());
        let mut place = PathBuf::new();
        for part in self.image.beginning.join(below).components() {
            if part == Component::ParentDir {
                place.pop();
            } else {
                place.push(part);
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

    /// Checks a program that the current step or the verb runs.
    pub(super) fn program(&mut self, span: Span, program: &OsStr) -> Result<(), Problem> {
        let unseen = self.known.open.contains("PATH") || self.known.secrets.contains("PATH");
        let has_slash = program.as_bytes().contains(&b'/');
        let cannot_be_known = if has_slash { self.is_made(Path::new(program)) } else { unseen };
        if cannot_be_known {
            return Ok(());
        }
        let variables = &self.known.variables;
        let find = |name: &OsStr| image::program(name, variables, &|path| self.here(path), self.viewer());
        let Some(file) = find(program)? else { return Ok(()) };
        if let Some(name) = proof::program_of_env(&file).filter(|_| !unseen) {
            find(&name)
                .map_err(|(why, hint)| (format!("interpreter of {}: {why}", quoted_path(&file)), hint))?;
        }
        if self.now.is_roots {
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
        let viewer = Viewer { identity: Some(user), myself: self.image.myself };
        viewer.can_change(file).then(|| user.spec.shown())
    }

    pub(super) fn conditions(&mut self, when: &Conditions) {
        let values = when.only_if.iter().chain(&when.skip_if).filter_map(|each| each.value.as_ref());
        self.values(values.chain(&when.if_exists).chain(&when.unless_exists));
    }

    /// Applies an `env`. If the step may be skipped, the values of its variables are unknown afterwards.
    pub(super) fn settings(&mut self, settings: &[Setting], origin: &Origin) {
        let names = own_names(settings);
        let mut values = Vec::new();
        for Setting { name, value } in settings {
            self.bare_dollar(value);
            if let Some(name) = plain_in_url(&value.parts, false, &|name| self.image.secrets.contains(name)) {
                let message = format!(
                    "secret `{name}` is put into a URL unescaped: `@`, `/`, `#` or `%` in it changes the URL"
                );
                self.warn(value.span, message, Some(&format!("write `${{{name}@url}}`")));
            }
            values.push(self.value_beside(value, &|other| other != name && names.contains(other)));
        }
        for (setting, value) in settings.iter().zip(values) {
            self.known.lay(setting, value.filter(|_| !self.now.may_be_skipped && !self.now.may_fail), origin);
        }
    }

    fn bare_dollar(&mut self, template: &Template) {
        if let Some(name) = bare_dollar(template, &|name| self.known.is_known(name)) {
            let message = format!("`${name}` is not expanded: no shell reads it here");
            self.warn(template.span, message, Some(&format!("write `${{{name}}}`")));
        }
    }

    fn habits(&mut self, words: &[Option<&Template>]) {
        let (text, reads_dollars) = (program_text(words), reads_dollars(words));
        for (number, template) in words.iter().enumerate() {
            let Some(template) = template else { continue };
            if text != Some(number) {
                if !reads_dollars {
                    self.bare_dollar(template);
                }
                continue;
            }
            for (name, in_quotes) in pasted(template) {
                let (into, how) = if in_quotes { ("quotes in the", " without quotes") } else { ("the", "") };
                let message = format!("`${{{name}}}` is pasted into {into} program text of a shell");
                let hint = format!("write `\"${name}\"`, which the shell expands, or `${{{name}@sh}}`{how}");
                self.warn(template.span, message, Some(&hint));
            }
        }
    }

    /// Checks an argv, given in parts. The first part begins with a program.
    pub(super) fn argv(&mut self, parts: &[&[Element]]) {
        let program = parts.first().and_then(|argv| argv.first());
        let mut words = Vec::new();
        for element in parts.iter().copied().flatten() {
            match element {
                Element::Template(template) => {
                    words.push(Some(template));
                    if let Some(value) = self.value(template)
                        && program.is_some_and(|program| std::ptr::eq(program, element))
                        && !template.is_words()
                        && let Err(problem) = self.program(value.span, OsStr::from_bytes(&value.bytes))
                    {
                        self.refused(&value, problem);
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

    pub(super) fn probe(&mut self, probe: &Probe, key: &str) {
        let template = match probe {
            Probe::Exec(argv) => return self.argv(&[argv]),
            Probe::Url(template) => template,
        };
        let Some(value) = self.value(template) else { return };
        let shown = quoted(url::shown(&value.bytes));
        let message = |reason: &str| format!("{shown} in `{key}`: {reason}");
        match Target::parse(&value.bytes) {
            Err(reason) => self.wrong(&value, message(&reason)),
            Ok(Some(target)) if key == "health" && target.hides_its_path() => {
                self.refused(&value, (message(UNSEEN_PATH), Some(UNSEEN_PATH_HINT.to_owned())));
            }
            Ok(Some(target)) if target.is_postgres_socket() => {
                let message = message(POSTGRES_SOCKET);
                self.findings.add(Level::Info, value.span, message, Some(POSTGRES_SOCKET_HINT));
            }
            Ok(_) => {}
        }
    }
}
