//! The DSL of the integration tests.
//!
//! A [`Test`] is plain data: the files of a fresh directory, the way preverb is started in it, and the
//! expected results. Nothing happens before [`Test::run`]. Status, standard output and standard error are
//! compared whole, and are `0`, empty and empty unless the test says otherwise, so that silence is tested for
//! free.
//!
//! `[DIR]` stands for the test's directory in everything that goes in (tables, files, arguments, variables)
//! and in everything that is expected. Expectations may also hold `[TIME]` (a duration), `[..]` (anything
//! in one line) and a line `[...]` (any number of lines). See [`pattern`].
//!
//! The DSL knows nothing about preverb except the name of its binary and the variable `PREVERB_TABLE`.

mod network;
mod pattern;
mod raw;
mod running;
mod terminal;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use crate::skip::{PATH, lacks, skip};
pub(crate) use network::Network;
pub(crate) use running::{Running, children, state};

/// The binary under test. `PREVERB_BIN` names another, such as a release build or one for another processor.
pub(crate) fn preverb() -> &'static str {
    static BINARY: LazyLock<String> = LazyLock::new(|| {
        let named = std::env::var("PREVERB_BIN");
        for_everyone(named.unwrap_or_else(|_| env!("CARGO_BIN_EXE_preverb").to_owned()))
    });
    &BINARY
}

/// The binary, or a copy of it if other users cannot reach it: root's checkout may be in `/root`, and root's tests run
/// preverb as other users, too.
fn for_everyone(binary: String) -> String {
    let is_open = |directory: &Path| directory.metadata().is_ok_and(|found| found.mode() & 0o001 != 0);
    if !nix::unistd::geteuid().is_root() || Path::new(&binary).ancestors().skip(1).all(is_open) {
        return binary;
    }
    let mut hasher = DefaultHasher::new();
    binary.hash(&mut hasher);
    let place = Path::new("/var/cache/preverb-tests").join(format!("{:016x}", hasher.finish()));
    fs::create_dir_all(&place).expect("root can write to /var/cache");
    for directory in place.ancestors().take(2) {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).expect("root owns it");
    }
    // Another test program may be using the last copy.
    let (new, copy) = (place.join(format!("new-{}", std::process::id())), place.join("preverb"));
    fs::copy(&binary, &new).and_then(|_| fs::rename(&new, &copy)).expect("the binary can be copied");
    copy.to_str().expect("the name is ASCII").to_owned()
}

/// How long a test may take before it is killed and has failed.
const DEADLINE: Duration = Duration::from_mins(1);

/// While one thread holds a file open for writing, a child that another thread starts inherits the
/// descriptor until it execs, and the file cannot be run at that moment ("text file busy"). So files
/// are written and children started by one thread at a time.
static FILES_OR_CHILDREN: Mutex<()> = Mutex::new(());

/// A file in the test's directory before the run.
enum Entry {
    File(PathBuf, Vec<u8>, u32),
    Directory(PathBuf, u32),
    Link(PathBuf, PathBuf),
}

/// The expectation for an output stream.
enum Expected {
    /// The whole of it, as a pattern.
    Whole(Vec<u8>),
    /// The whole of it, as the pattern in this file of `tests/golden`.
    Golden(&'static str),
    /// Parts that it must hold, as patterns, and parts that it must not hold, as plain bytes.
    Parts { holds: Vec<Vec<u8>>, lacks: Vec<Vec<u8>> },
}

impl Expected {
    fn part(&mut self, part: &[u8]) {
        match self {
            Self::Whole(_) | Self::Golden(_) => {
                *self = Self::Parts { holds: vec![part.to_vec()], lacks: Vec::new() };
            }
            Self::Parts { holds, .. } => holds.push(part.to_vec()),
        }
    }

    fn lack(&mut self, part: &[u8]) {
        match self {
            Self::Whole(_) | Self::Golden(_) => {
                *self = Self::Parts { holds: Vec::new(), lacks: vec![part.to_vec()] };
            }
            Self::Parts { lacks, .. } => lacks.push(part.to_vec()),
        }
    }

