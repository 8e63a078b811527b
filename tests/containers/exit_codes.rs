//! Exit codes, as `docker run` and `docker wait` give them, and restart policies, which go by them.

use crate::harness::{base, engine, until};

/// The exit code of a table's verb `server`, both ways.
#[track_caller]
fn exits(table: &str, words: &[&str], status: i32) {
    let Some(engine) = engine() else { return };
    let run = || engine.run(&base()).table(table).args(words);
    let output = run().output().exited(status);
    if status < 126 && status > 63 && status != 125 {
        assert!(output.stderr.starts_with("preverb: "), "{}", output.stderr);
    }
    assert_eq!(run().start().wait(), status);
}

#[test]
fn the_targets_own_exit_codes_pass_through() {
    for status in [0, 1, 3, 255] {
        for init in ["false", "true"] {
            let table = format!("[verbs.server]\nexec = ['sh', '-c', 'exit {status}']\ninit = {init}\n");
            exits(&table, &["server"], status);
        }
    }
}

#[test]
fn a_supervised_target_killed_by_a_signal_is_128_plus_its_number() {
    for (signal, status) in [("KILL", 137), ("SEGV", 139), ("TERM", 143)] {
        let table = format!("[verbs.server]\nexec = ['sh', '-c', 'kill -{signal} $$']\ninit = true\n");
        exits(&table, &["server"], status);
    }
}

#[test]
fn an_unknown_verb_is_64() {
    exits("[verbs.server]\nexec = ['true']\n", &["sevrer"], 64);
}

#[test]
fn no_verb_is_64() {
    exits("[verbs.server]\nexec = ['true']\n", &[], 64);
}

#[test]
fn a_missing_variable_is_65() {
    let table = "[variables.PASSWORD]\nrequired = true\n[verbs.server]\nexec = ['true']\n";
    exits(table, &["server"], 65);
}

#[test]
fn a_wait_that_times_out_is_69() {
    let table =
        "[[setup]]\nwait = ['tcp://127.0.0.1:1']\ntimeout = '200ms'\n[verbs.server]\nexec = ['true']\n";
    exits(table, &["server"], 69);
}

#[test]
fn a_missing_working_directory_is_71() {
    exits("[verbs.server]\nexec = ['true']\nworkdir = '/missing'\n", &["server"], 71);
}

#[test]
fn a_missing_user_is_77() {
    exits("[verbs.server]\nexec = ['true']\nuser = 'nobody-here'\n", &["server"], 77);
}

#[test]
fn a_broken_table_is_78() {
    exits("[verbs.server]\nexce = ['true']\n", &["server"], 78);
}

#[test]
fn a_missing_table_is_78() {
    let Some(engine) = engine() else { return };
    engine.run(&base()).args(["server"]).output().exited(78);
}

#[test]
fn a_verb_of_another_environment_is_78() {
    exits(
        "[environments.dev.verbs.shell]\nexec = ['true']\n[verbs.server]\nexec = ['true']\n",
        &["shell"],
        78,
    );
}

#[test]
fn a_failed_hook_is_80() {
    exits("[[setup]]\nrun = ['sh', '-c', 'exit 3']\n[verbs.server]\nexec = ['true']\n", &["server"], 80);
}

#[test]
fn a_target_that_cannot_run_is_126() {
    exits("[verbs.server]\nexec = ['/etc/passwd']\n", &["server"], 126);
}

#[test]
fn a_target_that_is_missing_is_127() {
    exits("[verbs.server]\nexec = ['missing-program']\n", &["server"], 127);
}

#[test]
fn a_target_over_its_memory_limit_is_137() {
    let Some(engine) = engine() else { return };
    for init in ["false", "true"] {
        let table = format!(
            "[verbs.server]\nexec = ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=300M', 'count=1']\ninit = {init}\n"
        );
        let container = engine
            .run(&base())
            .table(&table)
            .flag("--memory=32m")
            .flag("--memory-swap=32m")
            .args(["server"])
            .start();
        assert_eq!(container.wait(), 137, "{:?}", container.logs());
        if !engine.is_podman() {
            // With version 1 of cgroups, podman does not notice it.
            assert_eq!(container.inspect("{{.State.OOMKilled}}"), "true");
        }
    }
}

#[test]
fn a_hook_over_its_memory_limit_is_80_and_is_reported_as_killed() {
    let Some(engine) = engine() else { return };
    let table = "[[setup]]\nrun = ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=300M', 'count=1']\n\
                 [verbs.server]\nexec = ['echo', 'never']\n";
    let output = engine
        .run(&base())
        .table(table)
        .flag("--memory=32m")
        .flag("--memory-swap=32m")
        .args(["server"])
        .output()
        .exited(80);
    assert!(output.stderr.contains("KILL"), "{}", output.stderr);
    assert_eq!(output.stdout, "");
}

#[test]
fn a_failure_is_restarted_as_often_as_the_policy_says() {
    let Some(engine) = engine() else { return };
    let container = engine
        .run(&base())
        .table("[[setup]]\nrun = ['sh', '-c', 'exit 3']\n[verbs.server]\nexec = ['true']\n")
        .flag("--restart=on-failure:2")
        .args(["server"])
        .start();
    container.until("it was restarted twice, and then no more", |it| {
        it.inspect("{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}") == "2 exited 80"
    });
}

#[test]
fn a_success_is_not_restarted_on_failure() {
    let Some(engine) = engine() else { return };
    let container = engine
        .run(&base())
        .table("[verbs.migrate]\nexec = ['echo', 'migrated']\n")
        .flag("--restart=on-failure")
        .args(["migrate"])
        .start();
    assert_eq!(container.wait(), 0);
    assert_eq!(container.inspect("{{.RestartCount}} {{.State.Running}}"), "0 false");
    assert_eq!(container.logs().stdout, "migrated\n");
}

#[test]
fn a_restarted_server_runs_its_setup_each_time_and_a_stopped_server_stays_stopped() {
    let Some(engine) = engine() else { return };
    let container = engine
        .run(&base())
        .table(
            "[[setup]]\nrun = ['echo', 'setup']\n[verbs.server]\nexec = ['sh', '-c', 'echo up; sleep 1']\n",
        )
        .flag("--restart=always")
        .args(["server"])
        .start();
    until("it has come up three times", || {
        let logs = container.logs();
        (logs.stdout.lines().filter(|line| *line == "up").count() >= 3).then_some(())
    });
    container.stop();
    assert_eq!(container.inspect("{{.State.Running}}"), "false");
}
