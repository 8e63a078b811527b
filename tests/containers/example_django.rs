//! `examples/django`: one image for every process of an application and for every environment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::examples::{example, get, post};
use crate::harness::{Compose, Engine, Network, Output, Scratch, engine, repository, until, until_within};

const SECRET_KEY: &str = "a-key-that-nobody-may-see-in-any-log-0123456789";
const DB_PASSWORD: &str = "correct horse 'battery' staple";
const SUPERUSER_PASSWORD: &str = "xyzzy-plugh-plover";

/// A copy of the compose project, in which secrets can be created and code can be edited.
struct Project {
    compose: Compose,
    scratch: Scratch,
}

impl Project {
    fn new(engine: &'static Engine, files: &[&str]) -> Self {
        // Built under the names that compose.yaml gives them.
        example(engine, "postgres");
        example(engine, "django");
        let scratch = Scratch::new();
        let directory = scratch.path().join("django");
        // compose.yaml refers to the neighbouring example, to build it.
        for name in ["django", "postgres"] {
            copy(&repository().join("examples").join(name), &scratch.path().join(name));
        }
        scratch.file("django/secrets/django_secret_key", format!("{SECRET_KEY}\n"));
        scratch.file("django/secrets/db_password", format!("{DB_PASSWORD}\n"));
        scratch.file("django/secrets/django_superuser_password", format!("{SUPERUSER_PASSWORD}\n"));
        let files: Vec<PathBuf> = files.iter().map(|file| directory.join(file)).collect();
        let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        // Any free port.
        let compose = Compose::new(engine, &files).env("PUBLISH", "0");
        compose.output(&["up", "--detach"]).succeeded();
        Self { compose, scratch }
    }

    /// `compose run` of a verb, in a container of its own.
    fn run(&self, options: &[&str], words: &[&str]) -> Output {
        self.compose.output(&[&["run", "--rm", "-T"], options, &["server"], words].concat())
    }

    /// The address of the server's published port, once something answers there.
    #[track_caller]
    fn server(&self) -> String {
        let port = self.compose.output(&["port", "server", "8000"]).succeeded();
        let address = port.stdout.trim().to_owned();
        until_within(Duration::from_mins(2), "the server answers", || {
            get(&address, "localhost", "/healthz").filter(|answer| answer.status == 200)
        });
        address
    }

    /// Everything that every process has printed.
    #[track_caller]
    fn logs(&self) -> String {
        let logs = self.compose.output(&["logs", "--no-color"]).succeeded();
        logs.stdout + &logs.stderr
    }
}

#[track_caller]
fn assert_no_secret_is_shown(text: &str) {
    for secret in [SECRET_KEY, DB_PASSWORD, SUPERUSER_PASSWORD] {
        assert!(!text.contains(secret), "a secret is shown:\n{text}");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap();
        let destination = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &destination);
        } else {
            std::fs::copy(entry.path(), destination).unwrap();
        }
    }
}

