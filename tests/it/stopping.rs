//! Section 8.1 of the specification: a request to stop in the middle of setup, whatever step is in progress. The
//! step's whole group gets the signal, the target never starts, and the exit code names the signal.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::dsl::Test;
use crate::skip::lacks;

const ALL: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];

/// A table with these steps, and a target that would print something.
fn steps(steps: &str) -> Test {
    Test::new()
        .table(format!("{steps}\n[verbs.a]\nexec = [\"echo\", \"the target\"]\n"))
        .args(["a"])
        // No core files, because they would only take time.
        .under_shell("ulimit -c 0; exec \"$@\"")
}

fn hook(name: &str, text: &str) -> Test {
    steps("[interpreters]\ntxt = [\"sh\"]\n[[setup]]\nhooks = \"[DIR]/hooks\"").file(
        format!("hooks/{name}"),
        text,
        if name.contains('.') { 0o644 } else { 0o755 },
    )
}

/// Runs it until the file `ready` is there, sends the signal, and expects that the run ends at once.
#[track_caller]
fn is_stopped_by(test: Test, signal: Signal, doing: &str) {
    test.during(move |run| {
        run.wait_for_file("ready");
        run.signal(signal);
        run.ends_within(Duration::from_secs(3));
    })
    .status(128 + signal as i32)
    .stderr(format!("[...]\npreverb: stopped by {} while {doing}\n", signal.as_str()))
    .pid1()
    .run();
}

/// It is ready once its command runs: a shell that gets a signal just before may lose it, and bash ignores QUIT.
const WAITS: &str = "sh -c 'echo >ready; exec sleep 100'; echo no >&2\n";

#[test]
fn every_stop_signal_ends_a_sourced_hook() {
    for signal in ALL {
        is_stopped_by(hook("1.sh", WAITS), signal, "hook `1.sh` ran");
    }
}

#[test]
fn every_stop_signal_ends_a_hook_that_bash_sources() {
    for signal in ALL {
        is_stopped_by(hook("1.sh", &format!("#!/bin/bash\n{WAITS}")), signal, "hook `1.sh` ran");
    }
}

#[test]
fn every_stop_signal_ends_an_executable_hook() {
    for signal in ALL {
        is_stopped_by(hook("1", &format!("#!/bin/sh\n{WAITS}")), signal, "hook `1` ran");
    }
}

#[test]
fn every_stop_signal_ends_a_hook_of_an_interpreter() {
    for signal in ALL {
        is_stopped_by(hook("1.txt", WAITS), signal, "hook `1.txt` ran");
    }
}

#[test]
fn every_stop_signal_ends_a_run_step() {
    for signal in ALL {
        let test =
            steps("[[setup]]\nname = \"long\"\nrun = [\"sh\", \"-c\", \"echo >ready; exec sleep 100\"]");
        is_stopped_by(test, signal, "hook `long` ran");
    }
}

#[test]
fn a_hook_argument_that_looks_like_an_internal_option_changes_nothing() {
    let test = hook("1", &format!("#!/bin/sh\n{WAITS}")).args(["--supervise"]);
    is_stopped_by(test, Signal::SIGTERM, "hook `1` ran");
}

#[test]
fn every_stop_signal_ends_a_wait() {
    for signal in ALL {
        // A backlog of 0: a client hangs.
        let test = steps("[[setup]]\nwait = [{ exec = [\"sh\", \"-c\", \"echo >ready; exec sleep 100\"] }]");
        is_stopped_by(test, signal, "step `wait sh -c echo >ready; exec sleep 100` waited");
    }
}

#[test]
fn the_grace_of_a_wait_holds_for_its_program() {
    steps("[[setup]]\nwait = { exec = [\"sh\", \"-c\", \"trap '' TERM; echo >ready; sleep 100; sleep 100\"] }\ngrace = \"200ms\"")
        .during(|run| {
            run.wait_for_file("ready");
            run.signal(Signal::SIGTERM);
            run.ends_within(Duration::from_secs(4));
        })
        .status(143)
        .any_stderr()
        .run();
}

#[test]
fn a_stop_signal_ends_the_rendering_of_a_large_template() {
    steps("[[setup]]\nrender = \"template\"\nto = \"out\"")
        .env("A", "x")
        .under_shell(
            "yes '${A} ${A} ${A} ${A} ${A} ${A} ${A} ${A}' | head -c 60000000 >template; exec \"$@\"",
        )
        .during(|run| {
            wait_until_it_handles_signals(run);
            run.signal(Signal::SIGTERM);
            run.ends_within(Duration::from_secs(8));
        })
        .status(143)
        .any_stderr()
        .run();
}

