//! Plans carried out: goals are set and starts are queued as the steps say, and whoever waits in vain is answered.
//!
//! Owns what each deed changes in a unit. It decides nothing (`plan.rs`, `job.rs` did), and it starts and stops nothing
//! itself: each unit is stepped afterwards, when its turn has come.

use std::collections::BTreeSet;

use crate::sorted::Sorted;
use crate::unit::UnitName;

use super::atoms::Occasion;
use super::job::{Deed, Job};
use super::phase::Goal;
use super::plan::{Ground, Plan, Planner, Step};
use super::request::Wish;
use super::stage::Stage;
use super::{
    Asker, Awaited, Cause, Engine, Happening, Moment, Notice, Outcome, Refusal, RequestId, Scope,
    UnitId, Verb,
};

impl Engine {
    /// A planner for the units as they stand, with the graph in force.
    pub(super) fn planner<'a>(
        &'a self,
        stage: &'a Stage,
        first_asked: Option<Moment>,
    ) -> Planner<'a> {
        let ground = Ground {
            engine: self,
            stage,
        };
        Planner::new(ground, first_asked)
    }

    /// The units that the wish names, and what it comes to. `left_out`: what is not started even if it is wanted.
    pub(super) fn plan_of(
        &self,
        wish: &Wish,
        stage: &Stage,
        left_out: &[(UnitName, String)],
    ) -> Result<(Vec<UnitId>, Plan), Refusal> {
        let mut units = Vec::new();
        let mut seen = BTreeSet::new();
        for name in &wish.targets {
            let unit = stage
                .id(self, name)
                .ok_or_else(|| Refusal::Unknown { unit: name.clone() })?;
            if seen.insert(unit) {
                units.push(unit);
            }
        }
        let job = match wish.verb {
            Verb::Start => Job::Start,
            Verb::Stop | Verb::Shutdown => Job::Stop,
            Verb::Restart(_) => Job::Restart,
            Verb::Reload
            | Verb::Renew
            | Verb::Reset
            | Verb::Signal(_)
            | Verb::Freeze
            | Verb::Thaw => {
                return Ok((units, Plan::default()));
            }
        };
        let ground = Ground {
            engine: self,
            stage,
        };
        let meant = units
            .iter()
            .filter(|unit| !ground.is_left_down(wish, **unit))
            .filter(|unit| stage.not_by_hand(self, wish, **unit).is_none());
        let named: Vec<(UnitId, Job)> = meant.map(|unit| (*unit, job)).collect();
        let barred = left_out.iter().filter_map(|(name, _)| stage.id(self, name));
        let planner = self.planner(stage, wish.first_asked);
        let plan = planner.bar(barred.sorted_set()).wished(&named)?;
        if wish.by == Asker::Boot {
            self.spare_the_earlier(&plan)?;
        }
        Ok((units, plan))
    }

    /// Of two enabled units that conflict, the one that came first stays: a daemon's start is nobody's younger wish.
    fn spare_the_earlier(&self, plan: &Plan) -> Result<(), Refusal> {
        let mut stops = plan.steps.iter().filter(|step| step.deed == Deed::Stop);
        let Some((step, unit)) = stops.find_map(|step| Some((step, self.name(step.unit)?))) else {
            return Ok(());
        };
        Err(Refusal::Contradiction {
            unit,
            start: "it is up or starts already".to_owned(),
            stop: self.cause_of(step, &Cause::Ordered).to_string(),
        })
    }

    /// Tells the client what it wanted along and does not get.
    pub(super) fn tell_left_out(&mut self, request: RequestId, plan: &Plan) {
        for left_out in &plan.left_out {
            if let Some(text) = left_out.text(|unit| self.name(unit)) {
                self.notify_one(request, Notice::Warning { text });
            }
        }
    }

    /// What follows for the neighbours when something happens to a unit that nobody wished. Where that contradicts
    /// itself, nothing follows, and that is told.
    pub(super) fn spread(&mut self, unit: UnitId, occasion: Occasion) {
        let stage = Stage::default();
        let plan = self.planner(&stage, None).following(unit, occasion);
        match plan {
            Ok(plan) => self.carry_out(&plan, &Cause::Ordered),
            Err(refusal) => {
                let cause = self.service(unit).map(|service| service.cause.clone());
                self.withhold(unit, cause.unwrap_or(Cause::Ordered), refusal.to_string());
            }
        }
    }

    /// Does what the plan says. `asked` is the cause of the steps that the wish names.
    pub(super) fn carry_out(&mut self, plan: &Plan, asked: &Cause) {
        let passing = match self.wish {
            Some(_) => BTreeSet::new(),
            None => plan.passing(),
        };
        for step in &plan.steps {
            if step.passes() && passing.contains(&step.unit) {
                self.explain_passing(step, asked);
            }
            if step.job.is_named() && step.deed != Deed::Done {
                if let Some(service) = self.service_mut(step.unit) {
                    service.forget_restarts();
                }
                self.changed.insert(step.unit);
            }
            let cause = self.cause_of(step, asked);
            self.carry_step(step, cause);
        }
        self.passed.clear();
    }

    /// Who is down passes a stop on to others, and would have nothing to say of it.
    fn explain_passing(&mut self, step: &Step, asked: &Cause) {
        let cause = self.cause_of(step, asked);
        if let Some(id) = self.explain(step.unit, cause) {
            self.passed.insert(step.unit, id);
        }
    }

    pub(super) fn cause_of(&self, step: &Step, asked: &Cause) -> Cause {
        step.cause(|unit| self.name(unit), asked)
    }

    fn carry_step(&mut self, step: &Step, cause: Cause) {
        let unit = step.unit;
        let goal = match step.deed {
            Deed::Nothing | Deed::Done | Deed::Join => return,
            Deed::Start => return self.happen(unit, Happening::Wake(cause)),
            Deed::Keep => Goal::Up,
            Deed::StartAfter | Deed::Restart => Goal::Cycle,
            Deed::Stop => Goal::Down,
        };
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        let was = std::mem::replace(&mut service.goal, goal);
        self.announce(unit, Some(cause.clone()));
        if was == Goal::Down && goal != Goal::Down {
            // Who is upheld and was not to take that stop back may come up beside it now.
            self.release_held_back();
        }
        let outcome = Outcome::Superseded { cause };
        let in_vain: &[Awaited] = match (step.deed, was) {
            (Deed::Stop, _) => &[Awaited::Up, Awaited::Reload],
            (Deed::Keep, _) => &[Awaited::Down],
            (Deed::Restart, Goal::Down) => &[Awaited::Down, Awaited::Reload],
            (Deed::Restart, Goal::Up | Goal::Cycle) => &[Awaited::Reload],
            // The stop that is under way comes to its end.
            (Deed::StartAfter | Deed::Start | Deed::Nothing | Deed::Done | Deed::Join, _) => &[],
        };
        for awaited in in_vain {
            self.resolve(unit, *awaited, &outcome);
        }
    }
}

impl Ground<'_> {
    /// `restart --if-running` leaves it as it is. One that is being stopped counts as down, as for systemd's
    /// try-restart.
    fn is_left_down(&self, wish: &Wish, unit: UnitId) -> bool {
        wish.verb == Verb::Restart(Scope::Running)
            && self.standing(unit).goal == Goal::Down
            && !self.is_done(unit, Job::Restart, wish.first_asked)
    }
}
