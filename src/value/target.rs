//! A target for waits and probes. An application's own URL works unchanged: parts that do not matter for the
//! first packets of its protocol are ignored. Errors never repeat a part of a target, which may be a secret.

use std::path::PathBuf;
use std::time::Duration;

use crate::text::duration::parse_duration;
use crate::text::names::path_of;
use crate::text::url::{Host, Url, decoded, halves, parse_port, split_scheme};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Ready if it exists and was modified at most `max_age` ago.
    File { path: PathBuf, max_age: Option<Duration> },
    /// Ready if the stream socket accepts a connection.
    Unix(PathBuf),
    /// Ready if one of its places is, according to the protocol.
    Server { protocol: Protocol, places: Vec<Place> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// The protocol of a probe, with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    /// The path of the request, with its leading `/` and the query.
    Http(Vec<u8>),
    Postgres {
        user: Vec<u8>,
        database: Vec<u8>,
    },
    Mysql,
    Redis(Option<Password>),
    Amqp,
    Mongodb,
    Kafka,
    /// The service to check; if empty, the whole server.
    Grpc(Vec<u8>),
    /// Whether the URL also has a path, which is never requested.
    Tls {
        has_path: bool,
    },
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password {
    pub(crate) user: Vec<u8>,
    pub(crate) password: Vec<u8>,
}

impl std::fmt::Debug for Password {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

const SCHEMES: &str = "use `tcp://host:port`, `unix:///path`, `http://host:port/path`, `file:///path`, \
    `tls://host:port`, or a URL of postgres, mysql, redis, amqp, mongodb, kafka or grpc";

impl Target {
    pub(crate) fn parse(text: &[u8]) -> Result<Option<Self>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let no_scheme = || format!("no scheme; {SCHEMES}");
        let (scheme, rest) = split_scheme(text).ok_or_else(no_scheme)?;
        // There is nothing to wait for in `sqlite:///path`, `sqlite+aiosqlite:///path` or `jdbc:sqlite:path`.
        if scheme.starts_with("sqlite") {
            return Ok(None);
        }
        let rest = rest.strip_prefix(b"//").ok_or_else(no_scheme)?;
        let target = match scheme.as_str() {
            "unix" => Self::Unix(socket_path(rest)?),
            "file" => parse_file(rest)?,
            _ => parse_server(&scheme, rest)?,
        };
        Ok(Some(target))
    }

    /// Whether the URL has a path, but the probe only sees the TLS handshake.
    pub(crate) fn hides_its_path(&self) -> bool {
        matches!(self, Self::Server { protocol: Protocol::Tls { has_path: true }, .. })
    }

    pub(crate) fn is_postgres_socket(&self) -> bool {
        let Self::Unix(path) = self else { return false };
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".s.PGSQL."))
    }
}

pub(crate) const UNSEEN_PATH: &str =
    "only the TLS handshake is checked and nothing is sent inside it, so the path is never requested";
pub(crate) const UNSEEN_PATH_HINT: &str =
    "use `tls://host:port` for the handshake alone, or an `exec` probe with a program that speaks HTTPS";

pub(crate) const POSTGRES_SOCKET: &str = "the temporary server of the official image's first \
    start answers at this socket, too, before the real one is there";
pub(crate) const POSTGRES_SOCKET_HINT: &str =
    "a URL with the server's host and port, `postgres://host`, waits for the real one";

fn parse_file(rest: &[u8]) -> Result<Target, &'static str> {
    let Some((path, query)) = halves(rest, b'?') else {
        return Ok(Target::File { path: absolute_path(rest)?, max_age: None });
    };
    let age =
        query.strip_prefix(b"max-age=").ok_or("only `max-age=DURATION` may follow the `?` of a file")?;
    let age = std::str::from_utf8(age).ok().and_then(parse_duration).filter(|age| !age.is_zero());
    let max_age = Some(age.ok_or("`max-age` is not a duration like `500ms`, `60s`, `5m` or `1h`")?);
    Ok(Target::File { path: absolute_path(path)?, max_age })
}

