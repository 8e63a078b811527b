//! The language itself: that a test can fail, and that what it promises about a run is so. Here a shell
//! stands in the place of preverb.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::dsl::{PATH, Test};

/// A case in which the script is the whole program.
fn script(script: &str) -> Test {
    Test::new().under(["sh", "-c", script])
}

fn fails(test: Test) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test.run()))
        .expect_err("the case should fail");
    panic.downcast_ref::<String>().unwrap().clone()
}

#[test]
fn what_is_not_expected_fails_the_test() {
    script("exit 0").run();
    assert!(fails(script("exit 3")).contains("the status is 3, and 0 was expected"));
    assert!(fails(script("echo a")).contains("standard output is not what was expected"));
    assert!(fails(script("echo a >&2")).contains("standard error is not what was expected"));
    assert!(fails(script("echo abc").stdout_contains("bd")).contains("standard output lacks"));
    assert!(fails(script("echo abc >&2").stderr_lacks("bc").any_stdout()).contains("holds"));
    assert!(fails(script("[ $$ != 1 ] || exit 9").pid1()).contains("as process 1: the status is 9"));
}

#[test]
fn the_directory_and_the_environment_are_those_of_the_test() {
    script("pwd; cat file; env; cat")
        .file("file", "in [DIR]\n", 0o644)
        .env("A", "[DIR]/a")
        .stdin("typed\n")
        .stdout(format!("[DIR]\nin [DIR]\nA=[DIR]/a\nPATH=[DIR]/bin:{PATH}\nPWD=[DIR]\ntyped\n"))
        .pid1()
        .run();
}

#[test]
fn a_signal_that_kills_is_128_and_its_number() {
    script("kill -KILL $$").status(137).run();
}

#[test]
fn a_running_program_can_be_waited_for_and_signalled() {
    script("trap 'echo bye; exit 7' TERM; : >ready; while :; do sleep 0.01; done")
        .during(|run| {
            run.wait_for_file("ready");
            run.signal(Signal::SIGTERM);
            run.ends_within(Duration::from_secs(5));
        })
        .stdout("bye\n")
        .status(7)
        .pid1()
        .run();
}

#[test]
fn a_terminal_is_one() {
    script("tty -s && read line && echo \"got $line\"")
        .terminal()
        .during(|run| run.type_in(b"hello\n"))
        .stdout("hello\ngot hello\n")
        .pid1()
        .run();
}

#[test]
fn a_terminal_that_shows_nothing_comes_to_an_end() {
    script("exit 4").terminal().status(4).run();
}
