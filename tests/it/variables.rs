//! Chapter 4 of the specification: layers, `${…}`, declared variables, secrets.

use crate::dsl::{Test, bytes};
use crate::random::Random;

fn run(table: &str, words: &[&str]) -> Test {
    Test::new().table(table).args(words)
}

/// A table whose verb `a` shows the value of one expansion, with what stands before it.
fn expansion(head: &str, template: &str) -> Test {
    let table = format!("{head}\n[verbs.a]\nexec = [\"printf\", \"<%s>\", '''{template}''']\n");
    run(&table, &["a"])
}

// Layers

#[test]
fn later_layers_win() {
    let layers = [
        "[variables.X]\ndefault = \"declared\"\n",
        "[env]\nX = \"table\"\n",
        "[environments.dev.env]\nX = \"environment\"\n",
        "[verbs.a.env]\nX = \"verb\"\n",
        "[environments.dev.verbs.a.env]\nX = \"verb of the environment\"\n",
    ];
    let values = ["declared", "table", "environment", "verb", "verb of the environment"];
    for (count, value) in (1..).zip(values) {
        let table = format!("[verbs.a]\nexec = [\"printenv\", \"X\"]\n{}", layers[..count].concat());
        run(&table, &["--environment", "dev", "a"]).stdout(format!("{value}\n")).run();
        // The order is that of the layers, not that in the file.
        let reversed: String = layers[..count].iter().rev().copied().collect();
        let table = format!("{reversed}[verbs.a]\nexec = [\"printenv\", \"X\"]\n");
        run(&table, &["--environment", "dev", "a"]).stdout(format!("{value}\n")).run();
    }
    run(
        &format!(
            "[verbs.a]\nexec = [\"printenv\", \"X\"]\n[[setup]]\nhooks = \"[DIR]/hooks\"\n{}",
            layers.concat()
        ),
        &["--log", "quiet", "--environment", "dev", "a"],
    )
    .hook("1.sh", "echo \"hook sees $X\"\nexport X=hook\n")
    .stdout("hook\n")
    .stderr("hook sees verb of the environment\n")
    .pid1()
    .run();
}

#[test]
fn defaults_fill_unset_or_empty_variables_and_env_overrides_inherited_ones() {
    let declared = "[variables.X]\ndefault = \"declared\"\n[verbs.a]\nexec = [\"printenv\", \"X\"]\n";
    run(declared, &["a"]).stdout("declared\n").run();
    run(declared, &["a"]).env("X", "").stdout("declared\n").run();
    run(declared, &["a"]).env("X", "inherited").stdout("inherited\n").run();
    run("[env]\nX = \"table\"\n[verbs.a]\nexec = [\"printenv\", \"X\"]\n", &["a"])
        .env("X", "inherited")
        .stdout("table\n")
        .run();
    run(
        "[env]\nX = \"\"\n[variables.X]\ndefault = \"declared\"\n[verbs.a]\nexec = [\"printenv\", \"X\"]\n",
        &["a"],
    )
    .stdout("\n")
    .run();
}

#[test]
fn an_env_of_another_verb_or_environment_has_no_effect() {
    run(
        "[verbs.a]\nexec = [\"sh\", \"-c\", 'echo $${X-unset} $${Y-unset}']\n[verbs.b]\nexec = [\"true\"]\nenv = { X = \"b\" }\n[environments.dev.env]\nY = \"dev\"\n",
        &["a"],
    )
    .stdout("unset unset\n")
    .run();
}

#[test]
fn hooks_and_target_know_the_verb_and_the_environment() {
    let table = r#"
        [[setup]]
        run = ["printenv", "PREVERB_VERB", "PREVERB_ENVIRONMENT"]
        [verbs.server]
        aliases = ["web"]
        exec = ["printenv", "PREVERB_VERB", "PREVERB_ENVIRONMENT"]
    "#;
    run(table, &["--log", "quiet", "web"])
        .env("PREVERB_VERB", "inherited")
        .env("PREVERB_ENVIRONMENT", "inherited")
        .stdout("server\nprod\n")
        .stderr("server\nprod\n")
        .pid1()
        .run();
}

#[test]
fn the_control_variables_are_passed_on_unchanged() {
    run(
        "[verbs.a]\nexec = [\"printenv\", \"PREVERB_TABLE\", \"PREVERB_LOG\"]\n",
        &["--log", "text", "--table", "other.toml", "a"],
    )
    .file("other.toml", "[verbs.a]\nexec = [\"printenv\", \"PREVERB_TABLE\", \"PREVERB_LOG\"]\n", 0o644)
    .env("PREVERB_LOG", "quiet")
    .stdout("[DIR]/preverb.toml\nquiet\n")
    .run();
}

/// The variables of the target from `/proc/self/environ`, without those that preverb adds.
fn untouched(output: &[u8]) -> Vec<&[u8]> {
    output
        .split(|byte| *byte == 0)
        .filter(|entry| !entry.starts_with(b"PREVERB_VERB=") && !entry.starts_with(b"PREVERB_ENVIRONMENT="))
        .filter(|entry| !entry.is_empty())
        .collect()
}

const ODD: &[&[u8]] = &[
    b"TWICE=1",
    b"no equals sign",
    b"=starts with it",
    b"BYTES=\xff\xfe\x80",
    b"\xff=name",
    b"TWICE=2",
    b"my.var=dotted",
    b"EMPTY=",
    b"EQUALS=a=b=c",
    b"LINES=a\nb",
    b"PATH=/usr/bin:/bin",
    b"DOLLAR=${HOME} $(id)",
    b"TWICE=1",
];

