//! A unit that there is no more: what a command line has described, and somebody has cleared.
//!
//! Owns when that can be. Ids are never used again, so that whatever is still told of it means nothing.

use super::{Engine, UnitId};

impl Engine {
    /// Forgets a unit that rests. One of which a request is still to be answered stays.
    pub(super) fn on_forgotten(&mut self, unit: UnitId) {
        let rests = self
            .service(unit)
            .is_some_and(|service| service.kind().rests());
        let mut open = self.requests.open.values();
        if !rests || open.any(|open| open.units.contains(&unit)) {
            return;
        }
        // Whoever comes after it, or needs it, looks again.
        self.work.extend(self.graph.neighbours(unit));
        self.work.remove(&unit);
        self.changed.remove(&unit);
        self.held_back.remove(&unit);
        for timers in [
            &mut self.timers,
            &mut self.watchdogs,
            &mut self.runtimes,
            &mut self.upholds,
        ] {
            timers.set(unit, None);
        }
        // What was left alive on purpose is nobody's.
        self.runs.retain(|_, owner| *owner != unit);
        if let Some(service) = self.services.remove(&unit) {
            self.names.remove(&service.unit.name);
        }
        self.rebuild_graph();
    }
}
