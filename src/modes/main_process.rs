//! The container's main process, seen from another process of the container: which it is, and what it has
//! that another can take on: variables, working directory, user.
//!
//! Which it is, is told by what everybody may read, because the answer must be the same whoever asks: a
//! `preverb` that is none that supervises is still setting up, and nothing below it is the main process,
//! whatever variables it carries. Only what no name tells (whether a shell script or an unknown init stands
//! before preverb) is told by variables, where these can be read.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::sys::child::{Children, Stop};
use crate::sys::identity;
use crate::sys::identity::{Identity, Myself};
use crate::sys::proc;
use crate::sys::proc::{ProcessStat, Status};
use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::quoted;
use crate::value::capability::Capability;
use crate::value::variables::Variables;

/// What preverb is called while it sets up, whatever its file's name is.
const PREVERB: &[u8] = b"preverb";
/// What it is called while it supervises; the target's process id follows.
const SUPERVISOR: &[u8] = b"preverb:";
/// The option of a preverb that supervises.
const SUPERVISES: &[u8] = b"--supervise";
/// The second word of a supervisor's child that is about to become the target.
const BECOMES_TARGET: &[u8] = b"--preverb-target";
/// The variable that everything carries that preverb has become or started.
const MARK: &[u8] = b"PREVERB_ENVIRONMENT";
/// The variable of a verb's hooks and of its target.
const VERB: &[u8] = b"PREVERB_VERB";

/// Inits that come first in a container and are never what it is for; as the kernel has their names.
const INITS: [&[u8]; 14] = [
    b"tini",
    b"tini-static",
    b"docker-init",
    b"podman-init",
    b"catatonit",
    b"dumb-init",
    b"init",
    b"systemd",
    b"s6-svscan",
    b"runsvdir",
    b"runit",
    b"dinit",
    b"my_init",
    b"pause",
];

/// The container's main process.
#[derive(Debug, Clone)]
pub(crate) struct MainProcess {
    pid: i32,
    name: Vec<u8>,
    status: Status,
    /// The preverb that supervises it.
    supervisor: Option<i32>,
}

/// Why there is no main process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Absent {
    /// preverb, as this process, is still setting up.
    SettingUp(i32),
    /// This preverb is to supervise, and has not said yet that its target is there.
    Starting(i32),
    /// This preverb supervises, and its target is not there.
    NoTarget(i32),
    /// This process, of this name, has ended, and nobody has taken note of it.
    Ended(i32, Vec<u8>),
    /// This process is the container's only one.
    Alone,
    /// `/proc` is not there, or is not this container's.
    NoProc,
    /// There are processes, and none of them is it.
    NotSeen,
    /// A request to stop came while it was waited for.
    Stopped(Stop),
}

impl Absent {
    /// The reason as a sentence.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::SettingUp(pid) => format!("still setting up: process {pid} has not become the target yet"),
            Self::Starting(pid) => {
                format!("process {pid} is to supervise, and has not started its target yet")
            }
            Self::NoTarget(pid) => format!("process {pid} supervises, and its target is not there any more"),
            Self::Ended(pid, name) => format!("the main process {pid} ({}) has ended", quoted(name)),
            Self::Alone => "this process is the container's main process itself".to_owned(),
            Self::NoProc => "there is no `/proc` of this container to find its main process in".to_owned(),
            Self::NotSeen => "the main process of this container cannot be seen in `/proc`".to_owned(),
            Self::Stopped(stop) => stop.failure("while it looked for the main process").sentence(),
        }
    }
}

/// Finds the main process: PID 1; where that is another init, the oldest process below it; where it is
/// another container's (a pod's pause), the oldest of this one's; where that is a supervising preverb, its
/// target.
///
/// # Errors
/// Why there is none.
pub(crate) fn find(children: &mut Children) -> std::result::Result<MainProcess, Absent> {
    let deadline = Instant::now() + STARTING;
    loop {
        match look() {
            Err(Absent::Starting(_)) if Instant::now() < deadline => {
                children.sleep(Instant::now() + LOOK).map_err(Absent::Stopped)?;
            }
            found => return found,
        }
    }
}

