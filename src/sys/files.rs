//! Files, FIFOs, locks and plain reads and writes.
//!
//! Owns how they are opened safely: never through a link where another user could have put one, never blocking,
//! always close-on-exec. Does not know what the files mean.

use std::ffi::CStr;
use std::fs::DirBuilder;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Gid, Mode, OFlags, Stat, Uid, chmod, chownat,
    fcntl_getfl, fcntl_setfl, flock, fstat, mkfifoat, open,
};
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::process::geteuid;

/// The size that a FIFO's buffer is given where the kernel allows it. Memory is taken only for what lies in it.
const FIFO_BYTES: usize = 256 * 1024;

/// Makes a FIFO with exactly this mode and, where given, owner (uid, gid). One that exists already is kept, with
/// what lies in it, and gets mode and owner.
///
/// # Errors
/// `AlreadyExists` when the name belongs to something that is no FIFO; else what mkfifo(3), chown(2), chmod(2) give.
pub fn make_fifo(path: &Path, mode: u32, owner: Option<(u32, u32)>) -> io::Result<()> {
    let mode = Mode::from_raw_mode(mode & 0o777);
    match mkfifoat(CWD, path, mode) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(other) => return Err(other.into()),
    }
    // Held by a descriptor that opens nothing: a reader that comes and goes would be felt by the writers.
    let held = open(
        path,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let found = fstat(&held)?;
    if !is_fifo(&found) {
        return Err(Errno::EXIST.into());
    }
    if let Some((uid, gid)) = owner.filter(|owner| *owner != (found.st_uid, found.st_gid)) {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        chownat(&held, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
    }
    if Mode::from_raw_mode(found.st_mode & 0o7777) != mode {
        chmod(format!("/proc/self/fd/{}", held.as_raw_fd()), mode)?;
    }
    Ok(())
}

fn is_fifo(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::Fifo
}

/// Opens a FIFO for reading only, nonblocking, so that end of file comes when its last writer is gone. Its buffer is
/// enlarged where the kernel allows it.
///
/// # Errors
/// `InvalidInput` when it is no FIFO; else what open(2) gives.
pub fn open_fifo_reader(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let reader = open(path, flags, Mode::empty())?;
    if !is_fifo(&fstat(&reader)?) {
        return Err(Errno::INVAL.into());
    }
    // A user's allowance for pipes may be spent; the usual 64 KiB then have to do.
    let _ = fcntl_setpipe_size(&reader, FIFO_BYTES);
    Ok(reader)
}

/// Takes the exclusive lock on a file, which is made when missing; it lasts as long as the descriptor. `None`:
/// another holds it.
///
/// # Errors
/// What open(2) and flock(2) give.
pub fn lock_exclusive(path: &Path) -> io::Result<Option<OwnedFd>> {
    let file = open_lock(path)?;
    match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// As [`lock_exclusive`], but waits for the other holder. For clients: it blocks.
///
/// # Errors
/// What open(2) and flock(2) give.
pub fn lock_exclusive_wait(path: &Path) -> io::Result<OwnedFd> {
    let file = open_lock(path)?;
    retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))?;
    Ok(file)
}

fn open_lock(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::from_raw_mode(0o600))?)
}

/// Sees to it that the directory exists, is our own and is open to nobody else (0700). Missing parents are made
/// likewise.
///
/// # Errors
/// `PermissionDenied` when it belongs to another user, `ENOTDIR` or `ELOOP` when it is something else; else
/// mkdir(2)'s.
pub fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = open(path, flags, Mode::empty())?;
    let found = fstat(&directory)?;
    if found.st_uid != geteuid().as_raw() {
        let reason = "it belongs to another user";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    if found.st_mode & 0o777 != 0o700 {
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o700))?;
    }
    Ok(())
}

/// From now on reads and writes on this open file return `WouldBlock` instead of waiting.
///
/// # Errors
/// None that is known for an open descriptor.
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?)
}

/// One read(2), begun again when a signal interrupts it. 0 is the end of the file.
///
/// # Errors
/// What read(2) gives.
pub fn read_into(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| rustix::io::read(fd, &mut *buffer))?)
}

/// One pwrite(2) at `offset` bytes, begun again when a signal interrupts it. Returns how much was taken, maybe less
/// than all.
///
/// # Errors
/// What pwrite(2) gives.
pub fn write_at(fd: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> io::Result<usize> {
    Ok(retry_on_intr(|| rustix::io::pwrite(fd, bytes, offset))?)
}

/// Takes over a descriptor that this process was started with, and closes it for its children.
///
/// # Errors
/// `EBADF` when there is none of that number, or it is one of the three standard ones.
pub fn take_inherited(number: i32) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: it is borrowed for this one question; a number without a descriptor behind it is answered with EBADF.
    let inherited = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(inherited, rustix::io::FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and our parent passed it for us to own; the caller asks once, before it opens anything.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A pipe (read end, write end); the read end is nonblocking.
///
/// # Errors
/// `EMFILE`, `ENFILE`.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setfl(&reader, OFlags::NONBLOCK)?;
    Ok((reader, writer))
}

/// What a small file held, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub bytes: Vec<u8>,
    /// The file's owner.
    pub uid: u32,
    /// When it was written last, unix milliseconds; 0 before 1970.
    pub modified_ms: u64,
}

/// Reads a regular file of at most `limit` bytes. Whatever else a name may lead to (a FIFO, a device) is refused, and cannot
/// make us wait.
///
/// # Errors
/// `InvalidInput` when it is no regular file, `FileTooLarge` past the limit; else what open(2) and read(2) give.
pub fn read_regular(path: &Path, limit: usize) -> io::Result<Content> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::empty())?;
    let found = fstat(&file)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    std::fs::File::from(file)
        .take(most)
        .read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(Errno::FBIG.into());
    }
    let milliseconds = u64::try_from(found.st_mtime)
        .unwrap_or(0)
        .saturating_mul(1_000);
    #[allow(
        clippy::unnecessary_fallible_conversions,
        reason = "signed on some machines"
    )]
    let part = u64::try_from(found.st_mtime_nsec).unwrap_or(0) / 1_000_000;
    Ok(Content {
        bytes,
        uid: found.st_uid,
        modified_ms: milliseconds.saturating_add(part),
    })
}

/// Reads a small file of the kernel's, relative to a directory, into `buffer`; what does not fit is left.
pub(super) fn read_small<'b>(
    directory: BorrowedFd<'_>,
    name: &CStr,
    buffer: &'b mut [u8],
) -> io::Result<&'b [u8]> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match retry_on_intr(|| rustix::io::read(&file, &mut *rest))? {
            0 => break,
            read => length += read,
        }
    }
    Ok(buffer.get(..length).unwrap_or_default())
}
