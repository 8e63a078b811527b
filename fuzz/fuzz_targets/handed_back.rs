//! What a small shell prints of itself: its reader never panics, and takes what such a shell prints for what it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use preverb::fuzzing::handed_back;

/// A value as dash and busybox quote it: runs of single quotes in double ones, everything else in single ones.
fn quoted(value: &[u8]) -> Vec<u8> {
    let mut text = b"''".to_vec();
    for run in value.chunk_by(|one, other| (*one == b'\'') == (*other == b'\'')) {
        let quote = if run.starts_with(b"'") { b'"' } else { b'\'' };
        text.push(quote);
        text.extend_from_slice(run);
        text.push(quote);
    }
    text
}

fuzz_target!(|data: &[u8]| {
    let _ = handed_back(data);

    let mut parts = data.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    // Whatever a directory is called, its name begins with a slash.
    let directory = [b"/", &*parts.next().unwrap_or_default()].concat();
    let values: Vec<Vec<u8>> = parts.collect();
    let mut text = Vec::new();
    let mut entries = Vec::new();
    for (number, value) in values.iter().enumerate() {
        let name = format!("V{number}");
        text.extend([b"export ", name.as_bytes(), b"=", &quoted(value), b"\n"].concat());
        entries.push([name.as_bytes(), b"=", value].concat());
    }
    text.extend([&*directory, b"\n0027\n"].concat());
    assert_eq!(handed_back(&text), Some((entries, directory, 0o27)));
});
