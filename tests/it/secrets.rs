//! Secrets: no message and no output shows one, wherever it comes from and
//! whichever part of preverb speaks. In all of these the secret is `swordfish`.

use crate::dsl::Test;

const VERB: &str = "[verbs.a]\nexec = [\"true\"]\n";

/// The modes about all verbs.
const LISTS: [&[&str]; 3] = [&["--list"], &["--list", "--json"], &["--help"]];
const CHECKS: [&[&str]; 3] = [&["--check"], &["--check", "--json"], &["--log", "json", "--check"]];
/// The modes about one run.
const RUNS: [&[&str]; 5] = [
    &["a"],
    &["--log", "json", "a"],
    &["--log", "verbose", "a"],
    &["--explain", "a"],
    &["--explain", "--json", "a"],
];

/// No output of these modes may show the secret.
#[track_caller]
fn is_kept(modes: &[&[&[&str]]], test: impl Fn() -> Test) {
    for words in modes.iter().copied().flatten() {
        let test = test().args(*words).env("S", "swordfish").any_status().any_stdout().any_stderr();
        test.stdout_lacks("swordfish").stderr_lacks("swordfish").run();
    }
}

// Lists

#[test]
fn list_merges_the_declarations_of_all_layers() {
    let table = "[variables.S]\nsecret = true\ntype = \"port\"\nrequired = true\n\
        [variables.KIND]\ntype = \"port\"\none-of = [\"80\", \"443\"]\n\
        [variables.HIDDEN]\ndefault = \"swordfish\"\n[variables.ONE]\ndefault = \"swordfish\"\n\
        [environments.prod.variables.KIND]\nabout = \"Where to listen\"\n\
        [verbs.a]\nexec = [\"true\"]\n[verbs.a.variables]\nS.default = \"swordfish\"\nONE.secret = true\nKIND.default = \"80\"\n\
        [verbs.ghost]\nhidden = true\nexec = [\"true\"]\nvariables.HIDDEN.secret = true\n";
    Test::new()
        .table(table)
        .args(["--list"])
        .stdout(
            "Verbs in environment prod:
  a

Variables:
  HIDDEN  (string; default ***)
  KIND    Where to listen (port; 80|443)
  KIND    Where to listen (port; 80|443; default 80; for a)
  ONE     (string; default ***)
  ONE     (string; default ***; secret; for a)
  S       (port; required; secret)
  S       (port; default ***; required; secret; for a)
",
        )
        .run();
    is_kept(&[&LISTS, &CHECKS], || Test::new().table(table));
}

// Lines of the table

#[test]
fn no_excerpt_of_a_table_shows_a_possible_secret() {
    for table in [
        "[variables.S]\n\"secret\" = true\ndefault = \"swordfish\" \"\n",
        "[variables.S]\n\"s\\u0065cret\" = true\ndefault = [\"swordfish\"]\n",
        "[variables.S]\ndefault = [\"swordfish\"]\n[environments.prod.variables.S]\nsecret = true\n",
        "[variables.S]\ndefault = [\"swordfish\"]\n[verbs.a.variables.S]\nsecret = true\n",
        "[variables]\nS.secret = true\nS.default = [\"swordfish\"]\n",
        "variables.S = { default = \"swordfish\", \"secret\" = true, x = 1 }\n",
        "variables = { S = { default = \"swordfish\", secret = true, x = 1 } }\n",
        "[variables.S]\nsecret = true\none-of = [\n \"swordfish\", 5,\n]\n",
        "[variables.S]\nsecret = true\none-of = [\n x = \"swordfish\",\n]\n",
        "[variables.S]\nsecret = \"yes\"\ndefault = \"swordfish\"\none-of = [\"swordfish\", 5]\n",
        "[variables.S]\nsecret = true\n[env]\nS = \"\"\"\nx=swordfish\nsword ${swordfish\"\"\"\n",
        "[variables.S]\nsecret = true\n[env]\nS = \"\"\"\nx=swordfish\n",
        "[variables.S]\nsecret = true\n[env]\nS = \"-----\nswordfish==\nswordfish\n",
        "[variables.S]\nsecret = true\n[env]\nS = \"${swordfish\"\n",
        "[variables.S]\nsecret = true\n[env]\nS = \"${S${swordfish\"\n",
        "[variables.S]\nsecret = true\n[ env ]\nS = swordfish\n",
        "[variables.S]\nsecret = true\n[\"env\"]\nS \"swordfish\"\n",
        "[variables.S]\nsecret = true\n[env\nS = \"swordfish\"\nB = [\n",
        "[variables.S]\nsecret = true\n[verbs.b]\nenv.S = \"-----\nswordfish==\n",
        "env = { S = \"swordfish\", B = 5 }\n[variables.S]\nsecret = true\n",
        "[variables.S]\nsecret = true\n[[setup]]\nenv.S = [\"swordfish\"]\n",
        "[variables.S]\nsecret = true\n[[setup]]\nenv = { S = \"swordfish\", B = 5 }\n",
        "[variables.S]\nsecret = true\n[[setup]]\n[[setup.setup]]\nenv.S = [\"swordfish\"]\n",
        "[variables.S]\nsecret = true\n[[setup]]\nrun = [\"true\"]\nonly-if = \"S=swordfish${\"\n",
        "[variables.S]\nsecret = true\nrequired = [\"S!=swordfish${\"]\n",
        "[variables.S]\nsecret = true\naliases = [\"OLD\"]\n[env]\nOLD = \"swordfish${\"\n",
        "[[setup]]\nwait = \"zzz://host/path?token=swordfish\"\n",
        "[variables.S]\ndefault = \"swordfish\"\n[variables.S]\ndefault = \"swordfish\" x\n[verbs.a.variables.S]\nsecret = true\n",
    ] {
        let table = format!("{table}{VERB}");
        is_kept(&[&LISTS, &CHECKS, &RUNS], || Test::new().table(&table));
        let test = || Test::new().table(&table).args(["--check"]).status(78).stderr_lacks("swordfish");
        test().stderr_contains("***").run();
    }
    let dropped = "[verbs.a.env]\nS = \"swordfish${\"\n";
    is_kept(&[&LISTS, &CHECKS, &RUNS], || {
        Test::new().table(format!("[variables.S]\nsecret = true\n{VERB}")).drop_in("1.toml", dropped)
    });
}

