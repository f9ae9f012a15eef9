//! The dependency resolver: marks of goals along the graph, then turns.
//!
//! A wish only marks: goals spread by worklist until nothing changes. Then each unit concerned is stepped: its turn to
//! start has come when nothing ordered before it is on its way, its turn to stop when nothing ordered after it still
//! has to stop (systemd.unit(5), `Before=`, `After=`; a stop is ordered before a start, whichever way the order
//! points). No recursion over the graph: its depth is the user's.

use std::collections::BTreeSet;

use crate::unit::UnitName;

use super::phase::{Goal, Phase};
use super::request::Reach;
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

/// For whose sake a unit is to come up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// A person named it.
    ByHand,
    /// Another unit needs it.
    ByOthers,
}

impl Engine {
    /// Marks the units up, and what they pull in. `reach` gathers every unit touched.
    pub(super) fn mark_up(&mut self, targets: &[UnitId], cause: &Cause, reach: &mut Reach) {
        let mut todo: Vec<(UnitId, Cause)> = targets
            .iter()
            .rev()
            .map(|unit| (*unit, cause.clone()))
            .collect();
        while let Some((unit, cause)) = todo.pop() {
            if !reach.involved.insert(unit) {
                continue;
            }
            let is_done = self
                .service(unit)
                .is_some_and(|service| service.has_begun_since(reach.first_asked));
            if is_done {
                // What became of that start is the answer.
            } else if targets.contains(&unit) {
                if let Some(service) = self.service_mut(unit) {
                    service.forget_restarts();
                    self.changed.insert(unit);
                }
                self.want_up(unit, &cause, Wanted::ByHand);
            } else if self.want_up(unit, &cause, Wanted::ByOthers) {
                reach.pulled_in.push((unit, cause));
            }
            let Some(name) = self.name(unit) else {
                continue;
            };
            let edges = self.graph.of(unit);
            for wanted in edges.wants.iter().rev() {
                if !reach.left_out.contains(wanted) {
                    todo.push((*wanted, Cause::WantedBy(name.clone())));
                }
            }
            for required in edges.requires.iter().rev() {
                todo.push((*required, Cause::RequiredBy(name.clone())));
            }
        }
    }

    /// What an automatic restart needs is started with it.
    pub(super) fn mark_required(&mut self, unit: UnitId) {
        let mut todo = vec![unit];
        let mut seen = BTreeSet::from([unit]);
        while let Some(unit) = todo.pop() {
            let Some(name) = self.name(unit) else {
                continue;
            };
            for required in self.graph.of(unit).requires.clone() {
                if seen.insert(required) {
                    self.want_up(required, &Cause::RequiredBy(name.clone()), Wanted::ByOthers);
                    todo.push(required);
                }
            }
        }
    }

    /// Sets the goal of one unit to up. Whether that changes anything for it.
    fn want_up(&mut self, unit: UnitId, cause: &Cause, wanted: Wanted) -> bool {
        let Some(service) = self.service_mut(unit) else {
            return false;
        };
        let kind = service.kind();
        if kind.rests() || (kind == FactPhase::Backoff && wanted == Wanted::ByHand) {
            self.happen(unit, Happening::Wake(cause.clone()));
            return true;
        }
        if kind.ends() {
            // A stop that has begun is carried to its end; then the unit comes up again. One that restarts by itself
            // anyway is left to its policy, unless a person asks.
            if service.goal == Goal::Down || wanted == Wanted::ByHand {
                service.goal = Goal::Cycle;
                self.announce(unit, Some(cause.clone()));
                return true;
            }
            return false;
        }
        if service.goal == Goal::Down {
            service.goal = Goal::Up;
            self.announce(unit, Some(cause.clone()));
            self.resolve(
                unit,
                Awaited::Down,
                &Outcome::Superseded {
                    cause: cause.clone(),
                },
            );
            return true;
        }
        false
    }

