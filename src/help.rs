//! The text of `--help`, from the definition of the command line. clap's own rendering is as large as the rest of it.

use std::fmt::Write as _;

use clap::Arg;

use crate::cli::{PARTS, TABLE_MODES, command};

const USAGE: &str =
    "preverb [OPTIONS] [VERB [ARGUMENT]...]\n       preverb [OPTIONS] -- COMMAND [ARGUMENT]...";

/// The text of `--help`, from the definition of the command line.
#[inline(never)]
pub(crate) fn text() -> String {
    let command = command();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("{about}\n\nUsage: {USAGE}\n");
    for heading in [None, Some(TABLE_MODES), Some(PARTS)] {
        let shown: Vec<&Arg> = command
            .get_arguments()
            .filter(|arg| arg.get_help_heading() == heading && !arg.is_hide_set())
            .collect();
        let width = shown.iter().map(|arg| form(arg).len()).max().unwrap_or(0);
        let _ = writeln!(text, "\n{}:", heading.unwrap_or("Options"));
        for arg in shown {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {:width$}  {help}", form(arg));
        }
    }
    text
}

/// An option as it is written, with its short form in front.
fn form(arg: &Arg) -> String {
    let short = arg.get_short().map_or("    ".to_owned(), |short| format!("-{short}, "));
    let value = if arg.get_action().takes_values() {
        arg.get_value_names().and_then(<[_]>::first).map(|name| format!(" <{name}>")).unwrap_or_default()
    } else {
        String::new()
    };
    format!("{short}--{}{value}", arg.get_long().unwrap_or_default())
}
