//! A file for each kind of step.

pub(crate) mod chown;
pub(crate) mod during;
mod env;
pub(crate) mod hooks;
pub(crate) mod mkdir;
pub(crate) mod progress;
pub(crate) mod render;
pub(crate) mod wait;
