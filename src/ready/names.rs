//! Finds the addresses of a name, so that a broken name server cannot hide a live server.
//!
//! If the system's resolver is asked for IPv4 and IPv6 at once, it fails as a whole when a name server fails
//! for one of them (musl does, and many name servers fail for AAAA), or for the first name of a search list.
//! So each family is asked for separately, with and without the search list. Each query has its own process,
//! which can be ended while the resolver blocks.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use dns_lookup::{AddrFamily, AddrInfoHints, SockType, getaddrinfo};

use crate::ready::connection::{Clock, rounded};
use crate::sys::{Carries, Children, Received, Request, Running, Signals, Spawn, read, start_mode};
use crate::value::Variables;

/// The time that an answer waits for the others, which usually arrive shortly after (RFC 8305, section 3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// The maximum number of addresses in a message about different errors.
const NAMED: usize = 3;

/// The part of a try's time for the search list, if the absolute name already has addresses: musl waits just
/// as long for a name server that refuses as for a silent one.
const SEARCH_SHARE: u32 = 5;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Searched,
    /// The name without the search list.
    Absolute,
}

/// Tries the addresses of a host until one is ready. Each has an equal share of the remaining time: one that
/// drops packets uses up its own share, and one that refuses leaves its share to the next ones.
pub(crate) fn any_address(
    host: &str, port: u16, clock: Clock, one: &dyn Fn(SocketAddr, Clock) -> Result<(), String>,
) -> Result<(), String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return one(SocketAddr::new(address, port), clock);
    }
    let mut errors = Vec::new();
    let mut lookup = Lookup::start(host)?;
    while let Some(addresses) = lookup.next(clock, !errors.is_empty()) {
        for (before, address) in addresses.iter().enumerate() {
            let parts = addresses.len() - before + usize::from(!lookup.open.is_empty());
            let ready = one(SocketAddr::new(*address, port), clock.share(parts));
            let Err(error) = ready else { return Ok(()) };
            errors.push((address.to_string(), error));
        }
    }
    Err(if !errors.is_empty() {
        compact(&errors, NAMED)
    } else if lookup.open.is_empty() {
        "name does not resolve".to_owned()
    } else {
        format!("name did not resolve within {}", rounded(clock.limit))
    })
}

struct Lookup {
    children: Children,
    open: Vec<(Asked, Running)>,
    /// Addresses from the lookup with the search list, if there is one; `None` before the first.
    found: Option<Vec<IpAddr>>,
    found_at: Instant,
    /// Addresses of the absolute name, which may be another host's. They are used only without the others.
    spare: Vec<IpAddr>,
    /// The names that the search list makes of this one. They are asked for by themselves if the resolver
    /// gets stuck at the first one: musl waits for a name server that answers SERVFAIL.
    list: Vec<String>,
}

impl Lookup {
    fn start(host: &str) -> Result<Self, String> {
        let children = Children::new(Signals::of(&[]).map_err(|failure| failure.sentence())?);
        let ((has_list, list), open, spare) = (search_list(host), Vec::new(), Vec::new());
        let mut lookup = Self { children, open, found: None, found_at: Instant::now(), spare, list };
        lookup.ask(Asked::Searched, host)?;
        if has_list && !host.ends_with('.') {
            lookup.ask(Asked::Absolute, &format!("{host}."))?;
        }
        Ok(lookup)
    }

    fn ask(&mut self, asked: Asked, name: &str) -> Result<(), String> {
        let (program, variables) = (read::program(), &Variables::default());
        for family in ["4", "6"] {
            let argv = &[family.into(), name.into()];
            let request = Request { identity: None, file: None, argv, variables, limit: Duration::ZERO };
            let quiet = |spawn: &mut Spawn<'_>| spawn.terms.quiet = true;
            let running = start_mode(&mut self.children, &program, "--preverb-lookup", &request, &quiet);
            self.open.push((asked, running.map_err(|failure| failure.sentence())?));
        }
        Ok(())
    }

    /// Takes the answers that arrive until then, and returns whether there is one.
    fn has_answer(&mut self, until: Option<Instant>) -> bool {
        let mut running: Vec<&mut Running> = self.open.iter_mut().map(|(_, running)| running).collect();
        // A request to stop ends this whole process.
        let _ = self.children.pump(&mut running, until);
        let before = self.open.len();
        for (asked, running) in self.open.extract_if(.., |(_, running)| running.ended().is_some()) {
            let lines = std::str::from_utf8(running.text(Carries::Output)).unwrap_or_default().lines();
            let addresses: Vec<IpAddr> = lines.filter_map(|line| line.parse().ok()).collect();
            if asked == Asked::Absolute {
                self.spare.extend(addresses);
            } else if !addresses.is_empty() {
                self.found.get_or_insert_default().extend(addresses);
                self.found_at = Instant::now();
            }
        }
        self.open.len() < before
    }

