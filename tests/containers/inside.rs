//! Commands beside the main process, with the rights that an engine's `exec` has by default.

use crate::harness::{Container, Run, base, engine};

const TABLE: &str = r#"
[[setup]]
hooks = "/hooks"

[verbs.plain]
exec = ["sleep", "1000"]
user = "app"
workdir = "/usr"
umask = "027"

[verbs.bound]
exec = ["sleep", "1000"]
user = "app"
capabilities = ["NET_BIND_SERVICE"]

[verbs.supervised]
exec = ["sleep", "1000"]
user = "app"
init = true
"#;

fn run(verb: &str) -> Option<Run> {
    let run = engine()?.run(&base()).table(TABLE).mount("/hooks/a.sh", "export EXPORTED=yes\n");
    Some(run.args([verb]))
}

fn started(run: Run) -> Container {
    let container = run.start();
    container.until("its setup is done", |it| it.exec(["preverb", "--health"]).status == 0);
    container
}

const ASK: &str = "echo $(id -u):$(id -g) $(id -G) $EXPORTED $PREVERB_VERB $HOME";

#[test]
fn a_command_has_the_exports_of_hooks_and_the_user_of_the_main_process() {
    for verb in ["plain", "bound", "supervised"] {
        let Some(run) = run(verb) else { return };
        let container = started(run);
        let answer = container.exec(["preverb", "--exec", "--", "sh", "-c", ASK]).succeeded();
        assert_eq!(answer.stdout, format!("1000:1000 1000 2000 yes {verb} /home/app\n"));
        assert_eq!(answer.stderr, "");
    }
}

#[test]
fn a_command_has_the_directory_and_umask_of_the_main_process() {
    let Some(run) = run("plain") else { return };
    let container = started(run);
    let answer = container.exec(["preverb", "--exec", "--", "sh", "-c", "pwd; umask"]).succeeded();
    assert_eq!(answer.stdout, "/usr\n0027\n");
}

#[test]
fn another_user_gets_an_error_that_names_the_right_user() {
    let Some(run) = run("plain") else { return };
    let container = started(run);
    let answer = container.exec_as(&["--user=33:33"], ["preverb", "--exec", "--", "id"]).exited(71);
    assert!(
        answer.stderr.contains("it is uid 1000 (`app`), gid 1000, and this is uid 33"),
        "{}",
        answer.stderr
    );
    assert!(answer.stderr.contains("hint: run this as root"), "{}", answer.stderr);
    container.exec_as(&["--user=1000:1000"], ["preverb", "--exec", "--", "id"]).succeeded();
}

#[test]
fn each_container_in_a_shared_pid_namespace_has_its_own_main_process() {
    let (Some(first), Some(second)) = (run("plain"), run("bound")) else { return };
    let first = started(first);
    let second = started(second.flag(format!("--pid=container:{}", first.name())));
    for (container, verb) in [(&first, "plain"), (&second, "bound")] {
        let answer =
            container.exec(["preverb", "--exec", "--", "sh", "-c", "echo $PREVERB_VERB"]).succeeded();
        assert_eq!(answer.stdout, format!("{verb}\n"));
    }
}
