//! A process that a predecessor brought about and had no time to write down: it was born, and the daemon was killed
//! before its PID was saved.
//!
//! Such a one must not get a twin. It is found by its group, its age and its session, since each process that we start
//! leads a session of its own.

use crate::engine::{FactRun, UnitId};
use crate::sys::proc::Stat;
use crate::sys::process::{Pid, PidFd};
use crate::sys::{clock, proc};
use crate::wire::Saved;

use super::processes::Processes;

const SIGKILL: i32 = 9;
/// A process's age is counted in ticks of the kernel, which are so long at most, in milliseconds.
const TICK_MS: u64 = 20;
const LOOKS_MAX: usize = 4;

impl Processes {
    /// The process of a run that was wished for and has no PID yet, if it was born after all. Where several could be
    /// it, all are killed: they are of this start, and it begins anew. To be called when the unit's group is open
    /// again.
    pub(super) fn find_newborn(
        &self,
        unit: UnitId,
        run: FactRun,
        saved: &Saved,
    ) -> Option<(Pid, PidFd, u64)> {
        if run.pid.is_some() || !run.role.begins() {
            return None;
        }
        // One that ends between two looks is found by the next, as what it is then.
        (0..LOOKS_MAX)
            .find_map(|_| self.look_for_newborn(unit, saved))
            .flatten()
    }

    /// One look; nothing if it has to be repeated.
    fn look_for_newborn(&self, unit: UnitId, saved: &Saved) -> Option<Option<(Pid, PidFd, u64)>> {
        let young = self.young_members(unit, saved);
        let leaders: Vec<Pid> = young.iter().copied().filter(|pid| leads(*pid)).collect();
        if leaders.is_empty()
            && let Some(ended) = self.find_ended(unit, saved)
        {
            return Some(Some(ended));
        }
        match (young.as_slice(), leaders.as_slice()) {
            ([], _) => Some(None),
            ([one], _) | (_, [one]) => {
                let pidfd = PidFd::open(*one).ok()?;
                let identity = self.identities.of(*one, &pidfd);
                // Looked for again while it is held: its number has not passed to another.
                let is_still = self.young_members(unit, saved).contains(one);
                is_still.then_some(Some((*one, pidfd, identity)))
            }
            _ => {
                for pidfd in young.into_iter().filter_map(|pid| PidFd::open(pid).ok()) {
                    // One that has ended meanwhile is what is wanted.
                    let _ = pidfd.signal(SIGKILL);
                }
                Some(None)
            }
        }
    }

    /// The process that was born, has ended since, and was reaped by nobody: how it ended can still be learnt. It is
    /// known by the mark of this life of the service.
    fn find_ended(&self, unit: UnitId, saved: &Saved) -> Option<(Pid, PidFd, u64)> {
        let limit = self.holds.get(&unit)?.invocation.mark().lock_limit;
        let parents = [Some(Pid::current()), self.keeper.guardian()];
        let children = parents.into_iter().flatten().map(proc::children);
        let is_it = |pid: &Pid| {
            let is_it = |stat: Stat| stat.is_dead() && is_young(stat, saved) && leads(*pid);
            proc::stat(*pid).is_ok_and(is_it) && proc::lock_limit(*pid) == Some(limit)
        };
        let ended = children.flat_map(Result::unwrap_or_default).filter(is_it);
        let held = ended.filter_map(|pid| {
            let pidfd = PidFd::open(pid).ok()?;
            let identity = self.identities.of(pid, &pidfd);
            let is_known = saved.inodes.iter().any(|(_, known)| *known == identity);
            // Looked at again while it is held: its number has not passed to another.
            (!is_known && is_it(&pid)).then_some((pid, pidfd, identity))
        });
        let mut found: Vec<_> = held.collect();
        let one = found.pop();
        one.filter(|_| found.is_empty())
    }

    /// Members that were born since the unit began to start.
    fn young_members(&self, unit: UnitId, saved: &Saved) -> Vec<Pid> {
        let members = self
            .holds
            .get(&unit)
            .and_then(|hold| hold.group.members().ok());
        let is_young = |pid: &Pid| {
            let stat = proc::stat(*pid).ok().filter(|stat| !stat.is_dead());
            stat.is_some_and(|stat| is_young(stat, saved))
        };
        members
            .unwrap_or_default()
            .into_iter()
            .filter(is_young)
            .collect()
    }
}

/// Whether it was born since the unit began to start.
fn is_young(stat: Stat, saved: &Saved) -> bool {
    let suspended_ms = clock::boottime_ms().saturating_sub(clock::monotonic_ms());
    let since_ms = saved.facts.since.0.saturating_add(suspended_ms);
    stat.start_ticks * 1000 / proc::ticks_per_second() + TICK_MS >= since_ms
}

fn leads(pid: Pid) -> bool {
    proc::stat(pid).is_ok_and(|stat| stat.session == Some(pid))
}
