//! Text that is well-formed but surely unintended: shell syntax where no shell reads it, and values pasted
//! into text where they can change its meaning.

use crate::value::{Form, Operator, Part, Reference, Template};

/// Programs that take code as an argument, where `$` has its own meaning.
const READ_DOLLARS: [&str; 12] =
    ["awk", "gawk", "mawk", "nawk", "sed", "perl", "ruby", "php", "jq", "envsubst", "make", "expect"];
const SHELLS: [&str; 9] = ["sh", "dash", "ash", "bash", "rbash", "ksh", "mksh", "zsh", "fish"];
/// Variables whose values preverb keeps harmless in any text.
const HARMLESS: [&str; 4] = ["PREVERB_ENVIRONMENT", "PREVERB_VERB", "PREVERB_CPUS", "PREVERB_MEMORY_MIB"];

/// The name in the first `$NAME` without braces that looks like shell syntax: an upper-case name, or a known
/// one.
pub(super) fn bare_dollar(template: &Template, is_known: &dyn Fn(&str) -> bool) -> Option<String> {
    for part in &template.parts {
        let Part::Literal(text) = part else { continue };
        for (at, _) in text.iter().enumerate().filter(|(_, byte)| **byte == b'$') {
            let name = text[at + 1..].iter().map_while(|byte| {
                (byte.is_ascii_alphanumeric() || *byte == b'_').then_some(char::from(*byte))
            });
            let name: String = name.collect();
            let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
            let is_doubled = at > 0 && matches!(text[at - 1], b'$' | b'\\');
            let is_common = !name.contains(|c: char| c.is_ascii_lowercase()) && name.len() > 1;
            if is_name && !is_doubled && (is_common || is_known(&name)) {
                return Some(name);
            }
        }
    }
    None
}

/// The words of an argv that are literal, without the directories of a path; the others are empty.
fn literals<'t>(words: &[Option<&'t Template>]) -> Vec<&'t str> {
    let literal = |word: Option<&'t Template>| word.filter(|word| word.is_literal());
    let base = |word| literal(word).and_then(|word| word.source().rsplit('/').next());
    words.iter().map(|word| base(*word).unwrap_or_default()).collect()
}

/// Whether a program in this argv gives `$` a meaning of its own.
pub(super) fn reads_dollars(words: &[Option<&Template>]) -> bool {
    literals(words).iter().any(|word| READ_DOLLARS.contains(word))
}

/// The number of the word that is the program text of a shell.
pub(super) fn program_text(words: &[Option<&Template>]) -> Option<usize> {
    let words = literals(words);
    let mut at = words.iter().position(|word| SHELLS.contains(word))? + 1;
    let mut runs_text = false;
    while let Some(option) = words.get(at).filter(|word| word.starts_with(['-', '+'])) {
        at += 1;
        match *option {
            "--" => break,
            "--rcfile" | "--init-file" => at += 1,
            long if long.starts_with("--") => {}
            short => {
                runs_text |= short.starts_with('-') && short.contains('c');
                // Each of these options takes the next argument, as in `-euo pipefail`.
                at += short.matches(['o', 'O']).count();
            }
        }
    }
    runs_text.then_some(at)
}

/// The variables that are pasted into program text, and whether each is inside quotes.
pub(super) fn pasted(code: &Template) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    paste(&code.parts, &mut None, &mut found);
    found
}

/// `quote` is the quote that is open before the parts; afterwards, the one that is open after them.
fn paste(parts: &[Part], quote: &mut Option<u8>, found: &mut Vec<(String, bool)>) {
    for part in parts {
        match part {
            Part::Literal(text) => {
                let mut bytes = text.iter();
                while let Some(byte) = bytes.next() {
                    match (*quote, *byte) {
                        (None, b'\'' | b'"') => *quote = Some(*byte),
                        (Some(open), byte) if byte == open => *quote = None,
                        (None | Some(b'"'), b'\\') => drop(bytes.next()),
                        _ => {}
                    }
                }
            }
            Part::Variable(reference) => {
                let name = &reference.name;
                let in_quotes = quote.is_some();
                let is_quoted = reference.operator == Some(Operator::Sh) && !in_quotes;
                if inserts(reference) && !is_quoted && !HARMLESS.contains(&name.as_str()) {
                    found.push((name.clone(), in_quotes));
                }
                if reference.form != Form::Demand {
                    paste(&reference.word, &mut quote.clone(), found);
                }
            }
        }
    }
}

