//! One verb in one environment, walked through as a run would: the layers, the user, the steps, the target.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::findings::{Context, Findings, Weight};
use super::image::{self, Directory, Problem, Who};
use super::known::{Known, Sure, Unknown, Value};
use crate::expand::{Expanded, MASK, Malformed, Template};
use crate::identity::{self, Identity, Myself};
use crate::log::quoted;
use crate::observe::{self, How};
use crate::perform::hooks::unsafe_for_root;
use crate::plan;
use crate::table::document::{NodeRef, Shape, Span};
use crate::table::select::{Selection, Tree};
use crate::table::{Declaration, Layer, Probe, Settings, Step, StepKind, lay_declarations};
use crate::variables::{Origin, Variables};
use crate::words::{EnvironmentName, VerbName, escaped};

type Node<'d, 's> = NodeRef<'d, 's>;

/// What is the same for every walk.
pub(super) struct Image<'i> {
    /// The table.
    pub(super) tree: Tree<'i, 'i>,
    /// Its top.
    pub(super) settings: &'i Settings,
    /// The variables of the image.
    pub(super) inherited: &'i Variables,
    /// The environment when nothing names one.
    pub(super) default_environment: &'i str,
    /// Who this process is.
    pub(super) myself: Myself,
    /// The variables that are a secret anywhere: what is said of a place is said once for all verbs.
    pub(super) secrets: &'i [String],
}

/// A walk in progress.
struct Walk<'w, 'i> {
    image: &'w Image<'i>,
    findings: &'w mut Findings,
    known: Known<'i>,
    /// Whom the verb runs as, where that is known.
    identity: Option<Identity>,
    /// Where it runs, where that is known.
    directory: Option<PathBuf>,
    interpreters: Vec<(String, Vec<String>)>,
    /// Whether a step before this one runs something, which can install and make anything.
    earlier: bool,
    /// Whether a run may skip the present step.
    may_be_skipped: bool,
    /// What steps before this one make.
    made: Vec<PathBuf>,
}

