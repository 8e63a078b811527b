//! Nodes of TOML to the table's types. Every mistake is collected with its place; none is passed over.

use std::time::Duration;

use super::document::{Mistake, NodeRef, Shape, Span};
use super::{
    Capability, Declaration, Filter, Init, InitOptions, Layer, LeadingDash, Limit, Probe, Resource, Setting,
    Settings, ShimSettings, Step, StepKind, Unknown, VariableKind, VerbPart,
};
use crate::expand::Template;
use crate::log::{Format, quoted};
use crate::words::{
    DURATION_RULE, EnvironmentName, NAME_RULE, VerbName, is_variable_name, nearest, parse_duration,
    parse_mode, parse_signal,
};

/// The keys of the table.
pub(crate) const TABLE_KEYS: [&str; 16] = [
    "default",
    "unknown",
    "leading-dash",
    "log",
    "stop-signals",
    "user",
    "workdir",
    "umask",
    "environment",
    "env",
    "variables",
    "setup",
    "interpreters",
    "verbs",
    "environments",
    "shim",
];
/// The keys of an environment.
pub(crate) const ENVIRONMENT_KEYS: [&str; 4] = ["env", "variables", "setup", "verbs"];
/// The keys of a verb.
pub(crate) const VERB_KEYS: [&str; 18] = [
    "about",
    "aliases",
    "exec",
    "args",
    "env",
    "unset",
    "variables",
    "setup",
    "user",
    "workdir",
    "umask",
    "limits",
    "capabilities",
    "no-new-privileges",
    "init",
    "health",
    "skip-setup-on",
    "hidden",
];
/// The keys of a declared variable.
pub(crate) const VARIABLE_KEYS: [&str; 6] = ["about", "default", "required", "type", "one-of", "secret"];
/// The keys of `[environment]`.
pub(crate) const SELECTION_KEYS: [&str; 2] = ["variable", "default"];
/// The keys of `[shim]`.
pub(crate) const SHIM_KEYS: [&str; 4] = ["image", "mounts", "env", "network"];
/// The keys of an `init` table.
pub(crate) const INIT_KEYS: [&str; 3] = ["signals", "group", "grace"];
/// The keys that say of which kind a step is.
pub(crate) const KIND_KEYS: [&str; 6] = ["run", "hooks", "wait", "render", "mkdir", "chown"];
/// The keys that every step may have.
pub(crate) const STEP_KEYS: [&str; 6] = ["name", "verbs", "environments", "skip-if", "timeout", "user"];

/// The keys that only a step of this kind may have.
pub(crate) fn kind_only_keys(kind: &str) -> &'static [&'static str] {
    match kind {
        "run" | "hooks" => &["once"],
        "render" => &["to", "mode"],
        "mkdir" => &["mode"],
        _ => &[],
    }
}

type Node<'d, 's> = NodeRef<'d, 's>;

/// Collects mistakes while it decodes.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The mistakes so far.
    pub(crate) mistakes: Vec<Mistake>,
}

impl Decoder {
    /// Adds a mistake.
    pub(crate) fn mistake(&mut self, span: Span, message: impl Into<String>) {
        self.mistakes.push(Mistake { span, message: message.into(), hint: None });
    }

    fn mistake_with_hint(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.mistakes.push(Mistake { span, message: message.into(), hint: Some(hint.into()) });
    }

    fn wrong_type(&mut self, node: Node<'_, '_>, name: &str, wanted: &str) {
        self.mistake(node.span(), format!("{} must be {wanted}, not {}", quoted(name), node.shape().name()));
    }

    /// Whether `node` is a table; a mistake if not.
    fn is_table(&mut self, node: Node<'_, '_>, name: &str) -> bool {
        let table = node.shape() == Shape::Table;
        if !table {
            self.wrong_type(node, name, "a table");
        }
        table
    }

