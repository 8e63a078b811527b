//! Nothing that runs as root depends on what another user could have put there (preverb.toml(5), "SAFETY"):
//! what root runs, where root writes, and what happens when names are swapped meanwhile.

use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::dsl::{PATH, Running, Test, lacks};

/// The user of the verbs, who owns nothing that root may run.
const APP: &str = "10001:10001";

/// A verb of that user with these root steps.
fn root(steps: &str) -> Test {
    Test::new()
        .table(format!("log = \"quiet\"\nuser = \"{APP}\"\n{steps}\n[verbs.a]\nexec = [\"true\"]\n"))
        .args(["a"])
        .needs_root()
}

/// Starts the program many times and prints each status.
const MANY: &str = "n=0; while [ $n -lt 60 ]; do \"$@\"; echo $?; n=$((n+1)); done";

/// Swaps two names repeatedly as long as the program runs.
fn exchange(run: &Running, one: &str, other: &str) {
    let (one, other) = (run.dir().join(one), run.dir().join(other));
    let here = |path: &Path| path.symlink_metadata().is_ok();
    run.wait_until("the names to exchange", || here(&one) && here(&other));
    while run.state().is_some_and(|state| state != 'Z') {
        let _ = renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE);
    }
}

// Programs that root runs

#[test]
fn the_first_match_on_path_must_be_writable_by_root_alone() {
    let path = format!("[DIR]/venv/bin:{PATH}");
    let planted = "#!/bin/sh\necho planted, as $(id -u)\n";
    for (name, hook, word) in [
        ("1.sh", "echo sourced\n", "sh"),
        ("1.sh", "#!/usr/bin/env sh\necho sourced\n", "sh"),
        ("1.py", "echo interpreted\n", "python3"),
        ("1.txt", "echo interpreted\n", "tool"),
        ("1", "#!/usr/bin/env sh\necho run\n", "sh"),
        ("1", "#!/usr/bin/env -S sh -e\necho run\n", "sh"),
        ("1", "#!/usr/bin/env -S -u NONE sh -e\necho run\n", "sh"),
    ] {
        let test = || {
            let interpreters = "txt = [\"tool\"]\npy = [\"python3\"]";
            root(&format!("[env]\nPATH = \"{path}\"\n[interpreters]\n{interpreters}\n[[setup]]\nhooks = \"[DIR]/hooks\"\nuser = \"root\"\n"))
                .file(format!("hooks/{name}"), hook, if name == "1" { 0o755 } else { 0o644 })
        };
        test()
            .file(format!("venv/bin/{word}"), planted, 0o755)
            .under_shell(&format!("chown -R {APP} venv; exec \"$@\""))
            .status(77)
            .stderr_contains(
                "`[DIR]/venv` belongs to uid 10001\nhint: everything that root runs must belong to root",
            )
            .stderr_lacks("planted")
            .pid1()
            .run();
        // The same file, owned by root.
        test()
            .file(format!("venv/bin/{word}"), "#!/bin/sh\nexec /bin/sh \"$@\"\n", 0o755)
            .stderr_lacks("as root")
            .any_stderr()
            .run();
    }
}

#[test]
fn another_users_directory_on_path_is_harmless_without_a_match() {
    for (name, hook) in [
        ("1.sh", "echo hook\n"),
        ("1", "#!/usr/bin/env sh\necho hook $#\n"),
        ("1", "#!/usr/bin/env -S sh -e\necho hook $#\n"),
        ("1", "#!/bin/sh\necho hook\n"),
    ] {
        root("[[setup]]\nhooks = \"[DIR]/hooks\"\nuser = \"root\"\n[[setup]]\nrun = [\"sh\", \"-c\", \"echo run\"]\nuser = \"root\"\n")
            .hook(name, hook)
            .directory("venv/bin", 0o755)
            .env("PATH", format!("[DIR]/venv/bin:{PATH}"))
            .under_shell(&format!("chown -R {APP} venv; exec \"$@\""))
            .stderr(if hook.contains("$#") { "hook 1\nrun\n" } else { "hook\nrun\n" })
            .run();
    }
}

