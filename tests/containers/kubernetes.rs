//! `examples/kubernetes`: manifests that the API's schemas accept and that podman runs.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::examples::{example, get, python};
use crate::harness::{Engine, Image, Output, cache, engine, repository, run, unique, until};
use crate::skip::lacks;

const DEADLINE: Duration = Duration::from_mins(3);
const NAMES: [&str; 2] = ["preverb-example-django", "preverb-example-postgres"];

fn manifests() -> PathBuf {
    repository().join("examples/kubernetes")
}

#[test]
fn the_manifests_match_the_schemas_of_the_api() {
    // This needs no engine, but without an engine the registry is not expected either.
    if engine().is_none() {
        return;
    }
    let mut files: Vec<PathBuf> =
        manifests().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension() == Some(OsStr::new("yaml")));
    assert!(files.len() >= 6, "{files:?}");
    let mut validate = Command::new(python("kubernetes-validate"));
    let validated = run(validate.arg("--strict").args(&files), b"", DEADLINE).succeeded();
    let passed = validated.stdout + &validated.stderr;
    for kind in ["deployment/server", "deployment/worker", "job/migrate", "cronjob/clear-sessions"] {
        assert!(passed.contains(&format!("passed for resource {kind}")), "{passed}");
    }
}

/// Podman with a storage of its own, so that no other pod, volume or secret is touched.
struct Podman {
    storage: PathBuf,
    network: String,
    // Whether this machine lets podman raise limits.
    limits: bool,
}

impl Podman {
    /// `None`, and the test is skipped, where podman is not installed.
    fn new(engine: &'static Engine) -> Option<Self> {
        if lacks("podman") {
            return None;
        }
        let storage = cache().join("podman");
        let mut podman = Self { storage, network: unique("pods"), limits: true };
        podman.clean();
        for name in ["django", "postgres"] {
            podman.load(engine, &example(engine, name));
        }
        let probe = ["run", "--rm", "--network", "none", NAMES[0], "--version"];
        // runc says `setting rlimits`, crun `setrlimit`.
        if podman.output(probe).stderr.contains("rlimit") {
            podman.limits = false;
            podman.output(probe).succeeded();
        }
        podman.output(["network", "create", &podman.network]).succeeded();
        Some(podman)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("podman");
        command.env("DISABLE_HC_SYSTEMD", "true");
        command.arg("--root").arg(self.storage.join("root"));
        command.arg("--runroot").arg(self.storage.join("run"));
        if !self.limits {
            let runtime = repository().join("tests/containers/kubernetes/without-limits");
            command.arg("--runtime").arg(runtime);
        }
        command
    }

    #[track_caller]
    fn output<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Output {
        run(self.command().args(words), b"", DEADLINE)
    }

    /// Copies an image through a file: neither engine lets the other read its storage.
    #[track_caller]
    fn load(&self, engine: &Engine, image: &Image) {
        std::fs::create_dir_all(&self.storage).unwrap();
        let file = self.storage.join("image.tar");
        let path = file.to_str().expect("a target directory in UTF-8");
        engine.output(["save", "--output", path, image.tag()]).succeeded();
        self.output(["load", "--quiet", "--input", path]).succeeded();
        std::fs::remove_file(file).unwrap();
    }

    /// Starts a workload of the manifests; the engine's answer shows whether it started.
    #[track_caller]
    fn play(&self, workload: &str) -> Output {
        let mut transform = Command::new(python("python"));
        transform.arg(repository().join("tests/containers/kubernetes/for-podman"));
        let manifest = run(transform.arg(manifests()).arg(workload), b"", DEADLINE).succeeded();
        let mut play = self.command();
        play.args(["play", "kube", "--network", &self.network, "-"]);
        run(&mut play, manifest.stdout.as_bytes(), DEADLINE)
    }

    #[track_caller]
    fn exec(&self, container: &str, words: &[&str]) -> Output {
        self.output([&["exec", container], words].concat())
    }

    #[track_caller]
    fn inspect(&self, container: &str, template: &str) -> String {
        let output = self.output(["inspect", "--format", template, container]).succeeded();
        output.stdout.trim().to_owned()
    }

