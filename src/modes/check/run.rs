//! Walks through one verb in one environment as a run would: the layers, the user, the steps, the target.

use std::path::PathBuf;

use crate::modes::check::findings::{Context, Findings};
use crate::modes::check::image::{self, Image};
use crate::modes::check::known::{Known, Value};
use crate::modes::check::walk::{ROOTS, Walk};
use crate::plan;
use crate::table::{Declaration, Selection, load, merged_declarations};
use crate::text::{EnvironmentName, Level, MASK, VerbName, escaped, quoted_path};
use crate::value::{LAYERS, Node, Origin, Shape};

pub(super) fn walk(
    image: &Image<'_>, selection: &Selection, environment: &EnvironmentName, findings: &mut Findings,
) {
    let verb = selection.verb.as_ref().map(|verb| &verb.name);
    let name = verb.map(VerbName::as_str);
    let (base, over) = name.map_or((None, None), |name| image.tree.parts(name, environment.as_str()));
    let nodes = [Some(image.tree.root()), image.tree.environment(environment.as_str()), base, over];
    let declarations = merged_declarations(selection.layers());
    let known = Known::new(image, environment, name, &declarations);
    findings.enter(Context { environment: environment.to_string(), verb: name.map(str::to_owned) });
    let mut walk = Walk {
        image,
        findings,
        known,
        identity: None,
        directory: None,
        earlier: false,
        may_be_skipped: false,
        may_fail: false,
        made: Vec::new(),
    };
    for (layer, origin) in selection.layers().zip(&LAYERS) {
        walk.settings(&layer.env, origin);
    }
    walk.known.preverb(environment, name);
    walk.declarations(&declarations, nodes);

    let part = selection.verb.as_ref().map(|verb| &verb.part);
    let user = part.and_then(|part| part.user.as_ref()).or(image.settings.user.as_ref());
    // Like in a run, the user is looked up before any step.
    walk.identity = user.and_then(|user| walk.user(user));
    let sources = image.tree.sources.all();
    let drop_ins = sources.first().map(|table| load::drop_in_directory(&table.path));
    let drop_ins = drop_ins.filter(|directory| directory.is_dir());
    for path in sources.iter().map(|source| &source.path).chain(&drop_ins) {
        if let Some(user) = walk.who_can_change(path) {
            let shown = quoted_path(path);
            let message = format!("user `{user}` can change {shown}, which decides what runs");
            walk.findings.elsewhere(Level::Warning, message, Some(ROOTS.to_owned()));
        }
    }
    let workdir = part.and_then(|part| part.workdir.as_ref()).or(image.settings.workdir.as_ref());
    let workdir = workdir.map(|template| walk.value(template));
    walk.directory = match &workdir {
        None => Some(PathBuf::from(".")),
        Some(value) => value.as_ref().map(|value| image.beginning.join(value.path())),
    };
    walk.directory = walk.directory.filter(|path| path.is_dir());
    walk.steps(&plan::steps(selection, environment, None));
    if let Some(Some(value)) = &workdir {
        walk.workdir(value);
    }
    let Some(part) = part else { return };
    let unset = || part.unset.iter().flatten().map(String::as_str);
    if unset().any(|name| name == "PATH") {
        walk.known.variables.unset(b"PATH");
    }
    let argv = [&part.exec, &part.args, &part.args_after];
    walk.argv(&argv.map(|argv| argv.as_deref().unwrap_or_default()), None);
    if let Some(health) = &part.health {
        walk.probe(health, "health", None);
        let name = unset().find(|name| matches!(*name, "PREVERB_VERB" | "PREVERB_ENVIRONMENT"));
        let node = [over, base].into_iter().flatten().find_map(|node| node.get("unset"));
        if let (Some(name), Some(node)) = (name, node) {
            let message = format!("`unset` removes `{name}`, which `--health` needs to know what runs");
            walk.warn(node.span(), message, None);
        }
    }
}

impl Walk<'_, '_> {
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
            let is_fixed = self.known.is_fixed(name);
            if found.value.is_empty() {
                if declaration.is_required()
                    && is_fixed
                    && let Some(node) = last("env", name, None)
                {
                    let message = format!("variable `{name}` is required, and this makes it empty");
                    self.findings.add(Level::Error, node.span(), message, None);
                }
                continue;
            }
            let secret = self.image.secrets.contains(&declaration.name);
            let Some(rule) = declaration.broken_rule(found.value, secret) else { continue };
            let shown = if found.secret { MASK.to_owned() } else { escaped(found.value) };
            let mut level = Level::Warning;
            let (node, message) = if *found.origin == Origin::Default {
                let message = format!("the default of variable `{name}` is `{shown}`");
                (last("variables", name, Some("default")), message)
            } else if LAYERS.contains(found.origin) {
                if is_fixed {
                    level = Level::Error;
                }
                (last("env", name, None), format!("variable `{name}` is `{shown}`"))
            } else {
                (last("variables", name, None), format!("variable `{name}` is `{shown}` in the image"))
            };
            if let Some(node) = node {
                let hint = "a run fails unless its operator gives another value";
                let hint = (level == Level::Warning).then_some(hint);
                let span = if node.shape() == Shape::Table { node.key_span() } else { node.span() };
                self.findings.add(level, span, format!("{message}, and must be {rule}"), hint);
            }
        }
    }

    fn workdir(&mut self, value: &Value) {
        let path = value.path();
        let problem = match image::directory(&path, self.viewer(self.identity.as_ref())) {
            Ok(true) => return,
            Ok(false) if self.is_made(&path) => return,
            Ok(false) => "it does not exist".to_owned(),
            Err(reason) => reason,
        };
        self.wrong(value, format!("cannot enter `workdir` {}: {problem}", quoted_path(&path)), None);
    }
}
