//! Descriptors that other processes have sent us.
//!
//! Owns what is done with them without touching what is behind them, which may be anything: a file system that never
//! answers, a connection that lingers. What they are for is the caller's.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

use nix::libc;

use super::alarm::Alarm;
use super::birth::beside_us;
use super::poll::wait_readable;
use super::process::PidFd;

/// Children that close at a time. More than one, so that what never ends holds up nobody else's at first.
const CHILDREN_MAX: usize = 4;

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

/// Closes descriptors without waiting, however long it takes: children do, a few at a time, and end with that.
#[derive(Debug, Default)]
pub struct Closers {
    children: Vec<PidFd>,
    /// What no child has taken yet.
    waiting: Vec<OwnedFd>,
}

impl Closers {
    /// Has them closed, or lets them wait until a child is free.
    pub fn close(&mut self, fds: impl IntoIterator<Item = OwnedFd>) {
        self.waiting.extend(fds);
        self.go_on();
    }

    /// Has closed what waits, if it can be; to be called when a child has ended.
    pub fn go_on(&mut self) {
        if self.are_stuck() || self.waiting.is_empty() {
            return;
        }
        let fds = std::mem::take(&mut self.waiting);
        let closes = || {
            let _alarm = Alarm::new();
            for fd in &fds {
                close_one(fd.as_raw_fd());
            }
        };
        if let Ok(child) = beside_us(closes) {
            self.children.push(child);
            // They are the child's. No number comes to mean something else before the child has closed it, once.
            for fd in fds {
                let _ = fd.into_raw_fd();
            }
        } else {
            // Where no child can be made we have to do it.
            let _alarm = Alarm::new();
            drop(fds);
        }
    }

    /// Whether all that may close are at it: what is taken now, nobody closes soon.
    pub fn are_stuck(&mut self) -> bool {
        let is_busy = |child: &PidFd| {
            let ended = wait_readable(&[child.as_fd()], Some(0));
            !ended.is_ok_and(|ended| ended.contains(&true))
        };
        self.children.retain(is_busy);
        self.children.len() >= CHILDREN_MAX
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

    use rustix::event::{EventfdFlags, eventfd};

    use super::super::files;
    use super::super::testing::{alone, await_end, await_readable, lingering};
    use super::*;

    #[test]
    fn an_end_that_takes_long_is_not_waited_for_and_ends() {
        alone(
            "sys::received::tests::an_end_that_takes_long_is_not_waited_for_and_ends",
            || {
                let (sockets, _peers): (Vec<_>, Vec<_>) = (0..20).map(|_| lingering()).unzip();
                let numbers: Vec<RawFd> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
                let mut closers = Closers::default();
                closers.close(sockets);
                await_end(&closers.children[0]);
                for number in numbers {
                    // SAFETY: integers only.
                    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
                    assert_eq!(flags, -1, "it is closed here as well");
                }
            },
        );
    }

    /// Children that cannot end stand for file systems that never answer.
    #[test]
    fn what_never_ends_costs_a_few_children_and_then_waits() {
        alone(
            "sys::received::tests::what_never_ends_costs_a_few_children_and_then_waits",
            || {
                let (reader, writer) = files::pipe().unwrap();
                let mut closers = Closers::default();
                while !closers.are_stuck() {
                    let stuck = || drop(wait_readable(&[reader.as_fd()], None));
                    closers.children.push(beside_us(stuck).unwrap());
                }
                assert_eq!(closers.children.len(), CHILDREN_MAX);
                let (far, near) = files::pipe().unwrap();
                closers.close([near]);
                assert_eq!(
                    wait_readable(&[far.as_fd()], Some(0)).unwrap(),
                    [false],
                    "it waits"
                );
                drop(writer);
                for child in &closers.children {
                    await_end(child);
                }
                closers.go_on();
                await_readable(far.as_fd());
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
