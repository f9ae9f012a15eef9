//! How far a wish has come: so many of its units are where it wants them.
//!
//! Owns who is counted: the units that the plan moves, named or not. One that fails is not counted as arrived. A wish
//! about one unit has nothing to count.

use std::collections::BTreeSet;

use crate::sorted::Sorted;

use super::job::Deed;
use super::plan::Plan;
use super::{Awaited, Notice, Outcome, UnitId};

/// See the module.
#[derive(Debug)]
pub(super) struct Way {
    moving: BTreeSet<UnitId>,
    all: usize,
    arrived: usize,
}

impl Way {
    /// What the plan moves up, or down.
    pub(super) fn of(plan: &Plan, awaited: Awaited) -> Option<Self> {
        let counts = |deed: Deed| match deed {
            Deed::Start | Deed::StartAfter | Deed::Keep | Deed::Restart => awaited == Awaited::Up,
            Deed::Stop => awaited == Awaited::Down,
            Deed::Nothing | Deed::Done | Deed::Join => false,
        };
        let steps = plan.steps.iter().filter(|step| counts(step.deed));
        let moving: BTreeSet<UnitId> = steps.map(|step| step.unit).sorted_set();
        let all = moving.len();
        (all > 1).then_some(Self {
            moving,
            all,
            arrived: 0,
        })
    }

    /// One unit has got somewhere; news for the client if it is where it was to go.
    pub(super) fn advance(
        &mut self,
        unit: UnitId,
        awaited: Awaited,
        outcome: &Outcome,
    ) -> Option<Notice> {
        let arrives = matches!(
            outcome,
            Outcome::Started
                | Outcome::AlreadyUp
                | Outcome::Completed
                | Outcome::Skipped { .. }
                | Outcome::Stopped
                | Outcome::AlreadyDown
        );
        if !arrives || !self.moving.remove(&unit) {
            return None;
        }
        self.arrived += 1;
        Some(Notice::Reached {
            awaited,
            arrived: self.arrived,
            all: self.all,
        })
    }
}