#[test]
fn variables_that_no_layer_touches_reach_the_target_byte_for_byte() {
    for table in [
        "[verbs.a]\nexec = [\"cat\", \"/proc/self/environ\"]\n",
        "[env]\nNEW = \"${DOLLAR}\"\n[verbs.a]\nexec = [\"cat\", \"/proc/self/environ\"]\n",
    ] {
        Test::new()
            .file("t.toml", table, 0o644)
            .args(["--table", "[DIR]/t.toml", "a"])
            .raw_environment(ODD)
            .any_stdout()
            .check(|output| {
                let entries: Vec<&[u8]> = untouched(&output.stdout)
                    .into_iter()
                    .filter(|entry| !entry.starts_with(b"NEW="))
                    .collect();
                assert_eq!(entries, ODD);
            })
            .run();
    }
}

#[test]
fn a_variable_that_a_layer_sets_appears_once() {
    Test::new()
        .file("t.toml", "[env]\nTWICE = \"table\"\n[verbs.a]\nexec = [\"cat\", \"/proc/self/environ\"]\nunset = [\"EMPTY\"]\n", 0o644)
        .args(["--table", "[DIR]/t.toml", "a"])
        .raw_environment(ODD)
        .any_stdout()
        .check(|output| {
            let mut entries: Vec<&[u8]> = untouched(&output.stdout);
            let mut expected: Vec<&[u8]> = ODD
                .iter()
                .copied()
                .filter(|entry| !entry.starts_with(b"TWICE=") && !entry.starts_with(b"EMPTY="))
                .chain([b"TWICE=table".as_slice()])
                .collect();
            entries.sort_unstable();
            expected.sort_unstable();
            assert_eq!(entries, expected);
        })
        .run();
}

#[test]
fn an_empty_environment_is_not_an_error() {
    Test::new()
        .file("t.toml", "[verbs.a]\nexec = [\"/usr/bin/env\"]\n", 0o644)
        .args(["--table", "[DIR]/t.toml", "a"])
        .raw_environment([""; 0])
        .any_stdout()
        .check(|output| {
            let mut lines: Vec<&str> = output.text().lines().collect();
            lines.sort_unstable();
            assert_eq!(lines, ["PREVERB_ENVIRONMENT=prod", "PREVERB_VERB=a"]);
        })
        .run();
}

#[test]
fn env_and_unset_accept_any_name() {
    run(
        "[env]\n\"my.var\" = \"dotted\"\n\"a b-c\" = \"odd\"\n\"é\" = \"e\"\n[verbs.a]\nexec = [\"printenv\", \"my.var\", \"a b-c\", \"é\"]\n",
        &["a"],
    )
    .stdout("dotted\nodd\ne\n")
    .run();
    run(
        "[verbs.a]\nexec = [\"sh\", \"-c\", 'printenv \"a b-c\" || echo gone']\nunset = [\"a b-c\"]\n",
        &["a"],
    )
    .env("a b-c", "x")
    .stdout("gone\n")
    .run();
}

#[test]
fn unset_removes_variables_of_layers_and_hooks() {
    run(
        "[env]\nX = \"table\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"sh\", \"-c\", 'echo $${X-unset} $${Y-unset}']\nunset = [\"X\", \"Y\"]\n",
        &["--log", "quiet", "a"],
    )
    .hook("1.sh", "echo \"$X\"\nexport Y=hook\n")
    .stdout("unset unset\n")
    .stderr("table\n")
    .run();
}

// Expansion

#[test]
fn expansions_mean_the_same_as_in_a_shell() {
    let cases = [
        ("${SET}", "value"),
        ("${EMPTY}", ""),
        ("${SET:-word}", "value"),
        ("${EMPTY:-word}", "word"),
        ("${UNSET:-word}", "word"),
        ("${SET-word}", "value"),
        ("${EMPTY-word}", ""),
        ("${UNSET-word}", "word"),
        ("${SET:+word}", "word"),
        ("${EMPTY:+word}", ""),
        ("${UNSET:+word}", ""),
        ("${SET+word}", "word"),
        ("${EMPTY+word}", "word"),
        ("${UNSET+word}", ""),
        ("${SET:?message}", "value"),
        ("${SET?message}", "value"),
        ("${EMPTY?message}", ""),
        ("${UNSET:-}", ""),
        ("${UNSET-}", ""),
        ("${UNSET:-${SET}}", "value"),
        ("${UNSET:-a${UNSET:-b${SET}c}d}", "abvaluecd"),
        ("${UNSET:-a b  c}", "a b  c"),
        ("${UNSET:-:-}", ":-"),
        ("${SET:+${SET}-${SET}}", "value-value"),
        ("a${SET}b${SET}c", "avaluebvaluec"),
        ("${_u1}", "underscore"),
        // The branch that is not chosen is not expanded.
        ("${SET:-${UNSET}}", "value"),
        ("${UNSET:+${UNSET}}", ""),
        ("${EMPTY-${UNSET}}", ""),
        ("${SET:-${UNSET:?never}}", "value"),
    ];
    for (template, value) in cases {
        expansion("", template)
            .env("SET", "value")
            .env("EMPTY", "")
            .env("_u1", "underscore")
            .stdout(format!("<{value}>"))
            .run();
    }
}

#[test]
fn a_dotted_name_can_be_expanded() {
    expansion("", "${my.var}").env("my.var", "dotted").stdout("<dotted>").run();
    expansion("", "${my.var:-x}").stdout("<x>").run();
}

