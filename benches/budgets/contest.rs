//! The contenders: preverb with each of its tables, and the usual tools for the same job. Each contender is
//! a command line; `rows` says which ones are compared.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::ground::{Scratch, find, table_of};

/// Contenders that run in turn with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Set {
    /// From start to exec, nothing set up.
    Start,
    /// One step of each kind.
    Steps,
    /// Twenty sourced hooks.
    Hooks,
    /// The complete job of an entrypoint.
    Stack,
    /// Start, as the number of verbs grows.
    VerbGrowth,
    /// Sourced hooks, as their number grows.
    HookGrowth,
}

impl Set {
    /// All sets, in the order in which they run.
    pub(crate) const ALL: [Self; 6] =
        [Self::Start, Self::Steps, Self::Hooks, Self::Stack, Self::VerbGrowth, Self::HookGrowth];

    /// The name as it is printed.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Steps => "steps",
            Self::Hooks => "hooks",
            Self::Stack => "stack",
            Self::VerbGrowth => "verb-growth",
            Self::HookGrowth => "hook-growth",
        }
    }

    /// How often each contender of the set runs, in a full run and in a quick one.
    #[must_use]
    pub(crate) fn rounds(self) -> (usize, usize) {
        match self {
            Self::Start => (400, 40),
            Self::Steps => (200, 20),
            Self::Hooks => (150, 15),
            Self::Stack => (100, 10),
            Self::VerbGrowth => (60, 8),
            Self::HookGrowth => (40, 6),
        }
    }
}

/// One program that takes part.
#[derive(Debug)]
pub(crate) struct Contender {
    /// Unique; `--row NAME` finds it.
    pub(crate) name: String,
    /// Its description, for the table.
    pub(crate) about: String,
    /// The set that it runs with in turn.
    pub(crate) set: Set,
    /// The program's path and its arguments.
    pub(crate) words: Vec<OsString>,
    /// Its whole environment.
    pub(crate) env: Vec<(&'static str, String)>,
    /// Whether callgrind can count it: one static process up to the exec.
    pub(crate) countable: bool,
    /// Its point on a growth chart: the line, and the number of verbs or hooks.
    pub(crate) point: Option<(&'static str, usize)>,
}

/// The files and programs of the contenders.
#[derive(Debug)]
pub(crate) struct Materials<'a> {
    /// Where tables and scripts are written.
    pub(crate) scratch: &'a Scratch,
    /// The static release binary.
    pub(crate) preverb: PathBuf,
    /// The C trampoline.
    pub(crate) floor: PathBuf,
    /// The program that every contender starts.
    pub(crate) target: PathBuf,
    /// An open port, for contenders that wait for one.
    pub(crate) listener: &'a TcpListener,
    /// Whether we are root and may step down.
    pub(crate) root: bool,
}

/// The number of verbs in the table of the budget, and in those compared with it.
const USUAL: usize = 10;

impl Materials<'_> {
    /// All contenders that can run here, and a line for each that cannot.
    ///
    /// # Errors
    /// When a table or a script cannot be written.
    pub(crate) fn contenders(&self) -> Result<(Vec<Contender>, Vec<String>)> {
        let mut all = Vec::new();
        let mut absent = Vec::new();
        for set in Set::ALL {
            all.push(self.plain(set, "floor", "a static C program that only calls `execv`", &[&self.floor]));
        }
        self.starts(&mut all, &mut absent)?;
        self.steps(&mut all)?;
        self.hooks(&mut all, Set::Hooks, 20)?;
        self.stack(&mut all, &mut absent)?;
        for count in [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000] {
            let mut grown = [
                self.verbs(Set::VerbGrowth, count)?,
                self.case(Set::VerbGrowth, "dash", count)?,
                self.case(Set::VerbGrowth, "bash", count)?,
            ];
            for (contender, line) in grown.iter_mut().zip(["preverb", "case in dash", "case in bash"]) {
                contender.point = Some((line, count));
            }
            all.extend(grown);
        }
        for count in [0, 1, 2, 5, 10, 20, 40] {
            self.hooks(&mut all, Set::HookGrowth, count)?;
        }
        Ok((all, absent))
    }

    fn plain(&self, set: Set, name: &str, about: &str, launcher: &[&Path]) -> Contender {
        let mut words: Vec<OsString> = launcher.iter().map(Into::into).collect();
        words.extend([self.target.as_os_str(), "--workers".as_ref(), "2".as_ref()].map(OsString::from));
        Contender {
            name: name.to_owned(),
            about: about.to_owned(),
            set,
            words,
            env: environment(None),
            countable: name == "floor" && set == Set::Start,
            point: None,
        }
    }

