//! The shortest path through everything that can differ between processors: word size, byte order and
//! page size. `.ci/processors` runs this for each processor that has a binary.

use nix::sys::signal::Signal;

use crate::dsl::Test;

#[test]
fn the_version_is_printed() {
    let version = concat!("preverb ", env!("CARGO_PKG_VERSION"));
    Test::new().args(["--version"]).stdout_contains(version).run();
}

#[test]
fn a_run_with_hooks_reaches_its_program() {
    Test::new()
        .table(
            "log = \"quiet\"\n[env]\nSIZE = \"${PREVERB_MEMORY_MIB}\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\n\
             [verbs.a]\nexec = [\"sh\", \"-c\", 'echo \"$GREETING $1\"; [ \"$SIZE\" -gt 0 ] && umask', \"sh\"]\numask = \"027\"\n",
        )
        .hook("1.sh", "#!/bin/sh\nexport GREETING='hello  you'\n")
        .hook("2.sh", "#!/bin/sh\ntest \"$GREETING\" = 'hello  you' && echo there >[DIR]/tmp/hooked\n")
        .args(["a", "é\n"])
        .stdout("hello  you é\n\n0027\n")
        .check(|output| assert_eq!(output.file("tmp/hooked"), Some(b"there\n".to_vec())))
        .run();
}

#[test]
fn the_target_gets_its_limits_and_ids() {
    Test::new()
        .table(
            "[verbs.a]\nexec = [\"sh\", \"-c\", \"id -u; id -g; ulimit -n; ulimit -f; grep CapBnd /proc/self/status\"]\n\
             user = \"2000000000:2100000000\"\nlimits = { nofile = 777, fsize = 4398046511104 }\n\
             capabilities = [\"NET_BIND_SERVICE\"]\n",
        )
        .args(["a"])
        .needs_root()
        .stdout("2000000000\n2100000000\n777\n8589934592\nCapBnd:\t0000000000000400\n")
        .run();
}

#[test]
fn a_file_larger_than_4_gib_and_a_time_after_2038_are_read() {
    Test::new()
        .table(
            "[[setup]]\nrun = [\"truncate\", \"-s\", \"5G\", \"[DIR]/tmp/large\"]\n\
             [[setup]]\nrun = [\"touch\", \"-d\", \"2045-01-01\", \"[DIR]/tmp/large\"]\n\
             [[setup]]\nwait = [\"file://[DIR]/tmp/large\"]\ntimeout = \"20s\"\n\
             [verbs.a]\nexec = [\"rm\", \"[DIR]/tmp/large\"]\n",
        )
        .args(["--log", "quiet", "a"])
        .run();
}

#[test]
fn a_supervisor_forwards_signals_and_passes_the_exit_code_on() {
    let script = "trap 'exit 42' USR1; sleep 0.01 & :>[DIR]/tmp/ready; while :; do sleep 0.02; done";
    Test::new()
        .args(["--supervise", "--signals", "USR2=USR1", "--", "sh", "-c", script])
        .status(42)
        .during(|run| {
            run.wait_for_file("tmp/ready");
            run.signal(Signal::SIGUSR2);
        })
        .run();
}

#[test]
fn check_reports_every_mistake() {
    Test::new()
        .table("[verbs.a]\nexec = [\"true\"]\nnonsense = 1\n[verbs.b]\nexec = [\"no-such-program\"]\n")
        .args(["--check"])
        .status(78)
        .stderr_contains("preverb.toml:3:1: unknown key `nonsense`")
        .stderr_contains("no-such-program")
        .run();
}