/// How long a supervisor may take to name its target, which can run for a moment before that.
const STARTING: Duration = Duration::from_secs(1);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(5);

fn look() -> std::result::Result<MainProcess, Absent> {
    let own = own_pid();
    // A /proc of another namespace has this process under another number, or not at all.
    let seen = std::fs::read_link("/proc/self").map_err(|_| Absent::NoProc)?;
    if seen.to_str().and_then(|pid| pid.parse().ok()) != Some(own) {
        return Err(Absent::NoProc);
    }
    if own == 1 {
        return Err(Absent::Alone);
    }
    let mut processes = proc::all();
    processes.sort_unstable_by_key(|(pid, stat)| (stat.started, *pid));
    let processes = Processes { by_age: processes, own };
    processes.main(processes.first()?)
}

/// The processes that can be seen, the oldest first.
struct Processes {
    by_age: Vec<(i32, ProcessStat)>,
    own: i32,
}

impl Processes {
    fn get(&self, pid: i32) -> Option<&ProcessStat> {
        self.by_age.iter().find(|(each, _)| *each == pid).map(|(_, stat)| stat)
    }

    /// The first process of this container: PID 1, if that is one of its own.
    fn first(&self) -> std::result::Result<i32, Absent> {
        let unknown = || proc::mounts(1).is_empty() && Container::Cgroup.has(1);
        if self.get(1).is_some() && (Container::Mounts.has(1) || unknown()) {
            return Ok(1);
        }
        // Commands that were started beside the main process, as this one was, are younger.
        let oldest = |container: Container| {
            let mut of_this_one = self.by_age.iter().map(|(pid, _)| *pid).filter(|pid| container.has(*pid));
            of_this_one.next().filter(|pid| *pid != self.own && !self.is_below(self.own, *pid))
        };
        // A main process that has mounts of its own is found by its cgroup.
        oldest(Container::Mounts).or_else(|| oldest(Container::Cgroup)).ok_or(Absent::NotSeen)
    }

    /// Whether `pid` is somewhere below `ancestor`.
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

