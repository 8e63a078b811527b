//! `--explain`: what a run would do, and nothing of it done. It prints the same plan that performing
//! executes.
//!
//! With `--json` it is one object. Its keys, which are all always there, may become more, and do not
//! change; what does not apply is null, an empty array or `false`:
//!
//! - `verb` (null for a command after `--`), `environment`, `environment-reason` (a sentence),
//!   `environment-in-table`;
//! - `variables`: those that change, sorted by name, each with `name`, `value` (null where it is removed,
//!   `***` where it is secret), `layer` (who sets it) and `replaces` (whether it takes the place of an
//!   inherited value);
//! - `declared`: every declared variable, with `name`, `value` (or null) and `source`: where the value
//!   comes from;
//! - `unset`: the names that are removed before the target starts;
//! - `steps`: in order, each with `step` (what it is called), `kind` (the key that says so), `runs` as
//!   things stand, `reason` (why not, or null), `conditions` (each with `key`, `condition`, `holds`, and
//!   `open`: whether a step before may change that), `does` (an argv, paths, targets or `NAME=value`),
//!   `files` of hooks (`path`, `how`, `program`, `reason`), `steps` of a group, `unexpanded`, `user`,
//!   `timeout`, `grace`, `on-failure`, `once`, `per`, `stdin`;
//! - `user`, `user-note` (how it was resolved, a sentence), `workdir`, `umask` (octal text), `limits`
//!   (`NAME=VALUE`), `capabilities` (`CAP_...`; null leaves them alone), `no-new-privileges`;
//! - `supervised`, and `init` with how: `signals` (an object, `TERM` to `QUIT` or `none`), `group`, `grace`,
//!   `exit` (an object, `143` to 0);
//! - `stop-signals`: what ends setup, where the table says so; `health`: the probe, as text;
//! - `argv`: the target's words, as far as they are known before any step; what is not keeps its `${...}`;
//! - `unexpanded`: what in them cannot be expanded yet, each with `element` and `message`;
//! - `problems`: what would end the run, each with `message` and `exit-code`; the first is this one's own.
//!
//! Every string but a `message` is exact, and one that is not UTF-8 is an object with its `base64`. What
//! is secret, and the user information of a URL, is `***`.

pub(crate) mod now;
pub(crate) mod shape;
pub(crate) mod steps;
pub(crate) mod text;

use crate::modes::explain::now::{Now, shown};
use crate::modes::explain::shape::{Explained, ExplainedDeclared, ExplainedInit, ExplainedVariable, Problem};
use crate::modes::explain::steps::Steps;
use crate::plan::target::{Arguments, faulty};
use crate::plan::{Plan, PlanStep};
use crate::sys::identity::{self, Myself};
use crate::sys::read;
use crate::text::duration::spoken;
use crate::text::escape::MASK;
use crate::text::exact::Exact;
use crate::text::failure::Failure;
use crate::text::names::VerbName;
use crate::text::url::masked;
use crate::value::signal::signal_name;
use crate::value::step::{Probe, StepKind};
use crate::value::template::Expanded;
use crate::value::variables::{Found, Origin, Variables};

/// What the table says of the run that is no part of its plan.
#[derive(Debug)]
pub(crate) struct TableFacts<'b> {
    /// Whether it mentions the environment.
    pub(crate) mentioned: bool,
    /// The signals that end setup, where it says so.
    pub(crate) stop_signals: Option<&'b [i32]>,
    /// How to tell whether the verb is healthy.
    pub(crate) health: Option<Probe>,
}

