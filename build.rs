//! Passes linker scripts for the static binary, which leave out unreachable code.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "how a build script speaks and listens")]

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=link");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    if !is("PROFILE", "release") || !is("CARGO_CFG_TARGET_ENV", "musl") {
        return;
    }
    let root = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let linker = env::var("RUSTC_LINKER").unwrap_or_default();
    let is_lld = linker.ends_with("rust-lld");
    // A C compiler that links takes the linker's own options in another form.
    let prefix = if is_lld { "" } else { "-Wl," };
    let option = |option: &str| println!("cargo::rustc-link-arg-bins={prefix}{option}");
    option("--no-eh-frame-hdr");
    option(&format!("--script={root}/link/no-unwinding.ld"));
    if is_lld || linker.contains("zigcc") {
        option(&format!("--script={root}/link/no-backtrace.ld"));
    }
}
