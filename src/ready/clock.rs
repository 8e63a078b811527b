//! A time limit, and how much of it is left.

use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    limit: Duration,
}

impl Clock {
    pub(crate) fn start(limit: Duration) -> Self {
        Self { start: Instant::now(), limit }
    }

    pub(crate) fn rest(self) -> Duration {
        self.limit.saturating_sub(self.used())
    }

    /// The time that is left, or an error if none is: the system reads a timeout of zero as no timeout.
    pub(crate) fn left(self) -> Result<Duration, String> {
        Some(self.rest()).filter(|rest| !rest.is_zero()).ok_or_else(|| self.expired())
    }

    pub(crate) fn share(self, parts: usize) -> Self {
        Self::start(self.rest() / u32::try_from(parts).unwrap_or(u32::MAX).max(1))
    }

    pub(crate) fn at_most(self, limit: Duration) -> Self {
        Self::start(self.rest().min(limit))
    }

    pub(crate) fn used(self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn limit(self) -> Duration {
        self.limit
    }

    pub(crate) fn expired(self) -> String {
        format!("no answer within {}", rounded(self.limit))
    }
}

/// Formats a limit: `5 s`, `2.5 s`, `500 ms`. From a second on, it is rounded to tenths of a second.
pub(crate) fn rounded(limit: Duration) -> String {
    // A share of a limit has lost some microseconds to earlier work.
    let millis = (limit.as_micros() + 500) / 1000;
    let tenths = (millis + 50) / 100;
    match (tenths / 10, tenths % 10) {
        (0, _) => format!("{millis} ms"),
        (seconds, 0) => format!("{seconds} s"),
        (seconds, tenth) => format!("{seconds}.{tenth} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_rounded_in_messages() {
        for (micros, text) in [
            (0, "0 ms"),
            (200_000, "200 ms"),
            (199_987, "200 ms"),
            (949_000, "949 ms"),
            (1_000_000, "1 s"),
            (2_500_000, "2.5 s"),
            (4_999_871, "5 s"),
            (60_000_000, "60 s"),
        ] {
            assert_eq!(rounded(Duration::from_micros(micros)), text);
        }
    }
}
