//! A program that runs while others come and go: the temporary server of a database image.
//!
//! Where it ends before it is asked to, `Children::pump` ends what runs at that moment.

use std::time::{Duration, Instant};

use crate::sys::child::{Children, Running, Stop};

#[derive(Debug)]
pub(crate) struct Departure {
    pub(crate) companion: Running,
    /// Whether it ended before it was asked to.
    pub(crate) early: bool,
    pub(crate) stop: Option<Stop>,
}

impl Children {
    /// Ends the companion, if there is one: asks it by this signal, and waits until its group has ended, for
    /// `grace`, or from a request to stop on for `stopping`.
    pub(crate) fn dismiss(&mut self, signal: i32, grace: Duration, stopping: Duration) -> Option<Departure> {
        let mut companion = self.companion.take()?;
        self.reap(&mut [&mut companion]);
        let early = companion.status.is_some();
        companion.grace = grace;
        if early {
            companion.end_now();
        } else {
            companion.end(signal);
        }
        let mut stop = None;
        while companion.ended().is_none() {
            let now = Instant::now();
            if let (Some(number), Some((_, kill))) = (self.signals().stop(), &mut companion.ending) {
                stop = Some(Stop(number));
                if now + stopping < *kill {
                    *kill = now + stopping;
                    companion.grace = stopping;
                }
            }
            companion.end_if_due(now);
            self.reap(&mut [&mut companion]);
            if companion.ended().is_none() {
                self.poll(&[&mut companion], None);
            }
        }
        Some(Departure { companion, early, stop })
    }
}
