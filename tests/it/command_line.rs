//! Chapter 2 of the specification: verbs, arguments, options, modes.

use crate::dsl::{PATH, Test, bytes, preverb};

/// Two verbs that show their arguments, and a default verb.
const TABLE: &str = r#"
    default = "show"

    [verbs.show]
    about = "Show each word"
    aliases = ["display", "print.words"]
    exec = ["printf", "<%s>", "fixed"]
    args = ["by", "default"]

    [verbs.worker]
    about = "Say which verb this is"
    exec = ["printenv", "PREVERB_VERB", "PREVERB_ENVIRONMENT"]

    [verbs."v1.2:tool"]
    exec = ["printf", "v1.2:tool <%s>"]

    [verbs.secret-handshake]
    hidden = true
    exec = ["echo", "hello"]

    [environments.dev.verbs.shell]
    aliases = ["sh"]
    exec = ["printf", "shell <%s>"]
"#;

fn words(words: &[&str]) -> Test {
    Test::new().table(TABLE).args(words)
}

/// Arguments that a careless command line would interpret or change.
const ODD_WORDS: &[&str] = &[
    "--help",
    "-h",
    "--version",
    "-V",
    "--list",
    "--table",
    "x",
    "--environment=dev",
    "--skip-setup",
    "--",
    "-",
    "",
    " ",
    "a b",
    "*",
    "$HOME",
    "${HOME}",
    "$${HOME}",
    "a=b",
    "'",
    "\"",
    "\\",
    "\n",
    "[DI",
    "worker",
];

fn shown(words: &[&str]) -> String {
    words.iter().map(|word| format!("<{word}>")).collect()
}

#[test]
fn a_verb_becomes_its_target() {
    words(&["worker"]).stdout("worker\nprod\n").pid1().run();
}

#[test]
fn arguments_after_the_verb_reach_the_target_byte_for_byte() {
    words(&["show"]).args(ODD_WORDS).stdout(format!("<fixed>{}", shown(ODD_WORDS))).pid1().run();
}

#[test]
fn a_log_option_after_the_verb_is_the_targets() {
    let table = "[[setup]]\nrun = [\"false\"]\non-failure = \"warn\"\n[verbs.a]\nexec = [\"echo\"]\n";
    for words in [&["a", "--log", "quiet"][..], &["a", "--log=json"], &["--", "echo", "--log", "quiet"]] {
        let test = Test::new().table(table).args(words).stdout_contains("--log");
        test.stderr_contains("preverb: warning: step `run false` failed").run();
    }
}

#[test]
fn an_unknown_option_beside_a_broken_table_is_reported_as_the_broken_table() {
    // The table may say that the option is the program's.
    let table = "default = \"a\"\nleading-dash = \"default\"\n[verbs.a\n";
    let test = Test::new().table(table).args(["--port", "80"]).status(78);
    test.stderr_contains("preverb: [DIR]/preverb.toml:3:").run();
}

#[test]
fn an_alias_of_another_environment_is_an_error() {
    let table = |more: &str| {
        format!(
            "{more}\n[environment]\nnames = [\"dev\", \"prod\"]\n[verbs.a]\naliases = [\"x\"]\nexec = [\"echo\"]\n\
             [environments.prod.verbs.a]\naliases = []\n"
        )
    };
    for more in ["", "unknown = \"exec\""] {
        let test = Test::new().table(table(more)).args(["x"]).status(78);
        test.stderr("preverb: verb `x` does not exist in environment `prod`, only in `dev`\n").run();
    }
}

#[test]
fn arguments_that_are_not_utf8_reach_the_target_byte_for_byte() {
    words(&["show"])
        .args([bytes(b"\xff\xfe"), bytes(b"a\x80=\xc3("), bytes(b"\x1b[0m")])
        .stdout(b"<fixed><\xff\xfe><a\x80=\xc3(><\x1b[0m>")
        .pid1()
        .run();
}

#[test]
fn options_before_the_verb_are_preverbs_and_after_it_the_targets() {
    words(&["--environment", "dev", "show", "--environment", "ci"])
        .stdout("<fixed><--environment><ci>")
        .run();
    words(&["--environment", "dev", "worker"]).stdout("worker\ndev\n").run();
    words(&["--environment=dev", "worker"]).stdout("worker\ndev\n").run();
}

#[test]
fn default_arguments_apply_only_without_arguments_of_the_caller() {
    words(&["show"]).stdout("<fixed><by><default>").run();
    words(&["show", ""]).stdout("<fixed><>").run();
}

#[test]
fn an_alias_runs_the_verb() {
    words(&["display", "x"]).stdout("<fixed><x>").run();
    words(&["print.words", "x"]).stdout("<fixed><x>").run();
}

// argv[0]

#[test]
fn a_link_named_after_a_verb_runs_that_verb() {
    Test::new().table(TABLE).argv0("/usr/local/bin/worker").stdout("worker\nprod\n").pid1().run();
    Test::new()
        .table(TABLE)
        .link("bin/show", preverb())
        .under(["sh", "-c", "exec show \"$@\""])
        .args(["[DIR]", "a"])
        // The shell takes the binary's path as its `$0`.
        .stdout("<fixed><[DIR]><a>")
        .run();
}

