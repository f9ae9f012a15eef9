//! The same words for people: causes, failures and refusals as sentences without the unit's name.

use std::fmt;

use super::{Asker, Cause, Core, Ending, Failure, NoMain, Refusal, Role};

impl fmt::Display for Role {
    /// The key of the unit file that the command stands in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Condition => "ExecCondition",
            Self::StartPre => "ExecStartPre",
            Self::Start => "ExecStart",
            Self::StartPost => "ExecStartPost",
            Self::Reload => "ExecReload",
            Self::Stop => "ExecStop",
            Self::StopPost => "ExecStopPost",
        })
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal { number, core } => {
                match crate::unit::Signal::from_number(i32::from(*number)) {
                    Some(signal) => write!(f, "killed by {signal}")?,
                    None => write!(f, "killed by signal {number}")?,
                }
                match core {
                    Core::Dumped => f.write_str(", core dumped"),
                    Core::None => Ok(()),
                }
            }
            Self::OomKilled => f.write_str("killed for want of memory (oom-kill, SIGKILL)"),
            Self::Unknown => f.write_str("exited, status unknown"),
        }
    }
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client { uid, pid } => write!(f, "asked by user {uid}, process {pid}"),
            Self::Boot => f.write_str("enabled: starts with the daemon"),
            Self::Signal => f.write_str("the daemon was told to end by a signal"),
            Self::Memory => f.write_str("it used more memory than RestartMemoryMax= lets it"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked(by) => by.fmt(f),
            Self::RequiredBy(unit) => write!(f, "{unit} requires it"),
            Self::WantedBy(unit) => write!(f, "{unit} wants it"),
            Self::BoundBy(unit) => write!(f, "{unit} is bound to it"),
            Self::UpheldBy(unit) => write!(f, "{unit} upholds it"),
            Self::FailureOf(unit) => write!(f, "{unit} failed (OnFailure)"),
            Self::SuccessOf(unit) => write!(f, "{unit} ended well (OnSuccess)"),
            Self::Requires(unit) => write!(f, "it requires {unit}"),
            Self::Requisite(unit) => write!(f, "it needs {unit} to be up"),
            Self::BindsTo(unit) => write!(f, "it is bound to {unit}"),
            Self::PartOf(unit) => write!(f, "it is part of {unit}"),
            Self::Conflicts(unit) => write!(f, "it conflicts with {unit}"),
            Self::Unneeded => f.write_str("nobody needs it any more (StopWhenUnneeded)"),
            Self::Ordered => f.write_str("its turn came"),
            Self::AutoRestart { attempt } => write!(f, "automatic restart {attempt}"),
            Self::Ready => f.write_str("it became ready"),
            Self::Reloads => f.write_str("it says that it reloads"),
            Self::Reloaded => f.write_str("its reload is over"),
            Self::Skipped(how) => write!(f, "skipped, {how}"),
            Self::Ended(Ending::Code(0)) => f.write_str("it ended by itself, exit code 0"),
            Self::Ended(ending) => write!(f, "it ended by itself: {ending}"),
            Self::Failed(failure) => failure.fmt(f),
            Self::Gone => f.write_str("nothing of it is left"),
            Self::Leaving => f.write_str("it says that it stops"),
            Self::Shutdown => f.write_str("the daemon ends"),
            Self::Restored => f.write_str("taken over from the daemon before"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spawn { failure, .. } if failure.names_key() => f.write_str(&failure.reason),
            Self::Spawn { role, failure } => write!(f, "{role}: {}", failure.reason),
            Self::Ended {
                role: Role::Start,
                ending,
            } => ending.fmt(f),
            Self::Ended { role, ending } => write!(f, "{role}: {ending}"),
            Self::StartTimeout { role, limit_ms } => {
                write!(f, "{role} took longer than {}", Seconds(*limit_ms))
            }
            Self::ReadyTimeout { limit_ms, awaited } => {
                write!(f, "not ready within {}: {awaited}", Seconds(*limit_ms))
            }
            Self::Hopeless { awaited } => write!(f, "will not become ready: {awaited}"),
            Self::MainTimeout { limit_ms } => write!(
                f,
                "its PID file named no process of it within {}",
                Seconds(*limit_ms)
            ),
            Self::StopTimeout { limit_ms } => {
                write!(f, "did not stop within {}, was killed", Seconds(*limit_ms))
            }
            Self::OutOfMemory => {
                f.write_str("a process of it was killed for want of memory (oom-kill)")
            }
            Self::Watchdog {
                limit_ms: Some(limit_ms),
            } => write!(
                f,
                "gave no sign of life for {} (WatchdogSec=)",
                Seconds(*limit_ms)
            ),
            Self::Watchdog { limit_ms: None } => {
                f.write_str("said itself that it hangs (WATCHDOG=trigger)")
            }
            Self::Runtime { limit_ms } => {
                write!(
                    f,
                    "ran for longer than {} (RuntimeMaxSec=)",
                    Seconds(*limit_ms)
                )
            }
            Self::NeverReady { ending } => write!(f, "ended before it was ready: {ending}"),
            Self::NoMain {
                reason: NoMain::Ambiguous,
            } => f.write_str("several processes, and none is known to be the main one"),
            Self::NoMain {
                reason: NoMain::Gone,
            } => f.write_str("the first process ended well, but left no process behind"),
            Self::NoMain {
                reason: NoMain::Foreign,
            } => f.write_str("the PID file names no process of this service"),
            Self::Assertion { unmet } => f.write_str(unmet),
            Self::Dependency { on, detail } => write!(f, "it requires {on}: {detail}"),
            Self::StartLimit {
                burst,
                interval_ms,
                last,
            } => write!(
                f,
                "gave up after {burst} automatic starts within {}; the last time: {last}",
                Seconds(*interval_ms)
            ),
            Self::Remains => f.write_str("processes are left that could not be ended"),
            Self::Recorded { text, .. } => f.write_str(text),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cycle(path) => {
                f.write_str("the order has a cycle: ")?;
                for (at, unit) in path.iter().enumerate() {
                    let arrow = if at == 0 { "" } else { " after " };
                    write!(f, "{arrow}{unit}")?;
                }
                Ok(())
            }
            Self::Missing {
                unit,
                needed_by,
                reason,
            } => {
                write!(f, "{needed_by} needs {unit}: {reason}")
            }
            Self::Unhonoured { unit, keys } => {
                write!(
                    f,
                    "{unit} uses what this version does not act on yet: {}",
                    keys.join(", ")
                )
            }
            Self::Template { unit } => {
                write!(f, "{unit} is a template: name an instance, such as {unit}1")
            }
            Self::Unknown { unit } => write!(f, "no such unit: {unit}"),
            Self::Contradiction { unit, start, stop } => write!(
                f,
                "{unit} cannot both start and stop: start, because {start}; stop, because {stop}"
            ),
            Self::Tangle { last } => {
                write!(
                    f,
                    "too many of the wanted units contradict each other; the last: {last}"
                )
            }
            Self::TooMany => write!(f, "more than {} units", super::UNITS_MAX),
            Self::ShuttingDown => f.write_str("the daemon ends: it takes no more requests"),
        }
    }
}

/// Milliseconds as a reader says them.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(f, "{} s", self.0 / 1000)
        } else {
            write!(f, "{} ms", self.0)
        }
    }
}
