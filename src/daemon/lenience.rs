//! What services go without: keys that the machine cannot honour and that `IgnoreUnsupported=` names.
//!
//! Owns the choice between a start that fails and a warning, and what was warned of. Whether something can be honoured
//! is found out where it is done.

use std::collections::BTreeMap;

use crate::engine::{Answer, Outcome, RequestId, SpawnFailure, UnitId};
use crate::unit::{Service, Unit};
use crate::wire::{Progress, ProgressKind};

use super::event_loop::Daemon;
use super::spawn::failure;

/// What stands between the keys of a failure for several of them.
pub(super) const KEYS_APART: &str = ", ";

/// One service's, while a process of it is prepared.
#[derive(Debug)]
pub(super) struct Lenience<'a> {
    ignored: &'a [&'static str],
    /// For the reader: each names the key and says why it is not honoured.
    reasons: Vec<Box<str>>,
    /// What cannot be honoured and is not ignored, by its key.
    refused: Vec<(&'static str, SpawnFailure)>,
}

impl<'a> Lenience<'a> {
    pub(super) fn of(service: &'a Service) -> Self {
        Self {
            ignored: &service.ignore_unsupported,
            reasons: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Whether the service is to start without what this key says, if need be.
    pub(super) fn ignores(&self, key: &str) -> bool {
        self.ignored.contains(&key)
    }

    /// `key` cannot be honoured here: a failure whose reason names it, unless the service goes on without.
    pub(super) fn forgo(&mut self, key: &str, failure: SpawnFailure) -> Result<(), SpawnFailure> {
        if !self.ignores(key) {
            return Err(failure);
        }
        self.reasons.push(failure.reason);
        Ok(())
    }

    /// As [`Lenience::forgo`], where other keys are looked at before [`Lenience::verdict`] fails for all of them.
    pub(super) fn defer(&mut self, key: &'static str, failure: SpawnFailure) {
        if self.ignores(key) {
            self.reasons.push(failure.reason);
        } else {
            self.refused.push((key, failure));
        }
    }

    /// One failure for all that was deferred, so that nobody has to find key after key by starting again.
    pub(super) fn verdict(&mut self) -> Result<(), SpawnFailure> {
        let mut refused = std::mem::take(&mut self.refused);
        if refused.len() < 2 {
            return refused.pop().map_or(Ok(()), |(_, failure)| Err(failure));
        }
        let errno = refused.first().map_or(0, |(_, failure)| failure.errno);
        let keys: Vec<&str> = refused.iter().map(|(key, _)| *key).collect();
        Err(failure(&keys.join(KEYS_APART), errno, reasons(&refused)))
    }

    /// Something that nobody has to allow is gone without.
    pub(super) fn note(&mut self, reason: String) {
        self.reasons.push(reason.into());
    }

    pub(super) fn into_reasons(self) -> Vec<Box<str>> {
        self.reasons
    }
}

/// The reasons one after the other; keys with the same one stand together.
fn reasons(refused: &[(&'static str, SpawnFailure)]) -> String {
    let mut told: Vec<(String, &str)> = Vec::new();
    for (key, failure) in refused {
        let bare = failure.reason.strip_prefix(key);
        let Some(reason) = bare.and_then(|rest| rest.strip_prefix(": ")) else {
            told.push((String::new(), &failure.reason));
            continue;
        };
        match told
            .iter_mut()
            .find(|(keys, known)| *known == reason && !keys.is_empty())
        {
            Some((keys, _)) => {
                keys.push_str(KEYS_APART);
                keys.push_str(key);
            }
            None => told.push(((*key).to_owned(), reason)),
        }
    }
    let lines = told.iter().map(|(keys, reason)| match keys.is_empty() {
        true => (*reason).to_owned(),
        false => format!("{keys}: {reason}"),
    });
    lines.collect::<Vec<_>>().join("; ")
}

/// What each unit goes without since its present life began.
#[derive(Debug, Default)]
pub(super) struct Forgone(BTreeMap<UnitId, Vec<Box<str>>>);

impl Forgone {
    /// A life begins. What this version does not act on at all is gone without from the start.
    pub(super) fn begin(&mut self, id: UnitId, unit: &Unit) {
        self.0.remove(&id);
        let keys = unit.unhonoured.iter();
        let reasons = keys.map(|key| format!("{key}: this version does not act on it").into());
        self.add(id, unit, reasons.collect());
    }

    /// What is new among the reasons goes to the daemon's log.
    pub(super) fn add(&mut self, id: UnitId, unit: &Unit, reasons: Vec<Box<str>>) {
        for reason in reasons {
            let known = self.0.entry(id).or_default();
            if !known.contains(&reason) {
                ::log::warn!("{} goes without {reason}", unit.name);
                known.push(reason);
            }
        }
    }

    /// The key is in force now.
    pub(super) fn take_back(&mut self, id: UnitId, key: &str) {
        if let Some(reasons) = self.0.get_mut(&id) {
            reasons.retain(|reason| !is_about(reason, key));
        }
    }

    /// For a successor, one line each.
    pub(super) fn written(&self, id: UnitId) -> Option<String> {
        self.0.get(&id).map(|reasons| reasons.join("\n"))
    }

    /// What a predecessor has written.
    pub(super) fn remember(&mut self, id: UnitId, written: Option<&str>) {
        if let Some(written) = written {
            let reasons = written.lines().map(Into::into).collect();
            self.0.insert(id, reasons);
        }
    }

    pub(super) fn of(&self, id: UnitId) -> &[Box<str>] {
        self.0.get(&id).map_or(&[], Vec::as_slice)
    }
}

/// Whether this is why a service goes without that key.
pub(super) fn is_about(reason: &str, key: &str) -> bool {
    let rest = reason.strip_prefix(key);
    rest.is_some_and(|rest| rest.starts_with([':', '=']))
}

impl Daemon {
    /// Tells who asked for a start what the started units go without.
    pub(super) fn tell_forgone(&mut self, request: RequestId, answer: &Answer) {
        let Answer::Outcomes(outcomes) = answer else {
            return;
        };
        let is_start = |what: &Outcome| matches!(what, Outcome::Started | Outcome::Completed);
        let started = outcomes.iter().filter(|(_, what)| is_start(what));
        let mut told = Vec::new();
        for (name, id) in started.filter_map(|(name, _)| Some((name, self.engine.id(name)?))) {
            let reasons = self.processes.forgone.of(id).iter();
            told.extend(reasons.map(|reason| Progress {
                kind: ProgressKind::Warning,
                unit: name.to_string(),
                text: format!("goes without {reason}"),
                in_ms: None,
            }));
        }
        for progress in told {
            self.tell(request, progress);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn deferred(ignored: &[&'static str], all: &[(&'static str, &str)]) -> Option<SpawnFailure> {
        let mut lenience = Lenience {
            ignored,
            reasons: Vec::new(),
            refused: Vec::new(),
        };
        for (key, reason) in all {
            lenience.defer(key, failure(key, 95, format!("{key}{reason}")));
        }
        lenience.verdict().err()
    }

    #[test]
    fn all_that_is_refused_is_told_at_once() {
        let all = [
            ("MemoryMax", ": no cgroups"),
            ("User", "=root: only root"),
            ("TasksMax", ": no cgroups"),
            ("IOWeight", ": no io"),
        ];
        let failure = deferred(&["IOWeight"], &all).unwrap();
        assert_eq!(&*failure.step, "MemoryMax, User, TasksMax");
        assert!(failure.names_key());
        let reason = "MemoryMax, TasksMax: no cgroups; User=root: only root";
        assert_eq!((&*failure.reason, failure.errno), (reason, 95));
        let failure = deferred(&["IOWeight"], &all[2..]).unwrap();
        assert_eq!(&*failure.step, "TasksMax");
        assert_eq!(&*failure.reason, "TasksMax: no cgroups");
        assert_eq!(deferred(&["IOWeight"], &all[3..]), None);
    }

    #[test]
    fn what_is_set_later_is_not_gone_without() {
        let (id, mut forgone) = (UnitId(1), Forgone::default());
        forgone.remember(id, Some("MemoryMax: no\nMemoryMaximum: no"));
        forgone.take_back(id, "MemoryMax");
        assert_eq!(forgone.of(id), ["MemoryMaximum: no".into()]);
    }
}
