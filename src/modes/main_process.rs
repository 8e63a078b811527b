//! The container's main process: the search for it from another process of the container, and its variables,
//! working directory and user, which that process can take on. The search uses facts that every user can
//! read, because the answer must not depend on the caller: a `preverb` that does not supervise is still
//! setting up, and no process below it is the main process. The variables are used only if process names are
//! ambiguous (a shell script or an unknown init before preverb).

use std::io;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::sys::{Children, Credentials, Identity, ProcessStat, Status, identity, proc, read};
use crate::text::{Failure, Kind, Result, quoted, reason};
use crate::value::{Capability, Expanded, Variables};

#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) stat: ProcessStat,
    pub(crate) status: Status,
    pub(crate) supervisor: Option<i32>,
}

fn own_pid() -> i32 {
    std::process::id().cast_signed()
}

fn has_mark(text: &[u8]) -> bool {
    Variables::from_block(text).get(b"PREVERB_ENVIRONMENT").is_some()
}

/// Whether these are still the variables that the process was started with. Programs that set a title (nginx,
/// Redis, Ruby, Perl) overwrite them, and most of these fill the rest with NULs.
fn is_whole(text: &[u8]) -> bool {
    let filled_up =
        text.starts_with(b"\0") || text.ends_with(b"\0\0") || text.windows(3).any(|bytes| bytes == b"\0\0\0");
    // An entry without `=` can be inherited; if preverb's own variables are gone as well, it is a title.
    let first = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let titled = !first.is_empty() && !first.contains(&b'=');
    !filled_up && (!titled || has_mark(text))
}

impl Process {
    pub(crate) fn shown(&self) -> String {
        format!("the main process {} ({})", self.pid, quoted(&self.stat.name))
    }

    /// Refuses a process with the ids of several users, or one that has become another user. It has run a
    /// set-user-id program with variables that its user chose, and preverb would use them with the rights of
    /// the other user.
    fn is_one_user(&self) -> Result<()> {
        let Status { uid, gid, ids_differ, .. } = self.status;
        let lent = |started: [(u32, u32); 2]| {
            started.iter().zip([uid, gid]).any(|((real, effective), id)| real != effective && *real != id)
        };
        let started = || proc::ids_at_start(&self.read(|pid| proc::read(pid, "auxv")).ok()?);
        let shown = self.shown();
        let what = if ids_differ {
            format!("the real, effective and saved ids of {shown} differ: it has run a set-user-id program")
        } else if started().is_some_and(lent) {
            format!("{shown} has become another user with a set-user-id or set-group-id program")
        } else {
            return Ok(());
        };
        Err(Failure::new(Kind::Identity, format!("{what}, and preverb does not act for it")))
    }

    /// Refuses a process that has changed: the facts read so far may belong to a different one.
    fn is_unchanged(&self) -> Result<()> {
        let ids = |status: &Status| (status.uid, status.gid, status.ids_differ, status.groups.clone());
        let started = ProcessStat::of(self.pid).map(|stat| stat.started);
        let status = Status::of(self.pid);
        if started == Some(self.stat.started) && status.as_ref().map(ids) == Some(ids(&self.status)) {
            return Ok(());
        }
        let sentence = format!("{} has ended, or become another user, while it was read", self.shown());
        Err(Failure::new(Kind::Unavailable, sentence))
    }

    fn environment(&self) -> io::Result<Vec<u8>> {
        self.read(|pid| proc::read(pid, "environ"))
    }

    pub(crate) fn variables(&self) -> Result<Variables> {
        self.is_one_user()?;
        let mut text = self.environment();
        // The supervisor was started with the same variables, and never overwrites them.
        if !text.as_ref().is_ok_and(|text| is_whole(text))
            && let Some(pid) = self.supervisor
            && let Some(status) = Status::of(pid).filter(|status| status.may_become(&self.status))
        {
            let supervisor = Self { pid, status, ..self.clone() };
            let kept = supervisor.environment();
            if supervisor.is_one_user().is_ok() && (kept.is_ok() || text.is_ok()) {
                text = kept;
            }
        }
        let text = text.map_err(|error| self.refused("variables", &error))?;
        if !is_whole(&text) {
            let sentence = "has overwritten its variables with its title, so its verb is unknown: with \
                            `init = true` the supervisor keeps them";
            return Err(Failure::new(Kind::System, format!("{} {sentence}", self.shown())));
        }
        Ok(if text.is_empty() { Variables::default() } else { Variables::from_block(&text) })
    }