#[test]
fn a_table_that_is_not_utf8_shows_no_secret() {
    let table = [b"[variables.S]\nsecret = true\n[env]\nS = \"swordfish\xff\"\n", VERB.as_bytes()].concat();
    is_kept(&[&CHECKS, &RUNS], || Test::new().table(&table));
    let place = "preverb: [DIR]/preverb.toml:4:15: the table is not UTF-8\n4 | S = ***\n";
    Test::new().table(&table).args(["a"]).status(78).stderr_contains(place).run();
}

#[test]
fn explain_masks_what_cannot_be_expanded() {
    let table = "[variables.S]\nsecret = true\n\
        [[setup]]\nenv.S = \"swordfish${NOPE}\"\n\
        [[setup]]\nwait = \"http://host${NOPE}/path?token=swordfish\"\n\
        [[setup]]\nrun = [\"echo\", \"redis://u:swordfish@${NOPE}/\"]\n\
        [verbs.a]\nexec = [\"echo\", \"redis://u:swordfish@${NOPE}/\"]\n\
        health = \"http://host${NOPE:?set it}/path?token=swordfish\"\n";
    for words in [&["--explain", "a"][..], &["--explain", "--json", "a"]] {
        let test = || Test::new().table(table).args(words).stdout_lacks("swordfish");
        test().stdout_contains("redis://***@${NOPE}/").run();
        test().stdout_contains("http://host${NOPE:?set it}/path").run();
    }
}

#[test]
fn excerpts_beside_a_secret_still_show_other_text() {
    let table = "[variables.S]\nsecret = true\ndefalt = \"swordfish\"\n[variables.\"A B\"]\n\
        [env]\nB = 5\n[verbs.a]\nexec = [\"true\"]\nusr = \"app\"\n";
    Test::new()
        .table(table)
        .args(["--check"])
        .status(78)
        .stderr_contains("3 | defalt = ***\n  | ^^^^^^\n")
        .stderr_contains("4 | [variables.\"A B\"]\n")
        .stderr_contains("6 | B = 5\n  |     ^\n")
        .stderr_contains("9 | usr = \"app\"\n  | ^^^\n")
        .run();
}

// `--check`

#[test]
fn check_conceals_values_of_secrets_and_values_derived_from_them() {
    let declared = "[variables.S]\nsecret = true\n";
    let of_a_verb = "[verbs.b]\nexec = [\"true\"]\nvariables.S.secret = true\n";
    for (head, tail) in [(declared, ""), ("[variables.S]\ntype = \"port\"\n", of_a_verb)] {
        for lines in [
            "exec = [\"/x/${S}\"]\n",
            "exec = [\"${S}\"]\n",
            "exec = [\"${URL}\"]\n",
            "exec = [\"true\"]\nuser = \"u${S}\"\n",
            "exec = [\"true\"]\nworkdir = \"/x/${URL}\"\n",
            "exec = [\"true\"]\nhealth = \"zz${S}\"\n",
            "exec = [\"true\"]\n[[verbs.a.setup]]\nhooks = \"/x/${S}.sh\"\n",
            "exec = [\"true\"]\n[[verbs.a.setup]]\nrender = \"/x/${S}\"\nto = \"/y/${S}\"\n",
            "exec = [\"true\"]\n[verbs.a.variables.URL]\ntype = \"port\"\n",
            "exec = [\"true\"]\n[verbs.a.variables.S]\ntype = \"port\"\none-of = [\"swordfish\"]\n",
        ] {
            let table =
                format!("{head}[env]\nS = \"swordfish\"\n[verbs.a]\nenv.URL = \"u${{S}}\"\n{lines}{tail}");
            let modes: &[&[&[&str]]] = if tail.is_empty() { &[&LISTS, &CHECKS, &RUNS] } else { &[&CHECKS] };
            is_kept(modes, || Test::new().table(&table));
        }
    }
}