#[test]
fn two_dollars_and_a_brace_are_a_literal_dollar_and_brace() {
    expansion("", "$${SET}").stdout("<${SET}>").run();
    expansion("", "$${").stdout("<${>").run();
    expansion("", "a$${b}c${SET}").env("SET", "x").stdout("<a${b}cx>").run();
    expansion("", "$$${SET}").stdout("<$${SET}>").run();
    expansion("", "${UNSET:-$${SET}}").stdout("<${SET}>").run();
}

#[test]
fn every_other_dollar_is_literal() {
    for text in [
        "$",
        "$$",
        "$HOME",
        "$HOME/bin",
        "$(id)",
        "`id`",
        "$1",
        "$@",
        "a$",
        "$ {SET}",
        "$((1+1))",
        "}",
        "{SET}",
        "~",
        "*",
        "\\$HOME",
        "$$HOME",
    ] {
        expansion("", text).env("SET", "x").stdout(format!("<{text}>")).run();
    }
}

#[test]
fn a_value_is_never_split_nor_expanded_again() {
    for value in ["a b  c", " ", "*", "$HOME", "${SET}", "$(id)", "a\nb", "'", "\"", "\\", "}", "$${"] {
        expansion("", "${SET}").env("SET", value).stdout(format!("<{value}>")).run();
    }
    expansion("", "x${SET}y").env("SET", bytes(b"\xff\x80")).stdout(b"<x\xff\x80y>").run();
}

#[test]
fn an_unset_variable_without_a_default_is_65() {
    expansion("", "${UNSET}").status(65).stderr_contains("`UNSET`").pid1().run();
    expansion("[env]\nX = \"${UNSET}\"\n", "x").status(65).stderr_contains("`UNSET`").run();
    run("workdir = \"${UNSET}\"\n[verbs.a]\nexec = [\"true\"]\n", &["a"])
        .status(65)
        .stderr_contains("`UNSET`")
        .run();
    run("[verbs.a]\nexec = [\"echo\"]\nargs = [\"${UNSET}\"]\n", &["a"])
        .status(65)
        .stderr_contains("`UNSET`")
        .run();
    run("[verbs.a]\nexec = [\"echo\"]\n[[setup]]\nrun = [\"echo\", \"${UNSET}\"]\n", &["a"])
        .status(65)
        .stderr_contains("`UNSET`")
        .run();
}

#[test]
fn the_text_of_a_failed_expansion_reaches_the_operator() {
    expansion("", "${UNSET:?set it to the address of the database}")
        .status(65)
        .stderr_contains("`UNSET`")
        .stderr_contains("set it to the address of the database")
        .run();
    expansion("", "${EMPTY:?must not be empty}")
        .env("EMPTY", "")
        .status(65)
        .stderr_contains("must not be empty")
        .run();
    expansion("", "${UNSET?must be set}").status(65).stderr_contains("must be set").run();
    expansion("", "${UNSET:?}").status(65).stderr_contains("`UNSET`").run();
    expansion("", "${UNSET:?ask ${WHO}}").env("WHO", "Alice").status(65).stderr_contains("ask Alice").run();
}

#[test]
fn a_malformed_expansion_is_an_error_of_the_table() {
    for template in [
        "${",
        "${}",
        "${SET",
        "${1}",
        "${1x}",
        "${SET:x}",
        "${SET:}",
        "${SET:-",
        "${SET:-${SET}",
        "${ SET}",
        "${SET }",
        "${SE-T",
        "${#SET}",
        "${SET%x}",
        "${SET/x/y}",
        "${SET:=x}",
        "${SET=x}",
        "${!SET}",
        "${é}",
        "${-x}",
        "${.x}",
        "${SET:-${}}",
        "${UNSET:+${1}}",
    ] {
        expansion("", template)
            .env("SET", "x")
            .status(78)
            .stderr_contains("[DIR]/preverb.toml:3:")
            .stderr_contains("exec = [")
            .run();
        let table = format!("[env]\nX = '{template}'\n[verbs.a]\nexec = [\"true\"]\n");
        run(&table, &["a"]).status(78).stderr_contains("[DIR]/preverb.toml:2:").run();
        run(&table, &["--check"]).status(78).stderr_contains("[DIR]/preverb.toml:2:").run();
    }
}

#[test]
fn a_malformed_expansion_of_another_verb_fails_check_but_not_a_run() {
    let table = "[verbs.a]\nexec = [\"echo\", \"a\"]\n[verbs.b]\nexec = [\"${\"]\n";
    run(table, &["a"]).stdout("a\n").run();
    run(table, &["--check"]).status(78).stderr_contains("[DIR]/preverb.toml:4:").run();
}

#[test]
fn expansion_happens_in_exec_args_env_workdir_and_steps() {
    run(
        r#"
        [env]
        X = "${IN}/env"
        [verbs.a]
        exec = ["${PROGRAM}", "<%s>", "${IN}"]
        args = ["${X}", "${PREVERB_VERB}-${PREVERB_ENVIRONMENT}"]
        workdir = "${HERE}"
        [[setup]]
        run = ["${PROGRAM}", "%s\n", "${IN} and ${X}"]
        [[setup]]
        hooks = "${HERE}/${PREVERB_ENVIRONMENT}"
        "#,
        &["--log", "quiet", "a"],
    )
    .file("prod/1.sh", "echo from prod\n", 0o644)
    .env("IN", "in")
    .env("PROGRAM", "printf")
    .env("HERE", "[DIR]")
    .stdout("<in><in/env><a-prod>")
    .stderr("in and in/env\nfrom prod\n")
    .run();
}

