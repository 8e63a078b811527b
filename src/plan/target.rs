//! The argv of the target, which is expanded only after setup. Pure.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use crate::text::{Failure, Kind, Result};
use crate::value::{Element, Expanded, Facts, Fault, Template, Variables, words};

pub(crate) struct Target {
    pub(crate) exec: Vec<Element>,
    /// The default arguments, unless the caller has given some.
    pub(crate) args: Vec<Element>,
    /// The caller's arguments, byte for byte.
    pub(crate) given: Vec<OsString>,
    pub(crate) after: Vec<Element>,
}

impl Target {
    pub(crate) fn argv(&self, facts: Facts<'_>) -> Result<Vec<Expanded>> {
        let mut argv = expand_argv(&self.exec, facts, "`exec`")?;
        argv.extend(self.arguments(facts).map_err(|(fault, what)| fault_failure(fault, what))?);
        Ok(argv)
    }

    pub(crate) fn arguments(
        &self, facts: Facts<'_>,
    ) -> std::result::Result<Vec<Expanded>, (Fault, &'static str)> {
        let expand = |elements: &[Element], what| {
            words::expand(elements, facts, &|| Ok(Vec::new())).map_err(|fault| (fault, what))
        };
        let mut arguments = expand(&self.args, "`args`")?;
        arguments.extend(self.given.iter().map(|word| Expanded::open(word.as_bytes())));
        arguments.extend(expand(&self.after, "`args-after`")?);
        Ok(arguments)
    }
}

pub(crate) fn expand_argv(elements: &[Element], facts: Facts<'_>, what: &str) -> Result<Vec<Expanded>> {
    let argv = words::expand(elements, facts, &|| Ok(Vec::new()));
    let argv = argv.map_err(|fault| fault_failure(fault, what))?;
    if elements.is_empty() { Ok(argv) } else { with_program(argv, what) }
}

/// An argv, unless its program is empty or missing (65): its elements have expanded to nothing.
pub(crate) fn with_program(argv: Vec<Expanded>, what: &str) -> Result<Vec<Expanded>> {
    if argv.first().is_some_and(|program| !program.bytes.is_empty()) {
        return Ok(argv);
    }
    Err(Failure::new(Kind::Variable, format!("the program of {what} expands to nothing")))
}

pub(crate) fn expand(template: &Template, variables: &Variables, what: &str) -> Result<Expanded> {
    template.expand(variables).map_err(|fault| fault_failure(fault, what))
}

pub(crate) fn fault_failure(fault: Fault, what: &str) -> Failure {
    Failure::new(Kind::Variable, fault.needed_by(what)).field("variable", fault.name)
}
