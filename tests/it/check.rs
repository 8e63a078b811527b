//! `--check`, from chapter 10 of the specification: every error of a table and its image is reported in
//! one run, each once. The broken tables and the expected messages are in `tests/golden/check`: `NAME.toml`
//! and `NAME.txt`, a pattern that `PREVERB_UPDATE=1` rewrites.

use crate::dsl::Test;

/// The image that every table here is checked in.
fn image() -> Test {
    // The header of a 64-bit ELF file for a processor that no machine here has (MIPS, 8).
    let mut foreign = b"\x7fELF\x02\x01\x01".to_vec();
    foreign.resize(64, 0);
    foreign[16] = 2;
    foreign[18] = 8;
    Test::new()
        .program("app", "#!/bin/sh\n")
        .file("data", "text\n", 0o644)
        .file("interpreter-missing", "#!/no/such/interpreter -x\n", 0o755)
        .file("carriage-return", "#!/bin/sh\r\necho\r\n", 0o755)
        .file("no-line", "echo\n", 0o755)
        .file("empty", "", 0o755)
        .file("foreign", foreign, 0o755)
        .file("good.template", "${GOOD} $host $${x}\n", 0o644)
        .file("bad.template", "one\n${NOBODY}\n${MALFORMED\n", 0o644)
        .directory("empty-directory", 0o755)
        .hook("10-export.sh", "export EXPORTED_BY_A_HOOK=1\n")
        .file("bad-hooks/10-readme.txt", "text\n", 0o644)
        .file("bad-hooks/20-zsh.sh", "#!/bin/zsh\n", 0o644)
        .directory("bad-hooks/30-mount.sh", 0o755)
        .directory("bad-hooks/40-directory", 0o755)
        .link("bad-hooks/50-link", "nowhere")
        .file("bad-hooks/60-lost", "#!/no/such/interpreter\n", 0o755)
        .file("bad-hooks/.hidden", "", 0o644)
        .file("scripts/10-shell.sh", ":\n", 0o644)
        .file("scripts/20-python.py", "", 0o644)
        .file("scripts/30-data.sql", "", 0o644)
        .file("scripts/40-executable.sql", "#!/bin/sh\n", 0o755)
        .env("IN_IMAGE", "perhaps")
}

#[track_caller]
fn broken(table: &str, message: &'static str, status: i32) {
    image().table(table).args(["--check"]).status(status).stderr_golden(message).run();
}

macro_rules! golden {
    ($($test:ident $name:literal $status:literal)*) => {$(
        #[test]
        fn $test() {
            broken(
                include_str!(concat!("../golden/check/", $name, ".toml")),
                concat!("check/", $name, ".txt"),
                $status,
            );
        }
    )*};
}

golden! {
    aliases_of_an_environment "aliases-of-an-environment" 78
    aliases "aliases" 78
    declarations "declarations" 78
    default_elsewhere "default-elsewhere" 0
    default_verb "default-verb" 78
    defined_twice "defined-twice" 78
    durations_and_modes "durations-and-modes" 78
    everything_at_once "everything-at-once" 78
    files_that_steps_need "files-that-steps-need" 78
    filters "filters" 78
    hook_interpreters "hook-interpreters" 78
    hooks "hooks" 78
    kinds "kinds" 78
    leading_dash "leading-dash" 78
    limits_and_capabilities "limits-and-capabilities" 78
    malformed "malformed" 78
    names "names" 78
    no_exec "no-exec" 78
    preverb_variables "preverb-variables" 0
    programs_from_variables "programs-from-variables" 78
    programs_that_a_step_may_install "programs-that-a-step-may-install" 78
    programs_that_cannot_be_loaded "programs-that-cannot-be-loaded" 78
    programs "programs" 78
    render "render" 78
    shim "shim" 78
    steps_that_fail_in_every_run "steps-that-fail-in-every-run" 78
    steps_that_may_not_run "steps-that-may-not-run" 78
    syntax "syntax" 78
    targets "targets" 78
    unknown_keys "unknown-keys" 78
    users "users" 78
    variables "variables" 0
    verbs_that_differ "verbs-that-differ" 78
    workdirs "workdirs" 78
    wrong_types "wrong-types" 78
}

