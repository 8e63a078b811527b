//! The answers of a server to a probe: no parser panics, and the verdict does not depend on how the answer is
//! split.

#![no_main]

use libfuzzer_sys::fuzz_target;
use preverb::fuzzing::{PROTOCOLS, answer};

fuzz_target!(|data: &[u8]| {
    let Some((protocol, bytes)) = data.split_first() else { return };
    let whole = answer(protocol % PROTOCOLS, bytes);
    // A verdict on a part is the verdict on the whole: later bytes cannot change it.
    for end in 0..bytes.len().min(600) {
        if let Some(early) = answer(*protocol, &bytes[..end]) {
            assert_eq!(Some(early), whole, "{end} of {}", bytes.len());
            break;
        }
    }
});
