//! A step of a `setup`.

use super::{Decoder, KIND_KEYS, Place, STEP_KEYS, kind_only_keys};
use crate::table::types::{Filter, Render, Step, StepKind};
use crate::text::log::quoted;
use crate::text::names::{NAME_RULE, VerbName};
use crate::value::template::Template;
use crate::value::toml::{Node, Shape};

impl Decoder {
    fn filter(&mut self, node: Option<Node<'_>>, name: &str) -> Filter {
        let mut filter = Filter::default();
        let Some(node) = node else { return filter };
        filter.present = true;
        for item in self.items(node, name, "an array of strings") {
            let Some(text) = self.string(item, name) else { continue };
            let (list, bare) = match text.strip_prefix('!') {
                Some(bare) => (&mut filter.except, bare),
                None => (&mut filter.only, text),
            };
            if VerbName::parse(bare.as_bytes()).is_some() {
                list.push(bare.to_owned());
            } else {
                let message = format!("{} in {} is no name", quoted(text), quoted(name));
                self.mistake_with_hint(item.span(), message, NAME_RULE);
            }
        }
        filter
    }

    pub(super) fn step(&mut self, node: Node<'_>, place: Place<'_>) -> Option<Step> {
        if !self.is_table(node, "setup") {
            return None;
        }
        let place = Place::StepOf(&place);
        let kinds: Vec<&'static str> =
            KIND_KEYS.iter().copied().filter(|kind| node.get(kind).is_some()).collect();
        let known = |kinds: &[&'static str]| {
            let mut known: Vec<&'static str> = kinds.to_vec();
            known.extend(STEP_KEYS);
            for key in kinds.iter().flat_map(|kind| kind_only_keys(kind)) {
                if !known.contains(key) {
                    known.push(key);
                }
            }
            known
        };
        let kind = match kinds[..] {
            [kind] => {
                // A key of another kind is told apart from one that nobody knows.
                let known = known(&[kind]);
                for child in node.children().filter(|child| !known.contains(&child.key())) {
                    let key = child.key();
                    if KIND_KEYS.iter().any(|other| kind_only_keys(other).contains(&key)) {
                        self.mistake(child.key_span(), format!("a `{kind}` step has no {}", quoted(key)));
                    } else {
                        self.unknown_key(child, place, &known);
                    }
                }
                kind
            }
            [] => {
                self.keys(node, place, &known(&KIND_KEYS));
                let list = KIND_KEYS.map(|kind| format!("`{kind}`")).join(", ");
                self.mistake_with_hint(
                    node.key_span(),
                    format!("{place} does not say what to do"),
                    format!("a step has one of {list}"),
                );
                return None;
            }
            _ => {
                self.keys(node, place, &known(&KIND_KEYS));
                let list = kinds.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(" and ");
                let many = if kinds.len() == 2 { "two".to_owned() } else { kinds.len().to_string() };
                let second = node.get(kinds[1]).map_or(node.key_span(), Node::key_span);
                self.mistake_with_hint(
                    second,
                    format!("{place} has {list}, which are {many} steps"),
                    "make each a step of its own",
                );
                return None;
            }
        };
        let skip_if =
            node.get("skip-if").map(|skip| self.variable_names(skip, "skip-if")).unwrap_or_default();
        let step = Step {
            span: node.get(kind).map_or(node.span(), Node::key_span),
            name: node.get("name").and_then(|name| self.string(name, "name")).map(str::to_owned),
            verbs: self.filter(node.get("verbs"), "verbs"),
            environments: self.filter(node.get("environments"), "environments"),
            skip_if,
            timeout: node.get("timeout").and_then(|timeout| self.duration(timeout, "timeout")),
            user: node.get("user").and_then(|user| self.user(user)),
            once: node.get("once").and_then(|once| self.path(once, "once")),
            per: node.get("per").and_then(|per| self.per(per, node)),
            kind: self.step_kind(node, kind)?,
        };
        Some(step)
    }

    fn per(&mut self, per: Node<'_>, step: Node<'_>) -> Option<Template> {
        if step.get("once").is_none() {
            let hint = "`once` names the file that holds its value";
            self.mistake_with_hint(per.key_span(), "`per` needs a `once`", hint);
        }
        self.template(per, "per")
    }

    fn variable_names(&mut self, node: Node<'_>, name: &str) -> Vec<String> {
        let mut names = Vec::new();
        for item in self.one_or_more(node, name) {
            match self.string(item, name) {
                Some(text) if text.is_empty() || text.contains('=') => {
                    self.mistake(item.span(), format!("{} cannot be a variable's name", quoted(text)));
                }
                Some(text) => names.push(text.to_owned()),
                None => {}
            }
        }
        names
    }

    fn step_kind(&mut self, node: Node<'_>, kind: &str) -> Option<StepKind> {
        let value = node.get(kind)?;
        Some(match kind {
            "run" => StepKind::Run(self.argv(value, "run")?),
            "hooks" => StepKind::Hooks(self.path(value, "hooks")?),
            "wait" => {
                let nodes =
                    if value.shape() == Shape::Table { vec![value] } else { self.one_or_more(value, "wait") };
                StepKind::Wait(nodes.into_iter().filter_map(|item| self.probe(item, "wait")).collect())
            }
            "render" => StepKind::Render(self.render(node, value)?),
            "mkdir" => {
                let paths = self.one_or_more(value, "mkdir");
                let mode = node.get("mode").and_then(|mode| self.mode(mode, "mode"));
                let paths = paths.into_iter().filter_map(|item| self.path(item, "mkdir")).collect();
                StepKind::Mkdir { paths, mode }
            }
            _ => {
                let paths = self.one_or_more(value, "chown");
                StepKind::Chown(paths.into_iter().filter_map(|item| self.path(item, "chown")).collect())
            }
        })
    }

    fn render(&mut self, node: Node<'_>, value: Node<'_>) -> Option<Render> {
        let from = self.path(value, "render");
        let to = node.get("to");
        if to.is_none() {
            self.mistake(value.span(), "a `render` step needs a `to`: the file or directory to write");
        }
        let to = to.and_then(|to| self.path(to, "to"));
        let mode = node.get("mode").and_then(|mode| self.mode(mode, "mode"));
        let suffix = node.get("suffix").and_then(|suffix| {
            let template = self.template(suffix, "suffix")?;
            let bad =
                template.source().is_empty() || template.source().contains('/') && template.is_literal();
            if bad {
                self.mistake(suffix.span(), "`suffix` is what the names of templates end in");
            }
            (!bad).then_some(template)
        });
        let only = node.get("only").map(|only| {
            let items = self.one_or_more(only, "only");
            items.into_iter().filter_map(|item| self.template(item, "only")).collect()
        });
        let keep_unset = node.get("keep-unset").and_then(|keep| self.boolean(keep, "keep-unset"));
        Some(Render { from: from?, to: to?, mode, suffix, only, keep_unset: keep_unset.unwrap_or(false) })
    }
}
