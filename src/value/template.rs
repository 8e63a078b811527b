//! `${...}`: parsed once, expanded against variables when its turn comes.
//!
//! The forms and their meanings are the shell's (POSIX, 2.6.2 Parameter Expansion) without word
//! splitting, globbing and command substitution: one string stays one string. Pure.

use crate::text::escape::MASK;
use crate::text::names::is_variable_name;
use crate::value::variables::Variables;

/// A string of the table with its `${...}` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    /// As it is written in the table.
    source: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Variable(Reference),
}

/// One `${NAME...}`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reference {
    name: String,
    /// Whether an empty value counts as unset: the colon.
    empty_is_unset: bool,
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// `${N}`
    Plain,
    /// `${N-word}`
    Default(Vec<Part>),
    /// `${N?message}`
    Demand(Vec<Part>),
    /// `${N+word}`
    Alternative(Vec<Part>),
}

/// What an expansion yields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Expanded {
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// Whether a secret went in: then it is shown nowhere.
    pub(crate) secret: bool,
}

impl Expanded {
    /// What no secret went into.
    pub(crate) fn open(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), secret: false }
    }

    /// The value as it may be shown: escaped, or `***`.
    pub(crate) fn shown(&self) -> String {
        if self.secret { MASK.to_owned() } else { crate::text::escape::escaped(&self.bytes) }
    }
}

/// A variable that is needed is not set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unset {
    /// Which.
    pub(crate) name: String,
    /// What `${N?message}` says of it.
    pub(crate) message: Option<Expanded>,
    /// Whether it is set, but empty, and must not be.
    pub(crate) empty: bool,
}

impl Unset {
    /// The sentence about it.
    pub(crate) fn sentence(&self) -> String {
        let state = if self.empty { "is empty" } else { "is not set" };
        match &self.message {
            Some(message) if !message.bytes.is_empty() => {
                format!("variable `{}` {state}: {}", self.name, message.shown())
            }
            _ => format!("variable `{}` {state}", self.name),
        }
    }
}

impl Template {
    /// Finds the `${...}` in `source`.
    ///
    /// # Errors
    /// Says what is malformed, for a message that names the place.
    pub(crate) fn parse(source: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: source.as_bytes(), depth: 0 };
        let parts = parser.parts(Until::End)?;
        Ok(Self { source: source.to_owned(), parts })
    }

    /// As it is written in the table.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The value against these variables.
    ///
    /// # Errors
    /// The first variable that is needed and not set.
    pub(crate) fn expand(&self, variables: &Variables) -> Result<Expanded, Unset> {
        self.expand_all(variables).map_err(|mut missing| missing.swap_remove(0))
    }

    /// The value against these variables.
    ///
    /// # Errors
    /// Every variable that is needed and not set, in the order in which they stand; at least one.
    pub(crate) fn expand_all(&self, variables: &Variables) -> Result<Expanded, Vec<Unset>> {
        let mut out = Expanded::default();
        let mut missing = Vec::new();
        expand_into(&self.parts, variables, &mut out, &mut missing);
        if missing.is_empty() { Ok(out) } else { Err(missing) }
    }

    /// The names that stand in it, also those inside of words that may not be used.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        collect_names(&self.parts, &mut names);
        names
    }

    /// Whether anything is expanded in it.
    pub(crate) fn is_literal(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Literal(_)))
    }
}

/// Expands text that is not the table's own: a file of `render`, which need not be UTF-8.
///
/// # Errors
/// Every variable that is not set, each once, with the first line that needs it; where there is none, the line of a
/// malformed `${` and what is wrong.
pub(crate) fn expand_text(text: &[u8], variables: &Variables) -> Result<Expanded, TextError> {
    let mut out = Expanded::default();
    let mut unset: Vec<(usize, Unset)> = Vec::new();
    let ended = pieces(text, |line, part| {
        let mut missing = Vec::new();
        expand_into(std::slice::from_ref(&part), variables, &mut out, &mut missing);
        missing.retain(|each| unset.iter().all(|(_, told)| told.name != each.name));
        unset.extend(missing.into_iter().map(|each| (line, each)));
    });
    match ended {
        Ok(()) | Err(_) if !unset.is_empty() => Err(TextError::Unset(unset)),
        Ok(()) => Ok(out),
        Err(malformed) => Err(TextError::Malformed(malformed)),
    }
}

/// The `${...}` of a text that is not the table's own, each with its line, up to the first that is malformed;
/// then its line and what is wrong with it.
pub(crate) fn references(text: &[u8]) -> (Vec<(usize, Template)>, Option<Malformed>) {
    let mut found = Vec::new();
    let ended = pieces(text, |line, part| {
        if matches!(part, Part::Variable(_)) {
            found.push((line, Template { source: String::new(), parts: vec![part] }));
        }
    });
    (found, ended.err())
}

/// A `${` that is none of the forms.
#[derive(Debug)]
pub(crate) struct Malformed {
    /// The line that it starts in.
    pub(crate) line: usize,
    /// What is wrong with it.
    pub(crate) reason: String,
}

