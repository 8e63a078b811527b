//! The top of the table, without its verbs and environments.

use super::{Decoder, Place, SELECTION_KEYS, SHIM_KEYS, TABLE_KEYS};
use crate::table::types::{ENVIRONMENT_VARIABLE, LeadingDash, Settings, ShimSettings, Unknown};
use crate::text::log::{Format, quoted};
use crate::text::names::{EnvironmentName, NAME_RULE, is_variable_name};
use crate::value::toml::{Node, Shape};

impl Decoder {
    /// The top level, without verbs and environments, which are decoded one by one.
    pub(crate) fn settings(&mut self, root: Node<'_>) -> Settings {
        self.keys(root, Place::Table, &TABLE_KEYS);
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
                        "default" => Some(Unknown::Default),
                        _ => None,
                    };
                    settings.unknown = self
                        .choice(node, "unknown", &["error", "exec", "default"], parse)
                        .unwrap_or_default();
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
                "user" => settings.user = self.user(node),
                "workdir" => settings.workdir = self.path(node, "workdir"),
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
        for (key, asked) in [
            ("unknown", settings.unknown == Unknown::Default),
            ("leading-dash", settings.leading_dash == LeadingDash::Default),
        ] {
            if asked
                && root.get("default").is_none()
                && let Some(node) = root.get(key)
            {
                let message = format!("`{key}` is `default`, but the table has no `default` verb");
                self.mistake_with_hint(node.span(), message, "default = \"VERB\"");
            }
        }
        let variable = settings.environment_variable.as_deref().unwrap_or(ENVIRONMENT_VARIABLE);
        let declared = root.get("variables").and_then(|variables| variables.get(variable));
        let secret = declared.and_then(|variable| variable.get("secret"));
        settings.environment_is_secret = secret.is_some_and(|secret| secret.shape() != Shape::Boolean(false));
        settings
    }

    fn stop_signals(&mut self, node: Node<'_>) -> Vec<i32> {
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

    fn selection(&mut self, node: Node<'_>, settings: &mut Settings) {
        if !self.is_table(node, "environment") {
            return;
        }
        self.keys(node, Place::Named("[environment]"), &SELECTION_KEYS);
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

    fn interpreters(&mut self, node: Node<'_>) -> Vec<(String, Vec<String>)> {
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
            if extension == "sh" {
                self.mistake_with_hint(
                    child.key_span(),
                    "interpreter `sh` would never be used: `*.sh` files are sourced",
                    "give the files another extension; the `#!` line of one names its shell",
                );
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

    fn shim(&mut self, node: Node<'_>) -> ShimSettings {
        let mut shim = ShimSettings::default();
        if !self.is_table(node, "shim") {
            return shim;
        }
        self.keys(node, Place::Named("[shim]"), &SHIM_KEYS);
        for child in node.children() {
            match child.key() {
                "image" => {
                    shim.image = self.string(child, "image").map(str::to_owned);
                    if shim.image.as_deref().is_some_and(|image| image.is_empty() || image.starts_with('-')) {
                        self.mistake(child.span(), "`image` is no image's name");
                        shim.image = None;
                    }
                }
                "mounts" => {
                    for item in self.items(child, "mounts", "an array of strings") {
                        let Some(mount) = self.string(item, "mounts") else { continue };
                        // What would be a path elsewhere is a volume's name, or nothing at all, to an engine.
                        if mount.is_empty()
                            || mount.starts_with(['~', '$'])
                                && crate::modes::shim::split_prefix(mount).0.is_none()
                        {
                            self.mistake_with_hint(
                                item.span(),
                                format!("{} in `mounts` is nothing that can be mounted", quoted(mount)),
                                "it is a value of `-v`, and may begin with `$HOME` or `$PWD`",
                            );
                        }
                        shim.mounts.push(mount.to_owned());
                    }
                }
                "env" => {
                    shim.env = self.strings(child, "env");
                    for name in shim.env.iter().filter(|name| !is_variable_name(name.as_bytes())) {
                        self.mistake(child.span(), format!("{} cannot be a variable's name", quoted(name)));
                    }
                }
                "network" => {
                    shim.network = self.string(child, "network").map(str::to_owned);
                    if shim.network.as_deref() == Some("") {
                        self.mistake(child.span(), "`network` is no network's name");
                    }
                }
                _ => {}
            }
        }
        shim
    }
}
