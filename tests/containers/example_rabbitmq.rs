//! `examples/rabbitmq`: the broker, and the programs that belong to it.

use std::time::Duration;

use crate::examples::example;
use crate::harness::{Network, Run, engine, until_within};

#[test]
fn the_broker_serves_and_its_programs_run_as_its_user() {
    let Some(engine) = engine() else { return };
    let network = Network::new(engine);
    let run = |host: &str| -> Run {
        engine
            .run(&example(engine, "rabbitmq"))
            .network(&network, host)
            .flag(format!("--hostname={host}"))
            .env("RABBITMQ_ERLANG_COOKIE", "secret")
    };
    let broker = run("broker").start();
    // Erlang takes its time on a busy machine.
    until_within(Duration::from_mins(2), "the broker is healthy", || {
        (broker.exec(["preverb", "--health"]).status == 0).then_some(())
    });
    let owner = broker.exec(["stat", "-c", "%U", "/proc/1"]).succeeded();
    assert_eq!(owner.stdout, "rabbitmq\n");
    let status = run("tool").args(["rabbitmqctl", "--node", "rabbit@broker", "await_startup"]).output();
    assert_eq!(status.status, 0, "{}", status.stderr);
    let stopped = broker.stop();
    assert_eq!(stopped.status, 0);
}

#[test]
fn unsupported_variables_are_refused_and_other_commands_run_unchanged() {
    let Some(engine) = engine() else { return };
    let image = example(engine, "rabbitmq");
    let refused = engine.run(&image).env("RABBITMQ_SSL_CERTFILE", "/x").output().exited(65);
    assert!(refused.stderr.contains("`RABBITMQ_SSL_CERTFILE`"), "{}", refused.stderr);
    let bash =
        engine.run(&image).args(["bash", "-c", "id -un; echo ${RABBITMQ_USE_LONGNAME-unset}"]).output();
    assert_eq!(bash.succeeded().stdout, "root\nunset\n");
    let long = engine.run(&image).flag("--hostname=a.example").args(["env"]).output().succeeded();
    assert!(long.stdout.contains("RABBITMQ_USE_LONGNAME=true\n"), "{}", long.stdout);
}
