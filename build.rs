//! Gives the linker of the static binary its scripts: which functions stand first, and that nothing unwinds.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "how a build script speaks and listens")]

fn main() {
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let linked = is("PROFILE", "release")
        && is("CARGO_CFG_TARGET_ENV", "musl")
        && is("CARGO_CFG_TARGET_ARCH", "x86_64");
    let root = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    for script in ["link/no-unwinding.ld", "link/order.ld"] {
        println!("cargo::rerun-if-changed={script}");
        if linked {
            println!("cargo::rustc-link-arg-bins=-Wl,-T,{root}/{script}");
        }
    }
    if linked {
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    }
}
