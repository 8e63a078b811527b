//! Neighbouring sourced hooks (chapter 5 of the specification): each has a shell of its own, whether it is one that
//! was started for it or one that has sourced others and is as good as new. Each case here runs in both ways, with the same
//! expectations, because nobody may be able to tell them apart.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::dsl::{Test, bytes, skip};

/// How the shells of a case come to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shells {
    /// The hooks give no cause for shells of their own.
    Shared,
    /// A comment of each looks as if the hook asked for something that only a shell of its own has.
    Own,
}

/// Hooks of a run.
#[derive(Clone, Copy)]
struct Hooks {
    shells: Shells,
    /// The `#!` line.
    line: &'static str,
}

impl Hooks {
    /// Names the hooks `1.sh`, `2.sh` and so on.
    fn of<B: AsRef<[u8]>>(self, mut test: Test, hooks: impl IntoIterator<Item = B>) -> Test {
        if self.line.ends_with("ash") {
            test = test.link("bin/ash", "/bin/busybox");
        }
        for (number, text) in (1..).zip(hooks) {
            let mut hook = format!("{}\n", self.line).into_bytes();
            hook.extend_from_slice(text.as_ref());
            hook.extend_from_slice(match self.shells {
                Shells::Shared => b"\n",
                Shells::Own => b"\n# kill\n",
            });
            test = test.hook(&format!("{number}.sh"), hook);
        }
        test
    }
}

/// Runs the case in both ways, with dash and with busybox.
#[track_caller]
fn in_both_ways(case: impl Fn(Hooks) -> Test) {
    for line in ["#", "#!/usr/bin/env ash"] {
        if line.ends_with("ash") && !std::path::Path::new("/bin/busybox").exists() {
            skip("there is no busybox");
            continue;
        }
        for shells in [Shells::Shared, Shells::Own] {
            case(Hooks { shells, line }).run();
        }
    }
}

fn table(step: &str, target: &str) -> Test {
    Test::new()
        .table(format!(
            "log = \"quiet\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\n{step}\n[verbs.a]\nexec = [\"sh\", \"-c\", '''{target}''']\n"
        ))
        .args(["a"])
}

/// Runs hooks as process 1, and looks at the number that is given out after them: 3 where there was one shell.
#[track_caller]
fn next_number(hooks: Hooks, texts: &[&str], judge: impl Fn(u32) -> bool + 'static) {
    let shown = format!("{texts:?}");
    hooks
        .of(table("", ":; sh -c 'echo $$'; :"), texts)
        .under_shell("exec unshare -pf --mount-proc \"$@\"")
        .any_stdout()
        .any_stderr()
        .check(move |output| {
            let number: u32 = output.text().trim().parse().unwrap();
            assert!(judge(number), "{number} after {shown}");
        })
        .needs_root()
        .run();
}

#[test]
fn neighbours_that_only_set_variables_share_a_shell() {
    let texts = [
        "# a comment\nexport A=1 B='a b' C=\"$A ${B:-x}\"\n",
        "D=2\nexport E=$D F=${D:+y}_${G-z}",
        "unset A D\n\nexport H=it\\'s I=\"a \\\"b\\\"; c; (d) | <e>\"",
        "X=1 Y=2\nif [ -z \"${X:-}\" ]; then\n    X=2\nelif test $Y = 2; then\n    Z=1\nfi\nexport Z",
    ];
    for line in ["#", "#!/usr/bin/env ash"] {
        if line == "#" || std::path::Path::new("/bin/busybox").exists() {
            next_number(Hooks { shells: Shells::Shared, line }, &texts, |number| number == 3);
            next_number(Hooks { shells: Shells::Own, line }, &texts, |number| number > 6);
        }
    }
}

#[test]
fn a_neighbour_that_does_anything_else_has_a_shell_of_its_own() {
    for text in [
        ":",
        "echo x",
        "A=$(echo 1)",
        "export A=`echo 1`",
        "A=1 env",
        "export A=1; export B=2",
        "A=1 # x",
        "f() { :; }",
        "export PATH=$PATH",
        "HOME=/x",
        "export LC_ALL=C",
        "unset IFS",
        "SHLVL=3",
        "export GROUPS=7",
        "export FOO",
        "unset A; export A",
        "A=1 >x",
        "set -u",
        "export -p",
        "readonly A=1",
        "export \"A=1\nB\"",
        "A=${B:-$(echo 1)}",
        "cd /",
        "export PREVERB_VERB=x",
        "export A=$$",
        "A=1 &",
        "(A=1)",
        "\"export\" A=1",
        "A=1 \\\nenv",
    ] {
        let texts = ["export U=1", "export V=1", text, "export W=1", "export X=1"];
        next_number(Hooks { shells: Shells::Shared, line: "#" }, &texts, |number| number > 3);
    }
}

