//! Why a unit is as it is, as JSON: in the saved state, so that a successor knows it, and by its words in the record.
//!
//! Owns the words that stand for causes. A word, once used, never gets another meaning. One that nobody knows (a newer
//! version's) reads as no reason at all.

use miniserde::{Deserialize, Serialize};

use crate::engine::{Asker, Cause, ChangeId, FactReason, Failure};
use crate::unit::UnitName;

use super::state::{WireEnding, ending, flatten_ending};

/// Flat: which fields are there depends on the word.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct WireReason {
    cause: Option<String>,
    unit: Option<String>,
    uid: Option<u32>,
    pid: Option<u32>,
    attempt: Option<u32>,
    ended: Option<WireEnding>,
    result: Option<String>,
    text: Option<String>,
    because: Option<u64>,
}

/// The word for a cause, in the saved state and in the record.
#[must_use]
pub fn cause_word(cause: &Cause) -> &'static str {
    match cause {
        Cause::Asked(Asker::Client { .. }) => "asked",
        Cause::Asked(Asker::Boot) => "boot",
        Cause::Asked(Asker::Signal) => "signal",
        Cause::Asked(Asker::Memory) => "memory",
        Cause::RequiredBy(_) => "required-by",
        Cause::WantedBy(_) => "wanted-by",
        Cause::Requires(_) => "requires",
        Cause::BoundBy(_) => "bound-by",
        Cause::UpheldBy(_) => "upheld-by",
        Cause::FailureOf(_) => "failure-of",
        Cause::SuccessOf(_) => "success-of",
        Cause::Requisite(_) => "requisite",
        Cause::BindsTo(_) => "binds-to",
        Cause::PartOf(_) => "part-of",
        Cause::Conflicts(_) => "conflicts",
        Cause::Unneeded => "unneeded",
        Cause::Ordered => "ordered",
        Cause::AutoRestart { .. } => "auto-restart",
        Cause::Ready => "ready",
        Cause::Reloads => "reloads",
        Cause::Reloaded => "reloaded",
        Cause::Skipped(_) => "skipped",
        Cause::Ended(_) => "ended",
        Cause::Failed(_) => "failed",
        Cause::Gone => "gone",
        Cause::Leaving => "leaving",
        Cause::Shutdown => "shutdown",
        Cause::Restored => "restored",
    }
}

impl WireReason {
    pub(super) fn of(reason: &FactReason) -> Self {
        let flat = Self {
            cause: Some(cause_word(&reason.cause).to_owned()),
            because: reason.because.map(|entry| entry.0),
            ..<Self as Default>::default()
        };
        match &reason.cause {
            Cause::Asked(Asker::Client { uid, pid }) => Self {
                uid: Some(*uid),
                pid: Some(*pid),
                ..flat
            },
            Cause::AutoRestart { attempt } => Self {
                attempt: Some(*attempt),
                ..flat
            },
            Cause::Skipped(how) => Self {
                text: Some(how.to_string()),
                ..flat
            },
            Cause::Ended(ending) => Self {
                ended: Some(flatten_ending(*ending)),
                ..flat
            },
            Cause::Failed(Failure::Recorded { result, text }) => Self {
                result: Some(result.to_string()),
                text: Some(text.to_string()),
                ..flat
            },
            // The engine hands out no others.
            Cause::Failed(other) => Self {
                text: Some(other.to_string()),
                ..flat
            },
            edge => Self {
                unit: edge.other().map(ToString::to_string),
                ..flat
            },
        }
    }

    pub(super) fn read(self) -> Option<FactReason> {
        // The name as it was: reading one takes an ending off.
        let unit = self.unit.map(|name| format!("{name}.service"));
        let unit = unit.and_then(|name| UnitName::parse(&name).ok());
        let text = self.text.unwrap_or_default();
        let cause = match self.cause?.as_str() {
            "asked" => Cause::Asked(Asker::Client {
                uid: self.uid?,
                pid: self.pid?,
            }),
            "boot" => Cause::Asked(Asker::Boot),
            "signal" => Cause::Asked(Asker::Signal),
            "memory" => Cause::Asked(Asker::Memory),
            "required-by" => Cause::RequiredBy(unit?),
            "wanted-by" => Cause::WantedBy(unit?),
            "requires" => Cause::Requires(unit?),
            "bound-by" => Cause::BoundBy(unit?),
            "upheld-by" => Cause::UpheldBy(unit?),
            "failure-of" => Cause::FailureOf(unit?),
            "success-of" => Cause::SuccessOf(unit?),
            "requisite" => Cause::Requisite(unit?),
            "binds-to" => Cause::BindsTo(unit?),
            "part-of" => Cause::PartOf(unit?),
            "conflicts" => Cause::Conflicts(unit?),
            "unneeded" => Cause::Unneeded,
            "ordered" => Cause::Ordered,
            "auto-restart" => Cause::AutoRestart {
                attempt: self.attempt?,
            },
            "ready" => Cause::Ready,
            "reloads" => Cause::Reloads,
            "reloaded" => Cause::Reloaded,
            "skipped" => Cause::Skipped(text.into()),
            "ended" => Cause::Ended(ending(self.ended?)),
            "failed" => Cause::Failed(Failure::Recorded {
                result: self.result.unwrap_or_default().into(),
                text: text.into(),
            }),
            "gone" => Cause::Gone,
            "leaving" => Cause::Leaving,
            "shutdown" => Cause::Shutdown,
            "restored" => Cause::Restored,
            _ => return None,
        };
        Some(FactReason {
            cause,
            because: self.because.map(ChangeId),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::engine::{Core, Ending};

    #[test]
    fn every_cause_comes_back_as_it_was() {
        let name = || UnitName::parse("odd.service.service").unwrap();
        let signal = Ending::Signal {
            number: 11,
            core: Core::Dumped,
        };
        let causes = [
            Cause::Asked(Asker::Client {
                uid: u32::MAX,
                pid: 7,
            }),
            Cause::Asked(Asker::Boot),
            Cause::Asked(Asker::Signal),
            Cause::Asked(Asker::Memory),
            Cause::RequiredBy(name()),
            Cause::WantedBy(name()),
            Cause::Requires(name()),
            Cause::BoundBy(name()),
            Cause::UpheldBy(name()),
            Cause::FailureOf(name()),
            Cause::SuccessOf(name()),
            Cause::Requisite(name()),
            Cause::BindsTo(name()),
            Cause::PartOf(name()),
            Cause::Conflicts(name()),
            Cause::Unneeded,
            Cause::Ordered,
            Cause::AutoRestart { attempt: 3 },
            Cause::Ready,
            Cause::Reloads,
            Cause::Reloaded,
            Cause::Skipped("exit code 1".into()),
            Cause::Ended(signal),
            Cause::Ended(Ending::OomKilled),
            Cause::Failed(Failure::Recorded {
                result: "exit-code".into(),
                text: "exit code 1: \"ü\"".into(),
            }),
            Cause::Gone,
            Cause::Leaving,
            Cause::Shutdown,
            Cause::Restored,
        ];
        for cause in causes {
            for because in [None, Some(ChangeId(u64::MAX))] {
                let cause = cause.clone();
                let reason = FactReason { cause, because };
                assert_eq!(WireReason::of(&reason).read(), Some(reason));
            }
        }
    }

    #[test]
    fn what_nobody_can_read_is_no_reason() {
        let words = [None, Some("asked"), Some("requires"), Some("of-tomorrow")];
        for word in words {
            let flat = WireReason {
                cause: word.map(ToOwned::to_owned),
                ..<WireReason as Default>::default()
            };
            assert_eq!(flat.read(), None);
        }
    }
}
