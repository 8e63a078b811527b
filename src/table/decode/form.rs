//! The form of a key's value, for the JSON schema, which is made from this by a test, and not a part of
//! the program.

/// A key as it is described to others than the decoder.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// How it is written.
    pub name: &'static str,
    /// The form of its value.
    pub form: Form,
    /// A line about it.
    pub about: &'static str,
    /// The kinds of steps that may have it; empty where it is for all.
    pub kinds: &'static [&'static str],
}

/// A table with keys of its own.
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
#[expect(missing_docs, reason = "the test that makes the schema says what each is")]
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
