//! The three standard streams of a child, between the fork and its program.
//!
//! Owns which of them are opened with whose rights, and how. As everything there: only system calls, no memory.

use std::ffi::c_char;
use std::os::fd::RawFd;

use nix::libc;

use super::child::{Failure, Plan, at, check, look_as, place};
use super::process::Step;

/// The mode of files that a stream makes, less the umask.
const FILE_MODE: libc::c_uint = 0o666;

/// A standard stream as the child sees it.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    Inherit,
    Fd(RawFd),
    /// Opened with the parent's rights.
    Early {
        path: *const c_char,
        flags: i32,
    },
    /// Opened with the service's rights.
    Late {
        path: *const c_char,
        flags: i32,
    },
    /// As this one of those before it.
    SameAs(RawFd),
}

const STREAM_STEPS: [Step; 3] = [
    Step::StandardInput,
    Step::StandardOutput,
    Step::StandardError,
];

/// With whose rights a stream is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    Ours,
    Services,
}

/// Sets up those streams that are opened with these rights.
pub(super) fn set_streams(plan: &Plan<'_>, rights: Rights) -> Result<(), Failure> {
    let early = rights == Rights::Ours;
    let mut late = 0_u32;
    for ((stream, target), step) in plan.streams.iter().zip(0..).zip(STREAM_STEPS) {
        let is_late = match stream {
            Stream::Late { .. } => true,
            Stream::SameAs(other) => late & (1 << other) != 0,
            Stream::Inherit | Stream::Fd(_) | Stream::Early { .. } => false,
        };
        late |= u32::from(is_late) << target;
        if is_late == early {
            continue;
        }
        let result = match *stream {
            Stream::Inherit => Ok(()),
            Stream::Fd(fd) => place(fd, target),
            Stream::Early { path, flags } => open(path, flags, target),
            Stream::Late { path, flags } => open_late(plan, (path, flags), target),
            Stream::SameAs(other) => place(other, target),
        };
        result.map_err(at(step))?;
    }
    Ok(())
}

/// What the service may not open we open for it, as systemd.exec(5) has it. A link on the way is followed only with the
/// service's own rights, and a file with a second name opened only with those: in a folder of its own it could point
/// either at anything of ours.
fn open_late(
    plan: &Plan<'_>,
    (path, flags): (*const c_char, i32),
    target: RawFd,
) -> Result<(), i32> {
    let own = open(path, flags, target);
    let (Err(libc::EACCES), Some(identity)) = (own, plan.identity) else {
        return own;
    };
    look_as(plan.own_uid)?;
    let ours = open_straight(path, flags & !libc::O_TRUNC)
        .and_then(|fd| accept(fd, flags))
        .and_then(|fd| settle_at(fd, target));
    look_as(identity.uid)?;
    ours.or(own)
}

/// Opens a path that has no symbolic link in it.
fn open_straight(path: *const c_char, flags: i32) -> Result<RawFd, i32> {
    // What openat2(2) calls `open_how`.
    #[repr(C)]
    struct How {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let how = How {
        flags: u64::try_from(flags).map_err(|_| libc::EINVAL)?,
        mode: if flags & libc::O_CREAT == 0 {
            0
        } else {
            FILE_MODE.into()
        },
        resolve: libc::RESOLVE_NO_SYMLINKS,
    };
    // SAFETY: the path is a C string that the plan keeps alive; the structure and its size are the kernel's.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            libc::AT_FDCWD,
            path,
            &raw const how,
            size_of::<How>(),
        )
    };
    check(fd)?;
    RawFd::try_from(fd).map_err(|_| libc::EBADF)
}

/// Closes what the service may not have after all, and empties what is to be begun anew.
fn accept(fd: RawFd, flags: i32) -> Result<RawFd, i32> {
    // SAFETY: zeros are a value of this structure of numbers.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is ours and the kernel fills it.
    let told = unsafe { libc::fstat(fd, &raw mut found) };
    let is_file = found.st_mode & libc::S_IFMT == libc::S_IFREG && found.st_nlink == 1;
    let is_device = found.st_mode & libc::S_IFMT == libc::S_IFCHR;
    let result = match check(told.into()).map(drop) {
        Ok(()) if is_file && flags & libc::O_TRUNC != 0 => {
            // SAFETY: the descriptor was made here.
            check(unsafe { libc::ftruncate(fd, 0) }.into()).map(drop)
        }
        Ok(()) if is_file || is_device => Ok(()),
        Ok(()) => Err(libc::EACCES),
        failed => failed,
    };
    if result.is_err() {
        // SAFETY: the descriptor was made here, and nobody else knows it.
        unsafe { libc::close(fd) };
    }
    result.map(|()| fd)
}

pub(super) fn open(path: *const c_char, flags: i32, target: RawFd) -> Result<(), i32> {
    // SAFETY: the path is a C string that the plan keeps alive.
    let fd = unsafe { libc::open(path, flags, FILE_MODE) };
    check(fd.into())?;
    settle_at(fd, target)
}

/// Moves a descriptor that was made here to its place.
fn settle_at(fd: RawFd, target: RawFd) -> Result<(), i32> {
    place(fd, target)?;
    if fd != target {
        // SAFETY: the descriptor was made here and is known by its place now. The next stream may need its number.
        unsafe { libc::close(fd) };
    }
    Ok(())
}
