//! What a key stands in, for messages.

use crate::text::log::quoted;

/// What a key stands in; in words only where a mistake asks for them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'p> {
    Table,
    Environment(&'p str),
    Verb(&'p str),
    VerbOf(&'p str, &'p str),
    /// A step of one of these.
    StepOf(&'p Place<'p>),
    /// A table in one of these, by its key, or by its header.
    Named(&'p str),
    Variable(&'p str),
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Table => f.write_str("the table"),
            Self::Environment(name) => write!(f, "environment {}", quoted(name)),
            Self::Verb(name) => write!(f, "verb {}", quoted(name)),
            Self::VerbOf(name, environment) => {
                write!(f, "verb {} of environment {}", quoted(name), quoted(environment))
            }
            Self::StepOf(place) => write!(f, "a step of {place}"),
            Self::Named(name) => f.write_str(&quoted(name)),
            Self::Variable(name) => write!(f, "`[variables.{name}]`"),
        }
    }
}
