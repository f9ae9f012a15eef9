//! Who is at the other end of a local socket.
//!
//! Owns asking the kernel. Whether that one may give orders is the daemon's to decide.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

use super::process::Pid;

/// The other side as it was when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// `None` when it lies outside our PID namespace.
    pub pid: Option<Pid>,
    pub uid: u32,
    pub gid: u32,
}

/// The credentials of a connected unix socket's other side, `SO_PEERCRED` of unix(7).
///
/// # Errors
/// What getsockopt(2) gives for something that is no connected unix socket.
pub fn peer(fd: BorrowedFd<'_>) -> io::Result<Peer> {
    let mut found = libc::ucred {
        pid: 0,
        uid: libc::uid_t::MAX,
        gid: libc::gid_t::MAX,
    };
    let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or(0);
    // SAFETY: the kernel writes at most `length` bytes, the size of `found`; every bit pattern of it is a valid
    // value.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Peer {
        pid: Pid::from_kernel(found.pid.into()),
        uid: found.uid,
        gid: found.gid,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::super::process::{Spawn, Stdio, Wait, spawn};
    use super::super::testing::{Scratch, alone, await_end, become_ordinary, shell};
    use super::super::{files, users};
    use super::*;

    #[test]
    fn the_peer_of_a_connection_is_told() {
        let scratch = Scratch::new();
        let listener = UnixListener::bind(scratch.path("socket")).unwrap();
        let client = UnixStream::connect(scratch.path("socket")).unwrap();
        let (server, _) = listener.accept().unwrap();
        for side in [server.as_fd(), client.as_fd()] {
            let found = peer(side).unwrap();
            assert_eq!(found.pid, Some(Pid::current()));
            assert_eq!(found.uid, users::effective_uid());
        }
    }

    #[test]
    fn the_peer_is_who_connected_not_who_holds_it_now() {
        alone(
            "sys::socket::tests::the_peer_is_who_connected_not_who_holds_it_now",
            || {
                let (one, other) = UnixStream::pair().unwrap();
                let before = peer(one.as_fd()).unwrap();
                become_ordinary();
                let asked = Spawn {
                    stdin: Stdio::Fd(other.as_fd()),
                    ..shell("exit 0")
                };
                let spawned = spawn(&asked).unwrap();
                assert_eq!(await_end(&spawned.pidfd), Wait::Exited(0));
                assert_eq!(peer(one.as_fd()).unwrap(), before);
            },
        );
    }

    #[test]
    fn a_pipe_has_no_peer() {
        let (reader, _writer) = files::pipe().unwrap();
        assert_eq!(
            peer(reader.as_fd()).unwrap_err().raw_os_error(),
            Some(libc::ENOTSOCK)
        );
    }
}
