//! Which verb the caller's words mean, and what is said where they mean none. Pure; what the verb does,
//! others know.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use crate::cli::request::Invocation;
use crate::modes::list;
use crate::modes::list::List;
use crate::table::decode::decoder::Decoder;
use crate::table::select::{Lookup, Tree};
use crate::table::types::{Settings, Unknown};
use crate::text::escape::escaped;
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::quoted;
use crate::text::names::{EnvironmentName, VerbName};
use crate::text::nearest::nearest;

/// What an invocation means.
#[derive(Debug)]
pub(crate) struct Call {
    /// The verb; none for a command.
    pub(crate) verb: Option<VerbName>,
    /// The caller's arguments, or the command; none where the verb's default arguments count.
    pub(crate) words: Option<Vec<OsString>>,
    /// The first argument, where it is a command only because it is not a verb (`unknown = "exec"`).
    pub(crate) not_a_verb: Option<OsString>,
}

/// The verb that is called, and its arguments; or the command.
///
/// # Errors
/// Usage (64): the table has no such verb, or no default one. Table (78): other environments have it.
pub(crate) fn of(
    invocation: Invocation,
    tree: Tree<'_>,
    settings: &Settings,
    environment: &EnvironmentName,
) -> Result<Call> {
    let call = |verb, words| Ok(Call { verb, words, not_a_verb: None });
    match invocation {
        Invocation::None => call(Some(default(tree, settings, environment)?), None),
        Invocation::Default(words) => call(Some(default(tree, settings, environment)?), Some(words)),
        Invocation::Command(words) => call(None, Some(words)),
        Invocation::Verb(word, rest) => {
            if let Some(verb) = here(word.as_bytes(), tree, environment)? {
                return call(Some(verb), (!rest.is_empty()).then_some(rest));
            }
            let words = std::iter::once(word.clone()).chain(rest).collect();
            if let Some(verb) = tree.matching(word.as_bytes(), environment.as_str()) {
                return call(Some(verb), Some(words));
            }
            match settings.unknown {
                Unknown::Exec => Ok(Call { verb: None, words: Some(words), not_a_verb: Some(word) }),
                Unknown::Default => call(Some(default(tree, settings, environment)?), Some(words)),
                Unknown::Error => Err(unknown(&word, tree, settings, environment)),
            }
        }
    }
}

fn default(tree: Tree<'_>, settings: &Settings, environment: &EnvironmentName) -> Result<VerbName> {
    let Some((name, _)) = &settings.default else {
        let failure = Failure::say(Kind::Usage, "no verb was given, and the table has no default");
        let list = List::of(tree, settings, environment, &mut Decoder::default());
        return Err(list::with_verbs(failure, &list));
    };
    here(name.as_str().as_bytes(), tree, environment)?.ok_or_else(|| {
        Failure::say(Kind::Table, format!("the default verb {} does not exist", quoted(name.as_str())))
    })
}

/// The verb of this name or alias, or none where there is no such verb at all.
///
/// # Errors
/// Table (78): other environments have it.
pub(crate) fn here(word: &[u8], tree: Tree<'_>, environment: &EnvironmentName) -> Result<Option<VerbName>> {
    match tree.lookup(word, environment.as_str()) {
        Lookup::Verb(verb) => Ok(Some(verb)),
        Lookup::Elsewhere(others) => Err(elsewhere(word, environment, &others)),
        Lookup::Unknown => Ok(None),
    }
}

fn elsewhere(word: &[u8], environment: &EnvironmentName, others: &[String]) -> Failure {
    let list = others.iter().map(quoted).collect::<Vec<_>>().join(", ");
    let word = quoted(word);
    Failure::say(
        Kind::Table,
        format!("verb {word} does not exist in environment {}, only in {list}", quoted(environment.as_str())),
    )
    .field("verb", word.trim_matches('`'))
    .field("environment", environment.as_str())
}

/// The failure of a first argument that is not a verb.
pub(crate) fn unknown(
    word: &OsStr,
    tree: Tree<'_>,
    settings: &Settings,
    environment: &EnvironmentName,
) -> Failure {
    let shown = quoted(word.as_bytes());
    let failure =
        Failure::say(Kind::Usage, format!("unknown verb {shown}")).field("verb", shown.trim_matches('`'));
    with_suggestion(failure, word, tree, settings, environment)
}

/// Adds to the failure of a word that is not a verb which verb may be meant, and which there are.
pub(crate) fn with_suggestion(
    failure: Failure,
    word: &OsStr,
    tree: Tree<'_>,
    settings: &Settings,
    environment: &EnvironmentName,
) -> Failure {
    let list = List::of(tree, settings, environment, &mut Decoder::default());
    let mut names = list
        .verbs
        .iter()
        .flat_map(|verb| std::iter::once(&*verb.name).chain(verb.aliases.iter().map(|a| &**a)));
    let text = word.to_string_lossy();
    // A manifest that quotes several arguments as one.
    let parts: Vec<&str> = text.split([' ', '\t']).filter(|part| !part.is_empty()).collect();
    let failure = if parts.len() > 1 && names.clone().any(|name| name == parts[0]) {
        let parts: Vec<String> =
            parts.iter().map(|part| format!("\"{}\"", escaped(part.as_bytes()))).collect();
        failure.hint(format!("give each argument by itself: [{}]", parts.join(", ")))
    } else if let Some(near) = nearest(&text, &mut names) {
        failure.hint(format!("did you mean `{near}`?"))
    } else {
        failure
    };
    list::with_verbs(failure, &list)
}
