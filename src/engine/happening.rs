//! What an event means to one unit: the table's inputs with what they bring along.

use super::{Cause, Ending, Input, Moment, NoMain, SpawnFailure};

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
