//! `during`: a program that runs while the steps of a group do.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::dsl::{Output, Test};

/// A server that logs its start and end in `log`; it is ready when `up` exists, and `last` is what it does at
/// the end.
fn server(last: &str) -> String {
    format!(
        "#!/bin/sh\ntrap 'echo down >>log; rm -f up; {last}' TERM INT\necho up >>log\n: >up\nwhile :; do sleep 0.05; done\n"
    )
}

/// A group with such a server and these other keys, then its steps.
fn group(last: &str, keys: &str, steps: &str) -> Test {
    let table = format!(
        "[verbs.a]\nexec = [\"echo\", \"the target\"]\nworkdir = \"[DIR]\"\n[[verbs.a.setup]]\nname = \"group\"\nduring = [\"server\", {{ args = true }}]\nready = \"file://[DIR]/up\"\n{keys}\n{steps}\n"
    );
    Test::new().table(table).program("server", server(last)).args(["a"])
}

fn step(line: &str) -> String {
    format!("[[verbs.a.setup.setup]]\n{line}\n")
}

fn run(script: &str) -> String {
    step(&format!("run = [\"sh\", \"-c\", {script:?}]"))
}

fn log(output: &Output) -> String {
    String::from_utf8(output.file("log").unwrap_or_default()).unwrap()
}

fn logged(expected: &'static str) -> impl Fn(&Output) {
    move |output| assert_eq!(log(output), expected)
}

#[test]
fn the_steps_run_once_the_program_is_ready_and_before_it_is_stopped() {
    let steps = run("test -e up; echo one >>log") + &run("echo two >>log");
    group("exit 0", "", &steps)
        .stdout("the target\n")
        .any_stderr()
        .check(logged("up\none\ntwo\ndown\n"))
        .pid1()
        .run();
}

#[test]
fn the_program_has_the_streams_of_a_hook_but_no_descriptor_3() {
    group("exit 0", "", &run("true"))
        .program(
            "server",
            "#!/bin/sh\necho \"in $(readlink /proc/$$/fd/0)\" >>log\ntest -e /proc/$$/fd/3 || echo 'no 3' >>log\necho 'to standard output'\ntest \"$(cut -d' ' -f5 /proc/$$/stat)\" = $$ && echo group >>log\n: >up\nexec sleep 1000\n",
        )
        .stdout("the target\n")
        .stderr_contains("to standard output\n")
        .check(logged("in /dev/null\nno 3\ngroup\n"))
        .run();
}

#[test]
fn the_program_gets_the_arguments_of_the_target() {
    group("exit 0", "", &run("true"))
        .program("server", "#!/bin/sh\necho \"$@\" >>log\n: >up\nexec sleep 1000\n")
        .args(["-c", "x=y z"])
        .stdout("the target -c x=y z\n")
        .any_stderr()
        .check(logged("-c x=y z\n"))
        .run();
}

#[test]
fn a_program_that_is_not_ready_in_time_is_stopped_and_the_run_ends() {
    group("exit 0", "timeout = \"300ms\"", &run("echo never >>log"))
        .program(
            "server",
            "#!/bin/sh\ntrap 'echo down >>log; exit 0' TERM\necho up >>log\nwhile :; do sleep 0.05; done\n",
        )
        .status(69)
        .stderr_contains("preverb: step `group`: not ready after 300 ms: `file://[DIR]/up`")
        .check(logged("up\ndown\n"))
        .run();
}

#[test]
fn a_program_that_ends_early_fails_the_run_and_ends_the_step_in_progress() {
    for (end, how) in [
        ("exit 0", "exited with status 0"),
        ("exit 3", "exited with status 3"),
        ("kill -9 $$", "was ended by SIGKILL"),
    ] {
        // While a step runs, and before it is ready.
        for ready in [": >up", ":"] {
            let begun = Instant::now();
            group(
                "",
                "",
                &run("trap 'echo ended >>log; exit 1' TERM; : >inner; while :; do sleep 0.05; done"),
            )
            .program(
                "server",
                format!(
                    "#!/bin/sh\n{ready}\nwhile test -e up && ! test -e inner; do sleep 0.02; done\n{end}\n"
                ),
            )
            .status(80)
            .stderr_contains(format!("step `group` in environment `prod` {how} before it was asked to end\n"))
            .check(move |output| {
                assert_eq!(log(output), if ready == ":" { "" } else { "ended\n" });
                assert!(begun.elapsed() < Duration::from_secs(20));
            })
            .run();
        }
    }
}

#[test]
fn a_program_that_ends_early_also_ends_a_wait() {
    group("", "", &step("wait = \"file:///none\"\ntimeout = \"0s\""))
        .program("server", "#!/bin/sh\n: >up\nsleep 0.3\nexit 0\n")
        .status(80)
        .stderr_contains("exited with status 0 before it was asked to end\n")
        .run();
}

#[test]
fn a_failed_step_stops_the_program_before_the_run_ends() {
    group("exit 0", "", &(run("echo one >>log; exit 5") + &run("echo never >>log")))
        .status(80)
        .stderr_contains("exited with status 5\n")
        .check(logged("up\none\ndown\n"))
        .run();
    // A warning does not end the run.
    let warns = step("run = [\"false\"]\non-failure = \"warn\"") + &run("echo two >>log");
    group("exit 0", "", &warns).stdout("the target\n").any_stderr().check(logged("up\ntwo\ndown\n")).run();
}

