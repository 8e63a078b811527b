//! MySQL and MariaDB (MySQL's source documentation, "Client/Server Protocol": "Connection Phase",
//! "`HandshakeResponse41`"; MariaDB's documentation, "Connecting"; `max_connect_errors`).
//!
//! A connection that ends before its login counts as an error, and too many of them lock out the host,
//! including the application. So each connection logs in as a user that does not exist: the server refuses
//! the login, which completes the handshake.
//!
//! A full server still greets one connection, for an administrator, but would refuse the application's login.
//! That is why a second connection is made while the first one waits.

use crate::ready::connection::{Connection, Open, Parsed};

/// It fits into the maximum length of a name, and explains itself in the server's log.
const USER: &[u8] = b"preverb-readiness-no-such-user";
/// Long passwords, protocol 4.1, its password method, plugin names.
const CAPABILITIES: u32 = 0x1 | 0x200 | 0x8000 | 0x8_0000;
/// The maximum size of a handshake packet: a greeting, a plugin name with its salt, or an error.
const LONGEST_PACKET: usize = 4096;
/// The maximum number of packets in a login.
const ROUNDS: usize = 5;

pub(crate) fn ask(open: &Open<'_>) -> Result<(), String> {
    let first = greeted(open)?;
    // The first login has to complete even if the second one fails.
    let second = greeted(open).and_then(log_in);
    log_in(first).and(second)
}

/// A connection whose server accepts logins so far, and the number of its last packet.
fn greeted(open: &Open<'_>) -> Result<(Connection, u8), String> {
    let mut connection = open()?;
    let (sequence, payload) = connection.receive(packet)?;
    greeting(&payload).map(|()| (connection, sequence))
}

/// Logs in as a user that does not exist, and returns whether the server accepts logins.
fn log_in((mut connection, mut sequence): (Connection, u8)) -> Result<(), String> {
    let (packet_limit, charset) = (1_u32 << 24, 33);
    let head = [&CAPABILITIES.to_le_bytes()[..], &packet_limit.to_le_bytes(), &[charset], &[0; 23]].concat();
    let mut payload = [&head[..], USER, b"\0\0mysql_native_password\0"].concat();
    for _ in 0..ROUNDS {
        let [low, middle, high, ..] = u32::try_from(payload.len()).unwrap_or_default().to_le_bytes();
        let request = [&[low, middle, high, sequence.wrapping_add(1)], &payload[..]].concat();
        (sequence, payload) = connection.exchange(&request, packet)?;
        match reply(&payload)? {
            Reply::Continue(password) => {
                payload = password;
                continue;
            }
            Reply::Welcome => connection.send(b"\x01\0\0\0\x01"),
            Reply::Refused => {}
        }
        connection.drain();
        return Ok(());
    }
    Err("the login does not complete".to_owned())
}

/// Parses a packet: its number in the sequence, and its payload.
pub(crate) fn packet(bytes: &[u8]) -> Parsed<(u8, Vec<u8>)> {
    let Some(([low, middle, high, sequence], rest)) = bytes.split_first_chunk() else { return Ok(None) };
    let length = usize::try_from(u32::from_le_bytes([*low, *middle, *high, 0])).unwrap_or(usize::MAX);
    if !(1..=LONGEST_PACKET).contains(&length) {
        return Err(FOREIGN.to_owned());
    }
    Ok(rest.get(..length).map(|payload| ((*sequence, payload.to_owned()), length + 4)))
}

const FOREIGN: &str = "the answer is not from MySQL";

pub(crate) fn greeting(payload: &[u8]) -> Result<(), String> {
    match payload {
        [10, ..] => Ok(()),
        [0xff, low, high, ..] => Err(match u16::from_le_bytes([*low, *high]) {
            1040 => TOO_MANY.into(),
            1129 => "the server has blocked this host after too many broken connections (error 1129)".into(),
            1130 => "the server refuses connections from this host (error 1130)".into(),
            code => format!("the server refuses connections: error {code}"),
        }),
        _ => Err(FOREIGN.to_owned()),
    }
}

const TOO_MANY: &str = "too many connections";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The server accepts any login.
    Welcome,
    Refused,
    Continue(Vec<u8>),
}

pub(crate) fn reply(payload: &[u8]) -> Result<Reply, String> {
    match payload {
        [0, ..] => Ok(Reply::Welcome),
        [0xff, low, high, ..] => match u16::from_le_bytes([*low, *high]) {
            1040 => Err(TOO_MANY.to_owned()),
            1203 => Err("too many connections of this user".to_owned()),
            1053 => Err("the server is shutting down".to_owned()),
            _ => Ok(Reply::Refused),
        },
        // Every plugin accepts an empty password, except this one: it would count it as a broken handshake.
        [0xfe, plugin @ ..] if plugin.starts_with(b"client_ed25519\0") => Ok(Reply::Continue(vec![0; 64])),
        [0xfe | 1, ..] => Ok(Reply::Continue(Vec::new())),
        _ => Err(FOREIGN.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_parsed_only_when_it_is_complete() {
        let bytes = b"\x02\0\0\x07\x0aXrest";
        assert_eq!(packet(bytes), Ok(Some(((7, b"\x0aX".to_vec()), 6))));
        for end in 0..6 {
            assert_eq!(packet(&bytes[..end]), Ok(None), "{end}");
        }
        for other in [&b"HTTP/1.1"[..], b"\0\0\0\0", b"\xff\xff\xff\0"] {
            assert!(packet(other).is_err(), "{}", other.escape_ascii());
        }
    }

    #[test]
    fn an_error_instead_of_a_greeting_is_reported() {
        assert_eq!(greeting(b"\x0a5.5.5-10.11.6-MariaDB\0"), Ok(()));
        for (payload, why) in [
            (&b"\xff\x10\x04Too many connections"[..], "too many connections"),
            (b"\xff\x69\x04Host is blocked", "1129"),
            (b"\xff\x6a\x04Host is not allowed", "1130"),
            (b"\xff\x57\x04x", "1111"),
            (b"\xff", "not from MySQL"),
            (b"\x09", "not from MySQL"),
        ] {
            let reason = greeting(payload).unwrap_err();
            assert!(reason.contains(why), "{reason}");
        }
    }

    #[test]
    fn a_server_that_refuses_the_login_is_ready() {
        assert_eq!(reply(b"\xff\x15\x04#28000Access denied"), Ok(Reply::Refused));
        assert_eq!(reply(b"\xff\x57\x0cinsecure transport"), Ok(Reply::Refused));
        assert_eq!(reply(b"\0\0\0"), Ok(Reply::Welcome));
        assert_eq!(reply(b"\xfecaching_sha2_password\0salt"), Ok(Reply::Continue(Vec::new())));
        assert_eq!(reply(b"\xfeclient_ed25519\0salt"), Ok(Reply::Continue(vec![0; 64])));
        assert_eq!(reply(b"\xff\x10\x04Too many connections"), Err("too many connections".to_owned()));
        assert_eq!(reply(b"\xff\xb3\x04x"), Err("too many connections of this user".to_owned()));
        assert!(reply(b"\xff\x1d").is_err());
        assert!(reply(b"").is_err());
    }
}
