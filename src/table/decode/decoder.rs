//! The common parts of decoding: collected mistakes, keys, and values of every form.

use std::time::Duration;

use crate::text::{
    DURATION_RULE, EnvironmentName, NAME_RULE, VerbName, did_you_mean, is_variable_name, listed,
    parse_duration, parse_mode, quoted,
};
use crate::value::{
    CONDITION_RULE, Condition, Deferred, Mistake, Node, Shape, Span, Template, UserSpec, parse_signal,
};

/// Describes the place of a key. It is only called for a mistake.
pub(crate) type Place<'p> = &'p dyn Fn() -> String;

/// The description of a key, for the schema and the documentation.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// Its name in the table.
    pub name: &'static str,
    /// The form of its value.
    pub form: Form,
    /// A one-line description.
    pub about: &'static str,
    /// The kinds of steps that accept it; empty if all do.
    pub kinds: &'static [&'static str],
}

/// The form of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the test that makes the schema explains each one")]
pub enum Form {
    Text,
    Flag,
    OneOf(&'static [&'static str]),
    Name,
    Names,
    NamesByName,
    Variable,
    Strings,
    OneOrMore,
    Conditions,
    Argv,
    Arguments,
    Path,
    Paths,
    Mode,
    Duration,
    Filter,
    Required,
    Env,
    Interpreters,
    Limits,
    Capabilities,
    Probe,
    Probes,
    Signals,
    ExitCodes,
    FlagOr(&'static str),
    Noun(&'static str),
    ByName(&'static str),
    ByVariable(&'static str),
    List(&'static str),
}

pub(crate) struct Key<T: 'static> {
    pub(crate) described: Described,
    pub(crate) read: fn(&mut Decoder, Node<'_>, &mut T),
}

/// The keys of a noun. The reader of a key is a method of the decoder, or a field (`_` for none) with a
/// method for its value (with `from`, one that always has a value) or for each item, or with a choice. A key
/// without a reader is decoded separately.
macro_rules! keys {
    ($type:ty {
        $($name:literal $([$($kind:literal)+])?, $form:ident $(($of:expr))?, $about:literal, $reader:tt;)+
    }) => {
        &[$(crate::table::decode::decoder::Key {
            described: crate::table::decode::decoder::Described {
                name: $name,
                form: crate::table::decode::decoder::Form::$form $(($of))?,
                about: $about,
                kinds: &[$($($kind),+)?],
            },
            read: crate::table::decode::decoder::keys!(@reader $type, $reader),
        }),+]
    };
    (@reader $type:ty, ()) => { |_, _, _| {} };
    (@reader $type:ty, ($method:ident)) => { |decoder, node, into: &mut $type| decoder.$method(node, into) };
    (@reader $type:ty, (_ = $method:ident)) => { |decoder, node, _| { decoder.$method(node); } };
    (@reader $type:ty, ($($field:ident).+ = $method:ident)) => {
        |decoder, node, into: &mut $type| {
            if let Some(value) = decoder.$method(node) {
                into.$($field).+ = value.into();
            }
        }
    };
    (@reader $type:ty, ($($field:ident).+ = from $method:ident)) => {
        |decoder, node, into: &mut $type| into.$($field).+ = decoder.$method(node).into()
    };
    (@reader $type:ty, ($($field:ident).+ = $list:ident of $method:ident)) => {
        |decoder, node, into: &mut $type| into.$($field).+ = decoder.$list(node, Decoder::$method).into()
    };
    (@reader $type:ty, ($($field:ident).+: $choice:ty)) => {
        |decoder, node, into: &mut $type| {
            if let Some(value) = decoder.choice(node, &<$choice>::NAMES, <$choice>::parse) {
                into.$($field).+ = value.into();
            }
        }
    };
}

pub(crate) use keys;

#[derive(Debug, Default)]
pub(crate) struct Decoder {
    pub(crate) mistakes: Vec<Mistake>,
    pub(crate) environments: Option<Vec<EnvironmentName>>,
}

type Read<T> = fn(&mut Decoder, Node<'_>) -> Option<T>;
type Parse<T> = fn(&str) -> Option<T>;

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

    pub(crate) fn refuse_with<T>(&mut self, span: Span, message: impl Into<String>, hint: &str) -> Option<T> {
        self.mistake(span, message).hint(hint);
        None
    }

    /// Parses a string; the mistake says that it is `what` if it is not valid.
    fn valid<T>(&mut self, node: Node<'_>, parse: Parse<T>, what: &str, hint: &str) -> Option<T> {
        parse(self.string(node)?).or_else(|| self.invalid(node, what, hint))
    }

    fn invalid<T>(&mut self, node: Node<'_>, what: &str, hint: &str) -> Option<T> {
        let (key, text) = (quoted(node.key()), quoted(node.as_str().unwrap_or_default()));
        let message = format!("{key} is {text}, which is {what}");
        self.refuse_masked(node, message, format!("{key} is {what}"), hint)
    }

    fn refuse_masked<T>(&mut self, node: Node<'_>, message: String, masked: String, hint: &str) -> Option<T> {
        let mistake = self.mistake(node.span(), message);
        mistake.masked = Some(masked);
        mistake.hint(hint);
        None
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

    /// Decodes a table by its keys; whether it is one. Every unknown key is a mistake.
    pub(crate) fn keys<T>(
        &mut self, node: Node<'_>, place: Place<'_>, keys: &[Key<T>], into: &mut T,
    ) -> bool {
        for child in self.entries(node) {
            match keys.iter().find(|key| key.described.name == child.key()) {
                Some(key) => (key.read)(self, child, into),
                None => self.unknown_key(child, place, &mut keys.iter().map(|key| key.described.name)),
            }
        }
        node.shape() == Shape::Table
    }

    /// Records a mistake for a key that is not one of `known`.
    pub(crate) fn unknown_key(
        &mut self, child: Node<'_>, place: Place<'_>, known: &mut dyn Iterator<Item = &'static str>,
    ) {
        let known: Vec<&str> = known.collect();
        let hint = did_you_mean(child.key(), known.iter().copied());
        let hint = hint.unwrap_or_else(|| format!("the keys here are {}", listed(&known)));
        let message = format!("unknown key {} in {}", quoted(child.key()), place());
        self.mistake(child.key_span(), message).hint(hint);
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
        let name = Some(self.text(node)?).filter(|name| !name.is_empty());
        name.or_else(|| self.refuse(node.span(), format!("`{}` is not the name of {of}", node.key())))
    }

    pub(crate) fn flag(&mut self, node: Node<'_>) -> Option<bool> {
        node.as_bool().or_else(|| self.wrong_type(node, "`true` or `false`"))
    }

    pub(crate) fn choice<T>(&mut self, node: Node<'_>, names: &[&str], parse: Parse<T>) -> Option<T> {
        self.valid(node, parse, "not one of its values", &format!("it is one of {}", listed(names)))
    }

    pub(crate) fn template(&mut self, node: Node<'_>) -> Option<Template> {
        self.well_formed(node, Template::parse).map(|template| template.at(node.span()))
    }

    pub(crate) fn template_element(&mut self, node: Node<'_>) -> Option<Template> {
        self.well_formed(node, Template::parse_element).map(|template| template.at(node.span()))
    }

    /// The parsed value, or a mistake for a malformed `${`. The reason may quote nearby text.
    fn well_formed<T>(&mut self, node: Node<'_>, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        let parsed = parse(self.string(node)?);
        let malformed = |reason| {
            let key = quoted(node.key());
            let masked = format!("{key}: a `${{` in it has none of the forms");
            self.refuse_masked(node, format!("{key}: {reason}"), masked, "a literal `${` is written `$${`")
        };
        parsed.map_or_else(malformed, Some)
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

    pub(crate) fn map<T>(&mut self, node: Node<'_>, read: Read<T>) -> Vec<T> {
        self.entries(node).filter_map(|entry| read(self, entry)).collect()
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
            let message = format!("{} must be a string of octal digits", quoted(key));
            return self.refuse_with(node.span(), message, &hint);
        }
        self.deferred(node, parse_mode, "not an octal mode", &hint)
    }

    pub(crate) fn umask(&mut self, node: Node<'_>) -> Option<Deferred<u32>> {
        let umask = Some(self.mode(node)?).filter(|umask| umask.known().is_none_or(|mode| mode <= 0o777));
        umask.or_else(|| self.refuse(node.span(), "`umask` is larger than 0777"))
    }

    /// A value that is known now, or only after its `${...}` are expanded.
    fn deferred<T>(
        &mut self, node: Node<'_>, parse: Parse<T>, what: &str, hint: &str,
    ) -> Option<Deferred<T>> {
        let template = self.template(node)?;
        if !template.is_literal() {
            return Some(Deferred::Template(template));
        }
        self.valid(node, parse, what, hint).map(Deferred::Known)
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
        let valid = is_variable_name(name.as_bytes()).then(|| name.to_owned());
        valid.or_else(|| self.refuse(node.span(), format!("{} is not a valid variable name", quoted(name))))
    }

    pub(crate) fn signal(&mut self, span: Span, text: &str) -> Option<i32> {
        parse_signal(text).or_else(|| self.refuse(span, format!("{} is not a signal", quoted(text))))
    }

    pub(crate) fn condition(&mut self, node: Node<'_>) -> Option<Condition> {
        let condition = self.well_formed(node, Condition::parse)?;
        let condition = condition.map(|condition| condition.at(node.span()));
        condition.or_else(|| self.invalid(node, "not a condition", CONDITION_RULE))
    }

    pub(crate) fn user(&mut self, node: Node<'_>) -> Option<Template> {
        let template = self.template(node)?;
        let parsed = UserSpec::parse(template.source().as_bytes());
        let Some(reason) = parsed.err().filter(|_| template.is_literal()) else { return Some(template) };
        let message = format!("`user` is {}: {reason}", quoted(template.source()));
        self.refuse_with(node.span(), message, "a user is `name`, `uid`, `name:group` or `uid:gid`")
    }

    pub(crate) fn path(&mut self, node: Node<'_>) -> Option<Template> {
        let path = Some(self.template(node)?).filter(|path| !path.source().is_empty());
        path.or_else(|| self.refuse(node.span(), format!("{} is an empty path", quoted(node.key()))))
    }
}
