//! Chapter 4 of the specification: where the value of a declared variable comes from, and what it must be.

use crate::dsl::Test;

fn run(table: &str, words: &[&str]) -> Test {
    Test::new().table(table).args(words)
}

/// A table that declares `X` with these keys, and whose verb `a` shows it and the variables of its files and aliases.
fn declared(keys: &str) -> Test {
    let table = format!(
        "[variables.X]\n{keys}\n[verbs.a]\n\
         exec = [\"sh\", \"-c\", 'echo \"$${{X-unset}} $${{X_FILE-unset}} $${{OLD-unset}} $${{OLD_FILE-unset}}\"']\n"
    );
    run(&table, &["a"])
}

#[test]
fn a_value_can_come_from_a_file_without_being_a_secret() {
    declared("file = true")
        .file("x", "\u{feff}value\n\n", 0o644)
        .env("X_FILE", "[DIR]/x")
        .stdout("value unset unset unset\n")
        .run();
    declared("").env("X_FILE", "[DIR]/x").stdout("unset [DIR]/x unset unset\n").run();
    declared("file = true").env("X", "given").stdout("given unset unset unset\n").run();
    declared("file = true")
        .env("X", "given")
        .env("X_FILE", "[DIR]/x")
        .status(65)
        .stderr("preverb: variables `X` and `X_FILE` are both set: set only one\n")
        .run();
    declared("file = true")
        .env("X_FILE", "[DIR]/nowhere")
        .status(65)
        .stderr("preverb: cannot read the value of variable `X` from `[DIR]/nowhere`: it does not exist\n")
        .run();
}

#[test]
fn an_empty_file_is_reported_by_name() {
    declared("secret = true\nrequired = true\nabout = \"a token\"")
        .file("x", "\n", 0o600)
        .env("X_FILE", "[DIR]/x")
        .status(65)
        .stderr(
            "preverb: variable `X` is required, and the file `[DIR]/x` is empty: set `X` or `X_FILE`, or provide `/run/secrets/X`\nhint: a token\n",
        )
        .run();
    declared("file = true\ndefault = \"d\"")
        .file("x", "", 0o600)
        .env("X_FILE", "[DIR]/x")
        .stdout("d unset unset unset\n")
        .run();
}

#[test]
fn a_missing_secret_says_how_to_provide_it() {
    declared("secret = true\nrequired = true")
        .status(65)
        .stderr(
            "preverb: variable `X` is required, and is not set: set `X` or `X_FILE`, or provide `/run/secrets/X`\n",
        )
        .run();
    declared("file = true\nrequired = true")
        .env("X", "")
        .status(65)
        .stderr("preverb: variable `X` is required, and is empty: set `X` or `X_FILE`\n")
        .run();
}

#[test]
fn an_alias_supplies_the_value_with_one_warning_and_stays_set() {
    let warning = "preverb: warning: variable `OLD` is an old name of `X`, and its value is used\n";
    let aliases = "aliases = [\"OLDEST\", \"OLD\"]";
    declared(aliases).env("OLD", "old").stdout("old unset old unset\n").stderr(warning).run();
    declared(aliases).env("OLD", "old").env("X", "").stdout("old unset old unset\n").stderr(warning).run();
    declared(aliases).env("OLD", "old").env("X", "new").stdout("new unset old unset\n").run();
    declared(&format!("{aliases}\ndefault = \"d\"")).env("OLD", "").stdout("d unset  unset\n").run();
    declared(&format!("{aliases}\ntype = \"port\""))
        .env("OLD", "none")
        .status(65)
        .stderr_contains("preverb: variable `X` is `none`, and must be a port from 1 to 65535\n")
        .run();
    let first = declared("aliases = [\"OLD\", \"OLDEST\"]").env("OLD", "old").env("OLDEST", "oldest");
    first.stdout("old unset old unset\n").stderr(warning).run();
}

#[test]
fn an_alias_may_also_name_a_file() {
    let warning = "preverb: warning: variable `OLD_FILE` is an old name of `X_FILE`, and its value is used\n";
    declared("secret = true\naliases = [\"OLD\"]")
        .file("x", "value\n", 0o600)
        .env("OLD_FILE", "[DIR]/x")
        .stdout("value unset unset [DIR]/x\n")
        .stderr(warning)
        .run();
    declared("secret = true\naliases = [\"OLD\"]")
        .env("OLD", "o")
        .env("OLD_FILE", "[DIR]/x")
        .status(65)
        .stderr("preverb: variables `OLD` and `OLD_FILE` are both set: set only one\n")
        .run();
    // Not a secret, and no `file`: a variable like any other.
    declared("aliases = [\"OLD\"]").env("OLD_FILE", "[DIR]/x").stdout("unset unset unset [DIR]/x\n").run();
}

#[test]
fn the_value_of_a_secrets_alias_is_never_shown() {
    let table = "[variables.X]\nsecret = true\naliases = [\"OLD\"]\n[verbs.a]\nexec = [\"echo\", \"${X}\", \"${OLD}\"]\n";
    run(table, &["--explain", "a"])
        .env("OLD", "hunter2")
        .stdout_contains("echo *** ***")
        .stdout_lacks("hunter2")
        .run();
}

