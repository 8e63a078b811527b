//! The form of a key's value. A test makes the JSON schema from it; the program itself does not need it.

/// The description of a key, for the schema and the documentation.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// Its name in the table.
    pub name: &'static str,
    /// The form of its value.
    pub form: Form,
    /// A one-line description.
    pub about: &'static str,
    /// The kinds of steps that accept it; empty if all do.
    pub kinds: &'static [&'static str],
}

/// A table with its own keys.
#[derive(Debug, Clone)]
pub struct Noun {
    /// Its name in the schema.
    pub name: &'static str,
    /// The section of preverb.toml(5) that describes its keys.
    pub section: &'static str,
    /// Its keys, in the order of that section.
    pub keys: Vec<Described>,
}

/// The form of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the test that makes the schema explains each one")]
pub enum Form {
    Text,
    Flag,
    OneOf(&'static [&'static str]),
    Name,
    Names,
    NamesByName,
    Variable,
    Strings,
    OneOrMore,
    Conditions,
    Argv,
    Arguments,
    Path,
    Paths,
    Mode,
    Duration,
    Filter,
    Required,
    Env,
    Interpreters,
    Limits,
    Capabilities,
    Probe,
    Probes,
    Signals,
    ExitCodes,
    FlagOr(&'static str),
    Noun(&'static str),
    ByName(&'static str),
    ByVariable(&'static str),
    List(&'static str),
}
