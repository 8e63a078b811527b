//! Performing a plan: a straight list. It never looks at the table.

pub(crate) mod dump;
pub(crate) mod finish;
pub(crate) mod hook_files;
pub(crate) mod hooks;
pub(crate) mod once;
pub(crate) mod pace;
pub(crate) mod shell;
pub(crate) mod steps;
pub(crate) mod surroundings;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Instant;

use crate::plan;
use crate::plan::{Plan, PlanStep};
use crate::setup::steps::{chown, mkdir, render};
use crate::setup::surroundings::Tracks;
use crate::sys::child::Children;
use crate::sys::identity;
use crate::sys::identity::{Identity, Myself};
use crate::sys::terminal::Terminal;
use crate::table::types::StepKind;
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::{Level, Log, Message, quoted};
use crate::value::template::{Expanded, Template};
use crate::value::variables::{Origin, Variables};

/// What performing needs of the world.
#[derive(Debug)]
pub(crate) struct World {
    /// Where messages go.
    pub(crate) log: Log,
    /// The path of this program, for the parts of it that run as children.
    pub(crate) program: PathBuf,
    /// Who this process is.
    pub(crate) myself: Myself,
    /// The children, and the signals.
    pub(crate) children: Children,
}

/// A run in progress.
#[derive(Debug)]
pub(crate) struct Stage {
    plan: Plan,
    world: World,
    tracks: Tracks,
    /// Whom the target is to run as, where that needs a step-down.
    identity: Option<Identity>,
    terminal: Option<Terminal>,
    /// Whether it was said that nobody else can be become.
    warned_of_user: bool,
    /// Whether it was said that no files can be given away.
    warned_of_chown: bool,
    /// Whether a secret went into what the present step names.
    secret: bool,
}

/// Performs the plan. Returns only the failure: otherwise the target has replaced this process.
pub(crate) fn perform(plan: Plan, world: World) -> Failure {
    let mut stage = match Stage::prepare(plan, world) {
        Ok(stage) => stage,
        Err(failure) => return failure,
    };
    let steps = std::mem::take(&mut stage.plan.steps);
    for step in &steps {
        if let Err(failure) = stage.step(step) {
            return failure;
        }
    }
    stage.finish()
}

/// Who does a step.
#[derive(Debug, Clone)]
pub(crate) struct Doer {
    /// Whom to step down to; `None` is whoever this process is.
    pub(crate) identity: Option<Identity>,
    /// Whose `HOME` it has; `None` leaves that as it is.
    home: Option<Identity>,
    /// Whether it is done as root.
    pub(crate) root: bool,
    /// Whether the step itself says that it is root's.
    pub(crate) kept_root: bool,
}

impl Stage {
    fn prepare(plan: Plan, world: World) -> Result<Self> {
        let tracks = Tracks::new(plan.variables.clone());
        let mut stage = Self {
            plan,
            world,
            tracks,
            identity: None,
            terminal: None,
            warned_of_user: false,
            warned_of_chown: false,
            secret: false,
        };
        let mut home = None;
        if let Some(user) = &stage.plan.user {
            let identity = identity::resolve(user)?;
            // Root gets the home of the user also where it is already root itself.
            home = stage.world.myself.is_root().then(|| identity.clone());
            stage.identity = stage.become_of(identity);
        }
        let unprivileged = stage.identity.as_ref().is_some_and(|identity| identity.uid != 0);
        let steps_with_users =
            stage.plan.steps.iter().any(|step| step.step.user.is_some() && step.skip.is_none());
        if stage.world.myself.is_root() && (unprivileged || steps_with_users) {
            stage.tracks.part();
        }
        if let Some(identity) = home {
            let track = stage.tracks.of(identity.uid == 0);
            set_home(&mut track.variables, &identity);
        }
        if let Some(umask) = stage.plan.umask {
            stage.tracks.set_umask(umask);
        }
        Ok(stage)
    }

