//! Chapter 4 of the specification: the operators of expansions, and whole elements.

use crate::dsl::{Test, bytes, lacks};

fn run(table: &str, words: &[&str]) -> Test {
    Test::new().table(table).args(words)
}

#[test]
fn a_password_in_a_url_is_percent_encoded_and_an_address_is_not() {
    let table = r#"
        [env]
        URL = "postgres://app:${DB_PASSWORD@url}@${DB_HOST:-db}/app"
        [verbs.a]
        exec = ["printenv", "URL"]
    "#;
    run(table, &["a"])
        .env("DB_PASSWORD", "p@ss:w/rd?#%&$x é")
        .stdout("postgres://app:p%40ss%3Aw%2Frd%3F%23%25%26%24x%20%C3%A9@db/app\n")
        .run();
}

#[test]
fn the_sh_operator_quotes_a_value_as_one_shell_word() {
    let table = r#"
        [verbs.a]
        exec = ["sh", "-c", "printf '<%s>' ${NAME@sh:-admin}"]
    "#;
    for value in ["x; echo INJECTED", "O'Brien", "pa$$w0rd", "$(id) `id` \\ \" * ~\n#"] {
        run(table, &["a"]).env("NAME", value).stdout(format!("<{value}>")).run();
    }
    run(table, &["a"]).stdout("<admin>").run();
}

#[test]
fn the_json_operator_escapes_the_inside_of_a_string() {
    let table = r#"
        [verbs.a]
        exec = ["printf", "%s", '{"name": "${NAME@json}"}']
    "#;
    let value = "a \"b\" \\ \t\n é";
    run(table, &["a"])
        .env("NAME", value)
        .check(move |output| assert_eq!(output.json()["name"], value))
        .stdout_contains("name")
        .run();
    run(table, &["a"])
        .env("NAME", bytes(b"\xff"))
        .status(65)
        .stderr("preverb: `exec`: variable `NAME` is not UTF-8, which `@json` needs\n")
        .run();
}

#[test]
fn all_operators_but_words_work_in_templates() {
    let table = r#"
        [[setup]]
        render = "[DIR]/in"
        to = "[DIR]/out"
        [verbs.a]
        exec = ["cat", "[DIR]/out"]
    "#;
    run(table, &["a"])
        .file("in", "url=${X@url}\njson=\"${X@json}\"\nsh=${X@sh}\n", 0o644)
        .env("X", "a 'b\"")
        .stdout("url=a%20%27b%22\njson=\"a 'b\\\"\"\nsh='a '\\''b\"'\n")
        .run();
    run(table, &["a"]).file("in", "${X@words}\n", 0o644).status(78).stderr_contains("`@words`").run();
}

#[test]
fn the_words_operator_makes_any_number_of_arguments() {
    let table = r#"
        [verbs.a]
        exec = ["printf", "<%s>", "x", "${OPTIONS@words}", "y"]
        args = ["${MORE@words:-one 'two three'}"]
    "#;
    run(table, &["a"]).env("OPTIONS", "").stdout("<x><y><one><two three>").run();
    run(table, &["a"])
        .env("OPTIONS", " -Xmx1g\t\"-Dname=a b\"\n\\$x '' $(id) *")
        .env("MORE", "")
        .stdout("<x><-Xmx1g><-Dname=a b><$x><><$(id)><*><y><one><two three>")
        .run();
    run(table, &["a", "${X@words}"]).env("OPTIONS", "o").stdout("<x><o><y><${X@words}>").run();
    run(table, &["a"]).status(65).stderr("preverb: variable `OPTIONS` is not set: `exec` needs it\n").run();
    run(table, &["a"])
        .env("OPTIONS", "it's")
        .status(65)
        .stderr(
            "preverb: `exec`: variable `OPTIONS` has a quote that is not closed, so `@words` cannot split it\n",
        )
        .run();
}

#[test]
fn the_words_operator_is_only_valid_as_a_whole_element() {
    for element in ["x${O@words}", "${A:-${O@words}}"] {
        run(&format!("[verbs.a]\nexec = [\"echo\", \"{element}\"]\n"), &["a"])
            .status(78)
            .stderr_contains("`@words` must be a whole element of `exec`, `args`, `args-after` or `run`")
            .run();
    }
    run("[env]\nA = \"${O@words}\"\n[verbs.a]\nexec = [\"true\"]\n", &["a"])
        .status(78)
        .stderr_contains("`@words` must be a whole element")
        .run();
}

