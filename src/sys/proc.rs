//! The facts of a process from `/proc` (proc(5)). It reads them, and judges nothing.

use std::collections::BTreeSet;
use std::io;
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

pub(crate) fn read(pid: i32, file: &str) -> io::Result<Vec<u8>> {
    std::fs::read(format!("/proc/{pid}/{file}"))
}

pub(crate) fn all() -> Vec<(i32, ProcessStat)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, ProcessStat::of(pid)?))).collect()
}

/// The ids and capabilities of a process from `/proc/PID/status`. Every user may read it.
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
        Self::parse(&String::from_utf8_lossy(&read(pid, "status").ok()?))
    }
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
    fn this_process_can_be_seen() {
        let own = i32::try_from(std::process::id()).expect("a process id");
        assert!(all().iter().any(|(pid, _)| *pid == own));
        assert_eq!(Status::of(own).map(|status| status.uid), Some(nix::unistd::geteuid().as_raw()));
        assert!(!mounts(own).is_empty());
    }
}
