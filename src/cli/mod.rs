//! argv to a request.
//!
//! The arguments are split by hand before clap sees any, because where preverb's options end is preverb's own
//! rule: from the verb on, every argument belongs to the target, byte for byte (preverb(1), "Description").
//! clap, whose definition of the options is in `cli/options.rs`, parses preverb's own options alone.

mod options;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::Format;
use crate::value::supervision::Supervision;
pub(crate) use options::{PARTS, TABLE_MODES, command};
use options::{action, common, is_mode, parse_options, unknown_option};

/// What the caller wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The options that belong to every mode.
    pub(crate) options: Options,
    /// What is to be done.
    pub(crate) action: Action,
}

impl Request {
    fn run(options: Options, words: Invocation) -> Self {
        Self { options, action: Action::Table(TableMode::Run(words)) }
    }
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

/// What the caller asks to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Invocation {
    /// Nothing: the default verb with its default arguments.
    None,
    /// A verb and its arguments.
    Verb(OsString, Vec<OsString>),
    /// Arguments of the default verb (`leading-dash = "default"`).
    Default(Vec<OsString>),
    /// What follows `--`.
    Command(Vec<OsString>),
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Something with the table, as it counts in one environment.
    Table(TableMode),
    /// `--check`: everything in the table, with its mistakes.
    Check { json: bool, strict: bool },
    /// `--health`: the verb is that of the container's main process.
    Health { timeout: Duration },
    /// Something without a table.
    Part(Part),
    /// `--help`
    Help,
    /// `--version`
    Version,
}

impl Action {
    /// Whether this starts a target, as the main process of a container does.
    pub(crate) fn starts_target(&self) -> bool {
        match self {
            Self::Table(TableMode::Run(_))
            | Self::Part(Part::As { .. } | Part::Supervise { .. } | Part::Wait { .. }) => true,
            Self::Table(TableMode::Explain { .. } | TableMode::List { .. } | TableMode::Shim { .. })
            | Self::Part(Part::Probe { .. } | Part::Exec { .. })
            | Self::Check { .. }
            | Self::Health { .. }
            | Self::Help
            | Self::Version => false,
        }
    }
}

/// A mode that runs a verb of the table, or speaks about one or all of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TableMode {
    /// Set up and exec.
    Run(Invocation),
    /// `--explain`
    Explain { words: Invocation, json: bool },
    /// `--list`
    List { json: bool },
    /// `--shim`
    Shim { verb: Option<OsString> },
}

/// A part by itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// `--as`
    As { user: OsString, command: Vec<OsString> },
    /// `--supervise`
    Supervise { options: Supervision, command: Vec<OsString> },
    /// `--wait`
    Wait { targets: Vec<OsString>, timeout: Duration, command: Vec<OsString> },
    /// `--probe`
    Probe { target: OsString, timeout: Duration },
    /// `--exec`
    Exec { command: Vec<OsString> },
}

/// The arguments, split where preverb's options end.
#[derive(Debug, PartialEq, Eq)]
struct Split {
    /// preverb's options, with their values.
    options: Vec<OsString>,
    /// What follows them.
    rest: Rest,
}

/// What follows preverb's options.
#[derive(Debug, PartialEq, Eq)]
enum Rest {
    /// Nothing.
    Nothing,
    /// Arguments, the first of which is a verb or should be.
    Verb(Vec<OsString>),
    /// What follows a `--`.
    Command(Vec<OsString>),
    /// Arguments, the first of which begins with a dash and is not an option of preverb's, or is one of those
    /// that belong to the program where the table says so.
    Dash(Vec<OsString>),
}

