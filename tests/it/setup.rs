//! Chapter 5 of the specification, as far as the steps `run` and `hooks`: what runs, in which order, with
//! which descriptors and variables, and which results reach the target.

use std::time::Duration;

use crate::dsl::{Test, bytes};

/// A table with one hook directory; preverb's messages about hooks are left out, so that their output is
/// the whole of standard error.
const HOOKS: &str = r#"
    log = "quiet"
    [[setup]]
    hooks = "[DIR]/hooks"
    [verbs.show]
    exec = ["sh", "-c", 'printf "<%s>" "$@"', "sh"]
    [verbs.env]
    exec = ["printenv"]
"#;

fn hooks(words: &[&str]) -> Test {
    Test::new().table(HOOKS).args(words)
}

/// The value of a variable in the target.
fn target_sees(name: &str) -> Test {
    hooks(&["--", "printenv", name])
}

fn run(table: &str, words: &[&str]) -> Test {
    Test::new().table(format!("log = \"quiet\"\n{table}")).args(words)
}

// Order

#[test]
fn steps_run_in_the_order_table_environment_verb_environments_verb() {
    run(
        r#"
        [[environments.prod.verbs.a.setup]]
        run = ["echo", "verb of the environment"]
        [[verbs.a.setup]]
        run = ["echo", "verb 1"]
        [[verbs.a.setup]]
        run = ["echo", "verb 2"]
        [[environments.prod.setup]]
        run = ["echo", "environment"]
        [[environments.dev.setup]]
        run = ["echo", "another environment"]
        [[setup]]
        run = ["echo", "table 1"]
        [[setup]]
        run = ["echo", "table 2"]
        [verbs.a]
        exec = ["sh", "-c", "echo target >&2"]
        [[verbs.b.setup]]
        run = ["echo", "another verb"]
        "#,
        &["a"],
    )
    .stderr("table 1\ntable 2\nenvironment\nverb 1\nverb 2\nverb of the environment\ntarget\n")
    .pid1()
    .run();
}

#[test]
fn only_files_of_the_directory_itself_run_in_bytewise_order() {
    let mut test = hooks(&["show"]).stdout("<>").file("hooks/sub/1.sh", "echo no\n", 0o755);
    for name in ["b.sh", "a.sh", "B.sh", "10-x.sh", "9-x.sh", "é.sh", "a-.sh"] {
        test = test.hook(name, format!("echo {name}\n"));
    }
    test.hook(".hidden.sh", "echo no\n")
        .stderr("10-x.sh\n9-x.sh\nB.sh\na-.sh\na.sh\nb.sh\né.sh\n")
        .pid1()
        .run();
}

#[test]
fn hooks_may_be_links_as_in_a_config_map() {
    hooks(&["show"])
        .file("hooks/..2026/1.sh", "echo mounted\n", 0o644)
        .link("hooks/..data", "..2026")
        .link("hooks/1.sh", "..data/1.sh")
        .stdout("<>")
        .stderr("mounted\n")
        .run();
}

#[test]
fn a_missing_hook_directory_is_allowed_and_a_missing_file_is_an_error() {
    hooks(&["show"]).stdout("<>").run();
    for name in ["one.sh", "one.py"] {
        run(&format!("[[setup]]\nhooks = \"[DIR]/{name}\"\n[verbs.a]\nexec = [\"true\"]\n"), &["a"])
            .status(80)
            .stderr_contains(format!("`[DIR]/{name}`"))
            .run();
    }
}

#[test]
fn hooks_can_name_one_file() {
    run("[[setup]]\nhooks = \"[DIR]/hooks/1.sh\"\n[verbs.a]\nexec = [\"printenv\", \"X\"]\n", &["a"])
        .hook("1.sh", "export X=y\n")
        .hook("2.sh", "export X=z\n")
        .stdout("y\n")
        .run();
}

// Filters