    fn logs(&self, container: &str) -> String {
        let logs = self.output(["logs", container]);
        logs.stdout + &logs.stderr
    }

    /// Waits until the startup probe of the manifest succeeds.
    #[track_caller]
    fn until_healthy(&self, container: &str) {
        let start = Instant::now();
        loop {
            let probe = self.exec(container, &["preverb", "--health"]);
            if probe.status == 0 {
                return;
            }
            let patient = start.elapsed() < Duration::from_mins(1);
            assert!(patient, "{container}: {probe:?}\n{}", self.logs(container));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn clean(&self) {
        if self.storage.join("root").exists() {
            self.output(["pod", "rm", "--all", "--force"]);
            self.output(["rm", "--all", "--force"]);
            self.output(["volume", "prune", "--force"]);
            self.output(["secret", "rm", "--all"]);
        }
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.clean();
        self.output(["network", "rm", "--force", &self.network]);
    }
}

#[test]
fn the_manifests_run_under_podman() {
    let Some(engine) = engine() else { return };
    let Some(podman) = Podman::new(engine) else { return };

    podman.play("db").succeeded();
    podman.until_healthy("db-postgres");

    // Until the Job has finished, the init container keeps the server from starting.
    let early = podman.play("server");
    assert_ne!(early.status, 0, "{early:?}");
    assert_eq!(podman.inspect("server-schema", "{{.State.ExitCode}}"), "1", "{early:?}");
    podman.output(["pod", "rm", "--force", "server"]);

    podman.play("migrate").succeeded();
    assert_eq!(podman.output(["wait", "migrate-migrate"]).succeeded().stdout.trim(), "0");
    let logs = podman.logs("migrate-migrate");
    assert!(logs.contains("Applying notes.0001_initial... OK"), "{logs}");
    assert!(logs.contains("10-allowed-hosts.sh"), "the hooks of the ConfigMap ran: {logs}");

    podman.play("server").succeeded();
    podman.play("worker").succeeded();
    let (server, worker) = ("server-server", "worker-worker");
    podman.until_healthy(server);
    podman.until_healthy(worker);

    // No process is root, nothing can be written, no capability is left, and the application works.
    let status = podman.exec(server, &["cat", "/proc/1/status"]).succeeded().stdout;
    assert!(status.contains("\nUid:\t10001\t10001\t10001\t10001\n"), "{status}");
    assert!(status.contains("\nCapBnd:\t0000000000000000\n"), "{status}");
    assert!(status.contains("\nNoNewPrivs:\t1\n"), "{status}");
    podman.exec(server, &["touch", "/app/x"]).exited(1);

    // Exports of the hooks of this environment have reached the server.
    let address = podman.exec(server, &["hostname", "-i"]).succeeded().stdout;
    let address = address.trim();
    let hosts = podman.exec(server, &["preverb", "--exec", "--", "printenv", "ALLOWED_HOSTS", "REVISION"]);
    let expected = format!("notes.staging.example.com,{address}\nstaging on x86_64\n");
    assert_eq!(hosts.succeeded().stdout, expected.replace("x86_64", std::env::consts::ARCH));
    let server_address = format!("{address}:8000");
    let page = until("the server answers", || get(&server_address, address, "/"));
    assert_eq!(page.body, r#"{"environment": "staging", "notes": []}"#);

    // The CronJob's template, once.
    podman.play("clear-sessions").succeeded();
    assert_eq!(podman.output(["wait", "clear-sessions-clear-sessions"]).succeeded().stdout.trim(), "0");

    for container in [server, worker, "migrate-migrate", "db-postgres"] {
        let logs = podman.logs(container);
        assert!(!logs.contains("change-me"), "a secret is shown: {logs}");
    }
    let stopped = podman.output(["stop", "--time", "20", server, worker]).succeeded();
    assert!(stopped.took < Duration::from_secs(10), "{:?}", stopped.took);
    for container in [server, worker] {
        assert_eq!(podman.inspect(container, "{{.State.ExitCode}}"), "0", "{}", podman.logs(container));
    }
}
