//! What every mode has at hand, and how it finds the table.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::cli::{self, Options, Request};
use crate::plan;
use crate::sys::signals::Signals;
use crate::table;
use crate::table::decode::decoder::Decoder;
use crate::table::select::{self, Lookup, Tree};
use crate::table::types::LeadingDash;
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::{Format, Log};
use crate::value::toml::Sources;
use crate::value::variables::Variables;

/// What every mode has at hand.
pub(crate) struct Context<'a> {
    pub(crate) variables: Variables,
    pub(crate) signals: Signals,
    pub(crate) log: &'a mut Log,
}

impl Context<'_> {
    /// Where the table is.
    pub(crate) fn table(&self, option: Option<&OsStr>) -> PathBuf {
        let variable = self.variables.non_empty(b"PREVERB_TABLE").map(OsStr::from_bytes);
        option.or(variable).map_or_else(|| PathBuf::from(table::load::DEFAULT), PathBuf::from)
    }

    /// The request of these arguments; with `other_name` preverb was started by a name that is neither its
    /// own nor a verb's.
    ///
    /// # Errors
    /// Usage (64), and the request to stop.
    pub(crate) fn parse(&mut self, arguments: Vec<OsString>, other_name: bool) -> Result<Request> {
        let (table, rest) = if other_name { (None, &*arguments) } else { cli::after_table(&arguments) };
        if cli::begins_with_option(rest) && self.leading_dash(table)? == LeadingDash::Default {
            return cli::parse_for_program(arguments, other_name);
        }
        if let Some(format) = cli::log_format(&arguments) {
            self.log.format = format;
        }
        cli::parse(arguments)
    }

    /// What the table says of words with a dash; a table that cannot be read says nothing, and is told of
    /// later.
    fn leading_dash(&mut self, option: Option<&OsStr>) -> Result<LeadingDash> {
        let Some(sources) = self.sources_if_any(option)? else { return Ok(LeadingDash::Error) };
        let Ok(document) = select::read(&sources) else { return Ok(LeadingDash::Error) };
        Ok(Decoder::default().settings(document.root()).leading_dash)
    }

    /// The table's files, where they can be read.
    ///
    /// # Errors
    /// The request to stop.
    pub(crate) fn sources_if_any(&mut self, option: Option<&OsStr>) -> Result<Option<Sources>> {
        match table::load::read(&self.table(option), &mut self.signals) {
            Err(failure) if failure.is_stop() => Err(failure),
            read => Ok(read.ok()),
        }
    }

    /// Whether the name that preverb was started by is a verb or an alias, here or in another environment.
    pub(crate) fn is_verb(&self, tree: Tree<'_>, name: &OsStr) -> bool {
        let settings = tree.settings(&mut Decoder::default());
        let environment = plan::environment::choose(None, &settings, &self.variables, tree);
        let environment = environment.as_ref().map_or("", |environment| environment.name.as_str());
        tree.lookup(name.as_bytes(), environment) != Lookup::Unknown
    }
}

/// An invalid `PREVERB_LOG` is the operator's mistake, unless `--log` makes it of no account.
pub(crate) fn check_log(format: Option<&(Option<Format>, String)>, options: &Options) -> Result<()> {
    match format {
        Some((None, shown)) if options.log.is_none() => {
            let sentence = format!("variable `PREVERB_LOG` is {shown}, which is no format of messages");
            Err(Failure::say(Kind::Variable, sentence).field("variable", "PREVERB_LOG").hint(Format::rule()))
        }
        _ => Ok(()),
    }
}
