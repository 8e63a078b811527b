//! Names of environments: `names`, `aliases`, and names that look like one of the table's (preverb.toml(5), Names).

use crate::dsl::Test;

const VERB: &str = "[verbs.v]\nexec = [\"sh\", \"-c\", \"echo $PREVERB_ENVIRONMENT $APP_ENV\"]\n";
/// Demo data that must never reach production.
const DEMO: &str = "[[setup]]\nrun = [\"echo\", \"demo data\"]\nenvironments = [\"!prod\"]\n";

fn run(top: &str, environment: &str) -> Test {
    Test::new().table(format!("{top}{VERB}")).env("APP_ENV", environment).args(["v"])
}

#[track_caller]
fn refused(top: &str, environment: &str, says: &[&str]) {
    let modes: [&[&str]; 4] = [&["v"], &["--explain", "v"], &["--list"], &["--", "true"]];
    for words in modes {
        let mut test = run(top, environment).args(words).status(65);
        for part in says {
            test = test.stderr_contains(part);
        }
        test.stderr_lacks("demo data").run();
    }
}

#[test]
fn an_environment_name_that_resembles_a_mentioned_one_is_refused() {
    for name in ["production", "Prod", "PROD", "p"] {
        let says =
            format!("variable `APP_ENV` is `{name}`, which looks like environment `prod` but is not it");
        refused(DEMO, name, &[&says, "hint: did you mean `prod`?"]);
    }
    run(DEMO, "prod").stdout("prod prod\n").run();
    for name in ["prod-eu", "dev2", "preprod", "ci"] {
        run(DEMO, name).stdout(format!("{name} {name}\n")).stderr_contains("demo data").run();
    }
}

#[test]
fn the_option_is_checked_like_the_variable() {
    let test = Test::new().table(format!("{DEMO}{VERB}")).args(["--environment", "production", "v"]);
    test.status(65).stderr_contains("option `--environment` is `production`, which looks like").run();
}

#[test]
fn a_table_that_mentions_no_environment_accepts_every_name() {
    run("", "production").stdout("production production\n").run();
    run("[environment]\ndefault = \"prod\"\n", "Prod").stdout("Prod Prod\n").run();
}

#[test]
fn a_mentioned_name_may_resemble_another_mentioned_one() {
    let top = "[environments.production.env]\nX = \"1\"\n[environments.prod.env]\nX = \"2\"\n";
    run(top, "production").stdout("production production\n").run();
}

#[test]
fn a_table_can_list_its_environments() {
    let top = "[environment]\nnames = [\"dev\", \"ci\", \"prod\"]\n";
    run(top, "ci").stdout("ci ci\n").run();
    let says = "variable `APP_ENV` is `prd`, which is not an environment of this table";
    refused(top, "prd", &[says, "did you mean `prod`?", "`dev`, `ci`, `prod`"]);
    refused(top, "prod-eu", &["`dev`, `ci`, `prod`"]);
    let aliased = format!("{top}aliases = {{ production = \"prod\" }}\n");
    refused(&aliased, "productoin", &["did you mean `production`?", "`dev`, `ci`, `prod`"]);
    let test = Test::new().table(format!("{top}{VERB}")).args(["--environment", "qa", "v"]).status(65);
    test.stderr_contains("option `--environment` is `qa`, which is not an environment of this table").run();
}

#[test]
fn preverbs_own_variables_name_the_verb_and_the_environment_even_if_one_chooses_the_latter() {
    for variable in ["PREVERB_ENVIRONMENT", "PREVERB_VERB"] {
        let top =
            format!("[environment]\nvariable = \"{variable}\"\naliases = {{ production = \"prod\" }}\n");
        let show = "[\"sh\", \"-c\", \"echo $PREVERB_VERB in $PREVERB_ENVIRONMENT\"]\n";
        let table = format!("{top}[[setup]]\nrun = {show}[verbs.v]\nexec = {show}");
        let test = Test::new().table(table).args(["--environment", "production", "v"]);
        test.stdout("v in prod\n").stderr_contains("v in prod\n").run();
    }
}