    fn preverb(&self, set: Set, name: &str, about: &str, table: &Path, words: &[&str]) -> Contender {
        Contender {
            name: name.to_owned(),
            about: about.to_owned(),
            set,
            words: std::iter::once(self.preverb.clone().into())
                .chain(words.iter().map(OsString::from))
                .collect(),
            env: environment(Some(table)),
            countable: false,
            point: None,
        }
    }

    /// preverb with a table of `count` verbs, asked for the last of them.
    fn verbs(&self, set: Set, count: usize) -> Result<Contender> {
        let table =
            self.scratch.file(&format!("verbs-{count}.toml"), 0o644, &table_of(count, &self.target))?;
        let about = format!("preverb, a table of {count} verbs, no steps");
        let name = format!("verbs-{count}");
        let contender = self.preverb(set, &name, &about, &table, &[&format!("verb-{count}")]);
        Ok(Contender { countable: set == Set::Start, ..contender })
    }

    /// The same choice made by `case` in a shell.
    fn case(&self, set: Set, shell: &str, count: usize) -> Result<Contender> {
        let mut script = String::from("export APP_MODE=bench\ncase \"$1\" in\n");
        for number in 1..=count {
            writeln!(
                script,
                "verb-{number}) shift; exec {} --job {number} \"$@\" ;;",
                self.target.display()
            )?;
        }
        script += "*) echo \"unknown verb: $1\" >&2; exit 64 ;;\nesac\n";
        let path = self.scratch.file(&format!("case-{count}.sh"), 0o755, &script)?;
        let about = format!("`case` in {shell}, {count} verbs");
        let name = if set == Set::Start { format!("case-{shell}") } else { format!("case-{shell}-{count}") };
        scripted(set, &name, &about, shell, &path, &[&format!("verb-{count}"), "--workers", "2"])
    }

    fn starts(&self, all: &mut Vec<Contender>, absent: &mut Vec<String>) -> Result<()> {
        for count in [2, 10, 100, 1000, 10_000] {
            all.push(self.verbs(Set::Start, count)?);
        }
        for count in [1, 10] {
            let name = format!("drop-ins-{count}");
            let table = self.scratch.file(&format!("{name}.toml"), 0o644, &table_of(USUAL, &self.target))?;
            for number in 1..=count {
                let text = format!(
                    "[verbs.extra-{number}]\nabout = \"From a derived image\"\nexec = [\"{}\", \"--extra\"]\n",
                    self.target.display()
                );
                self.scratch.file(&format!("{name}.d/{number:02}-extra.toml"), 0o644, &text)?;
            }
            let about = format!("preverb, 10 verbs and {count} drop-in files of a verb each");
            let contender = self.preverb(Set::Start, &name, &about, &table, &["extra-1"]);
            all.push(Contender { countable: true, ..contender });
        }
        let alone = |name: &str, about: &str, options: &[&str]| {
            let launcher: Vec<&Path> =
                std::iter::once(self.preverb.as_path()).chain(options.iter().map(Path::new)).collect();
            self.plain(Set::Start, name, about, &launcher)
        };
        all.push(alone("supervise", "preverb --supervise -- COMMAND", &["--supervise", "--"]));
        for shell in ["dash", "bash"] {
            all.push(self.case(Set::Start, shell, USUAL)?);
        }
        // `-s`: it is not PID 1 here, and its warning about that would take time.
        for (peer, options) in [("tini", &["-s", "--"][..]), ("dumb-init", &[]), ("catatonit", &["--"])] {
            match find(peer) {
                Some(path) => {
                    let launcher: Vec<&Path> =
                        std::iter::once(path.as_path()).chain(options.iter().map(Path::new)).collect();
                    all.push(self.plain(
                        Set::Start,
                        peer,
                        &format!("{peer} in front of the target"),
                        &launcher,
                    ));
                }
                None => absent.push(format!("`{peer}` is not installed")),
            }
        }
        if !self.root {
            absent.push("not root: no step-down by `--as` and gosu".to_owned());
            return Ok(());
        }
        all.push(alone("as", "preverb --as nobody -- COMMAND", &["--as", "nobody", "--"]));
        match find("gosu") {
            Some(path) => {
                let launcher = [path.as_path(), Path::new("nobody")];
                all.push(self.plain(Set::Start, "gosu", "gosu nobody COMMAND", &launcher));
            }
            None => absent.push("`gosu` is not installed".to_owned()),
        }
        Ok(())
    }

    /// The usual table with one more step.
    fn step(&self, kind: &str, about: &str, step: &str) -> Result<Contender> {
        let table = format!("{}\n[[setup]]\n{step}\n", table_of(USUAL, &self.target));
        let path = self.scratch.file(&format!("step-{kind}.toml"), 0o644, &table)?;
        Ok(self.preverb(Set::Steps, &format!("step-{kind}"), about, &path, &["verb-10"]))
    }

