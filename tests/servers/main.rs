//! Readiness by protocol, against real servers: a server that would accept a login is ready, others are not.
//!
//! Each test starts a server of its own and brings it into a state. Servers that are not installed are skipped;
//! `.ci/debian servers` and `.ci/servers` install everything.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue panics")]
#![allow(
    clippy::disallowed_methods,
    reason = "who owns what is a rule of preverb's; a test starts servers and waits for them"
)]

mod fakes;
mod servers;
#[path = "../support/skip.rs"]
#[allow(dead_code, reason = "each kind of test uses some of it")]
mod skip;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use servers::{Kind, PASSWORD, Server, until};
use skip::{lacks, skip};

const PREVERB: &str = env!("CARGO_BIN_EXE_preverb");

fn made(kind: Kind) -> Option<Server> {
    let server = Server::make(kind);
    if server.is_none() {
        skip(&format!("{kind:?} is not installed"));
    }
    server
}

/// The result of one try: nothing, or why not.
#[track_caller]
fn probe(url: &str) -> Result<(), String> {
    probe_under(&[], url)
}

/// The same in another namespace, which this command enters.
#[track_caller]
fn probe_under(under: &[&str], url: &str) -> Result<(), String> {
    let words = [under, &[PREVERB, "--probe", url]].concat();
    verdict(&Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output().unwrap())
}

/// The same with this timeout.
#[track_caller]
fn probe_for(time: &str, url: &str) -> Result<(), String> {
    let words = ["--probe", url, "--timeout", time];
    verdict(&Command::new(PREVERB).args(words).stdin(Stdio::null()).output().unwrap())
}

#[track_caller]
fn verdict(output: &Output) -> Result<(), String> {
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!messages.contains(PASSWORD), "a password is shown: {messages}");
    match output.status.code() {
        Some(0) => Ok(()),
        Some(1) => Err(messages),
        other => panic!("the status is {other:?}: {messages}"),
    }
}

#[track_caller]
fn not_ready(url: &str, why: &str) {
    let reason = probe(url).expect_err("it is ready");
    assert!(reason.contains(why), "{reason}");
}

/// Waits with preverb until it is ready.
fn waited(url: &str) -> Child {
    Command::new(PREVERB).args(["--wait", url, "--timeout", "60s"]).stderr(Stdio::piped()).spawn().unwrap()
}

