//! What the argv, the conditions and the `env` of a walk expand, and what is surely not meant in them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::findings::Weight;
use super::habits::{Argv, Pasted, bare_dollar, pasted, plain_in_url};
use super::known::Sure;
use super::walk::Walk;
use crate::sys::identity::Identity;
use crate::text::log::quoted;
use crate::text::url;
use crate::value::condition::{CONDITION_KEYS, Condition, Conditions, Facts, Subject};
use crate::value::step::{Probe, Setting};
use crate::value::target::{POSTGRES_SOCKET, POSTGRES_SOCKET_HINT, Target, UNSEEN_PATH, UNSEEN_PATH_HINT};
use crate::value::template::Template;
use crate::value::toml::{Node, Span};
use crate::value::words::Element;

/// The templates of an argv, each with its place; `None` stands for the target's arguments.
pub(super) fn flat<'t>(argv: &'t [Element], node: Node<'_>) -> Vec<Option<(&'t Template, Span)>> {
    let nodes: Vec<Node<'_>> = node.children().collect();
    let mut words = Vec::new();
    for (element, node) in argv.iter().zip(nodes) {
        match element {
            Element::Template(template) => words.push(Some((template, node.span()))),
            Element::Words { words: templates, .. } => {
                let spans = node.get("words").into_iter().flat_map(Node::children).map(Node::span);
                words.extend(templates.iter().zip(spans).map(Some));
            }
            Element::Arguments => words.push(None),
        }
    }
    words
}