/// Walks through the runs of `verb`, or of a command behind `--`, in `environment`.
pub(super) fn walk(
    image: &Image<'_>,
    selection: &Selection,
    environment: &EnvironmentName,
    verb: Option<&VerbName>,
    findings: &mut Findings,
) {
    let name = verb.map(VerbName::as_str);
    let (base, over) = name.map_or((None, None), |name| image.tree.parts(name, environment.as_str()));
    let nodes = [Some(image.tree.root()), image.tree.environment(environment.as_str()), base, over];
    let empty = Layer::default();
    let (verb_layer, over_layer) = match &selection.verb {
        Some(verb) => (&verb.part.layer, &verb.environment_layer),
        None => (&empty, &empty),
    };
    let layers = [
        (&selection.table, Origin::TableEnv),
        (&selection.environment, Origin::EnvironmentEnv),
        (verb_layer, Origin::VerbEnv),
        (over_layer, Origin::EnvironmentVerbEnv),
    ];
    let declarations = lay_declarations(layers.iter().map(|(layer, _)| *layer));
    let variable =
        image.settings.environment_variable.as_deref().unwrap_or(crate::table::ENVIRONMENT_VARIABLE);
    let is_default = environment.as_str() == image.default_environment;
    let variable = (variable, is_default);
    let known = Known::new(image.inherited, variable, environment, name, &declarations, image.secrets);
    findings.enter(Context { environment: environment.to_string(), verb: name.map(str::to_owned) });
    let mut walk = Walk {
        image,
        findings,
        known,
        identity: None,
        directory: None,
        interpreters: plan::interpreters(image.settings),
        earlier: false,
        may_be_skipped: false,
        made: Vec::new(),
    };
    for (layer, origin) in &layers {
        walk.known.layer(layer, origin, walk.findings);
    }
    walk.known.preverb(environment, name);
    walk.declarations(&declarations, nodes);

    let part = selection.verb.as_ref().map(|verb| &verb.part);
    let own = |key: &str| over.and_then(|node| node.get(key)).or_else(|| base.and_then(|node| node.get(key)));
    // What the verb says in vain (a mistake of its own) is not made good by what the table says.
    let either = |key: &str, own_value: Option<&'_ Template>, shared: Option<&'_ Template>| match own(key) {
        Some(node) => own_value.cloned().zip(Some(node.span())),
        None => shared.cloned().zip(image.tree.root().get(key).map(Node::span)),
    };
    let user = either("user", part.and_then(|part| part.user.as_ref()), image.settings.user.as_ref());
    if let Some((user, span)) = &user {
        // Whom a run steps down to is looked up before any step.
        walk.identity = walk.user(user, *span);
    }
    let workdir =
        either("workdir", part.and_then(|part| part.workdir.as_ref()), image.settings.workdir.as_ref());
    let workdir = workdir.map(|(template, span)| (walk.value(&template, span), span));
    walk.directory = match &workdir {
        None => Some(PathBuf::from(".")),
        Some((Ok(value), _)) => Some(path(value)).filter(|path| path.is_dir()),
        Some((Err(Unknown), _)) => None,
    };

    for ((layer, _), node) in layers.iter().zip(nodes) {
        let list = node.and_then(|node| node.get("setup"));
        for step in &layer.setup {
            let applies = step.environments.admits(environment.as_str())
                && verb.map_or(!step.verbs.present, |verb| step.verbs.admits(verb.as_str()));
            let written = list
                .into_iter()
                .flat_map(Node::children)
                .find(|node| node.children().any(|child| child.key_span() == step.span));
            if let Some(node) = written.filter(|_| applies) {
                let skipped = walk.skipped(step, node);
                walk.may_be_skipped = skipped.is_some();
                if skipped != Some(Sure::Fixed) {
                    walk.step(step, node);
                }
            }
        }
    }
    walk.may_be_skipped = false;

    if let Some((Ok(value), span)) = &workdir {
        walk.workdir(value, *span);
    }
    let Some(part) = part else { return };
    if let (Some(exec), Some(node)) = (&part.exec, own("exec")) {
        if part.unset.iter().flatten().any(|name| name == "PATH") {
            walk.known.variables.unset(b"PATH");
        }
        walk.argv(exec, node, true, None);
    }
    if let (Some(args), Some(node)) = (&part.args, own("args")) {
        walk.argv(args, node, false, None);
    }
    if let (Some(health), Some(node)) = (&part.health, own("health")) {
        walk.probe(health, node, "health");
        let says = |name: &&String| matches!(&***name, "PREVERB_VERB" | "PREVERB_ENVIRONMENT");
        if let (Some(name), Some(node)) = (part.unset.iter().flatten().find(says), own("unset")) {
            let message =
                format!("`unset` removes `{name}`, without which `--health` does not know what runs");
            walk.findings.add(Weight::Warning, node.span(), message, None);
        }
    }
}

/// A value as a path.
fn path(value: &Value) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&value.bytes))
}

fn shown(path: &Path) -> String {
    quoted(path.as_os_str().as_bytes())
}

impl Walk<'_, '_> {
    fn value(&mut self, template: &Template, span: Span) -> Result<Value, Unknown> {
        self.known.value(template, span, self.findings)
    }

    /// What something weighs: how sure its value is, and whether a step before it can have made it.
    fn weight(&self, sure: Sure) -> Weight {
        if sure == Sure::Fixed && !self.earlier && !self.may_be_skipped {
            Weight::Error
        } else {
            Weight::Warning
        }
    }

    /// Whether `skip-if` or the marker of `once` keeps a step from running, and how sure that is.
    fn skipped(&mut self, step: &Step, node: Node<'_, '_>) -> Option<Sure> {
        let mut skipped = None;
        for name in &step.skip_if {
            let set = self.known.variables.non_empty(name.as_bytes()).is_some();
            match (self.known.is_fixed(name) && !self.earlier, set) {
                (true, true) => return Some(Sure::Fixed),
                (true, false) => {}
                (false, _) => skipped = Some(Sure::Likely),
            }
        }
        if let (Some(once), Some(node)) = (&step.once, node.get("once"))
            && let Ok(value) = self.value(once, node.span())
            && self.here(path(&value)).is_some_and(|marker| marker.exists())
        {
            // What is there now an earlier step can take away.
            skipped = Some(if self.earlier { Sure::Likely } else { value.sure });
        }
        skipped
    }

