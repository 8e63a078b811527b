//! `--check`: reports everything that is wrong with the table and with the files that it names, in one run.
//!
//! It walks through every verb in every environment that the table mentions, and in the default and the
//! chosen environment. It reads the image and changes nothing. The keys of `--json` are in preverb(1).

mod findings;
mod habits;
mod image;
mod known;
mod steps;
mod table;
mod walk;

use std::path::{Path, PathBuf};

use crate::cli::Options;
use crate::modes::check::findings::Findings;
use crate::modes::check::image::Image;
use crate::modes::check::known::{Known, Value};
use crate::modes::check::walk::{Now, ROOTS, Walk};
use crate::modes::context::{Context, check_stop, print_json};
use crate::plan::{self, Why};
use crate::sys::Credentials;
use crate::table::{Declaration, Decoder, Selection, Tree, load, merged_declarations, select};
use crate::text::{EnvironmentName, Kind, Level, Result, VerbName, quoted, quoted_path, set_of, shown_value};
use crate::value::{LAYERS, Node, Origin, Shape, Sources};

pub(crate) fn check(
    mut context: Context<'_>, path: &Path, options: &Options, json: bool, strict: bool,
) -> Result<u8> {
    let mut findings = Findings::default();
    let (sources, unread) = match context.read(path) {
        Ok(sources) => (sources, None),
        Err(failure) => (Sources::default(), Some(failure)),
    };
    let refused = unread.or_else(|| {
        let (document, mistakes) = select::read_on(&sources);
        findings.mistakes(mistakes);
        look(&mut context, path, options, &document?, &mut findings).err()
    });
    let (mut code, mut unreported) = (Kind::Table, None);
    match refused {
        Some(failure) if failure.is_stop() => return Err(failure),
        Some(failure) if json || findings.has(Level::Error) => {
            // Otherwise the table has to be fixed first.
            if !findings.has(Level::Error) {
                code = failure.kind();
            }
            let (message, hint) = failure.into_parts();
            findings.table(Level::Error, None, message, hint.as_deref());
        }
        refused => unreported = refused,
    }
    if json {
        print_json(&findings.list(&sources))?;
    } else {
        findings.messages(&sources).iter().for_each(|message| context.log.emit(message));
    }
    let failed = findings.has(Level::Error) || strict && findings.has(Level::Warning);
    unreported.map_or(Ok(if failed { code.exit_code() } else { 0 }), Err)
}

fn look(
    context: &mut Context<'_>, path: &Path, options: &Options, tree: Tree<'_>, findings: &mut Findings,
) -> Result<()> {
    let mut decoder = Decoder::default();
    let settings = tree.settings(&mut decoder);
    context.log_as(&settings, options);
    let default = settings.environment.default();
    let chosen = context.environment(options, &settings, tree);
    let chosen_name = chosen.as_ref().map_or(default, |chosen| chosen.name.as_str());
    let mut names = tree.mentioned();
    let asked_for = chosen.as_ref().is_ok_and(|chosen| matches!(chosen.why, Why::Option | Why::Variable));
    if asked_for && settings.environment.names.is_none() && !names.contains(chosen_name) {
        let shown = quoted(chosen_name);
        let message = format!(
            "the table does not mention environment {shown}, which is valid: it gets what applies to every \
             environment"
        );
        findings.table(Level::Info, None, message, None);
    }
    names.extend([default, chosen_name]);
    names.extend(settings.environment.names.iter().flatten().map(EnvironmentName::as_str));

    let secrets = set_of(tree.secrets());
    let image = Image {
        tree,
        settings: &settings,
        inherited: &context.variables,
        interpreters: plan::interpreters(&settings),
        myself: Credentials::observe(),
        secrets: &secrets,
        beginning: std::env::current_dir().unwrap_or_default(),
    };
    // An environment with an invalid name is decoded only to report its errors.
    for node in tree.environments().filter_map(|name| tree.environment(name)) {
        decoder.environment(node);
    }
    let environments: Vec<EnvironmentName> =
        names.iter().filter_map(|name| EnvironmentName::parse(name.as_bytes())).collect();
    for environment in &environments {
        let mut selection = tree.select(&mut decoder, environment, None);
        decoder.mistakes.extend(tree.clashes(environment.as_str(), None));
        walk(&image, &selection, environment, findings);
        for name in tree.verb_names(environment.as_str()) {
            check_stop(&mut context.signals)?;
            let Some(verb) = VerbName::parse(name.as_bytes()) else { continue };
            selection.verb = Some(tree.verb(&mut decoder, environment, &verb));
            walk(&image, &selection, environment, findings);
        }
    }
    table::check(tree, &settings, &[default, chosen_name], &secrets, findings);
    findings.mistakes(decoder.mistakes);
    context.log.debug(|| {
        let verbs = set_of(environments.iter().flat_map(|environment| tree.verb_names(environment.as_str())));
        let (path, verbs, environments) = (quoted_path(path), verbs.len(), environments.len());
        format!("checked the table {path}: {verbs} verbs in {environments} environments")
    });
    chosen.map(|_| ())
}

/// Walks through one verb in one environment as a run would: the layers, the user, the steps, the target.
fn walk(image: &Image<'_>, selection: &Selection, environment: &EnvironmentName, findings: &mut Findings) {
    let name = selection.verb.as_ref().map(|verb| verb.name.as_str());
    let (base, over) = name.map_or((None, None), |name| image.tree.parts(name, environment.as_str()));
    let nodes = [Some(image.tree.root()), image.tree.environment(environment.as_str()), base, over];
    let declarations = merged_declarations(selection.layers());
    let known = Known::new(image, environment, name, &declarations);
    findings.enter(environment, name);
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
        let last = |path: &[&str]| {
            let mut nodes = nodes.into_iter().rev().flatten();
            nodes.find_map(|node| path.iter().try_fold(node, |node, key| node.get(key)))
        };
        for declaration in declarations {
            let name = declaration.name.as_str();
            let Some(found) = self.known.variables.get(name.as_bytes()) else { continue };
            let is_fixed = self.known.fixed.contains(name);
            if found.value.is_empty() {
                if let Some(node) = last(&["env", name]).filter(|_| is_fixed && declaration.is_required()) {
                    let message = format!("variable `{name}` is required, and this makes it empty");
                    self.findings.add(Level::Error, node.span(), message, None);
                }
                continue;
            }
            let secret = self.image.secrets.contains(name);
            let Some(rule) = declaration.broken_rule(found.value, secret) else { continue };
            let is_tables = LAYERS.contains(found.origin);
            let (node, before, after) = if *found.origin == Origin::Default {
                (last(&["variables", name, "default"]), "the default of ", "")
            } else if is_tables {
                (last(&["env", name]), "", "")
            } else {
                (last(&["variables", name]), "", " in the image")
            };
            let Some(node) = node else { continue };
            let span = if node.shape() == Shape::Table { node.key_span() } else { node.span() };
            let shown = shown_value(found.value, found.secret);
            let message = format!("{before}variable `{name}` is `{shown}`{after}, and must be {rule}");
            let level = if is_tables && is_fixed { Level::Error } else { Level::Warning };
            let hint = "a run fails unless its operator gives another value";
            self.findings.add(level, span, message, (level == Level::Warning).then_some(hint));
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
