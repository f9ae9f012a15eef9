//! Descriptors of files that are kept, and are open nowhere: each is in flight, unix(7), in the queue of a socket whose
//! other end is closed.
//!
//! Owns how one is put there and taken out. A process whose table has a file closes it when it becomes another program
//! and when it ends, and tells the file system each time, which may never answer. A socket asks nobody. So a parcel can
//! lie where a file cannot: in the table of a process that makes others, or that must be able to die.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::fs::{AtFlags, FileType, StatxFlags, statx};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recv, recvmsg,
};

use super::channel::Channel;

/// Which file it is, in bytes: its device and its inode.
const LABEL_BYTES: usize = 16;

/// Which file this is, where one lies behind it: on a disk, or wherever a file system has it from. Nothing for what the
/// kernel alone answers for: pipes, sockets, devices. No file system is asked.
#[must_use]
pub fn file_behind(fd: BorrowedFd<'_>) -> Option<Label> {
    let asked = StatxFlags::TYPE | StatxFlags::INO;
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let Ok(told) = statx(fd, c"", flags, asked) else {
        // A file system may keep to itself what it has.
        return Some(Label::default());
    };
    let is_file = match FileType::from_raw_mode(told.stx_mode.into()) {
        FileType::RegularFile | FileType::Directory | FileType::Symlink | FileType::BlockDevice => {
            true
        }
        FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::Unknown => false,
    };
    let device = (u64::from(told.stx_dev_major) << 32) | u64::from(told.stx_dev_minor);
    let mut label = Label::default();
    let (head, tail) = label.0.split_at_mut(LABEL_BYTES / 2);
    head.copy_from_slice(&device.to_ne_bytes());
    tail.copy_from_slice(&told.stx_ino.to_ne_bytes());
    is_file.then_some(label)
}

/// Which file a parcel has. Two that are the same file may have been opened apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Label([u8; LABEL_BYTES]);

/// A descriptor that is kept.
#[derive(Debug)]
pub enum Stowed {
    AsItIs(OwnedFd),
    InFlight(Parcel),
}

impl Stowed {
    /// Another one of the same.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::AsItIs(fd) => Self::AsItIs(fd.try_clone()?),
            Self::InFlight(parcel) => Self::InFlight(parcel.try_clone()?),
        })
    }
}

impl AsFd for Stowed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::AsItIs(fd) | Self::InFlight(Parcel(fd)) => fd.as_fd(),
        }
    }
}

impl From<Stowed> for OwnedFd {
    fn from(stowed: Stowed) -> Self {
        match stowed {
            Stowed::AsItIs(fd) | Stowed::InFlight(Parcel(fd)) => fd,
        }
    }
}

/// One that is in flight.
#[derive(Debug)]
pub struct Parcel(OwnedFd);

impl Parcel {
    /// Puts a copy of this into flight. The caller still has its own.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`; `WouldBlock` where this user has too many in flight.
    pub fn pack(fd: BorrowedFd<'_>, label: Label) -> io::Result<Self> {
        let (ours, theirs) = Channel::pair()?;
        theirs.send(&label.0, &[fd])?;
        Ok(Self(ours.into()))
    }

