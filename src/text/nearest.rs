//! Finds the nearest name, for a hint after a typo. Pure.

/// The candidate that is nearest to `word`, if it is near enough to be the intended one.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let own = word.chars().count();
    let near = candidates.into_iter().filter_map(|candidate| {
        let length = candidate.chars().count();
        let most = (1 + length.max(own) / 4).min(length.saturating_sub(1));
        // The distance is at least the difference in length; computing it is slow for long names.
        let may_be = length.abs_diff(own) <= most;
        let distance = may_be.then(|| strsim::damerau_levenshtein(word, candidate))?;
        (distance <= most).then_some((distance, candidate))
    });
    near.min().map(|(_, candidate)| candidate)
}

pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, candidates).map(|near| format!("did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_near_name_is_suggested() {
        assert_eq!(nearest("sever", ["server", "worker"]), Some("server"));
        assert_eq!(nearest("wroker", ["server", "worker"]), Some("worker"));
        assert_eq!(nearest("zzz", ["server", "worker"]), None);
        assert_eq!(nearest("x", ["a"]), None);
        // A long name is not near, and is rejected quickly.
        let long = "v".repeat(1 << 17);
        assert_eq!(nearest(&long, std::iter::repeat_n("verb-1234", 10_000)), None);
    }
}
