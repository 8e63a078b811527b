//! Chapter 7 of the specification: each exit code; a failed start has no other result.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::dsl::{Test, bytes};

fn run(table: &str, words: &[&str]) -> Test {
    Test::new().table(table).args(words)
}

fn target(exec: &str) -> Test {
    run(&format!("[verbs.a]\nexec = {exec}\n"), &["a"])
}

// The target's own

#[test]
fn the_targets_exit_code_is_kept() {
    for code in [0, 1, 2, 64, 65, 78, 80, 100, 125, 126, 127, 143, 255] {
        target(&format!("[\"sh\", \"-c\", \"exit {code}\"]")).status(code).run();
    }
    target("[\"sh\", \"-c\", \"exit 42\"]").status(42).pid1().run();
}

#[test]
fn the_signal_that_kills_the_target_is_kept() {
    for (name, number) in [("KILL", 9), ("TERM", 15), ("SEGV", 11), ("PIPE", 13), ("USR1", 10)] {
        target(&format!("[\"sh\", \"-c\", \"kill -{name} $$\"]")).status(128 + number).run();
    }
}

#[test]
fn the_target_is_the_same_process() {
    target("[\"sh\", \"-c\", \"[ $$ = 1 ]\"]").in_pid_namespace().run();
    target("[\"sh\", \"-c\", \": >ready; exec sleep 60\"]")
        .during(|run| {
            run.wait_for_file("ready");
            run.signal(Signal::SIGKILL);
        })
        .status(137)
        .run();
}

// 0

#[test]
fn success_is_0() {
    for mode in ["--list", "--check", "--help", "--version"] {
        run("[verbs.a]\nexec = [\"true\"]\n", &[mode]).any_stdout().any_stderr().pid1().run();
    }
    run("[verbs.a]\nexec = [\"true\"]\n", &["--explain", "a"]).any_stdout().run();
}

// 64

#[test]
fn a_usage_error_is_64() {
    for words in [
        &[][..],
        &["b"],
        &["--bogus"],
        &["--log", "x", "a"],
        &["--"],
        &["--environment"],
        &["--list", "--check"],
    ] {
        run("[verbs.a]\nexec = [\"true\"]\n", words).status(64).stderr_contains("preverb: ").pid1().run();
    }
}

// 65

#[test]
fn a_missing_or_invalid_variable_is_65() {
    let table = "[variables.X]\ntype = \"port\"\n[verbs.a]\nexec = [\"true\", \"${Y}\"]\n";
    run(table, &["a"]).status(65).stderr_contains("`Y`").pid1().run();
    run(table, &["a"]).env("Y", "").env("X", "x").status(65).stderr_contains("`X`").run();
    run(table, &["a"]).env("Y", "").env("APP_ENV", "../x").status(65).stderr_contains("`APP_ENV`").run();
    run(table, &["a"])
        .env("Y", "")
        .env("PREVERB_LOG", "loud")
        .status(65)
        .stderr_contains("`PREVERB_LOG`")
        .run();
}

// 69

#[test]
fn a_wait_past_its_timeout_is_69() {
    let wait = "[[setup]]\nwait = [\"file://[DIR]/never\"]\ntimeout = \"50ms\"\n";
    run(&format!("{wait}[verbs.a]\nexec = [\"touch\", \"[DIR]/ran\"]\n"), &["a"])
        .status(69)
        .stderr_contains("file://[DIR]/never")
        .check(|output| assert!(output.file("ran").is_none()))
        .pid1()
        .run();
    Test::new()
        .args(["--wait", "unix://[DIR]/never", "--timeout", "50ms", "--", "touch", "[DIR]/ran"])
        .status(69)
        .stderr_contains("unix://[DIR]/never")
        .check(|output| assert!(output.file("ran").is_none()))
        .run();
}

// 71

