//! The users of a run: who they were before the first step, and who they are after a hook of root, which may
//! renumber them, as images do to match the owner of a volume. Other changes to `/etc/passwd` do not decide
//! which user root becomes.

use std::path::Path;

use crate::sys::{Identity, identity, proof};
use crate::text::{Failure, Kind, Result};
use crate::value::{Expanded, UserSpec, Who};

#[derive(Debug, Default)]
pub(crate) struct Users {
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    identity: Identity,
    /// Whether no hook of root has run since the lookup.
    is_current: bool,
}

impl Users {
    pub(crate) fn look_first(&mut self, spec: &Expanded) -> Result<Identity> {
        Ok(self.note(identity::resolve(spec)?))
    }

    /// Looks up a user, possibly again. Fails (exit code 77) if the user does not exist, or if anyone but
    /// root may have changed its ids.
    pub(crate) fn look_up(&mut self, spec: &Expanded) -> Result<Identity> {
        let known = self.known.iter().find(|known| known.identity.spec.bytes == spec.bytes);
        if let Some(Known { identity, is_current: true }) = known {
            return Ok(identity.clone());
        }
        let before = known.map(|known| &known.identity);
        let now = identity::resolve(spec)?;
        let ids = |identity: &Identity| (identity.uid, identity.gid, identity.groups.clone());
        if let Some(before) = before.filter(|before| ids(before) == ids(&now)) {
            // Root's programs would read their settings in another home.
            if before.home != now.home && !only_root_can_change() {
                return Ok(before.clone());
            }
        } else {
            refuse_new_root(before, &now)?;
            // If all ids are numbers, no file decides them.
            let parsed = UserSpec::parse(&spec.bytes).map(|parsed| (parsed.user, parsed.group));
            let is_number = matches!(parsed, Ok((Who::Id(_), Some(Who::Id(_)))));
            if !is_number && !only_root_can_change() {
                let sentence = format!("user `{}` has changed since the run began", spec.shown());
                return Err(Failure::new(Kind::Identity, sentence).hint(ONLY_ROOT));
            }
        }
        Ok(self.note(now))
    }

    pub(crate) fn may_change(&mut self) {
        self.known.iter_mut().for_each(|known| known.is_current = false);
    }

    fn note(&mut self, identity: Identity) -> Identity {
        self.known.retain(|known| known.identity.spec.bytes != identity.spec.bytes);
        self.known.push(Known { identity: identity.clone(), is_current: true });
        identity
    }
}

/// Fails (exit code 77) if something has tried to make a user root since the lookup.
pub(crate) fn verify(identity: &Identity) -> Result<()> {
    match identity::resolve(&identity.spec) {
        Ok(now) if !only_root_can_change() => refuse_new_root(Some(identity), &now),
        Ok(_) | Err(_) => Ok(()),
    }
}

const ONLY_ROOT: &str = "only root may be able to change `/etc/passwd` and `/etc/group`";

fn refuse_new_root(before: Option<&Identity>, now: &Identity) -> Result<()> {
    let Some(before) = before.filter(|before| before.uid != 0 && now.uid == 0) else { return Ok(()) };
    let user = now.spec.shown();
    let sentence = format!("user `{user}` had uid {} when the run began, and is root now", before.uid);
    Err(Failure::new(Kind::Identity, sentence).field("user", user).hint(ONLY_ROOT))
}

/// Whether only root can have changed the user database.
fn only_root_can_change() -> bool {
    ["/etc/passwd", "/etc/group"].into_iter().all(|path| proof::file(Path::new(path)).is_ok())
}