    /// Says what is wrong with `actual`, if something is.
    fn complaint(&self, stream: &str, actual: &[u8], dir: &Path) -> Option<String> {
        let here = |bytes: &[u8]| placed(bytes, dir);
        match self {
            Self::Whole(whole) => (!pattern::matches(&here(whole), actual)).then(|| {
                format!(
                    "{stream} is not what was expected\n--- expected\n{}\n--- got\n{}",
                    shown(whole),
                    shown(actual)
                )
            }),
            Self::Golden(name) => {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
                let whole = fs::read(&path).unwrap_or_default();
                let complaint = Self::Whole(whole).complaint(stream, actual, dir)?;
                if std::env::var_os("PREVERB_UPDATE").is_none() {
                    return Some(format!("{complaint}\n--- `PREVERB_UPDATE=1` writes {name} anew"));
                }
                fs::write(&path, pattern::of(actual, dir)).unwrap();
                None
            }
            Self::Parts { holds, lacks } => holds
                .iter()
                .find(|part| !pattern::found(&here(part), actual))
                .map(|part| ("lacks", part))
                .or_else(|| {
                    lacks.iter().find(|part| contains(actual, &here(part))).map(|part| ("holds", part))
                })
                .map(|(verb, part)| format!("{stream} {verb}\n{}\n--- got\n{}", shown(part), shown(actual))),
        }
    }
}

/// The first argument of the process.
enum Argv0 {
    /// The path of the binary, as a shell would have it.
    Binary,
    /// This text, while the binary is the file that runs.
    Word(OsString),
    /// No arguments at all: `argc` is 0.
    Missing,
}

type Check = Box<dyn Fn(&Output)>;
type During = Box<dyn Fn(&mut Running)>;

/// The results of a run.
pub(crate) struct Output {
    /// The exit code; 128 + n if signal n killed the process.
    pub(crate) status: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// The test's directory, which lives as long as this.
    pub(crate) dir: tempfile::TempDir,
    /// From just before the start to just after the end.
    pub(crate) took: Duration,
}

impl Output {
    /// Standard output as text.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("standard output should be UTF-8")
    }

    /// Standard error as text.
    #[track_caller]
    pub(crate) fn messages(&self) -> &str {
        std::str::from_utf8(&self.stderr).expect("standard error should be UTF-8")
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON: {error}\n{}", shown(&self.stdout)))
    }

    /// Standard error as one JSON value for each line.
    #[track_caller]
    pub(crate) fn json_messages(&self) -> Vec<serde_json::Value> {
        self.messages()
            .lines()
            .map(|line| {
                serde_json::from_str(line)
                    .unwrap_or_else(|error| panic!("not JSON: {error}\n{}", self.messages()))
            })
            .collect()
    }

    /// The content of a file in the test's directory, if it is there.
    pub(crate) fn file(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.dir.path().join(path)).ok()
    }
}

/// One case. See the head of this module.
pub(crate) struct Test {
    entries: Vec<Entry>,
    environment: Vec<(OsString, OsString)>,
    raw_environment: Option<Vec<Vec<u8>>>,
    /// Options of `unshare`, and a script that runs in the namespaces before everything else.
    namespaces: Vec<&'static str>,
    prepare: String,
    under: Vec<OsString>,
    argv0: Argv0,
    args: Vec<OsString>,
    stdin: Vec<u8>,
    terminal: bool,
    status: Option<i32>,
    stdout: Expected,
    stderr: Expected,
    during: Option<During>,
    checks: Vec<Check>,
    pid1: bool,
    needs_root: bool,
    /// Programs that must be there.
    needs: Vec<OsString>,
}

impl Test {
    pub(crate) fn new() -> Self {
        Self {
            entries: vec![Entry::Directory("bin".into(), 0o755), Entry::Directory("tmp".into(), 0o1777)],
            environment: vec![("PATH".into(), format!("[DIR]/bin:{PATH}").into())],
            raw_environment: None,
            namespaces: Vec::new(),
            prepare: String::new(),
            under: Vec::new(),
            argv0: Argv0::Binary,
            args: Vec::new(),
            stdin: Vec::new(),
            terminal: false,
            status: Some(0),
            stdout: Expected::Whole(Vec::new()),
            stderr: Expected::Whole(Vec::new()),
            during: None,
            checks: Vec::new(),
            pid1: false,
            needs_root: false,
            needs: Vec::new(),
        }
    }

