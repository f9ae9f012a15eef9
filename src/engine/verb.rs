//! What each verb does with a wish that was found sound.

use std::collections::BTreeMap;

use crate::sorted::Sorted;
use crate::unit::Kind;

use super::job::{Deed, Job};
use super::phase::{Goal, Phase};
use super::plan::{Plan, Step};
use super::request::{Open, Wish};
use super::service::Service;
use super::stage::Stage;
use super::{
    Answer, Awaited, Cause, Effect, Engine, FactPhase, Happening, Impossible, Mode, Notice,
    Outcome, Target, UnitId,
};

/// What a reload comes to.
pub(super) enum Reloading {
    Run,
    /// One that reloads already is joined.
    Join,
    Impossible(Impossible),
}

impl Engine {
    pub(super) fn on_start(&mut self, wish: &Wish, units: &[UnitId], plan: &Plan) {
        let mut open = Open::new(Awaited::Up, units);
        for unit in units {
            let Some(service) = self.service(*unit) else {
                continue;
            };
            if let Some(reason) = self.not_by_hand(wish, *unit) {
                open.settle(*unit, Outcome::Impossible { reason });
            } else if service.has_begun_since(wish.first_asked) {
                if let Some(outcome) = service.became() {
                    open.settle(*unit, outcome);
                }
            } else if service.kind().is_up() && service.goal != Goal::Cycle {
                open.settle(*unit, Outcome::AlreadyUp);
            }
        }
        let cause = Cause::Asked(wish.by);
        self.carry_out(plan, &cause);
        self.tell_along(wish, plan, &cause);
        open.follow(plan);
        self.open(wish.request, open);
    }

    pub(super) fn on_stop(&mut self, wish: &Wish, units: &[UnitId], plan: &Plan) {
        let down = |engine: &Self, unit: UnitId| {
            engine
                .service(unit)
                .is_some_and(|service| service.kind().rests())
        };
        let mut open = Open::new(Awaited::Down, units);
        for unit in units {
            if down(self, *unit) {
                open.settle(*unit, Outcome::AlreadyDown);
            } else if let Some(reason) = self.not_by_hand(wish, *unit) {
                open.settle(*unit, Outcome::Impossible { reason });
            }
        }
        let cause = Cause::Asked(wish.by);
        // A oneshot that has run its course passes the stop on to what requires it, and has nothing to do itself.
        let along = plan.steps.iter().filter(|step| step.is_along());
        let along: Vec<&Step> = along.filter(|step| !down(self, step.unit)).collect();
        self.carry_out(plan, &cause);
        for step in along {
            open.add(step.unit);
            if let Some(unit) = self.name(step.unit) {
                let cause = self.cause_of(step, &cause);
                self.notify_one(wish.request, Notice::AlsoStops { unit, cause });
            }
        }
        self.foretell(wish.request, plan);
        open.follow(plan);
        self.open(wish.request, open);
    }

    pub(super) fn on_restart(&mut self, wish: &Wish, units: &[UnitId], plan: &Plan) {
        let mut open = Open::new(Awaited::Up, units);
        let named: BTreeMap<UnitId, Deed> = plan
            .steps
            .iter()
            .filter(|step| !step.is_along())
            .map(|step| (step.unit, step.deed))
            .sorted_map();
        for unit in units {
            match (named.get(unit), self.service(*unit)) {
                (None, _) => open.settle(
                    *unit,
                    self.not_by_hand(wish, *unit)
                        .map_or(Outcome::LeftDown, |reason| Outcome::Impossible { reason }),
                ),
                (Some(Deed::Done), Some(service)) => {
                    if let Some(outcome) = service.became() {
                        open.settle(*unit, outcome);
                    }
                }
                (Some(_), _) => {}
            }
        }
        let cause = Cause::Asked(wish.by);
        self.carry_out(plan, &cause);
        for step in plan.steps.iter().filter(|step| step.also_restarts()) {
            open.add(step.unit);
        }
        self.tell_along(wish, plan, &cause);
        open.follow(plan);
        self.open(wish.request, open);
    }

    /// Tells the client what becomes of units that it has not named.
    fn tell_along(&mut self, wish: &Wish, plan: &Plan, asked: &Cause) {
        for step in plan.steps.iter().filter(|step| step.is_along()) {
            let Some(unit) = self.name(step.unit) else {
                continue;
            };
            let cause = self.cause_of(step, asked);
            let notice = match step.deed {
                Deed::Start | Deed::Keep | Deed::StartAfter => Notice::AlsoStarts { unit, cause },
                Deed::Stop => Notice::AlsoStops { unit, cause },
                Deed::Restart => Notice::AlsoRestarts { unit, cause },
                Deed::Nothing | Deed::Done | Deed::Join => continue,
            };
            self.notify_one(wish.request, notice);
        }
    }

    pub(super) fn on_reload(&mut self, wish: &Wish, units: &[UnitId]) {
        let mut open = Open::new(Awaited::Reload, units);
        open.involved.extend(units);
        let mut ready = Vec::new();
        for unit in units {
            match self.reloading_of(*unit) {
                Reloading::Join => {}
                Reloading::Run => ready.push(*unit),
                Reloading::Impossible(reason) => {
                    open.settle(*unit, Outcome::Impossible { reason });
                }
            }
        }
        self.open(wish.request, open);
        for unit in ready {
            self.give_cause(unit, Cause::Asked(wish.by));
            self.happen(unit, Happening::Reload);
        }
    }

