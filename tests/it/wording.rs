//! The complete text of messages. The other files check the parts that matter; here the
//! whole text must read well.

use crate::dsl::Test;

#[track_caller]
fn says(table: &str, words: &[&str], status: i32, message: &str) {
    Test::new().table(table).args(words).status(status).stderr(message).run();
}

const VERBS: &str = "[verbs.server]\nabout = \"Serve HTTP\"\naliases = [\"web\"]\nexec = [\"true\"]\n[verbs.migrate]\nexec = [\"true\"]\n[environments.dev.verbs.shell]\nexec = [\"sh\"]\n";

#[test]
fn messages_about_the_command_line() {
    says(
        VERBS,
        &[],
        64,
        "preverb: no verb given, and the table has no default verb
the verbs in environment `prod`:
  migrate
  server   Serve HTTP (also web)
",
    );
    says(
        VERBS,
        &["sevrer"],
        64,
        "preverb: unknown verb `sevrer`
the verbs in environment `prod`:
  migrate
  server   Serve HTTP (also web)
hint: did you mean `server`?
",
    );
    says(
        "[variables.A]\n",
        &[],
        64,
        "preverb: no verb given, and the table has no default verb
the verbs in environment `prod`:
  (none)
",
    );
    says(
        VERBS,
        &["shell"],
        78,
        "preverb: verb `shell` does not exist in environment `prod`, only in `dev`
",
    );
    says(
        VERBS,
        &["--"],
        64,
        "preverb: no command after `--`
hint: preverb -- COMMAND [ARGUMENT]...
",
    );
    says(
        VERBS,
        &["--enviroment=dev"],
        64,
        "preverb: unknown option `--enviroment=dev`
hint: did you mean `--environment`?
",
    );
    says(
        VERBS,
        &["-x"],
        64,
        "preverb: unknown option `-x`
hint: `preverb --help` lists the options
",
    );
    says(
        VERBS,
        &["--log", "loud", "server"],
        64,
        "preverb: option `--log` is `loud`, which is not a log format
hint: it is one of `text`, `json`, `quiet`, `verbose`
",
    );
    says(
        VERBS,
        &["--log"],
        64,
        "preverb: option `--log` needs a value
hint: `preverb --help` lists the options
",
    );
    says(
        VERBS,
        &["--skip-setup", "--skip-setup", "server"],
        64,
        "preverb: option `--skip-setup` is given twice
hint: `preverb --help` lists the options
",
    );
    says(
        VERBS,
        &["--skip-setup=yes", "server"],
        64,
        "preverb: option `--skip-setup` takes no value
hint: `preverb --help` lists the options
",
    );
    says(
        VERBS,
        &["--environment=a/b", "server"],
        64,
        "preverb: option `--environment` is `a/b`, which is not a valid environment name
hint: a name is made of `A-Z a-z 0-9 . _ : -` and starts with neither `-` nor `.`
",
    );
    says(
        VERBS,
        &["--list", "--check"],
        64,
        "preverb: `--list` and `--check` cannot be used together
",
    );
    says(
        VERBS,
        &["--list", "server"],
        64,
        "preverb: `--list` takes no argument `server`
",
    );
    says(
        VERBS,
        &["--json", "server"],
        64,
        "preverb: option `--json` requires `--list` or `--check` or `--explain`
",
    );
}

