//! `docker stop`, in each phase of a run: prompt, and with an exit code that says what happened.

use std::time::Duration;

use crate::harness::{Container, Volume, base, engine, undisturbed};

/// Well below the ten seconds after which an engine kills.
const PROMPT: Duration = Duration::from_secs(3);

#[track_caller]
fn stops(container: &Container, status: i32) {
    let stopped = container.stop();
    assert_eq!(stopped.status, status, "{:?}", container.logs());
    assert!(stopped.took < PROMPT, "{:?}", stopped.took);
}

fn started(table: &str) -> Option<Container> {
    Some(engine()?.run(&base()).table(table).args(["server"]).start())
}

#[test]
fn stop_during_a_hook_ends_the_hook_and_the_target_never_starts() {
    let table = "[[setup]]\nrun = ['sh', '-c', 'echo busy; exec sleep 1000']\n\
                 [verbs.server]\nexec = ['echo', 'never']\n";
    let Some(container) = started(table) else { return };
    container.until_logged("busy");
    stops(&container, 143);
    assert_eq!(container.logs().stdout, "");
}

#[test]
fn stop_during_a_hook_lets_it_clean_up() {
    let script = "trap \"echo cleaned; exit 3\" TERM; echo busy; while :; do sleep 0.1; done";
    let table =
        format!("[[setup]]\nrun = ['sh', '-c', '{script}']\n[verbs.server]\nexec = ['echo', 'never']\n");
    let Some(container) = started(&table) else { return };
    container.until_logged("busy");
    stops(&container, 143);
    assert!(container.logs().stderr.contains("cleaned"));
}

#[test]
fn a_hook_that_ignores_stop_is_killed_before_the_engine_kills_the_container() {
    let script = "trap \"\" TERM; echo busy; while :; do sleep 0.1; done";
    let table =
        format!("[[setup]]\nrun = ['sh', '-c', '{script}']\n[verbs.server]\nexec = ['echo', 'never']\n");
    let Some(container) = started(&table) else { return };
    container.until_logged("busy");
    let stopped = container.stop();
    assert_eq!(stopped.status, 143, "{:?}", container.logs());
    let range = Duration::from_secs(4)..Duration::from_secs(9);
    assert!(range.contains(&stopped.took), "{:?}", stopped.took);
}

#[test]
fn stop_during_a_sourced_hook_is_prompt() {
    let Some(engine) = engine() else { return };
    let container = engine
        .run(&base())
        .table("[[setup]]\nhooks = '/hooks'\n[verbs.server]\nexec = ['echo', 'never']\n")
        .mount("/hooks/10-slow.sh", "echo busy\nsleep 1000\n")
        .args(["server"])
        .start();
    container.until_logged("busy");
    stops(&container, 143);
}

#[test]
fn stop_during_a_wait_is_prompt() {
    let table = "[[setup]]\nwait = ['tcp://127.0.0.1:1', 'http://nowhere.invalid/']\n\
                 [verbs.server]\nexec = ['echo', 'never']\n";
    let Some(container) = started(table) else { return };
    container.until_logged("tcp://127.0.0.1:1");
    stops(&container, 143);
    assert_eq!(container.logs().stdout, "");
}

#[test]
fn stop_while_another_container_holds_the_once_lock_is_prompt() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let table = "[[setup]]\nrun = ['sh', '-c', 'touch /data/held; exec sleep 1000']\nonce = '/data/done'\n\
                 [verbs.server]\nexec = ['echo', 'never']\n";
    let start = || {
        let run = engine.run(&base()).table(table);
        run.volume(&volume, "/data").args(["server"]).start()
    };
    let holder = start();
    holder.until("the lock is held", |it| it.exec(["ls", "/data/held"]).status == 0);
    let waiting = start();
    waiting.until_logged("/data/done");
    stops(&waiting, 143);
    stops(&holder, 143);
}

#[test]
fn a_stop_after_the_exec_is_handled_by_the_target() {
    let script = "trap \"echo bye; exit 7\" TERM; echo ready; while :; do sleep 0.1; done";
    let table = format!("[verbs.server]\nexec = ['sh', '-c', '{script}']\n");
    let Some(container) = started(&table) else { return };
    container.until_logged("ready");
    stops(&container, 7);
    assert!(container.logs().stdout.ends_with("bye\n"));
}

#[test]
fn stop_of_a_supervised_target_gives_its_own_exit_code() {
    let script = "trap \"echo bye; exit 7\" TERM; echo ready; while :; do sleep 0.1; done";
    let table = format!("[verbs.server]\nexec = ['sh', '-c', '{script}']\ninit = true\n");
    let Some(container) = started(&table) else { return };
    container.until_logged("ready");
    stops(&container, 7);
}

/// As process 1 itself `sleep` would ignore TERM, and the engine would kill it after ten seconds.
#[test]
fn stop_of_a_supervised_sleep_takes_less_than_half_a_second() {
    let Some(engine) = engine() else { return };
    let table = "[verbs.server]\nexec = ['sleep', '1000']\ninit = true\n";
    let run = || engine.run(&base()).table(table).args(["server"]);
    drop(run());
    let _quiet = undisturbed();
    // The time includes the engine's work, and other tests run, so the best of a few attempts counts.
    let best = (0..5).map(|_| {
        let container = run().start();
        container.until("it sleeps", |it| it.top().iter().any(|args| args == "sleep 1000"));
        let stopped = container.stop();
        assert_eq!(stopped.status, 143);
        stopped.took
    });
    let best = best.min().unwrap();
    assert!(best < Duration::from_millis(500), "{best:?}");
}

#[test]
fn stop_signals_other_than_term_are_handled_during_setup() {
    let Some(engine) = engine() else { return };
    let table = "[[setup]]\nrun = ['sh', '-c', 'echo busy; exec sleep 1000']\n\
                 [verbs.server]\nexec = ['echo', 'never']\n";
    for (signal, status) in [("HUP", 129), ("INT", 130), ("QUIT", 131)] {
        let container = engine
            .run(&base())
            .table(table)
            .flag(format!("--stop-signal=SIG{signal}"))
            .args(["server"])
            .start();
        container.until_logged("busy");
        stops(&container, status);
    }
}

#[test]
fn a_rewritten_stop_signal_reaches_a_supervised_target() {
    let script = "trap \"exit 9\" QUIT; trap \"exit 1\" TERM; echo ready; while :; do sleep 0.1; done";
    let table = format!(
        "[verbs.server]\nexec = ['sh', '-c', '{script}']\ninit = {{ signals = {{ TERM = 'QUIT' }} }}\n"
    );
    let Some(container) = started(&table) else { return };
    container.until_logged("ready");
    stops(&container, 9);
}
