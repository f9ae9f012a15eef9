//! Unit files that have changed: what a changed one says, and `daemon-reload`, which reads all loaded units again.
//!
//! Owns the reading of them all at once, what the client is told of each, and the way of newer limits into the kernel
//! and into the log of a service that runs. Which keys may change under a running service is `unit`'s choice.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{Absent, Event, Refusal, RequestId, State, UnitId, unfit};
use crate::sorted::Sorted;
use crate::unit::{Resources, SearchPath, Service, Unit, UnitName, differences};
use crate::wire::{
    ErrorKind, Final, Progress, ProgressKind, Reply, ResultKind, SavedDefinition, UnitResult,
    WireError, encode_definitions,
};

use super::answer;
use super::event_loop::Daemon;
use super::lenience::Lenience;
use super::loader::{Among, Loaded, Loader};
use super::processes::{Processes, Turn};
use super::sources::SessionId;

/// Keys that are told of one unit, and characters of the line for each.
const KEYS_MAX: usize = 40;
const LINE_MAX: usize = 400;
/// Units of whose changes one request tells.
const TOLD_MAX: usize = 300;

/// What a wrong file means for the unit that was loaded from it.
const STAYS: &str =
    "what was loaded stays in force; `diakonos daemon-reload` again once the file is right";

/// What differs between the definition in force and the one on disk, key by key; nothing if only its form does.
pub(super) fn changes(before: &Unit, after: &Unit) -> Option<Progress> {
    let found = differences(before, after);
    if found.is_empty() {
        return None;
    }
    let mut text = String::from(match before.hash == after.hash {
        true => "what enabled units ask of it has changed:",
        false => "its file has changed:",
    });
    for difference in found.iter().take(KEYS_MAX) {
        text.push('\n');
        text.extend(difference.to_string().chars().take(LINE_MAX));
    }
    if let Some(more) = found.len().checked_sub(KEYS_MAX).filter(|more| *more > 0) {
        text.push_str(&format!("\nand {more} keys more"));
    }
    Some(told(&after.name, ProgressKind::Changed, text))
}

fn told(unit: &UnitName, kind: ProgressKind, text: String) -> Progress {
    Progress {
        kind,
        unit: unit.to_string(),
        text,
        in_ms: None,
    }
}

impl Loaded {
    /// Notes what is told of one unit, as long as few are told of: what waits for a client is bounded.
    pub(super) fn tell(&mut self, notice: impl FnOnce() -> Option<Progress>) {
        match self.notices.len() < TOLD_MAX {
            true => self.notices.extend(notice()),
            false => self.untold += 1,
        }
    }

    /// All that is told, and of how many units nothing is.
    pub(super) fn take_notices(&mut self) -> Vec<Progress> {
        let mut notices = std::mem::take(&mut self.notices);
        let left = std::mem::take(&mut self.untold);
        if left > 0 {
            let text = format!("and {left} units more have changed: `diakonos diff` shows how");
            notices.push(Progress {
                kind: ProgressKind::Warning,
                unit: String::new(),
                text,
                in_ms: None,
            });
        }
        notices
    }
}

impl Loader<'_> {
    /// Reads what the loaded units, or their newer definitions, need or start, and nobody has loaded yet.
    fn complete(&self, loaded: &mut Loaded) {
        let definitions = loaded.definitions.iter();
        let newer: BTreeSet<&UnitName> = definitions.clone().map(|unit| &unit.name).sorted_set();
        let ids = self.engine.units();
        let known = ids.filter_map(|id| self.engine.next_unit(id).or(self.engine.unit(id)));
        let known = known.filter(|unit| !newer.contains(&unit.name));
        let is_unknown = |name: &UnitName| self.engine.id(name).is_none();
        let named = known.chain(definitions).flat_map(Unit::neighbours);
        let needed = named.filter(|(relation, _)| relation.need().is_some());
        let needed = needed.map(|(_, name)| name);
        let unknown: BTreeSet<&UnitName> = needed.filter(|name| is_unknown(name)).sorted_set();
        let unknown = unknown.into_iter().cloned().collect();
        let before = loaded.definitions.len();
        self.follow(unknown, loaded, is_unknown);
        let come = loaded.definitions.iter().skip(before);
        let text = || "loaded: another unit names it".to_owned();
        let come = come.map(|unit| answer::plain(&unit.name, ResultKind::Renewed, text()));
        loaded.answered.extend(come);
    }
}

