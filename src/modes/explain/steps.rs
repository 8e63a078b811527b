//! The steps of a plan, explained in their order: what each would do as things stand, and what a step
//! before it may still change.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use crate::modes::explain::now::{self, Now, line};
use crate::modes::explain::shape::{ExplainedCondition, ExplainedFile, ExplainedStep};
use crate::plan::{Plan, PlanStep, called};
use crate::setup::hook_files::{self, HookFile, How, Rules};
use crate::setup::once;
use crate::sys::identity::{self, Identity, Myself};
use crate::sys::read;
use crate::text::duration::spoken;
use crate::text::escape::{MASK, WHY_NOT_SHOWN, escaped};
use crate::text::exact::Exact;
use crate::value::condition::{Judged, Subject};
use crate::value::step::{Executables, StepKind};
use crate::value::template::{Expanded, Template};
use crate::value::variables::{Origin, Variables};

/// What steps may have changed by the time that something is looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    /// Whether any variable may be another.
    anything: bool,
    /// Or only these.
    names: BTreeSet<String>,
    /// Whether files may be.
    files: bool,
}

impl Changes {
    /// Whether a step may set this variable.
    pub(super) fn may_set(&self, name: &str) -> bool {
        self.anything || self.names.contains(name)
    }
}

/// The steps as they are explained one after the other.
pub(super) struct Steps<'p> {
    plan: &'p Plan,
    myself: Myself,
    /// The variables as far as they can be known.
    pub(super) variables: Variables,
    pub(super) changes: Changes,
}

impl<'p> Steps<'p> {
    pub(super) fn new(plan: &'p Plan, myself: Myself) -> Self {
        Self { plan, myself, variables: plan.variables.clone(), changes: Changes::default() }
    }

    pub(super) fn explain(&mut self, steps: &[PlanStep]) -> Vec<ExplainedStep> {
        steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&mut self, step: &PlanStep) -> ExplainedStep {
        let variables = self.variables.clone();
        let identity = self.actor(step);
        let exists = |path: &[u8]| {
            identity::acting_as(identity.as_ref(), || Ok(read::is_there(path))).unwrap_or(false)
        };
        let facts = self.plan.facts(&variables, &exists);
        let mut now = Now::new(facts, &self.plan.target);
        let secrets = &self.plan.secrets;
        let mut unmet = None;
        let mut conditions = Vec::new();
        let mut open = false;
        for judged in step.step.when.judge(facts) {
            let is_open = self.is_open(&judged);
            open |= is_open;
            conditions.push(ExplainedCondition {
                key: judged.key,
                condition: judged.shown(secrets),
                holds: judged.holds.as_ref().ok().copied(),
                open: is_open,
            });
            if judged.skips() && unmet.is_none() {
                unmet = Some(judged.reason(secrets));
            }
        }
        let once = step.step.once.as_ref().map(|once| now.text(once));
        let marker = step.step.once.as_ref().and_then(|once| once.expand(&variables).ok());
        let per = step.step.per.as_ref().and_then(|per| per.expand(&variables).ok());
        let is_done = |marker: &Expanded| {
            let path = OsString::from_vec(marker.bytes.clone()).into();
            let look = || Ok(once::is_done(path, per.map(|per| per.bytes)));
            identity::acting_as(identity.as_ref(), look).unwrap_or(false)
        };
        let done = marker.filter(is_done);
        let reason =
            step.skip.clone().or(unmet).or_else(|| done.map(|marker| format!("`{}` exists", marker.shown())));
        let mut explained = ExplainedStep {
            step: called(&step.step, &|template| now::text(template, &variables)),
            kind: step.step.kind.name(),
            runs: reason.is_none(),
            reason,
            conditions,
            does: Vec::new(),
            lines: Vec::new(),
            files: Vec::new(),
            steps: Vec::new(),
            user: step.step.user.as_ref().map(|user| now.text(user)),
            timeout: step.step.timeout.as_ref().map(|timeout| now.value(timeout, spoken)),
            grace: step.step.grace.as_ref().map(|grace| now.value(grace, spoken)),
            on_failure: step.step.on_failure.name(),
            once,
            per: step.step.per.as_ref().map(|per| now.text(per)),
            stdin: None,
            unexpanded: Vec::new(),
        };
        let may_run = step.skip.is_none() && (explained.runs || open);
        self.does(step, &mut now, &mut explained, may_run);
        explained.unexpanded = now.unexpanded.into_iter().map(|(unexpanded, _)| unexpanded).collect();
        if may_run {
            self.changed_by(step, explained.runs);
        }
        explained
    }

