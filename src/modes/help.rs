//! `--help`: the options, from the definition of the command line, and below them the verbs of the table, or
//! why they cannot be told. clap's own rendering is as large as the rest of it.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use clap::Arg;

use crate::cli::{PARTS, TABLE_MODES, command};
use crate::modes::list;
use crate::plan;
use crate::sys::signals::Signals;
use crate::table::decode::decoder::Decoder;

use crate::table::load;
use crate::table::load::failing;
use crate::table::select::Tree;
use crate::text::failure::Result;
use crate::text::paint::Paint;
use crate::value::variables::Variables;

const USAGE: &str =
    "preverb [OPTIONS] [VERB [ARGUMENT]...]\n       preverb [OPTIONS] -- COMMAND [ARGUMENT]...";

/// Prints the help; `path` is where the table is, `environment` is `--environment`.
///
/// # Errors
/// The request to stop, or what keeps it from being written.
pub(crate) fn help(
    path: &Path,
    environment: Option<&OsString>,
    variables: &Variables,
    signals: &mut Signals,
) -> Result<u8> {
    let mut text = options();
    match verbs(path, environment, variables, signals) {
        Ok(list) => text.push_str(&list),
        Err(failure) if failure.is_stop() => return Err(failure),
        // Where there is no table the image has none yet, and help is about preverb alone.
        Err(_) if !path.exists() => {}
        Err(failure) => {
            text.push_str("\nThe table cannot be used: ");
            text.push_str(&failure.sentence());
            text.push('\n');
        }
    }
    crate::modes::print::print(&text)
}

/// The verbs of the environment, as `--list` has them.
fn verbs(
    path: &Path,
    environment: Option<&OsString>,
    variables: &Variables,
    signals: &mut Signals,
) -> Result<String> {
    let sources = load::read(path, signals)?;
    let document = load::parse(&sources)?;
    let tree = Tree::new(&document);
    let mut decoder = Decoder::default();
    let settings = tree.settings(&mut decoder);
    failing(&sources, &decoder.mistakes)?;
    let environment = plan::environment::choose(environment, &settings, variables, tree)?;
    let list = list::List::of(tree, &settings, &environment.name, &mut decoder);
    let mut text = format!("\n{}", list::text(&list, Paint::Plain));
    if let Err(failure) = failing(&sources, &decoder.mistakes) {
        text.push_str("\nThe table has a mistake (`preverb --check` tells every one): ");
        text.push_str(&failure.sentence());
        text.push('\n');
    }
    Ok(text)
}

/// The usage and the options.
fn options() -> String {
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