#[test]
fn a_step_can_be_for_some_verbs_and_environments_only() {
    let table = r#"
        [[setup]]
        run = ["echo", "a and b"]
        verbs = ["a", "b"]
        [[setup]]
        run = ["echo", "not a"]
        verbs = ["!a"]
        [[setup]]
        run = ["echo", "dev"]
        environments = ["dev"]
        [[setup]]
        run = ["echo", "not dev"]
        environments = ["!dev"]
        [[setup]]
        run = ["echo", "a in dev"]
        verbs = ["a"]
        environments = ["dev"]
        [verbs.a]
        aliases = ["alpha"]
        exec = ["true"]
        [verbs.b]
        exec = ["true"]
        [verbs.c]
        exec = ["true"]
    "#;
    run(table, &["a"]).stderr("a and b\nnot dev\n").run();
    run(table, &["alpha"]).stderr("a and b\nnot dev\n").run();
    run(table, &["c"]).stderr("not a\nnot dev\n").run();
    run(table, &["b"]).stderr("a and b\nnot a\nnot dev\n").run();
    run(table, &["a"]).env("APP_ENV", "dev").stderr("a and b\ndev\na in dev\n").run();
}

#[test]
fn a_variable_can_skip_a_step() {
    let table = "[[setup]]\nrun = [\"echo\", \"ran\"]\nskip-if = \"SKIP\"\n[[setup]]\nrun = [\"echo\", \"ran too\"]\nskip-if = [\"SKIP_A\", \"SKIP_B\"]\n[verbs.a]\nexec = [\"true\"]\n";
    run(table, &["a"]).stderr("ran\nran too\n").run();
    run(table, &["a"]).env("SKIP", "1").stderr("ran too\n").run();
    run(table, &["a"]).env("SKIP", "0").stderr("ran\nran too\n").run();
    run(table, &["a"]).env("SKIP", "").stderr("ran\nran too\n").run();
    run(table, &["a"]).env("SKIP_B", "x").stderr("ran\n").run();
}

#[test]
fn a_hook_can_export_the_variable_that_skips_a_later_step() {
    run(
        "[[setup]]\nhooks = \"[DIR]/hooks\"\n[[setup]]\nrun = [\"echo\", \"ran\"]\nskip-if = \"DONE\"\n[verbs.a]\nexec = [\"true\"]\n",
        &["a"],
    )
    .hook("1.sh", "export DONE=1\n")
    .run();
}

// Sourcing

#[test]
fn a_shell_file_is_sourced_executable_or_not() {
    for mode in [0o644, 0o755, 0o444] {
        target_sees("X").file("hooks/1.sh", "export X=y\n", mode).stdout("y\n").pid1().run();
    }
}

#[test]
fn variables_that_are_not_exported_are_lost() {
    hooks(&["--", "sh", "-c", "echo ${X-unset} ${Y-unset}"])
        .hook("1.sh", "X=y\nexport Y=z\nf() { :; }\n")
        .hook("2.sh", "echo ${X-unset}\ntype f >/dev/null 2>&1 || echo no function\n")
        .stdout("unset z\n")
        .stderr("unset\nno function\n")
        .run();
}

#[test]
fn a_variable_that_a_hook_unsets_stays_unset() {
    hooks(&["--", "sh", "-c", "echo ${X-unset}"])
        .env("X", "inherited")
        .hook("1.sh", "unset X\n")
        .hook("2.sh", "echo ${X-unset}\n")
        .stdout("unset\n")
        .stderr("unset\n")
        .run();
}

#[test]
fn the_working_directory_and_umask_of_a_hook_persist() {
    hooks(&["--", "sh", "-c", "pwd; umask"])
        .directory("elsewhere", 0o755)
        .hook("1.sh", "cd elsewhere\numask 027\n")
        .hook("2.sh", "pwd; umask\n")
        .stdout("[DIR]/elsewhere\n0027\n")
        .stderr("[DIR]/elsewhere\n0027\n")
        .pid1()
        .run();
}

#[test]
fn a_hook_overrides_the_verbs_directory_and_umask() {
    run(
        "[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"sh\", \"-c\", \"pwd; umask\"]\nworkdir = \"[DIR]/app\"\numask = \"022\"\n",
        &["a"],
    )
    .directory("app", 0o755)
    .directory("elsewhere", 0o755)
    .hook("1.sh", "pwd; umask; cd ../elsewhere; umask 077\n")
    .stdout("[DIR]/elsewhere\n0077\n")
    .stderr("[DIR]/app\n0022\n")
    .run();
}