#[test]
fn a_stop_signal_ends_a_wait_between_two_tries() {
    for (number, step) in ["[\"tcp://127.0.0.1:1\"]", "[\"file://[DIR]/never\"]"].iter().enumerate() {
        steps(&format!("[[setup]]\nwait = {step}"))
            .during(move |run| {
                run.wait_for_stderr("waiting for");
                run.signal(ALL[number]);
                run.ends_within(Duration::from_millis(500));
            })
            .status(128 + ALL[number] as i32)
            .stderr_contains("preverb: stopped by ")
            .pid1()
            .run();
    }
}

#[test]
fn a_stop_signal_ends_a_step_of_another_user() {
    is_stopped_by(
        steps("user = \"nobody\"\n[[setup]]\nname = \"theirs\"\nrun = [\"sh\", \"-c\", 'echo >tmp/x; mv tmp/x tmp/ready; exec sleep 100']")
            .link("ready", "tmp/ready")
            .needs_root(),
        Signal::SIGTERM,
        "hook `theirs` ran",
    );
}

#[test]
fn the_whole_group_of_a_hook_gets_the_signal() {
    let child = "trap 'sleep 0.2; echo >>ended; exit' TERM; echo >>started; while :; do sleep 0.02; done";
    hook("1", &format!("#!/bin/sh\nfor i in 1 2; do sh -c \"{child}\" & done\nexec sleep 100\n"))
        .during(|run| {
            let started = run.dir().join("started");
            run.wait_until("both children", || std::fs::read(&started).is_ok_and(|text| text.len() == 2));
            run.signal(Signal::SIGTERM);
        })
        .status(143)
        .any_stderr()
        // The leader ends at once, but preverb waits for the others.
        .check(|output| assert_eq!(output.file("ended").unwrap(), b"\n\n"))
        .pid1()
        .run();
}

#[test]
fn a_hook_that_ignores_the_signal_is_killed_after_five_seconds() {
    hook("1", "#!/bin/sh\ntrap '' TERM\necho >ready\nwhile :; do sleep 0.1; done\n")
        .during(|run| {
            run.wait_for_file("ready");
            run.signal(Signal::SIGTERM);
        })
        .status(143)
        .any_stderr()
        .check(|output| {
            assert!(output.took > Duration::from_secs(5), "{:?}", output.took);
            assert!(output.took < Duration::from_secs(8), "{:?}", output.took);
        })
        .pid1()
        .run();
}

#[test]
fn after_a_stop_the_status_of_the_hook_does_not_matter() {
    for status in [0, 7] {
        hook(
            "1",
            &format!("#!/bin/sh\ntrap 'exit {status}' TERM\necho >ready\nwhile :; do sleep 0.02; done\n"),
        )
        .hook("2", "#!/bin/sh\necho the second hook\n")
        .during(|run| {
            run.wait_for_file("ready");
            run.signal(Signal::SIGTERM);
        })
        .status(143)
        .stderr_contains("preverb: stopped by SIGTERM while hook `1` ran\n")
        .stderr_lacks("the second hook")
        .pid1()
        .run();
    }
}

#[test]
fn a_stop_after_a_timeout_is_reported_as_the_stop() {
    steps("[[setup]]\nhooks = \"[DIR]/hooks\"\ntimeout = \"200ms\"")
        .hook("1", "#!/bin/sh\ntrap 'echo >past' TERM\nwhile :; do sleep 0.02; done\n")
        .during(|run| {
            run.wait_for_file("past");
            run.signal(Signal::SIGINT);
        })
        .status(130)
        .any_stderr()
        .check(|output| assert!(output.took < Duration::from_secs(8), "{:?}", output.took))
        .pid1()
        .run();
}

#[test]
fn a_second_signal_reaches_the_hook_but_the_first_sets_the_exit_code() {
    hook(
        "1",
        "#!/bin/sh\ntrap 'echo >first' TERM\ntrap 'exit 0' INT\necho >ready\nwhile :; do sleep 0.02; done\n",
    )
    .during(|run| {
        run.wait_for_file("ready");
        run.signal(Signal::SIGTERM);
        run.wait_for_file("first");
        run.signal(Signal::SIGINT);
        run.ends_within(Duration::from_secs(3));
    })
    .status(143)
    .any_stderr()
    .pid1()
    .run();
}

