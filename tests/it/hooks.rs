//! Hooks like those of real images, and hostile hooks: what they can and cannot change, and
//! that preverb always ends. Plain hooks are in `setup.rs`.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::dsl::{Test, bytes};

/// The verb's target, with a hook directory; all messages of preverb except errors are left out.
fn hooks(target: &str) -> Test {
    Test::new()
        .table(format!(
            "log = \"quiet\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"sh\", \"-c\", '''{target}''']\n"
        ))
        .args(["a"])
}

/// The four shells by which a hook can be sourced, as `#!` lines, with the test's own links for busybox.
const SHELLS: [&str; 5] =
    ["#!/bin/sh", "#!/bin/dash", "#!/bin/bash", "#!/usr/bin/env ash", "#!/usr/bin/env sh"];

/// Runs the case with each shell. `sh` is busybox's in the last one.
#[track_caller]
fn in_every_shell(case: impl Fn(&str) -> Test) {
    for line in SHELLS {
        let test = case(line);
        if line.ends_with("env ash") || line.ends_with("env sh") {
            let name = line.rsplit(' ').next().unwrap();
            test.needs("busybox").link(&format!("bin/{name}"), "/bin/busybox").run();
        } else {
            test.run();
        }
    }
}

// Every shell

#[test]
fn every_shell_returns_exports_unsets_directory_and_umask() {
    in_every_shell(|line| {
        hooks("echo \"$A|${B-unset}|$C\"; pwd; umask")
            .env("B", "inherited")
            .directory("there", 0o755)
            .hook("1.sh", format!("{line}\nA='a  b'\nexport A\nexport C=\"$(printf 'x\\ny')\"\nunset B\ncd there\numask 027\n"))
            .stdout("a  b|unset|x\ny\n[DIR]/there\n0027\n")
            .pid1()
    });
}

#[test]
fn a_hook_that_the_user_of_the_step_cannot_reach_is_an_error() {
    Test::new()
        .needs_root()
        .table("user = \"10001:10001\"\n[[setup]]\nhooks = \"[DIR]/closed\"\n[verbs.a]\nexec = [\"true\"]\n")
        .file("closed/10.sh", "echo no\n", 0o644)
        .directory("closed", 0o744)
        .under_shell("chmod 755 .; exec \"$@\"")
        .args(["a"])
        .status(80)
        .stderr_contains("`10.sh` of step `hooks [DIR]/closed` in environment `prod` cannot be inspected: permission denied\n")
        .run();
}

#[test]
fn the_shell_of_a_step_is_expanded() {
    let table = "[[setup]]\nhooks = \"hooks\"\nshell = \"${SHELL_OF_HOOKS:-sh}\"\n[verbs.a]\nexec = [\"sh\", \"-c\", 'echo \"$A\"']\n";
    let test = || Test::new().table(table).file("hooks/10.sh", "A=${BASH_VERSION:+bash}\nexport A\n", 0o644);
    test().args(["a"]).stdout("\n").any_stderr().run();
    let bash = || test().env("SHELL_OF_HOOKS", "bash").needs("bash");
    bash().args(["a"]).stdout("bash\n").any_stderr().run();
    bash().args(["--explain", "a"]).stdout_contains("hooks/10.sh: sourced by bash\n").run();
    test().env("SHELL_OF_HOOKS", "").args(["--check"]).any_stderr().run();
}

#[test]
fn every_shell_keeps_names_that_it_cannot_represent() {
    in_every_shell(|line| {
        Test::new()
            .table("log = \"quiet\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"printenv\", \"my.var\", \"a-b\", \"1\", \"é\"]\n")
            .args(["a"])
            .env("my.var", "dotted\n")
            .env("a-b", "dashed")
            .env("1", "a number")
            .env("é", "accented")
            .hook("1.sh", format!("{line}\nexport X=1\n"))
            .stdout("dotted\n\ndashed\na number\naccented\n")
    });
}

#[test]
fn every_shell_keeps_values_that_are_not_utf8() {
    let value = b"\xff\xfe\n'\"\\$(id)\x01\n";
    in_every_shell(|line| {
        hooks("printf %s \"$A$B\"")
            .env("A", bytes(value))
            .hook("1.sh", format!("{line}\nexport B=\"$A\"\n"))
            .stdout([&value[..], value].concat())
    });
}

#[test]
fn in_every_shell_exit_0_ends_that_hook_alone() {
    in_every_shell(|line| {
        hooks("echo $A$B")
            .hook("1.sh", format!("{line}\nexport A=1\nexit 0\nexport A=2\n"))
            .hook("2.sh", format!("{line}\nexport B=1\nif true; then exit; fi\nexport B=2\n"))
            .stdout("11\n")
    });
}

#[test]
fn in_every_shell_a_failed_hook_fails_with_its_status() {
    for (script, status) in [
        ("false; true", 1),
        ("exit 7", 7),
        ("(exit 9)", 9),
        ("true; return 5", 5),
        ("kill -TERM $$", 143),
        // The status from the kernel, also if `$?` is another number.
        ("return 300", 44),
        ("exit 257", 1),
        // The last command of the hook decides, not what preverb runs after it.
        ("set +e; . /dev/null; false", 1),
        ("set +e; eval false", 1),
        ("trap : EXIT; set +e; (exit 3)", 3),
    ] {
        in_every_shell(move |line| {
            let messages = if status > 128 {
                "was ended by SIGTERM".into()
            } else {
                format!("exited with status {status}")
            };
            hooks("echo no")
                .hook("1.sh", format!("{line}\n{script}\n"))
                .hook("2.sh", "echo no\n")
                .status(80)
                .stderr(format!(
                    "[...]\npreverb: hook `1.sh` of step `hooks [DIR]/hooks` in environment `prod` {messages}\n"
                ))
        });
    }
}

#[test]
fn in_every_shell_a_status_that_the_kernel_truncates_to_0_is_a_success() {
    for script in ["exit 256", "return 256"] {
        in_every_shell(move |line| {
            hooks("echo $A").hook("1.sh", format!("{line}\nexport A=1\n{script}\n")).stdout("1\n")
        });
    }
}

#[test]
fn in_every_shell_job_control_loses_no_exports() {
    for script in ["set -m", "set -m; trap : EXIT"] {
        in_every_shell(move |line| {
            hooks("echo $A")
                .hook("1.sh", format!("{line}\nexport A=1\n{script}\n"))
                .any_stderr()
                .stdout("1\n")
        });
    }
}

#[test]
fn in_every_shell_a_removed_working_directory_is_an_error() {
    in_every_shell(|line| {
        hooks("echo no")
            .hook("1.sh", format!("{line}\nmkdir x\ncd x\nrmdir ../x\n"))
            .any_stderr()
            .stderr_contains("preverb: hook `1.sh` of step `hooks [DIR]/hooks` in environment `prod` ended in a working directory that no longer exists\n")
            .status(80)
    });
    // It was missing before the hook, so nothing has changed.
    in_every_shell(|line| {
        hooks("echo $A")
            .hook("1.sh", format!("{line}\nexport A=1\n"))
            .under_shell("mkdir x; cd x; rmdir ../x; exec \"$@\"")
            .any_stderr()
            .stdout("1\n")
    });
}

