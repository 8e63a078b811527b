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
    /// The names of `steps`: to look for one among the steps takes long.
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
        for step in setup.children() {
            let taken = list.take(step, nested);
            list.mistakes.extend(taken.err());
        }
    }
    (list.steps, list.mistakes)
}

/// The final steps of a list, including those of its groups.
pub(crate) fn all_steps(setup: Node<'_>) -> Vec<Node<'_>> {
    let (mut steps, mut at) = (effective(setup, false).0, 0);
    while let Some(step) = steps.get(at) {
        let group = step.get("setup").map(|group| effective(group, true).0);
        steps.extend(group.unwrap_or_default());
        at += 1;
    }
    steps
}

fn name_of(step: Node<'_>) -> Option<(Node<'_>, &str)> {
    step.get("name").and_then(|node| Some((node, node.as_str()?)))
}

impl<'d> List<'d> {
    fn take(&mut self, step: Node<'d>, nested: bool) -> Result<(), Mistake> {
        let mistake = |at: Node<'_>, message: String| Err(Mistake::new(at.span(), message));
        let (own, file) = (name_of(step), step.file());
        let met = own.and_then(|(_, name)| self.met.insert(name, file));
        if let Some((node, name)) = own.filter(|_| met == Some(file)) {
            return mistake(node, format!("another step of this list is called {}", quoted(name)));
        }
        let asked = OPERATIONS.iter().filter_map(|key| step.get(key));
        let asked: Vec<_> = asked.filter(|node| node.as_bool() != Some(false)).collect();
        let at = match asked[..] {
            [] => self.steps.len(),
            [first, second, ..] => {
                let (one, other) = (quoted(first.key()), quoted(second.key()));
                return mistake(second, format!("{one} and {other} exclude each other"));
            }
            [operation] if nested || file == 0 => {
                let rule = "is only valid in a drop-in, where it changes the list of an earlier file";
                return mistake(operation, format!("{} {rule}", quoted(operation.key())));
            }
            [operation] if operation.key() == "before" => match operation.as_str() {
                Some(before) => self.find(operation, before)?,
                None => self.steps.len(),
            },
            [operation] => {
                let Some((node, name)) = own else {
                    let key = quoted(operation.key());
                    return mistake(operation, format!("{key} needs the `name` of a step"));
                };
                let at = self.find(node, name)?;
                if operation.key() == "replace" {
                    self.steps[at] = step;
                    return Ok(());
                }
                for extra in step.children().filter(|child| !["name", "remove"].contains(&child.key())) {
                    let key = quoted(extra.key());
                    let message = format!("a step with `remove` has only a `name`, and not {key}");
                    self.mistakes.push(Mistake::new(extra.key_span(), message));
                }
                self.steps.remove(at);
                self.names.remove(name);
                return Ok(());
            }
        };
        if let Some((node, name)) = own
            && !self.names.insert(name)
        {
            let hint = Some("`replace = true` takes its place, `remove = true` takes it out".to_owned());
            let message = format!("a step of an earlier file is called {}", quoted(name));
            return Err(Mistake { hint, ..Mistake::new(node.span(), message) });
        }
        self.steps.insert(at, step);
        Ok(())
    }

    /// Finds the step with this name in an earlier file.
    fn find(&self, node: Node<'_>, name: &str) -> Result<usize, Mistake> {
        let is_it = |step: &Node<'_>| name_of(*step).is_some_and(|(_, each)| each == name);
        let at = self.names.get(name).and_then(|_| self.steps.iter().position(is_it));
        at.ok_or_else(|| {
            let hint = did_you_mean(name, self.names.iter().copied());
            let message = format!("no earlier step of this list is called {}", quoted(name));
            Mistake { hint, ..Mistake::new(node.span(), message) }
        })
    }
}
