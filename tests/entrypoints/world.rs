//! Runs a case: the table against stand-ins for the image's programs, in a directory that stands for the image's root.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::rc::Rc;

use crate::dsl::{Output, PATH, Test};
use crate::image::{Case, Image, Values};
use crate::skip::skip;

/// Where the hooks of an image are.
const HOOKS: &str = "/etc/preverb/hooks";

/// The user that replaces the user of an image.
const USER: &str = "nobody";

/// Records its arguments, directory, user and variables.
const RECORD: &str = r#"{ printf '%s' 'NAME'; for argument; do printf ' <%s>' "$argument"; done; echo; } >>[DIR]/log/runs
cat /proc/$$/environ >[DIR]/log/variables
while read -r key value rest; do [ "$key" != Uid: ] || user=$value; done </proc/$$/status
echo "NAME $user" >>[DIR]/log/users
{ echo "user $user"; echo "umask $(umask)"; echo "core $(ulimit -c)"; echo "in $(pwd -P)"; read -r parent </proc/$PPID/comm; echo "under ${parent%%:*}"; } >[DIR]/log/state
"#;

/// Whether this machine has the user that replaces those of images.
pub(crate) fn has_user() -> bool {
    let has = id_of(USER).is_some();
    if !has {
        skip(&format!("there is no user `{USER}`"));
    }
    has
}

fn id_of(user: &str) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = users.lines().find(|line| line.split(':').next() == Some(user))?;
    line.split(':').nth(2).map(str::to_owned)
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The messages of `--check --strict` about the table in the image.
pub(crate) fn checked(image: &Image) -> Option<String> {
    let case = Case { args: vec!["--check".to_owned(), "--strict".to_owned()], ..Case::default() };
    let mut table = image.table.clone();
    if !is_root() {
        // Nothing here belongs to root, so nothing may run as root.
        table = table.replace("user = \"root\"", &format!("user = \"{USER}\""));
    }
    let messages = outcome(start(image, &table, &case, &[]), |output| {
        let quiet = output.status == 0 && output.stderr.is_empty();
        (!quiet).then(|| output.messages().to_owned())
    });
    messages.map(|messages| format!("{}: --check --strict says\n{messages}", image.name))
}

/// The failure of a case under this table, if there is one.
pub(crate) fn complaint(image: &Image, table: &str, case: &Case, explain: bool) -> Option<String> {
    let wrong = run(image, table, case).or_else(|| {
        let explain = explain || !case.explains.is_empty();
        (explain && case.status == 0 && !case.runs.is_empty())
            .then(|| explained(image, table, case))
            .flatten()
    });
    wrong.map(|wrong| format!("{}: {}: {wrong}", image.name, case.name))
}

/// Runs it and returns the verdict of `judge`.
fn outcome(test: Test, judge: impl Fn(&Output) -> Option<String> + 'static) -> Option<String> {
    let slot = Rc::new(RefCell::new(None));
    let inner = Rc::clone(&slot);
    let test = test.any_status().any_stdout().any_stderr();
    test.check(move |output| *inner.borrow_mut() = judge(output)).run();
    slot.take()
}

fn run(image: &Image, table: &str, case: &Case) -> Option<String> {
    let expected = Expected { case: case.clone(), user: as_whom(image, case), given: variables(image, case) };
    outcome(start(image, table, case, &[]), move |output| expected.complaint(output))
}

/// The user of the target: the one that replaces the image's user, or ids.
fn as_whom(image: &Image, case: &Case) -> Option<String> {
    let user = case.user.clone()?;
    Some(if image.user.as_ref() == Some(&user) { USER.to_owned() } else { user })
}

/// `--explain` shows the argv and the user that the run has. After a mode, options are preverb's.
fn explained(image: &Image, table: &str, case: &Case) -> Option<String> {
    if case.open || case.args.first().is_some_and(|word| word.starts_with('-')) {
        return None;
    }
    let (target, user, by_another) = (case.runs.last()?.clone(), as_whom(image, case), case.uid.is_some());
    let explains = case.explains.clone();
    outcome(start(image, table, case, &["--explain", "--json"]), move |output| {
        let seen = output.json();
        let words = |value: &serde_json::Value| {
            let word = |word: &serde_json::Value| word.as_str().unwrap_or("?").to_owned();
            value.as_array().unwrap().iter().map(word).collect::<Vec<_>>()
        };
        let argv = words(&seen["argv"]);
        let shown = argv.iter().enumerate().fold(String::new(), |line, (at, word)| {
            if at == 0 { word.clone() } else { format!("{line} <{word}>") }
        });
        let shown = image_paths(&shown, output);
        let is_open =
            shown.contains("***") || seen["unexpanded"].as_array().is_some_and(|all| !all.is_empty());
        let shown_user = seen["user"].as_str().map(str::to_owned);
        if !is_open && shown != target {
            return Some(format!("--explain shows\n{shown}\nand it is\n{target}"));
        }
        for (key, expected) in &explains {
            let value = seen.pointer(&format!("/{key}")).unwrap_or(&serde_json::Value::Null);
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if Some(&value) != expected.as_ref() {
                return Some(format!("--explain shows `{key}` as {value}, and it is {expected:?}"));
            }
        }
        (shown_user != user && !by_another)
            .then(|| format!("--explain shows the user {shown_user:?}, and it is {user:?}"))
    })
}

