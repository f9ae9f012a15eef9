//! What a successor must know, on disk: one file for each unit in `run/`, written in place.
//!
//! Owns the files `run/NAME.state`, not their form (`wire`) and not their meaning (`engine`). A save is one write of
//! one of two slots: whole or absent, whenever the daemon is killed; nothing is renamed and nothing synced, since the
//! facts outlive the daemon and not the machine. The cost of a save follows the one unit that changed.
//!
//! A unit at rest keeps its file while the daemon lives: "stopped by hand", "failed, and why" and "has run" are facts
//! that a successor needs as much as a PID. When the daemon ends in order everything is stopped, and the files go.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::engine::{RunId, UnitId};
use crate::sys::process::error_text;
use crate::sys::{clock, files};
use crate::unit::UnitName;
use crate::wire::slot::{self, Slot};
use crate::wire::{Saved, decode_saved, encode_saved};

/// The ending of the files' names.
const ENDING: &str = "state";
/// The file in which the youngest run's number outlives all units.
const LAST_RUN: &str = "last-run";
/// Bytes of one file: two of the largest slots, and those that they grew out of.
const FILE_LIMIT: usize = 4 * 1024 * 1024;

/// Bytes of that file: more than a number has digits.
const LAST_RUN_LIMIT: usize = 32;

/// The files, and what was written last to each.
#[derive(Debug)]
pub(super) struct States {
    directory: PathBuf,
    boot_id: Box<str>,
    kept: BTreeMap<UnitId, Kept>,
    health: Health,
}

#[derive(Debug)]
struct Kept {
    slot: Slot,
    /// Of the payload: the same facts are not written twice.
    hash: u64,
}

/// Whether writing works: said once when it ceases to, and once when it works again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    Failing,
}

impl States {
    pub(super) fn new(directory: PathBuf) -> Self {
        let boot_id = clock::boot_id().unwrap_or_default().into();
        Self {
            directory,
            boot_id,
            kept: BTreeMap::new(),
            health: Health::Good,
        }
    }

    /// The boot of the machine that all moments, PIDs and inodes belong to.
    pub(super) fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Writes a unit's state, unless it is what was written last. A failure is told in the log; the next save tries
    /// again.
    pub(super) fn save(&mut self, unit: UnitId, saved: &Saved) {
        let payload = encode_saved(saved);
        let hash = hash_of(&payload);
        if self.kept.get(&unit).is_some_and(|kept| kept.hash == hash) {
            return;
        }
        match self.write(unit, &saved.facts.unit, &payload) {
            Ok(slot) => {
                self.kept.insert(unit, Kept { slot, hash });
                if self.health == Health::Failing {
                    self.health = Health::Good;
                    ::log::info!("the services' state is written again");
                }
            }
            Err(error) if self.health == Health::Good => {
                self.health = Health::Failing;
                let path = self.path(saved.facts.unit.as_str());
                let reason = error_text(&error);
                ::log::error!(
                    "writing {}: {reason}; a successor would not know",
                    path.display()
                );
            }
            Err(_) => {}
        }
    }

