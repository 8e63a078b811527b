//! The values that the program works with: nothing here touches the world.

pub(crate) mod capability;
pub(crate) mod condition;
pub(crate) mod deferred;
pub(crate) mod env_file;
pub(crate) mod limit;
pub(crate) mod mount;
pub(crate) mod reference;
pub(crate) mod signal;
pub(crate) mod step;
pub(crate) mod supervision;
mod syntax;
pub(crate) mod target;
pub(crate) mod template;
pub(crate) mod text;
pub(crate) mod toml;
pub(crate) mod user;
pub(crate) mod variables;
pub(crate) mod words;

pub(crate) use crate::value::capability::Capability;
pub(crate) use crate::value::condition::Facts;
pub(crate) use crate::value::deferred::Deferred;
pub(crate) use crate::value::limit::Limit;
pub(crate) use crate::value::signal::signal_name;
pub(crate) use crate::value::step::{During, Executables, OnFailure, Probe, Render, Setting, StepKind};
pub(crate) use crate::value::supervision::Supervision;
pub(crate) use crate::value::template::{Expanded, Template};
pub(crate) use crate::value::text::{HINT, Malformed, Scope, TextError, expand_text};
pub(crate) use crate::value::toml::{Document, Shape, Sources};
pub(crate) use crate::value::user::{LARGEST_ID, UserSpec, Who};
pub(crate) use crate::value::variables::{Fact, Origin, Variables, from_runtime};
pub(crate) use crate::value::words::Element;
