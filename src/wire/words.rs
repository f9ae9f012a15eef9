//! The words that stand for closed enums in JSON. A word, once used, never gets another meaning.

use crate::engine::{Awaited, FactGoal, FactPhase, Role, Scope, Wait};
use crate::unit::NotifyAccess;

use super::{DecodeError, ErrorKind, PlanAct, ProgressKind, ResultKind};

/// An enum whose every value has one word.
pub(super) trait Word: Sized {
    /// What the field that holds it is called in a message to the reader.
    const FIELD: &'static str;

    fn written(&self) -> &'static str;

    /// `None` for a word that stands for no value.
    fn find(word: &str) -> Option<Self>;

    fn read(word: &str) -> Result<Self, DecodeError> {
        Self::find(word).ok_or_else(|| DecodeError::unknown_word(Self::FIELD, word))
    }

    /// As [`Word::read`], where the message may lack the field.
    fn read_required(word: Option<&str>) -> Result<Self, DecodeError> {
        Self::read(word.ok_or(DecodeError::Missing { field: Self::FIELD })?)
    }
}

macro_rules! words {
    ($type:ident, $field:literal: $($value:ident = $word:literal,)+) => {
        impl Word for $type {
            const FIELD: &'static str = $field;

            fn written(&self) -> &'static str {
                match self {
                    $(Self::$value => $word,)+
                }
            }

            fn find(word: &str) -> Option<Self> {
                let all = [$(Self::$value),+];
                all.into_iter().find(|value| value.written() == word)
            }
        }
    };
}

words! { Wait, "wait":
    Finished = "finished",
    Accepted = "accepted",
}

words! { Awaited, "awaited":
    Up = "up",
    Down = "down",
    Reload = "reload",
    Freeze = "freeze",
    Thaw = "thaw",
}

words! { NotifyAccess, "access":
    None = "none",
    Main = "main",
    Exec = "exec",
    All = "all",
}

words! { Scope, "scope":
    All = "all",
    Running = "running",
}

words! { ProgressKind, "progress":
    AlsoStarts = "also-starts",
    AlsoStops = "also-stops",
    AlsoRestarts = "also-restarts",
    Waits = "waits",
    Stopping = "stopping",
    Killing = "killing",
    Retries = "retries",
    Reached = "reached",
    Changed = "changed",
    Definition = "definition",
    PulledIn = "pulled-in",
    Warning = "warning",
}

words! { PlanAct, "act":
    Stop = "stop",
    Start = "start",
    Keep = "keep",
    Reload = "reload",
    Nothing = "nothing",
    Refused = "refused",
    LeftOut = "left-out",
}

words! { ResultKind, "result":
    Started = "started",
    AlreadyUp = "already-up",
    Completed = "completed",
    Skipped = "skipped",
    Stopped = "stopped",
    AlreadyDown = "already-down",
    Reloaded = "reloaded",
    Signaled = "signaled",
    Frozen = "frozen",
    Thawed = "thawed",
    ResetDone = "reset",
    Set = "set",
    Renewed = "renewed",
    Scaled = "scaled",
    LogTended = "log-tended",
    LeftDown = "left-down",
    Failed = "failed",
    Superseded = "superseded",
    Impossible = "impossible",
    NotRunning = "not-running",
    Enabled = "enabled",
    Disabled = "disabled",
}

words! { ErrorKind, "error":
    Failed = "failed",
    Usage = "usage",
    NoSuchUnit = "no-such-unit",
    Unavailable = "unavailable",
    NotAllowed = "not-allowed",
}

words! { FactGoal, "goal":
    Up = "up",
    Down = "down",
    Cycle = "cycle",
}

words! { FactPhase, "phase":
    Stopped = "stopped",
    Completed = "completed",
    Failed = "failed",
    Waiting = "waiting",
    Examining = "examining",
    StartPre = "start-pre",
    Starting = "starting",
    FindingMain = "finding-main",
    StartPost = "start-post",
    Running = "running",
    Exited = "exited",
    Reloading = "reloading",
    ReloadSignal = "reload-signal",
    ReloadNotify = "reload-notify",
    Leaving = "leaving",
    Aborting = "aborting",
    StopCommand = "stop-command",
    Killing = "killing",
    KillingHard = "killing-hard",
    StopPost = "stop-post",
    FinalKilling = "final-killing",
    FinalKillingHard = "final-killing-hard",
    Backoff = "backoff",
}

words! { Role, "role":
    Condition = "condition",
    StartPre = "start-pre",
    Start = "start",
    StartPost = "start-post",
    Reload = "reload",
    Stop = "stop",
    StopPost = "stop-post",
}
