//! argv to a request. clap is invisible elsewhere, and is not touched when the first word is a verb.
//!
//! The words are split by hand before clap sees any, because where preverb's options end is preverb's own
//! rule: from the verb on, every word belongs to the target, byte for byte.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::failure::{Failure, Kind, Result};
use crate::log::{Format, quoted};
use crate::words::{DURATION_RULE, can_be_caught, parse_duration, parse_signal};

/// What the caller wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The options that belong to every mode.
    pub(crate) options: Options,
    /// The mode.
    pub(crate) action: Action,
}

/// The options that belong to every mode.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// `--table`
    pub(crate) table: Option<OsString>,
    /// `--environment`
    pub(crate) environment: Option<OsString>,
    /// `--skip-setup`
    pub(crate) skip_setup: bool,
    /// `--log`
    pub(crate) log: Option<Format>,
}

/// The words of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Words {
    /// None: the default verb with its default arguments.
    None,
    /// A verb and its arguments.
    Verb(OsString, Vec<OsString>),
    /// Arguments of the default verb (`leading-dash = "default"`).
    Default(Vec<OsString>),
    /// What follows `--`.
    Command(Vec<OsString>),
}

/// A mode.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Set up and exec.
    Run(Words),
    /// `--explain`
    Explain { words: Words, json: bool },
    /// `--list`
    List { json: bool },
    /// `--check`
    Check { json: bool },
    /// `--health`
    Health { timeout: Duration },
    /// `--shim`
    Shim { verb: Option<OsString> },
    /// `--as`
    As { user: OsString, command: Vec<OsString> },
    /// `--supervise`
    Supervise { options: SuperviseOptions, command: Vec<OsString> },
    /// `--wait`
    Wait { targets: Vec<OsString>, timeout: Duration, command: Vec<OsString> },
    /// `--probe`
    Probe { target: OsString, timeout: Duration },
    /// `--exec`
    Exec { command: Vec<OsString> },
    /// `--help`
    Help,
    /// `--version`
    Version,
}

/// How `--supervise` supervises.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SuperviseOptions {
    /// Signals that are passed on as another one, or as none.
    pub(crate) signals: Vec<(i32, Option<i32>)>,
    /// Whether signals go to the target's whole group.
    pub(crate) group: bool,
    /// How long what the target leaves behind may take to end.
    pub(crate) grace: Option<Duration>,
    /// Whether a secret is a part of where the command lies, so that why it cannot be run is not shown.
    pub(crate) conceal: bool,
}

/// How long `--wait` waits, and a `wait` step without a `timeout`.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_mins(1);
/// How long `--probe` and `--health` may take.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The words, split where preverb's options end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// preverb's options, with their values.
    pub(crate) options: Vec<OsString>,
    /// What follows them.
    pub(crate) rest: Rest,
}

/// What follows preverb's options.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing.
    Nothing,
    /// Words, the first of which is a verb or should be.
    Words(Vec<OsString>),
    /// What follows a `--`.
    Command(Vec<OsString>),
    /// Words, the first of which begins with a dash and is no option of preverb's, or is one of those
    /// that belong to the program where the table says so.
    Dash(Vec<OsString>),
}

/// The request of words that a container's start most often has: a verb or `--`, with none but the common options in
/// front; a supervisor's, as preverb itself words it; `--as USER --`. `None` is not a refusal: it leaves everything
/// else, every mistake too, to `split` and `parse`, for which the whole command line has to be defined first.
pub(crate) fn plain(words: &[OsString]) -> Option<Request> {
    let mut options = Options::default();
    let mut rest = words;
    while let [word, after @ ..] = rest {
        let bytes = word.as_bytes();
        if bytes == b"--" {
            let command = after.to_vec();
            let words = (!command.is_empty()).then_some(Words::Command(command))?;
            return Some(Request { options, action: Action::Run(words) });
        }
        if !bytes.starts_with(b"-") {
            return Some(Request { options, action: Action::Run(verb(rest.to_vec())) });
        }
        if bytes == b"--skip-setup" && !options.skip_setup {
            options.skip_setup = true;
            rest = after;
            continue;
        }
        if let (b"--as", [user, dashes, command @ ..]) = (bytes, after)
            && dashes == "--"
            && !command.is_empty()
        {
            return Some(Request {
                options,
                action: Action::As { user: user.clone(), command: command.to_vec() },
            });
        }
        if let (b"--supervise", [dashes, command @ ..]) = (bytes, after)
            && dashes == "--"
            && !command.is_empty()
        {
            let supervise = SuperviseOptions::default();
            return Some(Request {
                options,
                action: Action::Supervise { options: supervise, command: command.to_vec() },
            });
        }
        let [value, after @ ..] = after else { return None };
        match bytes {
            b"--table" if options.table.is_none() => options.table = Some(value.clone()),
            b"--environment" if options.environment.is_none() => options.environment = Some(value.clone()),
            b"--log" if options.log.is_none() => options.log = Some(Format::parse(value.as_bytes())?),
            _ => return None,
        }
        rest = after;
    }
    Some(Request { options, action: Action::Run(Words::None) })
}

