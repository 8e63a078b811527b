//! `--check`, from chapter 10 of the specification: well-formed text that is probably a mistake. Each finding
//! has a correct twin without a finding.

use crate::dsl::Test;

fn check(table: &str) -> Test {
    Test::new().table(table).args(["--check"])
}

/// Of these two tables only the first one has this warning.
#[track_caller]
fn twins(wrong: &str, warning: &str, right: &str) {
    check(wrong).stderr_contains(format!("preverb: warning: [DIR]/preverb.toml:{warning}\n")).run();
    check(wrong).args(["--strict"]).status(78).any_stderr().run();
    check(right).args(["--strict"]).run();
}

#[test]
fn check_warns_of_a_dollar_without_braces_outside_a_shell() {
    let bare = "`$HOME` is not expanded: no shell reads it here";
    let verb = |exec: &str| format!("[verbs.a]\nexec = {exec}\n");
    twins(&verb(r#"["true", "$HOME/x"]"#), &format!("2:17: {bare}"), &verb(r#"["true", "${HOME}/x"]"#));
    let args = |args: &str| format!("[verbs.a]\nexec = [\"true\"]\nargs = {args}\n");
    twins(&args(r#"["$HOME"]"#), &format!("3:9: {bare}"), &args(r#"["${HOME}", "$1", "a$"]"#));
    let env = |value: &str| format!("[env]\nX = '{value}'\n[verbs.a]\nexec = [\"true\"]\n");
    twins(&env("$HOME/bin"), &format!("2:5: {bare}"), &env("${HOME}/bin"));
    // Some programs read a `$` in their own way.
    check(&verb(r#"["sh", "-c", 'echo "$HOME"']"#)).run();
    check(&verb(r#"["sed", "s/x$HOME/y/"]"#)).run();
    // A declared name is known to be a variable.
    let declared = |name: &str| {
        format!("[variables.app_name]\ndefault = \"x\"\n[env]\nX = '${name}'\n[verbs.a]\nexec = [\"true\"]\n")
    };
    twins(
        &declared("app_name"),
        "4:5: `$app_name` is not expanded: no shell reads it here",
        &declared("remote_addr"),
    );
}

#[test]
fn check_warns_of_a_value_expanded_into_shell_code() {
    let verb = |text: &str| format!("[verbs.a]\nexec = [\"sh\", \"-c\", '{text}']\n");
    let pasted = "2:21: `${NAME}` is pasted into the program text of a shell";
    twins(&verb("echo ${NAME:-admin}"), pasted, &verb("echo ${NAME@sh:-admin}"));
    twins(
        &verb("echo \"${NAME@sh:-}\""),
        &pasted.replace("into the", "into quotes in the"),
        &verb("echo \"$NAME\""),
    );
    twins(&verb("x=${NAME@url:-}"), pasted, &verb("x=${NAME:+set}"));
    let split = |text: &str| format!("[verbs.a]\nexec = [\"sh\", \"-ec\"]\nargs = ['{text}']\n");
    twins(
        &split("echo ${NAME:-}"),
        "3:9: `${NAME}` is pasted into the program text of a shell",
        &split("echo ok"),
    );
    let step =
        |text: &str| format!("[[setup]]\nrun = [\"sh\", \"-c\", '{text}']\n[verbs.a]\nexec = [\"true\"]\n");
    twins(
        &step("echo ${NAME:-}"),
        "2:20: `${NAME}` is pasted into the program text of a shell",
        &step("echo \"$NAME\" ${PREVERB_ENVIRONMENT}"),
    );
    let health = |text: &str| {
        format!("[verbs.a]\nexec = [\"true\"]\nhealth = {{ exec = [\"sh\", \"-c\", '{text}'] }}\n")
    };
    twins(
        &health("echo ${NAME:-}"),
        "3:32: `${NAME}` is pasted into the program text of a shell",
        &health("echo \"$NAME\""),
    );
}

#[test]
fn check_warns_of_an_unencoded_secret_in_a_url() {
    let declared =
        "[variables.DB_PASSWORD]\nsecret = true\nrequired = true\n[variables.HOST]\ndefault = \"db\"\n";
    let table = |value: &str| format!("{declared}[env]\nURL = \"{value}\"\n[verbs.a]\nexec = [\"true\"]\n");
    let warning =
        "7:7: secret `DB_PASSWORD` is put into a URL unescaped: `@`, `/`, `#` or `%` in it changes the URL";
    twins(
        &table("postgres://app:${DB_PASSWORD}@${HOST}/app"),
        warning,
        &table("postgres://app:${DB_PASSWORD@url}@${HOST}/app"),
    );
    check(&table("token=${DB_PASSWORD}")).args(["--strict"]).run();
    let step = |value: &str| {
        format!("{declared}[[setup]]\nenv = {{ URL = \"{value}\" }}\n[verbs.a]\nexec = [\"true\"]\n")
    };
    twins(
        &step("redis://:${DB_PASSWORD}@${HOST}"),
        &warning.replacen("7:7", "7:15", 1),
        &step("redis://:${DB_PASSWORD@url}@${HOST}"),
    );
}
