//! `--explain`: what a run would do, and nothing of it done. It prints the same plan that performing
//! executes.
//!
//! With `--json` it is one object. Its keys, which are all always there, may become more, and do not change;
//! what does not apply is null, an empty array or `false`:
//!
//! - `verb` (null for a command behind `--`), `environment`, `environment-reason` (a sentence),
//!   `environment-in-table`;
//! - `variables`: those that change, sorted by name, each with `name`, `value` (null where it is removed,
//!   `***` where it is secret) and `layer`: who sets it;
//! - `unset`: the names that are removed before the target starts;
//! - `steps`: in order, each with `step` (what it is called), `kind` (`run`, `hooks`, `wait`, `render`,
//!   `mkdir`, `chown`), `runs`, `reason` (why not, or null), `does` (lines of text), `user`, `timeout`,
//!   `once`, `per`;
//! - `user`, `user-note` (how it was resolved, a sentence), `workdir`, `umask` (octal text), `limits`
//!   (`NAME=VALUE`), `capabilities` (`CAP_...`; null leaves them alone), `no-new-privileges`;
//! - `supervised`, and `init` with how: `signals` (an object, `TERM` to `QUIT` or `none`), `group`, `grace`;
//! - `stop-signals`: what ends setup, where the table says so; `health`: the probe, as text;
//! - `argv`: the target's words, as far as they are known before any step; what is not keeps its `${...}`.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::plan::{Arguments, Plan, PlanStep};
use crate::setup::hook_files;
use crate::setup::hook_files::{How, Rules};
use crate::setup::once;
use crate::sys::identity;
use crate::sys::identity::Myself;
use crate::table::step::{Probe, StepKind};
use crate::text::duration::spoken;
use crate::text::escape::escaped;
use crate::text::escape::{MASK, WHY_NOT_SHOWN};
use crate::text::paint::{Paint, hanging, wrapped};
use crate::value::condition::Condition;
use crate::value::deferred::Deferred;
use crate::value::signal::signal_name;
use crate::value::template::{Expanded, Template};
use crate::value::variables::{Origin, Variables};

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
    /// Those of `unset` that may be there to be removed.
    #[serde(skip)]
    removed: Vec<String>,
    steps: Vec<ExplainedStep>,
    user: Option<String>,
    user_note: Option<String>,
    workdir: Option<String>,
    umask: Option<String>,
    limits: Vec<String>,
    capabilities: Option<Vec<String>>,
    no_new_privileges: bool,
    supervised: bool,
    init: Option<ExplainedInit>,
    stop_signals: Option<Vec<String>>,
    health: Option<String>,
    argv: Vec<String>,
}

/// How preverb supervises.
#[derive(Debug, Serialize)]
struct ExplainedInit {
    /// Signals, and as what they are passed on.
    signals: serde_json::Map<String, serde_json::Value>,
    group: bool,
    grace: Option<String>,
}

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
    per: Option<String>,
}

impl Explained {
    /// Explains a plan. Only the files of hook directories and the users are looked up.
    pub(crate) fn of(plan: &Plan, inherited: &Variables, facts: &TableFacts<'_>, myself: Myself) -> Self {
        let variables = &plan.variables;
        let shown = |expanded: &Expanded| expanded.shown();
        Self {
            verb: plan.verb.as_ref().map(ToString::to_string),
            environment: plan.environment.name.to_string(),
            environment_reason: plan.environment.why.describe(),
            environment_in_table: facts.mentioned,
            variables: changed(plan, inherited, myself),
            unset: plan.unset.iter().map(|name| escaped(name.as_bytes())).collect(),
            removed: removed(plan),
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
            init: plan.init.as_ref().map(|init| ExplainedInit {
                signals: init
                    .signals
                    .iter()
                    .map(|(from, to)| (short(*from), to.map_or("none".to_owned(), short).into()))
                    .collect(),
                group: init.group.unwrap_or(false),
                grace: init.grace.map(spoken),
            }),
            stop_signals: facts.stop_signals.map(|signals| signals.iter().copied().map(short).collect()),
            health: facts.health.as_ref().map(|probe| probe_text(probe, variables)),
            argv: argv(plan, variables),
        }
    }
}

/// A signal's name as a table has it.
fn short(signal: i32) -> String {
    let name = signal_name(signal);
    name.strip_prefix("SIG").unwrap_or(&name).to_owned()
}

/// Which part of the table set a variable, as the table would have it.
fn layer(origin: &Origin, plan: &Plan) -> String {
    let environment = &plan.environment.name;
    let verb = plan.verb.as_ref().map_or("", crate::text::names::VerbName::as_str);
    match origin {
        Origin::EnvironmentEnv => format!("[environments.{environment}.env]"),
        Origin::VerbEnv => format!("[verbs.{verb}.env]"),
        Origin::EnvironmentVerbEnv => format!("[environments.{environment}.verbs.{verb}.env]"),
        Origin::Inherited
        | Origin::Preverb
        | Origin::Option
        | Origin::File(_)
        | Origin::Default
        | Origin::TableEnv
        | Origin::User
        | Origin::Hook(_) => origin.describe(),
    }
}

