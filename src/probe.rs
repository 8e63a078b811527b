//! Readiness probes: is this thing ready now?
//!
//! Knows what a target looks like when written down, and how to try it once. Must not know who asks (`wait`
//! steps, `--wait`, `--probe`, `--health`), how often, or what becomes of the answer; probes that are
//! programs are the caller's, for children have one owner.
//!
//! A try keeps to its limit but for two calls that the standard library gives no deadline: resolving a name,
//! and asking for a file on a file system that hangs. So the caller runs a try in a process or thread that it
//! can leave behind.
//!
//! No message holds a part of the target: a target may have been expanded from a secret, and the caller
//! knows how to name it.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::net::sockopt::{Timeout, set_socket_linger, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// What is probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Ready when it accepts a connection.
    Tcp {
        /// A name or an address, without brackets.
        host: String,
        port: u16,
    },
    /// Ready when it accepts a connection; a stream socket.
    Unix { path: PathBuf },
    /// Ready when it answers 200 to 399.
    Http {
        /// A name or an address, without brackets.
        host: String,
        port: u16,
        /// What is asked for, from the first `/` on, with the query.
        path: Vec<u8>,
    },
    /// Ready when it exists and was modified at most `max_age` ago.
    File { path: PathBuf, max_age: Option<Duration> },
}

impl Target {
    /// Reads a target as the table and the command line spell it.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let Some((scheme, rest)) = split_once(text, b"://") else {
            return Err(format!("no scheme; {SCHEMES}"));
        };
        match scheme {
            b"tcp" => parse_tcp(rest),
            b"unix" => parse_unix(rest),
            b"http" => parse_http(rest),
            b"file" => parse_file(rest),
            b"https" => Err(String::from(
                "`https://` is not supported, because preverb holds no TLS and no certificates; \
                 use `http://`, `tcp://`, or a program that speaks TLS as an `exec` probe",
            )),
            _ => Err(format!("unknown scheme; {SCHEMES}")),
        }
    }
}

/// Tries `target` once, for at most `limit`; an error is a short phrase that says why it is not ready.
///
/// Resolving a name, and looking at a file on a file system that hangs, may take longer than `limit`: the
/// caller makes the try in a process of its own, and ends that.
pub(crate) fn attempt(target: &Target, limit: Duration) -> Result<(), String> {
    let clock = Clock::start(limit);
    match target {
        Target::Tcp { host, port } => {
            let addresses = resolve(host, *port, clock)?;
            any_address(&addresses, clock, |address, clock| connect(address, clock).map(drop))
        }
        Target::Http { host, port, path } => {
            let addresses = resolve(host, *port, clock)?;
            let request = request(host, *port, path);
            any_address(&addresses, clock, |address, clock| get(address, &request, clock))
        }
        Target::Unix { path } => connect_unix(path, clock),
        Target::File { path, max_age } => look_at(path, *max_age),
    }
}

const SCHEMES: &str = "use `tcp://host:port`, `unix:///path`, `http://host:port/path` or `file:///path`";

// Parsing.

fn parse_tcp(rest: &[u8]) -> Result<Target, String> {
    let (host, port) = parse_authority(rest)?;
    let port = port.ok_or("no port; use `tcp://host:port`")?;
    Ok(Target::Tcp { host, port })
}

fn parse_unix(rest: &[u8]) -> Result<Target, String> {
    let path = parse_path(rest)?;
    std::os::unix::net::SocketAddr::from_pathname(&path)
        .map_err(|_| "the path is longer than a socket's can be")?;
    Ok(Target::Unix { path })
}

fn parse_http(rest: &[u8]) -> Result<Target, String> {
    let rest = split_once(rest, b"#").map_or(rest, |(rest, _fragment)| rest);
    let end = rest.iter().position(|byte| b"/?".contains(byte));
    let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
    let (host, port) = parse_authority(authority)?;
    // A blank would end the request's target, a line feed the header: neither may be smuggled in.
    if path.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Err(String::from("a blank or a control character in a URL; write it as `%20` and the like"));
    }
    let mut target = Vec::with_capacity(path.len() + 1);
    if !path.starts_with(b"/") {
        target.push(b'/');
    }
    target.extend_from_slice(path);
    Ok(Target::Http { host, port: port.unwrap_or(80), path: target })
}

fn parse_file(rest: &[u8]) -> Result<Target, String> {
    let (path, max_age) = match split_once(rest, b"?") {
        None => (rest, None),
        Some((path, query)) => {
            let age = query
                .strip_prefix(b"max-age=")
                .ok_or("only `max-age=DURATION` may follow the `?` of a file")?;
            let age = parse_duration(age)
                .filter(|age| !age.is_zero())
                .ok_or("`max-age` is no duration like `500ms`, `60s`, `5m` or `1h`")?;
            (path, Some(age))
        }
    };
    Ok(Target::File { path: parse_path(path)?, max_age })
}

