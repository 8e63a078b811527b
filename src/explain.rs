//! `--explain`: what a run would do, and nothing of it done. It prints the same plan that performing executes.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::expand::{Expanded, MASK, Template};
use crate::identity::{self, Myself};
use crate::observe::{self, How};
use crate::plan::{Arguments, Plan, PlanStep};
use crate::table::{Probe, StepKind};
use crate::variables::Variables;
use crate::words::{escaped, spoken};

/// A plan in words.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Explained {
    verb: Option<String>,
    environment: String,
    environment_reason: String,
    /// Whether the table has something to say about the environment.
    environment_in_table: bool,
    variables: Vec<ExplainedVariable>,
    unset: Vec<String>,
    steps: Vec<ExplainedStep>,
    user: Option<String>,
    user_note: Option<String>,
    workdir: Option<String>,
    umask: Option<String>,
    limits: Vec<String>,
    capabilities: Option<Vec<String>>,
    no_new_privileges: bool,
    supervised: bool,
    argv: Vec<String>,
}

/// A variable that changes.
#[derive(Debug, Serialize)]
struct ExplainedVariable {
    name: String,
    /// `None` where it is removed.
    value: Option<String>,
    layer: String,
}

/// A step.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ExplainedStep {
    step: String,
    kind: &'static str,
    runs: bool,
    reason: Option<String>,
    does: Vec<String>,
    user: Option<String>,
    timeout: Option<String>,
    once: Option<String>,
}

impl Explained {
    /// Explains a plan. Only the files of hook directories and the users are looked up.
    pub(crate) fn of(plan: &Plan, inherited: &Variables, mentioned: bool, myself: Myself) -> Self {
        let variables = &plan.variables;
        let shown = |expanded: &Expanded| expanded.shown();
        Self {
            verb: plan.verb.as_ref().map(ToString::to_string),
            environment: plan.environment.name.to_string(),
            environment_reason: plan.environment.why.describe(),
            environment_in_table: mentioned,
            variables: changed(plan, inherited),
            unset: plan.unset.clone(),
            steps: plan.steps.iter().map(|step| explain_step(step, plan)).collect(),
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
            argv: argv(plan, variables),
        }
    }
}

fn user_note(user: &Expanded, myself: Myself) -> String {
    match identity::resolve(&user.bytes) {
        Err(_) if user.secret => "it cannot be looked up".to_owned(),
        Err(failure) => failure.sentence(),
        Ok(identity) if myself.is(&identity) => "already that user".to_owned(),
        Ok(identity) if myself.is_root() => format!("uid {}, gid {}", identity.uid, identity.gid),
        Ok(_) => format!("not root: the run goes on as uid {}", myself.uid),
    }
}

fn changed(plan: &Plan, inherited: &Variables) -> Vec<ExplainedVariable> {
    let mut changed = Vec::new();
    for (name, found) in plan.variables.named() {
        let before = inherited.get(name);
        if before.is_some_and(|before| before.value == found.value) {
            continue;
        }
        let value = if found.secret { MASK.to_owned() } else { escaped(found.value) };
        changed.push(ExplainedVariable {
            name: escaped(name),
            value: Some(value),
            layer: found.origin.describe(),
        });
    }
    for (name, _) in inherited.named() {
        if plan.variables.get(name).is_none() {
            changed.push(ExplainedVariable { name: escaped(name), value: None, layer: "preverb".to_owned() });
        }
    }
    changed.sort_by(|a, b| a.name.cmp(&b.name));
    changed.dedup_by(|a, b| a.name == b.name);
    changed
}

/// A template as it would expand now, or as it is written where only a step can make it expand.
fn now(template: &Template, variables: &Variables) -> String {
    template
        .expand(variables)
        .map_or_else(|_| escaped(template.source().as_bytes()), |expanded| expanded.shown())
}

fn argv(plan: &Plan, variables: &Variables) -> Vec<String> {
    let mut words: Vec<String> = plan.target.exec.iter().map(|template| now(template, variables)).collect();
    match &plan.target.arguments {
        Arguments::Default(args) => words.extend(args.iter().map(|template| now(template, variables))),
        Arguments::Given(given) => words.extend(given.iter().map(|word| escaped(word.as_bytes()))),
    }
    words
}

fn explain_step(step: &PlanStep, plan: &Plan) -> ExplainedStep {
    let variables = &plan.variables;
    let set = step.step.skip_if.iter().find(|name| variables.non_empty(name.as_bytes()).is_some());
    let once = step.step.once.as_ref().map(|once| now(once, variables));
    let done = once.as_ref().filter(|marker| std::path::Path::new(marker.as_str()).exists());
    let reason = step
        .skip
        .clone()
        .or_else(|| set.map(|name| format!("the variable `{}` is set", escaped(name.as_bytes()))))
        .or_else(|| done.map(|marker| format!("`{marker}` exists")));
    let all = |templates: &[Template]| -> Vec<String> {
        templates.iter().map(|template| now(template, variables)).collect()
    };
    let (kind, does) = match &step.step.kind {
        StepKind::Run(argv) => ("run", vec![words(&all(argv))]),
        StepKind::Hooks(path) => ("hooks", hooks(path, plan)),
        StepKind::Wait(targets) => {
            let target = |probe: &Probe| match probe {
                Probe::Url(template) => now(template, variables),
                Probe::Exec(argv) => words(&all(argv)),
            };
            ("wait", targets.iter().map(target).collect())
        }
        StepKind::Render { from, to, .. } => {
            ("render", vec![format!("{} to {}", now(from, variables), now(to, variables))])
        }
        StepKind::Mkdir { paths, .. } => ("mkdir", all(paths)),
        StepKind::Chown(paths) => ("chown", all(paths)),
    };
    ExplainedStep {
        step: step.label.clone(),
        kind,
        runs: reason.is_none(),
        reason,
        does,
        user: step.step.user.as_ref().map(|user| now(user, variables)),
        timeout: step.step.timeout.map(spoken),
        once,
    }
}

