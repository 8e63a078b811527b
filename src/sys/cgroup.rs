//! The number of processors and the memory that this container can use. They are read only if a table asks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::text::set_of;

/// Reads a fact. Without a limit, or if it is unknown, this is the value of the machine.
pub(crate) fn fact(name: &str) -> Option<u64> {
    let own = || std::fs::read("/proc/self/cgroup").unwrap_or_default();
    let groups = || groups(Path::new("/sys/fs/cgroup"), &own());
    match name {
        "PREVERB_CPUS" => {
            let allowed = rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count().into());
            quotas(&groups()).chain([allowed]).min().map(|cpus| cpus.max(1))
        }
        "PREVERB_MEMORY_MIB" => {
            let machine = rustix::system::sysinfo();
            let machine = machine.totalram as u64 * u64::from(machine.mem_unit);
            limits(&groups()).chain([machine]).min().map(|bytes| bytes >> 20)
        }
        _ => None,
    }
}

/// The directories of this process's groups and of their parents, up to the mount: the limits of all of them
/// apply. `own` is `/proc/self/cgroup`; its paths may differ from those of the mount here.
fn groups(mount: &Path, own: &[u8]) -> BTreeSet<PathBuf> {
    let mut groups = set_of(["", "cpu", "memory"].map(|name| mount.join(name)));
    for line in String::from_utf8_lossy(own).lines() {
        let fields = line.split_once(':').and_then(|(_, fields)| fields.split_once(':'));
        let Some((controllers, path)) = fields else { continue };
        // Version 2 has a single hierarchy without a name.
        let places: Vec<&str> = match controllers {
            "" => vec!["", "unified"],
            names => std::iter::once(names).chain(names.split(',')).collect(),
        };
        // For a group outside of the visible tree, only the mount itself is used.
        let inside = path.trim_start_matches('/');
        let inside = Path::new(if path.contains("/..") { "" } else { inside });
        for place in places {
            groups.extend(inside.ancestors().map(|group| mount.join(place).join(group)));
        }
    }
    groups
}

/// The numbers in a file; a value such as `max` is `None`.
fn numbers(group: &Path, file: &str) -> Vec<Option<u64>> {
    let text = std::fs::read(group.join(file)).unwrap_or_default();
    String::from_utf8_lossy(&text).split_ascii_whitespace().map(|number| number.parse().ok()).collect()
}

/// The number of processors that the groups may use, rounded up.
fn quotas(groups: &BTreeSet<PathBuf>) -> impl Iterator<Item = u64> {
    groups.iter().filter_map(|group| {
        let mut both = numbers(group, "cpu.max");
        if both.is_empty() {
            both = numbers(group, "cpu.cfs_quota_us");
            both.extend(numbers(group, "cpu.cfs_period_us"));
        }
        match both[..] {
            [Some(quota), Some(period)] if period > 0 => Some(quota.div_ceil(period)),
            _ => None,
        }
    })
}

fn limits(groups: &BTreeSet<PathBuf>) -> impl Iterator<Item = u64> {
    let files = |group| ["memory.max", "memory.limit_in_bytes"].map(|file| numbers(group, file));
    groups.iter().flat_map(move |group| files(group).into_iter().flatten().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limits in these files for a process in these groups.
    fn facts(own: &str, files: &[(&str, &str)]) -> (Option<u64>, Option<u64>) {
        let mount = tempfile::tempdir().expect("a directory is made");
        for (path, text) in files {
            let path = mount.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        let groups = groups(mount.path(), own.as_bytes());
        (quotas(&groups).min(), limits(&groups).min())
    }

    #[test]
    fn both_versions_are_read_at_the_mount_and_in_the_groups_below() {
        let v2 = "0::/a/b\n";
        assert_eq!(facts(v2, &[]), (None, None));
        assert_eq!(
            facts("", &[("cpu.max", "150000 100000\n"), ("memory.max", "536870912\n")]),
            (Some(2), Some(1 << 29))
        );
        assert_eq!(facts(v2, &[("cpu.max", "max 100000\n"), ("memory.max", "max\n")]), (None, None));
        let nested =
            [("a/cpu.max", "400000 100000"), ("a/b/cpu.max", "50000 100000"), ("a/memory.max", "1048576")];
        assert_eq!(facts(v2, &nested), (Some(1), Some(1 << 20)));
        assert_eq!(facts("0::/../b\n", &[("b/cpu.max", "1 1"), ("cpu.max", "3 1")]), (Some(3), None));

        let v1 = "3:cpuset:/x\n2:cpu,cpuacct:/docker/1\n1:memory:/docker/1\n";
        let files = [
            ("cpu,cpuacct/docker/1/cpu.cfs_quota_us", "250000\n"),
            ("cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n"),
            ("memory/docker/1/memory.limit_in_bytes", "2097152\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(facts(v1, &files), (Some(3), Some(2 << 20)));
        let unlimited = [("cpu/cpu.cfs_quota_us", "-1\n"), ("cpu/cpu.cfs_period_us", "100000\n")];
        assert_eq!(facts(v1, &unlimited), (None, None));
        assert_eq!(
            facts("0::/u\n1:cpu:/c\n", &[("unified/u/cpu.max", "2 1"), ("cpu/c/cpu.cfs_quota_us", "x")]),
            (Some(2), None)
        );
    }

    #[test]
    fn this_machine_has_a_processor_and_memory() {
        assert!(fact("PREVERB_CPUS") >= Some(1));
        assert!(fact("PREVERB_MEMORY_MIB") >= Some(16));
        assert_eq!(fact("PREVERB_VERB"), None);
    }
}
