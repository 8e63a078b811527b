//! The surroundings of a step: variables, working directory and umask. If root steps down, root's are kept
//! apart, because a step that runs as root must not see the exports of hooks that do not.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

use crate::sys::{
    Identity, Refusal, change_directory, change_directory_as, change_directory_to, passage, working_directory,
};
use crate::text::{Failure, Kind, Result, quoted_path};
use crate::value::{Origin, Variables};

/// Variables, working directory and umask of the steps that run as root, or of the others.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) variables: Variables,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) umask: Option<u32>,
    /// Whether a hook of another user chose the directory; then it is never entered as root.
    is_users_choice: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) variables: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) umask: Option<u32>,
}

pub(crate) struct Surroundings {
    root: Scope,
    others: Option<Scope>,
    directory: Option<PathBuf>,
    umask: Option<u32>,
    /// The inherited state, saved before the first change.
    inherited: Option<(Option<OwnedFd>, u32)>,
}

impl Surroundings {
    pub(crate) fn new(variables: Variables, umask: Option<u32>) -> Self {
        let root = Scope { variables, directory: None, umask, is_users_choice: false };
        Self { root, others: None, directory: None, umask: None, inherited: None }
    }

    pub(crate) fn split(&mut self) {
        self.others = Some(self.scopes().0);
    }

    pub(crate) fn are_split(&self) -> bool {
        self.others.is_some()
    }

    pub(crate) fn of(&mut self, root: bool) -> &mut Scope {
        match &mut self.others {
            Some(others) if !root => others,
            _ => &mut self.root,
        }
    }

    pub(crate) fn variables(&self, root: bool) -> &Variables {
        &self.others.as_ref().filter(|_| !root).unwrap_or(&self.root).variables
    }

    pub(crate) fn scopes(&mut self) -> (Scope, Option<Scope>) {
        self.inherited.get_or_insert_with(|| (passage(Path::new(".")).ok(), current_umask()));
        (self.root.clone(), self.others.clone())
    }

    pub(crate) fn return_to(&mut self, scopes: (Scope, Option<Scope>)) {
        (self.root, self.others) = scopes;
    }

    /// Enters `workdir`, unless a hook has chosen another directory, and sets it for all steps without one.
    pub(crate) fn set_workdir(
        &mut self, path: &Path, root: bool, users: &[&Identity],
    ) -> std::result::Result<(), Refusal> {
        if self.of(root).directory.is_some() {
            return Ok(());
        }
        change_directory(path, root, users)?;
        // A relative path would lead elsewhere from another directory.
        let path = if path.is_absolute() { path.to_owned() } else { working_directory()? };
        for each in std::iter::once(&mut self.root).chain(self.others.as_mut()) {
            each.directory.get_or_insert_with(|| path.clone());
        }
        self.directory = Some(path);
        Ok(())
    }

    /// Gives this process the directory and umask of the next task, which runs as root or as one of `users`.
    pub(crate) fn enter(&mut self, root: bool, users: &[&Identity]) -> Result<()> {
        let scope = self.others.as_ref().filter(|_| !root).unwrap_or(&self.root);
        if scope.directory != self.directory {
            let entered = match (&scope.directory, &self.inherited) {
                (Some(path), _) if scope.is_users_choice => change_directory_as(path, users),
                (Some(path), _) => change_directory(path, root, users),
                (None, Some((Some(inherited), _))) => change_directory_to(inherited, users),
                (None, _) => Ok(()),
            };
            entered.map_err(|refusal| {
                let shown = quoted_path(scope.directory.as_deref().unwrap_or(Path::new(".")));
                Failure::new(Kind::System, format!("cannot enter {shown}: {refusal}"))
            })?;
            self.directory.clone_from(&scope.directory);
        }
        let inherited = self.inherited.as_ref().map(|(_, umask)| *umask);
        if scope.umask != self.umask
            && let Some(wanted) = scope.umask.or(inherited)
        {
            rustix::process::umask(Mode::from_raw_mode(wanted));
            self.umask = scope.umask;
        }
        Ok(())
    }

    /// Applies the changes of a hook: those by root to all steps, others to steps that do not run as root.
    pub(crate) fn absorb(
        &mut self, changes: &Changes, root: bool, origin: &Origin, secrets: &BTreeSet<String>,
    ) {
        let shared = root || self.others.is_none();
        let roots = shared.then_some(&mut self.root);
        for scope in roots.into_iter().chain(self.others.as_mut()) {
            for (name, value) in changes.variables.iter().filter(|(name, _)| !is_preverbs_own(name)) {
                let is_secret = std::str::from_utf8(name).is_ok_and(|name| secrets.contains(name));
                match value {
                    Some(value) => scope.variables.set(name, value, origin.clone(), is_secret),
                    None => scope.variables.unset(name),
                }
            }
            if changes.directory.is_some() {
                scope.directory.clone_from(&changes.directory);
                scope.is_users_choice = !shared;
            }
            scope.umask = changes.umask.or(scope.umask);
        }
    }
}

/// Whether only preverb sets this variable.
pub(super) fn is_preverbs_own(name: &[u8]) -> bool {
    matches!(name, b"PREVERB_VERB" | b"PREVERB_ENVIRONMENT")
}

pub(crate) fn current_umask() -> u32 {
    let umask = rustix::process::umask(Mode::from_raw_mode(0o077));
    rustix::process::umask(umask);
    umask.as_raw_mode()
}
