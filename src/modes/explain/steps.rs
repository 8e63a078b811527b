//! Explains the steps of a plan in order: the current value of each string, the strings that cannot be
//! expanded yet, the actions of each step, and the facts that an earlier step may still change.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::slice::from_ref;
use std::time::Duration;

use crate::modes::explain::shape::{ExplainedCondition, ExplainedFile, ExplainedStep, Unexpanded};
use crate::plan::{Plan, PlanStep, Target, called};
use crate::setup::state::existence;
use crate::setup::{How, Rules, hook_files, once};
use crate::sys::{Credentials, Identity, identity};
use crate::text::{Exact, MASK, WITHHELD, bytes_of, escaped, path_of, readable, shell_quoted, url};
use crate::value::{
    Deferred, Element, Expanded, Facts, Fault, Judged, Origin, Probe, Setting, StepKind, Subject,
    Target as Probed, Template, Variables,
};

pub(super) struct Expander<'n> {
    facts: Facts<'n>,
    target: &'n Target,
    pub(super) unexpanded: Vec<(Unexpanded, Fault)>,
}

impl<'n> Expander<'n> {
    pub(super) fn new(facts: Facts<'n>, target: &'n Target) -> Self {
        Self { facts, target, unexpanded: Vec::new() }
    }

    pub(super) fn text(&mut self, template: &Template) -> Exact {
        match template.expand(self.facts.variables) {
            Ok(expanded) => shown(&expanded),
            Err(fault) => self.unexpanded(template.source(), fault),
        }
    }

    /// Notes an element that cannot be expanded, and returns it as it is written.
    fn unexpanded(&mut self, element: &str, fault: Fault) -> Exact {
        let written = url::masked(element.as_bytes());
        let element = String::from_utf8_lossy(&written).into_owned();
        self.unexpanded.push((Unexpanded { element, message: fault.sentence() }, fault));
        Exact(written)
    }

    fn texts(&mut self, templates: &[Template]) -> Vec<Exact> {
        templates.iter().map(|template| self.text(template)).collect()
    }

    fn duration(&mut self, value: Option<&Deferred<Duration>>) -> Option<Exact> {
        match value? {
            Deferred::Known(value) => Some(Exact(readable(*value).into_bytes())),
            Deferred::Template(template) => Some(self.text(template)),
        }
    }

    pub(super) fn argv(&mut self, argv: &[Element]) -> Vec<Exact> {
        let (facts, target) = (self.facts, self.target);
        let arguments = || target.arguments(facts).map_err(|(fault, _)| fault);
        let mut words = Vec::new();
        for element in argv {
            match element.expand(facts, &arguments) {
                Ok(expanded) => words.extend(expanded.iter().map(shown)),
                Err(fault) => {
                    let written = |template: &Template| Exact(url::masked(template.source().as_bytes()));
                    words.extend(element.templates().iter().map(written));
                    self.unexpanded(&element.source(), fault);
                }
            }
        }
        words
    }

    pub(super) fn probe(&mut self, probe: &Probe) -> Exact {
        match probe {
            Probe::Exec(argv) => Exact(self.argv(argv).iter().map(quoted).collect::<Vec<_>>().join(&b' ')),
            Probe::Url(template) => match template.expand(self.facts.variables) {
                Err(fault) => self.unexpanded(without_query(template.source()), fault),
                // The only possible query of a file target is its `max-age`.
                Ok(url) if matches!(Probed::parse(&url.bytes), Ok(Some(Probed::File { .. }))) => shown(&url),
                Ok(target) if target.secret => Exact(MASK.into()),
                Ok(target) => Exact(url::shown(&target.bytes)),
            },
        }
    }
}

/// A target as it is written, up to its query; a `?` inside `${...}` does not begin one.
fn without_query(source: &str) -> &str {
    let is_outside = |at: usize| source[..at].matches("${").count() <= source[..at].matches('}').count();
    let query = source.match_indices('?').find(|(at, _)| is_outside(*at));
    query.map_or(source, |(at, _)| &source[..at])
}

pub(super) fn shown(value: &Expanded) -> Exact {
    Exact(if value.secret { MASK.into() } else { url::masked(&value.bytes) })
}

/// A command as a shell would read it, with double quotes if those suffice.
pub(super) fn line(words: &[Exact]) -> String {
    words.iter().map(|word| escaped(&quoted(word))).collect::<Vec<_>>().join(" ")
}

