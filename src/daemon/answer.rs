//! What the engine answers, as the wire's messages: results, progress, refusals, each with a text for readers.

use crate::engine::{Answer, Engine, Failure, Impossible, Moment, Notice, Outcome, Refusal, State};
use crate::sys::process::Step;
use crate::unit::UnitName;
use crate::wire::{ErrorKind, Final, Progress, ProgressKind, ResultKind, UnitResult, WireError};

use super::lenience::KEYS_APART;
use super::{leftover, text};

/// The last frame of a request that the engine has answered.
pub(super) fn last(answer: Answer, engine: &Engine) -> Final {
    match answer {
        Answer::Outcomes(outcomes) => Final::Results(results(outcomes, engine)),
        Answer::Refused(refusal) => Final::Error(refused(&refusal)),
    }
}

/// What became of units, each with a text for readers.
pub(super) fn results(outcomes: Vec<(UnitName, Outcome)>, engine: &Engine) -> Vec<UnitResult> {
    let outcomes = outcomes.into_iter();
    outcomes
        .map(|(unit, what)| result(&unit, what, engine))
        .collect()
}

fn result(unit: &UnitName, outcome: Outcome, engine: &Engine) -> UnitResult {
    let (kind, text) = match &outcome {
        Outcome::Started => (ResultKind::Started, "started".to_owned()),
        Outcome::AlreadyUp => (ResultKind::AlreadyUp, "is already up".to_owned()),
        Outcome::Completed => (ResultKind::Completed, "has run to its end".to_owned()),
        Outcome::Skipped { how } => (ResultKind::Skipped, format!("skipped, {how}")),
        Outcome::Stopped => (ResultKind::Stopped, stopped(unit, engine)),
        Outcome::AlreadyDown => (ResultKind::AlreadyDown, "is already down".to_owned()),
        Outcome::Reloaded => (ResultKind::Reloaded, "reloaded".to_owned()),
        Outcome::Signaled => (ResultKind::Signaled, "got the signal".to_owned()),
        Outcome::Frozen => (ResultKind::Frozen, "frozen".to_owned()),
        Outcome::Thawed => (ResultKind::Thawed, "thawed".to_owned()),
        Outcome::ResetDone => (ResultKind::ResetDone, "failures forgotten".to_owned()),
        Outcome::Renewed { waiting } => (ResultKind::Renewed, renewed(waiting)),
        Outcome::LeftDown => (ResultKind::LeftDown, "is down and stays down".to_owned()),
        Outcome::Failed { failure, .. } => (ResultKind::Failed, failure.to_string()),
        Outcome::Superseded { cause } => {
            let text = format!("overtaken by another request: {cause}");
            (ResultKind::Superseded, text)
        }
        Outcome::Impossible { reason } => {
            let kind = match reason {
                Impossible::NotRunning | Impossible::NoProcess => ResultKind::NotRunning,
                Impossible::NoReload
                | Impossible::Frozen
                | Impossible::ManualStart
                | Impossible::ManualStop => ResultKind::Impossible,
            };
            (kind, text::impossible(*reason).to_owned())
        }
    };
    let retry_ms = match outcome {
        Outcome::Failed { retry_ms, .. } => retry_ms,
        _ => None,
    };
    UnitResult {
        unit: unit.to_string(),
        kind,
        text,
        retry_ms,
        hint: place_to_mend(unit, &outcome, engine),
        left: Vec::new(),
    }
}

/// It is down, as was asked; what went wrong on the way makes it a failed one all the same.
fn stopped(unit: &UnitName, engine: &Engine) -> String {
    let view = engine.id(unit).and_then(|id| engine.view(id));
    match view.filter(|view| view.state == State::Failed) {
        Some(view) => format!(
            "stopped, nothing is left; it counts as failed: {}",
            view.cause
        ),
        None => "stopped, nothing is left".to_owned(),
    }
}

fn renewed(waiting: &[&str]) -> String {
    match waiting {
        [] => "its changed file is in force".to_owned(),
        keys => {
            let keys = keys.join(", ");
            format!("its changed file is in force, but for what waits for its next start: {keys}")
        }
    }
}

/// What a call gives that this user or this machine does not allow: `EPERM`, `EACCES`, `ENOSYS`, `EOPNOTSUPP`.
const BEYOND_US: [i32; 4] = [1, 13, 38, 95];
/// Keys without which nothing can be started, whatever is ignored.
const NEEDED: [&str; 7] = [
    "WorkingDirectory",
    "EnvironmentFile",
    "PassEnvironment",
    "StandardInput",
    "StandardOutput",
    "StandardError",
    "ReadyWhen",
];

