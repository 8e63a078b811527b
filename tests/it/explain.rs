//! `--explain`, from chapter 10 of the specification: what a run would do, and nothing of it done.

use crate::dsl::Test;

const TABLE: &str = r#"
    default = "server"
    [env]
    COLOUR = "blue"
    [variables.PORT]
    default = "8000"
    [variables.TOKEN]
    secret = true
    [[setup]]
    name = "prepare"
    run = ["touch", "[DIR]/ran"]
    [[setup]]
    name = "only for dev"
    run = ["touch", "[DIR]/ran"]
    environments = ["dev"]
    [[setup]]
    name = "to be skipped"
    run = ["touch", "[DIR]/ran"]
    skip-if = "SKIP_IT"
    [[setup]]
    hooks = "[DIR]/hooks"
    [verbs.server]
    exec = ["serve", "--port", "${PORT}", "${TOKEN}"]
    args = ["--workers", "2"]
    workdir = "[DIR]"
    [verbs.other]
    exec = ["true"]
    env = { COLOUR = "green" }
    [environments.dev.env]
    COLOUR = "red"
"#;

fn explain(words: &[&str]) -> Test {
    Test::new()
        .table(TABLE)
        .args(["--explain"])
        .args(words)
        .env("TOKEN", "swordfish")
        .env("SKIP_IT", "1")
        .hook("10-first.sh", "touch ran\n")
        .hook("20-second.py", "open('ran', 'w')\n")
        .file("hooks/readme.txt", "", 0o644)
        .file("hooks/.hidden.sh", "", 0o644)
        .check(|output| assert!(output.file("ran").is_none()))
        .stdout_lacks("swordfish")
}

#[test]
fn explain_tells_what_a_run_would_do() {
    explain(&["server", "--now", "a b"])
        .stdout_contains("server")
        .stdout_contains("prod")
        .stdout_contains("COLOUR")
        .stdout_contains("blue")
        .stdout_contains("PORT")
        .stdout_contains("8000")
        .stdout_contains("prepare")
        .stdout_contains("only for dev")
        .stdout_contains("to be skipped")
        .stdout_contains("SKIP_IT")
        .stdout_contains("10-first.sh")
        .stdout_contains("20-second.py")
        .stdout_contains("readme.txt")
        .stdout_contains("[DIR]")
        .stdout_contains("serve")
        .stdout_contains("--now")
        .stdout_contains("a b")
        .stdout_contains("***")
        .stdout_lacks("--workers")
        .stdout_lacks(".hidden.sh")
        .check(|output| {
            let text = output.text();
            let at = |part: &str| text.find(part).unwrap();
            assert!(at("prepare") < at("only for dev"));
            assert!(at("only for dev") < at("to be skipped"));
            assert!(at("to be skipped") < at("10-first.sh"));
            assert!(at("10-first.sh") < at("20-second.py"));
        })
        .pid1()
        .run();
}

#[test]
fn explain_takes_the_default_verb_with_its_arguments() {
    explain(&[]).stdout_contains("--workers").run();
}

#[test]
fn explain_tells_why_the_environment_was_chosen() {
    explain(&["server"]).stdout_contains("prod").stdout_contains("APP_ENV").run();
    explain(&["server"])
        .env("APP_ENV", "dev")
        .stdout_contains("dev")
        .stdout_contains("APP_ENV")
        .stdout_contains("red")
        .run();
    Test::new()
        .table(TABLE)
        .env("TOKEN", "swordfish")
        .args(["--environment", "dev", "--explain", "other"])
        .stdout_contains("dev")
        .stdout_contains("--environment")
        .stdout_contains("green")
        .run();
}

#[test]
fn explain_takes_a_command_too() {
    explain(&["--", "printf", "x"]).stdout_contains("printf").stdout_contains("prepare").run();
}

#[test]
fn the_words_after_the_verb_are_its_own_there_too() {
    explain(&["server", "--list", "--json"]).stdout_contains("--list").run();
}

#[test]
fn explain_is_one_json_value_if_asked() {
    Test::new()
        .table(TABLE)
        .env("TOKEN", "swordfish")
        .env("SKIP_IT", "1")
        .hook("10-first.sh", "touch ran\n")
        .args(["--explain", "--json", "server", "--now"])
        .any_stdout()
        .check(|output| {
            let all = output.json().to_string();
            for part in [
                "server",
                "prod",
                "COLOUR",
                "blue",
                "8000",
                "prepare",
                "only for dev",
                "SKIP_IT",
                "10-first.sh",
                "--now",
                "***",
            ] {
                assert!(all.contains(part), "{part} in {all}");
            }
            assert!(!all.contains("swordfish"), "{all}");
            assert!(output.file("ran").is_none());
        })
        .run();
}

#[test]
fn explain_is_the_same_every_time() {
    let once = || {
        let seen = std::rc::Rc::new(std::cell::RefCell::new(String::new()));
        let sink = std::rc::Rc::clone(&seen);
        explain(&["server"])
            .any_stdout()
            .check(move |output| {
                let dir = output.dir.path().to_str().unwrap();
                *sink.borrow_mut() = output.text().replace(dir, "[DIR]");
            })
            .run();
        seen.take()
    };
    let first = once();
    assert!(!first.is_empty());
    assert_eq!(first, once());
}

#[test]
fn what_stops_a_run_stops_its_explanation_with_the_same_code() {
    explain(&["nothing"]).status(64).any_stdout().stderr_contains("`nothing`").run();
    Test::new()
        .table("[environments.dev.verbs.a]\nexec = [\"true\"]\n")
        .args(["--explain", "a"])
        .status(78)
        .stderr_contains("`dev`")
        .run();
}

