//! The steps that preverb does itself, `mkdir`, `render` and `chown`: where root is not led, what is not replaced, and
//! how they end.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use crate::dsl::{Output, Test};

/// A run of these steps, and then the target.
fn steps(steps: &str) -> Test {
    Test::new().table(format!("{steps}\n[verbs.a]\nexec = [\"echo\", \"the target\"]\n")).args(["a"])
}

/// Somebody's directory `theirs`, in which `theirs/link` leads to root's own `roots`.
fn planted(test: Test) -> Test {
    test.needs_root()
        .directory("roots", 0o755)
        .directory("theirs", 0o755)
        .link("theirs/link", "[DIR]/roots")
        .under_shell("chown -h 1000:1000 theirs theirs/link; exec \"$@\"")
}

fn exists(output: &Output, path: &str) -> bool {
    output.dir.path().join(path).symlink_metadata().is_ok()
}

// Where root is not led

#[test]
fn root_makes_no_directory_through_a_link_of_somebody_elses() {
    for user in ["", "user = \"root\"", "user = \"root:daemon\""] {
        planted(steps(&format!(
            "[[setup]]\nmkdir = \"[DIR]/theirs/link/new/below\"\nmode = \"0777\"\n{user}\n"
        )))
        .status(71)
        .stderr_contains("`[DIR]/theirs/link` is a symbolic link that others than root can have put there")
        .check(|output| assert!(!exists(output, "roots/new")))
        .run();
    }
    // What is theirs is a place for root's directories all the same.
    planted(steps("[[setup]]\nmkdir = \"[DIR]/theirs/new/below\"\nmode = \"0750\"\n"))
        .stdout("the target\n")
        .check(|output| {
            let below = output.dir.path().join("theirs/new/below").metadata().unwrap();
            assert_eq!((below.uid(), below.mode() & 0o7777), (0, 0o750));
        })
        .run();
}

#[test]
fn root_reads_no_template_through_a_link_of_somebody_elses() {
    let refused = "is a symbolic link that others than root can have put there";
    for (from, to) in [("theirs/shadow.template", "out/shadow"), ("theirs", "out")] {
        steps(&format!("[[setup]]\nrender = \"[DIR]/{from}\"\nto = \"[DIR]/{to}\"\n"))
            .needs_root()
            .file("shadow", "root's own\n", 0o600)
            .directory("out", 0o755)
            .link("theirs/shadow.template", "../shadow")
            .under_shell("chown -h 1000:1000 theirs theirs/shadow.template; exec \"$@\"")
            .status(71)
            .stderr(format!(
                "preverb: cannot read template `[DIR]/theirs/shadow.template`: `[DIR]/theirs/shadow.template` {refused}, and root follows none of those\n"
            ))
            .check(|output| assert!(!exists(output, "out/shadow")))
            .run();
    }
}

#[test]
fn a_config_map_of_templates_is_rendered() {
    steps("[[setup]]\nrender = \"[DIR]/map\"\nto = \"[DIR]/out\"\n")
        .directory("out", 0o755)
        .file("map/..1/a.conf.template", "${NAME}\n", 0o644)
        .link("map/..data", "..1")
        .link("map/a.conf.template", "..data/a.conf.template")
        .env("NAME", "world")
        .stdout("the target\n")
        .check(|output| assert_eq!(output.file("out/a.conf").unwrap(), b"world\n"))
        .pid1()
        .run();
}

// What is not replaced

#[test]
fn what_is_no_regular_file_is_not_rendered_over() {
    let render = |to: &str, make: &str| {
        steps(&format!("[[setup]]\nrender = \"[DIR]/from\"\nto = \"[DIR]/{to}\"\n"))
            .file("from", "new\n", 0o644)
            .under_shell(&format!("{make}; exec \"$@\""))
            .status(71)
    };
    let no_file = "preverb: cannot write `[DIR]/to`: it is no regular file\n";
    render("to", "mkfifo to")
        .stderr(no_file)
        .check(|output| {
            assert!(output.dir.path().join("to").symlink_metadata().unwrap().file_type().is_fifo());
        })
        .run();
    render("to", "mknod to c 1 3")
        .needs_root()
        .stderr(no_file)
        .check(|output| {
            assert!(output.dir.path().join("to").symlink_metadata().unwrap().file_type().is_char_device());
        })
        .run();
    // As `/dev/stderr` is made, wherever it leads.
    for target in ["[DIR]/pipe", "/proc/self/fd/2"] {
        render("to", "mkfifo pipe")
            .link("to", target)
            .stderr("preverb: cannot write `[DIR]/to`: it is a symbolic link to what is no regular file\n")
            .check(|output| {
                assert!(output.dir.path().join("to").symlink_metadata().unwrap().file_type().is_symlink());
            })
            .run();
    }
}

#[test]
fn every_variable_that_a_template_misses_is_told() {
    steps("[[setup]]\nrender = \"[DIR]/from\"\nto = \"[DIR]/to\"\n")
        .file("from", "${ONE}\n${TWO:?give it} ${ONE}\n${THREE-}${FOUR}\n", 0o644)
        .status(65)
        .stderr(
            "preverb: variable `ONE` is not set: line 1 of template `[DIR]/from` needs it\npreverb: variable `TWO` is not set: give it: line 2 of template `[DIR]/from` needs it\npreverb: variable `FOUR` is not set: line 3 of template `[DIR]/from` needs it\n",
        )
        .check(|output| assert!(!exists(output, "to")))
        .run();
}

// How they end

#[test]
fn each_of_them_keeps_to_its_timeout() {
    let many: Vec<String> = (0..3000).map(|number| format!("\"[DIR]/made/{number}\"")).collect();
    for (make, step, label) in [
        ("mkdir made", format!("mkdir = [{}]", many.join(", ")), "mkdir [..]"),
        (
            "mkdir out made; cd made; seq -f %g.template 3000 | xargs touch; cd ..",
            "render = \"[DIR]/made\"\nto = \"[DIR]/out\"".to_owned(),
            "render [DIR]/out",
        ),
    ] {
        steps(&format!("[[setup]]\n{step}\ntimeout = \"1ms\"\n"))
            .under_shell(&format!("{make}; exec \"$@\""))
            .status(71)
            .stderr(format!("preverb: step `{label}` took longer than its timeout of 1 ms\n"))
            .run();
    }
    steps("[[setup]]\nchown = \"[DIR]/made\"\nuser = \"daemon\"\ntimeout = \"1ms\"\n")
        .needs_root()
        .under_shell("mkdir made; cd made; seq 3000 | xargs touch; cd ..; exec \"$@\"")
        .status(71)
        .stderr("preverb: step `chown [DIR]/made` took longer than its timeout of 1 ms\n")
        .run();
}
