//! `--health`: whether what the container runs is healthy, by the probe that its verb names; and one try by
//! itself, `--probe`.
//!
//! The verb, its environment and everything that the probe is made from are the main process's own, so one
//! line in the image holds for all of its verbs. Whatever keeps the question from being answered is an answer
//! too: not healthy (1), and why, in one line.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::modes::main_process;
use crate::modes::main_process::Absent;
use crate::ready::wait::{Awaited, start_here};
use crate::setup::steps::wait::awaited_of;
use crate::sys::child::{Children, Stop};
use crate::sys::read;
use crate::table;
use crate::table::decode::decoder::Decoder;
use crate::table::select::{Selection, Tree};
use crate::table::variable::Declaration;
use crate::text::duration::spoken;
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::{Log, quoted};
use crate::text::names::{EnvironmentName, VerbName};
use crate::value::condition::Facts;
use crate::value::step::Probe;
use crate::value::target::{UNSEEN_PATH, UNSEEN_PATH_HINT};
use crate::value::toml::Sources;
use crate::value::variables::Variables;

/// Says whether the container's verb is healthy.
///
/// # Errors
/// Unhealthy (1), or the request to stop.
pub(crate) fn health(table: Option<PathBuf>, timeout: Duration, children: Children, log: Log) -> Result<u8> {
    examine(table, timeout, children, log).map(|()| 0).map_err(|failure| {
        if failure.is_stop() || failure.kind() == Kind::Unhealthy {
            failure
        } else {
            unhealthy(failure.sentence())
        }
    })
}

fn examine(option: Option<PathBuf>, timeout: Duration, mut children: Children, log: Log) -> Result<()> {
    let begun = Instant::now();
    if !timeout.is_zero() {
        children.signals().wait_until(begun + timeout);
    }
    let main = main_process::find(&mut children).map_err(|absent| match absent {
        Absent::Stopped(stop) => stop.failure("while it probed"),
        absent @ (Absent::SettingUp(_)
        | Absent::Starting(_)
        | Absent::NoTarget(_)
        | Absent::Ended(..)
        | Absent::Alone
        | Absent::NoProc
        | Absent::NotSeen) => Failure::say(Kind::Unhealthy, absent.describe()),
    })?;
    main.is_one_user()?;
    let mut variables = main.variables()?.with_facts(crate::sys::cgroup::fact);
    let Some(verb) = variables.non_empty(b"PREVERB_VERB") else {
        if variables.get(b"PREVERB_ENVIRONMENT").is_none() {
            return Err(unhealthy(format!(
                "what {} runs is not known: the variables `PREVERB_VERB` and `PREVERB_ENVIRONMENT` are missing there",
                main.shown()
            )));
        }
        log.debug(|| format!("{} runs no verb, and is healthy while it runs", main.shown()));
        return Ok(());
    };
    let verb = VerbName::parse(verb)
        .ok_or_else(|| unhealthy(format!("variable `PREVERB_VERB` is {}, which is no verb", quoted(verb))))?;
    let environment =
        variables.non_empty(b"PREVERB_ENVIRONMENT").and_then(EnvironmentName::parse).ok_or_else(|| {
            unhealthy("variable `PREVERB_ENVIRONMENT` of the main process names no environment".to_owned())
        })?;

    // A table that a hook may have named is read by whom the hook ran as: root would say what stands in it.
    let named = variables.non_empty(b"PREVERB_TABLE");
    let own = read::environment();
    let trusted = option.is_some() || named.is_none() || named == own.non_empty(b"PREVERB_TABLE");
    let path = option.unwrap_or_else(|| {
        named.map_or_else(|| PathBuf::from(table::load::DEFAULT), |path| OsStr::from_bytes(path).into())
    });
    let program = read::program();
    let early = if trusted { Some(table::load::read(&path, children.signals())?) } else { None };
    // The probe is made as the main process's user, for what it is made from may come from a hook as well.
    // Its directory may be closed to everybody by now, and matters only to a program with a relative path.
    let _ = main.enter();
    main.become_its_user()?;
    let sources = early.map_or_else(|| table::load::read(&path, children.signals()), Ok)?;

    let Some((probe, opaque)) = probe_of(&sources, &path, &verb, &environment, &mut variables)? else {
        log.debug(|| format!("verb `{verb}` has no `health`, and is healthy while it runs"));
        return Ok(());
    };
    let facts = Facts { variables: &variables, opaque: &opaque, exists: &read::is_there };
    let Some(awaited) = awaited_of(&probe, facts, "`health`", &program)? else {
        log.debug(|| format!("the `health` of verb `{verb}` is nothing to probe, and so healthy"));
        return Ok(());
    };
    if awaited.hides_its_path() {
        return Err(unhealthy(format!("`health` of verb `{verb}`: {UNSEEN_PATH}")).hint(UNSEEN_PATH_HINT));
    }
    let shown = awaited.shown.clone();
    attempt(&mut children, awaited, &variables, timeout, begun)?.map_err(|reason| {
        unhealthy(format!("verb `{verb}` is not healthy: `{shown}`: {reason}"))
            .field("verb", verb.as_str())
            .field("target", shown)
            .field("reason", reason)
    })
}

