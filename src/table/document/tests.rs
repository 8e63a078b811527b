//! Tests of the tree.

use super::*;

fn source(text: &str) -> Source {
    Source { path: "t.toml".into(), text: text.to_owned() }
}

fn dump(node: NodeRef<'_, '_>) -> String {
    match node.shape() {
        Shape::Table => {
            let entries: Vec<_> = node.children().map(|c| format!("{}={}", c.key(), dump(c))).collect();
            format!("{{{}}}", entries.join(","))
        }
        Shape::Array => {
            let items: Vec<_> = node.children().map(dump).collect();
            format!("[{}]", items.join(","))
        }
        Shape::String => format!("{:?}", node.as_str().unwrap_or_default()),
        Shape::Integer => node.as_integer().map_or("?".into(), |i| i.to_string()),
        Shape::Boolean(value) => value.to_string(),
        Shape::Other(name) => name.to_owned(),
    }
}

#[track_caller]
fn check(texts: &[&str], expected: &str) {
    let sources: Vec<_> = texts.iter().map(|text| source(text)).collect();
    let document = Document::read(&sources, Focus::Everything).expect("well-formed");
    assert_eq!(dump(document.root()), expected);
}

#[track_caller]
fn wrong(text: &str, line: usize, column: usize, message: &str) {
    let sources = [source(text)];
    let mistakes = Document::read(&sources, Focus::Everything).expect_err("a mistake");
    let place = sources[0].place(mistakes[0].span.start);
    assert_eq!((place.line, place.column, &*mistakes[0].message), (line, column, message), "{mistakes:?}");
}

