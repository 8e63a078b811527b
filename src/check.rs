//! `--check`: everything that is wrong with the table and with what it names, in one run.

use crate::failure::Result;
use crate::log::Log;
use crate::table::decode::Decoder;
use crate::table::select::Tree;
use crate::words::{EnvironmentName, VerbName};

/// Reports every mistake.
///
/// # Errors
/// Table (78): there is one.
pub(crate) fn check(tree: Tree<'_, '_>, _json: bool, _log: Log) -> Result<u8> {
    let mut decoder = Decoder::default();
    let settings = tree.settings(&mut decoder);
    let default = settings.environment_default.clone();
    let mut environments: Vec<String> = tree.environments().map(str::to_owned).collect();
    environments.extend(default.map(|name| name.to_string()));
    environments.push("prod".to_owned());
    for environment in environments {
        let Some(environment) = EnvironmentName::parse(environment.as_bytes()) else { continue };
        for verb in tree.verb_names(environment.as_str()) {
            let verb = VerbName::parse(verb.as_bytes());
            tree.select(&mut decoder, &environment, verb.as_ref());
        }
    }
    decoder.mistakes.sort_by_key(|mistake| mistake.span);
    decoder.mistakes.dedup();
    crate::failing(tree.sources(), &decoder).map(|()| 0)
}
