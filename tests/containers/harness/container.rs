//! Containers, networks and volumes: each has a unique name, and is removed on drop.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::command::{Output, run};
use super::engine::Engine;
use super::image::Image;
use super::scratch::Scratch;
use super::terminal::Terminal;
use super::{PATIENCE, becomes, unique};

/// Longer than any container of these tests runs.
const DEADLINE: Duration = Duration::from_mins(2);

/// A `run` in preparation.
#[derive(Debug)]
pub(crate) struct Run {
    engine: &'static Engine,
    name: String,
    flags: Vec<OsString>,
    image: String,
    args: Vec<OsString>,
    input: Vec<u8>,
    scratch: Scratch,
}

impl Run {
    pub(crate) fn new(engine: &'static Engine, image: &Image) -> Self {
        Self {
            engine,
            name: unique("container"),
            flags: Vec::new(),
            image: image.tag().to_owned(),
            args: Vec::new(),
            input: Vec::new(),
            scratch: Scratch::new(),
        }
    }

    /// Adds a flag of `run`, such as `--read-only` or `--user=1000`.
    pub(crate) fn flag(mut self, flag: impl AsRef<OsStr>) -> Self {
        self.flags.push(flag.as_ref().to_owned());
        self
    }

    /// Sets a variable.
    pub(crate) fn env(self, name: &str, value: &str) -> Self {
        self.flag(format!("--env={name}={value}"))
    }

    /// Mounts a table at `/etc/preverb/preverb.toml`.
    pub(crate) fn table(self, text: &str) -> Self {
        self.mount("/etc/preverb/preverb.toml", text)
    }

    /// Mounts a file with this content, readable and executable for all, not writable.
    pub(crate) fn mount(self, path: &str, content: &str) -> Self {
        let name = format!("mounts{path}");
        let file = self.scratch.program(&name, content);
        self.bind(&file, path)
    }

    /// Mounts a file or directory of the host, not writable.
    pub(crate) fn bind(self, from: &Path, to: &str) -> Self {
        self.flag(format!("--volume={}:{to}:ro", from.display()))
    }

    /// Mounts a volume.
    pub(crate) fn volume(self, volume: &Volume, to: &str) -> Self {
        self.flag(format!("--volume={}:{to}", volume.name))
    }

    /// Joins a network, under its own name or the given alias.
    pub(crate) fn network(self, network: &Network, alias: &str) -> Self {
        self.flag(format!("--network={}", network.name)).flag(format!("--network-alias={alias}"))
    }

    /// The arguments after the image.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Gives standard input, and `--interactive`.
    pub(crate) fn input(mut self, input: impl AsRef<[u8]>) -> Self {
        self.input = input.as_ref().to_vec();
        self.flag("--interactive")
    }

    /// The whole command line of `run`, for tests that run it under a terminal.
    pub(crate) fn command(&self, mode: &[&str]) -> Command {
        let mut command = self.engine.command();
        command.arg("run").args(mode);
        command.arg("--name").arg(&self.name).args(&self.flags);
        command.arg(&self.image).args(&self.args);
        command
    }

    /// Runs in the foreground to the end.
    #[track_caller]
    pub(crate) fn output(self) -> Output {
        let remove = Remove(self.engine, &self.name);
        let output = run(&mut self.command(&["--rm"]), &self.input, DEADLINE);
        // `--rm` has done it already, unless the test is failing.
        std::mem::forget(remove);
        output
    }

    /// Runs in the foreground of a terminal of its own.
    #[track_caller]
    pub(crate) fn terminal(self) -> (Terminal, Container) {
        let terminal = Terminal::new(&self.command(&["--interactive", "--tty"]));
        let container = Container { engine: self.engine, name: self.name, _scratch: self.scratch };
        (terminal, container)
    }

    /// Runs detached. A container that could not be started fails the test.
    #[track_caller]
    pub(crate) fn start(self) -> Container {
        let mut command = self.command(&["--detach"]);
        // Before the start: an engine keeps the container that it could not start.
        let container = Container { engine: self.engine, name: self.name, _scratch: self.scratch };
        run(&mut command, b"", DEADLINE).succeeded();
        container
    }
}

struct Remove<'a>(&'static Engine, &'a str);

impl Drop for Remove<'_> {
    fn drop(&mut self) {
        self.0.output(["rm", "--force", "--volumes", self.1]);
    }
}

/// A container that was started detached.
#[derive(Debug)]
pub(crate) struct Container {
    engine: &'static Engine,
    name: String,
    // Mounted directories live as long as the container.
    _scratch: Scratch,
}

/// How a container ended after `stop`.
#[derive(Debug)]
pub(crate) struct Stopped {
    /// The container's exit code.
    pub(crate) status: i32,
    /// How long `stop` took, the engine's own work included.
    pub(crate) took: Duration,
}

