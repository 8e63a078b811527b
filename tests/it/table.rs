//! Chapter 3 of the specification: the verb table, its drop-ins, and their errors.

use crate::dsl::{Test, bytes};

fn run(table: &str, words: &[&str]) -> Test {
    Test::new().table(table).args(words)
}

/// A table with an error that stops a run: the place, the line itself, and other parts of the message.
fn wrong(table: &str, place: &str, line: &str, says: &[&str]) {
    wrong_for(&["a"], table, place, line, says);
}

fn wrong_for(words: &[&str], table: &str, place: &str, line: &str, says: &[&str]) {
    let mut test = run(table, words)
        .status(78)
        .stderr_contains("preverb: ")
        .stderr_contains(format!("[DIR]/preverb.toml:{place}"))
        .stderr_contains(line);
    for part in says {
        test = test.stderr_contains(part);
    }
    test.run();
    // `--check` also finds an error that stops a run.
    run(table, &["--check"])
        .status(78)
        .any_stderr()
        .stderr_contains(format!("[DIR]/preverb.toml:{place}"))
        .run();
}

// Syntax

#[test]
fn an_error_of_syntax_has_file_line_column_and_the_line() {
    wrong("[verbs.a]\nexec = [\"true\"\nabout = \"x\"\n", "3:", "about = \"x\"", &[]);
    wrong("default = a\n", "1:", "default = a", &[]);
    wrong("[verbs.a\n", "1:", "[verbs.a", &[]);
    wrong("[verbs.a]\nexec = [\"true\"]\n= 3\n", "3:1", "= 3", &[]);
    wrong("[verbs.a]\nexec = [\"unfinished\n", "2:", "exec = [\"unfinished", &[]);
}

#[test]
fn a_key_given_twice_is_an_error() {
    wrong("[verbs.a]\nexec = [\"true\"]\nexec = [\"false\"]\n", "3:1", "exec = [\"false\"]", &["`exec`"]);
    wrong("[verbs.a]\nexec = [\"true\"]\n[verbs.a]\n", "3:", "[verbs.a]", &[]);
    wrong("[verbs]\na.exec = [\"true\"]\n[verbs.a]\n", "3:", "[verbs.a]", &[]);
    wrong(
        "default = \"a\"\n\"default\" = \"a\"\n[verbs.a]\nexec = [\"true\"]\n",
        "2:1",
        "\"default\" = \"a\"",
        &["`default`"],
    );
}

#[test]
fn a_key_given_twice_is_an_error_in_every_verb() {
    let exec = "[verbs.a]\nexec = [\"true\"]\n";
    let in_b = |rest: &str| format!("{exec}[verbs.b]\nexec = [\"true\"]\n{rest}");
    wrong(
        &in_b("exec = [\"false\"]\n"),
        "5:1",
        "exec = [\"false\"]",
        &["`exec` is defined twice, first in line 4"],
    );
    wrong(&in_b("[verbs.b.env]\n[verbs.b.env]\n"), "6:10", "[verbs.b.env]", &["`env`"]);
    wrong(&in_b("env = { X = \"1\", X = \"2\" }\n"), "5:18", "env = {", &["`X`"]);
    // The same names in other verbs, steps and tables are not duplicates.
    let same = "[verbs.b.env]\nexec = \"1\"\n[[verbs.b.setup]]\nrun = [\"true\"]\n[[verbs.b.setup]]\nrun = [\"true\"]\n";
    run(&in_b(same), &["a"]).run();
}

// Keys

#[test]
fn an_unknown_key_of_the_table_gets_a_suggestion() {
    wrong(
        "defualt = \"a\"\n[verbs.a]\nexec = [\"true\"]\n",
        "1:1",
        "defualt = \"a\"",
        &["`defualt`", "`default`"],
    );
    wrong(
        "[verbs.a]\nexec = [\"true\"]\n[verb.b]\nexec = [\"true\"]\n",
        "3:2",
        "[verb.b]",
        &["`verb`", "`verbs`"],
    );
    wrong("[[step]]\nrun = [\"true\"]\n[verbs.a]\nexec = [\"true\"]\n", "1:3", "[[step]]", &["`step`"]);
    wrong(
        "leading_dash = \"error\"\n[verbs.a]\nexec = [\"true\"]\n",
        "1:1",
        "leading_dash",
        &["`leading-dash`"],
    );
}

#[test]
fn an_unknown_key_of_a_verb_gets_a_suggestion() {
    wrong("[verbs.a]\nexec = [\"true\"]\nabuot = \"x\"\n", "3:1", "abuot = \"x\"", &["`abuot`", "`about`"]);
    wrong(
        "[verbs.a]\nexec = [\"true\"]\nno_new_privileges = true\n",
        "3:1",
        "no_new_privileges",
        &["`no-new-privileges`"],
    );
    wrong(
        "[verbs.a]\nexec = [\"true\"]\ncommand = [\"true\"]\n",
        "3:1",
        "command = [\"true\"]",
        &["`command`"],
    );
    wrong("verbs.a = { exec = [\"true\"], arg = [\"x\"] }\n", "1:30", "arg = [\"x\"]", &["`arg`", "`args`"]);
}

#[test]
fn an_unknown_key_anywhere_else_gets_a_suggestion() {
    wrong(
        "[environment]\nvariabel = \"X\"\n[verbs.a]\nexec = [\"true\"]\n",
        "2:1",
        "variabel",
        &["`variable`"],
    );
    wrong(
        "[variables.X]\nrequire = true\n[verbs.a]\nexec = [\"true\"]\n",
        "2:1",
        "require = true",
        &["`required`"],
    );
    wrong(
        "[[setup]]\nrun = [\"true\"]\ntimout = \"5s\"\n[verbs.a]\nexec = [\"true\"]\n",
        "3:1",
        "timout",
        &["`timeout`"],
    );
    wrong(
        "[verbs.a]\nexec = [\"true\"]\n[[verbs.a.setup]]\nhook = \"x\"\n",
        "4:1",
        "hook = \"x\"",
        &["`hooks`"],
    );
    wrong("[verbs.a]\nexec = [\"true\"]\nlimits = { nofiles = 3 }\n", "3:12", "nofiles", &["`nofile`"]);
    wrong("[verbs.a]\nexec = [\"true\"]\n[environments.prod]\nenvs = {}\n", "4:1", "envs", &["`env`"]);
    wrong(
        "[verbs.a]\nexec = [\"true\"]\n[environments.prod.verbs.a]\nexce = [\"true\"]\n",
        "4:1",
        "exce",
        &["`exec`"],
    );
    wrong("[shim]\nimages = \"x\"\n[verbs.a]\nexec = [\"true\"]\n", "2:1", "images", &["`image`"]);
}

