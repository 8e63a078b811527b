//! Entry points for the fuzz targets in `fuzz/`: parsers of untrusted input. They are not a public interface.

use crate::ready::{amqp, grpc, http, kafka, mongodb, mysql, postgres, redis, tls};
use crate::text::url;
use crate::value::target::Target;
use crate::value::template::Template;
use crate::value::text::{Scope, TextError, expand_text};
use crate::value::variables::Variables;

fn variables(entries: &[(&str, &[u8])]) -> Variables {
    Variables::inherited(entries.iter().map(|(name, value)| [name.as_bytes(), b"=", value].concat()))
}

/// Expands a string of the table. A malformed string is `None`, an unset variable is an error.
#[must_use]
pub fn expand(source: &str, entries: &[(&str, &[u8])]) -> Option<Result<Vec<u8>, String>> {
    let template = Template::parse(source).ok()?;
    assert_eq!(template.source(), source);
    let expanded = template.expand(&variables(entries));
    Some(expanded.map(|expanded| expanded.bytes).map_err(|unset| unset.name))
}

/// Does the same for a template of `render`.
#[must_use]
pub fn render(text: &[u8], entries: &[(&str, &[u8])]) -> Option<Result<Vec<u8>, String>> {
    match expand_text(text, &variables(entries), &Scope::default(), &mut || true) {
        Ok(expanded) => Some(Ok(expanded.bytes)),
        Err(TextError::Unset(mut unset)) => Some(Err(unset.swap_remove(0).1.name)),
        Err(TextError::Malformed(_) | TextError::Interrupted) => None,
    }
}

/// The variable names in a string.
#[must_use]
pub fn names(source: &str) -> Vec<String> {
    let template = Template::parse(source).ok();
    template.iter().flat_map(|template| template.names()).map(str::to_owned).collect()
}

/// A name and its value.
pub type Written = (Vec<u8>, Vec<u8>);

/// Parses the text that a hook wrote to descriptor 3.
///
/// # Errors
/// The text is malformed.
pub fn written_variables(text: &[u8]) -> Result<Vec<Written>, String> {
    crate::setup::dump::written_variables(text)
}

/// The number of protocols whose answers are parsed.
pub const PROTOCOLS: u8 = 9;

/// The result of a protocol's parser for the bytes received so far; `None` means that it needs more. The
/// first packets of MySQL and the frames of gRPC are read one after the other, as on a connection.
#[must_use]
pub fn answer(protocol: u8, bytes: &[u8]) -> Option<String> {
    judged(protocol % PROTOCOLS, bytes).unwrap_or_else(Some)
}

fn judged(protocol: u8, mut bytes: &[u8]) -> Result<Option<String>, String> {
    type Parse<T> = fn(&[u8]) -> Result<Option<(T, usize)>, String>;
    fn take<T>(bytes: &mut &[u8], parse: Parse<T>) -> Result<Option<T>, String> {
        let Some((value, count)) = parse(bytes)? else { return Ok(None) };
        *bytes = &bytes[count..];
        Ok(Some(value))
    }
    let ready = || "ready".to_owned();
    Ok(match protocol {
        0 => http::status(bytes)?.map(|(code, _)| code.to_string()),
        1 => take(&mut bytes, postgres::answer)?
            .and_then(|_| take(&mut bytes, postgres::until_ready).transpose())
            .transpose()?
            .map(|_| ready()),
        2 => take(&mut bytes, redis::line)?.map(|line| {
            format!("{:?}", (redis::judge_auth(&line), redis::judge_ping(&line, line.len() % 2 == 0)))
        }),
        3 => {
            let Some((_, payload)) = take(&mut bytes, mysql::packet)? else { return Ok(None) };
            mysql::greeting(&payload)?;
            let reply = take(&mut bytes, mysql::packet)?;
            reply.map(|(_, payload)| format!("{:?}", mysql::reply(&payload)))
        }
        4 => take(&mut bytes, amqp::start)?.map(|()| ready()),
        5 => take(&mut bytes, kafka::versions)?.map(|()| ready()),
        6 => take(&mut bytes, mongodb::message)?.map(|state| format!("{state:?}")),
        7 => {
            let mut body = Vec::new();
            loop {
                let Some(frame) = take(&mut bytes, grpc::frame)? else { return Ok(None) };
                if let Some(verdict) = grpc::verdict(&frame, &mut body) {
                    return Ok(Some(format!("{verdict:?}")));
                }
            }
        }
        _ => take(&mut bytes, tls::answer)?.map(|()| ready()),
    })
}

/// Whether a text is a target, and how messages show it.
#[must_use]
pub fn target(text: &[u8]) -> (bool, Vec<u8>) {
    (Target::parse(text).is_ok(), url::shown(text))
}