#[test]
fn about_is_not_expanded() {
    run("[verbs.a]\nabout = \"${ and ${UNSET}\"\nexec = [\"echo\", \"a\"]\n[variables.X]\nabout = \"${UNSET}\"\n", &["a"])
        .stdout("a\n")
        .run();
    run("[verbs.a]\nabout = \"${ and ${UNSET}\"\nexec = [\"echo\", \"a\"]\n", &["--list"])
        .stdout_contains("${ and ${UNSET}")
        .run();
}

#[test]
fn a_value_with_spaces_stays_one_argument() {
    run("[verbs.a]\nexec = [\"${COMMAND}\", \"x\"]\n", &["a"])
        .env("COMMAND", "echo hello")
        .status(127)
        .stderr_contains("`echo hello`")
        .run();
}

#[test]
fn a_layer_sees_only_the_layers_below_it() {
    run("[env]\nA = \"new\"\nB = \"${A}\"\n[verbs.a]\nexec = [\"printenv\", \"A\", \"B\"]\n", &["a"])
        .env("A", "inherited")
        .stdout("new\ninherited\n")
        .run();
    run("[env]\nA = \"new\"\nB = \"${A}\"\n[verbs.a]\nexec = [\"printenv\", \"A\", \"B\"]\n", &["a"])
        .status(65)
        .stderr(
            "preverb: variable `A` is not set: `B` needs it
hint: `A` is set in this same `env`, whose values see only lower layers: write the value out, or set \
the other variable in a lower layer: table, environment, verb
",
        )
        .run();
    run("[env]\nA = \"${A}\"\n[verbs.a]\nexec = [\"true\"]\n", &["a"])
        .status(65)
        .stderr("preverb: variable `A` is not set: `A` needs it\n")
        .run();
    run("[env]\nPATH = \"/extra:${PATH}\"\n[verbs.a]\nexec = [\"printenv\", \"PATH\"]\n", &["a"])
        .env("PATH", "/usr/bin")
        .stdout("/extra:/usr/bin\n")
        .run();
    run(
        "[env]\nX = \"${X}1\"\n[environments.prod.env]\nX = \"${X}2\"\n[verbs.a]\nexec = [\"printenv\", \"X\"]\nenv = { X = \"${X}3\" }\n[environments.prod.verbs.a]\nenv = { X = \"${X}4\" }\n",
        &["a"],
    )
    .env("X", "0")
    .stdout("01234\n")
    .run();
    run("[variables.A]\ndefault = \"declared\"\n[env]\nB = \"${A}\"\n[verbs.a]\nexec = [\"printenv\", \"B\"]\n", &["a"])
        .stdout("declared\n")
        .run();
}

#[test]
fn a_value_that_a_higher_layer_replaces_is_still_expanded() {
    // Errors of the lower layer are still reported: nothing is skipped silently.
    run("[env]\nX = \"${UNSET:-low}\"\n[verbs.a]\nexec = [\"printenv\", \"X\", \"Y\"]\nenv = { Y = \"${X}\", X = \"high\" }\n", &["a"])
        .stdout("high\nlow\n")
        .run();
}

#[test]
fn declared_defaults_replaced_arguments_and_the_callers_arguments_are_not_expanded() {
    run("[variables.X]\ndefault = \"${UNSET} $${\"\n[verbs.a]\nexec = [\"printenv\", \"X\"]\n", &["a"])
        .stdout("${UNSET} $${\n")
        .run();
    let table = "[verbs.a]\nexec = [\"printf\", \"<%s>\"]\nargs = [\"${UNSET}\"]\n";
    run(table, &["a", "word"]).stdout("<word>").run();
    run(table, &["a", "${UNSET}", "$${", "${"]).stdout("<${UNSET}><$${><${>").run();
}

#[test]
fn exec_args_and_steps_see_what_hooks_exported_and_the_layers_do_not() {
    run(
        r#"
        [env]
        LAYER = "${X:-nothing yet}"
        [[setup]]
        run = ["echo", "before ${X:-nothing}"]
        [[setup]]
        hooks = "[DIR]/hooks"
        [[setup]]
        run = ["echo", "after ${X}"]
        [verbs.a]
        exec = ["printf", "<%s>", "${X}", "${LAYER}"]
        args = ["${X}"]
        "#,
        &["--log", "quiet", "a"],
    )
    .hook("1.sh", "export X=hooked\n")
    .stdout("<hooked><nothing yet><hooked>")
    .stderr("before nothing\nafter hooked\n")
    .pid1()
    .run();
}

#[test]
fn workdir_is_expanded_before_any_step() {
    run(
        "[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"pwd\"]\nworkdir = \"[DIR]/${SUB}\"\n",
        &["--log", "quiet", "a"],
    )
    .directory("early", 0o755)
    .directory("late", 0o755)
    .hook("1.sh", "pwd\nexport SUB=late\n")
    .env("SUB", "early")
    .stdout("[DIR]/early\n")
    .stderr("[DIR]/early\n")
    .run();
}

// Declared variables

/// Valid and invalid values of a type.
fn typed(kind: &str, must_be: &str, good: &[&str], bad: &[&str]) {
    let table = format!("[variables.X]\ntype = \"{kind}\"\n[verbs.a]\nexec = [\"printenv\", \"X\"]\n");
    for value in good {
        run(&table, &["a"]).env("X", value).stdout(format!("{value}\n")).run();
    }
    for value in bad {
        run(&table, &["a"]).env("X", value).status(65).stderr_contains("`X`").stderr_contains(must_be).run();
    }
}

