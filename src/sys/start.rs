//! Starts a program as somebody: as this process is, or stepped down by `--preverb-as`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sys::child::{Children, Running, Spawn};
use crate::sys::identity::Identity;
use crate::sys::proof;
use crate::sys::request::{Received, Request};
use crate::text::failure::{Failure, Kind, Result};
use crate::value::variables::Variables;

/// As whom a program is started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsWhom<'a> {
    /// Whom to step down to; `None` is whoever this process is.
    pub(crate) identity: Option<&'a Identity>,
    /// This program, which does that.
    pub(crate) preverb: &'a Path,
    /// Whether it runs as root because the table says so, and so must be root's alone.
    pub(crate) kept_root: bool,
}

impl AsWhom<'_> {
    /// Whoever this process is.
    pub(crate) fn myself() -> Self {
        Self { identity: None, preverb: Path::new(""), kept_root: false }
    }
}

/// Starts a program, after a step-down where one is asked for.
///
/// # Errors
/// Identity (77): root does not run what is not root's alone; otherwise why it cannot be started.
pub(crate) fn start_program(
    children: &mut Children,
    as_whom: AsWhom<'_>,
    argv: &[OsString],
    variables: &Variables,
    adjust: impl FnOnce(&mut Spawn<'_>),
) -> Result<Running> {
    let proved = as_whom.kept_root.then(|| proof::program(argv, variables)).transpose();
    let proved = proved.map_err(|refused| refused.failure("preverb"))?;
    let proved_argv = proved.as_ref().map(|program| program.argv(argv));
    let argv = proved_argv.as_deref().unwrap_or(argv);
    let Some(identity) = as_whom.identity else {
        let mut spawn = Spawn::new(PathBuf::new(), argv.to_vec(), variables);
        adjust(&mut spawn);
        if let Some(program) = proved {
            spawn.path = program.file;
            let started = children.spawn(&spawn);
            return started.map_err(|error| {
                let name = argv.first().map(OsString::as_os_str).unwrap_or_default();
                crate::sys::exec::diagnose(name, &spawn.path, error, argv, variables)
            });
        }
        // As the target is looked up, so that the same mistake has the same message.
        let started = crate::sys::exec::attempt(argv, variables, |file, _, _| {
            // A missing file is noticed here for less than a process costs.
            rustix::fs::access(file, rustix::fs::Access::EXISTS)
                .map_err(|error| nix::errno::Errno::from_raw(error.raw_os_error()))?;
            spawn.path = PathBuf::from(OsStr::from_bytes(file.to_bytes()));
            children.spawn(&spawn)
        });
        return started;
    };
    let file = proved.as_ref().map(|program| program.file.as_path());
    let request = Request { identity: Some(identity), file, argv, variables, limit: Duration::ZERO };
    start_mode(children, as_whom.preverb, "--preverb-as", &request, adjust)
}

/// Starts a small mode of this program.
///
/// # Errors
/// Why it cannot be started.
pub(crate) fn start_mode(
    children: &mut Children,
    preverb: &Path,
    mode: &str,
    request: &Request<'_>,
    adjust: impl FnOnce(&mut Spawn<'_>),
) -> Result<Running> {
    let variables = Variables::default();
    // This very file, whatever stands at its path by now.
    let itself = Path::new("/proc/self/exe");
    let path = if rustix::fs::access(itself, rustix::fs::Access::EXEC_OK).is_ok() { itself } else { preverb };
    let argv = vec![preverb.as_os_str().to_owned(), mode.into()];
    let mut spawn = Spawn::new(path.to_owned(), argv, &variables);
    spawn.request = Some(request.encode());
    spawn.identity = request.identity.cloned();
    adjust(&mut spawn);
    if spawn.input.is_some() {
        spawn.argv.push(INPUT.into());
    }
    children.spawn(&spawn).map_err(|error| {
        crate::sys::exec::diagnose(preverb.as_os_str(), preverb, error, &spawn.argv, &variables)
    })
}

/// What tells a small mode that the standard input of the program is at its own standard output.
const INPUT: &str = "input";

/// `--preverb-as`: steps down and becomes the command that it is handed. A refusal goes to the preverb that
/// asked, which reports it.
///
/// # Errors
/// The refusal, where nothing has asked.
pub(crate) fn step_down_and_exec(arguments: &[OsString]) -> Result<u8> {
    crate::sys::signals::default_in_children();
    let no_request = || Failure::say(Kind::Usage, "`--preverb-as` is for preverb itself");
    let mut request = Received::take().ok_or_else(no_request)?;
    if arguments.first().is_some_and(|argument| argument == INPUT) {
        let _ = rustix::stdio::dup2_stdin(std::io::stdout());
        let _ = rustix::stdio::dup2_stdout(std::io::stderr());
    }
    let stepped_down = request.step_down();
    let failure = stepped_down.map_or_else(
        |failure| failure,
        |()| match &request.file {
            Some(file) => crate::sys::exec::exec_file(file, &[], &request.argv, &request.variables),
            None => crate::sys::exec::exec(&request.argv, &request.variables),
        },
    );
    if request.refuse(&failure.sentence()) { Ok(failure.kind().exit_code()) } else { Err(failure) }
}