#[test]
fn keys_of_the_table_are_not_valid_in_an_environment() {
    wrong(
        "[verbs.a]\nexec = [\"true\"]\n[environments.prod]\ndefault = \"a\"\n",
        "4:1",
        "default = \"a\"",
        &["`default`"],
    );
}

// Types

#[test]
fn a_wrong_type_is_reported_with_the_key_and_the_expected_type() {
    wrong("default = 3\n", "1:11", "default = 3", &["`default`", "string"]);
    wrong("verbs = 3\n", "1:9", "verbs = 3", &["`verbs`", "table"]);
    wrong("[verbs]\na = 3\n", "2:5", "a = 3", &["table"]);
    wrong("[verbs.a]\nexec = 3\n", "2:8", "exec = 3", &["`exec`", "array"]);
    wrong("[verbs.a]\nexec = [\"true\", 3]\n", "2:17", "exec = [\"true\", 3]", &["`exec`", "string"]);
    wrong("[verbs.a]\nexec = [\"true\"]\nargs = \"x\"\n", "3:8", "args = \"x\"", &["`args`", "array"]);
    wrong(
        "[verbs.a]\nexec = [\"true\"]\naliases = \"x\"\n",
        "3:11",
        "aliases = \"x\"",
        &["`aliases`", "array"],
    );
    wrong(
        "[verbs.a]\nexec = [\"true\"]\nhidden = \"yes\"\n",
        "3:10",
        "hidden = \"yes\"",
        &["`hidden`", "`true` or `false`"],
    );
    wrong("[verbs.a]\nexec = [\"true\"]\nenv = \"x\"\n", "3:7", "env = \"x\"", &["`env`", "table"]);
    wrong(
        "setup = { run = [\"true\"] }\n[verbs.a]\nexec = [\"true\"]\n",
        "1:9",
        "setup = {",
        &["`setup`", "array"],
    );
    wrong(
        "[[setup]]\nrun = \"true\"\n[verbs.a]\nexec = [\"true\"]\n",
        "2:7",
        "run = \"true\"",
        &["`run`", "array"],
    );
    wrong("[[verbs.a]]\nexec = [\"true\"]\n", "1:", "[[verbs.a]]", &["table"]);
    wrong(
        "[verbs.a]\nexec = [\"true\"]\nlimits = { nofile = \"many\" }\n",
        "3:21",
        "\"many\"",
        &["`nofile`"],
    );
    wrong(
        "[variables.X]\nrequired = \"yes\"\n[verbs.a]\nexec = [\"true\"]\n",
        "2:12",
        "required = \"yes\"",
        &["`required`", "`true` or `false`"],
    );
}

#[test]
fn values_of_env_must_be_strings() {
    wrong(
        "[env]\nPORT = 8000\n[verbs.a]\nexec = [\"true\"]\n",
        "2:8",
        "PORT = 8000",
        &["`PORT`", "string", "quotes"],
    );
    wrong(
        "[env]\nDEBUG = true\n[verbs.a]\nexec = [\"true\"]\n",
        "2:9",
        "DEBUG = true",
        &["`DEBUG`", "string", "quotes"],
    );
}

#[test]
fn the_error_for_a_string_exec_shows_the_array() {
    wrong(
        "[verbs.a]\nexec = \"gunicorn app:app --reload\"\n",
        "2:8",
        "exec = \"gunicorn app:app --reload\"",
        &["`exec`", "[\"gunicorn\", \"app:app\", \"--reload\"]"],
    );
}

#[test]
fn a_verb_needs_an_exec_that_is_not_empty() {
    wrong("[verbs.a]\nabout = \"x\"\n", "1:", "[verbs.a]", &["`a`", "`exec`"]);
    wrong("[verbs.a]\nexec = []\n", "2:", "exec = []", &["`exec`"]);
    wrong("[verbs.a]\n", "1:", "[verbs.a]", &["`a`", "`exec`"]);
}

#[test]
fn a_mistyped_keyword_gets_a_suggestion() {
    wrong(
        "unknown = \"exce\"\n[verbs.a]\nexec = [\"true\"]\n",
        "1:11",
        "unknown = \"exce\"",
        &["`exce`", "`exec`"],
    );
    wrong(
        "leading-dash = \"defualt\"\n[verbs.a]\nexec = [\"true\"]\n",
        "1:16",
        "leading-dash",
        &["`default`"],
    );
    wrong("log = \"silent\"\n[verbs.a]\nexec = [\"true\"]\n", "1:7", "log = \"silent\"", &["quiet"]);
    wrong(
        "[variables.X]\ntype = \"int\"\n[verbs.a]\nexec = [\"true\"]\n",
        "2:8",
        "type = \"int\"",
        &["`integer`"],
    );
}

#[test]
fn values_with_a_format_are_checked() {
    wrong("[verbs.a]\nexec = [\"true\"]\numask = \"0999\"\n", "3:9", "umask = \"0999\"", &["`umask`"]);
    wrong("[verbs.a]\nexec = [\"true\"]\numask = \"01777\"\n", "3:9", "umask", &["`umask`"]);
    let top = |key: &str| format!("{key}\n[verbs.a]\nexec = [\"true\"]\n");
    wrong(&top("user = \"a:b:c\""), "1:8", "user = \"a:b:c\"", &["`user` is `a:b:c`"]);
    wrong(&top("workdir = \"\""), "1:11", "workdir = \"\"", &["`workdir` is an empty path"]);
    wrong("[verbs.a]\nexec = [\"true\"]\numask = 27\n", "3:9", "umask = 27", &["`umask`", "string"]);
    wrong(
        "[[setup]]\nrun = [\"true\"]\ntimeout = \"5\"\n[verbs.a]\nexec = [\"true\"]\n",
        "3:11",
        "timeout = \"5\"",
        &["`timeout`"],
    );
    wrong(
        "[[setup]]\nrun = [\"true\"]\ntimeout = \"-5s\"\n[verbs.a]\nexec = [\"true\"]\n",
        "3:11",
        "timeout",
        &["`timeout`"],
    );
    wrong(
        "[[setup]]\nrun = [\"true\"]\ntimeout = 5\n[verbs.a]\nexec = [\"true\"]\n",
        "3:11",
        "timeout = 5",
        &["`timeout`"],
    );
    wrong("[verbs.a]\nexec = [\"true\"]\nunset = [\"A=B\"]\n", "3:", "unset = [\"A=B\"]", &["A=B"]);
    wrong("[env]\n\"A=B\" = \"x\"\n[verbs.a]\nexec = [\"true\"]\n", "2:1", "\"A=B\" = \"x\"", &["A=B"]);
    wrong("[env]\n\"\" = \"x\"\n[verbs.a]\nexec = [\"true\"]\n", "2:1", "\"\" = \"x\"", &[]);
    wrong(
        "[variables.\"A-B\"]\nabout = \"x\"\n[verbs.a]\nexec = [\"true\"]\n",
        "1:",
        "[variables.\"A-B\"]",
        &["A-B"],
    );
    wrong("[verbs.a]\nexec = [\"true\", \"a\\u0000b\"]\n", "2:17", "exec", &["NUL"]);
    wrong("[env]\nA = \"a\\u0000b\"\n[verbs.a]\nexec = [\"true\"]\n", "2:5", "A = ", &["NUL"]);
}

