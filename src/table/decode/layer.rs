//! What the table, an environment and a verb have in common: `env`, `variables`, `setup`.

use super::{Decoder, Place, VARIABLE_KEYS};
use crate::table::types::{Declaration, Layer, Setting, VariableKind};
use crate::text::log::quoted;
use crate::text::names::is_variable_name;
use crate::value::toml::{Node, Shape};

impl Decoder {
    /// `env`, `variables` and `setup` of the table, an environment or a verb; `place` names it.
    pub(crate) fn layer(&mut self, node: Node<'_>, place: Place<'_>) -> Layer {
        let mut layer = Layer::default();
        if let Some(env) = node.get("env")
            && self.is_table(env, "env")
        {
            for child in env.children() {
                let name = child.key();
                if name.is_empty() || name.contains(['=', '\0']) {
                    self.mistake(child.key_span(), format!("{} cannot be a variable's name", quoted(name)));
                    continue;
                }
                if !matches!(child.shape(), Shape::String | Shape::Array | Shape::Table) {
                    self.mistake_with_hint(
                        child.span(),
                        format!("{} must be a string, not {}", quoted(name), child.shape().name()),
                        "every variable is text: put the value in quotes",
                    );
                    continue;
                }
                if let Some(value) = self.template(child, name) {
                    layer.env.push(Setting { name: name.to_owned(), value, span: child.span() });
                }
            }
        }
        if let Some(variables) = node.get("variables")
            && self.is_table(variables, "variables")
        {
            for child in variables.children() {
                layer.variables.extend(self.declaration(child));
            }
        }
        if let Some(setup) = node.get("setup") {
            for item in self.items(setup, "setup", "an array of tables") {
                layer.setup.extend(self.step(item, place));
            }
        }
        layer
    }

    fn declaration(&mut self, node: Node<'_>) -> Option<Declaration> {
        let name = node.key();
        if !is_variable_name(name.as_bytes()) {
            self.mistake_with_hint(
                node.key_span(),
                format!("{} cannot be a declared variable's name", quoted(name)),
                "a name is a letter or `_`, and then letters, digits, `_` and `.`",
            );
            return None;
        }
        if !self.is_table(node, name) {
            return None;
        }
        self.keys(node, Place::Variable(name), &VARIABLE_KEYS);
        let mut declaration = Declaration { name: name.to_owned(), ..Declaration::default() };
        for child in node.children() {
            match child.key() {
                "about" => declaration.about = self.string(child, "about").map(str::to_owned),
                "default" => declaration.default = self.string(child, "default").map(str::to_owned),
                "required" => declaration.required = self.boolean(child, "required"),
                // Who wrote something else there did not mean it to be shown.
                "secret" => declaration.secret = self.boolean(child, "secret").or(Some(true)),
                "one-of" => declaration.one_of = Some(self.strings(child, "one-of")),
                "type" => {
                    declaration.kind = self.choice(child, "type", &VariableKind::NAMES, VariableKind::parse);
                }
                _ => {}
            }
        }
        Some(declaration)
    }
}
