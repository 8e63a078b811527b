//! One verb in one environment, walked through as a run would: the layers, the user, the steps, the target. What each
//! kind of step needs is `run/steps.rs`'s to know.

mod steps;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use super::findings::{Context, Findings, Weight};
use super::image::{self, Directory, Problem, Who};
use super::known::{Known, Sure, Unknown, Value};
use crate::plan;
use crate::sys::identity;
use crate::sys::identity::{Identity, Myself};
use crate::table::select::{Selection, Tree};
use crate::table::step::{Probe, Step};
use crate::table::types::lay_declarations;
use crate::table::types::{Layer, Settings};
use crate::table::variable::Declaration;
use crate::text::escape::MASK;
use crate::text::escape::escaped;
use crate::text::log::quoted;
use crate::text::names::{EnvironmentName, VerbName};
use crate::text::url;
use crate::value::condition::Condition;
use crate::value::target::{POSTGRES_SOCKET, POSTGRES_SOCKET_HINT, Target, UNSEEN_PATH, UNSEEN_PATH_HINT};
use crate::value::template::{Expanded, Template};
use crate::value::toml::{Node, Shape, Span};
use crate::value::variables::{Origin, Variables};

/// What is the same for every walk.
pub(super) struct Image<'i> {
    /// The table.
    pub(super) tree: Tree<'i>,
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
    /// Where this process runs, which is where a run begins.
    beginning: PathBuf,
    interpreters: Vec<(String, Vec<String>)>,
    /// Whether a step before this one runs something, which can install and make anything.
    earlier: bool,
    /// Whether a run may skip the present step.
    may_be_skipped: bool,
    /// What steps before this one make, each as its `place`.
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
    let variable = image.settings.environment.variable();
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
        beginning: std::env::current_dir().unwrap_or_default(),
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
        Some((Ok(value), _)) => Some(walk.beginning.join(path(value))).filter(|path| path.is_dir()),
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
    fn skipped(&mut self, step: &Step, node: Node<'_>) -> Option<Sure> {
        let mut skipped = None;
        for name in step.when.skip_if.iter().map(Condition::name) {
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

    /// A path in the one form in which two can be compared, however each is written. Before the working directory
    /// is there a run is where it began. What links make of a `..` is not known of what a step is yet to make.
    fn place(&self, path: &Path) -> PathBuf {
        let below = self.here(path.to_owned()).unwrap_or_else(|| path.to_owned());
        let mut place = PathBuf::new();
        for part in self.beginning.join(below).components() {
            match part {
                Component::ParentDir => drop(place.pop()),
                Component::CurDir => {}
                Component::Prefix(_) | Component::RootDir | Component::Normal(_) => place.push(part),
            }
        }
        place
    }

    /// Takes note that a step makes this.
    fn makes(&mut self, path: &Path) {
        self.made.push(self.place(path));
    }

    /// Whether a step makes this, or something below or above it.
    fn is_made(&self, path: &Path) -> bool {
        let place = self.place(path);
        self.made.iter().any(|made| made.starts_with(&place) || place.starts_with(made))
    }

    /// The values of declared variables that the table itself gives.
    fn declarations(&mut self, declarations: &[Declaration], nodes: [Option<Node<'_>>; 4]) {
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
                if declaration.is_required()
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
                self.add(self.weight(value.sure), span, failure.into_parts());
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
    fn argv(&mut self, argv: &[Template], node: Node<'_>, runs: bool, doer: Option<&Identity>) {
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
        if program.as_bytes().contains(&b'/') && self.is_made(slashed) {
            return Ok(());
        }
        image::program(program, &self.known.variables, self.directory.as_deref(), self.who(identity))
    }

    fn probe(&mut self, probe: &Probe, node: Node<'_>, key: &str) {
        match probe {
            Probe::Exec(argv) => {
                if let Some(exec) = node.get("exec") {
                    self.argv(argv, exec, true, None);
                }
            }
            Probe::Url(template) => {
                let Ok(value) = self.value(template, node.span()) else { return };
                let shown = quoted(url::shown(&value.bytes));
                let weight = self.weight(value.sure);
                let (weight, reason, hint) = match Target::parse(&value.bytes) {
                    Err(reason) => (weight, reason, None),
                    Ok(Some(target)) if key == "health" && target.hides_its_path() => {
                        (weight, UNSEEN_PATH.to_owned(), Some(UNSEEN_PATH_HINT.to_owned()))
                    }
                    Ok(Some(target)) if target.is_postgres_socket() => {
                        (Weight::Note, POSTGRES_SOCKET.to_owned(), Some(POSTGRES_SOCKET_HINT.to_owned()))
                    }
                    Ok(_) => return,
                };
                self.add(weight, node.span(), (format!("{shown} in `{key}`: {reason}"), hint));
            }
        }
    }
}
