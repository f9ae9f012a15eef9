//! What clients are told: each request is answered once, for everything it named, and by what is true.

use diakonos::engine::{Answer, Effect, Event, Outcome, RequestId};
use diakonos::unit::UnitName;

use crate::model::{Check, Client, Model, Turn, fail};
use crate::rules::fits;

impl Model {
    pub(crate) fn answer(&mut self, request: RequestId, answer: &Answer) -> Check {
        let Some(asked) = self.requests.remove(&request) else {
            return fail(format!("request {request} is answered and is not open"));
        };
        if asked.client == Client::Gone {
            return fail(format!(
                "request {request} is answered and its client has gone"
            ));
        }
        let Answer::Outcomes(outcomes) = answer else {
            return Ok(());
        };
        for target in &asked.targets {
            if !outcomes.iter().any(|(name, _)| name == target) {
                return fail(format!("request {request}: no outcome for {target}"));
            }
        }
        Ok(())
    }

    /// What is told is how things stand once the event is worked off.
    pub(crate) fn answers_are_true(
        &self,
        request: RequestId,
        outcomes: &[(UnitName, Outcome)],
    ) -> Check {
        // Of several units, some may have gone on since their outcome came about.
        if let [(name, outcome)] = outcomes
            && !self.is_moved(name)
        {
            let state = self.states.get(name).copied();
            if !fits(outcome, state) {
                return fail(format!(
                    "request {request}: {name} is {state:?}, and its outcome is {outcome:?}"
                ));
            }
        }
        Ok(())
    }
}

/// A refused request changes nothing; it is written down.
pub(crate) fn refusals_do_nothing(turn: &Turn<'_>) -> Check {
    let Event::Request { request, .. } = turn.event else {
        return Ok(());
    };
    let is_word = |effect: &Effect| matches!(effect, Effect::Taken(_) | Effect::Answer { .. });
    if turn.refuses(*request) && !turn.batch.iter().all(is_word) {
        return fail(format!(
            "request {request} is refused, and something is done: {:?}",
            turn.batch
        ));
    }
    Ok(())
}
