//! The state machine as a table: what each happening means in each phase. Every cell is written.
//!
//! `tests/golden/transitions.txt` is this table printed: the state diagram for readers. What an action does is in
//! `start.rs` and `stop.rs`.

use super::FactPhase;

/// What can happen to one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A start is wanted of a unit that is down or backing off.
    Wake,
    /// Its turn to start has come.
    Begin,
    /// It is known which of its conditions are met, or were when it was last asked.
    Examined,
    /// Its turn to stop has come.
    Halt,
    Reload,
    Executed,
    Ready,
    /// It says that it reloads.
    Reloading,
    /// It says that it goes down by itself.
    Stopping,
    /// Its watchdog was not served.
    Hung,
    /// It has run for as long as it may.
    Overrun,
    MainEnded,
    ControlEnded,
    MainFound,
    MainMissing,
    GroupEmpty,
    /// The kernel has killed a process of the unit for want of memory.
    OomKill,
    /// The phase's deadline has passed.
    Due,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It can happen here, and nothing follows.
    Ignore,
    /// It cannot happen here.
    Never,
    /// Wait for the turn to start.
    Queue,
    /// Ask for its conditions, or begin what comes after them.
    Start,
    /// Begin the start, skip it or have it fail.
    Judge,
    /// Give up a start that has not begun.
    Drop,
    /// Give up a start that has begun.
    Abort,
    /// Stop a unit that is up.
    Stop,
    /// Run `ExecReload=`.
    RunReload,
    /// The program runs: enough for `simple` and `exec`.
    Launched,
    /// The main process says that it is ready.
    MainReady,
    /// It says that it reloads.
    Reloading,
    /// It says that it is ready again.
    Reloaded,
    /// It goes down by itself.
    Leave,
    /// It has gone down by itself.
    Left,
    LeaveTooLong,
    /// It hangs: `WatchdogSignal=` ends it.
    Abandon,
    /// It has run for as long as it may.
    Overrun,
    /// The process of a start under way ended.
    FirstEnded,
    /// The search for a main process was a predecessor's and found none before that died.
    FindAgain,
    /// The main process of a unit that is up ended by itself.
    MainLost,
    /// The main process ended while `ExecStartPost=` still runs.
    NoteLoss,
    /// The main process ended while the unit goes down.
    NoteMain,
    NextStartPre,
    NextStartPost,
    NextReload,
    NextStop,
    NextStopPost,
    /// A command of a phase that was cut short ended.
    NoteControl,
    NameMain,
    GoOnWithoutMain,
    /// Up without a known main process, and now without any process.
    GroupLost,
    /// The kill is complete as far as the group goes.
    GroupGone,
    StartTooLong,
    ReloadTooLong,
    StopCommandTooLong,
    KillTooLong,
    StopPostTooLong,
    AutoRestart,
    /// `OOMPolicy=` decides.
    OutOfMemory,
}

impl Input {
    /// What a process may say at any time, or the shell may answer late, and that means nothing to a unit that does
    /// not wait for it.
    fn is_word(self) -> bool {
        matches!(
            self,
            Self::Ready | Self::Reloading | Self::Stopping | Self::Hung | Self::Examined
        )
    }

    /// Every input, in the order of the table's columns.
    pub const ALL: [Self; 18] = [
        Self::Wake,
        Self::Begin,
        Self::Examined,
        Self::Halt,
        Self::Reload,
        Self::Executed,
        Self::Ready,
        Self::Reloading,
        Self::Stopping,
        Self::Hung,
        Self::Overrun,
        Self::MainEnded,
        Self::ControlEnded,
        Self::MainFound,
        Self::MainMissing,
        Self::GroupEmpty,
        Self::OomKill,
        Self::Due,
    ];
}