fn user_note(user: &Expanded, myself: Myself) -> String {
    match identity::resolve(user) {
        Err(_) if user.secret => "it cannot be looked up".to_owned(),
        Err(failure) => failure.sentence(),
        Ok(identity) if myself.is(&identity) => "already that user".to_owned(),
        Ok(_) if myself.is_root() && user.secret => "it can be looked up".to_owned(),
        Ok(identity) if myself.is_root() => format!("uid {}, gid {}", identity.uid, identity.gid),
        Ok(_) => format!("not root: the run goes on as uid {}", myself.uid),
    }
}

fn changed(plan: &Plan, inherited: &Variables, myself: Myself) -> Vec<ExplainedVariable> {
    let mut changed = Vec::new();
    let ours = plan.variables.get(b"HOME").is_none_or(|found| *found.origin == Origin::Inherited);
    if let Some(user) = plan.user.as_ref().filter(|_| ours && myself.is_root())
        && let Ok(identity) = identity::resolve(user)
        && inherited.get(b"HOME").map(|found| found.value) != Some(identity::home(&identity))
    {
        let home = escaped(identity::home(&identity));
        let value = Some(if user.secret { MASK.to_owned() } else { home });
        changed.push(ExplainedVariable { name: "HOME".to_owned(), value, layer: Origin::User.describe() });
    }
    for (name, found) in plan.variables.named() {
        let before = inherited.get(name);
        if before.is_some_and(|before| before.value == found.value) {
            continue;
        }
        changed.push(ExplainedVariable {
            name: escaped(name),
            value: Some(found.shown()),
            layer: layer(found.origin, plan),
        });
    }
    for (name, _) in inherited.named() {
        if plan.variables.get(name).is_none() {
            changed.push(ExplainedVariable { name: escaped(name), value: None, layer: "preverb".to_owned() });
        }
    }
    changed.sort_by(|one, other| one.name.cmp(&other.name));
    changed.dedup_by(|a, b| a.name == b.name);
    changed
}

/// The names of `unset` that are set, and any of them if a step may set it.
fn removed(plan: &Plan) -> Vec<String> {
    let exports = plan.steps.iter().any(|step| {
        step.skip.is_none() && matches!(step.step.kind, StepKind::Run { .. } | StepKind::Hooks { .. })
    });
    let names = plan.unset.iter().filter(|name| exports || plan.variables.get(name.as_bytes()).is_some());
    names.map(|name| escaped(name.as_bytes())).collect()
}

/// A template as it would expand now, or as it is written where only a step can make it expand.
fn now(template: &Template, variables: &Variables) -> String {
    template
        .expand(variables)
        .map_or_else(|_| escaped(template.source().as_bytes()), |expanded| expanded.shown())
}

/// The words of an element of an argv, likewise.
fn words_now(template: &Template, variables: &Variables) -> Vec<String> {
    template.expand_words(variables).map_or_else(
        |_| vec![escaped(template.source().as_bytes())],
        |words| words.iter().map(Expanded::shown).collect(),
    )
}

fn argv(plan: &Plan, variables: &Variables) -> Vec<String> {
    let now = |template| words_now(template, variables);
    let mut words: Vec<String> = plan.target.exec.iter().flat_map(now).collect();
    match &plan.target.arguments {
        Arguments::Default(args) => words.extend(args.iter().flat_map(now)),
        Arguments::Given(given) => words.extend(given.iter().map(|word| escaped(word.as_bytes()))),
    }
    words
}

