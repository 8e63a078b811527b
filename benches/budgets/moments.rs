//! Measurements other than the time from start to exec: resident memory, the time from a TERM during a hook
//! to the end, and from the opening of a port to its notice. Knows how to wait for a state of a process, but
//! not how long that may take.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::ground::{Scratch, table_of};

const PATIENCE: Duration = Duration::from_secs(5);

/// The resident memory of a process, in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Pages present, shared ones included.
    pub(crate) resident: u64,
    /// The peak.
    pub(crate) peak: u64,
    /// Its own pages that no file backs.
    pub(crate) anonymous: u64,
    /// Pages present, each divided by the number of processes that share it.
    pub(crate) proportional: u64,
}

impl Memory {
    fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let field = |text: &str, name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
                .with_context(|| format!("the kernel tells no `{name}`"))
        };
        Ok(Self {
            resident: field(&status, "VmRSS:")?,
            peak: field(&status, "VmHWM:")?,
            anonymous: field(&status, "RssAnon:")?,
            proportional: field(&rollup, "Pss:")?,
        })
    }
}

/// A child that does not outlive us.
struct Kept(Child);

impl Kept {
    fn start<S: AsRef<OsStr>>(words: &[S], env: &[(&str, &OsStr)]) -> Result<Self> {
        let (program, rest) = words.split_first().context("no program")?;
        let mut command = Command::new(program);
        command.args(rest).envs(env.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn().with_context(|| format!("starting `{}`", program.as_ref().display()))?))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.0.id())?), signal)?)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // After a wait both are harmless: std remembers the status and sends nothing.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds()? {
        if Instant::now() > deadline {
            bail!("in {PATIENCE:?} it never came to this: {what}");
        }
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The resident memory of a supervisor, started by `launcher`, while its target does nothing.
///
/// # Errors
/// When it does not start its target.
pub(crate) fn memory_of_supervisor(launcher: &[&OsStr], target: &Path) -> Result<Memory> {
    let mut words: Vec<&OsStr> = launcher.to_vec();
    words.extend([target.as_os_str(), "pause".as_ref()]);
    let supervisor = Kept::start(&words, &[])?;
    let pid = supervisor.0.id();
    until("the target runs below its supervisor", || {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        Ok(children.split_whitespace().any(|child| {
            fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| stat.contains("(target) S"))
        }))
    })?;
    let memory = Memory::of(pid)?;
    supervisor.signal(Signal::SIGTERM)?;
    Ok(memory)
}

/// The peak memory of preverb up to its first step, with a table of `count` verbs, measured while it waits
/// for a file that never appears.
///
/// # Errors
/// When it never becomes idle.
pub(crate) fn memory_of_run(
    preverb: &Path, count: usize, target: &Path, scratch: &Scratch,
) -> Result<Memory> {
    let never = scratch.path("never");
    let table = format!("{}\n[[setup]]\nwait = [\"file://{}\"]\n", table_of(count, target), never.display());
    let table = scratch.file(&format!("memory-{count}.toml"), 0o644, &table)?;
    let run = Kept::start(&[preverb], &[("PREVERB_TABLE", table.as_os_str())])?;
    // The table is read before the second try of the probe: two pauses asleep, and the same peak in both.
    let mut last = (0, 0);
    until("its memory is the same for a while", || {
        let peak = Memory::of(run.0.id()).map_or(0, |memory| memory.peak);
        last = if peak != 0 && last.0 == peak { (peak, last.1 + 1) } else { (peak, 0) };
        Ok(last.1 >= 100)
    })?;
    let memory = Memory::of(run.0.id())?;
    run.signal(Signal::SIGTERM)?;
    Ok(memory)
}

/// From a TERM during a hook that sleeps to the end of preverb.
///
/// # Errors
/// When the hook does not start, or preverb does not end with 143.
pub(crate) fn term_in_hook(preverb: &Path, target: &Path, scratch: &Scratch) -> Result<Duration> {
    let marker = scratch.path("asleep");
    fs::remove_file(&marker).ok();
    let hook = format!(": > {}\nsleep 60\n", marker.display());
    let hook = scratch.file("sleeping/10-sleep.sh", 0o644, &hook)?;
    let folder = hook.parent().context("a hook lies in a folder")?;
    let table = format!("{}\n[[setup]]\nhooks = \"{}\"\n", table_of(10, target), folder.display());
    let table = scratch.file("sleeping.toml", 0o644, &table)?;
    let mut run = Kept::start(&[preverb], &[("PREVERB_TABLE", table.as_os_str())])?;
    until("the hook runs", || Ok(marker.exists()))?;
    let start = Instant::now();
    run.signal(Signal::SIGTERM)?;
    let status = run.0.wait()?;
    let took = start.elapsed();
    if status.code() != Some(143) {
        bail!("a TERM during a hook ended with {status} instead of 143");
    }
    Ok(took)
}

/// From the opening of a port, after a wait of `after`, to the end of the target.
///
/// # Errors
/// When preverb or the target fails.
pub(crate) fn port_that_opens(
    preverb: &Path, target: &Path, scratch: &Scratch, after: Duration,
) -> Result<Duration> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let table = format!("{}\n[[setup]]\nwait = [\"tcp://{address}\"]\n", table_of(10, target));
    let table = scratch.file("port.toml", 0o644, &table)?;
    let words = [OsString::from(preverb)];
    let mut run = Kept::start(&words, &[("PREVERB_TABLE", table.as_os_str())])?;
    sleep(after);
    if let Some(status) = run.0.try_wait()? {
        bail!("it did not wait for the port: {status}");
    }
    let listener = TcpListener::bind(address)?;
    let start = Instant::now();
    let status = run.0.wait()?;
    let took = start.elapsed();
    drop(listener);
    if !status.success() {
        bail!("a wait for a port that opens ended with {status}");
    }
    Ok(took)
}
