//! Finds the container's main process from another process of the container, by what everybody may read,
//! because the answer must be the same whoever asks: a `preverb` that does not supervise is still setting up,
//! and nothing below it is the main process. Only where names do not tell (a shell script or an unknown init
//! before preverb), variables do.

use std::time::{Duration, Instant};

use crate::modes::process::{Process, has, has_mark, is_whole, own_pid};
use crate::sys::{Children, ProcessStat, Status, proc, read};
use crate::text::{Failure, Kind, Result, quoted};

/// The process name of preverb while it sets up, whatever its file's name is.
const PREVERB: &[u8] = b"preverb";
/// Its process name while it supervises; the target's process id follows.
const SUPERVISOR: &[u8] = b"preverb:";

/// Inits that come first in a container and are never what it is for; as the kernel has their names.
const INITS: &str = "tini tini-static docker-init podman-init catatonit dumb-init init systemd s6-svscan \
                     runsvdir runit dinit my_init pause";

/// How long a supervisor may take to name its target, which can run for a moment before that.
const STARTING: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(5);

enum Found {
    Main(Process),
    Starting(i32),
}

/// Finds the main process: PID 1; where that is another init, the oldest process below it; where it is
/// another container's (a pod's pause), the oldest of this one's; where that is a supervising preverb, its
/// target. `doing` is what a request to stop interrupts.
pub(crate) fn find(children: &mut Children, doing: &str) -> Result<Process> {
    let deadline = Instant::now() + STARTING;
    loop {
        match look()? {
            Found::Main(process) => return Ok(process),
            Found::Starting(_) if Instant::now() < deadline => {
                children.sleep(Instant::now() + LOOK).map_err(|stop| stop.failure(doing))?;
            }
            Found::Starting(pid) => {
                return Err(unavailable(format!("supervisor process {pid} has not started its target yet")));
            }
        }
    }
}

fn unavailable(sentence: String) -> Failure {
    Failure::say(Kind::Unavailable, sentence)
}

fn setting_up(pid: i32) -> Failure {
    unavailable(format!("still setting up: process {pid} has not become the target yet")).hint(
        "variables that hooks export exist only after the hooks have run; to run a command earlier, \
         leave out `preverb --exec --`",
    )
}

fn alone() -> Failure {
    Failure::say(Kind::Usage, "this process is itself the container's main process")
        .hint("`--exec` is for `docker exec` and `kubectl exec`, in a running container")
}

fn not_seen() -> Failure {
    Failure::say(Kind::System, "the main process of this container cannot be seen in `/proc`")
}

fn look() -> Result<Found> {
    let own = own_pid();
    // A /proc of another namespace has this process under another number, or not at all.
    let seen = std::fs::read_link("/proc/self").ok();
    if seen.and_then(|pid| pid.to_str()?.parse().ok()) != Some(own) {
        let sentence =
            "cannot find the container's main process: `/proc` is missing or is not this container's";
        return Err(Failure::say(Kind::System, sentence));
    }
    if own == 1 {
        return Err(alone());
    }
    let mut by_age = proc::all();
    by_age.sort_unstable_by_key(|(pid, stat)| (stat.started, *pid));
    let processes = Processes { by_age, own };
    processes.main(processes.first().ok_or_else(not_seen)?)
}

struct Processes {
    by_age: Vec<(i32, ProcessStat)>,
    own: i32,
}

impl Processes {
    fn get(&self, pid: i32) -> Option<&ProcessStat> {
        self.by_age.iter().find(|(each, _)| *each == pid).map(|(_, stat)| stat)
    }

    fn first(&self) -> Option<i32> {
        let unknown = || proc::mounts(1).is_empty() && has_same_cgroup(1);
        if self.get(1).is_some() && (has_same_mounts(1) || unknown()) {
            return Some(1);
        }
        let oldest = |is_ours: fn(i32) -> bool| {
            let pid = self.by_age.iter().map(|(pid, _)| *pid).find(|pid| is_ours(*pid))?;
            // Commands that were started beside the main process, as this one was, are younger.
            (pid != self.own && !self.is_below(self.own, pid)).then_some(pid)
        };
        // A main process that has mounts of its own is found by its cgroup.
        oldest(has_same_mounts).or_else(|| oldest(has_same_cgroup))
    }

    fn is_below(&self, pid: i32, ancestor: i32) -> bool {
        let mut next = pid;
        // A snapshot that was taken while processes came and went may hold a circle.
        for _ in 0..self.by_age.len() {
            match self.get(next).map(|stat| stat.parent) {
                Some(parent) if parent == ancestor => return true,
                Some(parent) if parent != 0 => next = parent,
                _ => return false,
            }
        }
        false
    }