/// Explains a plan, and what would end its run. Only the files of hook directories, the paths of
/// conditions and the users are looked up.
pub(crate) fn explain(
    plan: &Plan,
    mut failures: Vec<Failure>,
    inherited: &Variables,
    table: &TableFacts<'_>,
    myself: Myself,
) -> (Explained, Vec<Failure>) {
    let mut walk = Steps::new(plan, myself);
    let steps = walk.explain(&plan.steps);
    let mut now = Now::new(plan.facts(&walk.variables, &read::is_there), &plan.target);
    let argv = argv(plan, &mut now);
    let health = table
        .health
        .as_ref()
        .map(|probe| Now::new(plan.facts(&walk.variables, &read::is_there), &plan.target).probe(probe));
    let mut unexpanded = Vec::new();
    for (element, fault) in now.unexpanded {
        let fails = !walk.changes.may_set(&fault.name) && !plan.late_names().any(|name| name == fault.name);
        if fails && !failures.iter().any(|failure| failure.has_field("variable", fault.name.as_str())) {
            failures.push(faulty(fault, "the target"));
        }
        unexpanded.push(element);
    }
    // It may be one that the image has and this machine lacks.
    let no_user = plan.user.as_ref().and_then(|user| identity::resolve(user).err());
    let explained = Explained {
        verb: plan.verb.as_ref().map(ToString::to_string),
        environment: plan.environment.name.to_string(),
        environment_reason: plan.environment.describe(),
        environment_in_table: table.mentioned,
        variables: changed(plan, inherited, myself),
        declared: plan.declared.iter().map(|name| declared(plan, name)).collect(),
        unset: plan.unset.clone(),
        removed: removed(plan),
        steps,
        user: plan.user.as_ref().map(shown),
        user_note: plan.user.as_ref().map(|user| user_note(user, myself)),
        workdir: plan.workdir.as_ref().map(shown),
        umask: plan.umask.map(|umask| format!("{umask:04o}")),
        limits: plan
            .limits
            .iter()
            .map(|limit| {
                let value = limit.value.map_or("unlimited".to_owned(), |value| value.to_string());
                format!("{}={value}", limit.resource.name)
            })
            .collect(),
        capabilities: plan
            .capabilities
            .as_ref()
            .map(|capabilities| capabilities.iter().map(|capability| capability.name()).collect()),
        no_new_privileges: plan.no_new_privileges,
        supervised: plan.init.is_some(),
        init: plan.init.as_ref().map(|init| ExplainedInit {
            signals: init
                .signals
                .iter()
                .map(|(from, to)| (short(*from), to.map_or("none".to_owned(), short).into()))
                .collect(),
            group: init.group.unwrap_or(false),
            grace: init.grace.map(spoken),
            exit: init.exit.iter().map(|(from, to)| (from.to_string(), (*to).into())).collect(),
        }),
        stop_signals: table.stop_signals.map(|signals| signals.iter().copied().map(short).collect()),
        health,
        argv,
        unexpanded,
        problems: failures.iter().chain(&no_user).map(problem).collect(),
    };
    (explained, failures)
}

fn problem(failure: &Failure) -> Problem {
    Problem { message: failure.sentence(), exit_code: failure.kind().exit_code() }
}

fn argv(plan: &Plan, now: &mut Now<'_>) -> Vec<Exact> {
    let mut words = now.argv(&plan.target.exec);
    match &plan.target.arguments {
        Arguments::Default(args) => words.extend(now.argv(args)),
        Arguments::Given(given) => {
            words.extend(given.iter().map(|given| Exact(masked(given.as_encoded_bytes()))));
        }
    }
    words.extend(now.argv(&plan.target.after));
    words
}

/// What may be shown of a variable's value.
fn value(found: Found<'_>) -> Exact {
    Exact(if found.secret { MASK.into() } else { masked(found.value) })
}

/// Where the value of a declared variable comes from.
fn declared(plan: &Plan, name: &str) -> ExplainedDeclared {
    let found = plan.variables.get(name.as_bytes());
    let source = match found {
        Some(found) => layer(found.origin, plan),
        None if plan.late_names().any(|late| late == name) => "a step supplies it".to_owned(),
        None => "nowhere".to_owned(),
    };
    ExplainedDeclared { name: name.to_owned(), value: found.map(value), source }
}

/// A signal's name as a table has it.
fn short(signal: i32) -> String {
    let name = signal_name(signal);
    name.strip_prefix("SIG").unwrap_or(&name).to_owned()
}

