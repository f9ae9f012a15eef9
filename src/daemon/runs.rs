//! The processes that are watched, each by the number of its run, and found by its unit as well.
//!
//! Owns the two ways to find them: a unit has a few, all units together thousands, and most questions are about one
//! unit. What a run is, and what becomes of it, is `processes.rs`'s.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{RunId, UnitId};

use super::processes::Run;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Runs {
    by_id: BTreeMap<RunId, Run>,
    by_unit: BTreeSet<(UnitId, RunId)>,
}

impl Runs {
    pub(super) fn get(&self, id: RunId) -> Option<&Run> {
        self.by_id.get(&id)
    }

    /// The run stays its unit's.
    pub(super) fn get_mut(&mut self, id: RunId) -> Option<&mut Run> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn insert(&mut self, id: RunId, run: Run) {
        self.by_unit.insert((run.unit, id));
        self.by_id.insert(id, run);
    }

    pub(super) fn remove(&mut self, id: RunId) -> Option<Run> {
        let run = self.by_id.remove(&id)?;
        self.by_unit.remove(&(run.unit, id));
        Some(run)
    }

    /// All of them, the oldest first.
    pub(super) fn values(&self) -> impl Iterator<Item = &Run> {
        self.by_id.values()
    }

    /// Those of one unit, the oldest first.
    pub(super) fn of(&self, unit: UnitId) -> impl DoubleEndedIterator<Item = (RunId, &Run)> {
        let all = self
            .by_unit
            .range((unit, RunId(0))..=(unit, RunId(u64::MAX)));
        all.filter_map(|(_, id)| Some((*id, self.by_id.get(id)?)))
    }

    pub(super) fn has(&self, unit: UnitId) -> bool {
        self.of(unit).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use mio::Token;

    use super::*;
    use crate::engine::Role;
    use crate::sys::process::{Pid, PidFd};

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