    /// The main process, where `first` is the one that everything begins with.
    fn main(&self, first: i32) -> std::result::Result<MainProcess, Absent> {
        let mut pid = first;
        let mut supervisor = None;
        loop {
            if pid == self.own {
                return Err(Absent::Alone);
            }
            let stat = self.get(pid).ok_or(Absent::NotSeen)?;
            let words = proc::command_line(pid);
            let status = Status::of(pid);
            let main = |status| MainProcess { pid, name: stat.name.clone(), status, supervisor };
            if matches!(stat.state, b'Z' | b'X') {
                return Err(Absent::Ended(pid, stat.name.clone()));
            }
            if let [name, word, ..] = &*words
                && crate::sys::read::is_part(name)
                && word == BECOMES_TARGET
            {
                return Err(Absent::SettingUp(pid));
            }
            if stat.name == PREVERB {
                let mut options = words.iter().skip(1).take_while(|word| *word != b"--");
                let supervises = options.any(|word| word == SUPERVISES);
                return Err(if supervises { Absent::Starting(pid) } else { Absent::SettingUp(pid) });
            }
            if let Some(target) = stat.name.strip_prefix(SUPERVISOR) {
                supervisor = Some(pid);
                // The number that it names is that of its own PID namespace, which may be one below this
                // `/proc`'s, and above its target's.
                let depth = status.map_or(0, |status| status.numbers.len().saturating_sub(1));
                let number = |pid| Status::of(pid)?.numbers.get(depth).copied();
                pid = self.target_of(pid, target, number).ok_or(Absent::NoTarget(pid))?;
                continue;
            }
            let status = status.ok_or(Absent::NotSeen)?;
            // `init` is any image's program, too: what carries a verb, preverb has become.
            let is_target = || {
                let text = main(status.clone()).read(proc::environment);
                text.is_ok_and(|text| has(&text, VERB))
            };
            if INITS.contains(&&*stat.name) && !(stat.name == b"init" && is_target()) {
                match self.below(pid, true) {
                    Some(below) => pid = below,
                    None if self.is_below(self.own, pid) => return Err(Absent::Alone),
                    // With nothing below it, it is what the container is for.
                    None => return Ok(main(status)),
                }
                continue;
            }
            // A shell script that runs preverb, or an init that is not known here, is told by its variables:
            // they lack what preverb sets, and those of a process below it do not.
            let main = main(status);
            let unmarked = main.read(proc::environment).is_ok_and(|text| !has_mark(&text) && is_whole(&text));
            match self.below(pid, false).filter(|_| unmarked) {
                Some(below) => pid = below,
                None => return Ok(main),
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

    /// The oldest process below this one that preverb is or has become; or else, with `any`, the oldest.
    fn below(&self, ancestor: i32, any: bool) -> Option<i32> {
        let all: Vec<&(i32, ProcessStat)> =
            self.by_age.iter().filter(|(pid, _)| *pid != self.own && self.is_below(*pid, ancestor)).collect();
        let mut oldest = all.iter().copied();
        let found = oldest.find_map(|(pid, stat)| {
            if stat.name == PREVERB || stat.name.starts_with(SUPERVISOR) {
                return Some(Some(*pid));
            }
            let status = Status::of(*pid)?;
            let process = MainProcess { pid: *pid, name: Vec::new(), status, supervisor: None };
            match process.read(proc::environment) {
                Ok(text) if has_mark(&text) => Some(Some(*pid)),
                Ok(_) => None,
                // Whose variables cannot be read may be it: what is younger is not.
                Err(_) => Some(None),
            }
        });
        found.flatten().or_else(|| all.first().filter(|_| any).map(|(pid, _)| *pid))
    }
}

/// How the processes of this container are told from those of others in the same PID namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    /// They see the same mounts; where this process cannot know its own, they have the same cgroup.
    Mounts,
    /// They have the same cgroup.
    Cgroup,
}

impl Container {
    fn has(self, pid: i32) -> bool {
        let own = own_pid();
        if self == Self::Mounts {
            let (mine, theirs) = (proc::mounts(own), proc::mounts(pid));
            // The dead see no mounts: what came and went while the list was made is older than the main
            // process in one container and younger in another.
            if !mine.is_empty() {
                return !mine.is_disjoint(&theirs);
            }
        }
        match (proc::cgroups(own), proc::cgroups(pid)) {
            (None, _) => true,
            (Some(mine), theirs) => theirs == Some(mine),
        }
    }
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(0)
}

fn entries(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.strip_suffix(b"\0").unwrap_or(text).split(|byte| *byte == 0)
}

fn has_mark(text: &[u8]) -> bool {
    has(text, MARK)
}

fn has(text: &[u8], name: &[u8]) -> bool {
    entries(text).any(|entry| entry.strip_prefix(name).is_some_and(|rest| rest.starts_with(b"=")))
}

/// Whether these are still the variables that the process was started with. Programs that give themselves a
/// title (nginx, Redis, Ruby, Perl, everything with a `setproctitle`) write it over them, and most fill up
/// with NULs.
fn is_whole(text: &[u8]) -> bool {
    let filled_up =
        text.starts_with(b"\0") || text.ends_with(b"\0\0") || text.windows(3).any(|bytes| bytes == b"\0\0\0");
    // An entry without `=` is odd, but can be inherited; in the place of everything that preverb sets it is a
    // title.
    let titled = entries(text).next().is_some_and(|first| !first.is_empty() && !first.contains(&b'='));
    !filled_up && (!titled || has_mark(text))
}

impl MainProcess {
    /// What it is called in messages.
    pub(crate) fn shown(&self) -> String {
        format!("the main process {} ({})", self.pid, quoted(&self.name))
    }

    /// Refuses one that is not one user: it has run a set-user-id program, with variables that its user
    /// chose, and whoever did something in its place would do it with them as the other user.
    ///
    /// # Errors
    /// Identity (77).
    pub(crate) fn is_one_user(&self) -> Result<()> {
        if !self.status.ids_differ {
            return Ok(());
        }
        let sentence = format!(
            "the real, effective and saved ids of {} differ: it has run a set-user-id program, and nothing is done in its \
             place",
            self.shown()
        );
        Err(Failure::say(Kind::Identity, sentence))
    }

    /// Its variables: every entry, byte for byte, as they were when it was started.
    ///
    /// # Errors
    /// System (71): who may read them and who this is; or that the process has overwritten them.
    pub(crate) fn variables(&self) -> Result<Variables> {
        let refused = |error| self.refused("variables", &error);
        let mut text = self.read(proc::environment);
        let is_good = |text: &io::Result<Vec<u8>>| text.as_ref().is_ok_and(|text| is_whole(text));
        // A supervisor was started with the same ones, and keeps them.
        if !is_good(&text)
            && let Some(supervisor) = self.supervisor()
        {
            let kept = supervisor.read(proc::environment);
            if kept.is_ok() || text.is_ok() {
                text = kept;
            }
        }
        let text = text.map_err(refused)?;
        if !is_whole(&text) {
            return Err(Failure::say(
                Kind::System,
                format!(
                    "{} has written its title over its variables, so its verb is not known: with `init = true` a supervisor keeps them",
                    self.shown()
                ),
            ));
        }
        let none = text.is_empty();
        let entries = entries(&text).filter(|_| !none).map(<[u8]>::to_vec);
        Ok(Variables::inherited(entries))
    }

    /// The preverb that supervises it.
    fn supervisor(&self) -> Option<Self> {
        let pid = self.supervisor?;
        Some(Self { pid, name: PREVERB.to_vec(), status: Status::of(pid)?, supervisor: None })
    }

    /// Its working directory.
    ///
    /// # Errors
    /// System (71).
    fn directory(&self) -> Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let open = |pid| {
            nix::fcntl::open(&*format!("/proc/{pid}/cwd"), flags, Mode::empty())
                .map_err(|error| io::Error::from_raw_os_error(error as i32))
        };
        self.read(open).map_err(|error| self.refused("working directory", &error))
    }

    /// Reads something of it that the kernel guards: as this process is, or where that is refused as the
    /// process's own user with the capabilities that it has (`ptrace(2)`, "ptrace access mode checking").
    fn read<T>(&self, read: impl Fn(i32) -> io::Result<T>) -> io::Result<T> {
        let refused = match read(self.pid) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => error,
            other => return other,
        };
        if !Myself::observe().is_root() {
            return Err(refused);
        }
        let identity = self.identity();
        let capabilities = self.status.permitted;
        let result = identity::acting_as(Some(&identity), || {
            identity::raise(capabilities);
            Ok(read(self.pid))
        });
        result.unwrap_or(Err(refused))
    }

