//! Descriptors that other processes have sent us.
//!
//! Owns what is done with them without touching what is behind them, which may be anything: a file system that never
//! answers, a connection that lingers. What they are for is the caller's.
//!
//! That a child closes one is never waited for; that it has begun to is, for a moment at most: until then whoever is
//! made beside it has a copy.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

use nix::libc;

use super::alarm::Alarm;
use super::birth::beside_us;
use super::clock;
use super::poll::wait_readable;
use super::process::PidFd;

/// Children that close at a time. More than one, so that what never ends holds up nobody else's at first.
const CHILDREN_MAX: usize = 16;
/// How long children that were made are waited for at most until they have come to run, in milliseconds.
const TAKEN_MS: u64 = 100;
/// How often it is looked whether it has, where it does not end at once, in milliseconds.
const LOOK_MS: u64 = 1;
/// How long after no child could be made it is tried again, in milliseconds.
const AGAIN_MS: u64 = 1_000;
/// What may wait for them before no more is to be taken: about as much as one datagram brings along.
const WAITING_MAX: usize = 256;

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

/// Closes descriptors without waiting, however long it takes: children do, a few at a time, one descriptor each. What
/// no child has taken waits. We never close it ourselves, not even when this is dropped. What a child has taken is open
/// here no more, so that no process that is made later has a copy, which it would have to close.
///
/// Whoever is about to become another program has to see to it that [`Closers::are_done`]: it would close what waits.
#[derive(Debug, Default)]
pub struct Closers {
    children: Vec<Closer>,
    /// What no child has taken yet.
    waiting: Vec<OwnedFd>,
    /// When a child is to be tried again, since none could be made; monotonic.
    again_ms: Option<u64>,
}

/// One child.
#[derive(Debug)]
struct Closer {
    handle: PidFd,
    /// What it is to close, until it is known to have begun. Then nobody finds it open any more, however long it takes
    /// to be closed.
    number: Option<RawFd>,
}

impl Closers {
    /// Has them closed, or lets them wait until a child is free.
    pub fn close(&mut self, fds: impl IntoIterator<Item = OwnedFd>) {
        self.waiting.extend(fds);
        self.go_on();
    }

    /// When what waits is to be tried again by [`Closers::go_on_if_due`], monotonic milliseconds; nothing while a child
    /// that ends tells that, or nothing waits.
    #[must_use]
    pub fn again_ms(&self) -> Option<u64> {
        self.again_ms
    }

    /// As [`Closers::go_on`], if that is due.
    pub fn go_on_if_due(&mut self) {
        let is_due = |again_ms| again_ms <= clock::monotonic_ms();
        if self.again_ms.is_some_and(is_due) {
            self.go_on();
        }
    }

    /// Has closed what waits, as far as it can be; to be called when a child has ended.
    pub fn go_on(&mut self) {
        let is_busy = |child: &Closer| {
            let ended = wait_readable(&[child.handle.as_fd()], Some(0));
            !ended.is_ok_and(|ended| ended.contains(&true))
        };
        let deadline_ms = clock::monotonic_ms().saturating_add(TAKEN_MS);
        self.again_ms = None;
        loop {
            self.children.retain(is_busy);
            let has_made = self.make_children();
            self.await_taken(deadline_ms);
            let is_late = clock::monotonic_ms() >= deadline_ms;
            if !has_made || self.waiting.is_empty() || is_late {
                return;
            }
        }
    }

    /// As many as there may be and are wanted. Whether there are any new ones.
    fn make_children(&mut self) -> bool {
        let before = self.children.len();
        while self.children.len() < CHILDREN_MAX
            && let Some(fd) = self.waiting.pop()
        {
            let number = fd.as_raw_fd();
            let closes = || {
                let _alarm = Alarm::new();
                close_one(number);
            };
            let Ok(handle) = beside_us(closes) else {
                self.waiting.push(fd);
                self.again_ms = Some(clock::monotonic_ms().saturating_add(AGAIN_MS));
                break;
            };
            self.children.push(Closer {
                handle,
                number: Some(number),
            });
            // It is the child's. Its number comes to mean nothing else before the child has closed it, once.
            let _ = fd.into_raw_fd();
        }
        self.children.len() > before
    }