    /// A mistake for each key of `node` that is not in `known`.
    fn keys(&mut self, node: Node<'_, '_>, place: &str, known: &[&str]) {
        for child in node.children() {
            let key = child.key();
            if known.contains(&key) {
                continue;
            }
            let message = format!("unknown key {} in {place}", quoted(key));
            match nearest(key, known.iter().copied()) {
                Some(near) => {
                    self.mistake_with_hint(child.key_span(), message, format!("did you mean `{near}`?"));
                }
                None => self.mistake_with_hint(
                    child.key_span(),
                    message,
                    format!(
                        "the keys here are {}",
                        known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")
                    ),
                ),
            }
        }
    }

    /// A mistake for each key of an environment that it cannot have, and for `verbs` that is no table.
    pub(crate) fn environment_keys(&mut self, node: Node<'_, '_>, place: &str, known: &[&str]) {
        self.keys(node, place, known);
        if let Some(verbs) = node.get("verbs") {
            self.is_table(verbs, "verbs");
        }
    }

    fn string<'d>(&mut self, node: Node<'d, '_>, name: &str) -> Option<&'d str> {
        match node.as_str() {
            Some(text) if text.contains('\0') => {
                self.mistake(
                    node.span(),
                    format!("{} holds a NUL character, which nothing can be passed", quoted(name)),
                );
                None
            }
            Some(text) => Some(text),
            None => {
                self.wrong_type(node, name, "a string");
                None
            }
        }
    }

    fn boolean(&mut self, node: Node<'_, '_>, name: &str) -> Option<bool> {
        if let Shape::Boolean(value) = node.shape() {
            return Some(value);
        }
        self.wrong_type(node, name, "`true` or `false`");
        None
    }

    fn template(&mut self, node: Node<'_, '_>, name: &str) -> Option<Template> {
        let text = self.string(node, name)?;
        match Template::parse(text) {
            Ok(template) => Some(template),
            Err(reason) => {
                self.mistake_with_hint(
                    node.span(),
                    format!("{}: {reason}", quoted(name)),
                    "a literal `${` is written `$${`",
                );
                None
            }
        }
    }

    /// The items of an array.
    fn items<'d, 's>(&mut self, node: Node<'d, 's>, name: &str, wanted: &str) -> Vec<Node<'d, 's>> {
        if node.shape() == Shape::Array {
            return node.children().collect();
        }
        self.wrong_type(node, name, wanted);
        Vec::new()
    }

    fn strings(&mut self, node: Node<'_, '_>, name: &str) -> Vec<String> {
        let items = self.items(node, name, "an array of strings");
        items.into_iter().filter_map(|item| self.string(item, name).map(str::to_owned)).collect()
    }

    /// One string, or an array of them.
    fn one_or_more<'d, 's>(&mut self, node: Node<'d, 's>, name: &str) -> Vec<Node<'d, 's>> {
        if node.shape() == Shape::String {
            vec![node]
        } else {
            let items = self.items(node, name, "an array of strings");
            if items.is_empty() && node.shape() == Shape::Array {
                self.mistake(node.span(), format!("{} is empty", quoted(name)));
            }
            items
        }
    }

    /// An argv: an array of strings, the first not empty.
    fn argv(&mut self, node: Node<'_, '_>, name: &str) -> Option<Vec<Template>> {
        if let Some(text) = node.as_str() {
            let words: Vec<String> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
            self.mistake_with_hint(
                node.span(),
                format!("{} must be an array of strings, not a string: no shell splits it", quoted(name)),
                format!("{name} = [{}]", words.join(", ")),
            );
            return None;
        }
        let before = self.mistakes.len();
        let items = self.items(node, name, "an array of strings");
        let templates: Vec<Template> =
            items.into_iter().filter_map(|item| self.template(item, name)).collect();
        if self.mistakes.len() > before {
            return None;
        }
        match templates.first() {
            None => {
                self.mistake(
                    node.span(),
                    format!("{} is empty: its first word is the program", quoted(name)),
                );
                None
            }
            Some(first) if first.source().is_empty() => {
                self.mistake(
                    node.span(),
                    format!("the first word of {} is empty: it is the program", quoted(name)),
                );
                None
            }
            Some(_) => Some(templates),
        }
    }

