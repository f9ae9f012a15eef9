//! All that the engine may do to the world: one closed alphabet. Each effect names whom it concerns; what comes of it
//! returns as an [`super::Event`] with the same id.

use crate::unit::{Signal, UnitName};

use super::{
    Asker, Awaited, Cause, ChangeId, Ending, Failure, Moment, Monitor, QuestionId, RequestId,
    RunId, State, UnitId, Verb,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Keep [`super::Engine::facts`] of this unit. The shell saves before it carries out the other effects of the same
    /// batch, so that no process is born that a successor could not know of.
    Save { unit: UnitId },
    /// Find out which tests of the unit's conditions are true. Answer: `Examined`, with the same question, always.
    Examine { unit: UnitId, question: QuestionId },
    /// Start a process. Answers: `Spawned` then `Executed`, or `SpawnFailed`; in the end `Exited`.
    Spawn(Spawn),
    /// Find the main process that a forking service has left behind. Answers: `MainFound` or `MainMissing`, when it is
    /// known.
    FindMain { unit: UnitId, run: RunId },
    /// Nobody waits for this run's answer to `FindMain` any more.
    StopFinding { run: RunId },
    /// Find out when this main process is ready, in the way that its unit names. Answers: `Ready`, and before it any
    /// number of `Unready`.
    AwaitReady { unit: UnitId, run: RunId },
    /// Nobody waits for this run's readiness any more.
    StopAwaiting { run: RunId },
    /// Answers nothing; a target that is gone is no error.
    Signal {
        unit: UnitId,
        to: Target,
        signal: Signal,
    },
    /// Say `GroupEmpty` once, as soon as no process of the unit is left; at once if none is. Asked again: still once.
    WatchGroup { unit: UnitId },
    /// Make every process of the unit stand still. Answers: `Frozen`, once none runs, or `FreezeFailed`. Done twice, it
    /// is as if it were done once.
    Freeze { unit: UnitId },
    /// Undo that. Answers: `Thawed` or `ThawFailed`; `Thawed` too where there is nothing to undo.
    Thaw { unit: UnitId },
    /// A wish was taken up: for the record. What came of it follows.
    Taken(Box<Taken>),
    /// Another definition is in force while the unit has, or may have, processes: bring in line what is held of it,
    /// above all its limits. Answers nothing, or `Limited` with what is in force where that cannot be done; then the
    /// client of the request is told.
    Renew { unit: UnitId, request: RequestId },
    /// A change of state with its cause, for the daemon's log, `events` and the tests.
    Publish(Change),
    /// Why a unit is on its way to another state, where others follow it before it gets there: `from` and `to` are the
    /// same. For the record.
    Explain(Box<Change>),
    /// Something has happened to a unit, as the cause says, and what should follow from that is not done: for the log.
    Withheld {
        unit: UnitName,
        cause: Cause,
        why: Box<str>,
    },
    /// Tell the client something on the way.
    Notify { request: RequestId, notice: Notice },
    /// The last word on a request.
    Answer { request: RequestId, answer: Answer },
    /// Everything is down and [`super::Verb::Shutdown`] was asked: end the daemon.
    Exit,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spawn {
    pub run: RunId,
    pub unit: UnitId,
    pub role: Role,
    /// Which command of the role's key.
    pub index: usize,
    /// For `$MAINPID`.
    pub main_pid: Option<u32>,
    /// For `$SERVICE_RESULT`, `$EXIT_CODE` and `$EXIT_STATUS` of `ExecStop=` and `ExecStopPost=`.
    pub result: Option<RunResult>,
    /// For `$MONITOR_*`, where another unit's end has started this one.
    pub monitor: Option<Box<Monitor>>,
}

/// What a process is to its service: the key that its command stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Condition,
    StartPre,
    /// The main process, or a forking service's first one.
    Start,
    StartPost,
    Reload,
    Stop,
    StopPost,
}

impl Role {
    /// Whether it leads to a running service.
    #[must_use]
    pub fn begins(self) -> bool {
        matches!(self, Self::Condition | Self::StartPre | Self::Start)
    }
}

/// How the service's run went, in systemd.exec(5)'s words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunResult {
    /// `success`, `exec-condition`, `exit-code`, `signal`, `core-dump`, `timeout`, `protocol` or `resources`.
    pub service_result: &'static str,
    /// The main process's, if it ended.
    pub ending: Option<Ending>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Run(RunId),
    /// Every process of the unit.
    Group,
}

