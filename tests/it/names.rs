//! Names of targets, and name servers that answer badly: by the C library of this build, and by the one that the static
//! binary contains, whose resolver fails as a whole if one of its queries fails.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::dsl::{Output, Test, skip};

/// The name server's answer to a query.
#[derive(Clone, Copy)]
enum Answer {
    /// 127.0.0.1.
    Address,
    /// A code: 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED; 0 is an answer without an address.
    Code(u8),
    Silence,
}

use Answer::{Address, Code, Silence};

/// The type of a question for addresses of IPv4.
const A: u16 = 1;

/// A name server at an address of its own, as long as the tests run; it answers as `answer` says to a name and a type.
fn name_server(answer: impl Fn(&str, u16) -> Answer + Send + 'static) -> Option<Ipv4Addr> {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    // Another run of these tests on this machine has other addresses.
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed));
    let socket = UdpSocket::bind((address, 53)).ok()?;
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            let Some(reply) = reply(&packet[..length], &answer) else { continue };
            let _ = socket.send_to(&reply, from);
        }
    });
    Some(address)
}

/// The answer to a question (RFC 1035, section 4).
fn reply(question: &[u8], answer: &dyn Fn(&str, u16) -> Answer) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    while let Some(length) = question.get(at).map(|byte| usize::from(*byte)).filter(|length| *length > 0) {
        labels.push(String::from_utf8_lossy(question.get(at + 1..at + 1 + length)?).into_owned());
        at += 1 + length;
    }
    let end = at + 5;
    let kind = u16::from_be_bytes([*question.get(at + 1)?, *question.get(at + 2)?]);
    let (code, addresses) = match answer(&labels.join("."), kind) {
        Silence => return None,
        Code(code) => (code, 0),
        Address => (0, 1),
    };
    let mut reply = [&question[..2], &[0x81, 0x80 | code, 0, 1, 0, addresses, 0, 0, 0, 0]].concat();
    reply.extend_from_slice(question.get(12..end)?);
    if addresses > 0 {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
    }
    Some(reply)
}

/// The static binary, which `.ci/run` builds: musl has another resolver than glibc.
fn static_binary() -> Option<OsString> {
    let binary = std::env::var_os("PREVERB_STATIC");
    if binary.is_none() {
        skip("`PREVERB_STATIC` does not name a static binary");
    }
    binary
}

/// Probes `host` with this name server and these further lines of resolv.conf, by both C libraries.
#[track_caller]
fn probed(
    host: &str, lines: &str, answer: impl Fn(&str, u16) -> Answer + Send + 'static,
    adjust: impl Fn(Test) -> Test,
) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let Some(server) = name_server(answer) else { return skip("it cannot have the port of a name server") };
    let test = |become_it: &str| {
        let script = format!("mount --bind resolv.conf /etc/resolv.conf && {become_it}");
        adjust(
            Test::new()
                .needs_root()
                .file("resolv.conf", format!("nameserver {server}\n{lines}"), 0o644)
                .under(["unshare", "-m", "sh", "-c", &script, "sh"])
                .args(["--probe", &format!("tcp://{host}:{port}")]),
        )
        .run();
    };
    test("exec \"$@\"");
    if let Some(binary) = static_binary() {
        test(&format!("shift && exec {} \"$@\"", binary.display()));
    }
}

fn soon(output: &Output) {
    assert!(output.took < Duration::from_millis(2500), "{:?}", output.took);
}

#[test]
fn an_ipv4_address_is_enough_even_if_ipv6_fails() {
    for bad in [Code(3), Code(2), Code(5), Code(0), Silence] {
        probed("db.test", "", move |_, kind| if kind == A { Address } else { bad }, |test| test.check(soon));
    }
}

#[test]
fn a_failing_search_list_does_not_hide_a_name() {
    for bad in [Code(2), Code(5), Code(3)] {
        let answer = move |name: &str, kind| match (name, kind) {
            ("db.test", A) => Address,
            ("db.test", _) => Code(0),
            _ => bad,
        };
        probed("db.test", "search one.example two.example\noptions ndots:5\n", answer, |test| {
            test.check(soon)
        });
    }
}

#[test]
fn an_unresponsive_search_list_does_not_use_up_the_try() {
    let answer = |name: &str, kind| match (name, kind) {
        ("db.test", A) => Address,
        ("db.test", _) => Code(0),
        _ => Silence,
    };
    probed("db.test", "search slow.example\noptions ndots:5\n", answer, |test| {
        test.check(|output| assert!(output.took < Duration::from_millis(2500), "{:?}", output.took))
    });
}

#[test]
fn a_name_is_found_through_the_search_list() {
    let asked = |name: &str, kind| match (name, kind) {
        ("db.here.example", A) => Address,
        _ => Code(3),
    };
    probed("db", "search here.example\n", asked, |test| test.check(soon));
}

#[test]
fn a_failing_first_name_of_the_search_list_does_not_hide_the_second() {
    for bad in [Code(2), Silence] {
        let answer = move |name: &str, kind| match (name, kind) {
            ("db.two.example", A) => Address,
            ("db.one.example", _) => bad,
            _ => Code(3),
        };
        probed("db", "search one.example two.example\n", answer, |test| test.check(soon));
    }
}

#[test]
fn an_unknown_name_does_not_resolve() {
    probed(
        "db.test",
        "search one.example\n",
        |_, _| Code(3),
        |test| {
            test.status(1)
                .stderr("preverb: `tcp://db.test:[..]` is not ready: name does not resolve\n")
                .check(soon)
        },
    );
    probed(
        "db.test",
        "",
        |_, _| Silence,
        |test| {
            test.status(1)
                .args(["--timeout", "700ms"])
                .stderr("preverb: `tcp://db.test:[..]` is not ready: name did not resolve within [..] ms\n")
                .pid1()
                .check(soon)
        },
    );
}
