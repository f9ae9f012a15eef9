//! Descriptors that other processes have sent us.
//!
//! Owns what is done with them without touching what is behind them, which may be anything: a file system that never
//! answers, a connection that lingers. What they are for is the caller's.

use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

use nix::libc;

use super::birth::beside_us;

/// Of kcmp(2).
const KCMP_FILE: libc::c_int = 0;

/// Whether both are copies of one descriptor, in whichever process they were made: the same open file description, not
/// just the same file. `None` where the kernel does not tell.
#[must_use]
pub fn is_same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> Option<bool> {
    // SAFETY: it has no arguments and cannot fail.
    let own = unsafe { libc::getpid() };
    let (one, other) = (one.as_raw_fd(), other.as_raw_fd());
    // SAFETY: five integers; both descriptors are borrowed, so that they are open.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, own, own, KCMP_FILE, one, other) };
    (order >= 0).then_some(order == 0)
}

/// Closes them without waiting, however long it takes: a child does, and ends with that. Where none can be made, we
/// have to do it.
pub fn close(fds: Vec<OwnedFd>) {
    if fds.is_empty() {
        return;
    }
    let closes = || {
        for fd in &fds {
            close_one(fd.as_raw_fd());
        }
    };
    if beside_us(closes).is_ok() {
        // They are the child's. No number comes to mean something else before the child has closed it, once.
        for fd in fds {
            let _ = fd.into_raw_fd();
        }
    }
}

/// In the child.
fn close_one(fd: RawFd) {
    // SAFETY: an integer. The parent has handed it over for this, and uses it no more.
    unsafe { libc::close(fd) };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::ptr;
    use std::time::Duration;

    use rustix::event::{EventfdFlags, eventfd};
    use rustix::net::sockopt::set_socket_linger;

    use super::super::testing::alone;
    use super::*;

    /// Nobody reads what is still to be sent, and the socket's end waits for that.
    #[test]
    fn an_end_that_takes_long_is_not_waited_for() {
        alone(
            "sys::received::tests::an_end_that_takes_long_is_not_waited_for",
            || {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let mut socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let (peer, _) = listener.accept().unwrap();
                socket.set_nonblocking(true).unwrap();
                while socket.write(&[0; 65_536]).is_ok() {}
                set_socket_linger(&socket, Some(Duration::from_secs(1_000))).unwrap();
                let number = socket.as_raw_fd();
                close(vec![socket.into()]);

                // SAFETY: no status is asked for.
                let ended = || unsafe { libc::waitpid(-1, ptr::null_mut(), libc::WNOHANG) };
                assert_eq!(ended(), 0, "it waits");
                drop((listener, peer));
                // SAFETY: as above.
                let ended = unsafe { libc::waitpid(-1, ptr::null_mut(), 0) };
                assert!(ended > 0);
                // SAFETY: integers only.
                let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
                assert_eq!(flags, -1, "it is closed here as well");
            },
        );
    }

    #[test]
    fn copies_are_the_same_and_twins_are_not() {
        let (one, other) = (
            eventfd(0, EventfdFlags::CLOEXEC).unwrap(),
            eventfd(0, EventfdFlags::CLOEXEC).unwrap(),
        );
        let copy = one.try_clone().unwrap();
        // A sandbox may keep us from asking.
        if let Some(same) = is_same(one.as_fd(), copy.as_fd()) {
            assert!(same);
            assert_eq!(is_same(one.as_fd(), other.as_fd()), Some(false));
        }
    }
}
