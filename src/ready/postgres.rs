//! PostgreSQL (its documentation, "Frontend/Backend Protocol": sections "Message Formats" and "Error and
//! Notice Message Fields"; appendix "Error Codes").
//!
//! The probe starts a login with the user and the database, and sends no password. A server that accepts
//! logins asks for one or rejects this login. One that starts, recovers, stops or is full reports that.

use crate::ready::connection::{Connection, Parsed};

const VERSION: u32 = 3 << 16;
/// The maximum size of an error message; libpq has the same limit.
const LONGEST_ERROR: usize = 30_000;

pub(crate) fn ask(mut connection: Connection, user: &[u8], database: &[u8]) -> Result<(), String> {
    let body = [&VERSION.to_be_bytes(), &b"user\0"[..], user, b"\0database\0", database, b"\0\0"].concat();
    let length = u32::try_from(body.len() + 4).unwrap_or_default();
    let request = [&length.to_be_bytes()[..], &body].concat();
    if connection.exchange(&request, answer)? == Login::Done {
        // The last connections are reserved for superusers; a server reports that only at this point.
        while connection.receive(until_ready)? == Login::Open {}
        // Terminate. If the server waits for a password, it would log this as a wrong one.
        connection.send(b"X\0\0\0\x04");
        connection.drain();
    }
    Ok(())
}

/// The state of a login that the server would accept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Login {
    Done,
    /// The server asks for a password, or rejects this login.
    Open,
}

pub(crate) fn answer(bytes: &[u8]) -> Parsed<Login> {
    let foreign = || Err("the answer is not from PostgreSQL".to_owned());
    let Some((kind, rest)) = bytes.split_first() else { return Ok(None) };
    if !b"REv".contains(kind) {
        return foreign();
    }
    let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    // A server that cannot fork sends plain text after its `E`.
    if !(8..=LONGEST_ERROR).contains(&length) {
        return foreign();
    }
    if *kind != b'E' {
        let Some((request, _)) = rest.split_first_chunk() else { return Ok(None) };
        let is_done = *kind == b'R' && u32::from_be_bytes(*request) == 0;
        return Ok(Some((if is_done { Login::Done } else { Login::Open }, 9)));
    }
    // The code is one of the first fields, so the message may still be incomplete. In that case the bytes
    // after the last NUL are not a whole field.
    let fields = rest.get(..length - 4);
    let whole = fields.or_else(|| rest.get(..rest.iter().rposition(|byte| *byte == 0)?)).unwrap_or_default();
    let code = whole.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(b"C"));
    let reason = match code {
        None if fields.is_none() => return Ok(None),
        None => return foreign(),
        Some(b"57P01" | b"57P02") => "the server is shutting down",
        Some(b"57P03") => {
            "the server does not accept connections yet: it is starting up, recovering or shutting down"
        }
        Some(b"53300") => "too many connections",
        Some(_) => return Ok(Some((Login::Open, 5))),
    };
    Err(reason.to_owned())
}

/// Parses messages after a login without a password. The login is done at `ReadyForQuery`.
pub(crate) fn until_ready(bytes: &[u8]) -> Parsed<Login> {
    let Some((kind, rest)) = bytes.split_first() else { return Ok(None) };
    if *kind == b'E' {
        return Ok(answer(bytes)?.map(|(_, count)| (Login::Done, count)));
    }
    let Some(length) = rest.first_chunk() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if !(4..=LONGEST_ERROR).contains(&length) {
        return Err("the answer is not from PostgreSQL".to_owned());
    }
    let login = if *kind == b'Z' { Login::Done } else { Login::Open };
    Ok((rest.len() >= length).then_some((login, 1 + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(fields: &[u8]) -> Vec<u8> {
        let length = u32::try_from(fields.len() + 4).unwrap();
        [b"E", &length.to_be_bytes()[..], fields].concat()
    }

    #[test]
    fn a_server_that_accepts_logins_is_ready() {
        for ready in [
            // The cases are SCRAM, trust, and another version of the protocol.
            &b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"[..],
            b"R\0\0\0\x08\0\0\0\0S",
            b"v\0\0\0\x0c\0\x03\0\0\0\0\0\0",
            &error(b"SFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry\0\0"),
            &error(b"SFATAL\0C3D000\0Mdatabase does not exist\0\0"),
        ] {
            let (login, _) = answer(ready).unwrap().unwrap();
            assert_eq!(login == Login::Done, ready.ends_with(b"S"), "{}", ready.escape_ascii());
        }
    }

    #[test]
    fn a_server_that_accepts_no_logins_reports_why() {
        for (code, why) in [
            ("57P01", "shutting down"),
            ("57P02", "shutting down"),
            ("57P03", "starting up"),
            ("53300", "too many"),
        ] {
            let message = error(format!("SFATAL\0VFATAL\0C{code}\0Mx\0\0").as_bytes());
            assert!(answer(&message).unwrap_err().contains(why), "{code}");
            for end in 0..message.len() {
                let early = answer(&message[..end]);
                assert!(early == Ok(None) || early == answer(&message), "{code} {end}: {early:?}");
            }
        }
    }

    #[test]
    fn a_server_can_reject_a_login_that_needs_no_password() {
        let status = b"S\0\0\0\x09a\0b\0\0";
        assert_eq!(until_ready(status), Ok(Some((Login::Open, status.len()))));
        assert_eq!(until_ready(b"Z\0\0\0\x05I"), Ok(Some((Login::Done, 6))));
        let full = error(b"SFATAL\0VFATAL\0C53300\0Mx\0\0");
        assert!(until_ready(&full).unwrap_err().contains("too many"));
        let objection = error(b"SFATAL\0C3D000\0Mdatabase does not exist\0\0");
        assert!(matches!(until_ready(&objection), Ok(Some((Login::Done, _)))));
        for message in [&status[..], b"Z\0\0\0\x05I", &full] {
            assert_eq!(until_ready(&message[..message.len().min(5) - 1]), Ok(None));
        }
        assert!(until_ready(b"S\xff\xff\xff\xff").is_err());
    }

    #[test]
    fn other_answers_are_not_from_postgres() {
        for other in [
            &b"Ecould not fork new process for connection\0"[..],
            b"HTTP/1.1 400 Bad Request\r\n",
            b"E\xff\xff\xff\xff",
            b"R\0\0\0\0",
            &error(b"SFATAL\0Mno code\0\0"),
            b"S",
        ] {
            assert!(answer(other).is_err(), "{}", other.escape_ascii());
        }
    }
}