    fn templates(&mut self, node: Node<'_, '_>, name: &str) -> Vec<Template> {
        let items = self.items(node, name, "an array of strings");
        items.into_iter().filter_map(|item| self.template(item, name)).collect()
    }

    fn duration(&mut self, node: Node<'_, '_>, name: &str) -> Option<Duration> {
        let text = self.string(node, name)?;
        let duration = parse_duration(text);
        if duration.is_none() {
            self.mistake_with_hint(
                node.span(),
                format!("{} is {}, which is no duration", quoted(name), quoted(text)),
                DURATION_RULE,
            );
        }
        duration
    }

    fn mode(&mut self, node: Node<'_, '_>, name: &str) -> Option<u32> {
        let hint = format!("{name} = \"0755\"");
        if node.shape() == Shape::Integer {
            self.mistake_with_hint(
                node.span(),
                format!("{} must be a string of octal digits", quoted(name)),
                hint,
            );
            return None;
        }
        let text = self.string(node, name)?;
        let mode = parse_mode(text);
        if mode.is_none() {
            let message = format!("{} is {}, which is no octal mode", quoted(name), quoted(text));
            self.mistake_with_hint(node.span(), message, hint);
        }
        mode
    }

    fn umask(&mut self, node: Node<'_, '_>) -> Option<u32> {
        let mode = self.mode(node, "umask")?;
        if mode > 0o777 {
            self.mistake(node.span(), "`umask` is larger than 0777");
            return None;
        }
        Some(mode)
    }

    /// One of a few words.
    fn choice<T>(
        &mut self,
        node: Node<'_, '_>,
        name: &str,
        words: &[&str],
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.string(node, name)?;
        let value = parse(text);
        if value.is_none() {
            let message = format!("{} is {}, which it cannot be", quoted(name), quoted(text));
            let known: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            self.mistake_with_hint(node.span(), message, format!("it is one of {}", known.join(", ")));
        }
        value
    }

    fn verb_name(&mut self, node: Node<'_, '_>, name: &str) -> Option<VerbName> {
        let text = self.string(node, name)?;
        let verb = VerbName::parse(text.as_bytes());
        if verb.is_none() {
            self.mistake_with_hint(
                node.span(),
                format!("{} is {}, which no verb can be called", quoted(name), quoted(text)),
                NAME_RULE,
            );
        }
        verb
    }

    fn signal(&mut self, span: Span, text: &str) -> Option<i32> {
        let signal = parse_signal(text);
        if signal.is_none() {
            self.mistake(span, format!("{} is no signal", quoted(text)));
        }
        signal
    }

    /// The top level, without verbs and environments, which are decoded one by one.
    pub(crate) fn settings(&mut self, root: Node<'_, '_>) -> Settings {
        self.keys(root, "the table", &TABLE_KEYS);
        let mut settings = Settings::default();
        for node in root.children() {
            match node.key() {
                "default" => {
                    settings.default = self.verb_name(node, "default").map(|name| (name, node.span()));
                }
                "unknown" => {
                    let parse = |word: &str| match word {
                        "error" => Some(Unknown::Error),
                        "exec" => Some(Unknown::Exec),
                        _ => None,
                    };
                    settings.unknown =
                        self.choice(node, "unknown", &["error", "exec"], parse).unwrap_or_default();
                }
                "leading-dash" => {
                    let parse = |word: &str| match word {
                        "error" => Some(LeadingDash::Error),
                        "default" => Some(LeadingDash::Default),
                        _ => None,
                    };
                    settings.leading_dash =
                        self.choice(node, "leading-dash", &["error", "default"], parse).unwrap_or_default();
                }
                "log" => {
                    settings.log =
                        self.choice(node, "log", &Format::NAMES, |word| Format::parse(word.as_bytes()));
                }
                "stop-signals" => settings.stop_signals = Some(self.stop_signals(node)),
                "user" => settings.user = self.template(node, "user"),
                "workdir" => settings.workdir = self.template(node, "workdir"),
                "umask" => settings.umask = self.umask(node),
                "environment" => self.selection(node, &mut settings),
                "interpreters" => settings.interpreters = self.interpreters(node),
                "shim" => settings.shim = Some(self.shim(node)),
                "verbs" | "environments" => {
                    self.is_table(node, node.key());
                }
                _ => {}
            }
        }
        settings
    }

