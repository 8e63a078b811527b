//! `examples/wordpress`: an application whose files are copied to a volume once, even if a copy is
//! interrupted.

use std::time::Duration;

use crate::examples::{address, example, get};
use crate::harness::{Container, Engine, Network, Run, Scratch, Volume, engine, until};

const SITE: &str = "/var/www/html";
/// A file that needs neither PHP nor a database.
const STATIC: &str = "/wp-includes/js/jquery/jquery.min.js";
/// A wrapper around `cp` that stops in the middle of the copy until a file allows it to continue.
const GATE: &str = "#!/bin/sh
/bin/cp \"$@\"
case $* in
*wp-includes*)
    echo 'in the middle'
    until [ -e /usr/local/sbin/open ]; do sleep 0.1; done
    ;;
esac
";

fn image(engine: &'static Engine) -> Run {
    engine.run(&example(engine, "wordpress"))
}

fn on(engine: &'static Engine, volume: &Volume) -> Run {
    image(engine).volume(volume, SITE)
}

/// Files of a volume, as `sh` prints them.
#[track_caller]
fn look(engine: &'static Engine, volume: &Volume, script: &str) -> String {
    on(engine, volume).args(["sh", "-c", script]).output().succeeded().stdout
}

fn until_it_serves(container: &Container, path: &str) -> String {
    let server = format!("{}:80", address(container));
    until("it answers", || get(&server, "localhost", path).filter(|answer| answer.status == 200)).body
}

fn copies(container: &Container) -> usize {
    container.logs().stderr.matches("running hook `/usr/local/lib/wordpress/copy`").count()
}

#[test]
fn the_first_start_copies_wordpress_and_later_starts_serve_it() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let container = on(engine, &volume).start();
    let page = until_it_serves(&container, "/wp-admin/setup-config.php");
    assert!(page.contains("Setup Configuration File"), "{page}");
    container.until("it is healthy", |it| it.health() == "healthy");
    let same =
        "diff -r /usr/src/wordpress . | grep -v uploads; ls -d wp-config.php; stat -c '%U %n' index.php .";
    let files = look(engine, &volume, same);
    assert_eq!(
        files, "www-data index.php\nwww-data .\n",
        "the whole tree, and no settings where there are none"
    );
    let logs = container.logs();
    assert!(logs.stdout.contains("\"GET /wp-admin/setup-config.php HTTP/1.0\" 200"), "{}", logs.stdout);
    assert!(logs.stdout.lines().all(|line| line.contains("HTTP/1.0")), "{}", logs.stdout);

    let stopped = container.stop();
    assert_eq!(stopped.status, 0, "apache ends what it has begun");
    assert!(stopped.took < Duration::from_secs(8), "{stopped:?}");
    look(engine, &volume, "echo mine >wp-includes/version.php; rm readme.html");
    container.restart();
    until_it_serves(&container, STATIC);
    container.kill("KILL");
    assert_eq!(container.wait(), 137);
    container.restart();
    until_it_serves(&container, STATIC);
    assert_eq!(copies(&container), 1);
    assert_eq!(
        look(engine, &volume, "cat wp-includes/version.php; ls | grep -c readme || true"),
        "mine\n0\n"
    );
}

#[test]
fn a_stopped_copy_leaves_no_files_and_a_killed_copy_is_completed() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let gate = Scratch::new();
    gate.program("cp", GATE);
    let container = on(engine, &volume).bind(gate.path(), "/usr/local/sbin").start();
    let stops = |count: usize| {
        container
            .until("it is in the middle", |it| it.logs().stderr.matches("in the middle").count() == count);
    };
    stops(1);
    let health = container.exec(["preverb", "--health"]).exited(1);
    assert!(health.stderr.contains("still setting up"), "{}", health.stderr);
    let stopped = container.stop();
    assert_eq!(stopped.status, 143);
    assert!(stopped.took < Duration::from_secs(5), "{stopped:?}");
    assert_eq!(look(engine, &volume, "find . -type f"), "");

    container.restart();
    stops(2);
    container.kill("KILL");
    assert_eq!(container.wait(), 137);
    assert_eq!(look(engine, &volume, "ls index.php 2>/dev/null || echo none"), "none\n");

    gate.file("open", "");
    container.restart();
    until_it_serves(&container, "/wp-admin/setup-config.php");
    assert_eq!(
        look(engine, &volume, "diff -r /usr/src/wordpress . | grep -v uploads || echo same"),
        "same\n"
    );
}