    /// The next addresses to try; `None` if no more will arrive in time. After others have `failed` it waits
    /// for a shorter time, because the next try will look up the name again.
    fn next(&mut self, clock: Clock, failed: bool) -> Option<Vec<IpAddr>> {
        let begun = Instant::now();
        let patience = if failed { clock.limit / (2 * SEARCH_SHARE) } else { clock.limit };
        while !self.open.is_empty() {
            let is_searching = self.open.iter().any(|(asked, _)| *asked == Asked::Searched);
            let has_found = self.found.as_ref().is_some_and(|found| !found.is_empty());
            let has_any = has_found || !self.spare.is_empty();
            let wait = if has_any && !is_searching {
                Duration::ZERO
            } else if has_found {
                RESOLUTION_DELAY.saturating_sub(self.found_at.elapsed())
            } else if has_any || is_searching && !self.list.is_empty() {
                (clock.limit / SEARCH_SHARE).saturating_sub(clock.begun.elapsed())
            } else {
                patience.saturating_sub(begun.elapsed())
            };
            // The parent ends this try slightly after its limit; the lookups have to end before that.
            let rest = clock.rest().saturating_sub(clock.limit / 10);
            if !self.has_answer(Some(Instant::now() + wait.min(rest))) {
                let list = std::mem::take(&mut self.list);
                let is_stuck = is_searching && !has_any;
                let ask = |name: &String| self.ask(Asked::Searched, name);
                if !is_stuck || list.is_empty() || list.iter().try_for_each(ask).is_err() {
                    break;
                }
            }
        }
        let next = std::mem::take(self.found.as_mut().unwrap_or(&mut self.spare));
        Some(next).filter(|next| !next.is_empty())
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.open.iter_mut().for_each(|(_, running)| running.kill(None));
        while !self.open.is_empty() {
            self.has_answer(None);
        }
    }
}

/// `--preverb-lookup`: asks the system's resolver for one name in one family, `4` or `6`, and writes the
/// addresses to standard error, for the parent process.
pub(crate) fn lookup() -> u8 {
    // If the parent process is killed, nothing else would end a hanging lookup.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let request = Received::take();
    let Some([family, name]) = request.as_ref().map(|request| &request.argv[..]) else { return 1 };
    let name = name.to_string_lossy();
    let family = if family == "6" { AddrFamily::Inet6 } else { AddrFamily::Inet };
    let (address, socktype) = (family.into(), SockType::Stream.into());
    let hints = AddrInfoHints { address, socktype, ..AddrInfoHints::default() };
    let found = getaddrinfo(Some(&name), None, Some(hints)).into_iter().flatten().flatten();
    let lines: Vec<String> = found.map(|entry| entry.sockaddr.ip().to_string()).collect();
    let _ = std::io::stderr().write_all(lines.join("\n").as_bytes());
    0
}

/// Whether there is a search list (resolv.conf(5)), and the names that it makes of this one.
fn search_list(host: &str) -> (bool, Vec<String>) {
    let text = std::fs::read("/etc/resolv.conf").unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let (mut domains, mut ndots) = (Vec::new(), 1);
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("search" | "domain") => domains = words.collect(),
            Some("options") => {
                ndots = words.find_map(|word| word.strip_prefix("ndots:")?.parse().ok()).unwrap_or(ndots);
            }
            _ => {}
        }
    }
    let is_searched = host.matches('.').count() < ndots;
    let names = domains.iter().map(|domain| format!("{host}.{}.", domain.trim_end_matches('.')));
    (!domains.is_empty(), names.filter(|_| is_searched).collect())
}

/// One error if all are the same, otherwise at most `most`, each with its subject.
pub(super) fn compact(errors: &[(String, String)], most: usize) -> String {
    let first = errors.first().map(|(_, error)| error.as_str()).unwrap_or_default();
    if errors.iter().all(|(_, error)| error == first) {
        return first.to_owned();
    }
    let named = errors.iter().take(most).map(|(of, error)| format!("{of}: {error}"));
    let more = errors.len().checked_sub(most).filter(|more| *more > 0);
    named.chain(more.map(|more| format!("and {more} more"))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_several_addresses_fit_on_one_line() {
        let v4 = |last: u8| format!("10.0.0.{last}");
        let refused = || "connection refused".to_owned();
        let late = || "no answer within 1 s".to_owned();
        assert_eq!(compact(&[(v4(1), refused()), (v4(2), refused())], NAMED), "connection refused");
        let v6 = "::1".to_owned();
        assert_eq!(
            compact(&[(v6, refused()), (v4(2), late())], NAMED),
            "::1: connection refused, 10.0.0.2: no answer within 1 s"
        );
        let many = [1, 2, 3, 4, 5].map(|last| (v4(last), if last == 1 { late() } else { refused() }));
        assert_eq!(
            compact(&many, NAMED),
            "10.0.0.1: no answer within 1 s, 10.0.0.2: connection refused, \
             10.0.0.3: connection refused, and 2 more"
        );
    }
}
