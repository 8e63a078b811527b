//! Checks whether a step in this process may continue. It may handle many files on a slow file system, so it
//! checks before each piece of work.

use std::time::{Duration, Instant};

use crate::plan::PlanStep;
use crate::setup::state::World;
use crate::sys::Children;
use crate::text::{Failure, Kind, Level, Log, Message, REPORT_INTERVAL, Result, readable};

pub(crate) type Progress<'a> = dyn FnMut() -> Result<()> + 'a;

/// The interval between two looks at the signals; a shorter step makes none.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The check for a step. It fails after a request to stop or past the timeout, and reports a long step.
pub(crate) fn of<'a>(
    label: &'a str, limit: Option<Duration>, started: Instant, log: Log, children: &'a mut Children,
) -> impl FnMut() -> Result<()> + 'a {
    let limit = limit.filter(|limit| !limit.is_zero());
    let (mut look, mut say) = (started + POLL_INTERVAL, started + REPORT_INTERVAL);
    move || {
        let now = Instant::now();
        if let Some(limit) = limit.filter(|limit| now > started + *limit) {
            return Err(timed_out(label, limit));
        }
        if now < look {
            return Ok(());
        }
        look = now + POLL_INTERVAL;
        if let Some(stop) = children.stop() {
            return Err(stop.failure(&format!("during step `{label}`")));
        }
        if now >= say {
            let sentence = format!("step `{label}` still runs after {}", readable(now - started));
            log.emit(&Message::new(Level::Info, sentence).field("step", label));
            say += REPORT_INTERVAL;
        }
        Ok(())
    }
}

pub(crate) fn timed_out(label: &str, limit: Duration) -> Failure {
    let sentence = format!("step `{label}` took longer than its timeout of {}", readable(limit));
    Failure::new(Kind::System, sentence).field("step", label)
}

/// The check for a step that begins now.
pub(crate) fn of_step<'a>(step: &'a PlanStep, world: &'a mut World) -> impl FnMut() -> Result<()> + 'a {
    of(&step.label, step.limit(), Instant::now(), world.log, &mut world.children)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::entry::testing::{Needs, alone};
    use crate::sys::signals::Signals;
    use crate::text::log::Format;

    const TEXT: Log = Log { format: Format::Text };

    fn ago(duration: Duration) -> Instant {
        Instant::now().checked_sub(duration).expect("the machine runs for longer")
    }

    fn children() -> Children {
        Children::new(Signals::handle().expect("signals are handled"))
    }

    #[test]
    fn a_long_step_is_reported_and_ends_when_asked_to_stop() {
        let test = "a_long_step_is_reported_and_ends_when_asked_to_stop";
        let printed = alone(module_path!(), test, Needs::Process, || {
            let mut children = children();
            let mut progress = of("it", None, ago(REPORT_INTERVAL), TEXT, &mut children);
            progress().expect("it may continue");
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM).expect("raised");
            let deadline = Instant::now() + Duration::from_secs(10);
            let failure = loop {
                if let Err(failure) = progress() {
                    break failure;
                }
                assert!(Instant::now() < deadline, "it continues");
            };
            assert_eq!(failure.kind(), Kind::Stopped(15));
            assert_eq!(failure.sentence(), "stopped by SIGTERM during step `it`");
        });
        if let Some(printed) = printed {
            assert_eq!(printed.matches("preverb: step `it` still runs after 10 s\n").count(), 1, "{printed}");
        }
    }

    #[test]
    fn a_step_ends_at_its_timeout_and_zero_means_none() {
        let test = "a_step_ends_at_its_timeout_and_zero_means_none";
        alone(module_path!(), test, Needs::Process, || {
            let mut children = children();
            let started = ago(Duration::from_secs(2));
            let mut after =
                |limit| of("it", Some(Duration::from_secs(limit)), started, TEXT, &mut children)();
            let failure = after(1).expect_err("too long");
            assert_eq!(failure.kind(), Kind::System);
            assert_eq!(failure.sentence(), "step `it` took longer than its timeout of 1 s");
            after(0).expect("zero is no limit");
            after(60).expect("there is time left");
        });
    }
}
