//! The file from which Kubernetes takes the message of a container that failed (the field
//! `terminationMessagePath`).

use std::io::Write as _;

use rustix::fs::{Mode, OFlags};

use crate::text::failure::Failure;

const PATH: &str = "/dev/termination-log";
/// The most that the kubelet reads of it.
const MOST: usize = 4096;

/// Writes the first line of each message of a failure there, if the file exists. A request to stop is not a
/// failure.
///
/// Whoever owns the file decides nothing here: it is not created, no link is followed, and a pipe without a
/// reader does not block.
pub(crate) fn write(failure: &Failure) {
    if failure.is_stop() {
        return;
    }
    let flags = OFlags::WRONLY
        | OFlags::TRUNC
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(PATH, flags, Mode::empty()) else { return };
    let mut text = String::new();
    for message in failure.messages() {
        text.push_str("preverb: ");
        text.push_str(&message.text);
        text.push('\n');
    }
    // What cannot be written is on standard error all the same.
    let _ = std::fs::File::from(file).write_all(&text.as_bytes()[..text.floor_char_boundary(MOST)]);
}