    fn main(&self, first: i32) -> Result<Found> {
        let mut pid = first;
        let mut supervisor = None;
        loop {
            if pid == self.own {
                return Err(alone());
            }
            let stat = self.get(pid).ok_or_else(not_seen)?;
            if matches!(stat.state, b'Z' | b'X') {
                let name = quoted(&stat.name);
                return Err(unavailable(format!("the main process {pid} ({name}) has ended")));
            }
            let words = proc::command_line(pid);
            // A supervisor's child that is about to become the target.
            if let [name, word, ..] = &*words
                && read::is_part(name)
                && word == b"--preverb-target"
            {
                return Err(setting_up(pid));
            }
            if stat.name == PREVERB {
                let mut options = words.iter().skip(1).take_while(|word| *word != b"--");
                let supervises = options.any(|word| word == b"--supervise");
                return if supervises { Ok(Found::Starting(pid)) } else { Err(setting_up(pid)) };
            }
            let status = Status::of(pid);
            if let Some(target) = stat.name.strip_prefix(SUPERVISOR) {
                supervisor = Some(pid);
                // The number that it names is that of its own PID namespace, which may be one below this
                // `/proc`'s, and above its target's.
                let depth = status.map_or(0, |status| status.numbers.len().saturating_sub(1));
                let number = |pid| Status::of(pid)?.numbers.get(depth).copied();
                pid = self.target_of(pid, target, number).ok_or_else(|| {
                    unavailable(format!("the target of supervisor process {pid} no longer exists"))
                })?;
                continue;
            }
            let status = status.ok_or_else(not_seen)?;
            let main = Process { pid, name: stat.name.clone(), status, supervisor };
            // `init` is any image's program, too: what carries a verb, preverb has become.
            let is_target = || main.environment().is_ok_and(|text| has(&text, "PREVERB_VERB"));
            let is_init = INITS.split(' ').any(|init| init.as_bytes() == stat.name);
            if is_init && !(stat.name == b"init" && is_target()) {
                match self.below(pid, true) {
                    Some(below) => pid = below,
                    None if self.is_below(self.own, pid) => return Err(alone()),
                    // With nothing below it, it is what the container is for.
                    None => return Ok(Found::Main(main)),
                }
                continue;
            }
            // A shell script that runs preverb, or an unknown init, is recognised by its variables:
            // they lack what preverb sets, and those of a process below it do not.
            let unmarked = main.environment().is_ok_and(|text| !has_mark(&text) && is_whole(&text));
            match self.below(pid, false).filter(|_| unmarked) {
                Some(below) => pid = below,
                None => return Ok(Found::Main(main)),
            }
        }
    }

    /// The target of a supervisor: the child that it names. Others may look the same: what a hook has left
    /// behind is older, an orphan that it has taken in may be.
    fn target_of(&self, supervisor: i32, target: &[u8], number: impl Fn(i32) -> Option<i32>) -> Option<i32> {
        let target: i32 = std::str::from_utf8(target).ok()?.parse().ok()?;
        let mut children = self.by_age.iter().filter(|(_, each)| each.parent == supervisor);
        children.find(|(pid, _)| number(*pid) == Some(target)).map(|(pid, _)| *pid)
    }

    fn below(&self, ancestor: i32, any: bool) -> Option<i32> {
        let mut oldest = None;
        for (pid, stat) in &self.by_age {
            let pid = *pid;
            if pid == self.own || !self.is_below(pid, ancestor) {
                continue;
            }
            oldest = oldest.or(Some(pid).filter(|_| any));
            if stat.name == PREVERB || stat.name.starts_with(SUPERVISOR) {
                return Some(pid);
            }
            let Some(status) = Status::of(pid) else { continue };
            match (Process { pid, name: Vec::new(), status, supervisor: None }).environment() {
                Ok(text) if has_mark(&text) => return Some(pid),
                Ok(_) => {}
                // One whose variables cannot be read may be it: what is younger is not.
                Err(_) => break,
            }
        }
        oldest
    }
}

/// Whether a process is of this container: it sees the same mounts, or where this process cannot know its
/// own, it has the same cgroup.
fn has_same_mounts(pid: i32) -> bool {
    let mine = proc::mounts(own_pid());
    // The dead see no mounts: what came and went while the list was made is older than the main process
    // in one container and younger in another.
    if mine.is_empty() { has_same_cgroup(pid) } else { !mine.is_disjoint(&proc::mounts(pid)) }
}

fn has_same_cgroup(pid: i32) -> bool {
    let cgroup = |pid| proc::read(pid, "cgroup").ok();
    cgroup(own_pid()).is_none_or(|mine| cgroup(pid) == Some(mine))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(name: &str, parent: i32, group: i32, started: u64) -> ProcessStat {
        ProcessStat { name: name.into(), state: b'S', parent, group, started }
    }

    #[test]
    fn the_target_of_a_supervisor_is_the_child_that_it_names() {
        let by_age = vec![
            (1, stat("preverb:6", 0, 1, 1)),
            (5, stat("left behind", 1, 5, 2)),
            (6, stat("server", 1, 6, 2)),
            (7, stat("worker", 6, 6, 5)),
            (8, stat("preverb:2", 5, 8, 6)),
            (9, stat("inner", 8, 9, 7)),
        ];
        let processes = Processes { by_age, own: 100 };
        // Process 9 is process 2 of a namespace of its own.
        let number = |pid| Some(if pid == 9 { 2 } else { pid });
        assert_eq!(processes.target_of(1, b"6", number), Some(6));
        assert_eq!(processes.target_of(8, b"2", number), Some(9));
        for nothing in [&b"7"[..], b"100", b"", b"x"] {
            assert_eq!(processes.target_of(1, nothing, number), None);
        }
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let by_age = vec![(5, stat("a", 6, 5, 1)), (6, stat("b", 5, 5, 1))];
        assert!(!Processes { by_age, own: 100 }.is_below(5, 1));
    }

    #[test]
    fn names_of_processes_are_no_longer_than_the_kernel_keeps_them() {
        for name in INITS.split(' ') {
            assert!(name.len() <= 15, "{name}");
        }
    }
}
