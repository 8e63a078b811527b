//! preverb: one image, many verbs. The program takes a request, reads the facts, makes a plan, and then
//! explains the plan or performs it.
//!
//! From the bottom up (docs/ARCHITECTURE.md has what each may use): `text/` has messages, failures and names,
//! `value/` the values of the domain, `sys/` the kernel, `table/` the verb table. `plan/` makes a plan from
//! the request, the table and the facts. `ready/` tries a target and waits for it, `setup/` performs a plan,
//! `cli/` parses argv into a request, and `modes/` has a file for each mode. `fuzzing.rs` is the entry point
//! for fuzzers, `keys.rs` that for the tests that make the JSON schema.
//!
//! For the difficult parts preverb starts itself in an internal mode: `--preverb-as` steps down before a
//! hook, `--preverb-dump` sends a shell's environment back, `--preverb-probe` makes one try,
//! `--preverb-guard` cleans up after a program, `--preverb-lookup` resolves a name, `--supervise` stays as
//! PID 1, and `--preverb-target` is its child before it becomes the target. So there is no `unsafe`, and no
//! code runs between fork and exec.

mod cli;
#[doc(hidden)]
pub mod fuzzing;
#[doc(hidden)]
pub mod keys;
mod modes;
mod plan;
mod ready;
mod setup;
mod sys;
mod table;
mod text;
mod value;

/// Runs preverb. Returns only if no target has replaced the process.
#[must_use]
pub fn run() -> std::process::ExitCode {
    modes::start::run()
}

#[cfg(test)]
#[path = "../tests/support/skip.rs"]
#[allow(dead_code, clippy::disallowed_methods, reason = "only the tests use it")]
mod skip;
