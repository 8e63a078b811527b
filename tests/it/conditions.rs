//! Chapter 5 of the specification: the conditions of steps and of arguments.

use crate::dsl::Test;

fn run(table: &str, words: &[&str]) -> Test {
    Test::new().table(table).args(words)
}

/// A table whose verb `a` runs one step under these keys, and whose target says whether it ran.
fn step(keys: &str) -> Test {
    let table = format!(
        "[variables.TYPED]\ntype = \"integer\"\n[variables.FLAG]\ntype = \"boolean\"\n[variables.TOKEN]\nsecret = true\n\
         [[setup]]\nname = \"s\"\nrun = [\"touch\", \"ran\"]\n{keys}\n\
         [verbs.a]\nexec = [\"sh\", \"-c\", \"test -e ran && echo ran || echo skipped\"]\n"
    );
    run(&table, &["--log", "quiet", "a"])
}

#[track_caller]
fn ran(keys: &str, variables: &[(&str, &str)]) {
    judged(keys, variables, "ran\n");
}

#[track_caller]
fn skipped(keys: &str, variables: &[(&str, &str)]) {
    judged(keys, variables, "skipped\n");
}

#[track_caller]
fn judged(keys: &str, variables: &[(&str, &str)], expected: &str) {
    let test = variables.iter().fold(step(keys), |test, (name, value)| test.env(name, value));
    test.file("there", "", 0o644)
        .directory("empty", 0o755)
        .file("full/file", "", 0o644)
        .link("dangling", "nothing")
        .link("link", "there")
        .stdout(expected)
        .run();
}

#[test]
fn a_name_alone_holds_for_values_that_are_neither_empty_nor_false() {
    for value in ["1", "true", "yes", "on", "x", " ", "00", "n"] {
        skipped("skip-if = \"X\"", &[("X", value)]);
        ran("skip-if = \"!X\"", &[("X", value)]);
        ran("only-if = \"X\"", &[("X", value)]);
    }
    for value in ["", "0", "false", "no", "off", "False", "NO"] {
        ran("skip-if = \"X\"", &[("X", value)]);
        skipped("only-if = \"X\"", &[("X", value)]);
        ran("only-if = \"!X\"", &[("X", value)]);
    }
    ran("skip-if = \"X\"", &[]);
    ran("skip-if = \"FLAG\"", &[("FLAG", "no")]);
    skipped("skip-if = \"FLAG\"", &[("FLAG", "yes")]);
}

#[test]
fn for_secrets_and_other_types_any_value_that_is_not_empty_holds() {
    skipped("skip-if = \"TYPED\"", &[("TYPED", "0")]);
    skipped("skip-if = \"TOKEN\"", &[("TOKEN", "off")]);
    ran("skip-if = \"TOKEN\"", &[("TOKEN", "")]);
    skipped("skip-if = \"X!=\"", &[("X", "false")]);
    ran("skip-if = \"X!=\"", &[("X", "")]);
}

#[test]
fn values_are_compared_and_an_unset_variable_is_empty() {
    ran("only-if = \"X=a b\"", &[("X", "a b")]);
    skipped("only-if = \"X=a\"", &[("X", "A")]);
    ran("only-if = \"X!=a\"", &[]);
    ran("only-if = \"X=\"", &[]);
    skipped("only-if = \"X=a=b\"", &[("X", "a")]);
    ran("only-if = \"X=${Y}\"", &[("X", "1"), ("Y", "1")]);
    step("only-if = \"X=${Y}\"")
        .status(65)
        .stderr("preverb: variable `Y` is not set: step `s` needs it\n")
        .run();
}

#[test]
fn all_conditions_of_only_if_must_hold_and_any_of_skip_if_skips() {
    ran("only-if = [\"X\", \"!Y\"]", &[("X", "1")]);
    skipped("only-if = [\"X\", \"Y\"]", &[("X", "1")]);
    skipped("skip-if = [\"X\", \"Y\"]", &[("Y", "1")]);
    ran("skip-if = [\"X\", \"Y\"]", &[]);
    skipped("only-if = \"X\"\nskip-if = \"Y\"", &[("X", "1"), ("Y", "1")]);
}

