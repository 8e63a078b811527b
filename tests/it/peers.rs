//! The same hook directory, run by preverb and by the loops over hooks in the entrypoints of the
//! official images of postgres and nginx, as far as they matter here. Where the outcomes differ, the test states
//! each; docs/differences.md says why.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::dsl::Test;

/// Files of the directory in their order, sourced if they are `*.sh` and not executable, run if they are.
const POSTGRES: &str = r#"#!/bin/bash
set -e
shift 2
for hook in "$PWD"/hooks/*; do
    case $hook in
    *.sh) if [ -x "$hook" ]; then "$hook"; else . "$hook"; fi ;;
    *) echo "skipped: $hook" >&2 ;;
    esac
done
exec "$@"
"#;

/// Files of the whole tree in the order of versions, through a pipe; only executable ones, `*.envsh` sourced.
const NGINX: &str = r#"#!/bin/sh
set -e
shift 2
find "$PWD/hooks" -follow -type f | sort -V | while read -r hook; do
    if ! [ -x "$hook" ]; then
        echo "skipped: $hook" >&2
        continue
    fi
    case $hook in
    *.envsh) . "$hook" ;;
    *.sh) "$hook" ;;
    *) echo "skipped: $hook" >&2 ;;
    esac
done
exec "$@"
"#;

/// The exit code and the standard output.
type Outcome = (i32, &'static str);

/// Runs `target` after the hooks, three times.
#[track_caller]
fn compare(target: &str, hooks: impl Fn(Test) -> Test, [preverb, postgres, nginx]: [Outcome; 3]) {
    let test = |outcome: Outcome| {
        hooks(Test::new().table("[[setup]]\nhooks = \"[DIR]/hooks\"\n"))
            .args(["--", "sh", "-c", target])
            .status(outcome.0)
            .stdout(outcome.1)
            .any_stderr()
    };
    test(preverb).run();
    test(postgres).file("loop", POSTGRES, 0o755).under(["[DIR]/loop"]).run();
    test(nginx).file("loop", NGINX, 0o755).under(["[DIR]/loop"]).run();
}

/// A file of the hook directory.
fn file(name: &'static str, text: &'static str, mode: u32) -> impl Fn(Test) -> Test {
    move |test| test.file(format!("hooks/{name}"), text, mode)
}

#[test]
fn ordinary_hooks_behave_as_in_the_postgres_and_nginx_images() {
    compare(
        "cat log",
        |test| {
            test.hook("10-first.sh", "#!/bin/sh\necho first >>log\n")
                .hook("20-second.sh", "#!/bin/sh\necho second >>log\n")
        },
        [(0, "first\nsecond\n"); 3],
    );
}

#[test]
fn exit_0_ends_the_hook_and_not_the_container() {
    // postgres: the container ends with 0 and has never started.
    compare("echo $A up", file("1.sh", "export A=1\nexit 0\n", 0o644), [(0, "1 up\n"), (0, ""), (0, "up\n")]);
}

#[test]
fn exports_reach_the_target_whether_the_hook_is_executable_or_not() {
    compare("echo $A", file("1.sh", "export A=1\n", 0o644), [(0, "1\n"), (0, "1\n"), (0, "\n")]);
    // One `chmod +x`, and postgres loses it.
    compare("echo $A", file("1.sh", "#!/bin/sh\nexport A=1\n", 0o755), [(0, "1\n"), (0, "\n"), (0, "\n")]);
    // nginx sources it, but at the end of a pipe, in a process that ends before the server starts.
    compare(
        "echo $A$B",
        |test| test.hook("1.envsh", "export A=1\n").hook("2.sh", "#!/bin/sh\necho 'B = \"2\"' >&3 || true\n"),
        [(0, "12\n"), (0, "\n"), (0, "\n")],
    );
}

#[test]
fn a_hook_that_reads_its_input_gets_an_empty_input() {
    // postgres: the caller's input is lost. nginx: the other hooks do not run, and the status is 0.
    compare(
        "cat; cat log",
        |test| {
            test.stdin("typed\n")
                .hook("1.sh", "#!/bin/sh\ncat >/dev/null\n")
                .hook("2.sh", "#!/bin/sh\necho second >>log\n")
                .file("log", "", 0o644)
        },
        [(0, "typed\nsecond\n"), (0, "second\n"), (0, "typed\n")],
    );
}

#[test]
fn output_of_a_hook_is_not_the_targets_output() {
    compare(
        "echo '{}'",
        file("1.sh", "#!/bin/sh\necho preparing\n", 0o755),
        [(0, "{}\n"), (0, "preparing\n{}\n"), (0, "preparing\n{}\n")],
    );
}

#[test]
fn shell_state_does_not_pass_from_hook_to_hook() {
    // postgres: options, unexported variables and functions of one file hold for all after it.
    compare(
        "cat log",
        |test| {
            let test = file("1.sh", "set +e\nlocal_only=1\nfalse() { :; }\n", 0o644)(test);
            file("2.sh", "echo \"2 ${local_only-clean}\" >>log\nfalse\necho went on >>log\n", 0o644)(test)
        },
        [(80, ""), (0, "2 1\nwent on\n"), (1, "")],
    );
}

#[test]
fn a_failing_hook_differs_from_a_failing_target() {
    // All three stop; only one says with its exit code who failed.
    compare("echo up", file("1.sh", "#!/bin/sh\nexit 3\n", 0o755), [(80, ""), (3, ""), (3, "")]);
}

#[test]
fn a_directory_in_place_of_a_script_is_an_error() {
    // A mount whose source is misspelt. nginx starts without the script and says nothing.
    compare("echo up", |test| test.directory("hooks/1.sh", 0o755), [(80, ""), (126, ""), (0, "up\n")]);
}

#[test]
fn a_script_that_is_not_executable_is_still_run() {
    // Git on Windows, a ConfigMap: modes get lost. nginx starts without it.
    compare(
        "cat log",
        |test| file("1.sh", "echo ran >>log\n", 0o644)(test.file("log", "", 0o644)),
        [(0, "ran\n"), (0, "ran\n"), (0, "")],
    );
}

#[test]
fn hooks_that_are_not_shell_scripts_run() {
    compare(
        "cat log",
        |test| {
            test.needs("python3").file("log", "", 0o644).hook("1", "#!/bin/sh\necho program >>log\n").file(
                "hooks/2.py",
                "print('python', file=open('log', 'a'))\n",
                0o644,
            )
        },
        [(0, "program\npython\n"), (0, ""), (0, "")],
    );
}

#[test]
fn each_file_of_a_config_map_runs_once() {
    // nginx follows the links that a mounted ConfigMap is made of, and finds each file three times.
    compare(
        "cat log",
        |test| {
            test.file("hooks/..2026/1.sh", "#!/bin/sh\necho ran >>log\n", 0o755)
                .link("hooks/..data", "..2026")
                .link("hooks/1.sh", "..data/1.sh")
        },
        [(0, "ran\n"), (0, "ran\n"), (0, "ran\nran\nran\n")],
    );
}

#[test]
fn hidden_files_and_subdirectories_are_not_hooks() {
    // An editor's backup, a checkout's `.git/hooks`, a library beside the scripts.
    compare(
        "sort log",
        |test| {
            test.file("log", "", 0o644)
                .hook(".1.sh", "#!/bin/sh\necho hidden >>log\n")
                .hook("lib/2.sh", "#!/bin/sh\necho below >>log\n")
        },
        [(0, ""), (0, ""), (0, "below\nhidden\n")],
    );
}

#[test]
fn hooks_run_in_bytewise_order_of_their_names() {
    // The one place where it is a matter of taste: `sort -V` puts 9 before 10, and depends on no zero in front.
    compare(
        "cat log",
        |test| {
            let mut test = test;
            for name in ["10-a.sh", "9-b.sh", "B.sh", "a.sh"] {
                test = test.hook(name, format!("#!/bin/sh\necho {name} >>log\n"));
            }
            // The locale decides the order of a shell's glob; preverb does not use it.
            test.env("LC_ALL", "C")
        },
        [
            (0, "10-a.sh\n9-b.sh\nB.sh\na.sh\n"),
            (0, "10-a.sh\n9-b.sh\nB.sh\na.sh\n"),
            (0, "9-b.sh\n10-a.sh\nB.sh\na.sh\n"),
        ],
    );
}

#[test]
fn a_stop_during_a_hook_stops_the_container() {
    // As PID 1 a shell never sees the signal: the hook continues, the server starts, and is killed ten seconds later.
    let hook = "#!/bin/sh\necho >ready\nwhile ! [ -e go ]; do sleep 0.02; done\n";
    let test = || {
        Test::new()
            .table("[[setup]]\nhooks = \"[DIR]/hooks\"\n")
            .args(["--", "echo", "the target"])
            .hook("1.sh", hook)
            .any_stderr()
    };
    test()
        .during(|run| {
            run.wait_for_file("ready");
            run.signal(Signal::SIGTERM);
            run.ends_within(Duration::from_secs(3));
        })
        .status(143)
        .pid1()
        .run();
    for script in [POSTGRES, NGINX] {
        test()
            .file("loop", script, 0o755)
            .needs_root()
            .under(["unshare", "-pf", "--kill-child", "--mount-proc", "[DIR]/loop"])
            .during(|run| {
                run.wait_for_file("ready");
                let [first] = run.children()[..] else { panic!("one process") };
                nix::sys::signal::kill(first, Signal::SIGTERM).unwrap();
                std::fs::write(run.dir().join("go"), "").unwrap();
            })
            .stdout("the target\n")
            .run();
    }
}
