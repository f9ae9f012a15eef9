//! What will follow once a stop has come to its end: who is needed by nobody then goes down too, and who is upheld
//! comes up again.
//!
//! Owns foreseeing it, for whoever stops units and for whoever plans to. That it does follow is `follow.rs`'s.

use std::collections::BTreeSet;

use crate::sorted::Sorted;

use super::job::Job;
use super::phase::Goal;
use super::plan::Plan;
use super::{Cause, Engine, Notice, RequestId, UnitId};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Foretold {
    /// They stop as unneeded, in this order.
    pub(super) unneeded: Vec<UnitId>,
    /// They are started again, each with who upholds it.
    pub(super) upheld: Vec<(UnitId, UnitId)>,
}

impl Engine {
    /// Tells who stops units what will follow once they are down.
    pub(super) fn foretell(&mut self, request: RequestId, plan: &Plan) {
        let foretold = self.foretold(plan);
        for unit in &foretold.unneeded {
            if let Some(unit) = self.name(*unit) {
                let cause = Cause::Unneeded;
                self.notify_one(request, Notice::AlsoStops { unit, cause });
            }
        }
        for text in self.upheld_texts(&foretold) {
            self.notify_one(request, Notice::Warning { text });
        }
    }

    /// A sentence for each unit that comes up again.
    pub(super) fn upheld_texts(&self, foretold: &Foretold) -> Vec<String> {
        let text = |(unit, by): &(UnitId, UnitId)| {
            let (unit, by) = (self.name(*unit)?, self.name(*by)?);
            Some(format!(
                "{unit} will be started again: {by} upholds it, and is up"
            ))
        };
        foretold.upheld.iter().filter_map(text).collect()
    }

    pub(super) fn foretold(&self, plan: &Plan) -> Foretold {
        let stops = plan.steps.iter().filter(|step| step.job == Job::Stop);
        let mut open: Vec<UnitId> = stops.map(|step| step.unit).collect();
        let mut down: BTreeSet<UnitId> = open.iter().copied().sorted_set();
        let mut foretold = Foretold::default();
        while let Some(unit) = open.pop() {
            for held in &self.graph.of(unit).rare().holds {
                if self.will_be_unneeded(*held, &down) && down.insert(*held) {
                    foretold.unneeded.push(*held);
                    open.push(*held);
                }
            }
        }
        for unit in &down {
            let rare = self.graph.of(*unit).rare();
            let mut upholders = rare.upheld_by.iter();
            let by = upholders.find(|by| self.upholds_now(**by) && !down.contains(by));
            let by = by.filter(|_| !self.is_kept_down(*unit, rare));
            foretold.upheld.extend(by.map(|by| (*unit, *by)));
        }
        foretold
    }

    /// Whether it stops as unneeded once these are down.
    fn will_be_unneeded(&self, unit: UnitId, down: &BTreeSet<UnitId>) -> bool {
        let is_up = self
            .service(unit)
            .is_some_and(|service| service.kind().is_up() && service.goal == Goal::Up);
        let rests = |holder: &UnitId| {
            let holder = self.service(*holder);
            holder.is_none_or(|holder| holder.kind().rests())
        };
        let mut holders = self.graph.of(unit).holders();
        is_up && holders.all(|holder| down.contains(holder) || rests(holder))
    }
}
