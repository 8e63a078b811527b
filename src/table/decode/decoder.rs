//! The common parts of decoding: collected mistakes, keys, and values of every form.

use std::time::Duration;

use crate::table::decode::form::{Described, Form};
use crate::text::{
    DURATION_RULE, EnvironmentName, NAME_RULE, VerbName, did_you_mean, is_variable_name, listed,
    parse_duration, parse_mode, quoted,
};
use crate::value::{
    CONDITION_RULE, Condition, Deferred, Mistake, Node, Shape, Span, Template, UserSpec, parse_signal,
};

/// The place of a key, which becomes text only for a mistake.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'p> {
    Table,
    Environment(&'p str),
    Verb(&'p str),
    VerbOf(&'p str, &'p str),
    /// A step of one of the places above.
    StepOf(&'p Place<'p>),
    /// A table in one of the places above, named by its key or header.
    Named(&'p str),
    Variable(&'p str),
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Table => f.write_str("the table"),
            Self::Environment(name) => write!(f, "environment {}", quoted(name)),
            Self::Verb(name) => write!(f, "verb {}", quoted(name)),
            Self::VerbOf(name, environment) => {
                write!(f, "verb {} of environment {}", quoted(name), quoted(environment))
            }
            Self::StepOf(place) => write!(f, "a step of {place}"),
            Self::Named(name) => f.write_str(&quoted(name)),
            Self::Variable(name) => write!(f, "`[variables.{name}]`"),
        }
    }
}

pub(crate) struct Key<T: 'static> {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) about: &'static str,
    pub(crate) reader: fn(&mut Decoder, Node<'_>, &mut T),
    /// The kinds of steps that accept this key; empty if all do.
    pub(crate) kinds: &'static [&'static str],
}

impl<T> Key<T> {
    pub(crate) fn describe(&self) -> Described {
        Described { name: self.name, form: self.form, about: self.about, kinds: self.kinds }
    }
}

/// The keys of a noun. The reader of a key is a function, or a field with a method of the decoder, for the
/// value or for each item, or with a choice. A key without a reader is decoded separately.
macro_rules! keys {
    ($type:ty {
        $($name:literal $([$($kind:literal)+])?, $form:ident $(($of:expr))?, $about:literal, $reader:tt;)+
    }) => {
        &[$(crate::table::decode::decoder::Key {
            name: $name,
            form: crate::table::decode::form::Form::$form $(($of))?,
            about: $about,
            kinds: &[$($($kind),+)?],
            reader: crate::table::decode::decoder::keys!(@reader $type, $reader),
        }),+]
    };
    (@reader $type:ty, ()) => { |_, _, _| {} };
    (@reader $type:ty, ($($field:ident).+ = $method:ident)) => {
        |decoder, node, into: &mut $type| into.$($field).+ = decoder.$method(node)
    };
    (@reader $type:ty, ($($field:ident).+ = Some($method:ident))) => {
        |decoder, node, into: &mut $type| into.$($field).+ = Some(decoder.$method(node))
    };
    (@reader $type:ty, ($($field:ident).+ = $list:ident of $method:ident)) => {
        |decoder, node, into: &mut $type| into.$($field).+ = decoder.$list(node, Decoder::$method)
    };
    (@reader $type:ty, ($($field:ident).+ = Some($list:ident of $method:ident))) => {
        |decoder, node, into: &mut $type| into.$($field).+ = Some(decoder.$list(node, Decoder::$method))
    };
    (@reader $type:ty, ($($field:ident).+: Option<$choice:ty>)) => {
        |decoder, node, into: &mut $type| {
            into.$($field).+ = decoder.choice(node, &<$choice>::NAMES, <$choice>::parse);
        }
    };
    (@reader $type:ty, ($($field:ident).+: $choice:ty)) => {
        |decoder, node, into: &mut $type| {
            into.$($field).+ = decoder.choice(node, &<$choice>::NAMES, <$choice>::parse).unwrap_or_default();
        }
    };
    (@reader $type:ty, ($function:path)) => { $function };
}

pub(crate) use keys;

#[derive(Debug, Default)]
pub(crate) struct Decoder {
    pub(crate) mistakes: Vec<Mistake>,
    pub(crate) environments: Option<Vec<EnvironmentName>>,
}

