//! The errors of the tokenizer and the grammar, in words. Knows `toml_parser`'s way to tell them, and nothing of the tree.

use toml_parser::{ErrorSink, ParseError};

use super::{Mistake, Span, mistake, span};

/// Collects the errors of the tokenizer and the grammar.
pub(super) struct Errors {
    pub(super) file: u16,
    pub(super) found: Vec<Mistake>,
}

impl ErrorSink for Errors {
    fn report_error(&mut self, error: ParseError) {
        let at = error.unexpected().or_else(|| error.context());
        let span = at.map_or(span(self.file, 0, 0), |at| self.convert(at));
        let mut message = error.description().to_owned();
        if let Some(expected) = error.expected().filter(|expected| !expected.is_empty()) {
            let words: Vec<String> = expected.iter().map(expected_name).collect();
            message.push_str(", expected ");
            message.push_str(&words.join(" or "));
        }
        self.found.push(mistake(span, message));
    }
}

impl Errors {
    fn convert(&self, at: toml_parser::Span) -> Span {
        let number = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        span(self.file, number(at.start()), number(at.end()))
    }
}

fn expected_name(expected: &toml_parser::Expected) -> String {
    match expected {
        toml_parser::Expected::Literal("\n") => "the end of the line".to_owned(),
        toml_parser::Expected::Literal(literal) => format!("`{literal}`"),
        toml_parser::Expected::Description(text) => (*text).to_owned(),
        other => format!("{other:?}"),
    }
}
