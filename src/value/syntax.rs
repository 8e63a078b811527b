//! Messages about TOML syntax errors. Pure.

use std::ops::Range;

use ::toml::de::DeTable;

use crate::text::log::quoted;

type Wrong = (Range<usize>, String);

/// In a larger text, only the first syntax error is reported.
const LARGE: usize = 256 << 10;

/// The tree of a text, if keys defined twice are its only mistakes; the first definition counts.
pub(super) fn parse(text: &str) -> (Option<DeTable<'_>>, Vec<Wrong>) {
    // Each mistake costs memory, and a text may consist only of mistakes.
    let first = (text.len() > LARGE).then(|| DeTable::parse(text).err()).flatten();
    let (text, table, errors) = if let Some(error) = first {
        ("", None, vec![error])
    } else {
        let (table, errors) = DeTable::parse_recoverable(text);
        (text, Some(table.into_inner()), errors)
    };
    let (mut mistakes, mut twice) = (Vec::new(), Vec::new());
    for error in errors {
        let (span, message) = (error.span().unwrap_or_default(), error.message());
        if message.starts_with("duplicate key") || message.starts_with("cannot extend ") {
            twice.push(span);
        } else {
            mistakes.push((span, in_words(message)));
        }
    }
    let table = table.filter(|_| mistakes.is_empty());
    if !twice.is_empty() {
        twice.sort_unstable_by_key(|span| span.start);
        twice.dedup();
        defined_twice(text, &twice, &mut mistakes);
    }
    (table, mistakes)
}

/// Words an error of the `toml` crate like our other messages.
fn in_words(message: &str) -> String {
    if message.starts_with("cannot recurse") || message.starts_with("recursion limit") {
        return "arrays, tables or keys are nested too deep".to_owned();
    }
    match message.split_once(", expected ") {
        None => message.to_owned(),
        Some((what, "nothing")) => what.to_owned(),
        Some((what, expected)) => {
            let expected = expected.replace("newline", "the end of the line").replace(", ", " or ");
            format!("{what}, expected {expected}")
        }
    }
}

/// Reports the keys that are defined twice, in the order of the text. The `toml` crate does not say where the
/// first definition is, so the text is parsed again with a unique name in place of each duplicate.
fn defined_twice(text: &str, twice: &[Range<usize>], mistakes: &mut Vec<Wrong>) {
    let mut mark = "twice".to_owned();
    while text.contains(&mark) {
        mark.push('.');
    }
    let (mut marked, mut done) = (String::with_capacity(text.len() + twice.len() * 16), 0);
    for (number, span) in twice.iter().enumerate() {
        marked.push_str(text.get(done..span.start).unwrap_or_default());
        marked.extend(["\"", &mark, &number.to_string(), "\""]);
        done = span.end;
    }
    marked.push_str(text.get(done..).unwrap_or_default());
    let (tree, _) = DeTable::parse_recoverable(&marked);
    let names: Vec<String> = twice.iter().map(|span| key_of(text.get(span.clone()))).collect();
    let mut lines = vec![None; twice.len()];
    let mut tables = vec![tree.get_ref()];
    while let Some(table) = tables.pop() {
        for (key, value) in table {
            let number = key.get_ref().strip_prefix(&mark).and_then(|number| number.parse::<usize>().ok());
            if let Some(number) = number.filter(|number| *number < names.len()) {
                let first = table.get_key_value(names[number].as_str()).map(|(first, _)| first.span().start);
                let before = first.and_then(|start| marked.get(..start));
                lines[number] = Some(before.map(|before| before.matches('\n').count() + 1));
            }
            tables.extend(value.get_ref().as_table());
            let items = value.get_ref().as_array().into_iter().flatten();
            tables.extend(items.filter_map(|item| item.get_ref().as_table()));
        }
    }
    for ((span, name), line) in twice.iter().zip(names).zip(lines) {
        let first = match line {
            Some(Some(line)) => format!(", first in line {line}"),
            // It is in a table whose header is also a duplicate, which is reported.
            Some(None) => continue,
            None => String::new(),
        };
        mistakes.push((span.clone(), format!("{} is defined twice{first}", quoted(name))));
    }
}

fn key_of(written: Option<&str>) -> String {
    let text = format!("{} = 0", written.unwrap_or_default());
    let (table, _) = DeTable::parse_recoverable(&text);
    table.get_ref().keys().next().map_or_else(String::new, |key| key.get_ref().to_string())
}
