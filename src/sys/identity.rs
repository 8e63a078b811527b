//! The identity of a process: `/etc/passwd` and `/etc/group`, step-downs, capabilities. The only user of
//! setuid(2) and similar calls.

#![expect(clippy::disallowed_methods, reason = "the one place that changes ids")]

use std::fmt::Display;
use std::io::ErrorKind;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, getegid, geteuid, getgroups, setegid, seteuid, setgroups, setresgid, setresuid};
use rustix::thread::{self, CapabilitySet, CapabilitySets};

use crate::text::{Failure, Kind, Result, escaped, quoted, reason, set_of};
use crate::value::{Capability, Expanded, LARGEST_ID, UserSpec, Who};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) spec: Expanded,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) home: Vec<u8>,
}

impl Identity {
    fn group_ids(&self) -> Vec<Gid> {
        self.groups.iter().map(|gid| Gid::from_raw(*gid)).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Credentials {
    pub(crate) fn observe() -> Self {
        Self { uid: geteuid().as_raw(), gid: getegid().as_raw() }
    }

    pub(crate) fn is_root(self) -> bool {
        self.uid == 0
    }

    /// Whether this process already has the identity; root's step-down also drops groups.
    pub(crate) fn is(self, identity: &Identity) -> bool {
        let mine = || getgroups().unwrap_or_default().into_iter().map(Gid::as_raw).chain([self.gid]);
        let theirs = || identity.groups.iter().copied().chain([identity.gid]);
        (self.uid, self.gid) == (identity.uid, identity.gid)
            && (!self.is_root() || set_of(mine()) == set_of(theirs()))
    }
}

/// Drops ids from a set-user-id or set-group-id file. Returns the failure of what must not be done with them.
pub(crate) fn give_up_borrowed_ids() -> Option<Failure> {
    let (user, group) = (nix::unistd::getresuid().ok()?, nix::unistd::getresgid().ok()?);
    let (uid, gid, borrowed) = (user.real, group.real, user.effective);
    if uid == borrowed && gid == group.effective {
        return None;
    }
    let given_up = setresgid(gid, gid, gid).and_then(|()| setresuid(uid, uid, uid));
    let sentence = format!(
        "preverb is set-user-id or set-group-id: started by uid {uid} as uid {borrowed}, it only has \
         `--help` and `--version`"
    );
    let failure = Failure::new(Kind::Identity, sentence).hint("remove the bits: `chmod ug-s`");
    // If the ids cannot be dropped, they are at least not used.
    Some(if given_up.is_ok() { failure } else { failure.line("its ids could not be given up") })
}

/// Parses an id. -1 and numbers that some programs would read as negative are rejected: as an id, -1 means
/// "do not change" (setresuid(2)), so the process would stay root.
fn id(field: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(field).ok().filter(|_| field.iter().all(u8::is_ascii_digit));
    digits?.parse().ok().filter(|id| *id <= LARGEST_ID)
}

struct User<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
    home: &'a [u8],
}

/// A file of lines with fields, `/etc/passwd` or `/etc/group`; a missing file is empty.
struct Database {
    path: &'static str,
    text: std::io::Result<Vec<u8>>,
}

impl Database {
    fn read(path: &'static str) -> Self {
        let text = match std::fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        };
        Self { path, text }
    }

    fn lines(&self) -> impl Iterator<Item = Vec<&[u8]>> {
        let lines = self.text.as_deref().unwrap_or_default().split(|byte| *byte == b'\n');
        let fields = lines.map(|line| line.split(|byte| *byte == b':').collect::<Vec<_>>());
        fields.filter(|fields| !fields[0].is_empty())
    }

    fn users(&self) -> impl Iterator<Item = User<'_>> {
        self.lines().filter_map(|fields| {
            let [name, _, uid, gid, rest @ ..] = &*fields else { return None };
            let home = rest.get(1).copied().unwrap_or_default();
            Some(User { name, uid: id(uid)?, gid: id(gid)?, home })
        })
    }

    /// The groups: name, number, members (group(5)).
    fn groups(&self) -> impl Iterator<Item = (&[u8], u32, &[u8])> {
        self.lines().filter_map(|fields| {
            let [name, _, gid, rest @ ..] = &*fields else { return None };
            Some((*name, id(gid)?, rest.first().copied().unwrap_or_default()))
        })
    }

    fn lacks(&self, what: &str, name: &[u8]) -> Failure {
        let (path, shown) = (self.path, quoted(name));
        // A uid alone needs an entry, because the entry has its group.
        let number = if what == "user" { "`UID:GID`" } else { "a number" };
        let failure = |sentence: String| Failure::new(Kind::Identity, sentence);
        if let Err(refused) = &self.text {
            failure(format!("cannot look {what} {shown} up: `{path}` cannot be read: {}", reason(refused)))
                .hint(format!("{number} needs no entry there"))
        } else if self.lines().any(|fields| fields[0] == name) {
            failure(format!("{what} {shown} has a line in `{path}` that is damaged"))
                .hint(format!("its ids are missing, or are not whole numbers up to {LARGEST_ID}"))
        } else {
            failure(format!("{what} {shown} does not exist"))
                .hint(format!("a {what} is looked up in the image's `{path}`; {number} needs no entry there"))
        }
    }
}

