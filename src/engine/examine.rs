//! `Condition…=` and `Assert…=`, systemd.unit(5): asked for when a unit's turn to start has come, before anything of it
//! is begun, and judged here.
//!
//! A condition that is not met skips the start, and nobody fails for it; an assertion that is not met fails it.
//! Neither is tried again by itself: the machine is as it is until somebody changes it.

use crate::unit::{Condition, Demand, Truth, Weight};

use super::phase::{End, Phase, Why};
use super::{Effect, Engine, Failure, QuestionId, UnitId};

/// What a unit's conditions and assertions come to. The text names what is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Met,
    Skip(String),
    Fail(String),
}

impl Engine {
    /// Asks how the machine is, if that is of any interest to the unit. Whether it is.
    pub(super) fn examine(&mut self, unit: UnitId) -> bool {
        let asks = self
            .service(unit)
            .is_some_and(|service| !service.unit.conditions.is_empty());
        if asks {
            let question = self.ask(unit);
            self.enter(unit, Phase::Examining { question }, None);
        }
        asks
    }

    fn ask(&mut self, unit: UnitId) -> QuestionId {
        self.last_question += 1;
        let question = QuestionId(self.last_question);
        self.batch.push(Effect::Examine { unit, question });
        question
    }

    /// A predecessor may have died before it was answered, and the machine may have changed.
    pub(super) fn ask_again(&mut self, unit: UnitId) {
        let asked = self.ask(unit);
        if let Some(service) = self.service_mut(unit)
            && let Phase::Examining { question } = &mut service.phase
        {
            *question = asked;
        }
    }

    pub(super) fn examined(&mut self, unit: UnitId, answers: (QuestionId, &[Truth])) {
        let (question, truths) = answers;
        let Some(service) = self.service(unit) else {
            return;
        };
        // An answer to what was asked for an earlier start says nothing about this one.
        if service.phase != (Phase::Examining { question }) {
            return;
        }
        match judge(&service.unit.conditions, truths) {
            Verdict::Met => self.begin(unit),
            // Nothing has begun, so that no policy of restarts is asked.
            Verdict::Skip(text) => self.rest(unit, End::new(Why::Skipped(text.into()), None)),
            Verdict::Fail(text) => {
                let unmet = text.into();
                let why = Why::Failed(Failure::Assertion { unmet });
                self.rest(unit, End::new(why, None));
            }
        }
    }
}

/// Conditions come before assertions, as systemd has it. `truths` has one entry for each, in their order; what nobody
/// could find out is not true.
fn judge(conditions: &[Condition], truths: &[Truth]) -> Verdict {
    match unmet(conditions, truths, Demand::Condition) {
        Some(text) => Verdict::Skip(text),
        None => match unmet(conditions, truths, Demand::Assert) {
            Some(text) => Verdict::Fail(text),
            None => Verdict::Met,
        },
    }
}

/// Which of this demand are not met, in words; `None` if they are.
fn unmet(conditions: &[Condition], truths: &[Truth], demand: Demand) -> Option<String> {
    let truths = truths
        .iter()
        .copied()
        .chain(std::iter::repeat(Truth::Untrue));
    let mut choices = Vec::new();
    let mut is_chosen = false;
    for (condition, truth) in conditions.iter().zip(truths) {
        let is_met = condition.wanted == truth;
        match condition.weight {
            _ if condition.demand != demand => {}
            Weight::Each if !is_met => return Some(format!("{condition} is not met")),
            Weight::Each => {}
            Weight::Any => {
                is_chosen |= is_met;
                choices.push(condition.to_string());
            }
        }
    }
    match choices.as_slice() {
        _ if is_chosen => None,
        [] => None,
        [one] => Some(format!("{one} is not met")),
        _ => Some(format!("none of {} is met", choices.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use Truth::{True, Untrue};

    use super::*;
    use crate::unit::Test;

    fn one(demand: Demand, weight: Weight, path: &str) -> Condition {
        Condition {
            demand,
            weight,
            wanted: Truth::True,
            test: Test::PathExists(PathBuf::from(path)),
        }
    }

    #[test]
    fn all_are_to_be_met_and_of_the_marked_ones_any() {
        let (each, any) = (Weight::Each, Weight::Any);
        let a = one(Demand::Condition, each, "/a");
        let b = one(Demand::Condition, any, "/b");
        let c = one(Demand::Condition, any, "/c");
        let all = [a.clone(), b.clone(), c];
        assert_eq!(judge(&all, &[True, Untrue, True]), Verdict::Met);
        assert_eq!(judge(&all, &[True, True, Untrue]), Verdict::Met);
        let skipped = |text: &str| Verdict::Skip(text.to_owned());
        assert_eq!(
            judge(&all, &[Untrue, True, True]),
            skipped("ConditionPathExists=/a is not met")
        );
        assert_eq!(
            judge(&all, &[True, Untrue, Untrue]),
            skipped("none of ConditionPathExists=|/b, ConditionPathExists=|/c is met")
        );
        assert_eq!(
            judge(&[b], &[Untrue]),
            skipped("ConditionPathExists=|/b is not met")
        );
        assert_eq!(
            judge(&[a], &[]),
            skipped("ConditionPathExists=/a is not met")
        );
        assert_eq!(judge(&[], &[]), Verdict::Met);
    }

    #[test]
    fn assertions_fail_and_come_after_conditions() {
        let condition = one(Demand::Condition, Weight::Each, "/c");
        let assertion = Condition {
            wanted: Truth::Untrue,
            ..one(Demand::Assert, Weight::Each, "/a")
        };
        let both = [condition, assertion];
        assert_eq!(judge(&both, &[True, Untrue]), Verdict::Met);
        let unmet = "AssertPathExists=!/a is not met".to_owned();
        assert_eq!(judge(&both, &[True, True]), Verdict::Fail(unmet));
        assert!(matches!(judge(&both, &[Untrue, True]), Verdict::Skip(_)));
    }
}
