//! The engine's causes, failures and refusals in words for readers. Owns sentences; decides nothing.

use std::fmt::Write as _;

use crate::engine::{
    Asker, Cause, Core, Ending, Failure, Impossible, NoMain, Refusal, Role, SpawnFailure, UNITS_MAX,
};
use crate::sys::process::errno_text;
use crate::unit::Signal;

/// "exit code 1", "killed by SIGSEGV (core dumped)".
pub(super) fn ending(ending: Ending) -> String {
    match ending {
        Ending::Code(code) => format!("exit code {code}"),
        Ending::Signal { number, core } => {
            let dumped = match core {
                Core::Dumped => " (core dumped)",
                Core::None => "",
            };
            match Signal::from_number(i32::from(number)) {
                Some(signal) => format!("killed by {signal}{dumped}"),
                None => format!("killed by signal {number}{dumped}"),
            }
        }
        Ending::Unknown => "ended, status unknown".to_owned(),
    }
}

/// The key that a role's command stands in.
fn key(role: Role) -> &'static str {
    match role {
        Role::StartPre => "ExecStartPre",
        Role::Start => "ExecStart",
        Role::StartPost => "ExecStartPost",
        Role::Reload => "ExecReload",
        Role::Stop => "ExecStop",
        Role::StopPost => "ExecStopPost",
    }
}

/// The main process needs no key before what happened to it; every other command does.
fn of_role(role: Role, text: &str) -> String {
    match role {
        Role::Start => text.to_owned(),
        _ => format!("{}: {text}", key(role)),
    }
}

/// "90s", "1min 30s", "250ms".
pub(super) fn span(ms: u64) -> String {
    crate::unit::Span::Finite(std::time::Duration::from_millis(ms)).to_string()
}

fn spawn_failure(failure: &SpawnFailure) -> String {
    let reason = if failure.reason.is_empty() {
        errno_text(failure.errno)
    } else {
        failure.reason.to_string()
    };
    match &*failure.step {
        "exec" => format!("cannot be executed: {reason}"),
        step => format!("cannot be started: {step}: {reason}"),
    }
}

/// Why a start, a run or a stop failed.
pub(super) fn failure(failure: &Failure) -> String {
    match failure {
        Failure::Spawn { role, failure } => of_role(*role, &spawn_failure(failure)),
        Failure::Ended { role, ending: how } => of_role(*role, &ending(*how)),
        Failure::StartTimeout { role, limit_ms } => {
            format!("{} was not done within {}", key(*role), span(*limit_ms))
        }
        Failure::StopTimeout { limit_ms } => {
            format!("did not stop within {}", span(*limit_ms))
        }
        Failure::NoMain { reason } => match reason {
            NoMain::Ambiguous => "left several processes, and no PIDFile= names the main one",
            NoMain::Gone => "left no process running",
            NoMain::Foreign => "its PID file names no process of this service",
        }
        .to_owned(),
        Failure::Dependency { on, detail } if detail.is_empty() => {
            format!("requires {on}, which is not up")
        }
        Failure::Dependency { on, detail } => format!("requires {on}: {detail}"),
        Failure::StartLimit {
            burst,
            interval_ms,
            last,
        } => {
            let within = span(*interval_ms);
            let mut text = format!("given up after {burst} starts within {within}");
            if !last.is_empty() {
                // Writing to a String cannot fail.
                let _ = write!(text, ", the last one: {last}");
            }
            text
        }
        Failure::Remains => "processes are left that could not be ended".to_owned(),
        Failure::Recorded(words) => words.to_string(),
    }
}

/// Why a change came about, or why a unit is in its state.
pub(super) fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Asked(Asker::Client { uid, pid }) => format!("asked by PID {pid} of user {uid}"),
        Cause::Asked(Asker::Boot) => "enabled: starts with the daemon".to_owned(),
        Cause::Asked(Asker::Signal) => "the daemon got a signal".to_owned(),
        Cause::RequiredBy(unit) => format!("required by {unit}"),
        Cause::WantedBy(unit) => format!("wanted by {unit}"),
        Cause::Requires(unit) => format!("requires {unit}"),
        Cause::Ordered => "its turn came".to_owned(),
        Cause::AutoRestart { attempt } => format!("automatic restart, attempt {attempt}"),
        Cause::Ready => "ready".to_owned(),
        Cause::Ended(how) => ending(*how),
        Cause::Failed(why) => failure(why),
        Cause::Gone => "no process is left".to_owned(),
        Cause::Shutdown => "the daemon ends".to_owned(),
        Cause::Restored => "taken over from the daemon before".to_owned(),
    }
}

pub(super) fn impossible(reason: Impossible) -> &'static str {
    match reason {
        Impossible::NotRunning => "not running",
        Impossible::NoReload => "has no ExecReload=",
        Impossible::NoProcess => "has no process that could get a signal",
    }
}

/// Why a request was not taken up.
pub(super) fn refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Cycle(names) => {
            let names: Vec<&str> = names.iter().map(crate::unit::UnitName::as_str).collect();
            format!("the order has a cycle: {}", names.join(" -> "))
        }
        Refusal::Missing {
            unit,
            needed_by,
            reason,
        } => format!("{needed_by} requires {unit}, which cannot be loaded: {reason}"),
        Refusal::Unhonoured { unit, keys } => format!(
            "{unit} uses what this version does not act on: {}",
            keys.join(", ")
        ),
        Refusal::Template { unit } => format!("{unit} is a template and needs an instance"),
        Refusal::Unknown { unit } => format!("no unit {unit} is loaded"),
        Refusal::TooMany => format!("more than {UNITS_MAX} units would be loaded"),
        Refusal::ShuttingDown => "the daemon is shutting down".to_owned(),
    }
}

/// What to do about a refusal.
pub(super) fn refusal_hint(refusal: &Refusal) -> Option<String> {
    match refusal {
        Refusal::Cycle(_) => {
            Some("remove one After= or Before= (or what implies it) from the cycle".to_owned())
        }
        Refusal::Missing { needed_by, .. } => Some(format!(
            "`Wants` instead of `Requires` in {needed_by} would let it start without"
        )),
        Refusal::Unhonoured { .. } => Some("take these keys out of the unit file".to_owned()),
        Refusal::Template { unit } => Some(format!("for example `{unit}1`")),
        Refusal::Unknown { .. } | Refusal::TooMany | Refusal::ShuttingDown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_read_as_sentences() {
        assert_eq!(ending(Ending::Code(3)), "exit code 3");
        let dumped = Ending::Signal {
            number: 11,
            core: Core::Dumped,
        };
        assert_eq!(ending(dumped), "killed by SIGSEGV (core dumped)");
    }

    #[test]
    fn a_spawn_failure_names_step_and_reason() {
        let missing = Failure::Spawn {
            role: Role::Start,
            failure: SpawnFailure {
                step: "exec".into(),
                errno: 2,
                reason: "/usr/bin/nope: No such file or directory".into(),
            },
        };
        assert_eq!(
            failure(&missing),
            "cannot be executed: /usr/bin/nope: No such file or directory"
        );
        let user = Failure::Spawn {
            role: Role::StartPre,
            failure: SpawnFailure {
                step: "user".into(),
                errno: 1,
                reason: "".into(),
            },
        };
        assert_eq!(
            failure(&user),
            "ExecStartPre: cannot be started: user: Operation not permitted"
        );
    }
}
