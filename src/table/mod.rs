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