#[test]
fn the_program_may_end_with_0_by_its_signal_or_with_128_plus_its_number() {
    for (last, keys) in [
        ("exit 0", ""),
        ("trap - TERM; kill $$", ""),
        ("exit 143", ""),
        ("exit 130", "stop-signal = \"INT\""),
        ("trap - INT; kill -INT $$", "stop-signal = \"SIGINT\""),
    ] {
        group(last, keys, &run("true")).stdout("the target\n").any_stderr().check(logged("up\ndown\n")).run();
    }
    for (last, how) in [
        ("exit 1", "exited with status 1"),
        ("exit 130", "exited with status 130"),
        ("kill -9 $$", "was ended by SIGKILL"),
    ] {
        group(last, "", &run("true"))
            .status(80)
            .stderr_contains(format!("{how} when it was asked to end by SIGTERM\n"))
            .check(logged("up\ndown\n"))
            .run();
    }
}

#[test]
fn a_program_that_outlasts_its_grace_is_killed_and_fails_the_run() {
    group("echo still", "grace = \"300ms\"", &run("true"))
        .status(80)
        .stderr_contains("did not end within 300 ms of SIGTERM, and was killed\n")
        .check(logged("up\ndown\n"))
        .run();
}

#[test]
fn a_stop_in_any_phase_stops_the_program_before_the_run_ends() {
    let stopped = |test: Test, file: &'static str, log: &'static str| {
        test.during(move |running| {
            running.wait_for_file(file);
            running.signal(Signal::SIGTERM);
            running.ends_within(Duration::from_secs(4));
        })
        .status(143)
        .any_stderr()
        .check(logged(log))
        .pid1()
        .run();
    };
    let slow = "#!/bin/sh\ntrap 'echo down >>log; exit 0' TERM\necho up >>log\n: >started\nwhile :; do sleep 0.05; done\n";
    stopped(group("", "", &run("echo never >>log")).program("server", slow), "started", "up\ndown\n");
    let inner = run("trap 'echo inner >>log; exit 0' TERM; : >started; while :; do sleep 0.05; done");
    stopped(group("exit 0", "", &inner), "started", "up\ninner\ndown\n");
    // While it is already ending.
    let last = ": >ending; sleep 0.5; echo gone >>log; exit 0";
    stopped(group(last, "", &run("true")), "ending", "up\ndown\ngone\n");
}

#[test]
fn a_stop_shortens_the_grace_of_the_program_to_five_seconds() {
    let begun = Instant::now();
    group(": >ending; while :; do sleep 0.05; done", "", &run("true"))
        .during(|running| {
            running.wait_for_file("ending");
            running.signal(Signal::SIGTERM);
            running.ends_within(Duration::from_secs(10));
        })
        .status(143)
        .any_stderr()
        .check(move |_| assert!(begun.elapsed() >= Duration::from_secs(5)))
        .run();
}

#[test]
fn the_marker_of_once_is_written_after_the_program_has_ended() {
    let last = "test ! -e done && echo unmarked >>log; exit ${STATUS:-0}";
    let once = || group(last, "once = \"done\"", &run("echo one >>log"));
    once()
        .stdout("the target\n")
        .any_stderr()
        .check(|output| {
            assert_eq!(log(output), "up\none\ndown\nunmarked\n");
            assert!(output.file("done").is_some());
        })
        .run();
    once().file("done", "", 0o644).stdout("the target\n").check(logged("")).run();
    once()
        .env("STATUS", "1")
        .status(80)
        .any_stderr()
        .check(|output| assert!(output.file("done").is_none()))
        .run();
}

#[test]
fn variables_that_the_steps_set_end_with_the_group() {
    let steps = step("env = { A = \"inside\" }") + &run("echo \"$A\" >>log");
    let table = "[verbs.a]\nexec = [\"sh\", \"-c\", \"echo ${A-none}\"]\nworkdir = \"[DIR]\"\n[[verbs.a.setup]]\nduring = [\"server\"]\nready = \"file://[DIR]/up\"\n";
    Test::new()
        .table(format!("{table}{steps}").replace("${A", "$${A"))
        .program("server", server("exit 0"))
        .args(["a"])
        .stdout("none\n")
        .any_stderr()
        .check(logged("up\ninside\ndown\n"))
        .run();
}

#[test]
fn the_program_and_its_probes_run_as_the_user_of_the_group() {
    group("exit 0", "user = \"daemon\"", &run("id -u >>log"))
        .program("server", "#!/bin/sh\nid -u >log\n: >up\nexec sleep 1000\n")
        .needs_root()
        .under_shell("chown daemon .; exec \"$@\"")
        .stdout("the target\n")
        .any_stderr()
        .check(logged("1\n1\n"))
        .run();
}

#[test]
fn a_program_that_cannot_start_is_a_failed_hook() {
    group("", "", &run("true"))
        .program("server", "#!/none\n")
        .status(80)
        .stderr_contains("could not be started: ")
        .run();
}

#[test]
fn groups_with_during_cannot_be_nested() {
    let steps = step("during = [\"server\"]\nready = \"file:///x\"\nsetup = []");
    group("", "", &steps).status(78).stderr_contains("a group with `during` is within another one\n").run();
}

#[test]
fn during_needs_ready_and_appears_in_check_and_explain() {
    let table = |keys: &str| {
        Test::new()
            .table(format!("[verbs.a]\nexec = [\"true\"]\n[[verbs.a.setup]]\nsetup = []\n{keys}\n"))
            .program("server", server(""))
    };
    table("during = [\"server\"]").args(["a"]).status(78).stderr_contains("`during` needs a `ready`\n").run();
    table("during = [\"server\", \"-x\"]\nready = \"tcp://db:5432\"")
        .args(["--explain", "a"])
        .stdout_contains("during server -x\n")
        .stdout_contains("once tcp://db:5432 is ready\n")
        .run();
    table("during = [\"none\"]\nready = \"tcp://db\"")
        .args(["--check"])
        .status(78)
        .stderr_contains("`none`")
        .stderr_contains("`tcp://db`")
        .run();
}
