//! A bare root like that of a `FROM scratch` image: it contains only preverb, a static target and a table, is
//! read-only, and has no `/proc`, `/dev`, `/tmp`, `/etc/passwd` or shell. Some tests run there with an
//! unknown uid.

use crate::dsl::Test;

/// Makes the root in a mount namespace and starts preverb there. `$0` is the test's directory, `$1` the binary;
/// `$AS` is passed to chroot(8), `$START` starts preverb.
/// The libraries of the test's own build of preverb are put next to it.
const SCRATCH: &str = r#"
set -e
root=$0/root
mkdir -p "$root"
mount --bind "$root" "$root"
put() { mkdir -p "$root${2%/*}"; : >"$root$2"; mount --bind "$1" "$root$2"; }
put "$1" /preverb
put /bin/busybox /busybox
for library in $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do put "$library" "$library"; done
shift
mount -o remount,bind,ro "$root"
exec chroot $AS "$root" ${START:-/preverb} "$@"
"#;

/// A root with this table at its default place, in which preverb is started with these arguments.
fn scratch(table: &str, words: &[&str]) -> Test {
    on(Test::new(), table, words)
}

fn on(test: Test, table: &str, words: &[&str]) -> Test {
    test.needs("busybox")
        .needs_root()
        .file("root/etc/preverb/preverb.toml", table, 0o644)
        .env_clear()
        .env("PATH", "/")
        .under(["/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
        .under(["unshare", "-m", "sh", "-c", SCRATCH, "[DIR]"])
        .args(words)
}

/// As OpenShift starts containers: a uid of its choice, in group 0.
fn openshift(table: &str, words: &[&str]) -> Test {
    on(Test::new().under(["/usr/bin/env", "AS=--userspec=+1000620000:+0 --groups="]), table, words)
}

const ENV: &str = "[verbs.env]\nexec = [\"busybox\", \"env\"]\nunset = [\"AS\"]\n";

#[test]
fn a_verb_runs_without_proc_dev_tmp_passwd_and_shell() {
    let environment = "PATH=/\nPWD=/\nPREVERB_ENVIRONMENT=prod\nPREVERB_VERB=env\n";
    let lines = |output: &crate::dsl::Output| {
        let mut lines: Vec<_> =
            output.text().lines().map(|line| line.replace("/usr/sbin:/usr/bin:/sbin:/bin", "/")).collect();
        lines.retain(|line| !line.starts_with("PWD=") && !line.starts_with("OLDPWD="));
        let expected: Vec<_> = environment.lines().filter(|line| !line.starts_with("PWD=")).collect();
        assert_eq!(lines, expected);
    };
    let table = format!("[env]\nPATH = \"/\"\n{ENV}");
    scratch(&table, &["env"]).any_stdout().check(lines).pid1().run();
    openshift(&table, &["env"]).any_stdout().check(lines).pid1().run();
    // No variable at all, as the engine of a bare image may have it.
    scratch("[verbs.a]\nexec = [\"/busybox\", \"echo\"]\nargs = [\"hello\"]\n", &["a"])
        .stdout("hello\n")
        .pid1()
        .run();
}

#[test]
fn a_supervisor_runs_without_proc_dev_tmp_passwd_and_shell() {
    let table = "[verbs.a]\nexec = [\"/busybox\", \"sh\", \"-c\", \"echo hello; exit 7\"]\ninit = true\n";
    scratch(table, &["a"]).stdout("hello\n").status(7).pid1().run();
    openshift(table, &["a"]).stdout("hello\n").status(7).pid1().run();
    scratch("", &["--supervise", "--", "/busybox", "sh", "-c", "kill -9 $$"]).status(137).pid1().run();
    scratch("", &["--supervise", "--", "/nothing"])
        .status(127)
        .stderr("preverb: cannot run `/nothing`: it does not exist\n")
        .run();
}

#[test]
fn changing_the_user_needs_no_passwd_file() {
    let who = "exec = [\"/busybox\", \"sh\", \"-c\", \"echo $(/busybox id -u) $(/busybox id -g) $(/busybox id -G) $HOME\"]\n";
    scratch(&format!("[verbs.a]\nuser = \"4242:4243\"\n{who}"), &["a"])
        .stdout("4242 4243 4243 /\n")
        .pid1()
        .run();
    scratch(&format!("[verbs.a]\nuser = \"4242:4243\"\ninit = true\n{who}"), &["a"])
        .stdout("4242 4243 4243 /\n")
        .pid1()
        .run();
    scratch("", &["--as", "4242:4243", "--", "/busybox", "id", "-u"]).stdout("4242\n").run();
    scratch(&format!("[verbs.a]\nuser = \"app\"\n{who}"), &["a"])
        .status(77)
        .stderr("preverb: user `app` does not exist\nhint: a user is looked up in the image's `/etc/passwd`; `UID:GID` needs no entry there\n")
        .run();
    // The table does not know a uid of the platform's choice, and the run continues.
    openshift(&format!("[verbs.a]\nuser = \"4242:4243\"\n{who}"), &["a"])
        .stdout("1000620000 0 0\n")
        .stderr("preverb: warning: continuing as uid 1000620000: only root can switch to user `4242:4243`\n")
        .pid1()
        .run();
    openshift(&format!("[verbs.a]\nuser = \"1000620000:0\"\n{who}"), &["a"]).stdout("1000620000 0 0\n").run();
}

#[test]
fn steps_run_without_proc_dev_tmp_passwd_and_shell() {
    let run = |user: &str| {
        format!(
            "{user}[[setup]]\nname = \"h\"\nrun = [\"/busybox\", \"id\", \"-u\"]\n[[setup]]\nwait = [\"file:///busybox\"]\n[verbs.a]\nexec = [\"/busybox\", \"echo\", \"hello\"]\n"
        )
    };
    let messages =
        |uid: &str| format!("preverb: running hook `h`\n{uid}\npreverb: hook `h` done in [TIME]\n");
    scratch(&run(""), &["a"]).stdout("hello\n").stderr(messages("0")).pid1().run();
    scratch(&run("user = \"4242:4243\"\n"), &["a"]).stdout("hello\n").stderr(messages("4242")).pid1().run();
    openshift(&run(""), &["a"]).stdout("hello\n").stderr(messages("1000620000")).pid1().run();
}

#[test]
fn a_missing_requirement_of_a_step_is_reported() {
    let verb = "[verbs.a]\nexec = [\"/busybox\", \"echo\", \"hello\"]\n";
    scratch(&format!("[[setup]]\nhooks = \"/hooks\"\n{verb}"), &["a"])
        .file("root/hooks/1.sh", "export A=1\n", 0o755)
        .status(80)
        .stderr_contains("hook `1.sh` of step `hooks /hooks` in environment `prod` could not be started: cannot run `sh`: not found on PATH")
        .run();
    scratch(
        &format!("[[setup]]\nonce = \"/done\"\nname = \"h\"\nrun = [\"/busybox\", \"true\"]\n{verb}"),
        &["a"],
    )
    .status(71)
    .stderr_contains("the file system is read-only")
    .run();
    scratch(&format!("[[setup]]\nmkdir = [\"/made\"]\n{verb}"), &["a"])
        .status(71)
        .stderr_contains("the file system is read-only")
        .run();
    scratch(&format!("[[setup]]\nwait = [\"tcp://nowhere.invalid:1\"]\ntimeout = \"50ms\"\n{verb}"), &["a"])
        .status(69)
        .stderr_contains("nowhere.invalid")
        .run();
}

#[test]
fn preverb_finds_itself_by_a_relative_path_and_on_a_path() {
    // Without /proc the kernel supplies the path that it was started by.
    let table = "workdir = \"/etc\"\n[verbs.a]\nexec = [\"/busybox\", \"pwd\"]\ninit = true\nuser = \"4242:4243\"\n\
                 [[setup]]\nname = \"h\"\nrun = [\"/busybox\", \"pwd\"]\n";
    for start in [
        "cd /etc/preverb; exec ../../preverb",
        "cd /; exec ./preverb",
        "PATH=/; exec preverb",
        "PATH=.; exec preverb",
    ] {
        on(Test::new().under(["/usr/bin/env", "START=/busybox sh /start"]), table, &["a"])
            .file("root/start", format!("{start} \"$@\"\n"), 0o644)
            .stdout("/etc\n")
            .stderr("preverb: running hook `h`\n/etc\npreverb: hook `h` done in [TIME]\n")
            .pid1()
            .run();
    }
}

#[test]
fn the_bare_root_of_these_tests_is_bare_and_read_only() {
    let script =
        "for each in proc dev tmp etc/passwd bin/sh; do [ ! -e /$each ] || echo /$each; done; echo x >/etc/x";
    scratch(&format!("[verbs.a]\nexec = [\"/busybox\", \"sh\", \"-c\", \"{script}\"]\n"), &["a"])
        .status(1)
        .stderr("sh: can't create /etc/x: Read-only file system\n")
        .run();
}

#[test]
fn the_other_modes_work_without_proc_dev_tmp_passwd_and_shell() {
    let table = "[variables.PORT]\nabout = \"Port\"\ntype = \"port\"\ndefault = \"80\"\n[verbs.a]\nabout = \"Say hello\"\nexec = [\"/busybox\", \"echo\", \"hello\"]\n";
    for words in [
        &["--list"][..],
        &["--list", "--json"],
        &["--explain", "a"],
        &["--check"],
        &["--help"],
        &["--version"],
    ] {
        scratch(table, words).any_stdout().run();
        openshift(table, words).any_stdout().run();
    }
    scratch(table, &["--probe", "file:///busybox"]).any_stdout().any_stderr().run();
    scratch(table, &["--wait", "file:///busybox", "--", "/busybox", "echo", "hello"]).stdout("hello\n").run();
    scratch(table, &["b"]).status(64).stderr_contains("unknown verb `b`").run();
    scratch(table, &["--", "/nothing"])
        .status(127)
        .stderr("preverb: cannot run `/nothing`: it does not exist\n")
        .run();
    scratch("[verbs.a]\nexec = [\"/etc\"]\n", &["a"])
        .status(126)
        .stderr("preverb: cannot run `/etc`: it is a directory\n")
        .run();
}

#[test]
fn a_missing_or_unreadable_table_is_78() {
    scratch("", &["--table", "/nowhere.toml", "a"]).status(78).stderr_contains("/nowhere.toml").run();
    openshift("[verbs.a]\nexec = [\"/busybox\", \"true\"]\n", &["a"])
        .file("root/etc/preverb/preverb.toml", "[verbs.a]\nexec = [\"/busybox\", \"true\"]\n", 0o600)
        .status(78)
        .stderr_contains("ermission denied")
        .run();
}
