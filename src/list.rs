//! `--list`, and the list of verbs in `--help` and in messages. Pure.

use serde::Serialize;

use crate::expand::MASK;
use crate::failure::Failure;
use crate::table::decode::Decoder;
use crate::table::document::{Document, Focus};
use crate::table::select::Tree;
use crate::table::{Settings, VariableKind, lay_declarations};
use crate::words::{EnvironmentName, escaped};

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
    /// Whether it is shown nowhere.
    pub(crate) secret: bool,
    /// The verb that it is for, if it is for one alone.
    pub(crate) verb: Option<String>,
}

impl List {
    /// The list of this environment. Mistakes in a verb are not told here: `--check` tells them.
    pub(crate) fn of(tree: Tree<'_, '_>, settings: &Settings, environment: &EnvironmentName) -> Self {
        // Where one verb was in focus the others have to be read now.
        let whole = Document::read(tree.sources(), Focus::Everything);
        let tree = whole.as_ref().map_or(tree, Tree::new);
        let mut decoder = Decoder::default();
        let mut list =
            Self { environment: environment.to_string(), verbs: Vec::new(), variables: Vec::new() };
        let shared = tree.select(&mut decoder, environment, None);
        list.add_variables(&lay_declarations([&shared.table, &shared.environment]), None);
        for name in tree.verb_names(environment.as_str()) {
            let Some(name) = crate::words::VerbName::parse(name.as_bytes()) else { continue };
            let Some(verb) = tree.select(&mut decoder, environment, Some(&name)).verb else { continue };
            if verb.part.hidden == Some(true) {
                continue;
            }
            let own = lay_declarations([&verb.part.layer, &verb.environment_layer]);
            list.add_variables(&own, Some(name.as_str()));
            let mut aliases: Vec<String> =
                verb.part.aliases.iter().flatten().map(|alias| alias.as_str().to_owned()).collect();
            aliases.sort();
            list.verbs.push(ListedVerb {
                default: settings.default.as_ref().is_some_and(|(default, _)| *default == name),
                about: verb.part.about,
                aliases,
                name: name.to_string(),
            });
        }
        list.verbs.sort_by(|a, b| a.name.cmp(&b.name));
        list.variables.sort_by(|a, b| (&a.name, &a.verb).cmp(&(&b.name, &b.verb)));
        list
    }

    fn add_variables(&mut self, declarations: &[crate::table::Declaration], verb: Option<&str>) {
        for declaration in declarations {
            let secret = declaration.is_secret();
            let masked = |text: &String| if secret { MASK.to_owned() } else { text.clone() };
            self.variables.push(ListedVariable {
                name: declaration.name.clone(),
                about: declaration.about.clone(),
                kind: declaration.kind.unwrap_or(VariableKind::String).name(),
                default: declaration.default.as_ref().map(masked),
                one_of: declaration.one_of.as_ref().filter(|_| !secret).cloned(),
                required: declaration.required == Some(true),
                secret,
                verb: verb.map(str::to_owned),
            });
        }
    }
}

/// The verbs, a line each, aligned.
fn verb_lines(list: &List) -> Vec<String> {
    let width = list.verbs.iter().map(|verb| verb.name.chars().count()).max().unwrap_or(0);
    let line = |verb: &ListedVerb| {
        let mut notes = Vec::new();
        if verb.default {
            notes.push("default".to_owned());
        }
        if !verb.aliases.is_empty() {
            notes.push(format!("also {}", verb.aliases.join(", ")));
        }
        let about = verb.about.as_deref().map(|about| escaped(about.as_bytes())).unwrap_or_default();
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
        format!("  {:width$}  {about}{notes}", verb.name).trim_end().to_owned()
    };
    list.verbs.iter().map(line).collect()
}

/// The list as text.
pub(crate) fn text(list: &List) -> String {
    let mut lines = vec![format!("Verbs in environment {}:", list.environment)];
    if list.verbs.is_empty() {
        lines.push("  (none)".to_owned());
    }
    lines.extend(verb_lines(list));
    if !list.variables.is_empty() {
        lines.push(String::new());
        lines.push("Variables:".to_owned());
        let width = list.variables.iter().map(|variable| variable.name.chars().count()).max().unwrap_or(0);
        for variable in &list.variables {
            let mut notes = vec![match &variable.one_of {
                Some(values) => {
                    values.iter().map(|value| escaped(value.as_bytes())).collect::<Vec<_>>().join("|")
                }
                None => variable.kind.to_owned(),
            }];
            if let Some(default) = &variable.default {
                notes.push(format!("default {}", escaped(default.as_bytes())));
            }
            if variable.required {
                notes.push("required".to_owned());
            }
            if variable.secret {
                notes.push("secret".to_owned());
            }
            if let Some(verb) = &variable.verb {
                notes.push(format!("for {verb}"));
            }
            let about =
                variable.about.as_deref().map(|about| escaped(about.as_bytes()) + " ").unwrap_or_default();
            lines.push(format!("  {:width$}  {about}({})", variable.name, notes.join("; ")));
        }
    }
    lines.join("\n") + "\n"
}

/// The list as JSON.
pub(crate) fn json(list: &List) -> String {
    serde_json::to_string_pretty(list).unwrap_or_default() + "\n"
}

/// Adds the list of verbs to a failure.
pub(crate) fn with_verbs(
    failure: Failure,
    tree: Tree<'_, '_>,
    settings: &Settings,
    environment: &EnvironmentName,
) -> Failure {
    let list = List::of(tree, settings, environment);
    let heading = format!("the verbs in environment `{environment}`:");
    let lines = std::iter::once(heading).chain(verb_lines(&list));
    lines.fold(failure, Failure::line)
}
