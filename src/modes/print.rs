//! Writes what a mode prints to standard output.

use std::io::Write as _;

use crate::text::failure::{Failure, Kind, Result};
use crate::text::reason::reason;

/// Writes what a mode prints to standard output. A reader that has gone away is no failure of preverb's.
pub(crate) fn print(text: &str) -> Result<u8> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let reason = reason(&error);
            Err(Failure::say(Kind::System, format!("cannot write to standard output: {reason}")))
        }
        _ => Ok(0),
    }
}
