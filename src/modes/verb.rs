//! Finds the verb that the caller's arguments mean, or reports why there is none. Pure.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use crate::cli::Invocation;
use crate::modes::list::{List, with_verbs};
use crate::table::{Decoder, Lookup, Settings, Tree, Unknown};
use crate::text::{EnvironmentName, Failure, Kind, Result, VerbName, did_you_mean, escaped, quoted};

type Called = (Option<VerbName>, Option<Vec<OsString>>, Option<OsString>);

#[derive(Clone, Copy)]
pub(crate) struct Verbs<'v> {
    pub(crate) tree: Tree<'v>,
    pub(crate) settings: &'v Settings,
    pub(crate) environment: &'v EnvironmentName,
}

impl Verbs<'_> {
    /// The verb, the arguments, and the word that is executed only because it is not a verb.
    pub(crate) fn called(self, invocation: Invocation) -> Result<Called> {
        Ok(match invocation {
            Invocation::None => (Some(self.default()?), None, None),
            Invocation::Default(words) => (Some(self.default()?), Some(words), None),
            Invocation::Command(words) => (None, Some(words), None),
            Invocation::Verb(word, rest) if let Some(verb) = self.here(word.as_bytes())? => {
                (Some(verb), (!rest.is_empty()).then_some(rest), None)
            }
            Invocation::Verb(word, rest) => {
                let words = Some(std::iter::once(word.clone()).chain(rest).collect());
                let matching = self.tree.matching(word.as_bytes(), self.environment.as_str());
                match (matching, self.settings.unknown) {
                    (Some(verb), _) => (Some(verb), words, None),
                    (None, Unknown::Exec) => (None, words, Some(word)),
                    (None, Unknown::Default) => (Some(self.default()?), words, None),
                    (None, Unknown::Error) => return Err(self.unknown(&word)),
                }
            }
        })
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
        let (verb, environment) = (quoted(word), self.environment.as_str());
        let sentence = format!("verb {verb} does not exist in environment `{environment}`, only in {others}");
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
            let parts: Vec<String> = parts.iter().map(|part| escaped(part.as_bytes())).collect();
            failure = failure.hint(format!("give each argument separately: [\"{}\"]", parts.join("\", \"")));
        } else if let Some(hint) = did_you_mean(&text, &mut names) {
            failure = failure.hint(hint);
        }
        with_verbs(failure, &list)
    }

    fn list(self) -> List {
        List::of(self.tree, self.settings, self.environment, &mut Decoder::default())
    }
}