fn absolute_path(bytes: &[u8]) -> Result<PathBuf, &'static str> {
    match bytes {
        [b'/', ..] if bytes.contains(&0) => Err("a NUL in the path"),
        [b'/', ..] => Ok(path_of(bytes).to_owned()),
        _ => Err("the path is not absolute; write three slashes, as in `file:///path`"),
    }
}

fn socket_path(bytes: &[u8]) -> Result<PathBuf, &'static str> {
    let path = absolute_path(bytes)?;
    let fits = std::os::unix::net::SocketAddr::from_pathname(&path).is_ok();
    fits.then_some(path).ok_or("the path is longer than a socket's can be")
}

const FINDS_ITSELF: &str = "a scheme with `+srv`, `+sentinel`, `+unix` or `+socket` finds its server in \
    its own way; use a URL that names the host, `unix:///path`, or an `exec` probe";

fn parse_server(scheme: &str, rest: &[u8]) -> Result<Target, String> {
    let unknown = || format!("unknown scheme; {SCHEMES}");
    let (base, driver) = scheme.split_once('+').unwrap_or((scheme, ""));
    let (kind, port) = match base {
        // These schemes have no drivers.
        "http" | "https" if base != scheme => return Err(FINDS_ITSELF.to_owned()),
        "tcp" | "tls" if base != scheme => return Err(unknown()),
        "tcp" | "tls" | "grpc" => (base, None),
        "http" => (base, Some(80)),
        "https" => (base, Some(443)),
        "postgres" | "postgresql" | "pgsql" | "psql" | "postgis" => ("postgres", Some(5432)),
        "mysql" | "mysql2" | "mariadb" | "trilogy" => ("mysql", Some(3306)),
        "redis" | "valkey" => ("redis", Some(6379)),
        "rediss" | "valkeys" => ("tls", Some(6379)),
        "amqp" | "pyamqp" => ("amqp", Some(5672)),
        "amqps" => ("tls", Some(5671)),
        "mongodb" => (base, Some(27017)),
        "kafka" => (base, Some(9092)),
        _ => return Err(unknown()),
    };
    let url = Url::parse(rest)?;
    if ["srv", "sentinel", "unix", "socket"].contains(&driver) {
        return Err(FINDS_ITSELF.to_owned());
    }
    // Databases negotiate TLS after the start of the connection; elsewhere TLS comes first.
    let of_driver = ["ssl", "tls"].contains(&driver);
    let of_query = ["tls", "ssl"].iter().any(|name| url.value(name).is_some_and(|value| value == b"true"));
    let protocol = match kind {
        "tcp" => Protocol::Tcp,
        "http" => http(&url)?,
        "https" => Protocol::Tls { has_path: !url.path.is_empty() || !url.query.is_empty() },
        "postgres" => postgres(&url)?,
        "mysql" => Protocol::Mysql,
        "mongodb" if of_query => Protocol::Tls { has_path: false },
        "redis" if !of_driver => redis(&url)?,
        "amqp" if !of_driver => Protocol::Amqp,
        "mongodb" if !of_driver => Protocol::Mongodb,
        "kafka" if !of_driver => Protocol::Kafka,
        "grpc" if !of_driver => grpc(&url)?,
        _ => Protocol::Tls { has_path: false },
    };
    let places = places(base, &url, &protocol, port)?;
    Ok(Target::Server { protocol, places })
}

