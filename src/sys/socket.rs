//! Connecting to a local socket in bounded time, and who is at its other end.
//!
//! Owns asking the kernel. Whether that one may give orders is the daemon's to decide.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::libc;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::process::Pid;

/// How many may wait to be taken up; the kernel has a limit of its own, `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// The other side as it was when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// `None` when it lies outside our PID namespace.
    pub pid: Option<Pid>,
    pub uid: u32,
    pub gid: u32,
}

/// Connects to the socket at `path`. While more have connected than its owner has taken up, this waits, each time at
/// most `patience` (above zero): then `is_enough` tells whether to give up. Each write is bounded by `patience` too.
///
/// # Errors
/// `TimedOut` after giving up; `InvalidInput` for a path that is too long for a socket; else connect(2)'s.
pub fn connect_within(
    path: &Path,
    patience: Duration,
    is_enough: &mut dyn FnMut() -> bool,
) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path).map_err(|error| match error {
        Errno::NAMETOOLONG => io::ErrorKind::InvalidInput.into(),
        other => io::Error::from(other),
    })?;
    let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    // It bounds connect(2) as well, socket(7).
    set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
    loop {
        match retry_on_intr(|| connect(&socket, &address)) {
            Ok(()) => return Ok(socket.into()),
            Err(Errno::AGAIN) if is_enough() => return Err(io::ErrorKind::TimedOut.into()),
            Err(Errno::AGAIN) => {}
            Err(other) => return Err(other.into()),
        }
    }
}

/// Begins to listen, or does so anew: from now on it is this process whom [`peer`] names to those who connect.
///
/// # Errors
/// What listen(2) gives for something that is no bound socket.
pub fn listen(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::net::listen(socket, BACKLOG)?)
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
    use std::os::unix::net::UnixListener;

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
    fn a_connection_that_nobody_takes_up_is_given_up() {
        let scratch = Scratch::new();
        let path = scratch.path("socket");
        let patience = Duration::from_millis(10);
        let error = connect_within(&path, patience, &mut || true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);

        let kind = (AddressFamily::UNIX, SocketType::STREAM);
        let listener = socket_with(kind.0, kind.1, SocketFlags::CLOEXEC, None).unwrap();
        let address = SocketAddrUnix::new(&path).unwrap();
        rustix::net::bind(&listener, &address).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let first = connect_within(&path, patience, &mut || true).unwrap();
        let mut tries = 0;
        let mut is_enough = || {
            tries += 1;
            tries == 3
        };
        let error = connect_within(&path, patience, &mut is_enough).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(tries, 3);
        drop(first);

        let long = path.join("x".repeat(200));
        let error = connect_within(&long, patience, &mut || true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
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
