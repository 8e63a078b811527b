//! One HEALTHCHECK line for all the verbs of an image.

use crate::harness::{Container, Context, Image, Run, base, engine};

const TABLE: &str = r#"
[[setup]]
run = ["sh", "-c", "while test -e /tmp/hold; do sleep 0.1; done"]
verbs = ["held"]

[verbs.server]
exec = ["httpd", "-f", "-p", "${PORT:-8080}", "-h", "/www"]
user = "app"
health = "http://127.0.0.1:${PORT:-8080}/healthz"

[verbs.daemon]
exec = ["sh", "-c", "while :; do test -e /tmp/quiet || touch /tmp/alive; sleep 0.1; done"]
init = true
health = "file:///tmp/alive?max-age=2s"

[verbs.plain]
exec = ["sleep", "1000"]

[verbs.held]
exec = ["sleep", "1000"]
"#;

const DOCKERFILE: &str = r#"
COPY preverb.toml /etc/preverb/
RUN mkdir /www && touch /www/healthz /tmp/hold
HEALTHCHECK --interval=1s --timeout=5s --retries=1 CMD ["preverb", "--health"]
"#;

fn image() -> Option<Image> {
    let engine = engine()?;
    let dockerfile = format!("FROM {}{DOCKERFILE}", base().tag());
    let context = Context::new().file("preverb.toml", TABLE);
    Some(context.build(engine, &dockerfile))
}

fn start(image: &Image, verb: &str, flags: &[&str]) -> Container {
    let engine = engine().expect("there was one for the image");
    let run = flags.iter().fold(engine.run(image), Run::flag);
    run.args([verb]).start()
}

#[track_caller]
fn becomes(container: &Container, status: &str) {
    container.until(&format!("it is {status}"), |it| it.health() == status);
}

#[test]
fn each_verb_is_healthy_and_then_unhealthy_by_its_own_probe() {
    let Some(image) = image() else { return };
    let server = start(&image, "server", &["--env=PORT=8081"]);
    let daemon = start(&image, "daemon", &[]);
    let plain = start(&image, "plain", &[]);
    for container in [&server, &daemon, &plain] {
        becomes(container, "healthy");
    }
    server.exec(["rm", "/www/healthz"]).succeeded();
    daemon.exec(["touch", "/tmp/quiet"]).succeeded();
    for container in [&server, &daemon] {
        becomes(container, "unhealthy");
        let why = container.exec(["preverb", "--health"]).exited(1);
        let messages = why.stdout + &why.stderr;
        assert_eq!(messages.lines().count(), 1, "{messages}");
    }
    becomes(&plain, "healthy");
}

#[test]
fn during_setup_health_reports_still_setting_up() {
    let Some(image) = image() else { return };
    let container = start(&image, "held", &[]);
    container.until("the hook runs", |it| it.top().len() > 1);
    let answer = container.exec(["preverb", "--health"]).exited(1);
    let messages = answer.stdout + &answer.stderr;
    assert!(messages.contains("still setting up"), "{messages}");
    container.exec(["rm", "/tmp/hold"]).succeeded();
    container.until("it is healthy after its setup", |it| it.exec(["preverb", "--health"]).status == 0);
}

#[test]
fn health_finds_the_target_below_the_engines_own_init() {
    let Some(image) = image() else { return };
    let container = start(&image, "server", &["--init"]);
    becomes(&container, "healthy");
    container.exec(["rm", "/www/healthz"]).succeeded();
    becomes(&container, "unhealthy");
}

#[test]
fn health_works_for_the_engines_user_without_capabilities_network_or_writable_files() {
    let Some(image) = image() else { return };
    let flags = ["--user=1000:1000", "--cap-drop=ALL", "--read-only", "--network=none"];
    let container = start(&image, "server", &flags);
    becomes(&container, "healthy");
}

#[test]
fn a_healthcheck_line_can_call_the_probe_mode() {
    let Some(image) = image() else { return };
    let container = start(&image, "server", &[]);
    becomes(&container, "healthy");
    let probe = |target| container.exec(["preverb", "--probe", target]);
    probe("http://127.0.0.1:8080/healthz").succeeded();
    probe("tcp://127.0.0.1:8080").succeeded();
    probe("http://127.0.0.1:8080/missing").exited(1);
}
