//! preverb: one image, many verbs. The program is one sentence: take a request, observe the world, plan, then
//! explain the plan or perform it.
//!
//! The rooms, and what each may use:
//!
//! | room | is | may use |
//! |---|---|---|
//! | `text/` | messages, failures, names, durations; knows nothing of the program | |
//! | `value/` | what the program is about, as values: variables, templates, users | `text` |
//! | `sys/` | the kernel: one owner for each facility | `value`, `text` |
//! | `table/` | the verb table: files, tree, types | `value`, `text` (`load.rs`: `sys`) |
//! | `plan/` | request, table and facts make a plan; pure | `table`, `value`, `text` |
//! | `ready/` | one try of a target, and the loop that waits | `sys`, `value`, `text` |
//! | `setup/` | performs a plan | `plan`, `ready`, `sys`, `value`, `text` |
//! | `cli/` | argv makes a request | `value`, `text` |
//! | `modes/` | what preverb can be asked for, a file each | all |
//!
//! `schema.rs` describes the same keys for editors, `fuzzing.rs` is the entrance for fuzzers.
//!
//! What is hard is preverb itself again, in a small mode: `--preverb-as` steps down before a hook, `--preverb-dump`
//! hands a shell's environment back, `--preverb-probe` makes one try, `--supervise` stays as PID 1 and
//! `--preverb-target` is its child before it becomes the target. So there is no `unsafe`, and no code between fork and
//! exec.

mod cli;
#[doc(hidden)]
pub mod fuzzing;
mod modes;
mod plan;
mod ready;
#[doc(hidden)]
pub mod schema;
mod setup;
mod sys;
mod table;
mod text;
mod value;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::{Action, Options, Request, Rest, TableMode, Words};
use crate::modes::{check, explain, health, help, list, parts, secret_files, shim, supervise, verb};
use crate::plan::{Call, Planned};
use crate::setup::World;
use crate::sys::child::{self, Children};
use crate::sys::identity::Myself;
use crate::sys::read;
use crate::sys::signals::Signals;
use crate::table::LeadingDash;
use crate::table::decode::Decoder;
use crate::table::document::{Document, Focus, Source};
use crate::table::load::failing;
use crate::table::select::{Lookup, Tree};
use crate::text::failure::{self, Failure, Kind, Result};
use crate::text::log::{Format, Log, quoted};
use crate::text::names::VerbName;
use crate::text::paint::Paint;
use crate::text::reason::reason;
use crate::value::variables::Variables;

/// Runs preverb. Returns only where no target has replaced the process.
#[must_use]
pub fn run() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let _ = writeln!(std::io::stderr(), "preverb: a bug in preverb: {panic}");
        // An abort as PID 1 would exit with 139, which reads as a fault of the target.
        #[expect(
            clippy::exit,
            clippy::disallowed_methods,
            reason = "nothing else ends a panic without an abort"
        )]
        std::process::exit(failure::BUG);
    }));
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_default();
    let words: Vec<OsString> = words.collect();
    if Path::new(&name).file_name() != Some(OsStr::new("preverb")) {
        // Who looks from outside (`--health`) tells setup from the target by this name, and a link has another.
        let _ = rustix::thread::set_name(c"preverb");
    }
    let mut log = Log::default();
    match hidden_part(&name, &words, &mut log).unwrap_or_else(|| start(&name, words, &mut log)) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            for message in failure.messages() {
                log.say(&message);
            }
            ExitCode::from(failure.kind().exit_code())
        }
    }
}

/// The small modes that preverb starts itself in. They read no table and heed no signal.
fn hidden_part(name: &OsStr, words: &[OsString], log: &mut Log) -> Option<Result<u8>> {
    if !read::is_part(name.as_bytes()) {
        return None;
    }
    let rest = words.get(1..).unwrap_or_default();
    match words.first()?.as_bytes() {
        b"--preverb-dump" => Some(Ok(setup::dump::dump(rest))),
        b"--preverb-probe" => Some(Ok(ready::wait::probe(rest))),
        b"--preverb-target" => Some(Err(supervise::become_target(rest, read::environment(), log))),
        b"--preverb-as" => Some(sys::start::step_down_and_exec(rest)),
        _ => None,
    }
}

/// What every mode has at hand.
struct Start<'a> {
    variables: Variables,
    signals: Signals,
    log: &'a mut Log,
}