/// The key and the file to look at, where a program was never run because of what its unit file says.
fn place_to_mend(unit: &UnitName, outcome: &Outcome, engine: &Engine) -> Option<String> {
    let Outcome::Failed {
        failure: Failure::Spawn { role, failure },
        ..
    } = outcome
    else {
        return None;
    };
    let key = match &*failure.step {
        step if failure.names_key() => step.to_owned(),
        leftover::STEP => {
            let then = format!("stop them, then `diakonos start {unit}`");
            return Some(then);
        }
        step if step == Step::Exec.name() => role.to_string(),
        _ => return None,
    };
    let file = engine.unit(engine.id(unit)?)?.path.display();
    let keys: Vec<&str> = key.split(KEYS_APART).collect();
    let place = format!("{}= in {file}", keys.join("=, "));
    let is_about_us = failure.names_key() && BEYOND_US.contains(&failure.errno);
    Some(
        if is_about_us && !keys.iter().any(|key| NEEDED.contains(key)) {
            let keys = keys.join("\", \"");
            format!("{place}; with IgnoreUnsupported = [\"{keys}\"] it goes without")
        } else {
            place
        },
    )
}

/// A unit that was found and cannot be read.
pub(super) fn spoiled(unit: &UnitName, error: WireError) -> UnitResult {
    let again = || format!("once its file is right: `diakonos start {unit}`");
    UnitResult {
        hint: Some(error.hint.unwrap_or_else(again)),
        ..plain(unit, ResultKind::Failed, error.message)
    }
}

/// A unit that was found and that the engine would refuse to start.
pub(super) fn hopeless(unit: &UnitName, refusal: &Refusal) -> UnitResult {
    let mut error = refused(refusal);
    // The unit's name stands before it already.
    if let Some(rest) = error.message.strip_prefix(&format!("{unit} ")) {
        error.message = rest.to_owned();
    }
    spoiled(unit, error)
}

pub(super) fn refused(refusal: &Refusal) -> WireError {
    let kind = match refusal {
        Refusal::Cycle(_)
        | Refusal::Missing { .. }
        | Refusal::Unhonoured { .. }
        | Refusal::Contradiction { .. }
        | Refusal::Tangle { .. }
        | Refusal::TooMany => ErrorKind::Failed,
        Refusal::Template { .. } => ErrorKind::Usage,
        Refusal::Unknown { .. } => ErrorKind::NoSuchUnit,
        Refusal::ShuttingDown => ErrorKind::Unavailable,
    };
    WireError {
        kind,
        message: refusal.to_string(),
        hint: text::refusal_hint(refusal),
    }
}

/// What `--no-wait` gets once the engine has taken the request up.
pub(super) fn accepted(targets: &[UnitName], verb: &str) -> Final {
    let text = format!("{verb} requested");
    let results = targets.iter();
    let results = results.map(|unit| plain(unit, ResultKind::Started, text.clone()));
    Final::Results(results.collect())
}

/// Something on the way. `now` turns moments into distances.
pub(super) fn progress(notice: Notice, now: Moment) -> Progress {
    let (kind, unit, text, in_ms) = match notice {
        Notice::AlsoStarts { unit, cause } => {
            let text = format!("also starts: {}", cause);
            (ProgressKind::AlsoStarts, unit.to_string(), text, None)
        }
        Notice::AlsoStops { unit, cause } => {
            let text = format!("also stops: {}", cause);
            (ProgressKind::AlsoStops, unit.to_string(), text, None)
        }
        Notice::AlsoRestarts { unit, cause } => {
            let text = format!("also restarts: {}", cause);
            (ProgressKind::AlsoRestarts, unit.to_string(), text, None)
        }
        Notice::Waits { unit, on, state } => {
            let text = text::waits(&on, state);
            (ProgressKind::Waits, unit.to_string(), text, None)
        }
        Notice::NotReady { unit, awaited } => {
            let text = format!("is not ready yet: {awaited}");
            (ProgressKind::Waits, unit.to_string(), text, None)
        }
        Notice::Stopping {
            unit,
            kill_at,
            last,
        } => {
            let in_ms = kill_at.map(|at| at.since_ms(now));
            let text = match in_ms {
                Some(_) => format!("{last} follows"),
                None => "stopping".to_owned(),
            };
            (ProgressKind::Stopping, unit.to_string(), text, in_ms)
        }
        Notice::Killing { unit, last } => {
            let text = format!("did not stop in time: {last} sent");
            (ProgressKind::Killing, unit.to_string(), text, None)
        }
        Notice::Retries {
            unit,
            failure,
            delay_ms,
        } => {
            let text = format!("{failure}; next try in {}", text::span(delay_ms));
            (
                ProgressKind::Retries,
                unit.to_string(),
                text,
                Some(delay_ms),
            )
        }
        Notice::Reached {
            awaited,
            arrived,
            all,
        } => {
            let text = format!("{arrived} of {all} {}", text::arrival(awaited));
            (ProgressKind::Reached, String::new(), text, None)
        }
        Notice::Warning { text } => (ProgressKind::Warning, String::new(), text, None),
    };
    Progress {
        kind,
        unit,
        text,
        in_ms,
    }
}

/// A result without a next try or a hint.
pub(super) fn plain(name: &UnitName, kind: ResultKind, text: String) -> UnitResult {
    UnitResult {
        unit: name.to_string(),
        kind,
        text,
        retry_ms: None,
        hint: None,
        left: Vec::new(),
    }
}

/// An error that the shell itself found.
pub(super) fn error(kind: ErrorKind, message: String, hint: Option<String>) -> WireError {
    WireError {
        kind,
        message,
        hint,
    }
}
