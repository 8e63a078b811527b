//! Which part of the table counts: the chosen environment, and the verb that was asked for.

use std::collections::BTreeSet;

use crate::table::decode::decoder::Decoder;
use crate::table::decode::layer::OF_ENVIRONMENT;
use crate::table::decode::place::Place;
use crate::table::naming::{self, Named};
use crate::table::types::{Layer, Naming, Settings, VerbPart};

use crate::text::log::quoted;
use crate::text::names::{EnvironmentName, VerbName};
use crate::text::pattern;
use crate::value::toml::{Document, Mistake, Node, Shape, Sources, Span};

/// What counts of the table in one environment, with one verb or none.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    pub(crate) table: Layer,
    pub(crate) environment: Layer,
    /// The verb that was asked for, the environment's part laid over it.
    pub(crate) verb: Option<SelectedVerb>,
}

impl Selection {
    /// The layers, lowest first.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &Layer> {
        let verb = self.verb.iter().flat_map(|verb| [&verb.part.layer, &verb.environment_layer]);
        [&self.table, &self.environment].into_iter().chain(verb)
    }
}

/// A verb in an environment.
#[derive(Debug)]
pub(crate) struct SelectedVerb {
    /// Its own name, whatever alias was used.
    pub(crate) name: VerbName,
    /// Everything but the layers laid together; its `layer` is the verb's.
    pub(crate) part: VerbPart,
    pub(crate) environment_layer: Layer,
}

/// What a first word is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Verb(VerbName),
    Elsewhere(Vec<String>),
    Unknown,
}

/// A verb in an environment, as nodes.
#[derive(Debug, Clone, Copy)]
struct Verb<'d> {
    name: &'d str,
    base: Option<Node<'d>>,
    over: Option<Node<'d>>,
}

/// Reads a table and its drop-ins.
pub(crate) fn read(sources: &Sources) -> Result<Document<'_>, Vec<Mistake>> {
    Document::read(sources, is_setup)
}

/// The same, and where nothing is wrong but that something is defined twice, the tree all the same.
pub(crate) fn read_on(sources: &Sources) -> (Option<Document<'_>>, Vec<Mistake>) {
    Document::read_on(sources, is_setup)
}

/// Whether a `setup` of preverb's is at this path (a variable or a verb may be so named): drop-ins add to it.
fn is_setup(path: &[&str]) -> bool {
    matches!(
        path,
        ["setup"] | ["verbs" | "environments", _, "setup"] | ["environments", _, "verbs", _, "setup"]
    )
}

/// The table as a tree, asked questions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tree<'d> {
    document: &'d Document<'d>,
}

impl<'d> Tree<'d> {
    /// Asks this document.
    pub(crate) fn new(document: &'d Document<'d>) -> Self {
        Self { document }
    }

