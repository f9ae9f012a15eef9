//! Processes by their handles: pidfds, exit statuses, orphans, and the limit on descriptors.
//!
//! Owns what a process is called ([`Pid`]), how it is held ([`PidFd`]) and how it is reaped. How one is started
//! lives in `spawn` and `child`, and is handed out here. Decides nothing about when to signal or whom to start.

use std::ffi::CStr;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::libc;
use rustix::process::{
    Rlimit, WaitId, WaitIdOptions, getrlimit, set_child_subreaper, setrlimit, waitid,
};

use super::proc;
pub use super::setting::{
    CpuPolicy, CpuSet, IoClass, PlacedFifo, Resource, ResourceLimit, Root, Scheduling, Setting,
    hard_limit, processors,
};
pub use super::spawn::{Directory, OpenMode, Spawn, Spawned, Stdio, spawn};
pub use super::step::{ExecStatus, Step, read_status};

/// How many orphans one call of [`reap_orphans`] takes at most.
pub const REAP_LIMIT: usize = 1_024;

/// A process id: above 0 and within the kernel's `pid_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(u32);

impl Pid {
    /// `None` for 0 and for what the kernel's `pid_t` cannot hold.
    #[must_use]
    pub fn from_raw(raw: u32) -> Option<Self> {
        (raw != 0 && i32::try_from(raw).is_ok()).then_some(Self(raw))
    }

    /// The number, above 0.
    #[must_use]
    pub fn as_raw(self) -> u32 {
        self.0
    }

    /// The id of this process.
    #[must_use]
    pub fn current() -> Self {
        Self(std::process::id())
    }

    /// From what a system call returned; anything below 1 is nobody.
    pub(super) fn from_kernel(raw: i64) -> Option<Self> {
        u32::try_from(raw).ok().and_then(Self::from_raw)
    }

    fn kernel(self) -> libc::pid_t {
        // The constructor holds the number within pid_t.
        libc::pid_t::try_from(self.0).unwrap_or(libc::pid_t::MAX)
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Whom a process is to run as. Changing to it needs the right to (root), even when it is the caller's own identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// All supplementary groups; an empty list drops every one.
    pub groups: Vec<u32>,
}

/// What a process's end looks like to its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    StillRunning,
    /// The exit code, 0 to 255.
    Exited(i32),
    Signaled {
        signal: i32,
        /// A core was dumped.
        core: bool,
    },
    /// Somebody else's child, or a status that was fetched before: the kernel tells us nothing.
    NotOurChild,
}

