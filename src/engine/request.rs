//! Wishes: checked as a whole against the graph they would make, marked, and answered exactly once.
//!
//! A wish is refused before anything has happened, or taken up and answered when each of its units has got where it was
//! to go, failed on the way, or been sent elsewhere by a later wish.

use std::collections::{BTreeMap, BTreeSet};

use crate::sorted::Sorted;
use crate::unit::{Unit, UnitName};

use super::graph::Graph;
use super::plan::Plan;
use super::service::Service;
use super::stage::Stage;
use super::way::Way;
use super::{
    Absent, Answer, Asker, Awaited, Effect, Engine, Mode, Moment, Notice, Outcome, Refusal,
    RequestId, UNITS_MAX, UnitId, Verb,
};

/// One wish, as it came.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) request: RequestId,
    pub(super) verb: Verb,
    pub(super) by: Asker,
    /// When its client asked first, if it lost the answer and asks again.
    pub(super) first_asked: Option<Moment>,
    pub(super) targets: Vec<UnitName>,
}

/// Every request that waits.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pub(super) open: BTreeMap<RequestId, Box<Open>>,
}

#[derive(Debug)]
pub(super) struct Open {
    pub(super) awaited: Awaited,
    /// In the order of the answer.
    pub(super) units: Vec<UnitId>,
    pub(super) pending: BTreeSet<UnitId>,
    pub(super) outcomes: BTreeMap<UnitId, Outcome>,
    pub(super) involved: BTreeSet<UnitId>,
    /// Boxed: most wishes are about one unit.
    pub(super) way: Option<Box<Way>>,
}

impl Requests {
    pub(super) fn forget(&mut self, request: RequestId) {
        self.open.remove(&request);
    }
}

impl Engine {
    pub(super) fn on_request(&mut self, wish: &Wish, definitions: Vec<Unit>, absent: &[Absent]) {
        if wish.verb == Verb::Shutdown {
            return self.on_shutdown(wish);
        }
        match self.take_up(wish, definitions, absent) {
            Ok(()) => {}
            Err(refusal) => {
                self.note_refused(wish, &refusal);
                self.answer(wish.request, Answer::Refused(refusal));
            }
        }
    }

    fn take_up(
        &mut self,
        wish: &Wish,
        definitions: Vec<Unit>,
        absent: &[Absent],
    ) -> Result<(), Refusal> {
        if self.mode != Mode::Serving {
            return Err(Refusal::ShuttingDown);
        }
        let left_out = self.check_wish(wish, &definitions, absent)?;
        let stage = Stage::new(self, &definitions);
        let (units, plan) = self.plan_of(wish, &stage, &left_out)?;
        self.take_over(definitions, stage);
        for (_, text) in left_out {
            self.notify_one(wish.request, Notice::Warning { text });
        }
        self.note_wish(wish);
        self.tell_left_out(wish.request, &plan);
        match wish.verb {
            Verb::Start => self.on_start(wish, &units, &plan),
            Verb::Stop => self.on_stop(wish, &units, &plan),
            Verb::Restart(_) => self.on_restart(wish, &units, &plan),
            Verb::Reload => self.on_reload(wish, &units),
            Verb::Reset => self.on_reset(wish, &units),
            Verb::Renew => self.on_renew(wish, &units),
            Verb::Freeze => self.on_freeze(wish, &units),
            Verb::Thaw => self.on_thaw(wish, &units),
            Verb::Signal(signal) => self.on_signal(wish, &units, signal),
            Verb::Shutdown => {}
        }
        Ok(())
    }

    /// Checks the definitions together with everything known. What is wanted but cannot be started comes back with its
    /// reason.
    pub(super) fn check_wish(
        &self,
        wish: &Wish,
        definitions: &[Unit],
        absent: &[Absent],
    ) -> Result<Vec<(UnitName, String)>, Refusal> {
        let new: BTreeMap<&UnitName, &Unit> = definitions.iter().map(|u| (&u.name, u)).sorted_map();
        let unknown = new
            .keys()
            .filter(|name| !self.names.contains_key(*name))
            .count();
        if self.services.len() + unknown > UNITS_MAX {
            return Err(Refusal::TooMany);
        }
        if let Some(cycle) = self.cycles_among(&new, 1).pop() {
            return Err(Refusal::Cycle(cycle));
        }
        match wish.verb {
            Verb::Start | Verb::Restart(_) => self.startable(wish, &new, absent),
            Verb::Stop
            | Verb::Reload
            | Verb::Renew
            | Verb::Reset
            | Verb::Signal(_)
            | Verb::Freeze
            | Verb::Thaw
            | Verb::Shutdown => Ok(Vec::new()),
        }
    }

    /// Whether the graph is another one with this definition than with the one that counts now.
    pub(super) fn relates_otherwise(&self, unit: &Unit) -> bool {
        let known = self.id(&unit.name).and_then(|id| self.service(id));
        known.is_none_or(|known| {
            let known = known.newest();
            let unneeded = |unit: &Unit| unit.relations().stop_when_unneeded;
            unneeded(known) != unneeded(unit) || !known.neighbours().eq(unit.neighbours())
        })
    }

    /// Whether everything that the targets require can be started at all. Gives the wanted units that cannot.
    fn startable(
        &self,
        wish: &Wish,
        new: &BTreeMap<&UnitName, &Unit>,
        absent: &[Absent],
    ) -> Result<Vec<(UnitName, String)>, Refusal> {
        let obstacles = self.obstacles(&wish.targets, new, absent);
        match wish.targets.iter().find_map(|name| obstacles.of(name)) {
            Some(refusal) => Err(refusal),
            None => Ok(obstacles.left_out(&wish.targets)),
        }
    }

