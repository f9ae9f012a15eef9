//! What must hold between two events, whatever happened: checked after each one where assertions are on.

use super::phase::Goal;
use super::{Engine, FactPhase};

impl Engine {
    /// What must hold between two events.
    pub(super) fn check(&self) {
        assert!(
            self.work.is_empty() && self.batch.is_empty(),
            "an event is worked off whole"
        );
        for (id, service) in &self.services {
            let kind = service.kind();
            assert_eq!(
                service.shown,
                service.state(),
                "{}: published",
                service.unit.name
            );
            if kind.rests() {
                assert_eq!(service.goal, Goal::Down, "{} rests", service.unit.name);
                assert_eq!(self.timers.get(*id), None, "{} rests", service.unit.name);
            }
            if kind == FactPhase::Backoff {
                assert!(
                    self.timers.get(*id).is_some(),
                    "{} backs off",
                    service.unit.name
                );
            }
            for run in [service.phase.main(), service.phase.control()]
                .into_iter()
                .flatten()
            {
                assert_eq!(
                    self.runs.get(&run.id),
                    Some(id),
                    "{}: {run:?}",
                    service.unit.name
                );
            }
        }
    }
}