/// The expected results of a case.
struct Expected {
    case: Case,
    /// As `as_whom` has it.
    user: Option<String>,
    given: BTreeMap<String, String>,
}

impl Expected {
    fn complaint(&self, output: &Output) -> Option<String> {
        let messages = image_paths(&String::from_utf8_lossy(&output.stderr), output);
        let log = |name: &str| {
            let bytes = output.file(&format!("log/{name}")).unwrap_or_default();
            image_paths(&String::from_utf8_lossy(&bytes), output)
        };
        let wrong = |what: &str, expected: &str, seen: &str| {
            Some(format!("{what}\n--- expected\n{expected}\n--- got\n{seen}\n--- messages\n{messages}"))
        };
        if output.status != self.case.status {
            return wrong("the status", &self.case.status.to_string(), &output.status.to_string());
        }
        let (expected, seen) = (self.case.runs.join("\n"), log("runs"));
        let mut lines: Vec<&str> = seen.lines().collect();
        if self.case.again {
            lines.dedup();
        }
        if expected != lines.join("\n") {
            return wrong("the programs", &expected, &seen);
        }
        if let Some(part) = self.case.lacks.iter().find(|part| messages.contains(&***part)) {
            return wrong("the messages should lack it", part, &messages);
        }
        let users = log("users");
        for (program, user) in self.case.by.iter().filter(|_| is_root()) {
            let user = user
                .as_deref()
                .filter(|user| *user != "root")
                .map_or("0".to_owned(), |_| id_of(USER).unwrap());
            let line = format!("{program} {user}");
            if !users.lines().any(|other| other == line) {
                return wrong("as whom programs ran", &line, &users);
            }
        }
        if let Some(part) = self.case.says.iter().find(|part| !messages.contains(&**part)) {
            return wrong("the messages", part, &messages);
        }
        if self.case.status == 0 && !self.case.runs.is_empty() {
            let (expected, seen) = (self.expected_changes(), self.changes(&log("variables")));
            if expected != seen {
                return wrong("the variables", &expected, &seen);
            }
            let state = log("state");
            let user = self.expected_user().map(|user| format!("user {user}"));
            let mut lines = self.case.state.iter().chain(&user);
            if let Some(line) = lines.find(|line| !state.lines().any(|other| other == **line)) {
                return wrong("the state", line, &state);
            }
        }
        let root = output.dir.path().join("root");
        self.files(&root).map(|complaint| format!("{complaint}\n--- messages\n{messages}"))
    }

    /// The id that the target must have.
    fn expected_user(&self) -> Option<String> {
        if !is_root() {
            return None;
        }
        let user = self.user.as_ref().filter(|_| self.case.uid.is_none());
        let id =
            |user: &String| id_of(user).unwrap_or_else(|| user.split(':').next().unwrap_or("?").to_owned());
        Some(user.map_or_else(|| self.case.uid.unwrap_or(0).to_string(), id))
    }

    fn expected_changes(&self) -> String {
        let mut lines: Vec<String> =
            self.case.sets.iter().map(|(name, value)| shown(name, value.as_deref())).collect();
        lines.sort();
        lines.concat()
    }

    /// Variables that differ from those that were given.
    fn changes(&self, block: &str) -> String {
        let now: BTreeMap<&str, &str> = block.split('\0').filter_map(|entry| entry.split_once('=')).collect();
        let own = |name: &str| {
            matches!(name, "PREVERB_TABLE" | "PREVERB_VERB" | "PREVERB_ENVIRONMENT")
                // That of the user that replaces the image's.
                || name == "HOME" && self.user.is_some() && !self.case.sets.iter().any(|(name, _)| name == "HOME")
        };
        let mut lines = Vec::new();
        for (name, value) in &now {
            if !own(name) && self.given.get(*name).map(String::as_str) != Some(value) {
                lines.push(shown(name, Some(value)));
            }
        }
        let gone = self.given.keys().filter(|name| !own(name) && !now.contains_key(&***name));
        lines.extend(gone.map(|name| shown(name, None)));
        lines.sort();
        lines.concat()
    }

