//! The contract, tested from outside: each case starts the real binary with a table, files, words and
//! variables, and states everything that comes out of it. A file here is a chapter of the specification;
//! `dsl` is the language that they are written in.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

#[allow(dead_code, reason = "a language has words for the chapters to come")]
mod dsl;
mod language;
