//! A step of a `setup`.

use std::time::Duration;

use crate::table::decode::decoder::{Decoder, Key, keys};
use crate::table::decode::form::Form;
use crate::table::decode::list::effective;
use crate::table::decode::place::Place;
use crate::table::naming::unlisted;
use crate::text::log::quoted;
use crate::text::names::{NAME_RULE, VerbName};
use crate::value::condition::{Condition, Conditions};
use crate::value::deferred::Deferred;
use crate::value::signal::can_be_caught;
use crate::value::step::Setting;
use crate::value::step::{During, Executables, Filter, OnFailure, Probe, Render, Step, StepKind};
use crate::value::template::Template;
use crate::value::toml::{Node, Shape, Span};
use crate::value::words::Element;

/// The keys that say of which kind a step is.
pub(crate) const KINDS: [&str; 9] =
    ["run", "hooks", "env", "env-file", "wait", "setup", "render", "mkdir", "chown"];

/// What the keys of a step say, before its kind has put them together.
#[derive(Default)]
pub(crate) struct Draft {
    name: Option<String>,
    verbs: Filter,
    environments: Filter,
    only_if: Vec<Condition>,
    skip_if: Vec<Condition>,
    if_exists: Vec<Template>,
    unless_exists: Vec<Template>,
    timeout: Option<Deferred<Duration>>,
    grace: Option<Deferred<Duration>>,
    user: Option<Template>,
    on_failure: OnFailure,
    once: Option<Template>,
    per: Option<Template>,
    run: Option<Vec<Element>>,
    stdin: Option<Template>,
    hooks: Option<Template>,
    shell: Option<String>,
    executables: Executables,
    env: Vec<Setting>,
    env_file: Vec<Template>,
    wait: Vec<Probe>,
    during: Option<Vec<Element>>,
    ready: Vec<Probe>,
    stop_signal: Option<i32>,
    render: Option<Template>,
    to: Option<Template>,
    suffix: Option<Template>,
    only: Option<Vec<Template>>,
    keep_unset: Option<bool>,
    mode: Option<Deferred<u32>>,
    mkdir: Vec<Template>,
    chown: Vec<Template>,
}

/// The keys of a step.
pub(crate) const STEP: &[Key<Draft>] = keys! { Draft {
    "run", Form::Argv, "Runs a program.", (run = argv);
    "hooks", Form::Path, "Runs a file, or each file of a directory.", (hooks = path);
    "env", Form::Env, "Sets variables.", (env = env);
    "env-file", Form::Paths, "Sets the variables that files name.", (env_file = paths);
    "wait", Form::Probes, "Waits until targets are ready.", (wait = probes);
    // The steps of a group are read where it is known what it is in.
    "setup", Form::List("step"), "Runs steps as a group.", ();
    "render", Form::Path, "Writes a file with its `${...}` expanded.", (render = path);
    "mkdir", Form::Paths, "Makes directories.", (mkdir = paths);
    "chown", Form::Paths, "Gives trees to a user.", (chown = paths);
    "name", Form::Text, "Its name in messages, and for drop-ins.", (name = text);
    "verbs", Form::Filter, "The verbs that it is for.", (verbs = filter);
    "environments", Form::Filter, "The environments that it is for.", (environments = filter);
    "only-if", Form::Conditions, "Conditions that must all hold.", (only_if = conditions);
    "skip-if", Form::Conditions, "Conditions of which any skips it.", (skip_if = conditions);
    "if-exists", Form::Paths, "Paths that must all be there.", (if_exists = paths);
    "unless-exists", Form::Paths, "Paths of which any skips it.", (unless_exists = paths);
    "timeout", Form::Duration, "How long it may take.", (timeout = duration);
    "grace", Form::Duration, "How long it has to end once it is stopped.", (grace = duration);
    "user", Form::Text, "The user that does it.", (user = user);
    "on-failure", Form::OneOf(&OnFailure::NAMES), "Whether its failure ends the run.",
        (on_failure: OnFailure);
    "once" ["run" "hooks" "setup"], Form::Path, "The file that says it was done.", (once = path);
    "per" ["run" "hooks" "setup"], Form::Text, "A value that makes it due again once it differs.",
        (per = template);
    "stdin" ["run"], Form::Text, "The standard input of the program.", (stdin = template);
    "shell" ["hooks"], Form::Text, "The shell of scripts without a `#!` line.", (shell);
    "executables" ["hooks"], Form::OneOf(&Executables::NAMES), "Whether an executable script is sourced.",
        (executables: Executables);
    "during" ["setup"], Form::Argv, "A program that runs during the group.", (during = argv);
    "ready" ["setup"], Form::Probes, "When that program is ready for the steps.", (ready = probes);
    "stop-signal" ["setup"], Form::Text, "The signal that ends that program.", (stop_signal);
    "to" ["render"], Form::Path, "The file or directory to write.", (to = path);
    "suffix" ["render"], Form::Text, "What the names of templates end in.", (suffix);
    "only" ["render"], Form::OneOrMore, "The names that are expanded, with `*` for any text.",
        (only = Some(templates));
    "keep-unset" ["render"], Form::Flag, "Whether unset variables are left as they stand.",
        (keep_unset = flag);
    "mode" ["render" "mkdir"], Form::Mode, "The permission bits of what is written.", (mode = mode);
    // What these mean is decided before a step is read.
    "replace", Form::Flag, "In a drop-in: takes the place of the step of this name.", (a_flag);
    "remove", Form::Flag, "In a drop-in: takes out the step of this name.", (a_flag);
    "before", Form::Text, "In a drop-in: the step that it comes before.", (a_string);
} };