// Names

#[test]
fn aliases_must_be_valid_names() {
    wrong("[verbs.a]\nexec = [\"true\"]\naliases = [\"-x\"]\n", "3:12", "aliases = [\"-x\"]", &["-x"]);
    wrong("[verbs.a]\nexec = [\"true\"]\naliases = [\"a b\"]\n", "3:12", "aliases = [\"a b\"]", &["a b"]);
}

// Aliases

#[test]
fn an_alias_that_is_a_verb_is_an_error() {
    wrong(
        "[verbs.a]\nexec = [\"true\"]\naliases = [\"b\"]\n[verbs.b]\nexec = [\"true\"]\n",
        "3:12",
        "aliases = [\"b\"]",
        &["`b`"],
    );
    wrong("[verbs.a]\nexec = [\"true\"]\naliases = [\"a\"]\n", "3:12", "aliases = [\"a\"]", &["`a`"]);
}

#[test]
fn aliases_in_a_circle_are_an_error() {
    wrong(
        "[verbs.a]\nexec = [\"true\"]\naliases = [\"b\"]\n[verbs.b]\nexec = [\"true\"]\naliases = [\"a\"]\n",
        "",
        "aliases = [",
        &["`a`", "`b`"],
    );
}

#[test]
fn an_alias_of_two_verbs_is_an_error() {
    wrong(
        "[verbs.a]\nexec = [\"true\"]\naliases = [\"x\"]\n[verbs.b]\nexec = [\"true\"]\naliases = [\"x\"]\n",
        "",
        "aliases = [\"x\"]",
        &["`x`", "`a`", "`b`"],
    );
}

#[test]
fn an_alias_may_belong_to_different_verbs_in_different_environments() {
    let table = r#"
        [verbs.a]
        exec = ["echo", "a"]
        [verbs.b]
        exec = ["echo", "b"]
        [environments.dev.verbs.a]
        aliases = ["x"]
        [environments.ci.verbs.b]
        aliases = ["x"]
    "#;
    run(table, &["--environment", "dev", "x"]).stdout("a\n").run();
    run(table, &["--environment", "ci", "x"]).stdout("b\n").run();
    run(table, &["--check"]).any_stderr().any_stdout().run();
    run(table, &["x"])
        .status(78)
        .stderr_contains("`x`")
        .stderr_contains("`ci`")
        .stderr_contains("`dev`")
        .run();
}

#[test]
fn rewritten_signals_must_be_catchable_and_unique() {
    let init =
        |signals: &str| format!("[verbs.a]\nexec = [\"true\"]\ninit = {{ signals = {{ {signals} }} }}\n");
    for (signals, column) in [
        ("KILL = \"TERM\"", 22),
        ("SIGSTOP = \"none\"", 22),
        ("TERM = \"QUIT\", SIGTERM = \"INT\"", 37),
        ("35 = \"TERM\", \"RTMIN+1\" = \"INT\"", 35),
    ] {
        wrong(&init(signals), &format!("3:{column}"), "init = {", &[]);
    }
    run(&init("TERM = \"KILL\", HUP = \"none\""), &["a"]).run();
}

#[test]
fn mounts_of_the_shim_are_checked() {
    let shim = |line: &str| format!("[shim]\n{line}\n[verbs.a]\nexec = [\"true\"]\n");
    for mount in ["", "~/.x:/x", "${HOME}/x:/x", "$XDG/x:/x", "$HOMES:/x"] {
        wrong(&shim(&format!("mounts = [\"/a:/a\", \"{mount}\"]")), "2:20", "mounts = [", &["`mounts`"]);
    }
    wrong(&shim("network = \"\""), "2:11", "network = \"\"", &["`network`"]);
    run(&shim("mounts = [\"$HOME/x:/x\", \"$PWD:/y\", \"volume:/z\"]\nnetwork = \"host\""), &["a"]).run();
}

#[test]
fn an_interpreter_for_sourced_files_is_an_error() {
    let table = "[interpreters]\nsh = [\"bash\"]\n[verbs.a]\nexec = [\"true\"]\n";
    wrong(table, "2:1", "sh = [\"bash\"]", &["such files are sourced", "hint: "]);
}

#[test]
fn a_verb_that_is_not_a_table_gives_one_error() {
    let messages =
        "preverb: [DIR]/preverb.toml:2:5: `a` must be a table, not an integer\n2 | a = 3\n  |     ^\n";
    run("[verbs]\na = 3\n", &["a"]).status(78).stderr(messages).run();
}

// default

#[test]
fn a_default_that_is_not_a_verb_is_an_error() {
    wrong(
        "default = \"sevrer\"\n[verbs.server]\nexec = [\"true\"]\n[verbs.a]\nexec = [\"true\"]\n",
        "1:11",
        "default = \"sevrer\"",
        &["`sevrer`", "`server`"],
    );
}

#[test]
fn a_default_must_exist_in_at_least_one_environment() {
    let table = "default = \"shell\"\n[verbs.a]\nexec = [\"echo\", \"a\"]\n[environments.dev.verbs.shell]\nexec = [\"echo\", \"shell\"]\n";
    run(table, &["a"]).stdout("a\n").run();
    run(table, &["--environment", "dev"]).stdout("shell\n").run();
    run(table, &[]).status(78).stderr_contains("`shell`").stderr_contains("`dev`").run();
}

// Steps

#[test]
fn an_unknown_key_of_a_step_lists_the_keys_of_its_kind() {
    let step = |keys: &str| format!("[verbs.a]\nexec = [\"true\"]\n[[setup]]\n{keys}\n");
    let line = "5 | zzzzzzzz = 1";
    let keys = "hint: the keys here are `run`, `name`, `verbs`, `environments`, `only-if`, `skip-if`, `if-exists`, `unless-exists`, \
                `timeout`, `grace`, `user`, `on-failure`, `once`, `per`, `stdin`, `replace`, `remove`, `before`\n";
    wrong(&step("run = [\"true\"]\nzzzzzzzz = 1"), "5:1", line, &[keys]);
    let three = "run = [\"true\"]\nhooks = \"/x\"\nwait = \"file:///\"";
    wrong(&step(three), "5:1", "hooks = ", &["`run` and `hooks` and `wait`, which are 3 steps"]);
}