    /// What a reload comes to for the unit as it is.
    pub(super) fn reloading_of(&self, unit: UnitId) -> Reloading {
        let Some(service) = self.service(unit) else {
            return Reloading::Impossible(Impossible::NotRunning);
        };
        let has_command = service
            .definition()
            .is_some_and(|d| !d.reload.is_empty() || d.kind == Kind::NotifyReload);
        match (service.kind(), service.goal) {
            (FactPhase::Running, Goal::Up) if service.freeze.is_some() => {
                Reloading::Impossible(Impossible::Frozen)
            }
            (kind, Goal::Up) if kind.reloads() => Reloading::Join,
            (FactPhase::Running, Goal::Up) if has_command => Reloading::Run,
            (FactPhase::Running, Goal::Up) => Reloading::Impossible(Impossible::NoReload),
            (_, Goal::Up | Goal::Down | Goal::Cycle) => {
                Reloading::Impossible(Impossible::NotRunning)
            }
        }
    }

    /// Failures, counters and limits are forgotten. A unit in automatic restart keeps its date.
    pub(super) fn on_reset(&mut self, wish: &Wish, units: &[UnitId]) {
        let mut open = Open::new(Awaited::Down, units);
        for unit in units {
            open.settle(*unit, Outcome::ResetDone);
            let Some(service) = self.service_mut(*unit) else {
                continue;
            };
            service.forget_restarts();
            let failed = service.kind() == FactPhase::Failed;
            self.changed.insert(*unit);
            if failed {
                self.enter(*unit, Phase::Stopped, Some(Cause::Asked(wish.by)));
            }
        }
        self.open(wish.request, open);
    }

    /// A signal goes to the main process; to all processes where no main process is known.
    pub(super) fn on_signal(&mut self, wish: &Wish, units: &[UnitId], signal: crate::unit::Signal) {
        let mut open = Open::new(Awaited::Down, units);
        for unit in units {
            let Some(service) = self.service(*unit) else {
                continue;
            };
            let rests = service.kind().rests() || service.kind() == FactPhase::Waiting;
            let known = service.phase.main().or(service.phase.control());
            let named = matches!(service.phase, Phase::Running { main: None });
            let to = match known {
                Some(run) => Some(Target::Run(run.id)),
                None if named && service.definition().is_some() => Some(Target::Group),
                None => None,
            };
            let outcome = match to {
                Some(to) => {
                    self.batch.push(Effect::Signal {
                        unit: *unit,
                        to,
                        signal,
                    });
                    Outcome::Signaled
                }
                None if rests => Outcome::Impossible {
                    reason: Impossible::NotRunning,
                },
                None => Outcome::Impossible {
                    reason: Impossible::NoProcess,
                },
            };
            open.settle(*unit, outcome);
        }
        self.open(wish.request, open);
    }

    pub(super) fn on_shutdown(&mut self, wish: &Wish) {
        if self.mode == Mode::Over {
            return self.answer(wish.request, Answer::Outcomes(Vec::new()));
        }
        self.note_wish(wish);
        // A client that lost its answer is not one that has lost its patience.
        let again = self.mode != Mode::Serving && wish.first_asked.is_none();
        self.mode = match self.mode {
            Mode::Hurrying => Mode::Hurrying,
            _ if again => Mode::Hurrying,
            _ => Mode::Ending,
        };
        let units: Vec<UnitId> = self
            .services
            .iter()
            .filter(|(_, service)| !service.kind().rests())
            .map(|(id, _)| *id)
            .collect();
        let named: Vec<(UnitId, Job)> = units.iter().map(|unit| (*unit, Job::Stop)).collect();
        let mut open = Open::new(Awaited::Down, &units);
        // Nothing but stops: they cannot contradict each other.
        let stage = Stage::default();
        let plan = self.planner(&stage, None).wished(&named);
        if let Ok(plan) = plan {
            self.carry_out(&plan, &Cause::Shutdown);
            open.follow(&plan);
        }
        self.open(wish.request, open);
        if again {
            for unit in units {
                self.hurry(unit);
            }
        }
    }

    /// No more waiting: whatever stops is killed.
    fn hurry(&mut self, unit: UnitId) {
        let kind = self.service(unit).map(Service::kind);
        match kind {
            Some(FactPhase::StopCommand) => self.happen(unit, Happening::Due),
            Some(FactPhase::StopPost | FactPhase::Leaving) => self.happen(unit, Happening::Due),
            Some(FactPhase::Aborting | FactPhase::Killing | FactPhase::FinalKilling) => {
                self.harden(unit)
            }
            Some(_) => {
                // Its turn comes at once: the order no longer counts.
                self.work.insert(unit);
            }
            None => {}
        }
    }

    /// Everything is down and the daemon was asked to end.
    pub(super) fn finish_shutdown(&mut self) {
        if matches!(self.mode, Mode::Ending | Mode::Hurrying) && self.all_down() {
            self.mode = Mode::Over;
            self.batch.push(Effect::Exit);
        }
    }
}
