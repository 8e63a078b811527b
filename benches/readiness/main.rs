//! Measures readiness: the time between a waiter's report and the first login that works.
//!
//!     cargo bench --bench readiness -- [--rounds N] [--row SERVER/SITUATION]
//!
//! Each round brings a real server into a situation in which it refuses logins, lets all waiters wait for it
//! at the same time, while another client tries to log in again and again, and then lets the server become
//! ready. The table has the median and the worst of the rounds. It needs the servers of `.ci/debian servers`,
//! and root.

#![allow(clippy::unwrap_used, reason = "a measurement that cannot continue panics")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the table is what it is for")]
#![allow(
    clippy::disallowed_methods,
    reason = "who owns what is a rule of preverb's; a bench starts servers and waits for them"
)]

#[path = "../../tests/servers/servers.rs"]
#[allow(dead_code, reason = "the tests bring servers into more states")]
mod servers;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use servers::{Kind, Server};

const PREVERB: &str = env!("CARGO_BIN_EXE_preverb");
/// How long a server is held in its situation, if it would not stay there by itself.
const HELD: Duration = Duration::from_secs(2);
/// The pause between tries of a waiter without its own loop.
const EVERY: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Situation {
    Cold,
    /// After a crash, with much to recover; Redis loads its data.
    Recovery,
    Shutdown,
    Full,
    Proxy,
}

impl Situation {
    const ALL: [Self; 5] = [Self::Cold, Self::Recovery, Self::Shutdown, Self::Full, Self::Proxy];

    fn name(self, kind: Kind) -> &'static str {
        match self {
            Self::Cold => "cold start",
            Self::Recovery if kind == Kind::Redis => "loading its data",
            Self::Recovery => "crash recovery",
            Self::Shutdown => "shutdown, and a new start",
            Self::Full => "too many connections",
            Self::Proxy => "proxy without backend",
        }
    }
}

const SERVERS: [(Kind, &str); 3] =
    [(Kind::Postgres, "postgres"), (Kind::Mariadb, "mariadb"), (Kind::Redis, "redis")];

/// A program that reports a server as ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waiter {
    Preverb,
    Tcp,
    /// The server's own tool.
    Tool,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let value = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1).cloned()
    };
    let rounds: usize = value("--rounds").map_or(5, |rounds| rounds.parse().unwrap());
    let row = value("--row");
    println!(
        "| server | situation | `preverb --wait` | TCP connect | `pg_isready`, `mysqladmin ping`, `redis-cli ping` |"
    );
    println!("|---|---|---|---|---|");
    for (kind, server) in SERVERS {
        for situation in Situation::ALL {
            let name = format!("{server}/{situation:?}").to_lowercase();
            if row.as_ref().is_none_or(|row| name.starts_with(row.as_str())) {
                measure(kind, server, situation, rounds);
            }
        }
    }
}

fn measure(kind: Kind, name: &str, situation: Situation, rounds: usize) {
    let Some(mut server) = Server::make(kind) else {
        eprintln!("{kind:?} is not installed");
        return;
    };
    let proxy = (situation == Situation::Proxy).then(|| Proxy::start(server.port));
    server.front = proxy;
    let mut deltas: BTreeMap<Waiter, Vec<f64>> = BTreeMap::new();
    let mut refused = 0;
    for number in 0..rounds {
        let round = round(&mut server, situation);
        refused += usize::from(!round.after);
        for (waiter, ready) in &round.ready {
            deltas.entry(*waiter).or_default().push(round.delta(*ready));
        }
        eprintln!("{name}, {}: round {} of {rounds}", situation.name(kind), number + 1);
        server.kill();
    }
    let cells: Vec<String> = deltas.into_values().map(|values| cell(&values)).collect();
    println!("| {name} | {} | {} |", situation.name(kind), cells.join(" | "));
    if refused > 0 {
        println!("  {refused} of {rounds} logins after `preverb --wait` failed");
    }
    let _ = std::io::stdout().flush();
}

/// The median and the worst: too early by most, or else too late by most.
fn cell(values: &[f64]) -> String {
    let mut sorted = values.to_owned();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    let worst = if sorted[0] < 0.0 { sorted[0] } else { sorted[sorted.len() - 1] };
    let spoken = |value: f64| match value {
        ..0.0 => format!("**{:.2} s too early**", -value),
        _ => format!("{value:.2} s"),
    };
    format!("{}, at worst {}", spoken(median), spoken(worst))
}

/// The results of one round.
struct Round {
    /// When the last login began that failed.
    failed: Option<Instant>,
    /// When the first one had worked.
    login: Instant,
    ready: BTreeMap<Waiter, Instant>,
    /// Whether a login worked right after preverb had reported the server as ready.
    after: bool,
}

impl Round {
    /// The time from the first login that worked to the end of a waiter. A negative one is too early: a login
    /// that began that much later still failed.
    fn delta(&self, ready: Instant) -> f64 {
        match self.failed {
            Some(failed) if ready < failed => -(failed - ready).as_secs_f64(),
            Some(_) | None => ready.saturating_duration_since(self.login).as_secs_f64(),
        }
    }
}

