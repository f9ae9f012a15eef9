//! Whose rights a service's process gets: `User=`, `Group=`, `SupplementaryGroups=`, systemd.exec(5).
//!
//! Owns the look-ups and the question whether this daemon may switch. The switch itself happens in the child (`sys`).

use std::path::PathBuf;

use crate::engine::SpawnFailure;
use crate::sorted;
use crate::sys::process::{Identity, error_text};
use crate::sys::users::{self, User};
use crate::unit::Service;

use super::lenience::Lenience;
use super::spawn::failure;

/// `EPERM`.
const NOT_PERMITTED: i32 = 1;

/// The user that a process runs as.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: PathBuf,
    pub(super) shell: PathBuf,
    /// What the child has to become; `None` where it is that already.
    pub(super) identity: Option<Identity>,
}

impl Account {
    /// Who the service is to run as, and who owns its pipes, where `ours` is who we are.
    pub(super) fn of_service(
        service: &Service,
        ours: &Self,
        lenience: &mut Lenience<'_>,
    ) -> Result<Self, SpawnFailure> {
        let mut account = ours.clone();
        if let Some(text) = &service.user {
            let found = users::lookup(text).map_err(|error| failed("User", text, &error))?;
            let user = found.ok_or_else(|| unknown("User", text))?;
            account = Self::from_user(user);
        }
        if let Some(text) = &service.group {
            account.gid = group("Group", text)?;
        }
        let mut groups = Vec::new();
        for text in &service.supplementary_groups {
            groups.push(group("SupplementaryGroups", text)?);
        }
        let is_switch = (account.uid, account.gid) != (ours.uid, ours.gid) || !groups.is_empty();
        if is_switch && users::effective_uid() != 0 {
            not_root(service, &ours.name, lenience)?;
            return Ok(ours.clone());
        }
        // Root's own group list is set even where nothing else changes: what the daemon was started with is not the
        // service's business once it names a user.
        if is_switch || (users::effective_uid() == 0 && service.user.is_some()) {
            let own = users::groups_of(&account.name, account.gid);
            groups.extend(own.map_err(|error| failed("User", &account.name, &error))?);
            sorted::sort(&mut groups);
            groups.dedup();
            account.identity = Some(Identity {
                uid: account.uid,
                gid: account.gid,
                groups,
            });
        }
        Ok(account)
    }

    /// Who we are. A user database that cannot be read leaves us with our number.
    pub(super) fn ours() -> Self {
        match users::current() {
            Ok(user) => Self::from_user(user),
            Err(error) => {
                ::log::warn!("looking up our own user: {}", error_text(&error));
                let uid = users::effective_uid();
                let (home, shell) = (PathBuf::from("/"), PathBuf::from("/bin/sh"));
                Self {
                    name: uid.to_string(),
                    uid,
                    gid: uid,
                    home,
                    shell,
                    identity: None,
                }
            }
        }
    }

    fn from_user(user: User) -> Self {
        let User {
            name,
            uid,
            gid,
            home,
            shell,
        } = user;
        Self {
            name,
            uid,
            gid,
            home,
            shell,
            identity: None,
        }
    }

    /// Owner and group for a FIFO; `None` where it is ours by itself.
    pub(super) fn owner(&self) -> Option<(u32, u32)> {
        self.identity
            .as_ref()
            .map(|identity| (identity.uid, identity.gid))
    }
}

fn group(key: &'static str, text: &str) -> Result<u32, SpawnFailure> {
    let found = users::lookup_group(text).map_err(|error| failed(key, text, &error))?;
    found
        .map(|group| group.gid)
        .ok_or_else(|| unknown(key, text))
}

fn unknown(key: &'static str, text: &str) -> SpawnFailure {
    let kind = if key == "User" { "user" } else { "group" };
    let reason = format!("{key}={text}: there is no such {kind} on this machine");
    failure(key, 0, reason)
}

fn failed(key: &'static str, text: &str, error: &std::io::Error) -> SpawnFailure {
    let errno = error.raw_os_error().unwrap_or(0);
    let reason = format!("{key}={text}: looking it up: {}", error_text(error));
    failure(key, errno, reason)
}

/// Fails by the keys that may not be ignored.
fn not_root(service: &Service, we: &str, lenience: &mut Lenience<'_>) -> Result<(), SpawnFailure> {
    let groups = &service.supplementary_groups;
    let groups = Some(groups.join(" ")).filter(|_| !groups.is_empty());
    let wanted = [
        ("User", service.user.as_deref()),
        ("Group", service.group.as_deref()),
        ("SupplementaryGroups", groups.as_deref()),
    ];
    for (key, text) in wanted {
        let Some(text) = text else { continue };
        let reason = format!("{key}={text}: only root may switch users, this daemon runs as {we}");
        lenience.defer(key, failure(key, NOT_PERMITTED, reason));
    }
    lenience.verdict()
}
