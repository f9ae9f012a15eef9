//! `freeze` and `thaw`: a service that stands still, and with it its time limits.
//!
//! That a service is frozen is a fact before it is done, and no fact any more only after it was undone: whoever
//! succeeds a daemon that dies on the way never takes a frozen service for one that runs. Only what is up and has
//! nothing else under way can be frozen; whatever ends its run thaws it first, so that it can act on what it is told.

use super::phase::{Goal, Phase};
use super::request::{Open, Wish};
use super::{Awaited, Effect, Engine, FactPhase, Failure, Impossible, Moment, Outcome, UnitId};

/// Of a service that stands still, or that is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Freeze {
    /// Time limits stand still from here on.
    pub(super) since: Moment,
    pub(super) step: Step,
}

/// How far that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is asked for, and not answered.
    Freezing,
    Frozen,
    /// Its end is asked for, and not answered.
    Thawing,
}

impl Engine {
    pub(super) fn on_freeze(&mut self, wish: &Wish, units: &[UnitId]) {
        let mut open = Open::new(Awaited::Freeze, units);
        open.involved.extend(units);
        for unit in units {
            let Some(service) = self.service(*unit) else {
                continue;
            };
            let has_process = service.definition().is_some();
            match (service.kind(), service.goal) {
                (FactPhase::Running, Goal::Up) if has_process => {
                    if service
                        .freeze
                        .is_some_and(|freeze| freeze.step == Step::Frozen)
                    {
                        open.settle(*unit, Outcome::Frozen);
                    } else {
                        self.freeze(*unit);
                    }
                }
                (FactPhase::Running | FactPhase::Exited, Goal::Up) => {
                    let reason = Impossible::NoProcess;
                    open.settle(*unit, Outcome::Impossible { reason });
                }
                (_, Goal::Up | Goal::Down | Goal::Cycle) => {
                    let reason = Impossible::NotRunning;
                    open.settle(*unit, Outcome::Impossible { reason });
                }
            }
        }
        self.open(wish.request, open);
    }

    pub(super) fn on_thaw(&mut self, wish: &Wish, units: &[UnitId]) {
        let mut open = Open::new(Awaited::Thaw, units);
        open.involved.extend(units);
        for unit in units {
            let Some(service) = self.service(*unit) else {
                continue;
            };
            if service.freeze.is_some() {
                self.thaw(*unit);
            } else if service.kind().is_up() {
                open.settle(*unit, Outcome::Thawed);
            } else {
                let reason = Impossible::NotRunning;
                open.settle(*unit, Outcome::Impossible { reason });
            }
        }
        self.open(wish.request, open);
    }

    fn freeze(&mut self, unit: UnitId) {
        let now = self.now;
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        let since = service.freeze.map_or(now, |freeze| freeze.since);
        let step = Step::Freezing;
        service.freeze = Some(Freeze { since, step });
        self.stop_clocks(unit, since);
        self.changed.insert(unit);
        self.batch.push(Effect::Freeze { unit });
        let cause = self.service(unit).map(|service| service.cause.clone());
        if let Some(cause) = cause {
            self.resolve(unit, Awaited::Thaw, &Outcome::Superseded { cause });
        }
    }

    fn thaw(&mut self, unit: UnitId) {
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        if let Some(freeze) = &mut service.freeze
            && freeze.step != Step::Thawing
        {
            freeze.step = Step::Thawing;
            let cause = service.cause.clone();
            self.batch.push(Effect::Thaw { unit });
            self.resolve(unit, Awaited::Freeze, &Outcome::Superseded { cause });
        }
    }

    /// The run of a frozen service ends: it must hear of that, and its time limits count again.
    pub(super) fn let_go(&mut self, unit: UnitId) {
        let is_frozen = |engine: &Self| engine.service(unit).is_some_and(|s| s.freeze.is_some());
        if is_frozen(self) {
            self.start_clocks(unit);
            self.thaw(unit);
        }
    }

    pub(super) fn on_frozen(&mut self, unit: UnitId) {
        if let Some(service) = self.service_mut(unit)
            && let Some(freeze) = &mut service.freeze
            && freeze.step == Step::Freezing
        {
            freeze.step = Step::Frozen;
            self.resolve(unit, Awaited::Freeze, &Outcome::Frozen);
        }
    }

    /// What is left of a freeze that failed is undone.
    pub(super) fn on_freeze_failed(&mut self, unit: UnitId, reason: &str) {
        let is_wanted = self
            .service(unit)
            .and_then(|service| service.freeze)
            .is_some_and(|freeze| freeze.step == Step::Freezing);
        if is_wanted {
            self.resolve(unit, Awaited::Freeze, &failed(reason));
            self.thaw(unit);
        }
    }

    pub(super) fn on_thawed(&mut self, unit: UnitId) {
        if self.stops_thawing(unit) {
            self.resolve(unit, Awaited::Thaw, &Outcome::Thawed);
        }
    }

    /// One whose run goes on is taken for frozen still; of any other nobody cares.
    pub(super) fn on_thaw_failed(&mut self, unit: UnitId, reason: &str) {
        let is_up = self.is_kind(unit, FactPhase::Running);
        if let (true, Some(service)) = (is_up, self.service_mut(unit))
            && let Some(freeze) = &mut service.freeze
            && freeze.step == Step::Thawing
        {
            freeze.step = Step::Frozen;
        } else {
            self.stops_thawing(unit);
        }
        self.resolve(unit, Awaited::Thaw, &failed(reason));
    }

    fn stop_clocks(&mut self, unit: UnitId, since: Moment) {
        for clock in [&mut self.timers, &mut self.runtimes, &mut self.watchdogs] {
            clock.hold(unit, since);
        }
    }

    fn start_clocks(&mut self, unit: UnitId) {
        for clock in [&mut self.timers, &mut self.runtimes, &mut self.watchdogs] {
            clock.release(unit, self.now);
        }
    }

    fn stops_thawing(&mut self, unit: UnitId) -> bool {
        let Some(service) = self.service_mut(unit) else {
            return false;
        };
        let ends = service
            .freeze
            .is_some_and(|freeze| freeze.step == Step::Thawing);
        if ends {
            service.freeze = None;
            self.start_clocks(unit);
            self.changed.insert(unit);
        }
        ends
    }

    /// A predecessor had it frozen: it did that, or was about to, or about to undo it.
    pub(super) fn restore_freeze(&mut self, unit: UnitId, since: Moment) {
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        let (step, effect) = if matches!(service.phase, Phase::Running { .. }) {
            (Step::Freezing, Effect::Freeze { unit })
        } else {
            (Step::Thawing, Effect::Thaw { unit })
        };
        service.freeze = Some(Freeze { since, step });
        if step == Step::Freezing {
            self.stop_clocks(unit, since);
        }
        self.batch.push(effect);
    }
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed {
        failure: Failure::Recorded {
            result: "resources".into(),
            text: reason.into(),
        },
        retry_ms: None,
    }
}
