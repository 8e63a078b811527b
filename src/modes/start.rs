//! From `main` to a mode: parses the request and dispatches it.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::{self, Action, Invocation, Options, Request, TableMode};
use crate::modes::context::{Context, check_stop, print};
use crate::modes::{check, exec, health, help, probe, supervise};
use crate::sys::{Signals, cgroup, identity, read, start, termination_log};
use crate::table::{load, select};
use crate::text::{BUG, Format, Log, Result};

pub(crate) fn run() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let _ = writeln!(std::io::stderr(), "preverb: a bug in preverb: {panic}");
        // An abort of PID 1 would give exit code 139, which looks like a segfault of the target.
        #[expect(clippy::exit, clippy::disallowed_methods, reason = "only an exit prevents the abort")]
        std::process::exit(BUG);
    }));
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_default();
    let words: Vec<OsString> = words.collect();
    if Path::new(&name).file_name() != Some(OsStr::new("preverb")) || read::is_part(name.as_bytes()) {
        // `--health` uses the process name to tell setup from the target. A process that was started through
        // a link or through `/proc` has another name.
        let _ = rustix::thread::set_name(c"preverb");
    }
    let mut log = Log::default();
    let mut starts_target = true;
    let result = if let Some(failure) = identity::give_up_borrowed_ids() {
        starts_target = false;
        help_or_version(&words, &mut log).unwrap_or(Err(failure))
    } else {
        let hidden = hidden_mode(&name, &words, &mut log);
        hidden.unwrap_or_else(|| dispatch(&name, words, &mut log, &mut starts_target))
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if starts_target {
                termination_log::write(&failure);
            }
            for message in failure.messages() {
                log.emit(&message);
            }
            ExitCode::from(failure.kind().exit_code())
        }
    }
}

fn help_or_version(words: &[OsString], log: &mut Log) -> Option<Result<u8>> {
    match words {
        [word] if word == "--version" || word == "-V" => Some(version()),
        [word] if word == "--help" || word == "-h" => Some(Signals::handle().and_then(|signals| {
            let context = Context { variables: read::environment(), signals, log, early: None };
            help::help(context, Path::new(load::DEFAULT), &Options::default())
        })),
        _ => None,
    }
}

fn version() -> Result<u8> {
    print(concat!("preverb ", env!("CARGO_PKG_VERSION"), "\n"))
}

fn hidden_mode(name: &OsStr, words: &[OsString], log: &mut Log) -> Option<Result<u8>> {
    if !read::is_part(name.as_bytes()) {
        return None;
    }
    let (mode, rest) = words.split_first()?;
    match mode.as_bytes() {
        b"--preverb-dump" => Some(Ok(crate::setup::dump::dump(rest))),
        b"--preverb-lookup" => Some(Ok(crate::ready::names::lookup())),
        b"--preverb-probe" => Some(Ok(probe::attempt_given())),
        b"--preverb-target" => Some(Err(supervise::become_target(rest, read::environment(), log))),
        b"--preverb-as" => Some(start::step_down_and_exec(rest)),
        b"--preverb-guard" => Some(start::guard()),
        _ => None,
    }
}

fn dispatch(name: &OsStr, words: Vec<OsString>, log: &mut Log, starts_target: &mut bool) -> Result<u8> {
    let signals = Signals::handle()?;
    let variables = read::environment().with_facts(cgroup::fact);
    let mut start = Context { variables, signals, log, early: None };
    start.log.format = start.variables.non_empty(b"PREVERB_LOG").and_then(Format::of).unwrap_or_default();

    // A link to preverb with the name of a verb runs that verb.
    let base = Path::new(name).file_name().unwrap_or_default();
    let other_name = !base.is_empty() && base != "preverb";
    if other_name && let Some(sources) = start.sources_if_any(None)? {
        if let Ok(document) = select::read(&sources)
            && start.is_verb(&document, base)
        {
            start.check_log(&Options::default())?;
            let mode = TableMode::Run(Invocation::Verb(base.to_owned(), words));
            return start.with_tree(&Options::default(), mode, &document);
        }
        start.early = Some((start.table(None), sources));
    }

    *starts_target = !cli::only_report(&words);
    let Request { options, action } = start.parse(words, other_name)?;
    *starts_target = action.starts_target();
    start.log.format = options.log.unwrap_or(start.log.format);
    // An error in `PREVERB_LOG` does not affect `--help` and `--version`.
    if matches!(action, Action::Help | Action::Version) {
        check_stop(&mut start.signals)?;
    } else {
        start.check_log(&options)?;
    }
    let table = start.table(options.table.as_deref());
    match action {
        Action::Help => help::help(start, &table, &options),
        Action::Version => version(),
        Action::As { user, command } => exec::step_down(start, &user, &command),
        Action::Supervise { options, command } => supervise::supervise(start, &options, &command),
        Action::Wait { targets, timeout, command } => probe::wait(start, &targets, timeout, &command),
        Action::Probe { target, timeout } => probe::probe(start, &target, timeout),
        Action::Exec { command } => exec::exec(start, &command),
        Action::Health { timeout } => health::health(start, options.table.map(Into::into), timeout),
        Action::Check { json, strict } => check::check(start, &table, &options, json, strict),
        Action::Table(mode) => {
            let sources = start.read(&table)?;
            let document = load::parse(&sources)?;
            start.with_tree(&options, mode, &document)
        }
    }
}
