//! Isolation of sourced hooks (chapter 5 of the specification): each has its own shell, which sees what
//! earlier hooks exported and nothing else from them.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::dsl::{Test, bytes};

/// A step with these keys, and a verb whose target is a script.
fn table(step: &str, target: &str) -> Test {
    Test::new()
        .table(format!(
            "log = \"quiet\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\n{step}\n[verbs.a]\nexec = [\"sh\", \"-c\", '''{target}''']\n"
        ))
        .args(["a"])
}

/// Names the hooks `1.sh`, `2.sh` and so on, and runs them with `sh` and with busybox's.
#[track_caller]
fn run<B: AsRef<[u8]>>(hooks: impl AsRef<[B]>, case: impl Fn() -> Test) {
    for line in ["#!/bin/sh", "#!/usr/bin/env ash"] {
        let mut test = case();
        if line.ends_with("ash") {
            test = test.needs("busybox").link("bin/ash", "/bin/busybox");
        }
        for (number, text) in (1..).zip(hooks.as_ref()) {
            let hook = [line.as_bytes(), b"\n", text.as_ref(), b"\n"].concat();
            test = test.hook(&format!("{number}.sh"), hook);
        }
        test.run();
    }
}

#[test]
fn variables_that_a_hook_does_not_export_are_lost() {
    run(["A=1 B=1", "export C=${A-c} D=${B-d}", "export E", "E=leak\nA=2", "unset D"], || {
        table("", "echo ${A-no}${B-no}${C-no}${D-no}${E-no}").stdout("nonocnono\n").pid1()
    });
}

#[test]
fn only_the_exports_of_a_hook_are_kept() {
    let hooks = [
        "export A=1 B=1\nC=1\nf() { :; }\nset -u\nset -- x\nset -f",
        "echo \"$A ${C-unset} $* ${NOTHING}.\"\ntype f >/dev/null 2>&1 || echo no f\nexport B=2 D=2\nunset E",
        "D=3\nunset A; export A\necho ${E-unset} *.toml\nlocal=1\nexport F=",
        "export A=4\nunset D\nexit 0\nexport A=5",
        "echo $A ${D-unset} ${local-unset}\nreturn 0\nexit 9",
    ];
    run(hooks, || {
        table("", "echo \"$A|$B|${C-unset}|${D-unset}|${E-unset}|$F\"")
            .env("E", "inherited")
            .stdout("4|2|unset|unset|unset|\n")
            .stderr("1 unset a .\nno f\nunset preverb.toml\n4 unset unset\n")
            .pid1()
    });
}

#[test]
fn a_hook_sees_no_shell_state_of_an_earlier_hook() {
    let tool = |name: &str| {
        format!(
            "mkdir -p {name}; printf '#!/bin/sh\\necho {name}\\n' >{name}/tool; chmod +x {name}/tool; tool"
        )
    };
    let (a, b) = (tool("a"), tool("b"));
    let hooks = [
        "x=1 y=2; for z in 1 2; do :; done; read -r w </dev/null || :; : ${v:=3} $((u = 4))\nshift\nset -f -u",
        "echo ${x-no}${y-no}${z-no}${w-no}${v-no}${u-no} $# $1 *.toml ${NOTHING}.",
        "cd /; cd - >/dev/null; export x=5; unset x",
        "echo ${x-no} ${OLDPWD-no}",
        &b,
        &a,
        "(exit 3) || echo $?; exit 0",
        "set +e; false; exit 0; echo no",
        "echo ${x-no} $?",
    ];
    run(hooks, || {
        table("", ":")
            .args(["one two"])
            .env("PATH", "[DIR]/bin:[DIR]/a:[DIR]/b:/usr/sbin:/usr/bin:/sbin:/bin")
            .stderr("nononononono 2 a preverb.toml .\nno no\nb\na\n3\nno 0\n")
            .pid1()
    });
}

#[test]
fn directory_umask_and_special_variables_persist_for_later_hooks() {
    let hooks = [
        "cd there",
        "pwd; export HOME=/nowhere; umask 027",
        "umask; echo ~; export IFS=: ; cd ..; pwd",
        "x='a b:c'; printf '%s,' $x; export PATH=\"$PWD/there:$PATH\"",
        "found; export LC_ALL=C; unset HOME",
        "found; echo ${HOME-unset}; export PS4=x OPTIND=3",
        "pwd",
    ];
    run(hooks, || {
        table("", "pwd; umask; echo \"$HOME|$PATH|$LC_ALL\"")
            .file("there/found", "#!/bin/sh\necho found\n", 0o755)
            .env("HOME", "/root")
            .any_stdout()
            .any_stderr()
            .check(|output| {
                let dir = output.dir.path().canonicalize().unwrap();
                let dir = dir.to_str().unwrap();
                let expected =
                    format!("{dir}/there\n0027\n/nowhere\n{dir}\na b,c,found\nfound\nunset\n{dir}\n");
                // dash does not take IFS from its environment; busybox does.
                let messages = output.messages().replace("a,b:c,", "a b,c,");
                assert!(messages.starts_with(&expected), "{messages}");
                let (at, rest) = output.text().split_once('\n').unwrap();
                assert_eq!(at, dir);
                assert!(
                    rest.starts_with(&format!("0027\n|{dir}/there:")) && rest.ends_with("|C\n"),
                    "{rest}"
                );
            })
    });
}