#[test]
fn the_verbs_directory_is_used_as_soon_as_it_exists() {
    let table = |first: &str, workdir: &str| {
        format!(
            "[[setup]]\nrun = [\"pwd\"]\n{first}[[setup]]\nmkdir = \"[DIR]/new\"\n[[setup]]\nrun = [\"pwd\"]\n[verbs.a]\nexec = [\"pwd\"]\nworkdir = \"{workdir}\"\n"
        )
    };
    for workdir in ["[DIR]/new", "new"] {
        run(&table("", workdir), &["a"]).stdout("[DIR]/new\n").stderr("[DIR]\n[DIR]/new\n").pid1().run();
    }
    // Unless a hook has changed the directory.
    run(&table("[[setup]]\nhooks = \"[DIR]/hooks\"\n", "[DIR]/new"), &["a"])
        .hook("1.sh", "cd /etc\n")
        .stdout("/etc\n")
        .stderr("[DIR]\n/etc\n")
        .run();
}

#[test]
fn values_of_any_bytes_survive_a_hook() {
    let value = b"a\nb\t'\"\\ $X `id` *\n\xff\x80\n\n";
    target_sees("X")
        .env("X", bytes(value))
        .hook("1.sh", "export Y=1\n")
        .stdout([value.as_slice(), b"\n"].concat())
        .run();
    target_sees("X")
        .hook("1.sh", "export X=\"$(printf 'a\\nb \\\\ \\047 \\377')\"\n")
        .stdout(b"a\nb \\ ' \xff\n")
        .run();
}

#[test]
fn names_that_a_shell_cannot_represent_survive_a_hook() {
    for shell in ["sh", "dash", "bash"] {
        hooks(&["--", "printenv", "my.var", "a-b"])
            .env("my.var", "dotted")
            .env("a-b", "dashed")
            .hook("1.sh", format!("#!/usr/bin/env {shell}\nexport X=1\n"))
            .stdout("dotted\ndashed\n")
            .run();
    }
}

#[test]
fn variables_that_a_shell_sets_by_itself_are_not_exports() {
    hooks(&["--", "sh", "-c", "tr '\\0' '\\n' </proc/self/environ | grep -E '^(SHLVL|_|OLDPWD|PWD)=' || :"])
        .under(["env", "-u", "PWD"])
        .hook("1.sh", "#!/bin/bash\ncd /\ncd - >/dev/null\n")
        .hook("2.sh", ":\n")
        // The target is a shell, whose own environment in `/proc` is as it was at its start.
        .stdout("")
        .run();
    hooks(&["--", "printenv", "SHLVL", "PWD"])
        .env("SHLVL", "7")
        .env("PWD", "[DIR]")
        .hook("1.sh", "#!/bin/bash\n:\n")
        .stdout("7\n[DIR]\n")
        .run();
}

#[test]
fn several_hundred_variables_survive_a_hook() {
    let mut test = hooks(&["--", "sh", "-c", "env | grep -c ^MANY_"]).hook("1.sh", "export MANY_X=1\n");
    for number in 0..500 {
        test = test.env(format!("MANY_{number}"), "x".repeat(number));
    }
    test.stdout("501\n").run();
}

#[test]
fn a_hook_is_sourced_by_the_shell_named_in_its_first_line() {
    let shell = "echo ${BASH_VERSION:+bash}\n";
    for (line, name) in [
        ("#!/bin/bash", "bash"),
        ("#!/usr/bin/env bash", "bash"),
        ("#! /bin/bash", "bash"),
        ("#!/usr/bin/env -S bash -u", "bash"),
        ("#!/bin/sh", ""),
        ("#!/bin/dash", ""),
        ("# nothing", ""),
    ] {
        hooks(&["show"])
            .hook("1.sh", format!("{line}\n{shell}"))
            .stdout("<>")
            .stderr(format!("{name}\n"))
            .run();
    }
}

