//! Starts a program as somebody: as this process is, or stepped down by `--preverb-as`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::sys::child::{Children, Input, Running, Spawn};
use crate::sys::identity::Identity;
use crate::sys::{proof, read};
use crate::text::failure::{Failure, Kind, Result};
use crate::value::template::Expanded;
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
    let preverb = as_whom.preverb;
    let mut words = vec![preverb.as_os_str().to_owned(), "--preverb-as".into()];
    words.push(OsString::from_vec(identity.spec.bytes.clone()));
    let mut spawn = Spawn::new(preverb.to_owned(), Vec::new(), variables);
    adjust(&mut spawn);
    let keeps_input = spawn.input != Input::Nothing;
    if !keeps_input {
        spawn.input = Input::Given;
    }
    let has_secret_path = variables.get(b"PATH").is_some_and(|path| path.secret);
    let tasks =
        [(keeps_input, KEEP_INPUT), (identity.spec.secret, SECRET_USER), (has_secret_path, SECRET_PATH)];
    let tasks: Vec<&str> = tasks.into_iter().filter(|(asked, _)| *asked).map(|(_, task)| task).collect();
    words.push(tasks.join(",").into());
    match proved {
        Some(program) => words.extend(program.by_its_file(argv)),
        None => words.extend(argv.iter().cloned()),
    }
    spawn.argv = words;
    children.spawn(&spawn).map_err(|error| {
        let program = argv.first().map(OsString::as_os_str).unwrap_or_default();
        // What is too large is the hook's; anything else is about preverb's own file.
        let file = if error == nix::errno::Errno::E2BIG { Path::new(program) } else { preverb };
        crate::sys::exec::diagnose(program, file, error, argv, variables)
    })
}

/// What `--preverb-as` is asked besides, in its second word: that the pipe for the refusal is the command's standard
/// input as well; what no refusal is to show.
const KEEP_INPUT: &str = "keep-input";
const SECRET_USER: &str = "secret-user";
const SECRET_PATH: &str = "secret-path";

/// `--preverb-as USER TASKS COMMAND...`: steps down and becomes the command. A refusal is written to standard
/// input, which is a pipe to the preverb that asked and that will tell of it.
///
/// # Errors
/// The refusal, where nobody has asked.
pub(crate) fn step_down_and_exec(words: &[OsString]) -> Result<u8> {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    crate::sys::signals::default_in_children();
    // A copy that an exec closes, so that its silence means that the command runs.
    let report = std::io::stdin().as_fd().try_clone_to_owned();
    let tasks = words.get(1).map(|word| word.as_bytes()).unwrap_or_default();
    let asked = |task: &str| tasks.split(|byte| *byte == b',').any(|each| each == task.as_bytes());
    if !asked(KEEP_INPUT)
        && let Ok(null) = crate::sys::child::null()
    {
        let _ = rustix::stdio::dup2_stdin(&null);
    }
    let mut variables = read::environment();
    if asked(SECRET_PATH) {
        variables.mark_secret(b"PATH");
    }
    let user = |user: &OsString| Expanded { bytes: user.as_bytes().to_vec(), secret: asked(SECRET_USER) };
    let failure = match words {
        [name, _, command @ ..] => crate::sys::identity::resolve(&user(name))
            .and_then(|identity| crate::sys::identity::step_down(&identity, None))
            .map_or_else(|failure| failure, |()| crate::sys::exec::exec(command, &variables)),
        _ => Failure::say(Kind::Usage, "`--preverb-as` is for preverb itself"),
    };
    let told = report.and_then(|report| std::fs::File::from(report).write_all(failure.sentence().as_bytes()));
    if told.is_ok() { Ok(failure.kind().exit_code()) } else { Err(failure) }
}