    fn write(&self, unit: UnitId, name: &UnitName, payload: &[u8]) -> io::Result<Slot> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).mode(0o600);
        let slot = match self.kept.get(&unit) {
            Some(kept) => kept.slot.next(payload),
            // What lies there is of a predecessor, and judged by now.
            None => {
                options.truncate(true);
                Slot::first(payload)
            }
        };
        let slot = slot.ok_or(io::ErrorKind::FileTooLarge)?;
        let file = options.open(self.path(name.as_str()))?;
        let bytes = slot.encode(payload);
        let offset = u64::try_from(slot.offset()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let written = files::write_at(file.as_fd(), &bytes, offset)?;
        if written == bytes.len() {
            Ok(slot)
        } else {
            Err(io::ErrorKind::StorageFull.into())
        }
    }

    /// Goes on in the file that a predecessor left: what is in it stands until the next save is whole.
    pub(super) fn resume(&mut self, unit: UnitId, slot: Slot) {
        self.kept.insert(unit, Kept { slot, hash: 0 });
    }

    /// Forgets a unit: nothing of it is left that a successor would have to know.
    pub(super) fn remove(&mut self, unit: UnitId, name: &UnitName) {
        self.kept.remove(&unit);
        match std::fs::remove_file(self.path(name.as_str())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let path = self.path(name.as_str());
                ::log::warn!("removing {}: {}", path.display(), error_text(&error));
            }
            _ => {}
        }
    }

    /// Keeps the number of the youngest run beyond the end of the daemon, since the logs know runs by their numbers.
    /// To be called before the units' own states go.
    pub(super) fn keep_last_run(&self, last: RunId) {
        let (path, beside) = (
            self.directory.join(LAST_RUN),
            self.directory.join(format!("{LAST_RUN}.new")),
        );
        let written = std::fs::write(&beside, format!("{last}\n"));
        if let Err(error) = written.and_then(|()| std::fs::rename(&beside, &path)) {
            ::log::warn!("writing {}: {}", path.display(), error_text(&error));
        }
    }

    fn kept_last_run(&self) -> RunId {
        let content = files::read_regular(&self.directory.join(LAST_RUN), LAST_RUN_LIMIT);
        let text = content.ok().and_then(|c| String::from_utf8(c.bytes).ok());
        RunId(text.and_then(|text| text.trim().parse().ok()).unwrap_or(0))
    }

    /// What a predecessor left, by the names of its units, and the number of its youngest run. What belongs to
    /// another boot of the machine, or is garbage, is removed: it tells nothing more than that number.
    pub(super) fn predecessors(&self) -> (Vec<(Saved, Slot)>, RunId) {
        let mut last_run = self.kept_last_run();
        let Ok(entries) = std::fs::read_dir(&self.directory) else {
            return (Vec::new(), last_run);
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut paths: Vec<PathBuf> = paths
            .filter(|path| path.extension().is_some_and(|ending| ending == ENDING))
            .collect();
        paths.sort_unstable();
        let mut found = Vec::new();
        for path in paths {
            let one = read(&path);
            if let Ok((saved, _)) = &one {
                last_run = last_run.max(saved.facts.last_run);
            }
            match one {
                Ok(one) if one.0.boot_id == *self.boot_id => found.push(one),
                Ok(_) => drop(std::fs::remove_file(&path)),
                Err(reason) => {
                    ::log::warn!("{}: {reason}; it is removed", path.display());
                    drop(std::fs::remove_file(&path));
                }
            }
        }
        (found, last_run)
    }

    /// Whether the last save was written.
    pub(super) fn is_good(&self) -> bool {
        self.health == Health::Good
    }

    /// Whether this program can read all that a daemon has saved here; changes nothing.
    pub(super) fn rehearse(&self) -> Result<(), String> {
        let entries = std::fs::read_dir(&self.directory).map_err(|error| error_text(&error))?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        for path in paths.filter(|path| path.extension().is_some_and(|ending| ending == ENDING)) {
            read(&path).map_err(|reason| format!("cannot read {}: {reason}", path.display()))?;
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.{ENDING}"))
    }
}

fn read(path: &Path) -> Result<(Saved, Slot), String> {
    let content = files::read_regular(path, FILE_LIMIT).map_err(|error| error_text(&error))?;
    let (slot, payload) = slot::newest(&content.bytes).ok_or("nothing whole in it")?;
    let saved = decode_saved(payload).map_err(|error| error.to_string())?;
    Ok((saved, slot))
}

/// FNV-1a.
fn hash_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::engine::{FactGoal, FactPhase, Facts, Moment, RunId};

    use super::*;

    fn saved(name: &str, boot_id: &str, restarts: u32) -> Saved {
        let facts = Facts {
            unit: UnitName::parse(name).unwrap(),
            goal: FactGoal::Down,
            phase: FactPhase::Stopped,
            main: None,
            control: None,
            deadline: None,
            since: Moment(1),
            ready_at: None,
            restarts,
            attempt: 0,
            starts: vec![],
            last_run: RunId(7),
            begun: Moment(3),
            failure: None,
            main_ending: None,
        };
        Saved {
            facts,
            file: "/units/web.service".to_owned(),
            hash: 1,
            boot_id: boot_id.to_owned(),
            inodes: vec![],
            cgroup: None,
            invocation: None,
            last_end: None,
            log_lost: 0,
        }
    }

    #[test]
    fn a_successor_reads_the_last_save_and_nothing_of_another_boot() {
        let name = format!("diakonos-state-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut states = States::new(folder.clone());
        let boot = states.boot_id().to_owned();
        for restarts in 0..5 {
            states.save(UnitId(1), &saved("web", &boot, restarts));
        }
        states.save(UnitId(2), &saved("old", "another boot", 0));
        std::fs::write(folder.join("torn.state"), "rubbish").unwrap();

        let mut successor = States::new(folder.clone());
        let (found, last_run) = successor.predecessors();
        assert_eq!((found.len(), last_run), (1, RunId(7)));
        let (last, slot) = &found[0];
        assert_eq!(last, &saved("web", &boot, 4));
        assert!(!folder.join("old.state").exists() && !folder.join("torn.state").exists());
        successor.resume(UnitId(9), *slot);
        successor.save(UnitId(9), &saved("web", &boot, 5));
        assert_eq!(successor.predecessors().0[0].0.facts.restarts, 5);
        successor.remove(UnitId(9), &UnitName::parse("web").unwrap());
        assert_eq!(successor.predecessors(), (vec![], RunId(0)));
        successor.keep_last_run(RunId(12));
        assert_eq!(successor.predecessors(), (vec![], RunId(12)));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
