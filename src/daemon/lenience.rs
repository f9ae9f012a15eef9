//! What services go without: keys that the machine cannot honour and that `IgnoreUnsupported=` names.
//!
//! Owns the choice between a start that fails and a warning, and what was warned of. Whether something can be honoured
//! is found out where it is done.

use std::collections::BTreeMap;

use crate::engine::{Answer, Outcome, RequestId, SpawnFailure, UnitId};
use crate::unit::{Service, Unit};
use crate::wire::{Progress, ProgressKind};

use super::event_loop::Daemon;

/// One service's, while a process of it is prepared.
#[derive(Debug)]
pub(super) struct Lenience<'a> {
    ignored: &'a [&'static str],
    /// For the reader: each names the key and says why it is not honoured.
    reasons: Vec<Box<str>>,
}

impl<'a> Lenience<'a> {
    pub(super) fn of(service: &'a Service) -> Self {
        Self {
            ignored: &service.ignore_unsupported,
            reasons: Vec::new(),
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

    /// Something that nobody has to allow is gone without.
    pub(super) fn note(&mut self, reason: String) {
        self.reasons.push(reason.into());
    }

    pub(super) fn into_reasons(self) -> Vec<Box<str>> {
        self.reasons
    }
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