#[test]
fn all_arguments_of_a_link_reach_the_target() {
    Test::new()
        .table(TABLE)
        .argv0("show")
        .args(ODD_WORDS)
        .stdout(format!("<fixed>{}", shown(ODD_WORDS)))
        .pid1()
        .run();
}

#[test]
fn a_link_without_arguments_gets_the_default_arguments() {
    Test::new().table(TABLE).argv0("show").stdout("<fixed><by><default>").run();
}

#[test]
fn a_link_may_be_named_after_an_alias() {
    Test::new().table(TABLE).argv0("./display").args(["x"]).stdout("<fixed><x>").run();
}

#[test]
fn the_name_of_a_link_may_contain_dots_and_colons() {
    Test::new().table(TABLE).argv0("/x/v1.2:tool").args(["a"]).stdout("v1.2:tool <a>").run();
    Test::new().table(TABLE).argv0("print.words").args(["a"]).stdout("<fixed><a>").run();
    // `print` alone is not a verb, so this is preverb under another name.
    Test::new().table(TABLE).argv0("print").args(["worker"]).stdout("worker\nprod\n").run();
    Test::new().table(TABLE).argv0("show.exe").args(["worker"]).stdout("worker\nprod\n").run();
}

#[test]
fn a_link_with_another_name_takes_the_verb_from_its_arguments() {
    Test::new().table(TABLE).argv0("/entrypoint").args(["worker"]).stdout("worker\nprod\n").run();
}

#[test]
fn the_name_preverb_never_selects_a_verb_called_preverb() {
    Test::new()
        .table(
            "[verbs.preverb]\nexec = [\"echo\", \"the verb\"]\n[verbs.other]\nexec = [\"echo\", \"other\"]\n",
        )
        .argv0("/usr/bin/preverb")
        .args(["other"])
        .stdout("other\n")
        .run();
}

#[test]
fn a_link_named_after_a_verb_of_another_environment_is_an_error() {
    Test::new()
        .table(TABLE)
        .argv0("shell")
        .args(["x"])
        .status(78)
        .stderr_contains("`shell`")
        .stderr_contains("`dev`")
        .run();
    Test::new().table(TABLE).env("APP_ENV", "dev").argv0("shell").args(["x"]).stdout("shell <x>").run();
}

#[test]
fn a_link_named_after_an_alias_that_no_environment_has_is_not_a_verb() {
    let table = "[environment]\ndefault = \"dev\"\nnames = [\"dev\"]\n[verbs.x]\nexec = [\"true\"]\naliases = [\"a\"]\n[environments.dev.verbs.x]\naliases = [\"b\"]\n";
    Test::new()
        .table(table)
        .argv0("a")
        .args(["--list"])
        .stdout("Verbs in environment dev:\n  x  (also b)\n")
        .run();
    Test::new().table(table).argv0("a").args(["q"]).status(64).stderr_contains("unknown verb `q`").run();
}

#[test]
fn an_empty_or_missing_program_name_is_not_a_verb() {
    Test::new().table(TABLE).argv0("").args(["worker"]).stdout("worker\nprod\n").run();
    Test::new().table(TABLE).argv0("").stdout("<fixed><by><default>").run();
    Test::new().table(TABLE).argc_zero().stdout("<fixed><by><default>").run();
    Test::new().table(TABLE).argv0("/").args(["worker"]).stdout("worker\nprod\n").run();
    Test::new().table(TABLE).argv0(bytes(b"\xff")).args(["worker"]).stdout("worker\nprod\n").run();
}

// No verb

#[test]
fn without_arguments_the_default_verb_runs_with_its_default_arguments() {
    words(&[]).stdout("<fixed><by><default>").pid1().run();
    words(&["--environment", "dev"]).stdout("<fixed><by><default>").run();
}

#[test]
fn without_arguments_and_a_default_verb_the_verbs_are_listed() {
    Test::new()
        .table(
            r#"
            [verbs.server]
            about = "Serve HTTP"
            exec = ["true"]
            [verbs.migrate]
            about = "Bring the database up to date"
            exec = ["true"]
            [verbs.ghost]
            hidden = true
            exec = ["true"]
            "#,
        )
        .status(64)
        .stderr_contains("preverb: ")
        .stderr_contains("migrate")
        .stderr_contains("Bring the database up to date")
        .stderr_contains("server")
        .stderr_contains("Serve HTTP")
        .stderr_lacks("ghost")
        .pid1()
        .run();
}

#[test]
fn a_variable_never_chooses_the_verb() {
    words(&[]).env("PREVERB_VERB", "worker").stdout("<fixed><by><default>").run();
}

// Unknown arguments

#[test]
fn an_unknown_verb_is_reported_with_a_suggestion_and_the_list() {
    words(&["wroker", "--now"])
        .status(64)
        .stderr_contains("preverb: ")
        .stderr_contains("`wroker`")
        .stderr_contains("`worker`")
        .stderr_contains("Show each word")
        .stderr_contains("Say which verb this is")
        .stderr_lacks("handshake")
        .pid1()
        .run();
}