    fn stop_signals(&mut self, node: Node<'_, '_>) -> Vec<i32> {
        let mut signals = Vec::new();
        for item in self.items(node, "stop-signals", "an array of strings") {
            let Some(text) = self.string(item, "stop-signals") else { continue };
            let Some(signal) = self.signal(item.span(), text) else { continue };
            // KILL and STOP cannot be heeded; CHLD and the faults are not requests to stop.
            if matches!(signal, 4 | 5 | 7 | 8 | 9 | 11 | 13 | 17 | 18 | 19 | 31) {
                self.mistake(item.span(), format!("{} cannot be a request to stop", quoted(text)));
                continue;
            }
            signals.push(signal);
        }
        signals
    }

    fn selection(&mut self, node: Node<'_, '_>, settings: &mut Settings) {
        if !self.is_table(node, "environment") {
            return;
        }
        self.keys(node, "`[environment]`", &SELECTION_KEYS);
        if let Some(variable) = node.get("variable") {
            let name = self.string(variable, "variable");
            match name {
                Some(name) if is_variable_name(name.as_bytes()) => {
                    settings.environment_variable = Some(name.to_owned());
                }
                Some(name) => {
                    self.mistake(variable.span(), format!("{} cannot be a variable's name", quoted(name)));
                }
                None => {}
            }
        }
        if let Some(default) = node.get("default")
            && let Some(name) = self.string(default, "default")
        {
            settings.environment_default = EnvironmentName::parse(name.as_bytes());
            if settings.environment_default.is_none() {
                let message = format!("`default` is {}, which no environment can be called", quoted(name));
                self.mistake_with_hint(default.span(), message, NAME_RULE);
            }
        }
    }

    fn interpreters(&mut self, node: Node<'_, '_>) -> Vec<(String, Vec<String>)> {
        let mut interpreters = Vec::new();
        if !self.is_table(node, "interpreters") {
            return interpreters;
        }
        for child in node.children() {
            let extension = child.key();
            if extension.is_empty() || extension.contains(['.', '/', '\0']) {
                let message = format!("{} is no extension: it is written without its dot", quoted(extension));
                self.mistake(child.key_span(), message);
                continue;
            }
            // Validated as an argv, but a path follows it, so its words are not expanded.
            if child.as_str().is_some() {
                self.argv(child, extension);
                continue;
            }
            let argv = self.strings(child, extension);
            if argv.first().is_none_or(String::is_empty) {
                if child.shape() == Shape::Array {
                    self.mistake(
                        child.span(),
                        format!("{} is empty: its first word is the program", quoted(extension)),
                    );
                }
                continue;
            }
            interpreters.push((extension.to_owned(), argv));
        }
        interpreters
    }