#[test]
fn a_step_has_exactly_one_kind() {
    wrong(
        "[verbs.a]\nexec = [\"true\"]\n[[setup]]\nname = \"x\"\n",
        "3:",
        "[[setup]]",
        &["`run`", "`hooks`"],
    );
    wrong(
        "[verbs.a]\nexec = [\"true\"]\n[[setup]]\nrun = [\"true\"]\nhooks = \"/x\"\n",
        "5:1",
        "hooks = \"/x\"",
        &["`run`", "`hooks`"],
    );
    wrong("[verbs.a]\nexec = [\"true\"]\n[[setup]]\nrun = []\n", "4:", "run = []", &["`run`"]);
}

// The running path

const ELSEWHERE: &str = r#"
[verbs.a]
exec = ["echo", "a"]
[verbs.b]
exce = ["true"]
args = 3
[environments.dev]
evn = {}
[environments.dev.verbs.a]
args = 3
"#;

#[test]
fn errors_of_other_verbs_and_environments_do_not_stop_a_run() {
    run(ELSEWHERE, &["a"]).stdout("a\n").pid1().run();
    run(ELSEWHERE, &["--environment", "ci", "a"]).stdout("a\n").run();
    run(ELSEWHERE, &["--", "echo", "x"]).stdout("x\n").run();
    run(ELSEWHERE, &["b"]).status(78).stderr_contains("`exce`").run();
    run(ELSEWHERE, &["--environment", "dev", "a"]).status(78).stderr_contains("preverb.toml:").run();
    run(ELSEWHERE, &["--environment", "dev", "--", "echo", "x"]).status(78).stderr_contains("`evn`").run();
}

#[test]
fn check_reports_every_error() {
    run(ELSEWHERE, &["--check"])
        .status(78)
        .stderr_contains("[DIR]/preverb.toml:5:1")
        .stderr_contains("`exce`")
        .stderr_contains("[DIR]/preverb.toml:6:8")
        .stderr_contains("[DIR]/preverb.toml:8:1")
        .stderr_contains("`evn`")
        .stderr_contains("[DIR]/preverb.toml:10:8")
        .run();
}

#[test]
fn an_error_of_the_top_level_stops_every_run() {
    let table = "[verbs.a]\nexec = [\"true\"]\n[[setup]]\nrnu = [\"true\"]\n";
    run(table, &["a"]).status(78).stderr_contains("`rnu`").run();
    run(table, &["--", "true"]).status(78).stderr_contains("`rnu`").run();
    run("[verbs.a]\nexec = [\"true\"]\n", &["--", "true"]).run();
}

#[test]
fn check_of_a_valid_table_succeeds() {
    run("default = \"a\"\n[environments.dev.env]\nX = \"y\"\n[verbs.a]\nexec = [\"true\"]\n", &["--check"])
        .any_stdout()
        .stderr_lacks("error")
        .pid1()
        .run();
}

// Environments

const LAID_OVER: &str = r#"
    default = "server"
    [env]
    COLOUR = "blue"
    KEPT = "kept"
    [verbs.server]
    about = "Serve"
    aliases = ["web"]
    exec = ["printf", "<%s>", "prod"]
    args = ["--workers", "2"]
    [verbs.colours]
    exec = ["printenv", "COLOUR", "KEPT"]
    [environments.dev.env]
    COLOUR = "red"
    [environments.dev.verbs.server]
    exec = ["printf", "<%s>", "dev"]
    args = []
    [environments.dev.verbs.shell]
    exec = ["echo", "a shell"]
    aliases = ["sh"]
    [environments.ci.verbs.shell]
    exec = ["echo", "a shell in ci"]
"#;

#[test]
fn an_environment_is_merged_over_the_verbs() {
    run(LAID_OVER, &["server"]).stdout("<prod><--workers><2>").run();
    run(LAID_OVER, &["server"]).env("APP_ENV", "dev").stdout("<dev>").pid1().run();
    run(LAID_OVER, &["web"]).env("APP_ENV", "dev").stdout("<dev>").run();
    run(LAID_OVER, &["colours"]).stdout("blue\nkept\n").run();
    run(LAID_OVER, &["colours"]).env("APP_ENV", "dev").stdout("red\nkept\n").run();
}

#[test]
fn an_empty_variable_means_the_default_environment() {
    run(LAID_OVER, &["server"]).env("APP_ENV", "").stdout("<prod><--workers><2>").run();
}

#[test]
fn the_table_names_the_variable_and_the_default_environment() {
    let table = "[environment]\nvariable = \"STAGE\"\ndefault = \"dev\"\n[verbs.a]\nexec = [\"printenv\", \"PREVERB_ENVIRONMENT\"]\n";
    run(table, &["a"]).stdout("dev\n").run();
    run(table, &["a"]).env("APP_ENV", "ci").stdout("dev\n").run();
    run(table, &["a"]).env("STAGE", "ci").stdout("ci\n").run();
}

#[test]
fn a_verb_may_exist_in_some_environments_only() {
    run(LAID_OVER, &["shell"]).env("APP_ENV", "dev").stdout("a shell\n").run();
    for word in ["shell", "sh"] {
        run(LAID_OVER, &[word])
            .status(78)
            .stderr_contains(format!("`{word}`"))
            .stderr_contains("`prod`")
            .stderr_contains("`dev`")
            .run();
    }
    run(LAID_OVER, &["shell"]).env("APP_ENV", "staging").status(78).stderr_contains("`ci`").run();
}

#[test]
fn a_verb_of_another_environment_is_not_looked_up_as_a_command() {
    run("unknown = \"exec\"\n[environments.dev.verbs.echo]\nexec = [\"true\"]\n", &["echo", "x"])
        .status(78)
        .stderr_contains("`dev`")
        .run();
}

#[test]
fn an_invalid_environment_name_in_the_variable_is_65() {
    for name in ["../dev", "a b", "-x", ".", "é"] {
        run(LAID_OVER, &["server"]).env("APP_ENV", name).status(65).stderr_contains("`APP_ENV`").run();
    }
    run(LAID_OVER, &["server"]).env("APP_ENV", bytes(b"\xff")).status(65).stderr_contains("`APP_ENV`").run();
}

// Drop-ins

#[test]
fn a_drop_in_adds_and_changes_verbs() {
    let derived = |words: &[&str]| {
        run(
            r#"
            default = "server"
            [env]
            A = "base"
            B = "base"
            [verbs.server]
            about = "Serve"
            exec = ["printf", "<%s>", "base"]
            args = ["one", "two"]
            "#,
            words,
        )
        .drop_in(
            "10-derived.toml",
            r#"
            [env]
            B = "derived"
            [verbs.server]
            args = ["three"]
            [verbs.extra]
            exec = ["printenv", "A", "B"]
            "#,
        )
    };
    derived(&[]).stdout("<base><three>").pid1().run();
    derived(&["extra"]).stdout("base\nderived\n").run();
}

