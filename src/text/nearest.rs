//! The nearest name, for a hint after a mistyped one. Pure.

/// The candidate that is nearest to `word`, if one is near enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let own = word.chars().count();
    let near = candidates.into_iter().filter_map(|candidate| {
        let length = candidate.chars().count();
        let most = (1 + length.max(own) / 4).min(length.saturating_sub(1));
        // At least as far as they differ in length; to find out more takes time with both.
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
    fn the_nearest_is_near() {
        assert_eq!(nearest("sever", ["server", "worker"]), Some("server"));
        assert_eq!(nearest("wroker", ["server", "worker"]), Some("worker"));
        assert_eq!(nearest("zzz", ["server", "worker"]), None);
        assert_eq!(nearest("x", ["a"]), None);
        // Not near, and found out at once.
        let long = "v".repeat(1 << 17);
        assert_eq!(nearest(&long, std::iter::repeat_n("verb-1234", 10_000)), None);
    }
}