    /// The texts that the table was read from.
    pub(crate) fn sources(self) -> &'d Sources {
        self.document.sources()
    }

    /// The table's own node.
    pub(crate) fn root(self) -> Node<'d> {
        self.document.root()
    }

    /// `verbs`: the table's, or an environment's.
    fn verbs(self, environment: Option<&str>) -> Option<Node<'d>> {
        match environment {
            None => self.root().get("verbs"),
            Some(name) => self.environment(name)?.get("verbs"),
        }
    }

    /// The table of this environment.
    pub(crate) fn environment(self, name: &str) -> Option<Node<'d>> {
        self.root().get("environments")?.get(name)
    }

    /// The environments that the table mentions.
    pub(crate) fn environments(self) -> impl Iterator<Item = &'d str> + use<'d> {
        self.root().get("environments").into_iter().flat_map(Node::children).map(Node::key)
    }

    /// The environments that the table mentions, in filters of steps as well.
    pub(crate) fn mentioned_environments(self) -> BTreeSet<&'d str> {
        naming::mentioned(self.root())
    }

    /// What a name of an environment stands for.
    pub(crate) fn named(self, naming: &Naming, name: &EnvironmentName) -> Named {
        naming::named(self.root(), naming, name)
    }

    /// The table's part and the environment's part of a verb.
    pub(crate) fn parts(self, verb: &str, environment: &str) -> (Option<Node<'d>>, Option<Node<'d>>) {
        let base = self.verbs(None).and_then(|verbs| verbs.get(verb));
        let over = self.verbs(Some(environment)).and_then(|verbs| verbs.get(verb));
        (base, over)
    }

    /// Everything that can have an `env`, `variables` and `setup`.
    pub(crate) fn layers(self) -> Vec<Node<'d>> {
        let below = |node: Node<'d>, key| node.get(key).into_iter().flat_map(Node::children);
        let mut layers = vec![self.root()];
        layers.extend(below(self.root(), "verbs"));
        for environment in below(self.root(), "environments") {
            layers.push(environment);
            layers.extend(below(environment, "verbs"));
        }
        layers
    }

    /// The variables that are declared to be a secret, for whichever verb and environment.
    pub(crate) fn secrets(self) -> Vec<String> {
        let variables = self.layers().into_iter().filter_map(|layer| layer.get("variables"));
        let variables = variables.flat_map(Node::children).filter(|variable| {
            // What is neither true nor false is a mistake, and not meant to be shown.
            variable.get("secret").is_some_and(|secret| secret.shape() != Shape::Boolean(false))
        });
        variables.map(|variable| variable.key().to_owned()).collect()
    }

    /// Where the values of secrets stand, in order: those that variables are set to, and what a declaration
    /// says of them.
    pub(crate) fn secret_values(self) -> Vec<Span> {
        let secrets: BTreeSet<String> = self.secrets().into_iter().collect();
        let mut values = Vec::new();
        for layer in self.layers() {
            let of = |section| {
                let entries = layer.get(section).into_iter().flat_map(Node::entries);
                entries.filter(|entry| secrets.contains(entry.key()))
            };
            values.extend(of("env").map(Node::span));
            // A drop-in's `S = "value"` hides that the table declares S to be a secret.
            let misplaced = layer.get("variables").into_iter().flat_map(Node::entries);
            values.extend(misplaced.filter(|entry| entry.shape() != Shape::Table).map(Node::span));
            for variable in of("variables") {
                let said = variable.entries().filter(|entry| entry.key() != "about");
                let is_value =
                    |entry: &Node<'_>| matches!(entry.shape(), Shape::String | Shape::Array | Shape::Table);
                values.extend(said.filter(is_value).map(Node::span));
            }
        }
        values.sort_unstable();
        values
    }

    /// The verbs in this environment, each with the table's part and the environment's: first the table's
    /// verbs, then those that only the environment has.
    fn verbs_in(self, environment: &str) -> impl Iterator<Item = Verb<'d>> + use<'d> {
        let (base, over) = (self.verbs(None), self.verbs(Some(environment)));
        let shared = base.into_iter().flat_map(Node::children);
        let shared = shared.map(move |node| {
            let name = node.key();
            Verb { name, base: Some(node), over: over.and_then(|over| over.get(name)) }
        });
        let own = over.into_iter().flat_map(Node::children);
        let own = own.filter(move |node| base.is_none_or(|base| base.get(node.key()).is_none()));
        shared.chain(own.map(|node| Verb { name: node.key(), base: None, over: Some(node) }))
    }

    /// The names of the verbs in this environment: the table's, then the environment's own.
    pub(crate) fn verb_names(self, environment: &str) -> Vec<&'d str> {
        self.verbs_in(environment).map(|verb| verb.name).collect()
    }

    fn has_verb(self, name: &str, environment: &str) -> bool {
        let (base, over) = self.parts(name, environment);
        base.is_some() || over.is_some()
    }

    /// Every alias in this environment, as a node, with its verb.
    pub(crate) fn all_aliases(
        self,
        environment: &str,
    ) -> impl Iterator<Item = (&'d str, Node<'d>)> + use<'d> {
        self.all_of(environment, "aliases")
    }

    /// Every item of this list of the verbs in this environment, with its verb.
    fn all_of(
        self,
        environment: &str,
        key: &'static str,
    ) -> impl Iterator<Item = (&'d str, Node<'d>)> + use<'d> {
        self.verbs_in(environment).flat_map(move |verb| {
            let list = [verb.over, verb.base].into_iter().flatten().find_map(|part| part.get(key));
            list.into_iter().flat_map(Node::children).map(move |item| (verb.name, item))
        })
    }

    /// The verb whose `match` has the longest pattern that this word matches; of patterns of one length, the
    /// first.
    pub(crate) fn matching(self, word: &[u8], environment: &str) -> Option<VerbName> {
        let mut best: Option<(usize, &str)> = None;
        for (verb, item) in self.all_of(environment, "match") {
            let Some(text) = item.as_str() else { continue };
            if best.is_none_or(|(length, _)| text.len() > length) && pattern::matches(text.as_bytes(), word) {
                best = Some((text.len(), verb));
            }
        }
        best.and_then(|(_, verb)| VerbName::parse(verb.as_bytes()))
    }

    /// What `word` is in this environment.
    pub(crate) fn lookup(self, word: &[u8], environment: &str) -> Lookup {
        let Some(word) = VerbName::parse(word) else { return Lookup::Unknown };
        if self.has_verb(word.as_str(), environment) {
            return Lookup::Verb(word);
        }
        let alias = self.all_aliases(environment).find(|(_, alias)| alias.as_str() == Some(word.as_str()));
        if let Some(verb) = alias.and_then(|(verb, _)| VerbName::parse(verb.as_bytes())) {
            return Lookup::Verb(verb);
        }
        let elsewhere: Vec<String> = self
            .environments()
            .filter(|other| *other != environment)
            .filter(|other| {
                self.has_verb(word.as_str(), other)
                    || self.all_aliases(other).any(|(_, alias)| alias.as_str() == Some(word.as_str()))
            })
            .map(str::to_owned)
            .collect();
        if elsewhere.is_empty() { Lookup::Unknown } else { Lookup::Elsewhere(elsewhere) }
    }

    /// The clashes of aliases and patterns in this environment in which `verb` has a part, or all of them.
    /// One that is not in the table as such names the environment.
    pub(crate) fn clashes(self, environment: &str, verb: Option<&str>) -> Vec<Mistake> {
        let mut clashes = self.clashes_in(environment, verb);
        if !clashes.is_empty() {
            // No environment has no name: this is the table alone.
            let everywhere = self.clashes_in("", verb);
            for clash in clashes.iter_mut().filter(|clash| !everywhere.contains(clash)) {
                clash.environment = Some(environment.to_owned());
            }
        }
        clashes
    }

    fn clashes_in(self, environment: &str, verb: Option<&str>) -> Vec<Mistake> {
        let mut clashes = Vec::new();
        let mut seen: std::collections::BTreeMap<&str, &str> = std::collections::BTreeMap::new();
        let mut clash = |span: Span, message: String, verbs: [&str; 2]| {
            if verb.is_none_or(|verb| verbs.contains(&verb)) {
                clashes.push(Mistake::new(span, message));
            }
        };
        for (owner, alias) in self.all_aliases(environment) {
            let Some(name) = alias.as_str() else { continue };
            if self.has_verb(name, environment) {
                let message = format!("alias {} of verb {} is also a verb", quoted(name), quoted(owner));
                clash(alias.span(), message, [owner, name]);
            }
            if let Some(other) = seen.insert(name, owner) {
                let message = if other == owner {
                    format!("alias {} stands twice in verb {}", quoted(name), quoted(owner))
                } else {
                    format!(
                        "alias {} of verb {} is also an alias of verb {}",
                        quoted(name),
                        quoted(owner),
                        quoted(other)
                    )
                };
                clash(alias.span(), message, [owner, other]);
            }
        }
        let mut seen = std::collections::BTreeMap::new();
        for (owner, item) in self.all_of(environment, "match") {
            let Some(text) = item.as_str() else { continue };
            if let Some(other) = seen.insert(text, owner) {
                let message = if other == owner {
                    format!("pattern {} is in `match` of verb {} twice", quoted(text), quoted(owner))
                } else {
                    format!(
                        "pattern {} is in `match` of verbs {} and {}",
                        quoted(text),
                        quoted(other),
                        quoted(owner)
                    )
                };
                clash(item.span(), message, [owner, other]);
            }
        }
        clashes
    }

    /// Decodes the top level, and checks that the default verb exists somewhere.
    pub(crate) fn settings(self, decoder: &mut Decoder) -> Settings {
        let settings = decoder.settings(self.root());
        naming::check(self.root(), &settings.environment, decoder);
        decoder.environments.clone_from(&settings.environment.names);
        if let Some((name, span)) = &settings.default {
            let exists = self.verbs(None).is_some_and(|verbs| verbs.get(name.as_str()).is_some())
                || self.environments().any(|environment| self.has_verb(name.as_str(), environment));
            if !exists {
                let all = self.verb_names("").into_iter();
                let all = all.chain(self.environments().flat_map(|environment| self.verb_names(environment)));
                let near = crate::text::nearest::nearest(name.as_str(), all);
                decoder.mistakes.push(Mistake {
                    hint: near.map(|near| format!("did you mean `{near}`?")),
                    ..Mistake::new(
                        *span,
                        format!("`default` is {}, which is not a verb", quoted(name.as_str())),
                    )
                });
            }
        }
        settings
    }

    /// Decodes what counts in this environment, for this verb.
    pub(crate) fn select(
        self,
        decoder: &mut Decoder,
        environment: &EnvironmentName,
        verb: Option<&VerbName>,
    ) -> Selection {
        let mut selection =
            Selection { table: decoder.layer(self.root(), Place::Table), ..Selection::default() };
        if let Some(node) = self.environment(environment.as_str()) {
            selection.environment = Self::decode_environment(decoder, node);
        }
        if let Some(verb) = verb {
            decoder.mistakes.extend(self.clashes(environment.as_str(), Some(verb.as_str())));
            selection.verb = Some(self.verb(decoder, environment, verb));
        }
        selection
    }

    /// Decodes an environment without its verbs.
    pub(crate) fn decode_environment(decoder: &mut Decoder, node: Node<'_>) -> Layer {
        let name = node.key();
        let place = Place::Environment(name);
        if node.shape() != Shape::Table {
            decoder.mistake(node.span(), format!("{place} must be a table, not {}", node.shape().name()));
            return Layer::default();
        }
        if EnvironmentName::parse(name.as_bytes()).is_none() {
            decoder.mistake(node.key_span(), format!("no environment can be called {}", quoted(name)));
        }
        decoder.keys(node, place, OF_ENVIRONMENT, &mut ());
        decoder.layer(node, place)
    }

    /// Decodes a verb as it is in this environment, without its layers' neighbours: those of the table and
    /// of the environment are the same for every verb.
    pub(crate) fn verb(
        self,
        decoder: &mut Decoder,
        environment: &EnvironmentName,
        verb: &VerbName,
    ) -> SelectedVerb {
        let (base, over) = self.parts(verb.as_str(), environment.as_str());
        let place = Place::Verb(verb.as_str());
        let mut part = base.map(|node| decoder.verb(node, place)).unwrap_or_default();
        let over_place = Place::VerbOf(verb.as_str(), environment.as_str());
        let over = over.map(|node| decoder.verb(node, over_place));
        // A mistake in `exec` itself has been told already, and so has a verb that is no table.
        let written = [base, self.parts(verb.as_str(), environment.as_str()).1]
            .into_iter()
            .flatten()
            .any(|node| node.shape() != Shape::Table || node.get("exec").is_some());
        let mut environment_layer = Layer::default();
        if let Some(mut over) = over {
            environment_layer = std::mem::take(&mut over.layer);
            part.span = part.span.or(over.span);
            part.lay(over);
        }
        if part.exec.is_none()
            && !written
            && let Some(span) = part.span
        {
            let elsewhere = self.environments().any(|other| {
                self.parts(verb.as_str(), other).1.is_some_and(|node| node.get("exec").is_some())
            });
            decoder.mistakes.push(Mistake {
                hint: Some("`exec` is the target's argv: `exec = [\"program\", \"argument\"]`".to_owned()),
                environment: elsewhere.then(|| environment.to_string()),
                ..Mistake::new(span, format!("{place} has no `exec`"))
            });
        }
        SelectedVerb { name: verb.clone(), part, environment_layer }
    }
}