fn http(url: &Url<'_>) -> Result<Protocol, &'static str> {
    no_login(url)?;
    let path = if url.path.is_empty() { b"/" } else { url.path };
    let mark: &[u8] = if url.query.is_empty() { b"" } else { b"?" };
    let path = [path, mark, url.query].concat();
    // A blank would end the request target and a line feed the header, so both are rejected.
    let is_safe = path.iter().all(|byte| *byte > b' ' && *byte != 0x7f);
    let wrong = "a blank or a control character in a URL; percent-encode it, as in `%20`";
    is_safe.then_some(Protocol::Http(path)).ok_or(wrong)
}

fn no_login(url: &Url<'_>) -> Result<(), &'static str> {
    let has_none = url.user.is_empty() && url.password.is_none();
    has_none.then_some(()).ok_or("a user and a password are not sent to this kind of target; leave them out")
}

/// The first packet has the user and the database, so the log of a server without passwords looks normal.
fn postgres(url: &Url<'_>) -> Result<Protocol, &'static str> {
    let named = |key: &str, part: &[u8], default: &[u8]| {
        let mut name = url.value(key).unwrap_or_else(|| decoded(part));
        name.retain(|byte| *byte != 0);
        if name.is_empty() { default.to_vec() } else { name }
    };
    let user = named("user", url.user, b"postgres");
    let database = named("dbname", url.path.strip_prefix(b"/").unwrap_or_default(), &user);
    let fits = user.len() <= LONGEST_NAME && database.len() <= LONGEST_NAME;
    let wrong = "the name of the user or of the database is too long";
    fits.then_some(Protocol::Postgres { user, database }).ok_or(wrong)
}

/// The maximum length of a name in a packet; no server has one that long.
const LONGEST_NAME: usize = 1024;

fn redis(url: &Url<'_>) -> Result<Protocol, &'static str> {
    let password =
        url.value("password").or_else(|| url.password.map(decoded)).filter(|password| !password.is_empty());
    let user = url.value("username").unwrap_or_else(|| decoded(url.user));
    if user.len() > LONGEST_NAME || password.as_ref().map_or(0, Vec::len) > 64 * LONGEST_NAME {
        return Err("the user or the password is too long");
    }
    Ok(Protocol::Redis(password.map(|password| Password { user, password })))
}

fn grpc(url: &Url<'_>) -> Result<Protocol, &'static str> {
    no_login(url)?;
    let service = decoded(url.path.strip_prefix(b"/").unwrap_or_default());
    let fits = service.len() <= LONGEST_NAME;
    fits.then_some(Protocol::Grpc(service)).ok_or("the name of the service is too long")
}

fn places(
    scheme: &str, url: &Url<'_>, protocol: &Protocol, default: Option<u16>,
) -> Result<Vec<Place>, String> {
    if *protocol == Protocol::Tcp {
        no_login(url)?;
        if !url.path.is_empty() || !url.query.is_empty() {
            return Err("only a host and a port may follow `tcp://`".to_owned());
        }
    }
    let of_postgres = matches!(protocol, Protocol::Postgres { .. });
    let ports = url.value("port").filter(|_| of_postgres).unwrap_or_default();
    // A list of ports belongs to a list of hosts, so it is not a default.
    let default = parse_port(&ports).ok().or(default);
    let mut hosts = url.hosts.clone();
    if of_postgres && let Some(named) = url.value("host").filter(|host| !host.is_empty()) {
        let mut ports = ports.split(|byte| *byte == b',').map(|port| parse_port(port).ok());
        let named = named.split(|byte| *byte == b',');
        hosts = named.map(|name| Host { name: name.to_vec(), port: ports.next().flatten() }).collect();
    }
    let socket = ["unix_socket", "socket"].iter().find_map(|name| url.value(name));
    if let Some(path) = socket.filter(|path| *protocol == Protocol::Mysql && path.starts_with(b"/")) {
        hosts = vec![Host { name: path, port: None }];
    }
    if hosts.is_empty() {
        let local: &[&str] = if of_postgres {
            // This is the fallback of libpq, as distributions and upstream build it.
            &["/var/run/postgresql", "/tmp", "localhost"]
        } else if matches!(protocol, Protocol::Mysql | Protocol::Redis(_) | Protocol::Amqp) {
            &["localhost"]
        } else {
            return Err("no host".to_owned());
        };
        hosts = local.iter().map(|name| Host { name: name.as_bytes().to_vec(), port: None }).collect();
    }
    let place = |host: Host| {
        let no_port = || format!("no port; use `{scheme}://host:port`");
        let port = host.port.or(default).ok_or_else(no_port)?;
        let mut path = host.name;
        if !path.starts_with(b"/") {
            let host = String::from_utf8(path).map_err(|_| "the host name is not UTF-8")?;
            return Ok(Place::Tcp { host, port });
        }
        if of_postgres {
            // For PostgreSQL the path is the directory of the socket.
            path.extend_from_slice(format!("/.s.PGSQL.{port}").as_bytes());
        } else if !matches!(protocol, Protocol::Mysql | Protocol::Mongodb | Protocol::Redis(_)) {
            return Err("the host is a path".to_owned());
        }
        Ok(Place::Unix(socket_path(&path)?))
    };
    hosts.into_iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[track_caller]
    fn target(text: &str) -> Target {
        Target::parse(text.as_bytes()).unwrap().unwrap()
    }

    #[track_caller]
    fn rejected(text: &[u8], why: &str) {
        let error = Target::parse(text).expect_err("an invalid target");
        assert!(error.contains(why), "{}: {error}", text.escape_ascii());
    }

    fn at(host: &str, port: u16) -> Place {
        Place::Tcp { host: host.to_owned(), port }
    }

    fn server(protocol: Protocol, places: impl IntoIterator<Item = Place>) -> Target {
        Target::Server { protocol, places: places.into_iter().collect() }
    }

    fn tcp(host: &str, port: u16) -> Target {
        server(Protocol::Tcp, [at(host, port)])
    }

    fn http(host: &str, port: u16, path: &[u8]) -> Target {
        server(Protocol::Http(path.to_vec()), [at(host, port)])
    }

    fn postgres(user: &str, database: &str, places: impl IntoIterator<Item = Place>) -> Target {
        server(Protocol::Postgres { user: user.into(), database: database.into() }, places)
    }

    fn redis(user: &str, password: &str, host: &str, port: u16) -> Target {
        let login = Password { user: user.into(), password: password.into() };
        server(Protocol::Redis(Some(login)), [at(host, port)])
    }

    fn file(path: &[u8], max_age: Option<Duration>) -> Target {
        Target::File { path: PathBuf::from(OsStr::from_bytes(path)), max_age }
    }

    fn socket(path: &str) -> Place {
        Place::Unix(PathBuf::from(path))
    }

    #[test]
    fn tcp_targets_are_a_host_and_a_port() {
        assert_eq!(target("tcp://db:5432"), tcp("db", 5432));
        assert_eq!(target("TCP://10.0.0.1:1"), tcp("10.0.0.1", 1));
        assert_eq!(target("tcp://[::1]:65535"), tcp("::1", 65535));
        assert_eq!(target("tcp://::1:6379"), tcp("::1", 6379));
        assert_eq!(target("tcp://my_db.local.:80"), tcp("my_db.local.", 80));
        rejected(b"tcp://db", "no port");
        rejected(b"tcp://[::1]", "no port");
        for port in ["", "0", "65536", "99999999999999999999", "+80", "-1", "http"] {
            rejected(format!("tcp://db:{port}").as_bytes(), "from 1 to 65535");
            rejected(format!("tcp://[::1]:{port}").as_bytes(), "from 1 to 65535");
        }
        for more in ["/", "?x"] {
            rejected(format!("tcp://db:80{more}").as_bytes(), "only a host and a port");
        }
        rejected(b"tcp://", "no host");
        rejected(b"tcp://:80", "no host");
        rejected(b"tcp://[::1", "without its `]`");
        rejected(b"tcp://[]:80", "not an IPv6 address");
        rejected(b"tcp://[127.0.0.1]:80", "not an IPv6 address");
        rejected(b"tcp://[::1]80", "only `:port`");
        rejected(b"tcp://a b:80", "a host's name");
        rejected(b"tcp://\xff:80", "a host's name");
        rejected("tcp://bücher:80".as_bytes(), "a host's name");
        rejected(b"tcp://%2Frun%2Fx:80", "a path");
        rejected(b"tcp://u:p@db:80", "a user");
    }

    #[test]
    fn http_targets_may_have_a_port_a_path_and_a_query() {
        assert_eq!(target("http://web"), http("web", 80, b"/"));
        assert_eq!(target("http://web:8000/"), http("web", 8000, b"/"));
        assert_eq!(target("http://web/a/b?c=d&e#f?g"), http("web", 80, b"/a/b?c=d&e"));
        assert_eq!(target("http://web?x"), http("web", 80, b"/?x"));
        assert_eq!(target("http://web#x"), http("web", 80, b"/"));
        assert_eq!(target("http://[fe80::1]:81/x"), http("fe80::1", 81, b"/x"));
        assert_eq!(target("http://web/@:[x]"), http("web", 80, b"/@:[x]"));
        assert_eq!(Target::parse(b"http://web/\xff"), Ok(Some(http("web", 80, b"/\xff"))));
        rejected(b"http:///x", "no host");
        rejected(b"http://user@web/", "a user");
        rejected(b"http://user:secret@web/", "a user");
        rejected(b"http://web:/x", "from 1 to 65535");
        rejected(b"http://web\\x/", "a host's name");
        for smuggled in ["a b", "a\r\nHost: x", "a\tb", "a\0", "\x7f"] {
            rejected(format!("http://web/{smuggled}").as_bytes(), "control character");
        }
    }

    #[test]
    fn paths_may_contain_any_bytes() {
        let path = PathBuf::from(OsStr::from_bytes(b"/run/\xff %20?x#y.sock"));
        assert_eq!(Target::parse(b"unix:///run/\xff %20?x#y.sock"), Ok(Some(Target::Unix(path))));
        assert_eq!(Target::parse(b"file:///tmp/\xff %20#x"), Ok(Some(file(b"/tmp/\xff %20#x", None))));
        rejected(b"unix://run/x", "not absolute");
        rejected(b"unix://", "not absolute");
        rejected(b"unix://@abstract", "not absolute");
        rejected(b"unix:///a\0b", "NUL");
        rejected(&[b"unix:///", &[b'x'; 107][..]].concat(), "longer");
        rejected(b"file://tmp/x", "not absolute");
        rejected(b"file:///a\0b", "NUL");
    }

    #[test]
    fn max_age_is_a_duration() {
        for (text, age) in [
            ("500ms", Duration::from_millis(500)),
            ("60s", Duration::from_mins(1)),
            ("5m", Duration::from_mins(5)),
            ("1h", Duration::from_hours(1)),
        ] {
            let text = format!("file:///beat?max-age={text}");
            assert_eq!(target(&text), file(b"/beat", Some(age)));
        }
        for wrong in ["", "5", "s", "0s", "-1s", "+1s", "1.5s", "1d", "1S", "1s ", "1s&x", "1 s"] {
            rejected(format!("file:///beat?max-age={wrong}").as_bytes(), "not a duration");
        }
        rejected(b"file:///beat?max-age=18446744073709551615h", "not a duration");
        rejected(b"file:///beat?maxage=1s", "only `max-age=DURATION`");
        rejected(b"file:///beat?", "only `max-age=DURATION`");
    }

    #[test]
    fn a_postgres_url_is_read_like_in_libpq() {
        let app = |place| postgres("app", "shop", [place]);
        for text in [
            "postgres://app:p%40ss@db/shop",
            "postgresql://app@db:5432/shop?sslmode=require&connect_timeout=3",
            "PostgreSQL+psycopg2://app:p:w@db/shop",
            "postgresql+asyncpg://app@db/shop",
            "pgsql://app@db/shop",
            "psql://app@db/shop",
            "postgis://app@db/shop",
            "jdbc:postgresql://db:5432/shop?user=app&password=x",
            "postgres://other@db/other?user=app&dbname=shop",
        ] {
            assert_eq!(target(text), app(at("db", 5432)), "{text}");
        }
        assert_eq!(target("postgres://db"), postgres("postgres", "postgres", [at("db", 5432)]));
        assert_eq!(target("postgres://a%00b%41@db"), postgres("abA", "abA", [at("db", 5432)]));
        assert_eq!(
            target("postgres://app@a:1,b,[::1]:3/shop"),
            postgres("app", "shop", [at("a", 1), at("b", 5432), at("::1", 3)])
        );
        let here = socket("/run/postgresql/.s.PGSQL.5432");
        assert_eq!(target("postgresql://app@/shop?host=/run/postgresql"), app(here.clone()));
        assert_eq!(target("postgresql://app@%2Frun%2Fpostgresql/shop"), app(here));
        assert_eq!(
            target("postgresql://app@/shop?host=/run/pg,db&port=5433,5434"),
            postgres("app", "shop", [socket("/run/pg/.s.PGSQL.5433"), at("db", 5434)])
        );
        assert_eq!(target("postgresql://app@/shop?host=db&port=1"), app(at("db", 1)));
        assert_eq!(
            target("postgresql:///shop"),
            postgres(
                "postgres",
                "shop",
                [
                    socket("/var/run/postgresql/.s.PGSQL.5432"),
                    socket("/tmp/.s.PGSQL.5432"),
                    at("localhost", 5432)
                ]
            )
        );
        rejected(&[b"postgres://", &[b'x'; 1025][..], b"@db"].concat(), "too long");
    }

    #[test]
    fn urls_of_other_servers_have_their_schemes_and_ports() {
        for text in [
            "mysql://u:p@db/x",
            "mysql+pymysql://u:p@db/x",
            "mysql2://db",
            "mariadb://db",
            "trilogy://db:3306/x?ssl=1",
        ] {
            assert_eq!(target(text), server(Protocol::Mysql, [at("db", 3306)]), "{text}");
        }
        assert_eq!(
            target("mysql://u@localhost/x?unix_socket=/run/mysqld/mysqld.sock"),
            server(Protocol::Mysql, [socket("/run/mysqld/mysqld.sock")])
        );
        assert_eq!(target("mysql:///x"), server(Protocol::Mysql, [at("localhost", 3306)]));
        assert_eq!(target("jdbc:mysql://a,b:1/x"), server(Protocol::Mysql, [at("a", 3306), at("b", 1)]));
        for text in ["redis://r", "valkey://r:6379/0", "redis://user@r", "redis://:@r"] {
            assert_eq!(target(text), server(Protocol::Redis(None), [at("r", 6379)]), "{text}");
        }
        assert_eq!(target("redis://:p%3Aw@r:1/0"), redis("", "p:w", "r", 1));
        assert_eq!(target("redis://u:p@[::1]"), redis("u", "p", "::1", 6379));
        assert_eq!(target("redis://r?username=u&password=p"), redis("u", "p", "r", 6379));
        for text in ["amqp://u:p@mq/vhost", "pyamqp://mq"] {
            assert_eq!(target(text), server(Protocol::Amqp, [at("mq", 5672)]), "{text}");
        }
        assert_eq!(
            target("mongodb://u:p@a,b:1/db?replicaSet=rs"),
            server(Protocol::Mongodb, [at("a", 27017), at("b", 1)])
        );
        assert_eq!(target("mongodb://%2Ftmp%2Fm.sock/x"), server(Protocol::Mongodb, [socket("/tmp/m.sock")]));
        assert_eq!(target("kafka://a,b"), server(Protocol::Kafka, [at("a", 9092), at("b", 9092)]));
        assert_eq!(target("grpc://g:1"), server(Protocol::Grpc(Vec::new()), [at("g", 1)]));
        assert_eq!(
            target("grpc://g:1/my.Service"),
            server(Protocol::Grpc(b"my.Service".to_vec()), [at("g", 1)])
        );
        rejected(b"grpc://g", "no port; use `grpc://host:port`");
        rejected(b"kafka:///topic", "no host");
        rejected(b"amqp://%2Frun%2Fx", "a path");
    }

    #[test]
    fn only_the_tls_handshake_is_checked() {
        let tls = |host, port| server(Protocol::Tls { has_path: false }, [at(host, port)]);
        assert_eq!(target("https://web"), tls("web", 443));
        assert_eq!(target("https://u:p@web:8443#x"), tls("web", 8443));
        assert_eq!(target("tls://web:1"), tls("web", 1));
        assert_eq!(target("rediss://:p@r/0"), tls("r", 6379));
        assert_eq!(target("amqps://mq/vhost"), tls("mq", 5671));
        assert_eq!(target("kafka+ssl://k:9096"), tls("k", 9096));
        assert_eq!(target("mongodb://m/x?tls=true"), tls("m", 27017));
        assert_eq!(target("mysql+ssl://db"), server(Protocol::Mysql, [at("db", 3306)]));
        rejected(b"tls://web", "no port; use `tls://host:port`");
        assert!(target("https://web/healthz").hides_its_path());
        assert!(target("https://web/").hides_its_path());
        assert!(target("https://web?x").hides_its_path());
        for seen in ["https://web", "tls://web:1/x", "rediss://r/0", "http://web/x"] {
            assert!(!target(seen).hides_its_path(), "{seen}");
        }
    }

    #[test]
    fn an_empty_target_is_skipped() {
        for text in [
            "",
            "sqlite:///db.sqlite3",
            "sqlite3:/x",
            "SQLite::memory:",
            "sqlite+aiosqlite:///x",
            "jdbc:sqlite:x.db",
        ] {
            assert_eq!(Target::parse(text.as_bytes()), Ok(None), "{text}");
        }
        rejected(b"sqlite", "no scheme");
        rejected(b" ", "no scheme");
    }

    #[test]
    fn urls_that_do_not_name_a_host_need_a_program() {
        for text in [
            "mongodb+srv://u:p@c.example/x",
            "redis+sentinel://a/m",
            "redis+unix:///x",
            "redis+socket:///x",
            "http+unix://%2Frun%2Fx",
        ] {
            rejected(text.as_bytes(), "`exec`");
        }
    }

    #[test]
    fn an_unknown_scheme_lists_the_known_ones() {
        for text in ["db:5432", "://x", "udp://x:1", " tcp://x:1", "exec://x", "jdbc:oracle:thin:@//x:1/y"] {
            for scheme in ["tcp://", "unix://", "http://", "file://", "postgres"] {
                rejected(text.as_bytes(), scheme);
            }
        }
    }

    #[test]
    fn no_error_repeats_the_target() {
        for text in [
            "hunter2",
            "hunter2://x",
            "tcp://hunter2",
            "tcp://x:hunter2",
            "tcp://[hunter2]:1",
            "tcp://u:hunter2@x:1",
            "http://hunter2@x",
            "http://hunter2 /",
            "postgres://u:p/hunter2@db/x",
            "mongodb+srv://u:hunter2@x",
            "redis://:hunter2@x:y",
            "unix://hunter2",
            "file:///x?hunter2",
            "file:///x?max-age=hunter2",
        ] {
            let error = Target::parse(text.as_bytes()).expect_err("an invalid target");
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
        assert!(!format!("{:?}", target("redis://:hunter2@x")).contains("hunter2"));
    }
}