#[test]
fn types_are_checked() {
    typed("string", "", &["x", " ", "8000"], &[]);
    typed(
        "integer",
        "a whole number",
        &["0", "-5", "42", "9223372036854775807"],
        &["x", "4.2", "1 ", "0x10", "--1", "1_000"],
    );
    typed("port", "port", &["1", "8000", "65535"], &["0", "65536", "-1", "http", "80/tcp", "80 "]);
    typed(
        "boolean",
        "yes",
        &["true", "false", "yes", "no", "on", "off", "1", "0"],
        &["y", "2", "enabled", "true "],
    );
    typed(
        "url",
        "URL",
        &["http://example.org", "postgres://u:p@h:5432/db?x=y"],
        &["example.org", "/path", "http:", "not a url"],
    );
    typed("path", "absolute", &["/", "/a/b c"], &["a/b", "./a", "~"]);
}

#[test]
fn a_value_that_is_not_utf8_is_not_a_valid_port() {
    run("[variables.X]\ntype = \"port\"\n[verbs.a]\nexec = [\"true\"]\n", &["a"])
        .env("X", bytes(b"80\xff"))
        .status(65)
        .stderr_contains("`X`")
        .run();
    run("[variables.X]\ntype = \"string\"\n[verbs.a]\nexec = [\"printenv\", \"X\"]\n", &["a"])
        .env("X", bytes(b"80\xff"))
        .stdout(b"80\xff\n")
        .run();
}

#[test]
fn one_of_is_checked_with_a_suggestion() {
    let table = "[variables.LEVEL]\none-of = [\"debug\", \"info\", \"warning\"]\n[verbs.a]\nexec = [\"printenv\", \"LEVEL\"]\n";
    run(table, &["a"]).env("LEVEL", "info").stdout("info\n").run();
    run(table, &["a"])
        .env("LEVEL", "wraning")
        .status(65)
        .stderr_contains("`LEVEL`")
        .stderr_contains("wraning")
        .stderr_contains("debug")
        .stderr_contains("info")
        .stderr_contains("warning")
        .run();
}

#[test]
fn a_required_variable_must_not_be_empty() {
    let table = "[variables.X]\nabout = \"Address of the database\"\nrequired = true\n[verbs.a]\nexec = [\"printenv\", \"X\"]\n";
    run(table, &["a"]).env("X", "x").stdout("x\n").run();
    run(table, &["a"])
        .status(65)
        .stderr_contains("`X`")
        .stderr_contains("Address of the database")
        .pid1()
        .run();
    run(table, &["a"]).env("X", "").status(65).stderr_contains("`X`").run();
}

#[test]
fn a_variable_that_is_neither_required_nor_set_is_not_checked() {
    run("[variables.X]\ntype = \"port\"\n[verbs.a]\nexec = [\"sh\", \"-c\", 'echo $${X-unset}']\n", &["a"])
        .stdout("unset\n")
        .run();
}

#[test]
fn the_value_after_all_layers_is_checked() {
    let table = "[variables.X]\nrequired = true\ntype = \"port\"\n[env]\nX = \"${HOST_PORT:-8000}\"\n[verbs.a]\nexec = [\"printenv\", \"X\"]\n";
    run(table, &["a"]).stdout("8000\n").run();
    run(table, &["a"]).env("X", "nonsense").stdout("8000\n").run();
    run(table, &["a"])
        .env("HOST_PORT", "nonsense")
        .status(65)
        .stderr_contains("`X`")
        .stderr_contains("nonsense")
        .run();
    run(
        "[variables.X]\ntype = \"port\"\ndefault = \"nonsense\"\n[verbs.a]\nexec = [\"printenv\", \"X\"]\n",
        &["a"],
    )
    .status(65)
    .stderr_contains("`X`")
    .run();
    run("[variables.X]\nrequired = true\n[env]\nX = \"\"\n[verbs.a]\nexec = [\"true\"]\n", &["a"])
        .env("X", "inherited")
        .status(65)
        .stderr_contains("`X`")
        .run();
}

#[test]
fn variables_can_be_declared_for_a_verb_and_for_an_environment() {
    let table = r#"
        [verbs.a]
        exec = ["echo", "a"]
        [verbs.a.variables.OF_THE_VERB]
        required = true
        [verbs.b]
        exec = ["echo", "b"]
        [environments.dev.variables.OF_DEV]
        required = true
        [environments.dev.verbs.b.variables.OF_B_IN_DEV]
        required = true
        default = "x"
        [environments.ci.verbs.b.variables.OF_B_IN_CI]
        required = true
    "#;
    run(table, &["a"]).status(65).stderr_contains("`OF_THE_VERB`").stderr_lacks("OF_DEV").run();
    run(table, &["b"]).stdout("b\n").run();
    run(table, &["--", "echo", "c"]).stdout("c\n").run();
    run(table, &["--environment", "dev", "b"])
        .status(65)
        .stderr_contains("`OF_DEV`")
        .stderr_lacks("OF_B")
        .run();
    run(table, &["--environment", "dev", "a"])
        .status(65)
        .stderr_contains("`OF_DEV`")
        .stderr_contains("`OF_THE_VERB`")
        .run();
    run(table, &["--environment", "ci", "b"]).status(65).stderr_contains("`OF_B_IN_CI`").run();
    run(table, &["--environment", "dev", "--", "true"]).status(65).stderr_contains("`OF_DEV`").run();
}

