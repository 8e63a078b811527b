//! Who a process is: `/etc/passwd` and `/etc/group`, stepping down, capabilities. The only user of
//! setuid(2) and its kin.

#![expect(clippy::disallowed_methods, reason = "the one place that changes ids")]

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use nix::errno::Errno;
use nix::unistd::{Gid, Uid};
use rustix::thread::CapabilitySet;

use crate::text::failure::{Failure, Kind, Result};
use crate::text::log::quoted;
use crate::value::capability::Capability;
use crate::value::template::Expanded;
use crate::value::user::{UserSpec, Who};

/// Someone whom a process can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// As it was asked for.
    pub(crate) spec: Expanded,
    /// The user's number.
    pub(crate) uid: u32,
    /// The primary group.
    pub(crate) gid: u32,
    /// The supplementary groups, with the primary one.
    pub(crate) groups: Vec<u32>,
    /// The home directory; `/` for someone who has none.
    pub(crate) home: OsString,
}

/// Who this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Myself {
    /// The effective uid.
    pub(crate) uid: u32,
    /// The effective gid.
    pub(crate) gid: u32,
}

impl Myself {
    /// Asks the kernel.
    pub(crate) fn observe() -> Self {
        Self { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() }
    }

    /// Whether it may become somebody else.
    pub(crate) fn is_root(self) -> bool {
        self.uid == 0
    }

    /// Whether it is already this one, so that nothing needs to be done. Root is asked for its groups
    /// too: dropping them is what a step-down is for.
    pub(crate) fn is(self, identity: &Identity) -> bool {
        if (self.uid, self.gid) != (identity.uid, identity.gid) {
            return false;
        }
        if !self.is_root() {
            return true;
        }
        let mut mine: Vec<u32> =
            nix::unistd::getgroups().unwrap_or_default().into_iter().map(Gid::as_raw).collect();
        let mut theirs = identity.groups.clone();
        mine.push(self.gid);
        mine.sort_unstable();
        mine.dedup();
        theirs.push(identity.gid);
        theirs.sort_unstable();
        theirs.dedup();
        mine == theirs
    }
}

/// Gives up the ids that a set-user-id or set-group-id file has lent to this process. Returns the failure of
/// everything that it must not do then.
pub(crate) fn give_up_borrowed_ids() -> Option<Failure> {
    let (user, group) = (nix::unistd::getresuid().ok()?, nix::unistd::getresgid().ok()?);
    if user.real == user.effective && group.real == group.effective {
        return None;
    }
    let given_up = nix::unistd::setresgid(group.real, group.real, group.real)
        .and_then(|()| nix::unistd::setresuid(user.real, user.real, user.real));
    let sentence = format!(
        "preverb is set-user-id or set-group-id: started by uid {} as uid {}, it only has `--help` and `--version`",
        user.real, user.effective
    );
    let failure = Failure::say(Kind::Identity, sentence).hint("remove the bits: `chmod ug-s`");
    // What cannot be given up is not used.
    Some(if given_up.is_ok() { failure } else { failure.line("its ids could not be given up") })
}

/// A line of `/etc/passwd` (passwd(5)).
struct User {
    name: Vec<u8>,
    uid: u32,
    gid: u32,
    home: Vec<u8>,
}

/// A line of `/etc/group` (group(5)).
struct Group {
    name: Vec<u8>,
    gid: u32,
    members: Vec<Vec<u8>>,
}

/// A number of a line; -1, and what some part of a system would read as a negative number, is none: as an id
/// it would mean "leave it as it is" (setresuid(2)), which is root.
fn id(field: &[u8]) -> Option<u32> {
    if !field.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(field).ok()?.parse().ok().filter(|id| *id <= crate::value::user::LARGEST_ID)
}

/// A file of lines with fields, `/etc/passwd` or `/etc/group`; empty where there is none.
struct Database {
    path: &'static str,
    text: Vec<u8>,
    /// Why it cannot be read, if it is there.
    refused: Option<String>,
}