#[test]
fn a_hook_that_left_its_process_group_is_stopped_too() {
    hook(
        "1",
        "#!/usr/bin/env python3\nimport os, time\nos.setpgid(0, os.getpgid(os.getppid()))\nopen('ready', 'w').close()\ntime.sleep(100)\n",
    )
    .needs("python3")
    .during(|run| {
        run.wait_for_file("ready");
        run.signal(Signal::SIGTERM);
        run.ends_within(Duration::from_secs(3));
    })
    .status(143)
    .any_stderr()
    .run();
}

/// Waits until preverb handles signals, which are then blocked. (A shell that starts a program blocks them, too.)
#[track_caller]
fn wait_until_it_handles_signals(run: &crate::dsl::Running) {
    let status = format!("/proc/{}/status", run.pid());
    run.wait_until("TERM to be blocked", || {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let value = |name| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0").trim();
        let blocked = u64::from_str_radix(value("SigBlk:"), 16).unwrap();
        value("Name:") == "preverb" && blocked & 1 << 14 != 0
    });
}

#[test]
fn a_stop_signal_ends_the_read_of_a_table_that_blocks() {
    let is_stopped = |test: Test, file: &str| {
        test.during(|run| {
            wait_until_it_handles_signals(run);
            run.signal(Signal::SIGTERM);
            run.ends_within(Duration::from_secs(3));
        })
        .status(143)
        .stderr(format!("preverb: stopped by SIGTERM while reading the {file}\n"))
        .pid1()
        .run();
    };
    let pipe = || Test::new().under_shell("rm -f pipe; mkfifo pipe; exec \"$@\"");
    for words in [&["a"][..], &["-x"], &["--check"], &["--check", "--json"], &["--list"], &["--help"]] {
        is_stopped(pipe().env("PREVERB_TABLE", "pipe").args(words), "table `pipe`");
    }
    is_stopped(pipe().env("PREVERB_TABLE", "pipe").argv0("worker"), "table `pipe`");
    // A client has opened it, and sends nothing.
    is_stopped(
        Test::new()
            .under_shell("rm -f pipe; mkfifo pipe; exec 9<>pipe; exec \"$@\"")
            .args(["--table", "pipe", "a"]),
        "table `pipe`",
    );
    let secret = "variables.TOKEN = { secret = true }\nverbs.a.exec = [\"true\"]\n";
    is_stopped(
        pipe().table(secret).args(["a"]).env("TOKEN_FILE", "pipe"),
        "value of variable `TOKEN` from `pipe`",
    );
    is_stopped(
        Test::new()
            .table("[verbs.a]\nexec = [\"true\"]\n")
            .directory("preverb.d", 0o755)
            .under_shell("rm -f preverb.d/x.toml; mkfifo preverb.d/x.toml; exec \"$@\"")
            .args(["a"]),
        "drop-in `[DIR]/preverb.d/x.toml`",
    );
}

#[test]
fn a_table_may_be_read_from_a_pipe_in_pieces() {
    let writer = "{ echo '[verbs.a]'; sleep 0.1; echo 'exec = [\"echo\", \"the target\"]'; } >pipe";
    Test::new()
        .under_shell(&format!("rm -f pipe; mkfifo pipe; {writer} & exec \"$@\""))
        .args(["--table", "pipe", "a"])
        .stdout("the target\n")
        .pid1()
        .run();
    // An empty pipe is an empty table.
    Test::new()
        .under_shell("rm -f pipe; mkfifo pipe; : >pipe & exec \"$@\"")
        .args(["--table", "pipe", "a"])
        .status(64)
        .stderr_contains("preverb: unknown verb `a`\n")
        .run();
}

#[test]
fn a_table_in_a_pipe_is_read_only_once() {
    let writer = "echo 'verbs.a.exec = [\"echo\", \"the target\"]' >pipe";
    let piped = |words: &[&str]| {
        Test::new()
            .under_shell(&format!("rm -f pipe; mkfifo pipe; {writer} & exec \"$@\""))
            .args(["--table", "pipe"])
            .args(words)
    };
    piped(&["--list"]).stdout_contains("  a\n").run();
    piped(&["--help"]).stdout_contains("  a\n").run();
    piped(&["--explain", "a"]).stdout_contains("echo \"the target\"").run();
    piped(&["--skip-setup", "a"]).stdout("the target\n").run();
    piped(&["--log", "text", "a"]).stdout("the target\n").run();
    piped(&["a"]).argv0("other").stdout("the target\n").run();
}

