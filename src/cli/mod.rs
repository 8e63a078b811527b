//! Parses argv into a request. The arguments are split by hand before clap sees them, because preverb's own
//! rule says where its options end: from the verb on, every argument belongs to the target, byte for byte
//! (preverb(1), "Description").

pub(crate) mod options;
pub(crate) mod request;

pub(crate) use crate::cli::options::OPTIONS;
pub(crate) use crate::cli::request::{Action, Invocation, Options, Request, TableMode};

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use crate::cli::options::{action, common, has_dash, is_mode, option, parse_options, unknown_option};
use crate::text::{Format, Result};

/// The FILE of a leading `--table FILE`, and the arguments after it. Nothing else can be parsed before the
/// table has been read, because `leading-dash` decides who owns a first argument with a dash.
pub(crate) fn after_table(arguments: &[OsString]) -> (Option<&OsStr>, &[OsString]) {
    match arguments {
        [option, file, rest @ ..] if option == "--table" => (Some(file), rest),
        [option, rest @ ..] if let Some(file) = option.as_bytes().strip_prefix(b"--table=") => {
            (Some(OsStr::from_bytes(file)), rest)
        }
        _ => (None, arguments),
    }
}

/// Whether these arguments begin with an option. The table says who owns it.
pub(crate) fn begins_with_option(arguments: &[OsString]) -> bool {
    arguments.first().is_some_and(|first| has_dash(first) && first != "--")
}

/// Whether these arguments begin with a mode of preverb's, whatever the table says about a leading dash.
/// (The options that follow `--explain` depend on the table.)
pub(crate) fn begins_with_mode(arguments: &[OsString]) -> bool {
    arguments.first().is_some_and(|first| is_mode(first) && first != "--explain")
}

/// The request where the table has `leading-dash = "default"`: the arguments belong to the default verb
/// unless they begin with a mode. `other_name` means that preverb was started under a name that is neither
/// its own nor a verb's; then no argument is preverb's.
pub(crate) fn parse_for_program(arguments: Vec<OsString>, other_name: bool) -> Result<Request> {
    let (table, rest) = if other_name { (None, &*arguments) } else { after_table(&arguments) };
    if begins_with_option(rest) && (other_name || !is_mode(&rest[0])) {
        let options = Options { table: table.map(OsStr::to_owned), ..Options::default() };
        let action = Action::Table(TableMode::Run(Invocation::Default(rest.to_vec())));
        return Ok(Request { options, action });
    }
    parse(arguments, Dashes::Program)
}

/// The owner of the options that follow a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dashes {
    /// preverb: an unknown option is an error.
    Preverb,
    /// The default verb, except for the options of that mode.
    Program,
}

pub(crate) fn parse(mut options: Vec<OsString>, dashes: Dashes) -> Result<Request> {
    let rest = options.split_off(own_options(&options, dashes).len());
    let explains = dashes == Dashes::Program && options.iter().any(|option| option == "--explain");
    if begins_with_option(&rest) && !explains {
        let action = match rest[0].as_bytes() {
            b"--help" | b"-h" => Action::Help,
            b"--version" | b"-V" => Action::Version,
            _ => return Err(unknown_option(&rest[0], &options)),
        };
        return Ok(Request { options: common(&parse_options(&options)?)?, action });
    }
    if options.is_empty() {
        let action = Action::Table(TableMode::Run(Invocation::of(rest)?));
        return Ok(Request { options: Options::default(), action });
    }
    let matches = parse_options(&options)?;
    Ok(Request { options: common(&matches)?, action: action(&matches, rest)? })
}

/// preverb's own options, before they are parsed: they end at the verb, at `--`, or at an option that is
/// unknown or the program's.
fn own_options(arguments: &[OsString], dashes: Dashes) -> &[OsString] {
    // Standalone modes have no verb and own the arguments before `--`.
    let (mut standalone, mut explain) = (false, false);
    let mut end = 0;
    while let Some(argument) = arguments.get(end).filter(|argument| *argument != "--") {
        if standalone && !has_dash(argument) {
            end += 1;
            continue;
        }
        let known = option(argument).filter(|(name, _)| {
            let of_run = matches!(*name, "table" | "environment" | "skip-setup" | "log" | "json");
            !matches!(*name, "help" | "version") && (dashes == Dashes::Preverb || !explain || of_run)
        });
        let Some((name, takes_value)) = known else { break };
        standalone |= matches!(name, "as" | "supervise" | "wait" | "probe" | "exec");
        explain |= name == "explain";
        end += if takes_value && !argument.as_bytes().contains(&b'=') { 2 } else { 1 };
    }
    &arguments[..end.min(arguments.len())]
}

