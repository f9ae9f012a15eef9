//! Units that there are no more: what a command line has described, and somebody has cleared.
//!
//! Owns when that can be. Ids are never used again, so that whatever is still told of it means nothing.

use std::collections::BTreeSet;

use crate::sorted::Sorted;

use super::{Engine, UnitId};

impl Engine {
    /// Forgets those of the units that rest. One of which a request is still to be answered stays.
    pub(super) fn on_forgotten(&mut self, units: &[UnitId]) {
        let open = self.requests.open.values();
        let asked: BTreeSet<UnitId> = open.flat_map(|open| &open.units).copied().sorted_set();
        let rests = |unit: &UnitId| {
            self.service(*unit)
                .is_some_and(|service| service.kind().rests())
        };
        let gone = units.iter().filter(|unit| !asked.contains(unit));
        let gone: BTreeSet<UnitId> = gone.copied().filter(rests).sorted_set();
        if gone.is_empty() {
            return;
        }
        for unit in &gone {
            // Whoever comes after it, or needs it, looks again.
            self.work.extend(self.graph.neighbours(*unit));
            for timers in [
                &mut self.timers,
                &mut self.watchdogs,
                &mut self.runtimes,
                &mut self.upholds,
            ] {
                timers.set(*unit, None);
            }
            if let Some(service) = self.services.remove(unit) {
                self.names.remove(&service.unit.name);
            }
        }
        self.work.retain(|unit| !gone.contains(unit));
        self.changed.retain(|unit| !gone.contains(unit));
        self.unsaved.retain(|unit| !gone.contains(unit));
        self.held_back.retain(|unit| !gone.contains(unit));
        // What was left alive on purpose is nobody's.
        self.runs.retain(|_, owner| !gone.contains(owner));
        self.rebuild_graph();
    }
}
