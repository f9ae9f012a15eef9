//! How many changes of a unit's state are told in the daemon's log: one that changes without end must not wash away
//! what is told of the others. The record has every change.

use std::collections::BTreeMap;

use crate::unit::UnitName;

/// Changes of one unit that are told within [`WINDOW_MS`].
const CHANGES_MAX: u32 = 1_000;
const FIRST_UNTOLD: u32 = CHANGES_MAX + 1;
/// In milliseconds.
const WINDOW_MS: u64 = 10_000;

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    Change,
    /// That the next ones are not told.
    Silence,
    Nothing,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pace {
    since_ms: u64,
    told: BTreeMap<UnitName, u32>,
}

impl Pace {
    /// What is told of a change at this time, in monotonic milliseconds.
    pub(super) fn of(&mut self, unit: &UnitName, now_ms: u64) -> Telling {
        if now_ms >= self.since_ms + WINDOW_MS {
            self.since_ms = now_ms;
            self.told.clear();
        }
        if let Some(told) = self.told.get_mut(unit) {
            *told = told.saturating_add(1);
            return match *told {
                ..=CHANGES_MAX => Telling::Change,
                FIRST_UNTOLD => Telling::Silence,
                _ => Telling::Nothing,
            };
        }
        self.told.insert(unit.clone(), 1);
        Telling::Change
    }
}
