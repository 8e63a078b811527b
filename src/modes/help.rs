//! `--help`: the options, followed by the verbs of the table or the reason why they cannot be listed. clap's
//! own help would make the binary much larger.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use crate::cli::{OPTIONS, Options};
use crate::modes::context::{Context, print};
use crate::modes::list;
use crate::table::{Decoder, failing, load};
use crate::text::{FIRST_REPORT, Paint, Result};

const USAGE: &str = "\
Runs the setup that a container image's verb needs, then execs its program

Usage: preverb [OPTIONS] [VERB [ARGUMENT]...]
       preverb [OPTIONS] -- COMMAND [ARGUMENT]...
";

pub(crate) fn help(mut context: Context<'_>, path: &Path, given: &Options) -> Result<u8> {
    let mut text = options();
    match verbs(&mut context, path, given) {
        Ok(list) => text.push_str(&list),
        Err(failure) if failure.is_stop() => return Err(failure),
        // The image has no table yet, so the help is about preverb alone.
        Err(_) if !path.exists() => {}
        Err(failure) => {
            let _ = writeln!(text, "\nThe table cannot be used: {}", failure.sentence());
        }
    }
    print(&text)
}

fn verbs(context: &mut Context<'_>, path: &Path, given: &Options) -> Result<String> {
    context.signals.file_deadline = Some(Instant::now() + FIRST_REPORT);
    let sources = context.read(path)?;
    let document = load::parse(&sources)?;
    let tree = &document;
    let mut decoder = Decoder::default();
    let settings = tree.settings(&mut decoder);
    failing(&sources, &decoder.mistakes)?;
    let environment = context.environment(given, &settings, tree)?;
    let list = list::List::of(tree, &settings, &environment.name, &mut decoder);
    let mut text = format!("\n{}", list::text(&list, Paint::Plain));
    if let Err(failure) = failing(&sources, &decoder.mistakes) {
        let heading = "The table has an error (`preverb --check` reports all of them)";
        let _ = writeln!(text, "\n{heading}: {}", failure.sentence());
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