/// The arguments without a `--table FILE` in front of them, and that file.
///
/// Only this much can be known before the table has been read: whose option a first argument with a dash is,
/// `leading-dash` of the table says.
pub(crate) fn after_table(arguments: &[OsString]) -> (Option<&OsStr>, &[OsString]) {
    match arguments {
        [option, file, rest @ ..] if option == "--table" => (Some(file), rest),
        [option, rest @ ..] => match option.as_bytes().strip_prefix(b"--table=") {
            Some(file) => (Some(OsStr::from_bytes(file)), rest),
            None => (None, arguments),
        },
        [] => (None, arguments),
    }
}

/// Whether these arguments begin with an option, so that the table says whose it is.
pub(crate) fn begins_with_option(arguments: &[OsString]) -> bool {
    arguments.first().is_some_and(|first| first.as_bytes().starts_with(b"-") && first != "--")
}

/// The request of arguments where the table has `leading-dash = "default"`: they belong to the default verb,
/// but for those that begin with a mode. With `other_name` preverb was started by a name that is neither its
/// own nor a verb's, and no argument is preverb's.
///
/// # Errors
/// Usage.
pub(crate) fn parse_for_program(arguments: Vec<OsString>, other_name: bool) -> Result<Request> {
    let (table, rest) = if other_name { (None, &*arguments) } else { after_table(&arguments) };
    if begins_with_option(rest) && (other_name || !rest.first().is_some_and(|first| is_mode(first))) {
        let options = Options { table: table.map(OsStr::to_owned), ..Options::default() };
        return Ok(Request::run(options, Invocation::Default(rest.to_vec())));
    }
    let Split { options, rest } = split(arguments, Dashes::Program);
    if let Rest::Dash(arguments) = &rest
        && !options.iter().any(|option| option == "--explain")
    {
        return dash(arguments, &options);
    }
    request(&options, rest)
}

/// The request of arguments where an unknown option is a mistake.
///
/// # Errors
/// Usage.
pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Request> {
    let Split { options, rest } = split(arguments, Dashes::Preverb);
    if let Rest::Dash(arguments) = &rest { dash(arguments, &options) } else { request(&options, rest) }
}

/// Whose the options are that follow a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dashes {
    /// preverb's.
    Preverb,
    /// The default verb's, as far as they are not options of that mode.
    Program,
}

/// Splits the arguments where preverb's options end.
fn split(arguments: Vec<OsString>, dashes: Dashes) -> Split {
    if !arguments.first().is_some_and(|first| first.as_bytes().starts_with(b"-")) {
        let rest = if arguments.is_empty() { Rest::Nothing } else { Rest::Verb(arguments) };
        return Split { options: Vec::new(), rest };
    }
    let command = command();
    let mut options = Vec::new();
    // Standalone modes have no verb: arguments before `--` are theirs.
    let mut standalone = false;
    let mut explain = false;
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let bytes = argument.as_bytes();
        if bytes == b"--" {
            return Split { options, rest: Rest::Command(arguments.collect()) };
        }
        let all = |argument: OsString, rest: std::vec::IntoIter<OsString>| {
            std::iter::once(argument).chain(rest).collect()
        };
        if !bytes.starts_with(b"-") {
            if standalone {
                options.push(argument);
                continue;
            }
            return Split { options, rest: Rest::Verb(all(argument, arguments)) };
        }
        let (name, value) = match bytes.iter().position(|byte| *byte == b'=') {
            Some(equals) => (&bytes[..equals], true),
            None => (bytes, false),
        };
        let known = command
            .get_arguments()
            .find(|arg| arg.get_long().is_some_and(|long| name.strip_prefix(b"--") == Some(long.as_bytes())));
        let Some(arg) = known.filter(|arg| {
            let id = arg.get_id().as_str();
            let of_run = matches!(id, "table" | "environment" | "skip-setup" | "log" | "json");
            !matches!(id, "help" | "version") && (dashes == Dashes::Preverb || !explain || of_run)
        }) else {
            return Split { options, rest: Rest::Dash(all(argument, arguments)) };
        };
        standalone |= matches!(arg.get_id().as_str(), "as" | "supervise" | "wait" | "probe" | "exec");
        explain |= arg.get_id() == "explain";
        let takes_value = arg.get_action().takes_values();
        options.push(argument);
        if takes_value && !value {
            options.extend(arguments.next());
        }
    }
    Split { options, rest: Rest::Nothing }
}