    // The files in the directory.

    /// The verb table, `[DIR]/preverb.toml`, to which `PREVERB_TABLE` points.
    pub(crate) fn table(self, text: impl AsRef<[u8]>) -> Self {
        self.file("preverb.toml", text, 0o644).env("PREVERB_TABLE", "[DIR]/preverb.toml")
    }

    /// A drop-in of the table, `[DIR]/preverb.d/NAME`.
    pub(crate) fn drop_in(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        self.file(format!("preverb.d/{name}"), text, 0o644)
    }

    /// A file of the hook directory `[DIR]/hooks`, executable.
    pub(crate) fn hook(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        self.file(format!("hooks/{name}"), text, 0o755)
    }

    /// A program on the `PATH`.
    pub(crate) fn program(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        self.file(format!("bin/{name}"), text, 0o755)
    }

    /// A file, with its parents. The test's directory is the working directory.
    pub(crate) fn file(mut self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>, mode: u32) -> Self {
        self.entries.push(Entry::File(path.as_ref().to_owned(), bytes.as_ref().to_vec(), mode));
        self
    }

    /// A directory, with its parents.
    pub(crate) fn directory(mut self, path: &str, mode: u32) -> Self {
        self.entries.push(Entry::Directory(path.into(), mode));
        self
    }

    /// A symbolic link; `target` may hold `[DIR]`.
    pub(crate) fn link(mut self, path: &str, target: impl AsRef<Path>) -> Self {
        self.entries.push(Entry::Link(path.into(), target.as_ref().to_owned()));
        self
    }

    // How preverb is started.

    /// Sets a variable. Without this there are `PATH` and, with a table, `PREVERB_TABLE`.
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.retain(|(known, _)| known != name.as_ref());
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Removes every variable set so far, `PATH` and `PREVERB_TABLE` too.
    pub(crate) fn env_clear(mut self) -> Self {
        self.environment.clear();
        self
    }

    /// The whole environment as it is in memory: duplicates, entries without `=`, any bytes.
    /// Nothing is added. Not with `under`, `pid1` or `terminal`.
    pub(crate) fn raw_environment<B: AsRef<[u8]>>(mut self, entries: impl IntoIterator<Item = B>) -> Self {
        self.raw_environment = Some(entries.into_iter().map(|entry| entry.as_ref().to_vec()).collect());
        self
    }

    /// The arguments after the program's name.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// `argv[0]`.
    pub(crate) fn argv0(mut self, word: impl AsRef<OsStr>) -> Self {
        self.argv0 = Argv0::Word(word.as_ref().to_owned());
        self
    }

    /// No arguments at all, not even `argv[0]`.
    pub(crate) fn argc_zero(mut self) -> Self {
        self.argv0 = Argv0::Missing;
        self
    }