    /// One that somebody has packed.
    #[must_use]
    pub fn from_owned(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Which file it has; nothing where this is no parcel.
    #[must_use]
    pub fn label(&self) -> Option<Label> {
        let mut label = Label::default();
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let (length, _) = retry_on_intr(|| recv(&self.0, &mut label.0, flags)).ok()?;
        (length == LABEL_BYTES).then_some(label)
    }

    /// A copy of what it has, which the caller has to see closed, at the lowest number that is free. The parcel keeps
    /// its own.
    ///
    /// # Errors
    /// `EMFILE`; `EBADF` where it has nothing.
    pub fn open(&self) -> io::Result<OwnedFd> {
        Ok(open(self)?)
    }

    fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

/// As [`Parcel::open`], between clone and exec: system calls only.
pub(super) fn open(parcel: &Parcel) -> Result<OwnedFd, Errno> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let mut label = [0; LABEL_BYTES];
    let told = retry_on_intr(|| {
        let mut room = [IoSliceMut::new(&mut label)];
        recvmsg(&parcel.0, &mut room, &mut control, flags)
    })?;
    let mut messages = control.drain();
    match messages.next() {
        Some(RecvAncillaryMessage::ScmRights(mut passed)) => passed.next().ok_or(Errno::BADF),
        // There is room for it in the message: what it found none in is the table.
        _ if told.flags.contains(ReturnFlags::CTRUNC) => Err(Errno::MFILE),
        _ => Err(Errno::BADF),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::fs::File;
    use std::io::{Read, Seek, Write};

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::super::files;
    use super::super::received::is_same;
    use super::super::testing::{Scratch, alone};
    use super::*;

    #[test]
    fn what_is_in_flight_is_the_same_open_file_as_often_as_it_is_wanted() {
        let scratch = Scratch::new();
        let path = scratch.path("file");
        let mut file = File::create_new(&path).unwrap();
        let label = file_behind(file.as_fd()).unwrap();
        let parcel = Parcel::pack(file.as_fd(), label).unwrap();
        for count in 1..=2 {
            let again = parcel.try_clone().unwrap();
            let copy = again.open().unwrap();
            assert_ne!(is_same(copy.as_fd(), file.as_fd()), Some(false));
            File::from(copy).write_all(b"a line\n").unwrap();
            assert_eq!(file.stream_position().unwrap(), 7 * count);
            assert_eq!(parcel.label(), Some(label));
        }
        drop(file);
        let mut copy = File::from(parcel.open().unwrap());
        copy.rewind().unwrap();
        let mut text = String::new();
        copy.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a line\na line\n");
        let parcel = Parcel::from_owned(Stowed::InFlight(parcel).into());
        let other = File::open(&path).unwrap();
        assert_eq!(parcel.label(), file_behind(other.as_fd()));
        let other = parcel.open().unwrap();
        assert!(is_same(other.as_fd(), copy.as_fd()).unwrap_or(true));
    }

    #[test]
    fn that_no_number_is_free_is_told_from_that_there_is_nothing() {
        alone(
            "sys::parcel::tests::that_no_number_is_free_is_told_from_that_there_is_nothing",
            || {
                let scratch = Scratch::new();
                let file = File::create_new(scratch.path("file")).unwrap();
                let parcel = Parcel::pack(file.as_fd(), Label::default()).unwrap();
                let empty = Parcel::from_owned(Channel::pair().unwrap().0.into());
                let limit = getrlimit(Resource::Nofile);
                let none = Rlimit {
                    current: Some(3),
                    ..limit
                };
                setrlimit(Resource::Nofile, none).unwrap();
                let errno = |parcel: &Parcel| parcel.open().unwrap_err().raw_os_error();
                let errors = [errno(&parcel), errno(&empty)];
                setrlimit(Resource::Nofile, limit).unwrap();
                let expected = [Errno::MFILE, Errno::BADF].map(|error| Some(error.raw_os_error()));
                assert_eq!(errors, expected);
                assert!(parcel.open().is_ok());
            },
        );
    }

    #[test]
    fn only_behind_files_there_is_a_file_system() {
        let scratch = Scratch::new();
        let folder = File::open(scratch.path("")).unwrap();
        assert!(file_behind(folder.as_fd()).is_some());
        let (reader, writer) = files::pipe().unwrap();
        let (one, _other) = Channel::pair().unwrap();
        let null = File::open("/dev/null").unwrap();
        for fd in [reader.as_fd(), writer.as_fd(), one.as_fd(), null.as_fd()] {
            assert_eq!(file_behind(fd), None);
        }
        let nothing = Parcel::from_owned(reader);
        assert!(nothing.label().is_none() && nothing.open().is_err());
    }
}
