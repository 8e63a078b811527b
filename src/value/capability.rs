//! Capabilities, with the names of capabilities(7). Pure.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capability(pub(crate) u8);

/// The names, without `CAP_`, in the order of their numbers (capabilities(7)).
const NAMES: &str = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP \
    LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE \
    SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME \
    SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM \
    BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE";

impl Capability {
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        NAMES.split(' ')
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        (0..).zip(Self::names()).find(|(_, each)| *each == name).map(|(number, _)| Self(number))
    }

    pub(crate) fn name(self) -> String {
        format!("CAP_{}", Self::names().nth(usize::from(self.0)).unwrap_or("?"))
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
