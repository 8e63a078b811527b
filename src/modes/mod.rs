//! The modes of preverb: one file for each, named after its option.

pub(crate) mod check;
pub(crate) mod context;
pub(crate) mod exec;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod help;
pub(crate) mod list;
pub(crate) mod main_process;
pub(crate) mod probe;
pub(crate) mod run;
pub(crate) mod shim;
pub(crate) mod start;
pub(crate) mod supervise;
pub(crate) mod value_files;
pub(crate) mod verb;
