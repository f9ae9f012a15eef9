//! Where a service stands, *(phase, goal)*: two enums; each variant carries exactly what that phase has.

use super::{Core, Ending, FactPhase, Failure, QuestionId, Role, RunId, RunResult, State};

/// What is wanted of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Up,
    Down,
    /// Down first, then up: a restart, or a start that meets a stop under way. Turns to `Up` when the unit is down.
    Cycle,
}

/// One process that a unit has, or is about to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) id: RunId,
    pub(super) role: Role,
    pub(super) index: usize,
    /// `None` between the wish and the birth.
    pub(super) pid: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Stopped,
    Completed,
    Failed(Failure),
    /// A start is wanted; its turn has not come.
    Waiting,
    /// Its turn has come: are its conditions met?
    Examining {
        question: QuestionId,
    },
    StartPre {
        control: Run,
    },
    Starting {
        main: Run,
    },
    /// A forking service's first process has ended well: which one is the main process?
    FindingMain {
        main: Run,
    },
    StartPost {
        main: Option<Run>,
        control: Run,
        /// How the main process ended meanwhile: what `ExecStartPost=` began is not cut short.
        lost: Option<Ending>,
    },
    /// Up. A group has no process; a forking service may have one that nobody can name.
    Running {
        main: Option<Run>,
    },
    Exited,
    Reloading {
        main: Option<Run>,
        control: Run,
    },
    /// Told to reload by a signal; it has not said that it does.
    ReloadSignal {
        main: Option<Run>,
    },
    /// It says that it reloads, and will say when it is ready again.
    ReloadNotify {
        main: Option<Run>,
    },
    /// It says that it goes down by itself.
    Leaving {
        main: Run,
    },
    StopCommand {
        main: Option<Run>,
        control: Run,
        end: End,
    },
    Killing {
        left: Left,
        stage: Stage,
        round: Round,
        end: End,
    },
    StopPost {
        control: Run,
        end: End,
    },
    /// In automatic restart.
    Backoff,
}

/// What a kill waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) main: Option<Run>,
    pub(super) control: Option<Run>,
    pub(super) group: Group,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// `WatchGroup` is asked and not answered.
    Watched,
    /// Nothing is left, or nobody cares (`KillMode=process` and `none`).
    Settled,
}

impl Left {
    /// These two, and every other process of the unit.
    pub(super) fn watched(main: Option<Run>, control: Option<Run>) -> Self {
        Self {
            main,
            control,
            group: Group::Watched,
        }
    }

    /// These two alone.
    pub(super) fn settled(main: Option<Run>, control: Option<Run>) -> Self {
        Self {
            main,
            control,
            group: Group::Settled,
        }
    }
}

/// How hard a kill is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// `KillSignal=` was sent.
    Gentle,
    /// SIGKILL was sent.
    Hard,
}

/// Which kill: before `ExecStopPost=` or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    Main,
    /// As `Main`, with `WatchdogSignal=` first.
    Abort,
    Final,
}

/// Why a run ends, carried along until it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) why: Why,
    /// How the main process ended, once it has.
    pub(super) main: Option<Ending>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// By a request.
    Asked,
    /// By itself, and well.
    Finished,
    /// A condition of it is not met (in words): there is nothing to do.
    Skipped(Box<str>),
    Failed(Failure),
}

impl End {
    pub(super) fn new(why: Why, main: Option<Ending>) -> Self {
        Self { why, main }
    }

    /// Notes a failure; the first one stands.
    pub(super) fn fail(&mut self, failure: Failure) {
        if !matches!(self.why, Why::Failed(_)) {
            self.why = Why::Failed(failure);
        }
    }

    /// `$SERVICE_RESULT` and its kin, systemd.exec(5).
    pub(super) fn result(&self) -> RunResult {
        let service_result = match &self.why {
            Why::Asked | Why::Finished => "success",
            Why::Skipped(_) => SKIPPED,
            Why::Failed(failure) => failure_word(failure),
        };
        RunResult {
            service_result,
            ending: self.main,
        }
    }
}

/// systemd's word for the result of a start that was not to be.
pub(super) const SKIPPED: &str = "exec-condition";

