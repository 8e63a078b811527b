//! Parses the files of `env-file`: lines `NAME=value`. Nothing is expanded or run. Pure.

use crate::text::names::is_variable_name;
use crate::text::url::halves;

const CARRIAGE_RETURN: &str = "it ends in a carriage return: the file has Windows line endings";
const BACKSLASH: &str = "a backslash in `\"…\"` can only stand before `\\`, `\"`, `$` and `n`";
const NUL: &str = "it contains a NUL character, which a variable cannot hold";

type Settings = Vec<(Vec<u8>, Vec<u8>)>;

/// The variables of a file, or the line of the first mistake and a reason without a part of the file, which
/// may be a secret.
pub(crate) fn parse(text: &[u8]) -> Result<Settings, (usize, &'static str)> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let mut variables = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        // Every rest ends where the text does.
        let mistake = |(left, reason): Misplaced<'_>| {
            let before = &text[..text.len() - left.len()];
            (1 + before.iter().filter(|byte| **byte == b'\n').count(), reason)
        };
        let here = |reason| Err(mistake((rest, reason)));
        let (line, after_line) = halves(rest, b'\n').unwrap_or((rest, &[]));
        if line.contains(&0) {
            return here(NUL);
        }
        if line.ends_with(b"\r") {
            return here(CARRIAGE_RETURN);
        }
        let content = line.trim_ascii_start();
        if content.is_empty() || content.starts_with(b"#") {
            rest = after_line;
            continue;
        }
        let content = match content.strip_prefix(b"export") {
            Some(after @ [b' ' | b'\t', ..]) => after.trim_ascii_start(),
            _ => content,
        };
        let Some((name, value)) = halves(content, b'=') else { return here("it is not `NAME=value`") };
        if !is_variable_name(name) {
            return here("the text before the `=` is not a variable name");
        }
        let (value, after) = if let [quote @ (b'\'' | b'"'), ..] = value {
            // The quoted value may end on a later line.
            let inside = &rest[line.len() - value.len() + 1..];
            match quoted(inside, *quote).map_err(mistake)? {
                (value, [b'\n', after @ ..]) => (value, after),
                (value, []) => (value, &[][..]),
                (_, after) => return Err(mistake((after, "text follows the closing quote"))),
            }
        } else {
            (value.to_vec(), after_line)
        };
        variables.push((name.to_vec(), value));
        rest = after;
    }
    Ok(variables)
}

/// The text from a mistake on, and its reason.
type Misplaced<'t> = (&'t [u8], &'static str);

/// Parses a text after an opening quote: the value, and the text after the closing quote.
fn quoted(text: &[u8], quote: u8) -> Result<(Vec<u8>, &[u8]), Misplaced<'_>> {
    let (mut value, mut rest) = (Vec::new(), text);
    loop {
        let (byte, after) = match rest {
            [] => return Err((text, "its quote is not closed")),
            [0, ..] => return Err((rest, NUL)),
            [b'\r', b'\n', ..] => return Err((rest, CARRIAGE_RETURN)),
            [byte, after @ ..] if *byte == quote => return Ok((value, after)),
            [b'\\', byte @ (b'\\' | b'"' | b'$'), after @ ..] if quote == b'"' => (byte, after),
            [b'\\', b'n', after @ ..] if quote == b'"' => (&b'\n', after),
            [b'\\', _, ..] if quote == b'"' => return Err((rest, BACKSLASH)),
            [byte, after @ ..] => (byte, after),
        };
        value.push(*byte);
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn yields(text: &str, expected: &[(&str, &str)]) {
        let parsed = parse(text.as_bytes()).expect("well-formed");
        let parsed: Vec<(String, String)> = parsed
            .into_iter()
            .map(|(name, value)| {
                (String::from_utf8_lossy(&name).into(), String::from_utf8_lossy(&value).into())
            })
            .collect();
        let expected: Vec<(String, String)> =
            expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(parsed, expected, "{text:?}");
    }

    #[track_caller]
    fn refused(text: &str, line: usize, part: &str) {
        let (found, reason) = parse(text.as_bytes()).expect_err("malformed");
        assert_eq!(found, line, "{text:?}: {reason}");
        assert!(reason.contains(part), "{text:?}: {reason}");
    }

    #[test]
    fn a_plain_value_is_verbatim_to_the_end_of_its_line() {
        yields("", &[]);
        yields("A=1", &[("A", "1")]);
        yields("\u{feff}A=1\nA=2\n", &[("A", "1"), ("A", "2")]);
        yields("A=\nb.c= x # y \n", &[("A", ""), ("b.c", " x # y ")]);
        yields("\n  \t\n# A=1\n \t# B=2\n\tC=3\n", &[("C", "3")]);
        yields("export A=1\n export\t B=$(id) `id` ${A} \\n\n", &[("A", "1"), ("B", "$(id) `id` ${A} \\n")]);
        yields("A=x\"y' z\nexport=1\nexport_=2\n", &[("A", "x\"y' z"), ("export", "1"), ("export_", "2")]);
        yields("A=b\rc\n", &[("A", "b\rc")]);
        assert_eq!(parse(b"A=\xff").expect("bytes"), [(b"A".to_vec(), b"\xff".to_vec())]);
    }

    #[test]
    fn quotes_may_contain_newlines_and_only_double_quotes_have_escapes() {
        yields("A='a\\n\"$x\nB=2'\nC=3", &[("A", "a\\n\"$x\nB=2"), ("C", "3")]);
        yields("A=\"a\\\\b\\\"c\\nd\\$e 'f' $g\n# h\"\n", &[("A", "a\\b\"c\nd$e 'f' $g\n# h")]);
        yields("A=''\nB=\"\"", &[("A", ""), ("B", "")]);
    }

    #[test]
    fn anything_else_is_refused_with_its_line() {
        refused("A=1\nB\n", 2, "not `NAME=value`");
        refused("A=1\n\n1B=2\n", 3, "name");
        refused("A =1\n", 1, "name");
        refused("export\n", 1, "not `NAME=value`");
        refused("set A=1\n", 1, "name");
        refused("A=1\r\n", 1, "carriage return");
        refused("A=1\n\r\n", 2, "carriage return");
        refused("# x\r\n", 1, "carriage return");
        refused("A='1'\r\n", 1, "carriage return");
        refused("A='1\n2\r\n3'\n", 2, "carriage return");
        refused("A=1\nB='2\n3\n", 2, "not closed");
        refused("A=\"2\\\"\n", 1, "not closed");
        refused("A='1' \n", 1, "follows");
        refused("A=\"1\n2\"3\n", 2, "follows");
        refused("A=\"1\n\\t\"\n", 2, "backslash");
        refused("A=1\nB=\0\n", 2, "NUL");
        refused("A='\n\0'\n", 2, "NUL");
    }
}