    fn steps(&self, all: &mut Vec<Contender>) -> Result<()> {
        all.push(Contender { name: "step-none".to_owned(), ..self.verbs(Set::Steps, USUAL)? });
        let port = self.listener.local_addr()?.port();
        let target = self.target.display();
        let template =
            self.scratch.file("step.conf.template", 0o644, "mode = ${APP_MODE}\npath = ${PATH}\n")?;
        let owned = self.scratch.file("step-owned/file", 0o644, "")?;
        self.scratch.file("step-sourced/10.sh", 0o644, HOOK_OF_ONE)?;
        let executable = self.scratch.path("step-executable");
        std::fs::create_dir_all(&executable)?;
        symlink(&self.target, executable.join("10-program")).context("linking the target as a hook")?;
        let at = |path: &Path| path.display().to_string();
        let (template, rendered) = (at(&template), at(&self.scratch.path("step.conf")));
        let (sourced, made) = (at(&self.scratch.path("step-sourced")), at(&self.scratch.path("step-made")));
        for (kind, about, step) in [
            (
                "skipped",
                "a step that `skip-if` skips",
                format!("run = [\"{target}\"]\nskip-if = \"APP_MODE\""),
            ),
            ("run", "`run` of a static program", format!("run = [\"{target}\"]")),
            ("sourced", "`hooks`: a directory of one sourced `.sh`", format!("hooks = \"{sourced}\"")),
            (
                "executable",
                "`hooks`: a directory of one program",
                format!("hooks = \"{}\"", executable.display()),
            ),
            ("wait-tcp", "`wait` for a port that is open", format!("wait = [\"tcp://127.0.0.1:{port}\"]")),
            ("wait-file", "`wait` for a file that is there", format!("wait = [\"file://{template}\"]")),
            (
                "render",
                "`render` of a file of two lines",
                format!("render = \"{template}\"\nto = \"{rendered}\""),
            ),
            ("mkdir", "`mkdir` of a directory that is there", format!("mkdir = [\"{made}\"]")),
            (
                "chown",
                "`chown` of a file that is right",
                format!("chown = [\"{}\"]\nuser = \"root\"", at(&owned)),
            ),
        ] {
            if kind != "chown" || self.root {
                all.push(self.step(kind, about, &step)?);
            }
        }
        Ok(())
    }

    /// A directory of sourced hooks, and the loops that source such directories today.
    fn hooks(&self, all: &mut Vec<Contender>, set: Set, count: usize) -> Result<()> {
        let folder = self.scratch.path(&format!("hooks-{count}"));
        std::fs::create_dir_all(&folder)?;
        for number in 1..=count {
            let text = HOOK.replace("NN", &format!("{number:02}"));
            self.scratch.file(&format!("hooks-{count}/{number:02}-setting.sh"), 0o644, &text)?;
        }
        let table =
            format!("{}\n[[setup]]\nhooks = \"{}\"\n", table_of(USUAL, &self.target), folder.display());
        let table = self.scratch.file(&format!("hooks-{count}.toml"), 0o644, &table)?;
        let named = |name: &str| if set == Set::Hooks { name.to_owned() } else { format!("{name}-{count}") };
        let point = |line| (set == Set::HookGrowth).then_some((line, count));
        let about = format!("preverb, {count} sourced hooks, each in a shell of its own");
        let contender = self.preverb(set, &named("hooks"), &about, &table, &["verb-10"]);
        all.push(Contender { point: point("preverb"), ..contender });
        let loops = [
            (
                "one-bash",
                "bash",
                ". \"$file\"",
                "all into one bash, as the postgres image does",
                "bash, one shell for all",
            ),
            (
                "sh-each",
                "dash",
                "sh -c '. \"$1\"; env -0 >/dev/null' sh \"$file\"",
                "`sh -c '. hook; env -0'` for each",
                "a shell and an `env` for each",
            ),
        ];
        for (name, shell, how, about, line) in loops {
            let script = LOOP
                .replace("FOLDER", &folder.display().to_string())
                .replace("SOURCE", how)
                .replace("TARGET", &self.target.display().to_string());
            let script = self.scratch.file(&format!("{name}-{count}.sh"), 0o755, &script)?;
            let about = format!("{count} hooks sourced: {about}");
            let contender = scripted(set, &named(name), &about, shell, &script, &["--workers", "2"])?;
            all.push(Contender { point: point(line), ..contender });
        }
        Ok(())
    }

