//! A process beside the main one: `--health`, `--exec` and `--probe` (chapter 10 of the specification), as an
//! engine's `exec` starts them: in the namespaces of a container, with no parent there.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::dsl::{PATH, Running, Test, children, preverb, skip, state};

/// Runs until the test ends it.
const MAIN: &str = r#"["sh", "-c", ": >[DIR]/tmp/ready; until [ -e [DIR]/tmp/end ]; do sleep 0.02; done"]"#;

const CONTAINER: [&str; 4] = ["unshare", "-pf", "--kill-child", "--mount-proc"];

/// A container that runs this verb `a`, and what is done in it once its target runs.
fn container(verb: &str, action: impl Fn(&Inside<'_>) + 'static) -> Test {
    container_of(&format!("[verbs.a]\nexec = {MAIN}\n{verb}"), &[], action)
}

/// The same with a whole table, and a command before preverb.
fn container_of(table: &str, init: &[&str], action: impl Fn(&Inside<'_>) + 'static) -> Test {
    bare(table, init, move |inside| {
        inside.run.wait_for_file("tmp/ready");
        action(inside);
    })
}

/// The same, from the start of the container on.
fn bare(table: &str, init: &[&str], action: impl Fn(&Inside<'_>) + 'static) -> Test {
    Test::new().table(table).under(CONTAINER).under(init).args(["a"]).needs_root().during(move |run| {
        let mut first = None;
        run.wait_until("process 1", || {
            first = run.children().first().copied();
            first.is_some()
        });
        action(&Inside { run, first: first.unwrap() });
        std::fs::write(run.dir().join("tmp/end"), "").unwrap();
    })
}

/// A container in which commands are started.
struct Inside<'r> {
    run: &'r Running,
    /// Its process 1, as this side sees it.
    first: Pid,
}

/// The result of a command.
#[derive(Debug)]
struct Answer {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Inside<'_> {
    /// Runs preverb with these arguments, as an engine's `exec` does.
    #[track_caller]
    fn preverb<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> Answer {
        self.preverb_under(&[] as &[&str], words)
    }

    /// The same, started by this command, such as `setpriv`.
    #[track_caller]
    fn preverb_under<U: AsRef<OsStr>, W: AsRef<OsStr>>(
        &self, under: &[U], words: impl IntoIterator<Item = W>,
    ) -> Answer {
        let mut command = Command::new("nsenter");
        command.args(["-p", "-m", "-t", &self.first.to_string()]).args(under).arg(preverb()).args(words);
        command.env_clear().env("PATH", PATH).env("OWN", "1").current_dir("/").stdin(Stdio::null());
        let output = command.output().unwrap();
        let text =
            |bytes| String::from_utf8(bytes).unwrap().replace(self.run.dir().to_str().unwrap(), "[DIR]");
        Answer { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    #[track_caller]
    fn health(&self) -> Answer {
        self.preverb(["--health"])
    }

    #[track_caller]
    fn shell(&self, script: &str) -> Answer {
        self.preverb(["--exec", "--", "sh", "-c", script])
    }

    fn touch(&self, path: &str) {
        std::fs::write(self.run.dir().join(path), "").unwrap();
    }
}

impl Answer {
    #[track_caller]
    fn is(&self, status: i32, stdout: &str, stderr: &str) {
        let mine = (self.status, self.stdout.as_str(), self.stderr.as_str());
        assert_eq!(mine, (Some(status), stdout, stderr));
    }

    #[track_caller]
    fn is_healthy(&self) {
        self.is(0, "", "");
    }

    #[track_caller]
    fn is_unhealthy(&self, why: &str) {
        self.is(1, "", &format!("preverb: {why}\n"));
    }
}

// --health

#[test]
fn a_verb_is_healthy_if_its_probe_succeeds() {
    container("health = \"file://[DIR]/alive\"\n", |inside| {
        inside.health().is_unhealthy("verb `a` is not healthy: `file://[DIR]/alive`: does not exist");
        inside.touch("alive");
        inside.health().is_healthy();
    })
    .run();
}

#[test]
fn a_heartbeat_that_is_too_old_is_not_healthy() {
    container("health = \"file://[DIR]/alive?max-age=1h\"\n", |inside| {
        inside.touch("alive");
        inside.health().is_healthy();
        let old = std::fs::File::open(inside.run.dir().join("alive")).unwrap();
        old.set_modified(std::time::SystemTime::now() - Duration::from_hours(3)).unwrap();
        let answer = inside.health();
        assert_eq!(answer.status, Some(1));
        assert!(answer.stderr.contains("old"), "{answer:?}");
    })
    .run();
}

#[test]
fn the_probe_uses_the_variables_of_the_main_process() {
    let verb = "health = \"file://[DIR]/${NAME}-${EXPORTED}-${OWN:-none}\"\nenv = { NAME = \"x\" }\n\
                [[setup]]\nhooks = \"[DIR]/hooks\"\n";
    container(verb, |inside| {
        inside.touch("x-y-none");
        inside.health().is_healthy();
    })
    .hook("a.sh", "export EXPORTED=y\n")
    .stderr("preverb: running hook `a.sh`\npreverb: hook `a.sh` done in [TIME]\n")
    .run();
}

#[test]
fn the_probe_is_that_of_the_current_environment() {
    let verb = "health = \"file:///\"\n[environments.dev.verbs.a]\nhealth = \"file://[DIR]/dev\"\n";
    container(verb, |inside| inside.health().is_healthy()).run();
    container(verb, |inside| {
        inside.health().is_unhealthy("verb `a` is not healthy: `file://[DIR]/dev`: does not exist");
    })
    .env("APP_ENV", "dev")
    .run();
}

#[test]
fn a_verb_without_a_probe_and_a_command_are_healthy_while_they_run() {
    container("", |inside| inside.health().is_healthy()).run();
    let script = format!(": >$0/tmp/ready; {} --health; echo $?", preverb());
    Test::new()
        .table("[verbs.a]\nexec = [\"true\"]\nhealth = \"file:///nothing\"\n")
        .under(CONTAINER)
        .args(["--", "sh", "-c", &script, "[DIR]"])
        .needs_root()
        .stdout("0\n")
        .run();
}

#[test]
fn a_main_process_without_preverbs_variables_is_not_healthy() {
    let script = format!(": >$0/tmp/ready; {} --health", preverb());
    Test::new()
        .table("[verbs.a]\nexec = [\"true\"]\nhealth = \"file:///nothing\"\n")
        .under(CONTAINER)
        .args(["--", "env", "-i", "sh", "-c", &script, "[DIR]"])
        .needs_root()
        .status(1)
        .stderr(
            "preverb: cannot tell what the main process 1 (`sh`) runs: its variables `PREVERB_VERB` and \
             `PREVERB_ENVIRONMENT` are missing\n",
        )
        .run();
}

#[test]
fn during_setup_a_hook_is_not_taken_for_the_target() {
    let table = format!(
        "[[setup]]\nrun = [\"sh\", \"-c\", \": >[DIR]/tmp/hook; until [ -e [DIR]/tmp/go ]; do sleep 0.02; done\"]\n\
         [verbs.a]\nexec = {MAIN}\n"
    );
    for init in [&[][..], &["tini", "--"], &["dumb-init", "--"], &["sh", "-c", "\"$@\"; exit $?", "sh"]] {
        let first = init.is_empty();
        bare(&table, init, move |inside| {
            inside.run.wait_for_file("tmp/hook");
            let pid = if first { 1 } else { 2 };
            inside
                .health()
                .is_unhealthy(&format!("still setting up: process {pid} has not become the target yet"));
            let answer = inside.shell("echo no");
            assert_eq!((answer.status, answer.stdout.as_str()), (Some(69), ""));
            inside.touch("tmp/go");
            inside.run.wait_for_file("tmp/ready");
            inside.health().is_healthy();
            inside.shell("echo $PREVERB_VERB").is(0, "a\n", "");
        })
        .any_stderr()
        .run();
    }
}

#[test]
fn during_setup_a_link_to_preverb_is_not_taken_for_the_target() {
    let table = "[[setup]]\nrun = [\"sh\", \"-c\", \": >[DIR]/tmp/hook; until [ -e [DIR]/tmp/end ]; do sleep 0.02; done\"]\n\
                 [verbs.a]\nexec = [\"true\"]\n";
    bare(table, &[], |inside| {
        inside.run.wait_for_file("tmp/hook");
        inside.health().is_unhealthy("still setting up: process 1 has not become the target yet");
    })
    .argv0("server")
    .any_stderr()
    .run();
}

#[test]
fn below_another_init_the_oldest_process_is_the_main_process() {
    for init in [&["tini", "--"], &["dumb-init", "--"], &["catatonit", "--"]] {
        let table = format!("[verbs.a]\nexec = {MAIN}\nhealth = \"file://[DIR]/alive\"\n");
        container_of(&table, init, |inside| {
            inside.health().is_unhealthy("verb `a` is not healthy: `file://[DIR]/alive`: does not exist");
            inside.shell("echo $PREVERB_VERB").is(0, "a\n", "");
        })
        .run();
    }
}

#[test]
fn behind_a_supervisor_the_target_is_the_main_process() {
    let verb = "init = true\nuser = \"daemon\"\nhealth = \"file://[DIR]/alive\"\nenv = { X = \"1\" }\n";
    let table = format!("[verbs.a]\nexec = {MAIN}\n{verb}");
    for init in [&[][..], &["tini", "--"]] {
        container_of(&table, init, |inside| {
            inside.health().is_unhealthy("verb `a` is not healthy: `file://[DIR]/alive`: does not exist");
            inside.touch("alive");
            inside.health().is_healthy();
            inside.shell("id -u; echo $X").is(0, "1\n1\n", "");
        })
        .run();
    }
}

#[test]
fn a_leftover_process_of_a_hook_is_not_taken_for_the_target() {
    // It is older, and the first one of a process group of its own, as a target is.
    let leaver = "#!/bin/bash\nset -m\nX=hook sleep 60 &\n";
    let table = format!(
        "[[setup]]\nrun = [\"leaver\"]\n\
         [verbs.a]\nexec = {MAIN}\ninit = true\nenv = {{ X = \"target\" }}\n"
    );
    container_of(&table, &[], |inside| inside.shell("echo $X").is(0, "target\n", ""))
        .program("leaver", leaver)
        .any_stderr()
        .run();
    // A child from before preverb.
    let before = ["bash", "-c", "set -m; X=before sleep 60 & exec \"$@\"", "bash"];
    let table = format!("[verbs.a]\nexec = {MAIN}\ninit = true\n");
    container_of(&table, &before, |inside| inside.shell("echo $X").is(0, "\n", "")).any_stderr().run();
}

/// A root step that leaves a process running.
const LEAVES: &str = "[[setup]]\nuser = \"root\"\n\
                      run = [\"sh\", \"-c\", \"setsid sleep 600 </dev/null >/dev/null 2>&1 3>&- & exit 0\"]\n";

#[test]
fn a_leftover_process_of_a_root_hook_is_not_taken_for_the_target() {
    let main = MAIN.strip_prefix('[').unwrap();
    let test = |before: &str, init: &[&str]| {
        let table =
            format!("{LEAVES}[verbs.a]\nexec = [{before}\"env\", \"-i\", {main}\nuser = \"65534:65534\"\n");
        container_of(&table, init, |inside| {
            inside.shell("id -u").is(0, "65534\n", "");
            assert_eq!(inside.health().status, Some(1));
        })
        .any_stderr()
        .run();
    };
    test("", &[]);
    test("", &["tini", "--"]);
    if has_user_namespaces() {
        // With mounts of its own it might be another container's.
        test("\"unshare\", \"-Um\", ", &[]);
    }
}

fn has_user_namespaces() -> bool {
    let mut unshare = Command::new("setpriv");
    unshare.args(["--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "-Um", "true"]);
    unshare.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn a_process_that_poses_as_a_supervisor_is_ignored() {
    let itself = "import ctypes, glob, os, time\n\
                  left = [p for p in glob.glob('/proc/[0-9]*') if open(p + '/comm').read() == 'sleep\\n'][0]\n\
                  ctypes.CDLL(None).prctl(15, b'preverb:' + left[6:].encode(), 0, 0, 0)\n\
                  open('[DIR]/tmp/ready', 'w')\n\
                  while not os.path.exists('[DIR]/tmp/end'): time.sleep(0.02)\n";
    let table = format!("{LEAVES}[verbs.a]\nexec = [\"python3\", \"[DIR]/it.py\"]\nuser = \"65534:65534\"\n");
    container_of(&table, &[], |inside| {
        let why = "the target of supervisor process 1 no longer exists";
        let why = format!("preverb: cannot join the container's main process: {why}\n");
        inside.shell("id -u").is(69, "", &why);
    })
    .needs("python3")
    .file("it.py", itself, 0o644)
    .any_stderr()
    .run();
}

#[test]
fn a_target_is_found_as_soon_as_it_starts() {
    // Its supervisor may not have recorded it yet; either of the two may be faster.
    let table = format!(
        "[verbs.a]\nexec = [\"sh\", \"-c\", \"{} --exec -- printenv PREVERB_VERB\"]\ninit = true\n",
        preverb()
    );
    for _ in 0..10 {
        Test::new().table(&table).under(CONTAINER).args(["a"]).needs_root().stdout("a\n").run();
    }
}

#[test]
fn a_target_that_is_called_init_is_the_main_process() {
    let script = "X=child sleep 60 & : >[DIR]/tmp/ready; until [ -e [DIR]/tmp/end ]; do sleep 0.02; done";
    for more in ["", "init = true\n"] {
        let table =
            format!("[verbs.a]\nexec = [\"init\", \"-c\", \"{script}\"]\nenv = {{ X = \"own\" }}\n{more}");
        container_of(&table, &[], |inside| inside.shell("echo $X").is(0, "own\n", ""))
            .link("bin/init", "/bin/sh")
            .run();
    }
}

#[test]
fn a_script_that_runs_preverb_is_not_the_main_process() {
    let table = format!("[verbs.a]\nexec = {MAIN}\nhealth = \"file://[DIR]/alive\"\n");
    container_of(&table, &["sh", "-c", "\"$@\"; exit $?", "sh"], |inside| {
        inside.health().is_unhealthy("verb `a` is not healthy: `file://[DIR]/alive`: does not exist");
    })
    .run();
}

#[test]
fn a_target_is_found_beside_older_processes_of_its_script_or_init() {
    let table = format!("[verbs.a]\nexec = {MAIN}\n");
    let other = "sleep 600 </dev/null >/dev/null 2>&1 &";
    for script in [
        format!("{other} \"$@\"; exit $?"),
        format!("setsid {other} setsid sh -c '\"$@\"; exit $?' sh \"$@\"; exit $?"),
    ] {
        container_of(&table, &["sh", "-c", &script, "sh"], |inside| {
            inside.shell("echo $PREVERB_VERB").is(0, "a\n", "");
        })
        .run();
    }
}

#[test]
fn a_main_process_that_ended_is_not_healthy() {
    // An init that reaps no process.
    let init = "#!/usr/bin/perl\nif (fork) { sleep 1 until -e '[DIR]/tmp/gone' } else { exec @ARGV }\n";
    bare("[verbs.a]\nexec = [\"true\"]\n", &["[DIR]/bin/tini"], |inside| {
        inside.run.wait_until("a zombie", || {
            children(inside.first).iter().any(|pid| crate::dsl::state(*pid) == Some('Z'))
        });
        inside.health().is_unhealthy("the main process 2 (`true`) has ended");
        inside.touch("tmp/gone");
    })
    .needs("perl")
    .program("tini", init)
    .run();
}

#[test]
fn a_target_in_a_pid_namespace_below_its_supervisors_is_found() {
    let health = "health = { exec = [\"test\", \"${WHO}\"] }";
    let table = format!("[verbs.a]\ninit = true\nexec = {MAIN}\n{health}\n");
    let found = |inside: &Inside<'_>| {
        inside.health().is_healthy();
        inside.shell("echo $WHO").is(0, "target\n", "");
    };
    // The child of the supervisor is process 1 of its own namespace; or both are in one below the caller's.
    for init in [&["unshare", "-p"][..], &["unshare", "-pf"], &["unshare", "-pf", "unshare", "-p"]] {
        container_of(&table, init, found).env("WHO", "target").run();
    }
}

#[test]
fn in_a_shared_namespace_each_container_has_its_own_main_process() {
    let table = format!("[verbs.a]\nexec = {MAIN}\nhealth = \"file://[DIR]/${{WHO}}\"\n");
    container_of(&table, &[], |inside| {
        // Two more containers: their main processes have no parent here, and mounts of their own.
        let start = |who: &str| {
            let ready = format!("tmp/ready-{who}");
            let dir = inside.run.dir().display().to_string();
            let script = format!(": >{dir}/{ready}; until [ -e {dir}/tmp/end ]; do sleep 0.02; done");
            let table = format!(
                "[verbs.a]\nexec = [\"sh\", \"-c\", \"{script}\"]\nhealth = \"file://{dir}/${{WHO}}\"\n"
            );
            let file = inside.run.dir().join(format!("{who}.toml"));
            std::fs::write(&file, table).unwrap();
            let child = Command::new("nsenter")
                .args(["-p", "-m", "-t", &inside.first.to_string(), "unshare", "-m", preverb(), "--table"])
                .arg(&file)
                .arg("a")
                .env("WHO", who)
                .env("PREVERB_TABLE", &file)
                .spawn()
                .unwrap();
            inside.run.wait_for_file(&ready);
            child
        };
        let mut others = [start("one"), start("two")];
        for (who, container) in ["one", "two"].into_iter().zip(&others) {
            let own = Pid::from_raw(i32::try_from(container.id()).unwrap());
            let first = children(own).first().copied().unwrap_or(own);
            let there = Inside { run: inside.run, first };
            there
                .health()
                .is_unhealthy(&format!("verb `a` is not healthy: `file://[DIR]/{who}`: does not exist"));
            there.shell("echo $WHO").is(0, &format!("{who}\n"), "");
        }
        inside.shell("echo $WHO").is(0, "first\n", "");
        inside.touch("tmp/end");
        for other in &mut others {
            // They may have ended with process 1.
            other.wait().unwrap();
        }
    })
    .env("WHO", "first")
    .run();
}

#[test]
fn variables_overwritten_by_a_process_title_are_not_used() {
    let exec = r#"["perl", "-e", "$0 = q(x) x 3000; open F, '>', '[DIR]/tmp/ready'; close F; select undef, undef, undef, 0.02 until -e '[DIR]/tmp/end'"]"#;
    let table = format!("[verbs.a]\nexec = {exec}\nhealth = \"file://[DIR]/alive\"\n");
    container_of(&table, &[], |inside| {
        let answer = inside.health();
        assert_eq!(answer.status, Some(1));
        assert!(answer.stderr.ends_with("with `init = true` the supervisor keeps them\n"), "{answer:?}");
        assert_eq!(inside.shell("echo no").status, Some(71));
    })
    .needs("perl")
    .run();
    // Its supervisor has the same variables.
    container_of(&format!("{table}init = true\n"), &[], |inside| {
        inside.health().is_unhealthy("verb `a` is not healthy: `file://[DIR]/alive`: does not exist");
        inside.shell("echo $PREVERB_VERB").is(0, "a\n", "");
    })
    .run();
}

#[test]
fn health_uses_the_table_of_the_main_process_unless_one_is_given() {
    container("health = \"file:///\"\n", |inside| {
        inside.health().is_healthy();
        inside
            .preverb(["--health", "--table", &format!("{}/other.toml", inside.run.dir().display())])
            .is_unhealthy("verb `a` is not healthy: `file:///nothing`: does not exist");
        inside
            .preverb(["--table", &format!("{}/none.toml", inside.run.dir().display()), "--health"])
            .is_unhealthy("cannot read the table `[DIR]/none.toml`: it does not exist");
        inside.preverb(["--health", &format!("--table={}/b.toml", inside.run.dir().display())]).is_unhealthy(
            "verb `a` of environment `prod` is running, but the table `[DIR]/b.toml` does not have it",
        );
        std::fs::write(inside.run.dir().join("preverb.toml"), "[verbs.a]\nexec = [\"x\"]\nhealth = 1\n")
            .unwrap();
        let answer = inside.health();
        assert_eq!((answer.status, answer.stderr.lines().count()), (Some(1), 1), "{answer:?}");
        assert!(answer.stderr.starts_with("preverb: [DIR]/preverb.toml:3:"), "{answer:?}");
    })
    .file("other.toml", "[verbs.a]\nexec = [\"x\"]\nhealth = \"file:///nothing\"\n", 0o644)
    .file("b.toml", "[verbs.b]\nexec = [\"x\"]\n", 0o644)
    .run();
}

#[test]
fn a_table_named_by_a_hook_is_read_as_the_user_of_the_hook() {
    let verb = "user = \"daemon\"\n[[setup]]\nhooks = \"[DIR]/hooks\"\n";
    container(verb, |inside| {
        inside.health().is_unhealthy("cannot read the table `[DIR]/roots.toml`: permission denied");
    })
    .hook("a.sh", "export PREVERB_TABLE=[DIR]/roots.toml\n")
    .file("roots.toml", "[verbs.a]\nexec = [\"x\"]\n", 0o600)
    .any_stderr()
    .run();
}

#[test]
fn secrets_are_not_shown() {
    let verb = "health = \"file://[DIR]/${PART}\"\nenv = { PART = \"p-${TOKEN}\" }\n[variables.TOKEN]\nsecret = true\n";
    container(verb, |inside| {
        inside.health().is_unhealthy("verb `a` is not healthy: `***`: does not exist");
    })
    .env("TOKEN", "s3cret")
    .run();
    let verb = "health = { exec = [\"sh\", \"-c\", \"echo $0 >&2; exit 3\", \"${TOKEN}\"] }\n[variables.TOKEN]\nsecret = true\n";
    container(verb, |inside| {
        inside.health().is_unhealthy(
            "verb `a` is not healthy: `sh -c echo $0 >&2; exit 3 ***`: details withheld: they contain a secret",
        );
    })
    .env("TOKEN", "s3cret")
    .run();
}

#[test]
fn an_exec_probe_has_the_user_and_directory_of_the_main_process() {
    let verb = "user = \"daemon\"\nworkdir = \"/usr\"\nenv = { X = \"1\" }\n\
                health = { exec = [\"sh\", \"-c\", \"id -u; pwd; echo $X$OWN; exit 3\"] }\n";
    container(verb, |inside| {
        inside.health().is_unhealthy(
            "verb `a` is not healthy: `sh -c id -u; pwd; echo $X$OWN; exit 3`: exited with status 3: 1",
        );
    })
    .run();
    let verb = "user = \"daemon\"\nhealth = { exec = [\"sh\", \"-c\", \"[ `id -u` = 1 ] && [ `pwd` = /usr ]\"] }\nworkdir = \"/usr\"\n";
    container(verb, |inside| inside.health().is_healthy()).run();
}

#[test]
fn a_probe_that_hangs_is_killed() {
    let verb = "health = { exec = [\"sh\", \"-c\", \"trap '' TERM; while :; do sleep 0.1; done\"] }\n";
    container(verb, |inside| {
        let begun = Instant::now();
        let answer = inside.preverb(["--health", "--timeout", "300ms"]);
        assert!(answer.stderr.ends_with(": no answer within 300 ms\n"), "{answer:?}");
        assert_eq!(answer.status, Some(1));
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    })
    .run();
}

/// Processes whose command lines name this, the dead ones too, which have none.
fn living(part: &str) -> usize {
    let lines = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let line = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(part)).count()
}

#[test]
fn a_probe_never_leaves_a_process() {
    // In its group, out of it, and out of its session.
    let left = "tail -f [DIR]/one & setsid tail -f [DIR]/one & (setsid tail -f [DIR]/one & exit 0); >[DIR]/tmp/started;";
    for (end, status) in [
        ("exit 0", Some(0)),
        ("exit 3", Some(1)),
        ("kill -9 $$", Some(1)),
        ("trap '' TERM; tail -f [DIR]/one", Some(1)),
        ("trap '' TERM; wait", None),
    ] {
        let health = format!("health = {{ exec = [\"sh\", \"-c\", \"{left} {end}\"] }}\n");
        container(&health, move |inside| {
            inside.touch("one");
            let mine = inside.run.dir().join("one").display().to_string();
            if status.is_some() {
                let answer = inside.preverb(["--health", "--timeout", "500ms"]);
                assert_eq!((answer.status, living(&mine)), (status, 0), "{end}: {answer:?}");
            } else {
                // As an engine does after its own timeout.
                let mut nsenter = Command::new("nsenter");
                nsenter.args(["-p", "-m", "-t", &inside.first.to_string()]).arg(preverb()).arg("--health");
                let mut nsenter = nsenter.env_clear().env("PATH", PATH).spawn().unwrap();
                inside.run.wait_for_file("tmp/started");
                let of_nsenter = children(Pid::from_raw(i32::try_from(nsenter.id()).unwrap()));
                nix::sys::signal::kill(of_nsenter[0], Signal::SIGKILL).unwrap();
                nsenter.wait().unwrap();
                inside.run.wait_until("everything to end", || living(&mine) == 0);
            }
            assert!(inside.run.dir().join("tmp/started").exists());
            let zombies = children(inside.first).into_iter().filter(|child| state(*child) == Some('Z'));
            // The process that cleans up, if nothing waits for it.
            assert!(zombies.count() <= usize::from(status.is_none()));
        })
        .run();
    }
}

#[test]
fn a_probe_that_cannot_run_or_is_killed_is_reported_with_the_reason() {
    for (exec, why) in [
        ("[\"nowhere\"]", "cannot run `nowhere`: not found on PATH `[..]`"),
        ("[\"sh\", \"-c\", \"kill -6 $$\"]", "was ended by SIGABRT"),
        ("[\"sh\", \"-c\", \"echo no >&2; exit 4\"]", "exited with status 4: no"),
    ] {
        container(&format!("health = {{ exec = {exec} }}\n"), move |inside| {
            let answer = inside.health();
            let (before, after) = why.split_once("[..]").unwrap_or((why, ""));
            assert_eq!(answer.status, Some(1), "{answer:?}");
            assert!(answer.stderr.contains(&format!("`: {before}")), "{answer:?}");
            assert!(answer.stderr.ends_with(&format!("{after}\n")), "{answer:?}");
        })
        .run();
    }
}

#[test]
fn a_table_that_blocks_is_read_no_longer_than_the_timeout() {
    container("", |inside| {
        let fifo = inside.run.dir().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let begun = Instant::now();
        let answer = inside.preverb([
            "--health".as_ref(),
            "--timeout=300ms".as_ref(),
            "--table".as_ref(),
            fifo.as_os_str(),
        ]);
        answer.is_unhealthy("cannot read the table `[DIR]/fifo`: reading it took too long");
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    })
    .run();
}

/// A verb whose program has a real id that its effective one differs from, as after a set-user-id program.
fn verb_that_ran_a_set_user_id_program(rest: &str) -> String {
    let words = MAIN.strip_prefix("[\"sh\", ").unwrap();
    format!("[verbs.a]\nexec = [\"setpriv\", \"--ruid=10001\", \"sh\", \"-p\", {words}\n{rest}\n")
}

#[test]
fn a_main_process_that_ran_a_set_user_id_program_is_refused() {
    let verb = verb_that_ran_a_set_user_id_program("health = { exec = [\"touch\", \"[DIR]/probed\"] }");
    container_of(&verb, &[], |inside| {
        let why = "the real, effective and saved ids of the main process 1 (`sh`) differ: it has run a set-user-id program, and preverb does not act for it";
        inside.health().is_unhealthy(why);
        inside.shell("id -u").is(77, "", &format!("preverb: {why}\n"));
        assert!(!inside.run.dir().join("probed").exists());
    })
    .run();
}

#[test]
fn a_supervised_target_that_ran_a_set_user_id_program_is_refused() {
    let verb = verb_that_ran_a_set_user_id_program("init = true");
    container_of(&verb, &[], |inside| {
        let output = inside.shell("id -u");
        assert_eq!(output.status, Some(77), "{}", output.stderr);
    })
    .run();
}

#[test]
fn a_main_process_that_became_root_by_a_set_user_id_program_is_refused() {
    let program = std::fs::read("/usr/bin/python3").unwrap_or_default();
    let itself = "import os, time\nos.setresuid(0, 0, 0)\nopen('[DIR]/tmp/ready', 'w')\n\
                  while not os.path.exists('[DIR]/tmp/end'): time.sleep(0.02)\n";
    let verb = "[verbs.a]\nexec = [\"[DIR]/lent\", \"[DIR]/it.py\"]\nuser = \"65534:65534\"\n\
                env = { PYTHONHOME = \"/usr\" }\nhealth = { exec = [\"touch\", \"[DIR]/probed\"] }\n";
    container_of(verb, &[], |inside| {
        let why = "the main process 1 (`lent`) has become another user with a set-user-id or set-group-id program, \
                   and preverb does not act for it";
        inside.health().is_unhealthy(why);
        inside.shell("id -u").is(77, "", &format!("preverb: {why}\n"));
        assert!(!inside.run.dir().join("probed").exists());
    })
    .needs("python3")
    .file("lent", program, 0o4755)
    .file("it.py", itself, 0o644)
    .run();
}

#[test]
fn health_and_exec_as_the_main_process_are_errors() {
    for init in [&[][..], &["tini", "--"]] {
        let test = |words: &[&str]| {
            Test::new()
                .table("[verbs.a]\nexec = [\"true\"]\n")
                .under(CONTAINER)
                .under(init)
                .args(words)
                .needs_root()
        };
        test(&["--health"])
            .status(1)
            .stderr("preverb: this process is itself the container's main process\n")
            .run();
        test(&["--exec", "--", "true"])
            .status(64)
            .stderr(
                "preverb: cannot join the container's main process: this process is itself the container's main process\n\
                 hint: `--exec` is for `docker exec` and `kubectl exec`, in a running container\n",
            )
            .run();
    }
}

#[test]
fn without_proc_the_main_process_cannot_be_found() {
    let test =
        |words: &[&str]| Test::new().under(["unshare", "-pf", "--kill-child"]).args(words).needs_root();
    let why = "cannot find the container's main process: `/proc` is missing or is not this container's\n";
    test(&["--health"]).status(1).stderr(format!("preverb: {why}")).run();
    test(&["--exec", "--", "true"])
        .status(71)
        .stderr(format!("preverb: cannot join the container's main process: {why}"))
        .run();
}

// Rights

/// As root has them in a container: without the right to look at every process, which `CAP_PERFMON` (38) gives in part.
const ROOT: [&str; 3] = ["setpriv", "--bounding-set", "-sys_ptrace,-dac_override,-dac_read_search,-cap_38"];

fn user(ids: &str) -> [String; 5] {
    [
        "setpriv".into(),
        format!("--reuid={ids}"),
        format!("--regid={ids}"),
        "--clear-groups".into(),
        "--".into(),
    ]
}

#[test]
fn root_probes_as_the_user_of_the_main_process() {
    for more in ["", "capabilities = [\"NET_BIND_SERVICE\"]\n", "init = true\n"] {
        let verb = format!("user = \"daemon\"\nhealth = \"file://[DIR]/alive\"\n{more}");
        container(&verb, |inside| {
            let answer = inside.preverb_under(&ROOT, ["--health"]);
            answer.is_unhealthy("verb `a` is not healthy: `file://[DIR]/alive`: does not exist");
            inside.preverb_under(&ROOT, ["--exec", "--", "sh", "-c", "id -u; id -g; id -G"]).is(
                0,
                "1\n1\n1\n",
                "",
            );
            inside.touch("alive");
            inside.preverb_under(&ROOT, ["--health"]).is_healthy();
        })
        .run();
    }
}

#[test]
fn only_root_and_the_user_of_the_main_process_may_inspect_it() {
    container("user = \"daemon\"\n", |inside| {
        let (daemon, other) = (user("1"), user("2"));
        inside.preverb_under(&daemon, ["--health"]).is_healthy();
        inside.preverb_under(&daemon, ["--exec", "--", "id", "-u"]).is(0, "1\n", "");
        let why = "cannot read the variables of the main process 1 (`sh`): permission denied: \
                   it is uid 1 (`daemon`), gid 1, and this is uid 2 (`bin`), gid 2";
        inside.preverb_under(&other, ["--health"]).is_unhealthy(why);
        let hint = "hint: run this as root, as in `docker exec -u root ...`, or as 1:1\n";
        inside.preverb_under(&other, ["--exec", "--", "id"]).is(71, "", &format!("preverb: {why}\n{hint}"));
    })
    .run();
}

#[test]
fn capabilities_that_the_caller_lacks_are_reported() {
    container("user = \"daemon\"\ncapabilities = [\"NET_BIND_SERVICE\"]\n", |inside| {
        inside.preverb_under(&user("1"), ["--health"]).is_unhealthy(
            "cannot read the variables of the main process 1 (`sh`): permission denied: \
             it has capabilities that this process lacks (`CAP_NET_BIND_SERVICE`)",
        );
    })
    .run();
}

/// A container whose target does this to itself in Python.
fn hidden(itself: &str, verb: &str, action: impl Fn(&Inside<'_>) + 'static) {
    let script = format!(
        "import ctypes, os, time\n{itself}\nopen('[DIR]/tmp/ready', 'w')\n\
         while not os.path.exists('[DIR]/tmp/end'): time.sleep(0.02)\n"
    );
    let table = format!("[verbs.a]\nexec = [\"python3\", \"[DIR]/hidden.py\"]\n{verb}");
    container_of(&table, &[], action).needs("python3").file("hidden.py", script, 0o644).run();
}

/// `prctl(PR_SET_DUMPABLE, 0)`.
const HIDES: &str = "ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)";

#[test]
fn a_hidden_process_is_not_reported_as_another_user() {
    for (itself, verb) in [(HIDES, ""), (HIDES, "user = \"daemon\"\n"), ("os.setgid(1); os.setuid(1)", "")] {
        hidden(itself, verb, |inside| {
            let answer = inside.preverb_under(&ROOT, ["--exec", "--", "true"]);
            assert!(answer.stderr.contains(": the kernel does not allow inspecting it ("), "{answer:?}");
            assert!(
                answer.stderr.ends_with("hint: this needs the capability `CAP_SYS_PTRACE`\n"),
                "{answer:?}"
            );
            assert_eq!(answer.status, Some(71));
        });
    }
}

#[test]
fn variables_come_from_the_supervisor_if_the_target_hides_its_own() {
    for itself in [HIDES, "os.setgid(1); os.setuid(1)"] {
        hidden(itself, "init = true\nhealth = \"file://[DIR]/alive\"\n", |inside| {
            let answer = inside.preverb_under(&ROOT, ["--health"]);
            answer.is_unhealthy("verb `a` is not healthy: `file://[DIR]/alive`: does not exist");
        });
    }
}

#[test]
fn exec_grants_no_more_rights_than_the_main_process_has() {
    let verb = "user = \"daemon\"\ncapabilities = [\"NET_BIND_SERVICE\"]\nno-new-privileges = true\n";
    container(verb, |inside| {
        let main = std::fs::read_to_string(format!("/proc/{}/status", inside.first)).unwrap();
        let of = |text: &str| {
            let kept = ["Cap", "NoNewPrivs", "Uid", "Gid", "Groups", "Umask"];
            let lines = text.lines().filter(|line| kept.iter().any(|name| line.starts_with(name)));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let command = inside.preverb(["--exec", "--", "cat", "/proc/self/status"]);
        assert_eq!(of(&command.stdout), of(&main));
    })
    .run();
}

#[test]
fn capabilities_in_another_user_namespace_do_not_count() {
    if !has_user_namespaces() {
        return skip("users may not make user namespaces");
    }
    // All of them effective, permitted and inheritable, then ambient.
    let itself = "libc = ctypes.CDLL(None)\n\
                  assert libc.unshare(0x10000000) == 0\n\
                  status = open('/proc/self/status').read()\n\
                  held = int(status.split('CapPrm:')[1].split()[0], 16)\n\
                  half = [held & 0xffffffff] * 3 + [held >> 32] * 3\n\
                  assert libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(*half)) == 0\n\
                  for one in range(held.bit_length()): assert libc.prctl(47, 2, one, 0, 0) == 0";
    hidden(itself, "user = \"65534:65534\"\n", |inside| {
        let main = std::fs::read_to_string(format!("/proc/{}/status", inside.first)).unwrap();
        assert!(!main.contains("CapAmb:\t0000000000000000\n"), "{main}");
        inside.preverb(["--exec", "--", "grep", "-E", "^Uid|^Cap(Prm|Bnd|Amb)", "/proc/self/status"]).is(
            0,
            "Uid:\t65534\t65534\t65534\t65534\nCapPrm:\t0000000000000000\n\
                 CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\n",
            "",
        );
    });
}

// --exec

#[test]
fn exec_has_the_directory_umask_and_variables_of_the_main_process() {
    let verb =
        "workdir = \"/usr\"\numask = \"027\"\nenv = { X = \"1\" }\n[[setup]]\nhooks = \"[DIR]/hooks\"\n";
    container(verb, |inside| {
        inside
            .shell("pwd; umask; echo $X $EXPORTED $PREVERB_VERB $PREVERB_ENVIRONMENT ${OWN-none}; exit 7")
            .is(7, "/usr\n0027\n1 y a prod none\n", "");
    })
    .hook("a.sh", "export EXPORTED=y\n")
    .any_stderr()
    .run();
}

#[test]
fn exec_keeps_every_byte_of_the_variables() {
    let entries: [&[u8]; 7] = [b"PATH=[PATH]", b"A=1", b"A=2", b"noequals", b"B=\xff\n", b"a b=c", b"=x"];
    let path = entries[0].strip_suffix(b"[PATH]").unwrap();
    let mut entries: Vec<Vec<u8>> = entries.iter().map(|entry| entry.to_vec()).collect();
    entries[0] = [path, PATH.as_bytes()].concat();
    let mut expected: Vec<u8> = entries.iter().flat_map(|entry| [entry.as_slice(), b"\0"].concat()).collect();
    expected.extend_from_slice(b"PREVERB_ENVIRONMENT=prod\0");
    let script = format!("{} --exec -- cat /proc/self/environ", preverb());
    Test::new()
        .raw_environment(entries)
        .table("[verbs.a]\nexec = [\"true\"]\n")
        .args(["--table", "[DIR]/preverb.toml", "--"])
        .args(CONTAINER)
        .args([preverb(), "--table", "[DIR]/preverb.toml", "--", "sh", "-c", &script])
        .needs_root()
        .stdout(expected)
        .run();
}

#[test]
fn exec_looks_up_its_command_on_the_path_of_the_main_process() {
    container("env = { PATH = \"[DIR]/own:/usr/bin:/bin\" }\n", |inside| {
        inside.preverb(["--exec", "--", "mine"]).is(0, "mine\n", "");
        inside.preverb(["--exec", "--", "nobodys"]).is(
            127,
            "",
            "preverb: cannot run `nobodys`: not found on PATH `[DIR]/own:/usr/bin:/bin`\n",
        );
    })
    .file("own/mine", "#!/bin/sh\necho mine\n", 0o755)
    .run();
}

#[test]
fn exec_sets_term_from_the_caller_if_the_main_process_has_none() {
    let script = format!("TERM=vt52 {} --exec -- sh -c 'echo \"<$TERM>\"' $1", preverb());
    let test = |script: &str| {
        Test::new()
            .table("[verbs.a]\nexec = [\"true\"]\n")
            .under(CONTAINER)
            .args(["--", "sh", "-c", script, "[DIR]"])
            .needs_root()
    };
    test(&script).terminal().stdout("<vt52>\n").run();
    test(&script).terminal().env("TERM", "ansi").stdout("<ansi>\n").run();
    test(&format!("{script} </dev/null")).stdout("<>\n").run();
}

// --probe

#[test]
fn the_probe_mode_tries_once() {
    let probe = |target: &str| Test::new().args(["--probe", target]);
    probe("file://[DIR]/tmp").run();
    probe("file://[DIR]/none")
        .status(1)
        .stderr("preverb: `file://[DIR]/none` is not ready: does not exist\n")
        .pid1()
        .run();
    probe("unix:///none").status(1).stderr("preverb: `unix:///none` is not ready: does not exist\n").run();
    probe("ftp://x").status(64).stderr_contains("preverb: `ftp://x` is not a target: unknown scheme").run();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    probe(&target).run();
    drop(listener);
    probe(&target).status(1).stderr(format!("preverb: `{target}` is not ready: connection refused\n")).run();
}

#[test]
fn the_probe_mode_respects_its_timeout() {
    // Accepts, and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}/", listener.local_addr().unwrap());
    Test::new()
        .args(["--probe", &target, "--timeout", "200ms"])
        .status(1)
        .stderr(format!("preverb: `{target}` is not ready: no answer within 200 ms\n"))
        .check(|output| assert!(output.took < Duration::from_secs(4), "{:?}", output.took))
        .run();
    Test::new()
        .args(["--probe", &target, "--timeout", "1h"])
        .during(|run| {
            run.wait_until("the try", || !run.children().is_empty());
            run.signal(Signal::SIGTERM);
        })
        .status(143)
        .stderr("preverb: stopped by SIGTERM while probing\n")
        .run();
}

#[test]
fn json_has_a_field_for_the_reason() {
    Test::new()
        .args(["--log", "json", "--probe", "file:///none"])
        .status(1)
        .any_stderr()
        .check(|output| {
            let messages = output.json_messages();
            assert_eq!(messages.len(), 1);
            assert_eq!(messages[0]["target"], "file:///none");
            assert_eq!(messages[0]["reason"], "does not exist");
            assert_eq!(messages[0]["exit-code"], 1);
        })
        .run();
}
