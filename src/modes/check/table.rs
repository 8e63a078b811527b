//! Errors that the table alone shows: invalid names, filters that match nothing, declarations that contradict
//! themselves.

use std::collections::{BTreeMap, BTreeSet};

use crate::modes::check::findings::Findings;
use crate::table::types::Naming;
use crate::table::{Lookup, Settings, Tree, VariableKind, all_steps, filter_names};
use crate::text::{Level, MASK, NAME_RULE, VerbName, did_you_mean, quoted, set_of};
use crate::value::{Node, Shape};

pub(super) fn check(
    tree: Tree<'_>, settings: &Settings, environments: &[&str], secrets: &BTreeSet<String>,
    findings: &mut Findings,
) {
    let root = tree.root();
    for place in std::iter::once(root).chain(root.below("environments")) {
        for verb in place.below("verbs").filter(|verb| VerbName::parse(verb.key().as_bytes()).is_none()) {
            let message = format!("{} is not a valid verb name", quoted(verb.key()));
            findings.table(Level::Error, Some(verb.key_span()), message, Some(NAME_RULE));
        }
    }
    let verbs = set_of(tree.everywhere().flat_map(|environment| tree.verb_names(environment)));
    let all = tree.everywhere().flat_map(|environment| tree.all_of(environment, "aliases"));
    let mut aliases = BTreeMap::new();
    aliases.extend(all.map(|(verb, alias, _)| (alias, verb)));
    let known = set_of(tree.environments().chain(environments.iter().copied()));
    for part in tree.layers() {
        for step in part.get("setup").into_iter().flat_map(all_steps) {
            filter_of_verbs(&verbs, &aliases, step, findings);
            filter_of_environments(&known, step, &settings.environment, findings);
        }
        for variable in part.below("variables") {
            declaration(variable, secrets, findings);
        }
        for setting in part.below("env") {
            if matches!(setting.key(), "PREVERB_VERB" | "PREVERB_ENVIRONMENT") {
                let message = format!("`{}` is set by preverb itself, which ignores an `env`", setting.key());
                findings.warn(setting.key_span(), message, None);
            }
        }
    }
    if let Some((name, span)) = &settings.default {
        for environment in environments {
            if let Lookup::Elsewhere(others) = tree.lookup(name.as_str().as_bytes(), environment) {
                let others = others.iter().map(quoted).collect::<Vec<_>>().join(", ");
                let (name, environment) = (quoted(name.as_str()), quoted(environment));
                let message = format!(
                    "`default` is {name}, which does not exist in environment {environment}, only in {others}"
                );
                findings.warn(*span, message, Some("a call without arguments fails there"));
            }
        }
    }
}

fn filter_of_verbs(
    verbs: &BTreeSet<&str>, aliases: &BTreeMap<&str, &str>, step: Node<'_>, findings: &mut Findings,
) {
    for (item, name) in filter_names(step, "verbs").filter(|(_, name)| !verbs.contains(name)) {
        let shown = quoted(name);
        let (what, hint) = match aliases.get(name) {
            Some(verb) => {
                ("an alias: a step is matched by the verb's own name", Some(format!("use `{verb}`")))
            }
            None => ("not a verb", did_you_mean(name, verbs.iter().copied())),
        };
        findings.warn(item.span(), format!("`verbs` names {shown}, which is {what}"), hint.as_deref());
    }
}

/// An environment need not be mentioned elsewhere, but a name that is close to another one is likely a typo.
/// An excluded name can be mistyped too.
fn filter_of_environments(known: &BTreeSet<&str>, step: Node<'_>, naming: &Naming, findings: &mut Findings) {
    for (item, name) in filter_names(step, "environments") {
        let shown = quoted(name);
        if let Some((_, target)) = naming.aliases.iter().find(|(alias, _)| alias.as_str() == name) {
            let message =
                format!("`environments` names {shown}, which is an alias: a step is matched by `{target}`");
            let hint = format!("name `{target}`");
            findings.table(Level::Error, Some(item.span()), message, Some(&hint));
            continue;
        }
        if naming.names.is_none() && item.as_str().is_some_and(|text| text.starts_with('!')) {
            let message = format!("the step runs in every environment except {shown}");
            let hint =
                "list the environments in `names` of `[environment]`, so that no other name is accepted";
            findings.warn(item.span(), message, Some(hint));
        }
        if !known.contains(name)
            && let Some(hint) = did_you_mean(name, known.iter().copied())
        {
            let message = format!("`environments` names {shown}, which nothing else mentions");
            findings.warn(item.span(), message, Some(&hint));
        }
    }
}

fn declaration(node: Node<'_>, secrets: &BTreeSet<String>, findings: &mut Findings) {
    let name = quoted(node.key());
    if let Some(required) = node.get("required").filter(|node| node.as_bool() == Some(true))
        && node.get("default").is_some()
    {
        let message = format!("variable {name} has a default, so `required` has no effect");
        findings.warn(required.key_span(), message, Some("remove one of the two"));
    }
    let Some(one_of) = node.get("one-of").filter(|node| node.shape() == Shape::Array) else { return };
    if one_of.children().next().is_none() {
        let message = format!("`one-of` of variable {name} is empty: no value is valid");
        findings.warn(one_of.span(), message, None);
    }
    let kind = node.get("type").and_then(Node::as_str).and_then(VariableKind::parse);
    let Some(kind) = kind else { return };
    let is_secret = secrets.contains(node.key());
    for item in one_of.children() {
        let Some(text) = item.as_str() else { continue };
        let Some(rule) = kind.broken_rule(text.as_bytes()) else { continue };
        let shown = if is_secret { format!("`{MASK}`") } else { quoted(text) };
        findings.warn(item.span(), format!("{shown} in `one-of` of variable {name} is not {rule}"), None);
    }
}
