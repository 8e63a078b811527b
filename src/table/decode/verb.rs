//! A verb, or what an environment changes in it.

use super::{Decoder, INIT_KEYS, Place, VERB_KEYS};
use crate::table::types::{Init, InitOptions, VerbPart};
use crate::text::log::quoted;
use crate::text::nearest::nearest;
use crate::value::capability::Capability;
use crate::value::limit::{Limit, Resource};
use crate::value::signal::can_be_caught;
use crate::value::toml::{Node, Shape};

impl Decoder {
    /// A verb, or what an environment changes in it; `place` names it.
    pub(crate) fn verb(&mut self, node: Node<'_>, place: Place<'_>) -> VerbPart {
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

    fn unset(&mut self, node: Node<'_>) -> Vec<String> {
        let names = self.strings(node, "unset");
        for name in names.iter().filter(|name| name.is_empty() || name.contains('=')) {
            self.mistake(node.span(), format!("{} cannot be a variable's name", quoted(name)));
        }
        names
    }

    fn limits(&mut self, node: Node<'_>) -> Vec<Limit> {
        let mut limits = Vec::new();
        if !self.is_table(node, "limits") {
            return limits;
        }
        let names = Resource::ALL.map(|resource| resource.name);
        self.keys(node, Place::Named("limits"), &names);
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

    fn capabilities(&mut self, node: Node<'_>) -> Vec<Capability> {
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

    fn init(&mut self, node: Node<'_>) -> Option<Init> {
        if let Shape::Boolean(supervise) = node.shape() {
            return Some(if supervise { Init::Supervise } else { Init::Exec });
        }
        if node.shape() != Shape::Table {
            self.wrong_type(node, "init", "`true`, `false` or a table");
            return None;
        }
        self.keys(node, Place::Named("init"), &INIT_KEYS);
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
                if let Some(from) = from {
                    let name = quoted(child.key());
                    if !can_be_caught(from) {
                        self.mistake(
                            child.key_span(),
                            format!("{name} cannot be caught, and so not passed on"),
                        );
                    } else if options.signals.iter().any(|(earlier, _)| *earlier == from) {
                        self.mistake(child.key_span(), format!("{name} in `signals` is there twice"));
                    }
                }
                let Some(text) = self.string(child, child.key()) else { continue };
                let to = if text == "none" { Some(None) } else { self.signal(child.span(), text).map(Some) };
                if let (Some(from), Some(to)) = (from, to) {
                    options.signals.push((from, to));
                }
            }
        }
        Some(Init::With(options))
    }
}
