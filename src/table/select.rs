//! Selects the relevant parts of the table: the chosen environment and the requested verb.

use std::collections::{BTreeMap, BTreeSet};

use crate::table::decode::decoder::{Decoder, Place};
use crate::table::decode::settings::TABLE;
use crate::table::types::{Layer, Settings, VerbPart};
use crate::text::{EnvironmentName, VerbName, did_you_mean, matches, quoted, set_of};
use crate::value::{Document, Mistake, Node, Shape, Sources, Span};

#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// The table's layer and the environment's.
    layers: [Layer; 2],
    pub(crate) verb: Option<SelectedVerb>,
}

impl Selection {
    pub(crate) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().chain(self.verb.iter().flat_map(|verb| &verb.layers))
    }
}

#[derive(Debug)]
pub(crate) struct SelectedVerb {
    pub(crate) name: VerbName,
    pub(crate) part: VerbPart,
    /// Its own layer and that of the environment's changes to it.
    pub(crate) layers: [Layer; 2],
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Verb(VerbName),
    Elsewhere(Vec<String>),
    Unknown,
}

pub(crate) fn read(sources: &Sources) -> Result<Document<'_>, Vec<Mistake>> {
    Document::read(sources, is_setup)
}

/// Does the same, but also returns the tree if keys defined twice are the only mistakes.
pub(crate) fn read_on(sources: &Sources) -> (Option<Document<'_>>, Vec<Mistake>) {
    Document::read_on(sources, is_setup)
}

/// Whether this path is a `setup` of preverb, and not a variable or verb with that name: drop-ins add to it.
fn is_setup(path: &[&str]) -> bool {
    matches!(
        path,
        ["setup"] | ["verbs" | "environments", _, "setup"] | ["environments", _, "verbs", _, "setup"]
    )
}

/// The tree of the whole table, merged.
pub(crate) type Tree<'d> = &'d Document<'d>;

impl<'d> Document<'d> {
    fn verbs(&'d self, environment: &str) -> (Option<Node<'d>>, Option<Node<'d>>) {
        let over = self.environment(environment).and_then(|environment| environment.get("verbs"));
        (self.root().get("verbs"), over)
    }

