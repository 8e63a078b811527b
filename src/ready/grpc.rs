//! gRPC's health service, over HTTP/2 in clear text (grpc.io, "Health Checking"; grpc.github.io, "gRPC over
//! HTTP2"; RFC 9113, sections 3.4, 4.1 and 6; RFC 7541, section 6): ready if `Check` answers SERVING.
//!
//! The headers of the answer are not read, because they do not change the meaning of its message.

use crate::ready::connection::{Connection, Parsed};

/// The maximum frame size. Servers may send twice as much, but this service does not.
const LONGEST_FRAME: usize = 8 * 1024;
const LONGEST_MESSAGE: usize = 64;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
/// In a SETTINGS frame the same bit means this.
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

pub(crate) fn ask(mut connection: Connection, authority: &str, service: &[u8]) -> Result<(), String> {
    let mut body = Vec::new();
    let mut next = connection.exchange(&request(authority, service), frame)?;
    // A server's first frame is SETTINGS.
    if next.kind != SETTINGS {
        return Err(FOREIGN.to_owned());
    }
    loop {
        if next.kind == SETTINGS && next.flags & ACK == 0 {
            connection.send(&written(SETTINGS, ACK, 0, &[]));
        }
        if let Some(verdict) = verdict(&next, &mut body) {
            connection.drain();
            return verdict;
        }
        next = connection.receive(frame)?;
    }
}

const FOREIGN: &str = "the answer is not HTTP/2";

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn written(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn request(authority: &str, service: &[u8]) -> Vec<u8> {
    // The indexes in the static table: of `:method POST` and `:scheme http`, and of the names `:path`,
    // `:authority` and `content-type`.
    let mut headers = vec![0x83, 0x86];
    for (name, value) in [
        (&[4][..], &b"/grpc.health.v1.Health/Check"[..]),
        (&[1], authority.as_bytes()),
        (&[0x0f, 0x10], b"application/grpc"),
        (b"\0\x02te", b"trailers"),
    ] {
        headers.extend([name, &integer(value.len()), value].concat());
    }
    // Field 1 of the request is the service; without it, the request is about the whole server.
    let message =
        if service.is_empty() { Vec::new() } else { [&[0x0a][..], &varint(service.len()), service].concat() };
    let length = u32::try_from(message.len()).unwrap_or_default().to_be_bytes();
    let data = [&[0][..], &length, &message].concat();
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        written(SETTINGS, 0, 0, &[]),
        written(HEADERS, END_HEADERS, 1, &headers),
        written(DATA, END_STREAM, 1, &data),
    ]
    .concat()
}

/// Encodes a length with a prefix of seven bits (RFC 7541, section 5.1), for a string without Huffman coding.
fn integer(value: usize) -> Vec<u8> {
    if value < 127 { varint(value) } else { [&[127][..], &varint(value - 127)].concat() }
}

/// Seven bits in each byte, lowest first. Both protocols use this encoding.
fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}

pub(crate) fn frame(bytes: &[u8]) -> Parsed<Frame> {
    let Some(([high, middle, low, kind, flags, stream @ ..], rest)) = bytes.split_first_chunk::<9>() else {
        // An HTTP/1 server may answer in text and then send nothing else.
        return if bytes.starts_with(b"HTTP") { Err(FOREIGN.to_owned()) } else { Ok(None) };
    };
    let length = usize::try_from(u32::from_be_bytes([0, *high, *middle, *low])).unwrap_or(usize::MAX);
    if length > LONGEST_FRAME {
        return Err(FOREIGN.to_owned());
    }
    let Some(payload) = rest.get(..length) else { return Ok(None) };
    let stream = u32::from_be_bytes(*stream) & 0x7fff_ffff;
    Ok(Some((Frame { kind: *kind, flags: *flags, stream, payload: payload.to_owned() }, length + 9)))
}

pub(crate) fn verdict(frame: &Frame, body: &mut Vec<u8>) -> Option<Result<(), String>> {
    let refused = |reason: &str| Some(Err(reason.to_owned()));
    match (frame.kind, frame.stream) {
        (DATA, 1) => {
            let mut data = &frame.payload[..];
            if frame.flags & PADDED != 0 {
                let (padding, rest) = data.split_first().unwrap_or((&0, &[]));
                data = rest.get(..rest.len().saturating_sub(usize::from(*padding))).unwrap_or_default();
            }
            body.extend_from_slice(data);
            match message(body) {
                Ok(None) if frame.flags & END_STREAM != 0 => refused("the answer has no message"),
                Ok(None) => None,
                Ok(Some(1)) => Some(Ok(())),
                Ok(Some(2)) => refused("the service is NOT_SERVING"),
                Ok(Some(3)) => refused("the server does not know the service"),
                // Some servers send this together with the error for an unknown service.
                Ok(Some(_)) => refused("the service's state is UNKNOWN, or the server does not know it"),
                Err(reason) => Some(Err(reason)),
            }
        }
        (HEADERS, 1) if frame.flags & END_STREAM != 0 => {
            refused("the server has no health service, or does not know the service")
        }
        (RST_STREAM, 1) => refused("the server refuses the request"),
        (GOAWAY, _) => refused("the server is going away"),
        _ => None,
    }
}

