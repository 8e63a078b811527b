//! Who the target is: `user` in all its forms, `HOME`, capabilities, limits, and `--as`.
//!
//! Most of these need root, and users of their own: a mount namespace has its own `/etc/passwd` and
//! `/etc/group`.

use crate::dsl::{Test, lacks, skip};

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
app:x:1000:100:App:/home/app:/bin/sh
1000:x:5:5::/five:/bin/sh
other:x:1001:101:::
nohome:x:1002:102:::/bin/sh
";

const GROUP: &str = "\
root:x:0:
users:x:100:
extra:x:200:other,app
more:x:201:app
100:x:77:
odd:x:202:apple,ap
";

/// Prints ids, groups and home in one line.
const WHO: &str = "#!/bin/sh\necho $(id -u) $(id -g) $(id -G) $HOME\n";

/// A case with these users and groups, in which `who` prints who runs it.
fn with(passwd: &str, group: &str) -> Test {
    Test::new()
        .lay_over("/etc/passwd", passwd)
        .lay_over("/etc/group", group)
        .program("who", WHO)
        .env("HOME", "/inherited")
}

fn users() -> Test {
    with(PASSWD, GROUP)
}

/// Runs `who` as a verb's `user`.
fn user(spec: &str) -> Test {
    users().table(format!("[verbs.who]\nexec = [\"who\"]\nuser = \"{spec}\"\n")).args(["who"])
}

#[test]
fn every_form_of_a_user_has_the_right_ids_groups_and_home() {
    for (spec, who) in [
        ("app", "1000 100 100 200 201 /home/app"),
        ("app:extra", "1000 200 200 /home/app"),
        ("app:999", "1000 999 999 /home/app"),
        // A number is an id even if a user or a group has that name.
        ("1000", "1000 100 100 200 201 /home/app"),
        ("1000:100", "1000 100 100 /home/app"),
        ("01000:0100", "1000 100 100 /home/app"),
        ("4242:4243", "4242 4243 4243 /"),
        ("4242:extra", "4242 200 200 /"),
        ("2147483647:2147483647", "2147483647 2147483647 2147483647 /"),
        ("nohome", "1002 102 102 /"),
        ("root", "0 0 0 /root"),
        ("0", "0 0 0 /root"),
        ("0:0", "0 0 0 /root"),
        ("root:users", "0 100 100 /root"),
    ] {
        user(spec).stdout(format!("{who}\n")).run();
        users().args(["--as", spec, "--", "who"]).stdout(format!("{who}\n")).run();
    }
}

#[test]
fn an_unknown_user_is_77_and_no_step_runs() {
    for (spec, why) in [
        (
            "nosuch",
            "user `nosuch` does not exist\nhint: a user is looked up in the image's `/etc/passwd`; `UID:GID` needs no entry there",
        ),
        (
            "app:nosuch",
            "group `nosuch` does not exist\nhint: a group is looked up in the image's `/etc/group`; a number needs no entry there",
        ),
        ("4242", "uid `4242` has no entry in `/etc/passwd`, so it needs a group\nhint: write `4242:GID`"),
        ("", "`` is not a user: the user is empty"),
        ("app:", "`app:` is not a user: the group is empty"),
        (":users", "`:users` is not a user: the user is empty"),
        (
            "app:extra:x",
            "`app:extra:x` is not a user: the group contains a character that is not allowed in a group",
        ),
        ("2147483648", "`2147483648` is not a user: the user is larger than 2147483647"),
        ("4294967295:0", "`4294967295:0` is not a user: the user is larger than 2147483647"),
        ("4294967296:0", "`4294967296:0` is not a user: the user is larger than 2147483647"),
        ("0:4294967296", "`0:4294967296` is not a user: the group is larger than 2147483647"),
        ("99999999999999999999", "`99999999999999999999` is not a user: the user is larger than 2147483647"),
        (
            "-1",
            "user `-1` does not exist\nhint: a user is looked up in the image's `/etc/passwd`; `UID:GID` needs no entry there",
        ),
        (
            "0day",
            "user `0day` does not exist\nhint: a user is looked up in the image's `/etc/passwd`; `UID:GID` needs no entry there",
        ),
        (
            " 0",
            "user ` 0` does not exist\nhint: a user is looked up in the image's `/etc/passwd`; `UID:GID` needs no entry there",
        ),
    ] {
        users()
            .table(
                "[[setup]]\nrun = [\"touch\", \"[DIR]/ran\"]\n[verbs.who]\nexec = [\"who\"]\nuser = \"${WHOM}\"\n",
            )
            .env("WHOM", spec)
            .args(["who"])
            .status(77)
            .stderr(format!("preverb: {why}\n"))
            .check(|output| assert!(output.file("ran").is_none()))
            .run();
        // A text that cannot be a user is the caller's mistake.
        let status = if why.contains("is not a user") { 64 } else { 77 };
        users().args(["--as", spec, "--", "who"]).status(status).stderr(format!("preverb: {why}\n")).run();
    }
}

