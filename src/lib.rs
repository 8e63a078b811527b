//! preverb: one image, many verbs. The program is one sentence: take a request, observe the world, plan, then
//! explain the plan or perform it.
//!
//! The rooms, and what each may use:
//!
//! | room | is | may use |
//! |---|---|---|
//! | `text/` | messages, failures, names, durations; knows nothing of the program | |
//! | `value/` | what the program is about, as values: variables, templates, users | `text` |
//! | `sys/` | the kernel: one owner for each facility | `value`, `text` |
//! | `table/` | the verb table: files, tree, types | `value`, `text` (`load.rs`: `sys`) |
//! | `plan/` | request, table and facts make a plan; pure | `table`, `value`, `text` |
//! | `ready/` | one try of a target, and the loop that waits | `sys`, `value`, `text` |
//! | `setup/` | performs a plan | `plan`, `ready`, `sys`, `value`, `text` |
//! | `cli/` | argv makes a request | `value`, `text` |
//! | `modes/` | what preverb can be asked for, a file each | all |
//!
//! `fuzzing.rs` is the entrance for fuzzers, `keys.rs` that of the tests which make the JSON schema.
//!
//! The difficult parts are preverb itself again, in a small mode: `--preverb-as` steps down before a hook,
//! `--preverb-dump` hands a shell's environment back, `--preverb-probe` makes one try, `--preverb-guard`
//! cleans up after one, `--preverb-lookup` asks for a name's addresses, `--supervise` stays as PID 1 and
//! `--preverb-target` is its child before it becomes the target. So there is no `unsafe`, and no code between
//! fork and exec.

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
#[allow(dead_code, clippy::disallowed_methods, reason = "of the tests, not of the program")]
mod skip;