#[test]
fn the_nearest_verb_may_be_an_alias() {
    words(&["dispaly"]).status(64).stderr_contains("`display`").run();
}

#[test]
fn an_argument_that_resembles_no_verb_gets_no_suggestion() {
    words(&["/bin/ls"]).status(64).stderr_contains("`/bin/ls`").stderr_lacks("did you mean").run();
}

#[test]
fn unknown_verbs_are_commands_if_the_table_allows_it() {
    const EXEC: &str = r#"
        unknown = "exec"
        env = { A = "from the table" }
        [verbs.server]
        exec = ["echo", "server"]
    "#;
    let exec = |words: &[&str]| Test::new().table(EXEC).args(words);
    exec(&["printenv", "A"]).stdout("from the table\n").pid1().run();
    exec(&["printf", "<%s>", "${A}", "--help", "--", ""]).stdout("<${A}><--help><--><>").run();
    exec(&["server"]).stdout("server\n").run();
    exec(&["sh", "-c", "echo \"${PREVERB_VERB-none}\""])
        .env("PREVERB_VERB", "inherited")
        .stdout("none\n")
        .run();
    exec(&["no-such-program"]).status(127).stderr_contains("`no-such-program`").run();
    // Without an argument there is nothing to run.
    exec(&[]).status(64).stderr_contains("server").run();
}

#[test]
fn a_mistyped_verb_gets_a_suggestion_even_if_any_command_runs() {
    let test = |words: &[&str]| {
        Test::new().table("unknown = \"exec\"\n[verbs.server]\nexec = [\"true\"]\n").args(words).status(127)
    };
    test(&["sever", "-x"])
        .stderr_contains("`sever`")
        .stderr_contains("did you mean `server`?")
        .stderr_contains("the verbs in environment `prod`:")
        .run();
    test(&["server --port 80"])
        .stderr_contains("give each argument separately: [\"server\", \"--port\", \"80\"]")
        .run();
    // Arguments that are not meant as a verb: after `--`, and where the program is found but cannot run.
    test(&["--", "sever"]).stderr_lacks("did you mean").run();
    test(&["/etc/passwd"]).status(126).stderr_lacks("the verbs in environment").run();
}

#[test]
fn a_command_line_in_one_string_is_an_unknown_verb() {
    words(&["worker --now  \t2"])
        .status(64)
        .stderr_contains("unknown verb `worker --now  \\t2`")
        .stderr_contains("give each argument separately: [\"worker\", \"--now\", \"2\"]")
        .run();
    words(&["nothing like it"]).status(64).stderr_lacks("by itself").run();
}

#[test]
fn unknown_verbs_go_to_the_default_verb_if_the_table_allows_it() {
    const TABLE: &str = r#"
        default = "app"
        unknown = "default"
        [verbs.app]
        exec = ["printf", "app<%s>"]
        args = ["default"]
        [verbs.shell]
        exec = ["printf", "shell<%s>"]
        [environments.dev.verbs.debug]
        exec = ["true"]
    "#;
    let test = |words: &[&str]| Test::new().table(TABLE).args(words);
    test(&["scheduler", "--now", ""]).stdout("app<scheduler>app<--now>app<>").pid1().run();
    test(&["server --port 80"]).stdout("app<server --port 80>").run();
    test(&["shell", "x"]).stdout("shell<x>").run();
    test(&[]).stdout("app<default>").run();
    test(&["--", "printf", "<%s>", "scheduler"]).stdout("<scheduler>").run();
    test(&["-x"]).status(64).stderr_contains("unknown option `-x`").run();
    for words in [
        &["--supervise", "sh", "-c", "exit 3"][..],
        &["--as", "nobody", "sh", "-c", "id"],
        &["--exec", "ls", "-l"],
    ] {
        test(words).status(64).stderr_contains("hint: a command stands after `--`: `preverb --").run();
    }
    // A verb of another environment is still an error.
    test(&["debug"]).status(78).stderr_contains("only in `dev`").run();
}

#[test]
fn a_first_argument_that_matches_a_pattern_calls_that_verb_with_all_arguments() {
    const TABLE: &str = r#"
        default = "server"
        unknown = "exec"
        [verbs.server]
        match = ["*.conf"]
        exec = ["printf", "server<%s>"]
        [verbs.tool]
        match = ["rabbitmq*", "*"]
        exec = ["env"]
        [verbs.longest]
        match = ["rabbitmq-*-x", "a*c*"]
        exec = ["printf", "longest<%s>"]
        [environments.dev.verbs.server]
        match = ["*.cfg"]
        [environments.dev.verbs.debug]
        exec = ["true"]
    "#;
    let test = |words: &[&str]| {
        Test::new().table(TABLE).program("rabbitmqctl", "#!/bin/sh\necho \"$PREVERB_VERB $*\"\n").args(words)
    };
    test(&["/etc/redis.conf", "--port", "1"])
        .stdout("server</etc/redis.conf>server<--port>server<1>")
        .pid1()
        .run();
    test(&["rabbitmq-a-x"]).stdout("longest<rabbitmq-a-x>").run();
    test(&["abc", "abcd"]).stdout("longest<abc>longest<abcd>").run();
    test(&["echo", "hi"]).stdout("hi\n").run();
    // A verb is still a verb, and one of another environment is still an error.
    test(&["server", "x.conf"]).stdout("server<x.conf>").run();
    test(&["debug"]).status(78).stderr_contains("only in `dev`").run();
    // An environment's list replaces that of the verb.
    let dev = |words: &[&str]| Test::new().table(TABLE).args(["--environment", "dev"]).args(words);
    dev(&["x.cfg"]).stdout("server<x.cfg>").run();
    dev(&["--explain", "x.cfg"]).stdout_contains("server<%s> x.cfg").run();
}