fn message(body: &[u8]) -> Result<Option<u8>, String> {
    let Some(([compressed, length @ ..], message)) = body.split_first_chunk::<5>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    match message.get(..length) {
        None if *compressed == 0 && length <= LONGEST_MESSAGE => Ok(None),
        // A field with the value 0 is omitted.
        Some([]) if *compressed == 0 => Ok(Some(0)),
        Some([8, status]) if *compressed == 0 => Ok(Some(*status)),
        _ => Err("the answer is not from a health service".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(bytes: &[u8]) -> Frame {
        frame(bytes).unwrap().unwrap().0
    }

    fn of(bytes: &[u8]) -> Option<Result<(), String>> {
        verdict(&one(bytes), &mut Vec::new())
    }

    #[test]
    fn lengths_are_encoded_as_in_hpack_and_protobuf() {
        assert_eq!(integer(10), [10]);
        assert_eq!(integer(126), [126]);
        assert_eq!(integer(127), [127, 0]);
        assert_eq!(integer(1337), [127, 0xba, 0x09]);
        assert_eq!(varint(300), [0xac, 2]);
    }

    #[test]
    fn a_frame_is_parsed_only_when_it_is_complete() {
        let bytes = written(DATA, END_STREAM, 1, b"abc");
        for end in 0..bytes.len() {
            assert_eq!(frame(&bytes[..end]), Ok(None), "{end}");
        }
        let whole = Frame { kind: DATA, flags: END_STREAM, stream: 1, payload: b"abc".to_vec() };
        assert_eq!(frame(&bytes), Ok(Some((whole, bytes.len()))));
        assert!(frame(b"HTTP/1.1 400 Bad Request").is_err());
        assert!(frame(b"HTTP").is_err());
        assert!(frame(&[0xff; 9]).is_err());
    }

    #[test]
    fn only_serving_is_ready() {
        let data = |message: &[u8]| {
            written(DATA, 0, 1, &[&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()], message].concat())
        };
        assert_eq!(of(&data(&[8, 1])), Some(Ok(())));
        for (status, why) in [
            (&[8, 2][..], "NOT_SERVING"),
            (&[8, 3], "does not know"),
            (&[], "UNKNOWN"),
            (&[8, 0], "UNKNOWN"),
            (&[8, 1, 8], "not from a health service"),
        ] {
            let reason = of(&data(status)).unwrap().unwrap_err();
            assert!(reason.contains(why), "{reason}");
        }
        assert!(of(&written(DATA, 0, 1, &[1, 0, 0, 0, 2, 8, 1])).unwrap().is_err());
        assert!(of(&written(DATA, 0, 1, &[0, 0xff, 0xff, 0xff, 0xff])).unwrap().is_err());
        assert!(of(&written(DATA, END_STREAM, 1, &[])).unwrap().is_err());
        assert!(of(&written(HEADERS, END_STREAM | END_HEADERS, 1, b"x")).unwrap().is_err());
        assert!(of(&written(RST_STREAM, 0, 1, &[0; 4])).unwrap().is_err());
        assert!(of(&written(GOAWAY, 0, 0, &[0; 8])).unwrap().is_err());
        assert_eq!(of(&written(HEADERS, END_HEADERS, 1, b"x")), None);
        assert_eq!(of(&written(SETTINGS, 0, 0, &[0; 6])), None);
        assert_eq!(
            of(&data(&[8, 1])
                .iter()
                .enumerate()
                .map(|(at, byte)| if at == 8 { 3 } else { *byte })
                .collect::<Vec<_>>()),
            None
        );
    }

    #[test]
    fn a_message_may_be_split_and_padded() {
        let mut body = Vec::new();
        assert_eq!(verdict(&one(&written(DATA, PADDED, 1, &[2, 0, 0, 0, 9, 9])), &mut body), None);
        assert_eq!(body, [0, 0, 0]);
        assert_eq!(verdict(&one(&written(DATA, 0, 1, &[0, 2, 8])), &mut body), None);
        assert_eq!(verdict(&one(&written(DATA, END_STREAM, 1, &[1])), &mut body), Some(Ok(())));
        let mut body = Vec::new();
        assert_eq!(verdict(&one(&written(DATA, PADDED, 1, &[200, 0])), &mut body), None);
    }
}
