//! Decodes TOML nodes into the table's types. Every mistake is collected with its place.
//!
//! Each noun has one list of its keys: the name of a key, the form of its value, a description, and its
//! reader. Decoding, the JSON schema and the test of the man page use this list.

pub(crate) mod decoder;
pub(crate) mod list;
pub(crate) mod settings;
pub(crate) mod step;
pub(crate) mod verb;
pub(crate) mod words;