#[test]
fn production_runs_from_the_image_alone() {
    let Some(engine) = engine() else { return };
    let project = Project::new(engine, &["compose.yaml"]);
    let [database, migrate, web, worker] =
        ["db", "migrate", "server", "worker"].map(|service| project.compose.container(service));
    let server = project.server();

    // The server, the worker and the database work together.
    let empty = get(&server, "localhost", "/").unwrap();
    assert_eq!(empty.body, r#"{"environment": "prod", "notes": []}"#);
    post(&server, "localhost", "one two three").unwrap();
    until("the worker has counted", || {
        get(&server, "localhost", "/").filter(|answer| answer.body.contains(r#""words": 3"#))
    });
    // Static files were collected, a name that is not ours is refused, DEBUG is off.
    assert_eq!(get(&server, "localhost", "/static/notes/notes.css").unwrap().status, 200);
    let strange = get(&server, "elsewhere.example", "/").unwrap();
    assert_eq!(strange.status, 400);
    assert!(!strange.body.contains("DEBUG"), "{}", strange.body);

    // The processes are what the verbs say, as the user that the table names.
    let main = web.exec(["sh", "-c", "tr '\\0' ' ' </proc/1/cmdline; stat -c %U /proc/1"]);
    let main = main.succeeded().stdout;
    assert!(main.contains("gunicorn project.wsgi --bind 0.0.0.0:8000"), "{main}");
    assert!(main.contains("--workers 2 app\n"), "{main}");
    let background = worker.exec(["sh", "-c", "tr '\\0' ' ' </proc/1/cmdline"]).succeeded();
    assert_eq!(background.stdout, "python3 manage.py worker ");
    assert_eq!(migrate.inspect("{{.State.ExitCode}}"), "0");
    // One HEALTHCHECK for both: an URL here, a heartbeat there.
    for container in [&web, &worker, &database] {
        container.until("it is healthy", |it| it.inspect("{{.State.Health.Status}}") == "healthy");
    }

    // The first superuser was created with the password of the file, which the server does not have.
    let login = format!(
        "from django.contrib.auth import authenticate; \
         print(authenticate(username='admin', password='{SUPERUSER_PASSWORD}').is_superuser)"
    );
    let manage = ["preverb", "--exec", "--", "python3", "manage.py", "shell", "-v0", "-c", &login];
    assert_eq!(web.exec(manage).succeeded().stdout, "True\n");
    let environ = web.exec(["cat", "/proc/1/environ"]).succeeded().stdout;
    assert!(environ.contains("DJANGO_SECRET_KEY="), "{environ}");
    assert!(!environ.contains("DJANGO_SUPERUSER_PASSWORD"), "{environ}");
    // And only once.
    project.compose.output(&["restart", "server"]).succeeded();
    let server = project.server();
    assert_eq!(project.logs().matches("Superuser created successfully").count(), 1);

    // A verb of another environment is reported as one, and runs there.
    let absent = project.run(&[], &["test"]).exited(78);
    assert!(absent.stderr.contains("`test`") && absent.stderr.contains("`ci`"), "{}", absent.stderr);
    let tests = project.run(&["-e", "APP_ENV=ci"], &["test"]).succeeded();
    assert!(tests.stderr.contains("Ran 1 test"), "{}", tests.stderr);

    // No dev requirement is installed.
    let absent = project.run(&[], &["manage", "show_urls"]).exited(1);
    assert!(absent.stderr.contains("Unknown command: 'show_urls'"), "{}", absent.stderr);

    // No output of preverb or the processes contains a secret.
    let explain = project.run(&[], &["--explain", "server"]).succeeded();
    assert!(explain.stdout.contains("DJANGO_SECRET_KEY") && explain.stdout.contains("***"), "{explain:?}");
    assert_no_secret_is_shown(&explain.stdout);
    assert_no_secret_is_shown(&project.logs());

    assert!(get(&server, "localhost", "/").is_some());
    let stopped = project.compose.output(&["stop", "server", "worker"]).succeeded();
    assert!(stopped.took < Duration::from_secs(8), "it ended without KILL: {:?}", stopped.took);
    for container in [&web, &worker] {
        assert_eq!(container.inspect("{{.State.ExitCode}}"), "0", "{:?}", container.logs());
    }
}

#[test]
fn dev_is_the_same_image_with_the_code_mounted_and_its_requirements_on_a_volume() {
    let Some(engine) = engine() else { return };
    let project = Project::new(engine, &["compose.yaml", "compose.dev.yaml"]);
    let built = engine.output(["image", "inspect", "--format", "{{.Id}}", "preverb-example-django"]);
    let built = built.succeeded().stdout;
    let web = project.compose.container("server");
    let server = project.server();
    assert_eq!(web.inspect("{{.Image}}"), built.trim());

    let page = get(&server, "localhost", "/").unwrap();
    assert_eq!(page.body, r#"{"environment": "dev", "notes": []}"#);
    // runserver finds static files itself, so none were collected.
    let main = web.exec(["sh", "-c", "tr '\\0' ' ' </proc/1/cmdline"]).succeeded();
    assert_eq!(main.stdout, "python3 manage.py runserver 0.0.0.0:8000 ");
    assert_eq!(get(&server, "localhost", "/static/notes/notes.css").unwrap().status, 200);
    web.exec(["test", "!", "-e", "/var/lib/app/static"]).succeeded();

    // The hook has installed the missing requirement on the volume, where it survives a rebuild.
    let urls = project.run(&[], &["manage", "show_urls"]).succeeded();
    assert!(urls.stdout.contains("/healthz"), "{}", urls.stdout);
    let path = web.exec(["preverb", "--exec", "--", "printenv", "PATH"]).succeeded();
    assert!(path.stdout.starts_with("/home/app/.local/bin:"), "{}", path.stdout);
    let site = "import django_extensions; print(django_extensions.__file__)";
    let site = web.exec(["preverb", "--exec", "--", "python3", "-c", site]).succeeded();
    assert!(site.stdout.starts_with("/home/app/.local/lib/"), "{}", site.stdout);

    // An edit is served without a restart.
    let views = project.scratch.path().join("django/notes/views.py");
    let text = std::fs::read_to_string(&views).unwrap();
    std::fs::write(&views, text.replace("\"notes\": notes", "\"edited\": True")).unwrap();
    until("the edit is served", || {
        get(&server, "localhost", "/").filter(|answer| answer.body.contains("\"edited\": true"))
    });
    assert_no_secret_is_shown(&project.logs());
}

#[test]
fn missing_variables_are_reported_together_and_a_start_waits_for_the_database() {
    let Some(engine) = engine() else { return };
    let image = example(engine, "django");
    let missing = engine.run(&image).output().exited(65);
    for name in ["`DJANGO_SECRET_KEY`", "`DB_PASSWORD`"] {
        assert!(missing.stderr.contains(name), "{}", missing.stderr);
    }

    let network = Network::new(engine);
    let migrate = engine
        .run(&image)
        .network(&network, "migrate")
        .mount("/run/secrets/django_secret_key", SECRET_KEY)
        .mount("/run/secrets/db_password", DB_PASSWORD)
        .args(["migrate"])
        .start();
    migrate.until_logged("@db:5432/");
    let database = engine
        .run(&example(engine, "postgres"))
        .network(&network, "db")
        .env("POSTGRES_USER", "app")
        .env("POSTGRES_PASSWORD", DB_PASSWORD)
        .start();
    assert_eq!(migrate.wait(), 0, "{:?}\n{:?}", migrate.logs(), database.logs());
    assert!(migrate.logs().stdout.contains("Applying notes.0001_initial... OK"));
}