    /// The whole job: settings, a wait, a template, a step-down, an init.
    fn stack(&self, all: &mut Vec<Contender>, absent: &mut Vec<String>) -> Result<()> {
        let (Some(tini), Some(gosu), Some(_), true) =
            (find("tini"), find("gosu"), find("envsubst"), self.root)
        else {
            absent.push("the usual stack needs root, `tini`, `gosu` and `envsubst`".to_owned());
            return Ok(());
        };
        let port = self.listener.local_addr()?.port();
        let template = "listen = ${APP_PORT}\ndatabase = ${DB_HOST}:${DB_PORT}\nworkers = ${APP_WORKERS}\n";
        let template = self.scratch.file("app.conf.template", 0o644, template)?;
        // The verb's user renders in one case and root in the other: both may write here.
        let out = self.scratch.path("conf");
        std::fs::create_dir_all(&out)?;
        std::fs::set_permissions(&out, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
        let (template, out, target) = (template.display(), out.display(), self.target.display());
        let settings = [
            ("DB_HOST", "127.0.0.1".to_owned()),
            ("DB_PORT", port.to_string()),
            ("APP_PORT", "8000".to_owned()),
            ("APP_WORKERS", "4".to_owned()),
        ];
        let shell_settings = settings.each_ref().map(|(name, value)| format!("{name}={value}\n")).concat();
        let file = self.scratch.file("app.env", 0o644, &shell_settings)?;
        let script = format!(
            "#!/bin/bash\nset -e\nset -a\n. {}\nset +a\n\
             until (: <>\"/dev/tcp/$DB_HOST/$DB_PORT\") 2>/dev/null; do sleep 0.1; done\n\
             envsubst < {template} > {out}/by-bash.conf\nexec gosu nobody {target} \"$@\"\n",
            file.display()
        );
        let script = self.scratch.file("entrypoint.sh", 0o755, &script)?;
        let words: Vec<OsString> =
            vec![tini.into(), "-s".into(), "--".into(), script.into(), "--workers".into(), "2".into()];
        all.push(Contender {
            name: "usual-stack".to_owned(),
            about: format!("tini, bash, envsubst and gosu ({})", gosu.display()),
            set: Set::Stack,
            words,
            env: environment(None),
            countable: false,
            point: None,
        });
        let toml_settings =
            settings.each_ref().map(|(name, value)| format!("{name} = \"{value}\"\n")).concat();
        for (name, init, about) in [
            ("preverb-stack", "init = true\n", "preverb doing the same, `init` included"),
            ("preverb-stack-bare", "", "preverb doing the same, the target as PID 1"),
        ] {
            let table = format!(
                "[env]\n{toml_settings}\n[[setup]]\nwait = [\"tcp://${{DB_HOST}}:${{DB_PORT}}\"]\n\n\
                 [[setup]]\nrender = \"{template}\"\nto = \"{out}/{name}.conf\"\n\n\
                 [verbs.server]\nexec = [\"{target}\"]\nargs = [\"--workers\", \"2\"]\nuser = \"nobody\"\n{init}"
            );
            let table = self.scratch.file(&format!("{name}.toml"), 0o644, &table)?;
            all.push(self.preverb(Set::Stack, name, about, &table, &["server"]));
        }
        Ok(())
    }
}

/// A shell script as a contender.
fn scripted(
    set: Set, name: &str, about: &str, shell: &str, script: &Path, words: &[&str],
) -> Result<Contender> {
    let shell = find(shell).with_context(|| format!("`{shell}` is not installed"))?;
    let words = [shell.into(), script.into()].into_iter().chain(words.iter().map(OsString::from)).collect();
    let (name, about) = (name.to_owned(), about.to_owned());
    Ok(Contender { name, about, set, words, env: environment(None), countable: false, point: None })
}

const HOOK_OF_ONE: &str = "export STEP_SETTING=\"one value\"\n";

const HOOK: &str = r#"# Part NN brings its settings.
if [ -z "${PART_NN:-}" ]; then
    PART_NN="the value of part NN"
fi
part_home=/srv/part-NN
export PART_NN PART_NN_HOME="$part_home"
"#;

/// The official database images run their directory of hooks like this; rewritten here.
const LOOP: &str = r#"for file in FOLDER/*; do
    case "$file" in
        *.sh)
            if [ -x "$file" ]; then
                printf 'running %s\n' "$file"
                "$file"
            else
                printf 'sourcing %s\n' "$file"
                SOURCE
            fi
            ;;
        *) printf 'ignoring %s\n' "$file" ;;
    esac
done
exec TARGET "$@"
"#;

/// The variables that an engine gives a small container.
fn environment(table: Option<&Path>) -> Vec<(&'static str, String)> {
    let mut env = vec![
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOSTNAME", "0f1e2d3c4b5a".to_owned()),
        ("HOME", "/root".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
    ];
    if let Some(table) = table {
        env.push(("PREVERB_TABLE", table.display().to_string()));
    }
    env
}
