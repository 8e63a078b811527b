//! A mount of `[shim]`, as `-v` takes it. Pure.

/// What of the host may stand at the beginning of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    Home,
    Pwd,
}

impl Prefix {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Home => "$HOME",
            Self::Pwd => "$PWD",
        }
    }
}

/// Splits `$HOME` or `$PWD` off, where it is a whole word of the path: `$HOMES` is neither.
pub(crate) fn split_prefix(mount: &str) -> (Option<Prefix>, &str) {
    for prefix in [Prefix::Home, Prefix::Pwd] {
        if let Some(rest) = mount.strip_prefix(prefix.text())
            && (rest.is_empty() || rest.starts_with(['/', ':']))
        {
            return (Some(prefix), rest);
        }
    }
    (None, mount)
}
