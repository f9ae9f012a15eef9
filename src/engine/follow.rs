//! What follows when a unit goes up or down, without anybody's wish: who is bound to it goes down too, who is upheld
//! comes up again, who is not needed any more goes down, and who waits for its end is started.
//!
//! Owns the rules for that and their pace. Each is a question about how things stand, asked of every unit on the
//! worklist, so that it makes no difference how they came to stand so: a successor asks the same. What is to be done
//! is a plan like any other (`plan.rs`). The keys are systemd.unit(5)'s.

use std::collections::BTreeSet;

use crate::sorted::Sorted;

use super::atoms::{ATOMS, Atom, Occasion, neighbours};
use super::graph::Rare;
use super::job::{Deed, Job, Sequel};
use super::monitor::Monitor;
use super::phase::Goal;
use super::plan::{Plan, Step};
use super::request::Wish;
use super::stage::{Guard, Stage};
use super::{
    Cause, Effect, Engine, FactPhase, Impossible, Mode, RunResult, UnitId, restart, unfit,
};

/// How a unit's end concerns whoever is bound to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// It is down.
    Final,
    /// It comes up again by itself, or may.
    Passing,
}

impl Engine {
    /// Does what follows from how the unit stands.
    pub(super) fn follow(&mut self, unit: UnitId) {
        if self.mode != Mode::Serving {
            return;
        }
        self.keep_bonds(unit);
        self.stop_unneeded(unit);
        self.uphold(unit);
    }

    /// `BindsTo=`: it is not up without what it is bound to. Where that comes up again, so does this unit.
    fn keep_bonds(&mut self, unit: UnitId) {
        let is_to_be_up = self.service(unit).is_some_and(|service| {
            let kind = service.kind();
            service.goal == Goal::Up && (kind.starts() || kind.is_up())
        });
        if !is_to_be_up {
            return;
        }
        let bound = self.graph.of(unit).rare().binds_to.iter();
        let mut lost = bound.filter_map(|to| Some((*to, self.loss_of(*to)?)));
        let Some((to, loss)) = lost.next() else {
            return;
        };
        let job = match loss {
            Loss::Final => Job::Stop,
            Loss::Passing => Job::TryRestart,
        };
        let Some(name) = self.name(to) else { return };
        let cause = Cause::BindsTo(name);
        if !self.plan_alone(unit, job, &cause) {
            self.plan_alone(unit, Job::Stop, &cause);
        }
    }

    fn loss_of(&self, unit: UnitId) -> Option<Loss> {
        let service = self.service(unit)?;
        let kind = service.kind();
        match service.goal {
            _ if kind.rests() => Some(Loss::Final),
            _ if kind == FactPhase::Backoff => Some(Loss::Passing),
            Goal::Up if kind.ends() => Some(match service.sequel() {
                Sequel::Restart => Loss::Passing,
                Sequel::Rest => Loss::Final,
            }),
            Goal::Cycle if service.is_stopping() => Some(Loss::Passing),
            Goal::Down if service.is_stopping() => Some(Loss::Final),
            Goal::Up | Goal::Down | Goal::Cycle => None,
        }
    }

    /// `StopWhenUnneeded=`: up, and nobody is there any more who named it.
    fn stop_unneeded(&mut self, unit: UnitId) {
        let Some(service) = self.service(unit) else {
            return;
        };
        let is_up = service.kind().is_up() && service.goal == Goal::Up;
        if !is_up || !service.newest().relations().stop_when_unneeded {
            return;
        }
        let holds = |holder: &UnitId| {
            let holder = self.service(*holder);
            holder.is_some_and(|holder| !holder.kind().rests())
        };
        if !self.graph.of(unit).holders().any(holds) {
            self.plan_alone(unit, Job::Stop, &Cause::Unneeded);
        }
    }

    /// `Upholds=`: a unit that is down and is to be up while another one is will be started, after a while.
    fn uphold(&mut self, unit: UnitId) {
        let rare = self.graph.of(unit).rare();
        if rare.upheld_by.is_empty() {
            return;
        }
        let is_due = self.upholder(unit).is_some() && !self.is_kept_down(unit, rare);
        if !is_due {
            self.upholds.set(unit, None);
        } else if self.upholds.get(unit).is_none() {
            let attempt = self.service(unit).map_or(0, |service| service.attempt);
            let delay_ms = restart::growing_ms(attempt);
            self.upholds.set(unit, Some(self.now.plus_ms(delay_ms)));
        }
    }

    /// Whoever is up and upholds this unit, which is down.
    fn upholder(&self, unit: UnitId) -> Option<UnitId> {
        let service = self.service(unit)?;
        if !service.kind().rests() || unfit(service.newest()).is_some() {
            return None;
        }
        let mut all = self.graph.of(unit).rare().upheld_by.iter();
        all.find(|other| self.upholds_now(**other)).copied()
    }

