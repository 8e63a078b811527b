//! `--explain`: shows what a run would do, without doing it. It prints the plan that a run would perform. The
//! keys of `--json` are in preverb(1). New keys may be added; existing ones do not change.
//!
//! Every string but a `message` is exact; one that is not UTF-8 is an object with its `base64`. Secrets and
//! the user information of a URL are `***`.

mod shape;
mod steps;
pub(crate) mod text;

use crate::modes::explain::shape::{Explained, ExplainedDeclared, ExplainedInit, ExplainedVariable, Problem};
use crate::modes::explain::steps::{Expander, Steps, shown};
use crate::plan::{Plan, PlanStep, fault_failure};
use crate::sys::{Credentials, Identity, identity, read};
use crate::table::{Settings, Tree};
use crate::text::url::masked;
use crate::text::{Exact, Failure, MASK, Result, VerbName, readable};
use crate::value::{Expanded, Found, LAYERS, Limit, Origin, Probe, StepKind, Variables, signal_name};

/// Explains a plan, and the problems that would end its run. It only looks up the files of hook directories,
/// the paths of conditions, and users.
pub(crate) fn explain(
    plan: &Plan, mut failures: Vec<Failure>, inherited: &Variables, tree: Tree<'_>, settings: &Settings,
    health: Option<&Probe>,
) -> (Explained, Vec<Failure>) {
    let myself = Credentials::observe();
    let mut walk = Steps::new(plan, myself);
    let steps = walk.explain(&plan.steps);
    let facts = plan.facts(&walk.variables, &read::is_there);
    let health = health.map(|probe| Expander::new(facts, &plan.target).probe(probe));
    let mut now = Expander::new(facts, &plan.target);
    let mut argv = now.argv(&plan.target.exec);
    argv.extend(now.argv(&plan.target.args));
    argv.extend(plan.target.given.iter().map(|given| Exact(masked(given.as_encoded_bytes()))));
    argv.extend(now.argv(&plan.target.after));
    let mut unexpanded = Vec::new();
    for (element, fault) in now.unexpanded {
        unexpanded.push(element);
        let is_known = plan.missing.contains(&fault.name) || plan.late_names().any(|name| name == fault.name);
        let fails = !walk.may_set(&fault.name) && !is_known;
        if fails && !failures.iter().any(|failure| failure.has_field("variable", fault.name.as_str())) {
            failures.push(fault_failure(fault, "the target"));
        }
    }
    if !plan.late_names().any(|name| walk.may_set(name)) {
        failures.extend(plan.judge_late(&walk.variables).err());
    }
    let user = plan.user.as_ref().map(|user| (user, identity::resolve(user)));
    failures.extend(plan.user.as_ref().and_then(|user| identity::resolve(user).err()));
    let limit = |Limit { name, value, .. }: &Limit| {
        let value = value.map_or("unlimited".to_owned(), |value| value.to_string());
        format!("{name}={value}")
    };
    let problem =
        |failure: &Failure| Problem { message: failure.sentence(), exit_code: failure.kind().exit_code() };
    let problems = failures.iter().map(problem).collect();
    let explained = Explained {
        verb: plan.verb.as_ref().map(ToString::to_string),
        environment: plan.environment.name.to_string(),
        environment_reason: plan.environment.describe(),
        environment_in_table: settings.environment.names.is_some()
            || tree.mentioned().contains(plan.environment.name.as_str()),
        variables: changed(plan, inherited, user.as_ref().filter(|_| myself.is_root())),
        declared: plan.declared.iter().map(|name| declared(plan, name)).collect(),
        unset: plan.unset.clone(),
        removed: removed(plan),
        steps,
        user: plan.user.as_ref().map(shown),
        user_note: user.as_ref().map(|(user, identity)| user_note(user, identity, myself)),
        workdir: plan.workdir.as_ref().map(shown),
        umask: plan.umask.map(|umask| format!("{umask:04o}")),
        limits: plan.limits.iter().map(limit).collect(),
        capabilities: plan.capabilities.as_ref().map(|all| all.iter().map(|each| each.name()).collect()),
        no_new_privileges: plan.no_new_privileges,
        supervised: plan.init.is_some(),
        init: plan.init.as_ref().map(|init| ExplainedInit {
            signals: init.signals.iter().map(|(from, to)| (short(*from), becomes(*to).into())).collect(),
            group: init.group.unwrap_or(false),
            grace: init.grace.map(readable),
            exit: init.exit.iter().map(|(from, to)| (from.to_string(), (*to).into())).collect(),
        }),
        stop_signals: settings.stop_signals.as_ref().map(|all| all.iter().copied().map(short).collect()),
        health,
        argv,
        unexpanded,
        problems,
    };
    (explained, failures)
}

