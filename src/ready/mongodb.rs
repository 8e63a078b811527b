//! MongoDB (its documentation, "MongoDB Wire Protocol": `OP_MSG`; "hello"; bsonspec.org): ready if the server
//! says that it is a primary or a secondary. `hello` needs no login.

use crate::ready::connection::{Connection, Parsed};

const OP_MSG: u32 = 2013;
/// The maximum size of an answer; that of a set with fifty members has about 5 KiB.
const LONGEST: usize = 15 * 1024;
/// The size of a message header, in bytes.
const HEAD: usize = 16;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    role: Option<Role>,
    ok: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Role {
    Primary,
    Secondary,
    Arbiter,
}

pub(crate) fn ask(mut connection: Connection) -> Result<(), String> {
    let mut state = connection.exchange(&request(b"hello"), message)?;
    if !state.ok {
        // The name of the command before 4.4.2.
        state = connection.exchange(&request(b"isMaster"), message)?;
    }
    match state.role {
        Some(Role::Primary | Role::Secondary) => Ok(()),
        Some(Role::Arbiter) => Err("it is an arbiter, which holds no data".to_owned()),
        None if state.ok => Err("it is neither a primary nor a secondary yet".to_owned()),
        None => Err("the answer is an error".to_owned()),
    }
}

/// A request with the document `{command: 1, $db: "admin"}`.
fn request(command: &[u8]) -> Vec<u8> {
    let fields = [b"\x10", command, b"\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0"].concat();
    // There are no flags, and one section of kind 0 with one document.
    let body = [&[0; 5][..], &length(fields.len() + 4), &fields].concat();
    let head = [length(body.len() + HEAD), 1_u32.to_le_bytes(), [0; 4], OP_MSG.to_le_bytes()];
    [head.as_flattened(), &body].concat()
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or_default().to_le_bytes()
}

pub(crate) fn message(bytes: &[u8]) -> Parsed<State> {
    let foreign = || Err("the answer is not from MongoDB".to_owned());
    let Some(head) = bytes.first_chunk::<HEAD>() else { return Ok(None) };
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let size = usize::try_from(number(0)).unwrap_or(usize::MAX);
    if number(12) != OP_MSG || number(8) != 1 || !(26..=LONGEST).contains(&size) {
        return foreign();
    }
    let Some(body) = bytes.get(HEAD..size) else { return Ok(None) };
    // The first four bytes are flags.
    let state = body.get(4..).and_then(|section| document(section.strip_prefix(b"\0")?));
    state.map_or_else(foreign, |state| Ok(Some((state, size))))
}

/// Reads the relevant fields of a BSON document; `None` if it is malformed.
fn document(bytes: &[u8]) -> Option<State> {
    let (size, rest) = bytes.split_first_chunk()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    let mut rest = rest.get(..size.checked_sub(4)?)?;
    let mut state = State::default();
    loop {
        let (kind, after) = rest.split_first()?;
        if *kind == 0 {
            return after.is_empty().then_some(state);
        }
        let end = after.iter().position(|byte| *byte == 0)?;
        let (name, value) = (&after[..end], &after[end + 1..]);
        let (value, after) = value.split_at_checked(value_length(*kind, value)?)?;
        let is_true = match kind {
            1 => f64::from_le_bytes(value.try_into().ok()?) != 0.0,
            _ => value.iter().any(|byte| *byte != 0),
        };
        match name {
            b"isWritablePrimary" | b"ismaster" if is_true => state.role = Some(Role::Primary),
            b"secondary" if is_true => state.role = Some(Role::Secondary),
            b"arbiterOnly" if is_true => state.role = Some(Role::Arbiter),
            b"ok" => state.ok = is_true,
            _ => {}
        }
        rest = after;
    }
}

/// The length of a value of this kind.
fn value_length(kind: u8, value: &[u8]) -> Option<usize> {
    let counted = || usize::try_from(u32::from_le_bytes(*value.first_chunk()?)).ok();
    match kind {
        0x01 | 0x09 | 0x11 | 0x12 => Some(8), // double, date, timestamp, 64-bit integer
        0x02 | 0x0d | 0x0e => counted()?.checked_add(4), // string, code, symbol: a length, and so many bytes
        0x03 | 0x04 => counted(),             // document, array: their length counts itself
        0x05 => counted()?.checked_add(5),    // binary: a length, a kind, and so many bytes
        0x06 | 0x0a | 0x7f | 0xff => Some(0), // undefined, null, the two ends of all values
        0x07 => Some(12),
        0x08 => Some(1),
        0x10 => Some(4),
        0x13 => Some(16),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(fields: &[u8]) -> Vec<u8> {
        let document = [&length(fields.len() + 5)[..], fields, b"\0"].concat();
        let body = [&[0, 0, 0, 0, 0][..], &document].concat();
        let head =
            [length(body.len() + HEAD), 9_u32.to_le_bytes(), 1_u32.to_le_bytes(), OP_MSG.to_le_bytes()];
        [head.as_flattened(), &body].concat()
    }

    #[track_caller]
    fn state(fields: &[u8]) -> State {
        let reply = reply(fields);
        for end in 0..reply.len() {
            assert_eq!(message(&reply[..end]), Ok(None), "{end}");
        }
        let (state, taken) = message(&reply).unwrap().unwrap();
        assert_eq!(taken, reply.len());
        state
    }

    const OK: &[u8] = b"\x01ok\0\0\0\0\0\0\0\xf0\x3f";

    #[test]
    fn the_request_is_the_documented_one() {
        let request = request(b"hello");
        assert_eq!(request.len(), 52);
        assert_eq!(request[..4], 52_u32.to_le_bytes());
        assert_eq!(request[21..25], 31_u32.to_le_bytes());
    }

    #[test]
    fn the_role_is_read_from_the_answer() {
        let primary =
            [&b"\x03topologyVersion\0\x05\0\0\0\0\x08isWritablePrimary\0\x01\x09localTime\0........"[..], OK]
                .concat();
        assert_eq!(state(&primary), State { role: Some(Role::Primary), ok: true });
        let old = [&b"\x08ismaster\0\x01\x10maxWireVersion\0\x06\0\0\0"[..], OK].concat();
        assert_eq!(state(&old), State { role: Some(Role::Primary), ok: true });
        let secondary =
            [&b"\x08isWritablePrimary\0\0\x08secondary\0\x01\x04hosts\0\x05\0\0\0\0"[..], OK].concat();
        assert_eq!(state(&secondary), State { role: Some(Role::Secondary), ok: true });
        let arbiter = [&b"\x08arbiterOnly\0\x01"[..], OK].concat();
        assert_eq!(state(&arbiter), State { role: Some(Role::Arbiter), ok: true });
        let error = b"\x01ok\0\0\0\0\0\0\0\0\0\x02errmsg\0\x03\0\0\0no\0\x10code\0\x3b\0\0\0";
        assert_eq!(state(error), State::default());
    }

    #[test]
    fn malformed_answers_are_not_from_mongodb() {
        for fields in [
            &b"\x02a\0\xff\xff\xff\xff"[..],
            b"\x03a\0\xff\xff\xff\x7f",
            b"\x42a\0",
            b"\x01ok",
            b"\x10a\0\0\0",
        ] {
            assert!(message(&reply(fields)).is_err(), "{}", fields.escape_ascii());
        }
        for other in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0xff; 40], &[0; 40]] {
            assert!(message(other).is_err(), "{}", other.escape_ascii());
        }
    }
}
