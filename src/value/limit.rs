//! Resource limits, with the names of prlimit(1). Pure.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) resource: Resource,
    /// The value in the unit of setrlimit(2); `None` is unlimited.
    pub(crate) value: Option<u64>,
}

/// The resource of a limit, with its name in prlimit(1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) name: &'static str,
    pub(crate) resource: rustix::process::Resource,
}

impl Resource {
    pub(crate) const ALL: [Self; 16] = {
        use rustix::process::Resource as R;
        [
            Self { name: "as", resource: R::As },
            Self { name: "core", resource: R::Core },
            Self { name: "cpu", resource: R::Cpu },
            Self { name: "data", resource: R::Data },
            Self { name: "fsize", resource: R::Fsize },
            Self { name: "locks", resource: R::Locks },
            Self { name: "memlock", resource: R::Memlock },
            Self { name: "msgqueue", resource: R::Msgqueue },
            Self { name: "nice", resource: R::Nice },
            Self { name: "nofile", resource: R::Nofile },
            Self { name: "nproc", resource: R::Nproc },
            Self { name: "rss", resource: R::Rss },
            Self { name: "rtprio", resource: R::Rtprio },
            Self { name: "rttime", resource: R::Rttime },
            Self { name: "sigpending", resource: R::Sigpending },
            Self { name: "stack", resource: R::Stack },
        ]
    };
}
