//! HTTP/1.1 (RFC 9112, sections 3 and 4): ready if it answers a GET with 200 to 399.

use crate::ready::connection::{Connection, Parsed};

/// The part of an answer in which the status has to appear.
const ANSWER_MAX: usize = 8 * 1024;

pub(crate) fn ask(mut connection: Connection, authority: &str, path: &[u8]) -> Result<(), String> {
    let code = connection.exchange(&request(authority, path), status)?;
    connection.drain();
    if (200..400).contains(&code) { Ok(()) } else { Err(format!("answered {code}")) }
}

/// The host and the port of a server, with an IPv6 address in brackets.
pub(crate) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn request(authority: &str, path: &[u8]) -> Vec<u8> {
    let (host, version) = (authority.strip_suffix(":80").unwrap_or(authority), env!("CARGO_PKG_VERSION"));
    let rest = format!(
        " HTTP/1.1\r\nHost: {host}\r\nUser-Agent: preverb/{version}\r\n\
         Accept: */*\r\nConnection: close\r\n\r\n"
    );
    [b"GET ", path, rest.as_bytes()].concat()
}

/// Finds the status of the first answer that is not interim.
pub(crate) fn status(all: &[u8]) -> Parsed<u16> {
    const BEGIN: &[u8] = b"HTTP/1.";
    let not_http = || Err("answer is not HTTP/1".to_owned());
    let (mut bytes, mut begins) = (all, true);
    loop {
        // This is checked from the first byte on, because other protocols may never end a line.
        if begins && bytes.iter().zip(BEGIN).any(|(byte, expected)| byte != expected) {
            return not_http();
        }
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            let late = "no status in the first 8 KiB of the answer";
            return if all.len() > ANSWER_MAX { Err(late.to_owned()) } else { Ok(None) };
        };
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        if begins {
            match status_of_line(line) {
                None => return not_http(),
                // 101 would change the protocol, so nothing readable follows.
                Some(code) if code >= 200 || code == 101 => return Ok(Some((code, all.len()))),
                Some(_) => {}
            }
        }
        // The next answer follows the empty line after the headers of an interim one.
        (bytes, begins) = (&bytes[end + 1..], line.is_empty());
    }
}

/// Parses the code of `HTTP/1.1 200 OK`; a server may omit the phrase and the blank before it.
fn status_of_line(line: &[u8]) -> Option<u16> {
    let [b'0'..=b'9', b' ', code @ ..] = line.strip_prefix(b"HTTP/1.")? else { return None };
    let code = code.split(|byte| *byte == b' ').next()?;
    let is_code = code.len() == 3 && code.iter().all(u8::is_ascii_digit) && code[0] != b'0';
    std::str::from_utf8(code).ok().filter(|_| is_code)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_found_in_an_answer_split_at_any_byte() {
        let answer = b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n";
        for end in 0..answer.len() {
            assert_eq!(status(&answer[..end]), Ok(None), "{end}");
        }
        assert_eq!(status(answer), Ok(Some((200, answer.len()))));
        for ready in ["200 OK", "204", "301 Moved", "399 "] {
            let line = format!("HTTP/1.1 {ready}\r\n");
            assert!(matches!(status(line.as_bytes()), Ok(Some((200..400, _)))), "{ready}");
        }
    }

    #[test]
    fn an_answer_that_is_not_http_is_reported() {
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
            let error = Err("answer is not HTTP/1".to_owned());
            assert_eq!(status(garbage), error, "{}", garbage.escape_ascii());
        }
    }

    #[test]
    fn an_ipv6_host_is_put_in_brackets() {
        let request = String::from_utf8(request(&authority("::1", 80), b"/")).unwrap();
        assert!(request.contains("\r\nHost: [::1]\r\n"), "{request}");
    }
}