fn start(name: &OsStr, words: Vec<OsString>, log: &mut Log) -> Result<u8> {
    let signals = Signals::heed()?;
    let mut start = Start { variables: read::environment(), signals, log };
    let format = start.variables.non_empty(b"PREVERB_LOG").map(|value| (Format::parse(value), quoted(value)));
    if let Some((Some(format), _)) = format {
        start.log.format = format;
    }

    // A link of the verb's name to preverb is that verb.
    let base = Path::new(name).file_name().unwrap_or_default();
    if !base.is_empty()
        && base != "preverb"
        && let Some(sources) = start.sources_if_any(None)?
        && let Ok(document) = Document::read(&sources, focus_of(base))
    {
        let tree = Tree::new(&document);
        if start.is_verb(tree, base) {
            check_log(format.as_ref(), &Options::default())?;
            let mode = TableMode::Run(Words::Verb(base.to_owned(), words));
            return start.with_tree(&Options::default(), mode, tree);
        }
    }

    let Request { options, action } = match cli::plain(&words) {
        Some(request) => request,
        None => start.parse(words)?,
    };
    if let Some(format) = options.log {
        start.log.format = format;
    }
    // Who asks for help or the version gets it, whatever is wrong around it.
    let checked = check_log(format.as_ref(), &options);
    match action {
        Action::Help => {
            let path = start.table(options.table.as_deref());
            help::help(&path, options.environment.as_ref(), &start.variables, &mut start.signals)
        }
        Action::Version => print(&format!("preverb {}\n", env!("CARGO_PKG_VERSION"))),
        Action::Part(part) => {
            checked?;
            parts::run(part, start.variables, start.signals, *start.log)
        }
        Action::Health { timeout } => {
            checked?;
            let table = options.table.map(PathBuf::from);
            health::health(table, timeout, Children::new(start.signals), *start.log)
        }
        Action::Check { json } => {
            checked?;
            check::check(check::Check {
                table: &start.table(options.table.as_deref()),
                environment: options.environment.as_ref(),
                json,
                variables: &start.variables,
                signals: &mut start.signals,
                log: *start.log,
                log_given: options.log.is_some() || format.is_some(),
            })
        }
        Action::Table(mode) => {
            checked?;
            let path = start.table(options.table.as_deref());
            let sources = table::load::read(&path, &mut start.signals)?;
            let document = table::load::parse(&sources, focus(&mode))?;
            start.with_tree(&options, mode, Tree::new(&document))
        }
    }
}

/// Writes what a mode prints to standard output. A reader that has gone away is no failure of preverb's.
fn print(text: &str) -> Result<u8> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let reason = reason(&error);
            Err(Failure::say(Kind::System, format!("cannot write to standard output: {reason}")))
        }
        _ => Ok(0),
    }
}