impl Container {
    /// A container that something else started; dropping it removes it all the same.
    pub(crate) fn named(engine: &'static Engine, name: &str) -> Self {
        Self { engine, name: name.to_owned(), _scratch: Scratch::new() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Standard output and standard error so far.
    pub(crate) fn logs(&self) -> Output {
        self.engine.output(["logs", &self.name])
    }

    /// Runs a command in the container.
    #[track_caller]
    pub(crate) fn exec<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.exec_as(&[], args)
    }

    /// Runs a command in the container, with flags of `exec`.
    #[track_caller]
    pub(crate) fn exec_as<S: AsRef<OsStr>>(
        &self, flags: &[&str], args: impl IntoIterator<Item = S>,
    ) -> Output {
        let mut command = self.engine.command();
        command.arg("exec").args(flags).arg(&self.name).args(args);
        run(&mut command, b"", DEADLINE)
    }

    /// The processes that the host sees in the container: their arguments, oldest first.
    #[track_caller]
    pub(crate) fn top(&self) -> Vec<String> {
        let podman = ["top", &self.name, "args"];
        let docker = ["top", &self.name, "-o", "pid,args"];
        let output =
            if self.engine.is_podman() { self.engine.output(podman) } else { self.engine.output(docker) };
        let word = usize::from(!self.engine.is_podman());
        output
            .stdout
            .lines()
            .skip(1)
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().skip(word).collect();
                words.join(" ")
            })
            .collect()
    }

    /// One value of `inspect`, by a Go template such as `{{.State.Health.Status}}`.
    #[track_caller]
    pub(crate) fn inspect(&self, template: &str) -> String {
        let output = self.engine.output(["inspect", "--format", template, &self.name]);
        output.succeeded().stdout.trim().to_owned()
    }

    /// The state of the HEALTHCHECK: `starting`, `healthy` or `unhealthy`.
    #[track_caller]
    pub(crate) fn health(&self) -> String {
        if !self.engine.is_podman() {
            return self.inspect("{{.State.Health.Status}}");
        }
        // Podman leaves the timer to systemd, which need not be there.
        let checked = self.engine.output(["healthcheck", "run", &self.name]);
        if checked.status == 0 { "healthy".to_owned() } else { "unhealthy".to_owned() }
    }

    /// Waits for the end and gives the exit code.
    #[track_caller]
    pub(crate) fn wait(&self) -> i32 {
        let output = self.engine.output(["wait", &self.name]).succeeded();
        output.stdout.trim().parse().unwrap()
    }

    /// Sends a signal, by name.
    #[track_caller]
    pub(crate) fn kill(&self, signal: &str) {
        self.engine.output(["kill", "--signal", signal, &self.name]).succeeded();
    }

    /// `stop`, with the engine's usual ten seconds before it kills.
    #[track_caller]
    pub(crate) fn stop(&self) -> Stopped {
        let took = self.engine.output(["stop", &self.name]).succeeded().took;
        let status = self.inspect("{{.State.ExitCode}}").parse().unwrap();
        Stopped { status, took }
    }

    /// Starts the container again after it ended.
    #[track_caller]
    pub(crate) fn restart(&self) {
        self.engine.output(["start", &self.name]).succeeded();
    }

    /// Polls until `check` holds; past the deadline the test fails with `what` and the logs.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut check: impl FnMut(&Self) -> bool) {
        let came_true = becomes(PATIENCE, || check(self).then_some(()));
        if came_true.is_none() {
            let state = self.inspect("{{json .State}}");
            let logs = self.logs();
            panic!("never: {what}; {state}\n--- stdout\n{}\n--- stderr\n{}", logs.stdout, logs.stderr);
        }
    }

    /// Polls until the logs hold `text`.
    #[track_caller]
    pub(crate) fn until_logged(&self, text: &str) {
        self.until(&format!("`{text}` in the logs"), |it| {
            let logs = it.logs();
            logs.stdout.contains(text) || logs.stderr.contains(text)
        });
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        drop(Remove(self.engine, &self.name));
    }
}

/// A private network of one test.
#[derive(Debug)]
pub(crate) struct Network {
    engine: &'static Engine,
    name: String,
}

impl Network {
    pub(crate) fn new(engine: &'static Engine) -> Self {
        let name = unique("network");
        engine.output(["network", "create", &name]).succeeded();
        Self { engine, name }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.engine.output(["network", "rm", &self.name]);
    }
}

/// A private volume of one test.
#[derive(Debug)]
pub(crate) struct Volume {
    engine: &'static Engine,
    name: String,
}

impl Volume {
    pub(crate) fn new(engine: &'static Engine) -> Self {
        let name = unique("volume");
        engine.output(["volume", "create", &name]).succeeded();
        Self { engine, name }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        self.engine.output(["volume", "rm", "--force", &self.name]);
    }
}