#[test]
fn one_pattern_cannot_call_two_verbs() {
    let table =
        "[verbs.a]\nmatch = [\"*.c\"]\nexec = [\"true\"]\n[verbs.b]\nmatch = [\"*.c\"]\nexec = [\"true\"]\n";
    for words in [&["x.c"][..], &["a"], &["--check"]] {
        Test::new()
            .table(table)
            .args(words)
            .status(78)
            .stderr_contains("pattern `*.c` is in `match` of verbs `a` and `b`")
            .run();
    }
}

#[test]
fn unknown_and_leading_dash_need_a_default_verb() {
    for key in ["unknown", "leading-dash"] {
        for words in [&["a"][..], &["x"], &[], &["--", "true"], &["--check"], &["--list"]] {
            Test::new()
                .table(format!("{key} = \"default\"\n[verbs.a]\nexec = [\"true\"]\n"))
                .args(words)
                .status(78)
                .stderr_contains(format!("`{key}` is `default`, but the table has no `default` verb"))
                .run();
        }
    }
}

#[test]
fn unknown_is_an_error_by_default() {
    Test::new()
        .table("unknown = \"error\"\n[verbs.a]\nexec = [\"true\"]\n")
        .args(["printenv"])
        .status(64)
        .stderr_contains("`printenv`")
        .run();
}

#[test]
fn a_hidden_verb_can_be_called() {
    words(&["secret-handshake"]).stdout("hello\n").run();
}

#[test]
fn a_mistake_in_an_environments_verb_does_not_change_the_list() {
    let table = "[verbs.a]\nabout = \"Serve\"\nexec = [\"true\"]\n[verbs.b]\nhidden = true\nexec = [\"true\"]\n[environments.prod.verbs.a]\nabout = 3\n[environments.prod.verbs.b]\nhidden = 3\n";
    Test::new().table(table).args(["--list"]).stdout("Verbs in environment prod:\n  a  Serve\n").run();
}

// A leading dash

#[test]
fn an_unknown_option_is_a_usage_error() {
    for word in ["-x", "--bogus", "-", "--environment-x", "-c=1", "-hV", "--tabel=x"] {
        words(&[word]).status(64).stderr_contains(word).run();
    }
    words(&["--tabel", "x"]).status(64).stderr_contains("`--table`").run();
}

/// The default verb stands for a program with options of its own.
const DASH: &str = r#"
    default = "server"
    leading-dash = "default"
    [verbs.server]
    about = "Serve"
    exec = ["printf", "server<%s>"]
    args = ["default"]
    [verbs.other]
    exec = ["printf", "other<%s>"]
    [environments.dev.verbs.server]
    exec = ["printf", "dev<%s>"]
"#;

#[test]
fn a_leading_dash_goes_to_the_default_verb_if_the_table_says_so() {
    let dash = |words: &[&str]| Test::new().table(DASH).args(words);
    dash(&["-c", "max=5", "--", "x"]).stdout("server<-c>server<max=5>server<-->server<x>").pid1().run();
    dash(&["--bogus=1"]).stdout("server<--bogus=1>").run();
    dash(&["-"]).stdout("server<->").run();
    dash(&["other", "-c"]).stdout("other<-c>").run();
    dash(&[]).stdout("server<default>").run();
    Test::new().table(DASH).args([bytes(b"-\xff")]).stdout(b"server<-\xff>").run();
}

#[test]
fn with_leading_dash_preverbs_own_options_go_to_the_default_verb() {
    let dash = |words: &[&str]| Test::new().table(DASH).args(words);
    for word in
        ["--help", "-h", "--version", "-V", "--json", "--group", "--skip-setup", "--log=loud", "--list=1"]
    {
        dash(&[word, "--list"]).stdout(format!("server<{word}>server<--list>")).run();
    }
    dash(&["--timeout", "300"]).stdout("server<--timeout>server<300>").run();
    dash(&["--log", "info"]).stdout("server<--log>server<info>").run();
    dash(&["--environment", "dev", "-c"]).stdout("server<--environment>server<dev>server<-c>").run();
    dash(&["--workers", "4", "--timeout", "120"])
        .stdout("server<--workers>server<4>server<--timeout>server<120>")
        .run();
}

#[test]
fn with_leading_dash_help_and_version_go_to_the_default_verb_despite_errors() {
    for word in ["--help", "--version"] {
        Test::new()
            .table(format!("unknwon = 1\n{DASH}"))
            .args([word])
            .status(78)
            .stderr_contains("unknown key `unknwon`")
            .run();
    }
}