fn parse_path(bytes: &[u8]) -> Result<PathBuf, String> {
    if !bytes.starts_with(b"/") {
        return Err(String::from("the path is not absolute; three slashes begin it, as in `file:///path`"));
    }
    if bytes.contains(&0) {
        return Err(String::from("a NUL in the path"));
    }
    Ok(PathBuf::from(OsStr::from_bytes(bytes)))
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn parse_authority(bytes: &[u8]) -> Result<(String, Option<u16>), String> {
    if bytes.contains(&b'@') {
        return Err(String::from("a user in a target is not supported, for targets are shown in messages"));
    }
    if let Some(rest) = bytes.strip_prefix(b"[") {
        let (inside, after) = split_once(rest, b"]").ok_or("a `[` without its `]`")?;
        let host = std::str::from_utf8(inside)
            .ok()
            .filter(|text| text.parse::<Ipv6Addr>().is_ok())
            .ok_or("what is in brackets is no IPv6 address")?;
        let port = match after.split_first() {
            None => None,
            Some((b':', port)) => Some(parse_port(port)?),
            Some(_) => return Err(String::from("only `:port` may follow the `]`")),
        };
        return Ok((String::from(host), port));
    }
    let (host, port) = match split_once(bytes, b":") {
        None => (bytes, None),
        Some((_, port)) if port.contains(&b':') => {
            return Err(String::from(
                "more than one colon; an IPv6 address stands in brackets, as in `[::1]:80`",
            ));
        }
        Some((host, port)) => (host, Some(parse_port(port)?)),
    };
    if host.is_empty() {
        return Err(String::from("no host"));
    }
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    match std::str::from_utf8(host) {
        Ok(text) if host.iter().all(named) => Ok((String::from(text), port)),
        Ok(_) | Err(_) => Err(String::from(
            "a host's name is made of letters, digits, `-`, `.` and `_`, and only a port may follow it",
        )),
    }
}

fn parse_port(digits: &[u8]) -> Result<u16, String> {
    parse_number(digits)
        .and_then(|number| u16::try_from(number).ok())
        .filter(|port| *port != 0)
        .ok_or_else(|| String::from("the port is no number from 1 to 65535"))
}

fn parse_duration(text: &[u8]) -> Option<Duration> {
    let unit = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, unit) = text.split_at(unit);
    let number = parse_number(digits)?;
    match unit {
        b"ms" => Some(Duration::from_millis(number)),
        b"s" => Some(Duration::from_secs(number)),
        b"m" => number.checked_mul(60).map(Duration::from_secs),
        b"h" => number.checked_mul(60 * 60).map(Duration::from_secs),
        _ => None,
    }
}

/// Digits alone: `str::parse` would take a `+` too.
fn parse_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

fn split_once<'a>(bytes: &'a [u8], by: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(by.len()).position(|window| window == by)?;
    Some((&bytes[..at], &bytes[at + by.len()..]))
}

// Trying.

/// A span of time that is being used up.
#[derive(Clone, Copy)]
struct Clock {
    start: Instant,
    limit: Duration,
}

impl Clock {
    fn start(limit: Duration) -> Self {
        Self { start: Instant::now(), limit }
    }

    /// What is left, or the error that nothing is: the system takes a timeout of zero as none at all.
    fn left(self) -> Result<Duration, String> {
        let left = self.limit.saturating_sub(self.start.elapsed());
        if left.is_zero() { Err(self.expired()) } else { Ok(left) }
    }

    /// A part of what is left.
    fn share(self, parts: usize) -> Self {
        let left = self.limit.saturating_sub(self.start.elapsed());
        Self::start(left / u32::try_from(parts).unwrap_or(u32::MAX).max(1))
    }

    fn expired(self) -> String {
        format!("no answer within {}", rounded(self.limit))
    }
}

fn resolve(host: &str, port: u16, clock: Clock) -> Result<Vec<SocketAddr>, String> {
    let addresses: Vec<SocketAddr> =
        (host, port).to_socket_addrs().map_err(|_| String::from("name does not resolve"))?.collect();
    if addresses.is_empty() {
        return Err(String::from("name does not resolve"));
    }
    if clock.left().is_err() {
        return Err(format!("name did not resolve within {}", rounded(clock.limit)));
    }
    Ok(addresses)
}

/// Ready as soon as one address is. Each has an equal share of the time that is left: one that swallows
/// packets costs its own share, and one that refuses leaves its share to those after it.
fn any_address(
    addresses: &[SocketAddr],
    clock: Clock,
    one: impl Fn(SocketAddr, Clock) -> Result<(), String>,
) -> Result<(), String> {
    let mut errors: Vec<(IpAddr, String)> = Vec::new();
    for (tried, address) in addresses.iter().enumerate() {
        match one(*address, clock.share(addresses.len() - tried)) {
            Ok(()) => return Ok(()),
            Err(error) => errors.push((address.ip(), error)),
        }
    }
    Err(compact(&errors))
}

/// How many addresses are named, when they fail for different reasons.
const NAMED: usize = 3;

fn compact(errors: &[(IpAddr, String)]) -> String {
    let Some((_, first)) = errors.first() else {
        return String::from("name does not resolve");
    };
    if errors.iter().all(|(_, error)| error == first) {
        return first.clone();
    }
    let mut text = String::new();
    for (address, error) in errors.iter().take(NAMED) {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}{address}: {error}");
    }
    if errors.len() > NAMED {
        let _ = write!(text, ", and {} more", errors.len() - NAMED);
    }
    text
}

fn connect(address: SocketAddr, clock: Clock) -> Result<TcpStream, String> {
    let stream = TcpStream::connect_timeout(&address, clock.left()?)
        .map_err(|error| if is_timeout(&error) { clock.expired() } else { phrase(&error) })?;
    if is_self(&stream) {
        // Without a wait in the kernel after the close, or the server could not take its port.
        let _ = set_socket_linger(&stream, Some(Duration::ZERO));
        return Err(String::from("connection refused"));
    }
    Ok(stream)
}

/// Whether the stream is connected to itself. That happens where nobody listens on a local port from which
/// the kernel also takes ports for clients: the probe is given the very port that it tries to reach.
fn is_self(stream: &TcpStream) -> bool {
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(local), Ok(peer)) => local == peer,
        (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
    }
}