// Steps

/// A run of verb `a` after a step, in every format.
#[track_caller]
fn fails(head: &str, step: &str, verb: &str, status: i32, sentence: &str) {
    let table = format!(
        "{head}[variables.S]\nsecret = true\n[variables.U]\nsecret = true\n{step}[verbs.a]\n{verb}exec = [\"true\"]\n"
    );
    for format in ["text", "json", "verbose"] {
        Test::new()
            .table(&table)
            .needs_root()
            .file("swordfish/a.sh", "exit 4\n", 0o644)
            .file("x.swordfish", "", 0o644)
            .file("swordfish/here", "#!/nowhere/swordfish\n", 0o755)
            .file("a.zz", "", 0o644)
            .env("S", "swordfish")
            .env("U", "nobody")
            .args(["--log", format, "a"])
            .status(status)
            .stderr_contains(sentence)
            .stderr_lacks("swordfish")
            .stderr_lacks("nobody")
            .run();
    }
}

#[test]
fn no_message_shows_a_secret_user() {
    let user = "user = \"${U}\"\n";
    let step = |lines: &str| format!("[[setup]]\n{lines}\n");
    for (lines, sentence) in [
        ("mkdir = \"/proc/x/y\"", "cannot make directory `/proc/x/y` for user `***`: "),
        ("render = \"[DIR]/a.zz\"\nto = \"/proc/x\"", "cannot write `/proc/x` as user `***`: "),
        ("render = \"/etc/shadow\"\nto = \"/proc/x\"", "the template is read as user `***`, because "),
        ("chown = \"[DIR]/none\"", "to user `***`: "),
    ] {
        fails("", &step(lines), user, 71, sentence);
    }
    Test::new()
        .table(format!("[variables.U]\nsecret = true\n[verbs.a]\n{user}exec = [\"true\"]\n"))
        .needs_root()
        .env("U", "65534:65534")
        .args(["--explain", "a"])
        .stdout_contains("***")
        .stdout_lacks("65534")
        .run();
    for step in ["", "[[setup]]\nrun = [\"true\"]\n", "[[setup]]\nmkdir = \"/x\"\n"] {
        Test::new()
            .table(format!("[variables.U]\nsecret = true\n{step}[verbs.a]\n{user}exec = [\"true\"]\n"))
            .needs_root()
            .under(["setpriv", "--bounding-set", "-setuid,-setgid"])
            .env("U", "nobody")
            .args(["a"])
            .any_status()
            .stderr_contains(" user `***`: ")
            .stderr_lacks("nobody")
            .run();
    }
}

#[test]
fn a_secret_in_the_path_of_a_hook_conceals_only_the_path() {
    let of = |hooks: &str| format!("[[setup]]\nhooks = \"{hooks}\"\n");
    let failed = "hook `a.sh` of step `hooks ***` in environment `prod` exited with status 4";
    fails("", &of("[DIR]/${S}"), "", 80, failed);
    fails(
        "",
        &of("[DIR]/${S}/a.sh"),
        "",
        80,
        "hook `***` of step `hooks ***` in environment `prod` exited with status 4",
    );
    fails(
        "",
        &of("/x/${S}.sh"),
        "",
        80,
        "hook `***` of step `hooks ***` in environment `prod` cannot be read: it does not exist",
    );
    fails("", &of("[DIR]/x.${S}"), "", 0, "`***` in step `hooks ***` is skipped: details withheld");
    fails(
        "",
        &of("[DIR]/${S}/here"),
        "",
        80,
        "could not be started: details withheld: they contain a secret",
    );
    let run = "[[setup]]\nrun = [\"[DIR]/${S}/here\"]\n";
    fails("", run, "", 80, "could not be started: details withheld: they contain a secret");
}

// `PATH`

