//! The `wait` step: its targets, the pauses between tries, its messages and its end.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use crate::dsl::{Test, skip};

/// A table that waits for these targets, a TOML array.
fn wait(targets: &str, rest: &str) -> Test {
    Test::new()
        .table(format!("[[setup]]\nwait = {targets}\n{rest}\n[verbs.a]\nexec = [\"echo\", \"the target\"]\n"))
        .args(["a"])
}

/// An address of this machine on which nothing listens yet.
fn free(host: &str) -> Option<SocketAddr> {
    TcpListener::bind((host, 0)).ok()?.local_addr().ok()
}

/// Waits for the address with a port that opens only after a while.
fn opens_late(address: SocketAddr, target: &str) -> Test {
    wait(&format!("[\"{target}\"]"), "")
        .during(move |run| {
            run.wait_for_stderr("waiting for");
            let _open = TcpListener::bind(address).unwrap();
            // The next run must find it closed from its first try on.
            run.wait_for_stderr("is ready after");
        })
        .stdout("the target\n")
        .stderr(format!(
            "preverb: waiting for `{target}` for [TIME]\npreverb: `{target}` is ready after [TIME]\n"
        ))
        .pid1()
}

#[test]
fn a_target_that_is_ready_at_once_is_not_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let listener = RefCell::new(listener);
    wait(
        &format!("[\"tcp://{address}\", \"file:///etc/passwd\", {{ exec = [\"true\"] }}]"),
        "timeout = \"5s\"",
    )
    .during(move |_| drop(listener.borrow_mut()))
    .stdout("the target\n")
    .pid1()
    .run();
}

#[test]
fn wait_waits_for_an_ipv4_port() {
    let address = free("127.0.0.1").unwrap();
    opens_late(address, &format!("tcp://{address}")).run();
}

#[test]
fn wait_waits_for_an_ipv6_port() {
    let Some(address) = free("::1") else { return skip("there is no IPv6") };
    opens_late(address, &format!("tcp://{address}")).run();
}

#[test]
fn every_address_of_a_name_is_tried() {
    // `localhost` is ::1 and 127.0.0.1; the program listens on the second alone.
    let address = free("127.0.0.1").unwrap();
    opens_late(address, &format!("tcp://localhost:{}", address.port())).run();
}

#[test]
fn a_name_is_resolved_again_at_every_try() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let listener = RefCell::new(listener);
    wait(&format!("[\"tcp://late.test:{port}\"]"), "")
        .lay_over("/etc/hosts", "127.0.0.1 localhost\n")
        .during(move |run| {
            let _open = listener.borrow_mut();
            let hosts = run.dir().join("over/etc/hosts");
            std::fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
            run.wait_for_stderr("waiting for");
            std::fs::write(&hosts, "127.0.0.1 localhost late.test\n").unwrap();
        })
        .stdout("the target\n")
        .any_stderr()
        .pid1()
        .run();
}

#[test]
fn wait_waits_for_a_unix_socket() {
    let open = RefCell::new(None);
    wait("[\"unix://[DIR]/socket\"]", "")
        .during(move |run| {
            open.borrow_mut().take();
            run.wait_for_stderr("waiting for");
            *open.borrow_mut() = Some(UnixListener::bind(run.dir().join("socket")).unwrap());
        })
        .stdout("the target\n")
        .stderr_contains("`unix://[DIR]/socket` is ready after [TIME]\n")
        .pid1()
        .run();
}

#[test]
fn wait_waits_for_a_file() {
    wait("[\"file://[DIR]/made\"]", "")
        .during(|run| {
            run.wait_for_stderr("waiting for");
            std::fs::write(run.dir().join("made"), "").unwrap();
        })
        .stdout("the target\n")
        .stderr_contains("`file://[DIR]/made` is ready after [TIME]\n")
        .pid1()
        .run();
}

#[test]
fn http_is_ready_only_with_a_status_from_200_to_399() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut answers = ["500 No", "404 No", "199 No", "400 No", "302 Found"].iter().cycle();
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && connection.read(&mut byte).is_ok_and(|count| count == 1)
            {
                request.push(byte[0]);
            }
            assert!(request.starts_with(b"GET /health?x=1 HTTP/1."), "{request:?}");
            let _ = write!(connection, "HTTP/1.1 {}\r\nContent-Length: 0\r\n\r\n", answers.next().unwrap());
        }
    });
    wait(&format!("[\"http://{address}/health?x=1\"]"), "")
        .stdout("the target\n")
        .stderr(format!("preverb: `http://{address}/health` is ready after [TIME]\n"))
        .pid1()
        .run();
}

