//! Plans carried out: goals are set and starts are queued as the steps say, and whoever waits in vain is answered.
//!
//! Owns what each deed changes in a unit. It decides nothing (`plan.rs`, `job.rs` did), and it starts and stops nothing
//! itself: each unit is stepped afterwards, when its turn has come.

use std::collections::BTreeSet;

use super::atoms::Occasion;
use super::job::{Deed, Job};
use super::phase::Goal;
use super::plan::{Ground, Plan, Planner, Step};
use super::request::Wish;
use super::{
    Awaited, Cause, Engine, Happening, Moment, Notice, Outcome, Refusal, RequestId, Scope, UnitId,
    Verb,
};

impl Engine {
    /// A planner for the units as they stand, with the graph in force.
    pub(super) fn planner(&self, first_asked: Option<Moment>) -> Planner<'_> {
        let graph = &self.graph;
        let ground = Ground {
            engine: self,
            graph,
        };
        Planner::new(ground, first_asked)
    }

    /// What the wish comes to. `barred`: what is not started even if it is wanted.
    pub(super) fn plan_of(
        &self,
        wish: &Wish,
        units: &[UnitId],
        barred: BTreeSet<UnitId>,
    ) -> Result<Plan, Refusal> {
        let job = match wish.verb {
            Verb::Start => Job::Start,
            Verb::Stop | Verb::Shutdown => Job::Stop,
            Verb::Restart(_) => Job::Restart,
            Verb::Reload | Verb::Reset | Verb::Signal(_) | Verb::Freeze | Verb::Thaw => {
                return Ok(Plan::default());
            }
        };
        let named: Vec<(UnitId, Job)> = units
            .iter()
            .filter(|unit| !self.is_left_down(wish, **unit))
            .map(|unit| (*unit, job))
            .collect();
        self.planner(wish.first_asked).bar(barred).wished(&named)
    }

    /// `restart --if-running` leaves it as it is. One that is being stopped counts as down, as for systemd's
    /// try-restart.
    fn is_left_down(&self, wish: &Wish, unit: UnitId) -> bool {
        let has_restarted = |unit| {
            self.service(unit).is_some_and(|service| {
                service.has_begun_since(wish.first_asked) && service.next.is_none()
            })
        };
        wish.verb == Verb::Restart(Scope::Running)
            && self
                .service(unit)
                .is_none_or(|service| service.goal == Goal::Down)
            && !has_restarted(unit)
    }

    /// Tells the client what it wanted along and does not get.
    pub(super) fn tell_left_out(&mut self, request: RequestId, plan: &Plan) {
        for left_out in &plan.left_out {
            let (Some(unit), Some(over)) = (self.name(left_out.unit), self.name(left_out.over))
            else {
                continue;
            };
            let text = if unit == over {
                format!("{unit} is left out: it would have to be stopped at once")
            } else {
                format!("{unit} is left out: {over} would have to start and to stop for it")
            };
            self.notify_one(request, Notice::Warning { text });
        }
    }

    /// What follows for the neighbours when something happens to a unit that nobody wished. Where that contradicts
    /// itself, nothing follows.
    pub(super) fn spread(&mut self, unit: UnitId, occasion: Occasion) {
        if let Ok(plan) = self.planner(None).following(unit, occasion) {
            self.carry_out(&plan, &Cause::Ordered);
        }
    }

    /// Does what the plan says. `asked` is the cause of the steps that the wish names.
    pub(super) fn carry_out(&mut self, plan: &Plan, asked: &Cause) {
        for step in &plan.steps {
            if step.job.is_named() && step.deed != Deed::Done {
                if let Some(service) = self.service_mut(step.unit) {
                    service.forget_restarts();
                }
                self.changed.insert(step.unit);
            }
            let cause = self.cause_of(step, asked);
            self.carry_step(step, cause);
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
