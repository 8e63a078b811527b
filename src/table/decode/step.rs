//! Decodes a step of a `setup`.

use crate::table::decode::decoder::{Decoder, Described, Key, Place, keys};
use crate::table::decode::list::effective;
use crate::table::naming::unlisted;
use crate::text::{NAME_RULE, VerbName, listed, quoted};
use crate::value::{
    Deferred, During, Element, Executables, Filter, Node, OnFailure, Probe, Render, Setting, Shape, Span,
    Step, StepKind, Template, can_be_caught,
};

/// The keys that set the kind of a step.
pub(crate) const KINDS: [&str; 9] =
    ["run", "hooks", "env", "env-file", "wait", "setup", "render", "mkdir", "chown"];

#[derive(Default)]
pub(crate) struct Draft {
    step: Step,
    // The next four belong to several kinds, because a step has only one.
    argv: Option<Vec<Element>>,
    path: Option<Template>,
    paths: Vec<Template>,
    probes: Vec<Probe>,
    stdin: Option<Template>,
    shell: Option<Template>,
    executables: Executables,
    env: Vec<Setting>,
    stop_signal: Option<i32>,
    to: Option<Template>,
    suffix: Option<Template>,
    only: Option<Vec<Template>>,
    keep_unset: Option<bool>,
    mode: Option<Deferred<u32>>,
}

pub(crate) const STEP: &[Key<Draft>] = keys! { Draft {
    "run", Argv, "Runs a program.", (argv = argv);
    "hooks", Path, "Runs a file, or each file of a directory.", (path = path);
    "env", Env, "Sets variables.", (env = map of setting);
    "env-file", Paths, "Sets the variables that files name.", (paths = list of path);
    "wait", Probes, "Waits until targets are ready.", (probes = from probes);
    // The steps of a group are decoded later, when their place is known.
    "setup", List("step"), "Runs steps as a group.", ();
    "render", Path, "Writes a file with its `${...}` expanded.", (path = path);
    "mkdir", Paths, "Makes directories.", (paths = list of path);
    "chown", Paths, "Gives trees to a user.", (paths = list of path);
    "name", Text, "Its name in messages, and for drop-ins.", (step.name = text);
    "verbs", Filter, "The verbs that it is for.", (step.verbs = from filter);
    "environments", Filter, "The environments that it is for.", (step.environments = from filter);
    "only-if", Conditions, "Conditions that must all hold.", (step.when.only_if = list of condition);
    "skip-if", Conditions,
        "Conditions; if any holds, the step is skipped.", (step.when.skip_if = list of condition);
    "if-exists", Paths, "Paths that must all exist.", (step.when.if_exists = list of path);
    "unless-exists", Paths,
        "Paths; if any exists, the step is skipped.", (step.when.unless_exists = list of path);
    "timeout", Duration, "How long it may take.", (step.timeout = duration);
    "grace", Duration, "How long it may take to end after a stop or a timeout.", (step.grace = duration);
    "user", Text, "The user that it runs as.", (step.user = user);
    "on-failure", OneOf(&OnFailure::NAMES), "Whether its failure ends the run.", (step.on_failure: OnFailure);
    "once" ["run" "hooks" "setup"], Path, "The file that marks it as done.", (step.once = path);
    "per" ["run" "hooks" "setup"], Text, "A value; if it changes, the step runs again.",
        (step.per = template);
    "stdin" ["run"], Text, "The standard input of the program.", (stdin = template);
    "shell" ["hooks"], Text, "The shell of scripts without a `#!` line.", (shell = program);
    "executables" ["hooks"], OneOf(&Executables::NAMES), "Whether an executable script is sourced.",
        (executables: Executables);
    "during" ["setup"], Argv, "A program that runs during the group.", (argv = argv);
    "ready" ["setup"], Probes, "When that program is ready for the steps.", (probes = from probes);
    "stop-signal" ["setup"], Text, "The signal that ends that program.", (stop_signal = stop_signal);
    "to" ["render"], Path, "The file or directory to write.", (to = path);
    "suffix" ["render"], Text, "The ending of template names.", (suffix = suffix);
    "only" ["render"], OneOrMore, "The names that are expanded, with `*` for any text.",
        (only = list of template);
    "keep-unset" ["render"], Flag, "Whether `${...}` of unset variables is left unchanged.",
        (keep_unset = flag);
    "mode" ["render" "mkdir"], Mode, "The permission bits of what is written.", (mode = mode);
    // These keys are evaluated before a step is decoded.
    "replace", Flag, "In a drop-in: takes the place of the step of this name.", (_ = flag);
    "remove", Flag, "In a drop-in: takes out the step of this name.", (_ = flag);
    "before", Text, "In a drop-in: the step that it comes before.", (_ = string);
} };

impl Decoder {
    fn program(&mut self, node: Node<'_>) -> Option<Template> {
        self.name_of(node, "a program").and_then(|_| self.template(node))
    }

    fn stop_signal(&mut self, node: Node<'_>) -> Option<i32> {
        let text = self.string(node)?;
        let signal = Some(self.signal(node.span(), text)?).filter(|signal| can_be_caught(*signal));
        signal.or_else(|| self.refuse(node.span(), format!("{} cannot be caught", quoted(text))))
    }

    fn suffix(&mut self, node: Node<'_>) -> Option<Template> {
        let suffix = self.template(node)?;
        let source = suffix.source();
        if source.is_empty() || suffix.is_literal() && source.contains('/') {
            self.mistake(node.span(), "`suffix` must be the end of a file name");
        }
        Some(suffix)
    }

