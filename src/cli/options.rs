//! preverb's own options: the definition of the command line, for the parser, `--help` and the completions,
//! and what its matches ask for. Must not know what anything of it does.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Action, Options, Part, Rest, TableMode, usage, words};
use crate::text::duration::{DURATION_RULE, PROBE_TIMEOUT, WAIT_TIMEOUT, parse_duration};
use crate::text::failure::{Failure, Result};
use crate::text::log::{Format, quoted};
use crate::value::signal::{can_be_caught, parse_signal};
use crate::value::supervision::Supervision;

/// The modes, by their options.
const MODES: [&str; 10] =
    ["list", "check", "explain", "health", "shim", "as", "supervise", "wait", "probe", "exec"];

/// The heading of the modes that speak about the table.
pub(crate) const TABLE_MODES: &str = "Modes that speak about the table";
/// The heading of the parts.
pub(crate) const PARTS: &str = "Parts by themselves, without a table";

/// The definition of the command line, from which the parser, `--help` and the completions are made.
pub(crate) fn command() -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name(value)
            .value_parser(clap::value_parser!(OsString))
            .action(ArgAction::Set)
            .allow_hyphen_values(true)
            .help(help)
    };
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    Command::new("preverb")
        .about("Sets up the verb of a container image for its environment, then becomes the target")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args([
            option(
                "table",
                "FILE",
                "The verb table [variable: PREVERB_TABLE; default: /etc/preverb/preverb.toml]",
            ),
            option("environment", "NAME", "The deployment environment; also sets the variable that names it"),
            flag("skip-setup", "Skip every setup step [variable: PREVERB_SKIP_SETUP]"),
            option("log", "FORMAT", "Messages as text, json, quiet or verbose [variable: PREVERB_LOG]"),
            flag("json", "With --list, --check, --explain: JSON on standard output"),
            flag("strict", "With --check: warnings fail, too"),
            option(
                "timeout",
                "D",
                "With --health, --wait, --probe: how long it may take (500ms, 60s, 5m, 1h)",
            ),
        ])
        .args(
            [
                flag("list", "List the verbs of the environment, and the declared variables"),
                flag("check", "Report every mistake in the table and in what it names"),
                flag("explain", "Say what a run would do, and do nothing of it"),
                flag("health", "Say whether the container's verb is healthy"),
                flag("shim", "Print a script for the host that runs the image as a local command"),
            ]
            .map(|arg| arg.help_heading(TABLE_MODES)),
        )
        .args(
            [
                option("as", "USER", "Step down to USER, then exec COMMAND"),
                flag("supervise", "Stay as PID 1 with COMMAND as a child: forward signals, reap"),
                option("signals", "LIST", "With --supervise: rewrite signals (TERM=QUIT,HUP=none)"),
                flag("group", "With --supervise: forward to the whole group"),
                option("grace", "D", "With --supervise: how long what is left behind may take to end"),
                option("exit", "LIST", "With --supervise: replace exit codes of COMMAND (143=0)"),
                flag("conceal", "What preverb tells itself").hide(true),
                option("blocked", "LIST", "What preverb tells itself").hide(true),
                flag("wait", "Wait until every TARGET is ready, then exec COMMAND"),
                option("probe", "TARGET", "Try TARGET once"),
                flag("exec", "Run COMMAND as the container's main process would be run"),
            ]
            .map(|arg| arg.help_heading(PARTS)),
        )
        .arg(Arg::new("help").long("help").short('h').action(ArgAction::SetTrue).help("Show this help"))
        .arg(
            Arg::new("version")
                .long("version")
                .short('V')
                .action(ArgAction::SetTrue)
                .help("Show the version"),
        )
        .arg(Arg::new("targets").num_args(0..).value_parser(clap::value_parser!(OsString)).hide(true))
}

/// Whether the argument is the option of a mode, with a value or without.
pub(super) fn is_mode(argument: &OsStr) -> bool {
    let name = argument.as_bytes().split(|byte| *byte == b'=').next().unwrap_or_default();
    MODES.iter().any(|mode| name.strip_prefix(b"--") == Some(mode.as_bytes()))
}

/// The failure of a word that looks like an option and is none.
pub(super) fn unknown_option(word: &OsStr) -> Failure {
    let bytes = word.as_bytes();
    let failure = usage(format!("unknown option {}", quoted(bytes)))
        .field("option", crate::text::escape::escaped(bytes));
    let name = String::from_utf8_lossy(bytes);
    let name = name.split('=').next().unwrap_or_default();
    let command = command();
    let known: Vec<String> = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set())
        .filter_map(|arg| arg.get_long().map(|long| format!("--{long}")))
        .collect();
    match crate::text::nearest::nearest(name, known.iter().map(String::as_str)) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("`preverb --help` lists the options"),
    }
}