#[test]
fn what_a_program_of_a_hook_leaves_behind_is_in_no_later_hooks_way() {
    // It writes to the descriptor that it was given, and signals the group that it was born in.
    let leave = |how: &str| {
        let left = "trap \"\" PIPE TERM; echo >ready; while [ ! -e go ]; do sleep 0.01; done; echo nonsense >&3; kill 0; echo >done";
        format!("#!/bin/sh\n{how} sh -c '{left}' 2>/dev/null &\nwhile [ ! -e ready ]; do sleep 0.01; done\n")
    };
    for how in ["", "setsid"] {
        in_both_ways(|hooks| {
            hooks
                .of(
                    table("", "echo $A"),
                    ["leave", "echo >go\nwhile [ ! -e done ]; do sleep 0.01; done\n", "export A=1"],
                )
                .program("leave", leave(how))
                .stdout("1\n")
        });
    }
}

#[test]
fn what_neighbours_only_set_is_gone_with_them() {
    in_both_ways(|hooks| {
        hooks
            .of(
                table("", "echo ${A-no}${B-no}${C-no}${D-no}${E-no}"),
                ["A=1 B=1", "export C=${A-c} D=${B-d}", "export E", "E=leak\nA=2", "unset D"],
            )
            .stdout("nonocnono\n")
            .pid1()
    });
}

#[test]
fn what_neighbours_export_is_handed_on_and_nothing_else_is() {
    in_both_ways(|hooks| {
        hooks
            .of(
                table("", "echo \"$A|$B|${C-unset}|${D-unset}|${E-unset}|$F\""),
                [
                    "export A=1 B=1\nC=1\nf() { :; }\nset -u\nset -- x\nset -f",
                    "echo \"$A ${C-unset} $* ${NOTHING}.\"\ntype f >/dev/null 2>&1 || echo no f\nexport B=2 D=2\nunset E",
                    "D=3\nunset A; export A\necho ${E-unset} *.toml\nlocal=1\nexport F=",
                    "export A=4\nunset D\nexit 0\nexport A=5",
                    "echo $A ${D-unset} ${local-unset}\nreturn 0\nexit 9",
                ],
            )
            .env("E", "inherited")
            .stdout("4|2|unset|unset|unset|\n")
            .stderr("1 unset a .\nno f\nunset preverb.toml\n4 unset unset\n")
            .pid1()
    });
}

#[test]
fn a_neighbour_finds_nothing_of_what_its_shell_did_before() {
    let tool = |name: &str| {
        format!(
            "mkdir -p {name}; printf '#!/bin/sh\\necho {name}\\n' >{name}/tool; chmod +x {name}/tool; tool"
        )
    };
    in_both_ways(|hooks| {
        hooks
            .of(
                table("", ":"),
                [
                    "x=1 y=2; for z in 1 2; do :; done; read -r w </dev/null || :; : ${v:=3} $((u = 4))\nshift\nset -f -u",
                    "echo ${x-no}${y-no}${z-no}${w-no}${v-no}${u-no} $# $1 *.toml ${NOTHING}.",
                    "cd /; cd - >/dev/null; export x=5; unset x",
                    "echo ${x-no} ${OLDPWD-no}",
                    &tool("b"),
                    &tool("a"),
                    "(exit 3) || echo $?; exit 0",
                    "set +e; false; exit 0; echo no",
                    "echo ${x-no} $?",
                ],
            )
            .args(["one two"])
            .env("PATH", "[DIR]/bin:[DIR]/a:[DIR]/b:/usr/sbin:/usr/bin:/sbin:/bin")
            .stderr("nononononono 2 a preverb.toml .\nno no\nb\na\n3\nno 0\n")
            .pid1()
    });
}

#[test]
fn however_many_words_there_are_each_neighbour_has_them_all() {
    in_both_ways(|hooks| {
        let words: Vec<String> = (0..1000).map(|number| format!("{number}{}", "'".repeat(300))).collect();
        hooks
            .of(table("", ":"), ["echo $# ${#2}", "shift; echo $# ${#1}"])
            .args(words)
            .stderr("1001 301\n1000 301\n")
    });
}

