//! `--list`, and the list of verbs in `--help` and in messages. Pure. The keys of `--json` are in preverb(1).
//! New keys may be added; existing ones do not change.
//!
//! A declaration merges all layers; a declaration by a verb is listed with that verb. If a variable is secret
//! for one verb, its values are concealed everywhere. Hidden verbs are not listed.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::table::{Declaration, Decoder, Settings, Tree, merged_declarations};
use crate::text::{EnvironmentName, Failure, MASK, Paint, VerbName, escaped, hanging, set_of, url};

#[derive(Debug, Serialize)]
pub(crate) struct List {
    pub(crate) environment: String,
    pub(crate) verbs: Vec<ListedVerb>,
    pub(crate) variables: Vec<ListedVariable>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ListedVerb {
    pub(crate) name: String,
    pub(crate) about: Option<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) default: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the declaration")]
pub(crate) struct ListedVariable {
    name: String,
    about: Option<String>,
    r#type: &'static str,
    default: Option<String>,
    one_of: Option<Vec<String>>,
    required: bool,
    required_if: Vec<String>,
    late: bool,
    file: bool,
    aliases: Vec<String>,
    conflicts: Vec<String>,
    secret: bool,
    verb: Option<String>,
}

impl List {
    pub(crate) fn of(
        tree: Tree<'_>, settings: &Settings, environment: &EnvironmentName, decoder: &mut Decoder,
    ) -> Self {
        let mut selection = tree.select(decoder, environment, None);
        decoder.mistakes.extend(tree.clashes(environment.as_str(), None));
        let (mut verbs, mut concealed) = (Vec::new(), BTreeSet::new());
        let mut variables = listed(merged_declarations(selection.layers()), None, &mut concealed);
        for name in set_of(tree.verb_names(environment.as_str())) {
            let Some(name) = VerbName::parse(name.as_bytes()) else { continue };
            selection.verb = Some(tree.verb(decoder, environment, &name));
            let Some(verb) = &selection.verb else { continue };
            let is_hidden = verb.part.hidden == Some(true);
            let own = verb.layers.iter().flat_map(|layer| &layer.variables);
            let own = set_of(own.map(|declaration| declaration.name.as_str()));
            if !own.is_empty() {
                let mut declarations = merged_declarations(selection.layers());
                declarations.retain(|declaration| own.contains(declaration.name.as_str()));
                let own = listed(declarations, Some(name.as_str()), &mut concealed);
                variables.extend(own.into_iter().filter(|_| !is_hidden));
            }
            if !is_hidden {
                let aliases = verb.part.aliases.iter().flatten().map(|alias| alias.as_str().to_owned());
                let mut aliases: Vec<String> = aliases.collect();
                aliases.sort_unstable();
                verbs.push(ListedVerb {
                    default: settings.default.as_ref().is_some_and(|(default, _)| *default == name),
                    about: verb.part.about.as_deref().map(masked),
                    aliases,
                    name: name.to_string(),
                });
            }
        }
        for variable in variables.iter_mut().filter(|variable| concealed.contains(&variable.name)) {
            variable.default = variable.default.take().map(|_| MASK.to_owned());
            variable.one_of = None;
        }
        variables.sort_unstable_by(|one, other| (&one.name, &one.verb).cmp(&(&other.name, &other.verb)));
        Self { environment: environment.to_string(), verbs, variables }
    }
}

fn masked(text: &str) -> String {
    String::from_utf8_lossy(&url::masked(text.as_bytes())).into_owned()
}

/// The declarations to list. Their secret names are added to `concealed`.
fn listed(
    declarations: Vec<Declaration>, verb: Option<&str>, concealed: &mut BTreeSet<String>,
) -> Vec<ListedVariable> {
    let secrets = declarations.iter().filter(|each| each.is_secret());
    let secrets = set_of(secrets.map(|each| each.name.clone()));
    concealed.extend(secrets.iter().cloned());
    let list = |declaration: Declaration| ListedVariable {
        r#type: declaration.kind.unwrap_or_default().name(),
        required: declaration.is_required(),
        required_if: declaration.conditions().iter().map(|each| each.exact(&secrets)).collect(),
        late: declaration.late == Some(true),
        file: declaration.file == Some(true),
        secret: declaration.is_secret(),
        name: declaration.name,
        about: declaration.about.as_deref().map(masked),
        default: declaration.default.as_deref().map(masked),
        one_of: declaration.one_of.map(|values| values.iter().map(|value| masked(value)).collect()),
        aliases: declaration.aliases.unwrap_or_default(),
        conflicts: declaration.conflicts.unwrap_or_default(),
        verb: verb.map(str::to_owned),
    };
    declarations.into_iter().map(list).collect()
}

/// The width of the column of names; the text for a longer name starts on the next line.
const NAMES: usize = 24;

type Entry<'e> = (&'e str, &'e Option<String>, Vec<String>);

/// Formats names with their descriptions: an aligned column, the text, and notes in parentheses.
fn column(entries: &[Entry<'_>]) -> Vec<String> {
    let widths = entries.iter().map(|(name, ..)| name.chars().count()).filter(|width| *width <= NAMES);
    let width = widths.max().unwrap_or(0);
    let mut lines = Vec::new();
    for (name, about, notes) in entries {
        let about = about.as_ref().map(|about| escaped(about.as_bytes()));
        let notes = joined("(", notes, "; ").map(|notes| notes + ")");
        let text = about.into_iter().chain(notes).collect::<Vec<_>>().join(" ");
        let mut before = format!("  {name:width$}  ");
        if name.chars().count() > width && !text.trim().is_empty() {
            lines.push(before.trim_end().to_owned());
            before = format!("  {:width$}  ", "");
        }
        lines.extend(hanging(&before, text.trim()));
    }
    lines
}

fn verb_lines(list: &List) -> Vec<String> {
    if list.verbs.is_empty() {
        return vec!["  (none)".to_owned()];
    }
    let notes = |verb: &ListedVerb| {
        let default = verb.default.then(|| "default".to_owned());
        default.into_iter().chain(joined("also ", &verb.aliases, ", ")).collect()
    };
    column(&list.verbs.iter().map(|verb| (&*verb.name, &verb.about, notes(verb))).collect::<Vec<_>>())
}

fn joined(before: &str, names: &[String], between: &str) -> Option<String> {
    (!names.is_empty()).then(|| format!("{before}{}", names.join(between)))
}

fn notes(variable: &ListedVariable) -> Vec<String> {
    let escape = |value: &String| escaped(value.as_bytes());
    let one_of = variable.one_of.as_ref();
    let notes = [
        Some(variable.r#type.to_owned()),
        one_of.map(|values| values.iter().map(escape).collect::<Vec<_>>().join("|")),
        variable.default.as_ref().map(|default| format!("default {}", escape(default))),
        variable.required.then(|| "required".to_owned()),
        joined("required if ", &variable.required_if, " and "),
        variable.late.then(|| "a step supplies it".to_owned()),
        variable.file.then(|| format!("or in the file of {}_FILE", variable.name)),
        joined("formerly ", &variable.aliases, ", "),
        joined("not with ", &variable.conflicts, ", "),
        variable.secret.then(|| "secret".to_owned()),
        variable.verb.as_ref().map(|verb| format!("for {verb}")),
    ];
    notes.into_iter().flatten().collect()
}

pub(crate) fn text(list: &List, paint: Paint) -> String {
    let mut lines = vec![paint.bold(&format!("Verbs in environment {}:", list.environment))];
    lines.extend(verb_lines(list));
    if !list.variables.is_empty() {
        lines.extend([String::new(), paint.bold("Variables:")]);
        let entries = list.variables.iter().map(|each| (&*each.name, &each.about, notes(each)));
        lines.extend(column(&entries.collect::<Vec<_>>()));
    }
    lines.join("\n") + "\n"
}

pub(crate) fn with_verbs(failure: Failure, list: &List) -> Failure {
    let heading = format!("the verbs in environment `{}`:", list.environment);
    std::iter::once(heading).chain(verb_lines(list)).fold(failure, Failure::line)
}