/// Splits the words after `argv[0]`.
#[inline(never)]
pub(crate) fn split(words: Vec<OsString>) -> Split {
    let plain = words.first().is_none_or(|word| !word.as_bytes().starts_with(b"-"));
    if plain {
        let rest = if words.is_empty() { Rest::Nothing } else { Rest::Words(words) };
        return Split { options: Vec::new(), rest };
    }
    let command = command();
    let mut options = Vec::new();
    // Parts that are used by themselves have no verb: words before `--` are theirs.
    let mut part = false;
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        let rest = |word: OsString, words: std::vec::IntoIter<OsString>| {
            std::iter::once(word).chain(words).collect()
        };
        if bytes == b"--" {
            return Split { options, rest: Rest::Command(words.collect()) };
        }
        if !bytes.starts_with(b"-") {
            if part {
                options.push(word);
                continue;
            }
            return Split { options, rest: Rest::Words(rest(word, words)) };
        }
        let (name, value) = match bytes.iter().position(|byte| *byte == b'=') {
            Some(equals) => (&bytes[..equals], true),
            None => (bytes, false),
        };
        let known = command
            .get_arguments()
            .find(|arg| arg.get_long().is_some_and(|long| name.strip_prefix(b"--") == Some(long.as_bytes())));
        let Some(arg) = known else {
            return Split { options, rest: Rest::Dash(rest(word, words)) };
        };
        if matches!(arg.get_id().as_str(), "help" | "version") {
            return Split { options, rest: Rest::Dash(rest(word, words)) };
        }
        part |= matches!(arg.get_id().as_str(), "as" | "supervise" | "wait" | "probe" | "exec");
        let takes_value = arg.get_action().takes_values();
        options.push(word);
        if takes_value && !value {
            options.extend(words.next());
        }
    }
    Split { options, rest: Rest::Nothing }
}

/// The value of an option before all are parsed: where the table is, because `leading-dash` stands in it, and
/// the format of messages, because a mistake in another option is one.
pub(crate) fn value_of(options: &[OsString], name: &str) -> Option<OsString> {
    options.iter().enumerate().find_map(|(index, word)| {
        let value = word.as_bytes().strip_prefix(name.as_bytes())?;
        if value.is_empty() {
            return options.get(index + 1).cloned();
        }
        value.strip_prefix(b"=").map(|value| OsStr::from_bytes(value).to_owned())
    })
}

/// Whether the word asks for help or the version.
fn asks(word: &OsStr) -> Option<Action> {
    match word.as_bytes() {
        b"--help" | b"-h" => Some(Action::Help),
        b"--version" | b"-V" => Some(Action::Version),
        _ => None,
    }
}

/// The request of these words; `dash_is_default` says that words with a dash that are not preverb's go to
/// the default verb.
///
/// # Errors
/// Usage.
#[inline(never)]
pub(crate) fn parse(split: Split, dash_is_default: bool) -> Result<Request> {
    let Split { options, rest } = split;
    if let Rest::Dash(words) = &rest {
        let in_mode = options.iter().any(|word| {
            command().get_arguments().any(|arg| {
                is_mode(arg.get_id().as_str())
                    // What it explains is a run, with whatever words that has.
                    && arg.get_id().as_str() != "explain"
                    && arg
                        .get_long()
                        .is_some_and(|long| word.as_bytes().strip_prefix(b"--") == Some(long.as_bytes()))
            })
        });
        if !dash_is_default || in_mode {
            if let Some(action) = words.first().and_then(|word| asks(word)) {
                let options = common(&parse_options(&options)?)?;
                return Ok(Request { options, action });
            }
            return Err(unknown_option(words.first().map(OsString::as_os_str).unwrap_or_default()));
        }
    }
    if options.is_empty() {
        let words = match rest {
            Rest::Nothing => Words::None,
            Rest::Words(words) => verb(words),
            Rest::Command(words) => command_words(words)?,
            Rest::Dash(words) => Words::Default(words),
        };
        return Ok(Request { options: Options::default(), action: Action::Run(words) });
    }
    let matches = parse_options(&options)?;
    Ok(Request { options: common(&matches)?, action: action(&matches, rest)? })
}