    /// Whom to step down to for this user; `None` where nothing needs to be done, or nothing can be.
    fn become_of(&mut self, identity: Identity) -> Option<Identity> {
        if self.world.myself.is(&identity) {
            return None;
        }
        if self.world.myself.is_root() {
            return Some(identity);
        }
        if !self.warned_of_user {
            self.warned_of_user = true;
            self.world.log.say(&not_root(self.world.myself, &identity.spec.shown()));
        }
        None
    }

    fn doer(&mut self, step: &PlanStep) -> Result<Doer> {
        let root = self.world.myself.is_root();
        // These root does itself, whoever they are for: what others exported has no say in them.
        let always_root = root && matches!(step.step.kind, StepKind::Mkdir { .. } | StepKind::Chown(_));
        let Some(template) = &step.step.user else {
            let identity = self.identity.clone();
            let root = root && identity.as_ref().is_none_or(|identity| identity.uid == 0);
            let home = identity.clone();
            return Ok(Doer { identity, home, root: root || always_root, kept_root: false });
        };
        // Whom root becomes is decided by what root alone has set.
        let spec = plan::expand(template, &self.tracks.of(true).variables, "`user`")?;
        let identity = identity::resolve(&spec)?;
        if root && identity.uid == 0 {
            // Root of another group, `root:adm`, is somebody to become all the same.
            let home = Some(identity);
            let identity = home.clone().filter(|who| who.gid != self.world.myself.gid);
            return Ok(Doer { identity, home, root: true, kept_root: true });
        }
        let identity = self.become_of(identity);
        let root = root && identity.is_none();
        Ok(Doer { home: identity.clone(), identity, root: root || always_root, kept_root: false })
    }

    /// The variables of a program that is run for a step.
    fn variables_of(&mut self, doer: &Doer) -> Variables {
        let mut variables = self.tracks.of(doer.root).variables.clone();
        if let Some(identity) = &doer.home {
            set_home(&mut variables, identity);
        }
        variables
    }

    fn step(&mut self, step: &PlanStep) -> Result<()> {
        let log = self.world.log;
        if let Some(reason) = &step.skip {
            log.debug(|| format!("step `{}` is skipped: {reason}", step.label));
            return Ok(());
        }
        let doer = self.doer(step)?;
        let variables = &self.tracks.of(doer.root).variables;
        if let Some(name) =
            step.step.skip_if.iter().find(|name| variables.non_empty(name.as_bytes()).is_some())
        {
            let message = format!("step `{}` is skipped: the variable {} is set", step.label, quoted(name));
            log.say(&Message::new(Level::Info, message).field("step", &step.label).field("variable", name));
            return Ok(());
        }
        if let Some(stop) = self.world.children.signals().stop() {
            return Err(crate::sys::child::Stop(stop).failure(&format!("before step `{}`", step.label)));
        }
        self.enter(doer.root)?;
        self.secret = false;
        let done = self.dispatch(step, &doer);
        // A hook's failure has left out by itself what is secret in it, and nothing else.
        done.map_err(|failure| {
            let concealed = self.secret && failure.kind() != Kind::Hook;
            if concealed { failure.concealed(&format!("step `{}`", step.label)) } else { failure }
        })
    }

    fn dispatch(&mut self, step: &PlanStep, doer: &Doer) -> Result<()> {
        match &step.step.kind {
            StepKind::Run(argv) => self.run(step, doer, argv),
            StepKind::Hooks(path) => self.hooks(step, doer, path),
            StepKind::Wait(targets) => self.wait(step, doer, targets),
            StepKind::Render { from, to, mode } => {
                let from = self.path(from, doer.root, "`render`")?;
                let to = self.path(to, doer.root, "`to`")?;
                let variables = &self.tracks.of(doer.root).variables;
                let mut pace = pace(step, &mut self.world);
                render::render(&from, &to, *mode, variables, doer.identity.as_ref(), &mut pace)
            }
            StepKind::Mkdir { paths, mode } => {
                let paths = self.paths(paths, doer, "`mkdir`")?;
                let mut pace = pace(step, &mut self.world);
                mkdir::mkdir(&paths, *mode, doer.identity.as_ref(), &mut pace)
            }
            StepKind::Chown(paths) => self.chown(step, doer, paths),
        }
    }