impl Daemon {
    /// Reads the files of all loaded units again. A wrong one is answered with its report, and what was loaded of it
    /// stays in force.
    pub(super) fn reread(&mut self, path: &SearchPath) -> Loaded {
        self.forget_orphans();
        let loader = self.loader(path);
        let mut loaded = Loaded::default();
        for id in self.engine.units() {
            let Some(unit) = self.engine.unit(id) else {
                continue;
            };
            let waiting = self.engine.next_unit(id);
            let newest = waiting.unwrap_or(unit);
            match loader.read_again(newest) {
                Ok(None) if waiting.is_none() => continue,
                Ok(newer) => {
                    let is_new = newer.is_some();
                    let newer = newer.unwrap_or_else(|| newest.clone());
                    // It would start as if what is not supported did not stand there.
                    if let Some(refusal) = unfit(&newer) {
                        let refused = answer::hopeless(&unit.name, &refusal);
                        loaded.answered.push(UnitResult {
                            hint: Some(STAYS.to_owned()),
                            ..refused
                        });
                        continue;
                    }
                    if is_new {
                        loaded.tell(|| changes(unit, &newer));
                    }
                    loaded.definitions.push(newer);
                }
                // What is down and has no file is only still known.
                Err(_) if !newest.path.exists() && loader.is_down(&unit.name) => continue,
                Err(_) if !newest.path.exists() => {
                    let file = newest.path.display();
                    let text = format!(
                        "{file} is gone: the unit stays as it was loaded until it is stopped"
                    );
                    loaded.tell(|| Some(told(&unit.name, ProgressKind::Warning, text)));
                    continue;
                }
                Err(report) => {
                    let error = answer::error(ErrorKind::Failed, report, Some(STAYS.to_owned()));
                    loaded.answered.push(answer::spoiled(&unit.name, error));
                    continue;
                }
            }
            loaded.targets.push(unit.name.clone());
        }
        loader.complete(&mut loaded);
        loader.leave_cycles(&mut loaded, STAYS);
        self.tell_missing(&mut loaded);
        loaded.answered.extend(self.reread_settings());
        loaded
    }

    /// Says of changed units whom they name now that cannot be loaded.
    fn tell_missing(&self, loaded: &mut Loaded) {
        let needed = |unit: &Unit| -> BTreeSet<UnitName> {
            let named = unit.neighbours();
            let needed = named.filter(|(relation, _)| relation.need().is_some());
            needed.map(|(_, name)| name.clone()).sorted_set()
        };
        let absent = loaded.absent.iter().map(|absent| (&absent.name, absent));
        let absent: BTreeMap<&UnitName, &Absent> = absent.sorted_map();
        let mut found = Vec::new();
        for unit in &loaded.definitions {
            let known = self.engine.id(&unit.name);
            let before = known.and_then(|id| self.engine.unit(id));
            let before = before.map(needed).unwrap_or_default();
            let missing = needed(unit).into_iter();
            let missing = missing.filter(|name| !before.contains(name));
            for absent in missing.filter_map(|name| absent.get(&name).copied()) {
                let refusal = Refusal::missing(&absent.name, &unit.name, Some(absent));
                found.push(told(&unit.name, ProgressKind::Warning, refusal.to_string()));
            }
        }
        for notice in found {
            loaded.tell(|| Some(notice));
        }
    }

    /// Forgets the units of which nothing is left but the daemon's memory: no file, no process and no failure.
    fn forget_orphans(&mut self) {
        let is_orphan = |id: &UnitId| {
            let view = self.engine.view(*id);
            let is_left = view.as_ref().is_some_and(|view| {
                matches!(view.state, State::Stopped | State::Completed)
                    && !view.unit.path.exists()
                    && self.processes.left_over(&view.unit.name).is_empty()
            });
            is_left && self.is_over(*id)
        };
        let orphans = self.engine.units().filter(is_orphan).collect();
        self.forget(orphans);
    }

    /// The definition in force of a unit that is not down.
    pub(super) fn up(&self, name: &UnitName) -> Option<&Unit> {
        let id = self.engine.id(name)?;
        let has_processes = self.processes.holds.contains_key(&id);
        self.engine.unit(id).filter(|_| has_processes)
    }

