//! The final list of steps: a step of a drop-in can replace or remove a step of an earlier file, or be
//! inserted before it.

use std::collections::{BTreeMap, BTreeSet};

use crate::text::{did_you_mean, quoted};
use crate::value::{Mistake, Node, Shape};

/// The keys that change the list of an earlier file.
const OPERATIONS: [&str; 3] = ["replace", "remove", "before"];

#[derive(Default)]
struct List<'d> {
    steps: Vec<Node<'d>>,
    names: BTreeSet<&'d str>,
    /// The last file in which each name occurred.
    met: BTreeMap<&'d str, usize>,
    mistakes: Vec<Mistake>,
}

/// The steps of a `setup` in their final order, and the mistakes in combining them. A list in a group
/// (`nested`) comes from a single file.
pub(crate) fn effective(setup: Node<'_>, nested: bool) -> (Vec<Node<'_>>, Vec<Mistake>) {
    let mut list = List::default();
    if setup.shape() == Shape::Array {
        setup.children().for_each(|step| list.take(step, nested));
    }
    (list.steps, list.mistakes)
}

/// The final steps of a list, including those of its groups.
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

fn name_of(step: Node<'_>) -> Option<(Node<'_>, &str)> {
    step.get("name").and_then(|node| Some((node, node.as_str()?)))
}

impl<'d> List<'d> {
    fn mistake(&mut self, at: Node<'_>, message: String, hint: Option<String>) {
        self.mistakes.push(Mistake { hint, ..Mistake::new(at.span(), message) });
    }

    fn take(&mut self, step: Node<'d>, nested: bool) {
        let asked = OPERATIONS.iter().filter_map(|key| step.get(key));
        let asked: Vec<_> = asked.filter(|node| node.shape() != Shape::False).collect();
        if let Some((node, name)) = name_of(step)
            && self.met.insert(name, step.file()) == Some(step.file())
        {
            return self.mistake(node, format!("another step of this list is called {}", quoted(name)), None);
        }
        match asked[..] {
            [] => self.add(step, self.steps.len()),
            [operation] if nested || step.file() == 0 => {
                let key = quoted(operation.key());
                let message =
                    format!("{key} is only valid in a drop-in, where it changes the list of an earlier file");
                self.mistake(operation, message, None);
            }
            [operation] if operation.key() == "before" => match operation.as_str() {
                None => self.add(step, self.steps.len()),
                Some(before) => {
                    if let Some(at) = self.find(operation, before) {
                        self.add(step, at);
                    }
                }
            },
            [operation] => {
                let Some((node, name)) = name_of(step) else {
                    let message = format!("{} needs the `name` of a step", quoted(operation.key()));
                    return self.mistake(operation, message, None);
                };
                let Some(at) = self.find(node, name) else { return };
                if operation.key() == "replace" {
                    self.steps[at] = step;
                    return;
                }
                for key in step.children().filter(|child| !["name", "remove"].contains(&child.key())) {
                    let key_name = quoted(key.key());
                    let message = format!("a step with `remove` has only a `name`, and not {key_name}");
                    self.mistakes.push(Mistake::new(key.key_span(), message));
                }
                self.steps.remove(at);
                self.names.remove(name);
            }
            [first, second, ..] => {
                let message =
                    format!("{} and {} exclude each other", quoted(first.key()), quoted(second.key()));
                self.mistake(second, message, None);
            }
        }
    }

    /// Finds the step with this name in an earlier file.
    fn find(&mut self, node: Node<'_>, name: &str) -> Option<usize> {
        if !self.names.contains(name) {
            let near = did_you_mean(name, self.names.iter().copied());
            self.mistake(node, format!("no earlier step of this list is called {}", quoted(name)), near);
            return None;
        }
        self.steps.iter().position(|step| name_of(*step).is_some_and(|(_, each)| each == name))
    }

    fn add(&mut self, step: Node<'d>, at: usize) {
        if let Some((node, name)) = name_of(step)
            && !self.names.insert(name)
        {
            let message = format!("a step of an earlier file is called {}", quoted(name));
            let hint = "`replace = true` takes its place, `remove = true` takes it out".to_owned();
            return self.mistake(node, message, Some(hint));
        }
        self.steps.insert(at, step);
    }
}