    /// Reads a file of the process that the kernel guards: as this process, or, if that is refused, as the
    /// main process's user with its capabilities (`ptrace(2)`, "ptrace access mode checking").
    fn read<T>(&self, read: impl Fn(i32) -> io::Result<T>) -> io::Result<T> {
        let refused = match read(self.pid) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => error,
            other => return other,
        };
        if !Credentials::observe().is_root() {
            return Err(refused);
        }
        let result = identity::acting_as(Some(&self.identity()), || {
            identity::raise(self.status.permitted);
            Ok(read(self.pid))
        });
        result.unwrap_or(Err(refused))
    }

    fn identity(&self) -> Identity {
        let Status { uid, gid, ref groups, .. } = self.status;
        let spec = Expanded::open(format!("{uid}:{gid}"));
        Identity { spec, uid, gid, groups: groups.clone(), home: b"/".to_vec() }
    }

    fn refused(&self, what: &str, error: &io::Error) -> Failure {
        let sentence = format!("cannot read the {what} of {}: {}", self.shown(), reason(error));
        if error.kind() != io::ErrorKind::PermissionDenied {
            return Failure::new(Kind::System, sentence);
        }
        let me = Credentials::observe();
        let Status { uid, gid, permitted, .. } = self.status;
        let lacking = permitted & !Status::of(own_pid()).unwrap_or_default().permitted;
        let same = (me.uid, me.gid) == (uid, gid);
        // In this case the user of the main process does not matter.
        let hidden = proc::owner(self.pid).is_some_and(|owner| owner != uid);
        let as_root = "run this as root, as in `docker exec -u root ...`";
        let (why, hint) = if me.is_root() && !same && !hidden {
            let this = "root without the capabilities to become that user or to inspect it";
            let hint = format!("run this as {uid}:{gid}, as in `docker exec -u {uid}:{gid} ...`");
            (format!("it is {}, and this is {this}", who(uid, gid)), hint)
        } else if !me.is_root() && !same {
            let as_them = if uid == 0 { String::new() } else { format!(", or as {uid}:{gid}") };
            let why = format!("it is {}, and this is {}", who(uid, gid), who(me.uid, me.gid));
            (why, format!("{as_root}{as_them}"))
        } else if !me.is_root() && lacking != 0 {
            let names: Vec<String> = capabilities(lacking).iter().map(|each| quoted(each.name())).collect();
            let why = format!("it has capabilities that this process lacks ({})", names.join(", "));
            (why, as_root.to_owned())
        } else {
            let why = "the kernel does not allow inspecting it (its file cannot be read, or it asked for \
                       that, changed its user or has more capabilities)";
            (why.to_owned(), "this needs the capability `CAP_SYS_PTRACE`".to_owned())
        };
        Failure::new(Kind::System, format!("{sentence}: {why}")).hint(hint)
    }

    pub(crate) fn enter(&self) -> Result<()> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let open = |pid| Ok(nix::fcntl::open(&*format!("/proc/{pid}/cwd"), flags, Mode::empty())?);
        let directory = self.read(open).map_err(|error| self.refused("working directory", &error))?;
        self.read(|_| Ok(nix::unistd::fchdir(&directory)?)).map_err(|error| {
            let (shown, reason) = (self.shown(), reason(&error));
            Failure::new(Kind::System, format!("cannot enter the working directory of {shown}: {reason}"))
        })?;
        if let Some(umask) = self.status.umask {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        }
        Ok(())
    }

    /// Becomes the main process's user for good, with the same ids and ambient capabilities, and with no way
    /// to gain more than it has. Everything else has to be read before.
    pub(crate) fn become_its_user(&self) -> Result<()> {
        self.is_unchanged()?;
        let identity = self.identity();
        let me = Credentials::observe();
        if !me.is_root() {
            if me.uid == identity.uid {
                return Ok(());
            }
            let (user, shown) = (who(identity.uid, identity.gid), self.shown());
            let this = who(me.uid, me.gid);
            let sentence = format!("only root can become {user}, the user of {shown}, and this is {this}");
            return Err(Failure::new(Kind::System, sentence).hint("`docker exec -u root ...`"));
        }
        let own = Status::of(own_pid()).unwrap_or_default();
        if own.bounding & !self.status.bounding != 0 {
            identity::bound(&capabilities(self.status.bounding))?;
        }
        if !me.is(&identity) {
            let ambient = capabilities(self.status.ambient & own.permitted);
            identity::step_down(&identity, Some(&ambient))?;
            if !ambient.is_empty() {
                identity::keep(&ambient)?;
            }
        }
        if self.status.no_new_privileges && !own.no_new_privileges {
            identity::no_new_privileges()?;
        }
        Ok(())
    }
}