/// A handle on one process that never comes to mean another, pidfd_open(2). It becomes readable when the process
/// ends.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Opens the process that has this number now; compare [`Self::inode`] or `proc::stat`'s start time to be sure
    /// which.
    ///
    /// # Errors
    /// `ESRCH` when there is none, `EMFILE`, or `ENOSYS` before Linux 5.3.
    pub fn open(pid: Pid) -> io::Result<Self> {
        // SAFETY: pidfd_open takes two integers and touches no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.kernel(), 0) };
        owned(fd).map(Self)
    }

    pub(super) fn from_owned(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Sends one signal, 1 to 64; 0 only asks whether the process is there.
    ///
    /// # Errors
    /// `ESRCH` when it has been reaped, `EPERM`, `EINVAL` for a number that is no signal.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let no_information = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is ours and open; a null siginfo is allowed and means what kill(2) would send.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal,
                no_information,
                0,
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// The handle's inode number: unique for the life of the machine since Linux 6.9, the same for all processes
    /// before. So a saved identity is this number and `proc::Stat::start_ticks` together.
    ///
    /// # Errors
    /// None that is known for an open pidfd.
    pub fn inode(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.0)?.st_ino)
    }

    /// Fetches the exit status, and with it reaps the process, without waiting.
    ///
    /// # Errors
    /// `EINVAL` before Linux 5.4.
    pub fn wait(&self) -> io::Result<Wait> {
        self.wait_by(WaitIdOptions::empty())
    }

    /// Fetches the exit status and leaves the process unreaped: [`Self::wait`] gives it once more.
    ///
    /// # Errors
    /// `EINVAL` before Linux 5.4.
    pub fn peek(&self) -> io::Result<Wait> {
        self.wait_by(WaitIdOptions::NOWAIT)
    }

    fn wait_by(&self, options: WaitIdOptions) -> io::Result<Wait> {
        let options = options | WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let status = match waitid(WaitId::PidFd(self.0.as_fd()), options) {
            Ok(None) => return Ok(Wait::StillRunning),
            Ok(Some(status)) => status,
            Err(rustix::io::Errno::CHILD) => return Ok(Wait::NotOurChild),
            Err(other) => return Err(other.into()),
        };
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Ok(Wait::Exited(code)),
            (None, Some(signal)) => Ok(Wait::Signaled {
                signal,
                core: status.dumped(),
            }),
            (None, None) => Ok(Wait::StillRunning),
        }
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for PidFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Makes a descriptor of what a system call returned: below 0 is an error that lies in `errno`.
pub(super) fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    let Ok(fd) = RawFd::try_from(result) else {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// From now on processes whose parent dies become children of this one, not of PID 1, `PR_SET_CHILD_SUBREAPER` of
/// prctl(2).
///
/// # Errors
/// None that is known since Linux 3.4.
pub fn become_subreaper() -> io::Result<()> {
    Ok(set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Reaps the children that have ended and that nobody holds, and returns them. A child that is `known` is left, so
/// that its holder finds its status. Takes at most [`REAP_LIMIT`]; as many in the answer mean that there may be
/// more.
pub fn reap_orphans(known: impl Fn(Pid) -> bool) -> Vec<Pid> {
    let mut reaped = Vec::new();
    // A peek tells of some child that has ended; while it is nobody's, no list of all children is needed.
    while let Some(pid) = ended_child(libc::P_ALL, 0, libc::WNOWAIT) {
        if known(pid) {
            // The kernel would name this one again and again, so the others are asked for one by one.
            reap_listed(&known, &mut reaped);
            break;
        }
        if reaped.len() == REAP_LIMIT || ended_child(libc::P_PID, pid.as_raw(), 0).is_none() {
            break;
        }
        reaped.push(pid);
    }
    reaped
}

fn reap_listed(known: &impl Fn(Pid) -> bool, reaped: &mut Vec<Pid>) {
    for pid in proc::children(Pid::current()).unwrap_or_default() {
        if reaped.len() == REAP_LIMIT {
            return;
        }
        if !known(pid) && ended_child(libc::P_PID, pid.as_raw(), 0).is_some() {
            reaped.push(pid);
        }
    }
}

/// One child that has ended, waitid(2) without waiting; reaped unless `options` hold `WNOWAIT`.
fn ended_child(kind: libc::idtype_t, id: u32, options: i32) -> Option<Pid> {
    let options = options | libc::WEXITED | libc::WNOHANG;
    loop {
        // SAFETY: siginfo_t is plain data for which all zeroes is a valid value.
        let mut found: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: `found` is ours and lives through the call.
        let result = unsafe { libc::waitid(kind, id, &raw mut found, options) };
        if result == 0 {
            // SAFETY: waitid has either filled in the child's fields or left the zeroes.
            return Pid::from_kernel(i64::from(unsafe { found.si_pid() }));
        }
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return None;
        }
    }
}

/// Sends SIGKILL to all of the process group that `leader` leads, as every process does that `spawn` has made; to those
/// as well whose parent has died. As long as the leader is not reaped, the group's number is nobody else's.
///
/// # Errors
/// `ESRCH`: there is no such group. `EPERM`: none of it is ours to signal.
pub fn kill_group(leader: Pid) -> io::Result<()> {
    let raw = i32::try_from(leader.as_raw()).ok();
    let group = raw.and_then(rustix::process::Pid::from_raw);
    let group = group.ok_or(rustix::io::Errno::SRCH)?;
    Ok(rustix::process::kill_process_group(
        group,
        rustix::process::Signal::KILL,
    )?)
}

/// Sets which permission bits new files do not get, 0 to 0o777.
pub fn set_umask(mask: u32) {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask & 0o777));
}

