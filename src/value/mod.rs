//! What the program is about, as values: nothing here touches the world.

pub(crate) mod capability;
pub(crate) mod limit;
pub(crate) mod signal;
pub(crate) mod supervision;
pub(crate) mod template;
pub(crate) mod user;
pub(crate) mod variables;