#[test]
fn a_damaged_passwd_line_defines_no_user_and_hides_no_other_line() {
    let passwd = "\n:x:0:0::/:\nroot\n\u{0}\n+::::::\nmany:x:4294967295:100::/many:\ngroupless:x:7:4294967295::/x:\n\
                  plus:x:+0:+0::/plus:\nnogid:x:1001\nblank:x::::/:\nnegative:x:-1:0::/:\nshort:x:1003:103\napp:x:1000:100::/home/app:";
    let group =
        "\nbroken\nextra:x:x:app\nextra:x:200:app,,other\n:x:0:app\nhuge:x:4294967295:app\nlast:x:201";
    let run = |spec: &str| with(passwd, group).args(["--as", spec, "--", "who"]);
    run("app").stdout("1000 100 100 200 /home/app\n").run();
    run("app:last").stdout("1000 201 201 /home/app\n").run();
    run("short").stdout("1003 103 103 /\n").run();
    // Ids that setresuid(2) would read as "leave it", which is root.
    for name in ["many", "nogid", "groupless", "plus", "blank", "negative", "root", "+"] {
        run(name)
            .status(77)
            .stderr(format!(
                "preverb: user `{name}` has a line in `/etc/passwd` that is damaged\nhint: its ids are missing, or are not whole numbers up to 2147483647\n"
            ))
            .run();
    }
    run("app:huge")
        .status(77)
        .stderr_contains("group `huge` has a line in `/etc/group` that is damaged")
        .run();
}

#[test]
fn an_unreadable_passwd_or_group_file_is_reported() {
    // A directory in the place of the file: what a mistyped mount leaves.
    let script = "mount --bind \"$0/tmp\" /mnt && cd / && mkdir /mnt/etc && cp /etc/nsswitch.conf /mnt/etc 2>/dev/null; \
                  mkdir /mnt/etc/passwd && mount --bind /mnt/etc /etc && exec \"$@\"";
    Test::new()
        .needs_root()
        .under(["unshare", "-m", "sh", "-c", script, "[DIR]"])
        .args(["--as", "app", "--", "true"])
        .status(77)
        .stderr("preverb: cannot look user `app` up: `/etc/passwd` cannot be read: it is a directory\nhint: `UID:GID` needs no entry there\n")
        .run();
}

#[test]
fn home_is_that_of_the_user_unless_the_table_or_a_hook_sets_it() {
    let verb = "[verbs.who]\nexec = [\"who\"]\nuser = \"app\"\n";
    let run = |table: String| users().table(table).args(["who"]);
    run(verb.to_owned()).stdout("1000 100 100 200 201 /home/app\n").run();
    run(format!("{verb}env = {{ HOME = \"/mine\" }}\n")).stdout("1000 100 100 200 201 /mine\n").run();
    run(format!("[env]\nHOME = \"${{HOME}}/below\"\n{verb}"))
        .stdout("1000 100 100 200 201 /inherited/below\n")
        .run();
    run(format!("{verb}unset = [\"HOME\"]\n")).stdout("1000 100 100 200 201\n").run();
    run(format!("[[setup]]\nhooks = \"[DIR]/hooks\"\n{verb}"))
        .hook("1.sh", "echo hook in $HOME; export HOME=/hooked\n")
        .stdout("1000 100 100 200 201 /hooked\n")
        .stderr("preverb: running hook `1.sh`\nhook in /home/app\npreverb: hook `1.sh` done in [TIME]\n")
        .run();
    // A hook that does not touch it did not set it.
    run(format!("[[setup]]\nhooks = \"[DIR]/hooks\"\nuser = \"root\"\n{verb}"))
        .hook("1.sh", "export OTHER=1\n")
        .under_shell("chown -R root [DIR]/hooks 2>/dev/null; exec \"$@\"")
        .stdout("1000 100 100 200 201 /home/app\n")
        .any_stderr()
        .run();
}

