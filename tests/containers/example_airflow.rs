//! `examples/airflow`: commands of the application as verbs, and migrations that one of several containers runs.

use std::time::Duration;

use crate::examples::{address, example, get};
use crate::harness::{Compose, Container, Engine, Network, Run, Scratch, Volume, engine, repository, until};

const STATE: &str = "/opt/airflow/state";
const IN_STATE: &str = "sqlite:////opt/airflow/state/airflow.db";
/// A wrapper around `airflow` that holds each migration until a file allows it to continue.
const GATE: &str = "#!/bin/sh
case $* in
'db migrate')
    echo 'in the middle'
    until [ -e /usr/local/sbin/open ]; do sleep 0.1; done
    ;;
esac
exec /usr/local/bin/airflow \"$@\"
";

fn image(engine: &'static Engine) -> Run {
    engine.run(&example(engine, "airflow"))
}

/// One of several containers on a volume that also holds the database.
fn replica(engine: &'static Engine, volume: &Volume, gate: &Scratch) -> Run {
    beside(engine, volume, gate, IN_STATE)
}

/// One of several containers on a volume, with this database.
fn beside(engine: &'static Engine, volume: &Volume, gate: &Scratch, database: &str) -> Run {
    image(engine)
        .volume(volume, STATE)
        .bind(gate.path(), "/usr/local/sbin")
        .env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", database)
        .env("_AIRFLOW_DB_MIGRATE", "true")
}

fn ask(container: &Container, sql: &str) -> String {
    let script = format!("import sqlite3; print(*sqlite3.connect('{STATE}/airflow.db').execute({sql:?}))");
    container.exec(["python3", "-c", &script]).succeeded().stdout.trim_end().to_owned()
}

fn until_healthy(container: &Container) {
    container.until("it is healthy", |it| it.exec(["preverb", "--health"]).status == 0);
}

#[test]
fn the_first_argument_is_a_verb_or_belongs_to_the_application() {
    let Some(engine) = engine() else { return };
    let output = |args: &[&str]| image(engine).args(args).output();
    for words in [&["version"][..], &["airflow", "version"]] {
        let version = output(words).succeeded();
        assert_eq!((&*version.stdout, &*version.stderr), ("2.10.5\n", ""), "no setup: {words:?}");
    }
    let unknown = output(&["dgas", "list", "-o", ""]).exited(2);
    assert!(unknown.stderr.contains("invalid choice: ['dgas', 'list', '-o', '']"), "{}", unknown.stderr);
    let usage = output(&["--help"]).exited(2);
    assert!(usage.stderr.contains("invalid choice: ['--help']"), "the application's: {}", usage.stderr);
    let executor = image(engine)
        .env("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
        .args(["config", "get-value", "core", "executor"])
        .output();
    assert_eq!(executor.succeeded().stdout, "LocalExecutor\n");
    let bash = output(&["bash", "-c", "id -u; exit 3"]);
    assert_eq!((bash.status, &*bash.stdout, &*bash.stderr), (3, "50000\n", ""), "no setup for a shell");
    assert_eq!(output(&["python", "-c", "print(7)"]).succeeded().stdout, "7\n");
}

#[test]
fn one_of_two_containers_migrates_once_for_each_version() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let gate = Scratch::new();
    gate.program("airflow", GATE);
    let user = |run: Run| {
        run.env("_AIRFLOW_WWW_USER_CREATE", "true").env("_AIRFLOW_WWW_USER_PASSWORD_CMD", "echo pa$(echo ss)")
    };
    let first = user(replica(engine, &volume, &gate)).args(["webserver"]).start();
    first.until_logged("in the middle");
    let health = first.exec(["preverb", "--health"]).exited(1);
    assert!(health.stderr.contains("still setting up"), "{}", health.stderr);
    let second = user(replica(engine, &volume, &gate)).args(["scheduler"]).start();
    second.until_logged("waits for the lock of");
    gate.file("open", "");
    until_healthy(&first);
    until_healthy(&second);
    assert_eq!(ask(&first, "SELECT * FROM migration"), "('2.10.5', '')");
    assert_eq!(ask(&first, "SELECT * FROM ab_user"), "('admin', 'Admin', 'pass')");
    let migrations = |it: &Container| it.logs().stderr.matches("running hook `migrations`").count();
    assert_eq!((migrations(&first), migrations(&second)), (1, 0));
    // The server's variables and standard output stay its own.
    let variables = first.exec(["preverb", "--exec", "--", "env"]).succeeded().stdout;
    assert!(!variables.contains("_AIRFLOW_WWW_USER_PASSWORD"), "{variables}");
    assert!(second.logs().stdout.starts_with("scheduler serves\n"), "{}", second.logs().stdout);
    for container in [&first, &second] {
        let stopped = container.stop();
        assert_eq!(stopped.status, 0);
        assert!(stopped.took < Duration::from_secs(5), "{stopped:?}");
        container.restart();
        until_healthy(container);
    }
    assert_eq!((migrations(&first), migrations(&second)), (1, 0));

    let newer = replica(engine, &volume, &gate).env("AIRFLOW_VERSION", "2.11.0").args(["worker"]).start();
    newer.until_logged("worker serves");
    assert_eq!(ask(&newer, "SELECT * FROM migration"), "('2.10.5', '') ('2.11.0', '2.10.5')");
    assert_eq!(newer.stop().status, 0, "a worker ends its tasks");
    assert_eq!(newer.logs().stdout, "worker serves\nworker has ended what it had begun\n");
}

