//! The one table of deadlines. Each phase that waits for time has exactly one; nobody else waits for anything.

use std::collections::{BTreeMap, BTreeSet};

use super::{Moment, UnitId};

#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeMap<UnitId, Moment>,
    order: BTreeSet<(Moment, UnitId)>,
}

impl Timers {
    /// Arms the unit's deadline, or with `None` disarms it.
    pub(super) fn set(&mut self, unit: UnitId, at: Option<Moment>) {
        if let Some(old) = self.due.remove(&unit) {
            self.order.remove(&(old, unit));
        }
        if let Some(at) = at {
            self.due.insert(unit, at);
            self.order.insert((at, unit));
        }
        debug_assert_eq!(self.due.len(), self.order.len());
    }

    pub(super) fn get(&self, unit: UnitId) -> Option<Moment> {
        self.due.get(&unit).copied()
    }

    pub(super) fn next(&self) -> Option<Moment> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Disarms and gives the earliest deadline that is not later than `now`.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<UnitId> {
        let (at, unit) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.set(unit, None);
        Some(unit)
    }
}
