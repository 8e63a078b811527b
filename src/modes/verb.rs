//! Which verb the caller's words mean, and what is said where they mean none. Pure; what the verb does, others know.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use crate::cli::Invocation;
use crate::modes::list;
use crate::modes::list::List;
use crate::table::decode::Decoder;
use crate::table::select::{Lookup, Tree};
use crate::table::{Settings, Unknown};
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::quoted;
use crate::text::names::{EnvironmentName, VerbName};
use crate::text::nearest::nearest;

/// The verb of these words, if they have one, and the words that are left for it, or are the command.
///
/// # Errors
/// Usage (64): the table knows no such verb, or no default one. Table (78): it knows it for other environments.
pub(crate) fn of(
    words: Invocation,
    tree: Tree<'_, '_>,
    settings: &Settings,
    environment: &EnvironmentName,
) -> Result<(Option<VerbName>, Option<Vec<OsString>>)> {
    let default = |words: Option<Vec<OsString>>| {
        let Some((name, _)) = &settings.default else {
            let failure = Failure::say(Kind::Usage, "no verb was given, and the table has no default");
            return Err(list::with_verbs(failure, tree, settings, environment));
        };
        match here(name.as_str().as_bytes(), tree, environment)? {
            Some(verb) => Ok((Some(verb), words)),
            None => Err(Failure::say(
                Kind::Table,
                format!("the default verb {} does not exist", quoted(name.as_str())),
            )),
        }
    };
    match words {
        Invocation::None => default(None),
        Invocation::Default(words) => default(Some(words)),
        Invocation::Command(words) => Ok((None, Some(words))),
        Invocation::Verb(word, rest) => match here(word.as_bytes(), tree, environment)? {
            Some(verb) => Ok((Some(verb), if rest.is_empty() { None } else { Some(rest) })),
            None => match settings.unknown {
                Unknown::Exec => Ok((None, Some(std::iter::once(word).chain(rest).collect()))),
                Unknown::Error => Err(unknown(&word, tree, settings, environment)),
            },
        },
    }
}

/// The verb of this name or alias, or none where there is no such verb at all.
///
/// # Errors
/// Table (78): other environments have it.
pub(crate) fn here(
    word: &[u8],
    tree: Tree<'_, '_>,
    environment: &EnvironmentName,
) -> Result<Option<VerbName>> {
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

/// The failure of a word that is no verb.
pub(crate) fn unknown(
    word: &OsStr,
    tree: Tree<'_, '_>,
    settings: &Settings,
    environment: &EnvironmentName,
) -> Failure {
    let shown = quoted(word.as_bytes());
    let mut failure =
        Failure::say(Kind::Usage, format!("unknown verb {shown}")).field("verb", shown.trim_matches('`'));
    let list = List::of(tree, settings, environment, &mut Decoder::default());
    let names = list
        .verbs
        .iter()
        .flat_map(|verb| std::iter::once(&*verb.name).chain(verb.aliases.iter().map(|a| &**a)));
    if let Some(near) = nearest(&word.to_string_lossy(), names) {
        failure = failure.hint(format!("did you mean `{near}`?"));
    }
    list::with_verbs(failure, tree, settings, environment)
}