fn value(found: Found<'_>) -> Exact {
    Exact(if found.secret { MASK.into() } else { masked(found.value) })
}

fn declared(plan: &Plan, name: &str) -> ExplainedDeclared {
    let found = plan.variables.get(name.as_bytes());
    let source = match found {
        Some(found) => layer(found.origin, plan),
        None if plan.late_names().any(|late| late == name) => Exact(b"a step supplies it".into()),
        None => Exact(b"nowhere".into()),
    };
    ExplainedDeclared { name: name.to_owned(), value: found.map(value), source }
}

fn becomes(signal: Option<i32>) -> String {
    signal.map_or("none".to_owned(), short)
}

fn short(signal: i32) -> String {
    let name = signal_name(signal);
    name.strip_prefix("SIG").unwrap_or(&name).to_owned()
}

fn layer(origin: &Origin, plan: &Plan) -> Exact {
    let environment = &plan.environment.name;
    let verb = plan.verb.as_ref().map_or("", VerbName::as_str);
    let name = match LAYERS.iter().position(|layer| layer == origin) {
        Some(1) => format!("[environments.{environment}.env]"),
        Some(2) => format!("[verbs.{verb}.env]"),
        Some(3) => format!("[environments.{environment}.verbs.{verb}.env]"),
        _ => return Exact(origin.describe()),
    };
    Exact(name.into_bytes())
}

fn user_note(user: &Expanded, identity: &Result<Identity>, myself: Credentials) -> String {
    match identity {
        Err(_) if user.secret => "it cannot be looked up".to_owned(),
        Err(failure) => failure.sentence(),
        Ok(identity) if myself.is(identity) => "already that user".to_owned(),
        Ok(_) if myself.is_root() && user.secret => "it can be looked up".to_owned(),
        Ok(identity) if myself.is_root() => format!("uid {}, gid {}", identity.uid, identity.gid),
        Ok(_) => format!("not root: continuing as uid {}", myself.uid),
    }
}

fn changed(
    plan: &Plan, inherited: &Variables, user: Option<&(&Expanded, Result<Identity>)>,
) -> Vec<ExplainedVariable> {
    let mut changed = Vec::new();
    let mut add = |name: &[u8], value: Option<Exact>, origin: &Origin, replaces: bool| {
        let (name, layer) = (Exact(name.to_vec()), layer(origin, plan));
        changed.push(ExplainedVariable { name, value, layer, replaces });
    };
    let is_ours = plan.variables.get(b"HOME").is_none_or(|found| *found.origin == Origin::Inherited);
    if let Some((user, Ok(identity))) = user.filter(|_| is_ours) {
        let found = Found { value: &identity.home, secret: user.secret, origin: &Origin::User };
        if inherited.get(b"HOME").map(|found| found.value) != Some(found.value) {
            add(b"HOME", Some(value(found)), found.origin, false);
        }
    }
    for (name, found) in plan.variables.named() {
        let before = inherited.get(name);
        if before.is_none_or(|before| before.value != found.value) {
            add(name, Some(value(found)), found.origin, before.is_some() && LAYERS.contains(found.origin));
        }
    }
    for (name, _) in inherited.named().filter(|(name, _)| plan.variables.get(name).is_none()) {
        add(name, None, &Origin::Preverb, false);
    }
    changed.sort_by(|one, other| one.name.cmp(&other.name));
    changed.dedup_by(|a, b| a.name == b.name);
    changed
}

fn removed(plan: &Plan) -> Vec<String> {
    let sets = plan.steps.iter().flat_map(PlanStep::all).any(|step| {
        matches!(
            step.step.kind,
            StepKind::Run { .. } | StepKind::Hooks { .. } | StepKind::Env(_) | StepKind::EnvFile(_)
        )
    });
    plan.unset.iter().filter(|name| sets || plan.variables.get(name.as_bytes()).is_some()).cloned().collect()
}
