//! Where one plan would start a unit and stop it: who gives way, and how that is told.
//!
//! Owns the words. When it comes to that, and what is tried next, is `plan.rs`'s.

use crate::unit::UnitName;

use super::job::Job;
use super::plan::{Because, Bond};
use super::{Refusal, UnitId};

/// So many links of the chain that leads to a stop are told.
const CHAIN_MAX: usize = 8;

/// A unit is to start and to stop.
#[derive(Clone, Copy)]
pub(super) struct Clash {
    pub(super) unit: UnitId,
    /// Of what came last, and of what was told before.
    pub(super) bonds: [Bond; 2],
    pub(super) start: Because,
    pub(super) stop: Because,
}

/// A wanted unit that gives way.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeftOut {
    pub(super) unit: UnitId,
    /// The unit that would both start and stop.
    pub(super) over: UnitId,
    /// Who would have it stopped.
    stop: Because,
}

impl Clash {
    /// Which unit gives way, if one may.
    pub(super) fn gives_way(&self) -> Option<UnitId> {
        self.bonds.into_iter().find_map(|bond| match bond {
            Bond::May(unit) => Some(unit),
            Bond::Must => None,
        })
    }

    /// What is told of the unit that gives way. One that is only to be taken through a restart is stopped, and that is
    /// told already.
    pub(super) fn left_out(self, unit: UnitId) -> Option<LeftOut> {
        let (over, stop) = (self.unit, self.stop);
        match self.start {
            Because::Edge(atom, _) if atom.tells == Job::TryRestart => None,
            Because::Edge(..) | Because::Asked => Some(LeftOut { unit, over, stop }),
        }
    }

    /// In words; a stop with the whole chain that leads to it. `stop_of`: why another unit stops by this plan.
    pub(super) fn refusal(
        &self,
        name: impl Fn(UnitId) -> Option<UnitName>,
        stop_of: impl Fn(UnitId) -> Option<Because>,
    ) -> Refusal {
        let Some(unit) = name(self.unit) else {
            return Refusal::TooMany;
        };
        let words = |because: Because| match because {
            Because::Asked => "it was asked for".to_owned(),
            Because::Edge(atom, from) => {
                name(from).map_or_else(String::new, |from| (atom.because)(from).to_string())
            }
        };
        let mut stop = words(self.stop);
        let mut at = self.stop;
        for _ in 0..CHAIN_MAX {
            let Because::Edge(_, from) = at else { break };
            let (Some(because), Some(from)) = (stop_of(from), name(from)) else {
                break;
            };
            stop.push_str(&format!(" ({from}: {})", words(because)));
            at = because;
        }
        Refusal::Contradiction {
            unit,
            start: words(self.start),
            stop,
        }
    }
}

impl LeftOut {
    /// A sentence for the reader.
    pub(super) fn text(&self, name: impl Fn(UnitId) -> Option<UnitName>) -> Option<String> {
        let (unit, over) = (name(self.unit)?, name(self.over)?);
        Some(if unit == over {
            let reason = match self.stop {
                Because::Asked => "its stop was asked for".to_owned(),
                Because::Edge(atom, from) => (atom.because)(name(from)?).to_string(),
            };
            format!("{unit} is left out: {reason}")
        } else {
            format!("{unit} is left out: it would stop {over}, which is to start")
        })
    }
}
