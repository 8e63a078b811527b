//! The elements of an argv in the table, and their expansion into arguments. Pure.

use crate::value::condition::{Conditions, Facts};
use crate::value::template::{Expanded, Fault, Template};

/// An element of `exec`, `args`, `args-after`, `run` or `during`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Element {
    Template(Template),
    Words { words: Vec<Template>, when: Conditions },
    Arguments,
}

impl Element {
    pub(crate) fn templates(&self) -> &[Template] {
        match self {
            Self::Template(template) => std::slice::from_ref(template),
            Self::Words { words, .. } => words,
            Self::Arguments => &[],
        }
    }

    pub(crate) fn expand(
        &self, facts: Facts<'_>, arguments: &dyn Fn() -> Result<Vec<Expanded>, Fault>,
    ) -> Result<Vec<Expanded>, Fault> {
        match self {
            Self::Arguments => return arguments(),
            Self::Words { when, .. } if when.skip(facts)?.is_some() => return Ok(Vec::new()),
            Self::Template(_) | Self::Words { .. } => {}
        }
        let mut words = Vec::new();
        for template in self.templates() {
            words.extend(template.expand_words(facts.variables)?);
        }
        Ok(words)
    }

    pub(crate) fn source(&self) -> String {
        match self {
            Self::Arguments => "${@}".to_owned(),
            Self::Template(_) | Self::Words { .. } => {
                self.templates().iter().map(Template::source).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

pub(crate) fn expand(
    elements: &[Element], facts: Facts<'_>, arguments: &dyn Fn() -> Result<Vec<Expanded>, Fault>,
) -> Result<Vec<Expanded>, Fault> {
    let mut words = Vec::with_capacity(elements.len());
    for element in elements {
        words.extend(element.expand(facts, arguments)?);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::value::condition::Condition;
    use crate::value::variables::{Origin, Variables};

    fn template(text: &str) -> Template {
        Template::parse_element(text).expect("well-formed")
    }

    fn only_if(words: &[&str], condition: &str) -> Element {
        let condition = Condition::parse(condition).expect("a template").expect("a condition");
        let when = Conditions { only_if: vec![condition], ..Conditions::default() };
        Element::Words { words: words.iter().map(|word| template(word)).collect(), when }
    }

    #[test]
    fn words_depend_on_conditions_and_arguments_are_unchanged() {
        let mut variables = Variables::default();
        variables.set(b"TLS", "on", Origin::Inherited, false);
        variables.set(b"OPTIONS", "a 'b c'", Origin::Inherited, false);
        variables.set(b"SECRET", "x y", Origin::Inherited, true);
        let facts = Facts { variables: &variables, opaque: &BTreeSet::new(), exists: &|_| false };
        let given = [Expanded::open(b"\xff ${X}\n"), Expanded::default()];
        let argv = [
            Element::Template(template("run")),
            only_if(&["--tls", "${OPTIONS@words}"], "TLS"),
            only_if(&["--plain", "${MISSING}"], "!TLS"),
            Element::Template(template("${SECRET@words}")),
            Element::Arguments,
        ];
        let words = expand(&argv, facts, &|| Ok(given.to_vec())).expect("all set");
        let shown: Vec<String> = words.iter().map(Expanded::shown).collect();
        assert_eq!(shown, ["run", "--tls", "a", "b c", "***", "***", "\\xff ${X}\\n", ""]);
        assert_eq!(words[6], given[0]);
        let fault = expand(&[only_if(&["x"], "TLS=${MISSING}")], facts, &|| Ok(Vec::new()));
        assert_eq!(fault.expect_err("unset").name, "MISSING");
    }
}
