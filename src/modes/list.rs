//! `--list`, and the list of verbs in `--help` and in messages. Pure.
//!
//! With `--json` it is one object. Its keys, which are all always there, may become more, and do not change:
//!
//! - `environment`: the environment whose verbs these are;
//! - `verbs`: sorted by name; each has `name`, `about` (or null), `aliases` (sorted), `default` (whether a
//!   call without words means it);
//! - `variables`: the declared ones, sorted by name; each has `name`, `about` (or null), `type` (`string`,
//!   `integer`, `port`, `boolean`, `url`, `path`), `default` (or null; `***` for a secret's), `one-of` (an
//!   array, or null, and null for a secret), `required`, `required-if` (conditions), `late`, `file` (whether
//!   `NAME_FILE` can name a file with it), `aliases`, `conflicts`, `secret`, and `verb`: the verb that it is
//!   for, or null where it is for all.
//!
//! A declaration is what all layers say together: what a verb declares is shown as it is for that verb. What
//! is a secret for one verb has its values concealed everywhere.
//!
//! Hidden verbs are in neither form.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::table::decode::decoder::Decoder;
use crate::table::select::{SelectedVerb, Tree};
use crate::table::types::Settings;
use crate::table::types::lay_declarations;
use crate::table::variable::Declaration;
use crate::text::escape::MASK;
use crate::text::escape::escaped;
use crate::text::failure::Failure;
use crate::text::names::{EnvironmentName, VerbName};
use crate::text::paint::{Paint, hanging};
use crate::text::url::masked;

/// What there is to choose from in one environment.
#[derive(Debug, Serialize)]
pub(crate) struct List {
    /// The environment.
    pub(crate) environment: String,
    /// Its verbs, sorted.
    pub(crate) verbs: Vec<ListedVerb>,
    /// The declared variables, sorted; those of a verb name it.
    pub(crate) variables: Vec<ListedVariable>,
}

/// A verb in the list.
#[derive(Debug, Serialize)]
pub(crate) struct ListedVerb {
    /// Its name.
    pub(crate) name: String,
    /// What it does.
    pub(crate) about: Option<String>,
    /// Its other names.
    pub(crate) aliases: Vec<String>,
    /// Whether a call without words means it.
    pub(crate) default: bool,
}

/// A variable in the list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the declaration")]
pub(crate) struct ListedVariable {
    /// Its name.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) about: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// Its default; `***` for a secret's.
    pub(crate) default: Option<String>,
    /// The values that it may have.
    pub(crate) one_of: Option<Vec<String>>,
    /// Whether it must be given.
    pub(crate) required: bool,
    /// The conditions that must all hold for that, where it depends on others.
    pub(crate) required_if: Vec<String>,
    /// Whether a step supplies it.
    pub(crate) late: bool,
    /// Whether it may come from a file.
    pub(crate) file: bool,
    /// Its older names.
    pub(crate) aliases: Vec<String>,
    /// What must not be set with it.
    pub(crate) conflicts: Vec<String>,
    /// Whether it is shown nowhere.
    pub(crate) secret: bool,
    /// The verb that it is for, if it is for one alone.
    pub(crate) verb: Option<String>,
}