#[test]
fn a_mode_that_needs_no_table_does_not_wait_for_one() {
    for (words, stdout) in [
        (&["--probe", "file:///etc", "--timeout", "1s"][..], ""),
        (&["--wait", "file:///etc", "--", "echo", "ready"], "ready\n"),
        (&["--supervise", "--", "echo", "ready"], "ready\n"),
        (&["--as", "0:0", "--", "echo", "ready"], "ready\n"),
        (&["--version"], concat!("preverb ", env!("CARGO_PKG_VERSION"), "\n")),
    ] {
        let test = Test::new().under_shell("rm -f pipe; mkfifo pipe; exec \"$@\"");
        let test = test.env("PREVERB_TABLE", "pipe").args(words).any_stderr();
        test.stdout(stdout).check(|output| assert!(output.took < Duration::from_secs(8))).run();
    }
}

#[test]
fn a_table_may_be_typed_and_the_target_reads_the_rest() {
    Test::new()
        .args(["--table", "/dev/stdin", "a"])
        .terminal()
        .during(|run| {
            wait_until_it_handles_signals(run);
            run.type_in(b"verbs.a.exec = ['cat']\n\x04");
            run.wait_until("the target", || {
                std::fs::read(format!("/proc/{}/comm", run.pid())).is_ok_and(|name| name == b"cat\n")
            });
            run.type_in(b"words\n\x04");
        })
        .stdout("verbs.a.exec = ['cat']\nwords\nwords\n")
        .run();
}

#[test]
fn a_signal_that_was_inherited_as_ignored_stays_ignored() {
    Test::new()
        .table("[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"echo\", \"the target\"]\n")
        .args(["a"])
        .under_shell("trap '' HUP; exec \"$@\"")
        .hook("1", "#!/bin/sh\necho >ready\nwhile [ ! -e go ]; do sleep 0.02; done\n")
        .during(|run| {
            run.wait_for_file("ready");
            run.signal(Signal::SIGHUP);
            std::fs::write(run.dir().join("go"), "").unwrap();
        })
        .stdout("the target\n")
        .any_stderr()
        .pid1()
        .run();
}

#[test]
fn a_signal_that_was_pending_at_the_start_is_handled() {
    // Python blocks the signal, sends it to itself, and becomes preverb.
    let script = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); os.kill(os.getpid(), signal.SIGTERM); os.execvp(sys.argv[1], sys.argv[1:])";
    Test::new()
        .table("[[setup]]\nrun = [\"echo\", \"no\"]\n[verbs.a]\nexec = [\"echo\", \"the target\"]\n")
        .args(["a"])
        .under(["python3", "-c", script])
        .status(143)
        .stderr("preverb: stopped by SIGTERM before step `run echo no`\n")
        .run();
    for words in [&["--check"][..], &["--list"], &["--explain", "a"], &["--help"], &["--version"]] {
        Test::new()
            .table("[verbs.a]\nexec = [\"echo\", \"the target\"]\n")
            .args(words)
            .under(["python3", "-c", script])
            .status(143)
            .stderr("preverb: stopped by SIGTERM before it was reported\n")
            .run();
    }
}

#[test]
fn ctrl_c_stops_setup() {
    hook("1.sh", WAITS)
        .terminal()
        .during(|run| {
            run.wait_for_file("ready");
            run.type_in(b"\x03");
            run.ends_within(Duration::from_secs(3));
        })
        .status(130)
        .stdout("preverb: running hook `1.sh`\n^Cpreverb: stopped by SIGINT while hook `1.sh` ran\n")
        .pid1()
        .run();
}

#[test]
fn a_stop_is_handled_while_standard_error_is_not_read() {
    // Standard error is a full pipe: the hook hangs in its write, and so does the next writer.
    steps("[[setup]]\nhooks = \"[DIR]/hooks\"")
        .under_shell("mkfifo pipe; exec 9<>pipe; exec \"$@\" 2>&9")
        .hook("1", "#!/bin/sh\n(sleep 0.2; echo >ready) &\nhead -c 200000 /dev/zero >&2\n")
        .during(|run| {
            run.wait_for_file("ready");
            run.signal(Signal::SIGTERM);
            run.ends_within(Duration::from_secs(6));
        })
        .status(143)
        .run();
}

