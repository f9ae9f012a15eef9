//! Files, FIFOs, locks and plain reads and writes.
//!
//! Owns how they are opened safely: never through a link where another user could have put one, never blocking,
//! always close-on-exec. Does not know what the files mean.

use std::ffi::CStr;
use std::fs::{DirBuilder, symlink_metadata};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, FlockOperation, Gid, Mode, OFlags, Stat, Uid, chmod,
    chownat, fallocate, fcntl_getfl, fcntl_setfl, flock, fstat, major, minor, mkfifoat, open,
};
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{
    PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice, tee,
};
use rustix::process::{Resource, geteuid, getrlimit};

/// What the pipes of a user may have together where the kernel does not say: 16,384 pages, pipe(7).
const PIPES_SOFT_PAGES: usize = 16_384;
/// What a file is to have room for, so that it is worth a word.
const ROOM_BYTES: u64 = 16 * 1024;
const USUAL_PIPE_BYTES: usize = 64 * 1024;
const PIPES_SOFT: &str = "/proc/sys/fs/pipe-user-pages-soft";

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

/// Opens a FIFO for reading only, nonblocking, so that end of file comes when its last writer is gone.
///
/// # Errors
/// `InvalidInput` when it is no FIFO; else what open(2) gives.
pub fn open_fifo_reader(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let reader = open(path, flags, Mode::empty())?;
    if !is_fifo(&fstat(&reader)?) {
        return Err(Errno::INVAL.into());
    }
    Ok(reader)
}

/// Gives a pipe a buffer of so many bytes instead of the usual 64 KiB. Memory is taken only for what lies in it, but
/// all of it counts against [`pipes_soft_bytes`].
///
/// # Errors
/// `EPERM` when the user's pipes have too much already, or it is more than one pipe may have. The pipe works all the
/// same.
pub fn enlarge_pipe(pipe: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    fcntl_setpipe_size(pipe, bytes)?;
    Ok(())
}

/// What a pipe's buffer holds, full.
#[must_use]
pub fn pipe_bytes(pipe: BorrowedFd<'_>) -> usize {
    fcntl_getpipe_size(pipe).unwrap_or(USUAL_PIPE_BYTES)
}

/// How many bytes lie in a pipe; none where the kernel does not say.
#[must_use]
pub fn pipe_holds(pipe: BorrowedFd<'_>) -> usize {
    let held = rustix::io::ioctl_fionread(pipe).unwrap_or(0);
    usize::try_from(held).unwrap_or(usize::MAX)
}

/// What the pipes of one user may have together before new ones are made smaller than usual: `pipe-user-pages-soft` of
/// pipe(7), in bytes. Where there is no such bound, the usual one.
#[must_use]
pub fn pipes_soft_bytes() -> usize {
    let told = read_regular(Path::new(PIPES_SOFT), 32).ok();
    let pages = told.and_then(|told| std::str::from_utf8(&told.bytes).ok()?.trim().parse().ok());
    let pages = pages.filter(|pages| *pages > 0).unwrap_or(PIPES_SOFT_PAGES);
    pages.saturating_mul(usize::try_from(super::proc::page_size()).unwrap_or(usize::MAX))
}

/// Whether our own standard output leads anywhere, which `/dev/null` does not.
#[must_use]
pub fn has_output() -> bool {
    /// What the kernel calls `/dev/null`: see its list of devices.
    const NULL: (u32, u32) = (1, 3);
    fstat(std::io::stdout()).is_ok_and(|found| {
        let device = (major(found.st_rdev), minor(found.st_rdev));
        !(FileType::from_raw_mode(found.st_mode).is_char_device() && device == NULL)
    })
}

/// The number of the file that is open here: no other one of its file system has it while somebody has it open.
///
/// # Errors
/// None that is known for an open descriptor.
pub fn inode(fd: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(fstat(fd)?.st_ino)
}

/// Takes the exclusive lock on a file, which is made when missing; it lasts as long as the descriptor. `None`:
/// another holds it.
///
/// # Errors
/// What open(2) and flock(2) give.
pub fn lock_exclusive(path: &Path) -> io::Result<Option<OwnedFd>> {
    let file = open_lock(path)?;
    Ok(try_lock(file.as_fd())?.then_some(file))
}

