//! Writes what a mode prints to standard output.

use std::io::{ErrorKind, Write as _};

use serde::Serialize;

use crate::text::failure::{Failure, Kind, Result};
use crate::text::reason::reason;

/// Writes a text. A reader that has gone away is not a failure of preverb's.
pub(crate) fn print(text: &str) -> Result<u8> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let reason = reason(&error);
            Err(Failure::say(Kind::System, format!("cannot write to standard output: {reason}")))
        }
        _ => Ok(0),
    }
}

pub(crate) fn print_json(value: &impl Serialize) -> Result<u8> {
    print(&(serde_json::to_string_pretty(value).unwrap_or_default() + "\n"))
}
