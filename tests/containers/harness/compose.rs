//! A compose project with a unique name, taken down on drop.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::command::{Output, run};
use super::container::Container;
use super::engine::Engine;
use super::{building, unique};

/// `up --build` compiles.
const DEADLINE: Duration = Duration::from_mins(20);

/// The services of a compose file, or of several that are merged.
#[derive(Debug)]
pub(crate) struct Compose {
    engine: &'static Engine,
    project: String,
    files: Vec<PathBuf>,
    variables: Vec<(String, String)>,
}

impl Compose {
    /// Prepares a project; relative paths in its files count from the first file's directory.
    pub(crate) fn new(engine: &'static Engine, files: &[&Path]) -> Self {
        Self {
            engine,
            project: unique("project"),
            files: files.iter().map(|file| file.to_path_buf()).collect(),
            variables: Vec::new(),
        }
    }

    /// Sets a variable of the caller, for `${...}` in the files and for what they pass on.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Any command: `["up", "--build", "--detach"]`, `["run", "--rm", "migrate"]`.
    #[track_caller]
    pub(crate) fn output(&self, args: &[&str]) -> Output {
        let mut command = self.engine.compose().expect("docker-compose or `docker compose` is installed");
        command.args(["--project-name", &self.project]);
        for file in &self.files {
            command.arg("--file").arg(file);
        }
        command.args(args);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let _building = args.contains(&"--build").then(building);
        run(&mut command, b"", DEADLINE)
    }

    /// The one container of a service, running or not. It is removed with the project or earlier.
    #[track_caller]
    pub(crate) fn container(&self, service: &str) -> Container {
        let found = self.ids(service, &["--all"]);
        assert_eq!(found.lines().count(), 1, "{service}: {found}");
        Container::named(self.engine, found.trim())
    }

    /// Whether a container of the service runs.
    #[track_caller]
    pub(crate) fn is_running(&self, service: &str) -> bool {
        !self.ids(service, &[]).is_empty()
    }

    /// From the engine, by labels: what `compose ps` shows depends on its version.
    fn ids(&self, service: &str, flags: &[&str]) -> String {
        let mut command = self.engine.command();
        command.args(["ps", "--quiet"]).args(flags);
        command.arg(format!("--filter=label=com.docker.compose.project={}", self.project));
        command.arg(format!("--filter=label=com.docker.compose.service={service}"));
        run(&mut command, b"", DEADLINE).succeeded().stdout
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        self.output(&["down", "--volumes", "--timeout", "5"]);
    }
}