#[test]
fn the_options_of_the_first_line_apply() {
    hooks(&["show"]).hook("1.sh", "#!/bin/sh -x\n: traced\n").stdout("<>").stderr_contains(": traced").run();
    hooks(&["show"]).hook("1.sh", "#!/bin/sh -u\necho $UNSET_HERE\n").status(80).any_stderr().run();
}

#[test]
fn a_sourced_hook_runs_under_set_e_and_its_status_is_its_last_commands() {
    hooks(&["show"])
        .hook("1.sh", "false\necho not reached\n")
        .status(80)
        .stderr_contains("1.sh")
        .stderr_lacks("not reached")
        .run();
    hooks(&["show"])
        .hook("1.sh", "[ -n \"$UNSET_HERE\" ] && echo x\n")
        .status(80)
        .stderr_contains("1.sh")
        .run();
    hooks(&["show"]).hook("1.sh", "false || true\n").stdout("<>").run();
}

#[test]
fn exit_0_ends_only_that_hook_and_keeps_its_exports() {
    hooks(&["--", "printenv", "X", "Y"])
        .hook("1.sh", "export X=1\nexit 0\nexport X=2\n")
        .hook("2.sh", "export Y=3\n")
        .stdout("1\n3\n")
        .pid1()
        .run();
    hooks(&["show"]).hook("1.sh", "exit 3\n").status(80).stderr_contains("3").run();
}

#[test]
fn return_ends_a_hook() {
    target_sees("X").hook("1.sh", "export X=1\nreturn 0\nexport X=2\n").stdout("1\n").run();
}

#[test]
fn a_hook_that_does_not_return_its_variables_is_an_error() {
    for script in ["trap 'echo bye' EXIT\nexport X=1\nexit 0\n", "export X=1\nexec true\n"] {
        target_sees("X").hook("1.sh", script).status(80).stderr_contains("1.sh").run();
    }
    // As long as it does not exit, its own trap is harmless.
    target_sees("X").hook("1.sh", "trap 'exit 9' USR1\nexport X=1\n").stdout("1\n").run();
}

#[test]
fn a_hook_with_a_syntax_error_fails() {
    hooks(&["show"]).hook("1.sh", "if true\n").status(80).stderr_contains("1.sh").run();
}

// Others

#[test]
fn an_executable_hook_is_run() {
    hooks(&["show"])
        .hook("1-plain", "#!/bin/sh\necho plain\n")
        .hook("2.py", "#!/bin/sh\necho a shell after all\n")
        .stdout("<>")
        .stderr("plain\na shell after all\n")
        .run();
    hooks(&["--", "sh", "-c", "echo ${X-unset}"])
        .hook("1-plain", "#!/bin/sh\nexport X=y\n")
        .stdout("unset\n")
        .run();
}

#[test]
fn an_interpreter_runs_files_of_its_extension_with_only_the_path() {
    run(
        "[interpreters]\ntxt = [\"sh\", \"-c\", 'cat \"$0\"; echo \"$@\"']\n[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"true\"]\n",
        &["a"],
    )
    .file("hooks/1.txt", "told\n", 0o644)
    .stderr("told\n\n")
    .pid1()
    .run();
    hooks(&["show", "x"])
        .program("python3", "#!/bin/sh\necho \"python3 $*\"\n")
        .file("hooks/1.py", "print()\n", 0o644)
        .stdout("<x>")
        .stderr("python3 [DIR]/hooks/1.py\n")
        .run();
}

#[test]
fn the_table_can_replace_an_interpreter() {
    run(
        "[interpreters]\npy = [\"echo\", \"mine\"]\n[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"true\"]\n",
        &["a"],
    )
    .file("hooks/1.py", "", 0o644)
    .stderr("mine [DIR]/hooks/1.py\n")
    .run();
}