    /// A command before the program, which must exec it at its end: `under(["nice", "-n", "5"])`.
    pub(crate) fn under<A: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = A>) -> Self {
        let from = self.under.len();
        self.under.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        // Not the options and scripts of earlier calls.
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let is_program =
            |word: &OsString| !word.as_bytes().starts_with(b"-") && word.as_bytes().iter().all(is_name);
        self.needs.extend(self.under.get(from).filter(|word| is_program(word)).cloned());
        self
    }

    /// A shell script that prepares something and ends in `exec "$@"`.
    pub(crate) fn under_shell(self, script: &str) -> Self {
        self.under(["sh", "-c", script, "sh"])
    }

    /// Runs in a mount namespace of its own, after this script, in which `$0` is the test's directory. Needs
    /// root.
    pub(crate) fn mounts(mut self, script: &str) -> Self {
        self.prepare += &format!("{script}\n");
        self.namespace(&["--mount"])
    }

    /// Replaces a file of the machine, such as `/etc/passwd`, by this text for this case. Needs root.
    pub(crate) fn lay_over(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let own = format!("over{path}");
        self.mounts(&format!("mount --bind \"$0/{own}\" {path}")).file(own, text, 0o644)
    }

    /// Runs as process 1 of a PID namespace, and not beside it as [`Test::pid1`] does. Needs root.
    pub(crate) fn in_pid_namespace(self) -> Self {
        self.namespace(&["--pid", "--fork", "--kill-child", "--mount-proc"])
    }

    /// Runs in a user namespace that has root and no other user, and denies setgroups(2). Needs root.
    pub(crate) fn in_user_namespace(self) -> Self {
        self.namespace(&["--user", "--map-root-user"])
    }

    fn namespace(mut self, options: &[&'static str]) -> Self {
        self.namespaces.extend(options);
        self.needs_root()
    }

    /// Runs as this user and group, which need no entry in `/etc/passwd`. Needs root.
    pub(crate) fn started_by(self, uid: u32, gid: u32) -> Self {
        let ids = [format!("--reuid={uid}"), format!("--regid={gid}")];
        self.under(["setpriv", &ids[0], &ids[1], "--clear-groups", "--"]).needs_root()
    }

    /// Standard input; empty without this.
    pub(crate) fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.stdin = bytes.as_ref().to_vec();
        self
    }

    /// Runs in a session of its own on a fresh terminal, which is all three standard streams; what
    /// appears on it (with plain newlines) is the standard output of the expectations.
    pub(crate) fn terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// Runs the same case a second time, as process 1 of a new namespace.
    pub(crate) fn pid1(mut self) -> Self {
        self.pid1 = true;
        self
    }

    /// Whether this machine can run it as process 1, too.
    pub(crate) fn is_twofold(&self) -> bool {
        self.pid1 && as_pid1().is_some()
    }

    /// Skips the case where this program is not on the machine. Programs in `under` are needed anyway.
    pub(crate) fn needs(mut self, program: &str) -> Self {
        self.needs.push(program.into());
        self
    }

    /// Skips the case unless root runs it.
    pub(crate) fn needs_root(mut self) -> Self {
        self.needs_root = true;
        self
    }

    /// The actions of the test while the program runs: wait for something, send a signal, look into `/proc`.
    pub(crate) fn during(mut self, action: impl Fn(&mut Running) + 'static) -> Self {
        self.during = Some(Box::new(action));
        self
    }

    // The expected results.

    /// The exit code; 128 + n where signal n killed the target.
    pub(crate) fn status(mut self, status: i32) -> Self {
        self.status = Some(status);
        self
    }

    /// The exit code may be anything; a `check` looks at it.
    pub(crate) fn any_status(mut self) -> Self {
        self.status = None;
        self
    }

    /// The whole of standard output, a pattern.
    pub(crate) fn stdout(mut self, whole: impl AsRef<[u8]>) -> Self {
        self.stdout = Expected::Whole(whole.as_ref().to_vec());
        self
    }

    /// The whole of standard error, a pattern.
    pub(crate) fn stderr(mut self, whole: impl AsRef<[u8]>) -> Self {
        self.stderr = Expected::Whole(whole.as_ref().to_vec());
        self
    }

    /// The whole of standard output is in this file of `tests/golden`, as a pattern. `PREVERB_UPDATE=1`
    /// writes the file where it differs; what it changed is for a person to read.
    pub(crate) fn stdout_golden(mut self, name: &'static str) -> Self {
        self.stdout = Expected::Golden(name);
        self
    }

    /// The same for standard error.
    pub(crate) fn stderr_golden(mut self, name: &'static str) -> Self {
        self.stderr = Expected::Golden(name);
        self
    }

    /// A pattern that is somewhere in standard output. Second best: prefer [`Test::stdout`].
    pub(crate) fn stdout_contains(mut self, part: impl AsRef<[u8]>) -> Self {
        self.stdout.part(part.as_ref());
        self
    }

    /// A pattern that is somewhere in standard error. Second best: prefer [`Test::stderr`].
    pub(crate) fn stderr_contains(mut self, part: impl AsRef<[u8]>) -> Self {
        self.stderr.part(part.as_ref());
        self
    }

    /// Bytes that are nowhere in standard output.
    pub(crate) fn stdout_lacks(mut self, part: impl AsRef<[u8]>) -> Self {
        self.stdout.lack(part.as_ref());
        self
    }

    /// Bytes that are nowhere in standard error.
    pub(crate) fn stderr_lacks(mut self, part: impl AsRef<[u8]>) -> Self {
        self.stderr.lack(part.as_ref());
        self
    }

    /// Standard output may be anything; a `check` looks at it.
    pub(crate) fn any_stdout(mut self) -> Self {
        self.stdout = Expected::Parts { holds: Vec::new(), lacks: Vec::new() };
        self
    }

    /// Standard error may be anything; a `check` looks at it.
    pub(crate) fn any_stderr(mut self) -> Self {
        self.stderr = Expected::Parts { holds: Vec::new(), lacks: Vec::new() };
        self
    }

    /// A further check of the results, after all others.
    pub(crate) fn check(mut self, check: impl Fn(&Output) + 'static) -> Self {
        self.checks.push(Box::new(check));
        self
    }

    /// Runs the case, and once more as process 1 if asked to.
    #[track_caller]
    pub(crate) fn run(self) {
        if self.is_skipped() {
            return;
        }
        self.run_once(&[]);
        if self.pid1 {
            match as_pid1() {
                Some(words) => self.run_once(words),
                None => skip("no process may have a PID namespace"),
            }
        }
    }

    /// Whether this machine lacks what the case needs, which is reported.
    #[track_caller]
    fn is_skipped(&self) -> bool {
        if self.needs_root && !nix::unistd::geteuid().is_root() {
            skip("it needs root");
            return true;
        }
        // `unshare` may be an argument, or part of a script.
        let unshares = self.under.iter().chain(&self.args).any(|word| contains(word.as_bytes(), b"unshare"));
        if (unshares || !self.namespaces.is_empty()) && self.needs_root && !namespaces() {
            skip("root may not make namespaces");
            return true;
        }
        let own = |program: &OsStr| {
            let file = Path::new("bin").join(program);
            self.entries.iter().any(|entry| match entry {
                Entry::File(path, ..) | Entry::Link(path, _) => *path == file,
                Entry::Directory(..) => false,
            })
        };
        self.needs
            .iter()
            .filter(|program| !program.as_bytes().starts_with(b"[DIR]") && !own(program))
            .any(|program| lacks(program.to_str().expect("a program of the machine has a plain name")))
    }

    #[track_caller]
    fn run_once(&self, pid1: &[&str]) {
        let output = self.execute(pid1);
        let wrong_status = self.status.filter(|status| *status != output.status);
        let complaints: Vec<String> = [
            wrong_status.map(|status| format!("the status is {}, and {status} was expected", output.status)),
            self.stdout.complaint("standard output", &output.stdout, output.dir.path()),
            self.stderr.complaint("standard error", &output.stderr, output.dir.path()),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !complaints.is_empty() {
            let mut all = complaints.join("\n");
            if wrong_status.is_some() {
                all = format!(
                    "{all}\n--- standard output\n{}\n--- standard error\n{}",
                    shown(&output.stdout),
                    shown(&output.stderr)
                );
            }
            let place = if pid1.is_empty() { "" } else { "as process 1: " };
            panic!("{place}{all}");
        }
        for check in &self.checks {
            check(&output);
        }
    }

    #[track_caller]
    fn execute(&self, pid1: &[&str]) -> Output {
        no_signal_is_ignored();
        let lock = lock();
        let dir = tempfile::tempdir().unwrap();
        self.furnish(dir.path());
        let stdin_path = dir.path().join(".stdin");
        let stdout_path = dir.path().join(".stdout");
        let stderr_path = dir.path().join(".stderr");
        fs::write(&stdin_path, &self.stdin).unwrap();
        fs::write(&stdout_path, "").unwrap();
        fs::write(&stderr_path, "").unwrap();
        // Files take any amount without a reader, and a daemon that keeps one open delays nothing.
        let append = |path: &Path| fs::OpenOptions::new().append(true).open(path).unwrap();
        let (stdin, stdout, stderr) =
            (fs::File::open(&stdin_path).unwrap(), append(&stdout_path), append(&stderr_path));

        let started = Instant::now();
        let streams = [&stdin, &stdout, &stderr];
        let (status, screen) = if self.raw_environment.is_some() || matches!(self.argv0, Argv0::Missing) {
            let bare = pid1.is_empty() && self.under.is_empty() && self.namespaces.is_empty();
            assert!(bare && !self.terminal, "such a start has nothing around it");
            let words = self.words(dir.path());
            let pid = raw::spawn(&words, &self.raw_entries(dir.path()), streams);
            drop(lock);
            (raw::wait(pid, started + DEADLINE), None)
        } else {
            let mut terminal = self.terminal.then(terminal::Terminal::new);
            let mut command = self.command(pid1, dir.path());
            let streams = terminal.as_ref().map_or_else(
                || streams.map(|file| Stdio::from(file.try_clone().unwrap())),
                terminal::Terminal::streams,
            );
            let [stdin, stdout, stderr] = streams;
            command.stdin(stdin).stdout(stdout).stderr(stderr);
            let child = command.spawn().unwrap();
            // The program's streams are open here as long as the command lives.
            drop(command);
            if let Some(terminal) = &mut terminal {
                terminal.started();
            }
            drop(lock);
            let below = !pid1.is_empty() || self.namespaces.contains(&"--fork");
            let mut running = Running::new(child, dir.path(), below, terminal);
            if let Some(during) = &self.during {
                during(&mut running);
            }
            running.finish(started + DEADLINE)
        };
        let took = started.elapsed();
        Output {
            status: code(status),
            stdout: screen.unwrap_or_else(|| fs::read(&stdout_path).unwrap()),
            stderr: fs::read(&stderr_path).unwrap(),
            dir,
            took,
        }
    }

    /// Everything about the process but its streams.
    fn command(&self, pid1: &[&str], dir: &Path) -> Command {
        let mut words: Vec<OsString> = pid1.iter().map(OsString::from).collect();
        if !self.namespaces.is_empty() {
            words.push("unshare".into());
            words.extend(self.namespaces.iter().map(OsString::from));
            let script = format!("set -e\n{}exec \"$@\"", self.prepare);
            words.extend(["sh".into(), "-c".into(), script.into(), dir.into()]);
        }
        words.extend(self.under.iter().map(|word| placed_os(word, dir)));
        let mut own = self.words(dir);
        let argv0 = own.remove(0);
        let direct = words.is_empty() && !self.terminal;
        if direct || argv0.as_bytes() == preverb().as_bytes() {
            words.push(preverb().into());
        } else {
            // Another program starts preverb and gives it its path as `argv[0]`: a link has the name.
            let name = Path::new(&argv0).file_name().expect("a name for the link");
            let path = dir.join("argv0").join(name);
            fs::create_dir_all(dir.join("argv0")).unwrap();
            symlink(preverb(), &path).unwrap();
            words.push(path.into());
        }
        words.extend(own);

        let mut command;
        if self.terminal {
            command = Command::new(found("setsid"));
            command.arg("--ctty").arg(found(&words[0]));
        } else {
            command = Command::new(found(&words[0]));
            command.process_group(0);
        }
        command.args(&words[1..]);
        if direct {
            command.arg0(argv0);
        }
        command.env_clear().current_dir(dir);
        for (name, value) in &self.environment {
            command.env(name, placed_os(value, dir));
        }
        command
    }

    /// The environment as it is in memory.
    fn raw_entries(&self, dir: &Path) -> Vec<Vec<u8>> {
        let plain = || {
            self.environment
                .iter()
                .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
                .collect()
        };
        self.raw_environment.clone().unwrap_or_else(plain).iter().map(|entry| placed(entry, dir)).collect()
    }

    /// The arguments of the process, `argv[0]` included.
    fn words(&self, dir: &Path) -> Vec<OsString> {
        let first = match &self.argv0 {
            Argv0::Binary => Some(OsString::from(preverb())),
            Argv0::Word(word) => Some(word.clone()),
            Argv0::Missing => None,
        };
        first.into_iter().chain(self.args.iter().map(|arg| placed_os(arg, dir))).collect()
    }

    /// Makes the files of the test.
    fn furnish(&self, dir: &Path) {
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        // Other users, to whom preverb steps down, must reach it.
        mode(dir, 0o755);
        for entry in &self.entries {
            let (Entry::File(path, ..) | Entry::Directory(path, _) | Entry::Link(path, _)) = entry;
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match entry {
                Entry::File(_, bytes, bits) => {
                    fs::write(&path, placed(bytes, dir)).unwrap();
                    mode(&path, *bits);
                }
                Entry::Directory(_, bits) => {
                    fs::create_dir_all(&path).unwrap();
                    mode(&path, *bits);
                }
                Entry::Link(_, target) => {
                    symlink(placed_os(target.as_os_str(), dir), &path).unwrap();
                }
            }
        }
    }
}

