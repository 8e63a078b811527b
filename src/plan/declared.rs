//! Declared variables: the source of each value, and whether the value is valid. Pure.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;

use crate::plan::layers::Building;
use crate::plan::value_file::ValueFile;
use crate::table::{Declaration, Required};
use crate::text::{Failure, Kind, escaped, quoted, shown_value};
use crate::value::{Facts, Origin, Variables};

#[derive(Clone, Copy)]
pub(super) struct Rules<'r> {
    pub(super) opaque: &'r BTreeSet<String>,
    pub(super) secrets: &'r BTreeSet<String>,
    pub(super) require: bool,
}

impl Building {
    /// Sets declared variables from their files and their old names, then from the defaults. Every layer can
    /// override these values.
    pub(super) fn declared(&mut self, declarations: &[Declaration], files: &[ValueFile]) {
        for declaration in declarations {
            let name = declaration.name.as_str();
            let secret = declaration.is_secret();
            if secret {
                declaration.names().for_each(|name| self.variables.mark_secret(name.as_bytes()));
            }
            let is_given = |name: &str| self.variables.non_empty(name.as_bytes()).is_some();
            if let Some(file) = files.iter().find(|file| file.name == name) {
                self.take_from_file(declaration, file);
            } else if let Some(given) = declaration.names().find(|name| is_given(name))
                && given != name
                && let Some(found) = self.variables.get(given.as_bytes())
            {
                let value = found.value.to_vec();
                self.renamed(given, name);
                self.variables.set(name.as_bytes(), value, Origin::Alias(given.to_owned()), secret);
            }
            if let Some(default) = &declaration.default
                && self.variables.non_empty(name.as_bytes()).is_none()
                && !self.missing.contains(name)
            {
                self.variables.set(name.as_bytes(), default, Origin::Default, secret);
            }
        }
    }

    fn take_from_file(&mut self, declaration: &Declaration, file: &ValueFile) {
        let name = declaration.name.as_str();
        let path = file.path.as_os_str().as_bytes();
        let both =
            file.named_by.as_deref().filter(|name| self.variables.non_empty(name.as_bytes()).is_some());
        match (&file.content, both) {
            (_, Some(both)) => {
                let sentence = format!("variables `{both}` and `{both}_FILE` are both set: set only one");
                self.fail(name, failure(declaration, sentence));
            }
            (Ok(value), None) => {
                if let Some(named_by) = file.named_by.as_ref().filter(|named_by| *named_by != name) {
                    self.renamed(&format!("{named_by}_FILE"), &format!("{name}_FILE"));
                }
                let origin = Origin::File { path: path.to_vec(), named_by: file.named_by.clone() };
                self.variables.set(name.as_bytes(), value, origin, declaration.is_secret());
            }
            (Err(reason), None) => {
                let path = quoted(path);
                let sentence = format!("cannot read the value of variable `{name}` from {path}: {reason}");
                self.fail(name, failure(declaration, sentence));
            }
        }
        // A variable with an old name is left as it was given.
        if file.named_by.as_deref() == Some(name) {
            self.variables.unset(format!("{name}_FILE").as_bytes());
        }
    }

    fn renamed(&mut self, old: &str, name: &str) {
        self.warnings.push(format!("variable `{old}` is an old name of `{name}`, and its value is used"));
    }

    pub(super) fn check(&mut self, declarations: &[Declaration], rules: Rules<'_>) {
        let mut reported: BTreeSet<[&str; 2]> = BTreeSet::new();
        for declaration in declarations {
            let name = declaration.name.as_str();
            if declaration.late != Some(true)
                && !self.missing.contains(name)
                && let Some(failure) = judge(declaration, &self.variables, rules)
            {
                self.fail(name, failure);
            }
            let is_given = |name: &str| self.variables.non_empty(name.as_bytes()).is_some();
            let conflicts = declaration.conflicts.iter().flatten().map(String::as_str);
            let conflicts: Vec<&str> =
                conflicts.filter(|other| *other != name && is_given(name) && is_given(other)).collect();
            for other in conflicts {
                // Both variables may declare the conflict.
                let pair = if name < other { [name, other] } else { [other, name] };
                if reported.insert(pair) {
                    let sentence =
                        format!("variables `{name}` and `{other}` are both set, but only one of them may be");
                    self.fail(name, failure(declaration, sentence));
                }
            }
        }
    }
}

fn failure(declaration: &Declaration, sentence: String) -> Failure {
    let failure = Failure::new(Kind::Variable, sentence).field("variable", &declaration.name);
    match &declaration.about {
        Some(about) => failure.hint(escaped(about.as_bytes())),
        None => failure,
    }
}

/// The error in the value of a declared variable, if any: it is missing or not valid.
pub(super) fn judge(declaration: &Declaration, variables: &Variables, rules: Rules<'_>) -> Option<Failure> {
    let name = declaration.name.as_str();
    let found = variables.get(name.as_bytes());
    let Some(found) = found.filter(|found| !found.value.is_empty()) else {
        let why = required(declaration, variables, rules)?;
        let state = match found.map(|found| found.origin) {
            None => "and is not set".to_owned(),
            Some(Origin::File { path, .. }) => format!("and the file {} is empty", quoted(path)),
            Some(_) => "and is empty".to_owned(),
        };
        let remedy = match (declaration.is_secret(), declaration.file == Some(true)) {
            (true, _) => format!(": set `{name}` or `{name}_FILE`, or provide `/run/secrets/{name}`"),
            (false, true) => format!(": set `{name}` or `{name}_FILE`"),
            (false, false) => String::new(),
        };
        return Some(failure(declaration, format!("variable `{name}` is required{why}, {state}{remedy}")));
    };
    let shown = shown_value(found.value, found.secret);
    let rule = declaration.broken_rule(found.value, declaration.is_secret())?;
    Some(failure(declaration, format!("variable `{name}` is `{shown}`, and must be {rule}")))
}

fn required(declaration: &Declaration, variables: &Variables, rules: Rules<'_>) -> Option<String> {
    let conditions = match &declaration.required {
        Some(Required::If(conditions)) if rules.require => conditions,
        Some(Required::If(_) | Required::No) | None => return None,
    };
    let facts = Facts { variables, opaque: rules.opaque, exists: &|_| false };
    // If a condition cannot be judged, the variable stays required.
    let hold = conditions.iter().all(|condition| condition.holds(facts).unwrap_or(true));
    let shown: Vec<String> =
        conditions.iter().map(|condition| quoted(condition.exact(rules.secrets))).collect();
    let because =
        if shown.is_empty() { String::new() } else { format!(" because of {}", shown.join(" and ")) };
    hold.then_some(because)
}
