//! What can be told from the table alone: names that are none, filters that name nothing, declarations that
//! contradict themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::{Findings, Weight};
use crate::table::decode::list::all_steps;
use crate::table::naming::filter_names;
use crate::table::select::{Lookup, Tree};
use crate::table::types::Settings;
use crate::table::variable::VariableKind;
use crate::text::log::quoted;
use crate::text::names::{NAME_RULE, VerbName};
use crate::text::nearest::nearest;
use crate::value::toml::{Node, Shape};

/// Checks the table as such.
pub(super) fn check(
    tree: Tree<'_>,
    settings: &Settings,
    environments: &[&str],
    secrets: &[String],
    findings: &mut Findings,
) {
    let root = tree.root();
    verb_names(root, findings);
    let known = Known::of(tree, environments);
    for part in tree.layers() {
        for step in part.get("setup").into_iter().flat_map(all_steps) {
            filter_of_verbs(&known, step, findings);
            filter_of_environments(&known, step, settings, findings);
        }
        for variable in part.get("variables").into_iter().flat_map(Node::children) {
            declaration(variable, secrets, findings);
        }
        for setting in part.get("env").into_iter().flat_map(Node::children) {
            if matches!(setting.key(), "PREVERB_VERB" | "PREVERB_ENVIRONMENT") {
                let message =
                    format!("`{}` is what preverb sets it to, whatever an `env` says", setting.key());
                findings.table(Weight::Warning, setting.key_span(), message, None);
            }
        }
    }
    if let Some((name, span)) = &settings.default {
        for environment in environments {
            if let Lookup::Elsewhere(others) = tree.lookup(name.as_str().as_bytes(), environment) {
                let others = others.iter().map(quoted).collect::<Vec<_>>().join(", ");
                let message = format!(
                    "`default` is {}, which does not exist in environment {}, only in {others}",
                    quoted(name.as_str()),
                    quoted(environment)
                );
                let hint = "a call without words fails there".to_owned();
                findings.table(Weight::Warning, *span, message, Some(hint));
            }
        }
    }
}

fn verb_names(root: Node<'_>, findings: &mut Findings) {
    let environments = root.get("environments").into_iter().flat_map(Node::children);
    for place in std::iter::once(root).chain(environments) {
        for verb in place.get("verbs").into_iter().flat_map(Node::children) {
            if VerbName::parse(verb.key().as_bytes()).is_none() {
                let message = format!("no verb can be called {}", quoted(verb.key()));
                findings.table(Weight::Error, verb.key_span(), message, Some(NAME_RULE.to_owned()));
            }
        }
    }
}

/// What filters can name.
struct Known<'t> {
    verbs: BTreeSet<&'t str>,
    /// The aliases of all verbs, each with its verb.
    aliases: BTreeMap<&'t str, &'t str>,
    environments: BTreeSet<&'t str>,
}

impl<'t> Known<'t> {
    fn of(tree: Tree<'t>, environments: &[&'t str]) -> Self {
        let all = || std::iter::once("").chain(tree.environments());
        let aliases = all().flat_map(|environment| tree.all_aliases(environment));
        Self {
            verbs: all().flat_map(|environment| tree.verb_names(environment)).collect(),
            aliases: aliases.filter_map(|(verb, alias)| Some((alias.as_str()?, verb))).collect(),
            environments: tree.environments().chain(environments.iter().copied()).collect(),
        }
    }
}

fn filter_of_verbs(known: &Known<'_>, step: Node<'_>, findings: &mut Findings) {
    for (item, name) in filter_names(step, "verbs").filter(|(_, name)| !known.verbs.contains(name)) {
        let (message, hint) = match known.aliases.get(name) {
            Some(verb) => (
                format!(
                    "`verbs` names {}, which is an alias: a step goes by the verb's own name",
                    quoted(name)
                ),
                Some(format!("name `{verb}`")),
            ),
            None => (
                format!("`verbs` names {}, which is not a verb", quoted(name)),
                nearest(name, known.verbs.iter().copied()).map(|near| format!("did you mean `{near}`?")),
            ),
        };
        findings.table(Weight::Warning, item.span(), message, hint);
    }
}

/// An environment need not be mentioned anywhere else; one that is nearly another is likely a slip. A name
/// that is excluded is one that can be missed.
fn filter_of_environments(known: &Known<'_>, step: Node<'_>, settings: &Settings, findings: &mut Findings) {
    let naming = &settings.environment;
    for (item, name) in filter_names(step, "environments") {
        if let Some((_, target)) = naming.aliases.iter().find(|(alias, _)| alias.as_str() == name) {
            let message = format!(
                "`environments` names {}, which is an alias: a step goes by `{target}`",
                quoted(name)
            );
            findings.table(Weight::Error, item.span(), message, Some(format!("name `{target}`")));
            continue;
        }
        if naming.names.is_none() && item.as_str().is_some_and(|text| text.starts_with('!')) {
            let message = format!("the step runs in every environment that is not called {}", quoted(name));
            let hint = "`names` in `[environment]` says which there are, so that no other name is taken";
            findings.table(Weight::Warning, item.span(), message, Some(hint.to_owned()));
        }
        if known.environments.contains(name) {
            continue;
        }
        if let Some(near) = nearest(name, known.environments.iter().copied()) {
            let message = format!("`environments` names {}, which nothing else mentions", quoted(name));
            findings.table(Weight::Warning, item.span(), message, Some(format!("did you mean `{near}`?")));
        }
    }
}

/// One declaration by itself.
fn declaration(node: Node<'_>, secrets: &[String], findings: &mut Findings) {
    let name = node.key();
    let default = node.get("default");
    if let (Some(required), Some(_)) = (node.get("required"), default)
        && required.shape() == Shape::Boolean(true)
    {
        let message = format!("variable {} has a default, so that `required` asks for nothing", quoted(name));
        let hint = "leave one of the two out";
        findings.table(Weight::Warning, required.key_span(), message, Some(hint.to_owned()));
    }
    let Some(one_of) = node.get("one-of").filter(|node| node.shape() == Shape::Array) else { return };
    if one_of.children().next().is_none() {
        let message = format!("`one-of` of variable {} is empty: no value is valid", quoted(name));
        findings.table(Weight::Warning, one_of.span(), message, None);
    }
    let kind = node.get("type").and_then(Node::as_str).and_then(VariableKind::parse);
    let Some(kind) = kind else { return };
    let secret = secrets.iter().any(|each| each == name);
    for item in one_of.children() {
        if let Some(text) = item.as_str().filter(|text| !kind.admits(text.as_bytes())) {
            let shown = if secret { format!("`{}`", crate::text::escape::MASK) } else { quoted(text) };
            let message = format!("{shown} in `one-of` of variable {} is not {}", quoted(name), kind.rule());
            findings.table(Weight::Warning, item.span(), message, None);
        }
    }
}
