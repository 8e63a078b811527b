//! Finds the verb that the caller's arguments mean, or reports why there is none. Pure.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use crate::cli::Invocation;
use crate::modes::list::{List, with_verbs};
use crate::table::{Decoder, Lookup, Settings, Tree, Unknown};
use crate::text::{EnvironmentName, Failure, Kind, Result, VerbName, did_you_mean, escaped, quoted};

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) verb: Option<VerbName>,
    pub(crate) words: Option<Vec<OsString>>,
    pub(crate) not_a_verb: Option<OsString>,
}

#[derive(Clone, Copy)]
pub(crate) struct Verbs<'v> {
    pub(crate) tree: Tree<'v>,
    pub(crate) settings: &'v Settings,
    pub(crate) environment: &'v EnvironmentName,
}

impl Verbs<'_> {
    pub(crate) fn called(self, invocation: Invocation) -> Result<Call> {
        let mut not_a_verb = None;
        let (verb, words) = match invocation {
            Invocation::None => (Some(self.default()?), None),
            Invocation::Default(words) => (Some(self.default()?), Some(words)),
            Invocation::Command(words) => (None, Some(words)),
            Invocation::Verb(word, rest) => {
                if let Some(verb) = self.here(word.as_bytes())? {
                    let words = (!rest.is_empty()).then_some(rest);
                    return Ok(Call { verb: Some(verb), words, not_a_verb });
                }
                let words = std::iter::once(word.clone()).chain(rest).collect();
                let mut verb = self.tree.matching(word.as_bytes(), self.environment.as_str());
                match self.settings.unknown {
                    _ if verb.is_some() => {}
                    Unknown::Exec => not_a_verb = Some(word),
                    Unknown::Default => verb = Some(self.default()?),
                    Unknown::Error => return Err(self.unknown(&word)),
                }
                (verb, Some(words))
            }
        };
        Ok(Call { verb, words, not_a_verb })
    }

    fn default(self) -> Result<VerbName> {
        let Some((name, _)) = &self.settings.default else {
            let failure = Failure::new(Kind::Usage, "no verb given, and the table has no default verb");
            return Err(with_verbs(failure, &self.list()));
        };
        self.here(name.as_str().as_bytes())?.ok_or_else(|| {
            Failure::new(Kind::Table, format!("the default verb {} does not exist", quoted(name.as_str())))
        })
    }

    /// The verb with this name or alias; `None` if no environment has such a verb.
    pub(crate) fn here(self, word: &[u8]) -> Result<Option<VerbName>> {
        let others = match self.tree.lookup(word, self.environment.as_str()) {
            Lookup::Verb(verb) => return Ok(Some(verb)),
            Lookup::Unknown => return Ok(None),
            Lookup::Elsewhere(others) => others.iter().map(quoted).collect::<Vec<_>>().join(", "),
        };
        let environment = self.environment.as_str();
        let sentence = format!(
            "verb {} does not exist in environment {}, only in {others}",
            quoted(word),
            quoted(environment)
        );
        let failure = Failure::new(Kind::Table, sentence);
        Err(failure.field("verb", escaped(word)).field("environment", environment))
    }

    pub(crate) fn unknown(self, word: &OsStr) -> Failure {
        let failure = Failure::new(Kind::Usage, format!("unknown verb {}", quoted(word.as_bytes())));
        self.with_suggestion(failure.field("verb", escaped(word.as_bytes())), word)
    }

    pub(crate) fn with_suggestion(self, mut failure: Failure, word: &OsStr) -> Failure {
        let list = self.list();
        let names = list.verbs.iter().flat_map(|verb| std::iter::once(&verb.name).chain(&verb.aliases));
        let mut names = names.map(String::as_str);
        let text = word.to_string_lossy();
        // A manifest may have quoted several arguments as one.
        let parts: Vec<&str> = text.split([' ', '\t']).filter(|part| !part.is_empty()).collect();
        if parts.len() > 1 && names.clone().any(|name| name == parts[0]) {
            let quoted = parts.iter().map(|part| format!("\"{}\"", escaped(part.as_bytes())));
            let quoted = quoted.collect::<Vec<_>>().join(", ");
            failure = failure.hint(format!("give each argument separately: [{quoted}]"));
        } else if let Some(hint) = did_you_mean(&text, &mut names) {
            failure = failure.hint(hint);
        }
        with_verbs(failure, &list)
    }

    fn list(self) -> List {
        List::of(self.tree, self.settings, self.environment, &mut Decoder::default())
    }
}
