//! Text: parsing and display. These modules know nothing of the rest of the program.

pub(crate) mod choice;
pub(crate) mod duration;
pub(crate) mod escape;
pub(crate) mod failure;
pub(crate) mod log;
pub(crate) mod names;
pub(crate) mod paint;
pub(crate) mod url;

pub(crate) use crate::text::choice::choice;
pub(crate) use crate::text::duration::*;
pub(crate) use crate::text::escape::{Exact, MASK, WITHHELD, escaped, shell_quoted, shortened};
pub(crate) use crate::text::failure::*;
pub(crate) use crate::text::log::*;
pub(crate) use crate::text::names::*;
pub(crate) use crate::text::paint::*;
pub(crate) use crate::text::url::shown_value;
