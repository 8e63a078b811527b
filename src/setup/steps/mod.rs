//! The steps that preverb does itself, a file for each kind.

pub(crate) mod chown;
pub(crate) mod mkdir;
pub(crate) mod render;
pub(crate) mod wait;
