//! The keys that a table, an environment and a verb share: `env`, `variables`, `setup`.

use crate::table::decode::decoder::{Decoder, Key, Place, keys};
use crate::table::types::{Declaration, Layer, Required, VariableKind};
use crate::text::{is_variable_name, quoted};
use crate::value::{Node, Setting, Shape};

/// The keys of an environment. Its layer and its verbs are decoded separately.
pub(crate) const OF_ENVIRONMENT: &[Key<()>] = keys! { () {
    "env", Env, "Variables, over those of the table.", ();
    "variables", ByVariable("variable"), "Declared variables.", ();
    "setup", List("step"), "Steps, after those of the table.", ();
    "verbs", ByName("verb"), "Changes of verbs, and additional verbs.", (_ = is_table);
} };

pub(crate) const VARIABLE: &[Key<Declaration>] = keys! { Declaration {
    "about", Text, "A description.", (about = text);
    "default", Text, "Its value when it is unset or empty.", (default = text);
    "required", Required, "Whether, or when, it must not be empty.", (required = required);
    "late", Flag, "Whether a step supplies it.", (late = flag);
    "type", OneOf(&VariableKind::NAMES), "The form of its value.", (kind: VariableKind);
    "one-of", Strings, "Its valid values.", (one_of = array of text);
    "secret", Flag, "Whether its value is never shown.", (secret = secret);
    "file", Flag, "Whether it may come from a file, as a secret may.", (file = flag);
    "aliases", Strings, "Older names of it.", (aliases = array of variable_name);
    "conflicts", Strings, "Variables that exclude it.", (conflicts = array of variable_name);
} };

impl Decoder {
    fn required(&mut self, node: Node<'_>) -> Option<Required> {
        match node.shape() {
            Shape::True => Some(Required::If(Vec::new())),
            Shape::False => Some(Required::No),
            Shape::Array => Some(Required::If(self.list(node, Self::condition))),
            Shape::String | Shape::Integer | Shape::Float | Shape::DateTime | Shape::Table => {
                self.wrong_type(node, "`true` or `false`, or an array of conditions")
            }
        }
    }

    /// If the value is not valid, the variable counts as secret.
    fn secret(&mut self, node: Node<'_>) -> Option<bool> {
        self.flag(node).or(Some(true))
    }

    /// `env`, `variables` and `setup` of the table, an environment or a verb; `place` names which.
    pub(crate) fn layer(&mut self, node: Node<'_>, place: Place<'_>) -> Layer {
        let env = node.get("env").map(|env| self.map(env, Self::setting)).unwrap_or_default();
        let variables = node.get("variables").map(|variables| self.map(variables, Self::declaration));
        let setup = node.get("setup").map(|setup| self.steps(setup, place, false)).unwrap_or_default();
        Layer { env, variables: variables.unwrap_or_default(), setup }
    }

    pub(crate) fn setting(&mut self, node: Node<'_>) -> Option<Setting> {
        let name = node.key();
        if name.is_empty() || name.contains(['=', '\0']) {
            return self.refuse(node.key_span(), format!("{} is not a valid variable name", quoted(name)));
        }
        if !matches!(node.shape(), Shape::String | Shape::Array | Shape::Table) {
            let message = format!("{} must be a string, not {}", quoted(name), node.shape().name());
            self.mistake(node.span(), message).hint("every variable is text: put the value in quotes");
            return None;
        }
        let value = self.template(node)?;
        Some(Setting { name: name.to_owned(), value })
    }

    fn declaration(&mut self, node: Node<'_>) -> Option<Declaration> {
        let name = node.key();
        if !is_variable_name(name.as_bytes()) {
            let message = format!("{} is not a valid name for a declared variable", quoted(name));
            let hint = "a name is a letter or `_`, and then letters, digits, `_` and `.`";
            self.mistake(node.key_span(), message).hint(hint);
            return None;
        }
        let mut declaration = Declaration { name: name.to_owned(), ..Declaration::default() };
        if !self.is_table(node) {
            return None;
        }
        self.keys(node, &|| format!("`[variables.{name}]`"), VARIABLE, &mut declaration);
        Some(declaration)
    }
}
