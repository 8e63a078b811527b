//! Properties of any arguments, values and tables: each test makes many by a generator with a fixed seed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStringExt as _;

use crate::dsl::{Output, Test};
use crate::random::Random;

/// Records its arguments and its variables, each with a NUL after it.
const SHOW: &str = "#!/bin/sh\ncat /proc/$$/cmdline >[DIR]/words\ncat /proc/$$/environ >[DIR]/variables\n";

fn run(table: &str) -> Test {
    Test::new().table(table).program("show", SHOW)
}

/// The arguments of `show`, after those that start a script.
fn words(output: &Output) -> Vec<Vec<u8>> {
    let all = output.file("words").unwrap_or_default();
    let mut words = all.strip_suffix(b"\0").unwrap_or(&all).split(|byte| *byte == 0).map(<[u8]>::to_vec);
    let started = words.by_ref().find(|word| word.ends_with(b"/show"));
    assert!(started.is_some(), "{}", all.escape_ascii());
    words.collect()
}

#[track_caller]
fn same(seen: &[Vec<u8>], expected: &[Vec<u8>]) {
    let shown = |words: &[Vec<u8>]| -> Vec<String> {
        words.iter().map(|word| word.escape_ascii().to_string()).collect()
    };
    assert_eq!(shown(seen), shown(expected));
}

#[test]
fn the_callers_arguments_appear_in_argv_byte_for_byte() {
    let mut random = Random(0xa11);
    let tables = [
        (
            "[verbs.a]\nexec = [\"show\", \"${X}\"]\nargs = [\"default\"]\nargs-after = [\"end\"]\n",
            Some("a"),
            "one",
            "end",
        ),
        ("unknown = \"exec\"\n[verbs.a]\nexec = [\"true\"]\n", Some("show"), "", ""),
        ("[verbs.a]\nexec = [\"true\"]\n", Some("--"), "show", ""),
        (
            "default = \"a\"\nunknown = \"default\"\nleading-dash = \"default\"\n[verbs.a]\nexec = [\"show\", \"first\"]\n",
            None,
            "first",
            "",
        ),
    ];
    for number in 0..120 {
        let (table, first, before, after) = tables[number % tables.len()];
        let mut given: Vec<Vec<u8>> = (0..=random.below(5)).map(|_| random.bytes(12)).collect();
        if first.is_none() {
            // Neither a verb, nor a mode, nor what stands before a command.
            given[0].insert(0, b"-_."[random.below(3)]);
            given[0].push(b'~');
        }
        let some = |word: &str| (!word.is_empty()).then(|| word.as_bytes().to_vec());
        let mut expected: Vec<Vec<u8>> = some(before).filter(|word| word != b"show").into_iter().collect();
        expected.extend(given.iter().cloned());
        expected.extend(some(after));
        let mut arguments: Vec<OsString> = first.map(OsString::from).into_iter().collect();
        arguments.extend((first == Some("--")).then(|| OsString::from("show")));
        arguments.extend(given.into_iter().map(OsString::from_vec));
        run(table).env("X", "one").args(arguments).check(move |output| same(&words(output), &expected)).run();
    }
}

/// The words of a text for a shell: where `@words` splits at a newline, a command would end.
fn spoken(random: &mut Random) -> (String, String) {
    let (mut text, mut shell) = (String::new(), String::new());
    for _ in 0..random.below(8) {
        if random.below(3) == 0 {
            text += random.pick(&[" ", "\t", "\n", "  "]);
            shell.push(' ');
            continue;
        }
        let piece = random.pick(&[
            "a", "b=c", "é", "''", "\"\"", "'a b'", "'\"'", "'\\'", "'\n'", "\"a  b\"", "\"'\"", "\"\\\"\"",
            "\"\\\\\"", "\"\\a\"", "\"\\$x\"", "\"\\`\"", "\"\t\"", "\\ ", "\\'", "\\\"", "\\\\", "\\a",
            "-x",
        ]);
        text += piece;
        shell += piece;
    }
    (text, shell)
}

