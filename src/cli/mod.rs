//! argv to a request. clap is invisible elsewhere, but for `help.rs`, and is not touched for the words that a
//! container's start most often has.
//!
//! The words are split by hand before clap sees any, because where preverb's options end is preverb's own
//! rule: from the verb on, every word belongs to the target, byte for byte. The options themselves are defined in
//! `cli/options.rs`.

mod options;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::Format;
pub(crate) use options::{PARTS, TABLE_MODES, command, supervise_words};
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
    fn run(options: Options, words: Words) -> Self {
        Self { options, action: Action::Table(TableMode::Run(words)) }
    }

    fn part(options: Options, part: Part) -> Self {
        Self { options, action: Action::Part(part) }
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

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Something with the table, as it counts in one environment.
    Table(TableMode),
    /// `--check`: everything in the table, with its mistakes.
    Check { json: bool },
    /// `--health`: the verb is that of the container's main process.
    Health { timeout: Duration },
    /// Something without a table.
    Part(Part),
    /// `--help`
    Help,
    /// `--version`
    Version,
}

/// A mode that runs a verb of the table, or speaks about one or all of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TableMode {
    /// Set up and exec.
    Run(Words),
    /// `--explain`
    Explain { words: Words, json: bool },
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
    Supervise { options: SuperviseOptions, command: Vec<OsString> },
    /// `--wait`
    Wait { targets: Vec<OsString>, timeout: Duration, command: Vec<OsString> },
    /// `--probe`
    Probe { target: OsString, timeout: Duration },
    /// `--exec`
    Exec { command: Vec<OsString> },
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
            return Some(Request::run(options, words));
        }
        if !bytes.starts_with(b"-") {
            return Some(Request::run(options, verb(rest.to_vec())));
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
            return Some(Request::part(options, Part::As { user: user.clone(), command: command.to_vec() }));
        }
        if let (b"--supervise", [dashes, command @ ..]) = (bytes, after)
            && dashes == "--"
            && !command.is_empty()
        {
            let part = Part::Supervise { options: SuperviseOptions::default(), command: command.to_vec() };
            return Some(Request::part(options, part));
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
    Some(Request::run(options, Words::None))
}

/// Splits the words after `argv[0]`.
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
pub(crate) fn parse(split: Split, dash_is_default: bool) -> Result<Request> {
    let Split { options, rest } = split;
    if let Rest::Dash(words) = &rest {
        // What `--explain` explains is a run, with whatever words that has.
        let in_mode = options.iter().any(|word| is_mode(word) && word != "--explain");
        if !dash_is_default || in_mode {
            if let Some(action) = words.first().and_then(|word| asks(word)) {
                let options = common(&parse_options(&options)?)?;
                return Ok(Request { options, action });
            }
            return Err(unknown_option(words.first().map(OsString::as_os_str).unwrap_or_default()));
        }
    }
    if options.is_empty() {
        return Ok(Request::run(Options::default(), words(rest)?));
    }
    let matches = parse_options(&options)?;
    Ok(Request { options: common(&matches)?, action: action(&matches, rest)? })
}

fn verb(words: Vec<OsString>) -> Words {
    let mut words = words.into_iter();
    words.next().map_or(Words::None, |verb| Words::Verb(verb, words.collect()))
}

/// The words of a run.
fn words(rest: Rest) -> Result<Words> {
    match rest {
        Rest::Nothing => Ok(Words::None),
        Rest::Words(words) => Ok(verb(words)),
        Rest::Command(words) if words.is_empty() => {
            Err(usage("a lone `--` names no command").hint("preverb -- COMMAND [ARGUMENT]..."))
        }
        Rest::Command(words) => Ok(Words::Command(words)),
        Rest::Dash(words) => Ok(Words::Default(words)),
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
            Action::Table(TableMode::Run(words)) => words,
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
            Action::Part(Part::Wait {
                targets: words(&["tcp://a:1", "file:///b"]),
                timeout: Duration::from_secs(5),
                command: words(&["c", "--d"]),
            })
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
        assert_eq!(parsed.action, Action::Part(Part::Supervise { options, command: words(&["x"]) }));
    }

    #[test]
    fn help_and_version_belong_to_the_default_verb_where_the_table_says_so() {
        assert_eq!(request(&["--help"]).expect("help").action, Action::Help);
        assert_eq!(request(&["--skip-setup", "-V"]).expect("version").action, Action::Version);
        let request = parse(split(words(&["--skip-setup", "--help", "x"])), true).expect("words");
        assert_eq!(request.action, Action::Table(TableMode::Run(Words::Default(words(&["--help", "x"])))));
        assert!(request.options.skip_setup);
    }

    #[test]
    fn words_that_are_not_utf8_pass() {
        use std::os::unix::ffi::OsStringExt as _;
        let odd = OsString::from_vec(b"\xff".to_vec());
        let parsed =
            parse(split(vec!["--table".into(), odd.clone(), odd.clone()]), false).expect("well-formed");
        assert_eq!(parsed.options.table, Some(odd.clone()));
        assert_eq!(parsed.action, Action::Table(TableMode::Run(Words::Verb(odd, vec![]))));
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }
}
