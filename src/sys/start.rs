//! Starts a program as the user that this process is, or stepped down by `--preverb-as`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{AccessFlags, access};

use crate::sys::child::{Children, Running, Spawn};
use crate::sys::exec::{attempt, diagnose, exec, exec_file, program_of};
use crate::sys::identity::Identity;
use crate::sys::proof;
use crate::sys::request::{Received, Request};
use crate::sys::signals::default_in_children;
use crate::text::failure::{Failure, Kind, Result};
use crate::value::variables::Variables;

#[derive(Debug, Clone, Copy)]
pub(crate) struct AsWhom<'a> {
    pub(crate) identity: Option<&'a Identity>,
    pub(crate) preverb: &'a Path,
    pub(crate) kept_root: bool,
}

impl AsWhom<'_> {
    pub(crate) fn myself() -> Self {
        Self { identity: None, preverb: Path::new(""), kept_root: false }
    }
}

/// Starts a program, after a step-down where one is asked for. Fails (77) where root does not run what is not
/// root's alone, and otherwise as the target would.
pub(crate) fn start_program(
    children: &mut Children,
    as_whom: AsWhom<'_>,
    argv: &[OsString],
    variables: &Variables,
    adjust: &dyn Fn(&mut Spawn<'_>),
) -> Result<Running> {
    let proved = as_whom.kept_root.then(|| proof::program("preverb", argv, variables)).transpose()?;
    let (file, argv) = proved.as_ref().map_or((None, argv), |(file, argv)| (Some(&**file), argv));
    if as_whom.identity.is_some() {
        let request = Request { identity: as_whom.identity, file, argv, variables, limit: Duration::ZERO };
        return start_mode(children, as_whom.preverb, "--preverb-as", &request, adjust);
    }
    let mut spawn = Spawn::new(PathBuf::new(), argv.to_vec(), variables);
    adjust(&mut spawn);
    if let Some(file) = file {
        file.clone_into(&mut spawn.path);
        let started = children.spawn(&spawn);
        return started.map_err(|error| diagnose(program_of(argv), file, error, argv, variables));
    }
    // As the target is looked up, so that the same mistake has the same message.
    attempt(argv, variables, |file, _, _| {
        // A missing file is noticed here for less than a process costs.
        access(file, AccessFlags::F_OK)?;
        spawn.path = PathBuf::from(OsStr::from_bytes(file.to_bytes()));
        children.spawn(&spawn)
    })
}

pub(crate) fn start_mode(
    children: &mut Children,
    preverb: &Path,
    mode: &str,
    request: &Request<'_>,
    adjust: &dyn Fn(&mut Spawn<'_>),
) -> Result<Running> {
    let variables = Variables::default();
    // This very file, whatever is at its path by now.
    let itself = Path::new("/proc/self/exe");
    let path = if access(itself, AccessFlags::X_OK).is_ok() { itself } else { preverb };
    let argv = vec![preverb.as_os_str().to_owned(), mode.into()];
    let mut spawn = Spawn::new(path.to_owned(), argv, &variables);
    spawn.request = Some(request.encode());
    spawn.identity = request.identity.cloned();
    adjust(&mut spawn);
    if spawn.input.is_some() {
        spawn.argv.push(INPUT.into());
    }
    let started = children.spawn(&spawn);
    started.map_err(|error| diagnose(preverb.as_os_str(), preverb, error, &spawn.argv, &variables))
}

/// What tells a small mode that the standard input of the program is at its own standard output.
const INPUT: &str = "input";

/// `--preverb-as`: steps down and becomes the command that it is handed. A refusal goes to the preverb that
/// asked, which reports it; it is the error where no preverb has asked.
pub(crate) fn step_down_and_exec(arguments: &[OsString]) -> Result<u8> {
    default_in_children();
    let no_request = || Failure::say(Kind::Usage, "`--preverb-as` is for preverb itself");
    let mut request = Received::take().ok_or_else(no_request)?;
    if arguments.first().is_some_and(|argument| argument == INPUT) {
        let _ = rustix::stdio::dup2_stdin(std::io::stdout());
        let _ = rustix::stdio::dup2_stdout(std::io::stderr());
    }
    let failure = match (request.step_down(), &request.file) {
        (Err(failure), _) => failure,
        (Ok(()), Some(file)) => exec_file(file, &[], &request.argv, &request.variables),
        (Ok(()), None) => exec(&request.argv, &request.variables),
    };
    if request.refuse(&failure.sentence()) { Ok(failure.kind().exit_code()) } else { Err(failure) }
}
