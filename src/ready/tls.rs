//! TLS (RFC 8446, sections 4.1.2 and 5.1; RFC 6066, section 3): ready if a `ClientHello` is answered with a
//! `ServerHello`. Neither is secret. The handshake stops there, so the certificate is not checked.

use std::net::IpAddr;

use crate::ready::connection::Parsed;

/// A hello for TLS 1.3 and 1.2, so that servers of both versions answer. Its random parts need not be random,
/// because no key is derived from them.
pub(crate) fn hello(host: &str) -> Vec<u8> {
    // A valid point of the curve: its base point.
    let key = [&[9][..], &[0; 31]].concat();
    let mut extensions = Vec::new();
    let mut extend = |kind: u8, bytes: &[u8]| extensions.extend([&[0, kind][..], &counted(bytes)].concat());
    // A server name cannot be an address.
    if host.parse::<IpAddr>().is_err() {
        let name = [&[0][..], &counted(host.trim_end_matches('.').as_bytes())].concat();
        extend(0, &counted(&name));
    }
    // supported_groups: x25519, P-256, P-384.
    extend(10, &counted(&[0, 29, 0, 23, 0, 24]));
    // ec_point_formats: uncompressed.
    extend(11, &[1, 0]);
    // signature_algorithms: ECDSA, RSA-PSS, RSA, Ed25519.
    extend(13, &counted(&[4, 3, 5, 3, 6, 3, 8, 4, 8, 5, 8, 6, 4, 1, 5, 1, 6, 1, 8, 7]));
    // supported_versions: 1.3, 1.2.
    extend(43, &[4, 3, 4, 3, 3]);
    // key_share: one for x25519.
    extend(51, &counted(&[&[0, 29][..], &counted(&key)].concat()));
    // AES and ChaCha20 of 1.3; ECDHE with AES-GCM, ChaCha20 and AES-CBC; RSA with AES for old servers.
    let suites = [
        0x13, 1, 0x13, 2, 0x13, 3, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9, 0xcc, 0xa8,
        0xc0, 0x13, 0xc0, 0x14, 0, 0x9c, 0, 0x9d, 0, 0x2f, 0, 0x35,
    ];
    let random = *b"preverb asks whether TLS is here";
    let body = [&[3, 3][..], &random, &[0], &counted(&suites), &[1, 0], &counted(&extensions)].concat();
    let handshake = [&[1, 0][..], &counted(&body)].concat();
    [&[22, 3, 1][..], &counted(&handshake)].concat()
}

/// Prefixes bytes with their length in two bytes.
fn counted(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or_default();
    [&length.to_be_bytes(), bytes].concat()
}

pub(crate) fn answer(bytes: &[u8]) -> Parsed<()> {
    match bytes {
        [21, 3, _, _, _, _, description, ..] => Err(format!("the server refuses TLS: alert {description}")),
        [22, 3, _, _, _, 2, ..] => Ok(Some(((), bytes.len()))),
        [] | [21 | 22] | [21, 3, ..] => Ok(None),
        [22, 3, rest @ ..] if rest.len() < 4 => Ok(None),
        _ => Err("the answer is not TLS".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_hello_names_a_host_but_not_an_address() {
        let named = hello("db.example.");
        assert!(named.windows(10).any(|part| part == b"db.example") && !named.contains(&b'!'));
        assert!(!named.windows(11).any(|part| part == b"db.example."));
        for (hello, length) in [(&named, named.len()), (&hello("10.0.0.1"), hello("::1").len())] {
            assert_eq!(hello.len(), length);
            assert_eq!(hello.len(), 5 + usize::from(u16::from_be_bytes([hello[3], hello[4]])));
            assert_eq!(hello.len(), 9 + usize::from(u16::from_be_bytes([hello[7], hello[8]])));
        }
    }

    #[test]
    fn a_server_hello_is_ready_and_an_alert_is_not() {
        let server = b"\x16\x03\x03\0\x7a\x02\0";
        assert_eq!(answer(server), Ok(Some(((), 7))));
        assert!(answer(b"\x15\x03\x03\0\x02\x02\x28").unwrap_err().contains("alert 40"));
        for whole in [&server[..], b"\x15\x03\x03\0\x02\x02\x28"] {
            for end in 0..6 {
                assert_eq!(answer(&whole[..end]), Ok(None), "{end}");
            }
        }
        for other in [&b"HTTP/1.0 400 Bad"[..], b"\x16\x03\x03\0\x7a\x01", b"\x17\x03\x03", b"\x16\x02"] {
            assert!(answer(other).is_err(), "{}", other.escape_ascii());
        }
    }
}
