//! Every block of the documentation, run.
//!
//! The blocks of a page share one directory. A block whose first line is a comment with a file name is that
//! file; any other block of TOML is the table, and so is a file called `preverb.toml`, wherever the page puts
//! it. A table must be valid for each of its verbs in each of its environments. The lines of a console block
//! that begin with `$ ` are run in that directory with `preverb` on the PATH and the last table as
//! `PREVERB_TABLE`, and must print the lines that follow; `export` holds for the rest of the page. Durations
//! may differ. Blocks of `sh`, which may need an engine or a cluster, are only checked for syntax.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::page::{self, Block};
use crate::skip::lacks;
use crate::{PREVERB, pattern, read, repository, updating};

/// The pages: the top-level ones, `docs/` and `man/`.
pub(crate) fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    for directory in ["", "docs/", "man/"] {
        for entry in fs::read_dir(repository(directory)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if !name.starts_with('.') && [".md", ".1", ".5"].iter().any(|end| name.ends_with(end)) {
                pages.push(format!("{directory}{name}"));
            }
        }
    }
    pages.sort();
    assert!(pages.len() > 3, "{pages:?}");
    pages
}

/// A page's directory.
struct Walk {
    directory: tempfile::TempDir,
    exports: String,
}

impl Walk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("bin")).unwrap();
        symlink(PREVERB, directory.path().join("bin/preverb")).unwrap();
        Self { directory, exports: String::new() }
    }

    /// A shell in the directory.
    fn shell(&self, script: &str) -> Command {
        let path = self.directory.path();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec 2>&1\n{}\n{script}", self.exports)]);
        command.env_clear().env(
            "PATH",
            format!("{}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", path.display()),
        );
        command.env("PREVERB_TABLE", "preverb.toml").current_dir(path).stdin(Stdio::null());
        command
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Every verb of every environment can be explained, as far as the operator's variables do not matter.
    fn table(&self, place: &str, text: &str) {
        let named = |line: &str| {
            let rest = line.trim_start_matches('[').strip_prefix("environments.")?;
            Some(rest.split(['.', ']']).next().unwrap_or_default().to_owned())
        };
        let mut environments: Vec<String> = text.lines().filter_map(named).collect();
        environments.push("prod".to_owned());
        for environment in environments {
            let preverb = |words: &[&str]| {
                let mut command = Command::new(PREVERB);
                let (mode, rest) = words.split_first().unwrap();
                command.args(["--table", "preverb.toml", mode, "--environment", &environment]).args(rest);
                let output = command.env_clear().current_dir(self.directory.path()).output().unwrap();
                let errors = String::from_utf8(output.stderr).unwrap();
                let status = output.status.code();
                // 65: the operator has to set a variable. 77: the image of the page has a user that this
                // machine lacks.
                assert!(
                    matches!(status, Some(0 | 65 | 77)),
                    "{place}: {words:?} in {environment}: {status:?}\n{errors}"
                );
                output.stdout
            };
            let list: serde_json::Value = serde_json::from_slice(&preverb(&["--list", "--json"])).unwrap();
            for verb in list["verbs"].as_array().unwrap() {
                preverb(&["--explain", verb["name"].as_str().unwrap()]);
            }
            preverb(&["--explain", "--", "true"]);
        }
    }

    /// The console block with its current output, if that differs.
    fn console(&mut self, block: &Block) -> Option<String> {
        let mut now = String::new();
        let mut same = true;
        let mut lines = block.text.lines().peekable();
        while let Some(line) = lines.next() {
            let mut command =
                line.strip_prefix("$ ").unwrap_or_else(|| panic!("no command: {line}")).to_owned();
            now += line;
            now.push('\n');
            while let Some(more) = lines.next_if(|line| line.starts_with("> ")) {
                command += "\n";
                command += &more[2..];
                now += more;
                now.push('\n');
            }
            let mut expected = String::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
                expected += line;
                expected.push('\n');
            }
            if command.starts_with("export ") {
                self.exports.push_str(&command);
                self.exports.push('\n');
            }
            let output = self.shell(&command).output().unwrap();
            let found = String::from_utf8(output.stdout).unwrap();
            let matches = pattern::matches(timeless(&expected).as_bytes(), timeless(&found).as_bytes());
            same &= matches;
            now += if matches { &expected } else { &found };
        }
        (!same).then_some(now)
    }
}

/// The quickstart's address.
const QUICKSTART: &str = "127.0.0.1:8000";

