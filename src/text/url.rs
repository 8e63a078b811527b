//! URLs as applications write them, looser than RFC 3986 where clients are: several hosts with commas, a
//! driver after `+`, a leading `jdbc:`, an IPv6 address without brackets. Errors never repeat a part of the
//! URL, because it may be a password.

use std::net::Ipv6Addr;

use crate::text::escape::{MASK, escaped};
pub(crate) use crate::text::escape::{login, masked};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    pub(crate) user: &'a [u8],
    pub(crate) password: Option<&'a [u8]>,
    /// Empty if there is nothing between `://` and the path.
    pub(crate) hosts: Vec<Host>,
    /// The path, with its leading `/`.
    pub(crate) path: &'a [u8],
    pub(crate) query: &'a [u8],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: Vec<u8>,
    pub(crate) port: Option<u16>,
}

impl<'a> Url<'a> {
    /// Parses the part of a URL after its `://`.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, String> {
        let (rest, query) = before(before(text, b'#').0, b'?');
        let (authority, path) = rest.split_at(before(rest, b'/').0.len());
        let at = authority.iter().rposition(|byte| *byte == b'@');
        let (login, hosts) = at.map_or((&[][..], authority), |at| (&authority[..at], &authority[at + 1..]));
        let (user, password) = halves(login, b':').map_or((login, None), |(user, rest)| (user, Some(rest)));
        let hosts = hosts.split(|byte| *byte == b',').filter(|_| !hosts.is_empty()).map(Host::parse);
        Ok(Self { user, password, hosts: hosts.collect::<Result<_, _>>()?, path, query })
    }

    pub(crate) fn value(&self, name: &str) -> Option<Vec<u8>> {
        let mut pairs = self.query.split(|byte| *byte == b'&').rev().map(|pair| before(pair, b'='));
        pairs.find(|(key, _)| *key == name.as_bytes()).map(|(_, value)| decoded(value))
    }
}

impl Host {
    /// Parses `name`, `name:port`, `[v6]`, `[v6]:port`, or `v6:port`. The last colon precedes the port.
    fn parse(text: &[u8]) -> Result<Self, &'static str> {
        if let Some(rest) = text.strip_prefix(b"[") {
            let (name, after) = halves(rest, b']').ok_or("a `[` without its `]`")?;
            let port = match after {
                _ if !is_v6(name) => return Err("the text in brackets is not an IPv6 address"),
                [] => None,
                [b':', port @ ..] => Some(parse_port(port)?),
                _ => return Err("only `:port` may follow the `]`"),
            };
            return Ok(Self { name: name.to_owned(), port });
        }
        let (name, port) = match text.iter().rposition(|byte| *byte == b':') {
            Some(at) if text[..at].contains(&b':') && !is_v6(&text[..at]) && is_v6(text) => (text, None),
            Some(at) => (&text[..at], Some(parse_port(&text[at + 1..])?)),
            None => (text, None),
        };
        let name = decoded(name);
        let named = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
        if name.is_empty() {
            Err("no host")
        } else if is_v6(&name) || name.starts_with(b"/") && !name.contains(&0) || name.iter().all(named) {
            Ok(Self { name, port })
        } else {
            Err("a host's name is made of letters, digits, `-`, `.` and `_`, and only a port may follow it")
        }
    }
}

fn is_v6(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// Parses a port of digits only, because `str::parse` also accepts a `+`.
pub(crate) fn parse_port(digits: &[u8]) -> Result<u16, &'static str> {
    let number = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit));
    let port = number.and_then(|text| text.parse().ok()).filter(|port| *port != 0);
    port.ok_or("the port is not a number from 1 to 65535")
}

/// The scheme in lower case, without a leading `jdbc:`, and the text after its colon.
pub(crate) fn split_scheme(text: &[u8]) -> Option<(String, &[u8])> {
    let is_jdbc = text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"jdbc:"));
    let (scheme, rest) = halves(if is_jdbc { &text[5..] } else { text }, b':')?;
    let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let is_scheme = !scheme.is_empty() && scheme.iter().all(is_inside);
    is_scheme.then(|| (String::from_utf8_lossy(scheme).to_ascii_lowercase(), rest))
}

pub(crate) fn halves(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|each| *each == byte)?;
    Some((&text[..at], &text[at + 1..]))
}

fn before(text: &[u8], byte: u8) -> (&[u8], &[u8]) {
    halves(text, byte).unwrap_or((text, &[]))
}

/// Decodes percent-encoding; a `%` that does not start a code is kept.
pub(crate) fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let (byte, length) = match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => (u8::try_from(high * 16 + low).unwrap_or_default(), 3),
            (byte, _, _) => (*byte, 1),
        };
        decoded.push(byte);
        at += length;
    }
    decoded
}

