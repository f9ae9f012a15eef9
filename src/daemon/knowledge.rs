//! What is known of a unit's processes and log: for `status`, and for a successor.
//!
//! Owns the putting together; each part is its owner's. How it lies on the disk is `state`'s.

use std::path::Path;

use crate::engine::{Ending, Engine, FactRun, UnitId};
use crate::log::{Legacy, Missing, Untold};
use crate::sys::proc::Mark;
use crate::unit::{self, Unit};
use crate::wire::{Saved, SavedDefinition};

use super::lives::{History, Lives};
use super::processes::{Hold, Processes};
use super::pump::UnitLog;

/// Bytes of a definition that stands with the facts, at most: it is written again with each change of theirs.
const TEXT_MAX: usize = 2048;

/// What `status` shows of a unit beside what the engine knows.
#[derive(Debug, Default)]
pub(super) struct ProcessStatus<'a> {
    pub(super) cgroup: Option<&'a Path>,
    /// The marks of its processes where there is no cgroup.
    pub(super) marks: &'a [Mark],
    /// Bytes of output that could not be written, since the daemon began.
    pub(super) missing: Missing,
    pub(super) log_trouble: Option<String>,
    /// Output that could not be written, of which the log does not tell.
    pub(super) untold: Vec<Untold>,
    /// How the last main process ended.
    pub(super) last_end: Option<Ending>,
    pub(super) lives: Lives,
    /// What the service says of itself.
    pub(super) said: Option<&'a str>,
    /// What it goes without.
    pub(super) forgone: &'a [Box<str>],
}

impl Processes {
    /// Writes down what a successor must know of a unit.
    pub(super) fn save(&mut self, unit: UnitId, engine: &Engine) {
        self.save_one(unit, engine);
        for lost in engine.saving_order(&self.states.take_lost()) {
            self.save_one(lost, engine);
        }
        self.states.lost_are_written();
    }

    fn save_one(&mut self, unit: UnitId, engine: &Engine) {
        self.stirred.insert(unit);
        let (Some(facts), Some(definition)) = (engine.facts(unit), engine.unit(unit)) else {
            return;
        };
        // What is known of its processes is better than that it is down, and would be replaced by that.
        if definition.service.is_some() && self.is_left(&definition.name) {
            return;
        }
        let ids = [facts.main, facts.control]
            .into_iter()
            .flatten()
            .map(|run| run.run);
        let living = ids.filter_map(|id| Some((id, self.runs.get(id)?.identity)));
        let ended = self.ended.iter().filter(|(_, run)| run.unit == unit);
        let inodes = living
            .chain(ended.map(|(id, run)| (*id, run.identity)))
            .collect();
        let hold = self.holds.get(&unit);
        // Before a life's first process is prepared, the mark is still that of the life before.
        let unborn = |run: &FactRun| run.is_unborn(facts.phase);
        let unborn = facts.control.filter(unborn).or(facts.main.filter(unborn));
        let is_of_it = |hold: &&Hold| unborn.is_none_or(|run| hold.youngest == Some(run.run));
        let held = hold
            .map(Box::as_ref)
            .filter(is_of_it)
            .map(|hold| &hold.invocation);
        let history = self
            .history
            .get(&unit)
            .filter(|_| hold.is_none() && unborn.is_none());
        let invocation = held.or_else(|| history?.invocation.as_ref());
        let ProcessStatus {
            cgroup,
            missing,
            last_end,
            lives,
            said,
            ..
        } = self.status(unit);
        let next = engine.next_unit(unit);
        let saved = Saved {
            facts,
            file: definition.path.display().to_string(),
            hash: definition.hash,
            definition: Some(definition.fingerprint()),
            next: next.map(Unit::fingerprint),
            text: text_here(definition, next),
            boot_id: self.states.boot_id().to_owned(),
            inodes,
            cgroup: cgroup.map(|path| path.display().to_string()),
            invocation: invocation.map(|invocation| invocation.text().to_owned()),
            last_end,
            life: lives.last,
            life_before: lives.before,
            log_lost: missing.bytes,
            log_dropped: missing.dropped_lines,
            log_limited: missing.limited_lines,
            log_owed: self.log_owed(unit),
            stored: self.stores.saved(unit),
            oom_kills: hold.and_then(|hold| hold.limited.memory.kills()),
            said: said.map(str::to_owned),
            access: self.ears.access(unit),
            forgone: self.forgone.written(unit),
        };
        self.states.save(unit, &saved, || {
            let both = [Some(definition), next].into_iter().flatten();
            both.map(SavedDefinition::of).collect()
        });
    }

    /// What whoever opens its log next has to know.
    fn log_owed(&self, unit: UnitId) -> Vec<u8> {
        let log = self.holds.get(&unit).and_then(|hold| hold.log.as_ref());
        let history = || self.history.get(&unit)?.legacy.clone();
        let legacy = log.map_or_else(history, UnitLog::legacy);
        legacy.map_or_else(Vec::new, |legacy| legacy.to_bytes())
    }

    /// What is known of a unit's processes and log.
    pub(super) fn status(&self, unit: UnitId) -> ProcessStatus<'_> {
        let none = History::default();
        let history = self.history.get(&unit).map_or(&none, Box::as_ref);
        let hold = self.holds.get(&unit);
        let log = hold.and_then(|hold| hold.log.as_ref());
        ProcessStatus {
            cgroup: hold.and_then(|hold| hold.group.path()),
            marks: hold.map_or(&[], |hold| hold.group.marks()),
            missing: history
                .missing
                .and(log.map(UnitLog::missing).unwrap_or_default()),
            log_trouble: log
                .and_then(UnitLog::failure)
                .map(|failure| failure.reason()),
            untold: log
                .map_or_else(
                    || history.legacy.as_deref().map(Legacy::owed),
                    UnitLog::owed,
                )
                .map(|owed| owed.untold().collect())
                .unwrap_or_default(),
            last_end: history.last_end,
            lives: history.lives,
            said: self.ears.said(unit),
            forgone: self.forgone.of(unit),
        }
    }
}

/// The definition of a unit without processes stands with its facts, and neither changes often: a thousand groups are
/// a thousand files less to make and to remove. Whether it is short enough only its text tells.
fn text_here(definition: &Unit, next: Option<&Unit>) -> Option<String> {
    let is_alone = definition.service.is_none() && next.is_none();
    let text = is_alone.then(|| unit::to_toml(definition));
    text.filter(|text| text.len() <= TEXT_MAX)
}