#[test]
fn the_words_operator_splits_as_a_shell_does() {
    const MANY: usize = 300;
    let mut random = Random(0x3a1d);
    let (mut elements, mut script, mut test) = (String::new(), "set --\n".to_owned(), Test::new());
    for number in 0..MANY {
        let (text, shell) = spoken(&mut random);
        write!(elements, ", \"${{W{number}@words}}\", \";\"").unwrap();
        writeln!(script, "set -- \"$@\" {shell} ';'").unwrap();
        test = test.env(format!("W{number}"), text);
    }
    script += "printf '%s\\0' \"$@\"";
    let shell = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(shell.status.success(), "{}", String::from_utf8_lossy(&shell.stderr));
    let expected: Vec<Vec<u8>> =
        shell.stdout.strip_suffix(b"\0").unwrap().split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    test = test.program("show", SHOW).table(format!("[verbs.a]\nexec = [\"show\"{elements}]\n")).args(["a"]);
    assert!(expected.len() > MANY * 2);
    test.check(move |output| same(&words(output), &expected)).run();
}

#[test]
fn percent_encoding_is_reversible() {
    let mut random = Random(0x0912);
    for _ in 0..60 {
        let value = random.bytes(20);
        let original = value.clone();
        run("[verbs.a]\nexec = [\"show\", \"x://${V@url}@h\"]\n")
            .env("V", OsString::from_vec(value))
            .args(["a"])
            .check(move |output| {
                let seen = words(output).remove(0);
                let encoded = seen.strip_prefix(b"x://").and_then(|rest| rest.strip_suffix(b"@h")).unwrap();
                let mut decoded = Vec::new();
                let mut bytes = encoded.iter();
                while let Some(byte) = bytes.next() {
                    if *byte == b'%' {
                        let digits = [*bytes.next().unwrap(), *bytes.next().unwrap()];
                        decoded.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                    } else {
                        assert!(
                            byte.is_ascii_alphanumeric() || b"-._~".contains(byte),
                            "{}",
                            encoded.escape_ascii()
                        );
                        decoded.push(*byte);
                    }
                }
                same(&[decoded], std::slice::from_ref(&original));
            })
            .run();
    }
}

#[test]
fn conditions_hold_as_their_truth_table_says() {
    const FORMS: [&str; 8] = ["V", "!V", "V=", "V!=", "V=1", "V!=1", "V=${ONE}", "V!=${ONE}"];
    let says_no = |value: &str| ["false", "no", "off", "0"].contains(&&*value.to_lowercase());
    let kinds = [
        ("", false),
        ("[variables.V]\n", false),
        ("[variables.V]\ntype = \"boolean\"\n", false),
        ("[variables.V]\ntype = \"integer\"\n", true),
        ("[variables.V]\nsecret = true\n", true),
    ];
    for (declared, is_opaque) in kinds {
        for value in [
            None,
            Some(""),
            Some("0"),
            Some("1"),
            Some("no"),
            Some("FALSE"),
            Some("Off"),
            Some("yes"),
            Some("x"),
        ] {
            let is = value.unwrap_or_default();
            let is_number = is.parse::<u32>().is_ok();
            let is_invalid = !is.is_empty()
                && (declared.contains("boolean") && is == "x" || declared.contains("integer") && !is_number);
            if is_invalid {
                continue;
            }
            let (mut elements, mut expected) = (String::new(), Vec::new());
            for (number, form) in FORMS.into_iter().enumerate() {
                let holds = match form {
                    "V" => !is.is_empty() && (is_opaque || !says_no(is)),
                    "!V" => is.is_empty() || !is_opaque && says_no(is),
                    "V=" => is.is_empty(),
                    "V!=" => !is.is_empty(),
                    "V=1" | "V=${ONE}" => is == "1",
                    _ => is != "1",
                };
                for (key, is_there) in [("only-if", holds), ("skip-if", !holds)] {
                    write!(elements, ", {{ words = [\"{key} {number}\"], {key} = \"{form}\" }}").unwrap();
                    expected.extend(is_there.then(|| format!("{key} {number}").into_bytes()));
                }
            }
            let test = run(&format!("{declared}[verbs.a]\nexec = [\"show\"{elements}]\n"))
                .args(["a"])
                .env("ONE", "1");
            let test = value.into_iter().fold(test, |test, value| test.env("V", value));
            test.check(move |output| same(&words(output), &expected)).run();
        }
    }
}

