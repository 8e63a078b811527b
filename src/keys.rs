//! The keys of every table noun, for the tests that generate the JSON schema and compare the man page. They
//! are not a public interface.

use crate::table::decode::decoder::Key;
use crate::table::decode::{settings, step, verb, words};

pub use crate::table::decode::decoder::{Described, Form};

/// A table with its own keys.
#[derive(Debug, Clone)]
pub struct Noun {
    /// Its name in the schema.
    pub name: &'static str,
    /// The section of preverb.toml(5) that describes its keys.
    pub section: &'static str,
    /// Its keys, in the order of that section.
    pub keys: Vec<Described>,
}

/// Every noun; the table itself is first.
#[must_use]
pub fn nouns() -> Vec<Noun> {
    fn noun<T>(name: &'static str, section: &'static str, keys: &[Key<T>]) -> Noun {
        Noun { name, section, keys: keys.iter().map(|key| key.described).collect() }
    }
    vec![
        noun("table", "THE TABLE", settings::TABLE),
        noun("selection", "THE CHOICE OF ENVIRONMENT", settings::ENVIRONMENT),
        noun("environment", "ENVIRONMENTS", verb::ENVIRONMENT),
        noun("verb", "VERBS", verb::VERB),
        noun("variable", "DECLARED VARIABLES", verb::VARIABLE),
        noun("step", "STEPS", step::STEP),
        noun("words", "ARGUMENTS", words::WORDS),
        noun("init", "SUPERVISION", verb::INIT),
        noun("shim", "SHIM", settings::SHIM),
    ]
}

/// The keys that set the kind of a step.
pub const KINDS: [&str; 9] = step::KINDS;

/// The names of the soft limits.
#[must_use]
pub fn limits() -> Vec<&'static str> {
    crate::value::LIMITS.map(|(name, _)| name).to_vec()
}

/// The names of the capabilities, without `CAP_`.
#[must_use]
pub fn capabilities() -> Vec<&'static str> {
    crate::value::Capability::names().collect()
}