#[test]
fn an_interrupted_or_failed_migration_runs_again() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let gate = Scratch::new();
    let program = gate.program("airflow", GATE);
    let container = replica(engine, &volume, &gate).args(["webserver"]).start();
    let stops = |count: usize| {
        container
            .until("it is in the middle", |it| it.logs().stderr.matches("in the middle").count() == count);
    };
    stops(1);
    let stopped = container.stop();
    assert_eq!(stopped.status, 143);
    assert!(stopped.took < Duration::from_secs(5), "{stopped:?}");
    container.restart();
    stops(2);
    container.kill("KILL");
    assert_eq!(container.wait(), 137);

    std::fs::write(&program, "#!/bin/sh\necho 'not today'\nexit 4\n").unwrap();
    container.restart();
    assert_eq!(container.wait(), 80);
    let logs = container.logs().stderr;
    assert!(logs.contains("not today") && logs.contains("status 4"), "{logs}");

    std::fs::write(&program, GATE).unwrap();
    gate.file("open", "");
    container.restart();
    until_healthy(&container);
    assert_eq!(ask(&container, "SELECT * FROM migration"), "('2.10.5', '')");
}

#[test]
fn a_start_waits_for_the_database_wherever_its_url_comes_from() {
    let Some(engine) = engine() else { return };
    let network = Network::new(engine);
    let run = || image(engine).network(&network, "airflow").env("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor");
    let url = "redis://broker.invalid:1/0";
    let waiting = run()
        .env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql+psycopg2://air:s3cret@database/air")
        .args(["webserver"])
        .start();
    waiting.until_logged("waiting for");
    let health = waiting.exec(["preverb", "--health"]).exited(1);
    assert!(health.stderr.contains("still setting up"), "{}", health.stderr);
    let stopped = waiting.stop();
    assert_eq!(stopped.status, 143, "a stop while it waits");
    assert!(stopped.took < Duration::from_secs(3), "{stopped:?}");
    let logs = waiting.logs().stderr;
    assert!(!logs.contains("s3cret"), "{logs}");

    let short = || run().env("CONNECTION_CHECK_TIMEOUT", "1s").env("AIRFLOW__CELERY__BROKER_URL", url);
    let late = short()
        .env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://database/air")
        .args(["dags", "list"])
        .output()
        .exited(69);
    assert!(late.stderr.contains("database"), "{}", late.stderr);
    let broker = short().args(["scheduler"]).output().exited(69);
    assert!(broker.stderr.contains("broker.invalid"), "{}", broker.stderr);
    let none = short().env("CONNECTION_CHECK_MAX_COUNT", "0").args(["scheduler"]).output().exited(1);
    assert!(none.stderr.contains("no such table"), "nothing was waited for: {}", none.stderr);

    // Airflow itself knows where its database is.
    let state = "sqlite:////opt/airflow/airflow.db";
    let by_command = run()
        .env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD", &format!("echo {state}"))
        .env("_AIRFLOW_DB_MIGRATE", "1")
        .args(["webserver"])
        .start();
    let by_backend = run()
        .mount("/opt/airflow/config/connection", state)
        .env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET", "connection")
        .env("_AIRFLOW_DB_UPGRADE", "true")
        .args(["webserver"])
        .start();
    until_healthy(&by_command);
    until_healthy(&by_backend);
    let broken =
        short().env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD", "exit 3").args(["webserver"]).output();
    assert_eq!(broken.status, 69, "{}", broken.stderr);
}

