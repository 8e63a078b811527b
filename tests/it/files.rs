//! The steps that preverb performs itself, `mkdir`, `render` and `chown`: links that root does not follow,
//! files that are not replaced, and timeouts.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use crate::dsl::{Output, Test};

/// A run of these steps, and then the target.
fn steps(steps: &str) -> Test {
    Test::new().table(format!("{steps}\n[verbs.a]\nexec = [\"echo\", \"the target\"]\n")).args(["a"])
}

/// Another user's directory `theirs`, in which `theirs/link` leads to root's own `roots`.
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

// Links that root does not follow

#[test]
fn root_creates_no_directory_through_another_users_link() {
    for user in ["", "user = \"root\"", "user = \"root:daemon\""] {
        planted(steps(&format!(
            "[[setup]]\nmkdir = \"[DIR]/theirs/link/new/below\"\nmode = \"0777\"\n{user}\n"
        )))
        .status(71)
        .stderr_contains(
            "`[DIR]/theirs/link` is a symbolic link that users other than root could have created",
        )
        .check(|output| assert!(!exists(output, "roots/new")))
        .run();
    }
    // A user's directory can still hold root's directories.
    planted(steps("[[setup]]\nmkdir = \"[DIR]/theirs/new/below\"\nmode = \"0750\"\n"))
        .stdout("the target\n")
        .check(|output| {
            let below = output.dir.path().join("theirs/new/below").metadata().unwrap();
            assert_eq!((below.uid(), below.mode() & 0o7777), (0, 0o750));
        })
        .run();
}

