//! The engine that runs the containers, and its command line.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::cache;
use super::command::{Output, run};
use super::container::Run;
use super::image::Image;
use crate::skip::skip;

/// Longer than any command of an engine takes, except builds.
const DEADLINE: Duration = Duration::from_mins(2);
/// A build downloads packages and compiles.
const BUILD_DEADLINE: Duration = Duration::from_mins(20);

/// A container engine that answers: docker, else podman.
#[derive(Debug)]
pub(crate) struct Engine {
    program: PathBuf,
}

/// The engine of this machine; without one, the test is skipped.
pub(crate) fn engine() -> Option<&'static Engine> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    match ENGINE.get_or_init(find) {
        Ok(engine) => Some(engine),
        Err(why) => {
            skip(&format!("no container engine answers: {why}"));
            None
        }
    }
}

/// Every `docker` and then every `podman` of the `PATH` is asked, because a client without `BuildKit`
/// may stand before one that has it. `CONTAINER_ENGINE` names the only one to ask.
fn find() -> Result<Engine, String> {
    let candidates = match std::env::var_os("CONTAINER_ENGINE") {
        Some(name) if !name.is_empty() => on_path(&name),
        _ => [on_path("docker"), on_path("podman")].concat(),
    };
    let mut reasons = Vec::new();
    for program in candidates {
        let engine = Engine { program };
        match engine.answers() {
            Ok(()) => return Ok(engine),
            Err(why) => reasons.push(format!("{}: {why}", engine.program.display())),
        }
    }
    if reasons.is_empty() {
        return Err("docker and podman are not installed, or not what `CONTAINER_ENGINE` names".to_owned());
    }
    Err(reasons.join("; "))
}

fn on_path(name: impl AsRef<OsStr>) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = std::env::split_paths(&path)
        .map(|directory| directory.join(name.as_ref()))
        .filter(|program| program.is_file())
        .collect();
    found.dedup();
    found
}

impl Engine {
    fn answers(&self) -> Result<(), String> {
        let answer = run(self.command().args(["version"]), b"", Duration::from_secs(30));
        if answer.status != 0 {
            return Err(answer.stderr.lines().last().unwrap_or("?").to_owned());
        }
        if self.is_podman() {
            return Ok(());
        }
        let build =
            run(self.command().args(["build", "--progress", "plain", "-"]), b"", Duration::from_secs(30));
        // An empty Dockerfile fails either way; the error shows which builder answered.
        if build.stderr.contains("buildx") || build.stderr.contains("only supported with BuildKit") {
            return Err("it has no BuildKit".to_owned());
        }
        Ok(())
    }

    /// Podman's command line differs from docker's in a few places.
    pub(crate) fn is_podman(&self) -> bool {
        self.program.ends_with("podman")
    }

    /// The engine's program.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// The engine's command, for everything that the harness has no method for.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("DOCKER_BUILDKIT", "1");
        if self.is_podman() {
            // Its monitor may leave a file in the current directory.
            command.current_dir(cache());
        }
        command
    }

    /// Runs a command of the engine to its end.
    #[track_caller]
    pub(crate) fn output<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        run(self.command().args(args), b"", DEADLINE)
    }

    /// Builds the directory `context`, with its `Dockerfile` or the one named in `options`
    /// (`["--file", …]`), as `tag`. The tag stays, so that the next run finds its layers.
    #[track_caller]
    pub(crate) fn build(&self, context: &Path, tag: &str, options: &[&str]) -> Image {
        let _building = super::building();
        let mut command = self.command();
        command.args(["build", "--tag", tag]).args(options);
        if self.is_podman() {
            // The other format has no HEALTHCHECK.
            command.args(["--format", "docker"]);
        }
        command.arg(context);
        run(&mut command, b"", BUILD_DEADLINE).succeeded();
        Image::kept(tag)
    }

    /// Prepares `run IMAGE`.
    pub(crate) fn run(&'static self, image: &Image) -> Run {
        Run::new(self, image)
    }

    /// `docker-compose`, or the `compose` of the engine, with this engine's builder.
    pub(crate) fn compose(&self) -> Option<Command> {
        let plugin = run(self.command().args(["compose", "version"]), b"", Duration::from_secs(30));
        let mut command = if plugin.status == 0 {
            let mut command = self.command();
            command.arg("compose");
            command
        } else {
            Command::new(on_path("docker-compose").first()?)
        };
        // The old one calls the `docker` of the PATH.
        let mut path = self.program.parent()?.as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        command.env("PATH", path).env("DOCKER_BUILDKIT", "1").env("COMPOSE_DOCKER_CLI_BUILD", "1");
        Some(command)
    }
}
