//! `--check`: everything that is wrong with the table and with what it names in the image, in one run.
//!
//! For a Dockerfile: `RUN ["preverb", "--check"]`. Every verb is walked through in every environment that the
//! table mentions, in the default one and in the chosen one. An *error* is what must fail whatever the
//! operator does, nothing being mounted; a *warning* is what may. Both go to standard error with file,
//! line and column, each once, and the exit code is 78 with any error and 0 otherwise. A table that is
//! sound is passed in silence (`--log verbose` says what was looked at); nothing goes to standard output.
//!
//! With `--json` nothing goes to standard error, and standard output is one array, in the order of the
//! table, of objects with these keys, all of them always there:
//!
//! - `level`: `error`, `warning`, or `info` for what is worth knowing and not wrong;
//! - `message`: the sentence, without the place;
//! - `file`, `line`, `column`: the place, line and column from 1; null for what has none, and then all three;
//! - `hint`: what would help, or null.
//!
//! It reads the image and changes nothing.

mod argv;
mod findings;
mod habits;
mod image;
mod known;
mod run;
mod steps;
mod table;
mod walk;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use crate::plan;
use crate::plan::environment::Why;
use crate::sys::identity::Myself;
use crate::sys::signals::Signals;
use crate::table::decode::decoder::Decoder;
use crate::table::load;
use crate::table::select::{self, Tree};

use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::{Log, quoted};
use crate::text::names::{EnvironmentName, VerbName};
use crate::value::toml::Sources;
use crate::value::variables::Variables;
use findings::{Findings, Weight};

/// What is asked for.
pub(crate) struct Check<'c> {
    /// Where the table is.
    pub(crate) table: &'c Path,
    /// `--environment`.
    pub(crate) environment: Option<&'c OsString>,
    /// `--json`.
    pub(crate) json: bool,
    /// `--strict`: warnings fail, too.
    pub(crate) strict: bool,
    /// The variables of the image.
    pub(crate) variables: &'c Variables,
    /// The signals, for a table that is long in coming.
    pub(crate) signals: &'c mut Signals,
    /// Where messages go.
    pub(crate) log: Log,
    /// Whether `--log` or `PREVERB_LOG` said how they are written.
    pub(crate) log_given: bool,
}

/// Checks; the exit code.
///
/// # Errors
/// Table (78): it cannot be read at all. Usage (64), Variable (65): the environment that was asked for has
/// no name.
pub(crate) fn check(mut check: Check<'_>) -> Result<u8> {
    let mut findings = Findings::default();
    let sources = match load::read(check.table, check.signals) {
        Ok(sources) => sources,
        Err(failure) if check.json && !failure.is_stop() => {
            let (message, hint) = failure.into_parts();
            findings.elsewhere(Weight::Error, message, hint);
            return report(&check, &findings, &Sources::default());
        }
        Err(failure) => return Err(failure),
    };
    let mut refused = None;
    let (document, mistakes) = select::read_on(&sources);
    findings.mistakes(mistakes);
    if let Some(document) = document {
        refused = look(&mut check, Tree::new(&document), &mut findings);
    }
    match refused {
        None => report(&check, &findings, &sources),
        // It is the table that is to be mended first.
        Some(failure) if check.json || findings.has_errors() => {
            let code = if findings.has_errors() { Kind::Table } else { failure.kind() }.exit_code();
            let (message, hint) = failure.into_parts();
            findings.elsewhere(Weight::Error, message, hint);
            report(&check, &findings, &sources).map(|_| code)
        }
        Some(failure) => {
            report(&check, &findings, &sources)?;
            Err(failure)
        }
    }
}

/// Looks at everything; why there is no chosen environment, if there is none.
fn look(check: &mut Check<'_>, tree: Tree<'_>, findings: &mut Findings) -> Option<Failure> {
    let mut decoder = Decoder::default();
    let settings = tree.settings(&mut decoder);
    if let Some(format) = settings.log.filter(|_| !check.log_given) {
        check.log.format = format;
    }
    let default = settings.environment.default();
    let (chosen, refused) =
        match plan::environment::choose(check.environment, &settings, check.variables, tree) {
            Ok(chosen) => (Some(chosen), None),
            Err(failure) => (None, Some(failure)),
        };
    let chosen_name = chosen.as_ref().map_or(default, |chosen| chosen.name.as_str());
    let mut names = tree.mentioned_environments();
    let asked_for =
        chosen.as_ref().is_some_and(|chosen| matches!(chosen.why, Why::Option | Why::Variable(_)));
    if asked_for && settings.environment.names.is_none() && !names.contains(chosen_name) {
        let message = format!(
            "the table does not mention environment {}, which is valid: what is for every environment holds there",
            quoted(chosen_name)
        );
        findings.elsewhere(Weight::Note, message, None);
    }
    // What is said of several names them in the same order wherever they stand.
    names.extend([default, chosen_name]);
    names.extend(settings.environment.names.iter().flatten().map(EnvironmentName::as_str));

    let secrets = tree.secrets();
    let image = walk::Image {
        tree,
        settings: &settings,
        inherited: check.variables,
        default_environment: default,
        myself: Myself::observe(),
        secrets: &secrets,
    };
    // An environment of a name that is none is decoded for its mistakes alone.
    for node in tree.environments().filter_map(|name| tree.environment(name)) {
        Tree::decode_environment(&mut decoder, node);
    }
    let mut verbs = BTreeSet::new();
    let environments: Vec<EnvironmentName> =
        names.iter().filter_map(|name| EnvironmentName::parse(name.as_bytes())).collect();
    for environment in &environments {
        let mut selection = tree.select(&mut decoder, environment, None);
        decoder.mistakes.extend(tree.clashes(environment.as_str(), None));
        run::walk(&image, &selection, environment, None, findings);
        for name in tree.verb_names(environment.as_str()) {
            verbs.insert(name);
            let Some(verb) = VerbName::parse(name.as_bytes()) else { continue };
            selection.verb = Some(tree.verb(&mut decoder, environment, &verb));
            run::walk(&image, &selection, environment, Some(&verb), findings);
        }
    }
    table::check(tree, &settings, &[default, chosen_name], &secrets, findings);
    findings.mistakes(decoder.mistakes);
    let shown = quoted(std::os::unix::ffi::OsStrExt::as_bytes(check.table.as_os_str()));
    let (verbs, environments) = (verbs.len(), environments.len());
    check.log.debug(|| format!("checked the table {shown}: {verbs} verbs in {environments} environments"));
    refused
}

/// Says what was found; the exit code.
fn report(check: &Check<'_>, findings: &Findings, sources: &Sources) -> Result<u8> {
    if check.json {
        let list = findings.list(sources);
        crate::modes::print::print(&(serde_json::to_string_pretty(&list).unwrap_or_default() + "\n"))?;
    } else {
        for message in findings.messages(sources) {
            check.log.say(&message);
        }
    }
    let failed = findings.has_errors() || check.strict && findings.has(Weight::Warning);
    Ok(if failed { Kind::Table.exit_code() } else { 0 })
}
