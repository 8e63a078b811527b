//! The line of a table that a mistake is in, without what may be a secret.
//!
//! Knows texts that may be no TOML at all. Must not know what is wrong with them.

use toml_parser::Source as Tokens;
use toml_parser::lexer::TokenKind;

use super::document::{Document, Focus, Place, Source, Span};
use super::select::Tree;

/// The offending line and the line that marks the place in it.
pub(crate) fn excerpt(place: &Place<'_>, sources: &[Source], span: Span) -> (String, String) {
    let number = place.line.to_string();
    let before: String = place.text.chars().take(place.column - 1).collect();
    let indent = crate::text::escape::escaped(before.replace('\t', " ").as_bytes()).chars().count();
    let concealed = concealed(sources, span);
    let shown = concealed.as_deref().unwrap_or(place.text);
    let mut text = crate::text::escape::escaped(shown.replace('\t', " ").as_bytes());
    // A line can be of any length; what is shown of it is not.
    if text.chars().count() > 200 {
        text = text.chars().take(200).collect::<String>() + "...";
    }
    let source = sources.get(usize::from(span.file)).map_or("", |source| &source.text);
    let marked = source.get(span.start as usize..span.end as usize).unwrap_or_default();
    let mut width = marked.lines().next().unwrap_or_default().chars().count().clamp(1, 40);
    if concealed.is_some() {
        // The width of what is marked would tell how long it is.
        width = width.min(text.chars().count().saturating_sub(indent).max(1));
    }
    let indent = indent.min(text.chars().count());
    let line = format!("{number} | {text}");
    let mark = format!("{} | {}{}", " ".repeat(number.len()), " ".repeat(indent), "^".repeat(width));
    (line, mark)
}

/// What is shown of the line that a place is in, where it is not all of it.
///
/// Which variables are a secret can stand in another layer and in another file; and in a text that is no TOML nobody can
/// tell, nor where a value ends. So there, once a word says `secret`, no `env` and no `variables` is shown.
pub(crate) fn concealed(sources: &[Source], span: Span) -> Option<String> {
    let secrets = match Document::read(sources, Focus::Everything) {
        Ok(document) => Some(Tree::new(&document).secrets()),
        Err(_) if sources.iter().any(|source| mentions(&source.text, &["secret"])) => None,
        Err(_) => return None,
    };
    let source = sources.get(usize::from(span.file))?;
    let (mut rest, mut inside, mut header, mut here) = (span.start as usize, false, "", "");
    let mut statements = statements(&source.text).into_iter().peekable();
    while let Some(statement) = statements.next() {
        here = statement;
        let names = mentions(here, &["env", "variables"]);
        if here.trim_start().starts_with('[') {
            (inside, header) = (names, here);
        } else if secrets.is_none() {
            inside |= names;
        }
        if rest < here.len() || statements.peek().is_none() {
            inside |= names;
            break;
        }
        rest -= here.len();
    }
    let of_a_secret = |text: &str| match &secrets {
        None => true,
        Some(secrets) => {
            secrets.iter().any(|name| text.contains(&**name)) || !secrets.is_empty() && has_escapes(text)
        }
    };
    if !inside || !(of_a_secret(header) || of_a_secret(here)) {
        return None;
    }
    let line = here.lines().next().unwrap_or_default();
    let goes_on = here.as_bytes().iter().take(rest).any(|byte| *byte == b'\n');
    let head = line.split('#').next().unwrap_or_default().trim();
    if !goes_on && head.starts_with('[') && head.find(']') == Some(head.trim_end_matches(']').len()) {
        return None;
    }
    let key = line.split_once('=').filter(|_| secrets.is_some() && !goes_on).map(|(key, _)| key);
    Some(key.map(|key| format!("{key}= ")).unwrap_or_default() + crate::text::escape::MASK)
}

/// Whether one of the words stands in the text, or may stand there in an escaped form.
fn mentions(text: &str, words: &[&str]) -> bool {
    let is_apart = |c: char| !(c.is_alphanumeric() || c == '_' || c == '-');
    text.split(is_apart).any(|word| words.contains(&word)) || has_escapes(text)
}

/// Whether there are characters in the text that are written as something else.
fn has_escapes(text: &str) -> bool {
    ["\\u", "\\U", "\\x"].iter().any(|escape| text.contains(escape))
}

/// The text in pieces, each with its line end: a header, a key with its value, or an empty line. Brackets and strings
/// alone tell them apart.
fn statements(text: &str) -> Vec<&str> {
    let (mut statements, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other tokens open and close nothing")]
    for token in Tokens::new(text).lex() {
        match token.kind() {
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => depth += 1,
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => depth = depth.saturating_sub(1),
            TokenKind::Newline if depth == 0 => {
                statements.extend(text.get(start..token.span().end()));
                start = token.span().end();
            }
            _ => {}
        }
    }
    statements.extend(text.get(start..));
    statements
}
