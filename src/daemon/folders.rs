//! Folders of services: made when a life begins, and those for its length removed when it is over.
//!
//! Owns when that is. What they are called and where they lie is the unit's, how they are made safely `sys`'s.

use std::collections::BTreeSet;
use std::path::Path;

use crate::engine::{Engine, SpawnFailure, State, UnitId};
use crate::sys::folders;
use crate::sys::process::error_text;
use crate::unit::{Folders, Preserve, Purpose, Service};

use super::account::Account;
use super::lenience::Lenience;
use super::processes::Processes;
use super::spawn::failure;

/// The units whose runtime folders stand.
#[derive(Debug, Default)]
pub(super) struct Standing(BTreeSet<UnitId>);

impl Standing {
    /// A life begins. Where another one went before and nobody has seen the unit at rest between the two, its folders
    /// are not the new one's, unless they are to be kept.
    pub(super) fn begin(
        &mut self,
        (id, service): (UnitId, &Service),
        owner: &Account,
        lenience: &mut Lenience<'_>,
    ) -> Result<(), SpawnFailure> {
        if self.0.contains(&id) && service.preserve == Preserve::No {
            remove(service);
        }
        self.note(id, service);
        for folders in &service.folders {
            make(folders, owner, lenience)?;
        }
        Ok(())
    }

    /// The unit's folders stand, be it that a predecessor has made them.
    pub(super) fn note(&mut self, id: UnitId, service: &Service) {
        if runtime(service).is_some() {
            self.0.insert(id);
        }
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
        if is_over && self.0.remove(&id) && service.preserve != Preserve::Always {
            remove(service);
        }
    }
}

impl Processes {
    /// Removes the unit's runtime folders if its life is over.
    pub(super) fn look_at_folders(&mut self, id: UnitId, engine: &Engine) {
        let service = engine.unit(id).and_then(|unit| unit.service.as_deref());
        if let (Some(service), Some(view)) = (service, engine.view(id)) {
            self.standing.look(id, service, view.state);
        }
    }
}

fn runtime(service: &Service) -> Option<&Folders> {
    let mut folders = service.folders.iter();
    folders.find(|folders| folders.purpose == Purpose::Runtime)
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

fn remove(service: &Service) {
    let Some(folders) = runtime(service) else {
        return;
    };
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