/// Whether the value itself goes into the text, and not only a replacement for it.
fn inserts(reference: &Reference) -> bool {
    reference.form != Form::Alternative
}

/// The first secret that goes into a URL without encoding; `in_url` is whether a URL begins before the parts.
pub(super) fn plain_in_url(
    parts: &[Part], mut in_url: bool, is_secret: &dyn Fn(&str) -> bool,
) -> Option<String> {
    for part in parts {
        match part {
            Part::Literal(text) => in_url |= text.windows(3).any(|window| window == b"://"),
            Part::Variable(reference) => {
                let is_plain = inserts(reference) && reference.operator != Some(Operator::Url);
                if in_url && is_plain && is_secret(&reference.name) {
                    return Some(reference.name.clone());
                }
                let inner = plain_in_url(&reference.word, in_url, is_secret);
                if inner.is_some() {
                    return inner;
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::parse_element(text).expect("well-formed")
    }

    #[test]
    fn a_dollar_without_braces_is_found_if_it_looks_like_a_variable() {
        let found = |text: &str| bare_dollar(&template(text), &|name| name == "known");
        assert_eq!(found("/data/$HOME/x").as_deref(), Some("HOME"));
        assert_eq!(found("a$PORT_1").as_deref(), Some("PORT_1"));
        assert_eq!(found("$known").as_deref(), Some("known"));
        for clean in
            ["${HOME}", "$$HOME", "\\$HOME", "$1", "$", "a$", "$remote_addr", "$${HOME}", "$(id)", "$x"]
        {
            assert_eq!(found(clean), None, "{clean}");
        }
    }

    #[test]
    fn the_program_text_of_a_shell_is_found() {
        let code = |argv: &[&str]| {
            let templates: Vec<Template> = argv.iter().map(|word| template(word)).collect();
            program_text(&templates.iter().map(Some).collect::<Vec<_>>())
        };
        assert_eq!(code(&["sh", "-c", "x"]), Some(2));
        assert_eq!(code(&["/bin/bash", "-euo", "pipefail", "-xc", "x", "y"]), Some(4));
        assert_eq!(code(&["bash", "-O", "extglob", "+x", "-c", "--", "x"]), Some(6));
        assert_eq!(code(&["bash", "--rcfile", "y", "-c", "x"]), Some(4));
        assert_eq!(code(&["env", "A=1", "sh", "-ec", "x"]), Some(4));
        assert_eq!(code(&["sh", "x.sh", "-c"]), None);
        assert_eq!(code(&["sh", "--rcfile", "x"]), None);
        assert_eq!(code(&["app", "-c", "x"]), None);
    }

    #[test]
    fn values_pasted_into_code_are_found_unless_they_are_quoted() {
        let names = |code: &str| {
            let found = pasted(&template(code)).into_iter();
            found.map(|(name, in_quotes)| name + if in_quotes { "!" } else { "" }).collect::<Vec<_>>()
        };
        assert_eq!(names("echo ${NAME:-admin}"), ["NAME"]);
        assert_eq!(names("echo \"${NAME@sh}\""), ["NAME!"]);
        assert_eq!(names("echo '${NAME}' ${B@url}"), ["NAME!", "B"]);
        assert_eq!(names("echo ${A:-${B}} ${C:+${D}} ${E:?${F}}"), ["A", "B", "D", "E"]);
        for clean in [
            "echo ${NAME@sh}",
            "echo \"$NAME\"",
            "echo 'it'${A@sh:-x}",
            "echo \\\"${A@sh}",
            "echo ${TLS:+--tls} ${PREVERB_ENVIRONMENT}",
        ] {
            assert_eq!(names(clean), [""; 0], "{clean}");
        }
    }

    #[test]
    fn a_secret_in_a_url_is_found_unless_it_is_encoded() {
        let found = |text: &str| plain_in_url(&template(text).parts, false, &|name| name == "S");
        assert_eq!(found("postgres://app:${S}@db/app").as_deref(), Some("S"));
        assert_eq!(found("http://db/?token=${S:-x}").as_deref(), Some("S"));
        assert_eq!(found("${URL:-http://u:${S@sh}@h}").as_deref(), Some("S"));
        for clean in
            ["postgres://app:${S@url}@db", "${S}", "token=${S}", "http://${HOST}", "http://h/${S:+x}"]
        {
            assert_eq!(found(clean), None, "{clean}");
        }
    }
}
