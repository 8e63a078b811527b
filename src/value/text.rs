//! The text of a `render` template. It need not be UTF-8, and some of its `${...}` may belong to another
//! program. Pure.

use crate::text::names::{is_variable_name, matches, split_name};
use crate::value::template::{Expanded, Fault, State, Template};
use crate::value::variables::Variables;

/// The hint for a `${...}` that must stay unchanged.
pub(crate) const HINT: &str = "a literal `${` is written `$${`; `only` names the variables that the step \
    expands, and leaves all others";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Patterns of names; without them all variables are expanded.
    pub(crate) only: Option<Vec<Vec<u8>>>,
    pub(crate) keep_unset: bool,
}

impl Scope {
    fn has(&self, name: &[u8]) -> bool {
        let Some(only) = &self.only else { return true };
        is_variable_name(name) && only.iter().any(|pattern| matches(pattern, name))
    }
}

/// The line of a malformed `${`, and what is wrong with it.
pub(crate) type Malformed = (usize, String);

#[derive(Debug)]
pub(crate) enum TextError {
    Malformed(Malformed),
    /// The unset variables, each with the line that needs it. At least one.
    Unset(Vec<(usize, Fault)>),
    Interrupted,
}

/// Expands the variables in the scope. The error lists every unset variable once, with the first line that
/// needs it. If there is none, it is a malformed `${` with its line. `continues` is asked after each piece.
pub(crate) fn expand_text(
    text: &[u8], variables: &Variables, scope: &Scope, continues: &mut dyn FnMut() -> bool,
) -> Result<Expanded, TextError> {
    // The variable is only unset, and the text does not demand that it is set.
    let is_plain = |fault: &Fault| fault.state == State::Unset && fault.message.is_none();
    let mut out = Expanded::default();
    let mut unset: Vec<(usize, Fault)> = Vec::new();
    for piece in pieces(text, scope) {
        let (line, source, template) = match piece {
            Ok(piece) => piece,
            Err(malformed) if unset.is_empty() => return Err(TextError::Malformed(malformed)),
            Err(_) => break,
        };
        match template.map_or_else(|| Ok(Expanded::open(source)), |template| template.expand_all(variables)) {
            Ok(piece) => {
                out.bytes.extend_from_slice(&piece.bytes);
                out.secret |= piece.secret;
            }
            Err(faults) if scope.keep_unset && faults.iter().all(is_plain) => {
                out.bytes.extend_from_slice(source);
            }
            Err(faults) => {
                for fault in faults {
                    if unset.iter().all(|(_, earlier)| earlier.name != fault.name) {
                        unset.push((line, fault));
                    }
                }
            }
        }
        if !continues() {
            return Err(TextError::Interrupted);
        }
    }
    if unset.is_empty() { Ok(out) } else { Err(TextError::Unset(unset)) }
}

/// The `${...}` in the scope, each with its line, up to the first malformed one, which is the second value.
pub(crate) fn references(text: &[u8], scope: &Scope) -> (Vec<(usize, Template)>, Option<Malformed>) {
    let mut found = Vec::new();
    for piece in pieces(text, scope) {
        match piece {
            Ok((line, _, Some(template))) if !template.is_literal() => found.push((line, template)),
            Ok(_) => {}
            Err(malformed) => return (found, Some(malformed)),
        }
    }
    (found, None)
}

/// A piece of a text: its line, its bytes, and its template, which is `None` if the piece is not changed.
type Piece<'t> = (usize, &'t [u8], Option<Template>);