impl Start<'_> {
    /// Where the table is.
    fn table(&self, option: Option<&OsStr>) -> PathBuf {
        let variable = self.variables.non_empty(b"PREVERB_TABLE").map(OsStr::from_bytes);
        option.or(variable).map_or_else(|| PathBuf::from(table::load::DEFAULT), PathBuf::from)
    }

    /// The request of words that begin with options of the rarer kind.
    #[inline(never)]
    fn parse(&mut self, words: Vec<OsString>) -> Result<Request> {
        let split = cli::split(words);
        // A mistake in another option is told in the format that was asked for.
        let option = cli::value_of(&split.options, "--log");
        if let Some(format) = option.and_then(|text| Format::parse(text.as_bytes())) {
            self.log.format = format;
        }
        let dash_is_default = matches!(split.rest, Rest::Dash(_))
            && self.leading_dash(cli::value_of(&split.options, "--table").as_deref())?
                == LeadingDash::Default;
        cli::parse(split, dash_is_default)
    }

    /// What the table says of words with a dash; a table that cannot be read says nothing, and is told of later.
    #[inline(never)]
    fn leading_dash(&mut self, option: Option<&OsStr>) -> Result<LeadingDash> {
        let Some(sources) = self.sources_if_any(option)? else { return Ok(LeadingDash::Error) };
        let Ok(document) = Document::read(&sources, Focus::Verb("")) else { return Ok(LeadingDash::Error) };
        Ok(Decoder::default().settings(document.root()).leading_dash)
    }

    /// The table's files, where they can be read.
    ///
    /// # Errors
    /// The request to stop.
    fn sources_if_any(&mut self, option: Option<&OsStr>) -> Result<Option<Vec<Source>>> {
        match table::load::read(&self.table(option), &mut self.signals) {
            Err(failure) if failure.is_stop() => Err(failure),
            read => Ok(read.ok()),
        }
    }

    /// Whether the name that preverb was started by is a verb or an alias, here or in another environment.
    fn is_verb(&self, tree: Tree<'_, '_>, name: &OsStr) -> bool {
        let settings = tree.settings(&mut Decoder::default());
        let environment = plan::environment(None, &settings, &self.variables);
        let environment = environment.as_ref().map_or("", |environment| environment.name.as_str());
        tree.lookup(name.as_bytes(), environment) != Lookup::Unknown
    }

    /// The sentence, with a table: decide what counts of it, plan, then explain the plan or perform it.
    fn with_tree(mut self, options: &Options, mode: TableMode, tree: Tree<'_, '_>) -> Result<u8> {
        let sources = tree.sources();
        let mut decoder = Decoder::default();
        let settings = tree.settings(&mut decoder);
        if options.log.is_none()
            && self.variables.non_empty(b"PREVERB_LOG").is_none()
            && let Some(format) = settings.log
        {
            self.log.format = format;
        }
        if let Some(stop) = &settings.stop_signals {
            if let Some(number) = self.signals.stop() {
                return Err(child::Stop(number).failure("before setup"));
            }
            self.signals.heed_instead(stop)?;
        }
        let environment = plan::environment(options.environment.as_ref(), &settings, &self.variables);
        let (words, json) = match mode {
            TableMode::Run(words) => (words, None),
            TableMode::Explain { words, json } => (words, Some(json)),
            TableMode::List { json } => {
                failing(sources, &decoder.mistakes)?;
                let list = list::List::of(tree, &settings, &environment?.name, &mut decoder);
                let paint = Paint::of_standard_output(&self.variables);
                return print(&if json { list::json(&list) } else { list::text(&list, paint) });
            }
            TableMode::Shim { verb } => {
                failing(sources, &decoder.mistakes)?;
                return print(&shim::shim(&settings, tree, &environment?, verb.as_deref())?);
            }
        };
        // A table whose top is wrong may choose the wrong environment: its mistakes come first.
        if environment.is_err() || !decoder.mistakes.is_empty() {
            failing(sources, &decoder.mistakes)?;
            return environment.map(|_| 0);
        }
        let environment = environment?;
        let skip_setup = if options.skip_setup {
            Some("`--skip-setup` was given".to_owned())
        } else if self.variables.non_empty(b"PREVERB_SKIP_SETUP").is_some() {
            Some("the variable `PREVERB_SKIP_SETUP` is set".to_owned())
        } else {
            None
        };
        let (verb, words) = verb::of(words, tree, &settings, &environment.name)?;
        // An alias was used, or a drop-in has another default: what counts is known only now.
        let name = verb.as_ref().map_or("", VerbName::as_str);
        let again = tree.is_light(name, environment.name.as_str());
        let document = again.then(|| table::load::parse(sources, Focus::Verb(name))).transpose()?;
        let tree = document.as_ref().map_or(tree, Tree::new);
        let selection = tree.select(&mut decoder, &environment.name, verb.as_ref());
        failing(sources, &decoder.mistakes)?;
        let declarations = table::lay_declarations(selection.layers());
        let files = secret_files::secret_files(&declarations, &self.variables, &mut self.signals)?;
        let mentioned = json.is_some() && tree.mentions(environment.name.as_str());
        let call = Call { words, skip_setup };
        let health =
            selection.verb.as_ref().filter(|_| json.is_some()).and_then(|verb| verb.part.health.clone());
        let Planned { plan, failures } =
            plan::plan(environment, &settings, selection, call, &self.variables, &files);
        if let Some(json) = json {
            let beside =
                explain::Beside { mentioned, stop_signals: settings.stop_signals.as_deref(), health };
            let explained = explain::Explained::of(&plan, &self.variables, &beside, Myself::observe());
            let paint = Paint::of_standard_output(&self.variables);
            print(&if json { explain::json(&explained) } else { explain::text(&explained, paint) })?;
            return Failure::all(failures).map_or(Ok(0), Err);
        }
        if let Some(failure) = Failure::all(failures) {
            return Err(failure);
        }
        let log = *self.log;
        log.debug(|| {
            let verb = plan.verb.as_ref().map_or("no verb".to_owned(), |verb| format!("verb `{verb}`"));
            format!("{verb} in environment `{}`, {}", plan.environment.name, plan.environment.why.describe())
        });
        let children = Children::new(self.signals);
        // Only steps and a supervisor are preverb again; asking the kernel where it is costs more than a step of
        // the plan.
        let again = plan.init.is_some() || !plan.steps.is_empty();
        let program = if again { read::program() } else { PathBuf::new() };
        let world = World { log, program, myself: Myself::observe(), children };
        Err(setup::perform(plan, world))
    }
}

/// An invalid `PREVERB_LOG` is the operator's mistake, unless `--log` makes it of no account.
fn check_log(format: Option<&(Option<Format>, String)>, options: &Options) -> Result<()> {
    match format {
        Some((None, shown)) if options.log.is_none() => {
            let sentence = format!("variable `PREVERB_LOG` is {shown}, which is no format of messages");
            Err(Failure::say(Kind::Variable, sentence).field("variable", "PREVERB_LOG").hint(Format::rule()))
        }
        _ => Ok(()),
    }
}

/// What a mode needs of the table.
fn focus(mode: &TableMode) -> Focus<'_> {
    match mode {
        TableMode::Run(words) => match words {
            Words::None | Words::Default(_) => Focus::Default,
            Words::Verb(word, _) => focus_of(word),
            Words::Command(_) => Focus::Verb(""),
        },
        // What mentions an environment may stand in any verb.
        TableMode::Explain { .. } | TableMode::List { .. } | TableMode::Shim { .. } => Focus::Everything,
    }
}

/// A word that is no text is no verb either.
fn focus_of(word: &OsStr) -> Focus<'_> {
    Focus::Verb(word.to_str().unwrap_or_default())
}