#[test]
fn root_reads_no_template_through_another_users_link() {
    let refused = "is a symbolic link that users other than root could have created";
    for (from, to) in [("theirs/shadow.template", "out/shadow"), ("theirs", "out")] {
        steps(&format!("[[setup]]\nrender = \"[DIR]/{from}\"\nto = \"[DIR]/{to}\"\n"))
            .needs_root()
            .file("shadow", "root's own\n", 0o600)
            .directory("out", 0o755)
            .link("theirs/shadow.template", "../shadow")
            .under_shell("chown -h 1000:1000 theirs theirs/shadow.template; exec \"$@\"")
            .status(71)
            .stderr(format!(
                "preverb: cannot read template `[DIR]/theirs/shadow.template`: `[DIR]/theirs/shadow.template` {refused}, and root does not follow such links\n"
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

// Files that are not replaced

#[test]
fn a_template_replaces_only_regular_files() {
    let render = |to: &str, make: &str| {
        steps(&format!("[[setup]]\nrender = \"[DIR]/from\"\nto = \"[DIR]/{to}\"\n"))
            .file("from", "new\n", 0o644)
            .under_shell(&format!("{make}; exec \"$@\""))
            .status(71)
    };
    let no_file = "preverb: cannot write `[DIR]/to`: it is not a regular file\n";
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
            .stderr("preverb: cannot write `[DIR]/to`: it is a symbolic link to something that is not a regular file\n")
            .check(|output| {
                assert!(output.dir.path().join("to").symlink_metadata().unwrap().file_type().is_symlink());
            })
            .run();
    }
}

#[test]
fn every_unset_variable_of_a_template_is_reported() {
    steps("[[setup]]\nrender = \"[DIR]/from\"\nto = \"[DIR]/to\"\n")
        .file("from", "${ONE}\n${TWO:?give it} ${ONE}\n${THREE-}${FOUR}\n", 0o644)
        .status(65)
        .stderr(
            "preverb: variable `ONE` is not set: line 1 of template `[DIR]/from` needs it\npreverb: variable `TWO` is not set: give it: line 2 of template `[DIR]/from` needs it\npreverb: variable `FOUR` is not set: line 3 of template `[DIR]/from` needs it\nhint: a literal `${` is written `$${`; `only` names the variables that the step expands, and leaves all others\n",
        )
        .check(|output| assert!(!exists(output, "to")))
        .run();
}

// Rendered files

#[test]
fn a_tree_is_rendered_with_its_subdirectories() {
    let tree = |step: &str| {
        steps(&format!("[[setup]]\nrender = \"[DIR]/in\"\nto = \"[DIR]/etc/out\"\n{step}\n"))
            .file("in/a.conf.template", "${NAME}\n", 0o644)
            .file("in/sub/b.conf.template", "${NAME} $host\n", 0o644)
            .file("in/sub/deep/c.stream-template", "stream ${NAME}\n", 0o644)
            .file("in/sub/plain.conf", "${NOT_SET}\n", 0o644)
            .file("in/.hidden/d.template", "${NOT_SET}\n", 0o644)
            .file("in/..data/e.template", "${NOT_SET}\n", 0o644)
            .file("in/.env.template", "NAME=${NAME}\n", 0o644)
            .env("NAME", "world")
            .stdout("the target\n")
    };
    tree("")
        .check(|output| {
            assert_eq!(output.file("etc/out/a.conf").unwrap(), b"world\n");
            assert_eq!(output.file("etc/out/sub/b.conf").unwrap(), b"world $host\n");
            assert_eq!(output.file("etc/out/.env").unwrap(), b"NAME=world\n");
            // No directory that nothing is rendered into.
            assert!(!exists(output, "etc/out/sub/deep") && !exists(output, "etc/out/.hidden"));
        })
        .run();
    tree("suffix = \"${SUFFIX:-.stream-template}\"")
        .check(|output| {
            assert_eq!(output.file("etc/out/sub/deep/c").unwrap(), b"stream world\n");
            assert!(!exists(output, "etc/out/a.conf"));
        })
        .run();
}

#[test]
fn a_linked_directory_of_templates_is_entered_once() {
    let tree = || {
        steps("[[setup]]\nrender = \"[DIR]/in\"\nto = \"[DIR]/out\"\n")
            .file("in/..1/sub/a.template", "a\n", 0o644)
            .link("in/..data", "..1")
            .link("in/sub", "..data/sub")
    };
    tree().stdout("the target\n").check(|output| assert_eq!(output.file("out/sub/a").unwrap(), b"a\n")).run();
    tree()
        .link("in/..1/sub/back", "..")
        .link("in/..1/again", "..")
        .status(71)
        .stderr(
            "preverb: cannot read template `[DIR]/in/sub/back/again`: too many symbolic links encountered\n",
        )
        .run();
}

#[test]
fn rendered_subdirectories_belong_to_the_user() {
    steps("[[setup]]\nrender = \"[DIR]/in\"\nto = \"[DIR]/theirs/out\"\nuser = \"daemon\"\n")
        .needs_root()
        .file("in/sub/a.template", "a\n", 0o644)
        .directory("theirs", 0o755)
        .under_shell("chown daemon theirs; exec \"$@\"")
        .stdout("the target\n")
        .check(|output| {
            for path in ["theirs/out", "theirs/out/sub", "theirs/out/sub/a"] {
                assert_eq!(output.dir.path().join(path).metadata().unwrap().uid(), 1, "{path}");
            }
        })
        .run();
    // Root makes no directory through another user's link.
    planted(steps("[[setup]]\nrender = \"[DIR]/in\"\nto = \"[DIR]/theirs/link\"\n"))
        .file("in/sub/a.template", "a\n", 0o644)
        .status(71)
        .stderr_contains("and root does not follow such links\n")
        .check(|output| assert!(!exists(output, "roots/sub")))
        .run();
}

#[test]
fn a_template_can_leave_other_variables_unexpanded() {
    let template = |keys: &str| {
        steps(&format!("[[setup]]\nrender = \"[DIR]/in\"\nto = \"[DIR]/out\"\n{keys}\n"))
            .file("in", "${PORT} ${NGINX_HOST} ${request_time} ${1} $${PORT} ${PORT_:-d}\n", 0o644)
            .env("PORT", "80")
            .env("NGINX_HOST", "host")
    };
    for only in ["[\"NGINX_*\", \"PORT\"]", "[\"${NAMES:-NGINX_*}\", \"PORT\"]"] {
        template(&format!("only = {only}"))
            .stdout("the target\n")
            .check(|output| {
                let expected = b"80 host ${request_time} ${1} ${PORT} ${PORT_:-d}\n";
                assert_eq!(output.file("out").unwrap(), expected);
            })
            .run();
    }
    let hint = "hint: a literal `${` is written `$${`; `only` names the variables that the step expands, and leaves all others\n";
    template("only = \"request_*\"")
        .status(65)
        .stderr(format!(
            "preverb: variable `request_time` is not set: line 1 of template `[DIR]/in` needs it\n{hint}"
        ))
        .check(|output| assert!(!exists(output, "out")))
        .run();
    template("keep-unset = true")
        .status(78)
        .stderr(format!("preverb: [DIR]/in:1: `${{1}}` does not name a variable\n{hint}"))
        .run();
    template("only = [\"*\"]\nkeep-unset = true")
        .stdout("the target\n")
        .check(|output| {
            let expected = b"80 host ${request_time} ${1} ${PORT} d\n";
            assert_eq!(output.file("out").unwrap(), expected);
        })
        .run();
}

#[test]
fn a_missing_source_is_skipped_if_a_slash_marks_a_directory() {
    let render = |from: &str, to: &str| {
        steps(&format!("[[setup]]\nrender = \"[DIR]/{from}\"\nto = \"[DIR]/{to}\"\n"))
            .file("file", "text\n", 0o644)
    };
    render("none", "out")
        .status(71)
        .stderr("preverb: cannot read template `[DIR]/none`: it does not exist\n")
        .run();
    for (from, to) in [("none/", "out"), ("none", "out/"), ("none/below/", "out/")] {
        render(from, to).stdout("the target\n").check(|output| assert!(!exists(output, "out"))).run();
    }
    render("file/", "out").status(71).stderr_contains("cannot read template `[DIR]/file/`: ").run();
    render("file", "out/")
        .status(71)
        .stderr("preverb: cannot write `[DIR]/out/`: `[DIR]/file` is a file\nhint: `to` ends in a slash, so the template must be a directory\n")
        .run();
}

#[test]
fn explain_and_check_know_the_keys_of_render() {
    let table = |keys: &str| {
        Test::new().table(format!(
            "[[setup]]\nrender = \"[DIR]/in/\"\nto = \"[DIR]\"\n{keys}\n[verbs.a]\nexec = [\"true\"]\n"
        ))
    };
    table("only = [\"A\", \"B_*\"]\nkeep-unset = true")
        .args(["--explain", "a"])
        .stdout_contains("only A, B_*\n")
        .stdout_contains("unset variables stay\n")
        .any_stderr()
        .run();
    let checked = |keys: &str| {
        table(keys).file("in/sub/a.tpl", "${A} ${other} ${\n", 0o644).args(["--check"]).any_stdout()
    };
    checked("suffix = \".tpl\"\nonly = [\"A\"]")
        .stderr_contains("line 1 of template `[DIR]/in/sub/a.tpl`: variable `A` is not declared")
        .stderr_lacks("other")
        .run();
    checked("suffix = \".tpl\"").status(78).stderr_contains("variable `other` is not declared").run();
    checked("").stderr_contains("there is no `*.template` in `[DIR]/in/`").run();
    checked("suffix = \"\"").status(78).stderr_contains("`suffix` must be the end of a file name").run();
    checked("only = []").status(78).stderr_contains("`only` is empty").run();
}

#[test]
fn chown_skips_a_hard_linked_file_of_another_user() {
    steps("[[setup]]\nchown = \"[DIR]/tree\"\nuser = \"daemon\"\n")
        .needs_root()
        .directory("tree", 0o755)
        .file("secret", "", 0o600)
        .under_shell("ln secret tree/name; exec \"$@\"")
        .stdout("the target\n")
        .stderr_contains(
            "warning: step `chown [DIR]/tree` skips `[DIR]/tree/name`: it has other names (hard links)",
        )
        .check(|output| {
            let owner = |path: &str| output.dir.path().join(path).metadata().unwrap().uid();
            assert_eq!(owner("secret"), 0);
            assert_ne!(owner("tree"), 0);
        })
        .run();
}

// How they end

#[test]
fn mkdir_render_and_chown_respect_their_timeout() {
    let many: Vec<String> = (0..3000).map(|number| format!("\"[DIR]/made/{number}\"")).collect();
    for (make, step, label) in [
        ("mkdir made", format!("mkdir = [{}]", many.join(", ")), "mkdir [..]"),
        (
            "mkdir out made; cd made; seq -f %g.template 3000 | xargs touch; cd ..",
            "render = \"[DIR]/made\"\nto = \"[DIR]/out\"".to_owned(),
            "render [DIR]/made",
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