fn connect_unix(path: &Path, clock: Clock) -> Result<(), String> {
    // The standard library's connect waits for ever while the server's queue is full.
    let address = SocketAddrUnix::new(path).map_err(|error| phrase(&error.into()))?;
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(|error| phrase(&error.into()))?;
    loop {
        // Connecting counts as sending.
        set_socket_timeout(&socket, Timeout::Send, Some(clock.left()?))
            .map_err(|error| phrase(&error.into()))?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Err(clock.expired()),
            Err(rustix::io::Errno::PROTOTYPE) => {
                return Err(String::from("is not a stream socket"));
            }
            Err(error) => return Err(phrase(&error.into())),
        }
    }
}

fn look_at(path: &Path, max_age: Option<Duration>) -> Result<(), String> {
    let metadata = std::fs::metadata(path).map_err(|error| phrase(&error))?;
    let Some(max_age) = max_age else {
        return Ok(());
    };
    let modified = metadata.modified().map_err(|error| phrase(&error))?;
    match SystemTime::now().duration_since(modified) {
        Ok(age) if age > max_age => Err(format!("is {} old", age_in_words(age))),
        // An error is a time in the future: clocks of two machines differ, and the file was just written.
        Ok(_) | Err(_) => Ok(()),
    }
}

// HTTP.

/// How much of an answer is read in search of its status.
const ANSWER_MAX: usize = 8 * 1024;

/// How much of the rest, and for how long, so that a server that is not done writing sees no reset.
const REST_MAX: usize = 64 * 1024;
const REST_LIMIT: Duration = Duration::from_millis(20);

fn request(host: &str, port: u16, path: &[u8]) -> Vec<u8> {
    let mut request = b"GET ".to_vec();
    request.extend_from_slice(path);
    request.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    if host.contains(':') {
        request.extend_from_slice(format!("[{host}]").as_bytes());
    } else {
        request.extend_from_slice(host.as_bytes());
    }
    if port != 80 {
        request.extend_from_slice(format!(":{port}").as_bytes());
    }
    request.extend_from_slice(
        concat!(
            "\r\nUser-Agent: preverb/",
            env!("CARGO_PKG_VERSION"),
            "\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        )
        .as_bytes(),
    );
    request
}

fn get(address: SocketAddr, request: &[u8], clock: Clock) -> Result<(), String> {
    let mut stream = connect(address, clock)?;
    stream.set_write_timeout(Some(clock.left()?)).map_err(|error| phrase(&error))?;
    // A server may answer and close before it has read the request; then the answer counts, and if
    // there is none, reading says why.
    let _ = stream.write_all(request);

    let mut seen: Vec<u8> = Vec::new();
    loop {
        let read = read_some(&mut stream, &mut seen, clock)?;
        match status(&seen) {
            Answer::Status(code) => {
                drain(&mut stream, clock);
                return if (200..400).contains(&code) { Ok(()) } else { Err(format!("answered {code}")) };
            }
            Answer::NotHttp => return Err(String::from("answer is not HTTP/1")),
            Answer::Unfinished if read == 0 && seen.is_empty() => {
                return Err(String::from("connection closed without an answer"));
            }
            Answer::Unfinished if read == 0 => {
                return Err(String::from("connection closed in the middle of the answer"));
            }
            Answer::Unfinished if seen.len() > ANSWER_MAX => {
                return Err(String::from("no status in the first 8 KiB of the answer"));
            }
            Answer::Unfinished => {}
        }
    }
}

/// Reads what there is, after what was `seen`; 0 is the end.
fn read_some(stream: &mut TcpStream, seen: &mut Vec<u8>, clock: Clock) -> Result<usize, String> {
    let mut chunk = [0; 1024];
    loop {
        let late = || format!("connected, but {}", clock.expired());
        let left = clock.left().map_err(|_| late())?;
        stream.set_read_timeout(Some(left)).map_err(|error| phrase(&error))?;
        match stream.read(&mut chunk) {
            Ok(read) => {
                seen.extend_from_slice(&chunk[..read]);
                return Ok(read);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => return Err(late()),
            Err(error) => return Err(phrase(&error)),
        }
    }
}

/// Takes the rest of the answer off the server, for a moment. A socket that is closed with bytes unread
/// resets the connection, and many a server writes that to its log, for each probe.
fn drain(stream: &mut TcpStream, clock: Clock) {
    let left = clock.limit.saturating_sub(clock.start.elapsed());
    let clock = Clock::start(left.min(REST_LIMIT));
    let mut rest = Vec::new();
    while rest.len() < REST_MAX && read_some(stream, &mut rest, clock).is_ok_and(|read| read > 0) {}
}

/// What the beginning of an answer says.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Status(u16),
    NotHttp,
    Unfinished,
}

/// Finds the status: that of the first answer that is not an interim one.
fn status(mut bytes: &[u8]) -> Answer {
    const BEGIN: &[u8] = b"HTTP/1.";
    loop {
        // Judged on the first byte already: what is no HTTP may never end a line.
        if bytes.iter().zip(BEGIN).any(|(byte, expected)| byte != expected) {
            return Answer::NotHttp;
        }
        let Some((line, rest)) = split_once(bytes, b"\n") else {
            return Answer::Unfinished;
        };
        match status_of_line(line) {
            None => return Answer::NotHttp,
            // 101 would change the protocol: nothing that can be read follows.
            Some(code) if code >= 200 || code == 101 => return Answer::Status(code),
            Some(_) => {}
        }
        match after_blank_line(rest) {
            Some(rest) => bytes = rest,
            None => return Answer::Unfinished,
        }
    }
}

/// The code of `HTTP/1.1 200 OK`; a server may leave out the phrase, and the blank before it.
fn status_of_line(line: &[u8]) -> Option<u16> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (minor, rest) = rest.split_first()?;
    let rest = rest.strip_prefix(b" ")?;
    let (code, rest) = rest.split_at_checked(3)?;
    if !minor.is_ascii_digit() || !matches!(rest.first(), None | Some(b' ')) {
        return None;
    }
    let code = u16::try_from(parse_number(code)?).ok()?;
    (code >= 100).then_some(code)
}

