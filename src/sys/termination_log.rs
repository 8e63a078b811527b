//! The file from which Kubernetes reads the message of a failed container (`terminationMessagePath`).

use std::fs::File;
use std::io::Write as _;

use rustix::fs::{Mode, OFlags, open};

use crate::text::Failure;

const PATH: &str = "/dev/termination-log";
/// The maximum size that the kubelet reads.
const MOST: usize = 4096;

/// Writes the first line of each message of a failure to the file, if it exists. A request to stop is not a
/// failure. The file is not created, no link is followed, and a pipe without a reader does not block.
pub(crate) fn write(failure: &Failure) {
    if failure.is_stop() {
        return;
    }
    let safely = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let Ok(file) = open(PATH, OFlags::WRONLY | OFlags::TRUNC | safely, Mode::empty()) else { return };
    let messages = failure.messages();
    let text: String = messages.iter().flat_map(|message| ["preverb: ", &message.text, "\n"]).collect();
    // If this write fails, the message is still on standard error.
    let _ = File::from(file).write_all(&text.as_bytes()[..text.floor_char_boundary(MOST)]);
}