#[test]
fn a_root_hook_has_the_home_of_root() {
    for verbs_user in ["user = \"app\"\n", ""] {
        for spec in ["root", "0:0", "root:users"] {
            let run = |env: &str| {
                users()
                    .table(format!(
                        "log = \"quiet\"\n{env}[[setup]]\nrun = [\"sh\", \"-c\", \"echo $HOME\"]\nuser = \"{spec}\"\n[verbs.who]\nexec = [\"sh\", \"-c\", \"echo $HOME\"]\n{verbs_user}"
                    ))
                    .args(["who"])
            };
            let targets = if verbs_user.is_empty() { "/inherited\n" } else { "/home/app\n" };
            run("").stdout(targets).stderr("/root\n").run();
            run("[env]\nHOME = \"/mine\"\n").stdout("/mine\n").stderr("/mine\n").run();
        }
    }
}

#[test]
fn only_variables_set_by_root_can_skip_a_root_step() {
    let test = |kind: &str, user: &str| {
        users()
            .table(format!(
                "log = \"quiet\"\nuser = \"app\"\n[[setup]]\nrun = [\"sh\", \"-c\", \"echo 'SKIP = \\\"1\\\"' >&3\"]\nuser = \"{user}\"\n\
                 [[setup]]\n{kind}\nskip-if = \"SKIP\"\n[verbs.a]\nexec = [\"sh\", \"-c\", \"ls -d made 2>/dev/null; stat -c %U given; cat ran 2>/dev/null; true\"]\n"
            ))
            .args(["a"])
            .file("given", "", 0o644)
            .directory("open", 0o777)
            .link("ran", "open/ran")
            .any_stderr()
    };
    test("chown = [\"[DIR]/given\"]", "app").stdout("app\n").run();
    test("chown = [\"[DIR]/given\"]", "root").stdout("root\n").run();
    test("mkdir = [\"[DIR]/made\"]", "app").stdout("made\nroot\n").run();
    test("mkdir = [\"[DIR]/made\"]", "root").stdout("root\n").run();
    test("run = [\"sh\", \"-c\", \"echo ran >ran\"]\nuser = \"root\"", "app").stdout("root\nran\n").run();
    // A step of the verb's user is skipped by what a hook of that user set.
    test("run = [\"sh\", \"-c\", \"echo ran >ran\"]", "app").stdout("root\n").run();
}

#[test]
fn user_is_expanded_before_the_first_step_and_hooks_cannot_change_it() {
    users()
        .table("[[setup]]\nhooks = \"[DIR]/hooks\"\n[verbs.who]\nexec = [\"who\"]\nuser = \"${WHOM:-app}\"\n")
        .hook("1.sh", "export WHOM=root\n")
        .args(["who"])
        .stdout("1000 100 100 200 201 /home/app\n")
        .any_stderr()
        .run();
}

/// As nobody: 65534 with its group alone.
const NOBODY: [&str; 5] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];

#[test]
fn the_current_user_needs_no_change() {
    for spec in ["nobody", "65534", "65534:65534", "nobody:nogroup"] {
        let table = format!("[verbs.who]\nexec = [\"who\"]\nuser = \"{spec}\"\n");
        let test = || Test::new().needs_root().under(NOBODY).program("who", WHO).env("HOME", "/inherited");
        test().table(table).args(["who"]).stdout("65534 65534 65534 /inherited\n").pid1().run();
        test().args(["--as", spec, "--", "who"]).stdout("65534 65534 65534 /inherited\n").run();
    }
}

