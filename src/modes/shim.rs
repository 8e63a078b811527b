//! The script that `--shim` prints: it runs an image as a command of the host. `--shim` starts nothing.
//!
//! - The current directory is given by `--mount`. `-v` cannot hold a colon, and it creates a missing
//!   directory instead of failing. The value is a CSV record, which can hold everything but a CR before a LF.
//! - The entries of `mounts` are `-v` values, which the engine splits at a colon. So the script refuses one
//!   whose `$PWD` or `$HOME` contains a colon.
//! - Every option is one argument, `--name=value`, and `--` ends them, so no value can become an option.
//! - The engine's client replaces the shell, so signals and the exit code are the client's. Clients exit with
//!   125 when a container could not be started, and so does the script.
//! - An engine that maps ids (docker without root) maps the caller's too; only podman has an option against
//!   that.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

use crate::modes::verb::Verbs;
use crate::plan::{Environment, Why};
use crate::table::ShimSettings;
use crate::text::{Failure, Kind, Result, is_variable_name};
use crate::value::split_prefix;

/// The script for `verb`, or for all verbs, with the settings of the table.
pub(crate) fn shim(verbs: Verbs<'_>, environment: &Environment, verb: Option<&OsStr>) -> Result<String> {
    let shim = verbs.settings.shim.as_ref();
    let Some((shim, image)) = shim.and_then(|shim| Some((shim, shim.image.as_ref()?))) else {
        return Err(Failure::new(Kind::Table, "the table does not name the image that `--shim` runs")
            .hint("[shim]\nimage = \"registry/name:tag\""));
    };
    if let Some(word) = verb
        && verbs.here(word.as_bytes())?.is_none()
    {
        return Err(verbs.unknown(word));
    }
    let Environment { why, variable, name, .. } = environment;
    let environment = (*why == Why::Option).then(|| format!("{variable}={name}"));
    Ok(script(shim, image, environment.as_deref(), verb.map(OsStr::to_string_lossy).as_deref()))
}

/// The script. Without a verb, the caller's first argument is the verb. No string of `shim` may hold a NUL,
/// because a shell argument cannot.
fn script(shim: &ShimSettings, image: &str, environment: Option<&str>, verb: Option<&str>) -> String {
    let (head, tail) = SCRIPT.split_once("@ARGUMENTS@\n").unwrap_or_default();
    let mut text = head.replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    let prefixed: Vec<(&str, &str)> = shim.mounts.iter().map(|mount| split_prefix(mount)).collect();
    for (prefix, guard) in [("$HOME", HOME_GUARD), ("$PWD", PWD_GUARD)] {
        if prefixed.iter().any(|(found, _)| *found == prefix) {
            text.push_str(guard);
        }
    }

    // The arguments after the options come first: each `set --` prepends to the existing ones.
    let set = |word: String| format!("set -- {word} \"$@\"\n");
    let verb = verb.map(|verb| format!(" {}", quoted(verb)));
    text.extend(["\n".to_owned(), set(format!("-- {}{}", quoted(image), verb.unwrap_or_default()))]);
    // Not an option of preverb's: in the image it may belong to the program (`leading-dash`).
    text.extend(environment.map(|environment| set(quoted(&format!("--env={environment}")))));
    text.extend(shim.network.iter().map(|network| set(quoted(&format!("--network={network}")))));
    for name in shim.env.iter().rev() {
        let set = set(quoted(&format!("--env={name}")));
        // A shell cannot look up every name. The engine omits variables that it does not find.
        let _ = if is_variable_name(name.as_bytes()) && !name.contains('.') {
            write!(text, "if [ -n \"${{{name}+set}}\" ]; then\n    {set}fi\n")
        } else {
            text.write_str(&set)
        };
    }
    for (prefix, rest) in prefixed.iter().rev() {
        text.push_str(&set(match *prefix {
            "" => quoted(&format!("--volume={rest}")),
            prefix => format!("\"--volume={prefix}{}\"", escaped(rest)),
        }));
    }
    text + tail
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+".contains(c);
    let is_plain = !text.is_empty() && text.chars().all(plain);
    if is_plain { text.to_owned() } else { format!("\"{}\"", escaped(text)) }
}

fn escaped(text: &str) -> String {
    let backslash = |c: char| "\\$`\"".contains(c).then_some('\\');
    text.chars().flat_map(|c| backslash(c).into_iter().chain([c])).collect()
}

