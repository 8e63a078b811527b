//! Chapter 5 of the specification: the steps `env`, `env-file` and groups, `on-failure`, and what expands in steps.

use crate::dsl::Test;

fn run(table: &str, words: &[&str]) -> Test {
    Test::new().table(table).args(["--log", "quiet"]).args(words)
}

// env

#[test]
fn an_env_step_sees_exports_of_hooks_but_not_its_own_values() {
    let table = r#"
        [env]
        URL = "unknown"
        [[setup]]
        hooks = "[DIR]/hooks"
        [[setup]]
        env = { URL = "postgres://app:${PASSWORD@url}@db", COPY = "${URL}", EMPTY = "" }
        [[setup]]
        run = ["sh", "-c", 'echo "step $URL"']
        [verbs.a]
        exec = ["sh", "-c", 'echo "$URL $COPY <$EMPTY>"']
    "#;
    run(table, &["a"])
        .hook("1.sh", "export PASSWORD='p@ss w'\n")
        .stdout("postgres://app:p%40ss%20w@db unknown <>\n")
        .stderr("step postgres://app:p%40ss%20w@db\n")
        .run();
}

#[test]
fn all_failed_expansions_of_an_env_step_are_reported_at_once() {
    let table = r#"
        [[setup]]
        name = "s"
        env = { A = "${X}", B = "${Y:?give one}" }
        [verbs.a]
        exec = ["true"]
    "#;
    run(table, &["a"])
        .status(65)
        .stderr(
            "preverb: variable `X` is not set: `A` of step `s` needs it\n\
             preverb: variable `Y` is not set: give one: `B` of step `s` needs it\n",
        )
        .run();
}

#[test]
fn an_env_step_can_be_conditional() {
    let table = r#"
        [[setup]]
        env = { MODE = "debug" }
        only-if = "DEBUG"
        [verbs.a]
        exec = ["sh", "-c", 'echo "$${MODE-none}"']
    "#;
    run(table, &["a"]).stdout("none\n").run();
    run(table, &["a"]).env("DEBUG", "1").stdout("debug\n").run();
}

#[test]
fn a_value_that_an_env_step_builds_from_a_secret_is_never_shown() {
    let table = r#"
        [variables.TOKEN]
        secret = true
        [[setup]]
        env = { HEADER = "Bearer ${TOKEN}", TOKEN = "${TOKEN}" }
        [verbs.a]
        exec = ["nowhere-${HEADER}"]
    "#;
    run(table, &["a"])
        .env("TOKEN", "hunter2")
        .status(127)
        .stderr_contains("a secret")
        .stderr_lacks("hunter2")
        .run();
    Test::new()
        .table(table)
        .args(["--explain", "a"])
        .env("TOKEN", "hunter2")
        .stdout_contains("HEADER=***")
        .stdout_lacks("hunter2")
        .run();
}

#[test]
fn root_sees_env_steps_but_no_exports_of_other_users() {
    let table = r#"
        user = "nobody"
        [[setup]]
        hooks = "[DIR]/hooks"
        [[setup]]
        env = { MODE = "set", FROM_HOOK = "${X}", KEPT = "${KEPT:-default}" }
        [[setup]]
        run = ["sh", "-c", 'echo "root $MODE $${FROM_HOOK-unset} $KEPT"']
        user = "root"
        [verbs.a]
        exec = ["sh", "-c", 'echo "$MODE $FROM_HOOK $KEPT"']
    "#;
    run(table, &["a"])
        .needs_root()
        .hook("1.sh", "export X=x KEPT=theirs\n")
        .stdout("set x theirs\n")
        .stderr("root set unset default\n")
        .run();
}

// env-file

/// A table whose verb `a` shows what a file of variables sets.
fn file(keys: &str) -> Test {
    let table = format!(
        "[variables.SECRET]\nsecret = true\n[[setup]]\nname = \"s\"\nenv-file = {keys}\n\
         [verbs.a]\nexec = [\"sh\", \"-c\", 'printf \"%s|\" \"$A\" \"$B\" \"$${{PREVERB_VERB}}\"']\n"
    );
    run(&table, &["a"])
}