#[test]
fn no_message_shows_a_secret_search_path() {
    let head =
        "interpreters = { zz = [\"no-such-program\"] }\nenv = { PATH = \"/opt/${S}/bin:/usr/bin:/bin\" }\n";
    let reason = "cannot run `no-such-program`: not found on PATH `***`";
    for user in ["", "user = \"nobody\"\n", "user = \"${U}\"\n"] {
        for (step, status) in [
            ("run = [\"no-such-program\"]", 80),
            ("hooks = \"[DIR]/a.zz\"", 80),
            ("wait = [{ exec = [\"no-such-program\"] }]\ntimeout = \"1500ms\"", 69),
        ] {
            let table = format!(
                "{head}[variables.S]\nsecret = true\n[variables.U]\nsecret = true\n[[setup]]\n{step}\n[verbs.a]\n{user}exec = [\"true\"]\n"
            );
            Test::new()
                .needs_root()
                .table(table)
                .file("a.zz", "", 0o644)
                .env("S", "swordfish")
                .env("U", "nobody")
                .args(["a"])
                .status(status)
                .stderr_contains(reason)
                .stderr_lacks("swordfish")
                .run();
        }
    }
}

#[test]
fn a_supervisor_shows_no_secret_of_its_target() {
    let secret = "[variables.S]\nsecret = true\n";
    let searched = "env = { PATH = \"[DIR]/${S}:/usr/bin:/bin\" }\n";
    let concealed = "failed; details withheld: they contain a secret";
    for init in ["", "init = true\n"] {
        for (head, exec, status, sentence) in [
            ("", "/x/${S}", 127, concealed),
            ("", "[DIR]/${S}/here", 126, concealed),
            (searched, "no-such-program", 127, "cannot run `no-such-program`: not found on PATH `***`"),
            (searched, "here", 126, concealed),
        ] {
            for words in [&["a"][..], &["--log", "json", "a"]] {
                let table = format!("{head}{secret}[verbs.a]\n{init}exec = [\"{exec}\"]\n");
                let test = || {
                    Test::new()
                        .table(&table)
                        .file("swordfish/here", "#!/nowhere/swordfish\n", 0o755)
                        .env("S", "swordfish")
                        .args(words)
                        .status(status)
                };
                test().stderr_contains(sentence).stderr_lacks("swordfish").run();
                // With a terminal the target is started by way of another process.
                test().terminal().stdout_contains(sentence).stdout_lacks("swordfish").run();
            }
        }
        // A run that does not fail is not delayed.
        let table = format!("{searched}{secret}[verbs.a]\n{init}exec = [\"echo\", \"ready\"]\n");
        Test::new().table(table).env("S", "swordfish").args(["a"]).stdout("ready\n").run();
    }
}

#[test]
fn an_invalid_environment_from_a_secret_is_not_shown() {
    Test::new()
        .table(format!("[variables.APP_ENV]\nsecret = true\n{VERB}"))
        .env("APP_ENV", "sword fish")
        .args(["a"])
        .status(65)
        .stderr_contains("variable `APP_ENV` is `***`, which is not a valid environment name")
        .stderr_lacks("sword fish")
        .run();
}

#[test]
fn a_value_in_place_of_a_declaration_is_masked() {
    for words in [&["v"][..], &["--check"], &["--check", "--json"]] {
        Test::new()
            .table("[variables.S]\nsecret = true\n[verbs.v]\nexec = [\"true\"]\n")
            .drop_in("1.toml", "[variables]\nS = \"hunter2\"\n")
            .args(words)
            .status(78)
            .any_stdout()
            .any_stderr()
            .check(|output| {
                assert!(!output.text().contains("hunter2") && !output.messages().contains("hunter2"));
                assert!(output.text().contains("must be") || output.messages().contains("must be"));
            })
            .run();
    }
}

#[test]
fn the_user_information_of_a_url_is_masked_everywhere() {
    let url = "postgres://app:swordfish@127.0.0.1:1/db";
    let test = |part: &str| {
        let table = format!("log = \"quiet\"\n[verbs.a]\nexec = [\"true\"]\n{part}\n");
        Test::new().table(table).env("U", url)
    };
    for part in [
        "user = \"${U}\"",
        "workdir = \"/${U}\"",
        "aliases = [\"https://x:swordfish@y\"]",
        "args = \"x https://x:swordfish@y\"",
        "[variables.U]\ntype = \"port\"",
        "[[verbs.a.setup]]\nhooks = \"/none/${U}.sh\"",
        "[[verbs.a.setup]]\nmkdir = \"/proc/${U}\"",
        "[[verbs.a.setup]]\nrun = [\"true\"]\nonce = \"[DIR]/once/${U}\"",
        "[[verbs.a.setup]]\nrun = [\"/none/${U}\"]",
        "[verbs.b]\nexec = [\"${U}\"]",
    ] {
        is_kept(&[&RUNS, &CHECKS], || test(part));
    }
    for words in
        [["--as", url, "--", "true"], ["--table", url, "--log", "text"], ["--timeout", url, "--log", "text"]]
    {
        is_kept(&[&[&words]], || Test::new().table(VERB));
    }
    is_kept(&[&[&["a"]]], || Test::new().table(VERB).env("PREVERB_LOG", url));
}