#[test]
fn all_problems_are_reported_together_before_any_step() {
    run(
        r#"
        [variables.MISSING]
        required = true
        [variables.PORT]
        type = "port"
        [variables.LEVEL]
        one-of = ["debug"]
        [variables.FINE]
        required = true
        [env]
        DERIVED = "x${MISSING}"
        ALSO = "${UNDECLARED}"
        [[setup]]
        run = ["touch", "[DIR]/ran"]
        [verbs.a]
        exec = ["touch", "[DIR]/ran"]
        "#,
        &["a"],
    )
    .env("PORT", "nonsense")
    .env("LEVEL", "loud")
    .env("FINE", "fine")
    .status(65)
    .stderr_contains("`MISSING`")
    .stderr_contains("`PORT`")
    .stderr_contains("`LEVEL`")
    .stderr_contains("`UNDECLARED`")
    .stderr_lacks("`FINE`")
    // It fails only because another is missing.
    .stderr_lacks("`DERIVED`")
    .check(|output| assert!(output.file("ran").is_none()))
    .pid1()
    .run();
}

// Secrets

const SECRET: &str = "[variables.TOKEN]\nsecret = true\nrequired = true\n[verbs.a]\nexec = [\"sh\", \"-c\", 'printf \"<%s>\" \"$TOKEN\" \"$${TOKEN_FILE-unset}\"']\n";

#[test]
fn a_secret_comes_from_its_variable() {
    run(SECRET, &["a"]).env("TOKEN", "swordfish").stdout("<swordfish><unset>").run();
}

#[test]
fn a_secret_comes_from_the_file_that_the_variable_names() {
    let from =
        |content: &[u8]| run(SECRET, &["a"]).file("token", content, 0o600).env("TOKEN_FILE", "[DIR]/token");
    from(b"swordfish\n").stdout("<swordfish><unset>").pid1().run();
    from(b"swordfish").stdout("<swordfish><unset>").run();
    from(b"\n a b \n\n\n").stdout("<\n a b ><unset>").run();
    from(b"\xff\x80\n").stdout(b"<\xff\x80><unset>").run();
    from(b"swordfish\n").env("TOKEN", "").stdout("<swordfish><unset>").run();
    // Required, and nothing there.
    from(b"\n").status(65).stderr_contains("`TOKEN`").run();
}

#[test]
fn a_secret_file_with_a_nul_is_an_error() {
    run(SECRET, &["a"])
        .file("token", b"sword\0fish\n", 0o600)
        .env("TOKEN_FILE", "[DIR]/token")
        .status(65)
        .stderr_contains("`TOKEN")
        .stderr_lacks("sword")
        .run();
}

#[test]
fn an_empty_file_variable_is_ignored() {
    run(SECRET, &["a"])
        .env("TOKEN", "swordfish")
        .env("TOKEN_FILE", "")
        .any_stdout()
        .stdout_contains("<swordfish>")
        .run();
    run(SECRET, &["a"]).env("TOKEN_FILE", "").status(65).stderr_contains("`TOKEN`").run();
}

#[test]
fn a_secret_from_two_places_is_an_error() {
    run(SECRET, &["a"])
        .file("token", "swordfish\n", 0o600)
        .env("TOKEN", "marlin")
        .env("TOKEN_FILE", "[DIR]/token")
        .status(65)
        .stderr_contains("`TOKEN`")
        .stderr_contains("`TOKEN_FILE`")
        .stderr_lacks("marlin")
        .stderr_lacks("swordfish")
        .run();
}