#[test]
fn messages_about_the_table() {
    Test::new()
        .args(["a"])
        .status(78)
        .stderr(
            "preverb: cannot read the table `/etc/preverb/preverb.toml`: it does not exist
hint: put the table there, or name it with `PREVERB_TABLE` or `--table`
",
        )
        .run();
    let a = |lines: &str, message: &str| {
        says(&format!("[verbs.a]\nexec = [\"true\"]\n{lines}\n"), &["a"], 78, message);
    };
    a(
        "abuot = \"x\"",
        r#"preverb: [DIR]/preverb.toml:3:1: unknown key `abuot` in verb `a`
3 | abuot = "x"
  | ^^^^^
hint: did you mean `about`?
"#,
    );
    a(
        "colour = \"x\"",
        r#"preverb: [DIR]/preverb.toml:3:1: unknown key `colour` in verb `a`
3 | colour = "x"
  | ^^^^^^
hint: the keys here are `about`, `aliases`, `match`, `exec`, `args`, `args-after`, `env`, `unset`, `variables`, `setup`, `user`, `workdir`, `umask`, `limits`, `capabilities`, `no-new-privileges`, `init`, `health`, `skip-setup-on`, `hidden`
"#,
    );
    a(
        "args = \"x y\"",
        r#"preverb: [DIR]/preverb.toml:3:8: `args` must be an array of strings, not a string: no shell splits it
3 | args = "x y"
  |        ^^^^^
hint: args = ["x", "y"]
"#,
    );
    a(
        "aliases = [\"a\"]",
        r#"preverb: [DIR]/preverb.toml:3:12: alias `a` of verb `a` is also a verb
3 | aliases = ["a"]
  |            ^^^
"#,
    );
    a(
        "[env]\nPORT = 8000",
        "preverb: [DIR]/preverb.toml:4:8: `PORT` must be a string, not an integer
4 | PORT = 8000
  |        ^^^^
hint: every variable is text: put the value in quotes
",
    );
    a(
        "[env]\nURL = \"http://${HOST\"",
        r#"preverb: [DIR]/preverb.toml:4:7: `URL`: `${HOST` is not closed by a `}`
4 | URL = "http://${HOST"
  |       ^^^^^^^^^^^^^^^
hint: a literal `${` is written `$${`
"#,
    );
    a(
        "[[setup]]\nname = \"x\"",
        "preverb: [DIR]/preverb.toml:3:3: a step of the table does not say what to do
3 | [[setup]]
  |   ^^^^^
hint: a step has one of `run`, `hooks`, `env`, `env-file`, `wait`, `setup`, `render`, `mkdir`, `chown`
",
    );
    a(
        "[[setup]]\nrun = [\"x\"]\nhooks = \"y\"",
        r#"preverb: [DIR]/preverb.toml:5:1: a step of the table has `run` and `hooks`, which are two steps
5 | hooks = "y"
  | ^^^^^
hint: make each a step of its own
"#,
    );
    a(
        "[[setup]]\nrun = [\"x\"]\ntimeout = \"5\"",
        r#"preverb: [DIR]/preverb.toml:5:11: `timeout` is `5`, which is not a duration
5 | timeout = "5"
  |           ^^^
hint: a duration is a number with a unit: `500ms`, `60s`, `5m`, `1h`
"#,
    );
    a(
        "[verbs.a]",
        "preverb: [DIR]/preverb.toml:3:8: `a` is defined twice, first in line 1
3 | [verbs.a]
  |        ^
",
    );
    a(
        "exec = [\"false\"]",
        r#"preverb: [DIR]/preverb.toml:3:1: `exec` is defined twice, first in line 2
3 | exec = ["false"]
  | ^^^^
"#,
    );
    says(
        "[verbs.a]\nexec = \"gunicorn app:app\"\n",
        &["a"],
        78,
        r#"preverb: [DIR]/preverb.toml:2:8: `exec` must be an array of strings, not a string: no shell splits it
2 | exec = "gunicorn app:app"
  |        ^^^^^^^^^^^^^^^^^^
hint: exec = ["gunicorn", "app:app"]
"#,
    );
    says(
        "[verbs.a]\nabout = \"x\"\n",
        &["a"],
        78,
        r#"preverb: [DIR]/preverb.toml:1:8: verb `a` has no `exec`
1 | [verbs.a]
  |        ^
hint: `exec` is the target's argv: `exec = ["program", "argument"]`
"#,
    );
    says(
        "default = \"sevrer\"\n[verbs.server]\nexec = [\"true\"]\n",
        &["server"],
        78,
        r#"preverb: [DIR]/preverb.toml:1:11: `default` is `sevrer`, which is not a verb
1 | default = "sevrer"
  |           ^^^^^^^^
hint: did you mean `server`?
"#,
    );
    says(
        "[verbs.a]\nexec = [\"true\"\n",
        &["a"],
        78,
        r#"preverb: [DIR]/preverb.toml:2:15: unclosed array, expected `]`
2 | exec = ["true"
  |               ^
"#,
    );
}

#[test]
fn messages_about_variables() {
    says(
        "[variables.DB_PASSWORD]\nabout = \"Password of the database\"\nrequired = true\nsecret = true\n[variables.PORT]\ntype = \"port\"\n[env]\nPORT = \"x\"\nURL = \"db://${DB_PASSWORD}\"\n[verbs.a]\nexec = [\"true\"]\n",
        &["a"],
        65,
        "preverb: variable `DB_PASSWORD` is required, and is not set: set `DB_PASSWORD` or `DB_PASSWORD_FILE`, or provide `/run/secrets/DB_PASSWORD`
hint: Password of the database
preverb: variable `PORT` is `x`, and must be a port from 1 to 65535
",
    );
    says(
        "[verbs.a]\nexec = [\"true\", \"${HOST:?name the host}\"]\n",
        &["a"],
        65,
        "preverb: variable `HOST` is not set: name the host: `exec` needs it
",
    );
    says(
        "[verbs.a]\nexec = [\"true\"]\nargs = [\"${HOST}\"]\n",
        &["a"],
        65,
        "preverb: variable `HOST` is not set: `args` needs it
",
    );
    Test::new()
        .table(VERBS)
        .args(["server"])
        .env("APP_ENV", "../x")
        .status(65)
        .stderr(
            "preverb: variable `APP_ENV` is `../x`, which is not a valid environment name
hint: a name is made of `A-Z a-z 0-9 . _ : -` and starts with neither `-` nor `.`
",
        )
        .run();
    Test::new()
        .table(VERBS)
        .args(["server"])
        .env("PREVERB_LOG", "loud")
        .status(65)
        .stderr(
            "preverb: variable `PREVERB_LOG` is `loud`, which is not a log format
hint: it is one of `text`, `json`, `quiet`, `verbose`
",
        )
        .run();
}

#[test]
fn messages_about_hooks() {
    let hook = |script: &str, message: &str| {
        Test::new()
            .table(
                "[[setup]]\nname = \"first things\"\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"true\"]\n",
            )
            .args(["a"])
            .hook("1.sh", script)
            .status(80)
            .stderr(message)
            .run();
    };
    hook(
        "exit 7\n",
        "preverb: running hook `1.sh`
preverb: hook `1.sh` of step `first things` in environment `prod` exited with status 7
",
    );
    hook(
        "kill -KILL $$\n",
        "preverb: running hook `1.sh`
preverb: hook `1.sh` of step `first things` in environment `prod` was ended by SIGKILL
",
    );
    hook(
        "trap : EXIT\nexit 0\n",
        "preverb: running hook `1.sh`
preverb: hook `1.sh` of step `first things` in environment `prod` ended before its environment could be read back
hint: it replaced the EXIT trap, called `exec`, or can no longer start a program; a file without the extension `.sh` is run instead of sourced
",
    );
    hook(
        "echo 'X = 3' >&3\n",
        "preverb: running hook `1.sh`
preverb: hook `1.sh` of step `first things` in environment `prod` wrote to descriptor 3 a value for `X` that is an integer, not a string
",
    );
    says(
        "[[setup]]\nrun = [\"no-such-program\", \"x\"]\n[verbs.a]\nexec = [\"true\"]\n",
        &["a"],
        80,
        "preverb: running hook `no-such-program`
preverb: hook `no-such-program` of step `run no-such-program x` in environment `prod` could not be started: cannot run `no-such-program`: not found on PATH `[DIR]/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`
",
    );
    says(
        "[[setup]]\nrun = [\"sleep\", \"60\"]\ntimeout = \"20ms\"\n[verbs.a]\nexec = [\"true\"]\n",
        &["a"],
        80,
        "preverb: running hook `sleep`
preverb: hook `sleep` of step `run sleep 60` in environment `prod` took longer than its timeout of 20 ms
",
    );
    Test::new()
        .table("[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"true\"]\n")
        .args(["a"])
        .file("hooks/readme.md", "", 0o644)
        .file("hooks/plain", "", 0o644)
        .stderr("preverb: warning: `[DIR]/hooks/plain` in step `hooks [DIR]/hooks` is skipped: it is not executable; `chmod +x` it, or name it `*.sh`
preverb: warning: `[DIR]/hooks/readme.md` in step `hooks [DIR]/hooks` is skipped: it is not executable, and `interpreters` has no `md`; `chmod +x` it, or add one
")
        .run();
    Test::new()
        .table("[[setup]]\nname = \"first things\"\nrun = [\"true\"]\nskip-if = \"SKIP\"\n[verbs.a]\nexec = [\"true\"]\n")
        .args(["a"])
        .env("SKIP", "1")
        .stderr("preverb: step `first things` is skipped: the variable `SKIP` is set
")
        .run();
}

#[test]
fn messages_about_the_exec() {
    let target = |file: &[u8], mode, message: &str| {
        Test::new()
            .table("[verbs.a]\nexec = [\"[DIR]/thing\"]\n")
            .args(["a"])
            .file("thing", file, mode)
            .status(126)
            .stderr(message)
            .run();
    };
    target(
        b"#!/bin/sh\n",
        0o644,
        "preverb: cannot run `[DIR]/thing`: it is not executable (mode 0644)
hint: `chmod +x` it when the image is built
",
    );
    target(
        b"text\n",
        0o755,
        "preverb: cannot run `[DIR]/thing`: it has no `#!` line and is not a binary
hint: a script begins with a line such as `#!/bin/sh`
",
    );
    target(
        b"",
        0o755,
        "preverb: cannot run `[DIR]/thing`: it is empty
",
    );
    target(
        b"#!/no/such/shell\n",
        0o755,
        "preverb: cannot run `[DIR]/thing`: its interpreter `/no/such/shell` does not exist
",
    );
    target(
        b"#!/bin/sh\r\n",
        0o755,
        "preverb: cannot run `[DIR]/thing`: its `#!` line names `/bin/sh` and ends in a carriage return (CR), which is read as a part of it
hint: save the file with Unix line ends
",
    );
    says(
        "[verbs.a]\nexec = [\"no-such-program\"]\n",
        &["a"],
        127,
        "preverb: cannot run `no-such-program`: not found on PATH `[DIR]/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`
",
    );
    says(
        "[verbs.a]\nexec = [\"/no/such/program\"]\n",
        &["a"],
        127,
        "preverb: cannot run `/no/such/program`: it does not exist
",
    );
    says(
        "[verbs.a]\nexec = [\"/etc\"]\n",
        &["a"],
        126,
        "preverb: cannot run `/etc`: it is a directory
",
    );
    says(
        "[verbs.a]\nexec = [\"true\"]\nworkdir = \"/no/where\"\n",
        &["a"],
        71,
        "preverb: cannot enter `workdir` `/no/where`: it does not exist
",
    );
    says(
        &format!("[env]\nLONG = \"{}\"\n[verbs.a]\nexec = [\"true\"]\n", "x".repeat(200_000)),
        &["a"],
        126,
        "preverb: cannot run `[..]/true`: variable `LONG` is too large: 200005 bytes with its name, and the kernel accepts 131071 in one string
",
    );
}

#[test]
fn a_missing_hook_file_is_reported_with_its_step_and_environment() {
    says(
        "[[setup]]\nname = \"prepare\"\nhooks = \"[DIR]/none.sh\"\n[verbs.a]\nexec = [\"true\"]\n",
        &["a"],
        80,
        "preverb: hook `[DIR]/none.sh` of step `prepare` in environment `prod` cannot be read: it does not exist\n",
    );
}

#[test]
fn an_alias_clash_in_one_environment_is_reported_with_its_name() {
    says(
        "[verbs.a]\nexec = [\"true\"]\naliases = [\"x\"]\n[environments.dev.verbs.x]\nexec = [\"true\"]\n",
        &["--environment", "dev", "a"],
        78,
        r#"preverb: [DIR]/preverb.toml:3:12: alias `x` of verb `a` is also a verb in environment `dev`
3 | aliases = ["x"]
  |            ^^^
"#,
    );
}

#[test]
fn the_hint_for_a_umask_is_a_valid_umask() {
    says(
        "umask = 27\n[verbs.a]\nexec = [\"true\"]\n",
        &["a"],
        78,
        r#"preverb: [DIR]/preverb.toml:1:9: `umask` must be a string of octal digits
1 | umask = 27
  |         ^^
hint: umask = "027"
"#,
    );
}