#[test]
fn a_missing_workdir_is_71() {
    let table = "[verbs.a]\nexec = [\"true\"]\nworkdir = \"[DIR]/nowhere\"\n";
    run(table, &["a"]).status(71).stderr_contains("`[DIR]/nowhere`").pid1().run();
    run(table, &["a"]).file("nowhere", "", 0o644).status(71).stderr_contains("`[DIR]/nowhere`").run();
    run(table, &["a"])
        .directory("nowhere", 0o700)
        .under(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
        .needs_root()
        .status(71)
        .stderr_contains("`[DIR]/nowhere`")
        .run();
}

#[test]
fn a_step_may_create_the_workdir() {
    run(
        "[[setup]]\nrun = [\"mkdir\", \"[DIR]/made\"]\n[verbs.a]\nexec = [\"pwd\"]\nworkdir = \"[DIR]/made\"\n",
        &["--log", "quiet", "a"],
    )
    .stdout("[DIR]/made\n")
    .run();
}

// 77

#[test]
fn a_user_that_does_not_exist_is_77() {
    run("[verbs.a]\nexec = [\"true\"]\nuser = \"nobody-of-that-name\"\n", &["a"])
        .status(77)
        .stderr_contains("`nobody-of-that-name`")
        .run();
    Test::new()
        .args(["--as", "nobody-of-that-name", "--", "true"])
        .status(77)
        .stderr_contains("`nobody-of-that-name`")
        .run();
}

#[test]
fn a_root_hook_that_others_can_write_to_is_77() {
    run(
        "user = \"nobody\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\nuser = \"root\"\n[verbs.a]\nexec = [\"true\"]\n",
        &["a"],
    )
    .file("hooks/1.sh", "touch ran\n", 0o666)
    .needs_root()
    .status(77)
    .stderr_contains("1.sh")
    .check(|output| assert!(output.file("ran").is_none()))
    .run();
}

// 78

#[test]
fn a_missing_or_wrong_table_is_78() {
    Test::new().args(["a"]).status(78).stderr_contains("preverb: ").pid1().run();
    run("= x", &["a"]).status(78).stderr_contains("preverb: ").pid1().run();
    run("[verbs.a]\nexce = []\n", &["a"]).status(78).stderr_contains("preverb: ").run();
    run("[environments.dev.verbs.a]\nexec = [\"true\"]\n", &["a"])
        .status(78)
        .stderr_contains("`dev`")
        .pid1()
        .run();
    run("[verbs.a]\nexec = [\"${\"]\n", &["a"]).status(78).stderr_contains("preverb: ").run();
}

// 80

#[test]
fn a_failed_hook_is_80_whatever_its_own_code() {
    for code in [1, 2, 77, 126, 143, 255] {
        run(
            &format!("[[setup]]\nrun = [\"sh\", \"-c\", \"exit {code}\"]\n[[setup]]\nrun = [\"touch\", \"[DIR]/ran\"]\n[verbs.a]\nexec = [\"touch\", \"[DIR]/ran\"]\n"),
            &["a"],
        )
        .status(80)
        .stderr_contains(code.to_string())
        .check(|output| assert!(output.file("ran").is_none()))
        .run();
    }
}

#[test]
fn a_hook_that_a_signal_kills_is_80() {
    run("[[setup]]\nrun = [\"sh\", \"-c\", \"kill -KILL $$\"]\n[verbs.a]\nexec = [\"true\"]\n", &["a"])
        .status(80)
        .stderr_contains("KILL")
        .pid1()
        .run();
}

#[test]
fn a_hook_whose_program_is_missing_is_80() {
    run("[[setup]]\nrun = [\"no-such-program\"]\n[verbs.a]\nexec = [\"true\"]\n", &["a"])
        .status(80)
        .stderr_contains("`no-such-program`")
        .run();
    run("[[setup]]\nhooks = \"[DIR]/nowhere.sh\"\n[verbs.a]\nexec = [\"true\"]\n", &["a"])
        .status(80)
        .stderr_contains("`[DIR]/nowhere.sh`")
        .run();
}

#[test]
fn a_hook_past_its_timeout_is_80() {
    run("[[setup]]\nrun = [\"sleep\", \"60\"]\ntimeout = \"50ms\"\n[verbs.a]\nexec = [\"true\"]\n", &["a"])
        .status(80)
        .stderr_contains("50 ms")
        .check(|output| assert!(output.took < Duration::from_secs(4), "{:?}", output.took))
        .pid1()
        .run();
}

// 126 and 127

#[test]
fn a_program_that_expands_to_nothing_is_65() {
    let message = "preverb: the program of `exec` expands to nothing\n";
    for exec in ["[\"${EMPTY}\"]", "[\"${EMPTY@words}\"]", "[{ words = [\"x\"], only-if = \"EMPTY\" }]"] {
        target(exec).env("EMPTY", "").status(65).stderr(message).run();
        target(&format!("{exec}\ninit = true")).env("EMPTY", "").status(65).stderr(message).run();
    }
    let step = |step: &str| {
        Test::new().table(format!("[[setup]]\n{step}\n[verbs.a]\nexec = [\"true\"]\n")).args(["a"]).status(65)
    };
    step("name = \"s\"\nrun = [\"${X:-}\"]")
        .stderr("preverb: the program of step `s` expands to nothing\n")
        .run();
    step("name = \"s\"\nwait = { exec = [\"${X:-}\"] }").stderr_contains("the program of step `s`").run();
}

#[test]
fn a_workdir_that_expands_to_nothing_is_65() {
    let table = "[verbs.a]\nexec = [\"true\"]\nworkdir = \"${X:-}\"\n";
    Test::new().table(table).args(["a"]).status(65).stderr("preverb: `workdir` expands to nothing\n").run();
}

#[test]
fn a_missing_target_is_127() {
    target("[\"no-such-program\"]")
        .status(127)
        .stderr_contains("`no-such-program`")
        .stderr_contains("[DIR]/bin:")
        .pid1()
        .run();
    target("[\"/no/such/program\"]").status(127).stderr_contains("`/no/such/program`").run();
    target("[\"true\"]").env("PATH", "/nowhere").status(127).stderr_contains("/nowhere").run();
}

#[test]
fn the_target_is_looked_up_on_its_own_path() {
    run("[env]\nPATH = \"[DIR]/other\"\n[verbs.a]\nexec = [\"thing\"]\n", &["a"])
        .program("thing", "#!/bin/sh\necho wrong\n")
        .file("other/thing", "#!/bin/sh\necho right\n", 0o755)
        .stdout("right\n")
        .run();
}

#[test]
fn a_target_that_cannot_run_is_126() {
    let file = |bytes: &[u8], mode| {
        target("[\"[DIR]/thing\"]").file("thing", bytes, mode).status(126).stderr_contains("`[DIR]/thing`")
    };
    file(b"#!/bin/sh\n", 0o644).pid1().run();
    file(b"text without a first line\n", 0o755).stderr_contains("#!").run();
    file(b"", 0o755).run();
    file(b"#!/no/such/shell\n", 0o755).stderr_contains("`/no/such/shell`").run();
    file(b"#!/bin/sh\r\necho\r\n", 0o755).stderr_contains("/bin/sh").run();
    file(b"\x7fELF\x02\x01\x01\0", 0o755).run();
    target("[\"[DIR]/thing\"]")
        .directory("thing", 0o755)
        .status(126)
        .stderr_contains("`[DIR]/thing`")
        .stderr_contains("directory")
        .run();
    target("[\"[DIR]/thing/x\"]").file("thing", "", 0o644).status(127).stderr_contains("[DIR]/thing").run();
}

#[test]
fn a_program_on_the_path_that_cannot_run_is_126_unless_a_later_one_can() {
    target("[\"thing\"]").file("bin/thing", "#!/bin/sh\n", 0o644).status(126).stderr_contains("thing").run();
    target("[\"thing\"]")
        .file("bin/thing", "#!/bin/sh\n", 0o644)
        .file("second/thing", "#!/bin/sh\necho second\n", 0o755)
        .env("PATH", "[DIR]/bin:[DIR]/second")
        .stdout("second\n")
        .run();
}

#[test]
fn an_argument_that_is_too_large_is_126_with_its_size() {
    let long = "x".repeat(200_000);
    // The kernel accepts no argument of 128 KiB, so the long one has to come from the table.
    run(&format!("[verbs.a]\nexec = [\"true\", \"{long}\"]\n"), &["a"])
        .status(126)
        .stderr_contains("200")
        .check(|output| assert!(output.stderr.len() < 10_000))
        .run();
    run(&format!("[env]\nLONG = \"{long}\"\n[verbs.a]\nexec = [\"true\"]\n"), &["a"])
        .status(126)
        .stderr_contains("`LONG`")
        .stderr_contains("200")
        .check(|output| assert!(output.stderr.len() < 10_000))
        .run();
}

// 128 + n

fn stopped(signal: Signal) {
    run(
        "[[setup]]\nrun = [\"sh\", \"-c\", \": >[DIR]/started; exec sleep 60\"]\n[verbs.a]\nexec = [\"touch\", \"[DIR]/ran\"]\n",
        &["a"],
    )
    .during(move |run| {
        run.wait_for_file("started");
        run.signal(signal);
        run.ends_within(Duration::from_secs(4));
    })
    .status(128 + signal as i32)
    .any_stderr()
    .check(|output| assert!(output.file("ran").is_none()))
    .pid1()
    .run();
}

#[test]
fn a_term_before_the_target_starts_is_143() {
    stopped(Signal::SIGTERM);
}

#[test]
fn an_int_before_the_target_starts_is_130() {
    stopped(Signal::SIGINT);
}

#[test]
fn a_hup_before_the_target_starts_is_129() {
    stopped(Signal::SIGHUP);
}

#[test]
fn a_quit_before_the_target_starts_is_131() {
    stopped(Signal::SIGQUIT);
}

#[test]
fn the_table_may_name_other_stop_signals() {
    run(
        "stop-signals = [\"USR1\"]\n[[setup]]\nrun = [\"sh\", \"-c\", \": >[DIR]/started; exec sleep 60\"]\n[verbs.a]\nexec = [\"true\"]\n",
        &["a"],
    )
    .during(|run| {
        run.wait_for_file("started");
        run.signal(Signal::SIGUSR1);
        run.ends_within(Duration::from_secs(4));
    })
    .status(128 + Signal::SIGUSR1 as i32)
    .any_stderr()
    .pid1()
    .run();
}

#[test]
fn a_stop_wins_over_the_hooks_own_status() {
    run(
        "[[setup]]\nrun = [\"sh\", \"-c\", \"trap 'exit 0' TERM; : >[DIR]/started; while :; do sleep 0.01; done\"]\n[verbs.a]\nexec = [\"touch\", \"[DIR]/ran\"]\n",
        &["a"],
    )
    .during(|run| {
        run.wait_for_file("started");
        run.signal(Signal::SIGTERM);
        run.ends_within(Duration::from_secs(4));
    })
    .status(143)
    .any_stderr()
    .check(|output| assert!(output.file("ran").is_none()))
    .pid1()
    .run();
}

// Standard streams

/// Ways in which a stream can be unusable.
const USELESS: [&str; 2] = ["/dev/full", "&-"];

#[test]
fn streams_that_are_closed_or_full_change_no_exit_code() {
    let ends: [(&str, &[&str], i32); 5] = [
        ("[verbs.a]\nexec = [\"true\"]\n", &["a"], 0),
        ("[verbs.a]\nexec = [\"sh\", \"-c\", \"exit 42\"]\n", &["--log", "verbose", "a"], 42),
        ("[verbs.a]\nexec = [\"true\"]\n", &["b"], 64),
        ("= x", &["a"], 78),
        ("[[setup]]\nrun = [\"false\"]\n[verbs.a]\nexec = [\"true\"]\n", &["a"], 80),
    ];
    for (table, words, status) in ends {
        for to in USELESS {
            for streams in
                [format!("2>{to}"), format!("2>{to} >{to}"), format!("2>{to} >{to} <&-"), "<&-".to_owned()]
            {
                run(table, words)
                    .under_shell(&format!("exec \"$@\" {streams}"))
                    .any_stderr()
                    .status(status)
                    .pid1()
                    .run();
            }
        }
    }
}

#[test]
fn a_standard_error_without_a_reader_changes_no_exit_code() {
    // `true` reads nothing, so preverb writes to a broken pipe.
    for (words, status) in [("b", 64), ("a", 42)] {
        run("[[setup]]\nrun = [\"true\"]\n[verbs.a]\nexec = [\"sh\", \"-c\", \"exit 42\"]\n", &[words])
            .under([
                "bash",
                "-c",
                "{ until [ -e gone ]; do sleep 0.01; done; \"$@\"; echo $? >status; } 2> >(exec >gone; exit)",
                "sh",
            ])
            .during(|run| run.wait_for_file("status"))
            .check(move |output| {
                let text = output.file("status").unwrap();
                assert_eq!(String::from_utf8(text).unwrap(), format!("{status}\n"));
            })
            .run();
    }
}

#[test]
fn a_mode_that_cannot_write_its_output_fails_with_a_message() {
    for mode in ["--list", "--help", "--version"] {
        run("[verbs.a]\nexec = [\"true\"]\n", &[mode])
            .under_shell("exec \"$@\" >/dev/full")
            .status(71)
            .stderr_contains("standard output")
            .run();
    }
}

#[test]
fn a_mode_without_a_reader_does_not_panic() {
    let mut table = String::new();
    for number in 0..1200 {
        table += &format!(
            "[verbs.v{number}]\nabout = \"One of many verbs, so that a pipe cannot hold them all\"\nexec = [\"true\"]\n"
        );
    }
    run(&table, &["--list"])
        .under([
            "bash",
            "-c",
            "set -o pipefail; \"$@\" | head -n 1 >first; echo ${PIPESTATUS[0]} >status",
            "sh",
        ])
        .any_stderr()
        .check(|output| {
            let status = String::from_utf8(output.file("status").unwrap()).unwrap();
            assert!(["0\n", "141\n", "71\n"].contains(&status.as_str()), "{status}");
            assert!(!output.file("first").unwrap().is_empty());
        })
        .stderr_lacks("panicked")
        .run();
}

// Unusual arguments and variables

#[test]
fn bytes_that_are_not_utf8_never_cause_a_panic() {
    let odd = [
        bytes(b"\xff"),
        bytes(b"--\xff"),
        bytes(b"--log=\xff"),
        bytes(b"--table=\xff"),
        bytes(b"--environment=\xff"),
        bytes(b"\xc3("),
    ];
    for word in odd {
        run("[verbs.a]\nexec = [\"true\"]\n", &[])
            .args([&word])
            .env(&word, &word)
            .any_status()
            .any_stderr()
            .check(|output| assert!([64, 65, 78].contains(&output.status), "{}", output.status))
            .run();
    }
    for name in ["PREVERB_LOG", "PREVERB_TABLE", "APP_ENV", "PATH", "PREVERB_SKIP_SETUP", "HOME"] {
        run("[verbs.a]\nexec = [\"/bin/true\"]\n", &["a"])
            .env(name, bytes(b"\xff"))
            .any_status()
            .any_stderr()
            .check(|output| assert!([0, 65, 78].contains(&output.status), "{}", output.status))
            .run();
    }
}

#[test]
fn every_failure_message_is_one_sentence_after_the_program_name() {
    let failures: [(&str, &[&str]); 8] = [
        ("[verbs.a]\nexec = [\"true\"]\n", &["b"]),
        ("[verbs.a]\nexec = [\"true\"]\n", &["--bogus"]),
        ("[verbs.a]\nexec = [\"true\"]\n", &["--"]),
        ("= x", &["a"]),
        ("[verbs.a]\nexec = [\"true\", \"${X}\"]\n", &["a"]),
        ("[verbs.a]\nexec = [\"no-such-program\"]\n", &["a"]),
        ("[[setup]]\nrun = [\"false\"]\n[verbs.a]\nexec = [\"true\"]\n", &["--log", "quiet", "a"]),
        ("[verbs.a]\nexec = [\"true\"]\nworkdir = \"/no/where\"\n", &["a"]),
    ];
    for (table, words) in failures {
        run(table, words)
            .any_status()
            .any_stderr()
            .check(|output| {
                assert_ne!(output.status, 0);
                let first = output.messages().lines().next().unwrap();
                let sentence = first.strip_prefix("preverb: ").unwrap_or_else(|| panic!("{first}"));
                assert!(!sentence.ends_with('.'), "{first}");
                assert!(sentence.contains('`'), "{first}");
                assert!(!sentence.starts_with(char::is_uppercase), "{first}");
            })
            .run();
    }
}

#[test]
fn a_probe_that_fails_is_1() {
    Test::new().args(["--probe", "file://[DIR]/never"]).status(1).stderr_contains("[DIR]/never").pid1().run();
    Test::new().args(["--probe", "file://[DIR]/here"]).file("here", "", 0o644).pid1().run();
}
