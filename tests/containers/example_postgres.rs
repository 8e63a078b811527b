//! `examples/postgres`: the official image's volumes, variables and arguments, and a first run that can be stopped
//! anywhere.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::examples::example;
use crate::harness::{Container, Engine, Network, Run, Scratch, Volume, engine};

const PASSWORD: &str = "correct horse battery staple";
const DATA: &str = "/var/lib/postgresql/data";

fn bare(engine: &'static Engine, volume: &Volume) -> Run {
    engine.run(&example(engine, "postgres")).volume(volume, DATA)
}

fn server(engine: &'static Engine, volume: &Volume, hooks: &Scratch) -> Run {
    bare(engine, volume)
        .env("POSTGRES_USER", "app")
        .mount("/run/secrets/postgres_password", PASSWORD)
        .bind(hooks.path(), "/docker-entrypoint-initdb.d")
}

fn until_it_serves(container: &Container) {
    container.until("the server is healthy", |it| it.exec(["preverb", "--health"]).status == 0);
}

/// Asks the server through its socket.
#[track_caller]
fn query(container: &Container, database: &str, sql: &str) -> String {
    let words = ["preverb", "--exec", "--", "psql", "-XAtq", "-U", "app", "-d", database, "-c", sql];
    container.exec(words).succeeded().stdout.trim_end().to_owned()
}

fn occurrences(container: &Container, text: &str) -> usize {
    container.logs().stderr.matches(text).count()
}

fn packed(program: &str, file: &Path) {
    assert!(Command::new(program).arg("-q").arg(file).status().unwrap().success(), "{program}");
}

#[test]
fn the_first_run_creates_the_database_and_runs_initdb_d_in_order() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let hooks = Scratch::new();
    let row = |hook: &str| format!("INSERT INTO ran (hook) VALUES ('{hook}');\n");
    hooks.file("10-table.sql", format!("CREATE TABLE ran (n serial, hook text);\n{}", row("sql")));
    packed("gzip", &hooks.file("20-rows.sql", row("gz")));
    packed("xz", &hooks.file("30-rows.sql", row("xz")));
    packed("zstd", &hooks.file("35-rows.sql", row("zst")));
    std::fs::remove_file(hooks.path().join("35-rows.sql")).unwrap();
    // Sourced by bash, as the official image does.
    hooks.file("40-more.sh", "words=(INSERT INTO ran '(hook)' VALUES \"('sh of $POSTGRES_DB')\")\npsql -q -c \"${words[*]}\"\nexport NAME=kept\n");
    hooks.program("50-run", "#!/bin/sh\nexec psql -q -c \"INSERT INTO ran (hook) VALUES ('run $NAME')\"\n");
    hooks.program(
        "60-run.sh",
        "#!/bin/sh\npsql -q -U \"$POSTGRES_USER\" -c \"INSERT INTO ran (hook) VALUES ('run.sh')\"; exit 0\n",
    );
    // Hooks must not run inside a transaction: this statement fails in one.
    hooks.file("70-database.sql", "CREATE DATABASE other;\n");
    hooks.file("80-notes.txt", "not a hook\n");

    let container = server(engine, &volume, &hooks)
        .env("POSTGRES_DB", "a \"database\"")
        .env("POSTGRES_INITDB_ARGS", "--data-checksums --encoding='SQL_ASCII'")
        .args(["-c", "work_mem=9MB"])
        .start();
    until_it_serves(&container);
    let query = |sql: &str| query(&container, "a \"database\"", sql);
    assert_eq!(
        query("SELECT hook FROM ran ORDER BY n"),
        "sql\ngz\nxz\nzst\nsh of a \"database\"\nrun kept\nrun.sh"
    );
    assert_eq!(query("SELECT count(*) FROM pg_database WHERE datname = 'other'"), "1");
    assert_eq!(query("SHOW work_mem"), "9MB");
    assert_eq!(query("SHOW data_checksums"), "on");
    assert_eq!(query("SHOW server_encoding"), "SQL_ASCII");
    assert_eq!(query("SHOW listen_addresses"), "*");
    assert_eq!(occurrences(&container, "80-notes.txt"), 1, "a warning");

    // The process is the server itself, which is not root and does not know the password.
    let main = container.exec(["sh", "-c", "cat /proc/1/comm; stat -c %U /proc/1; ls -A $PGDATA/.first-run"]);
    assert_eq!(main.stdout, "postgres\npostgres\n");
    let environ = container.exec_as(&["--user=postgres"], ["cat", "/proc/1/environ"]).succeeded();
    assert!(environ.stdout.contains("PREVERB_VERB=postgres"), "{}", environ.stdout);
    for name in ["POSTGRES_PASSWORD", "PGPASSWORD", "NAME=kept", "FIRST_RUN"] {
        assert!(!environ.stdout.contains(name), "{name}: {}", environ.stdout);
    }
    let logs = container.logs();
    assert!(!logs.stderr.contains(PASSWORD));
    assert_eq!(logs.stdout, "", "standard output is the target's");

    // Over the network the password decides.
    let login = |password: &str| {
        let target = format!("host=127.0.0.1 user=app password='{password}' dbname=other");
        container.exec(["psql", "-XAtq", "-c", "SELECT 1", &target])
    };
    assert_eq!(login("wrong").status, 0, "initdb trusts the loopback, as in the official image");
    let address = crate::examples::address(&container);
    let login = |password: &str| {
        let target = format!("host={address} user=app password='{password}' dbname=other");
        container.exec(["psql", "-XAtq", "-c", "SELECT 1", &target])
    };
    assert_eq!(login(PASSWORD).succeeded().stdout, "1\n");
    assert!(login("wrong").stderr.contains("password authentication failed"));

    let stopped = container.stop();
    assert_eq!(stopped.status, 0);
    assert!(stopped.took < Duration::from_secs(8), "{stopped:?}");

    // The second run finds the database, and the data.
    container.restart();
    until_it_serves(&container);
    assert_eq!(query("SELECT count(*) FROM ran"), "7");
    assert_eq!(occurrences(&container, "starting PostgreSQL"), 3, "first run, server, server again");
}