/// Which part of the table set a variable, as the table would have it.
fn layer(origin: &Origin, plan: &Plan) -> String {
    let environment = &plan.environment.name;
    let verb = plan.verb.as_ref().map_or("", VerbName::as_str);
    match origin {
        Origin::EnvironmentEnv => format!("[environments.{environment}.env]"),
        Origin::VerbEnv => format!("[verbs.{verb}.env]"),
        Origin::EnvironmentVerbEnv => format!("[environments.{environment}.verbs.{verb}.env]"),
        Origin::Inherited
        | Origin::Preverb
        | Origin::Option
        | Origin::File { .. }
        | Origin::Alias(_)
        | Origin::Default
        | Origin::TableEnv
        | Origin::User
        | Origin::Hook(_)
        | Origin::Step(_) => origin.describe(),
    }
}

/// Whether an `env` of the table set a variable.
fn is_of_table(origin: &Origin) -> bool {
    matches!(origin, Origin::TableEnv | Origin::EnvironmentEnv | Origin::VerbEnv | Origin::EnvironmentVerbEnv)
}

fn user_note(user: &Expanded, myself: Myself) -> String {
    match identity::resolve(user) {
        Err(_) if user.secret => "it cannot be looked up".to_owned(),
        Err(failure) => failure.sentence(),
        Ok(identity) if myself.is(&identity) => "already that user".to_owned(),
        Ok(_) if myself.is_root() && user.secret => "it can be looked up".to_owned(),
        Ok(identity) if myself.is_root() => format!("uid {}, gid {}", identity.uid, identity.gid),
        Ok(_) => format!("not root: continuing as uid {}", myself.uid),
    }
}

fn changed(plan: &Plan, inherited: &Variables, myself: Myself) -> Vec<ExplainedVariable> {
    let mut changed = Vec::new();
    let ours = plan.variables.get(b"HOME").is_none_or(|found| *found.origin == Origin::Inherited);
    if let Some(user) = plan.user.as_ref().filter(|_| ours && myself.is_root())
        && let Ok(identity) = identity::resolve(user)
        && inherited.get(b"HOME").map(|found| found.value) != Some(identity::home(&identity))
    {
        let home = identity::home(&identity).to_vec();
        let value = Some(Exact(if user.secret { MASK.into() } else { home }));
        let (name, layer) = (Exact(b"HOME".into()), Origin::User.describe());
        changed.push(ExplainedVariable { name, value, layer, replaces: false });
    }
    for (name, found) in plan.variables.named() {
        let before = inherited.get(name);
        if before.is_some_and(|before| before.value == found.value) {
            continue;
        }
        changed.push(ExplainedVariable {
            name: Exact(name.to_vec()),
            value: Some(value(found)),
            layer: layer(found.origin, plan),
            replaces: before.is_some() && is_of_table(found.origin),
        });
    }
    for (name, _) in inherited.named() {
        if plan.variables.get(name).is_none() {
            let (name, layer) = (Exact(name.to_vec()), Origin::Preverb.describe());
            changed.push(ExplainedVariable { name, value: None, layer, replaces: false });
        }
    }
    changed.sort_by(|one, other| one.name.cmp(&other.name));
    changed.dedup_by(|a, b| a.name == b.name);
    changed
}

/// The names of `unset` that are set, and any of them if a step may set it.
fn removed(plan: &Plan) -> Vec<String> {
    let sets = |step: &PlanStep| match step.step.kind {
        StepKind::Run { .. } | StepKind::Hooks { .. } | StepKind::Env(_) | StepKind::EnvFile(_) => true,
        StepKind::Wait(_)
        | StepKind::Group { .. }
        | StepKind::Render(_)
        | StepKind::Mkdir { .. }
        | StepKind::Chown(_) => false,
    };
    let sets = plan.steps.iter().flat_map(PlanStep::all).any(sets);
    plan.unset.iter().filter(|name| sets || plan.variables.get(name.as_bytes()).is_some()).cloned().collect()
}

/// The explanation as JSON.
pub(crate) fn json(explained: &Explained) -> String {
    serde_json::to_string_pretty(explained).unwrap_or_default() + "\n"
}
