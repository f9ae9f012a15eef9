//! What a successor must know of a unit: facts, in a form that the wire can write down.
//!
//! Moments stay true for a successor because both read the same monotonic clock of the same boot.

use crate::unit::UnitName;

use super::{Cause, ChangeId, Ending, Moment, Monitor, Role, RunId};

/// One unit's facts. Read back through [`super::Event::Restored`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub unit: UnitName,
    pub goal: FactGoal,
    pub phase: FactPhase,
    /// The main process (or a forking service's first one), if there is or was to be one.
    pub main: Option<FactRun>,
    /// The process of a command that runs beside it.
    pub control: Option<FactRun>,
    /// The unit's youngest run; 0 if there was none. A successor counts on from the highest of all units.
    pub last_run: RunId,
    /// When it was last started, by whomever; 0 if it never was.
    pub begun: Moment,
    /// What the phase waits for.
    pub deadline: Option<Moment>,
    pub since: Moment,
    /// Why it is as it is; nothing from an older daemon.
    pub reason: Option<FactReason>,
    /// Why it is to come up again, while it goes down for that.
    pub again: Option<FactReason>,
    /// Why its present life began.
    pub origin: Option<FactReason>,
    /// What others name that follow it: its last entry in the record, if that tells of its reason.
    pub voice: Option<ChangeId>,
    /// Since when it stands still, and its deadline with it.
    pub frozen: Option<Moment>,
    /// When the present run became ready, if it did.
    pub ready_at: Option<Moment>,
    /// Automatic restarts since the last start by hand.
    pub restarts: u32,
    /// Consecutive automatic restarts: the exponent of the delay.
    pub attempt: u32,
    /// The moments that the start limit counts.
    pub starts: Vec<Moment>,
    /// How the run that ends, or ended last, failed.
    pub failure: Option<FactFailure>,
    /// How the main process of the run that ends, or whose `ExecStartPost=` still runs, has ended, if it has.
    pub main_ending: Option<Ending>,
    /// The watchdog that the service has asked for in place of its unit's, in milliseconds; 0 for none.
    pub watchdog_ms: Option<u64>,
    /// When it has run for long enough.
    pub runtime_due: Option<Moment>,
    /// Whose end has started it.
    pub monitor: Option<Monitor>,
}

/// A cause and the entry of the record that it goes back to. Of a failure it has the words: [`Failure::Recorded`].
///
/// [`Failure::Recorded`]: super::Failure::Recorded
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactReason {
    pub cause: Cause,
    pub because: Option<ChangeId>,
}

/// A failure, as far as a successor needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactFailure {
    /// systemd's word for it (`exit-code`, `signal`, `timeout` …): the restart policy goes by it.
    pub result: String,
    /// For the reader.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactGoal {
    Up,
    Down,
    Cycle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactPhase {
    Stopped,
    Completed,
    Failed,
    Waiting,
    Examining,
    StartPre,
    Starting,
    FindingMain,
    StartPost,
    Running,
    Exited,
    Reloading,
    ReloadSignal,
    ReloadNotify,
    Leaving,
    StopCommand,
    Aborting,
    Killing,
    KillingHard,
    StopPost,
    FinalKilling,
    FinalKillingHard,
    Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactRun {
    pub run: RunId,
    pub role: Role,
    pub index: usize,
    /// Unknown between the intent and the birth.
    pub pid: Option<u32>,
}

impl FactRun {
    /// Whether nothing is known of a birth that the service's life depends on. What else there is runs beside, and a
    /// second time does no harm; and who is sought as a main process was born by another one.
    #[must_use]
    pub fn is_unborn(&self, phase: FactPhase) -> bool {
        self.pid.is_none() && self.role.begins() && phase != FactPhase::FindingMain
    }
}