pub(crate) fn no_user(spec: &[u8], reason: &str) -> String {
    format!("{} is not a user: {reason}", quoted(spec))
}

/// Looks up a user. Fails (exit code 77) if the user or group does not exist, or a lone uid has no entry.
pub(crate) fn resolve(spec: &Expanded) -> Result<Identity> {
    look_up(spec).map_err(|failure| {
        if spec.secret {
            failure.concealed("looking up the user")
        } else {
            failure.field("user", escaped(&spec.bytes))
        }
    })
}

fn look_up(asked: &Expanded) -> Result<Identity> {
    let spec = asked.bytes.as_slice();
    let parsed = UserSpec::parse(spec);
    let parsed = parsed.map_err(|reason| Failure::new(Kind::Identity, no_user(spec, &reason)))?;
    let (passwd, group) = (Database::read("/etc/passwd"), || Database::read("/etc/group"));
    let (uid, user) = match &parsed.user {
        Who::Name(name) => {
            // An image without `/etc/passwd` still has a user `root`.
            let is_root = *name == b"root" && passwd.text.as_ref().is_ok_and(Vec::is_empty);
            let root = is_root.then_some(User { name, uid: 0, gid: 0, home: b"" });
            let found = passwd.users().find(|user| user.name == *name).or(root);
            let found = found.ok_or_else(|| passwd.lacks("user", name))?;
            (found.uid, Some(found))
        }
        Who::Id(uid) => (*uid, passwd.users().find(|user| user.uid == *uid)),
    };
    let (gid, groups) = match (&parsed.group, &user) {
        // If a group is given, it is the only group, as in gosu.
        (Some(Who::Id(gid)), _) => (*gid, vec![*gid]),
        (Some(Who::Name(name)), _) => {
            let group = group();
            let found = group.groups().find(|(each, ..)| each == name).map(|(_, gid, _)| gid);
            let gid = found.ok_or_else(|| group.lacks("group", name))?;
            (gid, vec![gid])
        }
        (None, Some(user)) => {
            let mut all = vec![user.gid];
            for (_, gid, members) in group().groups() {
                let is_member = members.split(|byte| *byte == b',').any(|member| member == user.name);
                if is_member && !all.contains(&gid) {
                    all.push(gid);
                }
            }
            (user.gid, all)
        }
        (None, None) => {
            // The current gid would be root's. It is never kept silently.
            let sentence = format!("uid `{uid}` has no entry in `/etc/passwd`, so it needs a group");
            return Err(Failure::new(Kind::Identity, sentence).hint(format!("write `{uid}:GID`")));
        }
    };
    let home = user.map(|user| user.home).filter(|home| !home.is_empty()).unwrap_or(b"/").to_vec();
    Ok(Identity { spec: asked.clone(), uid, gid, groups, home })
}

pub(crate) fn name_of(uid: u32) -> Option<String> {
    Database::read("/etc/passwd").users().find(|user| user.uid == uid).map(|user| escaped(user.name))
}

fn refused(what: &str, error: impl Display) -> Failure {
    Failure::new(Kind::System, format!("cannot {what}: {error}"))
}

fn refused_ids(identity: &Identity, part: &str, error: Errno) -> Failure {
    let user = identity.spec.shown();
    let failure = refused(&format!("become user `{user}`: {part}"), error.desc()).field("user", user);
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    let has_needed = thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(needed));
    if error == Errno::EINVAL || error == Errno::EPERM && has_needed {
        failure.hint("this user namespace has no such id, or does not permit its groups to be changed")
    } else if error == Errno::EPERM {
        failure
            .hint("root needs the capabilities SETUID and SETGID for it; or start the container as that user")
    } else {
        failure
    }
}

