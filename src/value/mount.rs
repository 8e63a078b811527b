//! A mount of `[shim]`, in the format of `-v`. Pure.

use crate::text::choice::choice;

choice! {
    /// The variables of the host that may begin a mount.
    Prefix { Home = "$HOME", Pwd = "$PWD" }
}

/// Splits off `$HOME` or `$PWD` if it is a whole part of the path: `$HOMES` is neither.
pub(crate) fn split_prefix(mount: &str) -> (Option<Prefix>, &str) {
    let split = |prefix: Prefix| Some((prefix, mount.strip_prefix(prefix.name())?));
    let mut found = Prefix::ALL.into_iter().filter_map(split);
    let found = found.find(|(_, rest)| rest.is_empty() || rest.starts_with(['/', ':']));
    found.map_or((None, mount), |(prefix, rest)| (Some(prefix), rest))
}
