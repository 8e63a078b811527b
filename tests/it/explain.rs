//! `--explain`, from chapter 10 of the specification: it shows what a run would do, without doing it.

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
fn explain_shows_what_a_run_would_do() {
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
fn explain_without_arguments_shows_the_default_verb() {
    explain(&[]).stdout_contains("--workers").run();
}

#[test]
fn explain_shows_why_the_environment_was_chosen() {
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
fn explain_accepts_a_command() {
    explain(&["--", "printf", "x"]).stdout_contains("printf").stdout_contains("prepare").run();
}

#[test]
fn explain_passes_arguments_after_the_verb_to_it() {
    explain(&["server", "--list", "--json"]).stdout_contains("--list").run();
}

#[test]
fn explain_json_is_one_value() {
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
fn explain_is_deterministic() {
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
fn explain_exits_with_the_code_of_the_run() {
    explain(&["nothing"]).status(64).any_stdout().stderr_contains("`nothing`").run();
    Test::new()
        .table("[environments.dev.verbs.a]\nexec = [\"true\"]\n")
        .args(["--explain", "a"])
        .status(78)
        .stderr_contains("`dev`")
        .run();
}

#[test]
fn an_explanation_is_well_laid_out() {
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
declared
  PORT  = 8000  (default)
  TOKEN = ***  (inherited)
steps
  1. prepare: runs
     touch [DIR]/ran
  2. only for dev: skipped: it does not apply to environment `prod`
     touch [DIR]/ran
  3. to be skipped: skipped: the variable `SKIP_IT` is set
     skip-if SKIP_IT  (holds; open until hooks have run)
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
fn an_explanation_of_everything_in_json_matches_the_documentation() {
    whole(&["--explain", "--json"]).needs_root().stdout_golden("explain.json").run();
}

#[test]
fn a_list_of_everything_fits_in_eighty_columns() {
    whole(&["--list"]).stdout_golden("list.txt").run();
    whole(&["--list", "--json"]).stdout_golden("list.json").run();
}

#[test]
fn headings_are_bold_on_a_terminal_only() {
    let table = "[verbs.a]\nabout = \"Do\"\naliases = [\"b\"]\nexec = [\"true\"]\n[env]\nX = \"1\"\n";
    let list = || Test::new().table(table).args(["--list"]);
    let plain = "Verbs in environment prod:\n  a  Do (also b)\n";
    list().stdout(plain).run();
    list().terminal().stdout("\x1b[1mVerbs in environment prod:\x1b[22m\n  a  Do (also b)\n").run();
    list().terminal().env("NO_COLOR", "1").stdout(plain).run();
    list().terminal().env("NO_COLOR", "").stdout_contains("\x1b[1m").run();
    list().terminal().env("TERM", "dumb").stdout(plain).run();
    Test::new()
        .table(table)
        .args(["--explain", "a"])
        .terminal()
        .stdout_contains("\x1b[1mverb\x1b[22m         a\n")
        .stdout_contains("= 1  ([env])\n")
        .run();
    // JSON is for programs.
    Test::new().table(table).args(["--list", "--json"]).terminal().any_stdout().stdout_lacks("\x1b").run();
}

#[test]
fn bytes_that_would_confuse_a_terminal_are_escaped() {
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
fn a_variable_that_is_never_set_is_not_shown_as_removed() {
    let table = "[env]\nA = \"1\"\n[verbs.a]\nexec = [\"true\"]\nunset = [\"A\", \"B\"]\n";
    let test = |table: &str| Test::new().table(table).args(["--explain", "a"]);
    test(table).stdout_contains("  A[..]removed before the target").stdout_lacks("\n  B").run();
    // A hook may set it.
    test(&format!("{table}[[setup]]\nhooks = \"[DIR]/hooks\"\n"))
        .stdout_contains("  B[..]removed before the target")
        .run();
}

#[test]
fn an_environment_named_only_in_a_filter_counts_as_mentioned() {
    let table = "[verbs.a]\nexec = [\"true\"]\n[verbs.b]\nexec = [\"true\"]\n[[verbs.b.setup]]\nrun = [\"true\"]\nenvironments = [\"stage\"]\n";
    let test =
        |environment: &str| Test::new().table(table).args(["--environment", environment, "--explain", "a"]);
    test("stage").stdout_lacks("does not mention").run();
    test("moon").stdout_contains("does not mention").run();
    Test::new().table(table).args(["--environment", "stage", "--check"]).run();
}

#[test]
fn strings_of_explain_json_are_exact_for_any_bytes() {
    let word = "tab\t newline\n escape\x1b backslash-t\\t quote\" \u{202e}é";
    let table = "[env]\nX = \"${Y}\"\n[[setup]]\nrun = [\"printf\", \"${Y}\"]\n[verbs.a]\nexec = [\"printf\", \"${Y}\"]\n";
    let test = Test::new().table(table).args(["--explain", "--json", "a", word]).env("Y", word);
    test.any_stdout()
        .check(move |output| {
            let json = output.json();
            assert_eq!(json["argv"], serde_json::json!(["printf", word, word]));
            assert_eq!(json["steps"][0]["does"], serde_json::json!(["printf", word]));
            let x = json["variables"].as_array().unwrap().iter().find(|each| each["name"] == "X").unwrap();
            assert_eq!(x["value"], word);
        })
        .run();
    let odd = crate::dsl::bytes(b"\xff\xfe");
    let test = Test::new().table(table).args(["--explain", "--json", "a"]).args([&odd]).env("Y", &odd);
    test.any_stdout()
        .check(|output| {
            let base64 = serde_json::json!({ "base64": "//4=" });
            assert_eq!(output.json()["argv"], serde_json::json!(["printf", base64, base64]));
        })
        .run();
}

#[test]
fn arguments_are_quoted_for_a_shell_and_files_show_their_max_age() {
    Test::new()
        .table(
            r#"[[setup]]
wait = ["file:///beat?max-age=3s", "http://h/?token=t0k3n"]
[verbs.a]
exec = ["echo", "a b", "it's", "$HOME", 'a"b', 'a\b', "`id`", ""]
health = "file:///beat?max-age=30s"
"#,
        )
        .args(["--explain", "a"])
        .stdout_contains("     file:///beat?max-age=3s\n     http://h/\n")
        .stdout_contains("health       file:///beat?max-age=30s\n")
        .stdout_contains("target       echo \"a b\" \"it's\" '$HOME' 'a\"b' 'a\\b' '`id`' \"\"\n")
        .run();
}

#[test]
fn problems_that_would_end_the_run_come_last_with_their_exit_codes() {
    let unset = "[verbs.a]\nexec = [\"echo\", \"${NOPE}\"]\n";
    Test::new()
        .table(unset)
        .args(["--explain", "a"])
        .status(65)
        .stdout_contains("target       echo '${NOPE}'\n")
        .stdout_contains("`${NOPE}` cannot be expanded yet: variable `NOPE` is not set\n")
        .stdout_contains("ends         with exit code 65: variable `NOPE` is not set: the target needs it\n")
        .stderr("preverb: variable `NOPE` is not set: the target needs it\n")
        .run();
    // A hook may set it.
    Test::new()
        .table(format!("[[setup]]\nrun = [\"true\"]\n{unset}"))
        .args(["--explain", "a"])
        .stdout_contains("`${NOPE}` cannot be expanded yet: variable `NOPE` is not set\n")
        .stdout_lacks("exit code")
        .run();
    Test::new()
        .table("[variables.X]\nrequired = true\n[verbs.a]\nexec = [\"true\"]\nuser = \"no-such-user\"\n")
        .args(["--explain", "--json", "a"])
        .status(65)
        .any_stderr()
        .any_stdout()
        .check(|output| {
            let problems = output.json()["problems"].clone();
            assert_eq!(problems[0]["exit-code"], 65, "{problems}");
            assert_eq!(problems[1]["exit-code"], 77, "{problems}");
        })
        .run();
}

#[test]
fn every_declared_variable_shows_the_source_of_its_value() {
    let table = r#"
        [variables]
        GIVEN = {}
        FILED = { file = true }
        SECRET = { secret = true }
        RENAMED = { aliases = ["OLD"] }
        DEFAULTED = { default = "d" }
        SET = {}
        MISSING = {}
        LATE = { late = true }
        [env]
        SET = "s"
        [[setup]]
        run = ["true"]
        [verbs.a]
        exec = ["true"]
    "#;
    Test::new()
        .table(table)
        .file("file", "f\n", 0o644)
        .env("GIVEN", "g")
        .env("FILED_FILE", "[DIR]/file")
        .env("SECRET", "hunter2")
        .env("OLD", "o")
        .env("SET", "inherited")
        .args(["--explain", "a"])
        .stdout_contains("\n  GIVEN     = g  (inherited)\n")
        .stdout_contains("\n  FILED     = f  (file [DIR]/file, named by FILED_FILE)\n")
        .stdout_contains("\n  SECRET    = ***  (inherited)\n")
        .stdout_contains("\n  RENAMED   = o  (alias OLD)\n")
        .stdout_contains("\n  DEFAULTED = d  (default)\n")
        .stdout_contains("\n  SET       = s  ([env])\n")
        .stdout_contains("\n  MISSING  (nowhere)\n")
        .stdout_contains("\n  LATE  (a step supplies it)\n")
        .stdout_contains("([env]; replaces the inherited value)")
        .stdout_lacks("hunter2")
        .run();
}

#[test]
fn an_explanation_shows_which_conditions_hold_and_which_are_undecided() {
    let table = r#"
        [[setup]]
        name = "first"
        run = ["true"]
        only-if = ["A", "B=1"]
        [[setup]]
        name = "second"
        run = ["true"]
        skip-if = "A"
        unless-exists = "/nowhere"
        [[setup]]
        name = "group"
        only-if = "!A"
        setup = [{ name = "inner", env = { X = "1" } }]
        [verbs.a]
        exec = ["true"]
    "#;
    Test::new()
        .table(table)
        .env("A", "1")
        .args(["--explain", "a"])
        .stdout_contains(
            "  1. first: skipped: its condition `B=1` does not hold\n     only-if A  (holds)\n     only-if B=1  (does not hold)\n     true\n",
        )
        .stdout_contains("  2. second: skipped: the variable `A` is set\n     skip-if A  (holds)\n")
        .stdout_contains("     unless-exists /nowhere  (does not hold)\n")
        .stdout_contains("  3. group: skipped: its condition `!A` does not hold\n")
        .stdout_contains("     1. inner: runs\n        X=1\n")
        .run();
    Test::new()
        .table(table)
        .env("A", "0")
        .env("B", "1")
        .args(["--explain", "a"])
        .stdout_contains("  2. second: runs\n     skip-if A  (does not hold)\n")
        .run();
    Test::new()
        .table(table)
        .env("A", "yes")
        .env("B", "1")
        .args(["--explain", "a"])
        .stdout_contains("skip-if A  (holds; open until hooks have run)\n")
        .stdout_contains("unless-exists /nowhere  (does not hold; open until hooks have run)\n")
        .run();
}

#[test]
fn a_user_that_does_not_exist_gives_the_exit_code_of_the_run() {
    let test = |words: &[&str]| {
        Test::new().table("[verbs.a]\nexec = [\"true\"]\nuser = \"no-such-user\"\n").args(words).status(77)
    };
    let ends = "exit code 77";
    test(&["--explain", "a"]).stdout_contains(ends).any_stderr().run();
    test(&["--explain", "--json", "a"]).stdout_contains("\"exit-code\": 77").any_stderr().run();
    test(&["a"]).any_stderr().run();
}

#[test]
fn errors_that_follow_from_a_missing_variable_are_not_reported() {
    let table = "[variables.TOKEN]\nrequired = true\n[env]\nURL = \"x${TOKEN}\"\n[verbs.a]\nexec = [\"echo\", \"${URL}\"]\n";
    let test = Test::new().table(table).args(["--explain", "a"]).status(65).any_stdout();
    test.stdout_lacks("exit code 65: variable `URL`")
        .stderr("preverb: variable `TOKEN` is required, and is not set\n")
        .run();
}

#[test]
fn a_late_variable_that_no_step_can_set_is_an_error() {
    let table = |steps: &str| {
        format!("[variables.LATE]\nrequired = true\nlate = true\n{steps}\n[verbs.a]\nexec = [\"true\"]\n")
    };
    let test = |steps: &str| Test::new().table(table(steps)).args(["--explain", "a"]).any_stdout();
    test("").status(65).stderr("preverb: variable `LATE` is required, and is not set\n").run();
    test("[[setup]]\nhooks = \"[DIR]/hooks\"").hook("1.sh", "export LATE=1\n").run();
}
