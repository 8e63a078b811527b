//! What a run would do, as data: `--explain` prints it and performing executes it. Pure, total and
//! deterministic: the same request, table and facts make the same plan.

pub(crate) mod secret_file;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use crate::plan::secret_file::SecretFile;
use crate::table::select::Selection;
use crate::table::step::{Render, Step, StepKind};
use crate::table::types::lay_declarations;
use crate::table::types::{Init, InitOptions, Layer, Settings};
use crate::table::variable::{Declaration, VariableKind};
use crate::text::duration::{DURATION_RULE, UMASK_RULE, parse_duration, parse_mode, parse_umask};
use crate::text::escape::MASK;
use crate::text::escape::escaped;
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::quoted;
use crate::text::names::{EnvironmentName, NAME_RULE, VerbName};
use crate::text::url::masked;
use crate::value::capability::Capability;
use crate::value::deferred::Deferred;
use crate::value::limit::Limit;
use crate::value::template::{Expanded, Fault, Template};
use crate::value::variables::{Origin, Variables};

/// Why the environment is the one that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// The option `--environment`.
    Option,
    /// This variable.
    Variable(String),
    /// The table's default, this variable being unset or empty.
    TableDefault(String),
    /// preverb's default, this variable being unset or empty.
    BuiltIn(String),
}

impl Why {
    /// The reason in words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Option => "given by `--environment`".to_owned(),
            Self::Variable(name) => format!("named by the variable `{name}`"),
            Self::TableDefault(name) => {
                format!("the table's default; the variable `{name}` is unset or empty")
            }
            Self::BuiltIn(name) => format!("the default; the variable `{name}` is unset or empty"),
        }
    }
}

/// The chosen environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Environment {
    /// Its name.
    pub(crate) name: EnvironmentName,
    /// Why it is this one.
    pub(crate) why: Why,
    /// The variable that names it.
    pub(crate) variable: String,
}

/// Chooses the environment.
///
/// # Errors
/// Usage (64) or Variable (65): a name that is none.
pub(crate) fn environment(
    option: Option<&OsString>,
    settings: &Settings,
    variables: &Variables,
) -> Result<Environment> {
    let variable = settings.environment.variable().to_owned();
    if let Some(name) = option {
        let bytes = name.as_bytes();
        let name = EnvironmentName::parse(bytes).ok_or_else(|| {
            let sentence =
                format!("option `--environment` is {}, which no environment can be called", quoted(bytes));
            Failure::say(Kind::Usage, sentence).hint(NAME_RULE)
        })?;
        return Ok(Environment { name, why: Why::Option, variable });
    }
    if let Some(value) = variables.non_empty(variable.as_bytes()) {
        let name = EnvironmentName::parse(value).ok_or_else(|| {
            let shown = Expanded { bytes: value.to_vec(), secret: settings.environment.is_secret }.shown();
            let sentence = format!("variable `{variable}` is `{shown}`, which no environment can be called");
            Failure::say(Kind::Variable, sentence).hint(NAME_RULE).field("variable", &variable)
        })?;
        return Ok(Environment { name, why: Why::Variable(variable.clone()), variable });
    }
    let (name, why) = match &settings.environment.default {
        Some(name) => (Some(name.clone()), Why::TableDefault(variable.clone())),
        None => (
            EnvironmentName::parse(settings.environment.default().as_bytes()),
            Why::BuiltIn(variable.clone()),
        ),
    };
    let name = name.ok_or_else(|| Failure::say(Kind::Table, "the table has no default environment"))?;
    Ok(Environment { name, why, variable })
}