/// Parses the options.
///
/// # Errors
/// Usage.
pub(super) fn parse_options(options: &[OsString]) -> Result<ArgMatches> {
    let argv = std::iter::once(OsString::from("preverb")).chain(options.iter().cloned());
    command().try_get_matches_from(argv).map_err(|error| {
        let context = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => text.clone(),
            Some(ContextValue::Strings(texts)) => texts.join(", "),
            _ => String::new(),
        };
        let option = context(ContextKind::InvalidArg);
        let option = option.split([' ', '=']).next().unwrap_or_default().to_owned();
        #[expect(clippy::wildcard_enum_match_arm, reason = "the parser's errors are an open list")]
        let sentence = match error.kind() {
            ErrorKind::ArgumentConflict => format!("option `{option}` is given twice"),
            ErrorKind::InvalidValue | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
                format!("option `{option}` needs a value")
            }
            ErrorKind::TooManyValues => {
                format!("option `{option}` takes no value")
            }
            ErrorKind::UnknownArgument => format!("unknown option `{option}`"),
            _ => {
                error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
            }
        };
        let hint = match (error.kind(), &*option) {
            (ErrorKind::ArgumentConflict, "--wait") => "several targets follow one `--wait`: `--wait A B`",
            _ => "`preverb --help` lists the options",
        };
        usage(sentence).hint(hint)
    })
}

/// The options that belong to every mode.
///
/// # Errors
/// Usage.
pub(super) fn common(matches: &ArgMatches) -> Result<Options> {
    let value = |name: &str| matches.get_one::<OsString>(name).cloned();
    let log = match value("log") {
        None => None,
        Some(text) => Some(Format::of(text.as_bytes()).ok_or_else(|| {
            usage(format!("option `--log` cannot be {}", quoted(text.as_bytes()))).hint(Format::rule())
        })?),
    };
    Ok(Options {
        table: value("table"),
        environment: value("environment"),
        skip_setup: matches.get_flag("skip-setup"),
        log,
    })
}

fn duration(matches: &ArgMatches, name: &str) -> Result<Option<Duration>> {
    let Some(text) = matches.get_one::<OsString>(name) else { return Ok(None) };
    let duration = text.to_str().and_then(parse_duration);
    duration.map(Some).ok_or_else(|| {
        usage(format!("option `--{name}` is {}, which is no duration", quoted(text.as_bytes())))
            .hint(DURATION_RULE)
    })
}

/// What the options ask for; `rest` follows them.
///
/// # Errors
/// Usage.
pub(super) fn action(matches: &ArgMatches, rest: Rest) -> Result<Action> {
    let mode = mode(matches)?;
    let value = |name: &str| matches.get_one::<OsString>(name).cloned().unwrap_or_default();
    let json = matches.get_flag("json");
    if json && !matches!(mode, Some("list" | "check" | "explain")) {
        return Err(usage("option `--json` belongs to `--list`, `--check` or `--explain`"));
    }
    let strict = matches.get_flag("strict");
    if strict && mode != Some("check") {
        return Err(usage("option `--strict` belongs to `--check`"));
    }
    let timeout = duration(matches, "timeout")?;
    if timeout.is_some() && !matches!(mode, Some("health" | "wait" | "probe")) {
        return Err(usage("option `--timeout` belongs to `--health`, `--wait` or `--probe`"));
    }
    let supervise = supervise_options(matches)?;
    if supervise != Supervision::default() && mode != Some("supervise") {
        return Err(usage("options `--signals`, `--group`, `--grace` and `--exit` belong to `--supervise`"));
    }
    let targets: Vec<OsString> =
        matches.get_many::<OsString>("targets").into_iter().flatten().cloned().collect();
    if let Some(word) = targets.first().filter(|_| mode != Some("wait")) {
        let mode = mode.unwrap_or_default();
        return Err(usage(format!("`--{mode}` takes no word {} before `--`", quoted(word.as_bytes())))
            .hint(format!("preverb --{mode} ... -- COMMAND [ARGUMENT]...")));
    }
    let command = |rest: Rest, mode: &str| match rest {
        Rest::Command(words) if !words.is_empty() => Ok(words),
        Rest::Nothing | Rest::Verb(_) | Rest::Dash(_) | Rest::Command(_) => {
            Err(usage(format!("`--{mode}` needs a command after `--`"))
                .hint(format!("preverb --{mode} ... -- COMMAND [ARGUMENT]...")))
        }
    };
    let nothing = |rest: Rest, mode: &str| match rest {
        Rest::Nothing => Ok(()),
        Rest::Verb(words) | Rest::Command(words) | Rest::Dash(words) => {
            let word = words.first().map_or(OsStr::new("--"), OsString::as_os_str);
            Err(usage(format!("`--{mode}` takes no word {}", quoted(word.as_bytes()))))
        }
    };
    Ok(match mode {
        None => Action::Table(TableMode::Run(words(rest)?)),
        Some("explain") => Action::Table(TableMode::Explain { words: words(rest)?, json }),
        Some("list") => {
            nothing(rest, "list")?;
            Action::Table(TableMode::List { json })
        }
        Some("check") => {
            nothing(rest, "check")?;
            Action::Check { json, strict }
        }
        Some("health") => {
            nothing(rest, "health")?;
            Action::Health { timeout: timeout.unwrap_or(PROBE_TIMEOUT) }
        }
        Some("shim") => match rest {
            Rest::Verb(mut words) if words.len() == 1 => Action::Table(TableMode::Shim { verb: words.pop() }),
            Rest::Verb(words) => {
                return Err(usage(format!("`--shim` takes one verb, not {} words", words.len())));
            }
            rest @ (Rest::Nothing | Rest::Command(_) | Rest::Dash(_)) => {
                nothing(rest, "shim")?;
                Action::Table(TableMode::Shim { verb: None })
            }
        },
        Some("as") => Action::Part(Part::As { user: value("as"), command: command(rest, "as")? }),
        Some("supervise") => {
            Action::Part(Part::Supervise { options: supervise, command: command(rest, "supervise")? })
        }
        Some("wait") => {
            if targets.is_empty() {
                return Err(usage("`--wait` needs a target").hint("preverb --wait tcp://db:5432 -- COMMAND"));
            }
            let command = match rest {
                Rest::Nothing => Vec::new(),
                rest @ (Rest::Verb(_) | Rest::Command(_) | Rest::Dash(_)) => command(rest, "wait")?,
            };
            Action::Part(Part::Wait { targets, timeout: timeout.unwrap_or(WAIT_TIMEOUT), command })
        }
        Some("probe") => {
            nothing(rest, "probe")?;
            Action::Part(Part::Probe { target: value("probe"), timeout: timeout.unwrap_or(PROBE_TIMEOUT) })
        }
        Some(_) => Action::Part(Part::Exec { command: command(rest, "exec")? }),
    })
}