#[test]
fn with_leading_dash_a_mode_that_comes_first_is_still_preverbs() {
    let dash = |words: &[&str]| Test::new().table(DASH).args(words);
    dash(&["--list"]).stdout_contains("other").run();
    dash(&["--check"]).run();
    dash(&["--explain", "-c", "x"]).stdout_contains("server<%s>").run();
    dash(&["--list", "--timeout", "1s"]).status(64).stderr_contains("`--timeout`").run();
    dash(&["--", "printf", "<%s>", "-c"]).stdout("<-c>").run();
}

#[test]
fn with_leading_dash_a_table_option_that_comes_first_is_still_preverbs() {
    let test = |words: &[&str]| {
        Test::new().file("t.toml", DASH, 0o644).table("[verbs.x]\nexec = [\"true\"]\n").args(words)
    };
    test(&["--table", "t.toml", "--timeout", "3"]).stdout("server<--timeout>server<3>").run();
    test(&["--table=t.toml", "--list"]).stdout_contains("other").run();
    test(&["--table=t.toml", "--table=u"]).stdout("server<--table=u>").run();
    test(&["--table=t.toml"]).stdout("server<default>").run();
    test(&["--table=t.toml", "--", "printf", "<%s>", "-c"]).stdout("<-c>").run();
}

#[test]
fn with_leading_dash_a_link_with_another_name_takes_no_option_for_preverb() {
    let test = |words: &[&str]| Test::new().table(DASH).argv0("docker-entrypoint.sh").args(words);
    test(&["--check"]).stdout("server<--check>").run();
    test(&["--list", "--json"]).stdout("server<--list>server<--json>").run();
    test(&["--table", "x"]).stdout("server<--table>server<x>").run();
    test(&["other", "--list"]).stdout("other<--list>").run();
    test(&["--", "printf", "<%s>", "-c"]).stdout("<-c>").run();
}

#[test]
fn leading_dash_does_not_change_the_arguments_of_a_link() {
    Test::new().table(DASH).argv0("other").args(["--help"]).stdout("other<--help>").run();
}

// `--`

#[test]
fn a_command_after_two_dashes_runs_unexpanded() {
    words(&["--", "printf", "<%s>"]).args(ODD_WORDS).stdout(shown(ODD_WORDS)).pid1().run();
    // Not the verb `worker`.
    words(&["--", "worker"]).status(127).stderr_contains("`worker`").run();
    words(&["--", "--help"]).status(127).stderr_contains("`--help`").run();
}

#[test]
fn a_command_after_two_dashes_has_the_variables_of_table_and_environment() {
    let command = |words: &[&str]| {
        Test::new()
            .table(
                r#"
                [env]
                A = "table"
                B = "table"
                [variables.C]
                default = "declared"
                [environments.dev.env]
                B = "dev"
                [verbs.server]
                exec = ["true"]
                env = { A = "verb" }
                "#,
            )
            .args(words)
    };
    command(&["--environment", "dev", "--", "printenv", "A", "B", "C", "PREVERB_ENVIRONMENT"])
        .stdout("table\ndev\ndeclared\ndev\n")
        .run();
    command(&["--", "sh", "-c", "echo ${PREVERB_VERB-none}"])
        .env("PREVERB_VERB", "inherited")
        .stdout("none\n")
        .run();
}

#[test]
fn a_command_after_two_dashes_runs_the_setup_that_belongs_to_no_verb() {
    Test::new()
        .table(
            r#"
            [[setup]]
            run = ["sh", "-c", "echo for all"]
            [[setup]]
            run = ["sh", "-c", "echo for server"]
            verbs = ["server"]
            [[setup]]
            run = ["sh", "-c", "echo for all but server"]
            verbs = ["!server"]
            [[environments.prod.setup]]
            run = ["sh", "-c", "echo for prod"]
            [verbs.server]
            exec = ["true"]
            [[verbs.server.setup]]
            run = ["sh", "-c", "echo of server"]
            "#,
        )
        .args(["--log", "quiet", "--", "echo", "done"])
        .stdout("done\n")
        .stderr("for all\nfor prod\n")
        .run();
}

#[test]
fn two_dashes_alone_are_a_usage_error() {
    words(&["--"]).status(64).stderr_contains("preverb: ").run();
    words(&["--skip-setup", "--"]).status(64).stderr_contains("preverb: ").run();
}

#[test]
fn an_empty_command_is_not_found() {
    words(&["--", ""]).status(127).stderr_contains("``").run();
}

#[test]
fn an_empty_argument_is_an_unknown_verb() {
    words(&[""]).status(64).stderr_contains("``").run();
}

// Options

#[test]
fn an_option_given_twice_is_a_usage_error() {
    for option in ["--environment=dev", "--skip-setup", "--log=quiet", "--table=[DIR]/preverb.toml"] {
        let name = option.split('=').next().unwrap();
        words(&[option, option, "worker"]).status(64).stderr_contains(format!("`{name}")).run();
    }
    words(&["--environment", "dev", "--environment=dev", "worker"])
        .status(64)
        .stderr_contains("`--environment")
        .run();
}

