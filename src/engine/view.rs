//! What can be asked of the engine about one unit: a snapshot for `list`, `status` and the tests.

use crate::unit::{Unit, UnitName};

use super::{Cause, ChangeId, Moment, RunId, State, UnitId};

/// One unit as it stands now.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub id: UnitId,
    /// The definition in force.
    pub unit: &'a Unit,
    pub state: State,
    /// The finer phase for `status`: `start-pre`, `stop-sigterm`, …, in systemd's words where it has one.
    pub phase: &'static str,
    /// When it came into this state; while it is up, when it came up, whatever it has reloaded since.
    pub since: Moment,
    /// Why it is in this state.
    pub cause: &'a Cause,
    /// The entry of the record that this goes back to, and the unit's own last one.
    pub because: Option<ChangeId>,
    pub change: Option<ChangeId>,
    /// Why the present life began, while it lasts; `None` also where nobody knows.
    pub origin: Option<&'a Cause>,
    pub main: Option<MainView>,
    /// A command that runs beside the main process.
    pub control: Option<RunId>,
    /// Automatic restarts since the last start by hand.
    pub restarts: u32,
    /// Since when it stands still, if it does.
    pub frozen: Option<Moment>,
    /// The next automatic restart, or the end of the running time limit; none while it stands still.
    pub deadline: Option<Moment>,
    /// What its start waits for while its program runs, and why that has not come.
    pub awaits: Option<String>,
    /// What it waits for in order, if it waits.
    pub waits_for: Vec<UnitName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MainView {
    pub run: RunId,
    pub pid: u32,
}
