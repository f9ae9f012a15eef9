//! The processes that are watched, each by the number of its run, and found by its unit as well.
//!
//! Owns what is kept of each, and the two ways to find them: a unit has a few, all units together thousands, and most
//! questions are about one unit. What becomes of a run is `processes.rs`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;

use mio::Token;

use crate::engine::{Role, RunId, SpawnFailure, UnitId};
use crate::sys::process::{Pid, PidFd};

use super::spawn::Objects;

/// One process that we watch until its end.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) unit: UnitId,
    pub(super) role: Role,
    pub(super) origin: Origin,
    pub(super) pid: Pid,
    pub(super) pidfd: PidFd,
    pub(super) exit: Token,
    /// Which process it is, for as long as the machine is up.
    pub(super) identity: u64,
    /// Until the program runs.
    pub(super) birth: Option<Box<Birth>>,
    /// The step that failed; told when the child is reaped.
    pub(super) failure: Option<SpawnFailure>,
}

impl Run {
    /// A process that lived before we knew of it: nothing of its birth is left to be told.
    pub(super) fn found(
        (unit, role): (UnitId, Role),
        (pid, pidfd): (Pid, PidFd),
        exit: Token,
        identity: u64,
    ) -> Self {
        Self {
            unit,
            role,
            origin: Origin::Found,
            pid,
            pidfd,
            exit,
            identity,
            birth: None,
            failure: None,
        }
    }
}

/// How we came to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was started as what it is, by us or by a predecessor.
    Spawned,
    /// It lived already: a forking service has left it behind, or a predecessor has.
    Found,
}

/// The pipe by which a newborn child reports.
#[derive(Debug)]
pub(super) struct Birth {
    pub(super) status: OwnedFd,
    pub(super) token: Token,
    pub(super) objects: Objects,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Runs {
    by_id: BTreeMap<RunId, Box<Run>>,
    by_unit: BTreeSet<(UnitId, RunId)>,
}

impl Runs {
    pub(super) fn get(&self, id: RunId) -> Option<&Run> {
        self.by_id.get(&id).map(Box::as_ref)
    }

    /// The run stays its unit's.
    pub(super) fn get_mut(&mut self, id: RunId) -> Option<&mut Run> {
        self.by_id.get_mut(&id).map(Box::as_mut)
    }

    pub(super) fn insert(&mut self, id: RunId, run: Run) {
        self.by_unit.insert((run.unit, id));
        self.by_id.insert(id, Box::new(run));
    }

    pub(super) fn remove(&mut self, id: RunId) -> Option<Run> {
        let run = self.by_id.remove(&id)?;
        self.by_unit.remove(&(run.unit, id));
        Some(*run)
    }

    /// All of them, the oldest first.
    pub(super) fn values(&self) -> impl Iterator<Item = &Run> {
        self.by_id.values().map(Box::as_ref)
    }

    /// Those of one unit, the oldest first.
    pub(super) fn of(&self, unit: UnitId) -> impl DoubleEndedIterator<Item = (RunId, &Run)> {
        let all = self
            .by_unit
            .range((unit, RunId(0))..=(unit, RunId(u64::MAX)));
        all.filter_map(|(_, id)| Some((*id, &**self.by_id.get(id)?)))
    }

    pub(super) fn has(&self, unit: UnitId) -> bool {
        self.of(unit).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_runs_of_a_unit_are_found_without_the_others() {
        let pid = Pid::current();
        let run = |unit: u64, role| {
            let held = (pid, PidFd::open(pid).unwrap());
            Run::found((UnitId(unit), role), held, Token(0), 0)
        };
        let mut runs = Runs::default();
        runs.insert(RunId(7), run(1, Role::Start));
        runs.insert(RunId(8), run(2, Role::Start));
        runs.insert(RunId(9), run(1, Role::Reload));
        let of =
            |runs: &Runs, unit| -> Vec<RunId> { runs.of(UnitId(unit)).map(|(id, _)| id).collect() };
        assert_eq!(of(&runs, 1), [RunId(7), RunId(9)]);
        assert!(runs.has(UnitId(2)) && !runs.has(UnitId(3)));
        assert!(runs.remove(RunId(7)).is_some() && runs.remove(RunId(7)).is_none());
        assert_eq!(of(&runs, 1), [RunId(9)]);
        assert_eq!(runs.values().count(), 2);
    }
}
