//! Tests of targets and of one try of each.

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
        answered(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n"),
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
    let open =
        || rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).expect("a socket");
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