    fn add(&mut self, weight: Weight, span: Span, (message, hint): Problem) {
        let hint = hint.or_else(|| {
            let hint = if self.earlier {
                "an earlier step may mend that"
            } else if self.may_be_skipped {
                "a run may skip the step"
            } else {
                "a run may give the variables in it other values"
            };
            (weight == Weight::Warning).then(|| hint.to_owned())
        });
        self.findings.add(weight, span, message, hint);
    }

    fn who<'s>(&self, identity: Option<&'s Identity>) -> Who<'s> {
        Who { identity, myself: self.image.myself }
    }

    /// A path below the working directory, if it is known.
    fn here(&self, path: PathBuf) -> Option<PathBuf> {
        if path.is_absolute() { Some(path) } else { self.directory.as_ref().map(|here| here.join(path)) }
    }

    /// Whether a step makes this, or something below or above it.
    fn is_made(&self, path: &Path) -> bool {
        self.made.iter().any(|made| made.starts_with(path) || path.starts_with(made))
    }

    /// The values of declared variables that the table itself gives.
    fn declarations(&mut self, declarations: &[Declaration], nodes: [Option<Node<'_, '_>>; 4]) {
        let last = |section: &str, name: &str, key: Option<&str>| {
            nodes.iter().rev().flatten().find_map(|node| {
                let found = node.get(section)?.get(name)?;
                key.map_or(Some(found), |key| found.get(key))
            })
        };
        for declaration in declarations {
            let name = declaration.name.as_str();
            let Some(found) = self.known.variables.get(name.as_bytes()) else { continue };
            if found.value.is_empty() {
                if declaration.required == Some(true)
                    && self.known.is_fixed(name)
                    && let Some(node) = last("env", name, None)
                {
                    let message = format!("variable `{name}` is required, and this makes it empty");
                    self.findings.add(Weight::Error, node.span(), message, None);
                }
                continue;
            }
            let rule = match (&declaration.kind, &declaration.one_of) {
                (Some(kind), _) if !kind.admits(found.value) => kind.rule().to_owned(),
                (_, Some(allowed)) if !allowed.iter().any(|each| each.as_bytes() == found.value) => {
                    let list: Vec<String> = allowed.iter().map(quoted).collect();
                    let secret = self.image.secrets.contains(&declaration.name);
                    let list = if secret { MASK.to_owned() } else { list.join(", ") };
                    format!("one of {list}")
                }
                _ => continue,
            };
            let shown = if found.secret { MASK.to_owned() } else { escaped(found.value) };
            let is = format!("variable `{name}` is `{shown}`");
            let (weight, node, message) = match found.origin {
                Origin::Default => (
                    Weight::Warning,
                    last("variables", name, Some("default")),
                    format!("the default of variable `{name}` is `{shown}`, and must be {rule}"),
                ),
                Origin::TableEnv | Origin::EnvironmentEnv | Origin::VerbEnv | Origin::EnvironmentVerbEnv => {
                    (Weight::Error, last("env", name, None), format!("{is}, and must be {rule}"))
                }
                Origin::Inherited
                | Origin::Preverb
                | Origin::Option
                | Origin::File(_)
                | Origin::User
                | Origin::Hook(_) => (
                    Weight::Warning,
                    last("variables", name, None),
                    format!("{is} in the image, and must be {rule}"),
                ),
            };
            let weight =
                if weight == Weight::Error && !self.known.is_fixed(name) { Weight::Warning } else { weight };
            if let Some(node) = node {
                let hint = "a run fails unless its operator gives another value".to_owned();
                let hint = (weight == Weight::Warning).then_some(hint);
                let span = if node.shape() == Shape::Table { node.key_span() } else { node.span() };
                self.findings.add(weight, span, message, hint);
            }
        }
    }

    /// A user that is named; `None` where it is not known.
    fn user(&mut self, template: &Template, span: Span) -> Option<Identity> {
        let value = self.value(template, span).ok()?;
        match identity::resolve(&Expanded::open(value.bytes)) {
            Ok(identity) => Some(identity),
            Err(failure) => {
                self.add(self.weight(value.sure), span, failure.told());
                None
            }
        }
    }

    fn workdir(&mut self, value: &Value, span: Span) {
        let path = path(value);
        let identity = self.identity.clone();
        let problem = match image::directory(&path, self.who(identity.as_ref())) {
            Directory::There => return,
            Directory::Missing if self.is_made(&path) => return,
            Directory::Missing => "it does not exist".to_owned(),
            Directory::Refused(reason) => reason,
        };
        let message = format!("cannot enter `workdir` {}: {problem}", shown(&path));
        self.add(self.weight(value.sure), span, (message, None));
    }

    /// An argv; where `runs` its first word is a program, run by `doer` or by the verb's user.
    fn argv(&mut self, argv: &[Template], node: Node<'_, '_>, runs: bool, doer: Option<&Identity>) {
        let spans: Vec<Span> = node.children().map(Node::span).collect();
        for (number, template) in argv.iter().enumerate() {
            let span = spans.get(number).copied().unwrap_or(node.span());
            let Ok(value) = self.value(template, span) else { continue };
            if number > 0 || !runs {
                continue;
            }
            let identity = self.identity.clone();
            let problem = self.program(OsStr::from_bytes(&value.bytes), doer.or(identity.as_ref()));
            if let Err(problem) = problem {
                self.add(self.weight(value.sure), span, problem);
            }
        }
    }

    /// Whether a program can be run, as far as the image tells.
    fn program(&self, program: &OsStr, identity: Option<&Identity>) -> Result<(), Problem> {
        let unseen = self.known.is_open("PATH") || self.image.secrets.iter().any(|name| name == "PATH");
        if unseen && !program.as_bytes().contains(&b'/') {
            return Ok(());
        }
        let slashed = Path::new(program);
        if program.as_bytes().contains(&b'/')
            && self.here(slashed.to_owned()).is_some_and(|path| self.is_made(&path))
        {
            return Ok(());
        }
        image::program(program, &self.known.variables, self.directory.as_deref(), self.who(identity))
    }

    fn probe(&mut self, probe: &Probe, node: Node<'_, '_>, key: &str) {
        match probe {
            Probe::Exec(argv) => {
                if let Some(exec) = node.get("exec") {
                    self.argv(argv, exec, true, None);
                }
            }
            Probe::Url(template) => {
                let Ok(value) = self.value(template, node.span()) else { return };
                if let Err(reason) = crate::probe::Target::parse(&value.bytes) {
                    let message = format!("{} in `{key}`: {reason}", quoted(&value.bytes));
                    self.add(self.weight(value.sure), node.span(), (message, None));
                }
            }
        }
    }

    fn step(&mut self, step: &Step, node: Node<'_, '_>) {
        let span_of = |key: &str| node.get(key).map_or(step.span, Node::span);
        let own = step.user.as_ref().and_then(|user| self.user(user, span_of("user")));
        let doer = own.clone().or_else(|| if step.user.is_some() { None } else { self.identity.clone() });
        if let Some(once) = &step.once {
            let span = span_of("once");
            if let Ok(value) = self.value(once, span) {
                let marker = path(&value);
                self.place_for(&marker, &value, span, "the marker", doer.as_ref());
            }
        }
        match &step.kind {
            StepKind::Run(argv) => {
                if let Some(node) = node.get("run") {
                    self.argv(argv, node, true, own.as_ref());
                }
                self.earlier = true;
            }
            StepKind::Hooks(directory) => {
                let kept_root = own.as_ref().is_some_and(|identity| identity.uid == 0);
                self.hooks(directory, span_of("hooks"), doer.as_ref(), kept_root);
                self.earlier = true;
            }
            StepKind::Wait(targets) => {
                let Some(node) = node.get("wait") else { return };
                let many = node.shape() == Shape::Array;
                let items: Vec<Node<'_, '_>> = if many { node.children().collect() } else { vec![node] };
                // Where a target was wrong, the rest cannot be matched with what is written.
                if items.len() == targets.len() {
                    for (target, item) in targets.iter().zip(items) {
                        self.probe(target, item, "wait");
                    }
                }
            }
            StepKind::Render { from, to, .. } => {
                self.render(from, to, span_of("render"), span_of("to"), doer.as_ref());
            }
            StepKind::Mkdir { paths, .. } => {
                for (template, span) in spans(paths, node.get("mkdir"), step.span) {
                    let Ok(value) = self.value(template, span) else { continue };
                    let path = path(&value);
                    if let Some(obstacle) = self.here(path.clone()).and_then(|path| image::obstacle(&path)) {
                        let message = format!("cannot make directory {}: {obstacle}", shown(&path));
                        self.add(self.weight(value.sure), span, (message, None));
                    }
                    self.made.push(path);
                }
            }
            StepKind::Chown(paths) => {
                for (template, span) in spans(paths, node.get("chown"), step.span) {
                    let Ok(value) = self.value(template, span) else { continue };
                    let path = path(&value);
                    if path.symlink_metadata().is_err() && !self.is_made(&path) {
                        let message = format!("cannot give {} away: it does not exist", shown(&path));
                        let hint = "a run as root fails; any other passes it over".to_owned();
                        self.add(Weight::Warning, span, (message, Some(hint)));
                    }
                }
            }
        }
    }

    /// Whether a file can be made there: its directory must be, or be made before.
    fn place_for(&mut self, path: &Path, value: &Value, span: Span, what: &str, doer: Option<&Identity>) {
        let Some(path) = self.here(path.to_owned()) else { return };
        let parent = image::parent(&path);
        if self.is_made(&parent) {
            return;
        }
        let problem = match image::directory(&parent, self.who(doer)) {
            Directory::There => return,
            Directory::Missing => format!("its directory {} does not exist", shown(&parent)),
            Directory::Refused(reason) => format!("its directory {}: {reason}", shown(&parent)),
        };
        let made = escaped(parent.as_os_str().as_bytes());
        let hint = format!("make it in the image, or by a step before: `mkdir = \"{made}\"`");
        let message = format!("cannot write {what} {}: {problem}", shown(&path));
        self.add(self.weight(value.sure), span, (message, Some(hint)));
    }

    fn render(&mut self, from: &Template, to: &Template, span: Span, to_span: Span, doer: Option<&Identity>) {
        let to = self.value(to, to_span).ok();
        let from = self.value(from, span).ok();
        let source = from.as_ref().map(path).and_then(|path| self.here(path));
        let many = source.as_ref().is_some_and(|path| path.is_dir());
        if let Some(to) = &to {
            let destination = path(to);
            if let (Some(from), true) = (&from, source.as_ref().is_some_and(|path| path.is_file()))
                && self.here(destination.clone()).is_some_and(|path| path.is_dir())
            {
                let sure = if from.sure == Sure::Fixed { to.sure } else { from.sure };
                let message = format!("cannot write to {}: it is a directory", shown(&destination));
                self.add(self.weight(sure), to_span, (message, None));
            }
            let file = if many { destination.join("file") } else { destination };
            self.place_for(&file, to, to_span, "to", doer);
        }
        if let (Some(from), Some(source)) = (&from, &source) {
            match image::templates(source) {
                Err(_) if self.is_made(source) => {}
                Err(reason) => {
                    let message = format!("cannot read template {}: {reason}", shown(source));
                    self.add(self.weight(from.sure), span, (message, None));
                }
                Ok(files) if files.is_empty() => {
                    let message = format!("there is no `*.template` in {}", shown(source));
                    self.findings.add(Weight::Warning, span, message, None);
                }
                Ok(files) => {
                    for file in files {
                        self.template(&file, self.weight(from.sure), span);
                    }
                }
            }
        }
        if let Some(to) = to {
            self.made.push(path(&to));
        }
    }

    /// The `${...}` of a template.
    fn template(&mut self, file: &Path, weight: Weight, span: Span) {
        let Ok(text) = std::fs::read(file) else { return };
        let (references, malformed) = crate::expand::references(&text);
        for (line, reference) in references {
            for unset in self.known.missing(&reference) {
                let (sentence, hint) = self.known.sentence(&unset);
                let message = format!("line {line} of template {}: {sentence}", shown(file));
                self.add(Weight::Warning, span, (message, Some(hint)));
            }
        }
        if let Some(Malformed { line, reason }) = malformed {
            let message = format!("line {line} of template {}: {reason}", shown(file));
            let hint = "a `${` that is to stay is written `$${`".to_owned();
            self.add(weight, span, (message, Some(hint)));
        }
    }

    fn hooks(&mut self, directory: &Template, span: Span, doer: Option<&Identity>, kept_root: bool) {
        let Ok(value) = self.value(directory, span) else { return };
        let Some(path) = self.here(path(&value)) else { return };
        let heavy = self.weight(value.sure);
        let files = match observe::hooks(&path, &self.interpreters) {
            Ok(files) => files,
            Err(_) if self.is_made(&path) => return,
            Err(reason) => {
                self.add(heavy, span, (format!("hook {} cannot be read: {reason}", shown(&path)), None));
                return;
            }
        };
        let mut texts = Vec::new();
        for file in files {
            let name = shown(&file.path);
            let mut runs = true;
            match &file.how {
                How::Skip(reason) => {
                    let message = format!("hook {name} is passed over: {reason}");
                    self.findings.add(Weight::Warning, span, message, None);
                    runs = false;
                }
                How::MistypedMount => {
                    let hint =
                        "a mount whose source does not exist makes a directory of that name".to_owned();
                    self.add(
                        heavy,
                        span,
                        (format!("hook {name} is a directory, and should be a file"), Some(hint)),
                    );
                    runs = false;
                }
                How::Run => {
                    if let Err(problem) = self.program(file.path.as_os_str(), doer) {
                        self.add(heavy, span, problem);
                    }
                }
                How::Interpret(argv) => {
                    let program = argv.first().map(String::as_str).unwrap_or_default();
                    if let Err((message, hint)) = self.program(OsStr::new(program), doer) {
                        self.add(heavy, span, (format!("hook {name}: {message}"), hint));
                    }
                }
                How::Source { shell, .. } => {
                    if let Err((message, hint)) = self.program(shell, doer) {
                        self.add(heavy, span, (format!("hook {name}: {message}"), hint));
                    }
                    self.sourced(&file.path, &name, span);
                }
            }
            if kept_root
                && runs
                && let Some(reason) = unsafe_for_root(&file.path)
            {
                let hint =
                    "what root runs must belong to root, and so must its directory, writable by no one else";
                let message = format!("hook {name} does not run as root: {reason}");
                self.add(heavy, span, (message, Some(hint.to_owned())));
            }
            texts.push(std::fs::read(&file.path).unwrap_or_default());
        }
        self.known.hooks.extend(texts);
    }

    /// A `*.sh` that was written for something else than a shell is sourced by one all the same.
    fn sourced(&mut self, path: &Path, name: &str, span: Span) {
        let Some(program) = image::shebang_name(path) else { return };
        if !matches!(&*program, "sh" | "dash" | "ash" | "bash") {
            let message =
                format!("hook {name} is sourced by `sh`, and its `#!` line names {}", quoted(&program));
            let hint =
                "without the extension `.sh` an executable file is run by its own interpreter".to_owned();
            self.findings.add(Weight::Warning, span, message, Some(hint));
        }
    }
}

/// Templates with the places of what is written; one string alone stands for a list of one.
fn spans<'t>(
    templates: &'t [Template],
    node: Option<Node<'_, '_>>,
    otherwise: Span,
) -> Vec<(&'t Template, Span)> {
    let items: Vec<Span> = node.into_iter().flat_map(Node::children).map(Node::span).collect();
    let whole = node.map_or(otherwise, Node::span);
    templates
        .iter()
        .enumerate()
        .map(|(number, template)| (template, items.get(number).copied().unwrap_or(whole)))
        .collect()
}
