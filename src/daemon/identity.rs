//! Names that are never mistaken: for a process, for one life of a service.

use crate::sys::proc;
use crate::sys::process::{Pid, PidFd};

use super::environment::Invocation;

/// By what number a process is told from every other of this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identities {
    /// The inode of its pidfd, of which each process has its own since Linux 6.9.
    Inode,
    /// When it was started.
    StartTime,
}

impl Identities {
    pub(super) fn of_this_kernel() -> Self {
        let inode = |pid: Pid| PidFd::open(pid).and_then(|pidfd| pidfd.inode()).ok();
        let first = Pid::from_raw(1).and_then(inode);
        let ours = inode(Pid::current());
        if first.is_some() && ours.is_some() && first != ours {
            Self::Inode
        } else {
            Self::StartTime
        }
    }

    /// The number of one process; 0 where it is gone.
    pub(super) fn of(self, pid: Pid, pidfd: &PidFd) -> u64 {
        match self {
            Self::Inode => pidfd.inode().unwrap_or(0),
            Self::StartTime => proc::stat(pid).map_or(0, |stat| stat.start_ticks),
        }
    }
}

/// Numbers for invocations: a random base, and a count that is never used twice.
#[derive(Debug)]
pub(super) struct Invocations {
    base: u128,
    count: u128,
}

impl Invocations {
    pub(super) fn new() -> Self {
        // The library's per-process keys are random, which is enough: the numbers are to differ, not to be secret.
        let half = || {
            use std::hash::{BuildHasher, Hasher};
            u128::from(std::hash::RandomState::new().build_hasher().finish())
        };
        Self {
            base: half() << 64 | half(),
            count: 0,
        }
    }

    pub(super) fn next(&mut self) -> Invocation {
        // An odd factor: no two counts give the same number, and neighbours look nothing alike.
        const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
        self.count = self.count.wrapping_add(1);
        Invocation::from_number(self.base.wrapping_add(self.count.wrapping_mul(FACTOR)))
    }
}
