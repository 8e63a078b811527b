//! Real servers on this machine's loopback: each has a directory of its own, a port of its own, and an application's
//! user with a password. Knows how each is made, started, brought into a state and logged in to; knows nothing of
//! preverb. The bench of readiness stands on it too.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, User};

/// The application's user and its password, which must be in no message.
pub(crate) const USER: &str = "app";
pub(crate) const PASSWORD: &str = "hunter2-readiness";

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Mariadb,
    Redis,
    Rabbitmq,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mariadb => "mariadbd",
            Self::Redis => "redis-server",
            Self::Rabbitmq => "rabbitmq-server",
        }
    }

    /// Where the programs of this server lie, if it is installed. They are not always on the PATH, or are wrapped
    /// there.
    fn directory(self) -> Option<PathBuf> {
        let mut places: Vec<PathBuf> = ["/usr/sbin", "/usr/bin", "/usr/local/bin"].map(PathBuf::from).into();
        match self {
            Self::Postgres => {
                let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
                places.splice(..0, versions.map(|version| version.path().join("bin")));
            }
            Self::Rabbitmq => places = vec!["/usr/lib/rabbitmq/bin".into()],
            Self::Mariadb | Self::Redis => {}
        }
        places.into_iter().find(|place| place.join(self.program()).exists())
    }
}

