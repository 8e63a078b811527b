//! Chapter 9 of the specification: text, place and format of messages.

use crate::dsl::{Test, bytes};

fn run(table: &str, words: &[&str]) -> Test {
    Test::new().table(table).args(words)
}

/// A run with a hook that writes to both streams.
const TALK: &str = r#"
    [[setup]]
    hooks = "[DIR]/hooks"
    [verbs.a]
    exec = ["echo", "target"]
"#;

fn talk(words: &[&str]) -> Test {
    run(TALK, words).hook("10-talk.sh", "echo out\necho err >&2\n")
}

#[test]
fn a_run_that_waits_for_nothing_and_has_no_hook_is_silent() {
    run("[env]\nA = \"b\"\n[verbs.a]\nexec = [\"echo\", \"x\"]\n", &["a"])
        .stdout("x\n")
        .stderr("")
        .pid1()
        .run();
}

#[test]
fn preverb_writes_nothing_to_standard_output() {
    talk(&["a"]).stdout("target\n").stderr_contains("out\nerr\n").pid1().run();
    run("[[setup]]\nrun = [\"echo\", \"out\"]\n[verbs.a]\nexec = [\"echo\", \"target\"]\n", &["a"])
        .stdout("target\n")
        .stderr_contains("out\n")
        .run();
}

#[test]
fn a_hook_logs_one_line_at_its_start_and_one_with_its_duration_at_its_end() {
    talk(&["a"])
        .stdout("target\n")
        .any_stderr()
        .check(|output| {
            let lines: Vec<&str> = output.messages().lines().collect();
            assert_eq!(lines.len(), 4, "{lines:?}");
            assert!(lines[0].starts_with("preverb: ") && lines[0].contains("10-talk.sh"), "{lines:?}");
            assert_eq!(lines[1..3], ["out", "err"]);
            assert!(lines[3].starts_with("preverb: ") && lines[3].contains("10-talk.sh"), "{lines:?}");
        })
        .run();
    talk(&["a"])
        .stdout("target\n")
        .stderr("[..]10-talk.sh[..]\nout\nerr\npreverb: [..]10-talk.sh[..][TIME][..]\n")
        .run();
}

#[test]
fn a_run_step_is_reported_like_a_hook() {
    run(
        "[[setup]]\nname = \"collect the files\"\nrun = [\"echo\", \"out\"]\n[verbs.a]\nexec = [\"true\"]\n",
        &["a"],
    )
    .stderr("preverb: [..]collect the files[..]\nout\npreverb: [..]collect the files[..][TIME][..]\n")
    .run();
    run("[[setup]]\nrun = [\"echo\", \"out\"]\n[verbs.a]\nexec = [\"true\"]\n", &["a"])
        .stderr("preverb: [..]`echo`[..]\nout\npreverb: [..]`echo`[..][TIME][..]\n")
        .run();
}

#[test]
fn a_failed_hook_is_named_with_its_step_its_environment_and_its_status() {
    run(
        "[[setup]]\nname = \"first things\"\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"true\"]\n",
        &["--environment", "dev", "a"],
    )
    .hook("10-fail.sh", "exit 7\n")
    .status(80)
    .stderr_contains("10-fail.sh")
    .stderr_contains("first things")
    .stderr_contains("`dev`")
    .stderr_contains("7")
    .run();
}

#[test]
fn quiet_shows_only_errors() {
    talk(&["--log", "quiet", "a"]).stdout("target\n").stderr("out\nerr\n").run();
    talk(&["a"]).env("PREVERB_LOG", "quiet").stdout("target\n").stderr("out\nerr\n").pid1().run();
    run("[[setup]]\nrun = [\"false\"]\n[verbs.a]\nexec = [\"true\"]\n", &["--log", "quiet", "a"])
        .status(80)
        .stderr_contains("preverb: ")
        .stderr_contains("`false`")
        .run();
}

