//! The grammar of `${...}`: parses a text into literal parts and references to variables. Pure.

use crate::text::escape::escaped;
use crate::text::names::is_variable_name;

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
}

/// An encoding that keeps a value in one piece inside another text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Url,
    Json,
    Sh,
    Words,
}

impl Operator {
    pub(crate) const NAMES: [(&'static str, Self); 4] =
        [("url", Self::Url), ("json", Self::Json), ("sh", Self::Sh), ("words", Self::Words)];
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    /// `${N-word}`
    Default(Vec<Part>),
    /// `${N?message}`
    Demand(Vec<Part>),
    /// `${N+word}`
    Alternative(Vec<Part>),
}

impl Form {
    pub(crate) fn word(&self) -> &[Part] {
        match self {
            Self::Plain => &[],
            Self::Default(word) | Self::Demand(word) | Self::Alternative(word) => word,
        }
    }
}

pub(crate) fn parts(text: &[u8]) -> Result<Vec<Part>, String> {
    Parser { rest: text, depth: 0 }.parts(Until::End)
}

/// The first part of a text, which is literal or one `${...}`, and the rest.
pub(crate) fn first_part(text: &[u8]) -> Result<(Option<Part>, &[u8]), String> {
    let mut parser = Parser { rest: text, depth: 0 };
    let part = parser.part(Until::End)?;
    Ok((part, parser.rest))
}

pub(crate) fn has_words(part: &Part) -> bool {
    match part {
        Part::Literal(_) => false,
        Part::Variable(reference) => {
            reference.operator == Some(Operator::Words) || reference.form.word().iter().any(has_words)
        }
    }
}

pub(crate) fn misplaced_words() -> String {
    "`@words` must be a whole element of `exec`, `args`, `args-after` or `run`".to_owned()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    End,
    Brace,
}

struct Parser<'t> {
    rest: &'t [u8],
    depth: usize,
}

impl Parser<'_> {
    fn parts(&mut self, until: Until) -> Result<Vec<Part>, String> {
        let mut parts = Vec::new();
        while let Some(part) = self.part(until)? {
            parts.push(part);
        }
        Ok(parts)
    }

    fn part(&mut self, until: Until) -> Result<Option<Part>, String> {
        let mut literal = Vec::new();
        loop {
            match self.rest {
                [b'$', b'$', b'{', rest @ ..] => {
                    literal.extend_from_slice(b"${");
                    self.rest = rest;
                }
                [b'$', b'{', rest @ ..] => {
                    if !literal.is_empty() {
                        return Ok(Some(Part::Literal(literal)));
                    }
                    self.rest = rest;
                    return self.reference().map(|reference| Some(Part::Variable(reference)));
                }
                [b'}', ..] if until == Until::Brace => break,
                [byte, rest @ ..] => {
                    literal.push(*byte);
                    self.rest = rest;
                }
                [] => break,
            }
        }
        Ok((!literal.is_empty()).then_some(Part::Literal(literal)))
    }

    fn reference(&mut self) -> Result<Reference, String> {
        // Each level is a call, so the depth is limited to protect the stack.
        if self.depth >= 32 {
            return Err("`${` is nested more than 32 deep".to_owned());
        }
        let length = self.rest.iter().take_while(|b| b.is_ascii_alphanumeric() || b"_.".contains(b)).count();
        let (name, rest) = self.rest.split_at(length);
        if !is_variable_name(name) {
            let shown = escaped(&self.rest[..self.rest.len().min(length + 1)]);
            return Err(format!("`${{{shown}` does not name a variable"));
        }
        let name = String::from_utf8_lossy(name).into_owned();
        let (mut operator, mut rest) = (None, rest);
        if let [b'@', after @ ..] = rest {
            let length = after.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            let (word, after) = after.split_at(length);
            operator = Operator::NAMES.into_iter().find(|(name, _)| name.as_bytes() == word);
            if operator.is_none() {
                let shown = escaped(word);
                return Err(format!(
                    "`${{{name}@{shown}` is followed by none of `@url`, `@json`, `@sh`, `@words`"
                ));
            }
            rest = after;
        }
        let operator = operator.map(|(_, operator)| operator);
        let (empty_is_unset, rest) = rest.strip_prefix(b":").map_or((false, rest), |rest| (true, rest));
        let open = || format!("`${{{name}` is not closed by a `}}`");
        let (sign, rest) = rest.split_first().ok_or_else(open)?;
        self.rest = rest;
        let form = match sign {
            b'}' if !empty_is_unset => {
                return Ok(Reference { name, operator, empty_is_unset, form: Form::Plain });
            }
            b'-' => Form::Default,
            b'?' => Form::Demand,
            b'+' => Form::Alternative,
            _ => {
                return Err(format!(
                    "`${{{name}` is followed by none of `}}`, `:-`, `-`, `:?`, `?`, `:+`, `+`, `@`"
                ));
            }
        };
        self.depth += 1;
        let form = form(self.parts(Until::Brace)?);
        self.depth -= 1;
        self.rest = self.rest.strip_prefix(b"}").ok_or_else(open)?;
        Ok(Reference { name, operator, empty_is_unset, form })
    }
}