    pub(super) fn upholds_now(&self, unit: UnitId) -> bool {
        let service = self.service(unit);
        service.is_some_and(|service| service.kind().is_up() && service.goal == Goal::Up)
    }

    /// Whether something runs that it cannot run beside: what merely follows does not push out what somebody wished.
    pub(super) fn is_kept_down(&self, unit: UnitId, rare: &Rare) -> bool {
        let runs = |other: &UnitId| {
            let other = self.service(*other);
            other.is_some_and(|other| !other.kind().rests())
        };
        self.held_back.contains(&unit) || rare.opponents().any(|other| runs(&other))
    }

    /// The upheld units whose time has come are started, unless that would stop something.
    pub(super) fn upholds_due(&mut self) {
        while let Some(unit) = self.upholds.pop_due(self.now) {
            let Some(by) = self.upholder(unit).and_then(|by| self.name(by)) else {
                continue;
            };
            let stage = Stage::default();
            let plan = match self.obstacle(unit) {
                Some(refusal) => Err(refusal),
                None => self.planner(&stage, None).wished(&[(unit, Job::Pull)]),
            };
            let plan = plan.ok().filter(|plan| {
                let mut deeds = plan.steps.iter().map(|step| step.deed);
                let stops = deeds.any(|deed| matches!(deed, Deed::Stop | Deed::Restart));
                !stops && !self.takes_back_a_stop(plan)
            });
            let Some(plan) = plan else {
                self.held_back.insert(unit);
                continue;
            };
            if let Some(service) = self.service_mut(unit) {
                service.attempt = service.attempt.saturating_add(1);
            }
            self.carry_out(&plan, &Cause::UpheldBy(by));
        }
    }

    /// Something has come to rest: who was held back by it may start now.
    pub(super) fn release_held_back(&mut self) {
        let held_back = std::mem::take(&mut self.held_back);
        self.work.extend(held_back);
    }

    /// `OnFailure=` and `OnSuccess=`: the unit has come to rest.
    pub(super) fn has_ended(&mut self, unit: UnitId, occasion: Occasion, result: RunResult) {
        self.release_held_back();
        let Some(name) = self.name(unit).filter(|_| self.mode == Mode::Serving) else {
            return;
        };
        let edges = self.graph.of(unit);
        let atoms = ATOMS.iter().filter(|atom| atom.on == occasion);
        let handlers = atoms.flat_map(|atom| {
            let handlers = neighbours(edges, atom.along).iter();
            handlers.map(move |handler| (*handler, atom))
        });
        let handlers: Vec<(UnitId, &Atom)> = handlers.collect();
        for (handler, atom) in handlers {
            let monitor = Monitor {
                unit: name.clone(),
                result,
            };
            self.start_handler(unit, (handler, atom), monitor);
        }
    }

    fn start_handler(&mut self, unit: UnitId, (handler, atom): (UnitId, &Atom), monitor: Monitor) {
        let cause = (atom.because)(monitor.unit.clone());
        let (plan, begun) = match self.plan_handler(unit, (handler, atom)) {
            Ok(planned) => planned,
            Err(why) => return self.withhold(handler, cause, why),
        };
        self.carry_out(&plan, &cause);
        for one in &begun {
            if let Some(service) = self.service_mut(*one) {
                service.led_by = Some(unit);
            }
        }
        if begun.contains(&handler)
            && let Some(service) = self.service_mut(handler)
        {
            service.monitor = Some(Box::new(monitor));
            self.changed.insert(handler);
        }
    }

    /// What a handler's start comes to, and which units it starts; else why nothing is done, in words.
    fn plan_handler(
        &self,
        unit: UnitId,
        (handler, atom): (UnitId, &Atom),
    ) -> Result<(Plan, Vec<UnitId>), String> {
        if let Some(refusal) = self.obstacle(handler) {
            return Err(refusal.to_string());
        }
        let past = self.led_here(unit);
        let in_ring = |one: UnitId| {
            let name = self
                .name(one)
                .map_or_else(String::new, |name| name.to_string());
            format!("the end of {name} has led to this: handlers in a ring would never rest")
        };
        if past.contains(&handler) {
            return Err(in_ring(handler));
        }
        let stage = Stage::default();
        let planner = self.planner(&stage, None).bar(past.clone());
        let plan = planner.wished(&[(handler, atom.tells)]);
        let plan = plan.map_err(|refusal| refusal.to_string())?;
        if self.takes_back_a_stop(&plan) {
            return Err("it, or what it needs, is being stopped".to_owned());
        }
        let begins = |step: &&Step| matches!(step.deed, Deed::Start | Deed::StartAfter);
        let begun: Vec<UnitId> = plan.steps.iter().filter(begins).map(|s| s.unit).collect();
        // What it needs counts as much as the handler itself.
        match begun.iter().find(|one| past.contains(one)) {
            Some(one) => Err(in_ring(*one)),
            None => Ok((plan, begun)),
        }
    }

