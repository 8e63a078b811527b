//! The explanation as text.

use std::fmt::Write as _;

use crate::modes::explain::shape::{Explained, ExplainedInit, ExplainedStep};
use crate::modes::explain::steps::{SKIPPED, line};
use crate::text::{Exact, Paint, escaped, hanging, shortened, wrapped};
use crate::value::OnFailure;

/// The maximum length of a step's label, in characters.
const LONGEST_LABEL: usize = 60;
/// The column where the facts of a run start.
const COLUMN: usize = 13;

struct Lines {
    out: String,
    paint: Paint,
}

impl Lines {
    fn push(&mut self, line: &str) {
        let _ = writeln!(self.out, "{line}");
    }

    /// A heading and its text. The line is never wrapped, because the user may copy it.
    fn item(&mut self, heading: &str, text: &str) {
        let heading = self.paint.bold(heading) + &" ".repeat(COLUMN.saturating_sub(heading.chars().count()));
        self.push(format!("{heading}{text}").trim_end());
    }

    fn prose(&mut self, heading: &str, text: &str) {
        for (number, line) in wrapped(text, COLUMN, COLUMN).iter().enumerate() {
            self.item(if number == 0 { heading } else { "" }, line);
        }
    }

    /// A text of the user, which is not wrapped, and a remark after it. The remark moves to the next line if
    /// it does not fit.
    fn aside(&mut self, indent: usize, text: &str, aside: &str) {
        let (used, next) = (indent + text.chars().count() + 2, " ".repeat(indent + 2));
        let mut before = format!("{:indent$}{text}  ", "");
        let mut lines = wrapped(aside, used, next.len());
        if !aside.is_empty() && used + lines[0].chars().count() > 80 {
            self.push(&before[..before.len() - 2]);
            before.clone_from(&next);
            lines = wrapped(aside, next.len(), next.len());
        }
        for line in lines {
            self.push(format!("{before}{line}").trim_end());
            before.clone_from(&next);
        }
    }
}

fn shown(value: &Exact) -> String {
    escaped(&value.0)
}

pub(crate) fn text(explained: &Explained, paint: Paint) -> String {
    let mut lines = Lines { out: String::new(), paint };
    lines.item("verb", explained.verb.as_deref().unwrap_or("none: a command was given"));
    lines.prose("environment", &format!("{}, {}", explained.environment, explained.environment_reason));
    if !explained.environment_in_table {
        lines.item("", "the table does not mention it");
    }
    lines.push(&paint.bold("variables"));
    let names = explained.variables.iter().map(|variable| shown(&variable.name).chars().count());
    let width = names.max().unwrap_or(0);
    for variable in &explained.variables {
        let name = shown(&variable.name);
        if let Some(value) = &variable.value {
            let replaces = if variable.replaces { "; replaces the inherited value" } else { "" };
            let aside = format!("({}{replaces})", shown(&variable.layer));
            lines.aside(2, &format!("{name:width$} = {}", shown(value)), &aside);
        } else {
            lines.push(&format!("  {name:width$} removed"));
        }
    }
    for name in &explained.removed {
        lines.aside(2, &format!("{:width$} removed before the target", escaped(name.as_bytes())), "(unset)");
    }
    if !explained.declared.is_empty() {
        lines.push(&paint.bold("declared"));
    }
    let width = explained.declared.iter().map(|each| each.name.chars().count()).max().unwrap_or(0);
    for each in &explained.declared {
        let value = each.value.as_ref().map_or(String::new(), |value| format!(" = {}", shown(value)));
        let row = format!("{:width$}{value}", each.name);
        lines.aside(2, row.trim_end(), &format!("({})", shown(&each.source)));
    }
    lines.push(&paint.bold("steps"));
    if explained.steps.is_empty() {
        lines.push("  none");
    }
    for (number, step) in explained.steps.iter().enumerate() {
        step_lines(&mut lines, &format!("  {}. ", number + 1), step);
    }
    let words = |words: &Vec<String>| if words.is_empty() { "none".to_owned() } else { words.join(" ") };
    let note = explained.user_note.as_ref().map(|note| format!("  ({note})")).unwrap_or_default();
    let limits = Some(&explained.limits).filter(|limits| !limits.is_empty());
    let facts = [
        ("user", explained.user.as_ref().map(|user| shown(user) + &note)),
        ("workdir", explained.workdir.as_ref().map(shown)),
        ("umask", explained.umask.clone()),
        ("limits", limits.map(words)),
        ("capabilities", explained.capabilities.as_ref().map(words)),
        ("privileges", explained.no_new_privileges.then(|| "none can be gained by an exec".to_owned())),
        ("init", explained.init.as_ref().map(supervision)),
        ("stop signals", explained.stop_signals.as_ref().map(words)),
        ("health", explained.health.as_ref().map(shown)),
        ("target", Some(line(&explained.argv))),
    ];
    for (heading, text) in facts {
        match text {
            Some(text) if matches!(heading, "workdir" | "health" | "target") => lines.item(heading, &text),
            Some(text) => lines.prose(heading, &text),
            None => {}
        }
    }
    for each in &explained.unexpanded {
        let element = escaped(each.element.as_bytes());
        lines.prose("", &format!("`{element}` cannot be expanded yet: {}", each.message));
    }
    for (number, problem) in explained.problems.iter().enumerate() {
        let heading = if number == 0 { "ends" } else { "" };
        lines.prose(heading, &format!("with exit code {}: {}", problem.exit_code, problem.message));
    }
    lines.out
}

