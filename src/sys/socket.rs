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
