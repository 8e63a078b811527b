//! `--shim`: the image as a local command, on this machine's engine.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Context, Engine, Image, Output, Scratch, Terminal, base, engine, run, unique};
use crate::skip::skip;

/// The image, and the script that it printed, in a directory that is to be the current one.
struct Shim {
    engine: &'static Engine,
    _image: Image,
    scratch: Scratch,
    script: PathBuf,
}

fn shim(extra: &str) -> Option<Shim> {
    let engine = engine()?;
    // The table names its own image, so that the name must be known before the build.
    let tag = unique("shim");
    let table = format!(
        "[shim]\nimage = '{tag}'\nenv = ['PASSED']\n{extra}\n\
         [verbs.run]\nexec = ['sh', '-c', '\"$@\"', 'run']\n\
         [verbs.show]\nexec = ['printf', '[%s]']\n"
    );
    let dockerfile = format!("FROM {}\nCOPY preverb.toml /etc/preverb/\n", base().tag());
    let built = Context::new().file("preverb.toml", table).build(engine, &dockerfile);
    let image = built.renamed(&tag);
    let printed = engine.run(&image).args(["--shim", "run"]).output();
    let scratch = Scratch::new();
    let script = scratch.program("bin/run", printed.succeeded().stdout);
    Some(Shim { engine, _image: image, scratch, script })
}

impl Shim {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.script);
        command.current_dir(self.scratch.path()).args(words);
        command.env("CONTAINER_ENGINE", self.engine.program());
        command
    }

    #[track_caller]
    fn run(&self, words: &[&str], input: &str) -> Output {
        run(&mut self.command(words), input.as_bytes(), Duration::from_mins(1))
    }
}

#[test]
fn the_shim_is_a_script_that_any_shell_reads() {
    let Some(shim) = shim("") else { return };
    let text = std::fs::read_to_string(&shim.script).unwrap();
    assert!(text.starts_with("#!/bin/sh\n"), "{text}");
    run(Command::new("sh").arg("-n").arg(&shim.script), b"", Duration::from_secs(9)).succeeded();
}

#[test]
fn files_of_the_current_directory_are_read_and_written_in_place() {
    let Some(shim) = shim("") else { return };
    shim.scratch.file("input", "hello\n");
    shim.run(&["cp", "input", "output"], "").succeeded();
    let copied = std::fs::read_to_string(shim.scratch.path().join("output")).unwrap();
    assert_eq!(copied, "hello\n");
    let here = shim.run(&["pwd"], "").succeeded();
    assert_eq!(here.stdout.trim(), shim.scratch.path().to_str().unwrap());
}

#[test]
fn files_that_are_written_belong_to_the_caller() {
    let Some(shim) = shim("") else { return };
    let socket = "/var/run/docker.sock";
    let (Ok(socket), 0, false) = (std::fs::metadata(socket), own_uid(), shim.engine.is_podman()) else {
        // Podman's images are each user's own.
        return skip("another user can be tried by root and with docker's socket alone");
    };
    let open = std::fs::Permissions::from_mode(0o777);
    // Not below the target directory, which another user may be unable to reach.
    let directory = std::env::temp_dir().join(unique("caller"));
    std::fs::create_dir(&directory).unwrap();
    std::fs::set_permissions(&directory, open).unwrap();
    std::fs::copy(&shim.script, directory.join("shim")).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=1234", "--regid=1235"]);
    command.arg(format!("--groups={}", socket.gid()));
    command.args(["./shim", "sh", "-c", "id -u; id -g; echo made > file"]);
    command.current_dir(&directory).env("HOME", &directory);
    command.env("CONTAINER_ENGINE", shim.engine.program());
    let output = run(&mut command, b"", Duration::from_mins(1));
    let file = std::fs::metadata(directory.join("file"));
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(output.succeeded().stdout, "1234\n1235\n");
    let file = file.unwrap();
    assert_eq!((file.uid(), file.gid()), (1234, 1235));
}

/// This process's user, from `/proc`, because one number needs no library.
fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

#[test]
fn hostile_arguments_arrive_unchanged() {
    let Some(shim) = shim("") else { return };
    let words = [
        "", " ", "a b", "$HOME", "`id`", "$(id)", "'", "\"", "\\", "*", "-x", "--", "--help", "é\n\n", ";",
        "&&",
    ];
    let all: Vec<&str> = ["printf", "[%s]"].into_iter().chain(words).collect();
    let expected = format!("[{}]", words.join("]["));
    assert_eq!(shim.run(&all, "").succeeded().stdout, expected);
}

#[test]
fn the_shim_passes_a_pipe_through() {
    let Some(shim) = shim("") else { return };
    let input = "line\n".repeat(20_000);
    assert_eq!(shim.run(&["cat"], &input).succeeded().stdout, input);
}

#[test]
fn exit_codes_and_named_variables_pass_through() {
    let Some(shim) = shim("") else { return };
    shim.run(&["sh", "-c", "exit 42"], "").exited(42);
    shim.run(&["missing-program"], "").exited(127);
    let mut command = shim.command(&["sh", "-c", "echo \"$PASSED,$KEPT\""]);
    command.env("PASSED", "a b").env("KEPT", "secret");
    let output = run(&mut command, b"", Duration::from_mins(1)).succeeded();
    assert_eq!(output.stdout, "a b,\n");
}

#[test]
fn the_shim_passes_a_terminal_through_and_ctrl_c_ends_the_command() {
    let Some(shim) = shim("") else { return };
    let script = "trap \"exit 5\" INT; test -t 0 && test -t 1 && echo ready; while :; do sleep 0.1; done";
    let mut terminal = Terminal::new(&shim.command(&["sh", "-c", script]));
    terminal.until_shown("ready");
    terminal.send("\u{3}");
    let (status, screen) = terminal.finish();
    assert_eq!(status, 5, "{screen}");
}

#[test]
fn a_mount_below_home_uses_the_home_directory_of_the_host() {
    let Some(shim) = shim("mounts = ['$HOME/settings:/settings:ro']") else { return };
    let home = Scratch::new();
    home.file("settings/colour", "blue\n");
    let mut command = shim.command(&["cat", "/settings/colour"]);
    command.env("HOME", home.path());
    let output = run(&mut command, b"", Duration::from_mins(1)).succeeded();
    assert_eq!(output.stdout, "blue\n");
}

#[test]
fn the_shim_needs_an_image() {
    let Some(engine) = engine() else { return };
    engine.run(&base()).table("[verbs.run]\nexec = ['true']\n").args(["--shim", "run"]).output().exited(78);
}
