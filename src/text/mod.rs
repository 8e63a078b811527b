//! Text, and how it is written and shown. This room knows nothing of the program.

pub(crate) mod choice;
pub(crate) mod duration;
pub(crate) mod escape;
pub(crate) mod exact;
pub(crate) mod failure;
pub(crate) mod log;
pub(crate) mod names;
pub(crate) mod nearest;
pub(crate) mod paint;
pub(crate) mod pattern;
pub(crate) mod reason;
pub(crate) mod split;
pub(crate) mod url;
