//! Readiness probes: is this thing ready now?
//!
//! Knows what a target looks like when written down, and how to try it once. Must not know who asks (`wait`
//! steps, `--wait`, `--probe`, `--health`), how often, or what becomes of the answer; probes that are
//! programs are the caller's, for children have one owner.
//!
//! A try keeps to its limit but for two calls that the standard library gives no deadline: resolving a name,
//! and asking for a file on a file system that hangs. So the caller runs a
//! try in a process that it can end.
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
mod tests;