/// The table.
#[must_use]
pub fn action(phase: FactPhase, input: Input) -> Action {
    match phase {
        FactPhase::Stopped | FactPhase::Completed | FactPhase::Failed => resting(input),
        FactPhase::Waiting => waiting(input),
        FactPhase::Backoff => backing_off(input),
        FactPhase::Examining
        | FactPhase::StartPre
        | FactPhase::Starting
        | FactPhase::FindingMain
        | FactPhase::StartPost => starting(phase, input),
        FactPhase::Running
        | FactPhase::Exited
        | FactPhase::Reloading
        | FactPhase::ReloadSignal
        | FactPhase::ReloadNotify => up(phase, input),
        FactPhase::Leaving
        | FactPhase::StopCommand
        | FactPhase::Aborting
        | FactPhase::Killing
        | FactPhase::KillingHard
        | FactPhase::StopPost
        | FactPhase::FinalKilling
        | FactPhase::FinalKillingHard => ending(phase, input),
    }
}

fn resting(input: Input) -> Action {
    match input {
        input if input.is_word() => Action::Ignore,
        Input::Wake => Action::Queue,
        // What was left behind on purpose (KillMode=process) may end at any time.
        Input::GroupEmpty | Input::OomKill => Action::Ignore,
        Input::Begin
        | Input::Examined
        | Input::Halt
        | Input::Reload
        | Input::Executed
        | Input::Ready
        | Input::Reloading
        | Input::Stopping
        | Input::Hung
        | Input::Overrun
        | Input::MainEnded
        | Input::ControlEnded
        | Input::MainFound
        | Input::MainMissing
        | Input::Due => Action::Never,
    }
}

fn waiting(input: Input) -> Action {
    match input {
        input if input.is_word() => Action::Ignore,
        Input::Begin => Action::Start,
        Input::Halt => Action::Drop,
        Input::GroupEmpty | Input::OomKill => Action::Ignore,
        Input::Wake
        | Input::Examined
        | Input::Reload
        | Input::Executed
        | Input::Ready
        | Input::Reloading
        | Input::Stopping
        | Input::Hung
        | Input::Overrun
        | Input::MainEnded
        | Input::ControlEnded
        | Input::MainFound
        | Input::MainMissing
        | Input::Due => Action::Never,
    }
}

fn backing_off(input: Input) -> Action {
    match input {
        input if input.is_word() => Action::Ignore,
        Input::Wake => Action::Queue,
        Input::Halt => Action::Drop,
        Input::GroupEmpty | Input::OomKill => Action::Ignore,
        Input::Due => Action::AutoRestart,
        Input::Begin
        | Input::Examined
        | Input::Reload
        | Input::Executed
        | Input::Ready
        | Input::Reloading
        | Input::Stopping
        | Input::Hung
        | Input::Overrun
        | Input::MainEnded
        | Input::ControlEnded
        | Input::MainFound
        | Input::MainMissing => Action::Never,
    }
}

fn starting(phase: FactPhase, input: Input) -> Action {
    match (phase, input) {
        (FactPhase::Examining, Input::Examined) => Action::Judge,
        (FactPhase::Examining, Input::Halt) => Action::Drop,
        (FactPhase::Examining, Input::Due) => Action::Never,
        (_, Input::Halt) => Action::Abort,
        (_, Input::Due) => Action::StartTooLong,
        (_, Input::OomKill) => Action::OutOfMemory,
        (_, Input::GroupEmpty) => Action::Ignore,
        (FactPhase::Starting, Input::Executed) => Action::Launched,
        (FactPhase::Starting, Input::Ready) => Action::MainReady,
        (_, Input::Executed) => Action::Ignore,
        (_, input) if input.is_word() => Action::Ignore,
        (FactPhase::StartPre, Input::ControlEnded) => Action::NextStartPre,
        (FactPhase::StartPost, Input::ControlEnded) => Action::NextStartPost,
        (FactPhase::Starting, Input::MainEnded) => Action::FirstEnded,
        (FactPhase::StartPost, Input::MainEnded) => Action::NoteLoss,
        (FactPhase::FindingMain, Input::MainEnded) => Action::FindAgain,
        (FactPhase::FindingMain, Input::MainFound) => Action::NameMain,
        (FactPhase::FindingMain, Input::MainMissing) => Action::GoOnWithoutMain,
        (
            _,
            Input::Wake
            | Input::Begin
            | Input::Examined
            | Input::Reload
            | Input::MainEnded
            | Input::ControlEnded
            | Input::MainFound
            | Input::MainMissing
            | Input::Ready
            | Input::Reloading
            | Input::Stopping
            | Input::Hung
            | Input::Overrun,
        ) => Action::Never,
    }
}