#[test]
fn a_variable_can_be_required_only_under_conditions() {
    let table = r#"
        [variables.PASSWORD]
        required = ["!PASSWORD_HASH", "!RANDOM_PASSWORD"]
        [variables.CERT]
        required = ["MODE=tls"]
        [verbs.a]
        exec = ["true"]
    "#;
    let because = "preverb: variable `PASSWORD` is required because of `!PASSWORD_HASH` and `!RANDOM_PASSWORD`, and is not set\n";
    run(table, &["a"]).status(65).stderr(because).run();
    run(table, &["a"]).env("RANDOM_PASSWORD", "no").status(65).stderr(because).run();
    run(table, &["a"]).env("RANDOM_PASSWORD", "yes").run();
    run(table, &["a"]).env("PASSWORD_HASH", "x").run();
    run(table, &["a"]).env("PASSWORD", "p").run();
    run(table, &["a"])
        .env("PASSWORD", "p")
        .env("MODE", "tls")
        .status(65)
        .stderr("preverb: variable `CERT` is required because of `MODE=tls`, and is not set\n")
        .run();
    for bad in ["\"yes\"", "[\"A B\"]", "[1]"] {
        let table = format!("[variables.X]\nrequired = {bad}\n[verbs.a]\nexec = [\"true\"]\n");
        run(&table, &["a"]).status(78).stderr_contains("required").run();
    }
}

#[test]
fn a_late_variable_is_checked_before_the_exec() {
    let table = r#"
        [variables.X]
        required = true
        late = true
        type = "port"
        [[setup]]
        hooks = "[DIR]/hooks"
        [verbs.a]
        exec = ["printenv", "X"]
    "#;
    let hook = |text: &str| run(table, &["--log", "quiet", "a"]).hook("1.sh", text);
    hook("export X=80\n").stdout("80\n").run();
    hook("").status(65).stderr("preverb: variable `X` is required, and is not set\n").run();
    hook("export X=none\n")
        .status(65)
        .stderr("preverb: variable `X` is `none`, and must be a port from 1 to 65535\n")
        .run();
    hook("export X=80\n").env("X", "none").stdout("80\n").run();
}

#[test]
fn variables_can_exclude_each_other() {
    let table = r#"
        [variables.A]
        conflicts = ["B", "C"]
        [variables.B]
        conflicts = ["A"]
        [environments.dev.env]
        C = "set"
        [verbs.a]
        exec = ["true"]
    "#;
    run(table, &["a"]).env("A", "1").env("B", "").run();
    run(table, &["a"]).env("B", "1").env("C", "1").run();
    run(table, &["a"])
        .env("A", "1")
        .env("B", "1")
        .status(65)
        .stderr("preverb: variables `A` and `B` are both set, but only one of them may be\n")
        .run();
    run(table, &["a"])
        .env("A", "1")
        .env("APP_ENV", "dev")
        .status(65)
        .stderr("preverb: variables `A` and `C` are both set, but only one of them may be\n")
        .run();
}

#[test]
fn all_invalid_variables_are_reported_together() {
    let table = r#"
        [variables.A]
        conflicts = ["B"]
        [variables.C]
        required = true
        [variables.D]
        secret = true
        [variables.E]
        type = "integer"
        [env]
        F = "${G}"
        H = "${C}"
        [[setup]]
        run = ["touch", "ran"]
        [verbs.a]
        exec = ["true"]
    "#;
    run(table, &["a"])
        .env("A", "1")
        .env("B", "1")
        .env("D_FILE", "[DIR]/nowhere")
        .env("E", "e")
        .status(65)
        .stderr(
            "preverb: cannot read the value of variable `D` from `[DIR]/nowhere`: it does not exist\n\
             preverb: variables `A` and `B` are both set, but only one of them may be\n\
             preverb: variable `C` is required, and is not set\n\
             preverb: variable `E` is `e`, and must be a whole number\n\
             preverb: variable `G` is not set: `F` needs it\n",
        )
        .check(|output| assert!(output.file("ran").is_none()))
        .run();
}

#[test]
fn with_skip_setup_on_no_variable_is_required() {
    let table = r#"
        [variables.PASSWORD]
        required = true
        [variables.PORT]
        type = "port"
        [env]
        URL = "postgres://app:${PASSWORD@url}@db"
        [verbs.a]
        exec = ["sh", "-c", 'echo "$${URL-unset} $1"', "sh"]
        skip-setup-on = ["--help"]
    "#;
    run(table, &["a", "--help"]).stdout("unset --help\n").run();
    run(table, &["a", "--help"]).env("PASSWORD", "p").stdout("postgres://app:p@db --help\n").run();
    run(table, &["a", "--other"]).status(65).stderr_contains("`PASSWORD` is required").run();
    run(table, &["a", "--help"]).env("PORT", "x").status(65).stderr_contains("`PORT` is `x`").run();
}

#[test]
fn list_shows_every_declared_property() {
    let table = r#"
        [variables.A]
        required = ["!B", "MODE=x"]
        aliases = ["OLD"]
        conflicts = ["C"]
        file = true
        default = "http://u:hunter2@h"
        [variables.B]
        late = true
        [verbs.a]
        exec = ["true"]
    "#;
    run(table, &["--list"])
        .stdout_contains("A  (string; default http://***@h; required if !B and MODE=x; or in the file of")
        .stdout_contains("formerly OLD; not with C)")
        .stdout_contains("B  (string; a step supplies it)")
        .run();
    run(table, &["--list", "--json"])
        .any_stdout()
        .check(|output| {
            let list = output.json();
            let a = &list["variables"][0];
            assert_eq!(a["required"], false);
            assert_eq!(a["required-if"], serde_json::json!(["!B", "MODE=x"]));
            assert_eq!((&a["file"], &a["late"]), (&true.into(), &false.into()));
            assert_eq!((&a["aliases"][0], &a["conflicts"][0]), (&"OLD".into(), &"C".into()));
            assert_eq!(a["default"], "http://***@h");
            assert_eq!(list["variables"][1]["late"], true);
        })
        .run();
}