/// The server accepts a login as soon as preverb has waited for it.
#[track_caller]
fn ready_when_it_says_so(server: &Server, wait: Child) {
    let output = wait.wait_with_output().unwrap();
    assert!(
        server.takes_login(),
        "it takes no login after preverb reported that it was ready\n{}",
        server.logged()
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(probe(&server.url()), Ok(()));
}

/// Clients that hold as many connections.
struct Held(Vec<Child>);

impl Held {
    fn new(server: &Server, count: usize) -> Self {
        Self((0..count).map(|_| server.idle()).collect())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for client in &mut self.0 {
            let _ = client.kill();
            let _ = client.wait();
        }
    }
}

// PostgreSQL

#[test]
fn wait_covers_a_cold_start_of_postgres() {
    let Some(mut server) = made(Kind::Postgres) else { return };
    let wait = waited(&server.url());
    server.start(&[]);
    ready_when_it_says_so(&server, wait);
    // By its socket, which is found by its directory.
    let socket =
        format!("postgresql:///postgres?user=app&host={}&port={}", server.dir().display(), server.port);
    assert_eq!(probe(&socket), Ok(()));
    // For any user and database: a server that would accept a login is ready, and logs nothing.
    let before = server.logged();
    for login in ["nobody@", "nobody:wrong@", ""] {
        assert_eq!(probe(&format!("postgres://{login}127.0.0.1:{}/nothing", server.port)), Ok(()));
    }
    assert_eq!(server.logged(), before);
}

#[test]
fn postgres_in_recovery_is_not_ready() {
    let Some(mut server) = made(Kind::Postgres) else { return };
    // Recovery that has no end until it is asked for one.
    let signal = server.dir().join("data/standby.signal");
    fs::write(&signal, "").unwrap();
    server.start(&["-c", "hot_standby=off"]);
    until("its first answer", || probe(&server.url()).is_err_and(|why| why.contains("recovering")));
    assert_eq!(probe(&format!("tcp://127.0.0.1:{}", server.port)), Ok(()));
    let wait = waited(&server.url());
    server.kill();
    fs::remove_file(&signal).unwrap();
    server.start(&[]);
    ready_when_it_says_so(&server, wait);
}

#[test]
fn postgres_shutting_down_is_not_ready() {
    let Some(mut server) = made(Kind::Postgres) else { return };
    server.start_whole(&[]);
    // A smart shutdown waits for this client.
    let held = Held::new(&server, 1);
    server.signal(Signal::SIGTERM);
    until("the shutdown", || probe(&server.url()).is_err());
    not_ready(&server.url(), "shutting down");
    assert_eq!(probe(&format!("tcp://127.0.0.1:{}", server.port)), Ok(()));
    drop(held);
    server.wait();
    not_ready(&server.url(), "connection refused");
}

#[test]
fn postgres_without_free_connections_is_not_ready() {
    let Some(mut server) = made(Kind::Postgres) else { return };
    server.start_whole(&["-c", "max_connections=4", "-c", "superuser_reserved_connections=0"]);
    let held = Held::new(&server, 4);
    assert!(!server.takes_login());
    not_ready(&server.url(), "too many connections");
    let wait = waited(&server.url());
    drop(held);
    ready_when_it_says_so(&server, wait);
}

// MariaDB

#[test]
fn wait_covers_a_cold_start_of_mariadb() {
    let Some(mut server) = made(Kind::Mariadb) else { return };
    let wait = waited(&server.url());
    server.start(&[]);
    ready_when_it_says_so(&server, wait);
    let socket = format!("mysql://localhost/x?unix_socket={}/socket", server.dir().display());
    assert_eq!(probe(&socket), Ok(()));
}

#[test]
fn mariadb_without_free_connections_is_not_ready() {
    let Some(mut server) = made(Kind::Mariadb) else { return };
    server.start_whole(&["--max-connections=10"]);
    let mut held = Held::new(&server, 9);
    assert!(server.takes_login());
    assert_eq!(probe(&server.url()), Ok(()));
    // One more connection, for an administrator, is greeted like any other, and then refused.
    held.0.push(server.idle());
    assert!(!server.takes_login());
    not_ready(&server.url(), "too many connections");
    let wait = waited(&server.url());
    drop(held);
    ready_when_it_says_so(&server, wait);
}

/// Two connected hosts: each is a network namespace with names for both.
struct Hosts {
    name: String,
}

impl Hosts {
    const SERVER: &str = "10.77.0.1";

    fn make() -> Option<Self> {
        let name = format!("rdy{}", std::process::id());
        let hosts = Self { name };
        let [here, there] = [hosts.name("a"), hosts.name("b")];
        let script = format!(
            "set -e; for n in {here} {there}; do ip netns add $n; ip -n $n link set lo up; mkdir -p /etc/netns/$n; \
             printf '10.77.0.1 server\n10.77.0.2 client\n' >/etc/netns/$n/hosts; done; \
             ip link add {here} netns {here} type veth peer name {there} netns {there}; \
             ip -n {here} addr add 10.77.0.1/24 dev {here}; ip -n {here} link set {here} up; \
             ip -n {there} addr add 10.77.0.2/24 dev {there}; ip -n {there} link set {there} up"
        );
        let made = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status();
        made.is_ok_and(|status| status.success()).then_some(hosts)
    }

    fn name(&self, which: &str) -> String {
        format!("{}{which}", self.name)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in [self.name("a"), self.name("b")] {
            let _ = Command::new("ip").args(["netns", "del", &name]).stderr(Stdio::null()).status();
            let _ = fs::remove_dir_all(format!("/etc/netns/{name}"));
        }
    }
}

#[test]
fn a_thousand_probes_do_not_make_mariadb_block_the_host() {
    let Some(hosts) = Hosts::make() else { return skip("there are no network namespaces") };
    let (here, there) = (hosts.name("a"), hosts.name("b"));
    let Some(mut server) = Server::make_at(Kind::Mariadb, Hosts::SERVER, &["ip", "netns", "exec", &here])
    else {
        return skip("Mariadb is not installed");
    };
    server.start(&[]);
    let far = |words: &[&str]| {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &there]).args(words).stdin(Stdio::null());
        command.output().unwrap()
    };
    let port = server.port.to_string();
    let login = || {
        let password = format!("-p{PASSWORD}");
        far(&[
            "mariadb",
            "--no-defaults",
            "-h",
            Hosts::SERVER,
            "-P",
            &port,
            "-uapp",
            &password,
            "-e",
            "select 1",
        ])
    };
    until("a login", || login().status.success());
    let under = ["ip", "netns", "exec", &there];
    for _ in 0..1000 {
        assert_eq!(probe_under(&under, &server.url()), Ok(()));
    }
    assert!(login().status.success(), "{}", String::from_utf8_lossy(&login().stderr));
    // Connections that end before a login do, so that this test could see it.
    let tcp = format!("tcp://{}:{port}", Hosts::SERVER);
    for number in 0..130 {
        let ready = probe_under(&under, &tcp);
        // The server closes the connections of a host that it has blocked.
        assert!(ready.is_ok() || number >= 100, "{number}: {ready:?}");
    }
    let refused = String::from_utf8_lossy(&login().stderr).into_owned();
    assert!(refused.contains("1129"), "{refused}");
    let blocked = probe_under(&under, &server.url()).expect_err("it is ready");
    assert!(blocked.contains("blocked this host"), "{blocked}");
}

// Redis

