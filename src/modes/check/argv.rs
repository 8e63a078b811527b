//! What the argv, the conditions and the `env` of a walk expand, and what is surely not meant in them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::modes::check::habits::{Argv, Pasted, bare_dollar, pasted, plain_in_url};
use crate::modes::check::walk::{Walk, placed};
use crate::sys::identity::Identity;
use crate::text::log::{Level, quoted};
use crate::text::url;
use crate::value::condition::{CONDITION_KEYS, Conditions};
use crate::value::step::{Probe, Setting};
use crate::value::target::{POSTGRES_SOCKET, POSTGRES_SOCKET_HINT, Target, UNSEEN_PATH, UNSEEN_PATH_HINT};
use crate::value::template::Template;
use crate::value::toml::{Node, Span};
use crate::value::variables::Origin;
use crate::value::words::Element;

impl Walk<'_, '_> {
    /// What the conditions of a step or of words expand.
    pub(super) fn conditions(&mut self, when: &Conditions, node: Node<'_>) {
        let [only_if, skip_if, if_exists, unless_exists] = CONDITION_KEYS;
        for (key, conditions) in [(only_if, &when.only_if), (skip_if, &when.skip_if)] {
            let Some(node) = node.get(key) else { continue };
            let mut spans: Vec<Span> = node.children().map(Node::span).collect();
            spans.resize(conditions.len(), node.span());
            for (condition, span) in conditions.iter().zip(spans) {
                condition.value().map(|template| self.value(template, span));
            }
        }
        for (key, paths) in [(if_exists, &when.if_exists), (unless_exists, &when.unless_exists)] {
            for (template, span) in placed(paths, node.get(key)) {
                self.value(template, span);
            }
        }
    }

    /// An `env`, and what is surely not meant in its values.
    pub(super) fn settings(&mut self, settings: &[Setting], origin: &Origin) {
        for Setting { value, span, .. } in settings {
            self.bare_dollar(value, *span);
            let is_secret = |name: &str| {
                self.image.secrets.iter().any(|secret| secret == name)
                    || self.known.variables.get(name.as_bytes()).is_some_and(|found| found.secret)
            };
            if let Some(name) = plain_in_url(value, &is_secret) {
                let message = format!(
                    "secret `{name}` goes into a URL as it is: a `@`, `/`, `#` or `%` in it changes the URL"
                );
                self.warn(*span, message, Some(format!("write `${{{name}@url}}`")));
            }
        }
        self.known.set_all(settings, origin, self.may_be_skipped, self.findings);
    }

    fn bare_dollar(&mut self, template: &Template, span: Span) {
        if let Some(name) = bare_dollar(template, &|name| self.known.is_known(name)) {
            let message = format!("`${name}` stays as it is: no shell reads it here");
            self.warn(span, message, Some(format!("write `${{{name}}}`")));
        }
    }

    /// What is surely not meant in an argv.
    fn habits(&mut self, words: &[Option<(&Template, Span)>]) {
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
                let (into, how) = if in_quotes { ("quotes in the", " without quotes") } else { ("the", "") };
                let message = format!("`${{{name}}}` is pasted into {into} program text of a shell");
                let hint = format!("write `\"${name}\"`, which the shell expands, or `${{{name}@sh}}`{how}");
                self.warn(span, message, Some(hint));
            }
        }
    }

    /// An argv, in parts: the first begins with a program, which is run by `doer` or by the verb's user.
    pub(super) fn argv(&mut self, parts: [Option<(&[Element], Node<'_>)>; 3], doer: Option<&Identity>) {
        // `None` stands for the target's arguments.
        let mut words = Vec::new();
        let program = parts[0].and_then(|(argv, _)| argv.first());
        for (argv, node) in parts.into_iter().flatten() {
            for (element, node) in argv.iter().zip(node.children()) {
                match element {
                    Element::Template(template) => {
                        words.push(Some((template, node.span())));
                        if let Some(value) = self.value(template, node.span())
                            && program.is_some_and(|program| std::ptr::eq(program, element))
                            && !template.is_words()
                            && let name = OsStr::from_bytes(&value.bytes)
                            && let Err(problem) = self.program(name, doer.or(self.identity.as_ref()))
                        {
                            self.add(self.level(value.is_fixed), node.span(), problem);
                        }
                    }
                    Element::Words { words: templates, when } => {
                        self.conditions(when, node);
                        let placed = placed(templates, node.get("words"));
                        let outer = self.known.needed.len();
                        self.known.needed.extend(when.needed());
                        for (template, span) in &placed {
                            self.value(template, *span);
                        }
                        self.known.needed.truncate(outer);
                        words.extend(placed.into_iter().map(Some));
                    }
                    Element::Arguments => words.push(None),
                }
            }
        }
        self.habits(&words);
    }

    pub(super) fn probe(&mut self, probe: &Probe, node: Node<'_>, key: &str) {
        let template = match probe {
            Probe::Exec(argv) => {
                return self.argv([node.get("exec").map(|node| (&**argv, node)), None, None], None);
            }
            Probe::Url(template) => template,
        };
        let Some(value) = self.value(template, node.span()) else { return };
        let level = self.level(value.is_fixed);
        let (level, reason, hint) = match Target::parse(&value.bytes) {
            Err(reason) => (level, reason, None),
            Ok(Some(target)) if key == "health" && target.hides_its_path() => {
                (level, UNSEEN_PATH.to_owned(), Some(UNSEEN_PATH_HINT.to_owned()))
            }
            Ok(Some(target)) if target.is_postgres_socket() => {
                (Level::Info, POSTGRES_SOCKET.to_owned(), Some(POSTGRES_SOCKET_HINT.to_owned()))
            }
            Ok(_) => return,
        };
        let shown = quoted(url::shown(&value.bytes));
        self.add(level, node.span(), (format!("{shown} in `{key}`: {reason}"), hint));
    }
}
