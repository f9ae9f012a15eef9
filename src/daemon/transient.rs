//! Units that a command line has described: their definitions lie in a folder of the home, where every verb finds them,
//! until somebody clears them.
//!
//! Owns the clearing: what `reset` does with such a unit that is at rest. Its log stays.

use std::fs;
use std::path::Path;

use crate::engine::{Engine, Event, RunId, State, UnitId};
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
        for listed in listing.units {
            let name = listed.name.as_str();
            let mut patterns = names.iter().filter(|name| glob::is_pattern(name));
            if patterns.any(|pattern| glob::matches(pattern, name)) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// Clears the transient units among those that are to be reset, as far as they are at rest, and leaves the others.
    pub(super) fn without_cleared(&mut self, mut loaded: Loaded) -> Loaded {
        let folder = self.home.transient();
        for name in std::mem::take(&mut loaded.targets) {
            let id = self.engine.id(&name);
            let read = loaded.definitions.iter().find(|unit| unit.name == name);
            let unit = id.and_then(|id| self.engine.unit(id)).or(read);
            let path = unit
                .filter(|unit| is_in(unit, &folder))
                .map(|unit| unit.path.clone());
            let is_busy = id.is_some_and(|id| !self.is_over(id));
            match path.filter(|_| !is_busy) {
                None => loaded.targets.push(name),
                Some(path) => {
                    loaded.definitions.retain(|unit| unit.name != name);
                    loaded.failed.push(cleared(&name, &path));
                    if !path.exists() {
                        self.forget(&name);
                    }
                }
            }
        }
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

    /// Nobody can ask for the unit any more, unless a request waits for it still.
    pub(super) fn forget(&mut self, name: &UnitName) {
        let Some(unit) = self.engine.id(name) else {
            return;
        };
        self.events.push_back(Event::Forgotten { unit });
        self.settle();
        if self.engine.id(name).is_none() {
            let last_run = self.engine.last_run();
            self.processes.forget((unit, name), last_run);
        }
    }
}

impl Processes {
    /// Nothing is kept of a unit that there is no more.
    fn forget(&mut self, (unit, name): (UnitId, &UnitName), last_run: RunId) {
        // The numbers of its runs stand in its log, and are nobody else's.
        self.states.keep_last_run(last_run);
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
    UnitResult {
        unit: name.to_string(),
        kind,
        text,
        retry_ms: None,
        hint: None,
        left: Vec::new(),
    }
}
