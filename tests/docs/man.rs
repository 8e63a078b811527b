//! The man pages are well-formed and agree with the program.

use std::collections::BTreeSet;
use std::process::Command;

use preverb::keys::{limits, nouns};

use crate::skip::lacks;
use crate::{PREVERB, read, repository};

const PAGES: [&str; 2] = ["man/preverb.1", "man/preverb.toml.5"];

/// The lines of a section, without its heading.
fn section(page: &str, name: &str) -> String {
    let heading = format!(".Sh {name}");
    let lines = page.lines().skip_while(|line| *line != heading).skip(1);
    let lines: Vec<&str> = lines.take_while(|line| !line.starts_with(".Sh ")).collect();
    assert!(!lines.is_empty(), "there is no section {name}");
    lines.join("\n")
}

/// The tags of a section's list: the first word after this macro.
fn tags<'t>(section: &'t str, it: &str) -> Vec<&'t str> {
    section
        .lines()
        .filter_map(|line| line.strip_prefix(it)?.split(' ').find(|word| !word.is_empty()))
        .collect()
}

/// The description of a key in a section of preverb.toml(5), as plain text.
fn about(section_name: &str, key: &str) -> String {
    let text = section(&read(PAGES[1]), section_name);
    let mut lines = text.lines().skip_while(|line| tags(line, ".It Ic ") != [key]).skip(1);
    let item: Vec<&str> =
        lines.by_ref().take_while(|line| !line.starts_with(".It ") && *line != ".El").collect();
    plain(&item)
}

/// mdoc as text without marks, as far as these pages use it.
fn plain(lines: &[&str]) -> String {
    let text = lines.iter().map(|line| line.strip_prefix('.').map_or_else(|| (*line).to_owned(), request));
    text.collect::<Vec<_>>().join(" ").replace("\\(dq", "\"").replace("\\&", "")
}

/// A line of mdoc that is a request.
fn request(line: &str) -> String {
    const POINTS: [&str; 4] = [".", ",", ";", ":"];
    let mut words: Vec<&str> = line.split(' ').collect();
    let mut points = String::new();
    while let Some(point) = words.pop_if(|word| POINTS.contains(word)) {
        points.insert_str(0, point);
    }
    let mut out = String::new();
    let mut glued = true;
    let mut flag = words[0] == "Fl";
    for word in &words[1..] {
        match *word {
            "No" | "Ar" | "Cm" | "Ev" | "Sy" | "Pa" | "Li" => flag = false,
            "Ns" => glued = true,
            word => {
                if !glued && !POINTS.contains(&word) {
                    out.push(' ');
                }
                if flag && !POINTS.contains(&word) {
                    out.push('-');
                }
                out.push_str(word);
                glued = false;
            }
        }
    }
    let out = match words[0] {
        "Pq" => format!("({out})"),
        "Sq" => format!("'{out}'"),
        "Xr" => out.replacen(' ', "(", 1) + ")",
        _ => out,
    };
    out + &points
}

#[test]
fn the_man_page_has_an_item_for_every_key_and_no_other() {
    let page = read(PAGES[1]);
    let mut items = page.lines().filter(|line| line.starts_with(".It Ic ")).count();
    for noun in nouns() {
        let text = section(&page, noun.section);
        let keys: Vec<&str> = noun.keys.iter().map(|key| key.name).collect();
        assert_eq!(tags(&text, ".It Ic "), keys, "{}: in the order of the decoder", noun.section);
        for key in keys {
            assert!(about(noun.section, key).ends_with('.'), "{} says nothing of {key}", noun.section);
            items -= 1;
        }
    }
    assert_eq!(items, 0, "keys that there are not");
}

#[test]
fn the_man_page_names_every_limit() {
    let about = about("VERBS", "limits");
    for limit in limits() {
        assert!(about.split([' ', ',', '.']).any(|word| word == limit), "{limit} is missing in: {about}");
    }
}