#[test]
fn one_of_two_containers_on_a_volume_copies_and_both_have_the_same_keys() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    let gate = Scratch::new();
    gate.program("cp", GATE);
    let replica = || {
        on(engine, &volume)
            .bind(gate.path(), "/usr/local/sbin")
            .env("WORDPRESS_DB_HOST", "nowhere.invalid")
            .start()
    };
    let first = replica();
    first.until_logged("in the middle");
    let second = replica();
    second.until_logged("waits for the lock of");
    gate.file("open", "");
    for container in [&first, &second] {
        until_it_serves(container, STATIC);
    }
    assert_eq!((copies(&first), copies(&second)), (1, 0));
    let phrases = look(
        engine,
        &volume,
        "grep -c 'put your unique' wp-config.php; grep -o \"'[0-9a-f]\\{64\\}'\" wp-config.php | sort -u | wc -l",
    );
    assert_eq!(phrases, "0\n8\n");
    let made = |it: &Container| it.logs().stderr.matches("running hook `wp-config.php`").count();
    assert_eq!(made(&first) + made(&second), 1);
}

#[test]
fn settings_from_variables_or_files_connect_to_the_database() {
    let Some(engine) = engine() else { return };
    let network = Network::new(engine);
    let database = engine
        .run(&example(engine, "mariadb"))
        .network(&network, "mysql")
        .env("MARIADB_DATABASE", "blog")
        .env("MARIADB_USER", "writer")
        .env("MARIADB_PASSWORD", "it's a secret")
        .env("MARIADB_RANDOM_ROOT_PASSWORD", "1")
        .start();
    let container = image(engine)
        .network(&network, "blog")
        .env("WORDPRESS_DB_USER", "writer")
        .env("WORDPRESS_DB_NAME", "blog")
        .mount("/run/password", "it's a secret\n")
        .env("WORDPRESS_DB_PASSWORD_FILE", "/run/password")
        .env("WORDPRESS_CONFIG_EXTRA", "define('WP_HOME', 'http://home.example');")
        .start();
    database.until("the database serves", |it| it.exec(["preverb", "--health"]).status == 0);
    let page = until_it_serves(&container, "/wp-admin/install.php");
    assert!(page.contains("id=\"setup\""), "{page}");
    // A program that `docker exec` starts reads the same settings.
    let home = container.exec([
        "php",
        "-r",
        "define('WP_INSTALLING', 1); require 'wp-config.php'; echo DB_PASSWORD, WP_HOME;",
    ]);
    assert_eq!(home.succeeded().stdout, "it's a secrethttp://home.example");

    let twice =
        image(engine).env("WORDPRESS_DB_PASSWORD", "x").env("WORDPRESS_DB_PASSWORD_FILE", "/x").output();
    assert_eq!(twice.status, 65);
}

#[test]
fn existing_and_mounted_files_stay() {
    let Some(engine) = engine() else { return };
    let volume = Volume::new(engine);
    look(
        engine,
        &volume,
        "mkdir -p wp-content/plugins/akismet; echo '# mine' | tee wp-content/plugins/akismet/a .htaccess",
    );
    let container = on(engine, &volume)
        .mount("/var/www/html/wp-config.php", "<?php exit('my own settings');\n")
        .env("WORDPRESS_DB_HOST", "db")
        .start();
    assert_eq!(until_it_serves(&container, "/"), "my own settings");
    let files = look(
        engine,
        &volume,
        "cat .htaccess wp-content/plugins/akismet/*; ls wp-content/themes; stat -c %s wp-config.php",
    );
    assert_eq!(files, "# mine\n# mine\ntwentytwentythree\n0\n");

    let other = Volume::new(engine);
    look(engine, &other, "echo '<?php echo 7;' >index.php");
    let container = on(engine, &other).start();
    assert_eq!(until_it_serves(&container, "/"), "7");
    assert_eq!(look(engine, &other, "find . -type f"), "./index.php\n");
}

