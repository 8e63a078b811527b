//! Drop-ins that change the steps of their base: `replace`, `remove`, `before` (preverb.toml(5), STEPS).

use crate::dsl::Test;

/// Three named steps that write their names, in a table whose verb has nothing to do.
const BASE: &str = r#"
[verbs.v]
exec = ["true"]
[[setup]]
name = "one"
run = ["echo", "ran 1"]
[[setup]]
name = "two"
run = ["echo", "ran 2"]
[[setup]]
run = ["echo", "ran unnamed"]
[[setup]]
name = "three"
run = ["echo", "ran 3"]
"#;

/// A step of a drop-in: it writes a word.
fn step(keys: &str, word: &str) -> String {
    format!("[[setup]]\n{keys}\nrun = [\"echo\", \"ran {word}\"]\n")
}

/// The steps that ran, by the words that they wrote, in order.
#[track_caller]
fn runs(drop_ins: &[&str], expected: &str) {
    let mut test = Test::new().table(BASE).args(["v"]);
    for (number, text) in drop_ins.iter().enumerate() {
        test = test.drop_in(&format!("{number}.toml"), text);
    }
    let expected = expected.to_owned();
    test.any_stderr()
        .check(move |output| {
            let lines = output.messages().lines().filter_map(|line| line.strip_prefix("ran "));
            assert_eq!(lines.collect::<Vec<_>>().join(" "), expected, "{}", output.messages());
        })
        .run();
}

/// Expects this error of a drop-in, at this place, from a run and from `--check`.
#[track_caller]
fn wrong(drop_in: &str, place: &str, says: &str) {
    let place = format!("[DIR]/preverb.d/1.toml:{place}: ");
    for words in [["v"], ["--check"]] {
        let test = Test::new().table(BASE).drop_in("1.toml", drop_in).args(words).status(78);
        test.stderr_contains(&place).stderr_contains(says).run();
    }
}

#[test]
fn steps_of_a_drop_in_come_after_those_of_the_table() {
    runs(&[&step("name = \"four\"", "4")], "1 2 unnamed 3 4");
}

#[test]
fn a_step_can_replace_another() {
    let replaced = "[[setup]]\nname = \"two\"\nreplace = true\nmkdir = \"[DIR]/made\"\n";
    runs(&[&step("name = \"two\"\nreplace = true", "2b")], "1 2b unnamed 3");
    runs(&[replaced], "1 unnamed 3");
}

#[test]
fn a_step_can_be_removed() {
    runs(&["[[setup]]\nname = \"two\"\nremove = true\n"], "1 unnamed 3");
    runs(&["setup = [{ name = \"one\", remove = true }, { name = \"three\", remove = true }]"], "2 unnamed");
}

#[test]
fn a_step_can_be_put_before_another() {
    runs(&[&step("before = \"one\"", "0")], "0 1 2 unnamed 3");
    runs(&[&(step("before = \"three\"", "a") + &step("before = \"three\"", "b"))], "1 2 unnamed a b 3");
    runs(
        &[&(step("before = \"two\"\nname = \"x\"", "x") + &step("before = \"x\"", "y"))],
        "1 y x 2 unnamed 3",
    );
}

#[test]
fn each_drop_in_changes_the_steps_of_earlier_files() {
    let added = step("name = \"four\"\nbefore = \"one\"", "4");
    runs(&[&added, &step("name = \"four\"\nreplace = true", "4b")], "4b 1 2 unnamed 3");
    runs(&[&added, "[[setup]]\nname = \"four\"\nremove = true\n"], "1 2 unnamed 3");
    // The name of a removed step can be used again.
    let removed = "[[setup]]\nname = \"one\"\nremove = true\n";
    runs(&[removed, &step("name = \"one\"", "1b")], "2 unnamed 3 1b");
}

#[test]
fn drop_ins_also_change_the_steps_of_verbs_and_environments() {
    let table = r#"
        [verbs.v]
        exec = ["true"]
        [[verbs.v.setup]]
        name = "a"
        run = ["echo", "ran a"]
        [[environments.prod.setup]]
        name = "a"
        run = ["echo", "ran of the environment"]
        [[environments.prod.verbs.v.setup]]
        name = "a"
        run = ["echo", "ran of both"]
    "#;
    let drop_in = r#"
        [[verbs.v.setup]]
        name = "a"
        replace = true
        run = ["echo", "ran b"]
        [[environments.prod.setup]]
        name = "a"
        remove = true
        [[environments.prod.verbs.v.setup]]
        before = "a"
        run = ["echo", "ran before"]
    "#;
    Test::new()
        .table(table)
        .drop_in("1.toml", drop_in)
        .args(["v"])
        .any_stderr()
        .check(|output| {
            let lines: Vec<_> = output.messages().lines().filter(|line| line.starts_with("ran ")).collect();
            assert_eq!(lines, ["ran b", "ran before", "ran of both"]);
        })
        .run();
}

#[test]
fn changing_a_step_that_does_not_exist_is_an_error() {
    wrong(
        "[[setup]]\nname = \"tow\"\nremove = true\n",
        "2:8",
        "no earlier step of this list is called `tow`",
    );
    wrong("[[setup]]\nname = \"tow\"\nremove = true\n", "2:8", "hint: did you mean `two`?");
    wrong(&step("name = \"x\"\nreplace = true", "x"), "2:8", "no earlier step of this list is called `x`");
    wrong(&step("before = \"x\"", "x"), "2:10", "no earlier step of this list is called `x`");
    // The steps of a group are not in the list.
    let group = "[[setup]]\nname = \"g\"\nsetup = [{ name = \"inner\", run = [\"true\"] }]\n";
    wrong(&(group.to_owned() + &step("before = \"inner\"", "x")), "5:10", "called `inner`");
}

