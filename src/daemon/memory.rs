//! Memory that runs short: who was killed for it, and who has grown past `RestartMemoryMax=`.
//!
//! Owns what is made of `memory.events.local`: only a rise counts, and a rise shortly before a process's death by
//! SIGKILL says whose doing that was. Where the kernel tells of no threshold, the processes are looked at: often at
//! first, then twice a minute.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{Asker, Ending, Event, Scope, State, UnitId, Verb};
use crate::sys::clock;
use crate::sys::inotify::Watch;
use crate::sys::proc;
use crate::sys::process::error_text;
use crate::unit::Service;

use super::event_loop::Daemon;
use super::group::Group;
use super::loader::Loaded;
use super::processes::{Hold, Processes, Turn};
use super::watches::{Purpose, Watches};

const SIGKILL: u8 = 9;
/// How long after the kernel has told of a killed process its end may follow: large ones take their time.
const FRESH_MS: u64 = 5_000;
/// A service that needs too much from the start is not restarted all the time.
const LEAST_AGE_MS: u64 = 5_000;
/// How soon, and how rarely, processes are looked at.
const FIRST_LOOK_MS: u64 = 1_000;
const LOOK_MS: u64 = 30_000;

/// What is known of a group's memory.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Processes that the kernel had killed when it was last asked.
    kills: Option<u64>,
    /// Until when an end by SIGKILL is the kernel's doing (monotonic milliseconds).
    fresh_until_ms: u64,
    /// When its present life began (monotonic milliseconds).
    since_ms: u64,
    /// How long it is left alone between two looks although the kernel could tell; 0 where the kernel does tell.
    pause_ms: u64,
}

/// Whose memory is looked at.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// When it is due (monotonic milliseconds); nobody whom nothing limits, or of whom the kernel tells.
    due_ms: BTreeMap<UnitId, u64>,
    /// Units that use more than `RestartMemoryMax=` lets them.
    heavy: BTreeSet<UnitId>,
}

impl Looks {
    fn set(&mut self, unit: UnitId, due_ms: Option<u64>) {
        match due_ms {
            Some(due_ms) => self.due_ms.insert(unit, due_ms),
            None => self.due_ms.remove(&unit),
        };
    }

    /// The unit has no process any more.
    pub(super) fn forget(&mut self, unit: UnitId) {
        self.due_ms.remove(&unit);
        self.heavy.remove(&unit);
    }
}

impl Known {
    /// What a predecessor knew.
    pub(super) fn of_predecessor(kills: Option<u64>) -> Self {
        Self {
            kills,
            ..Self::default()
        }
    }

    pub(super) fn kills(&self) -> Option<u64> {
        self.kills
    }

    /// A life begins, or is taken over: what is counted from now on is its own, unless a predecessor has counted.
    pub(super) fn begin(
        &mut self,
        (unit, service): (UnitId, &Service),
        group: &Group,
        (watches, looks): (&mut Watches, &mut Looks),
    ) {
        let now_ms = clock::monotonic_ms();
        self.since_ms = now_ms;
        let counted = group.cgroup().and_then(|cgroup| cgroup.oom_kills());
        if let (Some(cgroup), Some(_)) = (group.cgroup(), counted) {
            let path = cgroup.memory_events_path();
            let added = watches.add(&path, Watch::Modified, Purpose::Memory(unit));
            if let Err(error) = added {
                ::log::warn!("watching {}: {}", path.display(), error_text(&error));
            }
        }
        self.kills = self.kills.or(counted);
        looks.set(unit, threshold(service).map(|_| now_ms + FIRST_LOOK_MS));
    }

    /// Whether the kernel has killed a process of the group since this was last asked.
    fn has_risen(&mut self, group: &Group) -> bool {
        let counted = group.cgroup().and_then(|cgroup| cgroup.oom_kills());
        let Some(counted) = counted else {
            return false;
        };
        let before = self.kills.replace(counted).unwrap_or(counted);
        if counted > before {
            self.fresh_until_ms = clock::monotonic_ms() + FRESH_MS;
        }
        counted > before
    }

    /// Looks whether a service has grown too large, and says when to look again: one that is told of needs no further
    /// look, once it is old enough.
    fn look(&mut self, group: &Group, most: u64) -> (Weight, Option<u64>) {
        let now_ms = clock::monotonic_ms();
        let age_ms = now_ms.saturating_sub(self.since_ms);
        let told = group.cgroup().and_then(|cgroup| cgroup.working_memory());
        let bytes = told.unwrap_or_else(|| proportional_bytes(group));
        if bytes > most && age_ms >= LEAST_AGE_MS {
            return (Weight::TooMuch, None);
        }
        let again_ms = match told {
            Some(_) if self.pause_ms > 0 => Some(self.rest()),
            Some(_) if age_ms >= LEAST_AGE_MS => None,
            Some(_) => Some(self.since_ms + LEAST_AGE_MS),
            None => Some(now_ms + age_ms.clamp(FIRST_LOOK_MS, LOOK_MS)),
        };
        (Weight::Right, again_ms)
    }

