//! The engine: the rules of the game, as one pure value.
//!
//! It owns every unit's definition, phase and goal, the requests under way, counters and deadlines. It knows no clock, no file
//! descriptor, no log and no randomness of its own: time comes as an argument, all that can happen is an [`Event`], all that
//! may be done to the world is an [`Effect`].
//!
//! Its methods are of four kinds. [`Engine::handle`] takes what has happened. [`Engine::poll_effect`] hands out what to do next:
//! call it until it is empty after each event. [`Engine::next_deadline`] says when to come back with [`Event::Tick`]. All others
//! only look.

mod command;
mod effect;
mod event;
mod facts;
mod id;
mod story;
mod view;

pub use command::{Asker, Command, Scope, Verb, Wait};
pub use effect::{
    Answer, Change, Effect, Impossible, Notice, Outcome, Refusal, Role, RunResult, Spawn, Target,
};
pub use event::{Absent, Core, Ending, Event, NoMain, SpawnFailure};
pub use facts::{FactGoal, FactPhase, FactRun, Facts};
pub use id::{ChangeId, Moment, RequestId, RunId, UnitId};
pub use story::{Cause, Failure, State};
pub use view::{MainView, View};

use crate::unit::{Unit, UnitName};

/// Units that one daemon holds at most.
pub const UNITS_MAX: usize = 10_000;

/// See the module.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    /// An engine that knows no unit. `seed` feeds the jitter of restart delays, nothing else.
    #[must_use]
    pub fn new(_seed: u64) -> Self {
        Self {}
    }

    /// Takes one thing that happened. `now` never goes back.
    pub fn handle(&mut self, _now: Moment, _event: Event) {}

    /// The next thing to do, in order; `None` when all is handed out.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        None
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        None
    }

    #[must_use]
    pub fn id(&self, _name: &UnitName) -> Option<UnitId> {
        None
    }

    /// The definition in force. What a running service was started with stays in force until it is down.
    #[must_use]
    pub fn unit(&self, _id: UnitId) -> Option<&Unit> {
        None
    }

    #[must_use]
    pub fn view(&self, _id: UnitId) -> Option<View<'_>> {
        None
    }

    /// Every unit, in the order of their names.
    pub fn units(&self) -> impl Iterator<Item = UnitId> + '_ {
        std::iter::empty()
    }

    /// What a successor must know of this unit.
    #[must_use]
    pub fn facts(&self, _id: UnitId) -> Option<Facts> {
        None
    }
}
