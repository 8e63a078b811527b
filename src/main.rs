//! Starts preverb. Everything that decides is in the library.

use dlmalloc::GlobalDlmalloc;

// musl's allocator asks the kernel at nearly each step of reading a table; this one asks once.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

fn main() -> std::process::ExitCode {
    preverb::run()
}