/// A server that may run or not.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) port: u16,
    /// The port of its clients, if it is not its own.
    pub(crate) front: Option<u16>,
    pub(crate) host: String,
    dir: tempfile::TempDir,
    programs: PathBuf,
    /// A command before the program, which runs it in another namespace.
    under: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// Makes its directory, with nothing in it running yet; nothing where it is not installed.
    pub(crate) fn make(kind: Kind) -> Option<Self> {
        Self::make_at(kind, "127.0.0.1", &[])
    }

    /// The same for an address in another network namespace, which this command enters.
    pub(crate) fn make_at(kind: Kind, host: &str, under: &[&str]) -> Option<Self> {
        let programs = kind.directory()?;
        // Outside of what this user's home may hide from others.
        let dir = tempfile::Builder::new().prefix("servers-").tempdir_in("/tmp").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let under = under.iter().map(ToString::to_string).collect();
        let server =
            Self { kind, port, front: None, host: host.to_owned(), dir, programs, under, child: None };
        server.furnish();
        Some(server)
    }

    /// The port of its clients.
    pub(crate) fn front(&self) -> u16 {
        self.front.unwrap_or(self.port)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The URL of its application.
    pub(crate) fn url(&self) -> String {
        let scheme = match self.kind {
            Kind::Postgres => "postgresql+psycopg2",
            Kind::Mariadb => "mysql+pymysql",
            Kind::Redis => "redis",
            Kind::Rabbitmq => "amqp",
        };
        let user = if self.kind == Kind::Redis { "" } else { USER };
        let path = if self.kind == Kind::Postgres { "/postgres" } else { "" };
        format!("{scheme}://{user}:{PASSWORD}@{}:{}{path}", self.host, self.front())
    }

    /// A program of this server's, in its directory, and as the user who may run it.
    pub(crate) fn program(&self, name: &str) -> Command {
        let path = [self.programs.join(name), Path::new("/usr/bin").join(name)];
        let path = path.iter().find(|path| path.exists()).unwrap();
        let mut command = match self.under.split_first() {
            None => Command::new(path),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(path);
                command
            }
        };
        command.current_dir(self.dir()).stdin(Stdio::null()).stdout(self.log()).stderr(self.log());
        // It refuses to run as root.
        if let (Kind::Postgres, Some(user)) = (self.kind, self.owner()) {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    fn owner(&self) -> Option<User> {
        let name = if self.kind == Kind::Postgres { "postgres" } else { "root" };
        let is_root = nix::unistd::geteuid().is_root();
        is_root.then(|| User::from_name(name).unwrap()).flatten()
    }

    fn log(&self) -> Stdio {
        fs::OpenOptions::new().create(true).append(true).open(self.dir().join("log")).unwrap().into()
    }

    /// Its log.
    pub(crate) fn logged(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir().join("log")).unwrap_or_default()).into_owned()
    }

    #[track_caller]
    fn succeed(&self, command: &mut Command) {
        let status = command.status().unwrap();
        assert!(status.success(), "{command:?}: {status}\n{}", self.logged());
    }

    fn furnish(&self) {
        if let Some(user) = self.owner() {
            chown(self.dir(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
        match self.kind {
            Kind::Postgres => {
                fs::write(self.dir().join("password"), PASSWORD).unwrap();
                let words =
                    ["-D", "data", "-U", USER, "-A", "scram-sha-256", "--no-sync", "--pwfile", "password"];
                self.succeed(self.program("initdb").args(words));
            }
            Kind::Mariadb => {
                let words = [
                    "--no-defaults",
                    "--user=root",
                    &format!("--datadir={}/data", self.dir().display()),
                    "--skip-test-db",
                ];
                let more = ["--auth-root-authentication-method=normal", "--force"];
                // Others may make a server in /tmp at the same time.
                let mut install = self.program("mariadb-install-db");
                install.env("TMPDIR", self.dir());
                self.succeed(install.args(words).args(more));
                // A line for each.
                let sql = format!(
                    "create user if not exists {USER}@'%' identified by '{PASSWORD}';\n\
                     create database if not exists app;\n\
                     grant all on app.* to {USER}@'%';\n"
                );
                fs::write(self.dir().join("init.sql"), sql).unwrap();
            }
            Kind::Redis | Kind::Rabbitmq => {}
        }
    }

    /// Starts it, with these further arguments, and does not wait for it.
    pub(crate) fn start(&mut self, more: &[&str]) {
        let (port, dir) = (self.port.to_string(), self.dir().display().to_string());
        let mut command = self.program(self.kind.program());
        match self.kind {
            Kind::Postgres => {
                let listen = format!("listen_addresses={}", self.host);
                let sockets = format!("unix_socket_directories={dir}");
                command.args(["-D", "data", "-p", &port, "-c", &listen, "-c", &sockets, "-c", "fsync=off"]);
            }
            Kind::Mariadb => {
                command.args(["--no-defaults", "--user=root"]).arg(format!("--port={port}"));
                for (option, name) in [("datadir", "data"), ("socket", "socket"), ("pid-file", "pid")] {
                    command.arg(format!("--{option}={dir}/{name}"));
                }
                command
                    .args([format!("--bind-address={}", self.host), format!("--init-file={dir}/init.sql")]);
            }
            Kind::Redis => {
                command.args([
                    "--port",
                    &port,
                    "--bind",
                    &self.host,
                    "--save",
                    "",
                    "--requirepass",
                    PASSWORD,
                ]);
                command.args(["--enable-debug-command", "yes", "--dir", &dir]);
            }
            Kind::Rabbitmq => {
                // Two more ports, next to its own, which are unlikely to be taken.
                command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &dir);
                command.env("ERL_EPMD_PORT", (self.port ^ 1).to_string());
                command.env("RABBITMQ_DIST_PORT", (self.port ^ 2).to_string());
                command.env("RABBITMQ_NODENAME", format!("readiness{port}@localhost"));
                command.env("RABBITMQ_NODE_PORT", &port).env("RABBITMQ_NODE_IP_ADDRESS", &self.host);
                command.env("RABBITMQ_MNESIA_BASE", &dir).env("RABBITMQ_LOG_BASE", &dir);
                command.env("RABBITMQ_ENABLED_PLUGINS_FILE", format!("{dir}/plugins"));
                command.env("RABBITMQ_CONFIG_FILE", format!("{dir}/none")).env("RABBITMQ_LOGS", "-");
            }
        }
        command.args(more).process_group(0);
        self.child = Some(command.spawn().unwrap());
    }

    /// Starts it and waits until its application can log in.
    #[track_caller]
    pub(crate) fn start_whole(&mut self, more: &[&str]) {
        self.start(more);
        let deadline = Instant::now() + PATIENCE;
        while !self.takes_login() {
            assert!(Instant::now() < deadline, "{:?} takes no login\n{}", self.kind, self.logged());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends it a signal; its leader alone, as an engine does.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap();
        nix::sys::signal::kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let mut status = None;
        until("its end", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Ends it as a power failure does, with all of its processes.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let leader = Pid::from_raw(i32::try_from(child.id()).unwrap());
            // PostgreSQL's processes lead sessions of their own, and its next start refuses to share its memory with
            // one.
            let others = children(leader);
            let _ = killpg(leader, Signal::SIGKILL);
            for other in &others {
                let _ = nix::sys::signal::kill(*other, Signal::SIGKILL);
            }
            let _ = child.wait();
            let gone = |other: &Pid| nix::sys::signal::kill(*other, None).is_err();
            let deadline = Instant::now() + PATIENCE;
            while !others.iter().all(gone) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let _ = fs::remove_file(self.dir().join("data/postmaster.pid"));
    }

    /// A client of its application that does this; nothing is what its standard input says.
    pub(crate) fn client(&self, statement: &str) -> Command {
        let port = self.front().to_string();
        let mut command = match self.kind {
            Kind::Postgres => {
                let mut command = self.program("psql");
                command.args(["-XqAt", "-h", &self.host, "-p", &port, "-U", USER, "-d", "postgres"]);
                if !statement.is_empty() {
                    command.args(["-c", statement]);
                }
                command.env("PGPASSWORD", PASSWORD);
                command
            }
            Kind::Mariadb => {
                let mut command = self.program("mariadb");
                command.args(["--no-defaults", "-h", &self.host, "-P", &port, "-u", USER, "-nN"]);
                if !statement.is_empty() {
                    command.args(["-e", statement]);
                }
                command.env("MYSQL_PWD", PASSWORD);
                command
            }
            Kind::Redis => {
                let mut command = self.program("redis-cli");
                command.args(["-h", &self.host, "-p", &port, "-e"]);
                if !statement.is_empty() {
                    command.args(statement.split(' '));
                }
                command.env("REDISCLI_AUTH", PASSWORD);
                command
            }
            Kind::Rabbitmq => panic!("rabbitmq has no client of an application's"),
        };
        command.stderr(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Whether an application can log in and work now.
    pub(crate) fn takes_login(&self) -> bool {
        match self.kind {
            Kind::Postgres | Kind::Mariadb | Kind::Redis => {
                self.login().status().is_ok_and(|status| status.success())
            }
            // Its log says when it is done; no client of its protocol is installed.
            Kind::Rabbitmq => self.logged().contains("Server startup complete"),
        }
    }

    /// A client that logs in and works.
    pub(crate) fn login(&self) -> Command {
        self.client(if self.kind == Kind::Redis { "GET readiness" } else { "select 1" })
    }

    /// A client that has logged in and then does nothing, until its standard input is closed.
    #[track_caller]
    pub(crate) fn idle(&self) -> Child {
        let mut command = self.client("");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let request: &[u8] = if self.kind == Kind::Redis { b"PING\n" } else { b"select 1;\n" };
        child.stdin.as_mut().unwrap().write_all(request).unwrap();
        let mut answer = [0; 1];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut answer)
            .unwrap_or_else(|_| panic!("{}", self.logged()));
        child
    }

    /// Does this as the application.
    #[track_caller]
    pub(crate) fn does(&self, statement: &str) {
        self.succeed(&mut self.client(statement));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if self.kind == Kind::Rabbitmq {
            // Erlang's port mapper is a daemon of its own.
            let port = (self.port ^ 1).to_string();
            let _ = Command::new("epmd").args(["-port", &port, "-kill"]).stdout(Stdio::null()).status();
        }
    }
}

/// The direct children of a process, from `/proc/PID/stat`: its fourth field, after a name in parentheses.
fn children(parent: Pid) -> Vec<Pid> {
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_child = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map(|(_, fields)| fields.split(' ').nth(1).map(str::to_owned));
        fields.flatten() == Some(parent.to_string())
    };
    pids.filter(is_child).map(Pid::from_raw).collect()
}

/// Waits until the condition holds.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
