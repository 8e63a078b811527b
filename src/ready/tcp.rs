//! TCP: ready when it accepts a connection and keeps it.
//!
//! docker-proxy, and a balancer without a backend, accept on behalf of a server that is not there, and
//! close or reset the connection as soon as they notice.

use std::time::Duration;

use crate::ready::connection::Connection;

/// How long the other side is watched.
const WATCHED: Duration = Duration::from_millis(20);

pub(crate) fn ask(mut connection: Connection) -> Result<(), String> {
    connection.stays_open(WATCHED)
}