#[test]
fn env_files_are_read_without_a_shell() {
    file("\"vars\"")
        .file("vars", "\u{feff}# comment\n\n export A=it's $HOME `id` \nB='two\nlines'\n", 0o644)
        .stdout("it's $HOME `id` |two\nlines|a|")
        .run();
    file("[\"${DIR_OF}/one\", \"two\"]")
        .env("DIR_OF", "[DIR]")
        .file("one", "A=1\nB=1\n", 0o644)
        .file("two", "B=\"2\\n\\\"\\$\\\\\"\nPREVERB_VERB=x", 0o644)
        .stdout("1|2\n\"$\\|a|")
        .run();
}

#[test]
fn an_invalid_line_is_reported_by_number_and_not_shown() {
    let bad = |text: &str, reason: &str| {
        file("\"vars\"")
            .file("vars", text, 0o644)
            .status(65)
            .stderr(format!("preverb: step `s` cannot use `vars`: line {reason}\n"))
            .run();
    };
    bad("A=1\nhunter2\n", "2: it is not `NAME=value`");
    bad("A=1\r\n", "1: it ends in a carriage return: the file has Windows line endings");
    bad("A='1\n\n", "1: its quote is not closed");
    bad("1A=hunter2\n", "1: the text before the `=` is not a variable name");
    bad("A=\"\\x\"\n", "1: a backslash in `\"…\"` can only stand before `\\`, `\"`, `$` and `n`");
}

#[test]
fn a_missing_file_is_an_error_unless_a_condition_allows_it() {
    file("\"[DIR]/nowhere\"")
        .status(65)
        .stderr(
            "preverb: step `s` cannot use `[DIR]/nowhere`: it does not exist\n\
             hint: `if-exists` skips the step where there is no file\n",
        )
        .run();
    file("\"[DIR]/nowhere\"\nif-exists = \"[DIR]/nowhere\"").stdout("||a|").run();
}

#[test]
fn a_declared_secret_from_an_env_file_is_concealed() {
    let table = r#"
        [variables.SECRET]
        secret = true
        late = true
        required = true
        [[setup]]
        env-file = "vars"
        [verbs.a]
        exec = ["nowhere-${SECRET}"]
    "#;
    run(table, &["a"]).file("vars", "SECRET=hunter2\n", 0o600).status(127).stderr_lacks("hunter2").run();
}

#[test]
fn an_env_file_is_read_as_the_user_of_the_step() {
    let table = r#"
        user = "nobody"
        [[setup]]
        name = "s"
        env-file = "[DIR]/vars"
        [verbs.a]
        exec = ["printenv", "A"]
    "#;
    run(table, &["a"])
        .needs_root()
        .file("vars", "A=1\n", 0o600)
        .status(65)
        .stderr("preverb: step `s` cannot use `[DIR]/vars`: permission denied\n")
        .run();
    run(table, &["a"]).needs_root().file("vars", "A=1\n", 0o644).stdout("1\n").run();
}

#[test]
fn env_files_that_root_reads_must_be_writable_by_root_alone() {
    let table = r#"
        user = "nobody"
        [[setup]]
        name = "s"
        env-file = "[DIR]/theirs/vars"
        user = "root"
        [verbs.a]
        exec = ["printenv", "A"]
    "#;
    run(table, &["a"])
        .needs_root()
        .file("theirs/vars", "A=1\n", 0o644)
        .under_shell("chown nobody theirs; exec \"$@\"")
        .status(77)
        .stderr_contains("step `s`")
        .run();
}

// Groups

#[test]
fn the_conditions_of_a_group_are_checked_once_and_its_variables_persist() {
    let table = r#"
        [[setup]]
        only-if = "!DONE"
        setup = [
            { env = { DONE = "1" } },
            { run = ["sh", "-c", 'echo "one $DONE"'] },
            { run = ["echo", "never"], skip-if = "DONE" },
            { setup = [{ run = ["echo", "inner"], verbs = ["a"] }, { run = ["echo", "b"], verbs = ["b"] }] },
        ]
        [[setup]]
        run = ["sh", "-c", 'echo "after $DONE"']
        [verbs.a]
        exec = ["true"]
        [verbs.b]
        exec = ["true"]
    "#;
    run(table, &["a"]).stderr("one 1\ninner\nafter 1\n").run();
    run(table, &["b"]).stderr("one 1\nb\nafter 1\n").run();
    run(table, &["a"]).env("DONE", "yes").stderr("after yes\n").run();
}

