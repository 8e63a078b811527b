//! The plan of a run, as data: `--explain` prints it, `setup` performs it. Pure, total and deterministic: the
//! same request, table and facts always make the same plan.

mod declared;
pub(crate) mod environment;
mod layers;
pub(crate) mod target;

pub(crate) use crate::plan::declared::ValueFile;
pub(crate) use crate::plan::environment::{Environment, Why, choose};
pub(crate) use crate::plan::target::{Target, fault_failure};

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use crate::plan::declared::judge;
use crate::plan::layers::Building;
use crate::table::{Declaration, Init, Selection, Settings, VerbPart, merged_declarations, opaque};
use crate::text::{
    DURATION_RULE, EnvironmentName, Failure, Kind, Result, VerbName, WAIT_TIMEOUT, escaped, parse_duration,
    parse_mode, quoted, shortened, url,
};
use crate::value::{
    Capability, Deferred, Element, Expanded, Facts, LAYERS, Limit, Probe, Render, Step, StepKind,
    Supervision, Template, Variables,
};

pub(crate) struct Plan {
    pub(crate) verb: Option<VerbName>,
    pub(crate) environment: Environment,
    pub(crate) variables: Variables,
    pub(crate) unset: Vec<String>,
    /// Variables that are missing, or unset because another one is missing.
    pub(crate) missing: BTreeSet<String>,
    pub(crate) secrets: BTreeSet<String>,
    pub(crate) opaque: BTreeSet<String>,
    pub(crate) declared: Vec<String>,
    late: Vec<Declaration>,
    pub(crate) steps: Vec<PlanStep>,
    /// The positional parameters of hooks.
    pub(crate) parameters: Vec<OsString>,
    pub(crate) user: Option<Expanded>,
    pub(crate) workdir: Option<Expanded>,
    pub(crate) umask: Option<u32>,
    pub(crate) limits: Vec<Limit>,
    pub(crate) capabilities: Option<Vec<Capability>>,
    pub(crate) no_new_privileges: bool,
    pub(crate) init: Option<Supervision>,
    pub(crate) target: Target,
    pub(crate) interpreters: Vec<(String, Vec<String>)>,
}