fn after_blank_line(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (line, rest) = split_once(bytes, b"\n")?;
        if line.is_empty() || line == b"\r" {
            return Some(rest);
        }
        bytes = rest;
    }
}

// Words.

fn is_timeout(error: &io::Error) -> bool {
    [io::ErrorKind::TimedOut, io::ErrorKind::WouldBlock].contains(&error.kind())
}

/// The system's words for an error, in lower case and without its number.
fn phrase(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        return String::from("does not exist");
    }
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    words.to_lowercase()
}

/// `5 s`, `2.5 s`, `500 ms`: a limit, to the tenth of a second where it is a second or more.
fn rounded(limit: Duration) -> String {
    // A share of a limit has lost some microseconds to what came before.
    let millis = (limit.as_micros() + 500) / 1000;
    let tenths = (millis + 50) / 100;
    if tenths < 10 {
        format!("{millis} ms")
    } else if tenths.is_multiple_of(10) {
        format!("{} s", tenths / 10)
    } else {
        format!("{}.{} s", tenths / 10, tenths % 10)
    }
}

/// `42 s`; whole, because nobody reads the rest, but a young file is no `0 s` old.
fn age_in_words(age: Duration) -> String {
    if age.as_secs() == 0 { format!("{} ms", age.as_millis()) } else { format!("{} s", age.as_secs()) }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "servers that are slow on purpose")]