fn up(phase: FactPhase, input: Input) -> Action {
    match (phase, input) {
        (_, Input::Halt) => Action::Stop,
        (FactPhase::Running | FactPhase::Reloading, Input::OomKill) => Action::OutOfMemory,
        (_, Input::OomKill) => Action::Ignore,
        (FactPhase::Running, Input::Reload) => Action::RunReload,
        (FactPhase::Exited, Input::MainEnded) => Action::Never,
        (_, Input::MainEnded) => Action::MainLost,
        (FactPhase::Exited, Input::GroupEmpty) => Action::Ignore,
        (_, Input::GroupEmpty) => Action::GroupLost,
        (FactPhase::Reloading, Input::ControlEnded) => Action::NextReload,
        (FactPhase::Reloading | FactPhase::ReloadSignal | FactPhase::ReloadNotify, Input::Due) => {
            Action::ReloadTooLong
        }
        (FactPhase::Reloading | FactPhase::ReloadNotify, Input::Ready) => Action::Reloaded,
        (FactPhase::Running | FactPhase::Reloading | FactPhase::ReloadSignal, Input::Reloading) => {
            Action::Reloading
        }
        (
            FactPhase::Running | FactPhase::ReloadSignal | FactPhase::ReloadNotify,
            Input::Stopping,
        ) => Action::Leave,
        (
            FactPhase::Running
            | FactPhase::Reloading
            | FactPhase::ReloadSignal
            | FactPhase::ReloadNotify,
            Input::Hung,
        ) => Action::Abandon,
        (FactPhase::Exited, Input::Overrun) => Action::Never,
        (_, Input::Overrun) => Action::Overrun,
        (_, Input::Executed) => Action::Ignore,
        (_, input) if input.is_word() => Action::Ignore,
        (
            _,
            Input::Wake
            | Input::Begin
            | Input::Examined
            | Input::Ready
            | Input::Reloading
            | Input::Stopping
            | Input::Hung
            | Input::Reload
            | Input::ControlEnded
            | Input::MainFound
            | Input::MainMissing
            | Input::Due,
        ) => Action::Never,
    }
}

fn ending(phase: FactPhase, input: Input) -> Action {
    let kills = !matches!(
        phase,
        FactPhase::Leaving | FactPhase::StopCommand | FactPhase::StopPost
    );
    match (phase, input) {
        (FactPhase::StopCommand, Input::ControlEnded) => Action::NextStop,
        (FactPhase::StopCommand, Input::Due) => Action::StopCommandTooLong,
        (FactPhase::StopPost, Input::ControlEnded) => Action::NextStopPost,
        (FactPhase::StopPost, Input::Due) => Action::StopPostTooLong,
        (FactPhase::StopPost, Input::MainEnded) => Action::Never,
        (FactPhase::Leaving, Input::MainEnded) => Action::Left,
        (FactPhase::Leaving, Input::ControlEnded) => Action::Never,
        (FactPhase::Leaving, Input::Due) => Action::LeaveTooLong,
        (_, Input::MainEnded) => Action::NoteMain,
        (_, Input::ControlEnded) => Action::NoteControl,
        (_, Input::Due) => Action::KillTooLong,
        (_, Input::GroupEmpty) if kills => Action::GroupGone,
        (_, Input::GroupEmpty) => Action::Ignore,
        (_, Input::OomKill) => Action::Ignore,
        // A program that was on its way when the stop came.
        (_, Input::Executed) => Action::Ignore,
        (_, input) if input.is_word() => Action::Ignore,
        (
            _,
            Input::Wake
            | Input::Begin
            | Input::Examined
            | Input::Ready
            | Input::Reloading
            | Input::Stopping
            | Input::Hung
            | Input::Halt
            | Input::Reload
            | Input::MainFound
            | Input::MainMissing
            | Input::Overrun,
        ) => Action::Never,
    }
}
