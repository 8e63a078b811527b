//! The verb table: its types, and how nodes of TOML become them.
//!
//! Decoding is by part: the running path decodes the top level, the chosen environment and the verb that
//! was asked for, and nothing else; `--check` decodes everything. Both collect every mistake they
//! meet. The types know nothing of the world, and only `load.rs` reads files.

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
pub(crate) use crate::table::naming::{Named, filter_names, mentioned, named};
pub(crate) use crate::table::select::{Lookup, Selection, Tree};
pub(crate) use crate::table::types::{
    Declaration, Init, Layer, LeadingDash, Required, Settings, ShimSettings, Unknown, VariableKind, VerbPart,
    merged_declarations, opaque,
};
