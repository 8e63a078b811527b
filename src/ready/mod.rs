//! Whether something is ready: one try of a target, and the loop that waits.

pub(crate) mod probe;
pub(crate) mod wait;