#[test]
fn check_prints_nothing_about_a_valid_table() {
    let sound = || {
        image()
            .table(include_str!("../golden/check/sound.toml"))
            .args(["--check"])
            .env("IN_IMAGE", "yes")
            .file("etc/app.conf", "", 0o644)
            .pid1()
    };
    sound().run();
    sound()
        .args(["--log", "verbose"])
        .stderr("preverb: checked the table `[DIR]/preverb.toml`: 3 verbs in 2 environments\n")
        .run();
    sound().args(["--json"]).stdout("[]\n").run();
}

#[test]
fn a_path_that_a_step_creates_is_not_reported_as_missing() {
    let passed = |steps: &str, rest: &str| {
        let table = format!("{rest}\n{steps}\n[verbs.a]\nexec = [\"true\"]\n");
        image().directory("wd", 0o755).table(table).args(["--check"]).run();
    };
    let made = |mkdir: &str, then: &str| format!("[[setup]]\nmkdir = \"{mkdir}\"\n[[setup]]\n{then}\n");
    for (mkdir, to) in [
        ("made", "made/x"),
        ("made", "./made/x"),
        ("./made", "made/x"),
        ("made/", "etc/../made/x"),
        ("made", "[DIR]/made/x"),
        ("[DIR]/made", "made/x"),
        ("[DIR]/etc/../made", "[DIR]/./made/x"),
    ] {
        passed(&made(mkdir, &format!("render = \"empty\"\nto = \"{to}\"")), "");
    }
    for workdir in ["[DIR]/wd", "wd", "./wd/"] {
        let workdir = format!("workdir = \"{workdir}\"");
        for to in ["made/x", "./made/x", "[DIR]/wd/made/x", "../wd/made/x"] {
            passed(&made("made", &format!("render = \"[DIR]/empty\"\nto = \"{to}\"")), &workdir);
        }
    }
    for (mkdir, chown) in [("./made", "made"), ("made", "./made/"), ("[DIR]/made", "made")] {
        passed(&made(mkdir, &format!("chown = \"{chown}\"")), "");
    }
    passed("[[setup]]\nchown = \"../bad-hooks\"\n", "workdir = \"[DIR]/wd\"");
    passed(&made("./later", "chown = \"later/made\""), "workdir = \"later\"");
    let program = "[[setup]]\nrender = \"good.template\"\nto = \"out\"\n[verbs.a]\nexec = [\"./out\"]\n";
    image().table(program).args(["--check"]).env("GOOD", "1").run();
}

#[test]
fn a_path_beside_one_that_a_step_creates_is_reported_as_missing() {
    image()
        .directory("wd", 0o755)
        .table("workdir = \"wd\"\n[[setup]]\nmkdir = \"../made\"\n[[setup]]\nrender = \"[DIR]/empty\"\nto = \"made/x\"\n[verbs.a]\nexec = [\"true\"]\n")
        .args(["--check"])
        .status(78)
        .stderr_contains("its directory `[DIR]/wd/made` does not exist\n")
        .run();
}

#[test]
fn an_environment_that_the_table_never_mentions_is_valid_and_reported() {
    let named = |words: &[&str]| image().table("[verbs.a]\nexec = [\"app\"]\n").args(["--check"]).args(words);
    let message = "preverb: the table does not mention environment `moon`, which is valid: it gets what applies to every environment\n";
    named(&["--environment", "moon"]).stderr(message).run();
    named(&[]).env("APP_ENV", "moon").stderr(message).run();
    named(&[]).run();
    named(&[]).env("APP_ENV", "not a name").status(65).stderr_contains("`not a name`").run();
}

