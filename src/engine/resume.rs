//! Requests that outlive their daemon: what a repeated wish is answered with, and how one that waits is carried from
//! one image of the daemon to the next.

use crate::sorted::Sorted;
use crate::unit::UnitName;

use super::freeze::Step;
use super::phase::{Goal, Phase};
use super::request::Open;
use super::service::Service;
use super::{Engine, Heritage, Outcome, RequestId, UnitId};

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    Up,
    Down,
    Reload,
    Freeze,
    Thaw,
}

/// How far a request has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub awaited: Awaited,
    /// The units that have not got there.
    pub units: Vec<UnitName>,
    /// What became of the others, in the order of the answer.
    pub outcomes: Vec<(UnitName, Outcome)>,
}

impl Service {
    /// What became of its last start, where that is known by now.
    pub(super) fn became(&self) -> Option<Outcome> {
        let superseded = || Outcome::Superseded {
            cause: self.cause.clone(),
        };
        match (&self.phase, self.goal) {
            (Phase::Completed, _) => Some(Outcome::Completed),
            (Phase::Failed(failure), _) => Some(Outcome::Failed {
                failure: failure.clone(),
                retry_ms: None,
            }),
            (Phase::Stopped, _) => Some(superseded()),
            (_, Goal::Down) => Some(superseded()),
            (phase, Goal::Up) if phase.kind().is_up() => Some(Outcome::Started),
            (_, Goal::Up | Goal::Cycle) => None,
        }
    }

    /// Where it is already, if a request waits for that.
    fn arrived(&self, awaited: Awaited) -> Option<Outcome> {
        match awaited {
            Awaited::Up => self.became(),
            Awaited::Down => self.kind().rests().then_some(Outcome::Stopped),
            Awaited::Freeze => match self.freeze.map(|freeze| freeze.step) {
                Some(Step::Frozen) => Some(Outcome::Frozen),
                Some(Step::Freezing) => None,
                Some(Step::Thawing) | None => Some(Outcome::Superseded {
                    cause: self.cause.clone(),
                }),
            },
            Awaited::Thaw => self.freeze.is_none().then_some(Outcome::Thawed),
            Awaited::Reload => {
                let reloads = self.kind().reloads();
                (!reloads).then_some(Outcome::Reloaded)
            }
        }
    }
}

impl Engine {
    /// How far a request has come; `None` if it does not wait.
    #[must_use]
    pub fn pending(&self, request: RequestId) -> Option<Pending> {
        let open = self.requests.open.get(&request)?;
        let name = |unit: &UnitId| self.name(*unit);
        let done = |unit: &UnitId| Some((self.name(*unit)?, open.outcomes.get(unit)?.clone()));
        let units = open.units.iter().filter(|unit| open.pending.contains(unit));
        Some(Pending {
            awaited: open.awaited,
            units: units.filter_map(name).collect(),
            outcomes: open.units.iter().filter_map(done).collect(),
        })
    }

    /// Whether the daemon was asked to end.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.mode != super::Mode::Serving
    }

    /// The units that are about to be restored come from an image of this very daemon, which has carried out all of its
    /// effects: nobody gets a second signal. To be called before the first event.
    pub fn go_on(&mut self) {
        self.heritage = Heritage::Whole;
    }

    /// Whether the predecessor may have died between writing something down and doing it.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        self.heritage == Heritage::Torn
    }

    pub(super) fn on_resumed(&mut self, request: RequestId, awaited: Awaited, units: &[UnitName]) {
        let units: Vec<UnitId> = units.iter().filter_map(|name| self.id(name)).collect();
        let mut open = Open::new(awaited, &units);
        for unit in &units {
            let service = self.service(*unit);
            if let Some(outcome) = service.and_then(|service| service.arrived(awaited)) {
                open.settle(*unit, outcome);
            }
        }
        open.involved = units.into_iter().sorted_set();
        self.open(request, open);
    }
}
