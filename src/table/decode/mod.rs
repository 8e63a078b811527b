//! Nodes of TOML to the table's types. Every mistake is collected with its place; none is skipped.
//!
//! Each noun has one table of its keys: what a key is called, what it may hold, a line about it, and how it
//! is read. Decoding, the JSON schema and the test of the man page come from it.

pub(crate) mod decoder;
pub(crate) mod form;
pub(crate) mod layer;
pub(crate) mod list;
pub(crate) mod settings;
pub(crate) mod step;
pub(crate) mod verb;
pub(crate) mod words;
