//! Memory that runs out, and limits that change while a service runs.
//!
//! `OOMPolicy=` is systemd.service(5)'s: `stop` ends the run in order, `kill` has the kernel kill all of it at once,
//! `continue` leaves the service to itself. Each of them ends as `oom-kill` where the main process was the victim.

use crate::unit::{OomPolicy, Resources};

use super::phase::{End, Phase, Why};
use super::{Engine, Failure, UnitId};

impl Engine {
    /// The kernel has killed a process of a unit that is up, or coming up.
    pub(super) fn out_of_memory(&mut self, unit: UnitId) {
        let Some(definition) = self.definition(unit) else {
            return;
        };
        let given = definition.resources.as_deref();
        let policy = given.map_or(OomPolicy::Stop, Resources::oom_policy);
        let has_main = self.phase(unit).and_then(Phase::main).is_some();
        match policy {
            OomPolicy::Continue => {}
            // The end of the main process says all.
            OomPolicy::Kill if has_main => {}
            OomPolicy::Kill | OomPolicy::Stop => {
                self.end_run(unit, End::new(Why::Failed(Failure::OutOfMemory), None));
            }
        }
    }

    /// Other limits are in force; they are part of the definition until that is read anew.
    pub(super) fn limited(&mut self, unit: UnitId, resources: Option<Box<Resources>>) {
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        if let Some(definition) = service.unit.service.as_deref_mut() {
            definition.resources = resources;
            self.changed.insert(unit);
        }
    }
}
