//! Units that a command line has described: their definitions lie in a folder of the home, where every verb finds them,
//! until somebody clears them.
//!
//! Owns the clearing: what `reset` does with such a unit that is at rest. Its log stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::engine::{Engine, Event, State, UnitId};
use crate::sorted::Sorted;
use crate::sys::process::error_text;
use crate::unit::{SearchPath, Unit, UnitName, glob};
use crate::wire::{ErrorKind, ResultKind, UnitResult, WireError};

use super::answer;
use super::event_loop::Daemon;
use super::loader::Loaded;
use super::processes::Processes;

impl Daemon {
    /// The names with those of transient units that their patterns mean: nobody may have loaded them in this life of
    /// the daemon.
    pub(super) fn with_transient(&self, mut names: Vec<String>) -> Vec<String> {
        let listing = SearchPath {
            directories: vec![self.home.transient()],
        }
        .list();
        let patterns: Vec<&String> = names.iter().filter(|name| glob::is_pattern(name)).collect();
        let is_meant = |name: &str| {
            let mut patterns = patterns.iter();
            patterns.any(|pattern| glob::matches(pattern, name))
        };
        let listed = listing.units.iter().map(|listed| listed.name.as_str());
        let meant: Vec<String> = listed
            .filter(|name| is_meant(name))
            .map(str::to_owned)
            .collect();
        names.extend(meant);
        names
    }

    /// Clears the transient units among those that are to be reset, as far as they are at rest, and leaves the others.
    pub(super) fn without_cleared(&mut self, mut loaded: Loaded) -> Loaded {
        let folder = self.home.transient();
        let read = loaded.definitions.iter();
        let read = read.map(|unit| {
            (
                unit.name.clone(),
                is_in(unit, &folder).then(|| unit.path.clone()),
            )
        });
        let read: BTreeMap<UnitName, Option<PathBuf>> = read.sorted_map();
        let (mut done, mut gone) = (BTreeSet::new(), Vec::new());
        for name in std::mem::take(&mut loaded.targets) {
            let id = self.engine.id(&name);
            let path = match id.and_then(|id| self.engine.unit(id)) {
                Some(unit) => is_in(unit, &folder).then(|| unit.path.clone()),
                None => read.get(&name).cloned().flatten(),
            };
            let is_busy = id.is_some_and(|id| !self.is_over(id));
            match path.filter(|_| !is_busy) {
                None => loaded.targets.push(name),
                Some(path) => {
                    loaded.answered.push(cleared(&name, &path));
                    if !path.exists() {
                        gone.extend(id);
                    }
                    done.insert(name);
                }
            }
        }
        loaded.definitions.retain(|unit| !done.contains(&unit.name));
        self.forget(gone);
        loaded
    }

    /// Refuses what is gone once it is cleared, and perhaps before the next start of the daemon.
    pub(super) fn is_to_stay(&self, unit: &Unit) -> Result<(), WireError> {
        if !is_in(unit, &self.home.transient()) {
            return Ok(());
        }
        let message = format!("{} was made by `run`, and is not kept", unit.name);
        let own = self.home.services();
        let hint = format!("copy {} to {} first", unit.path.display(), own.display());
        Err(answer::error(ErrorKind::Failed, message, Some(hint)))
    }

    /// Whether nothing of it runs, nor will by itself.
    pub(super) fn is_over(&self, unit: UnitId) -> bool {
        is_at_rest(&self.engine, unit) && !self.processes.holds.contains_key(&unit)
    }

    /// Nobody can ask for these units any more, unless a request waits for them still. All at once: the engine looks
    /// at every other unit then.
    pub(super) fn forget(&mut self, units: Vec<UnitId>) {
        if units.is_empty() {
            return;
        }
        let name = |unit: &UnitId| Some((*unit, self.engine.unit(*unit)?.name.clone()));
        let named: Vec<(UnitId, UnitName)> = units.iter().filter_map(name).collect();
        self.events.push_back(Event::Forgotten { units });
        self.settle();
        // The numbers of its runs stand in its log, and are nobody else's.
        self.processes.states.keep_last_run(self.engine.last_run());
        for (unit, name) in named {
            if self.engine.id(&name) != Some(unit) {
                self.processes.forget(unit, &name);
            }
        }
    }
}

impl Processes {
    /// Nothing is kept of a unit that there is no more.
    fn forget(&mut self, unit: UnitId, name: &UnitName) {
        self.states.remove(unit, name);
        self.history.remove(&unit);
    }
}

fn is_at_rest(engine: &Engine, unit: UnitId) -> bool {
    let is_down = |state| matches!(state, State::Stopped | State::Completed | State::Failed);
    let view = engine.view(unit);
    view.is_some_and(|view| is_down(view.state))
}

fn is_in(unit: &Unit, folder: &Path) -> bool {
    let same =
        |a: &Path| matches!((a.canonicalize(), folder.canonicalize()), (Ok(a), Ok(b)) if a == b);
    unit.path.parent().is_some_and(same)
}

fn cleared(name: &UnitName, path: &Path) -> UnitResult {
    let (kind, text) = match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let text = format!("removing {}: {}", path.display(), error_text(&error));
            (ResultKind::Failed, text)
        }
        _ => (ResultKind::ResetDone, "cleared; its log stays".to_owned()),
    };
    answer::plain(name, kind, text)
}
