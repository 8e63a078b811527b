//! Starts a program as this process's user, or as another user through `--preverb-as`. Also the request that
//! this program sends to an internal mode, through standard input, which is a socket at first: root's mode
//! must not start with variables of another user, and others could read arguments.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::unistd::{AccessFlags, access};
use rustix::process::Signal;

use crate::sys::child::Children;
use crate::sys::exec::{attempt, diagnose, exec, exec_file, program_of};
use crate::sys::identity::{self, Identity};
use crate::sys::signals::{Signals, default_in_children, send};
use crate::sys::spawn::{Ended, Running, Spawn, null};
use crate::sys::{proc, proof};
use crate::text::{Failure, Kind, Result, bytes_of, path_of};
use crate::value::{Expanded, Variables};

#[derive(Debug, Clone, Copy)]
pub(crate) struct RunAs<'a> {
    pub(crate) identity: Option<&'a Identity>,
    pub(crate) preverb: &'a Path,
    pub(crate) kept_root: bool,
    /// How long it may take to end when it is asked to, if not the usual time.
    pub(crate) grace: Option<Duration>,
}

impl RunAs<'_> {
    pub(crate) fn myself() -> Self {
        Self { identity: None, preverb: Path::new(""), kept_root: false, grace: None }
    }
}

/// Starts a program, after a step-down if one is requested. Fails with exit code 77 if root would run a file
/// that is not root's alone, and otherwise like the target.
pub(crate) fn start_program(
    children: &mut Children, run_as: RunAs<'_>, argv: &[OsString], variables: &Variables,
    adjust: &dyn Fn(&mut Spawn<'_>),
) -> Result<Running> {
    let proved = run_as.kept_root.then(|| proof::program("preverb", argv, variables)).transpose()?;
    let (file, argv) = proved.as_ref().map_or((None, argv), |(file, argv)| (Some(&**file), argv));
    if run_as.identity.is_some() {
        let request = Request { identity: run_as.identity, file, argv, variables, limit: Duration::ZERO };
        return start_mode(children, run_as.preverb, "--preverb-as", &request, adjust);
    }
    let mut spawn = Spawn::new(PathBuf::new(), argv.to_vec(), variables);
    adjust(&mut spawn);
    if let Some(file) = file {
        file.clone_into(&mut spawn.path);
        let started = children.spawn(&spawn);
        return started.map_err(|error| diagnose(program_of(argv), file, error, argv, variables));
    }
    // The lookup is the same as for the target, so the same error has the same message.
    attempt(argv, variables, |file, _, _| {
        spawn.path = PathBuf::from(OsStr::from_bytes(file.to_bytes()));
        children.spawn(&spawn)
    })
}

/// The file of this program, even if its path has another file by now.
pub(crate) fn itself(preverb: &Path) -> &Path {
    let itself = Path::new("/proc/self/exe");
    if access(itself, AccessFlags::X_OK).is_ok() { itself } else { preverb }
}

pub(crate) fn start_mode(
    children: &mut Children, preverb: &Path, mode: &str, request: &Request<'_>,
    adjust: &dyn Fn(&mut Spawn<'_>),
) -> Result<Running> {
    let variables = Variables::default();
    let argv = vec![preverb.as_os_str().to_owned(), mode.into()];
    let mut spawn = Spawn::new(itself(preverb).to_owned(), argv, &variables);
    spawn.request = Some(request.encode());
    spawn.terms.identity = request.identity.cloned();
    adjust(&mut spawn);
    if spawn.input.is_some() {
        spawn.argv.push(INPUT.into());
    }
    let started = children.spawn(&spawn);
    started.map_err(|error| diagnose(preverb.as_os_str(), preverb, error, &spawn.argv, &variables))
}

/// The time that a guard has to end leftover processes, and the interval of its checks.
const GUARD_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// This argument tells an internal mode that the program's standard input is at its own standard output.
const INPUT: &str = "input";

/// `--preverb-as`: steps down and becomes the command of its request. It reports a failure to the preverb
/// that asked; without one, it prints the error itself.
pub(crate) fn step_down_and_exec(arguments: &[OsString]) -> Result<u8> {
    default_in_children();
    let no_request = || Failure::new(Kind::Usage, "`--preverb-as` is for preverb itself");
    let mut request = Received::take().ok_or_else(no_request)?;
    if arguments.first().is_some_and(|argument| argument == INPUT) {
        let _ = rustix::stdio::dup2_stdin(std::io::stdout());
        let _ = rustix::stdio::dup2_stdout(std::io::stderr());
    }
    let failure = match (request.step_down(), &request.file) {
        (Err(failure), _) => failure,
        (Ok(()), Some(file)) => exec_file(file, &[], &request.argv, &request.variables),
        (Ok(()), None) => exec(&request.argv, &request.variables, None),
    };
    if request.refuse(&failure.sentence()) { Ok(failure.kind().exit_code()) } else { Err(failure) }
}

/// `--preverb-guard`: runs the program of its request, exits like that program, and ends all of its leftover
/// processes. It also does so when its parent ends, because a killed parent cannot clean up.
pub(crate) fn guard() -> Result<u8> {
    let mut children = Children::new(Signals::handle()?);
    let Some(mut request) = Received::take() else { return Ok(1) };
    // It adopts leftover processes of its program.
    let _ = rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1));
    if !request.dies_with_the_asker(Signal::TERM) {
        return Ok(1);
    }
    let adjust = |spawn: &mut Spawn<'_>| spawn.terms.grace = Some(Duration::ZERO);
    let started = start_program(&mut children, RunAs::myself(), &request.argv, &request.variables, &adjust);
    let started = started.map_err(|failure| request.refuse(&failure.sentence()));
    let Ok(mut running) = started else { return Ok(1) };
    let mut stop = None;
    while running.ended().is_none() && stop.is_none() {
        stop = children.pump(&mut [&mut running], None).err();
    }
    running.kill(None);
    // As they are adopted, the children of killed processes are killed next.
    let (own, until) = (std::process::id().cast_signed(), Instant::now() + GUARD_TIMEOUT);
    while children.reap_all() && Instant::now() < until {
        for (pid, _) in proc::all().into_iter().filter(|(_, process)| process.parent == own) {
            send(pid, 9);
        }
        // A request to stop can be ignored, because everything is being ended already.
        let _ = children.sleep(Instant::now() + POLL_INTERVAL);
    }
    let ended = running.ended().cloned();
    if let (None, Some(ended @ Ended::Signaled(_))) = (stop, &ended) {
        request.refuse(&ended.describe());
        return Ok(1);
    }
    Ok(ended.map_or(1, |ended| ended.exit_code()))
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) identity: Option<&'a Identity>,
    pub(crate) file: Option<&'a Path>,
    pub(crate) argv: &'a [OsString],
    pub(crate) variables: &'a Variables,
    pub(crate) limit: Duration,
}

