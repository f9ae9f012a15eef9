//! The words for what became of a unit and why: states for display, causes, failures. All of them print for readers.

use std::fmt;

use crate::unit::UnitName;

use super::{Asker, Ending, Role, SpawnFailure};

/// A unit's state as people see it: a pure function of phase and goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Stopped,
    /// A start is wanted and waits for its turn.
    Waiting,
    Starting,
    Running,
    /// A oneshot with `RemainAfterExit=` that has run.
    Exited,
    /// A process ended well and nothing is to be restarted.
    Completed,
    Reloading,
    Stopping,
    /// In automatic restart, waiting for its delay.
    Backoff,
    Failed,
}

/// Why a change came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    Asked(Asker),
    /// A unit that requires it was started.
    RequiredBy(UnitName),
    WantedBy(UnitName),
    /// A unit that is bound to it was started.
    BoundBy(UnitName),
    /// A unit that upholds it is up.
    UpheldBy(UnitName),
    /// A unit that names it in `OnFailure=` has failed.
    FailureOf(UnitName),
    /// A unit that names it in `OnSuccess=` has ended well.
    SuccessOf(UnitName),
    /// What it requires was stopped or restarted.
    Requires(UnitName),
    /// What has to be up for it to start was stopped or restarted.
    Requisite(UnitName),
    /// What it is bound to went down, or was restarted.
    BindsTo(UnitName),
    /// What it is part of was stopped or restarted.
    PartOf(UnitName),
    /// A unit was started that it cannot run beside.
    Conflicts(UnitName),
    /// `StopWhenUnneeded=`: nobody is up any more who names it.
    Unneeded,
    /// What it waited for has come up, or its order was reached.
    Ordered,
    /// The delay of an automatic restart has passed; `attempt` counts from 1.
    AutoRestart {
        attempt: u32,
    },
    /// It became ready.
    Ready,
    /// It says that it reloads, and nobody has told it to.
    Reloads,
    /// Its reload is over.
    Reloaded,
    /// A condition of it says that there is nothing to do: which, and how.
    Skipped(Box<str>),
    /// Its process ended by itself.
    Ended(Ending),
    Failed(Failure),
    /// Its stop is complete: nothing is left.
    Gone,
    /// It says that it goes down by itself.
    Leaving,
    /// The daemon ends.
    Shutdown,
    /// It was taken over from a daemon that died.
    Restored,
}

/// Why a start, a run or a stop failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    Spawn {
        role: Role,
        failure: SpawnFailure,
    },
    /// A process ended with a status that counts as failure.
    Ended {
        role: Role,
        ending: Ending,
    },
    /// `TimeoutStartSec=` passed.
    StartTimeout {
        role: Role,
        limit_ms: u64,
    },
    /// `TimeoutStartSec=` passed before the running program was ready; `awaited` says what was waited for, and why that
    /// has not come.
    ReadyTimeout {
        limit_ms: u64,
        awaited: Box<str>,
    },
    /// It cannot become ready any more; `awaited` says what was waited for, and why that will not come.
    Hopeless {
        awaited: Box<str>,
    },
    /// `TimeoutStartSec=` passed before the PID file named a main process.
    MainTimeout {
        limit_ms: u64,
    },
    /// `TimeoutStopSec=` passed and SIGKILL had to be sent, or may not be.
    StopTimeout {
        limit_ms: u64,
    },
    /// `OOMPolicy=`: the kernel has killed one of its processes for want of memory.
    OutOfMemory,
    /// The service did not say within this time that it lives; `None`: it said itself that it hangs.
    Watchdog {
        limit_ms: Option<u64>,
    },
    /// `RuntimeMaxSec=` passed.
    Runtime {
        limit_ms: u64,
    },
    /// The main process ended, well, before it was ready.
    NeverReady {
        ending: Ending,
    },
    /// A forking service that left no main process.
    NoMain {
        reason: super::NoMain,
    },
    /// An `Assert…=` of it, which these words name, is not met.
    Assertion {
        unmet: Box<str>,
    },
    /// What it requires failed or was stopped.
    Dependency {
        on: UnitName,
        detail: Box<str>,
    },
    /// `StartLimitBurst=` automatic starts within `StartLimitIntervalSec=`; `last` says how the last one failed.
    StartLimit {
        burst: u32,
        interval_ms: u64,
        last: Box<str>,
    },
    /// Processes that even SIGKILL did not end, or that may not get it.
    Remains,
    /// A predecessor's failure, in its words. `result` is systemd's word for it.
    Recorded {
        result: Box<str>,
        text: Box<str>,
    },
}

impl State {
    /// The word in `list` and in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Exited => "exited",
            Self::Completed => "completed",
            Self::Reloading => "reloading",
            Self::Stopping => "stopping",
            Self::Backoff => "restarting",
            Self::Failed => "failed",
        }
    }

    /// systemd's ActiveState, as `is-active` judges it.
    #[must_use]
    pub fn active_state(self) -> &'static str {
        match self {
            Self::Stopped | Self::Completed => "inactive",
            Self::Waiting | Self::Starting | Self::Backoff => "activating",
            Self::Running | Self::Exited => "active",
            Self::Reloading => "reloading",
            Self::Stopping => "deactivating",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
