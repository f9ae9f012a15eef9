//! The contract's small rules, written down a second time: what follows an end, which outcome fits which state.

use diakonos::engine::{Answer, Effect, Ending, Outcome, Role, State};
use diakonos::unit::{Policy, Restart, StatusSet, Unit, UnitName};

pub(crate) fn is_going(state: State) -> bool {
    !matches!(
        state,
        State::Stopped | State::Completed | State::Failed | State::Waiting | State::Backoff
    )
}

/// Whether an outcome can be told of a unit in this state; `None`: never published.
pub(crate) fn fits(outcome: &Outcome, state: Option<State>) -> bool {
    let Some(state) = state else {
        return true;
    };
    let up = matches!(state, State::Running | State::Exited | State::Reloading);
    let down = matches!(state, State::Stopped | State::Completed | State::Failed);
    match outcome {
        Outcome::Started => up,
        Outcome::AlreadyUp => up,
        Outcome::Reloaded | Outcome::Signaled => !down,
        Outcome::Skipped { .. } => state == State::Completed,
        Outcome::Completed => matches!(state, State::Completed | State::Backoff),
        // A stop may be answered and a start follow at once: a later wish, or a restart.
        Outcome::Stopped => state != State::Stopping,
        Outcome::AlreadyDown => down,
        Outcome::LeftDown => down || state == State::Stopping,
        Outcome::Failed { retry_ms, .. } => retry_ms.is_none() || state == State::Backoff,
        // Its stop may wait for its turn.
        Outcome::Frozen => matches!(state, State::Running | State::Stopping),
        Outcome::Thawed | Outcome::Renewed { .. } => true,
        Outcome::ResetDone | Outcome::Superseded { .. } | Outcome::Impossible { .. } => true,
    }
}

pub(crate) fn commands(unit: &Unit, role: Role) -> usize {
    let Some(service) = &unit.service else {
        return 0;
    };
    match role {
        Role::Condition => service.condition.len(),
        Role::StartPre => service.start_pre.len(),
        Role::Start => service.start.len(),
        Role::StartPost => service.start_post.len(),
        Role::Reload => service.reload.len(),
        Role::Stop => service.stop.len(),
        Role::StopPost => service.stop_post.len(),
    }
}

/// systemd.service(5), `Restart=` and the three lists of statuses, written down a second time.
pub(crate) fn restarts(restart: &Restart, ending: Ending) -> bool {
    let listed = |set: &StatusSet| match ending {
        Ending::Code(code) => set.codes.contains(&code),
        Ending::Signal { number, .. } => {
            set.signals.iter().any(|s| s.number() == i32::from(number))
        }
        Ending::OomKilled => set.signals.iter().any(|s| s.number() == 9),
        Ending::Unknown => false,
    };
    if listed(&restart.prevent) {
        return false;
    }
    if listed(&restart.force) {
        return true;
    }
    let clean = match ending {
        Ending::Code(0) => true,
        Ending::Signal { number, .. } => {
            matches!(number, 1 | 2 | 13 | 15) || listed(&restart.success)
        }
        Ending::Code(_) => listed(&restart.success),
        Ending::OomKilled | Ending::Unknown => false,
    };
    let by_signal = matches!(ending, Ending::Signal { .. });
    match restart.policy {
        Policy::No | Policy::OnWatchdog => false,
        Policy::Always => true,
        Policy::OnSuccess => clean,
        Policy::OnFailure => !clean,
        Policy::OnAbnormal => !clean && (by_signal || ending == Ending::OomKilled),
        Policy::OnAbort => !clean && by_signal,
    }
}

/// Whether how the unit may be killed is told to wait for its next start.
pub(crate) fn kill_waits(batch: &[Effect], name: &UnitName) -> bool {
    let outcomes = batch.iter().flat_map(|effect| match effect {
        Effect::Answer {
            answer: Answer::Outcomes(outcomes),
            ..
        } => outcomes.as_slice(),
        _ => &[],
    });
    let mut own = outcomes.filter(|(unit, _)| unit == name);
    own.any(|(_, outcome)| match outcome {
        Outcome::Renewed { waiting } => {
            waiting.contains(&"KillMode") || waiting.contains(&"SendSIGKILL")
        }
        _ => false,
    })
}
