//! A walk through a run that is not made: what is known so far, and what is said of a place.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use super::findings::{Findings, Weight};
use super::image::{self, Problem, Who};
use super::known::{Known, Sure, Unknown, Value};
use crate::sys::identity::{Identity, Myself};
use crate::table::select::Tree;
use crate::table::types::Settings;
use crate::text::log::quoted;
use crate::value::template::Template;
use crate::value::toml::Span;
use crate::value::variables::Variables;

/// What is the same for every walk.
pub(super) struct Image<'i> {
    /// The table.
    pub(super) tree: Tree<'i>,
    /// Its top.
    pub(super) settings: &'i Settings,
    /// The variables of the image.
    pub(super) inherited: &'i Variables,
    /// Who this process is.
    pub(super) myself: Myself,
    /// The variables that are a secret anywhere: what is said of a place is said once for all verbs.
    pub(super) secrets: &'i [String],
}

/// A walk in progress.
pub(super) struct Walk<'w, 'i> {
    pub(super) image: &'w Image<'i>,
    pub(super) findings: &'w mut Findings,
    pub(super) known: Known<'i>,
    /// Whom the verb runs as, where that is known.
    pub(super) identity: Option<Identity>,
    /// Where it runs, where that is known.
    pub(super) directory: Option<PathBuf>,
    /// Where this process runs, which is where a run begins.
    pub(super) beginning: PathBuf,
    pub(super) interpreters: Vec<(String, Vec<String>)>,
    /// Whether a step before this one runs something, which can install and make anything.
    pub(super) earlier: bool,
    /// Whether a run may skip the present step.
    pub(super) may_be_skipped: bool,
    /// What steps before this one make, each as its `place`.
    pub(super) made: Vec<PathBuf>,
}

/// A value as a path.
pub(super) fn path(value: &Value) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&value.bytes))
}

pub(super) fn shown(path: &Path) -> String {
    quoted(path.as_os_str().as_bytes())
}

impl Walk<'_, '_> {
    pub(super) fn value(&mut self, template: &Template, span: Span) -> Result<Value, Unknown> {
        self.known.value(template, span, self.findings)
    }

    /// What something weighs: how sure its value is, and whether a step before it can have made it.
    pub(super) fn weight(&self, sure: Sure) -> Weight {
        if sure == Sure::Fixed && !self.earlier && !self.may_be_skipped {
            Weight::Error
        } else {
            Weight::Warning
        }
    }

    pub(super) fn add(&mut self, weight: Weight, span: Span, (message, hint): Problem) {
        let hint = hint.or_else(|| {
            let hint = if self.earlier {
                "an earlier step may mend that"
            } else if self.may_be_skipped {
                "a run may skip the step"
            } else {
                "a run may give the variables in it other values"
            };
            (weight == Weight::Warning).then(|| hint.to_owned())
        });
        self.findings.add(weight, span, message, hint);
    }

    pub(super) fn who<'s>(&self, identity: Option<&'s Identity>) -> Who<'s> {
        Who { identity, myself: self.image.myself }
    }

    /// A path below the working directory, if it is known.
    pub(super) fn here(&self, path: PathBuf) -> Option<PathBuf> {
        if path.is_absolute() { Some(path) } else { self.directory.as_ref().map(|here| here.join(path)) }
    }

    /// A path in the one form in which two can be compared, however each is written. Before the working
    /// directory is there a run is where it began. What links make of a `..` is not known of what a step
    /// is yet to make.
    pub(super) fn place(&self, path: &Path) -> PathBuf {
        let below = self.here(path.to_owned()).unwrap_or_else(|| path.to_owned());
        let mut place = PathBuf::new();
        for part in self.beginning.join(below).components() {
            match part {
                Component::ParentDir => drop(place.pop()),
                Component::CurDir => {}
                Component::Prefix(_) | Component::RootDir | Component::Normal(_) => place.push(part),
            }
        }
        place
    }

    /// Takes note that a step makes this.
    pub(super) fn makes(&mut self, path: &Path) {
        self.made.push(self.place(path));
    }

    /// Whether a step makes this, or something below or above it.
    pub(super) fn is_made(&self, path: &Path) -> bool {
        let place = self.place(path);
        self.made.iter().any(|made| made.starts_with(&place) || place.starts_with(made))
    }

    /// Whether a program can be run, as far as the image tells.
    pub(super) fn program(&self, program: &OsStr, identity: Option<&Identity>) -> Result<(), Problem> {
        let unseen = self.known.is_open("PATH") || self.image.secrets.iter().any(|name| name == "PATH");
        if unseen && !program.as_bytes().contains(&b'/') {
            return Ok(());
        }
        let slashed = Path::new(program);
        if program.as_bytes().contains(&b'/') && self.is_made(slashed) {
            return Ok(());
        }
        image::program(program, &self.known.variables, self.directory.as_deref(), self.who(identity))
    }
}
