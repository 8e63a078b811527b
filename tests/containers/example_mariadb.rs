//! `examples/mariadb`: the official image's volumes, variables and arguments, and a first run that can be stopped
//! anywhere.

use std::process::Command;
use std::time::Duration;

use crate::examples::{address, example};
use crate::harness::{Container, Engine, Run, Scratch, Volume, engine};

const PASSWORD: &str = "it's a \\ \"password\"";
const DATA: &str = "/var/lib/mysql";

fn bare(engine: &'static Engine, volume: &Volume) -> Run {
    engine.run(&example(engine, "mariadb")).volume(volume, DATA)
}

fn server(engine: &'static Engine, volume: &Volume, hooks: &Scratch) -> Run {
    bare(engine, volume)
        .mount("/run/secrets/mariadb_root_password", PASSWORD)
        .env("MARIADB_DATABASE", "shop")
        .bind(hooks.path(), "/docker-entrypoint-initdb.d")
}

fn until_it_serves(container: &Container) {
    container.until("the server is healthy", |it| it.exec(["preverb", "--health"]).status == 0);
}

#[track_caller]
fn query(container: &Container, sql: &str) -> String {
    let password = format!("-p{PASSWORD}");
    let words = ["mariadb", "-uroot", &password, "-N", "-B", "-e", sql];
    container.exec(words).succeeded().stdout.trim_end().to_owned()
}

fn occurrences(container: &Container, text: &str) -> usize {
    container.logs().stderr.matches(text).count()
}

#[test]
fn the_first_run_creates_accounts_and_database_and_runs_initdb_d_in_order() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let hooks = Scratch::new();
    let row = |hook: &str| format!("INSERT INTO ran (hook) VALUES ('{hook}');\n");
    hooks.file("10-table.sql", format!("CREATE TABLE ran (n serial, hook text);\n{}", row("sql")));
    for (program, name) in [("gzip", "20-rows"), ("xz", "30-rows"), ("zstd", "35-rows")] {
        let file = hooks.file(&format!("{name}.sql"), row(program));
        assert!(Command::new(program).arg("-q").arg(&file).status().unwrap().success());
        // zstd keeps its input file.
        let _ = std::fs::remove_file(&file);
    }
    hooks.file(
        "40-more.sh",
        "docker_process_sql <<<\"INSERT INTO ran (hook) VALUES ('sh of $MYSQL_DATABASE')\"\n",
    );
    hooks.program("50-run.sh", "#!/bin/sh\nmariadb -u\"$MARIADB_USER\" -p\"$MARIADB_PASSWORD\" -e \"INSERT INTO ran (hook) VALUES ('run')\" shop; exit 0\n");

    let container = server(engine, &volume, &hooks)
        .env("MYSQL_USER", "ron")
        .env("MYSQL_PASSWORD", " $' \n")
        .args(["--max-connections=77"])
        .start();
    until_it_serves(&container);
    assert_eq!(
        query(&container, "SELECT hook FROM shop.ran ORDER BY n"),
        "sql\ngzip\nxz\nzstd\nsh of shop\nrun"
    );
    assert_eq!(query(&container, "SELECT @@max_connections"), "77");
    assert_ne!(query(&container, "SELECT COUNT(*) FROM mysql.time_zone"), "0");
    let users = "SELECT CONCAT(user, '@', host) FROM mysql.global_priv ORDER BY 1";
    assert_eq!(query(&container, users), "mariadb.sys@localhost\nron@%\nroot@%\nroot@localhost");

    let login = |user: &str, password: &str| {
        let (host, password) = (format!("-h{}", address(&container)), format!("-p{password}"));
        container.exec(["mariadb", &host, user, &password, "-N", "-e", "SELECT 1", "shop"])
    };
    assert_eq!(login("-uron", " $' \n").succeeded().stdout, "1\n");
    assert_eq!(login("-uroot", PASSWORD).succeeded().stdout, "1\n");
    assert!(login("-uroot", "wrong").stderr.contains("Access denied"));

    let main = container.exec(["sh", "-c", "cat /proc/1/comm; stat -c %U /proc/1"]).succeeded();
    assert_eq!(main.stdout, "mariadbd\nmysql\n");
    let environ = container.exec_as(&["--user=mysql"], ["cat", "/proc/1/environ"]).succeeded().stdout;
    for name in ["PASSWORD=", "MYSQL_PWD", "FIRST_RUN", "DATADIR"] {
        assert!(!environ.contains(name), "{name}: {environ}");
    }
    let logs = container.logs();
    assert!(!logs.stderr.contains(PASSWORD));
    assert_eq!(logs.stdout, "", "standard output is the target's");

    let stopped = container.stop();
    assert_eq!(stopped.status, 0);
    assert!(stopped.took < Duration::from_secs(9), "{stopped:?}");
    container.restart();
    until_it_serves(&container);
    assert_eq!(query(&container, "SELECT count(*) FROM shop.ran"), "6");
    assert_eq!(occurrences(&container, "running hook `mariadb-install-db`"), 1);
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
    for phase in ["running hook `mariadb-install-db`", "running hook `mariadbd`", "in the middle"] {
        container.until_logged(phase);
        let health = container.exec(["preverb", "--health"]);
        assert!(health.status != 1 || health.stderr.contains("still setting up"), "{health:?}");
        let stopped = container.stop();
        assert_eq!(stopped.status, 143, "{phase}");
        assert!(stopped.took < Duration::from_secs(9), "{phase}: {stopped:?}");
        let left = bare(engine, &volume).args(["test", "-e", "/var/lib/mysql/mysql"]).output();
        assert_eq!(left.status, 1, "{phase}");
        container.restart();
    }
    container.until("it is in the middle again", |it| occurrences(it, "in the middle") == 2);
    container.kill("KILL");
    assert_eq!(container.wait(), 137);

    std::fs::write(gate, "true\n").unwrap();
    container.restart();
    until_it_serves(&container);
    assert_eq!(query(&container, "SELECT GROUP_CONCAT(n ORDER BY n) FROM shop.ran"), "1,2");
    assert_eq!(container.exec(["ls", "/var/lib/mysql/.first-run"]).status, 2, "nothing half made is left");
}