    /// A unit does not follow as its files ask: nobody waits for an answer to that, so it is told in the log.
    pub(super) fn withhold(&mut self, unit: UnitId, cause: Cause, why: String) {
        if let Some(unit) = self.name(unit) {
            let why = why.into_boxed_str();
            self.batch.push(Effect::Withheld { unit, cause, why });
        }
    }

    /// Whose end has led to this unit's start, and whose to theirs: none of them is started by its end in turn, or
    /// two units that handle each other's failures would never come to rest.
    fn led_here(&self, unit: UnitId) -> BTreeSet<UnitId> {
        let mut seen = [unit].into_iter().sorted_set();
        let mut at = unit;
        while let Some(before) = self.service(at).and_then(|service| service.led_by)
            && seen.insert(before)
        {
            at = before;
        }
        seen
    }

    /// What a waiting unit cannot run beside goes down first; the one that waits has the younger wish.
    pub(super) fn oust(&mut self, unit: UnitId) {
        let opponents: Vec<UnitId> = self.graph.of(unit).rare().opponents().collect();
        for opponent in opponents {
            let stays = self
                .service(opponent)
                .is_some_and(|other| other.goal != Goal::Down);
            if stays && let Some(name) = self.name(unit) {
                self.plan_alone(opponent, Job::Stop, &Cause::Conflicts(name));
            }
        }
    }

    /// Carries out what one unit is told without a wish, and all that this brings along. `false`: it contradicts
    /// itself.
    fn plan_alone(&mut self, unit: UnitId, job: Job, cause: &Cause) -> bool {
        let stage = Stage::default();
        let plan = self.planner(&stage, None).wished(&[(unit, job)]);
        match plan {
            Ok(plan) => self.carry_out(&plan, cause),
            Err(_) => return false,
        }
        true
    }

    /// Why a person's wish leaves this unit as it is.
    pub(super) fn not_by_hand(&self, wish: &Wish, unit: UnitId) -> Option<Impossible> {
        Guard::of(self.service(unit)?.newest()).refuses(wish)
    }

    /// What the unit needs to be up while it is, beyond what it waits for in order: the one that cannot come, if any.
    pub(super) fn lost_need(&self, unit: UnitId) -> Option<UnitId> {
        let edges = self.graph.of(unit);
        let is = |other: &UnitId, kinds: &[FactPhase]| {
            self.service(*other)
                .is_some_and(|other| kinds.contains(&other.kind()))
        };
        let down = [FactPhase::Failed, FactPhase::Stopped];
        let rests = [FactPhase::Failed, FactPhase::Stopped, FactPhase::Completed];
        let mut required = edges.requires.iter();
        let rare = edges.rare();
        let mut up = rare.requisite.iter().chain(&rare.binds_to);
        let lost = required.find(|other| is(other, &down));
        lost.or_else(|| up.find(|other| is(other, &rests))).copied()
    }

    /// For whom the unit waits whatever the order: what it is bound to is about to come up again, or what it cannot run
    /// beside is about to go.
    pub(super) fn awaited_need(&self, unit: UnitId) -> Option<UnitId> {
        let rare = self.graph.of(unit).rare();
        let mut up = rare.requisite.iter().chain(&rare.binds_to).copied();
        let passes = |other: &UnitId| {
            self.service(*other)
                .is_some_and(|s| s.kind() == FactPhase::Backoff || s.is_stopping())
        };
        let runs = |other: &UnitId| {
            self.service(*other).is_some_and(|other| {
                let kind = other.kind();
                kind.starts() || kind.is_up() || kind.ends()
            })
        };
        up.find(passes).or_else(|| rare.opponents().find(runs))
    }

    /// Whether a unit that somebody stops would come up again: what merely follows does not undo that. One that goes
    /// down by itself is nobody's stop.
    fn takes_back_a_stop(&self, plan: &Plan) -> bool {
        plan.steps.iter().any(|step| match step.deed {
            Deed::Keep => true,
            Deed::StartAfter => self
                .service(step.unit)
                .is_some_and(|service| service.goal == Goal::Down),
            Deed::Nothing | Deed::Done | Deed::Join | Deed::Start => false,
            Deed::Stop | Deed::Restart => false,
        })
    }
}