#[test]
fn a_stop_signal_ends_the_wait_mode() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    Test::new()
        .args(["--wait", &format!("tcp://{address}"), "--", "echo", "the target"])
        .during(|run| {
            run.wait_for_stderr("waiting for");
            run.signal(Signal::SIGTERM);
            run.ends_within(Duration::from_millis(500));
        })
        .status(143)
        .stderr(format!(
            "preverb: waiting for `tcp://{address}` for 1 s\npreverb: stopped by SIGTERM while waiting\n"
        ))
        .pid1()
        .run();
}

#[test]
fn a_stop_during_a_hook_that_sleeps_is_prompt() {
    // The budget is 50 ms on a quiet machine; the bench holds it. This holds that nothing waits for a timer.
    hook("1", "#!/bin/sh\necho >ready\nexec sleep 100\n")
        .during(|run| {
            run.wait_for_file("ready");
            run.signal(Signal::SIGTERM);
            run.ends_within(Duration::from_millis(500));
        })
        .status(143)
        .any_stderr()
        .pid1()
        .run();
}

// At every system call

/// A run as process 1 under strace, which writes the system calls of preverb itself to `trace`.
fn traced(directory: &Path, verb: &str, inject: Option<&str>) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--kill-child", "strace", "-D", "-qq", "-o"])
        .arg(directory.join("trace"));
    // With -D the tracer is a process beside the traced one, which so is process 1.
    command.args(inject.map(|inject| format!("--inject={inject}")));
    command.arg(env!("CARGO_BIN_EXE_preverb")).arg(verb).current_dir(directory);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("PREVERB_TABLE", directory.join("preverb.toml"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The calls from where preverb has blocked the stop signals to where the target starts: a name and how often it was
/// called before.
fn calls_that_lose_no_stop(trace: &str, is_supervised: bool) -> Vec<(String, usize)> {
    let lines: Vec<&str> = trace.lines().filter(|line| line.contains('(')).collect();
    let name = |line: &str| line[..line.find('(').unwrap()].to_owned();
    let start: &[&str] = if is_supervised { &["clone", "vfork", "fork"] } else { &["execve("] };
    let starts = |line: &&str| start.iter().any(|call| line.starts_with(call));
    let end = lines.iter().rposition(starts).unwrap();
    let is_block = |line: &&str| line.starts_with("rt_sigprocmask(SIG_BLOCK") && line.contains("TERM");
    let begin = lines.iter().position(is_block).unwrap() + 1;
    assert!(end > begin + 10, "{trace}");
    (begin..end)
        // strace does not count its own exec.
        .map(|at| (name(lines[at]), lines[1..at].iter().filter(|line| name(line) == name(lines[at])).count()))
        .collect()
}

#[test]
fn no_stop_is_lost_at_any_system_call_of_process_1() {
    if lacks("strace") || !Test::new().pid1().is_twofold() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let table = "[verbs.plain]\nexec = [\"sleep\", \"LONG\"]\n\
        [verbs.supervised]\nexec = [\"sleep\", \"LONG\"]\ninit = true\n";
    let write = |long: &str| {
        std::fs::write(directory.path().join("preverb.toml"), table.replace("LONG", long)).unwrap();
    };
    for verb in ["plain", "supervised"] {
        write("0");
        assert!(traced(directory.path(), verb, None).status().unwrap().success(), "{verb}");
        let trace = std::fs::read_to_string(directory.path().join("trace")).unwrap();
        write("20");
        for (call, before) in calls_that_lose_no_stop(&trace, verb == "supervised") {
            let inject = format!("{call}:signal=TERM:when={}", before + 1);
            let mut run = traced(directory.path(), verb, Some(&inject)).spawn().unwrap();
            let deadline = Instant::now() + Duration::from_secs(10);
            let status = loop {
                if let Some(status) = run.try_wait().unwrap() {
                    break status;
                }
                if Instant::now() > deadline {
                    run.kill().unwrap();
                }
                std::thread::sleep(Duration::from_millis(2));
            };
            assert_eq!(status.code(), Some(143), "{verb}: TERM at {inject} of\n{trace}");
        }
    }
}
