//! The common properties of all kinds of step: their user, what root steps see of other users, and how steps
//! are skipped.

use std::os::unix::fs::MetadataExt as _;

use crate::dsl::Test;

/// A run as root with the verb's user `nobody`.
fn root(steps: &str) -> Test {
    Test::new()
        .table(format!(
            "log = \"quiet\"\nuser = \"nobody\"\n{steps}\n[verbs.a]\nexec = [\"sh\", \"-c\", 'echo \"$(id -un) $HOME ${{A-none}} ${{B-none}}\"']\n"
        ))
        .args(["a"])
        .env("HOME", "/root")
        .needs_root()
}

fn plain(steps: &str) -> Test {
    Test::new().table(format!("{steps}\n[verbs.a]\nexec = [\"echo\", \"the target\"]\n")).args(["a"])
}

const WHO: &str = "echo \"$(id -un):$(id -gn) $(id -Gn) $HOME\"";

// Users

#[test]
fn a_step_runs_as_the_verbs_user_with_that_users_home() {
    root(&format!("[[setup]]\nrun = [\"sh\", \"-c\", '{WHO}']\n[[setup]]\nhooks = \"[DIR]/hooks\"\n"))
        .hook("1.sh", WHO)
        .hook("2", format!("#!/bin/sh\n{WHO}\n"))
        .stdout("nobody /nonexistent none none\n")
        .stderr("nobody:nogroup nogroup /nonexistent\n".repeat(3))
        .pid1()
        .run();
}

#[test]
fn a_steps_user_overrides_the_verbs_and_may_be_root() {
    root(&format!(
        "[[setup]]\nrun = [\"sh\", \"-c\", '{WHO}']\nuser = \"daemon\"\n[[setup]]\nrun = [\"sh\", \"-c\", 'id -u']\nuser = \"root\"\n[[setup]]\nrun = [\"sh\", \"-c\", 'id -u; id -gn; id -Gn']\nuser = \"root:daemon\"\n"
    ))
    .stdout("nobody /nonexistent none none\n")
    .stderr("daemon:daemon daemon /usr/sbin\n0\n0\ndaemon\ndaemon\n")
    .pid1()
    .run();
}

#[test]
fn a_table_that_sets_home_keeps_it() {
    root("[env]\nHOME = \"/elsewhere\"\n[[setup]]\nrun = [\"sh\", \"-c\", 'echo $HOME']\n")
        .stdout("nobody /elsewhere none none\n")
        .stderr("/elsewhere\n")
        .run();
}

#[test]
fn a_user_that_cannot_run_a_hook_is_reported_once() {
    root("[[setup]]\nrun = [\"[DIR]/private/tool\"]\n")
        .file("private/tool", "#!/bin/sh\n", 0o700)
        .status(80)
        .stderr("preverb: hook `[DIR]/private/tool` of step `run [DIR]/private/tool` in environment `prod` could not be started: cannot run `[DIR]/private/tool`: permission denied: [..]\n")
        .run();
}

#[test]
fn a_user_of_a_step_that_does_not_exist_is_77() {
    root("[[setup]]\nrun = [\"true\"]\nuser = \"nosuch\"\n")
        .status(77)
        .stderr_contains("user `nosuch` does not exist")
        .run();
}

// Root steps

#[test]
fn root_steps_see_no_exports_of_other_users() {
    let see =
        "[[setup]]\nrun = [\"sh\", \"-c\", 'echo \"$(id -un) ${A-none} ${B-none} ${PWD##*/} $(umask)\"']\n"
            .replace("${", "$${");
    root(&format!(
        "umask = \"022\"\n[[setup]]\nhooks = \"[DIR]/theirs\"\n{see}{see}user = \"root\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\nuser = \"root\"\n{see}{see}user = \"root\"\n"
    ))
    .file("theirs/1.sh", "export A=theirs PATH=/nowhere:$PATH\ncd /tmp\numask 077\n", 0o644)
    .file("theirs/2", "#!/bin/sh\necho 'A = \"fd\"' >&3\n", 0o755)
    .hook("1.sh", "export B=roots\n")
    .check(|output| {
        let dir = output.dir.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(
            output.messages(),
            format!("nobody fd none tmp 0077\nroot none none {dir} 0022\nnobody fd roots tmp 0077\nroot none roots {dir} 0022\n")
        );
    })
    .any_stderr()
    .stdout("nobody /nonexistent fd roots\n")
    .pid1()
    .run();
}

