//! The README's "before": each of the six bugs that it names is there, when the script is process 1.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::skip::{lacks, skip};
use crate::{page, read};

/// The script in a directory of its own, with stand-ins for what it calls.
struct Before {
    directory: tempfile::TempDir,
    // The database, as far as the script uses it.
    database: Option<TcpListener>,
}

impl Before {
    fn new() -> Option<Self> {
        if lacks("bash") {
            return None;
        }
        if !Self::process_1().arg("true").output().is_ok_and(|output| output.status.success()) {
            skip("no process may have a PID namespace");
            return None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let blocks = page::blocks("README.md", &read("README.md"));
        let script = blocks.iter().find(|block| block.text.starts_with("#!/bin/bash")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path().to_str().unwrap().to_owned();
        let before = Self { database: Some(listener), directory };
        let script = script.text.replace("5432", &port).replace("/shared/", &format!("{here}/shared/"));
        before.file("entrypoint", &script.replace("sleep 1", "sleep 0.01"));
        // It prints its process id, the variable and each argument.
        before.file("bin/gosu", "#!/bin/sh\nprintf '%s' \"$$ $DATABASE_URL\"\nprintf '|%s' \"$@\"\necho\n");
        Some(before)
    }

    fn process_1() -> Command {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
        command
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn start(&self, words: &[&str], variables: &[(&str, &str)]) -> Child {
        let here = self.directory.path();
        let mut command = Self::process_1();
        command.args(["bash".as_ref(), here.join("entrypoint").as_os_str()]).args(words);
        command
            .env_clear()
            .env("PATH", format!("{}/bin:/usr/bin:/bin", here.display()))
            .env("DB_HOST", "127.0.0.1");
        command.envs(variables.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// The exit code and what was printed.
    fn run(&self, words: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
        let mut child = self.start(words, variables);
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        (child.wait().unwrap().code(), text)
    }
}

#[test]
fn bug_1_a_missing_password_is_empty() {
    let Some(before) = Before::new() else { return };
    let (status, text) = before.run(&["manage", "check"], &[]);
    assert_eq!(status, Some(0));
    assert!(text.contains("postgres://app:@127.0.0.1/app"), "{text}");
}

#[test]
fn bug_2_a_password_goes_into_the_url_unencoded() {
    let Some(before) = Before::new() else { return };
    let (_, text) = before.run(&["manage", "check"], &[("DB_PASSWORD", "p@s/w#d")]);
    assert!(text.contains("postgres://app:p@s/w#d@127.0.0.1/app"), "{text}");
}

#[test]
fn bug_3_a_stop_during_the_wait_is_lost() {
    let Some(mut before) = Before::new() else { return };
    // Nothing listens any more.
    before.database = None;
    let mut child = before.start(&["server"], &[]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "waiting");
    // unshare's child is process 1 of its namespace.
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    let first = Pid::from_raw(children.trim().parse().unwrap());
    kill(first, Signal::SIGTERM).unwrap();
    for _ in 0..20 {
        assert_eq!(lines.next().unwrap().unwrap(), "waiting");
    }
    kill(first, Signal::SIGKILL).unwrap();
    child.wait().unwrap();
}

#[test]
fn bug_4_exit_0_in_a_hook_ends_the_script_with_success_and_other_files_are_skipped() {
    let Some(before) = Before::new() else { return };
    let dev: &[_] = &[("APP_ENV", "dev")];
    before.file("shared/dev/10-settings.rb", "#!/bin/sh\necho never\n");
    let (status, text) = before.run(&["manage", "check"], dev);
    assert!(status == Some(0) && text.contains("|check") && !text.contains("never"), "{text}");
    before.file("shared/dev/20-early.sh", "exit 0\n");
    assert_eq!(before.run(&["manage", "check"], dev), (Some(0), String::new()));
}

#[test]
fn bug_5_the_server_is_not_process_1() {
    let Some(before) = Before::new() else { return };
    let (_, server) = before.run(&["server"], &[]);
    assert!(!server.starts_with("1 "), "{server}");
    let (_, manage) = before.run(&["manage", "check"], &[]);
    assert!(manage.starts_with("1 "), "with `exec` it is: {manage}");
}

#[test]
fn bug_6_arguments_are_split_at_blanks() {
    let Some(before) = Before::new() else { return };
    let (_, text) = before.run(&["manage", "say", "two words"], &[]);
    assert!(text.ends_with("|say|two|words\n"), "{text}");
}
