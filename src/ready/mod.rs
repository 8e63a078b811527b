//! Readiness: one try of a target, with a file for each protocol, and the loop that waits.

pub(crate) mod amqp;
pub(crate) mod attempt;
mod connection;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod kafka;
pub(crate) mod mongodb;
pub(crate) mod mysql;
pub(crate) mod names;
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod tls;
pub(crate) mod wait;