#[test]
fn without_root_a_run_warns_once_and_continues() {
    let table = "[[setup]]\nhooks = \"[DIR]/hooks\"\n[[setup]]\nrun = [\"true\"]\nuser = \"root\"\n\
                 [[setup]]\nchown = [\"[DIR]/hooks\"]\n[verbs.who]\nexec = [\"who\"]\nuser = \"root\"\ncapabilities = []\n";
    let test = || Test::new().needs_root().under(NOBODY).program("who", WHO).env("HOME", "/inherited");
    test()
        .table(table)
        .hook("1.sh", "id -u\n")
        .args(["who"])
        .stdout("65534 65534 65534 /inherited\n")
        .stderr(
            "preverb: warning: continuing as uid 65534: only root can switch to user `root`\n\
             preverb: running hook `1.sh`\n65534\npreverb: hook `1.sh` done in [TIME]\n[...]\n",
        )
        .check(|output| {
            // One warning about users, for all steps, and one about files.
            assert_eq!(output.messages().matches("only root can switch").count(), 1);
            assert_eq!(output.messages().matches("only root can change the owner").count(), 1);
        })
        .run();
    test()
        .args(["--as", "root", "--", "who"])
        .stdout("65534 65534 65534 /inherited\n")
        .stderr("preverb: warning: continuing as uid 65534: only root can switch to user `root`\n")
        .run();
    // A user that does not exist is the image author's mistake, even if the container does not run as root.
    test().args(["--as", "nosuch", "--", "who"]).status(77).stderr_contains("does not exist").run();
}

/// Prints lines of `/proc/self/status`.
fn status(names: &str) -> String {
    format!("exec = [\"grep\", \"-E\", \"^({names}):\", \"/proc/self/status\"]\n")
}

#[test]
fn giving_up_root_drops_every_id_and_capability() {
    let table = format!(
        "[verbs.a]\nuser = \"app\"\n{}",
        status("Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs")
    );
    let out = "Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\nGroups:\t100 200 201 \n\
               CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
               CapAmb:\t0000000000000000\nNoNewPrivs:\t0\n";
    users().table(&table).args(["a"]).stdout(out).run();
    users()
        .args([
            "--as",
            "app",
            "--",
            "grep",
            "-E",
            "^(Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs):",
        ])
        .args(["/proc/self/status"])
        .stdout(out)
        .run();
    // Ambient capabilities of root are given up as well.
    users()
        .under(["setpriv", "--inh-caps", "+net_bind_service", "--ambient-caps", "+net_bind_service"])
        .table(&table)
        .args(["a"])
        .stdout(out.replacen("CapInh:\t0000000000000000", "CapInh:\t0000000000000400", 1))
        .run();
}

#[test]
fn a_user_change_that_keeps_root_is_refused() {
    // With this bit a process that gives up uid 0 keeps its capabilities (capabilities(7)).
    let secure = ["setpriv", "--securebits", "+no_setuid_fixup"];
    let refused = "preverb: cannot become user `app`: verify: root can be regained\n";
    let table = "[verbs.a]\nuser = \"app\"\nexec = [\"who\"]\n";
    users().under(secure).table(table).args(["a"]).status(71).stderr(refused).run();
    users().under(secure).args(["--as", "app", "--", "who"]).status(71).stderr(refused).run();
    // Unless the table keeps the right to.
    users()
        .under(secure)
        .table(format!("{table}capabilities = [\"SETUID\"]\n"))
        .args(["a"])
        .stdout("1000 100 100 200 201 /home/app\n")
        .run();
}

#[test]
fn root_without_the_right_to_change_ids_is_reported() {
    for (lacking, part) in [("setgid", "setgroups"), ("setuid", "setuid")] {
        users()
            .under(["setpriv", "--bounding-set", &format!("-{lacking}"), "--inh-caps", &format!("-{lacking}")])
            .table("[verbs.a]\nuser = \"app\"\nexec = [\"who\"]\n")
            .args(["a"])
            .status(71)
            .stderr(format!(
                "preverb: cannot become user `app`: {part}: Operation not permitted\n\
                 hint: root needs the capabilities SETUID and SETGID for it; or start the container as that user\n"
            ))
            .run();
    }
}

