//! What each verb does with a wish that was found sound.

use crate::unit::Kind;

use super::phase::{Goal, Phase};
use super::request::{Open, Reach, Wish};
use super::service::Service;
use super::{
    Answer, Awaited, Cause, Effect, Engine, FactPhase, Happening, Impossible, Mode, Notice,
    Outcome, Scope, Target, UnitId,
};

impl Engine {
    pub(super) fn on_start(&mut self, wish: &Wish, units: &[UnitId], mut reach: Reach) {
        let mut open = Open::new(Awaited::Up, units);
        for unit in units {
            let Some(service) = self.service(*unit) else {
                continue;
            };
            if service.has_begun_since(wish.first_asked) {
                if let Some(outcome) = service.became() {
                    open.settle(*unit, outcome);
                }
            } else if service.kind().is_up() && service.goal != Goal::Cycle {
                open.settle(*unit, Outcome::AlreadyUp);
            }
        }
        self.mark_up(units, &Cause::Asked(wish.by), &mut reach);
        for (unit, cause) in &reach.pulled_in {
            if let Some(unit) = self.name(*unit) {
                let cause = cause.clone();
                self.notify_one(wish.request, Notice::AlsoStarts { unit, cause });
            }
        }
        open.involved = reach.involved;
        self.open(wish.request, open);
    }

    pub(super) fn on_stop(&mut self, wish: &Wish, units: &[UnitId], mut reach: Reach) {
        let down = |engine: &Self, unit: UnitId| {
            engine
                .service(unit)
                .is_some_and(|service| service.kind().rests())
        };
        let mut open = Open::new(Awaited::Down, units);
        for unit in units.iter().filter(|unit| down(self, **unit)) {
            open.settle(*unit, Outcome::AlreadyDown);
        }
        self.mark_down(units, &Cause::Asked(wish.by), &mut reach);
        for (unit, cause) in &reach.pulled_in {
            open.add(*unit);
            if let Some(unit) = self.name(*unit) {
                let cause = cause.clone();
                self.notify_one(wish.request, Notice::AlsoStops { unit, cause });
            }
        }
        open.involved = reach.involved;
        self.open(wish.request, open);
    }

    pub(super) fn on_restart(
        &mut self,
        wish: &Wish,
        units: &[UnitId],
        scope: Scope,
        mut reach: Reach,
    ) {
        let mut open = Open::new(Awaited::Up, units);
        let (mut wanted, mut again) = (Vec::new(), Vec::new());
        for unit in units {
            let Some(service) = self.service(*unit) else {
                continue;
            };
            // One that is being stopped counts as down, as for systemd's try-restart.
            let down = service.goal == Goal::Down;
            let done = service.has_begun_since(wish.first_asked) && service.next.is_none();
            if done {
                if let Some(outcome) = service.became() {
                    open.settle(*unit, outcome);
                }
                again.push(*unit);
            } else if down && scope == Scope::Running {
                open.settle(*unit, Outcome::LeftDown);
            } else {
                wanted.push(*unit);
            }
        }
        let cause = Cause::Asked(wish.by);
        again.extend(&wanted);
        self.mark_cycle(&again, &cause, &mut reach);
        let taken_along = std::mem::take(&mut reach.pulled_in);
        self.mark_up(&wanted, &cause, &mut reach);
        for unit in &reach.cycled {
            // Not for one that this wish has restarted already.
            if self
                .service(*unit)
                .is_some_and(|service| !service.has_begun_since(wish.first_asked))
            {
                self.mark_required(*unit);
            }
        }
        for (unit, cause) in taken_along {
            open.add(unit);
            if let Some(unit) = self.name(unit) {
                self.notify_one(wish.request, Notice::AlsoRestarts { unit, cause });
            }
        }
        open.involved = reach.involved;
        open.involved.extend(reach.cycled);
        self.open(wish.request, open);
    }

    pub(super) fn on_reload(&mut self, wish: &Wish, units: &[UnitId]) {
        let mut open = Open::new(Awaited::Reload, units);
        open.involved.extend(units);
        let mut ready = Vec::new();
        for unit in units {
            let Some(service) = self.service(*unit) else {
                continue;
            };
            let has_command = service
                .definition()
                .is_some_and(|d| !d.reload.is_empty() || d.kind == Kind::NotifyReload);
            match (service.kind(), service.goal) {
                // One that reloads already is joined.
                (FactPhase::Running, Goal::Up) if service.freeze.is_some() => {
                    let reason = Impossible::Frozen;
                    open.settle(*unit, Outcome::Impossible { reason });
                }
                (kind, Goal::Up) if kind.reloads() => {}
                (FactPhase::Running, Goal::Up) if has_command => ready.push(*unit),
                (FactPhase::Running, Goal::Up) => {
                    open.settle(
                        *unit,
                        Outcome::Impossible {
                            reason: Impossible::NoReload,
                        },
                    );
                }
                (_, Goal::Up | Goal::Down | Goal::Cycle) => {
                    open.settle(
                        *unit,
                        Outcome::Impossible {
                            reason: Impossible::NotRunning,
                        },
                    );
                }
            }
        }
        self.open(wish.request, open);
        for unit in ready {
            self.give_cause(unit, Cause::Asked(wish.by));
            self.happen(unit, Happening::Reload);
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
        let mut reach = Reach::default();
        self.mark_down(&units, &Cause::Shutdown, &mut reach);
        let mut open = Open::new(Awaited::Down, &units);
        open.involved = reach.involved;
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
