//! A process that a predecessor brought about and had no time to write down: it was born, and the daemon was killed
//! before its PID was saved.
//!
//! Such a one must not get a twin. It is found by its life's mark or its group, its age and its session, since each
//! process that we start leads a session of its own.

use std::collections::BTreeMap;

use crate::engine::{FactRun, UnitId};
use crate::sorted;
use crate::sys::proc::Stat;
use crate::sys::process::{Pid, PidFd};
use crate::sys::{clock, proc};
use crate::wire::Saved;

use super::processes::Processes;

const SIGKILL: i32 = 9;
/// A process's age is counted in ticks of the kernel, which are so long at most, in milliseconds.
const TICK_MS: u64 = 20;
const LOOKS_MAX: usize = 4;

/// All processes that bear a mark, by the mark; looked up once, when the first newborn is sought: whoever died has no
/// more children.
#[derive(Debug, Default)]
pub(super) struct Scan(Option<BTreeMap<u64, Vec<Pid>>>);

impl Scan {
    fn bearers(&mut self, mark: u64) -> &[Pid] {
        let map = self.0.get_or_insert_with(|| {
            let mut map: BTreeMap<u64, Vec<Pid>> = BTreeMap::new();
            for pid in proc::all().into_iter().map(|stat| stat.pid) {
                if let Some(mark) = proc::lock_limit(pid) {
                    map.entry(mark).or_default().push(pid);
                }
            }
            map
        });
        map.get(&mark).map_or(&[], Vec::as_slice)
    }
}

/// Whom a look has found.
enum Look {
    Nobody,
    One(Pid),
    Several(Vec<Pid>),
}

impl Processes {
    /// The process of a run that was wished for and has no PID yet, if it was born after all, be it that it has ended
    /// since. Where several could be it, all are killed: they are of this start, and it begins anew. To be called when
    /// the unit's group is open again.
    pub(super) fn find_newborn(
        &self,
        unit: UnitId,
        run: FactRun,
        (saved, scan): (&Saved, &mut Scan),
    ) -> Option<(Pid, PidFd, u64)> {
        if !run.is_unborn(saved.facts.phase) {
            return None;
        }
        let mark = self.holds.get(&unit)?.invocation.mark().lock_limit;
        let bearers = scan.bearers(mark);
        // One that ends between two looks is found by the next, as what it is then.
        for _ in 0..LOOKS_MAX {
            match self.look(unit, saved, bearers) {
                Look::Nobody => return None,
                Look::One(pid) => {
                    let pidfd = PidFd::open(pid).ok()?;
                    let identity = self.identities.of(pid, &pidfd);
                    // Looked for again while it is held: its number has not passed to another.
                    if matches!(self.look(unit, saved, bearers), Look::One(same) if same == pid) {
                        return Some((pid, pidfd, identity));
                    }
                }
                Look::Several(pids) => {
                    let open = |pid: Pid| Some((pid, PidFd::open(pid).ok()?));
                    let held: Vec<(Pid, PidFd)> = pids.into_iter().filter_map(open).collect();
                    // Looked for again while they are held: their numbers have not passed to others.
                    let Look::Several(still) = self.look(unit, saved, bearers) else {
                        continue;
                    };
                    for (_, pidfd) in held.iter().filter(|(pid, _)| still.contains(pid)) {
                        // One that has ended meanwhile is what is wanted.
                        let _ = pidfd.signal(SIGKILL);
                    }
                    return None;
                }
            }
        }
        None
    }

    /// Looks among the members of the unit's group and those that `bear` its life's mark. A newborn has the mark at
    /// once, and enters its group and begins its session a moment later.
    fn look(&self, unit: UnitId, saved: &Saved, bear: &[Pid]) -> Look {
        let hold = self.holds.get(&unit);
        let members = hold.and_then(|hold| hold.group.members().ok());
        let mut pids = members.unwrap_or_default();
        pids.extend_from_slice(bear);
        sorted::sort(&mut pids);
        pids.dedup();
        let stats = pids.iter().filter_map(|pid| proc::stat(*pid).ok());
        let young = stats.filter(|stat| is_young(*stat, saved));
        let (dead, alive): (Vec<Stat>, Vec<Stat>) = young.partition(Stat::is_dead);
        let leads = |stat: &&Stat| stat.session == Some(stat.pid);
        let leaders: Vec<Pid> = alive.iter().filter(leads).map(|stat| stat.pid).collect();
        let ended = dead.iter().filter(leads).map(|stat| stat.pid);
        let ended: Vec<Pid> = ended.filter(|pid| !self.is_known(*pid, saved)).collect();
        match (leaders.as_slice(), ended.as_slice(), alive.as_slice()) {
            ([one], ..) | ([], [one], _) => Look::One(*one),
            ([], _, [one]) => Look::One(one.pid),
            ([], _, []) => Look::Nobody,
            _ => Look::Several(alive.iter().map(|stat| stat.pid).collect()),
        }
    }

    /// Whether it is written down already how this one ended.
    fn is_known(&self, pid: Pid, saved: &Saved) -> bool {
        let identity = PidFd::open(pid).map(|pidfd| self.identities.of(pid, &pidfd));
        let is = |identity| saved.inodes.iter().any(|(_, known)| *known == identity);
        identity.is_ok_and(is)
    }
}

/// Whether it was born since the unit began to start.
fn is_young(stat: Stat, saved: &Saved) -> bool {
    let suspended_ms = clock::boottime_ms().saturating_sub(clock::monotonic_ms());
    let since_ms = saved.facts.since.0.saturating_add(suspended_ms);
    stat.start_ticks * 1000 / proc::ticks_per_second() + TICK_MS >= since_ms
}
