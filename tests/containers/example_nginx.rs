//! `examples/nginx`: scripts, templates, variables and users of the official image.

use std::time::Duration;

use crate::examples::{address, example, get};
use crate::harness::{Container, Engine, Run, Scratch, engine, until};

const SITE: &str = r#"server {
    listen 8080;
    server_name ${NAMES};
    location = / { return 200 "host=$host time=${request_time} by=${WHO}\n"; }
    location = /resolvers { return 200 "${NGINX_LOCAL_RESOLVERS}\n"; }
}
"#;

fn image(engine: &'static Engine) -> Run {
    engine.run(&example(engine, "nginx"))
}

fn serving(run: Run, port: u16) -> (Container, String) {
    let container = run.start();
    let server = format!("{}:{port}", address(&container));
    until("nginx answers", || get(&server, "localhost", "/"));
    (container, server)
}

#[test]
fn the_image_serves_a_page_and_logs_nothing_else() {
    let Some(engine) = engine() else { return };
    let (container, server) = serving(image(engine), 80);
    let page = get(&server, "localhost", "/").unwrap();
    assert!(page.head.contains("Content-Type: text/html"), "{}", page.head);
    assert!(page.body.contains("<h1>Welcome to nginx!</h1>"), "{}", page.body);
    container.until("it is healthy", |it| it.health() == "healthy");

    let configuration = container.exec(["nginx", "-T"]).succeeded().stdout;
    assert!(configuration.contains("worker_processes auto;"), "{configuration}");
    let has_ipv6 = container.exec(["test", "-e", "/proc/net/if_inet6"]).status == 0;
    assert_eq!(configuration.contains("listen [::]:80;"), has_ipv6, "{configuration}");
    for program in ["envsubst", "gosu", "tini", "curl"] {
        assert_eq!(container.exec(["which", program]).status, 1, "{program} is not needed");
    }
    // The master is root, its workers are not, and the log of requests is standard output.
    let ids = "grep -l '^Name:.nginx$' /proc/[0-9]*/status | xargs sed -n 's/^Uid:.\\([0-9]*\\).*/\\1/p'";
    let ids = container.exec(["sh", "-c", ids]);
    let mut ids: Vec<&str> = ids.stdout.lines().collect();
    ids.sort_unstable();
    assert!(ids[0] == "0" && ids.len() > 1 && !ids[1..].contains(&"0"), "{ids:?}");
    let logs = container.logs();
    assert!(logs.stdout.lines().all(|line| line.contains("\"GET / HTTP/1.0\" 200 ")), "{}", logs.stdout);
    assert!(!logs.stderr.contains("preverb"), "{}", logs.stderr);

    let stopped = container.stop();
    assert_eq!(stopped.status, 0, "QUIT lets nginx end in peace");
    assert!(stopped.took < Duration::from_secs(5), "{stopped:?}");
    container.restart();
    until("nginx answers again", || get(&format!("{}:80", address(&container)), "localhost", "/"));
}

