//! `compose.yaml` at the top, as a newcomer runs it: `docker compose up --build`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::harness::{Compose, Container, engine, repository, stand_ins, undisturbed, until};

/// A project of the top-level compose file, on a free port; `None` without an engine.
fn project(environment: &str) -> Option<(Compose, u16)> {
    let engine = engine()?;
    stand_ins(engine, &["debian:bookworm-slim", "rust:1.95-slim-bookworm"]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let compose = Compose::new(engine, &[&repository().join("compose.yaml")])
        .env("APP_ENV", environment)
        .env("PORT", &port.to_string());
    Some((compose, port))
}

#[track_caller]
fn becomes_healthy(container: &Container) {
    container.until("it is healthy", |it| it.health() == "healthy");
}

/// The answer of the server to `GET PATH`, once it answers.
fn answer(port: u16, path: &str) -> String {
    until("the server answers on the host's port", || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        (!answer.is_empty()).then_some(answer)
    })
}

#[test]
fn compose_up_builds_migrates_and_serves() {
    let Some((compose, port)) = project("dev") else { return };
    compose.output(&["up", "--build", "--detach"]).succeeded();
    let [migrate, server, daemon] = ["migrate", "server", "daemon"].map(|name| compose.container(name));
    assert_eq!(migrate.wait(), 0, "{:?}", migrate.logs());
    assert_eq!(migrate.logs().stdout, "migrated in dev\n");
    let finished = migrate.inspect("{{.State.FinishedAt}}");
    for service in [&server, &daemon] {
        becomes_healthy(service);
        // Timestamps of one zone and one format sort like their texts.
        let started = service.inspect("{{.State.StartedAt}}");
        assert!(finished <= started, "migrate ended at {finished}, the service started at {started}");
    }
    let settings = answer(port, "/");
    for line in [
        "PREVERB_VERB=server",
        "PREVERB_ENVIRONMENT=dev",
        "GREETING=hello from a hook, in dev",
        "FEATURES=toolbar, because of: hello from a hook, in dev",
    ] {
        assert!(settings.lines().any(|it| it == line), "{line} is not in {settings}");
    }
    daemon.until_logged("working in dev, round 1");
    let _quiet = undisturbed();
    for service in [&server, &daemon] {
        let stopped = service.stop();
        assert_eq!(stopped.status, 143);
        assert!(stopped.took < Duration::from_secs(3), "{stopped:?}");
    }
}

#[test]
fn dev_hooks_do_not_run_in_prod() {
    let Some((compose, port)) = project("") else { return };
    compose.output(&["up", "--build", "--detach"]).succeeded();
    let settings = answer(port, "/");
    assert!(settings.contains("PREVERB_ENVIRONMENT=prod\nGREETING=hello\nFEATURES=none\n"), "{settings}");
}

#[test]
fn services_do_not_start_after_a_failed_migration() {
    let Some((compose, _)) = project("not/a/name") else { return };
    assert_ne!(compose.output(&["up", "--build", "--detach"]).status, 0);
    assert_eq!(compose.container("migrate").wait(), 65);
    for service in ["server", "daemon"] {
        assert!(!compose.is_running(service), "{service} runs");
    }
}
