//! The target inside the container: process 1, alone, with everything that the engine provides.

use crate::harness::{Volume, base, engine, until};

const SLEEP: &str = "[verbs.server]\nexec = ['sleep', '1000']\n";

#[test]
fn the_target_is_process_1_and_the_only_process() {
    let Some(engine) = engine() else { return };
    let container = engine.run(&base()).table(SLEEP).args(["server"]).start();
    container.until("the target is alone", |it| it.top() == ["sleep 1000"]);
    let comm = container.exec(["cat", "/proc/1/comm"]).succeeded();
    assert_eq!(comm.stdout, "sleep\n");
}

#[test]
fn after_hooks_the_target_is_still_the_only_process() {
    let Some(engine) = engine() else { return };
    let table = "[[setup]]\nhooks = '/hooks'\n[verbs.server]\nexec = ['sleep', '${SECONDS_TO_SLEEP}']\n";
    let container = engine
        .run(&base())
        .table(table)
        .mount("/hooks/10-first.sh", "export SECONDS_TO_SLEEP=1001\n")
        .mount("/hooks/20-second", "#!/bin/sh\nexit 0\n")
        .args(["server"])
        .start();
    container.until("the target is alone", |it| it.top() == ["sleep 1001"]);
}

#[test]
fn arguments_reach_the_target_byte_for_byte() {
    let Some(engine) = engine() else { return };
    let words = ["", " ", "--help", "--", "-x", "a b", "$HOME", "${HOME}", "*", "'\"\\", "é\n\t", "x"];
    let output = engine
        .run(&base())
        .table("[verbs.show]\nexec = ['printf', '[%s]']\n")
        .args(["show"])
        .args(words)
        .output()
        .succeeded();
    let expected = format!("[{}]", words.join("]["));
    assert_eq!(output.stdout, expected);
    assert_eq!(output.stderr, "");
}

#[test]
fn standard_streams_belong_to_the_target() {
    let Some(engine) = engine() else { return };
    let output = engine
        .run(&base())
        .table("[[setup]]\nrun = ['sh', '-c', 'cat; echo from the hook']\n[verbs.copy]\nexec = ['cat']\n")
        .args(["copy"])
        .input("one\ntwo\n")
        .output()
        .succeeded();
    assert_eq!(output.stdout, "one\ntwo\n");
    assert!(output.stderr.contains("from the hook"), "{}", output.stderr);
}

#[test]
fn variables_of_the_table_override_those_of_the_engine() {
    let Some(engine) = engine() else { return };
    let output = engine
        .run(&base())
        .table("[env]\nFROM_TABLE = '${FROM_ENGINE}!'\nBOTH = 'table'\n[verbs.env]\nexec = ['env']\n")
        .env("FROM_ENGINE", "engine")
        .env("BOTH", "engine")
        .env("my.odd-name", "odd")
        .env("APP_ENV", "dev")
        .args(["env"])
        .output()
        .succeeded();
    let lines: Vec<&str> = output.stdout.lines().collect();
    for line in [
        "FROM_ENGINE=engine",
        "FROM_TABLE=engine!",
        "BOTH=table",
        "my.odd-name=odd",
        "PREVERB_VERB=env",
        "PREVERB_ENVIRONMENT=dev",
    ] {
        assert!(lines.contains(&line), "{line} is not in {lines:?}");
    }
}

#[test]
fn a_terminal_belongs_to_the_target() {
    let Some(engine) = engine() else { return };
    let script = "test -t 0 && test -t 1 && test -t 2 && tty && read line && echo \"got $line\"";
    let table =
        format!("[[setup]]\nrun = ['sh', '-c', 'true']\n[verbs.ask]\nexec = ['sh', '-c', '''{script}''']\n");
    let (mut terminal, _container) = engine.run(&base()).table(&table).args(["ask"]).terminal();
    terminal.until_shown("/dev/");
    terminal.send("an answer\r");
    let (status, screen) = terminal.finish();
    assert_eq!(status, 0, "{screen}");
    assert!(screen.contains("got an answer"), "{screen}");
}

#[test]
fn ctrl_c_in_a_terminal_reaches_the_target() {
    let Some(engine) = engine() else { return };
    for init in ["false", "true"] {
        let script = "trap \"echo interrupted; exit 5\" INT; echo ready; while :; do sleep 0.1; done";
        let table = format!("[verbs.loop]\nexec = ['sh', '-c', '{script}']\ninit = {init}\n");
        let (mut terminal, _container) = engine.run(&base()).table(&table).args(["loop"]).terminal();
        terminal.until_shown("ready");
        terminal.send("\u{3}");
        let (status, screen) = terminal.finish();
        assert_eq!(status, 5, "{screen}");
        assert!(screen.contains("interrupted"), "{screen}");
    }
}

#[test]
fn ctrl_c_in_a_hook_ends_the_run() {
    let Some(engine) = engine() else { return };
    let table = "[[setup]]\nrun = ['sh', '-c', 'echo busy; exec sleep 1000']\n[verbs.server]\nexec = ['echo', 'never']\n";
    let (mut terminal, _container) = engine.run(&base()).table(table).args(["server"]).terminal();
    terminal.until_shown("busy");
    terminal.send("\u{3}");
    let (status, screen) = terminal.finish();
    assert_eq!(status, 130, "{screen}");
    assert!(!screen.contains("never"), "{screen}");
}

