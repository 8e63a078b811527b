//! What the program is about, as values: nothing here touches the world.

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