/// Locks an open file for us alone, until every descriptor of it that was opened with this one is closed; false where
/// another holds it.
///
/// # Errors
/// What flock(2) gives.
pub fn try_lock(file: BorrowedFd<'_>) -> io::Result<bool> {
    match retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
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

/// Gives a lock up that others who hold this descriptor would keep otherwise.
///
/// # Errors
/// None that is known for an open descriptor.
pub fn unlock(lock: BorrowedFd<'_>) -> io::Result<()> {
    Ok(retry_on_intr(|| flock(lock, FlockOperation::Unlock))?)
}

fn open_lock(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::from_raw_mode(0o600))?)
}

/// Sees to it that the directory exists, is our own and is open to nobody else (0700). Missing parents are made
/// likewise.
///
/// # Errors
/// `PermissionDenied` when it belongs to another user, `NotADirectory` when it is something else, be it a link to a
/// folder; else mkdir(2)'s.
pub fn private_directory(path: &Path) -> io::Result<()> {
    make_private(path).map_err(
        |error| match symlink_metadata(path).map(|it| it.file_type()) {
            Ok(kind) if kind.is_symlink() => {
                io::Error::new(io::ErrorKind::NotADirectory, "it is a symbolic link")
            }
            Ok(kind) if !kind.is_dir() => {
                io::Error::new(io::ErrorKind::NotADirectory, "it is no folder")
            }
            _ => error,
        },
    )
}

fn make_private(path: &Path) -> io::Result<()> {
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

/// Opens once more, for writing, what a descriptor is open on, such that writes return `WouldBlock` instead of waiting.
/// Whoever else holds the descriptor notices nothing, as with [`set_nonblocking`] they would.
///
/// # Errors
/// `EACCES` for another user's terminal, `ENXIO` for a socket and for a pipe without a reader; else open(2)'s.
pub fn reopen_nonblocking(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?)
}

/// Opens once more, for reading from its beginning, the file that a descriptor is open on.
///
/// # Errors
/// `EACCES` where its mode does not let us; else open(2)'s.
pub fn reopen(fd: BorrowedFd<'_>) -> io::Result<std::fs::File> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    Ok(open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?.into())
}

/// A file in `folder` that has no name, for reading and writing; it is gone once it is closed.
///
/// # Errors
/// `EOPNOTSUPP` where the file system cannot do that; else open(2)'s.
pub fn nameless(folder: &Path) -> io::Result<std::fs::File> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    Ok(open(folder, flags, Mode::from_raw_mode(0o600))?.into())
}

/// Opens a file of our own for writing, which is made when missing, for us alone. Neither follows a link nor waits for
/// the reader of a FIFO.
///
/// # Errors
/// `ELOOP` for a link, `ENXIO` for a FIFO, `EISDIR`, `ENOSPC`, `EMFILE`.
pub fn open_own(path: &Path) -> io::Result<std::fs::File> {
    open_to_write(path, OFlags::CREATE)
}

/// The same for a file that is there.
///
/// # Errors
/// `NotFound` where it is gone; else as [`open_own`].
pub fn open_own_again(path: &Path) -> io::Result<std::fs::File> {
    open_to_write(path, OFlags::empty())
}

fn open_to_write(path: &Path, how: OFlags) -> io::Result<std::fs::File> {
    let how = how | OFlags::WRONLY;
    let flags = how | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::from_raw_mode(0o600))?.into())
}

/// Whether a file of `length` bytes could be longer, as far as the disk and the limit on the size of files tell; it
/// does not get longer by it. Where the filesystem cannot tell, it is said that it could not.
#[must_use]
pub fn has_room(fd: BorrowedFd<'_>, length: u64) -> bool {
    let end = length.saturating_add(ROOM_BYTES);
    let limit = getrlimit(Resource::Fsize).current;
    let is_set_aside =
        || retry_on_intr(|| fallocate(fd, FallocateFlags::KEEP_SIZE, length, ROOM_BYTES)).is_ok();
    limit.is_none_or(|limit| end <= limit) && is_set_aside()
}

