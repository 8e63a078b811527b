//! A setup in progress: its plan, its world, the user of each step, and its surroundings.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::io::Errno;

use crate::plan::target::expand;
use crate::plan::{Plan, PlanStep};
use crate::setup::surroundings::{Scope, Surroundings};
use crate::setup::users::Users;
use crate::sys::{Children, Credentials, Identity, Refusal, RunAs, Terminal, acting_as, proof, read};
use crate::text::{Failure, Kind, Level, Log, Message, Result, WITHHELD, path_of};
use crate::value::{Expanded, Origin, StepKind, Template, Variables};

pub(crate) struct World {
    pub(crate) log: Log,
    pub(crate) program: PathBuf,
    pub(crate) myself: Credentials,
    pub(crate) children: Children,
}

pub(crate) struct Setup {
    pub(super) plan: Plan,
    pub(super) world: World,
    pub(super) surroundings: Surroundings,
    pub(super) identity: Option<Identity>,
    pub(super) users: Users,
    pub(super) terminal: Option<Terminal>,
    pub(super) warned_of_user: bool,
    pub(super) warned_of_chown: bool,
    /// Whether the current step has used a secret in a name or path.
    pub(super) secret: bool,
    /// The deadline of the groups in progress.
    pub(super) deadline: Option<Instant>,
    /// The directories of the markers that are locked, by device and inode.
    pub(super) locked: Vec<(u64, u64)>,
}

pub(crate) struct Task<'s> {
    pub(crate) step: &'s PlanStep,
    pub(crate) identity: Option<Identity>,
    pub(super) home: Option<Identity>,
    pub(crate) root: bool,
    /// Whether the step explicitly has a `user` that is root.
    pub(crate) kept_root: bool,
}

impl Task<'_> {
    pub(super) fn who(&self) -> String {
        format!("step `{}`", self.step.label)
    }

    /// Fails (exit code 77) if the step explicitly runs as root and others can change this file.
    pub(super) fn prove(&self, path: &Path) -> Result<()> {
        let proved = if self.kept_root { proof::file(path) } else { Ok(()) };
        proved.map_err(|why| proof::refused(&self.who(), path, &why).field("step", &self.step.label))
    }

    pub(super) fn run_as<'a>(&'a self, preverb: &'a Path) -> RunAs<'a> {
        let (identity, grace) = (self.identity.as_ref(), self.step.grace());
        RunAs { identity, preverb, kept_root: self.kept_root, grace }
    }
}

impl Setup {
    pub(super) fn prepare(plan: Plan, world: World) -> Result<Self> {
        let surroundings = Surroundings::new(plan.variables.clone(), plan.umask);
        let mut setup = Self {
            plan,
            world,
            surroundings,
            identity: None,
            users: Users::default(),
            terminal: None,
            warned_of_user: false,
            warned_of_chown: false,
            secret: false,
            deadline: None,
            locked: Vec::new(),
        };
        let steps = setup.plan.steps.iter().flat_map(PlanStep::all);
        let users: Vec<&Template> = steps.filter_map(|step| step.step.user.as_ref()).collect();
        for user in &users {
            // A missing user is reported when the step's turn comes.
            if let Ok(spec) = user.expand(setup.surroundings.variables(true)) {
                let _ = setup.users.look_first(&spec);
            }
        }
        let steps_have_users = !users.is_empty();
        let user = setup.plan.user.as_ref().map(|user| setup.users.look_first(user)).transpose()?;
        setup.identity = user.clone().and_then(|user| setup.become_of(user));
        let is_root = setup.world.myself.is_root();
        if is_root && (steps_have_users || !setup.is_root(setup.identity.as_ref())) {
            setup.surroundings.split();
        }
        // Root gets the home of the user even if it already is that user.
        if let Some(identity) = user.filter(|_| is_root) {
            set_home(&mut setup.surroundings.of(identity.uid == 0).variables, &identity);
        }
        Ok(setup)
    }

    /// The user to step down to; `None` if that is unnecessary or impossible.
    fn become_of(&mut self, identity: Identity) -> Option<Identity> {
        if self.world.myself.is(&identity) {
            return None;
        }
        if self.world.myself.is_root() {
            return Some(identity);
        }
        if !std::mem::replace(&mut self.warned_of_user, true) {
            self.world.log.emit(&not_root(self.world.myself, &identity.spec.shown()));
        }
        None
    }

    /// Whether a process that this one starts with this identity runs as root.
    pub(super) fn is_root(&self, identity: Option<&Identity>) -> bool {
        self.world.myself.is_root() && identity.is_none_or(|identity| identity.uid == 0)
    }

    pub(super) fn look_again(&mut self) -> Result<()> {
        let Some(identity) = &self.identity else { return Ok(()) };
        let now = self.users.look_up(&identity.spec)?;
        if now != *identity {
            set_home(&mut self.surroundings.of(now.uid == 0).variables, &now);
            self.identity = Some(now);
        }
        Ok(())
    }