/// A table of sections, whose order means nothing, and variables to run its verb `a` with.
struct Made {
    top: String,
    sections: Vec<String>,
    given: Vec<(&'static str, String)>,
}

impl Made {
    const NAMES: [&'static str; 5] = ["A", "B", "C", "D", "E"];

    fn new(random: &mut Random) -> Self {
        let mut sections = Vec::new();
        for name in Self::NAMES {
            if random.below(3) == 0 {
                let key = random.pick(&[
                    "default = \"d\"",
                    "default = \"2\"\ntype = \"integer\"",
                    "required = true",
                    "secret = false",
                ]);
                let place = random.pick(&["variables", "verbs.a.variables", "environments.dev.variables"]);
                sections.push(format!("[{place}.{name}]\n{key}\n"));
            }
        }
        for layer in ["env", "environments.dev.env", "verbs.a.env", "environments.dev.verbs.a.env"] {
            let mut lines = String::new();
            for name in Self::NAMES {
                if random.below(4) == 0 {
                    writeln!(lines, "{name} = \"{}\"", Self::value(random)).unwrap();
                }
            }
            if !lines.is_empty() {
                sections.push(format!("[{layer}]\n{lines}"));
            }
        }
        let mut verb = "[verbs.a]\nexec = [\"show\"".to_owned();
        for _ in 0..random.below(4) {
            write!(verb, ", {}", Self::element(random)).unwrap();
        }
        writeln!(verb, "]").unwrap();
        for key in ["args", "args-after"] {
            if random.below(2) == 0 {
                writeln!(verb, "{key} = [{}, {}]", Self::element(random), Self::element(random)).unwrap();
            }
        }
        if random.below(3) == 0 {
            writeln!(verb, "unset = [\"{}\"]", random.pick(&Self::NAMES)).unwrap();
        }
        sections.push(verb);
        if random.below(3) == 0 {
            sections.push(format!("[environments.dev.verbs.a]\nargs-after = [{}]\n", Self::element(random)));
        }
        let mut given = Vec::new();
        for name in Self::NAMES {
            if random.below(2) == 0 {
                given.push((name, random.pick(&["", "1", "x y", "'q r' s", "no", "é", "-z"]).to_owned()));
            }
        }
        if random.below(2) == 0 {
            given.push(("APP_ENV", "dev".to_owned()));
        }
        Self { top: "default = \"a\"\n".to_owned(), sections, given }
    }

    fn value(random: &mut Random) -> String {
        let name = random.pick(&Self::NAMES);
        match random.below(6) {
            0 => format!("${{{name}}}"),
            1 => format!("${{{name}:-or}}/x"),
            2 => format!("<${{{name}:+set ${{{name}}}}}>"),
            3 => format!("${{{name}@url:-}}"),
            4 => "two words".to_owned(),
            _ => "7".to_owned(),
        }
    }

    fn element(random: &mut Random) -> String {
        let name = random.pick(&Self::NAMES);
        match random.below(4) {
            0 => format!("\"${{{name}@words:-p 'q r'}}\""),
            1 => {
                let condition = random.pick(&["", "!"]);
                let key = random.pick(&["only-if", "skip-if"]);
                format!(
                    "{{ words = [\"--{name}\", \"{}\"], {key} = \"{condition}{name}\" }}",
                    Self::value(random)
                )
            }
            _ => format!("\"{}\"", Self::value(random)),
        }
    }

    fn test(&self, order: impl Iterator<Item = usize>) -> Test {
        let sections: String = order.map(|at| self.sections[at].clone()).collect();
        let test = run(&format!("{}{sections}", self.top));
        self.given.iter().fold(test, |test, (name, value)| test.env(name, value))
    }
}

/// Runs it, and hands what came out to a closure.
fn seen<T: 'static>(test: Test, look: impl Fn(&Output) -> T + 'static) -> T {
    let slot = std::rc::Rc::new(std::cell::RefCell::new(None));
    let inner = std::rc::Rc::clone(&slot);
    test.any_status()
        .any_stdout()
        .any_stderr()
        .check(move |output| *inner.borrow_mut() = Some(look(output)))
        .run();
    slot.take().unwrap()
}

fn pairs(block: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8(block.to_vec()).unwrap();
    let pairs = text.split('\0').filter_map(|entry| entry.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn explain_matches_the_run_and_both_are_deterministic() {
    let mut random = Random(0xe1a1);
    let (mut ran, mut failed) = (0, 0);
    for _ in 0..100 {
        let made = Made::new(&mut random);
        let count = made.sections.len();
        let arguments: &[&str] = [&["a"][..], &["a", "--x", "y z", ""][..], &[][..]][random.below(3)];
        let explain = |order: &mut dyn Iterator<Item = usize>| {
            let test = made.test(order).args(["--explain", "--json"]).args(arguments);
            seen(test, |output| {
                (output.status, output.json(), output.dir.path().to_str().unwrap().to_owned())
            })
        };
        let (status, explained, dir) = explain(&mut (0..count));
        // The same table says the same; where a message shows a path, the directories differ.
        let (again, second, second_dir) = explain(&mut (0..count));
        let here = |value: &serde_json::Value, dir: &str| value.to_string().replace(dir, "");
        assert_eq!(
            (status, here(&explained, &dir)),
            (again, here(&second, &second_dir)),
            "{}",
            made.sections.concat()
        );
        // The order of the sections is only that in which variables are shown and reported.
        let (other, reversed, _) = explain(&mut (0..count).rev());
        let parts =
            |explained: &serde_json::Value| ["argv", "variables", "unset"].map(|key| explained[key].clone());
        assert_eq!((status, parts(&explained)), (other, parts(&reversed)), "{}", made.sections.concat());

        let performed = seen(made.test(0..count).args(arguments), |output| {
            (output.status, output.file("words").map(|_| (words(output), output.file("variables").unwrap())))
        });
        let problem = explained["problems"][0]["exit-code"].as_i64().unwrap_or(0);
        assert_eq!(problem, i64::from(performed.0), "{}\n{explained:#}", made.sections.concat());
        let Some((argv, block)) = performed.1 else {
            failed += 1;
            continue;
        };
        ran += 1;
        let shown: Vec<Vec<u8>> = explained["argv"]
            .as_array()
            .unwrap()
            .iter()
            .skip(1)
            .map(|word| word.as_str().unwrap().into())
            .collect();
        same(&argv, &shown);

        let mut expected: BTreeMap<String, String> =
            made.given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        for variable in explained["variables"].as_array().unwrap() {
            let name = variable["name"].as_str().unwrap().to_owned();
            match variable["value"].as_str() {
                Some(value) => drop(expected.insert(name, value.to_owned())),
                None => drop(expected.remove(&name)),
            }
        }
        for name in explained["unset"].as_array().unwrap() {
            expected.remove(name.as_str().unwrap());
        }
        let mut variables = pairs(&block);
        variables.retain(|name, _| !matches!(&**name, "PATH" | "PREVERB_TABLE"));
        assert_eq!(variables, expected, "{}", made.sections.concat());
    }
    assert!(ran > 30 && failed > 15, "{ran} runs, and {failed} that failed: the tables are too much alike");
}