#[test]
fn each_word_of_a_secret_is_masked() {
    let table = r#"
        [variables.OPTIONS]
        secret = true
        [verbs.a]
        exec = ["echo", "${OPTIONS@words}"]
    "#;
    run(table, &["--explain", "a"])
        .env("OPTIONS", "hunter2 swordfish")
        .stdout_contains("target       echo *** ***\n")
        .stdout_lacks("hunter2")
        .run();
}

/// A table whose verb `a` shows the facts.
const FACTS: &str = "[verbs.a]\nexec = [\"echo\", \"${PREVERB_CPUS} ${PREVERB_MEMORY_MIB}\"]\n";

#[test]
fn machine_facts_are_expanded_but_are_not_variables() {
    let table = r#"
        [env]
        WORKERS = "${PREVERB_CPUS}"
        [verbs.a]
        exec = ["sh", "-c", 'test "$WORKERS" -ge 1 && env | grep PREVERB_CPUS; test ${PREVERB_MEMORY_MIB} -ge 16']
    "#;
    run(table, &["a"]).run();
    let inherited = run(table, &["a"]).env("PREVERB_CPUS", "none").stdout("PREVERB_CPUS=none\n");
    inherited.check(|output| assert_eq!(output.text(), "PREVERB_CPUS=none\n")).run();
    let one = run(FACTS, &["a"]).under(["taskset", "1"]);
    one.check(|output| assert!(output.text().starts_with("1 "))).stdout_contains("1 ").run();
    // A template can name them, too.
    let rendered =
        "[[setup]]\nrender = \"[DIR]/in\"\nto = \"[DIR]/out\"\n[verbs.a]\nexec = [\"cat\", \"[DIR]/out\"]\n";
    run(rendered, &["a"])
        .under(["taskset", "1"])
        .file("in", "workers ${PREVERB_CPUS};\n", 0o644)
        .stdout("workers 1;\n")
        .run();
}

#[test]
fn machine_facts_are_the_limits_of_the_control_group() {
    let own_mounts = |script: &str| {
        let script = format!(
            "mount -t tmpfs none /sys/fs/cgroup && cd /sys/fs/cgroup && {script} && cd \"$OLDPWD\" && exec \"$@\""
        );
        run(FACTS, &["a"]).needs_root().under(["unshare", "--mount", "sh", "-c", &script, "sh"])
    };
    own_mounts("echo 50000 100000 >cpu.max && echo 268435456 >memory.max").stdout("1 256\n").run();
    own_mounts("mkdir cpu memory && echo 90000 >cpu/cpu.cfs_quota_us && echo 100000 >cpu/cpu.cfs_period_us && echo 104857600 >memory/memory.limit_in_bytes")
        .stdout("1 100\n")
        .run();
    let bare = own_mounts("umount -l /sys");
    bare.check(|output| {
        let numbers: Vec<u64> =
            output.text().split_whitespace().map(|number| number.parse().unwrap()).collect();
        assert!(numbers[0] >= 1 && numbers[1] > 100, "{numbers:?}");
    })
    .stdout_contains(" ")
    .run();
}

#[test]
fn machine_facts_are_read_only_if_the_table_uses_them() {
    if lacks("strace") {
        return;
    }
    let trace =
        |table: &str| run(table, &["a"]).under(["strace", "-qq", "-o", "[DIR]/trace", "-e", "trace=%file"]);
    let seen = |output: &crate::dsl::Output| {
        String::from_utf8(output.file("trace").unwrap()).unwrap().contains("cgroup")
    };
    trace(FACTS).stdout_contains(" ").check(move |output| assert!(seen(output))).run();
    trace("[verbs.a]\nexec = [\"true\"]\n").check(move |output| assert!(!seen(output))).run();
}

#[test]
fn user_information_in_a_url_is_never_shown() {
    let table = r#"
        [env]
        COPY = "${DATABASE_URL}"
        [[setup]]
        wait = "${DATABASE_URL}"
        [verbs.a]
        exec = ["true", "--url=${DATABASE_URL}", "a@b"]
        args = ["jdbc:mysql://root:hunter2@db"]
    "#;
    run(table, &["--explain", "a"])
        .env("DATABASE_URL", "postgres://app:hunter2@db/app")
        .stdout_contains("COPY                = postgres://***@db/app")
        .stdout_contains("target       true --url=postgres://***@db/app a@b jdbc:mysql://***@db\n")
        .stdout_lacks("hunter2")
        .run();
    let typed = "[variables.PORT]\ntype = \"port\"\n[verbs.a]\nexec = [\"true\"]\n";
    run(typed, &["a"])
        .env("PORT", "http://u:hunter2@h")
        .status(65)
        .stderr("preverb: variable `PORT` is `http://***@h`, and must be a port from 1 to 65535\n")
        .run();
}