#[test]
fn an_invalid_environment_name_hides_no_error_of_the_table() {
    let wrong = "unknwon = \"exec\"\n[verbs.a]\nexec = [\"app\"]\n";
    let test = |table: &str, words: &[&str]| image().table(table).args(words).env("APP_ENV", "a/b");
    for words in [&["--check"][..], &["--list"], &["a"]] {
        test(wrong, words).status(78).stderr_contains(":1:1: unknown key `unknwon`").run();
    }
    let json = |table: &str, status: i32, number: usize| {
        test(table, &["--check", "--json"])
            .status(status)
            .any_stdout()
            .check(move |output| {
                let list = output.json();
                assert_eq!(list.as_array().map(Vec::len), Some(number));
                assert_eq!(
                    list[0]["message"],
                    "variable `APP_ENV` is `a/b`, which is not a valid environment name"
                );
            })
            .run();
    };
    json(wrong, 78, 2);
    json("[verbs.a]\nexec = [\"app\"]\n", 65, 1);
}

#[test]
fn hints_escape_bytes_that_would_confuse_a_terminal() {
    image()
        .table("[[setup]]\nrender = \"[DIR]/good.template\"\nto = \"[DIR]/no\\u001b[31m\\n/x\"\n[verbs.a]\nexec = [\"app\"]\nenv = { GOOD = \"1\" }\n")
        .args(["--check"])
        .status(78)
        .stderr_contains("mkdir = \"[DIR]/no\\x1b[31m\\n\"`")
        .stderr_lacks("\u{1b}")
        .run();
}

#[test]
fn an_error_that_exists_only_in_the_chosen_environment_is_found() {
    let table = "[verbs.a]\nexec = [\"${PROGRAM:-app}-${PREVERB_ENVIRONMENT}\"]\n";
    image()
        .table(table)
        .program("app-prod", "#!/bin/sh\n")
        .args(["--check", "--environment", "moon"])
        .any_stderr()
        .stderr_contains("in environment `moon`: cannot run `app-moon`")
        .run();
}

#[test]
fn an_error_in_a_drop_in_names_its_file() {
    image()
        .table("[verbs.a]\nexec = [\"app\"]\n")
        .drop_in("10-more.toml", "[verbs.a]\nuser = \"nobody-here\"\n[verbs.b]\nexce = []\n")
        .args(["--check"])
        .status(78)
        .stderr(
            "preverb: [DIR]/preverb.d/10-more.toml:2:8: user `nobody-here` does not exist
2 | user = \"nobody-here\"
  |        ^^^^^^^^^^^^^
hint: a user is looked up in the image's `/etc/passwd`; `UID:GID` needs no entry there
preverb: [DIR]/preverb.d/10-more.toml:3:8: verb `b` has no `exec`
3 | [verbs.b]
  |        ^
hint: `exec` is the target's argv: `exec = [\"program\", \"argument\"]`
preverb: [DIR]/preverb.d/10-more.toml:4:1: unknown key `exce` in verb `b`
4 | exce = []
  | ^^^^
hint: did you mean `exec`?
",
        )
        .run();
}

#[test]
fn a_drop_in_that_mistypes_a_verb_gets_a_hint() {
    for words in [["--check"], ["servr"]] {
        image()
            .table("[verbs.server]\nexec = [\"app\"]\n")
            .drop_in("1.toml", "[verbs.servr]\nargs = [\"--fast\"]\n")
            .args(words)
            .status(78)
            .stderr(
                "preverb: [DIR]/preverb.d/1.toml:1:8: verb `servr` has no `exec`
1 | [verbs.servr]
  |        ^^^^^
hint: did you mean `server`?
",
            )
            .run();
    }
}

#[test]
fn check_json_is_an_array_with_every_key() {
    image()
        .table("unknwon = \"exec\"\n[verbs.a]\nexec = [\"app\", \"${X}\"]\n")
        .args(["--check", "--json", "--environment", "moon"])
        .status(78)
        .stdout(
            r#"[
  {
    "level": "info",
    "message": "the table does not mention environment `moon`, which is valid: it gets what applies to every environment",
    "file": null,
    "line": null,
    "column": null,
    "hint": null
  },
  {
    "level": "error",
    "message": "unknown key `unknwon` in the table",
    "file": "[DIR]/preverb.toml",
    "line": 1,
    "column": 1,
    "hint": "did you mean `unknown`?"
  },
  {
    "level": "warning",
    "message": "variable `X` is not declared, and nothing sets it: without it the run fails",
    "file": "[DIR]/preverb.toml",
    "line": 3,
    "column": 16,
    "hint": "declare it, `[variables.X]`, or write `${X:-default}`"
  }
]
"#,
        )
        .run();
}

