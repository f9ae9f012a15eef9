//! One cgroup v2 for each service: made, watched, signalled, killed and removed.
//!
//! Owns finding a place where groups can be made and everything that is done with one. Only the tree counts here, no
//! controller is switched on, so it works on hybrid hosts and in delegated subtrees alike. Never touches cgroup v1.

use std::ffi::{CStr, OsStr, OsString};
use std::fmt::{self, Write as _};
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, open, openat};
use rustix::io::Errno;

use super::files;
use super::process::{Pid, PidFd, error_text};

/// How deep services may nest groups of their own; deeper ones are not looked into.
const DEPTH_LIMIT: usize = 32;
/// How often [`Cgroup::kill`] looks again for members without `cgroup.kill`, against one that forks all the time.
const KILL_ROUNDS: usize = 64;
/// How many members are held at once while they are signalled.
const HELD_MEMBERS: usize = 16;
const SIGKILL: i32 = 9;

/// Why no cgroups can be made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// For users: what is missing or was refused.
    pub reason: String,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Unavailable {}

fn unavailable(reason: impl Into<String>) -> Unavailable {
    Unavailable {
        reason: reason.into(),
    }
}

fn refused(operation: &str, path: &Path, error: &io::Error) -> Unavailable {
    unavailable(format!(
        "{operation} {}: {}",
        path.display(),
        error_text(error)
    ))
}

/// The group under which those of the services are made.
#[derive(Debug)]
pub struct Tree {
    path: PathBuf,
}

impl Tree {
    /// Makes (or finds) the group `name` below our own, and makes sure that processes can be moved into it.
    ///
    /// # Errors
    /// [`Unavailable`] when no cgroup v2 is mounted, or our own group lies outside of it, or is not ours to divide.
    pub fn open(name: &str) -> Result<Self, Unavailable> {
        let read = |path: &str| {
            fs::read(path).map_err(|error| refused("cannot read", Path::new(path), &error))
        };
        let groups = read("/proc/self/cgroup")?;
        let mounts = read("/proc/self/mountinfo")?;
        let own = own_group(&groups).ok_or_else(|| unavailable("this kernel has no cgroup v2"))?;
        let parent = own_directory(&mounts, own)
            .ok_or_else(|| unavailable("no cgroup v2 that holds this process is mounted"))?;
        let path = parent.join(escape(name));
        let is_new = match fs::create_dir(&path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(refused("cannot make", &path, &error)),
        };
        // To move a process one must be allowed to write to the goal and to what it has in common with the origin.
        for file in [parent.join("cgroup.procs"), path.join("cgroup.procs")] {
            if let Err(error) = accessat(CWD, &file, Access::WRITE_OK, AtFlags::EACCESS) {
                if is_new {
                    // Empty as it was made; if it stays it harms nobody.
                    let _ = fs::remove_dir(&path);
                }
                return Err(refused("cannot write to", &file, &error.into()));
            }
        }
        Ok(Self { path })
    }

    /// Where it lies in the file system.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the group of a service, or opens the one that is there, with who is in it.
    ///
    /// # Errors
    /// What mkdir(2) gives: `ENAMETOOLONG`, `EAGAIN` when there may be no more groups; `EMFILE`.
    pub fn make(&self, service: &str) -> io::Result<Cgroup> {
        let path = self.path.join(escape(service));
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Cgroup::open(path),
        }
    }

    /// Removes the tree with all groups in it.
    ///
    /// # Errors
    /// `EBUSY` while there are processes in one of them.
    pub fn remove(&self) -> io::Result<()> {
        remove_groups(&self.path, 0)
    }
}

/// A file name that cannot be a control file of the kernel's, whatever the name: those never end so.
fn escape(name: &str) -> OsString {
    let mut escaped = String::with_capacity(name.len() + 8);
    for character in name.chars() {
        if character.is_control() || matches!(character, '/' | '\\') {
            // Writing to a String does not fail.
            let _ = write!(escaped, "\\x{:02x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped.push_str(".service");
    escaped.into()
}

/// Our own group's path in the v2 hierarchy, from `/proc/self/cgroup`.
fn own_group(groups: &[u8]) -> Option<&[u8]> {
    groups
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"0::"))
}

/// Where our own group can be seen, from `/proc/self/mountinfo`: a mount may show only a part of the hierarchy.
fn own_directory(mounts: &[u8], own: &[u8]) -> Option<PathBuf> {
    let own = Path::new(OsStr::from_bytes(own));
    mounts.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let root = unescape(fields.nth(3)?);
        let mount = unescape(fields.next()?);
        // Some optional fields follow, up to a dash.
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        if kind != b"cgroup2" {
            return None;
        }
        let below = own.strip_prefix(&root).ok()?;
        // A group outside of our namespace is written with dots, and is not ours to divide.
        let is_inside = !below.components().any(|part| part.as_os_str() == "..");
        is_inside.then(|| Path::new(&mount).join(below))
    })
}

/// Undoes the octal escapes of mountinfo: `\040` for a space and the like.
fn unescape(field: &[u8]) -> OsString {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, following)) = rest.split_first() {
        let code = match rest {
            [b'\\', digits @ ..] => digits.get(..3).and_then(octal),
            _ => None,
        };
        plain.push(code.unwrap_or(*first));
        rest = match code {
            Some(_) => rest.get(4..).unwrap_or_default(),
            None => following,
        };
    }
    OsString::from_vec(plain)
}

