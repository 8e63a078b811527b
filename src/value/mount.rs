//! A mount of `[shim]`, in the format of `-v`. Pure.

/// Splits off the variable of the host that begins a mount, `$HOME` or `$PWD`; `$HOMES` is neither.
pub(crate) fn split_prefix(mount: &str) -> (&str, &str) {
    let begins = |variable: &&str| {
        let rest = mount.strip_prefix(variable);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
    };
    mount.split_at(["$HOME", "$PWD"].into_iter().find(begins).map_or(0, str::len))
}
