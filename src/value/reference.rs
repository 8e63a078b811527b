//! The grammar of `${...}`: parses a text into literal parts and references to variables. Pure.

use crate::text::choice::choice;
use crate::text::escape::escaped;
use crate::text::names::{is_variable_name, split_name};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(Vec<u8>),
    Variable(Reference),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) name: String,
    /// The encoding of the value: the name after the `@`.
    pub(crate) operator: Option<Operator>,
    /// Whether an empty value counts as unset: the form has a colon.
    pub(crate) empty_is_unset: bool,
    pub(crate) form: Form,
    /// The text after the sign of the form.
    pub(crate) word: Vec<Part>,
}

choice! {
    /// An encoding that keeps a value in one piece inside another text.
    Operator { Url = "url", Json = "json", Sh = "sh", Words = "words" }
}

choice! {
    /// What a missing value means: the sign after the name. The others are followed by a word.
    Form { Plain = "}", Default = "-", Demand = "?", Alternative = "+" }
}

pub(crate) struct Parser<'t> {
    pub(crate) rest: &'t [u8],
    /// The number of `@words` so far.
    pub(crate) words: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    pub(crate) fn new(text: &'t [u8]) -> Self {
        Self { rest: text, words: 0, depth: 0 }
    }

    /// All parts up to the end of the text, or inside a `${...}` up to its `}`.
    pub(crate) fn parts(&mut self) -> Result<Vec<Part>, String> {
        let mut parts = Vec::new();
        while let Some(part) = self.part()? {
            parts.push(part);
        }
        Ok(parts)
    }

    /// The next part, which is literal or one `${...}`.
    pub(crate) fn part(&mut self) -> Result<Option<Part>, String> {
        let mut literal = Vec::new();
        loop {
            match self.rest {
                [b'$', b'$', b'{', rest @ ..] => {
                    literal.extend_from_slice(b"${");
                    self.rest = rest;
                }
                [b'$', b'{', rest @ ..] if literal.is_empty() => {
                    self.rest = rest;
                    return self.reference().map(|reference| Some(Part::Variable(reference)));
                }
                [] | [b'$', b'{', ..] => break,
                [b'}', ..] if self.depth > 0 => break,
                [byte, rest @ ..] => {
                    literal.push(*byte);
                    self.rest = rest;
                }
            }
        }
        Ok((!literal.is_empty()).then_some(Part::Literal(literal)))
    }

    fn reference(&mut self) -> Result<Reference, String> {
        // Each level is a call, so the depth is limited to protect the stack.
        if self.depth >= 32 {
            return Err("`${` is nested more than 32 deep".to_owned());
        }
        let (name, mut rest) = split_name(self.rest);
        if !is_variable_name(name) {
            let shown = escaped(&self.rest[..self.rest.len().min(name.len() + 1)]);
            return Err(format!("`${{{shown}` does not name a variable"));
        }
        let name = String::from_utf8_lossy(name).into_owned();
        let mut operator = None;
        if let [b'@', after @ ..] = rest {
            let length = after.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            let (word, after) = after.split_at(length);
            let word = escaped(word);
            operator = Some(Operator::parse(&word).ok_or_else(|| {
                format!("`${{{name}@{word}` is followed by none of `@url`, `@json`, `@sh`, `@words`")
            })?);
            self.words += usize::from(operator == Some(Operator::Words));
            rest = after;
        }
        let (empty_is_unset, rest) = rest.strip_prefix(b":").map_or((false, rest), |rest| (true, rest));
        let open = || format!("`${{{name}` is not closed by a `}}`");
        let (sign, after) = rest.split_at_checked(1).ok_or_else(open)?;
        let form = std::str::from_utf8(sign).ok().and_then(Form::parse);
        let form = form.filter(|form| *form != Form::Plain || !empty_is_unset).ok_or_else(|| {
            format!("`${{{name}` is followed by none of `}}`, `:-`, `-`, `:?`, `?`, `:+`, `+`, `@`")
        })?;
        self.rest = if form == Form::Plain { rest } else { after };
        self.depth += 1;
        let word = self.parts()?;
        self.depth -= 1;
        self.rest = self.rest.strip_prefix(b"}").ok_or_else(open)?;
        Ok(Reference { name, operator, empty_is_unset, form, word })
    }
}