fn octal(digits: &[u8]) -> Option<u8> {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|text| u8::from_str_radix(text, 8).ok())
}

/// A service's group.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    directory: OwnedFd,
}

impl Cgroup {
    /// Opens a group that is there, wherever it lies.
    ///
    /// # Errors
    /// What open(2) gives.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = open(&path, flags, Mode::empty())?;
        Ok(Self { path, directory })
    }

    /// For `Spawn::cgroup`.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Where it lies in the file system.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that changes when the group becomes empty or populated, for inotify.
    #[must_use]
    pub fn events_path(&self) -> PathBuf {
        self.path.join("cgroup.events")
    }

    /// Whether a living process is in it or in a group below. A group that has been removed has none.
    ///
    /// # Errors
    /// What open(2) and read(2) give.
    pub fn populated(&self) -> io::Result<bool> {
        let mut buffer = [0_u8; 128];
        match files::read_small(self.fd(), c"cgroup.events", &mut buffer) {
            Ok(text) => Ok(text
                .split(|byte| *byte == b'\n')
                .any(|line| line == b"populated 1")),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The living processes in it and in the groups below, by rising PID.
    ///
    /// # Errors
    /// What open(2) and read(2) give.
    pub fn procs(&self) -> io::Result<Vec<Pid>> {
        let mut found = Vec::new();
        list_members(&self.path, 0, &mut found)?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Sends SIGKILL to all members at once and to those that they are just making. They are gone when
    /// [`Self::populated`] says so, soon after.
    ///
    /// # Errors
    /// What open(2) and write(2) give.
    pub fn kill(&self) -> io::Result<()> {
        match self.write(c"cgroup.kill", b"1") {
            // Before Linux 5.14 there is no such file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.kill_one_by_one(),
            Err(error) if is_gone(&error) => Ok(()),
            other => other,
        }
    }

    fn kill_one_by_one(&self) -> io::Result<()> {
        let mut killed: Vec<Pid> = Vec::new();
        for _ in 0..KILL_ROUNDS {
            let members = self.procs()?;
            if members.iter().all(|pid| killed.binary_search(pid).is_ok()) {
                return Ok(());
            }
            self.signal_members(&members, SIGKILL)?;
            killed = members;
        }
        Ok(())
    }

    /// Sends a signal to each member but one. Returns how many got it. A member that is just being made may be
    /// missed.
    ///
    /// # Errors
    /// When the members cannot be listed, or a member may not be signalled; the others have then got theirs.
    pub fn signal_all(&self, signal: i32, except: Option<Pid>) -> io::Result<usize> {
        let mut members = self.procs()?;
        members.retain(|pid| Some(*pid) != except);
        self.signal_members(&members, signal)
    }

    fn signal_members(&self, members: &[Pid], signal: i32) -> io::Result<usize> {
        let mut signalled = 0;
        let mut outcome = Ok(());
        for some in members.chunks(HELD_MEMBERS) {
            let held: Vec<(Pid, PidFd)> = some
                .iter()
                .filter_map(|pid| Some((*pid, PidFd::open(*pid).ok()?)))
                .collect();
            // A number could have passed to a stranger before it was opened: who is still listed now is the one held.
            let listed = self.procs()?;
            for (pid, pidfd) in held {
                if listed.binary_search(&pid).is_err() {
                    continue;
                }
                match pidfd.signal(signal) {
                    Ok(()) => signalled += 1,
                    Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
                    Err(error) => outcome = Err(error),
                }
            }
        }
        outcome.map(|()| signalled)
    }

    /// Removes it and the groups below.
    ///
    /// # Errors
    /// `EBUSY` while there are processes in it.
    pub fn remove(&self) -> io::Result<()> {
        remove_groups(&self.path, 0)
    }

    fn write(&self, name: &CStr, bytes: &[u8]) -> io::Result<()> {
        let file = openat(
            self.fd(),
            name,
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        rustix::io::write(&file, bytes)?;
        Ok(())
    }
}

/// The group was removed while we looked at it.
fn is_gone(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::NOENT | Errno::NODEV))
}

fn list_members(path: &Path, depth: usize, found: &mut Vec<Pid>) -> io::Result<()> {
    let mut text = String::new();
    let read = fs::File::open(path.join("cgroup.procs"))
        .and_then(|mut file| file.read_to_string(&mut text));
    match read {
        // The members of a threaded group are listed by the group above.
        Err(error) if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => {}
        Err(error) if is_gone(&error) => return Ok(()),
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    found.extend(
        text.lines()
            .filter_map(|line| line.parse().ok())
            .filter_map(Pid::from_raw),
    );
    for group in groups_below(path, depth) {
        list_members(&group, depth + 1, found)?;
    }
    Ok(())
}

fn remove_groups(path: &Path, depth: usize) -> io::Result<()> {
    for group in groups_below(path, depth) {
        remove_groups(&group, depth + 1)?;
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn groups_below(path: &Path, depth: usize) -> Vec<PathBuf> {
    if depth == DEPTH_LIMIT {
        return Vec::new();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
