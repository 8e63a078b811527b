//! How a supervising preverb treats its target: the options of `--supervise` and of a table's `init`. Pure.

use std::ffi::OsString;
use std::time::Duration;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Supervision {
    pub(crate) signals: Vec<(i32, Option<i32>)>,
    pub(crate) group: Option<bool>,
    pub(crate) grace: Option<Duration>,
    pub(crate) exit: Vec<(u8, u8)>,
    /// Whether the command's path contains a secret, so that errors must not show it.
    pub(crate) conceal: bool,
    /// The signals that the previous preverb has blocked. If a request to stop among them has already
    /// arrived, the run ends before the target starts. The target does not inherit them as blocked.
    pub(crate) blocked: Vec<i32>,
}

impl Supervision {
    pub(crate) fn exit_code(&self, code: u8) -> u8 {
        self.exit.iter().find(|(from, _)| *from == code).map_or(code, |(_, to)| *to)
    }

    /// Makes the arguments of `--supervise` for these options: the inverse of the parser.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        fn list<T>(pairs: &[T], pair: impl Fn(&T) -> String) -> String {
            pairs.iter().map(pair).collect::<Vec<_>>().join(",")
        }
        let signal = |to: Option<i32>| to.map_or("none".to_owned(), |to| to.to_string());
        let valued = [
            ("--signals", list(&self.signals, |(from, to)| format!("{from}={}", signal(*to)))),
            ("--grace", self.grace.map_or_else(String::new, |grace| format!("{}ms", grace.as_millis()))),
            ("--exit", list(&self.exit, |(from, to)| format!("{from}={to}"))),
            ("--blocked", list(&self.blocked, ToString::to_string)),
        ];
        let mut arguments = vec!["--supervise".to_owned()];
        for (option, value) in valued.into_iter().filter(|(_, value)| !value.is_empty()) {
            arguments.extend([option.to_owned(), value]);
        }
        let flags = [("--group", self.group == Some(true)), ("--conceal", self.conceal)];
        arguments.extend(flags.iter().filter(|(_, is_set)| *is_set).map(|(option, _)| (*option).to_owned()));
        arguments.into_iter().map(OsString::from).collect()
    }
}