fn unhealthy(sentence: String) -> Failure {
    Failure::say(Kind::Unhealthy, sentence)
}

/// The probe of this verb, what its conditions are judged by, and in `variables` what is secret; nothing
/// else of the table counts.
fn probe_of(
    sources: &Sources,
    path: &Path,
    verb: &VerbName,
    environment: &EnvironmentName,
    variables: &mut Variables,
) -> Result<Option<(Probe, BTreeSet<String>)>> {
    let document = table::load::parse(sources)?;
    let tree = Tree::new(&document);
    if let (None, None) = tree.parts(verb.as_str(), environment.as_str()) {
        let table = quoted(path.as_os_str().as_bytes());
        return Err(unhealthy(format!(
            "the table {table} has no verb `{verb}` in environment `{environment}`, which is what runs"
        )));
    }
    let mut decoder = Decoder::default();
    let selection = tree.select(&mut decoder, environment, Some(verb));
    table::load::failing(sources, &decoder.mistakes)?;
    let declarations = table::types::lay_declarations(selection.layers());
    mark_secrets(&selection, &declarations, variables);
    let opaque = declarations.iter().filter(|each| each.is_opaque()).map(|each| each.name.clone()).collect();
    Ok(selection.verb.and_then(|verb| verb.part.health).map(|probe| (probe, opaque)))
}

/// Marks what was declared as a secret, and what the layers make from one.
fn mark_secrets(selection: &Selection, declarations: &[Declaration], variables: &mut Variables) {
    for declaration in declarations {
        if declaration.is_secret() {
            variables.mark_secret(declaration.name.as_bytes());
        }
    }
    for setting in selection.layers().flat_map(|layer| &layer.env) {
        if setting.value.expand(variables).is_ok_and(|value| value.secret) {
            variables.mark_secret(setting.name.as_bytes());
        }
    }
}

/// Tries a target once, within `timeout`.
///
/// # Errors
/// Unhealthy (1), or the request to stop.
pub(crate) fn try_once(
    children: &mut Children,
    awaited: Awaited,
    variables: &Variables,
    timeout: Duration,
) -> Result<u8> {
    let shown = awaited.shown.clone();
    attempt(children, awaited, variables, timeout, Instant::now())?.map(|()| 0).map_err(|reason| {
        unhealthy(format!("`{shown}` is not ready: {reason}")).field("target", shown).field("reason", reason)
    })
}

/// As long as anybody will wait: the limit of a probe that has none.
const FOR_EVER: Duration = Duration::from_hours(24);

/// One try that is a part of what has begun then, and why it did not go well; a `timeout` of zero is none, as
/// for `--wait`.
fn attempt(
    children: &mut Children,
    mut awaited: Awaited,
    variables: &Variables,
    timeout: Duration,
    begun: Instant,
) -> Result<std::result::Result<(), String>> {
    let limit = if timeout.is_zero() { FOR_EVER } else { timeout };
    let deadline = begun + limit;
    awaited.limit = Some(deadline.saturating_duration_since(Instant::now()));
    // The child has no limit of its own: past the deadline it is killed at once, for whoever asked waits.
    awaited.guard = Some(read::program());
    let mut running = match start_here(children, &awaited, variables, Duration::ZERO) {
        Ok(running) => running,
        Err(reason) => return Ok(Err(awaited.shown_reason(&reason).to_owned())),
    };
    let stopped = |stop: Stop| stop.failure("while it probed");
    loop {
        children.pump(&mut [&mut running], Some(deadline)).map_err(stopped)?;
        if let Some(ended) = running.ended() {
            let verdict = awaited.verdict(&running, ended);
            return Ok(verdict.map_err(|reason| awaited.shown_reason(&reason).to_owned()));
        }
        if Instant::now() >= deadline {
            // A guard has to clean up.
            if awaited.is_probe() {
                running.end_now();
            } else {
                running.end(15);
            }
            while running.ended().is_none() {
                children.pump(&mut [&mut running], None).map_err(stopped)?;
            }
            return Ok(Err(format!("no answer within {}", spoken(limit))));
        }
    }
}
