//! Folders that services are given: made along a path whose parts may be another user's, handed over, and removed with
//! all that is in them.
//!
//! Owns how that is done without being led elsewhere: no link is followed but root's or ours, and no other file system
//! is entered. Does not know what the folders are for.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid, chownat, fchmod, fstat,
    mkdirat, open, openat, openat2, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

/// Files and folders that are handed over or removed by one call: whoever calls has others to look after.
const ENTRIES_MAX: usize = 100_000;
/// Folders in one another, each of which holds a descriptor meanwhile.
const DEPTH_MAX: usize = 64;
/// The mode of the folders on the way.
const WAY_MODE: u32 = 0o755;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// Makes the folder `name`, a plain relative path below `base`, and what is missing on the way to it. The last folder
/// gets exactly this mode. With an `owner` (uid, gid) it becomes theirs, and if it was somebody else's before, so does
/// all that is in it.
///
/// # Errors
/// What mkdir(2), open(2), chown(2) and chmod(2) give. `ELOOP` or `ENOTDIR`: a part of the path is no folder, or a link
/// that neither root nor this user has made. `E2BIG`: more would change hands than [`ENTRIES_MAX`].
pub fn make(base: &Path, name: &str, mode: u32, owner: Option<(u32, u32)>) -> io::Result<()> {
    // Others pass through all that is missing, whatever our own umask is.
    let standing = base.ancestors().find(|part| part.exists());
    let standing = standing.unwrap_or(Path::new("/"));
    let missing = base.strip_prefix(standing).unwrap_or(Path::new(""));
    let mut folder = open(standing, FOLDER, Mode::empty())?;
    let parts = missing.join(name);
    let mut parts = parts
        .as_os_str()
        .as_bytes()
        .split(|byte| *byte == b'/')
        .peekable();
    while let Some(part) = parts.next() {
        // Nobody else enters before mode and owner are right.
        let is_new = match mkdirat(&folder, part, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(other) => return Err(other.into()),
        };
        folder = enter(folder.as_fd(), part)?;
        if parts.peek().is_some() && is_new {
            fchmod(&folder, Mode::from_raw_mode(WAY_MODE))?;
        }
    }
    let found = fstat(&folder)?;
    if let Some(owner) = owner.filter(|owner| *owner != (found.st_uid, found.st_gid)) {
        let mut walk = Walk::new(&found);
        walk.hand_over(folder.as_fd(), owner, DEPTH_MAX)?;
        change_owner(folder.as_fd(), c"", owner, AtFlags::EMPTY_PATH)?;
    }
    let mode = Mode::from_raw_mode(mode & 0o7777);
    if Mode::from_raw_mode(fstat(&folder)?.st_mode & 0o7777) != mode {
        fchmod(&folder, mode)?;
    }
    Ok(())
}

/// Removes the folder `name`, a plain relative path below `base`, and all that is in it. One that is missing is removed
/// already.
///
/// # Errors
/// What unlink(2) and rmdir(2) give: `EBUSY` or `EXDEV` where another file system is mounted in it; `E2BIG`: it holds
/// more than [`ENTRIES_MAX`], and so many less now.
pub fn remove(base: &Path, name: &str) -> io::Result<()> {
    let result = find_parent(base, name).and_then(|(parent, last)| {
        let name = CString::new(last)?;
        let found = statat(&parent, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mut walk = Walk::new(&found);
        walk.remove(parent.as_fd(), &name, DEPTH_MAX)
    });
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn find_parent<'n>(base: &Path, name: &'n str) -> io::Result<(OwnedFd, &'n str)> {
    let mut folder = open(base, FOLDER, Mode::empty())?;
    let (way, last) = name.rsplit_once('/').unwrap_or(("", name));
    for part in way.split('/').filter(|part| !part.is_empty()) {
        folder = enter(folder.as_fd(), part.as_bytes())?;
    }
    Ok((folder, last))
}

/// Opens a folder in another. A link counts only where whoever could have put it there is root or we.
fn enter(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    match openat(folder, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
        Err(Errno::LOOP | Errno::NOTDIR) if is_trusted_link(folder, name) => {
            Ok(openat(folder, name, FOLDER, Mode::empty())?)
        }
        result => Ok(result?),
    }
}

fn is_trusted_link(folder: BorrowedFd<'_>, name: &[u8]) -> bool {
    let ours = geteuid().as_raw();
    let is_trusted = |found: &Stat| found.st_uid == 0 || found.st_uid == ours;
    let link = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    link.is_ok_and(|link| is_trusted(&link))
        && fstat(folder).is_ok_and(|around| is_trusted(&around))
}

fn change_owner(
    folder: BorrowedFd<'_>,
    name: &CStr,
    (uid, gid): (u32, u32),
    how: AtFlags,
) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    Ok(chownat(folder, name, Some(uid), Some(gid), how)?)
}

/// A way through a folder and those below it, on one file system.
struct Walk {
    device: u64,
    left: usize,
}

impl Walk {
    fn new(found: &Stat) -> Self {
        Self {
            device: found.st_dev,
            left: ENTRIES_MAX,
        }
    }