#[test]
fn variables_of_a_once_group_are_discarded_after_it() {
    let table = r#"
        [[setup]]
        name = "g"
        once = "done"
        setup = [
            { env = { X = "inside" } },
            { run = ["sh", "-c", 'echo "$X"'] },
        ]
        [verbs.a]
        exec = ["sh", "-c", 'echo "$${X-unset}"; test -e done']
    "#;
    run(table, &["a"]).stdout("unset\n").stderr("inside\n").run();
    run(table, &["a"]).file("done", "", 0o644).stdout("unset\n").run();
}

#[test]
fn the_steps_of_a_group_run_as_its_user() {
    let table = r#"
        [[setup]]
        user = "nobody"
        setup = [{ run = ["id", "-un"] }, { run = ["id", "-un"], user = "root" }]
        [verbs.a]
        exec = ["id", "-un"]
    "#;
    run(table, &["a"]).needs_root().stdout("root\n").stderr("nobody\nroot\n").run();
}

#[test]
fn a_group_as_a_whole_has_a_timeout() {
    let table = r#"
        [[setup]]
        name = "g"
        timeout = "200ms"
        setup = [{ run = ["sleep", "0.1"] }, { name = "s", run = ["sleep", "20"] }]
        [verbs.a]
        exec = ["true"]
    "#;
    let whole = "; step `g` may take 200 ms in all\n";
    run(table, &["a"]).status(80).stderr_contains("step `s`").stderr_contains(whole).run();
}

// on-failure

#[test]
fn with_on_failure_warn_a_failure_is_a_warning() {
    let table = |step: &str| {
        format!(
            "[[setup]]\nname = \"s\"\n{step}\non-failure = \"warn\"\n[verbs.a]\nexec = [\"echo\", \"on\"]\n"
        )
    };
    let warns = |step: &str, failure: &str| {
        Test::new()
            .table(table(step))
            .args(["a"])
            .stdout("on\n")
            .stderr_contains(format!("preverb: warning: step `s` failed, and the run continues: {failure}"))
            .run();
    };
    warns("run = [\"false\"]", "hook `s` of step `s` in environment `prod` exited with status 1\n");
    warns("run = [\"nowhere\"]", "hook `s` of step `s` in environment `prod` ");
    warns("env-file = \"/nowhere\"", "step `s` cannot use `/nowhere`: it does not exist\n");
    warns("env = { A = \"${X}\" }", "variable `X` is not set: `A` of step `s` needs it\n");
    warns("mkdir = \"/proc/x\"", "");
    warns("wait = \"tcp://127.0.0.1:1\"\ntimeout = \"10ms\"", "");
    warns("setup = [{ run = [\"false\"] }, { run = [\"touch\", \"ran\"] }]", "hook `false`");
    // A step without a name is named after its kind and its expanded value.
    Test::new()
        .table("[[setup]]\nmkdir = \"${D}\"\non-failure = \"warn\"\n[verbs.a]\nexec = [\"true\"]\n")
        .args(["a"])
        .env("D", "/proc/x")
        .stderr_contains("preverb: warning: step `mkdir /proc/x` failed, and the run continues: ")
        .run();
    for bad in ["\"ignore\"", "true"] {
        let table = table("run = [\"true\"]").replace("\"warn\"", bad);
        Test::new().table(table).args(["a"]).status(78).stderr_contains("on-failure").run();
    }
}

#[test]
fn with_on_failure_warn_a_missing_user_or_a_stop_still_ends_the_run() {
    let table = "[[setup]]\nrun = [\"true\"]\nuser = \"no-such-user\"\non-failure = \"warn\"\n[verbs.a]\nexec = [\"true\"]\n";
    run(table, &["a"]).status(77).stderr_contains("no-such-user").run();
    let table = "[[setup]]\nrun = [\"sh\", \"-c\", 'kill $PPID; sleep 10']\non-failure = \"warn\"\n[verbs.a]\nexec = [\"true\"]\n";
    run(table, &["a"]).status(143).any_stderr().run();
}

#[test]
fn a_failed_step_changes_no_variable() {
    let table = r#"
        [[setup]]
        hooks = "[DIR]/hooks/1.sh"
        on-failure = "warn"
        [verbs.a]
        exec = ["sh", "-c", 'echo "$${X-unset}"']
    "#;
    run(table, &["a"]).hook("1.sh", "export X=1\nfalse\n").stdout("unset\n").run();
    // Nor the variables of the parts that succeeded.
    let table = r#"
        [[setup]]
        hooks = "[DIR]/hooks"
        on-failure = "warn"
        [[setup]]
        env-file = ["[DIR]/good", "[DIR]/bad"]
        on-failure = "warn"
        [verbs.a]
        exec = ["sh", "-c", 'echo "$${X-unset} $${Y-unset}"; pwd; umask']
        workdir = "[DIR]"
        umask = "022"
    "#;
    run(table, &["a"])
        .hook("1.sh", "export X=1\ncd /\numask 077\n")
        .hook("2.sh", "false\n")
        .file("good", "Y=1\n", 0o644)
        .file("bad", "no variable\n", 0o644)
        .stdout("unset unset\n[DIR]\n0022\n")
        .any_stderr()
        .run();
}