    /// Tells a client the definitions of these units, as far as they are loaded, a frame each.
    pub(super) fn tell_definitions(
        &mut self,
        names: Vec<String>,
        path: &SearchPath,
        session: SessionId,
    ) -> Result<Final, WireError> {
        let loader = self.loader(path);
        let names = loader.resolve(names, Among::Loaded)?;
        let frames = self.definitions(&names, &loader);
        for frame in frames {
            let reply = Reply::Progress(frame);
            self.sessions.reply(session, &reply, &mut self.sources);
        }
        Ok(Final::Results(Vec::new()))
    }

    fn definitions(&self, names: &[UnitName], loader: &Loader<'_>) -> Vec<Progress> {
        let mut frames = Vec::new();
        for name in names {
            let unit = self.engine.id(name).and_then(|id| self.engine.unit(id));
            let Some(unit) = unit else {
                continue;
            };
            let text = encode_definitions(&[SavedDefinition::of(unit)]);
            let text = String::from_utf8(text).unwrap_or_default();
            frames.push(told(name, ProgressKind::Definition, text));
            let (wants, requires) = loader.asked_of(name);
            let wants = wants.iter().map(|unit| format!("Wants {unit}"));
            let requires = requires.iter().map(|unit| format!("Requires {unit}"));
            let lines: Vec<String> = wants.chain(requires).collect();
            if !lines.is_empty() {
                frames.push(told(name, ProgressKind::PulledIn, lines.join("\n")));
            }
        }
        frames
    }

    /// Brings in line what is held of a unit whose definition is another one now.
    pub(super) fn renew(&mut self, unit: UnitId, request: RequestId) {
        let (processes, mut turn) = self.with_turn();
        let Err(reason) = processes.renew(unit, &mut turn) else {
            return;
        };
        let Some(definition) = self.engine.unit(unit) else {
            return;
        };
        ::log::warn!("{}: what was limited stays: {reason}", definition.name);
        let text = format!("its limits stay as they were: {reason}");
        let notice = told(&definition.name, ProgressKind::Warning, text);
        self.tell(request, notice);
    }
}

impl Processes {
    /// The reason for which the old limits stay.
    fn renew(&mut self, unit: UnitId, turn: &mut Turn<'_>) -> Result<(), Box<str>> {
        let Some(definition) = turn.engine.unit(unit) else {
            return Ok(());
        };
        let Some(service) = definition.service.as_deref() else {
            return Ok(());
        };
        let Some(hold) = self.holds.get_mut(&unit) else {
            return Ok(());
        };
        if let Some(log) = &mut hold.log {
            log.limit(service.log);
        }
        let before = hold.limited.resources().cloned().map(Box::new);
        if before.as_ref() == service.resources.as_ref() {
            return Ok(());
        }
        let mut lenience = Lenience::of(service);
        let agreed = self.agree_on_limits((unit, service), &mut lenience);
        match agreed {
            Ok(()) => {
                let keys = limit_keys(before.as_deref(), service);
                for key in keys {
                    self.forgone.take_back(unit, key);
                }
                self.forgone.add(unit, definition, lenience.into_reasons());
                Ok(())
            }
            Err(failure) => {
                let resources = before;
                turn.events.push_back(Event::Limited { unit, resources });
                Err(failure.reason)
            }
        }
    }
}

/// The keys of limits that were, or are now.
fn limit_keys(before: Option<&Resources>, service: &Service) -> Vec<&'static str> {
    let both = before.into_iter().chain(service.resources.as_deref());
    both.flat_map(|given| given.limits.iter().map(|limit| limit.key()))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn of_many_changes_some_are_told_and_the_others_counted() {
        let name = UnitName::parse("web").unwrap();
        let mut loaded = Loaded::default();
        let mut compared = 0;
        for _ in 0..TOLD_MAX + 7 {
            loaded.tell(|| {
                compared += 1;
                Some(told(&name, ProgressKind::Changed, String::new()))
            });
        }
        let notices = loaded.take_notices();
        assert_eq!((compared, notices.len()), (TOLD_MAX, TOLD_MAX + 1));
        assert!(notices.last().unwrap().text.contains("7 units more"));
        assert!(loaded.take_notices().is_empty());
    }
}