#[test]
fn drop_ins_are_merged_in_bytewise_order_of_their_names() {
    let names = ["9-x.toml", "a.toml", "10-x.toml", "B.toml", "é.toml", "A-.toml", "A.toml"];
    let mut test = run(
        "[verbs.a]\nexec = [\"printenv\", \"LAST\"]\n[env]\nLAST = \"table\"\n[verbs.b]\nexec = [\"true\"]\n",
        &["--log", "quiet", "a"],
    );
    for name in names {
        test = test
            .drop_in(name, format!("[env]\nLAST = \"{name}\"\n[[setup]]\nrun = [\"echo\", \"{name}\"]\n"));
    }
    test.stdout("é.toml\n").stderr("10-x.toml\n9-x.toml\nA-.toml\nA.toml\nB.toml\na.toml\né.toml\n").run();
}

#[test]
fn a_drop_in_can_change_the_default_verb_of_any_file() {
    let test = |words: &[&str]| {
        run(
            "default = \"b\"\n[verbs.a]\nexec = [\"echo\", \"a\"]\n[verbs.b]\nexec = [\"echo\", \"b\"]\n",
            words,
        )
        .drop_in("1.toml", "default = \"a\"\n[verbs.b]\nargs = [\"of the drop-in\"]\n")
        .drop_in("2.toml", "default = \"b\"\n")
        .stdout("b of the drop-in\n")
    };
    test(&[]).run();
    test(&["b"]).run();
}

#[test]
fn drop_ins_append_steps_and_replace_other_arrays() {
    run(
        "[[setup]]\nrun = [\"echo\", \"table\"]\n[verbs.a]\nexec = [\"printf\", \"<%s>\", \"x\"]\nargs = [\"1\", \"2\", \"3\"]\n[[verbs.a.setup]]\nrun = [\"echo\", \"table a\"]\n",
        &["--log", "quiet", "a"],
    )
    .drop_in("1.toml", "[[setup]]\nrun = [\"echo\", \"one\"]\n[[verbs.a.setup]]\nrun = [\"echo\", \"one a\"]\n[verbs.a]\nargs = [\"4\"]\n")
    .drop_in("2.toml", "[[setup]]\nrun = [\"echo\", \"two\"]\n[verbs.a]\nexec = [\"printf\", \"(%s)\"]\n")
    .stdout("(4)")
    .stderr("table\none\ntwo\ntable a\none a\n")
    .run();
}

#[test]
fn an_environments_init_table_is_merged_over_a_table_and_otherwise_replaces() {
    let table = |base: &str, over: &str| {
        let verb = format!("[verbs.a]\nexec = [\"true\"]\ninit = {base}\n");
        format!("{verb}[environments.prod.verbs.a]\ninit = {over}\n")
    };
    let is = |base: &str, over: &str, grace: Option<&'static str>, group: bool| {
        run(&table(base, over), &["--explain", "--json", "a"])
            .any_stdout()
            .check(move |output| {
                let init = &output.json()["init"];
                assert_eq!((init["grace"].as_str(), init["group"].as_bool()), (grace, Some(group)));
            })
            .run();
    };
    is("{ grace = \"5s\" }", "{ group = true }", Some("5 s"), true);
    is("{ grace = \"5s\" }", "true", None, false);
    is("true", "{ grace = \"5s\" }", Some("5 s"), false);
    is("false", "true", None, false);
}

#[test]
fn drop_ins_are_merged_over_environments() {
    run(
        "[verbs.a]\nexec = [\"printenv\", \"X\"]\n[environments.dev.env]\nX = \"table\"\n",
        &["--environment", "dev", "a"],
    )
    .drop_in("1.toml", "[environments.dev.env]\nX = \"drop-in\"\n")
    .stdout("drop-in\n")
    .run();
}

#[test]
fn files_that_are_not_drop_ins_are_skipped() {
    run("[verbs.a]\nexec = [\"echo\", \"table\"]\n", &["a"])
        .drop_in(".hidden.toml", "= broken")
        .drop_in("readme.txt", "= broken")
        .drop_in("x.toml~", "= broken")
        .drop_in("x.TOML", "= broken")
        .drop_in("toml", "= broken")
        .file("preverb.d/sub/x.toml", "= broken", 0o644)
        .stdout("table\n")
        .run();
}

#[test]
fn the_directory_of_the_drop_ins_is_named_after_the_table() {
    Test::new()
        .file("other.toml", "[verbs.a]\nexec = [\"echo\", \"table\"]\n", 0o644)
        .file("other.d/1.toml", "[verbs.a]\nexec = [\"echo\", \"drop-in\"]\n", 0o644)
        .file("preverb.d/1.toml", "= broken", 0o644)
        .args(["--table", "[DIR]/other.toml", "a"])
        .stdout("drop-in\n")
        .run();
}

#[test]
fn an_error_in_a_drop_in_names_the_drop_in() {
    let base = "[verbs.a]\nexec = [\"true\"]\n";
    run(base, &["a"])
        .drop_in("10-x.toml", "\n[verbs.a]\nagrs = [\"x\"]\n")
        .status(78)
        .stderr_contains("[DIR]/preverb.d/10-x.toml:3:1")
        .stderr_contains("agrs = [\"x\"]")
        .stderr_contains("`args`")
        .pid1()
        .run();
    run(base, &["a"])
        .drop_in("10-x.toml", "verbs = 3\n")
        .status(78)
        .stderr_contains("[DIR]/preverb.d/10-x.toml:1:9")
        .stderr_contains("verbs = 3")
        .run();
    run(base, &["a"])
        .drop_in("10-x.toml", "[verbs.a]\nexec = []\n")
        .status(78)
        .stderr_contains("[DIR]/preverb.d/10-x.toml:2:")
        .run();
    run(base, &["a"])
        .drop_in("10-x.toml", "= x\n")
        .status(78)
        .stderr_contains("[DIR]/preverb.d/10-x.toml:1:1")
        .run();
    run(base, &["a"])
        .drop_in("10-x.toml", "default = \"nope\"\n")
        .status(78)
        .stderr_contains("[DIR]/preverb.d/10-x.toml:1:11")
        .stderr_contains("`nope`")
        .run();
}

#[test]
fn the_merged_table_is_checked() {
    run("[verbs.a]\nexec = []\n", &["a"])
        .drop_in("1.toml", "[verbs.a]\nexec = [\"echo\", \"mended\"]\n")
        .stdout("mended\n")
        .run();
}

#[test]
fn an_alias_may_clash_across_files() {
    run("[verbs.a]\nexec = [\"true\"]\naliases = [\"x\"]\n", &["a"])
        .drop_in("1.toml", "[verbs.x]\nexec = [\"true\"]\n")
        .status(78)
        .stderr_contains("`x`")
        .stderr_contains("[DIR]/preverb.")
        .run();
}