fn capabilities(set: u64) -> Vec<Capability> {
    (0..64).filter(|number| set & 1 << number != 0).map(Capability).collect()
}

fn who(uid: u32, gid: u32) -> String {
    let name = identity::name_of(uid).map(|name| format!(" (`{name}`)"));
    format!("uid {uid}{}, gid {gid}", name.unwrap_or_default())
}

/// The process name of preverb during setup; it does not depend on the file name.
const PREVERB: &[u8] = b"preverb";
/// The process name of preverb while it supervises; the target's process id follows.
const SUPERVISOR: &[u8] = b"preverb:";

/// Inits that run first in a container and are never its purpose, with the names that the kernel shows.
const INITS: &str = "tini tini-static docker-init podman-init catatonit dumb-init init systemd s6-svscan \
                     runsvdir runit dinit my_init pause";

/// The time that a supervisor has to set its name; the target already runs for a moment before that.
const STARTING: Duration = Duration::from_secs(1);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

enum Found {
    Main(Process),
    Starting(i32),
}

/// Finds the main process. It is PID 1, except: if PID 1 is another init, the oldest process below it; if PID
/// 1 belongs to another container (a pod's pause), the oldest process of this container; if that is a
/// supervising preverb, its target. `doing` is the action that a stop request interrupts.
pub(crate) fn find(children: &mut Children, doing: &str) -> Result<Process> {
    let own = own_pid();
    if !proc::is_own() {
        let sentence =
            "cannot find the container's main process: `/proc` is missing or is not this container's";
        return Err(Failure::new(Kind::System, sentence));
    }
    let deadline = Instant::now() + STARTING;
    loop {
        match Processes::new(proc::all(), own).main()? {
            Found::Main(process) => return Ok(process),
            Found::Starting(pid) if Instant::now() >= deadline => {
                return Err(unavailable(format!("supervisor process {pid} has not started its target yet")));
            }
            Found::Starting(_) => {}
        }
        children.sleep(Instant::now() + POLL_INTERVAL).map_err(|stop| stop.failure(doing))?;
    }
}

fn unavailable(sentence: String) -> Failure {
    Failure::new(Kind::Unavailable, sentence)
}

fn alone() -> Failure {
    Failure::new(Kind::Usage, "this process is itself the container's main process")
        .hint("`--exec` is for `docker exec` and `kubectl exec`, in a running container")
}

fn not_seen() -> Failure {
    Failure::new(Kind::System, "the main process of this container cannot be seen in `/proc`")
}

struct Processes {
    by_age: Vec<i32>,
    /// Sorted by process id.
    stats: Vec<(i32, ProcessStat)>,
    own: i32,
}

impl Processes {
    fn new(mut stats: Vec<(i32, ProcessStat)>, own: i32) -> Self {
        // One sort of this type, because each adds its code to the program.
        let sort = |stats: &mut [(i32, ProcessStat)], by_age: bool| {
            stats.sort_unstable_by_key(|(pid, stat)| (if by_age { stat.started } else { 0 }, *pid));
        };
        sort(&mut stats, true);
        let by_age = stats.iter().map(|(pid, _)| *pid).collect();
        sort(&mut stats, false);
        Self { by_age, stats, own }
    }

    fn get(&self, pid: i32) -> Option<&ProcessStat> {
        self.stats.binary_search_by_key(&pid, |(pid, _)| *pid).ok().map(|at| &self.stats[at].1)
    }

    fn first(&self) -> Option<i32> {
        let unknown = || proc::mounts(1).is_empty() && has_same_cgroup(1);
        if self.get(1).is_some() && (has_same_mounts(1) || unknown()) {
            return Some(1);
        }
        let oldest = |is_ours: fn(i32) -> bool| {
            // Leftovers of hooks are children of process 1. A container's first process is not, unless
            // process 1 belongs to this container, too.
            let is_first = |pid: &i32| self.get(*pid).is_some_and(|stat| stat.parent != 1) && is_ours(*pid);
            let pid = self.by_age.iter().copied().find(is_first)?;
            // Commands that were started next to the main process, like this one, are younger.
            (pid != self.own && !self.is_below(self.own, pid)).then_some(pid)
        };
        // A main process with its own mounts is found by its cgroup.
        oldest(has_same_mounts).or_else(|| oldest(has_same_cgroup))
    }

    fn is_below(&self, pid: i32, ancestor: i32) -> bool {
        let parent = |pid: &i32| self.get(*pid).map(|stat| stat.parent).filter(|parent| *parent != 0);
        // Processes come and go while the snapshot is taken, so it may contain a cycle.
        let mut above = std::iter::successors(parent(&pid), parent).take(self.by_age.len());
        above.any(|each| each == ancestor)
    }