#[test]
fn root_stays_root_in_a_namespace_without_setgroups() {
    let test = || Test::new().in_user_namespace().program("who", WHO);
    test().args(["--as", "root", "--", "sh", "-c", "id -u; echo $HOME"]).stdout("0\n/root\n").run();
    test().table("[verbs.a]\nuser = \"0:0\"\nexec = [\"id\", \"-u\"]\n").args(["a"]).stdout("0\n").run();
    test()
        .args(["--as", "nobody", "--", "who"])
        .status(71)
        .stderr_contains("cannot become user `nobody`: setgroups: ")
        .run();
}

#[test]
fn capabilities_are_kept_as_ambient_and_all_others_leave_the_bounding_set() {
    let lines = status("CapInh|CapPrm|CapEff|CapBnd|CapAmb");
    let sets = |[inherited, permitted, effective, bounding, ambient]: [u64; 5]| {
        format!(
            "CapInh:\t{inherited:016x}\nCapPrm:\t{permitted:016x}\nCapEff:\t{effective:016x}\nCapBnd:\t{bounding:016x}\nCapAmb:\t{ambient:016x}\n"
        )
    };
    let bind = 1 << 10;
    let two = 1 << 10 | 1 << 3;
    for (keys, expected) in [
        ("user = \"app\"\ncapabilities = [\"NET_BIND_SERVICE\"]\n", [bind; 5]),
        ("user = \"app\"\ncapabilities = [\"CAP_NET_BIND_SERVICE\", \"fowner\"]\n", [two; 5]),
        ("user = \"app\"\ncapabilities = []\n", [0; 5]),
        // Root without a capability has no privileges.
        ("capabilities = []\n", [0; 5]),
        ("capabilities = [\"NET_BIND_SERVICE\"]\n", [bind; 5]),
        ("user = \"root\"\ncapabilities = [\"NET_BIND_SERVICE\"]\n", [bind; 5]),
        ("user = \"app\"\ncapabilities = [\"NET_BIND_SERVICE\"]\nno-new-privileges = true\n", [bind; 5]),
        // The supervisor has no more than the target, which inherits it.
        ("user = \"app\"\ncapabilities = [\"NET_BIND_SERVICE\"]\ninit = true\n", [bind; 5]),
    ] {
        users().table(format!("[verbs.a]\n{lines}{keys}")).args(["a"]).stdout(sets(expected)).pid1().run();
    }
}

#[test]
fn a_supervisor_runs_as_the_user_of_its_target() {
    users()
        .table(format!(
            "[verbs.a]\nuser = \"app\"\ncapabilities = [\"NET_BIND_SERVICE\"]\nno-new-privileges = true\numask = \"027\"\n\
             limits = {{ nofile = 99 }}\ninit = true\nexec = [\"sh\", \"-c\", '{}']\n",
            "grep -E \"^(Umask|Uid|Gid|Groups|CapEff|CapBnd|NoNewPrivs)\" /proc/$PPID/status; ulimit -n; tr \"\\\\0\" \"\\\\n\" </proc/$PPID/environ | grep HOME"
        ))
        .args(["a"])
        .stdout(
            "Umask:\t0027\nUid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\nGroups:\t100 200 201 \n\
             CapEff:\t0000000000000400\nCapBnd:\t0000000000000400\nNoNewPrivs:\t1\n99\nHOME=/home/app\n",
        )
        .run();
}

