//! `examples/nginx`: rendered templates, no root, a read-only root file system.

use std::time::Duration;

use crate::examples::{address, example, get};
use crate::harness::{Container, Run, engine, until};

/// An upstream in the same nginx that tells what it was asked.
const ECHO: &str = r#"server {
    listen 127.0.0.1:9000;
    location / { return 200 "host=$host uri=$request_uri home=$${scheme}\n"; }
}
"#;

fn locked(run: Run) -> Run {
    run.flag("--read-only").flag("--tmpfs=/tmp").flag("--cap-drop=ALL")
}

fn serving(run: Run, port: u16) -> (Container, String) {
    let container = run.start();
    let server = format!("{}:{port}", address(&container));
    until("nginx answers", || get(&server, "localhost", "/healthz"));
    (container, server)
}

#[test]
fn templates_are_rendered_and_the_variables_of_nginx_stay_its_own() {
    let Some(engine) = engine() else { return };
    let image = example(engine, "nginx");
    let run = locked(engine.run(&image))
        .env("PORT", "9090")
        .env("UPSTREAM", "http://127.0.0.1:9000")
        .env("WORKERS", "1")
        .mount("/etc/nginx/templates/echo.conf.template", ECHO);
    let (container, server) = serving(run, 9090);

    let rendered = container.exec(["cat", "/tmp/nginx/conf.d/site.conf"]).succeeded().stdout;
    assert!(rendered.contains("listen 9090;"), "{rendered}");
    assert!(rendered.contains("proxy_set_header Host $host;"), "{rendered}");
    assert!(rendered.contains("$status ${request_time}s"), "{rendered}");

    let answer = get(&server, "shop.example", "/api/things").unwrap();
    assert_eq!(answer.body, "host=shop.example uri=/api/things home=http\n");
    let page = get(&server, "shop.example", "/").unwrap();
    assert!(page.head.contains("Cache-Control: public, max-age=3600"), "{}", page.head);
    assert!(page.body.contains("Served by nginx"), "{}", page.body);

    // Nobody in the container is root, and nobody is there who need not be.
    let users = container.exec(["stat", "-c", "%U", "/proc/1", "/tmp/nginx/conf.d/site.conf"]);
    assert_eq!(users.succeeded().stdout, "www-data\nwww-data\n");
    let processes = container.top();
    assert_eq!(processes.len(), 3, "preverb, a master and the one worker: {processes:?}");
    container.exec(["preverb", "--health"]).succeeded();
    // The access log goes to standard output, preverb has nothing to say.
    let logs = container.logs();
    assert!(logs.stdout.contains("\"GET /api/things HTTP/1.0\" 200"), "{}", logs.stdout);
    assert!(!logs.stderr.contains("preverb"), "{}", logs.stderr);

    let stopped = container.stop();
    assert_eq!(stopped.status, 0, "QUIT lets nginx end in peace");
    assert!(stopped.took < Duration::from_secs(5), "{stopped:?}");
}

#[test]
fn dev_is_the_same_image_with_other_variables() {
    let Some(engine) = engine() else { return };
    let run = locked(engine.run(&example(engine, "nginx"))).env("APP_ENV", "dev");
    let (_container, server) = serving(run, 8080);
    let page = get(&server, "localhost", "/").unwrap();
    assert!(page.head.contains("Cache-Control: no-store"), "{}", page.head);
}

#[test]
fn wrong_variables_are_told_together_and_wrong_templates_by_the_verb_test() {
    let Some(engine) = engine() else { return };
    let image = example(engine, "nginx");
    let wrong = engine.run(&image).env("PORT", "http").env("UPSTREAM", "nowhere").output().exited(65);
    assert!(wrong.stderr.contains("`PORT`"), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("`UPSTREAM`"), "{}", wrong.stderr);

    let unset = engine
        .run(&image)
        .mount("/etc/nginx/templates/site.conf.template", "listen ${NOBODY_SET_THIS};\n")
        .args(["test"])
        .output()
        .exited(65);
    assert!(unset.stderr.contains("`NOBODY_SET_THIS`"), "{}", unset.stderr);
    assert!(unset.stderr.contains("site.conf.template"), "{}", unset.stderr);

    let rejected = engine
        .run(&image)
        .mount("/etc/nginx/templates/site.conf.template", "no such directive;\n")
        .args(["test"])
        .output()
        .exited(1);
    assert!(rejected.stderr.contains("unknown directive \"no\""), "{}", rejected.stderr);

    let whole = engine.run(&image).env("SERVER_NAME", "shop.example").args(["test", "-T"]).output();
    assert!(whole.succeeded().stdout.contains("server_name shop.example;"));
}
