//! Landlock, landlock(7): access to files for a process that has no rights over mounts.
//!
//! Owns the kernel's interface: a list of folders and what may be done below each; what is not on it is forbidden. The
//! parent makes the list, the child only binds itself to it. Which folders that are is the shell's.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::libc;
use rustix::io::fcntl_dupfd_cloexec;

use super::super::child::check;
use super::super::process::owned;

const CREATE_RULESET_VERSION: libc::c_uint = 1;
const RULE_PATH_BENEATH: libc::c_uint = 1;

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
/// From the removal of a folder to the making of a link, a device and a socket.
const CHANGE_FOLDER: u64 = 0x1ff0;
/// Since the second version.
const REFER: u64 = 1 << 13;
/// Since the third version.
const TRUNCATE: u64 = 1 << 14;
/// Of all rights, those that mean something for a file that is no folder.
const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE;

/// What may be done below a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights(u64);

impl Rights {
    pub const READ: Self = Self(EXECUTE | READ_FILE | READ_DIR);
    pub const WRITE: Self = Self(WRITE_FILE | CHANGE_FOLDER | REFER | TRUNCATE);
    pub const ALL: Self = Self(Self::READ.0 | Self::WRITE.0);
}

/// A list of what is allowed, to which a process can bind itself.
#[derive(Debug)]
pub struct Ruleset {
    fd: OwnedFd,
    handled: Rights,
}

#[repr(C)]
#[derive(Default)]
struct RulesetAttributes {
    handled_fs: u64,
}

#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    folder: RawFd,
}

/// The version of the kernel's Landlock; 0 where it has none.
#[must_use]
pub fn version() -> u32 {
    let none = ptr::null::<RulesetAttributes>();
    // SAFETY: with this flag the kernel reads nothing.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            none,
            0,
            CREATE_RULESET_VERSION,
        )
    };
    u32::try_from(version).unwrap_or(0)
}

impl Ruleset {
    /// Forbids what is `handled`, but for what is allowed later. Needs the third version, see [`version`].
    ///
    /// # Errors
    /// What landlock_create_ruleset(2) gives.
    pub fn new(handled: Rights) -> io::Result<Self> {
        let attributes = RulesetAttributes {
            handled_fs: handled.0,
        };
        let size = size_of::<RulesetAttributes>();
        // SAFETY: the structure is ours and its true size is given.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                &raw const attributes,
                size,
                0,
            )
        };
        let fd = owned(fd)?;
        Ok(Self { fd, handled })
    }

    /// The same list, by a descriptor from this number on.
    pub(super) fn lifted(&self, above: RawFd) -> io::Result<Self> {
        let fd = fcntl_dupfd_cloexec(&self.fd, above)?;
        let handled = self.handled;
        Ok(Self { fd, handled })
    }

    /// Allows something at a path and, where that is a folder, everywhere below. Nothing at a symbolic link: what it
    /// leads to counts.
    ///
    /// # Errors
    /// What open(2) and landlock_add_rule(2) give.
    pub fn allow(&self, path: &CStr, rights: Rights) -> io::Result<()> {
        let flags = libc::O_PATH | libc::O_CLOEXEC | libc::O_NOFOLLOW;
        // SAFETY: the path is a C string.
        let fd = unsafe { libc::open(path.as_ptr(), flags) };
        let fd = owned(fd.into())?;
        let stat = rustix::fs::fstat(&fd)?;
        if stat.st_mode & libc::S_IFMT == libc::S_IFLNK {
            return Ok(());
        }
        let is_folder = stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
        let most = if is_folder { u64::MAX } else { OF_FILES };
        let rule = PathBeneath {
            allowed: rights.0 & self.handled.0 & most,
            folder: fd.as_raw_fd(),
        };
        if rule.allowed == 0 {
            return Ok(());
        }
        // SAFETY: the rule is ours and of the type that this kind of rule has.
        let result = unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                self.fd.as_raw_fd(),
                RULE_PATH_BENEATH,
                &raw const rule,
                0,
            )
        };
        check(result).map_err(io::Error::from_raw_os_error)?;
        Ok(())
    }
}

/// From here on only what is on the list can be done. Needs that no privileges can be gained.
pub(super) fn restrict(ruleset: &Ruleset) -> Result<(), i32> {
    // SAFETY: the call takes two integers.
    let result =
        unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.fd.as_raw_fd(), 0) };
    check(result).map(drop)
}
