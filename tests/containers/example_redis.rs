//! `examples/redis`: the first argument, the user, and protected mode.

use crate::examples::{address, example};
use crate::harness::{Container, Run, Volume, engine};

#[track_caller]
fn ask(container: &Container, words: &[&str]) -> String {
    let mut all = vec!["redis-cli"];
    all.extend(words);
    container.exec(all).succeeded().stdout.trim_end().to_owned()
}

fn until_it_serves(container: &Container) {
    container.until("it answers", |it| it.exec(["redis-cli", "ping"]).stdout == "PONG\n");
}

#[test]
fn options_and_a_configuration_file_reach_the_server() {
    let Some(engine) = engine() else { return };
    let run = || -> Run { engine.run(&example(engine, "redis")) };
    for (words, appends) in [
        (vec![], "no"),
        (vec!["redis-server"], "no"),
        (vec!["--appendonly", "yes"], "yes"),
        (vec!["redis-server", "--appendonly", "yes"], "yes"),
        (vec!["/etc/test.conf"], "no"),
        (vec!["../etc/test.conf", "--appendonly", "yes"], "yes"),
        (vec!["redis-server", "/etc/test.conf"], "no"),
    ] {
        let with_file = words.iter().any(|word| word.contains(".conf"));
        let container = run().mount("/etc/test.conf", "save 61 1001\n").args(&words).start();
        until_it_serves(&container);
        assert_eq!(
            ask(&container, &["config", "get", "appendonly"]),
            format!("appendonly\n{appends}"),
            "{words:?}"
        );
        let save = ask(&container, &["config", "get", "save"]);
        assert_eq!(save == "save\n61 1001", with_file, "{words:?}");
        // A connection from outside, without a password.
        assert_eq!(ask(&container, &["-h", &address(&container), "ping"]), "PONG", "{words:?}");
        let main = container.exec(["sh", "-c", "cat /proc/1/comm; stat -c %U /proc/1; umask"]).succeeded();
        assert!(main.stdout.starts_with("redis-server\nredis\n"), "{}", main.stdout);
    }
    let version = run().args(["--version"]).output().succeeded();
    assert!(version.stdout.starts_with("Redis server v="), "{}", version.stdout);
    let shell = run().args(["sh", "-c", "id -un"]).output().succeeded();
    assert_eq!((&*shell.stdout, &*shell.stderr), ("root\n", ""));
}

#[test]
fn the_operator_can_turn_protected_mode_on() {
    let Some(engine) = engine() else { return };
    let container = engine.run(&example(engine, "redis")).env("REDIS_PROTECTED_MODE", "yes").start();
    until_it_serves(&container);
    let refused = container.exec(["redis-cli", "-h", &address(&container), "ping"]);
    assert!(format!("{}{}", refused.stdout, refused.stderr).contains("DENIED"), "{refused:?}");
    let wrong = engine.run(&example(engine, "redis")).env("REDIS_PROTECTED_MODE", "maybe").output();
    assert_eq!(wrong.status, 65);
}

#[test]
fn data_survives_a_restart_and_is_private_to_its_user() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let run = || engine.run(&example(engine, "redis")).volume(&volume, "/data");
    run().args(["sh", "-c", "touch old; chown 7:7 old"]).output().succeeded();
    let container = run().start();
    until_it_serves(&container);
    ask(&container, &["set", "key", "value"]);
    assert_eq!(container.stop().status, 0);
    container.restart();
    until_it_serves(&container);
    assert_eq!(ask(&container, &["get", "key"]), "value");
    let files = container.exec(["sh", "-c", "stat -c '%n %U %a' *"]).succeeded().stdout;
    assert!(files.contains("dump.rdb redis 600\n") && files.contains("old redis "), "{files}");

    let other = Volume::new(engine);
    let read_only = engine
        .run(&example(engine, "redis"))
        .volume(&other, "/data")
        .flag("--user=999:1000")
        .flag("--read-only")
        .flag("--cap-drop=ALL")
        .start();
    until_it_serves(&read_only);
    assert_eq!(read_only.stop().status, 0);
}
