//! The harness itself.

use crate::harness::{Context, Network, Volume, engine, stand_ins};

#[test]
fn the_harness_builds_runs_and_stops() {
    let Some(engine) = engine() else { return };
    stand_ins(engine, &["debian:bookworm-slim"]);
    let image = Context::new().busybox().build(
        engine,
        "FROM scratch\nCOPY busybox /bin/\nENTRYPOINT [\"/bin/busybox\"]\n",
    );
    let output = engine.run(&image).args(["cat"]).input("hello").output();
    assert_eq!(output.succeeded().stdout, "hello");
    engine.run(&image).args(["false"]).output().exited(1);
    let volume = Volume::new(engine);
    let network = Network::new(engine);
    let container = engine
        .run(&image)
        .flag("--stop-signal=KILL")
        .volume(&volume, "/data")
        .network(&network, "here")
        .args(["sh", "-c", "echo up; exec /bin/busybox sleep 1000"])
        .start();
    container.until_logged("up");
    container.until("it sleeps", |it| it.top() == ["/bin/busybox sleep 1000"]);
    container.exec(["/bin/busybox", "ls", "/data"]).succeeded();
    assert_eq!(container.stop().status, 137);
}
