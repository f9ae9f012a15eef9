//! One cgroup v2 for each service: made, watched, signalled, killed and removed.
//!
//! Owns finding a place where groups can be made and everything that is done with one. Only the tree counts here, no
//! controller is needed, so it works on hybrid hosts and in delegated subtrees alike; controllers and their limits are
//! `controllers.rs`'s. Never touches cgroup v1.

use std::cell::Cell;
use std::ffi::{CStr, OsString};
use std::fmt::{self, Write as _};
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, fstatfs, open, openat};
use rustix::io::Errno;

use crate::sorted;

use super::birth;
use super::controllers::out_of_leaf;
use super::files;
use super::hierarchy::{own_directory, own_group};
use super::process::{Pid, PidFd, error_text};

/// How deep services may nest groups of their own; deeper ones are not looked into.
const DEPTH_LIMIT: usize = 32;
/// How often a signal to all looks for new members: whoever forks faster than this escapes it, and SIGKILL then takes
/// the last resort.
const ROUNDS_MAX: usize = 8;
/// How many members are held at once while they are signalled.
const HELD_MEMBERS: usize = 16;
const SIGKILL: i32 = 9;
/// The type of the file system, statfs(2).
const CGROUP2_MAGIC: i64 = 0x6367_7270;

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
    /// What the past of our own group, in which all newborns' parent lives, means for them; `None` before the first.
    newborns: Cell<Option<Past>>,
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
        // A daemon that has made way for controllers finds its tree above itself.
        let above = out_of_leaf(&parent, Path::new(&escape(name)));
        let parent = above.map_or(parent.clone(), Path::to_owned);
        let path = parent.join(escape(name));
        let is_new = match make_group(&path) {
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
        let newborns = Cell::new(None);
        Ok(Self { path, newborns })
    }

    /// Where it lies in the file system.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the group of a service. One that is there is opened with who is in it; an empty one is made anew, so
    /// that nothing of its past (a freeze, a kill) meets the newcomers.
    ///
    /// # Errors
    /// What mkdir(2) gives: `ENAMETOOLONG`, `EAGAIN` when there may be no more groups; `EMFILE`.
    pub fn make(&self, service: &str) -> io::Result<Cgroup> {
        let path = Cgroup::place(&self.path, service);
        // Refused while it is populated, and when there is none.
        let _ = remove_groups(&path, 0);
        match make_group(&path) {
            Ok(()) => {
                let group = Cgroup::open_with(path, Past::None)?;
                group.past.set(self.newborns(&group));
                Ok(group)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Cgroup::open(path),
            Err(error) => Err(error),
        }
    }

    /// How newborns fare in a group that is new: the first one shows it, by a child that only ends.
    fn newborns(&self, group: &Cgroup) -> Past {
        if self.newborns.get().is_none() {
            let survives = birth::survives_birth_in(group.fd());
            let past = |survives| if survives { Past::None } else { Past::Killed };
            self.newborns.set(survives.map(past));
        }
        self.newborns.get().unwrap_or(Past::None)
    }

    /// Removes the tree with all groups in it.
    ///
    /// # Errors
    /// `EBUSY` while there are processes in one of them.
    pub fn remove(&self) -> io::Result<()> {
        remove_groups(&self.path, 0)
    }
}

/// Makes a group into which everybody may look, whatever our mask: programs ask there what they may use.
fn make_group(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
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

/// A service's group.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    directory: OwnedFd,
    past: Cell<Past>,
}

/// Whether `cgroup.kill` may have been written to a group. The kernel (6.18) compares how often that was done with how
/// often it was done to the group of the newborn's *parent*, and where the two differ, a process that is cloned into
/// the group dies at birth. So a daemon whose own group was killed once has no child that way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    None,
    /// It was, to this group or to ours; or the group is a predecessor's, of which we cannot know.
    Killed,
}