    fn files(&self, root: &Path) -> Option<String> {
        let at = |path: &str| root.join(path.trim_start_matches('/'));
        for (path, expected) in &self.case.writes {
            let place = at(path);
            let seen = match fs::read_to_string(&place) {
                Ok(text) => Some(text),
                Err(_) if path.ends_with('/') && place.is_dir() => Some(String::new()),
                Err(_) => None,
            };
            if seen != *expected {
                return Some(format!("`{path}` should hold {expected:?}, and has {seen:?}"));
            }
        }
        for (path, mode) in &self.case.modes {
            let seen = fs::metadata(at(path)).map(|file| format!("{:04o}", file.mode() & 0o7777)).ok();
            if seen != *mode {
                return Some(format!("the mode of `{path}` should be {mode:?}, and is {seen:?}"));
            }
        }
        for (path, owner) in self.case.owners.iter().filter(|_| is_root()) {
            let seen = fs::metadata(at(path)).map(|file| file.uid().to_string()).ok();
            let expected = owner.as_ref().map_or_else(|| "0".to_owned(), |_| id_of(USER).unwrap());
            if seen.as_ref() != Some(&expected) {
                return Some(format!("`{path}` should belong to {expected}, and does to {seen:?}"));
            }
        }
        None
    }
}

fn shown(name: &str, value: Option<&str>) -> String {
    value.map_or_else(|| format!("{name} is gone\n"), |value| format!("{name}={value}\n"))
}

/// The variables that a case gives, as its target would see them unchanged.
fn variables(image: &Image, case: &Case) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([("PATH".to_owned(), format!("/bin:{PATH}"))]);
    for (name, value) in image.env.iter().chain(&case.env) {
        match value {
            Some(value) => drop(all.insert(name.clone(), value.clone())),
            None => drop(all.remove(name)),
        }
    }
    all
}

fn start(image: &Image, table: &str, case: &Case, options: &[&str]) -> Test {
    let replaced = |name: &String| case.files.iter().any(|(other, _)| other == name);
    let mut files: Values = image.files.iter().filter(|(name, _)| !replaced(name)).cloned().collect();
    files.extend(case.files.iter().cloned());
    let mut test =
        world(image, table, &files).args(options).args(case.args.iter().map(|word| placed(image, word)));
    for (name, value) in variables(image, case) {
        if name != "PATH" {
            test = test.env(&name, placed(image, &value));
        }
    }
    match case.uid {
        Some(uid) if is_root() => test.started_by(uid, uid),
        Some(_) | None => test,
    }
}

/// The image's directory, without the files of a case.
fn world(image: &Image, table: &str, files: &Values) -> Test {
    let mut table = placed(image, table);
    if let Some(user) = &image.user {
        table = table.replace(&format!("user = \"{user}"), &format!("user = \"{USER}"));
    }
    let mut test = Test::new().directory("root", 0o755).directory("log", 0o777).table(table);
    for log in ["runs", "variables", "state", "users"] {
        test = test.file(format!("log/{log}"), "", 0o666);
    }
    for (name, lines) in &image.programs {
        let place = if name.starts_with('/') { format!("root{name}") } else { format!("bin/{name}") };
        let lines = placed(image, lines);
        test = test.file(place, format!("#!/bin/sh\n{}{lines}\n", RECORD.replace("NAME", name)), 0o755);
    }
    for (name, lines) in &image.answers {
        let lines = lines.as_deref().unwrap_or_default();
        test = test.program(name, format!("#!/bin/sh\n{}\n", placed(image, lines)));
    }
    for (name, text) in &image.hooks {
        test = test.file(format!("root{HOOKS}/{name}"), placed(image, text), 0o644);
    }
    for (path, text) in files {
        let Some(text) = text else { continue };
        test = if let Some(path) = path.strip_suffix('/') {
            let mode = u32::from_str_radix(text, 8).unwrap_or(0o777);
            test.directory(&format!("root{path}"), mode)
        } else {
            let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
            test.file(format!("root{path}"), placed(image, text), mode)
        };
    }
    test
}

/// The text with the image's paths in the test's directory.
fn placed(image: &Image, text: &str) -> String {
    let mut text = text.to_owned();
    for root in image.roots.iter().map(String::as_str).chain([HOOKS]) {
        let mut out = String::new();
        let mut rest = &*text;
        while let Some(at) = rest.find(root) {
            let (before, after) = (&rest[..at], &rest[at + root.len()..]);
            let so_far = format!("{out}{before}");
            let begins = so_far.ends_with("://")
                || !so_far.ends_with(|last: char| last.is_alphanumeric() || "/._-}]".contains(last));
            let ends = !after.starts_with(|next: char| next.is_alphanumeric() || "._-".contains(next));
            out =
                if begins && ends { format!("{so_far}[DIR]/root{root}") } else { format!("{so_far}{root}") };
            rest = after;
        }
        text = out + rest;
    }
    text
}

/// The text as it would be in the image.
fn image_paths(text: &str, output: &Output) -> String {
    let dir = output.dir.path().to_str().unwrap();
    text.replace(&format!("{dir}/root"), "").replace(dir, "")
}