#[test]
fn all_targets_are_tried_at_the_same_time() {
    // Each is ready only once the other has been tried.
    wait(
        "[{ exec = [\"sh\", \"-c\", \"echo >a; test -e b\"] }, { exec = [\"sh\", \"-c\", \"echo >b; test -e a\"] }]",
        "timeout = \"20s\"",
    )
    .stdout("the target\n")
    .any_stderr()
    .check(|output| assert!(output.took < Duration::from_secs(5), "{:?}", output.took))
    .pid1()
    .run();
}

#[test]
fn a_program_that_hangs_does_not_delay_other_targets() {
    wait("[{ exec = [\"sh\", \"-c\", \"trap '' TERM; sleep 100\"] }, \"file://[DIR]/made\"]", "timeout = \"8s\"")
        .during(|run| {
            run.wait_for_stderr("waiting for");
            std::fs::write(run.dir().join("made"), "").unwrap();
        })
        .status(69)
        .stderr("[...]\npreverb: `file://[DIR]/made` is ready after [TIME]\npreverb: wait: not ready after 8 s: `sh -c trap '' TERM; sleep 100` (no answer in time)\n")
        .check(|output| assert!(output.took < Duration::from_secs(11), "{:?}", output.took))
        .pid1()
        .run();
}

#[test]
fn an_exec_target_may_take_the_whole_timeout() {
    // Longer than a try of preverb's own; a second try would begin from the start.
    wait("[{ exec = [\"sh\", \"-c\", \"! [ -e tried ] && : >tried && sleep 5.5\"] }]", "timeout = \"20s\"")
        .stdout("the target\n")
        .stderr_contains("is ready after [TIME]\n")
        .run();
}

#[test]
fn a_target_that_expands_to_nothing_is_skipped() {
    wait("[\"${URL:-}\", \"${OTHER}\", \"sqlite:///db.sqlite3\"]", "")
        .env("OTHER", "")
        .stdout("the target\n")
        .run();
}

#[test]
fn an_ipv6_address_needs_no_brackets() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return skip("there is no IPv6") };
    let port = listener.local_addr().unwrap().port();
    wait("[\"tcp://${H}:${P}\"]", "")
        .env("H", "::1")
        .env("P", port.to_string())
        .stdout("the target\n")
        .during(move |_| {
            let _open = &listener;
        })
        .run();
}

#[test]
fn a_proxy_that_accepts_and_closes_is_not_ready() {
    // As docker-proxy does for a container in which nothing listens.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    wait(&format!("[\"tcp://{address}\"]"), "timeout = \"300ms\"")
        .status(69)
        .stderr(format!(
            "preverb: wait: not ready after 300 ms: `tcp://{address}` (connection closed at once)\n"
        ))
        .pid1()
        .run();
}

#[test]
fn user_information_and_query_of_a_target_are_never_shown() {
    let address = free("127.0.0.1").unwrap();
    wait("[\"${URL}\"]", "timeout = \"1200ms\"")
        .env("URL", format!("postgresql+psycopg2://app:hunter2@{address}/shop?password=hunter3"))
        .status(69)
        .stderr(format!(
            "preverb: waiting for `postgresql+psycopg2://***@{address}/shop` for [TIME]\npreverb: wait: not ready after 1.2 s: `postgresql+psycopg2://***@{address}/shop` (connection refused)\n"
        ))
        .run();
    wait("[\"${URL}\"]", "")
        .env("URL", "postgres://app:hunter2/3@db/shop?x=hunter4")
        .status(65)
        .stderr_contains("`postgres://***@db/shop`")
        .stderr_lacks("hunter")
        .run();
    // Nor if preverb does not wait.
    Test::new()
        .table("[[setup]]\nwait = \"${URL}\"\n[verbs.a]\nexec = [\"echo\"]\n")
        .args(["--explain", "a"])
        .env("URL", "postgres://app:hunter2@db/shop?password=hunter3")
        .stdout_contains("postgres://***@db/shop\n")
        .stdout_lacks("hunter")
        .run();
    wait("[\"http://app:hunter2@web/\", \"tcp://web:1\"]", "")
        .status(78)
        .stderr(
            "preverb: [DIR]/preverb.toml:2:9: `http://***@web/` in `wait`: a user and a password are not sent to this kind of target; leave them out\n2 | wait = [\"http://***@web/\", \"tcp://web:1\"]\n  |         ^^^^^^^^^^^^^^^^^\n",
        )
        .run();
}

