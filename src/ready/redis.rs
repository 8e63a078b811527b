//! Redis and Valkey (their documentation, "Redis serialization protocol specification", `AUTH`, `PING`).
//!
//! A server with a password answers NOAUTH to clients without a login, even while it is still loading. So the
//! probe sends the password of the URL. If the URL has none, NOAUTH only means that the server is up.

use crate::ready::connection::{Connection, Parsed};
use crate::value::Password;

/// The maximum length of a line of an answer; errors are short.
const LONGEST_LINE: usize = 1024;

pub(crate) fn ask(mut connection: Connection, login: Option<&Password>) -> Result<(), String> {
    if let Some(Password { user, password }) = login {
        let words: &[&[u8]] = if user.is_empty() { &[b"AUTH", password] } else { &[b"AUTH", user, password] };
        judge_auth(&connection.exchange(&command(words), line)?)?;
    }
    judge_ping(&connection.exchange(&command(&[b"PING"]), line)?, login.is_some())
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut command = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        command.extend([format!("${}\r\n", word.len()).as_bytes(), word, b"\r\n"].concat());
    }
    command
}

pub(crate) fn line(bytes: &[u8]) -> Parsed<Vec<u8>> {
    let is_answer = matches!(bytes.first(), None | Some(b'+' | b'-'));
    match bytes.windows(2).take(LONGEST_LINE).position(|end| end == b"\r\n") {
        Some(at) if is_answer => Ok(Some((bytes[..at].to_vec(), at + 2))),
        None if is_answer && bytes.len() <= LONGEST_LINE => Ok(None),
        _ => Err("the answer is not from Redis".to_owned()),
    }
}

/// Judges the answer to `AUTH`; `Ok` means that the next answer decides.
pub(crate) fn judge_auth(line: &[u8]) -> Result<(), String> {
    if line.starts_with(b"+OK") {
        return Ok(());
    }
    not_ready(line)?;
    let holds = |part: &[u8]| line.windows(part.len()).any(|window| window == part);
    let has_none =
        line.starts_with(b"-ERR") && holds(b"without any password") || holds(b"no password is set");
    if has_none {
        return Err("the URL has a password, but the server has none".to_owned());
    }
    // The answer is WRONGPASS, or `-ERR invalid password` before Redis 6.
    Err("wrong password: the server refuses the one in the URL".to_owned())
}

pub(crate) fn judge_ping(line: &[u8], logged_in: bool) -> Result<(), String> {
    not_ready(line)?;
    // NOPERM: the user is logged in but may not ping. MISCONF: the server only fails to write to its disk.
    let is_up = [&b"+PONG"[..], b"-NOPERM", b"-MISCONF"].iter().any(|start| line.starts_with(start));
    if is_up || line.starts_with(b"-NOAUTH") && !logged_in {
        return Ok(());
    }
    Err("the answer to PING is an error".to_owned())
}

fn not_ready(line: &[u8]) -> Result<(), String> {
    const REASONS: [(&str, &str); 5] = [
        ("-LOADING", "the server is loading its data"),
        ("-MASTERDOWN", "the replica has no link to its master"),
        ("-BUSY", "the server is busy with a script"),
        ("-ERR max number of clients", "too many connections"),
        ("-DENIED", "the server is in protected mode, and refuses other hosts"),
    ];
    let reason = REASONS.iter().find(|(start, _)| line.starts_with(start.as_bytes()));
    reason.map_or(Ok(()), |(_, reason)| Err((*reason).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_strings() {
        assert_eq!(command(&[b"AUTH", b"u", b"p\r\n"]), b"*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$3\r\np\r\n\r\n");
    }

    #[test]
    fn an_answer_is_one_line_of_limited_length() {
        assert_eq!(line(b""), Ok(None));
        assert_eq!(line(b"+PON"), Ok(None));
        assert_eq!(line(b"+OK\r\n+PONG\r\n"), Ok(Some((b"+OK".to_vec(), 5))));
        assert!(line(b"$5\r\n").is_err());
        assert!(line(&[b'-'; 2000]).is_err());
        assert!(line(b"HTTP/1.1 400 Bad Request\r\n").is_err());
    }

    #[test]
    fn each_error_has_its_reason() {
        let ping = |line: &str, logged_in| judge_ping(line.as_bytes(), logged_in).err().unwrap_or_default();
        for (line, why) in [
            ("+PONG", ""),
            ("-NOAUTH Authentication required.", ""),
            ("-NOPERM this user has no permissions to run the 'ping' command", ""),
            ("-MISCONF Redis is configured to save RDB snapshots, but it cannot", ""),
            ("-LOADING Redis is loading the dataset in memory", "loading"),
            ("-MASTERDOWN Link with MASTER is down", "master"),
            ("-BUSY Redis is busy running a script.", "busy"),
            ("-ERR max number of clients reached", "too many"),
            ("-DENIED Redis is running in protected mode", "protected"),
            ("-ERR unknown command", "an error"),
            ("+OK", "an error"),
        ] {
            let reason = ping(line, false);
            assert!(reason.is_empty() == why.is_empty() && reason.contains(why), "{line}: {reason}");
        }
        assert!(!ping("-NOAUTH Authentication required.", true).is_empty());
        let auth = |line: &str| judge_auth(line.as_bytes()).err().unwrap_or_default();
        for (line, why) in [
            ("+OK", ""),
            ("-WRONGPASS invalid username-password pair or user is disabled.", "wrong password"),
            ("-ERR invalid password", "wrong password"),
            ("-ERR Client sent AUTH, but no password is set", "the server has none"),
            (
                "-ERR AUTH <password> called without any password configured for the default user.",
                "the server has none",
            ),
            ("-LOADING Redis is loading the dataset in memory", "loading"),
        ] {
            let reason = auth(line);
            assert!(reason.is_empty() == why.is_empty() && reason.contains(why), "{line}: {reason}");
        }
    }
}
