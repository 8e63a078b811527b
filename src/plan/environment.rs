//! The deployment environment of a run, and why it was chosen. Pure.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use crate::table::{Named, Settings, Tree};
use crate::text::{EnvironmentName, Failure, Kind, NAME_RULE, Result, nearest, shown_value};
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
    /// Whether the table lists this name in `names`.
    pub(crate) listed: bool,
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
    let variable = naming.variable().to_owned();
    let (given, why, kind) = if let Some(name) = option {
        (name.as_bytes(), Why::Option, Kind::Usage)
    } else if let Some(value) = variables.non_empty(variable.as_bytes()) {
        (value, Why::Variable, Kind::Variable)
    } else {
        let why = if naming.default.is_some() { Why::TableDefault } else { Why::BuiltIn };
        (naming.default().as_bytes(), why, Kind::Table)
    };
    let secret = kind == Kind::Variable && naming.is_secret;
    let refused = |kind, reason: &str, hint: String| {
        let shown = shown_value(given, secret);
        let subject = match &why {
            Why::Option => "option `--environment`".to_owned(),
            Why::Variable => format!("variable `{variable}`"),
            Why::TableDefault | Why::BuiltIn => "the default environment".to_owned(),
        };
        let mut failure = Failure::new(kind, format!("{subject} is `{shown}`, which {reason}"));
        if !hint.is_empty() {
            failure = failure.hint(hint);
        }
        if why == Why::Variable { failure.field("variable", &variable) } else { failure }
    };
    let Some(name) = EnvironmentName::parse(given) else {
        return Err(refused(kind, "is not a valid environment name", NAME_RULE.to_owned()));
    };
    let did_you_mean = |near: Option<&str>| {
        let near = near.filter(|_| !secret);
        near.map_or_else(String::new, |near| format!("did you mean `{near}`? "))
    };
    let (name, alias) = match tree.named(naming, &name) {
        Named::Itself => (name, None),
        Named::Alias(target) => (target, Some(name)),
        Named::Unlisted => {
            let known: Vec<&str> = naming.names.iter().flatten().map(EnvironmentName::as_str).collect();
            let aliases = naming.aliases.iter().map(|(alias, _)| alias.as_str());
            let near = did_you_mean(nearest(name.as_str(), known.iter().copied().chain(aliases)));
            let hint = format!("{near}the environments are `{}`", known.join("`, `"));
            return Err(refused(Kind::Variable, "is not an environment of this table", hint));
        }
        Named::Like(other) => {
            let reason = if secret {
                "looks like an environment of the table but is not one".to_owned()
            } else {
                format!("looks like environment `{other}` but is not it")
            };
            return Err(refused(Kind::Variable, &reason, did_you_mean(Some(&other)).trim_end().to_owned()));
        }
    };
    Ok(Environment { name, alias, why, variable, listed: naming.names.is_some() })
}
