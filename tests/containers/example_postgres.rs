//! `examples/postgres`: a database whose first run can be killed anywhere.

use std::time::Duration;

use crate::examples::example;
use crate::harness::{Container, Engine, Network, Run, Scratch, Volume, engine};

const PASSWORD: &str = "correct horse battery staple";

fn server(engine: &'static Engine, volume: &Volume, hooks: &Scratch) -> Run {
    engine
        .run(&example(engine, "postgres"))
        .env("POSTGRES_USER", "app")
        .mount("/run/secrets/postgres_password", PASSWORD)
        .bind(hooks.path(), "/initdb.d")
        .volume(volume, "/var/lib/postgresql")
}

fn until_it_serves(container: &Container) {
    container.until("the server is healthy", |it| it.exec(["preverb", "--health"]).status == 0);
}

/// Asks the server through its socket, with the variables and as the user of the container's process.
#[track_caller]
fn query(container: &Container, sql: &str) -> String {
    let words = ["preverb", "--exec", "--", "psql", "-XAtq", "-c", sql];
    container.exec(words).succeeded().stdout.trim_end().to_owned()
}

fn occurrences(container: &Container, text: &str) -> usize {
    let logs = container.logs();
    logs.stdout.matches(text).count() + logs.stderr.matches(text).count()
}

#[test]
fn the_first_run_makes_the_cluster_and_runs_initdb_d_in_order() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let hooks = Scratch::new();
    hooks.file(
        "10-table.sql",
        "CREATE TABLE ran (n serial, hook text);\nINSERT INTO ran (hook) VALUES ('sql');\n",
    );
    let plain = hooks.file("20-rows.sql", "INSERT INTO ran (hook) VALUES ('sql.gz');\n");
    let gzip = std::process::Command::new("gzip").arg(plain).status();
    assert!(gzip.unwrap().success());
    hooks.file("30-more.sh", "psql -q -c \"INSERT INTO ran (hook) VALUES ('sh of $PGDATABASE')\"\n");
    // No transaction may be around a hook: this statement refuses to be in one.
    hooks.file("40-database.sql", "CREATE DATABASE other;\n");

    let container = server(engine, &volume, &hooks).args(["-c", "work_mem=9MB"]).start();
    until_it_serves(&container);
    assert_eq!(query(&container, "SELECT hook FROM ran ORDER BY n"), "sql\nsql.gz\nsh of app");
    assert_eq!(query(&container, "SELECT count(*) FROM pg_database WHERE datname = 'other'"), "1");
    assert_eq!(query(&container, "SHOW work_mem"), "9MB");
    assert_eq!(query(&container, "SHOW listen_addresses"), "*");

    // The process is the server itself, which is not root and does not know the password.
    let main = container.exec(["sh", "-c", "cat /proc/1/comm; stat -c %U /proc/1"]);
    assert_eq!(main.succeeded().stdout, "postgres\npostgres\n");
    let environ = container.exec_as(&["--user=postgres"], ["cat", "/proc/1/environ"]).succeeded();
    assert!(environ.stdout.contains("PREVERB_VERB=postgres"), "{}", environ.stdout);
    assert!(!environ.stdout.contains("POSTGRES_PASSWORD"), "{}", environ.stdout);
    assert_eq!(occurrences(&container, PASSWORD), 0);

    // Over the network the password decides.
    let login = |password: &str| {
        let target = format!("host=127.0.0.1 password='{password}'");
        container.exec(["preverb", "--exec", "--", "psql", "-XAtq", "-c", "SELECT 1", &target])
    };
    assert_eq!(login(PASSWORD).succeeded().stdout, "1\n");
    assert!(login("wrong").stderr.contains("password authentication failed"));

    let stopped = container.stop();
    assert_eq!(stopped.status, 0);
    assert!(stopped.took < Duration::from_secs(5), "{stopped:?}");

    // The second run finds the marker, and the data.
    container.restart();
    until_it_serves(&container);
    assert_eq!(query(&container, "SELECT count(*) FROM ran"), "3");
    assert_eq!(occurrences(&container, "starting PostgreSQL"), 3, "first run, server, server again");
}