#[test]
fn neighbours_need_no_dev_null_that_can_be_written() {
    for dev in ["", "echo >/dev/null; chmod 600 /dev/null; ", "mknod -m 600 /dev/null c 1 3; "] {
        let mounted = format!("mount -t tmpfs none /dev; {dev}mount -o remount,ro /dev; exec \"$@\"");
        let mounted = format!("exec unshare -m sh -c '{mounted}' sh \"$@\"");
        in_both_ways(|hooks| {
            hooks
                .of(table("", "echo $A$B$C; ls /dev"), ["export A=1", "export B=2", "set -C; export C=3"])
                .under_shell(&mounted)
                .stdout(if dev.is_empty() { "123\n" } else { "123\nnull\n" })
                .needs_root()
        });
    }
}

#[test]
fn what_a_process_left_behind_writes_is_not_taken_for_what_a_neighbour_hands_back() {
    let writes = "import os\nif os.fork() == 0:\n os.setsid()\n for i in range(300): os.write(3, b'X%d = \"1\"\\n' % i)\n os._exit(0)\n";
    in_both_ways(|hooks| {
        hooks
            .of(table("", ":"), ["python3 writes.py\nexport A=1", "export B=1"])
            .file("writes.py", writes, 0o644)
            .any_stderr()
            .any_status()
            .check(|output| {
                // It may come in between, which is an error, but never a directory that nobody entered.
                assert!(!output.messages().contains("cannot enter"), "{}", output.messages());
            })
    });
}

#[test]
fn bytes_of_all_kinds_are_handed_on_to_neighbours() {
    let value: Vec<u8> = (1..=255).chain(*b"'\n\n''\"\\$(id)`id`\n").collect();
    in_both_ways(|hooks| {
        hooks
            .of(
                table("", "printf %s \"$A$B$C\""),
                ["export A=\"$X\"", "export B=\"$A\"", "unset X", "export C=\"$B${X-.}\""],
            )
            .env("X", bytes(&value))
            .stdout([&value[..], &value, &value, b"."].concat())
    });
}

#[test]
fn a_thousand_variables_and_large_ones_are_handed_on_to_neighbours() {
    let many = "i=0; while [ $i -lt 1000 ]; do export \"MANY_$i=$i\"; i=$((i+1)); done";
    let large = "x=0123456789; i=0; while [ $i -lt 12 ]; do x=$x$x; i=$((i+1)); done; export LARGE=$x";
    in_both_ways(|hooks| {
        hooks
            .of(
                table("", "env | grep -c ^MANY_; printf %s $LARGE | wc -c; echo $LAST"),
                [many, "unset MANY_7", large, "export LAST=$MANY_999", "echo ${#LARGE} ${MANY_7-unset}"],
            )
            .stdout("999\n40960\n999\n")
            .stderr("40960 unset\n")
    });
}