#[test]
fn an_https_target_with_a_path_is_not_a_health_check() {
    let hint = "hint: use `tls://host:port` for the handshake alone, or an `exec` probe with a program that speaks HTTPS\n";
    let why =
        "only the TLS handshake is checked and nothing is sent inside it, so the path is never requested";
    Test::new()
        .args(["--probe", "https://app:hunter2@127.0.0.1:1/healthz?x"])
        .status(64)
        .stderr(format!("preverb: `https://***@127.0.0.1:1/healthz` cannot be probed: {why}\n{hint}"))
        .run();
    let table = "[verbs.a]\nexec = [\"echo\", \"the target\"]\nhealth = \"https://web/healthz\"\n";
    for args in [&["a"][..], &["--check"]] {
        Test::new()
            .table(table)
            .args(args)
            .status(78)
            .stderr_contains(format!("preverb.toml:3:10: `https://web/healthz` in `health`: {why}\n"))
            .stderr_contains(hint)
            .run();
    }
    Test::new()
        .table("[verbs.a]\nexec = [\"echo\"]\nhealth = \"https://web/${PAGE:-healthz}\"\n")
        .args(["--check"])
        .stderr_contains(format!(
            "preverb: warning: [DIR]/preverb.toml:3:10: `https://web/healthz` in `health`: {why}\n"
        ))
        .stderr_contains(hint)
        .run();
    // Without a path, or for a wait, it is valid.
    Test::new().table(table.replace("/healthz", "")).args(["a"]).stdout("the target\n").run();
    wait("[\"https://127.0.0.1:1/healthz\"]", "timeout = \"100ms\"")
        .status(69)
        .stderr_contains("`https://127.0.0.1:1/healthz` (connection refused)")
        .run();
}

#[test]
fn check_warns_of_the_default_socket_of_postgres() {
    Test::new()
        .table("[[setup]]\nwait = \"unix:///run/postgresql/.s.PGSQL.5432\"\n[verbs.a]\nexec = [\"echo\"]\n")
        .args(["--check"])
        .stderr_contains("`unix:///run/postgresql/.s.PGSQL.5432` in `wait`: the temporary server of the official image's first start answers at this socket, too")
        .run();
}

#[test]
fn an_empty_argument_is_not_a_target_and_a_file_database_needs_no_wait() {
    Test::new().args(["--wait", ""]).status(64).stderr("preverb: `` is not a target: it is empty\n").run();
    Test::new().args(["--probe", ""]).status(64).stderr("preverb: `` is not a target: it is empty\n").run();
    Test::new().args(["--wait", "sqlite:///db", "--", "echo", "hello"]).stdout("hello\n").run();
    Test::new().args(["--probe", "sqlite:///db"]).run();
}

#[test]
fn a_timeout_reports_each_target_that_is_not_ready_with_its_last_error() {
    let address = free("127.0.0.1").unwrap();
    wait(
        &format!(
            "[\"tcp://{address}\", \"file://[DIR]/never\", \"file://[DIR]/preverb.toml\", {{ exec = [\"sh\", \"-c\", \"echo not yet >&2; exit 3\"] }}]"
        ),
        "timeout = \"300ms\"",
    )
    .status(69)
    .stderr(format!(
        "[...]\npreverb: wait: not ready after 300 ms: `tcp://{address}` (connection refused), `file://[DIR]/never` (does not exist), `sh -c echo not yet >&2; exit 3` (exited with status 3: not yet)\n"
    ))
    .pid1()
    .run();
}

#[test]
fn a_wait_for_several_probes_that_hang_ends() {
    // The first wait reaps all of them.
    wait(
        "[{ exec = [\"sleep\", \"100\"] }, { exec = [\"sleep\", \"101\"] }, { exec = [\"sh\", \"-c\", \"trap '' TERM; sleep 102\"] }]",
        "timeout = \"400ms\"\nname = \"database\"",
    )
    .status(69)
    .stderr("preverb: step `database`: not ready after 400 ms: `sleep 100` (no answer in time), `sleep 101` (no answer in time), `sh -c trap '' TERM; sleep 102` (no answer in time)\n")
    .check(|output| assert!(output.took < Duration::from_secs(4), "{:?}", output.took))
    .pid1()
    .run();
}