fn supervision(init: &ExplainedInit) -> String {
    let mut text = "preverb stays and supervises".to_owned();
    for (signal, becomes) in &init.signals {
        let _ = match becomes.as_str().unwrap_or_default() {
            "none" => write!(text, "; {signal} is not forwarded"),
            other => write!(text, "; {signal} is forwarded as {other}"),
        };
    }
    if init.group {
        text.push_str("; signals go to the target's group");
    }
    if let Some(grace) = &init.grace {
        let _ = write!(text, "; leftover processes have {grace} to end");
    }
    for (from, to) in &init.exit {
        let _ = write!(text, "; exit code {from} becomes {to}");
    }
    text
}

fn step_lines(lines: &mut Lines, before: &str, step: &ExplainedStep) {
    let state = step.reason.as_ref().map_or("runs".to_owned(), |reason| format!("skipped: {reason}"));
    let label = shortened(escaped(&step.step.0), LONGEST_LABEL);
    for line in hanging(before, &format!("{label}: {state}")) {
        lines.push(&line);
    }
    let indent = before.chars().count();
    for each in &step.conditions {
        let state = match each.holds {
            Some(true) => "holds",
            Some(false) => "does not hold",
            None => "cannot be judged",
        };
        let open = if each.open { "; open until hooks have run" } else { "" };
        let condition = shown(&each.condition);
        lines.aside(indent, &format!("{} {condition}", each.key), &format!("({state}{open})"));
    }
    let notes = [
        ("as", &step.user),
        ("at most", &step.timeout),
        ("grace", &step.grace),
        ("once, by", &step.once),
        ("per", &step.per),
        ("with input", &step.stdin),
    ];
    let notes =
        notes.into_iter().filter_map(|(what, value)| Some(format!("{what} {}", shown(value.as_ref()?))));
    let mut notes: Vec<String> = notes.collect();
    if step.on_failure != OnFailure::default().name() {
        notes.push("a failure is a warning".to_owned());
    }
    if !notes.is_empty() {
        lines.push(&format!("{:indent$}{}", "", notes.join("; ")));
    }
    for each in &step.lines {
        match each.split_once(SKIPPED) {
            Some((path, reason)) => lines.aside(indent, path, &format!("skipped: {reason}")),
            None => lines.push(&format!("{:indent$}{each}", "")),
        }
    }
    for each in &step.unexpanded {
        let aside = format!("cannot be expanded yet: {}", each.message);
        lines.aside(indent, &escaped(each.element.as_bytes()), &aside);
    }
    for (number, inner) in step.steps.iter().enumerate() {
        step_lines(lines, &format!("{:indent$}{}. ", "", number + 1), inner);
    }
}
