//! Reading: this process's environment and program, and files of any kind, in a way that a stop can
//! interrupt.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::sys::child::Stop;
use crate::sys::signals::Signals;
use crate::value::variables;
use crate::value::variables::Variables;

/// The environment that this process inherited, whole.
pub(crate) fn environment() -> Variables {
    // The C library's list, which Rust reads, has lost nothing, but Rust passes over entries without `=`.
    match read_file(Path::new("/proc/self/environ"), 4000) {
        Ok(bytes) if !bytes.is_empty() => Variables::from_block(&bytes),
        Ok(_) | Err(_) => variables::from_runtime(),
    }
}

/// Reads a file whole, with as few system calls as that takes: `likely` is how large it may well be.
pub(crate) fn read_file(path: &Path, likely: usize) -> std::io::Result<Vec<u8>> {
    read(path, OFlags::empty(), likely, usize::MAX, &mut |_| Ok(()))
}

/// The same for a file that may have nothing yet, a pipe or a terminal: requests to stop are heeded while it
/// has not. What is larger than `most` is refused.
///
/// # Errors
/// The request to stop.
pub(crate) fn read_heeding(
    path: &Path,
    most: usize,
    signals: &mut Signals,
) -> Result<std::io::Result<Vec<u8>>, Stop> {
    let mut stop = None;
    let content = read(path, OFlags::NONBLOCK | OFlags::NOCTTY, 4000, most, &mut |file| {
        stop = signals.wait_for(file)?;
        if stop.is_some() { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    });
    stop.map_or(Ok(content), |number| Err(Stop(number)))
}

/// Reads a file; `until_ready` is called where it has nothing. A pipe that nobody has opened for writing yet
/// looks as if it were at its end, so only the second end is believed.
fn read(
    path: &Path,
    flags: OFlags,
    likely: usize,
    most: usize,
    until_ready: &mut dyn FnMut(BorrowedFd<'_>) -> std::io::Result<()>,
) -> std::io::Result<Vec<u8>> {
    use rustix::io::Errno;
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | flags, Mode::empty())?;
    let mut bytes = Vec::with_capacity(likely);
    let mut waited = false;
    loop {
        // A full buffer says nothing of what is left, one that is not full ends in the next call.
        match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) if waited || !bytes.is_empty() => return Ok(bytes),
            Ok(0) | Err(Errno::AGAIN) => {
                until_ready(file.as_fd())?;
                waited = true;
            }
            Ok(_) | Err(Errno::INTR) => {
                if bytes.len() > most {
                    return Err(Errno::FBIG.into());
                }
                if bytes.len() == bytes.capacity() {
                    bytes.reserve(bytes.len());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether there is something at a path, links followed; in the directory itself where the path ends in a
/// slash.
pub(crate) fn is_there(path: &[u8]) -> bool {
    let asks_for_content = path.ends_with(b"/");
    let path = Path::new(OsStr::from_bytes(path));
    if asks_for_content {
        return std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    }
    path.exists()
}

/// The path of this very program, for starting it again: in a form that nobody else would write, so that a
/// part of it is told by its `argv[0]` and takes no word from a verb.
pub(crate) fn program() -> PathBuf {
    let path = std::fs::read_link("/proc/self/exe").unwrap_or_else(|_| {
        // Without /proc the kernel's auxiliary vector still has the path that was given to execve(2).
        let path = OsStr::from_bytes(rustix::param::linux_execfn().to_bytes());
        std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path))
    });
    match (path.parent(), path.file_name()) {
        (Some(directory), Some(name)) => directory.join(".").join(name),
        _ => path,
    }
}

/// Whether this `argv[0]` is one by which preverb starts its parts.
pub(crate) fn is_part(name: &[u8]) -> bool {
    let base = name.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    name[..base].ends_with(b"/./")
}