#[test]
fn check_json_reports_an_unreadable_table() {
    Test::new()
        .args(["--check", "--json", "--table", "[DIR]/none.toml"])
        .status(78)
        .any_stdout()
        .check(|output| {
            let list = output.json();
            assert_eq!(list.as_array().map(Vec::len), Some(1));
            assert_eq!(list[0]["level"], "error");
            assert!(list[0]["file"].is_null());
        })
        .run();
    image()
        .table("x = \n")
        .args(["--check", "--json"])
        .status(78)
        .any_stdout()
        .check(|output| assert_eq!(output.json()[0]["line"], 1))
        .run();
}

#[test]
fn the_log_formats_apply_to_findings() {
    let table = "[verbs.a]\nexec = [\"no-such-program\", \"${X}\"]\n";
    image()
        .table(table)
        .args(["--check", "--log", "quiet"])
        .status(78)
        .stderr_contains("no-such-program")
        .stderr_lacks("warning")
        .run();
    image()
        .table(table)
        .args(["--check", "--log", "json"])
        .status(78)
        .any_stderr()
        .check(|output| {
            let messages = output.json_messages();
            let levels: Vec<_> = messages.iter().map(|message| message["level"].clone()).collect();
            assert_eq!(levels, ["error", "warning"]);
            assert_eq!(messages[1]["line"], 2);
        })
        .run();
}

