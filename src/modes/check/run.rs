//! Walks through one verb in one environment as a run would: the layers, the user, the steps, the target.

use std::path::PathBuf;

use crate::modes::check::findings::{Context, Findings};
use crate::modes::check::image::{self, Image};
use crate::modes::check::known::{Known, Value};
use crate::modes::check::walk::{Now, ROOTS, Walk};
use crate::plan;
use crate::table::{Declaration, Selection, load, merged_declarations};
use crate::text::{EnvironmentName, Level, quoted_path, shown_value};
use crate::value::{LAYERS, Node, Origin, Shape};

pub(super) fn walk(
    image: &Image<'_>, selection: &Selection, environment: &EnvironmentName, findings: &mut Findings,
) {
    let name = selection.verb.as_ref().map(|verb| verb.name.as_str());
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
        now: Now::default(),
        directory: Some(PathBuf::from(".")),
        earlier: false,
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
    walk.now.runner.clone_from(&walk.identity);
    let sources = image.tree.sources.all();
    let drop_ins = sources.first().map(|table| load::drop_in_directory(&table.path));
    let drop_ins = drop_ins.filter(|directory| directory.is_dir());
    for path in sources.iter().map(|source| &source.path).chain(&drop_ins) {
        if let Some(user) = walk.who_can_change(path) {
            let shown = quoted_path(path);
            let message = format!("user `{user}` can change {shown}, which decides what runs");
            walk.findings.table(Level::Warning, None, message, Some(ROOTS));
        }
    }
    let workdir = part.and_then(|part| part.workdir.as_ref()).or(image.settings.workdir.as_ref());
    let value = workdir.and_then(|template| walk.value(template));
    if workdir.is_some() {
        let path = value.as_ref().map(|value| image.beginning.join(value.path()));
        walk.directory = path.filter(|path| path.is_dir());
    }
    walk.steps(&plan::steps(selection, environment, None));
    if let Some(value) = &value {
        walk.workdir(value);
    }
    let Some(part) = part else { return };
    let unset = || part.unset.iter().flatten().map(String::as_str);
    if unset().any(|name| name == "PATH") {
        walk.known.variables.unset(b"PATH");
    }
    let argv = [&part.exec, &part.args, &part.args_after];
    walk.argv(&argv.map(|argv| argv.as_deref().unwrap_or_default()));
    if let Some(health) = &part.health {
        walk.probe(health, "health");
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
        let last = |section: &str, name: &str| {
            nodes.iter().rev().flatten().find_map(|node| node.get(section)?.get(name))
        };
        for declaration in declarations {
            let name = declaration.name.as_str();
            let Some(found) = self.known.variables.get(name.as_bytes()) else { continue };
            let is_fixed = self.known.is_fixed(name);
            if found.value.is_empty() {
                if declaration.is_required()
                    && is_fixed
                    && let Some(node) = last("env", name)
                {
                    let message = format!("variable `{name}` is required, and this makes it empty");
                    self.findings.add(Level::Error, node.span(), message, None);
                }
                continue;
            }
            let secret = self.image.secrets.contains(&declaration.name);
            let Some(rule) = declaration.broken_rule(found.value, secret) else { continue };
            let mut level = Level::Warning;
            let (node, before, after) = if *found.origin == Origin::Default {
                let defaults = nodes.iter().rev().flatten();
                let mut defaults =
                    defaults.filter_map(|node| node.get("variables")?.get(name)?.get("default"));
                (defaults.next(), "the default of ", "")
            } else if LAYERS.contains(found.origin) {
                if is_fixed {
                    level = Level::Error;
                }
                (last("env", name), "", "")
            } else {
                (last("variables", name), "", " in the image")
            };
            if let Some(node) = node {
                let hint = "a run fails unless its operator gives another value";
                let hint = (level == Level::Warning).then_some(hint);
                let span = if node.shape() == Shape::Table { node.key_span() } else { node.span() };
                let shown = shown_value(found.value, found.secret);
                let message = format!("{before}variable `{name}` is `{shown}`{after}, and must be {rule}");
                self.findings.add(level, span, message, hint);
            }
        }
    }

    fn workdir(&mut self, value: &Value) {
        let path = value.path();
        let problem = match image::directory(path, self.viewer()) {
            Ok(true) => return,
            Ok(false) if self.is_made(path) => return,
            Ok(false) => "it does not exist".to_owned(),
            Err(reason) => reason,
        };
        self.wrong(value, format!("cannot enter `workdir` {}: {problem}", quoted_path(path)));
    }
}