#[test]
fn a_timeout_of_0s_waits_without_a_limit() {
    wait("[\"file://[DIR]/made\"]", "timeout = \"0s\"")
        .during(|run| {
            run.wait_for_stderr("waiting for");
            std::fs::write(run.dir().join("made"), "").unwrap();
        })
        .stdout("the target\n")
        .any_stderr()
        .run();
}

#[test]
fn a_wait_is_reported_after_a_second_and_then_every_ten_seconds() {
    wait("[\"file://[DIR]/one\", \"file://[DIR]/other\"]", "")
        .during(|run| {
            run.wait_for_stderr("still waiting");
            for file in ["one", "other"] {
                std::fs::write(run.dir().join(file), "").unwrap();
            }
        })
        .stdout("the target\n")
        .stderr(
            "preverb: waiting for `file://[DIR]/one`, `file://[DIR]/other` for [TIME 1-10]\n\
             preverb: still waiting for `file://[DIR]/one`, `file://[DIR]/other` for [TIME 10-20]\n\
             preverb: `file://[DIR]/[..]` is ready after [TIME 10-20]\n\
             preverb: `file://[DIR]/[..]` is ready after [TIME 10-20]\n",
        )
        .run();
}

#[test]
fn with_json_logging_messages_about_waiting_are_json() {
    wait("[\"file://[DIR]/made\"]", "")
        .env("PREVERB_LOG", "json")
        .during(|run| {
            run.wait_for_stderr("waiting for");
            std::fs::write(run.dir().join("made"), "").unwrap();
        })
        .stdout("the target\n")
        .any_stderr()
        .check(|output| {
            let messages = output.json_messages();
            let file = format!("file://{}/made", output.dir.path().display());
            assert_eq!(messages.len(), 2, "{messages:?}");
            assert_eq!(messages[0]["targets"], file);
            assert_eq!(messages[1]["target"], file);
            assert!(messages.iter().all(|message| message["level"] == "info" && message["time"].is_string()));
        })
        .run();
}

#[test]
fn a_target_is_expanded_when_its_turn_comes() {
    Test::new()
        .table(
            "[[setup]]\nhooks = \"[DIR]/hooks\"\n[[setup]]\nwait = [\"file://${WHERE}/made\"]\n[verbs.a]\nexec = [\"echo\", \"the target\"]\n",
        )
        .args(["a"])
        .file("made", "", 0o644)
        .hook("1.sh", "export WHERE=\"$PWD\"\n")
        .stdout("the target\n")
        .any_stderr()
        .run();
}

#[test]
fn an_exec_probe_runs_as_the_verbs_user_without_inherited_descriptors() {
    let probe = "test \"$(id -u):$(id -g):$(id -G)\" = 65534:65534:65534 && ! [ -t 0 ] && ! read -r x && test \"$HOME\" = /nonexistent && ! [ -e /proc/self/fd/7 ]";
    Test::new()
        .table(format!(
            "user = \"nobody\"\n[[setup]]\nwait = [{{ exec = [\"sh\", \"-c\", '''{probe}'''] }}]\ntimeout = \"300ms\"\n[verbs.a]\nexec = [\"echo\", \"the target\"]\n"
        ))
        .args(["a"])
        .needs_root()
        .stdin("for the target\n")
        .under_shell("exec 7</dev/null; exec \"$@\"")
        .stdout("the target\n")
        .pid1()
        .run();
}

#[test]
fn only_the_last_line_of_the_last_probe_is_shown() {
    wait("[{ exec = [\"sh\", \"-c\", \"echo one; echo two >&2; echo three >&2; exit 1\"] }]", "timeout = \"100ms\"")
        .status(69)
        .stderr("preverb: wait: not ready after 100 ms: `sh -c echo one; echo two >&2; echo three >&2; exit 1` (exited with status 1: three)\n")
        .run();
}