/// Gives the parts of a text with their lines to `take`, one after the other.
fn pieces(text: &[u8], mut take: impl FnMut(usize, Part)) -> Result<(), Malformed> {
    let mut parser = Parser { rest: text, depth: 0 };
    let (mut line, mut counted) = (1, text);
    while !parser.rest.is_empty() {
        let passed = &counted[..counted.len() - parser.rest.len()];
        line += passed.iter().filter(|byte| **byte == b'\n').count();
        counted = parser.rest;
        let part = parser.part(Until::End).map_err(|reason| Malformed { line, reason })?;
        let Some(part) = part else { break };
        take(line, part);
    }
    Ok(())
}

/// Why a text could not be expanded.
#[derive(Debug)]
pub(crate) enum TextError {
    /// A `${` that is none of the forms.
    Malformed(Malformed),
    /// These variables are not set: the line that needs it, and which. At least one.
    Unset(Vec<(usize, Unset)>),
}

fn expand_into(parts: &[Part], variables: &Variables, out: &mut Expanded, missing: &mut Vec<Unset>) {
    for part in parts {
        match part {
            Part::Literal(bytes) => out.bytes.extend_from_slice(bytes),
            Part::Variable(reference) => expand_reference(reference, variables, out, missing),
        }
    }
}

fn expand_reference(
    reference: &Reference,
    variables: &Variables,
    out: &mut Expanded,
    missing: &mut Vec<Unset>,
) {
    let found = variables.get(reference.name.as_bytes());
    let present = found.filter(|found| !(reference.empty_is_unset && found.value.is_empty()));
    match (&reference.form, present) {
        (Form::Alternative(word), Some(found)) => {
            // Which of two words stands here tells whether a secret is set, not what it is.
            let _ = found;
            expand_into(word, variables, out, missing);
        }
        (Form::Plain | Form::Default(_) | Form::Demand(_), Some(found)) => {
            out.bytes.extend_from_slice(found.value);
            out.secret |= found.secret;
        }
        (Form::Alternative(_), None) => {}
        (Form::Default(word), None) => expand_into(word, variables, out, missing),
        (Form::Plain, None) => {
            missing.push(Unset { name: reference.name.clone(), message: None, empty: false });
        }
        (Form::Demand(word), None) => {
            let mut message = Expanded::default();
            let before = missing.len();
            expand_into(word, variables, &mut message, missing);
            // As in the shell, what the message itself misses is told instead of it.
            if missing.len() == before {
                let message = Some(message);
                missing.push(Unset { name: reference.name.clone(), message, empty: found.is_some() });
            }
        }
    }
}

fn collect_names<'t>(parts: &'t [Part], names: &mut Vec<&'t str>) {
    for part in parts {
        if let Part::Variable(reference) = part {
            names.push(&reference.name);
            match &reference.form {
                Form::Plain => {}
                Form::Demand(word) | Form::Default(word) | Form::Alternative(word) => {
                    collect_names(word, names);
                }
            }
        }
    }
}