#[test]
fn arguments_input_and_descriptors_are_the_same_for_every_hook() {
    let script =
        "printf '(%s)' \"$@\"; cat; readlink /proc/self/fd/0; ls /proc/self/fd | tr '\\n' ' '; shift; echo";
    run([script; 3], || {
        table("", "cat; cat <&5")
            .args(["a b", "", "--help"])
            .stdin("for the target\n")
            .file("five", "five\n", 0o644)
            .under(["bash", "-c", "exec 5<five 9<five; exec \"$@\"", "sh"])
            .stdout("for the target\nfive\n")
            // `ls` itself has the fourth one open, on the directory.
            .stderr("(a)(a b)()(--help)/dev/null\n0 1 2 3 4 \n".repeat(3))
            .pid1()
    });
}

#[test]
fn each_hook_has_its_own_descriptor_3() {
    let hooks = [
        "echo 'A = \"one\"' >&3; export B=b",
        "echo \"$A\"; echo 'C = \"x\"' >&3",
        "echo \"$C\"",
        "echo 'C = \"three\"' >&3; export C=other",
    ];
    run(hooks, || table("", "echo \"$A|$B|$C\"").stdout("one|b|three\n").stderr("one\nx\n"));
    run([":", ":", "echo nonsense >&3", "echo no"], || {
        table("", "echo no").status(80).stderr(
            "preverb: hook `3.sh` of step `hooks [DIR]/hooks` in environment `prod` wrote to descriptor 3 [..]\n",
        )
    });
}

#[test]
fn values_of_any_bytes_reach_later_hooks() {
    let value: Vec<u8> = (1..=255).chain(*b"'\n\n''\"\\$(id)`id`\n").collect();
    run(["export A=\"$X\"", "export B=\"$A\"", "unset X", "export C=\"$B${X-.}\""], || {
        table("", "printf %s \"$A$B$C\"")
            .env("X", bytes(&value))
            .stdout([&value[..], &value, &value, b"."].concat())
    });
}

#[test]
fn hooks_need_no_writable_dev_null() {
    for dev in ["", "echo >/dev/null; chmod 600 /dev/null; ", "mknod -m 600 /dev/null c 1 3; "] {
        let mounted = format!("mount -t tmpfs none /dev; {dev}mount -o remount,ro /dev; exec \"$@\"");
        let mounted = format!("exec unshare -m sh -c '{mounted}' sh \"$@\"");
        run(["export A=1", "export B=2", "set -C; export C=3"], || {
            table("", "echo $A$B$C; ls /dev")
                .under_shell(&mounted)
                .stdout(if dev.is_empty() { "123\n" } else { "123\nnull\n" })
                .needs_root()
        });
    }
}

#[test]
fn a_leftover_process_of_a_hook_cannot_disturb_later_hooks() {
    // It writes to the descriptor that it was given, and signals the group that it was born in.
    let left = "trap \"\" PIPE TERM; echo >ready; while [ ! -e go ]; do sleep 0.01; done; echo nonsense >&3; kill 0; echo >done";
    for how in ["", "setsid"] {
        let leave = format!(
            "#!/bin/sh\n{how} sh -c '{left}' 2>/dev/null &\nwhile [ ! -e ready ]; do sleep 0.01; done\n"
        );
        run(["leave", "echo >go\nwhile [ ! -e done ]; do sleep 0.01; done\n", "export A=1"], || {
            table("", "echo $A").program("leave", &leave).stdout("1\n")
        });
    }
}

#[test]
fn each_failed_hook_is_reported_with_its_own_status() {
    let slay = |signal: &str| format!("#!/bin/sh\nkill -{signal} $PPID\nsleep 100\n");
    for (script, how) in [
        ("false\necho no", "exited with status 1"),
        ("exit 143", "exited with status 143"),
        ("sh -c 'exit 137'", "exited with status 137"),
        ("nothing-of-this-name 2>/dev/null", "exited with status 127"),
        ("[ -n \"$NOTHING\" ] && echo no", "exited with status 1"),
        ("term-it", "was ended by SIGTERM"),
        ("kill-it", "was ended by SIGKILL"),
        ("int-it", "was ended by SIGINT"),
        ("usr1-it", "was ended by SIGUSR1"),
        ("stop-it", "was stopped by SIGSTOP"),
    ] {
        run(["export A=1", "echo $A", script, "echo no"], || {
            table("", "echo no")
                .program("term-it", slay("TERM"))
                .program("kill-it", slay("KILL"))
                // It does not sleep afterwards: dash would wait for it then.
                .program("int-it", "#!/bin/sh\nkill -INT $PPID\n")
                .program("usr1-it", slay("USR1"))
                .program("stop-it", slay("STOP"))
                .status(80)
                .stderr(format!(
                    "1\npreverb: hook `3.sh` of step `hooks [DIR]/hooks` in environment `prod` {how}\n"
                ))
                .check(|output| assert!(output.took < Duration::from_secs(20), "{:?}", output.took))
        });
    }
}

/// Whether a process in this directory has become the program with these arguments.
fn runs(directory: &Path, arguments: &[u8]) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).any(|process| {
        std::fs::read(process.join("cmdline")).is_ok_and(|its| its == arguments)
            && std::fs::read_link(process.join("cwd")).is_ok_and(|its| its == directory)
    })
}

#[test]
fn every_stop_signal_ends_a_sourced_hook() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        run(["echo 1", "echo 2", "sh -c 'exec sleep 100'; echo no", "echo no"], || {
            table("", "echo no")
                .under_shell("ulimit -c 0; exec \"$@\"")
                .during(move |run| {
                    // Before that a shell is there, and busybox's ignores QUIT.
                    run.wait_until("`sleep` to run", || runs(run.dir(), b"sleep\x00100\0"));
                    run.signal(signal);
                    run.ends_within(Duration::from_secs(3));
                })
                .status(128 + signal as i32)
                .stderr(format!(
                    "1\n2\n[...]\npreverb: stopped by {} while hook `3.sh` ran\n",
                    signal.as_str()
                ))
                .pid1()
        });
    }
}