    fn main(&self) -> Result<Found> {
        let mut pid = self.first().ok_or_else(not_seen)?;
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
            let is_child =
                matches!(&*words, [name, word, ..] if read::is_part(name) && word == b"--preverb-target");
            let mut options = words.iter().skip(1).take_while(|word| *word != b"--");
            if stat.name == PREVERB && !is_child && options.any(|word| word == b"--supervise") {
                return Ok(Found::Starting(pid));
            }
            if stat.name == PREVERB || is_child {
                let sentence = format!("still setting up: process {pid} has not become the target yet");
                return Err(unavailable(sentence).hint(
                    "variables that hooks export exist only after the hooks have run; to run a command \
                     earlier, leave out `preverb --exec --`",
                ));
            }
            let status = Status::of(pid).ok_or_else(not_seen)?;
            let main = Process { pid, stat: stat.clone(), status, supervisor };
            // Processes below one that the caller refuses are not examined: its user may have started them.
            if main.is_one_user().is_err() {
                return Ok(Found::Main(main));
            }
            if let Some(target) = stat.name.strip_prefix(SUPERVISOR) {
                supervisor = Some(pid);
                // The supervisor names a number of its own PID namespace. That namespace may be one below the
                // one of this `/proc`, and above the target's.
                let depth = main.status.numbers.len().saturating_sub(1);
                let number = |pid| {
                    let may_be = |status: &Status| status.ids_differ || main.status.may_become(status);
                    Status::of(pid).filter(may_be)?.numbers.get(depth).copied()
                };
                pid = self.target_of(pid, target, number).ok_or_else(|| {
                    unavailable(format!("the target of supervisor process {pid} no longer exists"))
                })?;
                continue;
            }
            // An image may have its own program `init`. If it has a verb, preverb has executed it.
            let has_verb = |text: Vec<u8>| Variables::from_block(&text).get(b"PREVERB_VERB").is_some();
            let is_init = INITS.split(' ').any(|init| init.as_bytes() == stat.name)
                && !(stat.name == b"init" && main.environment().is_ok_and(has_verb));
            // A shell script that runs preverb, or an unknown init, is recognized by its variables: preverb's
            // are missing there but set in a process below it.
            let is_unmarked = || main.environment().is_ok_and(|text| !has_mark(&text) && is_whole(&text));
            let below = (is_init || is_unmarked()).then(|| self.below(&main, is_init));
            match below.flatten() {
                Some(below) => pid = below,
                None if is_init && self.is_below(self.own, pid) => return Err(alone()),
                // If no process is below it, an init itself is the container's main process.
                None => return Ok(Found::Main(main)),
            }
        }
    }

    /// The target of a supervisor: the child that it names. Other children may look the same: leftovers of
    /// hooks are older, and adopted orphans may be older.
    fn target_of(&self, supervisor: i32, target: &[u8], number: impl Fn(i32) -> Option<i32>) -> Option<i32> {
        let target: i32 = std::str::from_utf8(target).ok()?.parse().ok()?;
        let mut children = self.stats.iter().filter(|(_, each)| each.parent == supervisor);
        children.find(|(pid, _)| number(*pid) == Some(target)).map(|(pid, _)| *pid)
    }

    /// The oldest process below an init or a script that is preverb or has preverb's variables. If there is
    /// none and `any` is set, the oldest. Processes that the ancestor cannot have become are skipped.
    fn below(&self, ancestor: &Process, any: bool) -> Option<i32> {
        let mut oldest = None;
        // Every process is younger than its parent.
        let mut seen = vec![ancestor.pid];
        for pid in self.by_age.iter().copied().filter(|pid| *pid != self.own) {
            let stat = self.get(pid).filter(|stat| seen.binary_search(&stat.parent).is_ok());
            let status = || Status::of(pid).filter(|status| ancestor.status.may_become(status));
            let Some((stat, status)) = stat.and_then(|stat| Some((stat, status()?))) else { continue };
            let is_oldest = *oldest.get_or_insert(pid) == pid;
            let is_preverb = stat.name == PREVERB || stat.name.starts_with(SUPERVISOR);
            let process = Process { pid, stat: stat.clone(), status, supervisor: None };
            let (is_marked, is_whole) = match process.environment() {
                Ok(text) => (is_preverb || has_mark(&text), is_whole(&text)),
                Err(_) if is_preverb => (true, true),
                // A process with unreadable variables may be the one. Younger processes are not.
                Err(_) => break,
            };
            // Leftovers of hooks, and the processes below them, carry the same variables. A leftover has
            // become a child of the init, is younger than preverb, and has its own process group.
            let may_be_left = !is_oldest && stat.parent == ancestor.pid && stat.group != ancestor.stat.group;
            if may_be_left && (is_marked || !is_whole) {
                continue;
            }
            if is_marked {
                return Some(pid);
            }
            let Err(at) = seen.binary_search(&pid) else { continue };
            seen.insert(at, pid);
        }
        oldest.filter(|_| any)
    }
}