#[test]
fn a_shell_that_cannot_start_programs_cannot_return_its_environment() {
    for script in
        ["export LARGE=\"$(head -c 140000 /dev/zero | tr '\\0' x)\"", "ulimit -n 3", "#!/bin/bash\nset -r"]
    {
        hooks("echo no")
            .hook("1.sh", format!("{script}\n"))
            .status(80)
            .stderr_contains("preverb: hook `1.sh` of step `hooks [DIR]/hooks` in environment `prod` ended before its environment could be read back\nhint: [..]\n")
            .run();
    }
}

#[test]
fn in_every_shell_an_exit_trap_of_the_hook_runs_and_loses_no_exports() {
    in_every_shell(|line| {
        hooks("echo $A")
            .hook("1.sh", format!("{line}\nexport A=1\ntrap 'echo cleaned up' EXIT\n"))
            .hook("2.sh", format!("{line}\n. ./library\nexport A=2\n"))
            .file("library", "trap 'echo so was the library' EXIT\n", 0o644)
            .stdout("2\n")
            .stderr("cleaned up\nso was the library\n")
    });
}

#[test]
fn in_every_shell_a_hook_that_does_not_return_its_variables_is_an_error() {
    for script in [
        "trap 'true' EXIT\nexport A=1\nexit 0",
        "export A=1\nexec true",
        "trap - EXIT; exit 0",
        "exec sleep 0",
    ] {
        in_every_shell(move |line| {
            hooks("echo no")
                .hook("1.sh", format!("{line}\n{script}\n"))
                .status(80)
                .stderr("preverb: hook `1.sh` of step `hooks [DIR]/hooks` in environment `prod` ended before its environment could be read back\nhint: [..]\n")
        });
    }
}

#[test]
fn every_shell_passes_the_verb_and_the_callers_arguments() {
    in_every_shell(|line| {
        hooks("true")
            .args(["x  y", "", "*", "-e"])
            .hook("1.sh", format!("{line}\nprintf '(%s)' \"$0\" \"$@\" >&2\nset -- changed\n"))
            .stderr("([DIR]/hooks/1.sh)(a)(x  y)()(*)(-e)")
    });
}

#[test]
fn a_hook_may_change_the_options_aliases_and_streams_of_its_shell() {
    in_every_shell(|line| {
        hooks("echo \"$A\"; echo $B")
            .hook("1.sh", format!("{line}\nset -uf\nIFS=/\nexport A=1 B=a/b PATH=\"/nowhere:$PATH\"\nalias export=false trap=false\nexec 0<&- 1>&- 2>&- 3>&-\n"))
            .stdout("1\na/b\n")
    });
}

#[test]
fn options_on_the_first_line_apply_to_the_shell() {
    for line in ["#!/bin/sh -", "#!/bin/sh --", "#!/bin/bash -u", "#!/usr/bin/env -S bash -eu"] {
        hooks("echo $A").hook("1.sh", format!("{line}\nexport A=1\n")).stdout("1\n").run();
    }
}

#[test]
fn a_shell_is_recognised_after_the_options_of_env() {
    for line in [
        "#!/usr/bin/env -S -i bash -u",
        "#!/usr/bin/env -S -u PATH A=1 bash -u",
        "#!/usr/bin/env -Sbash -u",
        "#!/usr/bin/env --split-string=bash -u",
        "#!/usr/bin/env -vS bash -u",
    ] {
        // The options of env do not change the variables of the run.
        hooks("echo $A")
            .env("A", "0")
            .hook("1.sh", format!("{line}\n[[ $- == *u* ]]; export A=$A${{PATH:+1}}\n"))
            .stdout("01\n")
            .run();
    }
}

#[test]
fn variables_that_hold_the_options_of_bash_are_not_exports() {
    // `SHELLOPTS=xtrace` is how people trace the scripts of an image; `set -e` must not go with it to all of
    // them.
    hooks("bash -c 'false; echo still here' 2>&1 | tail -n 1; printenv SHELLOPTS")
        .env("SHELLOPTS", "xtrace")
        .hook("1.sh", "#!/bin/bash\ntrue\n")
        .any_stderr()
        .stdout("still here\nxtrace\n")
        .run();
}

#[test]
fn a_function_that_bash_exports_reaches_the_target() {
    Test::new()
        .table("log = \"quiet\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"bash\", \"-c\", \"greet\"]\n")
        .args(["a"])
        .hook("1.sh", "#!/bin/bash\ngreet() { echo hello; }\nexport -f greet\n")
        .hook("2.sh", "#!/bin/sh\nexport A=1\n")
        .stdout("hello\n")
        .run();
}

#[test]
fn a_function_that_bash_unsets_or_no_longer_exports_is_removed() {
    for (forget, messages) in [("unset -f greet", "no\n"), ("export -nf greet", "no\n"), (":", "hello\n")] {
        Test::new()
            .table("log = \"quiet\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"bash\", \"-c\", \"greet 2>/dev/null || echo no\"]\n")
            .args(["a"])
            .hook("1.sh", "#!/bin/bash\ngreet() { echo hello; }\nexport -f greet\n")
            .hook("2.sh", "#!/bin/sh\nexport A=1\n")
            .hook("3.sh", format!("#!/bin/bash\n{forget}\n"))
            .hook("4.sh", "#!/bin/sh\nexport A=2\n")
            .stdout(messages)
            .run();
    }
}

#[test]
fn a_variable_inherited_twice_is_single_after_a_hook_changes_it() {
    let run = |script: &str, left: &str| {
        Test::new()
            .file("preverb.toml", "log = \"quiet\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"cat\", \"/proc/self/environ\"]\n", 0o644)
            .hook("1.sh", script)
            .hook("2.sh", "echo $D >&2\n")
            .raw_environment(["PATH=/usr/bin:/bin", "D=1", "D=2", "PREVERB_TABLE=[DIR]/preverb.toml"])
            .args(["a"])
            .any_stderr()
            .stdout_contains(format!("PATH=/usr/bin:/bin\0{left}PREVERB_TABLE="))
            .run();
    };
    run("export D=1\n", "D=1\0");
    run("export D=3\n", "D=3\0");
    run("unset D\n", "");
    run("export E=3\n", "D=1\0D=2\0");
}

#[test]
fn a_hook_can_set_home_and_path_for_later_steps_and_the_target() {
    hooks("echo $HOME; program")
        .program("elsewhere/program", "#!/bin/sh\necho found\n")
        .hook("1.sh", "export HOME=/somewhere PATH=\"[DIR]/bin/elsewhere:$PATH\"\n")
        .hook("2", "#!/bin/sh\nprogram\n")
        .stdout("/somewhere\nfound\n")
        .stderr("found\n")
        .run();
}