#[test]
fn directory_umask_and_what_means_something_to_a_shell_hold_for_neighbours() {
    in_both_ways(|hooks| {
        hooks
            .of(
                table("", "pwd; umask; echo \"$HOME|$PATH|$LC_ALL\""),
                [
                    "cd there",
                    "pwd; export HOME=/nowhere; umask 027",
                    "umask; echo ~; export IFS=: ; cd ..; pwd",
                    "x='a b:c'; printf '%s,' $x; export PATH=\"$PWD/there:$PATH\"",
                    "found; export LC_ALL=C; unset HOME",
                    "found; echo ${HOME-unset}; export PS4=x OPTIND=3",
                    "pwd",
                ],
            )
            .file("there/found", "#!/bin/sh\necho found\n", 0o755)
            .env("HOME", "/root")
            .any_stdout()
            .any_stderr()
            .check(|output| {
                let dir = output.dir.path().canonicalize().unwrap();
                let dir = dir.to_str().unwrap();
                let expected =
                    format!("{dir}/there\n0027\n/nowhere\n{dir}\na b,c,found\nfound\nunset\n{dir}\n");
                // IFS of the environment is none of dash's, and is of busybox's.
                let said = output.messages().replace("a,b:c,", "a b,c,");
                assert!(said.starts_with(&expected), "{said}");
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
fn the_words_the_input_and_the_descriptors_are_the_same_for_every_neighbour() {
    let script =
        "printf '(%s)' \"$@\"; cat; readlink /proc/self/fd/0; ls /proc/self/fd | tr '\\n' ' '; shift; echo";
    in_both_ways(|hooks| {
        hooks
            .of(table("", "cat; cat <&5"), [script; 3])
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
fn descriptor_3_is_each_neighbours_own() {
    in_both_ways(|hooks| {
        hooks
            .of(
                table("", "echo \"$A|$B|$C\""),
                [
                    "echo 'A = \"one\"' >&3; export B=b",
                    "echo \"$A\"; echo 'C = \"x\"' >&3",
                    "echo \"$C\"",
                    "echo 'C = \"three\"' >&3; export C=other",
                ],
            )
            .stdout("one|b|three\n")
            .stderr("one\nx\n")
    });
    in_both_ways(|hooks| {
        hooks
            .of(table("", "echo no"), [":", ":", "echo nonsense >&3", "echo no"])
            .status(80)
            .stderr("preverb: hook `3.sh` of step `hooks [DIR]/hooks` in environment `prod` wrote to descriptor 3 [..]\n")
    });
}

#[test]
fn a_neighbour_that_fails_is_told_of_as_it_failed() {
    let slay = |signal: &str| format!("#!/bin/sh\nkill -{signal} $PPID\nsleep 100\n");
    for (script, how) in [
        ("false\necho no", "exited with status 1"),
        ("exit 3", "exited with status 3"),
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
        in_both_ways(|hooks| {
            hooks
                .of(table("", "echo no"), ["export A=1", "echo $A", script, "echo no"])
                .program("term-it", slay("TERM"))
                .program("kill-it", slay("KILL"))
                // Not slept after: dash waits for its child then.
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

#[test]
fn a_neighbour_that_hands_nothing_back_is_an_error() {
    // What nobody would write: it hides the word.
    in_both_ways(|hooks| {
        hooks
            .of(table("", "echo no"), [":", "x=ex; \"${x}ec\" true", "echo no"])
            .status(80)
            .stderr("preverb: hook `2.sh` of step `hooks [DIR]/hooks` in environment `prod` ended without handing its variables back\nhint: [..]\n")
    });
}

/// Whether a process in this directory has become the program with these words.
fn runs(directory: &Path, words: &[u8]) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).any(|process| {
        std::fs::read(process.join("cmdline")).is_ok_and(|its| its == words)
            && std::fs::read_link(process.join("cwd")).is_ok_and(|its| its == directory)
    })
}

#[test]
fn every_stop_signal_ends_a_neighbour() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        in_both_ways(|hooks| {
            let waits = "sh -c 'exec sleep 100'; echo no";
            hooks
                .of(table("", "echo no"), ["echo 1", "echo 2", waits, "echo no", "echo no"])
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

#[test]
fn a_timeout_is_each_neighbours_own() {
    in_both_ways(|hooks| {
        hooks
            .of(
                table("timeout = \"1s\"", "echo $A"),
                ["sleep 0.6; export A=1", "sleep 0.6; export A=$A.2", "sleep 0.6; export A=$A.3"],
            )
            .stdout("1.2.3\n")
    });
    in_both_ways(|hooks| {
        hooks
            .of(table("timeout = \"300ms\"", "echo no"), ["echo 1", "echo 2", "sleep 100\necho no", "echo no"])
            .status(80)
            .stderr("1\n2\npreverb: hook `3.sh` of step `hooks [DIR]/hooks` in environment `prod` took longer than its timeout of 300 ms\n")
            .check(|output| assert!(output.took < Duration::from_secs(4), "{:?}", output.took))
    });
}

#[test]
fn neighbours_that_take_long_are_none_the_worse() {
    in_both_ways(|hooks| {
        hooks
            .of(
                table("", "echo $A"),
                ["export A=1", "sleep 1.2; export A=$A.2", "export A=$A.3", "sleep 1.2; export A=$A.4"],
            )
            .stdout("1.2.3.4\n")
            .pid1()
    });
}

#[test]
fn neighbours_are_of_the_verbs_user() {
    in_both_ways(|hooks| {
        hooks
            .of(
                table("user = \"nobody\"", "echo $A"),
                [
                    "id -un; export A=1",
                    "id -un; readlink /proc/self/fd/0; export A=$A.$HOME",
                    "id -un; false",
                ],
            )
            .status(80)
            .stderr("nobody\nnobody\n/dev/null\nnobody\npreverb: hook `3.sh` of [..] exited with status 1\n")
            .needs_root()
    });
}

#[test]
fn the_target_has_no_child_that_a_shell_left() {
    in_both_ways(|hooks| {
        hooks
            .of(
                table(
                    "",
                    "cat /proc/self/task/*/children /proc/$$/task/$$/children | tr -d '0-9\\n '; echo .",
                ),
                [":"; 3],
            )
            .any_stdout()
            .pid1()
    });
}