#[test]
fn an_option_without_its_value_is_a_usage_error() {
    for option in ["--environment", "--table", "--log"] {
        words(&[option]).status(64).stderr_contains(option).run();
    }
}

#[test]
fn a_value_for_an_option_without_one_is_a_usage_error() {
    words(&["--skip-setup=yes", "worker"]).status(64).stderr_contains("--skip-setup").run();
}

#[test]
fn an_unknown_log_format_is_a_usage_error() {
    words(&["--log", "loud", "worker"]).status(64).stderr_contains("loud").stderr_contains("quiet").run();
}

#[test]
fn an_invalid_environment_name_in_the_option_is_a_usage_error() {
    for name in ["", "../x", "-x", ".x", "a b", "é", "a/b"] {
        words(&[&format!("--environment={name}"), "worker"])
            .status(64)
            .stderr_contains("--environment")
            .run();
    }
    Test::new()
        .table(TABLE)
        .args([bytes(b"--environment"), bytes(b"\xff"), bytes(b"worker")])
        .status(64)
        .stderr_contains("--environment")
        .run();
}

#[test]
fn the_option_environment_also_sets_the_variable_that_names_it() {
    let table = r#"
        [environment]
        variable = "RAILS_ENV"
        [verbs.show]
        exec = ["sh", "-c", 'echo "$RAILS_ENV $PREVERB_ENVIRONMENT $${APP_ENV-unset}"']
    "#;
    Test::new()
        .table(table)
        .env("RAILS_ENV", "ci")
        .args(["--environment", "dev", "show"])
        .stdout("dev dev unset\n")
        .run();
    Test::new()
        .table(table)
        .env("RAILS_ENV", "ci")
        .env("APP_ENV", "other")
        .args(["show"])
        .stdout("ci ci other\n")
        .run();
}

#[test]
fn the_option_table_wins_over_the_variable() {
    words(&["--table", "[DIR]/other.toml", "worker"])
        .file("other.toml", "[verbs.worker]\nexec = [\"echo\", \"other\"]\n", 0o644)
        .stdout("other\n")
        .run();
    words(&["--table=other.toml", "worker"])
        .file("other.toml", "[verbs.worker]\nexec = [\"echo\", \"other\"]\n", 0o644)
        .stdout("other\n")
        .run();
}

#[test]
fn the_path_of_a_table_need_not_be_utf8() {
    let path = bytes(b"t\xff.toml");
    Test::new()
        .file(&path, "[verbs.worker]\nexec = [\"echo\", \"other\"]\n", 0o644)
        .args([bytes(b"--table"), path, bytes(b"worker")])
        .stdout("other\n")
        .run();
}

#[test]
fn without_option_and_variable_the_table_is_in_etc() {
    Test::new()
        .file("etc/preverb/preverb.toml", "[verbs.a]\nexec = [\"echo\", \"from etc\"]\n", 0o644)
        .file("etc/preverb/preverb.d/b.toml", "[verbs.b]\nexec = [\"echo\", \"from its drop-in\"]\n", 0o644)
        .mounts("mount --bind \"$0/etc\" /etc")
        .args(["b"])
        .stdout("from its drop-in\n")
        .run();
}

#[test]
fn a_missing_table_is_reported_with_its_path() {
    Test::new().args(["worker"]).status(78).stderr_contains("`/etc/preverb/preverb.toml`").pid1().run();
    Test::new().args(["--", "true"]).status(78).stderr_contains("`/etc/preverb/preverb.toml`").run();
    Test::new()
        .args(["--table", "[DIR]/nowhere.toml", "worker"])
        .status(78)
        .stderr_contains("`[DIR]/nowhere.toml`")
        .run();
}

#[test]
fn all_of_setup_can_be_skipped() {
    const FAILS: &str = r#"
        [[setup]]
        run = ["false"]
        [verbs.server]
        exec = ["echo", "served"]
        [[verbs.server.setup]]
        hooks = "[DIR]/hooks"
    "#;
    let server = || Test::new().table(FAILS).hook("10-fail.sh", "exit 1\n");
    server().args(["--skip-setup", "server"]).stdout("served\n").any_stderr().run();
    server().args(["server"]).env("PREVERB_SKIP_SETUP", "1").stdout("served\n").any_stderr().run();
    server().args(["server"]).env("PREVERB_SKIP_SETUP", "").status(80).any_stderr().run();
    server().args(["server"]).status(80).any_stderr().run();
}

// Modes

#[test]
fn two_modes_at_once_are_a_usage_error() {
    for two in [["--list", "--check"], ["--explain", "--list"], ["--check", "--explain"]] {
        words(&two).status(64).stderr_contains(two[0]).run();
    }
}

#[test]
fn json_without_list_check_or_explain_is_a_usage_error() {
    words(&["--json", "worker"]).status(64).stderr_contains("--json").run();
}

