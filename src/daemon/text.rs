//! What the engine's words leave to the daemon: lengths of time, reasons in a result, and what to do about a refusal.

use std::time::Duration;

use crate::engine::{Asker, Awaited, Cause, Impossible, Refusal, State, Verb};
use crate::unit::{Signal, Span, UnitName};

use super::account::Account;

/// "1min 30s", "250ms".
pub(super) fn span(ms: u64) -> String {
    Span::Finite(Duration::from_millis(ms)).to_string()
}

/// `SIGTERM`; the bare number where there is no name.
pub(super) fn signal_name(number: i32) -> String {
    let signal = Signal::from_number(number);
    signal.map_or_else(|| number.to_string(), |signal| signal.to_string())
}

/// A cause with the name of the user who asked, whom the engine knows by number only. It can only be root or our own:
/// nobody else is listened to.
pub(super) fn cause(cause: &Cause, ours: &Account) -> String {
    let Cause::Asked(Asker::Client { uid, pid }) = cause else {
        return cause.to_string();
    };
    match user(*uid, ours) {
        Some(name) => format!("asked by user {name} (uid {uid}), process {pid}"),
        None => cause.to_string(),
    }
}

/// Somebody who is listened to, by name.
pub(super) fn user(uid: u32, ours: &Account) -> Option<&str> {
    match uid {
        0 => Some("root"),
        uid if uid == ours.uid => Some(&ours.name),
        _ => None,
    }
}

/// A wish, as the command line names it.
pub(super) fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Start => "start",
        Verb::Stop => "stop",
        Verb::Restart(_) => "restart",
        Verb::Reload => "reload",
        Verb::Freeze => "freeze",
        Verb::Thaw => "thaw",
        Verb::Reset => "reset",
        Verb::Renew => "daemon-reload",
        Verb::Signal(_) => "signal",
        Verb::Shutdown => "shutdown",
    }
}

pub(super) fn impossible(reason: Impossible) -> &'static str {
    match reason {
        Impossible::NotRunning => "not running",
        Impossible::NoReload => "its unit file has no ExecReload",
        Impossible::NoProcess => "it has no process to do this to",
        Impossible::ManualStart => {
            "only another unit may start it (RefuseManualStart); start what needs it"
        }
        Impossible::ManualStop => {
            "only another unit may stop it (RefuseManualStop); stop what needs it"
        }
        Impossible::Frozen => "it is frozen and cannot act on it; `thaw` it first",
    }
}

/// Where the units are that a wish has moved.
pub(super) fn arrival(awaited: Awaited) -> &'static str {
    match awaited {
        Awaited::Down => "down",
        Awaited::Up | Awaited::Reload | Awaited::Freeze | Awaited::Thaw => "up",
    }
}

/// For whom a unit waits.
pub(super) fn waits(on: &UnitName, state: State) -> String {
    match state {
        // What is only on its way will be a step further when somebody reads this.
        State::Waiting | State::Starting => format!("waits for {on}"),
        state => format!("waits for {on}, which is {state}"),
    }
}

/// What to do about a refusal.
pub(super) fn refusal_hint(refusal: &Refusal) -> Option<String> {
    match refusal {
        Refusal::Cycle(_) => Some("take one After or Before out of the cycle".to_owned()),
        Refusal::Missing {
            unit, needed_by, ..
        } => Some(format!(
            "with `Wants` in place of `Requires`, {needed_by} would start without {unit}"
        )),
        Refusal::Unhonoured { .. } => Some(
            "take these lines out of the unit file, or name the keys in IgnoreUnsupported= of [service]"
                .to_owned(),
        ),
        Refusal::Template { .. }
        | Refusal::Unknown { .. }
        | Refusal::Contradiction { .. }
        | Refusal::Tangle { .. }
        | Refusal::TooMany
        | Refusal::ShuttingDown => None,
    }
}