/// What a run would do.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The verb, by its own name; `None` for `--`.
    pub(crate) verb: Option<VerbName>,
    /// The environment, and why.
    pub(crate) environment: Environment,
    /// The variables before the first step.
    pub(crate) variables: Variables,
    /// Variables removed before the exec.
    pub(crate) unset: Vec<String>,
    /// The declared variables that are shown nowhere, whoever sets them.
    pub(crate) secrets: BTreeSet<String>,
    /// The steps, in order.
    pub(crate) steps: Vec<PlanStep>,
    /// What hooks get as their positional parameters.
    pub(crate) parameters: Vec<OsString>,
    /// Who the target runs as.
    pub(crate) user: Option<Expanded>,
    /// Where it runs.
    pub(crate) workdir: Option<Expanded>,
    /// Its umask.
    pub(crate) umask: Option<u32>,
    /// Its soft limits.
    pub(crate) limits: Vec<Limit>,
    /// The capabilities that it keeps; `None` leaves them alone.
    pub(crate) capabilities: Option<Vec<Capability>>,
    /// Whether an exec can gain privileges.
    pub(crate) no_new_privileges: bool,
    /// How preverb supervises, if it stays.
    pub(crate) init: Option<InitOptions>,
    /// The target.
    pub(crate) target: Target,
    /// The programs that run files of an extension.
    pub(crate) interpreters: Vec<(String, Vec<String>)>,
}

/// The target's argv, to be expanded when its turn comes.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// `exec`; empty for `--`.
    pub(crate) exec: Vec<Template>,
    /// What follows it.
    pub(crate) arguments: Arguments,
}

/// What follows `exec`.
#[derive(Debug, Clone)]
pub(crate) enum Arguments {
    /// The table's `args`.
    Default(Vec<Template>),
    /// The caller's words, byte for byte.
    Given(Vec<OsString>),
}

/// A word of an argv, and whether it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// The word.
    pub(crate) word: OsString,
    /// Whether a secret went in.
    pub(crate) secret: bool,
}

impl Word {
    /// The word as it may be shown.
    pub(crate) fn shown(&self) -> String {
        if self.secret { MASK.to_owned() } else { escaped(&masked(self.word.as_bytes())) }
    }
}

/// Expands an argv.
///
/// # Errors
/// Variable (65).
pub(crate) fn expand_argv(templates: &[Template], variables: &Variables, what: &str) -> Result<Vec<Word>> {
    let mut words = Vec::with_capacity(templates.len());
    for template in templates {
        let expanded =
            template.expand_words(variables).map_err(|mut faults| faulty(faults.swap_remove(0), what))?;
        words.extend(
            expanded
                .into_iter()
                .map(|each| Word { word: crate::sys::exec::word(each.bytes), secret: each.secret }),
        );
    }
    Ok(words)
}

/// Expands a string of the table.
///
/// # Errors
/// Variable (65).
pub(crate) fn expand(template: &Template, variables: &Variables, what: &str) -> Result<Expanded> {
    template.expand(variables).map_err(|fault| faulty(fault, what))
}

fn faulty(fault: Fault, what: &str) -> Failure {
    Failure::say(Kind::Variable, fault.needed_by(what)).field("variable", fault.name)
}

impl Target {
    /// The argv.
    ///
    /// # Errors
    /// Variable (65).
    pub(crate) fn argv(&self, variables: &Variables) -> Result<Vec<Word>> {
        let mut words = expand_argv(&self.exec, variables, "`exec`")?;
        match &self.arguments {
            Arguments::Default(args) => words.extend(expand_argv(args, variables, "`args`")?),
            Arguments::Given(given) => {
                words.extend(given.iter().map(|word| Word { word: word.clone(), secret: false }));
            }
        }
        Ok(words)
    }
}

/// A step of the plan.
#[derive(Debug, Clone)]
pub(crate) struct PlanStep {
    /// The step.
    pub(crate) step: Step,
    /// What it is called: its name, or what it does as the table has it.
    pub(crate) label: String,
    /// Why it does not run, where that is known before any step.
    pub(crate) skip: Option<String>,
}

impl PlanStep {
    /// How long it may take.
    pub(crate) fn limit(&self) -> Option<Duration> {
        self.step.timeout.as_ref().and_then(Deferred::known)
    }

