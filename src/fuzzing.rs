//! What the fuzz targets in `fuzz/` reach of the insides: parsers that read what others wrote. No part of any
//! interface.

use crate::ready::{amqp, grpc, http, kafka, mongodb, mysql, postgres, redis, tls};
use crate::text::url;
use crate::value::target::Target;
use crate::value::template::Template;
use crate::value::text::{Scope, TextError, expand_text};
use crate::value::variables::{Origin, Variables};

fn variables(entries: &[(&str, &[u8])]) -> Variables {
    let mut variables = Variables::default();
    for (name, value) in entries {
        variables.set(name.as_bytes(), value, Origin::Inherited, false);
    }
    variables
}

/// A string of the table, expanded; a malformed one is `None`, an unset variable an error.
#[must_use]
pub fn expand(source: &str, entries: &[(&str, &[u8])]) -> Option<Result<Vec<u8>, String>> {
    let template = Template::parse(source).ok()?;
    assert_eq!(template.source(), source);
    let expanded = template.expand(&variables(entries));
    Some(expanded.map(|expanded| expanded.bytes).map_err(|unset| unset.name))
}

/// The same for a text of `render`.
#[must_use]
pub fn render(text: &[u8], entries: &[(&str, &[u8])]) -> Option<Result<Vec<u8>, String>> {
    match expand_text(text, &variables(entries), &Scope::default()) {
        Ok(expanded) => Some(Ok(expanded.bytes)),
        Err(TextError::Unset(mut unset)) => Some(Err(unset.swap_remove(0).1.name)),
        Err(TextError::Malformed(_)) => None,
    }
}

/// The names that a string mentions.
#[must_use]
pub fn names(source: &str) -> Vec<String> {
    let template = Template::parse(source).ok();
    template.iter().flat_map(|template| template.names()).map(str::to_owned).collect()
}

/// A name and its value.
pub type Written = (Vec<u8>, Vec<u8>);

/// What a hook wrote to descriptor 3.
///
/// # Errors
/// What else it wrote.
pub fn written_variables(text: &[u8]) -> Result<Vec<Written>, String> {
    crate::setup::dump::written_variables(text)
}

/// The protocols whose answers are read.
pub const PROTOCOLS: u8 = 9;

/// What a server's bytes so far mean to the parser of a protocol: nothing yet, or this. The first packets of
/// MySQL and the frames of gRPC are read one after the other, as a connection does.
#[must_use]
pub fn answer(protocol: u8, bytes: &[u8]) -> Option<String> {
    let said = |said: &dyn std::fmt::Debug| Some(format!("{said:?}"));
    let whole = |parsed: Result<Option<((), usize)>, String>| match parsed {
        Ok(None) => None,
        Ok(Some(((), count))) => {
            assert!(count <= bytes.len());
            Some("ready".to_owned())
        }
        Err(reason) => Some(reason),
    };
    match protocol % PROTOCOLS {
        0 => match http::status(bytes) {
            Ok(None) => None,
            Ok(Some((code, _))) => said(&code),
            Err(reason) => Some(reason),
        },
        1 => whole(postgres::answer(bytes).map(|login| login.map(|(_, count)| ((), count)))),
        2 => match redis::line(bytes) {
            Ok(None) => None,
            Ok(Some((line, count))) => {
                assert!(count <= bytes.len());
                said(&(redis::judge_auth(&line), redis::judge_ping(&line, line.len() % 2 == 0)))
            }
            Err(reason) => Some(reason),
        },
        3 => {
            let (greeting, count) = match mysql::packet(bytes) {
                Ok(None) => return None,
                Ok(Some((packet, count))) => (mysql::greeting(&packet.payload), count),
                Err(reason) => return Some(reason),
            };
            if let Err(reason) = greeting {
                return Some(reason);
            }
            match mysql::packet(&bytes[count..]) {
                Ok(None) => None,
                Ok(Some((packet, more))) => {
                    assert!(count + more <= bytes.len());
                    said(&mysql::reply(&packet.payload))
                }
                Err(reason) => Some(reason),
            }
        }
        4 => whole(amqp::start(bytes)),
        5 => whole(kafka::versions(bytes)),
        6 => match mongodb::message(bytes) {
            Ok(None) => None,
            Ok(Some((state, count))) => {
                assert!(count <= bytes.len());
                said(&state)
            }
            Err(reason) => Some(reason),
        },
        7 => {
            let (mut rest, mut body) = (bytes, Vec::new());
            loop {
                match grpc::frame(rest) {
                    Ok(None) => return None,
                    Ok(Some((frame, count))) => {
                        if let Some(verdict) = grpc::verdict(&frame, &mut body) {
                            return said(&verdict);
                        }
                        rest = &rest[count..];
                    }
                    Err(reason) => return Some(reason),
                }
            }
        }
        _ => whole(tls::answer(bytes)),
    }
}

/// Whether a text is a target, and how it is shown.
#[must_use]
pub fn target(text: &[u8]) -> (bool, Vec<u8>) {
    (Target::parse(text).is_ok(), url::shown(text))
}
