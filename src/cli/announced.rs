//! What was announced of units while a client waits: the last thing of each, and the youngest of all.
//!
//! Owns the order. Thousands of units may be announced, and each taken back, so that nothing here looks at all of them
//! for one.

use std::collections::BTreeMap;

use crate::wire::{Progress, ProgressKind};

/// Comes before another one where a line has room for one only: a stop before anything else, then the youngest.
type Rank = (bool, u64);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Announced {
    ranks: BTreeMap<String, Rank>,
    /// Each with the moment it was announced.
    all: BTreeMap<Rank, (Progress, u64)>,
    /// How many were announced so far.
    last: u64,
}

impl Announced {
    /// In the place of what was announced of the same unit before.
    pub(super) fn add(&mut self, progress: Progress, at_ms: u64) {
        self.forget(&progress.unit);
        self.last += 1;
        let rank = (progress.kind == ProgressKind::Stopping, self.last);
        self.ranks.insert(progress.unit.clone(), rank);
        self.all.insert(rank, (progress, at_ms));
    }

    pub(super) fn forget(&mut self, unit: &str) {
        if let Some(rank) = self.ranks.remove(unit) {
            self.all.remove(&rank);
        }
    }

    /// The one to be shown, and when it was announced.
    pub(super) fn first(&self) -> Option<&(Progress, u64)> {
        self.all.values().next_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(kind: ProgressKind, unit: &str) -> Progress {
        Progress {
            kind,
            unit: unit.to_owned(),
            text: String::new(),
            in_ms: None,
        }
    }

    #[test]
    fn a_stop_comes_first_and_then_the_youngest() {
        let mut announced = Announced::default();
        let first =
            |announced: &Announced| announced.first().map(|(one, at)| (one.unit.clone(), *at));
        let is = |unit: &str, at: u64| Some((unit.to_owned(), at));
        announced.add(progress(ProgressKind::Waits, "a"), 1);
        announced.add(progress(ProgressKind::Stopping, "b"), 2);
        announced.add(progress(ProgressKind::Waits, "c"), 3);
        assert_eq!(first(&announced), is("b", 2));
        announced.add(progress(ProgressKind::Waits, "b"), 4);
        announced.add(progress(ProgressKind::Waits, "a"), 5);
        assert_eq!(first(&announced), is("a", 5));
        for unit in ["a", "nobody", "b"] {
            announced.forget(unit);
        }
        assert_eq!(first(&announced), is("c", 3));
        announced.forget("c");
        assert_eq!(first(&announced), None);
    }

    /// With a look at all of them for each, this would not end today.
    #[test]
    fn a_hundred_thousand_come_and_go() {
        let mut announced = Announced::default();
        let units: Vec<String> = (0..100_000).map(|number| format!("u{number}")).collect();
        for (unit, at_ms) in units.iter().zip(0..) {
            announced.add(progress(ProgressKind::Waits, unit), at_ms);
            assert_eq!(announced.first().map(|(_, at_ms)| *at_ms), Some(at_ms));
        }
        for unit in &units {
            announced.forget(unit);
        }
        assert!(announced.first().is_none());
    }
}