// Expansion

#[test]
fn timeout_mode_and_umask_can_come_from_variables() {
    let timeout = "[[setup]]\nname = \"s\"\nrun = [\"sleep\", \"20\"]\ntimeout = \"${LIMIT:-100ms}\"\n[verbs.a]\nexec = [\"true\"]\n";
    run(timeout, &["a"]).status(80).stderr_contains("100 ms").run();
    run(timeout, &["a"]).env("LIMIT", "soon").status(65).stderr_contains("`timeout` is `soon`").run();
    let mode = "[[setup]]\nmkdir = \"made\"\nmode = \"${MODE}\"\n[verbs.a]\nexec = [\"stat\", \"-c\", \"%a\", \"made\"]\n";
    run(mode, &["a"]).env("MODE", "0750").stdout("750\n").run();
    run(mode, &["a"]).env("MODE", "9").status(65).stderr_contains("`mode` is `9`").run();
    let umask = "[verbs.a]\nexec = [\"sh\", \"-c\", \"umask\"]\numask = \"${UMASK:-027}\"\n";
    run(umask, &["a"]).stdout("0027\n").run();
    run(umask, &["a"]).env("UMASK", "x").status(65).stderr_contains("`umask` is `x`").run();
}

// stdin

#[test]
fn a_run_step_can_set_the_standard_input() {
    let table = |user: &str| {
        format!(
            "[[setup]]\nrun = [\"sh\", \"-c\", 'cat; printf \"<%s>\" \"$(cat /dev/stdin)\"']\nstdin = \"${{A}} $B\\n\"\n{user}\n[verbs.a]\nexec = [\"cat\"]\n"
        )
    };
    run(&table(""), &["a"])
        .env("A", "a b")
        .stdin("the target's")
        .stdout("the target's")
        .stderr("a b $B\n<>")
        .run();
    run(&table("user = \"nobody\""), &["a"]).needs_root().env("A", "a b").stderr("a b $B\n<>").run();
    run(&table(""), &["a"]).status(65).stderr_contains("`stdin` of step `run sh").run();
}

#[test]
fn the_standard_input_can_be_reopened_by_path() {
    for user in ["", "user = \"nobody\""] {
        let table = format!(
            "[[setup]]\nrun = [\"sh\", \"-c\", 'cat </dev/stdin']\nstdin = \"${{A}}\"\n{user}\n[verbs.a]\nexec = [\"true\"]\n"
        );
        run(&table, &["a"]).needs_root().env("A", "text").stderr("text").run();
        run(&table, &["a"]).needs_root().env("A", "").stderr("").run();
    }
}

#[test]
fn a_standard_input_can_be_large_and_need_not_be_read() {
    let long = "x".repeat(100_000);
    let table = |program: &str| {
        format!(
            "[[setup]]\nrun = {program}\nstdin = \"{}\"\n[verbs.a]\nexec = [\"true\"]\n",
            "${A}".repeat(20)
        )
    };
    run(&table("[\"wc\", \"-c\"]"), &["a"]).env("A", &long).stderr("2000000\n").run();
    run(&table("[\"sh\", \"-c\", 'sleep 0.2; wc -c']"), &["a"]).env("A", &long).stderr("2000000\n").run();
    run(&table("[\"true\"]"), &["a"]).env("A", &long).run();
    run(&table("[\"head\", \"-c1\"]"), &["a"]).env("A", &long).stderr("x").run();
}

#[test]
fn reading_an_env_file_from_a_pipe_ends_at_the_timeout() {
    let table = "[[setup]]\nname = \"s\"\nenv-file = \"[DIR]/pipe\"\ntimeout = \"200ms\"\n[verbs.a]\nexec = [\"true\"]\n";
    run(table, &["a"])
        .under_shell("mkfifo pipe; exec \"$@\"")
        .status(71)
        .stderr("preverb: step `s` took longer than its timeout of 200 ms\n")
        .run();
}