    /// Whom it runs as.
    fn identity(&self) -> Identity {
        let Status { uid, gid, groups, .. } = &self.status;
        Identity {
            spec: crate::value::template::Expanded::open(format!("{uid}:{gid}")),
            uid: *uid,
            gid: *gid,
            groups: groups.clone(),
            home: "/".into(),
        }
    }

    /// The refusal, with who may and who this is.
    fn refused(&self, what: &str, error: &io::Error) -> Failure {
        let reason = crate::text::reason::reason(error);
        let me = Myself::observe();
        let them = &self.status;
        let sentence = format!("cannot read the {what} of {}: {reason}", self.shown());
        if error.kind() != io::ErrorKind::PermissionDenied {
            return Failure::say(Kind::System, sentence);
        }
        let their = who(them.uid, them.gid);
        let mine = who(me.uid, me.gid);
        let lacking = them.permitted & !own_permitted();
        let same = (me.uid, me.gid) == (them.uid, them.gid);
        // As whom it runs is of no account then.
        let hidden = proc::owner(self.pid).is_some_and(|owner| owner != them.uid);
        let (why, hint) = if me.is_root() && !same && !hidden {
            let why = format!(
                "it is {their}, and this is root without the capabilities to become that or to look at it"
            );
            (why, format!("run this as {}:{}, as in `docker exec -u {0}:{1} ...`", them.uid, them.gid))
        } else if !me.is_root() && !same {
            let why = format!("it is {their}, and this is {mine}");
            let as_them = if them.uid == 0 { "" } else { &*format!(", or as {}:{}", them.uid, them.gid) };
            (why, format!("run this as root, as in `docker exec -u root ...`{as_them}"))
        } else if !me.is_root() && lacking != 0 {
            let names: Vec<String> = capabilities(lacking).iter().map(|each| quoted(each.name())).collect();
            let why = format!("it has capabilities that this process lacks ({})", names.join(", "));
            (why, "run this as root, as in `docker exec -u root ...`".to_owned())
        } else {
            let why = "the kernel keeps it from being looked at (its file cannot be read, or it asked for that, changed its user or has more capabilities)";
            (why.to_owned(), "only the capability `CAP_SYS_PTRACE` helps".to_owned())
        };
        Failure::say(Kind::System, format!("{sentence}: {why}")).hint(hint)
    }