#[test]
fn every_directory_on_the_way_must_be_writable_by_root_alone() {
    let refused = |prepare: &str, hooks: &str, why: &str| {
        root(&format!("[[setup]]\nhooks = \"{hooks}\"\nuser = \"root\"\n"))
            .file("app/hooks/1.sh", "echo no\n", 0o644)
            .file("roots/hooks/1.sh", "echo no\n", 0o644)
            .under_shell(&format!("set -e; {prepare}; exec \"$@\""))
            .status(77)
            .stderr(format!(
                "preverb: step `hooks {hooks}` does not run `{hooks}/1.sh` as root: {why}\nhint: [..]\n"
            ))
            .run();
    };
    refused(&format!("chown {APP} app"), "[DIR]/app/hooks", "`[DIR]/app` belongs to uid 10001");
    refused(
        "chmod 775 app",
        "[DIR]/app/hooks",
        "`[DIR]/app` is writable by users other than root (mode 0775)",
    );
    // A link to a file of root: its owner chose among root's directories.
    let link = format!("ln -s \"$PWD/roots\" app/link; chown -h {APP} app/link");
    refused(&link, "[DIR]/app/link/hooks", "`[DIR]/app/link` belongs to uid 10001");
    refused(
        &format!("ln -s ../app/link roots/link; {link}"),
        "[DIR]/roots/link/hooks",
        "`[DIR]/app/link` belongs to uid 10001",
    );
    refused(
        &format!("ln -s \"$PWD/app/../roots\" roots/link; chown {APP} app"),
        "[DIR]/roots/link/hooks",
        "`[DIR]/app` belongs to uid 10001",
    );
    refused(&format!("cd app; chown {APP} ."), "hooks", "`[DIR]/app` belongs to uid 10001");
    // Only root can move its own files in a sticky directory.
    root("[[setup]]\nhooks = \"[DIR]/tmp/hooks\"\nuser = \"root\"\n")
        .file("tmp/hooks/1.sh", "echo yes\n", 0o644)
        .stderr("yes\n")
        .run();
}

#[test]
fn an_interpreter_of_an_interpreter_must_be_writable_by_root_alone() {
    for step in
        ["hooks = \"[DIR]/hooks\"", "run = [\"[DIR]/hooks/1\"]", "wait = [{ exec = [\"[DIR]/hooks/1\"] }]"]
    {
        root(&format!("[[setup]]\n{step}\nuser = \"root\"\n"))
            .hook("1", "#!/usr/bin/env outer\necho no\n")
            .program("outer", "#! [DIR]/bin/inner -x\n")
            .file("theirs/inner", "#!/bin/sh\necho planted\n", 0o755)
            .link("bin/inner", "[DIR]/theirs/inner")
            .under_shell(&format!(
                "sed -i \"s:\\[DIR\\]:$PWD:\" bin/outer; chown {APP} theirs/inner; exec \"$@\""
            ))
            .status(77)
            .stderr_contains("`[DIR]/theirs/inner` belongs to uid 10001")
            .stderr_lacks("planted")
            .run();
    }
}

#[test]
fn root_does_not_run_a_file_swapped_in_after_the_check() {
    // The directory of the hooks, by the owner of the one above it.
    root("[[setup]]\nhooks = \"[DIR]/app/hooks\"\nuser = \"root\"\n")
        .file("app/hooks/1.sh", "echo root\n", 0o644)
        .file("app/evil/1.sh", "echo planted\n", 0o644)
        .under_shell(&format!("chown {APP} app app/evil app/evil/1.sh; {MANY}"))
        .during(|run| exchange(run, "app/hooks", "app/evil"))
        .stdout("77\n".repeat(60))
        .stderr_lacks("planted")
        .run();
    // A program that appears and disappears on the PATH before root's own.
    for (step, name) in [
        ("run = [\"tool\"]", "none"),
        ("wait = [{ exec = [\"tool\"] }]", "none"),
        ("hooks = \"[DIR]/hooks\"", "1"),
        ("hooks = \"[DIR]/hooks\"", "1.txt"),
    ] {
        root(&format!("[interpreters]\ntxt = [\"tool\"]\n[[setup]]\n{step}\nuser = \"root\"\n"))
            .hook(name, "#!/usr/bin/env tool\n")
            .program("tool", "#!/bin/sh\n")
            .file("app/evil", "#!/bin/sh\necho planted\n", 0o755)
            .directory("app/bin/tool", 0o755)
            .env("PATH", format!("[DIR]/app/bin:[DIR]/bin:{PATH}"))
            .under_shell(&format!("[ -e hooks/1.txt ] && chmod 644 hooks/1.txt; chown -R {APP} app; {MANY}"))
            .during(|run| exchange(run, "app/bin/tool", "app/evil"))
            .stdout_lacks("1\n")
            .any_stdout()
            .stderr_lacks("planted")
            .any_stderr()
            .check(|output| {
                let safe = output.text().lines().filter(|status| *status == "0").count();
                let refused = output.text().lines().filter(|status| *status == "77").count();
                assert_eq!((safe + refused, safe > 0, refused > 0), (60, true, true), "{}", output.text());
            })
            .run();
    }
}