#[test]
fn a_first_run_that_was_stopped_or_killed_in_the_middle_is_made_again_from_nothing() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let hooks = Scratch::new();
    hooks.file("10-table.sql", "CREATE TABLE ran (n int);\nINSERT INTO ran VALUES (1);\n");
    let gate = hooks.file("20-gate.sh", "echo 'in the middle'\nsleep 1000\n");
    hooks.file("30-more.sql", "INSERT INTO ran VALUES (2);\n");
    let container = server(engine, &volume, &hooks).start();

    let in_the_middle = |runs| {
        container.until("the first run is in the middle", |it| occurrences(it, "in the middle") == runs);
    };
    in_the_middle(1);
    let health = container.exec(["preverb", "--health"]).exited(1);
    assert!(format!("{}{}", health.stdout, health.stderr).contains("still setting up"), "{health:?}");
    let stopped = container.stop();
    assert_eq!(stopped.status, 130, "INT, which the image names as its stop signal");
    assert!(stopped.took < Duration::from_secs(5), "{stopped:?}");

    container.restart();
    in_the_middle(2);
    container.kill("KILL");
    assert_eq!(container.wait(), 137);

    std::fs::write(gate, "true\n").unwrap();
    container.restart();
    until_it_serves(&container);
    assert_eq!(query(&container, "SELECT string_agg(n::text, ' ' ORDER BY n) FROM ran"), "1 2");
    let files = container.exec(["sh", "-c", "cd /var/lib/postgresql && echo data* initialised*"]);
    assert!(!files.succeeded().stdout.contains("data.new"), "nothing half made is left");
}

#[test]
fn a_hook_that_fails_ends_the_first_run_and_is_mended_by_another() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let hooks = Scratch::new();
    let hook = hooks.file("10-rows.sql", "CREATE TABLE ran (n int);\nINSERT INTO nowhere VALUES (1);\n");
    let container = server(engine, &volume, &hooks).start();
    assert_eq!(container.wait(), 80);
    let logs = container.logs().stderr;
    assert!(logs.contains("relation \"nowhere\" does not exist"), "{logs}");
    assert!(logs.contains("10-rows.sql"), "{logs}");

    std::fs::write(hook, "CREATE TABLE ran (n int);\n").unwrap();
    container.restart();
    until_it_serves(&container);
    assert_eq!(query(&container, "SELECT count(*) FROM ran"), "0");

    // A file that is cut off is a failed hook too, and not half the rows.
    let other = Volume::new(engine);
    let cut = Scratch::new();
    cut.file("10-cut.sql.gz", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
    let container = server(engine, &other, &cut).start();
    assert_eq!(container.wait(), 80);
}

#[test]
fn what_only_informs_needs_no_setup_and_what_is_no_verb_is_run() {
    let Some(engine) = engine() else { return };
    let image = example(engine, "postgres");
    let version = engine.run(&image).args(["--version"]).output().succeeded();
    assert!(version.stdout.starts_with("postgres (PostgreSQL) "), "{}", version.stdout);
    assert_eq!(version.stderr, "");

    let user = engine.run(&image).args(["id", "-un"]).output().succeeded();
    assert_eq!(user.stdout, "postgres\n");

    let nothing = engine.run(&image).output().exited(80);
    assert!(nothing.stderr.contains("`POSTGRES_PASSWORD`"), "{}", nothing.stderr);
}

#[test]
fn it_serves_without_root_on_a_read_only_root_and_the_clients_reach_it() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let network = Network::new(engine);
    let hooks = Scratch::new();
    hooks.file("10-table.sql", "CREATE TABLE notes (note text);\nINSERT INTO notes VALUES ('kept');\n");
    let dump = engine
        .run(&example(engine, "postgres"))
        .network(&network, "client")
        .env("POSTGRES_USER", "app")
        .env("POSTGRES_PASSWORD", PASSWORD)
        .args(["dump"]);
    // The client is there first, and waits.
    let client = std::thread::spawn(move || dump.output());
    let container = server(engine, &volume, &hooks)
        .network(&network, "db")
        .flag("--user=999:999")
        .flag("--read-only")
        .flag("--cap-drop=ALL")
        .flag("--tmpfs=/tmp")
        .flag("--tmpfs=/run/postgresql:uid=999,gid=999")
        .start();
    until_it_serves(&container);
    let dump = client.join().unwrap().succeeded();
    assert!(dump.stdout.contains("CREATE TABLE public.notes"), "{}", dump.stdout);
    assert!(dump.stdout.contains("\nkept\n"), "{}", dump.stdout);
    assert!(!dump.stderr.contains(PASSWORD), "{}", dump.stderr);
}
