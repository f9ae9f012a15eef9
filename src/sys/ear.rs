//! The socket on which services speak of themselves, sd_notify(3): datagrams, who sent them, and what came along.
//!
//! Owns the raw receiving: the sender as the kernel knows it, not as it says of itself. Read without being taken, so
//! that a word is not lost with a process that dies before it has acted on it.

use std::fs::{self, Permissions};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nix::libc;
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{
    AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType, bind, shutdown, socket_with,
};

use super::alarm::Alarm;
use super::process::PidFd;

/// `SO_PASSPIDFD` and `SCM_PIDFD` of Linux 6.5, which the C library's package does not name everywhere.
const SO_PASSPIDFD: i32 = 76;
const SCM_PIDFD: i32 = 4;
/// Bytes of an option that is an integer.
const OPTION_LENGTH: libc::socklen_t = 4;
/// The most that the kernel passes in one datagram, unix(7).
const PASSED_MAX: usize = 253;
/// Room for what comes along: the descriptors, who sent them, and three heads.
const CONTROL_WORDS: usize = (PASSED_MAX * 4 + 256) / size_of::<u64>();
/// Room for the first of it alone: a head, and the sender's numbers.
const SENDER_BYTES: usize = 32;

/// Datagrams that are dropped at the end: more than a queue holds, net.unix.max_dgram_qlen of sysctl(8).
const ENDED_MAX: usize = 100_000;

/// Everybody may speak; who is believed is another question.
const FILE_MODE: u32 = 0o666;

/// A bound datagram socket, in the abstract space of names or at a path.
#[derive(Debug)]
pub struct Ear(OwnedFd);

/// What is taken of a datagram that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    /// Its bytes, and the sender's numbers. What else came along is never ours, and costs nothing.
    Nothing,
    /// The sender's handle and the descriptors, too.
    All,
}

/// One datagram.
#[derive(Debug)]
pub struct Letter {
    /// Bytes of it, whatever the buffer's size.
    pub length: usize,
    /// `None` where the kernel does not say.
    pub sender: Option<Sender>,
    pub fds: Vec<OwnedFd>,
    /// Whether something was left: as it was wished, or since we have too many descriptors open.
    pub cut: bool,
}

/// Who has sent a datagram.
#[derive(Debug)]
pub struct Sender {
    /// 0 for one outside our namespace of PIDs.
    pub pid: u32,
    pub uid: u32,
    /// Since Linux 6.5, and while it has not been reaped.
    pub pidfd: Option<PidFd>,
}

