//! Whether something is ready: one try of a target, a file for each protocol, and the loop that waits.

mod amqp;
pub(crate) mod attempt;
mod clock;
mod connection;
mod file;
mod grpc;
mod http;
mod kafka;
mod mongodb;
mod mysql;
pub(crate) mod names;
mod postgres;
mod redis;
mod tcp;
mod tls;
pub(crate) mod wait;
