//! The deployment environment of a run, and why it was chosen. Pure.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use crate::table::{Named, Settings, Tree};
use crate::text::{self, EnvironmentName, Failure, Kind, NAME_RULE, Result, nearest, shown_value};
use crate::value::Variables;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Option,
    Variable,
    /// The table's default, because the variable is unset or empty.
    TableDefault,
    /// preverb's default, because the variable is unset or empty.
    BuiltIn,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(crate) name: EnvironmentName,
    pub(crate) alias: Option<EnvironmentName>,
    pub(crate) why: Why,
    /// The variable that selects the environment.
    pub(crate) variable: String,
}

impl Environment {
    /// Explains why this environment was chosen.
    pub(crate) fn describe(&self) -> String {
        let name = &self.variable;
        let why = match self.why {
            Why::Option => "given by `--environment`".to_owned(),
            Why::Variable => format!("named by the variable `{name}`"),
            Why::TableDefault => format!("the table's default; the variable `{name}` is unset or empty"),
            Why::BuiltIn => format!("the default; the variable `{name}` is unset or empty"),
        };
        why + &self.alias.as_ref().map_or_else(String::new, |alias| format!(" as `{alias}`"))
    }
}

pub(crate) fn choose(
    option: Option<&OsString>, settings: &Settings, variables: &Variables, tree: Tree<'_>,
) -> Result<Environment> {
    let naming = &settings.environment;
    let variable = naming.variable();
    let (given, why, kind) = if let Some(name) = option {
        (name.as_bytes(), Why::Option, Kind::Usage)
    } else if let Some(value) = variables.non_empty(variable.as_bytes()) {
        (value, Why::Variable, Kind::Variable)
    } else {
        let why = if naming.default.is_some() { Why::TableDefault } else { Why::BuiltIn };
        (naming.default().as_bytes(), why, Kind::Table)
    };
    let secret = why == Why::Variable && naming.is_secret;
    let chosen = |name, alias| Environment { name, alias, why, variable: variable.to_owned() };
    let name = EnvironmentName::parse(given).map(|name| (tree.named(naming, &name), name));
    let (kind, reason, hint) = match name {
        None => (kind, "is not a valid environment name".to_owned(), NAME_RULE.to_owned()),
        Some((Named::Itself, name)) => return Ok(chosen(name, None)),
        Some((Named::Alias(target), alias)) => return Ok(chosen(target, Some(alias))),
        Some((Named::Unlisted, name)) => {
            let known: Vec<&str> = naming.names.iter().flatten().map(EnvironmentName::as_str).collect();
            let aliases = naming.aliases.iter().map(|(alias, _)| alias.as_str());
            let near = nearest(name.as_str(), known.iter().copied().chain(aliases)).filter(|_| !secret);
            let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
            let hint = format!("{near}the environments are {}", text::listed(&known));
            (Kind::Variable, "is not an environment of this table".to_owned(), hint)
        }
        Some((Named::Like(_), _)) if secret => {
            let reason = "looks like an environment of the table but is not one".to_owned();
            (Kind::Variable, reason, String::new())
        }
        Some((Named::Like(other), _)) => {
            let reason = format!("looks like environment `{other}` but is not it");
            (Kind::Variable, reason, format!("did you mean `{other}`?"))
        }
    };
    let subject = match why {
        Why::Option => "option `--environment`".to_owned(),
        Why::Variable => format!("variable `{variable}`"),
        Why::TableDefault | Why::BuiltIn => "the default environment".to_owned(),
    };
    let sentence = format!("{subject} is `{}`, which {reason}", shown_value(given, secret));
    let mut failure = Failure::new(kind, sentence);
    if !hint.is_empty() {
        failure = failure.hint(hint);
    }
    Err(if why == Why::Variable { failure.field("variable", variable) } else { failure })
}