/// A console block that talks to the quickstart's server, at a port of its own.
fn quickstart(place: &str, text: &str) {
    let program = Path::new(PREVERB).with_file_name("examples").join("quickstart");
    // It is built by `cargo test`, and not by `cargo test --test docs`.
    if lacks("curl") || lacks(program.to_str().unwrap()) {
        return;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Command::new(PREVERB)
        .args(["--table", "examples/quickstart/preverb.toml", "server"])
        .current_dir(repository(""))
        .env_remove("APP_ENV")
        .env("PORT", port.to_string())
        .env("PROGRAM", program)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _server = Server(server);
    let here = format!("127.0.0.1:{port}");
    let ready = Command::new(PREVERB).args(["--wait", &format!("http://{here}/healthz")]).status().unwrap();
    assert!(ready.success(), "{place}: the quickstart does not answer");
    let (command, expected) = text.split_once('\n').unwrap();
    let command =
        command.strip_prefix("$ ").unwrap().replace("curl ", "curl -sS ").replace(QUICKSTART, &here);
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{place}");
}

/// The quickstart's server, which is stopped when the test ends in any way.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // preverb supervises: killing it would leave its target running.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// The text with all measured durations made equal.
fn timeless(text: &str) -> String {
    let is_unit =
        |word: &str| matches!(word.trim_end_matches(|c: char| c.is_ascii_punctuation()), "ms" | "s");
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let mut out: Vec<&str> = Vec::new();
        for (index, word) in words.iter().enumerate() {
            let number =
                word.parse::<f64>().is_ok() && words.get(index + 1).is_some_and(|next| is_unit(next));
            let unit = index > 0 && words[index - 1].parse::<f64>().is_ok() && is_unit(word);
            out.push(if number {
                "1"
            } else if unit {
                "ms"
            } else {
                word
            });
        }
        out.join(" ") + "\n"
    };
    text.lines().map(line).collect()
}

/// The file that a block's first line names.
fn file_of(text: &str) -> Option<&str> {
    let mut lines = text.lines();
    let first = lines.next()?;
    let first = if first.starts_with("#!") { lines.next()? } else { first };
    let path = first.strip_prefix("# ")?;
    let is_path = !path.contains(' ') && (path.contains('/') || Path::new(path).extension().is_some());
    is_path.then_some(path)
}

#[test]
fn every_block_does_what_the_page_says() {
    let mut wrong = Vec::new();
    for name in pages() {
        let mut source = read(&name);
        let mut walk = Walk::new();
        let mut changes = Vec::new();
        for block in page::blocks(&name, &source) {
            let place = format!("{name}:{}", block.line);
            let file = file_of(&block.text);
            let is_table = block.language == "toml" && file.is_none_or(|file| file.ends_with("preverb.toml"));
            match (&*block.language, file) {
                ("toml", _) if is_table => {
                    walk.file("preverb.toml", &block.text);
                    walk.table(&place, &block.text);
                }
                ("toml" | "sh" | "python" | "sql" | "text", Some(file)) if !file.starts_with('/') => {
                    walk.file(file, &block.text);
                }
                ("console", _) if block.text.contains(QUICKSTART) => quickstart(&place, &block.text),
                ("console", _) if block.text.contains(".py") && lacks("python3") => {}
                ("console", _) => changes.extend(walk.console(&block).map(|now| (block.clone(), now))),
                ("sh", _) => {
                    let mut shell = Command::new("sh").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
                    shell.stdin.take().unwrap().write_all(block.text.as_bytes()).unwrap();
                    assert!(shell.wait().unwrap().success(), "{place}: no shell reads this");
                }
                ("dockerfile" | "yaml" | "text" | "rust", _) => {}
                ("json", _) => {
                    let json: Result<serde_json::Value, _> = serde_json::from_str(&block.text);
                    assert!(json.is_ok(), "{place}: {json:?}");
                }
                (language, file) => panic!("{place}: what is to be done with {language} {file:?}?"),
            }
            if block_is_drop_in(file) {
                let table = read_in(&walk, "preverb.toml");
                walk.table(&place, &table);
            }
        }
        for (block, now) in changes.into_iter().rev() {
            if updating() {
                source.replace_range(block.range, &page::source_of(&name, &now));
            } else {
                wrong.push(format!("{name}:{}: expected\n{}\nfound\n{now}", block.line, block.text));
            }
        }
        if updating() {
            fs::write(repository(&name), source).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether the file is merged over the table.
fn block_is_drop_in(file: Option<&str>) -> bool {
    file.is_some_and(|file| file.contains("preverb.d/"))
}

fn read_in(walk: &Walk, path: &str) -> String {
    fs::read_to_string(walk.directory.path().join(path)).unwrap()
}

#[test]
fn only_durations_may_differ() {
    assert_eq!(timeless("done in 12 ms\nafter 3.4 s, 7"), timeless("done in 1 ms\nafter 20 ms, 7"));
    assert_ne!(timeless("12 verbs"), timeless("13 verbs"));
}