#[test]
fn a_first_run_that_is_stopped_in_any_phase_starts_over() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let hooks = Scratch::new();
    hooks.file("10-table.sql", "CREATE TABLE ran (n int);\nINSERT INTO ran VALUES (1);\n");
    let gate = hooks.file("20-gate.sh", "echo 'in the middle'\nsleep 1000\n");
    hooks.file("30-more.sql", "INSERT INTO ran VALUES (2);\n");
    let container = server(engine, &volume, &hooks).start();
    let has_database = || {
        let check = ["sh", "-c", "test -e /var/lib/postgresql/data/PG_VERSION && echo a database"];
        engine.run(&example(engine, "postgres")).volume(&volume, DATA).args(check).output().stdout
    };

    for (phase, status) in [("initdb", 130), ("running hook `postgres`", 130), ("in the middle", 130)] {
        let before = occurrences(&container, phase);
        container.until(phase, |it| occurrences(it, phase) > before || before > 0);
        let health = container.exec(["preverb", "--health"]);
        if health.status != 126 {
            assert!(health.stderr.contains("still setting up"), "{health:?}");
            assert_eq!(health.status, 1);
        }
        let stopped = container.stop();
        assert_eq!(stopped.status, status, "INT, which the image names as its stop signal: {phase}");
        assert!(stopped.took < Duration::from_secs(8), "{phase}: {stopped:?}");
        assert_eq!(has_database(), "", "{phase}");
        container.restart();
    }
    container.until("it is in the middle again", |it| occurrences(it, "in the middle") == 2);
    container.kill("KILL");
    assert_eq!(container.wait(), 137);
    assert_eq!(has_database(), "");

    std::fs::write(gate, "true\n").unwrap();
    container.restart();
    until_it_serves(&container);
    assert_eq!(query(&container, "app", "SELECT string_agg(n::text, ' ' ORDER BY n) FROM ran"), "1 2");
    let files = container.exec(["sh", "-c", "ls -A $PGDATA"]).succeeded().stdout;
    assert!(!files.contains(".first-run"), "nothing half made is left: {files}");
}

#[test]
fn one_of_two_containers_on_a_volume_creates_the_database_and_the_other_waits() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let hooks = Scratch::new();
    let gate = hooks.file("10-gate.sh", "until test -e /gate/open; do sleep 0.1; done\n");
    let open = Scratch::new();
    let with = |run: Run| run.bind(open.path(), "/gate");
    let first = with(server(engine, &volume, &hooks)).start();
    first.until("it is in the middle", |it| occurrences(it, "10-gate.sh") > 0);
    let second = with(server(engine, &volume, &hooks)).args(["-C", "data_directory"]).start();
    second.until("it waits", |it| occurrences(it, "which another run holds") > 0);
    open.file("open", "");
    until_it_serves(&first);
    assert_eq!(second.wait(), 0);
    assert_eq!(second.logs().stdout, format!("{DATA}\n"));
    assert_eq!(occurrences(&second, "running hook `initdb`"), 0);
    drop(gate);
}