pub(crate) struct Received {
    identity: Option<Identity>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) argv: Vec<OsString>,
    pub(crate) variables: Variables,
    pub(crate) limit: Duration,
    /// The end of the socket for failures. An exec closes it, so the parent knows that the program runs.
    report: File,
}

const SECRET: &[u8] = b"secret";

impl Request<'_> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let secret = |is_secret| if is_secret { SECRET } else { b"" };
        let path = secret(self.variables.get(b"PATH").is_some_and(|path| path.secret));
        let identity = self.identity.map(|Identity { spec, uid, gid, groups, .. }| {
            let ids: Vec<String> = [uid, gid].into_iter().chain(groups).map(u32::to_string).collect();
            (ids.join(" "), spec.clone())
        });
        let (ids, spec) = identity.unwrap_or_default();
        let (limit, argc) = (self.limit.as_millis().to_string(), self.argv.len().to_string());
        let mut fields = vec![path, limit.as_bytes(), self.file.map(bytes_of).unwrap_or_default()];
        fields.extend([ids.as_bytes(), &spec.bytes, secret(spec.secret), argc.as_bytes()]);
        fields.extend(self.argv.iter().map(|argument| argument.as_bytes()));
        fields.extend(self.variables.to_envp().into_iter().map(CStr::to_bytes));
        [fields.len().to_string().as_bytes(), &fields.join(&0), b""].join(&0)
    }
}

