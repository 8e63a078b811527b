//! preverb's own options: the definition of the command line, and the values that were parsed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::request::{Action, Invocation, Options, TableMode};
use crate::text::{
    DURATION_RULE, Failure, Format, Kind, PROBE_TIMEOUT, Result, WAIT_TIMEOUT, did_you_mean, escaped,
    parse_duration, quoted,
};
use crate::value::{Supervision, can_be_caught, parse_signal};

/// An option: its name, the placeholder of its value (empty: it takes none), the modes that accept it (empty:
/// all), and its line in `--help` (empty: the option is internal).
type Definition = (&'static str, &'static str, &'static [&'static str], &'static str);

pub(crate) const OPTIONS: [(&str, &[Definition]); 3] = [
    (
        "Options",
        &[
            ("table", "FILE", &[], "The table [variable: PREVERB_TABLE; default: /etc/preverb/preverb.toml]"),
            ("environment", "NAME", &[], "The deployment environment; also sets the variable that names it"),
            ("skip-setup", "", &[], "Skip every setup step [variable: PREVERB_SKIP_SETUP]"),
            ("log", "FORMAT", &[], "Message format: text, json, quiet or verbose [variable: PREVERB_LOG]"),
            ("json", "", &["list", "check", "explain"], "JSON on standard output"),
            ("strict", "", &["check"], "fail on warnings, too"),
            ("timeout", "D", &["health", "wait", "probe"], "time limit (500ms, 60s, 5m, 1h)"),
            ("help", "", &[], "Show this help"),
            ("version", "", &[], "Show the version"),
        ],
    ),
    (
        "Table modes",
        &[
            ("list", "", &[], "List the verbs of the environment, and the declared variables"),
            ("check", "", &[], "Report every error in the table, and what is missing in the image"),
            ("explain", "", &[], "Show what a run would do, without doing it"),
            ("health", "", &[], "Report whether the container's verb is healthy"),
            ("shim", "", &[], "Print a script for the host that runs the image as a local command"),
        ],
    ),
    (
        "Standalone modes, which need no table",
        &[
            ("as", "USER", &[], "Step down to USER, then exec COMMAND"),
            ("supervise", "", &[], "Run COMMAND as a child: forward signals, reap orphans"),
            ("signals", "LIST", &["supervise"], "rewrite signals (TERM=QUIT,HUP=none)"),
            ("group", "", &["supervise"], "forward signals to the whole process group"),
            ("grace", "D", &["supervise"], "time for leftover processes before KILL"),
            ("exit", "LIST", &["supervise"], "replace exit codes of COMMAND (143=0)"),
            ("conceal", "", &[], ""),
            ("blocked", "LIST", &[], ""),
            ("wait", "", &[], "Wait until every TARGET is ready, then exec COMMAND"),
            ("probe", "TARGET", &[], "Try TARGET once"),
            ("exec", "", &[], "Run COMMAND with the main process's variables, user and directory"),
        ],
    ),
];

const MODES: [&str; 10] =
    ["list", "check", "explain", "health", "shim", "as", "supervise", "wait", "probe", "exec"];

impl Invocation {
    /// The invocation by the arguments that follow preverb's own options.
    pub(super) fn of(mut words: Vec<OsString>) -> Result<Self> {
        Ok(match words.first() {
            None => Self::None,
            Some(first) if first == "--" && words.len() == 1 => {
                return Err(usage("no command after `--`").hint("preverb -- COMMAND [ARGUMENT]..."));
            }
            Some(first) if first == "--" => Self::Command(words.split_off(1)),
            Some(first) if has_dash(first) => Self::Default(words),
            Some(_) => Self::Verb(words.remove(0), words),
        })
    }
}

pub(super) fn has_dash(argument: &OsStr) -> bool {
    argument.as_bytes().starts_with(b"-")
}

fn definitions() -> impl Iterator<Item = &'static Definition> {
    OPTIONS.iter().flat_map(|(_, options)| *options)
}

pub(super) fn command() -> Command {
    let options = definitions().filter(|(name, ..)| !matches!(*name, "help" | "version"));
    let options = options.map(|(name, value, ..)| {
        let option = Arg::new(*name).long(*name);
        if value.is_empty() {
            return option.action(ArgAction::SetTrue);
        }
        option.value_parser(clap::value_parser!(OsString)).allow_hyphen_values(true)
    });
    Command::new("preverb")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(options)
        .arg(Arg::new("targets").num_args(0..).value_parser(clap::value_parser!(OsString)))
}

