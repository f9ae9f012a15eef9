//! A network of a process's own, network_namespaces(7), with nothing in it but the loopback device.

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::libc;
use rustix::io::fcntl_dupfd_cloexec;

use super::super::child::check;
use super::super::process::PidFd;
use super::super::spawn::lifted;

/// Which network a process lives in.
#[derive(Debug, Default)]
pub enum Network {
    /// The caller's.
    #[default]
    Shared,
    /// A new one.
    Own,
    /// That of another process, given by its pidfd.
    Of(OwnedFd),
}

impl Network {
    /// That of a process.
    ///
    /// # Errors
    /// `EMFILE`: no descriptor is left.
    pub fn of(process: &PidFd) -> io::Result<Self> {
        lifted(process.as_fd()).map(Self::Of)
    }

    /// The same network, by a descriptor from this number on.
    pub(super) fn lifted(&self, above: RawFd) -> io::Result<Self> {
        Ok(match self {
            Self::Shared => Self::Shared,
            Self::Own => Self::Own,
            Self::Of(process) => Self::Of(fcntl_dupfd_cloexec(process, above)?),
        })
    }
}

pub(super) fn enter(network: &Network) -> Result<(), i32> {
    match network {
        Network::Shared => Ok(()),
        Network::Own => {
            // SAFETY: unshare takes an integer.
            check(unsafe { libc::unshare(libc::CLONE_NEWNET) }.into())?;
            raise_loopback()
        }
        Network::Of(process) => {
            // SAFETY: setns takes integers; the descriptor is open.
            let result = unsafe { libc::setns(process.as_raw_fd(), libc::CLONE_NEWNET) };
            check(result.into()).map(drop)
        }
    }
}

/// A new network's loopback device is down.
fn raise_loopback() -> Result<(), i32> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: the call takes integers.
    let socket = unsafe { libc::socket(libc::AF_UNIX, kind, 0) };
    check(socket.into())?;
    // SAFETY: all zeroes are a valid value of this plain structure.
    let mut wish: libc::ifreq = unsafe { zeroed() };
    for (to, from) in wish.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    // Both flags fit the kernel's short.
    #[expect(clippy::cast_possible_truncation, reason = "0x41")]
    let flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    wish.ifr_ifru.ifru_flags = flags;
    // SAFETY: the structure is ours and of the type that this call reads.
    let result = unsafe { libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const wish) };
    let raised = check(result.into()).map(drop);
    // SAFETY: the socket was made here and nobody else knows it.
    unsafe { libc::close(socket) };
    raised
}