impl Plan {
    pub(crate) fn facts<'f>(
        &'f self, variables: &'f Variables, exists: &'f dyn Fn(&[u8]) -> bool,
    ) -> Facts<'f> {
        Facts { variables, opaque: &self.opaque, exists }
    }

    pub(crate) fn late_names(&self) -> impl Iterator<Item = &str> {
        self.late.iter().map(|declaration| declaration.name.as_str())
    }

    pub(crate) fn judge_late(&self, variables: &Variables) -> Result<()> {
        let facts = self.facts(variables, &|_| false);
        let failures = self.late.iter().filter_map(|declaration| judge(declaration, facts, &self.secrets));
        Failure::all(failures).map_or(Ok(()), Err)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct PlanStep {
    pub(crate) step: Step,
    pub(crate) label: String,
    pub(crate) skip: Option<String>,
    pub(crate) steps: Vec<PlanStep>,
}

impl PlanStep {
    fn of(step: &Step, user: Option<&Template>, skip: &dyn Fn(&Step) -> Option<String>) -> Self {
        let mut step = Step { user: step.user.as_ref().or(user).cloned(), ..step.clone() };
        let mut inner = Vec::new();
        if let StepKind::Group { steps, .. } = &mut step.kind {
            inner = std::mem::take(steps);
        }
        let steps = inner.iter().map(|each| Self::of(each, step.user.as_ref(), skip)).collect();
        Self { label: label(&step, &Template::shown_source), skip: skip(&step), steps, step }
    }

    /// Whether the variables that it sets are dropped at its end.
    pub(crate) fn is_closed(&self) -> bool {
        self.step.once.is_some() || matches!(self.step.kind, StepKind::Group { during: Some(_), .. })
    }

    pub(crate) fn all(&self) -> Vec<&Self> {
        let all = std::iter::once(self).chain(self.steps.iter().flat_map(Self::all));
        all.filter(|_| self.skip.is_none()).collect()
    }

    pub(crate) fn limit(&self) -> Option<Duration> {
        self.step.timeout.as_ref().and_then(Deferred::known)
    }

    /// The time that a process gets before SIGKILL, if the step sets it.
    pub(crate) fn grace(&self) -> Option<Duration> {
        self.step.grace.as_ref().and_then(Deferred::known)
    }

    /// Limits its timeout to at most this time.
    pub(crate) fn cap(&mut self, most: Duration) {
        let default = matches!(self.step.kind, StepKind::Wait(_)).then_some(WAIT_TIMEOUT);
        let limit = self.limit().or(default).filter(|limit| !limit.is_zero());
        self.step.timeout = Some(Deferred::Known(limit.map_or(most, |limit| limit.min(most))));
    }

    pub(crate) fn settled(&self, variables: &Variables) -> Result<Self> {
        let mut step = self.clone();
        step.label = self.label_with(variables);
        settle(&mut step.step.timeout, variables, "timeout", parse_duration, DURATION_RULE)?;
        settle(&mut step.step.grace, variables, "grace", parse_duration, DURATION_RULE)?;
        if let StepKind::Render(Render { mode, .. }) | StepKind::Mkdir { mode, .. } = &mut step.step.kind {
            settle(mode, variables, "mode", parse_mode, "a mode is octal, such as `0755`")?;
        }
        Ok(step)
    }

    /// The label of the step in messages: its name, or its kind and its value, expanded if possible.
    pub(crate) fn label_with(&self, variables: &Variables) -> String {
        label(&self.step, &|template| {
            template.expand(variables).map_or_else(|_| template.shown_source(), |expanded| expanded.shown())
        })
    }
}

fn settle<T: Copy>(
    value: &mut Option<Deferred<T>>, variables: &Variables, key: &str, parse: fn(&str) -> Option<T>,
    rule: &str,
) -> Result<()> {
    let Some(Deferred::Template(template)) = value else { return Ok(()) };
    let expanded = target::expand(template, variables, &format!("`{key}`"))?;
    let known = std::str::from_utf8(&expanded.bytes).ok().and_then(parse);
    let sentence = || format!("`{key}` is `{}`, which is not valid", expanded.shown());
    let known = known.ok_or_else(|| Failure::new(Kind::Variable, sentence()).hint(rule))?;
    *value = Some(Deferred::Known(known));
    Ok(())
}

const LONGEST_LABEL: usize = 200;

fn label(step: &Step, show: &dyn Fn(&Template) -> String) -> String {
    let called = called(step, &|template| show(template).into_bytes());
    match &step.name {
        Some(name) => escaped(name.as_bytes()),
        None => shortened(String::from_utf8_lossy(&called).into_owned(), LONGEST_LABEL),
    }
}

/// The name of a step, or its kind and its value, where `show` formats each template.
pub(crate) fn called(step: &Step, show: &dyn Fn(&Template) -> Vec<u8>) -> Vec<u8> {
    if let Some(name) = &step.name {
        return name.clone().into_bytes();
    }
    let argv = |argv: &[Element]| argv.iter().flat_map(Element::templates).map(show).collect::<Vec<_>>();
    let mut words = vec![step.kind.name().as_bytes().to_vec()];
    match &step.kind {
        StepKind::Run { argv: command, .. } => words.extend(argv(command)),
        StepKind::Hooks { path, .. } => words.push(show(path)),
        StepKind::Wait(targets) => words.extend(targets.iter().flat_map(|target| match target {
            Probe::Url(url) => vec![url::shown(&show(url))],
            Probe::Exec(command) => argv(command),
        })),
        StepKind::Group { .. } => {}
        StepKind::Env(settings) => words.extend(settings.iter().map(|each| each.name.clone().into_bytes())),
        StepKind::Render(render) => words.push(show(&render.from)),
        StepKind::EnvFile(paths) | StepKind::Mkdir { paths, .. } | StepKind::Chown(paths) => {
            words.extend(paths.iter().map(show));
        }
    }
    words.join(&b' ')
}

/// Plans a call with the arguments `given`. Returns the plan, the failures that prevent it from being
/// performed, and warnings.
pub(crate) fn plan(
    environment: Environment, settings: &Settings, selection: &Selection, given: Vec<OsString>,
    skip_setup: Option<String>, inherited: &Variables, files: &[ValueFile],
) -> (Plan, Vec<Failure>, Vec<String>) {
    let mut declarations = merged_declarations(selection.layers());
    let verb = selection.verb.as_ref();
    let verb_name = verb.map(|verb| verb.name.clone());

    let mut building = Building::on(inherited, &declarations);
    building.preverb(&environment, verb_name.as_ref());
    building.declared(&declarations, files);
    for (layer, origin) in selection.layers().zip(&LAYERS) {
        building.layer(layer, origin);
    }
    building.preverb(&environment, verb_name.as_ref());
    let none = VerbPart::default();
    let own = verb.map_or(&none, |verb| &verb.part);
    let skip_on = own.skip_setup_on.as_deref().unwrap_or_default();
    let asked = given.iter().find(|word| skip_on.iter().any(|each| each.as_bytes() == word.as_bytes()));
    let require = asked.is_none();
    for declaration in declarations.iter_mut().filter(|_| !require) {
        declaration.required = None;
    }
    let opaque = opaque(&declarations);
    building.check(&declarations, &opaque);

    let mut umask = own.umask.as_ref().or(settings.umask.as_ref()).cloned();
    let rule = "a umask is octal and at most `0777`, such as `027`";
    let parse_umask = |text: &str| parse_mode(text).filter(|mode| *mode <= 0o777);
    let settled = settle(&mut umask, &building.variables, "umask", parse_umask, rule);
    building.failures.extend(settled.err());
    let user = own.user.as_ref().or(settings.user.as_ref());
    let user = user.and_then(|template| building.expand(template, "`user`"));
    let workdir = own.workdir.as_ref().or(settings.workdir.as_ref());
    let workdir = workdir.and_then(|template| building.expand(template, "`workdir`"));
    if workdir.as_ref().is_some_and(|workdir| workdir.bytes.is_empty()) {
        building.failures.push(Failure::new(Kind::Variable, "`workdir` expands to nothing"));
    }

    building.report_unset(|name| !require && declarations.iter().any(|each| each.name == name));

    let skip_all = skip_setup.or_else(|| {
        asked.map(|word| format!("the caller gave {}, which is in `skip-setup-on`", quoted(word.as_bytes())))
    });
    let steps = steps(selection, &environment.name, skip_all.as_ref());
    let is_secret = |name: &str| building.variables.get(name.as_bytes()).is_some_and(|found| found.secret);
    for step in steps.iter().filter(|step| step.skip.is_none()) {
        let key = secret_in_marker(&step.step, &is_secret);
        building.failures.extend(key.map(|key| secret_marker(&step.label, key)));
    }

    let mut parameters: Vec<OsString> = verb_name.iter().map(|verb| OsString::from(verb.as_str())).collect();
    parameters.extend(given.iter().cloned());
    let plan = Plan {
        verb: verb_name,
        environment,
        variables: building.variables,
        unset: own.unset.clone().unwrap_or_default(),
        missing: building.missing,
        secrets: building.secrets,
        opaque,
        late: declarations.iter().filter(|each| require && each.late == Some(true)).cloned().collect(),
        declared: declarations.into_iter().map(|each| each.name).collect(),
        steps,
        parameters,
        user,
        workdir,
        umask: umask.as_ref().and_then(Deferred::known),
        limits: own.limits.clone(),
        capabilities: own.capabilities.clone(),
        no_new_privileges: own.no_new_privileges.unwrap_or(false),
        init: match &own.init {
            Some(Init::With(options)) => Some(options.clone()),
            Some(Init::Supervise) => Some(Supervision::default()),
            Some(Init::Exec) | None => None,
        },
        target: Target {
            exec: own.exec.clone().unwrap_or_default(),
            args: own.args.as_ref().filter(|_| given.is_empty()).cloned().unwrap_or_default(),
            given,
            after: own.args_after.clone().unwrap_or_default(),
        },
        interpreters: interpreters(settings),
    };
    (plan, building.failures, building.warnings)
}

pub(crate) fn steps(
    selection: &Selection, environment: &EnvironmentName, skip_all: Option<&String>,
) -> Vec<PlanStep> {
    let verb = selection.verb.as_ref().map(|verb| &verb.name);
    let skip = |step: &Step| skip_all.cloned().or_else(|| filtered(step, verb, environment));
    let steps = selection.layers().flat_map(|layer| &layer.setup);
    steps.map(|step| PlanStep::of(step, None, &skip)).collect()
}

/// The key of a step's marker that would write a secret to disk.
pub(crate) fn secret_in_marker(step: &Step, is_secret: &dyn Fn(&str) -> bool) -> Option<&'static str> {
    let holds = |template: &Option<Template>| template.iter().flat_map(Template::names).any(is_secret);
    let keys = [("once", &step.once), ("per", &step.per)];
    keys.into_iter().find(|(_, template)| holds(template)).map(|(key, _)| key)
}

pub(crate) fn secret_marker(label: &str, key: &str) -> Failure {
    let sentence = format!("`{key}` of step `{label}` contains a secret, which would be written to disk");
    Failure::new(Kind::Table, sentence).field("step", label).field("key", key)
}

pub(crate) fn interpreters(settings: &Settings) -> Vec<(String, Vec<String>)> {
    let mut all = settings.interpreters.clone();
    if !all.iter().any(|(extension, _)| extension == "py") {
        all.push(("py".to_owned(), vec!["python3".to_owned()]));
    }
    all
}

/// The reason why the step's `verbs` and `environments` exclude it.
fn filtered(step: &Step, verb: Option<&VerbName>, environment: &EnvironmentName) -> Option<String> {
    match verb {
        None if step.verbs.present => Some("it applies to verbs only, and a command was given".to_owned()),
        Some(verb) if !step.verbs.admits(verb.as_str()) => {
            Some(format!("it does not apply to verb `{verb}`"))
        }
        _ if step.environments.admits(environment.as_str()) => None,
        _ => Some(format!("it does not apply to environment `{environment}`")),
    }
}
