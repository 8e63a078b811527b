//! The contract, tested from outside: each case starts the real binary with a table, files, arguments and
//! variables, and states all of its results. A file here is a chapter of the specification;
//! `dsl` is the DSL of these tests.

#![allow(
    clippy::disallowed_methods,
    reason = "the owners of the kernel's facilities are the program's; a test stands outside and starts, waits and signals"
)]
#![allow(
    clippy::print_stderr,
    clippy::too_many_lines,
    clippy::enum_variant_names,
    reason = "a skip is reported on the terminal; a list of cases is as long as it is"
)]
#![allow(clippy::unwrap_used, reason = "a test that cannot continue panics")]
#![allow(
    clippy::format_collect,
    clippy::format_push_string,
    reason = "tables and scripts are put together for reading, not for speed"
)]

mod bare;
mod check;
mod command_line;
mod conditions;
mod declared;
mod drop_ins;
#[allow(dead_code, reason = "a language has words for the chapters to come")]
mod dsl;
mod during;
mod env_steps;
mod environments;
mod exec;
mod exit_codes;
mod explain;
mod files;
mod habits;
mod hooks;
mod identity;
mod inside;
mod isolation;
mod language;
mod messages;
mod names;
mod once;
mod peers;
mod processors;
mod properties;
mod random;
mod root;
mod secrets;
mod setup;
#[path = "../support/skip.rs"]
mod skip;
mod steps;
mod stopping;
mod supervise;
mod table;
mod transparency;
mod values;
mod variables;
mod waiting;
mod wording;