#[test]
fn a_program_that_the_user_may_not_run_is_an_error() {
    image()
        .needs_root()
        .table("[verbs.a]\nexec = [\"[DIR]/private\"]\nuser = \"4242:4242\"\n[verbs.b]\nexec = [\"[DIR]/private\"]\n")
        .file("private", "#!/bin/sh\n", 0o700)
        .under_shell("chmod 755 . && exec \"$@\"")
        .args(["--check"])
        .status(78)
        .stderr(
            "preverb: [DIR]/preverb.toml:2:9: `[DIR]/private` cannot be run by user `4242:4242`: permission denied (mode 0700, uid 0, gid 0)
2 | exec = [\"[DIR]/private\"]
  |         ^^^^^^^^^^^[..]
",
        )
        .run();
}

#[test]
fn a_hook_that_root_must_not_run_is_an_error() {
    image()
        .needs_root()
        .table("[[setup]]\nhooks = \"[DIR]/open\"\nuser = \"root\"\n[verbs.a]\nexec = [\"app\"]\n")
        .file("open/10-a.sh", "", 0o666)
        .args(["--check"])
        .status(78)
        .stderr_contains("hook `[DIR]/open/10-a.sh` does not run as root: `[DIR]/open/10-a.sh` is writable by users other than root (mode 0666)")
        .run();
}

#[test]
fn a_program_that_root_must_not_run_is_an_error() {
    let steps = [
        "run = [\"[DIR]/own/prog\"]",
        "run = [\"prog\"]",
        "hooks = \"[DIR]/hooks\"",
        "hooks = \"[DIR]/named\"",
        "wait = { exec = [\"prog\"] }",
        "setup = [{ run = [\"true\"] }]\nduring = [\"prog\"]\nready = \"tcp://localhost:1\"",
        "setup = [{ run = [\"prog\"] }]",
        "env-file = \"[DIR]/own/file\"",
    ];
    let test = |step: &str, owner: &str| {
        image()
            .needs_root()
            .table(format!(
                "user = \"10001:10001\"\n[env]\nPATH = \"[DIR]/own:/usr/bin:/bin\"\n[[setup]]\n{step}\nuser = \"root\"\n[verbs.a]\nexec = [\"true\"]\n"
            ))
            .file("own/prog", "#!/bin/sh\n", 0o755)
            .file("own/file", "A=1\n", 0o644)
            .file("hooks/1.sh", "prog\n", 0o644)
            .file("named/1", "#!/usr/bin/env prog\n", 0o755)
            .under_shell(&format!("cp own/prog own/sh; chmod 755 .; chown -R {owner} own; exec \"$@\""))
            .args(["--check"])
    };
    for step in steps {
        test(step, "10001:10001").status(78).stderr_contains("`[DIR]/own` belongs to uid 10001\n").run();
        // The same file, owned by root.
        test(step, "0:0").status(0).run();
    }
}

#[test]
fn a_file_that_the_verbs_user_can_change_is_a_warning() {
    let test = |then: &str| {
        Test::new()
            .needs_root()
            .table("user = \"10001:10001\"\n[verbs.a]\nexec = [\"[DIR]/bin/app\"]\n")
            .drop_in("10.toml", "log = \"text\"\n")
            .program("app", "#!/bin/sh\n")
            .under_shell(&format!("chmod 755 .; {then}; exec \"$@\""))
            .args(["--check"])
    };
    let decides =
        |what: &str| format!("user `10001:10001` can change `[DIR]/{what}`, which decides what runs\n");
    let program = "program `[DIR]/bin/app` is root's, but user `10001:10001` can change it";
    for (then, message) in [
        ("chown 10001 preverb.toml", &*decides("preverb.toml")),
        ("chmod 666 preverb.d/10.toml", &*decides("preverb.d/10.toml")),
        ("chgrp 10001 preverb.d; chmod 775 preverb.d", &*decides("preverb.d/10.toml")),
        // Anyone can add a drop-in, although not replace one.
        ("chmod 1777 preverb.d", &*decides("preverb.d")),
        // Through a link.
        (
            "mkdir app; mv preverb.toml app; ln -s app/preverb.toml .; chmod 777 app",
            &*decides("preverb.toml"),
        ),
        ("chmod 777 bin/app", program),
        ("chmod 777 bin", program),
    ] {
        test(then).stderr_contains(message).run();
    }
    // The user may change its own program, but nothing of root's in a sticky directory.
    test("chown -R 10001 bin").run();
    test("chmod 1777 bin").run();
}

#[test]
fn a_secret_is_never_shown() {
    let table = "[variables.TOKEN]\nsecret = true\ndefault = \"swordfish\"\none-of = [\"hunter2\"]\n[verbs.a]\nexec = [\"${TOKEN}\"]\nworkdir = \"/${TOKEN}\"\n";
    image()
        .table(table)
        .args(["--check"])
        .any_stderr()
        .stderr_lacks("swordfish")
        .stderr_lacks("hunter2")
        .run();
}

#[test]
fn a_value_is_checked_although_it_replaces_one_that_was_made_from_a_secret() {
    let table = "[variables.S]\nsecret = true\ndefault = \"swordfish\"\n[env]\nP = \"/x/${S}\"\n[verbs.a]\nexec = [\"${P}\"]\n[verbs.a.env]\nP = \"/nonexistent\"\n";
    let test = image().table(table).args(["--check"]).status(78).any_stderr();
    test.stderr_contains("cannot run `/nonexistent`").stderr_lacks("swordfish").run();
}

#[test]
fn a_step_whose_failure_is_ignored_has_only_warnings_about_its_once() {
    let table = |key: &str| {
        format!(
            "[env]\nE = \"\"\n[[setup]]\nonce = \"${{E}}\"\nrun = [\"app\"]\n{key}\n[verbs.a]\nexec = [\"app\"]\n"
        )
    };
    let check = |key: &str| image().table(table(key)).args(["--check"]).any_stderr();
    check("")
        .status(78)
        .stderr_contains("preverb.toml:4:8: `once` expands to nothing")
        .stderr_lacks("warning")
        .run();
    for key in ["on-failure = \"warn\"", "skip-if = \"X\""] {
        check(key).stderr_contains("warning: [DIR]/preverb.toml:4:8: `once` expands to nothing").run();
    }
}

#[test]
fn check_changes_nothing_and_runs_nothing() {
    image()
        .table("[[setup]]\nrun = [\"touch\", \"[DIR]/ran\"]\nonce = \"[DIR]/done\"\n[[setup]]\nhooks = \"[DIR]/marks\"\n[[setup]]\nmkdir = \"[DIR]/made\"\n[verbs.a]\nexec = [\"touch\", \"[DIR]/ran\"]\n")
        .file("marks/10.sh", "touch ran\n", 0o755)
        .args(["--check"])
        .check(|output| {
            for path in ["ran", "done", "done.lock", "made"] {
                assert!(!output.dir.path().join(path).exists(), "{path}");
            }
        })
        .run();
}

#[test]
fn unsetting_preverb_verb_with_a_health_probe_is_a_warning() {
    let table =
        |health: &str| format!("[verbs.a]\nexec = [\"true\"]\nunset = [\"X\", \"PREVERB_VERB\"]\n{health}");
    image()
        .table(table("health = \"file:///\"\n"))
        .args(["--check"])
        .stderr_contains("preverb: warning: [DIR]/preverb.toml:3:")
        .stderr_contains("`unset` removes `PREVERB_VERB`, which `--health` needs to know what runs")
        .run();
    image().table(table("")).args(["--check"]).run();
}

#[test]
fn a_variable_that_a_condition_requires_is_not_reported_as_missing() {
    let step = |condition: &str| {
        image()
            .table(format!("[variables.X]\nsecret = true\n[[setup]]\nrun = [\"app\"]\nstdin = \"${{X}}\"\n{condition}\n[verbs.a]\nexec = [\"app\", {{ words = [\"${{Y}}\"], {condition} }}]\n").replace("{Y}", "{X}"))
            .args(["--check", "--strict"])
    };
    for condition in [
        "only-if = \"X\"",
        "only-if = [\"X!=\"]",
        "skip-if = \"!X\"",
        "skip-if = \"X=\"",
        "only-if = \"X=1\"",
    ] {
        step(condition).run();
    }
    for condition in [
        "only-if = \"!X\"",
        "skip-if = \"X\"",
        "only-if = \"X!=1\"",
        "only-if = \"X=\"",
        "only-if = \"PATH\"",
    ] {
        step(condition)
            .status(78)
            .stderr_contains("preverb.toml:5:9: variable `X`")
            .stderr_contains("preverb.toml:8:")
            .run();
    }
}

#[test]
fn a_chown_with_if_exists_is_not_reported_as_missing() {
    let step = |condition: &str| {
        image()
            .table(format!(
                "[[setup]]\nchown = \"/no/such\"\nuser = \"root\"\n{condition}\n[verbs.a]\nexec = [\"app\"]\n"
            ))
            .args(["--check", "--strict"])
    };
    step("if-exists = \"/no/such\"").run();
    step("if-exists = \"/\"").status(78).stderr_contains("cannot change the owner of `/no/such`").run();
}

#[test]
fn a_pipe_in_place_of_a_file_does_not_block_check() {
    for (step, message) in [
        ("hooks = \"[DIR]/hooks\"", "is skipped: it is not a regular file"),
        ("hooks = \"[DIR]/hooks/1.sh\"", "it is not a regular file"),
        ("render = \"[DIR]/templates\"\nto = \"[DIR]/out\"", ""),
        ("env-file = \"[DIR]/hooks/1.sh\"", ""),
    ] {
        image()
            .table(format!("[[setup]]\n{step}\n[verbs.a]\nexec = [\"app\"]\n"))
            .directory("hooks", 0o755)
            .directory("templates", 0o755)
            .under_shell("mkfifo hooks/1.sh templates/a.template; exec \"$@\"")
            .args(["--check", "--json"])
            .any_stdout()
            .stdout_contains(message)
            .any_status()
            .run();
    }
}

#[test]
fn a_failure_that_only_warns_at_run_time_is_a_warning() {
    for step in [
        "run = [\"no-such\"]\non-failure = \"warn\"",
        "setup = [{ run = [\"no-such\"] }]\non-failure = \"warn\"",
    ] {
        let table = format!("[[setup]]\n{step}\n[verbs.a]\nexec = [\"app\"]\n");
        let checked = image().table(table).args(["--check"]);
        checked.stderr_contains("preverb: warning: ").stderr_contains("cannot run `no-such`").run();
    }
}

#[test]
fn a_refusal_to_run_something_as_root_is_an_error_whatever_the_step_says() {
    let test = |step: &str| {
        let table = format!("[[setup]]\n{step}\non-failure = \"warn\"\n[verbs.a]\nexec = [\"true\"]\n");
        Test::new()
            .needs_root()
            .table(table)
            .program("theirs", "#!/bin/sh\n")
            .under_shell("chown 10001 bin/theirs; exec \"$@\"")
            .args(["--check"])
    };
    let owned = "`[DIR]/bin/theirs` belongs to uid 10001\n";
    test("user = \"root\"\nrun = [\"[DIR]/bin/theirs\"]").status(78).stderr_contains(owned).run();
    test("user = \"nosuchuser\"\nrun = [\"true\"]").status(78).stderr_contains("does not exist").run();
}

#[test]
fn the_program_that_env_looks_up_is_checked() {
    let table = "[verbs.a]\nexec = [\"[DIR]/script\"]\n";
    let test = |line: &str| image().table(table).file("script", line, 0o755).args(["--check"]);
    test("#!/usr/bin/env no-such\n")
        .status(78)
        .stderr_contains("interpreter of `[DIR]/script`: cannot run `no-such`: not found on PATH")
        .run();
    test("#!/usr/bin/env -S no-such -x\n").status(78).stderr_contains("cannot run `no-such`").run();
    test("#!/usr/bin/env sh\n").run();
}

#[test]
fn check_reads_the_files_of_env_file() {
    let test = |keys: &str| {
        let table = format!("[[setup]]\nenv-file = \"[DIR]/env\"\n{keys}\n[verbs.a]\nexec = [\"app\"]\n");
        image().table(table).args(["--check"])
    };
    let missing =
        "preverb: warning: [DIR]/preverb.toml:2:12: cannot use `env-file` `[DIR]/env`: it does not exist\n";
    test("").stderr_contains(missing).run();
    test("if-exists = \"[DIR]/env\"").run();
    test("")
        .file("env", "A=1\nno variable\n", 0o644)
        .status(78)
        .stderr_contains("line 2: it is not `NAME=value`")
        .run();
    test("").file("env", "A=1\n", 0o644).run();
}

#[test]
fn a_path_that_expands_to_nothing_is_an_error() {
    for (step, key) in [
        ("hooks = \"${NONE:-}\"", "hooks"),
        ("render = \"${NONE:-}\"\nto = \"x\"", "render"),
        ("render = \"data\"\nto = \"${NONE:-}\"", "to"),
        ("mkdir = \"${NONE:-}\"", "mkdir"),
        ("chown = \"${NONE:-}\"", "chown"),
        ("env-file = \"${NONE:-}\"", "env-file"),
        ("run = [\"true\"]\nonce = \"${NONE:-}\"", "once"),
    ] {
        let table = format!("[env]\nNONE = \"\"\n[[setup]]\n{step}\n[verbs.a]\nexec = [\"app\"]\n");
        let checked = image().table(table).args(["--check"]).status(78);
        checked.stderr_contains(format!("`{key}` expands to nothing\n")).run();
    }
}

#[test]
fn without_root_check_does_not_report_files_of_other_users() {
    image()
        .table("[verbs.a]\nsetup = [{ hooks = \"[DIR]/own\" }]\nexec = [\"[DIR]/own/prog\"]\nuser = \"10001:10001\"\nworkdir = \"[DIR]/own\"\n")
        .file("own/prog", "#!/bin/sh\n", 0o755)
        .needs_root()
        .under_shell("chmod 755 .; chown -R 10001 own; chmod 700 own; exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"")
        .args(["--check"])
        .run();
}
