//! What is waited for or probed: a target, or a program.

use crate::table::decode::decoder::Decoder;
use crate::table::decode::place::Place;
use crate::text::log::quoted;
use crate::text::url;
use crate::value::step::Probe;
use crate::value::target::{Target, UNSEEN_PATH, UNSEEN_PATH_HINT};
use crate::value::toml::{Node, Shape};

impl Decoder {
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
                self.unknown_key(child, Place::Named(key), &mut ["exec"].into_iter());
            }
            let Some(exec) = node.get("exec") else {
                self.mistake(node.span(), format!("a table in {} needs an `exec`", quoted(key)));
                return None;
            };
            return self.argv(exec).map(Probe::Exec);
        }
        if node.as_str().is_none() {
            self.wrong_type(node, "a string such as `tcp://host:port` or a table with `exec`");
            return None;
        }
        let template = self.template(node)?;
        if template.is_literal() {
            let source = template.source().as_bytes();
            let mistake =
                |reason: &str| format!("{} in {}: {reason}", quoted(url::shown(source)), quoted(key));
            match Target::parse(source) {
                Err(reason) => {
                    self.mistake(node.span(), mistake(&reason));
                    return None;
                }
                Ok(Some(target)) if key == "health" && target.hides_its_path() => {
                    self.mistake_with_hint(node.span(), mistake(UNSEEN_PATH), UNSEEN_PATH_HINT);
                    return None;
                }
                Ok(_) => {}
            }
        }
        Some(Probe::Url(template))
    }
}
