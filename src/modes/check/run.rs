//! One verb in one environment, walked through as a run would: the layers, the user, the steps, the
//! target. What each kind of step needs is for `steps.rs` to know.

use std::path::PathBuf;

use super::argv::flat;
use super::findings::{Context, Findings, Weight};
use super::image::{self, Directory};
use super::known::{Known, Unknown, Value};
use super::walk::{Image, Walk, path, shown};
use crate::plan;
use crate::sys::identity;
use crate::sys::identity::Identity;
use crate::table::select::Selection;
use crate::table::types::{Layer, lay_declarations};
use crate::table::variable::Declaration;
use crate::text::escape::{MASK, escaped};
use crate::text::log::quoted;
use crate::text::names::{EnvironmentName, VerbName};
use crate::value::step::Step;
use crate::value::template::{Expanded, Template};
use crate::value::toml::{Node, Shape, Span};
use crate::value::variables::Origin;

/// Walks through the runs of `verb`, or of a command behind `--`, in `environment`.
pub(super) fn walk(
    image: &Image<'_>,
    selection: &Selection,
    environment: &EnvironmentName,
    findings: &mut Findings,
) {
    let verb = selection.verb.as_ref().map(|verb| &verb.name);
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
    let is_default = environment.as_str() == image.settings.environment.default();
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
        walk.settings(&layer.env);
        walk.known.set_all(&layer.env, origin, false, walk.findings);
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

    let applies = |step: &Step| {
        step.environments.admits(environment.as_str())
            && verb.map_or(!step.verbs.present, |verb| step.verbs.admits(verb.as_str()))
    };
    for ((layer, _), node) in layers.iter().zip(nodes) {
        walk.steps(&layer.setup, node.and_then(|node| node.get("setup")), &applies);
    }

    if let Some((Ok(value), span)) = &workdir {
        walk.workdir(value, *span);
    }
    let Some(part) = part else { return };
    let argv = [(&part.exec, own("exec")), (&part.args, own("args")), (&part.args_after, own("args-after"))];
    let argv = argv.iter().filter_map(|(argv, node)| Some(flat(argv.as_ref()?, (*node)?)));
    let words: Vec<_> = argv.flatten().collect();
    walk.habits(&words);
    if let (Some(exec), Some(node)) = (&part.exec, own("exec")) {
        if part.unset.iter().flatten().any(|name| name == "PATH") {
            walk.known.variables.unset(b"PATH");
        }
        walk.argv(exec, node, true, None);
    }
    for (args, key) in [(&part.args, "args"), (&part.args_after, "args-after")] {
        if let (Some(args), Some(node)) = (args, own(key)) {
            walk.argv(args, node, false, None);
        }
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

impl Walk<'_, '_> {
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
                | Origin::File { .. }
                | Origin::Alias(_)
                | Origin::User
                | Origin::Hook(_)
                | Origin::Step(_) => (
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
    pub(super) fn user(&mut self, template: &Template, span: Span) -> Option<Identity> {
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
}