#[test]
fn a_missing_or_unreadable_secret_file_is_an_error() {
    run(SECRET, &["a"])
        .env("TOKEN_FILE", "[DIR]/nowhere")
        .status(65)
        .stderr_contains("`TOKEN`")
        .stderr_contains("`[DIR]/nowhere`")
        .run();
    run(SECRET, &["a"])
        .directory("token", 0o755)
        .env("TOKEN_FILE", "[DIR]/token")
        .status(65)
        .stderr_contains("[DIR]/token")
        .run();
    run(SECRET, &["a"])
        .file("token", "swordfish\n", 0o000)
        .env("TOKEN_FILE", "[DIR]/token")
        .under(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
        .needs_root()
        .status(65)
        .stderr_contains("[DIR]/token")
        .run();
}

/// Mounts the test's `run` over the machine's `/run`.
const WITH_RUN: [&str; 6] = ["unshare", "-m", "sh", "-c", "mount --bind run /run && exec \"$@\"", "sh"];

#[test]
fn a_secret_file_that_is_too_large_is_refused() {
    run(SECRET, &["a"])
        .file("token", vec![b'x'; (1 << 20) + 1], 0o600)
        .env("TOKEN_FILE", "[DIR]/token")
        .status(65)
        .stderr("preverb: cannot read the value of variable `TOKEN` from `[DIR]/token`: file too large\n")
        .run();
}

#[test]
fn a_secret_comes_from_run_secrets() {
    for name in ["TOKEN", "token"] {
        run(SECRET, &["a"])
            .file(format!("run/secrets/{name}"), "swordfish\n", 0o600)
            .under(WITH_RUN)
            .needs_root()
            .stdout("<swordfish><unset>")
            .run();
    }
    let both = || {
        run(SECRET, &["a"])
            .file("run/secrets/TOKEN", "upper\n", 0o600)
            .file("run/secrets/token", "lower\n", 0o600)
            .file("file", "file\n", 0o600)
            .under(WITH_RUN)
            .needs_root()
    };
    both().stdout("<upper><unset>").run();
    both().env("TOKEN", "variable").stdout("<variable><unset>").run();
    both().env("TOKEN", "").stdout("<upper><unset>").run();
    both().env("TOKEN_FILE", "[DIR]/file").stdout("<file><unset>").run();
}

#[test]
fn an_unreadable_secret_in_run_secrets_is_an_error() {
    run(SECRET, &["a"])
        .directory("run/secrets/TOKEN", 0o755)
        .under(WITH_RUN)
        .needs_root()
        .status(65)
        .stderr_contains("/run/secrets/TOKEN")
        .run();
}

#[test]
fn only_an_inherited_file_variable_counts() {
    run(
        "[variables.TOKEN]\nsecret = true\n[env]\nTOKEN_FILE = \"[DIR]/token\"\n[verbs.a]\nexec = [\"sh\", \"-c\", 'echo $${TOKEN-unset} $${TOKEN_FILE-unset}']\n",
        &["a"],
    )
    .file("token", "swordfish\n", 0o600)
    .any_stdout()
    .stdout_contains("unset ")
    .stdout_lacks("swordfish")
    .run();
}

#[test]
fn only_a_secret_variable_reads_a_file() {
    run("[variables.TOKEN]\nabout = \"x\"\n[verbs.a]\nexec = [\"sh\", \"-c\", 'echo $${TOKEN-unset} $TOKEN_FILE']\n", &["a"])
        .file("token", "swordfish\n", 0o600)
        .env("TOKEN_FILE", "[DIR]/token")
        .stdout("unset [DIR]/token\n")
        .run();
}

#[test]
fn the_default_of_a_secret_comes_last() {
    let table = "[variables.TOKEN]\nsecret = true\ndefault = \"marlin\"\n[verbs.a]\nexec = [\"printenv\", \"TOKEN\"]\n";
    run(table, &["a"]).stdout("marlin\n").run();
    run(table, &["a"])
        .file("token", "swordfish\n", 0o600)
        .env("TOKEN_FILE", "[DIR]/token")
        .stdout("swordfish\n")
        .run();
}

#[test]
fn a_secret_can_be_expanded() {
    run(
        "[variables.TOKEN]\nsecret = true\n[env]\nURL = \"https://u:${TOKEN}@h/\"\n[verbs.a]\nexec = [\"printenv\", \"URL\"]\n",
        &["a"],
    )
    .file("token", "swordfish\n", 0o600)
    .env("TOKEN_FILE", "[DIR]/token")
    .stdout("https://u:swordfish@h/\n")
    .run();
}

#[test]
fn a_secret_is_never_shown() {
    let table = r#"
        [variables.TOKEN]
        secret = true
        [variables.DERIVED]
        type = "port"
        [variables.ANOTHER]
        secret = true
        default = "marlin"
        [variables.LEVEL]
        secret = true
        one-of = ["whiting"]
        [env]
        DERIVED = "${TOKEN}x"
        URL = "https://u:${TOKEN}@h/${ANOTHER}"
        AGAIN = "${URL_OF:-${TOKEN}}"
        [[setup]]
        name = "with ${TOKEN}"
        run = ["no-such-program", "--token=${TOKEN}", "${ANOTHER}", "${URL}"]
        [verbs.a]
        exec = ["no-such-program", "${TOKEN}", "${URL}", "${AGAIN}"]
        workdir = "/${TOKEN}"
    "#;
    for words in [
        &["a"][..],
        &["--explain", "a"],
        &["--explain", "--json", "a"],
        &["--list"],
        &["--list", "--json"],
        &["--check"],
        &["--log", "verbose", "a"],
        &["--log", "json", "a"],
        &["--skip-setup", "a"],
    ] {
        for level in ["whiting", "mackerel"] {
            for derived in ["type = \"port\"", "type = \"string\""] {
                let table = table.replace("type = \"port\"", derived);
                run(&table, words)
                    .env("TOKEN", "swordfish")
                    .env("LEVEL", level)
                    .any_stdout()
                    .any_stderr()
                    .stdout_lacks("swordfish")
                    .stderr_lacks("swordfish")
                    .stdout_lacks("marlin")
                    .stderr_lacks("marlin")
                    .stdout_lacks("mackerel")
                    .stderr_lacks("mackerel")
                    .any_status()
                    .run();
            }
        }
    }
}

#[test]
fn no_failure_message_shows_a_secret_in_a_path_user_or_target() {
    for (steps, verb, status) in [
        ("", "exec = [\"${TOKEN}/nope\"]", 127),
        ("", "exec = [\"true\"]\nuser = \"${TOKEN}\"", 77),
        ("run = [\"${TOKEN}\"]", "exec = [\"true\"]", 80),
        ("hooks = \"/x/${TOKEN}.sh\"", "exec = [\"true\"]", 80),
        ("mkdir = [\"/proc/${TOKEN}/x\"]", "exec = [\"true\"]", 71),
        ("render = \"/proc/${TOKEN}/x\"\nto = \"/x\"", "exec = [\"true\"]", 71),
        ("wait = [\"file:///${TOKEN}\"]\ntimeout = \"1ms\"", "exec = [\"true\"]", 69),
        ("wait = [{ exec = [\"${TOKEN}\"] }]\ntimeout = \"1ms\"", "exec = [\"true\"]", 69),
    ] {
        let step = if steps.is_empty() { String::new() } else { format!("[[setup]]\n{steps}\n") };
        let table = format!("[variables.TOKEN]\nsecret = true\n{step}[verbs.a]\n{verb}\n");
        for words in [&["a"][..], &["--log", "json", "a"], &["--log", "verbose", "a"]] {
            let test = run(&table, words).env("TOKEN", "swordfish").any_stderr().status(status);
            test.stderr_lacks("swordfish").run();
        }
        // Only the user is looked up before the run.
        let explained = if status == 77 { 77 } else { 0 };
        let explain = run(&table, &["--explain", "a"]).env("TOKEN", "swordfish").any_stdout().any_stderr();
        let explain = explain.status(explained);
        explain.stdout_lacks("swordfish").stderr_lacks("swordfish").run();
    }
}

#[test]
fn a_declared_secret_is_concealed_whichever_layer_sets_it() {
    run(
        "[variables.TOKEN]\nsecret = true\n[verbs.a]\nexec = [\"true\"]\n[verbs.a.env]\nTOKEN = \"swordfish\"\n",
        &["--explain", "a"],
    )
    .any_stdout()
    .stdout_lacks("swordfish")
    .stdout_contains("***")
    .run();
}

#[test]
fn an_excerpt_that_sets_a_secret_is_not_shown() {
    let table =
        "[variables.TOKEN]\nsecret = true\n[env]\nTOKEN = \"swordfish${\"\n[verbs.a]\nexec = [\"true\"]\n";
    run(table, &["a"]).status(78).any_stderr().stderr_contains("TOKEN = ***").stderr_lacks("swordfish").run();
}

#[test]
fn a_secret_is_shown_as_three_asterisks() {
    run(
        "[variables.TOKEN]\nsecret = true\n[env]\nURL = \"https://${TOKEN}/\"\n[verbs.a]\nexec = [\"echo\", \"${URL}\"]\n",
        &["--explain", "a"],
    )
    .env("TOKEN", "swordfish")
    .stdout_contains("***")
    .run();
}

#[test]
fn a_value_that_only_equals_the_secret_is_shown() {
    // By where it comes from, not by searching text.
    run(
        "[variables.TOKEN]\nsecret = true\n[env]\nX = \"swordfish\"\n[verbs.a]\nexec = [\"echo\", \"swordfish\"]\n",
        &["--explain", "a"],
    )
    .env("TOKEN", "swordfish")
    .stdout_contains("swordfish")
    .run();
}

// Compared with the shell

/// Random templates of the forms that the shell shares, expanded by preverb and by `sh`.
#[test]
fn random_templates_expand_as_in_the_shell() {
    let mut random = Random(0x5eed);
    let templates: Vec<String> = (0..400).map(|_| template(&mut random, 3)).collect();
    let values = [("SET", "value"), ("EMPTY", ""), ("BLANKS", "a  b")];

    // Many at once, so that two processes are enough: one argument each.
    let words: String = templates.iter().map(|text| format!("'''{text}''', ")).collect();
    let script: String = templates.iter().map(|text| format!("printf '<%s>\\n' \"{text}\"\n")).collect();
    let shell =
        std::process::Command::new("sh").args(["-c", &script]).env_clear().envs(values).output().unwrap();
    assert!(shell.status.success(), "{}", String::from_utf8_lossy(&shell.stderr));
    let mut test = run(&format!("[verbs.a]\nexec = [\"printf\", \"<%s>\\n\", {words}]\n"), &["a"]);
    for (name, value) in values {
        test = test.env(name, value);
    }
    test.stdout(shell.stdout).run();
}

/// The same, for the templates that fail: whether they do, and the message.
#[test]
fn random_templates_fail_as_in_the_shell() {
    let mut random = Random(0xbad);
    for _ in 0..60 {
        let name = random.pick(&["SET", "EMPTY", "UNSET"]);
        let operator = random.pick(&[":?", "?", ""]);
        let message = if operator.is_empty() { "" } else { "the message" };
        let text = format!("x${{{name}{operator}{message}}}y");
        let shell = std::process::Command::new("sh")
            .args(["-uc", &format!("printf '<%s>' \"{text}\"")])
            .env_clear()
            .envs([("SET", "value"), ("EMPTY", "")])
            .output()
            .unwrap();
        let case = expansion("", &text).env("SET", "value").env("EMPTY", "");
        if shell.status.success() {
            case.stdout(shell.stdout).run();
        } else {
            case.status(65).stderr_contains(format!("`{name}`")).stderr_contains(message).run();
        }
    }
}

/// Text without what means more to a shell than to preverb: quotes, backslashes, bare dollars.
fn template(random: &mut Random, depth: usize) -> String {
    let mut text = String::new();
    for _ in 0..=random.below(3) {
        if depth == 0 || random.below(3) == 0 {
            text +=
                random.pick(&["a", "b c", ":-", "-", "+", "?", ":", "{", "=", "%", "#", "/", "*", "é", ""]);
            continue;
        }
        let name = random.pick(&["SET", "EMPTY", "UNSET", "BLANKS"]);
        let operator = random.pick(&[":-", "-", ":+", "+", ""]);
        let word = if operator.is_empty() { String::new() } else { template(random, depth - 1) };
        // Without a default the shell would leave an empty string where preverb refuses.
        let name = if operator.is_empty() && name == "UNSET" { "SET" } else { name };
        text += &format!("${{{name}{operator}{word}}}");
    }
    text
}

#[test]
fn each_missing_variable_is_reported_but_not_its_consequences() {
    run(
        "[variables.DB_PASSWORD]\nrequired = true\n[env]\nURL = \"db://${DB_PASSWORD}@${DB_HOST}/${DB_NAME:-app}\"\n[verbs.a]\nexec = [\"true\"]\n",
        &["a"],
    )
    .status(65)
    .stderr_contains("`DB_PASSWORD`")
    .stderr_contains("`DB_HOST`")
    .stderr_lacks("DB_NAME")
    .run();
}