#[test]
fn a_drop_in_may_complete_a_verb() {
    run("[verbs.a]\nabout = \"To be completed\"\n", &["a"])
        .drop_in("1.toml", "[verbs.a]\nexec = [\"echo\", \"complete\"]\n")
        .stdout("complete\n")
        .run();
}

#[test]
fn a_drop_in_that_is_a_directory_is_an_error() {
    run("[verbs.a]\nexec = [\"true\"]\n", &["a"])
        .directory("preverb.d/1.toml", 0o755)
        .status(78)
        .stderr_contains("`[DIR]/preverb.d/1.toml`")
        .stderr_contains("directory")
        .run();
}

#[test]
fn a_broken_drop_in_link_is_not_reported_as_a_missing_table() {
    run("[verbs.a]\nexec = [\"true\"]\n", &["a"])
        .link("preverb.d/1.toml", "nowhere")
        .status(78)
        .stderr("preverb: cannot read the drop-in `[DIR]/preverb.d/1.toml`: it does not exist\n")
        .run();
}

#[test]
fn drop_ins_may_be_links_as_in_a_config_map() {
    run("[verbs.a]\nexec = [\"true\"]\n", &["b"])
        .file("preverb.d/..2026/b.toml", "[verbs.b]\nexec = [\"echo\", \"b\"]\n", 0o644)
        .link("preverb.d/..data", "..2026")
        .link("preverb.d/b.toml", "..data/b.toml")
        .stdout("b\n")
        .run();
    run("[verbs.a]\nexec = [\"true\"]\n", &["a"])
        .link("preverb.d/b.toml", "nowhere")
        .status(78)
        .stderr_contains("`[DIR]/preverb.d/b.toml`")
        .run();
}

#[test]
fn a_drop_in_directory_that_is_a_file_is_an_error() {
    run("[verbs.a]\nexec = [\"true\"]\n", &["a"])
        .file("preverb.d", "", 0o644)
        .status(78)
        .stderr_contains("[DIR]/preverb.d")
        .run();
}

// Files that are not tables

#[test]
fn an_empty_table_defines_no_verb() {
    run("", &["a"]).status(64).stderr_contains("`a`").pid1().run();
    run("", &[]).status(64).stderr_contains("preverb: ").run();
    run("", &["--", "echo", "x"]).stdout("x\n").run();
    run("\n# nothing\n", &["--check"]).any_stdout().any_stderr().run();
    Test::new().args(["--table", "/dev/null", "--", "echo", "x"]).stdout("x\n").run();
}

#[test]
fn a_table_that_is_a_directory_is_an_error() {
    Test::new()
        .directory("t.toml", 0o755)
        .args(["--table", "[DIR]/t.toml", "a"])
        .status(78)
        .stderr_contains("`[DIR]/t.toml`")
        .stderr_contains("directory")
        .pid1()
        .run();
}

