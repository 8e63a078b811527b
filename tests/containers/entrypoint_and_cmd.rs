//! The table of the Docker documentation, "Understand how CMD and ENTRYPOINT interact", cell by cell,
//! with preverb as the entrypoint's program.

use crate::harness::{Context, Output, base, engine};

/// `show` prints its arguments; `p1_entry` and so on are the names in Docker's documentation.
const TABLE: &str = "default = 'show'\n\
                     [verbs.show]\nexec = ['printf', '[%s]']\nargs = ['default']\n";

/// Builds an image whose Dockerfile ends in `lines`, and runs it with `words` after its name.
#[track_caller]
fn run(lines: &str, words: &[&str]) -> Option<Output> {
    run_with(TABLE, lines, words)
}

#[track_caller]
fn run_with(table: &str, lines: &str, words: &[&str]) -> Option<Output> {
    let engine = engine()?;
    let dockerfile =
        format!("FROM {}\nENTRYPOINT []\nCOPY preverb.toml /etc/preverb/\n{lines}\n", base().tag());
    let image = Context::new().file("preverb.toml", table).build(engine, &dockerfile);
    Some(engine.run(&image).args(words).output())
}

#[track_caller]
fn prints(lines: &str, words: &[&str], expected: &str) {
    if let Some(output) = run(lines, words) {
        assert_eq!(output.succeeded().stdout, expected);
    }
}

#[test]
fn without_entrypoint_and_cmd_the_engine_reports_an_error() {
    if let Some(output) = run("", &[]) {
        output.exited(125);
    }
}

#[test]
fn no_entrypoint_and_an_exec_form_cmd() {
    prints(r#"CMD ["preverb", "show", "p1_cmd"]"#, &[], "[p1_cmd]");
}

#[test]
fn no_entrypoint_and_a_shell_form_cmd() {
    prints("CMD preverb show p1_cmd", &[], "[p1_cmd]");
}

#[test]
fn a_shell_form_entrypoint_and_no_cmd() {
    prints("ENTRYPOINT preverb show p1_entry", &[], "[p1_entry]");
}

#[test]
fn a_shell_form_entrypoint_ignores_an_exec_form_cmd() {
    let lines = "ENTRYPOINT preverb show p1_entry\nCMD [\"exec_cmd\", \"p1_cmd\"]";
    prints(lines, &[], "[p1_entry]");
}

#[test]
fn a_shell_form_entrypoint_ignores_a_shell_form_cmd() {
    let lines = "ENTRYPOINT preverb show p1_entry\nCMD exec_cmd p1_cmd";
    prints(lines, &[], "[p1_entry]");
}

#[test]
fn an_exec_form_entrypoint_and_no_cmd() {
    let lines = r#"ENTRYPOINT ["preverb", "show", "p1_entry"]"#;
    prints(lines, &[], "[p1_entry]");
}

#[test]
fn an_exec_form_entrypoint_and_an_exec_form_cmd() {
    let lines = "ENTRYPOINT [\"preverb\", \"show\", \"p1_entry\"]\nCMD [\"exec_cmd\", \"p1_cmd\"]";
    prints(lines, &[], "[p1_entry][exec_cmd][p1_cmd]");
}

#[test]
fn an_exec_form_entrypoint_and_a_shell_form_cmd() {
    let lines = "ENTRYPOINT [\"preverb\", \"show\", \"p1_entry\"]\nCMD exec_cmd p1_cmd";
    prints(lines, &[], "[p1_entry][/bin/sh][-c][exec_cmd p1_cmd]");
}

#[test]
fn an_entrypoint_without_a_verb_runs_the_default_verb() {
    prints(r#"ENTRYPOINT ["preverb"]"#, &[], "[default]");
}

#[test]
fn an_entrypoint_without_a_verb_takes_it_from_cmd() {
    let lines = "ENTRYPOINT [\"preverb\"]\nCMD [\"show\", \"p1_cmd\"]";
    prints(lines, &[], "[p1_cmd]");
}

#[test]
fn the_callers_arguments_replace_cmd() {
    let lines = "ENTRYPOINT [\"preverb\"]\nCMD [\"show\", \"p1_cmd\"]";
    prints(lines, &["show", "p1_caller"], "[p1_caller]");
}

#[test]
fn an_entrypoint_without_a_verb_refuses_a_shell_form_cmd_and_lists_the_verbs() {
    let lines = "ENTRYPOINT [\"preverb\"]\nCMD show p1_cmd";
    if let Some(output) = run(lines, &[]) {
        let output = output.exited(64);
        assert!(output.stderr.contains("`/bin/sh`"), "{}", output.stderr);
        assert!(output.stderr.contains("show"), "{}", output.stderr);
    }
}

#[test]
fn an_entrypoint_without_a_verb_runs_a_shell_form_cmd_if_the_table_allows_it() {
    let table = format!("unknown = 'exec'\n{TABLE}");
    let lines = "ENTRYPOINT [\"preverb\"]\nCMD printf '<%s>' \"$PREVERB_ENVIRONMENT\"";
    if let Some(output) = run_with(&table, lines, &[]) {
        assert_eq!(output.succeeded().stdout, "<prod>");
    }
}

#[test]
fn a_leading_dash_reaches_the_default_verb_if_the_table_allows_it() {
    let table = format!("leading-dash = 'default'\n{TABLE}");
    let lines = "ENTRYPOINT [\"preverb\"]\nCMD [\"show\"]";
    for words in [&["-c", "x=1"], &["--help", "me"]] {
        if let Some(output) = run_with(&table, lines, words) {
            let expected = format!("[{}][{}]", words[0], words[1]);
            assert_eq!(output.succeeded().stdout, expected);
        }
    }
}

#[test]
fn a_link_named_after_a_verb_can_be_the_entrypoint() {
    let lines = "RUN ln -s preverb /usr/local/bin/show\nENTRYPOINT [\"show\"]\nCMD [\"show\"]";
    prints(lines, &[], "[show]");
}