/// The format that `--log` asks for, before all options are parsed: a mistake in another option is reported
/// in it.
pub(crate) fn log_format(arguments: &[OsString]) -> Option<Format> {
    let value = arguments.iter().enumerate().find_map(|(index, argument)| {
        match argument.as_bytes().strip_prefix(b"--log")? {
            b"" => Some(arguments.get(index + 1)?.as_bytes()),
            rest => rest.strip_prefix(b"="),
        }
    });
    Format::of(value?)
}

/// Whether the word asks for help or the version.
fn asks(word: &OsStr) -> Option<Action> {
    match word.as_bytes() {
        b"--help" | b"-h" => Some(Action::Help),
        b"--version" | b"-V" => Some(Action::Version),
        _ => None,
    }
}

/// The request of preverb's own options, followed by a dash that is none of them: help, the version, or a
/// mistake.
fn dash(arguments: &[OsString], options: &[OsString]) -> Result<Request> {
    match arguments.first().and_then(|first| asks(first)) {
        Some(action) => Ok(Request { options: common(&parse_options(options)?)?, action }),
        None => Err(unknown_option(arguments.first().map(OsString::as_os_str).unwrap_or_default())),
    }
}

fn request(options: &[OsString], rest: Rest) -> Result<Request> {
    if options.is_empty() {
        return Ok(Request::run(Options::default(), words(rest)?));
    }
    let matches = parse_options(options)?;
    Ok(Request { options: common(&matches)?, action: action(&matches, rest)? })
}

fn verb(words: Vec<OsString>) -> Invocation {
    let mut words = words.into_iter();
    words.next().map_or(Invocation::None, |verb| Invocation::Verb(verb, words.collect()))
}

/// The words of a run.
fn words(rest: Rest) -> Result<Invocation> {
    match rest {
        Rest::Nothing => Ok(Invocation::None),
        Rest::Verb(words) => Ok(verb(words)),
        Rest::Command(words) if words.is_empty() => {
            Err(usage("a lone `--` names no command").hint("preverb -- COMMAND [ARGUMENT]..."))
        }
        Rest::Command(words) => Ok(Invocation::Command(words)),
        Rest::Dash(words) => Ok(Invocation::Default(words)),
    }
}