#[test]
fn root_does_not_run_a_missing_program_that_others_could_create() {
    for (step, name) in [("hooks = \"[DIR]/hooks\"", "tool"), ("env-file = \"[DIR]/sticky/env\"", "env")] {
        root(&format!("[[setup]]\n{step}\nuser = \"root\"\n"))
            .directory("sticky", 0o1777)
            .file("hooks/1", "#![DIR]/sticky/tool\n", 0o755)
            .under_shell("sed -i \"s:\\[DIR\\]:$PWD:\" hooks/1; exec \"$@\"")
            .status(77)
            .stderr_contains(format!(
                "`[DIR]/sticky/{name}` is missing, and others can put it there\nhint: everything"
            ))
            .run();
    }
}

#[test]
fn roots_shell_starts_only_the_preverb_that_started_it() {
    let replace = "rm own/preverb; printf '#!/bin/sh\\necho planted, as $(id -u)\\n' >own/preverb; chmod 755 own/preverb";
    root(&format!(
        "[[setup]]\nrun = [\"sh\", \"-c\", \"{}\"]\n[[setup]]\nhooks = \"[DIR]/hooks\"\nuser = \"root\"\n\
         [[setup]]\nrun = [\"sh\", \"-c\", \"echo $A\"]\nuser = \"root\"\n",
        replace.replace('\\', "\\\\")
    ))
    .file("hooks/1.sh", "export A=handed-back\n", 0o644)
    .under_shell(&format!(
        "mkdir own; cp \"$1\" own/preverb; chown -R {APP} own; shift; exec own/preverb \"$@\""
    ))
    .stderr("handed-back\n")
    .run();
}

// Where root creates and writes

#[test]
fn a_directory_swapped_in_during_mkdir_keeps_its_mode() {
    // `d` belongs to another user, `s` in it to root. Prints each status, and the mode of what holds the
    // secret and how much is in it, once nothing can be exchanged any more: an exchange that was under way
    // may show it twice or not.
    let many = "n=0; while [ $n -lt 40 ]; do rm -rf d done; mkdir d; chmod $mode d; mkdir -m 700 d/s; : >d/s/secret; chown $owner d; \
         \"$@\"; status=$?; mv d done; what=; until expr \"$what\" : '[0-9]* [0-9]*$' >/dev/null; do what=$(find done -name secret -execdir \
         sh -c 'echo $(stat -c %a .) $(ls | wc -l)' ';'); done; echo $status $what; n=$((n+1)); done";
    // A file that root's group may write to is not root's alone: another user can be a member, or be named in
    // an access control list.
    let theirs = format!("owner={APP} mode=755");
    for (path, mode, whose) in
        [("a", "0777", &*theirs), ("a/b", "2775", &theirs), ("a", "0777", "owner=0:0 mode=775")]
    {
        root(&format!("[[setup]]\nmkdir = \"[DIR]/d/{path}\"\nmode = \"{mode}\"\nuser = \"root\"\n"))
            .under_shell(&format!("{whose}; {many}"))
            .during(|run| {
                let at = |name: &str| run.dir().join("d").join(name);
                while run.state().is_some_and(|state| state != 'Z') {
                    if renameat_with(CWD, at("a"), CWD, at("s"), RenameFlags::EXCHANGE).is_ok() {
                        // Swapped back, and then unchanged until the next start.
                        run.wait_until("the next start", || {
                            run.state().is_none_or(|state| state == 'Z') || !at("a").exists()
                        });
                    }
                }
            })
            .any_stdout()
            .any_stderr()
            .check(|output| {
                for line in output.text().lines() {
                    assert!(["0 700 1", "71 700 1"].contains(&line), "{line}\n{}", output.messages());
                }
                assert_eq!(output.text().lines().count(), 40);
            })
            .run();
    }
}

