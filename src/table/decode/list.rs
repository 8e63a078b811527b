//! The steps of a list as they count: a step of a drop-in can replace one of an earlier file, remove it, or
//! come before it.

use std::collections::BTreeMap;

use crate::text::log::quoted;
use crate::text::nearest::did_you_mean;
use crate::value::toml::{Mistake, Node, Shape};

/// The keys that change a list of an earlier file.
const OPERATIONS: [&str; 3] = ["replace", "remove", "before"];

/// Where a step stands among those before and after it; the first entry is the end of the list.
struct Link<'d> {
    node: Node<'d>,
    previous: usize,
    next: usize,
}

/// A list that is being changed.
struct List<'d> {
    links: Vec<Link<'d>>,
    named: BTreeMap<&'d str, usize>,
    /// In which file a name was met last.
    met: BTreeMap<&'d str, usize>,
    mistakes: Vec<Mistake>,
}

/// The steps of a `setup` in the order in which they count, and what is wrong with how they are put
/// together. A list in a group (`nested`) is of one file.
pub(crate) fn effective(setup: Node<'_>, nested: bool) -> (Vec<Node<'_>>, Vec<Mistake>) {
    let end = Link { node: setup, previous: 0, next: 0 };
    let mut list =
        List { links: vec![end], named: BTreeMap::new(), met: BTreeMap::new(), mistakes: Vec::new() };
    if setup.shape() == Shape::Array {
        setup.children().for_each(|step| list.take(step, nested));
    }
    let mut steps = Vec::with_capacity(list.links.len());
    let mut at = list.links[0].next;
    while at != 0 {
        steps.push(list.links[at].node);
        at = list.links[at].next;
    }
    (steps, list.mistakes)
}

/// The steps of a list, and those of its groups, as they count.
pub(crate) fn all_steps(setup: Node<'_>) -> Vec<Node<'_>> {
    let (mut steps, _) = effective(setup, false);
    let mut at = 0;
    while let Some(step) = steps.get(at) {
        at += 1;
        if let Some(group) = step.get("setup") {
            steps.extend(effective(group, true).0);
        }
    }
    steps
}

impl<'d> List<'d> {
    fn mistake(&mut self, at: Node<'_>, message: String, hint: Option<String>) {
        self.mistakes.push(Mistake { hint, ..Mistake::new(at.span(), message) });
    }

    fn take(&mut self, step: Node<'d>, nested: bool) {
        let name = step.get("name").and_then(|node| Some((node, node.as_str()?)));
        let asked = OPERATIONS.iter().filter_map(|key| step.get(key));
        let asked: Vec<_> = asked.filter(|node| node.shape() != Shape::Boolean(false)).collect();
        if let Some((node, name)) = name
            && self.met.insert(name, step.file()) == Some(step.file())
        {
            return self.mistake(node, format!("another step of this list is called {}", quoted(name)), None);
        }
        match asked[..] {
            [] => self.add(step, name, 0),
            [operation] if nested || step.file() == 0 => {
                let key = quoted(operation.key());
                let message = format!("{key} is for a drop-in, which changes the list of an earlier file");
                self.mistake(operation, message, None);
            }
            [operation] if operation.key() == "before" => {
                let Some(before) = operation.as_str() else { return self.add(step, name, 0) };
                if let Some(at) = self.find(operation, before) {
                    self.add(step, name, at);
                }
            }
            [operation] => {
                let Some((node, name)) = name else {
                    let message = format!("{} needs the `name` of a step", quoted(operation.key()));
                    return self.mistake(operation, message, None);
                };
                let Some(at) = self.find(node, name) else { return };
                if operation.key() == "replace" {
                    self.links[at].node = step;
                } else {
                    self.remove(at, step, name);
                }
            }
            [first, second, ..] => {
                let message =
                    format!("{} and {} exclude each other", quoted(first.key()), quoted(second.key()));
                self.mistake(second, message, None);
            }
        }
    }

    /// The step of an earlier file that has this name.
    fn find(&mut self, node: Node<'_>, name: &str) -> Option<usize> {
        let found = self.named.get(name).copied();
        if found.is_none() {
            let near = did_you_mean(name, self.named.keys().copied());
            let message = format!("no earlier step of this list is called {}", quoted(name));
            self.mistake(node, message, near);
        }
        found
    }

    /// Puts a step before another one, or at the end.
    fn add(&mut self, step: Node<'d>, name: Option<(Node<'d>, &'d str)>, before: usize) {
        let at = self.links.len();
        if let Some((node, name)) = name {
            if self.named.contains_key(name) {
                let message = format!("a step of an earlier file is called {}", quoted(name));
                let hint = "`replace = true` takes its place, `remove = true` takes it out".to_owned();
                return self.mistake(node, message, Some(hint));
            }
            self.named.insert(name, at);
        }
        let previous = self.links[before].previous;
        self.links.push(Link { node: step, previous, next: before });
        self.links[previous].next = at;
        self.links[before].previous = at;
    }

    fn remove(&mut self, at: usize, step: Node<'_>, name: &str) {
        for key in step.children().filter(|child| !["name", "remove"].contains(&child.key())) {
            let message = format!("a step with `remove` has only a `name`, and not {}", quoted(key.key()));
            self.mistakes.push(Mistake::new(key.key_span(), message));
        }
        let Link { previous, next, .. } = self.links[at];
        self.links[previous].next = next;
        self.links[next].previous = previous;
        self.named.remove(name);
    }
}
