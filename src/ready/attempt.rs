//! One try of a target. No message contains a part of the target, which may be a secret. A try keeps to its
//! limit, except in calls that have none: the system's resolver, and a file on a file system that hangs. So
//! the caller runs each try in a process that it can end.

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::ready::connection::{Clock, Connection, Open};
use crate::ready::names::{any_address, compact};
use crate::ready::{amqp, grpc, http, kafka, mongodb, mysql, postgres, redis, tls};
use crate::text::reason;
use crate::value::target::{Place, Protocol, Target};

/// Tries `target` once, for at most `limit`. The error is a short phrase with the reason.
pub(crate) fn attempt(target: &Target, limit: Duration) -> Result<(), String> {
    let clock = Clock::start(limit);
    match target {
        Target::File { path, max_age } => look_at(path, *max_age),
        Target::Unix(path) => Connection::unix(path, clock).map(drop),
        Target::Server { protocol, places } => any_place(protocol, places, clock),
    }
}

/// A file is ready if it exists, or if a program has touched it recently (a heartbeat).
fn look_at(path: &Path, max_age: Option<Duration>) -> Result<(), String> {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let modified = modified.map_err(|error| {
        if error.kind() == ErrorKind::NotFound { "does not exist".to_owned() } else { reason(&error) }
    })?;
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

/// The target is ready as soon as one place is ready.
fn any_place(protocol: &Protocol, places: &[Place], clock: Clock) -> Result<(), String> {
    let mut errors = Vec::new();
    for (tried, place) in places.iter().enumerate() {
        let clock = clock.share(places.len() - tried);
        let ready = match place {
            Place::Unix(path) => ask(protocol, &|| Connection::unix(path, clock), "localhost", 0),
            Place::Tcp { host, port } => any_address(host, *port, clock, &|address, clock| {
                ask(protocol, &|| Connection::tcp(address, clock), host, *port)
            }),
        };
        let Err(error) = ready else { return Ok(()) };
        errors.push((format!("host {}", tried + 1), error));
    }
    // The places are numbered, because their names are parts of the target.
    Err(compact(&errors, usize::MAX))
}

fn ask(protocol: &Protocol, open: &Open<'_>, host: &str, port: u16) -> Result<(), String> {
    match protocol {
        // docker-proxy, or a load balancer without a backend, accepts connections for a missing server. It
        // closes or resets them as soon as it notices.
        Protocol::Tcp => open()?.stays_open(),
        Protocol::Http(path) => http::ask(open()?, &http::authority(host, port), path),
        Protocol::Postgres { user, database } => postgres::ask(open()?, user, database),
        // MySQL needs two connections at the same time.
        Protocol::Mysql => mysql::ask(open),
        Protocol::Redis(login) => redis::ask(open()?, login.as_ref()),
        Protocol::Amqp => open()?.exchange(amqp::HEADER, amqp::start),
        Protocol::Mongodb => mongodb::ask(open()?),
        Protocol::Kafka => open()?.exchange(kafka::REQUEST, kafka::versions),
        Protocol::Grpc(service) => grpc::ask(open()?, &http::authority(host, port), service),
        Protocol::Tls { .. } => open()?.exchange(&tls::hello(host), tls::answer),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "servers that are slow on purpose")]
mod tests {
    //! Tries each kind of target that needs no real server.

    use super::{Place, Protocol, Target, attempt};
    use std::ffi::OsStr;
    use std::fs::{File, FileTimes};
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant, SystemTime};

    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

    /// Long enough for a loaded machine, in tests where the answer should come at once.
    const AMPLE: Duration = Duration::from_secs(20);
    /// Short, in tests of the limit itself.
    const SHORT: Duration = Duration::from_millis(200);

    #[track_caller]
    fn target(text: &str) -> Target {
        Target::parse(text.as_bytes()).expect("a valid target").expect("something to wait for")
    }

    /// Listens, and serves one connection with `serve` while `asked` runs; returns the result of `asked`.
    fn beside<T>(
        listener: &TcpListener, serve: impl FnOnce(TcpStream) + Send, asked: impl FnOnce(SocketAddr) -> T,
    ) -> T {
        let address = listener.local_addr().expect("it is bound");
        std::thread::scope(|scope| {
            let server = scope.spawn(move || {
                let (stream, _) = listener.accept().expect("a client connects");
                serve(stream);
            });
            let answer = asked(address);
            // If `asked` has not connected, this connection ends the wait of the server.
            drop(TcpStream::connect(address));
            server.join().expect("the server thread ends");
            answer
        })
    }

    fn loopback() -> TcpListener {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of the loopback")
    }

    /// An address where nothing listens, reserved so that no other program can take it.
    fn closed_port() -> (OwnedFd, SocketAddr) {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let address =
            rustix::net::getsockname(&socket).expect("it is bound").try_into().expect("an IPv4 address");
        (socket, address)
    }

    /// The result of a probe; the server reads the request and then calls `serve`.
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

    /// Waits until the other side has closed the connection; its data is ignored.
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
    fn the_request_is_valid_for_every_server() {
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
    }

    #[test]
    fn a_status_from_200_to_399_is_ready() {
        assert_eq!(answered(b"HTTP/1.1 200 OK\r\n\r\n"), Ok(()));
        assert_eq!(answered(b"HTTP/1.0 302 Found\r\nLocation: /\r\n\r\n"), Ok(()));
        assert_eq!(answered(b"HTTP/1.1 200\n"), Ok(()));
        assert_eq!(answered(b"HTTP/1.1 400 Bad\r\n\r\n"), failed("answered 400"));
        assert_eq!(answered(b"HTTP/1.1 503 No\r\n\r\n"), failed("answered 503"));
        assert_eq!(answered(b"HTTP/1.1 101 Up\r\n\r\n"), failed("answered 101"));
        assert_eq!(answered(b"HTTP/1.1 999 ?\r\n\r\n"), failed("answered 999"));
    }

    #[test]
    fn interim_answers_are_skipped() {
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
    fn an_answer_that_is_not_http_is_reported() {
        assert_eq!(answered(b"220 ready\r\n"), failed("answer is not HTTP/1"));
        // This is also true if no line ever ends.
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
        // The server closes with the request unread, so the kernel resets the connection.
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
    fn an_answer_sent_before_the_request_was_read_counts() {
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
    fn an_endless_answer_is_not_read_to_the_end() {
        let flood = |begin: &'static [u8]| {
            probed(AMPLE, move |stream| {
                let _ = stream.write_all(begin);
                while stream.write_all(&[b'x'; 4096]).is_ok() {}
            })
        };
        let why = "no status in the first 8 KiB of the answer";
        assert_eq!(flood(b"HTTP/1.1 200 "), failed(why));
        assert_eq!(flood(b"HTTP/1.1 100 Continue\r\nX: "), failed(why));
        // Nothing after the status matters.
        assert_eq!(flood(b"HTTP/1.1 200 OK\r\nX: "), Ok(()));
    }

    #[test]
    fn a_server_that_never_answers_takes_no_longer_than_the_limit() {
        let start = Instant::now();
        let silent = probed(SHORT, until_closed);
        assert_eq!(silent, failed("connected, but no answer within 200 ms"));
        assert!(start.elapsed() >= SHORT);
        assert!(start.elapsed() < AMPLE);
    }

    #[test]
    fn a_byte_by_byte_answer_is_read_but_does_not_extend_the_limit() {
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
        // There are 17 bytes: each is sent well before the limit, the last one long after it.
        let slow = drip(SHORT, Duration::from_millis(50));
        assert_eq!(slow, failed("connected, but no answer within 200 ms"));
    }

    #[test]
    fn a_long_answer_is_drained_so_the_server_sees_no_reset() {
        let whole = probed(AMPLE, |stream| {
            // The server sends at once, and more than the probe takes in the read that finds the status.
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
    fn a_connection_that_stays_open_after_the_status_is_ready_at_once() {
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
    fn a_port_that_sends_data_and_closes_is_not_ready() {
        let listener = loopback();
        let ready = beside(
            &listener,
            |mut stream| stream.write_all(b"hi").expect("the probe reads"),
            |address| attempt(&target(&format!("tcp://{address}")), AMPLE),
        );
        assert_eq!(ready, Err("connection closed at once".to_owned()));
    }

    #[test]
    fn a_port_is_ready_when_it_accepts() {
        let listener = loopback();
        let address = listener.local_addr().expect("it is bound");
        let text = format!("tcp://{address}");
        assert_eq!(attempt(&target(&text), AMPLE), Ok(()));
        drop(listener);
        // Another test may own the port for a moment.
        let is_refused = |text: &str| {
            let mut tries = std::iter::repeat_with(|| attempt(&target(text), AMPLE)).take(100);
            tries.any(|result| result == failed("connection refused"))
        };
        assert!(is_refused(&text));
        assert!(is_refused(&format!("http://{address}/")));
    }

    #[test]
    fn ipv6_is_probed_like_ipv4() {
        let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
            return crate::skip::skip("there is no IPv6");
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
    fn a_zero_limit_expires_at_once() {
        let listener = loopback();
        let address = listener.local_addr().expect("it is bound");
        let answer = attempt(&target(&format!("tcp://{address}")), Duration::ZERO);
        assert!(answer.is_err(), "{answer:?}");
    }

    /// A listener with a full queue: the kernel drops new connections. The streams keep the queue full.
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

    /// A temporary directory that is removed at the end of the test.
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
            // A leftover directory does not harm other tests.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn try_unix(path: &Path, limit: Duration) -> Result<(), String> {
        let text = [b"unix://", path.as_os_str().as_bytes()].concat();
        attempt(&Target::parse(&text).expect("a valid target").expect("something"), limit)
    }

    #[test]
    fn a_socket_is_ready_when_it_accepts() {
        let scratch = Scratch::new();
        let path = scratch.path(b"s \xff.sock");
        assert_eq!(try_unix(&path, AMPLE), failed("does not exist"));
        let listener = UnixListener::bind(&path).expect("the directory can be written");
        assert_eq!(try_unix(&path, AMPLE), Ok(()));
        drop(listener);
        // The server has gone but its socket file still exists.
        assert_eq!(try_unix(&path, AMPLE), failed("connection refused"));
        let plain = scratch.path(b"plain");
        std::fs::write(&plain, "").expect("the directory can be written");
        assert_eq!(try_unix(&plain, AMPLE), failed("connection refused"));
        let datagram = scratch.path(b"datagram");
        let _socket = UnixDatagram::bind(&datagram).expect("the directory can be written");
        assert_eq!(try_unix(&datagram, AMPLE), failed("is not a stream socket"));
    }

    #[test]
    fn a_socket_with_a_full_queue_takes_no_longer_than_the_limit() {
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
        attempt(&Target::parse(&text).expect("a valid target").expect("something"), AMPLE)
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
        assert_eq!(try_file(&beneath, ""), failed("a part of its path is not a directory"));
    }

    #[test]
    fn a_file_is_ready_until_it_exceeds_its_maximum_age() {
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
        // A slow machine may be seconds late, but not a minute.
        let seconds = old.strip_prefix("is ").and_then(|rest| rest.strip_suffix(" s old"));
        let seconds: u64 = seconds.and_then(|text| text.parse().ok()).expect("an age");
        assert!((90..150).contains(&seconds), "{old}");
        // A heartbeat with a future time would look fresh long after its program has died.
        modified(SystemTime::now() + Duration::from_hours(1));
        assert_eq!(try_file(&path, "?max-age=1h"), failed("has a time in the future"));
        assert_eq!(try_file(&path, ""), Ok(()));
    }

    #[test]
    fn a_place_that_drops_packets_leaves_time_for_the_next() {
        let (_socket, hole, _queued) = black_hole();
        let alone = attempt(&target(&format!("tcp://{hole}")), SHORT);
        assert_eq!(alone, failed("no answer within 200 ms"));

        let listener = loopback();
        let live = listener.local_addr().expect("it is bound");
        let limit = SHORT * 4;
        let start = Instant::now();
        let place = |address: SocketAddr| Place::Tcp { host: address.ip().to_string(), port: address.port() };
        let places = vec![place(hole), place(hole), place(live)];
        assert_eq!(attempt(&Target::Server { protocol: Protocol::Tcp, places }, limit), Ok(()));
        assert!(start.elapsed() < limit, "{:?}", start.elapsed());
    }

    #[test]
    fn a_failing_place_does_not_hide_a_ready_one() {
        let bad = loopback();
        let good = loopback();
        let good_address = good.local_addr().expect("it is bound");
        let serve = |answer: &'static [u8]| {
            move |mut stream: TcpStream| {
                let mut request = [0; 8];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer);
            }
        };
        let ready = beside(&bad, serve(b"AMQP\0\0\x09\x01"), |bad_address| {
            beside(&good, serve(b"\x01\0\0\0\0\x01\xec\0\x0a\0\x0a\0"), |_| {
                attempt(&target(&format!("amqp://{bad_address},{good_address}")), AMPLE)
            })
        });
        assert_eq!(ready, Ok(()));
    }

    #[test]
    fn places_that_fail_for_different_reasons_are_numbered() {
        let (_bound, closed) = closed_port();
        let (_socket, hole, _queued) = black_hole();
        let both = attempt(&target(&format!("redis://{closed},{hole}")), SHORT);
        assert_eq!(both, failed("host 1: connection refused, host 2: no answer within 200 ms"));
        let same = attempt(&target(&format!("redis://{closed},{closed}")), SHORT);
        assert_eq!(same, failed("connection refused"));
    }

    #[test]
    fn a_port_that_is_closed_at_once_is_not_ready() {
        // The time until the server thread runs depends on the machine, so the test tries several times.
        let soon = |serve: fn(TcpStream), expected: &str| {
            let once = || {
                let listener = loopback();
                beside(&listener, serve, |address| attempt(&target(&format!("tcp://{address}")), AMPLE))
            };
            assert!((0..20).any(|_| once() == failed(expected)), "never `{expected}`");
        };
        soon(drop, "connection closed at once");
        let reset = |stream: TcpStream| {
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("it is open");
        };
        soon(reset, "connection reset by peer");
        // A server that speaks first is ready.
        let listener = loopback();
        let greets = beside(
            &listener,
            |mut stream| {
                let _ = stream.write_all(b"220 ready\r\n");
                until_closed(&mut stream);
            },
            |address| attempt(&target(&format!("tcp://{address}")), AMPLE),
        );
        assert_eq!(greets, Ok(()));
    }
}