    fn shim(&mut self, node: Node<'_, '_>) -> ShimSettings {
        let mut shim = ShimSettings::default();
        if !self.is_table(node, "shim") {
            return shim;
        }
        self.keys(node, "`[shim]`", &SHIM_KEYS);
        for child in node.children() {
            match child.key() {
                "image" => {
                    shim.image = self.string(child, "image").map(str::to_owned);
                    if shim.image.as_deref().is_some_and(|image| image.is_empty() || image.starts_with('-')) {
                        self.mistake(child.span(), "`image` is no image's name");
                        shim.image = None;
                    }
                }
                "mounts" => shim.mounts = self.strings(child, "mounts"),
                "env" => {
                    shim.env = self.strings(child, "env");
                    for name in shim.env.iter().filter(|name| !is_variable_name(name.as_bytes())) {
                        self.mistake(child.span(), format!("{} cannot be a variable's name", quoted(name)));
                    }
                }
                "network" => shim.network = self.string(child, "network").map(str::to_owned),
                _ => {}
            }
        }
        shim
    }

    /// `env`, `variables` and `setup` of the table, an environment or a verb; `place` names it.
    pub(crate) fn layer(&mut self, node: Node<'_, '_>, place: &str) -> Layer {
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
                if matches!(child.shape(), Shape::Integer | Shape::Boolean(_) | Shape::Other(_)) {
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

    fn declaration(&mut self, node: Node<'_, '_>) -> Option<Declaration> {
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
        self.keys(node, &format!("`[variables.{name}]`"), &VARIABLE_KEYS);
        let mut declaration = Declaration { name: name.to_owned(), ..Declaration::default() };
        for child in node.children() {
            match child.key() {
                "about" => declaration.about = self.string(child, "about").map(str::to_owned),
                "default" => declaration.default = self.string(child, "default").map(str::to_owned),
                "required" => declaration.required = self.boolean(child, "required"),
                "secret" => declaration.secret = self.boolean(child, "secret"),
                "one-of" => declaration.one_of = Some(self.strings(child, "one-of")),
                "type" => {
                    declaration.kind = self.choice(child, "type", &VariableKind::NAMES, VariableKind::parse);
                }
                _ => {}
            }
        }
        Some(declaration)
    }

    fn filter(&mut self, node: Option<Node<'_, '_>>, name: &str) -> Filter {
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

    fn step(&mut self, node: Node<'_, '_>, place: &str) -> Option<Step> {
        if !self.is_table(node, "setup") {
            return None;
        }
        let place = format!("a step of {place}");
        let kinds: Vec<&'static str> =
            KIND_KEYS.iter().copied().filter(|kind| node.get(kind).is_some()).collect();
        let known = |kinds: &[&'static str]| {
            let mut known: Vec<&'static str> = kinds.to_vec();
            known.extend(STEP_KEYS);
            for kind in kinds {
                known.extend(kind_only_keys(kind));
            }
            known
        };
        let kind = match kinds[..] {
            [kind] => {
                // A key of another kind is told apart from one that nobody knows.
                for child in node.children() {
                    let key = child.key();
                    let elsewhere = KIND_KEYS.iter().any(|other| kind_only_keys(other).contains(&key));
                    if elsewhere && !kind_only_keys(kind).contains(&key) {
                        self.mistake(child.key_span(), format!("a `{kind}` step has no {}", quoted(key)));
                    }
                }
                let mut all = known(&[kind]);
                all.extend(["once", "to", "mode"]);
                self.keys(node, &place, &all);
                kind
            }
            [] => {
                self.keys(node, &place, &known(&KIND_KEYS));
                let list = KIND_KEYS.map(|kind| format!("`{kind}`")).join(", ");
                self.mistake_with_hint(
                    node.key_span(),
                    format!("{place} does not say what to do"),
                    format!("a step has one of {list}"),
                );
                return None;
            }
            _ => {
                self.keys(node, &place, &known(&KIND_KEYS));
                let list = kinds.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(" and ");
                let second = node.get(kinds[1]).map_or(node.key_span(), Node::key_span);
                self.mistake_with_hint(
                    second,
                    format!("{place} has {list}, which are two steps"),
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
            once: node.get("once").and_then(|once| self.template(once, "once")),
            kind: self.step_kind(node, kind)?,
        };
        Some(step)
    }

    fn variable_names(&mut self, node: Node<'_, '_>, name: &str) -> Vec<String> {
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

    fn user(&mut self, node: Node<'_, '_>) -> Option<Template> {
        let template = self.template(node, "user")?;
        if template.is_literal()
            && let Err(reason) = crate::words::UserSpec::parse(template.source().as_bytes())
        {
            self.mistake_with_hint(
                node.span(),
                format!("`user` is {}: {reason}", quoted(template.source())),
                "a user is `name`, `uid`, `name:group` or `uid:gid`",
            );
            return None;
        }
        Some(template)
    }

    fn step_kind(&mut self, node: Node<'_, '_>, kind: &str) -> Option<StepKind> {
        let value = node.get(kind)?;
        Some(match kind {
            "run" => StepKind::Run(self.argv(value, "run")?),
            "hooks" => StepKind::Hooks(self.path(value, "hooks")?),
            "wait" => {
                let nodes =
                    if value.shape() == Shape::Table { vec![value] } else { self.one_or_more(value, "wait") };
                StepKind::Wait(nodes.into_iter().filter_map(|item| self.probe(item, "wait")).collect())
            }
            "render" => {
                let from = self.path(value, "render");
                let Some(to) = node.get("to") else {
                    self.mistake(
                        value.span(),
                        "a `render` step needs a `to`: the file or directory to write",
                    );
                    return None;
                };
                let to = self.path(to, "to");
                let mode = node.get("mode").and_then(|mode| self.mode(mode, "mode"));
                StepKind::Render { from: from?, to: to?, mode }
            }
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

    fn path(&mut self, node: Node<'_, '_>, name: &str) -> Option<Template> {
        let template = self.template(node, name)?;
        if template.source().is_empty() {
            self.mistake(node.span(), format!("{} is an empty path", quoted(name)));
            return None;
        }
        Some(template)
    }

    fn probe(&mut self, node: Node<'_, '_>, name: &str) -> Option<Probe> {
        if node.shape() == Shape::Table {
            self.keys(node, &quoted(name), &["exec"]);
            let Some(exec) = node.get("exec") else {
                self.mistake(node.span(), format!("a table in {} needs an `exec`", quoted(name)));
                return None;
            };
            return self.argv(exec, "exec").map(Probe::Exec);
        }
        if node.as_str().is_none() {
            self.wrong_type(node, name, "a string such as `tcp://host:port` or a table with `exec`");
            return None;
        }
        let template = self.template(node, name)?;
        if template.is_literal()
            && let Err(reason) = crate::probe::Target::parse(template.source().as_bytes())
        {
            self.mistake(node.span(), format!("{} in {}: {reason}", quoted(template.source()), quoted(name)));
            return None;
        }
        Some(Probe::Url(template))
    }

    /// A verb, or what an environment changes in it; `place` names it.
    pub(crate) fn verb(&mut self, node: Node<'_, '_>, place: &str) -> VerbPart {
        let mut verb = VerbPart { span: Some(node.key_span()), ..VerbPart::default() };
        if !self.is_table(node, node.key()) {
            return verb;
        }
        self.keys(node, place, &VERB_KEYS);
        verb.layer = self.layer(node, place);
        for child in node.children() {
            match child.key() {
                "about" => verb.about = self.string(child, "about").map(str::to_owned),
                "aliases" => {
                    let items = self.items(child, "aliases", "an array of strings");
                    let names = items.into_iter().filter_map(|item| self.verb_name(item, "aliases"));
                    verb.aliases = Some(names.collect());
                }
                "exec" => verb.exec = self.argv(child, "exec"),
                "args" => {
                    if child.as_str().is_some() {
                        self.argv(child, "args");
                    } else {
                        verb.args = Some(self.templates(child, "args"));
                    }
                }
                "unset" => verb.unset = Some(self.unset(child)),
                "user" => verb.user = self.user(child),
                "workdir" => verb.workdir = self.path(child, "workdir"),
                "umask" => verb.umask = self.umask(child),
                "limits" => verb.limits = self.limits(child),
                "capabilities" => verb.capabilities = Some(self.capabilities(child)),
                "no-new-privileges" => verb.no_new_privileges = self.boolean(child, "no-new-privileges"),
                "init" => verb.init = self.init(child),
                "health" => verb.health = self.probe(child, "health"),
                "skip-setup-on" => verb.skip_setup_on = Some(self.strings(child, "skip-setup-on")),
                "hidden" => verb.hidden = self.boolean(child, "hidden"),
                _ => {}
            }
        }
        verb
    }

    fn unset(&mut self, node: Node<'_, '_>) -> Vec<String> {
        let names = self.strings(node, "unset");
        for name in names.iter().filter(|name| name.is_empty() || name.contains('=')) {
            self.mistake(node.span(), format!("{} cannot be a variable's name", quoted(name)));
        }
        names
    }

    fn limits(&mut self, node: Node<'_, '_>) -> Vec<Limit> {
        let mut limits = Vec::new();
        if !self.is_table(node, "limits") {
            return limits;
        }
        let names = Resource::ALL.map(|resource| resource.name);
        self.keys(node, "`limits`", &names);
        for child in node.children() {
            let Some(resource) = Resource::ALL.into_iter().find(|each| each.name == child.key()) else {
                continue;
            };
            let value = match (child.as_integer().map(u64::try_from), child.as_str()) {
                (Some(Ok(number)), _) => Some(number),
                (None, Some("unlimited")) => None,
                _ => {
                    let message =
                        format!("limit {} must be a whole number or \"unlimited\"", quoted(child.key()));
                    self.mistake(child.span(), message);
                    continue;
                }
            };
            limits.push(Limit { resource, value });
        }
        limits
    }

    fn capabilities(&mut self, node: Node<'_, '_>) -> Vec<Capability> {
        let mut capabilities = Vec::new();
        for item in self.items(node, "capabilities", "an array of strings") {
            let Some(text) = self.string(item, "capabilities") else { continue };
            if let Some(capability) = Capability::parse(text) {
                capabilities.push(capability);
            } else {
                let upper = text.to_ascii_uppercase();
                let message = format!("{} is no capability", quoted(text));
                match nearest(upper.trim_start_matches("CAP_"), Capability::NAMES) {
                    Some(near) => {
                        self.mistake_with_hint(item.span(), message, format!("did you mean `{near}`?"));
                    }
                    None => self.mistake_with_hint(item.span(), message, "capabilities(7) lists them"),
                }
            }
        }
        capabilities
    }

    fn init(&mut self, node: Node<'_, '_>) -> Option<Init> {
        if let Shape::Boolean(supervise) = node.shape() {
            return Some(if supervise { Init::Supervise(InitOptions::default()) } else { Init::Exec });
        }
        if node.shape() != Shape::Table {
            self.wrong_type(node, "init", "`true`, `false` or a table");
            return None;
        }
        self.keys(node, "`init`", &INIT_KEYS);
        let mut options = InitOptions {
            signals: Vec::new(),
            group: node.get("group").and_then(|group| self.boolean(group, "group")),
            grace: node.get("grace").and_then(|grace| self.duration(grace, "grace")),
        };
        if let Some(signals) = node.get("signals")
            && self.is_table(signals, "signals")
        {
            for child in signals.children() {
                let from = self.signal(child.key_span(), child.key());
                let Some(text) = self.string(child, child.key()) else { continue };
                let to = if text == "none" { Some(None) } else { self.signal(child.span(), text).map(Some) };
                if let (Some(from), Some(to)) = (from, to) {
                    options.signals.push((from, to));
                }
            }
        }
        Some(Init::Supervise(options))
    }
}
