//! The kernel: one owner for each of its facilities. Nothing here knows the table.

pub(crate) mod cgroup;
pub(crate) mod child;
pub(crate) mod entry;
pub(crate) mod exec;
pub(crate) mod identity;
pub(crate) mod proc;
pub(crate) mod proof;
pub(crate) mod read;
pub(crate) mod running;
pub(crate) mod shebang;
pub(crate) mod signals;
pub(crate) mod spawn;
pub(crate) mod start;
pub(crate) mod terminal;
pub(crate) mod termination_log;
