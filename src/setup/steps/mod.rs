//! The kinds of steps, one file for each.

pub(crate) mod chown;
pub(crate) mod during;
mod env;
pub(crate) mod hooks;
pub(crate) mod mkdir;
pub(crate) mod progress;
pub(crate) mod render;
pub(crate) mod wait;