#[test]
fn any_user_can_serve_and_the_root_file_system_can_be_read_only() {
    let Some(engine) = engine() else { return };
    let locked = |owner: &str| {
        image(engine)
            .flag("--read-only")
            .flag("--cap-drop=ALL")
            .flag("--tmpfs=/tmp")
            .flag(format!("--tmpfs=/run/apache2:{owner}"))
            .flag(format!("--tmpfs=/run/lock/apache2:{owner}"))
    };
    for run in [
        image(engine).flag("--user=1234:1234"),
        locked("uid=33,gid=33").flag("--user=33:33"),
        locked("uid=1234,gid=0").flag("--user=1234:0"),
    ] {
        let container = run.start();
        until_it_serves(&container, "/wp-admin/setup-config.php");
        container.exec(["preverb", "--health"]).succeeded();
        assert_eq!(container.stop().status, 0);
    }
    // A directory that the engine made for a mount is root's, and becomes the server's.
    let volume = Volume::new(engine);
    look(engine, &volume, "rm -rf wp-content; chown 0:0 .; chmod 755 .");
    until_it_serves(&on(engine, &volume).start(), "/wp-admin/setup-config.php");
    let read_only = image(engine).volume(&Volume::new(engine), "/var/www/html:ro").output();
    assert_ne!(read_only.status, 0);
}

#[test]
fn the_first_argument_chooses_the_program() {
    let Some(engine) = engine() else { return };
    let bash = image(engine).args(["bash", "-c", "pwd; find . -type f; exit 3"]).output();
    assert_eq!(
        (bash.status, &*bash.stdout, &*bash.stderr),
        (3, "/var/www/html\n", ""),
        "no setup for a shell"
    );
    let script =
        "test ! -e index.php; docker-ensure-installed.sh; test -s wp-includes/version.php; echo there";
    assert_eq!(image(engine).args(["sh", "-euc", script]).output().succeeded().stdout, "there\n");
    let sites = image(engine).args(["apache2ctl", "-S"]).output().succeeded();
    assert!(sites.stdout.contains("/var/www/html"), "{}", sites.stdout);

    let fpm = image(engine).args(["php-fpm"]).start();
    fpm.until("it is healthy", |it| it.exec(["preverb", "--health"]).status == 0);
    let ping = "$s = fsockopen('127.0.0.1', 9000); $p = ''; foreach (['SCRIPT_FILENAME' => '/var/www/html/wp-admin/setup-config.php', 'REQUEST_METHOD' => 'GET', 'SERVER_PROTOCOL' => 'HTTP/1.0', 'HTTP_HOST' => 'localhost', 'REQUEST_URI' => '/wp-admin/setup-config.php'] as $k => $v) $p .= chr(strlen($k)) . chr(strlen($v)) . $k . $v; fwrite($s, pack('CCnnxxnCxxxxx', 1, 1, 1, 8, 1, 0) . pack('CCnnxx', 1, 4, 1, strlen($p)) . $p . pack('CCnnxx', 1, 4, 1, 0) . pack('CCnnxx', 1, 5, 1, 0)); echo stream_get_contents($s);";
    let page = fpm.exec(["php", "-r", ping]).succeeded().stdout;
    assert!(page.contains("Setup Configuration File"), "{page}");
    assert_eq!(fpm.logs().stdout, "");
    assert_eq!(fpm.stop().status, 0);
}
