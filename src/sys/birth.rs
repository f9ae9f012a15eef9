//! The ways to make a process: clone3 with its cgroup, clone3, fork.
//!
//! Owns the system calls and what each kernel lacks of them. What the child does is `child`'s.

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;

use nix::libc;

use super::child::{self, Plan};
use super::process::{Pid, PidFd, owned};

/// The ways to make a process, best first. Each falls back on the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// clone3 with `CLONE_INTO_CGROUP`, since Linux 5.7.
    CloneIntoCgroup,
    /// clone3 with `CLONE_PIDFD`, since Linux 5.3; the child enters its cgroup itself.
    Clone,
    /// fork and pidfd_open, where a sandbox or an emulator refuses clone3.
    Fork,
}

impl Way {
    pub(super) fn make(
        self,
        plan: &Plan<'_>,
        cgroup: Option<BorrowedFd<'_>>,
    ) -> io::Result<(Pid, PidFd)> {
        match self {
            Self::CloneIntoCgroup => clone(plan, cgroup),
            Self::Clone => clone(plan, None),
            Self::Fork => fork(plan),
        }
    }

    /// The way to be tried when this one has failed so.
    pub(super) fn next(self, error: &io::Error) -> Option<Self> {
        match self {
            Self::CloneIntoCgroup if !is_shortage(error) => Some(Self::Clone),
            Self::Clone if is_missing_call(error) => Some(Self::Fork),
            _ => None,
        }
    }
}

/// No way would fare better. Anything else may come of the cgroup, and the child's own attempt then names that step.
fn is_shortage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE)
    )
}

fn is_missing_call(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOSYS | libc::EINVAL | libc::E2BIG | libc::EPERM)
    )
}

/// `struct clone_args` of clone3(2) as of Linux 5.7.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn clone(plan: &Plan<'_>, cgroup: Option<BorrowedFd<'_>>) -> io::Result<(Pid, PidFd)> {
    let mut pidfd: RawFd = -1;
    let mut arguments = CloneArguments {
        flags: u64::from(libc::CLONE_PIDFD.unsigned_abs()),
        pidfd: (&raw mut pidfd).expose_provenance() as u64,
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        ..CloneArguments::default()
    };
    // Only as much of the struct as is needed, since kernels before 5.7 refuse what they do not know.
    let mut length = offset_of!(CloneArguments, set_tid);
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
        length = size_of::<CloneArguments>();
    }
    let _blocked = SignalsBlocked::new();
    // SAFETY: `arguments` and what they point to outlive the call. Without CLONE_VM the child has its own copy of
    // our memory and stack, exactly as after fork(2); it calls `child::run`, which makes only system calls and
    // never returns.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, length) };
    if result == 0 {
        child::run(plan);
    }
    let pid = Pid::from_kernel(result).ok_or_else(io::Error::last_os_error)?;
    Ok((pid, PidFd::from_owned(owned(pidfd.into())?)))
}

/// Whether a process that is born into this cgroup lives; `None` where none can be made so. Nobody else notices it.
pub(super) fn survives_birth_in(cgroup: BorrowedFd<'_>) -> Option<bool> {
    let arguments = CloneArguments {
        flags: CLONE_INTO_CGROUP,
        cgroup: u64::from(cgroup.as_raw_fd().unsigned_abs()),
        ..CloneArguments::default()
    };
    let (length, _blocked) = (size_of::<CloneArguments>(), SignalsBlocked::new());
    // SAFETY: the arguments outlive the call; without CLONE_VM the child has its own copy of our memory.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, length) };
    if result == 0 {
        // SAFETY: ends the child, which has run nothing of ours.
        unsafe { libc::_exit(0) };
    }
    let pid = libc::pid_t::try_from(result).ok().filter(|pid| *pid > 0)?;
    let mut status = 0;
    // SAFETY: `status` is ours; the child is ours, is not reaped yet, and ends at once.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
    (waited == pid).then_some(!libc::WIFSIGNALED(status))
}

/// Makes a child that does this and ends. It has our descriptors, not copies of them, and dies with us, so that nobody
/// finds them held: unless the kernel keeps it, for a file system that never answers. Then our lock and our connections
/// are held as long as that. It is reaped as an orphan is; its handle tells when.
pub(super) fn beside_us(work: impl FnOnce()) -> io::Result<PidFd> {
    let mut pidfd: RawFd = -1;
    // By clone(2), which is there where clone3 is not.
    let flags = libc::CLONE_FILES | libc::CLONE_PIDFD | libc::SIGCHLD;
    let (flags, none) = (libc::c_long::from(flags), 0 as libc::c_long);
    // SAFETY: it has no arguments and cannot fail.
    let own = unsafe { libc::getpid() };
    let _blocked = SignalsBlocked::new();
    let handle = &raw mut pidfd;
    // SAFETY: the handle outlives the call; without CLONE_VM the child has its own copy of our memory, and goes on on
    // its own copy of our stack.
    let result = unsafe { libc::syscall(libc::SYS_clone, flags, none, handle, none, none) };
    if result == 0 {
        // SAFETY: integers only.
        let parent = unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::getppid()
        };
        if parent == own {
            work();
        }
        child::exit(0);
    }
    Pid::from_kernel(result).ok_or_else(io::Error::last_os_error)?;
    Ok(PidFd::from_owned(owned(pidfd.into())?))
}

fn fork(plan: &Plan<'_>) -> io::Result<(Pid, PidFd)> {
    let _blocked = SignalsBlocked::new();
    // SAFETY: the child calls `child::run`, which makes only system calls and never returns.
    let result = unsafe { libc::fork() };
    if result == 0 {
        child::run(plan);
    }
    let pid = Pid::from_kernel(result.into()).ok_or_else(io::Error::last_os_error)?;
    // It has not been reaped, so the number is still its own.
    match PidFd::open(pid) {
        Ok(pidfd) => Ok((pid, pidfd)),
        Err(error) => {
            // A process that cannot be held must not run: it would be nobody's.
            // SAFETY: both calls take integers and an optional pointer, here null; the child is ours and not yet
            // reaped.
            unsafe {
                libc::kill(result, libc::SIGKILL);
                libc::waitpid(result, ptr::null_mut(), 0);
            }
            Err(error)
        }
    }
}

/// All signals are held back while this lives: a handler of ours must not run in the child.
pub(super) struct SignalsBlocked(libc::sigset_t);

impl SignalsBlocked {
    pub(super) fn new() -> Self {
        // SAFETY: a signal set is plain data; both are initialised before they are read and are ours.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            Self(before)
        }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: the set was filled in by `new`.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}