#[test]
fn all_forms_of_tables_make_one_tree() {
    check(&["a.b = 1\n[c.d]\ne = 'x'\n[c]\nf = {g.h = true}"], r#"{a={b=1},c={d={e="x"},f={g={h=true}}}}"#);
    check(&["[[s]]\na = 1\n[s.t]\nb = 2\n[[s]]\na = 3\n"], "{s=[{a=1,t={b=2}},{a=3}]}");
    check(&["a = [1, [2, {b = \"c\"}],\n 0x1F, 0b11, 1_000]"], r#"{a=[1,[2,{b="c"}],31,3,1000]}"#);
    check(&["a = \"\\u00e9\\n\"\nb = '''\nx'''\n\"q r\" = 1.5"], r#"{a="é\n",b="x",q r=a float}"#);
}

#[test]
fn a_table_is_defined_once() {
    wrong("a = 1\na = 2", 2, 1, "`a` is defined twice, first in line 1");
    wrong("[a]\n[a]", 2, 2, "`a` is defined twice, first in line 1");
    wrong("a = {b = 1}\n[a.c]\n", 2, 2, "`a` is defined twice, first in line 1");
    wrong("[a.b]\nx = 1\n[a]\nb.y = 1", 4, 1, "`b` is defined twice, first in line 1");
    wrong("a = []\n[[a]]", 2, 3, "`a` is defined twice, first in line 1");
}

#[test]
fn mistakes_of_syntax_have_a_place() {
    let sources = [source("x = 1\ny = \n")];
    let mistakes = Document::read(&sources, Focus::Everything).expect_err("a mistake");
    assert_eq!(sources[0].place(mistakes[0].span.start).line, 2, "{mistakes:?}");
}

#[test]
fn merging_goes_key_by_key_and_appends_setup() {
    check(
        &["d = 1\n[e]\na = 1\nb = [1]\n[[setup]]\nx = 1", "d = 2\n[e]\nb = [2]\nc = 3\n[[setup]]\nx = 2"],
        "{d=2,e={a=1,b=[2],c=3},setup=[{x=1},{x=2}]}",
    );
    // Only preverb's own lists are appended, not an interpreter's that happens to be so named.
    check(&["[interpreters]\nsetup = [1]", "[interpreters]\nsetup = [2]"], "{interpreters={setup=[2]}}");
}

#[test]
fn large_tables_are_found_through_the_index_also_when_merged() {
    use std::fmt::Write as _;
    let mut base = String::new();
    let mut over = String::new();
    for number in 0..100 {
        let _ = writeln!(base, "[verbs.v{number}]\na = {number}");
        let _ = writeln!(over, "[verbs.v{}]\nb = 1", number * 2);
    }
    let sources = [source(&base), source(&over)];
    let document = Document::read(&sources, Focus::Everything).expect("well-formed");
    let verbs = document.root().get("verbs").expect("verbs");
    assert_eq!(verbs.children().count(), 150);
    let verb = verbs.get("v98").expect("v98");
    assert_eq!(dump(verb), "{a=98,b=1}");
    assert_eq!(dump(verbs.get("v198").expect("v198")), "{b=1}");
    wrong(&format!("{base}[verbs.v7]\n"), 201, 8, "`v7` is defined twice, first in line 15");
}

#[test]
fn of_verbs_out_of_focus_names_and_aliases_are_taken_and_their_syntax_is_checked() {
    let text = "default = 'b'\n[verbs.a]\naliases = ['x', 'y']\nexec = ['p', {q = 1}]\n[verbs.a.env]\nZ = '1'\n\
                [[verbs.a.setup]]\nrun = []\n[verbs.b]\nexec = ['r']\n[environments.e.verbs.a]\nargs = []\n[env]\nK = ''";
    let expected = r#"{default="b",verbs={a={aliases=["x","y"]},b={exec=["r"]}},environments={e={verbs={a={}}}},env={K=""}}"#;
    let sources = [source(text)];
    for focus in [Focus::Verb("b"), Focus::Default] {
        let document = Document::read(&sources, focus).expect("well-formed");
        assert_eq!(dump(document.root()), expected);
        let verbs = document.root().get("verbs").expect("verbs");
        assert!(verbs.get("a").is_some_and(NodeRef::is_light));
        assert!(!verbs.get("b").is_some_and(NodeRef::is_light));
    }
    for broken in [
        "[verbs.a]\nx = \"\\q\"\n",
        "[verbs.a]\nx = [1\n",
        "[verbs.a]\nx = {y = }\n",
        "[verbs.a]\n[verbs.a]\n",
    ] {
        let sources = [source(broken)];
        assert!(Document::read(&sources, Focus::Verb("b")).is_err(), "{broken}");
    }
}

#[test]
fn what_is_defined_twice_out_of_focus_is_seen_and_what_is_not_costs_no_second_reading() {
    let read = |text: &str| {
        let sources = [source(text)];
        let whole = Document::read(&sources, Focus::Everything).map_err(|mistakes| mistakes.len());
        let light = Document::read(&sources, Focus::Verb("b")).map(|document| {
            let verb = document.root().get("verbs").and_then(|verbs| verbs.get("a"));
            verb.is_some_and(NodeRef::is_light)
        });
        (whole.err(), light.map_err(|mistakes| mistakes.len()))
    };
    for twice in [
        "[verbs.a]\nx = 1\nx = 2",
        "[verbs.a]\nx = 1\n'x' = 2",
        "[verbs.a]\nx = {y = 1, z = {}, y = 2}",
        "[verbs.a]\nx = [{y = [{}], y = 2}]",
        "[verbs.a.env]\n[verbs.a.env]",
        "[verbs.a]\nenv = {}\n[verbs.a.env]",
        "[verbs.a]\nenv = {}\n[verbs.c]\n[verbs.a.env]",
        "[verbs.a.env]\nx = 1\nx = 2",
        "[verbs.a.env]\nx = 1\n[verbs.a]\nenv = {}",
        "[verbs.a.env]\n[verbs.c]\n[verbs.a.env]",
        "[verbs.a.variables.x]\n[verbs.a.variables.x]",
        "[verbs.a.variables]\nx = {}\n[verbs.a.variables.x]",
        "[[verbs.a.setup]]\n[verbs.a.setup]",
        "[verbs.a.setup]\n[[verbs.a.setup]]",
        "[[verbs.a.setup]]\nx = 1\nx = 2",
        "[verbs.a]\nx.y = 1\nx.y = 2",
        "[verbs.a]\nx = 1\nx.y = 2",
    ] {
        let (whole, light) = read(twice);
        assert!(whole.is_some(), "{twice}");
        assert_eq!(whole, light.err(), "{twice}");
    }
    for once in [
        "[verbs.a]\nx = 1\ny = {x = 1, y = {x = 1}}\nz = [{x = 1}, {x = 1}]",
        "[verbs.a]\nx = 1\n[verbs.c]\nx = 1",
        "[verbs.a]\nx = 1\n[verbs.a.env]\nx = 1\n[verbs.a.variables.x]\nx = 1\n[verbs.a.variables.y]\nx = 1\n\
         [[verbs.a.setup]]\nx = 1\n[[verbs.a.setup]]\nx = 1\n[environments.e.verbs.a]\nx = 1",
    ] {
        assert_eq!(read(once), (None, Ok(true)), "{once}");
    }
}

#[test]
fn nesting_is_bounded() {
    for key in ["a", "[verbs.x]\na"] {
        let deep = format!("{key} = {}{}", "[".repeat(5000), "]".repeat(5000));
        let sources = [source(&deep)];
        for focus in [Focus::Everything, Focus::Verb("y")] {
            assert!(Document::read(&sources, focus).is_err());
        }
    }
}