/// systemd's word for a failure, `$SERVICE_RESULT` in systemd.exec(5).
#[must_use]
pub fn failure_word(failure: &Failure) -> &'static str {
    const WORDS: [&str; 9] = [
        "core-dump",
        "oom-kill",
        "signal",
        "exit-code",
        "timeout",
        "watchdog",
        "start-limit-hit",
        "protocol",
        "resources",
    ];
    match failure {
        Failure::Ended {
            ending: Ending::Signal {
                core: Core::Dumped, ..
            },
            ..
        } => "core-dump",
        Failure::Ended {
            ending: Ending::Signal {
                core: Core::None, ..
            },
            ..
        } => "signal",
        Failure::OutOfMemory
        | Failure::Ended {
            ending: Ending::OomKilled,
            ..
        } => "oom-kill",
        Failure::Ended {
            ending: Ending::Code(_) | Ending::Unknown,
            ..
        } => "exit-code",
        Failure::StartTimeout { .. }
        | Failure::ReadyTimeout { .. }
        | Failure::MainTimeout { .. }
        | Failure::Runtime { .. }
        | Failure::StopTimeout { .. } => "timeout",
        Failure::Watchdog { .. } => "watchdog",
        Failure::StartLimit { .. } => "start-limit-hit",
        Failure::NoMain { .. } | Failure::NeverReady { .. } | Failure::Hopeless { .. } => {
            "protocol"
        }
        Failure::Recorded { result, .. } => WORDS
            .iter()
            .find(|word| **word == &**result)
            .unwrap_or(&"resources"),
        Failure::Spawn { .. }
        | Failure::Assertion { .. }
        | Failure::Dependency { .. }
        | Failure::Remains => "resources",
    }
}

impl Phase {
    pub(super) fn kind(&self) -> FactPhase {
        match self {
            Self::Stopped => FactPhase::Stopped,
            Self::Completed => FactPhase::Completed,
            Self::Failed(_) => FactPhase::Failed,
            Self::Waiting => FactPhase::Waiting,
            Self::Examining { .. } => FactPhase::Examining,
            Self::StartPre { .. } => FactPhase::StartPre,
            Self::Starting { .. } => FactPhase::Starting,
            Self::FindingMain { .. } => FactPhase::FindingMain,
            Self::StartPost { .. } => FactPhase::StartPost,
            Self::Running { .. } => FactPhase::Running,
            Self::Exited => FactPhase::Exited,
            Self::Reloading { .. } => FactPhase::Reloading,
            Self::ReloadSignal { .. } => FactPhase::ReloadSignal,
            Self::ReloadNotify { .. } => FactPhase::ReloadNotify,
            Self::Leaving { .. } => FactPhase::Leaving,
            Self::StopCommand { .. } => FactPhase::StopCommand,
            Self::Killing {
                stage: Stage::Gentle,
                round: Round::Main,
                ..
            } => FactPhase::Killing,
            Self::Killing {
                stage: Stage::Gentle,
                round: Round::Abort,
                ..
            } => FactPhase::Aborting,
            Self::Killing {
                stage: Stage::Hard,
                round: Round::Main | Round::Abort,
                ..
            } => FactPhase::KillingHard,
            Self::Killing {
                stage: Stage::Gentle,
                round: Round::Final,
                ..
            } => FactPhase::FinalKilling,
            Self::Killing {
                stage: Stage::Hard,
                round: Round::Final,
                ..
            } => FactPhase::FinalKillingHard,
            Self::StopPost { .. } => FactPhase::StopPost,
            Self::Backoff => FactPhase::Backoff,
        }
    }

    pub(super) fn main(&self) -> Option<Run> {
        match self {
            Self::Starting { main } | Self::FindingMain { main } | Self::Leaving { main } => {
                Some(*main)
            }
            Self::StartPost { main, .. }
            | Self::Running { main }
            | Self::Reloading { main, .. }
            | Self::ReloadSignal { main }
            | Self::ReloadNotify { main }
            | Self::StopCommand { main, .. } => *main,
            Self::Killing { left, .. } => left.main,
            Self::Stopped
            | Self::Completed
            | Self::Failed(_)
            | Self::Waiting
            | Self::Examining { .. }
            | Self::StartPre { .. }
            | Self::Exited
            | Self::StopPost { .. }
            | Self::Backoff => None,
        }
    }

    pub(super) fn control(&self) -> Option<Run> {
        match self {
            Self::StartPre { control }
            | Self::StartPost { control, .. }
            | Self::Reloading { control, .. }
            | Self::StopCommand { control, .. }
            | Self::StopPost { control, .. } => Some(*control),
            Self::Killing { left, .. } => left.control,
            Self::Stopped
            | Self::Completed
            | Self::Failed(_)
            | Self::Waiting
            | Self::Examining { .. }
            | Self::Starting { .. }
            | Self::FindingMain { .. }
            | Self::Running { .. }
            | Self::Exited
            | Self::ReloadSignal { .. }
            | Self::ReloadNotify { .. }
            | Self::Leaving { .. }
            | Self::Backoff => None,
        }
    }