fn quoted(Exact(word): &Exact) -> Vec<u8> {
    let has = |set: &[u8]| word.iter().any(|byte| set.contains(byte));
    if has(b"$\"\\`") {
        shell_quoted(word)
    } else if word.is_empty() || has(b" \t\n'") {
        [b"\"", &word[..], b"\""].concat()
    } else {
        word.clone()
    }
}

pub(super) struct Steps<'p> {
    plan: &'p Plan,
    myself: Credentials,
    pub(super) variables: Variables,
    /// Whether the value of any variable may have changed.
    anything: bool,
    /// Otherwise, the variables that may have changed.
    names: BTreeSet<String>,
    files: bool,
}

impl<'p> Steps<'p> {
    pub(super) fn new(plan: &'p Plan, myself: Credentials) -> Self {
        let variables = plan.variables.clone();
        Self { plan, myself, variables, anything: false, names: BTreeSet::new(), files: false }
    }

    /// Whether an earlier step may set this variable.
    pub(super) fn may_set(&self, name: &str) -> bool {
        self.anything || self.names.contains(name)
    }

    pub(super) fn explain(&mut self, steps: &[PlanStep]) -> Vec<ExplainedStep> {
        steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&mut self, planned: &PlanStep) -> ExplainedStep {
        let step = &planned.step;
        let variables = self.variables.clone();
        let identity = self.actor(planned);
        let exists = existence(identity.as_ref());
        let facts = self.plan.facts(&variables, &exists);
        let target = &self.plan.target;
        let mut now = Expander::new(facts, target);
        let secrets = &self.plan.secrets;
        let mut reason = planned.skip.clone();
        let mut conditions = Vec::new();
        for judged in step.when.judge(facts) {
            conditions.push(ExplainedCondition {
                key: judged.key,
                condition: Exact(judged.exact(secrets)),
                holds: judged.holds.as_ref().ok().copied(),
                open: self.is_open(&judged),
            });
            if judged.skips() && reason.is_none() {
                reason = Some(judged.reason(secrets));
            }
        }
        let once = step.once.as_ref().map(|once| now.text(once));
        let per = step.per.as_ref().and_then(|per| per.expand(&variables).ok());
        if reason.is_none()
            && let Some(Ok(marker)) = step.once.as_ref().map(|once| once.expand(&variables))
        {
            let look = || Ok(once::is_done(&marker.bytes, per.map(|per| per.bytes)));
            if identity::acting_as(identity.as_ref(), look).unwrap_or(false) {
                reason = Some(format!("`{}` exists", marker.shown()));
            }
        }
        let runs = reason.is_none();
        let may_run = planned.skip.is_none() && (runs || conditions.iter().any(|each| each.open));
        let mut explained = ExplainedStep {
            step: Exact(called(step, &|template| Expander::new(facts, target).text(template).0)),
            kind: step.kind.name(),
            runs,
            reason,
            conditions,
            user: step.user.as_ref().map(|user| now.text(user)),
            timeout: now.duration(step.timeout.as_ref()),
            grace: now.duration(step.grace.as_ref()),
            on_failure: step.on_failure.name(),
            once,
            per: step.per.as_ref().map(|per| now.text(per)),
            ..ExplainedStep::default()
        };
        self.does(planned, identity.as_ref(), &mut now, &mut explained, may_run);
        explained.unexpanded = now.unexpanded.into_iter().map(|(unexpanded, _)| unexpanded).collect();
        if may_run {
            self.changed_by(planned, runs, &variables);
        }
        explained
    }

    fn actor(&self, step: &PlanStep) -> Option<Identity> {
        let user = step.step.user.as_ref().map(|user| user.expand(&self.variables).ok());
        let user = user.unwrap_or_else(|| self.plan.user.clone())?;
        identity::resolve(&user).ok().filter(|identity| self.myself.is_root() && identity.uid != 0)
    }

    /// Whether an earlier step may change the subject of a condition.
    fn is_open(&self, judged: &Judged<'_>) -> bool {
        let (names, is_path) = match &judged.subject {
            Subject::Variable(condition) => (condition.names(), false),
            Subject::Path(template, _) => (template.names(), true),
        };
        is_path && self.files || names.into_iter().any(|name| self.may_set(name))
    }