#[test]
fn an_alias_changes_preverb_environment_but_not_the_variable() {
    let top = "[environment]\naliases = { production = \"prod\", live = \"prod\" }\n";
    run(top, "production").stdout("prod production\n").run();
    run(&format!("{top}{DEMO}"), "live").stdout("prod live\n").stderr_lacks("demo data").run();
    let option = Test::new().table(format!("{top}{VERB}")).args(["--environment", "live", "v"]);
    option.stdout("prod live\n").run();
    let listed = "[environment]\nnames = [\"prod\"]\naliases = { production = \"prod\" }\n";
    run(listed, "production").stdout("prod production\n").run();
    run(listed, "production")
        .args(["--explain", "v"])
        .stdout_contains("prod")
        .stdout_contains("`production`")
        .any_stdout()
        .run();
}

#[test]
fn a_name_that_is_a_secret_is_not_shown() {
    let top = format!("{DEMO}[variables.APP_ENV]\nsecret = true\n");
    refused(&top, "production", &["variable `APP_ENV` is `***`"]);
    run(&top, "production").status(65).stderr_lacks("production").stderr_lacks("did you mean").run();
}

#[test]
fn environments_that_the_table_uses_must_be_in_names() {
    let wrong = |top: &str, place: &str, says: &str| {
        for words in [["v"], ["--check"]] {
            let test = Test::new().table(format!("{top}{VERB}")).args(words).status(78);
            test.stderr_contains(format!("[DIR]/preverb.toml:{place}: ")).stderr_contains(says).run();
        }
    };
    let names = "[environment]\nnames = [\"dev\", \"prod\"]\n";
    let not_one = |name: &str| format!("environment `{name}` is not one of `names`");
    wrong(&format!("{names}default = \"prd\"\n"), "3:11", &not_one("prd"));
    wrong(&format!("{names}default = \"prd\"\n"), "3:11", "did you mean `prod`?");
    wrong(&format!("{names}aliases = {{ live = \"qa\" }}\n"), "3:20", &not_one("qa"));
    wrong(&format!("{names}[environments.qa.env]\nA = \"1\"\n"), "3:15", &not_one("qa"));
    let step = "[[setup]]\nrun = [\"true\"]\nenvironments = [\"dev\", \"!production\"]\n";
    wrong(&format!("{names}{step}"), "5:24", &not_one("production"));
    wrong("[environment]\nnames = [\"dev\"]\n", "2:9", "`names` does not have `prod`, which is the default");
    wrong(&format!("{names}aliases = {{ dev = \"prod\" }}\n"), "3:13", "alias `dev` is also an environment");
    let clash = "[environment]\naliases = { dev = \"prod\" }\n[environments.dev.env]\nA = \"1\"\n";
    wrong(clash, "2:13", "alias `dev` is also an environment");
    wrong("[environment]\naliases = { \"-x\" = \"prod\" }\n", "2:13", "`-x` is not a valid environment name");
}

#[test]
fn check_warns_of_an_excluded_environment_if_any_name_is_valid() {
    let check = |top: &str| Test::new().table(format!("{top}{DEMO}{VERB}")).args(["--check"]);
    let warning = "warning: [DIR]/preverb.toml:3:17: the step runs in every environment except `prod`";
    check("").stderr_contains(warning).run();
    check("[environment]\nnames = [\"dev\", \"prod\"]\n").run();
    // A step goes by the environment's own name.
    let alias = "[environment]\naliases = { prod = \"live\" }\n";
    check(alias).status(78).stderr_contains("`environments` names `prod`, which is an alias").run();
}

#[test]
fn check_covers_every_listed_environment() {
    let top = "[environment]\nnames = [\"dev\", \"prod\"]\n";
    let step = "[[setup]]\nrun = [\"/no/such/program\"]\nenvironments = [\"dev\"]\n";
    let test = Test::new().table(format!("{top}{step}{VERB}")).args(["--check"]).status(78);
    test.stderr_contains("/no/such/program").run();
}