/// Becomes `identity` for good, and verifies that there is no way back.
pub(crate) fn step_down(identity: &Identity, keep: Option<&[Capability]>) -> Result<()> {
    let refuse = |part: &'static str| move |error| refused_ids(identity, part, error);
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    match setgroups(&identity.group_ids()) {
        // Root without the right, or in a user namespace that denies it, is to become root: it already is.
        Err(Errno::EPERM) if (geteuid(), getegid()) == (uid, gid) => return Ok(()),
        done => done.map_err(refuse("setgroups"))?,
    }
    setresgid(gid, gid, gid).map_err(refuse("setgid"))?;
    let keep = keep.unwrap_or_default();
    if !keep.is_empty() {
        // Otherwise the kernel clears the permitted set when the uid changes from 0 (capabilities(7)).
        nix::sys::prctl::set_keepcaps(true).map_err(|error| refused("keep capabilities", error.desc()))?;
    }
    setresuid(uid, uid, uid).map_err(refuse("setuid"))?;
    if identity.uid != 0 && !keep.iter().any(|each| each.name() == "CAP_SETUID") {
        let root = Uid::from_raw(0);
        if setresuid(root, root, root).is_ok() || geteuid().is_root() {
            let what = format!("become user `{}`: verify", identity.spec.shown());
            return Err(refused(&what, "root can be regained"));
        }
    }
    Ok(())
}

fn set(capability: Capability) -> CapabilitySet {
    CapabilitySet::from_bits_retain(1 << capability.0)
}

fn desc(error: rustix::io::Errno) -> &'static str {
    Errno::from_raw(error.raw_os_error()).desc()
}

/// Drops every other capability from the bounding set. This has to precede the loss of the right to do so.
pub(crate) fn bound(keep: &[Capability]) -> Result<()> {
    for one in (0..64).map(Capability).filter(|one| !keep.contains(one)).map(set) {
        // An error means that the kernel does not know this capability or any higher one.
        let Ok(is_in_set) = thread::capability_is_in_bounding_set(one) else { break };
        // Only capabilities in the set need the right to drop them.
        if is_in_set && let Err(error) = thread::remove_capability_from_bounding_set(one) {
            let failure = refused("drop capabilities from the bounding set", desc(error));
            let hint = "root needs the capability SETPCAP for it; or give the container only those that the \
                        table keeps";
            return Err(if error == rustix::io::Errno::PERM { failure.hint(hint) } else { failure });
        }
    }
    Ok(())
}

/// Makes the kept capabilities permitted, effective, inheritable and ambient, so that they survive the exec
/// of a program without file capabilities. If the container lacks one of them, nothing changes.
pub(crate) fn keep(capabilities: &[Capability]) -> Result<()> {
    let have = thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted);
    if let Some(missing) = capabilities.iter().find(|each| !have.contains(set(**each))) {
        return Err(refused(&format!("keep `{}`", missing.name()), "the container does not have it"));
    }
    let _ = thread::clear_ambient_capability_set();
    let wanted: CapabilitySet = capabilities.iter().copied().map(set).collect();
    let sets = CapabilitySets { effective: wanted, permitted: wanted, inheritable: wanted };
    thread::set_capabilities(None, sets).map_err(|error| refused("keep capabilities", desc(error)))?;
    for capability in capabilities {
        thread::configure_capability_in_ambient_set(set(*capability), true)
            .map_err(|error| refused(&format!("keep `{}`", capability.name()), desc(error)))?;
    }
    Ok(())
}

pub(crate) fn no_new_privileges() -> Result<()> {
    nix::sys::prctl::set_no_new_privs().map_err(|error| refused("set no-new-privileges", error.desc()))
}

/// Does file system work as `identity`: until it is done, this process has that user's effective ids. The
/// kernel checks every path for that user, so a link cannot lead root astray.
pub(crate) fn acting_as<T>(identity: Option<&Identity>, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some(identity) = identity else { return work() };
    let refuse = |error: Errno| refused(&format!("act as user `{}`", identity.spec.shown()), error.desc());
    let (uid, gid, groups) = (geteuid(), getegid(), getgroups().map_err(refuse)?);
    setgroups(&identity.group_ids()).map_err(refuse)?;
    let acts = setegid(Gid::from_raw(identity.gid)).and_then(|()| seteuid(Uid::from_raw(identity.uid)));
    let result = acts.map_err(refuse).and_then(|()| work());
    seteuid(uid)
        .and_then(|()| setegid(gid))
        .and_then(|()| setgroups(&groups))
        .map_err(|error| refused("become root again after acting as the user", error.desc()))?;
    result
}

/// Makes the given capabilities effective if they are permitted. Inspecting a process requires all of its
/// capabilities (`ptrace(2)`), and acting as another user makes them ineffective.
pub(crate) fn raise(capabilities: u64) {
    if let Ok(mut sets) = thread::capabilities(None) {
        sets.effective |= sets.permitted & CapabilitySet::from_bits_retain(capabilities);
        let _ = thread::set_capabilities(None, sets);
    }
}
