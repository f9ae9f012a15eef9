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
}

impl Watch {
    fn flags(self) -> WatchFlags {
        let created = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::CLOSE_WRITE;
        let itself = WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF;
        match self {
            Self::Modified => WatchFlags::MODIFY | itself,
            Self::Created => created | itself | WatchFlags::ONLYDIR,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::fs;
    use std::io::Write as _;

    use super::super::testing::{Scratch, await_readable};
    use super::*;

    fn next(inotify: &Inotify) -> Vec<Event> {
        await_readable(inotify.as_fd());
        inotify.read(&mut [0; BUFFER_BYTES]).unwrap()
    }

    #[test]
    fn a_files_changes_and_its_end_are_told() {
        let scratch = Scratch::new();
        let path = scratch.path("file");
        let mut file = fs::File::create(&path).unwrap();
        let inotify = Inotify::new().unwrap();
        let watch = inotify.watch(&path, Watch::Modified).unwrap();
        assert_eq!(inotify.watch(&path, Watch::Modified).unwrap(), watch);
        assert_eq!(inotify.read(&mut [0; BUFFER_BYTES]).unwrap(), []);
        file.write_all(b"more").unwrap();
        let changed = Event {
            watch,
            name: None,
            gone: false,
            overflow: false,
        };
        assert_eq!(next(&inotify), std::slice::from_ref(&changed));
        fs::rename(&path, scratch.path("moved")).unwrap();
        let gone = Event {
            gone: true,
            ..changed
        };
        assert_eq!(next(&inotify), std::slice::from_ref(&gone));
        drop(file);
        fs::remove_file(scratch.path("moved")).unwrap();
        assert_eq!(next(&inotify), [gone]);
        assert!(inotify.unwatch(watch).is_err());
        assert_eq!(inotify.read(&mut [0; BUFFER_BYTES]).unwrap(), []);
    }

    #[test]
    fn entries_of_a_directory_are_told_by_name() {
        let scratch = Scratch::new();
        let directory = scratch.path("");
        let inotify = Inotify::new().unwrap();
        let watch = inotify.watch(&directory, Watch::Created).unwrap();
        fs::create_dir(scratch.path("one")).unwrap();
        let created = |name: &str| Event {
            watch,
            name: Some(name.into()),
            gone: false,
            overflow: false,
        };
        assert_eq!(next(&inotify), [created("one")]);
        fs::remove_dir(scratch.path("one")).unwrap();
        assert_eq!(inotify.read(&mut [0; BUFFER_BYTES]).unwrap(), []);
        assert_eq!(inotify.watch(&directory, Watch::Created).unwrap(), watch);
        fs::create_dir(scratch.path("two")).unwrap();
        assert_eq!(next(&inotify), [created("two")]);
        inotify.unwatch(watch).unwrap();
        fs::create_dir(scratch.path("three")).unwrap();
        assert_eq!(inotify.read(&mut [0; BUFFER_BYTES]).unwrap(), []);
    }

    #[test]
    fn the_longest_name_fits_the_buffer() {
        let scratch = Scratch::new();
        let name = "n".repeat(255);
        let inotify = Inotify::new().unwrap();
        inotify.watch(&scratch.path(""), Watch::Created).unwrap();
        fs::create_dir(scratch.path(&name)).unwrap();
        assert_eq!(next(&inotify)[0].name.as_deref(), Some(name.as_ref()));
    }

    #[test]
    fn what_cannot_be_watched_is_refused() {
        let scratch = Scratch::new();
        let inotify = Inotify::new().unwrap();
        let missing = inotify
            .watch(&scratch.path("missing"), Watch::Modified)
            .unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        fs::write(scratch.path("file"), "").unwrap();
        let file = inotify
            .watch(&scratch.path("file"), Watch::Created)
            .unwrap_err();
        assert_eq!(file.kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn lost_events_and_garbage_are_borne() {
        let overflow = ReadFlags::QUEUE_OVERFLOW.bits().to_ne_bytes();
        let mut bytes = (-1_i32).to_ne_bytes().to_vec();
        bytes.extend(overflow);
        bytes.extend([0; 8]);
        let lost = Event {
            watch: WatchId(-1),
            name: None,
            gone: false,
            overflow: true,
        };
        assert_eq!(parse(&bytes), [lost]);
        // A name that is said to be longer than what was read.
        bytes[12..16].copy_from_slice(&u32::MAX.to_ne_bytes());
        bytes.extend(b"ab");
        assert_eq!(parse(&bytes)[0].name.as_deref(), Some("ab".as_ref()));
        assert_eq!(parse(&bytes[..15]), []);
    }
}