/// The option that an argument names, and whether it takes a value.
pub(super) fn option(argument: &OsStr) -> Option<(&'static str, bool)> {
    let name = argument.as_bytes().strip_prefix(b"--")?.split(|byte| *byte == b'=').next()?;
    definitions()
        .find(|(known, ..)| known.as_bytes() == name)
        .map(|(name, value, ..)| (*name, !value.is_empty()))
}

pub(super) fn is_mode(argument: &OsStr) -> bool {
    let has_value = argument.as_bytes().contains(&b'=');
    option(argument).is_some_and(|(name, takes)| MODES.contains(&name) && (takes || !has_value))
}

/// `before` are the options to the left of it.
pub(super) fn unknown_option(word: &OsStr, before: &[OsString]) -> Failure {
    let bytes = word.as_bytes();
    let failure = usage(format!("unknown option {}", quoted(bytes))).field("option", escaped(bytes));
    let name = String::from_utf8_lossy(bytes);
    let name = name.split('=').next().unwrap_or_default();
    let known = definitions().filter(|(.., help)| !help.is_empty());
    let known: Vec<String> = known.map(|(name, ..)| format!("--{name}")).collect();
    // gosu and tini are called without a `--` between the mode and the command.
    let takes_command = |name: &&str| matches!(*name, "as" | "supervise" | "wait" | "exec");
    let mut modes = before.iter().filter_map(|argument| Some(option(argument)?.0)).filter(takes_command);
    failure.hint(if let Some(hint) = did_you_mean(name, known.iter().map(String::as_str)) {
        hint
    } else if let Some(mode) = modes.next() {
        format!("a command stands after `--`: `{}`", with_command(mode))
    } else {
        SEE_HELP.to_owned()
    })
}

const SEE_HELP: &str = "`preverb --help` lists the options";

fn with_command(mode: &str) -> String {
    format!("preverb --{mode} ... -- COMMAND [ARGUMENT]...")
}

pub(super) fn parse_options(options: &[OsString]) -> Result<ArgMatches> {
    let argv = std::iter::once(OsString::from("preverb")).chain(options.iter().cloned());
    command().try_get_matches_from(argv).map_err(|error| {
        let option = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(text)) => text.split([' ', '=']).next().unwrap_or_default(),
            _ => "",
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "the parser's errors are an open list")]
        let (what, hint) = match error.kind() {
            ErrorKind::ArgumentConflict if option == "--wait" => {
                ("is given twice", "several targets follow one `--wait`: `--wait A B`")
            }
            ErrorKind::ArgumentConflict => ("is given twice", SEE_HELP),
            ErrorKind::TooManyValues => ("takes no value", SEE_HELP),
            _ => ("needs a value", SEE_HELP),
        };
        usage(format!("option `{option}` {what}")).hint(hint)
    })
}

pub(super) fn common(matches: &ArgMatches) -> Result<Options> {
    let value = |name: &str| matches.get_one::<OsString>(name).cloned();
    let log = parsed(matches, "log", ["a log format", &Format::rule()], Format::parse)?;
    let (table, environment) = (value("table"), value("environment"));
    Ok(Options { table, environment, skip_setup: matches.get_flag("skip-setup"), log })
}

