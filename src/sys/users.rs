//! Users and groups, as the machine's name service knows them.
//!
//! Owns the lookups. They may read files and, where the machine is set up so, ask a server: for a service's start,
//! not for the loop's every turn. Does not change who we are: a child does (`child`).

use std::ffi::CString;
use std::io;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::unistd::{self, Gid, Uid};

/// A row of passwd(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    pub home: PathBuf,
    pub shell: PathBuf,
}

/// A row of group(5), without its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub gid: u32,
}

impl From<unistd::User> for User {
    fn from(row: unistd::User) -> Self {
        Self {
            name: row.name,
            uid: row.uid.as_raw(),
            gid: row.gid.as_raw(),
            home: row.dir,
            shell: row.shell,
        }
    }
}

impl From<unistd::Group> for Group {
    fn from(row: unistd::Group) -> Self {
        Self {
            name: row.name,
            gid: row.gid.as_raw(),
        }
    }
}

/// The user of that name.
///
/// # Errors
/// When the user database cannot be read.
pub fn user_by_name(name: &str) -> io::Result<Option<User>> {
    found(unistd::User::from_name(name))
}

/// The user of that number.
///
/// # Errors
/// When the user database cannot be read.
pub fn user_by_id(uid: u32) -> io::Result<Option<User>> {
    found(unistd::User::from_uid(Uid::from_raw(uid)))
}

/// The user of that name or, when no user has that name and it is a number, of that number.
///
/// # Errors
/// When the user database cannot be read.
pub fn lookup(text: &str) -> io::Result<Option<User>> {
    match (user_by_name(text)?, text.parse()) {
        (None, Ok(uid)) => user_by_id(uid),
        (user, _) => Ok(user),
    }
}

/// The group of that name or, when no group has that name and it is a number, of that number.
///
/// # Errors
/// When the group database cannot be read.
pub fn lookup_group(text: &str) -> io::Result<Option<Group>> {
    match (found(unistd::Group::from_name(text))?, text.parse()) {
        (None, Ok(gid)) => found(unistd::Group::from_gid(Gid::from_raw(gid))),
        (group, _) => Ok(group),
    }
}

fn found<Row, Answer: From<Row>>(row: nix::Result<Option<Row>>) -> io::Result<Option<Answer>> {
    match row {
        Ok(row) => Ok(row.map(Answer::from)),
        // Some name services say "not found" so, see getpwnam(3).
        Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// All groups that the user is a member of, `gid` among them, getgrouplist(3).
///
/// # Errors
/// `InvalidInput` for a name with a NUL; when the group database cannot be read.
pub fn groups_of(user: &str, gid: u32) -> io::Result<Vec<u32>> {
    let user = CString::new(user)?;
    let groups = unistd::getgrouplist(&user, Gid::from_raw(gid))?;
    Ok(groups.into_iter().map(Gid::as_raw).collect())
}

/// Whose rights we have.
#[must_use]
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The user that we run as. One that the database does not know has its number for a name and `/` for a home.
///
/// # Errors
/// When the user database cannot be read.
pub fn current() -> io::Result<User> {
    let uid = effective_uid();
    Ok(user_by_id(uid)?.unwrap_or_else(|| User {
        name: uid.to_string(),
        uid,
        gid: rustix::process::getegid().as_raw(),
        home: PathBuf::from("/"),
        shell: PathBuf::from("/bin/sh"),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let root = user_by_name("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(user_by_id(0).unwrap().as_ref(), Some(&root));
        assert_eq!(lookup("0").unwrap().as_ref(), Some(&root));
        assert_eq!(lookup("root").unwrap(), Some(root));
        assert_eq!(lookup_group("0").unwrap().unwrap().name, "root");
        assert_eq!(lookup_group("root").unwrap().unwrap().gid, 0);
    }

    #[test]
    fn nobody_is_made_up() {
        for text in [
            "no-such-user",
            "",
            "4294967294",
            "-1",
            "99999999999",
            "ro\0ot",
        ] {
            assert!(!matches!(lookup(text), Ok(Some(_))), "{text:?}");
            assert!(!matches!(lookup_group(text), Ok(Some(_))), "{text:?}");
        }
    }

    #[test]
    fn a_user_is_in_the_primary_group_at_least() {
        assert!(groups_of("root", 0).unwrap().contains(&0));
        assert_eq!(groups_of("no-such-user", 4_321).unwrap(), [4_321]);
        assert!(groups_of("ro\0ot", 0).is_err());
    }

    #[test]
    fn we_are_somebody() {
        let current = current().unwrap();
        assert_eq!(current.uid, effective_uid());
        assert!(!current.name.is_empty());
    }
}
