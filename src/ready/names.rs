//! The addresses of a name, found so that no name server can hide a server that is there.
//!
//! The system's resolver, asked for IPv4 and IPv6 at once, fails as a whole where a name server fails at one of them
//! (musl does, and many name servers fail at AAAA), and where it fails for the first name of a search list. So each
//! kind is asked for by itself, and the name as it stands meanwhile.

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use dns_lookup::{AddrFamily, AddrInfoHints, SockType, getaddrinfo};

use crate::ready::clock::{Clock, rounded};

/// How long an answer waits for the other ones: most often they are on their way (RFC 8305, section 3).
const TOGETHER: Duration = Duration::from_millis(50);

/// What was asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The name, with the search list.
    Searched,
    /// The name as it stands.
    Absolute,
}

/// Tries the addresses of a host until one is ready. Each has an equal share of the time that is left: one that
/// swallows packets costs its own share, and one that refuses leaves its share to those after it.
pub(crate) fn any_address(
    host: &str,
    port: u16,
    clock: Clock,
    one: impl Fn(SocketAddr, Clock) -> Result<(), String>,
) -> Result<(), String> {
    let mut errors: Vec<(IpAddr, String)> = Vec::new();
    if let Ok(address) = host.parse::<IpAddr>() {
        return one(SocketAddr::new(address, port), clock);
    }
    let mut lookup = Lookup::start(host);
    while let Some(addresses) = lookup.next(clock, !errors.is_empty()) {
        for (tried, address) in addresses.iter().enumerate() {
            let parts = addresses.len() - tried + usize::from(lookup.is_open());
            match one(SocketAddr::new(*address, port), clock.share(parts)) {
                Ok(()) => return Ok(()),
                Err(error) => errors.push((*address, error)),
            }
        }
    }
    if !errors.is_empty() {
        return Err(compact(&errors));
    }
    Err(match clock.left() {
        Ok(_) => "name does not resolve".to_owned(),
        Err(_) => format!("name did not resolve within {}", rounded(clock.limit())),
    })
}

/// A name that is being looked up.
struct Lookup {
    answers: Receiver<(Asked, Vec<IpAddr>)>,
    open: Vec<Asked>,
    /// Addresses that were found by the search list, or without one.
    found: Vec<IpAddr>,
    /// Those of the name as it stands: they count where the others are missing.
    spare: Vec<IpAddr>,
}

impl Lookup {
    #[expect(
        clippy::disallowed_methods,
        reason = "a lookup cannot be given a time limit, and two in one process have no other way to be under way at \
                  once; the process is a single try, which starts no child and ends all of them when it ends"
    )]
    fn start(host: &str) -> Self {
        let (sender, answers) = channel();
        let mut open = Vec::new();
        let absolute = (!host.ends_with('.') && has_search_list()).then_some(Asked::Absolute);
        for asked in [Asked::Searched].into_iter().chain(absolute) {
            for family in [AddrFamily::Inet, AddrFamily::Inet6] {
                let sender = sender.clone();
                let dot = if asked == Asked::Absolute { "." } else { "" };
                let name = format!("{host}{dot}");
                let thread = std::thread::Builder::new();
                let spawned = thread.spawn(move || sender.send((asked, addresses(&name, family))));
                if spawned.is_ok() {
                    open.push(asked);
                }
            }
        }
        Self { answers, open, found: Vec::new(), spare: Vec::new() }
    }

    fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The next addresses to try, and none when there will be no more in time. After others have `failed` there is
    /// less patience, because the next try will ask again.
    fn next(&mut self, clock: Clock, failed: bool) -> Option<Vec<IpAddr>> {
        let begun = Instant::now();
        let patience = if failed { clock.limit() / 10 } else { clock.rest() };
        loop {
            let searching = self.open.contains(&Asked::Searched);
            let wait = match (self.found.is_empty(), self.spare.is_empty()) {
                (false, _) if searching => TOGETHER,
                (true, false) if searching => clock.rest().saturating_sub(clock.limit() / 2),
                (false, _) | (true, false) => Duration::ZERO,
                (true, true) => patience,
            };
            let wait = wait.min(clock.rest()).saturating_sub(begun.elapsed());
            let answer =
                if self.is_open() && !wait.is_zero() { self.answers.recv_timeout(wait).ok() } else { None };
            let Some((asked, addresses)) = answer else { break };
            if let Some(at) = self.open.iter().position(|each| *each == asked) {
                self.open.swap_remove(at);
            }
            match asked {
                Asked::Searched => self.found.extend(addresses),
                Asked::Absolute => self.spare.extend(addresses),
            }
        }
        let next = if self.found.is_empty() { &mut self.spare } else { &mut self.found };
        Some(std::mem::take(next)).filter(|next| !next.is_empty())
    }
}

/// One question to the system's resolver; it may take long.
fn addresses(name: &str, family: AddrFamily) -> Vec<IpAddr> {
    let hints = AddrInfoHints {
        address: family.into(),
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    };
    let found = getaddrinfo(Some(name), None, Some(hints)).into_iter().flatten();
    found.filter_map(|entry| Some(entry.ok()?.sockaddr.ip())).collect()
}

/// Whether a name may be searched for: without a search list the two questions are the same.
fn has_search_list() -> bool {
    let text = std::fs::read("/etc/resolv.conf").unwrap_or_default();
    text.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"search") || line.starts_with(b"domain"))
}

/// How many addresses are named, when they fail for different reasons.
const NAMED: usize = 3;

fn compact(errors: &[(IpAddr, String)]) -> String {
    let Some((_, first)) = errors.first() else { return String::new() };
    if errors.iter().all(|(_, error)| error == first) {
        return first.clone();
    }
    let mut named: Vec<String> =
        errors.iter().take(NAMED).map(|(address, error)| format!("{address}: {error}")).collect();
    if errors.len() > NAMED {
        named.push(format!("and {} more", errors.len() - NAMED));
    }
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_several_addresses_are_one_line() {
        let v4 = |last| IpAddr::from([10, 0, 0, last]);
        let refused = || "connection refused".to_owned();
        let late = || "no answer within 1 s".to_owned();
        assert_eq!(compact(&[(v4(1), refused()), (v4(2), refused())]), "connection refused");
        let v6 = IpAddr::from(std::net::Ipv6Addr::LOCALHOST);
        assert_eq!(
            compact(&[(v6, refused()), (v4(2), late())]),
            "::1: connection refused, 10.0.0.2: no answer within 1 s"
        );
        let many = [1, 2, 3, 4, 5].map(|last| (v4(last), if last == 1 { late() } else { refused() }));
        assert_eq!(
            compact(&many),
            "10.0.0.1: no answer within 1 s, 10.0.0.2: connection refused, \
             10.0.0.3: connection refused, and 2 more"
        );
    }
}
