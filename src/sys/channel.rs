//! A pair of ends between two processes of ours: whole messages, and descriptors with them.
//!
//! Owns how they are carried, unix(7). What a message says is the caller's.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::io::{FdFlags, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// How many descriptors one message carries at most.
pub const PASSED_MAX: usize = 2;

/// One end. The other end's process may die at any time, and then this one reads the end of the file.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// What came in one message.
#[derive(Debug, Default)]
pub struct Passed {
    /// Of the message, in bytes; 0 is the end of the file.
    pub length: usize,
    /// At most [`PASSED_MAX`]; fewer than were sent if ours are used up.
    pub fds: Vec<OwnedFd>,
}

impl Channel {
    /// Both ends.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let (one, other) = socketpair(family, kind, SocketFlags::CLOEXEC, None)?;
        Ok((Self(one), Self(other)))
    }

    /// An end that this process was given.
    #[must_use]
    pub fn from_owned(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Sends one message, not empty, with at most [`PASSED_MAX`] descriptors; never waits.
    ///
    /// # Errors
    /// `WouldBlock` when the other side has to read first, also if what that concerns are the descriptors that are on
    /// their way; `EPIPE`, `ECONNRESET` when there is no other side.
    pub fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(PASSED_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let text = [IoSlice::new(message)];
        match retry_on_intr(|| sendmsg(&self.0, &text, &mut control, flags)) {
            Ok(_) => Ok(()),
            Err(rustix::io::Errno::TOOMANYREFS) => Err(io::ErrorKind::WouldBlock.into()),
            Err(other) => Err(other.into()),
        }
    }

    /// Takes one message, without waiting; what is longer than `buffer` is cut off.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; else what recvmsg(2) gives.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Passed> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(PASSED_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let mut take = || {
            retry_on_intr(|| {
                let mut room = [IoSliceMut::new(buffer)];
                recvmsg(&self.0, &mut room, &mut control, flags)
            })
        };
        let taken = match take() {
            // Told once, when the other end has died and had not heard all: what it said before is still there.
            Err(rustix::io::Errno::CONNRESET) => take(),
            taken => taken,
        };
        let length = taken?.bytes;
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(passed) = message {
                fds.extend(passed);
            }
        }
        Ok(Passed { length, fds })
    }

    /// Whether this end stays open when the process becomes another program.
    ///
    /// # Errors
    /// None that is known for an open descriptor.
    pub fn keep_over_exec(&self, keep: bool) -> io::Result<()> {
        let flags = if keep {
            FdFlags::empty()
        } else {
            FdFlags::CLOEXEC
        };
        Ok(rustix::io::fcntl_setfd(&self.0, flags)?)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::fs::File;
    use std::io::{Read, Write};

    use super::super::files;
    use super::super::testing::alone;
    use super::*;

    #[test]
    fn messages_come_whole_and_with_their_descriptors() {
        alone(
            "sys::channel::tests::messages_come_whole_and_with_their_descriptors",
            || {
                let (one, other) = Channel::pair().unwrap();
                let (reader, writer) = files::pipe().unwrap();
                one.send(b"first", &[]).unwrap();
                one.send(b"second", &[reader.as_fd(), writer.as_fd()])
                    .unwrap();
                drop((one, reader, writer));
                let mut buffer = [0; 16];
                let first = other.receive(&mut buffer).unwrap();
                assert_eq!(
                    (&buffer[..first.length], first.fds.len()),
                    (&b"first"[..], 0)
                );
                let mut second = other.receive(&mut buffer).unwrap();
                assert_eq!(&buffer[..second.length], b"second");
                let (mut reader, mut writer) = {
                    let writer = second.fds.pop().unwrap();
                    (File::from(second.fds.pop().unwrap()), File::from(writer))
                };
                writer.write_all(b"through").unwrap();
                drop(writer);
                let mut text = String::new();
                reader.read_to_string(&mut text).unwrap();
                assert_eq!(text, "through");
                assert_eq!(other.receive(&mut buffer).unwrap().length, 0);
            },
        );
    }

    #[test]
    fn what_was_said_before_a_death_is_heard_though_the_dead_had_not_heard_all() {
        alone(
            "sys::channel::tests::what_was_said_before_a_death_is_heard_though_the_dead_had_not_heard_all",
            || {
                let (one, other) = Channel::pair().unwrap();
                other.send(b"unheard", &[]).unwrap();
                one.send(b"last words", &[one.as_fd()]).unwrap();
                drop(one);
                let mut buffer = [0; 16];
                let passed = other.receive(&mut buffer).unwrap();
                assert_eq!(&buffer[..passed.length], b"last words");
                drop(passed);
                assert_eq!(other.receive(&mut buffer).unwrap().length, 0);
            },
        );
    }

    #[test]
    fn a_full_channel_does_not_wait() {
        alone("sys::channel::tests::a_full_channel_does_not_wait", || {
            let (one, other) = Channel::pair().unwrap();
            let mut sent = 0;
            let error = loop {
                match one.send(b"x", &[one.as_fd()]) {
                    Ok(()) => sent += 1,
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            let mut buffer = [0; 1];
            for _ in 0..sent {
                assert_eq!(other.receive(&mut buffer).unwrap().fds.len(), 1);
            }
            let error = other.receive(&mut buffer).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            drop(other);
            assert!(one.send(b"x", &[]).is_err());
        });
    }
}