#[test]
fn redis_loading_its_data_is_not_ready() {
    let Some(mut server) = made(Kind::Redis) else { return };
    let wait = waited(&server.url());
    server.start(&[]);
    ready_when_it_says_so(&server, wait);
    server.does("DEBUG POPULATE 20000 key 100");
    server.does("SAVE");
    server.kill();
    let wait = waited(&server.url());
    // 2 s of loading.
    server.start(&["--key-load-delay", "100", "--loading-process-events-interval-bytes", "1024"]);
    until("loading", || probe(&server.url()).is_err_and(|why| why.contains("loading its data")));
    assert_eq!(probe(&format!("tcp://127.0.0.1:{}", server.port)), Ok(()));
    ready_when_it_says_so(&server, wait);
}

#[test]
fn a_wrong_redis_password_is_reported() {
    let Some(mut server) = made(Kind::Redis) else { return };
    server.start_whole(&[]);
    let at = |login: &str| format!("redis://{login}127.0.0.1:{}/0", server.port);
    assert_eq!(probe(&at("")), Ok(()));
    assert_eq!(probe(&at(&format!("default:{PASSWORD}@"))), Ok(()));
    not_ready(&at(":wrong@"), "wrong password");
    not_ready(&at(&format!("nobody:{PASSWORD}@")), "wrong password");
    server.does("CONFIG SET requirepass ");
    let why = probe(&server.url()).expect_err("a login would fail");
    assert!(why.contains("but the server has none"), "{why}");
}

#[test]
fn redis_that_refuses_commands_is_not_ready() {
    let Some(mut server) = made(Kind::Redis) else { return };
    server.start_whole(&["--busy-reply-threshold", "10", "--replica-serve-stale-data", "no"]);
    let mut script = {
        let port = server.port.to_string();
        let mut command = Command::new("redis-cli");
        command.args(["-p", &port, "EVAL", "while true do end", "0"]).env("REDISCLI_AUTH", PASSWORD);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    until("the script", || probe(&server.url()).is_err_and(|why| why.contains("busy with a script")));
    server.does("SCRIPT KILL");
    script.wait().unwrap();
    assert_eq!(probe(&server.url()), Ok(()));
    server.does("CONFIG SET maxclients 1");
    let held = Held::new(&server, 1);
    not_ready(&server.url(), "too many connections");
    drop(held);
    until("room", || probe(&server.url()).is_ok());
    server.does("CONFIG SET maxclients 100");
    // A master that is not there.
    server.does("REPLICAOF 127.0.0.1 1");
    not_ready(&server.url(), "no link to its master");
}

// RabbitMQ

#[test]
fn wait_covers_a_cold_start_of_rabbitmq() {
    let Some(mut server) = made(Kind::Rabbitmq) else { return };
    let wait = waited(&server.url());
    server.start(&[]);
    let output = wait.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), server.logged());
    until("the broker to say that it is up", || server.takes_login());
    assert_eq!(probe(&server.url()), Ok(()));
}

// gRPC

#[test]
fn grpc_is_ready_when_its_service_is_serving() {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("servers/bin/python");
    if !python.exists() {
        return skip("grpcio is not installed");
    }
    let mut server =
        Command::new(python).args(["-c", GRPC]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut line)
        .unwrap();
    let url = format!("grpc://127.0.0.1:{}", line.trim());
    assert_eq!(probe(&url), Ok(()));
    assert_eq!(probe(&format!("{url}/serves")), Ok(()));
    // A name that no header of one byte can count.
    assert_eq!(probe(&format!("{url}/{}", "long.".repeat(40))), Ok(()));
    not_ready(&format!("{url}/stops"), "NOT_SERVING");
    not_ready(&format!("{url}/unknown"), "does not know it");
    drop(server.stdin.take());
    server.wait().unwrap();
    not_ready(&url, "connection refused");
}

const GRPC: &str = r#"
import sys, grpc
from concurrent import futures
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
server = grpc.server(futures.ThreadPoolExecutor(2))
servicer = health.HealthServicer()
health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
for name in ("serves", "long." * 40):
    servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
servicer.set("stops", health_pb2.HealthCheckResponse.NOT_SERVING)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
"#;

// TLS

#[test]
fn tls_is_ready_after_a_server_hello() {
    if lacks("openssl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let key = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key -out cert -subj /CN=x";
    let made = Command::new("sh").args(["-c", key]).current_dir(dir.path()).stderr(Stdio::null()).status();
    assert!(made.unwrap().success());
    for version in ["-tls1_2", "-tls1_3"] {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Command::new("openssl")
            .args([
                "s_server",
                "-quiet",
                "-key",
                "key",
                "-cert",
                "cert",
                "-accept",
                &format!("127.0.0.1:{port}"),
                version,
            ])
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("https://127.0.0.1:{port}");
        let ready = Instant::now() + Duration::from_secs(20);
        while let Err(why) = probe(&url) {
            assert!(Instant::now() < ready, "{version}: {why}");
        }
        assert_eq!(probe(&format!("rediss://:{PASSWORD}@localhost:{port}/0")), Ok(()), "{version}");
        server.kill().unwrap();
        server.wait().unwrap();
    }
}