impl Database {
    fn read(path: &'static str) -> Self {
        match std::fs::read(path) {
            Ok(text) => Self { path, text, refused: None },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Self { path, text: Vec::new(), refused: None }
            }
            Err(error) => Self { path, text: Vec::new(), refused: Some(crate::text::reason::reason(&error)) },
        }
    }

    /// The fields of each line that has a name in front.
    fn lines(&self) -> impl Iterator<Item = Vec<&[u8]>> {
        let lines = self.text.split(|byte| *byte == b'\n');
        let fields = lines.map(|line| line.split(|byte| *byte == b':').collect::<Vec<_>>());
        fields.filter(|fields| fields.first().is_some_and(|name| !name.is_empty()))
    }

    /// The users; a line that is damaged is no user, and does not hide the others.
    fn users(&self) -> Vec<User> {
        let user = |fields: Vec<&[u8]>| {
            let [name, _, uid, gid, rest @ ..] = &*fields else { return None };
            let home = rest.get(1).copied().unwrap_or_default().to_vec();
            Some(User { name: name.to_vec(), uid: id(uid)?, gid: id(gid)?, home })
        };
        self.lines().filter_map(user).collect()
    }

    /// The groups, as the users.
    fn groups(&self) -> Vec<Group> {
        let group = |fields: Vec<&[u8]>| {
            let [name, _, gid, rest @ ..] = &*fields else { return None };
            let members = rest.first().copied().unwrap_or_default();
            let members = members.split(|byte| *byte == b',').map(<[u8]>::to_vec).collect();
            Some(Group { name: name.to_vec(), gid: id(gid)?, members })
        };
        self.lines().filter_map(group).collect()
    }

    /// Why this name is not in it.
    fn lacks(&self, what: &str, name: &[u8]) -> (String, String) {
        let path = self.path;
        let shown = quoted(name);
        if let Some(refused) = &self.refused {
            return (
                format!("cannot look {what} {shown} up: `{path}` cannot be read: {refused}"),
                "a number needs no entry there".to_owned(),
            );
        }
        if self.lines().any(|fields| fields.first() == Some(&name)) {
            return (
                format!("{what} {shown} has a line in `{path}` that is damaged"),
                "its ids are missing, or no whole numbers up to 2147483647".to_owned(),
            );
        }
        (
            format!("{what} {shown} does not exist"),
            format!("a {what} is looked up in the image's `{path}`; a number needs no entry there"),
        )
    }
}

fn passwd() -> Database {
    Database::read("/etc/passwd")
}

fn group() -> Database {
    Database::read("/etc/group")
}

/// The sentence about what can be no user, whoever there is.
pub(crate) fn no_user(spec: &[u8], reason: &str) -> String {
    format!("{} is no user: {reason}", quoted(spec))
}

/// Looks a user up.
///
/// # Errors
/// Identity (77): a user or group that does not exist, a uid that needs a gid.
pub(crate) fn resolve(spec: &Expanded) -> Result<Identity> {
    let found = look_up(spec);
    if spec.secret { found.map_err(|failure| failure.concealed("looking up the user")) } else { found }
}

fn look_up(asked: &Expanded) -> Result<Identity> {
    let spec = asked.bytes.as_slice();
    let failure = |sentence: String| {
        Failure::say(Kind::Identity, sentence).field("user", crate::text::escape::escaped(spec))
    };
    let parsed = UserSpec::parse(spec).map_err(|reason| failure(no_user(spec, &reason)))?;
    let database = passwd();
    let users = database.users();
    let lacking = |(sentence, hint): (String, String)| failure(sentence).hint(hint);
    let (uid, user) = match &parsed.user {
        Who::Name(name) => {
            let found = users.iter().find(|user| user.name == *name);
            let found = found.ok_or_else(|| lacking(database.lacks("user", name)))?;
            (found.uid, Some(found))
        }
        Who::Id(uid) => (*uid, users.iter().find(|user| user.uid == *uid)),
    };
    let home =
        user.map(|user| user.home.clone()).filter(|home| !home.is_empty()).unwrap_or_else(|| b"/".to_vec());
    let (gid, groups) = match (&parsed.group, user) {
        // With a group of its own it has that one alone, as gosu has it.
        (Some(Who::Id(gid)), _) => (*gid, vec![*gid]),
        (Some(Who::Name(name)), _) => {
            let database = group();
            let found = database.groups().into_iter().find(|group| group.name == *name);
            let gid = found.ok_or_else(|| lacking(database.lacks("group", name)))?.gid;
            (gid, vec![gid])
        }
        (None, Some(user)) => {
            let mut all = vec![user.gid];
            for group in group().groups() {
                if group.members.contains(&user.name) && !all.contains(&group.gid) {
                    all.push(group.gid);
                }
            }
            (user.gid, all)
        }
        (None, None) => {
            // The present gid would be root's: it is never taken over in silence.
            return Err(failure(format!("uid `{uid}` has no entry in `/etc/passwd`, so it needs a group"))
                .hint(format!("write `{uid}:GID`")));
        }
    };
    Ok(Identity { spec: asked.clone(), uid, gid, groups, home: OsString::from_vec(home) })
}

