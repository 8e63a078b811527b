//! A connection to a server, and its time limit. Answers have a fixed size limit, no matter what length the
//! server announces. A protocol's parser is a pure function of the bytes received so far.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_linger, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use crate::text::{of_errno, reason};

/// The maximum size of an answer.
const LONGEST: usize = 16 * 1024;

/// The time for which a TCP connection has to stay open, and for which the rest of an answer is drained.
pub(crate) const WATCHED: Duration = Duration::from_millis(20);

/// A time limit, and how much of it is left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) begun: Instant,
    pub(crate) limit: Duration,
}

impl Clock {
    pub(crate) fn start(limit: Duration) -> Self {
        Self { begun: Instant::now(), limit }
    }

    pub(crate) fn rest(self) -> Duration {
        self.limit.saturating_sub(self.begun.elapsed())
    }

    /// The time that is left, or an error if none is: the system reads a timeout of zero as no timeout.
    fn left(self) -> Result<Duration, String> {
        Some(self.rest()).filter(|rest| !rest.is_zero()).ok_or_else(|| self.expired())
    }

    pub(crate) fn share(self, parts: usize) -> Self {
        Self::start(self.rest() / u32::try_from(parts).unwrap_or(u32::MAX).max(1))
    }

    fn expired(self) -> String {
        format!("no answer within {}", rounded(self.limit))
    }
}

/// Formats a limit: `5 s`, `2.5 s`, `500 ms`. From a second on, it is rounded to tenths of a second.
pub(crate) fn rounded(limit: Duration) -> String {
    // A share of a limit has lost some microseconds to earlier work.
    let millis = (limit.as_micros() + 500) / 1000;
    let tenths = (millis + 50) / 100;
    match (tenths / 10, tenths % 10) {
        (0, _) => format!("{millis} ms"),
        (seconds, 0) => format!("{seconds} s"),
        (seconds, tenth) => format!("{seconds}.{tenth} s"),
    }
}

/// Opens a connection to the server that is tried.
pub(crate) type Open<'o> = dyn Fn() -> Result<Connection, String> + 'o;

/// The result of a parser for the bytes so far: `None` (incomplete), or a value and the bytes that it used.
pub(crate) type Parsed<T> = Result<Option<(T, usize)>, String>;

pub(crate) struct Connection {
    socket: OwnedFd,
    clock: Clock,
    seen: Vec<u8>,
}

impl Connection {
    pub(crate) fn tcp(address: SocketAddr, clock: Clock) -> Result<Self, String> {
        let stream = TcpStream::connect_timeout(&address, clock.left()?).map_err(|error| {
            let is_timeout = [ErrorKind::TimedOut, ErrorKind::WouldBlock].contains(&error.kind());
            if is_timeout { clock.expired() } else { reason(&error) }
        })?;
        if is_self(&stream) {
            // With a linger of zero the port is free at once; TIME_WAIT would keep it from the server.
            let _ = set_socket_linger(&stream, Some(Duration::ZERO));
            return Err("connection refused".to_owned());
        }
        Ok(Self { socket: stream.into(), clock, seen: Vec::new() })
    }