#[test]
fn a_failed_hook_ends_the_first_run_and_can_be_fixed() {
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
    assert_eq!(query(&container, "app", "SELECT count(*) FROM ran"), "0");

    // A truncated file is a failed hook, too, and does not load half of the rows.
    let other = Volume::new(engine);
    let cut = Scratch::new();
    cut.file("10-cut.sql.gz", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
    assert_eq!(server(engine, &other, &cut).start().wait(), 80);
}

#[test]
fn options_reach_the_server_and_other_commands_run_unchanged() {
    let Some(engine) = engine() else { return };
    let image = example(engine, "postgres");
    for words in [vec!["--version"], vec!["postgres", "--version"]] {
        let version = engine.run(&image).args(words).output().succeeded();
        assert!(version.stdout.starts_with("postgres (PostgreSQL) "), "{}", version.stdout);
        assert_eq!(version.stderr, "");
    }
    let bash = engine.run(&image).args(["bash", "-c", "id -un; exit 3"]).output();
    assert_eq!((bash.status, &*bash.stdout, &*bash.stderr), (3, "root\n", ""));

    let nothing = engine.run(&image).output().exited(65);
    assert!(nothing.stderr.contains("POSTGRES_HOST_AUTH_METHOD=trust"), "{}", nothing.stderr);
    let nonsense = engine.run(&image).env("POSTGRES_PASSWORD", "x").args(["-c", "nonsense=1"]).output();
    assert_eq!(nonsense.status, 80);
    assert!(nonsense.stderr.contains("unrecognized configuration parameter"), "{}", nonsense.stderr);
}

#[test]
fn the_variables_of_the_official_image_have_the_same_meaning() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let container = bare(engine, &volume)
        .env("PGDATA", "/var/lib/postgresql/data/below")
        .env("POSTGRES_HOST_AUTH_METHOD", "trust")
        .env("POSTGRES_INITDB_WALDIR", "/var/lib/postgresql/data/wal")
        .mount("/names/user", "app\n")
        .env("POSTGRES_USER_FILE", "/names/user")
        .start();
    until_it_serves(&container);
    assert_eq!(query(&container, "app", "SHOW data_directory"), "/var/lib/postgresql/data/below");
    let address = crate::examples::address(&container);
    let target = format!("host={address} user=app dbname=app");
    assert_eq!(container.exec(["psql", "-XAtqc", "SELECT 1", &target]).succeeded().stdout, "1\n");
    let wal = container.exec(["readlink", "/var/lib/postgresql/data/below/pg_wal"]).succeeded();
    assert_eq!(wal.stdout, "/var/lib/postgresql/data/wal\n");
}

#[test]
fn any_user_can_run_it_on_a_read_only_root_and_clients_reach_it() {
    let Some(engine) = engine() else { return };
    for user in ["999:999", "1234:1234"] {
        let volume = Volume::new(engine);
        let network = Network::new(engine);
        // The engine gives an empty volume the image's owner, unless the mount says nocopy.
        let bare = || engine.run(&example(engine, "postgres")).volume(&volume, &format!("{DATA}:nocopy"));
        bare().args(["chown", user, DATA]).output().succeeded();
        let container = bare()
            .env("POSTGRES_USER", "app")
            .env("POSTGRES_PASSWORD", PASSWORD)
            .network(&network, "db")
            .flag(format!("--user={user}"))
            .flag("--read-only")
            .flag("--cap-drop=ALL")
            .flag(format!("--tmpfs=/run/postgresql:uid={0},gid={0}", &user[..user.len() / 2]))
            .start();
        until_it_serves(&container);
        let client = engine
            .run(&example(engine, "postgres"))
            .network(&network, "client")
            .env("PGPASSWORD", PASSWORD)
            .args(["psql", "-XAtq", "-h", "db", "-U", "app", "-c", "SELECT 1"])
            .output();
        assert_eq!(client.succeeded().stdout, "1\n", "{user}");
        let stopped = container.stop();
        assert_eq!(stopped.status, 0, "{user}");
    }
}