impl Ear {
    /// Listens to this name, or at this absolute path, which is the caller's own: what lies there is removed.
    ///
    /// # Errors
    /// `EADDRINUSE`, `EMFILE`, `ENFILE`; `InvalidInput` for a name that is too long; what unlink(2) and bind(2) give
    /// for a path.
    pub fn bind(name: &str) -> io::Result<Self> {
        let path = Some(Path::new(name)).filter(|path| path.is_absolute());
        let address = match path {
            Some(path) => {
                remove(path)?;
                SocketAddrUnix::new(path)?
            }
            None => SocketAddrUnix::new_abstract_name(name.as_bytes())?,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        set_socket_passcred(&socket, true)?;
        pass_pidfds(&socket);
        bind(&socket, &address)?;
        if let Some(path) = path {
            fs::set_permissions(path, Permissions::from_mode(FILE_MODE))?;
        }
        Ok(Self(socket))
    }

    /// One that a predecessor has bound.
    #[must_use]
    pub fn from_owned(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Ends it, for whoever has a copy as well: nothing more comes in, and what is in it is dropped as by
    /// [`Ear::drop_first`].
    pub fn end(&self) {
        // Where that cannot be, what is there now is dropped all the same.
        let _ = shutdown(&self.0, Shutdown::Read);
        for _ in 0..ENDED_MAX {
            if self.drop_first().is_err() {
                break;
            }
        }
    }

    /// The name that it listens to, if it is such a socket.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let address = SocketAddrUnix::try_from(rustix::net::getsockname(&self.0).ok()?).ok()?;
        let name = match address.abstract_name() {
            Some(name) => name.to_vec(),
            None => address.path_bytes()?.to_vec(),
        };
        String::from_utf8(name).ok()
    }

    /// Takes its path away, if it has one: nobody speaks to it any more.
    pub fn vanish(&self) {
        if let Some(name) = self.name().filter(|name| Path::new(name).is_absolute()) {
            // Where somebody else has removed it, all is well.
            let _ = remove(Path::new(&name));
        }
    }

    /// The first datagram, which stays the first until [`Ear::drop_first`]. What is longer than `buffer` is cut off.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; else what recvmsg(2) gives.
    pub fn peek(&self, buffer: &mut [u8], along: Along) -> io::Result<Letter> {
        let mut control = [0_u64; CONTROL_WORDS];
        let mut room = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        // SAFETY: all zeroes is a valid value of this plain struct.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_iov = &raw mut room;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        let room = match along {
            Along::Nothing => SENDER_BYTES,
            Along::All => size_of::<[u64; CONTROL_WORDS]>(),
        };
        // Its type is another one in each C library.
        header.msg_controllen = room as _;
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT | libc::MSG_TRUNC | libc::MSG_CMSG_CLOEXEC;
        // SAFETY: the header names our buffers with their true lengths, and all of them outlive the call.
        let length = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut header, flags) };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        let (sender, fds) = took_along(&header);
        Ok(Letter {
            length,
            sender,
            fds,
            cut: header.msg_flags & libc::MSG_CTRUNC != 0,
        })
    }

    /// Takes the first datagram away, and lets go of what is still in it. Nothing of that was opened here, so that no
    /// file system is asked; and a connection that lingers is not waited for.
    ///
    /// # Errors
    /// What recv(2) gives; `WouldBlock` when there is none.
    pub fn drop_first(&self) -> io::Result<()> {
        let mut nothing = [0_u8; 1];
        let flags = libc::MSG_DONTWAIT;
        let _alarm = Alarm::new();
        let (bytes, length) = (nothing.as_mut_ptr().cast(), nothing.len());
        // SAFETY: the buffer is ours and its true length is given.
        let result = unsafe { libc::recv(self.0.as_raw_fd(), bytes, length, flags) };
        usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
        Ok(())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Older kernels do not know it, and then the sender's number has to do.
fn pass_pidfds(socket: &OwnedFd) {
    let on: libc::c_int = 1;
    // SAFETY: the option is an integer of ours, whose true length is given.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PASSPIDFD,
            (&raw const on).cast(),
            OPTION_LENGTH,
        );
    }
}

