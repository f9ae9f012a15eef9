//! One unit as the engine holds it. Plain data and questions about it; what moves it is in `start.rs` and `stop.rs`.

use crate::unit::{List, Service as Definition, Unit};

use super::freeze::Freeze;
use super::job::Sequel;
use super::monitor::Monitor;
use super::phase::{Goal, Phase, state};
use super::restart;
use super::{
    Cause, ChangeId, FactGoal, FactPhase, FactReason, Facts, Moment, RunId, State, UnitId,
};

#[derive(Debug)]
pub(super) struct Service {
    /// The definition in force: what its processes were started with.
    pub(super) unit: Box<Unit>,
    /// A newer one, in force from the next start. Its dependencies count at once.
    pub(super) next: Option<Box<Unit>>,
    pub(super) phase: Phase,
    pub(super) goal: Goal,
    /// Why it is in the state that was last published.
    pub(super) cause: Cause,
    /// The entry of the record that this goes back to.
    pub(super) because: Option<ChangeId>,
    /// What others name that follow it: its last entry in the record, if that tells of its present cause.
    pub(super) voice: Option<ChangeId>,
    /// Why it is to come up again, while it goes down for that.
    pub(super) again: Option<Box<FactReason>>,
    /// Why its present life began; nobody knows of one that an old daemon has left.
    pub(super) origin: Option<Box<Cause>>,
    /// The state that was last published, and since when.
    pub(super) shown: State,
    pub(super) since: Moment,
    /// Whether it stands still.
    pub(super) freeze: Option<Freeze>,
    /// When this run became ready; a start that never did has none, and its `ExecStop=` does not run.
    pub(super) ready_at: Option<Moment>,
    /// Automatic restarts since the last start by hand.
    pub(super) restarts: u32,
    /// Automatic restarts in a row: the exponent of the delay.
    pub(super) attempt: u32,
    /// The youngest run; 0 if there was none.
    pub(super) last_run: RunId,
    /// When it was last started; 0 if it never was.
    pub(super) begun: Moment,
    /// The automatic starts that a limit counts.
    pub(super) starts: List<Moment>,
    /// Why the start that is under way is not complete, as the last look has shown.
    pub(super) unready: Option<Box<str>>,
    /// The watchdog that it has asked for in this life, in milliseconds.
    pub(super) watchdog_ms: Option<u64>,
    /// The time limit of its phase, in milliseconds, as it was when that began; none is known of a predecessor's.
    pub(super) armed_ms: Option<u64>,
    /// By how much it has had that extended, in milliseconds.
    pub(super) extended_ms: u64,
    /// What it has said of its reload while `ExecReload=` ran.
    pub(super) reload: Reload,
    /// Whom the clients were last told that it waits for.
    pub(super) told: Option<UnitId>,
    /// Whose end has started it, for as long as nobody else starts it.
    pub(super) monitor: Option<Box<Monitor>>,
    /// The same, also where the start was only part of what that brought along.
    pub(super) led_by: Option<UnitId>,
}

/// What a service has said of the reload that its commands are at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reload {
    Silent,
    /// That it reloads.
    Begun,
}

impl Service {
    pub(super) fn new(unit: Box<Unit>, now: Moment) -> Self {
        Self {
            unit,
            next: None,
            phase: Phase::Stopped,
            goal: Goal::Down,
            cause: Cause::Gone,
            because: None,
            voice: None,
            again: None,
            origin: None,
            shown: State::Stopped,
            since: now,
            freeze: None,
            ready_at: None,
            restarts: 0,
            attempt: 0,
            last_run: RunId(0),
            begun: Moment(0),
            starts: List::default(),
            unready: None,
            watchdog_ms: None,
            armed_ms: None,
            extended_ms: 0,
            reload: Reload::Silent,
            told: None,
            monitor: None,
            led_by: None,
        }
    }