fn a_flag(decoder: &mut Decoder, node: Node<'_>, _: &mut Draft) {
    decoder.flag(node);
}

fn a_string(decoder: &mut Decoder, node: Node<'_>, _: &mut Draft) {
    decoder.string(node);
}

fn shell(decoder: &mut Decoder, node: Node<'_>, draft: &mut Draft) {
    draft.shell = decoder.text(node);
    if draft.shell.as_deref() == Some("") {
        decoder.mistake(node.span(), "`shell` is not the name of a program");
    }
}

fn stop_signal(decoder: &mut Decoder, node: Node<'_>, draft: &mut Draft) {
    let Some(text) = decoder.string(node) else { return };
    draft.stop_signal = decoder.signal(node.span(), text);
    if draft.stop_signal.is_some_and(|signal| !can_be_caught(signal)) {
        decoder.mistake(node.span(), format!("{} cannot be caught", quoted(text)));
    }
}

fn suffix(decoder: &mut Decoder, node: Node<'_>, draft: &mut Draft) {
    draft.suffix = decoder.template(node);
    let is_bad = |suffix: &Template| {
        suffix.source().is_empty() || suffix.is_literal() && suffix.source().contains('/')
    };
    if draft.suffix.as_ref().is_some_and(is_bad) {
        decoder.mistake(node.span(), "`suffix` is what the names of templates end in");
    }
}

impl Decoder {
    fn filter(&mut self, node: Node<'_>) -> Filter {
        let mut filter = Filter { present: true, ..Filter::default() };
        for item in self.items(node, "an array of strings") {
            let Some(text) = self.string(item) else { continue };
            let (list, bare) = match text.strip_prefix('!') {
                Some(bare) => (&mut filter.except, bare),
                None => (&mut filter.only, text),
            };
            if VerbName::parse(bare.as_bytes()).is_some() {
                list.push(bare.to_owned());
                if let Some(names) = self.environments.as_ref().filter(|_| node.key() == "environments") {
                    self.mistakes.extend(unlisted(names, bare, item.span()));
                }
            } else {
                let message = format!("{} in {} is not a valid name", quoted(text), quoted(node.key()));
                self.mistake_with_hint(item.span(), message, NAME_RULE);
            }
        }
        filter
    }

    fn templates(&mut self, node: Node<'_>) -> Vec<Template> {
        let items = self.one_or_more(node);
        items.filter_map(|item| self.template(item)).collect()
    }

    /// The steps of a list, as they count.
    pub(crate) fn steps(&mut self, setup: Node<'_>, place: Place<'_>) -> Vec<Step> {
        if setup.shape() != Shape::Array {
            self.wrong_type(setup, "an array of tables");
        }
        let (steps, mistakes) = effective(setup, matches!(place, Place::StepOf(_)));
        self.mistakes.extend(mistakes);
        steps.into_iter().filter_map(|step| self.step(step, place)).collect()
    }

