//! What the argv, the conditions and the `env` of a walk expand, and what is surely not meant in them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::modes::check::habits::{Argv, Pasted, bare_dollar, pasted, plain_in_url};
use crate::modes::check::walk::Walk;
use crate::sys::identity::Identity;
use crate::text::log::{Level, quoted};
use crate::text::url;
use crate::value::condition::Conditions;
use crate::value::step::{Probe, Setting};
use crate::value::target::{POSTGRES_SOCKET, POSTGRES_SOCKET_HINT, Target, UNSEEN_PATH, UNSEEN_PATH_HINT};
use crate::value::template::Template;
use crate::value::variables::Origin;
use crate::value::words::Element;

impl Walk<'_, '_> {
    pub(super) fn conditions(&mut self, when: &Conditions) {
        let values = when.only_if.iter().chain(&when.skip_if).filter_map(|each| each.value.as_ref());
        self.values(values.chain(&when.if_exists).chain(&when.unless_exists));
    }

    pub(super) fn settings(&mut self, settings: &[Setting], origin: &Origin) {
        for Setting { value, .. } in settings {
            self.bare_dollar(value);
            let is_secret = |name: &str| {
                self.image.secrets.iter().any(|secret| secret == name)
                    || self.known.variables.get(name.as_bytes()).is_some_and(|found| found.secret)
            };
            if let Some(name) = plain_in_url(value, &is_secret) {
                let message = format!(
                    "secret `{name}` is put into a URL unescaped: `@`, `/`, `#` or `%` in it changes the URL"
                );
                self.warn(value.span, message, Some(&format!("write `${{{name}@url}}`")));
            }
        }
        self.known.set_all(settings, origin, self.may_be_skipped, self.findings);
    }

    fn bare_dollar(&mut self, template: &Template) {
        if let Some(name) = bare_dollar(template, &|name| self.known.is_known(name)) {
            let message = format!("`${name}` is not expanded: no shell reads it here");
            self.warn(template.span, message, Some(&format!("write `${{{name}}}`")));
        }
    }

    fn habits(&mut self, words: &[Option<&Template>]) {
        let argv = Argv::of(words);
        for (number, template) in words.iter().enumerate() {
            let Some(template) = template else { continue };
            if argv.code != Some(number) {
                if !argv.reads_dollars {
                    self.bare_dollar(template);
                }
                continue;
            }
            for Pasted { name, in_quotes } in pasted(template) {
                let (into, how) = if in_quotes { ("quotes in the", " without quotes") } else { ("the", "") };
                let message = format!("`${{{name}}}` is pasted into {into} program text of a shell");
                let hint = format!("write `\"${name}\"`, which the shell expands, or `${{{name}@sh}}`{how}");
                self.warn(template.span, message, Some(&hint));
            }
        }
    }

    /// An argv, in parts: the first begins with a program, which is run by `doer` or by the verb's user.
    pub(super) fn argv(&mut self, parts: &[&[Element]], doer: Option<&Identity>) {
        let program = parts.first().and_then(|argv| argv.first());
        let mut words = Vec::new();
        for element in parts.iter().copied().flatten() {
            match element {
                Element::Template(template) => {
                    words.push(Some(template));
                    if let Some(value) = self.value(template)
                        && program.is_some_and(|program| std::ptr::eq(program, element))
                        && !template.is_words()
                        && let name = OsStr::from_bytes(&value.bytes)
                        && let Err((message, hint)) = self.program(name, doer.or(self.identity.as_ref()))
                    {
                        self.wrong(&value, message, hint.as_deref());
                    }
                }
                Element::Words { words: templates, when } => {
                    self.conditions(when);
                    let outer = self.known.needed.len();
                    self.known.needed.extend(when.needed());
                    self.values(templates);
                    self.known.needed.truncate(outer);
                    words.extend(templates.iter().map(Some));
                }
                Element::Arguments => words.push(None),
            }
        }
        self.habits(&words);
    }

    pub(super) fn probe(&mut self, probe: &Probe, key: &str) {
        let template = match probe {
            Probe::Exec(argv) => return self.argv(&[argv], None),
            Probe::Url(template) => template,
        };
        let Some(value) = self.value(template) else { return };
        let shown = quoted(url::shown(&value.bytes));
        let message = |reason: &str| format!("{shown} in `{key}`: {reason}");
        match Target::parse(&value.bytes) {
            Err(reason) => self.wrong(&value, message(&reason), None),
            Ok(Some(target)) if key == "health" && target.hides_its_path() => {
                self.wrong(&value, message(UNSEEN_PATH), Some(UNSEEN_PATH_HINT));
            }
            Ok(Some(target)) if target.is_postgres_socket() => {
                let message = message(POSTGRES_SOCKET);
                self.findings.add(Level::Info, value.span, message, Some(POSTGRES_SOCKET_HINT));
            }
            Ok(_) => {}
        }
    }
}
