//! The facts of a process from `/proc` (proc(5)). It reads them, and judges nothing.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;

use crate::text::set_of;

/// The fields of `/proc/PID/stat` (`proc_pid_stat(5)`) that are needed. Every user may read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessStat {
    pub(crate) name: Vec<u8>,
    /// The state's letter.
    pub(crate) state: u8,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    /// In clock ticks since boot.
    pub(crate) started: u64,
}

impl ProcessStat {
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Self::parse(&read(pid, "stat").ok()?)
    }

    /// Reads the line. The name is in parentheses and may hold any byte, a parenthesis too.
    pub(crate) fn parse(stat: &[u8]) -> Option<Self> {
        let open = stat.iter().position(|byte| *byte == b'(')?;
        let close = stat.iter().rposition(|byte| *byte == b')')?;
        let name = stat.get(open + 1..close)?.to_vec();
        let rest = std::str::from_utf8(stat.get(close + 2..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let state = *fields.first()?.as_bytes().first()?;
        let (parent, group) = (fields.get(1)?.parse().ok()?, fields.get(2)?.parse().ok()?);
        Some(Self { name, state, parent, group, started: fields.get(19)?.parse().ok()? })
    }
}

/// The most that is read of one file: far more than the 6 MiB that the kernel accepts as arguments and
/// variables. A process can move them, and let them seem to be as large as it likes (`PR_SET_MM_MAP`).
const MOST: u64 = 16 << 20;

pub(crate) fn read(pid: i32, file: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = File::open(format!("/proc/{pid}/{file}"))?.take(MOST + 1).read_to_end(&mut bytes)?;
    if length as u64 > MOST { Err(rustix::io::Errno::FBIG.into()) } else { Ok(bytes) }
}

pub(crate) fn all() -> Vec<(i32, ProcessStat)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, ProcessStat::of(pid)?))).collect()
}

/// The ids and capabilities of a process from `/proc/PID/status`. Every user may read it. A process of
/// another user namespace has no capabilities here, whatever it has there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Status {
    pub(crate) numbers: Vec<i32>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) ids_differ: bool,
    pub(crate) groups: Vec<u32>,
    /// The umask, where the kernel has it here (since Linux 4.7).
    pub(crate) umask: Option<u32>,
    pub(crate) permitted: u64,
    pub(crate) bounding: u64,
    pub(crate) ambient: u64,
    pub(crate) no_new_privileges: bool,
}

impl Status {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        // Real, effective, saved, file system.
        let effective = |name| field(name)?.split_ascii_whitespace().nth(1)?.parse().ok();
        let differ = |name| {
            let mut ids = field(name).unwrap_or_default().split_ascii_whitespace().take(3);
            let first = ids.next();
            ids.any(|id| Some(id) != first)
        };
        let set = |name| field(name).and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0);
        let groups = field("Groups").unwrap_or_default().split_ascii_whitespace();
        // Since Linux 4.1 there are all of its numbers.
        let numbers = field("NSpid").or_else(|| field("Pid")).unwrap_or_default();
        Some(Self {
            numbers: numbers.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect(),
            uid: effective("Uid")?,
            gid: effective("Gid")?,
            ids_differ: differ("Uid") || differ("Gid"),
            groups: groups.filter_map(|group| group.parse().ok()).collect(),
            umask: field("Umask").and_then(|umask| u32::from_str_radix(umask, 8).ok()),
            permitted: set("CapPrm"),
            bounding: set("CapBnd"),
            ambient: set("CapAmb"),
            no_new_privileges: field("NoNewPrivs") == Some("1"),
        })
    }

    pub(crate) fn of(pid: i32) -> Option<Self> {
        let status = Self::parse(&String::from_utf8_lossy(&read(pid, "status").ok()?))?;
        // Unlike `/proc/PID/ns/user` everybody may read the map. Without rights no process can give a user
        // namespace the map of the one above it.
        let map = |pid| read(pid, "uid_map").ok();
        let is_ours = map(pid) == map(std::process::id().cast_signed());
        Some(if is_ours { status } else { Self { permitted: 0, bounding: 0, ambient: 0, ..status } })
    }

    /// Whether a process of these ids may have become one of those: root may become every user, and others
    /// become another one only with a set-user-id program.
    pub(crate) fn may_become(&self, other: &Self) -> bool {
        self.uid == 0 || (self.uid, self.gid, &self.groups) == (other.uid, other.gid, &other.groups)
    }
}