    pub(super) fn task_of<'s>(&mut self, step: &'s PlanStep) -> Result<Task<'s>> {
        self.look_again()?;
        let myself = self.world.myself;
        let (identity, home, kept_root) = match &step.step.user {
            None => (self.identity.clone(), self.identity.clone(), false),
            Some(template) => {
                // Only root's variables may decide which user root becomes.
                let spec = expand(template, self.surroundings.variables(true), "`user`")?;
                let user = self.users.look_up(&spec)?;
                if myself.is_root() && user.uid == 0 {
                    // Root with another group, such as `root:adm`, is a different identity.
                    (Some(user.clone()).filter(|user| user.gid != myself.gid), Some(user), true)
                } else {
                    let identity = self.become_of(user);
                    (identity.clone(), identity, false)
                }
            }
        };
        // Root always does these steps itself, so variables of other users must not influence them.
        let is_roots = matches!(step.step.kind, StepKind::Mkdir { .. } | StepKind::Chown(_));
        let root = self.is_root(identity.as_ref().filter(|_| !is_roots));
        Ok(Task { step, identity, home, root, kept_root })
    }

    pub(super) fn variables_of(&self, task: &Task<'_>) -> Variables {
        let mut variables = self.surroundings.variables(task.root).clone();
        // A hook that writes to the socket or takes the descriptors would act for the target.
        for name in [&b"NOTIFY_SOCKET"[..], b"LISTEN_PID", b"LISTEN_FDS"] {
            variables.unset(name);
        }
        if let Some(identity) = &task.home {
            set_home(&mut variables, identity);
        }
        variables
    }

    /// Expands a string of a step that must not be empty (exit code 65).
    pub(super) fn expand(&mut self, template: &Template, task: &Task<'_>, key: &str) -> Result<Expanded> {
        let what = format!("`{key}` of {}", task.who());
        let expanded = expand(template, self.surroundings.variables(task.root), &what);
        let expanded = expanded.map_err(|failure| {
            let is_others = task.root && template.expand(self.surroundings.variables(false)).is_ok();
            if is_others { failure.hint(ROOTS_OWN) } else { failure }
        })?;
        if expanded.bytes.is_empty() {
            let failure = Failure::new(Kind::Variable, format!("{what} expands to nothing"));
            return Err(failure.field("step", &task.step.label).field("key", key));
        }
        self.secret |= expanded.secret;
        Ok(expanded)
    }

    pub(super) fn path(&mut self, template: &Template, task: &Task<'_>, key: &str) -> Result<PathBuf> {
        self.expand(template, task, key).map(|expanded| expanded.into_word().into())
    }

    pub(super) fn paths(&mut self, many: &[Template], task: &Task<'_>, key: &str) -> Result<Vec<PathBuf>> {
        many.iter().map(|template| self.path(template, task, key)).collect()
    }

    /// Enters the surroundings of the next task, or of the target, and `workdir` as soon as it exists.
    pub(super) fn enter(&mut self, root: bool, task: Option<&Task<'_>>) -> Result<()> {
        let users = users(task.and_then(|task| task.identity.as_ref()), self.identity.as_ref());
        self.surroundings.enter(root, &users)?;
        let Some(workdir) = &self.plan.workdir else { return Ok(()) };
        match self.surroundings.set_workdir(path_of(&workdir.bytes), root, &users) {
            Ok(()) => Ok(()),
            // A step may still create it. If it is missing at the end, that is reported then.
            Err(Refusal::System(Errno::NOENT | Errno::NOTDIR)) if task.is_some() => Ok(()),
            Err(refusal) => {
                let reason = if workdir.secret { WITHHELD.to_owned() } else { refusal.to_string() };
                let sentence = format!("cannot enter `workdir` `{}`: {reason}", workdir.shown());
                Err(Failure::new(Kind::System, sentence).field("workdir", workdir.shown()))
            }
        }
    }

    pub(super) fn return_to(&mut self, scopes: (Scope, Option<Scope>), task: &Task<'_>) -> Result<()> {
        self.surroundings.return_to(scopes);
        self.surroundings.enter(task.root, &users(task.identity.as_ref(), self.identity.as_ref()))
    }

    /// Makes a failure of a hook that names the hook, its step and the environment.
    pub(super) fn hook_failure(&self, hook: &str, task: &Task<'_>, what: &str) -> Failure {
        let environment = self.plan.environment.name.as_str();
        let sentence = format!("hook `{hook}` of {} in environment `{environment}` {what}", task.who());
        let failure = Failure::new(Kind::Hook, sentence).field("hook", hook).field("step", &task.step.label);
        failure.field("environment", environment)
    }
}

fn users<'i>(user: Option<&'i Identity>, verb: Option<&'i Identity>) -> Vec<&'i Identity> {
    let mut users: Vec<&Identity> = user.into_iter().chain(verb).filter(|user| user.uid != 0).collect();
    users.dedup();
    users
}

const ROOTS_OWN: &str =
    "this is done as root, which does not see the variables that hooks of other users export";

/// Whether a path exists, as this user sees it.
pub(crate) fn existence(identity: Option<&Identity>) -> impl Fn(&[u8]) -> bool {
    move |path| acting_as(identity, || Ok(read::is_there(path))).unwrap_or(false)
}

pub(crate) fn not_root(myself: Credentials, user: &str) -> Message {
    let text = format!("continuing as uid {}: only root can switch to user `{user}`", myself.uid);
    Message::new(Level::Warning, text).field("user", user)
}

fn set_home(variables: &mut Variables, identity: &Identity) {
    let origin = variables.get(b"HOME").map(|found| found.origin);
    if matches!(origin, None | Some(Origin::Inherited | Origin::User)) {
        variables.set(b"HOME", &identity.home, Origin::User, identity.spec.secret);
    }
}