    fn does(
        &mut self, step: &PlanStep, identity: Option<&Identity>, now: &mut Expander<'_>,
        explained: &mut ExplainedStep, may_run: bool,
    ) {
        let each = |does: &[Exact]| does.iter().map(|each| escaped(&each.0)).collect::<Vec<_>>();
        match &step.step.kind {
            StepKind::Run { argv, stdin } => {
                explained.does = now.argv(argv);
                explained.lines = vec![line(&explained.does)];
                explained.stdin = stdin.as_ref().map(|stdin| now.text(stdin));
            }
            StepKind::Hooks { path, shell, executables } => {
                explained.does = vec![now.text(path)];
                let shell = now.text(shell).0;
                let (shell, executables) = (OsStr::from_bytes(&shell), *executables);
                let rules = Rules { interpreters: &self.plan.interpreters, shell, executables };
                hooks(path, rules, identity, now, explained);
            }
            StepKind::Env(settings) => {
                for Setting { name, value } in settings {
                    let is_secret = self.plan.secrets.contains(name);
                    let value = match value.expand(now.facts.variables) {
                        Err(fault) if is_secret => now.unexpanded(MASK, fault),
                        Ok(_) if is_secret => Exact(MASK.into()),
                        Ok(_) | Err(_) => now.text(value),
                    };
                    explained.does.push(Exact([name.as_bytes(), b"=", &value.0].concat()));
                }
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
                // Variables that the steps of a group set may be limited to the group.
                let before = (self.variables.clone(), self.anything, self.names.clone(), self.files);
                explained.steps = self.explain(&step.steps);
                if step.is_closed() || !may_run {
                    let files = self.files && may_run;
                    (self.variables, self.anything, self.names, self.files) = before;
                    self.files |= files;
                }
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
            }
        }
        if explained.lines.is_empty() {
            explained.lines = each(&explained.does);
        }
    }

    fn changed_by(&mut self, step: &PlanStep, runs: bool, before: &Variables) {
        match &step.step.kind {
            // The steps of a group have already recorded their changes.
            StepKind::Wait(_) | StepKind::Group { .. } => {}
            StepKind::Render(_) | StepKind::Mkdir { .. } | StepKind::Chown(_) => self.files = true,
            StepKind::Run { .. } | StepKind::Hooks { .. } => {
                self.files = true;
                self.anything |= !step.is_closed();
            }
            StepKind::EnvFile(_) => self.anything = true,
            StepKind::Env(settings) => {
                for Setting { name, value } in settings {
                    self.names.insert(name.clone());
                    if runs && let Ok(value) = value.expand(before) {
                        let secret = value.secret || self.plan.secrets.contains(name);
                        let origin = Origin::Step(step.label.clone());
                        self.variables.set(name.as_bytes(), value.bytes, origin, secret);
                    }
                }
            }
        }
    }
}

fn hooks(
    path: &Template, rules: Rules<'_>, identity: Option<&Identity>, now: &Expander<'_>,
    explained: &mut ExplainedStep,
) {
    let Ok(named) = path.expand(now.facts.variables) else {
        return explained.lines.push(path.shown_source());
    };
    let list = || hook_files::hooks(path_of(&named.bytes), rules);
    // As at run time: a directory that only its user can enter, or that only root can list.
    let listed = identity::acting_as(identity, || Ok(list())).unwrap_or_else(|_| list());
    let files = match listed.or_else(|_| list()) {
        Err(reason) => return explained.lines.push(format!("{}: cannot be read: {reason}", named.shown())),
        Ok(files) if files.is_empty() => return explained.lines.push(format!("{}: no files", named.shown())),
        Ok(files) => files,
    };
    for file in files {
        let shown = file.shown(&named);
        let path = if named.secret { shown.clone().into_bytes() } else { bytes_of(&file.path).to_vec() };
        let (how, before, program, reason): (_, _, &[OsString], _) = match &file.how {
            How::Source { shell, .. } => ("source", ": sourced by ", from_ref(shell), None),
            How::Run => ("run", ": run", &[], None),
            How::Interpret(argv) => ("interpret", ": run by ", argv, None),
            How::RunBy(shell) => ("interpret", ": run by ", from_ref(shell), None),
            How::Skip(_) if file.is_secret(&named) => ("skip", SKIPPED, &[], Some(WITHHELD.to_owned())),
            How::Skip(reason) => ("skip", SKIPPED, &[], Some(reason.clone())),
            How::Fail(what, _) => ("fail", ": fails: ", &[], Some(format!("it {what}"))),
        };
        let program: Vec<Exact> = program.iter().map(|word| Exact(word.as_bytes().to_vec())).collect();
        explained.lines.push(format!("{shown}{before}{}", reason.clone().unwrap_or_else(|| line(&program))));
        explained.files.push(ExplainedFile { path: Exact(path), how, program, reason });
    }
}

/// Separates a hook file from the reason why it is skipped.
pub(super) const SKIPPED: &str = ": skipped: ";