/// The name of a uid, for messages.
pub(crate) fn name_of(uid: u32) -> Option<String> {
    passwd()
        .users()
        .into_iter()
        .find(|user| user.uid == uid)
        .map(|user| crate::text::escape::escaped(&user.name))
}

fn refused(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::say(Kind::System, format!("cannot {what}: {error}"))
}

/// The kernel's refusal to change ids, and what an operator can do about it.
fn refused_ids(identity: &Identity, part: &str, error: Errno) -> Failure {
    let user = identity.spec.shown();
    let failure = refused(&format!("become user `{user}`: {part}"), error.desc()).field("user", user);
    if error == Errno::EPERM {
        failure
            .hint("root needs the capabilities SETUID and SETGID for it; or start the container as that user")
    } else if error == Errno::EINVAL {
        failure.hint("this user namespace has no such id")
    } else {
        failure
    }
}

/// Becomes `identity`, for good, and verifies that there is no way back.
///
/// # Errors
/// System (71): the kernel refuses, or root could be had again.
pub(crate) fn step_down(identity: &Identity, keep: Option<&[Capability]>) -> Result<()> {
    let before = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let groups: Vec<Gid> = identity.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    match nix::unistd::setgroups(&groups) {
        Ok(()) => {}
        // Root without the right to, or in a user namespace that denies it, is told to be root: it is
        // already.
        Err(Errno::EPERM) if before == (identity.uid, identity.gid) => return Ok(()),
        Err(error) => return Err(refused_ids(identity, "setgroups", error)),
    }
    let gid = Gid::from_raw(identity.gid);
    nix::unistd::setresgid(gid, gid, gid).map_err(|error| refused_ids(identity, "setgid", error))?;
    let uid = Uid::from_raw(identity.uid);
    if keep.is_some_and(|keep| !keep.is_empty()) {
        // Without this the kernel clears the permitted set when the uid leaves 0 (capabilities(7)).
        rustix::thread::set_keep_capabilities(true)
            .map_err(|error| refused("keep capabilities", desc(error)))?;
    }
    nix::unistd::setresuid(uid, uid, uid).map_err(|error| refused_ids(identity, "setuid", error))?;
    let keeps_setuid = keep.is_some_and(|keep| keep.iter().any(|each| each.name() == "CAP_SETUID"));
    if identity.uid != 0 && !keeps_setuid {
        let root = Uid::from_raw(0);
        let back = nix::unistd::setresuid(root, root, root);
        if back.is_ok() || nix::unistd::geteuid().is_root() {
            let what = format!("become user `{}`: verify", identity.spec.shown());
            return Err(refused(&what, "root can be had again"));
        }
    }
    Ok(())
}

fn set(capabilities: &[Capability]) -> CapabilitySet {
    capabilities.iter().fold(CapabilitySet::empty(), |set, capability| {
        set | CapabilitySet::from_bits_retain(1 << capability.0)
    })
}

