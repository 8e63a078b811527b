//! A walk through a run that is not made: what is known so far, and what is reported of a place.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use crate::modes::check::findings::Findings;
use crate::modes::check::image::{self, Problem, Who};
use crate::modes::check::known::{Known, Value};
use crate::sys::identity::{self, Identity, Myself};
use crate::table::select::Tree;
use crate::table::types::Settings;
use crate::text::log::{Level, quoted};
use crate::value::template::{Expanded, Template};
use crate::value::toml::Span;
use crate::value::variables::Variables;

pub(super) struct Image<'i> {
    pub(super) tree: Tree<'i>,
    pub(super) settings: &'i Settings,
    pub(super) inherited: &'i Variables,
    pub(super) interpreters: Vec<(String, Vec<String>)>,
    pub(super) myself: Myself,
    pub(super) secrets: &'i [String],
    pub(super) beginning: PathBuf,
}

pub(super) struct Walk<'w, 'i> {
    pub(super) image: &'w Image<'i>,
    pub(super) findings: &'w mut Findings,
    pub(super) known: Known<'i>,
    pub(super) identity: Option<Identity>,
    pub(super) directory: Option<PathBuf>,
    pub(super) earlier: bool,
    /// Whether a run may skip the present step.
    pub(super) may_be_skipped: bool,
    pub(super) made: Vec<PathBuf>,
}

pub(super) fn shown(path: &Path) -> String {
    quoted(path.as_os_str().as_bytes())
}

impl Walk<'_, '_> {
    pub(super) fn value(&mut self, template: &Template) -> Option<Value> {
        self.known.value(template, self.findings)
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
                self.wrong(&value, message, hint.as_deref());
                None
            }
        }
    }

    /// How much something matters: by whether its value is sure, and a step before it can have made it.
    fn level(&self, is_fixed: bool) -> Level {
        if is_fixed && !self.earlier && !self.may_be_skipped { Level::Error } else { Level::Warning }
    }

    pub(super) fn wrong(&mut self, value: &Value, message: String, hint: Option<&str>) {
        let level = self.level(value.is_fixed);
        let why = if self.earlier {
            "an earlier step may fix that"
        } else if self.may_be_skipped {
            "a run may skip the step"
        } else {
            "its variables may have other values in a run"
        };
        let hint = hint.or_else(|| (level == Level::Warning).then_some(why));
        self.findings.add(level, value.span, message, hint);
    }

    pub(super) fn warn(&mut self, span: Span, message: String, hint: Option<&str>) {
        self.findings.add(Level::Warning, span, message, hint);
    }

    pub(super) fn who<'s>(&self, identity: Option<&'s Identity>) -> Who<'s> {
        Who { identity, myself: self.image.myself }
    }

    pub(super) fn here(&self, path: &Path) -> Option<PathBuf> {
        if path.is_absolute() {
            Some(path.to_owned())
        } else {
            self.directory.as_ref().map(|here| here.join(path))
        }
    }

    /// A path in the one form in which two can be compared, however each is written. Before the working
    /// directory is there a run is where it began; what links make of a `..` is not known yet.
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

    pub(super) fn program(&self, program: &OsStr, identity: Option<&Identity>) -> Result<(), Problem> {
        let unseen = self.known.is_open("PATH") || self.image.secrets.iter().any(|name| name == "PATH");
        let has_slash = program.as_bytes().contains(&b'/');
        let cannot_be_known = if has_slash { self.is_made(Path::new(program)) } else { unseen };
        if cannot_be_known {
            return Ok(());
        }
        image::program(program, &self.known.variables, self.directory.as_deref(), self.who(identity))
    }
}