/// A wish, taken up or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Counted together with the changes, so that these can name it.
    pub id: ChangeId,
    pub at: Moment,
    pub request: RequestId,
    pub verb: Verb,
    pub by: Asker,
    /// Set where its client asks again, since it has lost the answer: when it asked first.
    pub first_asked: Option<Moment>,
    pub targets: Vec<UnitName>,
    /// Why nothing comes of it: no story goes back to it.
    pub refused: Option<Refusal>,
}

/// One step of a unit's story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub id: ChangeId,
    pub unit: UnitName,
    pub at: Moment,
    pub from: State,
    pub to: State,
    pub cause: Cause,
    /// The older change, of this unit or another, or the wish that it follows from; `None` where it follows from an
    /// event of its own.
    pub because: Option<ChangeId>,
    /// What follows by itself, where `to` is [`State::Backoff`].
    pub retry: Option<Retry>,
}

/// An automatic restart that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Counts from 1, since the last start by hand.
    pub attempt: u32,
    pub delay_ms: u64,
}

/// What a waiting client is told on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    AlsoStarts {
        unit: UnitName,
        cause: Cause,
    },
    AlsoStops {
        unit: UnitName,
        cause: Cause,
    },
    AlsoRestarts {
        unit: UnitName,
        cause: Cause,
    },
    /// A unit of this request waits for another one.
    Waits {
        unit: UnitName,
        on: UnitName,
        state: State,
    },
    /// A start takes long; `awaited` says what it waits for, and why that has not come.
    NotReady {
        unit: UnitName,
        awaited: String,
    },
    /// SIGTERM (or `KillSignal=`) was sent; SIGKILL (or `FinalKillSignal=`) comes at `kill_at`, if
    /// it is still to come.
    Stopping {
        unit: UnitName,
        kill_at: Option<Moment>,
        last: Signal,
    },
    /// The time limit has passed and SIGKILL (or `FinalKillSignal=`) was sent.
    Killing {
        unit: UnitName,
        last: Signal,
    },
    /// A unit that this request waits for failed and will be tried again.
    Retries {
        unit: UnitName,
        failure: Failure,
        delay_ms: u64,
    },
    /// Of all the units that this request moves, so many are where it wants them.
    Reached {
        awaited: Awaited,
        arrived: usize,
        all: usize,
    },
    /// Something that a request went on in spite of, such as a wanted unit that cannot be read.
    Warning {
        text: String,
    },
}

/// The end of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// For each target, in the order asked; for `stop` and `restart` also for those taken along.
    Outcomes(Vec<(UnitName, Outcome)>),
    /// Nothing was done.
    Refused(Refusal),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Started,
    AlreadyUp,
    /// A oneshot has run to its end.
    Completed,
    /// A condition of it is not met, as `how` says: there was nothing to do.
    Skipped {
        how: Box<str>,
    },
    Stopped,
    AlreadyDown,
    Reloaded,
    Signaled,
    Frozen,
    Thawed,
    ResetDone,
    /// A newer definition is in force, but for these keys, which wait for the next start.
    Renewed {
        waiting: Vec<&'static str>,
    },
    /// `restart --if-running` of a unit that is down.
    LeftDown,
    /// The start, stop or reload failed. `retry_ms`: an automatic restart follows in so many milliseconds.
    Failed {
        failure: Failure,
        retry_ms: Option<u64>,
    },
    /// A later wish took its place.
    Superseded {
        cause: Cause,
    },
    /// Cannot be done to this unit now, and why: no `ExecReload=`, not running.
    Impossible {
        reason: Impossible,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impossible {
    NotRunning,
    NoReload,
    /// `reload`: it stands still, and could not act on it.
    Frozen,
    /// `RefuseManualStart=`: only another unit may start it.
    ManualStart,
    /// `RefuseManualStop=`: only another unit may stop it.
    ManualStop,
    /// `signal` and `freeze`: nothing to do it to (a group, or a oneshot that has exited).
    NoProcess,
}

/// Why a request was not taken up at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The first name stands at the end again.
    Cycle(Vec<UnitName>),
    Missing {
        unit: UnitName,
        needed_by: UnitName,
        reason: String,
    },
    /// Keys of this unit that this version does not act on, with their value where others are acted on.
    Unhonoured {
        unit: UnitName,
        keys: Vec<String>,
    },
    /// A template was named without an instance.
    Template {
        unit: UnitName,
    },
    Unknown {
        unit: UnitName,
    },
    /// The unit would have to be started and to be stopped; why each, in words.
    Contradiction {
        unit: UnitName,
        start: String,
        stop: String,
    },
    /// Of the wanted units so many contradict each other that no plan comes of it; the last contradiction.
    Tangle {
        last: Box<Refusal>,
    },
    /// More units than [`super::UNITS_MAX`].
    TooMany,
    ShuttingDown,
}