    /// When to look again where the kernel is not to tell: each time later.
    pub(super) fn rest(&mut self) -> u64 {
        self.pause_ms = (self.pause_ms * 2).clamp(FIRST_LOOK_MS, LOOK_MS);
        clock::monotonic_ms() + self.pause_ms
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Right,
    TooMuch,
}

impl Processes {
    /// The kernel has something to tell of a group's memory.
    pub(super) fn memory_event(&mut self, unit: UnitId, turn: &mut Turn<'_>) {
        if let Some(hold) = self.holds.get_mut(&unit)
            && hold.limited.memory.has_risen(&hold.group)
        {
            turn.events.push_back(Event::OomKilled { unit });
        }
        let is_watched = |hold: &Hold| hold.limited.is_watched();
        if self
            .holds
            .get(&unit)
            .map(Box::as_ref)
            .is_some_and(is_watched)
        {
            self.weigh_unit(unit, turn);
            if !self.looks.heavy.contains(&unit) {
                // It is the cache of files that fills the group, and the kernel would tell of that all the time.
                self.rest(unit);
            }
        }
    }

    /// From now on the unit is looked at from time to time only.
    fn rest(&mut self, unit: UnitId) {
        if let Some(hold) = self.holds.get_mut(&unit) {
            let due_ms = hold.limited.rest(&hold.group);
            self.looks.set(unit, Some(due_ms));
        }
    }

    /// How a process ended, where the kernel says more than its status: one that was killed for want of memory has an
    /// end like any other that SIGKILL brings.
    pub(super) fn explained(&mut self, unit: UnitId, ending: Ending) -> (Ending, Kills) {
        let Some(hold) = self.holds.get_mut(&unit) else {
            return (ending, Kills::Same);
        };
        let Hold { group, limited, .. } = &mut **hold;
        let kills = if limited.memory.has_risen(group) {
            Kills::More
        } else {
            Kills::Same
        };
        let is_kill = match ending {
            Ending::Signal { number, .. } => number == SIGKILL,
            // Nobody has seen it, but this speaks for itself.
            Ending::Unknown => kills == Kills::More,
            Ending::Code(_) | Ending::OomKilled => false,
        };
        if is_kill && limited.memory.fresh_until_ms > clock::monotonic_ms() {
            return (Ending::OomKilled, kills);
        }
        (ending, kills)
    }

    /// When somebody's memory is to be looked at.
    pub(super) fn memory_due_ms(&self) -> Option<u64> {
        self.looks.due_ms.values().min().copied()
    }

    /// Looks at those whose time has come.
    pub(super) fn weigh(&mut self, turn: &mut Turn<'_>) {
        if self.looks.due_ms.is_empty() {
            return;
        }
        let now_ms = clock::monotonic_ms();
        let due = self.looks.due_ms.iter().filter(|(_, due)| **due <= now_ms);
        let due: Vec<UnitId> = due.map(|(unit, _)| *unit).collect();
        for unit in due {
            self.weigh_unit(unit, turn);
        }
    }

    fn weigh_unit(&mut self, unit: UnitId, turn: &mut Turn<'_>) {
        let definition = turn.engine.unit(unit);
        let service = definition.and_then(|unit| unit.service.as_deref());
        let found = self.holds.get_mut(&unit).zip(service.and_then(threshold));
        let Some((hold, most)) = found else {
            self.looks.forget(unit);
            return;
        };
        let (weight, again_ms) = hold.limited.memory.look(&hold.group, most);
        self.looks.set(unit, again_ms);
        if weight == Weight::TooMuch {
            self.looks.heavy.insert(unit);
        }
    }
}

impl Daemon {
    /// Restarts in order whoever has grown too large, as if it had been asked for.
    pub(super) fn mind_memory(&mut self) {
        let (processes, mut turn) = self.with_turn();
        processes.weigh(&mut turn);
        for unit in std::mem::take(&mut self.processes.looks.heavy) {
            let state = self.engine.view(unit).map(|view| view.state);
            let Some(definition) = self.engine.unit(unit) else {
                continue;
            };
            // One that starts or stops will be another one soon, or runs when it is looked at again.
            if state != Some(State::Running) {
                self.processes.rest(unit);
                continue;
            }
            let targets = vec![definition.name.clone()];
            if let Some(hold) = self.processes.holds.get_mut(&unit) {
                hold.limited.let_go(&hold.group);
            }
            let loaded = Loaded {
                targets,
                ..Loaded::default()
            };
            self.ask(Verb::Restart(Scope::Running), Asker::Memory, loaded);
        }
    }
}

/// Whether the kernel has killed anybody since it was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kills {
    Same,
    More,
}

fn threshold(service: &Service) -> Option<u64> {
    service.resources.as_ref()?.restart_memory_max
}

/// What the members hold, each with its share of what they have in common.
fn proportional_bytes(group: &Group) -> u64 {
    let members = group.members().unwrap_or_default();
    let bytes = members.into_iter().map(proc::proportional_bytes);
    bytes.filter_map(Result::ok).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_left_alone_is_looked_at_ever_more_rarely() {
        let mut known = Known::default();
        let pauses = [0; 7].map(|_| {
            known.rest();
            known.pause_ms
        });
        let expected = [1_000, 2_000, 4_000, 8_000, 16_000, LOOK_MS, LOOK_MS];
        assert_eq!(pauses, expected);
    }
}
