//! A plan as JSON and back: the steps of [`super::Final::Plan`].

use miniserde::{Deserialize, Serialize};

use super::words::Word;
use super::{DecodeError, PlanAct, PlanStep};

#[derive(Serialize, Deserialize)]
pub(super) struct WireStep {
    unit: String,
    act: String,
    reason: String,
    after: Option<Vec<u32>>,
    waits_for: Option<Vec<String>>,
}

impl From<&PlanStep> for WireStep {
    fn from(step: &PlanStep) -> Self {
        Self {
            unit: step.unit.clone(),
            act: step.act.written().to_owned(),
            reason: step.reason.clone(),
            after: (!step.after.is_empty()).then(|| step.after.clone()),
            waits_for: (!step.waits_for.is_empty()).then(|| step.waits_for.clone()),
        }
    }
}

impl WireStep {
    pub(super) fn rich(self) -> Result<PlanStep, DecodeError> {
        Ok(PlanStep {
            unit: self.unit,
            act: PlanAct::read(&self.act)?,
            reason: self.reason,
            after: self.after.unwrap_or_default(),
            waits_for: self.waits_for.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::{Final, Reply, decode_reply, encode_reply};
    use super::*;

    #[test]
    fn every_step_comes_back_as_it_was() {
        use PlanAct::{Keep, LeftOut, Nothing, Refused, Reload, Start, Stop};
        let acts = [Stop, Start, Keep, Reload, Nothing, Refused, LeftOut];
        let steps = acts.map(|act| PlanStep {
            unit: "web".to_owned(),
            act,
            reason: "a \"quoted\"\n\u{1F600} reason".to_owned(),
            after: if act == Start {
                vec![1, u32::MAX]
            } else {
                vec![]
            },
            waits_for: if act == Stop {
                vec!["db, which is stopping".to_owned()]
            } else {
                vec![]
            },
        });
        for steps in [steps.to_vec(), vec![]] {
            let reply = Reply::Final(Final::Plan(steps));
            assert_eq!(decode_reply(&encode_reply(&reply)).unwrap(), reply);
        }
        let text = br#"{"reply":"plan","plan":[{"unit":"a","act":"odd","reason":""}]}"#;
        assert_eq!(
            decode_reply(text).unwrap_err().to_string(),
            "unknown act `odd`"
        );
    }
}