/// `rest` are the arguments that follow the options.
pub(super) fn action(matches: &ArgMatches, rest: Vec<OsString>) -> Result<Action> {
    let given = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
    let mut modes = MODES.into_iter().filter(|mode| given(mode));
    let mode = modes.next().unwrap_or_default();
    if let Some(second) = modes.next() {
        return Err(usage(format!("`--{mode}` and `--{second}` cannot be used together")));
    }
    let timeout = parsed(matches, "timeout", ["a duration", DURATION_RULE], parse_duration)?;
    let supervision = supervision(matches)?;
    for (name, _, modes, _) in definitions() {
        if !modes.is_empty() && !modes.contains(&mode) && given(name) {
            let modes = modes.iter().map(|mode| format!("`--{mode}`")).collect::<Vec<_>>().join(" or ");
            return Err(usage(format!("option `--{name}` requires {modes}")));
        }
    }
    let targets: Vec<OsString> = matches.get_many("targets").into_iter().flatten().cloned().collect();
    if let Some(word) = targets.first().filter(|_| mode != "wait") {
        let sentence = format!("`--{mode}` takes no argument {} before `--`", quoted(word.as_bytes()));
        return Err(usage(sentence).hint(with_command(mode)));
    }
    let (is_command, words) = match &*rest {
        [first, words @ ..] if first == "--" => (true, words),
        words => (false, words),
    };
    let takes_nothing = match mode {
        "list" | "check" | "health" | "probe" => !rest.is_empty(),
        "shim" => is_command,
        _ => false,
    };
    if takes_nothing {
        let word = words.first().map_or(OsStr::new("--"), OsString::as_os_str);
        return Err(usage(format!("`--{mode}` takes no argument {}", quoted(word.as_bytes()))));
    }
    let command = || {
        if is_command && !words.is_empty() {
            return Ok(words.to_vec());
        }
        Err(usage(format!("`--{mode}` needs a command after `--`")).hint(with_command(mode)))
    };
    let json = matches.get_flag("json");
    let value = || matches.get_one::<OsString>(mode).cloned().unwrap_or_default();
    let probe_timeout = timeout.unwrap_or(PROBE_TIMEOUT);
    Ok(match mode {
        "" => Action::Table(TableMode::Run(Invocation::of(rest)?)),
        "explain" => Action::Table(TableMode::Explain { words: Invocation::of(rest)?, json }),
        "list" => Action::Table(TableMode::List { json }),
        "check" => Action::Check { json, strict: matches.get_flag("strict") },
        "health" => Action::Health { timeout: probe_timeout },
        "shim" if words.len() > 1 => {
            return Err(usage(format!("`--shim` takes one verb, not {} arguments", words.len())));
        }
        "shim" => Action::Table(TableMode::Shim { verb: words.first().cloned() }),
        "as" => Action::As { user: value(), command: command()? },
        "supervise" => Action::Supervise { options: supervision, command: command()? },
        "wait" if targets.is_empty() => {
            return Err(usage("`--wait` needs a target").hint("preverb --wait tcp://db:5432 -- COMMAND"));
        }
        "wait" => {
            let command = if rest.is_empty() { Vec::new() } else { command()? };
            Action::Wait { targets, timeout: timeout.unwrap_or(WAIT_TIMEOUT), command }
        }
        "probe" => Action::Probe { target: value(), timeout: probe_timeout },
        _ => Action::Exec { command: command()? },
    })
}

fn supervision(matches: &ArgMatches) -> Result<Supervision> {
    let rule = ["a list of signals", "write it as in `TERM=QUIT,HUP=none`"];
    let blocked = list(matches, "blocked", rule, &parse_signal)?;
    let signals = list(matches, "signals", rule, &|pair| {
        let (from, to) = pair.split_once('=')?;
        let to = if to == "none" { None } else { Some(parse_signal(to)?) };
        Some((from, (parse_signal(from)?, to)))
    })?;
    for (number, (from, (signal, _))) in signals.iter().enumerate() {
        let what = if !can_be_caught(*signal) {
            "in `--signals` cannot be caught, so it cannot be forwarded"
        } else if signals[..number].iter().any(|(_, (earlier, _))| earlier == signal) {
            "appears twice in `--signals`"
        } else {
            continue;
        };
        return Err(usage(format!("signal {} {what}", quoted(from))));
    }
    let rule = ["a list of exit codes", "write it as in `143=0,130=0`; each code is 0 to 255"];
    let exit: Vec<(u8, u8)> = list(matches, "exit", rule, &|pair| {
        let (from, to) = pair.split_once('=')?;
        Some((from.parse().ok()?, to.parse().ok()?))
    })?;
    for (number, (from, _)) in exit.iter().enumerate() {
        if exit[..number].iter().any(|(earlier, _)| earlier == from) {
            return Err(usage(format!("exit code {from} appears twice in `--exit`")));
        }
    }
    Ok(Supervision {
        signals: signals.into_iter().map(|(_, pair)| pair).collect(),
        group: matches.get_flag("group").then_some(true),
        grace: parsed(matches, "grace", ["a duration", DURATION_RULE], parse_duration)?,
        exit,
        conceal: matches.get_flag("conceal"),
        blocked,
    })
}

fn list<'m, T>(
    matches: &'m ArgMatches, name: &str, rule: [&str; 2], read: &dyn Fn(&'m str) -> Option<T>,
) -> Result<Vec<T>> {
    Ok(parsed(matches, name, rule, |list| list.split(',').map(read).collect())?.unwrap_or_default())
}

/// The value of an option, which is `what`.
fn parsed<'m, T>(
    matches: &'m ArgMatches, name: &str, [what, hint]: [&str; 2], read: impl Fn(&'m str) -> Option<T>,
) -> Result<Option<T>> {
    let Some(text) = matches.get_one::<OsString>(name) else { return Ok(None) };
    text.to_str().and_then(read).map(Some).ok_or_else(|| {
        let value = quoted(text.as_bytes());
        usage(format!("option `--{name}` is {value}, which is not {what}")).hint(hint)
    })
}

fn usage(sentence: impl Into<String>) -> Failure {
    Failure::new(Kind::Usage, sentence.into())
}
