//! preverb: one image, many verbs. The program is one sentence: take a request, observe the world, plan, then
//! explain the plan or perform it.
//!
//! The rooms, and what each may use:
//!
//! | room | is | may use |
//! |---|---|---|
//! | `text/` | messages, failures, names, durations; knows nothing of the program | |
//! | `value/` | what the program is about, as values: variables, templates, users | `text` |
//! | `sys/` | the kernel: one owner for each facility | `value`, `text` |
//! | `table/` | the verb table: files, tree, types | `value`, `text` (`load.rs`: `sys`) |
//! | `plan/` | request, table and facts make a plan; pure | `table`, `value`, `text` |
//! | `ready/` | one try of a target, and the loop that waits | `sys`, `value`, `text` |
//! | `setup/` | performs a plan | `plan`, `ready`, `sys`, `value`, `text` |
//! | `cli/` | argv makes a request | `value`, `text` |
//! | `modes/` | what preverb can be asked for, a file each | all |
//!
//! `fuzzing.rs` is the entrance for fuzzers, `keys.rs` that of the tests which make the JSON schema.
//!
//! What is hard is preverb itself again, in a small mode: `--preverb-as` steps down before a hook,
//! `--preverb-dump` hands a shell's environment back, `--preverb-probe` makes one try, `--preverb-guard`
//! cleans up after one, `--preverb-lookup` asks for a name's addresses, `--supervise` stays as PID 1 and
//! `--preverb-target` is its child before it becomes the target. So there is no `unsafe`, and no code between
//! fork and exec.

mod cli;
#[doc(hidden)]
pub mod fuzzing;
#[doc(hidden)]
pub mod keys;
mod modes;
mod plan;
mod ready;
mod setup;
mod sys;
mod table;
mod text;
mod value;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::{Action, Invocation, Options, Part, Request, TableMode};
use crate::modes::context::{Context, check_log};
use crate::modes::print::print;
use crate::modes::{r#as, check, exec, health, help, probe, supervise, wait};
use crate::sys::child::Children;
use crate::sys::identity;
use crate::sys::read;
use crate::sys::signals::Signals;
use crate::sys::termination_log;
use crate::table::select::{self, Tree};
use crate::text::failure::Result;
use crate::text::log::{Format, Log, quoted};

/// Runs preverb. Returns only where no target has replaced the process.
#[must_use]
pub fn run() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let _ = writeln!(std::io::stderr(), "preverb: a bug in preverb: {panic}");
        // An abort as PID 1 would exit with 139, which reads as a fault of the target.
        #[expect(
            clippy::exit,
            clippy::disallowed_methods,
            reason = "nothing else ends a panic without an abort"
        )]
        std::process::exit(text::failure::BUG);
    }));
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_default();
    let words: Vec<OsString> = words.collect();
    if Path::new(&name).file_name() != Some(OsStr::new("preverb")) || read::is_part(name.as_bytes()) {
        // Who looks from outside (`--health`) tells setup from the target by this name; a link, and what is
        // started through `/proc`, has another.
        let _ = rustix::thread::set_name(c"preverb");
    }
    let mut log = Log::default();
    let mut starts_target = true;
    let result = if let Some(failure) = identity::give_up_borrowed_ids() {
        starts_target = false;
        tell_of_itself(&words).unwrap_or(Err(failure))
    } else {
        hidden_part(&name, &words, &mut log)
            .unwrap_or_else(|| start(&name, words, &mut log, &mut starts_target))
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if starts_target {
                termination_log::write(&failure);
            }
            for message in failure.messages() {
                log.say(&message);
            }
            ExitCode::from(failure.kind().exit_code())
        }
    }
}

/// What anybody may have of it: the help and the version.
fn tell_of_itself(words: &[OsString]) -> Option<Result<u8>> {
    let [word] = words else { return None };
    match word.as_bytes() {
        b"--version" | b"-V" => Some(version()),
        b"--help" | b"-h" => Some(Signals::heed().and_then(|mut signals| {
            help::help(Path::new(table::load::DEFAULT), None, &read::environment(), &mut signals)
        })),
        _ => None,
    }
}

fn version() -> Result<u8> {
    print(&format!("preverb {}\n", env!("CARGO_PKG_VERSION")))
}