#[test]
fn options_can_come_before_or_after_a_mode() {
    words(&["--list", "--environment", "dev"]).stdout_contains("shell").run();
    words(&["--environment", "dev", "--list"]).stdout_contains("shell").run();
    words(&["--list"]).stdout_lacks("shell").run();
    Test::new()
        .file("t.toml", TABLE, 0o644)
        .args(["--list", "--table", "[DIR]/t.toml"])
        .stdout_contains("worker")
        .run();
}

#[test]
fn list_takes_no_arguments() {
    words(&["--list", "worker"]).status(64).stderr_contains("worker").run();
    words(&["--check", "worker"]).status(64).stderr_contains("worker").run();
    words(&["--list", "--"]).status(64).stderr("preverb: `--list` takes no argument `--`\n").run();
}

const LISTED: &str = r#"
    default = "server"
    [variables.PORT]
    about = "Port to listen on"
    type = "port"
    default = "8000"
    [variables.DB_PASSWORD]
    about = "Password of the database"
    required = true
    secret = true
    [variables.TOKEN]
    secret = true
    default = "swordfish"
    [variables.COLOUR]
    one-of = ["red", "green"]
    [verbs.worker]
    about = "Run background jobs"
    exec = ["true"]
    [verbs.server]
    about = "Serve HTTP"
    aliases = ["web", "http"]
    exec = ["true"]
    [verbs.ghost]
    about = "Not to be seen"
    hidden = true
    exec = ["true"]
    [environments.dev.verbs.shell]
    about = "Open a shell"
    exec = ["sh"]
    [environments.dev.verbs.server]
    about = "Serve HTTP and reload"
"#;

#[test]
fn list_shows_the_verbs_of_the_environment_and_the_declared_variables() {
    let list = |words: &[&str]| Test::new().table(LISTED).args(words);
    list(&["--list"])
        .stdout_contains("server")
        .stdout_contains("Serve HTTP")
        .stdout_contains("web")
        .stdout_contains("http")
        .stdout_contains("default")
        .stdout_contains("Run background jobs")
        .stdout_contains("Port to listen on")
        .stdout_contains("8000")
        .stdout_contains("port")
        .stdout_contains("required")
        .stdout_contains("secret")
        .stdout_contains("red")
        .stdout_lacks("ghost")
        .stdout_lacks("shell")
        .stdout_lacks("reload")
        .stdout_lacks("swordfish")
        .check(|output| {
            let text = output.text();
            assert!(text.find("server").unwrap() < text.find("worker").unwrap());
            let column = |about: &str| {
                let line = text.lines().find(|line| line.contains(about)).unwrap();
                line.find(about).unwrap()
            };
            assert_eq!(column("Serve HTTP"), column("Run background jobs"), "{text}");
        })
        .pid1()
        .run();
    list(&["--list", "--environment", "dev"])
        .stdout_contains("Serve HTTP and reload")
        .stdout_contains("Open a shell")
        .run();
}

#[test]
fn a_list_is_well_laid_out() {
    Test::new()
        .table(LISTED)
        .args(["--list"])
        .stdout(
            "Verbs in environment prod:
  server  Serve HTTP (default; also http, web)
  worker  Run background jobs

Variables:
  COLOUR       (string; red|green)
  DB_PASSWORD  Password of the database (string; required; secret)
  PORT         Port to listen on (port; default 8000)
  TOKEN        (string; default ***; secret)
",
        )
        .run();
}

#[test]
fn list_json_is_one_value() {
    for words in [["--list", "--json"], ["--json", "--list"]] {
        Test::new()
            .table(LISTED)
            .args(words)
            .any_stdout()
            .check(|output| {
                let all = output.json().to_string();
                for part in ["server", "worker", "web", "Serve HTTP", "PORT", "8000", "DB_PASSWORD"] {
                    assert!(all.contains(part), "{part} in {all}");
                }
                for part in ["ghost", "shell", "swordfish"] {
                    assert!(!all.contains(part), "{part} in {all}");
                }
            })
            .run();
    }
}

#[test]
fn listing_an_empty_table_is_not_an_error() {
    Test::new().table("").args(["--list"]).any_stdout().run();
}

#[test]
fn modes_run_no_step() {
    for mode in ["--list", "--check", "--explain"] {
        Test::new()
            .table(
                r#"
                default = "a"
                [[setup]]
                run = ["touch", "[DIR]/ran"]
                [verbs.a]
                exec = ["touch", "[DIR]/ran"]
                "#,
            )
            .args([mode])
            .any_stdout()
            .any_stderr()
            .check(|output| assert!(output.file("ran").is_none()))
            .run();
    }
}

#[test]
fn version_prints_name_and_number() {
    let version = concat!("preverb ", env!("CARGO_PKG_VERSION"), "\n");
    for word in ["--version", "-V"] {
        Test::new().args([word]).stdout(version).pid1().run();
        Test::new().table("= broken").args([word]).stdout(version).run();
        words(&[word]).stdout(version).run();
    }
}