#[test]
fn a_capability_that_the_container_lacks_is_71_as_root_and_otherwise_a_warning() {
    let table = "[verbs.a]\nuser = \"app\"\ncapabilities = [\"NET_ADMIN\"]\nexec = [\"true\"]\n";
    users()
        .under(["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"])
        .table(table)
        .args(["a"])
        .status(71)
        .stderr("preverb: cannot keep `CAP_NET_ADMIN`: the container does not have it\n")
        .run();
    // Another user keeps what the operator granted: here an ambient capability, which the failed attempt must
    // not lose.
    Test::new()
        .needs_root()
        .under(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
        .under(["--inh-caps", "+net_bind_service", "--ambient-caps", "+net_bind_service"])
        .table(format!("[verbs.a]\ncapabilities = [\"NET_ADMIN\"]\n{}", status("CapEff|CapAmb")))
        .args(["a"])
        .stdout("CapEff:\t0000000000000400\nCapAmb:\t0000000000000400\n")
        .stderr(
            "preverb: warning: continuing with the capabilities that it has: cannot keep `CAP_NET_ADMIN`: the container does not have it\n",
        )
        .run();
    // If the operator granted what the table keeps, there is no message.
    Test::new()
        .needs_root()
        .under(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
        .under(["--inh-caps", "+net_bind_service,+fowner", "--ambient-caps", "+net_bind_service,+fowner"])
        .table(format!("[verbs.a]\ncapabilities = [\"NET_BIND_SERVICE\"]\n{}", status("CapEff|CapAmb")))
        .args(["a"])
        .stdout("CapEff:\t0000000000000400\nCapAmb:\t0000000000000400\n")
        .run();
}

#[test]
fn a_bounding_set_that_is_already_right_needs_no_setpcap() {
    // `--cap-drop ALL --cap-add NET_BIND_SERVICE,SETUID,SETGID`: SETPCAP is not there.
    let only = "-all,+net_bind_service,+setuid,+setgid";
    let run = |capabilities: &str| {
        users()
            .under(["setpriv", "--bounding-set", only, "--inh-caps", "-all"])
            .table(format!(
                "[verbs.a]\nuser = \"app\"\ncapabilities = [{capabilities}]\n{}",
                status("CapEff|CapBnd")
            ))
            .args(["a"])
    };
    run("\"NET_BIND_SERVICE\", \"SETUID\", \"SETGID\"")
        .stdout("CapEff:\t00000000000004c0\nCapBnd:\t00000000000004c0\n")
        .run();
    run("\"NET_BIND_SERVICE\"")
        .status(71)
        .stderr(
            "preverb: cannot drop capabilities from the bounding set: Operation not permitted\n\
             hint: root needs the capability SETPCAP for it; or give the container only those that the table keeps\n",
        )
        .run();
}

#[test]
fn no_new_privileges_holds_for_every_user() {
    let table = format!("[verbs.a]\nno-new-privileges = true\n{}", status("NoNewPrivs"));
    Test::new().table(&table).args(["a"]).stdout("NoNewPrivs:\t1\n").run();
    Test::new().needs_root().under(NOBODY).table(&table).args(["a"]).stdout("NoNewPrivs:\t1\n").run();
}

#[test]
fn limits_are_soft_and_a_hard_one_is_raised_by_root_alone() {
    let limits = |limits: &str| {
        Test::new()
            .table(format!(
                "[verbs.a]\nlimits = {{ {limits} }}\nexec = [\"sh\", \"-c\", \"ulimit -Sn; ulimit -Hn\"]\n"
            ))
            .args(["a"])
    };
    limits("nofile = 64").under_shell("ulimit -n 128; exec \"$@\"").stdout("64\n128\n").run();
    // Every user may raise it up to the hard one.
    limits("nofile = 128")
        .needs_root()
        .under_shell("ulimit -Sn 64; ulimit -Hn 128; exec \"$@\"")
        .under(NOBODY)
        .stdout("128\n128\n")
        .run();
    limits("nofile = 129")
        .needs_root()
        .under_shell("ulimit -n 128; exec \"$@\"")
        .under(NOBODY)
        .status(71)
        .stderr("preverb: cannot set limit `nofile` to 129: Operation not permitted (os error 1); the hard limit is 128\n")
        .run();
    limits("nofile = \"unlimited\"")
        .needs_root()
        .status(71)
        .stderr("preverb: cannot set limit `nofile` to unlimited: Operation not permitted (os error 1); the hard limit is [..]\n")
        .run();
    // Root with the right to do so raises the hard limit with it.
    let raised = limits("nofile = 200").under_shell("ulimit -n 128; exec \"$@\"");
    if can_raise_limits() {
        raised.stdout("200\n200\n").run();
    } else {
        raised.status(71).stderr_contains("cannot set limit `nofile` to 200: Operation not permitted").run();
    }
}

/// Whether `CAP_SYS_RESOURCE` is effective here.
fn can_raise_limits() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap() & 1 << 24 != 0
}

#[test]
fn a_user_with_too_many_processes_is_reported() {
    let script = "setpriv --reuid=4711 --regid=4711 --clear-groups --pdeathsig KILL sleep 60 & \
                  until grep -q Uid:.4711 /proc/$!/status && grep -q sleep /proc/$!/comm; do :; done; exec \"$@\"";
    users()
        .under_shell(script)
        .table(
            "[verbs.a]\nuser = \"4711:4711\"\nlimits = { nproc = 0 }\nexec = [\"who\"]\n",
        )
        .args(["a"])
        .status(126)
        .stderr("preverb: cannot run `[DIR]/bin/who`: there are too many processes for the limit `nproc` of its user, or for the container's limit\n")
        .run();
}

#[test]
fn extremely_small_limits_still_give_the_right_message() {
    for limit in ["nofile = 0", "as = 0", "data = 0", "stack = 0", "fsize = 0", "fsize = 0, nofile = 0"] {
        Test::new()
            .table(format!("[verbs.a]\nlimits = {{ {limit} }}\nexec = [\"no-such-program\"]\n"))
            .args(["a"])
            .status(127)
            .stderr("preverb: cannot run `no-such-program`: not found on PATH `[..]`\n")
            .run();
    }
}

#[test]
fn a_workdir_is_entered_as_root_or_as_the_verbs_user() {
    // It may be closed to the user: root enters it first, as with `docker run --workdir`.
    users()
        .directory("closed", 0o700)
        .table(
            "[verbs.a]\nuser = \"app\"\nworkdir = \"[DIR]/closed\"\nexec = [\"/bin/sh\", \"-c\", \"pwd\"]\n",
        )
        .args(["a"])
        .stdout("[DIR]/closed\n")
        .run();
}

/// The results of gosu and `--as` for the same user, in one line each: exit status, and ids, groups and home
/// or the text of the failure.
fn next_to_gosu(spec: &str, command: &[&str]) -> Option<[(i32, String); 2]> {
    use std::sync::{Arc, Mutex};
    if lacks("gosu") {
        return None;
    }
    let results = [false, true].map(|gosu| {
        let result = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&result);
        let base = with(PASSWD, &format!("{GROUP}{}", "users:x:300:\n"));
        let test = if gosu {
            // The script runs gosu instead of its arguments.
            base.under([
                "sh",
                "-c",
                "while [ \"$1\" != -- ]; do shift; done; shift; exec gosu \"$0\" \"$@\"",
                spec,
            ])
        } else {
            base
        };
        test.args(["--as", spec, "--"])
            .args(command)
            .any_status()
            .any_stdout()
            .any_stderr()
            .check(move |output| {
                let text = format!("{}{}", output.text(), output.messages());
                let dir = output.dir.path().to_str().unwrap();
                *seen.lock().unwrap() = Some((output.status, text.trim_end().replace(dir, "[DIR]")));
            })
            .run();
        let result = result.lock().unwrap().take();
        result.unwrap_or_default()
    });
    Some(results)
}