    /// Takes on its working directory and its umask.
    ///
    /// # Errors
    /// System (71): the directory cannot be had, or not be entered.
    pub(crate) fn enter(&self) -> Result<()> {
        let directory = self.directory()?;
        let enter =
            |_| nix::unistd::fchdir(&directory).map_err(|error| io::Error::from_raw_os_error(error as i32));
        self.read(enter).map_err(|error| {
            let reason = crate::text::reason::reason(&error);
            let sentence = format!("cannot enter the working directory of {}: {reason}", self.shown());
            Failure::say(Kind::System, sentence)
        })?;
        if let Some(umask) = self.status.umask {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        }
        Ok(())
    }

    /// Becomes its user, for good: with its ids and its ambient capabilities, and able to become no more than
    /// it can.
    ///
    /// # Errors
    /// System (71): the kernel refuses.
    pub(crate) fn become_its_user(&self) -> Result<()> {
        let identity = self.identity();
        let me = Myself::observe();
        if !me.is_root() {
            if me.uid == identity.uid {
                return Ok(());
            }
            let sentence = format!(
                "only root can become {}, as which {} runs, and this is {}",
                who(identity.uid, identity.gid),
                self.shown(),
                who(me.uid, me.gid)
            );
            return Err(Failure::say(Kind::System, sentence).hint("`docker exec -u root ...`"));
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

fn own_permitted() -> u64 {
    Status::of(own_pid()).unwrap_or_default().permitted
}

/// The capabilities of a set, a bit each.
fn capabilities(set: u64) -> Vec<Capability> {
    (0..64).filter(|number| set & 1 << number != 0).map(Capability).collect()
}

/// Someone by their numbers and, where the image knows it, their name.
fn who(uid: u32, gid: u32) -> String {
    match identity::name_of(uid) {
        Some(name) => format!("uid {uid} (`{name}`), gid {gid}"),
        None => format!("uid {uid}, gid {gid}"),
    }
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
    fn a_title_over_the_variables_is_noticed() {
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
    fn the_mark_is_a_name_and_no_part_of_one() {
        assert!(has_mark(b"A=1\0PREVERB_ENVIRONMENT=prod\0"));
        assert!(!has_mark(b"XPREVERB_ENVIRONMENT=prod\0PREVERB_ENVIRONMENTS=1\0A=PREVERB_ENVIRONMENT=1\0"));
    }

    #[test]
    fn names_of_processes_are_no_longer_than_the_kernel_keeps_them() {
        for name in INITS {
            assert!(name.len() <= 15, "{}", crate::text::escape::escaped(name));
        }
    }
}