    /// As whom root does a step.
    fn actor(&self, step: &PlanStep) -> Option<Identity> {
        let user = step.step.user.as_ref().map(|user| user.expand(&self.variables).ok());
        let user = user.unwrap_or_else(|| self.plan.user.clone())?;
        identity::resolve(&user).ok().filter(|identity| self.myself.is_root() && identity.uid != 0)
    }

    fn is_open(&self, judged: &Judged<'_>) -> bool {
        match &judged.subject {
            Subject::Variable(condition) => {
                condition.names().into_iter().any(|name| self.changes.may_set(name))
            }
            Subject::Path(template, _) => {
                self.changes.files || template.names().into_iter().any(|name| self.changes.may_set(name))
            }
        }
    }

    fn does(&mut self, step: &PlanStep, now: &mut Now<'_>, explained: &mut ExplainedStep, may_run: bool) {
        let each = |does: &[Exact]| does.iter().map(|each| escaped(&each.0)).collect::<Vec<_>>();
        match &step.step.kind {
            StepKind::Run { argv, stdin } => {
                explained.does = now.argv(argv);
                explained.lines = vec![line(&explained.does)];
                explained.stdin = stdin.as_ref().map(|stdin| now.text(stdin));
                return;
            }
            StepKind::Hooks { path, shell, executables } => {
                explained.does = vec![now.text(path)];
                let rules = Rules {
                    interpreters: &self.plan.interpreters,
                    shell: shell.as_deref().unwrap_or(hook_files::SHELL),
                    runs_executables: *executables == Executables::Run,
                };
                (explained.files, explained.lines) = hooks(path, rules, now);
                return;
            }
            StepKind::Env(settings) => {
                let set = |name: &str, value: Exact| Exact([name.as_bytes(), b"=", &value.0].concat());
                let masked = |name: &str, value| {
                    if self.plan.secrets.contains(name) { Exact(MASK.into()) } else { value }
                };
                explained.does = settings
                    .iter()
                    .map(|each| set(&each.name, masked(&each.name, now.text(&each.value))))
                    .collect();
            }
            StepKind::EnvFile(paths) | StepKind::Mkdir { paths, .. } | StepKind::Chown(paths) => {
                explained.does = now.texts(paths);
            }
            StepKind::Wait(targets) => {
                explained.does = targets.iter().map(|target| now.probe(target)).collect();
            }
            StepKind::Group { during, .. } => {
                if let Some(during) = during {
                    explained.does = now.argv(&during.argv);
                    explained.lines = vec![format!("during {}", line(&explained.does))];
                    let ready = during.ready.iter().map(|target| escaped(&now.probe(target).0));
                    explained.lines.extend(ready.map(|target| format!("once {target} is ready")));
                }
                explained.steps = self.group(step, may_run);
                return;
            }
            StepKind::Render(render) => {
                explained.does = vec![now.text(&render.from), now.text(&render.to)];
                explained.lines = vec![each(&explained.does).join(" to ")];
                if let Some(only) = &render.only {
                    explained.lines.push(format!("only {}", each(&now.texts(only)).join(", ")));
                }
                if render.keep_unset {
                    explained.lines.push("unset variables stay".to_owned());
                }
                return;
            }
        }
        explained.lines = each(&explained.does);
    }

