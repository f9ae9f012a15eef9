//! Folders of services: made when a life begins, and those for its length removed when it is over.
//!
//! Owns when that is. What they are called and where they lie is the unit's, how they are made safely `sys`'s.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::engine::{Engine, Spawn, SpawnFailure, State, UnitId};
use crate::sys::folders;
use crate::sys::process::error_text;
use crate::sys::users;
use crate::unit::{Folders, Preserve, Purpose, Service};

use super::account::Account;
use super::lenience::Lenience;
use super::processes::Processes;
use super::spawn::{failure, is_first};

/// The mode of what a folder is shown at.
const PLACE_MODE: u32 = 0o755;

/// The runtime folders that stand, by unit: those that were made, whatever the unit's file says by now.
#[derive(Debug, Default)]
pub(super) struct Standing(BTreeMap<UnitId, Box<Folders>>);

impl Standing {
    /// A life begins. Where another one went before and nobody has seen the unit at rest between the two, its folders
    /// are not the new one's, unless they are to be kept.
    fn begin(
        &mut self,
        (id, service): (UnitId, &Service),
        owner: &Account,
        lenience: &mut Lenience<'_>,
    ) -> Result<(), SpawnFailure> {
        if let Some(folders) = self
            .0
            .remove(&id)
            .filter(|_| service.preserve == Preserve::No)
        {
            remove(&folders);
        }
        self.note(id, service);
        for folders in &service.folders {
            make(folders, owner, lenience)?;
            if let Some(root) = root(service) {
                make_places(folders, root)?;
            }
        }
        Ok(())
    }

    /// The unit's folders stand, be it that a predecessor has made them.
    pub(super) fn note(&mut self, id: UnitId, service: &Service) {
        let mut folders = service.folders.iter();
        let runtime = folders.find(|folders| folders.purpose == Purpose::Runtime);
        self.0
            .extend(runtime.map(|runtime| (id, Box::new(runtime.clone()))));
    }

    /// The unit has come into this state; of one that nobody knows any more nothing is known to be removed.
    fn look(&mut self, id: UnitId, service: &Service, state: State) {
        let is_over = match state {
            State::Stopped | State::Completed | State::Failed => true,
            State::Backoff => service.preserve == Preserve::No,
            State::Waiting
            | State::Starting
            | State::Running
            | State::Exited
            | State::Reloading
            | State::Stopping => false,
        };
        if !is_over {
            return;
        }
        if let Some(folders) = self
            .0
            .remove(&id)
            .filter(|_| service.preserve != Preserve::Always)
        {
            remove(&folders);
        }
    }
}

impl Processes {
    /// Makes the service's folders if its life begins with this command.
    pub(super) fn begin_folders(
        &mut self,
        spawn: &Spawn,
        service: &Service,
        owner: &Account,
        lenience: &mut Lenience<'_>,
    ) -> Result<(), SpawnFailure> {
        if !is_first(service, spawn) {
            return Ok(());
        }
        let unit = (spawn.unit, service);
        self.standing.begin(unit, owner, lenience)
    }

    /// Removes the unit's runtime folders if its life is over.
    pub(super) fn look_at_folders(&mut self, id: UnitId, engine: &Engine) {
        let service = engine.unit(id).and_then(|unit| unit.service.as_deref());
        if let (Some(service), Some(view)) = (service, engine.view(id)) {
            self.standing.look(id, service, view.state);
        }
    }
}

fn make(
    folders: &Folders,
    owner: &Account,
    lenience: &mut Lenience<'_>,
) -> Result<(), SpawnFailure> {
    let key = folders.purpose.key();
    // What the service is told, it does not own, so that it cannot change it.
    let owner = match folders.purpose {
        Purpose::Configuration => None,
        Purpose::Runtime | Purpose::State | Purpose::Cache | Purpose::Logs => owner.owner(),
    };
    for (name, path) in folders.names.iter().zip(folders.paths()) {
        if let Err(error) = folders::make(&folders.base, name, folders.mode, owner) {
            let reason = reason(&path, &error);
            let errno = error.raw_os_error().unwrap_or(0);
            let failure = failure(key, errno, format!("{key}={name}: making {reason}"));
            lenience.forgo(key, failure)?;
        }
    }
    Ok(())
}

/// What the service's folders are shown at below its root directory.
fn make_places(folders: &Folders, root: &Path) -> Result<(), SpawnFailure> {
    for (name, path) in folders.names.iter().zip(folders.paths()) {
        let base = below(root, &folders.base);
        // One that is there keeps its mode: what is mounted on it counts.
        if below(root, &path).is_dir() {
            continue;
        }
        folders::make(&base, name, PLACE_MODE, None).map_err(|error| {
            let reason = reason(&below(root, &path), &error);
            let errno = error.raw_os_error().unwrap_or(0);
            let key = folders.purpose.key();
            failure(key, errno, format!("{key}={name}: making {reason}"))
        })?;
    }
    Ok(())
}

/// The service's root directory, where we may give it one.
pub(super) fn root(service: &Service) -> Option<&Path> {
    let root = service.root_directory.as_deref();
    root.filter(|_| users::effective_uid() == 0)
}

/// Where an absolute path is that is meant below another root.
pub(super) fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn remove(folders: &Folders) {
    for (name, path) in folders.names.iter().zip(folders.paths()) {
        if let Err(error) = folders::remove(&folders.base, name) {
            ::log::warn!(
                "RuntimeDirectory={name}: removing {}",
                reason(&path, &error)
            );
        }
    }
}

fn reason(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {}", path.display(), error_text(error))
}
