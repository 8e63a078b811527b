//! The schema for editors: it is up to date, and a real validator accepts valid tables and refuses invalid
//! ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::skip::lacks;
use crate::{PREVERB, blocks, generated, page, read, repository, shapes};

const SCHEMA: &str = "schema/preverb.json";

#[test]
fn the_schema_matches_the_keys_of_the_decoder() {
    let schema = shapes::schema();
    generated(SCHEMA, &(serde_json::to_string_pretty(&schema).unwrap() + "\n"));
}

#[test]
fn the_entry_for_schemastore_names_the_schema() {
    let json = |name: &str| serde_json::from_str::<serde_json::Value>(&read(name)).unwrap();
    let entry = json("schema/schemastore.json");
    assert_eq!(entry["url"], json(SCHEMA)["$id"]);
    assert_eq!(entry["fileMatch"], serde_json::json!(["preverb.toml", "**/preverb.d/*.toml"]));
}

/// The verdict of taplo, the validator that editors use, on these tables.
fn taplo(tables: &[PathBuf]) -> (bool, String) {
    let schema = format!("file://{}", repository(SCHEMA).display());
    // The user's own cache and configuration must not matter.
    let output = Command::new("taplo")
        .args(["check", "--no-auto-config", "--schema", &schema])
        .args(tables)
        .env("RUST_LOG", "error")
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn tables_of_the_examples() -> Vec<PathBuf> {
    let directories = ["examples", "tests/entrypoints"].into_iter();
    let examples = directories.flat_map(|directory| fs::read_dir(repository(directory)).unwrap());
    let tables = examples.map(|example| example.unwrap().path().join("preverb.toml"));
    tables.filter(|table| table.exists()).collect()
}

#[test]
fn a_validator_accepts_every_table_of_the_examples_and_the_documentation() {
    if lacks("taplo") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut tables = tables_of_the_examples();
    assert!(tables.len() >= 5, "{tables:?}");
    for page in &blocks::pages() {
        for block in page::blocks(page, &read(page)) {
            if block.language == "toml" && !block.text.starts_with("# broken.toml") {
                let path = directory.path().join(format!("{}-{}.toml", page.replace('/', "-"), block.line));
                fs::write(&path, block.text).unwrap();
                tables.push(path);
            }
        }
    }
    let (good, printed) = taplo(&tables);
    assert!(good, "{printed}");
}

/// Tables that preverb refuses for reasons that the file alone shows.
const BAD: [&str; 29] = [
    "nonsense = 1",
    "default = 1",
    "default = \"-x\"",
    "unknown = \"maybe\"",
    "leading-dash = \"exec\"",
    "log = \"loud\"",
    "umask = 27",
    "umask = \"9\"",
    "stop-signals = \"TERM\"",
    "[environment]\nname = \"x\"",
    "[env]\nA = 1",
    "[variables.A]\ntype = \"number\"",
    "[variables.\"1A\"]\nabout = \"x\"",
    "[variables.A]\nrequired = \"yes\"",
    "[verbs.a]\nexec = \"a b\"",
    "[verbs.a]\nexec = []",
    "[verbs.a]\nexec = [\"a\"]\nexce = []",
    "[verbs.a]\nexec = [\"a\"]\nlimits = { files = 1 }",
    "[verbs.a]\nexec = [\"a\"]\nlimits = { nofile = \"many\" }",
    "[verbs.a]\nexec = [\"a\"]\ncapabilities = [\"FLY\"]",
    "[verbs.a]\nexec = [\"a\"]\ninit = { grace = \"5\" }",
    "[verbs.a]\nexec = [\"a\"]\nhealth = \"a\"",
    "[[setup]]\nname = \"nothing\"",
    "[[setup]]\nrun = [\"a\"]\nhooks = \"/b\"",
    "[[setup]]\nrender = \"/a\"",
    "[[setup]]\nwait = \"tcp://a:1\"\nonce = \"/b\"",
    "[[setup]]\nmkdir = \"/a\"\ntimeout = \"5\"",
    "[environments.dev]\nuser = \"app\"",
    "[shim]\nimages = \"a\"",
];

#[test]
fn a_validator_refuses_what_preverb_refuses() {
    let there = !lacks("taplo");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("preverb.toml");
    let preverb = |words: &[&str]| {
        Command::new(PREVERB).arg("--table").arg(&path).args(words).output().unwrap().status.code()
    };
    for table in BAD {
        fs::write(&path, table).unwrap();
        let found = [&["--explain", "a"][..], &["--environment", "dev", "--explain", "--", "a"], &["--list"]]
            .map(preverb);
        assert!(found.contains(&Some(78)), "preverb takes it: {table}: {found:?}");
        if there {
            assert!(!taplo(&[Path::new(&path).to_owned()]).0, "the validator takes it: {table}");
        }
    }
}