    /// Becomes what a predecessor has written down.
    pub(super) fn recall(&mut self, (phase, next): (Phase, Option<Box<Unit>>), facts: &Facts) {
        self.goal = match facts.goal {
            FactGoal::Up => Goal::Up,
            FactGoal::Down => Goal::Down,
            FactGoal::Cycle => Goal::Cycle,
        };
        if phase.kind().rests() {
            self.goal = Goal::Down;
        }
        self.phase = phase;
        self.next = next;
        self.since = facts.since;
        self.ready_at = facts.ready_at;
        self.restarts = facts.restarts;
        self.attempt = facts.attempt;
        self.last_run = facts.last_run;
        self.begun = facts.begun;
        self.starts = facts.starts.clone().into();
        self.watchdog_ms = facts.watchdog_ms;
        let reason = facts.reason.clone().unwrap_or_else(|| {
            let cause = if let Phase::Failed(failure) = &self.phase {
                Cause::Failed(failure.clone())
            } else {
                Cause::Restored
            };
            FactReason {
                cause,
                because: None,
            }
        });
        (self.cause, self.because) = (reason.cause, reason.because);
        self.voice = facts.voice;
        self.again = facts.again.clone().map(Box::new);
        self.origin = facts.origin.clone().map(|reason| Box::new(reason.cause));
        self.monitor = facts.monitor.clone().map(Box::new);
        self.shown = self.state();
    }

    /// The newest definition, in force or not.
    pub(super) fn newest(&self) -> &Unit {
        self.next.as_deref().unwrap_or(&self.unit)
    }

    /// Nothing runs under the definition in force: a newer one takes its place at once.
    pub(super) fn is_free(&self) -> bool {
        let kind = self.kind();
        kind.rests() || matches!(kind, FactPhase::Waiting | FactPhase::Backoff)
    }

    /// What `[service]` says; `None` for a group.
    pub(super) fn definition(&self) -> Option<&Definition> {
        self.unit.service.as_deref()
    }

    pub(super) fn kind(&self) -> FactPhase {
        self.phase.kind()
    }

    pub(super) fn state(&self) -> State {
        state(self.kind(), self.goal)
    }

    /// Since when it is as it shows: a reload is no pause of what is up, as with systemd's `ActiveEnterTimestamp`.
    pub(super) fn shown_since(&self) -> Moment {
        match self.shown {
            State::Running | State::Reloading => self.ready_at.unwrap_or(self.since),
            State::Stopped
            | State::Waiting
            | State::Starting
            | State::Exited
            | State::Completed
            | State::Stopping
            | State::Failed
            | State::Backoff => self.since,
        }
    }

    /// It is (coming) up and is to go down, but its turn to stop has not come.
    pub(super) fn awaits_stop(&self) -> bool {
        let kind = self.kind();
        (kind.starts() || kind.is_up()) && self.goal != Goal::Up
    }

    /// It goes down or is about to: whoever is ordered around it waits.
    pub(super) fn is_stopping(&self) -> bool {
        self.kind().ends() || self.awaits_stop()
    }

    /// The newest definition's own order, for good.
    pub(super) fn forget_order(&mut self) {
        let newest = self.next.as_mut().unwrap_or(&mut self.unit);
        newest.after.clear();
        newest.before = List::default();
    }

    pub(super) fn is_ordered(&self) -> bool {
        !self.newest().after.is_empty() || !self.newest().before.is_empty()
    }

    /// What follows the end that is under way, as far as that is known.
    pub(super) fn sequel(&self) -> Sequel {
        let Some(definition) = self.definition() else {
            return Sequel::Rest;
        };
        let policy = &definition.restart;
        let restarts = match &self.phase {
            Phase::StopCommand { end, .. }
            | Phase::Killing { end, .. }
            | Phase::StopPost { end, .. } => restart::is_wanted(policy, &end.why, end.main),
            Phase::Stopped
            | Phase::Completed
            | Phase::Failed(_)
            | Phase::Waiting
            | Phase::Examining { .. }
            | Phase::StartPre { .. }
            | Phase::Starting { .. }
            | Phase::FindingMain { .. }
            | Phase::StartPost { .. }
            | Phase::Running { .. }
            | Phase::Exited
            | Phase::Reloading { .. }
            | Phase::ReloadSignal { .. }
            | Phase::ReloadNotify { .. }
            | Phase::Leaving { .. }
            | Phase::Backoff => restart::may_follow(policy),
        };
        if restarts {
            Sequel::Restart
        } else {
            Sequel::Rest
        }
    }

    /// Whether it was started since a wish was asked that is asked again.
    pub(super) fn has_begun_since(&self, first_asked: Option<Moment>) -> bool {
        // In the same millisecond counts: a wish takes less than one to arrive.
        self.begun > Moment(0) && first_asked.is_some_and(|asked| self.begun >= asked)
    }

    /// A start by hand: delays and limits begin anew.
    pub(super) fn forget_restarts(&mut self) {
        self.restarts = 0;
        self.attempt = 0;
        self.starts = List::default();
    }
}