/// The small modes that preverb starts itself in. They read no table and heed no signal.
fn hidden_part(name: &OsStr, words: &[OsString], log: &mut Log) -> Option<Result<u8>> {
    if !read::is_part(name.as_bytes()) {
        return None;
    }
    let rest = words.get(1..).unwrap_or_default();
    match words.first()?.as_bytes() {
        b"--preverb-dump" => Some(Ok(setup::dump::dump(rest))),
        b"--preverb-lookup" => Some(Ok(modes::probe::lookup())),
        b"--preverb-probe" => Some(Ok(modes::probe::attempt_given())),
        b"--preverb-target" => Some(Err(supervise::become_target(rest, read::environment(), log))),
        b"--preverb-as" => Some(sys::start::step_down_and_exec(rest)),
        b"--preverb-guard" => Some(sys::guard::guard()),
        _ => None,
    }
}

/// Finds out what is asked for, and does it. `starts_target` becomes false where that is not to start a
/// target.
fn start(name: &OsStr, words: Vec<OsString>, log: &mut Log, starts_target: &mut bool) -> Result<u8> {
    let signals = Signals::heed()?;
    let variables = read::environment().with_facts(sys::cgroup::fact);
    let mut start = Context { variables, signals, log };
    let format = start.variables.non_empty(b"PREVERB_LOG").map(|value| (Format::of(value), quoted(value)));
    if let Some((Some(format), _)) = format {
        start.log.format = format;
    }

    // A link of the verb's name to preverb is that verb.
    let base = Path::new(name).file_name().unwrap_or_default();
    if !base.is_empty()
        && base != "preverb"
        && let Some(sources) = start.sources_if_any(None)?
        && let Ok(document) = select::read(&sources)
    {
        let tree = Tree::new(&document);
        if start.is_verb(tree, base) {
            check_log(format.as_ref(), &Options::default())?;
            let mode = TableMode::Run(Invocation::Verb(base.to_owned(), words));
            return start.with_tree(&Options::default(), mode, tree);
        }
    }

    let other_name = !base.is_empty() && base != "preverb";
    let Request { options, action } = start.parse(words, other_name)?;
    *starts_target = action.starts_target();
    if let Some(format) = options.log {
        start.log.format = format;
    }
    // Who asks for help or the version gets it, whatever is wrong around it.
    let checked = check_log(format.as_ref(), &options);
    match action {
        Action::Help => {
            let path = start.table(options.table.as_deref());
            help::help(&path, options.environment.as_ref(), &start.variables, &mut start.signals)
        }
        Action::Version => version(),
        Action::Part(part) => {
            checked?;
            let Context { variables, signals, log } = start;
            match part {
                Part::As { user, command } => Err(r#as::step_down(&user, &command, variables, signals, *log)),
                Part::Supervise { options, command } => {
                    supervise::supervise(&command, &options, variables, &read::program(), signals, *log)
                }
                Part::Wait { targets, timeout, command } => {
                    wait::wait(&targets, timeout, &command, &variables, signals, *log)
                }
                Part::Probe { target, timeout } => probe::probe(&target, timeout, &variables, signals),
                Part::Exec { command } => Err(exec::exec(&command, signals)),
            }
        }
        Action::Health { timeout } => {
            checked?;
            let table = options.table.map(PathBuf::from);
            health::health(table, timeout, Children::new(start.signals), *start.log)
        }
        Action::Check { json, strict } => {
            checked?;
            check::check(check::Check {
                table: &start.table(options.table.as_deref()),
                environment: options.environment.as_ref(),
                json,
                strict,
                variables: &start.variables,
                signals: &mut start.signals,
                log: *start.log,
                log_given: options.log.is_some() || format.is_some(),
            })
        }
        Action::Table(mode) => {
            checked?;
            let path = start.table(options.table.as_deref());
            let sources = table::load::read(&path, &mut start.signals)?;
            let document = table::load::parse(&sources)?;
            start.with_tree(&options, mode, Tree::new(&document))
        }
    }
}

#[cfg(test)]
#[path = "../tests/support/skip.rs"]
#[allow(dead_code, clippy::disallowed_methods, reason = "of the tests, not of the program")]
mod skip;
