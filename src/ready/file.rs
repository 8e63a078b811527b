//! A file: ready when it is there, or when a program has lately touched it (a heartbeat).

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::text::reason::reason;

pub(crate) fn look_at(path: &Path, max_age: Option<Duration>) -> Result<(), String> {
    let phrase = |error: std::io::Error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            "does not exist".to_owned()
        } else {
            reason(&error)
        }
    };
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified()).map_err(phrase)?;
    let Some(max_age) = max_age else { return Ok(()) };
    match SystemTime::now().duration_since(modified) {
        Ok(age) if age > max_age => Err(format!("is {} old", age_in_words(age))),
        Ok(_) => Ok(()),
        // It would be taken for fresh until then, whatever becomes of the program.
        Err(_) => Err("has a time in the future".to_owned()),
    }
}

/// `42 s`; whole, because the rest is of no use, but a young file is not `0 s` old.
fn age_in_words(age: Duration) -> String {
    if age.as_secs() == 0 { format!("{} ms", age.as_millis()) } else { format!("{} s", age.as_secs()) }
}
