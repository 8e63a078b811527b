//! The file from which Kubernetes takes the message of a container that failed (the field
//! `terminationMessagePath`).

use std::fs::File;
use std::io::Write as _;

use rustix::fs::{Mode, OFlags};

use crate::text::Failure;

const PATH: &str = "/dev/termination-log";
/// The most that the kubelet reads of it.
const MOST: usize = 4096;

/// Writes the first line of each message of a failure there, if the file exists. A request to stop is not a
/// failure. It is not created, no link is followed, and a pipe without a reader does not block.
pub(crate) fn write(failure: &Failure) {
    if failure.is_stop() {
        return;
    }
    let safely = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(PATH, OFlags::WRONLY | OFlags::TRUNC | safely, Mode::empty()) else {
        return;
    };
    let messages = failure.messages();
    let text: String = messages.iter().flat_map(|message| ["preverb: ", &message.text, "\n"]).collect();
    // A message that cannot be written here is still on standard error.
    let _ = File::from(file).write_all(&text.as_bytes()[..text.floor_char_boundary(MOST)]);
}