    /// That they have closed it, which may take for ever, is not waited for.
    fn await_taken(&mut self, deadline_ms: u64) {
        let mut can_wait = true;
        loop {
            can_wait &= clock::monotonic_ms() < deadline_ms;
            for child in &mut self.children {
                child.number = child.number.filter(|fd| can_wait && is_open(*fd));
            }
            let handles = self.handles(|child| child.number.is_some());
            if handles.is_empty() {
                return;
            }
            can_wait = wait_readable(&handles, Some(LOOK_MS)).is_ok();
        }
    }

    /// Whether so much waits that nothing should be taken that is to be closed later.
    #[must_use]
    pub fn are_full(&self) -> bool {
        self.waiting.len() >= WAITING_MAX
    }

    /// Whether all is closed.
    pub fn are_done(&mut self) -> bool {
        self.go_on();
        self.children.is_empty() && self.waiting.is_empty()
    }

    /// Waits until all is closed, at most `timeout_ms` milliseconds. Whether it is. A child that goes on has then, as
    /// far as one can see, no descriptor left that a copy of us would get.
    pub fn settle(&mut self, timeout_ms: u64) -> bool {
        let deadline_ms = clock::monotonic_ms().saturating_add(timeout_ms);
        while !self.are_done() {
            let rest_ms = deadline_ms.saturating_sub(clock::monotonic_ms());
            let children = self.handles(|_| true);
            if rest_ms == 0 || wait_readable(&children, Some(rest_ms)).is_err() {
                return false;
            }
        }
        true
    }

    fn handles(&self, is_meant: impl Fn(&Closer) -> bool) -> Vec<BorrowedFd<'_>> {
        let meant = self.children.iter().filter(|child| is_meant(child));
        meant.map(|child| child.handle.as_fd()).collect()
    }

    /// In a copy of the process that this was made in: what waits is open here, too, and the children are not ours.
    #[must_use]
    pub fn in_copy(mut self) -> Self {
        Self {
            children: Vec::new(),
            waiting: std::mem::take(&mut self.waiting),
            again_ms: self.again_ms,
        }
    }
}

impl Drop for Closers {
    fn drop(&mut self) {
        for fd in self.waiting.drain(..) {
            let _ = fd.into_raw_fd();
        }
    }
}

/// In the child.
fn close_one(fd: RawFd) {
    // SAFETY: an integer. The parent has handed it over for this, and uses it no more.
    unsafe { libc::close(fd) };
}

