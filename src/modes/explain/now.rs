//! What the strings of a table come to now, before any step, and which of them cannot be expanded yet.

use std::time::Duration;

use crate::modes::explain::shape::Unexpanded;
use crate::plan::target::Target;
use crate::text::duration::spoken;
use crate::text::escape::{MASK, escaped, shell_quoted};
use crate::text::exact::Exact;
use crate::text::url;
use crate::value::condition::Facts;
use crate::value::deferred::Deferred;
use crate::value::step::Probe;
use crate::value::target::Target as Probed;
use crate::value::template::{Expanded, Fault, Template};
use crate::value::variables::Variables;
use crate::value::words::Element;

pub(super) struct Now<'n> {
    pub(super) facts: Facts<'n>,
    pub(super) target: &'n Target,
    pub(super) unexpanded: Vec<(Unexpanded, Fault)>,
}

impl<'n> Now<'n> {
    pub(super) fn new(facts: Facts<'n>, target: &'n Target) -> Self {
        Self { facts, target, unexpanded: Vec::new() }
    }

    pub(super) fn text(&mut self, template: &Template) -> Exact {
        self.expanded(template).map_or_else(|| written(template), |expanded| shown(&expanded))
    }

    fn expanded(&mut self, template: &Template) -> Option<Expanded> {
        template.expand(self.facts.variables).map_err(|fault| self.note(template.source(), fault)).ok()
    }

    fn note(&mut self, element: &str, fault: Fault) {
        let unexpanded = Unexpanded { element: element.to_owned(), message: fault.sentence() };
        self.unexpanded.push((unexpanded, fault));
    }

    pub(super) fn texts(&mut self, templates: &[Template]) -> Vec<Exact> {
        templates.iter().map(|template| self.text(template)).collect()
    }

    pub(super) fn optional(&mut self, template: Option<&Template>) -> Option<Exact> {
        template.map(|template| self.text(template))
    }

    pub(super) fn duration(&mut self, value: Option<&Deferred<Duration>>) -> Option<Exact> {
        match value? {
            Deferred::Known(value) => Some(Exact(spoken(*value).into_bytes())),
            Deferred::Template(template) => Some(self.text(template)),
        }
    }

    pub(super) fn argv(&mut self, argv: &[Element]) -> Vec<Exact> {
        let (facts, target) = (self.facts, self.target);
        let arguments = || target.arguments(facts).map_err(|(fault, _)| fault);
        let mut words = Vec::new();
        for element in argv {
            match element.expand(facts, &arguments) {
                Ok(expanded) => words.extend(expanded.iter().map(shown)),
                Err(fault) => {
                    words.extend(element.templates().iter().map(written));
                    self.note(&element.source(), fault);
                }
            }
        }
        words
    }

    pub(super) fn probe(&mut self, probe: &Probe) -> Exact {
        match probe {
            Probe::Exec(argv) => Exact(line(&self.argv(argv)).into_bytes()),
            Probe::Url(template) => match self.expanded(template) {
                None => written(template),
                // All that the query of a file can be is its `max-age`.
                Some(url) if matches!(Probed::parse(&url.bytes), Ok(Some(Probed::File { .. }))) => {
                    shown(&url)
                }
                Some(target) => Exact(target.shown_target().into_bytes()),
            },
        }
    }
}

pub(super) fn text(template: &Template, variables: &Variables) -> String {
    let exact = template.expand(variables).map_or_else(|_| written(template), |value| shown(&value));
    String::from_utf8_lossy(&exact.0).into_owned()
}

fn written(template: &Template) -> Exact {
    Exact(url::masked(template.source().as_bytes()))
}

pub(super) fn shown(value: &Expanded) -> Exact {
    Exact(if value.secret { MASK.into() } else { url::masked(&value.bytes) })
}

/// Words as a shell would need them, with double quotes where those suffice.
pub(super) fn line(words: &[Exact]) -> String {
    let quoted = |word: String| match () {
        () if word.contains(['$', '"', '\\', '`']) => {
            String::from_utf8_lossy(&shell_quoted(word.as_bytes())).into_owned()
        }
        () if word.is_empty() || word.contains([' ', '\'']) => format!("\"{word}\""),
        () => word,
    };
    words.iter().map(|word| quoted(escaped(&word.0))).collect::<Vec<_>>().join(" ")
}
