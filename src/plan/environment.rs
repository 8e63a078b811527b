//! Which deployment environment a run is in, and why. Pure.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use crate::table::types::Settings;
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::quoted;
use crate::text::names::{EnvironmentName, NAME_RULE};
use crate::value::template::Expanded;
use crate::value::variables::Variables;

/// Why the environment is the one that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// The option `--environment`.
    Option,
    /// This variable.
    Variable(String),
    /// The table's default, this variable being unset or empty.
    TableDefault(String),
    /// preverb's default, this variable being unset or empty.
    BuiltIn(String),
}

impl Why {
    /// The reason in words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Option => "given by `--environment`".to_owned(),
            Self::Variable(name) => format!("named by the variable `{name}`"),
            Self::TableDefault(name) => {
                format!("the table's default; the variable `{name}` is unset or empty")
            }
            Self::BuiltIn(name) => format!("the default; the variable `{name}` is unset or empty"),
        }
    }
}

/// The chosen environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Environment {
    /// Its name.
    pub(crate) name: EnvironmentName,
    /// Why it is this one.
    pub(crate) why: Why,
    /// The variable that names it.
    pub(crate) variable: String,
}

/// Chooses the environment.
///
/// # Errors
/// Usage (64) or Variable (65): a name that is none.
pub(crate) fn choose(
    option: Option<&OsString>,
    settings: &Settings,
    variables: &Variables,
) -> Result<Environment> {
    let variable = settings.environment.variable().to_owned();
    if let Some(name) = option {
        let bytes = name.as_bytes();
        let name = EnvironmentName::parse(bytes).ok_or_else(|| {
            let sentence =
                format!("option `--environment` is {}, which no environment can be called", quoted(bytes));
            Failure::say(Kind::Usage, sentence).hint(NAME_RULE)
        })?;
        return Ok(Environment { name, why: Why::Option, variable });
    }
    if let Some(value) = variables.non_empty(variable.as_bytes()) {
        let name = EnvironmentName::parse(value).ok_or_else(|| {
            let shown = Expanded { bytes: value.to_vec(), secret: settings.environment.is_secret }.shown();
            let sentence = format!("variable `{variable}` is `{shown}`, which no environment can be called");
            Failure::say(Kind::Variable, sentence).hint(NAME_RULE).field("variable", &variable)
        })?;
        return Ok(Environment { name, why: Why::Variable(variable.clone()), variable });
    }
    let (name, why) = match &settings.environment.default {
        Some(name) => (Some(name.clone()), Why::TableDefault(variable.clone())),
        None => (
            EnvironmentName::parse(settings.environment.default().as_bytes()),
            Why::BuiltIn(variable.clone()),
        ),
    };
    let name = name.ok_or_else(|| Failure::say(Kind::Table, "the table has no default environment"))?;
    Ok(Environment { name, why, variable })
}