    fn path(&mut self, template: &Template, root: bool, what: &str) -> Result<PathBuf> {
        let expanded = plan::expand(template, &self.tracks.of(root).variables, what)?;
        self.secret |= expanded.secret;
        Ok(PathBuf::from(OsStr::from_bytes(&expanded.bytes)))
    }

    /// Gives this process the surroundings of what is done next, and `workdir` from the moment it exists.
    fn enter(&mut self, root: bool) -> Result<()> {
        self.tracks.enter(root)?;
        let workdir = self.plan.workdir.as_ref().map(finish::workdir_path);
        // It may be that a step makes it; that it is missing in the end is told by `finish`.
        if workdir.is_some_and(|path| !self.tracks.has_directory(root) && path.is_dir()) {
            self.workdir(root)?;
        }
        Ok(())
    }

    fn paths(&mut self, templates: &[Template], doer: &Doer, what: &str) -> Result<Vec<PathBuf>> {
        templates.iter().map(|template| self.path(template, doer.root, what)).collect()
    }

    fn chown(&mut self, step: &PlanStep, doer: &Doer, paths: &[Template]) -> Result<()> {
        if !self.world.myself.is_root() {
            if !self.warned_of_chown {
                self.warned_of_chown = true;
                let message = format!("step `{}` does nothing: only root can give files away", step.label);
                self.world.log.say(&Message::new(Level::Warning, message).field("step", &step.label));
            }
            return Ok(());
        }
        let paths = self.paths(paths, doer, "`chown`")?;
        let owner = match (&doer.identity, &self.plan.user) {
            (Some(identity), _) => identity.clone(),
            (None, Some(user)) if !doer.kept_root => identity::resolve(user)?,
            _ => identity::resolve(&Expanded::open("0:0"))?,
        };
        let mut pace = pace(step, &mut self.world);
        chown::chown(&paths, &owner, &mut pace)
    }

    /// How a failure of a hook begins: its name, its step, the environment.
    fn hook_failure(&self, hook: &str, step: &PlanStep, what: &str) -> Failure {
        let environment = self.plan.environment.name.as_str();
        let sentence =
            format!("hook `{hook}` of step `{}` in environment `{environment}` {what}", step.label);
        Failure::say(Kind::Hook, sentence)
            .field("hook", hook)
            .field("step", &step.label)
            .field("environment", environment)
    }
}

/// What a step asks that this process does itself, and that begins now.
fn pace<'a>(step: &'a PlanStep, world: &'a mut World) -> impl FnMut() -> Result<()> + 'a {
    pace::of(&step.label, step.limit(), Instant::now(), world.log, &mut world.children)
}

/// The warning that a process which is not root stays who it is: the operator chose it.
pub(crate) fn not_root(myself: Myself, user: &str) -> Message {
    let uid = myself.uid;
    Message::new(Level::Warning, format!("the run goes on as uid {uid}: only root can become user `{user}`"))
        .field("user", user)
}

/// Sets `HOME` to that of the identity, unless the table or a hook has set it.
fn set_home(variables: &mut Variables, identity: &Identity) {
    let ours = match variables.get(b"HOME").map(|found| found.origin) {
        None | Some(Origin::Inherited | Origin::User) => true,
        Some(
            Origin::Preverb
            | Origin::Option
            | Origin::File(_)
            | Origin::Default
            | Origin::TableEnv
            | Origin::EnvironmentEnv
            | Origin::VerbEnv
            | Origin::EnvironmentVerbEnv
            | Origin::Hook(_),
        ) => false,
    };
    if ours {
        variables.set(b"HOME", identity::home(identity), Origin::User, identity.spec.secret);
    }
}
