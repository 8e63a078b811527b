//! Tests of the DSL itself: a test can fail, and its promises about a run hold. Here a shell
//! replaces preverb.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::dsl::{Network, PATH, Test, state};

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
fn unexpected_output_fails_the_test() {
    script("exit 0").run();
    assert!(fails(script("exit 3")).contains("the status is 3, and 0 was expected"));
    assert!(fails(script("echo a")).contains("standard output is not what was expected"));
    assert!(fails(script("echo a >&2")).contains("standard error is not what was expected"));
    assert!(fails(script("echo abc").stdout_contains("bd")).contains("standard output lacks"));
    assert!(fails(script("echo abc >&2").stderr_lacks("bc").any_stdout()).contains("holds"));
    let as_pid1 = script("[ $$ != 1 ] || exit 9").pid1();
    if as_pid1.is_twofold() {
        assert!(fails(as_pid1).contains("as process 1: the status is 9"));
    }
}

#[test]
fn a_test_sets_the_directory_and_the_environment() {
    script("pwd; cat file; env; cat")
        .file("file", "in [DIR]\n", 0o644)
        .env("A", "[DIR]/a")
        .stdin("typed\n")
        .stdout(format!("[DIR]\nin [DIR]\nA=[DIR]/a\nPATH=[DIR]/bin:{PATH}\nPWD=[DIR]\ntyped\n"))
        .pid1()
        .run();
}

#[test]
fn death_by_a_signal_is_reported_as_128_plus_its_number() {
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
fn a_test_can_have_a_terminal() {
    script("tty -s && read line && echo \"got $line\"")
        .terminal()
        .during(|run| run.type_in(b"hello\n"))
        .stdout("hello\ngot hello\n")
        .pid1()
        .run();
}

#[test]
fn a_terminal_without_output_ends() {
    script("exit 4").terminal().status(4).run();
}

#[test]
fn a_test_can_have_its_own_mounts_users_and_owner() {
    let users = || Test::new().lay_over("/etc/passwd", "own:x:4711:4712::/:\n");
    let script = "cat /etc/passwd; pwd; id -u; id -g";
    let seen = |ids: &str| format!("own:x:4711:4712::/:\n[DIR]\n{ids}");
    users().under(["sh", "-c", script]).stdout(seen("0\n0\n")).pid1().run();
    users().started_by(4711, 4712).under(["sh", "-c", script]).stdout(seen("4711\n4712\n")).run();
    Test::new()
        .mounts("mount -t tmpfs none /mnt; : >/mnt/file")
        .under(["sh", "-c", "ls /mnt"])
        .stdout("file\n")
        .run();
    Test::new().mounts("false").under(["sh", "-c", "echo no"]).status(1).run();
}

#[test]
fn a_test_can_have_its_own_namespaces() {
    let script = "echo $$; cat /proc/self/uid_map /proc/self/setgroups";
    Test::new()
        .in_pid_namespace()
        .under(["sh", "-c", "echo $$; cat /proc/self/stat"])
        .stdout("1\n2 [..]\n")
        .run();
    Test::new()
        .in_user_namespace()
        .under(["sh", "-c", script])
        .any_stdout()
        .stdout_contains(" 0          0          1\ndeny\n")
        .run();
    Test::new()
        .in_pid_namespace()
        .under(["sh", "-c", "trap 'exit 3' TERM; : >ready; while :; do sleep 0.01; done"])
        .during(|run| {
            run.wait_for_file("ready");
            run.signal(Signal::SIGTERM);
        })
        .status(3)
        .run();
}

#[test]
fn servers_in_a_private_network_end_with_the_test() {
    let Some(mut network) = Network::new() else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = network.start(4711, dir.path(), &["sh", "-c", "id -u; exec sleep 100"]);
    let log = || std::fs::read_to_string(dir.path().join("server.log")).unwrap();
    network.wait_for(&["grep", "-q", "4711", dir.path().join("server.log").to_str().unwrap()]);
    assert_eq!(log(), "4711\n");
    // The loopback is up, and there is no other interface.
    let links = network.output(&["ip", "-brief", "address"]).stdout;
    let links = String::from_utf8(links).unwrap();
    assert!(links.starts_with("lo ") && links.contains("127.0.0.1/8") && !links.contains("eth"), "{links}");
    Test::new()
        .under(network.words())
        .under(["cat", "/proc/net/dev"])
        .any_stdout()
        .stdout_lacks("eth0")
        .run();
    assert!(state(server).is_some());
    drop(network);
    assert_eq!(state(server), None);
}