fn is_open(number: RawFd) -> bool {
    // SAFETY: integers only.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    flags != -1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use rustix::event::{EventfdFlags, eventfd};
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::super::files;
    use super::super::testing::{alone, become_ordinary, lingering};
    use super::*;

    /// What a test waits for at most, in milliseconds.
    const LONG_MS: u64 = 60_000;

    /// Closers whose children cannot end before the other side of this pipe is closed; they stand for file systems that
    /// never answer.
    fn stuck(reader: &OwnedFd) -> Closers {
        let mut closers = Closers::default();
        while closers.children.len() < CHILDREN_MAX {
            let stuck = || drop(wait_readable(&[reader.as_fd()], None));
            closers.children.push(Closer {
                handle: beside_us(stuck).unwrap(),
                number: None,
            });
        }
        closers
    }

    fn is_ended(fd: &OwnedFd) -> bool {
        wait_readable(&[fd.as_fd()], Some(0)).unwrap() == [true]
    }

    #[test]
    fn an_end_that_takes_long_is_not_waited_for_and_ends() {
        alone(
            "sys::received::tests::an_end_that_takes_long_is_not_waited_for_and_ends",
            || {
                let (sockets, _peers): (Vec<_>, Vec<_>) = (0..20).map(|_| lingering()).unzip();
                let numbers: Vec<RawFd> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
                let mut closers = Closers::default();
                closers.close(sockets);
                assert!(closers.settle(LONG_MS));
                assert!(!numbers.into_iter().any(is_open), "they are closed here");
            },
        );
    }

    #[test]
    fn what_never_ends_costs_so_many_children_and_then_waits() {
        alone(
            "sys::received::tests::what_never_ends_costs_so_many_children_and_then_waits",
            || {
                let (reader, writer) = files::pipe().unwrap();
                let mut closers = stuck(&reader);
                let (far, near) = files::pipe().unwrap();
                for count in 0..WAITING_MAX {
                    assert!(!closers.are_full(), "{count}");
                    closers.close([near.try_clone().unwrap()]);
                }
                drop(near);
                assert_eq!(closers.children.len(), CHILDREN_MAX);
                assert!(closers.are_full() && !closers.settle(1) && !is_ended(&far));
                drop(writer);
                assert!(closers.settle(LONG_MS));
                assert!(is_ended(&far) && !closers.are_full());
            },
        );
    }

    #[test]
    fn more_than_there_may_be_children_are_closed_in_one_go() {
        alone(
            "sys::received::tests::more_than_there_may_be_children_are_closed_in_one_go",
            || {
                let (readers, writers): (Vec<_>, Vec<_>) = (0..4 * CHILDREN_MAX)
                    .map(|_| files::pipe().unwrap())
                    .unzip();
                let mut closers = Closers::default();
                let begun_ms = clock::monotonic_ms();
                closers.close(writers);
                // Where the machine has had no time for the children, nobody waits any longer.
                let is_late = clock::monotonic_ms() >= begun_ms + TAKEN_MS;
                let all_ended = || readers.iter().all(is_ended);
                assert!(is_late || (closers.waiting.is_empty() && all_ended()));
                assert!(closers.settle(LONG_MS) && all_ended());
            },
        );
    }

    #[test]
    fn nobody_who_is_made_after_it_was_taken_gets_a_copy() {
        alone(
            "sys::received::tests::nobody_who_is_made_after_it_was_taken_gets_a_copy",
            || {
                for _ in 0..100 {
                    let (_reader, writer) = files::pipe().unwrap();
                    let number = writer.as_raw_fd();
                    let mut closers = Closers::default();
                    let begun_ms = clock::monotonic_ms();
                    closers.close([writer]);
                    // Where the machine has had no time for the child, nobody waits any longer.
                    let is_late = clock::monotonic_ms() >= begun_ms + TAKEN_MS;
                    assert!(is_late || !is_open(number));
                }
                let (reader, _writer) = files::pipe().unwrap();
                let mut closers = stuck(&reader);
                closers.children[0].number = Some(reader.as_raw_fd());
                closers.go_on();
                assert!(closers.children.iter().all(|child| child.number.is_none()));
                assert_eq!(closers.children.len(), CHILDREN_MAX);
            },
        );
    }

    #[test]
    fn what_waits_is_never_closed_by_us() {
        alone(
            "sys::received::tests::what_waits_is_never_closed_by_us",
            || {
                let (reader, _writer) = files::pipe().unwrap();
                let mut closers = stuck(&reader);
                let (far, near) = files::pipe().unwrap();
                closers.close([near]);
                let mut copy = closers.in_copy();
                assert!(!is_ended(&far), "the copy has it");
                assert!(copy.settle(LONG_MS));
                assert!(is_ended(&far), "and children of its own");

                let mut closers = stuck(&reader);
                let (far, near) = files::pipe().unwrap();
                closers.close([near]);
                drop(closers);
                assert!(!is_ended(&far), "it is left open");
            },
        );
    }

    #[test]
    fn where_no_child_can_be_made_it_waits_until_one_can() {
        alone(
            "sys::received::tests::where_no_child_can_be_made_it_waits_until_one_can",
            || {
                become_ordinary();
                let most = getrlimit(Resource::Nproc).maximum;
                let set = |current| {
                    let limit = Rlimit {
                        current,
                        maximum: most,
                    };
                    setrlimit(Resource::Nproc, limit).unwrap();
                };
                let (far, near) = files::pipe().unwrap();
                let mut closers = Closers::default();
                set(Some(0));
                closers.close([near]);
                assert!(!is_ended(&far) && closers.children.is_empty());
                let again_ms = closers.again_ms().unwrap();
                set(most);
                // Nothing else ever tells that one can be made.
                let rest_ms = again_ms.saturating_sub(clock::monotonic_ms());
                assert!(rest_ms <= AGAIN_MS);
                let (never, _writer) = files::pipe().unwrap();
                wait_readable(&[never.as_fd()], Some(rest_ms)).unwrap();
                closers.go_on_if_due();
                assert_eq!(closers.children.len(), 1);
                assert_eq!(closers.again_ms(), None);
                assert!(closers.settle(LONG_MS));
                assert!(is_ended(&far));
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