    /// The step with those of its values expanded that may be any text.
    ///
    /// # Errors
    /// Variable (65).
    pub(crate) fn settled(&self, variables: &Variables) -> Result<Self> {
        let mut step = self.clone();
        settle(&mut step.step.timeout, variables, "timeout", parse_duration, DURATION_RULE)?;
        settle(&mut step.step.grace, variables, "grace", parse_duration, DURATION_RULE)?;
        if let StepKind::Render(Render { mode, .. }) | StepKind::Mkdir { mode, .. } = &mut step.step.kind {
            settle(mode, variables, "mode", parse_mode, "a mode is octal, such as `0755`")?;
        }
        Ok(step)
    }
}

/// Makes a value known that was to be expanded.
fn settle<T: Copy>(
    value: &mut Option<Deferred<T>>,
    variables: &Variables,
    key: &str,
    parse: impl Fn(&str) -> Option<T>,
    rule: &str,
) -> Result<()> {
    let Some(Deferred::Template(template)) = value else { return Ok(()) };
    let expanded = expand(template, variables, &format!("`{key}`"))?;
    let known = std::str::from_utf8(&expanded.bytes).ok().and_then(parse);
    if known.is_none() {
        let sentence = format!("`{key}` is `{}`, which is not valid", expanded.shown());
        return Err(Failure::say(Kind::Variable, sentence).hint(rule));
    }
    *value = known.map(Deferred::Known);
    Ok(())
}

/// The name of a step in messages.
pub(crate) fn label(step: &Step) -> String {
    if let Some(name) = &step.name {
        return escaped(name.as_bytes());
    }
    let join = |templates: &[Template]| templates.iter().map(Template::source).collect::<Vec<_>>().join(" ");
    let text = match &step.kind {
        StepKind::Run { argv, .. } => format!("run {}", join(argv)),
        StepKind::Hooks { path, .. } => format!("hooks {}", path.source()),
        StepKind::Wait(_) => "wait".to_owned(),
        StepKind::Env(settings) => {
            format!("env {}", settings.iter().map(|each| &*each.name).collect::<Vec<_>>().join(" "))
        }
        StepKind::EnvFile(paths) => format!("env-file {}", join(paths)),
        StepKind::Group { .. } => "setup".to_owned(),
        StepKind::Render(render) => format!("render {}", render.to.source()),
        StepKind::Mkdir { paths, .. } => format!("mkdir {}", join(paths)),
        StepKind::Chown(paths) => format!("chown {}", join(paths)),
    };
    crate::text::escape::shortened(escaped(text.as_bytes()), 60)
}

/// What the caller asked for, once the verb is known.
#[derive(Debug)]
pub(crate) struct Call {
    /// The caller's words behind the verb or `--`; `None` where none were given.
    pub(crate) words: Option<Vec<OsString>>,
    /// Why no step runs at all, if so.
    pub(crate) skip_setup: Option<String>,
}

/// A plan, and everything that keeps it from being performed.
#[derive(Debug)]
pub(crate) struct Planned {
    /// The plan as far as it goes.
    pub(crate) plan: Plan,
    /// The variables that are missing or invalid.
    pub(crate) failures: Vec<Failure>,
}

