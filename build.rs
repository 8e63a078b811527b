//! Gives the linker of the static binary the script that leaves out what only unwinding needs.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "how a build script speaks and listens")]

fn main() {
    println!("cargo::rerun-if-changed=link/no-unwind-tables.ld");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let release = is("PROFILE", "release");
    if release && is("CARGO_CFG_TARGET_ENV", "musl") && is("CARGO_CFG_TARGET_ARCH", "x86_64") {
        let root = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{root}/link/no-unwind-tables.ld");
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    }
}