#[test]
fn a_root_target_sees_no_exports_of_other_users() {
    Test::new()
        .table("log = \"quiet\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\nuser = \"nobody\"\n[verbs.a]\nexec = [\"sh\", \"-c\", 'echo \"$(id -u) ${A-none}\"; umask']\n")
        .args(["a"])
        .hook("1.sh", "export A=theirs PATH=/tmp\numask 0\n")
        .needs_root()
        .stdout("0 none\n0022\n")
        .under_shell("umask 022; exec \"$@\"")
        .run();
}

#[test]
fn exports_of_other_users_cannot_skip_a_root_step() {
    root("[[setup]]\nhooks = \"[DIR]/hooks\"\n[[setup]]\nrun = [\"echo\", \"root\"]\nuser = \"root\"\nskip-if = \"A\"\n[[setup]]\nrun = [\"echo\", \"other\"]\nskip-if = \"A\"\n")
        .hook("1.sh", "export A=1\n")
        .stdout("nobody /nonexistent 1 none\n")
        .stderr("root\n")
        .run();
}

#[test]
fn hooks_that_root_runs_must_be_writable_by_root_alone() {
    let step = "[[setup]]\nhooks = \"[DIR]/hooks\"\nuser = \"root\"\n";
    let unsafe_hook = |test: Test, why: &str| {
        test.status(77)
            .stderr(format!("preverb: step `hooks [DIR]/hooks` does not run `[DIR]/hooks/1.sh` as root: {why}\nhint: [..]\n"))
            .pid1()
            .run();
    };
    let bad =
        |prepare: &str| root(step).hook("1.sh", "echo no\n").under_shell(&format!("{prepare}; exec \"$@\""));
    unsafe_hook(bad("chown 65534 hooks/1.sh"), "`[DIR]/hooks/1.sh` belongs to uid 65534");
    unsafe_hook(
        bad("chmod 664 hooks/1.sh"),
        "`[DIR]/hooks/1.sh` is writable by users other than root (mode 0664)",
    );
    unsafe_hook(bad("chmod 757 hooks"), "`[DIR]/hooks` is writable by users other than root (mode 0757)");
    unsafe_hook(bad("chown 65534 hooks"), "`[DIR]/hooks` belongs to uid 65534");
    // As it is named, and as it resolves.
    unsafe_hook(
        bad("mkdir real; mv hooks/1.sh real; ln -s ../real/1.sh hooks; chown 65534 real"),
        "`[DIR]/real` belongs to uid 65534",
    );
    unsafe_hook(
        bad("mkdir real; mv hooks/1.sh real; ln -s ../real/1.sh hooks; chown 65534 real/1.sh"),
        "`[DIR]/real/1.sh` belongs to uid 65534",
    );
    // And one that root may run.
    root(step)
        .hook("1.sh", "id -u\n")
        .link("hooks/2.sh", "1.sh")
        .stdout("nobody /nonexistent none none\n")
        .stderr("0\n0\n")
        .pid1()
        .run();
}

#[test]
fn programs_that_root_runs_must_be_writable_by_root_alone() {
    for program in ["[DIR]/bin/tool", "tool"] {
        root(&format!("[[setup]]\nrun = [\"{program}\"]\nuser = \"root\"\n"))
            .program("tool", "#!/bin/sh\necho no\n")
            .under_shell("chmod 777 bin; exec \"$@\"")
            .status(77)
            .stderr_contains("`[DIR]/bin` is writable by users other than root (mode 0777)")
            .stderr_lacks("\nno\n")
            .run();
    }
    // Without root there is nothing to keep.
    root("[[setup]]\nrun = [\"tool\"]\n")
        .program("tool", "#!/bin/sh\necho yes\n")
        .under_shell("chmod 777 bin; exec \"$@\"")
        .stdout("nobody /nonexistent none none\n")
        .stderr("yes\n")
        .run();
}

