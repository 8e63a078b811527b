//! Containers with less than usual: no root, no writable file system, no capability, no network.

use crate::harness::{Run, base, engine};

const WHO: &str = "[verbs.who]\nexec = ['sh', '-c', 'echo $(id -u):$(id -g) $(id -G) $HOME']\n";

fn who(extra: &str) -> Option<Run> {
    let engine = engine()?;
    let table = format!("{WHO}{extra}\n");
    Some(engine.run(&base()).table(&table).args(["who"]))
}

#[test]
fn a_verb_steps_down_to_its_user() {
    let Some(run) = who("user = 'app'") else { return };
    let output = run.output().succeeded();
    assert_eq!(output.stdout, "1000:1000 1000 2000 /home/app\n");
    assert_eq!(output.stderr, "");
}

#[test]
fn a_user_chosen_by_the_engine_is_kept() {
    let Some(run) = who("") else { return };
    let output = run.flag("--user=1000:1000").output().succeeded();
    assert!(output.stdout.starts_with("1000:1000 "), "{}", output.stdout);
    assert_eq!(output.stderr, "");
}

#[test]
fn an_engines_user_that_is_the_verbs_user_causes_no_warning() {
    let Some(run) = who("user = '1000:1000'") else { return };
    let output = run.flag("--user=1000:1000").output().succeeded();
    assert!(output.stdout.starts_with("1000:1000 "), "{}", output.stdout);
    assert_eq!(output.stderr, "");
}

#[test]
fn the_engines_user_wins_over_the_verbs_with_one_warning() {
    let Some(run) = who("user = 'app'") else { return };
    // An unknown uid, as on OpenShift.
    let output = run.flag("--user=1000660000:0").output().succeeded();
    assert!(output.stdout.starts_with("1000660000:0 "), "{}", output.stdout);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    assert!(output.stderr.contains("app"), "{}", output.stderr);
}

#[test]
fn a_read_only_root_file_system_is_enough() {
    let Some(engine) = engine() else { return };
    for init in ["false", "true"] {
        let table = format!(
            "[[setup]]\nhooks = '/hooks'\n[verbs.server]\nexec = ['echo', '${{GREETING}}']\nuser = 'app'\ninit = {init}\n"
        );
        let output = engine
            .run(&base())
            .table(&table)
            .mount("/hooks/10-greeting.sh", "export GREETING=hello\n")
            .flag("--read-only")
            .args(["server"])
            .output()
            .succeeded();
        assert_eq!(output.stdout, "hello\n");
    }
}

#[test]
fn without_capabilities_everything_works_but_changing_the_user() {
    let Some(engine) = engine() else { return };
    let table = "[[setup]]\nhooks = '/hooks'\n[verbs.server]\nexec = ['sh', '-c', 'echo $GREETING; grep CapEff /proc/self/status']\ninit = true\n";
    for user in ["0:0", "1000:1000"] {
        let output = engine
            .run(&base())
            .table(table)
            .mount("/hooks/10-greeting.sh", "export GREETING=hello\n")
            .flag("--cap-drop=ALL")
            .flag("--security-opt=no-new-privileges")
            .flag("--read-only")
            .flag(format!("--user={user}"))
            .args(["server"])
            .output()
            .succeeded();
        assert_eq!(output.stdout, "hello\nCapEff:\t0000000000000000\n");
    }
}

#[test]
fn a_step_down_that_the_kernel_refuses_is_71_and_never_root() {
    let Some(run) = who("user = 'app'") else { return };
    let output = run.flag("--cap-drop=ALL").output().exited(71);
    assert_eq!(output.stdout, "");
    assert!(output.stderr.starts_with("preverb: "), "{}", output.stderr);
}

#[test]
fn below_the_engines_own_init_the_target_has_no_further_parent() {
    let Some(engine) = engine() else { return };
    let container = engine
        .run(&base())
        .table("[verbs.server]\nexec = ['sleep', '1000']\n")
        .flag("--init")
        .args(["server"])
        .start();
    container.until("the init and the target", |it| {
        let top = it.top();
        top.len() == 2 && top[1] == "sleep 1000"
    });
    let stopped = container.stop();
    assert_eq!(stopped.status, 143);
}

#[test]
fn below_the_engines_own_init_a_supervisor_does_not_complain() {
    let Some(engine) = engine() else { return };
    let output = engine
        .run(&base())
        .table("[verbs.server]\nexec = ['sh', '-c', 'exit 5']\ninit = true\n")
        .flag("--init")
        .args(["server"])
        .output()
        .exited(5);
    assert_eq!(output.stderr, "");
}

#[test]
fn a_run_works_without_a_network() {
    let Some(run) = who("") else { return };
    let output = run.flag("--network=none").output().succeeded();
    assert_eq!(output.stderr, "");
}

#[test]
fn a_verb_keeps_only_the_capability_that_it_names() {
    let Some(engine) = engine() else { return };
    let output = engine
        .run(&base())
        .table(
            "[verbs.server]\nexec = ['grep', '-E', 'Cap(Eff|Bnd|Amb)', '/proc/self/status']\n\
             user = 'app'\ncapabilities = ['NET_BIND_SERVICE']\n",
        )
        .args(["server"])
        .output()
        .succeeded();
    let one = "0000000000000400";
    let expected = format!("CapEff:\t{one}\nCapBnd:\t{one}\nCapAmb:\t{one}\n");
    assert_eq!(output.stdout, expected);
}

#[test]
fn a_secret_mounted_as_a_file_reaches_the_target_and_no_message() {
    let Some(engine) = engine() else { return };
    let run = || {
        engine
            .run(&base())
            .table(
                "[variables.DB_PASSWORD]\nsecret = true\nrequired = true\n[env]\nURL = 'db://${DB_PASSWORD}@host'\n\
                 [verbs.server]\nexec = ['sh', '-c', 'echo $URL']\n",
            )
            .mount("/run/secrets/db_password", "hunter2\n")
    };
    let output = run().args(["server"]).output().succeeded();
    assert_eq!(output.stdout, "db://hunter2@host\n");
    let explained = run().args(["--explain", "server"]).output().succeeded();
    let all = explained.stdout + &explained.stderr;
    assert!(all.contains("***") && !all.contains("hunter2"), "{all}");
}