/// The real and effective ids with which a process's program was started (getauxval(3)), the user's and the
/// group's. A program with another word size has none.
pub(crate) fn ids_at_start(auxiliary: &[u8]) -> Option<[(u32, u32); 2]> {
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| bytes.try_into().map(usize::from_ne_bytes).ok();
    let of = |tag| {
        let mut pairs = auxiliary.chunks_exact(2 * WORD).map(|pair| pair.split_at(WORD));
        u32::try_from(pairs.find_map(|(each, value)| (word(each)? == tag).then(|| word(value))?)?).ok()
    };
    // AT_UID, AT_EUID, AT_GID, AT_EGID
    Some([(of(11)?, of(12)?), (of(13)?, of(14)?)])
}

/// The owner of a process's files in `/proc`: its own user, or root where no other user may look at it.
/// (Its directory is always its user's.)
pub(crate) fn owner(pid: i32) -> Option<u32> {
    Some(std::fs::metadata(format!("/proc/{pid}/stat")).ok()?.uid())
}

pub(crate) fn command_line(pid: i32) -> Vec<Vec<u8>> {
    let line = read(pid, "cmdline").unwrap_or_default();
    line.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// The mounts that a process sees, by their numbers, of which no two on a machine are the same: processes
/// that share one are in one mount namespace. (Unlike `/proc/PID/ns/mnt` everybody may read them.)
pub(crate) fn mounts(pid: i32) -> BTreeSet<u64> {
    let text = read(pid, "mountinfo").unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    set_of(text.lines().filter_map(|line| line.split(' ').next()?.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let line =
            b"12 (a) S 1 (b) R 7 8 9 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1 1 1 1 1 1 1 1 1 1 1\n";
        let stat = ProcessStat::parse(line).expect("a line");
        assert_eq!(stat.name, b"a) S 1 (b");
        assert_eq!((stat.state, stat.parent, stat.group, stat.started), (b'R', 7, 8, 4242));
        for broken in [&b""[..], b"12 (a", b"12 (a) ", b"12 (a) S 1 2", b") ("] {
            assert_eq!(ProcessStat::parse(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_status_is_whom_a_process_is() {
        let text = "Name:\tx\nUmask:\t0027\nPid:\t57\nNSpid:\t57\t2\nUid:\t0\t1000\t0\t0\n\
                    Gid:\t0\t100\t0\t0\nGroups:\t4 100 \n\
                    CapPrm:\t0000000000000400\nCapBnd:\t00000000a80425fb\n\
                    CapAmb:\t0000000000000400\nNoNewPrivs:\t1\n";
        let status = Status::parse(text).expect("whole");
        assert_eq!(status.numbers, [57, 2]);
        assert_eq!((status.uid, status.gid, status.umask), (1000, 100, Some(0o27)));
        assert_eq!(status.groups, [4, 100]);
        assert_eq!((status.permitted, status.ambient, status.bounding), (1 << 10, 1 << 10, 0xa804_25fb));
        assert!(status.no_new_privileges && status.ids_differ);
        let same = text.replace("1000", "0").replace("100\t0\t0", "0\t0\t0");
        assert_eq!(Status::parse(&same).map(|status| status.ids_differ), Some(false));
        assert_eq!(Status::parse("Name:\tx\n"), None);
    }

    #[test]
    fn a_file_without_end_is_refused() {
        let own = std::process::id().cast_signed();
        let error = read(own, "root/dev/zero").expect_err("no end");
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::FBIG.raw_os_error()));
    }

    #[test]
    fn one_user_may_become_itself_alone_and_root_everybody() {
        let of = |uid, gid, groups: &[u32]| Status { uid, gid, groups: groups.into(), ..Status::default() };
        let (root, one) = (of(0, 0, &[]), of(1, 1, &[]));
        assert!(root.may_become(&one) && root.may_become(&root) && one.may_become(&one));
        for other in [root, of(2, 1, &[]), of(1, 2, &[]), of(1, 1, &[3])] {
            assert!(!one.may_become(&other), "{other:?}");
        }
    }

    #[test]
    fn the_ids_at_the_start_are_in_the_auxiliary_vector() {
        let block = |words: &[usize]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>();
        let words = [6, 4096, 11, 1, 12, 2, 13, 3, 14, 4, 23, 1, 0, 0];
        assert_eq!(ids_at_start(&block(&words)), Some([(1, 2), (3, 4)]));
        for end in [0, 3, 8] {
            assert_eq!(ids_at_start(&block(&words[..end])), None);
        }
        let own = read(std::process::id().cast_signed(), "auxv").expect("its own");
        let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
        assert_eq!(ids_at_start(&own), Some([(uid, uid), (gid, gid)]));
    }

    #[test]
    fn this_process_can_be_seen() {
        let own = i32::try_from(std::process::id()).expect("a process id");
        assert!(all().iter().any(|(pid, _)| *pid == own));
        assert_eq!(Status::of(own).map(|status| status.uid), Some(nix::unistd::geteuid().as_raw()));
        assert!(!mounts(own).is_empty());
    }
}