/// Whether these arguments ask for a mode that starts no target, even if there is an error in them.
pub(crate) fn only_report(arguments: &[OsString]) -> bool {
    own_options(arguments, Dashes::Preverb)
        .iter()
        .filter_map(|argument| option(argument))
        .any(|(name, _)| matches!(name, "list" | "check" | "explain" | "health" | "shim" | "probe" | "exec"))
}

/// The format that `--log` asks for. It is found before the options are parsed, so that an error in another
/// option is reported in this format.
pub(crate) fn log_format(arguments: &[OsString]) -> Option<Format> {
    let own = own_options(arguments, Dashes::Preverb);
    let at = own.iter().position(|argument| option(argument).is_some_and(|(name, _)| name == "log"))?;
    let written = own[at].as_bytes().strip_prefix(b"--log=");
    Format::of(written.or_else(|| Some(own.get(at + 1)?.as_bytes()))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::cli::options::command;
    use crate::cli::request::TableMode;
    use crate::text::failure::Kind;
    use crate::value::supervision::Supervision;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    /// Checks that the full parser reads plain arguments in the same way.
    fn request(line: &[&str]) -> Result<Request> {
        parse(words(line), Dashes::Preverb)
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
    fn from_the_verb_on_every_argument_belongs_to_the_target() {
        let rest = ["--help", "--", "", " ", "--table", "x"];
        let line = [&["server"], &rest[..]].concat();
        assert_eq!(run(&line), Invocation::Verb("server".into(), words(&rest)));
        let line = [&["--skip-setup", "server"], &rest[..]].concat();
        assert_eq!(run(&line), Invocation::Verb("server".into(), words(&rest)));
        let line = [&["--"], &rest[..]].concat();
        assert_eq!(run(&line), Invocation::Command(words(&rest)));
    }

    #[test]
    fn options_are_given_at_most_once_and_with_their_values() {
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
    fn standalone_modes_take_the_arguments_before_the_double_dash() {
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
        let options = Supervision {
            signals: vec![(15, Some(3)), (1, None)],
            group: Some(true),
            grace: Some(Duration::from_millis(1500)),
            exit: vec![(143, 0), (1, 2)],
            conceal: true,
            blocked: vec![15, 40],
        };
        let mut line = options.arguments();
        line.extend(words(&["--", "x"]));
        let parsed = parse(line, Dashes::Preverb).expect("well-formed");
        assert_eq!(parsed.action, Action::Supervise { options, command: words(&["x"]) });
    }

    #[track_caller]
    fn for_program(line: &[&str]) -> Request {
        parse_for_program(words(line), false).expect("well-formed")
    }

    #[test]
    fn leading_options_belong_to_the_default_verb_if_the_table_says_so() {
        assert_eq!(request(&["--help"]).expect("help").action, Action::Help);
        assert_eq!(request(&["--skip-setup", "-V"]).expect("version").action, Action::Version);
        // All of these are also options of preverb.
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
    fn a_leading_mode_belongs_to_preverb_even_with_leading_dash_default() {
        let list = Action::Table(TableMode::List { json: true });
        assert_eq!(for_program(&["--list", "--json"]).action, list);
        assert_eq!(for_program(&["--table=t", "--check"]).options.table, Some("t".into()));
        assert_eq!(for_program(&["--check", "--help"]).action, Action::Help);
        assert!(matches!(for_program(&["--probe=tcp://a:1"]).action, Action::Probe { .. }));
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
    fn under_another_name_preverb_takes_no_options() {
        for line in [&["--check"][..], &["--table", "t", "x"], &["--health"], &["--wait", "tcp://a:1"]] {
            let request = parse_for_program(words(line), true).expect("well-formed");
            assert_eq!(request.options, Options::default());
            assert_eq!(request.action, Action::Table(TableMode::Run(Invocation::Default(words(line)))));
        }
    }

    #[test]
    fn arguments_that_are_not_utf8_are_accepted() {
        use std::os::unix::ffi::OsStringExt as _;
        let odd = OsString::from_vec(b"\xff".to_vec());
        let parsed =
            parse(vec!["--table".into(), odd.clone(), odd.clone()], Dashes::Preverb).expect("well-formed");
        assert_eq!(parsed.options.table, Some(odd.clone()));
        assert_eq!(parsed.action, Action::Table(TableMode::Run(Invocation::Verb(odd, vec![]))));
    }

    #[test]
    fn the_clap_definition_is_valid() {
        command().debug_assert();
    }
}
