//! Shows the line of a table with a mistake, and conceals secrets in it.
//!
//! The text may not even be TOML. This module does not know the mistake.

use super::select::read;
use crate::text::{Level, MASK, Message, bytes_of, escaped, quoted, shortened, url};
use crate::value::{Mistake, Place, Sources, Span};

pub(crate) struct Excerpts<'s> {
    sources: &'s Sources,
    /// The values of secrets, in order. `None` if the texts cannot be parsed, so that it is unknown which
    /// variables are secret and where a value ends.
    hidden: Option<Vec<Span>>,
}

impl<'s> Excerpts<'s> {
    pub(crate) fn of(sources: &'s Sources) -> Self {
        let hidden = match read(sources) {
            Ok(document) => Some(disjoint(document.secret_values())),
            Err(_) if sources.all().iter().any(|source| mentions(&source.text, &["secret"])) => None,
            Err(_) => Some(Vec::new()),
        };
        Self { sources, hidden }
    }

    /// The sentence of a mistake, without the quoted value if that is concealed.
    pub(crate) fn sentence<'m>(&self, span: Span, message: &'m str, masked: Option<&'m str>) -> &'m str {
        let is_hidden = self.hidden.as_ref().is_none_or(|hidden| overlapping(hidden, span).next().is_some());
        masked.filter(|_| is_hidden).unwrap_or(message)
    }

    pub(crate) fn message(&self, mistake: &Mistake, level: Level) -> Message {
        let environment = mistake.environment.as_ref();
        let environment = environment.map(|name| format!(" in environment {}", quoted(name)));
        let sentence = self.sentence(mistake.span, &mistake.message, mistake.masked.as_deref());
        let sentence = sentence.to_owned() + &environment.unwrap_or_default();
        let span = self.sources.narrowed(mistake.span);
        let Some(place) = self.sources.place(span.start) else { return Message::new(level, sentence) };
        let path = escaped(bytes_of(&place.source.path));
        let mut message = Message::new(level, format!("{path}:{}:{}: {sentence}", place.line, place.column))
            .field("file", path)
            .number("line", place.line as u64)
            .number("column", place.column as u64);
        message.lines = self.lines(&place, span);
        message.hint.clone_from(&mistake.hint);
        message
    }

    /// The line of a mistake, and one with marks below it.
    fn lines(&self, place: &Place<'_>, span: Span) -> Vec<String> {
        let start = place.source.start + place.start;
        let line = Span { start, end: start + place.text.len().max(1) };
        let mut hidden: Vec<Span> = match &self.hidden {
            Some(values) => overlapping(values, line).collect(),
            None if is_guarded(&place.source.text[..place.start], place.text) => vec![line],
            None => Vec::new(),
        };
        let text = place.text.as_bytes();
        for login in [url::login(text), url::query(text)].into_iter().flatten() {
            hidden.push(Span { start: start + login.start, end: start + login.end.max(login.start + 1) });
        }
        let hidden = disjoint(hidden);
        let raw = |from: usize, to: usize| {
            let raw = place.text.get(from.saturating_sub(start)..to.saturating_sub(start));
            escaped(raw.unwrap_or_default().replace('\t', " ").as_bytes())
        };
        let shown = |mut from: usize, to: usize| {
            let mut text = String::new();
            for value in overlapping(&hidden, Span { start: from, end: to }) {
                text.push_str(&raw(from, value.start));
                if value.end <= to || to == line.end {
                    text.push_str(MASK);
                }
                from = value.end;
            }
            text + &raw(from, to)
        };
        let at = span.start.clamp(start, line.end);
        let is_hidden = hidden.iter().any(|value| (value.start..value.end).contains(&at));
        let marked = if is_hidden { MASK.to_owned() } else { shown(at, span.end.clamp(at, line.end)) };
        // A line may be very long, so only its start is shown.
        let text = shortened(shown(start, line.end), 203);
        let indent = shown(start, at).chars().count().min(text.chars().count());
        let number = place.line.to_string();
        let (width, marks) = (number.len(), "^".repeat(marked.chars().count().clamp(1, 40)));
        vec![format!("{number} | {text}"), format!("{:width$} | {:indent$}{marks}", "", "")]
    }
}

/// Sorts spans, and makes one of those that overlap.
fn disjoint(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    spans.dedup_by(|next, last| {
        let overlaps = next.start < last.end;
        last.end = if overlaps { last.end.max(next.end) } else { last.end };
        overlaps
    });
    spans
}

fn overlapping(spans: &[Span], span: Span) -> impl Iterator<Item = Span> {
    let first = spans.partition_point(|each| each.end <= span.start);
    spans[first..].iter().copied().take_while(move |each| each.start < span.end)
}

/// Whether a line may contain a secret; `before` is the text above it. In a text that cannot be parsed this
/// is every line in a section about variables.
fn is_guarded(before: &str, line: &str) -> bool {
    let (mut section, mut at, mut in_string) = (0, 0, false);
    for above in before.split_inclusive('\n') {
        if !in_string && is_header(above) {
            section = at;
        }
        in_string ^= (above.matches("\"\"\"").count() + above.matches("'''").count()) % 2 == 1;
        at += above.len();
    }
    let names = |text| mentions(text, &["env", "variables"]);
    (in_string || !is_header(line)) && (names(&before[section..]) || names(line))
}

fn is_header(line: &str) -> bool {
    let line = line.split('#').next().unwrap_or_default().trim();
    line.starts_with('[') && line.find(']') == Some(line.trim_end_matches(']').len())
}

/// Whether a text contains one of the words, or may contain it in an escaped form.
fn mentions(text: &str, words: &[&str]) -> bool {
    let is_apart = |c: char| !(c.is_alphanumeric() || c == '_' || c == '-');
    text.split(is_apart).any(|word| words.contains(&word))
        || ["\\u", "\\U", "\\x"].iter().any(|escape| text.contains(escape))
}
