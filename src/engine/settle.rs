//! The dependency resolver: whose turn has come.
//!
//! A wish only sets goals (`plan.rs`, `carry.rs`). Then each unit concerned is stepped: its turn to start has come when
//! nothing ordered before it is on its way, its turn to stop when nothing ordered after it still has to stop
//! (systemd.unit(5), `Before=`, `After=`; a stop is ordered before a start, whichever way the order points). No
//! recursion over the graph: its depth is the user's.

use std::collections::BTreeSet;

use crate::unit::UnitName;

use super::atoms::Occasion;
use super::phase::{End, Goal, Phase, Why};
use super::{
    Awaited, Cause, Engine, FactPhase, Failure, Happening, Notice, Outcome, State, UnitId,
};

/// Whether a waiting unit may start.
pub(super) enum Turn {
    Come,
    /// Not while this one is on its way.
    Blocked(UnitId),
    /// Never: what it requires failed, or was stopped.
    Lost(UnitId),
}

impl Engine {
    /// Steps every unit on the worklist until nothing moves.
    pub(super) fn settle(&mut self) {
        for unit in self.work.iter().copied().collect::<Vec<_>>() {
            self.follow(unit);
        }
        // What comes of it from here on follows from what was marked; what a wish's definitions alone have brought
        // about follows from the wish.
        self.wish = None;
        let mut open = BTreeSet::new();
        loop {
            // Who goes down with others is to be known before the first one's turn to stop is judged.
            while let Some(unit) = self.work.pop_first() {
                self.follow(unit);
                open.insert(unit);
            }
            let Some(unit) = open.pop_first() else { return };
            self.step(unit);
        }
    }

    fn step(&mut self, unit: UnitId) {
        let Some(service) = self.service(unit) else {
            return;
        };
        let kind = service.kind();
        match (kind, service.goal) {
            (FactPhase::Waiting | FactPhase::Backoff | FactPhase::Examining, Goal::Down)
            | (FactPhase::Examining, Goal::Cycle) => self.happen(unit, Happening::Halt),
            (FactPhase::Waiting, Goal::Up | Goal::Cycle) => self.step_waiting(unit),
            (kind, Goal::Down | Goal::Cycle) if kind.starts() || kind.is_up() => {
                if self.may_stop(unit) {
                    self.happen(unit, Happening::Halt);
                }
            }
            (kind, _) if kind.ends() => self.end_idle_kill(unit),
            (_, Goal::Up | Goal::Down | Goal::Cycle) => {}
        }
    }

    fn step_waiting(&mut self, unit: UnitId) {
        match self.turn(unit) {
            Turn::Come => {
                self.oust(unit);
                self.happen(unit, Happening::Begin);
            }
            Turn::Blocked(on) => {
                self.oust(unit);
                self.tell_waiting(unit, on);
            }
            Turn::Lost(on) => self.lose(unit, on),
        }
    }

    /// Whether a waiting unit's turn to start has come.
    pub(super) fn turn(&self, unit: UnitId) -> Turn {
        let edges = self.graph.of(unit);
        if let Some(lost) = self.lost_need(unit) {
            return Turn::Lost(lost);
        }
        let mut blocked = self.awaited_need(unit);
        for first in edges.after {
            let Some(service) = self.service(*first) else {
                continue;
            };
            let kind = service.kind();
            let on_its_way = kind.starts() || kind == FactPhase::Waiting || service.is_stopping();
            // Whoever requires a unit waits for its automatic restarts too; mere order does not.
            let tries_again = kind == FactPhase::Backoff && edges.requires.contains(first);
            if on_its_way || tries_again {
                blocked = Some(*first);
                break;
            }
        }
        let stopping = |unit: &&UnitId| self.service(**unit).is_some_and(|s| s.is_stopping());
        match blocked.or_else(|| edges.followers.iter().find(stopping).copied()) {
            Some(on) => Turn::Blocked(on),
            None => Turn::Come,
        }
    }

    /// Whether a unit's turn to stop has come: everything ordered after it that is to stop has stopped.
    fn may_stop(&self, unit: UnitId) -> bool {
        self.mode == super::Mode::Hurrying
            || !self.graph.of(unit).followers.iter().any(|next| {
                self.service(*next)
                    .is_some_and(|service| service.is_stopping())
            })
    }

    /// A start fails because of what the unit requires.
    fn lose(&mut self, unit: UnitId, on: UnitId) {
        let Some(lost) = self.service(on) else { return };
        let is_required = self.graph.of(unit).requires.contains(&on);
        let detail = match &lost.phase {
            Phase::Failed(failure) => failure.to_string(),
            Phase::Completed => String::from("it has run to its end, and is not up"),
            _ if is_required => String::from("it was stopped"),
            _ => String::from("it is not up"),
        };
        let has_failed = matches!(lost.phase, Phase::Failed(_));
        let on_name = lost.unit.name.clone();
        let followed = self
            .service(unit)
            .is_some_and(|service| matches!(service.origin.as_deref(), Some(Cause::BindsTo(_))));
        if followed && !has_failed {
            // It came along with what it is bound to, and stays down with it.
            if let Some(service) = self.service_mut(unit) {
                service.goal = Goal::Down;
            }
            let cause = Cause::BindsTo(on_name);
            self.resolve(unit, Awaited::Up, &Outcome::Superseded { cause });
            return self.happen(unit, Happening::Halt);
        }
        let failure = Failure::Dependency {
            on: on_name,
            detail: detail.into(),
        };
        if let Some(service) = self.service_mut(unit) {
            service.goal = Goal::Down;
        }
        self.renew(unit);
        let cause = Cause::Failed(failure.clone());
        let result = End::new(Why::Failed(failure.clone()), None).result();
        self.enter(unit, Phase::Failed(failure.clone()), Some(cause));
        self.resolve(
            unit,
            Awaited::Up,
            &Outcome::Failed {
                failure,
                retry_ms: None,
            },
        );
        self.has_ended(unit, Occasion::Failure, result);
    }

    /// Tells the clients once whom a unit waits for.
    fn tell_waiting(&mut self, unit: UnitId, on: UnitId) {
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        if service.told.replace(on) == Some(on) {
            return;
        }
        if let (Some(unit_name), Some(blocker)) = (self.name(unit), self.service(on)) {
            let (on, state) = (blocker.unit.name.clone(), blocker.state());
            self.notify(
                unit,
                &Notice::Waits {
                    unit: unit_name,
                    on,
                    state,
                },
            );
        }
    }

    /// What a unit waits for now, for `status`.
    pub(super) fn waits_for(&self, unit: UnitId) -> Vec<UnitName> {
        let Some(service) = self.service(unit) else {
            return Vec::new();
        };
        let edges = self.graph.of(unit);
        let blockers: Vec<UnitId> = if service.kind() == FactPhase::Waiting {
            match self.turn(unit) {
                Turn::Blocked(on) => vec![on],
                Turn::Come | Turn::Lost(_) => Vec::new(),
            }
        } else if service.awaits_stop() {
            let stopping = |u: &&UnitId| self.service(**u).is_some_and(|s| s.is_stopping());
            edges.followers.iter().filter(stopping).copied().collect()
        } else {
            Vec::new()
        };
        blockers
            .into_iter()
            .filter_map(|unit| self.name(unit))
            .collect()
    }

    /// Whether every unit is down.
    pub(super) fn all_down(&self) -> bool {
        self.services.values().all(|service| {
            matches!(
                service.state(),
                State::Stopped | State::Completed | State::Failed
            )
        })
    }
}
