//! Reads this process's environment and program path, and files of any kind until a request to stop.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::sys::entry::NONBLOCKING;
use crate::sys::signals::Signals;
use crate::sys::spawn::Stop;
use crate::text::path_of;
use crate::value::{Variables, from_runtime};

pub(crate) fn environment() -> Variables {
    // The C library's list, which Rust reads, is complete, but Rust skips entries without `=`.
    // musl's open(3) would make a second system call.
    let opened = rustix::fs::open("/proc/self/environ", OFlags::CLOEXEC, Mode::empty());
    match opened.map_err(Into::into).and_then(|file| read(&file, usize::MAX, &mut |_| Ok(()))) {
        Ok(bytes) if !bytes.is_empty() => Variables::from_block(&bytes),
        Ok(_) | Err(_) => from_runtime(),
    }
}

/// Reads a file that may block, such as a pipe or a terminal. A file larger than `most` is refused.
pub(crate) fn read_interruptible(
    path: &Path, most: usize, signals: &mut Signals,
) -> Result<std::io::Result<Vec<u8>>, Stop> {
    let opened = rustix::fs::open(path, NONBLOCKING | OFlags::CLOEXEC, Mode::empty());
    opened.map_or_else(|errno| Ok(Err(errno.into())), |file| read_opened(&file, most, signals))
}

pub(crate) fn read_opened(
    file: &OwnedFd, most: usize, signals: &mut Signals,
) -> Result<std::io::Result<Vec<u8>>, Stop> {
    let mut stop = None;
    let content = read(file, most, &mut |file| {
        stop = signals.wait_for(file)?;
        if stop.is_some() { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    });
    stop.map_or(Ok(content), |number| Err(Stop(number)))
}

/// Reads a whole file with few system calls, and calls `until_ready` when it has no data. A pipe that has no
/// writer yet looks as if it had ended, so only the second end counts.
fn read(
    file: &OwnedFd, most: usize, until_ready: &mut dyn FnMut(BorrowedFd<'_>) -> std::io::Result<()>,
) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(4000);
    let mut waited = false;
    loop {
        // After a full buffer there may be more. If the buffer is not full, the next call returns 0.
        match rustix::io::read(file, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) if waited || !bytes.is_empty() => return Ok(bytes),
            Ok(0) | Err(Errno::AGAIN) => {
                until_ready(file.as_fd())?;
                waited = true;
            }
            Ok(_) if bytes.len() > most => return Err(Errno::FBIG.into()),
            Ok(_) if bytes.len() == bytes.capacity() => bytes.reserve(bytes.len()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

pub(crate) fn is_there(path: &[u8]) -> bool {
    look_for(path).unwrap_or(false)
}

/// Whether something is at a path; with a slash at its end, whether it is a directory that is not empty.
pub(crate) fn look_for(path: &[u8]) -> std::io::Result<bool> {
    let place = path_of(path);
    let found = if path.ends_with(b"/") {
        place.read_dir().map(|mut entries| entries.next().is_some())
    } else {
        place.metadata().map(|_| true)
    };
    match found {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        found => found,
    }
}

/// The path of this program, to start it again. No other program would write it in this form, so `argv[0]`
/// shows that it is an internal mode of preverb and not a verb.
pub(crate) fn program() -> PathBuf {
    let path = std::fs::read_link("/proc/self/exe").unwrap_or_else(|_| {
        // Without /proc, the kernel's auxiliary vector still has the path given to execve(2).
        let path = OsStr::from_bytes(rustix::param::linux_execfn().to_bytes());
        std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path))
    });
    let Some((directory, name)) = path.parent().zip(path.file_name()) else { return path };
    directory.join(".").join(name)
}

/// Whether `argv[0]` is one that preverb uses to start its internal modes.
pub(crate) fn is_part(name: &[u8]) -> bool {
    name.iter().rposition(|byte| *byte == b'/').is_some_and(|slash| name[..=slash].ends_with(b"/./"))
}