impl List {
    /// The list of this environment. Mistakes in what is listed are the decoder's, and as a rule nobody asks
    /// for them.
    pub(crate) fn of(
        tree: Tree<'_>,
        settings: &Settings,
        environment: &EnvironmentName,
        decoder: &mut Decoder,
    ) -> Self {
        let mut list =
            Self { environment: environment.to_string(), verbs: Vec::new(), variables: Vec::new() };
        let mut selection = tree.select(decoder, environment, None);
        decoder.mistakes.extend(tree.clashes(environment.as_str(), None));
        list.add_variables(lay_declarations(selection.layers()), None);
        let mut concealed = secrets(&list.variables);
        for name in tree.verb_names(environment.as_str()) {
            let Some(name) = VerbName::parse(name.as_bytes()) else { continue };
            let verb = selection.verb.insert(tree.verb(decoder, environment, &name));
            if verb.part.layer.variables.is_empty() && verb.environment_layer.variables.is_empty() {
                list.add_verb(&name, verb, settings);
                continue;
            }
            let mut declarations = lay_declarations(selection.layers());
            let Some(verb) = selection.verb.as_ref() else { continue };
            let layers = [&verb.part.layer, &verb.environment_layer];
            let is_own = |declaration: &Declaration| {
                let mut own = layers.iter().flat_map(|layer| &layer.variables);
                own.any(|own| own.name == declaration.name)
            };
            declarations.retain(is_own);
            let before = list.variables.len();
            list.add_variables(declarations, Some(name.as_str()));
            concealed.extend(secrets(&list.variables[before..]));
            if verb.part.hidden == Some(true) {
                list.variables.truncate(before);
            }
            list.add_verb(&name, verb, settings);
        }
        for variable in list.variables.iter_mut().filter(|variable| concealed.contains(&variable.name)) {
            variable.default = variable.default.take().map(|_| MASK.to_owned());
            variable.one_of = None;
        }
        list.verbs.sort_by(|one, other| one.name.cmp(&other.name));
        list.variables.sort_by(|one, other| (&one.name, &one.verb).cmp(&(&other.name, &other.verb)));
        list
    }

    fn add_verb(&mut self, name: &VerbName, verb: &SelectedVerb, settings: &Settings) {
        if verb.part.hidden == Some(true) {
            return;
        }
        let mut aliases: Vec<String> =
            verb.part.aliases.iter().flatten().map(|alias| alias.as_str().to_owned()).collect();
        aliases.sort_unstable();
        self.verbs.push(ListedVerb {
            default: settings.default.as_ref().is_some_and(|(default, _)| default == name),
            about: verb.part.about.clone(),
            aliases,
            name: name.to_string(),
        });
    }

    fn add_variables(&mut self, declarations: Vec<Declaration>, verb: Option<&str>) {
        let secrets = declarations.iter().filter(|each| each.is_secret());
        let secrets: BTreeSet<String> = secrets.map(|each| each.name.clone()).collect();
        for declaration in declarations {
            let conditions = declaration.conditions().iter();
            let masked = |text: String| String::from_utf8_lossy(&masked(text.as_bytes())).into_owned();
            self.variables.push(ListedVariable {
                kind: declaration.kind.unwrap_or_default().name(),
                required: declaration.is_required(),
                required_if: conditions.map(|condition| condition.shown(&secrets)).collect(),
                late: declaration.late == Some(true),
                file: declaration.file == Some(true),
                secret: declaration.is_secret(),
                name: declaration.name,
                about: declaration.about,
                default: declaration.default.map(masked),
                one_of: declaration.one_of,
                aliases: declaration.aliases.unwrap_or_default(),
                conflicts: declaration.conflicts.unwrap_or_default(),
                verb: verb.map(str::to_owned),
            });
        }
    }
}

/// The names of those that are secret.
fn secrets(variables: &[ListedVariable]) -> Vec<String> {
    variables.iter().filter(|variable| variable.secret).map(|variable| variable.name.clone()).collect()
}

/// How wide a column of names gets; what a longer name is followed by stands in the next line.
const NAMES: usize = 24;

/// Names with what is said of them: an aligned column, lines of words, and notes in parentheses at the end.
fn column(entries: &[(&str, String, String)], paint: Paint) -> Vec<String> {
    let widths = entries.iter().map(|(name, _, _)| name.chars().count()).filter(|width| *width <= NAMES);
    let width = widths.max().unwrap_or(0);
    let mut lines = Vec::new();
    for (name, about, notes) in entries {
        let text = [about.as_str(), notes.as_str()].join(" ");
        let mut before = format!("  {name:width$}  ");
        if name.chars().count() > width && !text.trim().is_empty() {
            lines.push(before.trim_end().to_owned());
            before = format!("  {:width$}  ", "");
        }
        let plain = hanging(&before, text.trim());
        lines.extend(painted(plain, notes, paint));
    }
    lines
}

