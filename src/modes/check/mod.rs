//! `--check`: reports everything that is wrong with the table and with the files that it names, in one run.
//!
//! It walks through every verb in every environment that the table mentions, and in the default and the
//! chosen environment. An *error* fails in every run in which nothing is mounted; a *warning* may fail. The
//! keys of `--json` are in preverb(1). `--check` reads the image and changes nothing.

mod findings;
mod habits;
mod image;
mod known;
mod run;
mod steps;
mod table;
mod walk;

use std::collections::BTreeSet;
use std::path::Path;

use crate::cli::Options;
use crate::modes::check::findings::Findings;
use crate::modes::context::{Context, check_stop, print_json};
use crate::plan::{self, Why};
use crate::sys::Credentials;
use crate::table::{Decoder, Tree, select};
use crate::text::{EnvironmentName, Failure, Kind, Level, Result, VerbName, quoted, quoted_path};
use crate::value::Sources;

pub(crate) fn check(
    mut context: Context<'_>, path: &Path, options: &Options, json: bool, strict: bool,
) -> Result<u8> {
    let mut findings = Findings::default();
    let (sources, mut refused) = match context.read(path) {
        Ok(sources) => (sources, None),
        Err(failure) if json && !failure.is_stop() => (Sources::default(), Some(failure)),
        Err(failure) => return Err(failure),
    };
    let mut code = Kind::Table;
    if refused.is_none() {
        let (document, mistakes) = select::read_on(&sources);
        findings.mistakes(mistakes);
        refused = document.and_then(|document| look(&mut context, path, options, &document, &mut findings));
        if let Some(failure) = refused.take_if(|failure| failure.is_stop()) {
            return Err(failure);
        }
        // The table has to be fixed first.
        if let Some(failure) = refused.as_ref().filter(|_| !findings.has(Level::Error)) {
            code = failure.kind();
        }
    }
    let mut unreported = None;
    match refused {
        Some(failure) if json || findings.has(Level::Error) => {
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
) -> Option<Failure> {
    let mut decoder = Decoder::default();
    let settings = tree.settings(&mut decoder);
    context.log_as(&settings, options);
    let default = settings.environment.default();
    let chosen = context.environment(options, &settings, tree);
    let chosen_name = chosen.as_ref().map_or(default, |chosen| chosen.name.as_str());
    let mut names = tree.mentioned();
    let asked_for = chosen.as_ref().is_ok_and(|chosen| matches!(chosen.why, Why::Option | Why::Variable));
    if asked_for && settings.environment.names.is_none() && !names.contains(chosen_name) {
        let message = format!(
            "the table does not mention environment {}, which is valid: it gets what applies to \
             every environment",
            quoted(chosen_name)
        );
        findings.table(Level::Info, None, message, None);
    }
    names.extend([default, chosen_name]);
    names.extend(settings.environment.names.iter().flatten().map(EnvironmentName::as_str));

    let secrets = tree.secrets();
    let image = image::Image {
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
    let mut verbs = BTreeSet::new();
    let environments: Vec<EnvironmentName> =
        names.iter().filter_map(|name| EnvironmentName::parse(name.as_bytes())).collect();
    for environment in &environments {
        let mut selection = tree.select(&mut decoder, environment, None);
        decoder.mistakes.extend(tree.clashes(environment.as_str(), None));
        run::walk(&image, &selection, environment, findings);
        for name in tree.verb_names(environment.as_str()) {
            if let Err(stop) = check_stop(&mut context.signals) {
                return Some(stop);
            }
            verbs.insert(name);
            let Some(verb) = VerbName::parse(name.as_bytes()) else { continue };
            selection.verb = Some(tree.verb(&mut decoder, environment, &verb));
            run::walk(&image, &selection, environment, findings);
        }
    }
    table::check(tree, &settings, &[default, chosen_name], &secrets, findings);
    findings.mistakes(decoder.mistakes);
    let (verbs, environments) = (verbs.len(), environments.len());
    context.log.debug(|| {
        let path = quoted_path(path);
        format!("checked the table {path}: {verbs} verbs in {environments} environments")
    });
    chosen.err()
}