type Read<T> = fn(&mut Decoder, Node<'_>) -> Option<T>;

impl Decoder {
    /// Records a mistake; the result can take a hint.
    pub(crate) fn mistake(&mut self, span: Span, message: impl Into<String>) -> &mut Mistake {
        let at = self.mistakes.len();
        self.mistakes.push(Mistake::new(span, message));
        &mut self.mistakes[at]
    }

    /// Records a mistake and returns no value.
    pub(crate) fn refuse<T>(&mut self, span: Span, message: impl Into<String>) -> Option<T> {
        self.mistake(span, message);
        None
    }

    fn masked_mistake(&mut self, node: Node<'_>, message: String, masked: String, hint: &str) {
        let mistake = self.mistake(node.span(), message);
        mistake.masked = Some(masked);
        mistake.hint(hint);
    }

    /// Parses a string; the mistake says that it is `what` if it is not valid.
    fn valid<T>(
        &mut self, node: Node<'_>, parse: impl Fn(&str) -> Option<T>, what: &str, hint: &str,
    ) -> Option<T> {
        let text = self.string(node)?;
        let value = parse(text);
        if value.is_none() {
            let key = quoted(node.key());
            let message = format!("{key} is {}, which is {what}", quoted(text));
            self.masked_mistake(node, message, format!("{key} is {what}"), hint);
        }
        value
    }

    pub(crate) fn wrong_type<T>(&mut self, node: Node<'_>, wanted: &str) -> Option<T> {
        let key = quoted(node.key());
        self.refuse(node.span(), format!("{key} must be {wanted}, not {}", node.shape().name()))
    }

    pub(crate) fn is_table(&mut self, node: Node<'_>) -> bool {
        node.shape() == Shape::Table || self.wrong_type(node, "a table").unwrap_or(false)
    }

    /// The entries of a table. Anything else is a mistake.
    pub(crate) fn entries<'d>(&mut self, node: Node<'d>) -> std::vec::IntoIter<Node<'d>> {
        if self.is_table(node) { node.children() } else { Vec::new().into_iter() }
    }

    /// Decodes a table by its keys. Every unknown key is a mistake.
    pub(crate) fn keys<T>(&mut self, node: Node<'_>, place: Place<'_>, keys: &[Key<T>], into: &mut T) {
        for child in node.children() {
            match keys.iter().find(|key| key.name == child.key()) {
                Some(key) => (key.reader)(self, child, into),
                None => self.unknown_key(child, place, &mut keys.iter().map(|key| key.name)),
            }
        }
    }

    pub(crate) fn table<T: Default>(&mut self, node: Node<'_>, place: Place<'_>, keys: &[Key<T>]) -> T {
        let mut into = T::default();
        if self.is_table(node) {
            self.keys(node, place, keys, &mut into);
        }
        into
    }

    /// Records a mistake for a key that is not one of `known`.
    pub(crate) fn unknown_key(
        &mut self, child: Node<'_>, place: Place<'_>, known: &mut dyn Iterator<Item = &'static str>,
    ) {
        let known: Vec<&str> = known.collect();
        let key = child.key();
        let hint = did_you_mean(key, known.iter().copied());
        let hint = hint.unwrap_or_else(|| format!("the keys here are {}", listed(&known)));
        self.mistake(child.key_span(), format!("unknown key {} in {place}", quoted(key))).hint(hint);
    }

    pub(crate) fn string<'d>(&mut self, node: Node<'d>) -> Option<&'d str> {
        match node.as_str() {
            Some(text) if text.contains('\0') => {
                let key = quoted(node.key());
                self.refuse(node.span(), format!("{key} contains a NUL character, which is not allowed"))
            }
            Some(text) => Some(text),
            None => self.wrong_type(node, "a string"),
        }
    }

    pub(crate) fn text(&mut self, node: Node<'_>) -> Option<String> {
        self.string(node).map(str::to_owned)
    }

    /// A non-empty text; `of` describes the named thing.
    pub(crate) fn name_of(&mut self, node: Node<'_>, of: &str) -> Option<String> {
        let name = self.text(node)?;
        if !name.is_empty() {
            return Some(name);
        }
        self.refuse(node.span(), format!("`{}` is not the name of {of}", node.key()))
    }

    pub(crate) fn flag(&mut self, node: Node<'_>) -> Option<bool> {
        if matches!(node.shape(), Shape::True | Shape::False) {
            return Some(node.shape() == Shape::True);
        }
        self.wrong_type(node, "`true` or `false`")
    }

    /// Parses one of a few names.
    pub(crate) fn choice<T>(
        &mut self, node: Node<'_>, names: &[&str], parse: fn(&str) -> Option<T>,
    ) -> Option<T> {
        self.valid(node, parse, "not one of its values", &format!("it is one of {}", listed(names)))
    }

    pub(crate) fn template(&mut self, node: Node<'_>) -> Option<Template> {
        let parsed = Template::parse(self.string(node)?);
        self.well_formed(node, parsed).map(|template| template.at(node.span()))
    }

    pub(crate) fn template_element(&mut self, node: Node<'_>) -> Option<Template> {
        let parsed = Template::parse_element(self.string(node)?);
        self.well_formed(node, parsed).map(|template| template.at(node.span()))
    }

    /// The parsed value, or a mistake for a malformed `${`. The reason may quote nearby text.
    fn well_formed<T>(&mut self, node: Node<'_>, parsed: Result<T, String>) -> Option<T> {
        let malformed = |reason| {
            let key = quoted(node.key());
            let masked = format!("{key}: a `${{` in it has none of the forms");
            let hint = "a literal `${` is written `$${`";
            self.masked_mistake(node, format!("{key}: {reason}"), masked, hint);
        };
        parsed.map_err(malformed).ok()
    }

    pub(crate) fn items<'d>(&mut self, node: Node<'d>) -> std::vec::IntoIter<Node<'d>> {
        if node.shape() == Shape::Array {
            return node.children();
        }
        self.wrong_type(node, "an array of strings").unwrap_or_default()
    }

    pub(crate) fn array<T>(&mut self, node: Node<'_>, read: Read<T>) -> Vec<T> {
        self.items(node).filter_map(|item| read(self, item)).collect()
    }

    pub(crate) fn list<T>(&mut self, node: Node<'_>, read: Read<T>) -> Vec<T> {
        if node.shape() == Shape::String {
            return read(self, node).into_iter().collect();
        }
        if node.shape() == Shape::Array && node.children().len() == 0 {
            self.mistake(node.span(), format!("{} is empty", quoted(node.key())));
        }
        self.array(node, read)
    }

    pub(crate) fn duration(&mut self, node: Node<'_>) -> Option<Deferred<Duration>> {
        self.deferred(node, parse_duration, "not a duration", DURATION_RULE)
    }

    pub(crate) fn fixed_duration(&mut self, node: Node<'_>) -> Option<Duration> {
        self.valid(node, parse_duration, "not a duration", DURATION_RULE)
    }

    pub(crate) fn mode(&mut self, node: Node<'_>) -> Option<Deferred<u32>> {
        let key = node.key();
        let hint = format!("{key} = \"{}\"", if key == "umask" { "027" } else { "0755" });
        if node.shape() == Shape::Integer {
            self.mistake(node.span(), format!("{} must be a string of octal digits", quoted(key))).hint(hint);
            return None;
        }
        self.deferred(node, parse_mode, "not an octal mode", &hint)
    }

    pub(crate) fn umask(&mut self, node: Node<'_>) -> Option<Deferred<u32>> {
        let mode = self.mode(node)?;
        if matches!(mode, Deferred::Known(mode) if mode > 0o777) {
            return self.refuse(node.span(), "`umask` is larger than 0777");
        }
        Some(mode)
    }

    /// A value that is known now, or only after its `${...}` are expanded.
    fn deferred<T>(
        &mut self, node: Node<'_>, parse: fn(&str) -> Option<T>, what: &str, hint: &str,
    ) -> Option<Deferred<T>> {
        let template = self.template(node)?;
        if !template.is_literal() {
            return Some(Deferred::Template(template));
        }
        self.valid(node, |_| parse(template.source()), what, hint).map(Deferred::Known)
    }

    pub(crate) fn verb_name(&mut self, node: Node<'_>) -> Option<VerbName> {
        self.valid(node, |name| VerbName::parse(name.as_bytes()), "not a valid verb name", NAME_RULE)
    }

    pub(crate) fn environment_name(&mut self, node: Node<'_>) -> Option<EnvironmentName> {
        let parse = |name: &str| EnvironmentName::parse(name.as_bytes());
        self.valid(node, parse, "not a valid environment name", NAME_RULE)
    }

    pub(crate) fn variable_name(&mut self, node: Node<'_>) -> Option<String> {
        let name = self.string(node)?;
        if is_variable_name(name.as_bytes()) {
            return Some(name.to_owned());
        }
        self.refuse(node.span(), format!("{} is not a valid variable name", quoted(name)))
    }

    pub(crate) fn signal(&mut self, span: Span, text: &str) -> Option<i32> {
        parse_signal(text).or_else(|| self.refuse(span, format!("{} is not a signal", quoted(text))))
    }

    pub(crate) fn condition(&mut self, node: Node<'_>) -> Option<Condition> {
        let parsed = Condition::parse(self.string(node)?);
        let condition = self.well_formed(node, parsed)?.map(|condition| condition.at(node.span()));
        self.valid(node, |_| condition.clone(), "not a condition", CONDITION_RULE)
    }

    pub(crate) fn user(&mut self, node: Node<'_>) -> Option<Template> {
        let template = self.template(node)?;
        if template.is_literal()
            && let Err(reason) = UserSpec::parse(template.source().as_bytes())
        {
            let message = format!("`user` is {}: {reason}", quoted(template.source()));
            self.mistake(node.span(), message).hint("a user is `name`, `uid`, `name:group` or `uid:gid`");
            return None;
        }
        Some(template)
    }

    pub(crate) fn path(&mut self, node: Node<'_>) -> Option<Template> {
        let template = self.template(node)?;
        if template.source().is_empty() {
            return self.refuse(node.span(), format!("{} is an empty path", quoted(node.key())));
        }
        Some(template)
    }
}