/// Reads the control messages of a header that recvmsg has filled.
fn took_along(header: &libc::msghdr) -> (Option<Sender>, Vec<OwnedFd>) {
    let (mut sender, mut pidfd, mut fds) = (None, None, Vec::new());
    // SAFETY: the header and its control buffer are those that recvmsg has filled, and both are alive; the macros stay
    // within them. What the kernel gave is read unaligned and in its length, and its descriptors are ours from now on,
    // each taken once.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            let (level, kind) = ((*message).cmsg_level, (*message).cmsg_type);
            let data = libc::CMSG_DATA(message);
            let head = data.offset_from(message.cast::<u8>()).unsigned_abs();
            let length = ((*message).cmsg_len as usize).saturating_sub(head);
            if level == libc::SOL_SOCKET && kind == libc::SCM_RIGHTS {
                for at in 0..length / size_of::<RawFd>() {
                    let fd = data.cast::<RawFd>().add(at).read_unaligned();
                    fds.push(OwnedFd::from_raw_fd(fd));
                }
            } else if level == libc::SOL_SOCKET && kind == SCM_PIDFD && length >= 4 {
                let fd = data.cast::<RawFd>().read_unaligned();
                if fd >= 0 {
                    pidfd = Some(PidFd::from_owned(OwnedFd::from_raw_fd(fd)));
                }
            } else if level == libc::SOL_SOCKET
                && kind == libc::SCM_CREDENTIALS
                && length >= size_of::<libc::ucred>()
            {
                sender = Some(data.cast::<libc::ucred>().read_unaligned());
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    let sender = sender.map(|sender| Sender {
        pid: u32::try_from(sender.pid).unwrap_or(0),
        uid: sender.uid,
        pidfd,
    });
    (sender, fds)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::ffi::OsString;

    use super::super::birth::beside_us;
    use super::super::process::Pid;
    use super::super::testing::{alone, await_end, lingering};
    use super::super::{files, notify};
    use super::*;

    #[test]
    fn a_word_stays_until_it_is_dropped_and_says_who_sent_it() {
        alone(
            "sys::ear::tests::a_word_stays_until_it_is_dropped_and_says_who_sent_it",
            || {
                let name = format!("diakonos-ear-{}", std::process::id());
                let ear = Ear::bind(&name).unwrap();
                assert_eq!(ear.name().as_deref(), Some(&*name));
                let address = OsString::from(format!("@{name}"));
                let (reader, writer) = files::pipe().unwrap();
                notify::send(&address, b"FDSTORE=1", Some(writer.as_fd()), None).unwrap();
                notify::send(&address, b"READY=1", None, None).unwrap();
                drop(writer);
                let mut buffer = [0; 4];
                for _ in 0..2 {
                    let letter = ear.peek(&mut buffer, Along::All).unwrap();
                    assert_eq!((letter.length, &buffer), (9, b"FDST"));
                    let sender = letter.sender.unwrap();
                    assert_eq!(sender.pid, std::process::id());
                    let own = PidFd::open(Pid::current()).unwrap().inode().unwrap();
                    if let Some(pidfd) = sender.pidfd {
                        assert_eq!(pidfd.inode().unwrap(), own);
                    }
                    assert_eq!(letter.fds.len(), 1);
                    let letter = ear.peek(&mut buffer, Along::Nothing).unwrap();
                    assert_eq!(letter.sender.unwrap().pid, std::process::id());
                    assert!(letter.fds.is_empty() && letter.cut);
                }
                ear.drop_first().unwrap();
                // Nobody holds the other end any more: the one in the datagram is gone as well.
                assert_eq!(files::read_into(reader.as_fd(), &mut buffer).unwrap(), 0);
                let second = ear.peek(&mut buffer, Along::All).unwrap();
                assert_eq!(second.length, 7);
                ear.drop_first().unwrap();
                let error = ear.peek(&mut buffer, Along::All).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            },
        );
    }

    /// Nobody else has them open any more, and their ends wait until all is sent, which nobody reads. A child drops
    /// them: here another thread might be interrupted in our place.
    #[test]
    fn connections_that_linger_are_dropped_at_once() {
        alone(
            "sys::ear::tests::connections_that_linger_are_dropped_at_once",
            || {
                let name = format!("diakonos-ear-lingers-{}", std::process::id());
                let ear = Ear::bind(&name).unwrap();
                let address = OsString::from(format!("@{name}"));
                let say =
                    |fd: &OwnedFd| notify::send(&address, b"FDSTORE=1", Some(fd.as_fd()), None);
                let mut peers = Vec::new();
                for _ in 0..4 {
                    let (socket, peer) = lingering();
                    say(&socket).unwrap();
                    peers.push(peer);
                }
                let drops = || {
                    let _ = ear.drop_first();
                    ear.end();
                };
                await_end(&beside_us(drops).unwrap());
                let error = ear.peek(&mut [0; 4], Along::Nothing).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                let (reader, _writer) = files::pipe().unwrap();
                let error = say(&reader).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            },
        );
    }
}
