//! The nearest name, for a hint after a mistyped one. Pure.

/// The candidate that is nearest to `word`, if one is near enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distances =
        candidates.into_iter().map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate));
    let is_near = |(distance, candidate): &(usize, &str)| {
        let length = candidate.chars().count();
        *distance <= 1 + length.max(word.chars().count()) / 4 && *distance < length
    };
    distances.filter(is_near).min().map(|(_, candidate)| candidate)
}

pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, candidates).map(|near| format!("did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_near() {
        assert_eq!(nearest("sever", ["server", "worker"]), Some("server"));
        assert_eq!(nearest("wroker", ["server", "worker"]), Some("worker"));
        assert_eq!(nearest("zzz", ["server", "worker"]), None);
        assert_eq!(nearest("x", ["a"]), None);
    }
}