fn pieces<'t>(text: &'t [u8], scope: &Scope) -> impl Iterator<Item = Result<Piece<'t>, Malformed>> {
    let (mut rest, mut line) = (text, 1);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // A piece is either literal text or a single `${...}`.
        let is_ours = rest.strip_prefix(b"${").is_none_or(|inside| scope.has(split_name(inside).0));
        let (template, after) = match Template::first(rest) {
            Ok((template, after)) => (Some(template).filter(|_| is_ours), after),
            Err(_) if !is_ours => (None, &rest[2..]),
            Err(reason) => return Some(Err((line, reason))),
        };
        let (at, source) = (line, &rest[..rest.len() - after.len()]);
        line += source.iter().filter(|byte| **byte == b'\n').count();
        rest = after;
        Some(Ok((at, source, template)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::variables::Origin;

    fn variables() -> Variables {
        let mut variables = Variables::default();
        variables.set(b"SET", b"value", Origin::Inherited, false);
        variables.set(b"SETTLED", b"more", Origin::Inherited, false);
        variables
    }

    fn only(patterns: &[&str]) -> Scope {
        let only = patterns.iter().map(|pattern| pattern.as_bytes().to_vec()).collect();
        Scope { only: Some(only), keep_unset: false }
    }

    #[track_caller]
    fn yields(scope: &Scope, text: &str, expected: &str) {
        let expanded =
            expand_text(text.as_bytes(), &variables(), scope, &mut || true).expect("it can be expanded");
        assert_eq!(String::from_utf8_lossy(&expanded.bytes), expected);
    }

    #[test]
    fn references_of_a_text_have_their_lines() {
        let text = b"a $x\n${A} ${B:-\n}\n${C}\xff\n${D";
        let names = |scope: &Scope| {
            let (found, malformed) = references(text, scope);
            let found: Vec<_> =
                found.iter().map(|(line, template)| (*line, template.names()[0].to_owned())).collect();
            (found, malformed.map(|(line, _)| line))
        };
        let found = |found: &[(usize, &str)]| -> Vec<(usize, String)> {
            found.iter().map(|(line, name)| (*line, (*name).to_owned())).collect()
        };
        assert_eq!(names(&Scope::default()), (found(&[(2, "A"), (2, "B"), (4, "C")]), Some(5)));
        assert_eq!(names(&only(&["B"])), (found(&[(2, "B")]), None));
    }

    #[test]
    fn a_mistake_in_a_text_has_its_line() {
        let text = b"one\n\xff ${SET}\nthree ${NONE}\n";
        match expand_text(text, &variables(), &Scope::default(), &mut || true) {
            Err(TextError::Unset(unset)) => {
                let found: Vec<_> = unset.iter().map(|(line, unset)| (*line, &*unset.name)).collect();
                assert_eq!(found, [(3, "NONE")]);
            }
            other => panic!("{other:?}"),
        }
        let good = expand_text(b"\xff${SET}$host $${x}", &variables(), &Scope::default(), &mut || true)
            .expect("all set");
        assert_eq!(good.bytes, b"\xffvalue$host ${x}");
    }

    #[test]
    fn names_that_only_does_not_match_are_left_unchanged() {
        yields(
            &only(&["SET"]),
            "${SET} ${SETTLED} ${none} ${none:-${SET}}",
            "value ${SETTLED} ${none} ${none:-${SET}}",
        );
        yields(&only(&["SET*", "x"]), "${SET}${SETTLED}${x:-d}$${SET}", "valuemored${SET}");
        // Text that is not a valid variable name is also left unchanged.
        yields(&only(&["*"]), "${1} ${SET} ${} ${", "${1} value ${} ${");
        yields(&only(&["SET"]), "${other ${SET} ${other@words}", "${other value ${other@words}");
        let ours = expand_text(b"\n${SET", &variables(), &only(&["SET"]), &mut || true);
        assert!(matches!(ours, Err(TextError::Malformed((2, _)))), "{ours:?}");
        let unset = expand_text(b"${NONE}", &variables(), &only(&["N*"]), &mut || true);
        assert!(matches!(unset, Err(TextError::Unset(_))), "{unset:?}");
    }

    #[test]
    fn unset_variables_can_be_left_unless_the_text_demands_them() {
        let scope = Scope { only: None, keep_unset: true };
        yields(
            &scope,
            "${SET} ${NONE} ${NONE:-d} ${NONE+x} ${NONE:-${OTHER}} ${NONE@url}",
            "value ${NONE} d  ${NONE:-${OTHER}} ${NONE@url}",
        );
        let demanded = expand_text(b"${NONE?give it}", &variables(), &scope, &mut || true);
        assert!(matches!(demanded, Err(TextError::Unset(_))), "{demanded:?}");
    }
}