#[test]
fn a_table_that_cannot_be_read_is_an_error() {
    Test::new()
        .file("t.toml", "[verbs.a]\nexec = [\"true\"]\n", 0o000)
        .under(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["--table", "[DIR]/t.toml", "a"])
        .needs_root()
        .status(78)
        .stderr_contains("`[DIR]/t.toml`")
        .stderr_contains("ermission denied")
        .run();
    run("[verbs.a]\nexec = [\"true\"]\n", &["a"])
        .file("preverb.d/1.toml", "", 0o000)
        .under(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
        .needs_root()
        .status(78)
        .stderr_contains("`[DIR]/preverb.d/1.toml`")
        .run();
}

#[test]
fn a_table_that_is_not_utf8_is_an_error_with_its_line() {
    Test::new()
        .table(b"[verbs.a]\nexec = [\"true\"]\nabout = \"\xff\"\n")
        .args(["a"])
        .status(78)
        .stderr_contains("[DIR]/preverb.toml:3:10")
        .stderr_contains("UTF-8")
        .run();
    Test::new()
        .table(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\xff\xff\n")
        .args(["a"])
        .status(78)
        .stderr_contains("[DIR]/preverb.toml")
        .run();
    // UTF-16, as an editor may write it.
    Test::new()
        .table(b"\xff\xfe[\0v\0e\0r\0b\0s\0]\0\n\0")
        .args(["a"])
        .status(78)
        .stderr_contains("[DIR]/preverb.toml:1:1")
        .stderr_contains("UTF-8")
        .run();
}

#[test]
fn a_table_may_have_a_byte_order_mark() {
    Test::new()
        .table(b"\xef\xbb\xbfdefault = \"a\"\n[verbs.a]\nexec = [\"echo\", \"a\"]\n")
        .stdout("a\n")
        .run();
    Test::new()
        .table(b"\xef\xbb\xbfdefualt = \"a\"\n")
        .args(["a"])
        .status(78)
        .stderr_contains("[DIR]/preverb.toml:1:1")
        .stderr_contains("`default`")
        .run();
}

#[test]
fn a_table_may_have_crlf_line_endings() {
    let table = "default = \"a\"\r\n[verbs.a]\r\nexec = [\r\n  \"printf\",\r\n  \"<%s>\",\r\n]\r\nargs = ['''\r\none\r\ntwo''']\r\n";
    run(table, &["a", "x"]).stdout("<x>").run();
    run("[verbs.a]\r\nexec = [\"true\"]\r\nabuot = \"x\"\r\n", &["a"])
        .status(78)
        .stderr_contains("[DIR]/preverb.toml:3:1")
        .stderr_contains("abuot = \"x\"")
        .stderr_lacks("\r")
        .run();
}

#[test]
fn a_table_may_be_large() {
    let mut table = String::from("default = \"verb7\"\n");
    for number in 0.. {
        if table.len() > 1 << 20 {
            break;
        }
        table += &format!(
            "[verbs.verb{number}]\nabout = \"The verb of the number {number}, one of many\"\nexec = [\"echo\", \"{number}\"]\n"
        );
    }
    run(&table, &[]).stdout("7\n").pid1().run();
    run(&table, &["verb9999"]).stdout("9999\n").run();
    let last = table.lines().count() + 1;
    table += "[verb.x]\n";
    run(&table, &["verb7"]).status(78).stderr_contains(format!("[DIR]/preverb.toml:{last}:2")).run();
}

#[test]
fn a_table_may_have_one_long_string() {
    let long = "x".repeat(1 << 20);
    run(&format!("[verbs.a]\nabout = \"{long}\"\nexec = [\"echo\", \"a\"]\n"), &["a"]).stdout("a\n").run();
    // A mistake in a line of a megabyte does not print a megabyte.
    run(&format!("[verbs.a]\nabuot = \"{long}\"\nexec = [\"echo\", \"a\"]\n"), &["a"])
        .status(78)
        .stderr_contains("[DIR]/preverb.toml:2:1")
        .check(|output| {
            assert!(output.stderr.len() < 10_000, "{} bytes", output.stderr.len());
        })
        .run();
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    for depth in [200, 100_000] {
        for (open, close) in [("[", "]"), ("{a=", "}")] {
            let table = format!("[env]\nx = {}1{}\n", open.repeat(depth), close.repeat(depth));
            run(&table, &["a"]).status(78).stderr_contains("[DIR]/preverb.toml:2:").run();
        }
        let table = format!("a{} = 1\n", ".a".repeat(depth));
        run(&table, &["a"]).status(78).stderr_contains("[DIR]/preverb.toml:1:").run();
    }
}

#[test]
fn control_characters_in_an_offending_line_are_escaped() {
    run("[verbs.a]\nabuot = \"\u{1b}[31m\"\n", &["a"])
        .status(78)
        .stderr_contains("[DIR]/preverb.toml:2:")
        .stderr_lacks("\u{1b}")
        .run();
    run("[verbs.a]\nexec = [\"true\"]\n\"\\u001b[31m\" = \"x\"\n", &["a"])
        .status(78)
        .stderr_contains("[DIR]/preverb.toml:3:1")
        .stderr_lacks("\u{1b}")
        .run();
}

#[test]
fn columns_count_characters_and_a_tab_is_one() {
    run("[verbs.a]\nexec = [\"é\", 3]\n", &["a"]).status(78).stderr_contains("[DIR]/preverb.toml:2:14").run();
    run("[verbs.a]\n\tabuot = \"x\"\n", &["a"])
        .status(78)
        .stderr_contains("[DIR]/preverb.toml:2:2")
        .stderr_contains("abuot = \"x\"")
        .run();
}

// Order and spelling

#[test]
fn the_order_of_keys_and_their_spelling_do_not_matter() {
    let tables = [
        "default = \"a\"\n[env]\nX = \"1\"\nY = \"2\"\n[verbs.a]\nexec = [\"printenv\", \"X\", \"Y\", \"Z\"]\n[verbs.a.env]\nZ = \"3\"\n",
        "[verbs.a.env]\nZ = \"3\"\n[verbs.a]\nexec = [\"printenv\", \"X\", \"Y\", \"Z\"]\n[env]\nY = \"2\"\nX = \"1\"\n",
        "verbs.a.exec = [\"printenv\", \"X\", \"Y\", \"Z\"]\nenv.Y = \"2\"\nverbs.a.env.Z = \"3\"\nenv.X = \"1\"\n",
        "env = { X = \"1\", Y = \"2\" }\nverbs = { a = { env = { Z = '3' }, exec = ['printenv', 'X', 'Y', 'Z',] } }\n",
        "\"env\".'X' = '''1'''\n[\"env\" ]\n\"\\u0059\" = \"\"\"2\"\"\"\n[ verbs . \"a\" ]\nexec = [ # words\n\"printenv\"\n, \"X\", \"Y\", \"Z\" ]\nenv.Z = \"\\u0033\"\n",
    ];
    for table in &tables[..4] {
        run(table, &["a"]).stdout("1\n2\n3\n").run();
    }
    // A table that dotted keys have made cannot be opened again by its header: TOML says so.
    run(tables[4], &["a"]).status(78).stderr_contains("[DIR]/preverb.toml:2:").run();
    run(&tables[4].replacen("\"env\".'X' = '''1'''\n[\"env\" ]\n", "[\"env\" ]\n'X' = '''1'''\n", 1), &["a"])
        .stdout("1\n2\n3\n")
        .run();
}

#[test]
fn a_subtable_may_come_before_its_parent() {
    run("[environments.dev.verbs.a]\nexec = [\"echo\", \"dev\"]\n[environments.dev]\nenv = {}\n[environments]\n[verbs.a]\nexec = [\"echo\", \"prod\"]\n", &["a"])
        .stdout("prod\n")
        .run();
}

// Keys of a verb

#[test]
fn a_verb_removes_variables() {
    run("[verbs.a]\nexec = [\"sh\", \"-c\", 'echo \"$${SECRET-unset} $${OTHER-unset}\"']\nunset = [\"SECRET\", \"never.there\"]\n", &["a"])
        .env("SECRET", "x")
        .env("OTHER", "y")
        .stdout("unset y\n")
        .pid1()
        .run();
}

#[test]
fn a_verb_has_its_working_directory() {
    let table = "workdir = \"[DIR]/all\"\n[verbs.a]\nexec = [\"pwd\"]\n[verbs.b]\nexec = [\"pwd\"]\nworkdir = \"[DIR]/${SUB}\"\n";
    let pwd =
        |words: &[&str]| run(table, words).env("SUB", "b").directory("all", 0o755).directory("b", 0o755);
    pwd(&["a"]).stdout("[DIR]/all\n").run();
    pwd(&["b"]).stdout("[DIR]/b\n").pid1().run();
    pwd(&["--", "pwd"]).stdout("[DIR]/all\n").run();
    run("[verbs.a]\nexec = [\"pwd\"]\n", &["a"]).stdout("[DIR]\n").run();
}

#[test]
fn a_verb_has_its_umask() {
    let table = "umask = \"077\"\n[verbs.a]\nexec = [\"sh\", \"-c\", \"umask\"]\n[verbs.b]\nexec = [\"sh\", \"-c\", \"umask\"]\numask = \"027\"\n";
    run(table, &["a"]).stdout("0077\n").run();
    run(table, &["b"]).stdout("0027\n").pid1().run();
    run(table, &["--", "sh", "-c", "umask"]).stdout("0077\n").run();
    run("[verbs.a]\nexec = [\"sh\", \"-c\", \"umask\"]\n", &["a"])
        .under_shell("umask 0123; exec \"$@\"")
        .stdout("0123\n")
        .run();
}

#[test]
fn a_verb_has_its_limits() {
    run("[verbs.a]\nexec = [\"sh\", \"-c\", \"ulimit -n; ulimit -c; ulimit -Hn\"]\nlimits = { nofile = 77, core = 0 }\n", &["a"])
        .under_shell("ulimit -n 100; exec \"$@\"")
        .stdout("77\n0\n100\n")
        .pid1()
        .run();
    run("[verbs.a]\nexec = [\"sh\", \"-c\", \"ulimit -c\"]\nlimits = { core = \"unlimited\" }\n", &["a"])
        .under_shell("ulimit -Sc 0; exec \"$@\"")
        .stdout("unlimited\n")
        .run();
}

#[test]
fn a_limit_that_the_system_refuses_is_an_error() {
    run("[verbs.a]\nexec = [\"true\"]\nlimits = { nofile = 200 }\n", &["a"])
        .under([
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "sh",
            "-c",
            "ulimit -n 100; exec \"$@\"",
            "sh",
        ])
        .needs_root()
        .status(71)
        .stderr_contains("`nofile`")
        .run();
}

#[test]
fn an_argument_in_skip_setup_on_skips_every_step() {
    let table = "[[setup]]\nrun = [\"echo\", \"set up\"]\n[verbs.a]\nexec = [\"printf\", \"<%s>\"]\nargs = [\"--help\"]\nskip-setup-on = [\"--help\", \"-V\"]\n";
    let log = |words: &[&str]| run(table, &["--log", "quiet"]).args(words);
    log(&["a", "x"]).stdout("<x>").stderr("set up\n").run();
    log(&["a", "x", "-V"]).stdout("<x><-V>").run();
    log(&["a", "--help"]).stdout("<--help>").run();
    log(&["a", "--helpless"]).stdout("<--helpless>").stderr("set up\n").run();
    // The caller gave no argument.
    log(&["a"]).stdout("<--help>").stderr("set up\n").run();
}

#[test]
fn every_documented_key_is_accepted() {
    run(
        r#"
        default = "server"
        unknown = "error"
        leading-dash = "error"
        log = "text"
        stop-signals = ["TERM", "INT"]
        umask = "022"
        [environment]
        variable = "APP_ENV"
        default = "prod"
        [env]
        A = "b"
        [variables.PORT]
        about = "Port to listen on"
        default = "8000"
        type = "port"
        [variables.LEVEL]
        one-of = ["debug", "info"]
        required = false
        secret = false
        [interpreters]
        sql = ["psql", "-f"]
        [shim]
        image = "example"
        mounts = ["$HOME/.cache:/cache"]
        env = ["TERM"]
        network = "host"
        [[setup]]
        name = "first"
        run = ["true"]
        verbs = ["server", "!worker"]
        environments = ["!dev"]
        skip-if = ["SKIP_A", "SKIP_B"]
        timeout = "500ms"
        [[setup]]
        hooks = "[DIR]/nowhere"
        skip-if = "SKIP"
        [verbs.server]
        about = "Serve"
        aliases = ["web"]
        exec = ["echo", "${PORT}"]
        args = ["args"]
        env = { B = "c" }
        unset = ["C"]
        umask = "027"
        limits = { core = 0 }
        health = "http://127.0.0.1:${PORT}/"
        skip-setup-on = ["--help"]
        hidden = false
        [verbs.server.variables.X]
        about = "x"
        [[verbs.server.setup]]
        run = ["true"]
        [environments.prod.env]
        D = "e"
        [environments.prod.variables.Y]
        about = "y"
        [[environments.prod.setup]]
        run = ["true"]
        [environments.prod.verbs.server.variables.Z]
        about = "z"
        [[environments.prod.verbs.server.setup]]
        run = ["true"]
        "#,
        &["--log", "quiet"],
    )
    .stdout("8000 args\n")
    .run();
}

#[test]
fn an_alias_clash_in_one_environment_is_an_error_only_there() {
    let table = r#"
        [verbs.a]
        exec = ["echo", "a"]
        aliases = ["x"]
        [environments.dev.verbs.x]
        exec = ["echo", "x"]
    "#;
    run(table, &["x"]).stdout("a\n").run();
    run(table, &["--environment", "dev", "a"]).status(78).stderr_contains("`x`").run();
    run(table, &["--check"]).status(78).stderr_contains("`x`").stderr_contains("`dev`").run();
}

#[test]
fn an_environment_that_the_table_does_not_mention_is_valid() {
    run(LAID_OVER, &["server"]).env("APP_ENV", "moon").stdout("<prod><--workers><2>").run();
    run(LAID_OVER, &["--explain", "server"])
        .env("APP_ENV", "moon")
        .stdout_contains("moon")
        .any_stderr()
        .check(|output| {
            let all = format!("{}{}", output.text(), output.messages());
            assert!(all.contains("not mention"), "{all}");
        })
        .run();
    run(LAID_OVER, &["--check"]).env("APP_ENV", "moon").any_stdout().stderr_contains("moon").run();
}

#[test]
fn check_reports_programs_users_and_files_that_are_missing() {
    run(
        r#"
default = "a"
[verbs.a]
exec = ["no-such-program-here"]
[verbs.b]
exec = ["[DIR]/data"]
[verbs.c]
exec = ["true", "${UNDECLARED}"]
[verbs.d]
exec = ["true"]
workdir = "[DIR]/nowhere"
"#,
        &["--check"],
    )
    .file("data", "text\n", 0o644)
    .status(78)
    .stderr_contains("[DIR]/preverb.toml:4:")
    .stderr_contains("`no-such-program-here`")
    .stderr_contains("[DIR]/preverb.toml:6:")
    .stderr_contains("[DIR]/data")
    .stderr_contains("UNDECLARED")
    .stderr_contains("[DIR]/nowhere")
    .run();
}

#[test]
fn check_writes_text_to_standard_error_and_json_to_standard_output() {
    run(ELSEWHERE, &["--check"]).status(78).any_stderr().run();
    run(ELSEWHERE, &["--check", "--json"])
        .status(78)
        .any_stdout()
        .any_stderr()
        .check(|output| {
            let all = output.json().to_string();
            for part in ["exce", "evn", "preverb.toml", "\"line\":5", "\"column\":1"] {
                assert!(all.contains(part), "{part} in {all}");
            }
        })
        .run();
}

#[test]
fn names_have_only_letters_digits_and_four_punctuation_characters() {
    for name in ["a", "A_b-c.d:e", "0", "_", ":x", "db:migrate", "9.x"] {
        run(&format!("[verbs.\"{name}\"]\nexec = [\"echo\", \"ran\"]\n"), &[name]).stdout("ran\n").run();
    }
    for name in ["", "-a", ".a", "a b", "a/b", "é", "a\\n", "a=b"] {
        let table = format!("[verbs.\"{name}\"]\nexec = [\"true\"]\n");
        run(&table, &["--check"]).status(78).stderr_contains("[DIR]/preverb.toml:1:").run();
    }
}

#[test]
fn names_of_environments_are_checked() {
    run("[verbs.a]\nexec = [\"true\"]\n[environments.\"a b\".env]\nX = \"y\"\n", &["--check"])
        .status(78)
        .stderr_contains("[DIR]/preverb.toml:3:")
        .run();
    run("[environment]\ndefault = \"a b\"\n[verbs.a]\nexec = [\"true\"]\n", &["a"])
        .status(78)
        .stderr_contains("[DIR]/preverb.toml:2:")
        .run();
    run("[verbs.a]\nexec = [\"printenv\", \"PREVERB_ENVIRONMENT\"]\n", &["a"])
        .env("APP_ENV", "A_b-c.d:e")
        .stdout("A_b-c.d:e\n")
        .run();
}
