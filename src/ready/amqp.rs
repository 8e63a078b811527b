//! AMQP 0-9-1 (its specification, sections 2.3.5 "Frame Details" and 4.2.2 "Protocol Header"). A broker that
//! accepts logins answers the protocol header with Connection.Start.

use crate::ready::connection::Parsed;

/// The header of protocol version 0-9-1.
pub(crate) const HEADER: &[u8] = b"AMQP\0\0\x09\x01";
/// The maximum size of a Connection.Start. The real limit is negotiated only after it.
const LONGEST_FRAME: u32 = 128 * 1024;

/// Parses the start of a Connection.Start: a method frame of channel 0, class 10, method 10.
pub(crate) fn start(bytes: &[u8]) -> Parsed<()> {
    let may_be = |start: &[u8]| start.iter().zip(bytes).all(|(expected, byte)| byte == expected);
    match bytes.first_chunk::<11>() {
        _ if bytes.starts_with(b"AMQP") => Err("the server speaks another version of AMQP".to_owned()),
        Some([1, 0, 0, size @ .., 0, 10, 0, 10])
            if (4..=LONGEST_FRAME).contains(&u32::from_be_bytes(*size)) =>
        {
            Ok(Some(((), 11)))
        }
        None if may_be(&[1, 0, 0]) || may_be(b"AMQP") => Ok(None),
        _ => Err("the answer is not from an AMQP broker".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_starts_the_connection() {
        // The beginning of RabbitMQ's frame, as far as the probe reads it.
        let frame = b"\x01\0\0\0\0\x01\xfb\0\x0a\0\x0a\0\x09";
        assert_eq!(start(frame), Ok(Some(((), 11))));
        for end in 0..11 {
            assert_eq!(start(&frame[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn other_answers_are_not_a_start() {
        assert!(start(b"AMQP\0\x01\0\0").unwrap_err().contains("another version"));
        for other in [
            &b"HTTP/1.1 400 Bad Request"[..],
            b"\x01\0\x01\0\0\x01\xfb\0\x0a\0\x0a",
            b"\x01\0\0\0\0\x01\xfb\0\x0a\0\x32",
            b"\x01\0\0\xff\xff\xff\xff\0\x0a\0\x0a",
            b"\x01\0\0\0\0\0\0\0\x0a\0\x0a",
            b"A\0",
        ] {
            assert!(start(other).is_err(), "{}", other.escape_ascii());
        }
    }
}