/// A string of any bytes, also ones that are not UTF-8.
pub(crate) fn bytes(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

/// A job that a shell started in the background ignores some signals, which children inherit, and
/// preverb would rightly ignore them, too. A handler ends with an exec.
fn no_signal_is_ignored() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
        let mask = u64::from_str_radix(mask, 16).unwrap();
        for signal in (1..32).filter(|signal| mask & (1 << (signal - 1)) != 0) {
            let _ = signal_hook::flag::register(signal, std::sync::Arc::default());
        }
    });
}

/// A lock that still works after a test has panicked.
fn lock() -> MutexGuard<'static, ()> {
    FILES_OR_CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether root may make the namespaces that tests use.
fn namespaces() -> bool {
    static WORK: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        let probe = Command::new("unshare").args(["-mpf", "--mount-proc", "true"]).output();
        probe.is_ok_and(|output| output.status.success())
    });
    *WORK
}

/// The command that starts a program as process 1 of a namespace, if this machine can do that.
fn as_pid1() -> Option<&'static [&'static str]> {
    const ROOT: &[&str] = &["unshare", "-pf", "--kill-child", "--mount-proc"];
    const USER: &[&str] = &["unshare", "-Urpf", "--kill-child", "--mount-proc"];
    static WORDS: std::sync::LazyLock<Option<&'static [&'static str]>> = std::sync::LazyLock::new(|| {
        let words = if nix::unistd::geteuid().is_root() { ROOT } else { USER };
        let works = Command::new(words[0])
            .args(&words[1..])
            .arg("true")
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        works.then_some(words)
    });
    *WORDS
}

