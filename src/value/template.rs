//! `${...}`: parsed once, and expanded with variables when needed. The forms and their meanings are the
//! shell's (POSIX, 2.6.2 Parameter Expansion), but one string stays one string. Pure.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use crate::text::choice::choice;
use crate::text::escape::{MASK, escaped, percent_encoded, shell_quoted, split};
use crate::text::url;
use crate::value::reference::{Form, Operator, Parser, Part, Reference};
use crate::value::toml::Span;
use crate::value::variables::Variables;

const MISPLACED_WORDS: &str = "`@words` must be a whole element of `exec`, `args`, `args-after` or `run`";

#[derive(Debug, Clone)]
pub(crate) struct Template {
    source: String,
    pub(crate) parts: Vec<Part>,
    pub(crate) span: Span,
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.parts == other.parts
    }
}

impl Eq for Template {}

/// A duration or a mode, which is known when the table is read, or after its `${...}` are expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deferred<T> {
    Known(T),
    Template(Template),
}

impl<T: Copy> Deferred<T> {
    pub(crate) fn known(&self) -> Option<T> {
        if let Self::Known(value) = self { Some(*value) } else { None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Expanded {
    pub(crate) bytes: Vec<u8>,
    /// Whether it contains a secret; then it is never shown.
    pub(crate) secret: bool,
}

impl Expanded {
    /// Makes a value that is not secret.
    pub(crate) fn open(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), secret: false }
    }

    pub(crate) fn into_word(self) -> OsString {
        OsString::from_vec(self.bytes)
    }

    pub(crate) fn shown(&self) -> String {
        url::shown_value(&self.bytes, self.secret)
    }

    pub(crate) fn shown_target(&self) -> String {
        if self.secret { MASK.to_owned() } else { escaped(&url::shown(&self.bytes)) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) message: Option<Expanded>,
}

choice! {
    State {
        Unset = "is not set",
        Empty = "is empty",
        NotText = "is not UTF-8, which `@json` needs",
        OpenQuote = "has a quote that is not closed, so `@words` cannot split it",
    }
}

impl Fault {
    fn new(name: &str, state: State) -> Self {
        Self { name: name.to_owned(), state, message: None }
    }

    pub(crate) fn sentence(&self) -> String {
        let message = self.message.as_ref().filter(|message| !message.bytes.is_empty());
        let message = message.map_or_else(String::new, |message| format!(": {}", message.shown()));
        format!("variable `{}` {}{message}", self.name, self.state.name())
    }

    /// The sentence, with the part of the table that needs the variable.
    pub(crate) fn needed_by(&self, what: &str) -> String {
        match self.state {
            State::Unset | State::Empty => format!("{}: {what} needs it", self.sentence()),
            State::NotText | State::OpenQuote => format!("{what}: {}", self.sentence()),
        }
    }
}

impl Template {
    pub(crate) fn at(self, span: Span) -> Self {
        Self { span, ..self }
    }

    pub(crate) fn parse(source: &str) -> Result<Self, String> {
        let template = Self::parse_element(source)?;
        if template.is_words() { Err(MISPLACED_WORDS.to_owned()) } else { Ok(template) }
    }

    /// Parses an element of an argv, which can be `${NAME@words}`.
    pub(crate) fn parse_element(source: &str) -> Result<Self, String> {
        let mut parser = Parser::new(source.as_bytes());
        let template = Self { source: source.to_owned(), parts: parser.parts()?, span: Span::default() };
        let allowed = usize::from(template.is_words());
        if parser.words == allowed { Ok(template) } else { Err(MISPLACED_WORDS.to_owned()) }
    }

    /// The first part of a text, which is literal up to the next `${`, or one `${...}`; and the rest.
    pub(crate) fn first(text: &[u8]) -> Result<(Self, &[u8]), String> {
        let mut parser = Parser::new(text);
        let parts = parser.part()?.into_iter().collect();
        let template = Self { source: String::new(), parts, span: Span::default() };
        if parser.words == 0 { Ok((template, parser.rest)) } else { Err(MISPLACED_WORDS.to_owned()) }
    }

    pub(crate) fn is_words(&self) -> bool {
        matches!(&self.parts[..], [Part::Variable(Reference { operator: Some(Operator::Words), .. })])
    }

    /// The arguments of an element of an argv: one, unless it is `${NAME@words}`.
    pub(crate) fn expand_words(&self, variables: &Variables) -> Result<Vec<Expanded>, Fault> {
        let whole = self.expand(variables)?;
        let [Part::Variable(Reference { name, operator: Some(Operator::Words), .. })] = &self.parts[..]
        else {
            return Ok(vec![whole]);
        };
        let words = split(&whole.bytes).ok_or_else(|| Fault::new(name, State::OpenQuote))?;
        Ok(words.into_iter().map(|bytes| Expanded { bytes, secret: whole.secret }).collect())
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn shown_source(&self) -> String {
        escaped(self.source.as_bytes())
    }

    /// Expands the template, or returns the first variable that has no valid value.
    pub(crate) fn expand(&self, variables: &Variables) -> Result<Expanded, Fault> {
        self.expand_all(variables).map_err(|mut missing| missing.swap_remove(0))
    }

    /// Expands the template, or returns every variable that has no valid value, in order.
    pub(crate) fn expand_all(&self, variables: &Variables) -> Result<Expanded, Vec<Fault>> {
        let mut out = Expanded::default();
        let mut missing = Vec::new();
        expand_into(&self.parts, variables, &mut out, &mut missing);
        if missing.is_empty() { Ok(out) } else { Err(missing) }
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        collect_names(&self.parts, &mut names);
        names
    }

    pub(crate) fn is_literal(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Literal(_)))
    }
}

fn expand_into(parts: &[Part], variables: &Variables, out: &mut Expanded, missing: &mut Vec<Fault>) {
    for part in parts {
        let reference = match part {
            Part::Variable(reference) => reference,
            Part::Literal(bytes) => {
                out.bytes.extend_from_slice(bytes);
                continue;
            }
        };
        let fact = variables.fact(&reference.name);
        let found = match &fact {
            Some(fact) => Some((fact.as_bytes(), false)),
            None => variables.get(reference.name.as_bytes()).map(|found| (found.value, found.secret)),
        };
        let present = found.filter(|(value, _)| !(reference.empty_is_unset && value.is_empty()));
        match (reference.form, present) {
            (Form::Plain | Form::Default | Form::Demand, Some((value, secret))) => {
                match written(value, reference.operator) {
                    Ok(value) => out.bytes.extend_from_slice(&value),
                    Err(state) => missing.push(Fault::new(&reference.name, state)),
                }
                out.secret |= secret;
            }
            (Form::Alternative, None) => {}
            // The choice between two words shows whether a secret is set, but not its value.
            (Form::Alternative, Some(_)) | (Form::Default, None) => {
                expand_into(&reference.word, variables, out, missing);
            }
            (Form::Plain, None) => missing.push(Fault::new(&reference.name, State::Unset)),
            (Form::Demand, None) => {
                let mut message = Expanded::default();
                let before = missing.len();
                expand_into(&reference.word, variables, &mut message, missing);
                // Like in a shell, a variable that is missing in the message itself is reported instead.
                if missing.len() == before {
                    let state = if found.is_some() { State::Empty } else { State::Unset };
                    missing.push(Fault { message: Some(message), ..Fault::new(&reference.name, state) });
                }
            }
        }
    }
}

/// Encodes a value for its operator. `@words` splits the whole element later.
fn written(value: &[u8], operator: Option<Operator>) -> Result<Cow<'_, [u8]>, State> {
    Ok(match operator {
        None | Some(Operator::Words) => value.into(),
        Some(Operator::Url) => percent_encoded(value).into(),
        Some(Operator::Sh) => shell_quoted(value).into(),
        Some(Operator::Json) => {
            let text = std::str::from_utf8(value).map_err(|_| State::NotText)?;
            let quoted = serde_json::Value::from(text).to_string();
            quoted.as_bytes()[1..quoted.len() - 1].to_vec().into()
        }
    })
}

