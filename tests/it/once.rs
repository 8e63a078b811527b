//! `once` and `per` (chapter 5 of the specification): a step that runs while its marker does not exist, in one container
//! at a time, and leaves nothing beside the marker.

use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::dsl::{Test, bytes};

/// A `once` step with these other keys, and a target that prints its variables.
fn once(keys: &str) -> Test {
    Test::new()
        .table(format!(
            "log = \"quiet\"\n[[setup]]\nname = \"first\"\n{keys}\n[verbs.a]\nexec = [\"sh\", \"-c\", 'echo the target ${{A-}}']\n"
        ))
        .args(["a"])
        .directory("d", 0o755)
}

/// The names in `d`.
fn names(output: &crate::dsl::Output) -> Vec<String> {
    let entries = std::fs::read_dir(output.dir.path().join("d")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const TWICE: &str = "\"$@\"; exec \"$@\"";

#[test]
fn a_once_step_runs_only_once() {
    // Twice in a row, and then two at the same time.
    for script in [TWICE, "\"$@\" & \"$@\"; wait"] {
        once("run = [\"sh\", \"-c\", \"ls -A d; echo started >>log; sleep 0.3\"]\nonce = \"[DIR]/d/marker\"")
            .under_shell(script)
            .stdout("the target\nthe target\n")
            .check(|output| {
                assert_eq!(output.file("log").unwrap(), b"started\n");
                let marker = String::from_utf8(output.file("d/marker").unwrap()).unwrap();
                assert!(marker.starts_with("20") && marker.ends_with("Z first\n"), "{marker}");
                assert_eq!(names(output), ["marker"]);
            })
            .pid1()
            .run();
    }
}

#[test]
fn a_slash_at_the_end_of_the_marker_does_not_matter() {
    once("run = [\"true\"]\nonce = \"d/marker/\"")
        .under_shell(TWICE)
        .stdout("the target\nthe target\n")
        .run();
    once("run = [\"mkdir\", \"d/marker\"]\nonce = \"d/marker/\"")
        .under_shell(TWICE)
        .stdout("the target\nthe target\n")
        .run();
}

#[test]
fn the_mode_of_the_marker_does_not_depend_on_the_umask() {
    once("run = [\"true\"]\nonce = \"d/marker\"")
        .under_shell("umask 077; exec \"$@\"")
        .stdout("the target\n")
        .check(|output| {
            let marker = std::fs::metadata(output.dir.path().join("d/marker")).unwrap();
            assert_eq!(marker.mode() & 0o7777, 0o644);
        })
        .run();
}

#[test]
fn a_marker_that_the_step_creates_itself_is_left_unchanged() {
    // A file; a directory; a random key, which must not become a time stamp.
    for (makes, is_there) in [
        ("echo 15 >d/marker", "[ \"$(cat d/marker)\" = 15 ]"),
        ("mkdir d/marker", "[ -d d/marker ]"),
        ("printf secret >d/marker; chmod 400 d/marker", "[ \"$(stat -c %a:%s d/marker)\" = 400:6 ]"),
        ("ln -s ../log d/marker", "[ -L d/marker ]"),
    ] {
        once(&format!(
            "run = [\"sh\", \"-c\", '''echo started >>log; [ -z \"$(ls -A d)\" ] && {makes}''']\nonce = \"d/marker\""
        ))
        .under_shell(&format!("\"$@\" && {is_there} && \"$@\" && {is_there} && echo kept"))
        .stdout("the target\nthe target\nkept\n")
        .check(|output| {
            assert_eq!(output.file("log").unwrap(), b"started\n");
            assert_eq!(names(output), ["marker"]);
        })
        .run();
    }
}

#[test]
fn a_failed_step_leaves_no_marker_and_runs_again() {
    once("run = [\"sh\", \"-c\", \"echo started >>log; [ -e second ]\"]\nonce = \"d/marker\"")
        .under_shell("\"$@\"; echo $? >second; ls -A d; exec \"$@\"")
        .stdout("the target\n")
        .stderr("preverb: hook `first` of step `first` in environment `prod` exited with status 1\n")
        .check(|output| {
            assert_eq!(output.file("log").unwrap(), b"started\nstarted\n");
            assert_eq!(output.file("second").unwrap(), b"80\n");
        })
        .run();
}

#[test]
fn a_marker_that_appears_before_the_step_fails_is_reported() {
    once("run = [\"sh\", \"-c\", \"echo 15 >d/marker; exit 3\"]\nonce = \"d/marker\"")
        .status(80)
        .stderr("preverb: hook `first` of step `first` in environment `prod` exited with status 3; `d/marker` exists now, so the next start will treat the step as done\n")
        .run();
    once("run = [\"sh\", \"-c\", \"mkdir d/marker; exec sleep 100\"]\nonce = \"d/marker\"")
        .during(|run| {
            run.wait_for_file("d/marker");
            run.signal(Signal::SIGTERM);
            run.ends_within(Duration::from_secs(3));
        })
        .status(143)
        .stderr("preverb: stopped by SIGTERM while hook `first` ran; `d/marker` exists now, so the next start will treat the step as done\n")
        .run();
}

#[test]
fn a_step_that_is_killed_with_preverb_runs_again() {
    once("run = [\"sh\", \"-c\", \"echo started >>log; [ -e again ] || exec sleep 5\"]\nonce = \"d/marker\"")
        .under_shell("\"$@\" & while ! [ -e log ]; do sleep 0.02; done; kill -9 $!; wait $! 2>/dev/null; echo >again; exec \"$@\"")
        .stdout("the target\n")
        .check(|output| {
            assert_eq!(output.file("log").unwrap(), b"started\nstarted\n");
            assert_eq!(names(output), ["marker"]);
        })
        .run();
}

#[test]
fn variables_of_a_once_step_are_discarded() {
    // The next start would not have it.
    once("hooks = \"[DIR]/hooks\"\nonce = \"d/marker\"")
        .hook("1.sh", "export A=1; cd /; umask 077\n")
        .hook("2", "#!/bin/sh\necho 'A = \"2\"' >&3\n")
        .hook("3.sh", "echo $A $(pwd) $(umask)\n")
        .env("A", "0")
        .under_shell(TWICE)
        .stdout("the target 0\nthe target 0\n")
        .stderr("2 / 0077\n")
        .run();
}

#[test]
fn a_missing_hook_directory_leaves_the_step_for_the_next_start() {
    // The volume with the hooks is mounted the second time only.
    once("hooks = \"[DIR]/hooks\"\nonce = \"d/marker\"")
        .under_shell("\"$@\"; ls -A d; mkdir hooks; echo 'echo ran' >hooks/1.sh; exec \"$@\"")
        .stdout("the target\nthe target\n")
        .stderr("ran\n")
        .check(|output| assert_eq!(names(output), ["marker"]))
        .run();
    // A directory without hooks was there.
    once("hooks = \"[DIR]/hooks\"\nonce = \"d/marker\"")
        .directory("hooks", 0o755)
        .stdout("the target\n")
        .check(|output| assert_eq!(names(output), ["marker"]))
        .run();
}

#[test]
fn the_directory_of_the_marker_is_created_for_the_steps_user() {
    once("run = [\"sh\", \"-c\", \"stat -c '%U %a' d/x/y\"]\nonce = \"d/x/y/marker\"\nuser = \"nobody\"")
        .needs_root()
        .under_shell("chmod 755 . d; umask 022; exec \"$@\"")
        .stdout("the target\n")
        .stderr("nobody 755\n")
        .check(|output| {
            let marker = std::fs::metadata(output.dir.path().join("d/x/y/marker")).unwrap();
            assert_eq!(marker.uid(), 65534);
        })
        .run();
}

#[test]
fn a_marker_that_cannot_be_written_is_an_error_before_the_step_runs() {
    for (prepare, keys, reason) in [
        ("chmod 755 .", "user = \"nobody\"", "permission denied"),
        ("ln -s nowhere d/marker", "", "it is a broken link"),
        ("mount -t tmpfs -o ro none d", "", "the file system is read-only"),
        ("rmdir d; echo >d", "", "a part of its path is not a directory"),
    ] {
        once(&format!("run = [\"echo\", \"no\"]\nonce = \"d/marker\"\n{keys}"))
            .needs_root()
            .under_shell(&format!("{prepare}; exec \"$@\""))
            .under(["unshare", "-m"])
            .status(71)
            .stderr_contains("`d/marker`, the marker of step `first`: ")
            .stderr_contains(reason)
            .stderr_lacks("\nno\n")
            .run();
    }
}

#[test]
fn a_run_waits_for_another_one_until_it_is_stopped() {
    once("run = [\"echo\", \"no\"]\nonce = \"d/marker\"")
        .env("PREVERB_LOG", "text")
        .under_shell("exec 9<d; flock 9; exec \"$@\"")
        .during(|run| {
            run.wait_for_stderr("another run holds");
            run.signal(Signal::SIGTERM);
            run.ends_within(Duration::from_secs(3));
        })
        .status(143)
        .stderr("preverb: step `first` waits for the lock of `d/marker`, which another run holds\npreverb: stopped by SIGTERM while step `first` waited for the lock of `d/marker`\n")
        .check(|output| assert!(names(output).is_empty()))
        .run();
}

#[test]
fn two_steps_with_markers_in_one_directory_do_not_wait_for_each_other() {
    Test::new()
        .table("log = \"quiet\"\n[[setup]]\nrun = [\"echo\", \"1\"]\nonce = \"one\"\n[[setup]]\nrun = [\"echo\", \"2\"]\nonce = \"two\"\n[verbs.a]\nexec = [\"true\"]\n")
        .args(["a"])
        .stderr("1\n2\n")
        .run();
}

#[test]
fn a_step_with_per_runs_again_when_the_value_differs() {
    let table = "run = [\"sh\", \"-c\", 'echo \"from ${PREVERB_PREVIOUS-none} to $V\"']\nonce = \"d/marker\"\nper = \"${V}\"";
    once(table)
        .env("PREVERB_PREVIOUS", "inherited")
        .under_shell("for V in 1 1 2 1 '' 'a\n b' 'a\n b' c; do export V; \"$@\" >/dev/null || echo $?; done")
        .stdout("65\n")
        .stderr(
            "from none to 1\nfrom 1 to 2\nfrom 2 to 1\npreverb: `per` of step `first` expands to nothing\nfrom 1 to a\n b\nfrom a\n b to c\n",
        )
        .check(|output| {
            let marker = String::from_utf8(output.file("d/marker").unwrap()).unwrap();
            assert!(marker.ends_with("Z first\nc\n"), "{marker}");
            assert_eq!(names(output), ["marker"]);
        })
        .run();
    // Bytes that are not text, and a value that fails leaves the old one.
    once("run = [\"sh\", \"-c\", '[ \"$V\" != bad ]']\nonce = \"d/marker\"\nper = \"${V}\"")
        .env("V", bytes(b"\xff\n"))
        .under_shell("\"$@\"; \"$@\"; V=bad \"$@\"; exec \"$@\"")
        .stdout("the target\nthe target\nthe target\n")
        .any_stderr()
        .check(|output| assert!(output.file("d/marker").unwrap().ends_with(b"\n\xff\n\n")))
        .run();
}

#[test]
fn with_per_a_marker_that_preverb_did_not_write_is_an_error() {
    let keys = |does: &str| format!("run = [\"sh\", \"-c\", '{does}']\nonce = \"d/marker\"\nper = \"1\"");
    once(&keys("echo no"))
        .file("d/marker", "15\n", 0o644)
        .status(71)
        .stderr("preverb: cannot compare `per` with `d/marker`, the marker of step `first`: it was not written by preverb\nhint: `per` needs a marker of its own, which the step does not create\n")
        .check(|output| assert_eq!(output.file("d/marker").unwrap(), b"15\n"))
        .run();
    once(&keys("echo 15 >d/marker"))
        .status(71)
        .stderr_contains("it was not written by preverb")
        .check(|output| assert_eq!(output.file("d/marker").unwrap(), b"15\n"))
        .run();
    // It was written without `per`, and has no value yet.
    once(&keys("echo ${PREVERB_PREVIOUS-none}"))
        .file("d/marker", "2026-11-20T00:00:00Z first\n", 0o644)
        .stdout("the target\n")
        .stderr("none\n")
        .run();
}

#[test]
fn root_refuses_the_value_of_another_users_marker() {
    let test = |then: &str| {
        Test::new()
            .needs_root()
            .table("log = \"quiet\"\nuser = \"10001:10001\"\n[[setup]]\nname = \"first\"\nrun = [\"sh\", \"-c\", \"echo from $PREVERB_PREVIOUS\"]\nuser = \"root\"\nonce = \"d/marker\"\nper = \"2\"\n[verbs.a]\nexec = [\"true\"]\n")
            .args(["a"])
            .file("d/marker", "2026-11-20T00:00:00Z first\n1\n", 0o644)
            .under_shell(&format!("{then}; exec \"$@\""))
    };
    test("chown 10001 d d/marker")
        .status(77)
        .stderr("preverb: step `first` does not take the value in `d/marker` as root: the file belongs to another user\nhint: if the value is right, make the file root's: `chown root`\n")
        .run();
    test("chown 10001 d").stderr("from 1\n").run();
}

#[test]
fn a_secret_is_not_written_into_a_marker() {
    for (keys, key) in [("once = \"d/${S}\"", "once"), ("once = \"d/marker\"\nper = \"${T}\"", "per")] {
        let test = |args: &[&str]| {
            Test::new()
                .table(format!("[variables.S]\nsecret = true\n[env]\nT = \"x${{S}}\"\n[[setup]]\nrun = [\"echo\", \"no\"]\nname = \"first\"\n{keys}\n[verbs.a]\nexec = [\"true\"]\n"))
                .env("S", "swordfish")
                .args(args)
                .status(78)
                .stderr_contains(format!(
                    "`{key}` of step `first` contains a secret, which would be written to disk\n"
                ))
                .stderr_lacks("swordfish")
        };
        test(&["a"]).run();
        test(&["--check"]).run();
    }
}

#[test]
fn a_path_that_expands_to_nothing_is_an_error_that_names_step_and_key() {
    for (keys, key) in [
        ("run = [\"echo\", \"no\"]\nonce = \"${NONE:-}\"", "once"),
        ("hooks = \"${NONE:+x}\"", "hooks"),
        ("mkdir = [\"d\", \"${NONE:-}\"]", "mkdir"),
        ("chown = \"${NONE:-}\"\nuser = \"root\"", "chown"),
        ("render = \"${NONE:-}\"\nto = \"x\"", "render"),
        ("render = \"d/from\"\nto = \"${NONE:-}\"", "to"),
    ] {
        once(keys)
            .needs_root()
            .file("d/from", "", 0o644)
            .status(65)
            .stderr(format!("preverb: `{key}` of step `first` expands to nothing\n"))
            .run();
    }
}

#[test]
fn per_without_once_is_an_error_of_the_table() {
    once("run = [\"true\"]\nper = \"1\"")
        .status(78)
        .stderr("preverb: [DIR]/preverb.toml:5:1: `per` needs a `once`\n5 | per = \"1\"\n  | ^^^\n")
        .run();
}

#[test]
fn a_file_beside_the_marker_is_locked_if_the_directory_cannot_be() {
    // Only `-wx`: it cannot be opened to be locked. The lock's file of a run that died is taken over.
    for left in ["", "echo left >d/marker.lock; chmod 644 d/marker.lock; "] {
        once("run = [\"sh\", \"-c\", \"ls d; echo started >>log; sleep 0.3\"]\nonce = \"d/marker\"\nuser = \"nobody\"")
            .needs_root()
            .under_shell(&format!("{left}: >log; chmod 666 log; chmod 777 . d; chmod 333 d; \"$@\" & \"$@\"; wait"))
            .stdout("the target\nthe target\n")
            .any_stderr()
            .check(|output| {
                assert_eq!(output.file("log").unwrap(), b"started\n");
                assert_eq!(names(output), ["marker"]);
            })
            .run();
    }
}
