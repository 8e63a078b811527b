//! `--help`: the options, and below them the verbs of the table, or why they cannot be listed. clap's own
//! rendering would be as large as the rest of it.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use crate::cli::options::OPTIONS;
use crate::modes::list;
use crate::plan;
use crate::sys::signals::Signals;
use crate::table::decode::decoder::Decoder;
use crate::table::load::{self, failing};
use crate::table::select::Tree;
use crate::text::failure::Result;
use crate::text::paint::Paint;
use crate::value::variables::Variables;

const USAGE: &str = "\
Runs the setup that a container image's verb needs, then execs its program

Usage: preverb [OPTIONS] [VERB [ARGUMENT]...]
       preverb [OPTIONS] -- COMMAND [ARGUMENT]...
";

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
        text.push_str("\nThe table has an error (`preverb --check` reports all of them): ");
        text.push_str(&failure.sentence());
        text.push('\n');
    }
    Ok(text)
}

fn options() -> String {
    let mut text = USAGE.to_owned();
    for (heading, options) in OPTIONS {
        let shown = options.iter().filter(|(.., help)| !help.is_empty());
        let shown: Vec<(String, String)> = shown
            .map(|(name, value, modes, help)| {
                let short = match *name {
                    "help" => "-h, ",
                    "version" => "-V, ",
                    _ => "    ",
                };
                let value = if value.is_empty() { String::new() } else { format!(" <{value}>") };
                let modes = modes.iter().map(|mode| format!("--{mode}")).collect::<Vec<_>>().join(", ");
                let with = if modes.is_empty() { String::new() } else { format!("With {modes}: ") };
                (format!("{short}--{name}{value}"), format!("{with}{help}"))
            })
            .collect();
        let width = shown.iter().map(|(form, _)| form.len()).max().unwrap_or(0);
        let _ = writeln!(text, "\n{heading}:");
        for (form, help) in shown {
            let _ = writeln!(text, "  {form:width$}  {help}");
        }
    }
    text
}