#[test]
fn the_man_page_has_an_item_for_every_option_and_no_other() {
    let output = Command::new(PREVERB).args(["--help", "--table", "/nowhere"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let options = help.lines().filter_map(|line| {
        let word = line.split_whitespace().find(|word| word.starts_with("--"))?;
        line.starts_with("  ").then_some(word)
    });
    let options: BTreeSet<&str> = options.filter(|word| *word != "--").collect();
    assert!(options.len() > 20, "{help}");
    let page = read(PAGES[0]);
    let items: Vec<String> = tags(&page, ".It Fl ").into_iter().map(|name| format!("-{name}")).collect();
    assert_eq!(items.iter().map(String::as_str).collect::<BTreeSet<_>>(), options);
    assert_eq!(items.len(), options.len(), "an option is there twice");
}

#[test]
fn the_man_page_has_an_item_for_every_exit_code_and_no_other() {
    let source = read("src/text/failure.rs");
    let table = source.split("#[cfg(test)]").next().unwrap();
    let arm = |line: &str| {
        line.trim().split_once("=> ").and_then(|(_, code)| code.trim_end_matches(',').parse().ok())
    };
    let bug =
        table.lines().find_map(|line| line.strip_prefix("pub(crate) const BUG: i32 = ")?.strip_suffix(';'));
    let mut codes: BTreeSet<u8> = table.lines().filter_map(arm).collect();
    codes.insert(bug.unwrap().parse().unwrap());
    codes.insert(0);
    assert!(codes.len() > 10, "{codes:?}");

    let text = section(&read(PAGES[0]), "EXIT STATUS");
    let mut items = tags(&text, ".It ");
    items.retain(|item| *item != "128+n");
    assert_eq!(items.iter().map(|code| code.parse().unwrap()).collect::<BTreeSet<u8>>(), codes, "preverb(1)");

    let readme = read("README.md");
    let rows = readme.split("## Exit codes").nth(1).unwrap().split("\n## ").next().unwrap();
    let cells = rows.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let numbers = cells.flat_map(|cell| cell.split(", ")).filter_map(|code| code.parse().ok());
    assert_eq!(numbers.collect::<BTreeSet<u8>>(), codes, "README.md");
    assert!(rows.contains("| 128+n |") && rows.contains("| other |"));
}

#[test]
fn every_variable_that_preverb_reads_or_sets_is_documented_and_no_other() {
    let mut used = BTreeSet::new();
    let mut files = vec![repository("src")];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for literal in code.split("b\"").skip(1) {
            let name = literal.split('"').next().unwrap();
            if name.strip_prefix("PREVERB_").is_some_and(|rest| !rest.is_empty()) || name == "NO_COLOR" {
                used.insert(name.to_owned());
            }
        }
    }
    assert!(used.len() >= 5, "{used:?}");
    let documented = section(&read(PAGES[0]), "ENVIRONMENT");
    let mut documented: BTreeSet<String> =
        tags(&documented, ".It Ev ").into_iter().map(str::to_owned).collect();
    // The defaults of the table, and the variables that stepping down sets.
    assert!(documented.remove("APP_ENV") && documented.remove("HOME"));
    assert_eq!(documented, used);
}

/// The names of fields, at every depth.
fn fields(value: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (name, value) in object {
                found.insert(name.clone());
                fields(value, found);
            }
        }
        serde_json::Value::Array(array) => array.iter().for_each(|value| fields(value, found)),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}

#[test]
fn every_json_field_is_documented_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let table = directory.path().join("preverb.toml");
    let good = "[variables.A]\n[verbs.a]\nexec = [\"true\"]\n[[setup]]\nmkdir = \"/a\"\n";
    // With an element in each list of objects.
    let explained =
        "[variables.A]\nrequired = true\n[verbs.a]\nexec = [\"${A}\"]\n[[setup]]\nmkdir = \"/a\"\n";
    let json = section(&read(PAGES[0]), "JSON");
    for (heading, words, text) in [
        ("List", &["--list"][..], good),
        ("Check", &["--check"], "nonsense = 1\n"),
        ("Explain", &["--explain", "a"], explained),
    ] {
        std::fs::write(&table, text).unwrap();
        let output =
            Command::new(PREVERB).arg("--table").arg(&table).arg("--json").args(words).output().unwrap();
        let mut found = BTreeSet::new();
        fields(&serde_json::from_slice(&output.stdout).unwrap(), &mut found);
        let part = json.split(&format!(".Ss {heading}\n")).nth(1).unwrap().split(".Ss ").next().unwrap();
        let named: BTreeSet<String> = tags(part, ".Va ").into_iter().map(str::to_owned).collect();
        assert_eq!(named, found, "{heading}");
    }
}

#[test]
fn the_man_pages_are_well_formed() {
    if !lacks("mandoc") {
        for page in PAGES {
            let output =
                Command::new("mandoc").args(["-Tlint", "-Wwarning"]).arg(repository(page)).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{page}");
        }
    }
    if !lacks("groff") {
        for page in PAGES {
            let output = Command::new("groff")
                .args(["-mandoc", "-Tutf8", "-ww"])
                .arg(repository(page))
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{page}");
        }
    }
}