fn usage(sentence: impl Into<String>) -> Failure {
    Failure::say(Kind::Usage, sentence.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    /// What is plain means the same to the parser that knows everything.
    fn request(line: &[&str]) -> Result<Request> {
        parse(words(line))
    }

    #[track_caller]
    #[expect(clippy::wildcard_enum_match_arm, reason = "any other mode fails the test")]
    fn run(line: &[&str]) -> Invocation {
        match request(line).expect("well-formed").action {
            Action::Table(TableMode::Run(words)) => words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn from_the_verb_on_every_word_is_the_targets() {
        let rest = ["--help", "--", "", " ", "--table", "x"];
        let line = [&["server"], &rest[..]].concat();
        assert_eq!(run(&line), Invocation::Verb("server".into(), words(&rest)));
        let line = [&["--skip-setup", "server"], &rest[..]].concat();
        assert_eq!(run(&line), Invocation::Verb("server".into(), words(&rest)));
        let line = [&["--"], &rest[..]].concat();
        assert_eq!(run(&line), Invocation::Command(words(&rest)));
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
            &["--supervise", "--exit", "143", "--", "x"],
            &["--supervise", "--exit", "143=256", "--", "x"],
            &["--supervise", "--exit", "143=0,143=1", "--", "x"],
            &["--exit", "143=0", "x"],
            &["--strict", "x"],
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
            Action::Part(Part::Wait {
                targets: words(&["tcp://a:1", "file:///b"]),
                timeout: Duration::from_secs(5),
                command: words(&["c", "--d"]),
            })
        );
        let options = Supervision {
            signals: vec![(15, Some(3)), (1, None)],
            group: true,
            grace: Some(Duration::from_millis(1500)),
            exit: vec![(143, 0), (1, 2)],
            conceal: true,
            blocked: vec![15, 40],
        };
        let mut line = options.arguments();
        line.extend(words(&["--", "x"]));
        let parsed = parse(line).expect("well-formed");
        assert_eq!(parsed.action, Action::Part(Part::Supervise { options, command: words(&["x"]) }));
    }

    #[track_caller]
    fn for_program(line: &[&str]) -> Request {
        parse_for_program(words(line), false).expect("well-formed")
    }

    #[test]
    fn options_belong_to_the_default_verb_where_the_table_says_so() {
        assert_eq!(request(&["--help"]).expect("help").action, Action::Help);
        assert_eq!(request(&["--skip-setup", "-V"]).expect("version").action, Action::Version);
        // All of them are options of preverb, too.
        for line in [
            &["--help"][..],
            &["--version"],
            &["--timeout", "300"],
            &["--log", "info"],
            &["--json"],
            &["--group", "app"],
            &["--skip-setup", "--list"],
            &["--workers", "4", "--timeout", "120"],
            &["--timeout", "120", "--workers", "4"],
            &["--timeout=120", "--check"],
            &["-x", "--", "y"],
            &["--lists"],
        ] {
            let default = Action::Table(TableMode::Run(Invocation::Default(words(line))));
            assert_eq!(for_program(line), Request { options: Options::default(), action: default });
            let table = [&["--table", "t"], line].concat();
            let options = Options { table: Some("t".into()), ..Options::default() };
            let default = Action::Table(TableMode::Run(Invocation::Default(words(line))));
            assert_eq!(for_program(&table), Request { options, action: default });
        }
    }

    #[test]
    fn a_mode_in_front_is_preverbs_where_options_are_the_programs() {
        let list = Action::Table(TableMode::List { json: true });
        assert_eq!(for_program(&["--list", "--json"]).action, list);
        assert_eq!(for_program(&["--table=t", "--check"]).options.table, Some("t".into()));
        assert_eq!(for_program(&["--check", "--help"]).action, Action::Help);
        assert!(matches!(for_program(&["--probe=tcp://a:1"]).action, Action::Part(Part::Probe { .. })));
        let explained = |rest: &[&str]| {
            Action::Table(TableMode::Explain { words: Invocation::Default(words(rest)), json: true })
        };
        for rest in [&["-c", "x=y"][..], &["--timeout", "300"], &["--help"]] {
            assert_eq!(for_program(&[&["--explain", "--json"], rest].concat()).action, explained(rest));
        }
        let command = Action::Table(TableMode::Run(Invocation::Command(words(&["--list"]))));
        assert_eq!(for_program(&["--", "--list"]).action, command);
    }

    #[test]
    fn no_option_is_preverbs_under_another_name() {
        for line in [&["--check"][..], &["--table", "t", "x"], &["--health"], &["--wait", "tcp://a:1"]] {
            let request = parse_for_program(words(line), true).expect("well-formed");
            assert_eq!(request.options, Options::default());
            assert_eq!(request.action, Action::Table(TableMode::Run(Invocation::Default(words(line)))));
        }
    }

    #[test]
    fn words_that_are_not_utf8_pass() {
        use std::os::unix::ffi::OsStringExt as _;
        let odd = OsString::from_vec(b"\xff".to_vec());
        let parsed = parse(vec!["--table".into(), odd.clone(), odd.clone()]).expect("well-formed");
        assert_eq!(parsed.options.table, Some(odd.clone()));
        assert_eq!(parsed.action, Action::Table(TableMode::Run(Invocation::Verb(odd, vec![]))));
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }
}