/// Drops every other capability from the bounding set; done while the right to do so is still held.
///
/// # Errors
/// System (71): the kernel refuses.
pub(crate) fn bound(keep: &[Capability]) -> Result<()> {
    let keep = set(keep);
    for number in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if keep.contains(one) {
            continue;
        }
        // What is not in it needs no right to be dropped.
        match rustix::thread::capability_is_in_bounding_set(one) {
            Ok(true) => {}
            Ok(false) => continue,
            // The kernel knows no capability of this number, and none of a higher one.
            Err(_) => break,
        }
        rustix::thread::remove_capability_from_bounding_set(one).map_err(|error| {
            let failure = refused("drop capabilities from the bounding set", desc(error));
            if error == rustix::io::Errno::PERM {
                failure.hint("root needs the capability SETPCAP for it; or give the container those alone that the table keeps")
            } else {
                failure
            }
        })?;
    }
    Ok(())
}

fn desc(error: rustix::io::Errno) -> &'static str {
    Errno::from_raw(error.raw_os_error()).desc()
}

/// Makes the kept capabilities permitted, effective, inheritable and ambient, so that they survive the
/// exec of a program without file capabilities.
///
/// # Errors
/// System (71): the kernel refuses, most often because the container does not have them; then nothing has
/// changed.
pub(crate) fn keep(capabilities: &[Capability]) -> Result<()> {
    let wanted = set(capabilities);
    let have = rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted);
    if let Some(missing) = capabilities.iter().find(|each| !have.contains(set(std::slice::from_ref(each)))) {
        return Err(refused(&format!("keep `{}`", missing.name()), "the container does not have it"));
    }
    let _ = rustix::thread::clear_ambient_capability_set();
    let sets = rustix::thread::CapabilitySets { effective: wanted, permitted: wanted, inheritable: wanted };
    rustix::thread::set_capabilities(None, sets)
        .map_err(|error| refused("keep capabilities", desc(error)))?;
    for capability in capabilities {
        rustix::thread::configure_capability_in_ambient_set(set(std::slice::from_ref(capability)), true)
            .map_err(|error| refused(&format!("keep `{}`", capability.name()), desc(error)))?;
    }
    Ok(())
}

/// Makes it impossible to gain privileges by an exec.
///
/// # Errors
/// System (71).
pub(crate) fn no_new_privileges() -> Result<()> {
    rustix::thread::set_no_new_privs(true).map_err(|error| refused("set no-new-privileges", desc(error)))
}

/// Does something to the file system as `identity`: this process's effective ids are that one's for as
/// long, so that the kernel judges every path as it would for them, and links lead root nowhere.
///
/// # Errors
/// System (71): the kernel refuses the change; otherwise what `work` returns.
pub(crate) fn acting_as<T>(identity: Option<&Identity>, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some(identity) = identity else { return work() };
    let what = format!("act as user `{}`", identity.spec.shown());
    let before = nix::unistd::getgroups().map_err(|error| refused(&what, error.desc()))?;
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let groups: Vec<Gid> = identity.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    nix::unistd::setgroups(&groups).map_err(|error| refused(&what, error.desc()))?;
    let changed = nix::unistd::setegid(Gid::from_raw(identity.gid))
        .and_then(|()| nix::unistd::seteuid(Uid::from_raw(identity.uid)));
    let result = match changed {
        Ok(()) => work(),
        Err(error) => Err(refused(&what, error.desc())),
    };
    let back = nix::unistd::seteuid(uid)
        .and_then(|()| nix::unistd::setegid(gid))
        .and_then(|()| nix::unistd::setgroups(&before));
    back.map_err(|error| refused("become root again after acting as the user", error.desc()))?;
    result
}

/// Makes those of these capabilities effective that are permitted. What looks at a process needs every one
/// that the process has (`ptrace(2)`), and acting as another user takes them away until it ends.
pub(crate) fn raise(capabilities: u64) {
    if let Ok(mut sets) = rustix::thread::capabilities(None) {
        sets.effective |= sets.permitted & CapabilitySet::from_bits_retain(capabilities);
        let _ = rustix::thread::set_capabilities(None, sets);
    }
}

/// The home of someone, as `HOME` has it.
pub(crate) fn home(identity: &Identity) -> &[u8] {
    identity.home.as_bytes()
}
