//! The one table of deadlines. Each phase that waits for time has exactly one; nobody else waits for anything.

use std::collections::{BTreeMap, BTreeSet};

use super::{Moment, UnitId};

#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeMap<UnitId, Moment>,
    /// Those that can pass.
    order: BTreeSet<(Moment, UnitId)>,
    /// Units whose time stands still, and since when.
    held: BTreeMap<UnitId, Moment>,
}

impl Timers {
    /// Arms the unit's deadline, or with `None` disarms it.
    pub(super) fn set(&mut self, unit: UnitId, at: Option<Moment>) {
        if let Some(old) = self.due.remove(&unit) {
            self.order.remove(&(old, unit));
        }
        if let Some(at) = at {
            self.due.insert(unit, at);
            if !self.held.contains_key(&unit) {
                self.order.insert((at, unit));
            }
        }
    }

    /// The unit's deadline; of one whose time stands still, as if it had not.
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

    /// The unit's time stands still since then: its deadline does not pass.
    pub(super) fn hold(&mut self, unit: UnitId, since: Moment) {
        self.held.entry(unit).or_insert(since);
        if let Some(at) = self.due.get(&unit) {
            self.order.remove(&(*at, unit));
        }
    }

    /// The unit's time goes on: its deadline is so much later as it stood still.
    pub(super) fn release(&mut self, unit: UnitId, now: Moment) {
        let Some(since) = self.held.remove(&unit) else {
            return;
        };
        if let Some(at) = self.get(unit) {
            self.set(unit, Some(at.plus_ms(now.since_ms(since))));
        }
    }
}