    /// The run of this phase that has this id, to be changed in place.
    pub(super) fn run_mut(&mut self, id: RunId) -> Option<&mut Run> {
        let (main, control) = match self {
            Self::Starting { main } | Self::FindingMain { main } | Self::Leaving { main } => {
                (Some(main), None)
            }
            Self::StartPre { control } | Self::StopPost { control, .. } => (None, Some(control)),
            Self::Running { main } | Self::ReloadSignal { main } | Self::ReloadNotify { main } => {
                (main.as_mut(), None)
            }
            Self::StartPost { main, control, .. }
            | Self::Reloading { main, control }
            | Self::StopCommand { main, control, .. } => (main.as_mut(), Some(control)),
            Self::Killing { left, .. } => (left.main.as_mut(), left.control.as_mut()),
            Self::Stopped
            | Self::Completed
            | Self::Failed(_)
            | Self::Waiting
            | Self::Examining { .. }
            | Self::Exited
            | Self::Backoff => (None, None),
        };
        [main, control]
            .into_iter()
            .flatten()
            .find(|run| run.id == id)
    }
}

impl FactPhase {
    /// Every phase, in the order of a unit's life.
    pub const ALL: [Self; 23] = [
        Self::Stopped,
        Self::Completed,
        Self::Failed,
        Self::Waiting,
        Self::Examining,
        Self::StartPre,
        Self::Starting,
        Self::FindingMain,
        Self::StartPost,
        Self::Running,
        Self::Exited,
        Self::Reloading,
        Self::ReloadSignal,
        Self::ReloadNotify,
        Self::Leaving,
        Self::StopCommand,
        Self::Aborting,
        Self::Killing,
        Self::KillingHard,
        Self::StopPost,
        Self::FinalKilling,
        Self::FinalKillingHard,
        Self::Backoff,
    ];

    /// Down, with nothing under way.
    pub(super) fn rests(self) -> bool {
        matches!(self, Self::Stopped | Self::Completed | Self::Failed)
    }

    /// A start is on its way.
    pub(super) fn starts(self) -> bool {
        matches!(
            self,
            Self::Examining | Self::StartPre | Self::Starting | Self::FindingMain | Self::StartPost
        )
    }

    pub(super) fn is_up(self) -> bool {
        self.is_overseen() || self == Self::Exited
    }

    pub(super) fn reloads(self) -> bool {
        matches!(
            self,
            Self::Reloading | Self::ReloadSignal | Self::ReloadNotify
        )
    }

    /// Up with processes: its watchdog and its longest time to run count.
    pub(super) fn is_overseen(self) -> bool {
        self == Self::Running || self.reloads()
    }

    /// A run ends.
    pub(super) fn ends(self) -> bool {
        matches!(
            self,
            Self::Leaving
                | Self::StopCommand
                | Self::Aborting
                | Self::Killing
                | Self::KillingHard
                | Self::StopPost
                | Self::FinalKilling
                | Self::FinalKillingHard
        )
    }

    /// The word of `status`: systemd's SubState where it has one.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stopped => "dead",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
            Self::Examining => "condition",
            Self::StartPre => "start-pre",
            Self::Starting => "start",
            Self::FindingMain => "start-main-pid",
            Self::StartPost => "start-post",
            Self::Running => "running",
            Self::Exited => "exited",
            Self::Reloading => "reload",
            Self::ReloadSignal => "reload-signal",
            Self::ReloadNotify => "reload-notify",
            Self::Leaving => "stop-notify",
            Self::StopCommand => "stop",
            Self::Aborting => "stop-watchdog",
            Self::Killing => "stop-sigterm",
            Self::KillingHard => "stop-sigkill",
            Self::StopPost => "stop-post",
            Self::FinalKilling => "final-sigterm",
            Self::FinalKillingHard => "final-sigkill",
            Self::Backoff => "auto-restart",
        }
    }
}

/// What people see: a pure function of the pair. A stop that waits for its turn already shows.
pub(super) fn state(phase: FactPhase, goal: Goal) -> State {
    match (phase, goal) {
        (FactPhase::Stopped, _) => State::Stopped,
        (FactPhase::Completed, _) => State::Completed,
        (FactPhase::Failed, _) => State::Failed,
        (FactPhase::Waiting, _) => State::Waiting,
        (FactPhase::Backoff, _) => State::Backoff,
        (phase, Goal::Down | Goal::Cycle) if phase.starts() || phase.is_up() => State::Stopping,
        (phase, Goal::Up) if phase.starts() => State::Starting,
        (FactPhase::Running, _) => State::Running,
        (FactPhase::Exited, _) => State::Exited,
        (phase, _) if phase.reloads() => State::Reloading,
        (_, _) => State::Stopping,
    }
}