#[test]
fn as_gives_the_same_identity_as_gosu() {
    if !nix::unistd::geteuid().is_root() {
        return skip("it needs root");
    }
    // The scenarios of gosu's own tests: a name, a uid, a uid with a gid, a name with a group.
    for spec in ["root", "0", "0:0", "app", "1000", "1000:100", "app:extra", "app:200", "0:100", "4242:4243"]
    {
        let Some([ours, gosus]) = next_to_gosu(spec, &["who"]) else { return };
        assert_eq!(ours.0, 0, "{spec}: {ours:?}");
        assert_eq!(ours, gosus, "{spec}");
    }
}

#[test]
fn differences_from_gosu_are_intended() {
    if !nix::unistd::geteuid().is_root() {
        return skip("it needs root");
    }
    let who: &[&str] = &["who"];
    let groups: &[&str] = &["grep", "Groups", "/proc/self/status"];
    for (what, spec, command, ours, gosus) in [
        // gosu leaves such a user in root's group.
        ("a uid without an entry", "4242", who, (77, "so it needs a group"), (0, "4242 0 0 /")),
        // gosu takes an empty user as the current one, which is root.
        ("an empty user", "", who, (64, "the user is empty"), (0, "0 0 0 /root")),
        ("no user and no group", ":", who, (64, "the user is empty"), (0, "0 0 0 /root")),
        ("an empty group", "app:", who, (64, "the group is empty"), (0, "1000 100 100 200 201 /home/app")),
        ("two groups", "app:extra:x", who, (64, "is not allowed in a group"), (0, "1000 200 200 /home/app")),
        // gosu passes an empty HOME on.
        ("no home", "nohome", who, (0, "1002 102 102 /"), (0, "1002 102 102")),
        // initgroups(3) includes the primary group, gosu does not; no access right depends on it.
        ("groups", "app", groups, (0, "Groups:\t100 200 201"), (0, "Groups:\t200 201")),
        // The codes of section 7 instead of 1 for everything.
        (
            "no such user",
            "nosuch",
            who,
            (77, "user `nosuch` does not exist"),
            (1, "unable to find user nosuch"),
        ),
        (
            "no such group",
            "app:nosuch",
            who,
            (77, "group `nosuch` does not exist"),
            (1, "unable to find group"),
        ),
        ("too large", "2147483648", who, (64, "larger than 2147483647"), (1, "must be in range")),
        ("negative", "-1", who, (77, "user `-1` does not exist"), (1, "must be in range")),
        ("no such program", "app", &["nosuch"], (127, "not found on PATH"), (1, "executable file not found")),
        ("no program", "app", &["/etc/passwd"], (126, "not executable"), (1, "permission denied")),
    ] as [(&str, &str, &[&str], (i32, &str), (i32, &str)); 13]
    {
        let Some([(our_status, our_text), (gosus_status, gosus_text)]) = next_to_gosu(spec, command) else {
            return;
        };
        assert_eq!(our_status, ours.0, "{what}: {our_text}");
        assert!(our_text.contains(ours.1), "{what}: {our_text}");
        assert_eq!(gosus_status, gosus.0, "{what}: gosu: {gosus_text}");
        assert!(gosus_text.contains(gosus.1), "{what}: gosu: {gosus_text}");
    }
}