fn mode(matches: &ArgMatches) -> Result<Option<&'static str>> {
    let given: Vec<&'static str> = MODES
        .into_iter()
        .filter(|mode| matches.value_source(mode) == Some(clap::parser::ValueSource::CommandLine))
        .collect();
    match given[..] {
        [] => Ok(None),
        [mode] => Ok(Some(mode)),
        [first, second, ..] => Err(usage(format!("`--{first}` and `--{second}` are two modes: give one"))),
    }
}

fn supervise_options(matches: &ArgMatches) -> Result<Supervision> {
    let mut options = Supervision {
        signals: Vec::new(),
        group: matches.get_flag("group"),
        grace: duration(matches, "grace")?,
        exit: exit_codes(matches)?,
        conceal: matches.get_flag("conceal"),
        blocked: Vec::new(),
    };
    if let Some(list) = matches.get_one::<OsString>("blocked") {
        let numbers = list.to_str().unwrap_or_default().split(',').filter(|number| !number.is_empty());
        options.blocked = numbers
            .map(|number| parse_signal(number).ok_or_else(|| usage("`--blocked` is for preverb itself")))
            .collect::<Result<_>>()?;
    }
    let Some(list) = matches.get_one::<OsString>("signals") else { return Ok(options) };
    let wrong = || {
        usage(format!("option `--signals` is {}, which names no signals", quoted(list.as_bytes())))
            .hint("signals are rewritten as in `TERM=QUIT,HUP=none`")
    };
    for pair in list.to_str().ok_or_else(wrong)?.split(',') {
        let (from, to) = pair.split_once('=').ok_or_else(wrong)?;
        let signal = parse_signal(from).ok_or_else(wrong)?;
        if !can_be_caught(signal) {
            return Err(usage(format!(
                "signal {} in `--signals` cannot be caught, and so not passed on",
                quoted(from)
            )));
        }
        if options.signals.iter().any(|(earlier, _)| *earlier == signal) {
            return Err(usage(format!("signal {} stands in `--signals` twice", quoted(from))));
        }
        let to = if to == "none" { None } else { Some(parse_signal(to).ok_or_else(wrong)?) };
        options.signals.push((signal, to));
    }
    Ok(options)
}

/// `--exit 143=0,130=0`.
fn exit_codes(matches: &ArgMatches) -> Result<Vec<(u8, u8)>> {
    let Some(list) = matches.get_one::<OsString>("exit") else { return Ok(Vec::new()) };
    let wrong = || {
        usage(format!("option `--exit` is {}, not a list of exit codes", quoted(list.as_bytes())))
            .hint("exit codes are replaced as in `143=0,130=0`; each is 0 to 255")
    };
    let mut codes: Vec<(u8, u8)> = Vec::new();
    for pair in list.to_str().ok_or_else(wrong)?.split(',') {
        let (from, to) = pair.split_once('=').ok_or_else(wrong)?;
        let from = from.parse().map_err(|_| wrong())?;
        if codes.iter().any(|(earlier, _)| *earlier == from) {
            return Err(usage(format!("exit code {from} is in `--exit` twice")));
        }
        codes.push((from, to.parse().map_err(|_| wrong())?));
    }
    Ok(codes)
}
