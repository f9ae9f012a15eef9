//! What a successor must know, on disk: two files for each unit in `run/`, written in place.
//!
//! Owns the files `run/NAME.state` (the facts) and `run/NAME.unit` (the definitions that the facts name), not their
//! form (`wire`) and not their meaning (`engine`); `predecessor` and `definitions` read what another daemon wrote.
//! A save is one write of one of two slots: whole or absent, whenever the daemon is killed; nothing is renamed and
//! nothing synced, since the facts outlive the daemon and not the machine.
//! The cost of a save follows the one unit that changed; definitions are written when they change, before the facts
//! that name them, and the slot before them stays: a successor finds what its facts name in one of the two.
//!
//! A unit at rest keeps its files while the daemon lives: "stopped by hand", "failed, and why" and "has run" are facts
//! that a successor needs as much as a PID. When the daemon ends in order everything is stopped, and the files go.

mod definitions;
mod predecessor;
mod slot_file;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::{RunId, UnitId};
use crate::sorted::Sorted;
use crate::sys::process::error_text;
use crate::sys::{clock, files};
use crate::unit::UnitName;
use crate::wire::slot::Slot;
use crate::wire::{Saved, SavedDefinition, encode_definitions, encode_saved};

use super::removing::remove;
use definitions::fingerprints;
use slot_file::write;

pub(super) use definitions::Definitions;
pub use predecessor::has_heritage;
pub(super) use predecessor::{Predecessor, unit_of};

/// The endings of the files' names.
const FACTS: &str = "state";
const DEFINITIONS: &str = "unit";
/// The file in which the youngest run's number outlives all units.
const LAST_RUN: &str = "last-run";
/// Bytes of one file: two of the largest slots, and those that they grew out of.
const FILE_LIMIT: usize = 4 * 1024 * 1024;

/// The files, and what was written last to each.
#[derive(Debug)]
pub(super) struct States {
    directory: PathBuf,
    boot_id: Box<str>,
    kept: BTreeMap<UnitId, Box<Kept>>,
    /// Those of them of which something is stale.
    stale: BTreeSet<UnitId>,
    health: Health,
    losses: Losses,
}

#[derive(Debug, Default)]
struct Kept {
    facts: Option<Slot>,
    /// Of the payload, once it and all that it names are written: the same facts are not written twice.
    hash: Option<u64>,
    /// Why what is on disk is not what was to be saved last.
    stale: Option<(PathBuf, io::Error)>,
    definitions: Option<Slot>,
    /// Those in the newest slot, by their fingerprints.
    written: [Option<u64>; 2],
}

/// Whether writing works: said once when it ceases to, and once when it works again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    Failing,
}

/// Whether a file was gone that had been written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Losses {
    #[default]
    None,
    /// Its folder, too, which cannot be made: nothing would come of writing the others.
    Unmade,
    Some,
}

impl States {
    pub(super) fn new(directory: PathBuf) -> Self {
        let boot_id = clock::world_id().unwrap_or_default().into();
        Self {
            directory,
            boot_id,
            kept: BTreeMap::new(),
            stale: BTreeSet::new(),
            health: Health::Good,
            losses: Losses::None,
        }
    }

    /// The boot of the machine, or the life of the container, that all moments, PIDs and inodes belong to.
    pub(super) fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Writes a unit's state, unless it is what was written last; before that its definitions, if they are others than
    /// those written last. A failure is told in the log; the next save tries again.
    pub(super) fn save(
        &mut self,
        unit: UnitId,
        saved: &Saved,
        definitions: impl FnOnce() -> Vec<SavedDefinition>,
    ) {
        let payload = encode_saved(saved);
        let hash = hash_of(&payload);
        let mut kept = self.kept.remove(&unit).unwrap_or_default();
        if kept.facts.is_some() && kept.hash == Some(hash) {
            kept.stale = None;
            self.keep(unit, kept);
            return;
        }
        let name = saved.facts.unit.as_str();
        let named = [saved.definition, saved.next];
        let is_written = |one: &Option<u64>| one.is_none() || kept.written.contains(one);
        let has_all = saved.text.is_some() || named.iter().all(is_written);
        let defined = if has_all {
            Ok(())
        } else {
            self.define(name, &mut kept, definitions())
        };
        let path = self.path(name, FACTS);
        let stated = match self.put(&path, &mut kept.facts, &payload) {
            Ok(()) => {
                // Facts without their definitions are better than none, and are written again with them.
                kept.hash = defined.is_ok().then_some(hash);
                Ok(())
            }
            Err(error) => {
                // The disk that keeps a log from being written may well be this one, and these are few bytes less:
                // enough for a daemon that dies, and not for one that could wait.
                let mut bare = saved.clone();
                if !std::mem::take(&mut bare.log_owed).is_empty()
                    && self
                        .put(&path, &mut kept.facts, &encode_saved(&bare))
                        .is_ok()
                {
                    kept.hash = None;
                }
                Err((path, error))
            }
        };
        kept.stale = stated.and(defined).err();
        self.keep(unit, kept);
    }

