//! Signals by name and number. Pure.

/// Parses a signal: a name with or without `SIG`, or a number. Real-time signals are counted from the
/// kernel's 34, like in kill(1) and the engines, even if the C library reserves some.
pub(crate) fn parse_signal(text: &str) -> Option<i32> {
    let possible = |number: &i32| (1..=31).contains(number) || (35..=64).contains(number);
    if let Ok(number) = text.parse::<i32>() {
        return Some(number).filter(possible);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |digits: &str| digits.parse::<u8>().ok().map(i32::from);
    if let Some(digits) = name.strip_prefix("RTMIN+") {
        return offset(digits).map(|offset| 34 + offset).filter(|number| (35..=64).contains(number));
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        let below = if rest.is_empty() { 0 } else { offset(rest.strip_prefix('-')?)? };
        return Some(64 - below).filter(|number| (35..=64).contains(number));
    }
    let signal: nix::sys::signal::Signal = format!("SIG{name}").parse().ok()?;
    Some(signal as i32)
}

/// Whether a process can catch the signal: all but KILL and STOP (signal(7)).
pub(crate) fn can_be_caught(number: i32) -> bool {
    !matches!(number, 9 | 19)
}

/// A signal's name for messages: `SIGTERM` or `signal 40`.
pub(crate) fn signal_name(number: i32) -> String {
    nix::sys::signal::Signal::try_from(number)
        .map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_with_and_without_sig() {
        assert_eq!(parse_signal("TERM"), Some(15));
        assert_eq!(parse_signal("SIGTERM"), Some(15));
        assert_eq!(parse_signal("hup"), Some(1));
        assert_eq!(parse_signal("9"), Some(9));
        assert_eq!(parse_signal("SIGRTMIN+3"), Some(37));
        assert_eq!(parse_signal("RTMAX"), Some(64));
        assert_eq!(parse_signal("rtmax-1"), Some(63));
        assert_eq!(parse_signal("40"), Some(40));
        for bad in [
            "",
            "SIG",
            "0",
            "32",
            "34",
            "65",
            "TERMINATE",
            "SIGSIGTERM",
            "RTMIN",
            "RTMIN+31",
            "RTMAX-30",
            "RTMAX+1",
        ] {
            assert_eq!(parse_signal(bad), None, "{bad}");
        }
    }
}