impl Walk<'_, '_> {
    /// How sure each condition is, and whether it skips.
    pub(super) fn judged(&self, when: &Conditions) -> Vec<(Sure, bool)> {
        let opaque = &self.known.opaque;
        let facts = Facts { variables: &self.known.variables, opaque, exists: &crate::sys::read::is_there };
        let sure = |subject: &Subject<'_>| match subject {
            Subject::Variable(condition) => {
                let fixed = condition.names().iter().all(|name| self.known.is_fixed(name));
                if fixed && !self.earlier { Sure::Fixed } else { Sure::Likely }
            }
            // Something may be mounted.
            Subject::Path(..) => Sure::Likely,
        };
        when.judge(facts).map(|judged| (sure(&judged.subject), judged.skips())).collect()
    }

    /// What the conditions of a step or of words expand.
    pub(super) fn conditions(&mut self, when: &Conditions, node: Node<'_>) {
        let [only_if, skip_if, if_exists, unless_exists] = CONDITION_KEYS;
        let values = [(only_if, &when.only_if), (skip_if, &when.skip_if)];
        let values = values.map(|(key, conditions)| (key, conditions.iter().map(Condition::value).collect()));
        let paths = [(if_exists, &when.if_exists), (unless_exists, &when.unless_exists)];
        let paths = paths.map(|(key, paths)| (key, paths.iter().map(Some).collect()));
        for (key, templates) in values.into_iter().chain(paths) {
            let templates: Vec<Option<&Template>> = templates;
            let Some(node) = node.get(key) else { continue };
            let spans: Vec<Span> = node.children().map(Node::span).collect();
            for (number, template) in templates.into_iter().enumerate() {
                let span = spans.get(number).copied().unwrap_or(node.span());
                template.map(|template| self.value(template, span));
            }
        }
    }

    /// What is surely not meant in the values of an `env`.
    pub(super) fn settings(&mut self, settings: &[Setting]) {
        for Setting { value, span, .. } in settings {
            self.bare_dollar(value, *span);
            let secret = plain_in_url(value, |name| {
                self.image.secrets.iter().any(|secret| secret == name)
                    || self.known.variables.get(name.as_bytes()).is_some_and(|found| found.secret)
            });
            if let Some(name) = secret {
                let message = format!(
                    "secret `{name}` goes into a URL as it is: a `@`, `/`, `#` or `%` in it changes the URL"
                );
                let hint = format!("write `${{{name}@url}}`");
                self.findings.add(Weight::Warning, *span, message, Some(hint));
            }
        }
    }

    pub(super) fn bare_dollar(&mut self, template: &Template, span: Span) {
        let known = &self.known;
        if let Some(name) = bare_dollar(template, |name| known.is_known(name)) {
            let message = format!("`${name}` stays as it is: no shell reads it here");
            self.findings.add(Weight::Warning, span, message, Some(format!("write `${{{name}}}`")));
        }
    }

    /// What is surely not meant in an argv.
    pub(super) fn habits(&mut self, words: &[Option<(&Template, Span)>]) {
        let templates: Vec<_> = words.iter().map(|word| word.map(|(template, _)| template)).collect();
        let argv = Argv::of(&templates);
        for (number, word) in words.iter().enumerate() {
            let Some((template, span)) = *word else { continue };
            if argv.code != Some(number) {
                if !argv.reads_dollars {
                    self.bare_dollar(template, span);
                }
                continue;
            }
            for Pasted { name, in_quotes } in pasted(template) {
                let (message, hint) = if in_quotes {
                    let message =
                        format!("`${{{name}}}` is pasted into quotes in the program text of a shell");
                    (
                        message,
                        format!(
                            "write `\"${name}\"`, which the shell expands, or `${{{name}@sh}}` without quotes"
                        ),
                    )
                } else {
                    let message = format!("`${{{name}}}` is pasted into the program text of a shell");
                    (message, format!("write `\"${name}\"`, which the shell expands, or `${{{name}@sh}}`"))
                };
                self.findings.add(Weight::Warning, span, message, Some(hint));
            }
        }
    }

    /// An argv by itself, and what is surely not meant in it.
    pub(super) fn program_and_arguments(
        &mut self,
        argv: &[Element],
        node: Node<'_>,
        doer: Option<&Identity>,
    ) {
        self.habits(&flat(argv, node));
        self.argv(argv, node, true, doer);
    }

    /// An argv; where `runs` its first word is a program, run by `doer` or by the verb's user.
    pub(super) fn argv(&mut self, argv: &[Element], node: Node<'_>, runs: bool, doer: Option<&Identity>) {
        let nodes: Vec<Node<'_>> = node.children().collect();
        for (number, element) in argv.iter().enumerate() {
            let Some(node) = nodes.get(number).copied() else { continue };
            match element {
                Element::Template(template) => {
                    let Ok(value) = self.value(template, node.span()) else { continue };
                    if number > 0 || !runs || template.is_words() {
                        continue;
                    }
                    let identity = self.identity.clone();
                    let problem = self.program(OsStr::from_bytes(&value.bytes), doer.or(identity.as_ref()));
                    if let Err(problem) = problem {
                        self.add(self.weight(value.sure), node.span(), problem);
                    }
                }
                Element::Words { words, when } => {
                    self.conditions(when, node);
                    let spans = node.get("words").into_iter().flat_map(Node::children).map(Node::span);
                    let outer = self.known.needed.len();
                    self.known.needed.extend(when.needed());
                    for (template, span) in words.iter().zip(spans) {
                        let _ = self.value(template, span);
                    }
                    self.known.needed.truncate(outer);
                }
                Element::Arguments => {}
            }
        }
    }

    pub(super) fn probe(&mut self, probe: &Probe, node: Node<'_>, key: &str) {
        match probe {
            Probe::Exec(argv) => {
                if let Some(exec) = node.get("exec") {
                    self.program_and_arguments(argv, exec, None);
                }
            }
            Probe::Url(template) => {
                let Ok(value) = self.value(template, node.span()) else { return };
                let shown = quoted(url::shown(&value.bytes));
                let weight = self.weight(value.sure);
                let (weight, reason, hint) = match Target::parse(&value.bytes) {
                    Err(reason) => (weight, reason, None),
                    Ok(Some(target)) if key == "health" && target.hides_its_path() => {
                        (weight, UNSEEN_PATH.to_owned(), Some(UNSEEN_PATH_HINT.to_owned()))
                    }
                    Ok(Some(target)) if target.is_postgres_socket() => {
                        (Weight::Note, POSTGRES_SOCKET.to_owned(), Some(POSTGRES_SOCKET_HINT.to_owned()))
                    }
                    Ok(_) => return,
                };
                self.add(weight, node.span(), (format!("{shown} in `{key}`: {reason}"), hint));
            }
        }
    }
}