#[test]
fn scripts_run_in_order_and_templates_see_what_they_export() {
    let Some(engine) = engine() else { return };
    let templates = Scratch::new();
    templates.file("site.conf.template", SITE);
    templates.file("below/more.inc.template", "# ${WHO}\n");
    templates.file("tcp.conf.stream-template", "server { listen 9000; return \"${WHO}\"; }\n");
    templates.file("note.txt", "${WHO}\n");
    let scripts = Scratch::new();
    scripts.program("10-names.envsh", "NAMES=\"$NAMES b.example\"; LC_ALL=C; local=1; export NAMES\n");
    scripts.program(
        "20-bash.sh",
        "#!/bin/bash\nwords=(bash \"$NAMES\" \"$*\")\necho \"from ${words[*]}\"\nexit 0\n",
    );
    scripts.program("30-program", "#!/bin/sh\necho \"a program, $NAMES\"\n");
    scripts.file("README.md", "not a script\n");
    let run = image(engine)
        .bind(templates.path(), "/etc/nginx/templates")
        .bind(scripts.path(), "/docker-entrypoint.d")
        .mount(
            "/docker-entrypoint.rendered.d/10-by.sh",
            "#!/bin/sh\nsed -i s/carol/dave/ /etc/nginx/conf.d/site.conf\n",
        )
        .mount("/etc/resolv.conf", "search example\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n")
        .env("NAMES", "a.example")
        .env("WHO", "carol")
        .env("NGINX_ENTRYPOINT_LOCAL_RESOLVERS", "1")
        .env("NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE", "true")
        .flag("--cpus=1");
    let (container, server) = serving(run, 8080);

    let answer = get(&server, "a.example", "/").unwrap();
    assert_eq!(answer.body, "host=a.example time=0.000 by=dave\n", "nginx's own variables stay");
    assert_eq!(get(&server, "a.example", "/resolvers").unwrap().body, "192.0.2.1 [2001:db8::1]\n");
    let files = container.exec([
        "sh",
        "-c",
        "cd /etc/nginx; cat conf.d/below/more.inc stream-conf.d/tcp.conf; ls conf.d",
    ]);
    assert_eq!(
        files.succeeded().stdout,
        "# carol\nserver { listen 9000; return \"carol\"; }\nbelow\ndefault.conf\nsite.conf\n"
    );
    let configuration = container.exec(["nginx", "-T"]).succeeded().stdout;
    assert!(configuration.contains("worker_processes 1;"), "what the container may use: {configuration}");
    assert!(configuration.contains("server_name a.example b.example;"), "{configuration}");

    let logs = container.logs();
    assert!(logs.stderr.contains("from bash a.example b.example nginx -g daemon off;\n"), "{}", logs.stderr);
    assert!(logs.stderr.contains("a program, a.example b.example\n"), "{}", logs.stderr);
    assert!(logs.stderr.contains("README.md"), "a warning: {}", logs.stderr);
    assert!(logs.stdout.lines().all(|line| line.contains("\"GET /")), "{}", logs.stdout);
    let variables = container.exec(["preverb", "--exec", "--", "env"]).succeeded().stdout;
    assert!(variables.contains("NAMES=a.example b.example\n"), "{variables}");
    for own in ["LC_ALL", "local", "NGINX_WORKER_PROCESSES", "NGINX_LISTEN_IPV6"] {
        assert!(!variables.contains(&format!("{own}=")), "{own}: {variables}");
    }
}

#[test]
fn operators_choose_the_directory_and_the_variables_of_templates() {
    let Some(engine) = engine() else { return };
    let run = || {
        image(engine)
            .mount("/templates/site.conf.tpl", "# ${SITE_A} ${SITE_B} ${OTHER} ${NOWHERE_SET}\n")
            .env("NGINX_ENVSUBST_TEMPLATE_DIR", "/templates")
            .env("NGINX_ENVSUBST_TEMPLATE_SUFFIX", ".tpl")
            .env("NGINX_ENVSUBST_OUTPUT_DIR", "/etc/nginx/out")
            .env("SITE_A", "a")
            .env("SITE_B", "b")
            .env("OTHER", "o")
    };
    let rendered = |filter: &str| {
        let run = run()
            .env("NGINX_ENVSUBST_FILTER", filter)
            .mount("/docker-entrypoint.rendered.d/show.sh", "#!/bin/sh\ncat /etc/nginx/out/site.conf\n");
        let output = run.args(["nginx", "-t"]).output();
        output.stderr.lines().find(|line| line.starts_with("# ")).unwrap_or(&output.stderr).to_owned()
    };
    assert_eq!(rendered(""), "# a b o ${NOWHERE_SET}");
    assert_eq!(rendered("^SITE_"), "# a b ${OTHER} ${NOWHERE_SET}");
    assert_eq!(rendered("_B$"), "# ${SITE_A} b ${OTHER} ${NOWHERE_SET}");
    let refused = run().env("NGINX_ENVSUBST_FILTER", "^(A|B)$").output().exited(80);
    assert!(refused.stderr.contains("NGINX_ENVSUBST_FILTER is `^(A|B)$`"), "{}", refused.stderr);
    let wrong = run().env("NGINX_ENVSUBST_OUTPUT_DIR", "out").output().exited(65);
    assert!(wrong.stderr.contains("`NGINX_ENVSUBST_OUTPUT_DIR`"), "{}", wrong.stderr);
}

