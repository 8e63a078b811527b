//! The verb table: its types, and the conversion of TOML nodes into them.
//!
//! Decoding is partial: a run decodes only the top level, the chosen environment and the requested verb;
//! `--check` decodes everything. Both collect all mistakes. The types have no side effects, and only
//! `load.rs` reads files.

pub(crate) mod decode;
pub(crate) mod excerpt;
pub(crate) mod load;
pub(crate) mod naming;
pub(crate) mod select;
pub(crate) mod types;

pub(crate) use crate::table::decode::decoder::Decoder;
pub(crate) use crate::table::decode::list::all_steps;
pub(crate) use crate::table::excerpt::Excerpts;
pub(crate) use crate::table::load::failing;
pub(crate) use crate::table::naming::{Named, filter_names};
pub(crate) use crate::table::select::{Lookup, Selection, Tree};
pub(crate) use crate::table::types::{
    Declaration, Init, Layer, LeadingDash, Required, Settings, ShimSettings, Unknown, VariableKind, VerbPart,
    merged_declarations, opaque,
};
