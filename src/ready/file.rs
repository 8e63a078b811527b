//! A file: ready if it exists, or if a program has touched it recently (a heartbeat).

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::text::reason;

pub(crate) fn look_at(path: &Path, max_age: Option<Duration>) -> Result<(), String> {
    let modified = match std::fs::metadata(path).and_then(|metadata| metadata.modified()) {
        Ok(modified) => modified,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err("does not exist".to_owned()),
        Err(error) => return Err(reason(&error)),
    };
    let Some(max_age) = max_age else { return Ok(()) };
    match SystemTime::now().duration_since(modified) {
        // The age is shown in whole seconds, except that a young file is not `0 s` old.
        Ok(age) if age > max_age && age.as_secs() == 0 => Err(format!("is {} ms old", age.as_millis())),
        Ok(age) if age > max_age => Err(format!("is {} s old", age.as_secs())),
        Ok(_) => Ok(()),
        // The file would look fresh until that time, even if its program has died.
        Err(_) => Err("has a time in the future".to_owned()),
    }
}