#[test]
fn a_hook_cannot_change_preverb_verb_and_preverb_environment() {
    hooks("echo $PREVERB_VERB $PREVERB_ENVIRONMENT")
        .hook("1.sh", "export PREVERB_VERB=x PREVERB_ENVIRONMENT=y\n")
        .hook("2", "#!/bin/sh\nprintf 'PREVERB_VERB = \"x\"\\nPREVERB_ENVIRONMENT = \"y\"\\n' >&3\n")
        .hook("3", "#!/bin/sh\necho $PREVERB_VERB $PREVERB_ENVIRONMENT\n")
        .stdout("a prod\n")
        .stderr("a prod\n")
        .run();
}

#[test]
fn several_hundred_long_variables_survive_every_shell() {
    in_every_shell(|line| {
        let mut test = hooks("env | grep -c ^LONG_; printf %s \"$LONG_599\" | wc -c")
            .hook("1.sh", format!("{line}\nexport LONG_NEW=1\n"));
        for number in 0..600 {
            test = test.env(format!("LONG_{number}"), "x".repeat(1000 + number));
        }
        test.stdout("601\n1599\n")
    });
}

#[test]
fn a_variable_of_the_maximum_size_survives() {
    hooks("printf %s \"$LARGE$MADE\" | wc -c")
        .env("LARGE", "x".repeat(131_000))
        .hook("1.sh", "export MADE=\"$(head -c 131000 /dev/zero | tr '\\0' y)\"\n")
        .stdout("262000\n")
        .run();
}

#[test]
fn hundreds_of_hooks_can_run() {
    let mut test = hooks("echo $COUNT");
    for number in 0..150 {
        test = test.hook(&format!("{number:03}.sh"), "export COUNT=$((COUNT + 1))\n");
    }
    test.stdout("150\n").pid1().run();
}

#[test]
fn variables_of_a_service_manager_reach_only_the_target() {
    let show = "echo ${NOTIFY_SOCKET-none} ${LISTEN_PID-none} ${LISTEN_FDS-none}";
    hooks(show)
        .hook("1.sh", show)
        .hook("2", format!("#!/bin/sh\n{show}\n"))
        .env("NOTIFY_SOCKET", "/run/notify")
        .env("LISTEN_PID", "7")
        .env("LISTEN_FDS", "1")
        .stdout("/run/notify 7 1\n")
        .stderr("none none none\nnone none none\n")
        .run();
}

// The program that runs a file

#[test]
fn a_script_with_another_interpreter_is_run_by_it() {
    hooks("echo \"$A|${B-unset}\"")
        .file("hooks/1.sh", "#!/usr/bin/env perl\nprint STDERR \"perl @ARGV\\n\"; open F, '>&=3'; print F qq(A = \"1\"\\n);\n", 0o755)
        .file("hooks/2.sh", "#!/usr/bin/perl\n$ENV{B} = 1; print STDERR \"perl\\n\";\n", 0o755)
        .file("hooks/3.sh", "#!/usr/bin/with-contenv bash\n", 0o644)
        .args(["x y"])
        .status(80)
        .stderr("perl a x y\nperl\npreverb: hook `3.sh` of step `hooks [DIR]/hooks` in environment `prod` is a script for `with-contenv`, and not executable\nhint: `chmod +x` it to have it run; only scripts for sh, dash, ash or bash are sourced\n")
        .run();
}

#[test]
fn an_envsh_file_is_sourced_whatever_its_mode() {
    // The nginx image has an executable one, which exports.
    for mode in [0o644, 0o755] {
        hooks("echo $A").file("hooks/15-local.envsh", "#!/bin/sh\nexport A=1\n", mode).stdout("1\n").run();
    }
    hooks("echo no")
        .directory("hooks/1.envsh", 0o755)
        .status(80)
        .stderr("preverb: hook `1.envsh` of step `hooks [DIR]/hooks` in environment `prod` is a directory, and should be a file\nhint: [..]\n")
        .run();
}

#[test]
fn a_carriage_return_or_a_byte_order_mark_fails_a_script_before_it_is_sourced() {
    let fails = |name: &str, text: &str, what: &str, hint: &str| {
        hooks("echo no")
            .hook(name, text)
            .status(80)
            .stderr(format!("preverb: hook `{name}` of step `hooks [DIR]/hooks` in environment `prod` {what}\nhint: {hint}\n"))
            .run();
        // In the image that is an error, too.
        hooks("echo no")
            .hook(name, text)
            .under_shell("p=$1; exec \"$p\" --check")
            .status(78)
            .stderr_contains(format!("hook `[DIR]/hooks/{name}` {what}\n"))
            .run();
    };
    let unix = "save the file with Unix line ends";
    let line =
        |line: u32| format!("has a carriage return (CR) at the end of line {line}, a Windows line ending");
    fails("1.sh", "#!/bin/sh\r\nexport URL=x\r\n", &line(1), unix);
    fails("1.sh", "#!/bin/bash\nexport URL=x\r\n", &line(2), unix);
    fails("1.sh", "export URL=x\nexit 0\r", &line(2), unix);
    fails("1.envsh", "export URL=x\r\n", &line(1), unix);
    let cr =
        "has a `#!` line that ends in a carriage return (CR), which is taken for a part of its last word";
    fails("1", "#!/usr/bin/env bash\r\necho no\r\n", cr, unix);
    fails("1.sh", "#!/usr/bin/env python3\r\n", cr, unix);
    let bom = "begins with a byte order mark (BOM)";
    let no_bom = "save the file as UTF-8 without BOM";
    fails("1.sh", "\u{feff}#!/bin/bash\nexport A=1\n", bom, no_bom);
    fails("1.sh", "\u{feff}export A=1\n", bom, no_bom);
    fails("1", "\u{feff}#!/bin/bash\n", bom, no_bom);
    // Within a line a CR is harmless.
    hooks("printf %s \"$A\" | od -An -c").hook("1.sh", "export A='\r' # \r.\n").stdout("  \\r\n").run();
}

#[test]
fn a_script_that_its_user_cannot_read_is_an_error() {
    let case = |args: [&str; 1]| {
        Test::new()
            .table("log = \"quiet\"\nuser = \"nobody\"\n[interpreters]\nsql = [\"cat\"]\n[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"true\"]\n")
            .args(args)
            .needs_root()
            .file("hooks/1.sh", "#!/bin/bash\necho no\n", 0o600)
            .file("hooks/2.sql", "no\n", 0o600)
            .under_shell("chmod 755 . hooks; exec \"$@\"")
    };
    case(["a"])
        .status(80)
        .stderr("preverb: hook `1.sh` of step `hooks [DIR]/hooks` in environment `prod` cannot be read: permission denied\nhint: [..]\n")
        .run();
    case(["--check"])
        .status(78)
        .stderr_contains("hook `[DIR]/hooks/1.sh` cannot be read: permission denied\n")
        .stderr_contains("hook `[DIR]/hooks/2.sql` cannot be read: permission denied\n")
        .run();
}

