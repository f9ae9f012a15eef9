//! Our children and who descends from them: where there is no cgroup, a service's processes are found from here.
//!
//! This process adopts orphans, so that every process of its services descends from one of its children, and all that
//! descend from one child belong together. Owns the list of children and what is remembered of them: a child's mark is
//! read once, since only we can make room for another process with its number, by reaping it. Decides nothing.

use std::collections::BTreeMap;

use crate::sorted::Sorted;

use super::census::Census;
use super::proc::{self, Mark, Stat};
use super::process::Pid;

/// Our children at one moment, ended ones included, with the mark of each that was seen to have one; and everybody,
/// where that was asked for.
#[derive(Debug, Default)]
pub struct Kin {
    children: BTreeMap<Pid, Option<u64>>,
    census: Option<Census>,
}

/// A process, told from any other with its number by when it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    pub pid: Pid,
    pub start_ticks: u64,
}

impl Member {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            pid: stat.pid,
            start_ticks: stat.start_ticks,
        }
    }

    /// Whether this number is still this process's.
    #[must_use]
    pub fn is_there(self) -> bool {
        proc::stat(self.pid).is_ok_and(|stat| stat.start_ticks == self.start_ticks)
    }
}

impl Kin {
    /// As it is now, with nothing remembered.
    #[must_use]
    pub fn fresh() -> Self {
        Self {
            children: ours().map(|pid| (pid, None)).sorted_map(),
            census: None,
        }
    }

    /// Brings it up to date.
    pub fn refresh(&mut self) {
        let before = std::mem::take(&mut self.children);
        let mark = |pid: Pid| match before.get(&pid) {
            Some(Some(mark)) => Some(*mark),
            Some(None) | None => proc::lock_limit(pid).filter(|limit| proc::is_mark(*limit)),
        };
        self.children = ours().map(|pid| (pid, mark(pid))).sorted_map();
    }

    /// Everybody, since the last [`Self::look_anew`].
    pub fn census(&mut self) -> &Census {
        self.census.get_or_insert_with(Census::take)
    }

    /// What was seen of everybody is out of date.
    pub fn look_anew(&mut self) {
        self.census = None;
    }

    /// These were reaped: their numbers may be other processes' from now on.
    pub fn forget(&mut self, reaped: &[Pid]) {
        for pid in reaped {
            self.children.remove(pid);
        }
    }

    /// Those of a service's living processes that are our children: while there is one of its processes, there is one
    /// of these. `roots` are processes that were started for it, living or not; no process that was there before
    /// `since_ms` (`CLOCK_BOOTTIME`) bears one of its marks.
    #[must_use]
    pub fn heads(&self, roots: &[Pid], marks: &[Mark], since_ms: u64) -> Vec<Member> {
        let heads = self.children.iter().filter_map(|(pid, mark)| {
            match mark {
                Some(mark) if !marks.iter().any(|own| own.lock_limit == *mark) => return None,
                Some(_) | None => {}
            }
            let stat = proc::stat(*pid).ok()?;
            // The first thread may have ended before the others.
            let is_alive = !stat.is_dead() || stat.threads > 1;
            // A root that was reaped may have left its number to another service's process.
            let is_known = || {
                let mut both = [Some(*pid), stat.session].into_iter().flatten();
                both.any(|pid| roots.contains(&pid))
                    && !proc::is_anothers(proc::lock_limit(*pid), marks)
            };
            let is_marked = || {
                !stat.began_before(since_ms) && proc::is_marked(*pid, proc::lock_limit(*pid), marks)
            };
            let belongs = is_alive && (mark.is_some() || is_known() || is_marked());
            belongs.then(|| Member::of(&stat))
        });
        heads.collect()
    }
}

/// These and all that descend from them, living ones only.
#[must_use]
pub fn with_descendants(heads: Vec<Member>) -> Vec<Member> {
    let mut found = heads;
    let mut done = 0;
    while let Some(parent) = found.get(done).map(|member| member.pid) {
        done += 1;
        for pid in proc::children(parent).unwrap_or_default() {
            let child = proc::stat(pid).ok();
            // One whose number has passed to a stranger meanwhile has another parent.
            let child = child.filter(|stat| stat.ppid == Some(parent) && !stat.is_dead());
            found.extend(child.as_ref().map(Member::of));
        }
    }
    found
}

fn ours() -> impl Iterator<Item = Pid> {
    let children = proc::children(Pid::current());
    children.unwrap_or_default().into_iter()
}
