//! What an event means to one unit: the table's inputs with what they bring along.

use crate::unit::Truth;

use super::{
    Cause, Ending, Engine, FactPhase, Input, Moment, NoMain, QuestionId, RunId, SpawnFailure,
    UnitId,
};

/// What became of a process.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    Ended(Ending),
    Unborn(SpawnFailure),
}

impl Fate {
    /// How the process ended; one that never was has no status.
    pub(super) fn ending(&self) -> Ending {
        match self {
            Self::Ended(ending) => *ending,
            Self::Unborn(_) => Ending::Unknown,
        }
    }
}

/// An [`Input`] with what it brings along.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Wake(Cause),
    Begin,
    /// Which tests of its conditions are true.
    Examined(QuestionId, Vec<Truth>),
    Halt,
    Reload,
    Executed,
    Ready,
    /// And when that began, if it says so.
    Reloading(Option<Moment>),
    Stopping,
    /// Its watchdog was not served within so many milliseconds, if that is known.
    Hung(Option<u64>),
    Overrun,
    MainEnded(Fate),
    ControlEnded(Fate),
    MainFound(u32),
    MainMissing(NoMain),
    GroupEmpty,
    OomKill,
    Due,
}

impl Happening {
    pub(super) fn input(&self) -> Input {
        match self {
            Self::Wake(_) => Input::Wake,
            Self::Begin => Input::Begin,
            Self::Examined(..) => Input::Examined,
            Self::Halt => Input::Halt,
            Self::Reload => Input::Reload,
            Self::Executed => Input::Executed,
            Self::Ready => Input::Ready,
            Self::Reloading(_) => Input::Reloading,
            Self::Stopping => Input::Stopping,
            Self::Hung(_) => Input::Hung,
            Self::Overrun => Input::Overrun,
            Self::MainEnded(_) => Input::MainEnded,
            Self::ControlEnded(_) => Input::ControlEnded,
            Self::MainFound(_) => Input::MainFound,
            Self::MainMissing(_) => Input::MainMissing,
            Self::GroupEmpty => Input::GroupEmpty,
            Self::OomKill => Input::OomKill,
            Self::Due => Input::Due,
        }
    }
}

impl Engine {
    pub(super) fn on_spawned(&mut self, run: RunId, pid: u32) {
        let Some(unit) = self.runs.get(&run).copied() else {
            return;
        };
        if let Some(known) = self
            .service_mut(unit)
            .and_then(|service| service.phase.run_mut(run))
        {
            known.pid = Some(pid);
            self.changed.insert(unit);
        }
    }

    pub(super) fn on_executed(&mut self, run: RunId) {
        if let Some((unit, true)) = self.owner(run) {
            self.happen(unit, Happening::Executed);
        }
    }

    pub(super) fn on_ready(&mut self, run: RunId) {
        if let Some((unit, true)) = self.owner(run) {
            self.happen(unit, Happening::Ready);
        }
    }

    /// A process is gone. One that its unit does not wait for any more is only forgotten.
    pub(super) fn on_fate(&mut self, run: RunId, fate: Fate) {
        let owner = self.owner(run);
        self.runs.remove(&run);
        match owner {
            Some((unit, true)) => self.happen(unit, Happening::MainEnded(fate)),
            Some((unit, false)) => self.happen(unit, Happening::ControlEnded(fate)),
            None => {}
        }
    }

    pub(super) fn on_main(&mut self, run: RunId, happening: Happening) {
        if let Some((unit, true)) = self.owner(run)
            && self.is_kind(unit, FactPhase::FindingMain)
        {
            self.happen(unit, happening);
        }
    }

    /// Whose process this is, and whether it is the main one (`true`) or a command (`false`).
    pub(super) fn owner(&self, run: RunId) -> Option<(UnitId, bool)> {
        let unit = *self.runs.get(&run)?;
        let phase = &self.services.get(&unit)?.phase;
        if phase.main().is_some_and(|main| main.id == run) {
            Some((unit, true))
        } else if phase.control().is_some_and(|control| control.id == run) {
            Some((unit, false))
        } else {
            None
        }
    }
}