#[test]
fn an_explanation_reads_well() {
    explain(&["server", "--now", "a b"])
        .stdout(
            r#"verb         server
environment  prod, the default; the variable `APP_ENV` is unset or empty
             the table does not mention it
variables
  COLOUR              = blue  ([env])
  PORT                = 8000  (default)
  PREVERB_ENVIRONMENT = prod  (preverb)
  PREVERB_VERB        = server  (preverb)
steps
  1. prepare: runs
     touch [DIR]/ran
  2. only for dev: skipped: it is not for environment `prod`
     touch [DIR]/ran
  3. to be skipped: skipped: the variable `SKIP_IT` is set
     touch [DIR]/ran
  4. hooks [DIR]/hooks: runs
     [DIR]/hooks/10-first.sh: sourced by sh
     [DIR]/hooks/20-second.py: run
     [DIR]/hooks/readme.txt[..]
[...]
workdir      [DIR]
target       serve --port 8000 *** --now "a b"
"#,
        )
        .run();
}

/// One table with everything that an explanation and a list can have, and long texts. Paths are relative, so that
/// lines break at the same places wherever the test runs.
fn whole(words: &[&str]) -> Test {
    Test::new()
        .table(include_str!("../golden/explain.toml"))
        .hook("10-first.sh", ":\n")
        .hook("20-second.py", "")
        .file("hooks/30-readme.txt", "", 0o644)
        .directory("hooks/40-mount.sh", 0o755)
        .directory("hooks/50-directory-of-a-name-that-is-long", 0o755)
        .env("A_VERY_LONG_VARIABLE_NAME_INDEED", "swordfish")
        .env("HOME", "/root")
        .args(words)
}

#[test]
fn an_explanation_of_everything_fits_in_eighty_columns() {
    whole(&["--explain"]).needs_root().stdout_golden("explain.txt").run();
}

#[test]
fn an_explanation_of_everything_in_json_is_what_is_documented() {
    whole(&["--explain", "--json"]).needs_root().stdout_golden("explain.json").run();
}

#[test]
fn a_list_of_everything_fits_in_eighty_columns() {
    whole(&["--list"]).stdout_golden("list.txt").run();
    whole(&["--list", "--json"]).stdout_golden("list.json").run();
}

#[test]
fn headings_and_asides_are_set_off_on_a_terminal_alone() {
    let table = "[verbs.a]\nabout = \"Do\"\naliases = [\"b\"]\nexec = [\"true\"]\n[env]\nX = \"1\"\n";
    let list = || Test::new().table(table).args(["--list"]);
    let plain = "Verbs in environment prod:\n  a  Do (also b)\n";
    list().stdout(plain).run();
    list()
        .terminal()
        .stdout("\x1b[1mVerbs in environment prod:\x1b[22m\n  a  Do \x1b[2m(also b)\x1b[22m\n")
        .run();
    list().terminal().env("NO_COLOR", "1").stdout(plain).run();
    list().terminal().env("NO_COLOR", "").stdout_contains("\x1b[1m").run();
    list().terminal().env("TERM", "dumb").stdout(plain).run();
    Test::new()
        .table(table)
        .args(["--explain", "a"])
        .terminal()
        .stdout_contains("\x1b[1mverb\x1b[22m         a\n")
        .stdout_contains("= 1  \x1b[2m([env])\x1b[22m\n")
        .run();
    // JSON is for programs.
    Test::new().table(table).args(["--list", "--json"]).terminal().any_stdout().stdout_lacks("\x1b").run();
}

#[test]
fn what_would_confuse_a_terminal_is_escaped() {
    let table = r#"
        [interpreters]
        zz = ["a\u001b[31m\u0085\u202e"]
        [[setup]]
        hooks = "[DIR]/hooks"
        [verbs.a]
        exec = ["true"]
        unset = ["A\u001b[31mB\nC"]
    "#;
    Test::new()
        .table(table)
        .file("hooks/10.zz", "", 0o644)
        .args(["--explain", "a"])
        .stdout_contains("A\\x1b[31mB\\nC")
        .stdout_lacks("\u{1b}")
        .stdout_lacks("\u{85}")
        .stdout_lacks("\u{202e}")
        .run();
}

#[test]
fn what_is_never_set_is_not_told_to_be_removed() {
    let table = "[env]\nA = \"1\"\n[verbs.a]\nexec = [\"true\"]\nunset = [\"A\", \"B\"]\n";
    let test = |table: &str| Test::new().table(table).args(["--explain", "a"]);
    test(table).stdout_contains("  A[..]removed before the target").stdout_lacks("\n  B").run();
    // A hook may set it.
    test(&format!("{table}[[setup]]\nhooks = \"[DIR]/hooks\"\n"))
        .stdout_contains("  B[..]removed before the target")
        .run();
}

#[test]
fn an_environment_that_only_a_filter_of_any_verb_names_is_mentioned() {
    let table = "[verbs.a]\nexec = [\"true\"]\n[verbs.b]\nexec = [\"true\"]\n[[verbs.b.setup]]\nrun = [\"true\"]\nenvironments = [\"stage\"]\n";
    let test =
        |environment: &str| Test::new().table(table).args(["--environment", environment, "--explain", "a"]);
    test("stage").stdout_lacks("does not mention").run();
    test("moon").stdout_contains("does not mention").run();
    Test::new().table(table).args(["--environment", "stage", "--check"]).run();
}