/// Where a run of parts ends.
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

    /// The next part, or `None` at the end of the run.
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

    /// What follows `${`, up to and with its brace.
    fn reference(&mut self) -> Result<Reference, String> {
        // Each level is a call; a text must not decide how deep the stack gets.
        if self.depth >= 32 {
            return Err("`${` is nested more than 32 deep".to_owned());
        }
        let length = self.rest.iter().take_while(|b| b.is_ascii_alphanumeric() || b"_.".contains(b)).count();
        let (name, rest) = self.rest.split_at(length);
        if !is_variable_name(name) {
            let shown = crate::text::escape::escaped(&self.rest[..self.rest.len().min(length + 1)]);
            return Err(format!("`${{{shown}` does not name a variable"));
        }
        let name = String::from_utf8_lossy(name).into_owned();
        let (empty_is_unset, rest) = match rest {
            [b':', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let operator = rest.first().copied();
        if operator.is_none() {
            return Err(format!("`${{{name}` is not closed by a `}}`"));
        }
        if operator == Some(b'}') && !empty_is_unset {
            self.rest = &rest[1..];
            return Ok(Reference { name, empty_is_unset, form: Form::Plain });
        }
        self.rest = rest.get(1..).unwrap_or_default();
        let word = |parser: &mut Self| {
            parser.depth += 1;
            let word = parser.parts(Until::Brace)?;
            parser.depth -= 1;
            match parser.rest {
                [b'}', rest @ ..] => parser.rest = rest,
                _ => return Err(format!("`${{{name}` is not closed by a `}}`")),
            }
            Ok(word)
        };
        let form = match operator {
            Some(b'-') => Form::Default(word(self)?),
            Some(b'?') => Form::Demand(word(self)?),
            Some(b'+') => Form::Alternative(word(self)?),
            _ => {
                return Err(format!(
                    "`${{{name}` is followed by none of `}}`, `:-`, `-`, `:?`, `?`, `:+`, `+`"
                ));
            }
        };
        Ok(Reference { name, empty_is_unset, form })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::variables::Origin;

    fn variables() -> Variables {
        let mut variables = Variables::default();
        variables.set(b"SET", b"value", Origin::Inherited, false);
        variables.set(b"EMPTY", Vec::new(), Origin::Inherited, false);
        variables.set(b"my.var", b"dotted", Origin::Inherited, false);
        variables.set(b"SECRET", b"hunter2", Origin::Inherited, true);
        variables
    }

    #[track_caller]
    fn yields(template: &str, expected: &str) {
        let expanded = Template::parse(template).expect("well-formed").expand(&variables());
        assert_eq!(String::from_utf8_lossy(&expanded.expect("all set").bytes), expected, "{template}");
    }

    #[track_caller]
    fn malformed(template: &str) {
        assert!(Template::parse(template).is_err(), "{template}");
    }

    #[test]
    fn every_form_means_what_the_shell_means() {
        yields("a${SET}b", "avalueb");
        yields("${EMPTY}", "");
        yields("${EMPTY:-d}${EMPTY-d}${NONE-d}${NONE:-d}", "ddd");
        yields("${SET:+a}${EMPTY:+a}${EMPTY+b}${NONE+c}", "ab");
        yields("${SET:?m}${EMPTY?m}", "value");
        yields("${NONE:-a${SET}${NONE-b${NONE-c}}}", "avaluebc");
        yields("${my.var}", "dotted");
        yields("${SET:-}}", "value}");
    }

    #[test]
    fn every_other_dollar_is_itself() {
        yields("$SET $ $$ $$$ $1 $(x) {} }", "$SET $ $$ $$$ $1 $(x) {} }");
        yields("$${SET} $$${SET}", "${SET} $${SET}");
        yields("${NONE:-$${x}", "${x");
    }

    #[test]
    fn an_unset_variable_is_an_error_and_never_empty() {
        let unset = |template: &str| {
            Template::parse(template).expect("well-formed").expand(&variables()).expect_err("unset")
        };
        assert_eq!(unset("${NONE}").sentence(), "variable `NONE` is not set");
        assert_eq!(unset("${NONE?give ${SET}}").sentence(), "variable `NONE` is not set: give value");
        assert_eq!(unset("${EMPTY:?}").sentence(), "variable `EMPTY` is empty");
        assert_eq!(unset("${NONE:?${SECRET}}").sentence(), "variable `NONE` is not set: ***");
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for template in [
            "${",
            "${}",
            "${SET",
            "${1}",
            "${a b}",
            "${SET:}",
            "${SET=x}",
            "${SET:-${}",
            "${SET:-",
            "${-x}",
            "${SET%x}",
        ] {
            malformed(template);
        }
        malformed(&"${A-".repeat(100));
    }

    #[test]
    fn a_secret_marks_what_is_made_from_it() {
        let secret = |template: &str| {
            Template::parse(template).expect("well-formed").expand(&variables()).expect("set").secret
        };
        assert!(secret("x${SECRET}"));
        assert!(secret("${NONE:-${SECRET}}"));
        assert!(!secret("${SECRET:+yes}"));
        assert!(!secret("${SET:-${SECRET}}"));
    }

    #[test]
    fn all_that_is_missing_is_told() {
        let template =
            Template::parse("${A}${B:-x}${C:-${D}}${E?}${F+${G}}${SET+${H}}${I?${J}}").expect("well-formed");
        let missing = template.expand_all(&variables()).expect_err("nothing is set");
        let names: Vec<&str> = missing.iter().map(|unset| &*unset.name).collect();
        assert_eq!(names, ["A", "D", "E", "H", "J"]);
        assert_eq!(template.names(), ["A", "B", "C", "D", "E", "F", "G", "SET", "H", "I", "J"]);
    }

    #[test]
    fn references_of_a_text_have_their_lines() {
        let (found, malformed) = references(b"a $x\n${A} ${B:-\n}\n${C}\xff\n${D");
        let found: Vec<_> = found.iter().map(|(line, template)| (*line, template.names())).collect();
        assert_eq!(found, [(2, vec!["A"]), (2, vec!["B"]), (4, vec!["C"])]);
        assert_eq!(malformed.map(|malformed| malformed.line), Some(5));
    }

    #[test]
    fn a_text_says_in_which_line_it_is_wrong() {
        let text = b"one\n\xff ${SET}\nthree ${NONE}\n";
        match expand_text(text, &variables()) {
            Err(TextError::Unset(unset)) => {
                let told: Vec<_> = unset.iter().map(|(line, unset)| (*line, &*unset.name)).collect();
                assert_eq!(told, [(3, "NONE")]);
            }
            other => panic!("{other:?}"),
        }
        let good = expand_text(b"\xff${SET}$host $${x}", &variables()).expect("all set");
        assert_eq!(good.bytes, b"\xffvalue$host ${x}");
    }
}
