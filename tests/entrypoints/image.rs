//! An image: its table, its hooks, and its cases. This is what a `cases.toml` may hold:
//!
//! | key | value |
//! |---|---|
//! | `roots` | absolute paths of the image that are moved to the test's directory, everywhere in the case |
//! | `user` | the image's user, replaced by `nobody` |
//! | `programs` | programs that record how they were started; an absolute path or a name on the PATH |
//! | `stubs` | the same, with lines of sh that follow |
//! | `answers` | programs that record nothing, with their lines |
//! | `files` | files and, with a slash at the end, directories, with their mode: without it anyone may write there |
//! | `short` | words that stand for longer texts in `runs` |
//! | `env` | the variables that the image itself sets |
//! | `cases` | by name: `args`; `env` (`false` removes one); `files` (`false` removes one); `uid`: who starts it |
//!
//! And what a case expects: `runs`, every program with its arguments, the target last; `sets`, all variables
//! of the target that differ from those given (`false`: it is unset); `user` of the target, `state` (its
//! umask and so on), and the user of other programs (`by`, `root` or the image's user); `writes`, contents of
//! files (`false`: it is missing; a slash at the end: a directory), `modes`, `owners`; `says` and `lacks`,
//! parts of standard error; `explains`, values of `--explain --json` by their places in it; `status`.
//!
//! With `again` a program that runs repeatedly is listed once. With `each` the case runs once for each of
//! these words, which replace `EACH`. `open` says why `--explain` cannot know the arguments yet, and
//! `differs` why the original behaves differently.

use std::fs;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// Names with values, `None` for those that must be absent.
pub(crate) type Values = Vec<(String, Option<String>)>;

#[derive(Default)]
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) table: String,
    /// Files beside the table that end in `.sh`.
    pub(crate) hooks: Vec<(String, String)>,
    pub(crate) roots: Vec<String>,
    pub(crate) user: Option<String>,
    pub(crate) programs: Vec<(String, String)>,
    pub(crate) answers: Values,
    pub(crate) files: Values,
    pub(crate) env: Values,
    pub(crate) cases: Vec<Case>,
}

#[derive(Clone, Default)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: Values,
    pub(crate) files: Values,
    pub(crate) uid: Option<u32>,
    pub(crate) runs: Vec<String>,
    pub(crate) sets: Values,
    pub(crate) user: Option<String>,
    pub(crate) state: Vec<String>,
    pub(crate) writes: Values,
    pub(crate) modes: Values,
    pub(crate) owners: Values,
    pub(crate) by: Values,
    pub(crate) says: Vec<String>,
    pub(crate) lacks: Vec<String>,
    pub(crate) explains: Values,
    pub(crate) again: bool,
    pub(crate) each: Vec<String>,
    pub(crate) status: i32,
    pub(crate) open: bool,
}

/// A path below this directory.
pub(crate) fn directory(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/entrypoints").join(path)
}

impl Image {
    pub(crate) fn read(name: &str) -> Self {
        let directory = directory(name);
        let file = |file: &str| fs::read_to_string(directory.join(file)).unwrap();
        let mut image = Self { name: name.to_owned(), table: file("preverb.toml"), ..Self::default() };
        for entry in fs::read_dir(&directory).unwrap() {
            let hook = entry.unwrap().file_name().into_string().unwrap();
            if Path::new(&hook).extension().is_some_and(|end| end == "sh") {
                let text = file(&hook);
                image.hooks.push((hook, text));
            }
        }
        let text = file("cases.toml");
        let table = DeTable::parse(&text).unwrap_or_else(|error| panic!("{name}/cases.toml: {error}"));
        let mut short = Values::new();
        for (key, value) in table.get_ref() {
            let value = value.get_ref();
            match &**key.get_ref() {
                "roots" => image.roots = strings(value),
                "user" => image.user = Some(string(value)),
                "programs" => {
                    image.programs.extend(strings(value).into_iter().map(|name| (name, String::new())));
                }
                "stubs" => {
                    let stubs = values(value).into_iter();
                    image.programs.extend(stubs.map(|(name, lines)| (name, lines.unwrap())));
                }
                "answers" => image.answers = values(value),
                "files" => image.files = values(value),
                "env" => image.env = values(value),
                "short" => short = values(value),
                "cases" => {
                    let cases = value.as_table().unwrap().iter();
                    let cases = cases.map(|(name, case)| Case::of(name.get_ref(), case.get_ref()));
                    image.cases = cases.flat_map(Case::all).collect();
                }
                other => panic!("{name}/cases.toml: unknown key `{other}`"),
            }
        }
        for run in image.cases.iter_mut().flat_map(|case| &mut case.runs) {
            for (word, text) in &short {
                *run = run.replace(word, text.as_ref().unwrap());
            }
        }
        image
    }
}

impl Case {
    fn of(name: &str, table: &DeValue) -> Self {
        let mut case = Self { name: name.to_owned(), ..Self::default() };
        for (key, value) in table.as_table().unwrap() {
            let value = value.get_ref();
            match &**key.get_ref() {
                "args" => case.args = strings(value),
                "env" => case.env = values(value),
                "files" => case.files = values(value),
                "uid" => case.uid = Some(number(value)),
                "runs" => case.runs = strings(value),
                "sets" => case.sets = values(value),
                "user" => case.user = Some(string(value)),
                "state" => case.state = strings(value),
                "writes" => case.writes = values(value),
                "modes" => case.modes = values(value),
                "owners" => case.owners = values(value),
                "by" => case.by = values(value),
                "lacks" => case.lacks = strings(value),
                "explains" => case.explains = values(value),
                "each" => case.each = strings(value),
                "again" => case.again = value.as_bool().unwrap(),
                "says" => case.says = strings(value),
                "status" => case.status = number(value),
                "open" => case.open = !string(value).is_empty(),
                // Only for readers.
                "differs" => drop(string(value)),
                other => panic!("case `{name}`: unknown key `{other}`"),
            }
        }
        case
    }
}

impl Case {
    /// The case itself, or one for each word of `each`.
    fn all(self) -> Vec<Self> {
        if self.each.is_empty() {
            return vec![self];
        }
        let one = |word: &String| {
            let mut case = self.clone();
            case.name = format!("{} ({word})", case.name);
            for text in case.args.iter_mut().chain(&mut case.runs) {
                *text = text.replace("EACH", word);
            }
            case
        };
        self.each.iter().map(one).collect()
    }
}

fn string(value: &DeValue) -> String {
    value.as_str().unwrap_or_else(|| panic!("a string should be here: {value:?}")).to_owned()
}

fn strings(value: &DeValue) -> Vec<String> {
    value.as_array().unwrap().iter().map(|each| string(each.get_ref())).collect()
}

fn number<N: std::str::FromStr<Err: std::fmt::Debug>>(value: &DeValue) -> N {
    value.as_integer().unwrap().as_str().parse().unwrap()
}

fn values(value: &DeValue) -> Values {
    let one = |value: &DeValue| (value.as_bool() != Some(false)).then(|| string(value));
    let table = value.as_table().unwrap();
    table.iter().map(|(name, value)| (name.get_ref().to_string(), one(value.get_ref()))).collect()
}
