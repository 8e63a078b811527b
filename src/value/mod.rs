//! The values that the program works with. These modules have no side effects.

pub(crate) mod condition;
pub(crate) mod env_file;
pub(crate) mod kernel;
pub(crate) mod mount;
pub(crate) mod reference;
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

pub(crate) use crate::value::condition::*;
pub(crate) use crate::value::kernel::*;
pub(crate) use crate::value::mount::*;
pub(crate) use crate::value::reference::{Form, Operator, Part, Reference};
pub(crate) use crate::value::step::*;
pub(crate) use crate::value::supervision::*;
pub(crate) use crate::value::target::{
    POSTGRES_SOCKET, POSTGRES_SOCKET_HINT, Password, Target, UNSEEN_PATH, UNSEEN_PATH_HINT,
};
pub(crate) use crate::value::template::{Deferred, Expanded, Fault, Template};
pub(crate) use crate::value::text::{HINT, Scope, TextError, expand_text, references};
pub(crate) use crate::value::toml::{Document, Mistake, Node, Place, Shape, Sources, Span};
pub(crate) use crate::value::user::*;
pub(crate) use crate::value::variables::*;
pub(crate) use crate::value::words::Element;