/// Raises our limit on open descriptors to the hard limit and returns (soft, hard) as they were, which is what
/// services are to get back. `u64::MAX` means no limit. A limit that cannot be raised stays as it is.
pub fn raise_nofile() -> (u64, u64) {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: before.maximum,
        maximum: before.maximum,
    };
    if before.current != before.maximum {
        // Refused: the daemon then runs with what it has, and reports EMFILE where it meets it.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    (
        before.current.unwrap_or(u64::MAX),
        before.maximum.unwrap_or(u64::MAX),
    )
}

/// The C library's words for an errno, such as "No such file or directory".
#[must_use]
pub fn errno_text(errno: i32) -> String {
    let mut buffer = [0_u8; 128];
    // SAFETY: the buffer is ours and its true length is given; one byte is left as the terminator.
    unsafe { libc::strerror_r(errno, buffer.as_mut_ptr().cast(), buffer.len() - 1) };
    CStr::from_bytes_until_nul(&buffer)
        .map(|text| text.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The reason of an error for users: as [`errno_text`] where the kernel gave one, else what it says itself.
#[must_use]
pub fn error_text(error: &io::Error) -> String {
    error
        .raw_os_error()
        .map_or_else(|| error.to_string(), errno_text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::super::files;
    use super::super::testing::{alone, await_end, await_readable, read_line, shell};
    use super::*;

    #[test]
    fn pid_refuses_what_the_kernel_cannot_mean() {
        assert_eq!(Pid::from_raw(0), None);
        assert_eq!(Pid::from_raw(u32::MAX), None);
        assert_eq!(Pid::from_kernel(-1), None);
        assert_eq!(Pid::from_raw(7).unwrap().to_string(), "7");
    }

    #[test]
    fn wait_tells_code_signal_and_strangers() {
        let exits = spawn(&shell("exit 7")).unwrap();
        assert_eq!(await_end(&exits.pidfd), Wait::Exited(7));
        assert_eq!(exits.pidfd.wait().unwrap(), Wait::NotOurChild);
        let signalled = exits.pidfd.signal(0).unwrap_err();
        assert_eq!(signalled.raw_os_error(), Some(libc::ESRCH));
        let runs = spawn(&shell("exec sleep 1000")).unwrap();
        assert_eq!(runs.pidfd.wait().unwrap(), Wait::StillRunning);
        runs.pidfd.signal(libc::SIGTERM).unwrap();
        let expected = Wait::Signaled {
            signal: libc::SIGTERM,
            core: false,
        };
        assert_eq!(await_end(&runs.pidfd), expected);
        let parent = Pid::from_raw(std::os::unix::process::parent_id()).unwrap();
        assert_eq!(
            PidFd::open(parent).unwrap().wait().unwrap(),
            Wait::NotOurChild
        );
    }

    #[test]
    fn realtime_signals_can_be_sent_and_nonsense_cannot() {
        let runs = spawn(&shell("exec sleep 1000")).unwrap();
        assert_eq!(
            runs.pidfd.signal(65).unwrap_err().raw_os_error(),
            Some(libc::EINVAL)
        );
        runs.pidfd.signal(64).unwrap();
        assert_eq!(
            await_end(&runs.pidfd),
            Wait::Signaled {
                signal: 64,
                core: false
            }
        );
        assert_eq!(
            PidFd::open(runs.pid).unwrap_err().raw_os_error(),
            Some(libc::ESRCH)
        );
    }

    #[test]
    fn a_process_is_recognised_by_inode_and_start() {
        let one = spawn(&shell("exec sleep 1000")).unwrap();
        let other = spawn(&shell("exec sleep 1000")).unwrap();
        let identity = |pid| {
            let inode = PidFd::open(pid).unwrap().inode().unwrap();
            (pid, inode, proc::stat(pid).unwrap().start_ticks)
        };
        assert_eq!(identity(one.pid).1, one.pidfd.inode().unwrap());
        assert_eq!(identity(one.pid), identity(one.pid));
        assert_ne!(identity(one.pid), identity(other.pid));
        for spawned in [one, other] {
            spawned.pidfd.signal(libc::SIGKILL).unwrap();
            await_end(&spawned.pidfd);
        }
    }

    #[test]
    fn orphans_come_to_the_subreaper_and_known_children_keep_their_status() {
        alone(
            "sys::process::tests::orphans_come_to_the_subreaper_and_known_children_keep_their_status",
            || {
                become_subreaper().unwrap();
                assert_eq!(reap_orphans(|_| false), []);
                let (reader, writer) = files::pipe().unwrap();
                // The known child is a zombie first, so that every peek names it; the orphans end after it.
                let script = "sleep 1000 & echo $!; sleep 1000 & echo $!; exit 3";
                let known = spawn(&Spawn {
                    stdout: Stdio::Fd(writer.as_fd()),
                    ..shell(script)
                })
                .unwrap();
                drop(writer);
                await_readable(known.pidfd.as_fd());
                let mut orphans = [(); 2].map(|()| {
                    let pid = read_line(reader.as_fd()).parse().unwrap();
                    Pid::from_raw(pid).unwrap()
                });
                assert_eq!(reap_orphans(|pid| pid == known.pid), [], "they still run");
                for orphan in orphans {
                    let orphan = PidFd::open(orphan).unwrap();
                    orphan.signal(libc::SIGKILL).unwrap();
                    await_readable(orphan.as_fd());
                }
                let mut reaped = reap_orphans(|pid| pid == known.pid);
                reaped.sort_unstable();
                orphans.sort_unstable();
                assert_eq!(reaped, orphans);
                assert_eq!(known.pidfd.wait().unwrap(), Wait::Exited(3));
                assert_eq!(proc::children(Pid::current()).unwrap(), []);
            },
        );
    }

    #[test]
    fn more_orphans_than_one_call_takes_are_all_reaped_in_the_end() {
        alone(
            "sys::process::tests::more_orphans_than_one_call_takes_are_all_reaped_in_the_end",
            || {
                let pids: Vec<Pid> = (0..REAP_LIMIT + 3)
                    .map(|_| {
                        // SAFETY: the child exits at once.
                        let pid = unsafe { libc::fork() };
                        if pid == 0 {
                            // SAFETY: ends the child and runs nothing of ours.
                            unsafe { libc::_exit(0) };
                        }
                        Pid::from_kernel(pid.into()).unwrap()
                    })
                    .collect();
                for pid in &pids {
                    await_readable(PidFd::open(*pid).unwrap().as_fd());
                }
                assert_eq!(reap_orphans(|_| false).len(), REAP_LIMIT);
                assert_eq!(reap_orphans(|_| false).len(), 3);
                assert_eq!(reap_orphans(|_| false).len(), 0);
            },
        );
    }

    #[test]
    fn nofile_is_raised_and_the_former_limits_told() {
        alone(
            "sys::process::tests::nofile_is_raised_and_the_former_limits_told",
            || {
                let hard = getrlimit(Resource::Nofile).maximum;
                let low = Rlimit {
                    current: Some(32),
                    maximum: hard,
                };
                setrlimit(Resource::Nofile, low).unwrap();
                assert_eq!(raise_nofile(), (32, hard.unwrap_or(u64::MAX)));
                assert_eq!(getrlimit(Resource::Nofile).current, hard);
            },
        );
    }

    #[test]
    fn errors_are_told_in_the_systems_words() {
        assert_eq!(errno_text(libc::ENOENT), "No such file or directory");
        assert!(errno_text(99_999).contains("99999"));
        assert_eq!(
            error_text(&io::Error::from_raw_os_error(libc::EACCES)),
            "Permission denied"
        );
        assert_eq!(error_text(&io::Error::other("full moon")), "full moon");
    }
}