#[test]
fn exec_has_the_targets_variables_user_and_directory() {
    let Some(engine) = engine() else { return };
    let table = "[[setup]]\nhooks = '/hooks'\n\
                 [verbs.server]\nexec = ['sleep', '1000']\nuser = 'app'\nworkdir = '/home/app'\n";
    let show = ["sh", "-c", "echo \"$TOKEN $(id -u):$(id -g) $PWD\""];
    let container = engine
        .run(&base())
        .table(table)
        .mount("/hooks/10-token.sh", "export TOKEN=from-the-hook\n")
        .args(["server"])
        .start();
    container.until("the target runs", |it| it.top() == ["sleep 1000"]);
    let bare = container.exec(show).succeeded();
    assert_eq!(bare.stdout, " 0:0 /\n");
    for flags in [&[][..], &["--user=1000:1000"]] {
        let words = ["preverb", "--exec", "--"].into_iter().chain(show);
        let joined = container.exec_as(flags, words).succeeded();
        assert_eq!(joined.stdout, "from-the-hook 1000:1000 /home/app\n", "{flags:?}");
    }
    let other = container.exec_as(&["--user=1234:1234"], ["preverb", "--exec", "--", "true"]);
    assert_ne!(other.status, 0);
    assert!(other.stderr.starts_with("preverb: "), "{}", other.stderr);
}

#[test]
fn orphans_are_reaped_when_the_verb_has_an_init() {
    let Some(engine) = engine() else { return };
    // Each inner shell leaves a child that outlives it, and ends without having waited for it.
    let breed =
        "for i in 0 1 2 3 4 5 6 7 8 9; do sh -c \"sleep 0.2 & exit\"; done; echo bred; exec sleep 1000";
    let table = format!("[verbs.worker]\nexec = ['sh', '-c', '{breed}']\ninit = true\n");
    let container = engine.run(&base()).table(&table).args(["worker"]).start();
    container.until_logged("bred");
    container.until("the supervisor and the target are all that is left", |it| {
        let top = it.top();
        top.len() == 2 && top[1] == "sleep 1000"
    });
}

#[test]
fn a_target_that_sends_kill_to_process_1_keeps_running() {
    let Some(engine) = engine() else { return };
    // Process 1 is immune to signals from inside that it does not handle, KILL included.
    let output = engine
        .run(&base())
        .table("[verbs.try]\nexec = ['sh', '-c', 'kill -KILL 1; echo alive']\n")
        .args(["try"])
        .output()
        .succeeded();
    assert_eq!(output.stdout, "alive\n");
}

#[test]
fn two_replicas_on_one_volume_initialise_it_once() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let table = "[[setup]]\n\
                 name = 'initialise'\n\
                 run = ['sh', '-c', 'echo begun >> /data/log; sleep 1; echo done >> /data/log']\n\
                 once = '/data/initialised'\n\
                 [verbs.server]\nexec = ['cat', '/data/log']\n";
    let replicas: Vec<_> = (0..3)
        .map(|_| engine.run(&base()).table(table).volume(&volume, "/data").args(["server"]).start())
        .collect();
    for replica in &replicas {
        assert_eq!(replica.wait(), 0, "{:?}", replica.logs());
        assert_eq!(replica.logs().stdout, "begun\ndone\n");
    }
}

#[test]
fn the_step_of_a_killed_replica_is_run_by_the_next_one() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let table = "[[setup]]\n\
                 name = 'initialise'\n\
                 run = ['sh', '-c', 'echo begun >> /data/log; test -e /data/quick || sleep 1000']\n\
                 once = '/data/initialised'\n\
                 [verbs.server]\nexec = ['cat', '/data/log']\n";
    let run = || {
        let run = engine.run(&base()).table(table);
        run.volume(&volume, "/data").args(["server"])
    };
    let killed = run().start();
    killed.until("the step has begun", |it| it.exec(["cat", "/data/log"]).stdout == "begun\n");
    killed.exec(["touch", "/data/quick"]).succeeded();
    killed.kill("KILL");
    assert_eq!(killed.wait(), 137);
    let next = run().output().succeeded();
    assert_eq!(next.stdout, "begun\nbegun\n");
    assert!(next.stderr.contains("initialise"), "{}", next.stderr);
    let last = run().output().succeeded();
    assert_eq!(last.stdout, "begun\nbegun\n");
    assert_eq!(last.stderr, "");
}

#[test]
fn a_container_that_starts_again_runs_its_setup_again() {
    let Some(engine) = engine() else { return };
    let table = "[[setup]]\nrun = ['echo', 'setup']\n[verbs.server]\nexec = ['echo', 'target']\n";
    let container = engine.run(&base()).table(table).args(["server"]).start();
    assert_eq!(container.wait(), 0);
    container.restart();
    until("both runs are in the logs", || (container.logs().stdout == "target\ntarget\n").then_some(()));
}