    /// The steps of a group. What they set may end with it.
    fn group(&mut self, step: &PlanStep, may_run: bool) -> Vec<ExplainedStep> {
        let before = (self.variables.clone(), self.changes.clone());
        let steps = self.explain(&step.steps);
        if step.is_closed() || !may_run {
            let files = self.changes.files && may_run;
            (self.variables, self.changes) = before;
            self.changes.files |= files;
        }
        steps
    }

    /// Takes note of what a step may change, and where it surely runs, of what it sets.
    fn changed_by(&mut self, step: &PlanStep, runs: bool) {
        let closed = step.is_closed();
        match &step.step.kind {
            // The steps of a group have done so themselves.
            StepKind::Wait(_) | StepKind::Group { .. } => {}
            StepKind::Render(_) | StepKind::Mkdir { .. } | StepKind::Chown(_) => self.changes.files = true,
            StepKind::Run { .. } | StepKind::Hooks { .. } => {
                self.changes.files = true;
                self.changes.anything |= !closed;
            }
            StepKind::EnvFile(_) => self.changes.anything = true,
            StepKind::Env(settings) => {
                let values: Vec<_> =
                    settings.iter().map(|each| (each, each.value.expand(&self.variables))).collect();
                for (setting, value) in values {
                    self.changes.names.insert(setting.name.clone());
                    if let Some(value) = value.ok().filter(|_| runs) {
                        let secret = value.secret || self.plan.secrets.contains(&setting.name);
                        let origin = Origin::Step(step.label.clone());
                        self.variables.set(setting.name.as_bytes(), value.bytes, origin, secret);
                    }
                }
            }
        }
    }
}

/// The files of a `hooks` step, and lines about them.
fn hooks(path: &Template, rules: Rules<'_>, now: &Now<'_>) -> (Vec<ExplainedFile>, Vec<String>) {
    let Ok(named) = path.expand(now.facts.variables) else {
        return (Vec::new(), vec![path.shown_source()]);
    };
    let directory = PathBuf::from(OsString::from_vec(named.bytes.clone()));
    let files = match hook_files::hooks(&directory, rules) {
        Err(reason) => return (Vec::new(), vec![format!("{}: cannot be read: {reason}", named.shown())]),
        Ok(files) if files.is_empty() => {
            return (Vec::new(), vec![format!("{}: no files", named.shown())]);
        }
        Ok(files) => files,
    };
    let exact = |words: &[OsString]| words.iter().map(|word| Exact(word.as_bytes().to_vec())).collect();
    let explain = |file: &HookFile| {
        let (how, program, reason) = match &file.how {
            How::Source { shell, .. } => ("source", vec![shell.clone()], None),
            How::Run => ("run", Vec::new(), None),
            How::Interpret(argv) => ("interpret", argv.iter().map(OsString::from).collect(), None),
            How::Skip(_) if file.is_secret(&named) => ("skip", Vec::new(), Some(WHY_NOT_SHOWN.to_owned())),
            How::Skip(reason) => ("skip", Vec::new(), Some(reason.clone())),
            How::RunBy(shell) => ("interpret", vec![shell.clone()], None),
            How::Fail(what, _) => ("fail", Vec::new(), Some(format!("it {what}"))),
        };
        let program: Vec<Exact> = exact(&program);
        let shown = file.shown(&named);
        let line = match how {
            "source" => format!("{shown}: sourced by {}", line(&program)),
            "run" => format!("{shown}: run"),
            "interpret" => format!("{shown}: run by {}", line(&program)),
            "skip" => format!("{shown}{SKIPPED}{}", reason.as_deref().unwrap_or_default()),
            _ => format!("{shown}: fails: {}", reason.as_deref().unwrap_or_default()),
        };
        let path = if named.secret { shown.into_bytes() } else { file.path.as_os_str().as_bytes().to_vec() };
        (ExplainedFile { path: Exact(path), how, program, reason }, line)
    };
    files.iter().map(explain).unzip()
}

/// Between a file of hooks and why it is skipped.
pub(super) const SKIPPED: &str = ": skipped: ";