    /// Notes what is on disk of a unit, and whether writing works.
    fn keep(&mut self, unit: UnitId, kept: Box<Kept>) {
        if kept.stale.is_some() {
            self.stale.insert(unit);
        } else {
            self.stale.remove(&unit);
        }
        self.kept.insert(unit, kept);
        self.report();
    }

    /// Definitions that are longer than any file may be are left to the unit's own file.
    fn define(
        &mut self,
        name: &str,
        kept: &mut Kept,
        definitions: Vec<SavedDefinition>,
    ) -> Result<(), (PathBuf, io::Error)> {
        let path = self.path(name, DEFINITIONS);
        let payload = encode_definitions(&definitions);
        match self.put(&path, &mut kept.definitions, &payload) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                ::log::warn!("{name}: its definition is too long to be kept for a successor");
            }
            Err(error) => return Err((path, error)),
        }
        kept.written = fingerprints(&definitions);
        Ok(())
    }

    /// One write, behind what is there. Where somebody has removed that, or all of `run/`, it is made again.
    fn put(&mut self, path: &Path, place: &mut Option<Slot>, payload: &[u8]) -> io::Result<()> {
        let mut written = write(path, *place, payload);
        if matches!(&written, Err(error) if error.kind() == io::ErrorKind::NotFound) {
            *place = None;
            self.losses = Losses::Unmade;
            written = files::private_directory(&self.directory).and_then(|()| {
                self.losses = Losses::Some;
                write(path, None, payload)
            });
        }
        *place = Some(written?);
        if self.losses == Losses::Unmade {
            self.losses = Losses::Some;
        }
        Ok(())
    }

    /// The units of which something may be gone, where that was found of one: what they save next is written, be it
    /// what was written last.
    pub(super) fn take_lost(&mut self) -> BTreeSet<UnitId> {
        if self.losses != Losses::Some {
            return BTreeSet::new();
        }
        self.losses = Losses::None;
        let run = self.directory.display();
        ::log::warn!("files of {run} were removed: what a successor has to know is written anew");
        for kept in self.kept.values_mut() {
            (kept.hash, kept.written) = (None, [None; 2]);
        }
        self.kept.keys().copied().sorted_set()
    }

    /// What was found gone meanwhile was one of them.
    pub(super) fn lost_are_written(&mut self) {
        if self.losses == Losses::Some {
            self.losses = Losses::None;
        }
    }

    fn report(&mut self) {
        let stale = self.stale.first().and_then(|unit| self.kept.get(unit));
        let stale = stale.and_then(|kept| kept.stale.as_ref());
        match (self.health, stale) {
            (Health::Good, Some((path, error))) => {
                let (path, reason) = (path.display(), error_text(error));
                ::log::error!("writing {path}: {reason}; a successor would not know");
                self.health = Health::Failing;
            }
            (Health::Failing, None) => {
                ::log::info!("the services' state is written again");
                self.health = Health::Good;
            }
            (Health::Good, None) | (Health::Failing, Some(_)) => {}
        }
    }

    /// Forgets a unit: nothing of it is left that a successor would have to know.
    pub(super) fn remove(&mut self, unit: UnitId, name: &UnitName) {
        self.kept.remove(&unit);
        self.stale.remove(&unit);
        for ending in [FACTS, DEFINITIONS] {
            remove(&self.path(name.as_str(), ending));
        }
    }

    /// Keeps the number of the youngest run beyond the end of the daemon, since the logs know runs by their numbers.
    /// To be called before the units' own states go.
    pub(super) fn keep_last_run(&self, last: RunId) {
        let (path, beside) = (
            self.directory.join(LAST_RUN),
            self.directory.join(format!("{LAST_RUN}.new")),
        );
        let made = files::private_directory(&self.directory);
        let written = made.and_then(|()| std::fs::write(&beside, format!("{last}\n")));
        if let Err(error) = written.and_then(|()| std::fs::rename(&beside, &path)) {
            ::log::warn!("writing {}: {}", path.display(), error_text(&error));
        }
    }

    /// Whether every unit's last save was written.
    pub(super) fn is_good(&self) -> bool {
        self.stale.is_empty()
    }

    /// Why a successor would know nothing at all of a unit: the file that cannot be written.
    pub(super) fn unknown(&self, unit: UnitId) -> Option<&(PathBuf, io::Error)> {
        let kept = self.kept.get(&unit)?;
        kept.stale.as_ref().filter(|_| kept.facts.is_none())
    }

    /// Goes on in the files that a predecessor left: what is in them stands until the next save is whole.
    pub(super) fn resume(&mut self, unit: UnitId, facts: Slot, definitions: &Definitions) {
        let kept = Kept {
            facts: Some(facts),
            hash: None,
            stale: None,
            definitions: definitions.place,
            written: definitions.written,
        };
        self.kept.insert(unit, Box::new(kept));
    }

    fn path(&self, name: &str, ending: &str) -> PathBuf {
        self.directory.join(format!("{name}.{ending}"))
    }
}

/// FNV-1a.
fn hash_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