    /// Takes a definition over: at once where nothing runs under the old one, else from the next start.
    pub(super) fn define(&mut self, unit: Unit) {
        let Some(id) = self.id(&unit.name) else {
            self.add(Box::new(unit));
            return;
        };
        let Some(service) = self.service_mut(id) else {
            return;
        };
        if unit == *service.newest() {
            return;
        }
        if service.is_free() {
            *service.unit = unit;
        } else if unit == *service.unit {
            service.next = None;
        } else {
            service.next = Some(Box::new(unit));
        }
        self.changed.insert(id);
    }

    pub(super) fn add(&mut self, unit: Box<Unit>) -> UnitId {
        self.last_unit += 1;
        let id = UnitId(self.last_unit);
        self.names.insert(unit.name.clone(), id);
        self.services
            .insert(id, Box::new(Service::new(unit, self.now)));
        id
    }

    pub(super) fn rebuild_graph(&mut self) {
        let units: Vec<(UnitId, &Unit)> = self
            .services
            .iter()
            .map(|(id, service)| (*id, service.newest()))
            .collect();
        self.graph = Graph::new(&units, &self.names);
    }

    pub(super) fn open(&mut self, request: RequestId, open: Open) {
        self.requests.open.insert(request, Box::new(open));
        self.answer_if_done(request);
    }

    /// One unit has got where requests wait for it, or failed to.
    pub(super) fn resolve(&mut self, unit: UnitId, awaited: Awaited, outcome: &Outcome) {
        let mut done = Vec::new();
        for (request, open) in &mut self.requests.open {
            if open.awaited != awaited {
                continue;
            }
            let way = open.way.as_mut();
            if let Some(notice) = way.and_then(|way| way.advance(unit, awaited, outcome)) {
                let request = *request;
                self.batch.push(Effect::Notify { request, notice });
            }
            if open.pending.contains(&unit) {
                open.settle(unit, outcome.clone());
                done.push(*request);
            } else if let Outcome::Skipped { how } = outcome
                && open.involved.contains(&unit)
                && !open.units.contains(&unit)
            {
                // Whoever requires it is started all the same, and nobody would know.
                let name = self.services.get(&unit).map(|service| &service.unit.name);
                let text = name.map(|name| format!("{name} was skipped: {how}"));
                let notice = text.map(|text| Notice::Warning { text });
                let request = *request;
                let told = notice.map(|notice| Effect::Notify { request, notice });
                self.batch.extend(told);
            }
        }
        for request in done {
            self.answer_if_done(request);
        }
    }

    fn answer_if_done(&mut self, request: RequestId) {
        let done = self
            .requests
            .open
            .get(&request)
            .is_some_and(|open| open.pending.is_empty());
        if !done {
            return;
        }
        let Some(mut open) = self.requests.open.remove(&request) else {
            return;
        };
        let mut outcomes = Vec::with_capacity(open.units.len());
        for unit in &open.units {
            if let (Some(name), Some(outcome)) = (self.name(*unit), open.outcomes.remove(unit)) {
                outcomes.push((name, outcome));
            }
        }
        self.answer(request, Answer::Outcomes(outcomes));
    }

    pub(super) fn answer(&mut self, request: RequestId, answer: Answer) {
        self.batch.push(Effect::Answer { request, answer });
    }

    /// Tells everybody whose request involves the unit.
    pub(super) fn notify(&mut self, unit: UnitId, notice: &Notice) {
        for (request, open) in &self.requests.open {
            if open.involved.contains(&unit) {
                self.batch.push(Effect::Notify {
                    request: *request,
                    notice: notice.clone(),
                });
            }
        }
    }

    pub(super) fn notify_one(&mut self, request: RequestId, notice: Notice) {
        self.batch.push(Effect::Notify { request, notice });
    }
}

impl Open {
    pub(super) fn new(awaited: Awaited, units: &[UnitId]) -> Self {
        Self {
            awaited,
            units: units.to_vec(),
            pending: units.iter().copied().sorted_set(),
            outcomes: BTreeMap::new(),
            involved: BTreeSet::new(),
            way: None,
        }
    }

    /// Whom the plan concerns, and whom it moves.
    pub(super) fn follow(&mut self, plan: &Plan) {
        self.involved = plan.units();
        self.way = Way::of(plan, self.awaited).map(Box::new);
    }

    /// A unit that the wish takes along.
    pub(super) fn add(&mut self, unit: UnitId) {
        // Each unit is pending or has its outcome.
        if !self.outcomes.contains_key(&unit) && self.pending.insert(unit) {
            self.units.push(unit);
        }
    }

    pub(super) fn settle(&mut self, unit: UnitId, outcome: Outcome) {
        self.pending.remove(&unit);
        self.outcomes.insert(unit, outcome);
    }
}

impl Refusal {
    /// `unit` could not be read, or nobody knows of it.
    #[must_use]
    pub fn missing(unit: &UnitName, needed_by: &UnitName, absent: Option<&Absent>) -> Self {
        let reason = absent.map(|absent| absent.reason.clone());
        Self::Missing {
            unit: unit.clone(),
            needed_by: needed_by.clone(),
            reason: reason.unwrap_or_else(|| "not found".to_owned()),
        }
    }
}