/// The lines with the notes at their end painted; they are wrapped first, because escapes have no width.
fn painted(lines: Vec<String>, notes: &str, paint: Paint) -> Vec<String> {
    let mut left = notes.chars().filter(|c| *c != ' ').count();
    let mut painted: Vec<String> = Vec::new();
    for line in lines.into_iter().rev() {
        // The notes are the last characters of the whole, whatever the lines are.
        let mut at = line.len();
        for (index, character) in line.char_indices().rev() {
            if left == 0 {
                break;
            }
            at = index;
            left -= usize::from(character != ' ');
        }
        let (text, aside) = line.split_at(at);
        let indent = aside.len() - aside.trim_start().len();
        painted.push(format!("{text}{}{}", &aside[..indent], paint.dim(&aside[indent..])));
    }
    painted.reverse();
    painted
}

/// The verbs, aligned.
fn verb_lines(list: &List, paint: Paint) -> Vec<String> {
    let entry = |verb: &'_ ListedVerb| {
        let mut notes = Vec::new();
        if verb.default {
            notes.push("default".to_owned());
        }
        if !verb.aliases.is_empty() {
            notes.push(format!("also {}", verb.aliases.join(", ")));
        }
        let about = verb.about.as_deref().map(|about| escaped(about.as_bytes())).unwrap_or_default();
        let notes = if notes.is_empty() { String::new() } else { format!("({})", notes.join("; ")) };
        (about, notes)
    };
    let entries: Vec<(&str, String, String)> = list
        .verbs
        .iter()
        .map(|verb| {
            let (about, notes) = entry(verb);
            (verb.name.as_str(), about, notes)
        })
        .collect();
    if entries.is_empty() { vec!["  (none)".to_owned()] } else { column(&entries, paint) }
}

/// What is noted of a declared variable.
fn notes(variable: &ListedVariable) -> String {
    let mut notes = vec![variable.kind.to_owned()];
    if let Some(values) = &variable.one_of {
        notes.push(values.iter().map(|value| escaped(value.as_bytes())).collect::<Vec<_>>().join("|"));
    }
    if let Some(default) = &variable.default {
        notes.push(format!("default {}", escaped(default.as_bytes())));
    }
    if variable.required {
        notes.push("required".to_owned());
    }
    if !variable.required_if.is_empty() {
        notes.push(format!("required if {}", variable.required_if.join(" and ")));
    }
    if variable.late {
        notes.push("a step supplies it".to_owned());
    }
    if variable.file {
        notes.push(format!("or in the file of {}_FILE", variable.name));
    }
    if !variable.aliases.is_empty() {
        notes.push(format!("formerly {}", variable.aliases.join(", ")));
    }
    if !variable.conflicts.is_empty() {
        notes.push(format!("not with {}", variable.conflicts.join(", ")));
    }
    if variable.secret {
        notes.push("secret".to_owned());
    }
    if let Some(verb) = &variable.verb {
        notes.push(format!("for {verb}"));
    }
    format!("({})", notes.join("; "))
}

/// The list as text.
pub(crate) fn text(list: &List, paint: Paint) -> String {
    let mut lines = vec![paint.bold(&format!("Verbs in environment {}:", list.environment))];
    lines.extend(verb_lines(list, paint));
    if !list.variables.is_empty() {
        lines.push(String::new());
        lines.push(paint.bold("Variables:"));
        let about = |variable: &ListedVariable| {
            variable.about.as_deref().map(|about| escaped(about.as_bytes())).unwrap_or_default()
        };
        let entries: Vec<(&str, String, String)> = list
            .variables
            .iter()
            .map(|variable| (variable.name.as_str(), about(variable), notes(variable)))
            .collect();
        lines.extend(column(&entries, paint));
    }
    lines.join("\n") + "\n"
}

/// The list as JSON.
pub(crate) fn json(list: &List) -> String {
    serde_json::to_string_pretty(list).unwrap_or_default() + "\n"
}

/// Adds the list of verbs to a failure.
pub(crate) fn with_verbs(failure: Failure, list: &List) -> Failure {
    let heading = format!("the verbs in environment `{}`:", list.environment);
    let lines = std::iter::once(heading).chain(verb_lines(list, Paint::Plain));
    lines.fold(failure, Failure::line)
}
