//! Saying a word to the supervisor that started this process, sd_notify(3).
//!
//! Owns how the datagram is sent. What is said, and when, is the daemon's.

use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use rustix::cmsg_space;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, sendmsg_addr, socket_with,
};

/// Sends one datagram to `address`: a path, or a name in the abstract space behind an `@`; with it a copy of `fd`.
/// Where many wait to be read there, this waits as long as `patience` says, or not at all.
///
/// # Errors
/// `InvalidInput` for an address that is neither, or too long; `WouldBlock` if it was not taken in time; else what
/// socket(2) and sendto(2) give.
pub fn send(
    address: &OsStr,
    text: &[u8],
    fd: Option<BorrowedFd<'_>>,
    patience: Option<Duration>,
) -> io::Result<()> {
    let bytes = address.as_bytes();
    let address = match bytes {
        [b'/', _, ..] => SocketAddrUnix::new(bytes),
        [b'@', name @ ..] if !name.is_empty() => SocketAddrUnix::new_abstract_name(name),
        _ => Err(Errno::INVAL),
    };
    let address = address.map_err(|_| io::ErrorKind::InvalidInput)?;
    let (family, kind) = (AddressFamily::UNIX, SocketType::DGRAM);
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    let mut flags = SendFlags::NOSIGNAL;
    match patience {
        Some(_) => set_socket_timeout(&socket, Timeout::Send, patience)?,
        None => flags |= SendFlags::DONTWAIT,
    }
    let fds = fd.as_slice();
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let text = [IoSlice::new(text)];
    retry_on_intr(|| sendmsg_addr(&socket, &address, &text, &mut control, flags))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::ffi::OsString;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::super::testing::Scratch;
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn a_word_reaches_a_path_and_an_abstract_name() {
        let scratch = Scratch::new();
        let path = scratch.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), b"READY=1", None, None).unwrap();
        assert_eq!(heard(&socket), "READY=1");

        let name = format!("diakonos-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        send(
            &OsString::from(format!("@{name}")),
            b"STOPPING=1",
            None,
            Some(Duration::from_secs(9)),
        )
        .unwrap();
        assert_eq!(heard(&socket), "STOPPING=1");
    }

    #[test]
    fn what_is_no_address_or_has_no_listener_is_an_error() {
        let long = format!("/{}", "x".repeat(200));
        for address in ["", "/", "@", "relative", "vsock:2:1", &long] {
            let error = send(OsStr::new(address), b"READY=1", None, None).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{address}");
        }
        assert!(send(OsStr::new("/nonexistent/socket"), b"READY=1", None, None).is_err());
    }
}