#[test]
fn reusing_the_name_of_an_earlier_step_needs_replace() {
    wrong(&step("name = \"two\"", "x"), "2:8", "a step of an earlier file is called `two`");
    wrong(&step("name = \"two\"\nbefore = \"one\"", "x"), "2:8", "a step of an earlier file is called `two`");
}

#[test]
fn two_steps_of_a_list_cannot_share_a_name() {
    let twice = step("name = \"x\"", "1") + &step("name = \"x\"", "2");
    wrong(&twice, "5:8", "another step of this list is called `x`");
    let replaced = step("name = \"two\"\nreplace = true", "1") + &step("name = \"two\"\nreplace = true", "2");
    wrong(&replaced, "6:8", "another step of this list is called `two`");
    // In the table, and in a group of it, too.
    for list in ["setup", "verbs.v.setup"] {
        let named = format!("[[{list}]]\nname = \"x\"\nrun = [\"true\"]\n");
        let table = format!("[verbs.v]\nexec = [\"true\"]\n{named}{named}");
        let test = Test::new().table(table).args(["v"]).status(78);
        test.stderr_contains("[DIR]/preverb.toml:7:8: another step of this list is called `x`").run();
    }
    let group =
        "[[setup]]\nsetup = [{ name = \"x\", run = [\"true\"] }, { name = \"x\", run = [\"true\"] }]\n";
    let test = Test::new().table(format!("{group}[verbs.v]\nexec = [\"true\"]\n")).args(["v"]).status(78);
    test.stderr_contains("another step of this list is called `x`").run();
}

#[test]
fn a_step_can_only_replace_remove_or_precede() {
    let says = "`replace` and `remove` exclude each other";
    wrong("[[setup]]\nname = \"two\"\nreplace = true\nremove = true\n", "4:10", says);
    let says = "`replace` and `before` exclude each other";
    wrong(&step("name = \"two\"\nreplace = true\nbefore = \"one\"", "x"), "4:10", says);
}

#[test]
fn a_change_needs_a_name_and_a_removal_allows_nothing_else() {
    wrong(&step("replace = true", "x"), "2:11", "`replace` needs the `name` of a step");
    wrong("[[setup]]\nremove = true\n", "2:10", "`remove` needs the `name` of a step");
    wrong(&step("name = \"two\"\nremove = true", "x"), "4:1", "a step with `remove` has only a `name`");
}

#[test]
fn replace_remove_and_before_are_only_valid_in_a_drop_in() {
    let check = |setup: &str, place: &str, key: &str| {
        let table = format!("{setup}[verbs.v]\nexec = [\"true\"]\n");
        let says = format!("{key} is only valid in a drop-in, where it changes the list of an earlier file");
        for words in [["v"], ["--check"]] {
            let test = Test::new().table(&table).args(words).status(78);
            test.stderr_contains(format!("[DIR]/preverb.toml:{place}: ")).stderr_contains(&says).run();
        }
    };
    check(&step("name = \"x\"\nreplace = true", "x"), "3:11", "`replace`");
    check("[[setup]]\nname = \"x\"\nremove = true\n", "3:10", "`remove`");
    check(&step("before = \"x\"", "x"), "2:10", "`before`");
    let group =
        "[[setup]]\nsetup = [{ name = \"x\", run = [\"true\"] }, { before = \"x\", run = [\"true\"] }]\n";
    wrong(group, "2:53", "`before` is only valid in a drop-in");
}

#[test]
fn an_error_in_the_steps_of_another_verb_does_not_stop_a_run() {
    let table = "[verbs.v]\nexec = [\"true\"]\n[verbs.w]\nexec = [\"true\"]\n";
    let drop_in = "[[verbs.w.setup]]\nname = \"x\"\nremove = true\n";
    Test::new().table(table).drop_in("1.toml", drop_in).args(["v"]).run();
    let test = || Test::new().table(table).drop_in("1.toml", drop_in).status(78);
    test().args(["w"]).stderr_contains("called `x`").run();
    test().args(["--check"]).stderr_contains("called `x`").run();
}

#[test]
fn explain_and_check_see_the_changed_list_of_steps() {
    let drop_in = "[[setup]]\nname = \"two\"\nreplace = true\nenvironments = [\"nowhere\"]\nmkdir = \"/x\"\n\
                   [[setup]]\nname = \"one\"\nremove = true\n";
    Test::new()
        .table(BASE)
        .drop_in("1.toml", drop_in)
        .args(["--explain", "v"])
        .any_stderr()
        .stdout_contains("two")
        .stdout_contains("nowhere")
        .stdout_lacks("ran 1")
        .stdout_lacks("ran 2")
        .stdout_contains("ran 3")
        .any_stdout()
        .run();
    // A removed step is not checked, and mentions no environment.
    let table = "[[setup]]\nname = \"gone\"\nrun = [\"/no/such/program\"]\nenvironments = [\"prod\"]\n\
                 [verbs.v]\nexec = [\"true\"]\n";
    let removed = "[[setup]]\nname = \"gone\"\nremove = true\n";
    Test::new().table(table).drop_in("1.toml", removed).args(["--check"]).run();
    let test = Test::new().table(table).drop_in("1.toml", removed).args(["v"]);
    test.env("APP_ENV", "production").run();
}