#[test]
fn check_finds_a_carriage_return_in_the_first_line_of_any_program() {
    Test::new()
        .table("[verbs.a]\nexec = [\"tool\"]\n")
        .program("tool", "#!/usr/bin/env bash\r\n")
        .args(["--check"])
        .status(78)
        .stderr_contains("cannot run `[DIR]/bin/tool`: its `#!` line ends in a carriage return (CR), which is taken for a part of its last word\n")
        .stderr_contains("hint: save the file with Unix line ends\n")
        .run();
}

#[test]
fn an_executable_hook_gets_the_arguments_and_an_interpreter_only_the_path() {
    Test::new()
        .table("log = \"quiet\"\n[interpreters]\ntxt = [\"printf\", \"[%s]\"]\n\"txt.gz\" = [\"printf\", \"(%s)\"]\n[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"true\"]\n")
        .args(["a", "x y", "z"])
        .hook("1.sh", "printf '<%s>' \"$@\"\n")
        .hook("2", "#!/bin/sh\nprintf '<%s>' \"$@\"\n")
        .file("hooks/3.txt", "", 0o644)
        .file("hooks/4.x.txt.gz", "", 0o644)
        .file("hooks/5.txt", "#!/bin/sh\nprintf '<%s>' \"$@\"\n", 0o755)
        .stderr("<a><x y><z><a><x y><z>[[DIR]/hooks/3.txt]([DIR]/hooks/4.x.txt.gz)<a><x y><z>")
        .run();
}

/// A target and a hook directory, with these other keys of the step.
fn step(keys: &str, target: &str) -> Test {
    Test::new()
        .table(format!(
            "log = \"quiet\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\n{keys}\n[verbs.a]\nexec = [\"sh\", \"-c\", '''{target}''']\n"
        ))
        .args(["a"])
}

const RUN: &str = "executables = \"run\"";

#[test]
fn an_executable_script_is_run_if_the_step_says_so() {
    // As in the postgres and nginx images: its exports are lost, and its trap and its exec affect only
    // itself.
    step(RUN, "echo \"$A|$B|$C|$PATH_SEEN\"")
        .hook("1.sh", "#!/bin/bash\nexport A=1\ntrap 'echo trapped >&2' EXIT\nexit 0\n")
        .hook("2.sh", "#!/bin/sh\nexec echo \"executed $*\"\n")
        .file("hooks/3.sh", "export B=1\n", 0o644)
        .hook("4.envsh", "#!/bin/sh\nexport C=1\n")
        .hook("5.sh", "#!/usr/bin/env perl\nprint STDERR \"perl\\n\";\n")
        .args(["x"])
        .stdout("|1|1|\n")
        .stderr("trapped\nexecuted a x\nperl\n")
        .run();
}

#[test]
fn exports_of_a_script_that_is_run_do_not_reach_the_target() {
    step(RUN, "echo \"$PATH|$LC_ALL\"")
        .hook("15.sh", "#!/bin/sh\nexport LC_ALL=C\nPATH=/usr/local/sbin:/usr/bin:/bin\nexport PATH\n")
        .env("PATH", "/usr/bin:/bin:/opt/x")
        .env("LC_ALL", "de_DE")
        .stdout("/usr/bin:/bin:/opt/x|de_DE\n")
        .run();
}

#[test]
fn the_shell_of_the_step_sources_scripts_that_name_no_shell() {
    let arrays = "a=(1 2 3); export A=${#a[@]}; echo \"$0 $*\"\n";
    step("shell = \"bash\"", "echo $A")
        .file("hooks/1.sh", arrays, 0o644)
        .stdout("3\n")
        .stderr("[DIR]/hooks/1.sh a\n")
        .run();
    step("shell = \"bash\"", "echo $A")
        .hook("1.sh", arrays)
        .stdout("3\n")
        .stderr("[DIR]/hooks/1.sh a\n")
        .run();
    step(&format!("shell = \"bash\"\n{RUN}"), "echo $A.")
        .hook("1.sh", arrays)
        .args(["x"])
        .stdout(".\n")
        .stderr("[DIR]/hooks/1.sh a x\n")
        .run();
    // A script that names its own shell gets that one.
    step("shell = \"nonesuch\"", "echo $A").hook("1.sh", "#!/bin/sh\nexport A=1\n").stdout("1\n").run();
    step("shell = \"nonesuch\"", "echo no")
        .hook("1.sh", "export A=1\n")
        .status(80)
        .stderr_contains("could not be started: cannot run `nonesuch`: not found on PATH")
        .run();
}

#[test]
fn check_and_explain_show_which_scripts_are_run() {
    step(&format!("shell = \"nonesuch\"\n{RUN}"), "true")
        .hook("1.sh", "#!/bin/sh\n  export A=1\n")
        .hook("2.sh", "echo\n")
        .file("hooks/3.sh", "export A=1\n", 0o644)
        .hook("4.envsh", "#!/bin/bash\nexport A=1\n")
        .under_shell("p=$1; exec \"$p\" --check --log text")
        .status(78)
        .stderr("preverb: warning: [DIR]/preverb.toml:3:9: hook `[DIR]/hooks/1.sh` is run, not sourced, so its exports are lost\n3 | hooks = \"[DIR]/hooks\"\n  |         ^[..]\nhint: to have it sourced, name it `*.envsh` or remove its execute permission\npreverb: [DIR]/preverb.toml:3:9: hook `[DIR]/hooks/2.sh`: cannot run `nonesuch`: not found on PATH [..]\n3 | hooks = \"[DIR]/hooks\"\n  |         ^[..]\npreverb: [DIR]/preverb.toml:3:9: hook `[DIR]/hooks/3.sh`: cannot run `nonesuch`: not found on PATH [..]\n3 | hooks = \"[DIR]/hooks\"\n  |         ^[..]\n")
        .run();
    step(&format!("shell = \"bash\"\n{RUN}"), "true")
        .hook("1.sh", "#!/bin/sh\n")
        .hook("2.sh", "")
        .file("hooks/3.sh", "", 0o644)
        .hook("4.envsh", "#!/bin/sh\n")
        .file("hooks/5.sh", "x\r\n", 0o644)
        .under_shell("p=$1; exec \"$p\" --explain a")
        .any_stderr()
        .stdout_contains("hooks/1.sh: run\n     [DIR]/hooks/2.sh: run by bash\n     [DIR]/hooks/3.sh: sourced by bash\n     [DIR]/hooks/4.envsh: sourced by /bin/sh\n     [DIR]/hooks/5.sh: fails: it has a carriage return (CR) at the end of line 1, a Windows line ending\n")
        .run();
}

// Mounts