/// Words as one line in which each can be told from the next.
fn words(words: &[String]) -> String {
    let plain = |word: &str| !word.is_empty() && !word.contains([' ', '"', '\'', '\\', '$']);
    words
        .iter()
        .map(|word| if plain(word) { word.clone() } else { format!("{word:?}") })
        .collect::<Vec<_>>()
        .join(" ")
}

fn hooks(path: &Template, plan: &Plan) -> Vec<String> {
    let Ok(expanded) = path.expand(&plan.variables) else { return vec![escaped(path.source().as_bytes())] };
    let directory = PathBuf::from(crate::exec::word(expanded.bytes.clone()));
    let shown = expanded.shown();
    match observe::hooks(&directory, &plan.interpreters) {
        Err(reason) => vec![format!("{shown}: cannot be read: {reason}")],
        Ok(files) if files.is_empty() => vec![format!("{shown}: no files")],
        Ok(files) => files
            .iter()
            .map(|file| {
                let path =
                    if expanded.secret { MASK.to_owned() } else { escaped(file.path.as_os_str().as_bytes()) };
                match &file.how {
                    How::Source { shell, .. } => format!("{path}: sourced by {}", escaped(shell.as_bytes())),
                    How::Run => format!("{path}: run"),
                    How::Interpret(argv) => format!("{path}: run by {}", words(argv)),
                    How::Skip(reason) => format!("{path}: passed over: {reason}"),
                    How::MistypedMount => format!("{path}: a directory, and should be a file"),
                }
            })
            .collect(),
    }
}

/// The explanation as text.
pub(crate) fn text(explained: &Explained) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    match &explained.verb {
        Some(verb) => line(format!("verb         {verb}")),
        None => line("verb         none: a command was given".to_owned()),
    }
    line(format!("environment  {}, {}", explained.environment, explained.environment_reason));
    if !explained.environment_in_table {
        line("             the table does not mention it".to_owned());
    }
    line("variables".to_owned());
    let width = explained.variables.iter().map(|variable| variable.name.chars().count()).max().unwrap_or(0);
    for variable in &explained.variables {
        match &variable.value {
            Some(value) => line(format!("  {:width$} = {value}  ({})", variable.name, variable.layer)),
            None => line(format!("  {:width$} removed", variable.name)),
        }
    }
    for name in &explained.unset {
        line(format!("  {name:width$} removed before the target  (unset)"));
    }
    line("steps".to_owned());
    if explained.steps.is_empty() {
        line("  none".to_owned());
    }
    for (number, step) in explained.steps.iter().enumerate() {
        let state = match &step.reason {
            Some(reason) => format!("skipped: {reason}"),
            None => "runs".to_owned(),
        };
        line(format!("  {}. {}: {state}", number + 1, step.step));
        let mut notes = Vec::new();
        notes.extend(step.user.as_ref().map(|user| format!("as {user}")));
        notes.extend(step.timeout.as_ref().map(|timeout| format!("at most {timeout}")));
        notes.extend(step.once.as_ref().map(|once| format!("once, by {once}")));
        if !notes.is_empty() {
            line(format!("     {}", notes.join("; ")));
        }
        for each in &step.does {
            line(format!("     {each}"));
        }
    }
    if let Some(user) = &explained.user {
        let note = explained.user_note.as_ref().map(|note| format!("  ({note})")).unwrap_or_default();
        line(format!("user         {user}{note}"));
    }
    if let Some(workdir) = &explained.workdir {
        line(format!("workdir      {workdir}"));
    }
    if let Some(umask) = &explained.umask {
        line(format!("umask        {umask}"));
    }
    if !explained.limits.is_empty() {
        line(format!("limits       {}", explained.limits.join(" ")));
    }
    if let Some(capabilities) = &explained.capabilities {
        let list = if capabilities.is_empty() { "none".to_owned() } else { capabilities.join(" ") };
        line(format!("capabilities {list}"));
    }
    if explained.no_new_privileges {
        line("privileges   none can be gained by an exec".to_owned());
    }
    if explained.supervised {
        line("init         preverb stays and supervises".to_owned());
    }
    line(format!("target       {}", words(&explained.argv)));
    out
}

/// The explanation as JSON.
pub(crate) fn json(explained: &Explained) -> String {
    serde_json::to_string_pretty(explained).unwrap_or_default() + "\n"
}