    fn step(&mut self, node: Node<'_>, place: Place<'_>) -> Option<Step> {
        if !self.is_table(node) {
            return None;
        }
        let place = Place::StepOf(&place);
        let kinds: Vec<&'static str> = KINDS.into_iter().filter(|kind| node.get(kind).is_some()).collect();
        let mut draft = Draft::default();
        let has_key = |key: &&Key<Draft>| {
            let is_kind = KINDS.contains(&key.name);
            let own = key.kinds.is_empty() || key.kinds.iter().any(|kind| kinds.contains(kind));
            kinds.is_empty() || if is_kind { kinds.contains(&key.name) } else { own }
        };
        for child in node.children() {
            let key = STEP.iter().find(|key| key.name == child.key());
            match (key, &kinds[..]) {
                (Some(key), _) if has_key(&key) => key.read(self, child, &mut draft),
                // A key of another kind is told apart from one that there is not.
                (Some(key), [kind]) => {
                    let message = format!("a `{kind}` step has no {}", quoted(key.name));
                    self.mistake(child.key_span(), message);
                }
                _ => self.unknown_key(child, place, STEP.iter().filter(has_key).map(|key| key.name)),
            }
        }
        let kind = match kinds[..] {
            [kind] => kind,
            [] => {
                let list = KINDS.map(|kind| format!("`{kind}`")).join(", ");
                let message = format!("{place} does not say what to do");
                self.mistake_with_hint(node.key_span(), message, format!("a step has one of {list}"));
                return None;
            }
            [_, second, ..] => {
                let list = kinds.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(" and ");
                let many = if kinds.len() == 2 { "two".to_owned() } else { kinds.len().to_string() };
                let second = node.get(second).map_or(node.key_span(), Node::key_span);
                let message = format!("{place} has {list}, which are {many} steps");
                self.mistake_with_hint(second, message, "make each a step of its own");
                return None;
            }
        };
        self.belong_together(node);
        let span = node.get(kind).map_or(node.span(), Node::key_span);
        let kind = self.kind(node, kind, place, &mut draft)?;
        let Draft { name, verbs, environments, only_if, skip_if, if_exists, unless_exists, .. } = draft;
        let Draft { timeout, grace, user, on_failure, once, per, .. } = draft;
        let when = Conditions { only_if, skip_if, if_exists, unless_exists };
        Some(Step {
            span,
            name,
            verbs,
            environments,
            when,
            timeout,
            grace,
            user,
            on_failure,
            once,
            per,
            kind,
        })
    }

    /// Keys that mean nothing without another one.
    fn belong_together(&mut self, node: Node<'_>) {
        for (key, other) in
            [("per", "once"), ("ready", "during"), ("stop-signal", "during"), ("during", "ready")]
        {
            if let Some(key) = node.get(key)
                && node.get(other).is_none()
            {
                self.mistake(key.key_span(), format!("{} needs a `{other}`", quoted(key.key())));
            }
        }
        if let Some(render) = node.get("render")
            && node.get("to").is_none()
        {
            self.mistake(render.span(), "a `render` step needs a `to`: the file or directory to write");
        }
    }

    fn kind(&mut self, node: Node<'_>, kind: &str, place: Place<'_>, draft: &mut Draft) -> Option<StepKind> {
        Some(match kind {
            "run" => StepKind::Run { argv: draft.run.take()?, stdin: draft.stdin.take() },
            "hooks" => StepKind::Hooks {
                path: draft.hooks.take()?,
                shell: draft.shell.take(),
                executables: draft.executables,
            },
            "env" => StepKind::Env(std::mem::take(&mut draft.env)),
            "env-file" => StepKind::EnvFile(std::mem::take(&mut draft.env_file)),
            "wait" => StepKind::Wait(std::mem::take(&mut draft.wait)),
            "setup" => {
                let steps = node.get("setup").map(|setup| self.steps(setup, place)).unwrap_or_default();
                let during = draft.during.take().map(|argv| During {
                    argv,
                    ready: std::mem::take(&mut draft.ready),
                    stop_signal: draft.stop_signal,
                });
                if let Some(inner) = during.as_ref().and_then(|_| steps.iter().find_map(within)) {
                    self.mistake(inner, "a group with `during` is within another one");
                }
                StepKind::Group { steps, during }
            }
            "render" => StepKind::Render(Render {
                from: draft.render.take()?,
                to: draft.to.take()?,
                suffix: draft.suffix.take(),
                only: draft.only.take(),
                keep_unset: draft.keep_unset.unwrap_or_default(),
                mode: draft.mode.take(),
            }),
            "mkdir" => StepKind::Mkdir { paths: std::mem::take(&mut draft.mkdir), mode: draft.mode.take() },
            _ => StepKind::Chown(std::mem::take(&mut draft.chown)),
        })
    }
}

/// Where a group with `during` stands: this step, or one in it.
fn within(step: &Step) -> Option<Span> {
    match &step.kind {
        StepKind::Group { during: Some(_), .. } => Some(step.span),
        StepKind::Group { steps, during: None } => steps.iter().find_map(within),
        StepKind::Run { .. }
        | StepKind::Hooks { .. }
        | StepKind::Env(_)
        | StepKind::EnvFile(_)
        | StepKind::Wait(_)
        | StepKind::Render(_)
        | StepKind::Mkdir { .. }
        | StepKind::Chown(_) => None,
    }
}