#[test]
fn only_the_files_of_a_config_map_run() {
    hooks("echo $ONE $TWO")
        .file("hooks/..2026_11_20_00_00_00.1/one.sh", "export ONE=1\n", 0o644)
        .file("hooks/..2026_11_20_00_00_00.1/two.sh", "export TWO=$ONE$ONE\n", 0o644)
        .link("hooks/..data", "..2026_11_20_00_00_00.1")
        .link("hooks/one.sh", "..data/one.sh")
        .link("hooks/two.sh", "..data/two.sh")
        .stdout("1 11\n")
        .pid1()
        .run();
}

#[test]
fn a_skipped_file_is_reported_with_a_hint_to_make_it_run() {
    Test::new()
        .table("[interpreters]\nsql = [\"cat\"]\n[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"true\"]\n")
        .args(["a"])
        .file("hooks/1.txt", "", 0o644)
        .file("hooks/2", "", 0o600)
        .directory("hooks/3", 0o755)
        .link("hooks/4.sh", "nowhere")
        .file("hooks/.hidden", "", 0o644)
        .file("hooks/5.SH", "", 0o644)
        .file("hooks/6.", "", 0o644)
        .stderr(
            "preverb: warning: `[DIR]/hooks/1.txt` in step `hooks [DIR]/hooks` is skipped: it is not executable, and `interpreters` has no `txt`; `chmod +x` it, or add one
preverb: warning: `[DIR]/hooks/2` in step `hooks [DIR]/hooks` is skipped: it is not executable; `chmod +x` it, or name it `*.sh`
preverb: warning: `[DIR]/hooks/3` in step `hooks [DIR]/hooks` is skipped: it is a directory; subdirectories are not searched for hooks
preverb: warning: `[DIR]/hooks/4.sh` in step `hooks [DIR]/hooks` is skipped: it is a broken link; create its target, or remove it
preverb: warning: `[DIR]/hooks/5.SH` in step `hooks [DIR]/hooks` is skipped: it is not executable, and `interpreters` has no `SH`; `chmod +x` it, or add one
preverb: warning: `[DIR]/hooks/6.` in step `hooks [DIR]/hooks` is skipped: it is not executable; `chmod +x` it, or name it `*.sh`\n",
        )
        .pid1()
        .run();
}

#[test]
fn a_pipe_in_a_hook_directory_is_not_opened() {
    hooks("echo the target")
        .under_shell("mkdir hooks; mkfifo -m 755 hooks/1 hooks/2.sh; exec \"$@\"")
        .stdout("the target\n")
        .run();
}

#[test]
fn a_directory_named_like_a_hook_ends_the_run() {
    for name in ["2.sh", "2.py"] {
        hooks("echo no")
            .directory(&format!("hooks/{name}"), 0o755)
            .hook("1.sh", "echo one\n")
            .hook("3.sh", "echo three\n")
            .status(80)
            .stderr(format!("one\npreverb: hook `{name}` of step `hooks [DIR]/hooks` in environment `prod` is a directory, and should be a file\nhint: [..]\n"))
            .run();
    }
}

