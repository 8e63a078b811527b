//! The contract in containers that a real engine builds, runs and stops.
//!
//! `harness` is the small DSL of these tests. Each other module is a chapter;
//! `example_*` are the images under `examples/`, end to end.
//!
//! Without an engine each test is skipped.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests read the environment, start programs and may panic"
)]

mod compose;
mod dockerfile;
mod entrypoint_and_cmd;
mod example_airflow;
mod example_build_env;
mod example_cli;
mod example_django;
mod example_files;
mod example_mariadb;
mod example_nginx;
mod example_postgres;
mod example_rabbitmq;
mod example_redis;
mod example_wordpress;
mod examples;
mod exit_codes;
mod harness;
mod health;
mod inside;
mod kubernetes;
mod process;
mod restrictions;
mod shim;
#[path = "../support/skip.rs"]
#[allow(dead_code, reason = "each kind of test uses some of it")]
mod skip;
mod stopping;
