//! What a step runs in: variables, working directory and umask.
//!
//! There are two of them where root steps down: what is done as root sees nothing of what a hook that was
//! not root exported, so root's are kept apart from the others'.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::sys::identity::Identity;
use crate::sys::walk::{self, Refusal};
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::quoted;
use crate::value::variables::{Origin, Variables};

/// Variables, working directory and umask of what is done as root, or as others.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// The variables.
    pub(crate) variables: Variables,
    /// The working directory; `None` is the one that was inherited.
    pub(crate) directory: Option<PathBuf>,
    /// The umask; `None` is the one that was inherited.
    pub(crate) umask: Option<u32>,
}

/// What a hook changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Variables that were set, or with `None` unset.
    pub(crate) variables: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// A new working directory.
    pub(crate) directory: Option<PathBuf>,
    /// A new umask.
    pub(crate) umask: Option<u32>,
}

/// The surroundings of root, and where they are kept apart those of everybody else.
#[derive(Debug)]
pub(crate) struct Surroundings {
    root: Scope,
    others: Option<Scope>,
    /// The directory and umask that this process has at the moment, as far as they were changed.
    directory: Option<PathBuf>,
    umask: Option<u32>,
    /// What was inherited, noted before the first change.
    inherited: Option<(Option<OwnedFd>, u32)>,
}

impl Surroundings {
    /// One surroundings for all.
    pub(crate) fn new(variables: Variables) -> Self {
        Self {
            root: Scope { variables, directory: None, umask: None },
            others: None,
            directory: None,
            umask: None,
            inherited: None,
        }
    }

    /// Keeps root's surroundings apart from here on.
    pub(crate) fn split(&mut self) {
        self.note_inherited();
        self.others = Some(self.root.clone());
    }

    /// Notes what was inherited, so that there is a way back to it.
    fn note_inherited(&mut self) {
        self.inherited.get_or_insert_with(|| (walk::here(), current_umask()));
    }

    /// The surroundings of what is done as root, or as somebody else.
    pub(crate) fn of(&mut self, root: bool) -> &mut Scope {
        match &mut self.others {
            Some(others) if !root => others,
            _ => &mut self.root,
        }
    }

    /// The surroundings as they are now, to return to.
    pub(crate) fn scopes(&mut self) -> (Scope, Option<Scope>) {
        self.note_inherited();
        (self.root.clone(), self.others.clone())
    }

    /// Returns to what they were.
    pub(crate) fn return_to(&mut self, scopes: (Scope, Option<Scope>)) {
        (self.root, self.others) = scopes;
    }

    /// Sets a variable that preverb gives to all, or unsets it.
    pub(crate) fn set_for_all(&mut self, name: &[u8], value: Option<&[u8]>) {
        for scope in self.both() {
            match value {
                Some(value) => scope.variables.set(name, value, Origin::Preverb, false),
                None => scope.variables.unset(name),
            }
        }
    }

    /// Whether root's are kept apart from others'.
    pub(crate) fn are_split(&self) -> bool {
        self.others.is_some()
    }

    /// The variables of what is done as root, or as somebody else.
    pub(crate) fn variables(&self, root: bool) -> &Variables {
        match &self.others {
            Some(others) if !root => &others.variables,
            _ => &self.root.variables,
        }
    }

    fn both(&mut self) -> impl Iterator<Item = &mut Scope> {
        std::iter::once(&mut self.root).chain(self.others.as_mut())
    }

    /// Sets the umask of all, and of this process.
    pub(crate) fn set_umask(&mut self, umask: u32) {
        self.both().for_each(|each| each.umask = Some(umask));
        self.apply_umask(umask);
    }

    fn apply_umask(&mut self, umask: u32) {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        self.umask = Some(umask);
    }

    /// Sets the working directory of this process, and of all for whom no hook has changed it.
    ///
    /// # Errors
    /// It cannot be entered.
    pub(crate) fn set_workdir(
        &mut self,
        path: &Path,
        root: bool,
        users: &[&Identity],
    ) -> std::result::Result<(), Refusal> {
        walk::change_directory(path, root, users)?;
        // From another directory a relative path would lead elsewhere.
        let path = if path.is_absolute() { path.to_owned() } else { walk::working_directory()? };
        for each in self.both().filter(|each| each.directory.is_none()) {
            each.directory = Some(path.clone());
        }
        self.directory = Some(path);
        Ok(())
    }

    /// Whether something has set the working directory.
    pub(crate) fn has_directory(&mut self, root: bool) -> bool {
        self.of(root).directory.is_some()
    }

    /// Gives this process the working directory and umask of what is done next, as root or for one of these
    /// users.
    ///
    /// # Errors
    /// System (71): the directory cannot be entered.
    pub(crate) fn enter(&mut self, root: bool, users: &[&Identity]) -> Result<()> {
        let wanted = self.of(root).directory.clone();
        if wanted != self.directory {
            let (shown, entered) = match (&wanted, &self.inherited) {
                (Some(path), _) => (&**path, walk::change_directory(path, root, users)),
                (None, Some((Some(directory), _))) => {
                    (Path::new("."), walk::change_directory_to(directory, users))
                }
                (None, Some((None, _)) | None) => (Path::new("."), Ok(())),
            };
            entered.map_err(|refusal| {
                let shown = quoted(shown.as_os_str().as_bytes());
                Failure::say(Kind::System, format!("cannot enter {shown}: {refusal}"))
            })?;
            self.directory = wanted;
        }
        let inherited = self.inherited.as_ref().map(|(_, umask)| *umask);
        let wanted = self.of(root).umask;
        if wanted != self.umask
            && let Some(umask) = wanted.or(inherited)
        {
            self.apply_umask(umask);
            self.umask = wanted;
        }
        Ok(())
    }

    /// Takes over what a hook changed: what root's hook did holds for all, what another's did only for
    /// what is not done as root.
    pub(crate) fn absorb(
        &mut self,
        changes: &Changes,
        root: bool,
        origin: &Origin,
        secrets: &dyn Fn(&[u8]) -> bool,
    ) {
        let shared = root || self.others.is_none();
        let targets: Vec<&mut Scope> =
            if shared { self.both().collect() } else { self.others.iter_mut().collect() };
        for surroundings in targets {
            for (name, value) in &changes.variables {
                match value {
                    Some(value) => surroundings.variables.set(name, value, origin.clone(), secrets(name)),
                    None => surroundings.variables.unset(name),
                }
            }
            if let Some(directory) = &changes.directory {
                surroundings.directory = Some(directory.clone());
            }
            if let Some(umask) = changes.umask {
                surroundings.umask = Some(umask);
            }
        }
    }
}

/// The umask of this process. It can only be read by setting it.
pub(crate) fn current_umask() -> u32 {
    let umask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    rustix::process::umask(umask);
    umask.as_raw_mode()
}