#[test]
fn a_file_that_nothing_can_run_causes_a_warning() {
    Test::new()
        .table(HOOKS.replace("\"quiet\"", "\"text\""))
        .args(["show"])
        .file("hooks/readme.md", "text\n", 0o644)
        .file("hooks/noextension", "#!/bin/sh\n", 0o644)
        .stdout("<>")
        .stderr_contains("readme.md")
        .stderr_contains("noextension")
        .stderr_contains("chmod +x")
        .run();
}

#[test]
fn a_directory_named_like_a_script_is_an_error() {
    for name in ["1.sh", "1.py"] {
        hooks(&["show"])
            .directory(&format!("hooks/{name}"), 0o755)
            .status(80)
            .stderr_contains(name)
            .stderr_contains("directory")
            .run();
    }
    hooks(&["show"]).directory("hooks/sub", 0o755).stdout("<>").run();
}

#[test]
fn a_failed_hook_ends_the_run() {
    hooks(&["show"])
        .hook("1.sh", "echo one\n")
        .hook("2-fails", "#!/bin/sh\nexit 5\n")
        .hook("3.sh", "echo three\n")
        .status(80)
        .stderr_contains("one\n")
        .stderr_contains("2-fails")
        .stderr_contains("5")
        .stderr_lacks("three")
        .pid1()
        .run();
}

// The surroundings of a hook

#[test]
fn hooks_get_the_verb_and_the_callers_arguments() {
    let words = ["a b", "", "--help", "*"];
    for (name, script) in
        [("1.sh", "printf '(%s)' \"$@\"; echo\n"), ("1-plain", "#!/bin/sh\nprintf '(%s)' \"$@\"; echo\n")]
    {
        hooks(&["show"])
            .args(words)
            .hook(name, script)
            .stdout("<a b><><--help><*>")
            .stderr("(show)(a b)()(--help)(*)\n")
            .run();
        hooks(&["--", "printf", "x"]).hook(name, script).stdout("x").stderr("(printf)(x)\n").run();
    }
}

#[test]
fn hooks_do_not_get_the_default_arguments() {
    run(
        "[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\naliases = [\"b\"]\nexec = [\"printf\", \"<%s>\"]\nargs = [\"default\"]\n",
        &["b"],
    )
    .hook("1.sh", "echo \"$# $*\"\n")
    .stdout("<default>")
    .stderr("1 a\n")
    .run();
}

#[test]
fn a_run_step_has_exactly_its_arguments() {
    run(
        "[[setup]]\nrun = [\"sh\", \"-c\", 'printf \"(%s)\" \"$0\" \"$@\"', \"zero\", \"\", \"a b\"]\n[verbs.a]\nexec = [\"printf\", \"<%s>\"]\n",
        &["a", "word"],
    )
    .stdout("<word>")
    .stderr("(zero)()(a b)")
    .run();
}

#[test]
fn the_callers_input_belongs_to_the_target() {
    for (name, script) in
        [("1.sh", "cat\nreadlink /proc/$$/fd/0\n"), ("1-plain", "#!/bin/sh\ncat\nreadlink /proc/$$/fd/0\n")]
    {
        hooks(&["--", "cat"])
            .hook(name, script)
            .stdin("for the target\n")
            .stdout("for the target\n")
            .stderr("/dev/null\n")
            .pid1()
            .run();
    }
    run("[[setup]]\nrun = [\"cat\"]\n[verbs.a]\nexec = [\"cat\"]\n", &["a"])
        .stdin("for the target\n")
        .stdout("for the target\n")
        .run();
}

#[test]
fn hooks_have_only_descriptors_0_to_3() {
    let script = "#!/bin/sh\nls /proc/$$/fd\n";
    for name in ["1.sh", "1-plain"] {
        hooks(&["--", "sh", "-c", "cat <&5; cat <&9"])
            .hook(name, script)
            .file("five", "five\n", 0o644)
            .under(["bash", "-c", "exec 5<five 9<five; exec \"$@\"", "sh"])
            .stdout("five\nfive\n")
            .any_stderr()
            .check(|output| {
                let mut open: Vec<i32> =
                    output.messages().lines().map(|line| line.parse().unwrap()).collect();
                // From 10 on: by which the shell itself reads the script.
                open.retain(|number| *number < 10);
                open.sort_unstable();
                assert_eq!(open, [0, 1, 2, 3]);
            })
            .run();
    }
}

