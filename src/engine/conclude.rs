//! What follows the end of a run: rest, another start at once, or an automatic restart after its delay.

use super::atoms::Occasion;
use super::phase::{End, Goal, Phase, Run, Why};
use super::restart;
use super::{Awaited, Cause, Engine, Failure, Outcome, UnitId};

/// `RestartSec=0` too leaves the shell a turn of its loop between two tries: a start that fails at once, again and
/// again, must not keep everybody else from theirs.
const SHORTEST_DELAY_MS: u64 = 1;
/// After so long up, an upheld group comes up again as quickly as at first: the default of `RestartResetSec=`.
const GROUP_RESET_MS: u64 = 60_000;

impl Engine {
    /// The run, unless its end is what has just been heard of.
    pub(super) fn living(&self, run: Option<Run>) -> Option<Run> {
        run.filter(|run| self.runs.contains_key(&run.id))
    }

    /// The run is over: nothing of it is left, or as little as `KillMode=` allows. What now?
    pub(super) fn conclude(&mut self, unit: UnitId, end: End) {
        let now = self.now;
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        let remains = end.why == Why::Failed(Failure::Remains);
        let ready_at = service.ready_at.take();
        let definition = service.definition();
        let good_ms = definition.map_or(GROUP_RESET_MS, |d| restart::ms(d.restart.reset));
        if ready_at.is_some_and(|ready_at| now.since_ms(ready_at) >= good_ms) {
            service.attempt = 0;
        }
        let goal = service.goal;
        let stopped = match &end.why {
            Why::Failed(failure) if remains => Outcome::Failed {
                failure: failure.clone(),
                retry_ms: None,
            },
            Why::Asked | Why::Finished | Why::Skipped(_) | Why::Failed(_) => Outcome::Stopped,
        };
        self.resolve(unit, Awaited::Down, &stopped);
        match goal {
            Goal::Down => self.rest(unit, end),
            // Never a second copy beside what is left of the first.
            Goal::Cycle | Goal::Up if remains => self.rest(unit, end),
            Goal::Cycle => self.start_again(unit),
            Goal::Up => self.restart_or_rest(unit, end),
        }
    }

    pub(super) fn start_again(&mut self, unit: UnitId) {
        if let Some(service) = self.service_mut(unit) {
            service.goal = Goal::Up;
        }
        let cause = self.recall_order(unit);
        self.queue(unit, cause);
    }

    /// A run ended by itself.
    fn restart_or_rest(&mut self, unit: UnitId, end: End) {
        let chance = self.draw();
        let now = self.now;
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        let Some(definition) = service.unit.service.as_deref() else {
            return;
        };
        let policy = &definition.restart;
        let hopeless = matches!(&end.why, Why::Failed(failure) if restart::is_hopeless(failure));
        // In an automatic restart the program may be missing for a moment, while a new one is installed.
        let first = service.attempt == 0;
        if !restart::is_wanted(policy, &end.why, end.main) || (hopeless && first) {
            return self.rest(unit, end);
        }
        let delay_ms = restart::delay_ms(policy, service.attempt, chance).max(SHORTEST_DELAY_MS);
        let due = now.plus_ms(delay_ms);
        if let Some(limit) = restart::limit(service.unit.start_limit, policy)
            && restart::is_exceeded(limit, &mut service.starts, due)
        {
            let failure = Failure::StartLimit {
                burst: limit.burst,
                interval_ms: limit.interval_ms,
                last: words_of(&end).into(),
            };
            return self.rest(unit, End::new(Why::Failed(failure), end.main));
        }
        service.attempt = service.attempt.saturating_add(1);
        self.back_off(unit, &end, delay_ms);
    }

    fn back_off(&mut self, unit: UnitId, end: &End, delay_ms: u64) {
        if let Why::Failed(failure) = &end.why {
            let outcome = Outcome::Failed {
                failure: failure.clone(),
                retry_ms: Some(delay_ms),
            };
            self.resolve(unit, Awaited::Up, &outcome);
            self.tell_retry(unit, failure, delay_ms);
        } else {
            self.resolve(unit, Awaited::Up, &Outcome::Completed);
        }
        self.renew(unit);
        // The delay is part of the news, so that it is set before these are told.
        self.timers.set(unit, Some(self.now.plus_ms(delay_ms)));
        if let Some(service) = self.service_mut(unit) {
            service.phase = Phase::Backoff;
        }
        self.announce(unit, cause_of(end));
    }

    /// The unit stays down.
    pub(super) fn rest(&mut self, unit: UnitId, end: End) {
        self.renew(unit);
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        let asked = service.goal == Goal::Down;
        service.goal = Goal::Down;
        let cause = cause_of(&end).or(Some(Cause::Gone));
        let result = end.result();
        let occasion = match end.why {
            Why::Asked | Why::Finished => Some(Occasion::Success),
            Why::Skipped(_) => None,
            Why::Failed(_) => Some(Occasion::Failure),
        };
        let (phase, outcome) = match end.why {
            Why::Asked => (Phase::Stopped, Outcome::Stopped),
            Why::Finished if asked => (Phase::Stopped, Outcome::Stopped),
            Why::Finished => (Phase::Completed, Outcome::Completed),
            Why::Skipped(_) if asked => (Phase::Stopped, Outcome::Stopped),
            Why::Skipped(how) => (Phase::Completed, Outcome::Skipped { how }),
            Why::Failed(failure) => {
                let outcome = Outcome::Failed {
                    failure: failure.clone(),
                    retry_ms: None,
                };
                (Phase::Failed(failure), outcome)
            }
        };
        self.enter(unit, phase, cause);
        self.resolve(unit, Awaited::Up, &outcome);
        match occasion {
            Some(occasion) => self.has_ended(unit, occasion, result),
            None => self.release_held_back(),
        }
    }
}

fn words_of(end: &End) -> String {
    match &end.why {
        Why::Failed(failure) => failure.to_string(),
        Why::Asked | Why::Finished | Why::Skipped(_) => String::from("it ended well each time"),
    }
}

/// The cause of going down; none where the request that asked for it has given its own.
pub(super) fn cause_of(end: &End) -> Option<Cause> {
    match (&end.why, end.main) {
        (Why::Failed(failure), _) => Some(Cause::Failed(failure.clone())),
        (Why::Finished, Some(ending)) => Some(Cause::Ended(ending)),
        (Why::Finished, None) => Some(Cause::Gone),
        (Why::Skipped(how), _) => Some(Cause::Skipped(how.clone())),
        (Why::Asked, _) => None,
    }
}
