//! Changes of files, told by the kernel: inotify(7).
//!
//! Owns the watches and the parsing of events. What is read when something changed is the caller's: an event is
//! only a reason to look, since any number of them may have been merged or lost.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::inotify::{CreateFlags, ReadFlags, WatchFlags, add_watch, init, remove_watch};

use super::files;

/// Bytes that [`Inotify::read`] needs at least: one event with the longest name.
pub const BUFFER_BYTES: usize = HEADER_BYTES + 256;
/// Bytes of `struct inotify_event` before its name.
const HEADER_BYTES: usize = 16;

/// A watch of one [`Inotify`]. Two paths of one file are one watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(i32);

/// What to look out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// The file's content changes, or the file itself is moved or removed.
    Modified,
    /// In a directory: an entry appears (made, or moved here) or has been written and closed.
    Created,
    /// In a directory: as `Created`, and entries that are removed or moved away.
    Entries,
}

impl Watch {
    fn flags(self) -> WatchFlags {
        let created = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::CLOSE_WRITE;
        let itself = WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF;
        match self {
            Self::Modified => WatchFlags::MODIFY | itself,
            Self::Created => created | itself | WatchFlags::ONLYDIR,
            Self::Entries => {
                created | WatchFlags::DELETE | WatchFlags::MOVED_FROM | itself | WatchFlags::ONLYDIR
            }
        }
    }
}

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Of no watch at all when `overflow` is set.
    pub watch: WatchId,
    /// The entry, when a directory is watched and it was not the directory itself.
    pub name: Option<OsString>,
    /// The watched thing itself was moved or removed. After a removal its watch is over.
    pub gone: bool,
    /// Events were lost: everything watched has to be looked at.
    pub overflow: bool,
}

/// A nonblocking descriptor that is readable when something watched has changed.
#[derive(Debug)]
pub struct Inotify(OwnedFd);

impl Inotify {
    /// # Errors
    /// `EMFILE` when the user has too many of them or we too many descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self(init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?))
    }

    /// Watches a path. A path that is watched already gets the new kind and keeps its id.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `ENOTDIR`, or `ENOSPC` when the user has too many watches.
    pub fn watch(&self, path: &Path, what: Watch) -> io::Result<WatchId> {
        Ok(WatchId(add_watch(&self.0, path, what.flags())?))
    }

    /// Ends a watch. Events that are on their way may still come.
    ///
    /// # Errors
    /// `EINVAL` when it is over already.
    pub fn unwatch(&self, watch: WatchId) -> io::Result<()> {
        Ok(remove_watch(&self.0, watch.0)?)
    }

    /// Some of the events that have come, none when there are none (left). The buffer is at least [`BUFFER_BYTES`]
    /// long.
    ///
    /// # Errors
    /// `EINVAL` for a buffer that is too short.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Vec<Event>> {
        loop {
            let length = match files::read_into(self.0.as_fd(), buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            let events = parse(buffer.get(..length).unwrap_or_default());
            // A read may have brought nothing but the ends of watches; none at all would mean that all is read.
            if !events.is_empty() || length == 0 {
                return Ok(events);
            }
        }
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Inotify {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn parse(mut bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() {
        let [w0, w1, w2, w3, m0, m1, m2, m3, _, _, _, _, l0, l1, l2, l3] = *header;
        let watch = WatchId(i32::from_ne_bytes([w0, w1, w2, w3]));
        let what = ReadFlags::from_bits_retain(u32::from_ne_bytes([m0, m1, m2, m3]));
        let length = u32::from_ne_bytes([l0, l1, l2, l3]);
        let length = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(rest.len());
        let (padded, following) = rest.split_at(length);
        bytes = following;
        if what == ReadFlags::IGNORED {
            continue;
        }
        let name = padded
            .split(|byte| *byte == 0)
            .next()
            .filter(|name| !name.is_empty());
        events.push(Event {
            watch,
            name: name.map(|name| OsString::from_vec(name.to_vec())),
            gone: what.intersects(ReadFlags::MOVE_SELF | ReadFlags::DELETE_SELF),
            overflow: what.contains(ReadFlags::QUEUE_OVERFLOW),
        });
    }
    events
}