fn round(server: &mut Server, situation: Situation) -> Round {
    let over = AtomicBool::new(false);
    let mut held = Vec::new();
    match situation {
        Situation::Cold | Situation::Proxy => {}
        Situation::Recovery => prepare_recovery(server),
        Situation::Shutdown => {
            server.start_whole(more(server.kind, situation));
            if server.kind == Kind::Postgres {
                held.push(server.idle());
            }
            server.signal(Signal::SIGTERM);
            if server.kind == Kind::Postgres {
                servers::until("the shutdown", || !server.takes_login());
            } else {
                server.wait();
            }
        }
        Situation::Full => {
            server.start_whole(more(server.kind, situation));
            while server.takes_login() {
                held.push(server.idle());
            }
        }
    }
    let (kind, url, port) = (server.kind, server.url(), server.front());
    std::thread::scope(|scope| {
        let poll = |mut ready: Box<dyn FnMut() -> bool + Send>| {
            let over = &over;
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) && !ready() {
                    std::thread::sleep(EVERY);
                }
                Instant::now()
            })
        };
        let preverb = scope.spawn({
            let url = url.clone();
            move || {
                let words = ["--wait", &url, "--timeout", "5m"];
                let status = Command::new(PREVERB).args(words).stderr(Stdio::null()).status().unwrap();
                assert!(status.success(), "preverb: {status}");
                Instant::now()
            }
        });
        let tcp = poll(Box::new(move || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()));
        let tool = poll(Box::new(move || tool(kind, port).status().unwrap().success()));
        let mut client = server.login();
        let failed = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&failed);
        let login = poll(Box::new(move || {
            let begun = Instant::now();
            let works = client.status().unwrap().success();
            if !works {
                *noted.lock().unwrap() = Some(begun);
            }
            works
        }));
        match situation {
            Situation::Cold | Situation::Recovery => server.start(more(kind, situation)),
            Situation::Proxy => {
                std::thread::sleep(HELD);
                server.start(more(kind, situation));
            }
            Situation::Shutdown => {
                if kind == Kind::Postgres {
                    std::thread::sleep(HELD);
                    held.drain(..).for_each(end);
                    server.wait();
                }
                server.start(more(kind, situation));
            }
            Situation::Full => {
                std::thread::sleep(HELD);
                held.drain(..).for_each(end);
            }
        }
        let preverb = preverb.join().unwrap();
        let after = server.takes_login();
        let login = login.join().unwrap();
        let ready = BTreeMap::from([
            (Waiter::Preverb, preverb),
            (Waiter::Tcp, tcp.join().unwrap()),
            (Waiter::Tool, tool.join().unwrap()),
        ]);
        over.store(true, Ordering::Relaxed);
        let failed = *failed.lock().unwrap();
        Round { failed, login, ready, after }
    })
}

fn end(mut client: std::process::Child) {
    let _ = client.kill();
    let _ = client.wait();
}

/// How the server of a situation is started.
fn more(kind: Kind, situation: Situation) -> &'static [&'static str] {
    match (kind, situation) {
        (Kind::Postgres, Situation::Full) => {
            &["-c", "max_connections=5", "-c", "superuser_reserved_connections=0"]
        }
        (Kind::Postgres, _) => &["-c", "max_wal_size=8GB", "-c", "checkpoint_timeout=1h"],
        (Kind::Mariadb, Situation::Full) => &["--max-connections=10"],
        (Kind::Mariadb, _) => &["--innodb-log-file-size=1G", "--innodb-buffer-pool-size=1G"],
        (Kind::Redis, Situation::Full) => &["--maxclients", "5"],
        (Kind::Redis | Kind::Rabbitmq, _) => &[],
    }
}

/// Leaves the server crashed, with much to do at its next start.
fn prepare_recovery(server: &mut Server) {
    server.start_whole(more(server.kind, Situation::Recovery));
    match server.kind {
        Kind::Postgres => {
            server.does("drop table if exists t");
            server.does("checkpoint");
            server.does(
                "create table t as select n, repeat('x', 100) as text from generate_series(1, 2500000) as n",
            );
            server.does("create index on t (n)");
        }
        Kind::Mariadb => {
            server.does("create or replace table app.t (n int primary key, text char(200)) engine = innodb");
            server.does("insert into app.t select seq, repeat('x', 200) from app.seq_1_to_800000");
            server.does("update app.t set text = repeat('y', 200)");
        }
        Kind::Redis => {
            server.does("DEBUG POPULATE 2000000 key 20");
            server.does("SAVE");
        }
        Kind::Rabbitmq => {}
    }
    server.kill();
}

/// One try of the server's own tool, as health checks call it.
fn tool(kind: Kind, port: u16) -> Command {
    let port = port.to_string();
    let words: &[&str] = match kind {
        Kind::Postgres => &["pg_isready", "-q", "-h", "127.0.0.1", "-p", &port],
        Kind::Mariadb => &["mysqladmin", "--no-defaults", "-h", "127.0.0.1", "-P", &port, "ping"],
        Kind::Redis => &["redis-cli", "-h", "127.0.0.1", "-p", &port, "ping"],
        Kind::Rabbitmq => panic!("no tool of rabbitmq is measured"),
    };
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A proxy like docker-proxy: it accepts connections, and closes them if it has no backend.
struct Proxy;

impl Proxy {
    fn start(backend: u16) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, backend)) else { continue };
                copy(client.try_clone().unwrap(), server.try_clone().unwrap());
                copy(server, client);
            }
        });
        port
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