    pub(crate) fn unix(path: &Path, clock: Clock) -> Result<Self, String> {
        // The standard library's connect has no timeout: it hangs while the server's queue is full.
        let address = SocketAddrUnix::new(path).map_err(of_errno)?;
        let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
        let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None).map_err(of_errno)?;
        loop {
            // The send timeout also applies to connect.
            set_socket_timeout(&socket, Timeout::Send, Some(clock.left()?)).map_err(of_errno)?;
            match rustix::net::connect(&socket, &address) {
                Ok(()) => return Ok(Self { socket, clock, seen: Vec::new() }),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(Errno::PROTOTYPE) => return Err("is not a stream socket".to_owned()),
                Err(Errno::NOENT) => return Err("does not exist".to_owned()),
                Err(error) => return Err(of_errno(error)),
            }
        }
    }

    /// Sends bytes. A server may answer and close before it has read everything: then its answer counts. If
    /// there is none, the read reports the error.
    pub(crate) fn send(&self, mut bytes: &[u8]) {
        let limits = |left| set_socket_timeout(&self.socket, Timeout::Send, Some(left)).is_ok();
        while !bytes.is_empty() && self.clock.left().is_ok_and(limits) {
            match rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    pub(crate) fn exchange<T>(&mut self, request: &[u8], parse: fn(&[u8]) -> Parsed<T>) -> Result<T, String> {
        self.send(request);
        self.receive(parse)
    }

    pub(crate) fn receive<T>(&mut self, parse: fn(&[u8]) -> Parsed<T>) -> Result<T, String> {
        loop {
            if let Some((value, count)) = parse(&self.seen)? {
                self.seen.drain(..count.min(self.seen.len()));
                return Ok(value);
            }
            self.read_more()?;
        }
    }

    fn read_more(&mut self) -> Result<(), String> {
        if self.seen.len() >= LONGEST {
            return Err(format!("the answer is longer than {} KiB", LONGEST / 1024));
        }
        match self.read()? {
            0 if self.seen.is_empty() => Err("connection closed without an answer".to_owned()),
            0 => Err("connection closed in the middle of the answer".to_owned()),
            _ => Ok(()),
        }
    }

    fn read(&mut self) -> Result<usize, String> {
        let mut chunk = [0; 1024];
        loop {
            let left = self.clock.left().map_err(|error| format!("connected, but {error}"))?;
            set_socket_timeout(&self.socket, Timeout::Recv, Some(left)).map_err(of_errno)?;
            match rustix::net::recv(&self.socket, &mut chunk, RecvFlags::empty()) {
                Ok((count, _)) => {
                    self.seen.extend_from_slice(chunk.get(..count).unwrap_or_default());
                    return Ok(count);
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(of_errno(error)),
            }
        }
    }

    /// Fails if the other side ends the connection soon. It does not have to send anything.
    pub(crate) fn stays_open(mut self) -> Result<(), String> {
        self.clock = Clock::start(self.clock.rest().min(WATCHED));
        loop {
            match self.read() {
                Ok(0) => return Err("connection closed at once".to_owned()),
                // The content does not matter.
                Ok(_) => self.seen.clear(),
                Err(_) if self.clock.left().is_err() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Drains the rest of an answer, for a short time. Closing a socket with unread bytes resets the
    /// connection, which many servers would log for each probe.
    pub(crate) fn drain(self) {
        let _ = self.stays_open();
    }
}

/// Whether the stream is connected to itself. If nothing listens on a local port in the ephemeral range, the
/// kernel may give this port to the probe as its own source port.
fn is_self(stream: &TcpStream) -> bool {
    stream.local_addr().is_ok_and(|local| stream.peer_addr().is_ok_and(|peer| local == peer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn a_connection_to_itself_is_refused() {
        let socket =
            rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .unwrap();
        rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let own = SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap();
        rustix::net::connect(&socket, &own).unwrap();
        assert!(is_self(&TcpStream::from(socket)));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!is_self(&stream));
    }

    #[test]
    fn limits_are_rounded_in_messages() {
        for (micros, text) in [
            (0, "0 ms"),
            (200_000, "200 ms"),
            (199_987, "200 ms"),
            (949_000, "949 ms"),
            (1_000_000, "1 s"),
            (2_500_000, "2.5 s"),
            (4_999_871, "5 s"),
            (60_000_000, "60 s"),
        ] {
            assert_eq!(rounded(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn an_endless_answer_is_not_stored() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                use std::io::Write as _;
                let (mut stream, _) = listener.accept().unwrap();
                while stream.write_all(&[0; 4096]).is_ok() {}
            });
            let clock = Clock::start(Duration::from_secs(20));
            let mut connection = Connection::tcp(address, clock).unwrap();
            let endless: Result<(), String> = connection.receive(|_| Ok(None));
            assert_eq!(endless, Err("the answer is longer than 16 KiB".to_owned()));
            let most = connection.seen.len();
            assert!((LONGEST..LONGEST + 1024).contains(&most), "{most}");
        });
    }
}
