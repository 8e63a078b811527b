//! `examples/cli`: tools of an image that are used as if they were installed on the host.

use std::time::Duration;

use crate::examples::{Caller, example};
use crate::harness::{Output, engine, run};

const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn a_shim_runs_the_tool_as_its_caller() {
    let Some(engine) = engine() else { return };
    let image = example(engine, "cli");
    let caller = Caller::new();
    caller.shim(engine, &image, "jq", "jq");
    caller.file("people.json", r#"[{"name": "Ada Lovelace"}, {"name": "it's $HOME"}]"#);
    let jq = |words: &[&str], input: &str| -> Output {
        run(caller.command(engine, ".", "jq").args(words), input.as_bytes(), PATIENCE)
    };

    // A file of the current directory, and arguments that a careless script would split.
    let names = jq(&["-r", ".[].name", "people.json"], "").succeeded();
    assert_eq!(names.stdout, "Ada Lovelace\nit's $HOME\n");
    let words =
        ["-c", "-n", "--args", "$ARGS.positional", "two  blanks", "", "*", "a'b\"c", "$PATH", "x\n--help"];
    let passed = jq(&words, "").succeeded();
    assert_eq!(passed.stdout, "[\"two  blanks\",\"\",\"*\",\"a'b\\\"c\",\"$PATH\",\"x\\n--help\"]\n");

    // A pipe through it, and its exit code.
    assert_eq!(jq(&["-c", ".a"], r#"{"a": [1, 2]}"#).succeeded().stdout, "[1,2]\n");
    jq(&["-e", ".missing"], "{}").exited(1);
    let broken = jq(&["["], "{}").exited(3);
    assert!(broken.stderr.contains("compile error"), "{}", broken.stderr);
    assert_eq!(broken.stdout, "");
}

#[test]
fn files_that_a_tool_creates_belong_to_the_caller() {
    use std::os::unix::fs::MetadataExt;
    let Some(engine) = engine() else { return };
    let image = example(engine, "cli");
    let caller = Caller::new();
    // By its alias: the shim has the name that the caller asked for.
    caller.shim(engine, &image, "sqlite3", "sqlite3");
    let sqlite = |sql: &str| {
        let mut command = caller.command(engine, ".", "sqlite3");
        run(command.args(["my notes.db", sql]), b"", PATIENCE).succeeded().stdout
    };
    sqlite("CREATE TABLE notes (text); INSERT INTO notes VALUES ('kept');");
    let made = caller.home().join("my notes.db").metadata().unwrap();
    assert_eq!(made.uid(), caller.id());
    assert_eq!(sqlite("SELECT text FROM notes"), "kept\n");
}

#[test]
fn without_a_verb_the_tools_are_listed() {
    let Some(engine) = engine() else { return };
    let image = example(engine, "cli");
    let nothing = engine.run(&image).output().exited(64);
    for verb in ["jq", "sqlite"] {
        assert!(nothing.stderr.contains(verb), "{}", nothing.stderr);
    }
    assert_eq!(nothing.stdout, "");
    let unknown = engine.run(&image).args(["jg"]).output().exited(64);
    assert!(unknown.stderr.contains("`jg`") && unknown.stderr.contains("`jq`"), "{}", unknown.stderr);
    let list = engine.run(&image).args(["--list"]).output().succeeded();
    assert!(list.stdout.contains("Filter JSON"), "{}", list.stdout);
}
