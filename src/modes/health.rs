//! `--health`: reports whether the container's verb is healthy, with the probe that the verb names.
//!
//! The verb, its environment and all inputs of the probe are taken from the main process, so one line in the
//! image works for all of its verbs. A failure to find out means not healthy (1), too, and is reported.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::modes::context::Context;
use crate::modes::main_process;
use crate::modes::probe::attempt;
use crate::setup::awaited_of;
use crate::sys::{Children, cgroup, read};
use crate::table::{Decoder, load, merged_declarations, opaque};
use crate::text::{EnvironmentName, Failure, Kind, Result, VerbName, path_of, quoted, quoted_path};
use crate::value::{Facts, Target, UNSEEN_PATH, UNSEEN_PATH_HINT};

pub(crate) fn health(context: Context<'_>, table: Option<PathBuf>, timeout: Duration) -> Result<u8> {
    examine(context, table, timeout).map_err(|failure| {
        let is_answer = failure.is_stop() || failure.kind() == Kind::Unhealthy;
        if is_answer { failure } else { unhealthy(failure.sentence()) }
    })
}

fn unhealthy(sentence: impl Into<String>) -> Failure {
    Failure::new(Kind::Unhealthy, sentence)
}

fn examine(context: Context<'_>, option: Option<PathBuf>, timeout: Duration) -> Result<u8> {
    let Context { variables: own, signals, log, .. } = context;
    let (begun, mut children) = (Instant::now(), Children::new(signals));
    if !timeout.is_zero() {
        children.signals.file_deadline = Some(begun + timeout);
    }
    let main = main_process::find(&mut children, "while probing")?;
    let mut variables = main.variables()?.with_facts(cgroup::fact);
    let Some(verb) = variables.non_empty(b"PREVERB_VERB") else {
        let shown = main.shown();
        if variables.get(b"PREVERB_ENVIRONMENT").is_none() {
            let missing = "its variables `PREVERB_VERB` and `PREVERB_ENVIRONMENT` are missing";
            return Err(unhealthy(format!("cannot tell what {shown} runs: {missing}")));
        }
        log.debug(|| format!("{shown} runs no verb, and is healthy while it runs"));
        return Ok(0);
    };
    let verb = VerbName::parse(verb).ok_or_else(|| {
        unhealthy(format!("variable `PREVERB_VERB` is {}, which is not a verb", quoted(verb)))
    })?;
    let environment = variables.non_empty(b"PREVERB_ENVIRONMENT").and_then(EnvironmentName::parse);
    let environment = environment.ok_or_else(|| {
        unhealthy("variable `PREVERB_ENVIRONMENT` of the main process is not an environment name")
    })?;

    // If a hook may have named the table, the user of the hook reads it: root would disclose files that the
    // user cannot read.
    let named = variables.non_empty(b"PREVERB_TABLE");
    let trusted = option.is_some() || named.is_none() || named == own.non_empty(b"PREVERB_TABLE");
    let path = option.unwrap_or_else(|| named.map_or(Path::new(load::DEFAULT), path_of).to_owned());
    let program = read::program();
    let early = if trusted { Some(load::read(&path, &mut children.signals)?) } else { None };
    // A hook may have influenced the probe, so it runs as the main process's user. The working directory may
    // be inaccessible by now; it matters only to a program with a relative path.
    let _ = main.enter();
    main.become_its_user()?;
    let sources = early.map_or_else(|| load::read(&path, &mut children.signals), Ok)?;

    let document = load::parse(&sources)?;
    let tree = &document;
    if let (None, None) = tree.parts(verb.as_str(), environment.as_str()) {
        let table = quoted_path(&path);
        return Err(unhealthy(format!(
            "verb `{verb}` of environment `{environment}` is running, but the table {table} does not have it"
        )));
    }
    let mut decoder = Decoder::default();
    let selection = tree.select(&mut decoder, &environment, Some(&verb));
    load::failing(&sources, &decoder.mistakes)?;
    let declarations = merged_declarations(selection.layers());
    for declaration in declarations.iter().filter(|declaration| declaration.is_secret()) {
        variables.mark_secret(declaration.name.as_bytes());
    }
    // A value that a layer makes from a secret is a secret, too.
    for setting in selection.layers().flat_map(|layer| &layer.env) {
        if setting.value.expand(&variables).is_ok_and(|value| value.secret) {
            variables.mark_secret(setting.name.as_bytes());
        }
    }
    let Some(probe) = selection.verb.as_ref().and_then(|verb| verb.part.health.as_ref()) else {
        log.debug(|| format!("verb `{verb}` has no `health`, and is healthy while it runs"));
        return Ok(0);
    };
    let opaque = opaque(&declarations);
    let facts = Facts { variables: &variables, opaque: &opaque, exists: &read::is_there };
    let Some(awaited) = awaited_of(probe, facts, "`health`", &program)? else {
        log.debug(|| format!("`health` of verb `{verb}` has nothing to probe: healthy"));
        return Ok(0);
    };
    if awaited.probe.as_ref().is_some_and(Target::hides_its_path) {
        return Err(unhealthy(format!("`health` of verb `{verb}`: {UNSEEN_PATH}")).hint(UNSEEN_PATH_HINT));
    }
    let shown = awaited.shown.clone();
    let Some(reason) = attempt(&mut children, awaited, &variables, timeout, begun)? else { return Ok(0) };
    Err(unhealthy(format!("verb `{verb}` is not healthy: `{shown}`: {reason}"))
        .field("verb", verb.as_str())
        .field("target", shown)
        .field("reason", reason))
}
