//! Descriptors that other processes have sent us.
//!
//! Owns what is asked of them without touching what is behind them, which may be anything. What they are for is the
//! caller's.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::os::fd::AsFd;

    use rustix::event::{EventfdFlags, eventfd};

    use super::*;

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