/// How a new process comes into a group.
#[derive(Clone, Copy, Debug)]
pub enum Entrance<'a> {
    /// It is born there, which is the fastest way.
    AtBirth(BorrowedFd<'a>),
    /// It goes there before it does anything else.
    ByItself(BorrowedFd<'a>),
}

impl Cgroup {
    /// Where the group of a service lies in a tree, if there is one.
    #[must_use]
    pub fn place(tree: &Path, service: &str) -> PathBuf {
        tree.join(escape(service))
    }

    /// Opens a group that is there, wherever it lies.
    ///
    /// # Errors
    /// What open(2) gives.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        Self::open_with(path, Past::Killed)
    }

    /// Opens the group that a predecessor has made for a service, in whatever tree of that name: the path is what it
    /// wrote down, and may be anything.
    ///
    /// # Errors
    /// A sentence, where this is no such group; else what open(2) gives.
    pub fn reopen(path: &Path, tree: &str, service: &str) -> io::Result<Self> {
        let own = Path::new(&escape(tree)).join(escape(service));
        let mut parts = path.components();
        let is_plain = parts.all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !is_plain || !path.is_absolute() || !path.ends_with(own) {
            return Err(io::Error::other("it is not the service's own"));
        }
        let group = Self::open(path.to_owned())?;
        if fstatfs(&group.directory)?.f_type != CGROUP2_MAGIC {
            return Err(io::Error::other("it is no cgroup"));
        }
        Ok(group)
    }

    fn open_with(path: PathBuf, past: Past) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = open(&path, flags, Mode::empty())?;
        let past = Cell::new(past);
        Ok(Self {
            path,
            directory,
            past,
        })
    }

    /// For `Spawn::cgroup`.
    #[must_use]
    pub fn entrance(&self) -> Entrance<'_> {
        match self.past.get() {
            Past::None => Entrance::AtBirth(self.fd()),
            Past::Killed => Entrance::ByItself(self.fd()),
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
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
        self.has_event(b"populated 1")
    }

    /// Whether `cgroup.events` has this line.
    pub(super) fn has_event(&self, wanted: &[u8]) -> io::Result<bool> {
        let mut buffer = [0_u8; 128];
        match files::read_small(self.fd(), c"cgroup.events", &mut buffer) {
            Ok(text) => Ok(text.split(|byte| *byte == b'\n').any(|line| line == wanted)),
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
        sorted::sort(&mut found);
        found.dedup();
        Ok(found)
    }

    /// Sends SIGKILL to all members and to those that they are just making. They are gone when [`Self::populated`]
    /// says so, soon after.
    ///
    /// # Errors
    /// When the members cannot be listed or may not be signalled; what write(2) gives for `cgroup.kill`.
    pub fn kill(&self) -> io::Result<()> {
        // One by one first: whoever has SIGKILL pending makes no more processes, so few rounds are enough.
        match self.signal_in_rounds(SIGKILL, None)? {
            Rounds::Enough(_) => Ok(()),
            Rounds::TooFew(_) => self.kill_at_once(),
        }
    }

    /// Against one that makes processes faster than they can be listed. Not the first choice, because of what it
    /// does to newborns, see [`Past`].
    fn kill_at_once(&self) -> io::Result<()> {
        self.past.set(Past::Killed);
        match self.write(c"cgroup.kill", b"1") {
            // Before Linux 5.14 there is no such file, and the caller has to try again.
            Err(error) if is_gone(&error) => Ok(()),
            other => other,
        }
    }

    /// Sends a signal to each member but one, and to those that come while it is sent: once to each. Returns how
    /// many got it.
    ///
    /// # Errors
    /// When the members cannot be listed, or a member may not be signalled; the others have then got theirs.
    pub fn signal_all(&self, signal: i32, except: Option<Pid>) -> io::Result<usize> {
        match self.signal_in_rounds(signal, except)? {
            Rounds::Enough(signalled) | Rounds::TooFew(signalled) => Ok(signalled),
        }
    }

    /// A member that is just being made stands in no list yet, so they are listed until nobody new appears.
    fn signal_in_rounds(&self, signal: i32, except: Option<Pid>) -> io::Result<Rounds> {
        let mut done: Vec<Pid> = except.into_iter().collect();
        let mut signalled = 0;
        for _ in 0..ROUNDS_MAX {
            let mut fresh = self.procs()?;
            fresh.retain(|pid| done.binary_search(pid).is_err());
            if fresh.is_empty() {
                return Ok(Rounds::Enough(signalled));
            }
            signalled += self.signal_members(&fresh, signal)?;
            done.append(&mut fresh);
            sorted::sort(&mut done);
        }
        Ok(Rounds::TooFew(signalled))
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

    pub(super) fn write(&self, name: &CStr, bytes: &[u8]) -> io::Result<()> {
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

/// Whether everybody got a signal, and how many did.
enum Rounds {
    Enough(usize),
    /// New members kept coming.
    TooFew(usize),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::inotify::{BUFFER_BYTES, Inotify, Watch};
    use super::super::process::{
        ExecStatus, Spawn, Spawned, Stdio, Wait, become_subreaper, reap_orphans, spawn,
    };
    use super::super::testing::{
        alone, await_end, await_readable, await_status, become_ordinary, output_of, read_line,
        shell,
    };
    use super::super::{proc, users};
    use super::*;

    /// A tree of the test's own that is removed at the end. `None` where the machine has none for us, which is then
    /// said for a good reason.
    struct Own(Tree);

    impl Own {
        fn open() -> Option<Self> {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            match Tree::open(&format!("diakonos-test-{}-{count}", Pid::current())) {
                Ok(tree) => Some(Self(tree)),
                Err(unavailable) => {
                    assert_justified(&unavailable);
                    None
                }
            }
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            let removed = self.0.remove();
            assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
        }
    }

    /// Looks for itself: either no cgroup v2 is mounted, or root itself is refused, or we are not root.
    fn assert_justified(unavailable: &Unavailable) {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let is_mounted = mounts
            .lines()
            .any(|line| line.split(' ').nth(2) == Some("cgroup2"));
        let reason = unavailable.to_string();
        if is_mounted && users::effective_uid() != 0 {
            assert!(reason.starts_with("cannot "), "{reason}");
            assert!(reason.contains("Permission denied"), "{reason}");
        } else {
            let may_be_mounted = ["read-only", "Permission denied", "holds this process"];
            let excused = may_be_mounted.iter().any(|part| reason.contains(part));
            assert!(!is_mounted || excused, "{reason}");
        }
    }

    fn spawn_into(group: &Cgroup, script: &str) -> (Spawned, Pid) {
        let (reader, writer) = files::pipe().unwrap();
        let (stdout, cgroup) = (Stdio::Fd(writer.as_fd()), Some(group.entrance()));
        let spawned = spawn(&Spawn {
            stdout,
            cgroup,
            ..shell(script)
        })
        .unwrap();
        drop(writer);
        let other = read_line(reader.as_fd()).parse().unwrap();
        assert_eq!(await_status(&spawned), ExecStatus::Executed);
        (spawned, Pid::from_raw(other).unwrap())
    }

    fn await_empty(group: &Cgroup, inotify: &Inotify) {
        while group.populated().unwrap() {
            await_readable(inotify.as_fd());
            inotify.read(&mut [0; BUFFER_BYTES]).unwrap();
        }
    }

    /// A script that forks twice, leaves its session, says the escaped one's PID and stays itself.
    const ESCAPE: &str = "(setsid sh -c 'echo $$; exec sleep 1000' &) ; exec sleep 1000";

    #[test]
    fn a_service_cannot_leave_its_group_and_is_killed_whole() {
        alone(
            "sys::cgroup::tests::a_service_cannot_leave_its_group_and_is_killed_whole",
            || {
                become_subreaper().unwrap();
                let Some(own) = Own::open() else { return };
                let group = own.0.make("web@1").unwrap();
                let inotify = Inotify::new().unwrap();
                inotify
                    .watch(&group.events_path(), Watch::Modified)
                    .unwrap();
                assert!(!group.populated().unwrap());
                for way in [Cgroup::kill, Cgroup::kill_at_once, Cgroup::kill] {
                    let (main, escaped) = spawn_into(&group, ESCAPE);
                    // The shell between them may not have ended yet.
                    let members = group.procs().unwrap();
                    assert!(members.contains(&main.pid) && members.contains(&escaped));
                    assert!(group.populated().unwrap());
                    assert!(group.remove().is_err(), "it is in use");
                    way(&group).unwrap();
                    await_empty(&group, &inotify);
                    assert_eq!(group.procs().unwrap(), []);
                    let expected = Wait::Signaled {
                        signal: SIGKILL,
                        core: false,
                    };
                    assert_eq!(await_end(&main.pidfd), expected);
                    for orphan in proc::children(Pid::current()).unwrap() {
                        await_readable(PidFd::open(orphan).unwrap().as_fd());
                    }
                    assert!(reap_orphans(|_| false).contains(&escaped));
                }
                group.kill().unwrap();
                group.remove().unwrap();
            },
        );
    }

    /// A daemon wrote `cgroup.kill` and died; its successor knows nothing of it and starts a service in that group.
    #[test]
    fn a_group_that_was_killed_before_takes_newborns() {
        alone(
            "sys::cgroup::tests::a_group_that_was_killed_before_takes_newborns",
            || {
                let Some(own) = Own::open() else { return };
                let first = own.0.make("again").unwrap();
                assert!(matches!(first.entrance(), Entrance::AtBirth(_)));
                first.kill_at_once().unwrap();
                let found = Cgroup::open(first.path().to_owned()).unwrap();
                for group in [&first, &found] {
                    let (main, pid) = spawn_into(group, "echo $$; exec sleep 1000");
                    assert_eq!((group.procs().unwrap(), pid), (vec![main.pid], main.pid));
                    assert_eq!(main.pidfd.wait().unwrap(), Wait::StillRunning);
                    group.kill().unwrap();
                    await_end(&main.pidfd);
                }
                let anew = own.0.make("again").unwrap();
                assert!(matches!(anew.entrance(), Entrance::AtBirth(_)));
            },
        );
    }

    /// Somebody has written `cgroup.kill` to the group that the daemon was put into later.
    #[test]
    fn a_daemon_whose_own_group_was_killed_before_has_children_all_the_same() {
        alone(
            "sys::cgroup::tests::a_daemon_whose_own_group_was_killed_before_has_children_all_the_same",
            || {
                let Some(own) = Own::open() else { return };
                let outer = own.0.make("outer").unwrap();
                outer.kill_at_once().unwrap();
                let home = own.0.path().parent().unwrap().join("cgroup.procs");
                fs::write(outer.path().join("cgroup.procs"), "0").unwrap();
                let inner = Tree::open("inner").unwrap();
                assert_eq!(inner.path().parent(), Some(outer.path()));
                for name in ["one", "two"] {
                    let group = inner.make(name).unwrap();
                    let (main, pid) = spawn_into(&group, "echo $$; exec sleep 1000");
                    assert_eq!((group.procs().unwrap(), pid), (vec![main.pid], main.pid));
                    assert_eq!(main.pidfd.wait().unwrap(), Wait::StillRunning);
                    group.kill().unwrap();
                    await_end(&main.pidfd);
                }
                fs::write(home, "0").unwrap();
            },
        );
    }

    #[test]
    fn all_but_one_are_signalled() {
        alone("sys::cgroup::tests::all_but_one_are_signalled", || {
            become_subreaper().unwrap();
            let Some(own) = Own::open() else { return };
            let group = own.0.make("worker").unwrap();
            let script = "for i in $(seq 40); do sleep 1000 & done; echo $$; wait; exec sleep 1000";
            let (main, _) = spawn_into(&group, script);
            assert_eq!(group.procs().unwrap().len(), 41);
            assert_eq!(group.signal_all(15, Some(main.pid)).unwrap(), 40);
            let inotify = Inotify::new().unwrap();
            inotify
                .watch(&group.events_path(), Watch::Modified)
                .unwrap();
            assert_eq!(main.pidfd.wait().unwrap(), Wait::StillRunning);
            group.signal_all(SIGKILL, None).unwrap();
            await_empty(&group, &inotify);
            await_end(&main.pidfd);
            reap_orphans(|_| false);
            assert_eq!(group.signal_all(15, None).unwrap(), 0);
        });
    }

    #[test]
    fn groups_that_a_service_makes_are_seen_and_removed() {
        alone(
            "sys::cgroup::tests::groups_that_a_service_makes_are_seen_and_removed",
            || {
                become_subreaper().unwrap();
                let Some(own) = Own::open() else { return };
                let group = own.0.make("nested").unwrap();
                let inner = group.path().join("a/b");
                fs::create_dir_all(&inner).unwrap();
                let inner = Cgroup::open(inner).unwrap();
                let (main, pid) = spawn_into(&inner, "echo $$; exec sleep 1000");
                assert_eq!((group.procs().unwrap(), pid), (vec![main.pid], main.pid));
                assert!(group.populated().unwrap());
                // The group that is there is opened again, as a successor of the daemon does.
                assert_eq!(own.0.make("nested").unwrap().procs().unwrap(), [main.pid]);
                group.kill().unwrap();
                await_end(&main.pidfd);
                group.remove().unwrap();
                assert!(!group.path().exists());
                // What has been removed is empty, and can be removed again.
                assert!(!group.populated().unwrap());
                assert_eq!(group.procs().unwrap(), []);
                group.kill().unwrap();
                group.remove().unwrap();
                let asked = Spawn {
                    cgroup: Some(group.entrance()),
                    ..shell("exit 0")
                };
                let spawned = spawn(&asked).unwrap();
                let status = await_status(&spawned);
                let step = match status {
                    ExecStatus::Failed { step, .. } => step.name(),
                    other => panic!("{other:?}"),
                };
                assert_eq!(step, "cgroup");
                assert_eq!(await_end(&spawned.pidfd), Wait::Exited(127));
            },
        );
    }

    #[test]
    fn a_child_is_born_into_its_group() {
        let Some(own) = Own::open() else { return };
        let group = own.0.make("a/b\n").unwrap();
        assert_eq!(group.path().parent(), Some(own.0.path()));
        let asked = Spawn {
            cgroup: Some(group.entrance()),
            ..shell("exec cat /proc/self/cgroup")
        };
        let output = output_of(asked);
        let line = output.lines().find(|line| line.starts_with("0::")).unwrap();
        assert!(line.ends_with("/a\\x2fb\\x0a.service"), "{line}");
    }

    #[test]
    fn an_ordinary_user_is_told_why_there_is_none() {
        alone(
            "sys::cgroup::tests::an_ordinary_user_is_told_why_there_is_none",
            || {
                become_ordinary();
                match Tree::open("diakonos-test-refused") {
                    Err(unavailable) => assert_justified(&unavailable),
                    // Delegated to this very user, as a systemd user session may be.
                    Ok(tree) => {
                        let parent = tree.path().parent().unwrap().join("cgroup.procs");
                        assert!(fs::File::options().write(true).open(parent).is_ok());
                        tree.remove().unwrap();
                    }
                }
            },
        );
    }

    #[test]
    fn names_never_meet_control_files() {
        assert_eq!(escape("web@1"), "web@1.service");
        assert_eq!(escape("cgroup.procs"), "cgroup.procs.service");
        assert_eq!(escape("../x"), "..\\x2fx.service");
        assert_eq!(escape("a\\x2f\n"), "a\\x5cx2f\\x0a.service");
    }
}
