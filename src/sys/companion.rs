//! A program that runs while others come and go: the temporary server of a database image.
//!
//! Where it ends before it is asked to, `Children::pump` ends what runs at that moment.

use std::time::{Duration, Instant};

use crate::sys::child::Children;
use crate::sys::ended::{Ended, Stop};

/// How long it may take to end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grace {
    /// Without a request to stop.
    pub(crate) calm: Duration,
    /// After one.
    pub(crate) stopping: Duration,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Departure {
    pub(crate) ended: Ended,
    /// What a refusal to start it said.
    pub(crate) report: String,
    /// Whether it ended before it was asked to.
    pub(crate) early: bool,
    /// After which grace it was killed, if it was.
    pub(crate) killed: Option<Duration>,
    /// How long it ran.
    pub(crate) ran: Duration,
    /// A request to stop that came meanwhile.
    pub(crate) stop: Option<Stop>,
}

impl Children {
    /// Ends the companion, if there is one: asks it by this signal, and waits until its group has ended.
    /// With `stopping` the run was asked to stop already.
    pub(crate) fn dismiss(&mut self, signal: i32, grace: Grace, stopping: bool) -> Option<Departure> {
        let mut companion = self.companion.take()?;
        self.reap(&mut [&mut companion]);
        let early = companion.status.is_some();
        companion.grace = if stopping { grace.stopping } else { grace.calm };
        if early {
            companion.end_now();
        } else {
            companion.end(signal);
        }
        let (mut stop, mut killed) = (None, None);
        loop {
            let now = Instant::now();
            if let (Some(number), Some((_, kill))) = (self.signals().stop(), &mut companion.ending) {
                stop = Some(Stop(number));
                if now + grace.stopping < *kill {
                    *kill = now + grace.stopping;
                    companion.grace = grace.stopping;
                }
            }
            if companion.end_if_due(now) {
                killed = Some(companion.grace);
            }
            self.reap(&mut [&mut companion]);
            if let Some(ended) = companion.ended() {
                let (ended, ran) = (ended.clone(), companion.started.elapsed());
                return Some(Departure { ended, report: companion.last_line(), early, killed, ran, stop });
            }
            self.poll(&[&mut companion], None);
        }
    }
}