/// Makes the plan.
pub(crate) fn plan(
    environment: Environment,
    settings: &Settings,
    selection: Selection,
    call: Call,
    inherited: &Variables,
    secret_files: &[SecretFile],
) -> Planned {
    let Selection { table, environment: environment_layer, verb } = selection;
    let empty = Layer::default();
    let (verb_layer, over_layer) = match &verb {
        Some(verb) => (&verb.part.layer, &verb.environment_layer),
        None => (&empty, &empty),
    };
    let layers = [
        (&table, Origin::TableEnv),
        (&environment_layer, Origin::EnvironmentEnv),
        (verb_layer, Origin::VerbEnv),
        (over_layer, Origin::EnvironmentVerbEnv),
    ];
    let declarations = lay_declarations(layers.iter().map(|(layer, _)| *layer));
    let verb_name = verb.as_ref().map(|verb| verb.name.clone());

    let mut building = Building {
        variables: inherited.clone(),
        failures: Vec::new(),
        missing: BTreeSet::new(),
        unset: Vec::new(),
        secrets: declarations.iter().filter(|each| each.is_secret()).map(|each| each.name.clone()).collect(),
    };
    building.preverb(&environment, verb_name.as_ref());
    building.declared(&declarations, secret_files);
    for (layer, origin) in &layers {
        building.layer(layer, origin);
    }
    building.preverb(&environment, verb_name.as_ref());
    building.check(&declarations);

    let own = verb.as_ref().map(|verb| &verb.part);
    let user = own.and_then(|part| part.user.as_ref()).or(settings.user.as_ref());
    let workdir = own.and_then(|part| part.workdir.as_ref()).or(settings.workdir.as_ref());
    let mut umask = own.and_then(|part| part.umask.clone()).or_else(|| settings.umask.clone());
    if let Err(failure) = settle(&mut umask, &building.variables, "umask", parse_umask, UMASK_RULE) {
        building.failures.push(failure);
    }
    let user = user.and_then(|template| building.expand(template, "`user`"));
    let workdir = workdir.and_then(|template| building.expand(template, "`workdir`"));

    building.tell_unset();

    let skip_on = own.and_then(|part| part.skip_setup_on.as_deref()).unwrap_or_default();
    let given = call.words.as_deref().unwrap_or_default();
    let asked = given.iter().find(|word| skip_on.iter().any(|each| each.as_bytes() == word.as_bytes()));
    let skip_all = call.skip_setup.or_else(|| {
        asked.map(|word| format!("the caller gave {}, which `skip-setup-on` has", quoted(word.as_bytes())))
    });
    let steps: Vec<PlanStep> = layers
        .iter()
        .flat_map(|(layer, _)| &layer.setup)
        .map(|step| {
            let skip = skip_all.clone().or_else(|| filtered(step, verb_name.as_ref(), &environment.name));
            PlanStep { label: label(step), step: step.clone(), skip }
        })
        .collect();
    for step in steps.iter().filter(|step| step.skip.is_none()) {
        let is_secret = |name: &str| {
            let found = building.variables.get(name.as_bytes());
            building.secrets.contains(name) || found.is_some_and(|found| found.secret)
        };
        building
            .failures
            .extend(secret_in_marker(&step.step, is_secret).map(|key| secret_marker(&step.label, key)));
    }

    let mut parameters: Vec<OsString> = verb_name.iter().map(|verb| OsString::from(verb.as_str())).collect();
    parameters.extend(given.iter().cloned());
    let arguments = match call.words {
        Some(words) if !words.is_empty() => Arguments::Given(words),
        _ => Arguments::Default(own.and_then(|part| part.args.clone()).unwrap_or_default()),
    };
    let plan = Plan {
        verb: verb_name,
        environment,
        variables: building.variables,
        unset: own.and_then(|part| part.unset.clone()).unwrap_or_default(),
        secrets: building.secrets,
        steps,
        parameters,
        user,
        workdir,
        umask: umask.as_ref().and_then(Deferred::known),
        limits: own.map(|part| part.limits.clone()).unwrap_or_default(),
        capabilities: own.and_then(|part| part.capabilities.clone()),
        no_new_privileges: own.and_then(|part| part.no_new_privileges).unwrap_or(false),
        init: match own.and_then(|part| part.init.clone()) {
            Some(Init::With(options)) => Some(options),
            Some(Init::Supervise) => Some(InitOptions::default()),
            Some(Init::Exec) | None => None,
        },
        target: Target { exec: own.and_then(|part| part.exec.clone()).unwrap_or_default(), arguments },
        interpreters: interpreters(settings),
    };
    Planned { plan, failures: building.failures }
}