#[test]
fn a_hook_has_its_own_process_group() {
    hooks(&["--", "sh", "-c", "ps -o pgid= -p $$ 2>/dev/null || cut -d' ' -f5 /proc/$$/stat"])
        .hook("1.sh", "read -r line </proc/$$/stat; set -- ${line##*) }; [ \"$3\" = $$ ] && echo leader\n")
        .any_stdout()
        .stderr("leader\n")
        .run();
}

#[test]
fn text_on_descriptor_3_becomes_variables() {
    hooks(&["--", "printenv", "X", "my.var", "LINES_"])
        .hook("1-plain", "#!/bin/sh\nprintf 'X = \"one\"\\n\"my.var\" = \"dotted\"\\nLINES_ = \"\"\"\\na\\nb\"\"\"\\n' >&3\n")
        .hook("2.sh", "echo \"$X\"\n")
        .stdout("one\ndotted\na\nb\n")
        .stderr("one\n")
        .pid1()
        .run();
    run("[[setup]]\nrun = [\"sh\", \"-c\", \"echo 'X = \\\"run\\\"' >&3\"]\n[verbs.a]\nexec = [\"printenv\", \"X\"]\n", &["a"])
        .stdout("run\n")
        .run();
}

#[test]
fn anything_but_a_flat_table_of_strings_on_descriptor_3_is_an_error() {
    for text in [
        "X = 3",
        "[table]\nX = \"y\"",
        "X = [\"y\"]",
        "nonsense",
        "\"A=B\" = \"x\"",
        "X = \"a\\u0000b\"",
        "X = \"y\"\nX = \"z\"",
    ] {
        hooks(&["show"])
            .hook("1-plain", format!("#!/bin/sh\ncat >&3 <<'END'\n{text}\nEND\n"))
            .status(80)
            .stderr_contains("1-plain")
            .run();
    }
    hooks(&["show"])
        .hook("1-plain", "#!/bin/sh\nprintf 'X = \"\\377\"\\n' >&3\n")
        .status(80)
        .stderr_contains("1-plain")
        .run();
}

#[test]
fn a_hook_may_write_more_than_a_pipe_holds_to_descriptor_3() {
    let names = "i=0; while [ $i -lt 3000 ]; do echo \"MANY_$i = \\\"0123456789012345678901234567890123456789\\\"\"; i=$((i+1)); done >&3";
    hooks(&["--", "sh", "-c", "env | grep -c ^MANY_"])
        .hook("1-plain", format!("#!/bin/sh\n{names}\n"))
        .stdout("3000\n")
        .run();
}

#[test]
fn a_daemon_that_keeps_the_descriptors_open_delays_nothing() {
    for name in ["1.sh", "1-plain"] {
        Test::new()
            .table(HOOKS)
            .args(["--", "sh", "-c", "echo $X; kill $(cat daemon)"])
            .hook(name, "#!/bin/sh\nsleep 30 &\necho $! >daemon\necho 'X = \"y\"' >&3\n")
            .stdout("y\n")
            .any_stderr()
            .check(|output| assert!(output.took < Duration::from_secs(10), "{:?}", output.took))
            .run();
    }
}

#[test]
fn a_hook_may_change_the_path_of_the_target() {
    hooks(&["--", "installed"])
        .file("opt/installed", "#!/bin/sh\necho from opt\n", 0o755)
        .hook("1.sh", "export PATH=\"$PWD/opt:$PATH\"\n")
        .stdout("from opt\n")
        .run();
}

#[test]
fn a_step_can_run_a_program_that_an_earlier_one_installed() {
    run(
        "[[setup]]\nrun = [\"sh\", \"-c\", \"printf '#!/bin/sh\\\\necho installed\\\\n' >bin/fresh; chmod +x bin/fresh\"]\n[[setup]]\nrun = [\"fresh\"]\n[verbs.a]\nexec = [\"fresh\"]\n",
        &["a"],
    )
    .stdout("installed\n")
    .stderr("installed\n")
    .run();
}