fn explain_step(step: &PlanStep, plan: &Plan) -> ExplainedStep {
    let variables = &plan.variables;
    let set = step
        .step
        .when
        .skip_if
        .iter()
        .map(Condition::name)
        .find(|name| variables.non_empty(name.as_bytes()).is_some());
    let once = step.step.once.as_ref().map(|once| now(once, variables));
    let per = step.step.per.as_ref().map(|per| now(per, variables));
    let bytes = |template: &Template| template.expand(variables).ok().map(|expanded| expanded.bytes);
    let marker = step.step.once.as_ref().and_then(bytes).map(|path| crate::sys::exec::word(path).into());
    let is_done = |path| once::is_done(path, step.step.per.as_ref().and_then(bytes));
    let done = once.as_ref().filter(|_| marker.is_some_and(is_done));
    let reason = step
        .skip
        .clone()
        .or_else(|| set.map(|name| format!("the variable `{}` is set", escaped(name.as_bytes()))))
        .or_else(|| done.map(|marker| format!("`{marker}` exists")));
    let all = |templates: &[Template]| -> Vec<String> {
        templates.iter().flat_map(|template| words_now(template, variables)).collect()
    };
    let (kind, does) = match &step.step.kind {
        StepKind::Run { argv, .. } => ("run", vec![words(&all(argv))]),
        StepKind::Hooks { path, .. } => ("hooks", hooks(path, plan)),
        StepKind::Env(settings) => (
            "env",
            settings.iter().map(|each| format!("{} = {}", each.name, now(&each.value, variables))).collect(),
        ),
        StepKind::EnvFile(paths) => ("env-file", all(paths)),
        StepKind::Group { steps, .. } => ("setup", steps.iter().map(crate::plan::label).collect()),
        StepKind::Wait(targets) => {
            ("wait", targets.iter().map(|probe| probe_text(probe, variables)).collect())
        }
        StepKind::Render(render) => {
            let mut does =
                vec![format!("{} to {}", now(&render.from, variables), now(&render.to, variables))];
            if let Some(only) = &render.only {
                does.push(format!("only {}", all(only).join(", ")));
            }
            if render.keep_unset {
                does.push("unset variables stay".to_owned());
            }
            ("render", does)
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
        timeout: step.step.timeout.as_ref().map(|timeout| match timeout {
            Deferred::Known(timeout) => spoken(*timeout),
            Deferred::Template(template) => now(template, variables),
        }),
        once,
        per,
    }
}

/// A target of a probe.
fn probe_text(probe: &Probe, variables: &Variables) -> String {
    match probe {
        Probe::Url(template) => match template.expand(variables) {
            Ok(target) => target.shown_target(),
            Err(_) => now(template, variables),
        },
        Probe::Exec(argv) => {
            words(&argv.iter().flat_map(|template| words_now(template, variables)).collect::<Vec<_>>())
        }
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

/// Between a file of hooks and why it is skipped.
const SKIPPED: &str = ": skipped: ";

fn hooks(path: &Template, plan: &Plan) -> Vec<String> {
    let Ok(expanded) = path.expand(&plan.variables) else { return vec![escaped(path.source().as_bytes())] };
    let directory = PathBuf::from(crate::sys::exec::word(expanded.bytes.clone()));
    let shown = expanded.shown();
    let rules = Rules { interpreters: &plan.interpreters, shell: "sh", runs_executables: false };
    match hook_files::hooks(&directory, rules) {
        Err(reason) => vec![format!("{shown}: cannot be read: {reason}")],
        Ok(files) if files.is_empty() => vec![format!("{shown}: no files")],
        Ok(files) => files
            .iter()
            .map(|file| {
                let path = file.shown(&expanded);
                match &file.how {
                    How::Source { shell, .. } => format!("{path}: sourced by {}", escaped(shell.as_bytes())),
                    How::Run => format!("{path}: run"),
                    How::RunBy(shell) => format!("{path}: run by {}", escaped(shell.as_bytes())),
                    How::Interpret(argv) => {
                        let argv: Vec<String> = argv.iter().map(|word| escaped(word.as_bytes())).collect();
                        format!("{path}: run by {}", words(&argv))
                    }
                    How::Skip(_) if file.is_secret(&expanded) => {
                        format!("{path}{SKIPPED}{WHY_NOT_SHOWN}")
                    }
                    How::Skip(reason) => format!("{path}{SKIPPED}{reason}"),
                    How::Fail(what, _) => format!("{path}: fails, because it {what}"),
                }
            })
            .collect(),
    }
}

/// Where what is said of a run begins.
const COLUMN: usize = 13;

/// The lines of an explanation as they come about.
struct Lines {
    out: String,
    paint: Paint,
}

impl Lines {
    fn push(&mut self, line: &str) {
        let _ = writeln!(self.out, "{line}");
    }

    /// A heading and what belongs to it, which is never broken: it may be copied.
    fn item(&mut self, heading: &str, text: &str) {
        let heading = self.paint.bold(heading) + &" ".repeat(COLUMN.saturating_sub(heading.chars().count()));
        self.push(format!("{heading}{text}").trim_end());
    }

    /// A heading and words, in lines.
    fn prose(&mut self, heading: &str, text: &str) {
        let mut lines = wrapped(text, COLUMN, COLUMN).into_iter();
        self.item(heading, &lines.next().unwrap_or_default());
        for line in lines {
            self.item("", &line);
        }
    }

    /// Something of the user's that is not broken, and an aside of ours behind it, in the next line if it
    /// does not fit in this one.
    fn aside(&mut self, indent: usize, text: &str, aside: &str) {
        let used = indent + text.chars().count();
        let mut lines = wrapped(aside, used + 2, indent + 2).into_iter();
        let first = lines.next().unwrap_or_default();
        let fits = aside.is_empty() || used + 2 + first.chars().count() <= 80;
        let before = format!("{:indent$}{text}", "");
        if fits {
            let painted = self.paint.dim(&first);
            self.push(format!("{before}  {painted}").trim_end());
        } else {
            self.push(&before);
            lines = wrapped(aside, indent + 2, indent + 2).into_iter();
        }
        for line in lines {
            let painted = self.paint.dim(&line);
            self.push(&format!("{:1$}{painted}", "", indent + 2));
        }
    }
}

/// The explanation as text.
pub(crate) fn text(explained: &Explained, paint: Paint) -> String {
    let mut lines = Lines { out: String::new(), paint };
    lines.item("verb", explained.verb.as_deref().unwrap_or("none: a command was given"));
    lines.prose("environment", &format!("{}, {}", explained.environment, explained.environment_reason));
    if !explained.environment_in_table {
        lines.item("", "the table does not mention it");
    }
    lines.push(&paint.bold("variables"));
    let width = explained.variables.iter().map(|variable| variable.name.chars().count()).max().unwrap_or(0);
    for variable in &explained.variables {
        match &variable.value {
            Some(value) => {
                lines.aside(
                    2,
                    &format!("{:width$} = {value}", variable.name),
                    &format!("({})", variable.layer),
                );
            }
            None => lines.push(&format!("  {:width$} removed", variable.name)),
        }
    }
    for name in &explained.removed {
        lines.aside(2, &format!("{name:width$} removed before the target"), "(unset)");
    }
    lines.push(&paint.bold("steps"));
    if explained.steps.is_empty() {
        lines.push("  none");
    }
    for (number, step) in explained.steps.iter().enumerate() {
        step_lines(&mut lines, number + 1, step);
    }
    if let Some(user) = &explained.user {
        let note = explained.user_note.as_ref().map(|note| format!("  ({note})")).unwrap_or_default();
        lines.prose("user", &format!("{user}{note}"));
    }
    if let Some(workdir) = &explained.workdir {
        lines.item("workdir", workdir);
    }
    if let Some(umask) = &explained.umask {
        lines.item("umask", umask);
    }
    if !explained.limits.is_empty() {
        lines.prose("limits", &explained.limits.join(" "));
    }
    if let Some(capabilities) = &explained.capabilities {
        let list = if capabilities.is_empty() { "none".to_owned() } else { capabilities.join(" ") };
        lines.prose("capabilities", &list);
    }
    if explained.no_new_privileges {
        lines.item("privileges", "none can be gained by an exec");
    }
    if let Some(init) = &explained.init {
        let mut text = "preverb stays and supervises".to_owned();
        for (signal, becomes) in &init.signals {
            let _ = match becomes.as_str().unwrap_or_default() {
                "none" => write!(text, "; {signal} is not passed on"),
                other => write!(text, "; {signal} is passed on as {other}"),
            };
        }
        if init.group {
            text.push_str("; signals go to the target's group");
        }
        if let Some(grace) = &init.grace {
            let _ = write!(text, "; what is left has {grace} to end");
        }
        lines.prose("init", &text);
    }
    if let Some(signals) = &explained.stop_signals {
        let list = if signals.is_empty() { "none".to_owned() } else { signals.join(" ") };
        lines.prose("stop signals", &list);
    }
    if let Some(health) = &explained.health {
        lines.item("health", health);
    }
    lines.item("target", &words(&explained.argv));
    lines.out
}

fn step_lines(lines: &mut Lines, number: usize, step: &ExplainedStep) {
    let state = match &step.reason {
        Some(reason) => format!("skipped: {reason}"),
        None => "runs".to_owned(),
    };
    let before = format!("  {number}. ");
    for line in hanging(&before, &format!("{}: {state}", step.step)) {
        lines.push(&line);
    }
    let mut notes = Vec::new();
    notes.extend(step.user.as_ref().map(|user| format!("as {user}")));
    notes.extend(step.timeout.as_ref().map(|timeout| format!("at most {timeout}")));
    notes.extend(step.once.as_ref().map(|once| format!("once, by {once}")));
    notes.extend(step.per.as_ref().map(|per| format!("per {per}")));
    let indent = before.chars().count();
    if !notes.is_empty() {
        lines.push(&format!("{:indent$}{}", "", notes.join("; ")));
    }
    for each in &step.does {
        match each.split_once(SKIPPED) {
            Some((path, reason)) => lines.aside(indent, path, &format!("skipped: {reason}")),
            None => lines.push(&format!("{:indent$}{each}", "")),
        }
    }
}

/// The explanation as JSON.
pub(crate) fn json(explained: &Explained) -> String {
    serde_json::to_string_pretty(explained).unwrap_or_default() + "\n"
}
