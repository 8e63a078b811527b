//! Starts preverb. The library makes all decisions.

use dlmalloc::GlobalDlmalloc;

// musl's allocator calls the kernel at nearly each step of reading a table; this one calls it once.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

fn main() -> std::process::ExitCode {
    preverb::run()
}
