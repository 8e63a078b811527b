//! A value of the table that is known when the table is read, or after its `${...}` are expanded. Pure.

use crate::value::template::Template;

/// A duration or a mode, possibly with `${...}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deferred<T> {
    Known(T),
    Template(Template),
}

impl<T: Copy> Deferred<T> {
    pub(crate) fn known(&self) -> Option<T> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Template(_) => None,
        }
    }
}