/// The key of a step's marker that would write a secret to a disk.
pub(crate) fn secret_in_marker(step: &Step, is_secret: impl Fn(&str) -> bool) -> Option<&'static str> {
    let keys = [("once", &step.once), ("per", &step.per)];
    let holds = |template: &Template| template.names().into_iter().any(&is_secret);
    keys.into_iter().find(|(_, template)| template.as_ref().is_some_and(holds)).map(|(key, _)| key)
}

/// The failure of such a key.
pub(crate) fn secret_marker(label: &str, key: &str) -> Failure {
    let sentence = format!("`{key}` of step `{label}` holds a secret, and would be written to a disk");
    Failure::say(Kind::Table, sentence).field("step", label).field("key", key)
}

/// The table's interpreters over the one that is built in.
pub(crate) fn interpreters(settings: &Settings) -> Vec<(String, Vec<String>)> {
    let mut all = settings.interpreters.clone();
    if !all.iter().any(|(extension, _)| extension == "py") {
        all.push(("py".to_owned(), vec!["python3".to_owned()]));
    }
    all
}

fn filtered(step: &Step, verb: Option<&VerbName>, environment: &EnvironmentName) -> Option<String> {
    match verb {
        None if step.verbs.present => return Some("it is for verbs, and a command was given".to_owned()),
        Some(verb) if !step.verbs.admits(verb.as_str()) => {
            return Some(format!("it is not for verb `{verb}`"));
        }
        _ => {}
    }
    (!step.environments.admits(environment.as_str()))
        .then(|| format!("it is not for environment `{environment}`"))
}

/// The variables as the layers build them up.
struct Building {
    variables: Variables,
    failures: Vec<Failure>,
    /// Variables that have no value because of a failure that is told, here or at the end.
    missing: BTreeSet<String>,
    /// Variables that an expansion found unset, and the sentence about each; told at the end, unless the
    /// declaration has told it better by then.
    unset: Vec<(String, String)>,
    /// The declared secrets: shown nowhere, whichever layer sets them.
    secrets: BTreeSet<String>,
}

impl Building {
    /// The variables that say what runs where. Set below the layers, so that those can use them, and again
    /// above, so that none can make `--health` believe something else.
    fn preverb(&mut self, environment: &Environment, verb: Option<&VerbName>) {
        let name = environment.name.as_str();
        self.variables.set(b"PREVERB_ENVIRONMENT", name, Origin::Preverb, false);
        match verb {
            Some(verb) => self.variables.set(b"PREVERB_VERB", verb.as_str(), Origin::Preverb, false),
            None => self.variables.unset(b"PREVERB_VERB"),
        }
        if environment.why == Why::Option
            && self.variables.get(environment.variable.as_bytes()).map(|found| found.value)
                != Some(name.as_bytes())
        {
            self.variables.set(environment.variable.as_bytes(), name, Origin::Option, false);
        }
    }

    fn fail(&mut self, name: &str, sentence: String, hint: Option<&str>) {
        let mut failure = Failure::say(Kind::Variable, sentence).field("variable", name);
        if let Some(hint) = hint {
            failure = failure.hint(escaped(hint.as_bytes()));
        }
        self.failures.push(failure);
        self.missing.insert(name.to_owned());
    }

    /// The secrets from their files, then the defaults: both below the layers.
    fn declared(&mut self, declarations: &[Declaration], files: &[SecretFile]) {
        for declaration in declarations {
            let name = declaration.name.as_str();
            let about = declaration.about.as_deref();
            if declaration.is_secret() {
                self.variables.mark_secret(name.as_bytes());
            }
            if let Some(file) = files.iter().find(|file| file.name == name) {
                let path = quoted(file.path.as_os_str().as_bytes());
                let given = self.variables.non_empty(name.as_bytes()).is_some();
                let file_variable = format!("{name}_FILE");
                match &file.content {
                    _ if file.named && given => {
                        let sentence =
                            format!("variables `{name}` and `{file_variable}` are both set: give one");
                        self.fail(name, sentence, about);
                    }
                    Ok(value) => {
                        let origin = Origin::File(escaped(file.path.as_os_str().as_bytes()));
                        self.variables.set(name.as_bytes(), value, origin, true);
                    }
                    Err(reason) => {
                        let sentence =
                            format!("cannot read the value of variable `{name}` from {path}: {reason}");
                        self.fail(name, sentence, about);
                    }
                }
                if file.named {
                    self.variables.unset(file_variable.as_bytes());
                }
            }
            if let Some(default) = &declaration.default
                && self.variables.non_empty(name.as_bytes()).is_none()
                && !self.missing.contains(name)
            {
                self.variables.set(name.as_bytes(), default, Origin::Default, declaration.is_secret());
            }
        }
    }