/// Whether a process belongs to this container: it has the same mounts or, if this process cannot read its
/// own mounts, the same cgroup.
fn has_same_mounts(pid: i32) -> bool {
    let mine = proc::mounts(own_pid());
    // A dead process has no mounts. One that ended while the list was made is older than the main process in
    // one container and younger in another.
    if mine.is_empty() { has_same_cgroup(pid) } else { !mine.is_disjoint(&proc::mounts(pid)) }
}

fn has_same_cgroup(pid: i32) -> bool {
    let cgroup = |pid| proc::read(pid, "cgroup").ok();
    cgroup(own_pid()).is_none_or(|mine| cgroup(pid) == Some(mine))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_that_overwrites_the_variables_is_detected() {
        for whole in
            [&b""[..], b"A=1\0", b"A=1\0B=2\0", b"A=1\0\0B=2\0", b"noequals\0PREVERB_ENVIRONMENT=x\0"]
        {
            assert!(is_whole(whole), "{}", crate::text::escape::escaped(whole));
        }
        for written_over in [
            &b"\0\0\0\0"[..],
            b"aster process\0\0\0\0",
            b"title\0\0\0B=2\0",
            b"\0A=1\0",
            b"title",
            b"title\0B=2\0",
        ] {
            assert!(!is_whole(written_over), "{}", crate::text::escape::escaped(written_over));
        }
    }

    #[test]
    fn another_process_with_the_same_number_is_detected() {
        let pid = own_pid();
        let stat = ProcessStat::of(pid).expect("its own");
        let status = Status::of(pid).expect("its own");
        let own = Process { pid, stat, status, supervisor: None };
        assert!(own.is_unchanged().is_ok());
        let mut other = own.clone();
        other.stat.started += 1;
        assert_eq!(other.is_unchanged().map_err(|failure| failure.kind()), Err(Kind::Unavailable));
        let mut other = own;
        other.status.uid += 1;
        assert!(other.is_unchanged().is_err());
    }

    #[test]
    fn the_mark_is_a_whole_variable_name() {
        assert!(has_mark(b"A=1\0PREVERB_ENVIRONMENT=prod\0"));
        assert!(!has_mark(b"XPREVERB_ENVIRONMENT=prod\0PREVERB_ENVIRONMENTS=1\0A=PREVERB_ENVIRONMENT=1\0"));
    }

    fn stat(name: &str, parent: i32, group: i32, started: u64) -> ProcessStat {
        ProcessStat { name: name.into(), state: b'S', parent, group, started }
    }

    #[test]
    fn the_target_of_a_supervisor_is_the_child_that_it_names() {
        let all = vec![
            (1, stat("preverb:6", 0, 1, 1)),
            (5, stat("left behind", 1, 5, 2)),
            (6, stat("server", 1, 6, 2)),
            (7, stat("worker", 6, 6, 5)),
            (8, stat("preverb:2", 5, 8, 6)),
            (9, stat("inner", 8, 9, 7)),
        ];
        let processes = Processes::new(all, 100);
        // Process 9 is process 2 of its own namespace.
        let number = |pid| Some(if pid == 9 { 2 } else { pid });
        assert_eq!(processes.target_of(1, b"6", number), Some(6));
        assert_eq!(processes.target_of(8, b"2", number), Some(9));
        for nothing in [&b"7"[..], b"100", b"", b"x"] {
            assert_eq!(processes.target_of(1, nothing, number), None);
        }
    }

    #[test]
    fn a_cycle_of_parents_ends_the_search() {
        let all = vec![(5, stat("a", 6, 5, 1)), (6, stat("b", 5, 5, 1))];
        assert!(!Processes::new(all, 100).is_below(5, 1));
    }

    #[test]
    fn the_search_time_is_linear_in_the_length_of_a_process_chain() {
        let all = (1..200_000).map(|pid| (pid, stat("link", pid - 1, 1, 1))).collect();
        assert!(Processes::new(all, 0).is_below(199_999, 1));
    }

    #[test]
    fn process_names_fit_into_the_limit_of_the_kernel() {
        for name in INITS.split(' ') {
            assert!(name.len() <= 15, "{name}");
        }
    }
}