mod tests {
    use super::{
        Answer, Clock, Target, any_address, attempt, compact, connect, get, is_self, request, rounded, status,
    };
    use std::ffi::OsStr;
    use std::fs::{File, FileTimes};
    use std::io::{Read as _, Write as _};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant, SystemTime};

    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

    /// Long enough for a machine under load, where the answer is meant to come at once.
    const AMPLE: Duration = Duration::from_secs(20);
    /// Short, where the limit itself is meant to strike.
    const SHORT: Duration = Duration::from_millis(200);

    #[track_caller]
    fn target(text: &str) -> Target {
        Target::parse(text.as_bytes()).expect("a valid target")
    }

    #[track_caller]
    fn rejected(text: &[u8], why: &str) {
        let error = Target::parse(text).expect_err("an invalid target");
        assert!(error.contains(why), "{}: {error}", text.escape_ascii());
    }

    fn tcp(host: &str, port: u16) -> Target {
        Target::Tcp { host: String::from(host), port }
    }

    fn http(host: &str, port: u16, path: &[u8]) -> Target {
        Target::Http { host: String::from(host), port, path: path.to_vec() }
    }

    fn file(path: &[u8], max_age: Option<Duration>) -> Target {
        Target::File { path: PathBuf::from(OsStr::from_bytes(path)), max_age }
    }

    #[test]
    fn tcp_targets_are_a_host_and_a_port() {
        assert_eq!(target("tcp://db:5432"), tcp("db", 5432));
        assert_eq!(target("tcp://10.0.0.1:1"), tcp("10.0.0.1", 1));
        assert_eq!(target("tcp://[::1]:65535"), tcp("::1", 65535));
        assert_eq!(target("tcp://my_db.local.:80"), tcp("my_db.local.", 80));
        rejected(b"tcp://db", "no port");
        rejected(b"tcp://[::1]", "no port");
        for port in ["", "0", "65536", "99999999999999999999", "+80", "-1", "http", "80/", "80?x"] {
            rejected(format!("tcp://db:{port}").as_bytes(), "from 1 to 65535");
            rejected(format!("tcp://[::1]:{port}").as_bytes(), "from 1 to 65535");
        }
        rejected(b"tcp://", "no host");
        rejected(b"tcp://:80", "no host");
        rejected(b"tcp://::1:80", "brackets");
        rejected(b"tcp://[::1", "without its `]`");
        rejected(b"tcp://[]:80", "no IPv6 address");
        rejected(b"tcp://[127.0.0.1]:80", "no IPv6 address");
        rejected(b"tcp://[::1]80", "only `:port`");
        rejected(b"tcp://a b:80", "a host's name");
        rejected(b"tcp://\xff:80", "a host's name");
        rejected("tcp://bücher:80".as_bytes(), "a host's name");
        rejected(b"tcp://u:p@db:80", "a user");
    }

    #[test]
    fn http_targets_have_a_port_a_path_and_a_query_or_not() {
        assert_eq!(target("http://web"), http("web", 80, b"/"));
        assert_eq!(target("http://web:8000/"), http("web", 8000, b"/"));
        assert_eq!(target("http://web/a/b?c=d&e#f?g"), http("web", 80, b"/a/b?c=d&e"));
        assert_eq!(target("http://web?x"), http("web", 80, b"/?x"));
        assert_eq!(target("http://web#x"), http("web", 80, b"/"));
        assert_eq!(target("http://[fe80::1]:81/x"), http("fe80::1", 81, b"/x"));
        assert_eq!(target("http://web/@:[x]"), http("web", 80, b"/@:[x]"));
        assert_eq!(Target::parse(b"http://web/\xff"), Ok(http("web", 80, b"/\xff")));
        rejected(b"http:///x", "no host");
        rejected(b"http://user@web/", "a user");
        rejected(b"http://user:secret@web/", "a user");
        rejected(b"http://web:/x", "from 1 to 65535");
        rejected(b"http://web\\x/", "a host's name");
        for smuggled in ["a b", "a\r\nHost: x", "a\tb", "a\0", "\x7f"] {
            rejected(format!("http://web/{smuggled}").as_bytes(), "control character");
        }
        rejected(b"https://web/", "no TLS");
    }

    #[test]
    fn paths_are_bytes() {
        assert_eq!(
            Target::parse(b"unix:///run/\xff %20?x#y.sock"),
            Ok(Target::Unix { path: PathBuf::from(OsStr::from_bytes(b"/run/\xff %20?x#y.sock")) })
        );
        assert_eq!(Target::parse(b"file:///tmp/\xff %20#x"), Ok(file(b"/tmp/\xff %20#x", None)));
        rejected(b"unix://run/x", "not absolute");
        rejected(b"unix://", "not absolute");
        rejected(b"unix://@abstract", "not absolute");
        rejected(b"unix:///a\0b", "NUL");
        rejected(&[b"unix:///", &[b'x'; 107][..]].concat(), "longer");
        rejected(b"file://tmp/x", "not absolute");
        rejected(b"file:///a\0b", "NUL");
    }

    #[test]
    fn max_age_is_a_duration() {
        for (text, age) in [
            ("500ms", Duration::from_millis(500)),
            ("60s", Duration::from_mins(1)),
            ("5m", Duration::from_mins(5)),
            ("1h", Duration::from_hours(1)),
        ] {
            let text = format!("file:///beat?max-age={text}");
            assert_eq!(target(&text), file(b"/beat", Some(age)));
        }
        for wrong in ["", "5", "s", "0s", "-1s", "+1s", "1.5s", "1d", "1S", "1s ", "1s&x", "1 s"] {
            rejected(format!("file:///beat?max-age={wrong}").as_bytes(), "no duration");
        }
        rejected(b"file:///beat?max-age=18446744073709551615h", "no duration");
        rejected(b"file:///beat?maxage=1s", "only `max-age=DURATION`");
        rejected(b"file:///beat?", "only `max-age=DURATION`");
    }

    #[test]
    fn an_unknown_scheme_is_told_which_ones_there_are() {
        for text in ["db:5432", "", "://x", "udp://x:1", "TCP://x:1", " tcp://x:1", "exec://x"] {
            for scheme in ["tcp://", "unix://", "http://", "file://"] {
                rejected(text.as_bytes(), scheme);
            }
        }
    }

    #[test]
    fn no_error_of_parsing_repeats_the_target() {
        for text in [
            "hunter2",
            "hunter2://x",
            "tcp://hunter2",
            "tcp://x:hunter2",
            "tcp://[hunter2]:1",
            "http://hunter2@x",
            "http://hunter2 /",
            "https://hunter2",
            "unix://hunter2",
            "file:///x?hunter2",
            "file:///x?max-age=hunter2",
        ] {
            let error = Target::parse(text.as_bytes()).expect_err("an invalid target");
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
    }

    /// Listens, lets `serve` have the first connection while `asked` runs, and returns what that returns.
    fn beside<T>(
        listener: &TcpListener,
        serve: impl FnOnce(TcpStream) + Send,
        asked: impl FnOnce(SocketAddr) -> T,
    ) -> T {
        let address = listener.local_addr().expect("it is bound");
        std::thread::scope(|scope| {
            let server = scope.spawn(move || {
                let (stream, _) = listener.accept().expect("somebody connects");
                serve(stream);
            });
            let answer = asked(address);
            // Should `asked` never have connected, the server must not wait for ever.
            drop(TcpStream::connect(address));
            server.join().expect("the server did what it was told");
            answer
        })
    }

    fn loopback() -> TcpListener {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of the loopback")
    }

    /// What a probe makes of a server that reads the request and then does as `serve` does.
    fn probed(limit: Duration, serve: impl FnOnce(&mut TcpStream) + Send) -> Result<(), String> {
        let listener = loopback();
        beside(
            &listener,
            |mut stream| {
                read_request(&mut stream);
                serve(&mut stream);
            },
            |address| attempt(&target(&format!("http://{address}/healthz")), limit),
        )
    }

    fn read_request(stream: &mut TcpStream) -> Vec<u8> {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
            request.push(byte[0]);
        }
        request
    }

    /// Waits until the other side is gone; what it still sends is of no interest.
    fn until_closed(stream: &mut TcpStream) {
        let mut chunk = [0; 256];
        while stream.read(&mut chunk).is_ok_and(|read| read > 0) {}
    }

    fn answered(answer: &'static [u8]) -> Result<(), String> {
        probed(AMPLE, |stream| {
            stream.write_all(answer).expect("the probe reads");
        })
    }

    fn failed(why: &str) -> Result<(), String> {
        Err(String::from(why))
    }

    #[test]
    fn the_request_is_one_that_every_server_takes() {
        let listener = loopback();
        let (sender, receiver) = std::sync::mpsc::channel();
        let (answer, address) = beside(
            &listener,
            |mut stream| {
                sender.send(read_request(&mut stream)).expect("it is awaited");
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("the probe reads");
            },
            |address| {
                let target = target(&format!("http://{address}/healthz?full=1#top"));
                (attempt(&target, AMPLE), address)
            },
        );
        assert_eq!(answer, Ok(()));
        let expected = format!(
            "GET /healthz?full=1 HTTP/1.1\r\nHost: {address}\r\nUser-Agent: preverb/{}\r\n\
             Accept: */*\r\nConnection: close\r\n\r\n",
            env!("CARGO_PKG_VERSION")
        );
        let seen = receiver.recv().expect("it was sent");
        assert_eq!(String::from_utf8_lossy(&seen), expected);
        let v6 = String::from_utf8(request("::1", 80, b"/")).expect("text");
        assert!(v6.contains("\r\nHost: [::1]\r\n"), "{v6}");
    }

    #[test]
    fn two_hundred_to_399_is_ready() {
        for ready in ["200 OK", "204", "301 Moved", "399 "] {
            let line = format!("HTTP/1.1 {ready}\r\n");
            assert!(matches!(status(line.as_bytes()), Answer::Status(200..400)), "{ready}");
        }
        assert_eq!(answered(b"HTTP/1.1 200 OK\r\n\r\n"), Ok(()));
        assert_eq!(answered(b"HTTP/1.0 302 Found\r\nLocation: /\r\n\r\n"), Ok(()));
        assert_eq!(answered(b"HTTP/1.1 200\n"), Ok(()));
        assert_eq!(answered(b"HTTP/1.1 400 Bad\r\n\r\n"), failed("answered 400"));
        assert_eq!(answered(b"HTTP/1.1 503 No\r\n\r\n"), failed("answered 503"));
        assert_eq!(answered(b"HTTP/1.1 101 Up\r\n\r\n"), failed("answered 101"));
        assert_eq!(answered(b"HTTP/1.1 999 ?\r\n\r\n"), failed("answered 999"));
    }

    #[test]
    fn interim_answers_are_passed_over() {
        assert_eq!(
            answered(
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n"
            ),
            Ok(())
        );
        assert_eq!(answered(b"HTTP/1.1 100 Continue\n\nHTTP/1.1 503 No\n"), failed("answered 503"));
        assert_eq!(
            answered(b"HTTP/1.1 100 Continue\r\n\r\n"),
            failed("connection closed in the middle of the answer")
        );
    }

    #[test]
    fn the_status_is_found_however_the_answer_is_cut() {
        let answer = b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n";
        for end in 0..answer.len() {
            assert_eq!(status(&answer[..end]), Answer::Unfinished, "{end}");
        }
        assert_eq!(status(answer), Answer::Status(200));
    }

    #[test]
    fn what_is_not_http_is_told_so() {
        for garbage in [
            &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
            b"\x15\x03\x01\x00\x02\x02\x16",
            b"\n",
            b"\0\0\0\0",
            b"HTTP/2 200 OK\r\n",
            b"HTTP/1.1200 OK\r\n",
            b"HTTP/1.x 200 OK\r\n",
            b"HTTP/1.1 20\r\n",
            b"HTTP/1.1 2000\r\n",
            b"HTTP/1.1 +20 OK\r\n",
            b"HTTP/1.1 099 No\r\n",
            b"HTTP/1.1  200 OK\r\n",
            b"HTTP/1.1\r\n",
            b"http/1.1 200 OK\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nX",
        ] {
            assert_eq!(status(garbage), Answer::NotHttp, "{}", garbage.escape_ascii());
        }
        assert_eq!(answered(b"220 ready\r\n"), failed("answer is not HTTP/1"));
        // Even where no line ever ends.
        let endless = probed(AMPLE, |stream| {
            let _ = stream.write_all(b"x");
            until_closed(stream);
        });
        assert_eq!(endless, failed("answer is not HTTP/1"));
    }

    #[test]
    fn a_server_that_closes_too_soon_is_not_ready() {
        let at_once = probed(AMPLE, |_| {});
        assert_eq!(at_once, failed("connection closed without an answer"));
        assert_eq!(answered(b"HTTP/1.1 200 O"), failed("connection closed in the middle of the answer"));
        // Closed with the request unread: the kernel resets the connection.
        let listener = loopback();
        let unread = beside(
            &listener,
            |stream| {
                let mut byte = [0];
                stream.peek(&mut byte).expect("the request comes");
                drop(stream);
            },
            |address| attempt(&target(&format!("http://{address}/")), AMPLE),
        );
        let unread = unread.expect_err("not ready");
        assert!(unread.starts_with("connection reset"), "{unread}");
    }

    #[test]
    fn an_answer_that_comes_before_the_request_was_read_counts() {
        let listener = loopback();
        let early = beside(
            &listener,
            |mut stream| {
                stream.write_all(b"HTTP/1.1 503 Busy\r\n\r\n").expect("the probe is there");
                until_closed(&mut stream);
            },
            |address| attempt(&target(&format!("http://{address}/")), AMPLE),
        );
        assert_eq!(early, failed("answered 503"));
    }

    #[test]
    fn an_endless_answer_is_given_up() {
        let flood = |begin: &'static [u8]| {
            probed(AMPLE, move |stream| {
                let _ = stream.write_all(begin);
                while stream.write_all(&[b'x'; 4096]).is_ok() {}
            })
        };
        let why = "no status in the first 8 KiB of the answer";
        assert_eq!(flood(b"HTTP/1.1 200 "), failed(why));
        assert_eq!(flood(b"HTTP/1.1 100 Continue\r\nX: "), failed(why));
        // Behind a status, nothing matters.
        assert_eq!(flood(b"HTTP/1.1 200 OK\r\nX: "), Ok(()));
    }

    #[test]
    fn a_server_that_never_answers_costs_the_limit_and_no_more() {
        let start = Instant::now();
        let silent = probed(SHORT, until_closed);
        assert_eq!(silent, failed("connected, but no answer within 200 ms"));
        assert!(start.elapsed() >= SHORT);
        assert!(start.elapsed() < AMPLE);
    }

    #[test]
    fn an_answer_byte_by_byte_is_read_but_does_not_stretch_the_limit() {
        let drip = |limit, pause| {
            probed(limit, move |stream| {
                for byte in b"HTTP/1.1 200 OK\r\n" {
                    if stream.write_all(&[*byte]).is_err() {
                        return;
                    }
                    std::thread::sleep(pause);
                }
            })
        };
        assert_eq!(drip(AMPLE, Duration::from_millis(1)), Ok(()));
        // 17 bytes, each well before the limit, and the last one long after it.
        let slow = drip(SHORT, Duration::from_millis(50));
        assert_eq!(slow, failed("connected, but no answer within 200 ms"));
    }

    #[test]
    fn a_server_whose_answer_is_longer_than_its_status_sees_no_reset() {
        let whole = probed(AMPLE, |stream| {
            // At once, and more than the probe takes in the read that finds the status.
            let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
            answer.resize(32 * 1024, b'x');
            stream.write_all(&answer).expect("the probe reads");
            stream.shutdown(std::net::Shutdown::Write).expect("it is open");
            let mut rest = Vec::new();
            let end = stream.read_to_end(&mut rest).expect("closed in peace");
            assert_eq!(end, 0);
        });
        assert_eq!(whole, Ok(()));
    }

    #[test]
    fn an_answer_that_stays_open_is_ready_at_once() {
        let listener = loopback();
        let took = beside(
            &listener,
            |mut stream| {
                read_request(&mut stream);
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("the probe reads");
                until_closed(&mut stream);
            },
            |address| {
                let start = Instant::now();
                let ready = attempt(&target(&format!("http://{address}/")), AMPLE);
                assert_eq!(ready, Ok(()));
                start.elapsed()
            },
        );
        assert!(took < AMPLE / 2, "{took:?}");
    }

    #[test]
    fn a_port_is_ready_when_it_accepts() {
        let listener = loopback();
        let address = listener.local_addr().expect("it is bound");
        let text = format!("tcp://{address}");
        assert_eq!(attempt(&target(&text), AMPLE), Ok(()));
        let by_name = format!("tcp://localhost:{}", address.port());
        assert_eq!(attempt(&target(&by_name), AMPLE), Ok(()));
        drop(listener);
        assert_eq!(attempt(&target(&text), AMPLE), failed("connection refused"));
        let text = format!("http://{address}/");
        assert_eq!(attempt(&target(&text), AMPLE), failed("connection refused"));
    }

    #[test]
    fn ipv6_is_probed_like_ipv4() {
        let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
            eprintln!("SKIP: there is no IPv6 here");
            return;
        };
        let address = listener.local_addr().expect("it is bound");
        assert_eq!(attempt(&target(&format!("tcp://{address}")), AMPLE), Ok(()));
        drop(listener.accept().expect("the probe connected"));
        let http = beside(
            &listener,
            |mut stream| {
                read_request(&mut stream);
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("the probe reads");
            },
            |address| attempt(&target(&format!("http://{address}/")), AMPLE),
        );
        assert_eq!(http, Ok(()));
        drop(listener);
        assert_eq!(attempt(&target(&format!("tcp://{address}")), AMPLE), failed("connection refused"));
    }

    #[test]
    fn a_name_that_cannot_be_one_does_not_resolve() {
        // A label of 64 letters is refused by the resolver itself: no server is asked.
        let text = format!("tcp://{}:80", "x".repeat(64));
        assert_eq!(attempt(&target(&text), AMPLE), failed("name does not resolve"));
    }

    #[test]
    fn a_limit_of_nothing_is_over_at_once() {
        let listener = loopback();
        let address = listener.local_addr().expect("it is bound");
        let answer = attempt(&target(&format!("tcp://{address}")), Duration::ZERO);
        assert!(answer.is_err(), "{answer:?}");
    }

    /// A listener whose queue is full: the kernel drops what knocks. The streams keep it so.
    fn black_hole() -> (OwnedFd, SocketAddr, Vec<TcpStream>) {
        let socket =
            rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .expect("a socket");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        rustix::net::bind(&socket, &any).expect("a port of the loopback");
        rustix::net::listen(&socket, 0).expect("it is bound");
        let address = rustix::net::getsockname(&socket).expect("it is bound");
        let address = SocketAddr::try_from(address).expect("an address of IPv4");
        let mut queued = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, SHORT) {
            queued.push(stream);
            assert!(queued.len() < 64, "the queue never fills");
        }
        (socket, address, queued)
    }

    #[test]
    fn one_address_that_swallows_packets_leaves_time_for_the_next() {
        let (_socket, hole, _queued) = black_hole();
        let alone = attempt(&target(&format!("tcp://{hole}")), SHORT);
        assert_eq!(alone, failed("no answer within 200 ms"));

        let listener = loopback();
        let live = listener.local_addr().expect("it is bound");
        let limit = SHORT * 4;
        let start = Instant::now();
        let both = any_address(&[hole, hole, live], Clock::start(limit), |address, clock| {
            connect(address, clock).map(drop)
        });
        assert_eq!(both, Ok(()));
        assert!(start.elapsed() < limit, "{:?}", start.elapsed());
    }

    #[test]
    fn an_address_that_answers_badly_does_not_hide_one_that_answers_well() {
        let bad = loopback();
        let good = loopback();
        let good_address = good.local_addr().expect("it is bound");
        let serve = |answer: &'static [u8]| {
            move |mut stream: TcpStream| {
                read_request(&mut stream);
                let _ = stream.write_all(answer);
            }
        };
        let ready = beside(&bad, serve(b"HTTP/1.1 503 No\r\n\r\n"), |bad_address| {
            beside(&good, serve(b"HTTP/1.1 200 OK\r\n\r\n"), |_| {
                let request = request("localhost", 80, b"/");
                any_address(&[bad_address, good_address], Clock::start(AMPLE), |address, clock| {
                    get(address, &request, clock)
                })
            })
        });
        assert_eq!(ready, Ok(()));
    }

    #[test]
    fn errors_of_several_addresses_are_one_line() {
        let v4 = |last| IpAddr::from([10, 0, 0, last]);
        let refused = || String::from("connection refused");
        let late = || String::from("no answer within 1 s");
        assert_eq!(compact(&[(v4(1), refused()), (v4(2), refused())]), "connection refused");
        let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
        assert_eq!(
            compact(&[(v6, refused()), (v4(2), late())]),
            "::1: connection refused, 10.0.0.2: no answer within 1 s"
        );
        let many = [1, 2, 3, 4, 5].map(|last| (v4(last), if last == 1 { late() } else { refused() }));
        assert_eq!(
            compact(&many),
            "10.0.0.1: no answer within 1 s, 10.0.0.2: connection refused, \
             10.0.0.3: connection refused, and 2 more"
        );
    }

    #[test]
    fn a_connection_to_itself_is_none() {
        let socket =
            rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .expect("a socket");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        rustix::net::bind(&socket, &any).expect("a port of the loopback");
        let own = rustix::net::getsockname(&socket).expect("it is bound");
        let own = SocketAddr::try_from(own).expect("an address of IPv4");
        rustix::net::connect(&socket, &own).expect("the kernel lets it");
        assert!(is_self(&TcpStream::from(socket)));
        let listener = loopback();
        let address = listener.local_addr().expect("it is bound");
        let stream = TcpStream::connect(address).expect("it listens");
        assert!(!is_self(&stream));
    }

    /// A directory of its own, gone at the end of the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("preverb-probe-{}-{number}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a directory for the test");
            Self(path)
        }

        fn path(&self, name: &[u8]) -> PathBuf {
            self.0.join(OsStr::from_bytes(name))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            // A directory that stays behind harms no test.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn try_unix(path: &Path, limit: Duration) -> Result<(), String> {
        let text = [b"unix://", path.as_os_str().as_bytes()].concat();
        attempt(&Target::parse(&text).expect("a valid target"), limit)
    }

    #[test]
    fn a_socket_is_ready_when_it_accepts() {
        let scratch = Scratch::new();
        let path = scratch.path(b"s \xff.sock");
        assert_eq!(try_unix(&path, AMPLE), failed("does not exist"));
        let listener = UnixListener::bind(&path).expect("the directory can be written");
        assert_eq!(try_unix(&path, AMPLE), Ok(()));
        drop(listener);
        // The file of a server that is gone.
        assert_eq!(try_unix(&path, AMPLE), failed("connection refused"));
        let plain = scratch.path(b"plain");
        std::fs::write(&plain, "").expect("the directory can be written");
        assert_eq!(try_unix(&plain, AMPLE), failed("connection refused"));
        let datagram = scratch.path(b"datagram");
        let _socket = UnixDatagram::bind(&datagram).expect("the directory can be written");
        assert_eq!(try_unix(&datagram, AMPLE), failed("is not a stream socket"));
    }

    #[test]
    fn a_socket_whose_queue_is_full_costs_the_limit_and_no_more() {
        let scratch = Scratch::new();
        let path = scratch.path(b"full");
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let open = || {
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).expect("a socket")
        };
        let server = open();
        let address = SocketAddrUnix::new(&path).expect("a short path");
        rustix::net::bind(&server, &address).expect("the directory can be written");
        rustix::net::listen(&server, 0).expect("it is bound");
        let mut queued = Vec::new();
        loop {
            let client = open();
            if rustix::net::connect(&client, &address).is_err() {
                break;
            }
            queued.push(client);
            assert!(queued.len() < 64, "the queue never fills");
        }
        let start = Instant::now();
        assert_eq!(try_unix(&path, SHORT), failed("no answer within 200 ms"));
        assert!(start.elapsed() < AMPLE);
    }

    fn try_file(path: &Path, query: &str) -> Result<(), String> {
        let text = [b"file://", path.as_os_str().as_bytes(), query.as_bytes()].concat();
        attempt(&Target::parse(&text).expect("a valid target"), AMPLE)
    }

    #[test]
    fn a_file_is_ready_when_it_exists() {
        let scratch = Scratch::new();
        let path = scratch.path(b"f \xff%20");
        assert_eq!(try_file(&path, ""), failed("does not exist"));
        let link = scratch.path(b"link");
        symlink(&path, &link).expect("the directory can be written");
        assert_eq!(try_file(&link, ""), failed("does not exist"));
        std::fs::write(&path, "").expect("the directory can be written");
        assert_eq!(try_file(&path, ""), Ok(()));
        assert_eq!(try_file(&link, ""), Ok(()));
        assert_eq!(try_file(&scratch.0, ""), Ok(()));
        let beneath = path.join("x");
        assert_eq!(try_file(&beneath, ""), failed("not a directory"));
    }

    #[test]
    fn a_file_is_ready_while_it_is_young() {
        let scratch = Scratch::new();
        let path = scratch.path(b"beat");
        let beat = File::create(&path).expect("the directory can be written");
        let modified = |time| {
            beat.set_times(FileTimes::new().set_modified(time)).expect("it is ours");
        };
        assert_eq!(try_file(&path, "?max-age=1h"), Ok(()));
        modified(SystemTime::now() - Duration::from_millis(90_500));
        assert_eq!(try_file(&path, "?max-age=1h"), Ok(()));
        let old = try_file(&path, "?max-age=30s").expect_err("it is old");
        // A slow machine may be late by seconds, but not by a minute.
        let seconds = old.strip_prefix("is ").and_then(|rest| rest.strip_suffix(" s old"));
        let seconds: u64 = seconds.and_then(|text| text.parse().ok()).expect("an age");
        assert!((90..150).contains(&seconds), "{old}");
        // The clock of the one that wrote it is ahead.
        modified(SystemTime::now() + Duration::from_hours(1));
        assert_eq!(try_file(&path, "?max-age=1ms"), Ok(()));
    }

    #[test]
    fn limits_are_rounded_for_the_reader() {
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
}