    /// Marks the units down, and what requires them.
    pub(super) fn mark_down(&mut self, targets: &[UnitId], cause: &Cause, reach: &mut Reach) {
        let mut todo: Vec<(UnitId, Cause)> = targets
            .iter()
            .rev()
            .map(|unit| (*unit, cause.clone()))
            .collect();
        while let Some((unit, cause)) = todo.pop() {
            let Some(service) = self.services.get_mut(&unit) else {
                continue;
            };
            if !reach.involved.insert(unit) {
                continue;
            }
            // A oneshot that has run its course passes the stop on to what requires it.
            let rests = service.kind().rests();
            if service.goal != Goal::Down {
                service.goal = Goal::Down;
                self.announce(unit, Some(cause.clone()));
                let outcome = Outcome::Superseded {
                    cause: cause.clone(),
                };
                self.resolve(unit, Awaited::Up, &outcome);
                self.resolve(unit, Awaited::Reload, &outcome);
            }
            if !rests && !targets.contains(&unit) {
                reach.pulled_in.push((unit, cause));
            }
            let Some(name) = self.name(unit) else {
                continue;
            };
            for dependent in self.graph.of(unit).required_by.iter().rev() {
                todo.push((*dependent, Cause::Requires(name.clone())));
            }
        }
    }

    /// Marks the units, and what is up and requires them, to go down and come up again.
    pub(super) fn mark_cycle(&mut self, targets: &[UnitId], cause: &Cause, reach: &mut Reach) {
        let mut todo: Vec<(UnitId, Cause)> = targets
            .iter()
            .rev()
            .map(|unit| (*unit, cause.clone()))
            .collect();
        while let Some((unit, cause)) = todo.pop() {
            let Some(service) = self.services.get_mut(&unit) else {
                continue;
            };
            let kind = service.kind();
            let runs = kind.starts() || kind.is_up() || kind.ends();
            let taken_along = !targets.contains(&unit);
            let is_done = service.has_begun_since(reach.first_asked) && service.next.is_none();
            if !runs || (taken_along && service.goal != Goal::Up) || !reach.cycled.insert(unit) {
                continue;
            }
            if is_done {
                // It runs anew already; what requires it may not.
            } else if service.goal != Goal::Cycle {
                let was = std::mem::replace(&mut service.goal, Goal::Cycle);
                self.announce(unit, Some(cause.clone()));
                if was == Goal::Down && !kind.ends() {
                    let outcome = Outcome::Superseded {
                        cause: cause.clone(),
                    };
                    self.resolve(unit, Awaited::Down, &outcome);
                }
                let outcome = Outcome::Superseded {
                    cause: cause.clone(),
                };
                self.resolve(unit, Awaited::Reload, &outcome);
            }
            if taken_along && !is_done {
                reach.pulled_in.push((unit, cause));
            }
            let Some(name) = self.name(unit) else {
                continue;
            };
            for dependent in self.graph.of(unit).required_by.iter().rev() {
                todo.push((*dependent, Cause::Requires(name.clone())));
            }
        }
    }

    /// Steps every unit on the worklist until nothing moves.
    pub(super) fn settle(&mut self) {
        while let Some(unit) = self.work.pop_first() {
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
            (_, Goal::Up | Goal::Down | Goal::Cycle) => {}
        }
    }

    fn step_waiting(&mut self, unit: UnitId) {
        match self.turn(unit) {
            Turn::Come => self.happen(unit, Happening::Begin),
            Turn::Blocked(on) => self.tell_waiting(unit, on),
            Turn::Lost(on) => self.lose(unit, on),
        }
    }

    /// Whether a waiting unit's turn to start has come.
    pub(super) fn turn(&self, unit: UnitId) -> Turn {
        let edges = self.graph.of(unit);
        let mut blocked = None;
        for required in &edges.requires {
            let Some(service) = self.service(*required) else {
                continue;
            };
            match service.kind() {
                FactPhase::Failed | FactPhase::Stopped => return Turn::Lost(*required),
                _ => {}
            }
        }
        for first in &edges.after {
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
        let detail = match &lost.phase {
            Phase::Failed(failure) => failure.to_string(),
            _ => String::from("it was stopped"),
        };
        let failure = Failure::Dependency {
            on: lost.unit.name.clone(),
            detail: detail.into(),
        };
        if let Some(service) = self.service_mut(unit) {
            service.goal = Goal::Down;
        }
        self.renew(unit);
        let cause = Cause::Failed(failure.clone());
        self.enter(unit, Phase::Failed(failure.clone()), Some(cause));
        self.resolve(
            unit,
            Awaited::Up,
            &Outcome::Failed {
                failure,
                retry_ms: None,
            },
        );
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