    fn filter(&mut self, node: Node<'_>) -> Filter {
        let mut filter = Filter { present: true, ..Filter::default() };
        for item in self.items(node) {
            let Some(text) = self.string(item) else { continue };
            let excluded = text.strip_prefix('!');
            let list = if excluded.is_some() { &mut filter.except } else { &mut filter.only };
            let bare = excluded.unwrap_or(text);
            if VerbName::parse(bare.as_bytes()).is_some() {
                list.push(bare.to_owned());
                if let Some(names) = self.environments.as_ref().filter(|_| node.key() == "environments") {
                    self.mistakes.extend(unlisted(names, bare, item.span()));
                }
            } else {
                let message = format!("{} in {} is not a valid name", quoted(text), quoted(node.key()));
                self.mistake(item.span(), message).hint(NAME_RULE);
            }
        }
        filter
    }

    /// The steps of a list, which may be that of a group (`nested`).
    pub(crate) fn steps(&mut self, setup: Node<'_>, place: Place<'_>, nested: bool) -> Vec<Step> {
        if setup.shape() != Shape::Array {
            return self.wrong_type(setup, "an array of tables").unwrap_or_default();
        }
        let (steps, mistakes) = effective(setup, nested);
        self.mistakes.extend(mistakes);
        steps.into_iter().filter_map(|step| self.step(step, place)).collect()
    }

    fn step(&mut self, node: Node<'_>, place: Place<'_>) -> Option<Step> {
        if !self.is_table(node) {
            return None;
        }
        let place: Place<'_> = &|| format!("a step of {}", place());
        let kinds: Vec<Node<'_>> = KINDS.into_iter().filter_map(|kind| node.get(kind)).collect();
        let has_key = |key: &&Key<Draft>| {
            let Described { name, kinds: own, .. } = key.described;
            let of = if KINDS.contains(&name) { &[name] } else { own };
            kinds.is_empty()
                || of.is_empty()
                || of.iter().any(|name| kinds.iter().any(|kind| kind.key() == *name))
        };
        let mut draft = Draft::default();
        for child in node.children() {
            let key = STEP.iter().find(|key| key.described.name == child.key());
            match (key, &kinds[..]) {
                (Some(key), _) if has_key(&key) => (key.read)(self, child, &mut draft),
                // The key belongs to another kind of step.
                (Some(_), [kind]) => {
                    let message = format!("a `{}` step has no {}", kind.key(), quoted(child.key()));
                    self.mistake(child.key_span(), message);
                }
                _ => {
                    let mut known = STEP.iter().filter(has_key).map(|key| key.described.name);
                    self.unknown_key(child, place, &mut known);
                }
            }
        }
        match kinds[..] {
            [kind] => {
                self.belong_together(node);
                self.of_kind(kind, place, draft)
            }
            [] => {
                let message = format!("{} does not say what to do", place());
                let hint = format!("a step has one of {}", listed(&KINDS));
                self.refuse_with(node.key_span(), message, &hint)
            }
            [_, second, ..] => {
                let names: Vec<&str> = kinds.iter().map(|kind| kind.key()).collect();
                let list = listed(&names).replace(',', " and");
                let many = if names.len() == 2 { "two".to_owned() } else { names.len().to_string() };
                let message = format!("{} has {list}, which are {many} steps", place());
                self.refuse_with(second.key_span(), message, "make each a step of its own")
            }
        }
    }

    /// Checks keys that have no meaning without another one.
    fn belong_together(&mut self, node: Node<'_>) {
        for (key, other) in
            [("per", "once"), ("ready", "during"), ("stop-signal", "during"), ("during", "ready")]
        {
            if let Some(key) = node.get(key).filter(|_| node.get(other).is_none()) {
                self.mistake(key.key_span(), format!("{} needs a `{other}`", quoted(key.key())));
            }
        }
        if let Some(render) = node.get("render").filter(|_| node.get("to").is_none()) {
            self.mistake(render.span(), "a `render` step needs a `to`: the file or directory to write");
        }
    }

    fn of_kind(&mut self, kind: Node<'_>, place: Place<'_>, draft: Draft) -> Option<Step> {
        let Draft { step, argv, path, paths, probes, mode, .. } = draft;
        let span = kind.key_span();
        let kind = match kind.key() {
            "run" => StepKind::Run { argv: argv?, stdin: draft.stdin },
            "hooks" => {
                let shell = draft.shell.or_else(|| Template::parse("sh").ok())?;
                StepKind::Hooks { path: path?, shell, executables: draft.executables }
            }
            "env" => StepKind::Env(draft.env),
            "env-file" => StepKind::EnvFile(paths),
            "wait" => StepKind::Wait(probes),
            "setup" => {
                let steps = self.steps(kind, place, true);
                let during = argv.map(|argv| During { argv, ready: probes, stop_signal: draft.stop_signal });
                if let Some(inner) = during.as_ref().and_then(|_| steps.iter().find_map(within)) {
                    self.mistake(inner, "a group with `during` is within another one");
                }
                StepKind::Group { steps, during }
            }
            "render" => {
                let Draft { suffix, only, keep_unset, .. } = draft;
                let keep_unset = keep_unset.unwrap_or_default();
                StepKind::Render(Render { from: path?, to: draft.to?, mode, suffix, only, keep_unset })
            }
            "mkdir" => StepKind::Mkdir { paths, mode },
            _ => StepKind::Chown(paths),
        };
        Some(Step { span, kind, ..step })
    }
}

fn within(step: &Step) -> Option<Span> {
    let StepKind::Group { steps, during } = &step.kind else { return None };
    during.as_ref().map(|_| step.span).or_else(|| steps.iter().find_map(within))
}
