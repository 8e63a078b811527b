//! Declared variables: the source of each value, and whether the value is valid. Pure.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::plan::layers::Building;
use crate::table::{Declaration, Required};
use crate::text::{Failure, Kind, bytes_of, escaped, quoted, quoted_path, shown_value};
use crate::value::{Facts, Origin};

/// The content of a file with the value of a declared variable, as an input of the plan.
pub(crate) struct ValueFile {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// The variable that names the file, without its `_FILE`: the declared name or an old name.
    pub(crate) named_by: Option<String>,
    pub(crate) content: Result<Vec<u8>, String>,
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
            if let Some(file) = files.iter().find(|file| file.name == name) {
                self.take_from_file(declaration, file);
            } else if let Some(given) = declaration.names().find(|name| self.is_given(name))
                && given != name
                && let Some(found) = self.variables.get(given.as_bytes())
            {
                let value = found.value.to_vec();
                self.renamed(given, name);
                self.variables.set(name.as_bytes(), value, Origin::Alias(given.to_owned()), secret);
            }
            if let Some(default) = &declaration.default
                && !self.is_given(name)
                && !self.missing.contains(name)
            {
                self.variables.set(name.as_bytes(), default, Origin::Default, secret);
            }
        }
    }

    fn is_given(&self, name: &str) -> bool {
        self.variables.non_empty(name.as_bytes()).is_some()
    }

    fn take_from_file(&mut self, declaration: &Declaration, file: &ValueFile) {
        let name = declaration.name.as_str();
        let named_by = file.named_by.as_deref();
        // A variable with an old name is left as it was given.
        if named_by == Some(name) {
            self.variables.unset(format!("{name}_FILE").as_bytes());
        }
        let sentence = match (&file.content, named_by.filter(|name| self.is_given(name))) {
            (_, Some(both)) => format!("variables `{both}` and `{both}_FILE` are both set: set only one"),
            (Err(reason), None) => {
                let path = quoted_path(&file.path);
                format!("cannot read the value of variable `{name}` from {path}: {reason}")
            }
            (Ok(value), None) => {
                if let Some(named_by) = named_by.filter(|named_by| *named_by != name) {
                    self.renamed(&format!("{named_by}_FILE"), &format!("{name}_FILE"));
                }
                let path = bytes_of(&file.path).to_vec();
                let origin = Origin::File { path, named_by: file.named_by.clone() };
                return self.variables.set(name.as_bytes(), value, origin, declaration.is_secret());
            }
        };
        self.fail(name, failure(declaration, sentence));
    }

    fn renamed(&mut self, old: &str, name: &str) {
        self.warnings.push(format!("variable `{old}` is an old name of `{name}`, and its value is used"));
    }

    pub(super) fn check(&mut self, declarations: &[Declaration], opaque: &BTreeSet<String>) {
        let mut reported: BTreeSet<[&str; 2]> = BTreeSet::new();
        for declaration in declarations {
            let name = declaration.name.as_str();
            let facts = Facts { variables: &self.variables, opaque, exists: &|_| false };
            if declaration.late != Some(true)
                && !self.missing.contains(name)
                && let Some(failure) = judge(declaration, facts, &self.secrets)
            {
                self.fail(name, failure);
            }
            let conflicts = declaration.conflicts.iter().flatten().map(String::as_str);
            for other in conflicts.filter(|other| *other != name) {
                // Both variables may declare the conflict.
                let pair = if name < other { [name, other] } else { [other, name] };
                if self.is_given(name) && self.is_given(other) && reported.insert(pair) {
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
pub(super) fn judge(
    declaration: &Declaration, facts: Facts<'_>, secrets: &BTreeSet<String>,
) -> Option<Failure> {
    let name = declaration.name.as_str();
    let found = facts.variables.get(name.as_bytes());
    let Some(found) = found.filter(|found| !found.value.is_empty()) else {
        let Some(Required::If(conditions)) = &declaration.required else { return None };
        // If a condition cannot be judged, the variable stays required.
        if !conditions.iter().all(|condition| condition.holds(facts).unwrap_or(true)) {
            return None;
        }
        let shown = conditions.iter().map(|condition| quoted(condition.exact(secrets)));
        let shown = shown.collect::<Vec<_>>().join(" and ");
        let why = if shown.is_empty() { String::new() } else { format!(" because of {shown}") };
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