/// The script without the arguments. Its only state are the positional parameters: if it assigned a
/// variable, that could be one of the caller's on its way into the container.
const SCRIPT: &str = include_str!("shim.sh");

const HOME_GUARD: &str = r#"case ${HOME-} in
    *:*) fail "cannot mount what is in \$HOME, because its path has a colon: $HOME" ;;
    /*) ;;
    *) fail "cannot mount what is in \$HOME, because HOME is not an absolute path" ;;
esac
"#;

const PWD_GUARD: &str = r#"case $PWD in
    *:*) fail "cannot mount what is in \$PWD, because its path has a colon: $PWD" ;;
esac
"#;

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the script is tested by running it")]
mod tests {
    //! The tests run the script in several shells, with fake engines.

    use super::ShimSettings;
    use crate::skip::lacks;
    use std::ffi::{OsStr, OsString};
    use std::io::Write as _;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::process::CommandExt as _;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output, Stdio};
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Shim {
        image: String,
        mounts: Vec<String>,
        env: Vec<String>,
        network: Option<String>,
        verb: Option<String>,
    }

    fn script(shim: &Shim) -> String {
        let Shim { image, mounts, env, network, verb } = shim;
        let (mounts, env, network) = (mounts.clone(), env.clone(), network.clone());
        let settings = ShimSettings { image: None, mounts, env, network };
        super::script(&settings, image, None, verb.as_deref())
    }

    fn shim() -> Shim {
        Shim {
            image: String::from("registry.example:5000/app:1"),
            mounts: Vec::new(),
            env: Vec::new(),
            network: None,
            verb: Some(String::from("server")),
        }
    }

    /// Uses every setting at once, with hostile values.
    fn hostile() -> Shim {
        Shim {
            image: String::from("it's $HOME `id` \\ \"x\""),
            mounts: strings(&[
                "$HOME/.cache it's:/cache:ro",
                "$PWD/data:/data",
                "$HOME",
                "$HOMES:/x",
                "/a $PWD `id`:/b",
                "-x:/y\n:ro",
            ]),
            env: strings(&["http_proxy", "AWS_PROFILE", "my.var", "UNSET_THING", "-x'"]),
            network: Some(String::from("a b")),
            verb: Some(String::from("db:migrate")),
        }
    }

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| String::from(*word)).collect()
    }

    /// A temporary directory that is removed at the end of the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("preverb-shim-{}-{number}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a directory for the test");
            // The shell and the test have to use the same path of the directory.
            Self(path.canonicalize().expect("the directory was just made"))
        }

        /// A fake engine that prints its arguments, each with a NUL after it; `--version` prints `version`.
        fn engine(&self, name: &str, version: &str) -> PathBuf {
            self.program(
                name,
                &format!(
                    "#!/bin/sh\nif [ \"$1\" = --version ]; then cat; echo '{version}'; exit; fi\n\
                 printf '%s\\0' \"$@\"\n"
                ),
            )
        }

        /// Writes an executable file from another process. If this process had it open for writing while
        /// another test forks, running it would fail ("text file busy").
        fn program(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join("bin").join(name);
            let mut writer = Command::new("sh")
                .args(["-c", "mkdir -p \"${1%/*}\" && cat >\"$1\" && chmod 755 \"$1\"", "sh"])
                .arg(&path)
                .stdin(Stdio::piped())
                .spawn()
                .expect("sh is there");
            writer.stdin.take().expect("its input is piped").write_all(text.as_bytes()).expect("cat reads");
            assert!(writer.wait().expect("it was started").success());
            path
        }

        fn directory(&self, name: &OsStr) -> PathBuf {
            let path = self.0.join("dirs").join(name);
            std::fs::create_dir_all(&path).expect("a directory for the test");
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            // A leftover directory does not harm other tests.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// The POSIX shells that hosts have. Missing ones are reported.
    fn shells() -> Vec<Vec<&'static str>> {
        let all = [vec!["dash"], vec!["bash", "--posix"], vec!["busybox", "sh"], vec!["sh"]];
        all.into_iter().filter(|shell| !lacks(shell[0])).collect()
    }

    /// Runs the script of `shim` with `shell` in `directory`; the fake `docker` is in its `PATH`.
    fn command(shell: &[&str], shim: &Shim, scratch: &Scratch, directory: &Path) -> Command {
        let file = scratch.0.join("shim");
        std::fs::write(&file, script(shim)).expect("the directory can be written");
        let mut path = OsString::from(scratch.0.join("bin"));
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new(shell[0]);
        command
            .args(&shell[1..])
            .arg(file)
            .current_dir(directory)
            .env("PATH", path)
            .env_remove("PWD")
            .env_remove("CONTAINER_ENGINE")
            .stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn words(output: &Output) -> Vec<OsString> {
        assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let mut words: Vec<OsString> =
            output.stdout.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect();
        assert_eq!(words.pop(), Some(OsString::new()), "words end in a NUL");
        words
    }

    fn is_root() -> bool {
        rustix::process::geteuid().is_root()
    }

    fn ids() -> OsString {
        let print = |option| {
            let output = Command::new("id").arg(option).output().expect("id is there");
            String::from_utf8(output.stdout).expect("a number").trim_end().to_owned()
        };
        OsString::from(format!("--user={}:{}", print("-u"), print("-g")))
    }

    fn joined(parts: &[&OsStr]) -> OsString {
        parts.iter().copied().collect()
    }

    #[test]
    fn shellcheck_finds_nothing() {
        if lacks("shellcheck") {
            return;
        }
        let bare = Shim { verb: None, ..shim() };
        let host = Shim {
            network: Some(String::from("host")),
            mounts: strings(&["$HOME/.ssh:/home/app/.ssh:ro"]),
            ..shim()
        };
        for shim in [shim(), bare, host, hostile()] {
            let mut check = Command::new("shellcheck")
                .args(["--shell=sh", "--enable=quote-safe-variables", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("shellcheck is there");
            let text = script(&shim);
            let mut input = check.stdin.take().expect("its input is piped");
            input.write_all(text.as_bytes()).expect("it reads");
            drop(input);
            let output = check.wait_with_output().expect("it was started");
            let printed = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{printed}\n{text}");
        }
    }

    #[test]
    fn the_engine_gets_exactly_the_expected_arguments() {
        let scratch = Scratch::new();
        scratch.engine("docker", "Docker version 28.2.2");
        let here = scratch.directory(OsStr::new("plain"));
        for shell in shells() {
            let output = command(&shell, &shim(), &scratch, &here)
                .args(["--port", "80"])
                .output()
                .expect("the shell is there");
            let ids = ids();
            let workdir = joined(&["--workdir=".as_ref(), here.as_os_str()]);
            let mount = joined(&[
                "--mount=type=bind,source=".as_ref(),
                here.as_os_str(),
                ",target=".as_ref(),
                here.as_os_str(),
            ]);
            let expected: Vec<&OsStr> = vec![
                "run".as_ref(),
                "--rm".as_ref(),
                "-i".as_ref(),
                &workdir,
                &mount,
                &ids,
                "--".as_ref(),
                "registry.example:5000/app:1".as_ref(),
                "server".as_ref(),
                "--port".as_ref(),
                "80".as_ref(),
            ];
            assert_eq!(words(&output), expected, "{shell:?}");
        }
    }

    #[test]
    fn a_script_without_a_verb_takes_it_from_the_first_argument() {
        let scratch = Scratch::new();
        scratch.engine("docker", "Docker version 28.2.2");
        let here = scratch.directory(OsStr::new("plain"));
        let bare = Shim { verb: None, ..shim() };
        for shell in shells() {
            let output =
                command(&shell, &bare, &scratch, &here).arg("worker").output().expect("the shell is there");
            let words = words(&output);
            assert_eq!(
                words[words.len() - 3..],
                ["--", "registry.example:5000/app:1", "worker"],
                "{shell:?}"
            );
        }
    }

    #[test]
    fn hostile_arguments_arrive_byte_for_byte() {
        let scratch = Scratch::new();
        scratch.engine("docker", "Docker version 28.2.2");
        let here = scratch.directory(OsStr::new("plain"));
        let arguments: Vec<OsString> = [
            &b""[..],
            b" ",
            b"a  b",
            b"*",
            b"$HOME",
            b"$(id)",
            b"`id`",
            b"'",
            b"\"",
            b"\\",
            b"\\n",
            b"a\nb",
            b"end\n",
            b"-t",
            b"--",
            b"--help",
            b"\xff\xfe",
            b"!x",
            b"%s",
            b"~",
            b"\x7f\x01",
            b"",
        ]
        .into_iter()
        .map(|bytes| OsString::from_vec(bytes.to_vec()))
        .collect();
        for shell in shells() {
            let output = command(&shell, &hostile(), &scratch, &here)
                .env("HOME", "/home/u")
                .args(&arguments)
                .output()
                .expect("the shell is there");
            let words = words(&output);
            let (head, tail) = words.split_at(words.len() - arguments.len());
            assert_eq!(tail, arguments, "{shell:?}");
            assert_eq!(head[head.len() - 3..], ["--", "it's $HOME `id` \\ \"x\"", "db:migrate"], "{shell:?}");
        }
    }

    #[test]
    fn only_mount_prefixes_are_expanded_and_only_set_variables_are_passed() {
        let scratch = Scratch::new();
        scratch.engine("docker", "Docker version 28.2.2");
        let here = scratch.directory(OsStr::new("has \"quotes\", it's"));
        for shell in shells() {
            let output = command(&shell, &hostile(), &scratch, &here)
                .env("HOME", "/home/a $b 'c'")
                .env("http_proxy", "")
                .env("AWS_PROFILE", "x y")
                .output()
                .expect("the shell is there");
            let words = words(&output);
            let data = joined(&["--volume=".as_ref(), here.as_os_str(), "/data:/data".as_ref()]);
            let expected: Vec<&OsStr> = vec![
                "--volume=/home/a $b 'c'/.cache it's:/cache:ro".as_ref(),
                &data,
                "--volume=/home/a $b 'c'".as_ref(),
                "--volume=$HOMES:/x".as_ref(),
                "--volume=/a $PWD `id`:/b".as_ref(),
                "--volume=-x:/y\n:ro".as_ref(),
                "--env=http_proxy".as_ref(),
                "--env=AWS_PROFILE".as_ref(),
                "--env=my.var".as_ref(),
                "--env=-x'".as_ref(),
                "--network=a b".as_ref(),
                "--".as_ref(),
            ];
            assert_eq!(words[6..18], expected, "{shell:?}");
        }
    }

    /// Parses a CSV record like the engines do: fields in double quotes, double quotes doubled.
    fn csv(record: &[u8]) -> Vec<Vec<u8>> {
        let mut fields = vec![Vec::new()];
        let mut bytes = record.iter().copied().peekable();
        let mut inside = false;
        while let Some(byte) = bytes.next() {
            let field = fields.last_mut().expect("there is always one");
            match (inside, byte) {
                (false, b',') => fields.push(Vec::new()),
                (false, b'"') => {
                    assert!(field.is_empty(), "a bare quote in a field");
                    inside = true;
                }
                (false, b'\n') => panic!("the record ends in the middle"),
                (true, b'"') if bytes.next_if_eq(&b'"').is_some() => field.push(b'"'),
                (true, b'"') => {
                    inside = false;
                    assert!(matches!(bytes.peek(), None | Some(b',')), "text after a quote");
                }
                (_, byte) => field.push(byte),
            }
        }
        assert!(!inside, "a quote that is not closed");
        fields
    }

    #[test]
    fn a_directory_with_any_name_is_mounted() {
        let scratch = Scratch::new();
        scratch.engine("docker", "Docker version 28.2.2");
        let names: [&[u8]; 14] = [
            b"plain",
            b"two  words",
            b"-dash",
            b"co:lon",
            b"com,ma",
            b"it's",
            b"\"quoted\"",
            b"a\"b,\"\"c",
            b"new\nline",
            b"end\n\n",
            b"back\\slash",
            b"$HOME `id` *",
            b"caf\xc3\xa9",
            b"latin\xe9,\"",
        ];
        for name in names {
            let here = scratch.directory(OsStr::from_bytes(name));
            for shell in shells() {
                let output = command(&shell, &shim(), &scratch, &here).output().expect("the shell is there");
                let words = words(&output);
                assert_eq!(words[3], joined(&["--workdir=".as_ref(), here.as_os_str()]), "{shell:?}");
                let mount = words[4].as_bytes().strip_prefix(b"--mount=").expect("the mount follows");
                let path = here.as_os_str().as_bytes();
                let expected =
                    [b"type=bind".to_vec(), [b"source=", path].concat(), [b"target=", path].concat()];
                assert_eq!(csv(mount), expected, "{shell:?} in {}", here.display());
            }
        }
    }

    #[test]
    fn a_symlinked_directory_keeps_the_callers_path() {
        let scratch = Scratch::new();
        scratch.engine("docker", "Docker version 28.2.2");
        let real = scratch.directory(OsStr::new("real"));
        let link = scratch.0.join("link");
        symlink(real, &link).expect("the directory can be written");
        for shell in shells() {
            let output = command(&shell, &shim(), &scratch, &link)
                .env("PWD", &link)
                .output()
                .expect("the shell is there");
            let workdir = joined(&["--workdir=".as_ref(), link.as_os_str()]);
            assert_eq!(words(&output)[3], workdir, "{shell:?}");
        }
    }

    #[track_caller]
    fn refused(output: &Output, why: &str) {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{stderr}");
        assert!(stderr.starts_with("shim: "), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    }

    #[test]
    fn an_error_names_the_path_that_cannot_be_mounted() {
        let scratch = Scratch::new();
        scratch.engine("docker", "Docker version 28.2.2");
        let here = scratch.directory(OsStr::new("plain"));
        let colon = scratch.directory(OsStr::new("co:lon"));
        let home = Shim { mounts: strings(&["$HOME/x:/x"]), ..shim() };
        let pwd = Shim { mounts: strings(&["$PWD/x:/x"]), ..shim() };
        for shell in shells() {
            let run = |shim: &Shim, directory: &Path, home: Option<&str>| {
                let mut command = command(&shell, shim, &scratch, directory);
                match home {
                    Some(home) => command.env("HOME", home),
                    None => command.env_remove("HOME"),
                };
                command.output().expect("the shell is there")
            };
            refused(&run(&shim(), Path::new("/"), None), "the directory / cannot be mounted");
            refused(&run(&pwd, &colon, None), "$PWD, because its path has a colon");
            refused(&run(&home, &here, Some("/a:b")), "$HOME, because its path has a colon");
            refused(&run(&home, &here, Some("")), "$HOME, because HOME is not an absolute path");
            // A shim whose mounts do not use HOME works without HOME.
            words(&run(&pwd, &here, None));
        }
    }

    #[test]
    fn the_caller_chooses_the_engine() {
        let scratch = Scratch::new();
        let only_run = "#!/bin/sh\n[ \"$1\" != run ] || printf '%s\\0' mine \"$@\"\n";
        let engine = scratch.program("my engine", only_run);
        let here = scratch.directory(OsStr::new("plain"));
        for shell in shells() {
            for (named, expected) in [(engine.as_os_str(), "mine"), (OsStr::new("my engine"), "mine")] {
                let output = command(&shell, &shim(), &scratch, &here)
                    .env("CONTAINER_ENGINE", named)
                    .output()
                    .expect("the shell is there");
                assert_eq!(words(&output)[0], expected, "{shell:?}");
            }
            let output = command(&shell, &shim(), &scratch, &here)
                .env("CONTAINER_ENGINE", "/no/such/engine")
                .output()
                .expect("the shell is there");
            refused(&output, "`/no/such/engine` is not found");
        }
    }

    #[test]
    fn rootless_podman_keeps_the_callers_ids_even_if_it_is_called_docker() {
        let scratch = Scratch::new();
        let here = scratch.directory(OsStr::new("plain"));
        scratch.engine("podman", "silent");
        scratch.engine("docker", "podman version 5.4.0");
        scratch.engine("nerdctl", "nerdctl version 2.0.0");
        for shell in shells() {
            for (without_root, engine, kept) in [
                (true, "podman", true),
                (true, "docker", true),
                (true, "nerdctl", false),
                (false, "podman", false),
                (false, "docker", false),
            ] {
                if !without_root && !is_root() {
                    continue;
                }
                let mut command = command(&shell, &shim(), &scratch, &here);
                if without_root && is_root() {
                    command.uid(1234).gid(1235);
                }
                let output = command.env("CONTAINER_ENGINE", engine).output().expect("the shell is there");
                let words = words(&output);
                assert_eq!(
                    words.contains(&OsString::from("--userns=keep-id")),
                    kept,
                    "{shell:?} {without_root} {engine}"
                );
                if without_root && is_root() {
                    let user = OsString::from("--user=1234:1235");
                    assert!(words.contains(&user), "{shell:?} {engine}");
                }
            }
        }
    }

    #[test]
    fn the_script_does_not_consume_the_callers_input() {
        let scratch = Scratch::new();
        let here = scratch.directory(OsStr::new("plain"));
        // This engine reads its standard input, even when asked for its version.
        scratch.program("docker", "#!/bin/sh\nexec cat\n");
        for shell in shells() {
            let mut command = command(&shell, &shim(), &scratch, &here);
            if is_root() {
                // The script asks the engine for its version only if the caller is not root.
                command.uid(1234).gid(1235);
            }
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the shell is there");
            let mut input = child.stdin.take().expect("its input is piped");
            input.write_all(b"for the container\n").expect("it is read");
            drop(input);
            let output = child.wait_with_output().expect("it was started");
            assert_eq!(output.stdout, b"for the container\n", "{shell:?}");
        }
    }

    #[test]
    fn the_engine_replaces_the_shell_and_sets_the_exit_code() {
        let scratch = Scratch::new();
        scratch.program("docker", "#!/bin/sh\necho $$\nexit 37\n");
        let here = scratch.directory(OsStr::new("plain"));
        for shell in shells() {
            let child = command(&shell, &shim(), &scratch, &here)
                .stdout(Stdio::piped())
                .spawn()
                .expect("the shell is there");
            let pid = child.id();
            let output = child.wait_with_output().expect("it was started");
            assert_eq!(output.status.code(), Some(37), "{shell:?}");
            assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{pid}\n"), "{shell:?}");
        }
    }

    #[test]
    fn the_container_gets_a_terminal_if_input_and_output_are_terminals() {
        // `script` of util-linux holds the other end of a terminal.
        if lacks("script") {
            return;
        }
        let scratch = Scratch::new();
        let seen = scratch.0.join("seen");
        scratch.program(
            "docker",
            &format!("#!/bin/sh\nprintf '%s ' \"$1\" \"$2\" \"$3\" \"$4\" >'{}'\n", seen.display()),
        );
        let here = scratch.directory(OsStr::new("plain"));
        let file = scratch.0.join("shim");
        for shell in shells() {
            // Writes the script, and shows the result without a terminal.
            let mut bare = command(&shell, &shim(), &scratch, &here);
            assert!(bare.status().expect("the shell is there").success());
            let words = std::fs::read_to_string(&seen).expect("the engine ran");
            assert!(words.starts_with("run --rm -i --workdir="), "{shell:?}: {words}");

            for (redirection, begin) in [
                ("", "run --rm -i -t "),
                ("</dev/null", "run --rm -i --workdir="),
                (">/dev/null", "run --rm -i --workdir="),
                ("2>/dev/null", "run --rm -i -t "),
            ] {
                std::fs::remove_file(&seen).expect("the engine ran");
                let line = format!("{} '{}' {redirection}", shell.join(" "), file.display());
                let mut terminal = Command::new("script");
                for (name, value) in bare.get_envs() {
                    match value {
                        Some(value) => terminal.env(name, value),
                        None => terminal.env_remove(name),
                    };
                }
                let status = terminal
                    .args(["-qec", &line, "/dev/null"])
                    .current_dir(&here)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .status()
                    .expect("script is there");
                assert!(status.success(), "{shell:?} {redirection}");
                let words = std::fs::read_to_string(&seen).expect("the engine ran");
                assert!(words.starts_with(begin), "{shell:?} {redirection}: {words}");
            }
        }
    }

    #[test]
    fn the_printed_script_can_be_executed() {
        let scratch = Scratch::new();
        scratch.engine("docker", "Docker version 28.2.2");
        let here = scratch.directory(OsStr::new("plain"));
        let file = scratch.program("tool", &script(&shim()));
        let mode = std::fs::metadata(&file).expect("it was just written").permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        let output = command(&["sh"], &shim(), &scratch, &here).output().expect("the shell is there");
        let mut path = OsString::from(scratch.0.join("bin"));
        path.push(":/usr/bin:/bin");
        let direct = Command::new(&file)
            .current_dir(&here)
            .env("PATH", path)
            .env_remove("PWD")
            .env_remove("CONTAINER_ENGINE")
            .stdin(Stdio::null())
            .output()
            .expect("it can be executed");
        assert_eq!(words(&direct), words(&output));
    }
}