#[test]
fn a_directory_below_another_users_directory_has_the_usual_mode() {
    for (mode, umask, expected) in [
        ("", "027", "2750\n2750\n"),
        ("mode = \"0777\"", "077", "777\n2700\n"),
        ("mode = \"3775\"", "077", "3775\n2700\n"),
    ] {
        Test::new()
            .table(format!(
                "[[setup]]\nmkdir = \"[DIR]/theirs/a/b\"\n{mode}\n[verbs.a]\nexec = [\"stat\", \"-c\", \"%a\", \"[DIR]/theirs/a/b\", \"[DIR]/theirs/a\"]\n"
            ))
            .args(["a"])
            .needs_root()
            .directory("theirs", 0o755)
            .under_shell(&format!("chown {APP} theirs; chmod 2755 theirs; umask {umask}; exec \"$@\""))
            .stdout(expected)
            .run();
    }
}

#[test]
fn a_working_directory_that_the_user_cannot_enter_is_refused() {
    // A link of the user to a root directory, and a directory that is swapped for one.
    let verb = |workdir: &str, steps: &str| {
        Test::new()
            .needs_root()
            .directory("private", 0o700)
            .directory("app/private", 0o700)
            .link("app/link", "[DIR]/private")
            .table(format!("log = \"quiet\"\nuser = \"{APP}\"\nworkdir = \"{workdir}\"\n{steps}\n[verbs.a]\nexec = [\"pwd\"]\n"))
            .args(["a"])
            .under_shell(&format!("chown -h {APP} app app/link; exec \"$@\""))
    };
    for workdir in ["[DIR]/app/link", "[DIR]/app/private"] {
        verb(workdir, "")
            .status(71)
            .stderr(format!("preverb: cannot enter `workdir` `{workdir}`: permission denied\n"))
            .run();
    }
    // Root does not follow a link that is not root's, either.
    verb("[DIR]/app/link", "[[setup]]\nrun = [\"pwd\"]\nuser = \"root\"\n")
        .status(71)
        .stderr("preverb: cannot enter `workdir` `[DIR]/app/link`: `[DIR]/app/link` is a symbolic link that users other than root could have created, and root does not follow such links\n")
        .run();
    // If only root can have created it, the table has chosen it.
    for workdir in ["[DIR]/private", "private"] {
        let test = verb(workdir, "[[setup]]\nrun = [\"pwd\"]\n");
        test.stdout("[DIR]/private\n").stderr("[DIR]/private\n").run();
    }
}

#[test]
fn the_users_own_directories_and_hooks_are_read_as_the_user() {
    Test::new()
        .needs_root()
        .directory("dir", 0o700)
        .file("hooks/1.sh", "#!/bin/bash\necho \"$(id -u) ${BASH_VERSION:+bash} $PWD\"\nexport A=1\n", 0o600)
        .file("hooks/2", "#!/bin/sh\necho \"$A $PWD\"\ncd ..\n", 0o700)
        .file("hooks/4.txt", "", 0o600)
        .file("hooks/3.sh", "cd sub 2>/dev/null || { mkdir -m 700 sub; cd sub; }\n", 0o600)
        .table(format!(
            "log = \"quiet\"\nuser = \"{APP}\"\nworkdir = \"[DIR]/dir\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\n\
             [[setup]]\nmkdir = \"[DIR]/dir/made\"\n[[setup]]\nrender = \"[DIR]/hooks/4.txt\"\nto = \"[DIR]/dir/rendered\"\n\
             [[setup]]\nrun = [\"pwd\"]\nuser = \"root\"\n[verbs.a]\nexec = [\"sh\", \"-c\", \"pwd; ls ..; id -u\"]\n"
        ))
        .args(["a"])
        .under(["setpriv", "--bounding-set", "-all,+setuid,+setgid,+chown", "sh", "-c"])
        .under([&format!("chmod 700 hooks; chown -R {APP} dir hooks; exec setpriv --bounding-set -chown \"$@\""), "sh"])
        .stdout("[DIR]/dir/sub\nmade\nrendered\nsub\n10001\n")
        .stderr("10001 bash [DIR]/dir\n1 [DIR]/dir\n[DIR]/dir\n")
        .pid1()
        .run();
}

// Exports of other users