#[test]
fn any_user_in_group_0_can_run_it_and_other_groups_are_refused() {
    let Some(engine) = engine() else { return };
    let gate = Scratch::new();
    let volume = Volume::new(engine);
    let run = |user: &str, database: &str| {
        beside(engine, &volume, &gate, database)
            .flag(format!("--user={user}"))
            .flag("--read-only")
            .flag("--cap-drop=ALL")
            .flag("--tmpfs=/tmp")
    };
    let container = run("1234:0", IN_STATE).args(["webserver"]).start();
    until_healthy(&container);
    let script = "echo $HOME $USER; umask; stat -c %u:%g /opt/airflow/state/migrated";
    let made = container.exec(["preverb", "--exec", "--", "sh", "-c", script]);
    assert_eq!(made.succeeded().stdout, "/home/airflow airflow\n0002\n1234:0\n");
    assert_eq!(container.stop().status, 0);
    let next = run("4321:0", IN_STATE).args(["db", "check"]).output().succeeded();
    assert!(!next.stderr.contains("migrations"), "{}", next.stderr);
    let warned = run("50000:50000", IN_STATE).args(["db", "check"]).output().succeeded();
    assert!(warned.stderr.contains("warning: run this image as 50000:0"), "{}", warned.stderr);
    // Another user of the group can replace a marker.
    let newer = run("4321:0", "sqlite:////tmp/airflow.db")
        .env("AIRFLOW_VERSION", "2.11.0")
        .args(["db", "check"])
        .output()
        .succeeded();
    assert!(newer.stderr.contains("hook `migrations` done"), "{}", newer.stderr);
    let refused = image(engine).flag("--user=1234:1234").args(["webserver"]).output().exited(80);
    assert!(refused.stderr.contains("--user 1234:0"), "{}", refused.stderr);
    let missing = image(engine)
        .env("_AIRFLOW_WWW_USER_CREATE", "true")
        .env("CONNECTION_CHECK_MAX_COUNT", "some")
        .args(["webserver"])
        .output()
        .exited(65);
    for name in ["`_AIRFLOW_WWW_USER_PASSWORD`", "`CONNECTION_CHECK_MAX_COUNT`"] {
        assert!(missing.stderr.contains(name), "{}", missing.stderr);
    }
}

#[test]
fn compose_starts_every_process_in_any_order() {
    let Some(engine) = engine() else { return };
    for name in ["postgres", "redis", "airflow"] {
        example(engine, name);
    }
    let file = repository().join("examples/airflow/compose.yaml");
    let compose = Compose::new(engine, &[&file]).env("PUBLISH", "0");
    compose.output(&["up", "--detach"]).succeeded();
    let services = ["webserver", "scheduler", "worker"].map(|service| compose.container(service));
    for container in &services {
        until_healthy(container);
    }
    let server = format!("{}:8080", address(&services[0]));
    assert_eq!(until("it answers", || get(&server, "localhost", "/health")).status, 200);
    let migrated =
        services.iter().filter(|it| it.logs().stderr.contains("running hook `migrations`")).count();
    assert_eq!(migrated, 1);
    let user = ["users", "create", "--username", "ann", "--role", "Viewer", "--password", "secret"];
    let created = compose.output(&[&["run", "--rm", "-T", "webserver"][..], &user].concat()).succeeded();
    assert_eq!(created.stdout, "User ann created\n");
}