#[test]
fn an_unreadable_hook_directory_is_an_error() {
    hooks("echo no")
        .directory("hooks", 0o300)
        .under_shell("chmod 755 . && exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"")
        .needs_root()
        .status(80)
        .stderr("preverb: hook `[DIR]/hooks` of step [..] cannot be read: permission denied\n")
        .run();
}

#[test]
fn hostile_file_names_cannot_inject_commands_or_escapes() {
    let name = "1 $(touch pwned) `touch pwned` '\"; touch pwned; \n\u{1b}[31m.sh";
    Test::new()
        .table("[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"true\"]\n")
        .args(["a"])
        .hook(name, "echo \"ran\" >&2\n")
        .hook("-e.sh", "echo \"dash\" >&2\n")
        .any_stderr()
        .check(|output| {
            assert!(output.messages().contains("dash\n") && output.messages().contains("ran\n"));
            assert!(!output.messages().contains('\u{1b}') && output.file("pwned").is_none());
        })
        .pid1()
        .run();
}

#[test]
fn a_relative_hook_directory_starts_at_the_working_directory() {
    Test::new()
        .table("log = \"quiet\"\nworkdir = \"[DIR]/app\"\n[[setup]]\nhooks = \"-h\"\n[[setup]]\nhooks = \"x.sh\"\n[verbs.a]\nexec = [\"true\"]\n")
        .args(["a"])
        .file("app/-h/1.sh", "echo \"$0\"\n", 0o644)
        .file("app/-h/2", "#!/bin/sh\necho \"$0\"\n", 0o755)
        .file("app/x.sh", "echo \"$0\"\n", 0o644)
        .stderr("./-h/1.sh\n./-h/2\n./x.sh\n")
        .run();
}

#[test]
fn a_hook_that_changes_directory_does_not_redirect_later_hooks() {
    let there = "cd elsewhere\necho \"$0\"\n";
    Test::new()
        .table("log = \"quiet\"\n[[setup]]\nhooks = \"hooks\"\n[verbs.a]\nexec = [\"pwd\"]\n")
        .args(["a"])
        .hook("1.sh", there)
        .hook("2", "#!/bin/sh\necho \"$0\"\n")
        .hook("3.sh", "echo \"$0\"\ncd ..\n")
        .hook("4.sh", "echo \"$0\"\n")
        .file("elsewhere/hooks/2", "#!/bin/sh\necho another\n", 0o755)
        .file("elsewhere/hooks/3.sh", "echo another\n", 0o644)
        .stderr("hooks/1.sh\n[DIR]/hooks/2\n[DIR]/hooks/3.sh\nhooks/4.sh\n")
        .stdout("[DIR]\n")
        .run();
}

#[test]
fn root_runs_the_file_that_was_checked() {
    for name in ["2.sh", "2"] {
        Test::new()
            .table("log = \"quiet\"\nuser = \"nobody\"\n[[setup]]\nhooks = \"hooks\"\nuser = \"root\"\n[verbs.a]\nexec = [\"true\"]\n")
            .args(["a"])
            .needs_root()
            .hook("1.sh", "cd evil\n")
            .hook(name, "#!/bin/sh\necho \"root's own\"\n")
            .file(format!("evil/hooks/{name}"), "#!/bin/sh\necho \"nobody's, as $(id -un)\"\n", 0o755)
            .under_shell("chown -R nobody evil; exec \"$@\"")
            .stderr("root's own\n")
            .run();
    }
}

#[test]
fn the_way_to_run_a_file_is_decided_just_before_it_runs() {
    hooks("echo $A")
        .hook("1.sh", "cd hooks\nchmod +x 2\nprintf '#!/bin/bash\\n[[ $A ]]; export A=${A}3' >3.sh\nrm 4.txt\n: >not-listed.sh\n")
        .file("hooks/2", "#!/bin/sh\necho 'A = \"2\"' >&3\n", 0o644)
        .file("hooks/3.sh", "false\n", 0o644)
        .file("hooks/4.txt", "", 0o755)
        .status(80)
        .stdout("")
        .stderr("preverb: hook `4.txt` of step `hooks [DIR]/hooks` in environment `prod` could not be started: [..]\n[...]\n")
        .run();
}

// Descriptor 3

#[test]
fn every_kind_of_hook_can_set_variables_on_descriptor_3() {
    hooks("echo $A$B$C$D")
        .table("log = \"quiet\"\n[interpreters]\ntxt = [\"sh\"]\n[[setup]]\nhooks = \"[DIR]/hooks\"\n[[setup]]\nrun = [\"sh\", \"-c\", '''echo 'D = \"4\"' >&3''']\n[verbs.a]\nexec = [\"sh\", \"-c\", 'echo $A$B$C$D']\n")
        .hook("1.sh", "echo 'A = \"1\"' >&3\nexport A=0\n")
        .hook("2", "#!/bin/sh\necho 'B = \"2\"' >&3\n")
        .file("hooks/3.txt", "echo 'C = \"3\"' >&3\n", 0o644)
        .stdout("1234\n")
        .pid1()
        .run();
}

#[test]
fn descriptor_3_accepts_a_megabyte() {
    let script = "import os\ntext = ''.join(f'V{n} = \"{\"x\" * 1000}\"\\n' for n in range(1000)).encode()\nwhile text:\n    text = text[os.write(3, text):]\n";
    hooks("env | grep -c '^V[0-9]*=x\\{1000\\}$'")
        .needs("python3")
        .hook("1", format!("#!/usr/bin/env python3\n{script}"))
        .stdout("1000\n")
        .pid1()
        .run();
}

#[test]
fn descriptor_3_accepts_50000_variables() {
    let script = "import os\ntext = ''.join(f'V{n} = \"x\"\\n' for n in range(50000)).encode()\nwhile text:\n    text = text[os.write(3, text):]\n";
    hooks("env | grep -c ^V")
        .needs("python3")
        .hook("1", format!("#!/usr/bin/env python3\n{script}"))
        .hook("2.sh", "export W=1\n")
        .stdout("50000\n")
        // CPU seconds, so that other load does not matter.
        .under_shell("ulimit -t 15; exec \"$@\"")
        .run();
}

#[test]
fn endless_output_on_descriptor_3_ends_the_hook() {
    hooks("echo no")
        .hook("1", "#!/bin/sh\ncat /dev/zero >&3\n")
        .status(80)
        .stderr_contains("preverb: hook `1` of step `hooks [DIR]/hooks` in environment `prod` wrote more than the 16 MiB that are read\n")
        .run();
}

#[test]
fn malformed_toml_on_descriptor_3_is_reported_with_the_hook() {
    for (text, what) in [
        ("A = 1", "a value for `A` that is an integer, not a string"),
        ("[t]\\nA = \"1\"", "a value for `t` that is a table, not a flat table of strings"),
        ("a.b = \"1\"", "a value for `a` that is a table, not a flat table of strings"),
        ("A = [\"1\"]", "a value for `A` that is an array, not a flat table of strings"),
        ("\"a=b\" = \"1\"", "the name `a=b`, which is not a valid variable name"),
        ("\"\" = \"1\"", "the name ``, which is not a valid variable name"),
        ("A = \"\\\\u0000\"", "a value for `A` with a NUL character"),
        ("A = \"\\377\"", "something that is not UTF-8"),
    ] {
        hooks("echo no")
            .hook("1", format!("#!/bin/sh\nprintf '{text}\\n' >&3\n"))
            .status(80)
            .stderr(format!("preverb: hook `1` of step `hooks [DIR]/hooks` in environment `prod` wrote to descriptor 3 {what}\n"))
            .run();
    }
    hooks("echo no")
        .hook("1", "#!/bin/sh\nprintf 'A = \"1\"\\nB\\n' >&3\n")
        .status(80)
        .stderr("preverb: hook `1` of step `hooks [DIR]/hooks` in environment `prod` wrote to descriptor 3 something that is not TOML: line 2: [..]\n")
        .run();
}

#[test]
fn a_declared_secret_from_descriptor_3_is_concealed() {
    Test::new()
        .table("[[setup]]\nrun = [\"sh\", \"-c\", '''echo 'TOKEN = \"hunter2\"' >&3''']\n[[setup]]\nrun = [\"sh\", \"-c\", \"exit 3\", \"${TOKEN}\"]\n[variables.TOKEN]\nsecret = true\n[verbs.a]\nexec = [\"no-${TOKEN}\"]\n")
        .args(["a"])
        .status(80)
        .stderr_lacks("hunter2")
        .stderr_contains("exited with status 3")
        .run();
}

#[test]
fn variables_of_a_failed_hook_are_ignored_and_only_the_hook_is_reported() {
    hooks("echo no")
        .hook("1", "#!/bin/sh\necho 'A = 1' >&3\nexit 4\n")
        .status(80)
        .stderr("preverb: hook `1` of step `hooks [DIR]/hooks` in environment `prod` exited with status 4\n")
        .run();
}

// Leftover processes

#[test]
fn a_daemon_that_keeps_all_descriptors_open_delays_nothing_and_is_reported() {
    for (name, head) in [("1.sh", ""), ("1", "#!/bin/sh\n")] {
        Test::new()
            .table("[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"sh\", \"-c\", 'echo $A; kill $(cat pid)']\n")
            .args(["a"])
            .hook(name, format!("{head}echo 'A = \"1\"' >&3\nsleep 100 &\necho $! >pid\n"))
            .stdout("1\n")
            .stderr(format!("preverb: running hook `{name}`\npreverb: hook `{name}` done in [TIME]\npreverb: setup left process [..] (`[..]`) running beside the target\n"))
            .check(|output| assert!(output.took < Duration::from_secs(10), "{:?}", output.took))
            .pid1()
            .run();
    }
}

#[test]
fn the_target_starts_without_zombies() {
    let zombies = "for stat in /proc/[0-9]*/stat; do read -r line 2>/dev/null <$stat || continue; case $${line##*) } in Z*) set -- $${line##*) }; [ $2 = $$ ] && echo zombie $line;; esac; done; true";
    hooks(zombies)
        .hook("1", "#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8 9; do (sh -c 'exit 3' &); done\nsleep 0.2\n")
        .hook("2.sh", "#!/bin/bash\nfor i in 1 2 3 4 5 6 7 8 9; do (sh -c 'kill -9 $$' &); done\nsleep 0.2\n")
        .pid1()
        .run();
}

#[test]
fn a_leftover_process_cannot_pose_as_a_later_hook() {
    // A process of the first hook joins the second one's group, and returns an environment in its place.
    let thief = "import glob, os, re, socket, time
os.setpgid(0, 0)
open('lurking', 'w').close()
while not os.path.exists('second'): time.sleep(0.01)
leader = int(open('second').read())
try: os.setpgid(0, leader)
except OSError: pass
name = re.findall('@(preverb-[^ \\n]*)', open('/proc/net/unix').read())
for each in name:
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect('\\0' + each)
        s.sendall(b'/\\x0022\\x001\\0STOLEN=yes\\0')
    except OSError: pass
open('tmp/stolen', 'w').close()
";
    Test::new()
        .needs("python3")
        .table("log = \"quiet\"\nuser = \"nobody\"\n[[setup]]\nrun = [\"sh\", \"-c\", \"python3 thief.py & while [ ! -e lurking ]; do sleep 0.01; done\"]\n[[setup]]\nhooks = \"[DIR]/hooks\"\nuser = \"root\"\n[[setup]]\nrun = [\"sh\", \"-c\", 'echo \"root sees ${STOLEN-nothing} $MINE\"']\nuser = \"root\"\n[verbs.a]\nexec = [\"echo\", \"${STOLEN-nothing}\"]\n")
        .args(["a"])
        .needs_root()
        .file("thief.py", thief, 0o644)
        .link("lurking", "tmp/lurking")
        .link("second", "tmp/second")
        .hook("1.sh", "export MINE=1\necho $$ >tmp/x; chmod 644 tmp/x; mv tmp/x tmp/second\nwhile [ ! -e tmp/stolen ]; do sleep 0.01; done\n")
        .stdout("nothing\n")
        .stderr("root sees nothing 1\n")
        .run();
}

// The terminal and the streams

#[test]
fn a_hook_that_reads_the_terminal_fails() {
    hooks("echo no")
        .terminal()
        .hook("1.sh", "read -r x </dev/tty\n")
        .status(80)
        .stdout("preverb: hook `1.sh` of step `hooks [DIR]/hooks` in environment `prod` was stopped by SIGTTIN: a hook cannot use the terminal\n")
        .pid1()
        .run();
}

#[test]
fn a_hook_that_stops_itself_fails() {
    for signal in ["STOP", "TSTP"] {
        hooks("echo no")
            .hook("1", format!("#!/bin/sh\nkill -{signal} $$\nsleep 100\n"))
            .status(80)
            .stderr_contains("of step `hooks [DIR]/hooks` in environment `prod` was stopped by SIG")
            .under(["setsid", "-w"])
            .run();
    }
}

#[test]
fn hooks_leave_the_terminal_unchanged_for_the_target() {
    let spoil = "#!/usr/bin/env python3
import os, signal, termios, tty
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
fd = os.open('/dev/tty', os.O_RDWR)
tty.setraw(fd)
os.set_blocking(2, False)
os.tcsetpgrp(fd, os.getpgrp())
";
    is_asked_at_its_terminal(hooks(ASKS).needs("python3").hook("1", spoil));
}

#[test]
fn a_probe_leaves_the_terminal_unchanged_for_the_target() {
    let spoil = "#!/usr/bin/env python3
import os, signal, termios, tty
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
fd = os.open('/dev/tty', os.O_RDWR)
tty.setraw(fd)
os.tcsetpgrp(fd, os.getpgrp())
";
    let table = format!(
        "log = \"quiet\"\n[[setup]]\nwait = [{{ exec = [\"spoil\"] }}]\n[verbs.a]\nexec = [\"sh\", \"-c\", '''{ASKS} ''']\n"
    );
    is_asked_at_its_terminal(Test::new().needs("python3").table(table).args(["a"]).program("spoil", spoil));
}

/// A target's use of its terminal.
const ASKS: &str = "echo go; read -r x && echo \"got $x\"; stty -a | grep -o -- '-\\?icanon\\|-\\?echo '";

/// The target reads what is typed, and its terminal is unchanged.
fn is_asked_at_its_terminal(test: Test) {
    test.terminal()
        .during(|run| {
            run.wait_for_screen("go");
            run.type_in(b"typed\n");
        })
        .any_stdout()
        .check(|output| {
            let text = output.text();
            assert!(text.contains("got typed\nicanon\necho "), "{text}");
        })
        .run();
}

#[test]
fn hooks_leave_the_blocking_mode_of_the_streams_unchanged() {
    // All processes share one open file as standard error, so its flags are shared, too.
    let flags = "awk '/^flags/ { print $2 }' /proc/$$/fdinfo/2";
    let run = |spoil: &str| {
        hooks(flags)
            .needs("python3")
            .hook("1", format!("#!/usr/bin/env python3\nimport os\n{spoil}\n"))
            .under_shell("exec 2>>err; exec \"$@\"")
            .stdout("0102001\n")
            .run();
    };
    run("");
    run("os.set_blocking(2, False)");
    run("os.set_blocking(1, False)");
}

#[test]
fn output_of_hooks_never_goes_to_standard_output() {
    for (name, head) in [("1.sh", ""), ("1", "#!/bin/sh\n")] {
        hooks("echo the target")
            .hook(name, format!("{head}echo out\necho err >&2\n"))
            .stdout("the target\n")
            .stderr("out\nerr\n")
            .pid1()
            .run();
    }
}

#[test]
fn a_closed_or_full_standard_error_changes_nothing() {
    for script in ["exec 2>&-; exec \"$@\"", "exec 2>/dev/full; exec \"$@\""] {
        Test::new()
            .table("[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"sh\", \"-c\", 'echo $A']\n")
            .args(["a"])
            .hook("1.sh", "export A=1\n")
            .under_shell(script)
            .stdout("1\n")
            .pid1()
            .run();
    }
}

#[test]
fn a_hook_inherits_no_descriptor_of_preverb() {
    let list = "#!/usr/bin/env python3
import os
for n in range(3, 1000):
    try: kind = os.readlink(f'/proc/self/fd/{n}').split(':')[0]
    except OSError: continue
    print(n, 'ours' if kind in ('pipe', 'socket') else kind)
";
    // Only a pipe, or for root's hooks a socket, for variables, however many descriptors are inherited.
    hooks("true")
        .needs("python3")
        .hook("1", list)
        .hook("2", list)
        .under_shell("exec 4</dev/null 5>x 9<&0; exec \"$@\"")
        .stderr("3 ours\n3 ours\n")
        .run();
    hooks("readlink /proc/self/fd/3")
        .needs("python3")
        .hook("1", list)
        .under_shell("exec 3</dev/zero; exec \"$@\"")
        .stdout("/dev/zero\n")
        .stderr("3 ours\n")
        .run();
}

// Progress

#[test]
fn a_long_hook_is_reported_every_ten_seconds() {
    Test::new()
        .table("[[setup]]\nname = \"slow\"\nrun = [\"sh\", \"-c\", \"until [ -e end ]; do sleep 0.05; done\"]\n[verbs.a]\nexec = [\"true\"]\n")
        .args(["a"])
        .during(|run| {
            run.wait_for_stderr("still runs");
            std::fs::write(run.dir().join("end"), "").unwrap();
        })
        .stderr("preverb: running hook `slow`\npreverb: hook `slow` still runs after [TIME 10-20]\npreverb: hook `slow` done in [TIME 10-20]\n")
        .run();
}

#[test]
fn with_json_logging_messages_about_hooks_are_json() {
    Test::new()
        .table("[[setup]]\nhooks = \"[DIR]/hooks\"\nname = \"files\"\n[verbs.a]\nexec = [\"true\"]\n")
        .args(["--log", "json", "a"])
        .hook("1.sh", "true\n")
        .hook("2", "#!/bin/sh\nexit 3\n")
        .status(80)
        .any_stderr()
        .check(|output| {
            let messages = output.json_messages();
            let levels: Vec<_> = messages.iter().map(|message| message["level"].as_str().unwrap()).collect();
            assert_eq!(levels, ["info", "info", "info", "error"]);
            for message in &messages {
                assert_eq!((&message["step"], &message["environment"]), (&"files".into(), &"prod".into()));
            }
            assert_eq!(messages[0]["hook"], "1.sh");
            assert!(messages[1]["duration-ms"].is_u64());
            assert_eq!(
                messages[3]["message"],
                "hook `2` of step `files` in environment `prod` exited with status 3"
            );
        })
        .run();
}

// Timeouts

#[test]
fn a_hook_past_its_timeout_gets_term_and_fails() {
    for (name, head) in [("1.sh", ""), ("1", "#!/bin/sh\n"), ("1.sh", "#!/bin/bash\n")] {
        Test::new()
            .table("log = \"quiet\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\ntimeout = \"300ms\"\n[verbs.a]\nexec = [\"echo\", \"no\"]\n")
            .args(["a"])
            .hook(name, format!("{head}sh -c \"trap 'echo told to; exit 0' TERM; while :; do sleep 0.02; done\"\nexit 0\n"))
            .status(80)
            .stderr_contains("told to\n")
            .stderr_contains(format!("preverb: hook `{name}` of step `hooks [DIR]/hooks` in environment `prod` took longer than its timeout of 300 ms\n"))
            .check(|output| assert!(output.took < Duration::from_secs(4), "{:?}", output.took))
            .pid1()
            .run();
    }
}

#[test]
fn a_timeout_applies_to_each_file_of_a_directory() {
    let mut test = Test::new()
        .table("log = \"quiet\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\ntimeout = \"2s\"\n[verbs.a]\nexec = [\"echo\", \"all\"]\n")
        .args(["a"]);
    for name in ["1.sh", "2.sh", "3.sh"] {
        test = test.hook(name, "sleep 0.8\n");
    }
    test.stdout("all\n").check(|output| assert!(output.took > Duration::from_secs(2))).run();
}

#[test]
fn a_hook_that_ignores_its_timeout_is_killed_five_seconds_later() {
    Test::new()
        .table("log = \"quiet\"\n[[setup]]\nrun = [\"sh\", \"-c\", \"trap '' TERM; while :; do sleep 0.1; done\"]\nname = \"deaf\"\ntimeout = \"100ms\"\n[verbs.a]\nexec = [\"echo\", \"no\"]\n")
        .args(["a"])
        .status(80)
        .stderr("preverb: hook `deaf` of step `deaf` in environment `prod` took longer than its timeout of 100 ms; it did not end within 5 s, and was killed\n")
        .check(|output| {
            assert!(output.took > Duration::from_secs(5), "{:?}", output.took);
            assert!(output.took < Duration::from_secs(8), "{:?}", output.took);
        })
        .pid1()
        .run();
}

#[test]
fn a_hook_is_killed_after_the_grace_of_its_step() {
    let stubborn = "trap \"\" TERM; : >ready; while :; do sleep 0.05; done";
    let step = |keys: &str, script: &str| {
        Test::new()
            .table(format!("log = \"quiet\"\n[[setup]]\nrun = [\"sh\", \"-c\", '''{script}''']\nname = \"it\"\n{keys}\n[verbs.a]\nexec = [\"echo\", \"no\"]\n"))
            .args(["a"])
            .env("GRACE", "300ms")
    };
    step("timeout = \"100ms\"\ngrace = \"${GRACE}\"", stubborn)
        .status(80)
        .stderr("preverb: hook `it` of step `it` in environment `prod` took longer than its timeout of 100 ms; it did not end within 300 ms, and was killed\n")
        .check(|output| assert!(output.took < Duration::from_secs(4), "{:?}", output.took))
        .run();
    step("grace = \"300ms\"", stubborn)
        .during(|run| {
            run.wait_for_file("ready");
            run.signal(Signal::SIGTERM);
            run.ends_within(Duration::from_secs(4));
        })
        .status(143)
        .stderr(
            "preverb: stopped by SIGTERM while hook `it` ran; it did not end within 300 ms, and was killed\n",
        )
        .pid1()
        .run();
    // A hook that needs longer than the default of five seconds.
    step(
        "grace = \"60s\"",
        "trap \"sleep 6; echo rolled back; exit\" TERM; : >ready; while :; do sleep 0.05; done",
    )
    .during(|run| {
        run.wait_for_file("ready");
        run.signal(Signal::SIGTERM);
    })
    .status(143)
    // The shell may say that its `sleep` was terminated, too.
    .stderr_contains("rolled back\npreverb: stopped by SIGTERM while hook `it` ran\n")
    .stderr_lacks("killed")
    .run();
}

// Tiny containers

#[test]
fn setup_needs_no_proc_dev_tmp_or_etc() {
    // A root with a shell, the libraries of a preverb that is not static, and nothing else: no /proc, no
    // /dev, no /tmp, no /etc, read-only.
    let script = "
set -e
mkdir r
mount --bind r r
mkdir -p r/lib r/lib64 r/usr/lib r/bin r/h
for dir in lib lib64 usr/lib; do mount --bind /$dir r/$dir; done
cp /bin/busybox r/bin/sh
cp hook r/h/1.sh
cp table r/t.toml
cp \"$1\" r/preverb
shift
mount -o remount,bind,ro r
exec chroot r \"$@\"";
    let table = "[[setup]]\nhooks = \"/h\"\n[[setup]]\nrun = [\"sh\", \"-c\", 'echo B = \\\"2\\\" >&3']\nuser = \"1234:1234\"\n[[setup]]\nwait = [\"file:///h/1.sh\", { exec = [\"sh\", \"-c\", \"exit 0\"] }]\n[verbs.a]\nexec = [\"sh\", \"-c\", 'echo $A ${B-none}; umask; pwd']\n";
    let bare = |words: &[&str]| {
        Test::new()
            .needs("busybox")
            .needs_root()
            .file("table", format!("log = \"quiet\"\n{table}"), 0o644)
            .file("hook", "export A=1\ncd /h\numask 027\n", 0o644)
            .under(["unshare", "-m", "sh", "-c", script, "sh"])
            .args(words)
    };
    // Where there is no /proc, preverb knows its own path from what it was started by: whole, or relative.
    bare(&["/preverb", "--table", "/t.toml", "a"]).stdout("1 none\n0027\n/h\n").run();
    bare(&["/bin/sh", "-c", "exec ./preverb --table t.toml a"]).stdout("1 none\n0027\n/h\n").run();
}
