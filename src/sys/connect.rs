//! Trying to connect without waiting: begun now, and looked at when the descriptor is ready.
//!
//! Owns the calls on such a socket. How long it may take, and what an answer means, is the caller's.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::socket_error;
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType,
};

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Inet(SocketAddr),
    /// A socket's path, or its abstract name after `@`.
    Local(Box<str>),
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connected {
    Pending,
    Yes,
}

/// Begins to connect. The socket is nonblocking; [`outcome`] tells what becomes of it. A local socket of any kind will
/// do: of streams, of packets or of datagrams.
///
/// # Errors
/// What connect(2) says at once; `WouldBlock` where a local server has more waiting clients than it takes.
pub fn begin(address: &Address) -> io::Result<OwnedFd> {
    match address {
        Address::Inet(address) => {
            let family = match address {
                SocketAddr::V4(_) => AddressFamily::INET,
                SocketAddr::V6(_) => AddressFamily::INET6,
            };
            let socket = socket(family, SocketType::STREAM)?;
            match retry_on_intr(|| rustix::net::connect(&socket, address)) {
                Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
                Err(other) => Err(other.into()),
            }
        }
        Address::Local(place) => begin_local(place),
    }
}

fn begin_local(place: &str) -> io::Result<OwnedFd> {
    let address = match place.strip_prefix('@') {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes())?,
        None => SocketAddrUnix::new(place)?,
    };
    let mut kinds = [SocketType::STREAM, SocketType::SEQPACKET, SocketType::DGRAM].into_iter();
    loop {
        let kind = kinds.next().ok_or(Errno::PROTOTYPE)?;
        let socket = socket(AddressFamily::UNIX, kind)?;
        match retry_on_intr(|| rustix::net::connect(&socket, &address)) {
            Ok(()) => return Ok(socket),
            Err(Errno::PROTOTYPE) => {}
            Err(other) => return Err(other.into()),
        }
    }
}

fn socket(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family, kind, flags, None)?)
}

/// How far the connection has come.
///
/// # Errors
/// Why there is none.
pub fn outcome(socket: BorrowedFd<'_>) -> io::Result<Connected> {
    socket_error(socket)??;
    match rustix::net::getpeername(socket) {
        // Where nobody listens, a port of our own choice may be the very one that we connect to, and then we meet
        // ourselves.
        Ok(peer) if is_inet(&peer) && rustix::net::getsockname(socket).ok() == peer => {
            Err(Errno::CONNREFUSED.into())
        }
        Ok(_) => Ok(Connected::Yes),
        Err(Errno::NOTCONN) => Ok(Connected::Pending),
        Err(other) => Err(other.into()),
    }
}

fn is_inet(address: &Option<SocketAddrAny>) -> bool {
    let family = address.as_ref().map(SocketAddrAny::address_family);
    family.is_some_and(|family| family != AddressFamily::UNIX)
}

/// Sends the bytes, which are few enough for a fresh socket's buffer. One that has hung up is no SIGPIPE.
///
/// # Errors
/// What send(2) gives; `WriteZero` if not all were taken.
pub fn send_all(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    let sent = retry_on_intr(|| rustix::net::send(socket, bytes, SendFlags::NOSIGNAL))?;
    match sent == bytes.len() {
        true => Ok(()),
        false => Err(io::ErrorKind::WriteZero.into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::net::TcpListener;
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixDatagram, UnixListener};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::super::testing::{Scratch, alone};
    use super::*;

    fn inet(listener: &TcpListener) -> Address {
        Address::Inet(listener.local_addr().unwrap())
    }

    /// What becomes of it in the end.
    fn settled(socket: &OwnedFd) -> io::Result<Connected> {
        loop {
            match outcome(socket.as_fd()) {
                Ok(Connected::Pending) => {
                    let patience = Timespec {
                        tv_sec: 10,
                        tv_nsec: 0,
                    };
                    let mut asked = [PollFd::new(socket, PollFlags::OUT)];
                    assert_eq!(poll(&mut asked, Some(&patience)).unwrap(), 1);
                }
                other => return other,
            }
        }
    }

    #[test]
    fn a_tcp_server_is_reached_or_not() {
        alone(
            "sys::connect::tests::a_tcp_server_is_reached_or_not",
            || {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = inet(&listener);
                let socket = begin(&address).unwrap();
                assert_eq!(settled(&socket).unwrap(), Connected::Yes);
                send_all(socket.as_fd(), b"hello").unwrap();
                drop(listener);
                let refused = match begin(&address) {
                    Ok(socket) => settled(&socket).unwrap_err(),
                    Err(error) => error,
                };
                assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            },
        );
    }

    #[test]
    fn a_local_socket_of_any_kind_is_reached() {
        alone(
            "sys::connect::tests::a_local_socket_of_any_kind_is_reached",
            || {
                let scratch = Scratch::new();
                let place =
                    |name: &str| Address::Local(scratch.path(name).to_str().unwrap().into());
                let error = begin(&place("stream")).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::NotFound);
                let listener = UnixListener::bind(scratch.path("stream")).unwrap();
                let _receiver = UnixDatagram::bind(scratch.path("datagram")).unwrap();
                for name in ["stream", "datagram"] {
                    let socket = begin(&place(name)).unwrap();
                    assert_eq!(outcome(socket.as_fd()).unwrap(), Connected::Yes, "{name}");
                }
                drop(listener);
                let error = begin(&place("stream")).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            },
        );
    }
}
