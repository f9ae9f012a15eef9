//! What was planned is what then happens: before each wish the engine says what it would do, and after it has been told
//! the wish, that is what it has done at once, no more and no less.

use std::collections::{BTreeMap, BTreeSet};

use diakonos::engine::{
    Act, Answer, Asker, Cause, Effect, Engine, Event, FactGoal, Facts, Outlook, Refusal, Verb,
};
use diakonos::unit::UnitName;

use crate::sweep;

/// What the engine has said.
pub(crate) struct Foresight {
    said: Result<Outlook, Refusal>,
    verb: Verb,
}

type Looks = BTreeMap<UnitName, Facts>;

impl Foresight {
    /// Asks, if the event is a wish that can be planned.
    pub(crate) fn of(engine: &Engine, event: &Event) -> Option<Self> {
        let Event::Request {
            verb,
            by: Asker::Client { .. },
            first_asked: None,
            targets,
            definitions,
            absent,
            ..
        } = event
        else {
            return None;
        };
        if !matches!(verb, Verb::Start | Verb::Stop | Verb::Restart(_)) {
            return None;
        }
        Some(Self {
            said: engine.outlook(*verb, targets.clone(), definitions, absent),
            verb: *verb,
        })
    }

    /// Compares with what has come of it.
    pub(crate) fn came_true(
        &self,
        engine: &Engine,
        batch: &[Effect],
        (before, after): (&Looks, &Looks),
        self_starting: &BTreeSet<UnitName>,
    ) -> Result<(), String> {
        let refused = batch.iter().find_map(|effect| match effect {
            Effect::Answer {
                answer: Answer::Refused(refusal),
                ..
            } => Some(refusal),
            _ => None,
        });
        let outlook = match (&self.said, refused) {
            (Err(said), Some(refused)) if said == refused => return Ok(()),
            (Ok(outlook), None) => outlook,
            (said, refused) => {
                return Err(format!("planned {said:?}, but the answer was {refused:?}"));
            }
        };
        let mut acts: BTreeMap<&UnitName, BTreeSet<Act>> = BTreeMap::new();
        for (at, step) in outlook.steps.iter().enumerate() {
            if step.after.iter().any(|earlier| *earlier >= at) {
                return Err(format!("step {at} waits for a later one: {outlook:?}"));
            }
            acts.entry(&step.unit).or_default().insert(step.act);
        }
        let cause = |name: &UnitName| {
            let view = engine.id(name).and_then(|id| engine.view(id));
            view.map(|view| view.cause.clone())
        };
        // One that was planned to be up and is not to be went by itself, and took along whom it did.
        let went = |name: &UnitName| {
            let has = |act| acts[name].contains(&act);
            match after.get(name).map(|now| now.goal) {
                Some(FactGoal::Down) => has(Act::Start) || has(Act::Keep),
                Some(FactGoal::Cycle) => has(Act::Keep),
                Some(FactGoal::Up) | None => false,
            }
        };
        // Somebody's end may have started others, and these what they need: a second plan.
        let has_ended = batch
            .iter()
            .any(|effect| matches!(effect, Effect::Publish(change) if sweep::is_end(change.to)));
        let is_handled = |name| has_ended && self_starting.contains(name);
        let by_plan = |name| {
            !is_handled(name) && cause(name).is_some_and(|cause| is_of_plan(&cause, &acts, went))
        };
        for (name, what) in &acts {
            let now = after
                .get(*name)
                .ok_or(format!("{name} was planned and is not there"))?;
            // What follows at once from another unit's start or end comes on top.
            if !is_done(what, batch, now) && by_plan(name) {
                return Err(format!("planned {what:?} for {name}, but it is {now:?}"));
            }
        }
        for (name, now) in after {
            let was = before.get(name).map(|was| was.goal);
            // The second half of an earlier wish's restart is no news.
            let again = was == Some(FactGoal::Cycle) && now.goal == FactGoal::Up;
            let changed = was != Some(now.goal) && !again && !sweep::rests(now.phase);
            if !changed || acts.contains_key(name) {
                continue;
            }
            if by_plan(name) {
                let verb = self.verb;
                return Err(format!(
                    "nobody planned that {verb:?} changes {name}: {now:?}"
                ));
            }
        }
        Ok(())
    }
}

/// Whether the unit stands as these acts leave it. Its turn may have come at once, and its start may have failed.
fn is_done(acts: &BTreeSet<Act>, batch: &[Effect], now: &Facts) -> bool {
    let has = |act| acts.contains(&act);
    let moved = || {
        let told =
            |effect: &Effect| matches!(effect, Effect::Publish(change) if change.unit == now.unit);
        batch.iter().any(told)
    };
    match (has(Act::Stop), has(Act::Start)) {
        (true, true) => now.goal == FactGoal::Cycle || moved(),
        (true, false) => now.goal == FactGoal::Down,
        (false, true) => now.goal != FactGoal::Down || (sweep::rests(now.phase) && moved()),
        (false, false) => has(Act::Keep) && now.goal == FactGoal::Up,
    }
}

/// Whether the cause is one that a plan hands out, and a unit of this plan the one behind it.
fn is_of_plan(
    cause: &Cause,
    acts: &BTreeMap<&UnitName, BTreeSet<Act>>,
    went: impl Fn(&UnitName) -> bool,
) -> bool {
    match cause {
        Cause::Asked(Asker::Client { .. }) => true,
        Cause::RequiredBy(unit) | Cause::WantedBy(unit) => acts.contains_key(unit),
        Cause::Requires(unit) => acts.contains_key(unit) && !went(unit),
        _ => false,
    }
}
