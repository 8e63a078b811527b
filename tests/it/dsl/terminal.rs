//! A terminal for a test: the side of the screen and the keyboard.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};

/// The screen and the keyboard of a fresh terminal.
pub(super) struct Terminal {
    keyboard: File,
    /// The path of the program's side.
    name: String,
    screen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    /// Reading fails once the last program has closed its side, and also before the first one has opened
    /// it: so it stays open here until the program has started.
    hold: Option<File>,
}

impl Terminal {
    pub(super) fn new() -> Self {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let master = posix_openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname_r(&master).unwrap();
        let keyboard = File::from(OwnedFd::from(master));
        let mut source = keyboard.try_clone().unwrap();
        let screen = Arc::new(Mutex::new(Vec::new()));
        let hold = Some(open(&name));
        let shared = Arc::clone(&screen);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = source.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                shared.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self { keyboard, name, screen, reader, hold }
    }

    /// The program has its streams now.
    pub(super) fn started(&mut self) {
        self.hold = None;
    }

    /// The program's three standard streams.
    pub(super) fn streams(&self) -> [Stdio; 3] {
        [(); 3].map(|()| Stdio::from(open(&self.name)))
    }

    pub(super) fn type_in(&self, keys: &[u8]) {
        (&self.keyboard).write_all(keys).unwrap();
    }

    /// The output of the terminal so far, with plain newlines.
    pub(super) fn screen(&self) -> Vec<u8> {
        plain(&self.screen.lock().unwrap())
    }

    /// Everything that it has shown, once the last program has closed it.
    pub(super) fn finish(self) -> Vec<u8> {
        drop(self.keyboard);
        self.reader.join().unwrap();
        plain(&self.screen.lock().unwrap())
    }
}

fn open(name: &str) -> File {
    OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(name).unwrap()
}

/// A terminal ends its lines with a carriage return and a newline.
fn plain(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        if *byte != b'\r' || bytes.get(at + 1) != Some(&b'\n') {
            out.push(*byte);
        }
    }
    out
}