#[test]
fn if_exists_and_unless_exists_follow_links() {
    ran("if-exists = \"there\"", &[]);
    ran("if-exists = [\"there\", \"[DIR]/empty\", \"link\"]", &[]);
    skipped("if-exists = [\"there\", \"missing\"]", &[]);
    skipped("if-exists = \"dangling\"", &[]);
    skipped("unless-exists = \"there\"", &[]);
    skipped("unless-exists = [\"missing\", \"link\"]", &[]);
    ran("unless-exists = [\"missing\", \"dangling\"]", &[]);
    ran("if-exists = \"${P}\"", &[("P", "there")]);
    // A slash asks for something in the directory.
    ran("if-exists = \"empty\"", &[]);
    skipped("if-exists = \"empty/\"", &[]);
    ran("if-exists = \"full/\"", &[]);
    skipped("if-exists = \"there/\"", &[]);
    skipped("unless-exists = \"full/\"", &[]);
    ran("unless-exists = \"empty/\"", &[]);
}

#[test]
fn a_path_that_the_user_of_the_step_cannot_look_at_is_an_error() {
    for condition in ["if-exists", "unless-exists"] {
        let table = format!(
            "user = \"10001:10001\"\n[[setup]]\nname = \"s\"\nrun = [\"echo\", \"no\"]\n\
             {condition} = \"[DIR]/closed/x\"\n[verbs.a]\nexec = [\"true\"]\n"
        );
        Test::new()
            .needs_root()
            .table(table)
            .directory("closed", 0o700)
            .file("closed/x", "", 0o644)
            .under_shell("chmod 755 .; exec \"$@\"")
            .args(["a"])
            .status(71)
            .stderr("preverb: step `s` cannot look for `[DIR]/closed/x`: permission denied\n")
            .run();
    }
}

#[test]
fn relative_paths_start_at_the_working_directory_of_the_step() {
    let table = r#"
        [[setup]]
        hooks = "[DIR]/hooks"
        [[setup]]
        run = ["touch", "[DIR]/ran"]
        if-exists = "below"
        [verbs.a]
        exec = ["test", "-e", "[DIR]/ran"]
        workdir = "[DIR]/work"
    "#;
    run(table, &["--log", "quiet", "a"]).directory("hooks", 0o755).file("work/below", "", 0o644).run();
    run(table, &["--log", "quiet", "a"])
        .hook("1.sh", "cd ..\n")
        .file("work/below", "", 0o644)
        .status(1)
        .run();
}

#[test]
fn conditions_see_exports_of_hooks_and_files_of_steps() {
    let table = r#"
        [[setup]]
        hooks = "[DIR]/hooks"
        [[setup]]
        run = ["touch", "one"]
        only-if = "MODE=first"
        [[setup]]
        run = ["touch", "two"]
        if-exists = "one"
        [verbs.a]
        exec = ["ls"]
        workdir = "[DIR]/work"
    "#;
    run(table, &["--log", "quiet", "a"])
        .hook("1.sh", "export MODE=first\n")
        .directory("work", 0o755)
        .stdout("one\ntwo\n")
        .run();
}

#[test]
fn a_skipped_step_is_reported_only_if_the_caller_set_the_variable() {
    let table = |env: &str| {
        format!(
            "{env}[[setup]]\nname = \"s\"\nrun = [\"false\"]\nskip-if = \"X\"\n[verbs.a]\nexec = [\"true\"]\n"
        )
    };
    run(&table(""), &["a"])
        .env("X", "1")
        .stderr("preverb: step `s` is skipped: the variable `X` is set\n")
        .run();
    run(&table("[env]\nX = \"1\"\n"), &["a"]).run();
    let other = |key: &str| {
        format!("[[setup]]\nname = \"s\"\nrun = [\"false\"]\n{key}\n[verbs.a]\nexec = [\"true\"]\n")
    };
    run(&other("only-if = \"X\""), &["a"]).env("X", "").run();
    run(&other("unless-exists = \"/\""), &["a"]).run();
    run(&other("only-if = \"X=y\""), &["--log", "verbose", "a"])
        .env("X", "z")
        .stderr_contains("preverb: step `s` is skipped: its condition `X=y` does not hold\n")
        .run();
    run(&other("if-exists = \"/nowhere\""), &["--log", "verbose", "a"])
        .stderr_contains("preverb: step `s` is skipped: `/nowhere` does not exist\n")
        .run();
}

#[test]
fn malformed_conditions_are_errors_of_the_table() {
    for condition in ["", "!", "!X=1", "X Y", "=", "1X", "my-var"] {
        step(&format!("only-if = \"{condition}\"")).status(78).stderr_contains("only-if").run();
        step(&format!("skip-if = [\"A\", \"{condition}\"]")).status(78).stderr_contains("skip-if").run();
    }
    step("only-if = []").status(78).stderr_contains("empty").run();
    step("if-exists = 1").status(78).stderr_contains("if-exists").run();
    step("if-exists = \"\"").status(78).stderr_contains("if-exists").run();
    step("only-if = \"X=${\"").status(78).stderr_contains("only-if").run();
    step("onlyif = \"X\"").status(78).stderr_contains("only-if").run();
}

