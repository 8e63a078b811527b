//! The context of every mode: how it finds the table and how it prints.

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use crate::cli::{self, Dashes, Options, Request};
use crate::plan::{Environment, choose};
use crate::sys::{Signals, Stop};
use crate::table::{Decoder, LeadingDash, Lookup, Settings, Tree, load, select};
use crate::text::{FIRST_REPORT, Failure, Format, Kind, Log, Result, quoted, reason};
use crate::value::{Sources, Variables};

pub(crate) struct Context<'a> {
    pub(crate) variables: Variables,
    pub(crate) signals: Signals,
    pub(crate) log: &'a mut Log,
    /// The table, if it was read before the mode was known: a pipe cannot be read again.
    pub(crate) early: Option<(PathBuf, Sources)>,
}

impl Context<'_> {
    pub(crate) fn table(&self, option: Option<&OsStr>) -> PathBuf {
        let variable = self.variables.non_empty(b"PREVERB_TABLE").map(OsStr::from_bytes);
        option.or(variable).map_or_else(|| PathBuf::from(load::DEFAULT), PathBuf::from)
    }

    /// Parses the arguments. `other_name` means that preverb was started under a name that is neither its own
    /// nor a verb's.
    pub(crate) fn parse(&mut self, arguments: Vec<OsString>, other_name: bool) -> Result<Request> {
        let (table, rest) = if other_name { (None, &*arguments) } else { cli::after_table(&arguments) };
        if cli::begins_with_option(rest) && (other_name || !cli::begins_with_mode(rest)) {
            let first = rest.first().map(|first| first.as_bytes());
            let is_about_preverb = matches!(first, Some(b"--help" | b"-h" | b"--version" | b"-V"));
            // `--version` must not wait for a pipe.
            self.signals.file_deadline = is_about_preverb.then(|| Instant::now() + FIRST_REPORT);
            let sources = self.sources_if_any(table)?;
            self.signals.file_deadline = None;
            if let Some(sources) = &sources
                && let Ok(document) = select::read(sources)
                && document.settings(&mut Decoder::default()).leading_dash == LeadingDash::Default
            {
                return cli::parse_for_program(arguments, other_name);
            }
            self.early = sources.map(|sources| (self.table(table), sources));
        }
        if let Some(format) = cli::log_format(&arguments) {
            self.log.format = format;
        }
        // A table that cannot be parsed may have said that an unknown option is the program's.
        cli::parse(arguments, Dashes::Preverb).map_err(|failure| {
            self.early.as_ref().and_then(|(_, read)| load::parse(read).err()).unwrap_or(failure)
        })
    }

    pub(crate) fn sources_if_any(&mut self, option: Option<&OsStr>) -> Result<Option<Sources>> {
        match self.read(&self.table(option)) {
            Err(failure) if failure.is_stop() => Err(failure),
            read => Ok(read.ok()),
        }
    }

    pub(crate) fn read(&mut self, path: &Path) -> Result<Sources> {
        match self.early.take().filter(|(early, _)| early == path) {
            Some((_, sources)) => Ok(sources),
            None => load::read(path, &mut self.signals),
        }
    }

    /// Whether the name that preverb was started under is a verb or an alias, in this or another environment.
    pub(crate) fn is_verb(&self, tree: Tree<'_>, name: &OsStr) -> bool {
        let settings = tree.settings(&mut Decoder::default());
        let environment = self.environment(&Options::default(), &settings, tree);
        let environment = environment.as_ref().map_or("", |environment| environment.name.as_str());
        tree.lookup(name.as_bytes(), environment) != Lookup::Unknown
    }

    pub(crate) fn environment(
        &self, options: &Options, settings: &Settings, tree: Tree<'_>,
    ) -> Result<Environment> {
        choose(options.environment.as_ref(), settings, &self.variables, tree)
    }

    /// Sets the message format of the table, unless an option or a variable overrides it.
    pub(crate) fn log_as(&mut self, settings: &Settings, options: &Options) {
        let is_given = options.log.is_some() || self.variables.non_empty(b"PREVERB_LOG").is_some();
        self.log.format = settings.log.filter(|_| !is_given).unwrap_or(self.log.format);
    }

    /// An invalid `PREVERB_LOG` is the operator's error, unless `--log` overrides it.
    pub(crate) fn check_log(&self, options: &Options) -> Result<()> {
        let value = self.variables.non_empty(b"PREVERB_LOG").filter(|_| options.log.is_none());
        let Some(value) = value.filter(|value| Format::of(value).is_none()) else { return Ok(()) };
        let sentence = format!("variable `PREVERB_LOG` is {}, which is not a log format", quoted(value));
        Err(Failure::new(Kind::Variable, sentence).field("variable", "PREVERB_LOG").hint(Format::rule()))
    }
}

/// A request to stop that came while a report was made (128+n).
pub(crate) fn check_stop(signals: &mut Signals) -> Result<()> {
    signals.stop().map_or(Ok(()), |number| Err(Stop(number).failure("before it was reported")))
}

/// Prints a text. A reader that has gone away is not an error.
pub(crate) fn print(text: &str) -> Result<u8> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let reason = reason(&error);
            Err(Failure::new(Kind::System, format!("cannot write to standard output: {reason}")))
        }
        _ => Ok(0),
    }
}

pub(crate) fn print_json(value: &impl Serialize) -> Result<u8> {
    print(&(serde_json::to_string_pretty(value).unwrap_or_default() + "\n"))
}
