//! A process of the container, and what it has that another can take on: variables, working directory, user.

use std::io;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::sys::{Identity, Myself, Status, identity, proc};
use crate::text::{Failure, Kind, Result, quoted, reason};
use crate::value::{Capability, Expanded, Variables};

#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) name: Vec<u8>,
    pub(crate) status: Status,
    pub(crate) supervisor: Option<i32>,
}

pub(crate) fn own_pid() -> i32 {
    std::process::id().cast_signed()
}

fn entries(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.strip_suffix(b"\0").unwrap_or(text).split(|byte| *byte == 0)
}

pub(crate) fn has(text: &[u8], name: &str) -> bool {
    entries(text).any(|entry| entry.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"=")))
}

pub(crate) fn has_mark(text: &[u8]) -> bool {
    has(text, "PREVERB_ENVIRONMENT")
}

/// Whether these are still the variables that the process was started with. Programs that give themselves a
/// title (nginx, Redis, Ruby, Perl) write it over them, and most fill up with NULs.
pub(crate) fn is_whole(text: &[u8]) -> bool {
    let filled_up =
        text.starts_with(b"\0") || text.ends_with(b"\0\0") || text.windows(3).any(|bytes| bytes == b"\0\0\0");
    // An entry without `=` can be inherited; in the place of everything that preverb sets it is a title.
    let titled = entries(text).next().is_some_and(|first| !first.is_empty() && !first.contains(&b'='));
    !filled_up && (!titled || has_mark(text))
}

impl Process {
    pub(crate) fn shown(&self) -> String {
        format!("the main process {} ({})", self.pid, quoted(&self.name))
    }

    /// Refuses one that is not one user: it has run a set-user-id program, with variables that its user
    /// chose, and whatever is done in its place would be done with them as the other user.
    pub(crate) fn is_one_user(&self) -> Result<()> {
        if !self.status.ids_differ {
            return Ok(());
        }
        let sentence = format!(
            "the real, effective and saved ids of {} differ: it has run a set-user-id program, and preverb \
             does not act for it",
            self.shown()
        );
        Err(Failure::say(Kind::Identity, sentence))
    }

    pub(crate) fn environment(&self) -> io::Result<Vec<u8>> {
        self.read(|pid| proc::read(pid, "environ"))
    }

    pub(crate) fn variables(&self) -> Result<Variables> {
        let mut text = self.environment();
        // A supervisor was started with the same ones, and keeps them.
        if !text.as_ref().is_ok_and(|text| is_whole(text))
            && let Some(pid) = self.supervisor
            && let Some(status) = Status::of(pid)
        {
            let kept = Self { pid, name: Vec::new(), status, supervisor: None }.environment();
            if kept.is_ok() || text.is_ok() {
                text = kept;
            }
        }
        let text = text.map_err(|error| self.refused("variables", &error))?;
        if !is_whole(&text) {
            let sentence = format!(
                "{} has overwritten its variables with its title, so its verb is unknown: with `init = true` \
                 the supervisor keeps them",
                self.shown()
            );
            return Err(Failure::say(Kind::System, sentence));
        }
        let is_empty = text.is_empty();
        Ok(Variables::inherited(entries(&text).filter(|_| !is_empty).map(<[u8]>::to_vec)))
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
            return Failure::say(Kind::System, sentence);
        }
        let me = Myself::observe();
        let Status { uid, gid, permitted, .. } = self.status;
        let lacking = permitted & !Status::of(own_pid()).unwrap_or_default().permitted;
        let same = (me.uid, me.gid) == (uid, gid);
        // Then it does not matter as whom it runs.
        let hidden = proc::owner(self.pid).is_some_and(|owner| owner != uid);
        let as_root = "run this as root, as in `docker exec -u root ...`";
        let (why, hint) = if me.is_root() && !same && !hidden {
            let them = who(uid, gid);
            let why = format!(
                "it is {them}, and this is root without the capabilities to become that user or to inspect it"
            );
            (why, format!("run this as {uid}:{gid}, as in `docker exec -u {uid}:{gid} ...`"))
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
        Failure::say(Kind::System, format!("{sentence}: {why}")).hint(hint)
    }

    pub(crate) fn enter(&self) -> Result<()> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let open = |pid| Ok(nix::fcntl::open(&*format!("/proc/{pid}/cwd"), flags, Mode::empty())?);
        let directory = self.read(open).map_err(|error| self.refused("working directory", &error))?;
        self.read(|_| Ok(nix::unistd::fchdir(&directory)?)).map_err(|error| {
            let reason = reason(&error);
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

fn capabilities(set: u64) -> Vec<Capability> {
    (0..64).filter(|number| set & 1 << number != 0).map(Capability).collect()
}

fn who(uid: u32, gid: u32) -> String {
    match identity::name_of(uid) {
        Some(name) => format!("uid {uid} (`{name}`), gid {gid}"),
        None => format!("uid {uid}, gid {gid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