#[test]
fn options_reach_the_server_and_other_commands_run_unchanged() {
    let Some(engine) = engine() else { return };
    let image = example(engine, "mariadb");
    for words in [vec!["--version"], vec!["mysqld", "--version"], vec!["mariadbd", "-V"]] {
        let version = engine.run(&image).args(words).output().succeeded();
        assert!(version.stdout.contains("MariaDB"), "{}", version.stdout);
        assert_eq!(version.stderr, "");
    }
    let bash = engine.run(&image).args(["bash", "-c", "id -un; exit 3"]).output();
    assert_eq!((bash.status, &*bash.stdout), (3, "root\n"));
    let nothing = engine.run(&image).output().exited(65);
    assert!(nothing.stderr.contains("MARIADB_RANDOM_ROOT_PASSWORD"), "{}", nothing.stderr);
    let nonsense = engine.run(&image).env("MARIADB_ROOT_PASSWORD", "x").args(["--nonsense"]).output();
    assert_eq!(nonsense.status, 80);
    assert!(nonsense.stderr.contains("unknown option '--nonsense'"), "{}", nonsense.stderr);
}

#[test]
fn the_log_shows_a_random_password_but_no_password_hash() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let container = bare(engine, &volume).env("MYSQL_RANDOM_ROOT_PASSWORD", "1").start();
    until_it_serves(&container);
    let logs = container.logs().stderr;
    let password = logs.lines().find_map(|line| line.strip_prefix("GENERATED ROOT PASSWORD: ")).unwrap();
    container.exec(["mariadb", "-uroot", &format!("-p{password}"), "-e", "SELECT 1"]).succeeded();

    let volume = Volume::new(engine);
    let hash = "*61584B76F6ECE8FB9A328E7CF198094B2FAC55C7";
    let container = bare(engine, &volume).env("MARIADB_ROOT_PASSWORD_HASH", hash).start();
    until_it_serves(&container);
    container.exec(["mariadb", "-uroot", "-pbob", "-e", "SELECT 1"]).succeeded();
    assert!(!container.logs().stderr.contains(hash));
}

#[test]
fn any_user_can_run_it_on_a_read_only_root() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    // The engine gives an empty volume the image's owner, unless the mount says nocopy.
    let bare = || engine.run(&example(engine, "mariadb")).volume(&volume, &format!("{DATA}:nocopy"));
    bare().args(["chown", "1234:1234", DATA]).output().succeeded();
    let container = bare()
        .mount("/run/secrets/mariadb_root_password", PASSWORD)
        .flag("--user=1234:1234")
        .flag("--read-only")
        .flag("--cap-drop=ALL")
        .flag("--tmpfs=/tmp")
        .flag("--tmpfs=/run/mysqld:uid=1234,gid=1234")
        .start();
    until_it_serves(&container);
    assert_eq!(query(&container, "SELECT 1"), "1");
    assert_eq!(container.stop().status, 0);
}