    /// One `env`, expanded against what is below it.
    fn layer(&mut self, layer: &Layer, origin: &Origin) {
        if layer.env.is_empty() {
            return;
        }
        let below = self.variables.clone();
        let missing_below = self.missing.clone();
        for setting in &layer.env {
            match setting.value.expand_all(&below) {
                Ok(value) => {
                    self.missing.remove(&setting.name);
                    let secret = value.secret || self.secrets.contains(&setting.name);
                    self.variables.set(setting.name.as_bytes(), value.bytes, origin.clone(), secret);
                }
                Err(missing) => {
                    self.missing.insert(setting.name.clone());
                    for unset in missing.iter().filter(|unset| !missing_below.contains(&unset.name)) {
                        self.unset(unset, &quoted(&setting.name));
                    }
                }
            }
        }
    }

    fn unset(&mut self, unset: &Fault, what: &str) {
        if !self.unset.iter().any(|(name, _)| *name == unset.name) {
            self.unset.push((unset.name.clone(), unset.needed_by(what)));
        }
    }

    fn expand(&mut self, template: &Template, what: &str) -> Option<Expanded> {
        match template.expand_all(&self.variables) {
            Ok(expanded) => Some(expanded),
            Err(missing) => {
                for unset in &missing {
                    if !self.missing.contains(&unset.name) {
                        self.unset(unset, what);
                    }
                }
                None
            }
        }
    }

    /// Tells what expansions found unset, where nothing has told it yet.
    fn tell_unset(&mut self) {
        for (name, sentence) in std::mem::take(&mut self.unset) {
            if !self.failures.iter().any(|failure| failure.has_field("variable", &name)) {
                self.fail(&name, sentence, None);
            }
        }
    }

    /// `required`, `type` and `one-of`, on what all layers yield.
    fn check(&mut self, declarations: &[Declaration]) {
        for declaration in declarations {
            let name = declaration.name.as_str();
            let about = declaration.about.as_deref();
            let Some(value) = self.variables.non_empty(name.as_bytes()).map(<[u8]>::to_vec) else {
                if declaration.is_required() && !self.missing.contains(name) {
                    let state =
                        if self.variables.get(name.as_bytes()).is_some() { "empty" } else { "not set" };
                    self.fail(name, format!("variable `{name}` is required, and is {state}"), about);
                }
                continue;
            };
            if self.missing.contains(name) {
                continue;
            }
            let secret = self.variables.get(name.as_bytes()).is_some_and(|found| found.secret);
            let shown = Expanded { bytes: value.clone(), secret }.shown();
            if let Some(kind) = declaration.kind.filter(|kind| !kind.admits(&value)) {
                self.fail(name, wrong_type(name, &shown, kind), about);
            } else if let Some(allowed) = &declaration.one_of
                && !allowed.iter().any(|each| each.as_bytes() == value)
            {
                let list: Vec<String> = allowed.iter().map(quoted).collect();
                let list = if declaration.is_secret() { MASK.to_owned() } else { list.join(", ") };
                self.fail(name, format!("variable `{name}` is `{shown}`, and must be one of {list}"), about);
            }
        }
    }
}

fn wrong_type(name: &str, shown: &str, kind: VariableKind) -> String {
    format!("variable `{name}` is `{shown}`, and must be {}", kind.rule())
}
