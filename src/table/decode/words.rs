//! The elements of an argv.

use crate::table::decode::decoder::{Decoder, Key, keys};
use crate::table::decode::form::Form;
use crate::table::decode::place::Place;
use crate::text::escape::masked;
use crate::text::log::quoted;
use crate::value::condition::Conditions;
use crate::value::template::Template;
use crate::value::toml::{Node, Shape};
use crate::value::words::Element;

#[derive(Default)]
pub(crate) struct Draft {
    words: Option<Vec<Template>>,
    when: Conditions,
}

pub(crate) const WORDS: &[Key<Draft>] = keys! { Draft {
    "words", Form::Strings, "The arguments.", (words = Some(array of template_element));
    "only-if", Form::Conditions, "Conditions that must all hold.", (when.only_if = list of condition);
    "skip-if", Form::Conditions, "Conditions; if any holds, the arguments are left out.",
        (when.skip_if = list of condition);
    "if-exists", Form::Paths, "Paths that must all exist.", (when.if_exists = list of path);
    "unless-exists", Form::Paths,
        "Paths; if any exists, the arguments are left out.", (when.unless_exists = list of path);
} };

impl Decoder {
    pub(crate) fn argv(&mut self, node: Node<'_>) -> Option<Vec<Element>> {
        let elements = self.arguments(node)?;
        let key = quoted(node.key());
        match elements.first() {
            None => self.mistake(node.span(), format!("{key} is empty: its first element is the program")),
            Some(Element::Template(first)) if first.source().is_empty() => {
                self.mistake(node.span(), format!("the first element of {key} is empty: it is the program"));
            }
            Some(_) => return Some(elements),
        }
        None
    }

    pub(crate) fn arguments(&mut self, node: Node<'_>) -> Option<Vec<Element>> {
        if let Some(text) = node.as_str() {
            let text = String::from_utf8_lossy(&masked(text.as_bytes())).into_owned();
            let words: Vec<String> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
            let key = node.key();
            self.mistake_with_hint(
                node.span(),
                format!("{} must be an array of strings, not a string: no shell splits it", quoted(key)),
                format!("{key} = [{}]", words.join(", ")),
            );
            return None;
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
                self.mistake_with_hint(args.key_span(), message, hint);
            } else if args.shape() != Shape::Boolean(true) || node.children().count() > 1 {
                self.mistake(node.span(), "the arguments of the target are `{ args = true }`");
            }
            return Some(Element::Arguments);
        }
        let mut draft = Draft::default();
        self.keys(node, Place::Named(key), WORDS, &mut draft);
        if node.get("words").is_none() {
            let hint = "`{ words = [\"--flag\"], only-if = \"NAME\" }`";
            self.mistake_with_hint(node.span(), format!("a table in {} needs `words`", quoted(key)), hint);
        }
        draft.words.map(|words| Element::Words { words, when: draft.when })
    }
}
