//! One try of a target, in the process that makes it.
//!
//! It knows how each kind of target is asked. It must not know who asks, how often, or what becomes of the
//! answer. No message holds a part of the target: it may have been expanded from a secret, and whoever asks
//! knows how it is called.
//!
//! A try keeps to its limit but for calls that have none: the system's resolver, and a file on a file
//! system that hangs. So the caller makes a try in a process that it can end.

use std::time::Duration;

use crate::ready::clock::Clock;
use crate::ready::connection::{Address, Connection};
use crate::ready::names::any_address;
use crate::ready::{amqp, file, grpc, http, kafka, mongodb, mysql, postgres, redis, tcp, tls};
use crate::value::target::{Place, Protocol, Target};

/// Tries `target` once, for at most `limit`.
pub(crate) fn attempt(target: &Target, limit: Duration) -> Result<(), String> {
    let clock = Clock::start(limit);
    match target {
        Target::File { path, max_age } => file::look_at(path, *max_age),
        Target::Unix(path) => Connection::open(Address::Unix(path), clock).map(drop),
        Target::Server { protocol, places } => any_place(protocol, places, clock),
    }
}

/// Ready as soon as one place is.
fn any_place(protocol: &Protocol, places: &[Place], clock: Clock) -> Result<(), String> {
    let mut errors = Vec::new();
    for (tried, place) in places.iter().enumerate() {
        let clock = clock.share(places.len() - tried);
        let ready = match place {
            Place::Unix(path) => ask(protocol, Address::Unix(path), clock, "localhost", 0),
            Place::Tcp { host, port } => any_address(host, *port, clock, |address, clock| {
                ask(protocol, Address::Tcp(address), clock, host, *port)
            }),
        };
        match ready {
            Ok(()) => return Ok(()),
            Err(error) => errors.push(error),
        }
    }
    match errors.split_first() {
        Some((first, others)) if others.iter().all(|other| other == first) => Err(first.clone()),
        // By number, because their names are parts of the target.
        Some(_) | None => {
            let errors = errors.iter().enumerate().map(|(at, error)| format!("host {}: {error}", at + 1));
            Err(errors.collect::<Vec<_>>().join(", "))
        }
    }
}

fn ask(protocol: &Protocol, address: Address<'_>, clock: Clock, host: &str, port: u16) -> Result<(), String> {
    let open = || Connection::open(address, clock);
    match protocol {
        Protocol::Tcp => tcp::ask(open()?),
        Protocol::Http(path) => http::ask(open()?, host, port, path),
        Protocol::Postgres { user, database } => postgres::ask(open()?, user, database),
        // It needs two at once.
        Protocol::Mysql => mysql::ask(address, clock),
        Protocol::Redis(login) => redis::ask(open()?, login.as_ref()),
        Protocol::Amqp => amqp::ask(open()?),
        Protocol::Mongodb => mongodb::ask(open()?),
        Protocol::Kafka => kafka::ask(open()?),
        Protocol::Grpc(service) => {
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            grpc::ask(open()?, &format!("{host}:{port}"), service)
        }
        Protocol::Tls { .. } => tls::ask(open()?, host),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "servers that are slow on purpose")]
mod tests;
