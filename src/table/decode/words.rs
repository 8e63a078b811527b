//! The elements of an argv, and the targets and programs of waits and probes.

use crate::table::decode::decoder::{Decoder, Key, keys};
use crate::text::escape::masked;
use crate::text::{quoted, url};
use crate::value::{
    Conditions, Element, Node, Probe, Shape, Target, Template, UNSEEN_PATH, UNSEEN_PATH_HINT,
};

#[derive(Default)]
pub(crate) struct Draft {
    words: Option<Vec<Template>>,
    when: Conditions,
}

pub(crate) const WORDS: &[Key<Draft>] = keys! { Draft {
    "words", Strings, "The arguments.", (words = array of template_element);
    "only-if", Conditions, "Conditions that must all hold.", (when.only_if = list of condition);
    "skip-if", Conditions, "Conditions; if any holds, the arguments are left out.",
        (when.skip_if = list of condition);
    "if-exists", Paths, "Paths that must all exist.", (when.if_exists = list of path);
    "unless-exists", Paths,
        "Paths; if any exists, the arguments are left out.", (when.unless_exists = list of path);
} };

impl Decoder {
    pub(crate) fn argv(&mut self, node: Node<'_>) -> Option<Vec<Element>> {
        let elements = self.arguments(node)?;
        let message = match elements.first() {
            None => format!("{} is empty: its first element is the program", quoted(node.key())),
            Some(Element::Template(first)) if first.source().is_empty() => {
                format!("the first element of {} is empty: it is the program", quoted(node.key()))
            }
            Some(_) => return Some(elements),
        };
        self.refuse(node.span(), message)
    }

    pub(crate) fn arguments(&mut self, node: Node<'_>) -> Option<Vec<Element>> {
        if let Some(text) = node.as_str() {
            let text = String::from_utf8_lossy(&masked(text.as_bytes())).into_owned();
            let words: Vec<String> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
            let what = "must be an array of strings, not a string: no shell splits it";
            let hint = format!("{} = [{}]", node.key(), words.join(", "));
            return self.refuse_with(node.span(), format!("{} {what}", quoted(node.key())), &hint);
        }
        let before = self.mistakes.len();
        let elements = self.array(node, Self::element);
        (self.mistakes.len() == before).then_some(elements)
    }

    fn element(&mut self, node: Node<'_>) -> Option<Element> {
        if node.shape() != Shape::Table {
            return self.template_element(node).map(Element::Template);
        }
        let key = node.key();
        if let Some(args) = node.get("args") {
            if !matches!(key, "run" | "during") {
                let message = format!("{} cannot hold the arguments of the target", quoted(key));
                let hint = "`{ args = true }` is an element of `run` and of `during`";
                self.mistake(args.key_span(), message).hint(hint);
            } else if args.as_bool() != Some(true) || node.children().count() > 1 {
                self.mistake(node.span(), "the arguments of the target are `{ args = true }`");
            }
            return Some(Element::Arguments);
        }
        let mut draft = Draft::default();
        self.keys(node, &|| quoted(key), WORDS, &mut draft);
        if node.get("words").is_none() {
            let hint = "`{ words = [\"--flag\"], only-if = \"NAME\" }`";
            self.mistake(node.span(), format!("a table in {} needs `words`", quoted(key))).hint(hint);
        }
        draft.words.map(|words| Element::Words { words, when: draft.when })
    }

    pub(crate) fn probes(&mut self, node: Node<'_>) -> Vec<Probe> {
        if node.shape() == Shape::Table {
            return self.probe(node).into_iter().collect();
        }
        self.list(node, Self::probe)
    }

    pub(crate) fn probe(&mut self, node: Node<'_>) -> Option<Probe> {
        let key = node.key();
        if node.shape() == Shape::Table {
            for child in node.children().filter(|child| child.key() != "exec") {
                self.unknown_key(child, &|| quoted(key), &mut ["exec"].into_iter());
            }
            let missing = || format!("a table in {} needs an `exec`", quoted(key));
            let exec = node.get("exec").or_else(|| self.refuse(node.span(), missing()))?;
            return self.argv(exec).map(Probe::Exec);
        }
        if node.as_str().is_none() {
            return self.wrong_type(node, "a string such as `tcp://host:port` or a table with `exec`");
        }
        let template = self.template(node)?;
        if template.is_literal() {
            let source = template.source().as_bytes();
            let mistake =
                |reason: &str| format!("{} in {}: {reason}", quoted(url::shown(source)), quoted(key));
            match Target::parse(source) {
                Err(reason) => return self.refuse(node.span(), mistake(&reason)),
                Ok(Some(target)) if key == "health" && target.hides_its_path() => {
                    return self.refuse_with(node.span(), mistake(UNSEEN_PATH), UNSEEN_PATH_HINT);
                }
                Ok(_) => {}
            }
        }
        Some(Probe::Url(template))
    }
}