#[test]
fn a_probe_is_repeated_until_its_program_exists() {
    wait("[{ exec = [\"late-probe\"] }]", "")
        .during(|run| {
            run.wait_for_stderr("waiting for");
            let path = run.dir().join("bin/late-probe");
            std::fs::write(run.dir().join("new"), "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(
                run.dir().join("new"),
                std::os::unix::fs::PermissionsExt::from_mode(0o755),
            )
            .unwrap();
            std::fs::rename(run.dir().join("new"), path).unwrap();
        })
        .stdout("the target\n")
        .any_stderr()
        .run();
}

#[test]
fn a_slow_first_try_is_reported_as_waiting() {
    wait("[{ exec = [\"sleep\", \"1.3\"] }]", "")
        .stdout("the target\n")
        .stderr("preverb: waiting for `sleep 1.3` for [TIME]\npreverb: `sleep 1.3` is ready after [TIME]\n")
        .run();
}

#[test]
fn long_output_of_a_probe_is_shortened() {
    let probe = "head -c 5000000 /dev/zero | tr '\\\\0' x >&2; exit 1";
    wait(&format!("[{{ exec = [\"sh\", \"-c\", \"{probe}\"] }}]"), "timeout = \"2s\"")
        .status(69)
        .stderr_contains("(exited with status 1: xxx")
        .stderr_contains("xxx...)\n")
        .check(|output| assert!(output.stderr.len() < 2000, "{} bytes", output.stderr.len()))
        .run();
}

#[test]
fn root_runs_no_probe_that_other_users_can_change() {
    let probe = |user: &str| {
        wait("[{ exec = [\"probe\"] }]", user)
            .program("probe", "#!/bin/sh\n: >ran\n")
            .needs_root()
            .under_shell("chmod 777 bin; exec \"$@\"")
    };
    probe("user = \"root\"")
        .status(77)
        .stderr("preverb: step `wait probe` does not run `[DIR]/bin/probe` as root: `[DIR]/bin` is writable by users other than root (mode 0777)\nhint: [..]\n")
        .check(|output| assert!(output.file("ran").is_none()))
        .run();
    probe("").stdout("the target\n").check(|output| assert!(output.file("ran").is_some())).run();
    // It may be made while the step waits.
    wait("[{ exec = [\"late\"] }]", "user = \"root\"\ntimeout = \"2s\"")
        .needs_root()
        .under_shell("chmod 777 bin; exec \"$@\"")
        .during(|run| {
            run.wait_for_stderr("waiting for");
            std::os::unix::fs::symlink("/bin/true", run.dir().join("bin/late")).unwrap();
        })
        .status(69)
        .stderr_contains("(preverb does not run `[DIR]/bin/late` as root: `[DIR]/bin` is writable by users other than root (mode 0777))\n")
        .run();
}

#[test]
fn a_target_never_appears_in_a_command_line() {
    for user in ["", "user = \"nobody\"\n"] {
        let listener = RefCell::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.borrow().local_addr().unwrap();
        let test = Test::new()
            .table(format!(
                "{user}[variables.TOKEN]\nsecret = true\n[[setup]]\nwait = [\"http://{address}/$${{TOKEN}}\"]\n[verbs.a]\nexec = [\"echo\", \"the target\"]\n"
            ).replace("$$", "$"))
            .args(["a"])
            .env("TOKEN", "hunter2")
            .during(move |run| {
                let mut connection = listener.borrow_mut().accept().unwrap().0;
                let mut request = [0; 12];
                connection.read_exact(&mut request).unwrap();
                assert_eq!(&request, b"GET /hunter2");
                let probes = run.children();
                assert!(!probes.is_empty());
                for pid in probes {
                    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
                    let words = String::from_utf8_lossy(&words);
                    assert!(words.contains("--preverb-probe") && !words.contains("hunter2"), "{words}");
                }
                connection.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            })
            .stdout("the target\n")
            .any_stderr();
        if user.is_empty() { test.run() } else { test.needs_root().run() }
    }
}

#[test]
fn a_port_that_opens_is_noticed_within_a_tenth_of_the_time() {
    let address = free("127.0.0.1").unwrap();
    let opened = RefCell::new(None);
    wait(&format!("[\"tcp://{address}\"]"), "")
        .during(move |run| {
            run.wait_for_stderr("waiting for");
            *opened.borrow_mut() = Some(TcpListener::bind(address).unwrap());
            // A tenth of some two seconds, and as much again for a busy machine.
            run.ends_within(Duration::from_millis(400));
        })
        .stdout("the target\n")
        .any_stderr()
        .run();
}