impl Received {
    /// Takes the request from standard input, which is empty afterwards. `None` if it is incomplete.
    pub(crate) fn take() -> Option<Self> {
        let mut report = File::from(std::io::stdin().as_fd().try_clone_to_owned().ok()?);
        if let Ok(null) = null() {
            let _ = rustix::stdio::dup2_stdin(&null);
        }
        let mut bytes = Vec::new();
        report.read_to_end(&mut bytes).ok()?;
        Self::decode(&bytes, report)
    }

    fn decode(bytes: &[u8], report: File) -> Option<Self> {
        let fields: Vec<&[u8]> = bytes.strip_suffix(b"\0")?.split(|byte| *byte == 0).collect();
        let (_, fields) = fields.split_first().filter(|(count, rest)| number(count) == Some(rest.len()))?;
        let [path, limit, file, ids, spec, secret, argc, rest @ ..] = fields else { return None };
        let (argv, variables) = rest.split_at_checked(number(argc)?)?;
        let limit = Duration::from_millis(number(limit)?);
        let file = (!file.is_empty()).then(|| path_of(file).to_owned());
        let ids = ids.split(|byte| *byte == b' ').map(number).collect::<Option<Vec<u32>>>();
        let identity = ids.as_deref().and_then(|ids| {
            let [uid, gid, groups @ ..] = ids else { return None };
            let spec = Expanded { bytes: spec.to_vec(), secret: *secret == SECRET };
            Some(Identity { spec, uid: *uid, gid: *gid, groups: groups.to_vec(), home: Vec::new() })
        });
        let argv = argv.iter().map(|argument| OsString::from_vec(argument.to_vec())).collect();
        let mut variables = Variables::inherited(variables.iter().map(|entry| entry.to_vec()));
        if *path == SECRET {
            variables.mark_secret(b"PATH");
        }
        Some(Self { identity, file, argv, variables, limit, report })
    }

    pub(crate) fn step_down(&self) -> Result<()> {
        self.identity.as_ref().map_or(Ok(()), |identity| identity::step_down(identity, None))
    }

    /// Makes the kernel send `signal` to this process when the parent ends. Returns whether it is alive.
    pub(crate) fn dies_with_the_asker(&self, signal: Signal) -> bool {
        let _ = rustix::process::set_parent_process_death_signal(Some(signal));
        // The parent may have ended earlier.
        let mut descriptors = [PollFd::new(self.report.as_fd(), PollFlags::empty())];
        nix::poll::poll(&mut descriptors, PollTimeout::ZERO) == Ok(0)
    }

    pub(crate) fn refuse(&mut self, why: &str) -> bool {
        self.report.write_all(why.as_bytes()).is_ok()
    }
}

fn number<N: std::str::FromStr>(digits: &[u8]) -> Option<N> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_arrives_unchanged_or_is_rejected() {
        let spec = Expanded { bytes: b"app".to_vec(), secret: true };
        let identity = Identity { spec, uid: 1, gid: 2, groups: vec![2, 30], home: Vec::new() };
        let mut variables = Variables::inherited([&b"A=1"[..], b"", b"noequals", b"A=2"].map(<[u8]>::to_vec));
        variables.set(b"PATH", b"/x", crate::value::variables::Origin::Preverb, true);
        let argv = ["a", "", "b c"].map(OsString::from);
        let limit = Duration::from_millis(7);
        for identity in [None, Some(&identity)] {
            for file in [None, Some(Path::new("/bin/a"))] {
                for variables in [&variables, &Variables::default()] {
                    let request = Request { identity, file, argv: &argv, variables, limit };
                    let bytes = request.encode();
                    let null = || File::open("/dev/null").expect("there is one");
                    let received = Received::decode(&bytes, null()).expect("whole");
                    assert_eq!(received.identity.as_ref(), identity);
                    assert_eq!((received.file.as_deref(), &*received.argv), (file, &argv[..]));
                    assert_eq!((received.variables.to_envp(), received.limit), (variables.to_envp(), limit));
                    let is_secret = |variables: &Variables| variables.get(b"PATH").map(|path| path.secret);
                    assert_eq!(is_secret(&received.variables), is_secret(variables));
                    for end in 0..bytes.len() {
                        assert!(Received::decode(&bytes[..end], null()).is_none(), "{end}");
                    }
                }
            }
        }
    }
}
