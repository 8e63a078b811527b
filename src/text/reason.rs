//! Explains why the system refused something. All texts for system errors are here.
#![expect(clippy::wildcard_enum_match_arm, reason = "the system's errors are an open list")]

use std::io::ErrorKind;

use rustix::io::Errno;

/// The reason for a system error, in our own words where those are clearer.
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::TimedOut if error.raw_os_error().is_none() => "reading it took too long".to_owned(),
        ErrorKind::NotFound => "it does not exist".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::IsADirectory => "it is a directory".to_owned(),
        ErrorKind::NotADirectory => "a part of its path is not a directory".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        _ => error.raw_os_error().map_or_else(
            || error.to_string(),
            |number| nix::errno::Errno::from_raw(number).desc().to_lowercase(),
        ),
    }
}

pub(crate) fn of_errno(errno: Errno) -> String {
    reason(&errno.into())
}
