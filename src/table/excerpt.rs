//! Shows the line of a table with a mistake, and conceals secrets in it.
//!
//! The text may not even be TOML. This module does not know the mistake.

use super::select::{Tree, read};
use crate::text::{MASK, escaped, shortened, url};
use crate::value::{Place, Sources, Span};

#[derive(Debug)]
pub(crate) struct Excerpts<'s> {
    sources: &'s Sources,
    hidden: Hidden,
}

#[derive(Debug)]
enum Hidden {
    Values(Vec<Span>),
    /// The texts cannot be parsed, so it is unknown which variables are secret and where a value ends.
    Unknown,
    Nothing,
}

impl<'s> Excerpts<'s> {
    pub(crate) fn of(sources: &'s Sources) -> Self {
        let hidden = match read(sources) {
            Ok(document) => Hidden::Values(Tree::new(&document).secret_values()),
            Err(_) if sources.all().iter().any(|source| mentions(&source.text, &["secret"])) => {
                Hidden::Unknown
            }
            Err(_) => Hidden::Nothing,
        };
        Self { sources, hidden }
    }

    pub(crate) fn sources(&self) -> &'s Sources {
        self.sources
    }

    /// The sentence of a mistake, without the quoted value if that is concealed.
    pub(crate) fn sentence<'m>(&self, span: Span, message: &'m str, masked: Option<&'m str>) -> &'m str {
        let hides = match &self.hidden {
            Hidden::Values(hidden) => overlapping(hidden, span).next().is_some(),
            Hidden::Unknown => true,
            Hidden::Nothing => false,
        };
        masked.filter(|_| hides).unwrap_or(message)
    }

    pub(crate) fn lines(&self, place: &Place<'_>, span: Span) -> (String, String) {
        let start = place.source.start + place.start;
        let line = Span { start, end: start + place.text.len().max(1) };
        let mut hidden: Vec<Span> = match &self.hidden {
            Hidden::Values(values) => overlapping(values, line).collect(),
            Hidden::Unknown if is_guarded(&place.source.text[..place.start], place.text) => vec![line],
            Hidden::Unknown | Hidden::Nothing => Vec::new(),
        };
        let text = place.text.as_bytes();
        for login in [url::login(text), url::query(text)].into_iter().flatten() {
            let mut login = Span { start: start + login.start, end: start + login.end.max(login.start + 1) };
            // A secret that overlaps with it is merged into it.
            let reaches = |value: &mut Span| value.start < login.end && login.start < value.end;
            for value in hidden.extract_if(.., reaches).collect::<Vec<_>>() {
                login = Span { start: login.start.min(value.start), end: login.end.max(value.end) };
            }
            hidden.push(login);
            hidden.sort_unstable();
        }
        let shown = |from: usize, to: usize| {
            let raw = |from: usize, to: usize| {
                let raw = place.text.get(from.saturating_sub(start)..to.saturating_sub(start));
                escaped(raw.unwrap_or_default().replace('\t', " ").as_bytes())
            };
            let (mut text, mut from) = (String::new(), from);
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
        let marks = "^".repeat(marked.chars().count().clamp(1, 40));
        let mark = format!("{} | {}{marks}", " ".repeat(number.len()), " ".repeat(indent));
        (format!("{number} | {text}"), mark)
    }
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
        let quotes = above.matches("\"\"\"").count() + above.matches("'''").count();
        in_string ^= quotes % 2 == 1;
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