fn collect_names<'t>(parts: &'t [Part], names: &mut Vec<&'t str>) {
    for part in parts {
        if let Part::Variable(reference) = part {
            names.push(&reference.name);
            collect_names(&reference.word, names);
        }
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
        variables.set(b"ODD", "p@s s:'\"\\ä~", Origin::Inherited, false);
        variables.set(b"BYTES", b"\xff", Origin::Inherited, false);
        variables.set(b"OPTIONS", " -a 'b c'\td\\\\\"\\\"\\$x\\y\"\n'' e ", Origin::Inherited, false);
        variables.set(b"OPEN", b"a 'b", Origin::Inherited, false);
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
    fn every_form_has_the_same_meaning_as_in_a_shell() {
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
    fn an_operator_encodes_the_value_but_not_the_word() {
        yields("${ODD@url}", "p%40s%20s%3A%27%22%5C%C3%A4~");
        yields("${ODD@json}", "p@s s:'\\\"\\\\ä~");
        yields("${ODD@sh}", "'p@s s:'\\''\"\\ä~'");
        yields("${EMPTY@sh}${EMPTY@url:-a b}${NONE@json-\"}${SET@url:+a b}${SET@url:?m}", "''a b\"a bvalue");
        yields("${NONE:-${ODD@url}}", "p%40s%20s%3A%27%22%5C%C3%A4~");
        let fault = Template::parse("${BYTES@json}").expect("well-formed").expand(&variables());
        let fault = fault.expect_err("not UTF-8");
        assert_eq!(fault.sentence(), "variable `BYTES` is not UTF-8, which `@json` needs");
        yields("${BYTES@url}", "%FF");
    }

    #[test]
    fn words_are_a_whole_element_and_are_split_like_in_a_shell() {
        let words = |element: &str| {
            let template = Template::parse_element(element).expect("well-formed");
            let words = template.expand_words(&variables()).expect("all set");
            words.into_iter().map(|word| String::from_utf8(word.bytes).expect("text")).collect::<Vec<_>>()
        };
        assert_eq!(words("${OPTIONS@words}"), ["-a", "b c", "d\\\"$x\\y", "", "e"]);
        assert_eq!(words("${EMPTY@words}"), [""; 0]);
        assert_eq!(words("${NONE@words:-x 'y z' ${SET}}"), ["x", "y z", "value"]);
        assert_eq!(words("${SET@words:+--flag on}"), ["--flag", "on"]);
        assert_eq!(words("${NONE@words:+--flag}"), [""; 0]);
        assert_eq!(words("a b"), ["a b"]);
        for element in ["x${OPTIONS@words}", "${SET:-${OPTIONS@words}}", "${A@words:-${B@words}}"] {
            assert!(Template::parse_element(element).is_err(), "{element}");
        }
        assert!(Template::parse("${OPTIONS@words}").is_err());
        let open = Template::parse_element("${OPEN@words}").expect("well-formed").expand_words(&variables());
        assert_eq!(open.expect_err("an open quote").state, State::OpenQuote);
        let secret = Template::parse_element("${SECRET@words}").expect("well-formed");
        assert!(secret.expand_words(&variables()).expect("set").iter().all(|word| word.secret));
    }

    #[test]
    fn every_other_dollar_is_literal() {
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
    fn malformed_templates_are_refused() {
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
            "${SET@}",
            "${SET@uri}",
            "${SET@url",
            "${SET@urlx}",
        ] {
            malformed(template);
        }
        malformed(&"${A-".repeat(100));
    }

    #[test]
    fn a_value_made_from_a_secret_is_secret() {
        let secret = |template: &str| {
            Template::parse(template).expect("well-formed").expand(&variables()).expect("set").secret
        };
        assert!(secret("x${SECRET}"));
        assert!(secret("${NONE:-${SECRET}}"));
        assert!(!secret("${SECRET:+yes}"));
        assert!(!secret("${SET:-${SECRET}}"));
    }

    #[test]
    fn all_missing_variables_are_reported() {
        let template =
            Template::parse("${A}${B:-x}${C:-${D}}${E?}${F+${G}}${SET+${H}}${I?${J}}").expect("well-formed");
        let missing = template.expand_all(&variables()).expect_err("nothing is set");
        let names: Vec<&str> = missing.iter().map(|unset| &*unset.name).collect();
        assert_eq!(names, ["A", "D", "E", "H", "J"]);
        assert_eq!(template.names(), ["A", "B", "C", "D", "E", "F", "G", "SET", "H", "I", "J"]);
    }
}