#[test]
fn a_template_replaces_the_default_site_and_a_wrong_one_ends_the_run() {
    let Some(engine) = engine() else { return };
    let template = "server { listen ${NGINX_PORT}; return 200 \"mine\\n\"; }\n";
    let run = image(engine)
        .mount("/etc/nginx/templates/default.conf.template", template)
        .env("NGINX_PORT", "8081")
        .env("NGINX_HEALTH", "http://127.0.0.1:8081/");
    let (container, server) = serving(run, 8081);
    assert_eq!(get(&server, "localhost", "/").unwrap().body, "mine\n");
    container.exec(["preverb", "--health"]).succeeded();
    assert!(get(&format!("{}:80", address(&container)), "localhost", "/").is_none());

    let rejected = image(engine)
        .mount("/etc/nginx/templates/default.conf.template", "no such directive;\n")
        .output()
        .exited(1);
    assert!(rejected.stderr.contains("unknown directive \"no\""), "{}", rejected.stderr);
    // The official image continues without the file that it could not write.
    let read_only = image(engine)
        .mount("/etc/nginx/templates/default.conf.template", template)
        .flag("--read-only")
        .flag("--tmpfs=/run/nginx")
        .flag("--tmpfs=/var/cache/nginx")
        .output()
        .exited(71);
    assert!(read_only.stderr.contains("/etc/nginx/conf.d/default.conf"), "{}", read_only.stderr);
}

#[test]
fn a_stop_ends_a_running_script_and_a_failed_script_ends_the_run() {
    let Some(engine) = engine() else { return };
    let scripts = Scratch::new();
    scripts.program("10-gate.sh", "#!/bin/sh\necho 'in the middle'\nsleep 1000\n");
    let container = image(engine).bind(scripts.path(), "/docker-entrypoint.d").start();
    container.until_logged("in the middle");
    let health = container.exec(["preverb", "--health"]).exited(1);
    assert!(health.stderr.contains("still setting up"), "{}", health.stderr);
    let stopped = container.stop();
    assert_eq!(stopped.status, 131, "QUIT is the image's stop signal");
    assert!(stopped.took < Duration::from_secs(5), "{stopped:?}");

    scripts.program("10-gate.sh", "#!/bin/sh\nexit 3\n");
    container.restart();
    assert_eq!(container.wait(), 80);
    let logs = container.logs().stderr;
    assert!(logs.contains("10-gate.sh") && logs.contains("status 3"), "{logs}");

    scripts.program("10-gate.sh", "#!/bin/sh\nexit 0\n");
    container.restart();
    until("nginx answers", || get(&format!("{}:80", address(&container)), "localhost", "/"));
}

#[test]
fn any_user_can_serve_and_the_root_file_system_can_be_read_only() {
    let Some(engine) = engine() else { return };
    let writable = |run: Run, owner: &str| {
        run.flag("--read-only")
            .flag("--cap-drop=ALL")
            .flag(format!("--tmpfs=/run/nginx{owner}"))
            .flag(format!("--tmpfs=/var/cache/nginx{owner}"))
    };
    let group_of_root = image(engine).flag("--user=1234:0");
    let alone = writable(image(engine), ":uid=1234,gid=1234").flag("--user=1234:1234");
    let root =
        writable(image(engine), "").flag("--cap-add=SETUID").flag("--cap-add=SETGID").flag("--cap-add=CHOWN");
    for run in [group_of_root, alone, root] {
        let (container, _server) = serving(run, 80);
        container.exec(["preverb", "--health"]).succeeded();
        let logs = container.logs().stderr;
        assert!(!logs.contains("preverb"), "{logs}");
        assert_eq!(container.stop().status, 0);
    }
}

#[test]
fn the_first_argument_chooses_the_program() {
    let Some(engine) = engine() else { return };
    let output = |args: &[&str]| {
        image(engine).mount("/docker-entrypoint.d/10.sh", "#!/bin/sh\necho ran\n").args(args).output()
    };
    let bash = output(&["bash", "-c", "id -un; exit 3"]);
    assert_eq!((bash.status, &*bash.stdout, &*bash.stderr), (3, "root\n", ""), "no setup for a shell");
    let version = output(&["-v"]).succeeded();
    assert!(version.stderr.starts_with("nginx version: nginx/"), "{}", version.stderr);
    for program in ["nginx", "nginx-debug"] {
        let whole = output(&[program, "-T"]).succeeded();
        assert!(whole.stdout.contains("server_name localhost;"), "{}", whole.stdout);
        assert!(whole.stderr.contains("ran\n"), "{}", whole.stderr);
    }
    let typo = output(&["ngnix"]).exited(127);
    assert!(typo.stderr.contains("`nginx`"), "{}", typo.stderr);
}