#[test]
fn without_root_gosu_fails_and_preverb_continues() {
    for (script, status, out, err) in [
        ("exec gosu nobody id -u", 1, "", "error: failed switching to \"nobody\": operation not permitted\n"),
        ("shift 3; exec \"$0\" --as nobody -- \"$@\"", 0, "65534\n", ""),
    ] {
        Test::new()
            .needs("gosu")
            .needs_root()
            .under(NOBODY)
            .under(["sh", "-c", script])
            .args(["--as", "nobody", "--", "id", "-u"])
            .status(status)
            .stdout(out)
            .stderr(err)
            .run();
    }
}

#[test]
fn as_needs_a_user_and_a_command() {
    for args in [&["--as"][..], &["--as", "root"], &["--as", "root", "--"], &["--as", "root", "id"]] {
        Test::new().args(args).status(64).stderr_contains("preverb: ").run();
    }
}

#[test]
fn as_changes_only_the_user() {
    // Everything after `--` belongs to the command, also what gosu knows as an option.
    users()
        .program("show", "#!/bin/sh\nfor word; do printf '<%s>' \"$word\"; done\n")
        .args(["--as", "app", "--", "show", "--help", "", "--", "a b", "--as"])
        .stdout("<--help><><--><a b><--as>")
        .run();
}

#[test]
fn the_home_of_root_is_not_taken_from_a_passwd_file_of_another_user() {
    let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:10001:10001::/app:/bin/sh\n";
    let print = "[[setup]]\nrun = [\"sh\", \"-c\", \"echo $HOME\"]\nuser = \"root\"\n";
    Test::new()
        .table(format!(
            "log = \"quiet\"\nuser = \"app\"\n{print}[[setup]]\nrun = [\"cp\", \"[DIR]/new\", \"/etc/passwd\"]\n{print}\
             [verbs.a]\nexec = [\"true\"]\n"
        ))
        .args(["a"])
        .lay_over("/etc/passwd", passwd)
        .mounts("chmod 666 \"$0/over/etc/passwd\"")
        .file("new", passwd.replace(":/root:", ":/app/planted:"), 0o644)
        .stderr("/root\n/root\n")
        .run();
}
