//! The facts of a process from `/proc` (proc(5)). This module only reads them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;

use crate::text::set_of;

/// The relevant fields of `/proc/PID/stat` (`proc_pid_stat(5)`). Every user may read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessStat {
    pub(crate) name: Vec<u8>,
    pub(crate) state: u8,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    /// The start time in clock ticks since boot.
    pub(crate) started: u64,
}

impl ProcessStat {
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Self::parse(&read(pid, "stat").ok()?)
    }

    /// Parses the line. The name is in parentheses and may contain any byte, also a parenthesis.
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

/// The maximum size of one file. The kernel accepts only 6 MiB of arguments and variables, but a process can
/// move them and make them look as large as it likes (`PR_SET_MM_MAP`).
const MOST: u64 = 16 << 20;

pub(crate) fn read(pid: i32, file: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = File::open(format!("/proc/{pid}/{file}"))?.take(MOST + 1).read_to_end(&mut bytes)?;
    if length as u64 > MOST { Err(rustix::io::Errno::FBIG.into()) } else { Ok(bytes) }
}

/// Whether `/proc` is that of this PID namespace: in another one this process has another number or none.
pub(crate) fn is_own() -> bool {
    let seen = std::fs::read_link("/proc/self").ok();
    seen.and_then(|pid| pid.to_str()?.parse().ok()) == Some(std::process::id())
}

/// All processes; none if `/proc` shows those of another PID namespace, whose numbers mean others here.
pub(crate) fn all() -> Vec<(i32, ProcessStat)> {
    let entries = std::fs::read_dir("/proc").ok().filter(|_| is_own()).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, ProcessStat::of(pid)?))).collect()
}

/// The ids and capabilities of a process from `/proc/PID/status`. Every user may read it. The capabilities of
/// a process in another user namespace do not count here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Status {
    pub(crate) numbers: Vec<i32>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) ids_differ: bool,
    pub(crate) groups: Vec<u32>,
    /// The umask, if the kernel reports it (since Linux 4.7).
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
        let words = |name| field(name).unwrap_or_default().split_ascii_whitespace();
        // The fields are the real, effective, saved and file system ids.
        let effective = |name| words(name).nth(1)?.parse().ok();
        let differ = |name| words(name).take(3).any(|id| Some(id) != words(name).next());
        let set = |name| field(name).and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0);
        // Since Linux 4.1 the first one lists its numbers in all namespaces.
        let numbers = if field("NSpid").is_some() { words("NSpid") } else { words("Pid") };
        Some(Self {
            numbers: numbers.filter_map(|number| number.parse().ok()).collect(),
            uid: effective("Uid")?,
            gid: effective("Gid")?,
            ids_differ: differ("Uid") || differ("Gid"),
            groups: words("Groups").filter_map(|group| group.parse().ok()).collect(),
            umask: field("Umask").and_then(|umask| u32::from_str_radix(umask, 8).ok()),
            permitted: set("CapPrm"),
            bounding: set("CapBnd"),
            ambient: set("CapAmb"),
            no_new_privileges: field("NoNewPrivs") == Some("1"),
        })
    }

    pub(crate) fn of(pid: i32) -> Option<Self> {
        let status = Self::parse(&String::from_utf8_lossy(&read(pid, "status").ok()?))?;
        // Every user may read the map, and only root can give a user namespace the same map as its parent's.
        let map = |pid| read(pid, "uid_map").ok();
        let is_ours = map(pid) == map(std::process::id().cast_signed());
        Some(if is_ours { status } else { Self { permitted: 0, bounding: 0, ambient: 0, ..status } })
    }

    /// Whether a process with these ids may have become the other one. Users other than root cannot.
    pub(crate) fn may_become(&self, other: &Self) -> bool {
        self.uid == 0 || (self.uid, self.gid, &self.groups) == (other.uid, other.gid, &other.groups)
    }
}

/// The real and effective ids at the start of a process's program (getauxval(3)), of the user and of the
/// group; `None` for a program with another word size.
pub(crate) fn ids_at_start(auxiliary: &[u8]) -> Option<[(u32, u32); 2]> {
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| bytes.try_into().map(usize::from_ne_bytes).ok();
    let of = |tag| {
        let mut pairs = auxiliary.chunks_exact(2 * WORD).map(|pair| pair.split_at(WORD));
        u32::try_from(pairs.find_map(|(each, value)| (word(each)? == tag).then(|| word(value))?)?).ok()
    };
    // The tags are AT_UID, AT_EUID, AT_GID and AT_EGID.
    Some([(of(11)?, of(12)?), (of(13)?, of(14)?)])
}

/// The owner of a process's files in `/proc`: its user, or root if other users may not inspect it.
pub(crate) fn owner(pid: i32) -> Option<u32> {
    Some(std::fs::metadata(format!("/proc/{pid}/stat")).ok()?.uid())
}

pub(crate) fn command_line(pid: i32) -> Vec<Vec<u8>> {
    let line = read(pid, "cmdline").unwrap_or_default();
    line.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// The ids of the mounts that a process sees. They are unique on a machine, so processes that share one are
/// in the same mount namespace. (Unlike `/proc/PID/ns/mnt` every user may read them.)
pub(crate) fn mounts(pid: i32) -> BTreeSet<u64> {
    let text = read(pid, "mountinfo").unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    set_of(text.lines().filter_map(|line| line.split(' ').next()?.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_contain_any_byte() {
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
    fn a_status_has_the_ids_and_capabilities_of_a_process() {
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
    fn an_endless_file_is_refused() {
        let own = std::process::id().cast_signed();
        let error = read(own, "root/dev/zero").expect_err("no end");
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::FBIG.raw_os_error()));
    }

    #[test]
    fn only_root_may_become_another_user() {
        let of = |uid, gid, groups: &[u32]| Status { uid, gid, groups: groups.into(), ..Status::default() };
        let (root, one) = (of(0, 0, &[]), of(1, 1, &[]));
        assert!(root.may_become(&one) && root.may_become(&root) && one.may_become(&one));
        for other in [root, of(2, 1, &[]), of(1, 2, &[]), of(1, 1, &[3])] {
            assert!(!one.may_become(&other), "{other:?}");
        }
    }

    #[test]
    fn the_ids_at_the_start_are_read_from_the_auxiliary_vector() {
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
