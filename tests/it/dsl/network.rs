//! A private network of a test: servers in it may have their usual ports, and are unreachable from outside.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::running::poll;
use super::{PATH, lacks, lock, namespaces, skip};

/// A network namespace with only the loopback. It ends with this value, and so does everything in it.
pub(crate) struct Network {
    holder: Child,
    servers: Vec<Child>,
}

impl Network {
    /// `None`, and the test is skipped, where this machine cannot have one.
    #[track_caller]
    pub(crate) fn new() -> Option<Self> {
        if lacks("ip") {
            return None;
        }
        if !nix::unistd::geteuid().is_root() || !namespaces() {
            skip("it needs root, who may make namespaces");
            return None;
        }
        let script = "ip link set lo up && echo up && exec sleep 1000";
        let mut command = Command::new("unshare");
        command.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script]);
        let mut holder = {
            let _lock = lock();
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
        };
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n", "the loopback did not come up");
        Some(Self { holder, servers: Vec::new() })
    }

    /// The arguments before a program that runs in this network: `test.under(network.words())`.
    pub(crate) fn words(&self) -> [String; 3] {
        ["nsenter".into(), format!("--net=/proc/{}/ns/net", self.holder.id()), "--".into()]
    }

    /// Starts a server of this machine as this user, in `dir`, where what it prints goes to `server.log`. Gives its
    /// process id: the server's own, so that it can be stopped and continued.
    #[track_caller]
    pub(crate) fn start(&mut self, uid: u32, dir: &Path, words: &[&str]) -> Pid {
        let log = File::create(dir.join("server.log")).unwrap();
        let ids = [format!("--reuid={uid}"), format!("--regid={uid}")];
        let mut command =
            self.command(&["setpriv", &ids[0], &ids[1], "--clear-groups", "--pdeathsig", "KILL"]);
        command.args(words).current_dir(dir).stdout(log.try_clone().unwrap()).stderr(log);
        let server = {
            let _lock = lock();
            command.spawn().unwrap()
        };
        let pid = Pid::from_raw(i32::try_from(server.id()).unwrap());
        self.servers.push(server);
        pid
    }

    /// Runs a program in this network to its end.
    #[track_caller]
    pub(crate) fn output(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Waits until a program in this network succeeds, such as a client that logs in.
    #[track_caller]
    pub(crate) fn wait_for(&self, words: &[&str]) {
        poll(&format!("{words:?} to succeed"), || self.output(words).status.success());
    }

    fn command(&self, words: &[&str]) -> Command {
        let own = self.words();
        let mut command = Command::new(&own[0]);
        command.args(&own[1..]).args(words).env_clear().env("PATH", PATH).stdin(Stdio::null());
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // Otherwise a stopped process would not end.
            let _ = kill(Pid::from_raw(i32::try_from(server.id()).unwrap()), Signal::SIGKILL);
            let _ = server.wait();
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