    pub(crate) fn environment(&'d self, name: &str) -> Option<Node<'d>> {
        self.root().get("environments")?.get(name)
    }

    pub(crate) fn environments(&'d self) -> impl Iterator<Item = &'d str> + use<'d> {
        self.root().below("environments").map(Node::key)
    }

    /// The table alone, as an environment with an empty name, and all environments.
    pub(crate) fn everywhere(&'d self) -> impl Iterator<Item = &'d str> + use<'d> {
        std::iter::once("").chain(self.environments())
    }

    pub(crate) fn parts(&'d self, verb: &str, environment: &str) -> (Option<Node<'d>>, Option<Node<'d>>) {
        let (base, over) = self.verbs(environment);
        (base.and_then(|verbs| verbs.get(verb)), over.and_then(|verbs| verbs.get(verb)))
    }

    pub(crate) fn layers(&'d self) -> Vec<Node<'d>> {
        let places = std::iter::once(self.root()).chain(self.root().below("environments"));
        places.flat_map(|place| std::iter::once(place).chain(place.below("verbs"))).collect()
    }

    /// The variables that any verb or environment declares as secret, and their older names.
    pub(crate) fn secrets(&'d self) -> Vec<String> {
        let variables = || self.layers().into_iter().flat_map(|layer| layer.below("variables"));
        let secrets = set_of(variables().filter(|variable| is_secret(*variable)).map(Node::key));
        let of_secret = variables().filter(|variable| secrets.contains(variable.key()));
        let aliases = of_secret.flat_map(|variable| variable.below("aliases")).filter_map(Node::as_str);
        secrets.iter().copied().chain(aliases).map(str::to_owned).collect()
    }

    /// The places of secret values: values that are assigned to variables or compared with them, and values
    /// in declarations.
    pub(crate) fn secret_values(&'d self) -> Vec<Span> {
        let secrets = set_of(self.secrets());
        let mut values = Vec::new();
        assigned(self.root(), &secrets, &mut values);
        for variables in self.layers().into_iter().filter_map(|layer| layer.get("variables")) {
            // `S = "value"` in a drop-in hides the table's declaration that S is secret.
            values.extend(variables.entries().filter(|entry| entry.shape() != Shape::Table).map(Node::span));
            let secret = variables.entries().filter(|entry| secrets.contains(entry.key()));
            let parts = secret.flat_map(Node::entries).filter(|entry| {
                entry.key() != "about" && matches!(entry.shape(), Shape::String | Shape::Array | Shape::Table)
            });
            values.extend(parts.map(Node::span));
        }
        values
    }

    /// The names of the verbs in this environment: the table's, then the environment's own.
    pub(crate) fn verb_names(&'d self, environment: &str) -> Vec<&'d str> {
        self.verb_nodes(environment).into_iter().map(Node::key).collect()
    }

    fn verb_nodes(&'d self, environment: &str) -> Vec<Node<'d>> {
        let (base, over) = self.verbs(environment);
        let is_new = |node: &Node<'d>| base.is_none_or(|base| base.get(node.key()).is_none());
        let own = over.into_iter().flat_map(Node::children).filter(is_new);
        base.into_iter().flat_map(Node::children).chain(own).collect()
    }

    fn has_verb(&'d self, name: &str, environment: &str) -> bool {
        !matches!(self.parts(name, environment), (None, None))
    }

    /// The strings in an array of each verb in this environment, with the name of the verb and their places.
    pub(crate) fn all_of(
        &'d self, environment: &str, key: &'static str,
    ) -> impl Iterator<Item = (&'d str, &'d str, Span)> + use<'d> {
        let (_, over) = self.verbs(environment);
        self.verb_nodes(environment).into_iter().flat_map(move |verb| {
            let list = over.and_then(|over| over.get(verb.key())?.get(key)).or_else(|| verb.get(key));
            let items = list.into_iter().flat_map(Node::children);
            items.filter_map(move |item| Some((verb.key(), item.as_str()?, item.span())))
        })
    }

    /// The verb with the longest `match` pattern that matches this word. If several patterns have the same
    /// length, the first one wins.
    pub(crate) fn matching(&'d self, word: &[u8], environment: &str) -> Option<VerbName> {
        let patterns = self.all_of(environment, "match");
        let fitting = patterns.filter(|(_, pattern, _)| matches(pattern.as_bytes(), word));
        let best = fitting.reduce(|best, next| if next.1.len() > best.1.len() { next } else { best });
        best.and_then(|(verb, ..)| VerbName::parse(verb.as_bytes()))
    }

    pub(crate) fn lookup(&'d self, word: &[u8], environment: &str) -> Lookup {
        let Some(word) = VerbName::parse(word) else { return Lookup::Unknown };
        let word = word.as_str();
        let find = |environment: &str| {
            let alias = || self.all_of(environment, "aliases").find(|(_, alias, _)| *alias == word);
            if self.has_verb(word, environment) { Some(word) } else { alias().map(|(verb, ..)| verb) }
        };
        if let Some(verb) = find(environment).and_then(|verb| VerbName::parse(verb.as_bytes())) {
            return Lookup::Verb(verb);
        }
        let naming = self.root().get("environment");
        let default = naming.and_then(|naming| naming.get("default")?.as_str()).unwrap_or("prod");
        let names = naming.into_iter().flat_map(|naming| naming.below("names")).filter_map(Node::as_str);
        let known = set_of(self.environments().chain(names).chain([default]));
        let others = known.into_iter().filter(|other| *other != environment && find(other).is_some());
        let elsewhere: Vec<String> = others.map(str::to_owned).collect();
        if elsewhere.is_empty() { Lookup::Unknown } else { Lookup::Elsewhere(elsewhere) }
    }

    /// The clashes of aliases and patterns in this environment, all of them or those that involve `verb`. A
    /// clash that the table alone does not have names the environment.
    pub(crate) fn clashes(&'d self, environment: &str, verb: Option<&str>) -> Vec<Mistake> {
        let mut clashes = Vec::new();
        for key in ["aliases", "match"] {
            let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
            for (owner, name, span) in self.all_of(environment, key) {
                let is_verb = key == "aliases" && self.has_verb(name, environment);
                for (other, is_verb) in [(is_verb.then_some(name), true), (seen.insert(name, owner), false)] {
                    let involves = |other: &&str| verb.is_none_or(|verb| verb == owner || verb == *other);
                    let Some(other) = other.filter(involves) else { continue };
                    let (shown, of, also) = (quoted(name), quoted(owner), quoted(other));
                    let message = match (key, other == owner) {
                        _ if is_verb => format!("alias {shown} of verb {of} is also a verb"),
                        ("aliases", true) => format!("alias {shown} appears twice in verb {of}"),
                        ("aliases", false) => {
                            format!("alias {shown} of verb {of} is also an alias of verb {also}")
                        }
                        (_, true) => format!("pattern {shown} is in `match` of verb {of} twice"),
                        (_, false) => format!("pattern {shown} is in `match` of verbs {also} and {of}"),
                    };
                    clashes.push(Mistake::new(span, message));
                }
            }
        }
        // The empty name matches no environment, so it stands for the table alone.
        if !clashes.is_empty() && !environment.is_empty() {
            let everywhere = self.clashes("", verb);
            for clash in clashes.iter_mut().filter(|clash| !everywhere.contains(clash)) {
                clash.environment = Some(environment.to_owned());
            }
        }
        clashes
    }

    pub(crate) fn settings(&'d self, decoder: &mut Decoder) -> Settings {
        let root = self.root();
        let mut settings = Settings::default();
        decoder.keys(root, &|| "the table".to_owned(), TABLE, &mut settings);
        let asking = ["unknown", "leading-dash"].into_iter().filter_map(|key| root.get(key));
        for node in asking.filter(|node| node.as_str() == Some("default") && root.get("default").is_none()) {
            let message = format!("`{}` is `default`, but the table has no `default` verb", node.key());
            decoder.mistake(node.span(), message).hint("default = \"VERB\"");
        }
        let naming = &mut settings.environment;
        let variable = root.get("variables").and_then(|variables| variables.get(naming.variable()));
        naming.is_secret = variable.is_some_and(is_secret);
        self.check_naming(naming, decoder);
        decoder.environments.clone_from(&naming.names);
        if let Some((name, span)) = &settings.default
            && !self.everywhere().any(|environment| self.has_verb(name.as_str(), environment))
        {
            let message = format!("`default` is {}, which is not a verb", quoted(name.as_str()));
            let all = self.everywhere().flat_map(|each| self.verb_names(each));
            let hint = did_you_mean(name.as_str(), all);
            decoder.mistake(*span, message).hint = hint;
        }
        settings
    }

    pub(crate) fn select(
        &'d self, decoder: &mut Decoder, environment: &EnvironmentName, verb: Option<&VerbName>,
    ) -> Selection {
        let table = decoder.layer(self.root(), &|| "the table".to_owned());
        let node = self.environment(environment.as_str());
        let layers = [table, node.map(|node| decoder.environment(node)).unwrap_or_default()];
        let verb = verb.map(|verb| {
            decoder.mistakes.extend(self.clashes(environment.as_str(), Some(verb.as_str())));
            self.verb(decoder, environment, verb)
        });
        Selection { layers, verb }
    }

    /// Decodes a verb for this environment, without the layers of the table and of the environment, which are
    /// the same for every verb.
    pub(crate) fn verb(
        &'d self, decoder: &mut Decoder, environment: &EnvironmentName, verb: &VerbName,
    ) -> SelectedVerb {
        let (base, over) = self.parts(verb.as_str(), environment.as_str());
        let place: Place<'_> = &|| format!("verb {}", quoted(verb.as_str()));
        let mut part = VerbPart::default();
        let over_place: Place<'_> =
            &|| format!("{} of environment {}", place(), quoted(environment.as_str()));
        let layers = [(base, place), (over, over_place)]
            .map(|(node, place)| node.map(|node| decoder.verb(node, place, &mut part)).unwrap_or_default());
        let has_exec = |node: Node<'_>| node.get("exec").is_some();
        // A mistake in `exec` and a verb that is not a table have already been reported.
        let is_reported = |node: Node<'_>| node.shape() != Shape::Table || has_exec(node);
        if let Some(node) = base.or(over)
            && part.exec.is_none()
            && ![base, over].into_iter().flatten().any(is_reported)
        {
            // A drop-in with a typo in a verb's name creates a new verb. Only the first ones are compared,
            // because the time grows with the square of their number.
            let few = decoder.mistakes.len() < 20;
            let others = if few { self.verb_nodes(environment.as_str()) } else { Vec::new() };
            let others = others.into_iter().filter(|other| has_exec(*other)).map(Node::key);
            let hint = did_you_mean(verb.as_str(), others);
            let form = || "`exec` is the target's argv: `exec = [\"program\", \"argument\"]`".to_owned();
            let mistake = decoder.mistake(node.key_span(), format!("{} has no `exec`", place()));
            mistake.hint(hint.unwrap_or_else(form));
            let mut elsewhere = self.environments().filter_map(|other| self.parts(verb.as_str(), other).1);
            mistake.environment = elsewhere.any(has_exec).then(|| environment.to_string());
        }
        SelectedVerb { name: verb.clone(), part, layers }
    }
}

/// Whether a variable is declared as secret. It also is if the value is not a boolean, which is a mistake.
fn is_secret(variable: Node<'_>) -> bool {
    variable.get("secret").is_some_and(|secret| secret.as_bool() != Some(false))
}

/// Adds the values of secrets in an `env`, and the strings that begin with `SECRET=` or `SECRET!=`, such as
/// conditions.
fn assigned(node: Node<'_>, secrets: &BTreeSet<String>, values: &mut Vec<Span>) {
    for child in node.children() {
        let is_value = node.key() == "env" && secrets.contains(child.key());
        let name = child.as_str().and_then(|text| text.split_once(['=', '!'])).map(|(name, _)| name);
        if is_value || name.is_some_and(|name| secrets.contains(name)) {
            values.push(child.span());
        } else {
            assigned(child, secrets, values);
        }
    }
}