fn verb(words: Vec<OsString>) -> Words {
    let mut words = words.into_iter();
    words.next().map_or(Words::None, |verb| Words::Verb(verb, words.collect()))
}

fn command_words(words: Vec<OsString>) -> Result<Words> {
    if words.is_empty() {
        return Err(usage("a lone `--` names no command").hint("preverb -- COMMAND [ARGUMENT]..."));
    }
    Ok(Words::Command(words))
}

fn usage(sentence: impl Into<String>) -> Failure {
    Failure::say(Kind::Usage, sentence.into())
}

fn unknown_option(word: &OsStr) -> Failure {
    let bytes = word.as_bytes();
    let failure =
        usage(format!("unknown option {}", quoted(bytes))).field("option", crate::words::escaped(bytes));
    let name = String::from_utf8_lossy(bytes);
    let name = name.split('=').next().unwrap_or_default();
    let command = command();
    let known: Vec<String> = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set())
        .filter_map(|arg| arg.get_long().map(|long| format!("--{long}")))
        .collect();
    match crate::words::nearest(name, known.iter().map(String::as_str)) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("`preverb --help` lists the options"),
    }
}

fn is_mode(id: &str) -> bool {
    matches!(
        id,
        "list" | "check" | "explain" | "health" | "shim" | "as" | "supervise" | "wait" | "probe" | "exec"
    )
}

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
                flag("conceal", "What preverb tells itself").hide(true),
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

#[inline(never)]
fn parse_options(options: &[OsString]) -> Result<ArgMatches> {
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
        usage(sentence).hint("`preverb --help` lists the options")
    })
}