/// A program's path, so that it is found whatever `PATH` the test sets.
fn found(name: impl AsRef<OsStr>) -> PathBuf {
    let name = Path::new(name.as_ref());
    if name.components().count() > 1 {
        return name.to_owned();
    }
    PATH.split(':')
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("there is no `{}` on this machine", name.display()))
}

/// Replaces `[DIR]` by the directory.
fn placed(bytes: &[u8], dir: &Path) -> Vec<u8> {
    const MARK: &[u8] = b"[DIR]";
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(MARK.len()).position(|part| part == MARK) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(dir.as_os_str().as_bytes());
        rest = &rest[at + MARK.len()..];
    }
    out.extend_from_slice(rest);
    out
}

fn placed_os(word: &OsStr, dir: &Path) -> OsString {
    OsString::from_vec(placed(word.as_bytes(), dir))
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    part.is_empty() || all.windows(part.len()).any(|window| window == part)
}

/// Bytes for a reader: lines and quotes stay, everything else that is not text is escaped.
fn shown(bytes: &[u8]) -> String {
    let escaped = |line: &[u8]| line.escape_ascii().to_string().replace("\\\"", "\"").replace("\\'", "'");
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| match line.strip_suffix(b"\n") {
            Some(line) => format!("{}\n", escaped(line)),
            None => format!("{}<no newline>", escaped(line)),
        })
        .collect()
}

fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .expect("an ended process has a code or a signal")
}