    /// What is in a folder, by name.
    fn entries(&mut self, folder: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            self.left = self.left.checked_sub(1).ok_or(Errno::TOOBIG)?;
            names.push(name.to_owned());
        }
        Ok(names)
    }

    /// Opens a folder on the same mount; before Linux 5.6, on the same device.
    fn below(&self, folder: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
        let flags = FOLDER | OFlags::NOFOLLOW;
        let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        match openat2(folder, name, flags, Mode::empty(), resolve) {
            // The second where a container does not know the call.
            Err(Errno::NOSYS | Errno::PERM) => {
                let opened = openat(folder, name, flags, Mode::empty())?;
                if fstat(&opened)?.st_dev == self.device {
                    Ok(opened)
                } else {
                    Err(Errno::XDEV.into())
                }
            }
            result => Ok(result?),
        }
    }

    fn hand_over(
        &mut self,
        folder: BorrowedFd<'_>,
        owner: (u32, u32),
        depth: usize,
    ) -> io::Result<()> {
        let deeper = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG)?;
        for name in self.entries(folder)? {
            let found = statat(folder, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                match self.below(folder, &name) {
                    Ok(below) => self.hand_over(below.as_fd(), owner, deeper)?,
                    // What is mounted there has owners of its own.
                    Err(error) if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) => {
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            change_owner(folder, &name, owner, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    fn remove(&mut self, parent: BorrowedFd<'_>, name: &CStr, depth: usize) -> io::Result<()> {
        let deeper = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG)?;
        match unlinkat(parent, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => {}
            result => return Ok(result?),
        }
        let folder = self.below(parent, name)?;
        for name in self.entries(folder.as_fd())? {
            self.remove(folder.as_fd(), &name, deeper)?;
        }
        Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::super::testing::{NOBODY, Scratch, alone};
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_folder_is_made_with_its_way_and_removed_without_it() {
        let scratch = Scratch::new();
        let base = scratch.path("base");
        make(&base, "a/b", 0o700, None).unwrap();
        assert_eq!(
            (mode(&base.join("a")), mode(&base.join("a/b"))),
            (0o755, 0o700)
        );
        make(&base, "a/b", 0o2750, None).unwrap();
        assert_eq!(mode(&base.join("a/b")), 0o2750);
        fs::create_dir_all(base.join("a/b/c/d")).unwrap();
        fs::write(base.join("a/b/c/d/file"), "x").unwrap();
        fs::create_dir(scratch.path("other")).unwrap();
        fs::write(scratch.path("other/kept"), "x").unwrap();
        symlink(scratch.path("other"), base.join("a/b/link")).unwrap();
        remove(&base, "a/b").unwrap();
        assert!(base.join("a").exists() && !base.join("a/b").exists());
        assert!(scratch.path("other/kept").exists());
        remove(&base, "a/b").unwrap();
        remove(&scratch.path("never"), "a").unwrap();
    }

    #[test]
    fn others_pass_through_the_way_whatever_the_umask_is() {
        alone(
            "sys::folders::tests::others_pass_through_the_way_whatever_the_umask_is",
            || {
                rustix::process::umask(Mode::from_raw_mode(0o077));
                let scratch = Scratch::new();
                make(&scratch.path("var/lib"), "a/b", 0o700, None).unwrap();
                for path in ["var", "var/lib", "var/lib/a"] {
                    assert_eq!(mode(&scratch.path(path)), 0o755, "{path}");
                }
                assert_eq!(mode(&scratch.path("var/lib/a/b")), 0o700);
            },
        );
    }

    #[test]
    fn what_is_no_folder_is_not_taken_for_one() {
        let scratch = Scratch::new();
        let base = scratch.path("base");
        make(&base, "a", 0o755, None).unwrap();
        fs::write(base.join("a/file"), "x").unwrap();
        assert!(make(&base, "a/file", 0o755, None).is_err());
        assert!(make(&base, "a/file/b", 0o755, None).is_err());
        let deep = "d/".repeat(DEPTH_MAX + 5) + "d";
        make(&base, &deep, 0o755, None).unwrap();
        let error = remove(&base, "d").unwrap_err();
        assert_eq!(
            error.raw_os_error(),
            Some(Errno::NAMETOOLONG.raw_os_error())
        );
    }

    #[test]
    fn a_folder_changes_hands_with_all_that_is_in_it() {
        if geteuid().as_raw() != 0 {
            return;
        }
        let scratch = Scratch::new();
        let base = scratch.path("base");
        make(&base, "a/b", 0o755, None).unwrap();
        fs::create_dir(base.join("a/b/c")).unwrap();
        fs::write(base.join("a/b/c/file"), "x").unwrap();
        fs::write(scratch.path("kept"), "x").unwrap();
        symlink(scratch.path("kept"), base.join("a/b/link")).unwrap();
        make(&base, "a/b", 0o755, Some((NOBODY, NOBODY))).unwrap();
        let owner = |path: &str| fs::symlink_metadata(base.join(path)).unwrap().uid();
        for path in ["a/b", "a/b/c", "a/b/c/file", "a/b/link"] {
            assert_eq!(owner(path), NOBODY, "{path}");
        }
        assert_eq!(owner("a"), 0);
        assert_eq!(fs::metadata(scratch.path("kept")).unwrap().uid(), 0);

        // A link that the service's user has put into its own folder leads nowhere.
        symlink(scratch.path("kept"), base.join("a/b/out")).unwrap();
        std::os::unix::fs::lchown(base.join("a/b/out"), Some(NOBODY), Some(NOBODY)).unwrap();
        assert!(make(&base, "a/b/out/x", 0o755, None).is_err());
        // One that root has made does.
        fs::create_dir(scratch.path("disk")).unwrap();
        symlink(scratch.path("disk"), base.join("far")).unwrap();
        make(&base, "far/x", 0o755, None).unwrap();
        assert!(scratch.path("disk/x").is_dir());
    }
}