#[test]
fn without_root_there_is_one_warning_and_the_steps_run() {
    Test::new()
        .table("user = \"root\"\n[[setup]]\nrun = [\"sh\", \"-c\", \"id -u\"]\nuser = \"daemon\"\nname = \"one\"\n[[setup]]\nrun = [\"sh\", \"-c\", \"id -u\"]\nuser = \"root\"\nname = \"two\"\n[verbs.a]\nexec = [\"id\", \"-u\"]\n")
        .args(["a"])
        .needs_root()
        .under_shell("exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"")
        .stdout("65534\n")
        .stderr("preverb: warning: continuing as uid 65534: only root can switch to user `root`\npreverb: running hook `one`\n65534\npreverb: hook `one` done in [TIME]\npreverb: running hook `two`\n65534\npreverb: hook `two` done in [TIME]\n")
        .run();
}

#[test]
fn root_steps_ignore_the_directory_and_umask_of_other_users() {
    root(
        "[[setup]]\nhooks = \"[DIR]/hooks\"\n[[setup]]\nmkdir = \"made\"\n[[setup]]\nrun = [\"sh\", \"-c\", 'echo \"$(pwd) $(umask)\"']\n",
    )
    .hook("1.sh", "cd /; umask 077\n")
    .stdout("nobody /nonexistent none none\n")
    .stderr("/ 0077\n")
    .check(|output| {
        let made = std::fs::metadata(output.dir.path().join("made")).unwrap();
        assert_eq!((made.uid(), made.mode() & 0o7777), (65534, 0o755));
    })
    .run();
}

// Skipping

#[test]
fn a_step_skipped_by_a_variable_is_reported() {
    plain("[[setup]]\nname = \"slow\"\nrun = [\"echo\", \"no\"]\nskip-if = [\"A\", \"B\"]\n")
        .env("B", "1")
        .stdout("the target\n")
        .stderr("preverb: step `slow` is skipped: the variable `B` is set\n")
        .pid1()
        .run();
}

#[test]
fn skip_setup_skips_every_kind_of_step() {
    let all = "[[setup]]\nrun = [\"echo\", \"no\"]\n[[setup]]\nhooks = \"[DIR]/hooks\"\n[[setup]]\nwait = [\"file:///no\"]\n[[setup]]\nrender = \"/no\"\nto = \"[DIR]/no\"\n[[setup]]\nmkdir = [\"[DIR]/no\"]\n[[setup]]\nchown = [\"[DIR]/no\"]\n";
    let none = |test: Test| {
        test.hook("1.sh", "echo no\n")
            .stdout("the target\n")
            .check(|output| assert!(!output.dir.path().join("no").exists()))
            .pid1()
            .run();
    };
    none(plain(all).env("PREVERB_SKIP_SETUP", "1"));
    none(
        Test::new()
            .table(format!("{all}\n[verbs.a]\nexec = [\"echo\", \"the target\"]\n"))
            .args(["--skip-setup", "a"]),
    );
}

#[test]
fn a_run_and_check_report_missing_files_alike() {
    let both = |step: &str, messages: &str| {
        let table = format!("[[setup]]\n{step}\n[verbs.a]\nexec = [\"true\"]\n");
        let test = || Test::new().table(&table).file("file", "", 0o644);
        test().args(["a"]).status(71).stderr_contains(messages).pid1().run();
        test().args(["--check"]).status(78).stderr_contains(messages).pid1().run();
    };
    both("render = \"[DIR]/none\"\nto = \"x\"", "cannot read template `[DIR]/none`: it does not exist\n");
    let directory = ": its directory `[DIR]/none` does not exist\n";
    both("render = \"[DIR]/file\"\nto = \"[DIR]/none/x\"", directory);
    both("render = \"[DIR]/file\"\nto = \"[DIR]\"", ": it is a directory\n");
}
