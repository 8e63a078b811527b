//! What the fuzz targets in `fuzz/` reach of the insides: parsers that read what others wrote. No part of any interface.

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