fn common(matches: &ArgMatches) -> Result<Options> {
    let value = |name: &str| matches.get_one::<OsString>(name).cloned();
    let log = match value("log") {
        None => None,
        Some(text) => Some(Format::parse(text.as_bytes()).ok_or_else(|| {
            usage(format!("option `--log` cannot be {}", quoted(text.as_bytes())))
                .hint(format!("it is one of {}", Format::NAMES.map(|name| format!("`{name}`")).join(", ")))
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

fn action(matches: &ArgMatches, rest: Rest) -> Result<Action> {
    let mode = mode(matches)?;
    let value = |name: &str| matches.get_one::<OsString>(name).cloned().unwrap_or_default();
    let json = matches.get_flag("json");
    if json && !matches!(mode, Some("list" | "check" | "explain")) {
        return Err(usage("option `--json` belongs to `--list`, `--check` or `--explain`"));
    }
    let timeout = duration(matches, "timeout")?;
    if timeout.is_some() && !matches!(mode, Some("health" | "wait" | "probe")) {
        return Err(usage("option `--timeout` belongs to `--health`, `--wait` or `--probe`"));
    }
    let supervise = supervise_options(matches)?;
    if supervise != SuperviseOptions::default() && mode != Some("supervise") {
        return Err(usage("options `--signals`, `--group` and `--grace` belong to `--supervise`"));
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
        Rest::Nothing | Rest::Words(_) | Rest::Dash(_) | Rest::Command(_) => {
            Err(usage(format!("`--{mode}` needs a command behind `--`"))
                .hint(format!("preverb --{mode} ... -- COMMAND [ARGUMENT]...")))
        }
    };
    let nothing = |rest: Rest, mode: &str| match rest {
        Rest::Nothing => Ok(()),
        Rest::Words(words) | Rest::Command(words) | Rest::Dash(words) => {
            let word = words.first().map_or(OsStr::new("--"), OsString::as_os_str);
            Err(usage(format!("`--{mode}` takes no word {}", quoted(word.as_bytes()))))
        }
    };
    Ok(match mode {
        None => Action::Run(match rest {
            Rest::Nothing => Words::None,
            Rest::Words(words) => verb(words),
            Rest::Command(words) => command_words(words)?,
            Rest::Dash(words) => Words::Default(words),
        }),
        Some("explain") => {
            let words = match rest {
                Rest::Nothing => Words::None,
                Rest::Words(words) => verb(words),
                Rest::Command(words) => command_words(words)?,
                Rest::Dash(words) => Words::Default(words),
            };
            Action::Explain { words, json }
        }
        Some("list") => {
            nothing(rest, "list")?;
            Action::List { json }
        }
        Some("check") => {
            nothing(rest, "check")?;
            Action::Check { json }
        }
        Some("health") => {
            nothing(rest, "health")?;
            Action::Health { timeout: timeout.unwrap_or(PROBE_TIMEOUT) }
        }
        Some("shim") => match rest {
            Rest::Words(mut words) if words.len() == 1 => Action::Shim { verb: words.pop() },
            Rest::Words(words) => {
                return Err(usage(format!("`--shim` takes one verb, not {} words", words.len())));
            }
            rest @ (Rest::Nothing | Rest::Command(_) | Rest::Dash(_)) => {
                nothing(rest, "shim")?;
                Action::Shim { verb: None }
            }
        },
        Some("as") => Action::As { user: value("as"), command: command(rest, "as")? },
        Some("supervise") => Action::Supervise { options: supervise, command: command(rest, "supervise")? },
        Some("wait") => {
            if targets.is_empty() {
                return Err(usage("`--wait` needs a target").hint("preverb --wait tcp://db:5432 -- COMMAND"));
            }
            let command = match rest {
                Rest::Nothing => Vec::new(),
                rest @ (Rest::Words(_) | Rest::Command(_) | Rest::Dash(_)) => command(rest, "wait")?,
            };
            Action::Wait { targets, timeout: timeout.unwrap_or(WAIT_TIMEOUT), command }
        }
        Some("probe") => {
            nothing(rest, "probe")?;
            Action::Probe { target: value("probe"), timeout: timeout.unwrap_or(PROBE_TIMEOUT) }
        }
        Some(_) => Action::Exec { command: command(rest, "exec")? },
    })
}

fn mode(matches: &ArgMatches) -> Result<Option<&'static str>> {
    const MODES: [&str; 10] =
        ["list", "check", "explain", "health", "shim", "as", "supervise", "wait", "probe", "exec"];
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

fn supervise_options(matches: &ArgMatches) -> Result<SuperviseOptions> {
    let mut options = SuperviseOptions {
        signals: Vec::new(),
        group: matches.get_flag("group"),
        grace: duration(matches, "grace")?,
        conceal: matches.get_flag("conceal"),
    };
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

/// The words of `--supervise` with these options: the inverse of the parser.
pub(crate) fn supervise_words(options: &SuperviseOptions) -> Vec<OsString> {
    let mut words = vec![OsString::from("--supervise")];
    if !options.signals.is_empty() {
        let pairs: Vec<String> = options
            .signals
            .iter()
            .map(|(from, to)| format!("{from}={}", to.map_or("none".to_owned(), |to| to.to_string())))
            .collect();
        words.push("--signals".into());
        words.push(pairs.join(",").into());
    }
    if options.group {
        words.push("--group".into());
    }
    if let Some(grace) = options.grace {
        words.push("--grace".into());
        words.push(format!("{}ms", grace.as_millis()).into());
    }
    if options.conceal {
        words.push("--conceal".into());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    /// What is plain means the same to the parser that knows everything.
    fn request(line: &[&str]) -> Result<Request> {
        let parsed = parse(split(words(line)), false);
        if let Some(plain) = plain(&words(line)) {
            assert_eq!(Some(&plain), parsed.as_ref().ok(), "{line:?}");
        }
        parsed
    }

    #[track_caller]
    #[expect(clippy::wildcard_enum_match_arm, reason = "any other mode fails the test")]
    fn run(line: &[&str]) -> Words {
        match request(line).expect("well-formed").action {
            Action::Run(words) => words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn from_the_verb_on_every_word_is_the_targets() {
        let rest = ["--help", "--", "", " ", "--table", "x"];
        let line = [&["server"], &rest[..]].concat();
        assert_eq!(run(&line), Words::Verb("server".into(), words(&rest)));
        let line = [&["--skip-setup", "server"], &rest[..]].concat();
        assert_eq!(run(&line), Words::Verb("server".into(), words(&rest)));
        let line = [&["--"], &rest[..]].concat();
        assert_eq!(run(&line), Words::Command(words(&rest)));
    }

    #[test]
    fn what_is_plain_needs_no_definition_of_the_command_line() {
        for line in [
            &[][..],
            &["server", "--list"],
            &["--", "x"],
            &["--table", "t", "--environment", "dev", "--skip-setup", "--log", "json", "server"],
            &["--table", "t"],
            &["--as", "app", "--", "id"],
            &["--supervise", "--", "x"],
        ] {
            assert!(plain(&words(line)).is_some(), "{line:?}");
            assert!(request(line).is_ok(), "{line:?}");
        }
        for line in
            [&["--"][..], &["--table=t", "x"], &["--list"], &["--log", "loud", "x"], &["-x"], &["--table"]]
        {
            assert!(plain(&words(line)).is_none(), "{line:?}");
        }
    }

    #[test]
    fn options_are_given_once_and_with_their_values() {
        for line in [
            &["--table", "a", "--table", "b", "x"][..],
            &["--skip-setup", "--skip-setup", "x"],
            &["--table"],
            &["--skip-setup=1", "x"],
            &["--log", "loud", "x"],
            &["--list", "--check"],
            &["--list", "x"],
            &["--json", "x"],
            &["--nonsense"],
            &["--tabl", "x"],
            &["-x"],
            &["--"],
            &["--as", "app"],
            &["--as", "app", "id"],
            &["--as", "app", "--"],
            &["--wait", "--", "x"],
            &["--wait", "tcp://a:1", "--timeout", "5", "--", "x"],
            &["--supervise", "--signals", "TERM", "--", "x"],
            &["--supervise", "--signals", "KILL=TERM", "--", "x"],
            &["--supervise", "--signals", "STOP=none", "--", "x"],
            &["--supervise", "--signals", "TERM=QUIT,SIGTERM=INT", "--", "x"],
            &["--skip-setup=1", "--help"],
            &["--log", "json", "--log", "text", "--version"],
            &["--log", "loud", "--version"],
            &["--grace", "5s", "x"],
            &["--shim", "a", "b"],
        ] {
            let failure = request(line).expect_err(&format!("{line:?}"));
            assert_eq!(failure.kind(), Kind::Usage, "{line:?}");
        }
    }

    #[test]
    fn parts_take_their_words_before_the_dashes() {
        let wait = request(&["--wait", "tcp://a:1", "--timeout=5s", "file:///b", "--", "c", "--d"])
            .expect("well-formed");
        assert_eq!(
            wait.action,
            Action::Wait {
                targets: words(&["tcp://a:1", "file:///b"]),
                timeout: Duration::from_secs(5),
                command: words(&["c", "--d"]),
            }
        );
        let options = SuperviseOptions {
            signals: vec![(15, Some(3)), (1, None)],
            group: true,
            grace: Some(Duration::from_millis(1500)),
            conceal: true,
        };
        let mut line = supervise_words(&options);
        line.extend(words(&["--", "x"]));
        let parsed = parse(split(line), false).expect("well-formed");
        assert_eq!(parsed.action, Action::Supervise { options, command: words(&["x"]) });
    }

    #[test]
    fn help_and_version_belong_to_the_default_verb_where_the_table_says_so() {
        assert_eq!(request(&["--help"]).expect("help").action, Action::Help);
        assert_eq!(request(&["--skip-setup", "-V"]).expect("version").action, Action::Version);
        let request = parse(split(words(&["--skip-setup", "--help", "x"])), true).expect("words");
        assert_eq!(request.action, Action::Run(Words::Default(words(&["--help", "x"]))));
        assert!(request.options.skip_setup);
    }

    #[test]
    fn words_that_are_not_utf8_pass() {
        use std::os::unix::ffi::OsStringExt as _;
        let odd = OsString::from_vec(b"\xff".to_vec());
        let parsed =
            parse(split(vec!["--table".into(), odd.clone(), odd.clone()]), false).expect("well-formed");
        assert_eq!(parsed.options.table, Some(odd.clone()));
        assert_eq!(parsed.action, Action::Run(Words::Verb(odd, vec![])));
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }
}