/// Sees to it that a file can be written in these bytes beyond its end; it does not get longer by it. Where the
/// filesystem has no such call, that is to be seen with the writing.
///
/// # Errors
/// `ENOSPC` or `EDQUOT` where the disk has no room for them, `EFBIG` where the limit on the size of files forbids them.
pub fn set_aside(fd: BorrowedFd<'_>, from: u64, bytes: u64) -> io::Result<()> {
    let limit = getrlimit(Resource::Fsize).current;
    if limit.is_some_and(|limit| limit < from.saturating_add(bytes)) {
        return Err(Errno::FBIG.into());
    }
    match retry_on_intr(|| fallocate(fd, FallocateFlags::KEEP_SIZE, from, bytes)) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// As [`read_regular`], but only what nobody else can have written.
///
/// # Errors
/// As there; besides, a sentence where the file is a link, or another user's, or may be written by others.
pub fn read_own(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let found = symlink_metadata(path)?;
    let reason = if found.is_symlink() {
        "it is a symbolic link"
    } else if found.uid() != geteuid().as_raw() {
        "it belongs to another user"
    } else if found.mode() & 0o022 != 0 {
        "others may write to it"
    } else {
        return read_regular(path, limit).map(|content| content.bytes);
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
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

/// Looks at what lies in a pipe without taking it: as much as fits into `buffer` and into the empty pipe `scratch`
/// (reader, writer), which is empty again afterwards. 0 is end of file.
///
/// # Errors
/// `WouldBlock` when nothing is there; else what tee(2) and read(2) give.
pub fn peek_pipe(
    pipe: BorrowedFd<'_>,
    scratch: (BorrowedFd<'_>, BorrowedFd<'_>),
    buffer: &mut [u8],
) -> io::Result<usize> {
    let (reader, writer) = scratch;
    let count = retry_on_intr(|| tee(pipe, writer, buffer.len(), SpliceFlags::NONBLOCK))?;
    let mut copied = 0;
    while copied < count {
        match read_into(reader, &mut buffer[copied..count])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => copied += length,
        }
    }
    Ok(copied)
}

/// Takes so many bytes from a pipe, for nobody.
///
/// # Errors
/// What read(2) gives; `UnexpectedEof` when there are fewer.
pub fn discard(pipe: BorrowedFd<'_>, mut count: usize) -> io::Result<()> {
    let mut nowhere = [0; 16 * 1024];
    while count > 0 {
        let length = count.min(nowhere.len());
        match read_into(pipe, &mut nowhere[..length])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            taken => count -= taken,
        }
    }
    Ok(())
}

/// Moves at most `length` bytes from a pipe to a place in a file, in one step: a kill finds each byte in the one or in
/// the other. Returns how many.
///
/// # Errors
/// What splice(2) gives: `EINVAL` for a file system that cannot, else as for a write. Then nothing was taken.
pub fn move_to_file(
    pipe: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    length: usize,
) -> io::Result<usize> {
    let flags = SpliceFlags::NONBLOCK;
    Ok(retry_on_intr(|| {
        splice(pipe, None, file, Some(&mut offset.clone()), length, flags)
    })?)
}

/// Whether so many descriptors more can be opened.
///
/// # Errors
/// `EMFILE` when not; `ENFILE` when the whole machine has none.
pub fn has_room_for(count: usize) -> io::Result<()> {
    // Since Linux 6.2 the folder's size is the number of entries, which spares a start the trying.
    let open_now = rustix::fs::stat(c"/proc/self/fd").map_or(0, |found| found.st_size);
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    match u64::try_from(open_now) {
        Ok(open_now @ 1..) if open_now.saturating_add(count as u64) <= limit => Ok(()),
        _ => open_and_close(count),
    }
}

fn open_and_close(count: usize) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let mut held = vec![open(c"/dev/null", flags, Mode::empty())?];
    while let Some(last) = held.last().filter(|_| held.len() < count) {
        held.push(rustix::io::fcntl_dupfd_cloexec(last, 0)?);
    }
    Ok(())
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

/// Reads a regular file of at most `limit` bytes. Whatever else a name may lead to (a FIFO, a device) is refused, and
/// cannot make us wait.
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
    #[allow(clippy::useless_conversion, reason = "signed on some machines")]
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::super::process::{ExecStatus, OpenMode, Spawn, Stdio, Wait, spawn};
    use super::super::testing::{
        NOBODY, Scratch, alone, await_end, await_status, become_ordinary, c_path, read_all,
        read_line, shell,
    };
    use super::super::users;
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn bytes_of_a_pipe_are_looked_at_and_then_moved() {
        alone(
            "sys::files::tests::bytes_of_a_pipe_are_looked_at_and_then_moved",
            || {
                let scratch = Scratch::new();
                let file = fs::File::create(scratch.path("file")).unwrap();
                let ((reader, writer), (look, pass)) = (pipe().unwrap(), pipe().unwrap());
                let (pipe, both) = (reader.as_fd(), (look.as_fd(), pass.as_fd()));
                let mut buffer = [0; 8];
                let error = peek_pipe(pipe, both, &mut buffer).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                rustix::io::write(&writer, b"0123456789").unwrap();
                for _ in 0..2 {
                    assert_eq!(peek_pipe(pipe, both, &mut buffer).unwrap(), 8);
                    assert_eq!(&buffer, b"01234567");
                }
                assert_eq!(move_to_file(pipe, file.as_fd(), 1, 6).unwrap(), 6);
                assert_eq!(fs::read(scratch.path("file")).unwrap(), b"\x00012345");
                discard(pipe, 2).unwrap();
                drop(writer);
                assert_eq!(peek_pipe(pipe, both, &mut buffer).unwrap(), 2);
                assert_eq!(&buffer[..2], b"89");
                let full = fs::OpenOptions::new()
                    .write(true)
                    .open("/dev/full")
                    .unwrap();
                assert!(move_to_file(pipe, full.as_fd(), 0, 2).is_err());
                discard(pipe, 2).unwrap();
                assert_eq!(peek_pipe(pipe, both, &mut buffer).unwrap(), 0);
                assert!(discard(pipe, 1).is_err());
            },
        );
    }

    #[test]
    fn a_fifo_is_made_or_kept_and_set_right() {
        let scratch = Scratch::new();
        let fifo = scratch.path("fifo");
        make_fifo(&fifo, 0o622, None).unwrap();
        assert_eq!(mode_of(&fifo), 0o622);
        let inode = fs::metadata(&fifo).unwrap().ino();
        let owner = if users::effective_uid() == 0 {
            (NOBODY, 12)
        } else {
            let found = fs::metadata(&fifo).unwrap();
            (found.uid(), found.gid())
        };
        make_fifo(&fifo, 0o600, Some(owner)).unwrap();
        let found = fs::metadata(&fifo).unwrap();
        assert_eq!((found.ino(), mode_of(&fifo)), (inode, 0o600));
        assert_eq!((found.uid(), found.gid()), owner);
    }

    #[test]
    fn nothing_else_is_taken_for_a_fifo() {
        let scratch = Scratch::new();
        let (file, link) = (scratch.path("file"), scratch.path("link"));
        fs::write(&file, "kept").unwrap();
        make_fifo(&scratch.path("fifo"), 0o600, None).unwrap();
        symlink(scratch.path("fifo"), &link).unwrap();
        for other in [&file, &link] {
            let error = make_fifo(other, 0o600, None).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert!(open_fifo_reader(other).is_err());
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
        let error = open_fifo_reader(&scratch.path("missing")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_writer_survives_its_reader_and_the_next_reader_finds_all() {
        let scratch = Scratch::new();
        let fifo = scratch.path("fifo");
        make_fifo(&fifo, 0o600, None).unwrap();
        let first_reader = open_fifo_reader(&fifo).unwrap();
        let (go, going) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (said, saying) = pipe().unwrap();
        let stdout = Stdio::Path {
            path: c_path(&fifo),
            mode: OpenMode::ReadWrite,
        };
        let script = "echo one; read go; echo two; echo written >&2; read go; echo three";
        let asked = Spawn {
            stdin: Stdio::Fd(go.as_fd()),
            stdout,
            stderr: Stdio::Fd(saying.as_fd()),
            ..shell(script)
        };
        let spawned = spawn(&asked).unwrap();
        assert_eq!(await_status(&spawned), ExecStatus::Executed);
        assert_eq!(read_line(first_reader.as_fd()), "one");
        drop(first_reader);
        rustix::io::write(&going, b"\n").unwrap();
        assert_eq!(read_line(said.as_fd()), "written");
        let second_reader = open_fifo_reader(&fifo).unwrap();
        rustix::io::write(&going, b"\n").unwrap();
        assert_eq!(read_all(second_reader.as_fd()), "two\nthree\n");
        assert_eq!(await_end(&spawned.pidfd), Wait::Exited(0));
    }

    #[test]
    fn a_lock_is_held_by_one() {
        alone("sys::files::tests::a_lock_is_held_by_one", || {
            let scratch = Scratch::new();
            let path = scratch.path("lock");
            let held = lock_exclusive(&path).unwrap().unwrap();
            assert_eq!(mode_of(&path), 0o600);
            assert!(lock_exclusive(&path).unwrap().is_none());
            drop(held);
            let waited = lock_exclusive_wait(&path).unwrap();
            assert!(lock_exclusive(&path).unwrap().is_none());
            drop(waited);
            assert!(lock_exclusive(&path).unwrap().is_some());
            assert!(lock_exclusive(&scratch.path("missing/lock")).is_err());
        });
    }

    #[test]
    fn a_lock_is_not_inherited_by_a_service() {
        let scratch = Scratch::new();
        let path = scratch.path("lock");
        let held = lock_exclusive(&path).unwrap().unwrap();
        let spawned = spawn(&shell("exec sleep 1000")).unwrap();
        assert_eq!(await_status(&spawned), ExecStatus::Executed);
        drop(held);
        // Other tests' children may hold it between clone and exec, so this waits.
        drop(lock_exclusive_wait(&path).unwrap());
        spawned.pidfd.signal(9).unwrap();
        await_end(&spawned.pidfd);
    }

    #[test]
    fn a_private_directory_is_made_and_tightened() {
        let scratch = Scratch::new();
        let directory = scratch.path("a/b");
        private_directory(&directory).unwrap();
        assert_eq!(mode_of(&directory), 0o700);
        assert_eq!(mode_of(&scratch.path("a")), 0o700);
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        private_directory(&directory).unwrap();
        assert_eq!(mode_of(&directory), 0o700);
        fs::write(scratch.path("file"), "").unwrap();
        let error = private_directory(&scratch.path("file")).unwrap_err();
        assert_eq!(error.to_string(), "it is no folder");
        symlink(&directory, scratch.path("link")).unwrap();
        let error = private_directory(&scratch.path("link")).unwrap_err();
        assert_eq!(error.to_string(), "it is a symbolic link");
    }

    #[test]
    fn a_private_directory_is_never_another_users() {
        alone(
            "sys::files::tests::a_private_directory_is_never_another_users",
            || {
                become_ordinary();
                let error = private_directory(Path::new("/")).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
                assert_eq!(error.to_string(), "it belongs to another user");
            },
        );
    }

    #[test]
    fn reads_do_not_block_and_writes_go_where_they_should() {
        let (reader, writer) = pipe().unwrap();
        let mut buffer = [0; 8];
        let error = read_into(reader.as_fd(), &mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        set_nonblocking(writer.as_fd()).unwrap();
        while rustix::io::write(&writer, &[0; 4_096]).is_ok() {}
        let scratch = Scratch::new();
        let file = fs::File::create(scratch.path("file")).unwrap();
        assert_eq!(write_at(file.as_fd(), b"world", 6).unwrap(), 5);
        assert_eq!(write_at(file.as_fd(), b"hello ", 0).unwrap(), 6);
        assert_eq!(
            fs::read_to_string(scratch.path("file")).unwrap(),
            "hello world"
        );
    }

    #[test]
    fn a_small_read_leaves_what_does_not_fit() {
        let root = fs::File::open("/proc/self").unwrap();
        let mut buffer = [0; 4];
        let read = read_small(root.as_fd(), c"stat", &mut buffer).unwrap();
        assert_eq!(read.len(), 4);
    }
}
