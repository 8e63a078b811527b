//! preverb: one image, many verbs.
#![allow(dead_code, missing_docs)]
mod child;
mod cli;
mod exec;
mod expand;
mod failure;
mod identity;
mod log;
mod observe;
mod plan;
mod probe;
mod shim;
mod signals;
mod table;
mod variables;
mod words;
pub fn run() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