#[test]
fn skip_setup_follows_the_rules_of_conditions() {
    for (value, expected) in [
        ("1", "skipped\n"),
        ("true", "skipped\n"),
        ("0", "ran\n"),
        ("false", "ran\n"),
        ("Off", "ran\n"),
        ("", "ran\n"),
    ] {
        step("").env("PREVERB_SKIP_SETUP", value).stdout(expected).run();
    }
}

// Conditional arguments

/// Shows the arguments of the verb `a`, whose argv this is.
fn words(keys: &str, given: &[&str]) -> Test {
    let table = format!("[verbs.a]\nexec = [\"printf\", \"<%s>\", \"x\"]\n{keys}\n");
    run(&table, &[&["a"], given].concat())
}

#[test]
fn conditional_arguments_appear_only_if_their_conditions_hold() {
    let keys = r#"args = [{ words = ["--tls", "--cert=${CERT}"], only-if = "TLS" }, "y", { words = [], if-exists = "/" }]"#;
    words(keys, &[]).stdout("<x><y>").run();
    words(keys, &[]).env("TLS", "off").stdout("<x><y>").run();
    words(keys, &[]).env("TLS", "1").env("CERT", "a b").stdout("<x><--tls><--cert=a b><y>").run();
    words(keys, &[])
        .env("TLS", "1")
        .status(65)
        .stderr("preverb: variable `CERT` is not set: `args` needs it\n")
        .run();
    words(keys, &["z"]).env("TLS", "1").stdout("<x><z>").run();
    words("args = [{ words = [\"${O@words}\", \"w\"], unless-exists = \"/nowhere\" }]", &[])
        .env("O", "1 '2 3'")
        .stdout("<x><1><2 3><w>")
        .run();
}

#[test]
fn conditional_arguments_can_come_before_the_program() {
    let table =
        "[verbs.a]\nexec = [{ words = [\"printf\", \"<%s>\"], skip-if = \"RAW\" }, \"echo\", \"b\"]\n";
    run(table, &["a"]).stdout("<echo><b>").run();
    run(table, &["a"]).env("RAW", "1").stdout("b\n").run();
}

#[test]
fn args_after_follow_the_callers_and_the_default_arguments() {
    let keys = "args = [\"d\"]\nargs-after = [\"--last\", \"${X:-}\"]";
    words(keys, &[]).stdout("<x><d><--last><>").run();
    words(keys, &["c", "", "--"]).env("X", "1").stdout("<x><c><><--><--last><1>").run();
    words("args-after = [{ words = [\"w\"], only-if = \"X\" }]", &["c"]).stdout("<x><c>").run();
}

#[test]
fn a_step_can_use_the_targets_arguments() {
    let table = r#"
        [[setup]]
        run = ["sh", "-c", 'printf "<%s>" "$@" >args', "sh", "--check", { args = true }, "end"]
        [verbs.a]
        exec = ["cat", "args"]
        args = ["${D:-default one}"]
        args-after = ["last"]
    "#;
    // The caller's arguments stay as they are; what `cat` makes of them does not matter here.
    let shown = |words: &[&str]| run(table, words).stdout_contains("").status(1);
    let file = |expected: &'static str| {
        move |output: &crate::dsl::Output| {
            assert_eq!(output.file("args").unwrap(), expected.as_bytes());
        }
    };
    let quiet = |words: &[&str]| shown(&[&["--log", "quiet", "a"], words].concat()).any_stderr();
    quiet(&[]).check(file("<--check><default one><last><end>")).run();
    quiet(&["b", "", "${X} $(y)"]).check(file("<--check><b><><${X} $(y)><last><end>")).run();
}

#[test]
fn an_invalid_element_is_an_error_of_the_table() {
    for (element, part) in [
        ("{ only-if = \"X\" }", "needs `words`"),
        ("{ words = \"x\" }", "an array of strings"),
        ("{ words = [\"x\"], onlyif = \"X\" }", "only-if"),
        ("{ words = [\"x\"], only-if = \"X Y\" }", "not a condition"),
        ("{ args = true }", "`run`"),
        ("1", "string"),
    ] {
        words(&format!("args = [{element}]"), &[]).status(78).stderr_contains(part).run();
    }
    let step = "[[setup]]\nrun = [\"true\", { args = false }]\n[verbs.a]\nexec = [\"true\"]\n";
    run(step, &["a"]).status(78).stderr_contains("true").run();
}
