//! The explanation as text.

use std::fmt::Write as _;

use crate::modes::explain::shape::{Explained, ExplainedStep};
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

    fn list(&mut self, heading: &str, items: &[String]) {
        self.prose(heading, &if items.is_empty() { "none".to_owned() } else { items.join(" ") });
    }

    /// A text of the user, which is not wrapped, and a remark after it. The remark moves to the next line if
    /// it does not fit.
    fn aside(&mut self, indent: usize, text: &str, aside: &str) {
        let used = indent + text.chars().count();
        let mut lines = wrapped(aside, used + 2, indent + 2);
        let before = format!("{:indent$}{text}", "");
        if aside.is_empty() || used + 2 + lines[0].chars().count() <= 80 {
            self.push(format!("{before}  {}", lines.remove(0)).trim_end());
        } else {
            self.push(&before);
            lines = wrapped(aside, indent + 2, indent + 2);
        }
        for line in lines {
            self.push(&format!("{:1$}{line}", "", indent + 2));
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
        lines.aside(
            2,
            format!("{:width$}{value}", each.name).trim_end(),
            &format!("({})", shown(&each.source)),
        );
    }
    lines.push(&paint.bold("steps"));
    if explained.steps.is_empty() {
        lines.push("  none");
    }
    for (number, step) in explained.steps.iter().enumerate() {
        step_lines(&mut lines, &format!("  {}. ", number + 1), step);
    }
    if let Some(user) = &explained.user {
        let note = explained.user_note.as_ref().map(|note| format!("  ({note})")).unwrap_or_default();
        lines.prose("user", &format!("{}{note}", shown(user)));
    }
    if let Some(workdir) = &explained.workdir {
        lines.item("workdir", &shown(workdir));
    }
    if let Some(umask) = &explained.umask {
        lines.item("umask", umask);
    }
    if !explained.limits.is_empty() {
        lines.list("limits", &explained.limits);
    }
    if let Some(capabilities) = &explained.capabilities {
        lines.list("capabilities", capabilities);
    }
    if explained.no_new_privileges {
        lines.item("privileges", "none can be gained by an exec");
    }
    if let Some(init) = &explained.init {
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
        lines.prose("init", &text);
    }
    if let Some(signals) = &explained.stop_signals {
        lines.list("stop signals", signals);
    }
    if let Some(health) = &explained.health {
        lines.item("health", &shown(health));
    }
    lines.item("target", &line(&explained.argv));
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