/// The query of the URL in a text: what follows its `?`, up to a quote, a blank or the end.
pub(crate) fn query(text: &[u8]) -> Option<std::ops::Range<usize>> {
    let url = text.windows(3).position(|window| window == b"://")?;
    let start = url + text[url..].iter().position(|byte| *byte == b'?')? + 1;
    let length = text[start..].iter().position(|byte| b"\"' \t".contains(byte));
    Some(start..length.map_or(text.len(), |length| start + length))
}

/// A target for messages: masked, and without its query, which may also hold passwords.
pub(crate) fn shown(target: &[u8]) -> Vec<u8> {
    before(&masked(target), b'?').0.to_owned()
}

/// A value for messages: masked, or `***` if it is secret.
pub(crate) fn shown_value(value: &[u8], secret: bool) -> String {
    if secret { MASK.to_owned() } else { escaped(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Url<'_>, String> {
        let (_, rest) = split_scheme(text.as_bytes()).unwrap();
        Url::parse(rest.strip_prefix(b"//").unwrap())
    }

    #[track_caller]
    fn hosts(text: &str) -> Vec<(String, Option<u16>)> {
        let url = parsed(text).unwrap();
        url.hosts.into_iter().map(|host| (String::from_utf8(host.name).unwrap(), host.port)).collect()
    }

    #[track_caller]
    fn rejected(text: &str, why: &str) {
        let error = parsed(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }

    fn one(name: &str, port: impl Into<Option<u16>>) -> Vec<(String, Option<u16>)> {
        vec![(name.to_owned(), port.into())]
    }

    #[test]
    fn a_url_is_split_into_its_parts() {
        let text = "JDBC:PostgreSQL+PsycoPG2://u%40:p:w@db:5432/a/b?host=/run&x=%41&x=b#top";
        assert_eq!(split_scheme(text.as_bytes()).unwrap().0, "postgresql+psycopg2");
        let url = parsed(text).unwrap();
        assert_eq!((url.user, url.password), (&b"u%40"[..], Some(&b"p:w"[..])));
        assert_eq!((url.path, url.query), (&b"/a/b"[..], &b"host=/run&x=%41&x=b"[..]));
        assert_eq!(url.value("x"), Some(b"b".to_vec()));
        assert_eq!(url.value("host"), Some(b"/run".to_vec()));
        assert_eq!(url.value("hos"), None);
        assert_eq!(url.hosts, [Host { name: b"db".to_vec(), port: Some(5432) }]);
    }

    #[test]
    fn the_port_follows_the_last_colon() {
        assert_eq!(hosts("x://db"), one("db", None));
        assert_eq!(hosts("x://db:1"), one("db", 1));
        assert_eq!(hosts("x://::1:6379"), one("::1", 6379));
        assert_eq!(hosts("x://[::1]:6379"), one("::1", 6379));
        assert_eq!(hosts("x://[::1]"), one("::1", None));
        assert_eq!(hosts("x://::1"), one("::1", None));
        assert_eq!(hosts("x://fe80::1:80"), one("fe80::1", 80));
        assert_eq!(hosts("x://1:2:3:4:5:6:7:8"), one("1:2:3:4:5:6:7:8", None));
        assert_eq!(hosts("x://u:p@::1:80/x"), one("::1", 80));
        assert_eq!(hosts("x://%2Frun%2Fpg:1"), one("/run/pg", 1));
        assert_eq!(hosts("x://a:1,b,[::1]:3/d"), [one("a", 1), one("b", None), one("::1", 3)].concat());
        assert_eq!(hosts("x:///d"), []);
        assert_eq!(hosts("x://u@/d"), []);
        rejected("x://a:b:80", "a host's name");
        rejected("x://:80", "no host");
        rejected("x://a,:80", "no host");
        for port in ["", "0", "65536", "99999999999999999999", "+80", "-1", "http"] {
            rejected(&format!("x://db:{port}"), "from 1 to 65535");
            rejected(&format!("x://[::1]:{port}"), "from 1 to 65535");
        }
    }

    #[test]
    fn percent_encoding_is_decoded() {
        assert_eq!(decoded(b"a%20b%2f%2F%00%"), b"a b//\0%");
        assert_eq!(decoded(b"%zz%4"), b"%zz%4");
    }

    #[test]
    fn a_login_is_masked_in_every_notation() {
        for (text, shown) in [
            ("http://u:p@h/x", "http://***@h/x"),
            ("postgres://u:p@ss:w/rd?#%&$x@h/x", "postgres://***@h/x"),
            ("jdbc:mysql://u@h", "jdbc:mysql://***@h"),
            ("x://@h", "x://***@h"),
            ("http://h/x", "http://h/x"),
            ("a@b", "a@b"),
            ("a@b://c", "a@b://c"),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8(masked(text.as_bytes())).unwrap(), shown);
        }
    }

    #[test]
    fn the_query_of_a_target_is_not_shown() {
        assert_eq!(shown(b"postgres://u:p?x@h/d?password=x"), b"postgres://***@h/d");
        assert_eq!(shown(b"http://h/p?a=b@c"), b"http://***@c");
        assert_eq!(shown(b"http://h/p"), b"http://h/p");
    }
}
