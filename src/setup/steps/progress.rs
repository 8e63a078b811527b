//! Checks whether a step in this process may continue. It may handle many files on a slow file system, so it
//! checks before each piece of work.

use std::time::{Duration, Instant};

use crate::plan::PlanStep;
use crate::setup::state::World;
use crate::text::{Failure, Kind, Level, Message, REPORT_INTERVAL, Result, readable};

pub(crate) type Progress<'a> = dyn FnMut() -> Result<()> + 'a;

/// The interval between two looks at the signals; a shorter step makes none.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The check for a step that began at `started`. It fails after a request to stop or past the timeout, and
/// reports a long step.
pub(crate) fn of<'a>(
    step: &'a PlanStep, started: Instant, world: &'a mut World,
) -> impl FnMut() -> Result<()> + 'a {
    let (label, limit) = (&step.label, step.limit().filter(|limit| !limit.is_zero()));
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
        if let Some(stop) = world.children.stop() {
            return Err(stop.failure(&format!("during step `{label}`")));
        }
        if now >= say {
            let sentence = format!("step `{label}` still runs after {}", readable(now - started));
            world.log.emit(&Message::new(Level::Info, sentence).field("step", label));
            say += REPORT_INTERVAL;
        }
        Ok(())
    }
}

pub(crate) fn timed_out(label: &str, limit: Duration) -> Failure {
    let sentence = format!("step `{label}` took longer than its timeout of {}", readable(limit));
    Failure::new(Kind::System, sentence).field("step", label)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::sys::entry::testing::{Needs, alone};
    use crate::sys::signals::Signals;
    use crate::sys::{Children, Credentials};
    use crate::text::Log;
    use crate::value::{Deferred, Step};

    fn ago(duration: Duration) -> Instant {
        Instant::now().checked_sub(duration).expect("the machine runs for longer")
    }

    fn world() -> World {
        let children = Children::new(Signals::handle().expect("signals are handled"));
        let (log, myself) = (Log::default(), Credentials::observe());
        World { log, program: PathBuf::new(), myself, children }
    }

    fn step(limit: Option<u64>) -> PlanStep {
        let timeout = limit.map(|limit| Deferred::Known(Duration::from_secs(limit)));
        let step = Step { timeout, ..Step::default() };
        PlanStep { step, label: "it".to_owned(), skip: None, steps: Vec::new() }
    }

    #[test]
    fn a_long_step_is_reported_and_ends_when_asked_to_stop() {
        let test = "a_long_step_is_reported_and_ends_when_asked_to_stop";
        let printed = alone(module_path!(), test, Needs::Process, || {
            let (step, mut world) = (step(None), world());
            let mut progress = of(&step, ago(REPORT_INTERVAL), &mut world);
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
            let mut world = world();
            let started = ago(Duration::from_secs(2));
            let mut after = |limit| of(&step(Some(limit)), started, &mut world)();
            let failure = after(1).expect_err("too long");
            assert_eq!(failure.kind(), Kind::System);
            assert_eq!(failure.sentence(), "step `it` took longer than its timeout of 1 s");
            after(0).expect("zero is no limit");
            after(60).expect("there is time left");
        });
    }
}