#[test]
fn nothing_that_runs_as_root_loads_another_users_exports() {
    if lacks("gcc") {
        return;
    }
    // Reports each load and its user; the program's name distinguishes a dynamic preverb from its hooks.
    let library = "
#include <stdio.h>
#include <unistd.h>
__attribute__((constructor)) static void loaded(void) {
    FILE *file = fopen(LOADED, \"a\");
    if (file) { fprintf(file, \"%d %d\\n\", getuid(), geteuid()); fclose(file); }
}
";
    Test::new()
        .needs_root()
        .file("library.c", library, 0o644)
        .file("loaded", "", 0o666)
        .hook("1.sh", "export LD_PRELOAD=[DIR]/library.so\n")
        .hook("2.sh", "id -u\n")
        .hook("3", "#!/bin/sh\nid -u\n")
        .table(format!(
            "log = \"quiet\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\nuser = \"{APP}\"\n\
             [[setup]]\nrun = [\"id\", \"-u\"]\nuser = \"{APP}\"\n\
             [[setup]]\nrun = [\"id\", \"-u\"]\nuser = \"root\"\n\
             [[setup]]\nrun = [\"id\", \"-u\"]\nuser = \"root:daemon\"\n\
             [[setup]]\nwait = [\"file:///etc/passwd\", {{ exec = [\"true\"] }}]\nuser = \"{APP}\"\n\
             [[setup]]\nwait = [\"file:///etc/passwd\", {{ exec = [\"true\"] }}]\nuser = \"root\"\n\
             [[setup]]\nmkdir = \"[DIR]/made\"\nuser = \"{APP}\"\n\
             [verbs.a]\nexec = [\"id\", \"-u\"]\n"
        ))
        .args(["a"])
        .under_shell(
            "gcc -shared -fPIC -DLOADED=\"\\\"$PWD/loaded\\\"\" -o library.so library.c && exec \"$@\"",
        )
        .stdout("0\n")
        .stderr("10001\n10001\n10001\n0\n0\n")
        .check(|output| {
            let loaded = output.file("loaded").unwrap();
            let loaded = String::from_utf8(loaded).unwrap();
            assert!(loaded.lines().count() > 4, "{loaded}");
            assert!(loaded.lines().all(|line| line == "10001 10001"), "{loaded}");
        })
        .run();
}

#[test]
fn a_root_hook_that_gave_up_root_sets_no_variable_of_root() {
    let step_down = format!("setpriv --reuid={0} --regid={0} --clear-groups", 10001);
    for (name, hook) in [
        ("1.sh", format!("export B=2\n{step_down} sh -c \"echo 'A = \\\"1\\\"' >&3\"\n")),
        ("1", format!("#!/bin/sh\n{step_down} sh -c \"echo 'A = \\\"1\\\"' >&3\"\necho 'B = \"2\"' >&3\n")),
        ("1", format!("#!/bin/sh\necho 'B = \"2\"' >&3\nexec {step_down} sh -c \"echo >&3\"\n")),
    ] {
        for user in ["user = \"root\"", "user = \"root:daemon\""] {
            root(&format!("[[setup]]\nhooks = \"[DIR]/hooks\"\n{user}\n"))
                .hook(name, &hook)
                .status(80)
                .stderr(format!(
                    "preverb: hook `{name}` of step `hooks [DIR]/hooks` in environment `prod` stepped down to uid 10001, which wrote to descriptor 3: only root may write to it\n"
                ))
                .pid1()
                .run();
        }
    }
    // Root itself may, beside a program that does not, and other users in their own hooks.
    root(
        "[[setup]]\nhooks = \"[DIR]/hooks\"\nuser = \"root\"\n[[setup]]\nrun = [\"sh\", \"-c\", \"echo 'B = \\\"2\\\"' >&3\"]\n\
         [[setup]]\nrun = [\"sh\", \"-c\", \"echo $A $B\"]\n",
    )
    .hook("1", format!("#!/bin/sh\necho 'A = \"1\"' >&3\n{step_down} true\n"))
    .stderr("1 2\n")
    .run();
}

/// A run with users and groups of its own, which the group root may change, as in images for arbitrary users.
fn with_users(steps: &str) -> Test {
    let private = "chmod $MODE passwd; mount --bind \"$0/passwd\" /etc/passwd && exec \"$@\"";
    Test::new()
        .needs_root()
        .file(
            "passwd",
            "root:x:0:0::/:/bin/sh\napp:x:10001:0::/:/bin/sh\nother:x:10002:0::/:/bin/sh\n",
            0o664,
        )
        .env("MODE", "664")
        .table(format!("log = \"quiet\"\nuser = \"app\"\n{steps}\n[verbs.a]\nexec = [\"id\", \"-u\"]\n"))
        .args(["a"])
        .under(["unshare", "-m", "sh", "-c", private, "[DIR]"])
}

const RENUMBER: &str =
    "sed 's/10001/NEW/' /etc/passwd >tmp/passwd; cat tmp/passwd >/etc/passwd; rm tmp/passwd\n";

#[test]
fn a_user_who_was_not_root_never_becomes_root() {
    let hooks = "[[setup]]\nhooks = \"[DIR]/hooks\"\n";
    let roots = "[[setup]]\nrun = [\"true\"]\nuser = \"root\"\n";
    let became_root = "preverb: user `app` had uid 10001 when the run began, and is root now\nhint: only root may be able to change `/etc/passwd` and `/etc/group`\n";
    for steps in [hooks.to_owned(), format!("{hooks}{roots}"), format!("{hooks}{roots}{hooks}")] {
        let after_root = steps.contains("root");
        let test = |uid: &str| with_users(&steps).hook("1.sh", RENUMBER.replace("NEW", uid));
        test("0").status(77).stderr(became_root).run();
        // Another user that the caller chose does not, either.
        if after_root {
            test("4242").status(77).stderr_contains("user `app` has changed since the run began").run();
        } else {
            test("4242").stdout("10001\n").run();
        }
    }
    // A step's user is looked up before the steps, too.
    with_users(&format!("{hooks}[[setup]]\nrun = [\"id\", \"-u\"]\nuser = \"other\"\n"))
        .hook("1.sh", RENUMBER.replace("10001", "10002").replace("NEW", "0"))
        .stdout("10001\n")
        .stderr("10002\n")
        .run();
    with_users(&format!("{hooks}[[setup]]\nrun = [\"id\", \"-u\"]\nuser = \"new\"\n"))
        .hook("1.sh", "echo 'new:x:0:0::/:' >>/etc/passwd\n")
        .status(77)
        .stderr_contains("user `new` has changed since the run began")
        .run();
}

#[test]
fn a_root_hook_may_renumber_and_create_users() {
    let steps = "[[setup]]\nhooks = \"[DIR]/hooks\"\nuser = \"root\"\n\
                 [[setup]]\nrun = [\"id\", \"-u\"]\n[[setup]]\nrun = [\"id\", \"-u\"]\nuser = \"new\"\n";
    with_users(steps)
        .env("MODE", "644")
        .hook("1.sh", format!("{}echo 'new:x:4243:0::/:' >>/etc/passwd\n", RENUMBER.replace("NEW", "4242")))
        .stdout("4242\n")
        .stderr("4242\n4243\n")
        .run();
    with_users(steps)
        .env("MODE", "644")
        .hook("1.sh", RENUMBER.replace("NEW", "0"))
        .status(77)
        .any_stderr()
        .run();
}

#[test]
fn a_set_user_id_preverb_offers_only_help_and_version() {
    let borrowed = |bits: &str| {
        Test::new()
            .needs_root()
            .table("default = \"a\"\nleading-dash = \"default\"\n[verbs.a]\nexec = [\"id\"]\n")
            .under(["sh", "-c", &format!("p=$1; shift; cp \"$p\" preverb; chmod {bits} preverb; exec setpriv --reuid=65534 --regid=65534 --clear-groups ./preverb \"$@\""), "sh"])
    };
    for args in [
        &["--as", "root", "--", "id"][..],
        &["a"],
        &[],
        &["--check"],
        &["--", "id"],
        &["--help", "--", "x"],
        &["--exec", "--", "id"],
    ] {
        for bits in ["u+s", "g+s"] {
            borrowed(bits)
                .args(args)
                .status(77)
                .stderr_contains("preverb is set-user-id or set-group-id: started by uid 65534 as uid ")
                .run();
        }
    }
    borrowed("u+s").args(["--version"]).stdout_contains("preverb ").run();
    borrowed("u+s").args(["--help"]).stdout_contains("preverb [OPTIONS]").stdout_lacks("id").run();
}

#[test]
fn stops_and_timeouts_reach_a_hook_even_if_root_lacks_cap_kill() {
    let hook = "trap 'echo asked; exit 0' TERM\n: >started\nwhile :; do sleep 0.01; done\n";
    let test = |timeout: &str| {
        Test::new()
            .needs_root()
            .directory("dir", 0o777)
            .file("1.sh", hook, 0o644)
            .table(format!(
                "log = \"quiet\"\nuser = \"{APP}\"\nworkdir = \"[DIR]/dir\"\n[[setup]]\nhooks = \"[DIR]/1.sh\"\n{timeout}\n[verbs.a]\nexec = [\"true\"]\n"
            ))
            .args(["a"])
            .under(["setpriv", "--bounding-set", "-all,+setuid,+setgid"])
            .check(|output| assert!(output.took < std::time::Duration::from_secs(4), "{:?}", output.took))
    };
    test("timeout = \"200ms\"").status(80).stderr_contains("asked\n").pid1().run();
    test("")
        .during(|run| {
            run.wait_for_file("dir/started");
            run.signal(nix::sys::signal::Signal::SIGTERM);
        })
        .status(143)
        .stderr_contains("asked\n")
        .pid1()
        .run();
}

#[test]
fn root_reads_no_secret_through_another_users_link() {
    let test = |then: &str| {
        Test::new()
            .table(format!(
                "user = \"{APP}\"\n[variables.S]\nsecret = true\n[verbs.a]\nexec = [\"sh\", \"-c\", \"echo $S\"]\n"
            ))
            .args(["a"])
            .file("roots", "swordfish\n", 0o600)
            .directory("theirs", 0o755)
            .env("S_FILE", "[DIR]/theirs/secret")
            .needs_root()
            .under_shell(&format!("chmod 755 .; {then}; chown -h {APP} theirs theirs/*; exec \"$@\""))
    };
    for link in [
        "ln -s ../roots theirs/secret",
        "mkdir theirs/own; ln -s own theirs/x; ln -s x/../../roots theirs/secret",
    ] {
        test(link)
            .status(65)
            .stderr_contains("symbolic link that users other than root")
            .stderr_lacks("swordfish")
            .run();
    }
    test("cp roots theirs/secret").stdout("swordfish\n").run();
}

#[test]
fn root_enters_no_directory_named_by_another_users_hook() {
    let hook = "trap - EXIT\nname=$(tr '\\0' ' ' </proc/$$/cmdline | sed -n 's/.*--preverb-dump \\([^ ]*\\) .*/\\1/p' | head -n 1)\npython3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(chr(0) + sys.argv[1]); s.sendall(b\"[DIR]/closed/open\\0\" b\"22\\0\" b\"1\\0A=1\\0\")' \"$name\"\nexit 0\n";
    Test::new()
        .table(format!(
            "log = \"quiet\"\nuser = \"{APP}\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.a]\nexec = [\"pwd\"]\n"
        ))
        .args(["a"])
        .hook("1.sh", hook)
        .directory("closed/open", 0o755)
        .needs_root()
        .under_shell("chmod 755 .; chmod 700 closed; exec \"$@\"")
        .status(71)
        .stderr_contains("cannot enter `[DIR]/closed/open`: permission denied")
        .run();
}

#[test]
fn a_program_without_root_sets_no_variable_of_a_verb_that_runs_as_root() {
    let ids = "\"setpriv\", \"--reuid=65534\", \"--regid=65534\", \"--clear-groups\"";
    let table = |run: &str| {
        format!(
            "[[setup]]\nrun = [{run}, \"sh\", \"-c\", \"echo 'X = \\\"1\\\"' >&3\"]\n[verbs.a]\nexec = [\"sh\", \"-c\", \"echo $X\"]\n"
        )
    };
    let test = |run: &str| Test::new().table(table(run)).args(["a"]).needs_root().any_stderr();
    test(ids).status(80).run();
    test("\"env\"").stdout("1\n").run();
}

#[test]
fn root_renders_no_template_of_another_user() {
    let test = |owner: &str| {
        root("[[setup]]\nrender = \"[DIR]/theirs/a\"\nto = \"[DIR]/out\"\nuser = \"root\"\n")
            .file("theirs/a", "text\n", 0o644)
            .under_shell(&format!("chown -R {owner} theirs; exec \"$@\""))
    };
    test(APP).status(77).stderr_contains("as root: `[DIR]/theirs` belongs to uid 10001").run();
    test("0").check(|output| assert_eq!(output.file("out").unwrap(), b"text\n")).run();
}