#[test]
fn help_shows_the_usage_and_the_verbs() {
    for word in ["--help", "-h"] {
        words(&[word])
            .stdout_contains("preverb [OPTIONS]")
            .stdout_contains("--environment")
            .stdout_contains("--table")
            .stdout_contains("--skip-setup")
            .stdout_contains("--log")
            .stdout_contains("--list")
            .stdout_contains("--check")
            .stdout_contains("--explain")
            .stdout_contains("--json")
            .stdout_contains("Show each word")
            .stdout_contains("worker")
            .stdout_lacks("handshake")
            .run();
    }
}

#[test]
fn help_works_without_a_table() {
    Test::new()
        .args(["--help"])
        .stdout_contains("preverb [OPTIONS]")
        .stdout_contains("/etc/preverb/preverb.toml")
        .any_stderr()
        .pid1()
        .run();
}

#[test]
fn help_reports_a_broken_table_in_one_line() {
    Test::new()
        .table("default = \"a\"\nverbs = 3\n")
        .args(["--help"])
        .any_stderr()
        .any_stdout()
        .check(|output| {
            let all = format!("{}{}", output.text(), output.messages());
            assert!(all.contains("preverb [OPTIONS]"), "{all}");
            assert!(all.contains("preverb.toml"), "{all}");
        })
        .run();
}

#[test]
fn help_lists_the_valid_verbs_and_reports_other_errors_in_one_line() {
    let help = |table: &str| Test::new().table(table).args(["--help"]).stdout_contains("Do it");
    let verb = "[verbs.a]\nabout = \"Do it\"\nexec = [\"true\"]\n";
    help(verb).stdout_lacks("has an error").run();
    help(&format!("{verb}[env]\nA = 1\n"))
        .stdout_contains(
            "reports all of them): [DIR]/preverb.toml:5:5: `A` must be a string, not an integer\n",
        )
        .run();
    help(&format!("{verb}[verbs.b]\nexec = \"echo\"\n"))
        .stdout_contains("[DIR]/preverb.toml:5:8: `exec`")
        .run();
}

#[test]
fn invalid_options_beside_help_and_version_are_usage_errors() {
    for mode in ["--help", "--version"] {
        words(&["--skip-setup=1", mode]).status(64).stderr_contains("`--skip-setup` takes no value").run();
        words(&["--log", "json", "--log", "text", mode]).status(64).any_stderr().run();
        words(&["--log", "xml", mode]).status(64).stderr_contains("`xml`").run();
    }
}

#[test]
fn supervise_accepts_only_signals_that_can_be_caught_each_once() {
    let supervise = |list: &str| Test::new().args(["--supervise", "--signals", list, "--", "true"]);
    supervise("KILL=TERM").status(64).stderr_contains("`KILL`").run();
    supervise("TERM=QUIT,STOP=none").status(64).stderr_contains("`STOP`").run();
    supervise("TERM=QUIT,TERM=INT").status(64).stderr_contains("`TERM`").run();
    supervise("35=TERM,RTMIN+1=INT").status(64).stderr_contains("`RTMIN+1`").run();
    supervise("TERM=KILL,35=none,RTMIN+2=INT").run();
}

#[test]
fn a_shim_passes_its_environment_on() {
    let shim = |words: &[&str]| Test::new().table(format!("{TABLE}\n[shim]\nimage = \"i\"\n")).args(words);
    shim(&["--environment", "dev", "--shim", "shell"])
        .stdout_contains("set -- -- i shell \"$@\"\nset -- --env=APP_ENV=dev \"$@\"\n")
        .run();
    shim(&["--environment", "dev", "--shim"])
        .stdout_contains("set -- -- i \"$@\"\nset -- --env=APP_ENV=dev \"$@\"\n")
        .run();
    // The host's variable applies only to the host.
    shim(&["--shim", "shell"]).env("APP_ENV", "dev").stdout_contains("set -- -- i shell \"$@\"\n").run();
}

#[test]
fn help_after_the_name_of_a_link_reaches_the_target() {
    Test::new().table(TABLE).argv0("show").args(["--help"]).stdout("<fixed><--help>").run();
}

#[test]
fn a_run_adds_only_its_two_variables() {
    Test::new()
        .table("[verbs.env]\nexec = [\"env\"]\n")
        .args(["env"])
        .any_stdout()
        .check(|output| {
            let mut lines: Vec<&str> = output.text().lines().collect();
            lines.sort_unstable();
            let dir = output.dir.path().display();
            assert_eq!(
                lines,
                [
                    &format!("PATH={dir}/bin:{PATH}"),
                    "PREVERB_ENVIRONMENT=prod",
                    &format!("PREVERB_TABLE={dir}/preverb.toml"),
                    "PREVERB_VERB=env",
                ]
            );
        })
        .pid1()
        .run();
}

#[test]
fn preverbs_internal_options_can_be_arguments_of_a_verb() {
    let table = "default = \"worker\"\nleading-dash = \"default\"\n[verbs.worker]\nexec = [\"echo\"]\n";
    for part in ["as", "dump", "probe", "target"] {
        let word = format!("--preverb-{part}");
        let test = || {
            let words = [&*word, "foreground", "--", "true"];
            Test::new().table(table).args(words).stdout(format!("{word} foreground -- true\n"))
        };
        test().run();
        test().argv0("worker").run();
        test().argv0("preverb").run();
    }
}
