//! Durations and permission bits: parsing and display. Pure.

use std::time::Duration;

/// The default timeout of `--wait` and of a `wait` step.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_mins(1);
/// The default timeout of `--probe` and `--health`.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// The interval at which a long step reports that it is still running.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// The time after which a wait is first reported.
pub(crate) const FIRST_REPORT: Duration = Duration::from_secs(1);

/// The pause before the next try, after a wait of `waited`.
pub(crate) fn pause(waited: Duration) -> Duration {
    (waited / 10).clamp(Duration::from_millis(20), Duration::from_secs(1))
}

pub(crate) const DURATION_RULE: &str = "a duration is a number with a unit: `500ms`, `60s`, `5m`, `1h`";

/// Parses a duration: a whole number and one of `ms`, `s`, `m`, `h`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// Formats a duration for people: `12 ms`, `3.4 s`, `2 min 5 s`.
pub(crate) fn readable(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        1000..120_000 if milliseconds % 1000 < 50 => format!("{} s", milliseconds / 1000),
        1000..120_000 => format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100),
        _ => format!("{} min {} s", milliseconds / 60_000, milliseconds / 1000 % 60),
    }
}

/// Parses permission bits in octal, such as `022` or `0755`; the maximum is `7777`.
pub(crate) fn parse_mode(text: &str) -> Option<u32> {
    let is_octal = text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("5m"), Some(Duration::from_mins(5)));
        assert_eq!(parse_duration("1h"), Some(Duration::from_hours(1)));
        assert_eq!(parse_duration("0s"), Some(Duration::ZERO));
        for bad in
            ["", "5", "s", "-1s", "1.5s", "1 s", "1d", "99999999999999999999s", "18446744073709551615h"]
        {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