#[test]
fn quiet_shows_no_warning() {
    let skipped =
        |words: &[&str]| run(TALK, words).file("hooks/readme.txt", "nothing\n", 0o644).stdout("target\n");
    skipped(&["a"]).stderr_contains("readme.txt").run();
    skipped(&["--log", "quiet", "a"]).run();
}

#[test]
fn a_skipped_step_is_reported() {
    run(
        "[[setup]]\nname = \"collect\"\nrun = [\"false\"]\nskip-if = \"SKIP_COLLECT\"\n[verbs.a]\nexec = [\"true\"]\n",
        &["a"],
    )
    .env("SKIP_COLLECT", "1")
    .stderr_contains("collect")
    .stderr_contains("`SKIP_COLLECT`")
    .run();
}

#[test]
fn verbose_reports_each_decision() {
    run("[verbs.a]\nexec = [\"echo\", \"x\"]\n", &["--log", "verbose", "a"])
        .stdout("x\n")
        .stderr_contains("preverb: ")
        .run();
}

#[test]
fn json_messages_are_one_object_each() {
    run(TALK, &["--log", "json", "a"])
        .hook("10-quiet.sh", ":\n")
        .stdout("target\n")
        .any_stderr()
        .check(|output| {
            let messages = output.json_messages();
            assert_eq!(messages.len(), 2, "{messages:?}");
            for message in messages {
                let field = |name: &str| {
                    message[name].as_str().unwrap_or_else(|| panic!("`{name}` in {message}")).to_owned()
                };
                let time = field("time");
                // 2026-11-20T17:43:00Z, with or without parts of a second.
                assert!(time.len() >= 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
                assert_eq!(field("level"), "info");
                assert!(field("message").contains("10-quiet.sh"));
                assert!(!field("message").starts_with("preverb: "));
            }
        })
        .pid1()
        .run();
}

#[test]
fn a_json_error_is_one_object() {
    let cases: [(&str, &[&str], i32); 5] = [
        ("[verbs.a]\nexec = [\"true\"]\n", &["--log", "json", "b"], 64),
        ("[verbs.a]\nexec = [\"true\"]\n", &["--log=json", "--bogus"], 64),
        ("verbs = 3\n", &["--log", "json", "a"], 78),
        ("[verbs.a]\nexec = [\"true\", \"${X}\"]\n", &["--log", "json", "a"], 65),
        ("[verbs.a]\nexec = [\"no-such-program\"]\n", &["--log", "json", "a"], 127),
    ];
    for (table, words, status) in cases {
        run(table, words)
            .status(status)
            .any_stderr()
            .check(move |output| {
                let messages = output.json_messages();
                assert_eq!(messages.len(), 1, "{messages:?}");
                assert_eq!(messages[0]["level"], "error");
                assert_eq!(messages[0]["exit-code"], status);
                assert!(messages[0]["time"].is_string());
                assert!(!messages[0]["message"].as_str().unwrap().is_empty());
            })
            .run();
    }
}

#[test]
fn json_can_be_chosen_by_variable_or_table() {
    let level = |test: Test| {
        test.status(64).any_stderr().check(|output| {
            assert_eq!(output.json_messages()[0]["level"], "error");
        })
    };
    level(run("[verbs.a]\nexec = [\"true\"]\n", &["b"]).env("PREVERB_LOG", "json")).run();
    level(run("log = \"json\"\n[verbs.a]\nexec = [\"true\"]\n", &["b"])).run();
}

#[test]
fn the_log_option_wins_over_the_variable_and_the_variable_over_the_table() {
    let hook = |log: &str, words: &[&str]| {
        run(&format!("log = \"{log}\"\n{TALK}"), words).hook("1.sh", ":\n").stdout("target\n")
    };
    hook("quiet", &["a"]).run();
    hook("quiet", &["a"]).env("PREVERB_LOG", "text").stderr_contains("preverb: ").run();
    hook("json", &["a"]).env("PREVERB_LOG", "quiet").run();
    hook("text", &["--log", "quiet", "a"]).env("PREVERB_LOG", "json").run();
    hook("quiet", &["--log", "text", "a"]).env("PREVERB_LOG", "quiet").stderr_contains("preverb: ").run();
    hook("quiet", &["a"]).env("PREVERB_LOG", "").run();
}

#[test]
fn json_messages_escape_bytes_that_are_not_utf8() {
    run("[verbs.a]\nexec = [\"true\"]\n", &["--log", "json"])
        .args([bytes(b"\xff\x1b[31m\"")])
        .status(64)
        .any_stderr()
        .check(|output| {
            let messages = output.json_messages();
            assert_eq!(messages.len(), 1);
            assert!(!messages[0]["message"].as_str().unwrap().contains('\u{1b}'));
        })
        .run();
}

#[test]
fn untrusted_bytes_are_escaped() {
    for word in [
        &b"a\x1b[31mb"[..],
        b"a\nb",
        b"a\rb",
        b"a\x07b",
        b"a\xffb",
        b"a\x7fb",
        b"a\xc2\x9bb",
        "a\u{202e}b".as_bytes(),
    ] {
        run("[verbs.x]\nexec = [\"true\"]\n", &[])
            .args([bytes(word)])
            .status(64)
            .stderr_contains("preverb: ")
            .stderr_lacks(word)
            .check(|output| {
                let first = output.messages().lines().next().unwrap();
                assert!(first.contains('a') && first.contains('b'), "{first}");
                assert!(first.chars().all(|letter| !letter.is_control()), "{first}");
            })
            .run();
    }
    run("[verbs.a]\nexec = [\"true\"]\n", &["--"])
        .args([bytes(b"no\x1b[31m\xffprogram")])
        .status(127)
        .stderr_lacks("\x1b")
        .check(|output| drop(output.messages().to_owned()))
        .run();
    run("[verbs.a]\nexec = [\"true\"]\n[variables.X]\ntype = \"port\"\n", &["a"])
        .env("X", bytes(b"\x1b[31m\n\xff"))
        .status(65)
        .stderr_lacks("\x1b")
        .check(|output| drop(output.messages().to_owned()))
        .run();
    Test::new()
        .args([bytes(b"--table"), bytes(b"/no\x1b[31m\xff"), bytes(b"a")])
        .status(78)
        .stderr_lacks("\x1b")
        .check(|output| drop(output.messages().to_owned()))
        .run();
}

#[test]
fn control_characters_in_about_are_escaped() {
    run("[verbs.a]\nabout = \"\\u001b[31mred\\nsecond line\"\nexec = [\"true\"]\n", &["--list"])
        .stdout_contains("red")
        .stdout_lacks("\u{1b}")
        .run();
}

#[test]
fn a_plain_argument_is_shown_unquoted() {
    run("[verbs.a]\nexec = [\"true\"]\n", &["é b'"]).status(64).stderr_contains("`é b'`").run();
}

#[test]
fn an_unusable_standard_error_only_silences_messages() {
    for to in ["/dev/full", "&-"] {
        for log in ["text", "json", "verbose"] {
            run(TALK, &["--log", log, "a"])
                .hook("1.sh", "export X=y\n")
                .under_shell(&format!("exec \"$@\" 2>{to}"))
                .stdout("target\n")
                .pid1()
                .run();
        }
    }
}

#[test]
fn a_supervisor_and_its_child_use_the_log_format_of_the_run() {
    let is_json = |output: &crate::dsl::Output| {
        let messages = output.json_messages();
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert!(messages[0]["message"].as_str().unwrap().starts_with("cannot run "), "{messages:?}");
    };
    for program in ["nonesuch", "./plain"] {
        let table = |top: &str| format!("{top}\n[verbs.a]\nexec = [\"{program}\"]\ninit = true\n");
        let test = |top: &str, words: &[&str]| {
            Test::new().table(table(top)).file("plain", "", 0o755).args(words).any_status().any_stderr()
        };
        test("", &["--log", "json", "a"]).check(is_json).pid1().run();
        test("log = \"json\"", &["a"]).check(is_json).pid1().run();
        test("", &["--log", "text", "a"])
            .env("PREVERB_LOG", "json")
            .stderr_contains("preverb: cannot run")
            .run();
        // With LISTEN_PID the child that would become the target reports the error itself.
        let listens = "LISTEN_PID=$$ exec \"$@\"";
        test("", &["--log", "json", "a"]).under_shell(listens).check(is_json).run();
    }
}

// The termination log (preverb(1), "Files")

/// Runs a test where `/dev` has a termination log, or what `make` makes of it.
fn with_termination_log(table: &str, words: &[&str], make: &str) -> Test {
    let script = format!(
        "mkdir -p new && mount -t tmpfs none new && for each in null zero full random urandom tty; do
            : >new/$each && mount --bind /dev/$each new/$each
        done
        {make}
        mount --bind new /dev && {{ \"$@\"; status=$?; cat /dev/termination-log >log 2>&1; exit $status; }}"
    );
    Test::new()
        .table(table)
        .args(words)
        .under(["unshare", "-m", "sh", "-c", &script, "sh"])
        .needs_root()
        .any_stderr()
}

#[test]
fn a_failure_before_the_exec_is_written_to_the_termination_log() {
    const TABLE: &str = r#"
        [variables.A]
        required = true
        [variables.B]
        required = true
        [verbs.a]
        exec = ["true"]
    "#;
    let test = |words: &[&str], status, log: &'static str| {
        with_termination_log(TABLE, words, ": >new/termination-log").status(status).check(move |output| {
            let found = String::from_utf8(output.file("log").unwrap()).unwrap();
            assert_eq!(found, log);
        })
    };
    test(&["a"], 65, "preverb: variable `A` is required, and is not set\npreverb: variable `B` is required, and is not set\n").run();
    test(&["b"], 64, "preverb: unknown verb `b`\n").run();
    test(&["--nonsense"], 64, "preverb: unknown option `--nonsense`\n").run();
    test(&["--as", "nosuchuser", "--", "true"], 77, "preverb: user `nosuchuser` does not exist\n").run();
    // These errors do not concern the start of a container.
    test(&["--explain", "a"], 65, "").any_stdout().run();
    test(&["--probe", "file:///nowhere"], 1, "").run();
    test(&["--exec", "--", "true"], 69, "").any_status().run();
    test(&["--health", "--tiemout", "3s"], 64, "").run();
    test(&["--check", "--table"], 64, "").run();
}

#[test]
fn the_termination_log_is_never_created_and_never_written_through_a_link_or_pipe() {
    let test = |make: &str, log: &'static str| {
        with_termination_log("[verbs.a]\nexec = [\"true\"]\n", &["b"], make).status(64).check(move |output| {
            let found = String::from_utf8(output.file("log").unwrap()).unwrap();
            assert!(found.contains(log) && !found.contains("unknown verb"), "{found}");
        })
    };
    test("", "No such file").run();
    test("echo kept >kept; ln -s $PWD/kept new/termination-log", "kept").run();
    test("mkdir new/termination-log", "directory").run();
}

#[test]
fn the_termination_log_holds_at_most_4096_bytes() {
    use std::fmt::Write as _;
    let mut table = String::from("[verbs.a]\nexec = [\"true\"]\n");
    for number in 0..300 {
        let _ = write!(table, "[variables.LONG_NAME_{number:03}_ä]\nrequired = true\n");
    }
    let table = table.replace("_ä", "");
    with_termination_log(&table, &["a"], ": >new/termination-log")
        .status(65)
        .check(|output| assert_eq!(output.file("log").unwrap().len(), 4096))
        .run();
}
