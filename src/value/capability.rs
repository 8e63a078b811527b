//! Capabilities, by the names of capabilities(7). Pure.

/// A capability by its number in linux/capability.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capability(pub(crate) u8);

impl Capability {
    /// The names, without `CAP_`, in the order of their numbers (capabilities(7)).
    pub(crate) const NAMES: [&'static str; 41] = [
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_ADMIN",
        "NET_RAW",
        "IPC_LOCK",
        "IPC_OWNER",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "SYS_PACCT",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_NICE",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "MKNOD",
        "LEASE",
        "AUDIT_WRITE",
        "AUDIT_CONTROL",
        "SETFCAP",
        "MAC_OVERRIDE",
        "MAC_ADMIN",
        "SYSLOG",
        "WAKE_ALARM",
        "BLOCK_SUSPEND",
        "AUDIT_READ",
        "PERFMON",
        "BPF",
        "CHECKPOINT_RESTORE",
    ];

    /// The capability of this name, with or without `CAP_`, in either case.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let number = Self::NAMES.iter().position(|each| *each == name)?;
        u8::try_from(number).ok().map(Self)
    }

    /// Its name with `CAP_`.
    pub(crate) fn name(self) -> String {
        let name = Self::NAMES.get(usize::from(self.0)).copied().unwrap_or("?");
        format!("CAP_{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_their_kernel_numbers() {
        // linux/capability.h
        for (name, number) in
            [("CHOWN", 0), ("CAP_SETUID", 7), ("net_bind_service", 10), ("CAP_CHECKPOINT_RESTORE", 40)]
        {
            assert_eq!(Capability::parse(name), Some(Capability(number)), "{name}");
        }
        assert_eq!(Capability::parse("CAP_NOTHING"), None);
    }
}
