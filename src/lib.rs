//! preverb: one image, many verbs.
#![allow(dead_code, missing_docs)]
mod failure;
mod log;
mod table;
mod words;
pub fn run() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
