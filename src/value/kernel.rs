//! What the kernel has numbers for: signals, capabilities and resource limits, by their names. Pure.

use nix::sys::signal::Signal;
use rustix::process::Resource;

/// Parses a signal: a name with or without `SIG`, or a number. Real-time signals are counted from the
/// kernel's 34, like in kill(1) and the engines, even if the C library reserves some.
pub(crate) fn parse_signal(text: &str) -> Option<i32> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |digits: &str| digits.parse::<u8>().ok().filter(|offset| *offset <= 30).map(i32::from);
    let number = if let Ok(number) = text.parse() {
        number
    } else if let Some(digits) = name.strip_prefix("RTMIN+") {
        34 + offset(digits)?
    } else if let Some(below) = name.strip_prefix("RTMAX") {
        64 - if below.is_empty() { 0 } else { offset(below.strip_prefix('-')?)? }
    } else {
        format!("SIG{name}").parse::<Signal>().ok()? as i32
    };
    matches!(number, 1..=31 | 35..=64).then_some(number)
}

/// Whether a process can catch the signal: all but KILL and STOP (signal(7)).
pub(crate) fn can_be_caught(number: i32) -> bool {
    !matches!(number, 9 | 19)
}

/// A signal's name for messages: `SIGTERM` or `signal 40`.
pub(crate) fn signal_name(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned())
}

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

/// A soft limit; the unit is that of setrlimit(2), and `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) name: &'static str,
    pub(crate) resource: Resource,
    pub(crate) value: Option<u64>,
}

/// The resources that can be limited, with their names in prlimit(1).
pub(crate) const LIMITS: [(&str, Resource); 16] = [
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_with_and_without_sig() {
        assert_eq!(parse_signal("TERM"), Some(15));
        assert_eq!(parse_signal("SIGTERM"), Some(15));
        assert_eq!(parse_signal("hup"), Some(1));
        assert_eq!(parse_signal("9"), Some(9));
        assert_eq!(parse_signal("SIGRTMIN+3"), Some(37));
        assert_eq!(parse_signal("RTMAX"), Some(64));
        assert_eq!(parse_signal("rtmax-1"), Some(63));
        assert_eq!(parse_signal("40"), Some(40));
        for bad in [
            "",
            "SIG",
            "0",
            "32",
            "34",
            "65",
            "TERMINATE",
            "SIGSIGTERM",
            "RTMIN",
            "RTMIN+31",
            "RTMAX-30",
            "RTMAX+1",
        ] {
            assert_eq!(parse_signal(bad), None, "{bad}");
        }
    }

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
